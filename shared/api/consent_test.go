package api_test

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"aliquot/shared/biobank"
)

// newStatements makes the statements STORE, SHARE and CALL.
func (c caller) newStatements() {
	c.t.Helper()
	for code, text := range map[string]string{"STORE": "I agree that my samples are stored.", "SHARE": "I agree that my samples are shared.", "CALL": "I may be called."} {
		c.must("POST", "/consent-statements", fmt.Sprintf(`{"code":%q,"statement":%q}`, code, text))
	}
}

func TestConsentStatements(t *testing.T) {
	w, c, _ := newPeopleWorld(t)
	c.newStatements()
	for body, code := range map[string]string{
		`{"statement":"x"}`:                "CONSENT_STATEMENT_CODE_REQUIRED",
		`{"code":"X"}`:                     "CONSENT_STATEMENT_REQUIRED",
		`{"code":"store","statement":"x"}`: "CONSENT_STATEMENT_DUP_CODE",
		`{"code":"X","statement":"i agree that my samples are STORED."}`: "CONSENT_STATEMENT_DUP",
		`{"code":"X","statement":"` + strings.Repeat("x", 2001) + `"}`:   "COMMON_INVALID_INPUT",
		`{"code":"X","statement":"x","activityStatus":"Disabled"}`:       "ACTIVITY_STATUS_INVALID",
		`{"code":"X","statement":{"a":1}}`:                               "INVALID_REQUEST",
		`{"code":"X","statement":"x","activityStatus":"Sleeping"}`:       "ACTIVITY_STATUS_INVALID",
		`{"code":"` + strings.Repeat("x", 51) + `","statement":"x"}`:     "COMMON_INVALID_INPUT",
	} {
		c.do("POST", "/consent-statements", body).refused(t, 400, code)
	}
	if got := column(c.list("GET", "/consent-statements?searchString=samples", ""), "code"); got != "SHARE,STORE" {
		t.Errorf("statements %s", got)
	}
	if got := c.must("GET", "/consent-statements/count", "")["count"]; got != 3.0 {
		t.Errorf("%v statements", got)
	}
	one := c.list("GET", "/consent-statements?code=call", "")[0]
	path := fmt.Sprintf("/consent-statements/%v", one["id"])
	if got := c.must("PUT", path, `{"code":"CALL","statement":"I may be called by telephone."}`); got["statement"] != "I may be called by telephone." {
		t.Errorf("changed to %v", got)
	}
	c.do("PUT", path, `{"code":"CALL","statement":"I agree that my samples are shared."}`).refused(t, 400, "CONSENT_STATEMENT_DUP")
	c.must("POST", "/collection-protocols/1/consent-tiers", `{"statementCode":"call"}`)
	c.do("DELETE", path, "").refused(t, 400, "CONSENT_STATEMENT_REF_ENTITY_FOUND")
	if got := c.list("GET", path+"/dependent-entities", ""); len(got) != 1 || got[0]["name"] != "collection_protocol" || got[0]["count"] != 1.0 {
		t.Errorf("dependents %v", got)
	}
	c.do("GET", "/consent-statements/987", "").refused(t, 400, "CONSENT_STATEMENT_NOT_FOUND")
	w.newUser("nurse", "NONE", biobank.Grant{ID: 1, Role: "Coordinator"}).do("POST", "/consent-statements", `{"code":"X","statement":"x"}`).refused(t, 400, "RBAC_ADMIN_RIGHTS_REQUIRED")
	share := c.list("GET", "/consent-statements?code=share", "")[0]["id"]
	c.must("DELETE", fmt.Sprintf("/consent-statements/%v", share), "")
	c.must("POST", "/consent-statements", `{"code":"SHARE","statement":"I agree that my samples are shared."}`)
}

func TestConsentTiers(t *testing.T) {
	_, c, s := newPeopleWorld(t)
	c.newStatements()
	const one, two = "/collection-protocols/1", "/collection-protocols/2"
	const tiers = one + "/consent-tiers"
	c.do("POST", tiers, `{}`).refused(t, 400, "CONSENT_STATEMENT_REQUIRED")
	c.do("POST", tiers, `{"statementCode":"none"}`).refused(t, 400, "CONSENT_STATEMENT_NOT_FOUND")
	c.do("POST", tiers, `{"statementId":987}`).refused(t, 400, "CONSENT_STATEMENT_NOT_FOUND")
	c.do("POST", "/collection-protocols/987/consent-tiers", `{"statementCode":"STORE"}`).refused(t, 400, "CP_NOT_FOUND")
	store := c.must("POST", tiers, `{"statementCode":"STORE"}`)
	if store["cpId"] != 1.0 || store["statement"] != "I agree that my samples are stored." || store["id"] == 0.0 {
		t.Errorf("tier %v", store)
	}
	c.do("POST", tiers, `{"statement":"i agree that my samples are stored."}`).refused(t, 400, "CP_DUP_CONSENT")
	share := c.must("POST", tiers, `{"statement":"I agree that my samples are shared."}`)
	path := fmt.Sprintf("%s/%v", tiers, share["id"])
	c.do("PUT", path, `{"statementCode":"STORE"}`).refused(t, 400, "CP_DUP_CONSENT")
	c.do("PUT", tiers+"/987", `{"statementCode":"CALL"}`).refused(t, 400, "CP_CONSENT_TIER_NOT_FOUND")
	c.do("DELETE", tiers+"/0", "").refused(t, 400, "CP_CONSENT_TIER_NOT_FOUND")
	if got := c.must("PUT", path, `{"statementCode":"CALL"}`); got["statementCode"] != "CALL" || got["id"] != share["id"] {
		t.Errorf("changed to %v", got)
	}
	if got := column(c.list("GET", tiers, ""), "statementCode"); got != "STORE,CALL" {
		t.Errorf("tiers %s", got)
	}

	// A whole PUT of the protocol leaves them alone.
	c.must("PUT", one, `{"shortTitle":"INV","title":"Renamed","principalInvestigator":{"id":2},"cpSites":[{"siteName":"North Biobank"}]}`)
	if got := len(c.list("GET", tiers, "")); got != 2 {
		t.Errorf("%d tiers after a change of the protocol", got)
	}
	consents := fmt.Sprintf("%s/%d/consents", regs, s.registration)
	c.must("PUT", consents, `{"responses":[{"code":"STORE","response":"yes"}]}`)
	used := fmt.Sprintf("%s/%v", tiers, store["id"])
	c.do("DELETE", used, "").refused(t, 400, "CP_CONSENT_REF_ENTITY_FOUND")
	if got := c.list("GET", used+"/dependent-entities", ""); len(got) != 1 || got[0]["count"] != 1.0 {
		t.Errorf("dependents %v", got)
	}
	c.do("GET", tiers+"/987/dependent-entities", "").refused(t, 400, "CP_CONSENT_TIER_NOT_FOUND")

	c.do("PUT", one+"/consents-waived", `{"consentsWaived":true}`).refused(t, 400, "CP_CONSENT_TIER_FOUND")
	c.do("PUT", one+"/consents-source", `{"shortTitle":"TWO"}`).refused(t, 400, "CP_CONSENT_TIER_FOUND")
	c.do("PUT", two+"/consents-source", `{"shortTitle":"none"}`).refused(t, 400, "CP_CONSENTS_SOURCE_NOT_FOUND")
	c.do("PUT", two+"/consents-source", `{"shortTitle":"TWO"}`).refused(t, 400, "CP_CONSENTS_SOURCED")
	if got := c.must("PUT", two+"/consents-source", `{"shortTitle":"INV"}`)["consentsSource"].(map[string]any); got["id"] != 1.0 || got["title"] != "Renamed" {
		t.Errorf("the source is %v", got)
	}
	if got := c.list("GET", two+"/consent-tiers", ""); column(got, "statementCode") != "STORE,CALL" || got[0]["cpId"] != 1.0 {
		t.Errorf("tiers of the source: %v", got)
	}
	c.do("POST", two+"/consent-tiers", `{"statementCode":"SHARE"}`).refused(t, 400, "CP_CONSENTS_SOURCED")
	c.do("PUT", two+"/consents-waived", `{"consentsWaived":true}`).refused(t, 400, "CP_CONSENTS_SOURCED")
	c.do("PUT", "/collection-protocols/3/consents-source", `{"id":2}`).refused(t, 400, "CP_CONSENTS_SOURCED")

	// An answer in a protocol that takes its consents from here counts, too.
	other, _ := c.register("TWO", "T-1", `{}`)
	c.must("PUT", fmt.Sprintf("%s/%d/consents", regs, other), `{"responses":[{"code":"CALL","response":"No"}]}`)
	c.do("DELETE", path, "").refused(t, 400, "CP_CONSENT_REF_ENTITY_FOUND")
	c.must("PUT", fmt.Sprintf("%s/%d/consents", regs, other), `{}`)
	if got := c.must("DELETE", path, ""); got["statementCode"] != "CALL" {
		t.Errorf("deleted %v", got)
	}

	if got := c.must("PUT", two+"/consents-source", `{}`)["consentsSource"]; got != nil {
		t.Errorf("the source is still %v", got)
	}
	if got := c.must("PUT", two+"/consents-waived", `{"consentsWaived":"true"}`)["consentsWaived"]; got != true {
		t.Errorf("waived: %v", got)
	}
	c.do("POST", two+"/consent-tiers", `{"statementCode":"SHARE"}`).refused(t, 400, "CP_CONSENTS_WAIVED")
	c.do("PUT", two+"/consents-source", `{"id":1}`).refused(t, 400, "CP_CONSENTS_WAIVED")

	// A copy asks for the same, and a definition brings its statements along.
	copied := c.must("POST", one+"/copy", `{"shortTitle":"COPY","title":"A copy"}`)
	if got := c.list("GET", fmt.Sprintf("/collection-protocols/%v/consent-tiers", copied["id"]), ""); column(got, "statementCode") != "STORE" || got[0]["cpId"] != copied["id"] {
		t.Errorf("the copy asks for %v", got)
	}
	c.do("POST", "/collection-protocols", `{"shortTitle":"NEW","title":"New","principalInvestigator":{"id":2},"cpSites":[{"siteName":"South"}],"consents":[{"statementCode":"none"}]}`).refused(t, 400, "CONSENT_STATEMENT_NOT_FOUND")
	sourced := c.must("POST", "/collection-protocols", `{"shortTitle":"NEW","title":"New","principalInvestigator":{"id":2},"cpSites":[{"siteName":"South"}],"consentsSource":{"shortTitle":"INV"}}`)
	if got := c.list("GET", fmt.Sprintf("/collection-protocols/%v/consent-tiers", sourced["id"]), ""); column(got, "statementCode") != "STORE" {
		t.Errorf("the new protocol asks for %v", got)
	}
}

func TestConsentsOfARegistration(t *testing.T) {
	w, c, s := newPeopleWorld(t)
	c.newStatements()
	c.must("POST", "/collection-protocols/1/consent-tiers", `{"statementCode":"STORE"}`)
	c.must("POST", "/collection-protocols/1/consent-tiers", `{"statementCode":"SHARE"}`)
	path := fmt.Sprintf("%s/%d/consents", regs, s.registration)
	for body, code := range map[string]string{
		`{"responses":[{"code":"CALL","response":"Yes"}]}`:                                   "CPR_INVALID_CONSENT_STATEMENT",
		`{"responses":[{"response":"Yes"}]}`:                                                 "CPR_INVALID_CONSENT_STATEMENT",
		`{"responses":[{"code":"STORE","response":"Yes"},{"code":"store","response":"No"}]}`: "CPR_INVALID_CONSENT_STATEMENT",
		`{"responses":[{"code":"STORE","response":"perhaps"}]}`:                              "CPR_INVALID_CONSENT_RESPONSE",
		`{"witness":{"emailAddress":"nobody@example.org"}}`:                                  "CPR_CONSENT_WITNESS_NOT_FOUND",
		`{"consentSignatureDate":"2200-01-01"}`:                                              "COMMON_DATE_GT_TODAY",
		`{"consentSignatureDate":"soon"}`:                                                    "INVALID_REQUEST",
		`{"comments":"` + strings.Repeat("x", 2001) + `"}`:                                   "COMMON_INVALID_INPUT",
		`{"responses":[{"code":"CALL","response":"x"}],"witness":{"loginName":"nobody"}}`:    "CPR_CONSENT_WITNESS_NOT_FOUND,CPR_INVALID_CONSENT_STATEMENT,CPR_INVALID_CONSENT_RESPONSE",
	} {
		a := c.do("PUT", path, body)
		if code == "CPR_CONSENT_WITNESS_NOT_FOUND,CPR_INVALID_CONSENT_STATEMENT,CPR_INVALID_CONSENT_RESPONSE" {
			code = "CPR_CONSENT_WITNESS_NOT_FOUND,CPR_INVALID_CONSENT_STATEMENT" // an answer to nothing is not looked at
		}
		a.refused(t, 400, code)
	}
	if got := c.must("GET", path, ""); len(got["responses"].([]any)) != 0 || got["cprId"] != float64(s.registration) || got["cpShortTitle"] != "INV" || got["ppid"] != "INV-1" {
		t.Errorf("consents before any: %v", got)
	}
	c.must("PUT", path, `{"consentSignatureDate":"2022-03-04","witness":{"emailAddress":"admin@localhost"},"comments":"at the desk",
		"responses":[{"code":"STORE","response":"yes"},{"statement":"I agree that my samples are shared.","response":"No"}]}`)
	golden(t, "consents", c.do("GET", path, "").body)

	// What is not sent is removed; a blank response is none.
	got := c.must("PUT", path, `{"responses":[{"code":"SHARE","response":"Yes"},{"code":"STORE","response":""}]}`)
	if column(objects(got["responses"]), "code") != "SHARE" || got["witness"] != nil || got["comments"] != nil {
		t.Errorf("consents %v", got)
	}
	reg := fmt.Sprintf("%s/%d", regs, s.registration)
	if got := c.must("GET", reg, "")["consentDetails"].(map[string]any); column(objects(got["responses"]), "response") != "Yes" {
		t.Errorf("consentDetails %v", got)
	}
	// As part of a registration, new or changed; null changes nothing.
	c.must("PUT", reg, `{"consentDetails":null}`)
	c.must("PUT", reg, `{"consentDetails":{"comments":"by post","responses":[{"code":"STORE","response":"No"}]}}`)
	if got := c.must("GET", path, ""); got["comments"] != "by post" || column(objects(got["responses"]), "code") != "STORE" {
		t.Errorf("consents %v", got)
	}
	c.do("POST", regs, `{"cpId":1,"ppid":"X","registrationDate":"2022-01-01","participant":{},"consentDetails":{"responses":[{"code":"CALL","response":"Yes"}]}}`).refused(t, 400, "CPR_INVALID_CONSENT_STATEMENT")
	made := c.must("POST", regs, `{"cpId":1,"ppid":"N-1","registrationDate":"2022-01-01","participant":{},"consentDetails":{"responses":[{"code":"SHARE","response":"Yes"}]}}`)
	if got := made["consentDetails"].(map[string]any); column(objects(got["responses"]), "statement") != "I agree that my samples are shared." {
		t.Errorf("consentDetails %v", got)
	}

	// Who may not see consents sees none, in the audit neither, and changes none by sending back what is shown.
	tech := w.newUser("tech", "NONE", biobank.Grant{ID: 1, Role: "Technician"})
	tech.do("GET", path, "").refused(t, 400, "RBAC_ACCESS_DENIED")
	tech.do("PUT", path, `{}`).refused(t, 400, "RBAC_ACCESS_DENIED")
	if got := tech.must("GET", reg, "")["consentDetails"]; got != nil {
		t.Errorf("shown %v", got)
	}
	for who, sees := range map[caller]bool{c: true, tech: false} {
		if body := who.do("GET", reg+"/audit", "").body; strings.Contains(body, "by post") != sees {
			t.Errorf("seen in the audit: %v, want %v", !sees, sees)
		}
	}
	c.must("POST", "/rbac/roles", `{"name":"Registrar","acl":[{"resourceName":"ParticipantPhi","operations":[{"operationName":"Create"},{"operationName":"Read"},{"operationName":"Update"}]}]}`)
	registrar := w.newUser("registrar", "NONE", biobank.Grant{ID: 2, Role: "Registrar", RoleID: roleID(c, "Registrar")})
	registrar.must("PUT", reg, `{"consentDetails":null,"externalSubjectId":"E"}`)
	registrar.do("PUT", reg, `{"consentDetails":{}}`).refused(t, 400, "RBAC_ACCESS_DENIED")
	registrar.do("POST", regs, `{"cpId":1,"ppid":"X","registrationDate":"2022-01-01","participant":{},"consentDetails":{"comments":"x"}}`).refused(t, 400, "RBAC_ACCESS_DENIED")
	if got := c.must("GET", path, "")["comments"]; got != "by post" {
		t.Errorf("comments %v", got)
	}

	// Protocols that ask for none, or with each visit.
	c.must("PUT", "/collection-protocols/2/consents-waived", `{"consentsWaived":true}`)
	waived, _ := c.register("TWO", "T-1", `{}`)
	c.do("PUT", fmt.Sprintf("%s/%d/consents", regs, waived), `{"comments":"x"}`).refused(t, 400, "CP_CONSENTS_WAIVED")
	c.must("PUT", fmt.Sprintf("%s/%d", regs, waived), `{"consentDetails":{"responses":[]}}`)
	c.must("POST", "/collection-protocols", `{"shortTitle":"EACH","title":"With each visit","principalInvestigator":{"id":2},"cpSites":[{"siteName":"South"}],"visitLevelConsents":true}`)
	each, _ := c.register("EACH", "V-1", `{}`)
	c.do("PUT", fmt.Sprintf("%s/%d/consents", regs, each), `{"comments":"x"}`).refused(t, 400, "CP_VISIT_CONSENTS_ENABLED")
	c.do("GET", regs+"/987/consents", "").refused(t, 400, "CPR_M_NOT_FOUND")
	c.do("PUT", regs+"/987/consents", "{}").refused(t, 400, "CPR_M_NOT_FOUND")
}

// sendFile posts a file as the reference's clients do.
func (c caller) sendFile(path, name, content string) answer {
	c.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", name)
	if err == nil {
		_, err = io.WriteString(part, content)
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return c.do("POST", path, body.String(), "Content-Type: "+form.FormDataContentType())
}

func TestSignedConsentForms(t *testing.T) {
	w, c, s := newPeopleWorld(t)
	path := fmt.Sprintf("%s/%d/consent-form", regs, s.registration)
	c.do("GET", path, "").refused(t, 400, "CPR_CONSENT_FORM_NOT_FOUND")
	c.do("DELETE", path, "").refused(t, 400, "CPR_CONSENT_FORM_NOT_FOUND")
	c.do("PUT", path, `{"fileId":"`+strings.Repeat("0", 32)+`"}`).refused(t, 400, "COMMON_FILE_NOT_FOUND")
	c.do("PUT", path, `{"fileId":"../1"}`).refused(t, 400, "COMMON_FILE_NOT_FOUND")
	c.do("POST", path, "no parts", "Content-Type: multipart/form-data; boundary=x").refused(t, 400, "INVALID_REQUEST")
	large := c.sendFile(path, "large.pdf", strings.Repeat("x", 4<<20))
	large.refused(t, http.StatusRequestEntityTooLarge, "COMMON_INVALID_INPUT")
	if !strings.Contains(large.body, "consent-form/upload-url") {
		t.Errorf("the refusal does not tell where to send it: %s", large.body)
	}
	if a := c.sendFile(path, `C:\scans\Signed.pdf`, "%PDF signed"); a.body != `"Signed.pdf"` {
		t.Errorf("stored as %s", a.body)
	}
	a := c.do("GET", path, "")
	if a.body != "%PDF signed" || !strings.Contains(a.header.Get("Content-Disposition"), "Signed.pdf") || a.header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("got %q with %v", a.body, a.header)
	}
	if got := c.must("GET", fmt.Sprintf("%s/%d/consents", regs, s.registration), "")["consentDocumentName"]; got != "Signed.pdf" {
		t.Errorf("the document is %v", got)
	}
	// Consents that are saved anew keep it; another file replaces it.
	c.must("PUT", fmt.Sprintf("%s/%d/consents", regs, s.registration), `{}`)
	var link struct {
		FileID, Method, URL string
		Headers             map[string]string
	}
	mustDecode(t, c.do("POST", path+"/upload-url", `{"filename":"second.pdf"}`), &link)
	c.do("PUT", path, fmt.Sprintf(`{"fileId":%q}`, link.FileID)).refused(t, 400, "COMMON_FILE_NOT_FOUND") // not sent yet
	req, err := http.NewRequestWithContext(t.Context(), link.Method, link.URL, strings.NewReader(strings.Repeat("y", 5<<20)))
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range link.Headers {
		req.Header.Set(name, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("send to the URL: %v %v", resp, err)
	}
	_ = resp.Body.Close()
	other, _ := c.register("TWO", "T-1", `{}`)
	c.do("PUT", fmt.Sprintf("%s/%d/consent-form", regs, other), fmt.Sprintf(`{"fileId":%q}`, link.FileID)).refused(t, 400, "COMMON_FILE_NOT_FOUND") // another's
	if a := c.do("PUT", path, fmt.Sprintf(`{"fileId":%q}`, link.FileID)); a.body != `"second.pdf"` {
		t.Errorf("stored as %s", a.body)
	}
	if a := c.do("GET", path, ""); a.status != http.StatusSeeOther || a.header.Get("Location") == "" {
		t.Errorf("a large form: %d %v", a.status, a.header)
	}
	list, err := w.api.Blobs.List(t.Context(), w.api.Results, "consent-forms/", "", 10)
	if err != nil || len(list) != 2 { // what was signed is kept, though another takes its place
		t.Errorf("%d forms are kept, %v", len(list), err)
	}
	tech := w.newUser("tech", "NONE", biobank.Grant{ID: 1, Role: "Technician"})
	tech.do("GET", path, "").refused(t, 400, "RBAC_ACCESS_DENIED")
	tech.do("DELETE", path, "").refused(t, 400, "RBAC_ACCESS_DENIED")
	tech.sendFile(path, "x.pdf", "x").refused(t, 400, "RBAC_ACCESS_DENIED")
	tech.do("POST", path+"/upload-url", `{"filename":"x"}`).refused(t, 400, "RBAC_ACCESS_DENIED")
	if a := c.do("DELETE", path, ""); a.body != "true" {
		t.Errorf("deleted: %s", a.body)
	}
	c.do("GET", path, "").refused(t, 400, "CPR_CONSENT_FORM_NOT_FOUND")
	c.must("PUT", "/collection-protocols/2/consents-waived", `{"consentsWaived":true}`)
	c.sendFile(fmt.Sprintf("%s/%d/consent-form", regs, other), "x.pdf", "x").refused(t, 400, "CP_CONSENTS_WAIVED")
	list, err = w.api.Blobs.List(t.Context(), w.api.Results, "consent-forms/", "", 10)
	if err != nil || len(list) != 2 {
		t.Errorf("%d forms are left, %v", len(list), err)
	}
}

func TestWhoMayHandleConsentStatements(t *testing.T) {
	w, c, _ := newPeopleWorld(t)
	c.newStatements()
	nurse := w.newUser("nurse", "NONE", biobank.Grant{ID: 1, Role: "Coordinator"})
	boss := w.newUser("boss", biobank.UserInstitute)
	for _, who := range []caller{nurse, boss} {
		who.must("GET", "/consent-statements/1", "")
		who.do("GET", "/consent-statements/1/dependent-entities", "").refused(t, 400, "RBAC_ACCESS_DENIED")
		who.do("PUT", "/consent-statements/1", `{"code":"X","statement":"x"}`).refused(t, 400, "RBAC_ADMIN_RIGHTS_REQUIRED")
		who.do("DELETE", "/consent-statements/1", "").refused(t, 400, "RBAC_ADMIN_RIGHTS_REQUIRED")
		who.do("GET", "/consent-statements/1/audit", "").refused(t, 400, "RBAC_ACCESS_DENIED")
	}
	c.must("GET", "/consent-statements/1/audit", "")
}

func TestWhoMayChangeConsentTiers(t *testing.T) {
	w, c, s := newPeopleWorld(t)
	c.newStatements()
	tier := fmt.Sprintf("/collection-protocols/1/consent-tiers/%v", c.must("POST", "/collection-protocols/1/consent-tiers", `{"statementCode":"STORE"}`)["id"])
	nurse := w.newUser("nurse", "NONE", biobank.Grant{ID: 1, Role: "Coordinator", ProtocolID: 1})
	stranger := w.newUser("stranger", "NONE")
	nurse.list("GET", tier+"/dependent-entities", "")
	stranger.do("GET", tier+"/dependent-entities", "").refused(t, 400, "RBAC_ACCESS_DENIED")
	for _, who := range []caller{nurse, stranger} {
		who.do("PUT", tier, `{"statementCode":"CALL"}`).refused(t, 400, "RBAC_ACCESS_DENIED")
		who.do("DELETE", tier, "").refused(t, 400, "RBAC_ACCESS_DENIED")
	}
	// Nor may somebody take the consents of a protocol that is not to be seen, or learn that it is there.
	leader := w.newUser("leader", "NONE", biobank.Grant{ID: 1, Role: "Principal Investigator", ProtocolID: 2})
	leader.do("PUT", "/collection-protocols/2/consents-source", `{"id":1}`).refused(t, 400, "CP_CONSENTS_SOURCE_NOT_FOUND")
	c.must("PUT", "/collection-protocols/2/consents-source", `{"id":1}`)
	if got := leader.must("GET", "/collection-protocols/2", "")["consentsSource"]; got != nil {
		t.Errorf("the leader sees %v", got)
	}
	// How many have answered is told of the protocols whose consents one may read.
	other, _ := c.register("TWO", "T-1", `{}`)
	for _, reg := range []int64{s.registration, int64(other)} {
		c.must("PUT", fmt.Sprintf("%s/%d/consents", regs, reg), `{"responses":[{"code":"STORE","response":"yes"}]}`)
	}
	tech := w.newUser("tech", "NONE", biobank.Grant{ID: 1, Role: "Technician", ProtocolID: 1})
	for i, who := range []caller{tech, nurse, c} {
		want := []string{"", "1", "2"}[i]
		if got := column(who.list("GET", tier+"/dependent-entities", ""), "count"); got != want {
			t.Errorf("%d is told of %s answers, want %q", i, got, want)
		}
	}
	c.do("DELETE", tier, "").refused(t, 400, "CP_CONSENT_REF_ENTITY_FOUND")
}
