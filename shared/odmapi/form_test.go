package odmapi_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// shownAs are the attributes of an element that is given out of R-1's data.
func (c caller) shownAs(element, containing, query string) map[string]string {
	c.t.Helper()
	a := c.do("GET", "/clinicaldata/S_RIVER/R-1/*/*"+query, "", "Accept: text/xml")
	for line := range strings.SplitSeq(a.body, "\n") {
		if strings.Contains(line, "<"+element+" ") && strings.Contains(line, containing) {
			all := map[string]string{}
			for _, m := range regexp.MustCompile(`(?:OpenClinica:)?(\w+)="([^"]*)"`).FindAllStringSubmatch(line, -1) {
				all[m[1]] = m[2]
			}
			return all
		}
	}
	return nil
}

// What is put out of use stays visible and says so, takes nothing, and comes back (sections 3.4, 3.5, 6.2 and 6.5).
func TestOutOfUse(t *testing.T) {
	w := newWorld(t)
	w.river()
	people := w.people()
	manager, entry := people[1], people[2]
	manager.must("POST", atSpring, `{"subjectKey":"R-1","uniqueIdentifier":"P-77","secondaryId":"S-8","dateOfBirth":"1980-02-29","sex":"F","enrollmentDate":"2026-01-15"}`)
	w.take("S_RIVER", vitals)
	const (
		subjects = "/clinicaldata/studies/S_RIVER/participants"
		events   = "/clinicaldata/studies/S_RIVER/events"
		forms    = "/clinicaldata/studies/S_RIVER/sites/S_SPRING/forms"
		form     = `{"subjectKey":"R-1","studyEventOID":"SE_FIRST","formOID":"f_vitals"`
		event    = `{"subjectKey":"R-1","studyEventOID":"SE_FIRST"`
	)
	type attrs map[string]string
	shows := func(name, element, containing string, want attrs) {
		t.Helper()
		is := manager.shownAs(element, containing, "?showArchived=y")
		for k, v := range want {
			if is[k] != v {
				t.Errorf("%s: %s is %q, want %q", name, k, is[k], v)
			}
		}
	}
	shows("enrolled", "SubjectData", "", attrs{"UniqueIdentifier": "P-77", "SecondaryID": "S-8", "DateOfBirth": "1980-02-29", "YearOfBirth": "", "Sex": "f", "EnrollmentDate": "2026-01-15", "Status": "Available"})
	shows("first visit", "StudyEventData", `OID="SE_FIRST"`, attrs{"SubjectAgeAtEvent": "45"}) // born on 29 February
	steps := []struct {
		name       string
		who        caller
		path, body string
		want       string // the code of a refusal
		element    string
		attrs      attrs
	}{
		{"no form", manager, forms, `{"subjectKey":"R-1","studyEventOID":"SE_FIRST","formOID":"F_NONE"}`, "formOIDNotFound", "", nil},
		{"a form not begun", manager, forms, `{"subjectKey":"R-1","studyEventOID":"SE_FIRST","formOID":"F_SCAN"}`, "formNotAvailable", "", nil},
		{"no event", manager, forms, `{"subjectKey":"R-1","studyEventOID":"SE_NONE","formOID":"F_VITALS"}`, "eventOIDNotAvailableInThisStudy", "", nil},
		{"no participant", manager, forms, `{"subjectKey":"R-2","studyEventOID":"SE_FIRST","formOID":"F_VITALS"}`, "participantNotFound", "", nil},
		{"no such day", manager, forms, form + `,"interviewDate":"2026-02-30"}`, "interviewDateNotValid", "", nil},
		{"a long name", manager, forms, form + `,"interviewerName":"` + strings.Repeat("x", 256) + `"}`, "interviewerNameTooLong", "", nil},
		{"a long reason", manager, forms, form + `,"removed":true,"reason":"` + strings.Repeat("x", 1001) + `"}`, "detailedNoteTextTooLong", "", nil},
		{"a word for a flag", manager, forms, form + `,"removed":"yes"}`, "COMMON_INVALID_INPUT", "", nil},
		{"archive without the right", entry, forms, form + `,"archived":true}`, "noSufficientPrivileges", "", nil},
		{"interviewed", entry, forms, form + `,"interviewerName":"Ida Invented","interviewDate":"2026-02-02"}`, "", "FormData", attrs{"InterviewerName": "Ida Invented", "InterviewDate": "2026-02-02", "UpdatedBy": "entry"}},
		{"remove the form", entry, forms, form + `,"removed":true,"reason":"filled in twice"}`, "", "FormData", attrs{"Removed": "Yes", "Status": "invalid", "WorkflowStatus": "initial data entry"}},
		{"a removed form takes no interviewer", entry, forms, form + `,"interviewerName":"Otto"}`, "formNotAvailable", "", nil},
		{"restore the form", entry, forms, form + `,"removed":false,"interviewDate":"2026-02-03"}`, "", "FormData", attrs{"Removed": "No", "Status": "initial data entry", "InterviewDate": "2026-02-03"}},
		{"archive the form", manager, forms, form + `,"archived":true}`, "", "FormData", attrs{"Archived": "Yes", "Status": "invalid"}},
		{"take it back", manager, forms, form + `,"archived":false}`, "", "FormData", attrs{"Archived": "No", "Status": "initial data entry"}},

		{"lock without the right", entry, events, event + `,"locked":true}`, "noSufficientPrivileges", "", nil},
		{"lock", manager, events, event + `,"locked":true,"reason":"clean"}`, "", "StudyEventData", attrs{"Locked": "Yes", "Status": "Locked", "WorkflowStatus": "data entry started"}},
		{"a locked event's form", manager, forms, form + `,"removed":true}`, "eventNotAvailable", "", nil},
		{"a locked event's end", manager, events, event + `,"endDate":"2026-02-04"}`, "eventNotAvailable", "", nil},
		{"remove a locked event", entry, events, event + `,"removed":true}`, "eventNotAvailable", "", nil},
		{"unlock", manager, events, event + `,"locked":false}`, "", "StudyEventData", attrs{"Locked": "No", "Status": "data entry started"}},
		{"remove the event", entry, events, event + `,"removed":true}`, "", "FormData", attrs{"Removed": "No", "Status": "invalid"}},
		{"it is told", entry, events, event + `,"removed":true}`, "", "StudyEventData", attrs{"Removed": "Yes", "Status": "data entry started"}},
		{"restore the event", entry, events, event + `,"removed":false}`, "", "StudyEventData", attrs{"Removed": "No"}},
		{"archive the event", manager, events, event + `,"archived":true}`, "", "FormData", attrs{"Status": "invalid", "Archived": "Yes"}},
		{"take that back", manager, events, event + `,"archived":false}`, "", "FormData", attrs{"Status": "initial data entry", "Archived": "No"}},

		{"a date that is none", manager, subjects, `{"subjectKey":"R-1","dateOfBirth":"1980-02-30"}`, "dateOfBirthNotValid", "", nil},
		{"a year that is none", manager, subjects, `{"subjectKey":"R-1","yearOfBirth":"80"}`, "yearOfBirthNotValid", "", nil},
		{"date and year", manager, subjects, `{"subjectKey":"R-1","yearOfBirth":"1980","dateOfBirth":"1981-01-01"}`, "yearOfBirthNotValid", "", nil},
		{"another sex", manager, subjects, `{"subjectKey":"R-1","sex":"x"}`, "sexNotValid", "", nil},
		{"a day of enrolment", manager, subjects, `{"subjectKey":"R-1","enrollmentDate":"soon"}`, "enrollmentDateNotValid", "", nil},
		{"a long identifier", manager, subjects, `{"subjectKey":"R-1","uniqueIdentifier":"` + strings.Repeat("x", 256) + `"}`, "uniqueIdentifierTooLong", "", nil},
		{"a long second one", manager, subjects, `{"subjectKey":"R-1","secondaryId":"` + strings.Repeat("x", 31) + `"}`, "secondaryIdTooLong", "", nil},
		{"nobody", manager, subjects, `{"subjectKey":"R-9"}`, "participantNotFound", "", nil},
		{"the year of the date", entry, subjects, `{"subjectKey":"R-1","yearOfBirth":"1980"}`, "", "SubjectData", attrs{"DateOfBirth": "1980-02-29", "YearOfBirth": ""}},
		{"another year", entry, subjects, `{"subjectKey":"R-1","yearOfBirth":"1979","sex":"M","phone":"+49 555 call"}`, "", "SubjectData", attrs{"DateOfBirth": "", "YearOfBirth": "1979", "Sex": "m", "SecondaryID": "S-8"}},
		{"remove", entry, subjects, `{"subjectKey":"R-1","removed":true,"reason":"withdrew"}`, "", "SubjectData", attrs{"Status": "Removed"}},
		{"all of it is invalid", entry, subjects, `{"subjectKey":"R-1","removed":true}`, "", "FormData", attrs{"Status": "invalid", "Removed": "No"}},
		{"a removed participant's event", entry, events, event + `,"removed":true}`, "participantNotAvailable", "", nil},
		{"a removed participant's data", entry, subjects, `{"subjectKey":"R-1","sex":"F"}`, "participantNotAvailable", "", nil},
		{"restore", entry, subjects, `{"subjectKey":"R-1","removed":false}`, "", "SubjectData", attrs{"Status": "Available"}},
	}
	for _, s := range steps {
		a := s.who.do("PUT", s.path, s.body)
		switch {
		case s.want == "" && a.status != 200:
			t.Errorf("%s: %d %s", s.name, a.status, a.body)
		case s.want != "" && (a.status != 400 && a.status != 403 || !strings.Contains(a.body, s.want)):
			t.Errorf("%s: %d %s, want %s", s.name, a.status, a.body, s.want)
		}
		if s.element == "" {
			continue
		}
		containing := map[string]string{"FormData": `OID="F_VITALS"`, "StudyEventData": `OID="SE_FIRST"`}[s.element]
		shows(s.name, s.element, containing, s.attrs)
	}
	// What is archived is not given out unasked; what is removed always is.
	for _, s := range []struct{ path, body, element, containing string }{
		{events, event, "StudyEventData", `OID="SE_FIRST"`}, {forms, form, "FormData", `UpdatedBy="manager"`},
	} {
		for flag, want := range map[string]bool{"archived": false, "removed": true} {
			manager.must("PUT", s.path, s.body+`,"`+flag+`":true}`)
			if got := manager.shownAs(s.element, s.containing, "") != nil; got != want {
				t.Errorf("%s, %s: given out %t", s.element, flag, got)
			}
			manager.must("PUT", s.path, s.body+`,"`+flag+`":false}`)
		}
	}
	// While it is out of use an import takes nothing for it.
	rows := func(want ...string) {
		t.Helper()
		doc := document("S_RIVER", "R-1", `<ItemData ItemOID="I_PULSE" Value="70"/>`)
		j := w.job(w.fallback.do("POST", "/clinicaldata/import", doc))
		if got := w.rows(j, doc); !slices.Equal(got, want) {
			t.Errorf("rows %q, want %q", got, want)
		}
	}
	for _, s := range [][3]string{
		{subjects, `{"subjectKey":"R-1"`, "R-1 Failed participantNotFound"}, {events, event, "R-1 Failed eventNotAvailable"}, {forms, form, "R-1 Failed formNotAvailable"},
	} {
		manager.must("PUT", s[0], s[1]+`,"removed":true}`)
		rows(s[2])
		manager.must("PUT", s[0], s[1]+`,"removed":false}`)
	}
	rows("R-1 Inserted ")

	a := manager.do("GET", "/clinicaldata/S_RIVER/R-1/*/*?includeAudits=y", "", "Accept: text/xml")
	for _, want := range []string{
		`AuditType="Event CRF removed status changed" ReasonForChange="filled in twice" OldValue="No" NewValue="Yes" ValueType="Removed"/>`,
		`AuditType="Study Event locked status changed" ReasonForChange="clean" OldValue="No" NewValue="Yes" ValueType="Locked"/>`,
		`AuditType="Study Event locked status changed" OldValue="Yes" NewValue="No" ValueType="Locked"/>`,
		`AuditType="Participant status changed" ReasonForChange="withdrew" OldValue="Available" NewValue="Removed" ValueType="Status"/>`,
		`AuditType="Study subject value changed" OldValue="1980-02-29" ValueType="DateOfBirth"/>`,
		`AuditType="Study subject value changed" NewValue="Masked" ValueType="Phone"/>`,
	} {
		if !strings.Contains(a.body, want) {
			t.Errorf("no audit %s", want)
		}
	}
	if strings.Contains(a.body, "555 call") {
		t.Error("the audit tells contact data")
	}
	if log := w.logged(); strings.Contains(log, "Invented") || strings.Contains(log, "P-77") || strings.Contains(log, "withdrew") {
		t.Error("the log holds values")
	}
}
