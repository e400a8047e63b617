package api_test

import (
	"fmt"
	"strings"
	"testing"

	"aliquot/shared/biobank"
)

// A protocol of two sites whose specimens are for those who have the right where they are stored (reference
// openspecimen-rest.md sections 8 and 9).
func TestRightsByStorageSite(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	c.must("POST", "/institutes", `{"name":"Elsewhere"}`)
	sites := map[string]int64{}
	for name, institute := range map[string]string{"North": "Default Institute", "East": "Default Institute", "South": "Elsewhere"} {
		sites[name] = int64(c.must("POST", "/sites", fmt.Sprintf(`{"name":%q,"instituteName":%q,"type":"Repository"}`, name, institute))["id"].(float64))
	}
	s := target{"siteName": "North"}
	const cp = `{"shortTitle":"SPREAD","title":"Spread","principalInvestigator":{"id":2},"cpSites":[{"siteName":"North"},{"siteName":"East"},{"siteName":"South"}],"storageSiteBasedAccess":%t}`
	s["cpID"] = fmt.Sprint(c.must("POST", "/collection-protocols", fmt.Sprintf(cp, true))["id"])
	s["eventID"] = fmt.Sprint(c.must("POST", "/collection-protocol-events", `{"eventLabel":"Start","cpShortTitle":"SPREAD","defaultSite":"North"}`)["id"])
	s["requirementID"] = fmt.Sprint(c.must("POST", "/specimen-requirements", fill(`{"eventId":{eventID},"specimenClass":"Fluid","type":"Whole Blood","anatomicSite":"Not Specified",
		"laterality":"Not Specified","pathology":"Not Specified","storageType":"Virtual","collectionProcedure":"Not Specified","collectionContainer":"Not Specified"}`, s))["id"])
	reg := c.must("POST", "/collection-protocol-registrations", fill(`{"cpId":{cpID},"ppid":"P-1","registrationDate":"2022-01-01","participant":{"uid":"U-1"}}`, s))
	s["visitID"] = fmt.Sprint(c.must("POST", "/visits", fmt.Sprintf(`{"cprId":%v,"name":"V-1","eventId":%s}`, reg["id"], s["eventID"]))["id"])
	id := map[string]string{}
	for _, at := range []string{"North", "East", "South", "nowhere"} {
		location := ""
		if at != "nowhere" {
			// In a shelf of a freezer, which is what tells the site.
			c.must("POST", "/storage-containers", fmt.Sprintf(`{"name":"Freezer %s","siteName":%q,"noOfRows":2,"noOfColumns":2,"storeSpecimensEnabled":false}`, at, at))
			c.must("POST", "/storage-containers", fmt.Sprintf(`{"name":"Shelf %s","storageLocation":{"name":"Freezer %s"},"noOfRows":9,"noOfColumns":9,"storeSpecimensEnabled":true}`, at, at))
			location = fmt.Sprintf(`,"storageLocation":{"name":"Shelf %s"}`, at)
		}
		id[at] = fmt.Sprint(c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%s,"label":%q,"type":"Whole Blood","initialQty":9,"reqId":%s%s}`, s["visitID"], at, s["requirementID"], location))["id"])
	}
	all := `["` + strings.Join([]string{id["North"], id["East"], id["South"], id["nowhere"]}, `","`) + `"]`
	north := w.newUser("north", "NONE", biobank.Grant{ID: 1, Role: "Technician", SiteID: sites["North"]})
	boss := w.newUser("boss", "INSTITUTE")
	other := w.newUser("other", "NONE", biobank.Grant{ID: 1, Role: "Technician"}) // every site of the institute
	c.must("POST", "/rbac/roles", `{"name":"Primaries","acl":[{"resourceName":"PrimarySpecimen","operations":[{"operationName":"Read"},{"operationName":"Update"}]},
		{"resourceName":"Visit","operations":[{"operationName":"Read"}]},{"resourceName":"CollectionProtocol","operations":[{"operationName":"Read"}]}]}`)
	primary := w.newUser("primary", "NONE", biobank.Grant{ID: 1, Role: "Primaries", SiteID: sites["East"]})
	who := map[string]struct {
		caller
		sees string
	}{
		"super": {c, "North,East,South,nowhere"}, "one site": {north, "North,nowhere"}, "all sites": {other, "North,East,nowhere"},
		"administrator": {boss, "North,East,nowhere"}, "primary specimens": {primary, "East,nowhere"},
	}

	for name, as := range who {
		t.Run("seen by "+name, func(t *testing.T) {
			n := float64(strings.Count(as.sees, ",") + 1)
			for path, got := range map[string]string{
				"labels": column(as.list("GET", "/specimens?label=North&label=East&label=South&label=nowhere", ""), "label"),
				"tree":   column(as.list("GET", "/specimens?cprId="+fmt.Sprint(reg["id"])+"&visitId="+s["visitID"], ""), "label"),
				"search": column(as.list("POST", "/specimens/search", fill(`{"cpId":{cpID}}`, s)), "label"),
			} {
				if path == "tree" && !strings.HasPrefix(got, as.sees) || path != "tree" && got != as.sees {
					t.Errorf("%s: %s, want %s", path, got, as.sees)
				}
			}
			for at, specimen := range id {
				seen := strings.Contains(as.sees, at)
				for _, path := range []string{"/specimens/{}", "/specimens/{}/events", "/specimens/{}/audit", "/specimens/{}/dependent-entities", "/specimens/{}/forms"} {
					a := as.do("GET", strings.Replace(path, "{}", specimen, 1), "")
					if seen && a.status != 200 {
						t.Errorf("%s of %s: %d %s", path, at, a.status, a.body)
					} else if !seen {
						a.refused(t, 400, "RBAC_ACCESS_DENIED")
					}
				}
				a := as.do("PUT", "/specimens/"+specimen, `{"comments":"by `+name+`"}`)
				if seen && a.status != 200 {
					t.Errorf("change of %s: %d %s", at, a.status, a.body)
				} else if !seen {
					a.refused(t, 400, "RBAC_ACCESS_DENIED")
				}
			}
			cart := fmt.Sprint(as.must("POST", "/specimen-lists", `{"name":"Mine"}`)["id"])
			a := as.do("PUT", "/specimen-lists/"+cart+"/specimens?operation=ADD", all)
			if name == "super" {
				if a.status != 200 {
					t.Errorf("cart: %d %s", a.status, a.body)
				}
			} else {
				a.refused(t, 400, "SPECIMEN_LIST_INVALID_SPECIMENS")
			}
			if name == "primary specimens" {
				return
			}
			if got := as.do("GET", "/specimen-requirements/"+s["requirementID"]+"/specimens-count", "").body; strings.TrimSpace(got) != fmt.Sprint(n) {
				t.Errorf("the requirement has %s specimens, want %v", got, n)
			}
			if got := as.list("GET", "/collection-protocols?query=SPREAD&detailedList=true", "")[0]["specimenCount"]; got != n {
				t.Errorf("the protocol has %v specimens, want %v", got, n)
			}
			if got := as.list("GET", "/visits/"+s["visitID"]+"/dependent-entities", "")[0]["count"]; got != n {
				t.Errorf("the visit has %v specimens, want %v", got, n)
			}
		})
	}

	t.Run("what is made from it, and what goes with it", func(t *testing.T) {
		child := `{"parentId":%s,"label":"A-%s-%d","lineage":"Aliquot","initialQty":1}`
		for i, as := range []caller{north, other} {
			as.must("POST", "/specimens", fmt.Sprintf(child, id["North"], "North", i))
			as.do("POST", "/specimens", fmt.Sprintf(child, id["South"], "South", i)).refused(t, 400, "RBAC_ACCESS_DENIED")
			as.do("DELETE", "/visits/"+s["visitID"]+"?forceDelete=true", "").refused(t, 400, "RBAC_ACCESS_DENIED")
			as.do("PUT", "/visits/"+s["visitID"], `{"status":"Missed Collection"}`).refused(t, 400, "RBAC_ACCESS_DENIED")
			as.do("PUT", "/specimens/"+id["South"]+"/status", `{"status":"Closed"}`).refused(t, 400, "RBAC_ACCESS_DENIED")
			as.do("DELETE", "/specimens?id="+id["North"]+"&id="+id["South"], "").refused(t, 400, "RBAC_ACCESS_DENIED")
		}
		if c.must("GET", "/specimens/"+id["North"], "")["activityStatus"] != "Active" {
			t.Error("a refused deletion took one")
		}
		north.do("POST", "/specimens/pooled", fill(fmt.Sprintf(`{"pooledSpecimens":[{"id":%s},{"id":%s}],"visitId":{visitID},"label":"Pool","initialQty":1}`, id["North"], id["East"]), s)).refused(t, 400, "RBAC_ACCESS_DENIED")
	})

	t.Run("orders", func(t *testing.T) {
		dp := c.must("POST", "/distribution-protocols", `{"title":"Out","shortTitle":"Out","instituteName":"Default Institute","principalInvestigator":{"id":2},
			"distributingSites":{"Default Institute":["North"],"Elsewhere":["South"]}}`)["id"]
		order := `{"name":%q,"distributionProtocol":{"id":%v},"requester":{"id":2},"status":"PENDING","orderItems":[{"specimen":{"id":%s},"quantity":1}]}`
		mine := c.must("POST", "/distribution-orders", fmt.Sprintf(order, "From South", dp, id["South"]))
		north.must("POST", "/distribution-orders", fmt.Sprintf(order, "From North", dp, id["North"]))
		north.do("POST", "/distribution-orders", fmt.Sprintf(order, "From South again", dp, id["South"])).refused(t, 400, "DIST_ORDER_SPECIMEN_DOES_NOT_EXIST")
		if got := north.must("GET", fmt.Sprintf("/distribution-orders/%v", mine["id"]), "")["orderItems"].([]any)[0].(map[string]any)["specimen"]; got != nil {
			t.Errorf("the order shows what is stored elsewhere: %v", got)
		}
	})

	t.Run("containers", func(t *testing.T) {
		shelf := c.must("GET", "/storage-containers/byname?name=Shelf+East", "")["id"]
		if got := column(other.list("GET", fmt.Sprintf("/storage-containers/%v/specimens", shelf), ""), "label"); got != "East" {
			t.Errorf("on the shelf stands %s", got)
		}
	})

	t.Run("moved with its freezer", func(t *testing.T) {
		freezer := c.must("GET", "/storage-containers/byname?name=Freezer+East", "")["id"]
		c.must("PATCH", fmt.Sprintf("/storage-containers/%v", freezer), `{"siteName":"North"}`)
		north.must("GET", "/specimens/"+id["East"], "")
		primary.do("GET", "/specimens/"+id["East"], "").refused(t, 400, "RBAC_ACCESS_DENIED")
	})

	t.Run("switched off", func(t *testing.T) {
		c.must("PUT", "/collection-protocols/"+s["cpID"], fmt.Sprintf(cp, false))
		north.must("GET", "/specimens/"+id["South"], "")
	})
}

// TestMovesByStorageSite: into a protocol that asks for it, specimens come only by somebody with the right where they are
// stored.
func TestMovesByStorageSite(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	site := map[string]int64{}
	for _, name := range []string{"North", "East"} {
		site[name] = int64(c.must("POST", "/sites", fmt.Sprintf(`{"name":%q,"instituteName":"Default Institute","type":"Repository"}`, name))["id"].(float64))
		c.must("POST", "/storage-containers", fmt.Sprintf(`{"name":"Shelf %s","siteName":%q,"noOfRows":9,"noOfColumns":9,"storeSpecimensEnabled":true}`, name, name))
	}
	reg := map[string]any{}
	for name, held := range map[string]bool{"FREE": false, "HELD": true} {
		cp := c.must("POST", "/collection-protocols", fmt.Sprintf(`{"shortTitle":%q,"title":%q,"principalInvestigator":{"id":2},"cpSites":[{"siteName":"North"},{"siteName":"East"}],"storageSiteBasedAccess":%t}`, name, name, held))
		reg[name] = c.must("POST", "/collection-protocol-registrations", fmt.Sprintf(`{"cpId":%v,"ppid":"P","registrationDate":"2022-01-01","participant":{}}`, cp["id"]))["id"]
	}
	c.must("POST", "/rbac/roles", `{"name":"Mover","acl":[{"resourceName":"CollectionProtocol","operations":[{"operationName":"Read"}]},
		{"resourceName":"ParticipantPhi","operations":[{"operationName":"Read"},{"operationName":"Update"}]},
		{"resourceName":"Visit","operations":[{"operationName":"Create"},{"operationName":"Read"},{"operationName":"Update"},{"operationName":"Delete"}]},
		{"resourceName":"Specimen","operations":[{"operationName":"Create"},{"operationName":"Read"},{"operationName":"Update"},{"operationName":"Delete"}]}]}`)
	north := w.newUser("north", "NONE", biobank.Grant{ID: 1, Role: "Mover", SiteID: site["North"]})
	for _, at := range []string{"East", "North"} {
		visit := fmt.Sprint(c.must("POST", "/visits", fmt.Sprintf(`{"cprId":%v,"name":"V-%s","site":"North"}`, reg["FREE"], at))["id"])
		c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%s,"label":%q,"type":"Whole Blood","specimenClass":"Fluid","initialQty":9,"storageLocation":{"name":"Shelf %s"}}`, visit, at, at))
		a := north.do("PUT", "/visits/"+visit, fmt.Sprintf(`{"cprId":%v,"site":"North"}`, reg["HELD"]))
		if at == "East" {
			a.refused(t, 400, "RBAC_ACCESS_DENIED")
		} else if a.status != 200 {
			t.Errorf("what is stored at the own site: %d %s", a.status, a.body)
		}
	}
}
