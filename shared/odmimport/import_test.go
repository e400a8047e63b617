package odmimport

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/biobank"
	"aliquot/shared/clinical"
	"aliquot/shared/jobs"
)

// study collects numbers and files in a log.
func study() *clinical.Metadata {
	return clinical.NewMetadata("S_A",
		[]*clinical.EventDef{{OID: "SE_LOG", Repeating: true, Common: true, Forms: []clinical.FormRef{{Form: "F_LOG", Default: "1"}}}},
		[]*clinical.FormDef{{OID: "F_LOG", Layouts: []clinical.Layout{{Name: "1"}}, Groups: []string{"IG_LOG"}}},
		[]*clinical.GroupDef{{OID: "IG_LOG", Repeating: true, Items: []string{"I_N", "I_F"}}},
		[]*clinical.ItemDef{{OID: "I_N", Type: clinical.Integer}, {OID: "I_F", File: true}}, nil)
}

const rowCount = 30

func numbers() string {
	var b strings.Builder
	b.WriteString(`<ODM><ClinicalData StudyOID="S_A">`)
	for s := 1; s <= 3; s++ {
		fmt.Fprintf(&b, `<SubjectData SubjectKey="SS_%d"><StudyEventData StudyEventOID="SE_LOG"><FormData FormOID="F_LOG">`, s)
		for i := range rowCount / 3 {
			fmt.Fprintf(&b, `<ItemGroupData ItemGroupOID="IG_LOG"><ItemData ItemOID="I_N" Value="%d"/></ItemGroupData>`, i)
		}
		b.WriteString(`<ItemGroupData ItemGroupOID="IG_LOG"><ItemData ItemOID="I_N" Value="many"/><ItemData ItemOID="I_F" Value="scan.pdf"/></ItemGroupData>`)
		b.WriteString(`</FormData></StudyEventData></SubjectData>`)
	}
	b.WriteString(`</ClinicalData></ODM>`)
	return b.String()
}

func TestImport(t *testing.T) {
	w := newWorld(t, numbers(), map[string]string{"folder/scan.pdf": "a scan", "other.txt": "not named"})
	w.run(w.importer(7))
	if w.job.Status != jobs.Completed || w.job.Total != rowCount+6 || w.job.FailedRows != 3 {
		t.Errorf("job %+v", w.job)
	}
	log := string(w.objects["results/"+LogKey(w.job, false)])
	lines := strings.Split(log, "\n")
	want := []string{
		"SubjectKey,ParticipantID,StudyEventOID,StudyEventRepeatKey,FormOID,ItemGroupOID,ItemGroupRepeatKey,ItemOID,Status,Timestamp,Message",
		"SS_1,P1,SE_LOG,1,F_LOG,IG_LOG,1,I_N,Inserted,2026-03-02T09:00:00.000Z,",
	}
	if d := cmp.Diff(want, lines[:2]); d != "" {
		t.Errorf("log (-want +got):\n%s", d)
	}
	if !strings.HasSuffix(log, "SS_3,P3,SE_LOG,1,F_LOG,IG_LOG,11,I_N,Failed,,errorCode.valueTypeMismatch\nSS_3,P3,SE_LOG,1,F_LOG,IG_LOG,11,I_F,Inserted,2026-03-02T09:00:00.000Z,\n\n") {
		t.Errorf("the log ends with %q", log[max(0, len(log)-300):])
	}
	if len(lines) != 1+rowCount+6+2 {
		t.Errorf("the log has %d lines", len(lines))
	}
	if typed := string(w.objects["results/"+LogKey(w.job, true)]); !strings.Contains(typed, ",I_N,Item Data,Inserted,") {
		t.Errorf("the log with types begins with %.300s", typed)
	}
	found := 0
	for key, body := range w.objects {
		if strings.HasPrefix(key, "results/attached/10/") && string(body) == "a scan" {
			found++
		}
		if strings.Contains(key, "scan") {
			t.Errorf("an object has the file's name: %s", key)
		}
	}
	if found != 1 {
		t.Errorf("the attached file is stored %d times, want once", found)
	}
}

// Wherever a call breaks, before or after it was done, the job ends with the same data, log and files.
func TestEveryCallBroken(t *testing.T) {
	attached := map[string]string{"scan.pdf": "a scan"}
	for _, rows := range []int{7, 1000} {
		plain := newWorld(t, numbers(), attached)
		plain.left = 1 << 30
		plain.run(plain.importer(rows))
		calls := 1<<30 - plain.left
		for _, after := range []bool{false, true} {
			for n := 1; n <= calls; n++ {
				w := newWorld(t, numbers(), attached)
				w.left, w.after = n, after
				w.run(w.importer(rows))
				name := fmt.Sprintf("%d rows a part, call %d broken, after %t", rows, n, after)
				if w.job.Status != jobs.Completed || w.job.Total != plain.job.Total || w.job.FailedRows != plain.job.FailedRows {
					t.Fatalf("%s: job %+v", name, w.job)
				}
				for _, typed := range []bool{false, true} {
					if d := cmp.Diff(timeless(plain.objects["results/"+LogKey(plain.job, typed)]), timeless(w.objects["results/"+LogKey(w.job, typed)])); d != "" {
						t.Fatalf("%s: log (-want +got):\n%s", name, d)
					}
				}
				if d := cmp.Diff(values(plain), values(w)); d != "" {
					t.Fatalf("%s: data (-want +got):\n%s", name, d)
				}
			}
		}
		if calls < 8 {
			t.Errorf("only %d calls", calls)
		}
	}
}

// timeless is a log without its time stamps.
func timeless(log []byte) []string {
	var out []string
	for line := range strings.SplitSeq(string(log), "\n") {
		cells := strings.Split(line, ",")
		if len(cells) > 10 {
			cells[len(cells)-2] = ""
		}
		out = append(out, strings.Join(cells, ","))
	}
	return out
}

// values are the values by key.
func values(w *world) map[string]map[string]string {
	out := map[string]map[string]string{}
	for key, rec := range w.AllRecords() {
		if rec.Type == clinical.GroupType {
			g, err := biobank.Decode[clinical.Group](rec)
			if err != nil {
				w.t.Fatal(err)
			}
			out[key.String()] = maps.Clone(g.Values)
		}
		if rec.Type == clinical.SubjectType {
			s, err := biobank.Decode[clinical.Subject](rec)
			if err != nil {
				w.t.Fatal(err)
			}
			out[key.String()] = map[string]string{"pending": s.Pending}
		}
	}
	return out
}

func TestDocumentsThatEnd(t *testing.T) {
	w := newWorld(t, strings.TrimSuffix(numbers(), `</ClinicalData></ODM>`), nil)
	w.run(w.importer(7))
	if w.job.Status != jobs.Failed || !strings.Contains(w.job.Reason, "errorCode.invalidXMLFile") {
		t.Errorf("job %+v", w.job)
	}
	if log := string(w.objects["results/"+LogKey(w.job, false)]); !strings.Contains(log, "SS_1") {
		t.Error("the log does not tell what was done")
	}
}

func TestGivenUp(t *testing.T) {
	w := newWorld(t, numbers(), nil)
	delete(w.objects, "intake/odm/u-4/file.xml")
	im := w.importer(7)
	for range 5 {
		_ = im.Handle(t.Context(), Message(4)) // its document is gone: each try fails
	}
	if w.job.Status != jobs.Failed || w.job.Reason == "" {
		t.Errorf("job %+v", w.job)
	}
}

func TestSweep(t *testing.T) {
	w := newWorld(t, numbers(), nil)
	im := w.importer(7)
	if err := im.Sweep(t.Context()); err != nil || w.sent != 0 {
		t.Errorf("a new job was sent again: %d, %v", w.sent, err)
	}
	w.now = w.now.Add(2 * time.Minute)
	if err := im.Sweep(t.Context()); err != nil || w.sent != 1 {
		t.Errorf("a job that was left lying was sent %d times, %v", w.sent, err)
	}
}
