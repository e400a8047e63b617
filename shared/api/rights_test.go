package api_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"aliquot/shared/api"
	"aliquot/shared/biobank"
)

// roles are who calls, in the order of a row's columns: a super administrator; an administrator of institute 1; the stock
// roles, given in the protocol OWN only; and somebody without a role.
var roles = []string{"super", "admin", "coordinator", "technician", "researcher", "stranger"}

// targets are what the calls are about, in the order of a column's letters: what lies in the callers' own protocol or
// institute, in another protocol at the same site, in another institute's, what is deleted, and an id nobody has.
var targets = []string{"own", "side", "foreign", "deleted", "guessed"}

// The letters of an expectation: . served, e served empty, x denied, - not found, v allowed but refused for the values sent
// or because the object is in use.
type columns [6]string

var (
	see       = columns{"...--", "..x--", ".xx--", ".xx--", ".xx--", "xxx--"}
	define    = columns{"...--", "..x--", "xxx--", "xxx--", "xxx--", "xxx--"}
	people    = columns{"...--", "..x--", ".xx--", "xxx--", "xxx--", "xxx--"}
	work      = columns{"...--", "..x--", ".xx--", ".xx--", "xxx--", "xxx--"}
	listed    = columns{"...ee", "..eee", ".eeee", ".eeee", ".eeee", "eeeee"}
	directory = columns{"...--", "...--", "...--", "...--", "...--", "...--"}
	ours      = columns{"...--", "..x--", "xxx--", "xxx--", "xxx--", "xxx--"}
	superOnly = columns{"...--", "xxxxx", "xxxxx", "xxxxx", "xxxxx", "xxxxx"}
	// Not about an object: the first letter only.
	anybody = columns{".", ".", ".", ".", ".", "."}
)

// with has another letter for what is allowed.
func (c columns) with(ok string) columns {
	for i := range c {
		c[i] = strings.ReplaceAll(c[i], ".", ok)
	}
	return c
}

// row is what is expected of a route. {id} of the path is that of a target of its kind; other names in braces, in query
// and body, are those of the target. A row without columns names the test that proves the route.
type row struct {
	pattern, kind, query, body string
	want                       columns
	fresh                      bool // a new specimen for each call, since it is deleted
	proved                     string
}

func rightsRows() []row {
	const cp = `{"shortTitle":"{short}","title":"{short} study","principalInvestigator":{"id":2},"cpSites":[{"siteName":"{siteName}"}]}`
	rows := []row{
		{pattern: "POST /sessions", proved: "TestSignIn"},
		{pattern: "DELETE /sessions", proved: "TestSignIn"},
		{pattern: "POST /sessions/refresh-cookie", proved: "TestRefreshCookie"},
		{pattern: "POST /sessions/impersonate", proved: "TestActingAsAnother"},
		{pattern: "DELETE /sessions/impersonate", proved: "TestActingAsAnother"},
		{pattern: "POST /users/sign-up", proved: "TestSignUp"},
		{pattern: "POST /users/forgot-password", proved: "TestResetPassword"},
		{pattern: "POST /users/reset-password", proved: "TestResetPassword"},
		{pattern: "POST /users/{id}/reset-token", kind: "user", want: ours},
		{pattern: "GET /users/current-user-ui-state", proved: "TestUIState"},
		{pattern: "PUT /users/current-user-ui-state", proved: "TestUIState"},
		{pattern: "GET /rbac/permissions", want: anybody},
		{pattern: "GET /openapi.json", proved: "TestDocument"},
		{pattern: "GET /users/current-user", want: anybody},
		{pattern: "PUT /users/password", proved: "TestWhoMaySetUp"},
		{pattern: "GET /users", want: anybody},
		{pattern: "GET /users/count", want: anybody},
		{pattern: "GET /users/{id}", kind: "user", want: directory},
		{pattern: "GET /users/{id}/institute", kind: "user", want: directory},
		{pattern: "POST /users", body: `{"firstName":"M","lastName":"M","emailAddress":"{user}@example.org","domainName":"openspecimen","loginName":"{user}","instituteName":"{instituteName}"}`, want: columns{"vvv", "vvx", "xxx", "xxx", "xxx", "xxx"}},
		{pattern: "PUT /users/{id}", kind: "user", body: `{"firstName":"M","lastName":"M","emailAddress":"{user}@example.org","domainName":"openspecimen","loginName":"{user}","instituteName":"{instituteName}"}`, want: ours},
		{pattern: "PATCH /users/{id}", kind: "user", body: `{"address":"x"}`, want: ours},
		{pattern: "PUT /users/bulk-update", body: `{"ids":[{userID}],"detail":{"address":"y"}}`, want: ours},
		{pattern: "PUT /users/{id}/activity-status", kind: "user", body: `{"activityStatus":"Active"}`, want: ours},
		{pattern: "DELETE /users/{id}", kind: "user", want: ours.with("v")},
		{pattern: "DELETE /users", query: "?id={userID}", want: ours.with("v")},
		{pattern: "GET /users/{id}/dependent-entities", kind: "user", want: ours},
		{pattern: "GET /users/{id}/audit", kind: "user", want: columns{"....-", "..x.-", "xxxx-", "xxxx-", "xxxx-", "xxxx-"}},

		{pattern: "GET /users/current-user-roles", proved: "TestRoles"},
		{pattern: "GET /rbac/resources", want: anybody},
		{pattern: "GET /rbac/operations", want: anybody},
		{pattern: "GET /rbac/roles", want: anybody},
		{pattern: "GET /rbac/roles/count", want: anybody},
		{pattern: "GET /rbac/roles/{id}", kind: "role", want: columns{".", ".", ".", ".", ".", "."}},
		{pattern: "POST /rbac/roles", body: `{}`, want: columns{"v", "x", "x", "x", "x", "x"}},
		{pattern: "PUT /rbac/roles/{id}", kind: "role", body: `{"name":"Stored"}`, want: columns{"...--", "xxxxx", "xxxxx", "xxxxx", "xxxxx", "xxxxx"}},
		{pattern: "DELETE /rbac/roles/{id}", kind: "role", want: columns{"vvv--", "xxxxx", "xxxxx", "xxxxx", "xxxxx", "xxxxx"}},
		{pattern: "GET /rbac/roles/{id}/audit", kind: "role", want: columns{"...--", "xxx--", "xxx--", "xxx--", "xxx--", "xxx--"}},
		{pattern: "GET /rbac/subjects/{id}/roles", kind: "user", want: columns{"eee--", "eex--", "xxx--", "xxx--", "xxx--", "xxx--"}},
		{pattern: "POST /rbac/subjects/{id}/roles", kind: "user", body: `{"role":{"name":"Nothing"}}`, want: columns{"-----", "--x--", "xxx--", "xxx--", "xxx--", "xxx--"}},
		{pattern: "PUT /rbac/subjects/{id}/roles/{grant}", proved: "TestMakeRoles"},
		{pattern: "DELETE /rbac/subjects/{id}/roles/{grant}", proved: "TestMakeRoles"},

		{pattern: "GET /institutes", want: anybody},
		{pattern: "GET /institutes/count", want: anybody},
		{pattern: "GET /institutes/byname", query: "?name={instituteName}", want: directory},
		{pattern: "GET /institutes/{id}", kind: "institute", want: directory},
		{pattern: "POST /institutes", body: `{}`, want: columns{"v", "x", "x", "x", "x", "x"}},
		{pattern: "PUT /institutes/{id}", kind: "institute", body: `{"name":"{instituteName}"}`, want: superOnly},
		{pattern: "DELETE /institutes/{id}", kind: "institute", want: superOnly.with("v")},
		{pattern: "DELETE /institutes", query: "?id={instituteID}", want: superOnly.with("v")},
		{pattern: "GET /institutes/{id}/dependent-entities", kind: "institute", want: columns{"...--", "xxx--", "xxx--", "xxx--", "xxx--", "xxx--"}},
		{pattern: "GET /institutes/{id}/audit", kind: "institute", want: columns{"....-", "xxxx-", "xxxx-", "xxxx-", "xxxx-", "xxxx-"}},

		{pattern: "GET /sites", want: anybody},
		{pattern: "GET /sites/count", want: anybody},
		{pattern: "GET /sites/byname", query: "?name={siteName}", want: directory},
		{pattern: "GET /sites/{id}", kind: "site", want: directory},
		{pattern: "POST /sites", body: `{"name":"{siteName}","instituteName":"{instituteName}","type":"Laboratory"}`, want: columns{"vvv", "vvx", "xxx", "xxx", "xxx", "xxx"}},
		{pattern: "PUT /sites/{id}", kind: "site", body: `{"name":"{siteName}","instituteName":"{instituteName}","type":"Laboratory","coordinators":[{"id":{userID}}]}`, want: ours},
		{pattern: "PATCH /sites/{id}", kind: "site", body: `{"address":"x"}`, want: ours},
		{pattern: "PUT /sites/bulk-update", body: `{"ids":[{siteID}],"detail":{"address":"y"}}`, want: ours},
		{pattern: "DELETE /sites/{id}", kind: "site", want: ours.with("v")},
		{pattern: "DELETE /sites", query: "?id={siteID}", want: ours.with("v")},
		{pattern: "GET /sites/{id}/dependent-entities", kind: "site", want: ours},
		{pattern: "GET /sites/{id}/audit", kind: "site", want: columns{"....-", "..x.-", "xxxx-", "xxxx-", "xxxx-", "xxxx-"}},

		{pattern: "GET /collection-protocols", query: "?query={short}", want: listed},
		{pattern: "GET /collection-protocols/count", query: "?query={short}", want: listed},
		{pattern: "GET /collection-protocols/byop", query: "?resource=Specimen&op=Update&query={short}", want: columns{"...ee", "..eee", ".eeee", ".eeee", "eeeee", "eeeee"}},
		{pattern: "POST /collection-protocols", body: cp, want: columns{"vvv", "vvx", "xxx", "xxx", "xxx", "xxx"}},
		{pattern: "GET /collection-protocols/{id}/sites", kind: "cp", want: see},
		{pattern: "PUT /collection-protocols/{id}", kind: "cp", body: cp, want: define},
		{pattern: "DELETE /collection-protocols/{id}", kind: "cp", want: define.with("v")},
		{pattern: "DELETE /collection-protocols", query: "?id={cpID}", want: define.with("v")},

		{pattern: "GET /collection-protocol-events", query: "?cpId={cpID}", want: see},
		{pattern: "POST /collection-protocol-events", body: `{"cpShortTitle":"{short}"}`, want: define.with("v")},
		{pattern: "PUT /collection-protocol-events/{id}", kind: "event", body: `{}`, want: define.with("v")},
		{pattern: "DELETE /collection-protocol-events/{id}", kind: "event", want: define.with("v")},
		{pattern: "GET /specimen-requirements", query: "?eventId={eventID}", want: see},
		{pattern: "GET /specimen-requirements/{id}/specimens-count", kind: "requirement", want: see},
		{pattern: "POST /specimen-requirements", body: `{"eventId":{eventID}}`, want: define.with("v")},
		{pattern: "PUT /specimen-requirements/{id}", kind: "requirement", body: `{}`, want: define.with("v")},
		{pattern: "DELETE /specimen-requirements/{id}", kind: "requirement", want: define.with("v")},

		{pattern: "POST /collection-protocol-registrations/list", body: `{"cpId":{cpID}}`, want: see},
		{pattern: "POST /collection-protocol-registrations/count", body: `{"cpId":{cpID}}`, want: see},
		{pattern: "GET /collection-protocol-registrations", query: "?id={registrationID}", want: listed},
		{pattern: "GET /collection-protocol-registrations/{id}/latest-visit", kind: "registration", want: see},
		{pattern: "POST /collection-protocol-registrations", body: `{"cpId":{cpID}}`, want: people.with("v")},
		{pattern: "PUT /collection-protocol-registrations/{id}", kind: "registration", body: `{"externalSubjectId":"x"}`, want: people},
		{pattern: "PUT /collection-protocol-registrations/bulk-update", body: `{"ids":[{registrationID}],"detail":{"externalSubjectId":"y"}}`, want: people},
		{pattern: "DELETE /collection-protocol-registrations/{id}", kind: "registration", want: people.with("v")},
		{pattern: "DELETE /collection-protocol-registrations", query: "?id={registrationID}", want: people.with("v")},
		{pattern: "GET /participants/{id}", kind: "participant", want: columns{"...--", "..---", ".----", ".----", ".----", "-----"}},
		{pattern: "POST /participants/match", body: `{"uid":"U-{short}"}`, want: columns{"...ee", "..eee", ".eeee", "eeeee", "eeeee", "eeeee"}},

		{pattern: "GET /visits", query: "?cprId={registrationID}", want: see},
		{pattern: "GET /visits/bynamespr", query: "?visitName=V-{short}", want: listed},
		{pattern: "GET /visits/list", query: "?name=V-{short}", want: listed},
		{pattern: "POST /visits", body: `{"cprId":{registrationID}}`, want: work.with("v")},
		{pattern: "POST /visits/collect", body: `{"visit":{"cprId":{registrationID}},"specimens":[]}`, want: work.with("v")},
		{pattern: "PUT /visits/{id}", kind: "visit", body: `{}`, want: work.with("v")},
		{pattern: "DELETE /visits/{id}", kind: "visit", want: work.with("v")},

		{pattern: "HEAD /specimens", query: "?label=L-{short}", proved: "TestListsOfATree"},
		{pattern: "GET /specimens", query: "?label=L-{short}", want: listed},
		{pattern: "POST /specimens", body: `{"visitId":{visitID}}`, want: work.with("v")},
		{pattern: "POST /specimens/collect", body: `[{"visitId":{visitID}}]`, want: work.with("v")},
		{pattern: "PUT /specimens/{id}", kind: "specimen", body: `{"comments":"x"}`, want: work},
		{pattern: "PUT /specimens", body: `[{"id":{specimenID},"comments":"y"}]`, want: work},
		{pattern: "PUT /specimens/bulk-update", body: `{"ids":[{specimenID}],"detail":{"comments":"z"}}`, want: work},
		{pattern: "PUT /specimens/{id}/status", kind: "specimen", body: `{"status":"Active"}`, want: work},
		{pattern: "PUT /specimens/status", body: `[{"id":{specimenID},"status":"Active"}]`, want: work},
		{pattern: "DELETE /specimens/{id}", kind: "specimen", want: work.with("v")},
		{pattern: "DELETE /specimens", query: "?id={freshID}", fresh: true, want: work},
		{pattern: "GET /specimens/{id}/cpr-visit-ids", kind: "specimen", want: see},
		{pattern: "GET /specimens/{id}/primary-specimen-id", kind: "specimen", want: see},

		{pattern: "GET /permissible-values", query: "?attribute=gender", want: anybody},
		{pattern: "GET /permissible-values/v", query: "?attribute=gender", want: anybody},
		{pattern: "GET /permissible-values/count", query: "?attribute=gender", want: anybody},
		{pattern: "GET /permissible-values/v/{value}", proved: "TestListsOfSmallSets"},

		{pattern: "GET /import-jobs", proved: "TestWhoSeesWhichJobs"},
		{pattern: "POST /import-jobs", proved: "TestJobsThatAreRefused"},
		{pattern: "GET /import-jobs/{id}", proved: "TestWhoSeesWhichJobs"},
		{pattern: "GET /import-jobs/{id}/output", proved: "TestReports"},
		{pattern: "GET /import-jobs/{id}/failed-rows", proved: "TestReports"},
		{pattern: "PUT /import-jobs/{id}/stop", proved: "TestStop"},
		{pattern: "GET /import-jobs/input-file-template", proved: "TestTemplate"},
		{pattern: "POST /import-jobs/input-file", proved: "TestUploads"},
		{pattern: "POST /import-jobs/input-file/upload-url", proved: "TestPresignedUploadServesAJob"},
		{pattern: "POST /import-jobs/schedule", proved: "TestScheduleDropsFiles"},
	}
	// What the trees have in common.
	for kind, path := range map[string]string{
		"cp": "/collection-protocols", "event": "/collection-protocol-events", "requirement": "/specimen-requirements",
		"registration": "/collection-protocol-registrations", "visit": "/visits", "specimen": "/specimens",
	} {
		audit := columns{"....-", "..x.-", ".xx.-", ".xx.-", ".xx.-", "xxxx-"} // of what is deleted, too, to those who could see it
		if kind == "cp" {
			audit = columns{"....-", "..x.-", ".xxx-", ".xxx-", ".xxx-", "xxxx-"} // the deleted one was never theirs
		}
		rows = append(
			rows,
			row{pattern: "GET " + path + "/{id}", kind: kind, want: see},
			row{pattern: "GET " + path + "/{id}/dependent-entities", kind: kind, want: see},
			row{pattern: "GET " + path + "/{id}/audit", kind: kind, want: audit},
		)
	}
	// The rows of a noun with many stand in the file of its tests.
	for _, more := range [][]row{
		formRows(),
		protocolRows(),
		specimenRows(),
		visitRows(),
		peopleRows(),
		consentRows(),
		distributionRows(),
		orderRows(),
		cartRows(),
		shipmentRows(),
		containerRows(),
	} {
		rows = append(rows, more...)
	}
	return rows
}

// target is something to call about: the values of the names in braces.
type target map[string]string

// newTarget makes a protocol at a site with one of everything below it. The specimen has a child, so that nothing of it can
// be deleted without force.
func (w *world) newTarget(c caller, short, site, institute, user string) target {
	w.t.Helper()
	id := func(v map[string]any) string { return fmt.Sprint(v["id"]) }
	t := target{"short": short, "siteName": site, "instituteName": institute, "user": user}
	t["instituteID"] = id(c.must("GET", "/institutes/byname?name="+strings.ReplaceAll(institute, " ", "+"), ""))
	t["siteID"] = id(c.must("GET", "/sites/byname?name="+site, ""))
	t["userID"] = fmt.Sprint(c.list("GET", "/users?loginName="+user, "")[0]["id"])
	t["cpID"] = id(c.must("POST", "/collection-protocols", fmt.Sprintf(`{"shortTitle":%q,"title":"%s study","principalInvestigator":{"id":2},"cpSites":[{"siteName":%q}]}`, short, short, site)))
	t["eventID"] = id(c.must("POST", "/collection-protocol-events", fmt.Sprintf(`{"eventLabel":"Start","cpShortTitle":%q,"defaultSite":%q}`, short, site)))
	t["requirementID"] = id(c.must("POST", "/specimen-requirements", fmt.Sprintf(`{"eventId":%s,"specimenClass":"Fluid","type":"Whole Blood","anatomicSite":"Not Specified",
		"laterality":"Not Specified","pathology":"Not Specified","storageType":"Virtual","collectionProcedure":"Not Specified","collectionContainer":"Not Specified"}`, t["eventID"])))
	t["containerID"] = id(c.must("POST", "/storage-containers", fmt.Sprintf(`{"name":"C-%s","siteName":%q,"noOfRows":9,"noOfColumns":9,"storeSpecimensEnabled":true}`, short, site)))
	w.newTree(c, t, short)
	c.must("PUT", "/specimens/"+t["specimenID"], fmt.Sprintf(`{"storageLocation":{"name":"C-%s"}}`, short))
	return t
}

// newTree registers somebody with a visit, a specimen and an aliquot.
func (w *world) newTree(c caller, t target, name string) {
	w.t.Helper()
	reg := c.must("POST", "/collection-protocol-registrations", fmt.Sprintf(`{"cpId":%s,"ppid":"P-%s","registrationDate":"2022-01-01","participant":{"uid":"U-%s"}}`, t["cpID"], name, name))
	t["registrationID"], t["participantID"] = fmt.Sprint(reg["id"]), fmt.Sprint(reg["participant"].(map[string]any)["id"])
	t["visitID"] = fmt.Sprint(c.must("POST", "/visits", fmt.Sprintf(`{"cprId":%s,"name":"V-%s","eventId":%s}`, t["registrationID"], name, t["eventID"]))["id"])
	t["specimenID"] = fmt.Sprint(c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%s,"label":"L-%s","type":"Whole Blood","initialQty":9,"reqId":%s}`, t["visitID"], name, t["requirementID"]))["id"])
	c.must("POST", "/specimens", fmt.Sprintf(`{"parentId":%s,"label":"A-%s","lineage":"Aliquot","initialQty":1}`, t["specimenID"], name))
}

// newRightsWorld makes the five targets and the six callers.
func newRightsWorld(t *testing.T) (w *world, callers map[string]caller, all map[string]target) {
	w = newWorld(t)
	c := w.signIn("admin", password)
	c.must("POST", "/institutes", `{"name":"Elsewhere"}`)
	c.must("POST", "/institutes", `{"name":"Gone"}`)
	for login, institute := range map[string]string{"mate": "Default Institute", "them": "Elsewhere", "late": "Default Institute"} {
		c.must("POST", "/users", fmt.Sprintf(`{"firstName":"M","lastName":"M","emailAddress":"%s@example.org","domainName":"openspecimen","loginName":%q,"instituteName":%q}`, login, login, institute))
	}
	for name, institute := range map[string]string{"North": "Default Institute", "South": "Elsewhere", "Past": "Default Institute"} {
		user := map[string]string{"North": "mate", "South": "them", "Past": "admin"}[name]
		c.must("POST", "/sites", fmt.Sprintf(`{"name":%q,"instituteName":%q,"type":"Laboratory","coordinators":[{"loginName":%q}]}`, name, institute, user))
	}
	all = map[string]target{
		"own":     w.newTarget(c, "OWN", "North", "Default Institute", "mate"),
		"side":    w.newTarget(c, "SIDE", "North", "Default Institute", "mate"),
		"foreign": w.newTarget(c, "OUT", "South", "Elsewhere", "them"),
	}
	// What is deleted lay in the callers' own protocol; of a protocol itself all is gone.
	gone := target{}
	for k, v := range all["own"] {
		gone[k] = v
	}
	last := w.newTarget(c, "LAST", "Past", "Gone", "late")
	c.must("DELETE", "/collection-protocols/"+last["cpID"]+"?forceDelete=true", "")
	event := c.must("POST", "/collection-protocol-events", `{"eventLabel":"Never","cpShortTitle":"OWN","defaultSite":"North"}`)
	gone["eventID"] = fmt.Sprint(event["id"])
	gone["requirementID"] = fmt.Sprint(c.must("POST", "/specimen-requirements", fmt.Sprintf(`{"eventId":%s,"specimenClass":"Fluid","type":"Whole Blood","anatomicSite":"Not Specified",
		"laterality":"Not Specified","pathology":"Not Specified","storageType":"Virtual","collectionProcedure":"Not Specified","collectionContainer":"Not Specified"}`, gone["eventID"]))["id"])
	w.newTree(c, gone, "GONE")
	c.must("DELETE", "/collection-protocol-registrations/"+gone["registrationID"]+"?forceDelete=true", "")
	c.must("DELETE", "/collection-protocol-events/"+gone["eventID"], "")
	c.must("DELETE", "/storage-containers/"+last["containerID"]+"?forceDelete=true", "")
	gone["containerID"] = last["containerID"]
	for _, path := range []string{"/sites/" + last["siteID"], "/users/" + last["userID"], "/institutes/" + last["instituteID"]} {
		c.must("DELETE", path, "")
	}
	for _, k := range []string{"cpID", "siteID", "userID", "instituteID"} {
		gone[k] = last[k]
	}
	gone["short"], gone["siteName"], gone["instituteName"], gone["user"] = "LAST", "Past", "Gone", "late"
	all["deleted"] = gone
	all["guessed"] = target{"short": "NONE", "siteName": "Nowhere", "instituteName": "Nobody", "user": "nobody"}
	for k := range gone {
		if strings.HasSuffix(k, "ID") {
			all["guessed"][k] = "987654"
		}
	}
	w.newDistribution(c, all["own"], "DP-OWN", "Default Institute", "North")
	w.newDistribution(c, all["side"], "DP-SIDE", "Default Institute", "North")
	w.newDistribution(c, all["foreign"], "DP-OUT", "Elsewhere", "South")
	w.newDistribution(c, gone, "DP-GONE", "Default Institute", "North")
	c.must("DELETE", "/distribution-orders/"+gone["orderID"], "")
	c.must("DELETE", "/distribution-protocols/"+gone["dpID"], "")
	all["guessed"]["orderID"], all["guessed"]["dpID"], all["guessed"]["dpTitle"] = "987654", "987654", "NONE"
	kind := fmt.Sprint(c.must("POST", "/container-types", `{"name":"Crate","nameFormat":"%PCONT_NAME%-%PCONT_UID%","noOfRows":2,"noOfColumns":2}`)["id"])
	role := fmt.Sprint(c.must("POST", "/rbac/roles", `{"name":"Stored"}`)["id"])
	for name, t := range all {
		t["roleID"], t["containertypeID"] = role, kind
		if name == "deleted" || name == "guessed" {
			t["roleID"], t["containertypeID"] = "987654", "987654"
		}
	}
	var cp int64
	if _, err := fmt.Sscan(all["own"]["cpID"], &cp); err != nil {
		t.Fatal(err)
	}
	grant := func(role string) biobank.Grant { return biobank.Grant{ID: 1, Role: role, ProtocolID: cp} }
	callers = map[string]caller{
		"super": c, "admin": w.newUser("boss", "INSTITUTE"), "coordinator": w.newUser("coordinator", "NONE", grant("Coordinator")),
		"technician": w.newUser("technician", "NONE", grant("Technician")), "researcher": w.newUser("researcher", "NONE", grant("Researcher")),
		"stranger": w.newUser("stranger", "NONE"),
	}
	w.newUser("holder", "NONE", biobank.Grant{ID: 1, Role: "Stored"})
	return w, callers, all
}

// letter is what an answer comes to.
func letter(t *testing.T, a answer) string {
	if a.status == http.StatusOK {
		if a.body == "[]" || a.body == `{"count":0}` {
			return "e"
		}
		return "."
	}
	if a.status != http.StatusBadRequest {
		return fmt.Sprint(a.status)
	}
	codes := strings.Split(a.codes(t), ",")
	for _, code := range codes {
		if strings.HasPrefix(code, "RBAC_ACCESS") || strings.HasPrefix(code, "RBAC_ADMIN") || code == "CP_CREATOR_DOES_NOT_BELONG_CP_REPOS" {
			return "x"
		}
	}
	if strings.HasSuffix(codes[0], "_NOT_FOUND") {
		return "-"
	}
	return "v"
}

// Every route, for every kind of caller, about everything. A route without a row fails.
func TestRights(t *testing.T) {
	w, callers, all := newRightsWorld(t)
	rows := map[string]row{}
	for _, r := range rightsRows() {
		if _, twice := rows[r.pattern]; twice {
			t.Errorf("%s has two rows", r.pattern)
		}
		rows[r.pattern] = r
	}
	served := map[string]bool{}
	for _, pattern := range api.Patterns() {
		served[pattern] = true
		r, ok := rows[pattern]
		if !ok {
			t.Errorf("%s has no row", pattern)
			continue
		}
		if r.proved != "" {
			if !hasTest(t, r.proved) {
				t.Errorf("%s: there is no %s", pattern, r.proved)
			}
			continue
		}
		method, path, _ := strings.Cut(pattern, " ")
		for i, role := range roles {
			got := ""
			for j := range len(r.want[i]) {
				about := all[targets[j]]
				if r.fresh {
					about = w.freshSpecimen(callers["super"], about)
				}
				url := path
				if r.kind != "" {
					url = strings.Replace(path, "{id}", about[r.kind+"ID"], 1)
				}
				a := callers[role].do(method, strings.ReplaceAll(fill(url+r.query, about), " ", "+"), fill(r.body, about))
				l := letter(t, a)
				if hides(role, targets[j]) && !strings.Contains(r.query+r.body, "{short}") && tells(a.body, all[targets[j]]["short"]) {
					t.Errorf("%s as %s about %s tells the title of a protocol that is not to be seen: %.300s", pattern, role, targets[j], a.body)
				}
				if l != r.want[i][j:j+1] {
					t.Logf("%s as %s about %s: %d %.300s", pattern, role, targets[j], a.status, a.body)
				}
				got += l
			}
			if got != r.want[i] {
				t.Errorf("%s as %s: %s, want %s", pattern, role, got, r.want[i])
			}
		}
	}
	for pattern := range rows {
		if !served[pattern] {
			t.Errorf("there is a row for %s, which is not served", pattern)
		}
	}
}

// hides tells whether a caller may not see the protocol of a target.
func hides(role, target string) bool {
	return role != "super" && (target == "foreign" || target == "side" && role != "admin")
}

// tells tells whether an answer has a protocol's short title, and not only as a part of other names.
func tells(body, short string) bool {
	return regexp.MustCompile(`(^|[^-A-Za-z0-9])` + short + `([^-A-Za-z0-9]|$)`).MatchString(body)
}

// freshSpecimen is a target with a specimen that can be deleted.
func (w *world) freshSpecimen(c caller, t target) target {
	w.t.Helper()
	fresh := target{"freshID": t["specimenID"]}
	if a := c.do("GET", "/visits/"+t["visitID"], ""); a.status == http.StatusOK {
		w.fresh++
		fresh["freshID"] = fmt.Sprint(c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%s,"label":"F-%d","type":"Whole Blood","initialQty":1}`, t["visitID"], w.fresh))["id"])
	}
	return fresh
}

// fill puts a target's values for the names in braces.
func fill(text string, t target) string {
	for name, value := range t {
		text = strings.ReplaceAll(text, "{"+name+"}", value)
	}
	return text
}

// hasTest tells whether the package has a test of that name.
func hasTest(t *testing.T, name string) bool {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if regexp.MustCompile(`(?m)^func ` + name + `\(`).Match(text) {
			return true
		}
	}
	return false
}
