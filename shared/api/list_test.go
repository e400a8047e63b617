package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/biobank"
)

// list returns the array that a successful request answers with.
func (c caller) list(method, path, body string) []map[string]any {
	c.t.Helper()
	a := c.do(method, path, body)
	var v []map[string]any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil || a.status != http.StatusOK || v == nil {
		c.t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
	}
	return v
}

// column is one member of each object of a list, as text.
func column(list []map[string]any, name string) string {
	var parts []string
	for _, v := range list {
		parts = append(parts, fmt.Sprint(v[name]))
	}
	return strings.Join(parts, ",")
}

// newPeople registers participants P-01 and so on, each with a visit and, for every second one, a specimen.
func (w *world) newPeople(c caller, s study, n int) {
	w.t.Helper()
	for i := range n {
		reg := c.must("POST", "/collection-protocol-registrations/", fmt.Sprintf(`{"cpId":%d,"ppid":"P-%02d","site":"North Biobank",
			"registrationDate":"2022-01-%02d","participant":{"lastName":"Person%d","uid":"U-%d","birthDate":"1970-01-02"}}`, s.cp, i+1, i+1, i+1, i+1))
		visit := c.must("POST", "/visits", fmt.Sprintf(`{"cprId":%v,"name":"P-%02d.B.1","eventLabel":"Baseline","visitDate":"2022-02-01"}`, reg["id"], i+1))
		if i%2 == 0 {
			c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%v,"label":"L-%02d","barcode":"BC-%02d","type":"Whole Blood","lineage":"New",
				"initialQty":10,"reqId":%d,"storageLocation":{}}`, visit["id"], i+1, i+1, s.requirement))
		}
	}
}

func TestListsOfSmallSets(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.newStudy(c)
	for _, name := range []string{"beta", "Alpha", "Gamma"} {
		c.must("POST", "/institutes", fmt.Sprintf(`{"name":%q}`, name))
		c.must("POST", "/sites", fmt.Sprintf(`{"name":"%s Site","instituteName":%q,"type":"Laboratory"}`, name, name))
	}
	w.newUser("zed", "NONE")
	w.newUser("abe", "NONE")
	c.must("POST", "/collection-protocols", `{"shortTitle":"AAA","title":"First by name","principalInvestigator":{"id":2},"cpSites":[{"siteName":"Alpha Site"}]}`)

	for _, tt := range []struct{ path, column, want string }{
		{"/institutes", "name", "Alpha,beta,Default Institute,Gamma"},
		{"/institutes?name=a&startAt=1&maxResults=2", "name", "beta,Default Institute"},
		{"/institutes/?name=alpha&exactMatch=true", "name", "Alpha"},
		{"/institutes?name=alph&exactMatch=true", "name", ""},
		{"/institutes?id=1,2&id=2", "name", "beta,Default Institute"},
		{"/institutes?startAt=9", "name", ""},
		{"/institutes?id=1&includeStats=true", "usersCount", "4"},
		{"/sites", "name", "Alpha Site,beta Site,Gamma Site,North Biobank"},
		{"/sites?name=site&institute=beta", "name", "beta Site"},
		{"/sites?name=beta+Site&name=North+Biobank", "name", "beta Site,North Biobank"},
		{"/sites?includeType=Repository&", "name", "North Biobank"},
		{"/sites?excludeType=Repository&name=", "name", "Alpha Site,beta Site,Gamma Site"},
		{"/sites?includeStats=true&name=north", "cpCount", "1"},
		{"/users", "loginName", "abe,admin,zed"},
		{"/users?start=1&maxResults=1", "loginName", "admin"},
		{"/users?searchString=example.org", "loginName", "abe,zed"},
		{"/users?type=SUPER", "loginName", "admin"},
		{"/users?includeSysUser=true&excludeType=NONE&excludeType=SUPER", "id", "1"},
		{"/collection-protocols", "shortTitle", "AAA,INV"},
		{"/collection-protocols?query=invent", "shortTitle", "INV"},
		{"/collection-protocols?title=aa", "shortTitle", "AAA"},
		{"/collection-protocols?repositoryName=Alpha+Site", "shortTitle", "AAA"},
		{"/collection-protocols?repositoryName=Nowhere", "shortTitle", ""},
		{"/collection-protocols?piId=2&instituteId=1", "shortTitle", "INV"},
		{"/collection-protocols/byop?resource=Specimen&op=Read", "shortTitle", "AAA,INV"},
		{"/collection-protocols/1/sites", "siteName", "North Biobank"},
		{"/rbac/roles?name=tech", "name", "Technician"},
		{"/permissible-values?attribute=specimen_type&includeOnlyRootValue=true&searchString=flu", "value", "Fluid"},
		{"/permissible-values?attribute=specimen_type&parentValue=fluid&value=bile", "value", "Bile"},
		{"/permissible-values/v?attribute=specimen_type&includeParentValue=true&value=bile", "parentValue", "Fluid"},
		{"/permissible-values?attribute=nothing", "value", ""},
	} {
		if got := column(c.list("GET", tt.path, ""), tt.column); got != tt.want {
			t.Errorf("%s: %s of each is %q, want %q", tt.path, tt.column, got, tt.want)
		}
	}
	for path, want := range map[string]float64{
		"/institutes/count?name=a": 4, "/sites/count": 4, "/users/count": 3, "/collection-protocols/count?title=aaa": 1,
		"/rbac/roles/count": 4,
	} {
		if got := c.must("GET", path, "")["count"]; got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	for path, want := range map[string]string{"/institutes/byname?name=BETA": "beta", "/sites/byname?name=north+biobank": "North Biobank"} {
		if got := c.must("GET", path, "")["name"]; got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	if got := c.must("GET", "/sites/byid/1/", "")["name"]; got != "North Biobank" {
		t.Errorf("by id: %v", got)
	}
	golden(t, "protocol-item", c.do("GET", "/collection-protocols?title=INV", "").body)
	for _, bad := range []string{"startAt=x", "maxResults=None", "maxResults=1e9", "maxResults=1001", "startAt=-1", "startAt=9223372036854775808", "exactMatch=perhaps", "id=x"} {
		c.do("GET", "/institutes?"+bad, "").refused(t, 400, "INVALID_REQUEST")
	}
	c.do("GET", "/institutes/byname?name=nobody", "").refused(t, 400, "INSTITUTE_NOT_FOUND")
	c.do("GET", "/users?activeSince=yesterday", "").refused(t, 400, "INVALID_REQUEST")
	c.do("GET", "/permissible-values", "").refused(t, 400, "PV_ATTR_NAME_REQUIRED")
	for path, want := range map[string]string{"cells%2Fml": "cells/ml", "cells/ML": "cells/ml", "Bile": "Bile"} {
		if got := c.must("GET", "/permissible-values/v/"+path, "")["value"]; got != want {
			t.Errorf("%s: %v, want %s", path, got, want)
		}
	}
	c.do("GET", "/permissible-values/v/77", "").refused(t, 400, "PV_NOT_FOUND")

	stranger := w.newUser("stranger", "NONE")
	if got := stranger.list("GET", "/collection-protocols", ""); len(got) != 0 {
		t.Errorf("a stranger sees %v", got)
	}
}

func TestListsOfATree(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	w.newPeople(c, s, 6)
	later := c.must("POST", "/collection-protocol-events", `{"eventLabel":"Later","eventPoint":2,"eventPointUnit":"WEEKS","cpShortTitle":"INV"}`)
	c.must("POST", "/collection-protocol-events", `{"eventLabel":"Whenever","cpShortTitle":"INV"}`)
	c.must("POST", "/collection-protocol-events", `{"eventLabel":"Closed","eventPoint":1,"eventPointUnit":"DAYS","cpShortTitle":"INV","activityStatus":"Closed"}`)

	const regs = "/collection-protocol-registrations"
	for _, tt := range []struct{ method, path, body, column, want string }{
		{"GET", "/collection-protocol-events?cpId=1", "", "eventLabel", "Baseline,Later,Whenever"},
		{"GET", "/collection-protocol-events?cpId=1&includeClosedEvents=true", "", "eventLabel", "Baseline,Closed,Later,Whenever"},
		{"GET", "/specimen-requirements?eventId=1", "", "code", "BL"},
		{"GET", "/specimen-requirements?cpId=1", "", "code", "BL"},
		{"GET", fmt.Sprintf("/specimen-requirements?eventId=%v", later["id"]), "", "code", ""},
		{"POST", regs + "/list", `{"cpId":1}`, "ppid", "P-06,P-05,P-04,P-03,P-02,P-01,INV-1"},
		{"POST", regs + "/list", `{"cpId":"1","startAt":1,"maxResults":2}`, "ppid", "P-05,P-04"},
		{"POST", regs + "/list", `{"ppid":"p-0","maxResults":null,"name":"person3"}`, "ppid", "P-03"},
		{"POST", regs + "/list", `{"ppid":"P-04","exactMatch":true}`, "ppid", "P-04"},
		{"POST", regs + "/list", `{"ppid":"P-0","exactMatch":true}`, "ppid", ""},
		{"POST", regs + "/list", `{"uid":"u-2"}`, "ppid", "P-02"},
		{"POST", regs + "/list", `{"dob":"1980-05-06"}`, "ppid", "INV-1"},
		{"POST", regs + "/list", `{"registrationDate":"2022-01-03"}`, "ppid", "P-03"},
		{"POST", regs + "/list", `{"specimen":"BC-05"}`, "ppid", "P-05"},
		{"POST", regs + "/list", `{"specimen":"nothing"}`, "ppid", ""},
		{"GET", regs + "?id=3&id=1&id=99", "", "ppid", "P-02,INV-1"},
		{"GET", "/visits?cprId=2", "", "eventLabel", "Later,Baseline,Whenever"},
		{"GET", "/visits?cprId=2", "", "status", "<nil>,Complete,<nil>"},
		{"GET", "/visits/?cprId=2&includeStats=true", "", "plannedPrimarySpmnsColl", "0,1,0"},
		{"GET", "/visits/bynamespr?visitName=P-02.B.1", "", "id", "3"},
		{"GET", "/visits/list?name=P-03.B.1,P-01.B.1&name=none", "", "name", "P-03.B.1,P-01.B.1"},
		{"GET", "/specimens", "", "id", ""},
		{"GET", "/specimens?maxResults=5", "", "id", ""},
		{"GET", "/specimens?id=2,1", "", "label", "INV-1-S-1,INV-1-S"},
		{"GET", "/specimens?label=L-05&label=L-01&label=no", "", "label", "L-05,L-01"},
		{"GET", "/specimens?barcode=BC-03", "", "label", "L-03"},
		{"GET", "/specimens?cpId=1", "", "label", "L-01,L-03,INV-1-S,L-05"},
		{"GET", "/specimens?cpId=1&startAt=1&maxResults=2", "", "label", "L-03,INV-1-S"},
		{"GET", "/specimens?cprId=1&visitId=1", "", "label", "INV-1-S"},
		{"GET", "/specimens?cprId=1&eventId=1", "", "label", "INV-1-S"},
		{"GET", "/specimens?cprId=3&visitId=3", "", "reqId", "1"}, // anticipated
	} {
		if got := column(c.list(tt.method, tt.path, tt.body), tt.column); got != tt.want {
			t.Errorf("%s %s %s: %s of each is %q, want %q", tt.method, tt.path, tt.body, tt.column, got, tt.want)
		}
	}
	tree := c.list("GET", "/specimens?cprId=1&visitId=1", "")
	if kids := tree[0]["children"].([]any); len(kids) != 1 || kids[0].(map[string]any)["label"] != "INV-1-S-1" {
		t.Errorf("children are %v", kids)
	}
	if got := c.list("GET", "/specimens?cprId=3&visitId=3", ""); got[0]["id"] != nil {
		t.Errorf("an anticipated specimen has the id %v", got[0]["id"])
	}
	if got := c.must("POST", regs+"/count", `{"cpId":1,"name":"person"}`)["count"]; got != 6.0 {
		t.Errorf("counted %v", got)
	}
	if got := c.must("GET", regs+"/2/latest-visit", "")["name"]; got != "P-01.B.1" {
		t.Errorf("latest visit is %v", got)
	}
	for path, want := range map[string]int{
		"/specimens?label=L-01": 200, "/specimens?label=L-02": 400, "/specimens/?label=L-01&cpShortTitle=inv": 200,
		"/specimens?label=L-01&cpShortTitle=other": 400, "/specimens": 400,
	} {
		if got := c.do("HEAD", path, ""); got.status != want || got.body != "" {
			t.Errorf("HEAD %s: %d %q", path, got.status, got.body)
		}
	}
	c.do("GET", "/visits?cprId=99", "").refused(t, 400, "CPR_M_NOT_FOUND")
	c.do("GET", "/visits", "").refused(t, 400, "INVALID_REQUEST")
	c.do("GET", "/visits?cprId=x", "").refused(t, 400, "INVALID_REQUEST")
	c.do("GET", "/visits/bynamespr?sprNumber=&visitName=", "").refused(t, 400, "COMMON_INVALID_INPUT")
	c.do("GET", "/collection-protocol-events", "").refused(t, 400, "INVALID_REQUEST")
	c.do("POST", regs+"/list", `{"maxResults":"None"}`).refused(t, 400, "INVALID_REQUEST")
	c.do("POST", regs+"/list", `{"maxResults":1000000000}`).refused(t, 400, "INVALID_REQUEST")

	t.Run("participants", func(t *testing.T) {
		p := c.must("GET", "/participants/1", "")
		if p["lastName"] != "Canary" {
			t.Errorf("got %v", p)
		}
		c.do("GET", "/participants/99", "").refused(t, 400, "PARTICIPANT_NOT_FOUND")
		for body, want := range map[string]int{
			`{"uid":"U-3"}`: 1, `{"pmis":[{"siteName":"North Biobank","mrn":"MRN-7"}]}`: 1, `{"lastName":"canary"}`: 0,
			`{"lastName":"canary","birthDate":"1980-05-06"}`: 1, `{"pmi":{"siteName":"Nowhere","mrn":"1"}}`: 0, `{}`: 0,
		} {
			if got := c.list("POST", "/participants/match", body); len(got) != want {
				t.Errorf("%s matches %v", body, got)
			}
		}
	})
	t.Run("what a role does not show", func(t *testing.T) {
		tech := w.newUser("tech", "NONE", biobank.Grant{ID: 1, Role: "Technician", ProtocolID: s.cp})
		for query, want := range map[string]string{"resource=Specimen&operation=Read": "North Biobank", "resource=ParticipantPhi&operation=Read": ""} {
			if got := column(tech.list("GET", "/sites?"+query, ""), "name"); got != want {
				t.Errorf("a technician holds %s at %q, want %q", query, got, want)
			}
		}
		if got := column(tech.list("POST", regs+"/list", `{"cpId":1,"ppid":"P-01"}`), "participant"); strings.Contains(got, "Person1") || !strings.Contains(got, "###") {
			t.Errorf("a technician sees %s", got)
		}
		for _, body := range []string{`{"name":"Person1"}`, `{"uid":"U-1"}`, `{"dob":"1970-01-02"}`} {
			if got := tech.list("POST", regs+"/list", body); len(got) != 0 {
				t.Errorf("a technician finds people by %s", body)
			}
		}
		if got := tech.list("POST", "/participants/match", `{"uid":"U-1"}`); len(got) != 0 {
			t.Error("a technician finds people by their national id")
		}
		stranger := w.newUser("stranger", "NONE")
		for _, path := range []string{"/specimens?id=1", "/specimens?label=L-01", "/visits/list?name=P-01.B.1", regs + "?id=1"} {
			if got := stranger.list("GET", path, ""); len(got) != 0 {
				t.Errorf("a stranger sees %s", path)
			}
		}
		for _, path := range []string{"/visits?cprId=1", "/specimens?cprId=1&visitId=1", "/specimens?cpId=1", "/collection-protocol-events?cpId=1", "/specimen-requirements?eventId=1"} {
			stranger.do("GET", path, "").refused(t, 400, "RBAC_ACCESS_DENIED")
		}
	})
}

// A walk jumps over the rest of a large tree, and loses nobody by that.
func TestListBesideALargeTree(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	w.newPeople(c, s, 9)
	var drafts []biobank.Change
	actor, err := w.registry.Actor(t.Context(), biobank.AdminUserID)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 600 {
		source := fmt.Sprintf("7#%d", i)
		drafts = append(drafts, biobank.Change{Op: biobank.Create, Source: source, ID: source, Draft: &biobank.SpecimenDraft{
			VisitID: s.visit, Doc: biobank.SpecimenDoc{Label: fmt.Sprintf("X-%03d", i), Type: "Whole Blood"},
		}})
	}
	out, err := w.registry.Import(actor, w.clock(), w.clock().Location(), false).Apply(t.Context(), drafts)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range out {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	all, err := w.registry.Walk(t.Context(), s.cp, biobank.Registrations, func(*biobank.Record) (bool, error) { return true, nil })
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 10 {
		t.Errorf("found %d registrations, want 10", len(all))
	}
	for level, want := range map[int]int{biobank.Visits: 20, biobank.PrimarySpecimens: 20 + 600 + 1 + 5, biobank.Everything: 20 + 600 + 2 + 5} {
		all, err := w.registry.Walk(t.Context(), s.cp, level, func(*biobank.Record) (bool, error) { return true, nil })
		if err != nil {
			t.Fatal(err)
		}
		if len(all) != want {
			t.Errorf("level %d: found %d records, want %d", level, len(all), want)
		}
	}
	if diff := cmp.Diff(100, len(c.list("GET", "/specimens?cpId=1", ""))); diff != "" {
		t.Error(diff)
	}
}

func TestEntriesOfADayThatIsNoMore(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	w.newPeople(c, s, 2)
	key := biobank.RegistrationKey(s.cp, s.registration)
	for i, day := range []string{"7979-98-98", "7977-98-98"} { // 2020-01-01 and 2022-01-01, the latter the day of another
		left := biobank.Mark{Name: biobank.SetMark(key.Part+"#days", day+"/"+key.Sort), To: key, ID: s.registration, Source: fmt.Sprintf("7#%d", i)}
		if _, err := w.registry.Store.Write(t.Context(), false, []biobank.Write{{Kind: biobank.InsertMark, Mark: left}}); err != nil {
			t.Fatal(err)
		}
	}
	list := func(more string) string {
		return column(c.list("POST", "/collection-protocol-registrations/list", fmt.Sprintf(`{"cpId":%d%s}`, s.cp, more)), "ppid")
	}
	if got := list(""); got != "P-02,P-01,INV-1" {
		t.Errorf("got %s", got)
	}
	if got := list(`,"maxResults":2`); got != "P-02,P-01" {
		t.Errorf("a page holds %s", got)
	}
	if got := list(`,"registrationDate":"2020-01-01"`); got != "" {
		t.Errorf("of a day that nobody was registered on: %s", got)
	}
	if got := list(`,"registrationDate":"2022-01-01"`); got != "P-01" {
		t.Errorf("of a day that another was registered on: %s", got)
	}
}
