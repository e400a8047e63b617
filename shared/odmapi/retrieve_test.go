package odmapi_test

import (
	"strings"
	"testing"
)

// Who sees whose data, metadata and users (sections 1.3 and 6.2).
func TestRetrieval(t *testing.T) {
	w := newWorld(t)
	w.river()
	w.lake()
	all := w.people()
	for site, id := range map[string]string{"S_SPRING": "Up", "S_MOUTH": "Down"} {
		w.fallback.must("POST", "/clinicaldata/studies/S_RIVER/sites/"+site+"/participants", `{"subjectKey":"`+id+`"}`)
	}
	// The participants that each caller sees of the study, of its sites, and of another study.
	want := map[string][4]string{
		"admin": {"Up Down", "Up", "Down", ""}, "manager": {"Up Down", "Up", "Down", ""}, "entry": {"Up Down", "Up", "Down", ""},
		"monitor": {"Up Down", "Up", "Down", ""}, "coordinator": {"Up", "Up", "", ""}, "watcher": {"Up", "Up", "", ""}, "stranger": {"", "", "", ""},
	}
	for i, who := range callers {
		for j, oid := range []string{"S_RIVER", "S_SPRING", "S_MOUTH", "S_LAKE"} {
			a := all[i].do("GET", "/clinicaldata/"+oid+"/*/*/*?includeMetadata=y", "", "Accept: application/xml")
			if a.status != 200 {
				t.Fatalf("%s about %s: %d %s", who.login, oid, a.status, a.body)
			}
			var seen []string
			for _, id := range []string{"Up", "Down"} {
				if strings.Contains(a.body, `StudySubjectID="`+id+`"`) {
					seen = append(seen, id)
				}
			}
			if got := strings.Join(seen, " "); got != want[who.login][j] {
				t.Errorf("%s sees %q of %s, want %q", who.login, got, oid, want[who.login][j])
			}
			if strings.HasPrefix(who.role, "Clinical") && (strings.Contains(a.body, "S_MOUTH") || strings.Contains(a.body, "monitor")) {
				t.Errorf("somebody of a site sees another site or the users of the study:\n%s", a.body)
			}
			if want[who.login][j] == "" && j < 3 && (strings.Contains(a.body, "<Study") || strings.Contains(a.body, "<AdminData")) {
				t.Errorf("%s sees the metadata of %s", who.login, oid)
			}
		}
	}
	c := all[0]
	for path, want := range map[string]int{
		"/clinicaldata/S_RIVER/Up/*/*": 200, "/clinicaldata/S_RIVER/%2A/SE_X[2],SE_Y/F_X": 200, "/clinicaldata/S_NONE/*/*/*": 404,
	} {
		if a := c.do("GET", path, ""); a.status != want {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	for accept, want := range map[string]string{
		"": "application/json", "*/*": "application/json", "text/xml": "application/xml", "text/html, application/json;q=0.9": "application/json",
	} {
		a := c.do("GET", "/clinicaldata/S_RIVER/Up/*/*?clinicalData=n&INCLUDEMETADATA=no", "", "Accept: "+accept)
		if got := a.header.Get("Content-Type"); !strings.HasPrefix(got, want) || strings.Contains(a.body, "SubjectData") {
			t.Errorf("accepting %q: %s %s", accept, got, a.body)
		}
	}
	if a := c.do("GET", "/clinicaldata/S_RIVER/*/*/*", "", "Accept: image/png"); a.status != 406 {
		t.Errorf("accepting a picture: %d %s", a.status, a.body)
	}
}
