package api_test

import (
	"fmt"
	"strings"
	"testing"

	"aliquot/infra/local/localtest"
	"aliquot/shared/biobank"
)

func TestShipments(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newDepot(c, 4)
	c.must("POST", "/institutes", `{"name":"Elsewhere"}`)
	c.must("POST", "/sites", `{"name":"South","instituteName":"Elsewhere","type":"Repository"}`)
	const head = `"name":"Box 1","sendingSite":"North Biobank","receivingSite":"South"`
	items := func(list string) string { return `,"shipmentSpmns":[` + list + `]` }
	a := c.do("POST", "/shipments", `{`+head+`,"status":"pending","courierName":"Van","trackingNumber":"7","notifyUsers":[{"loginName":"admin"}],"senderComments":"cold"`+
		items(`{"specimen":{"label":"D-01"}},{"specimen":{"barcode":"DB-02"}}`)+`}`)
	golden(t, "shipment", a.body)
	made := map[string]any{}
	mustDecode(t, a, &made)
	path := fmt.Sprintf("/shipments/%v", made["id"])
	same(t, "read again", made, c.must("GET", path, ""), nil)

	other := strings.Replace(head, "Box 1", "Box 2", 1)
	c.must("PUT", fmt.Sprintf("/specimens/%v/status", c.specimen("D-04")["id"]), `{"status":"Closed"}`)
	for body, code := range map[string]string{
		`{}`:                                               "SHIPMENT_NAME_REQUIRED,SHIPMENT_INVALID_STATUS,SHIPMENT_SEND_SITE_REQUIRED,SHIPMENT_RECV_SITE_REQUIRED",
		`{` + head + `,"status":"Pending"}`:                "SHIPMENT_DUP_NAME",
		`{` + other + `,"status":"Lost"}`:                  "SHIPMENT_INVALID_STATUS",
		`{` + other + `,"status":"Received"}`:              "SHIPMENT_STATUS_CHANGE_NOT_ALLOWED",
		`{` + other + `,"status":"Shipped"}`:               "SHIPMENT_NO_SPECIMENS_TO_SHIP",
		`{` + other + `,"status":"Pending","type":"BOAT"}`: "SHIPMENT_INVALID_TYPE",
		`{` + strings.Replace(other, "South", "Nowhere", 1) + `,"status":"Pending"}`:                                               "SITE_NOT_FOUND",
		`{` + other + `,"status":"Pending","sender":{"id":99}}`:                                                                    "USER_NOT_FOUND",
		`{` + other + `,"status":"Pending","notifyUsers":[{"id":99}]}`:                                                             "USER_NOT_FOUND",
		`{` + other + `,"status":"Pending"` + items(`{"specimen":{"label":"NONE"}}`) + `}`:                                         "SPECIMEN_NOT_FOUND",
		`{` + other + `,"status":"Pending"` + items(`{"specimen":{"label":"D-04"}}`) + `}`:                                         "SHIPMENT_INVALID_SPECIMENS",
		`{` + other + `,"status":"Pending"` + items(`{"specimen":{"label":"D-01"}},{"specimen":{"barcode":"DB-01"}}`) + `}`:        "SHIPMENT_DUPLICATE_SPECIMENS",
		`{` + other + `,"status":"Pending","shipmentSpmns":{}}`:                                                                    "INVALID_REQUEST",
		`{` + other + `,"status":"Pending"` + items(strings.TrimSuffix(strings.Repeat(`{"specimen":{"id":1}},`, 1001), ",")) + `}`: "COMMON_INVALID_INPUT",
	} {
		c.do("POST", "/shipments", body).refused(t, 400, code)
	}
	c.do("PUT", "/shipments/99", `{`+head+`,"status":"Pending"}`).refused(t, 400, "SHIPMENT_NOT_FOUND")
	both := `{"specimen":{"label":"D-01"}},{"specimen":{"label":"D-03"}}`
	c.must("PUT", path, `{`+head+`,"status":"Pending"`+items(both)+`}`)
	c.do("PUT", path, `{`+head+`,"status":"Received"}`).refused(t, 400, "SHIPMENT_STATUS_CHANGE_NOT_ALLOWED")

	sent := c.must("PUT", path, `{`+head+`,"status":"SHIPPED","shippedDate":"2026-02-27"`+items(both)+`}`)
	if sent["status"] != "Shipped" || sent["sender"].(map[string]any)["id"] != 2.0 || sent["specimensCount"] != 2.0 {
		t.Errorf("sent: %v", sent)
	}
	for body, code := range map[string]string{
		`{` + head + `,"status":"Pending"}`:                     "SHIPMENT_STATUS_CHANGE_NOT_ALLOWED",
		`{` + head + `,"status":"Shipped"` + items(both) + `}`:  "SHIPMENT_STATUS_CHANGE_NOT_ALLOWED",
		`{` + head + `,"type":"CONTAINER","status":"Received"}`: "SHIPMENT_CANNOT_CHG_TYPE",
		`{` + head + `,"status":"Received"` + items(both) + `}`: "SHIPMENT_RECV_QUALITY_REQ,SHIPMENT_RECV_QUALITY_REQ",
		`{` + head + `,"status":"Received"}`:                    "SHIPMENT_INVALID_SHIPPED_SPECIMENS",
		`{` + head + `,"status":"Received"` + items(`{"specimen":{"label":"D-01"},"receivedQuality":"Acceptable"},{"specimen":{"label":"D-02"},"receivedQuality":"Acceptable"}`) + `}`: "SHIPMENT_INVALID_SHIPPED_SPECIMENS",
		`{` + head + `,"status":"Received"` + items(`{"specimen":{"label":"D-01"},"receivedQuality":"Acceptable"},{"specimen":{"label":"D-03"},"receivedQuality":"Odd"}`) + `}`:        "SPECIMEN_INVALID_RECV_QUALITY",
	} {
		c.do("PUT", path, body).refused(t, 400, code)
	}
	c.do("DELETE", path, "").refused(t, 400, "SHIPMENT_STATUS_CHANGE_NOT_ALLOWED")
	c.do("PUT", path+"/request-status", `{"requestStatus":"Accepted"}`).refused(t, 400, "SHIPMENT_STATUS_CHANGE_NOT_ALLOWED")

	// Who receives need not see the specimens; sites that are sent now are not looked at.
	there := w.newUserOf("Elsewhere", "there", "NONE", biobank.Grant{ID: 1, Role: "Technician", SiteID: 2})
	got := there.must("PUT", path, strings.Replace(`{`+head+`,"status":"received","receiverComments":"warm"`, "North Biobank", "South", 1)+
		items(`{"specimen":{"label":"D-03"},"receivedQuality":"acceptable"},{"specimen":{"label":"D-01"},"receivedQuality":"Not Specified"}`)+`}`)
	if got["status"] != "Received" || got["sendingSite"] != "North Biobank" || got["shippedDate"] != sent["shippedDate"] || got["receivedDate"] == nil {
		t.Errorf("received: %v", got)
	}
	if one := got["shipmentSpmns"].([]any)[1].(map[string]any); one["specimen"] != nil || one["receivedQuality"] != "Acceptable" {
		t.Errorf("the receiver sees %v", one)
	}
	if got := c.specimen("D-03")["storageSite"]; got != "South" {
		t.Errorf("the specimen is at %v", got)
	}
	c.must("PUT", path, `{`+head+`,"status":"Received"`+items(`{"specimen":{"label":"D-03"},"receivedQuality":"Not Specified"},{"specimen":{"label":"D-01"},"receivedQuality":"Not Specified"}`)+`}`)

	t.Run("lists", func(t *testing.T) {
		c.must("POST", "/shipments", `{`+other+`,"status":"Pending","request":true,"requesterComments":"please"}`)
		localtest.HandlerOnly(t) // its date is that of the clock
		for query, want := range map[string]string{
			"": "Box 1,Box 2", "?name=2": "Box 2", "?sendingSite=North+Biobank": "Box 1,Box 2", "?sendingSite=South": "", "?recvSite=South": "Box 1,Box 2", "?recvSite=None": "",
			"?recvInstitute=elsewhere": "Box 1,Box 2", "?recvInstitute=x": "", "?status=received": "Box 1", "?requestStatus=Pending": "Box 2", "?labelOrBarcode=D-03": "Box 1",
			"?labelOrBarcode=DB-01": "Box 1", "?labelOrBarcode=D-02": "", "?labelOrBarcode=NONE": "", "?startAt=1": "Box 2",
		} {
			if got := column(c.list("GET", "/shipments"+query, ""), "name"); got != want {
				t.Errorf("%s: %s, want %s", query, got, want)
			}
		}
		if got := column(c.list("GET", "/shipments?includeStats=true", ""), "specimensCount"); got != "2,0" {
			t.Errorf("counts: %s", got)
		}
		if got := c.must("GET", "/shipments/count?status=Pending", "")["count"]; got != 1.0 {
			t.Errorf("count: %v", got)
		}
		label := func(list []map[string]any) (labels []string) {
			for _, v := range list {
				labels = append(labels, fmt.Sprint(v["specimen"].(map[string]any)["label"]))
			}
			return labels
		}
		for query, want := range map[string]string{"": "[D-01 D-03]", "?orderBy=label&direction=desc": "[D-03 D-01]", "?orderBy=ppid&maxResults=1": "[D-01]", "?orderBy=type&startAt=1": "[D-03]", "?orderBy=barcode": "[D-01 D-03]"} {
			if got := fmt.Sprint(label(c.list("GET", path+"/specimens"+query, ""))); got != want {
				t.Errorf("%s: %s, want %s", query, got, want)
			}
		}
		c.do("GET", path+"/specimens?orderBy=colour", "").refused(t, 400, "INVALID_REQUEST")
		if got := c.do("GET", path+"/report", "").body; !strings.Contains(got, `"Box 1","Received","North Biobank","South","INV"`) {
			t.Errorf("report: %s", got)
		}
	})
	t.Run("requests", func(t *testing.T) {
		box := fmt.Sprintf("/shipments/%v", c.list("GET", "/shipments?name=Box+2", "")[0]["id"])
		c.do("PUT", box+"/request-status", `{"requestStatus":"Perhaps"}`).refused(t, 400, "SHIPMENT_INVALID_STATUS")
		there.do("PUT", box+"/request-status", `{"requestStatus":"Accepted"}`).refused(t, 400, "RBAC_ACCESS_DENIED")
		if got := c.must("PUT", box+"/request-status", `{"requestStatus":"rejected","comments":"no"}`)["requestStatus"]; got != "Rejected" {
			t.Errorf("request is %v", got)
		}
		c.do("PUT", box, `{`+other+`,"status":"Shipped"`+items(`{"specimen":{"label":"D-02"}}`)+`}`).refused(t, 400, "SHIPMENT_STATUS_CHANGE_NOT_ALLOWED")
		if got := there.must("POST", "/shipments", `{`+strings.Replace(head, "Box 1", "Box 3", 1)+`,"status":"Pending","request":true}`); got["requestStatus"] != "Pending" || got["requester"] == nil {
			t.Errorf("requested: %v", got)
		}
		c.must("DELETE", box, "")
		c.do("GET", box, "").refused(t, 400, "SHIPMENT_NOT_FOUND")
	})
	t.Run("who", func(t *testing.T) {
		here := w.newUser("here", "NONE", biobank.Grant{ID: 1, Role: "Technician", ProtocolID: s.cp, SiteID: 1})
		reader := w.newUser("reader", "NONE", biobank.Grant{ID: 1, Role: "Researcher", ProtocolID: s.cp})
		four := strings.Replace(head, "Box 1", "Box 4", 1)
		for _, who := range []caller{reader, there} {
			who.do("POST", "/shipments", `{`+four+`,"status":"Pending"}`).refused(t, 400, "RBAC_ACCESS_DENIED")
		}
		box := fmt.Sprintf("/shipments/%v", here.must("POST", "/shipments", `{`+four+`,"status":"Pending"`+items(`{"specimen":{"label":"D-02"}}`)+`}`)["id"])
		there.do("PUT", box, `{`+four+`,"status":"Shipped"`+items(`{"specimen":{"label":"D-02"}}`)+`}`).refused(t, 400, "RBAC_ACCESS_DENIED")
		for _, call := range []string{"GET ", "GET /specimens", "GET /containers", "GET /report", "GET /audit", "DELETE "} {
			verb, below, _ := strings.Cut(call, " ")
			reader.do(verb, box+below, "").refused(t, 400, "RBAC_ACCESS_DENIED")
		}
		if got := len(reader.list("GET", "/shipments", "")); got != 0 {
			t.Errorf("the reader sees %d", got)
		}
		there.do("DELETE", box, "").refused(t, 400, "RBAC_ACCESS_DENIED")
		here.must("PUT", box, `{`+four+`,"status":"Shipped"`+items(`{"specimen":{"label":"D-02"}}`)+`}`)
		here.do("PUT", box, `{`+four+`,"status":"Received"`+items(`{"specimen":{"label":"D-02"},"receivedQuality":"Acceptable"}`)+`}`).refused(t, 400, "RBAC_ACCESS_DENIED")
	})
}

// Who may not see a shipment learns nothing of it, whatever is sent for it.
func TestShipmentsTellNothingToWhoMayNotSeeThem(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newDepot(c, 1)
	const head = `"name":"Secret","sendingSite":"North Biobank","receivingSite":"North Biobank"`
	path := fmt.Sprintf("/shipments/%v", c.must("POST", "/shipments", `{`+head+`,"status":"Shipped","shipmentSpmns":[{"specimen":{"label":"D-01"}}]}`)["id"])
	stranger := w.newUser("stranger", "NONE")
	for _, call := range []struct{ method, path, body string }{
		{"GET", path, ""},
		{"DELETE", path, ""},
		{"PUT", path, `{}`},
		{"PUT", path, `{` + head + `,"type":"CONTAINER","status":"Pending"}`},
		{"PUT", path, `{` + head + `,"status":"Pending"}`},
		{"PUT", path, `{` + head + `,"status":"Received"}`},
		{"PUT", path + "/request-status", `{"requestStatus":"Accepted"}`},
	} {
		a := stranger.do(call.method, call.path, call.body)
		a.refused(t, 400, "RBAC_ACCESS_DENIED")
		if strings.Contains(a.body, "Secret") || strings.Contains(a.body, "Shipped") {
			t.Errorf("%s %s tells %s", call.method, call.body, a.body)
		}
	}
}

func TestALargeShipmentArrivesWhole(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newDepot(c, 1)
	const n = 130
	w.stock(s, n)
	c.must("POST", "/sites", `{"name":"South","instituteName":"Default Institute","type":"Repository"}`)
	var items []string
	for i := range n {
		items = append(items, fmt.Sprintf(`{"specimen":{"label":"M-%d"},"receivedQuality":"Acceptable"}`, i+1))
	}
	body := func(status string) string {
		return `{"name":"Many","sendingSite":"North Biobank","receivingSite":"South","status":"` + status + `","shipmentSpmns":[` + strings.Join(items, ",") + `]}`
	}
	path := fmt.Sprintf("/shipments/%v", c.must("POST", "/shipments", body("Shipped"))["id"])
	localtest.HandlerOnly(t)
	real := w.registry.Store
	w.registry.Store = &crash{real, 2}
	if a := c.do("PUT", path, body("Received")); a.status != 500 {
		t.Fatalf("cut short: %d %s", a.status, a.body)
	}
	w.registry.Store = real
	if got := c.must("GET", path, "")["status"]; got != "Shipped" {
		t.Errorf("cut short, the shipment is %v", got)
	}
	if got := c.must("PUT", path, body("Received"))["status"]; got != "Received" {
		t.Errorf("sent again, the shipment is %v", got)
	}
	for _, label := range []string{"M-1", "M-60", "M-61", "M-130"} {
		if got := c.specimen(label)["storageSite"]; got != "South" {
			t.Errorf("%s is at %v", label, got)
		}
	}
	if got := c.must("GET", path+"/audit", "")["verified"]; got != true {
		t.Error("the audit of the shipment does not hold")
	}
}

// A shipment of containers takes what lies in them along.
func TestContainerShipments(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	freezer, box := w.newFreezer(c)
	c.must("POST", "/sites", `{"name":"South","instituteName":"Default Institute","type":"Repository"}`)
	c.must("POST", "/sites", `{"name":"Far","instituteName":"Default Institute","type":"Repository"}`)
	c.must("PUT", fmt.Sprintf("/collection-protocols/%d", s.cp), `{"shortTitle":"INV","title":"Invented study","principalInvestigator":{"id":2},
		"cpSites":[{"siteName":"North Biobank"},{"siteName":"South"}],"manualSpecLabelEnabled":true}`)
	one := c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"label":"CS-1","type":"Whole Blood","initialQty":1,"storageLocation":{"name":"Box"}}`, s.visit))
	c.must("POST", "/storage-containers", `{"name":"Crate","storageLocation":{"name":"Freezer"}}`)
	c.must("POST", "/storage-containers", `{"name":"Shut","siteName":"North Biobank"}`)
	c.must("PATCH", fmt.Sprintf("/storage-containers/%v", c.must("GET", "/storage-containers/byname?name=Shut", "")["id"]), `{"activityStatus":"Closed"}`)
	c.must("POST", "/storage-containers", `{"name":"Yonder","siteName":"South"}`)

	const head = `"name":"Boxes","type":"container","sendingSite":"North Biobank","receivingSite":"South"`
	items := func(list string) string { return `,"shipmentContainers":[` + list + `]` }
	for body, code := range map[string]string{
		`{` + head + `,"status":"Shipped"}`:                                                                                       "SHIPMENT_NO_CONTAINERS_TO_SHIP",
		`{` + head + `,"status":"Pending"` + items(`{"container":{"name":"None"}}`) + `}`:                                         "STORAGE_CONTAINER_NOT_FOUND",
		`{` + head + `,"status":"Pending"` + items(`{"container":{"id":99}}`) + `}`:                                               "STORAGE_CONTAINER_NOT_FOUND",
		`{` + head + `,"status":"Pending"` + items(`{}`) + `}`:                                                                    "STORAGE_CONTAINER_NOT_FOUND",
		`{` + head + `,"status":"Pending"` + items(`{"container":{"name":"Shut"}}`) + `}`:                                         "SHIPMENT_INVALID_CONTAINERS",
		`{` + head + `,"status":"Pending"` + items(`{"container":{"name":"Yonder"}}`) + `}`:                                       "SHIPMENT_INVALID_CONTAINERS",
		`{` + head + `,"status":"Pending"` + items(`{"container":"Box"}`) + `}`:                                                   "INVALID_REQUEST",
		`{` + head + `,"status":"Pending","shipmentContainers":{}}`:                                                               "INVALID_REQUEST",
		`{` + head + `,"status":"Pending"` + items(`{"container":{"name":"Box"}},{"container":{"barcode":"BX"}}`) + `}`:           "SHIPMENT_DUPLICATE_CONTAINERS",
		`{` + head + `,"status":"Pending"` + items(`{"container":{"name":"Box"}},{"container":{"name":"Freezer"}}`) + `}`:         "SHIPMENT_DUPLICATE_CONTAINERS",
		`{` + strings.Replace(head, "South", "Far", 1) + `,"status":"Shipped"` + items(`{"container":{"name":"Box"}}`) + `}`:      "STORAGE_CONTAINER_CANNOT_HOLD_SPECIMEN",
		`{` + head + `,"status":"Pending"` + items(strings.TrimSuffix(strings.Repeat(`{"container":{"id":1}},`, 101), ",")) + `}`: "COMMON_INVALID_INPUT",
	} {
		c.do("POST", "/shipments", body).refused(t, 400, code)
	}
	if n := c.must("GET", "/shipments/count", "")["count"]; n != 0.0 {
		t.Fatalf("%v shipments were made of refused ones", n)
	}
	both := `{"container":{"barcode":"BX"}},{"container":{"name":"Crate"}}`
	a := c.do("POST", "/shipments", `{`+head+`,"status":"Pending"`+items(both)+`}`)
	golden(t, "shipment-containers", a.body)
	made := map[string]any{}
	mustDecode(t, a, &made)
	path := fmt.Sprintf("/shipments/%v", made["id"])
	c.do("PUT", path, `{`+strings.Replace(head, "container", "specimen", 1)+`,"status":"Pending"}`).refused(t, 400, "SHIPMENT_CANNOT_CHG_TYPE")
	c.must("PUT", path, `{`+strings.Replace(head, `"type":"container",`, "", 1)+`,"status":"Shipped"`+items(both)+`}`)
	if got := c.must("GET", fmt.Sprintf("/storage-containers/%d", box), ""); got["siteName"] != "North Biobank" || at(got) != "Freezer 11" {
		t.Errorf("on the way the box is at %v, %s", got["siteName"], at(got))
	}
	arrived := func(list string) string {
		return `{` + head + `,"status":"Received"` + items(list) + `}`
	}
	const good = `"receivedQuality":"Acceptable"`
	for body, code := range map[string]string{
		arrived(both): "SHIPMENT_RECV_QUALITY_REQ,SHIPMENT_RECV_QUALITY_REQ",
		arrived(`{"container":{"name":"Box"},` + good + `}`):                                                        "SHIPMENT_INVALID_SHIPPED_CONTAINERS",
		arrived(`{"container":{"name":"Box"},` + good + `},{"container":{"name":"None"},` + good + `}`):             "SHIPMENT_INVALID_SHIPPED_CONTAINERS",
		arrived(`{"container":{"name":"Box"},` + good + `},{"container":{"name":"Crate"},"receivedQuality":"Odd"}`): "SPECIMEN_INVALID_RECV_QUALITY",
	} {
		c.do("PUT", path, body).refused(t, 400, code)
	}

	// Who receives need not see the containers; afterwards they are theirs.
	there := w.newUser("there", "NONE", biobank.Grant{ID: 1, Role: "Technician", SiteID: 2})
	got := there.must("PUT", path, arrived(`{"container":{"name":"crate"},"receivedQuality":"Not Specified"},{"container":{"id":`+fmt.Sprint(box)+`},`+good+`}`))
	if got["status"] != "Received" || got["containersCount"] != 2.0 || got["specimensCount"] != 0.0 {
		t.Errorf("received: %v", got)
	}
	if v := c.must("GET", fmt.Sprintf("/storage-containers/%d", box), ""); v["siteName"] != "South" || v["storageLocation"] != nil {
		t.Errorf("the box is at %v in %v", v["siteName"], v["storageLocation"])
	}
	if v := c.must("GET", fmt.Sprintf("/specimens/%v", one["id"]), ""); at(v) != "Box A1" || v["storageSite"] != "South" {
		t.Errorf("the specimen is at %v, %s", v["storageSite"], at(v))
	}
	if v := c.must("GET", fmt.Sprintf("/storage-containers/%d", freezer), ""); v["freePositions"] != 4.0 {
		t.Errorf("the freezer has %v free positions", v["freePositions"])
	}
	if moves := c.list("GET", fmt.Sprintf("/storage-containers/%d/transfer-events", box), ""); len(moves) != 1 || moves[0]["toSite"] != "South" {
		t.Errorf("moves: %v", moves)
	}
	if h := c.must("GET", fmt.Sprintf("/storage-containers/%d/audit", box), ""); h["verified"] != true {
		t.Error("the audit of the box does not hold")
	}

	// Received again it has another quality; a container that was put away since stays there.
	c.must("POST", "/storage-containers", `{"name":"Room","siteName":"South","noOfRows":1,"noOfColumns":2}`)
	c.must("PATCH", fmt.Sprintf("/storage-containers/%d", box), `{"storageLocation":{"name":"Room"}}`)
	got = c.must("PUT", path, arrived(`{"container":{"name":"Crate"},`+good+`},{"container":{"name":"Box"},`+good+`}`))
	if v := got["shipmentContainers"].([]any)[1].(map[string]any); v["receivedQuality"] != "Acceptable" {
		t.Errorf("received again: %v", v["receivedQuality"])
	}
	if v := c.must("GET", fmt.Sprintf("/storage-containers/%d", box), ""); at(v) != "Room 11" {
		t.Errorf("the box is in %s", at(v))
	}

	for query, want := range map[string]string{"": "Box,Crate", "?orderBy=name&direction=desc": "Crate,Box", "?orderBy=barcode&maxResults=1": "Crate", "?startAt=1": "Crate"} {
		var names []string
		for _, v := range c.list("GET", path+"/containers"+query, "") {
			names = append(names, fmt.Sprint(v["container"].(map[string]any)["name"]))
		}
		if got := strings.Join(names, ","); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	c.do("GET", path+"/containers?orderBy=label", "").refused(t, 400, "INVALID_REQUEST")
	if got := c.list("GET", path+"/specimens", ""); len(got) != 0 {
		t.Errorf("specimens: %v", got)
	}
	for query, want := range map[string]string{"?name=Crate&name=Box": "Crate,Box", "?name=Box,None": "Box", "?name=Freezer&sendingSite=South": "", "?name=Freezer&sendingSite=north+biobank": "Freezer", "": ""} {
		if got := column(c.list("GET", "/shipments/containers"+query, ""), "name"); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	for query, want := range map[string]string{"?labelOrBarcode=BX": "Boxes", "?labelOrBarcode=crate": "Boxes", "?labelOrBarcode=Freezer": "", "?labelOrBarcode=CS-1": ""} {
		if got := column(c.list("GET", "/shipments"+query, ""), "name"); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	if got := c.do("GET", path+"/report", "").body; !strings.Contains(got, `"Boxes","Received","North Biobank","South","Box","BX","","","2","3","Acceptable"`) {
		t.Errorf("report: %s", got)
	}
}

// The arrival of a specimen takes it out of its cell: so it is sent from where it is stored, by who may send from there.
func TestSpecimensAreShippedFromWhereTheyAreStored(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newDepot(c, 2)
	w.newFreezer(c)
	for _, site := range []string{"South", "Far"} {
		c.must("POST", "/sites", fmt.Sprintf(`{"name":%q,"instituteName":"Default Institute","type":"Repository"}`, site))
	}
	path := fmt.Sprintf("/specimens/%v", c.specimen("D-01")["id"])
	c.must("PUT", path, `{"storageLocation":{"name":"Box"}}`)
	c.must("POST", "/rbac/roles", `{"name":"Driver","acl":[{"resourceName":"Specimen","operations":[{"operationName":"Read"}]},
		{"resourceName":"ShippingAndTracking","operations":[{"operationName":"Create"},{"operationName":"Read"},{"operationName":"Update"}]}]}`)
	driver := w.newUser("driver", "NONE", biobank.Grant{ID: 1, Role: "Driver", SiteID: 2}, biobank.Grant{ID: 2, Role: "Driver", SiteID: 3},
		biobank.Grant{ID: 3, Role: "Researcher", ProtocolID: s.cp})
	body := func(name, from, to, label, status string) string {
		return fmt.Sprintf(`{"name":%q,"sendingSite":%q,"receivingSite":%q,"status":%q,"shipmentSpmns":[{"specimen":{"label":%q},"receivedQuality":"Acceptable"}]}`, name, from, to, status, label)
	}
	driver.do("POST", "/shipments", body("One", "South", "Far", "D-01", "Shipped")).refused(t, 400, "SHIPMENT_INVALID_SPECIMENS")
	driver.do("POST", "/shipments", body("One", "South", "Far", "D-01", "Pending")).refused(t, 400, "SHIPMENT_INVALID_SPECIMENS")
	driver.must("POST", "/shipments", body("Loose", "South", "Far", "D-02", "Shipped")) // it is stored nowhere

	sent := fmt.Sprintf("/shipments/%v", c.must("POST", "/shipments", body("One", "North Biobank", "South", "D-01", "Shipped"))["id"])
	driver.must("PUT", sent, body("One", "North Biobank", "South", "D-01", "Received"))
	if got := c.must("GET", path, "")["storageSite"]; got != "South" {
		t.Fatalf("the specimen is at %v", got)
	}
	c.do("POST", "/shipments", body("Two", "North Biobank", "Far", "D-01", "Shipped")).refused(t, 400, "SHIPMENT_INVALID_SPECIMENS")
	driver.must("POST", "/shipments", body("Two", "South", "Far", "D-01", "Shipped"))
}
