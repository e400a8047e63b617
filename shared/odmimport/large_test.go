package odmimport

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/biobank"
	"aliquot/shared/clinical"
	"aliquot/shared/jobs"
)

// reading counts the records that lists of a store give.
type reading struct {
	*world
	records int
}

func (r *reading) List(ctx context.Context, part, prefix, after string, limit int) ([]*biobank.Record, error) {
	recs, err := r.world.List(ctx, part, prefix, after, limit)
	r.records += len(recs)
	return recs, err
}

// lines are repeats of one log's form; status is an attribute of the form.
func logForm(status string, groups ...string) string {
	return `<SubjectData SubjectKey="SS_1"><StudyEventData StudyEventOID="SE_LOG" StudyEventRepeatKey="1"><FormData FormOID="F_LOG" ` + status + `>` +
		strings.Join(groups, "") + `</FormData></StudyEventData></SubjectData>`
}

func logLine(key, value string, more ...string) string {
	if key != "" {
		key = ` ItemGroupRepeatKey="` + key + `"`
	}
	return fmt.Sprintf(`<ItemGroupData ItemGroupOID="IG_LOG"%s><ItemData ItemOID="I_N" Value="%s">%s</ItemData></ItemGroupData>`, key, value, strings.Join(more, ""))
}

// A form with more repeats than are read at once comes to the same however the document is cut: repeats that come again, in
// order and out of it, new ones with a key and without, one that is too large; notes of many repeats; and when somebody else
// adds repeats while the document is planned.
func TestLargeForms(t *testing.T) {
	const many = 700
	var first, again []string
	for i := range many {
		first = append(first, logLine("", fmt.Sprint(i)))
	}
	const closed = `<OpenClinica:DiscrepancyNotes><OpenClinica:DiscrepancyNote ID="Q1" NoteType="Query"><OpenClinica:ChildNote ID="a" Status="New" UserName="dora">` +
		`<OpenClinica:DetailedNote>So?</OpenClinica:DetailedNote></OpenClinica:ChildNote><OpenClinica:ChildNote ID="b" Status="Closed" UserName="dora"><OpenClinica:DetailedNote>So.</OpenClinica:DetailedNote></OpenClinica:ChildNote></OpenClinica:DiscrepancyNote></OpenClinica:DiscrepancyNotes>`
	first[690] = logLine("691", "690", closed)
	for i := 1; i <= many; i++ { // each is changed, so each has a reason for change
		again = append(again, logLine(fmt.Sprint(i), fmt.Sprint(-i)))
	}
	for _, key := range []string{"350", "349", "7", "700", "7", "702", "701", "", "703", "702"} {
		again = append(again, logLine(key, "5"))
	}
	again = append(again, logLine("", "6"), logLine("691", "8"))
	run := func(rows int) *world {
		w := newWorld(t, "", nil)
		im := w.importer(rows)
		if _, failed := w.imported(im, logForm(`OpenClinica:Status="complete"`, first...)); len(failed) > 0 {
			t.Fatal(failed)
		}
		_, failed := w.imported(im, logForm("", again...))
		if want := []string{"SS_1,P1,SE_LOG,1,F_LOG,IG_LOG,702,,Item Group,Failed,,errorCode.groupRepeatKeyTooLarge"}; cmp.Diff(want, failed) != "" {
			t.Errorf("%d rows a part: failed: %v", rows, failed)
		}
		return w
	}
	plain := run(100_000)
	log := timeless(plain.objects["results/"+LogKey(plain.job, true)])
	for _, want := range []string{",IG_LOG,7,I_N,Item Data,Updated,,", ",IG_LOG,702,I_N,Item Data,Inserted,,", ",IG_LOG,702,I_N,Item Data,No Change,,", ",IG_LOG,703,I_N,Item Data,Inserted,,", ",IG_LOG,704,I_N,Item Data,Inserted,,"} {
		if !strings.Contains(strings.Join(log, "\n"), want) {
			t.Errorf("the log does not tell %s", want)
		}
	}
	notes := plain.discussed()
	if notes["Q1"] != "New,Closed,Closed-Modified" || len(notes) < many {
		t.Errorf("%d notes, that of the query is %q", len(notes), notes["Q1"])
	}
	for _, rows := range []int{7, 50, 333} {
		w := run(rows)
		if d := cmp.Diff(log, timeless(w.objects["results/"+LogKey(w.job, true)])); d != "" {
			t.Errorf("%d rows a part: log (-want +got):\n%s", rows, d)
		}
		if d := cmp.Diff(values(plain), values(w)); d != "" {
			t.Errorf("%d rows a part: data (-want +got):\n%s", rows, d)
		}
		if d := cmp.Diff(notes, w.discussed()); d != "" {
			t.Errorf("%d rows a part: notes (-want +got):\n%s", rows, d)
		}
	}
}

// discussed are the states of the queries' and other notes' children, by the id of the query or the place of the note.
func (w *world) discussed() map[string]string {
	w.t.Helper()
	out := map[string]string{}
	for key, rec := range w.AllRecords() {
		if rec.Type != clinical.NoteType {
			continue
		}
		n, err := biobank.Decode[clinical.Thread](rec)
		if err != nil {
			w.t.Fatal(err)
		}
		var states []string
		for _, c := range n.Children {
			states = append(states, c.Status)
		}
		name := n.ID
		if n.Kind != clinical.KindQuery {
			name = key.Sort[:strings.LastIndexByte(key.Sort, '/')]
			states = append(states, out[name]) // drawn ids depend on nothing, but their number does
		}
		out[name] = strings.Join(states, ",")
	}
	return out
}

// Between two plans of a large form somebody else adds repeats to it: those that follow are numbered behind them.
func TestLargeFormOfTwo(t *testing.T) {
	w := newWorld(t, "", nil)
	im := w.importer(100)
	var lines []string
	for i := range 600 {
		lines = append(lines, logLine("", fmt.Sprint(i)))
	}
	w.imported(im, logForm("", lines...))
	calls := 0
	im.Store = &interrupted{world: w, do: func(int, []biobank.Write) error {
		if calls++; calls != 30 {
			return nil
		}
		other := &world{Memory: w.Memory, t: t, objects: map[string][]byte{}, now: w.now, job: &jobs.Job{ID: 90}}
		if _, failed := other.imported(other.importer(1000), logForm("", logLine("", "1"), logLine("", "2"))); len(failed) > 0 {
			return fmt.Errorf("the other import: %v", failed)
		}
		return nil
	}}
	if _, failed := w.imported(im, logForm("", lines...)); len(failed) > 0 || calls < 30 {
		t.Errorf("after %d calls: %v", calls, failed)
	}
	if n, pending := w.stored(); n != 1202 || len(pending) > 0 {
		t.Errorf("%d values are stored, pending %v", n, pending)
	}
}

// However many repeats a form has, each part of a document reads about as many as it names.
func TestReadsOfALargeForm(t *testing.T) {
	const many = 3000
	for name, line := range map[string]func(i int) string{
		"new ones":   func(i int) string { return logLine("", fmt.Sprint(i)) },
		"with keys":  func(i int) string { return logLine(fmt.Sprint(i+1), fmt.Sprint(i)) },
		"sent again": func(i int) string { return logLine(fmt.Sprint(i%(many/2)+1), "5") },
	} {
		t.Run(name, func(t *testing.T) {
			var lines []string
			for i := range many {
				lines = append(lines, line(i))
			}
			w := newWorld(t, "", nil)
			im := w.importer(50)
			store := &reading{world: w}
			plain := im.Planner
			im.Planner = func(ctx context.Context, j *jobs.Job) (*clinical.Planner, error) {
				p, err := plain(ctx, j)
				p.Store = store
				return p, err
			}
			if _, failed := w.imported(im, logForm("", lines...)); len(failed) > 0 {
				t.Fatal(failed[0])
			}
			// Read whole for each of the 60 parts they would be 90,000. The first parts read the form while it is small, and those
			// that send repeats again a window ahead of them.
			if want := 3 * many; store.records > want {
				t.Errorf("%d records were read, want up to %d", store.records, want)
			}
		})
	}
}
