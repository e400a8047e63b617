package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"aliquot/shared/biobank"
)

// primary is what a requirement of a primary specimen needs besides its class and type.
const primary = `"anatomicSite":"Not Specified","laterality":"Not Specified","pathology":"Not Specified","storageType":"Virtual",
	"collectionProcedure":"Biopsy","collectionContainer":"CPT"`

func idOf(v map[string]any) int64 { return int64(v["id"].(float64)) }

func member(v map[string]any, of, name string) any {
	o, _ := v[of].(map[string]any)
	return o[name]
}

func TestAnUndeletedSpecimenIsNotStored(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	_, box := w.newFreezer(c)
	path := fmt.Sprintf("/specimens/%d", s.specimen)
	c.must("PUT", path, `{"storageLocation":{"name":"Box","positionX":"1","positionY":"A"}}`)
	c.must("DELETE", path+"?forceDelete=true", "")
	w.wait(time.Second)
	other := c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"label":"NEXT","type":"Whole Blood","storageLocation":{"name":"Box","positionX":"1","positionY":"A"}}`, s.visit))
	w.wait(time.Second)
	back := c.must("POST", "/specimens/undelete", fmt.Sprintf(`{"id":%d}`, s.specimen))
	if at(back) != "<nil> <nil><nil>" || back["checkedOut"] != false || back["label"] != "INV-1-S" {
		t.Errorf("%v came back and lies at %s", back["label"], at(back))
	}
	cells := c.list("GET", fmt.Sprintf("/storage-containers/%d/occupied-positions", box), "")
	if len(cells) != 1 || cells[0]["occupyingEntityId"] != other["id"] {
		t.Errorf("the cells are %v", cells)
	}
}

func TestRequirementsAreThoseOfTheVisitsEvent(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	event := idOf(c.must("POST", "/collection-protocol-events", `{"eventLabel":"Second","cpShortTitle":"INV"}`))
	second := idOf(c.must("POST", "/specimen-requirements", fmt.Sprintf(`{"eventId":%d,"code":"BL","specimenClass":"Fluid","type":"Plasma",%s}`, event, primary)))
	visit := idOf(c.must("POST", "/visits", fmt.Sprintf(`{"cprId":%d,"eventId":%d,"name":"INV-1..2","site":"North Biobank"}`, s.registration, event)))
	unplanned := idOf(c.must("POST", "/visits", fmt.Sprintf(`{"cprId":%d,"name":"INV-1..3","site":"North Biobank"}`, s.registration)))
	for name, body := range map[string]string{
		"byID":   fmt.Sprintf(`{"visitId":%d,"reqCode":"bl","label":"byID"}`, visit),
		"byName": `{"visitName":"INV-1..2","reqCode":"BL","type":"Plasma","label":"byName"}`,
		"req":    fmt.Sprintf(`{"visitId":%d,"reqId":%d,"label":"req"}`, visit, second),
	} {
		got := c.must("POST", "/specimens", body)
		if idOf(map[string]any{"id": got["reqId"]}) != second || got["type"] != "Plasma" || got["reqCode"] != "BL" {
			t.Errorf("%s: requirement %v, %v, type %v", name, got["reqId"], got["reqCode"], got["type"])
		}
		if member(got, "collectionEvent", "procedure") != "Biopsy" || member(got, "collectionEvent", "container") != "CPT" || member(got, "receivedEvent", "receivedQuality") != "Not Specified" {
			t.Errorf("%s: collected %v, received %v", name, got["collectionEvent"], got["receivedEvent"])
		}
	}
	plain := c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"type":"Plasma","label":"plain"}`, visit))
	if member(plain, "collectionEvent", "procedure") != "Not Specified" || member(plain, "collectionEvent", "container") != "Not Specified" {
		t.Errorf("without a requirement collected %v", plain["collectionEvent"])
	}
	for _, body := range []string{
		fmt.Sprintf(`{"visitId":%d,"reqId":%d,"label":"x","type":"Plasma"}`, visit, s.requirement),
		fmt.Sprintf(`{"visitId":%d,"reqId":%d,"label":"x","type":"Plasma"}`, unplanned, second),
		fmt.Sprintf(`{"visitId":%d,"reqCode":"none","label":"x","type":"Plasma"}`, visit),
	} {
		c.do("POST", "/specimens", body).refused(t, 400, "SR_NOT_FOUND")
	}
	c.do("PUT", fmt.Sprintf("/specimens/%v", plain["id"]), fmt.Sprintf(`{"reqId":%d}`, s.requirement)).refused(t, 400, "SR_NOT_FOUND")
	if got := c.must("PUT", fmt.Sprintf("/specimens/%v", plain["id"]), `{"reqCode":"BL"}`); idOf(map[string]any{"id": got["reqId"]}) != second {
		t.Errorf("now of requirement %v", got["reqId"])
	}
}

func TestEventsOfASpecimenAreChangedMemberByMember(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	path := fmt.Sprintf("/specimens/%d", s.specimen)
	was := c.must("GET", path, "")
	is := c.must("PUT", path, `{"collectionEvent":{"comments":"late note"},"receivedEvent":{"comments":"warm"}}`)
	for _, event := range []string{"collectionEvent", "receivedEvent"} {
		had, has := was[event].(map[string]any), is[event].(map[string]any)
		for name, v := range had {
			if name != "comments" && fmt.Sprint(has[name]) != fmt.Sprint(v) {
				t.Errorf("%s.%s was %v and is %v", event, name, v, has[name])
			}
		}
	}
	if member(is, "collectionEvent", "comments") != "late note" || member(is, "receivedEvent", "comments") != "warm" {
		t.Errorf("the comments are not there: %v, %v", is["collectionEvent"], is["receivedEvent"])
	}
	is = c.must("PUT", path, `{"collectionEvent":{"comments":null,"time":1614171700000},"receivedEvent":{"receivedQuality":null}}`)
	if member(is, "collectionEvent", "comments") != nil || member(is, "collectionEvent", "time") != 1614171700000.0 || member(is, "receivedEvent", "receivedQuality") != "Not Specified" {
		t.Errorf("got %v, %v", is["collectionEvent"], is["receivedEvent"])
	}
}

func TestEveryClassHasTypeNotSpecified(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	req := idOf(c.must("POST", "/specimen-requirements", fmt.Sprintf(`{"eventId":%d,"specimenClass":"Fluid","type":"Not Specified",%s}`, s.event, primary)))
	for _, body := range []string{
		fmt.Sprintf(`{"visitId":%d,"reqId":%d,"label":"NS-1"}`, s.visit, req),
		fmt.Sprintf(`{"visitId":%d,"specimenClass":"fluid","type":"not specified","label":"NS-2"}`, s.visit),
	} {
		if got := c.must("POST", "/specimens", body); got["specimenClass"] != "Fluid" || got["type"] != "Not Specified" {
			t.Errorf("%s: %v, %v", body, got["specimenClass"], got["type"])
		}
	}
	c.do("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"specimenClass":"Tissue","type":"Plasma","label":"x"}`, s.visit)).refused(t, 400, "SPECIMEN_INVALID_SPECIMEN_CLASS")
}

func TestAliquotsAreWhatTheirParentIs(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	c.must("POST", "/storage-containers", `{"name":"Blood","siteName":"North Biobank","noOfRows":2,"noOfColumns":2,"storeSpecimensEnabled":true,"allowedSpecimenTypes":["Whole Blood"]}`)
	parent, aliquot := fmt.Sprintf("/specimens/%d", s.specimen), fmt.Sprintf("/specimens/%d", s.aliquot)
	derived := fmt.Sprintf("/specimens/%d", idOf(c.must("POST", "/specimens", fmt.Sprintf(`{"parentId":%d,"label":"D","lineage":"Derived","type":"Plasma"}`, s.specimen))))
	got := c.must("POST", "/specimens", fmt.Sprintf(`{"parentId":%d,"label":"A-2","lineage":"Aliquot","initialQty":1,"anatomicSite":"Anus","laterality":"Left","pathology":"Malignant"}`, s.aliquot))
	second := fmt.Sprintf("/specimens/%d", idOf(got))
	kind := func(v map[string]any) string {
		return fmt.Sprint(v["type"], ",", v["anatomicSite"], ",", v["laterality"], ",", v["pathology"])
	}
	if kind(got) != "Whole Blood,Not Specified,Not Specified,Not Specified" {
		t.Errorf("an aliquot that was said to be another thing is %s", kind(got))
	}
	if got := c.must("PUT", aliquot, `{"anatomicSite":"Anus","pathology":"Malignant"}`); kind(got) != "Whole Blood,Not Specified,Not Specified,Not Specified" {
		t.Errorf("an aliquot that was changed is %s", kind(got))
	}
	c.must("PUT", aliquot, `{"storageLocation":{"name":"Blood"}}`)
	c.do("PUT", parent, `{"type":"Plasma"}`).refused(t, 400, "STORAGE_CONTAINER_CANNOT_HOLD_SPECIMEN")
	c.must("PUT", parent, `{"anatomicSite":"Anus","pathology":"Malignant"}`)
	for path, want := range map[string]string{
		aliquot: "Whole Blood,Anus,Not Specified,Malignant", second: "Whole Blood,Anus,Not Specified,Malignant", derived: "Plasma,Anus,Not Specified,Not Specified",
	} {
		if got := kind(c.must("GET", path, "")); got != want {
			t.Errorf("%s follows as %s, want %s", path, got, want)
		}
	}
	c.must("PUT", aliquot, `{"storageLocation":{}}`)
	c.must("PUT", parent, `{"type":"Serum"}`)
	if got := kind(c.must("GET", second, "")); got != "Serum,Anus,Not Specified,Malignant" {
		t.Errorf("an aliquot of an aliquot follows as %s", got)
	}
	c.must("PUT", parent, `{"type":"Whole Blood","storageLocation":{"name":"Blood"}}`)
	c.do("PUT", parent, `{"type":"Plasma"}`).refused(t, 400, "STORAGE_CONTAINER_CANNOT_HOLD_SPECIMEN")
	if got := c.must("PUT", parent, `{"type":"Plasma","storageLocation":{}}`); got["type"] != "Plasma" {
		t.Errorf("taken out it is %v", got["type"])
	}
}

func TestRightsForWhatFollows(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	read := `{"operationName":"Read"}`
	role := func(login, acl string) caller {
		c.must("POST", "/rbac/roles", fmt.Sprintf(`{"name":%q,"acl":[{"resourceName":"CollectionProtocol","operations":[%s]},{"resourceName":"ParticipantDeid","operations":[%s]},%s]}`, login, read, read, acl))
		return w.newUser(login, "NONE", biobank.Grant{ID: 1, RoleID: roleID(c, login), Role: login, ProtocolID: s.cp})
	}
	visitor := role("visitor", fmt.Sprintf(`{"resourceName":"Visit","operations":[%s,{"operationName":"Create"},{"operationName":"Update"}]}`, read))
	first := role("first", fmt.Sprintf(`{"resourceName":"Visit","operations":[%s]},{"resourceName":"PrimarySpecimen","operations":[%s,{"operationName":"Update"}]}`, read, read))
	visit, specimen := fmt.Sprintf("/visits/%d", s.visit), fmt.Sprintf("/specimens/%d", s.specimen)
	visitor.do("PUT", visit, `{"status":"Missed Collection"}`).refused(t, 400, "RBAC_ACCESS_DENIED")
	visitor.do("POST", "/visits", fmt.Sprintf(`{"cprId":%d,"eventId":%d,"name":"INV-1.B.9","status":"Missed Collection"}`, s.registration, s.event)).refused(t, 400, "RBAC_ACCESS_DENIED")
	visitor.must("PUT", visit, fmt.Sprintf(`{"eventId":%d,"clinicalDiagnoses":["Not Specified"]}`, s.event))
	first.do("PUT", specimen, `{"status":"Missed Collection"}`).refused(t, 400, "RBAC_ACCESS_DENIED")
	first.do("PUT", specimen, `{"pathology":"Malignant"}`).refused(t, 400, "RBAC_ACCESS_DENIED")
	first.must("PUT", specimen, `{"comments":"still"}`)
	for _, path := range []string{specimen, fmt.Sprintf("/specimens/%d", s.aliquot)} {
		if got := c.must("GET", path, ""); got["status"] != "Collected" || got["pathology"] != "Not Specified" {
			t.Errorf("%s is %v, %v", path, got["status"], got["pathology"])
		}
	}
}

// Clients compute quantities: what they send has more decimals than are kept.
func TestQuantitiesThatWereComputed(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	path := fmt.Sprintf("/specimens/%d", s.specimen)
	for sent, want := range map[string]float64{"0.19999999999999998": 0.2, `"3.3333333333333335"`: 3.333333, "1.6666666666666667e-05": 0.000016} {
		if got := c.must("PUT", path, `{"availableQty":`+sent+`,"concentration":`+sent+`}`); got["availableQty"] != want || got["concentration"] != want {
			t.Errorf("%s is %v and %v, want %v", sent, got["availableQty"], got["concentration"], want)
		}
	}
	// Nine ninths of 10.5 are no more than it.
	if got := c.list("POST", fmt.Sprintf("/specimen-requirements/%d/aliquots", s.requirement), `{"noOfAliquots":9,"qtyPerAliquot":1.1666666666666667}`); len(got) != 9 {
		t.Errorf("%d aliquots", len(got))
	}
	c.do("PUT", path, `{"availableQty":"0.2 ml"}`).refused(t, 400, "INVALID_REQUEST")
}

// A specimen that is sent back as it was read is never refused for its requirement, whatever became of either.
func TestASpecimenSentBackWithItsRequirement(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	path := fmt.Sprintf("/specimens/%d", s.specimen)
	c.must("PUT", path, `{"type":"Plasma"}`) // it turned out to be another thing
	if got := c.must("PUT", path, c.do("GET", path, "").body); got["type"] != "Plasma" || got["reqCode"] == nil {
		t.Errorf("sent back as it was: %v", got)
	}
	c.do("PUT", path, `{"reqCode":"XX"}`).refused(t, 400, "SR_NOT_FOUND")

	visit := c.must("POST", "/visits", fmt.Sprintf(`{"cprId":%d,"name":"INV-1.B.2","eventId":%d,"status":"Pending"}`, s.registration, s.event))
	req := c.must("POST", "/specimen-requirements", fmt.Sprintf(`{"eventId":%d,"code":"PL","specimenClass":"Fluid","type":"Plasma",%s}`, s.event, primary))
	path = fmt.Sprintf("/specimens/%v", c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%v,"reqId":%v,"status":"Pending"}`, visit["id"], req["id"]))["id"])
	c.must("DELETE", fmt.Sprintf("/specimen-requirements/%v", req["id"]), "")
	got := c.must("PUT", path, strings.Replace(c.do("GET", path, "").body, `"activityStatus":"Active"`, `"activityStatus":"Closed"`, 1))
	if got["activityStatus"] != "Closed" || got["reqId"] != req["id"] {
		t.Errorf("the specimen of a deleted requirement is %v, its requirement %v", got["activityStatus"], got["reqId"])
	}
	c.must("PUT", path, fmt.Sprintf(`{"reqCode":%q,"comments":"x"}`, got["reqCode"]))
}

// The names of what is deleted are free again, and no longer than names are.
func TestLongNamesOfWhatIsDeleted(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	label := strings.Repeat("ä", 255)
	body := fmt.Sprintf(`{"visitId":%d,"label":%q,"type":"Plasma"}`, s.visit, label)
	id := idOf(c.must("POST", "/specimens", body))
	gone, err := biobank.Decode[biobank.SpecimenDoc](w.mustApply(biobank.Update, biobank.Removal(biobank.Specimen, id, biobank.StatusDisabled, false)))
	if err != nil {
		t.Fatal(err)
	}
	if n := len([]rune(gone.Label)); n != 255 || !strings.HasPrefix(gone.Label, "äää") || !strings.Contains(gone.Label, "ä_1") {
		t.Errorf("the label of a deleted specimen has %d characters: %s", n, gone.Label)
	}
	c.must("POST", "/specimens", body)
}

// Comments on a disposal may be longer than the reason of a change, which has their beginning.
func TestLongCommentsOnADisposal(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	path, comments := fmt.Sprintf("/specimens/%d", s.specimen), strings.Repeat("ö", 3999)
	c.must("PUT", path+"/status", fmt.Sprintf(`{"status":"Closed","reason":"Spoiled","comments":%q}`, comments))
	if !strings.Contains(c.do("GET", path+"/events", "").body, comments) {
		t.Error("the comments are not kept whole")
	}
	if !strings.Contains(c.do("GET", path+"/audit", "").body, `"Spoiled öö`) {
		t.Error("the audit has no reason")
	}
	c.do("PUT", path+"/status", fmt.Sprintf(`{"status":"Active","comments":%q}`, comments)).refused(t, 400, "COMMON_INVALID_INPUT")
	c.must("PUT", path+"/status", `{"status":"Active"}`)
	c.do("PUT", path+"/status", fmt.Sprintf(`{"status":"Closed","comments":%q}`, comments+"öö")).refused(t, 400, "COMMON_INVALID_INPUT")
}
