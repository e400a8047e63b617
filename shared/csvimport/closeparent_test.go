package csvimport_test

import (
	"fmt"
	"strings"
	"testing"

	"aliquot/shared/biobank"
	"aliquot/shared/jobs"
)

// A protocol may close parents after their children were made. The first chunk's children must not keep those of the
// second from being made.
func TestParentClosedByAnEarlierChunk(t *testing.T) {
	r := newRig(t)
	r.im.Config.ChunkRows = 3
	r.apply(r.admin, &biobank.ProtocolDraft{
		PI: biobank.UserRef{Email: "ada@example.org"}, Sites: []biobank.SiteRef{{Name: "Lakeside Biobank"}},
		Doc: biobank.ProtocolDoc{ShortTitle: "CLOSING", Title: "Closing Study", CloseParentSpecimens: true},
	})
	for _, f := range []struct{ name, content string }{
		{"cpr_create_20260301080000000.csv", lines("CP Short Title,PPID,Registration Date", "CLOSING,C-1,01-02-2026")},
		{"visit_create_20260301080000001.csv", lines("CP Short Title,PPID,Name,Visit Date,Visit Site", "CLOSING,C-1,CV-1,03-02-2026,Lakeside Biobank")},
		{"specimen_create_20260301080000002.csv", lines("Visit Name,Specimen Label,Type,Initial Quantity", "CV-1,CS-1,Plasma,10")},
	} {
		if j, report := r.importFile(f.name, f.content); j.Status != jobs.Completed {
			t.Fatalf("%s: %+v\n%s", f.name, j, report)
		}
	}
	var b strings.Builder
	b.WriteString("Specimen Label,Lineage,Parent Specimen Label,Initial Quantity\n")
	for i := range 8 {
		fmt.Fprintf(&b, "CS-1.%d,Aliquot,CS-1,1\n", i)
	}
	if j, report := r.importFile("specimen_create_20260301080000003.csv", b.String()); j.Status != jobs.Completed {
		t.Errorf("%+v\n%s", j, report)
	}
	j, report := r.importFile("specimen_create_20260301080000004.csv", lines(
		"Specimen Label,Lineage,Parent Specimen Label,Initial Quantity", "CS-1.9,Aliquot,CS-1,1"))
	if j.Status != jobs.Failed || !strings.Contains(report, "SPECIMEN_PROC_NOT_ALLOWED") {
		t.Errorf("a later job made a child of a closed parent: %+v\n%s", j, report)
	}
}
