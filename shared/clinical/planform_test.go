package clinical

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// vitals is a document with items of Ann's first visit, in a form with attributes.
func vitals(attributes string, items ...string) string {
	return document(`<SubjectData SubjectKey="SS_ANN"><StudyEventData StudyEventOID="SE_FIRST" OpenClinica:StartDate="2026-03-01"><FormData FormOID="F_VITALS" ` + attributes +
		`><ItemGroupData ItemGroupOID="IG_MAIN">` + strings.Join(items, "") + `</ItemGroupData></FormData></StudyEventData></SubjectData>`)
}

// queried is an item with a query; value is its attribute.
func queried(item, value, id string) string {
	return fmt.Sprintf(`<ItemData ItemOID=%q %s><OpenClinica:DiscrepancyNotes><OpenClinica:DiscrepancyNote ID=%q NoteType="Query"><OpenClinica:ChildNote Status="New" UserName="dora">`+
		`<OpenClinica:DetailedNote>What is meant?</OpenClinica:DetailedNote></OpenClinica:ChildNote></OpenClinica:DiscrepancyNote></OpenClinica:DiscrepancyNotes></ItemData>`, item, value, id)
}

// A query about a value that is wrong, or missing, is as good as one about a value that is stored: the form is begun with it.
func TestNotesOfValuesThatAreNotStored(t *testing.T) {
	const row = "SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_MAIN,1,"
	for _, tt := range []struct {
		name, item string
		want       []string
		asked      bool
	}{
		{"not valid", queried("I_AGE", `Value="old"`, "Q1"), []string{row + "I_AGE Failed valueTypeMismatch", row + "I_AGE Inserted"}, true},
		{"a file that did not come along", queried("I_SCAN", `Value="none.pdf"`, "Q1"), []string{row + "I_SCAN Failed missingItemFile.none.pdf", row + "I_SCAN Inserted"}, true},
		{"missing", queried("I_AGE", "", "Q1"), []string{row + "I_AGE Skipped No item value present", row + "I_AGE Inserted"}, true},
		{"of no item", queried("I_NONE", `Value="1"`, "Q1"), []string{row + "I_NONE Failed itemNotFound"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBank(t)
			if d := cmp.Diff(tt.want, b.log(b.planner("o1", 1), vitals("", tt.item))); d != "" {
				t.Errorf("log (-want +got):\n%s", d)
			}
			e := decode[Event](t, b, EventKey(1, "SE_FIRST", 1))
			if !tt.asked {
				if len(e.Forms) > 0 || e.Status != EventScheduled {
					t.Errorf("an event of which nothing is stored: %+v", e)
				}
				return
			}
			notes := list(t, b, 1, NotePrefix("SE_FIRST", 1, "F_VITALS"))
			if f := e.Forms["F_VITALS"]; len(notes) != 1 || f == nil || f.Status != FormInitial || e.Status != EventStarted {
				t.Errorf("%d notes, event %+v", len(notes), e)
			}
		})
	}
}

// A form that a document asks to have unverified, in either way, and unverifies by its data: the log tells that nothing was
// left to do.
func TestVerificationMovedByTheData(t *testing.T) {
	const form = "SS_ANN,Ann,SE_FIRST,1,F_VITALS"
	all := func(age string) []string {
		return []string{`<ItemData ItemOID="I_AGE" Value="` + age + `"/>`}
	}
	for _, tt := range []struct{ status, age, want, becomes string }{
		{"Changed since verified", "41", form + " Skipped SDV Status set automatically", SDVChanged},
		{"Not verified", "41", form + " Skipped SDV Status set automatically", SDVChanged},
		{"Changed since verified", "40", form + " Updated", SDVChanged},
		{"Ready to verify", "40", form + " Updated", SDVReady},
		{"Verified", "41", form + " Updated", SDVVerified},
		{"Verified", "40", "", SDVVerified},
	} {
		t.Run(tt.status+" "+tt.age, func(t *testing.T) {
			b := newBank(t)
			b.log(b.planner("o1", 1), vitals(`OpenClinica:Status="complete" OpenClinica:SdvStatus="Verified"`, all("40")...))
			if f := decode[Event](t, b, EventKey(1, "SE_FIRST", 1)).Forms["F_VITALS"]; f.SDV != SDVVerified {
				t.Fatalf("form %+v", f)
			}
			rows := b.log(b.planner("o2", 2), vitals(`OpenClinica:SdvStatus="`+tt.status+`"`, all(tt.age)...))
			if got := strings.Join(rows[1:], "\n"); got != tt.want {
				t.Errorf("rows %q, want %q", got, tt.want)
			}
			if f := decode[Event](t, b, EventKey(1, "SE_FIRST", 1)).Forms["F_VITALS"]; f.SDV != tt.becomes {
				t.Errorf("it is %q, want %q", f.SDV, tt.becomes)
			}
		})
	}
	// A change of what had been changed since it was verified sets nothing: that it is ready again is for the document to say.
	b := newBank(t)
	b.log(b.planner("o1", 1), vitals(`OpenClinica:Status="complete" OpenClinica:SdvStatus="Verified"`, all("40")...))
	b.log(b.planner("o2", 2), vitals("", all("41")...))
	if rows := b.log(b.planner("o3", 3), vitals(`OpenClinica:SdvStatus="Ready to verify"`, all("42")...)); rows[1] != form+" Updated" {
		t.Errorf("rows %q", rows)
	}
}

// What is asked of a form that nothing is stored of is told like what is asked of another one.
func TestVerificationOfNothing(t *testing.T) {
	const form = "SS_ANN,Ann,SE_FIRST,1,F_VITALS"
	for status, want := range map[string]string{
		"Checked":                form + " Failed sdvStatusNotValid",
		"Verified":               form + " Failed formStatusShouldBeCompleteForSettingSdvVerifiedStatus",
		"Changed since verified": form + " Failed sdvStatusNotApplicable",
		"Ready to verify":        "", // as any form is that was just begun
		"":                       "",
	} {
		b := newBank(t)
		rows := b.log(b.planner("o1", 1), vitals(`OpenClinica:SdvStatus="`+status+`"`, `<ItemData ItemOID="I_AGE"/>`))
		if got := strings.Join(rows[1:], "\n"); got != want {
			t.Errorf("%q: rows %q, want %q", status, got, want)
		}
	}
}
