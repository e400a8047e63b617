package odmexport

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/clinical"
	"aliquot/shared/odm"
)

// studies are those of a document.
func studies(t *testing.T, doc string) (all []*odm.Study) {
	t.Helper()
	for in := odm.NewReader(strings.NewReader(doc)); ; {
		part, err := in.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if s, is := part.(*odm.Study); is {
			all = append(all, s)
		}
	}
}

// The least that is taken comes out with all that the schema requires (shared/odm checks the golden file against it), and once
// more the same. ALIQUOT_GOLDEN=write writes the file.
func TestWhatIsMissingIsFilled(t *testing.T) {
	const least = `<ODM><Study OID="S_FEN"><GlobalVariables/>
		<BasicDefinitions><MeasurementUnit OID="MU_M"/></BasicDefinitions>
		<MetaDataVersion><Protocol><StudyEventRef StudyEventOID="SE_DIG"/></Protocol>
		<StudyEventDef OID="SE_DIG" Name="Dig" Repeating="No"><FormRef FormOID="F_PEAT"/></StudyEventDef>
		<StudyEventDef OID="SE_WALK" Name="Walk" Repeating="Yes" OpenClinica:EventType="Common"><FormRef FormOID="F_PEAT"/></StudyEventDef>
		<StudyEventDef OID="SE_FLOOD" Name="Flood" Repeating="Yes" Type="unscheduled"/>
		<FormDef OID="F_PEAT"><ItemGroupRef ItemGroupOID="IG_PEAT"/></FormDef>
		<ItemGroupDef OID="IG_PEAT"><ItemRef ItemOID="I_DEPTH"/><ItemRef ItemOID="I_COLOUR"/></ItemGroupDef>
		<ItemDef OID="I_DEPTH" DataType="float"><RangeCheck Comparator="GE"><CheckValue>0</CheckValue></RangeCheck></ItemDef>
		<ItemDef OID="I_COLOUR" DataType="text"><CodeListRef CodeListOID="CL_COLOUR"/></ItemDef>
		<CodeList OID="CL_COLOUR"><CodeListItem CodedValue="brown"/></CodeList>
		</MetaDataVersion></Study></ODM>`
	write := func(doc string) string {
		var out bytes.Buffer
		w := odm.NewXMLWriter(&out)
		head := &odm.ODM{FileOID: "Study-MetaD", CreationDateTime: "2026-03-01T12:00:00+00:00", FileType: "Snapshot", ODMVersion: "1.3"}
		if err := w.Write(head); err != nil {
			t.Fatal(err)
		}
		for _, s := range studies(t, doc) {
			fill(s, &clinical.Held{Study: clinical.Study{OID: "S_FEN", Name: "Fen", Unique: "FEN"}})
			if err := w.Write(s); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	got, path := write(least), filepath.Join("testdata", "filled.xml")
	if os.Getenv("ALIQUOT_GOLDEN") == "write" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range []string{got, write(got)} {
		if d := cmp.Diff(string(want), doc); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	}
}
