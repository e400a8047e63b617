package api_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aliquot/infra/local/localtest"
	"aliquot/shared/biobank"
)

// same compares objects but for the members that are expected to differ.
func same(t *testing.T, what string, was, got map[string]any, change map[string]any) {
	t.Helper()
	want := map[string]any{}
	for k, v := range was {
		want[k] = v
	}
	for k, v := range change {
		want[k] = v
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestWholeObjectsAreReplaced(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	c.must("POST", "/institutes", `{"name":"Other"}`)

	got := c.must("PUT", "/institutes/2", `{"id":1,"name":"Others","createdBy":7}`)
	same(t, "institute", map[string]any{"id": 2.0, "name": "Others", "activityStatus": "Active", "usersCount": 0.0}, got, nil)
	c.do("PUT", "/institutes/99", `{"name":"Others"}`).refused(t, 400, "INSTITUTE_NOT_FOUND")
	c.do("PUT", "/institutes/2", `{"name":"default institute"}`).refused(t, 400, "INSTITUTE_DUP_NAME")
	c.do("PUT", "/institutes/2", `{}`).refused(t, 400, "INSTITUTE_NAME_REQUIRED")
	c.must("POST", "/institutes", `{"name":"Other"}`) // the old name is free

	was := c.must("GET", "/sites/1", "")
	same(t, "site", was, c.must("PUT", "/sites/1", `{"name":"North Biobank","instituteName":"Default Institute","type":"Laboratory"}`), map[string]any{
		"type": "Laboratory", "code": nil, "address": nil, "coordinators": []any{},
	})
	c.do("PUT", "/sites/1", `{"name":"North Biobank","type":"Laboratory"}`).refused(t, 400, "SITE_INSTITUTE_REQUIRED")
	c.do("PUT", "/sites/1", `{"name":"North Biobank","type":"Laboratory","instituteName":"Others"}`).refused(t, 400, "SITE_INVALID_SITE_INSTITUTE")
	same(t, "patched site", c.must("GET", "/sites/1", ""), c.must("PATCH", "/sites/1", `{"code":"X","id":9}`), map[string]any{"code": "X"})
	if got := column(c.list("PUT", "/sites/bulk-update", `{"ids":[1],"detail":{"address":"Here"}}`), "address"); got != "Here" {
		t.Errorf("bulk update: %s", got)
	}
	c.do("PUT", "/sites/bulk-update", `{"ids":[1,99],"detail":{"address":"There"}}`).refused(t, 400, "SITE_NOT_FOUND")
	if got := c.must("GET", "/sites/1", "")["address"]; got != "Here" {
		t.Errorf("a refused bulk update left %v", got)
	}

	boss := w.newUser("boss", "SUPER", biobank.Grant{ID: 1, Role: "Technician"})
	user := c.must("PUT", "/users/3", `{"firstName":"B","lastName":"Boss","emailAddress":"boss@example.org","domainName":"openspecimen","loginName":"boss","instituteName":"Default Institute"}`)
	if user["type"] != "NONE" {
		t.Errorf("without a type the user is %v", user["type"])
	}
	if got := c.list("GET", "/rbac/subjects/3/roles", ""); len(got) != 1 {
		t.Errorf("the roles are gone with a change of the user: %v", got)
	}
	boss.do("PUT", "/users/3", `{"type":"SUPER"}`).refused(t, 400, "RBAC_ADMIN_RIGHTS_REQUIRED")
	c.do("PUT", "/users/3/activity-status", `{"activityStatus":"Sleeping"}`).refused(t, 400, "ACTIVITY_STATUS_INVALID")
	c.must("PUT", "/users/3/activity-status", `{"activityStatus":"Locked"}`)
	boss.do("GET", "/users/current-user", "").refused(t, 401, "AUTH_INVALID_TOKEN")

	cp := c.must("GET", "/collection-protocols/1", "")
	changed := c.must("PUT", "/collection-protocols/1", `{"id":77,"shortTitle":"INV","title":"Renamed","principalInvestigator":{"id":2},"cpSites":[{"siteName":"North Biobank"}],
		"manualPpidEnabled":true,"specimenCentric":true,"consentsWaived":true}`)
	if changed["title"] != "Renamed" || changed["specimenCentric"] != cp["specimenCentric"] || changed["consentsWaived"] != false || changed["code"] != nil || changed["visitNameFmt"] != nil {
		t.Errorf("protocol is %v", changed)
	}
	c.do("PUT", "/collection-protocols/1", `{"shortTitle":"INV","title":"x"}`).refused(t, 400, "CP_PI_REQUIRED,CP_REPOSITORIES_REQUIRED")
	c.do("PUT", "/collection-protocols/1", `{"shortTitle":"INV","title":"x","principalInvestigator":{"id":2}}`).refused(t, 400, "CP_REPOSITORIES_REQUIRED")
	c.must("POST", "/sites", `{"name":"Spare","instituteName":"Default Institute","type":"Repository"}`)
	c.do("PUT", "/collection-protocols/1", `{"shortTitle":"INV","title":"x","principalInvestigator":{"id":2},"cpSites":[{"siteName":"Spare"}]}`).refused(t, 400, "CP_USED_SITES")

	event := c.must("PUT", "/collection-protocol-events/1", `{"eventLabel":"Start","eventPoint":-1,"eventPointUnit":"weeks","cpShortTitle":"INV"}`)
	if event["eventLabel"] != "Start" || event["eventPoint"] != -1.0 || event["code"] != nil || event["defaultSite"] != "North Biobank" && event["defaultSite"] != nil {
		t.Errorf("event is %v", event)
	}
	c.must("POST", "/collection-protocol-events", `{"eventLabel":"Baseline","cpShortTitle":"INV"}`) // the old label is free
	c.do("PUT", "/collection-protocol-events/1", `{"eventLabel":"baseline"}`).refused(t, 400, "CPE_DUP_LABEL")
	c.do("PUT", "/collection-protocol-events/1", `{"eventLabel":"x","eventPoint":1}`).refused(t, 400, "CPE_POINT_UNIT_REQUIRED")
	c.do("PUT", "/collection-protocol-events/99", `{"eventLabel":"x"}`).refused(t, 400, "CPE_NOT_FOUND")

	req := `"specimenClass":"Fluid","type":"%s","anatomicSite":"Not Specified","laterality":"Not Specified","pathology":"Not Specified",
		"storageType":"Virtual","collectionProcedure":"Not Specified","collectionContainer":"Not Specified"`
	whole := c.must("PUT", "/specimen-requirements/1", `{"code":"NEW",`+fmt.Sprintf(req, "Whole Blood")+`}`)
	if whole["code"] != "NEW" || whole["initialQty"] != nil || whole["collector"] != nil || whole["eventId"] != 1.0 {
		t.Errorf("requirement is %v", whole)
	}
	c.do("PUT", "/specimen-requirements/1", `{`+fmt.Sprintf(req, "Bile")+`}`).refused(t, 400, "SR_CANNOT_CHANGE_CLASS_OR_TYPE")
	c.must("PUT", "/collection-protocol-events/1", `{"eventLabel":"Start","activityStatus":"Closed"}`)
	if got := c.must("GET", "/specimen-requirements/1", "")["activityStatus"]; got != "Closed" {
		t.Errorf("a requirement of a closed event is %v", got)
	}
	c.do("PUT", "/collection-protocol-events/1", `{"eventLabel":"Again","activityStatus":"Closed"}`).refused(t, 400, "CPE_CLOSED")
	c.must("PUT", "/collection-protocol-events/1", `{"eventLabel":"Start","activityStatus":"Active"}`)

	visit := c.must("PUT", "/visits/1", fmt.Sprintf(`{"cprId":%d,"site":"North Biobank","status":"Complete"}`, s.registration))
	if visit["eventId"] != nil || visit["comments"] != nil || visit["name"] != "INV-1.B.1" || !localtest.OnBinaries() && visit["visitDate"] != float64(w.clock().UnixMilli()) {
		t.Errorf("visit is %v", visit)
	}
	c.do("PUT", "/visits/1", `{"cprId":99,"site":"North Biobank"}`).refused(t, 400, "CPR_M_NOT_FOUND")
	if visit := c.must("PUT", "/visits/1", `{}`); visit["site"] != "North Biobank" { // that of the record number
		t.Errorf("visit is %v", visit)
	}
	c.do("PUT", "/visits/99", `{"name":"INV-1.B.1"}`).refused(t, 400, "VISIT_NOT_FOUND")
}

func TestPatchesKeepWhatWasNotSent(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newStudy(c)
	const reg, spec, kid = "/collection-protocol-registrations/1", "/specimens/1", "/specimens/2"

	was := c.must("GET", reg, "")
	was["participant"].(map[string]any)["registeredCps"] = []any{} // shown by GET alone
	person := func(change map[string]any) map[string]any {
		p := map[string]any{}
		for k, v := range was["participant"].(map[string]any) {
			p[k] = v
		}
		for k, v := range change {
			p[k] = v
			if v == nil {
				delete(p, k)
			}
		}
		return p
	}
	got := c.must("PUT", reg, `{"id":5,"barcode":"CB-1","participant":{"id":"1","firstName":"","pmis":[]}}`)
	same(t, "registration", was, got, map[string]any{"barcode": "CB-1", "participant": person(map[string]any{"firstName": nil, "pmis": []any{}})})
	c.do("PUT", reg, `{"participant":{"id":2}}`).refused(t, 400, "PARTICIPANT_NOT_FOUND")
	c.do("PUT", reg, `{"registrationDate":""}`).refused(t, 400, "CPR_REG_DATE_REQUIRED")
	c.do("PUT", "/collection-protocol-registrations/99", `{"cpId":1,"ppid":"INV-1"}`).refused(t, 400, "CPR_M_NOT_FOUND")
	c.do("POST", "/collection-protocol-registrations/", `{"cpId":1,"ppid":"X","registrationDate":"2022-01-01"}`).refused(t, 400, "CPR_PARTICIPANT_DETAIL_REQUIRED")
	c.do("POST", "/collection-protocol-registrations/", `{"cpId":1,"ppid":"INV-1","registrationDate":"2022-01-01","participant":{}}`).refused(t, 400, "CPR_DUP_PPID")
	if got := c.must("POST", "/collection-protocol-registrations/", `{"cpId":"1","ppid":3457,"registrationDate":"2022-01-01","participant":{}}`)["ppid"]; got != "3457" {
		t.Errorf("a PPID that is a number becomes %v", got)
	}

	was = c.must("GET", spec, "")
	got = c.must("PUT", spec, `{"comments":"seen","concentration":"1.5","availableQty":7,"createdBy":{"id":1},"cpId":1,"lineage":null}`)
	same(t, "specimen", was, got, map[string]any{"comments": "seen", "concentration": 1.5, "availableQty": 7.0})
	// A client sends back what it was shown, a child with the events of its ancestor.
	child := c.do("GET", kid, "").body
	if a := c.do("PUT", kid, child); a.body != child {
		t.Errorf("sent back as shown: %s, was %s", a.body, child)
	}
	for body, code := range map[string]string{
		`{"availableQty":99}`:                                 "SPECIMEN_AVBL_QTY_GT_INIT_QTY",
		`{"label":""}`:                                        "SPECIMEN_LABEL_REQUIRED",
		`{"label":"INV-1-S-1"}`:                               "SPECIMEN_DUP_LABEL",
		`{"lineage":"Aliquot"}`:                               "SPECIMEN_CANNOT_CHG_LINEAGE,SPECIMEN_INVALID_LINEAGE",
		`{"visitId":9}`:                                       "SPECIMEN_VISIT_CHG_NOT_ALLOWED",
		`{"type":"Unheard of"}`:                               "SPECIMEN_INVALID_SPECIMEN_TYPE",
		`{"storageLocation":{"name":"Freezer"}}`:              "STORAGE_CONTAINER_NOT_FOUND",
		`{"initialQty":"a lot"}`:                              "INVALID_REQUEST",
		`{"activityStatus":"Gone"}`:                           "ACTIVITY_STATUS_INVALID",
		`{"externalIds":[{"name":"x"}]}`:                      "SPECIMEN_EXT_ID_NO_NAME_VALUE",
		`{"collectionEvent":{"user":{"loginName":"nobody"}}}`: "USER_NOT_FOUND",
	} {
		c.do("PUT", spec, body).refused(t, 400, code)
	}
	if got := column(c.list("PUT", "/specimens", `[{"id":1,"imageId":"I-1"},{"id":"2","imageId":"I-2"}]`), "imageId"); got != "I-1,I-2" {
		t.Errorf("bulk change: %s", got)
	}
	c.do("PUT", "/specimens", `[{"id":1,"imageId":"X"},{"id":2,"label":"INV-1-S"}]`).refused(t, 400, "SPECIMEN_DUP_LABEL")
	c.do("PUT", "/specimens", `[{"id":1,"label":"Twin"},{"id":2,"label":"Twin"}]`).refused(t, 400, "SPECIMEN_DUP_LABEL")
	c.do("PUT", "/specimens", `[{"imageId":"X"}]`).refused(t, 400, "SPECIMEN_ID_REQUIRED")
	c.do("PUT", "/specimens", `{"id":1}`).refused(t, 400, "INVALID_REQUEST")
	c.do("PUT", "/specimens", `[`+strings.TrimSuffix(strings.Repeat(`{"id":1},`, 101), ",")+`]`).refused(t, 400, "SPECIMEN_UPDATE_LIMIT_MAXED")
	if got := column(c.list("PUT", "/specimens/bulk-update", `{"ids":[2,1],"detail":{"imageId":"I"}}`), "imageId"); got != "I,I" {
		t.Errorf("bulk update: %s", got)
	}
	if got := c.must("PUT", "/specimens/2/status", `{"status":"Closed","reason":"used up"}`); got["activityStatus"] != "Closed" {
		t.Errorf("closed: %v", got["activityStatus"])
	}
	if got := column(c.list("PUT", "/specimens/status", `[{"label":"INV-1-S-1","status":"Active"}]`), "availabilityStatus"); got != "Available" {
		t.Errorf("reopened: %v", got)
	}
	c.do("PUT", "/specimens/2/status", `{}`).refused(t, 400, "SPECIMEN_INVALID_DISPOSE_STATUS")
}

func TestDelete(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	w.newPeople(c, s, 2)
	// named is whether a name ends with the moment of its deletion, by which it is free again.
	named := func(got any, name string) bool {
		at, ok := strings.CutPrefix(fmt.Sprint(got), name+"_")
		return ok && (at == strconv.FormatInt(w.clock().UnixMilli(), 10) || localtest.OnBinaries() && timestamp.MatchString(at))
	}

	for path, code := range map[string]string{
		"/institutes/1": "INSTITUTE_REF_ENTITY_FOUND", "/sites/1": "SITE_REF_ENTITY_FOUND", "/users/2": "USER_REF_ENTITY_FOUND",
		"/users/1": "USER_PERMISSION_DENIED", "/collection-protocols/1": "CP_REF_ENTITY_FOUND",
		"/collection-protocol-events/1": "CPE_HAS_VISITS", "/specimen-requirements/1": "SR_HAS_SPECIMENS",
		"/collection-protocol-registrations/1": "PARTICIPANT_REF_ENTITY_FOUND", "/visits/1": "SPECIMEN_REF_ENTITY_FOUND",
		"/specimens/1": "SPECIMEN_REF_ENTITY_FOUND", "/rbac/roles/1": "COMMON_INVALID_INPUT",
	} {
		c.do("DELETE", path, "").refused(t, 400, code)
	}
	for path, want := range map[string]string{
		"/institutes/1": "site:1,user:2", "/sites/1": "collection_protocol:1", "/users/2": "collection_protocol:1,site:1,specimen:2,specimen_requirement:1", "/collection-protocols/1": "collection_protocol_registration:3",
		"/collection-protocol-events/1": "visit:3", "/specimen-requirements/1": "specimen:2",
		"/collection-protocol-registrations/1": "specimen:2,visit:1", "/visits/1": "specimen:2", "/specimens/1": "specimen:1", "/specimens/2": "",
	} {
		var got []string
		for _, d := range c.list("GET", path+"/dependent-entities", "") {
			got = append(got, fmt.Sprintf("%v:%v", d["name"], d["count"]))
		}
		if strings.Join(got, ",") != want {
			t.Errorf("%s depends on %v, want %s", path, got, want)
		}
	}
	c.do("DELETE", "/specimens/1?forceDelete=perhaps", "").refused(t, 400, "INVALID_REQUEST")
	if got := c.must("GET", "/specimen-requirements/1", "")["activityStatus"]; got != "Active" {
		t.Error("a refused deletion changed something")
	}

	t.Run("a specimen", func(t *testing.T) {
		got := c.must("DELETE", "/specimens/2?reason=spilt", "")
		if !named(got["label"], "INV-1-S-1") || got["activityStatus"] != "Disabled" {
			t.Errorf("deleted: %v %v", got["label"], got["activityStatus"])
		}
		c.do("GET", "/specimens/2", "").refused(t, 400, "SPECIMEN_NOT_FOUND")
		c.do("DELETE", "/specimens/2", "").refused(t, 400, "SPECIMEN_NOT_FOUND")
		c.must("POST", "/specimens", `{"parentId":1,"label":"INV-1-S-1","lineage":"Aliquot","initialQty":1}`)
		c.list("DELETE", "/specimens?id=1", "") // with its child
		c.do("GET", "/specimens/1", "").refused(t, 400, "SPECIMEN_NOT_FOUND")
	})
	t.Run("a visit and its specimens", func(t *testing.T) {
		got := c.must("DELETE", "/visits/2?forceDelete=true&reason=twice", "")
		if !named(got["name"], "P-01.B.1") {
			t.Errorf("deleted: %v", got["name"])
		}
		if a := c.do("HEAD", "/specimens?label=L-01", ""); a.status != 400 {
			t.Error("its specimen is still there")
		}
	})
	t.Run("a registration by its status", func(t *testing.T) {
		c.do("PUT", "/collection-protocol-registrations/3", `{"activityStatus":"Disabled"}`).refused(t, 400, "PARTICIPANT_REF_ENTITY_FOUND")
		got := c.must("PUT", "/collection-protocol-registrations/3", `{"activityStatus":"Disabled","forceDelete":true}`)
		if !named(got["ppid"], "P-02") || got["participant"].(map[string]any)["activityStatus"] != "Disabled" {
			t.Errorf("deleted: %v", got)
		}
		c.do("GET", "/participants/3", "").refused(t, 400, "PARTICIPANT_NOT_FOUND")
		c.must("POST", "/collection-protocol-registrations/", `{"cpId":1,"ppid":"P-02","registrationDate":"2022-01-01","participant":{"uid":"U-2"}}`)
	})
	t.Run("a definition", func(t *testing.T) {
		event := c.must("POST", "/collection-protocol-events", `{"eventLabel":"Extra","code":"E","cpShortTitle":"INV"}`)
		path := fmt.Sprintf("/collection-protocol-events/%v", event["id"])
		if got := c.must("DELETE", path, ""); !named(got["eventLabel"], "Extra") {
			t.Errorf("deleted: %v", got)
		}
		c.do("GET", path, "").refused(t, 400, "CPE_NOT_FOUND")
		c.must("POST", "/collection-protocol-events", `{"eventLabel":"Extra","code":"E","cpShortTitle":"INV"}`)
		if got := c.do("GET", "/specimen-requirements/1/specimens-count", "").body; got != "0" {
			t.Errorf("counted %s", got)
		}
		c.must("DELETE", "/specimen-requirements/1", "")
		c.do("GET", "/specimen-requirements/1", "").refused(t, 400, "SR_NOT_FOUND")
	})
	t.Run("a protocol with participants", func(t *testing.T) {
		w.newPeopleOf(c, 30)
		got := c.must("DELETE", "/collection-protocols/1?forceDelete=true&reason=over", "")
		if got["completed"] != true || !named(got["entity"].(map[string]any)["shortTitle"], "INV") {
			t.Errorf("deleted: %v", got)
		}
		c.do("GET", "/collection-protocols/1", "").refused(t, 400, "CP_NOT_FOUND")
		c.do("GET", "/collection-protocol-events/1", "").refused(t, 400, "CPE_NOT_FOUND")
		for _, label := range []string{"Z-00", "Z-29"} {
			if a := c.do("HEAD", "/specimens?label="+label, ""); a.status != 400 {
				t.Errorf("specimen %s is still there", label)
			}
		}
		c.must("POST", "/collection-protocols", `{"shortTitle":"INV","title":"An invented study","principalInvestigator":{"id":2},"cpSites":[{"siteName":"North Biobank"}]}`)
		got = c.must("DELETE", "/collection-protocols?id=2", "")
		if got["completed"] != true || len(got["entities"].([]any)) != 1 {
			t.Errorf("deleted: %v", got)
		}
	})
	t.Run("small sets", func(t *testing.T) {
		if got := c.must("DELETE", "/sites/1?close=true", ""); got["activityStatus"] != "Closed" || got["name"] != "North Biobank" {
			t.Errorf("closed: %v", got)
		}
		c.must("PATCH", "/sites/1", `{"coordinators":[]}`)
		if got := c.must("DELETE", "/sites/1", ""); !named(got["name"], "North Biobank") || !named(got["code"], "NB") {
			t.Errorf("deleted: %v", got)
		}
		gone := w.newUser("gone", "NONE")
		c.must("DELETE", "/users/3", "")
		gone.do("GET", "/users/current-user", "").refused(t, 401, "AUTH_INVALID_TOKEN")
		w.newUser("gone", "NONE") // login and address are free
		c.must("POST", "/institutes", `{"name":"`+strings.Repeat("x", 255)+`"}`)
		c.do("DELETE", "/institutes?id=1&id=2", "").refused(t, 400, "INSTITUTE_REF_ENTITY_FOUND")
		if got := c.list("DELETE", "/institutes?id=2", ""); len(got[0]["name"].(string)) != 255 {
			t.Errorf("deleted: %v", got)
		}
	})
	c.do("DELETE", "/specimens", "").refused(t, 400, "INVALID_REQUEST")
	c.do("DELETE", "/specimens?id=x", "").refused(t, 400, "INVALID_REQUEST")
}

// newPeopleOf gives the participant P-02 a visit with n specimens: more than one transaction can delete.
func (w *world) newPeopleOf(c caller, n int) {
	w.t.Helper()
	visit := c.must("POST", "/visits", `{"cpId":1,"ppid":"P-02","name":"P-02.B.9","eventLabel":"Baseline","site":"North Biobank"}`)
	for i := range n {
		c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%v,"label":"Z-%02d","type":"Whole Blood","initialQty":1}`, visit["id"], i))
	}
}

func TestMakeRoles(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newStudy(c)
	plain := w.newUser("plain", "NONE")

	role := c.must("POST", "/rbac/roles", `{"name":"Reader","description":"reads","acl":[{"resourceName":"Specimen","operations":[{"operationName":"Update"}]},
		{"resourceName":"Specimen","operations":[{"operationName":"Read"},{"operationName":"Read"}]}]}`)
	golden(t, "stored-role", c.do("GET", fmt.Sprintf("/rbac/roles/%v", role["id"]), "").body)
	for body, code := range map[string]string{
		`{}`: "RBAC_ROLE_NAME_REQUIRED", `{"name":"reader"}`: "RBAC_DUP_ROLE_NAME", `{"name":"technician"}`: "RBAC_DUP_ROLE_NAME",
		`{"name":"x","acl":[{"resourceName":"Moon"}]}`:                                           "RBAC_RESOURCE_NOT_FOUND",
		`{"name":"x","acl":[{"resourceName":"Visit","operations":[{"operationName":"Paint"}]}]}`: "RBAC_OPERATION_NOT_FOUND",
	} {
		c.do("POST", "/rbac/roles", body).refused(t, 400, code)
	}
	plain.do("POST", "/rbac/roles", `{"name":"Mine"}`).refused(t, 400, "RBAC_ADMIN_RIGHTS_REQUIRED")
	plain.do("GET", "/specimens/1", "").refused(t, 400, "RBAC_ACCESS_DENIED")

	grant := c.must("POST", "/rbac/subjects/3/roles", `{"role":{"name":"Reader"}}`)
	plain.must("GET", "/specimens/1", "")
	plain.do("PUT", "/specimens/1", `{"comments":"x"}`).refused(t, 400, "RBAC_ACCESS_DENIED")
	// A right that is added to the role counts at once, and a new name does not lose it.
	path := fmt.Sprintf("/rbac/roles/%v", role["id"])
	c.must("PUT", path, `{"name":"Editor","acl":[{"resourceName":"Specimen","operations":[{"operationName":"Read"},{"operationName":"Update"}]}]}`)
	plain.must("PUT", "/specimens/1", `{"comments":"x"}`)
	c.do("DELETE", path, "").refused(t, 400, "RBAC_REF_ENTITY_FOUND")

	of := fmt.Sprintf("/rbac/subjects/3/roles/%v", grant["id"])
	plain.do("PUT", of, `{"role":{"name":"Coordinator"}}`).refused(t, 400, "RBAC_ADMIN_RIGHTS_REQUIRED")
	c.do("PUT", of, `{"role":{"name":"Wizard"}}`).refused(t, 400, "RBAC_ROLE_NOT_FOUND")
	c.do("PUT", "/rbac/subjects/3/roles/99", `{"role":{"name":"Coordinator"}}`).refused(t, 400, "RBAC_SUBJECT_ROLE_NOT_FOUND")
	if got := c.must("PUT", of, `{"role":{"name":"Researcher"},"site":{"name":"North Biobank"}}`); got["id"] != grant["id"] || got["role"].(map[string]any)["name"] != "Researcher" {
		t.Errorf("changed: %v", got)
	}
	c.must("DELETE", path, "")
	c.do("GET", path, "").refused(t, 400, "RBAC_ROLE_NOT_FOUND")
	c.must("DELETE", of, "")
	plain.do("GET", "/specimens/1", "").refused(t, 400, "RBAC_ACCESS_DENIED")
	if got := c.list("GET", "/rbac/subjects/3/roles", ""); len(got) != 0 {
		t.Errorf("still has %v", got)
	}
}

func TestAudit(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	w.wait(time.Minute)
	c.must("PUT", "/collection-protocol-registrations/1", `{"participant":{"lastName":"Second-Canary"},"opComments":"a typing slip"}`)
	w.wait(time.Minute)
	c.must("PUT", "/visits/1", `{"name":"INV-1.B.1","site":"North Biobank","eventLabel":"Baseline","comments":"Third-Canary","visitDate":1614171600000}`)
	type history struct {
		Verified bool
		Entries  []struct {
			Version       int
			Time          int64
			User          struct{ LoginName string }
			Reason, From  string
			Source        string
			Before, After map[string]any
		}
	}
	read := func(c caller, path string) (h history) {
		t.Helper()
		a := c.do("GET", path, "")
		mustDecode(t, a, &h)
		return h
	}
	h := read(c, "/collection-protocol-registrations/1/audit")
	if !h.Verified || len(h.Entries) != 2 {
		t.Fatalf("got %+v", h)
	}
	made, changed := h.Entries[0], h.Entries[1]
	if name := made.After["participant"].(map[string]any)["lastName"]; made.Version != 1 || name != "Canary" || made.User.LoginName != "admin" {
		t.Errorf("creation: %+v", made)
	}
	if name := changed.After["participant"].(map[string]any)["lastName"]; name != "Second-Canary" || changed.Reason != "a typing slip" || changed.From == "" ||
		!localtest.OnBinaries() && changed.Time != w.clock().Add(-time.Minute).UnixMilli() || changed.Before["participant"].(map[string]any)["lastName"] != "Canary" {
		t.Errorf("change: %+v", changed)
	}
	tech := w.newUser("tech", "NONE", biobank.Grant{ID: 1, Role: "Technician", ProtocolID: s.cp})
	for _, path := range []string{"/collection-protocol-registrations/1/audit", "/visits/1/audit"} {
		if a := tech.do("GET", path, ""); a.status != 200 || strings.Contains(a.body, "Canary") || strings.Contains(a.body, "SPR-7") {
			t.Errorf("a technician sees %s", a.body)
		}
	}
	for _, path := range []string{"/users/2/audit", "/sites/1/audit", "/institutes/1/audit"} {
		tech.do("GET", path, "").refused(t, 400, "RBAC_ACCESS_DENIED")
		if h := read(c, path); !h.Verified || len(h.Entries) == 0 {
			t.Errorf("%s: %+v", path, h)
		}
	}
	stranger := w.newUser("stranger", "NONE")
	stranger.do("GET", "/specimens/1/audit", "").refused(t, 400, "RBAC_ACCESS_DENIED")
	c.must("POST", "/institutes", `{"name":"Made by a person","opComments":"for the test"}`)
	if h := read(c, "/institutes/2/audit"); !h.Verified || h.Entries[0].From == "" || len(h.Entries[0].Source) != 32 || h.Entries[0].Reason != "for the test" {
		t.Errorf("a creation: %+v", h)
	}
	c.must("DELETE", "/specimens/1?forceDelete=true&reason=spilt", "")
	if h := read(c, "/specimens/1/audit"); !h.Verified || h.Entries[len(h.Entries)-1].Reason != "spilt" {
		t.Errorf("a deleted specimen: %+v", h)
	}
	c.do("GET", "/specimens/99/audit", "").refused(t, 400, "SPECIMEN_NOT_FOUND")
}

// What is changed past the audit shows: a value, who created it, or an entry that was left out.
func TestAuditTellsOfForgery(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newStudy(c)
	c.must("POST", "/sites", `{"name":"East","instituteName":"Default Institute","type":"Laboratory"}`)
	c.must("PATCH", "/sites/1", `{"address":"first"}`)
	c.must("PATCH", "/sites/1", `{"address":"second"}`)
	verified := func(path string) any { return c.must("GET", path+"/audit", "")["verified"] }
	for _, path := range []string{"/sites/1", "/sites/2", "/specimens/1", "/specimens/2"} {
		if verified(path) != true {
			t.Errorf("%s: what nobody forged does not hold", path)
		}
	}
	forge := func(id int64, change func(*biobank.Record)) {
		t.Helper()
		key := biobank.SetKey(biobank.Site, id)
		recs, err := w.registry.Fetch(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		forged := *recs[key]
		forged.Version++
		change(&forged)
		if _, err := w.registry.Store.Transact(t.Context(), []biobank.Write{{Kind: biobank.UpdateRecord, Record: &forged}}); err != nil {
			t.Fatal(err)
		}
	}
	forge(1, func(*biobank.Record) {})
	if verified("/sites/1") != false {
		t.Error("a version without an entry is not told")
	}
	forge(2, func(r *biobank.Record) { r.Doc = []byte(strings.Replace(string(r.Doc), "East", "Forged", 1)) })
	if got := c.must("GET", "/sites/2", "")["name"]; got != "Forged" || verified("/sites/2") != false {
		t.Errorf("%v is not told", got)
	}
}
