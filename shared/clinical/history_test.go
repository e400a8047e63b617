package clinical

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/biobank"
)

// reading counts what is read of the audit.
type reading struct {
	biobank.Store
	pages, most int
}

func (r *reading) TrailBefore(ctx context.Context, t biobank.Type, id int64, before string, limit int) ([]*biobank.Entry, error) {
	got, err := r.Store.TrailBefore(ctx, t, id, before, limit)
	r.pages++
	r.most = max(r.most, len(got))
	return got, err
}

// busyBank has a participant of whom many values changed often, in several forms.
func busyBank(t *testing.T, rounds int) *bank {
	t.Helper()
	b := newBank(t).list()
	for round := range rounds {
		doc := `<SubjectData SubjectKey="SS_ANN"><StudyEventData StudyEventOID="SE_FIRST" OpenClinica:StartDate="2026-03-01">` + busyVitals(round) + `</StudyEventData>`
		for key := range 6 {
			doc += fmt.Sprintf(`<StudyEventData StudyEventOID="SE_AGAIN" StudyEventRepeatKey="%d" OpenClinica:StartDate="2026-03-02">%s</StudyEventData>`, key+1, busyVitals(round+key))
		}
		b.log(b.planner(fmt.Sprint("o", round), 1+round), document(doc+`</SubjectData>`))
	}
	b.wantChain(1)
	return b
}

func busyVitals(round int) string {
	return fmt.Sprintf(`<FormData FormOID="F_VITALS" OpenClinica:Status="complete"><ItemGroupData ItemGroupOID="IG_MAIN"><ItemData ItemOID="I_AGE" Value="%d"/><ItemData ItemOID="I_ANY" Value="any %d"/></ItemGroupData>
		<ItemGroupData ItemGroupOID="IG_ROWS" ItemGroupRepeatKey="1"><ItemData ItemOID="I_NOTE" Value="note %d"/></ItemGroupData></FormData>`, round, round, round)
}

// However little room there is, the audits are the same; what is read again grows, and what is held does not.
func TestAuditsOfManyChanges(t *testing.T) {
	b := busyBank(t, 40)
	audited := func(held int, s biobank.Store) string {
		return b.retrieve(func(r *Retrieval) { r.Store, r.Audits, r.Notes, r.auditsHeld = s, true, true, held })
	}
	plenty := &reading{Store: b}
	want := audited(0, plenty)
	if n := strings.Count(want, "AuditType="); n < 40*7*2 {
		t.Fatalf("only %d audits", n)
	}
	last := 0
	for _, held := range []int{200_000, 60_000, 30_000, 1} {
		s := &reading{Store: b}
		if d := cmp.Diff(want, audited(held, s)); d != "" {
			t.Errorf("with room for %d bytes (-plenty +little):\n%s", held, d)
		}
		if s.most > 500 || s.pages < last {
			t.Errorf("with room for %d bytes %d pages were read, of %d entries at most", held, s.pages, s.most)
		}
		last = s.pages
	}
	if last < 8*plenty.pages { // a pass for all and one for each of seven forms
		t.Errorf("without room %d pages were read, with plenty %d", last, plenty.pages)
	}

	w, err := open(t.Context(), b, 1)
	if err != nil {
		t.Fatal(err)
	}
	const room = 30_000
	h, err := readHistory(t.Context(), b, w, room)
	if err != nil {
		t.Fatal(err)
	}
	var forms []string
	for f := range h.sizes {
		forms = append(forms, f)
	}
	for i := range forms {
		if err := h.need(t.Context(), forms[i:]); err != nil {
			t.Fatal(err)
		}
		held, own := 0, 0
		for sort, all := range h.values {
			for _, c := range all {
				held += c.size()
				if formOf(sort) == forms[i] {
					own += c.size()
				}
			}
		}
		if own != h.sizes[forms[i]] || held > max(room, own) {
			t.Errorf("%s: %d bytes of %d are held, %d in all", forms[i], own, h.sizes[forms[i]], held)
		}
	}
}

// Who removes a repeat deletes the data of all its items; those of other repeats stay (section 6.6).
func TestAuditsOfARemovedRepeat(t *testing.T) {
	b := newBank(t).list()
	vitals := func(row string) string {
		return document(`<SubjectData SubjectKey="SS_ANN"><StudyEventData StudyEventOID="SE_FIRST" OpenClinica:StartDate="2026-03-01"><FormData FormOID="F_VITALS">` +
			`<ItemGroupData ItemGroupOID="IG_ROWS" ItemGroupRepeatKey="1"><ItemData ItemOID="I_ROW" Value="1"/></ItemGroupData>` + row + `</FormData></StudyEventData></SubjectData>`)
	}
	const second = `<ItemGroupData ItemGroupOID="IG_ROWS" ItemGroupRepeatKey="2"`
	b.log(b.planner("o1", 1), vitals(second+`><ItemData ItemOID="I_ROW" Value="2"/><ItemData ItemOID="I_NOTE" Value="two"/></ItemGroupData>`))
	b.log(b.planner("o2", 2), vitals(second+` Removed="Yes"><ItemData ItemOID="I_ROW" Value="3"/></ItemGroupData>`))
	got := b.retrieve(func(r *Retrieval) { r.Audits, r.Participant = true, "Ann" })
	var told []string
	for line := range strings.Lines(got) {
		if _, audit, ok := strings.Cut(line, " AuditType="); ok && strings.Contains(line, "Item data") {
			told = append(told, strings.TrimSpace(audit))
		}
	}
	want := []string{
		`"Item data inserted for repeating row" NewValue="two" ValueType="I_NOTE"/>`,
		`"Item data deleted" OldValue="two" ValueType="I_NOTE"/>`,
		`"Item data inserted for repeating row" NewValue="2" ValueType="I_ROW"/>`,
		`"Item data value updated" OldValue="2" NewValue="3" ValueType="I_ROW"/>`,
		`"Item data deleted" OldValue="3" ValueType="I_ROW"/>`,
	}
	if d := cmp.Diff(want, told); d != "" {
		t.Errorf("(-want +got):\n%s\n%s", d, got)
	}
}
