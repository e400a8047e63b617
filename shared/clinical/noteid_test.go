package clinical

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// noted is a document with a value and a query of it, which has an id or none.
func noted(item, value, id string) string {
	if id != "" {
		id = ` ID="` + id + `"`
	}
	return document(`<SubjectData SubjectKey="SS_ANN"><StudyEventData StudyEventOID="SE_FIRST" OpenClinica:StartDate="2026-03-01"><FormData FormOID="F_VITALS"><ItemGroupData ItemGroupOID="IG_MAIN"><ItemData ItemOID="` +
		item + `" Value="` + value + `"><OpenClinica:DiscrepancyNotes><OpenClinica:DiscrepancyNote` + id + ` NoteType="query"><OpenClinica:ChildNote Status="New" UserName="dora"><OpenClinica:DetailedNote>So?` +
		`</OpenClinica:DetailedNote></OpenClinica:ChildNote></OpenClinica:DiscrepancyNote></OpenClinica:DiscrepancyNotes></ItemData></ItemGroupData></FormData></StudyEventData></SubjectData>`)
}

// threadIDs are the ids of the notes of the first participant.
func (b *bank) threadIDs() (ids []string) {
	b.t.Helper()
	recs, err := b.List(b.t.Context(), subjectPart(1), "n/", "", 0)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, rec := range recs {
		t, err := hold[Thread](rec)
		if err != nil {
			b.t.Fatal(err)
		}
		ids = append(ids, t.doc.ID)
		for _, c := range t.doc.Children {
			ids = append(ids, c.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// The ids that are drawn for notes of an import are as taken as those that an import brings, and the other way round; in
// another study they are free.
func TestIDsOfNotes(t *testing.T) {
	b := newBank(t)
	b.log(b.planner("o1", 1), noted("I_ANY", "a", ""))
	if d := cmp.Diff([]string{"CDN_1", "DN_2"}, b.threadIDs()); d != "" {
		t.Errorf("drawn (-want +got):\n%s", d)
	}
	for _, id := range []string{"DN_2", "CDN_1"} {
		got := b.log(b.planner("o2"+id, 2), noted("I_DAY", "2026-03-01", id))
		if len(got) != 2 || !strings.HasSuffix(got[1], " Failed "+id+":errorCode.existingNoteIdOnOtherItem") {
			t.Errorf("%s again: %q", id, got)
		}
	}
	if got := b.log(b.planner("o3", 3), noted("I_SCAN", "scan.pdf", "DN_4")); len(got) != 2 || !strings.HasSuffix(got[1], " Inserted") {
		t.Errorf("an id that is free: %q", got)
	}
	if got := b.log(b.planner("o4", 4), noted("I_SEX", "F", "")); len(got) != 2 || !strings.HasSuffix(got[1], " Inserted") {
		t.Errorf("drawn past it: %q", got)
	}
	ids := b.threadIDs()
	if n := len(slices.Compact(slices.Clone(ids))); n != len(ids) {
		t.Errorf("ids %q", ids)
	}
	for _, id := range ids {
		mark := NoteMark(10, id)
		marks, err := b.Marks(t.Context(), []string{mark}, true)
		if err != nil || marks[mark].IsZero() {
			t.Errorf("%s has no mark, %v", id, err)
		}
		if elsewhere, err := b.Marks(t.Context(), []string{NoteMark(20, id)}, true); err != nil || len(elsewhere) > 0 {
			t.Errorf("%s is marked in another study, %v", id, err)
		}
	}
}

// Many notes are drawn in few steps, also past many that an import has brought, and none twice.
func TestManyNotes(t *testing.T) {
	b := newBank(t)
	for i := range 1000 {
		if i%100 == 99 {
			b.log(b.planner(fmt.Sprint("o1", i), 1), noted("I_ANY", fmt.Sprint(i), fmt.Sprint("DN_", i)))
		}
	}
	p := b.planner("o2", 2)
	seen := map[int64]bool{}
	for range 2000 {
		n, err := p.drawNote(t.Context())
		if err != nil || seen[n] || n%100 == 99 && n < 1000 {
			t.Fatalf("number %d, %v", n, err)
		}
		seen[n] = true
	}
	next, err := b.Reserve(t.Context(), "note", 1)
	if err != nil || next > 2200 {
		t.Errorf("2,000 numbers took %d, %v", next, err)
	}
}
