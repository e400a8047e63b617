package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/biobank"
)

// study is a protocol with one of everything below it.
type study struct {
	cp, event, requirement, registration, visit, specimen, aliquot int64
}

// newStudy makes, through the API where it can, what a real client makes first.
func (w *world) newStudy(c caller) study {
	w.t.Helper()
	c.must("POST", "/sites/", `{"name":"North Biobank","instituteName":"Default Institute","type":"repository","code":"NB",
		"coordinators":[{"emailAddress":"admin@localhost"}],"address":"1 Invented Street"}`)
	id := func(m map[string]any) int64 { return int64(m["id"].(float64)) }
	var s study
	s.cp = id(c.must("POST", "/collection-protocols", `{"shortTitle":"INV","title":"An invented study","code":"I1",
		"principalInvestigator":{"loginName":"admin"},"coordinators":[],"cpSites":[{"siteName":"north biobank","code":"N"}],
		"startDate":1614124800000,"endDate":"","anticipatedParticipantsCount":"25","manualPpidEnabled":"true",
		"manualVisitNameEnabled":true,"visitNameFmt":"%PPI%.%EVENT_CODE%.%PPI_UID%","manualSpecLabelEnabled":true}`))
	s.event = id(c.must("POST", "/collection-protocol-events", `{"eventLabel":"Baseline","eventPoint":0,"eventPointUnit":"DAYS",
		"collectionProtocol":"An invented study","cpShortTitle":"not looked at","defaultSite":"North Biobank","code":"B"}`))
	s.requirement = id(c.must("POST", "/specimen-requirements", fmt.Sprintf(`{"eventId":%d,"name":"Blood","code":"BL",
		"specimenClass":"Fluid","type":"Whole Blood","anatomicSite":"Not Specified","laterality":"Not Specified",
		"pathology":"Not Specified","storageType":"Virtual","initialQty":"10.5","collectionProcedure":"Not Specified",
		"collectionContainer":"Not Specified","collector":{"id":2},"sortOrder":1}`, s.event)))
	site := "North Biobank"
	cp := biobank.ProtocolRef{ID: s.cp}
	s.registration = w.mustApply(biobank.Create, &biobank.RegistrationDraft{
		Protocol: cp, Site: &site, PMIs: []biobank.PMIRef{{Site: site, MRN: "MRN-7"}},
		Doc: biobank.RegistrationDoc{
			PPID: "INV-1", RegistrationDate: "2021-02-24", Participant: biobank.ParticipantDoc{
				FirstName: "Ada", LastName: "Canary", BirthDate: "1980-05-06", Gender: "Female", EmailAddress: "ada@example.org",
			},
		},
	}).ID
	s.visit = w.mustApply(biobank.Create, &biobank.VisitDraft{
		Protocol: cp, PPID: "INV-1", EventLabel: "baseline", Site: &site, Doc: biobank.VisitDoc{
			Name: "INV-1.B.1", Status: biobank.VisitComplete, VisitDate: 1614171600000, Comments: "came with Canary",
			SurgicalPathologyNumber: "SPR-7",
		},
	}).ID
	ten, two := mustQuantity(w, "10"), mustQuantity(w, "2.5")
	s.specimen = w.mustApply(biobank.Create, &biobank.SpecimenDraft{
		VisitID: s.visit, RequirementID: s.requirement, Collector: biobank.UserRef{ID: 2}, Doc: biobank.SpecimenDoc{
			Label: "INV-1-S", Class: "Fluid", Type: "Whole Blood", Lineage: biobank.LineageNew, Status: biobank.Collected,
			InitialQty: ten, AvailableQty: ten, CreatedOn: 1614171600000,
			Collection: &biobank.CollectionEvent{Time: 1614171600000, Procedure: "Not Specified", Container: "Not Specified"},
			Received:   &biobank.ReceivedEvent{Time: 1614175200000, Quality: "Acceptable"},
		},
	}).ID
	s.aliquot = w.mustApply(biobank.Create, &biobank.SpecimenDraft{
		ParentLabel: "INV-1-S", Doc: biobank.SpecimenDoc{
			Label: "INV-1-S-1", Lineage: biobank.LineageAliquot, Status: biobank.Collected, InitialQty: two,
			CreatedOn: 1614258000000,
		},
	}).ID
	return s
}

func mustQuantity(w *world, text string) *biobank.Quantity {
	w.t.Helper()
	q, err := biobank.ParseQuantity(text)
	if err != nil {
		w.t.Fatal(err)
	}
	return &q
}

func TestViews(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	paths := map[string]string{
		"current-user": "/users/current-user",
		"system-user":  "/users/1",
		"institute":    "/institutes/1",
		"site":         "/sites/1",
		"protocol":     fmt.Sprintf("/collection-protocols/%d", s.cp),
		"event":        fmt.Sprintf("/collection-protocol-events/%d", s.event),
		"requirement":  fmt.Sprintf("/specimen-requirements/%d", s.requirement),
		"registration": fmt.Sprintf("/collection-protocol-registrations/%d", s.registration),
		"visit":        fmt.Sprintf("/visits/%d", s.visit),
		"specimen":     fmt.Sprintf("/specimens/%d", s.specimen),
		"aliquot":      fmt.Sprintf("/specimens/%d", s.aliquot),
	}
	for name, path := range paths {
		t.Run(name, func(t *testing.T) {
			a := c.do("GET", path, "")
			if a.status != http.StatusOK {
				t.Fatalf("%d %s", a.status, a.body)
			}
			golden(t, name, a.body)
		})
	}

	// A technician works with specimens and does not see who they came from.
	tech := w.newUser("tech", "NONE", biobank.Grant{ID: 1, Role: "Technician"})
	t.Run("masked", func(t *testing.T) {
		for _, name := range []string{"registration", "visit", "specimen"} {
			a := tech.do("GET", paths[name], "")
			if a.status != http.StatusOK {
				t.Fatalf("%s: %d %s", name, a.status, a.body)
			}
			for _, phi := range []string{"Canary", "Ada", "ada@", "MRN-7", "SPR-7", "1980", "326419200000"} {
				if strings.Contains(a.body, phi) {
					t.Errorf("%s shows %q", name, phi)
				}
			}
			golden(t, name+"-masked", a.body)
		}
	})
	t.Run("without a right", func(t *testing.T) {
		stranger := w.newUser("stranger", "NONE")
		for _, name := range []string{"protocol", "event", "requirement", "registration", "visit", "specimen"} {
			stranger.do("GET", paths[name], "").refused(t, 400, "RBAC_ACCESS_DENIED")
		}
	})
	t.Run("deleted or unknown", func(t *testing.T) {
		for path, code := range map[string]string{
			"/institutes/9": "INSTITUTE_NOT_FOUND", "/sites/9": "SITE_NOT_FOUND", "/users/99": "USER_NOT_FOUND",
			"/collection-protocols/9": "CP_NOT_FOUND", "/collection-protocol-events/9": "CPE_NOT_FOUND",
			"/specimen-requirements/9": "SR_NOT_FOUND", "/collection-protocol-registrations/9": "CPR_M_NOT_FOUND",
			"/visits/9": "VISIT_NOT_FOUND", "/specimens/9": "SPECIMEN_NOT_FOUND",
		} {
			c.do("GET", path, "").refused(t, 400, code)
		}
	})
	t.Run("the log has nobody's data", func(t *testing.T) {
		for _, phi := range []string{"Canary", "Ada", "MRN-7", "SPR-7", "INV-1", password, c.token, "example.org"} {
			if strings.Contains(w.logged(), phi) {
				t.Errorf("the log shows %q", phi)
			}
		}
	})
}

func TestCreateAnswersAsGetDoes(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	user := `{"firstName":"Some","lastName":"One","emailAddress":"one@example.org","domainName":"openspecimen",
		"loginName":"one","instituteName":"Default Institute","type":"NONE","phoneNumber":5550100,"dnd":"true"}`
	created := c.do("POST", "/users", user)
	if created.status != http.StatusOK {
		t.Fatalf("%d %s", created.status, created.body)
	}
	golden(t, "user", created.body)
	if got := c.do("GET", "/users/3", ""); got.body != strings.TrimSuffix(created.body, "}")+`,"loginLocked":false}` {
		t.Errorf("GET answers %s, POST answered %s", got.body, created.body)
	}
	c.do("POST", "/users", user).refused(t, 400, "USER_DUP_EMAIL")
	c.do("POST", "/users", `{}`).refused(t, 400, "USER_FIRST_NAME_REQUIRED,USER_LAST_NAME_REQUIRED,USER_EMAIL_REQUIRED,USER_DOMAIN_NAME_REQUIRED,"+
		"USER_LOGIN_NAME_REQUIRED,USER_INST_REQUIRED")
	c.do("POST", "/sites", `{"name":"x"}`).refused(t, 400, "SITE_INSTITUTE_REQUIRED,SITE_TYPE_REQUIRED")
	c.do("POST", "/sites", `{"name":"x","coordinators":{"id":2}}`).refused(t, 400, "INVALID_REQUEST")
}

func TestWhoMaySetUp(t *testing.T) {
	w := newWorld(t)
	c := w.newUser("plain", "NONE")
	for path, body := range map[string]string{
		"/institutes": `{"name":"x"}`,
		"/sites":      `{"name":"x","instituteName":"Default Institute","type":"Repository"}`,
		"/users": `{"firstName":"a","lastName":"b","emailAddress":"x@example.org","domainName":"openspecimen","loginName":"x",
			"instituteName":"Default Institute"}`,
	} {
		c.do("POST", path, body).refused(t, 400, "RBAC_ADMIN_RIGHTS_REQUIRED")
	}
	t.Run("a password", func(t *testing.T) {
		for _, body := range []string{`{"userId":2,"newPassword":"Invented-9"}`, `{"userId":1,"newPassword":"Invented-9"}`} {
			c.do("PUT", "/users/password", body).refused(t, 400, "RBAC_ADMIN_RIGHTS_REQUIRED")
		}
		c.do("PUT", "/users/password", `{"newPassword":"Invented-9"}`).refused(t, 400, "USER_OLD_PASSWD_NOT_SPECIFIED")
		c.do("PUT", "/users/password", `{"oldPassword":"Invented-8","newPassword":"Invented-9"}`).refused(t, 400, "USER_INVALID_OLD_PASSWD")
		c.do("PUT", "/users/password", `{"oldPassword":"Invented-1","newPassword":"weak"}`).refused(t, 400, "USER_PASSWD_VIOLATES_RULES")
		admin := w.newUser("boss", "INSTITUTE")
		admin.do("PUT", "/users/password", `{"userId":2,"newPassword":"Invented-9"}`).refused(t, 400, "RBAC_ADMIN_RIGHTS_REQUIRED")
		if a := admin.do("PUT", "/users/password", `{"userId":"3","newPassword":"Invented-9"}`); a.body != "true" {
			t.Errorf("an institute administrator: %s", a.body)
		}
		w.signIn("plain", "Invented-9")
	})
}

func TestPatchUser(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	one := w.newUser("one", "NONE")
	path := "/users/3"
	one.do("PATCH", path, `{"type":"SUPER"}`).refused(t, 400, "RBAC_ADMIN_RIGHTS_REQUIRED")
	c.do("PATCH", "/users/99", `{"dnd":true}`).refused(t, 400, "USER_NOT_FOUND")
	c.do("PATCH", path, `{"dnd":"perhaps"}`).refused(t, 400, "INVALID_REQUEST")
	c.do("PATCH", path, `{"emailAddress":"admin@localhost"}`).refused(t, 400, "USER_DUP_EMAIL")
	c.do("PATCH", path, `{"emailAddress":""}`).refused(t, 400, "USER_EMAIL_REQUIRED")

	was := c.must("GET", path, "")
	got := c.must("PATCH", path, `{"dropFolder":true,"lastName":"Newname","id":77,"creationDate":0,"unknown":1}`)
	was["dropFolder"], was["lastName"] = true, "Newname"
	delete(was, "loginLocked") // which is told of one that is asked for
	if diff := cmp.Diff(was, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	one.must("GET", "/users/current-user", "")
	c.must("PATCH", path, `{"activityStatus":"Locked"}`)
	one.do("GET", "/users/current-user", "").refused(t, 401, "AUTH_INVALID_TOKEN")
	c.must("PATCH", path, `{"activityStatus":"Active"}`)
	one.do("GET", "/users/current-user", "").refused(t, 401, "AUTH_INVALID_TOKEN")
	w.signIn("one", password)
}

func TestRoles(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newStudy(c)
	c.must("POST", "/institutes", `{"name":"Elsewhere"}`)
	c.must("POST", "/sites", `{"name":"South","instituteName":"Elsewhere","type":"Repository"}`)
	c.must("POST", "/sites", `{"name":"East","instituteName":"Default Institute","type":"Repository"}`)
	tech := w.newUser("tech", "NONE")

	for body, code := range map[string]string{
		`{}`:                         "RBAC_ROLE_NAME_REQUIRED",
		`{"role":"Technician"}`:      "INVALID_REQUEST",
		`{"role":{"name":"Wizard"}}`: "RBAC_ROLE_NOT_FOUND",
		`{"role":{"name":"Technician"},"site":{"name":"Nowhere"}}`:                                        "SITE_NOT_FOUND",
		`{"role":{"name":"Technician"},"site":{"name":"South"}}`:                                          "RBAC_INV_SITE_USER",
		`{"role":{"name":"Technician"},"collectionProtocol":{"title":"Nothing"}}`:                         "CP_NOT_FOUND",
		`{"role":{"name":"Technician"},"collectionProtocol":{"id":99}}`:                                   "CP_NOT_FOUND",
		`{"role":{"name":"Technician"},"collectionProtocol":{"shortTitle":"inv"},"site":{"name":"East"}}`: "RBAC_INV_CP_SITE",
	} {
		c.do("POST", "/rbac/subjects/3/roles", body).refused(t, 400, code)
	}
	c.do("POST", "/rbac/subjects/99/roles", `{"role":{"name":"Technician"}}`).refused(t, 400, "USER_NOT_FOUND")
	tech.do("POST", "/rbac/subjects/3/roles", `{"role":{"name":"Coordinator"}}`).refused(t, 400, "RBAC_ADMIN_RIGHTS_REQUIRED")
	tech.do("GET", "/rbac/subjects/2/roles", "").refused(t, 400, "RBAC_ACCESS_DENIED")

	tech.do("GET", "/specimens/1", "").refused(t, 400, "RBAC_ACCESS_DENIED")
	a := c.do("POST", "/rbac/subjects/3/roles", `{"site":{"name":"North Biobank"},"collectionProtocol":{"shortTitle":"INV"},
		"role":{"name":"Technician"}}`)
	if a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	golden(t, "role", a.body)
	// Rights are read anew with each request.
	tech.must("GET", "/specimens/1", "")
	for _, path := range []string{"/rbac/subjects/3/roles", "/users/current-user-roles"} {
		if got := tech.do("GET", path, ""); got.body != "["+a.body+"]" {
			t.Errorf("%s answers %s", path, got.body)
		}
	}
	if got := c.do("GET", "/rbac/subjects/2/roles", ""); got.body != "[]" {
		t.Errorf("without roles: %s", got.body)
	}
}
