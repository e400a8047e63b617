package api_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"aliquot/infra/local/localtest"
	"aliquot/shared/biobank"
)

// newFreezer makes a freezer at the site of a study, and a box in it.
func (w *world) newFreezer(c caller) (freezer, box int64) {
	w.t.Helper()
	id := func(v map[string]any) int64 { return int64(v["id"].(float64)) }
	freezer = id(c.must("POST", "/storage-containers", `{"name":"Freezer","siteName":"North Biobank","noOfRows":2,"noOfColumns":2,"temperature":-80}`))
	box = id(c.must("POST", "/storage-containers", `{"name":"Box","storageLocation":{"name":"Freezer"},"noOfRows":"2","noOfColumns":3,
		"storeSpecimensEnabled":"true","rowLabelingScheme":"Alphabets Upper Case","columnLabelingScheme":"Numbers","barcode":"BX"}`))
	return freezer, box
}

// at is where an answer says that a specimen or container lies: container, row and column.
func at(v map[string]any) string {
	l, ok := v["storageLocation"].(map[string]any)
	if !ok {
		return "nowhere"
	}
	return fmt.Sprintf("%v %v%v", l["name"], l["positionY"], l["positionX"])
}

func TestContainers(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newStudy(c)
	freezer, box := w.newFreezer(c)
	a := c.do("GET", fmt.Sprintf("/storage-containers/%d", freezer), "")
	golden(t, "container", a.body)
	golden(t, "container-box", c.do("GET", "/storage-containers/byname?barcode=BX", "").body)
	if got := c.do("GET", fmt.Sprintf("/storage-containers/%d", box), "").body; got != c.do("GET", "/storage-containers/byname?name=box", "").body {
		t.Errorf("by id: %s", got)
	}
	for body, codes := range map[string]string{
		`{}`:                                "STORAGE_CONTAINER_REQUIRED_SITE_OR_PARENT_CONT",
		`{"name":"x"}`:                      "STORAGE_CONTAINER_REQUIRED_SITE_OR_PARENT_CONT",
		`{"siteName":"North Biobank"}`:      "STORAGE_CONTAINER_NAME_REQUIRED",
		`{"name":"x","siteName":"Nowhere"}`: "SITE_NOT_FOUND",
		`{"name":"freezer","siteName":"North Biobank"}`:                                         "STORAGE_CONTAINER_DUP_NAME",
		`{"name":"x","barcode":"BX","siteName":"North Biobank"}`:                                "STORAGE_CONTAINER_DUP_BARCODE",
		`{"name":"x","storageLocation":{"name":"None"}}`:                                        "STORAGE_CONTAINER_PARENT_CONT_NOT_FOUND",
		`{"name":"x","siteName":"North Biobank","noOfRows":2}`:                                  "STORAGE_CONTAINER_INVALID_DIMENSION_CAPACITY",
		`{"name":"x","siteName":"North Biobank","noOfRows":1001,"noOfColumns":1000}`:            "STORAGE_CONTAINER_INVALID_DIMENSION_CAPACITY",
		`{"name":"x","siteName":"North Biobank","noOfRows":-2,"noOfColumns":1}`:                 "STORAGE_CONTAINER_INVALID_DIMENSION_CAPACITY",
		`{"name":"x","siteName":"North Biobank","noOfRows":"two"}`:                              "INVALID_REQUEST",
		`{"name":"x","siteName":"North Biobank","capacity":-1}`:                                 "STORAGE_CONTAINER_INVALID_CAPACITY",
		`{"name":"x","siteName":"North Biobank","usedFor":"SHOW"}`:                              "STORAGE_CONTAINER_INV_USAGE_MODE",
		`{"name":"x","storageLocation":{"name":"Freezer"},"usedFor":"DISTRIBUTION"}`:            "STORAGE_CONTAINER_USAGE_DIFFER",
		`{"name":"x","siteName":"North Biobank","positionLabelingMode":"THREE_D"}`:              "STORAGE_CONTAINER_INVALID_POSITION_LABELING_MODE",
		`{"name":"x","siteName":"North Biobank","positionAssignment":"ZIGZAG"}`:                 "STORAGE_CONTAINER_INVALID_POSITION_ASSIGNMENT",
		`{"name":"x","siteName":"North Biobank","rowLabelingScheme":"Greek"}`:                   "STORAGE_CONTAINER_INVALID_DIMENSION_LABELING_SCHEME",
		`{"name":"x","siteName":"North Biobank","automated":true,"noOfRows":1,"noOfColumns":1}`: "STORAGE_CONTAINER_AUTOMATED_NOT_DIMENSIONLESS",
		`{"name":"x","siteName":"North Biobank","allowedSpecimenClasses":["Cake"]}`:             "SPECIMEN_INVALID_SPECIMEN_CLASS",
		`{"name":"x","siteName":"North Biobank","allowedSpecimenTypes":["Cake"]}`:               "SPECIMEN_INVALID_SPECIMEN_TYPE",
		`{"name":"x","siteName":"North Biobank","allowedCollectionProtocols":["None"]}`:         "STORAGE_CONTAINER_INVALID_CPS",
		`{"name":"x","siteName":"North Biobank","allowedDistributionProtocols":["None"]}`:       "STORAGE_CONTAINER_INVALID_DPS",
		`{"name":"x","siteName":"North Biobank","cellDisplayProp":"COLOUR"}`:                    "STORAGE_CONTAINER_INVALID_CELL_DISP_PROP",
		`{"name":"x","siteName":"North Biobank","typeName":"None"}`:                             "CONTAINER_TYPE_NOT_FOUND",
		`{"name":"x","siteName":"North Biobank","activityStatus":"Dormant"}`:                    "ACTIVITY_STATUS_INVALID",
		`{"name":"x","storageLocation":{"name":"Freezer","positionX":"9","positionY":"1"}}`:     "STORAGE_CONTAINER_INV_POS",
		`{"name":"x","storageLocation":{"name":"Freezer","positionX":"A","positionY":"1"}}`:     "STORAGE_CONTAINER_INVALID_NUMBER_POSITION",
		`{"name":"x","storageLocation":{"name":"Box","positionX":"1","positionY":"?"}}`:         "STORAGE_CONTAINER_INVALID_ALPHA_POSITION",
		`{"name":"x","storageLocation":{"name":"Freezer","position":1}}`:                        "STORAGE_CONTAINER_NO_FREE_SPACE",
		`{"name":"` + strings.Repeat("x", 65) + `","siteName":"North Biobank"}`:                 "COMMON_INVALID_INPUT",
	} {
		c.do("POST", "/storage-containers", body).refused(t, 400, codes)
	}
	c.do("GET", "/storage-containers/99", "").refused(t, 400, "STORAGE_CONTAINER_NOT_FOUND")
	c.do("GET", "/storage-containers/byname", "").refused(t, 400, "STORAGE_CONTAINER_ID_NAME_OR_BARCODE_REQ")

	path := fmt.Sprintf("/storage-containers/%d", box)
	t.Run("a patch keeps the rest, a put does not", func(t *testing.T) {
		got := c.must("PATCH", path, `{"comments":"blue lid"}`)
		if got["comments"] != "blue lid" || at(got) != "Freezer 11" || got["barcode"] != "BX" {
			t.Errorf("%v", got)
		}
		got = c.must("PUT", path, `{"name":"Box","storageLocation":{"name":"Freezer","positionX":"2","positionY":"1"},"noOfRows":2,"noOfColumns":3,"storeSpecimensEnabled":true}`)
		if got["comments"] != nil || got["barcode"] != nil || at(got) != "Freezer 12" {
			t.Errorf("%v", got)
		}
		c.do("PUT", path, `{"name":"Box","noOfRows":2,"noOfColumns":3}`).refused(t, 400, "STORAGE_CONTAINER_REQUIRED_SITE_OR_PARENT_CONT")
		c.do("PATCH", path, `{"noOfRows":null,"noOfColumns":null}`).refused(t, 400, "STORAGE_CONTAINER_REG_TO_DL_NA")
		c.do("PATCH", fmt.Sprintf("/storage-containers/%d", freezer), `{"storageLocation":{"name":"Box"}}`).refused(t, 400, "STORAGE_CONTAINER_HIERARCHY_CONTAINS_CYCLE")
		c.do("PATCH", fmt.Sprintf("/storage-containers/%d", freezer), `{"noOfRows":1,"noOfColumns":1}`).refused(t, 400, "STORAGE_CONTAINER_CANNOT_SHRINK_CONTAINER")
		got = c.must("PATCH", fmt.Sprintf("/storage-containers/%d", freezer), `{"noOfRows":1}`)
		if got["freePositions"] != 1.0 || fmt.Sprint(got["occupiedPositions"]) != "[2]" {
			t.Errorf("%v of %v", got["occupiedPositions"], got["freePositions"])
		}
	})
	t.Run("lists", func(t *testing.T) {
		for query, want := range map[string]string{
			"": "Box,Freezer", "?name=FREE": "Freezer", "?naam=box&naam=other": "Box", "?topLevelContainers=true": "Freezer",
			fmt.Sprintf("?parentContainerId=%d", freezer): "Box", fmt.Sprintf("?parentContainerId=%d&includeChildren=true", freezer): "Box,Freezer",
			"?site=North+Biobank": "Box,Freezer", "?site=Nowhere": "", "?storeSpecimensEnabled=true": "Box", "?usageMode=DISTRIBUTION": "",
			"?onlyFreeContainers=true": "Box,Freezer", "?status=CHECKED_OUT": "", "?status=AVAILABLE&startAt=1": "Freezer",
			"?specimenClass=Fluid&cpShortTitle=INV": "Box,Freezer", "?hierarchical=true": "Freezer", "?canHold=None": "",
		} {
			var names []string
			for _, v := range c.list("GET", "/storage-containers"+query, "") {
				names = append(names, v["name"].(string))
			}
			if got := strings.Join(names, ","); got != want {
				t.Errorf("%s: %s, want %s", query, got, want)
			}
		}
		if got := c.do("GET", "/storage-containers/count", "").body; got != `{"count":2}` {
			t.Errorf("count: %s", got)
		}
		c.do("GET", "/storage-containers?maxResults=None", "").refused(t, 400, "INVALID_REQUEST")
		c.do("GET", "/storage-containers?cpShortTitle=NONE", "").refused(t, 400, "CP_NOT_FOUND")
	})
	t.Run("fit", func(t *testing.T) {
		for query, status := range map[string]int{
			"?cpId=1&specimenClass=Fluid&specimenType=Serum": 200, "?cpId=1&specimenClass=Cake&specimenType=Cake": 400,
			"?cpId=9&specimenClass=Fluid&specimenType=Serum": 400, "": 200,
		} {
			if a := c.do("HEAD", path+query, ""); a.status != status {
				t.Errorf("%s: %d, want %d", query, a.status, status)
			}
		}
		if a := c.do("HEAD", fmt.Sprintf("/storage-containers/%d?cpId=1&specimenClass=Fluid&specimenType=Serum", freezer), ""); a.status != http.StatusBadRequest {
			t.Error("a freezer that stores no specimens admits one")
		}
	})
	t.Run("moved, checked out, archived, deleted", func(t *testing.T) {
		w.wait(time.Second)
		got := c.must("PATCH", path, `{"storageLocation":{},"transferComments":"thawed","transferredBy":{"loginName":"admin"},"transferDate":"2026-02-01"}`)
		if at(got) != "nowhere" || got["siteName"] != "North Biobank" {
			t.Errorf("taken out: %v", got)
		}
		c.must("PATCH", path, `{"storageLocation":{"name":"Freezer"}}`)
		events := c.list("GET", path+"/transfer-events", "")
		if len(events) != 3 || events[1]["reason"] != "thawed" || events[1]["time"] != 1769904000000.0 {
			t.Errorf("%v", events)
		}
		got = c.must("PATCH", path, `{"checkOut":true}`)
		if got["status"] != "CHECKED_OUT" || at(got) != "nowhere" {
			t.Errorf("checked out: %v", got)
		}
		c.do("PATCH", path, `{"checkOut":true}`).refused(t, 400, "STORAGE_CONTAINER_CHECKED_OUT_ALREADY")
		held := c.list("GET", fmt.Sprintf("/storage-containers/%d/occupied-positions", freezer), "")
		if len(held) != 1 || held[0]["blocked"] != true || held[0]["blockedEntityName"] != "Box" {
			t.Errorf("the cell is not kept: %v", held)
		}
		got = c.must("PATCH", path, `{"storageLocation":{"name":"Freezer","positionX":"1","positionY":"1"}}`)
		if got["status"] != nil || at(got) != "Freezer 11" {
			t.Errorf("back again: %v", got)
		}
		got = c.must("PATCH", path, `{"activityStatus":"Closed"}`)
		if got["activityStatus"] != "Closed" || at(got) != "nowhere" {
			t.Errorf("archived: %v", got)
		}
		c.must("PATCH", path, `{"activityStatus":"Active","storageLocation":{"name":"Freezer"}}`)
		c.must("PATCH", fmt.Sprintf("/storage-containers/%d", freezer), `{"activityStatus":"Closed"}`)
		if got := c.must("GET", path, ""); got["activityStatus"] != "Closed" {
			t.Errorf("in an archived freezer: %v", got["activityStatus"])
		}
		c.do("PATCH", path, `{"activityStatus":"Active"}`).refused(t, 400, "STORAGE_CONTAINER_PARENT_ARCHIVED")
		c.must("PATCH", fmt.Sprintf("/storage-containers/%d", freezer), `{"activityStatus":"Active"}`)
		if got := c.do("DELETE", fmt.Sprintf("/storage-containers/%d", freezer), "").body; got != `{"storage_container":2,"specimen":0}` {
			t.Errorf("deleted: %s", got)
		}
		for _, p := range []string{path, fmt.Sprintf("/storage-containers/%d", freezer)} {
			c.do("GET", p, "").refused(t, 400, "STORAGE_CONTAINER_NOT_FOUND")
		}
		w.newFreezer(c) // the names are free
	})
}

func TestContainerTypes(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newStudy(c)
	a := c.do("POST", "/container-types", `{"name":"Box 9x9","nameFormat":"%PCONT_NAME%-B%PCONT_UID(2)%","noOfRows":9,"noOfColumns":"9","storeSpecimenEnabled":true,"positionLabelingMode":"LINEAR"}`)
	golden(t, "container-type", a.body)
	if got := c.do("GET", "/container-types/1", ""); got.body != a.body {
		t.Errorf("GET answers %s", got.body)
	}
	c.must("POST", "/container-types", `{"name":"Rack","nameFormat":"%SITE_CODE%-R%SITE_UID%","noOfRows":2,"noOfColumns":1,"canHold":{"name":"box 9x9"},"temperature":-80}`)
	for body, codes := range map[string]string{
		`{}`: "CONTAINER_TYPE_NAME_REQUIRED,CONTAINER_TYPE_NAME_FORMAT_REQUIRED,CONTAINER_TYPE_INVALID_CAPACITY",
		`{"name":"RACK","nameFormat":"x","noOfRows":1,"noOfColumns":1}`:                          "CONTAINER_TYPE_DUP_NAME",
		`{"name":"x","nameFormat":"%NOBODY%","noOfRows":1,"noOfColumns":1}`:                      "CONTAINER_TYPE_INVALID_NAME_FORMAT",
		`{"name":"x","nameFormat":"%PCONT_UID(x)%","noOfRows":1,"noOfColumns":1}`:                "CONTAINER_TYPE_INVALID_NAME_FORMAT",
		`{"name":"x","nameFormat":"x","noOfRows":1,"noOfColumns":1,"rowLabelingScheme":"Greek"}`: "CONTAINER_TYPE_INVALID_LABELING_SCHEME",
		`{"name":"x","nameFormat":"x","noOfRows":1000,"noOfColumns":1001}`:                       "CONTAINER_TYPE_INVALID_CAPACITY",
		`{"name":"x","nameFormat":"x","noOfRows":1,"noOfColumns":1,"canHold":{"name":"None"}}`:   "CONTAINER_TYPE_NOT_FOUND",
	} {
		c.do("POST", "/container-types", body).refused(t, 400, codes)
	}
	c.do("PUT", "/container-types/1", `{"name":"Box 9x9","nameFormat":"x","noOfRows":9,"noOfColumns":9,"canHold":{"id":2}}`).refused(t, 400, "CONTAINER_TYPE_CYCLES_NOT_ALLOWED")
	c.do("GET", "/container-types/7", "").refused(t, 400, "CONTAINER_TYPE_NOT_FOUND")
	if got := c.list("GET", "/container-types?canHold=Box+9x9", ""); len(got) != 1 || got[0]["name"] != "Rack" {
		t.Errorf("what holds boxes: %v", got)
	}

	t.Run("a hierarchy", func(t *testing.T) {
		got := c.list("POST", "/storage-containers/create-hierarchy", `{"typeName":"Rack","siteName":"North Biobank","numOfContainers":2}`)
		var names []string
		for _, v := range got {
			names = append(names, v["name"].(string))
		}
		if strings.Join(names, ",") != "NB-R1,NB-R2" || got[0]["temperature"] != -80.0 {
			t.Errorf("%v", got)
		}
		names = nil
		for _, v := range c.list("GET", fmt.Sprintf("/storage-containers/%v/child-containers", got[0]["id"]), "") {
			names = append(names, v["name"].(string)+" "+at(v))
			if v["storeSpecimensEnabled"] != true || v["positionLabelingMode"] != "LINEAR" {
				t.Errorf("the type's defaults: %v", v)
			}
		}
		if s := strings.Join(names, ","); s != "NB-R1-B01 NB-R1 11,NB-R1-B02 NB-R1 21" {
			t.Error(s)
		}
		top := c.must("GET", fmt.Sprintf("/storage-containers/%v/ancestors-hierarchy", 3), "")
		if kids := top["childContainers"].([]any); top["name"] != "NB-R1" || len(kids) != 1 {
			t.Errorf("%v", top)
		}
		c.do("POST", "/storage-containers/create-hierarchy", `{"siteName":"North Biobank"}`).refused(t, 400, "STORAGE_CONTAINER_TYPE_REQUIRED")
		c.do("POST", "/storage-containers/create-hierarchy", `{"typeName":"None","siteName":"North Biobank"}`).refused(t, 400, "CONTAINER_TYPE_NOT_FOUND")
		c.do("POST", "/storage-containers", `{"typeName":"Box 9x9","storageLocation":{"id":1}}`).refused(t, 400, "STORAGE_CONTAINER_NO_FREE_SPACE")
		// Below a site the format, which wants a container above, makes no name.
		c.do("POST", "/storage-containers", `{"typeName":"Box 9x9","siteName":"North Biobank"}`).refused(t, 400, "STORAGE_CONTAINER_NAME_REQUIRED")
		c.must("POST", "/storage-containers", `{"name":"Loose","typeName":"Box 9x9","siteName":"North Biobank"}`)
	})
	t.Run("several, all or none", func(t *testing.T) {
		c.do("POST", "/storage-containers/multiple", `[{"name":"M1","siteName":"North Biobank"},{"name":"NB-R1","siteName":"North Biobank"}]`).refused(t, 400, "STORAGE_CONTAINER_DUP_NAME")
		if got := c.list("GET", "/storage-containers?naam=M1", ""); len(got) != 0 {
			t.Errorf("the first was made: %v", got)
		}
		if got := c.list("POST", "/storage-containers/multiple", `[{"name":"M1","siteName":"North Biobank"},{"name":"M2","siteName":"North Biobank"}]`); len(got) != 2 {
			t.Errorf("%v", got)
		}
		got := c.list("POST", "/storage-containers/1/replica", `{"destinations":[{"name":"Copy","siteName":"North Biobank"}]}`)
		if len(got) != 1 || got[0]["noOfRows"] != 2.0 || got[0]["typeName"] != "Rack" {
			t.Errorf("%v", got)
		}
		c.do("POST", "/storage-containers/1/replica", `{}`).refused(t, 400, "INVALID_REQUEST")
	})
	t.Run("deletion", func(t *testing.T) {
		if got := c.do("GET", "/container-types/1/dependent-entities", "").body; got != `[{"name":"container_type","count":1},{"name":"storage_container","count":5}]` {
			t.Error(got)
		}
		c.do("DELETE", "/container-types/1", "").refused(t, 400, "CONTAINER_TYPE_REF_ENTITY_FOUND")
		odd := fmt.Sprint(c.must("POST", "/container-types", `{"name":"Odd","nameFormat":"x","noOfRows":1,"noOfColumns":1}`)["id"])
		even := fmt.Sprint(c.must("POST", "/container-types", `{"name":"Even","nameFormat":"x","noOfRows":1,"noOfColumns":1}`)["id"])
		plain := w.newUser("plain", "NONE")
		plain.do("DELETE", "/container-types/"+odd, "").refused(t, 400, "RBAC_ADMIN_RIGHTS_REQUIRED")
		plain.do("DELETE", "/container-types?id="+odd, "").refused(t, 400, "RBAC_ADMIN_RIGHTS_REQUIRED")
		if got := c.must("DELETE", "/container-types/"+odd, ""); got["activityStatus"] != "Disabled" {
			t.Errorf("%v", got)
		}
		if got := c.do("DELETE", "/container-types?id="+even, "").body; got != `{"count":1}` {
			t.Error(got)
		}
	})
}

func TestReservations(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	_, box := w.newFreezer(c)
	reserve := func(body string) []map[string]any {
		t.Helper()
		return c.list("POST", "/storage-containers/reserve-positions", body)
	}
	two := reserve(`{"tenants":[{"containerName":"Box","numOfAliquots":2}]}`)
	if len(two) != 2 || two[0]["positionX"] != "1" || two[1]["positionX"] != "2" || two[0]["reservationId"] == nil {
		t.Fatalf("%v", two)
	}
	id := two[0]["reservationId"].(string)
	store := func(specimen int64, location string) answer {
		return c.do("PUT", fmt.Sprintf("/specimens/%d", specimen), `{"storageLocation":`+location+`}`)
	}
	store(s.specimen, `{"name":"Box","positionX":"1","positionY":"A"}`).refused(t, 400, "STORAGE_CONTAINER_NO_FREE_SPACE")
	if a := store(s.specimen, fmt.Sprintf(`{"name":"Box","positionX":"1","positionY":"A","reservationId":%q}`, id)); a.status != http.StatusOK {
		t.Errorf("with the reservation: %s", a.body)
	}
	if got := c.must("GET", fmt.Sprintf("/storage-containers/%d", box), ""); got["freePositions"] != 4.0 {
		t.Errorf("a reserved cell is free: %v", got["freePositions"])
	}
	if got := c.do("DELETE", "/storage-containers/reserve-positions/"+id, "").body; got != `{"vacatedPositions":1}` {
		t.Error(got)
	}
	reserve(`{"tenants":[{"containerId":` + fmt.Sprint(box) + `,"positionX":"3","positionY":"B"}]}`)
	store(s.aliquot, `{"name":"Box","positionX":"3","positionY":"B"}`).refused(t, 400, "STORAGE_CONTAINER_NO_FREE_SPACE")
	localtest.HandlerOnly(t)
	w.wait(6 * time.Minute)
	if a := store(s.aliquot, `{"name":"Box","positionX":"3","positionY":"B"}`); a.status != http.StatusOK {
		t.Errorf("after five minutes: %s", a.body)
	}
	c.do("POST", "/storage-containers/reserve-positions", `{"tenants":[{"numOfAliquots":2}]}`).refused(t, 400, "STORAGE_CONTAINER_ID_NAME_OR_BARCODE_REQ")
	c.do("POST", "/storage-containers/reserve-positions", `{}`).refused(t, 400, "INVALID_REQUEST")
	c.do("POST", "/storage-containers/reserve-positions", `{"tenants":[{"containerName":"Box","numOfAliquots":5}]}`).refused(t, 400, "STORAGE_CONTAINER_NO_FREE_SPACE")
	for _, bad := range []string{"", "x", "x-1", "0-1", "99-1"} {
		if a := c.do("DELETE", "/storage-containers/reserve-positions?reservationId="+bad, ""); a.status != http.StatusBadRequest {
			t.Errorf("%q: %d %s", bad, a.status, a.body)
		}
	}
}

// Without a container the newest one with room is chosen, if the protocol has a strategy.
func TestAChosenContainer(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	w.newFreezer(c) // with a box of 6
	c.must("POST", "/storage-containers", `{"name":"Tissue","siteName":"North Biobank","noOfRows":3,"noOfColumns":3,"storeSpecimensEnabled":true,"allowedSpecimenClasses":["Tissue"]}`)
	c.must("POST", "/storage-containers", `{"name":"Small","siteName":"North Biobank","noOfRows":1,"noOfColumns":2,"storeSpecimensEnabled":true}`)
	const cp = `{"shortTitle":"INV","title":"Invented study","principalInvestigator":{"id":2},"cpSites":[{"siteName":"North Biobank"}],"manualSpecLabelEnabled":true`
	reserve := func(n int) answer {
		return c.do("POST", "/storage-containers/reserve-positions", fmt.Sprintf(`{"cpId":%d,"tenants":[{"specimenType":"whole blood","numOfAliquots":%d}]}`, s.cp, n))
	}
	chosen := func(n int) string {
		t.Helper()
		var views []map[string]any
		mustDecode(t, reserve(n), &views)
		return column(views, "name")
	}
	reserve(1).refused(t, 400, "STORAGE_CONTAINER_ID_NAME_OR_BARCODE_REQ")
	c.must("PUT", fmt.Sprintf("/collection-protocols/%d", s.cp), cp+`,"containerSelectionStrategy":"newest"}`)
	reserve(9).refused(t, 400, "STORAGE_CONTAINER_NO_FREE_SPACE")
	if got := chosen(1); got != "Small" {
		t.Errorf("for one: %s", got)
	}
	if got := chosen(3); got != "Small,Box,Box" {
		t.Errorf("for three: %s", got)
	}
	c.must("PUT", fmt.Sprintf("/collection-protocols/%d", s.cp), cp+`,"containerSelectionStrategy":"newest","aliquotsInSameContainer":true}`)
	reserve(5).refused(t, 400, "STORAGE_CONTAINER_NO_FREE_SPACE")
	c.must("POST", "/storage-containers", `{"name":"New","siteName":"North Biobank","noOfRows":1,"noOfColumns":2,"storeSpecimensEnabled":true}`)
	if got := chosen(3); got != "Box,Box,Box" {
		t.Errorf("together: %s", got)
	}
	var views []map[string]any
	mustDecode(t, c.do("POST", "/storage-containers/reserve-positions", fmt.Sprintf(`{"cpId":%d,"tenants":[{"specimenType":"Whole Blood","numOfAliquots":2},{"specimenType":"Whole Blood"}]}`, s.cp)), &views)
	if got := column(views, "name"); got != "New,New,Box" {
		t.Errorf("two wishes: %s", got)
	}
	c.do("POST", "/storage-containers/reserve-positions", `{"cpId":99,"tenants":[{"specimenType":"Whole Blood"}]}`).refused(t, 400, "CP_NOT_FOUND")
}

// between is a store that does something just before the first transaction.
type between struct {
	biobank.Store
	do func()
}

func (s *between) Transact(ctx context.Context, writes []biobank.Write) ([]biobank.Result, error) {
	if do := s.do; do != nil {
		s.do = nil
		do()
	}
	return s.Store.Transact(ctx, writes)
}

// Of two opposite moves, each right by itself, one is refused: neither container ends in the other's.
func TestOppositeMovesMakeNoCircle(t *testing.T) {
	localtest.HandlerOnly(t)
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newStudy(c)
	path := map[string]string{}
	for _, name := range []string{"A", "B", "C"} {
		path[name] = fmt.Sprintf("/storage-containers/%v", c.must("POST", "/storage-containers", fmt.Sprintf(`{"name":%q,"siteName":"North Biobank","noOfRows":2,"noOfColumns":2}`, name))["id"])
	}
	into := func(name string) string { return fmt.Sprintf(`{"storageLocation":{"name":%q}}`, name) }
	assign := func(name string) string {
		return fmt.Sprintf(`{"positions":[{"position":1,"occuypingEntity":"container","occupyingEntityName":%q}]}`, name)
	}
	real := w.registry.Store
	for _, tt := range []struct{ name, verb, path, body string }{
		{"moved", "PATCH", path["A"], into("B")},
		{"replaced", "PUT", path["A"], `{"name":"A","storageLocation":{"name":"B"},"noOfRows":2,"noOfColumns":2}`},
		{"assigned", "POST", path["B"] + "/occupied-positions", assign("A")},
		{"moved after a turn", "PATCH", path["A"], into("B")},
	} {
		w.registry.Store = &between{real, func() { c.must("PATCH", path["B"], into("A")) }}
		c.do(tt.verb, tt.path, tt.body).refused(t, 400, "STORAGE_CONTAINER_HIERARCHY_CONTAINS_CYCLE")
		w.registry.Store = real
		if got := at(c.must("GET", path["A"], "")) + ", " + at(c.must("GET", path["B"], "")); got != "nowhere, A 11" {
			t.Errorf("%s: %s", tt.name, got)
		}
		c.must("PATCH", path["B"], `{"storageLocation":{}}`)
	}
	// Three in a row, the last of which would close the circle.
	w.registry.Store = &between{real, func() {
		c.must("PATCH", path["B"], into("C"))
		c.must("PATCH", path["C"], into("A"))
	}}
	c.do("PATCH", path["A"], into("B")).refused(t, 400, "STORAGE_CONTAINER_HIERARCHY_CONTAINS_CYCLE")
	w.registry.Store = real
	if got := at(c.must("GET", path["B"], "")); got != "C 11" {
		t.Error(got)
	}
}

func TestManyMovesAtOnceMakeNoCircle(t *testing.T) {
	w := newWorld(t)
	w.outsize = true
	c := w.signIn("admin", password)
	w.newStudy(c)
	const n = 6
	path := make([]string, n)
	for i := range path {
		path[i] = fmt.Sprintf("/storage-containers/%v", c.must("POST", "/storage-containers", fmt.Sprintf(`{"name":"R%d","siteName":"North Biobank","noOfRows":3,"noOfColumns":3}`, i))["id"])
	}
	got := make([]answer, n)
	var all sync.WaitGroup
	for i := range path {
		all.Go(func() { got[i] = c.do("PATCH", path[i], fmt.Sprintf(`{"storageLocation":{"name":"R%d"}}`, (i+1)%n)) })
	}
	all.Wait()
	refused := 0
	for _, a := range got {
		if a.status != http.StatusOK {
			refused++
			a.refused(t, 400, "STORAGE_CONTAINER_HIERARCHY_CONTAINS_CYCLE")
		}
	}
	if refused != 1 {
		t.Errorf("%d of a ring of moves were refused, want 1", refused)
	}
	for i := range path {
		c.must("GET", path[i]+"/ancestors-hierarchy", "")
	}
}

// The cells of a LINEAR container are known by their numbers.
func TestPositionsOfALinearContainer(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	c.must("POST", "/storage-containers", `{"name":"Strip","siteName":"North Biobank","noOfRows":9,"noOfColumns":9,"positionLabelingMode":"LINEAR","storeSpecimensEnabled":true}`)
	path := fmt.Sprintf("/specimens/%d", s.specimen)
	put := func(place, want string) {
		t.Helper()
		if got := at(c.must("PUT", path, `{"storageLocation":{"name":"Strip",`+place+`}}`)); got != want {
			t.Errorf("%s: %s, want %s", place, got, want)
		}
	}
	put(`"positionX":"1","positionY":"1"`, "Strip 11")
	put(`"positionX":"1","positionY":"1","position":5`, "Strip 15")
	put(`"positionX":"7","position":11`, "Strip 22")
	put(`"positionX":"3","positionY":"4","position":null`, "Strip 43")
	c.do("PUT", path, `{"storageLocation":{"name":"Strip","positionX":"1","positionY":"1","position":82}}`).refused(t, 400, "STORAGE_CONTAINER_INV_POS")
	strip := fmt.Sprint(c.must("GET", "/storage-containers/byname?name=Strip", "")["id"])
	c.list("POST", "/storage-containers/"+strip+"/occupied-positions", fmt.Sprintf(`{"positions":[{"posOne":"3","posTwo":"4","position":81,"occuypingEntity":"specimen","occupyingEntityId":%d}]}`, s.specimen))
	if got := at(c.must("GET", path, "")); got != "Strip 99" {
		t.Errorf("assigned to position 81 it is at %s", got)
	}
}
