package odmimport

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/biobank"
	"aliquot/shared/clinical"
	"aliquot/shared/jobs"
)

// rowCodes are the codes that a row of a log can have (reference section 5, levels P to V), also those that stand there as
// another name of one. Where nothing raises one, it is told why; every other one has a row in TestCodesOfRows.
var rowCodes = map[string]string{
	// Participants.
	"subjectDataMissing":                  "",
	"subjectDoesNotContainStudyEventData": "",
	"missingParticipantID":                "",
	"participantNotFound":                 "",
	"participantIdentiersMismatch":        "",
	"participantIdentiferMismatch":        "another spelling of participantIdentiersMismatch, which 4.13 has in logs",
	"multipleParticipantsFound":           "",
	"participantNotAvailable":             "of the calls for participants; an import says participantNotFound (section 3.3)",
	"participantIDNotAvailable":           "never raised by 4.13; an import says participantNotFound (section 3.3)",

	// Events.
	"eventDoesNotContainFormData":                "",
	"missingStudyEventOID":                       "",
	"invalidStudyEventOID":                       "",
	"invalidStudyEventRepeatKey":                 "",
	"invalidRepeatKey":                           "an older name of invalidStudyEventRepeatKey",
	"eventRepeatKeyTooLarge":                     "",
	"eventNotAvailable":                          "",
	"repeatKeyAndFormMismatch":                   "",
	"missingStartDate":                           "",
	"invalidStartDate":                           "",
	"invalidEndDate":                             "",
	"endDateBeforeStartDate":                     "",
	"eventNotScheduled.repeatKeyTooLarge":        "an older name of eventRepeatKeyTooLarge",
	"eventNotScheduled.missingStartDate":         "an older name of missingStartDate",
	"eventNotScheduled.invalidStartDate":         "an older name of invalidStartDate",
	"eventNotScheduled.invalidEndDate":           "an older name of invalidEndDate",
	"eventOIDNotAvailableInThisStudy":            "of other calls; an import says invalidStudyEventOID",
	"studyEventRepeatNotFound":                   "of other calls; an import makes what is not there, or says eventRepeatKeyTooLarge",
	"participantDoesNotHaveThisEventInThisStudy": "of other calls; an import makes what is not there",

	// Forms.
	"formMissingStudyEventConstruct":  "",
	"formDoesNotContainItemGroupData": "",
	"missingFormOid":                  "",
	"formOIDNotFound":                 "",
	"formLayoutOIDNotFound":           "",
	"formLayoutOIDNotAvailable":       "",
	"formStatusNotValid":              "",
	"formNotAvailable":                "",
	"formAlreadyComplete":             "4.13 raises it no more: a complete form takes data, with a reason for change (section 3.6)",
	"hasNoAccessToForm":               "of forms with permission tags, which are not there",
	"formOIDNotAvailableInThisStudy":  "of other calls; an import says formOIDNotFound",

	// Item groups.
	"missingItemGroupOID":                "",
	"itemGroupOIDNotFound":               "",
	"itemGroupDoesNotContainItemData":    "",
	"invalidItemGroupRepeatKey":          "",
	"itemGroup.invalidRepeatKey":         "an older name of invalidItemGroupRepeatKey",
	"groupRepeatKeyTooLarge":             "",
	"itemGroupRepeatKeyTooLarge":         "an older name of groupRepeatKeyTooLarge",
	"repeatKeyTooLarge":                  "an older name of groupRepeatKeyTooLarge",
	"groupRepeatKeyLessThanOne":          "",
	"groupRepeatKeyNotValid":             "an older name of invalidItemGroupRepeatKey",
	"repeatKeyRequired":                  "a key that is not sent is made (section 3.5)",
	"repeatKeyLargerThanOne":             "the key of a group that does not repeat is taken as 1, whatever is sent (section 3.5)",
	"itemGroupIsAlreadyRemoved":          "",
	"itemGroupRemovedAttributeIsInvalid": "",
	"nonRepeatingGroupCannotBeRemoved":   "",
	"firstRepeatingGroupCannotBeRemoved": "",

	// Items.
	"itemNotFound":                 "",
	"missingItemOID":               "4.13 says itemNotFound",
	"valueTooLong":                 "",
	"valueTypeMismatch":            "",
	"dataTypeMismatch":             "an older name of valueTypeMismatch",
	"invalidDateFormat":            "",
	"valueChoiceCodeNotFound":      "",
	"valueNotAvailable":            "an older name",
	"missingValue":                 "an item without a value is skipped (section 2.6)",
	"itemTypeNotSupportedInImport": "every type is taken: files, partial dates and further response types, too (section 4)",
	"missingItemFile.scan.pdf":     "",

	// Notes.
	"missingDiscrepancyNoteType":       "",
	"discrepancyNoteTypeNotValid":      "",
	"annotationMustHaveOneChildNote":   "",
	"missingChildNote":                 "",
	"missingDiscrepancyNoteStatus":     "",
	"discrepancyNoteStatusNotValid":    "",
	"queryStatusNotApplicable":         "",
	"newQueryInBetweenOldQueries":      "",
	"missingUserName":                  "",
	"userNotValid":                     "",
	"assignedUserNotValid":             "",
	"detailedNoteMissing":              "",
	"detailedNoteTextTooLong":          "",
	"discrepancyNoteIdTooLong":         "",
	"discrepancyNoteIdIsRedundant":     "",
	"noteIdAlreadyInUse":               "",
	"existingNoteIdOnOtherItem":        "",
	"errorGeneratingDiscrepancyNoteId": "ids are counted, not guessed: there is always another; a store that does not answer is asked again",
	"importXMLcreateQueryFailed":       "a note is written with its value; a store that does not answer is asked again",

	// Verification and signatures.
	"sdvStatusNotValid":      "",
	"sdvStatusNotApplicable": "",
	"formStatusShouldBeCompleteForSettingSdvVerifiedStatus": "",
	"formWithRemovedOrArchivedAttributeCannotBeSdvVerified": "the form of such an import has failed before, with formNotAvailable",
	"sdvStatusCannotBeUpdatedBecauseOfItemImportFailure":    "",
	"signedStatusIsInvalid":                                 "",
	"statusAttributeIsInvalid":                              "4.13 raises it within, and tells it as signedStatusIsInvalid or itemGroupRemovedAttributeIsInvalid",
	"eventIsNotEligibleToBeSigned":                          "",
	"cannotSignEventWithoutAttestation":                     "",
	"attestationIsMissing":                                  "",
	"attestationTextTooLong":                                "",
}

// ward is a study with every kind of event, form, group and item that a code tells of.
func ward() *clinical.Metadata {
	body := clinical.FormRef{Form: "F_BODY", Default: "1", Layouts: []string{"1", "2"}}
	ills := clinical.FormRef{Form: "F_ILLS", Default: "1"}
	return clinical.NewMetadata("S_A",
		[]*clinical.EventDef{
			{OID: "SE_VISIT", Forms: []clinical.FormRef{body}},
			{OID: "SE_WEEK", Repeating: true, Forms: []clinical.FormRef{body}},
			{OID: "SE_LOG", Repeating: true, Common: true, Forms: []clinical.FormRef{ills, body}},
			{OID: "SE_PAST", Archived: true, Forms: []clinical.FormRef{body}},
		},
		[]*clinical.FormDef{
			{OID: "F_BODY", Layouts: []clinical.Layout{{Name: "1"}, {Name: "2"}, {Name: "3"}}, Groups: []string{"IG_BODY", "IG_ROWS"}},
			{OID: "F_ILLS", Layouts: []clinical.Layout{{Name: "1"}}, Groups: []string{"IG_ILLS"}},
		},
		[]*clinical.GroupDef{
			{OID: "IG_BODY", Items: []string{"I_TEXT", "I_INT", "I_DAY", "I_SEX", "I_SCAN"}},
			{OID: "IG_ROWS", Repeating: true, Items: []string{"I_ROW"}},
			{OID: "IG_ILLS", Repeating: true, Items: []string{"I_ILL"}},
		},
		[]*clinical.ItemDef{
			{OID: "I_TEXT"},
			{OID: "I_INT", Type: clinical.Integer},
			{OID: "I_DAY", Type: clinical.Date},
			{OID: "I_SEX", Codes: map[string]bool{"F": true}},
			{OID: "I_SCAN", File: true},
			{OID: "I_ROW"},
			{OID: "I_ILL"},
		}, nil)
}

// codeWorld is newWorld with the study ward, of which a site is frozen, with further participants: two of one ID, one that
// was removed, and one at the frozen site.
func codeWorld(t *testing.T) (*world, *Importer) {
	w := newWorld(t, "", nil)
	for id, s := range map[int64]clinical.Subject{
		4: {OID: "SS_T1", Label: "Twin", Site: 10}, 5: {OID: "SS_T2", Label: "Twin", Site: 11}, 6: {OID: "SS_GONE", Label: "Gone", Site: 10, Removed: true},
		7: {OID: "SS_ICE", Label: "Ice", Site: 12},
	} {
		s.Study = 10
		w.insert(clinical.SubjectKey(id), clinical.SubjectType, id, s)
		w.insert(clinical.LabelKey(10, s.Label, s.Site), clinical.ListedType, id, clinical.Listed{OID: s.OID, Label: s.Label, Site: s.Site, ID: id})
		_, err := w.Transact(t.Context(), []biobank.Write{
			{Kind: biobank.InsertMark, Mark: biobank.Mark{Name: clinical.SubjectMark(10, s.OID), To: clinical.SubjectKey(id), ID: id}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	im := w.importer(1000)
	plain := im.Planner
	im.Planner = func(ctx context.Context, j *jobs.Job) (*clinical.Planner, error) {
		p, err := plain(ctx, j)
		p.Study.Meta = ward()
		p.Sites = []clinical.Scope{{ID: 11, OID: "S_B", Meta: p.Study.Meta}, {ID: 12, OID: "S_ICE", Meta: p.Study.Meta}}
		p.Closed = map[int64]clinical.Code{12: clinical.SiteNotAvailable}
		p.Author = func(_ context.Context, login string) (int64, error) { return map[string]int64{"dora": 7}[login], nil }
		return p, err
	}
	return w, im
}

func (w *world) insert(key biobank.Key, kind biobank.Type, id int64, doc any) {
	w.t.Helper()
	text, err := json.Marshal(doc)
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = w.Memory.Transact(w.t.Context(), []biobank.Write{{Kind: biobank.InsertRecord, Record: &biobank.Record{Key: key, Type: kind, ID: id, Version: 1, Doc: text}}})
	if err != nil {
		w.t.Fatal(err)
	}
}

// event changes an event of the first participant past all rules.
func (w *world) event(oid string, change func(*clinical.Event)) {
	w.t.Helper()
	key := clinical.EventKey(1, oid, 1)
	recs, err := w.Records(w.t.Context(), []biobank.Key{key}, true)
	if err != nil || recs[key] == nil {
		w.t.Fatal(oid, err)
	}
	rec := *recs[key]
	e, err := biobank.Decode[clinical.Event](&rec)
	if err != nil {
		w.t.Fatal(err)
	}
	change(&e)
	if rec.Doc, err = json.Marshal(e); err != nil {
		w.t.Fatal(err)
	}
	rec.Version++
	if _, err := w.Memory.Transact(w.t.Context(), []biobank.Write{{Kind: biobank.UpdateRecord, Record: &rec}}); err != nil {
		w.t.Fatal(err)
	}
}

// imported imports a document as a job of its own and returns the lines of the log that tell of a failure, in both forms.
func (w *world) imported(im *Importer, inner string) (plain, typed []string) {
	w.t.Helper()
	doc := `<ODM xmlns="http://www.cdisc.org/ns/odm/v1.3" xmlns:OpenClinica="http://www.openclinica.org/ns/odm_ext_v130/v3.1"><ClinicalData StudyOID="S_A">` + inner + `</ClinicalData></ODM>`
	id := w.job.ID + 1
	w.now = w.now.Add(time.Second)
	w.job = &jobs.Job{
		ID: id, ObjectType: TypeImport, UUID: fmt.Sprint("u-", id), Bucket: "intake", Key: fmt.Sprint("odm/", id, ".xml"), Status: jobs.Queued, OwnerID: 7, CreatedAt: w.now,
	}
	w.objects["intake/"+w.job.Key] = []byte(doc)
	w.run(im)
	if w.job.Status != jobs.Completed {
		w.t.Fatalf("job %s: %s", w.job.Status, w.job.Reason)
	}
	failed := func(typed bool) (lines []string) {
		for line := range strings.SplitSeq(string(w.objects["results/"+LogKey(w.job, typed)]), "\n") {
			if strings.Contains(line, ",Failed,") {
				lines = append(lines, line)
			}
		}
		return lines
	}
	return failed(false), failed(true)
}

// Each code of the reference comes out of the importer under its condition, in its place in the log, and nowhere else.
func TestCodesOfRows(t *testing.T) {
	const (
		visit = `<SubjectData SubjectKey="SS_1"><StudyEventData StudyEventOID="SE_VISIT" OpenClinica:StartDate="2026-03-01">%s</StudyEventData></SubjectData>`
		week  = `<SubjectData SubjectKey="SS_1"><StudyEventData StudyEventOID="SE_WEEK" %s><FormData FormOID="F_BODY"><ItemGroupData ItemGroupOID="IG_ROWS"><ItemData ItemOID="I_ROW" Value="x"/></ItemGroupData></FormData></StudyEventData></SubjectData>`
		form  = `<SubjectData SubjectKey="SS_1"><StudyEventData StudyEventOID="SE_VISIT" OpenClinica:StartDate="2026-03-01"><FormData FormOID="F_BODY">%s</FormData></StudyEventData></SubjectData>`
		group = `<SubjectData SubjectKey="SS_1"><StudyEventData StudyEventOID="SE_VISIT" OpenClinica:StartDate="2026-03-01"><FormData FormOID="F_BODY"><ItemGroupData ItemGroupOID="IG_BODY">%s</ItemGroupData></FormData></StudyEventData></SubjectData>`
		state = `<SubjectData SubjectKey="SS_1"><StudyEventData StudyEventOID="SE_VISIT" OpenClinica:StartDate="2026-03-01"><FormData FormOID="F_BODY" %s><ItemGroupData ItemGroupOID="IG_BODY"><ItemData ItemOID="I_TEXT" Value="a"/></ItemGroupData></FormData></StudyEventData></SubjectData>`
		sign  = `<SubjectData SubjectKey="SS_1"><StudyEventData StudyEventOID="SE_VISIT" OpenClinica:StartDate="2026-03-01" OpenClinica:Signed="%s">%s<FormData FormOID="F_BODY" OpenClinica:Status="%s"><ItemGroupData ItemGroupOID="IG_BODY"><ItemData ItemOID="I_TEXT" Value="a"/></ItemGroupData></FormData></StudyEventData></SubjectData>`
		notes = `<SubjectData SubjectKey="SS_1"><StudyEventData StudyEventOID="SE_VISIT" OpenClinica:StartDate="2026-03-01"><FormData FormOID="F_BODY"><ItemGroupData ItemGroupOID="IG_BODY"><ItemData ItemOID="I_TEXT" Value="a"><OpenClinica:DiscrepancyNotes>%s</OpenClinica:DiscrepancyNotes></ItemData></ItemGroupData></FormData></StudyEventData></SubjectData>`
		log   = `<SubjectData SubjectKey="SS_1"><StudyEventData StudyEventOID="SE_LOG" StudyEventRepeatKey="1">%s</StudyEventData></SubjectData>`
		ill   = `<FormData FormOID="F_ILLS"><ItemGroupData ItemGroupOID="IG_ILLS"><ItemData ItemOID="I_ILL" Value="x"/></ItemGroupData></FormData>`
		row   = `<ItemGroupData ItemGroupOID="IG_ROWS"%s><ItemData ItemOID="I_ROW" Value="x"/></ItemGroupData>`
		said  = `<OpenClinica:DetailedNote>Really?</OpenClinica:DetailedNote>`
	)
	in := fmt.Sprintf
	// query is a query with an id and children; child is one of them, with its attributes and what is in it.
	query := func(id string, children ...string) string {
		return in(notes, in(`<OpenClinica:DiscrepancyNote ID="%s" NoteType="Query">%s</OpenClinica:DiscrepancyNote>`, id, strings.Join(children, "")))
	}
	child := func(attributes, inner string) string {
		return in(`<OpenClinica:ChildNote %s>%s</OpenClinica:ChildNote>`, attributes, inner)
	}
	asked := query("Q1", child(`ID="A" Status="New" UserName="dora"`, said))
	const (
		event, body, item = "SS_1,P1,SE_VISIT,1,,,,", "SS_1,P1,SE_VISIT,1,F_BODY,,,", "SS_1,P1,SE_VISIT,1,F_BODY,IG_BODY,1,"
		text              = item + "I_TEXT"
	)
	seen := map[string]bool{}
	for _, tt := range []struct {
		code   string
		before string
		change func(*world)
		doc    string
		place  string
		kind   string
		// message is errorCode. and the code unless it is given.
		message string
	}{
		{code: "subjectDataMissing", doc: "", place: ",,,,,,,", kind: "Participant"},
		{code: "subjectDoesNotContainStudyEventData", doc: `<SubjectData SubjectKey="ss_1"/>`, place: "SS_1,P1,,,,,,", kind: "Participant"},
		{code: "missingParticipantID", doc: `<SubjectData/>`, place: ",,,,,,,", kind: "Participant"},
		{code: "participantNotFound", doc: `<SubjectData SubjectKey="ss_x"/>`, place: "ss_x,,,,,,,", kind: "Participant"},
		{code: "participantNotFound", doc: `<SubjectData OpenClinica:StudySubjectID="Gone"/>`, place: ",Gone,,,,,,", kind: "Participant"},
		{code: "siteNotAvailable", doc: `<SubjectData SubjectKey="SS_ICE"/>`, place: "SS_ICE,,,,,,,", kind: "Participant"},
		{code: "participantIdentiersMismatch", doc: `<SubjectData SubjectKey="SS_1" OpenClinica:StudySubjectID="P2"/>`, place: "SS_1,P2,,,,,,", kind: "Participant"},
		{code: "multipleParticipantsFound", doc: `<SubjectData OpenClinica:StudySubjectID="Twin"/>`, place: ",Twin,,,,,,", kind: "Participant"},

		{code: "eventDoesNotContainFormData", doc: in(visit, ""), place: "SS_1,P1,SE_VISIT,,,,,", kind: "Study Event"},
		{code: "missingStudyEventOID", doc: `<SubjectData SubjectKey="SS_1"><StudyEventData><FormData FormOID="F_BODY"/></StudyEventData></SubjectData>`, place: "SS_1,P1,,,,,,", kind: "Study Event"},
		{code: "invalidStudyEventOID", doc: `<SubjectData SubjectKey="SS_1"><StudyEventData StudyEventOID="SE_PAST"><FormData FormOID="F_BODY"/></StudyEventData></SubjectData>`, place: "SS_1,P1,SE_PAST,,,,,", kind: "Study Event"},
		{code: "invalidStudyEventRepeatKey", doc: in(week, `StudyEventRepeatKey="one" OpenClinica:StartDate="2026-03-01"`), place: "SS_1,P1,SE_WEEK,,,,,", kind: "Study Event"},
		{code: "eventRepeatKeyTooLarge", doc: in(week, `StudyEventRepeatKey="2" OpenClinica:StartDate="2026-03-01"`), place: "SS_1,P1,SE_WEEK,,,,,", kind: "Study Event"},
		{
			code: "eventNotAvailable", before: in(form, in(row, "")), change: func(w *world) { w.event("SE_VISIT", func(e *clinical.Event) { e.Locked = true }) },
			doc: in(form, in(row, "")), place: "SS_1,P1,SE_VISIT,,,,,", kind: "Study Event",
		},
		{code: "repeatKeyAndFormMismatch", before: in(log, ill), doc: in(log, `<FormData FormOID="F_BODY"/>`), place: "SS_1,P1,SE_LOG,,,,,", kind: "Study Event"},
		{code: "missingStartDate", doc: in(week, ""), place: "SS_1,P1,SE_WEEK,,,,,", kind: "Study Event"},
		{code: "invalidStartDate", doc: in(week, `OpenClinica:StartDate="2026-02-29"`), place: "SS_1,P1,SE_WEEK,,,,,", kind: "Study Event"},
		{code: "invalidEndDate", doc: in(week, `OpenClinica:StartDate="2026-02-28" OpenClinica:EndDate="1 March"`), place: "SS_1,P1,SE_WEEK,,,,,", kind: "Study Event"},
		{code: "endDateBeforeStartDate", doc: in(week, `OpenClinica:StartDate="2026-02-28" OpenClinica:EndDate="2026-02-27"`), place: "SS_1,P1,SE_WEEK,,,,,", kind: "Study Event"},

		{code: "formMissingStudyEventConstruct", doc: in(log, ill+ill), place: "SS_1,P1,SE_LOG,1,F_ILLS,,,", kind: "Form"},
		{code: "formDoesNotContainItemGroupData", doc: in(form, ""), place: body, kind: "Form"},
		{code: "missingFormOid", doc: in(visit, `<FormData/>`), place: event, kind: "Form"},
		{code: "formOIDNotFound", doc: in(visit, `<FormData FormOID="F_ILLS"/>`), place: "SS_1,P1,SE_VISIT,1,F_ILLS,,,", kind: "Form"},
		{code: "formLayoutOIDNotFound", doc: in(state, `OpenClinica:FormLayoutOID="9"`), place: body, kind: "Form"},
		{code: "formLayoutOIDNotAvailable", doc: in(state, `OpenClinica:FormLayoutOID="3"`), place: body, kind: "Form"},
		{code: "formStatusNotValid", doc: in(state, `OpenClinica:Status="locked"`), place: body, kind: "Form"},
		{
			code: "formNotAvailable", before: in(form, in(row, "")), change: func(w *world) { w.event("SE_VISIT", func(e *clinical.Event) { e.Forms["F_BODY"].Removed = true }) },
			doc: in(state, `OpenClinica:SdvStatus="Verified"`), place: body, kind: "Form",
		},

		{code: "missingItemGroupOID", doc: in(form, `<ItemGroupData ItemGroupRepeatKey="7"/>`), place: "SS_1,P1,SE_VISIT,1,F_BODY,,7,", kind: "Item Group"},
		{code: "itemGroupOIDNotFound", doc: in(form, `<ItemGroupData ItemGroupOID="IG_ILLS"/>`), place: "SS_1,P1,SE_VISIT,1,F_BODY,IG_ILLS,,", kind: "Item Group"},
		{code: "itemGroupDoesNotContainItemData", doc: in(group, ""), place: "SS_1,P1,SE_VISIT,1,F_BODY,IG_BODY,,", kind: "Item Group"},
		{code: "itemGroupDoesNotContainItemData", doc: in(group, `<ItemData ItemOID="i_row" Value="x"/>`), place: item + "I_ROW", kind: "Item Data"},
		{code: "invalidItemGroupRepeatKey", doc: in(form, in(row, ` ItemGroupRepeatKey="1.0"`)), place: "SS_1,P1,SE_VISIT,1,F_BODY,IG_ROWS,1.0,", kind: "Item Group"},
		{code: "groupRepeatKeyTooLarge", doc: in(form, in(row, ` ItemGroupRepeatKey="2"`)), place: "SS_1,P1,SE_VISIT,1,F_BODY,IG_ROWS,2,", kind: "Item Group"},
		{code: "groupRepeatKeyLessThanOne", doc: in(form, in(row, ` ItemGroupRepeatKey="0"`)), place: "SS_1,P1,SE_VISIT,1,F_BODY,IG_ROWS,0,", kind: "Item Group"},
		{
			code: "itemGroupIsAlreadyRemoved", before: in(form, in(row, "")+in(row, ` OpenClinica:Removed="yes"`)), doc: in(form, in(row, ` ItemGroupRepeatKey="2"`)),
			place: "SS_1,P1,SE_VISIT,1,F_BODY,IG_ROWS,2,", kind: "Item Group",
		},
		{code: "itemGroupRemovedAttributeIsInvalid", doc: in(form, in(row, ` OpenClinica:Removed="true"`)), place: "SS_1,P1,SE_VISIT,1,F_BODY,IG_ROWS,1,", kind: "Item Group"},
		{code: "nonRepeatingGroupCannotBeRemoved", doc: in(form, `<ItemGroupData ItemGroupOID="IG_BODY" OpenClinica:Removed="Yes"><ItemData ItemOID="I_TEXT" Value="x"/></ItemGroupData>`), place: item, kind: "Item Group"},
		{code: "firstRepeatingGroupCannotBeRemoved", doc: in(form, in(row, ` OpenClinica:Removed="YES"`)), place: "SS_1,P1,SE_VISIT,1,F_BODY,IG_ROWS,1,", kind: "Item Group"},

		{code: "itemNotFound", doc: in(group, `<ItemData ItemOID="i_x" Value="x"/>`), place: item + "i_x", kind: "Item Data"},
		{code: "itemNotFound", doc: in(group, `<ItemData Value="x"/>`), place: item, kind: "Item Data"},
		{code: "valueTooLong", doc: in(group, `<ItemData ItemOID="I_TEXT" Value="`+strings.Repeat("é", 4000)+`"/>`), place: text, kind: "Item Data"},
		{code: "valueTypeMismatch", doc: in(group, `<ItemData ItemOID="I_INT" Value="2147483648"/>`), place: item + "I_INT", kind: "Item Data"},
		{code: "invalidDateFormat", doc: in(group, `<ItemData ItemOID="I_DAY" Value="2026-02-30"/>`), place: item + "I_DAY", kind: "Item Data"},
		{code: "valueChoiceCodeNotFound", doc: in(group, `<ItemData ItemOID="I_SEX" Value="M"/>`), place: item + "I_SEX", kind: "Item Data"},
		{code: "missingItemFile.scan.pdf", doc: in(group, `<ItemData ItemOID="I_SCAN" Value="scan.pdf"/>`), place: item + "I_SCAN", kind: "Item Data"},

		{code: "missingDiscrepancyNoteType", doc: in(notes, `<OpenClinica:DiscrepancyNote/>`), place: text, kind: "Query"},
		{code: "discrepancyNoteTypeNotValid", doc: in(notes, `<OpenClinica:DiscrepancyNote ID="Q1" NoteType="Remark"/>`), place: text, kind: "Query", message: "Q1:errorCode.discrepancyNoteTypeNotValid"},
		{code: "missingChildNote", doc: query("Q1"), place: text, kind: "Query", message: "Q1:errorCode.missingChildNote"},
		{
			code: "annotationMustHaveOneChildNote", doc: in(notes, `<OpenClinica:DiscrepancyNote NoteType="annotation">`+strings.Repeat(child(`UserName="dora"`, said), 2)+`</OpenClinica:DiscrepancyNote>`),
			place: text, kind: "Annotation",
		},
		{code: "missingDiscrepancyNoteStatus", doc: query("Q1", child(`ID="A" UserName="dora"`, said)), place: text, kind: "Query", message: "A:errorCode.missingDiscrepancyNoteStatus"},
		{code: "discrepancyNoteStatusNotValid", doc: query("Q1", child(`Status="Open" UserName="dora"`, said)), place: text, kind: "Query"},
		{code: "queryStatusNotApplicable", before: asked, doc: query("Q1", child(`ID="B" Status="Closed-Modified" UserName="dora"`, said)), place: text, kind: "Query", message: "B:errorCode.queryStatusNotApplicable"},
		{
			code: "newQueryInBetweenOldQueries", before: asked, doc: query("Q1", child(`ID="B" Status="Updated" UserName="dora"`, said), child(`ID="A" Status="New" UserName="dora"`, said)),
			place: text, kind: "Query", message: "A:errorCode.newQueryInBetweenOldQueries",
		},
		{code: "missingUserName", doc: query("Q1", child(`Status="New"`, said)), place: text, kind: "Query"},
		{code: "userNotValid", doc: query("Q1", child(`Status="New" UserName="nobody"`, said)), place: text, kind: "Query"},
		{code: "assignedUserNotValid", doc: query("Q1", child(`Status="New" UserName="dora"`, said+`<UserRef OpenClinica:UserName="nobody"/>`)), place: text, kind: "Query"},
		{code: "detailedNoteMissing", doc: query("Q1", child(`Status="New" UserName="dora"`, "")), place: text, kind: "Query"},
		{
			code: "detailedNoteTextTooLong", doc: query("Q1", child(`Status="New" UserName="dora"`, `<OpenClinica:DetailedNote>`+strings.Repeat("ü", 1001)+`</OpenClinica:DetailedNote>`)),
			place: text, kind: "Query",
		},
		{
			code: "discrepancyNoteIdTooLong", doc: query(strings.Repeat("Q", 33), child(`Status="New" UserName="dora"`, said)),
			place: text, kind: "Query", message: strings.Repeat("Q", 33) + ":errorCode.discrepancyNoteIdTooLong",
		},
		{code: "discrepancyNoteIdIsRedundant", doc: query("Q1", child(`ID="Q1" Status="New" UserName="dora"`, said)), place: text, kind: "Query", message: "Q1:errorCode.discrepancyNoteIdIsRedundant"},
		{code: "noteIdAlreadyInUse", before: asked, doc: query("Q2", child(`ID="A" Status="New" UserName="dora"`, said)), place: text, kind: "Query", message: "A:errorCode.noteIdAlreadyInUse"},
		{code: "noteIdAlreadyInUse", before: asked, doc: query("A", child(`Status="New" UserName="dora"`, said)), place: text, kind: "Query", message: "A:errorCode.noteIdAlreadyInUse"},
		{
			code: "existingNoteIdOnOtherItem", before: asked, doc: strings.Replace(strings.Replace(asked, "I_TEXT", "I_INT", 1), `Value="a"`, `Value="1"`, 1),
			place: item + "I_INT", kind: "Query", message: "Q1:errorCode.existingNoteIdOnOtherItem\nA:errorCode.noteIdAlreadyInUse",
		},
		{
			code: "userNotValid", doc: query("Q1", child(`ID="A" Status="Closed" UserName="nobody"`, said), child(`ID="B" Status="Updated" UserName="dora"`, "")),
			place: text, kind: "Query", message: "A:errorCode.queryStatusNotApplicable\nA:errorCode.userNotValid\nB:errorCode.detailedNoteMissing",
		},

		{code: "sdvStatusNotValid", doc: in(state, `OpenClinica:SdvStatus="Yes"`), place: body, kind: "SDV Status"},
		{code: "sdvStatusNotApplicable", doc: in(state, `OpenClinica:SdvStatus="Changed since verified"`), place: body, kind: "SDV Status"},
		{code: "formStatusShouldBeCompleteForSettingSdvVerifiedStatus", doc: in(state, `OpenClinica:SdvStatus="Verified"`), place: body, kind: "SDV Status"},
		{
			code: "sdvStatusCannotBeUpdatedBecauseOfItemImportFailure", before: in(state, `OpenClinica:Status="complete"`),
			doc:   in(visit, `<FormData FormOID="F_BODY" OpenClinica:SdvStatus="Verified"><ItemGroupData ItemGroupOID="IG_BODY"><ItemData ItemOID="I_INT" Value="x"/></ItemGroupData></FormData>`),
			place: item + "I_INT\n" + body, kind: "Item Data\nSDV Status", message: "errorCode.valueTypeMismatch\nerrorCode.sdvStatusCannotBeUpdatedBecauseOfItemImportFailure",
		},
		{code: "signedStatusIsInvalid", doc: in(sign, "Maybe", "", "complete"), place: event, kind: "Signature"},
		{code: "eventIsNotEligibleToBeSigned", doc: in(sign, "Yes", `<Signature Attestation="I saw it"/>`, "initial data entry"), place: event, kind: "Signature"},
		{code: "cannotSignEventWithoutAttestation", doc: in(sign, "yes", "", "complete"), place: event, kind: "Signature", message: "errorcode.cannotSignEventWithoutAttestation"},
		{code: "attestationIsMissing", doc: in(sign, "Yes", `<Signature/>`, "complete"), place: event, kind: "Signature"},
		{code: "attestationTextTooLong", doc: in(sign, "Yes", `<Signature Attestation="`+strings.Repeat("ß", 1001)+`"/>`, "complete"), place: event, kind: "Signature"},
	} {
		t.Run(tt.code, func(t *testing.T) {
			seen[tt.code] = true
			w, im := codeWorld(t)
			if tt.before != "" {
				if _, failed := w.imported(im, tt.before); len(failed) > 0 {
					t.Fatalf("before: %v", failed)
				}
			}
			if tt.change != nil {
				tt.change(w)
			}
			if tt.message == "" {
				tt.message = "errorCode." + tt.code
			}
			var plainWant, typedWant []string
			places, kinds := strings.Split(tt.place, "\n"), strings.Split(tt.kind, "\n")
			for i, message := range strings.Split(tt.message, "\n") {
				place, kind := places[min(i, len(places)-1)], kinds[min(i, len(kinds)-1)]
				plainWant = append(plainWant, place+",Failed,,"+message)
				typedWant = append(typedWant, place+","+kind+",Failed,,"+message)
			}
			plain, typed := w.imported(im, tt.doc)
			if d := cmp.Diff(plainWant, plain); d != "" {
				t.Errorf("log (-want +got):\n%s", d)
			}
			if d := cmp.Diff(typedWant, typed); d != "" {
				t.Errorf("log with types (-want +got):\n%s", d)
			}
		})
	}
	for code, why := range rowCodes {
		if seen[code] == (why != "") {
			t.Errorf("%s: tested %t, and not raised because %q", code, seen[code], why)
		}
	}
}
