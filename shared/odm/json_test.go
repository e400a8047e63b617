package odm

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// The rules of section 7.1, on elements that hold only what a rule is about.
func TestMappingToJSON(t *testing.T) {
	leaf := func(name, text string) Element { return Element{Name: name, Text: text} }
	attr := func(name, value string) Element { return Element{Name: "e", Attrs: []Attr{{Name: name, Value: value}}} }
	tests := []struct {
		name string
		in   []Element
		want string
	}{
		{"attributes keep their prefix and order", []Element{{Name: "e", Attrs: []Attr{{SpaceOC, "b", "1"}, {SpaceODM, "a", "2"}}}}, `"e": {"@OpenClinica:b": "1", "@a": "2"}`},
		{"one child", []Element{leaf("a", "1")}, `"a": "1"`},
		{"several of a name", []Element{leaf("a", "1"), leaf("a", "2")}, `"a": ["1", "2"]`},
		{"several of a name apart", []Element{leaf("a", "1"), leaf("b", "2"), leaf("a", "3")}, `"a": ["1", "3"], "b": "2"`},
		{"the same name in two namespaces", []Element{leaf("a", "1"), {Space: SpaceOC, Name: "a", Text: "2"}}, `"a": "1", "OpenClinica:a": "2"`},
		{"white space in text", []Element{leaf("a", "\n  b\n")}, `"a": "\n  b\n"`},
		{"attributes and text", []Element{{Name: "e", Attrs: []Attr{{Name: "a", Value: "1"}}, Text: "t"}}, `"e": {"@a": "1", "#text": "t"}`},
		{"nothing", []Element{leaf("a", "")}, `"a": null`},
		{"several of nothing", []Element{leaf("a", ""), leaf("a", "")}, `"a": [null, null]`},
		{"numbers and booleans", []Element{leaf("a", "7.50"), leaf("b", "true")}, `"a": "7.50", "b": "true"`},
		{"null as text", []Element{leaf("a", "null")}, `"a": null`},
		{"null as attribute", []Element{attr("a", "null")}, `"e": {"@a": null}`},
		{"null in another case", []Element{attr("a", "NULL")}, `"e": {"@a": "NULL"}`},
		{"type and class", []Element{{Name: "e", Attrs: []Attr{{Name: "Type", Value: "1"}, {Name: "CLASS", Value: "2"}, {SpaceOC, "Type", "3"}}}}, `"e": {"@OpenClinica:Type": "3"}`},
		{"only a type", []Element{attr("type", "1")}, `"e": null`},
		{"text that is JSON", []Element{leaf("a", "[1,2]"), attr("a", `{"a":1}`)}, `"a": "[1,2]", "e": {"@a": "{\"a\":1}"}`},
		{"a date", []Element{leaf("a", "2026-03-01")}, `"a": "01-Mar-2026"`},
		{"a date with a time", []Element{leaf("a", "2026-03-02T09:15:30")}, `"a": "02-Mar-2026 09:15:30"`},
		{"a time stamp", []Element{leaf("a", "2026-03-02 09:15:30.0")}, `"a": "02-Mar-2026 09:15:30"`},
		{"a longer time stamp", []Element{leaf("a", "2026-03-02 09:15:30.123")}, `"a": "02-Mar-2026 09:15:30"`},
		{"a time stamp without a fraction", []Element{leaf("a", "2026-03-02 09:15:30")}, `"a": "2026-03-02 09:15:30"`},
		{"a time with a fraction", []Element{leaf("a", "2026-03-02T09:15:30.0")}, `"a": "2026-03-02T09:15:30.0"`},
		{"a time with a zone", []Element{leaf("a", "2026-03-02T09:15:30Z")}, `"a": "2026-03-02T09:15:30Z"`},
		{"a time stamp with a comma", []Element{leaf("a", "2026-03-02 09:15:30,0")}, `"a": "2026-03-02 09:15:30,0"`},
		{"no such day", []Element{leaf("a", "2026-02-30")}, `"a": "2026-02-30"`},
		{"a date in a text", []Element{leaf("a", "on 2026-03-01")}, `"a": "on 2026-03-01"`},
		{"what has to be escaped", []Element{leaf("a", "\"\\/<&>\t\r\u2028é")}, "\"a\": \"\\\"\\\\/<&>\\t\\r\u2028é\""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			details := []Element{{Space: SpaceOC, Name: "StudyDetails", Children: tt.in}}
			doc := mustWrite(t, asJSON(JSON{}), []Part{&ODM{}, &Study{MetaDataVersion: []MetaDataVersion{{StudyDetails: details}}}})
			_, got, _ := strings.Cut(doc, `"OpenClinica:StudyDetails": {`)
			same(t, tt.want+"}}}}", oneLine(got))
		})
	}
}

// oneLine takes the line breaks out of JSON.
func oneLine(doc string) string {
	var b strings.Builder
	for i, line := range strings.Split(doc, "\n") {
		line = strings.TrimLeft(line, " ")
		if i > 0 && strings.HasSuffix(b.String(), ",") {
			b.WriteString(" ")
		}
		b.WriteString(line)
	}
	return b.String()
}

// Nothing is held back without end.
func TestTooMuchIsHeldBack(t *testing.T) {
	w := NewJSONWriter(io.Discard, JSON{})
	w.f.out.(*jsonEncoder).hold = 100_000
	err := errors.Join(w.Write(&ODM{}), w.Write(&ClinicalData{}))
	subjects := 0
	for ; err == nil && subjects < 10_000; subjects++ {
		err = errors.Join(w.Write(&SubjectData{SubjectKey: "SS_H001"}), w.Write(EndSubjectData))
	}
	if err == nil || subjects < 1000 {
		t.Errorf("%d subjects were held back, and then: %v", subjects, err)
	}
}
