package odm

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// From every place between two parts the rest of a document is read as it is read from its start, whatever the encoding.
func TestResume(t *testing.T) {
	study, err := os.ReadFile(filepath.Join("testdata", "study.xml"))
	if err != nil {
		t.Fatal(err)
	}
	latin1 := `<?xml version="1.0" encoding="ISO-8859-1"?>` + strings.Replace(within("<ItemData ItemOID=\"I\" Value=\"M\xfcller\"/>"),
		"<SubjectData", "<!-- \xe9\xe9\n --><SubjectData/><SubjectData", 1)
	for name, doc := range map[string]string{
		"study":                string(study),
		"byte order mark":      "\ufeff" + string(study),
		"ISO-8859-1":           latin1,
		"prefixes":             `<a:ODM xmlns:a="http://www.cdisc.org/ns/odm/v1.3"><a:ClinicalData xmlns:b="http://www.openclinica.org/ns/odm_ext_v130/v3.1"><a:SubjectData b:Status="x"/></a:ClinicalData></a:ODM>`,
		"prefixes that change": `<ODM xmlns:a="urn:x"><ClinicalData xmlns:a="http://www.openclinica.org/ns/odm_ext_v130/v3.1"><SubjectData a:Status="x"/></ClinicalData><a:ClinicalData/></ODM>`,
	} {
		t.Run(name, func(t *testing.T) {
			type found struct {
				part   Part
				offset int64
				mark   Mark
			}
			read := func(r *Reader) (all []found) {
				for {
					p, err := r.Next()
					if err == io.EOF {
						return all
					}
					if err != nil {
						t.Fatal(err)
					}
					all = append(all, found{copied(p), r.Offset(), r.Mark()})
				}
			}
			want := read(NewReader(strings.NewReader(doc)))
			if len(want) < 4 {
				t.Fatalf("only %d parts", len(want))
			}
			for i, at := range want {
				kept, err := json.Marshal(at.mark)
				if err != nil {
					t.Fatal(err)
				}
				var mark Mark
				if err := json.Unmarshal(kept, &mark); err != nil {
					t.Fatal(err)
				}
				got := read(Resume(strings.NewReader(doc[mark.Offset:]), mark))
				if diff := cmp.Diff(want[i+1:], got, cmp.AllowUnexported(found{})); diff != "" && len(want[i+1:])+len(got) > 0 {
					t.Fatalf("after part %d, %T (-want +got):\n%s", i, at.part, diff)
				}
			}
		})
	}
}

// What follows a mark is held to the same rules.
func TestResumeOfWhatIsNotValid(t *testing.T) {
	doc := within(`<ItemData ItemOID="I" Value="1"/>`)
	r := NewReader(strings.NewReader(doc))
	for range 3 {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	mark := r.Mark()
	for name, rest := range map[string]string{
		"cut off":           doc[mark.Offset : len(doc)-1],
		"nothing":           "",
		"another end":       "</Other>",
		"a second document": doc[mark.Offset:] + doc,
	} {
		r := Resume(strings.NewReader(rest), mark)
		var err error
		for err == nil {
			_, err = r.Next()
		}
		if err == io.EOF {
			t.Errorf("%s: it was read", name)
		}
	}
}
