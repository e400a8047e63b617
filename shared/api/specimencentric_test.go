package api_test

import (
	"fmt"
	"strings"
	"testing"

	"aliquot/shared/biobank"
)

// newCentric makes a specimen-centric protocol at a site that is there, and returns its id.
func newCentric(c caller, more string) int64 {
	c.t.Helper()
	return idOf(c.must("POST", "/collection-protocols", `{"shortTitle":"BANK","title":"A bank","principalInvestigator":{"loginName":"admin"},
		"cpSites":[{"siteName":"North Biobank"}],"specimenCentric":true`+more+`}`))
}

func TestSpecimensOfASpecimenCentricProtocol(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	cp := newCentric(c, `,"specimenLabelFmt":"B-%CP_UID%","aliquotLabelFmt":"%PSPEC_LABEL%.%PSPEC_UID%"`)
	first := c.must("POST", "/specimens", fmt.Sprintf(`{"cpId":%d,"type":"Plasma","initialQty":5}`, cp))
	if first["label"] != "B-1" || first["visitName"] != fmt.Sprintf("$$cp_visit_%d$$", cp) || first["ppid"] != fmt.Sprintf("$$cp_reg_%d$$", cp) ||
		first["eventLabel"] != fmt.Sprintf("$$cp_event_%d$$", cp) || first["cpId"] != float64(cp) {
		t.Errorf("made %v", first)
	}
	path := fmt.Sprintf("/specimens/%v", first["id"])
	// What is shown may be sent back.
	for _, body := range []string{
		`{"cpShortTitle":"BANK","type":"Plasma"}`,
		fmt.Sprintf(`{"visitId":%v,"type":"Plasma"}`, first["visitId"]), fmt.Sprintf(`{"visitName":%q,"type":"Plasma"}`, first["visitName"]),
	} {
		if got := c.must("POST", "/specimens", body); got["visitId"] != first["visitId"] {
			t.Errorf("%s lies in visit %v, not %v", body, got["visitId"], first["visitId"])
		}
	}
	is := c.must("PUT", path, fmt.Sprintf(`{"visitId":%v,"visitName":%q,"cpId":%d,"comments":"seen"}`, first["visitId"], first["visitName"], cp))
	if is["comments"] != "seen" {
		t.Errorf("changed to %v", is)
	}
	aliquot := c.must("POST", "/specimens", fmt.Sprintf(`{"parentId":%v,"lineage":"Aliquot","initialQty":2}`, first["id"]))
	if aliquot["label"] != "B-1.1" || c.must("GET", path, "")["availableQty"] != 3.0 {
		t.Errorf("aliquot %v of %v", aliquot["label"], c.must("GET", path, "")["availableQty"])
	}
	req := idOf(c.must("POST", "/specimen-requirements", fmt.Sprintf(`{"cpId":%d,"code":"BL","specimenClass":"Fluid","type":"Whole Blood",%s}`, cp, primary)))
	trees := c.list("POST", "/specimens/collect", fmt.Sprintf(`[{"cpId":%d,"reqId":%d,"children":[{"lineage":"Aliquot","initialQty":1}]},{"cpId":%d,"reqId":%d,"status":"Pending"}]`, cp, req, cp, req))
	if trees[0]["type"] != "Whole Blood" || trees[0]["label"] != "B-5" || trees[0]["children"].([]any)[0].(map[string]any)["label"] != "B-5.1" {
		t.Errorf("collected %v", trees[0])
	}
	pending := c.must("PUT", fmt.Sprintf("/specimens/%v", trees[1]["id"]), `{"status":"Collected"}`)
	if pending["label"] != "B-6" {
		t.Errorf("a pending specimen became %v", pending["label"])
	}
	if got := column(c.list("GET", fmt.Sprintf("/specimens?cpId=%d", cp), ""), "label"); got != "B-1,B-2,B-3,B-4,B-5,B-6" {
		t.Errorf("listed %s", got)
	}
	if got := column(c.list("GET", fmt.Sprintf("/specimen-requirements?cpId=%d", cp), ""), "code"); got != "BL" {
		t.Errorf("requirements %s", got)
	}
	c.do("POST", "/specimens", fmt.Sprintf(`{"cpId":%d,"type":"Plasma","label":"x"}`, s.cp)).refused(t, 400, "SPECIMEN_VISIT_REQUIRED")
	// Its technician needs rights to specimens, and none to participants.
	c.must("POST", "/rbac/roles", `{"name":"Banker","acl":[{"resourceName":"PrimarySpecimen","operations":[{"operationName":"Read"},{"operationName":"Create"}]}]}`)
	banker := w.newUser("banker", "NONE", biobank.Grant{ID: 1, RoleID: roleID(c, "Banker"), Role: "Banker", ProtocolID: cp})
	made := banker.must("POST", "/specimens", fmt.Sprintf(`{"cpId":%d,"type":"Plasma"}`, cp))
	banker.must("GET", fmt.Sprintf("/specimens/%v", made["id"]), "")
	w.newUser("stranger", "NONE").do("POST", "/specimens", fmt.Sprintf(`{"cpId":%d,"type":"Plasma"}`, cp)).refused(t, 400, "RBAC_ACCESS_DENIED")
}

func TestWhatASpecimenCentricProtocolHides(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	cp := newCentric(c, "")
	made := c.must("POST", "/specimens", fmt.Sprintf(`{"cpId":%d,"type":"Plasma","label":"P-1"}`, cp))
	names := strings.NewReplacer(
		"{cp}", fmt.Sprint(cp), "{reg}", fmt.Sprint(made["cprId"]), "{visit}", fmt.Sprint(made["visitId"]), "{event}", fmt.Sprint(made["eventId"]),
		"{other}", fmt.Sprint(s.visit), "{person}", fmt.Sprint(s.registration),
	)
	for _, call := range []string{
		"GET /collection-protocol-registrations/{reg} ", "PUT /collection-protocol-registrations/{reg} {}",
		"DELETE /collection-protocol-registrations/{reg}?forceDelete=true ", "GET /collection-protocol-registrations/{reg}/consents ",
		`PUT /collection-protocol-registrations/{reg}/consents {"comments":"x"}`, "PUT /collection-protocol-registrations/{reg}/anonymize ",
		`PUT /collection-protocol-registrations/bulk-update {"ids":[{reg}],"detail":{"externalSubjectId":"y"}}`,
		`POST /collection-protocol-registrations {"cpId":{cp},"ppid":"x","registrationDate":"2022-01-01","participant":{}}`,
		"GET /visits?cprId={reg} ", "GET /visits/{visit} ", "PUT /visits/{visit} {}", "DELETE /visits/{visit}?forceDelete=true ",
		`POST /visits {"cprId":{reg},"name":"x"}`, `POST /visits {"cpId":{cp},"ppid":"x","name":"x"}`, `POST /visits/collect {"visit":{"cprId":{reg},"name":"x"},"specimens":[]}`,
		`POST /visits/collect {"visit":{"id":{visit}},"specimens":[]}`, `PUT /visits/{visit}/spr-text {"sprText":"x"}`,
		`PUT /visits/{other} {"cprId":{reg}}`, "GET /specimens?visitId={visit} ",
		"GET /collection-protocol-events/{event} ", `PUT /collection-protocol-events/{event} {"eventLabel":"x"}`, "DELETE /collection-protocol-events/{event} ",
		`POST /collection-protocol-events {"cpShortTitle":"BANK","eventLabel":"x"}`, "POST /collection-protocol-events/{event}/copy {}",
		`POST /collection-protocols/merge {"srcCpShortTitle":"BANK","tgtCpShortTitle":"INV"}`,
	} {
		method, rest, _ := strings.Cut(names.Replace(call), " ")
		path, body, _ := strings.Cut(rest, " ")
		if a := c.do(method, path, body); a.status != 400 || !strings.Contains(a.codes(t), "CP_OP_NOT_ALLOWED_SC") {
			t.Errorf("%s: %d %s", call, a.status, a.body)
		}
	}
	for _, call := range []string{
		`POST /collection-protocol-registrations/list {"cpId":{cp}}`, `POST /collection-protocol-registrations/list {"specimen":"P-1"}`,
		"GET /collection-protocol-registrations?id={reg} ", "GET /collection-protocol-events?cpId={cp} ",
		"GET /visits/list?name=$$cp_visit_{cp}$$ ", "GET /visits/bynamespr?visitName=$$cp_visit_{cp}$$ ",
	} {
		method, rest, _ := strings.Cut(names.Replace(call), " ")
		path, body, _ := strings.Cut(rest, " ")
		if a := c.do(method, path, body); a.status != 200 || a.body != "[]" {
			t.Errorf("%s: %d %s", call, a.status, a.body)
		}
	}
	if got := c.must("POST", "/collection-protocol-registrations/count", fmt.Sprintf(`{"cpId":%d}`, cp)); got["count"] != 0.0 {
		t.Errorf("registrations: %v", got)
	}
	item := c.list("GET", "/collection-protocols?title=BANK&detailedList=true", "")[0]
	if item["participantCount"] != 0.0 || item["specimenCount"] != 1.0 || item["specimenCentric"] != true {
		t.Errorf("listed as %v", item)
	}
	// A whole object that leaves the mode out keeps it.
	whole := `{"shortTitle":"BANK","title":"The bank","principalInvestigator":{"loginName":"admin"},"cpSites":[{"siteName":"North Biobank"}]}`
	if is := c.must("PUT", fmt.Sprintf("/collection-protocols/%d", cp), whole); is["specimenCentric"] != true {
		t.Errorf("it is %v now", is["specimenCentric"])
	}
	c.must("GET", fmt.Sprintf("/specimens/%v", made["id"]), "")
}

func TestASpecimenCentricProtocolIsCopiedAndDeleted(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newStudy(c)
	cp := newCentric(c, "")
	path := fmt.Sprintf("/collection-protocols/%d", cp)
	req := idOf(c.must("POST", "/specimen-requirements", fmt.Sprintf(`{"cpId":%d,"code":"BL","specimenClass":"Fluid","type":"Whole Blood",%s}`, cp, primary)))
	c.list("POST", fmt.Sprintf("/specimen-requirements/%d/aliquots", req), `{"noOfAliquots":2}`)
	second := idOf(c.must("POST", path+"/copy", `{"shortTitle":"BANK2","title":"Another bank"}`))
	if trees := c.list("GET", fmt.Sprintf("/specimen-requirements?cpId=%d", second), ""); len(trees) != 1 || len(trees[0]["children"].([]any)) != 2 {
		t.Errorf("copied %v", trees)
	}
	there := c.must("POST", "/specimens", fmt.Sprintf(`{"cpId":%d,"type":"Plasma","label":"P-2"}`, second))
	if there["eventLabel"] != fmt.Sprintf("$$cp_event_%d$$", second) {
		t.Errorf("lies in %v", there["eventLabel"])
	}
	made := c.must("POST", "/specimens", fmt.Sprintf(`{"cpId":%d,"type":"Plasma","label":"P-1"}`, cp))
	if got := column(c.list("GET", path+"/dependent-entities", ""), "name"); got != "specimen" {
		t.Errorf("it has %s", got)
	}
	c.do("DELETE", path, "").refused(t, 400, "CP_REF_ENTITY_FOUND")
	c.must("DELETE", path+"?forceDelete=true", "")
	c.do("GET", fmt.Sprintf("/specimens/%v", made["id"]), "").refused(t, 400, "SPECIMEN_NOT_FOUND")
	c.must("GET", fmt.Sprintf("/specimens/%v", there["id"]), "")
	empty := idOf(c.must("POST", "/collection-protocols", `{"shortTitle":"BANK","title":"A bank","principalInvestigator":{"loginName":"admin"},
		"cpSites":[{"siteName":"North Biobank"}],"specimenCentric":true}`))
	c.must("DELETE", fmt.Sprintf("/collection-protocols/%d", empty), "")
	c.do("POST", "/collection-protocols", `{"shortTitle":"BANK3","title":"A third","principalInvestigator":{"loginName":"admin"},
		"cpSites":[{"siteName":"North Biobank"}],"specimenCentric":true,"specimenLabelFmt":"%VISIT_NAME%-%VISIT_UID%"}`).refused(t, 400, "CP_INVALID_SPECIMEN_LABEL_FMT")
}

// What a protocol counts labels by is looked at as the protocol is, whatever a change of it says.
func TestFormatsOfASpecimenCentricProtocolThatChanges(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	bank := fmt.Sprintf("/collection-protocols/%d", newCentric(c, ""))
	const whole = `{"shortTitle":%q,"title":%q,"principalInvestigator":{"loginName":"admin"},"cpSites":[{"siteName":"North Biobank"}],"specimenLabelFmt":"%%VISIT_NAME%%-%%VISIT_UID%%"%s}`
	for _, more := range []string{"", `,"specimenCentric":false`, `,"specimenCentric":true`} {
		c.do("PUT", bank, fmt.Sprintf(whole, "BANK", "A bank", more)).refused(t, 400, "CP_INVALID_SPECIMEN_LABEL_FMT")
		if got := c.must("PUT", fmt.Sprintf("/collection-protocols/%d", s.cp), fmt.Sprintf(whole, "INV", "An invented study", more)); got["specimenLabelFmt"] != "%VISIT_NAME%-%VISIT_UID%" {
			t.Errorf("%s: got %v", more, got["specimenLabelFmt"])
		}
	}
}
