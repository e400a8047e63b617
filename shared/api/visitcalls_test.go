package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"aliquot/shared/biobank"
)

// visitRows are the rows of the calls that visits have besides those that all have.
func visitRows() []row {
	// Only who may see identifying data sees reports: of the roles the coordinator.
	read := columns{"vvv--", "vvx--", "vxx--", "xxx--", "xxx--", "xxx--"}
	return []row{
		{pattern: "POST /visits/match", body: `{"attr":"ACCESSION_NO","value":"{short}"}`, want: columns{"eeeee", "eeeee", "eeeee", "eeeee", "eeeee", "eeeee"}},
		{pattern: "GET /visits/{id}/spr-file", kind: "visit", want: read},
		{pattern: "POST /visits/{id}/spr-file", kind: "visit", body: `{"fileId":"00000000000000000000000000000000","filename":"x"}`, want: read},
		{pattern: "POST /visits/{id}/spr-file/upload-url", kind: "visit", body: `{"filename":"x.pdf"}`, want: columns{"...--", "..x--", ".xx--", "xxx--", "xxx--", "xxx--"}},
		{pattern: "DELETE /visits/{id}/spr-file", kind: "visit", want: read},
		{pattern: "GET /visits/{id}/spr-text", kind: "visit", want: read},
		{pattern: "PUT /visits/{id}/spr-text", kind: "visit", body: `{}`, want: columns{"v", "v", "v", "v", "v", "v"}},
		{pattern: "PUT /visits/{id}/spr-lock", kind: "visit", body: `{"locked":true}`, want: read},
	}
}

func TestReportsOfVisits(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	path := fmt.Sprintf("/visits/%d", s.visit)
	send := func(who caller, name, body string) answer {
		return who.do("POST", path+"/spr-file", "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\""+name+"\"\r\n\r\n"+body+"\r\n--x--\r\n",
			"Content-Type: multipart/form-data; boundary=x")
	}
	for _, tt := range []struct{ method, path, body, code string }{
		{"GET", "/spr-file", "", "VISIT_NO_SPR_UPLOADED"},
		{"GET", "/spr-text", "", "VISIT_NO_SPR_UPLOADED"},
		{"DELETE", "/spr-file", "", "VISIT_NO_SPR_UPLOADED"},
		{"PUT", "/spr-lock", `{"locked":true}`, "VISIT_NO_SPR_UPLOADED"},
		{"PUT", "/spr-lock", `{}`, "INVALID_REQUEST"},
		{"PUT", "/spr-text", `{"sprText":" "}`, "COMMON_INVALID_INPUT"},
		{"POST", "/spr-file", `{}`, "INVALID_REQUEST"},
		{"POST", "/spr-file", `{"fileId":"0123456789abcdef0123456789abcdef"}`, "VISIT_UNABLE_TO_LOCATE_SPR"},
	} {
		c.do(tt.method, path+tt.path, tt.body).refused(t, 400, tt.code)
	}
	c.do("GET", "/visits/77/spr-file", "").refused(t, 400, "VISIT_NOT_FOUND")

	if a := send(c, "../Canary report.txt", "Invented findings"); a.status != http.StatusOK || a.body != `"Canary report.txt"` {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if got := c.must("GET", path, ""); got["sprName"] != "Canary report.txt" || got["sprLocked"] != false {
		t.Errorf("the visit has %v", got["sprName"])
	}
	if a := c.do("GET", path+"/spr-file?type=pdf", ""); a.body != "Invented findings" || !strings.Contains(a.header.Get("Content-Disposition"), "Canary report.txt") {
		t.Errorf("%d %s %v", a.status, a.body, a.header)
	}
	if a := c.do("GET", path+"/spr-text", ""); a.body != `"Invented findings"` {
		t.Errorf("%s", a.body)
	}
	c.do("PUT", path+"/spr-text", `{"sprText":"Other findings"}`)
	// A change of the visit leaves the report.
	c.must("PUT", path, fmt.Sprintf(`{"eventId":%d,"name":"INV-1.B.1","site":"North Biobank","surgicalPathologyNumber":"SPR-8"}`, s.event))
	if a := c.do("GET", path+"/spr-text", ""); a.body != `"Other findings"` {
		t.Errorf("%s", a.body)
	}

	c.must("PUT", path+"/spr-lock", `{"locked":true}`)
	send(c, "new.pdf", "%PDF-1.4").refused(t, 400, "VISIT_LOCKED_SPR")
	c.do("DELETE", path+"/spr-file", "").refused(t, 400, "VISIT_LOCKED_SPR")
	c.do("PUT", path+"/spr-text", `{"sprText":"x"}`).refused(t, 400, "VISIT_LOCKED_SPR")
	c.do("POST", path+"/spr-file/upload-url", `{"filename":"x"}`).refused(t, 400, "VISIT_LOCKED_SPR")
	c.must("PUT", path+"/spr-lock", `{"locked":"false"}`)
	if a := send(c, "new.pdf", "%PDF-1.4\x00\x01"); a.status != http.StatusOK {
		t.Fatal(a.body)
	}
	c.do("GET", path+"/spr-text", "").refused(t, 400, "VISIT_NON_TEXT_SPR")
	c.do("PUT", path+"/spr-text", `{"sprText":"x"}`).refused(t, 400, "VISIT_NON_TEXT_SPR")
	send(c, "big.pdf", strings.Repeat("x", 4<<20)).refused(t, http.StatusRequestEntityTooLarge, "COMMON_INVALID_INPUT")

	t.Run("by a URL", func(t *testing.T) {
		link := c.must("POST", path+"/spr-file/upload-url", `{"filename":"large.pdf"}`)
		large := strings.Repeat("y", 5<<20)
		req, err := http.NewRequestWithContext(t.Context(), link["method"].(string), link["url"].(string), strings.NewReader(large))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range link["headers"].(map[string]any) {
			req.Header.Set(name, value.(string))
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		c.do("POST", path+"/spr-file", fmt.Sprintf(`{"fileId":%q,"filename":"other.pdf"}`, link["fileId"])).refused(t, 400, "VISIT_UNABLE_TO_LOCATE_SPR")
		if a := c.do("POST", path+"/spr-file", fmt.Sprintf(`{"fileId":%q,"filename":"large.pdf"}`, link["fileId"])); a.body != `"large.pdf"` {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if a := c.do("GET", path+"/spr-file", ""); a.status != http.StatusSeeOther {
			t.Errorf("a large report is answered with %d", a.status)
		}
	})
	t.Run("for a technician", func(t *testing.T) {
		tech := w.newUser("tech", "NONE", biobank.Grant{ID: 1, Role: "Technician"})
		if a := tech.do("GET", path, ""); strings.Contains(a.body, "large.pdf") || !strings.Contains(a.body, `"sprName":"###"`) {
			t.Errorf("a technician sees the name of the report: %s", a.body)
		}
		if got := tech.list("GET", "/visits/bynamespr?sprNumber=SPR-8", ""); len(got) != 0 {
			t.Error("a technician finds visits by report number")
		}
	})
	if a := c.do("DELETE", path+"/spr-file", ""); a.body != "true" {
		t.Errorf("%s", a.body)
	}
	c.do("GET", path+"/spr-file", "").refused(t, 400, "VISIT_NO_SPR_UPLOADED")
	if strings.Contains(w.logged(), "Canary") || strings.Contains(w.logged(), "findings") {
		t.Error("the log tells of the report")
	}
}

// freeNames lets the study's visits have any name.
func (w *world) freeNames(c caller, s study) {
	w.t.Helper()
	c.must("PUT", fmt.Sprintf("/collection-protocols/%d", s.cp), `{"shortTitle":"INV","title":"An invented study","code":"I1","principalInvestigator":{"id":2},
		"cpSites":[{"siteName":"North Biobank"}],"manualSpecLabelEnabled":true,"manualPpidEnabled":true,"manualVisitNameEnabled":true}`)
}

func TestFindVisitsByNumbers(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	w.freeNames(c, s)
	w.newPeople(c, s, 1)
	other := c.must("POST", "/visits", `{"ppid":"P-01","cpShortTitle":"INV","name":"V-2","eventLabel":"Baseline","surgicalPathologyNumber":"SPR-7"}`)
	odd := c.must("POST", "/visits", `{"ppid":"P-01","cpShortTitle":"INV","name":"V-3","eventLabel":"Baseline","surgicalPathologyNumber":"A|B#1/2"}`)
	find := func(number string) string {
		return column(c.list("GET", "/visits/bynamespr?sprNumber="+number, ""), "name")
	}
	if got := find("SPR-7"); got != "INV-1.B.1,V-2" {
		t.Errorf("SPR-7 leads to %s", got)
	}
	if got := find("A%7CB%231/2"); got != "V-3" {
		t.Errorf("an odd number leads to %s", got)
	}
	c.must("PUT", fmt.Sprintf("/visits/%v", other["id"]), `{"eventLabel":"Baseline","name":"V-2","surgicalPathologyNumber":"SPR-9"}`)
	c.must("DELETE", fmt.Sprintf("/visits/%v", odd["id"]), "")
	for number, want := range map[string]string{"SPR-7": "INV-1.B.1", "SPR-9": "V-2", "A%7CB%231/2": "", "SPR": ""} {
		if got := find(number); got != want {
			t.Errorf("%s leads to %s, want %s", number, got, want)
		}
	}
	c.do("GET", "/visits/bynamespr", "").refused(t, 400, "COMMON_INVALID_INPUT")

	match := func(body string) string {
		var list []struct {
			Cpr    struct{ PPID string }
			Visits []struct{ Name string }
		}
		if err := json.Unmarshal([]byte(c.do("POST", "/visits/match", body).body), &list); err != nil {
			t.Fatal(err)
		}
		text := ""
		for _, one := range list {
			text += one.Cpr.PPID + ":"
			for _, v := range one.Visits {
				text += " " + v.Name
			}
		}
		return text
	}
	for body, want := range map[string]string{
		`{"attr":"ACCESSION_NO","value":"SPR-9"}`: "P-01: V-2", `{"attr":"empi_mrn","value":"MRN-7"}`: "INV-1: INV-1.B.1",
		`{"attr":"EMPI_MRN","value":"none"}`: "", `{"attr":"ACCESSION_NO","value":"SPR-9","cpId":77}`: "",
	} {
		if got := match(body); got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
	for _, body := range []string{`{}`, `{"attr":"x","value":"y"}`, `{"attr":"EMPI_MRN"}`} {
		c.do("POST", "/visits/match", body).refused(t, 400, "INVALID_REQUEST")
	}
}

func TestMissedVisits(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	w.freeNames(c, s)
	w.newTrees(c, s) // BL(AL Aliquot PL) POOL[P1 P2], and a closed one
	specimens := func(visit any) string {
		list := c.list("POST", "/specimens/search", fmt.Sprintf(`{"cprId":%d,"maxResults":1000}`, s.registration))
		var parts []string
		for _, one := range list {
			if one["visitId"] == visit {
				parts = append(parts, fmt.Sprintf("%v %v %v", one["reqCode"], one["status"], one["initialQty"]))
			}
		}
		return strings.Join(parts, ", ")
	}
	missed := c.must("POST", "/visits", fmt.Sprintf(`{"cprId":%d,"name":"M-1","eventId":%d,"status":"Missed Collection","missedReason":"","missedBy":{"id":2}}`, s.registration, s.event))
	if got := specimens(missed["id"]); got != "BL Missed Collection 10.5, POOL Missed Collection <nil>" {
		t.Errorf("a missed visit has %s", got)
	}
	visit := c.must("POST", "/visits", fmt.Sprintf(`{"cprId":%d,"name":"M-2","eventId":%d}`, s.registration, s.event))
	c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%v,"label":"M-2-1","type":"Whole Blood","initialQty":1,"reqId":%d}`, visit["id"], s.requirement))
	put := func(status string) {
		c.must("PUT", fmt.Sprintf("/visits/%v", visit["id"]), fmt.Sprintf(`{"eventId":%d,"name":"M-2","status":%q,"site":"North Biobank"}`, s.event, status))
	}
	put("Not Collected")
	want := "BL Not Collected 1, POOL Not Collected <nil>"
	if got := specimens(visit["id"]); got != want {
		t.Errorf("a visit that was not collected has %s, want %s", got, want)
	}
	put("Not Collected")
	if got := specimens(visit["id"]); got != want {
		t.Errorf("saved again it has %s, want %s", got, want)
	}
	put("Pending")
	if got := specimens(visit["id"]); got != strings.ReplaceAll(want, "Not Collected", "Pending") {
		t.Errorf("a pending visit has %s", got)
	}
	both := c.must("POST", "/visits/collect", fmt.Sprintf(`{"visit":{"cprId":%d,"name":"M-3","eventId":%d,"status":"Missed Collection"},
		"specimens":[{"reqId":%d,"status":"Missed Collection","type":"Whole Blood","lineage":"New"}]}`, s.registration, s.event, s.requirement))
	if got := specimens(both["visit"].(map[string]any)["id"]); strings.Count(got, "BL") != 1 {
		t.Errorf("a missed visit with its specimen has %s", got)
	}
}

func TestVisitToAnotherEvent(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	w.freeNames(c, s)
	w.newTrees(c, s)
	reqs := c.list("GET", fmt.Sprintf("/specimen-requirements?eventId=%d", s.event), "")
	aliquot := reqs[0]["children"].([]any)[0].(map[string]any)["id"]
	next := c.must("POST", fmt.Sprintf("/collection-protocol-events/%d/copy", s.event), `{"eventLabel":"Next"}`)
	bare := c.must("POST", "/collection-protocol-events", `{"eventLabel":"Bare","cpShortTitle":"INV","defaultSite":"North Biobank"}`)
	visit := c.must("POST", "/visits", fmt.Sprintf(`{"cprId":%d,"name":"V-9","eventId":%d}`, s.registration, s.event))
	c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%v,"label":"V-9-1","type":"Whole Blood","initialQty":9,"reqId":%d}`, visit["id"], s.requirement))
	c.must("POST", "/specimens", fmt.Sprintf(`{"parentLabel":"V-9-1","label":"V-9-2","lineage":"Aliquot","initialQty":1,"reqId":%v}`, aliquot))
	c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%v,"label":"V-9-3","type":"Plasma","initialQty":9}`, visit["id"]))

	move := func(event any) string {
		c.must("PUT", fmt.Sprintf("/visits/%v", visit["id"]), fmt.Sprintf(`{"eventId":%v,"name":"V-9"}`, event))
		return column(c.list("GET", "/specimens?label=V-9-1&label=V-9-2&label=V-9-3", ""), "reqCode")
	}
	if got := move(next["id"]); got != "BL,AL,<nil>" {
		t.Errorf("in the copy of the event they are for %s", got)
	}
	if got := c.list("GET", "/specimens?label=V-9-1", "")[0]["reqId"]; got == float64(s.requirement) {
		t.Error("the requirement is still that of the first event")
	}
	if got := move(bare["id"]); got != "<nil>,<nil>,<nil>" {
		t.Errorf("in an event without requirements they are for %s", got)
	}
	c.do("PUT", fmt.Sprintf("/visits/%v", visit["id"]), `{"eventId":77,"name":"V-9"}`).refused(t, 400, "CPE_NOT_FOUND")
}

func TestWhereAVisitTakesPlace(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	w.freeNames(c, s)
	c.must("POST", "/sites", `{"name":"South","instituteName":"Default Institute","type":"Laboratory"}`)
	c.must("POST", "/collection-protocol-events", `{"eventLabel":"Anywhere","cpShortTitle":"INV"}`)
	make := func(ppid, name, more string) map[string]any {
		return c.must("POST", "/visits", fmt.Sprintf(`{"cpShortTitle":"INV","ppid":%q,"name":%q,"eventLabel":"Anywhere"%s}`, ppid, name, more))
	}
	c.must("POST", "/collection-protocol-registrations", fmt.Sprintf(`{"cpId":%d,"ppid":"NEW","registrationDate":"2022-01-01","participant":{"pmis":[{"mrn":"7","siteName":"South"}]}}`, s.cp))
	c.must("POST", "/collection-protocol-registrations", fmt.Sprintf(`{"cpId":%d,"ppid":"NONE","registrationDate":"2022-01-01","participant":{}}`, s.cp))
	if got := make("NEW", "N-1", ""); got["site"] != "South" {
		t.Errorf("the first visit is at %v, want the site of the record number", got["site"])
	}
	make("NEW", "N-2", `,"site":"North Biobank","visitDate":"2025-01-01"`)
	make("NEW", "N-3", `,"site":"South","visitDate":"2024-01-01"`)
	c.must("DELETE", fmt.Sprintf("/visits/%v", c.list("GET", "/visits/list?name=N-1", "")[0]["id"]), "")
	if got := make("NEW", "N-4", ""); got["site"] != "North Biobank" {
		t.Errorf("the next visit is at %v, want where the last one was", got["site"])
	}
	c.do("POST", "/visits", `{"cpShortTitle":"INV","ppid":"NONE","name":"N-5","eventLabel":"Anywhere"}`).refused(t, 400, "VISIT_SITE_REQUIRED")
}

// TestWhereTheSpecimensOfAVisitAre: each collected one is stored, not stored, distributed or closed.
func TestWhereTheSpecimensOfAVisitAre(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newDepot(c, 4) // with a distribution protocol
	box := c.must("POST", "/storage-containers", `{"name":"Box","siteName":"North Biobank","noOfRows":2,"noOfColumns":2,"storeSpecimensEnabled":true}`)
	counts := func() string {
		v := c.list("GET", fmt.Sprintf("/visits?cprId=%d&includeStats=true", s.registration), "")[0]
		return fmt.Sprint(v["storedSpecimens"], v["notStoredSpecimens"], v["distributedSpecimens"], v["closedSpecimens"])
	}
	all := c.list("GET", fmt.Sprintf("/specimens?cprId=%d&visitId=%d", s.registration, s.visit), "")
	total := len(all)
	for _, one := range all {
		total += len(one["children"].([]any))
	}
	if got, want := counts(), fmt.Sprint(0, total, 0, 0); got != want {
		t.Fatalf("%s, want %s", got, want)
	}
	c.must("PUT", fmt.Sprintf("/specimens/%d", s.specimen), fmt.Sprintf(`{"storageLocation":{"id":%v}}`, box["id"]))
	c.must("PUT", fmt.Sprintf("/specimens/%d/status", s.aliquot), `{"status":"Closed","reason":"Spilt"}`)
	c.must("POST", "/distribution-orders", `{"name":"All","distributionProtocol":{"shortTitle":"DP"},"requester":{"id":2},"status":"EXECUTED",
		"orderItems":[{"specimen":{"label":"D-01"},"quantity":10,"status":"DISTRIBUTED_AND_CLOSED"}]}`)
	if got, want := counts(), fmt.Sprint(1, total-3, 1, 1); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if v := c.list("GET", fmt.Sprintf("/visits?cprId=%d", s.registration), "")[0]; v["storedSpecimens"] != 0.0 {
		t.Errorf("without includeStats %v are stored", v["storedSpecimens"])
	}
}

// A visit is not held for a closed event, be it new or one of another event.
func TestVisitToAClosedEvent(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	closed := idOf(c.must("POST", "/collection-protocol-events", `{"eventLabel":"Over","cpShortTitle":"INV"}`))
	c.must("PUT", fmt.Sprintf("/collection-protocol-events/%d", closed), `{"eventLabel":"Over","activityStatus":"Closed"}`)
	body := func(event int64, status string) string {
		return fmt.Sprintf(`{"cprId":%d,"name":"INV-1.B.1","eventId":%d,"site":"North Biobank","status":%q}`, s.registration, event, status)
	}
	path := fmt.Sprintf("/visits/%d", s.visit)
	c.do("POST", "/visits", strings.Replace(body(closed, "Complete"), "INV-1.B.1", "INV-1.B.2", 1)).refused(t, 400, "CPE_CLOSED")
	for _, status := range []string{"Complete", "Pending"} {
		c.do("PUT", path, body(closed, status)).refused(t, 400, "CPE_CLOSED")
	}
	c.must("PUT", fmt.Sprintf("/collection-protocol-events/%d", s.event), `{"eventLabel":"Baseline","activityStatus":"Closed"}`)
	c.must("PUT", path, body(s.event, "Complete")) // the one that it was held for
}

// What a visit says that may identify the participant is kept for who may not see it, and not told by a refusal.
func TestHiddenWordsOfAVisitAreKept(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	tech := w.newUser("tech", "NONE", biobank.Grant{ID: 1, Role: "Technician", ProtocolID: s.cp})
	path := fmt.Sprintf("/visits/%d", s.visit)
	body := func(more string) string {
		return fmt.Sprintf(`{"cprId":%d,"name":"INV-1.B.1","site":"North Biobank","clinicalStatus":"New Diagnosis"%s}`, s.registration, more)
	}
	for _, more := range []string{"", `,"comments":"###","surgicalPathologyNumber":"###"`, `,"comments":null,"surgicalPathologyNumber":""`} {
		tech.must("PUT", path, body(more))
		if got := c.must("GET", path, ""); got["comments"] != "came with Canary" || got["surgicalPathologyNumber"] != "SPR-7" || got["clinicalStatus"] != "New Diagnosis" {
			t.Errorf("after %s: %v, %v", more, got["comments"], got["surgicalPathologyNumber"])
		}
	}
	for _, more := range []string{`,"comments":"x"`, `,"comments":"came with Canary"`, `,"surgicalPathologyNumber":"SPR-7"`, `,"surgicalPathologyNumber":"SPR-8"`} {
		tech.do("PUT", path, body(more)).refused(t, 400, "PARTICIPANT_CANNOT_UPDATE_PHI")
	}
	c.must("PUT", path, body("")) // who sees them, and leaves them out, clears them
	if got := c.must("GET", path, ""); got["comments"] != nil || got["surgicalPathologyNumber"] != nil {
		t.Errorf("cleared: %v, %v", got["comments"], got["surgicalPathologyNumber"])
	}
	tech.must("PUT", path, body(`,"comments":"late"`))
	if got := c.must("GET", path, "")["comments"]; got != "late" {
		t.Errorf("where nothing was there is %v", got)
	}
}
