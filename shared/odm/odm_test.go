package odm

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// readAll gives the parts of a document, each a copy of its own.
func readAll(src io.Reader) ([]Part, error) {
	var parts []Part
	r := NewReader(src)
	for {
		p, err := r.Next()
		if err == io.EOF {
			return parts, nil
		}
		if err != nil {
			return parts, err
		}
		parts = append(parts, copied(p))
	}
}

func copied(p Part) Part {
	switch p := p.(type) {
	case *ClinicalData:
		c := *p
		return &c
	case *SubjectData:
		c := *p
		return &c
	case *StudyEventData:
		c := *p
		return &c
	case *FormData:
		c := *p
		return &c
	case *ItemGroupData:
		c := *p
		c.ItemData = slices.Clone(p.ItemData)
		return &c
	}
	return p
}

func mustRead(t *testing.T, doc string) []Part {
	t.Helper()
	parts, err := readAll(strings.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	return parts
}

func mustWrite(t *testing.T, newWriter func(io.Writer) *Writer, parts []Part) string {
	t.Helper()
	var doc bytes.Buffer
	w := newWriter(&doc)
	for _, p := range parts {
		if err := w.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return doc.String()
}

func asJSON(j JSON) func(io.Writer) *Writer {
	return func(dst io.Writer) *Writer { return NewJSONWriter(dst, j) }
}

// golden compares what leaves the building with a file of testdata; ALIQUOT_GOLDEN=write writes the file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("ALIQUOT_GOLDEN") == "write" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// The document holds every element that a retrieval writes.
func TestRetrievalComesOutAsItWentIn(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("testdata", "study.xml"))
	if err != nil {
		t.Fatal(err)
	}
	parts := mustRead(t, string(doc))
	golden(t, "study.xml", mustWrite(t, NewXMLWriter, parts))
	golden(t, "study.json", mustWrite(t, asJSON(JSON{}), parts))
	golden(t, "study-namespaces.json", mustWrite(t, asJSON(JSON{NamespaceKeys: true}), told(parts)))
}

func TestWriterRefusesWhatIsOutOfPlace(t *testing.T) {
	root, clinical, subject, event, form := &ODM{}, &ClinicalData{}, &SubjectData{}, &StudyEventData{}, &FormData{}
	tests := []struct {
		name  string
		parts []Part
	}{
		{"no root", []Part{clinical}},
		{"two roots", []Part{root, root}},
		{"a form outside an event", []Part{root, clinical, subject, form}},
		{"an end too many", []Part{root, EndClinicalData}},
		{"the end of another element", []Part{root, clinical, subject, EndFormData}},
		{"a study after the data", []Part{root, clinical, EndClinicalData, &Study{}}},
		{"a group after the audits", []Part{root, clinical, subject, event, form, &AuditLogs{}, &ItemGroupData{}}},
		{"an event after the audits", []Part{root, clinical, subject, &AuditLogs{}, event}},
		{"audits after the notes", []Part{root, clinical, subject, &DiscrepancyNotes{}, &AuditLogs{}}},
		{"audits outside a subject", []Part{root, clinical, &AuditLogs{}}},
		{"a signature after a form", []Part{root, clinical, subject, event, form, EndFormData, &Signature{}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := NewXMLWriter(io.Discard)
			last := len(tt.parts) - 1
			for _, p := range tt.parts[:last] {
				if err := w.Write(p); err != nil {
					t.Fatal(err)
				}
			}
			if w.Write(tt.parts[last]) == nil {
				t.Error("it was written")
			}
			if w.Close() == nil {
				t.Error("a document that failed was closed as if it were whole")
			}
		})
	}
}

func TestWriterIsClosedOnce(t *testing.T) {
	w := NewXMLWriter(io.Discard)
	if w.Close() == nil {
		t.Error("a document without a root was closed")
	}
	w = NewXMLWriter(io.Discard)
	if err := errors.Join(w.Write(&ODM{}), w.Close()); err != nil {
		t.Fatal(err)
	}
	if w.Close() == nil || w.Write(&Study{}) == nil {
		t.Error("a closed document was written to")
	}
}

var errFull = errors.New("full")

// full is a destination that takes n bytes.
type full struct{ n int }

func (f *full) Write(p []byte) (int, error) {
	if f.n -= len(p); f.n < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestWriterTellsThatTheDestinationRefuses(t *testing.T) {
	study := &Study{OID: "S", MetaDataVersion: []MetaDataVersion{{ItemDef: make([]ItemDef, 10_000)}}}
	for name, newWriter := range map[string]func(io.Writer) *Writer{"XML": NewXMLWriter, "JSON": asJSON(JSON{})} {
		for _, room := range []int{0, 50_000} {
			w := newWriter(&full{room})
			err := w.Write(&ODM{})
			for range 5 {
				if err == nil {
					err = w.Write(study)
				}
			}
			if err == nil {
				err = w.Close()
			}
			if !errors.Is(err, errFull) {
				t.Errorf("%s with room for %d bytes: %v", name, room, err)
			}
		}
	}
}

// What XML cannot hold does not make a document that nobody can read.
func TestCharactersThatXMLCannotHoldAreReplaced(t *testing.T) {
	group := &ItemGroupData{ItemData: []ItemData{{ItemOID: "I", Value: "a\x00b\x1b\xffc\uffffd\te\r\nf]]>&<\"'>é😀"}}}
	parts := []Part{
		&ODM{}, &ClinicalData{}, &SubjectData{}, &StudyEventData{}, &FormData{}, group,
		EndFormData, EndStudyEventData, EndSubjectData, EndClinicalData,
	}
	const want = "a\ufffdb\ufffd\ufffdc\ufffdd\te\r\nf]]>&<\"'>é😀"
	for _, p := range mustRead(t, mustWrite(t, NewXMLWriter, parts)) {
		if g, is := p.(*ItemGroupData); is && g.ItemData[0].Value != want {
			t.Errorf("got %q, want %q", g.ItemData[0].Value, want)
		}
	}
	var doc any
	if err := json.Unmarshal([]byte(mustWrite(t, asJSON(JSON{}), parts)), &doc); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"ClinicalData", "SubjectData", "StudyEventData", "FormData", "ItemGroupData", "ItemData"} {
		doc = doc.(map[string]any)[key]
	}
	if got := doc.(map[string]any)["@Value"]; got != want {
		t.Errorf("JSON: got %q, want %q", got, want)
	}
}
