package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"aliquot/infra/local/localtest"
	"aliquot/shared/biobank"
)

// newPair has two protocols with the same formats: INV with newStudy's tree, and TWO with an event of the same label that
// has an equal requirement.
func newPair(t *testing.T) (w *world, c caller, s study, event, requirement any) {
	t.Helper()
	w = newWorld(t)
	c = w.signIn("admin", password)
	s = w.newStudy(c)
	two := c.must("POST", fmt.Sprintf("/collection-protocols/%d/copy", s.cp), `{"shortTitle":"TWO","title":"A second study","code":"I2"}`)
	event = c.list("GET", fmt.Sprintf("/collection-protocol-events?cpId=%v", two["id"]), "")[0]["id"]
	requirement = c.list("GET", fmt.Sprintf("/specimen-requirements?eventId=%v", event), "")[0]["id"]
	return w, c, s, event, requirement
}

// place tells where a specimen lies and what it is planned as.
func (c caller) place(specimen int64) string {
	c.t.Helper()
	v := c.must("GET", fmt.Sprintf("/specimens/%d", specimen), "")
	return fmt.Sprint(v["cpShortTitle"], " ", v["ppid"], " ", v["visitName"], " ", v["reqId"])
}

func TestMoveAVisit(t *testing.T) {
	w, c, s, event, requirement := newPair(t)
	c.must("PUT", fmt.Sprintf("/specimens/%d", s.specimen), `{"barcode":"BC-1"}`)
	other, _ := c.register("INV", "INV-2", `{}`)
	far, _ := c.register("TWO", "TWO-1", `{}`)
	box := c.must("POST", "/storage-containers", `{"name":"Box","siteName":"North Biobank","noOfRows":2,"noOfColumns":2,"storeSpecimensEnabled":true}`)
	c.must("PUT", fmt.Sprintf("/specimens/%d", s.aliquot), `{"storageLocation":{"name":"Box","positionX":"1","positionY":"1"}}`)
	cart := c.must("POST", "/specimen-lists", fmt.Sprintf(`{"name":"Mine","specimenIds":[%d]}`, s.aliquot))
	c.must("PUT", fmt.Sprintf("/specimen-lists/%v/specimens?operation=ADD", cart["id"]), fmt.Sprintf(`[%d]`, s.aliquot))
	form := c.newForm("slide", `{"name":"slide","caption":"Slide","rows":[[{"type":"stringTextField","name":"score","udn":"score","caption":"Score"}]]}`)
	fc := c.associate(form, "SpecimenCollectionGroup", -1, "")
	record := c.must("POST", fmt.Sprintf("/forms/%d/data", form), fmt.Sprintf(`{"appData":{"formCtxtId":%d,"objectId":%d},"score":"7"}`, fc, s.visit))
	path := fmt.Sprintf("/visits/%d", s.visit)

	whole := func(more string) string {
		return fmt.Sprintf(`{"name":"INV-1.B.1","site":"North Biobank","visitDate":1614171600000,"surgicalPathologyNumber":"SPR-7",%s}`, more)
	}
	t.Run("refused", func(t *testing.T) {
		closed := c.must("POST", "/collection-protocols", `{"shortTitle":"SHUT","title":"Shut","principalInvestigator":{"id":2},"cpSites":[{"siteName":"North Biobank"}],"manualPpidEnabled":true}`)
		shut, _ := c.register("SHUT", "S-1", `{}`)
		c.must("PUT", fmt.Sprintf("/collection-protocols/%v", closed["id"]), `{"shortTitle":"SHUT","title":"Shut","principalInvestigator":{"id":2},"cpSites":[{"siteName":"North Biobank"}],"activityStatus":"Closed"}`)
		for body, code := range map[string]string{
			whole(`"cprId":77`):                                         "CPR_M_NOT_FOUND",
			whole(`"cpShortTitle":"INV","ppid":"INV-9"`):                "CPR_INVALID_CP_AND_PPID",
			whole(`"cpShortTitle":"NONE","ppid":"INV-2"`):               "CP_NOT_FOUND",
			whole(fmt.Sprintf(`"cprId":%d`, shut)):                      "CPR_CP_CLOSED",
			whole(fmt.Sprintf(`"cprId":%d,"eventId":77`, far)):          "CPE_NOT_FOUND",
			whole(fmt.Sprintf(`"cprId":%d,"status":"Lost"`, far)):       "VISIT_INVALID_STATUS",
			whole(fmt.Sprintf(`"cprId":%d,"eventId":%v`, other, event)): "CPR_INVALID_CPE",
		} {
			c.do("PUT", path, body).refused(t, 400, code)
		}
		if got := c.place(s.aliquot); got != fmt.Sprintf("INV INV-1 INV-1.B.1 %v", "<nil>") {
			t.Errorf("a refused move left the aliquot at %s", got)
		}
		// A technician of the one protocol has no rights in the other.
		tech := w.newUser("tech", "NONE", biobank.Grant{ID: 1, Role: "Technician", ProtocolID: s.cp})
		tech.do("PUT", path, whole(fmt.Sprintf(`"cprId":%d`, far))).refused(t, 400, "RBAC_ACCESS_DENIED")
	})
	t.Run("in its protocol", func(t *testing.T) {
		// As a client does that changes what it has read.
		got := c.must("PUT", path, whole(fmt.Sprintf(`"cprId":%d,"ppid":"INV-1","cpId":%d,"eventId":%d`, other, s.cp, s.event)))
		if got["ppid"] != "INV-2" || got["eventLabel"] != "Baseline" || got["name"] != "INV-1.B.1" {
			t.Errorf("the visit is %v", got)
		}
		if got := c.place(s.specimen); got != fmt.Sprintf("INV INV-2 INV-1.B.1 %d", s.requirement) {
			t.Errorf("the specimen is at %s", got)
		}
		if got := c.list("GET", fmt.Sprintf("/visits?cprId=%d", s.registration), ""); len(got) != 1 || got[0]["id"] != nil {
			t.Errorf("the old registration has visits %v", got)
		}
		if got := c.list("GET", fmt.Sprintf("/visits?cprId=%d", other), ""); len(got) != 1 || got[0]["id"] != float64(s.visit) {
			t.Errorf("the new registration has visits %v", got)
		}
	})
	t.Run("to another protocol", func(t *testing.T) {
		got := c.must("PUT", path, whole(fmt.Sprintf(`"cprId":%d,"ppid":"TWO-1","cpShortTitle":"TWO","eventId":%d`, other, s.event)))
		if got["cpShortTitle"] != "TWO" || got["cprId"] != float64(far) || got["eventId"] != event {
			t.Errorf("the visit is %v", got)
		}
		if got := c.place(s.specimen); got != fmt.Sprintf("TWO TWO-1 INV-1.B.1 %v", requirement) {
			t.Errorf("the specimen is at %s", got)
		}
	})
	t.Run("found by all it has", func(t *testing.T) {
		for _, path := range []string{"/specimens?label=INV-1-S", "/specimens?barcode=BC-1", "/specimens?id=" + fmt.Sprint(s.specimen)} {
			if got := c.list("GET", path, ""); len(got) != 1 || got[0]["cpShortTitle"] != "TWO" {
				t.Errorf("%s gives %v", path, got)
			}
		}
		for _, path := range []string{"/visits/bynamespr?visitName=INV-1.B.1", "/visits/bynamespr?sprNumber=SPR-7"} {
			if got := c.list("GET", path, ""); len(got) != 1 || got[0]["cpShortTitle"] != "TWO" {
				t.Errorf("%s gives %v", path, got)
			}
		}
		if got := c.list("GET", fmt.Sprintf("/storage-containers/%v/occupied-positions", box["id"]), ""); len(got) != 1 || got[0]["cpShortTitle"] != "TWO" {
			t.Errorf("the box holds %v", got)
		}
		if got := c.list("GET", fmt.Sprintf("/specimen-lists/%v/specimens", cart["id"]), ""); len(got) != 1 || got[0]["cpShortTitle"] != "TWO" {
			t.Errorf("the cart holds %v", got)
		}
		if got := c.must("GET", fmt.Sprintf("/forms/%d/data/%v", form, record["id"]), ""); got["score"] != "7" {
			t.Errorf("the form has %v", got)
		}
		if got := c.list("GET", fmt.Sprintf("/forms/%d/records?objectId=%d&entityType=SpecimenCollectionGroup", form, s.visit), ""); len(got) != 1 {
			t.Errorf("the visit has the records %v", got)
		}
		c.do("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"label":"INV-1-S","type":"Whole Blood","initialQty":1}`, s.visit)).refused(t, 400, "SPECIMEN_DUP_LABEL")
		got := c.must("POST", "/specimens", fmt.Sprintf(`{"parentId":%d,"label":"NEW","lineage":"Aliquot","initialQty":1}`, s.specimen))
		if got["cpShortTitle"] != "TWO" {
			t.Errorf("a new aliquot is %v", got)
		}
	})
	t.Run("in the audit", func(t *testing.T) {
		got := c.must("GET", path+"/audit", "")
		entries := objects(got["entries"])
		last := entries[len(entries)-1]
		was, is := last["before"].(map[string]any)["place"], last["after"].(map[string]any)["place"]
		if got["verified"] != true || fmt.Sprint(was.(map[string]any)["cprId"]) != fmt.Sprint(other) || fmt.Sprint(is.(map[string]any)["cprId"]) != fmt.Sprint(far) {
			t.Errorf("the audit tells %v", got)
		}
	})
	t.Run("and back, missed", func(t *testing.T) {
		c.must("PUT", path, whole(fmt.Sprintf(`"cprId":%d,"eventId":%d,"status":"Missed Collection"`, s.registration, s.event)))
		if got := c.must("GET", fmt.Sprintf("/specimens/%d", s.aliquot), ""); got["status"] != "Missed Collection" || got["ppid"] != "INV-1" ||
			got["storageLocation"].(map[string]any)["id"] != -1.0 {
			t.Errorf("the aliquot is %v", got)
		}
		if got := c.list("GET", fmt.Sprintf("/storage-containers/%v/occupied-positions", box["id"]), ""); len(got) != 0 {
			t.Errorf("the box holds %v", got)
		}
	})
}

// TestMoveALargeVisit moves more than one transaction holds, and specimens that are deleted.
func TestMoveALargeVisit(t *testing.T) {
	localtest.HandlerOnly(t)
	w, c, s, _, _ := newPair(t)
	for i := range 3 {
		parent := c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"label":"P-%d","type":"Whole Blood","initialQty":9}`, s.visit, i))
		for k := range 4 {
			c.must("POST", "/specimens", fmt.Sprintf(`{"parentId":%v,"label":"P-%d-%d","lineage":"Aliquot","initialQty":1}`, parent["id"], i, k))
		}
	}
	dead := c.list("GET", "/specimens?label=P-2-3", "")[0]["id"]
	c.must("DELETE", fmt.Sprintf("/specimens/%v", dead), "")
	far, _ := c.register("TWO", "TWO-1", `{}`)
	path := fmt.Sprintf("/visits/%d", s.visit)
	body := fmt.Sprintf(`{"name":"INV-1.B.1","site":"North Biobank","cprId":%d}`, far)

	// Nothing has moved where the change is refused.
	c.must("POST", "/visits", fmt.Sprintf(`{"cprId":%d,"name":"INV-1.B.2"}`, s.registration))
	c.do("PUT", path, strings.Replace(body, "B.1", "B.2", 1)).refused(t, 400, "VISIT_DUP_NAME")
	if got := c.list("GET", "/specimens?label=P-0-0", "")[0]; got["ppid"] != "INV-1" {
		t.Errorf("a refused move left an aliquot with %v", got["ppid"])
	}
	w.hurry(15 * time.Second) // cut short on the way
	c.do("PUT", path, body).refused(t, 503, "COMMON_INVALID_INPUT")
	w.hurry(0)
	moved := 0
	for i := range 3 {
		for k := range 4 {
			if got := c.list("GET", fmt.Sprintf("/specimens?label=P-%d-%d", i, k), ""); len(got) == 1 && got[0]["ppid"] == "TWO-1" {
				moved++
				if got[0]["visitName"] != "INV-1.B.1" || got[0]["parentLabel"] != fmt.Sprintf("P-%d", i) {
					t.Errorf("on its way an aliquot is %v", got[0])
				}
			}
		}
	}
	if moved == 0 || moved == 11 {
		t.Errorf("%d aliquots moved before the time was up", moved)
	}
	if got := c.must("GET", path, ""); got["ppid"] != "INV-1" {
		t.Errorf("on the way the visit has %v", got["ppid"])
	}
	// Changed meanwhile.
	c.must("PUT", path, `{"name":"INV-1.B.1","site":"North Biobank","cohort":""}`)
	c.must("PUT", fmt.Sprintf("/specimens/%v", c.list("GET", "/specimens?label=P-2", "")[0]["id"]), `{"comments":"changed"}`)

	if got := c.must("PUT", path, body); got["ppid"] != "TWO-1" {
		t.Errorf("the visit is %v", got)
	}
	all := c.list("GET", fmt.Sprintf("/specimens?cprId=%d&visitId=%d", far, s.visit), "")
	if len(all) != 4 {
		t.Errorf("%d primary specimens, want 4", len(all))
	}
	for _, one := range all {
		if n := len(one["children"].([]any)); n != map[any]int{"INV-1-S": 1, "P-0": 4, "P-1": 4, "P-2": 3}[one["label"]] {
			t.Errorf("%v has %d children", one["label"], n)
		}
	}
	if got := c.list("GET", fmt.Sprintf("/visits?cprId=%d", far), ""); len(got) != 2 || got[1]["id"] != float64(s.visit) {
		t.Errorf("the registration has %v", got)
	}
	// What was deleted before comes back where the visit is now.
	if got := c.must("POST", "/specimens/undelete", fmt.Sprintf(`{"id":%v}`, dead)); got["ppid"] != "TWO-1" || got["label"] != "P-2-3" {
		t.Errorf("undeleted: %v", got)
	}
}
