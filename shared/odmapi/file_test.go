package odmapi_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"aliquot/shared/odmimport"
)

// A file that came with an import goes to whoever may read the item, and to nobody else.
func TestFiles(t *testing.T) {
	w := newWorld(t)
	w.river()
	people := w.people()
	manager, monitor, coordinator := people[1], people[3], people[4]
	w.fallback.must("POST", atSpring, `{"subjectKey":"Up"}`)
	w.fallback.must("POST", atMouth, `{"subjectKey":"Down"}`)
	for _, label := range []string{"Up", "Down"} {
		doc := "<ODM>" + strings.NewReplacer("I_PULSE", "I_SCAN", "IG_VITALS", "IG_SCAN", "F_VITALS", "F_SCAN", "61", "Grüße 1.html").Replace(pulse("S_RIVER", label)) + "</ODM>"
		body, header := form(part{"attachedFilesZip", "x.zip", zipped(t, "Grüße 1.html")}, part{"file", "a.xml", doc})
		j := w.job(manager.do("POST", "/clinicaldata/import", body, header))
		if err := w.importer().Handle(t.Context(), odmimport.Message(j.ID)); err != nil {
			t.Fatal(err)
		}
	}
	const river, spring = "/clinicaldata/studies/S_RIVER/files?", "/clinicaldata/studies/S_RIVER/sites/S_SPRING/files?"
	query := func(label string, more ...string) string {
		q := url.Values{"subjectKey": {label}, "studyEventOID": {"se_first"}, "formOID": {"F_SCAN"}, "itemGroupOID": {"IG_SCAN"}, "itemOID": {"I_SCAN"}}
		for i := 0; i < len(more); i += 2 {
			q.Set(more[i], more[i+1])
		}
		return q.Encode()
	}
	for name, ask := range map[string]struct {
		who    caller
		path   string
		status int
		code   string
	}{
		"the study's":          {manager, river + query("Down"), 303, ""},
		"one who only reads":   {monitor, spring + query("Up"), 303, ""},
		"the site's":           {coordinator, spring + query("Up", "studyEventRepeatKey", "1", "itemGroupRepeatKey", "1"), 303, ""},
		"by the study":         {coordinator, river + query("Up"), 303, ""},
		"of another site":      {coordinator, river + query("Down"), 400, "participantNotFound"},
		"at the wrong site":    {manager, spring + query("Down"), 400, "participantNotFound"},
		"nobody's":             {manager, river + query(""), 400, "missingParticipantID"},
		"no event":             {manager, river + query("Up", "studyEventOID", "SE_NONE"), 400, "eventOIDNotAvailableInThisStudy"},
		"no form":              {manager, river + query("Up", "formOID", ""), 400, "formOIDNotFound"},
		"a form of others":     {manager, river + query("Up", "formOID", "F_LOG"), 400, "formOIDNotFound"},
		"no group":             {manager, river + query("Up", "itemGroupOID", "IG_LOG"), 400, "itemGroupOIDNotFound"},
		"no item":              {manager, river + query("Up", "itemOID", "I_SEX"), 400, "itemNotFound"},
		"no number":            {manager, river + query("Up", "itemGroupRepeatKey", "x"), 400, "invalidItemGroupRepeatKey"},
		"no number of a visit": {manager, river + query("Up", "studyEventRepeatKey", "x"), 400, "invalidStudyEventRepeatKey"},
		"another repeat":       {manager, river + query("Up", "itemGroupRepeatKey", "2"), 404, "fileNotFound"},
		"an item without one":  {manager, river + query("Up", "formOID", "F_VITALS", "itemGroupOID", "IG_VITALS", "itemOID", "I_SEX"), 404, "fileNotFound"},
	} {
		a := ask.who.do("GET", ask.path, "")
		if a.status != ask.status || !strings.Contains(a.body, ask.code) {
			t.Errorf("%s: %d %s, want %d %s", name, a.status, a.body, ask.status, ask.code)
		}
		if a.status != http.StatusSeeOther {
			continue
		}
		there := fetch(t, a.header.Get("Location"))
		h := there.header
		if len(there.body) == 0 || h.Get("Content-Type") != "application/octet-stream" ||
			h.Get("Content-Disposition") != "attachment; filename*=utf-8''Gr%C3%BC%C3%9Fe%201.html" || a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d bytes, %v", name, len(there.body), h)
		}
	}
	// A form that the site hides is hidden with its files; who sees the whole study sees it.
	hidden := strings.Replace(mustRead(t, "testdata/river.xml"), `<FormRef FormOID="F_SCAN" Mandatory="No"/>`,
		`<FormRef FormOID="F_SCAN" Mandatory="No"><OpenClinica:ConfigurationParameters HideCRF="Yes"/></FormRef>`, 1)
	w.fallback.must("PUT", "/studies/S_RIVER/metadata", hidden)
	coordinator.do("GET", spring+query("Up"), "").refused(t, 400, "formOIDNotFound")
	if a := monitor.do("GET", spring+query("Up"), ""); a.status != http.StatusSeeOther {
		t.Errorf("%d %s", a.status, a.body)
	}
	if log := w.logged(); strings.Contains(log, "Gr") && strings.Contains(log, ".html") {
		t.Error("the log holds the name of a file")
	}
}
