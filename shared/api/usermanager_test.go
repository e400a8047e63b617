package api_test

import (
	"fmt"
	"strings"
	"testing"

	"aliquot/shared/biobank"
)

// Rights on users, of those who are no administrators.
func TestRightsOnUsers(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	c.must("POST", "/institutes", `{"name":"Elsewhere"}`)
	site := map[string]int64{}
	for name, institute := range map[string]string{"North": "Default Institute", "East": "Default Institute", "South": "Elsewhere"} {
		site[name] = int64(c.must("POST", "/sites", fmt.Sprintf(`{"name":%q,"instituteName":%q,"type":"Repository"}`, name, institute))["id"].(float64))
	}
	cp := int64(c.must("POST", "/collection-protocols", `{"shortTitle":"OWN","title":"Own","principalInvestigator":{"id":2},"cpSites":[{"siteName":"North"},{"siteName":"East"}]}`)["id"].(float64))
	c.must("POST", "/collection-protocols", `{"shortTitle":"NEXT","title":"Next","principalInvestigator":{"id":2},"cpSites":[{"siteName":"North"}]}`)
	c.must("POST", "/rbac/roles", `{"name":"People","acl":[{"resourceName":"User","operations":[{"operationName":"Create"},{"operationName":"Read"},{"operationName":"Update"},{"operationName":"Delete"}]},
		{"resourceName":"CollectionProtocol","operations":[{"operationName":"Read"}]}]}`)
	user := func(login, institute, more string) string {
		return fmt.Sprintf(`{"firstName":"M","lastName":"M","emailAddress":"%s@example.org","domainName":"openspecimen","loginName":%q,"instituteName":%q%s}`, login, login, institute, more)
	}
	id := func(v map[string]any) string { return fmt.Sprint(v["id"]) }
	north := id(c.must("POST", "/users", user("inNorth", "Default Institute", `,"primarySite":"North"`)))
	east := id(c.must("POST", "/users", user("inEast", "Default Institute", `,"primarySite":"East"`)))
	south := id(c.must("POST", "/users", user("inSouth", "Elsewhere", "")))
	w.newUser("boss", "INSTITUTE")
	boss := id(c.list("GET", "/users?loginName=boss", "")[0])
	everywhere := w.newUser("everywhere", "NONE", biobank.Grant{ID: 1, Role: "People"})
	atNorth := w.newUser("atNorth", "NONE", biobank.Grant{ID: 1, Role: "People", SiteID: site["North"]})
	inOwn := w.newUser("inOwn", "NONE", biobank.Grant{ID: 1, Role: "People", ProtocolID: cp})
	reader := w.newUser("reader", "NONE", biobank.Grant{ID: 1, Role: "Principal Investigator"})
	const denied, admins, protocol = "RBAC_ACCESS_DENIED", "RBAC_ADMIN_RIGHTS_REQUIRED", "CP_USER_UPDATE_RIGHTS_REQUIRED"

	t.Run("protocols of others", func(t *testing.T) {
		c.must("POST", "/rbac/subjects/"+north+"/roles", `{"role":{"name":"Technician"},"collectionProtocol":{"shortTitle":"NEXT"}}`)
		a := inOwn.do("GET", "/rbac/subjects/"+north+"/roles", "")
		if a.status != 200 || !strings.Contains(a.body, `"collectionProtocol":{`) || strings.Contains(a.body, "NEXT") || strings.Contains(a.body, "Next") {
			t.Errorf("somebody who may not see the protocol is told %d %s", a.status, a.body)
		}
		a = everywhere.do("GET", "/rbac/subjects/"+north+"/roles", "")
		if !strings.Contains(a.body, `"shortTitle":"NEXT"`) {
			t.Errorf("somebody who may see the protocol is told %s", a.body)
		}
	})

	t.Run("users", func(t *testing.T) {
		for _, tt := range []struct {
			as   caller
			path string
			body string
			code string
		}{
			{everywhere, north, `{"address":"1"}`, ""},
			{everywhere, east, `{"address":"1"}`, ""},
			{everywhere, south, `{"address":"1"}`, admins},
			{everywhere, boss, `{"address":"1"}`, admins},
			{everywhere, "2", `{"address":"1"}`, admins},
			{everywhere, north, `{"type":"INSTITUTE"}`, admins},
			{everywhere, north, `{"type":"SUPER"}`, admins},
			{everywhere, north, `{"manageForms":true}`, admins},
			{everywhere, north, `{"dropFolder":false}`, admins},
			{everywhere, north, `{"instituteName":"Elsewhere","primarySite":"South"}`, admins},
			{atNorth, north, `{"address":"2"}`, ""},
			{atNorth, east, `{"address":"2"}`, admins},
			{atNorth, north, `{"primarySite":"East"}`, admins},
			{inOwn, north, `{"address":"3"}`, admins},
			{reader, north, `{"address":"3"}`, admins},
		} {
			a := tt.as.do("PATCH", "/users/"+tt.path, tt.body)
			if tt.code == "" && a.status != 200 {
				t.Errorf("%s of %s: %d %s", tt.body, tt.path, a.status, a.body)
			} else if tt.code != "" {
				a.refused(t, 400, tt.code)
			}
		}
		made := id(everywhere.must("POST", "/users", user("made", "Default Institute", "")))
		everywhere.do("POST", "/users", user("madeToo", "Elsewhere", "")).refused(t, 400, admins)
		everywhere.do("POST", "/users", user("madeToo", "Default Institute", `,"type":"INSTITUTE"`)).refused(t, 400, admins)
		atNorth.do("POST", "/users", user("madeToo", "Default Institute", "")).refused(t, 400, admins)
		atNorth.do("DELETE", "/users/"+made, "").refused(t, 400, admins)
		everywhere.do("PUT", "/users/password", fmt.Sprintf(`{"userId":%s,"newPassword":%q}`, made, password)).refused(t, 400, admins)
		everywhere.must("DELETE", "/users/"+made, "")
		self := fmt.Sprint(everywhere.must("GET", "/users/current-user", "")["id"])
		for _, own := range []caller{everywhere, atNorth} {
			self := fmt.Sprint(own.must("GET", "/users/current-user", "")["id"])
			if got := own.must("PATCH", "/users/"+self, `{"address":"4","phoneNumber":"5","timeZone":"Asia/Kolkata","dnd":true}`); got["address"] != "4" || got["dnd"] != true {
				t.Errorf("the own profile is %v", got)
			}
			own.must("PUT", "/users/"+self, own.do("GET", "/users/"+self, "").body) // as it was read
			own.do("PATCH", "/users/"+self, `{"emailAddress":"other@example.org"}`).refused(t, 400, "USER_EMAIL_SELF_UPDATE_NA")
			for _, more := range []string{`"type":"SUPER"`, `"manageForms":true`, `"loginName":"other"`, `"primarySite":"North"`, `"activityStatus":"Closed"`, `"instituteName":"Elsewhere"`} {
				if a := own.do("PATCH", "/users/"+self, "{"+more+"}"); a.status != 400 {
					t.Errorf("of oneself %s is changed: %d %s", more, a.status, a.body)
				}
			}
		}
		everywhere.do("DELETE", "/users/"+self, "").refused(t, 400, admins)
	})

	t.Run("assignments", func(t *testing.T) {
		for _, tt := range []struct {
			as         caller
			name       string
			user, site string
			cp, code   string
		}{
			{everywhere, "everywhere", north, "null", "null", ""},
			{everywhere, "everywhere", north, `{"name":"East"}`, `{"shortTitle":"OWN"}`, ""},
			{everywhere, "everywhere", south, "null", "null", denied},
			{everywhere, "everywhere", boss, "null", "null", denied},
			{atNorth, "atNorth", east, `{"name":"North"}`, "null", ""},
			{atNorth, "atNorth", east, `{"name":"North"}`, `{"shortTitle":"NEXT"}`, ""},
			{atNorth, "atNorth", north, `{"name":"East"}`, "null", denied},
			{atNorth, "atNorth", north, "null", "null", denied},
			{atNorth, "atNorth", north, "null", `{"shortTitle":"OWN"}`, protocol},
			{inOwn, "inOwn", north, "null", `{"shortTitle":"OWN"}`, ""},
			{inOwn, "inOwn", north, `{"name":"North"}`, `{"shortTitle":"OWN"}`, ""},
			{inOwn, "inOwn", north, "null", "null", denied},
			{inOwn, "inOwn", north, "null", `{"shortTitle":"NEXT"}`, "CP_NOT_FOUND"},
			{reader, "reader", north, "null", "null", denied},
		} {
			path := "/rbac/subjects/" + tt.user + "/roles"
			a := tt.as.do("POST", path, fmt.Sprintf(`{"role":{"name":"Researcher"},"site":%s,"collectionProtocol":%s}`, tt.site, tt.cp))
			if tt.code != "" {
				a.refused(t, 400, tt.code)
				continue
			}
			var v struct{ ID int64 }
			mustDecode(t, a, &v)
			at := fmt.Sprintf("%s/%d", path, v.ID)
			reader.do("DELETE", at, "").refused(t, 400, denied)
			if tt.name != "everywhere" {
				tt.as.do("PUT", at, `{"role":{"name":"Technician"}}`).refused(t, 400, denied) // to every site and protocol
			}
			tt.as.must("DELETE", at, "")
		}
		self := fmt.Sprint(everywhere.must("GET", "/users/current-user", "")["id"])
		everywhere.do("POST", "/rbac/subjects/"+self+"/roles", `{"role":{"name":"Coordinator"}}`).refused(t, 400, admins)
		if a := reader.do("GET", "/rbac/subjects/"+north+"/roles", ""); a.status != 200 {
			t.Errorf("who may read users does not see their roles: %s", a.body)
		}
	})
}

// A stock role may be changed: it counts at once for those who have it.
func TestChangeStockRoles(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	tech := w.newUser("tech", "NONE", biobank.Grant{ID: 1, Role: "Technician"})
	path := fmt.Sprintf("/specimens/%d", s.specimen)
	tech.must("GET", path, "")
	role := c.must("GET", "/rbac/roles/1", "")
	if role["name"] != "Technician" || role["id"] != 1.0 {
		t.Fatalf("role 1 is %v", role)
	}
	for body, code := range map[string]string{
		`{"name":"Lab hand","acl":[]}`: "COMMON_INVALID_INPUT",
		`{"acl":[]}`:                   "COMMON_INVALID_INPUT",
		`{"name":"Technician","acl":[{"resourceName":"Moon"}]}`:                                         "RBAC_RESOURCE_NOT_FOUND",
		`{"name":"Technician","activityStatus":"Disabled"}`:                                             "COMMON_INVALID_INPUT",
		`{"name":"Technician","parentRoleName":"technician"}`:                                           "RBAC_CYCLE_DETECTED_IN_HIERARCHY",
		`{"name":"Technician","parentRoleName":"Nobody","acl":[]}`:                                      "RBAC_ROLE_NOT_FOUND",
		`{"name":"Technician","opComments":"` + long(5000) + `"}`:                                       "COMMON_INVALID_INPUT",
		`{"name":"Technician","acl":[{"resourceName":"Visit","operations":[{"operationName":"Fly"}]}]}`: "RBAC_OPERATION_NOT_FOUND",
	} {
		c.do("PUT", "/rbac/roles/1", body).refused(t, 400, code)
	}
	tech.do("PUT", "/rbac/roles/1", `{"name":"Technician"}`).refused(t, 400, "RBAC_ADMIN_RIGHTS_REQUIRED")
	tech.must("GET", path, "")
	for i, body := range []string{
		`{"name":"technician","description":"No specimens","acl":[{"resourceName":"Visit","operations":[{"operationName":"Read"}]}]}`,
		`{"name":"Technician","description":"None","acl":[]}`,
	} {
		role = c.must("PUT", "/rbac/roles/1", body)
		if role["name"] != "Technician" || len(role["acl"].([]any)) != 1-i || role["description"] != []string{"No specimens", "None"}[i] {
			t.Errorf("changed to %v", role)
		}
		tech.do("GET", path, "").refused(t, 400, "RBAC_ACCESS_DENIED")
		tech.do("GET", fmt.Sprintf("/visits/%d", s.visit), "").codesOr(t, i == 0, "RBAC_ACCESS_DENIED")
		if got := column(c.list("GET", "/rbac/roles?name=tech", ""), "description"); got != role["description"] {
			t.Errorf("listed with %s", got)
		}
		if got := tech.list("GET", "/users/current-user-roles", "")[0]["role"].(map[string]any)["description"]; got != role["description"] {
			t.Errorf("given as %v", got)
		}
	}
	if got := c.must("GET", "/rbac/roles/1/audit", ""); len(got["entries"].([]any)) != 2 {
		t.Errorf("audit %v", got)
	}
	c.do("DELETE", "/rbac/roles/1", "").refused(t, 400, "COMMON_INVALID_INPUT")
	if got := column(c.list("GET", "/users?resource=Visit&op=Read&type=NONE", ""), "loginName"); got != "" {
		t.Errorf("%s may still read visits", got)
	}
}

// Roles lie below others.
func TestRolesAboveRoles(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	lead := fmt.Sprint(c.must("POST", "/rbac/roles", `{"name":"Lead","parentRoleName":"coordinator"}`)["id"])
	hand := fmt.Sprint(c.must("POST", "/rbac/roles", `{"name":"Hand","parentRoleName":"Lead","childRoles":["Lead"]}`)["id"])
	for path, want := range map[string]string{"2": "<nil> [Lead]", lead: "Coordinator [Hand]", hand: "Lead []"} {
		if v := c.must("GET", "/rbac/roles/"+path, ""); fmt.Sprint(v["parentRoleName"], " ", v["childRoles"]) != want {
			t.Errorf("role %s: %v %v, want %s", path, v["parentRoleName"], v["childRoles"], want)
		}
	}
	c.do("PUT", "/rbac/roles/"+lead, `{"name":"Lead","parentRoleName":"Hand"}`).refused(t, 400, "RBAC_CYCLE_DETECTED_IN_HIERARCHY")
	c.do("DELETE", "/rbac/roles/"+lead, "").refused(t, 400, "RBAC_REF_ENTITY_FOUND")
	c.must("PUT", "/rbac/roles/"+hand, `{"name":"Hand"}`)
	c.must("DELETE", "/rbac/roles/"+lead, "")
	if v := c.must("GET", "/rbac/roles/2", ""); fmt.Sprint(v["childRoles"]) != "[]" {
		t.Errorf("what is deleted is a child still: %v", v["childRoles"])
	}
}

func long(n int) string { return strings.Repeat("x", n) }

// codesOr checks that an answer is served, or else refused with a code.
func (a answer) codesOr(t *testing.T, served bool, code string) {
	t.Helper()
	if !served {
		a.refused(t, 400, code)
	} else if a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
}
