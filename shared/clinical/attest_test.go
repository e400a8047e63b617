package clinical

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"aliquot/shared/odm"
)

// Attestations make no rows, so nothing is cut between them. However many a document has, and however long they are, no more
// is held of them, or carried on in the cursor, than an event can have.
func TestAttestationsAreBounded(t *testing.T) {
	const event = `<SubjectData SubjectKey="%s"><StudyEventData StudyEventOID="SE_FIRST" OpenClinica:StartDate="2026-03-01" OpenClinica:Signed="Yes">%s` +
		`<FormData FormOID="F_VITALS" OpenClinica:Status="complete"><ItemGroupData ItemGroupOID="IG_MAIN"><ItemData ItemOID="I_SEX" Value="F"/></ItemGroupData></FormData></StudyEventData></SubjectData>`
	long := `<Signature Attestation="` + strings.Repeat("x", 1<<19) + `"/>`
	full := `<Signature Attestation="` + strings.Repeat("x", maxAttestation) + `"/>`
	for _, tt := range []struct{ name, subject, signatures, last string }{
		{"long", "SS_ANN", strings.Repeat(long, 20), "SS_ANN,Ann,SE_FIRST,1 Failed attestationTextTooLong"},
		{"many", "SS_ANN", strings.Repeat(full, 3000), "SS_ANN,Ann,SE_FIRST,1 Failed attestationTextTooLong"},
		{"many short", "SS_ANN", strings.Repeat(`<Signature Attestation="x"/>`, 50_000), "SS_ANN,Ann,SE_FIRST,1 Failed attestationTextTooLong"},
		{"many behind an empty one", "SS_ANN", `<Signature/>` + strings.Repeat(full, 3000), "SS_ANN,Ann,SE_FIRST,1 Failed attestationIsMissing"},
		{"of nobody", "SS_NOBODY", strings.Repeat(full, 3000), "SS_NOBODY Failed participantNotFound"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newBank(t).planner("o1", 1)
			held := 0
			in := odm.NewReader(strings.NewReader(document(fmt.Sprintf(event, tt.subject, tt.signatures))))
			for {
				part, err := in.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if err := p.Take(t.Context(), part); err != nil {
					t.Fatal(err)
				}
				if _, is := part.(*odm.FormData); is {
					text, err := json.Marshal(p.Cursor)
					if err != nil {
						t.Fatal(err)
					}
					held = len(text)
				}
			}
			plan, err := p.Cut()
			if err != nil {
				t.Fatal(err)
			}
			if rows := short(plan.Rows); rows[len(rows)-1] != tt.last {
				t.Errorf("the last row is %q, want %q", rows[len(rows)-1], tt.last)
			}
			if held == 0 || held > maxRecord+10_000 {
				t.Errorf("the cursor has %d bytes", held)
			}
		})
	}
}
