package clinical

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/biobank"
	"aliquot/shared/biobank/biobanktest"
	"aliquot/shared/odm"
)

// river is an invented study: a visit, a visit that repeats, a log that repeats, and diaries that are found by their form.
func river() *Metadata {
	m := &Metadata{
		Study:  "S_RIVER",
		Forms:  map[string]*FormDef{},
		Groups: map[string]*GroupDef{},
		Items:  map[string]*ItemDef{},
		events: map[string]*EventDef{},
	}
	item := func(oid string, d ItemDef) string {
		d.OID, d.Name = oid, oid
		m.Items[Fold(oid)] = &d
		return Fold(oid)
	}
	group := func(oid string, repeating bool, items ...string) string {
		m.Groups[Fold(oid)] = &GroupDef{OID: oid, Name: oid, Repeating: repeating, Items: items}
		return Fold(oid)
	}
	form := func(oid string, groups ...string) FormRef {
		m.Forms[Fold(oid)] = &FormDef{OID: oid, Name: oid, Layouts: []Layout{{Name: "1"}, {Name: "2"}, {Name: "0", Archived: true}}, Groups: groups}
		return FormRef{Form: Fold(oid), Default: "1", Layouts: []string{"0", "1", "2"}}
	}
	event := func(e EventDef, forms ...FormRef) {
		e.Name, e.Forms = e.OID, forms
		m.Events = append(m.Events, &e)
		m.events[Fold(e.OID)] = &e
	}
	main := group("IG_MAIN", false,
		item("I_SEX", ItemDef{Codes: map[string]bool{"F": true, "M": true}}),
		item("I_AGE", ItemDef{Type: Integer}),
		item("I_DAY", ItemDef{Type: Date}),
		item("I_ANY", ItemDef{}),
		item("I_SCAN", ItemDef{File: true}))
	rows := group("IG_ROWS", true, item("I_ROW", ItemDef{Type: Real}), item("I_NOTE", ItemDef{}))
	vitals := form("F_VITALS", main, rows)
	ills := form("F_ILLS", group("IG_ILLS", true, item("I_ILL", ItemDef{})))
	event(EventDef{OID: "SE_FIRST"}, vitals)
	event(EventDef{OID: "SE_AGAIN", Repeating: true}, vitals, ills)
	event(EventDef{OID: "SE_ILLS", Repeating: true, Common: true}, ills)
	event(EventDef{OID: "SE_DIARY", Common: true}, ills, vitals)
	return m
}

// bank is a store with a study, two sites and four participants.
type bank struct {
	*biobanktest.Memory
	t *testing.T
}

func newBank(t *testing.T) *bank {
	b := &bank{Memory: biobanktest.NewMemory(), t: t}
	for id, s := range map[int64]Subject{
		1: {OID: "SS_ANN", Label: "Ann", Site: 10},
		2: {OID: "SS_BEN", Label: "Ben", Site: 11},
		3: {OID: "SS_TWIN1", Label: "Twin", Site: 11},
		4: {OID: "SS_TWIN2", Label: "Twin", Site: 12},
		5: {OID: "SS_GONE", Label: "Gone", Site: 11, Removed: true},
	} {
		s.Study = 10
		head, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		listed, err := json.Marshal(Listed{OID: s.OID, Label: s.Label, Site: s.Site, ID: id})
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.Transact(t.Context(), []biobank.Write{
			{Kind: biobank.InsertRecord, Record: &biobank.Record{Key: SubjectKey(id), Type: SubjectType, ID: id, Version: 1, Doc: head}},
			{Kind: biobank.InsertRecord, Record: &biobank.Record{Key: LabelKey(10, s.Label, s.Site), Type: ListedType, ID: id, Version: 1, Doc: listed}},
			{Kind: biobank.InsertMark, Mark: biobank.Mark{Name: SubjectMark(10, s.OID), To: SubjectKey(id), ID: id}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func (b *bank) planner(job string, second int) *Planner {
	meta := river()
	return &Planner{
		Store: b, Job: job, By: 7, Study: Scope{ID: 10, OID: "S_RIVER", Meta: meta},
		Sites: []Scope{{ID: 11, OID: "S_NORTH", Meta: meta}, {ID: 12, OID: "S_SOUTH", Meta: meta}},
		Now:   func() time.Time { return time.Date(2026, 3, 2, 9, 0, second, 0, time.UTC) },
		Author: func(_ context.Context, login string) (int64, error) {
			return map[string]int64{"dora": 7, "max": 8}[login], nil
		},
		Attached: attachments{"scan.pdf": "a scan"},
	}
}

// attachments are files by name, with their contents. One without any is damaged.
type attachments map[string]string

func (a attachments) Key(name string) string {
	if _, ok := a[name]; !ok {
		return ""
	}
	return "attached/10/o/" + name + "-" + a[name]
}

func (a attachments) Keep(_ context.Context, name string) (bool, error) { return a[name] != "", nil }

// document wraps what stands in the ClinicalData of the study.
func document(inner string) string {
	return `<ODM xmlns="http://www.cdisc.org/ns/odm/v1.3" xmlns:OpenClinica="http://www.openclinica.org/ns/odm_ext_v130/v3.1"><ClinicalData StudyOID="S_RIVER">` +
		inner + `</ClinicalData></ODM>`
}

// take plans a document, cutting after every row if it should.
func take(t *testing.T, p *Planner, doc string, each func(*Plan)) {
	t.Helper()
	r := odm.NewReader(strings.NewReader(doc))
	cut := func() {
		plan, err := p.Cut()
		if err != nil {
			t.Fatal(err)
		}
		each(plan)
	}
	for {
		part, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Take(t.Context(), part); err != nil {
			t.Fatal(err)
		}
		if p.Size() > 0 {
			cut()
		}
	}
	p.End()
	cut()
}

// log is an import's rows in short: what is named, the status, the message.
func (b *bank) log(p *Planner, doc string) []string {
	b.t.Helper()
	var out []string
	take(b.t, p, doc, func(plan *Plan) {
		if err := Apply(b.t.Context(), b, plan); err != nil {
			b.t.Fatal(err)
		}
		out = append(out, short(plan.Rows)...)
	})
	return out
}

// whole is log for a document that is one plan.
func (b *bank) whole(p *Planner, doc string) []string {
	b.t.Helper()
	for in := odm.NewReader(strings.NewReader(doc)); ; {
		part, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			b.t.Fatal(err)
		}
		if err := p.Take(b.t.Context(), part); err != nil {
			b.t.Fatal(err)
		}
	}
	plan, err := p.Cut()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := Apply(b.t.Context(), b, plan); err != nil {
		b.t.Fatal(err)
	}
	return short(plan.Rows)
}

func short(rows []Row) (out []string) {
	for _, r := range rows {
		named := []string{r.SubjectKey, r.ParticipantID, r.EventOID, r.EventKey, r.FormOID, r.GroupOID, r.GroupKey, r.ItemOID}
		line := strings.TrimRight(strings.Join(named, ","), ",") + " " + r.Status
		if r.Message != "" {
			line += " " + strings.TrimPrefix(r.Message, "errorCode.")
		}
		out = append(out, line)
	}
	return out
}

func TestPlan(t *testing.T) {
	const (
		ann   = `<SubjectData SubjectKey="SS_ANN">%s</SubjectData>`
		first = `<SubjectData SubjectKey="SS_ANN"><StudyEventData StudyEventOID="SE_FIRST" OpenClinica:StartDate="2026-03-01">%s</StudyEventData></SubjectData>`
		form  = `<SubjectData SubjectKey="SS_ANN"><StudyEventData StudyEventOID="SE_FIRST" OpenClinica:StartDate="2026-03-01"><FormData FormOID="F_VITALS">%s</FormData></StudyEventData></SubjectData>`
		group = `<SubjectData SubjectKey="SS_ANN"><StudyEventData StudyEventOID="SE_FIRST" OpenClinica:StartDate="2026-03-01"><FormData FormOID="F_VITALS"><ItemGroupData ItemGroupOID="IG_MAIN">%s</ItemGroupData></FormData></StudyEventData></SubjectData>`
		event = `<SubjectData SubjectKey="SS_ANN"><StudyEventData %s><FormData FormOID="F_ILLS"><ItemGroupData ItemGroupOID="IG_ILLS"><ItemData ItemOID="I_ILL" Value="Cough"/></ItemGroupData></FormData></StudyEventData></SubjectData>`
	)
	say := func(shape, inner string) string { return document(fmt.Sprintf(shape, inner)) }
	tests := []struct {
		name, before, doc string
		want              []string
	}{
		{"no participants", "", document(""), []string{" Failed subjectDataMissing"}},
		{"no identifier", "", document(`<SubjectData/>`), []string{" Failed missingParticipantID"}},
		{"unknown by OID", "", document(`<SubjectData SubjectKey="SS_X"/>`), []string{"SS_X Failed participantNotFound"}},
		{"unknown by ID", "", document(`<SubjectData OpenClinica:StudySubjectID="X"/>`), []string{",X Failed participantNotFound"}},
		{"removed", "", document(`<SubjectData SubjectKey="SS_GONE"/>`), []string{"SS_GONE Failed participantNotFound"}},
		{"two with an ID", "", document(`<SubjectData OpenClinica:StudySubjectID="Twin"/>`), []string{",Twin Failed multipleParticipantsFound"}},
		{"with blanks around its ID", "", document(`<SubjectData SubjectKey="SS_ANN" OpenClinica:StudySubjectID=" Ann "/>`), []string{"SS_ANN,Ann Failed subjectDoesNotContainStudyEventData"}},
		{"both, of two people", "", document(`<SubjectData SubjectKey="SS_ANN" OpenClinica:StudySubjectID="Ben"/>`), []string{"SS_ANN,Ben Failed participantIdentiersMismatch"}},
		{"another study", "", strings.ReplaceAll(say(ann, ""), "S_RIVER", "S_LAKE"), []string{"SS_ANN Failed participantNotFound"}},
		{"another site", "", strings.ReplaceAll(say(ann, ""), "S_RIVER", "S_NORTH"), []string{"SS_ANN Failed participantNotFound"}},
		{"one of two, by site", "", strings.ReplaceAll(document(`<SubjectData OpenClinica:StudySubjectID="Twin"/>`), "S_RIVER", "s_north"), []string{"SS_TWIN1,Twin Failed subjectDoesNotContainStudyEventData"}},
		{"no events", "", say(ann, ""), []string{"SS_ANN,Ann Failed subjectDoesNotContainStudyEventData"}},

		{"no forms", "", say(first, ""), []string{"SS_ANN,Ann,SE_FIRST Failed eventDoesNotContainFormData"}},
		{"no event OID", "", say(event, ""), []string{"SS_ANN,Ann Failed missingStudyEventOID"}},
		{"unknown event", "", say(event, `StudyEventOID="SE_X"`), []string{"SS_ANN,Ann,SE_X Failed invalidStudyEventOID"}},
		{"no start", "", say(event, `StudyEventOID="SE_AGAIN"`), []string{"SS_ANN,Ann,SE_AGAIN Failed missingStartDate"}},
		{"bad start", "", say(event, `StudyEventOID="SE_AGAIN" OpenClinica:StartDate="2026-02-30"`), []string{"SS_ANN,Ann,SE_AGAIN Failed invalidStartDate"}},
		{"bad end", "", say(event, `StudyEventOID="SE_AGAIN" OpenClinica:StartDate="2026-02-20" OpenClinica:EndDate="soon"`), []string{"SS_ANN,Ann,SE_AGAIN Failed invalidEndDate"}},
		{"end before start", "", say(event, `StudyEventOID="SE_AGAIN" OpenClinica:StartDate="2026-02-20" OpenClinica:EndDate="2026-02-19"`), []string{"SS_ANN,Ann,SE_AGAIN Failed endDateBeforeStartDate"}},
		{"repeat key is no number", "", say(event, `StudyEventOID="SE_AGAIN" StudyEventRepeatKey="x" OpenClinica:StartDate="2026-02-20"`), []string{"SS_ANN,Ann,SE_AGAIN Failed invalidStudyEventRepeatKey"}},
		{"repeat key too large", "", say(event, `StudyEventOID="SE_AGAIN" StudyEventRepeatKey="2" OpenClinica:StartDate="2026-02-20"`), []string{"SS_ANN,Ann,SE_AGAIN Failed eventRepeatKeyTooLarge"}},
		{
			"a repeat without key is a new one", say(event, `StudyEventOID="SE_AGAIN" OpenClinica:StartDate="2026-02-20"`), say(event, `StudyEventOID="se_again" OpenClinica:StartDate="2026-02-21"`),
			[]string{"SS_ANN,Ann,SE_AGAIN,2,F_ILLS,IG_ILLS,1,I_ILL Inserted"},
		},
		{
			"a repeat with a key is that one", say(event, `StudyEventOID="SE_AGAIN" OpenClinica:StartDate="2026-02-20"`), say(event, `StudyEventOID="SE_AGAIN" StudyEventRepeatKey="1"`),
			[]string{"SS_ANN,Ann,SE_AGAIN,1,F_ILLS,IG_ILLS,2,I_ILL Inserted"},
		},
		{"a log needs no dates", "", say(event, `StudyEventOID="SE_ILLS"`), []string{"SS_ANN,Ann,SE_ILLS,1,F_ILLS,IG_ILLS,1,I_ILL Inserted"}},
		{
			"a log takes one form", "", document(`<SubjectData SubjectKey="SS_ANN"><StudyEventData StudyEventOID="SE_ILLS">` + strings.Repeat(`<FormData FormOID="F_ILLS"><ItemGroupData ItemGroupOID="IG_ILLS"><ItemData ItemOID="I_ILL" Value="x"/></ItemGroupData></FormData>`, 2) + `</StudyEventData></SubjectData>`),
			[]string{"SS_ANN,Ann,SE_ILLS,1,F_ILLS,IG_ILLS,1,I_ILL Inserted", "SS_ANN,Ann,SE_ILLS,1,F_ILLS Failed formMissingStudyEventConstruct"},
		},
		{
			"a diary is found by its form", say(event, `StudyEventOID="SE_DIARY"`), say(event, `StudyEventOID="SE_DIARY" StudyEventRepeatKey="9"`),
			[]string{"SS_ANN,Ann,SE_DIARY,1,F_ILLS,IG_ILLS,2,I_ILL Inserted"},
		},

		{"no form OID", "", say(first, `<FormData/>`), []string{"SS_ANN,Ann,SE_FIRST,1 Failed missingFormOid"}},
		{"unknown form", "", say(first, `<FormData FormOID="F_X"/>`), []string{"SS_ANN,Ann,SE_FIRST,1,F_X Failed formOIDNotFound"}},
		{"form of another event", "", say(first, `<FormData FormOID="F_ILLS"/>`), []string{"SS_ANN,Ann,SE_FIRST,1,F_ILLS Failed formOIDNotFound"}},
		{"unknown layout", "", say(first, `<FormData FormOID="F_VITALS" OpenClinica:FormLayoutOID="7"/>`), []string{"SS_ANN,Ann,SE_FIRST,1,F_VITALS Failed formLayoutOIDNotFound"}},
		{"archived layout", "", say(first, `<FormData FormOID="F_VITALS" OpenClinica:FormLayoutOID="0"/>`), []string{"SS_ANN,Ann,SE_FIRST,1,F_VITALS Failed formLayoutOIDNotAvailable"}},
		{"unknown status", "", say(first, `<FormData FormOID="F_VITALS" OpenClinica:Status="locked"/>`), []string{"SS_ANN,Ann,SE_FIRST,1,F_VITALS Failed formStatusNotValid"}},
		{"ODM's own signature", "", say(form, `<ItemGroupData ItemGroupOID="IG_MAIN"><ItemData ItemOID="I_SEX" Value="F"/></ItemGroupData></FormData><Signature><UserRef UserOID="U1"/></Signature><FormData>`), []string{"SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_MAIN,1,I_SEX Inserted", "SS_ANN,Ann,SE_FIRST,1 Failed missingFormOid"}},
		{"no groups", "", say(first, `<FormData FormOID="F_VITALS"/>`), []string{"SS_ANN,Ann,SE_FIRST,1,F_VITALS Failed formDoesNotContainItemGroupData"}},

		{"no group OID", "", say(form, `<ItemGroupData/>`), []string{"SS_ANN,Ann,SE_FIRST,1,F_VITALS Failed missingItemGroupOID"}},
		{"unknown group", "", say(form, `<ItemGroupData ItemGroupOID="IG_X" ItemGroupRepeatKey="4"/>`), []string{"SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_X,4 Failed itemGroupOIDNotFound"}},
		{"empty group", "", say(form, `<ItemGroupData ItemGroupOID="IG_MAIN"/>`), []string{"SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_MAIN Failed itemGroupDoesNotContainItemData"}},
		{"group key is no number", "", say(form, `<ItemGroupData ItemGroupOID="IG_ROWS" ItemGroupRepeatKey="a"><ItemData ItemOID="I_ROW"/></ItemGroupData>`), []string{"SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_ROWS,a Failed invalidItemGroupRepeatKey"}},
		{"group key too large", "", say(form, `<ItemGroupData ItemGroupOID="IG_ROWS" ItemGroupRepeatKey="2"><ItemData ItemOID="I_ROW"/></ItemGroupData>`), []string{"SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_ROWS,2 Failed groupRepeatKeyTooLarge"}},
		{"group key below one", "", say(form, `<ItemGroupData ItemGroupOID="IG_ROWS" ItemGroupRepeatKey="0"><ItemData ItemOID="I_ROW"/></ItemGroupData>`), []string{"SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_ROWS,0 Failed groupRepeatKeyLessThanOne"}},
		{"removed is neither yes nor no", "", say(form, `<ItemGroupData ItemGroupOID="IG_ROWS" OpenClinica:Removed="y"><ItemData ItemOID="I_ROW"/></ItemGroupData>`), []string{"SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_ROWS,1 Failed itemGroupRemovedAttributeIsInvalid"}},
		{
			"the number of a group of which nothing was stored is given again", "",
			say(form, `<ItemGroupData ItemGroupOID="IG_ROWS"><ItemData ItemOID="I_ROW" Value="x"/></ItemGroupData><ItemGroupData ItemGroupOID="IG_ROWS"><ItemData ItemOID="I_ROW" Value="-.5"/></ItemGroupData>`),
			[]string{"SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_ROWS,1,I_ROW Failed valueTypeMismatch", "SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_ROWS,1,I_ROW Inserted"},
		},
		{
			"a repeat is removed", say(form, strings.Repeat(`<ItemGroupData ItemGroupOID="IG_ROWS"><ItemData ItemOID="I_ROW" Value="1"/></ItemGroupData>`, 2)),
			say(form, `<ItemGroupData ItemGroupOID="IG_ROWS" ItemGroupRepeatKey="2" OpenClinica:Removed="Yes"><ItemData ItemOID="I_ROW" Value="1"/></ItemGroupData>
				<ItemGroupData ItemGroupOID="IG_ROWS" ItemGroupRepeatKey="2"><ItemData ItemOID="I_ROW" Value="1"/></ItemGroupData>
				<ItemGroupData ItemGroupOID="IG_ROWS" ItemGroupRepeatKey="2" OpenClinica:Removed="Yes"><ItemData ItemOID="I_ROW" Value="1"/></ItemGroupData>`),
			[]string{
				"SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_ROWS,2,I_ROW No Change", "SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_ROWS,2 itemGroup removed",
				"SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_ROWS,2 Failed itemGroupIsAlreadyRemoved", "SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_ROWS,2,I_ROW No Change",
			},
		},
		{
			"the first repeat stays", "", say(form, `<ItemGroupData ItemGroupOID="IG_ROWS" OpenClinica:Removed="Yes"><ItemData ItemOID="I_ROW" Value="1"/></ItemGroupData>`),
			[]string{"SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_ROWS,1,I_ROW Inserted", "SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_ROWS,1 Failed firstRepeatingGroupCannotBeRemoved"},
		},
		{
			"a group that does not repeat stays", "", say(form, `<ItemGroupData ItemGroupOID="IG_MAIN" OpenClinica:Removed="Yes"><ItemData ItemOID="I_ANY" Value="1"/></ItemGroupData>`),
			[]string{"SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_MAIN,1,I_ANY Inserted", "SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_MAIN,1 Failed nonRepeatingGroupCannotBeRemoved"},
		},

		{"unknown item", "", say(group, `<ItemData ItemOID="I_X" Value="1"/>`), []string{"SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_MAIN,1,I_X Failed itemNotFound"}},
		{"item of another group", "", say(group, `<ItemData ItemOID="I_ROW" Value="1"/>`), []string{"SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_MAIN,1,I_ROW Failed itemGroupDoesNotContainItemData"}},
		{"no value", "", say(group, `<ItemData ItemOID="I_SEX"/>`), []string{"SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_MAIN,1,I_SEX Skipped No item value present"}},
		{"an empty value is one", "", say(group, `<ItemData ItemOID="I_SEX" Value=""/>`), []string{"SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_MAIN,1,I_SEX Inserted"}},
		{"not on the list", "", say(group, `<ItemData ItemOID="I_SEX" Value="f"/>`), []string{"SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_MAIN,1,I_SEX Failed valueChoiceCodeNotFound"}},
		{"a file that came along", "", say(group, `<ItemData ItemOID="I_SCAN" Value="scan.pdf"/>`), []string{"SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_MAIN,1,I_SCAN Inserted"}},
		{"a file that did not", "", say(group, `<ItemData ItemOID="I_SCAN" Value="other.pdf"/>`), []string{"SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_MAIN,1,I_SCAN Failed missingItemFile.other.pdf"}},
		{
			"again, with a change", say(group, `<ItemData ItemOID="I_SEX" Value="F"/><ItemData ItemOID="I_AGE" Value="40"/>`), say(group, `<ItemData ItemOID="i_sex" Value="F"/><ItemData ItemOID="I_AGE" Value="41"/><ItemData ItemOID="I_DAY" Value="2026-03-01"/>`),
			[]string{
				"SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_MAIN,1,I_SEX No Change", "SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_MAIN,1,I_AGE Updated",
				"SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_MAIN,1,I_DAY Inserted",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBank(t)
			if tt.before != "" {
				b.log(b.planner("o1", 1), tt.before)
			}
			if d := cmp.Diff(tt.want, b.log(b.planner("o2", 2), tt.doc)); d != "" {
				t.Errorf("log (-want +got):\n%s", d)
			}
		})
	}
}

// A file that comes again under its name is told by its content; one that is damaged leaves what is stored.
func TestFilesThatComeAgain(t *testing.T) {
	b := newBank(t)
	doc := document(`<SubjectData SubjectKey="SS_ANN"><StudyEventData StudyEventOID="SE_FIRST" OpenClinica:StartDate="2026-03-01"><FormData FormOID="F_VITALS">` +
		`<ItemGroupData ItemGroupOID="IG_MAIN"><ItemData ItemOID="I_SCAN" Value="scan.pdf"/></ItemGroupData></FormData></StudyEventData></SubjectData>`)
	const row = "SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_MAIN,1,I_SCAN "
	for i, tt := range []struct {
		name  string
		files attachments
		want  string
		key   string
	}{
		{"for the first time", attachments{"scan.pdf": "blurred"}, "Inserted", "scan.pdf-blurred"},
		{"as it was", attachments{"scan.pdf": "blurred"}, "No Change", "scan.pdf-blurred"},
		{"not at all", attachments{}, "No Change", "scan.pdf-blurred"},
		{"damaged", attachments{"scan.pdf": ""}, "Failed missingItemFile.scan.pdf", "scan.pdf-blurred"},
		{"corrected", attachments{"scan.pdf": "sharp"}, "Updated", "scan.pdf-sharp"},
	} {
		p := b.planner(fmt.Sprint("o", i+1), i)
		p.Attached = tt.files
		if d := cmp.Diff([]string{row + tt.want}, b.log(p, doc)); d != "" {
			t.Errorf("%s: log (-want +got):\n%s", tt.name, d)
		}
		key := GroupKey(1, Path{Event: "SE_FIRST", EventKey: 1, Form: "F_VITALS", Group: "IG_MAIN", GroupKey: 1})
		recs, err := b.Records(t.Context(), []biobank.Key{key}, true)
		if err != nil {
			t.Fatal(err)
		}
		g, err := biobank.Decode[Group](recs[key])
		if err != nil || !strings.HasSuffix(g.Files["I_SCAN"], tt.key) {
			t.Errorf("%s: the file lies at %q, %v", tt.name, g.Files["I_SCAN"], err)
		}
	}
}

func TestEventDatesAndKeys(t *testing.T) {
	for _, tt := range []struct {
		start, end string
		want       Code
	}{
		{"2026-02-03T10:00", "2026-02-03", ""},
		{"2026-02-03", "2026-02-03T10:00:00", ""},
		{"2026-02-03T10:00", "2026-02-02", EndDateBeforeStartDate},
		{"2026-02-03T10:00", "2026-02-03T09:59", EndDateBeforeStartDate},
		{"2026-02-03T10:00", "2026-02-03T10:00:00", ""},
		{"2026-02-04", "2026-02-03T23:59", EndDateBeforeStartDate},
	} {
		if got := checkDates(&odm.StudyEventData{StartDate: tt.start, EndDate: tt.end}, true); got != tt.want {
			t.Errorf("%s to %s: %q, want %q", tt.start, tt.end, got, tt.want)
		}
	}
	for sent, want := range map[string]string{"2026-02-03T10:00": "2026-02-03T10:00:00", "2026-02-03T10:00:05": "2026-02-03T10:00:05", "2026-02-03": "2026-02-03"} {
		b := newBank(t)
		b.log(b.planner("o1", 1), strings.Replace(vitals("", `<ItemData ItemOID="I_AGE" Value="40"/>`), `"2026-03-01"`, `"`+sent+`" OpenClinica:EndDate="`+sent+`"`, 1))
		if e := decode[Event](t, b, EventKey(1, "SE_FIRST", 1)); e.StartDate != want || e.EndDate != want {
			t.Errorf("%s: the event is from %s to %s", sent, e.StartDate, e.EndDate)
		}
	}
	const first, row = `<SubjectData SubjectKey="SS_ANN"><StudyEventData StudyEventOID="SE_AGAIN" `, `<ItemGroupData ItemGroupOID="IG_ROWS"%s><ItemData ItemOID="I_ROW" Value="1"/></ItemGroupData></FormData></StudyEventData></SubjectData>`
	for _, tt := range []struct{ event, group, want string }{
		{` StudyEventRepeatKey="99999999"`, "", "eventRepeatKeyTooLarge"},
		{` StudyEventRepeatKey="99999999999999999999"`, "", "eventRepeatKeyTooLarge"},
		{` StudyEventRepeatKey="1.5"`, "", "invalidStudyEventRepeatKey"},
		{` StudyEventRepeatKey="-99999999"`, "", "eventRepeatKeyTooLarge"},
		{"", ` ItemGroupRepeatKey="99999999"`, "groupRepeatKeyTooLarge"},
		{"", ` ItemGroupRepeatKey="-99999999999999999999"`, "groupRepeatKeyLessThanOne"},
		{"", ` ItemGroupRepeatKey="x"`, "invalidItemGroupRepeatKey"},
	} {
		b := newBank(t)
		doc := document(first + `OpenClinica:StartDate="2026-03-01"` + tt.event + `><FormData FormOID="F_VITALS">` + fmt.Sprintf(row, tt.group))
		if got := b.log(b.planner("o1", 1), doc); len(got) != 1 || !strings.HasSuffix(got[0], " Failed "+tt.want) {
			t.Errorf("%s%s: %q, want %s", tt.event, tt.group, got, tt.want)
		}
	}
}

// The version of a form is told by its name, in either attribute, or in the way of 3.x by its OID in place of the form's.
func TestVersionsOfAForm(t *testing.T) {
	for _, tt := range []struct{ form, want string }{
		{`FormOID="F_VITALS"`, "2"},
		{`FormOID="F_VITALS" OpenClinica:FormLayoutOID="0"`, "formLayoutOIDNotAvailable"},
		{`FormOID="F_VITALS_V10"`, "1"},
		{`FormOID="F_VITALS" OpenClinica:Version="1"`, "1"},
		{`FormOID="F_VITALS" OpenClinica:FormLayoutOID="1" OpenClinica:Version="2"`, "1"},
		{`FormOID="F_VITALS" OpenClinica:Version="9"`, "formLayoutOIDNotFound"},
		{`FormOID="F_VITALS_V00"`, "formLayoutOIDNotAvailable"},
	} {
		b := newBank(t)
		p := b.planner("o1", 1)
		f := p.Study.Meta.Forms["F_VITALS"]
		f.Layouts[0].OID, f.Layouts[2].OID = "F_VITALS_V10", "F_VITALS_V00"
		p.Study.Meta.layouts = map[string]*FormDef{"F_VITALS_V10": f, "F_VITALS_V00": f}
		p.Study.Meta.Event("SE_FIRST").Forms[0].Default = "2"
		rows := b.log(p, document(`<SubjectData SubjectKey="SS_ANN"><StudyEventData StudyEventOID="SE_FIRST" OpenClinica:StartDate="2026-03-01"><FormData `+tt.form+
			`><ItemGroupData ItemGroupOID="IG_MAIN"><ItemData ItemOID="I_AGE" Value="40"/></ItemGroupData></FormData></StudyEventData></SubjectData>`))
		got := rows[0][strings.LastIndex(rows[0], " ")+1:]
		if form := decode[Event](t, b, EventKey(1, "SE_FIRST", 1)).Forms["F_VITALS"]; form != nil {
			got = form.Layout
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.form, got, tt.want)
		}
	}
}

// Metadata that were stored before may have a default version that is not offered: data that name none are in one that is.
func TestDefaultVersionThatIsNotOffered(t *testing.T) {
	for _, tt := range []struct {
		offered []string
		want    string
	}{{[]string{"0", "1", "2"}, "2"}, {[]string{"0", "1"}, "1"}, {nil, "2"}} {
		b := newBank(t)
		p := b.planner("o1", 1)
		ref := &p.Study.Meta.Event("SE_FIRST").Forms[0]
		ref.Default, ref.Layouts = "0", tt.offered
		rows := b.log(p, document(`<SubjectData SubjectKey="SS_ANN"><StudyEventData StudyEventOID="SE_FIRST" OpenClinica:StartDate="2026-03-01"><FormData FormOID="F_VITALS">`+
			`<ItemGroupData ItemGroupOID="IG_MAIN"><ItemData ItemOID="I_AGE" Value="40"/></ItemGroupData></FormData></StudyEventData></SubjectData>`))
		form := decode[Event](t, b, EventKey(1, "SE_FIRST", 1)).Forms["F_VITALS"]
		if form == nil || form.Layout != tt.want {
			t.Errorf("of %v: %+v, want version %s: %q", tt.offered, form, tt.want, rows)
		}
	}
}

func TestAnnotationsAndVerificationOfWhatFailed(t *testing.T) {
	b := newBank(t).list()
	in := func(form, item string) string {
		return document(`<SubjectData SubjectKey="SS_ANN"><StudyEventData StudyEventOID="SE_FIRST" OpenClinica:StartDate="2026-03-01"><FormData FormOID="F_VITALS"` + form +
			`><ItemGroupData ItemGroupOID="IG_MAIN">` + item + `</ItemGroupData></FormData></StudyEventData></SubjectData>`)
	}
	got := b.log(b.planner("o1", 1), in(` OpenClinica:SdvStatus="Verified"`, `<ItemData ItemOID="I_AGE" Value="x"/>`))
	if len(got) != 2 || !strings.HasSuffix(got[1], " Failed sdvStatusCannotBeUpdatedBecauseOfItemImportFailure") {
		t.Errorf("verified with no item stored: %q", got)
	}
	for _, status := range []string{"", ` Status="whatever"`} {
		b.log(b.planner("o2"+status, 2), in("", `<ItemData ItemOID="I_AGE" Value="40"><OpenClinica:DiscrepancyNotes><OpenClinica:DiscrepancyNote NoteType="Annotation"><OpenClinica:ChildNote UserName="dora"`+status+
			`><OpenClinica:DetailedNote>odd</OpenClinica:DetailedNote></OpenClinica:ChildNote></OpenClinica:DiscrepancyNote></OpenClinica:DiscrepancyNotes></ItemData>`))
	}
	if out := b.retrieve(func(r *Retrieval) { r.Notes = true }); strings.Count(out, `Status="Not Applicable"`) != 4 || strings.Contains(out, "whatever") {
		t.Errorf("notes:\n%s", out)
	}
}
