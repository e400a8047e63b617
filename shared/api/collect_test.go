package api_test

import (
	"fmt"
	"strings"
	"testing"
)

func TestCollect(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)

	tree := fmt.Sprintf(`{"visit":{"cprId":%d,"name":"INV-1.B.2","eventId":%d,"visitDate":"2022-01-01","site":"North Biobank"},"specimens":[
		{"uid":"a","label":"T-1","reqId":%d,"lineage":"New","type":"Whole Blood","initialQty":10,"children":[
			{"uid":"b","parentUid":"a","label":"T-1-1","lineage":"Aliquot","initialQty":2,"children":[]},
			{"uid":"c","parentUid":"a","label":"T-1-2","lineage":"Aliquot","initialQty":3},
			{"uid":"d","parentUid":"a","label":"T-1-3","lineage":"Derived","type":"Plasma","initialQty":4,"closeAfterChildrenCreation":true,
			 "children":[{"uid":"e","parentUid":"d","label":"T-1-3-1","lineage":"Aliquot","initialQty":1}]}]}]}`, s.registration, s.event, s.requirement)
	got := c.must("POST", "/visits/collect", tree)
	if name := got["visit"].(map[string]any)["name"]; name != "INV-1.B.2" {
		t.Errorf("visit %v", name)
	}
	root := got["specimens"].([]any)[0].(map[string]any)
	if root["uid"] != "a" || root["label"] != "T-1" || root["availableQty"] != 5.0 {
		t.Errorf("root is %v %v with %v left", root["uid"], root["label"], root["availableQty"])
	}
	kids := root["children"].([]any)
	if len(kids) != 3 || kids[1].(map[string]any)["uid"] != "c" || kids[1].(map[string]any)["parentLabel"] != "T-1" {
		t.Fatalf("children are %v", kids)
	}
	derived := kids[2].(map[string]any)
	if derived["activityStatus"] != "Closed" || derived["availableQty"] != 3.0 {
		t.Errorf("the closed parent is %v with %v left", derived["activityStatus"], derived["availableQty"])
	}
	if got := column(c.list("GET", fmt.Sprintf("/specimens?cprId=1&visitId=%v", got["visit"].(map[string]any)["id"]), ""), "label"); got != "T-1" {
		t.Errorf("the visit has %s", got)
	}

	t.Run("again fails whole", func(t *testing.T) {
		c.do("POST", "/visits/collect", strings.Replace(tree, "INV-1.B.2", "INV-1.B.3", 1)).refused(t, 400, "SPECIMEN_DUP_LABEL")
		if got := c.list("GET", "/visits/list?name=INV-1.B.3", ""); len(got) != 0 {
			t.Error("the visit of a refused collection was saved")
		}
		c.do("POST", "/specimens/collect", `[{"visitId":1,"label":"N-1","type":"Whole Blood","initialQty":1,"children":[{"label":"N-2","lineage":"Aliquot"}]}]`).
			refused(t, 400, "SPECIMEN_ALIQUOT_QTY_REQ")
		if a := c.do("HEAD", "/specimens?label=N-1", ""); a.status != 400 {
			t.Error("the parent of a refused child was saved")
		}
	})
	t.Run("aliquots of a stored parent", func(t *testing.T) {
		list := c.list("POST", "/specimens/collect", fmt.Sprintf(`[{"parentId":%d,"label":"S-2","lineage":"Aliquot","initialQty":1},
			{"parentLabel":"INV-1-S","label":"S-3","lineage":"Aliquot","initialQty":1.5}]`, s.specimen))
		if column(list, "label") != "S-2,S-3" {
			t.Errorf("got %v", column(list, "label"))
		}
		if got := c.must("GET", fmt.Sprintf("/specimens/%d", s.specimen), "")["availableQty"]; got != 5.0 {
			t.Errorf("the parent has %v left, want 5", got)
		}
	})
	t.Run("a pending specimen", func(t *testing.T) {
		visit := c.must("POST", "/visits", fmt.Sprintf(`{"cprId":%d,"name":"INV-1.B.4","eventId":%d,"status":"Pending"}`, s.registration, s.event))
		p := c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%v,"reqId":%d,"status":"Pending","type":"Whole Blood","initialQty":10}`, visit["id"], s.requirement))
		got := c.must("POST", "/visits/collect", fmt.Sprintf(`{"visit":{"id":%v,"eventId":%d,"status":"Complete","site":"North Biobank"},"specimens":[
			{"reqId":%d,"label":"P-1","children":[{"label":"P-1-1","lineage":"Aliquot","initialQty":4}]}]}`, visit["id"], s.event, s.requirement))
		root := got["specimens"].([]any)[0].(map[string]any)
		if root["id"] != p["id"] || root["status"] != "Collected" || root["availableQty"] != 6.0 {
			t.Errorf("got %v %v with %v left, want %v collected with 6", root["id"], root["status"], root["availableQty"], p["id"])
		}
	})
	for body, code := range map[string]string{
		`{}`: "INVALID_REQUEST", `[{}]`: "SPECIMEN_VISIT_REQUIRED", `[{"id":99}]`: "SPECIMEN_NOT_FOUND", `[{"children":{}}]`: "INVALID_REQUEST",
		`[{"visitId":1,"label":"D","type":"Plasma"},{"visitId":1,"label":"D","type":"Plasma"}]`: "SPECIMEN_DUP_LABEL",
		`[1]`: "INVALID_REQUEST", fmt.Sprintf(`[{"id":%d,"comments":"a"},{"id":%d,"comments":"b"}]`, s.specimen, s.specimen): "COMMON_INVALID_INPUT",
		`[{"visitId":1,"label":"M","type":"Whole Blood","initialQty":1,"children":[` + strings.Repeat(`{},`, 100) + `{}]}]`: "SPECIMEN_CHILDREN_LIMIT_MAXED",
	} {
		c.do("POST", "/specimens/collect", body).refused(t, 400, code)
	}
	c.do("POST", "/visits/collect", `{"visit":{"cprId":99}}`).refused(t, 400, "CPR_M_NOT_FOUND")
	c.do("POST", "/visits/collect", `{"specimens":[]}`).refused(t, 400, "VISIT_NOT_FOUND")
}

// Who names a requirement need not say of which lineage it is.
func TestLineageOfTheRequirement(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	plasma := c.must("POST", fmt.Sprintf("/specimen-requirements/%d/derived", s.requirement), `{"specimenClass":"Fluid","type":"Plasma","anatomicSite":"Not Specified",
		"laterality":"Not Specified","pathology":"Not Specified","storageType":"Virtual","quantity":3,"code":"PL","name":"Plasma"}`)["id"]
	is := func(v map[string]any, want string) {
		t.Helper()
		if got := fmt.Sprint(v["lineage"], " ", v["type"], " of ", v["parentLabel"]); got != want {
			t.Errorf("%v is %s, want %s", v["label"], got, want)
		}
	}
	list := c.list("POST", "/specimens/collect", fmt.Sprintf(`[{"visitId":%d,"reqId":%d,"label":"A","children":[{"reqId":%v,"label":"A-P"}]},
		{"parentLabel":"INV-1-S","reqId":%v,"label":"B-P"}]`, s.visit, s.requirement, plasma, plasma))
	is(list[0], "New Whole Blood of <nil>")
	is(list[0]["children"].([]any)[0].(map[string]any), "Derived Plasma of A")
	is(list[1], "Derived Plasma of INV-1-S")
	is(c.must("POST", "/specimens", fmt.Sprintf(`{"parentId":%d,"reqId":%v,"label":"C-P"}`, s.specimen, plasma)), "Derived Plasma of INV-1-S")
	is(c.must("POST", "/specimens", fmt.Sprintf(`{"parentLabel":"INV-1-S","visitId":%d,"reqCode":"PL","label":"D-P"}`, s.visit)), "Derived Plasma of INV-1-S")
	is(c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"reqCode":"BL","label":"E"}`, s.visit)), "New Whole Blood of <nil>")

	visit := fmt.Sprintf(`{"visit":{"id":%d,"name":"INV-1.B.1","eventId":%d,"status":"Complete","site":"North Biobank"},"specimens":[%%s]}`, s.visit, s.event)
	got := c.must("POST", "/visits/collect", fmt.Sprintf(visit, fmt.Sprintf(`{"parentLabel":"A","reqId":%v,"label":"F-P"}`, plasma)))
	is(got["specimens"].([]any)[0].(map[string]any), "Derived Plasma of A")
	for body, code := range map[string]string{
		fmt.Sprintf(`{"reqId":%v,"label":"G"}`, plasma):     "SPECIMEN_PARENT_REQUIRED",
		`{"lineage":"Derived","type":"Plasma","label":"G"}`: "SPECIMEN_PARENT_REQUIRED",
	} {
		c.do("POST", "/visits/collect", fmt.Sprintf(visit, body)).refused(t, 400, code)
	}
	c.do("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"reqId":%v,"label":"G"}`, s.visit, plasma)).refused(t, 400, "SPECIMEN_PARENT_REQUIRED")
	c.do("POST", "/specimens", fmt.Sprintf(`{"parentId":%d,"reqId":99,"label":"G"}`, s.specimen)).refused(t, 400, "SPECIMEN_VISIT_REQUIRED")
}
