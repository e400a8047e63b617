package odmimport

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/clinical"
	"aliquot/shared/jobs"
)

func TestDrop(t *testing.T) {
	event := func(key string) []byte {
		return fmt.Appendf(nil, `{"source":"aws.s3","detail-type":"Object Created","detail":{"bucket":{"name":"intake"},"object":{"key":%q,"version-id":"v"}}}`, key)
	}
	w := newWorld(t, numbers(), map[string]string{"scan.pdf": "a scan"})
	w.objects["intake/Lab/odm/S_A/march.xml"] = w.objects["intake/odm/u-4/file.xml"]
	w.objects["intake/Lab/odm/S_A/march.zip"] = w.objects["intake/odm/u-4/attached.zip"]
	im := w.importer(7)
	for _, key := range []string{"Lab/odm/S_A/march.zip", "Lab/odm/S_A/march.xml", "Lab/odm/S_A/march.xml"} {
		if err := im.Handle(t.Context(), event(key)); err != nil {
			t.Fatal(err)
		}
	}
	if w.job.ID != 5 || w.sent != 2 || w.job.UUID == "" || w.job.Params[ParamStudy] != "S_A" {
		t.Fatalf("%d messages, job %+v", w.sent, w.job)
	}
	for _, key := range []string{"Lab/odm/S_A/march.zip", "Lab/odm/S_A/march.xml"} {
		if err := im.Missed(t.Context(), "intake", key, "v"); err != nil || w.sent != 2 {
			t.Errorf("the sweep sent %s again: %v", key, err)
		}
	}
	w.run(im)
	if w.job.Status != jobs.Completed || w.job.Total != rowCount+6 || w.job.FailedRows != 3 {
		t.Errorf("job %+v", w.job)
	}
	if err := im.Handle(t.Context(), event("nobody/odm/S_A/april.xml")); err != nil {
		t.Fatal(err)
	}
	if w.job.ID != 6 || w.job.Status != jobs.Failed || !strings.Contains(w.job.Reason, "nobody") || w.sent != 2 || w.job.Lists != nil {
		t.Errorf("%d messages, job %+v", w.sent, w.job)
	}
}

// A dropped document's job says what one that came by request does, whatever the spelling of its folder.
func TestJobOfADroppedDocument(t *testing.T) {
	w := newWorld(t, numbers(), nil)
	w.now = time.Date(2026, 3, 2, 10, 15, 30, 45e6, time.UTC)
	im := w.importer(7)
	for _, test := range []struct {
		folder string
		params map[string]string
		lists  []string
		status jobs.Status
		reason string
	}{
		{"s_a", map[string]string{"study": "S_A", "site": "", "log": "A-1-TEST_XML_IMPORT_2026-03-02-101530045+0000.csv"}, []string{"7", "7#10"}, jobs.Queued, ""},
		{"S_b", map[string]string{"study": "S_A", "site": "S_B", "log": "A-1-B-TEST_XML_IMPORT_2026-03-02-101530045+0000.csv"}, []string{"7", "7#11"}, jobs.Queued, ""},
		{"S_C", map[string]string{"study": "S_C"}, []string{"7"}, jobs.Failed, "There is no study or site with this OID in which you have a role. (errorCode.studyOIDNotFound)"},
	} {
		key := "lab/odm/" + test.folder + "/april.xml"
		if err := im.Drop(t.Context(), "intake", key, "v1"); err != nil {
			t.Fatal(err)
		}
		j := w.job
		got := []any{j.Params, j.Lists, j.Status, j.Reason, j.FileName, j.Key, j.Version, j.Drop, j.OwnerID}
		want := []any{test.params, test.lists, test.status, test.reason, "april.xml", key, "v1", true, int64(7)}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", test.folder, d)
		}
	}
	if err := im.Drop(t.Context(), "intake", "lab/odm/march.xml", "v1"); err != nil || w.job.Status != jobs.Failed || w.job.OwnerID != 7 || !strings.Contains(w.job.Reason, "OID of the study") {
		t.Errorf("without a folder: %v, job %+v", err, w.job)
	}
	im.Place = func(context.Context, string) (*clinical.Place, error) { return nil, errBroken }
	before := w.job.ID
	if err := im.Drop(t.Context(), "intake", "lab/odm/S_A/may.xml", "v1"); !errors.Is(err, errBroken) || w.job.ID != before {
		t.Errorf("a study that could not be looked up: %v, job %d after %d", err, w.job.ID, before)
	}
}

func TestParseKey(t *testing.T) {
	for key, want := range map[string]Dropped{
		"lab/odm/S_A/a.xml": {"lab", "S_A", "a.xml"}, "LAB/odm/S A(TEST)/a b.XML": {"lab", "S A(TEST)", "a b.XML"},
		"lab/odm/a.xml": {"lab", "", "a.xml"}, "lab/odm/S/x/a.xml": {"lab", "", "a.xml"}, "lab/odm/S_A/a.xml.gz": {"lab", "", "a.xml.gz"},
		"lab/odm/": {}, "lab/odm": {}, "odm/S/a.xml": {}, "_uploads/odm/u/a.xml": {}, "lab/ODM/S/a.xml": {}, "lab/odm/S/a.zip": {}, "lab/odm/S/": {}, "": {},
	} {
		if got, ok := ParseKey(key); got != want || ok != (want != Dropped{}) {
			t.Errorf("%q: %+v, %t", key, got, ok)
		}
	}
}
