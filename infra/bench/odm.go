package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"iter"
	"os"
	"runtime"
	"slices"
	"time"

	"aliquot/shared/odm"
)

// The document that reading and writing are measured on: odmSubjects subjects of an event with a form of ten groups of
// ten items.
const (
	odmSubjects = 1_000
	odmGroups   = 10
	odmItems    = 10
	odmLarge    = 100 << 20 // bytes of the document whose memory is told
	odmStudy    = "S_HARBOR"
	// odmNightBytes is a little less than an event has.
	odmNightBytes = 9_000
)

// odmSpec is what a process that reads and writes ODM is told.
type odmSpec struct{ Turns int }

// odmTaken is what a way of reading or writing took.
type odmTaken struct {
	CPU    time.Duration // of the turn that took the least
	Allocs uint64        // of that turn
	Bytes  int           // of the document
	Items  int
}

// odm measures shared/odm against encoding/xml, and the memory that a large document takes.
func (b *bench) odm(ctx context.Context) error {
	env := append(os.Environ(), "GOMAXPROCS=2")
	if b.wants("odm.read_", "odm.write_", "odm.json_") {
		var took map[string]odmTaken
		if err := child(ctx, "odm", odmSpec{Turns: repeats}, env, &took); err != nil {
			return fmt.Errorf("read and write ODM: %w", err)
		}
		for _, kind := range []string{"read", "write", "json"} {
			ours := took[kind]
			figures := []figure{
				{Figure: "odm." + kind + "_mb_per_s", Unit: "MB/s", Value: float64(ours.Bytes) / 1e6 / ours.CPU.Seconds()},
				{Figure: "odm." + kind + "_allocs_per_item", Unit: "allocations", Value: float64(ours.Allocs) / float64(ours.Items)},
			}
			if std, is := took[kind+" by encoding/xml"]; is {
				figures = append(figures, figure{
					Figure: "odm." + kind + "_vs_encoding_xml", Unit: "x CPU", Value: ours.CPU.Seconds() / std.CPU.Seconds(),
					Note: fmt.Sprintf("encoding/xml: %.0f MB/s, %.1f allocations an item",
						float64(std.Bytes)/1e6/std.CPU.Seconds(), float64(std.Allocs)/float64(std.Items)),
				})
			}
			for _, f := range figures {
				f.Rows = ours.Items
				if err := b.report(f); err != nil {
					return err
				}
			}
		}
	}
	if !b.wants("odm.rss_mib_100mb") {
		return nil
	}
	var m measured
	if err := child(ctx, "odm-large", odmSpec{}, env, &m); err != nil {
		return fmt.Errorf("read and write 100 MB of ODM: %w", err)
	}
	return b.report(figure{
		Figure: "odm.rss_mib_100mb", Unit: "MiB", Value: float64(m.PeakRSS) / mib,
		Note: "read, and written as XML and as JSON, in one process",
	})
}

// runODM reads and writes a document in every way, in turns, so that what else the machine does slows them all. What is
// written is made before.
func runODM(_ context.Context, doc []byte) error {
	var spec odmSpec
	if err := json.Unmarshal(doc, &spec); err != nil {
		return err
	}
	var subjects []xmlSubject
	for s := range odmSubjects {
		subjects = append(subjects, newXMLSubject(s))
	}
	parts := slices.Values(slices.Collect(odmParts(odmSubjects, 1)))
	var text bytes.Buffer
	if err := odmWrite(odm.NewXMLWriter(&text), odmStudy, parts); err != nil {
		return err
	}
	const items = odmSubjects * odmGroups * odmItems
	ways := []struct {
		name string
		work func(out *written) (items int, err error)
	}{
		{"read", func(*written) (int, error) { return odmRead(bytes.NewReader(text.Bytes())) }},
		// The least that can be done with encoding/xml: look at the tokens, and keep nothing.
		{"read by encoding/xml", func(*written) (int, error) { return xmlTokens(bytes.NewReader(text.Bytes())) }},
		{"write", func(out *written) (int, error) { return items, odmWrite(odm.NewXMLWriter(out), odmStudy, parts) }},
		{"write by encoding/xml", func(out *written) (int, error) { return items, xmlWrite(out, subjects) }},
		{"json", func(out *written) (int, error) {
			return items, odmWrite(odm.NewJSONWriter(out, odm.JSON{}), odmStudy, parts)
		}},
	}
	took := map[string]odmTaken{}
	for range spec.Turns {
		for _, way := range ways {
			out := new(written)
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start, err := cpuTime()
			if err != nil {
				return err
			}
			n, err := way.work(out)
			if err != nil || n != items {
				return fmt.Errorf("%s: %d items of %d: %w", way.name, n, items, err)
			}
			end, err := cpuTime()
			if err != nil {
				return err
			}
			runtime.ReadMemStats(&after)
			least, is := took[way.name]
			if !is || end-start < least.CPU {
				least = odmTaken{CPU: end - start, Allocs: after.Mallocs - before.Mallocs, Items: items, Bytes: int(*out)}
				if least.Bytes == 0 {
					least.Bytes = text.Len()
				}
			}
			took[way.name] = least
		}
	}
	return json.NewEncoder(os.Stdout).Encode(took)
}

// runODMLarge reads a large document as it is made, and writes it as it is read.
func runODMLarge(context.Context, []byte) error {
	return measure(func() error {
		from, to := io.Pipe()
		go func() {
			to.CloseWithError(odmWrite(odm.NewXMLWriter(to), odmStudy, odmParts(odmLarge/odmNightBytes, 1)))
		}()
		var size written
		r := odm.NewReader(io.TeeReader(from, &size))
		outs := []*odm.Writer{odm.NewXMLWriter(io.Discard), odm.NewJSONWriter(io.Discard, odm.JSON{})}
		for {
			p, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				return err
			}
			for _, w := range outs {
				if err := w.Write(p); err != nil {
					return err
				}
				if _, is := p.(*odm.ODM); is {
					if err := w.Write(odm.Coming(1)); err != nil {
						return err
					}
				}
			}
		}
		if size < odmLarge {
			return fmt.Errorf("the document had %d bytes only", size)
		}
		for _, w := range outs {
			if err := w.Close(); err != nil {
				return err
			}
		}
		return nil
	})
}

// written counts what is written.
type written int

func (w *written) Write(p []byte) (int, error) {
	*w += written(len(p))
	return len(p), nil
}

func odmRead(src io.Reader) (items int, err error) {
	r := odm.NewReader(src)
	for {
		p, err := r.Next()
		if err == io.EOF {
			return items, nil
		}
		if err != nil {
			return items, err
		}
		if g, is := p.(*odm.ItemGroupData); is {
			items += len(g.ItemData)
		}
	}
}

// odmWrite writes a document of a study's subjects.
func odmWrite(w *odm.Writer, study string, subjects iter.Seq[odm.Part]) error {
	for _, p := range []odm.Part{&odm.ODM{}, odm.Coming(1), &odm.ClinicalData{StudyOID: study}} {
		if err := w.Write(p); err != nil {
			return err
		}
	}
	for p := range subjects {
		if err := w.Write(p); err != nil {
			return err
		}
	}
	if err := w.Write(odm.EndClinicalData); err != nil {
		return err
	}
	return w.Close()
}

func xmlTokens(src io.Reader) (items int, err error) {
	d := xml.NewDecoder(src)
	for {
		t, err := d.Token()
		if err == io.EOF {
			return items, nil
		}
		if err != nil {
			return items, err
		}
		if start, is := t.(xml.StartElement); is && start.Name.Local == "ItemData" {
			items++
		}
	}
}

func xmlWrite(dst io.Writer, subjects []xmlSubject) error {
	e := xml.NewEncoder(dst)
	e.Indent("", "    ")
	for i := range subjects {
		if err := e.Encode(&subjects[i]); err != nil {
			return err
		}
	}
	return e.Close()
}

// The values of the documents.
func odmGroupKey(g int) string      { return fmt.Sprint(g + 1) }
func odmItemOID(i int) string       { return fmt.Sprintf("I_SLEEP_HOURS_%d", i) }
func odmValue(s, g, i int) string   { return fmt.Sprintf("%d.%d", (s*31+g)%24, i) }
func odmKey(s int) (string, string) { return fmt.Sprintf("SS_H%05d", s), fmt.Sprintf("H-%05d", s) }

// odmParts are so many subjects with so many events each.
func odmParts(subjects, nights int) iter.Seq[odm.Part] {
	return func(yield func(odm.Part) bool) {
		for s := range subjects {
			key, id := odmKey(s)
			if !yield(&odm.SubjectData{SubjectKey: key, StudySubjectID: id, Status: "Available"}) {
				return
			}
			for n := range nights {
				for _, p := range odmNight(s, n+1) {
					if !yield(p) {
						return
					}
				}
			}
			if !yield(odm.EndSubjectData) {
				return
			}
		}
	}
}

// odmNight is an event as parts, some odmNightBytes of XML.
func odmNight(s, repeat int) []odm.Part {
	parts := odmForm(repeat)
	for g := range odmGroups {
		parts = append(parts, odmGroup(s, g))
	}
	return append(parts, odm.EndFormData, odm.EndStudyEventData)
}

// odmForm is the beginning of an event with its form.
func odmForm(repeat int) []odm.Part {
	return []odm.Part{
		&odm.StudyEventData{StudyEventOID: "SE_NIGHT", StudyEventRepeatKey: fmt.Sprint(repeat), StartDate: "2027-01-03"},
		&odm.FormData{FormOID: "F_SLEEP", FormLayoutOID: "1", Status: "initial data entry"},
	}
}

func odmGroup(s, g int) *odm.ItemGroupData {
	group := &odm.ItemGroupData{ItemGroupOID: "IG_SLEEP", ItemGroupRepeatKey: odmGroupKey(g), TransactionType: "Insert"}
	for i := range odmItems {
		group.ItemData = append(group.ItemData, odm.ItemData{ItemOID: odmItemOID(i), ItemName: "HOURS", Value: odmValue(s, g, i)})
	}
	return group
}

// odmOneForm is one subject with one form of so many groups.
func odmOneForm(groups int) iter.Seq[odm.Part] {
	return func(yield func(odm.Part) bool) {
		key, id := odmKey(0)
		before := append([]odm.Part{&odm.SubjectData{SubjectKey: key, StudySubjectID: id}}, odmForm(1)...)
		for _, p := range before {
			if !yield(p) {
				return
			}
		}
		for g := range groups {
			if !yield(odmGroup(0, g)) {
				return
			}
		}
		for _, p := range []odm.Part{odm.EndFormData, odm.EndStudyEventData, odm.EndSubjectData} {
			if !yield(p) {
				return
			}
		}
	}
}

// The same for encoding/xml, with the prefix in the names, since it would declare the namespace at each.
type (
	xmlSubject struct {
		XMLName        xml.Name `xml:"SubjectData"`
		SubjectKey     string   `xml:",attr"`
		StudySubjectID string   `xml:"OpenClinica:StudySubjectID,attr"`
		Status         string   `xml:"OpenClinica:Status,attr"`
		StudyEventData xmlEvent
	}
	xmlEvent struct {
		StudyEventOID       string `xml:",attr"`
		StudyEventRepeatKey string `xml:",attr"`
		StartDate           string `xml:"OpenClinica:StartDate,attr"`
		FormData            xmlForm
	}
	xmlForm struct {
		FormOID       string `xml:",attr"`
		FormLayoutOID string `xml:"OpenClinica:FormLayoutOID,attr"`
		Status        string `xml:"OpenClinica:Status,attr"`
		ItemGroupData []xmlGroup
	}
	xmlGroup struct {
		ItemGroupOID       string `xml:",attr"`
		ItemGroupRepeatKey string `xml:",attr"`
		TransactionType    string `xml:",attr"`
		ItemData           []xmlItem
	}
	xmlItem struct {
		ItemOID  string `xml:",attr"`
		ItemName string `xml:"OpenClinica:ItemName,attr"`
		Value    string `xml:",attr"`
	}
)

func newXMLSubject(s int) xmlSubject {
	key, id := odmKey(s)
	form := xmlForm{FormOID: "F_SLEEP", FormLayoutOID: "1", Status: "initial data entry"}
	for g := range odmGroups {
		group := xmlGroup{ItemGroupOID: "IG_SLEEP", ItemGroupRepeatKey: odmGroupKey(g), TransactionType: "Insert"}
		for i := range odmItems {
			group.ItemData = append(group.ItemData, xmlItem{ItemOID: odmItemOID(i), ItemName: "HOURS", Value: odmValue(s, g, i)})
		}
		form.ItemGroupData = append(form.ItemGroupData, group)
	}
	return xmlSubject{
		SubjectKey: key, StudySubjectID: id, Status: "Available",
		StudyEventData: xmlEvent{StudyEventOID: "SE_NIGHT", StudyEventRepeatKey: "1", StartDate: "2027-01-03", FormData: form},
	}
}
