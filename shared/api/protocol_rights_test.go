package api_test

import (
	"fmt"
	"strings"
	"testing"

	"aliquot/shared/biobank"
)

// protocolRows are the rows of what defines protocols besides their fields.
func protocolRows() []row {
	create := columns{"vvv--", "vvx--", "xxx--", "xxx--", "xxx--", "xxx--"}
	return []row{
		{pattern: "GET /collection-protocols/{id}/definition", kind: "cp", want: see},
		{pattern: "POST /collection-protocols/definition", body: `{"shortTitle":"{short}","title":"{short} study","principalInvestigator":{"id":2},"cpSites":[{"siteName":"{siteName}"}]}`, want: columns{"vvv", "vvx", "xxx", "xxx", "xxx", "xxx"}},
		{pattern: "POST /collection-protocols/merge", body: `{"srcCpShortTitle":"{short}","tgtCpShortTitle":"{short}"}`, want: columns{"vvv--", "xxxxx", "xxxxx", "xxxxx", "xxxxx", "xxxxx"}},
		{pattern: "POST /collection-protocols/{id}/copy", kind: "cp", body: `{"shortTitle":"{short}","title":"{short} study"}`, want: create},
		{pattern: "GET /collection-protocols/{id}/workflows", kind: "cp", want: see},
		{pattern: "PUT /collection-protocols/{id}/workflows", kind: "cp", body: `[]`, want: define},
		{pattern: "PATCH /collection-protocols/{id}/workflows", kind: "cp", body: `[]`, want: define},
		{pattern: "POST /collection-protocols/{id}/labels", kind: "cp", want: see},
		{pattern: "DELETE /collection-protocols/{id}/labels", kind: "cp", want: see},
		{pattern: "GET /collection-protocols/barcoding-enabled", want: anybody},
		{pattern: "GET /collection-protocols/list-config", query: "?listName=participant-list-view&cpId={cpID}", want: see},
		{pattern: "GET /collection-protocols/list-detail", query: "?listName=participant-list-view&cpId={cpID}", want: see},
		{pattern: "POST /collection-protocols/list-detail", query: "?listName=specimen-list-view&cpId={cpID}", body: "[]", want: see},
		{pattern: "GET /collection-protocols/list-size", query: "?listName=specimen-list-view&cpId={cpID}", want: see},
		{pattern: "POST /collection-protocols/list-size", query: "?listName=participant-list-view&cpId={cpID}", body: "[]", want: see},
		{pattern: "GET /collection-protocols/expression-values", query: "?listName=specimen-list-view&cpId={cpID}&expr=Specimen.type", want: see},

		{pattern: "POST /collection-protocol-events/{id}/copy", kind: "event", body: `{}`, want: define.with("v")},
		{pattern: "POST /specimen-requirements/{id}/copy", kind: "requirement", body: `{"anatomicSite":"x"}`, want: define.with("v")},
		{pattern: "POST /specimen-requirements/{id}/aliquots", kind: "requirement", body: `{"noOfAliquots":1,"qtyPerAliquot":-1}`, want: define.with("v")},
		{pattern: "POST /specimen-requirements/{id}/derived", kind: "requirement", body: `{}`, want: define.with("v")},
	}
}

// Whoever may not change a protocol is told so, and nothing of it, whichever member is sent.
func TestChangingAProtocolTellsNothingOfIt(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	c.must("POST", "/institutes", `{"name":"Elsewhere"}`)
	w.newUserOf("Elsewhere", "far", "NONE")
	stranger, reader := w.newUser("stranger", "NONE"), w.newUser("reader", "NONE", biobank.Grant{ID: 1, Role: "Technician"})
	for _, name := range []string{"HAS", "NOT"} {
		c.must("POST", "/distribution-protocols", fmt.Sprintf(`{"title":"%[1]s study","shortTitle":%[1]q,"instituteName":"Default Institute","principalInvestigator":{"id":2},"distributingSites":{"Elsewhere":[]}}`, name))
	}
	path := fmt.Sprintf("/collection-protocols/%d", s.cp)
	send := func(as caller, member string) answer {
		body := `{"shortTitle":"INV","title":"An invented study",` + member
		for name, value := range map[string]string{"principalInvestigator": `{"id":2}`, "cpSites": `[{"siteName":"North Biobank"}]`} {
			if !strings.Contains(member, name) {
				body += fmt.Sprintf(`,%q:%s`, name, value)
			}
		}
		return as.do("PUT", path, body+"}")
	}
	if a := send(c, `"distributionProtocols":["HAS"]`); a.status != 200 {
		t.Fatal(a.body)
	}
	for _, member := range []string{
		`"distributionProtocols":["HAS"]`, `"distributionProtocols":["NOT"]`, `"distributionProtocols":["NONE"]`,
		`"principalInvestigator":{"loginName":"far"}`, `"coordinators":[{"loginName":"far"}]`, `"cpSites":[{"siteName":"Nowhere"}]`,
		`"barcodingEnabled":true,"specimenBarcodeFmt":"%SYS_UID%"`, `"specimenLabelFmt":"%VISIT_UID%"`, `"activityStatus":"Disabled"`,
		`"extensionDetail":{"attrs":[{"name":"none","value":"1"}]}`, `"startDate":"2026-01-02","endDate":"2026-01-01"`,
	} {
		for _, as := range []caller{stranger, reader} {
			send(as, member).refused(t, 400, "RBAC_ACCESS_DENIED")
		}
		if a := send(stranger, member); strings.Contains(a.body, "INV") {
			t.Errorf("%s: %s", member, a.body)
		}
	}
}
