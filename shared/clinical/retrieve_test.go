package clinical

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/biobank"
	"aliquot/shared/odm"
)

// list puts the participants into the list of the study.
func (b *bank) list() *bank {
	b.t.Helper()
	for key, rec := range b.AllRecords() {
		if rec.Type != SubjectType {
			continue
		}
		s := decode[Subject](b.t, b, key)
		doc, err := json.Marshal(Listed{OID: s.OID, Label: s.Label, Site: s.Site, ID: rec.ID})
		if err != nil {
			b.t.Fatal(err)
		}
		_, err = b.Transact(b.t.Context(), []biobank.Write{{Kind: biobank.InsertRecord, Record: &biobank.Record{
			Key: ListKey(s.Study, rec.ID), Type: ListedType, ID: rec.ID, Version: 1, Doc: doc,
		}}})
		if err != nil {
			b.t.Fatal(err)
		}
	}
	return b
}

// retrieve gives the data out as XML.
func (b *bank) retrieve(change func(*Retrieval)) string {
	b.t.Helper()
	return b.retrieveBy(odm.NewXMLWriter, change)
}

func (b *bank) retrieveBy(newWriter func(io.Writer) *odm.Writer, change func(*Retrieval)) string {
	b.t.Helper()
	meta := river()
	r := &Retrieval{
		Store: b, Study: 10, Scopes: []Scope{{10, "S_RIVER", meta}, {11, "S_NORTH", meta}, {12, "S_SOUTH", meta}},
		User: func(_ context.Context, id int64) (Person, error) {
			return map[int64]Person{7: {7, "dora", "Dora Dee"}, 8: {8, "max", "Max Em"}}[id], nil
		},
	}
	if change != nil {
		change(r)
	}
	var out bytes.Buffer
	w := newWriter(&out)
	if err := w.Write(&odm.ODM{FileOID: "F", ODMVersion: "1.3"}); err != nil {
		b.t.Fatal(err)
	}
	if err := r.Find(b.t.Context(), nil); err != nil {
		b.t.Fatal(err)
	}
	if err := r.Data(b.t.Context(), w.Write, nil); err != nil {
		b.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.t.Fatal(err)
	}
	return out.String()
}

func TestRetrieve(t *testing.T) {
	b := newBank(t).list()
	b.log(b.planner("o1", 1), rich("F"))
	b.log(b.planner("o2", 2), document(`<SubjectData SubjectKey="SS_ANN"><StudyEventData StudyEventOID="SE_FIRST"><FormData FormOID="F_VITALS">
		<ItemGroupData ItemGroupOID="IG_MAIN"><ItemData ItemOID="I_SEX" Value="M"/></ItemGroupData></FormData></StudyEventData></SubjectData>`))
	got := b.retrieve(func(r *Retrieval) { r.Audits, r.Notes, r.Participant = true, true, "Ann" })
	for _, want := range []string{
		`<SubjectData SubjectKey="SS_ANN" OpenClinica:StudySubjectID="Ann" OpenClinica:Status="Available">`,
		`<StudyEventData StudyEventOID="SE_FIRST" OpenClinica:EventName="SE_FIRST" OpenClinica:StartDate="2026-03-01" OpenClinica:Status="completed" OpenClinica:WorkflowStatus="completed" OpenClinica:Removed="No" OpenClinica:Archived="No" OpenClinica:Locked="No" OpenClinica:Signed="No">`,
		`OpenClinica:CreatedDate="2026-03-02T09:00:01" OpenClinica:CreatedBy="dora" OpenClinica:UpdatedDate="2026-03-02T09:00:02"`,
		`DateTimeStamp="2026-03-02T09:00:01" AuditType="Item data value updated" NewValue="F" ValueType="I_SEX"/>`,
		`DateTimeStamp="2026-03-02T09:00:02" AuditType="Item data value updated" ReasonForChange="Update via Import" OldValue="F" NewValue="M" ValueType="I_SEX"/>`,
		`AuditType="Study Event signed status changed" OldValue="No" NewValue="Yes" ValueType="Signed" Details="I have seen it [Signed Externally]"/>`,
		`AuditType="Event CRF workflow status changed" OldValue="initial data entry" NewValue="data entry complete" ValueType="WorkflowStatus"/>`,
		`AuditType="Event CRF SDV Status updated" NewValue="Verified" ValueType="SdvStatus"/>`,
		`AuditType="Event CRF SDV Status updated" OldValue="Verified" NewValue="Changed since verified" ValueType="SdvStatus"/>`,
		`AuditType="Study Event signed status changed" OldValue="Yes" NewValue="No" ValueType="Signed"/>`,
		`<OpenClinica:DiscrepancyNote ID="Q1" Status="Closed Modified" NoteType="Query" DateUpdated="2026-03-02T09:00:02" EntityName="I_SEX" NumberOfChildNotes="3">`,
		`<StudyEventData StudyEventOID="SE_ILLS" StudyEventRepeatKey="1"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing", want)
		}
	}
	if strings.Contains(got, "SS_BEN") || strings.Contains(got, "S_NORTH") {
		t.Error("another participant is given out")
	}
	if t.Failed() {
		t.Log(got)
	}
	for name, change := range map[string]func(*Retrieval){
		"an event":        func(r *Retrieval) { r.Events = []Occurrence{{Event: "se_first"}} },
		"a repeat":        func(r *Retrieval) { r.Events = []Occurrence{{Event: "SE_FIRST", Key: 1}} },
		"a form":          func(r *Retrieval) { r.Form = "f_vitals" },
		"no such repeat":  func(r *Retrieval) { r.Events = []Occurrence{{Event: "SE_FIRST", Key: 2}} },
		"nobody":          func(r *Retrieval) { r.Participant = "SS_NOBODY" },
		"another's scope": func(r *Retrieval) { r.Scopes = r.Scopes[1:2] },
	} {
		got := b.retrieve(change)
		some := strings.Contains(got, "F_VITALS")
		if want := name == "an event" || name == "a repeat" || name == "a form"; some != want {
			t.Errorf("%s: the form is given out: %t", name, some)
		}
		if strings.Contains(got, "F_ILLS") && some {
			t.Errorf("%s: another form is given out", name)
		}
		if name == "nobody" && strings.Contains(got, "ClinicalData") {
			t.Errorf("%s: %s", name, got)
		}
		if strings.Contains(got, "AuditLog") || strings.Contains(got, "DiscrepancyNote") {
			t.Errorf("%s: more is given out than was asked for", name)
		}
	}
}

// randomDocument has values of all kinds for two participants.
func randomDocument(r *rand.Rand) string {
	value := func(oid, v string) string { return fmt.Sprintf(`<ItemData ItemOID=%q Value=%q/>`, oid, v) }
	vitals := func() string {
		main := ""
		for oid, v := range map[string]string{
			"I_SEX": []string{"F", "M", ""}[r.IntN(3)], "I_AGE": fmt.Sprint(r.IntN(90)), "I_DAY": fmt.Sprintf("2025-%02d-11", 1+r.IntN(12)),
			"I_ANY": []string{"&lt;x&gt; &amp; 'y'", "Grüße", " two  blanks ", "null", "[1,2]"}[r.IntN(5)],
		} {
			if r.IntN(3) > 0 {
				main += value(oid, v)
			}
		}
		out := `<FormData FormOID="F_VITALS" OpenClinica:Status="` + []string{"complete", "initial data entry"}[r.IntN(2)] + `">`
		if main != "" {
			out += `<ItemGroupData ItemGroupOID="IG_MAIN">` + main + `</ItemGroupData>`
		}
		for range 1 + r.IntN(3) {
			out += `<ItemGroupData ItemGroupOID="IG_ROWS">` + value("I_ROW", fmt.Sprintf("%d.5", r.IntN(100))) + `</ItemGroupData>`
		}
		return out + `</FormData>`
	}
	ills := func() string {
		return `<FormData FormOID="F_ILLS"><ItemGroupData ItemGroupOID="IG_ILLS">` + value("I_ILL", fmt.Sprint("ill ", r.IntN(9))) + `</ItemGroupData></FormData>`
	}
	doc := ""
	for _, who := range []string{"SS_ANN", "SS_BEN"} {
		doc += `<SubjectData SubjectKey="` + who + `"><StudyEventData StudyEventOID="SE_FIRST" OpenClinica:StartDate="2026-03-01">` + vitals() + `</StudyEventData>`
		for range r.IntN(4) {
			doc += `<StudyEventData StudyEventOID="SE_AGAIN" OpenClinica:StartDate="2026-03-05">` + vitals() + ills() + `</StudyEventData>`
		}
		for range r.IntN(3) {
			doc += `<StudyEventData StudyEventOID="SE_ILLS">` + ills() + `</StudyEventData>`
		}
		doc += `<StudyEventData StudyEventOID="SE_DIARY">` + ills() + `</StudyEventData></SubjectData>`
	}
	return document(doc)
}

// What was given out can be taken again: where it came from it changes nothing, and where there is nothing it makes the
// same.
func TestOutAndInAgain(t *testing.T) {
	for seed := range uint64(60) {
		b := newBank(t).list()
		for _, line := range b.log(b.planner("o1", 1), randomDocument(rand.New(rand.NewPCG(seed, 1)))) {
			if !strings.HasSuffix(line, " Inserted") {
				t.Fatalf("seed %d: %s", seed, line)
			}
		}
		out := b.retrieve(func(r *Retrieval) { r.Scopes = r.Scopes[:2] })
		before := b.AllRecords()
		for _, line := range b.log(b.planner("o2", 2), out) {
			if !strings.HasSuffix(line, " No Change") && !strings.HasPrefix(line, "SS_TWIN1") && !strings.HasPrefix(line, "SS_GONE") {
				t.Fatalf("seed %d, taken again: %s", seed, line)
			}
		}
		if d := cmp.Diff(before, b.AllRecords()); d != "" {
			t.Fatalf("seed %d, taken again (-before +after):\n%s", seed, d)
		}
		other := newBank(t).list()
		other.log(other.planner("o1", 1), out)
		if d := cmp.Diff(out, other.retrieve(func(r *Retrieval) { r.Scopes = r.Scopes[:2] })); d != "" {
			t.Fatalf("seed %d, taken elsewhere (-there +here):\n%s", seed, d)
		}
	}
}

// The OID of a version asks for the data in that version, the form's for those in all.
func TestDataOfAVersion(t *testing.T) {
	b := newBank(t).list()
	visit := func(n int, layout string) string {
		return fmt.Sprintf(`<StudyEventData StudyEventOID="SE_AGAIN" OpenClinica:StartDate="2026-03-0%d"><FormData FormOID="F_VITALS" OpenClinica:FormLayoutOID="%s">`+
			`<ItemGroupData ItemGroupOID="IG_MAIN"><ItemData ItemOID="I_AGE" Value="4%[1]d"/></ItemGroupData></FormData></StudyEventData>`, n, layout)
	}
	b.log(b.planner("o1", 1), document(`<SubjectData SubjectKey="SS_ANN">`+visit(1, "1")+visit(2, "2")+`</SubjectData>`))
	meta := river()
	layouts := meta.Form("F_VITALS").Layouts
	layouts[0].OID, layouts[1].OID = "F_VITALS_V1", "F_VITALS_V2"
	meta.index()
	for form, want := range map[string]string{"F_VITALS": "41 42", "f_vitals_v1": "41", "F_VITALS_V2": "42", "F_VITALS_V3": ""} {
		got := b.retrieve(func(r *Retrieval) { r.Form, r.Scopes = form, []Scope{{10, "S_RIVER", meta}} })
		var values []string
		for _, age := range []string{"41", "42"} {
			if strings.Contains(got, `Value="`+age+`"`) {
				values = append(values, age)
			}
		}
		if strings.Join(values, " ") != want || strings.Count(got, "<StudyEventData") != len(values) {
			t.Errorf("%s gives %q:\n%s", form, values, got)
		}
	}
}

// What is archived in the definition is given out with the others on request only, and told to be archived.
func TestArchivedDefinitions(t *testing.T) {
	b := newBank(t).list()
	b.log(b.planner("o1", 1), rich("F"))
	for name, change := range map[string]func(*Metadata){
		"event":   func(m *Metadata) { m.Event("SE_FIRST").Archived = true },
		"form":    func(m *Metadata) { m.Form("F_VITALS").Archived = true },
		"version": func(m *Metadata) { m.Form("F_VITALS").Layouts[0].Archived = true },
		"form in the event": func(m *Metadata) {
			m.Event("SE_FIRST").Forms[0].Archived = true
		},
	} {
		get := func(archived bool) (event, form string) {
			meta := river()
			change(meta)
			for line := range strings.SplitSeq(b.retrieve(func(r *Retrieval) {
				r.Archived, r.Participant, r.Scopes = archived, "Ann", []Scope{{10, "S_RIVER", meta}}
				r.Events = []Occurrence{{Event: "SE_FIRST"}}
			}), "\n") {
				if strings.Contains(line, "<StudyEventData") {
					event = line
				}
				if strings.Contains(line, "<FormData") {
					form = line
				}
			}
			return event, form
		}
		if event, form := get(false); form != "" || name == "event" && event != "" {
			t.Errorf("%s: unasked\n%s\n%s", name, event, form)
		}
		event, form := get(true)
		if strings.Contains(event, `OpenClinica:Archived="Yes"`) != (name == "event") ||
			!strings.Contains(form, `OpenClinica:Archived="Yes"`) || !strings.Contains(form, `OpenClinica:Status="invalid"`) {
			t.Errorf("%s:\n%s\n%s", name, event, form)
		}
	}
}

// While an import is writing, what it signed is told as nobody's: not as the work of who made the event.
func TestAuditsWhileAnImportIsWriting(t *testing.T) {
	const form = `<FormData FormOID="F_VITALS" OpenClinica:Status="complete"><ItemGroupData ItemGroupOID="IG_MAIN"><ItemData ItemOID="I_SEX" Value="F"/></ItemGroupData></FormData></StudyEventData></SubjectData>`
	audits := func(b *bank) string {
		return b.retrieve(func(r *Retrieval) { r.Audits, r.Participant = true, "Ann" })
	}
	written := false // the event's record, and not the head's
	for left := 0; ; left++ {
		b := newBank(t).list()
		b.log(b.planner("o1", 1), document(`<SubjectData SubjectKey="SS_ANN"><StudyEventData StudyEventOID="SE_FIRST" OpenClinica:StartDate="2026-03-01" OpenClinica:WorkflowStatus="completed">`+form))
		p := b.planner("o2", 2)
		p.By = 8
		var plans []*Plan
		take(t, p, document(`<SubjectData SubjectKey="SS_ANN"><StudyEventData StudyEventOID="SE_FIRST" OpenClinica:Signed="Yes"><Signature Attestation="Seen"/>`+form), func(plan *Plan) { plans = append(plans, plan) })
		crash := &crashing{bank: b, left: left}
		var err error
		for _, plan := range plans {
			if err = Apply(t.Context(), crash, plan); err != nil {
				break
			}
		}
		got := audits(b)
		if err == nil {
			if !strings.Contains(got, `UserID="USR_8"`) || !strings.Contains(got, "Seen [Signed Externally]") {
				t.Errorf("when it has written:\n%s", got)
			}
			break
		}
		if strings.Contains(got, "Signed Externally") || strings.Contains(got, "signed status changed") {
			t.Errorf("after %d writes:\n%s", left, got)
		}
		written = written || decode[Event](t, b, EventKey(1, "SE_FIRST", 1)).Signed
	}
	if !written {
		t.Error("the event and the participant are written at once")
	}
}

// Where an import was cut into plans changes nothing in what is told of its values.
func TestAuditsOfAnImportCutAnywhere(t *testing.T) {
	get := func(each bool) string {
		b := newBank(t).list()
		p := b.planner("o1", 1)
		second := 0
		p.Now = func() time.Time { second++; return time.Date(2026, 3, 2, 9, 0, second, 0, time.UTC) }
		doc := document(`<SubjectData SubjectKey="SS_ANN"><StudyEventData StudyEventOID="SE_FIRST" OpenClinica:StartDate="2026-03-01"><FormData FormOID="F_VITALS">` +
			`<ItemGroupData ItemGroupOID="IG_MAIN"><ItemData ItemOID="I_AGE" Value="40"/></ItemGroupData>` +
			`<ItemGroupData ItemGroupOID="IG_ROWS"><ItemData ItemOID="I_ROW" Value="1"/></ItemGroupData></FormData></StudyEventData></SubjectData>`)
		if each {
			take(t, p, doc, func(plan *Plan) {
				if err := Apply(t.Context(), b, plan); err != nil {
					t.Fatal(err)
				}
			})
		} else {
			var w worker
			if err := w.run(t, b, p, doc, 1000); err != nil {
				t.Fatal(err)
			}
		}
		return b.retrieve(func(r *Retrieval) { r.Audits, r.Participant = true, "Ann" })
	}
	for _, each := range []bool{false, true} {
		if got := get(each); strings.Contains(got, "Item data") {
			t.Errorf("cut after each row %t:\n%s", each, got)
		}
	}
}
