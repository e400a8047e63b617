package api_test

import (
	"fmt"
	"strings"
	"testing"

	"aliquot/shared/biobank"
)

// newElsewhere makes an institute with a site and a protocol that nobody of the default institute sees.
func (w *world) newElsewhere(c caller) (cp int64) {
	w.t.Helper()
	c.must("POST", "/institutes", `{"name":"Elsewhere"}`)
	c.must("POST", "/sites", `{"name":"South","instituteName":"Elsewhere","type":"Repository"}`)
	got := c.must("POST", "/collection-protocols", `{"shortTitle":"SECRET","title":"A secret study","principalInvestigator":{"id":2},"cpSites":[{"siteName":"South"}]}`)
	return int64(got["id"].(float64))
}

// What is sent but names nothing must not become "everywhere".
func TestAssignmentsNameTheirPlace(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	w.newUser("tech", "NONE")
	for place, want := range map[string]string{
		`"collectionProtocol":{"cpShortTitle":"INV"}`:          fmt.Sprint(s.cp, " <nil>"),
		`"collectionProtocol":{"cpTitle":"An invented study"}`: fmt.Sprint(s.cp, " <nil>"),
		fmt.Sprintf(`"collectionProtocol":{"cpId":%d}`, s.cp):  fmt.Sprint(s.cp, " <nil>"),
		`"collectionProtocol":{"title":"an INVENTED study"}`:   fmt.Sprint(s.cp, " <nil>"),
		`"site":{"siteName":"north biobank"}`:                  "<nil> 1",
		`"site":{"siteId":1},"collectionProtocol":null`:        "<nil> 1",
		`"site":null`: "<nil> <nil>",
	} {
		got := c.must("POST", "/rbac/subjects/3/roles", `{"role":{"name":"technician"},`+place+`}`)
		id := func(member string) any {
			v, _ := got[member].(map[string]any)
			return v["id"]
		}
		if is := fmt.Sprint(id("collectionProtocol"), " ", id("site")); is != want {
			t.Errorf("%s: at %s, want %s", place, is, want)
		}
		if name := got["role"].(map[string]any)["name"]; name != "Technician" {
			t.Errorf("%s: the role is %v", place, name)
		}
		c.must("DELETE", fmt.Sprintf("/rbac/subjects/3/roles/%v", got["id"]), "")
	}
	for place, code := range map[string]string{
		`"site":{}`:                            "SITE_NOT_FOUND",
		`"site":{"code":"NB"}`:                 "SITE_NOT_FOUND",
		`"collectionProtocol":{}`:              "CP_NOT_FOUND",
		`"collectionProtocol":{"name":"INV"}`:  "CP_NOT_FOUND",
		`"collectionProtocol":{"cpId":"many"}`: "INVALID_REQUEST",
	} {
		c.do("POST", "/rbac/subjects/3/roles", `{"role":{"name":"Technician"},`+place+`}`).refused(t, 400, code)
	}
}

// An administrator of an institute learns nothing of protocols elsewhere by assigning roles in them.
func TestAssignmentsTellNothingOfOtherProtocols(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newStudy(c)
	secret := w.newElsewhere(c)
	w.newUser("tech", "NONE")
	boss := w.newUser("boss", "INSTITUTE")
	for _, ref := range []string{fmt.Sprintf(`{"id":%d}`, secret), `{"shortTitle":"SECRET"}`, `{"id":98765}`, `{"shortTitle":"NOTHING"}`} {
		a := boss.do("POST", "/rbac/subjects/3/roles", `{"role":{"name":"Technician"},"collectionProtocol":`+ref+`}`)
		a.refused(t, 400, "CP_NOT_FOUND")
		if strings.Contains(a.body, "SECRET") != strings.Contains(ref, "SECRET") {
			t.Errorf("%s: %s", ref, a.body)
		}
	}
	c.do("POST", "/rbac/subjects/3/roles", fmt.Sprintf(`{"role":{"name":"Technician"},"collectionProtocol":{"id":%d}}`, secret)).refused(t, 400, "RBAC_INV_CP_USER")
}

// Who holds which role is told to those who may see it.
func TestUsersByRoleAreForTheirAdministrators(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newStudy(c)
	w.newElsewhere(c)
	w.newUser("tech", "NONE", biobank.Grant{ID: 1, Role: "Coordinator"})
	boss, plain := w.newUser("boss", "INSTITUTE"), w.newUser("plain", "NONE")
	names := func(c caller, query string) string {
		var all []string
		for _, u := range c.list("GET", "/users?"+query, "") {
			all = append(all, u["loginName"].(string))
		}
		return strings.Join(all, ",")
	}
	for _, tt := range []struct {
		query              string
		super, boss, plain string
	}{
		{"role=Coordinator", "tech", "tech", ""},
		{"role=coordinator&cp=INV", "tech", "tech", ""},
		{"resource=Visit&op=Read&cp=INV", "admin,boss,tech", "admin,boss,tech", "admin"},
		{"resource=Visit&op=Read&cp=SECRET", "admin", "admin", "admin"},
		{"resource=Visit&op=Read&cp=NOTHING", "admin", "admin", "admin"},
		{"resource=Visit&op=Read&site=South&cp=INV", "admin", "admin", "admin"},
		{"site=North+Biobank", "admin,boss,tech", "admin,boss,tech", "admin,boss"},
	} {
		for i, caller := range []caller{c, boss, plain} {
			if got, want := names(caller, tt.query), []string{tt.super, tt.boss, tt.plain}[i]; got != want {
				t.Errorf("%s as %d: %s, want %s", tt.query, i, got, want)
			}
		}
	}
	if got := w.signIn("tech", password).do("GET", "/users?role=Coordinator", ""); !strings.Contains(got.body, "tech") {
		t.Errorf("of oneself: %s", got.body)
	}
}

// With another institute a user keeps neither a place nor a right at the old one.
func TestUsersMoveWithoutTheirRights(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newStudy(c)
	w.newElsewhere(c)
	mate := w.newUser("mate", "NONE", biobank.Grant{ID: 1, Role: "Coordinator", SiteID: 1})
	mate.must("GET", "/specimens/1", "")
	c.do("PATCH", "/users/3", `{"instituteName":"Elsewhere"}`).refused(t, 400, "RBAC_INV_SITE_USER")
	c.must("DELETE", "/rbac/subjects/3/roles/1", "")

	c.do("PATCH", "/users/3", `{"primarySite":"South"}`).refused(t, 400, "SITE_NOT_FOUND")
	if got := c.must("PATCH", "/users/3", `{"primarySite":"North Biobank"}`)["primarySite"]; got != "North Biobank" {
		t.Errorf("primary site: %v", got)
	}
	c.do("PATCH", "/users/3", `{"instituteName":"Elsewhere"}`).refused(t, 400, "SITE_NOT_FOUND")
	c.must("PATCH", "/users/3", `{"instituteName":"Elsewhere","primarySite":"South"}`)
	mate.do("GET", "/specimens/1", "").refused(t, 400, "RBAC_ACCESS_DENIED")
}

// A contact has no domain until it gets one with a login name.
func TestContactsBecomeUsers(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	c.do("POST", "/users", `{"lastName":"Reach","emailAddress":"reach@example.org","type":"CONTACT","instituteName":"Default Institute"}`).refused(t, 400, "USER_FIRST_NAME_REQUIRED")
	made := c.must("POST", "/users", `{"firstName":"Some","lastName":"Reach","emailAddress":"reach@example.org","loginName":"reach","type":"CONTACT","instituteName":"Default Institute"}`)
	path := fmt.Sprintf("/users/%v", made["id"])
	whole := `{"firstName":"Some","lastName":"Reach","emailAddress":"reach@example.org","loginName":"reach","instituteName":"Default Institute",`
	c.do("PUT", "/users/password", fmt.Sprintf(`{"userId":%v,"newPassword":"Invented-9"}`, made["id"])).refused(t, 400, "USER_PASSWD_CHANGE_NOT_ALLOWED")
	c.must("PUT", path, whole+`"type":"NONE","domainName":"openspecimen"}`)
	c.do("POST", "/users", `{"firstName":"B","lastName":"B","emailAddress":"b@example.org","domainName":"openspecimen","loginName":"Reach","instituteName":"Default Institute"}`).
		refused(t, 400, "USER_DUP_LOGIN_NAME")
	if a := c.do("PUT", "/users/password", fmt.Sprintf(`{"userId":%v,"newPassword":"Invented-9"}`, made["id"])); a.body != "true" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	reach := w.signIn("reach", "Invented-9")
	if got := c.must("PUT", path, whole+`"type":"CONTACT"}`)["domainName"]; got != "openspecimen" {
		t.Errorf("the domain became %v", got)
	}
	a := reach.do("GET", "/users/current-user", "")
	a.refused(t, 401, "AUTH_INVALID_TOKEN")
	c.must("PUT", path, whole+`"type":"NONE","domainName":"openspecimen"}`)
	reach.do("GET", "/users/current-user", "").refused(t, 401, "AUTH_INVALID_TOKEN")
	w.signIn("reach", "Invented-9")
}

// Who has a range of addresses changes the own password from there, and from anywhere with a session.
func TestOwnPasswordWithARange(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newUser("robot", "NONE")
	c.must("PATCH", "/users/3", `{"ipRange":"127.0.0.0/8","apiUser":true}`)
	robot := w.signIn("robot", password)
	robot.do("PUT", "/users/password", `{"oldPassword":"Invented-8","newPassword":"Invented-9"}`).refused(t, 400, "USER_INVALID_OLD_PASSWD")
	if a := robot.do("PUT", "/users/password", `{"oldPassword":"Invented-1","newPassword":"Invented-9"}`); a.body != "true" {
		t.Errorf("%d %s", a.status, a.body)
	}
	w.signIn("robot", "Invented-9")
}

// An administrator who sets Active takes away the lock of wrong passwords, by whichever call.
func TestActiveUnlocks(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newUser("one", "NONE")
	for _, tt := range []struct{ verb, path, body string }{
		{"PATCH", "/users/3", `{"activityStatus":"Active"}`},
		{"PUT", "/users/3", `{"firstName":"Some","lastName":"one","emailAddress":"one@example.org","domainName":"openspecimen","loginName":"one",
			"instituteName":"Default Institute","activityStatus":"Active"}`},
		{"PUT", "/users/bulk-update", `{"ids":[3],"detail":{"activityStatus":"Active"}}`},
		{"PUT", "/users/3/activity-status", `{"activityStatus":"Active"}`},
	} {
		for range 6 {
			w.request("POST", base+"/sessions", `{"loginName":"one","password":"Invented-8"}`)
		}
		w.request("POST", base+"/sessions", `{"loginName":"one","password":"Invented-1"}`).refused(t, 400, "AUTH_USER_LOCKED")
		c.must("PATCH", "/users/3", `{"dnd":true}`)
		w.request("POST", base+"/sessions", `{"loginName":"one","password":"Invented-1"}`).refused(t, 400, "AUTH_USER_LOCKED")
		if a := c.do(tt.verb, tt.path, tt.body); a.status != 200 {
			t.Fatalf("%s %s: %s", tt.verb, tt.path, a.body)
		}
		w.signIn("one", password)
	}
}
