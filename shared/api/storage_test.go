package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// Where specimens are stored: created into a cell, moved, taken out, and what frees a cell.
func TestSpecimenStorage(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	freezer, box := w.newFreezer(c)
	n := 0
	create := func(location string) answer {
		n++
		return c.do("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"label":"ST-%d","type":"Whole Blood","initialQty":1,"storageLocation":%s}`, s.visit, n, location))
	}
	free := func(want int) {
		t.Helper()
		if got := c.must("GET", fmt.Sprintf("/storage-containers/%d", box), "")["freePositions"]; got != float64(want) {
			t.Errorf("%v positions are free, want %d", got, want)
		}
	}
	for location, code := range map[string]string{
		`{"name":"None"}`:    "STORAGE_CONTAINER_NOT_FOUND",
		`{"id":99}`:          "STORAGE_CONTAINER_NOT_FOUND",
		`{"name":"Freezer"}`: "STORAGE_CONTAINER_CANNOT_HOLD_SPECIMEN",
		`{"name":"Box","positionX":"4","positionY":"A"}`: "STORAGE_CONTAINER_INV_POS",
		`{"name":"Box","positionX":"1"}`:                 "STORAGE_CONTAINER_INV_POS",
		`{"name":"Box","position":7}`:                    "STORAGE_CONTAINER_INV_POS",
		`{"name":"Box","positionX":"A","positionY":"A"}`: "STORAGE_CONTAINER_INVALID_NUMBER_POSITION",
		`{"name":"Box","positionX":"1","positionY":"1"}`: "STORAGE_CONTAINER_INVALID_ALPHA_POSITION",
		`"Box"`: "INVALID_REQUEST",
	} {
		create(location).refused(t, 400, code)
	}
	for _, location := range []string{`{}`, `null`, `{"id":null,"name":null}`, `{"id":-1}`} {
		var got map[string]any
		mustDecode(t, create(location), &got)
		if at(got) != "<nil> <nil><nil>" {
			t.Errorf("%s: %v", location, got["storageLocation"])
		}
	}
	free(6)
	var one, two map[string]any
	mustDecode(t, create(`{"name":"Box"}`), &one)
	mustDecode(t, create(fmt.Sprintf(`{"id":%d,"positionX":"3","positionY":"b"}`, box)), &two)
	if at(one) != "Box A1" || at(two) != "Box B3" || one["storageSite"] != "North Biobank" {
		t.Errorf("%s, %s at %v", at(one), at(two), one["storageSite"])
	}
	create(`{"name":"Box","positionX":"1","positionY":"A"}`).refused(t, 400, "STORAGE_CONTAINER_NO_FREE_SPACE")
	free(4)
	path := fmt.Sprintf("/specimens/%v", one["id"])
	t.Run("moves", func(t *testing.T) {
		if got := c.must("PUT", path, `{"comments":"kept where it is"}`); at(got) != "Box A1" {
			t.Error(at(got))
		}
		if got := c.must("PUT", path, `{"storageLocation":{"name":"box"}}`); at(got) != "Box A1" {
			t.Errorf("in the box already: %s", at(got))
		}
		c.do("PUT", path, `{"storageLocation":{"name":"Box","positionX":"3","positionY":"B"}}`).refused(t, 400, "STORAGE_CONTAINER_NO_FREE_SPACE")
		w.wait(time.Second)
		got := c.must("PUT", path, `{"storageLocation":{"name":"Box","positionX":"2","positionY":"A"},"transferUser":{"loginName":"admin"},"transferTime":"2026-02-01","transferComments":"sorted"}`)
		if at(got) != "Box A2" {
			t.Error(at(got))
		}
		free(4)
		var moved bool
		for _, e := range c.list("GET", path+"/events", "") {
			if e["name"] == "SpecimenTransferEvent" {
				moved = strings.Contains(fmt.Sprint(e), "Box A 1") && strings.Contains(fmt.Sprint(e), "Box A 2") && strings.Contains(fmt.Sprint(e), "sorted")
			}
		}
		if !moved {
			t.Error("the transfer is not told")
		}
		got = c.must("PUT", path, `{"checkout":true}`)
		if at(got) != "<nil> <nil><nil>" || got["checkedOut"] != true {
			t.Errorf("checked out: %v", got["checkoutPosition"])
		}
		free(4) // its cell is kept
		if got := c.must("PUT", path, `{"storageLocation":{"name":"Box","positionX":"2","positionY":"A"}}`); at(got) != "Box A2" || got["checkedOut"] != false {
			t.Errorf("back again: %s", at(got))
		}
		c.must("PUT", path, `{"storageLocation":{}}`)
		free(5)
		c.must("PUT", path, `{"storageLocation":{"name":"Box"}}`)
		free(4)
	})
	t.Run("what frees a cell", func(t *testing.T) {
		c.must("PUT", path+"/status", `{"status":"Closed","reason":"used"}`)
		free(5)
		c.do("PUT", path, `{"storageLocation":{"name":"Box"}}`).refused(t, 400, "SPECIMEN_STORE_NOT_ALLOWED")
		c.must("PUT", path+"/status", `{"status":"Active"}`)
		c.must("PUT", path, `{"storageLocation":{"name":"Box"}}`)
		free(4)
		c.must("DELETE", path, "")
		free(5)
		a := c.do("DELETE", fmt.Sprintf("/storage-containers/%d", freezer), "")
		a.refused(t, 400, "STORAGE_CONTAINER_REF_ENTITY_FOUND")
		if got := c.do("GET", fmt.Sprintf("/storage-containers/%d/dependent-entities", freezer), "").body; got != `[{"name":"specimen","count":1}]` {
			t.Error(got)
		}
		c.do("PATCH", fmt.Sprintf("/storage-containers/%d", freezer), `{"activityStatus":"Closed"}`).refused(t, 400, "STORAGE_CONTAINER_CANNOT_ARCHIVE")
		c.do("PATCH", fmt.Sprintf("/storage-containers/%d", box), `{"storeSpecimensEnabled":false}`).refused(t, 400, "STORAGE_CONTAINER_CANNOT_HOLD_SPECIMEN")
		c.do("PATCH", fmt.Sprintf("/storage-containers/%d", freezer), `{"allowedSpecimenClasses":["Tissue"]}`).refused(t, 400, "STORAGE_CONTAINER_CANNOT_HOLD_SPECIMEN")
		c.do("PATCH", fmt.Sprintf("/storage-containers/%d", box), `{"noOfRows":1}`).refused(t, 400, "STORAGE_CONTAINER_CANNOT_SHRINK_CONTAINER")
	})
	t.Run("collected trees", func(t *testing.T) {
		trees := c.list("POST", "/specimens/collect", fmt.Sprintf(`[{"visitId":%d,"label":"T","type":"Whole Blood","initialQty":5,"storageLocation":{"name":"Box"},
			"children":[{"lineage":"Aliquot","label":"T1","initialQty":1,"storageLocation":{"name":"Box"}},{"lineage":"Aliquot","label":"T2","initialQty":1,"storageLocation":{"name":"Box"}}]}]`, s.visit))
		kids := trees[0]["children"].([]any)
		if got := at(trees[0]) + at(kids[0].(map[string]any)) + at(kids[1].(map[string]any)); got != "Box A1Box A2Box A3" {
			t.Error(got)
		}
		free(2)
	})
	t.Run("who holds the cells", func(t *testing.T) {
		held := c.list("GET", fmt.Sprintf("/storage-containers/%d/occupied-positions", box), "")
		var names []string
		for _, h := range held {
			names = append(names, fmt.Sprintf("%v%v %v %v", h["posTwo"], h["posOne"], h["occuypingEntity"], h["occupyingEntityName"]))
		}
		if got := strings.Join(names, ","); !strings.HasPrefix(got, "A1 specimen T,A2 specimen T1,A3 specimen T2,B3 specimen ST-") {
			t.Error(got)
		}
		if got := c.list("GET", fmt.Sprintf("/storage-containers/%d/specimens", freezer), ""); len(got) != 4 {
			t.Errorf("%d specimens in the freezer", len(got))
		}
		if got := c.do("GET", fmt.Sprintf("/storage-containers/%d/export-map", box), "").body; !strings.HasPrefix(got, "\"\",\"1\",\"2\",\"3\"\n\"A\",\"T\",\"T1\",\"T2\"\n\"B\",\"\",\"\",\"ST-") {
			t.Errorf("map: %q", got)
		}
		c.do("GET", fmt.Sprintf("/storage-containers/%d/report", box), "")
		vacant := c.list("GET", "/storage-containers/vacant-positions?name=Box&numPositions=2&startRow=B&startColumn=2", "")
		if len(vacant) != 2 || vacant[0]["positionX"] != "2" || vacant[1]["positionX"] != "1" {
			t.Errorf("once around: %v", vacant)
		}
		c.do("GET", fmt.Sprintf("/storage-containers/%d/vacant-positions?numPositions=3", box), "").refused(t, 400, "STORAGE_CONTAINER_NO_FREE_SPACE")
	})
	t.Run("assigned", func(t *testing.T) {
		swap := func(vacate bool, cells ...string) answer {
			var list []string
			for _, cell := range cells {
				list = append(list, fmt.Sprintf(`{"posTwo":"%c","posOne":"%c","occuypingEntity":"specimen","occupyingEntityName":%q}`, cell[0], cell[1], cell[3:]))
			}
			return c.do("POST", fmt.Sprintf("/storage-containers/%d/occupied-positions", box), fmt.Sprintf(`{"vacateOccupant":%v,"positions":[%s]}`, vacate, strings.Join(list, ",")))
		}
		where := func(label string) string { return at(c.list("GET", "/specimens?label="+label, "")[0]) }
		if a := swap(false, "A1 T1", "A2 T"); a.status != http.StatusOK || where("T1") != "Box A1" || where("T") != "Box A2" {
			t.Errorf("swapped: %s, %s: %s", where("T"), where("T1"), a.body)
		}
		swap(false, "A3 T").refused(t, 400, "STORAGE_CONTAINER_NO_FREE_SPACE")
		if a := swap(true, "A3 T"); a.status != http.StatusOK || where("T") != "Box A3" || where("T2") != "<nil> <nil><nil>" {
			t.Errorf("in place of another: %s, %s: %s", where("T"), where("T2"), a.body)
		}
		swap(false, "B1 NONE").refused(t, 400, "SPECIMEN_NOT_FOUND")
		c.do("POST", fmt.Sprintf("/storage-containers/%d/occupied-positions", box), `{"positions":[{"position":1,"occuypingEntity":"cake","occupyingEntityId":1}]}`).refused(t, 400, "STORAGE_CONTAINER_INVALID_ENTITY_TYPE")
		c.do("POST", fmt.Sprintf("/storage-containers/%d/occupied-positions", box), `{"positions":[{"position":1,"occuypingEntity":"specimen"}]}`).refused(t, 400, "STORAGE_CONTAINER_OCCUPYING_ENTITY_ID_OR_NAME_REQUIRED")
		free(3)
	})
	t.Run("blocked", func(t *testing.T) {
		block := fmt.Sprintf("/storage-containers/%d/block-positions", box)
		c.do("PUT", block, `[{"posTwo":"A","posOne":"1"}]`).refused(t, 400, "STORAGE_CONTAINER_POS_OCCUPIED")
		c.do("PUT", block, `[{"posTwo":"Z","posOne":"1"}]`).refused(t, 400, "STORAGE_CONTAINER_INV_POS")
		c.must("PUT", block, `[{"posTwo":"B","posOne":"1"}]`)
		free(2)
		create(`{"name":"Box","positionX":"1","positionY":"B"}`).refused(t, 400, "STORAGE_CONTAINER_NO_FREE_SPACE")
		c.must("PUT", block, ``)
		free(0)
		create(`{"name":"Box"}`).refused(t, 400, "STORAGE_CONTAINER_NO_FREE_SPACE")
		c.must("PUT", strings.Replace(block, "block", "unblock", 1), `{"positions":[{"posTwo":"B","posOne":"1"}]}`)
		free(1)
		c.must("PUT", strings.Replace(block, "block", "unblock", 1), `[]`)
		free(3)
		c.must("POST", "/storage-containers", `{"name":"Tank","siteName":"North Biobank"}`)
		c.do("PUT", "/storage-containers/"+fmt.Sprint(c.list("GET", "/storage-containers?naam=Tank", "")[0]["id"])+"/block-positions", "").refused(t, 400, "STORAGE_CONTAINER_DL_POS_BLK_NP")
	})
	t.Run("force", func(t *testing.T) {
		if got := c.do("DELETE", fmt.Sprintf("/storage-containers/%d?forceDelete=true", freezer), "").body; got != `{"storage_container":2,"specimen":3}` {
			t.Error(got)
		}
		if got := c.list("GET", "/specimens?label=T", ""); at(got[0]) != "<nil> <nil><nil>" {
			t.Errorf("still stored: %s", at(got[0]))
		}
	})
}

// However many ask at once, no cell is given twice and none is left.
func TestManyAskForTheNextCell(t *testing.T) {
	w := newWorld(t)
	w.outsize = true
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	c.must("POST", "/storage-containers", `{"name":"Busy","siteName":"North Biobank","noOfRows":3,"noOfColumns":4,"storeSpecimensEnabled":true}`)
	got := make([]answer, 14)
	var all sync.WaitGroup
	for i := range got {
		all.Go(func() {
			got[i] = c.do("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"label":"N-%d","type":"Whole Blood","initialQty":1,"storageLocation":{"name":"Busy"}}`, s.visit, i))
		})
	}
	all.Wait()
	full, seen := 0, map[string]bool{}
	for _, a := range got {
		if a.status == http.StatusBadRequest && a.codes(t) == "STORAGE_CONTAINER_NO_FREE_SPACE" {
			full++
			continue
		}
		var v map[string]any
		mustDecode(t, a, &v)
		if seen[at(v)] {
			t.Errorf("%s was given twice", at(v))
		}
		seen[at(v)] = true
	}
	if full != 2 || len(seen) != 12 {
		t.Errorf("%d were refused, %d cells given", full, len(seen))
	}
}

// Storing needs the right to see the container, of its site; the protocol has to fit it.
func TestWhoMayStoreWhere(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	w.newFreezer(c)
	c.must("POST", "/institutes", `{"name":"Elsewhere"}`)
	c.must("POST", "/sites", `{"name":"South","instituteName":"Elsewhere","type":"Repository"}`)
	c.must("POST", "/storage-containers", `{"name":"Far","siteName":"South","storeSpecimensEnabled":true,"allowedCollectionProtocols":["INV"]}`)
	c.must("POST", "/storage-containers", `{"name":"Other","siteName":"South","storeSpecimensEnabled":true}`)
	c.must("POST", "/storage-containers", `{"name":"Tissue","siteName":"North Biobank","storeSpecimensEnabled":true,"allowedSpecimenClasses":["tissue"]}`)
	c.must("POST", "/storage-containers", `{"name":"Serum","siteName":"North Biobank","storeSpecimensEnabled":true,"allowedSpecimenTypes":["Serum"]}`)
	c.must("POST", "/storage-containers", `{"name":"Give","siteName":"North Biobank","storeSpecimensEnabled":true,"usedFor":"DISTRIBUTION"}`)
	put := func(by caller, name string) answer {
		return by.do("PUT", fmt.Sprintf("/specimens/%d", s.specimen), fmt.Sprintf(`{"storageLocation":{"name":%q}}`, name))
	}
	boss := w.newUser("boss", "INSTITUTE")
	put(boss, "Far").refused(t, 400, "SPECIMEN_CONTAINER_ACCESS_DENIED")
	for name, code := range map[string]string{
		"Other": "STORAGE_CONTAINER_CANNOT_HOLD_SPECIMEN", "Tissue": "STORAGE_CONTAINER_CANNOT_HOLD_SPECIMEN", "Serum": "STORAGE_CONTAINER_CANNOT_HOLD_SPECIMEN",
	} {
		put(c, name).refused(t, 400, code)
	}
	for _, name := range []string{"Far", "Give"} {
		if a := put(c, name); a.status != http.StatusOK {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	t.Run("what keeps others from being deleted", func(t *testing.T) {
		if got := c.do("GET", "/sites/2/dependent-entities", "").body; got != `[{"name":"storage_container","count":2}]` {
			t.Error(got)
		}
		c.do("DELETE", "/sites/2", "").refused(t, 400, "SITE_REF_ENTITY_FOUND")
		c.do("DELETE", fmt.Sprintf("/collection-protocols/%d?forceDelete=true", s.cp), "").refused(t, 400, "CP_REF_ENTITY_FOUND")
		c.must("GET", fmt.Sprintf("/specimens/%d", s.specimen), "")
	})
}
