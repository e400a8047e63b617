package odmexport

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// author makes studies at random, and documents of their data. What may be left out of definitions is left out now and then.
type author struct {
	*rand.Rand
	events []generatedEvent
	notes  int
}

type generatedEvent struct {
	oid               string
	repeating, common bool
	forms             []string
}

// generatedForms are the item groups of each form, generatedGroups the items of each: by what their OIDs end with.
var (
	generatedForms  = map[string][]string{"F_1": {"IG_1", "IG_2"}, "F_2": {"IG_3"}, "F_3": {"IG_4"}}
	generatedGroups = map[string][]string{"IG_1": {"I_TEXT", "I_INT", "I_SEX"}, "IG_2": {"I_REAL", "I_DAY"}, "IG_3": {"I_PART", "I_BOOL", "I_RACE"}, "IG_4": {"I_NOTE"}}
)

func (a *author) one(of ...string) string { return of[a.IntN(len(of))] }

// maybe is a text, or nothing.
func (a *author) maybe(text string) string { return a.one(text, text, "") }

// study makes the definitions, with one of the two sites.
func (a *author) study() string {
	var b strings.Builder
	mandatory := func() string { return a.maybe(` Mandatory="` + a.one("Yes", "No") + `"`) }
	b.WriteString(`<ODM xmlns="http://www.cdisc.org/ns/odm/v1.3" xmlns:OpenClinica="http://www.openclinica.org/ns/odm_ext_v130/v3.1"><Study OID="S_GEN"><GlobalVariables>` +
		a.maybe("<StudyName>Generated</StudyName>") + a.maybe("<StudyDescription>Made at random</StudyDescription>") + a.maybe("<ProtocolName>GEN</ProtocolName>") +
		`</GlobalVariables><MetaDataVersion OID="v1.0.0"` + a.maybe(` Name="first"`) + `><Protocol>`)
	a.events = nil
	for i := range 2 + a.IntN(3) {
		e := generatedEvent{oid: fmt.Sprint("SE_", i), repeating: a.IntN(2) == 0, common: a.IntN(3) == 0}
		for _, form := range []string{"F_1", "F_2", "F_3"} {
			if a.IntN(3) > 0 {
				e.forms = append(e.forms, form)
			}
		}
		a.events = append(a.events, e)
		fmt.Fprintf(&b, `<StudyEventRef StudyEventOID="%s" OrderNumber="%d"%s/>`, e.oid, i+1, mandatory())
	}
	b.WriteString(`</Protocol>`)
	for _, e := range a.events {
		kind := a.one("", ` Type="Scheduled"`, ` Type="Unscheduled"`)
		if e.common {
			kind = a.one(` Type="Common"`, ` OpenClinica:EventType="Common"`)
		}
		repeating := map[bool]string{true: "Yes", false: "No"}[e.repeating]
		fmt.Fprintf(&b, `<StudyEventDef OID="%s" Name="Event %[1]s" Repeating="%s"%s>`, e.oid, repeating, kind)
		for _, form := range e.forms {
			fmt.Fprintf(&b, `<FormRef FormOID="%s"%s/>`, form, mandatory())
		}
		b.WriteString(`</StudyEventDef>`)
	}
	for _, form := range []string{"F_1", "F_2", "F_3"} {
		fmt.Fprintf(&b, `<FormDef OID="%s"%s%s>`, form, a.maybe(` Name="Form `+form+`"`), a.maybe(` Repeating="No"`))
		for _, group := range generatedForms[form] {
			fmt.Fprintf(&b, `<ItemGroupRef ItemGroupOID="%s"%s/>`, group, mandatory())
		}
		b.WriteString(`<OpenClinica:FormLayoutDef OID="1"/><OpenClinica:FormLayoutDef OID="2"/></FormDef>`)
	}
	for _, group := range []string{"IG_1", "IG_2", "IG_3", "IG_4"} {
		fmt.Fprintf(&b, `<ItemGroupDef OID="%s"%s Repeating="%s">`, group, a.maybe(` Name="Group"`), map[bool]string{true: "Yes", false: "No"}[repeats(group)])
		for _, item := range generatedGroups[group] {
			fmt.Fprintf(&b, `<ItemRef ItemOID="%s"%s/>`, item, mandatory())
		}
		b.WriteString(`</ItemGroupDef>`)
	}
	for _, item := range []string{"I_TEXT text", "I_INT integer", "I_REAL float", "I_DAY date", "I_PART partialDate", "I_BOOL boolean", "I_NOTE text"} {
		oid, kind, _ := strings.Cut(item, " ")
		fmt.Fprintf(&b, `<ItemDef OID="%s"%s DataType="%s"/>`, oid, a.maybe(` Name="Item `+oid+`"`), kind)
	}
	b.WriteString(`<ItemDef OID="I_SEX" DataType="text"><CodeListRef CodeListOID="CL_1"/></ItemDef>
		<ItemDef OID="I_RACE" DataType="text"><OpenClinica:MultiSelectListRef MultiSelectListID="MSL_1"/></ItemDef>
		<CodeList OID="CL_1"><CodeListItem CodedValue="F"/><CodeListItem CodedValue="M"/></CodeList>
		<OpenClinica:MultiSelectList ID="MSL_1" Name="race"><OpenClinica:MultiSelectListItem CodedOptionValue="1"/><OpenClinica:MultiSelectListItem CodedOptionValue="2"/></OpenClinica:MultiSelectList>
		</MetaDataVersion></Study><Study OID="S_GEN_A"><MetaDataVersion OID="v1.0.0-S_GEN_A"><Include StudyOID="S_GEN" MetaDataVersionOID="v1.0.0"/>`)
	for _, e := range a.events {
		if len(e.forms) > 0 && a.IntN(2) == 0 {
			fmt.Fprintf(&b, `<StudyEventDef OID="%s" Name="Event %[1]s" Repeating="No"><FormRef FormOID="%s"><OpenClinica:FormLayoutRef OID="1" IsDefaultVersion="Yes"/></FormRef></StudyEventDef>`, e.oid, e.forms[0])
		}
	}
	b.WriteString(`</MetaDataVersion></Study></ODM>`)
	return b.String()
}

func repeats(group string) bool { return group == "IG_2" || group == "IG_4" }

// data makes a document about a participant at the study and one at each site.
func (a *author) data() string {
	var b strings.Builder
	b.WriteString(`<ODM xmlns="http://www.cdisc.org/ns/odm/v1.3" xmlns:OpenClinica="http://www.openclinica.org/ns/odm_ext_v130/v3.1"><ClinicalData StudyOID="S_GEN">`)
	for _, who := range []string{"SS_AT0", "SS_AT1", "SS_AT2"} {
		fmt.Fprintf(&b, `<SubjectData SubjectKey="%s">`, who)
		for _, e := range a.events {
			for key := range 1 + a.IntN(2) {
				if key == 0 || e.repeating {
					b.WriteString(a.event(e, key+1))
				}
			}
		}
		b.WriteString(`</SubjectData>`)
	}
	b.WriteString(`</ClinicalData></ODM>`)
	return b.String()
}

func (a *author) event(e generatedEvent, key int) string {
	head := fmt.Sprintf(`<StudyEventData StudyEventOID="%s" OpenClinica:StartDate="2026-03-0%d"%s>`, e.oid, key, a.maybe(fmt.Sprintf(` StudyEventRepeatKey="%d"`, key)))
	const end = `</StudyEventData>`
	forms := ""
	for _, form := range e.forms {
		switch {
		case !e.common:
			forms += a.form(form)
		case !e.repeating: // found by the form
			forms += head + a.form(form) + end
		}
	}
	switch {
	case !e.common:
		return head + forms + end
	case e.repeating && len(e.forms) > 0:
		return head + a.form(e.forms[0]) + end
	}
	return forms
}

func (a *author) form(oid string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<FormData FormOID="%s"%s%s>`, oid, a.one("", ` OpenClinica:Status="complete"`, ` OpenClinica:Status="initial data entry"`), a.one("", ` OpenClinica:SdvStatus="Verified"`))
	for _, group := range generatedForms[oid] {
		for key := range 1 + a.IntN(3) {
			if key > 0 && !repeats(group) {
				break
			}
			removed := ""
			if key > 0 {
				removed = a.one("", "", ` OpenClinica:Removed="Yes"`)
			}
			fmt.Fprintf(&b, `<ItemGroupData ItemGroupOID="%s"%s%s>`, group, a.maybe(fmt.Sprintf(` ItemGroupRepeatKey="%d"`, key+1)), removed)
			for _, item := range generatedGroups[group] {
				b.WriteString(a.item(item))
			}
			b.WriteString(`</ItemGroupData>`)
		}
	}
	b.WriteString(`</FormData>`)
	return b.String()
}

func (a *author) item(oid string) string {
	value := map[string]string{
		"I_TEXT": a.one("", "plain", "&lt;x&gt; &amp; 'y'", "Grüße", " blanks ", "null", "[1,2]"), "I_INT": a.one("7", "+7", "-0012"),
		"I_REAL": a.one("7", "7.25", "-.5"), "I_DAY": a.one("2026-02-28", "1999-12-31"), "I_PART": a.one("2026", "2026-02", "2026-02-03"),
		"I_BOOL": a.one("true", "false"), "I_NOTE": a.one("a", "b\nc"), "I_SEX": a.one("F", "M"), "I_RACE": a.one("1", "2", "1,2"),
	}[oid]
	return `<ItemData ItemOID="` + oid + `" Value="` + strings.ReplaceAll(value, "\n", "&#10;") + `">` + a.one("", "", "", a.note()) + `</ItemData>`
}

// note is a query that has gone some way, or an annotation.
func (a *author) note() string {
	a.notes++
	child := func(n int, status string) string {
		return fmt.Sprintf(`<OpenClinica:ChildNote ID="c%d-%d"%s UserName="ada"><OpenClinica:DetailedNote>said %[2]d</OpenClinica:DetailedNote>%s</OpenClinica:ChildNote>`,
			a.notes, n, status, a.one("", `<UserRef OpenClinica:UserName="ada"/>`))
	}
	if a.IntN(3) == 0 {
		return fmt.Sprintf(`<OpenClinica:DiscrepancyNotes><OpenClinica:DiscrepancyNote ID="q%d" NoteType="Annotation">%s</OpenClinica:DiscrepancyNote></OpenClinica:DiscrepancyNotes>`, a.notes, child(1, ""))
	}
	said := child(1, ` Status="New"`)
	for n, status := range []string{"Updated", "Closed", "Closed-Modified"}[:a.IntN(4)] {
		said += child(n+2, ` Status="`+status+`"`)
	}
	return fmt.Sprintf(`<OpenClinica:DiscrepancyNotes><OpenClinica:DiscrepancyNote ID="q%d" NoteType="Query">%s</OpenClinica:DiscrepancyNote></OpenClinica:DiscrepancyNotes>`, a.notes, said)
}
