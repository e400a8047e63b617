package api_test

import (
	"fmt"
	"testing"

	"aliquot/shared/biobank"
)

// A container is made together with what is stored in it, in one transaction.
func TestContainersMadeForSpecimens(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	w.newFreezer(c)
	c.must("POST", "/container-types", `{"name":"Strip","nameFormat":"%PCONT_NAME%-S%PCONT_UID%","noOfRows":1,"noOfColumns":2,"storeSpecimenEnabled":true}`)
	c.must("POST", "/container-types", `{"name":"Frame","nameFormat":"F","noOfRows":1,"noOfColumns":2}`)
	n := 0
	create := func(who caller, members string) answer {
		n++
		return who.do("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"label":"NC-%d","type":"Whole Blood","initialQty":1,%s}`, s.visit, n, members))
	}
	const where = `"containerLocation":{"name":"Freezer"}`
	for members, code := range map[string]string{
		`"storageLocation":{"name":"Strip 1"},` + where:                                                                "SPECIMEN_CONTAINER_TYPE_REQ",
		`"storageLocation":{"name":"Strip 1"},"containerTypeName":"Strip"`:                                             "SPECIMEN_PARENT_CONTAINER_REQ",
		`"storageLocation":{"name":"Strip 1"},"containerTypeName":"None",` + where:                                     "CONTAINER_TYPE_NOT_FOUND",
		`"storageLocation":{"name":"Strip 1"},"containerTypeId":1,"containerLocation":{"name":"None"}`:                 "STORAGE_CONTAINER_PARENT_CONT_NOT_FOUND",
		`"storageLocation":{"name":"Strip 1"},"containerTypeId":1,"containerLocation":{"name":"Freezer","position":1}`: "STORAGE_CONTAINER_NO_FREE_SPACE",
		`"storageLocation":{"name":"Strip 1","position":3},"containerTypeId":1,` + where:                               "STORAGE_CONTAINER_INV_POS",
		`"storageLocation":{"name":"Frame 1"},"containerTypeName":"Frame",` + where:                                    "STORAGE_CONTAINER_CANNOT_HOLD_SPECIMEN",
		`"storageLocation":{"id":99},"containerTypeName":"Strip",` + where:                                             "STORAGE_CONTAINER_NOT_FOUND",
		`"storageLocation":{"name":"Strip 1"},"status":"Pending","containerTypeName":"Strip",` + where:                 "SPECIMEN_STORE_NOT_ALLOWED",
		`"storageLocation":{"name":"Strip 1"},"containerTypeName":"Strip","containerLocation":"Freezer"`:               "INVALID_REQUEST",
	} {
		create(c, members).refused(t, 400, code)
	}
	tech := w.newUser("tech", "NONE", biobank.Grant{ID: 1, Role: "Technician", ProtocolID: s.cp})
	create(tech, `"storageLocation":{"name":"Strip 1"},"containerTypeName":"Strip",`+where).refused(t, 400, "RBAC_ACCESS_DENIED")
	if got := c.must("GET", "/storage-containers/count", "")["count"]; got != 2.0 {
		t.Fatalf("refused requests left %v containers", got)
	}

	one := map[string]any{}
	mustDecode(t, create(c, `"storageLocation":{"name":"Strip 1","position":2},"containerTypeName":"strip","containerLocation":{"name":"Freezer","positionX":"2","positionY":"2"}`), &one)
	strip := c.must("GET", "/storage-containers/byname?name=Strip+1", "")
	if at(one) != "Strip 1 12" || at(strip) != "Freezer 22" || strip["typeName"] != "Strip" || strip["freePositions"] != 1.0 {
		t.Errorf("%s in %s, %v", at(one), at(strip), strip["freePositions"])
	}
	two := map[string]any{}
	mustDecode(t, create(c, `"storageLocation":{"name":"strip 1"},"containerTypeName":"Strip",`+where), &two)
	if at(two) != "Strip 1 11" {
		t.Errorf("the strip is there already: %s", at(two))
	}
	create(c, `"storageLocation":{"name":"Strip 1"},"containerTypeName":"Strip",`+where).refused(t, 400, "STORAGE_CONTAINER_NO_FREE_SPACE")

	// Without a name the type's format makes one; specimens of one request share a container that they name.
	moved := c.must("PUT", fmt.Sprintf("/specimens/%v", two["id"]), `{"containerTypeName":"Strip",`+where+`}`)
	if at(moved) != "Freezer-S1 11" {
		t.Errorf("moved to %s", at(moved))
	}
	trees := c.list("POST", "/specimens/collect", fmt.Sprintf(`[{"visitId":%d,"label":"NT","type":"Whole Blood","initialQty":5,"storageLocation":{"name":"Strip 2"},"containerTypeName":"Strip",%s,
		"children":[{"lineage":"Aliquot","label":"NT1","initialQty":1,"storageLocation":{"name":"STRIP 2"},"containerTypeName":"Strip",%s}]}]`, s.visit, where, where))
	if got := at(trees[0]) + at(trees[0]["children"].([]any)[0].(map[string]any)); got != "Strip 2 11Strip 2 12" {
		t.Error(got)
	}
}
