package api_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestWhoIsNamedCannotBeDeleted: each way of naming a site or a user keeps it from being deleted, and is told, until nothing
// names it any more.
func TestWhoIsNamedCannotBeDeleted(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	c.must("POST", "/distribution-protocols", `{"title":"Give","shortTitle":"GIVE","instituteName":"Default Institute","principalInvestigator":{"id":2},"distributingSites":{"Default Institute":[]}}`)
	const req = `"name":"Blood","specimenClass":"Fluid","type":"Whole Blood","anatomicSite":"Not Specified","laterality":"Not Specified","pathology":"Not Specified","storageType":"Virtual","collectionProcedure":"Not Specified","collectionContainer":"Not Specified"`
	visit := fmt.Sprintf("/visits/%d", s.visit)
	specimen := fmt.Sprintf("/specimens/%d", s.specimen)
	for i, tt := range []struct {
		kind, dependent string
		method, path    string
		names, not      string // bodies, {} stands for the site or the user's id
	}{
		{"site", "visit", "PUT", visit, `{"name":"INV-1.B.1","site":"{}"}`, `{"name":"INV-1.B.1","site":"North Biobank"}`},
		{"site", "collection_protocol_event", "PUT", fmt.Sprintf("/collection-protocol-events/%d", s.event), `{"eventLabel":"Baseline","defaultSite":"{}"}`, `{"eventLabel":"Baseline"}`},
		{"site", "participant_medical_identifier", "PUT", fmt.Sprintf("%s/%d", regs, s.registration), `{"participant":{"pmis":[{"siteName":"{}","mrn":"7"}]}}`, `{"participant":{"pmis":[]}}`},
		{"site", "storage_container", "POST", "/storage-containers", `{"name":"Box","siteName":"{}","noOfRows":2,"noOfColumns":2}`, "DELETE /storage-containers/"},
		{"site", "shipment", "POST", "/shipments", `{"name":"Parcel","type":"SPECIMEN","status":"Pending","sendingSite":"North Biobank","receivingSite":"{}"}`, "DELETE /shipments/"},
		{"site", "distribution_order", "POST", "/distribution-orders", `{"name":"Order","distributionProtocol":{"id":1},"requester":{"id":2},"siteName":"{}","status":"PENDING"}`, "DELETE /distribution-orders/"},
		{"user", "specimen", "PUT", specimen, `{"collectionEvent":{"user":{"id":{}}}}`, `{"collectionEvent":{"user":{"id":2}}}`},
		{"user", "specimen", "PUT", specimen, `{"receivedEvent":{"user":{"id":{}}}}`, `{"receivedEvent":{"user":{"id":2}}}`},
		{"user", "visit", "PUT", visit, `{"name":"INV-1.B.1","status":"Missed Collection","missedBy":{"id":{}}}`, `{"name":"INV-1.B.1","status":"Missed Collection"}`},
		{"user", "specimen_requirement", "PUT", fmt.Sprintf("/specimen-requirements/%d", s.requirement), fmt.Sprintf(`{"eventId":%d,%s,"receiver":{"id":{}}}`, s.event, req), fmt.Sprintf(`{"eventId":%d,%s}`, s.event, req)},
		{"user", "collection_protocol_registration", "PUT", fmt.Sprintf("%s/%d/consents", regs, s.registration), `{"witness":{"id":{}}}`, `{}`},
		{"user", "distribution_order", "POST", "/distribution-orders", `{"name":"Order 2","distributionProtocol":{"id":1},"requester":{"id":{}},"status":"PENDING"}`, "DELETE /distribution-orders/"},
		{"user", "shipment", "POST", "/shipments", `{"name":"Parcel 2","type":"SPECIMEN","status":"Pending","sendingSite":"North Biobank","receivingSite":"North Biobank","notifyUsers":[{"id":{}}]}`, "DELETE /shipments/"},
	} {
		t.Run(tt.kind+" of "+tt.dependent, func(t *testing.T) {
			path, is := "", ""
			if tt.kind == "site" {
				is = fmt.Sprintf("Site %d", i)
				made := c.must("POST", "/sites", fmt.Sprintf(`{"name":%q,"instituteName":"Default Institute","type":"Laboratory"}`, is))
				path = fmt.Sprintf("/sites/%v", made["id"])
			} else {
				made := c.must("POST", "/users", fmt.Sprintf(`{"firstName":"U","lastName":"U","emailAddress":"u%d@example.org","domainName":"openspecimen","loginName":"u%d","instituteName":"Default Institute"}`, i, i))
				is = fmt.Sprint(made["id"])
				path = "/users/" + is
			}
			if got := c.list("GET", path+"/dependent-entities", ""); len(got) != 0 {
				t.Errorf("a new one is named by %v", got)
			}
			made := c.must(tt.method, tt.path, strings.ReplaceAll(tt.names, "{}", is))
			if got := c.list("GET", path+"/dependent-entities", ""); len(got) != 1 || got[0]["name"] != tt.dependent || got[0]["count"] != 1.0 {
				t.Errorf("named by %v, want one %s", got, tt.dependent)
			}
			code := map[string]string{"site": "SITE_REF_ENTITY_FOUND", "user": "USER_REF_ENTITY_FOUND"}[tt.kind]
			c.do("DELETE", path, "").refused(t, 400, code)
			if below, ok := strings.CutPrefix(tt.not, "DELETE "); ok {
				c.must("DELETE", fmt.Sprint(below, made["id"]), "")
			} else {
				c.must(tt.method, tt.path, tt.not)
			}
			if got := c.list("GET", path+"/dependent-entities", ""); len(got) != 0 {
				t.Errorf("named by %v after all", got)
			}
			c.must("DELETE", path, "")
		})
	}
}
