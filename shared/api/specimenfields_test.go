package api_test

import (
	"fmt"
	"testing"
)

func TestFieldsThatASpecimenHasOfItsRequirement(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	req := idOf(c.must("POST", "/specimen-requirements", fmt.Sprintf(`{"eventId":%d,"code":"PR","specimenClass":"Fluid","type":"Plasma","sortOrder":4,
		"labelAutoPrintMode":"ON_COLLECTION","preBarcodedTube":true,%s}`, s.event, primary)))
	fields := []string{"storageType", "sortOrder", "labelAutoPrintMode", "preBarcodedTube", "ancestorId", "kitLabel", "kitBarcode"}
	told := func(v map[string]any) string {
		var out []any
		for _, f := range fields {
			is, sent := v[f]
			if !sent {
				t.Errorf("there is no %s", f)
			}
			out = append(out, is)
		}
		return fmt.Sprint(out)
	}
	plain := c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"reqId":%d,"label":"F-1","initialQty":4}`, s.visit, req))
	if got := told(plain); got != "[Virtual 4 ON_COLLECTION true <nil> <nil> <nil>]" {
		t.Errorf("as the requirement says: %s", got)
	}
	own := c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"reqId":%d,"label":"F-2","storageType":"Manual","sortOrder":0,"labelAutoPrintMode":"none","preBarcodedTube":false}`, s.visit, req))
	if got := told(own); got != "[Manual 0 NONE false <nil> <nil> <nil>]" {
		t.Errorf("as was sent: %s", got)
	}
	path := fmt.Sprintf("/specimens/%v", own["id"])
	if got := told(c.must("PUT", path, `{"storageType":null,"sortOrder":null,"labelAutoPrintMode":"","preBarcodedTube":true}`)); got != "[Virtual 4 ON_COLLECTION true <nil> <nil> <nil>]" {
		t.Errorf("cleared: %s", got)
	}
	c.do("PUT", path, `{"labelAutoPrintMode":"SOMETIMES"}`).refused(t, 400, "CP_INVALID_SPMN_LABEL_PRINT_MODE")
	child := c.must("POST", "/specimens", fmt.Sprintf(`{"parentId":%v,"lineage":"Derived","type":"Plasma","label":"F-3"}`, plain["id"]))
	grandchild := c.must("POST", "/specimens", fmt.Sprintf(`{"parentId":%v,"lineage":"Derived","type":"Plasma","label":"F-4"}`, child["id"]))
	if child["ancestorId"] != plain["id"] || grandchild["ancestorId"] != plain["id"] {
		t.Errorf("ancestors are %v and %v, not %v", child["ancestorId"], grandchild["ancestorId"], plain["id"])
	}
	// A pending child is collected: what is said of its parent counts then.
	pending := c.must("POST", "/specimens", fmt.Sprintf(`{"parentId":%v,"lineage":"Aliquot","status":"Pending","initialQty":1}`, plain["id"]))
	c.must("PUT", fmt.Sprintf("/specimens/%v", pending["id"]), `{"status":"Collected","label":"F-5","closeParent":true,"incrParentFreezeThaw":2}`)
	parent := c.must("GET", fmt.Sprintf("/specimens/%v", plain["id"]), "")
	if parent["activityStatus"] != "Closed" || parent["freezeThawCycles"] != 2.0 || parent["availableQty"] != 3.0 {
		t.Errorf("the parent is %v, was thawed %v times and has %v left", parent["activityStatus"], parent["freezeThawCycles"], parent["availableQty"])
	}
	list := c.list("PUT", "/specimens", fmt.Sprintf(`[{"id":%v,"comments":"a"},{"id":%v,"comments":"b","opComments":"checked"}]`, child["id"], grandchild["id"]))
	for _, one := range list {
		entries := c.must("GET", fmt.Sprintf("/specimens/%v/audit", one["id"]), "")["entries"].([]any)
		if entries[len(entries)-1].(map[string]any)["reason"] != "checked" {
			t.Errorf("the audit says %v", entries)
		}
	}
}

func TestPrintSettingsOfAProtocol(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newStudy(c)
	got := c.must("POST", "/collection-protocols", `{"shortTitle":"PRINT","title":"PRINT","principalInvestigator":{"loginName":"admin"},"cpSites":[{"siteName":"North Biobank"}],
		"spmnLabelPrintSettings":[{"id":77,"lineage":"Aliquot","printMode":"NONE"},{"lineage":"New","printMode":"ON_COLLECTION","copies":2},{"lineage":"Derived"}]}`)
	settings := []map[string]any{}
	for _, s := range got["spmnLabelPrintSettings"].([]any) {
		settings = append(settings, s.(map[string]any))
	}
	if column(settings, "lineage") != "New,Derived,Aliquot" || column(settings, "id") != "4,5,6" || settings[0]["copies"] != 2.0 {
		t.Errorf("settings %v", settings)
	}
}

func TestWhatListsOfSpecimensAndVisitsAreNarrowedTo(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	w.newFreezer(c)
	c.associate(c.newForm("ofspecimens", smoking), "SpecimenExtension", -1, "")
	c.associate(c.newForm("ofvisits", smoking), "VisitExtension", -1, "")
	path := fmt.Sprintf("/specimens/%d", s.specimen)
	c.must("PUT", path, `{"storageLocation":{"name":"Box","positionX":"1","positionY":"A"},"extensionDetail":{"useUdn":true,"attrsMap":{"status":"Current"}}}`)
	c.must("POST", "/visits", fmt.Sprintf(`{"cprId":%d,"name":"INV-1..7","site":"North Biobank","visitDate":"2001-01-01","extensionDetail":{"useUdn":true,"attrsMap":{"status":"Current"}}}`, s.registration))
	for query, want := range map[string]string{
		"": "INV-1-S,INV-1-S-1", "&storageLocationSite=north+biobank": "INV-1-S", "&storageLocationSite=Nowhere": "", "&exactMatch=false": "INV-1-S,INV-1-S-1",
	} {
		for _, minimal := range []string{"", "&minimalInfo=true"} {
			if got := column(c.list("GET", "/specimens?label=INV-1-S&label=INV-1-S-1"+query+minimal, ""), "label"); got != want {
				t.Errorf("%s%s: %s, want %s", query, minimal, got, want)
			}
		}
	}
	for list, query := range map[string]string{"/specimens": "?label=INV-1-S", "/visits/list": "?name=INV-1..7"} {
		if got := c.list("GET", list+query, "")[0]["extensionDetail"]; got == nil {
			t.Errorf("%s shows no custom fields", list)
		}
		if got := c.list("GET", list+query+"&includeExtensions=false", "")[0]["extensionDetail"]; got != nil {
			t.Errorf("%s shows %v", list, got)
		}
	}
	visits := fmt.Sprintf("/visits?cprId=%d", s.registration)
	if got := column(c.list("GET", visits, ""), "name"); got != "INV-1..7,INV-1.B.1" {
		t.Errorf("by dates: %s", got)
	}
	if got := column(c.list("GET", visits+"&sortByDates=false", ""), "name"); got != "INV-1.B.1,INV-1..7" {
		t.Errorf("as saved: %s", got)
	}
	c.do("GET", visits+"&sortByDates=perhaps", "").refused(t, 400, "INVALID_REQUEST")
	c.do("GET", "/specimens?label=x&exactMatch=perhaps", "").refused(t, 400, "INVALID_REQUEST")
}

// A page of the specimens of a protocol that are at a site is full where there are as many, wherever the others are.
func TestPagesOfSpecimensAtASite(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	w.newFreezer(c)
	for i, label := range []string{"away", "first", "between", "second"} {
		at := ""
		if i%2 == 1 {
			at = fmt.Sprintf(`,"storageLocation":{"name":"Box","positionX":"%d","positionY":"A"}`, i)
		}
		c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"label":%q,"lineage":"New","specimenClass":"Fluid","type":"Plasma","status":"Collected"%s}`, s.visit, label, at))
	}
	list := fmt.Sprintf("/specimens?cpId=%d", s.cp)
	for query, want := range map[string]string{
		"": "INV-1-S,away,first,between,second", "&startAt=2&maxResults=2": "first,between",
		"&storageLocationSite=north+biobank":                          "first,second",
		"&storageLocationSite=North+Biobank&maxResults=1":             "first",
		"&storageLocationSite=North+Biobank&maxResults=1&startAt=1":   "second",
		"&storageLocationSite=North+Biobank&maxResults=100&startAt=2": "",
	} {
		if got := column(c.list("GET", list+query, ""), "label"); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}
