package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestNothingIsMadeOfManyContainersOfWhichOneIsRefused(t *testing.T) {
	w := newWorld(t)
	w.outsize = true
	c := w.signIn("admin", password)
	w.newStudy(c)
	w.newFreezer(c)
	many := func(last string) string {
		var list []string
		for i := range 30 {
			name := fmt.Sprintf("M-%d", i)
			if i == 28 {
				name = last
			}
			list = append(list, fmt.Sprintf(`{"name":%q,"siteName":"North Biobank"}`, name))
		}
		return "[" + strings.Join(list, ",") + "]"
	}
	count := func() string { return c.do("GET", "/storage-containers/count?name=M-", "").body }
	for _, last := range []string{"M-3", "Box"} {
		c.do("POST", "/storage-containers/multiple", many(last)).refused(t, 400, "STORAGE_CONTAINER_DUP_NAME")
		if got := count(); got != `{"count":0}` {
			t.Errorf("of a refused request %s are there", got)
		}
	}
	if got := c.list("POST", "/storage-containers/multiple", many("M-28")); len(got) != 30 || count() != `{"count":30}` {
		t.Errorf("%d made, %s there", len(got), count())
	}
	// Two levels, and cells that are chosen one after the other across the parts.
	c.must("POST", "/container-types", `{"name":"Slot","nameFormat":"%PCONT_NAME%-%PCONT_UID%","noOfRows":2,"noOfColumns":2,"storeSpecimenEnabled":true}`)
	c.must("POST", "/container-types", `{"name":"Rack","nameFormat":"R-%SITE_UID%","noOfRows":6,"noOfColumns":5,"canHold":{"name":"Slot"}}`)
	c.list("POST", "/storage-containers/create-hierarchy", `{"siteName":"North Biobank","typeName":"Rack","numOfContainers":1}`)
	if got := c.do("GET", "/storage-containers/count?storeSpecimensEnabled=true", "").body; got != `{"count":31}` { // and Box
		t.Errorf("the hierarchy has %s", got)
	}
}

func TestNothingIsPutIntoCellsOfWhichOneIsRefused(t *testing.T) {
	w := newWorld(t)
	w.outsize = true
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	plate := idOf(c.must("POST", "/storage-containers", `{"name":"Plate","siteName":"North Biobank","noOfRows":8,"noOfColumns":12,"storeSpecimensEnabled":true}`))
	var items []string
	for i := range 30 {
		c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"label":"W-%d","type":"Plasma"}`, s.visit, i))
		items = append(items, fmt.Sprintf(`{"occuypingEntity":"specimen","occupyingEntityName":"W-%d","posOne":"%d","posTwo":"%d"}`, i, i%12+1, i/12+1))
	}
	path := fmt.Sprintf("/storage-containers/%d/occupied-positions", plate)
	send := func(items []string) answer { return c.do("POST", path, `{"positions":[`+strings.Join(items, ",")+`]}`) }
	bad := append(append([]string{}, items[:28]...), `{"occuypingEntity":"specimen","occupyingEntityName":"never","posOne":"1","posTwo":"8"}`)
	send(bad).refused(t, 400, "SPECIMEN_NOT_FOUND")
	if got := c.list("GET", path, ""); len(got) != 0 {
		t.Errorf("of a refused request %d cells are taken", len(got))
	}
	if a := send(items); a.status != http.StatusOK || len(c.list("GET", path, "")) != 30 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestAContainerStoresWhatItSaysItself(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newStudy(c)
	c.must("POST", "/container-types", `{"name":"KT","nameFormat":"%SITE_UID%","noOfRows":2,"noOfColumns":2,"storeSpecimenEnabled":true}`)
	for sent, want := range map[string]bool{``: true, `,"storeSpecimensEnabled":false`: false, `,"storeSpecimensEnabled":"true"`: true} {
		name := fmt.Sprintf("K%d", len(sent))
		got := c.must("POST", "/storage-containers", fmt.Sprintf(`{"name":%q,"siteName":"North Biobank","typeName":"KT"%s}`, name, sent))
		if got["storeSpecimensEnabled"] != want {
			t.Errorf("%s: %v", sent, got["storeSpecimensEnabled"])
		}
		if got := c.must("PATCH", fmt.Sprintf("/storage-containers/%v", got["id"]), `{"comments":"x"}`); got["storeSpecimensEnabled"] != want {
			t.Errorf("%s: changed %v", sent, got["storeSpecimensEnabled"])
		}
	}
}

func TestWhatAContainerFits(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newStudy(c)
	blood := idOf(c.must("POST", "/storage-containers", `{"name":"Blood","siteName":"North Biobank","noOfRows":2,"noOfColumns":2,"storeSpecimensEnabled":true,"allowedSpecimenTypes":["Whole Blood"]}`))
	fits := func(query string) int {
		return c.do("HEAD", fmt.Sprintf("/storage-containers/%d%s", blood, query), "").status
	}
	for query, want := range map[string]int{
		"?specimenClass=Fluid&specimenType=Whole+Blood": 200, "?specimenType=Whole+Blood": 200, "?specimenType=Plasma": 400,
		"?specimenClass=Fluid&specimenType=Whole+Blood&cpId=1": 200, "?specimenClass=Fluid&specimenType=Whole+Blood&cpId=77": 400,
	} {
		if got := fits(query); got != want {
			t.Errorf("%s: %d, want %d", query, got, want)
		}
	}
	c.must("PATCH", fmt.Sprintf("/storage-containers/%d", blood), `{"activityStatus":"Closed"}`)
	if fits("?specimenClass=Fluid&specimenType=Whole+Blood") != 400 || fits("") != 200 {
		t.Error("an archived container takes specimens")
	}
}

func TestContainersOfProtocolsThatAreNotToBeSeen(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newStudy(c)
	c.must("POST", "/institutes", `{"name":"Other Inst"}`)
	c.must("POST", "/sites", `{"name":"Other Site","instituteName":"Other Inst","type":"Repository"}`)
	c.must("POST", "/collection-protocols", `{"shortTitle":"SECRET","title":"A secret study","principalInvestigator":{"loginName":"admin"},"cpSites":[{"siteName":"Other Site"}]}`)
	r := fmt.Sprintf("/storage-containers/%d", idOf(c.must("POST", "/storage-containers", `{"name":"R","siteName":"North Biobank","noOfRows":2,"noOfColumns":2,"storeSpecimensEnabled":true,"allowedCollectionProtocols":["SECRET","INV"]}`)))
	boss := w.newUser("boss", "INSTITUTE")
	shows := func(v map[string]any) string {
		return fmt.Sprint(v["allowedCollectionProtocols"], v["calcAllowedCollectionProtocols"])
	}
	if got := shows(boss.must("GET", r, "")); got != "[INV] [INV]" {
		t.Errorf("shown to who may not see it: %s", got)
	}
	if got := shows(boss.must("PATCH", r, `{"allowedCollectionProtocols":[]}`)); got != "[] []" {
		t.Errorf("emptied: %s", got)
	}
	if got := shows(c.must("GET", r, "")); got != "[SECRET] [SECRET]" {
		t.Errorf("what was not seen is %s now", got)
	}
}

// A container that is checked out stays so, and its cell kept, when it is sent back as it was read.
func TestACheckedOutContainerSentBack(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newStudy(c)
	freezer, box := w.newFreezer(c)
	path := fmt.Sprintf("/storage-containers/%d", box)
	c.must("PATCH", path, `{"checkOut":true}`)
	read := c.do("GET", path, "").body
	for _, method := range []string{"PUT", "PATCH"} {
		if got := c.must(method, path, read); got["status"] != "CHECKED_OUT" || at(got) != "nowhere" || got["siteName"] != "North Biobank" {
			t.Errorf("%s: %v at %s of %v", method, got["status"], at(got), got["siteName"])
		}
		held := c.list("GET", fmt.Sprintf("/storage-containers/%d/occupied-positions", freezer), "")
		if len(held) != 1 || held[0]["blockedEntityName"] != "Box" {
			t.Errorf("%s: the cell is not kept: %v", method, held)
		}
	}
	back := strings.Replace(read, `"storageLocation":null`, `"storageLocation":{"name":"Freezer","positionX":"2","positionY":"2"}`, 1)
	if got := c.must("PUT", path, back); got["status"] != nil || at(got) != "Freezer 22" {
		t.Errorf("back again: %v at %s", got["status"], at(got))
	}
	if held := c.list("GET", fmt.Sprintf("/storage-containers/%d/occupied-positions", freezer), ""); len(held) != 1 || held[0]["occupyingEntityName"] != "Box" {
		t.Errorf("its old cell is still kept: %v", held)
	}
}
