package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/biobank"
)

// specimenRows are the rows of the calls that specimens have besides those that all have.
func specimenRows() []row {
	return []row{
		{pattern: "POST /specimens/search", body: `{"labels":["L-{short}"]}`, want: listed},
		{pattern: "POST /specimens/pooled", body: `{"specimensPool":[{"id":{specimenID}}],"type":"none"}`, want: work.with("v")},
		{pattern: "POST /specimens/undelete", body: `{"id":{specimenID}}`, want: columns{"---v-", "xxxxx", "xxxxx", "xxxxx", "xxxxx", "xxxxx"}},
		{pattern: "GET /specimens/{id}/events", kind: "specimen", want: see},
	}
}

func TestSearchSpecimens(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	w.newPeople(c, s, 4)
	for _, tt := range []struct{ body, want string }{
		{`{"labels":["L-03","INV-1-S","never"]}`, "L-03,INV-1-S"},
		{`{"labels":"L-03","label":"L-01"}`, "L-03,L-01"},
		{`{"label":"L-01","barcodes":["BC-01","BC-03"]}`, "L-01,L-03"},
		{fmt.Sprintf(`{"ids":[%d,77]}`, s.aliquot), "INV-1-S-1"},
		{fmt.Sprintf(`{"ancestorId":%d}`, s.specimen), "INV-1-S-1"},
		{fmt.Sprintf(`{"cprId":%d,"lineages":["new"]}`, s.registration), "INV-1-S"},
		{`{"cpShortTitle":"inv","ppid":"P-03"}`, "L-03"},
		{`{"cpId":1,"ppid":"never"}`, ""},
		{`{"cpId":1,"lineage":"Aliquot"}`, "INV-1-S-1"},
		{`{"cpId":1,"type":"plasma"}`, ""},
		{`{"cpId":1,"collectionStatuses":["Pending"]}`, ""},
		{`{"cpId":1,"noQty":true}`, ""},
		{`{"labels":["L-01"],"lineage":"Derived"}`, ""},
	} {
		if got := column(c.list("POST", "/specimens/search", tt.body), "label"); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.body, got, tt.want)
		}
	}
	all := c.list("POST", "/specimens/search", `{"cpId":1}`)
	if len(all) != 4 {
		t.Fatalf("the protocol has %s", column(all, "label"))
	}
	if got := column(c.list("POST", "/specimens/search", `{"cpId":1,"startAt":1,"maxResults":"2","available":true}`), "label"); got != column(all[1:3], "label") {
		t.Errorf("the page is %s of %s", got, column(all, "label"))
	}
	info := c.list("POST", "/specimens/search", `{"label":"L-01","minimalInfo":true}`)[0]
	if _, has := info["collectionEvent"]; has || info["label"] != "L-01" || info["visitName"] != "P-01.B.1" {
		t.Errorf("minimal info is %v", info)
	}
	if info := c.list("GET", "/specimens?label=L-01&minimalInfo=true", "")[0]; info["children"] != nil {
		t.Errorf("minimal info is %v", info)
	}
	for body, code := range map[string]string{
		`{}`: "INVALID_REQUEST", `[]`: "INVALID_REQUEST", `{"cpId":77}`: "CP_NOT_FOUND", `{"cpShortTitle":"x"}`: "CP_NOT_FOUND",
		`{"maxResults":-1,"cpId":1}`: "INVALID_REQUEST", `{"maxResults":"None","cpId":1}`: "INVALID_REQUEST", `{"ancestorId":77}`: "SPECIMEN_NOT_FOUND",
		`{"cprId":77}`: "CPR_M_NOT_FOUND",
		`{"labels":[` + strings.TrimSuffix(strings.Repeat(`"a",`, 10_001), ",") + `]}`: "SPECIMEN_LABELS_SRCH_LIMIT_MAXED",
	} {
		c.do("POST", "/specimens/search", body).refused(t, 400, code)
	}
}

func TestPools(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	w.newPeople(c, s, 3)
	pool := c.must("POST", "/specimens/pooled", fmt.Sprintf(`{"label":"POOL","initialQty":5,"specimensPool":[{"label":"L-01"},{"barcode":"BC-03"},{"id":%d}]}`, s.specimen))
	if pool["lineage"] != "New" || pool["status"] != "Collected" || pool["type"] != "Whole Blood" || pool["visitName"] != "P-01.B.1" {
		t.Errorf("the pool is %v", pool)
	}
	parts := func(v any) string {
		var list []map[string]any
		for _, one := range v.([]any) {
			list = append(list, one.(map[string]any))
		}
		return column(list, "label")
	}
	if got := parts(c.must("GET", fmt.Sprintf("/specimens/%v", pool["id"]), "")["specimensPool"]); got != "L-01,L-03,INV-1-S" {
		t.Errorf("the pool is of %s", got)
	}
	if one := c.list("GET", "/specimens?label=L-03", "")[0]; one["pooledSpecimenLabel"] != "POOL" || one["poolSpecimen"] != true || one["pooledSpecimenId"] != pool["id"] {
		t.Errorf("a part is %v", one)
	}
	c.must("POST", "/collection-protocols", `{"shortTitle":"TWO","title":"Two","principalInvestigator":{"id":2},"cpSites":[{"siteName":"North Biobank"}]}`)
	c.must("POST", "/collection-protocol-events", `{"eventLabel":"Start","cpShortTitle":"TWO","defaultSite":"North Biobank"}`)
	reg := c.must("POST", "/collection-protocol-registrations", `{"cpShortTitle":"TWO","ppid":"T-1","registrationDate":"2022-01-01","participant":{}}`)
	visit := c.must("POST", "/visits", fmt.Sprintf(`{"cprId":%v,"name":"T-1","eventLabel":"Start"}`, reg["id"]))
	c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%v,"label":"T-1","type":"Whole Blood","initialQty":1}`, visit["id"]))
	c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%v,"status":"Pending","type":"Whole Blood","barcode":"WAIT"}`, visit["id"]))
	c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%v,"label":"T-2","type":"Whole Blood","activityStatus":"Closed"}`, visit["id"]))
	for body, code := range map[string]string{
		`{"label":"P2"}`: "SPECIMEN_REQUIRED", `{"label":"P2","specimensPool":[{}]}`: "SPECIMEN_ID_REQUIRED",
		`{"label":"P2","specimensPool":[{"id":77}]}`: "SPECIMEN_NOT_FOUND", `{"label":"P2","specimensPool":[{"label":"no"}]}`: "SPECIMEN_NOT_FOUND",
		`{"label":"POOL","specimensPool":[{"label":"L-01"}]}`:                              "SPECIMEN_DUP_LABEL",
		`{"label":"P2","specimensPool":[{"label":"L-01"},{"label":"T-1"}]}`:                "SPECIMEN_POOL_SAME_CP_REQ",
		`{"label":"P2","specimensPool":[{"barcode":"WAIT"}]}`:                              "SPECIMEN_NOT_COLLECTED",
		`{"label":"P2","specimensPool":[{"label":"T-2"}]}`:                                 "SPECIMEN_NOT_ACTIVE",
		`{"label":"P2","specimensPool":[{"label":"L-01"},{"barcode":"BC-01"}]}`:            "COMMON_INVALID_INPUT",
		`{"label":"P2","specimensPool":[` + strings.Repeat(`{"id":1},`, 45) + `{"id":1}]}`: "SPECIMEN_REQUIRED",
	} {
		c.do("POST", "/specimens/pooled", body).refused(t, 400, code)
	}
	if a := c.do("HEAD", "/specimens?label=P2", ""); a.status != http.StatusBadRequest {
		t.Error("a refused pool was saved")
	}
}

func TestUndelete(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	c.must("POST", "/specimens", fmt.Sprintf(`{"parentId":%d,"label":"INV-1-A-A","barcode":"BC-AA","lineage":"Aliquot","initialQty":1}`, s.aliquot))
	id := c.list("GET", "/specimens?barcode=BC-AA", "")[0]["id"]
	path := fmt.Sprintf("/specimens/%d", s.specimen)
	before := c.do("GET", path, "").body
	c.do("POST", "/specimens/undelete", fmt.Sprintf(`{"id":%d}`, s.specimen)).refused(t, 400, "SPECIMEN_DEL_NOT_FOUND")
	w.wait(time.Minute)
	c.must("DELETE", path+"?forceDelete=true", "")

	for body, code := range map[string]string{
		`{}`: "SPECIMEN_ID_REQUIRED", `{"id":77}`: "SPECIMEN_DEL_NOT_FOUND", `{"id":"x"}`: "INVALID_REQUEST",
		fmt.Sprintf(`{"id":%d}`, s.aliquot): "SPECIMEN_PARENT_DELETED",
	} {
		c.do("POST", "/specimens/undelete", body).refused(t, 400, code)
	}
	w.wait(time.Minute)
	c.must("POST", "/specimens/undelete", fmt.Sprintf(`{"id":%d,"reason":"a mistake"}`, s.specimen))
	if got := c.do("GET", path, "").body; got != before {
		t.Errorf("it is %s\nwas %s", got, before)
	}
	c.do("GET", fmt.Sprintf("/specimens/%d", s.aliquot), "").refused(t, 400, "SPECIMEN_NOT_FOUND")
	c.do("POST", "/specimens/undelete", fmt.Sprintf(`{"id":%d}`, s.specimen)).refused(t, 400, "SPECIMEN_DEL_NOT_FOUND")
	c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"label":"INV-1-A-A","type":"Whole Blood","initialQty":1}`, s.visit))
	c.do("POST", "/specimens/undelete", fmt.Sprintf(`{"id":%d,"includeChildren":true}`, s.specimen)).refused(t, 400, "SPECIMEN_DUP_LABEL")
	c.must("DELETE", fmt.Sprintf("/specimens/%v?forceDelete=true", c.list("GET", "/specimens?label=INV-1-A-A", "")[0]["id"]), "")
	c.must("POST", "/specimens/undelete", fmt.Sprintf(`{"id":%d,"includeChildren":true}`, s.specimen)) // goes on where it was stopped
	if got := c.list("GET", "/specimens?label=INV-1-A-A", ""); len(got) != 1 || got[0]["id"] != id || got[0]["barcode"] != "BC-AA" {
		t.Errorf("the child's child is %v", got)
	}
	c.must("DELETE", fmt.Sprintf("/visits/%d?forceDelete=true", s.visit), "")
	c.do("POST", "/specimens/undelete", fmt.Sprintf(`{"id":%d}`, s.specimen)).refused(t, 400, "SPECIMEN_PARENT_DELETED")
	w.newUser("boss", "INSTITUTE").do("POST", "/specimens/undelete", fmt.Sprintf(`{"id":%d}`, s.specimen)).refused(t, 400, "RBAC_ADMIN_RIGHTS_REQUIRED")
}

func TestDisposalAndEvents(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	path := fmt.Sprintf("/specimens/%d", s.aliquot)
	if got := column(c.list("GET", path+"/events", ""), "name"); got != "SpecimenCollectionEvent,SpecimenReceivedEvent" {
		t.Errorf("events %s", got)
	}
	for body, code := range map[string]string{
		`{}`: "SPECIMEN_INVALID_DISPOSE_STATUS", `{"status":"Gone"}`: "SPECIMEN_INVALID_DISPOSE_STATUS", `{"status":"Closed","user":{"loginName":"nobody"}}`: "USER_NOT_FOUND",
		`{"status":"Closed","date":"2100-01-01"}`: "COMMON_DATE_GT_TODAY", `{"status":"Closed","date":"x"}`: "INVALID_REQUEST",
	} {
		c.do("PUT", path+"/status", body).refused(t, 400, code)
	}
	c.must("PUT", fmt.Sprintf("/collection-protocols/%d", s.cp), `{"shortTitle":"INV","title":"An invented study","code":"I1","principalInvestigator":{"id":2},
		"cpSites":[{"siteName":"North Biobank"}],"setQtyToZero":true,"manualSpecLabelEnabled":true,"manualPpidEnabled":true,"manualVisitNameEnabled":true}`)
	got := c.must("PUT", path+"/status", `{"status":"closed","reason":"Broken","comments":"fell down","date":"2026-02-01","user":{"loginName":"admin"}}`)
	if got["activityStatus"] != "Closed" || got["availableQty"] != 0.0 || got["availabilityStatus"] != "Closed" {
		t.Errorf("closed: %v", got)
	}
	golden(t, "specimen-events", c.do("GET", path+"/events", "").body)
	c.do("POST", "/specimens", fmt.Sprintf(`{"parentId":%d,"label":"X","lineage":"Aliquot","initialQty":1}`, s.aliquot)).refused(t, 400, "SPECIMEN_PROC_NOT_ALLOWED")
	if got := column(c.list("PUT", "/specimens/status", fmt.Sprintf(`[{"id":%d,"status":"Active"},{"label":"INV-1-S","status":"Closed"}]`, s.aliquot)), "activityStatus"); got != "Active,Closed" {
		t.Errorf("statuses %s", got)
	}
	for body, code := range map[string]string{
		`[{"status":"Closed"}]`: "SPECIMEN_ID_REQUIRED", `[{"label":"no","status":"Closed"}]`: "SPECIMEN_NOT_FOUND", `{}`: "INVALID_REQUEST",
		`[{"barcode":"no","status":"Closed"}]`: "SPECIMEN_NOT_FOUND",
	} {
		c.do("PUT", "/specimens/status", body).refused(t, 400, code)
	}
	if got := c.do("GET", path+"/primary-specimen-id", ""); got.body != fmt.Sprintf(`{"id":%d}`, s.specimen) {
		t.Errorf("the primary is %s", got.body)
	}
}

func TestWhatAChildDoesToItsParent(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	w.newTrees(c, s)
	parent := fmt.Sprintf("/specimens/%d", s.specimen)
	c.must("POST", "/specimens", fmt.Sprintf(`{"parentId":%d,"label":"C-1","lineage":"Aliquot","initialQty":1,"incrParentFreezeThaw":2}`, s.specimen))
	c.must("POST", "/specimens", fmt.Sprintf(`{"parentId":%d,"label":"C-2","lineage":"Derived","type":"Plasma","initialQty":1,"incrParentFreezeThaw":true,"closeParent":true}`, s.specimen))
	if got := c.must("GET", parent, ""); got["freezeThawCycles"] != 3.0 || got["activityStatus"] != "Closed" || got["availableQty"] != 6.5 {
		t.Errorf("the parent was thawed %v times, is %v and has %v", got["freezeThawCycles"], got["activityStatus"], got["availableQty"])
	}
	c.do("POST", "/specimens", `{"parentId":1,"incrParentFreezeThaw":-1}`).refused(t, 400, "INVALID_REQUEST")

	visit := c.must("POST", "/visits", fmt.Sprintf(`{"cprId":%d,"name":"INV-1.B.9","eventId":%d}`, s.registration, s.event))
	wait := c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%v,"status":"Pending","type":"Whole Blood","label":"W-1","initialQty":10,"reqId":%d}`, visit["id"], s.requirement))
	plasma := c.must("POST", "/specimens", fmt.Sprintf(`{"parentId":%v,"status":"Pending","type":"Plasma","lineage":"Derived","label":"W-1-P","initialQty":4}`, wait["id"]))
	late := fmt.Sprintf(`{"parentLabel":"W-1-P","label":"W-1-P-1","lineage":"Aliquot","initialQty":1%%s}`)
	c.do("POST", "/specimens", fmt.Sprintf(late, "")).refused(t, 400, "SPECIMEN_COLL_PARENT_REQ")
	made := c.must("POST", "/specimens", fmt.Sprintf(late, `,"autoCollectParents":true`))
	if made["label"] != "W-1-P-1" || made["status"] != "Collected" || made["parentId"] != plasma["id"] {
		t.Errorf("the child is %v", made)
	}
	for id, want := range map[any]float64{wait["id"]: 10, plasma["id"]: 3} {
		if got := c.must("GET", fmt.Sprintf("/specimens/%v", id), ""); got["status"] != "Collected" || got["availableQty"] != want {
			t.Errorf("%v is %v with %v left, want %v", got["label"], got["status"], got["availableQty"], want)
		}
	}
	next := c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%v,"status":"Pending","type":"Whole Blood","label":"W-2","initialQty":10}`, visit["id"]))
	below := c.must("POST", "/specimens", fmt.Sprintf(`{"parentId":%v,"status":"Pending","lineage":"Aliquot","label":"W-2-1","initialQty":4}`, next["id"]))
	c.do("PUT", fmt.Sprintf("/specimens/%v", below["id"]), `{"status":"Collected"}`).refused(t, 400, "SPECIMEN_COLL_PARENT_REQ")
	if got := c.must("PUT", fmt.Sprintf("/specimens/%v", below["id"]), `{"status":"Collected","autoCollectParents":true,"comments":"both"}`); got["status"] != "Collected" || got["comments"] != "both" {
		t.Errorf("the child is %v", got)
	}
	if got := c.must("GET", fmt.Sprintf("/specimens/%v", next["id"]), ""); got["status"] != "Collected" || got["availableQty"] != 6.0 {
		t.Errorf("the parent is %v with %v left", got["status"], got["availableQty"])
	}

	// A requirement says what a specimen is made from.
	reqs := c.list("GET", fmt.Sprintf("/specimen-requirements?eventId=%d", s.event), "")
	child := reqs[0]["children"].([]any)[0].(map[string]any)["id"]
	c.do("POST", "/specimens", fmt.Sprintf(`{"parentId":%v,"label":"R-1","lineage":"Aliquot","initialQty":1,"reqId":%v}`, next["id"], child)).refused(t, 400, "SPECIMEN_REQ_PARENT_MISMATCH")
	c.must("POST", "/specimens", fmt.Sprintf(`{"parentId":%v,"label":"R-1","lineage":"Aliquot","initialQty":1,"reqId":%v}`, wait["id"], child))
}

// What orders, reservations and shipments make of a specimen is among its events; of those that the reader may not see only
// that they were.
func TestEventsOfCustody(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newDepot(c, 2)
	w.newFreezer(c)
	id := c.specimen("D-01")["id"]
	path := fmt.Sprintf("/specimens/%v", id)
	c.must("PUT", path, `{"storageLocation":{"name":"Box"}}`)
	w.wait(time.Minute)
	c.must("PUT", path, `{"storageLocation":{"name":"Box","position":4},"transferComments":"sorted"}`)
	c.do("PUT", "/distribution-protocols/1/reserved-specimens", fmt.Sprintf(`{"specimens":[{"id":%v}]}`, id))
	c.must("POST", "/distribution-orders", `{"name":"First","distributionProtocol":{"id":1},"requester":{"id":2},"status":"EXECUTED","executionDate":"2026-02-05","comments":"with care",
		"orderItems":[{"specimen":{"label":"D-01"},"quantity":10}]}`)
	c.list("POST", "/distribution-orders/return-specimens", `[{"orderName":"First","specimenLabel":"D-01","quantity":8,"time":"2026-02-06","comments":"not used"}]`)
	c.must("POST", "/sites", `{"name":"South","instituteName":"Default Institute","type":"Repository"}`)
	ship := func(name, from, to string) string {
		body := func(status string) string {
			return fmt.Sprintf(`{"name":%q,"sendingSite":%q,"receivingSite":%q,"status":%q,"senderComments":"cold","shipmentSpmns":[{"specimen":{"label":"D-01"},"receivedQuality":"Acceptable"}]}`, name, from, to, status)
		}
		made := fmt.Sprintf("/shipments/%v", c.must("POST", "/shipments", body("Shipped"))["id"])
		c.must("PUT", made, body("Received"))
		return made
	}
	there := ship("There", "North Biobank", "South")
	ship("Back", "South", "North Biobank")
	// Told anew, the first shipment changes nothing about a specimen that went on.
	c.must("PUT", there, `{"name":"There","sendingSite":"North Biobank","receivingSite":"South","status":"Received","senderComments":"cold","shipmentSpmns":[{"specimen":{"label":"D-01"},"receivedQuality":"Not Specified"}]}`)
	if got := c.specimen("D-01")["storageSite"]; got != "North Biobank" {
		t.Errorf("the specimen is at %v", got)
	}
	c.must("PUT", path+"/status", `{"status":"Closed","reason":"first"}`)
	c.must("PUT", path+"/status", `{"status":"Active"}`)
	c.must("PUT", path+"/status", `{"status":"Closed","reason":"second"}`)

	told := func(who caller) string {
		var all []string
		for _, list := range who.list("GET", path+"/events", "") {
			var fields []string
			for _, rec := range list["records"].([]any) {
				var values []string
				for _, f := range rec.(map[string]any)["fieldValues"].([]any) {
					values = append(values, fmt.Sprint(f.(map[string]any)["value"]))
				}
				fields = append(fields, strings.Join(values, "/"))
			}
			name := strings.TrimSuffix(strings.TrimPrefix(fmt.Sprint(list["name"]), "Specimen"), "Event")
			all = append(all, name+": "+strings.Join(fields, ", "))
		}
		return strings.Join(all, "\n")
	}
	if diff := cmp.Diff(`Collection: Not Specified/Not Specified
Received: Not Specified
Transfer: Box A 1, Box A 1/Box B 1/sorted, Box B 1
Reserved: DP
Distributed: First/DP/10/with care
Return: First/8/not used
ShipmentShipped: There/North Biobank/South/cold, Back/South/North Biobank/cold
ShipmentReceived: There/North Biobank/South/Acceptable, Back/South/North Biobank/Acceptable
Disposal: Distributed/Order First, first, second`, told(c)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	role := c.must("POST", "/rbac/roles", `{"name":"Bench","acl":[{"resourceName":"Specimen","operations":[{"operationName":"Read"}]}]}`)
	bench := w.newUser("bench", "NONE", biobank.Grant{ID: 1, Role: "Bench", RoleID: int64(role["id"].(float64)), ProtocolID: s.cp})
	if got := told(bench); !strings.Contains(got, "\nReserved: \nDistributed: \nReturn: \nShipmentReceived: Acceptable, Acceptable\n") {
		t.Errorf("a reader of specimens is told:\n%s", got)
	}
}
