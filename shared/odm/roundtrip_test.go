package odm

import (
	"encoding/xml"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// generator makes documents of everything that can be written, of texts that are hard to write.
type generator struct{ *rand.Rand }

var hardTexts = []string{
	"a", "7.5", "null", "[1,2]", `{"a":1}`, "2027-01-02", "2027-01-02T03:04:05", "2027-01-02 03:04:05.0", "2027-02-30", "2027-01-02T03:04:05Z",
	`<b>"it's"</b> & so on`, "]]>", "a\nb", "a\r\nb", "a\tb", "\r", "日本 é 😀", "Größe]", "&amp;", "-->", "\u2028", "\ufffd", "\\u0041\\", "/", "0", "true",
}

func (g generator) string() string {
	if g.IntN(3) == 0 {
		return ""
	}
	return hardTexts[g.IntN(len(hardTexts))]
}

// fill fills a struct of this package.
func (g generator) fill(v reflect.Value, field string, depth int) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(g.string())
	case reflect.Bool:
		v.SetBool(g.IntN(4) == 0)
	case reflect.Pointer:
		if g.IntN(2) == 0 {
			v.Set(reflect.New(v.Type().Elem()))
			g.fill(v.Elem(), field, depth+1)
		}
	case reflect.Slice:
		for range []int{0, 0, 1, 1, 2}[g.IntN(5)] {
			one := reflect.New(v.Type().Elem()).Elem()
			g.fill(one, field, depth+1)
			v.Set(reflect.Append(v, one))
		}
	case reflect.Struct:
		if e, is := v.Addr().Interface().(*Element); is {
			*e = g.element(spaceOfField(field), field, depth)
			return
		}
		for i := range v.NumField() {
			g.fill(v.Field(i), v.Type().Field(i).Name, depth)
		}
		g.mend(v.Addr().Interface())
	}
}

// mend makes what was filled something that a document can say.
func (g generator) mend(v any) {
	switch v := v.(type) {
	case *ItemData:
		if v.NoValue {
			v.Value = ""
		}
	case *QuestionText:
		v.Text = strings.Trim(v.Text, " \t\r\n")
	case *GlobalVariables:
		v.StudyDescription = strings.Trim(v.StudyDescription, " \t\r\n")
	case *EnumeratedItem:
		v.OrderNumber = "1" // an element without content is null in JSON, and in an array too
	}
}

func spaceOfField(name string) Space {
	switch name {
	case "StudyDetails", "SectionDetails", "ItemGroupDetails", "SimpleConditionalDisplay":
		return SpaceOC
	case "Rules":
		return SpaceRules
	}
	return SpaceODM
}

func (g generator) element(s Space, name string, depth int) Element {
	e := Element{Space: s, Name: name}
	for i := range g.IntN(3) {
		e.Attrs = append(e.Attrs, Attr{Space: Space(g.IntN(3)), Name: fmt.Sprintf("a%d", i), Value: g.string()})
	}
	if depth > 9 || g.IntN(2) == 0 {
		e.Text = g.string()
		return e
	}
	for range g.IntN(4) {
		e.Children = append(e.Children, g.element(Space(g.IntN(3)), []string{"a", "b", "type"}[g.IntN(3)], depth+3))
	}
	return e
}

func filled[T any](g generator) *T {
	v := new(T)
	g.fill(reflect.ValueOf(v).Elem(), "", 0)
	return v
}

// document makes a whole document.
func (g generator) document() []Part {
	parts := []Part{filled[ODM](g)}
	some := func(n int, add func()) {
		for range g.IntN(n + 1) {
			add()
		}
	}
	add := func(p ...Part) { parts = append(parts, p...) }
	trail := func() {
		some(1, func() { add(filled[AuditLogs](g)) })
		some(1, func() { add(filled[DiscrepancyNotes](g)) })
	}
	some(2, func() { add(filled[Study](g)) })
	some(1, func() { add(filled[AdminData](g)) })
	some(3, func() {
		add(filled[ClinicalData](g))
		some(3, func() {
			add(filled[SubjectData](g))
			some(3, func() {
				add(filled[StudyEventData](g))
				some(1, func() { add(filled[Signature](g)) })
				some(3, func() {
					add(filled[FormData](g))
					some(3, func() { add(filled[ItemGroupData](g)) })
					trail()
					add(EndFormData)
				})
				trail()
				add(EndStudyEventData)
			})
			some(2, func() { add(filled[SubjectGroupData](g)) })
			trail()
			add(EndSubjectData)
		})
		add(EndClinicalData)
	})
	return parts
}

// same compares two documents; telling how they differ is slow.
func same(t *testing.T, want, got string) {
	t.Helper()
	if want != got {
		t.Fatalf("(-want +got):\n%s", cmp.Diff(want, got))
	}
}

// seeded runs test on documents that another run makes again.
func seeded(t *testing.T, n int, test func(t *testing.T, g generator, parts []Part)) {
	for seed := range uint64(n) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			g := generator{rand.New(rand.NewPCG(seed, 1))}
			test(t, g, g.document())
		})
	}
}

// What was written reads again unchanged, and is written again the same.
func TestRoundTrip(t *testing.T) {
	seeded(t, 25, func(t *testing.T, _ generator, parts []Part) {
		doc := mustWrite(t, NewXMLWriter, parts)
		again := mustRead(t, doc)
		if diff := cmp.Diff(parts, again, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("(-written +read):\n%s", diff)
		}
		same(t, doc, mustWrite(t, NewXMLWriter, again))
	})
}

// tree is an element as encoding/xml reads it.
type tree struct {
	name     string
	attrs    [][2]string
	text     string
	children []*tree
}

// known names the prefix of each namespace.
var known = map[string]string{
	"": "", uriODM: "", uriOC: "OpenClinica:", uriRules: "OpenClinicaRules:", uriXSI: "xsi:", uriXML: "xml:", "xmlns": "xmlns:",
}

// parse reads a document with encoding/xml.
func parse(t *testing.T, doc string) *tree {
	t.Helper()
	root := &tree{}
	open := []*tree{root}
	d := xml.NewDecoder(strings.NewReader(doc))
	for {
		token, err := d.Token()
		if err == io.EOF {
			return root.children[0]
		}
		if err != nil {
			t.Fatal(err)
		}
		top := open[len(open)-1]
		switch token := token.(type) {
		case xml.StartElement:
			e := &tree{name: known[token.Name.Space] + token.Name.Local}
			for _, a := range token.Attr {
				e.attrs = append(e.attrs, [2]string{known[a.Name.Space] + a.Name.Local, a.Value})
			}
			top.children = append(top.children, e)
			open = append(open, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			top.text += string(token)
		}
	}
}

var dates = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}| \d{2}:\d{2}:\d{2}\.\d+)?$`)

// scalar is how a text comes in JSON: rules 11 and 12, and the pass over dates.
func scalar(v string) string {
	if v == "null" {
		return v
	}
	if dates.MatchString(v) {
		layout, form := "2006-01-02 15:04:05", "02-Jan-2006 15:04:05"
		if len(v) == 10 {
			layout, form = "2006-01-02", "02-Jan-2006"
		}
		if at, err := time.Parse(layout, strings.Replace(v, "T", " ", 1)[:len(layout)]); err == nil {
			v = at.Format(form)
		}
	}
	return quote(v)
}

// quote is a string in JSON, with no more escapes than there have to be.
func quote(v string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(v) + `"`
}

// toJSON is the mapping of section 7.1 once more, on a tree in memory: the slow way that a stream has to agree with.
func (e *tree) toJSON(indent string) string {
	var members []string
	member := func(key, value string) { members = append(members, quote(key)+": "+value) }
	for _, a := range e.attrs {
		if strings.HasPrefix(a[0], "xmlns") {
			member("@"+a[0], scalar(a[1]))
		}
	}
	for _, a := range e.attrs {
		if !strings.HasPrefix(a[0], "xmlns") && !strings.EqualFold(a[0], "type") && !strings.EqualFold(a[0], "class") {
			member("@"+a[0], scalar(a[1]))
		}
	}
	deeper := indent + "  "
	if len(e.children) == 0 {
		switch {
		case len(members) == 0 && e.text == "":
			return "null"
		case len(members) == 0:
			return scalar(e.text)
		case e.text != "":
			member("#text", scalar(e.text))
		}
	}
	done := map[string]bool{}
	for _, c := range e.children {
		if done[c.name] {
			continue
		}
		done[c.name] = true
		var same []*tree
		for _, other := range e.children {
			if other.name == c.name {
				same = append(same, other)
			}
		}
		if len(same) == 1 {
			member(c.name, c.toJSON(deeper))
			continue
		}
		var all []string
		for _, s := range same {
			all = append(all, "\n"+deeper+"  "+s.toJSON(deeper+"  "))
		}
		member(c.name, "["+strings.Join(all, ",")+"\n"+deeper+"]")
	}
	return "{\n" + deeper + strings.Join(members, ",\n"+deeper) + "\n" + indent + "}"
}

// told adds to parts how many of them come in each element.
func told(parts []Part) []Part {
	var out []Part
	var open []int // the places of what is told of the elements that are open
	for _, p := range parts {
		begins := false
		switch p.(type) {
		case *ODM, *ClinicalData, *SubjectData, *StudyEventData, *FormData:
			begins = true
		case End:
			open = open[:len(open)-1]
		}
		if _, is := p.(*ItemGroupData); is || begins && len(open) > 0 {
			at := open[len(open)-1]
			out[at] = out[at].(Coming) + 1
		}
		if out = append(out, p); begins {
			open = append(open, len(out))
			out = append(out, Coming(0))
		}
	}
	return out
}

// JSON comes out as the mapping says, whether or not it was told how many there are of anything.
func TestJSONAgreesWithTheMapping(t *testing.T) {
	seeded(t, 25, func(t *testing.T, _ generator, parts []Part) {
		want := parse(t, mustWrite(t, NewXMLWriter, parts)).toJSON("")
		same(t, want, mustWrite(t, asJSON(JSON{}), parts))
		same(t, want, mustWrite(t, asJSON(JSON{}), told(parts)))
	})
}

// What is held back is written as soon as it is certain, and nothing is lost where the pieces meet.
func TestLargeJSON(t *testing.T) {
	parts := []Part{&ODM{FileOID: "F"}}
	for range 2 {
		parts = append(parts, &ClinicalData{StudyOID: "S"})
		for s := range 120 {
			parts = append(parts, &SubjectData{SubjectKey: fmt.Sprint("SS", s)})
			for range s % 3 {
				parts = append(parts, &StudyEventData{StudyEventOID: "SE"}, &FormData{FormOID: "F"})
				for k := range 1 + s%2 {
					group := &ItemGroupData{ItemGroupOID: "IG", ItemGroupRepeatKey: fmt.Sprint(k)}
					for i := range 20 {
						group.ItemData = append(group.ItemData, ItemData{ItemOID: fmt.Sprint("I", i), Value: "value"})
					}
					parts = append(parts, group)
				}
				parts = append(parts, EndFormData, EndStudyEventData)
			}
			parts = append(parts, EndSubjectData)
		}
		parts = append(parts, EndClinicalData)
	}
	want := parse(t, mustWrite(t, NewXMLWriter, parts)).toJSON("")
	for name, parts := range map[string][]Part{"nothing": parts, "all": told(parts)} {
		same(t, want, mustWrite(t, asJSON(JSON{}), parts))
		var doc counting
		w := NewJSONWriter(&doc, JSON{})
		for i, p := range parts {
			if err := w.Write(p); err != nil {
				t.Fatal(err)
			}
			if held := len(w.f.out.(*jsonEncoder).buf); name == "all" && held > 2*flushSize {
				t.Fatalf("%d bytes are held back at part %d", held, i)
			}
		}
		if err := w.Close(); err != nil || doc.bytes != len(want) {
			t.Errorf("told %s: %d bytes of %d, %v", name, doc.bytes, len(want), err)
		}
	}
}

type counting struct{ bytes int }

func (c *counting) Write(p []byte) (int, error) {
	c.bytes += len(p)
	return len(p), nil
}

// What is larger than could be held back is written as it comes, where it was told what comes.
func TestJSONOfOneLargeParticipant(t *testing.T) {
	const groups = 2000
	parts := []Part{
		&ODM{}, Coming(1), &ClinicalData{}, Coming(1), &SubjectData{SubjectKey: "SS_H001"}, Coming(1), &StudyEventData{}, Coming(1), &FormData{},
		Coming(groups),
	}
	group := &ItemGroupData{ItemGroupOID: "IG", ItemData: []ItemData{{ItemOID: "I", Value: strings.Repeat("v", 1000)}}}
	for range groups {
		parts = append(parts, group)
	}
	parts = append(parts, EndFormData, EndStudyEventData, EndSubjectData, EndClinicalData)
	w := NewJSONWriter(io.Discard, JSON{})
	w.f.out.(*jsonEncoder).hold = 100_000
	if err := write(w, parts); err != nil {
		t.Error(err)
	}
}

func TestJSONThatWasToldWrong(t *testing.T) {
	tests := []struct{ told, there, subjects int }{{1, 2, 0}, {2, 1, 0}, {1, 2, 5000}, {2, 1, 5000}}
	for _, tt := range tests {
		parts := []Part{&ODM{}, Coming(tt.told)}
		for range tt.there {
			parts = append(parts, &ClinicalData{})
			for range tt.subjects {
				parts = append(parts, &SubjectData{SubjectKey: "SS_H001"}, EndSubjectData)
			}
			parts = append(parts, EndClinicalData)
		}
		if write(NewJSONWriter(io.Discard, JSON{}), parts) == nil {
			t.Errorf("%d were told, %d written with %d subjects each, and all is well", tt.told, tt.there, tt.subjects)
		}
	}
}
