package clinical

import (
	"fmt"
	"strings"
	"testing"
)

// What does not fit into an item of the store fails its row; what was taken besides is written.
func TestWhatDoesNotFit(t *testing.T) {
	const most = 400 << 10
	var items, values, other, attestations, children strings.Builder
	def := &GroupDef{OID: "IG_WIDE", Repeating: true}
	all := []*ItemDef{}
	for i := range 110 {
		all = append(all, &ItemDef{OID: fmt.Sprint("I_", i)})
		def.Items = append(def.Items, fmt.Sprint("I_", i))
		fmt.Fprintf(&values, `<ItemData ItemOID="I_%d" Value="%s"/>`, i, strings.Repeat("\u00e9", 3999))
		fmt.Fprintf(&other, `<ItemData ItemOID="I_%d" Value="%s"/>`, i, strings.Repeat("&lt;", 3999))
		fmt.Fprintf(&items, `<ItemData ItemOID="I_%d" Value="%d"/>`, i, i)
	}
	for i := range 400 {
		fmt.Fprintf(&attestations, `<Signature Attestation="%d %s"/>`, i, strings.Repeat("x", 900))
		fmt.Fprintf(&children, `<OpenClinica:ChildNote ID="c%d" Status="%s" UserName="dora"><OpenClinica:DetailedNote>%s</OpenClinica:DetailedNote></OpenClinica:ChildNote>`,
			i, map[bool]string{true: "New", false: "Updated"}[i == 0], strings.Repeat("x", 900))
	}
	group := func(inner string) string {
		return `<FormData FormOID="F"><ItemGroupData ItemGroupOID="IG_WIDE" ItemGroupRepeatKey="1">` + inner + `</ItemGroupData></FormData>`
	}
	notes := func(inner string) string {
		return group(`<ItemData ItemOID="I_0" Value="0"><OpenClinica:DiscrepancyNotes><OpenClinica:DiscrepancyNote ID="Q" NoteType="Query">` + inner +
			`</OpenClinica:DiscrepancyNote></OpenClinica:DiscrepancyNotes></ItemData>`)
	}
	for name, tt := range map[string]struct {
		attrs string
		inner []string
		want  string // a failed row's message
	}{
		"values":             {"", []string{group(values.String())}, "valueTooLong"},
		"values with escape": {"", []string{group(other.String())}, "valueTooLong"},
		"values that change": {"", []string{group(items.String()), group(values.String()), group(other.String())}, "valueTooLong"},
		"location":           {` OpenClinica:StudyEventLocation="` + strings.Repeat("x", 500_000) + `"`, []string{group(items.String())}, "valueTooLong"},
		"reason":             {"", []string{`<FormData FormOID="F" OpenClinica:ReasonForChangeForCompleteForms="` + strings.Repeat("x", 1001) + group(items.String())[len(`<FormData FormOID="F"`)-1:]}, "detailedNoteTextTooLong"},
		"children":           {"", []string{notes(children.String())}, "Q:errorCode.detailedNoteTextTooLong"},
		"title": {"", []string{notes(`<OpenClinica:ChildNote ID="c" Status="New" UserName="dora"><OpenClinica:DetailedNote>x</OpenClinica:DetailedNote><OpenClinica:Description>` +
			strings.Repeat("x", 1001) + `</OpenClinica:Description></OpenClinica:ChildNote>`)}, "c:errorCode.detailedNoteTextTooLong"},
		"signatures": {` OpenClinica:Signed="No"`, []string{group(items.String()) + attestations.String()}, "attestationTextTooLong"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBank(t)
			failed := ""
			for i, inner := range tt.inner {
				p := b.planner(fmt.Sprint("o", i+1), i)
				p.Study.Meta = NewMetadata("S_RIVER",
					[]*EventDef{{OID: "SE", Forms: []FormRef{{Form: "F", Default: "1"}}}}, []*FormDef{{OID: "F", Layouts: []Layout{{Name: "1"}}, Groups: []string{"IG_WIDE"}}},
					[]*GroupDef{def}, all, nil)
				doc := document(`<SubjectData SubjectKey="SS_ANN"><StudyEventData StudyEventOID="SE" OpenClinica:StartDate="2026-03-01"` + tt.attrs + `>` + inner + `</StudyEventData></SubjectData>`)
				take(t, p, doc, func(plan *Plan) {
					for _, s := range plan.Subjects {
						for _, w := range s.Writes {
							n := 0
							switch {
							case w.Record != nil:
								n = len(w.Record.Doc) + len(w.Record.Key.Part) + len(w.Record.Key.Sort)
							case w.Entry != nil:
								n = len(w.Entry.Before) + len(w.Entry.After)
							}
							if n > most-10_000 {
								t.Errorf("a write has %d bytes", n)
							}
						}
					}
					for _, r := range plan.Rows {
						if r.Status == RowFailed {
							failed = strings.TrimPrefix(r.Message, "errorCode.")
						}
					}
					if err := Apply(t.Context(), b, plan); err != nil {
						t.Fatal(err)
					}
				})
			}
			if failed != tt.want {
				t.Errorf("the last row that failed says %q, want %q", failed, tt.want)
			}
		})
	}
}

// The longest OIDs make a sort key that the store takes.
func TestLongestKey(t *testing.T) {
	long, wide := strings.Repeat("X", maxOID), strings.Repeat("\u00c9", maxOID/6)
	for _, oid := range []string{long, wide} {
		key := NoteKey(1, Path{Event: oid, EventKey: MaxRepeat, Form: oid, Group: oid, GroupKey: MaxRepeat, Item: oid, Discussed: strings.Repeat("\U0001FA78", maxNoteID)})
		if len(escape(oid)) > maxOID || len(key.Sort) > 1024 {
			t.Errorf("an OID of %d bytes, a key of %d", len(escape(oid)), len(key.Sort))
		}
	}
	c := &compiler{to: &Metadata{}}
	if c.usable("ItemDef", strings.Repeat("\u00c9", 64)) || !c.usable("ItemDef", long) || c.named("FormDef", "F/1") || c.named("FormDef", "*") || !c.named("FormDef", "F 1.0") {
		t.Errorf("faults %v", c.faults)
	}
}
