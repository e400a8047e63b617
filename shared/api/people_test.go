package api_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"aliquot/infra/local/localtest"
	"aliquot/shared/biobank"
)

const regs = "/collection-protocol-registrations"

// newPeopleWorld makes two protocols at North Biobank, INV (1) and TWO (2), and one of another institute, FAR (3).
func newPeopleWorld(t *testing.T) (*world, caller, study) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	c.must("POST", "/institutes", `{"name":"Elsewhere"}`)
	c.must("POST", "/sites", `{"name":"South","instituteName":"Elsewhere","type":"Laboratory"}`)
	c.must("POST", "/collection-protocols", `{"shortTitle":"TWO","title":"A second study","principalInvestigator":{"id":2},"cpSites":[{"siteName":"North Biobank"}],"manualPpidEnabled":true}`)
	c.must("POST", "/collection-protocols", `{"shortTitle":"FAR","title":"A far study","principalInvestigator":{"id":2},"cpSites":[{"siteName":"South"}],"manualPpidEnabled":true}`)
	return w, c, s
}

// register registers somebody and returns the registration's and the participant's id.
func (c caller) register(cp, ppid, participant string) (reg, person int) {
	c.t.Helper()
	v := c.must("POST", regs, registering(cp, ppid, participant))
	return int(v["id"].(float64)), int(v["participant"].(map[string]any)["id"].(float64))
}

func registering(cp, ppid, participant string) string {
	return fmt.Sprintf(`{"cpShortTitle":%q,"ppid":%q,"registrationDate":"2022-01-01","participant":%s}`, cp, ppid, participant)
}

// person is the participant of a registration as GET shows it.
func (c caller) person(reg int) map[string]any {
	c.t.Helper()
	return c.must("GET", fmt.Sprintf("%s/%d", regs, reg), "")["participant"].(map[string]any)
}

func objects(v any) []map[string]any {
	var list []map[string]any
	for _, o := range v.([]any) {
		list = append(list, o.(map[string]any))
	}
	return list
}

func TestAPersonInTwoProtocolsIsOneParticipant(t *testing.T) {
	w, c, _ := newPeopleWorld(t)
	one, ann := c.register("INV", "A-1", `{"firstName":"Ann","lastName":"Canary","birthDate":"1970-01-02","empi":"E-1","uid":"U-1","pmis":[{"siteName":"North Biobank","mrn":"M-1"}]}`)
	_, ben := c.register("INV", "B-1", `{"lastName":"Other","empi":"E-2","uid":"U-2","pmi":{"siteName":"South","mrn":"M-2"}}`)

	for name, tt := range map[string]struct{ body, code string }{
		"keys of two people":              {registering("TWO", "X", `{"empi":"E-1","uid":"U-2"}`), "PARTICIPANT_MULTI_MATCHES"},
		"MRNs of two people":              {registering("TWO", "X", `{"pmis":[{"siteName":"North Biobank","mrn":"M-1"},{"siteName":"South","mrn":"M-2"}]}`), "PARTICIPANT_MULTI_MATCHES"},
		"another eMPI":                    {registering("TWO", "X", `{"empi":"E-9","pmis":[{"siteName":"North Biobank","mrn":"M-1"}]}`), "PARTICIPANT_EMPI_MRN_DIFF"},
		"another MRN of the site":         {registering("TWO", "X", `{"empi":"E-1","pmis":[{"siteName":"North Biobank","mrn":"M-9"}]}`), "PARTICIPANT_MRN_DIFF"},
		"another National ID":             {registering("TWO", "X", `{"empi":"E-1","uid":"U-9"}`), "PARTICIPANT_INVALID_UID"},
		"the same protocol, by eMPI":      {registering("INV", "X", `{"empi":"E-1"}`), "CPR_DUP_REGISTRATION"},
		"the same protocol, by id":        {registering("INV", "X", fmt.Sprintf(`{"id":"%d"}`, ann)), "CPR_DUP_REGISTRATION"},
		"nobody's id":                     {registering("TWO", "X", `{"id":987}`), "PARTICIPANT_NOT_FOUND"},
		"two MRNs of a site":              {registering("TWO", "X", `{"pmis":[{"siteName":"South","mrn":"1"},{"siteName":"South","mrn":"2"}]}`), "PARTICIPANT_DUP_MRN_SITE"},
		"by id with an eMPI of another":   {registering("TWO", "X", fmt.Sprintf(`{"id":%d,"empi":"E-2"}`, ann)), "PARTICIPANT_DUP_EMPI"},
		"by id with an MRN of another":    {registering("TWO", "X", fmt.Sprintf(`{"id":%d,"pmis":[{"siteName":"South","mrn":"M-2"}]}`, ann)), "PARTICIPANT_DUP_MRN"},
		"by id with a day that cannot be": {registering("TWO", "X", fmt.Sprintf(`{"id":%d,"birthDate":"2200-01-01"}`, ann)), "PARTICIPANT_INVALID_BIRTH_DATE"},
	} {
		t.Run(name, func(t *testing.T) { c.do("POST", regs, tt.body).refused(t, 400, tt.code) })
	}
	if got := c.must("POST", regs+"/count", `{"cpId":2}`)["count"]; got != 0.0 {
		t.Fatalf("%v registrations after refusals", got)
	}

	// Each key alone finds her; what is sent besides is added to her everywhere.
	two, same := c.register("TWO", "A-2", `{"pmi":{"siteName":"North Biobank","mrn":"M-1"},"gender":"female","phoneNumber":"77"}`)
	far, again := c.register("FAR", "A-3", fmt.Sprintf(`{"id":"%d"}`, ann))
	if same != ann || again != ann {
		t.Fatalf("participants %d and %d, want %d", same, again, ann)
	}
	for _, reg := range []int{one, two, far} {
		p := c.person(reg)
		if p["lastName"] != "Canary" || p["gender"] != "Female" || p["phoneNumber"] != "77" || p["uid"] != "U-1" {
			t.Errorf("registration %d shows %v", reg, p)
		}
		list := objects(p["registeredCps"])
		var titles []string
		for _, r := range list {
			titles = append(titles, fmt.Sprint(r["cpShortTitle"], " ", r["ppid"]))
		}
		want := map[int]string{one: "INV A-1,TWO A-2,FAR A-3", two: "TWO A-2,INV A-1,FAR A-3", far: "FAR A-3,INV A-1,TWO A-2"}[reg]
		if got := strings.Join(titles, ","); got != want {
			t.Errorf("registration %d names %s, want %s", reg, got, want)
		}
	}

	// A change by way of one is a change of all, with an entry of each in the audit.
	c.must("PUT", fmt.Sprintf("%s/%d", regs, two), `{"participant":{"lastName":"Wren","empi":"E-11","pmis":[{"siteName":"South","mrn":"M-3"}]}}`)
	for _, reg := range []int{one, two, far} {
		p := c.person(reg)
		if p["lastName"] != "Wren" || p["empi"] != "E-11" || column(objects(p["pmis"]), "mrn") != "M-3" || p["firstName"] != "Ann" {
			t.Errorf("registration %d shows %v", reg, p)
		}
		audit := c.do("GET", fmt.Sprintf("%s/%d/audit", regs, reg), "").body
		if !strings.Contains(audit, "Wren") || !strings.Contains(audit, `"verified":true`) {
			t.Errorf("registration %d: audit %s", reg, audit)
		}
	}
	c.do("PUT", fmt.Sprintf("%s/%d", regs, far), `{"participant":{"empi":"E-2"}}`).refused(t, 400, "PARTICIPANT_DUP_EMPI")
	if _, fresh := c.register("TWO", "C-1", `{"empi":"E-1"}`); fresh == ann {
		t.Error("the eMPI that she gave up still finds her")
	}
	c.do("POST", regs, registering("TWO", "X", `{"empi":"E-11"}`)).refused(t, 400, "CPR_DUP_REGISTRATION")

	// Deleting the first leaves the person where she is, findable by all that names her.
	gone := c.must("DELETE", fmt.Sprintf("%s/%d", regs, one), "")
	if got := gone["participant"].(map[string]any)["activityStatus"]; got != "Active" {
		t.Errorf("with two more registrations the participant is %v", got)
	}
	c.do("POST", regs, registering("FAR", "X", `{"empi":"E-11"}`)).refused(t, 400, "CPR_DUP_REGISTRATION")
	if got := c.must("GET", fmt.Sprintf("/participants/%d", ann), ""); got["lastName"] != "Wren" || column(objects(got["registeredCps"]), "cpShortTitle") != "TWO,FAR" {
		t.Errorf("the participant is %v", got)
	}
	back, same := c.register("INV", "A-9", `{"uid":"U-1"}`)
	if same != ann {
		t.Errorf("registered as %d, want %d", same, ann)
	}
	for _, reg := range []int{two, far, back} {
		gone = c.must("DELETE", fmt.Sprintf("%s/%d", regs, reg), "")
	}
	if got := gone["participant"].(map[string]any)["activityStatus"]; got != "Disabled" {
		t.Errorf("without a registration the participant is %v", got)
	}
	c.do("GET", fmt.Sprintf("/participants/%d", ann), "").refused(t, 400, "PARTICIPANT_NOT_FOUND")
	c.do("POST", regs, registering("INV", "X", fmt.Sprintf(`{"id":%d}`, ann))).refused(t, 400, "PARTICIPANT_NOT_FOUND")
	if _, fresh := c.register("INV", "A-10", `{"uid":"U-1","empi":"E-11"}`); fresh == ann || fresh == ben {
		t.Errorf("what a deleted participant held belongs to %d", fresh)
	}
	if strings.Contains(w.logged(), "Canary") || strings.Contains(w.logged(), "E-11") {
		t.Error("somebody's values are in the log")
	}
}

func TestRegistrationsMoveToAnotherParticipant(t *testing.T) {
	_, c, _ := newPeopleWorld(t)
	one, ann := c.register("INV", "A-1", `{"lastName":"Canary","birthDate":"1970-01-02","empi":"E-1"}`)
	two, bob := c.register("TWO", "B-1", `{"lastName":"Wrong","birthDate":"1970-01-02","empi":"E-2","uid":"U-2"}`)
	third, _ := c.register("INV", "C-1", `{"lastName":"Third"}`)
	put := func(reg, id int) answer {
		return c.do("PUT", fmt.Sprintf("%s/%d", regs, reg), fmt.Sprintf(`{"participant":{"id":"%d","lastName":"Wrong"}}`, id))
	}
	put(third, ann).refused(t, 400, "CPR_CANNOT_MERGE_PARTICIPANT") // she is registered there already
	put(third, 987).refused(t, 400, "PARTICIPANT_NOT_FOUND")
	var v map[string]any
	mustDecode(t, put(two, ann), &v)
	if p := c.person(two); p["id"] != float64(ann) || p["lastName"] != "Canary" || column(objects(p["registeredCps"]), "ppid") != "B-1,A-1" {
		t.Errorf("the moved registration shows %v", p)
	}
	if got := column(objects(c.person(one)["registeredCps"]), "ppid"); got != "A-1,B-1" {
		t.Errorf("the other registration names %s", got)
	}
	c.do("GET", fmt.Sprintf("/participants/%d", bob), "").refused(t, 400, "PARTICIPANT_NOT_FOUND")
	if got := c.list("POST", "/participants/match", `{"lastName":"wrong","birthDate":"1970-01-02"}`); len(got) != 0 {
		t.Errorf("who is gone still matches: %v", got)
	}
	_, fresh := c.register("INV", "D-1", `{"empi":"E-2","uid":"U-2"}`) // what he held is free
	// And away again: she stays in the protocol where she was.
	mustDecode(t, put(two, fresh), &v)
	if got := column(objects(c.person(one)["registeredCps"]), "ppid"); got != "A-1" {
		t.Errorf("who lost a registration has %s", got)
	}
	if got := c.must("GET", fmt.Sprintf("/participants/%d", ann), "")["empi"]; got != "E-1" {
		t.Errorf("her eMPI is %v", got)
	}
}

// TestNobodyLearnsOfOtherProtocols: rights in one protocol tell nothing of another in which a person is registered, too.
func TestNobodyLearnsOfOtherProtocols(t *testing.T) {
	w, c, _ := newPeopleWorld(t)
	nurse := w.newUser("nurse", "NONE", biobank.Grant{ID: 1, Role: "Coordinator", ProtocolID: 1})
	clerk := w.newUser("clerk", "NONE", biobank.Grant{ID: 2, Role: "Technician", ProtocolID: 1})
	far, ann := c.register("FAR", "F-1", `{"lastName":"Canary","empi":"E-1"}`)
	_, hid := c.register("TWO", "T-1", `{"lastName":"Hidden","empi":"E-2"}`)

	nurse.do("POST", regs, registering("INV", "X", fmt.Sprintf(`{"id":%d}`, hid))).refused(t, 400, "PARTICIPANT_NOT_FOUND")
	nurse.do("GET", fmt.Sprintf("/participants/%d", hid), "").refused(t, 400, "PARTICIPANT_NOT_FOUND")
	if got := nurse.list("POST", "/participants/match", `{"empi":"E-1"}`); len(got) != 0 {
		t.Errorf("a match in another protocol: %v", got)
	}
	here, same := nurse.register("INV", "A-1", `{"empi":"E-1"}`)
	if same != ann {
		t.Fatalf("registered as %d, want %d", same, ann)
	}
	if got := column(objects(nurse.person(here)["registeredCps"]), "cpShortTitle"); got != "INV" {
		t.Errorf("the nurse sees registrations in %s", got)
	}
	if got := column(objects(nurse.must("GET", fmt.Sprintf("/participants/%d", ann), "")["registeredCps"]), "cpShortTitle"); got != "INV" {
		t.Errorf("the nurse sees the participant in %s", got)
	}
	// By way of the own registration the person may be changed, as in the reference; the entry names the nurse.
	nurse.must("PUT", fmt.Sprintf("%s/%d", regs, here), `{"participant":{"lastName":"Wren"}}`)
	if got := c.person(far)["lastName"]; got != "Wren" {
		t.Errorf("elsewhere the name is %v", got)
	}
	for _, who := range []caller{nurse, clerk} {
		a := who.do("GET", fmt.Sprintf("%s/%d/audit", regs, here), "")
		if a.status != 200 || strings.Contains(a.body, `"cp":3`) {
			t.Errorf("the audit tells of other registrations: %d %s", a.status, a.body)
		}
		nurse.do("GET", fmt.Sprintf("%s/%d", regs, far), "").refused(t, 400, "RBAC_ACCESS_DENIED")
	}
	p := clerk.person(here)
	if p["lastName"] != "###" || p["empi"] != "###" || p["phiAccess"] != false {
		t.Errorf("the clerk sees %v", p)
	}
	clerk.do("POST", regs, registering("INV", "X", `{"empi":"E-2"}`)).refused(t, 400, "RBAC_ACCESS_DENIED")
	if got := clerk.list("POST", "/participants/match", `{"empi":"E-1"}`); len(got) != 0 {
		t.Errorf("the clerk finds by eMPI: %v", got)
	}
	// Moving to somebody whom the caller cannot see is moving to nobody.
	nurse.do("PUT", fmt.Sprintf("%s/%d", regs, here), fmt.Sprintf(`{"participant":{"id":%d}}`, hid)).refused(t, 400, "PARTICIPANT_NOT_FOUND")
}

// TestWhatWasShownMaskedIsNotWritten: who sends back what was shown masked changes nothing by it.
func TestWhatWasShownMaskedIsNotWritten(t *testing.T) {
	w, c, s := newPeopleWorld(t)
	c.must("POST", "/rbac/roles", `{"name":"Blind","acl":[{"resourceName":"ParticipantDeid","operations":[{"operationName":"Read"},{"operationName":"Update"}]}]}`)
	blind := w.newUser("blind", "NONE", biobank.Grant{ID: 1, Role: "Blind", RoleID: roleID(c, "Blind")})
	path := fmt.Sprintf("%s/%d", regs, s.registration)
	text := blind.do("GET", path, "").body
	blind.must("PUT", path, strings.Replace(text, `"gender":"Female"`, `"gender":"Male"`, 1))
	if p := c.person(int(s.registration)); p["firstName"] != "Ada" || p["gender"] != "Male" || column(objects(p["pmis"]), "mrn") != "MRN-7" {
		t.Errorf("the participant is %v", p)
	}
	c.must("PUT", path, `{"participant":{"birthDate":"1970-01-02","empi":"E-CANARY"}}`)
	blind.must("PUT", path, `{"participant":{"birthDate":null,"deathDate":null,"gender":"Male"}}`) // left out, or null, in what was shown
	if p := c.person(int(s.registration)); p["birthDate"] == nil {
		t.Error("the date of birth is lost")
	}
	// The right values are refused as wrong ones are: they could be guessed.
	for _, guess := range []string{
		`"firstName":"Eve"`, `"firstName":"Ada"`, `"birthDate":"1970-01-02"`, `"birthDate":"1970-01-03"`, `"deathDate":"1960-01-01"`, `"empi":"E-CANARY"`, `"empi":""`,
		`"pmis":[{"siteName":"South","mrn":"MRN-7"}]`, `"pmis":[{"siteName":"South","mrn":"MRN-8"}]`, `"pmis":[]`,
	} {
		blind.do("PUT", path, `{"participant":{`+guess+`}}`).refused(t, 400, "PARTICIPANT_CANNOT_UPDATE_PHI")
	}
}

// Many are known at a site where nobody noted their number: that they have none makes them nobody's like.
func TestNoNumberIsNobodysNumber(t *testing.T) {
	_, c, _ := newPeopleWorld(t)
	c.must("POST", "/collection-protocols", `{"shortTitle":"NUM","title":"Numbers","principalInvestigator":{"id":2},"cpSites":[{"siteName":"South"}]}`)
	first := c.must("POST", regs, registering("NUM", "N-1", `{"lastName":"Alpha","pmis":[{"siteName":"South"}]}`))
	second := c.must("POST", regs, registering("NUM", "N-2", `{"lastName":"Beta","pmis":[{"siteName":"South","mrn":""}]}`))
	if one, two := first["participant"].(map[string]any), second["participant"].(map[string]any); one["id"] == two["id"] || c.person(int(first["id"].(float64)))["lastName"] != "Alpha" {
		t.Errorf("one person: %v, %v", one, two)
	}
	// Nor does it take a number away from who has one.
	c.must("POST", regs, registering("NUM", "N-3", `{"empi":"E-7","pmis":[{"siteName":"South","mrn":"M-70"}]}`))
	c.must("POST", "/collection-protocols", `{"shortTitle":"NUM2","title":"More Numbers","principalInvestigator":{"id":2},"cpSites":[{"siteName":"South"}]}`)
	again := c.must("POST", regs, registering("NUM2", "N-3", `{"empi":"E-7","pmis":[{"siteName":"South"}]}`))
	if p := again["participant"].(map[string]any); column(objects(p["pmis"]), "mrn") != "M-70" {
		t.Errorf("registered once more: %v", p)
	}
}

func roleID(c caller, name string) int64 {
	return int64(c.list("GET", "/rbac/roles?name="+name, "")[0]["id"].(float64))
}

func TestAPersonIsRegisteredInAtMostThirtyProtocols(t *testing.T) {
	_, c, _ := newPeopleWorld(t)
	last := 0
	for i := range 31 {
		short := fmt.Sprintf("CP-%02d", i)
		c.must("POST", "/collection-protocols", fmt.Sprintf(`{"shortTitle":%q,"title":%q,"principalInvestigator":{"id":2},"cpSites":[{"siteName":"South"}]}`, short, short))
		if i == 30 {
			a := c.do("POST", regs, registering(short, "X", `{"empi":"E-1"}`))
			a.refused(t, 400, "COMMON_INVALID_INPUT")
			if !strings.Contains(a.body, "30") {
				t.Errorf("the refusal does not tell the limit: %s", a.body)
			}
			break
		}
		last, _ = c.register(short, "P", `{"empi":"E-1"}`)
	}
	c.must("PUT", fmt.Sprintf("%s/%d", regs, last), `{"participant":{"empi":"E-2","uid":"U-2","lastName":"New","birthDate":"1970-01-01","pmis":[{"siteName":"South","mrn":"M"}]}}`)
	found := c.list("POST", "/participants/match", `{"uid":"U-2","reqRegInfo":true}`)
	if list := objects(found[0]["participant"].(map[string]any)["registeredCps"]); len(list) != 30 {
		t.Errorf("%d registrations", len(list))
	}
}

func TestMatches(t *testing.T) {
	_, c, _ := newPeopleWorld(t)
	c.register("INV", "A-1", `{"lastName":"Canary","birthDate":"1970-01-02","empi":"E-1","uid":"U-1","pmis":[{"siteName":"North Biobank","mrn":"M-1"},{"siteName":"South","mrn":"M-2"}]}`)
	c.register("TWO", "A-2", `{"empi":"E-1"}`)
	c.register("INV", "B-1", `{"lastName":"canary","birthDate":"1970-01-02","uid":"U-2"}`)
	moved, _ := c.register("INV", "C-1", `{"lastName":"Canary","birthDate":"1970-01-02"}`)
	c.must("PUT", fmt.Sprintf("%s/%d", regs, moved), `{"participant":{"birthDate":"1970-01-03"}}`)
	for _, tt := range []struct{ body, uids, attrs string }{
		{`{"empi":"E-1","uid":"U-2"}`, "U-1", "[empi]"},
		{`{"empi":"none","uid":"U-2"}`, "U-2", "[uid]"},
		{`{"pmi":{"siteName":"South","mrn":"M-2"},"lastName":"x"}`, "U-1", "[pmi]"},
		{`{"pmis":[{"siteName":"Nowhere","mrn":"M-2"},{"siteName":"South","mrn":"M-1"}]}`, "", ""},
		{`{"lastName":" CANARY ","birthDate":"1970-01-02"}`, "U-1,U-2", "[lnameAndDob],[lnameAndDob]"},
		{`{"lastName":"Canary"}`, "", ""},
		{`{}`, "", ""},
	} {
		found := c.list("POST", "/participants/match", tt.body)
		var uids, attrs []string
		for _, m := range found {
			p := m["participant"].(map[string]any)
			uids, attrs = append(uids, fmt.Sprint(p["uid"])), append(attrs, fmt.Sprint(m["matchedAttrs"]))
			if list := objects(p["registeredCps"]); len(list) != 0 {
				t.Errorf("%s: registrations are told without being asked for: %v", tt.body, list)
			}
		}
		if got := strings.Join(uids, ","); got != tt.uids || strings.Join(attrs, ",") != tt.attrs {
			t.Errorf("%s: %s by %v, want %s by %s", tt.body, got, attrs, tt.uids, tt.attrs)
		}
	}
	found := c.list("POST", "/participants/match", `{"empi":"E-1","reqRegInfo":true}`)
	if got := column(objects(found[0]["participant"].(map[string]any)["registeredCps"]), "ppid"); got != "A-1,A-2" {
		t.Errorf("registrations %s", got)
	}
	rows := c.list("POST", "/participants/multi-match", `[{"uid":"U-2"},{"uid":"none"}]`)
	if len(rows) != 2 || len(objects(rows[0]["matches"])) != 1 || len(rows[1]["matches"].([]any)) != 0 || rows[1]["participant"].(map[string]any)["uid"] != "none" {
		t.Errorf("multi-match: %v", rows)
	}
	rows = c.list("POST", regs+"/matches", `[{"ppid":"N-1","participant":{"uid":"U-1"}},{"ppid":"N-2"}]`)
	if len(rows) != 2 || len(objects(rows[0]["matches"])) != 1 || len(rows[1]["matches"].([]any)) != 0 || rows[0]["cpr"].(map[string]any)["ppid"] != "N-1" {
		t.Errorf("matches: %v", rows)
	}
	c.do("POST", "/participants/multi-match", `{}`).refused(t, 400, "INVALID_REQUEST")
	c.do("POST", "/participants/multi-match", "["+strings.Repeat("{},", 100)+"{}]").refused(t, 400, "INVALID_REQUEST")
	c.do("POST", regs+"/matches", `[{"participant":{"birthDate":"soon"}}]`).refused(t, 400, "INVALID_REQUEST")
}

func TestManyAreRegisteredAtOnce(t *testing.T) {
	_, c, _ := newPeopleWorld(t)
	cp := func(short, more string) {
		c.must("POST", "/collection-protocols", fmt.Sprintf(`{"shortTitle":%q,"title":%q,"principalInvestigator":{"id":2},"cpSites":[{"siteName":"South"}],"bulkPartRegEnabled":true%s}`, short, short, more))
	}
	cp("GEN", `,"ppidFmt":"G-%03d"`)
	cp("MAN", ``)
	for name, tt := range map[string]struct{ body, code string }{
		"no number":                     {`{"cpShortTitle":"GEN"}`, "INVALID_REQUEST"},
		"too many":                      {`{"cpShortTitle":"GEN","regCount":101}`, "INVALID_REQUEST"},
		"two numbers":                   {`{"cpShortTitle":"MAN","regCount":3,"ppids":["a"]}`, "INVALID_REQUEST"},
		"a protocol that does not":      {`{"cpShortTitle":"TWO","ppids":["a"]}`, "COMMON_INVALID_INPUT"},
		"no protocol":                   {`{"ppids":["a"]}`, "CPR_CP_REQUIRED"},
		"an unknown protocol":           {`{"cpShortTitle":"none","ppids":["a"]}`, "CP_NOT_FOUND"},
		"a PPID twice":                  {`{"cpShortTitle":"MAN","ppids":["a","b","a"]}`, "CPR_DUP_PPID"},
		"no PPIDs where they are given": {`{"cpShortTitle":"MAN","regCount":1}`, "CPR_PPID_REQUIRED"},
		"PPIDs where they are made":     {`{"cpShortTitle":"GEN","ppids":["a"]}`, "CPR_MANUAL_PPID_NOT_ALLOWED"},
		"another's site":                {`{"cpShortTitle":"GEN","regCount":1,"site":"North Biobank"}`, "CPR_NOT_CP_SITE"},
	} {
		t.Run(name, func(t *testing.T) { c.do("POST", regs+"/bulk", tt.body).refused(t, 400, tt.code) })
	}
	made := c.list("POST", regs+"/bulk", `{"cpShortTitle":"GEN","regCount":"3","site":"South","registrationDate":"2022-02-02"}`)
	given := c.list("POST", regs+"/bulk", `{"cpShortTitle":"MAN","ppids":["a","b"]}`)
	if len(made) != 3 || made[0]["registrationDate"] != 1643760000000.0 || made[2]["site"] != "South" || column(given, "ppid") != "a,b" || given[0]["registrationDate"] == nil {
		t.Errorf("registered %v and %v", made, given)
	}
	if got := c.must("POST", regs+"/count", `{}`)["count"]; got != 6.0 {
		t.Errorf("%v registrations, want 6", got)
	}
}

func TestAnonymize(t *testing.T) {
	_, c, _ := newPeopleWorld(t)
	one, ann := c.register("INV", "A-1", `{"firstName":"Ann","lastName":"Canary","middleName":"M","birthDate":"1970-01-02","empi":"E-1","uid":"U-1","gender":"Female","emailAddress":"a@example.org","phoneNumber":"7","pmis":[{"siteName":"South","mrn":"M-1"}]}`)
	two, _ := c.register("TWO", "A-2", `{"empi":"E-1"}`)
	got := c.must("PUT", fmt.Sprintf("%s/%d/anonymize", regs, two), "")
	if got["ppid"] != "A-2" {
		t.Errorf("got %v", got)
	}
	for _, reg := range []int{one, two} {
		p := c.person(reg)
		for _, name := range []string{"firstName", "lastName", "middleName", "birthDate", "empi", "uid", "emailAddress", "phoneNumber"} {
			if p[name] != nil {
				t.Errorf("registration %d keeps %s: %v", reg, name, p[name])
			}
		}
		if p["gender"] != "Female" || p["id"] != float64(ann) || len(p["pmis"].([]any)) != 0 {
			t.Errorf("registration %d: %v", reg, p)
		}
	}
	if got := c.list("POST", "/participants/match", `{"uid":"U-1","lastName":"Canary","birthDate":"1970-01-02"}`); len(got) != 0 {
		t.Errorf("an anonymous participant is found: %v", got)
	}
	c.do("PUT", regs+"/987/anonymize", "").refused(t, 400, "CPR_M_NOT_FOUND")
}

// What was said about the person in words goes, too, wherever it was said; and nothing does where any of it may not.
func TestAnonymizeWipesWords(t *testing.T) {
	w, c, s := newPeopleWorld(t)
	one, ann := c.register("INV", "A-1", `{"lastName":"Canary","uid":"U-1"}`)
	two, _ := c.register("TWO", "A-2", `{"uid":"U-1"}`)
	for i, reg := range []int{one, two} {
		path := fmt.Sprintf("%s/%d", regs, reg)
		c.must("PUT", path, `{"externalSubjectId":"Canary 7"}`)
		c.must("PUT", path+"/consents", `{"consentSignatureDate":"2021-01-02","comments":"signed by Canary"}`)
		visit := c.must("POST", "/visits", fmt.Sprintf(`{"cprId":%d,"name":"W.B.%d","site":"North Biobank","comments":"came with Canary","surgicalPathologyNumber":"Canary %d"}`, reg, i, i))
		if a := c.do("PUT", fmt.Sprintf("/visits/%v/spr-text", visit["id"]), `{"sprText":"report of Canary"}`); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	nurse := w.newUser("onesite", "NONE", biobank.Grant{ID: 1, Role: "Coordinator", ProtocolID: s.cp})
	a := nurse.do("PUT", fmt.Sprintf("%s/%d/anonymize", regs, one), "")
	a.refused(t, 400, "RBAC_ACCESS_DENIED")
	if strings.Contains(a.body, "protocol") || strings.Contains(a.body, "TWO") {
		t.Errorf("it is told where else the person is registered: %s", a.body)
	}
	if got := c.must("GET", fmt.Sprintf("%s/%d/consents", regs, one), "")["comments"]; got != "signed by Canary" {
		t.Errorf("a refused anonymization left %v", got)
	}
	for range 2 { // once more changes nothing more
		c.must("PUT", fmt.Sprintf("%s/%d/anonymize", regs, one), "")
	}
	for i, reg := range []int{one, two} {
		visit := c.list("GET", fmt.Sprintf("/visits/list?name=W.B.%d", i), "")[0]
		for what, text := range map[string]string{
			"registration": c.do("GET", fmt.Sprintf("%s/%d", regs, reg), "").body, "consents": c.do("GET", fmt.Sprintf("%s/%d/consents", regs, reg), "").body,
			"visit": c.do("GET", fmt.Sprintf("/visits/%v", visit["id"]), "").body,
		} {
			if strings.Contains(text, "Canary") {
				t.Errorf("the %s of %d says %s", what, reg, text)
			}
		}
		if got := c.must("GET", fmt.Sprintf("%s/%d/consents", regs, reg), "")["consentSignatureDate"]; got == nil {
			t.Error("the day of the consent is gone")
		}
		c.do("GET", fmt.Sprintf("/visits/%v/spr-file", visit["id"]), "").refused(t, 400, "VISIT_NO_SPR_UPLOADED")
		if got := c.list("GET", fmt.Sprintf("/visits/bynamespr?sprNumber=Canary+%d", i), ""); len(got) != 0 {
			t.Errorf("the number finds %v", got)
		}
		audit := c.must("GET", fmt.Sprintf("/visits/%v/audit", visit["id"]), "")
		if entries := audit["entries"].([]any); audit["verified"] != true || entries[len(entries)-1].(map[string]any)["reason"] != "Anonymized" {
			t.Errorf("the audit of a visit says %v", audit)
		}
	}
	if c.person(one)["id"] != float64(ann) {
		t.Error("it is somebody else now")
	}
}

// counted counts calls of a store.
type counted struct {
	biobank.Store
	sets, reads, marks atomic.Int64
}

func (s *counted) MarksIn(ctx context.Context, set, prefix, after string, limit int) ([]biobank.Mark, error) {
	s.sets.Add(1)
	return s.Store.MarksIn(ctx, set, prefix, after, limit)
}

func (s *counted) Records(ctx context.Context, keys []biobank.Key, strong bool) (map[biobank.Key]*biobank.Record, error) {
	s.reads.Add(1)
	return s.Store.Records(ctx, keys, strong)
}

func (s *counted) Marks(ctx context.Context, names []string, strong bool) (map[string]biobank.Mark, error) {
	s.marks.Add(1)
	return s.Store.Marks(ctx, names, strong)
}

// TestAListOfRegistrationsIsReadAsFarAsItIsShown: a page costs a call for each shard and one for its registrations,
// however many there are and whatever lies below them.
func TestAListOfRegistrationsIsReadAsFarAsItIsShown(t *testing.T) {
	w, c, _ := newPeopleWorld(t)
	var want []string
	for day := range 28 {
		for n := range 5 {
			ppid := fmt.Sprintf("P-%02d-%d", day, n)
			d := &biobank.RegistrationDraft{Protocol: biobank.ProtocolRef{ShortTitle: "TWO"}, Doc: biobank.RegistrationDoc{PPID: ppid, RegistrationDate: fmt.Sprintf("2022-01-%02d", 28-day)}}
			d.Doc.Participant.UID = "U-" + ppid
			w.mustApply(biobank.Create, d)
			want = append(want, ppid)
		}
	}
	s := &counted{Store: w.registry.Store}
	w.api.Registry.Store = s
	page := func(body string) []string {
		t.Helper()
		s.sets.Store(0)
		var ppids []string
		for _, r := range c.list("POST", regs+"/list", body) {
			ppids = append(ppids, fmt.Sprint(r["ppid"]))
		}
		return ppids
	}
	for _, from := range []int{0, 3, 100, 139, 140} {
		got := page(fmt.Sprintf(`{"cpId":2,"startAt":%d,"maxResults":10}`, from))
		if d := cmp.Diff(want[min(from, 140):min(from+10, 140)], got, cmp.Transformer("none", func(l []string) string { return strings.Join(l, ",") })); d != "" {
			t.Errorf("from %d (-want +got):\n%s", from, d)
		}
		if n := s.sets.Load(); n != biobank.Shards && !localtest.OnBinaries() {
			t.Errorf("from %d: %d queries for a page", from, n)
		}
	}
	if got := page(`{"cpId":2,"registrationDate":"2022-01-05"}`); strings.Join(got, ",") != "P-23-0,P-23-1,P-23-2,P-23-3,P-23-4" {
		t.Errorf("of a day: %v", got)
	}
	if got := page(`{"cpId":2,"ppid":"-2","startAt":1,"maxResults":2}`); strings.Join(got, ",") != "P-01-2,P-02-2" {
		t.Errorf("of a part of the PPID: %v", got)
	}
	if got := page(`{"uid":"U-P-03-3","exactMatch":true}`); strings.Join(got, ",") != "P-03-3" || s.sets.Load() > 1 {
		t.Errorf("of a National ID: %v with %d queries", got, s.sets.Load())
	}
	for body, n := range map[string]float64{`{"cpId":2}`: 140, `{"cpId":2,"registrationDate":"2022-01-05"}`: 5, `{"ppid":"p-03"}`: 5, `{}`: 141} {
		if got := c.must("POST", regs+"/count", body)["count"]; got != n {
			t.Errorf("count of %s is %v, want %v", body, got, n)
		}
	}

	// What changes or goes is listed where it is now.
	reg := c.list("POST", regs+"/list", `{"ppid":"P-10-0","exactMatch":true}`)[0]["id"]
	c.must("PUT", fmt.Sprintf("%s/%v", regs, reg), `{"registrationDate":"2022-02-01"}`)
	c.must("DELETE", fmt.Sprintf("%s/%v", regs, c.list("POST", regs+"/list", `{"ppid":"P-00-0","exactMatch":true}`)[0]["id"]), "")
	if got := page(`{"cpId":2,"maxResults":3}`); strings.Join(got, ",") != "P-10-0,P-00-1,P-00-2" {
		t.Errorf("the newest are %v", got)
	}
	if got := c.must("POST", regs+"/count", `{"cpId":2}`)["count"]; got != 139.0 {
		t.Errorf("%v registrations, want 139", got)
	}

	// A read by id is as cheap as ever for somebody who is registered twice.
	c.register("INV", "A-2", `{"uid":"U-P-10-0"}`)
	s.marks.Store(0)
	s.reads.Store(0)
	if got := column(objects(c.person(int(reg.(float64)))["registeredCps"]), "ppid"); got != "P-10-0,A-2" {
		t.Errorf("registered as %s", got)
	}
	t.Logf("a read by id took %d look-ups and %d reads, the caller's own included", s.marks.Load(), s.reads.Load())
}

func TestListsCountWhatWasCollected(t *testing.T) {
	w, c, s := newPeopleWorld(t)
	w.newPeople(c, s, 2)
	list := c.list("POST", regs+"/list", `{"cpId":1,"includeStats":true}`)
	if got := column(list, "ppid") + " " + column(list, "scgCount") + " " + column(list, "specimenCount"); got != "P-02,P-01,INV-1 1,1,1 0,1,2" {
		t.Errorf("got %s", got)
	}
	if got := column(c.list("POST", regs+"/list", `{"cpId":1}`), "scgCount"); got != "<nil>,<nil>,<nil>" {
		t.Errorf("without includeStats: %s", got)
	}
	gone := c.must("DELETE", regs+fmt.Sprintf("?id=%d&forceDelete=true", s.registration), "")
	if one := objects(gone["entities"])[0]; one["cprId"] != float64(s.registration) || one["cpShortTitle"] != "INV" || one["participant"].(map[string]any)["firstName"] != "Ada" {
		t.Errorf("deleted %v", one)
	}
}

func TestWhoMayAnonymize(t *testing.T) {
	w, c, s := newPeopleWorld(t)
	path := fmt.Sprintf("%s/%d/anonymize", regs, s.registration)
	w.newUser("tech", "NONE", biobank.Grant{ID: 1, Role: "Technician"}).do("PUT", path, "").refused(t, 400, "RBAC_ACCESS_DENIED")
	w.newUser("other", "NONE", biobank.Grant{ID: 2, Role: "Coordinator", ProtocolID: 2}).do("PUT", path, "").refused(t, 400, "RBAC_ACCESS_DENIED")
	c.must("POST", "/rbac/roles", `{"name":"Blind","acl":[{"resourceName":"ParticipantDeid","operations":[{"operationName":"Update"}]}]}`)
	w.newUser("blind", "NONE", biobank.Grant{ID: 3, Role: "Blind", RoleID: roleID(c, "Blind")}).do("PUT", path, "").refused(t, 400, "PARTICIPANT_CANNOT_UPDATE_PHI")
	if got := c.person(int(s.registration))["firstName"]; got != "Ada" {
		t.Errorf("the name is %v", got)
	}
	// What was deleted elsewhere keeps nobody from it, and is wiped with the rest.
	there := c.must("POST", regs, fmt.Sprintf(`{"cpShortTitle":"TWO","ppid":"W-1","registrationDate":"2022-01-01","participant":{"id":%v}}`, c.person(int(s.registration))["id"]))
	nurse := w.newUser("nurse", "NONE", biobank.Grant{ID: 4, Role: "Coordinator", ProtocolID: 1})
	nurse.do("PUT", path, "").refused(t, 400, "RBAC_ACCESS_DENIED")
	c.must("DELETE", fmt.Sprintf("%s/%v", regs, there["id"]), "")
	nurse.must("PUT", path, "")
}

func TestSexGenotype(t *testing.T) {
	_, c, _ := newPeopleWorld(t)
	if got := c.list("GET", "/permissible-values?attribute=2003990&searchString=xx", ""); len(got) != 1 || got[0]["value"] != "XX" {
		t.Errorf("values %v", got)
	}
	c.do("POST", regs, registering("INV", "G-1", `{"sexGenotype":"ZW"}`)).refused(t, 400, "COMMON_INVALID_INPUT")
	reg, _ := c.register("INV", "G-1", `{"sexGenotype":"xy"}`)
	path := fmt.Sprintf("%s/%d", regs, reg)
	c.must("PUT", path, `{"participant":{"gender":"Male"}}`)
	if got := c.person(reg)["sexGenotype"]; got != "XY" {
		t.Errorf("kept: %v", got)
	}
	c.must("PUT", path+"/anonymize", "")
	if got := c.person(reg)["sexGenotype"]; got != "XY" {
		t.Errorf("it does not identify, and is %v", got)
	}
	c.must("PUT", path, `{"participant":{"sexGenotype":null}}`)
	if got := c.person(reg)["sexGenotype"]; got != nil {
		t.Errorf("cleared: %v", got)
	}
}

// A closed registration closes nobody, PPIDs may be numbers, and a summary has its counts, which are null.
func TestRegistrationsAsClientsHaveThem(t *testing.T) {
	_, c, s := newPeopleWorld(t)
	got := c.must("PUT", fmt.Sprintf("%s/%d", regs, s.registration), `{"activityStatus":"Closed"}`)
	if is := got["participant"].(map[string]any)["activityStatus"]; got["activityStatus"] != "Closed" || is != "Active" {
		t.Errorf("the registration is %v, the participant %v", got["activityStatus"], is)
	}
	c.must("POST", "/collection-protocols", `{"shortTitle":"MAN","title":"Many","principalInvestigator":{"id":2},"cpSites":[{"siteName":"North Biobank"}],"manualPpidEnabled":true,"bulkPartRegEnabled":true}`)
	made := c.list("POST", regs+"/bulk", `{"cpShortTitle":"MAN","ppids":[3457,"3458"]}`)
	if column(made, "ppid") != "3457,3458" {
		t.Fatalf("made %v", made)
	}
	gone := c.must("DELETE", fmt.Sprintf("%s?id=%v", regs, made[0]["id"]), "")
	one := gone["entities"].([]any)[0].(map[string]any)
	for _, name := range []string{"scgCount", "specimenCount"} {
		if v, ok := one[name]; !ok || v != nil {
			t.Errorf("%s is %v, %t", name, v, ok)
		}
	}
}
