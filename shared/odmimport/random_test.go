package odmimport

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// author writes documents at random: of what there is, of what there is not, and of what is not valid.
type author struct{ *rand.Rand }

func (a author) one(of ...string) string { return of[a.IntN(len(of))] }

func (a author) times(most int, write func() string) string {
	var b strings.Builder
	for range a.IntN(most + 1) {
		b.WriteString(write())
	}
	return b.String()
}

func (a author) element(name, attributes, inner string) string {
	if inner == "" && a.IntN(2) == 0 {
		return "<" + name + " " + attributes + "/>"
	}
	return "<" + name + " " + attributes + ">" + inner + "</" + name + ">"
}

func (a author) subject() string {
	who := a.one(`SubjectKey="SS_1"`, `SubjectKey="ss_2"`, `SubjectKey="SS_3" OpenClinica:StudySubjectID="P3"`, `OpenClinica:StudySubjectID="Twin"`, `SubjectKey="SS_ICE"`, "")
	return a.element("SubjectData", who, a.times(3, a.event))
}

func (a author) event() string {
	what := a.one(`SE_VISIT" OpenClinica:StartDate="2026-03-01"`, `SE_WEEK" OpenClinica:StartDate="2026-03-01"`, `SE_WEEK" StudyEventRepeatKey="1"`,
		`SE_LOG" StudyEventRepeatKey="1"`, `SE_LOG"`, `SE_PAST"`, `SE_WEEK"`)
	what = `StudyEventOID="` + what + a.one("", "", ` OpenClinica:Signed="Yes"`, ` OpenClinica:Signed="maybe"`)
	return a.element("StudyEventData", what, a.times(3, a.form)+a.times(1, func() string { return `<Signature Attestation="` + a.one("x", "y", "") + `"/>` }))
}

func (a author) form() string {
	what := `FormOID="` + a.one("F_BODY", "F_BODY", "f_ills", "F_NONE") + `"` + a.one("", ` OpenClinica:Status="complete"`, ` OpenClinica:Status="x"`) +
		a.one("", "", ` OpenClinica:SdvStatus="Verified"`, ` OpenClinica:SdvStatus="Not verified"`)
	return a.element("FormData", what, a.times(4, a.group))
}

func (a author) group() string {
	what := `ItemGroupOID="` + a.one("IG_BODY", "IG_ROWS", "IG_ROWS", "IG_ILLS", "IG_NONE") + `"` +
		a.one("", "", ` ItemGroupRepeatKey="1"`, ` ItemGroupRepeatKey="2"`, ` ItemGroupRepeatKey="9"`, ` ItemGroupRepeatKey="x"`) + a.one("", "", "", ` OpenClinica:Removed="Yes"`)
	return a.element("ItemGroupData", what, a.times(3, a.item))
}

func (a author) item() string {
	what := `ItemOID="` + a.one("I_TEXT", "I_INT", "I_ROW", "I_ROW", "I_ILL", "I_SEX", "I_NONE") + `"` + a.one("", ` Value=""`, ` Value="1"`, ` Value="2"`, ` Value="F"`)
	return a.element("ItemData", what, a.times(1, func() string {
		return "<OpenClinica:DiscrepancyNotes>" + a.times(2, a.note) + "</OpenClinica:DiscrepancyNotes>"
	}))
}

func (a author) note() string {
	id := a.one("", ` ID="Q1"`, ` ID="Q2"`, ` ID="DN_1"`)
	return a.element("OpenClinica:DiscrepancyNote", `NoteType="`+a.one("Query", "Query", "Annotation", "Reason for Change")+`"`+id, a.times(2, func() string {
		return a.element("OpenClinica:ChildNote", `UserName="`+a.one("dora", "dora", "nobody")+`" Status="`+a.one("New", "New", "Updated", "Closed")+`"`+a.one("", ` ID="a"`, ` ID="b"`),
			a.one("<OpenClinica:DetailedNote>x</OpenClinica:DetailedNote>", ""))
	}))
}

// Whatever a study's documents say, their jobs end without a panic and hold no participant, and wherever a document is cut it
// comes to the same log, data and notes.
func TestDocumentsAtRandom(t *testing.T) {
	for seed := range uint64(150) {
		var docs []string
		for n := range uint64(3) {
			docs = append(docs, author{rand.New(rand.NewPCG(seed, n))}.times(4, author{rand.New(rand.NewPCG(seed, n+10))}.subject))
		}
		run := func(rows int) (logs []string, w *world) {
			w, im := codeWorld(t)
			im.Config.PartRows = rows
			for _, doc := range docs {
				w.imported(im, doc) // fails unless the job is completed
				logs = append(logs, timeless(w.objects["results/"+LogKey(w.job, true)])...)
			}
			if _, pending := w.stored(); len(pending) > 0 {
				t.Errorf("seed %d, %d rows a part: pending %v", seed, rows, pending)
			}
			return logs, w
		}
		want, whole := run(1000)
		for _, rows := range []int{1, 2, 5} {
			got, parts := run(rows)
			if d := cmp.Diff(want, got); d != "" {
				t.Fatalf("seed %d, %d rows a part: log (-whole +in parts):\n%s", seed, rows, d)
			}
			if d := cmp.Diff(values(whole), values(parts)); d != "" {
				t.Fatalf("seed %d, %d rows a part: data (-whole +in parts):\n%s", seed, rows, d)
			}
			if a, b := fmt.Sprint(whole.discussed()), fmt.Sprint(parts.discussed()); a != b {
				t.Fatalf("seed %d, %d rows a part: notes %s, in parts %s", seed, rows, a, b)
			}
		}
	}
}
