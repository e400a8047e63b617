package odm

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
)

// manyItems is a document of ten-item groups, as parts and as XML. infra/bench compares with encoding/xml.
func manyItems(tb testing.TB, groups int) ([]Part, []byte) {
	tb.Helper()
	parts := []Part{&ODM{}, &ClinicalData{StudyOID: "S"}, &SubjectData{SubjectKey: "SS"}, &StudyEventData{StudyEventOID: "SE"}, &FormData{FormOID: "F"}}
	for k := range groups {
		group := &ItemGroupData{ItemGroupOID: "IG_SLEEP", ItemGroupRepeatKey: fmt.Sprint(k + 1)}
		for i := range 10 {
			group.ItemData = append(group.ItemData, ItemData{ItemOID: fmt.Sprintf("I_SLEEP_HOURS_%d", i), Value: fmt.Sprintf("%d.5", k)})
		}
		parts = append(parts, group)
	}
	parts = append(parts, EndFormData, EndStudyEventData, EndSubjectData, EndClinicalData)
	var doc bytes.Buffer
	if err := write(NewXMLWriter(&doc), parts); err != nil {
		tb.Fatal(err)
	}
	return parts, doc.Bytes()
}

func write(w *Writer, parts []Part) error {
	for _, p := range parts {
		if err := w.Write(p); err != nil {
			return err
		}
	}
	return w.Close()
}

func read(src io.Reader) error {
	r := NewReader(src)
	for {
		if _, err := r.Next(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// A further item costs no allocation, neither read nor written.
func TestAllocations(t *testing.T) {
	allocs := func(groups int, work func(parts []Part, doc []byte) error) float64 {
		parts, doc := manyItems(t, groups)
		return testing.AllocsPerRun(5, func() {
			if err := work(parts, doc); err != nil {
				t.Fatal(err)
			}
		})
	}
	for name, work := range map[string]func([]Part, []byte) error{
		"read":       func(_ []Part, doc []byte) error { return read(bytes.NewReader(doc)) },
		"write XML":  func(parts []Part, _ []byte) error { return write(NewXMLWriter(io.Discard), parts) },
		"write JSON": func(parts []Part, _ []byte) error { return write(NewJSONWriter(io.Discard, JSON{}), parts) },
	} {
		const few, many = 100, 1100
		perItem := (allocs(many, work) - allocs(few, work)) / ((many - few) * 10)
		if perItem > 0.02 {
			t.Errorf("%s: %.3f allocations for an item", name, perItem)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	_, doc := manyItems(b, 10_000)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if err := read(bytes.NewReader(doc)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	parts, doc := manyItems(b, 10_000)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if err := write(NewXMLWriter(io.Discard), parts); err != nil {
			b.Fatal(err)
		}
	}
}

// An audit trail costs one allocation for each item that has one.
func TestAllocationsOfAudits(t *testing.T) {
	doc := within(strings.Repeat(`<ItemData ItemOID="I" Value="1"><OpenClinica:AuditLogs EntityID="I"><OpenClinica:AuditLog ID="AL_1" NewValue="1"/></OpenClinica:AuditLogs></ItemData>`, 1000))
	if perItem := testing.AllocsPerRun(5, func() {
		if err := read(strings.NewReader(doc)); err != nil {
			t.Fatal(err)
		}
	}) / 1000; perItem > 2.2 {
		t.Errorf("%.1f allocations for an item", perItem)
	}
}
