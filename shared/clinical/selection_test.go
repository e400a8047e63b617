package clinical

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/biobank"
	"aliquot/shared/odm"
)

func newJSON(w io.Writer) *odm.Writer { return odm.NewJSONWriter(w, odm.JSON{}) }

// elements are the parts of a document.
func elements(t *testing.T, doc string) (all []odm.Part) {
	t.Helper()
	for in := odm.NewReader(strings.NewReader(doc)); ; {
		p, err := in.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		switch v := p.(type) { // the reader uses these again
		case *odm.ODM:
			p = &odm.ODM{FileOID: v.FileOID, ODMVersion: v.ODMVersion}
		case *odm.ClinicalData:
			c := *v
			p = &c
		case *odm.SubjectData:
			c := *v
			p = &c
		case *odm.StudyEventData:
			c := *v
			p = &c
		case *odm.FormData:
			c := *v
			p = &c
		case *odm.ItemGroupData:
			c := *v
			c.ItemData = slices.Clone(v.ItemData)
			p = &c
		}
		all = append(all, p)
	}
}

// outline is a document's data in short: a line for each element down to the forms that holds nothing, else for what it holds.
func outline(parts []odm.Part) (lines []string) {
	var at []string
	leaf := false
	for _, p := range parts {
		switch p := p.(type) {
		case *odm.ClinicalData:
			at, leaf = append(at, p.StudyOID), true
		case *odm.SubjectData:
			at, leaf = append(at, p.SubjectKey), true
		case *odm.StudyEventData:
			at, leaf = append(at, strings.TrimSuffix(p.StudyEventOID+"#"+p.StudyEventRepeatKey, "#")), true
		case *odm.FormData:
			at, leaf = append(at, p.FormOID), true
		case odm.End:
			if leaf {
				lines = append(lines, strings.Join(at, " "))
			}
			at, leaf = at[:len(at)-1], false
		}
	}
	return lines
}

// Only what matches comes out, and no element around what does not (section 6.1): every combination of what is given and *,
// in XML and in JSON, whose arrays depend on how many there are.
func TestSelections(t *testing.T) {
	b := newBank(t).list()
	const (
		vitals = `<FormData FormOID="F_VITALS"><ItemGroupData ItemGroupOID="IG_MAIN"><ItemData ItemOID="I_AGE" Value="40"/></ItemGroupData></FormData>`
		ills   = `<FormData FormOID="F_ILLS"><ItemGroupData ItemGroupOID="IG_ILLS"><ItemData ItemOID="I_ILL" Value="Cough"/></ItemGroupData></FormData>`
		again  = `<StudyEventData StudyEventOID="SE_AGAIN" OpenClinica:StartDate="2026-03-05">%s</StudyEventData>`
		first  = `<StudyEventData StudyEventOID="SE_FIRST" OpenClinica:StartDate="2026-03-01">%s</StudyEventData>`
	)
	b.log(b.planner("o1", 1), document(`<SubjectData SubjectKey="SS_ANN">`+fmt.Sprintf(first, vitals)+fmt.Sprintf(again, vitals)+fmt.Sprintf(again, ills)+`</SubjectData>`+
		`<SubjectData SubjectKey="SS_BEN">`+fmt.Sprintf(again, vitals+ills)+`<StudyEventData StudyEventOID="SE_ILLS">`+ills+`</StudyEventData></SubjectData>`+
		`<SubjectData SubjectKey="SS_TWIN2">`+fmt.Sprintf(again, `<FormData FormOID="F_NONE"><ItemGroupData ItemGroupOID="IG_MAIN"/></FormData>`)+`</SubjectData>`))
	stored := []struct{ scope, subject, event, form string }{
		{"S_RIVER", "SS_ANN", "SE_FIRST", "F_VITALS"},
		{"S_RIVER", "SS_ANN", "SE_AGAIN#1", "F_VITALS"},
		{"S_RIVER", "SS_ANN", "SE_AGAIN#2", "F_ILLS"},
		{"S_NORTH", "SS_BEN", "SE_AGAIN#1", "F_VITALS"},
		{"S_NORTH", "SS_BEN", "SE_AGAIN#1", "F_ILLS"},
		{"S_NORTH", "SS_BEN", "SE_ILLS#1", "F_ILLS"},
		{"S_NORTH", "SS_TWIN1", "", ""},
		{"S_NORTH", "SS_GONE", "", ""},
		{"S_SOUTH", "SS_TWIN2", "SE_AGAIN#1", ""},
	}
	labels := map[string]string{"SS_ANN": "Ann", "SS_BEN": "Ben", "SS_TWIN1": "Twin", "SS_TWIN2": "Twin", "SS_GONE": "Gone"}
	events := map[string][]Occurrence{
		"*": nil, "SE_FIRST": {{"SE_FIRST", 0}}, "se_again": {{"se_again", 0}}, "SE_AGAIN[2]": {{"SE_AGAIN", 2}}, "SE_AGAIN[3]": {{"SE_AGAIN", 3}},
		"SE_ILLS,SE_FIRST": {{"SE_ILLS", 0}, {"SE_FIRST", 0}}, "SE_DIARY": {{"SE_DIARY", 0}}, "SE_NONE": {{"SE_NONE", 0}}, "SE_AGAIN[x]": {{"SE_AGAIN", -1}},
	}
	for _, participant := range []string{"", "SS_ANN", "Ann", "ss_ben", "Twin", "SS_NOBODY"} {
		for name, asked := range events {
			for _, form := range []string{"", "F_VITALS", "f_ills", "F_NONE"} {
				matches := func(event string) bool {
					oid, key, _ := strings.Cut(event, "#")
					return len(asked) == 0 || slices.ContainsFunc(asked, func(o Occurrence) bool {
						return Fold(o.Event) == oid && (o.Key == 0 || fmt.Sprint(o.Key) == key)
					})
				}
				var want []string
				for _, s := range stored {
					line := strings.TrimRight(strings.Join([]string{s.scope, s.subject, s.event, s.form}, " "), " ")
					switch {
					case participant != "" && Fold(participant) != s.subject && participant != labels[s.subject]:
					case form != "" && Fold(form) != s.form, !matches(s.event):
					default:
						want = append(want, line)
					}
				}
				change := func(r *Retrieval) { r.Participant, r.Events, r.Form = participant, asked, form }
				parts := elements(t, b.retrieve(change))
				if d := cmp.Diff(want, outline(parts)); d != "" {
					t.Errorf("%q/%s/%q (-want +got):\n%s", participant, name, form, d)
				}
				var plain bytes.Buffer
				w := newJSON(&plain)
				for _, p := range parts {
					if err := w.Write(p); err != nil {
						t.Fatal(err)
					}
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(plain.String(), b.retrieveBy(newJSON, change)); d != "" {
					t.Errorf("%q/%s/%q in JSON (-want +got):\n%s", participant, name, form, d)
				}
			}
		}
	}
}

// crowd is a store with many participants, of whom the last two have the event SE_AGAIN, with forms of large item groups if
// that is wanted. It counts what is read.
type crowd struct {
	biobank.Store
	t      *testing.T
	people int64
	groups int
	lists  int // partitions read
	gets   int
}

func (c *crowd) record(key biobank.Key, kind biobank.Type, id int64, doc any) *biobank.Record {
	body, err := json.Marshal(doc)
	if err != nil {
		c.t.Fatal(err)
	}
	return &biobank.Record{Key: key, Type: kind, ID: id, Version: 1, Doc: body, CreatedBy: 7}
}

func (c *crowd) event(id int64) *biobank.Record {
	return c.record(EventKey(id, "SE_AGAIN", 1), EventType, id, Event{
		OID: "SE_AGAIN", Key: 1, Status: EventStarted, Forms: map[string]*Form{"F_ILLS": {OID: "F_ILLS", Status: FormInitial, CreatedBy: 7}},
	})
}

// Records has the events.
func (c *crowd) Records(_ context.Context, keys []biobank.Key, _ bool) (map[biobank.Key]*biobank.Record, error) {
	c.gets += (len(keys) + 99) / 100
	out := map[biobank.Key]*biobank.Record{}
	for id := c.people - 1; id <= c.people; id++ {
		if rec := c.event(id); slices.Contains(keys, rec.Key) {
			out[rec.Key] = rec
		}
	}
	return out, nil
}

// List has the participants, and what each has.
func (c *crowd) List(_ context.Context, part, prefix, after string, limit int) (out []*biobank.Record, err error) {
	if part == ListKey(10, 0).Part {
		for id := int64(1); id <= c.people; id++ {
			if rec := c.record(ListKey(10, id), ListedType, id, Listed{OID: "SS", ID: id, Site: 10}); rec.Key.Sort > after && len(out) < limit {
				out = append(out, rec)
			}
		}
		return out, nil
	}
	c.lists++
	var id int64
	if _, err := fmt.Sscanf(part, "subject#%d", &id); err != nil {
		return nil, err
	}
	if after == "" && !strings.HasPrefix(prefix, "g") {
		out = append(out, c.record(SubjectKey(id), SubjectType, id, Subject{OID: fmt.Sprint("SS_", id), Label: "x", Study: 10, Site: 10}))
		if id >= c.people-1 {
			out = append(out, c.event(id))
		}
	}
	if prefix == "a" {
		return out, nil
	}
	first := 0
	if strings.HasPrefix(after, "g") {
		if _, err := fmt.Sscanf(after[strings.LastIndex(after, "/")+1:], "%d", &first); err != nil {
			return nil, err
		}
	}
	for n := first + 1; n <= c.groups && id >= c.people-1 && len(out) < limit; n++ {
		at := Path{Event: "SE_AGAIN", EventKey: 1, Form: "F_ILLS", Group: "IG_ILLS", GroupKey: n}
		out = append(out, c.record(GroupKey(id, at), GroupType, id, Group{OID: "IG_ILLS", Key: n, Values: map[string]string{"I_ILL": strings.Repeat("v", 100_000)}}))
	}
	return out, nil
}

// Who has nothing of what is asked for costs a hundredth of a read, and is not looked at again.
func TestSelectionAmongMany(t *testing.T) {
	get := func(people int64, event, form string) (*crowd, []string) {
		c := &crowd{t: t, people: people, groups: 1}
		doc := (&bank{t: t}).retrieve(func(r *Retrieval) {
			r.Store, r.Form, r.Scopes = c, form, r.Scopes[:1]
			if event != "" {
				r.Events = []Occurrence{{Event: event}}
			}
		})
		return c, outline(elements(t, doc))
	}
	for _, asked := range [][2]string{{"SE_AGAIN", ""}, {"", "F_ILLS"}, {"SE_AGAIN", "F_ILLS"}} {
		c, got := get(5000, asked[0], asked[1])
		if want := []string{"S_RIVER SS_4999 SE_AGAIN#1 F_ILLS", "S_RIVER SS_5000 SE_AGAIN#1 F_ILLS"}; !slices.Equal(got, want) {
			t.Errorf("%v: %v", asked, got)
		}
		if c.lists > 6 || c.gets > 2*5000/100*3 { // F_ILLS is in three events
			t.Errorf("%v: %d partitions were read, %d times events", asked, c.lists, c.gets)
		}
	}
	for _, asked := range [][2]string{{"SE_FIRST", "F_ILLS"}, {"SE_NONE", ""}, {"", "F_NONE"}} {
		if c, got := get(5000, asked[0], asked[1]); len(got) > 0 || c.lists+c.gets > 0 {
			t.Errorf("%v: %v after %d reads", asked, got, c.lists+c.gets)
		}
	}
	if c, got := get(300, "", ""); len(got) != 300 || c.lists != 300 || c.gets > 0 {
		t.Errorf("all: %d participants after %d and %d reads", len(got), c.lists, c.gets)
	}
	if c, got := get(5000, "SE_FIRST", ""); len(got) > 0 || c.lists > 0 || c.gets != 50 {
		t.Errorf("an event that nobody has: %v after %d reads", got, c.lists+c.gets)
	}
}

// A participant of any size is given out, in either form, with no more than a page of item groups in memory.
func TestOneLargeParticipant(t *testing.T) {
	for name, newWriter := range map[string]func(io.Writer) *odm.Writer{"XML": odm.NewXMLWriter, "JSON": newJSON} {
		c := &crowd{t: t, people: 1, groups: 800} // 80 MB
		r := &Retrieval{
			Store: c, Study: 10, Scopes: []Scope{{10, "S_RIVER", river()}},
			User: func(context.Context, int64) (Person, error) { return Person{7, "dora", "Dora Dee"}, nil },
		}
		if err := r.Find(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		var size, most uint64
		out := writerFunc(func(p []byte) { size += uint64(len(p)) })
		w := newWriter(out)
		if err := w.Write(&odm.ODM{}); err != nil {
			t.Fatal(err)
		}
		groups := 0
		emit := func(p odm.Part) error {
			if _, is := p.(*odm.ItemGroupData); is {
				if groups++; groups%300 == 0 {
					runtime.GC()
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					most = max(most, m.HeapAlloc)
				}
			}
			return w.Write(p)
		}
		if err := errors.Join(r.Data(t.Context(), emit, nil), w.Close()); err != nil {
			t.Fatal(err)
		}
		if size < 80_000_000 || groups != 800 {
			t.Errorf("%s: %d bytes, %d item groups", name, size, groups)
		}
		if most > 80<<20 { // the page as read and as decoded
			t.Errorf("%s: %d MiB were held", name, most>>20)
		}
	}
}

type writerFunc func(p []byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}
