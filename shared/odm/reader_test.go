package odm

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// items gives the item data of a document.
func items(t *testing.T, doc string) (all []ItemData) {
	t.Helper()
	for _, p := range mustRead(t, doc) {
		if g, is := p.(*ItemGroupData); is {
			all = append(all, g.ItemData...)
		}
	}
	return all
}

// What people really send (section 3.1).
func TestLenientReading(t *testing.T) {
	const (
		odm = `xmlns="http://www.cdisc.org/ns/odm/v1.3"`
		oc  = `xmlns:OpenClinica="http://www.openclinica.org/ns/odm_ext_v130/v3.1"`
	)
	shape := func(root, open, attrs string) string {
		return open + `<` + root + `><ClinicalData StudyOID="S_A"><SubjectData ` + attrs + `/></ClinicalData></ODM>`
	}
	for name, doc := range map[string]string{
		"as the reference has it":        shape("ODM "+odm+" "+oc, "", `SubjectKey="SS" OpenClinica:StudySubjectID="A-1"`),
		"another prefix":                 shape(`ODM `+odm+` xmlns:x="http://www.openclinica.org/ns/odm_ext_v130/v3.1"`, "", `SubjectKey="SS" x:StudySubjectID="A-1"`),
		"no namespace at all":            shape("ODM", "", `SubjectKey="SS" OpenClinica:StudySubjectID="A-1"`),
		"no prefix":                      shape("ODM "+odm, "", `SubjectKey="SS" StudySubjectID="A-1"`),
		"a prefix where none is due":     shape("ODM "+odm, "", `OpenClinica:SubjectKey="SS" OpenClinica:StudySubjectID="A-1"`),
		"the namespace of another year":  shape(`ODM `+odm+` xmlns:OpenClinica="http://www.openclinica.org/ns/odm_ext_v121/v3.0"`, "", `SubjectKey="SS" OpenClinica:StudySubjectID="A-1"`),
		"a near miss of the namespace":   shape(`ODM `+odm+` xmlns:OpenClinica="https://openclinica.org/ns/odm_ext_v130/v3.1"`, "", `SubjectKey="SS" OpenClinica:StudySubjectID="A-1"`),
		"ODM 1.2":                        shape(`ODM xmlns="http://www.cdisc.org/ns/odm/v1.2"`, "", `SubjectKey="SS" OpenClinica:StudySubjectID="A-1"`),
		"a byte order mark":              shape("ODM "+odm, "\ufeff", `SubjectKey="SS" OpenClinica:StudySubjectID="A-1"`),
		"a declaration and comments":     shape("ODM "+odm, "\ufeff<?xml version='1.0' encoding='utf-8' standalone='yes'?>\r\n<!-- x -->\r\n<?y z?>", `SubjectKey="SS" StudySubjectID="A-1"`),
		"foreign attributes beside":      shape(`ODM `+odm+` xmlns:x="urn:x"`, "", `SubjectKey="SS" x:StudySubjectID="no" OpenClinica:StudySubjectID="A-1" x:SubjectKey="no"`),
		"both with a prefix and without": shape("ODM "+odm, "", `OpenClinica:SubjectKey="no" SubjectKey="SS" OpenClinica:StudySubjectID="A-1" StudySubjectID="no"`),
		"white space in tags":            shape("ODM\n"+odm, "", "\n\tSubjectKey =\r\n 'SS'\n OpenClinica:StudySubjectID\t=\"A-1\"\n"),
		"ASCII, declared":                shape("ODM "+odm, `<?xml version="1.0" encoding="US-ASCII"?>`, `SubjectKey="SS" StudySubjectID="A-1"`),
		"a namespace of its own for each": `<o:ODM xmlns:o="http://www.cdisc.org/ns/odm/v1.3"><ClinicalData xmlns="http://www.cdisc.org/ns/odm/v1.3" StudyOID="S_A">` +
			`<o:SubjectData SubjectKey="SS" StudySubjectID="A-1"></o:SubjectData></ClinicalData></o:ODM>`,
		"elements that are not known": `<ODM><ds:Signature xmlns:ds="urn:ds"><ODM/></ds:Signature><Association><ClinicalData/></Association>` +
			`<ClinicalData StudyOID="S_A"><UpsertOn NotStarted="true"/><x:SubjectData xmlns:x="urn:x" SubjectKey="no"/>` +
			`<SubjectData SubjectKey="SS" StudySubjectID="A-1"><SiteRef LocationOID="x"/><InvestigatorRef UserOID="y"/>` +
			`<AuditRecord><UserRef UserOID="z"/></AuditRecord><Annotation>text</Annotation></SubjectData></ClinicalData></ODM>`,
	} {
		t.Run(name, func(t *testing.T) {
			want := []Part{
				&ODM{}, &ClinicalData{StudyOID: "S_A"}, &SubjectData{SubjectKey: "SS", StudySubjectID: "A-1"},
				EndSubjectData, EndClinicalData,
			}
			if diff := cmp.Diff(want, mustRead(t, doc)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestValues(t *testing.T) {
	tests := []struct {
		name, xml string
		want      ItemData
	}{
		{"a value", `<ItemData ItemOID="I" Value="7.5"/>`, ItemData{ItemOID: "I", Value: "7.5"}},
		{"an empty value", `<ItemData ItemOID="I" Value=""/>`, ItemData{ItemOID: "I"}},
		{"no value", `<ItemData ItemOID="I"/>`, ItemData{ItemOID: "I", NoValue: true}},
		{"null", `<ItemData ItemOID="I" IsNull="Yes"/>`, ItemData{ItemOID: "I", IsNull: "Yes", NoValue: true}},
		{"blanks are kept", `<ItemData ItemOID="I" Value="  a  b "/>`, ItemData{ItemOID: "I", Value: "  a  b "}},
		{"what may not stand in a value", `<ItemData ItemOID="I" Value="&lt;&gt;&amp;&quot;&apos;&#65;&#x1F600;>'"/>`, ItemData{ItemOID: "I", Value: `<>&"'A😀>'`}},
		{"single quotes", `<ItemData ItemOID='I' Value='a"b'/>`, ItemData{ItemOID: "I", Value: `a"b`}},
		{"line breaks become blanks", "<ItemData ItemOID=\"I\" Value=\"a\nb\r\nc\rd\te\"/>", ItemData{ItemOID: "I", Value: "a b c d e"}},
		{"line breaks by number stay", `<ItemData ItemOID="I" Value="a&#10;b&#13;&#xA;c&#9;d"/>`, ItemData{ItemOID: "I", Value: "a\nb\r\nc\td"}},
		{"other alphabets", `<ItemData ItemOID="I.Größe 1" Value="日本語 ] é"/>`, ItemData{ItemOID: "I.Größe 1", Value: "日本語 ] é"}},
		{"text beside", "<ItemData ItemOID=\"I\" Value=\"1\">\n  text\n</ItemData>", ItemData{ItemOID: "I", Value: "1"}},
		{"text instead", "<ItemData ItemOID=\"I\">\n  text\n</ItemData>", ItemData{ItemOID: "I", NoValue: true}},
		{"typed string", `<ItemDataString ItemOID="I"> a &amp; b </ItemDataString>`, ItemData{ItemOID: "I", Value: " a & b "}},
		{"typed string in pieces", "<ItemDataString ItemOID=\"I\">a\r\n<!-- x -->b<![CDATA[<c>&amp;]]>]</ItemDataString>", ItemData{ItemOID: "I", Value: "a\nb<c>&amp;]"}},
		{"typed integer", "<ItemDataInteger ItemOID=\"I\">\n 12\n</ItemDataInteger>", ItemData{ItemOID: "I", Value: "12"}},
		{"typed date", `<ItemDataDate ItemOID="I">2027-01-02</ItemDataDate>`, ItemData{ItemOID: "I", Value: "2027-01-02"}},
		{"typed, empty", `<ItemDataString ItemOID="I"/>`, ItemData{ItemOID: "I"}},
		{"typed, null", `<ItemDataFloat ItemOID="I" IsNull="Yes"/>`, ItemData{ItemOID: "I", IsNull: "Yes", NoValue: true}},
		{"a unit", `<ItemData ItemOID="I" Value="1"><MeasurementUnitRef MeasurementUnitOID="MU"/></ItemData>`, ItemData{ItemOID: "I", Value: "1", MeasurementUnitOID: "MU"}},
		{"a note as clients import it", `<ItemData ItemOID="I" Value="1"><OpenClinica:DiscrepancyNotes><OpenClinica:DiscrepancyNote ID="D" NoteType="Query">` +
			`<OpenClinica:ChildNote ID="C" Status="New" UserName="dm1"><OpenClinica:DetailedNote>why?</OpenClinica:DetailedNote><UserRef UserName="inv"/></OpenClinica:ChildNote>` +
			`</OpenClinica:DiscrepancyNote></OpenClinica:DiscrepancyNotes></ItemData>`, ItemData{ItemOID: "I", Value: "1", DiscrepancyNote: []DiscrepancyNote{{
			ID: "D", NoteType: "Query", ChildNote: []ChildNote{{ID: "C", Status: "New", UserName: "dm1", DetailedNote: "why?", UserRef: &UserRef{UserName: "inv"}}},
		}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// Another item before and after: nothing may stick to its neighbour.
			got := items(t, within(`<ItemData ItemOID="A" Value="x"/>`+tt.xml+`<ItemDataAnything/><ItemData ItemOID="Z"/>`))
			want := []ItemData{{ItemOID: "A", Value: "x"}, tt.want, {ItemOID: "Z", NoValue: true}}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSingleByteEncodings(t *testing.T) {
	for encoding, want := range map[string]string{"ISO-8859-1": "Mülle\u0080", "Windows-1252": "Mülle€"} {
		doc := `<?xml version="1.0" encoding="` + encoding + `"?>` + within("<ItemData ItemOID=\"I\" Value=\"M\xfclle\x80\"/>")
		if got := items(t, doc)[0].Value; got != want {
			t.Errorf("%s: got %q, want %q", encoding, got, want)
		}
	}
}

// 32 elements inside one another and a tag of 1 MB are fine.
func TestDocumentsAtTheLimits(t *testing.T) {
	mustRead(t, "<ODM>"+strings.Repeat("<a>", MaxDepth-1)+strings.Repeat("</a>", MaxDepth-1)+"</ODM>")
	mustRead(t, "<ODM "+manyAttributes(MaxAttributes)+"/>")
	value := strings.Repeat("x", MaxToken-len(`<ItemData ItemOID="I" Value=""/>`))
	if got := items(t, within(`<ItemData ItemOID="I" Value="`+value+`"/>`)); got[0].Value != value {
		t.Errorf("a value of %d bytes came out with %d", len(value), len(got[0].Value))
	}
}

// How the source cuts its reads does not show.
func TestReadsOfAnySize(t *testing.T) {
	doc := within(`<ItemData ItemOID="I" Value="a&amp;ü"/><ItemDataString ItemOID="J">é<![CDATA[y]]></ItemDataString><!-- ü -->`)
	want := mustRead(t, doc)
	for name, src := range map[string]io.Reader{
		"one byte":        iotest.OneByteReader(strings.NewReader(doc)),
		"halves":          iotest.HalfReader(strings.NewReader(doc)),
		"data and an end": iotest.DataErrReader(strings.NewReader(doc)),
	} {
		got, err := readAll(src)
		if err != nil {
			t.Fatal(name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestOffsetIsThatOfThePart(t *testing.T) {
	doc := "\n" + within(`<ItemData ItemOID="I" Value="ü"/>`)
	r := NewReader(strings.NewReader(doc))
	for {
		p, err := r.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		tag := "</"
		if _, is := p.(End); !is {
			tag = "<" + p.place().name
		}
		if !strings.HasPrefix(doc[r.Offset():], tag) {
			t.Errorf("%T is said to be at %d, where there is %.20q", p, r.Offset(), doc[r.Offset():])
		}
	}
}

// The texts of a part that is kept are not those of the next.
func TestStringsMayBeKept(t *testing.T) {
	doc := strings.Replace(within("@"), "@", strings.Repeat(`<ItemData ItemOID="I_1" Value="first"/>`, 1000)+
		`</ItemGroupData><ItemGroupData>`+strings.Repeat(`<ItemData ItemOID="I_2" Value="other"/>`, 1000), 1)
	all := items(t, doc)
	if len(all) != 2000 {
		t.Fatal(len(all))
	}
	for i, item := range all {
		if want := (ItemData{ItemOID: "I_1", Value: "first"}); i < 1000 && !cmp.Equal(item, want) {
			t.Fatalf("item %d has become %+v", i, item)
		}
	}
}

func TestFaultSaysWhere(t *testing.T) {
	_, err := readAll(strings.NewReader("<ODM>\n  <ClinicalData>\n    <SubjectData x/>\n"))
	var fault *Fault
	if !errors.As(err, &fault) || fault.Line != 3 || fault.Byte != 27 {
		t.Errorf("got %v", err)
	}
}

// A byte order mark has the last word on how a document is encoded.
func TestByteOrderMarkAgainstDeclaration(t *testing.T) {
	doc := "\ufeff" + `<?xml version="1.0" encoding="ISO-8859-1"?>` + within(`<ItemData ItemOID="I" Value="Müller"/>`)
	if got := items(t, doc)[0].Value; got != "Müller" {
		t.Errorf("got %q", got)
	}
}
