package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// Calls about several objects, of which one is not the caller's: nothing is done to the other. The rows are those of the
// rights test that name objects in the query or in lists of the body.
func TestRightsOfSeveralObjects(t *testing.T) {
	w, callers, all := newRightsWorld(t)
	own, foreign := all["own"], all["foreign"]
	tried := 0
	for _, r := range rightsRows() {
		method, path, _ := strings.Cut(r.pattern, " ")
		if method == "GET" || strings.Contains(path, "{") || r.proved != "" || !ofSeveral(r) {
			continue
		}
		tried++
		for i, role := range roles {
			letters := r.expected(i)
			if role == "super" || len(letters) < 4 || letters[0] == letters[3] {
				continue // may do both, or neither
			}
			mine := own
			if r.fresh {
				mine = w.freshSpecimen(callers["super"], own)
			}
			query, body := several(fill(r.query, mine), fill(r.query, foreign)), ""
			if r.fresh {
				query = "?id=" + mine["freshID"] + "&id=" + foreign["specimenID"]
			}
			if r.body != "" {
				body = joined(t, fill(r.body, mine), fill(r.body, foreign))
			}
			before := shownOf(callers["super"], r, mine)
			a := callers[role].do(method, path+strings.ReplaceAll(query, " ", "+"), body)
			if a.status == http.StatusOK {
				t.Errorf("%s%s %s as %s is served, though one is not theirs: %.200s", r.pattern, query, body, role, a.body)
			}
			if after := shownOf(callers["super"], r, mine); after != before {
				t.Errorf("%s as %s is refused and changes the other:\n%s\n%s", r.pattern, role, before, after)
			}
		}
	}
	if tried < 20 {
		t.Errorf("only %d rows are about several objects", tried)
	}
}

// ofSeveral tells whether a row names objects where there could be more of them.
func ofSeveral(r row) bool {
	return strings.HasPrefix(r.query, "?id=") || strings.HasPrefix(r.body, "[{") || strings.HasPrefix(r.body, `{"ids":[`)
}

// several joins two queries.
func several(one, two string) string {
	if one == "" {
		return ""
	}
	return one + "&" + strings.TrimPrefix(two, "?")
}

// joined is a body with the lists of two.
func joined(t *testing.T, one, two string) string {
	t.Helper()
	var a, b any
	for text, into := range map[string]*any{one: &a, two: &b} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	if list, ok := a.([]any); ok {
		a = append(list, b.([]any)...)
	} else {
		ids := a.(map[string]any)
		ids["ids"] = append(ids["ids"].([]any), b.(map[string]any)["ids"].([]any)...)
	}
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// shownOf is what a super administrator sees of the objects of a target that a row names; those that are gone have no text.
func shownOf(c caller, r row, about target) string {
	c.t.Helper()
	paths := map[string]string{
		"{userID}": "/users/", "{siteID}": "/sites/", "{instituteID}": "/institutes/", "{cpID}": "/collection-protocols/",
		"{registrationID}": "/collection-protocol-registrations/", "{visitID}": "/visits/", "{specimenID}": "/specimens/",
		"{freshID}": "/specimens/", "{containerID}": "/storage-containers/", "{dpID}": "/distribution-protocols/", "{orderID}": "/distribution-orders/",
	}
	var shown []string
	for name, path := range paths {
		if strings.Contains(r.query+r.body, name) {
			a := c.do("GET", path+fill(name, about), "")
			shown = append(shown, fmt.Sprint(a.status, a.body))
		}
	}
	return strings.Join(shown, "\n")
}
