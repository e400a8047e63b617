package odmapi_test

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestStudies(t *testing.T) {
	w := newWorld(t)
	c := w.fallback
	made := c.must("PUT", "/studies/S_DEMO%28TEST%29", `{"name":"Demo","uniqueProtocolId":"DEMO"}`)
	if made["oid"] != "S_DEMO(TEST)" || made["status"] != "Available" || made["environment"] != "TEST" || made["role"] != "Data Manager" {
		t.Errorf("made %v", made)
	}
	if got := c.must("GET", "/studies/s_demo(test)", ""); got["oid"] != "S_DEMO(TEST)" || got["name"] != "Demo" {
		t.Errorf("found in other case: %v", got)
	}
	if got := c.must("PUT", "/studies/S_DEMO(TEST)", `{"name":"Demonstration"}`); got["name"] != "Demonstration" || got["uniqueProtocolId"] != "DEMO" {
		t.Errorf("renamed %v", got)
	}
	site := c.must("PUT", "/studies/S_EAST", `{"parent":"S_DEMO(TEST)"}`)
	if site["parent"] != "S_DEMO(TEST)" || site["name"] != "S_EAST" || site["uniqueProtocolId"] != "S_EAST" {
		t.Errorf("site %v", site)
	}
	for name, tt := range map[string]struct {
		method, path, body string
		status             int
		told               string
	}{
		"a site of a site":       {"PUT", "/studies/S_X", `{"parent":"S_EAST"}`, 404, "errorCode.studyOIDNotFound"},
		"a site of nothing":      {"PUT", "/studies/S_X", `{"parent":"S_NONE"}`, 404, "errorCode.studyOIDNotFound"},
		"another parent":         {"PUT", "/studies/S_DEMO(TEST)", `{"parent":"S_EAST"}`, 400, "STUDY_PARENT_INVALID"},
		"an OID with a percent":  {"PUT", "/studies/S_%25", `{}`, 400, "STUDY_OID_INVALID"},
		"a long name":            {"PUT", "/studies/S_X", `{"name":"` + strings.Repeat("x", 256) + `"}`, 400, "STUDY_NAME_INVALID"},
		"an id with a slash":     {"PUT", "/studies/S_X", `{"uniqueProtocolId":"a/b"}`, 400, "STUDY_UNIQUE_ID_INVALID"},
		"a long id":              {"PUT", "/studies/S_X", `{"uniqueProtocolId":"` + strings.Repeat("x", 31) + `"}`, 400, "STUDY_UNIQUE_ID_INVALID"},
		"no JSON":                {"PUT", "/studies/S_X", `name`, 400, "COMMON_INVALID_INPUT"},
		"a long OID":             {"PUT", "/studies/" + strings.Repeat("S", 129), `{}`, 400, "STUDY_OID_INVALID"},
		"no such status":         {"PUT", "/studies/S_EAST/status", `{"status":"open"}`, 400, "STUDY_STATUS_INVALID"},
		"status of nothing":      {"PUT", "/studies/S_NONE/status", `{"status":"Locked"}`, 404, "errorCode.studyOIDNotFound"},
		"publish a site":         {"PUT", "/studies/S_EAST/publish", ``, 400, "STUDY_PUBLISH_INVALID"},
		"publish without a word": {"PUT", "/studies/S_DEMO(TEST)/publish", ``, 400, "STUDY_PUBLISH_INVALID"},
	} {
		t.Run(name, func(t *testing.T) { c.do(tt.method, tt.path, tt.body).refused(t, tt.status, tt.told) })
	}
	if got := c.must("PUT", "/studies/S_EAST/status", `{"status":"Locked"}`); got["status"] != "Locked" {
		t.Errorf("locked %v", got)
	}
	var list []map[string]any
	if err := json.Unmarshal([]byte(c.do("GET", "/studies", "").body), &list); err != nil || len(list) != 2 ||
		list[0]["oid"] != "S_DEMO(TEST)" || list[1]["oid"] != "S_EAST" || list[1]["status"] != "Locked" {
		t.Errorf("listed %v, %v", list, err)
	}
}

func TestChangesOfStudiesAreAudited(t *testing.T) {
	w := newWorld(t)
	w.fallback.must("PUT", "/studies/S_RIVER", `{"name":"River"}`)
	w.fallback.must("PUT", "/studies/S_RIVER", `{"name":"Stream"}`)
	w.fallback.must("PUT", "/studies/S_RIVER", `{"name":"Stream"}`) // changes nothing
	w.fallback.must("PUT", "/studies/S_RIVER/status", `{"status":"Frozen"}`)
	p, err := w.api.Registry.Place(t.Context(), "S_RIVER")
	if err != nil {
		t.Fatal(err)
	}
	trail, err := w.api.Registry.Store.Trail(t.Context(), "study", p.Study.ID)
	if err != nil || len(trail) != 2 {
		t.Fatalf("%d entries, %v, want 2", len(trail), err)
	}
	if got := string(trail[0].Before) + string(trail[0].After); got != `{"name":"River"}{"name":"Stream"}` {
		t.Errorf("the first entry tells %s", got)
	}
	if trail[1].Prev != trail[0].Head() || trail[1].By != w.adminID() {
		t.Errorf("the second entry is %+v", trail[1])
	}
}

func TestRoles(t *testing.T) {
	w := newWorld(t)
	w.river()
	c := w.fallback
	w.newUser("ann")
	for name, tt := range map[string]struct {
		path, body string
		status     int
		told       string
	}{
		"site role in a study": {"/studies/S_RIVER/users/ann", `{"role":"Clinical Research Coordinator"}`, 400, "STUDY_ROLE_INVALID"},
		"study role at a site": {"/studies/S_SPRING/users/ann", `{"role":"Data Manager"}`, 400, "STUDY_ROLE_INVALID"},
		"no such role":         {"/studies/S_RIVER/users/ann", `{"role":"King"}`, 400, "STUDY_ROLE_INVALID"},
		"no role at all":       {"/studies/S_RIVER/users/ann", `{}`, 400, "STUDY_ROLE_INVALID"},
		"no such user":         {"/studies/S_RIVER/users/bob", `{"role":"Monitor"}`, 400, "USER_NOT_FOUND"},
		"no such study":        {"/studies/S_NONE/users/ann", `{"role":"Monitor"}`, 404, "errorCode.studyOIDNotFound"},
		"a stock role anew":    {"/roles/Monitor", `{"acts":"Viewer"}`, 400, "STUDY_ROLE_INVALID"},
		"a role without any":   {"/roles/Warden", `{}`, 400, "STUDY_ROLE_INVALID"},
		"a long name":          {"/roles/" + strings.Repeat("x", 61), `{"acts":"Viewer"}`, 400, "STUDY_ROLE_INVALID"},
	} {
		t.Run(name, func(t *testing.T) { c.do("PUT", tt.path, tt.body).refused(t, tt.status, tt.told) })
	}
	c.must("PUT", "/roles/River%20Warden", `{"acts":"Data Entry Person"}`)
	w.grant("S_RIVER", "ann", "river warden")
	w.grant("S_SPRING", "ann", "Monitor")
	c.do("GET", "/studies/S_RIVER/users/ann", "").is(t, 200,
		`{"login":"ann","roles":[{"studyOid":"S_RIVER","role":"River Warden","acts":"Data Entry Person"},{"studyOid":"S_SPRING","role":"Monitor"}]}`)
	c.do("GET", "/studies/S_SPRING/users/ann", "").is(t, 200, `{"login":"ann","roles":[{"studyOid":"S_SPRING","role":"Monitor"}]}`)
	c.do("GET", "/roles", "").is(t, 200, `[{"name":"River Warden","acts":"Data Entry Person"}]`)

	ann := w.signIn("ann")
	const river, spring = "/clinicaldata/studies/S_RIVER/participants", "/clinicaldata/studies/S_RIVER/sites/S_SPRING/participants"
	ann.must("POST", river, `{"subjectKey":"R-1"}`)
	for study, role := range map[string]string{"S_RIVER": "River Warden", "S_MOUTH": "River Warden", "S_SPRING": "Monitor"} {
		if got := ann.must("GET", "/studies/"+study, "")["role"]; got != role {
			t.Errorf("the role in %s is %v, want %s", study, got, role)
		}
	}
	// The role at the site counts there, in place of that in the study.
	ann.do("POST", spring, `{"subjectKey":"R-2"}`).refused(t, 403, "errorCode.noSufficientPrivileges")
	// A custom role that is given other rights has them at once.
	c.must("PUT", "/roles/River%20Warden", `{"acts":"Viewer"}`)
	ann.do("POST", river, `{"subjectKey":"R-3"}`).refused(t, 403, "errorCode.noSufficientPrivileges")
	// But none that are not for where it is given.
	c.do("PUT", "/roles/river%20warden", `{"acts":"Clinical Research Coordinator"}`).refused(t, 400, "STUDY_ROLE_INVALID")
	w.grant("S_SPRING", "ann", "River Warden")
	c.do("PUT", "/roles/River%20Warden", `{"acts":"Data Manager"}`).refused(t, 400, "given for a site, which has no Data Manager")
	c.must("PUT", "/roles/River%20Warden", `{"acts":"Investigator"}`)
	// A role that is taken away is gone at once.
	w.grant("S_RIVER", "ann", "")
	w.grant("S_SPRING", "ann", "")
	ann.do("GET", river, "").refused(t, 403, "errorCode.noRoleSetUp")
	ann.do("GET", "/studies", "").is(t, 200, "[]")
}
