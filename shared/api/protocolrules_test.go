package api_test

import (
	"fmt"
	"testing"

	"aliquot/shared/biobank"
)

func TestSitesOfAProtocolAreChangedWhereOneMay(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newStudy(c)
	c.must("POST", "/institutes", `{"name":"Other Inst"}`)
	c.must("POST", "/sites", `{"name":"Other Site","instituteName":"Other Inst","type":"Repository"}`)
	c.must("POST", "/sites", `{"name":"Second","instituteName":"Default Institute","type":"Repository"}`)
	body := func(short, sites string) string {
		return fmt.Sprintf(`{"shortTitle":%q,"title":%q,"principalInvestigator":{"loginName":"admin"},"cpSites":[%s]}`, short, short, sites)
	}
	own := fmt.Sprintf("/collection-protocols/%d", idOf(c.must("POST", "/collection-protocols", body("OURS", `{"siteName":"North Biobank"}`))))
	shared := fmt.Sprintf("/collection-protocols/%d", idOf(c.must("POST", "/collection-protocols", body("BOTH", `{"siteName":"North Biobank"},{"siteName":"Other Site"}`))))
	boss := w.newUser("boss", "INSTITUTE")
	boss.do("PUT", own, body("OURS", `{"siteName":"North Biobank"},{"siteName":"Other Site"}`)).refused(t, 400, "CP_CREATOR_DOES_NOT_BELONG_CP_REPOS")
	boss.do("PUT", shared, body("BOTH", `{"siteName":"North Biobank"}`)).refused(t, 400, "CP_CREATOR_DOES_NOT_BELONG_CP_REPOS")
	boss.must("PUT", own, body("OURS", `{"siteName":"North Biobank"},{"siteName":"Second"}`))
	boss.must("PUT", shared, body("BOTH", `{"siteName":"Second"},{"siteName":"Other Site"}`))
}

func TestCountsOfWhatIsNotToBeSeen(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	c.must("POST", "/rbac/roles", `{"name":"Visitor","acl":[{"resourceName":"CollectionProtocol","operations":[{"operationName":"Read"}]},
		{"resourceName":"Visit","operations":[{"operationName":"Read"},{"operationName":"Delete"}]}]}`)
	visitor := w.newUser("visitor", "NONE", biobank.Grant{ID: 1, RoleID: roleID(c, "Visitor"), Role: "Visitor", ProtocolID: s.cp})
	for path, want := range map[string]string{
		fmt.Sprintf("/collection-protocols/%d", s.cp): "collection_protocol_registration", fmt.Sprintf("/visits/%d", s.visit): "specimen",
		fmt.Sprintf("/specimen-requirements/%d", s.requirement): "specimen",
	} {
		if got := column(c.list("GET", path+"/dependent-entities", ""), "name"); got != want {
			t.Errorf("%s has %s", path, got)
		}
		if got := visitor.list("GET", path+"/dependent-entities", ""); len(got) != 0 {
			t.Errorf("%s tells %v", path, got)
		}
	}
	if got := visitor.list("GET", fmt.Sprintf("/collection-protocol-events/%d/dependent-entities", s.event), ""); column(got, "name") != "visit" {
		t.Errorf("an event has %v", got)
	}
	visitor.do("GET", fmt.Sprintf("/specimen-requirements/%d/specimens-count", s.requirement), "").refused(t, 400, "RBAC_ACCESS_DENIED")
}
