package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"aliquot/shared/biobank"
)

func TestCarts(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newDepot(c, 4)
	var ids []string
	for i := range 4 {
		ids = append(ids, fmt.Sprint(c.specimen(fmt.Sprintf("D-%02d", i+1))["id"]))
	}
	kid := fmt.Sprint(c.must("POST", "/specimens", fmt.Sprintf(`{"parentId":%s,"label":"D-01-1","lineage":"Aliquot","initialQty":1}`, ids[0]))["id"])
	list := func(ids ...string) string { return "[" + strings.Join(ids, ",") + "]" }

	a := c.do("POST", "/specimen-lists", fmt.Sprintf(`{"name":"To ship","description":"next week","sendDigestNotifs":true,"sourceEntityType":"query","sourceEntityId":3,"specimenIds":%s}`, list(ids[1], ids[0])))
	golden(t, "cart", a.body)
	cart := map[string]any{}
	mustDecode(t, a, &cart)
	path := fmt.Sprintf("/specimen-lists/%v", cart["id"])
	same(t, "read again", cart, c.must("GET", path, ""), nil)
	for body, code := range map[string]string{
		`{}`: "SPECIMEN_LIST_NAME_REQUIRED", `{"name":"to SHIP"}`: "SPECIMEN_LIST_DUP_NAME", `{"name":"B","specimenIds":[99]}`: "SPECIMEN_LIST_INVALID_SPECIMENS",
		`{"name":"B","sharedWith":[{"id":99}]}`: "SPECIMEN_LIST_INVALID_USERS_LIST", `{"name":"B","specimenIds":["x"]}`: "INVALID_REQUEST",
		`{"name":"B","activityStatus":"Disabled"}`: "ACTIVITY_STATUS_INVALID",
	} {
		c.do("POST", "/specimen-lists", body).refused(t, 400, code)
	}
	if got := c.must("GET", "/specimen-lists/count", "")["count"]; got != 2.0 {
		t.Errorf("after refused carts there are %v", got)
	}

	t.Run("content", func(t *testing.T) {
		for _, tt := range []struct {
			op, ids string
			count   float64
		}{
			{"?operation=ADD", list(ids[0], ids[2]), 3},
			{"", list(ids[2]), 3},
			{"?operation=remove", list(ids[0], "99"), 2},
			{"?operation=REMOVE", list(ids[0]), 2},
			{"?operation=UPDATE", list(ids[3], ids[0]), 2},
			{"?operation=UPDATE", "[]", 0},
			{"?operation=ADD", list(ids...), 4},
		} {
			if got := c.must("PUT", path+"/specimens"+tt.op, tt.ids)["count"]; got != tt.count {
				t.Errorf("%s %s: %v, want %v", tt.op, tt.ids, got, tt.count)
			}
			if got := c.must("GET", path+"/specimens-count", "")["count"]; got != tt.count {
				t.Errorf("%s %s: counted %v, want %v", tt.op, tt.ids, got, tt.count)
			}
		}
		c.do("PUT", path+"/specimens?operation=SWAP", "[]").refused(t, 400, "INVALID_REQUEST")
		c.do("PUT", path+"/specimens", "{}").refused(t, 400, "INVALID_REQUEST")
		c.do("PUT", path+"/specimens", `["x"]`).refused(t, 400, "INVALID_REQUEST")
		c.do("PUT", path+"/specimens", list(ids[0], "99")).refused(t, 400, "SPECIMEN_LIST_INVALID_SPECIMENS")
		c.do("PUT", "/specimen-lists/99/specimens", list(ids[0])).refused(t, 400, "SPECIMEN_LIST_NOT_FOUND")
		c.must("PUT", fmt.Sprintf("/specimens/%s/status", ids[3]), `{"status":"Closed"}`)
		for query, want := range map[string]string{
			"": "D-01,D-02,D-03,D-04", "?startAt=1&maxResults=2": "D-02,D-03", "?label=d-02": "D-02", "?label=D-02,D-04": "D-02,D-04", fmt.Sprintf("?cpId=%d", s.cp): "D-01,D-02,D-03,D-04",
			"?cpId=99": "", "?ppid=inv": "D-01,D-02,D-03,D-04", "?ppid=X": "", "?lineage=Aliquot": "", "?type=Whole+Blood&lineage=New": "D-01,D-02,D-03,D-04",
			"?anatomicSite=Liver": "", "?container=Box": "", "?available=true": "D-01,D-02,D-03", "?noQty=true": "", "?includeListCount=true&maxResults=1": "D-01",
		} {
			if got := column(c.list("GET", path+"/specimens"+query, ""), "label"); got != want {
				t.Errorf("%s: %s, want %s", query, got, want)
			}
		}
		if got := c.must("POST", path+"/add-child-specimens", "")["count"]; got != 5.0 {
			t.Errorf("with children there are %v", got)
		}
		if got := column(c.list("GET", path+"/specimens-sorted-by-rel", ""), "id"); got != strings.Join([]string{ids[0], kid, ids[1], ids[2], ids[3]}, ",") {
			t.Errorf("by relation: %s", got)
		}
		if got := c.do("GET", path+"/report", ""); !strings.Contains(got.body, `"D-01-1"`) || got.header.Get("Content-Type") != "application/csv" {
			t.Errorf("report: %s", got.body)
		}
		c.must("DELETE", "/specimens/"+kid, "")
		if got := len(c.must("GET", path, "")["specimenIds"].([]any)); got != 4 {
			t.Errorf("with a deleted one there are %d", got)
		}
	})

	t.Run("the default cart", func(t *testing.T) {
		none := c.must("GET", "/specimen-lists/0", "")
		if none["defaultList"] != true || none["specimenCount"] != 0.0 {
			t.Errorf("empty: %v", none)
		}
		c.do("PUT", "/specimen-lists/0/users", "[3]").refused(t, 400, "SPECIMEN_LIST_NOT_FOUND")
		if got := c.must("PUT", "/specimen-lists/0/specimens", list(ids[0]))["count"]; got != 1.0 {
			t.Errorf("filled: %v", got)
		}
		if got := column(c.list("GET", "/specimen-lists", ""), "specimenCount"); got != "1,5" {
			t.Errorf("counts: %s", got)
		}
		if got := column(c.list("GET", "/specimen-lists/0/specimens", ""), "label"); got != "D-01" {
			t.Errorf("in it: %s", got)
		}
	})
	t.Run("change", func(t *testing.T) {
		got := c.must("PATCH", path, `{"description":"soon"}`)
		if got["name"] != "To ship" || got["description"] != "soon" || got["sendDigestNotifs"] != true {
			t.Errorf("patched: %v", got)
		}
		got = c.must("PUT", path, `{"name":"Shipped"}`)
		if got["name"] != "Shipped" || got["description"] != nil || got["specimenCount"] != 5.0 || got["defaultList"] != false {
			t.Errorf("replaced: %v", got)
		}
		c.must("POST", path+"/labels", "")
		if got := column(c.list("GET", "/specimen-lists?orderByStarred=true", ""), "starred"); got != "true,false" {
			t.Errorf("stars: %s", got)
		}
		if got := column(c.list("GET", "/specimen-lists?name=ship&includeStats=true&maxResults=5", ""), "name"); got != "Shipped" {
			t.Errorf("named: %s", got)
		}
		if got := c.must("GET", path+"/audit", "")["entries"].([]any); len(got) < 5 {
			t.Errorf("the audit has %d entries", len(got))
		}
	})
	t.Run("an order of a cart", func(t *testing.T) {
		order := c.must("POST", "/distribution-orders", fmt.Sprintf(`{"name":"Of a cart","distributionProtocol":{"id":1},"requester":{"id":2},"status":"EXECUTED","specimenList":{"id":%v},
			"distributeAvailableQty":true,"orderItems":[{"specimen":{"label":"D-01"},"quantity":1}]}`, c.list("GET", "/specimen-lists?name=default", "")[0]["id"]))
		if got := order["orderItems"].([]any); len(got) != 1 {
			t.Errorf("items: %v", got)
		}
		c.do("POST", "/distribution-orders", `{"name":"B","distributionProtocol":{"id":1},"requester":{"id":2},"status":"EXECUTED","specimenList":{"id":99}}`).refused(t, 400, "SPECIMEN_LIST_NOT_FOUND")
		c.do("POST", "/distribution-orders", `{"name":"B","distributionProtocol":{"id":1},"requester":{"id":2},"status":"EXECUTED","clearListId":99}`).refused(t, 400, "SPECIMEN_LIST_NOT_FOUND")
		c.do("POST", "/distribution-orders", `{"name":"B","distributionProtocol":{"id":1},"requester":{"id":2},"status":"EXECUTED","clearListMode":"x"}`).refused(t, 400, "INVALID_REQUEST")
		c.must("POST", "/distribution-orders", fmt.Sprintf(`{"name":"B","distributionProtocol":{"id":1},"requester":{"id":2},"status":"EXECUTED","clearListId":%v,"clearListMode":"distributed",
			"orderItems":[{"specimen":{"label":"D-02"},"quantity":1}]}`, cart["id"]))
		if got := column(c.list("GET", path+"/specimens", ""), "label"); got != "D-01,D-03,D-04" {
			t.Errorf("left in the cart: %s", got)
		}
	})
	gone := c.must("DELETE", path, "")
	if gone["activityStatus"] != "Disabled" {
		t.Errorf("deleted: %v", gone)
	}
	c.do("GET", path, "").refused(t, 400, "SPECIMEN_LIST_NOT_FOUND")
	c.must("POST", "/specimen-lists", `{"name":"Shipped"}`)
}

func TestWhoUsesACart(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newDepot(c, 2)
	one, two := fmt.Sprint(c.specimen("D-01")["id"]), fmt.Sprint(c.specimen("D-02")["id"])
	owner := w.newUser("owner", "NONE", biobank.Grant{ID: 1, Role: "Technician", ProtocolID: s.cp})
	friend := w.newUser("friend", "NONE")
	other := w.newUser("other", "NONE", biobank.Grant{ID: 1, Role: "Technician", ProtocolID: s.cp})
	boss := w.newUser("boss", "INSTITUTE")
	friendID := fmt.Sprint(friend.must("GET", "/users/current-user", "")["id"])

	cart := owner.must("POST", "/specimen-lists", fmt.Sprintf(`{"name":"Mine","specimenIds":[%s]}`, one))
	path := fmt.Sprintf("/specimen-lists/%v", cart["id"])
	const no = "SPECIMEN_LIST_ACCESS_NOT_ALLOWED"
	calls := []struct{ method, path, body string }{
		{"GET", "", ""},
		{"GET", "/specimens", ""},
		{"GET", "/specimens-count", ""},
		{"GET", "/specimens-sorted-by-rel", ""},
		{"GET", "/report", ""},
		{"GET", "/audit", ""},
		{"PUT", "/specimens", "[" + two + "]"},
		{"POST", "/add-child-specimens", ""},
		{"POST", "/labels", ""},
		{"DELETE", "/labels", ""},
		{"PUT", "/users", "[2]"},
		{"PUT", "", `{"name":"Theirs"}`},
		{"PATCH", "", `{"name":"Theirs"}`},
		{"DELETE", "", ""},
	}
	for _, call := range calls {
		for _, who := range []caller{friend, other, boss} {
			if a := who.do(call.method, path+call.path, call.body); a.status != 400 || a.codes(t) != no && a.codes(t) != "RBAC_ACCESS_DENIED" {
				t.Errorf("%s %s: %d %s", call.method, call.path, a.status, a.body)
			}
		}
	}
	owner.do("PUT", path+"/users", "[987]").refused(t, 400, "SPECIMEN_LIST_INVALID_USERS_LIST")
	if got := column(owner.list("PUT", path+"/users?operation=ADD", "["+friendID+","+friendID+"]"), "loginName"); got != "friend" {
		t.Errorf("shared with %s", got)
	}
	if got := column(friend.list("GET", "/specimen-lists", ""), "name"); got != "My default cart,Mine" {
		t.Errorf("the friend has %s", got)
	}
	if got := friend.list("GET", path+"/specimens", ""); len(got) != 0 {
		t.Errorf("the friend sees specimens without the right to: %v", got)
	}
	if got := friend.must("GET", path, "")["specimenIds"].([]any); len(got) != 0 {
		t.Errorf("the friend sees ids: %v", got)
	}
	friend.do("PUT", path+"/specimens", "["+two+"]").refused(t, 400, "SPECIMEN_LIST_INVALID_SPECIMENS")
	friend.must("PUT", path+"/specimens?operation=REMOVE", "["+one+"]")
	for _, call := range calls[10:] {
		friend.do(call.method, path+call.path, call.body).refused(t, 400, no)
	}
	if got := c.must("GET", path, ""); got["name"] != "Mine" { // a super administrator
		t.Errorf("the cart is %v", got)
	}
	if got := owner.list("PUT", path+"/users?operation=REMOVE", "["+friendID+"]"); len(got) != 0 {
		t.Errorf("still shared with %v", got)
	}
	friend.do("GET", path, "").refused(t, 400, no)
	friend.must("POST", "/specimen-lists", `{"name":"Mine"}`) // names are the owner's
}

func TestALargeCart(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newDepot(c, 1)
	w.stock(s, 250)
	first := int(c.specimen("M-1")["id"].(float64))
	var ids []string
	for i := range 250 {
		ids = append(ids, fmt.Sprint(first+i))
	}
	if got := c.must("PUT", "/specimen-lists/0/specimens", "["+strings.Join(ids, ",")+"]")["count"]; got != 250.0 {
		t.Fatalf("%v are in the cart", got)
	}
	page := c.list("GET", "/specimen-lists/0/specimens?startAt=195&maxResults=10", "")
	if len(page) != 10 || fmt.Sprint(page[9]["id"]) != ids[204] {
		t.Errorf("a page of %d ends with %v", len(page), page[len(page)-1]["id"])
	}
	if got := len(c.list("GET", "/specimen-lists/0/specimens", "")); got != 50 {
		t.Errorf("the usual page has %d", got)
	}
	if got := c.must("GET", "/specimen-lists/0/specimens-count?label=M-25", "")["count"]; got != 2.0 {
		t.Errorf("%v have M-25 in their label", got)
	}
}

// What came into a cart and went is on record, however much it is.
func TestALargeCartsAudit(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newDepot(c, 1)
	w.stock(s, 2000)
	first := int(c.specimen("M-1")["id"].(float64))
	var ids []string // every other one: they make no spans
	for i := 0; i < 2000; i += 2 {
		ids = append(ids, fmt.Sprint(first+i))
	}
	body := "[" + strings.Join(ids, ",") + "]"
	id := c.must("POST", "/specimen-lists", `{"name":"Odd","specimenIds":`+body+`}`)["id"]
	cart := fmt.Sprintf("/specimen-lists/%v", id)
	if got := c.must("GET", cart, "")["specimenCount"]; got != 1000.0 {
		t.Errorf("%v are in the cart", got)
	}
	if got := c.must("PUT", cart+"/specimens?operation=UPDATE", `[`+ids[0]+`]`)["count"]; got != 1.0 {
		t.Errorf("%v are left", got)
	}
	var added, removed []string
	for _, e := range objects(c.must("GET", cart+"/audit", "")["entries"]) {
		if after, ok := e["after"].(map[string]any); ok {
			added = append(added, strings.Split(fmt.Sprint(after["added"]), ",")...)
			removed = append(removed, strings.Split(fmt.Sprint(after["removed"]), ",")...)
		}
	}
	for _, one := range ids[1:] {
		if !slices.Contains(added, one) || !slices.Contains(removed, one) {
			t.Fatalf("specimen %s is not on record", one)
		}
	}
}

// What is made from the specimens of a cart is put into it, though it be more than a request may name.
func TestAllDescendantsComeIntoACart(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	const n = 5001
	w.stockOf(n, func(i int) *biobank.SpecimenDraft {
		return &biobank.SpecimenDraft{ParentID: s.aliquot, Doc: biobank.SpecimenDoc{Label: fmt.Sprintf("K-%d", i), Lineage: biobank.LineageDerived, Type: "Plasma"}}
	})
	cart := fmt.Sprintf("/specimen-lists/%v", c.must("POST", "/specimen-lists", fmt.Sprintf(`{"name":"All","specimenIds":[%d]}`, s.aliquot))["id"])
	w.outsize = true
	if got := c.must("POST", cart+"/add-child-specimens", "")["count"]; got != n+1.0 {
		t.Errorf("%v are in the cart", got)
	}
}

// Carts lie in no folders: there is no call to make one.
func TestFoldersOfCarts(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	c.must("POST", "/specimen-lists", `{"name":"Mine"}`)
	if got := c.list("GET", "/specimen-lists?folderId=1", ""); len(got) != 0 {
		t.Errorf("in a folder: %v", got)
	}
	if got := c.must("GET", "/specimen-lists/count?folderId=1", "")["count"]; got != 0.0 {
		t.Errorf("%v in a folder", got)
	}
	c.do("GET", "/specimen-lists?folderId=x", "").refused(t, 400, "INVALID_REQUEST")
}
