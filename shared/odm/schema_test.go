package odm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// data is a folder of documents and schemas that are not the project's own: below it, xsd/cdisc-1.3.2/ODM1-3-2.xsd and
// *.xml in folders.
func data(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("ALIQUOT_ODM_DATA")
	if dir == "" {
		t.Skip("not run: ALIQUOT_ODM_DATA does not name a folder of ODM documents and schemas")
	}
	return dir
}

// standard is a document without the extensions, which CDISC's schema does not know.
func (e *tree) standard() string {
	var b strings.Builder
	b.WriteString("<" + e.name)
	for _, a := range e.attrs {
		if !strings.HasPrefix(a[0], "OpenClinica") {
			fmt.Fprintf(&b, " %s=%q", a[0], appendEscaped(nil, a[1], &valueEscapes))
		}
	}
	b.WriteString(">")
	if len(e.children) == 0 {
		b.Write(appendEscaped(nil, e.text, &textEscapes))
	}
	for _, c := range e.children {
		if !strings.HasPrefix(c.name, "OpenClinica") {
			b.WriteString(c.standard())
		}
	}
	b.WriteString("</" + e.name + ">")
	return b.String()
}

func TestWrittenDocumentsAreValid(t *testing.T) {
	schema := filepath.Join(data(t), "xsd", "cdisc-1.3.2", "ODM1-3-2.xsd")
	xmllint, err := exec.LookPath("xmllint")
	if err != nil {
		t.Skip("not run: xmllint is not installed")
	}
	dir := t.TempDir()
	args := []string{"--noout", "--nonet", "--schema", schema}
	add := func(name string, parts []Part) {
		path := filepath.Join(dir, name)
		doc := parse(t, mustWrite(t, NewXMLWriter, parts)).standard()
		if err := os.WriteFile(path, []byte(doc), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	for name, path := range map[string]string{ // golden files, among them what is given out, of which the moments are masked
		"study.xml":  filepath.Join("testdata", "study.xml"),
		"filled.xml": filepath.Join("..", "odmexport", "testdata", "filled.xml"),
		"tarn.xml":   filepath.Join("..", "..", "infra", "e2e", "testdata", "tarn", "retrieve.xml"),
	} {
		doc, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		add(name, mustRead(t, strings.ReplaceAll(string(doc), "<then>", "2026-03-01T12:00:00")))
	}
	others, err := filepath.Glob(filepath.Join(data(t), "*", "*.xml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range others {
		if strings.HasPrefix(filepath.Base(path), "import") {
			continue // what clients send is less than the schema wants
		}
		doc, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		add("of others "+filepath.Base(path), mustRead(t, string(doc)))
	}
	for seed := range uint64(20) {
		add(fmt.Sprint(seed, ".xml"), validDocument(rand.New(rand.NewPCG(seed, 2))))
	}
	if out, err := exec.Command(xmllint, args...).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// validDocument makes a document that means something: what is referred to is defined, and what has a type is of it.
func validDocument(g *rand.Rand) []Part {
	oid := func(prefix string, i int) string { return fmt.Sprintf("%s_%d", prefix, i) }
	text := func(s string) []TranslatedText { return []TranslatedText{{Lang: "en", Text: s}} }
	yesNo := []string{"Yes", "No"}
	types := []string{"text", "integer", "float", "date", "boolean", "partialDate"}
	items, groups, forms, events := 1+g.IntN(20), 1+g.IntN(5), 1+g.IntN(4), 1+g.IntN(4)

	version := MetaDataVersion{OID: "v1.0.0", Name: "MetaDataVersion_v1.0.0", Protocol: &Protocol{}}
	for i := range events {
		version.Protocol.StudyEventRef = append(version.Protocol.StudyEventRef,
			StudyEventRef{StudyEventOID: oid("SE", i), OrderNumber: fmt.Sprint(i + 1), Mandatory: "Yes"})
		version.StudyEventDef = append(version.StudyEventDef, StudyEventDef{
			OID: oid("SE", i), Name: oid("Event", i), Repeating: yesNo[g.IntN(2)], Type: []string{"Scheduled", "Unscheduled", "Common"}[g.IntN(3)],
			EventType: "Scheduled", FormRef: []FormRef{{FormOID: oid("F", g.IntN(forms)), Mandatory: "No", FormLayoutRef: []FormLayoutRef{{OID: "1"}}}},
		})
	}
	for i := range forms {
		version.FormDef = append(version.FormDef, FormDef{
			OID: oid("F", i), Name: oid("Form", i), Repeating: "No", Description: text("form"), FormLayoutDef: []FormLayoutDef{{OID: "1"}},
			ItemGroupRef: []ItemGroupRef{{ItemGroupOID: oid("IG", g.IntN(groups)), OrderNumber: "1", Mandatory: "No"}},
		})
	}
	for i := range groups {
		group := ItemGroupDef{OID: oid("IG", i), Name: oid("Group", i), Repeating: yesNo[g.IntN(2)], SASDatasetName: oid("G", i), Comment: "comment"}
		for j := range items {
			group.ItemRef = append(group.ItemRef, ItemRef{ItemOID: oid("I", j), OrderNumber: fmt.Sprint(j + 1), Mandatory: "No"})
		}
		version.ItemGroupDef = append(version.ItemGroupDef, group)
	}
	for i := range items {
		item := ItemDef{
			OID: oid("I", i), Name: oid("Item", i), DataType: types[g.IntN(len(types))], Length: "10", SASFieldName: oid("I", i), Comment: "comment", FormOID: "F_0",
			Question: &Question{QuestionNumber: "1", TranslatedText: []QuestionText{{Lang: "en", Text: "a < b?"}}},
		}
		if item.DataType == "float" {
			item.SignificantDigits = "6"
		}
		switch g.IntN(4) {
		case 0:
			item.CodeListOID = "CL_1"
		case 1:
			item.MultiSelectListID = "MSL_1"
		case 2:
			item.MeasurementUnitRef = []MeasurementUnitRef{{"MU_1"}}
			item.RangeCheck = []RangeCheck{{
				Comparator: "GE", SoftHard: "Soft", CheckValue: []CheckValue{{"1"}}, MeasurementUnitOID: "MU_1", ErrorMessage: text("too little"),
			}}
		}
		version.ItemDef = append(version.ItemDef, item)
	}
	version.CodeList = []CodeList{
		{OID: "CL_1", Name: "list", DataType: "text", CodeListItem: []CodeListItem{{CodedValue: "1", Rank: "1", Decode: text("one")}}},
		{OID: "CL_2", Name: "list", DataType: "text", EnumeratedItem: []EnumeratedItem{{CodedValue: "1"}, {CodedValue: "2"}}},
	}
	version.MultiSelectList = []MultiSelectList{{ID: "MSL_1", MultiSelectListItem: []MultiSelectListItem{{CodedOptionValue: "1", Decode: text("one")}}}}

	parts := []Part{
		&ODM{FileOID: "Study-MetaD", Description: "Study Metadata", CreationDateTime: "2027-01-15T08:30:00+00:00", FileType: "Snapshot", ODMVersion: "1.3"},
		&Study{
			OID: "S_1", GlobalVariables: &GlobalVariables{StudyName: "s", StudyDescription: "d", ProtocolName: "p"},
			MeasurementUnit: []MeasurementUnit{{OID: "MU_1", Name: "kg", Symbol: text("kg")}}, MetaDataVersion: []MetaDataVersion{version},
		},
		&AdminData{StudyOID: "S_1", User: []User{{OID: "USR_1", LoginName: "a", FullName: "A B", FirstName: "A", LastName: "B", Organization: "C"}}},
		&ClinicalData{StudyOID: "S_1", MetaDataVersionOID: "v1.0.0"},
	}
	for s := range 1 + g.IntN(3) {
		parts = append(parts, &SubjectData{SubjectKey: oid("SS", s), StudySubjectID: oid("P", s), Status: "Available"})
		for e := range events {
			parts = append(parts, &StudyEventData{StudyEventOID: oid("SE", e), StudyEventRepeatKey: "1", StartDate: "2027-01-02"},
				&FormData{FormOID: oid("F", g.IntN(forms)), FormLayoutOID: "1"})
			for k := range 1 + g.IntN(2) {
				group := &ItemGroupData{ItemGroupOID: oid("IG", g.IntN(groups)), ItemGroupRepeatKey: fmt.Sprint(k + 1), ItemGroupName: "g", TransactionType: "Insert"}
				for i := range items {
					group.ItemData = append(group.ItemData, ItemData{
						ItemOID: oid("I", i), ItemName: "i", Value: "1", NoValue: g.IntN(9) == 0, MeasurementUnitOID: []string{"", "MU_1"}[g.IntN(2)],
						AuditLog: []AuditLog{{ID: "AL_1", AuditType: "Item data value updated", NewValue: "1"}},
					})
					if last := &group.ItemData[i]; last.NoValue {
						last.IsNull, last.Value = "Yes", ""
					}
				}
				parts = append(parts, group)
			}
			parts = append(parts, &AuditLogs{AuditLog: []AuditLog{{ID: "AL_2"}}}, EndFormData, EndStudyEventData)
		}
		parts = append(parts, &SubjectGroupData{StudyGroupClassID: "SGC_1"}, EndSubjectData)
	}
	return append(parts, EndClinicalData)
}

// Documents of other systems keep what this package knows of them, and come out the same however often they go through.
// Where a .json lies beside one, that is its JSON.
func TestDocumentsOfOthers(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(data(t), "*", "*.xml"))
	if err != nil || len(files) == 0 {
		t.Fatal("there are no documents", err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			doc, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			parts := mustRead(t, string(doc))
			written := mustWrite(t, NewXMLWriter, parts)
			again := mustRead(t, written)
			if diff := cmp.Diff(parts, again); diff != "" {
				t.Fatalf("(-read +written and read):\n%s", diff)
			}
			same(t, parse(t, written).toJSON(""), mustWrite(t, asJSON(JSON{}), parts))
			if filepath.Base(name) == "retrieve.xml" {
				same(t, string(doc), written)
			}
			expected, err := os.ReadFile(strings.TrimSuffix(name, ".xml") + ".json")
			if errors.Is(err, fs.ErrNotExist) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := mustWrite(t, asJSON(JSON{NamespaceKeys: true}), parts)
			if filepath.Base(name) == "retrieve.xml" {
				same(t, string(expected), got)
			}
			if diff := cmp.Diff(converted(t, string(expected)), converted(t, got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// converted is JSON without what the writer decides: the order of attributes, the schema that is named, the white space
// around texts, and where namespaces are declared.
func converted(t *testing.T, doc string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(doc), &v); err != nil {
		t.Fatal(err)
	}
	var strip func(any) any
	strip = func(v any) any {
		switch v := v.(type) {
		case string:
			return strings.TrimSpace(v)
		case []any:
			for i := range v {
				v[i] = strip(v[i])
			}
		case map[string]any:
			for key := range v {
				if v[key] = strip(v[key]); strings.HasPrefix(key, "@xmlns") || key == "@xsi:schemaLocation" {
					delete(v, key)
				}
			}
		}
		return v
	}
	return strip(v)
}
