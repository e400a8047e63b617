package api_test

import (
	"fmt"
	"testing"
)

func TestCopiesOfAnEventGoWhereTheyAreSent(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	c.must("POST", "/collection-protocols", `{"shortTitle":"TGT","title":"Target","principalInvestigator":{"id":2},"cpSites":[{"siteName":"North Biobank"}]}`)
	for i, sent := range []string{`"cpShortTitle":"TGT"`, `"collectionProtocol":"Target"`, `"collectionProtocol":"Target","cpShortTitle":"INV"`} {
		got := c.must("POST", fmt.Sprintf("/collection-protocol-events/%d/copy", s.event), fmt.Sprintf(`{"eventLabel":"Copy %d",%s}`, i, sent))
		if got["cpShortTitle"] != "TGT" || got["collectionProtocol"] != "Target" {
			t.Errorf("%s: copied into %v", sent, got["cpShortTitle"])
		}
	}
	if got := c.must("POST", fmt.Sprintf("/collection-protocol-events/%d/copy", s.event), `{"eventLabel":"Here"}`); got["cpShortTitle"] != "INV" {
		t.Errorf("copied into %v", got["cpShortTitle"])
	}
}

func TestAliquotsOfARequirementFollowIt(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	body := func(class, typ string, qty int) string {
		return fmt.Sprintf(`{"eventId":%d,"specimenClass":%q,"type":%q,"initialQty":%d,%s}`, s.event, class, typ, qty, primary)
	}
	parent := fmt.Sprintf("/specimen-requirements/%d", idOf(c.must("POST", "/specimen-requirements", body("Fluid", "Plasma", 10))))
	kids := c.list("POST", parent+"/aliquots", `{"noOfAliquots":5,"qtyPerAliquot":2,"storageType":"Virtual"}`)
	kid := fmt.Sprintf("/specimen-requirements/%v", kids[0]["id"])
	c.do("PUT", parent, body("Fluid", "Plasma", 9)).refused(t, 400, "SR_INSUFFICIENT_QTY")
	c.must("PUT", parent, body("Molecular", "DNA", 10))
	if got := c.must("GET", kid, ""); got["type"] != "DNA" || got["specimenClass"] != "Molecular" {
		t.Errorf("an aliquot is of %v", got["type"])
	}
	if got := c.must("PUT", kid, body("Fluid", "Plasma", 1)); got["type"] != "DNA" || got["initialQty"] != 1.0 {
		t.Errorf("an aliquot became %v, %v", got["type"], got["initialQty"])
	}
	// A specimen that is still to come holds the type, too.
	c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"reqId":%s,"status":"Pending"}`, s.visit, parent[len("/specimen-requirements/"):]))
	c.do("PUT", parent, body("Fluid", "Plasma", 10)).refused(t, 400, "SR_CANNOT_CHANGE_CLASS_OR_TYPE")
	c.must("PUT", parent, body("Molecular", "DNA", 11))
}

func TestSitesOfAProtocolAreGivenOnce(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newStudy(c)
	body := `{"shortTitle":"TWO","title":"Two","principalInvestigator":{"id":2},"cpSites":[{"siteName":"North Biobank","code":"A"},{"siteName":"north biobank","code":%q}]}`
	c.do("POST", "/collection-protocols", fmt.Sprintf(body, "B")).refused(t, 400, "CP_DUP_CP_SITE_CODES")
	if got := c.must("POST", "/collection-protocols", fmt.Sprintf(body, "A")); len(got["cpSites"].([]any)) != 1 {
		t.Errorf("the sites are %v", got["cpSites"])
	}
}

func TestChildrenAreAsOldAsTheirParent(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	got := c.list("POST", "/specimens/collect", fmt.Sprintf(`[{"visitId":%d,"label":"CO","type":"Plasma","initialQty":5,"createdOn":1614171600000,
		"children":[{"lineage":"Aliquot","label":"CO-1","initialQty":1},{"lineage":"Aliquot","label":"CO-2","initialQty":1,"createdOn":1614258000000}]}]`, s.visit))
	if kids := objects(got[0]["children"]); kids[0]["createdOn"] != 1614171600000.0 || kids[1]["createdOn"] != 1614258000000.0 {
		t.Errorf("the children were made %v", column(kids, "createdOn"))
	}
	// The parent was made with what its children took.
	if audit := c.must("GET", fmt.Sprintf("/specimens/%v/audit", got[0]["id"]), ""); audit["verified"] != true || got[0]["availableQty"] != 3.0 {
		t.Errorf("left are %v, the audit is %v", got[0]["availableQty"], audit)
	}
}

func TestCountersOfAVisitTellWhatIsStored(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	w.newFreezer(c)
	c.must("PUT", fmt.Sprintf("/specimens/%d", s.aliquot), `{"storageLocation":{"name":"Box"}}`)
	v := c.list("GET", fmt.Sprintf("/visits?cprId=%d&includeStats=true", s.registration), "")[0]
	if v["storedSpecimens"] != 1.0 || v["notStoredSpecimens"] != 1.0 || v["distributedSpecimens"] != 0.0 {
		t.Errorf("stored %v, not stored %v, distributed %v", v["storedSpecimens"], v["notStoredSpecimens"], v["distributedSpecimens"])
	}
}

func TestWhatIsAnticipatedHasNulls(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	event := idOf(c.must("POST", "/collection-protocol-events", `{"eventLabel":"Second","cpShortTitle":"INV"}`))
	c.must("POST", "/specimen-requirements", fmt.Sprintf(`{"eventId":%d,"specimenClass":"Fluid","type":"Plasma",%s}`, event, primary))
	unseen := c.list("GET", fmt.Sprintf("/specimens?cprId=%d&eventId=%d", s.registration, event), "")[0]
	for _, name := range []string{"status", "activityStatus", "availabilityStatus", "distributionStatus", "visitName", "visitStatus", "visitDate", "visitId"} {
		if v, has := unseen[name]; v != nil || !has {
			t.Errorf("%s is %v", name, v)
		}
	}
	visit := idOf(c.must("POST", "/visits", fmt.Sprintf(`{"cprId":%d,"eventId":%d,"name":"INV-1..2","site":"North Biobank"}`, s.registration, event)))
	wanted := c.list("GET", fmt.Sprintf("/specimens?cprId=%d&visitId=%d", s.registration, visit), "")[0]
	if wanted["visitName"] != "INV-1..2" || wanted["visitStatus"] != "Complete" || wanted["visitId"] != float64(visit) || wanted["status"] != nil {
		t.Errorf("at a visit: %v, %v, %v, %v", wanted["visitName"], wanted["visitStatus"], wanted["visitId"], wanted["status"])
	}
}

func TestDiagnosesAreShownAsValues(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	value := c.list("GET", "/permissible-values?attribute=clinical_diagnosis&maxResults=3", "")[2]
	v := c.must("PUT", fmt.Sprintf("/visits/%d", s.visit), fmt.Sprintf(`{"eventId":%d,"clinicalDiagnoses":[%q]}`, s.event, value["value"]))
	if got := objects(v["diagnosisList"]); len(got) != 1 || got[0]["id"] != value["id"] || got[0]["activityStatus"] != "Active" {
		t.Errorf("%v, want %v", got, value)
	}
}
