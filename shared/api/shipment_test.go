package api_test

import (
	"fmt"
	"strings"
	"testing"

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
		`{}`:                                                    "SHIPMENT_NAME_REQUIRED,SHIPMENT_INVALID_STATUS,SHIPMENT_SEND_SITE_REQUIRED,SHIPMENT_RECV_SITE_REQUIRED",
		`{` + head + `,"status":"Pending"}`:                     "SHIPMENT_DUP_NAME",
		`{` + other + `,"status":"Lost"}`:                       "SHIPMENT_INVALID_STATUS",
		`{` + other + `,"status":"Received"}`:                   "SHIPMENT_STATUS_CHANGE_NOT_ALLOWED",
		`{` + other + `,"status":"Shipped"}`:                    "SHIPMENT_NO_SPECIMENS_TO_SHIP",
		`{` + other + `,"status":"Pending","type":"CONTAINER"}`: "SHIPMENT_INVALID_TYPE",
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
		`{` + head + `,"type":"CONTAINER","status":"Received"}`: "SHIPMENT_INVALID_TYPE",
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
		if got := c.do("GET", path+"/report", "").body; !strings.Contains(got, `"Box 1","Received","INV"`) {
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
		for _, call := range []string{"GET ", "GET /specimens", "GET /report", "GET /audit", "DELETE "} {
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
