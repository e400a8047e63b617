package clinical

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/biobank"
)

// occur stores occurrences of an event of Ann, each with its form.
func (b *bank) occur(event, form string, n int) {
	b.t.Helper()
	for key := 1; key <= n; key++ {
		text, err := json.Marshal(Event{
			OID: event, Key: key, StartDate: "2026-02-01", Status: EventStarted, Locked: key == 7, Forms: map[string]*Form{form: {OID: form, Layout: "1", Status: FormInitial}},
		})
		if err != nil {
			b.t.Fatal(err)
		}
		_, err = b.Transact(b.t.Context(), []biobank.Write{{Kind: biobank.InsertRecord, Record: &biobank.Record{Key: EventKey(1, event, key), Type: EventType, ID: 1, Version: 1, Doc: text}}})
		if err != nil {
			b.t.Fatal(err)
		}
	}
}

// A participant with more events than are read at once comes to the same as one with few: occurrences that are named, in order
// and out of it, new ones with a key and without, and others that are found by their form.
func TestManyEvents(t *testing.T) {
	const many = 3 * manyEvents
	event := func(attributes, form, group, item string) string {
		return `<StudyEventData ` + attributes + ` OpenClinica:StartDate="2026-03-01"><FormData FormOID="` + form + `"><ItemGroupData ItemGroupOID="` + group +
			`"><ItemData ItemOID="` + item + `" Value="1"/></ItemGroupData></FormData></StudyEventData>`
	}
	var doc, first strings.Builder
	for _, key := range []string{"300", "2", "3", "601", "", "602", "604", "600", "7", "x"} {
		doc.WriteString(event(`StudyEventOID="SE_AGAIN" StudyEventRepeatKey="`+key+`"`, "F_VITALS", "IG_MAIN", "I_AGE"))
	}
	doc.WriteString(event(`StudyEventOID="SE_FIRST"`, "F_VITALS", "IG_MAIN", "I_AGE"))
	doc.WriteString(event(`StudyEventOID="SE_DIARY"`, "F_ILLS", "IG_ILLS", "I_ILL"))
	doc.WriteString(event(`StudyEventOID="SE_DIARY"`, "F_VITALS", "IG_MAIN", "I_AGE"))
	doc.WriteString(event(`StudyEventOID="SE_DIARY"`, "F_VITALS", "IG_MAIN", "I_ANY"))
	doc.WriteString(event(`StudyEventOID="SE_NONE"`, "F_VITALS", "IG_MAIN", "I_AGE"))
	first.WriteString(event(`StudyEventOID="SE_ILLS" StudyEventRepeatKey="5"`, "F_VITALS", "IG_MAIN", "I_AGE"))
	again := func(key string) string { return "SS_ANN,Ann,SE_AGAIN," + key + ",F_VITALS,IG_MAIN,1,I_AGE Inserted" }
	want := []string{
		"SS_ANN,Ann,SE_ILLS Failed repeatKeyAndFormMismatch",
		again("300"), again("2"), again("3"), again("601"), again("602"), "SS_ANN,Ann,SE_AGAIN,602,F_VITALS,IG_MAIN,1,I_AGE No Change",
		"SS_ANN,Ann,SE_AGAIN Failed eventRepeatKeyTooLarge", again("600"), "SS_ANN,Ann,SE_AGAIN Failed eventNotAvailable", "SS_ANN,Ann,SE_AGAIN Failed invalidStudyEventRepeatKey",
		"SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_MAIN,1,I_AGE Inserted", "SS_ANN,Ann,SE_DIARY,1,F_ILLS,IG_ILLS,1,I_ILL Inserted",
		"SS_ANN,Ann,SE_DIARY,2,F_VITALS,IG_MAIN,1,I_AGE Inserted", "SS_ANN,Ann,SE_DIARY,2,F_VITALS,IG_MAIN,1,I_ANY Inserted",
		"SS_ANN,Ann,SE_NONE Failed invalidStudyEventOID",
	}
	inner := `<SubjectData SubjectKey="SS_ANN">` + first.String() + doc.String() + `</SubjectData>`
	for _, cut := range []bool{true, false} {
		s := &longest{bank: newBank(t)}
		s.occur("SE_AGAIN", "F_VITALS", many)
		s.occur("SE_ILLS", "F_ILLS", 5)
		s.occur("SE_DIARY", "F_ILLS", 1)
		p := s.planner("o1", 1)
		p.Store = s
		var got []string
		if cut {
			got = s.log(p, document(inner))
		} else {
			got = s.whole(p, document(inner))
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("cut after each row %t: log (-want +got):\n%s", cut, d)
		}
		if s.list > manyEvents+1 {
			t.Errorf("%d records are read at once", s.list)
		}
		for key, status := range map[int]string{300: EventStarted, 602: EventStarted} {
			if e := decode[Event](t, s, EventKey(1, "SE_AGAIN", key)); e.Key != key || e.Status != status || e.Forms["F_VITALS"] == nil {
				t.Errorf("event %+v", e)
			}
		}
		s.wantChain(1)
	}
}

// However many events a participant has, each plan reads about as many as it names.
func TestReadsOfManyEvents(t *testing.T) {
	s := &longest{bank: newBank(t)}
	s.occur("SE_AGAIN", "F_VITALS", 5*manyEvents)
	p := s.planner("o1", 1)
	p.Store = s
	var doc strings.Builder
	for i := range 20 {
		fmt.Fprintf(&doc, `<StudyEventData StudyEventOID="SE_AGAIN" StudyEventRepeatKey="%d"><FormData FormOID="F_VITALS"><ItemGroupData ItemGroupOID="IG_MAIN"><ItemData ItemOID="I_AGE" Value="1"/></ItemGroupData></FormData></StudyEventData>`, 900+i)
	}
	if rows := s.whole(p, document(`<SubjectData SubjectKey="SS_ANN">`+doc.String()+`</SubjectData>`)); len(rows) != 20 || s.all > 2*manyEvents {
		t.Errorf("%d rows, %d records were read: %q", len(rows), s.all, rows)
	}
}
