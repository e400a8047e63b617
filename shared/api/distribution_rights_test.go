package api_test

import "fmt"

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
		{pattern: "DELETE " + path + "/{id}", proved: "TestWhoChangesADistributionProtocol"},
		{pattern: "DELETE " + path, proved: "TestWhoChangesADistributionProtocol"},
		{pattern: "GET " + path + "/{id}/dependent-entities", kind: "dp", want: columns{"eee--", "eex--", "eex--", "eex--", "eex--", "xxx--"}},
		{pattern: "GET " + path + "/{id}/audit", kind: "dp", want: columns{"....-", "..x.-", "..x.-", "..x.-", "..x.-", "xxxx-"}},
		{pattern: "GET " + path + "/{id}/consent-tiers", kind: "dp", want: columns{"eee--", "eex--", "eex--", "eex--", "eex--", "xxx--"}},
		{pattern: "POST " + path + "/{id}/consent-tiers", kind: "dp", body: `{}`, want: dpDefine.with("v")},
		{pattern: "PUT " + path + "/{id}/consent-tiers/{tier}", proved: "TestDistributionProtocols"},
		{pattern: "DELETE " + path + "/{id}/consent-tiers/{tier}", proved: "TestDistributionProtocols"},
	}
}

// newDistribution makes a distribution protocol that gives from a site.
func (w *world) newDistribution(c caller, t target, title, institute, site string) {
	w.t.Helper()
	t["dpTitle"], t["siteInstitute"] = title, institute
	t["dpID"] = fmt.Sprint(c.must("POST", "/distribution-protocols", fmt.Sprintf(`{"title":%q,"shortTitle":%q,"instituteName":"Default Institute",
		"principalInvestigator":{"id":2},"distributingSites":{%q:[%q]}}`, title, title, institute, site))["id"])
}
