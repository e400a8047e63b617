package odmapi_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Who signed an event did not sign what is changed of it afterwards.
func TestChangedEventsAreSignedNoMore(t *testing.T) {
	w := newWorld(t)
	w.river()
	c := w.fallback
	c.must("POST", atSpring, `{"subjectKey":"R-1"}`)
	data := func(signed string) {
		w.take("S_RIVER", `<ODM><ClinicalData StudyOID="S_RIVER"><SubjectData OpenClinica:StudySubjectID="R-1"><StudyEventData StudyEventOID="SE_FIRST" OpenClinica:StartDate="2026-02-01"`+signed+`
			<FormData FormOID="F_VITALS" OpenClinica:Status="complete"><ItemGroupData ItemGroupOID="IG_VITALS"><ItemData ItemOID="I_SEX" Value="F"/></ItemGroupData></FormData></StudyEventData></SubjectData></ClinicalData></ODM>`)
	}
	sign := func() { data(` OpenClinica:Signed="Yes"><Signature Attestation="Seen"/>`) }
	data(`>`)
	c.must("PUT", "/clinicaldata/studies/S_RIVER/events", `{"subjectKey":"R-1","studyEventOID":"SE_FIRST","eventStatus":"completed"}`)
	is := func(change, want string) {
		t.Helper()
		if change != "" {
			c.must("PUT", "/clinicaldata/studies/S_RIVER/events", `{"subjectKey":"R-1","studyEventOID":"SE_FIRST",`+change+`}`)
		}
		if got := c.do("GET", "/clinicaldata/S_RIVER/R-1/*/*?showArchived=y", "", "Accept: application/xml").body; !strings.Contains(got, `OpenClinica:Signed="`+want+`"`) {
			t.Errorf("after %q: want Signed %s in\n%s", change, want, got)
		}
	}
	sign()
	is("", "Yes")
	is(`"startDate":"2026-02-01"`, "Yes") // as it was
	is(`"startDate":"2026-01-31"`, "No")
	sign()
	is(`"locked":true`, "Yes")
	is(`"locked":false`, "Yes")
	is(`"removed":true`, "Yes")
	is(`"removed":false`, "Yes")
	is(`"archived":true`, "Yes")
	is(`"archived":false`, "Yes")
	is(`"startDate":"2026-01-30"`, "No")
	data(`><Signature Attestation="Seen by others"/>`)
	data(` OpenClinica:Signed="Yes"><Signature Attestation="Seen, too"/><Signature Attestation="Seen at last"/>`)
	got := c.do("GET", "/clinicaldata/S_RIVER/R-1/*/*?includeAudits=y", "", "Accept: application/xml").body
	var told []string
	for _, m := range regexp.MustCompile(`AuditType="([^"]*)"[^/]* Details="([^"]*)"`).FindAllStringSubmatch(got, -1) {
		told = append(told, m[1]+": "+m[2])
	}
	const signed, beside = "Study Event signed status changed: ", "Study Event signature attested: "
	if d := cmp.Diff([]string{
		signed + "Seen [Signed Externally]", signed + "Seen [Signed Externally]", beside + "Seen by others [Signed Externally]",
		beside + "Seen, too [Signed Externally]", signed + "Seen at last [Signed Externally]",
	}, told); d != "" {
		t.Errorf("attestations (-want +got):\n%s\n%s", d, got)
	}
}

func TestEvents(t *testing.T) {
	w := newWorld(t)
	w.river()
	c := w.fallback
	const events = "/clinicaldata/studies/S_RIVER/sites/S_SPRING/events"
	c.must("POST", atSpring, `{"subjectKey":"R-1"}`)
	c.must("POST", atMouth, `{"subjectKey":"R-9"}`)
	shown := func(oid, key, start, end, status string) string {
		dates := fmt.Sprintf(`,"startDate":%q`, start)
		if end != "" {
			dates += fmt.Sprintf(`,"endDate":%q`, end)
		}
		return fmt.Sprintf(`{"subjectKey":"R-1","studyEventOID":%q,"studyEventRepeatKey":%q%s,"eventStatus":%q}`, oid, key, dates, status)
	}
	steps := []struct {
		name, method, body string
		status             int
		want               string // the code, or the whole answer
	}{
		{"schedule", "POST", `{"subjectKey":"R-1","studyEventOID":"se_first","startDate":"2026-02-01"}`, 200, shown("SE_FIRST", "1", "2026-02-01", "", "scheduled")},
		{"again", "POST", `{"subjectKey":"R-1","studyEventOID":"SE_FIRST","startDate":"2026-02-01"}`, 400, "eventAlreadyExists"},
		{"no event", "POST", `{"subjectKey":"R-1","studyEventOID":"SE_NONE","startDate":"2026-02-01"}`, 400, "eventOIDNotAvailableInThisStudy"},
		{"common", "POST", `{"subjectKey":"R-1","studyEventOID":"SE_LOG","startDate":"2026-02-01"}`, 400, "commonEventsCannotBeScheduled"},
		{"no participant", "POST", `{"studyEventOID":"SE_AGAIN","startDate":"2026-02-01"}`, 400, "missingParticipantID"},
		{"unknown participant", "POST", `{"subjectKey":"R-2","studyEventOID":"SE_AGAIN","startDate":"2026-02-01"}`, 400, "participantNotFound"},
		{"at another site", "POST", `{"subjectKey":"R-9","studyEventOID":"SE_AGAIN","startDate":"2026-02-01"}`, 400, "participantNotFound"},
		{"no date", "POST", `{"subjectKey":"R-1","studyEventOID":"SE_AGAIN"}`, 400, "missingStartDate"},
		{"no such date", "POST", `{"subjectKey":"R-1","studyEventOID":"SE_AGAIN","startDate":"2026-02-30"}`, 400, "invalidStartDate"},
		{"no such end", "POST", `{"subjectKey":"R-1","studyEventOID":"SE_AGAIN","startDate":"2026-02-01","endDate":"soon"}`, 400, "invalidEndDate"},
		{"backwards", "POST", `{"subjectKey":"R-1","studyEventOID":"SE_AGAIN","startDate":"2026-02-02","endDate":"2026-02-01"}`, 400, "endDateBeforeStartDate"},
		{"a gap", "POST", `{"subjectKey":"R-1","studyEventOID":"SE_AGAIN","startDate":"2026-02-02","studyEventRepeatKey":2}`, 400, "eventRepeatKeyTooLarge"},
		{"no number", "POST", `{"subjectKey":"R-1","studyEventOID":"SE_AGAIN","startDate":"2026-02-02","studyEventRepeatKey":"x"}`, 400, "invalidStudyEventRepeatKey"},
		{"begun at once", "POST", `{"subjectKey":"R-1","studyEventOID":"SE_AGAIN","startDate":"2026-02-02","eventStatus":"completed"}`, 400, "invalidEventTransitionStatus"},
		{"no such state", "POST", `{"subjectKey":"R-1","studyEventOID":"SE_AGAIN","startDate":"2026-02-02","eventStatus":"done"}`, 400, "invalidEventStatus"},
		{"a list", "POST", `{"subjectKey":["R-1"]}`, 400, "COMMON_INVALID_INPUT"},
		{"first of many", "POST", `{"subjectKey":"R-1","studyEventOID":"SE_AGAIN","startDate":"2026-02-02","studyEventRepeatKey":1}`, 200, shown("SE_AGAIN", "1", "2026-02-02", "", "scheduled")},
		{"second of many", "POST", `{"subjectKey":"R-1","studyEventOID":"SE_AGAIN","startDate":"2026-02-03","endDate":"2026-02-04"}`, 200, shown("SE_AGAIN", "2", "2026-02-03", "2026-02-04", "scheduled")},

		{"change nothing there", "PUT", `{"subjectKey":"R-1","studyEventOID":"SE_LOG","eventStatus":"skipped"}`, 400, "participantDoesNotHaveThisEventInThisStudy"},
		{"change no repeat", "PUT", `{"subjectKey":"R-1","studyEventOID":"SE_AGAIN","studyEventRepeatKey":"3","eventStatus":"skipped"}`, 400, "studyEventRepeatNotFound"},
		{"change no event", "PUT", `{"subjectKey":"R-1","studyEventOID":"SE_NONE","eventStatus":"skipped"}`, 400, "eventOIDNotAvailableInThisStudy"},
		{"complete unbegun", "PUT", `{"subjectKey":"R-1","studyEventOID":"SE_FIRST","eventStatus":"completed"}`, 400, "invalidEventTransitionStatus"},
		{"become nonsense", "PUT", `{"subjectKey":"R-1","studyEventOID":"SE_FIRST","eventStatus":"gone"}`, 400, "invalidEventStatus"},
		{"end before its start", "PUT", `{"subjectKey":"R-1","studyEventOID":"SE_FIRST","endDate":"2026-01-01"}`, 400, "endDateBeforeStartDate"},
		{"skip", "PUT", `{"subjectKey":"R-1","studyEventOID":"SE_FIRST","eventStatus":"Skipped"}`, 200, shown("SE_FIRST", "1", "2026-02-01", "", "skipped")},
		{"begin after all", "PUT", `{"subjectKey":"R-1","studyEventOID":"SE_FIRST","eventStatus":"data entry started"}`, 200, shown("SE_FIRST", "1", "2026-02-01", "", "data entry started")},
		{"skip what has begun", "PUT", `{"subjectKey":"R-1","studyEventOID":"SE_FIRST","eventStatus":"skipped"}`, 400, "invalidEventTransitionStatus"},
		{"complete", "PUT", `{"subjectKey":"R-1","studyEventOID":"SE_FIRST","eventStatus":"completed","endDate":"2026-02-05"}`, 200, shown("SE_FIRST", "1", "2026-02-01", "2026-02-05", "completed")},
		{"go back", "PUT", `{"subjectKey":"R-1","studyEventOID":"SE_FIRST","eventStatus":"scheduled"}`, 400, "invalidEventTransitionStatus"},
		{"move the second", "PUT", `{"subjectKey":"R-1","studyEventOID":"SE_AGAIN","studyEventRepeatKey":"2","startDate":"2026-02-01"}`, 200, shown("SE_AGAIN", "2", "2026-02-01", "2026-02-04", "scheduled")},
	}
	for _, s := range steps {
		t.Run(s.name, func(t *testing.T) {
			a := c.do(s.method, events, s.body)
			if s.status == 200 {
				a.is(t, 200, s.want)
			} else {
				a.refused(t, s.status, s.want)
			}
		})
	}
	// At the study itself the participants of all sites are found.
	c.must("POST", "/clinicaldata/studies/S_RIVER/events", `{"subjectKey":"R-9","studyEventOID":"SE_FIRST","startDate":"2026-02-01"}`)
	c.must("POST", atMouth, `{"subjectKey":"R-1"}`)
	c.do("POST", "/clinicaldata/studies/S_RIVER/events", `{"subjectKey":"R-1","studyEventOID":"SE_AGAIN","startDate":"2026-02-01"}`).
		refused(t, 400, "errorCode.multipleParticipantsFound")

	// Each change is in the participant's audit, as one chain.
	w.wantChain("SS_R1", 4)
	if log := w.logged(); strings.Contains(log, "R-1") {
		t.Error("the log holds a participant's id")
	}
}
