package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"aliquot/shared/api"
)

func sortedTexts(list []string) []string {
	slices.Sort(list)
	return list
}

// takesFiles tells of routes that take no JSON.
func takesFiles(pattern string) bool {
	return strings.HasSuffix(pattern, "/input-file") || strings.HasSuffix(pattern, "/schedule")
}

// Every route that may have a body, sent bad ones of every kind: the answer is a refusal or a success, never a crash, and
// no audit entry, user or institute comes of what is not JSON.
func TestBadBodies(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	bodies := map[string]string{
		"nothing":          "",
		"not JSON":         `{"name":`,
		"a text":           `"x"`,
		"a number":         `1`,
		"null":             `null`,
		"a list of texts":  `["x"]`,
		"a list of nulls":  `[null]`,
		"a lone surrogate": `{"name":"\ud800"}`,
		"not UTF-8":        "{\"name\":\"\xff\"}",
		"twice":            `{"name":"x","name":"y"}`,
		"deep":             strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000),
		"deep lists":       strings.Repeat(`[`, 10_000) + strings.Repeat("]", 10_000),
	}
	wrong := map[string]string{ // JSON, but wrong in what it holds
		"wrong types": `{"name":{"a":1},"title":[1],"shortTitle":true,"label":{},"id":"x","ids":"x","detail":[],"cpId":{},"loginName":[],"participant":"x","specimens":{},"visit":[],"events":3}`,
		"2^53 + 1":    `{"id":9007199254740993,"cpId":9007199254740993,"ids":[9007199254740993],"detail":{"id":9007199254740993}}`,
		"not whole":   `{"id":1.5,"cpId":1e400,"ids":[1.5],"detail":{}}`,
	}
	for _, pattern := range api.Patterns() {
		verb, path, _ := strings.Cut(pattern, " ")
		if verb != http.MethodPost && verb != http.MethodPut && verb != http.MethodPatch || takesFiles(pattern) {
			continue
		}
		if strings.HasPrefix(path, "/sessions") {
			continue // they have tables of their own, and would end the session
		}
		for _, name := range []string{"{id}", "{tid}", "{grant}", "{fileId}"} {
			path = strings.ReplaceAll(path, name, "987654")
		}
		path = strings.NewReplacer("{", "", "}", "").Replace(path)
		for kind, body := range bodies {
			a := c.do(verb, path, body)
			if a.status >= 500 {
				t.Errorf("%s with %s: %d %s", pattern, kind, a.status, a.body)
			}
		}
		for kind, body := range wrong {
			for _, text := range []string{body, "[" + body + "]"} {
				if a := c.do(verb, path, text); a.status >= 500 {
					t.Errorf("%s with %s: %d %s", pattern, kind, a.status, a.body)
				}
			}
		}
	}
	if got := c.must("GET", "/institutes/count", "")["count"]; got != 1.0 {
		t.Errorf("%v institutes, want the one that was there", got)
	}
	if got := len(c.list("GET", "/users?includeSysUser=true", "")); got != 2 {
		t.Errorf("%d users, want the two that were there", got)
	}
}

// Every route with a body over the limit says so, before it looks at anything.
func TestBodiesThatAreTooLarge(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	large := `{"name":"` + strings.Repeat("x", 4<<20) + `"}`
	for _, path := range []string{"/institutes", "/users", "/specimens/collect", "/collection-protocols", "/users/bulk-update"} {
		verb := http.MethodPost
		if strings.HasSuffix(path, "update") {
			verb = http.MethodPut
		}
		c.do(verb, path, large).refused(t, http.StatusRequestEntityTooLarge, "COMMON_INVALID_INPUT")
	}
}

// Every list asked for a page that is none, and every path with an id that is none.
func TestBadParameters(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	for _, pattern := range api.Patterns() {
		verb, path, _ := strings.Cut(pattern, " ")
		if verb != http.MethodGet && verb != http.MethodDelete || strings.HasPrefix(path, "/sessions") {
			continue
		}
		for _, id := range []string{"9007199254740993", "99999999999999999999", "-1", "x%00", strings.Repeat("9", 2000)} {
			at := path
			for _, part := range strings.Split(path, "/") {
				if strings.HasPrefix(part, "{") {
					at = strings.ReplaceAll(at, part, id)
				}
			}
			for _, query := range []string{"maxResults=1000000000", "startAt=-1", "start=x", "max=x", "maxResults=None", "id=x", "cpId=%zz", "name=%00"} {
				if a := c.do(verb, at+"?"+query, ""); a.status >= 500 {
					t.Errorf("%s %s?%s: %d %s", verb, at, query, a.status, a.body)
				}
			}
			if at == path {
				break // no id to vary
			}
		}
	}
}

// What only the server sets cannot be set by whoever creates.
func TestMassAssignment(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	const set = `"id":4242,"createdBy":7,"creationTime":1,"creationDate":1,"version":9,"admin":true,"roles":[{"role":"Coordinator"}],"usersCount":9`
	for path, body := range map[string]string{
		"/institutes": `{"name":"Next",%s}`,
		"/sites":      `{"name":"Dock","instituteName":"Default Institute","type":"Laboratory",%s}`,
		"/users":      `{"firstName":"M","lastName":"M","emailAddress":"m@example.org","domainName":"openspecimen","loginName":"mm","instituteName":"Default Institute",%s}`,
	} {
		checkAssigned(t, c, path, fmt.Sprintf(body, set))
	}
	checkAssigned(t, c, "/collection-protocols", fmt.Sprintf(`{"shortTitle":"CP","title":"CP study","principalInvestigator":{"id":2},"cpSites":[{"siteName":"Dock"}],%s}`, set))
}

func checkAssigned(t *testing.T, c caller, path, body string) {
	t.Helper()
	got := c.must("POST", path, body)
	if got["id"] == 4242.0 || got["usersCount"] == 9.0 || got["creationDate"] == 1.0 || got["admin"] == true {
		t.Errorf("%s: %v", path, got)
	}
	if roles, ok := got["roles"]; ok {
		t.Errorf("%s has roles %v", path, roles)
	}
}

// What is said of a change lies beside the object, and is bounded like it.
func TestLongReasons(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newStudy(c)
	long := strings.Repeat("x", 500<<10)
	for _, tt := range []struct{ verb, path, body string }{
		{"POST", "/institutes", `{"name":"New","opComments":"` + long + `"}`},
		{"PATCH", "/sites/1", `{"address":"q","opComments":"` + long + `"}`},
		{"PUT", "/specimens/1", `{"comments":"q","opComments":"` + long + `"}`},
		{"POST", "/rbac/subjects/2/roles", `{"role":{"name":"Technician"},"opComments":"` + long + `"}`},
		{"DELETE", "/specimens/1?reason=" + long[:8000], ""},
	} {
		c.do(tt.verb, tt.path, tt.body).refused(t, 400, "COMMON_INVALID_INPUT")
	}
	c.must("PATCH", "/sites/1", `{"address":"q","opComments":"`+long[:4000]+`"}`)
}

// Many at once wait for one another, or are asked to come again: none fails.
func TestManyChangesAtOnce(t *testing.T) {
	w := newWorld(t)
	w.outsize = true
	c := w.signIn("admin", password)
	w.newStudy(c)
	answers := make([]answer, 40)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = c.do("PATCH", "/sites/1", fmt.Sprintf(`{"address":"a%d"}`, i)) })
	}
	all.Wait()
	done := 0
	for _, a := range answers {
		switch a.status {
		case http.StatusOK:
			done++
		case http.StatusServiceUnavailable:
			if a.header.Get("Retry-After") == "" {
				t.Error("it does not say when to come again")
			}
		default:
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if done == 0 {
		t.Error("none was made")
	}
	if got := c.must("GET", "/sites/1/audit", ""); got["verified"] != true || len(got["entries"].([]any)) != 1+done {
		t.Errorf("%d were made, the audit tells %v", done, got)
	}
}
