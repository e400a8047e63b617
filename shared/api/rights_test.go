package api_test

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"aliquot/shared/api"
)

// roles are who calls, in the order of a row's columns: a super administrator; an administrator of institute 1; the stock
// roles, given in the protocol OWN only; somebody without a role; and, without a column, a technician of the site North, in
// whatever protocol.
var roles = []string{"super", "admin", "coordinator", "technician", "researcher", "stranger", "local"}

// targets are what the calls are about: what lies in the callers' own protocol or institute, in another protocol at the same
// site, in one at another site of the institute, in another institute's, what is deleted, and an id nobody has. The letters
// of a column are in this order, without the other site.
var targets = []string{"own", "side", "other", "foreign", "deleted", "guessed"}

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
// and body, are those of the target. Where the path has more names than {id}, path has it with those of the target. A row
// without columns names the test that proves the route.
type row struct {
	pattern, kind, query, body, path string
	want                             columns
	local                            string // for the caller with a role at one site, where it is not what expected makes of it
	fresh                            bool   // a new specimen for each call, since it is deleted
	proved                           string
}

// expected is what is wanted of a caller, a letter for each target. At another site those who have a role in their protocol
// may do what they may do beside it; who has a role at one site may do there what its role allows in the own protocol, and
// elsewhere as much as in another institute.
func (r row) expected(caller int) string {
	if caller == len(r.want) && r.local != "" {
		return r.local
	}
	want := r.want[min(caller, 3)]
	if caller < len(r.want) {
		want = r.want[caller]
	}
	switch {
	case len(want) < 2: // about no object
		return want
	case caller < len(r.want):
		return want[:2] + want[1:]
	}
	return want[:1] + want[:1] + want[2:3] + want[2:]
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
		{pattern: "GET /users/current-user-ui-state", want: anybody},
		{pattern: "PUT /users/current-user-ui-state", body: `{}`, want: anybody},
		{pattern: "GET /rbac/permissions", want: anybody},
		{pattern: "GET /openapi.json", want: anybody},
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

		{pattern: "GET /users/current-user-roles", want: columns{"e", "e", ".", ".", ".", "e"}},
		{pattern: "GET /rbac/resources", want: anybody},
		{pattern: "GET /rbac/operations", want: anybody},
		{pattern: "GET /rbac/roles", want: anybody},
		{pattern: "GET /rbac/roles/count", want: anybody},
		{pattern: "GET /rbac/roles/{id}", kind: "role", want: columns{".", ".", ".", ".", ".", "."}},
		{pattern: "POST /rbac/roles", body: `{}`, want: columns{"v", "x", "x", "x", "x", "x"}},
		{pattern: "PUT /rbac/roles/{id}", kind: "role", body: `{"name":"Stored"}`, want: columns{"...--", "xxxxx", "xxxxx", "xxxxx", "xxxxx", "xxxxx"}},
		{pattern: "DELETE /rbac/roles/{id}", kind: "role", want: columns{"vvv--", "xxxxx", "xxxxx", "xxxxx", "xxxxx", "xxxxx"}},
		{pattern: "GET /rbac/roles/{id}/audit", kind: "role", want: columns{"...--", "xxx--", "xxx--", "xxx--", "xxx--", "xxx--"}},
		{pattern: "GET /rbac/subjects/{id}/roles", kind: "user", want: ours},
		{pattern: "POST /rbac/subjects/{id}/roles", kind: "user", body: `{"role":{"name":"Nothing"}}`, want: columns{"-----", "--x--", "xxx--", "xxx--", "xxx--", "xxx--"}},
		{pattern: "PUT /rbac/subjects/{id}/roles/{grant}", path: "/rbac/subjects/{userID}/roles/{grantID}", body: `{"role":{"name":"Researcher"}}`, want: ours},
		{pattern: "DELETE /rbac/subjects/{id}/roles/{grant}", path: "/rbac/subjects/{userID}/roles/987654", want: columns{"-----", "--x--", "xxx--", "xxx--", "xxx--", "xxx--"}},

		{pattern: "GET /config-settings", want: columns{".", "x", "x", "x", "x", "x"}},
		{pattern: "PUT /config-settings", body: `{"module":"auth","name":"max_login_sessions","value":"0"}`, want: columns{".", "x", "x", "x", "x", "x"}},
		{pattern: "GET /config-settings/{id}/audit", path: "/config-settings/1/audit", want: columns{".", "x", "x", "x", "x", "x"}},

		{pattern: "GET /institutes", want: anybody},
		{pattern: "GET /institutes/count", want: anybody},
		{pattern: "GET /institutes/byname", query: "?name={instituteName}", want: directory},
		{pattern: "GET /institutes/sites", query: "?name={instituteName}", want: directory},
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

		{pattern: "HEAD /specimens", query: "?label=L-{short}", want: directory}, // labels are unique in the whole system
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
		{pattern: "GET /permissible-values/v/{value...}", path: "/permissible-values/v/Bile", query: "?attribute=specimen_type", want: anybody},

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
	if a.body == "" { // of HEAD
		return "-"
	}
	codes := strings.Split(a.codes(t), ",")
	for _, code := range codes {
		if strings.HasPrefix(code, "RBAC_ACCESS") || strings.HasPrefix(code, "RBAC_ADMIN") || code == "CP_CREATOR_DOES_NOT_BELONG_CP_REPOS" || code == "SPECIMEN_LIST_ACCESS_NOT_ALLOWED" || code == "CP_USER_UPDATE_RIGHTS_REQUIRED" {
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
			want := r.expected(i)
			for j := range len(want) {
				about := all[targets[j]]
				if r.fresh {
					about = w.freshSpecimen(callers["super"], about)
				}
				url := cmp.Or(r.path, path)
				if r.kind != "" {
					url = strings.Replace(url, "{id}", about[r.kind+"ID"], 1)
				}
				a := callers[role].do(method, strings.ReplaceAll(fill(url+r.query, about), " ", "+"), fill(r.body, about))
				l := letter(t, a)
				if hides(role, targets[j]) && !strings.Contains(r.query+r.body, "{short}") && tells(a.body, all[targets[j]]["short"]) {
					t.Errorf("%s as %s about %s tells the title of a protocol that is not to be seen: %.300s", pattern, role, targets[j], a.body)
				}
				if l != want[j:j+1] {
					t.Logf("%s as %s about %s: %d %.300s", pattern, role, targets[j], a.status, a.body)
				}
				got += l
			}
			if got != want {
				t.Errorf("%s as %s: %s, want %s", pattern, role, got, want)
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
	switch target {
	case "foreign":
		return role != "super"
	case "other":
		return role != "super" && role != "admin"
	}
	return target == "side" && role != "super" && role != "admin" && role != "local"
}

// tells tells whether an answer has a protocol's short title, and not only as a part of other names.
func tells(body, short string) bool {
	return regexp.MustCompile(`(^|[^-A-Za-z0-9])` + short + `([^-A-Za-z0-9]|$)`).MatchString(body)
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
