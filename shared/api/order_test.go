package api_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"aliquot/infra/local/localtest"
	"aliquot/shared/biobank"
)

// depot is a study with a distribution protocol and specimens D-01 and so on, of 10 each.
func (w *world) newDepot(c caller, specimens int) study {
	w.t.Helper()
	s := w.newStudy(c)
	c.must("POST", "/distribution-protocols", `{"title":"Receivers","shortTitle":"DP","instituteName":"Default Institute","defReceivingSiteName":"North Biobank",
		"principalInvestigator":{"id":2},"distributingSites":{"Default Institute":[]}}`)
	for i := range specimens {
		c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"label":"D-%02d","barcode":"DB-%02d","type":"Whole Blood","initialQty":10}`, s.visit, i+1, i+1))
	}
	return s
}

// specimen reads one by its label.
func (c caller) specimen(label string) map[string]any {
	c.t.Helper()
	return c.list("GET", "/specimens?label="+label, "")[0]
}

func TestOrders(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newDepot(c, 6)
	const head = `"name":"First","distributionProtocol":{"shortTitle":"dp"},"requester":{"loginName":"admin"}`
	a := c.do("POST", "/distribution-orders", `{`+head+`,"status":"pending","siteName":"North Biobank","trackingUrl":"https://track.example.org/1","comments":"with care",
		"orderItems":[{"specimen":{"label":"D-01"},"quantity":4,"cost":"2.5","label":"tube 1"},{"specimen":{"barcode":"DB-02"},"quantity":10}]}`)
	golden(t, "order", a.body)
	made := map[string]any{}
	mustDecode(t, a, &made)
	order := fmt.Sprintf("/distribution-orders/%v", made["id"])
	same(t, "read again", made, c.must("GET", order, ""), nil)
	if got := c.specimen("D-01"); got["availableQty"] != 10.0 || got["availabilityStatus"] != "Available" {
		t.Errorf("a pending order took of the specimen: %v", got)
	}

	items := func(list string) string {
		return `{` + strings.Replace(head, "First", "Other", 1) + `,"status":"PENDING","orderItems":[` + list + `]}`
	}
	for body, code := range map[string]string{
		`{}`:                                                            "DIST_ORDER_DP_REQUIRED",
		`{"distributionProtocol":{"id":9}}`:                             "DP_NOT_FOUND",
		`{"distributionProtocol":{"id":1}}`:                             "DIST_ORDER_NAME_REQUIRED,DIST_ORDER_INVALID_STATUS,DIST_ORDER_REQUESTER_REQ",
		`{` + head + `,"status":"DONE"}`:                                "DIST_ORDER_INVALID_STATUS",
		`{` + head + `,"status":"PENDING"}`:                             "DIST_ORDER_DUP_NAME",
		`{` + head + `,"status":"EXECUTED"}`:                            "DIST_ORDER_NO_SPECIMENS_TO_DIST",
		`{` + head + `,"status":"PENDING","siteName":"Nowhere"}`:        "SITE_NOT_FOUND",
		`{` + head + `,"status":"PENDING","distributor":{"id":99}}`:     "USER_NOT_FOUND",
		`{` + head + `,"status":"PENDING","activityStatus":"Disabled"}`: "ACTIVITY_STATUS_INVALID",
		`{` + head + `,"status":"PENDING","orderItems":{}}`:             "INVALID_REQUEST",
		items(`{"specimen":{"label":"NONE"},"quantity":1}`):             "DIST_ORDER_SPECIMEN_DOES_NOT_EXIST",
		items(`{"quantity":1}`):                                         "DIST_ORDER_SPECIMEN_DOES_NOT_EXIST",
		items(`{"specimen":{"label":"D-01"},"quantity":1},{"specimen":{"barcode":"DB-01"},"quantity":1}`): "DIST_ORDER_DUPLICATE_SPECIMENS",
		items(`{"specimen":{"label":"D-01"}}`):                                                      "DIST_ORDER_ITEM_QTY_REQ",
		items(`{"specimen":{"label":"D-01"},"quantity":0}`):                                         "DIST_ORDER_ITEM_INVALID_QTY",
		items(`{"specimen":{"label":"D-01"},"quantity":-1}`):                                        "DIST_ORDER_ITEM_INVALID_QTY",
		items(`{"specimen":{"label":"D-01"},"quantity":10.5}`):                                      "DIST_ORDER_ITEM_INVALID_QTY",
		items(`{"specimen":{"label":"D-01"},"quantity":1,"status":"RETURNED"}`):                     "DIST_ORDER_INVALID_STATUS",
		items(`{"specimen":{"label":"D-01"},"quantity":1,"cost":-1}`):                               "COMMON_INVALID_INPUT",
		items(strings.TrimSuffix(strings.Repeat(`{"specimen":{"id":1},"quantity":1},`, 1001), ",")): "COMMON_INVALID_INPUT",
	} {
		c.do("POST", "/distribution-orders", body).refused(t, 400, code)
	}
	c.must("PUT", fmt.Sprintf("/specimens/%v/status", c.specimen("D-06")["id"]), `{"status":"Closed"}`)
	c.do("POST", "/distribution-orders", items(`{"specimen":{"label":"D-06"},"quantity":1}`)).refused(t, 400, "DIST_ORDER_CLOSED_SPECIMENS")
	c.do("PUT", "/distribution-orders/99", items("")).refused(t, 400, "DIST_ORDER_NOT_FOUND")

	t.Run("items", func(t *testing.T) {
		got := c.must("POST", "/distribution-orders/specimens", fmt.Sprintf(`{"orderId":%v,"orderItems":[{"specimen":{"label":"D-03"},"quantity":1}]}`, made["id"]))
		if list := got["orderItems"].([]any); len(list) != 3 || got["name"] != "First" {
			t.Fatalf("added: %v", got)
		}
		c.do("POST", "/distribution-orders/specimens", fmt.Sprintf(`{"orderId":%v}`, made["id"])).refused(t, 400, "INVALID_REQUEST")
		c.do("POST", "/distribution-orders/specimens", fmt.Sprintf(`{"orderId":%v,"orderItems":[{"specimen":{"label":"D-03"},"quantity":1}]}`, made["id"])).
			refused(t, 400, "DIST_ORDER_DUPLICATE_SPECIMENS")
		third := c.list("GET", order+"/items?startAt=2", "")
		if len(third) != 1 || third[0]["specimen"].(map[string]any)["label"] != "D-03" {
			t.Fatalf("items: %v", third)
		}
		c.do("DELETE", order+"/items", "").refused(t, 400, "INVALID_REQUEST")
		c.do("DELETE", order+"/items?itemId=99", "").refused(t, 400, "INVALID_REQUEST")
		if got := column(c.list("DELETE", fmt.Sprintf("%s/items?itemId=%v", order, third[0]["id"]), ""), "id"); got != fmt.Sprint(third[0]["id"]) {
			t.Errorf("dropped %s", got)
		}
		if got := len(c.list("GET", order+"/items", "")); got != 2 {
			t.Errorf("%d items are left", got)
		}
	})

	executed := c.must("PUT", order, `{`+head+`,"status":"EXECUTED","copyItemsFromExistingOrder":true,"executionDate":"2026-02-01"}`)
	if executed["status"] != "EXECUTED" || executed["distributor"].(map[string]any)["id"] != 2.0 || executed["completed"] != true || executed["async"] != false ||
		executed["trackingUrl"] != nil || executed["executionDate"] != float64(time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC).UnixMilli()) {
		t.Errorf("executed: %v", executed)
	}
	if got := c.specimen("D-01"); got["availableQty"] != 6.0 || got["availabilityStatus"] != "Available" || got["activityStatus"] != "Active" {
		t.Errorf("D-01: %v %v %v", got["availableQty"], got["availabilityStatus"], got["activityStatus"])
	}
	if got := c.specimen("D-02"); got["availableQty"] != 0.0 || got["availabilityStatus"] != "Distributed" || got["activityStatus"] != "Closed" {
		t.Errorf("D-02: %v %v %v", got["availableQty"], got["availabilityStatus"], got["activityStatus"])
	}
	c.do("PUT", order, `{`+head+`,"status":"EXECUTED","copyItemsFromExistingOrder":true}`).refused(t, 400, "DIST_ORDER_ALREADY_EXECUTED")
	c.do("PUT", order, `{`+head+`,"status":"PENDING"}`).refused(t, 400, "DIST_ORDER_ALREADY_EXECUTED")
	c.do("DELETE", order, "").refused(t, 400, "DIST_ORDER_CANT_DELETE_EXEC_ORDER")
	c.do("DELETE", fmt.Sprintf("%s/items?itemId=%v", order, c.list("GET", order+"/items", "")[0]["id"]), "").refused(t, 400, "DIST_ORDER_ALREADY_EXECUTED")
	c.do("DELETE", "/distribution-protocols/1", "").refused(t, 400, "DP_REF_ENTITY_FOUND")
	if got := c.do("GET", "/distribution-protocols/1/dependent-entities", "").body; got != `[{"name":"distribution_order","count":1}]` {
		t.Errorf("dependents: %s", got)
	}

	second := c.must("POST", "/distribution-orders", `{"name":"Second","distributionProtocol":{"id":1},"requester":{"id":2},"status":"EXECUTED","distributeAvailableQty":true,
		"orderItems":[{"specimen":{"label":"D-03"},"quantity":4,"status":"DISTRIBUTED_AND_CLOSED"},{"specimen":{"label":"D-04"}},{"specimen":{"label":"D-05"},"quantity":10,"status":"DISTRIBUTED"}]}`)
	for label, want := range map[string]string{"D-03": "6 Distributed Closed", "D-04": "0 Distributed Closed", "D-05": "0 Distributed Active"} {
		if got := c.specimen(label); fmt.Sprint(got["availableQty"], " ", got["availabilityStatus"], " ", got["activityStatus"]) != want {
			t.Errorf("%s: %v %v %v, want %s", label, got["availableQty"], got["availabilityStatus"], got["activityStatus"], want)
		}
	}

	t.Run("lists", func(t *testing.T) {
		localtest.HandlerOnly(t) // the second one's date is that of the clock
		for query, want := range map[string]string{
			"": "First,Second", "?query=fir": "First", "?dpShortTitle=dp": "First,Second", "?dpShortTitle=none": "", "?dpId=1": "First,Second", "?dpId=2": "",
			"?requestor=admin": "First,Second", "?requestor=nobody": "", "?requestorId=2": "First,Second", "?requestorId=3": "", "?requestId=1": "",
			"?executionDate=2026-02-01": "First", "?receivingSite=North+Biobank": "First,Second", "?receivingSite=South": "", "?receivingInstitute=default+institute": "First,Second",
			"?receivingInstitute=x": "", "?status=PENDING": "", "?status=executed&maxResults=1": "First", "?startAt=1": "Second",
		} {
			if got := column(c.list("GET", "/distribution-orders"+query, ""), "name"); got != want {
				t.Errorf("%s: %s, want %s", query, got, want)
			}
		}
		if got := column(c.list("GET", "/distribution-orders?includeStats=true", ""), "specimenCnt"); got != "2,3" {
			t.Errorf("counts: %s", got)
		}
		if got := c.must("GET", "/distribution-orders/count?status=EXECUTED", "")["count"]; got != 2.0 {
			t.Errorf("count: %v", got)
		}
		c.do("GET", "/distribution-orders?executionDate=soon", "").refused(t, 400, "INVALID_REQUEST")
		stats := c.list("GET", "/distribution-protocols/orders?dpId=1&groupBy=specimenType,anatomicSite,pathologyStatus", "")
		if column(stats, "distributedSpecimenCount") != "3,2" || fmt.Sprint(stats[0]["groupByAttrVals"]) != "map[anatomicSite:Not Specified pathologyStatus:Not Specified specimenType:Whole Blood]" {
			t.Errorf("stats: %v", stats)
		}
		c.do("GET", "/distribution-protocols/orders?groupBy=colour", "").refused(t, 400, "INVALID_REQUEST")
		report := c.do("GET", order+"/report", "")
		if report.header.Get("Content-Type") != "application/csv" || !strings.Contains(report.body, `"First","EXECUTED","INV","INV-1","INV-1.B.1","D-01","DB-01"`) {
			t.Errorf("report: %s", report.body)
		}
		found := c.list("GET", "/distribution-orders/specimens?label=D-01,D-04&label=D-06", "")
		if column(found, "orderName") != "First,Second" {
			t.Errorf("found: %v", found)
		}
		if got := c.list("GET", fmt.Sprintf("/distribution-orders/specimens?label=D-01&orderId=%v", second["id"]), ""); len(got) != 0 {
			t.Errorf("found in another order: %v", got)
		}
	})
	t.Run("cells", func(t *testing.T) {
		c.must("POST", "/storage-containers", `{"name":"Rack","siteName":"North Biobank","noOfRows":1,"noOfColumns":2,"storeSpecimensEnabled":true}`)
		for _, label := range []string{"C-1", "C-2"} {
			c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"label":%q,"type":"Whole Blood","initialQty":10,"storageLocation":{"name":"Rack"}}`, s.visit, label))
		}
		o := c.must("POST", "/distribution-orders", `{"name":"Cells","distributionProtocol":{"id":1},"requester":{"id":2},"status":"EXECUTED",
			"orderItems":[{"specimen":{"label":"C-1"},"quantity":10},{"specimen":{"label":"C-2"},"quantity":1}]}`)
		lies := func(label string) any { return c.specimen(label)["storageLocation"].(map[string]any)["name"] }
		if lies("C-1") != nil || lies("C-2") != "Rack" {
			t.Errorf("after the order they lie in %v and %v", lies("C-1"), lies("C-2"))
		}
		for range 2 {
			c.must("POST", fmt.Sprintf("/distribution-orders/%v/retrieve", o["id"]), "")
			if lies("C-2") != nil {
				t.Errorf("retrieved, it lies in %v", lies("C-2"))
			}
		}
		c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"label":"C-3","type":"Whole Blood","initialQty":10,"storageLocation":{"name":"Rack","positionX":"1","positionY":"1"}}`, s.visit))
		c.must("POST", "/shipments", `{"name":"Box","sendingSite":"North Biobank","receivingSite":"North Biobank","status":"Shipped","shipmentSpmns":[{"specimen":{"label":"C-3"}}]}`)
		box := c.list("GET", "/shipments?name=Box", "")[0]["id"]
		c.must("PUT", fmt.Sprintf("/shipments/%v", box), `{"name":"Box","status":"Received","shipmentSpmns":[{"specimen":{"label":"C-3"},"receivedQuality":"Acceptable"}]}`)
		if lies("C-3") != nil || c.specimen("C-3")["storageSite"] != "North Biobank" {
			t.Errorf("received, it lies in %v", lies("C-3"))
		}
		c.must("DELETE", fmt.Sprintf("/shipments/%v", c.must("POST", "/shipments", `{"name":"Never","sendingSite":"North Biobank","receivingSite":"North Biobank","status":"Pending"}`)["id"]), "")
	})
	t.Run("delete", func(t *testing.T) {
		p := c.must("POST", "/distribution-orders", items(`{"specimen":{"label":"D-01"},"quantity":1}`))
		gone := c.must("DELETE", fmt.Sprintf("/distribution-orders/%v", p["id"]), "")
		if gone["activityStatus"] != "Disabled" {
			t.Errorf("deleted: %v", gone)
		}
		c.do("GET", fmt.Sprintf("/distribution-orders/%v", p["id"]), "").refused(t, 400, "DIST_ORDER_NOT_FOUND")
		c.must("POST", "/distribution-orders", items(""))
	})
	t.Run("closed and expired", func(t *testing.T) {
		c.must("PUT", "/distribution-protocols/1/activity-status", `{"activityStatus":"Closed"}`)
		c.do("POST", "/distribution-orders", strings.Replace(items(""), "Other", "Late", 1)).refused(t, 400, "DP_CLOSED")
		c.must("PUT", "/distribution-protocols/1", `{"title":"Receivers","shortTitle":"DP","instituteName":"Default Institute","endDate":"2026-02-28","principalInvestigator":{"id":2},"distributingSites":{"Default Institute":[]}}`)
		c.do("POST", "/distribution-orders", strings.Replace(items(""), "Other", "Late", 1)).refused(t, 400, "DP_EXPIRED")
	})
}

func TestReturnOfSpecimens(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newDepot(c, 2)
	o := c.must("POST", "/distribution-orders", `{"name":"First","distributionProtocol":{"id":1},"requester":{"id":2},"status":"EXECUTED",
		"orderItems":[{"specimen":{"label":"D-01"},"quantity":10}]}`)
	c.must("POST", "/distribution-orders", `{"name":"Later","distributionProtocol":{"id":1},"requester":{"id":2},"status":"PENDING","orderItems":[{"specimen":{"label":"D-02"},"quantity":1}]}`)
	for body, code := range map[string]string{
		`{}`:                                   "INVALID_REQUEST",
		`[{"orderName":"None","quantity":1}]`:  "DIST_ORDER_NOT_FOUND",
		`[{"orderName":"First","quantity":1}]`: "DIST_ORDER_SPECIMEN_DOES_NOT_EXIST",
		`[{"orderName":"First","specimenLabel":"D-02","quantity":1}]`:                      "DIST_ORDER_NOT_DISTRIBUTED",
		`[{"orderName":"Later","specimenLabel":"D-02","quantity":1}]`:                      "DIST_ORDER_NOT_DISTRIBUTED",
		`[{"orderName":"First","specimenLabel":"D-01"}]`:                                   "DIST_ORDER_RETURN_QTY_REQ",
		`[{"orderName":"First","specimenLabel":"D-01","quantity":10.1}]`:                   "DIST_ORDER_INVALID_RETURN_QUANTITY",
		`[{"orderName":"First","specimenLabel":"D-01","quantity":-1}]`:                     "DIST_ORDER_INVALID_RETURN_QUANTITY",
		`[{"orderName":"First","specimenLabel":"D-01","quantity":1,"user":{"id":99}}]`:     "USER_NOT_FOUND",
		`[{"orderName":"First","specimenLabel":"D-01","quantity":1},{"orderName":"None"}]`: "DIST_ORDER_NOT_FOUND",
	} {
		c.do("POST", "/distribution-orders/return-specimens", body).refused(t, 400, code)
	}
	back := c.list("POST", "/distribution-orders/return-specimens", `[{"orderName":"first","specimenLabel":"D-01","quantity":"8","user":{"loginName":"admin"},
		"time":"2026-02-03","comments":"not used","incrFreezeThaw":true}]`)
	if got := back[0]; got["availableQty"] != 8.0 || got["availabilityStatus"] != "Available" || got["activityStatus"] != "Active" || got["freezeThawCycles"] != 1.0 {
		t.Errorf("returned: %v", got)
	}
	item := c.list("GET", fmt.Sprintf("/distribution-orders/%v/items", o["id"]), "")[0]
	if item["status"] != "RETURNED" || item["returnedQuantity"] != 8.0 || item["returnComments"] != "not used" || item["quantity"] != 10.0 {
		t.Errorf("item: %v", item)
	}
	c.do("POST", "/distribution-orders/return-specimens", fmt.Sprintf(`[{"orderId":%v,"specimenLabel":"D-01","quantity":1}]`, o["id"])).refused(t, 400, "DIST_ORDER_SPECIMEN_ALREADY_RETURNED")
	if got := c.specimen("D-01")["availableQty"]; got != 8.0 {
		t.Errorf("a refused return left %v", got)
	}
}

// A specimen that a person closed after it was given out stays closed when it comes back.
func TestReturnOfADisposedSpecimen(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newDepot(c, 2)
	c.must("POST", "/distribution-orders", `{"name":"First","distributionProtocol":{"id":1},"requester":{"id":2},"status":"EXECUTED",
		"orderItems":[{"specimen":{"label":"D-01"},"quantity":10,"status":"DISTRIBUTED"},{"specimen":{"label":"D-02"},"quantity":10,"status":"DISTRIBUTED_AND_CLOSED"}]}`)
	c.must("PUT", fmt.Sprintf("/specimens/%v/status", c.specimen("D-01")["id"]), `{"status":"Closed","reason":"Spoiled"}`)
	c.list("POST", "/distribution-orders/return-specimens", `[{"orderName":"First","specimenLabel":"D-01","quantity":8},{"orderName":"First","specimenLabel":"D-02","quantity":8}]`)
	for label, want := range map[string]string{"D-01": "Closed", "D-02": "Active"} {
		if got := c.specimen(label); got["activityStatus"] != want || got["availableQty"] != 8.0 {
			t.Errorf("%s came back %v with %v, want %s", label, got["activityStatus"], got["availableQty"], want)
		}
	}
}

func TestReservedSpecimens(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newDepot(c, 3)
	c.must("POST", "/distribution-protocols", `{"title":"Others","shortTitle":"OT","instituteName":"Default Institute","principalInvestigator":{"id":2},"distributingSites":{"Default Institute":[]}}`)
	const path = "/distribution-protocols/1/reserved-specimens"
	for body, code := range map[string]string{
		`{}`: "INVALID_REQUEST", `{"specimens":{}}`: "INVALID_REQUEST", `{"specimens":[{"id":99}]}`: "SPECIMEN_NOT_FOUND", `{"specimens":[{"label":"D-01"},{"label":"NONE"}]}`: "SPECIMEN_NOT_FOUND",
	} {
		c.do("PUT", path, body).refused(t, 400, code)
	}
	c.do("PUT", "/distribution-protocols/9/reserved-specimens", `{"specimens":[{"label":"D-01"}]}`).refused(t, 400, "DP_NOT_FOUND")
	if got := c.list("GET", path, ""); len(got) != 0 {
		t.Errorf("a refused reservation left %v", got)
	}
	for range 2 { // again changes nothing
		if got := c.must("PUT", path, `{"specimens":[{"label":"D-01"},{"barcode":"DB-02"}],"comments":"wanted"}`)["count"]; got != 2.0 {
			t.Errorf("reserved %v", got)
		}
	}
	if got := column(c.list("GET", path+"?startAt=1", ""), "label"); got != "D-02" {
		t.Errorf("reserved are %s", got)
	}
	one := c.specimen("D-01")
	if one["reserved"] != true || one["dpId"] != 1.0 || one["availabilityStatus"] != "Reserved" {
		t.Errorf("specimen: %v %v %v", one["reserved"], one["dpId"], one["availabilityStatus"])
	}
	spec := fmt.Sprintf("/specimens/%v", one["id"])
	c.do("PUT", spec, `{"comments":"x"}`).refused(t, 400, "SPECIMEN_RESV_EDIT_NOT_ALLOWED")
	c.do("DELETE", spec, "").refused(t, 400, "SPECIMEN_RESV_EDIT_NOT_ALLOWED")
	c.do("POST", "/specimens", fmt.Sprintf(`{"parentId":%v,"label":"A","lineage":"Aliquot","initialQty":1}`, one["id"])).refused(t, 400, "SPECIMEN_RESV_EDIT_NOT_ALLOWED")
	c.must("PUT", spec, `{"label":"D-01"}`) // as it is
	c.do("PUT", "/distribution-protocols/2/reserved-specimens", `{"specimens":[{"label":"D-01"}]}`).refused(t, 400, "SPECIMEN_NOT_AVAILABLE_FOR_DIST")
	const order = `{"name":"%s","distributionProtocol":{"id":%d},"requester":{"id":2},"status":"EXECUTED","orderItems":[{"specimen":{"label":"%s"},"quantity":1}],"allReservedSpmns":%t,"distributeAvailableQty":true}`
	c.do("POST", "/distribution-orders", fmt.Sprintf(order, "O", 2, "D-01", false)).refused(t, 400, "SPECIMEN_NOT_AVAILABLE_FOR_DIST")

	c.must("PUT", "/distribution-protocols/2/reserved-specimens", `{"specimens":[{"label":"D-01"}],"cancelOp":true}`) // not theirs: nothing
	c.must("PUT", path, `{"specimens":[{"label":"D-01"}],"cancelOp":true}`)
	c.must("PUT", spec, `{"comments":"x"}`)
	c.must("PUT", path, `{"specimens":[{"label":"D-01"}]}`)

	got := c.must("POST", "/distribution-orders", fmt.Sprintf(order, "All", 1, "D-02", true))
	var labels []string
	for _, item := range got["orderItems"].([]any) {
		labels = append(labels, fmt.Sprint(item.(map[string]any)["specimen"].(map[string]any)["label"], item.(map[string]any)["quantity"]))
	}
	if strings.Join(labels, " ") != "D-021 D-0110" {
		t.Errorf("the order has %v", labels)
	}
	if got := c.list("GET", path, ""); len(got) != 0 {
		t.Errorf("still reserved: %v", got)
	}
}

// crash is a store that fails after some transactions.
type crash struct {
	biobank.Store
	left int
}

var errCrash = errors.New("the machine is gone")

func (s *crash) Transact(ctx context.Context, writes []biobank.Write) ([]biobank.Result, error) {
	if s.left--; s.left < 0 {
		return nil, errCrash
	}
	return s.Store.Transact(ctx, writes)
}

// stock imports specimens M-1 and so on, of 5 each.
func (w *world) stock(s study, n int) {
	w.t.Helper()
	w.stockOf(n, func(i int) *biobank.SpecimenDraft {
		return &biobank.SpecimenDraft{VisitID: s.visit, Doc: biobank.SpecimenDoc{Label: fmt.Sprintf("M-%d", i), Type: "Whole Blood", InitialQty: biobank.Q(5), AvailableQty: biobank.Q(5)}}
	})
}

// stockOf imports n specimens, counted from 1.
func (w *world) stockOf(n int, draft func(i int) *biobank.SpecimenDraft) {
	w.t.Helper()
	actor, err := w.registry.Actor(w.t.Context(), biobank.AdminUserID)
	if err != nil {
		w.t.Fatal(err)
	}
	first, err := w.registry.Store.Reserve(w.t.Context(), string(biobank.Specimen), int64(n+1))
	if err != nil {
		w.t.Fatal(err)
	}
	var changes []biobank.Change
	for i := 1; i <= n; i++ {
		changes = append(changes, biobank.Change{
			Op: biobank.Create, Source: fmt.Sprintf("stock#%d", i), Row: int64(i), Reserved: map[string]int64{string(biobank.Specimen): first},
			Draft: draft(i),
		})
	}
	out, err := w.registry.Import(actor, w.clock(), time.UTC, false).Apply(w.t.Context(), changes)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, o := range out {
		if o.Err != nil {
			w.t.Fatal(o.Err)
		}
	}
}

func TestALargeOrderIsExecutedOnce(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newDepot(c, 1)
	const n = 310
	w.stock(s, n)
	var items []string
	for i := 1; i <= n; i++ {
		items = append(items, fmt.Sprintf(`{"specimen":{"label":"M-%d"},"quantity":2}`, i))
	}
	body := func(status, list string) string {
		return `{"name":"Many","distributionProtocol":{"id":1},"requester":{"id":2},"status":"` + status + `","orderItems":[` + list + `]}`
	}
	all := strings.Join(items, ",")
	made := c.must("POST", "/distribution-orders", body("PENDING", all))
	order := fmt.Sprintf("/distribution-orders/%v", made["id"])
	if got := len(made["orderItems"].([]any)); got != n {
		t.Fatalf("the order has %d items", got)
	}
	c.do("PUT", order, body("EXECUTED", strings.Replace(all, `"M-310"},"quantity":2`, `"M-310"},"quantity":6`, 1))).refused(t, 400, "DIST_ORDER_ITEM_INVALID_QTY")
	if got := c.specimen("M-1")["availableQty"]; got != 5.0 {
		t.Errorf("a refused execution left %v", got)
	}

	localtest.HandlerOnly(t)
	// Cut short after 4 of 18 transactions, twice.
	real := w.registry.Store
	for range 2 {
		w.registry.Store = &crash{real, 4}
		if a := c.do("PUT", order, body("EXECUTED", all)); a.status != 500 {
			t.Fatalf("cut short: %d %s", a.status, a.body)
		}
		w.registry.Store = real
	}
	if got := c.must("GET", order, "")["status"]; got != "PENDING" {
		t.Errorf("cut short, the order is %v", got)
	}
	if a, b := c.specimen("M-1")["availableQty"], c.specimen("M-310")["availableQty"]; a != 3.0 || b != 5.0 {
		t.Errorf("cut short, the first has %v and the last %v", a, b)
	}
	c.do("PUT", order, body("EXECUTED", strings.Join(items[200:], ","))).refused(t, 400, "COMMON_INVALID_INPUT")
	c.do("DELETE", order, "").refused(t, 400, "DIST_ORDER_CANT_DELETE_EXEC_ORDER")

	if got := c.must("PUT", order, body("EXECUTED", all))["status"]; got != "EXECUTED" {
		t.Errorf("sent again, the order is %v", got)
	}
	actor, err := w.registry.Actor(t.Context(), biobank.AdminUserID)
	if err != nil {
		t.Fatal(err)
	}
	left := map[string]int{}
	for from := 1; from <= n; from += 100 {
		var labels []string
		for i := from; i < min(from+100, n+1); i++ {
			labels = append(labels, fmt.Sprintf("M-%d", i))
		}
		recs, err := w.registry.ByName(t.Context(), actor, biobank.Specimen, labels)
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range recs {
			doc, err := biobank.Decode[biobank.SpecimenDoc](rec)
			if err != nil {
				t.Fatal(err)
			}
			left[doc.AvailableQty.String()]++
		}
	}
	if left["3"] != n {
		t.Errorf("what is left of how many: %v, want 3 of each", left)
	}
	c.do("PUT", order, body("EXECUTED", all)).refused(t, 400, "DIST_ORDER_ALREADY_EXECUTED")
	if got := c.must("GET", order+"/audit", "")["verified"]; got != true {
		t.Error("the audit of the order does not hold")
	}
}

func TestWhoWorksOnOrders(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newDepot(c, 2)
	c.must("POST", "/institutes", `{"name":"Elsewhere"}`)
	c.must("POST", "/sites", `{"name":"South","instituteName":"Elsewhere","type":"Repository"}`)
	c.must("POST", "/distribution-protocols", `{"title":"Far","shortTitle":"FAR","instituteName":"Default Institute","principalInvestigator":{"id":2},"distributingSites":{"Elsewhere":[]}}`)
	c.must("POST", "/collection-protocols", `{"shortTitle":"HID","title":"Hidden","principalInvestigator":{"id":2},"cpSites":[{"siteName":"North Biobank"}],"manualSpecLabelEnabled":true}`)
	reg := c.must("POST", "/collection-protocol-registrations", `{"cpShortTitle":"HID","ppid":"H","registrationDate":"2022-01-01","participant":{}}`)
	event := c.must("POST", "/collection-protocol-events", `{"eventLabel":"E","cpShortTitle":"HID"}`)
	visit := c.must("POST", "/visits", fmt.Sprintf(`{"cprId":%v,"eventId":%v,"name":"H-1","site":"North Biobank"}`, reg["id"], event["id"]))
	c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%v,"label":"H-01","type":"Whole Blood","initialQty":10}`, visit["id"]))
	tech := w.newUser("tech", "NONE", biobank.Grant{ID: 1, Role: "Technician", ProtocolID: s.cp})
	reader := w.newUser("reader", "NONE", biobank.Grant{ID: 1, Role: "Researcher", ProtocolID: s.cp})
	stranger := w.newUser("stranger", "NONE")

	order := func(dp int, label, status string) string {
		return fmt.Sprintf(`{"name":"%s %d","distributionProtocol":{"id":%d},"requester":{"id":2},"status":%q,"orderItems":[{"specimen":{"label":%q},"quantity":1}]}`, label, dp, dp, status, label)
	}
	c.do("POST", "/distribution-orders", order(2, "D-01", "PENDING")).refused(t, 400, "DIST_ORDER_INVALID_SPECIMENS_FOR_DP")
	tech.do("POST", "/distribution-orders", order(1, "H-01", "PENDING")).refused(t, 400, "DIST_ORDER_SPECIMEN_DOES_NOT_EXIST")
	tech.do("PUT", "/distribution-protocols/1/reserved-specimens", `{"specimens":[{"label":"H-01"}]}`).refused(t, 400, "SPECIMEN_NOT_FOUND")
	reader.do("POST", "/distribution-orders", order(1, "D-01", "PENDING")).refused(t, 400, "RBAC_ACCESS_DENIED")
	mine := tech.must("POST", "/distribution-orders", order(1, "D-01", "EXECUTED"))
	hidden := c.must("POST", "/distribution-orders", order(1, "H-01", "EXECUTED"))

	got := tech.must("GET", fmt.Sprintf("/distribution-orders/%v", hidden["id"]), "")["orderItems"].([]any)[0].(map[string]any)
	if got["specimen"] != nil || got["quantity"] != 1.0 {
		t.Errorf("the technician sees of what is hidden: %v", got)
	}
	tech.do("POST", "/distribution-orders/return-specimens", fmt.Sprintf(`[{"orderId":%v,"specimenLabel":"H-01","quantity":1}]`, hidden["id"])).refused(t, 400, "DIST_ORDER_SPECIMEN_DOES_NOT_EXIST")
	for who, want := range map[*caller][3]int{&c: {2, 2, 2}, &tech: {2, 1, 1}, &reader: {2, 1, 1}, &stranger: {0, 0, 0}} {
		n := [3]int{
			len(who.list("GET", "/distribution-orders", "")),
			len(who.list("GET", "/distribution-protocols/orders", "")),
			len(who.list("GET", "/distribution-orders/specimens?label=D-01,H-01", "")),
		}
		if n != want {
			t.Errorf("orders, stats and specimens seen are %v, want %v", n, want)
		}
	}
	pending := c.must("POST", "/distribution-orders", order(1, "D-02", "PENDING"))
	path := fmt.Sprintf("/distribution-orders/%v", pending["id"])
	reader.do("DELETE", path, "").refused(t, 400, "RBAC_ACCESS_DENIED")
	stranger.do("DELETE", path, "").refused(t, 400, "RBAC_ACCESS_DENIED")
	stranger.do("GET", path, "").refused(t, 400, "RBAC_ACCESS_DENIED")
	tech.must("DELETE", path, "")
	reader.do("POST", "/distribution-orders/return-specimens", fmt.Sprintf(`[{"orderId":%v,"specimenLabel":"D-01","quantity":1}]`, mine["id"])).refused(t, 400, "RBAC_ACCESS_DENIED")
	if log := w.logged(); strings.Contains(log, "D-01") || strings.Contains(log, "H-01") {
		t.Error("a label got into the log")
	}
}

// Where the specimens of an order are held, and which cells wait for them.
func TestHoldingLocations(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newDepot(c, 5)
	w.newFreezer(c)
	c.must("POST", "/storage-containers", `{"name":"Tray","siteName":"North Biobank","noOfRows":2,"noOfColumns":2,"usedFor":"DISTRIBUTION","storeSpecimensEnabled":true,"allowedDistributionProtocols":["DP"]}`)
	c.must("POST", "/storage-containers", `{"name":"Bench","siteName":"North Biobank","storeSpecimensEnabled":true}`)
	c.must("POST", "/storage-containers", `{"name":"Shut","siteName":"North Biobank","storeSpecimensEnabled":true}`)
	c.must("PATCH", fmt.Sprintf("/storage-containers/%v", c.must("GET", "/storage-containers/byname?name=Shut", "")["id"]), `{"activityStatus":"Closed"}`)
	c.must("POST", "/distribution-protocols", `{"title":"Others","shortTitle":"OTHER","instituteName":"Default Institute","principalInvestigator":{"id":2},"distributingSites":{"Default Institute":[]}}`)
	path := func(label string) string { return fmt.Sprintf("/specimens/%v", c.specimen(label)["id"]) }
	for i := range 4 {
		c.must("PUT", path(fmt.Sprintf("D-%02d", i+1)), `{"storageLocation":{"name":"Box"}}`)
	}
	free := func(name string, want float64) {
		t.Helper()
		if got := c.must("GET", "/storage-containers/byname?name="+name, "")["freePositions"]; got != want {
			t.Errorf("%s has %v free positions, want %v", name, got, want)
		}
	}
	n := 0
	order := func(dp, status, items string, more ...string) answer {
		n++
		return c.do("POST", "/distribution-orders", fmt.Sprintf(`{"name":"O-%d","distributionProtocol":{"shortTitle":%q},"requester":{"id":2},"status":%q,"orderItems":[%s]%s}`,
			n, dp, status, items, strings.Join(more, "")))
	}
	for holding, code := range map[string]string{
		`{"name":"None"}`:    "STORAGE_CONTAINER_NOT_FOUND",
		`{"name":"Shut"}`:    "STORAGE_CONTAINER_ARCHIVED",
		`{"name":"Freezer"}`: "STORAGE_CONTAINER_CANNOT_HOLD_SPECIMEN",
		`{"name":"Tray","positionX":"3","positionY":"1"}`: "STORAGE_CONTAINER_INV_POS",
		`{"position":1}`: "STORAGE_CONTAINER_ID_NAME_OR_BARCODE_REQ",
		`"Tray"`:         "INVALID_REQUEST",
	} {
		order("DP", "PENDING", `{"specimen":{"label":"D-01"},"quantity":1,"holdingLocation":`+holding+`}`).refused(t, 400, code)
	}
	order("OTHER", "PENDING", `{"specimen":{"label":"D-01"},"quantity":1,"holdingLocation":{"name":"Tray"}}`).refused(t, 400, "STORAGE_CONTAINER_CANNOT_HOLD_SPECIMEN")
	order("DP", "PENDING", `{"specimen":{"label":"D-01"},"quantity":10,"holdingLocation":{"name":"Tray"}}`).refused(t, 400, "SPECIMEN_STORE_NOT_ALLOWED")

	var pending map[string]any
	mustDecode(t, order("DP", "PENDING", `{"specimen":{"label":"D-01"},"quantity":1,"holdingLocation":{"name":"Tray","positionX":"2","positionY":"2"}}`), &pending)
	if got := pending["orderItems"].([]any)[0].(map[string]any)["holdingLocation"].(map[string]any); got["name"] != "Tray" || got["position"] != 4.0 || pending["checkout"] != false {
		t.Errorf("to be held in %v", got)
	}
	if got := at(c.specimen("D-01")); got != "Box A1" {
		t.Errorf("a pending order moved the specimen to %s", got)
	}
	order("DP", "EXECUTED", `{"specimen":{"label":"D-01"},"quantity":1,"holdingLocation":{"name":"Tray"}},{"specimen":{"label":"D-02"},"quantity":1,"holdingLocation":{"name":"Tray","position":4}},
		{"specimen":{"label":"D-05"},"quantity":1,"holdingLocation":{"name":"Bench"}}`)
	if got := at(c.specimen("D-01")) + at(c.specimen("D-02")) + at(c.specimen("D-05")); got != "Tray 11Tray 22Bench <nil><nil>" {
		t.Error(got)
	}
	free("Box", 4)
	free("Tray", 2)
	order("DP", "EXECUTED", `{"specimen":{"label":"D-04"},"quantity":1,"holdingLocation":{"name":"Tray","position":4}}`).refused(t, 400, "STORAGE_CONTAINER_NO_FREE_SPACE")

	// With checkout the cells are kept: of what is held, and of what lies nowhere.
	order("DP", "EXECUTED", `{"specimen":{"label":"D-03"},"quantity":1,"holdingLocation":{"name":"Tray"}},{"specimen":{"label":"D-04"},"quantity":1}`, `,"checkout":true`)
	three, four := c.specimen("D-03"), c.specimen("D-04")
	if at(three) != "Tray 12" || three["checkedOut"] != true || three["checkoutPosition"].(map[string]any)["position"] != 3.0 {
		t.Errorf("held: %s, %v", at(three), three["checkoutPosition"])
	}
	if at(four) != "<nil> <nil><nil>" || four["checkedOut"] != true {
		t.Errorf("checked out: %s, %v", at(four), four["checkedOut"])
	}
	free("Box", 4)
	free("Tray", 1)

	name := func(label string) string {
		return c.list("GET", "/distribution-orders/specimens?label="+label, "")[0]["orderName"].(string)
	}
	back := func(label, location string) answer {
		return c.do("POST", "/distribution-orders/return-specimens", fmt.Sprintf(`[{"orderName":%q,"specimenLabel":%q,"quantity":1,"location":%s}]`, name(label), label, location))
	}
	back("D-03", `{"name":"Box","position":9}`).refused(t, 400, "STORAGE_CONTAINER_INV_POS")
	back("D-03", `{"name":"Box","position":4}`).refused(t, 400, "STORAGE_CONTAINER_NO_FREE_SPACE") // kept for D-04
	if a := back("D-03", `{"name":"Box","position":3}`); a.status != 200 {
		t.Error(a.body)
	}
	if got := c.specimen("D-03"); at(got) != "Box A3" || got["checkedOut"] != false {
		t.Errorf("back in %s", at(got))
	}
	free("Tray", 2)
	if a := back("D-01", `{"name":"Box"}`); a.status != 200 || at(c.specimen("D-01")) != "Box A1" {
		t.Errorf("%s, %s", a.body, at(c.specimen("D-01")))
	}

	t.Run("of a specimen", func(t *testing.T) {
		got := c.must("PUT", path("D-03"), `{"checkout":true,"holdingLocation":{"name":"Bench"},"transferComments":"to the bench"}`)
		if at(got) != "Bench <nil><nil>" || got["checkedOut"] != true {
			t.Errorf("%s, checked out %v", at(got), got["checkedOut"])
		}
		got = c.must("PUT", path("D-03"), `{"checkout":true,"holdingLocation":{}}`)
		if at(got) != "<nil> <nil><nil>" || got["checkoutPosition"].(map[string]any)["name"] != "Box" {
			t.Errorf("%s, kept %v", at(got), got["checkoutPosition"])
		}
		c.do("PUT", path("D-03"), `{"holdingLocation":{"name":"Tray"}}`).refused(t, 400, "STORAGE_CONTAINER_CANNOT_HOLD_SPECIMEN")
		got = c.must("PUT", path("D-03"), `{"holdingLocation":{"name":"Bench"}}`)
		if at(got) != "Bench <nil><nil>" || got["checkedOut"] != false {
			t.Errorf("%s, checked out %v", at(got), got["checkedOut"])
		}
	})
	if h := c.must("GET", path("D-03")+"/audit", ""); h["verified"] != true {
		t.Error("the audit of the specimen does not hold")
	}
}
