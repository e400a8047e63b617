package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// newTrees gives the study's requirement two aliquots and a derivative, and the event a closed requirement and a pool.
func (w *world) newTrees(c caller, s study) {
	w.t.Helper()
	path := fmt.Sprintf("/specimen-requirements/%d", s.requirement)
	c.list("POST", path+"/aliquots", `{"noOfAliquots":2,"qtyPerAliquot":"2.5","code":"AL"}`)
	c.must("POST", path+"/derived", `{"name":"Plasma","code":"PL","specimenClass":"Fluid","type":"Plasma","quantity":4}`)
	const req = `"specimenClass":"Fluid","type":"Whole Blood","anatomicSite":"Not Specified","laterality":"Not Specified","pathology":"Not Specified",
		"storageType":"Virtual","collectionProcedure":"Not Specified","collectionContainer":"Not Specified"`
	c.must("POST", "/specimen-requirements", fmt.Sprintf(`{"eventId":%d,"code":"SHUT","activityStatus":"Closed",%s}`, s.event, req))
	c.must("POST", "/specimen-requirements", fmt.Sprintf(`{"eventId":%d,"code":"POOL",%s,"specimensPool":[{"code":"P1",%s},{"code":"P2",%s}]}`, s.event, req, req, req))
}

// outline writes an object's requirements as code(children), parts of a pool in brackets.
func outline(list any) string {
	var parts []string
	all, _ := list.([]any)
	for _, one := range all {
		o := one.(map[string]any)
		text := fmt.Sprint(o["lineage"])
		if code, ok := o["code"]; ok {
			text = fmt.Sprint(code)
		}
		if kids := outline(o["children"]); kids != "" {
			text += "(" + kids + ")"
		}
		if pool := outline(o["specimensPool"]); pool != "" {
			text += "[" + pool + "]"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, " ")
}

// outlineOf is the outline of an event's requirements as they are listed.
func (c caller) outlineOf(event any) string {
	c.t.Helper()
	var list []any
	mustDecode(c.t, c.do("GET", fmt.Sprintf("/specimen-requirements?eventId=%v", event), ""), &list)
	return outline(list)
}

func TestDefinition(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	w.newTrees(c, s)
	c.must("POST", "/collection-protocol-events", `{"eventLabel":"Later","cpShortTitle":"INV","eventPoint":1,"eventPointUnit":"WEEKS","activityStatus":"Closed"}`)
	c.must("PUT", fmt.Sprintf("/collection-protocols/%d/workflows", s.cp), `[{"name":"common","view":"tree","data":{"id":7,"n":1.50}}]`)
	path := fmt.Sprintf("/collection-protocols/%d", s.cp)

	a := c.do("GET", path+"/definition", "")
	if a.status != http.StatusOK || a.header.Get("Content-Disposition") != fmt.Sprintf(`attachment; filename="CpDef_%d.json"`, s.cp) {
		t.Fatalf("%d %v", a.status, a.header)
	}
	golden(t, "definition", a.body)
	ids := c.must("GET", path+"/definition?includeIds=true", "")
	if ids["id"] != float64(s.cp) || ids["events"].([]any)[0].(map[string]any)["id"] != float64(s.event) {
		t.Errorf("the ids are missing: %v", ids["id"])
	}

	t.Run("import gives it back", func(t *testing.T) {
		again := strings.NewReplacer(`"shortTitle": "INV"`, `"shortTitle": "TWO"`, `"title": "An invented study"`, `"title": "Another"`, `"code": "I1"`, `"code": "I2"`).Replace(a.body)
		two := c.must("POST", "/collection-protocols/definition", again)
		got := c.do("GET", fmt.Sprintf("/collection-protocols/%v/definition", two["id"]), "")
		var was, is map[string]any
		if err := json.Unmarshal([]byte(strings.ReplaceAll(again, `"INV"`, `"TWO"`)), &was); err != nil {
			t.Fatal(err)
		}
		mustDecode(t, got, &is)
		for _, event := range was["events"].([]any) {
			event.(map[string]any)["collectionProtocol"] = "Another"
		}
		if diff := cmp.Diff(was, is); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		c.do("POST", "/collection-protocols/definition", again).refused(t, 400, "CP_DUP_SHORT_TITLE")
	})
	t.Run("as a file", func(t *testing.T) {
		again := strings.NewReplacer(`"shortTitle": "INV"`, `"shortTitle": "FILE"`, `"title": "An invented study"`, `"title": "From a file"`, `"code": "I1"`, `"code": ""`).Replace(a.body)
		body := "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"CpDef_1.json\"\r\n\r\n" + again + "\r\n--x--\r\n"
		got := c.do("POST", "/collection-protocols/definition", body, "Content-Type: multipart/form-data; boundary=x")
		if got.status != http.StatusOK || !strings.Contains(got.body, `"shortTitle":"FILE"`) {
			t.Errorf("%d %s", got.status, got.body)
		}
	})
	const cp = `"shortTitle":"BAD","title":"Bad","principalInvestigator":{"id":2},"cpSites":[{"siteName":"North Biobank"}]`
	const req = `"specimenClass":"Fluid","type":"Whole Blood","anatomicSite":"Not Specified","laterality":"Not Specified","pathology":"Not Specified","storageType":"Virtual","collectionProcedure":"Not Specified","collectionContainer":"Not Specified"`
	for body, code := range map[string]string{
		`[]`: "INVALID_REQUEST", `{}`: "CP_PI_REQUIRED,CP_SHORT_TITLE_REQUIRED,CP_TITLE_REQUIRED,CP_REPOSITORIES_REQUIRED",
		`{` + cp + `,"events":{}}`: "INVALID_REQUEST", `{` + cp + `,"events":[{}]}`: "CPE_LABEL_REQUIRED",
		`{` + cp + `,"events":[{"eventLabel":"A"},{"eventLabel":"a"}]}`:                                                                                        "CPE_DUP_LABEL",
		`{` + cp + `,"events":[{"eventLabel":"A","code":"x"},{"eventLabel":"B","code":"X"}]}`:                                                                  "CPE_DUP_CODE",
		`{` + cp + `,"events":[{"eventLabel":"A","defaultSite":"Nowhere"}]}`:                                                                                   "SITE_NOT_FOUND",
		`{` + cp + `,"events":[{"eventLabel":"A","specimenRequirements":[{"code":"x",` + req + `},{"code":"X",` + req + `}]}]}`:                                "SR_DUP_CODE",
		`{` + cp + `,"events":[{"eventLabel":"A","specimenRequirements":[{"lineage":"Aliquot",` + req + `}]}]}`:                                                "SR_PARENT_REQ_REQUIRED",
		`{` + cp + `,"events":[{"eventLabel":"A","specimenRequirements":[{"initialQty":1,` + req + `,"children":[{"initialQty":0.6},{"initialQty":0.6}]}]}]}`:  "SR_INSUFFICIENT_QTY",
		`{` + cp + `,"events":[{"eventLabel":"A","specimenRequirements":[{` + req + `,"children":[{"lineage":"Aliquot","specimensPool":[{` + req + `}]}]}]}]}`: "SR_POOLED_SPMN_REQ",
		`{` + cp + `,"workflows":[{"view":"x"}]}`:                                                                                                              "COMMON_INVALID_INPUT", `{` + cp + `,"workflows":[1]}`: "INVALID_REQUEST",
	} {
		c.do("POST", "/collection-protocols/definition", body).refused(t, 400, code)
	}
	if got := c.list("GET", "/collection-protocols?title=BAD", ""); len(got) != 0 {
		t.Error("a refused definition was saved")
	}
}

// A definition that no transaction holds is written from below, and nobody sees a part of it.
func TestLargeDefinition(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	var events []string
	for i := range 12 {
		req := `{"specimenClass":"Fluid","type":"Whole Blood","anatomicSite":"Not Specified","laterality":"Not Specified","pathology":"Not Specified","storageType":"Virtual","collectionProcedure":"Not Specified","collectionContainer":"Not Specified","children":[{"lineage":"Aliquot"}]}`
		events = append(events, fmt.Sprintf(`{"eventLabel":"E%02d","specimenRequirements":[%s]}`, i, strings.TrimSuffix(strings.Repeat(req+",", 5), ",")))
	}
	body := func(short string) string {
		return fmt.Sprintf(`{"shortTitle":%q,"title":"%s study","principalInvestigator":{"id":2},"cpSites":[{"siteName":"North Biobank"}],"events":[%s]}`, short, short, strings.Join(events, ","))
	}
	last := c.must("POST", "/collection-protocol-events", `{"eventLabel":"Last","cpShortTitle":"INV"}`)["id"].(float64)
	c.do("POST", "/collection-protocols/definition", body("INV")).refused(t, 400, "CP_DUP_SHORT_TITLE")
	if got := c.must("POST", "/collection-protocol-events", `{"eventLabel":"Next","cpShortTitle":"INV"}`)["id"].(float64); got <= last {
		t.Errorf("event %v after %v", got, last)
	}
	big := c.must("POST", "/collection-protocols/definition", body("BIG"))
	list := c.list("GET", fmt.Sprintf("/collection-protocol-events?cpId=%v", big["id"]), "")
	if len(list) != 12 || c.outlineOf(list[3]["id"]) != strings.TrimSuffix(strings.Repeat("New(Aliquot) ", 5), " ") {
		t.Fatalf("%d events, the fourth %s", len(list), c.outlineOf(list[3]["id"]))
	}
	two := c.must("POST", fmt.Sprintf("/collection-protocols/%v/copy", big["id"]), `{"shortTitle":"BIG2","title":"Big again"}`)
	if got := c.list("GET", fmt.Sprintf("/collection-protocol-events?cpId=%v", two["id"]), ""); len(got) != 12 {
		t.Errorf("the copy has %d events", len(got))
	}

	// An event with more requirements than a transaction holds, too.
	many := strings.TrimSuffix(strings.Repeat(`{"noOfAliquots":45,"qtyPerAliquot":0},`, 1), ",")
	for range 2 {
		c.list("POST", fmt.Sprintf("/specimen-requirements/%d/aliquots", s.requirement), many)
	}
	made := c.must("POST", fmt.Sprintf("/collection-protocol-events/%d/copy", s.event), `{"eventLabel":"Many"}`)
	if got := c.outlineOf(made["id"]); strings.Count(got, "Aliquot") != 90 {
		t.Errorf("the copy of the event has %s", got)
	}
	c.do("POST", fmt.Sprintf("/collection-protocol-events/%d/copy", s.event), `{"eventLabel":"many"}`).refused(t, 400, "CPE_DUP_LABEL")
}

func TestCopies(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	w.newTrees(c, s)
	c.must("POST", "/collection-protocol-events", `{"eventLabel":"Shut","cpShortTitle":"INV","activityStatus":"Closed"}`)
	path := fmt.Sprintf("/collection-protocols/%d/copy", s.cp)

	c.do("POST", path, `{}`).refused(t, 400, "CP_SHORT_TITLE_REQUIRED,CP_TITLE_REQUIRED")
	c.do("POST", path, `{"shortTitle":"INV","title":"New title"}`).refused(t, 400, "CP_DUP_SHORT_TITLE")
	c.do("POST", "/collection-protocols/77/copy", `{"shortTitle":"X","title":"X"}`).refused(t, 400, "CP_NOT_FOUND")
	two := c.must("POST", path, `{"shortTitle":"INV2","title":"Second","irbId":"IRB-2","id":1}`)
	if two["irbId"] != "IRB-2" || two["visitNameFmt"] != "%PPI%.%EVENT_CODE%.%PPI_UID%" || two["code"] != nil || two["id"] == float64(s.cp) {
		t.Errorf("the copy is %v", two)
	}
	list := c.list("GET", fmt.Sprintf("/collection-protocol-events?cpId=%v&includeClosedEvents=true", two["id"]), "")
	if column(list, "eventLabel") != "Baseline" || list[0]["code"] != "B" || list[0]["defaultSite"] != "North Biobank" {
		t.Fatalf("events %v", list)
	}
	if got := c.outlineOf(list[0]["id"]); got != "BL(AL Aliquot PL) POOL[P1 P2]" {
		t.Errorf("requirements %s", got)
	}

	event := fmt.Sprintf("/collection-protocol-events/%d/copy", s.event)
	c.do("POST", event, `{}`).refused(t, 400, "CPE_DUP_LABEL")
	c.do("POST", event, `{"eventLabel":"Again","code":"b"}`).refused(t, 400, "CPE_DUP_CODE")
	again := c.must("POST", event, `{"eventLabel":"Again","eventPoint":4,"visitNamePrintMode":"pre_print"}`)
	if again["eventPoint"] != 4.0 || again["eventPointUnit"] != "DAYS" || again["code"] != nil || again["visitNamePrintMode"] != "PRE_PRINT" {
		t.Errorf("the copy is %v", again)
	}
	if got := c.outlineOf(again["id"]); got != "BL(AL Aliquot PL) POOL[P1 P2]" {
		t.Errorf("requirements %s", got)
	}
	c.do("POST", "/collection-protocol-events", `{"eventLabel":"X","cpShortTitle":"INV","visitNamePrintMode":"daily"}`).refused(t, 400, "CP_INVALID_VISIT_NAME_PRINT_MODE")

	req := fmt.Sprintf("/specimen-requirements/%d/copy", s.requirement)
	third := c.must("POST", req, `{"name":"Third","sortOrder":9}`)
	if third["name"] != "Third" || third["code"] != nil || third["type"] != "Whole Blood" || outline(third["children"]) != "Aliquot Aliquot Derived" {
		t.Errorf("the copy is %v", third)
	}
	c.do("POST", req, `{"code":"bl"}`).refused(t, 400, "SR_DUP_CODE")
	other := c.must("POST", "/collection-protocol-events", `{"eventLabel":"Other","cpShortTitle":"INV"}`)
	moved := c.must("POST", req, fmt.Sprintf(`{"eventId":%v}`, other["id"]))
	if moved["eventLabel"] != "Other" || outline(moved["children"]) != "AL Aliquot PL" {
		t.Errorf("the copy is %v", moved)
	}
	c.do("POST", req, `{"eventId":77}`).refused(t, 400, "CPE_NOT_FOUND")
}

func TestRequirementTrees(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	path := fmt.Sprintf("/specimen-requirements/%d", s.requirement)
	const derived = `"specimenClass":"Fluid","type":"Plasma"`
	for _, tt := range []struct{ path, body, code string }{
		{path + "/aliquots", `{}`, "SR_INVALID_ALIQUOT_CNT"},
		{path + "/aliquots", `{"noOfAliquots":0}`, "SR_INVALID_ALIQUOT_CNT"},
		{path + "/aliquots", `{"noOfAliquots":-1}`, "SR_INVALID_ALIQUOT_CNT"},
		{path + "/aliquots", `{"noOfAliquots":46}`, "SR_INVALID_ALIQUOT_CNT"},
		{path + "/aliquots", `{"noOfAliquots":"x"}`, "INVALID_REQUEST"},
		{path + "/aliquots", `{"noOfAliquots":3,"qtyPerAliquot":4}`, "SR_INSUFFICIENT_QTY"},
		{path + "/aliquots", `{"noOfAliquots":1,"qtyPerAliquot":-1}`, "SR_INVALID_QTY"},
		{path + "/aliquots", `{"noOfAliquots":1,"code":"bl"}`, "SR_DUP_CODE"},
		{path + "/aliquots", `{"noOfAliquots":1,"labelAutoPrintMode":"x"}`, "CP_INVALID_SPMN_LABEL_PRINT_MODE"},
		{path + "/aliquots", `{"noOfAliquots":1,"labelPrintCopies":-1}`, "COMMON_INVALID_INPUT"},
		{path + "/derived", `{}`, "SR_SPECIMEN_CLASS_REQUIRED,SR_SPECIMEN_TYPE_REQUIRED"},
		{path + "/derived", `{"specimenClass":"Tissue","type":"Plasma"}`, "SR_INVALID_SPECIMEN_TYPE"},
		{path + "/derived", `{` + derived + `,"concentration":0}`, "SR_CONCENTRATION_MUST_BE_POSITIVE"},
		{path + "/derived", `{` + derived + `,"anatomicSite":"x"}`, "SR_INVALID_ANATOMIC_SITE"},
		{"/specimen-requirements/0/derived", `{` + derived + `}`, "SR_ID_CODE_REQ"},
		{"/specimen-requirements/0/derived", `{` + derived + `,"parentSrCode":"BL"}`, "SR_CPE_REQUIRED"},
		{"/specimen-requirements/0/aliquots", `{"noOfAliquots":1,"cpShortTitle":"INV","eventLabel":"baseline","parentSrCode":"XX"}`, "SR_PARENT_NOT_FOUND"},
		{"/specimen-requirements/0/aliquots", `{"noOfAliquots":1,"cpShortTitle":"INV","eventLabel":"never","parentSrCode":"BL"}`, "CPE_NOT_FOUND"},
		{"/specimen-requirements/77/aliquots", `{"noOfAliquots":1}`, "SR_NOT_FOUND"},
		{"/specimen-requirements", `{"eventId":1,"pooledSpecimenId":77}`, "SR_INVALID_POOLED_SPMN"},
	} {
		c.do("POST", tt.path, tt.body).refused(t, 400, tt.code)
	}
	if got := c.outlineOf(s.event); got != "BL" {
		t.Fatalf("refused requirements were saved: %s", got)
	}
	two := c.list("POST", path+"/aliquots", `{"noOfAliquots":2,"qtyPerAliquot":1.5,"code":"AL","labelAutoPrintMode":"on_collection","labelPrintCopies":2,
		"defaultCustomFieldValues":{"a":[1]},"services":[{"serviceCode":"S","units":2}],"preBarcodedTube":true}`)
	if column(two, "code") != "AL,<nil>" || column(two, "lineage") != "Aliquot,Aliquot" || column(two, "initialQty") != "1.5,1.5" || column(two, "type") != "Whole Blood,Whole Blood" {
		t.Errorf("aliquots %v", two)
	}
	if got := two[1]; got["labelAutoPrintMode"] != "ON_COLLECTION" || got["labelPrintCopies"] != 2.0 || got["preBarcodedTube"] != true || got["parentSrCode"] != "BL" ||
		fmt.Sprint(got["services"]) != "[map[serviceCode:S units:2]]" || fmt.Sprint(got["defaultCustomFieldValues"]) != "map[a:[1]]" {
		t.Errorf("aliquot %v", got)
	}
	one := c.must("POST", "/specimen-requirements/0/derived", `{`+derived+`,"cpShortTitle":"INV","eventLabel":"BASELINE","parentSrCode":"bl","quantity":3,"code":"PL","name":"Plasma"}`)
	if one["lineage"] != "Derived" || one["initialQty"] != 3.0 || one["pathology"] != "Not Specified" || one["storageType"] != "Virtual" {
		t.Errorf("derivative %v", one)
	}
	if got := c.outlineOf(s.event); got != "BL(AL Aliquot PL)" {
		t.Errorf("requirements %s", got)
	}
	c.must("PUT", path, `{"specimenClass":"Fluid","type":"Whole Blood","anatomicSite":"Not Specified","laterality":"Not Specified","pathology":"Not Specified",
		"storageType":"Virtual","collectionProcedure":"Not Specified","collectionContainer":"Not Specified","activityStatus":"Closed"}`)
	c.do("POST", path+"/derived", `{`+derived+`}`).refused(t, 400, "SR_CLOSED")
}

func TestProtocolExtras(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	c.must("POST", "/collection-protocols", `{"shortTitle":"ZZZ","title":"Last by name","principalInvestigator":{"id":2},"cpSites":[{"siteName":"North Biobank"}],"consentsWaived":true}`)
	path := fmt.Sprintf("/collection-protocols/%d", s.cp)
	flows := path + "/workflows"

	if got := c.do("GET", flows, ""); got.body != fmt.Sprintf(`{"cpId":%d,"shortTitle":"INV","workflows":{}}`, s.cp) {
		t.Errorf("no workflows are %s", got.body)
	}
	for body, code := range map[string]string{`1`: "INVALID_REQUEST", `[1]`: "INVALID_REQUEST", `{"a":1}`: "INVALID_REQUEST", `[{}]`: "COMMON_INVALID_INPUT"} {
		c.do("PUT", flows, body).refused(t, 400, code)
	}
	c.must("PUT", flows, `[{"name":"a","data":{"x":1}},{"name":"b"}]`)
	c.must("PATCH", flows, `{"b":{"name":"b","data":2},"c":{}}`)
	if got := c.do("GET", flows, ""); got.body != fmt.Sprintf(`{"cpId":%d,"shortTitle":"INV","workflows":{"a":{"data":{"x":1},"name":"a"},"b":{"data":2,"name":"b"},"c":{}}}`, s.cp) {
		t.Errorf("workflows are %s", got.body)
	}
	if got := c.must("PUT", flows, `{"workflows":{"d":{}}}`); fmt.Sprint(got["workflows"]) != "map[d:map[]]" {
		t.Errorf("workflows are %v", got)
	}

	for range 2 {
		if got := c.must("POST", "/collection-protocols/2/labels", ""); got["status"] != true {
			t.Errorf("star: %v", got)
		}
	}
	if got := column(c.list("GET", "/collection-protocols?orderByStarred=true", ""), "shortTitle"); got != "ZZZ,INV" {
		t.Errorf("starred first: %s", got)
	}
	for range 2 {
		c.must("DELETE", "/collection-protocols/2/labels", "")
	}
	for query, want := range map[string]string{
		"?orderByStarred=true": "INV,ZZZ", "?onlyParticipantConsentCps=true": "INV", "?detailedList=true": "INV,ZZZ",
	} {
		if got := column(c.list("GET", "/collection-protocols"+query, ""), "shortTitle"); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	if got := c.list("GET", "/collection-protocols?detailedList=true", ""); column(got, "participantCount") != "1,0" || column(got, "specimenCount") != "2,0" {
		t.Errorf("counts %v %v", column(got, "participantCount"), column(got, "specimenCount"))
	}
	if got := c.list("GET", "/collection-protocols", ""); column(got, "participantCount") != "<nil>,<nil>" {
		t.Errorf("counts nobody asked for: %v", got)
	}
	if got := c.do("GET", "/collection-protocols/barcoding-enabled", ""); got.body != "false" {
		t.Errorf("barcoding is %s", got.body)
	}
}
