package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"aliquot/shared/biobank"
)

// target is something to call about: the values of the names in braces.
type target map[string]string

// newTarget makes a protocol at a site with one of everything below it. The specimen has a child, so that nothing of it can
// be deleted without force.
func (w *world) newTarget(c caller, short, site, institute, user string) target {
	w.t.Helper()
	id := func(v map[string]any) string { return fmt.Sprint(v["id"]) }
	t := target{"short": short, "siteName": site, "instituteName": institute, "user": user}
	t["instituteID"] = id(c.must("GET", "/institutes/byname?name="+strings.ReplaceAll(institute, " ", "+"), ""))
	t["siteID"] = id(c.must("GET", "/sites/byname?name="+site, ""))
	t["userID"] = fmt.Sprint(c.list("GET", "/users?loginName="+user, "")[0]["id"])
	t["cpID"] = id(c.must("POST", "/collection-protocols", fmt.Sprintf(`{"shortTitle":%q,"title":"%s study","principalInvestigator":{"id":2},"cpSites":[{"siteName":%q}]}`, short, short, site)))
	t["eventID"] = id(c.must("POST", "/collection-protocol-events", fmt.Sprintf(`{"eventLabel":"Start","cpShortTitle":%q,"defaultSite":%q}`, short, site)))
	t["requirementID"] = id(c.must("POST", "/specimen-requirements", fmt.Sprintf(`{"eventId":%s,"specimenClass":"Fluid","type":"Whole Blood","anatomicSite":"Not Specified",
		"laterality":"Not Specified","pathology":"Not Specified","storageType":"Virtual","collectionProcedure":"Not Specified","collectionContainer":"Not Specified"}`, t["eventID"])))
	t["containerID"] = id(c.must("POST", "/storage-containers", fmt.Sprintf(`{"name":"C-%s","siteName":%q,"noOfRows":9,"noOfColumns":9,"storeSpecimensEnabled":true}`, short, site)))
	w.newTree(c, t, short)
	c.must("PUT", "/specimens/"+t["specimenID"], fmt.Sprintf(`{"storageLocation":{"name":"C-%s"}}`, short))
	return t
}

// newTree registers somebody with a visit, a specimen and an aliquot.
func (w *world) newTree(c caller, t target, name string) {
	w.t.Helper()
	reg := c.must("POST", "/collection-protocol-registrations", fmt.Sprintf(`{"cpId":%s,"ppid":"P-%s","registrationDate":"2022-01-01","participant":{"uid":"U-%s"}}`, t["cpID"], name, name))
	t["registrationID"], t["participantID"] = fmt.Sprint(reg["id"]), fmt.Sprint(reg["participant"].(map[string]any)["id"])
	t["visitID"] = fmt.Sprint(c.must("POST", "/visits", fmt.Sprintf(`{"cprId":%s,"name":"V-%s","eventId":%s}`, t["registrationID"], name, t["eventID"]))["id"])
	t["specimenID"] = fmt.Sprint(c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%s,"label":"L-%s","type":"Whole Blood","initialQty":9,"reqId":%s}`, t["visitID"], name, t["requirementID"]))["id"])
	c.must("POST", "/specimens", fmt.Sprintf(`{"parentId":%s,"label":"A-%s","lineage":"Aliquot","initialQty":1}`, t["specimenID"], name))
}

// newAround makes what a target has beside its tree: a consent tier, a cart, a shipment, a record of a form, and a role of its
// user.
func (w *world) newAround(c caller, t target, form int64) {
	w.t.Helper()
	id := func(v map[string]any) string { return fmt.Sprint(v["id"]) }
	var cp int64
	if _, err := fmt.Sscan(t["cpID"], &cp); err != nil {
		w.t.Fatal(err)
	}
	if t["tierID"] = ""; len(c.list("GET", "/collection-protocols/"+t["cpID"]+"/consent-tiers", "")) == 0 {
		t["tierID"] = id(c.must("POST", "/collection-protocols/"+t["cpID"]+"/consent-tiers", `{"statementCode":"CALL"}`))
		t["contextID"] = fmt.Sprint(c.associate(form, "SpecimenCollectionGroup", cp, `,"multiRecord":true`))
	}
	t["cartID"] = id(c.must("POST", "/specimen-lists", fmt.Sprintf(`{"name":"K-%s"}`, t["visitID"])))
	t["shipmentID"] = id(c.must("POST", "/shipments", fmt.Sprintf(`{"name":"S-%s","sendingSite":%q,"receivingSite":"Depot","status":"Pending"}`, t["visitID"], t["siteName"])))
	t["recordID"] = id(c.must("POST", fmt.Sprintf("/forms/%d/data", form), fmt.Sprintf(`{"appData":{"formCtxtId":%s,"objectId":%s},"ST1":"none"}`, t["contextID"], t["visitID"])))
	t["grantID"] = id(c.must("POST", "/rbac/subjects/"+t["userID"]+"/roles", `{"role":{"name":"Researcher"}}`))
}

// newRightsWorld makes the targets and the callers.
func newRightsWorld(t *testing.T) (w *world, callers map[string]caller, all map[string]target) {
	w = newWorld(t)
	c := w.signIn("admin", password)
	c.must("POST", "/institutes", `{"name":"Elsewhere"}`)
	c.must("POST", "/institutes", `{"name":"Gone"}`)
	for login, institute := range map[string]string{"mate": "Default Institute", "them": "Elsewhere", "late": "Default Institute"} {
		c.must("POST", "/users", fmt.Sprintf(`{"firstName":"M","lastName":"M","emailAddress":"%s@example.org","domainName":"openspecimen","loginName":%q,"instituteName":%q}`, login, login, institute))
	}
	for name, institute := range map[string]string{"North": "Default Institute", "West": "Default Institute", "South": "Elsewhere", "Past": "Default Institute", "Depot": "Elsewhere"} {
		user := map[string]string{"North": "mate", "West": "mate", "South": "them", "Past": "admin", "Depot": "them"}[name]
		c.must("POST", "/sites", fmt.Sprintf(`{"name":%q,"instituteName":%q,"type":"Laboratory","coordinators":[{"loginName":%q}]}`, name, institute, user))
	}
	c.must("POST", "/container-types", `{"name":"Crate","nameFormat":"%PCONT_NAME%-%PCONT_UID%","noOfRows":2,"noOfColumns":2}`)
	c.must("POST", "/storage-containers", `{"name":"Of a type","typeName":"Crate","siteName":"Depot"}`)
	c.must("PUT", "/config-settings", `{"module":"auth","name":"max_login_sessions","value":"0"}`)
	c.must("POST", "/consent-statements", `{"code":"CALL","statement":"We may call."}`)
	form := c.newForm("habits", `{"name":"habits","caption":"Habits","rows":[[{"type":"stringTextField","name":"ST1","udn":"note","caption":"Note"}],[{"type":"combobox","name":"DD2","udn":"smokes","caption":"Smokes","pvs":[{"value":"Yes"},{"value":"No"}]}]]}`)
	all = map[string]target{
		"own":     w.newTarget(c, "OWN", "North", "Default Institute", "mate"),
		"side":    w.newTarget(c, "SIDE", "North", "Default Institute", "mate"),
		"other":   w.newTarget(c, "WEST", "West", "Default Institute", "mate"),
		"foreign": w.newTarget(c, "OUT", "South", "Elsewhere", "them"),
	}
	// What is deleted lay in the callers' own protocol; of a protocol itself all is gone.
	gone := target{}
	for k, v := range all["own"] {
		gone[k] = v
	}
	last := w.newTarget(c, "LAST", "Past", "Gone", "late")
	c.must("DELETE", "/collection-protocols/"+last["cpID"]+"?forceDelete=true", "")
	event := c.must("POST", "/collection-protocol-events", `{"eventLabel":"Never","cpShortTitle":"OWN","defaultSite":"North"}`)
	gone["eventID"] = fmt.Sprint(event["id"])
	gone["requirementID"] = fmt.Sprint(c.must("POST", "/specimen-requirements", fmt.Sprintf(`{"eventId":%s,"specimenClass":"Fluid","type":"Whole Blood","anatomicSite":"Not Specified",
		"laterality":"Not Specified","pathology":"Not Specified","storageType":"Virtual","collectionProcedure":"Not Specified","collectionContainer":"Not Specified"}`, gone["eventID"]))["id"])
	w.newTree(c, gone, "GONE")
	for _, t := range all {
		w.newAround(c, t, form)
	}
	gone["contextID"] = all["own"]["contextID"]
	w.newAround(c, gone, form)
	c.must("DELETE", "/collection-protocol-registrations/"+gone["registrationID"]+"?forceDelete=true", "")
	c.must("DELETE", "/collection-protocol-events/"+gone["eventID"], "")
	c.must("DELETE", "/storage-containers/"+last["containerID"]+"?forceDelete=true", "")
	c.must("DELETE", "/specimen-lists/"+gone["cartID"], "")
	c.must("DELETE", "/shipments/"+gone["shipmentID"], "")
	gone["tierID"] = "987654"
	gone["containerID"] = last["containerID"]
	for _, path := range []string{"/sites/" + last["siteID"], "/users/" + last["userID"], "/institutes/" + last["instituteID"]} {
		c.must("DELETE", path, "")
	}
	for _, k := range []string{"cpID", "siteID", "userID", "instituteID"} {
		gone[k] = last[k]
	}
	gone["short"], gone["siteName"], gone["instituteName"], gone["user"] = "LAST", "Past", "Gone", "late"
	all["deleted"] = gone
	all["guessed"] = target{"short": "NONE", "siteName": "Nowhere", "instituteName": "Nobody", "user": "nobody"}
	w.newDistribution(c, all["own"], "DP-OWN", "Default Institute", "North")
	w.newDistribution(c, all["side"], "DP-SIDE", "Default Institute", "North")
	w.newDistribution(c, all["other"], "DP-WEST", "Default Institute", "West")
	w.newDistribution(c, all["foreign"], "DP-OUT", "Elsewhere", "South")
	w.newDistribution(c, gone, "DP-GONE", "Default Institute", "North")
	c.must("DELETE", "/distribution-orders/"+gone["orderID"], "")
	c.must("DELETE", "/distribution-protocols/"+gone["dpID"], "")
	all["guessed"]["dpTitle"], gone["dptierID"] = "NONE", "987654"
	role := fmt.Sprint(c.must("POST", "/rbac/roles", `{"name":"Stored"}`)["id"])
	of := fmt.Sprint(c.must("GET", "/container-types/byname?name=Crate", "")["id"])
	for name, t := range all {
		t["roleID"], t["containertypeID"], t["formID"], t["statementID"] = role, of, fmt.Sprint(form), "1"
		if name == "deleted" || name == "guessed" { // there is one of these, or none
			t["roleID"], t["containertypeID"], t["formID"], t["statementID"] = "987654", "987654", "987654", "987654"
		}
	}
	for k := range gone {
		if strings.HasSuffix(k, "ID") {
			all["guessed"][k] = "987654"
		}
	}
	var cp, north int64
	if _, err := fmt.Sscan(all["own"]["cpID"]+" "+all["own"]["siteID"], &cp, &north); err != nil {
		t.Fatal(err)
	}
	grant := func(role string) biobank.Grant { return biobank.Grant{ID: 1, Role: role, ProtocolID: cp} }
	callers = map[string]caller{
		"super": c, "admin": w.newUser("boss", "INSTITUTE"), "coordinator": w.newUser("coordinator", "NONE", grant("Coordinator")),
		"technician": w.newUser("technician", "NONE", grant("Technician")), "researcher": w.newUser("researcher", "NONE", grant("Researcher")),
		"stranger": w.newUser("stranger", "NONE"), "local": w.newUser("local", "NONE", biobank.Grant{ID: 1, Role: "Technician", SiteID: north}),
	}
	w.newUser("holder", "NONE", biobank.Grant{ID: 1, Role: "Stored"})
	return w, callers, all
}

// freshSpecimen is a target with a specimen that can be deleted.
func (w *world) freshSpecimen(c caller, t target) target {
	w.t.Helper()
	fresh := target{"freshID": t["specimenID"]}
	if a := c.do("GET", "/visits/"+t["visitID"], ""); a.status == http.StatusOK {
		w.fresh++
		fresh["freshID"] = fmt.Sprint(c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%s,"label":"F-%d","type":"Whole Blood","initialQty":1}`, t["visitID"], w.fresh))["id"])
	}
	return fresh
}
