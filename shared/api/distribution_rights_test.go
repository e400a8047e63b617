package api_test

import (
	"fmt"
	"strings"
)

// What a right of a distribution protocol is about is its sites, whatever the collection protocol of the role.
var (
	dpSee    = columns{"...--", "..x--", "..x--", "..x--", "..x--", "xxx--"}
	dpDefine = columns{"...--", "..x--", "xxx--", "xxx--", "xxx--", "xxx--"}
	dpListed = columns{"...ee", "..eee", "..eee", "..eee", "..eee", "eeeee"}
)

func distributionRows() []row {
	const dp = `{"title":"{dpTitle}","shortTitle":"{dpTitle}","instituteName":"Default Institute","principalInvestigator":{"id":2},"distributingSites":{"{siteInstitute}":["{siteName}"]}}`
	const path = "/distribution-protocols"
	return []row{
		{pattern: "GET " + path, query: "?query={dpTitle}", want: dpListed},
		{pattern: "GET " + path + "/count", query: "?query={dpTitle}", want: dpListed},
		{pattern: "GET " + path + "/{id}", kind: "dp", want: dpSee},
		{pattern: "POST " + path, body: dp, want: columns{"vvv", "vvx", "xxx", "xxx", "xxx", "xxx"}},
		{pattern: "PUT " + path + "/{id}", kind: "dp", body: dp, want: dpDefine},
		{pattern: "PUT " + path + "/{id}/activity-status", kind: "dp", body: `{"activityStatus":"Active"}`, want: dpDefine},
		{pattern: "DELETE " + path + "/{id}", kind: "dp", want: columns{"vvv--", "vvx--", "xxx--", "xxx--", "xxx--", "xxx--"}},
		{pattern: "DELETE " + path, query: "?id={dpID}", want: columns{"vvv--", "vvx--", "xxx--", "xxx--", "xxx--", "xxx--"}},
		{pattern: "GET " + path + "/{id}/dependent-entities", kind: "dp", want: dpSee},
		{pattern: "GET " + path + "/{id}/audit", kind: "dp", want: columns{"....-", "..x.-", "..x.-", "..x.-", "..x.-", "xxxx-"}},
		{pattern: "GET " + path + "/{id}/order-extension-form", kind: "dp", want: dpSee},
		{pattern: "GET " + path + "/{id}/consent-tiers", kind: "dp", want: dpSee},
		{pattern: "POST " + path + "/{id}/consent-tiers", kind: "dp", body: `{}`, want: dpDefine.with("v")},
		{pattern: "PUT " + path + "/{id}/consent-tiers/{tier}", path: path + "/{dpID}/consent-tiers/{dptierID}", body: `{"statement":"We may call."}`, want: dpDefine},
		{pattern: "DELETE " + path + "/{id}/consent-tiers/{tier}", path: path + "/{dpID}/consent-tiers/987654", want: columns{"-----", "--x--", "xxx--", "xxx--", "xxx--", "xxx--"}},
	}
}

// newDistribution makes a distribution protocol that gives from a site.
func (w *world) newDistribution(c caller, t target, title, institute, site string) {
	w.t.Helper()
	t["dpTitle"], t["siteInstitute"] = title, institute
	t["dpID"] = fmt.Sprint(c.must("POST", "/distribution-protocols", fmt.Sprintf(`{"title":%q,"shortTitle":%q,"instituteName":"Default Institute",
		"principalInvestigator":{"id":2},"distributingSites":{%q:[%q]}}`, title, title, institute, site))["id"])
	t["dptierID"] = fmt.Sprint(c.must("POST", "/distribution-protocols/"+t["dpID"]+"/consent-tiers", `{"statement":"We may call."}`)["id"])
	t["orderID"] = fmt.Sprint(c.must("POST", "/distribution-orders", fmt.Sprintf(`{"name":"O-%s","distributionProtocol":{"id":%s},"requester":{"id":2},"status":"PENDING"}`, title, t["dpID"]))["id"])
}

// orderRows: an order is its distribution protocol's.
func orderRows() []row {
	const path = "/distribution-orders"
	const body = `{"name":"O-{dpTitle}","distributionProtocol":{"id":{dpID}},"requester":{"id":2},"status":"PENDING","orderItems":[{"specimen":{"id":{specimenID}},"quantity":1}]}`
	work := columns{"...--", "..x--", "..x--", "..x--", "xxx--", "xxx--"}
	return []row{
		{pattern: "GET " + path, query: "?query=O-{dpTitle}", want: dpListed},
		{pattern: "GET " + path + "/count", query: "?query=O-{dpTitle}", want: dpListed},
		{pattern: "GET " + path + "/{id}", kind: "order", want: dpSee},
		{pattern: "POST " + path, body: body, want: columns{"vvv--", "vvx--", "vvx--", "vvx--", "xxx--", "xxx--"}},
		{pattern: "PUT " + path + "/{id}", kind: "order", body: strings.Replace(body, `{"specimen":{"id":{specimenID}},"quantity":1}`, "", 1), want: work},
		{pattern: "DELETE " + path + "/{id}", proved: "TestWhoWorksOnOrders"},
		{pattern: "GET " + path + "/{id}/audit", kind: "order", want: columns{"....-", "..x.-", "..x.-", "..x.-", "..x.-", "xxxx-"}},
		{pattern: "GET " + path + "/{id}/items", kind: "order", want: columns{"eee--", "eex--", "eex--", "eex--", "eex--", "xxx--"}},
		{pattern: "DELETE " + path + "/{id}/items", kind: "order", query: "?itemId=9", want: columns{"vvv--", "vvx--", "vvx--", "vvx--", "vvx--", "xxx--"}},
		{pattern: "GET " + path + "/{id}/report", kind: "order", want: dpSee},
		{pattern: "POST " + path + "/{id}/retrieve", kind: "order", want: dpSee},
		{pattern: "GET " + path + "/specimens", query: "?label=L-{short}", want: anybody.with("e")}, // none was given out

		{pattern: "POST " + path + "/specimens", body: `{"orderId":{orderID},"orderItems":[{"specimen":{"id":987654}}]}`, want: work.with("v")},
		{pattern: "POST " + path + "/return-specimens", body: `[{"orderId":{orderID},"specimenLabel":"L-{short}","quantity":1}]`, want: work.with("v")},
		{pattern: "GET /distribution-protocols/{id}/reserved-specimens", kind: "dp", want: columns{"eee--", "eex--", "eex--", "eex--", "eex--", "xxx--"}},
		{pattern: "PUT /distribution-protocols/{id}/reserved-specimens", kind: "dp", body: `{"specimens":[{"id":987654}]}`, want: columns{"-----", "--x--", "--x--", "--x--", "xxx--", "xxx--"}},
		{pattern: "GET /distribution-protocols/orders", query: "?groupBy=specimenType", want: anybody.with("e")}, // none has any,
	}
}

// cartRows: who uses a cart that is shared is in a test of its own, since it does not hang on roles.
func cartRows() []row {
	const path = "/specimen-lists"
	rows := []row{
		{pattern: "GET " + path, want: anybody},
		{pattern: "GET " + path + "/count", want: anybody},
		{pattern: "POST " + path, body: `{}`, want: anybody.with("v")},
	}
	mine := columns{"...--", "xxx--", "xxx--", "xxx--", "xxx--", "xxx--"} // all carts are the super administrator's
	for _, call := range []struct{ call, body, ok string }{
		{"GET {id}", "", "."},
		{"PUT {id}", `{"name":"K-{visitID}"}`, "."},
		{"PATCH {id}", `{"description":"x"}`, "."},
		{"POST {id}/labels", "", "."},
		{"DELETE {id}/labels", "", "."},
		{"GET {id}/specimens", "", "e"},
		{"GET {id}/specimens-count", "", "e"},
		{"GET {id}/specimens-sorted-by-rel", "", "e"},
		{"PUT {id}/specimens", "[]", "e"},
		{"POST {id}/add-child-specimens", "", "e"},
		{"PUT {id}/users", "[]", "e"},
		{"GET {id}/report", "", "."},
	} {
		verb, below, _ := strings.Cut(call.call, " ")
		rows = append(rows, row{pattern: verb + " " + path + "/" + below, kind: "cart", body: call.body, want: mine.with(call.ok)})
	}
	return append(
		rows,
		row{pattern: "GET " + path + "/{id}/audit", kind: "cart", want: columns{"....-", "xxxx-", "xxxx-", "xxxx-", "xxxx-", "xxxx-"}},
		row{pattern: "DELETE " + path + "/{id}", proved: "TestWhoUsesACart"},
	)
}

// shipmentRows: a shipment is of its two sites, here of the target's and of one in another institute.
func shipmentRows() []row {
	const path = "/shipments"
	const body = `{"name":"S-{visitID}","sendingSite":"{siteName}","receivingSite":"Depot","status":"Pending"}`
	sees := columns{"...--", "..x--", "..x--", "..x--", "xxx--", "xxx--"}
	return []row{
		{pattern: "POST /lists/data", query: "?listName=specimen-list-view&objectId={cpID}", body: `[]`, want: see},
		{pattern: "GET " + path, query: "?name=S-{visitID}", want: columns{"...ee", "..eee", "..eee", "..eee", "eeeee", "eeeee"}},
		{pattern: "GET " + path + "/count", query: "?name=S-{visitID}", want: columns{"...ee", "..eee", "..eee", "..eee", "eeeee", "eeeee"}},
		{pattern: "POST " + path, body: body, want: columns{"vvv", "vvx", "vvx", "vvx", "xxx", "xxx"}},
		{pattern: "GET " + path + "/containers", query: "?name=C-{short}", want: columns{"...ee", "..eee", "..eee", "..eee", "eeeee", "eeeee"}},
		{pattern: "GET " + path + "/{id}", kind: "shipment", want: sees},
		{pattern: "PUT " + path + "/{id}", kind: "shipment", body: body, want: sees},
		{pattern: "DELETE " + path + "/{id}", proved: "TestShipments"},
		{pattern: "GET " + path + "/{id}/audit", kind: "shipment", want: columns{"....-", "..x.-", "..x.-", "..x.-", "xxxx-", "xxxx-"}},
		{pattern: "GET " + path + "/{id}/specimens", kind: "shipment", want: sees.with("e")},
		{pattern: "GET " + path + "/{id}/containers", kind: "shipment", want: sees.with("e")},
		{pattern: "GET " + path + "/{id}/report", kind: "shipment", want: sees},
		{pattern: "PUT " + path + "/{id}/request-status", kind: "shipment", body: `{"requestStatus":"Accepted"}`, want: sees},
	}
}
