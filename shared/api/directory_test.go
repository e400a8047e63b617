package api_test

import (
	"fmt"
	"strings"
	"testing"

	"aliquot/infra/local/localtest"
	"aliquot/shared/auth"
	"aliquot/shared/biobank"
)

// Lists of sites and users: of an institute, of who may work where, and with counts.
func TestDirectory(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	c.must("POST", "/institutes", `{"name":"Elsewhere"}`)
	site := map[string]int64{}
	for name, institute := range map[string]string{"North": "Default Institute", "Northern": "Default Institute", "East": "Default Institute", "South": "Elsewhere"} {
		site[name] = int64(c.must("POST", "/sites", fmt.Sprintf(`{"name":%q,"instituteName":%q,"type":"Repository"}`, name, institute))["id"].(float64))
	}
	boss := w.newUser("boss", "INSTITUTE")
	tech := w.newUser("tech", "NONE", biobank.Grant{ID: 1, Role: "Technician", SiteID: site["East"]})
	stranger := w.newUser("stranger", "NONE")

	for _, tt := range []struct {
		as         caller
		path, want string
	}{
		{c, "/institutes/sites?name=default institute", "East,North,Northern"},
		{stranger, "/institutes/sites?name=Default Institute&siteName=north", "North,Northern"},
		{c, "/institutes/sites?name=Default Institute&startAt=1&maxResults=1", "North"},
		{c, "/institutes/sites?name=Elsewhere&siteName=north", ""},
		{c, "/sites?listAll=false", "East,North,Northern,South"},
		{boss, "/sites?listAll=false", "East,North,Northern"},
		{tech, "/sites?listAll=false", "East"},
		{stranger, "/sites?listAll=false", ""},
		{stranger, "/sites", "East,North,Northern,South"},
	} {
		if got := column(tt.as.list("GET", spaced(tt.path), ""), "name"); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.path, got, tt.want)
		}
	}
	c.do("GET", "/institutes/sites?name=Nobody", "").refused(t, 400, "INSTITUTE_NOT_FOUND")
	c.do("GET", "/institutes/sites", "").refused(t, 400, "INSTITUTE_NOT_FOUND")
	c.do("GET", "/sites?listAll=x", "").refused(t, 400, "INVALID_REQUEST")

	t.Run("protocols of users", func(t *testing.T) {
		const cp = `{"shortTitle":%q,"title":%q,"principalInvestigator":{"loginName":"boss"},"coordinators":[{"loginName":"boss"},{"loginName":"tech"}],"cpSites":[{"siteName":%q}]}`
		c.must("POST", "/collection-protocols", fmt.Sprintf(cp, "ONE", "One", "North"))
		c.must("POST", "/collection-protocols", fmt.Sprintf(cp, "TWO", "Two", "East"))
		for path, want := range map[string]string{
			"/users?loginName=boss&includeStats=true": "2", "/users?loginName=tech&includeStats=true": "2", "/users?loginName=boss": "0",
			"/users?loginName=stranger&includeStats=true": "0",
		} {
			if got := column(c.list("GET", path, ""), "cpCount"); got != want {
				t.Errorf("%s: %s, want %s", path, got, want)
			}
		}
		if got := column(tech.list("GET", "/users?loginName=boss&includeStats=true", ""), "cpCount"); got != "1" {
			t.Errorf("the technician counts %s, also what is not to be seen", got)
		}
		if got := c.list("GET", "/sites?name=North&exactMatch=true&includeStats=true", "")[0]; got["cpCount"] != 1.0 {
			t.Errorf("site: %v", got)
		}
	})

	t.Run("a locked login", func(t *testing.T) {
		path := fmt.Sprintf("/users/%v", c.list("GET", "/users?loginName=stranger", "")[0]["id"])
		if got := c.must("GET", path, "")["loginLocked"]; got != false {
			t.Errorf("locked: %v", got)
		}
		for range auth.MaxFailures {
			w.request("POST", base+"/sessions", `{"loginName":"stranger","password":"Wrong-1"}`).refused(t, 400, "AUTH_INVALID_CREDENTIALS")
		}
		for _, as := range []caller{c, boss} {
			if got := as.must("GET", path, "")["loginLocked"]; got != true {
				t.Errorf("locked: %v", got)
			}
		}
		if got, told := tech.must("GET", path, "")["loginLocked"]; told {
			t.Errorf("everybody is told: %v", got)
		}
		w.wait(auth.LockFor)
		if got := boss.must("GET", path, "")["loginLocked"]; got != false && !localtest.OnBinaries() {
			t.Errorf("still locked: %v", got)
		}
	})
}

func spaced(path string) string { return strings.ReplaceAll(path, " ", "+") }

// What is closed keeps what it has, and gets nothing new.
func TestNothingNewComesToWhatIsClosed(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	c.must("POST", "/institutes", `{"name":"Old"}`)
	institute := fmt.Sprint(c.must("GET", "/institutes/byname?name=Old", "")["id"])
	old := fmt.Sprint(c.must("POST", "/sites", `{"name":"Old Site","instituteName":"Old","type":"Repository"}`)["id"])
	c.must("POST", "/sites", `{"name":"New Site","instituteName":"Default Institute","type":"Repository"}`)
	const user = `{"firstName":"M","lastName":"M","emailAddress":"%[1]s@example.org","domainName":"openspecimen","loginName":%[1]q,"instituteName":%[2]q,"primarySite":%[3]s}`
	member := fmt.Sprint(c.must("POST", "/users", fmt.Sprintf(user, "member", "Old", `"Old Site"`))["id"])
	const cp = `{"shortTitle":%[1]q,"title":%[1]q,"principalInvestigator":{"id":2},"cpSites":[{"siteName":%[2]q}%[3]s]}`
	has := fmt.Sprint(c.must("POST", "/collection-protocols", fmt.Sprintf(cp, "HAS", "Old Site", ""))["id"])
	other := fmt.Sprint(c.must("POST", "/collection-protocols", fmt.Sprintf(cp, "OTHER", "New Site", ""))["id"])
	box := fmt.Sprint(c.must("POST", "/storage-containers", `{"name":"Box","siteName":"Old Site","noOfRows":2,"noOfColumns":2}`)["id"])
	c.must("DELETE", "/sites/"+old+"?close=true", "")
	c.must("DELETE", "/institutes/"+institute+"?close=true", "")

	for name, a := range map[string]answer{
		"site":           c.do("POST", "/sites", `{"name":"Another","instituteName":"Old","type":"Repository"}`),
		"user":           c.do("POST", "/users", fmt.Sprintf(user, "late", "Old", "null")),
		"role":           c.do("POST", "/rbac/subjects/"+member+"/roles", `{"role":{"name":"Researcher"},"site":{"name":"Old Site"}}`),
		"protocol":       c.do("POST", "/collection-protocols", fmt.Sprintf(cp, "LATE", "Old Site", "")),
		"protocol's":     c.do("PUT", "/collection-protocols/"+other, fmt.Sprintf(cp, "OTHER", "New Site", `,{"siteName":"Old Site"}`)),
		"container":      c.do("POST", "/storage-containers", `{"name":"Box 2","siteName":"Old Site","noOfRows":2,"noOfColumns":2}`),
		"container's":    c.do("POST", "/storage-containers", `{"name":"Box 3","siteName":"Old Site"}`),
		"dp":             c.do("POST", "/distribution-protocols", `{"title":"Out","shortTitle":"Out","instituteName":"Old","principalInvestigator":{"id":`+member+`},"distributingSites":{"Default Institute":[]}}`),
		"institute's PI": c.do("PATCH", "/sites/"+fmt.Sprint(c.must("GET", "/sites/byname?name=New+Site", "")["id"]), `{"instituteName":"Old"}`),
	} {
		if a.status != 400 || a.codes(t) != "ACTIVITY_STATUS_INVALID" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	c.must("PUT", "/users/"+member, fmt.Sprintf(user, "member", "Old", `"Old Site"`))
	c.must("PUT", "/collection-protocols/"+has, fmt.Sprintf(cp, "HAS", "Old Site", `,{"siteName":"New Site"}`))
	c.must("PATCH", "/storage-containers/"+box, `{"siteName":"Old Site","comments":"x"}`)
	c.must("POST", "/collection-protocol-registrations", `{"cpId":`+has+`,"ppid":"P","registrationDate":"2022-01-01","site":"Old Site","participant":{}}`)
}
