package odmimport

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"aliquot/shared/biobank"
	"aliquot/shared/clinical"
	"aliquot/shared/jobs"
)

// weighing counts the bytes that lists of a store give for each part of a job.
type weighing struct {
	*world
	part map[int]int
}

func (s *weighing) List(ctx context.Context, part, prefix, after string, limit int) ([]*biobank.Record, error) {
	recs, err := s.world.List(ctx, part, prefix, after, limit)
	for _, rec := range recs {
		s.part[s.job.Parts()] += len(rec.Doc)
	}
	return recs, err
}

// A document that changes little of much is cut by what it makes the planner hold, however few lines of the log it has.
func TestChangesOfMuch(t *testing.T) {
	const record = 100 << 10
	for _, tt := range []struct {
		name            string
		people, repeats int
		changed         []int // repeats, of each participant
	}{
		{"one form of many repeats", 1, 300, upTo(300)},
		{"one form, read backwards", 1, 150, downFrom(150)},
		{"a form of each of many participants", 60, 10, []int{10}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, "", nil)
			var doc strings.Builder
			for id := range int64(tt.people) {
				id += 100
				oid := fmt.Sprint("SS_", id)
				w.insert(clinical.SubjectKey(id), clinical.SubjectType, id, clinical.Subject{OID: oid, Label: fmt.Sprint("P", id), Study: 10, Site: 10})
				w.insert(clinical.EventKey(id, "SE_LOG", 1), clinical.EventType, id, clinical.Event{
					OID: "SE_LOG", Key: 1, Status: clinical.EventStarted, Forms: map[string]*clinical.Form{"F_LOG": {OID: "F_LOG", Layout: "1", Status: clinical.FormInitial}},
				})
				for n := range tt.repeats {
					at := clinical.Path{Event: "SE_LOG", EventKey: 1, Form: "F_LOG", Group: "IG_LOG", GroupKey: n + 1}
					w.insert(clinical.GroupKey(id, at), clinical.GroupType, id, clinical.Group{OID: "IG_LOG", Key: n + 1, Values: map[string]string{"I_N": "1", "I_F": strings.Repeat("x", record)}})
				}
				if _, err := w.Memory.Transact(t.Context(), []biobank.Write{{Kind: biobank.InsertMark, Mark: biobank.Mark{Name: clinical.SubjectMark(10, oid), To: clinical.SubjectKey(id), ID: id}}}); err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&doc, `<SubjectData SubjectKey=%q><StudyEventData StudyEventOID="SE_LOG" StudyEventRepeatKey="1"><FormData FormOID="F_LOG">`, oid)
				for _, n := range tt.changed {
					doc.WriteString(logLine(fmt.Sprint(n), "2"))
				}
				doc.WriteString(`</FormData></StudyEventData></SubjectData>`)
			}
			im := w.importer(1_000_000)
			store := &weighing{w, map[int]int{}}
			plain := im.Planner
			im.Planner = func(ctx context.Context, j *jobs.Job) (*clinical.Planner, error) {
				p, err := plain(ctx, j)
				p.Store = store
				return p, err
			}
			if _, failed := w.imported(im, doc.String()); len(failed) > 0 {
				t.Fatal(failed[0])
			}
			if n, want := strings.Count(string(w.objects["results/"+LogKey(w.job, false)]), ",Updated,"), tt.people*len(tt.changed); n != want {
				t.Errorf("%d rows are Updated, want %d", n, want)
			}
			all, read := tt.people*tt.repeats*record, 0
			for part, n := range store.part {
				read += n
				if n > maxHeld*2 {
					t.Errorf("for part %d %d bytes were read", part+1, n)
				}
			}
			if len(store.part) < all/(maxHeld*2) || read > 12*all {
				t.Errorf("%d parts, of %d bytes stored %d were read", len(store.part), all, read)
			}
		})
	}
}

func upTo(n int) (all []int) {
	for i := range n {
		all = append(all, i+1)
	}
	return all
}

func downFrom(n int) (all []int) {
	for i := range n {
		all = append(all, n-i)
	}
	return all
}
