package e2e_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"aliquot/infra/admin"
	"aliquot/infra/local/localtest"
	"aliquot/shared/auth"
	"aliquot/shared/biobank"
	"aliquot/shared/store"
)

// TestClinicaldata goes through the Clinicaldata API on its real binary, behind the gateway, with the rights of its role.
func TestClinicaldata(t *testing.T) {
	s := localtest.Full(t, map[string]string{"TokenCallsPerMinute": "0"})
	db := store.NewClient(s.AWSConfig())
	tables := store.Tables{Records: s.Tables["records"], Audit: s.Tables["audit"], Sessions: s.Tables["sessions"]}
	guard := &auth.Guard{Store: store.NewSessions(db, tables), Random: rand.Reader}
	const password = "Invented-1"
	if _, err := admin.Ensure(t.Context(), &biobank.Registry{Store: store.NewRecords(db, tables)}, guard, time.Now(), password); err != nil {
		t.Fatal(err)
	}
	token := ""
	ask := func(method, path, contentType, body string, want int) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, s.API+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", contentType)
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != want {
			t.Fatalf("%s %s: %d %s, %v, want %d", method, path, resp.StatusCode, answer, err, want)
		}
		return string(answer)
	}
	const base, text, doc = "/OpenClinica/pages/auth/api", "application/json", "application/xml"
	ask("GET", base+"/studies", text, "", 401)
	token = ask("POST", "/user-service/api/oauth/token", text, `{"username":"admin","password":"`+password+`"}`, 200)
	ask("PUT", base+"/studies/S_BAY%28TEST%29", text, `{"name":"Bay"}`, 200)
	ask("PUT", base+"/studies/S_COVE", text, `{"parent":"S_BAY(TEST)"}`, 200)
	ask("PUT", base+"/studies/S_COVE/users/admin", text, `{"role":"Investigator"}`, 200)
	ask("PUT", base+"/studies/S_COVE/users/admin", text, `{"role":"Monitor"}`, 200) // with an audit entry
	ask("PUT", base+"/roles/Pilot", text, `{"acts":"Viewer"}`, 200)
	metadata := `<ODM><Study OID="S_BAY(TEST)"><GlobalVariables/><MetaDataVersion OID="1" Name="1">
		<StudyEventDef OID="SE_TIDE" Name="Tide" Repeating="Yes" Type="Scheduled"><FormRef FormOID="F_TIDE" Mandatory="No"/></StudyEventDef>
		<FormDef OID="F_TIDE" Name="Tide" Repeating="No"><ItemGroupRef ItemGroupOID="IG_TIDE" Mandatory="No"/></FormDef>
		<ItemGroupDef OID="IG_TIDE" Name="Tide" Repeating="No"><ItemRef ItemOID="I_TIDE" Mandatory="No"/></ItemGroupDef>
		<ItemDef OID="I_TIDE" Name="Tide" DataType="integer"/></MetaDataVersion></Study></ODM>`
	ask("PUT", base+"/studies/S_BAY(TEST)/metadata", doc, metadata, 200)
	ask("PUT", base+"/studies/S_BAY(TEST)/metadata", doc, metadata, 200)
	const bay = base + "/clinicaldata/studies/S_BAY(TEST)"
	ask("POST", bay+"/sites/S_COVE/participants", text, `{"subjectKey":"B-1"}`, 200)
	ask("POST", bay+"/sites/S_COVE/participants", text, `{"subjectKey":"B-1"}`, 400)
	if got := ask("GET", bay+"/participants", text, "", 200); !strings.Contains(got, `"subjectOid":"SS_B1"`) {
		t.Errorf("participants %s", got)
	}
	ask("POST", bay+"/sites/S_COVE/events", text, `{"subjectKey":"B-1","studyEventOID":"SE_TIDE","startDate":"2026-02-01"}`, 200)
	ask("PUT", bay+"/sites/S_COVE/events", text, `{"subjectKey":"B-1","studyEventOID":"SE_TIDE","eventStatus":"skipped"}`, 200)

	data := `<ODM><ClinicalData StudyOID="S_BAY(TEST)"><SubjectData OpenClinica:StudySubjectID="B-1"><StudyEventData StudyEventOID="SE_TIDE" OpenClinica:StartDate="2026-02-02">
		<FormData FormOID="F_TIDE"><ItemGroupData ItemGroupOID="IG_TIDE"><ItemData ItemOID="I_TIDE" Value="7"/></ItemGroupData></FormData></StudyEventData></SubjectData></ClinicalData></ODM>`
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	part, err := w.CreateFormFile("file", "bay.xml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(part, data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	answer := ask("POST", base+"/clinicaldata/import/xml", "multipart/form-data; boundary=first; boundary="+w.Boundary(), form.String(), 200)
	uuid, ok := strings.CutPrefix(answer, "job uuid: ")
	if !ok {
		t.Fatalf("the import is answered %s", answer)
	}
	if got := ask("GET", base+"/studies/S_BAY(TEST)/jobs", text, "", 200); !strings.Contains(got, uuid) {
		t.Errorf("jobs %s", got)
	}
	ask("GET", base+"/jobs/"+uuid+"/downloadFile", text, "", 200)

	var up struct {
		UUID string
		File struct {
			Method, URL string
			Headers     map[string]string
		}
	}
	if err := json.Unmarshal([]byte(ask("POST", base+"/clinicaldata/import/upload-url", text, `{"filename":"bay.xml"}`, 200)), &up); err != nil {
		t.Fatal(err)
	}
	put, err := http.NewRequestWithContext(t.Context(), up.File.Method, up.File.URL, strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range up.File.Headers {
		put.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(put)
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	if got := ask("POST", base+"/clinicaldata/import/"+up.UUID, text, "", 200); got != "job uuid: "+up.UUID {
		t.Errorf("the upload is answered %s", got)
	}
	ask("DELETE", base+"/jobs/"+up.UUID, text, "", 200)
	ask("GET", base+"/jobs/"+up.UUID+"/downloadFile", text, "", 404)
	ask("PUT", base+"/studies/S_BAY(TEST)/publish", text, "", 200)
	if got := ask("GET", base+"/studies", text, "", 200); !strings.Contains(got, fmt.Sprintf("%q:%q", "environment", "PROD")) {
		t.Errorf("studies %s", got)
	}
}
