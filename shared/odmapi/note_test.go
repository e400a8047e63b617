package odmapi_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"aliquot/infra/local/localtest"
	"aliquot/shared/biobank"
	"aliquot/shared/clinical"
	"aliquot/shared/jobs"
	"aliquot/shared/odm"
	"aliquot/shared/odmimport"
)

// take imports a document as the administrator, and is told that nothing failed.
func (w *world) take(study, doc string) {
	w.t.Helper()
	id, err := w.api.Registry.Store.Reserve(w.t.Context(), "test.job", 1)
	if err != nil {
		w.t.Fatal(err)
	}
	planners := &odmimport.Planners{Studies: w.api.Registry, Users: w.users, Now: w.clock}
	p, err := planners.Make(w.t.Context(), &jobs.Job{ID: id, OwnerID: w.adminID(), Params: map[string]string{odmimport.ParamStudy: study}})
	if err != nil {
		w.t.Fatal(err)
	}
	for in := odm.NewReader(strings.NewReader(doc)); ; {
		part, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			w.t.Fatal(err)
		}
		if err := p.Take(w.t.Context(), part); err != nil {
			w.t.Fatal(err)
		}
	}
	p.End()
	plan, err := p.Cut()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range plan.Rows {
		if r.Status == clinical.RowFailed {
			w.t.Fatalf("row %+v", r)
		}
	}
	if err := clinical.Apply(w.t.Context(), w.api.Registry.Store, plan); err != nil {
		w.t.Fatal(err)
	}
}

// vitals has values of R-1 in the form F_VITALS, and two lines in the log of one event.
const vitals = `<ODM><ClinicalData StudyOID="S_RIVER"><SubjectData OpenClinica:StudySubjectID="R-1">
	<StudyEventData StudyEventOID="SE_FIRST" OpenClinica:StartDate="2026-02-01"><FormData FormOID="F_VITALS"><ItemGroupData ItemGroupOID="IG_VITALS"><ItemData ItemOID="I_SEX" Value="F"/></ItemGroupData></FormData></StudyEventData>
	<StudyEventData StudyEventOID="SE_LOG"><FormData FormOID="F_LOG"><ItemGroupData ItemGroupOID="IG_LOG"><ItemData ItemOID="I_LOG" Value="one"/></ItemGroupData><ItemGroupData ItemGroupOID="IG_LOG"><ItemData ItemOID="I_LOG" Value="two"/></ItemGroupData></FormData></StudyEventData>
	<StudyEventData StudyEventOID="SE_AGAIN" OpenClinica:StartDate="2026-02-02"><FormData FormOID="F_VITALS"><ItemGroupData ItemGroupOID="IG_VITALS"><ItemData ItemOID="I_PULSE" Value="60"/></ItemGroupData></FormData></StudyEventData>
	</SubjectData></ClinicalData></ODM>`

func TestNotes(t *testing.T) {
	w := newWorld(t)
	w.river()
	w.newUser("mona")
	w.grant("S_RIVER", "mona", "Monitor")
	w.newUser("stray")
	c := w.fallback
	c.must("POST", atSpring, `{"subjectKey":"R-1"}`)
	c.must("POST", atMouth, `{"subjectKey":"R-9"}`)
	w.take("S_RIVER", vitals)
	c.must("PUT", "/clinicaldata/studies/S_RIVER/events", `{"subjectKey":"R-1","studyEventOID":"SE_AGAIN","eventStatus":"stopped"}`)

	const notes = "/clinicaldata/studies/S_RIVER/sites/S_SPRING/notes"
	const usual = `{"subjectKey":"R-1","studyEventOID":"SE_FIRST","formOID":"F_VITALS","itemGroupOID":"IG_VITALS","itemOID":"I_SEX","noteType":"Query","detailedNote":"Is that so?"}`
	// but is the usual body with other members.
	but := func(members string) string {
		v := map[string]any{}
		for _, text := range []string{usual, "{" + members + "}"} {
			if err := json.Unmarshal([]byte(text), &v); err != nil {
				t.Fatal(err)
			}
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, s := range []struct{ name, members, want string }{
		{"nobody", `"subjectKey":""`, "missingParticipantID"},
		{"unknown", `"subjectKey":"R-2"`, "participantNotFound"},
		{"at another site", `"subjectKey":"R-9"`, "participantNotFound"},
		{"no event", `"studyEventOID":"SE_NONE"`, "eventOIDNotAvailableInThisStudy"},
		{"not its event", `"subjectKey":"R-1","studyEventOID":"SE_LOG","studyEventRepeatKey":"2","formOID":"F_LOG"`, "studyEventRepeatNotFound"},
		{"no number", `"studyEventRepeatKey":"x"`, "invalidStudyEventRepeatKey"},
		{"stopped", `"studyEventOID":"SE_AGAIN"`, "eventNotAvailable"},
		{"no form", `"formOID":"F_NONE"`, "formOIDNotFound"},
		{"another event's form", `"formOID":"F_LOG"`, "formOIDNotFound"},
		{"a form without data", `"formOID":"F_SCAN","itemGroupOID":"IG_SCAN","itemOID":"I_SCAN"`, "formNotAvailable"},
		{"no group", `"itemGroupOID":"IG_NONE"`, "itemGroupOIDNotFound"},
		{"another form's group", `"itemGroupOID":"IG_LOG"`, "itemGroupOIDNotFound"},
		{"no item", `"itemOID":""`, "itemNotFound"},
		{"another group's item", `"itemOID":"I_LOG"`, "itemGroupDoesNotContainItemData"},
		{"no such line", `"studyEventOID":"SE_LOG","formOID":"F_LOG","itemGroupOID":"IG_LOG","itemOID":"I_LOG","itemGroupRepeatKey":3`, "groupRepeatKeyTooLarge"},
		{"line zero", `"studyEventOID":"SE_LOG","formOID":"F_LOG","itemGroupOID":"IG_LOG","itemOID":"I_LOG","itemGroupRepeatKey":0`, "groupRepeatKeyLessThanOne"},
		{"line x", `"itemGroupRepeatKey":"x"`, "invalidItemGroupRepeatKey"},
		{"no type", `"noteType":""`, "missingDiscrepancyNoteType"},
		{"the system's type", `"noteType":"Reason for Change"`, "discrepancyNoteTypeNotValid"},
		{"closed at once", `"status":"Closed"`, "queryStatusNotApplicable"},
		{"silence", `"detailedNote":""`, "detailedNoteMissing"},
		{"a speech", `"detailedNote":"` + strings.Repeat("é", 1001) + `"`, "detailedNoteTextTooLong"},
		{"a long title", `"description":"` + strings.Repeat("é", 256) + `"`, "detailedNoteTextTooLong"},
		{"a bell", `"detailedNote":"\u0007"`, "COMMON_INVALID_INPUT"},
		{"asking nobody", `"assignedTo":"nobody"`, "assignedUserNotValid"},
		{"asking a stranger", `"assignedTo":"stray"`, "assignedUserNotValid"},
		{"a list", `"itemOID":["I_SEX"]`, "COMMON_INVALID_INPUT"},
	} {
		t.Run(s.name, func(t *testing.T) { c.do("POST", notes, but(s.members)).refused(t, 400, s.want) })
	}

	const place = `"subjectKey":"R-1","studyEventOID":"SE_FIRST","studyEventRepeatKey":"1","formOID":"F_VITALS","itemGroupOID":"IG_VITALS","itemGroupRepeatKey":"1","itemOID":"I_SEX"`
	said := func(n int, status, more string) string {
		return fmt.Sprintf(`{"id":"CDN_%d","status":%q,"dateCreated":"<then>",%s}`, n, status, more)
	}
	one := said(1, "New", `"userName":"admin","description":"Sex","detailedNote":"Is that so?","assignedTo":"mona"`)
	undated(c.do("POST", notes, but(`"description":"Sex","assignedTo":"Mona","studyEventOID":"se_first","formOID":"f_vitals","itemOID":"i_sex","itemGroupOID":"ig_vitals"`))).
		is(t, 200, `{"id":"DN_1","noteType":"Query","status":"New",`+place+`,"childNotes":[`+one+`]}`)

	say := func(id, members string) answer { return c.do("PUT", notes+"/"+id, but(members)) }
	for _, s := range []struct{ name, id, members, want string }{
		{"no note", "DN_9", `"status":"Closed"`, "discrepancyNoteNotFound"},
		{"an endless id", strings.Repeat("D", 2000), `"status":"Closed"`, "discrepancyNoteNotFound"},
		{"another item's note", "DN_1", `"itemOID":"I_PULSE","status":"Closed"`, "discrepancyNoteNotFound"},
		{"no status", "DN_1", `"status":""`, "missingDiscrepancyNoteStatus"},
		{"no such status", "DN_1", `"status":"closed"`, "discrepancyNoteStatusNotValid"},
		{"new again", "DN_1", `"status":"New"`, "queryStatusNotApplicable"},
		{"modified before it was closed", "DN_1", `"status":"Closed-Modified"`, "queryStatusNotApplicable"},
		{"silence", "DN_1", `"status":"Closed","detailedNote":""`, "detailedNoteMissing"},
		{"asking nobody", "DN_1", `"status":"Closed","assignedTo":"nobody"`, "assignedUserNotValid"},
	} {
		t.Run("answer: "+s.name, func(t *testing.T) { say(s.id, s.members).refused(t, 400, s.want) })
	}
	w.wait(60e9)
	two := said(2, "Closed", `"userName":"admin","detailedNote":"It is."`)
	undated(say("DN_1", `"status":"Closed","detailedNote":"It is."`)).is(t, 200, `{"id":"DN_1","noteType":"Query","status":"Closed",`+place+`,"childNotes":[`+one+`,`+two+`]}`)
	w.wait(60e9)
	three := said(3, "Closed-Modified", `"userName":"admin","detailedNote":"It was."`)
	undated(say("DN_1", `"status":"Closed Modified","detailedNote":"It was."`)).is(t, 200, `{"id":"DN_1","noteType":"Query","status":"Closed-Modified",`+place+`,"childNotes":[`+one+`,`+two+`,`+three+`]}`)
	say("DN_1", `"status":"Closed-Modified"`).refused(t, 400, "queryStatusNotApplicable")

	// What is missing is asked for, too; an annotation says one thing.
	w.wait(60e9)
	if got := c.must("POST", notes, but(`"itemOID":"I_PULSE","noteType":"Annotation","detailedNote":"Not <taken>"`)); got["status"] != "Not Applicable" {
		t.Errorf("annotation %v", got)
	}
	say("DN_4", `"itemOID":"I_PULSE","status":"Closed"`).refused(t, 400, "annotationMustHaveOneChildNote")
	c.must("POST", "/clinicaldata/studies/S_RIVER/notes", but(`"studyEventOID":"SE_LOG","formOID":"F_LOG","itemGroupOID":"IG_LOG","itemOID":"I_LOG","itemGroupRepeatKey":2,"detailedNote":"Which?"`))

	// All of it comes out with the data, by time.
	got := c.do("GET", "/clinicaldata/S_RIVER/R-1/*/*?includeDN=y", "", "Accept: application/xml").body
	if want := `DateUpdated="2026-03-01T12:02:00"`; !localtest.OnBinaries() && !strings.Contains(got, want) {
		t.Errorf("%s is missing in\n%s", want, got)
	}
	flat := regexp.MustCompile(`>\s+<`).ReplaceAllString(undated(answer{body: got}).body, "><")
	for _, want := range []string{
		`<OpenClinica:DiscrepancyNotes EntityID="I_SEX"><OpenClinica:DiscrepancyNote ID="DN_1" Status="Closed Modified" NoteType="Query" DateUpdated="<then>" EntityName="Sex" NumberOfChildNotes="3">` +
			`<OpenClinica:ChildNote ID="CDN_1" Status="New" DateCreated="<then>" UserName="admin" Name="System Administrator"><OpenClinica:Description>Sex</OpenClinica:Description><OpenClinica:DetailedNote>Is that so?</OpenClinica:DetailedNote><UserRef`,
		`OpenClinica:UserName="mona"`, `<OpenClinica:DetailedNote>It was.</OpenClinica:DetailedNote>`,
		`<ItemData ItemOID="I_PULSE" OpenClinica:ItemName="Pulse"><OpenClinica:DiscrepancyNotes EntityID="I_PULSE"><OpenClinica:DiscrepancyNote ID="DN_4" Status="Not Applicable" NoteType="Annotation"`,
		`Not &lt;taken&gt;`, `ID="DN_5" Status="New"`,
	} {
		if !strings.Contains(flat, want) {
			t.Errorf("%s is missing in\n%s", want, got)
		}
	}
	if got := c.do("GET", "/clinicaldata/S_RIVER/R-1/*/*", "", "Accept: application/xml").body; strings.Contains(got, "Note") || strings.Contains(got, "I_PULSE\" OpenClinica:ItemName=\"Pulse\"/>") {
		t.Errorf("notes that were not asked for: %s", got)
	}
	head := strings.Index(got, "<ClinicalData") // what stands above tells when it was asked for
	w.take("S_RIVER", got[:head]+`<ClinicalData StudyOID="S_SPRING"><SubjectData SubjectKey="SS_R1"><StudyEventData StudyEventOID="SE_FIRST">`+
		between(t, got, `OpenClinica:Signed="No">`, `</StudyEventData>`)+`</StudyEventData></SubjectData></ClinicalData></ODM>`)
	if again := c.do("GET", "/clinicaldata/S_RIVER/R-1/*/*?includeDN=y", "", "Accept: application/xml").body; again[strings.Index(again, "<ClinicalData"):] != got[head:] {
		t.Errorf("what was given out changed the data when it came back:\n%s\n%s", got, again)
	}

	// An id that an import brought is not given again.
	w.take("S_RIVER", strings.ReplaceAll(vitals[:strings.Index(vitals, `<StudyEventData StudyEventOID="SE_LOG"`)], `Value="F"/>`,
		`Value="F"><OpenClinica:DiscrepancyNotes><OpenClinica:DiscrepancyNote ID="DN_6" NoteType="Query"><OpenClinica:ChildNote ID="CDN_10" Status="New" UserName="admin"><OpenClinica:DetailedNote>x</OpenClinica:DetailedNote></OpenClinica:ChildNote></OpenClinica:DiscrepancyNote></OpenClinica:DiscrepancyNotes></ItemData>`)+
		`</SubjectData></ClinicalData></ODM>`)
	if got := c.must("POST", notes, usual); got["id"] != "DN_26" {
		t.Errorf("the next note is %v", got["id"])
	}
	w.wantChain("SS_R1", 5)
	if log := w.logged(); strings.Contains(log, "R-1") || strings.Contains(log, "Is that so") {
		t.Error("the log holds a participant's id or what was said")
	}
}

var moment = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}Z)?`)

// undated is an answer without its moments.
func undated(a answer) answer {
	a.body = moment.ReplaceAllString(a.body, "<then>")
	return a
}

// between is what a text has between two others.
func between(t *testing.T, text, after, before string) string {
	t.Helper()
	_, text, _ = strings.Cut(text, after)
	text, _, ok := strings.Cut(text, before)
	if !ok {
		t.Fatalf("there is no %s", before)
	}
	return text
}

// wantChain follows the audit of a participant of S_RIVER: it has so many entries, and none besides the chain's.
func (w *world) wantChain(oid string, entries int) {
	w.t.Helper()
	p, err := w.api.Registry.Place(w.t.Context(), "S_RIVER")
	if err != nil {
		w.t.Fatal(err)
	}
	one, _, err := clinical.FindSubject(w.t.Context(), w.api.Registry.Store, p.Study.ID, oid, "")
	if err != nil || one == nil {
		w.t.Fatal(one, err)
	}
	key := clinical.SubjectKey(one.ID)
	recs, err := w.api.Registry.Store.Records(w.t.Context(), []biobank.Key{key}, true)
	if err != nil {
		w.t.Fatal(err)
	}
	trail, err := w.api.Registry.Store.Trail(w.t.Context(), clinical.SubjectType, one.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	chain, err := biobank.VerifyChain(recs[key], trail)
	if err != nil || len(chain) != entries || len(trail) != entries {
		w.t.Errorf("%d entries in the chain, %d in all, %v, want %d", len(chain), len(trail), err, entries)
	}
}
