package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"aliquot/shared/biobank"
)

// What is done about a user beside the record is in the user's audit, with who did it.
func TestDeedsAreInTheAudit(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newUser("one", "NONE")
	if a := c.do("PUT", "/users/password", `{"userId":3,"newPassword":"Invented-9"}`); a.body != "true" {
		t.Fatal(a.body)
	}
	c.do("PUT", "/users/password", `{"userId":3,"newPassword":"weak"}`).refused(t, 400, "USER_PASSWD_VIOLATES_RULES")
	c.must("POST", "/users/3/reset-token", "")
	c.must("POST", "/sessions/impersonate", `{"loginName":"one"}`)
	for range 6 {
		w.request("POST", base+"/sessions", `{"loginName":"one","password":"Invented-8"}`)
	}
	c.must("PATCH", "/users/3", `{"activityStatus":"Active"}`)
	c.must("PATCH", "/users/3", `{"activityStatus":"Active"}`) // nothing to unlock any more
	got := c.must("GET", "/users/3/audit", "")
	var told []string
	for _, e := range got["entries"].([]any)[1:] {
		entry := e.(map[string]any)
		if entry["user"].(map[string]any)["loginName"] != "admin" || entry["before"] != nil || entry["after"] != nil {
			t.Errorf("got %v", entry)
		}
		told = append(told, fmt.Sprint(entry["reason"]))
	}
	want := "password set by an administrator,token for a new password made,somebody begins to act as the user,login unlocked"
	if strings.Join(told, ",") != want || got["verified"] != true {
		t.Errorf("verified %v, told %s, want %s", got["verified"], told, want)
	}
}

// An import that somebody starts as another user names both, and so do its rows.
func TestImportsTellWhoActed(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newUser("boss", "INSTITUTE")
	acting := "X-OS-IMPERSONATE-USER: " + fmt.Sprint(c.must("POST", "/sessions/impersonate", `{"loginName":"boss"}`)["token"])
	boss := w.signIn("boss", password)
	file := boss.mustUpload(participants)
	var job struct{ CreatedBy, ActedBy struct{ LoginName string } }
	mustDecode(t, c.do("POST", "/import-jobs", `{"objectType":"cpr","inputFileId":"`+file+`"}`, acting), &job)
	if job.CreatedBy.LoginName != "boss" || job.ActedBy.LoginName != "admin" {
		t.Errorf("got %+v", job)
	}
	if v := boss.must("POST", "/import-jobs", `{"objectType":"cpr","inputFileId":"`+file+`"}`); v["actedBy"] != nil {
		t.Errorf("got %v", v["actedBy"])
	}
}

// Who ceases to be an administrator ceases to manage forms.
func TestFormsAreManagedByRightOrByType(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newUser("one", "SUPER")
	if got := c.must("GET", "/users/3", "")["manageForms"]; got != true {
		t.Errorf("a super administrator: %v", got)
	}
	if got := c.must("PATCH", "/users/3", `{"type":"NONE"}`)["manageForms"]; got != false {
		t.Errorf("no longer one: %v", got)
	}
	if got := c.must("PATCH", "/users/3", `{"manageForms":true}`)["manageForms"]; got != true {
		t.Errorf("by right: %v", got)
	}
}

// There is always a super administrator: nobody ends the own rights.
func TestSuperAdministratorsStay(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	for _, body := range []string{`{"type":"NONE"}`, `{"type":"CONTACT"}`, `{"activityStatus":"Closed"}`, `{"activityStatus":"Disabled"}`} {
		c.do("PATCH", "/users/2", body).refused(t, 400, "USER_PERMISSION_DENIED")
	}
	c.do("DELETE", "/users/2", "").refused(t, 400, "USER_PERMISSION_DENIED")
	other := w.newUser("other", "SUPER")
	other.must("PATCH", "/users/2", `{"type":"NONE"}`)
}

// Administrators of an institute leave one another alone, whatever the call.
func TestAdministratorsOfAnInstituteAreEqual(t *testing.T) {
	w := newWorld(t)
	w.newUser("boss", "INSTITUTE")
	peer := w.newUser("peer", "INSTITUTE", biobank.Grant{ID: 1, Role: "Technician"})
	for _, tt := range []struct{ verb, path string }{{"GET", ""}, {"POST", ""}, {"PUT", "/1"}, {"DELETE", "/1"}} {
		a := peer.do(tt.verb, "/rbac/subjects/3/roles"+tt.path, `{"role":{"name":"Technician"}}`)
		a.refused(t, 400, "RBAC_ACCESS_DENIED")
	}
}

func TestValuesThatAreNoValues(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	long := strings.Repeat("x", 2000)
	for _, tt := range []struct{ verb, path, body, code string }{
		{"POST", "/institutes", `{"name":"a\u0000b"}`, "INVALID_REQUEST"},
		{"POST", "/institutes", `{"name":"a\u007fb"}`, "INVALID_REQUEST"},
		{"PATCH", "/users/2", `{"firstName":"` + long + `"}`, "COMMON_INVALID_INPUT"},
		{"PATCH", "/users/2", `{"lastName":"` + long + `"}`, "COMMON_INVALID_INPUT"},
		{"PATCH", "/users/2", `{"phoneNumber":"` + long + `"}`, "COMMON_INVALID_INPUT"},
		{"PATCH", "/users/2", `{"address":"` + long + `"}`, "COMMON_INVALID_INPUT"},
		{"PATCH", "/users/2", `{"timeZone":"Local"}`, "COMMON_INVALID_TZ"},
		{"POST", "/collection-protocols", `{"shortTitle":"A","title":"A","startDate":"0000-01-01"}`, "INVALID_REQUEST"},
		{"GET", "/users/count?loginName=nobody;x", "", "INVALID_REQUEST"},
		{"GET", "/sites/count?name=%zz", "", "INVALID_REQUEST"},
		{"DELETE", "/specimens?id=1&reason=%zz", "", "INVALID_REQUEST"},
	} {
		c.do(tt.verb, tt.path, tt.body).refused(t, 400, tt.code)
	}
	c.must("PATCH", "/users/2", `{"address":"1 Invented Street\n2nd floor","timeZone":"Europe/Berlin"}`)
}

// A name may hold a comma, though commas part names.
func TestNamesWithCommas(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	for _, name := range []string{"Comma, Site", "Other"} {
		c.must("POST", "/sites", `{"name":"`+name+`","instituteName":"Default Institute","type":"Laboratory"}`)
	}
	for query, want := range map[string]string{
		"name=Comma,+Site":            "Comma, Site",
		"name=Comma,+Site,Other":      "Other",
		"name=Comma,+Site&name=Other": "Comma, Site,Other",
		"name=omma":                   "Comma, Site",
	} {
		if got := column(c.list("GET", "/sites?"+query, ""), "name"); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

// How much depends on what everybody may see is for those who may delete it.
func TestDependentsAreForThoseWhoDelete(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newStudy(c)
	plain := w.newUser("plain", "NONE")
	for _, path := range []string{"/users/2", "/sites/1", "/institutes/1"} {
		plain.do("GET", path+"/dependent-entities", "").refused(t, http.StatusBadRequest, "RBAC_ACCESS_DENIED")
		c.list("GET", path+"/dependent-entities", "")
	}
}

// Who deletes users by a right on them, and is no administrator, is told that one is in use, and where only of what everybody
// may see.
func TestUserManagersAreToldNoMoreOfDependents(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newStudy(c)
	c.must("POST", "/rbac/roles", `{"name":"People","acl":[{"resourceName":"User","operations":[{"operationName":"Delete"}]}]}`)
	manager := w.newUser("manager", "NONE", biobank.Grant{ID: 1, Role: "People"})
	const user = `{"firstName":"M","lastName":"M","emailAddress":"%[1]s@example.org","domainName":"openspecimen","loginName":%[1]q,"instituteName":"Default Institute"}`
	leads := fmt.Sprintf("/users/%v", c.must("POST", "/users", fmt.Sprintf(user, "leads"))["id"])
	c.must("POST", "/collection-protocols", `{"shortTitle":"LED","title":"Led","principalInvestigator":{"loginName":"leads"},"cpSites":[{"siteName":"North Biobank"}]}`)
	const refusal = "The user is still in use"
	for _, step := range []struct{ told, listed string }{{refusal + ".", "[]"}, {refusal + " (site: 1).", `[{"name":"site","count":1}]`}} {
		if got := manager.do("DELETE", leads, ""); got.status != 400 || !strings.Contains(got.body, step.told) {
			t.Errorf("%d %s, want %s", got.status, got.body, step.told)
		}
		if got := strings.TrimSpace(manager.do("GET", leads+"/dependent-entities", "").body); got != step.listed {
			t.Errorf("listed: %s, want %s", got, step.listed)
		}
		c.must("PUT", "/sites/1", `{"name":"North Biobank","instituteName":"Default Institute","type":"Repository","coordinators":[{"loginName":"leads"}]}`)
	}
	if got := c.do("DELETE", leads, ""); !strings.Contains(got.body, "(collection protocol: 1, site: 1)") {
		t.Errorf("an administrator is told %s", got.body)
	}
	manager.do("GET", "/users/2/dependent-entities", "").refused(t, http.StatusBadRequest, "RBAC_ACCESS_DENIED")
	unused := fmt.Sprintf("/users/%v", c.must("POST", "/users", fmt.Sprintf(user, "unused"))["id"])
	manager.must("DELETE", unused, "")
}

// A role at one site of an institute ends at the site.
func TestRolesAtOneSite(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	c.must("POST", "/sites", `{"name":"East","instituteName":"Default Institute","type":"Laboratory"}`)
	here := w.newUser("here", "NONE", biobank.Grant{ID: 1, Role: "Coordinator", SiteID: 1})
	there := w.newUser("there", "NONE", biobank.Grant{ID: 1, Role: "Coordinator", SiteID: 2})
	for _, path := range []string{
		fmt.Sprintf("/collection-protocols/%d", s.cp), fmt.Sprintf("/collection-protocol-events/%d", s.event),
		fmt.Sprintf("/specimen-requirements/%d", s.requirement), fmt.Sprintf("/collection-protocol-registrations/%d", s.registration),
		fmt.Sprintf("/visits/%d", s.visit), fmt.Sprintf("/specimens/%d", s.specimen), fmt.Sprintf("/specimens/%d/audit", s.specimen),
	} {
		here.must("GET", path, "")
		there.do("GET", path, "").refused(t, 400, "RBAC_ACCESS_DENIED")
	}
	if got := there.do("GET", "/collection-protocols", "").body; got != "[]" {
		t.Errorf("listed: %s", got)
	}
	if got := there.do("GET", "/specimens?label=INV-1-S", "").body; got != "[]" {
		t.Errorf("listed: %s", got)
	}
	there.do("PUT", fmt.Sprintf("/specimens/%d", s.specimen), `{"comments":"x"}`).refused(t, 400, "RBAC_ACCESS_DENIED")
}

// A role that was renamed is still the one that was assigned, and another one of its old name is not.
func TestARoleIsNotItsName(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	c.must("POST", "/institutes", `{"name":"Elsewhere"}`)
	c.must("POST", "/collection-protocols", `{"shortTitle":"NEXT","title":"Next","principalInvestigator":{"id":2},"cpSites":[{"siteName":"North Biobank"}]}`)
	rights := func(ops string) string {
		return `"acl":[{"resourceName":"Specimen","operations":[` + ops + `]},{"resourceName":"CollectionProtocol","operations":[{"operationName":"Read"}]}]}`
	}
	const read = `{"operationName":"Read"}`
	lab := w.newUser("lab", "NONE")
	old := c.must("POST", "/rbac/roles", `{"name":"Lab",`+rights(read))["id"]
	c.must("POST", "/rbac/subjects/3/roles", `{"role":{"name":"Lab"},"collectionProtocol":{"shortTitle":"INV"}}`)
	c.must("PUT", fmt.Sprintf("/rbac/roles/%v", old), `{"name":"Lab old",`+rights(read))
	fresh := c.must("POST", "/rbac/roles", `{"name":"Lab",`+rights(read+`,{"operationName":"Update"}`))["id"]
	c.must("POST", "/rbac/subjects/3/roles", `{"role":{"name":"Lab"},"collectionProtocol":{"shortTitle":"NEXT"}}`)

	specimen := fmt.Sprintf("/specimens/%d", s.specimen)
	lab.must("GET", specimen, "")
	lab.do("PUT", specimen, `{"comments":"x"}`).refused(t, 400, "RBAC_ACCESS_DENIED")
	c.must("POST", "/users", `{"firstName":"A","lastName":"A","emailAddress":"a@example.org","domainName":"openspecimen","loginName":"a","instituteName":"Default Institute"}`)
	c.must("POST", "/rbac/subjects/4/roles", `{"role":{"name":"Lab old"}}`)
	for name, want := range map[string]string{"Lab+old": "a,lab", "Lab": "lab", "lab": "lab"} {
		if got := column(c.list("GET", "/users?role="+name, ""), "loginName"); got != want {
			t.Errorf("%s is held by %s, want %s", name, got, want)
		}
	}
	// The roles go with who moves, under whichever names.
	c.must("PUT", fmt.Sprintf("/rbac/roles/%v", old), `{"name":"Lab older",`+rights(read))
	c.must("PATCH", "/users/4", `{"instituteName":"Elsewhere"}`)
	if got := c.list("GET", "/rbac/subjects/4/roles", "")[0]["role"].(map[string]any); got["id"] != old || got["name"] != "Lab older" {
		t.Errorf("moved, the user has role %v %v, want %v; %v is another", got["id"], got["name"], old, fresh)
	}
}

// Who may not give roles takes no numbers by trying.
func TestRefusedAssignmentsTakeNoNumbers(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	plain := w.newUser("plain", "NONE")
	give := func() float64 {
		return c.must("POST", "/rbac/subjects/3/roles", `{"role":{"name":"Technician"}}`)["id"].(float64)
	}
	first := give()
	for range 3 {
		plain.do("POST", "/rbac/subjects/2/roles", `{"role":{"name":"Technician"}}`).refused(t, 400, "RBAC_ACCESS_DENIED")
	}
	if next := give(); next != first+1 {
		t.Errorf("assignment %v comes after %v", next, first)
	}
}
