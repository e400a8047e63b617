package e2e_test

import (
	"archive/zip"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"aliquot/infra/admin"
	"aliquot/infra/local"
	"aliquot/infra/local/localtest"
	"aliquot/shared/auth"
	"aliquot/shared/biobank"
	"aliquot/shared/blob"
	"aliquot/shared/store"
)

// clinic is a stack with a client of the Clinicaldata API.
type clinic struct {
	*testing.T
	stack *local.Stack
	token string
}

// newClinic has more parameters than those that make tests quick.
func newClinic(t *testing.T, more map[string]string) *clinic {
	params := map[string]string{
		"TokenCallsPerMinute": "0", "LeaseSeconds": "2", "DropWaitSeconds": "1", "OdmPartRows": "25", "MaxAttempts": "20",
	}
	maps.Copy(params, more)
	s := localtest.Full(t, params)
	db := store.NewClient(s.AWSConfig())
	tables := store.Tables{Records: s.Tables["records"], Audit: s.Tables["audit"], Sessions: s.Tables["sessions"]}
	guard := &auth.Guard{Store: store.NewSessions(db, tables), Random: rand.Reader}
	registry := &biobank.Registry{Store: store.NewRecords(db, tables)}
	const password = "Invented-1"
	if _, err := admin.Ensure(t.Context(), registry, guard, time.Now(), password); err != nil {
		t.Fatal(err)
	}
	c := &clinic{T: t, stack: s}
	c.token = c.ask("POST", "/user-service/api/oauth/token", "application/json", `{"username":"admin","password":"`+password+`"}`, 200)
	return c
}

const auth4 = "/OpenClinica/pages/auth/api"

func (c *clinic) ask(method, path, contentType, body string, want int) string {
	c.Helper()
	req, err := http.NewRequestWithContext(c.Context(), method, c.stack.API+path, strings.NewReader(body))
	if err != nil {
		c.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	if method == http.MethodGet {
		req.Header.Set("Accept", contentType)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "bearer "+c.token)
	}
	// A retrieval that waits no second is told where to go on more often than the 10 times that a client allows as it comes.
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return c.Context().Err() }}
	resp, err := client.Do(req)
	if err != nil {
		c.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		c.Fatalf("%s %s: %d %.300s, %v, want %d", method, path, resp.StatusCode, answer, err, want)
	}
	return string(answer)
}

// study makes a study with a site and participants, whose metadata collect a weight, a file, and a diary of many lines, at one
// call and at any number of watches.
func (c *clinic) study(oid string, participants int) {
	c.Helper()
	c.ask("PUT", auth4+"/studies/"+oid, "application/json", `{"name":"Sea","uniqueProtocolId":"SEA"}`, 200)
	c.ask("PUT", auth4+"/studies/"+oid+"_PORT", "application/json", `{"parent":"`+oid+`","name":"Port"}`, 200)
	c.ask("PUT", auth4+"/studies/"+oid+"/metadata", "application/xml", `<ODM xmlns="http://www.cdisc.org/ns/odm/v1.3" xmlns:OpenClinica="http://www.openclinica.org/ns/odm_ext_v130/v3.1"><Study OID="`+oid+`">
		<GlobalVariables><StudyName>Sea</StudyName><StudyDescription>Invented</StudyDescription><ProtocolName>SEA</ProtocolName></GlobalVariables>
		<MetaDataVersion OID="v1.0.0" Name="1">
		<Protocol><StudyEventRef StudyEventOID="SE_CALL" OrderNumber="1" Mandatory="Yes"/><StudyEventRef StudyEventOID="SE_WATCH" OrderNumber="2" Mandatory="No"/></Protocol>
		<StudyEventDef OID="SE_CALL" Name="Call" Repeating="No" Type="Scheduled"><FormRef FormOID="F_CALL" Mandatory="No"/></StudyEventDef>
		<StudyEventDef OID="SE_WATCH" Name="Watch" Repeating="Yes" Type="Scheduled"><FormRef FormOID="F_CALL" Mandatory="No"/></StudyEventDef>
		<FormDef OID="F_CALL" Name="Call" Repeating="No"><ItemGroupRef ItemGroupOID="IG_CALL" Mandatory="No"/><ItemGroupRef ItemGroupOID="IG_DIARY" Mandatory="No"/></FormDef>
		<ItemGroupDef OID="IG_CALL" Name="Call" Repeating="No"><ItemRef ItemOID="I_WEIGHT" Mandatory="No"/><ItemRef ItemOID="I_SCAN" Mandatory="No"/></ItemGroupDef>
		<ItemGroupDef OID="IG_DIARY" Name="Diary" Repeating="Yes"><ItemRef ItemOID="I_LINE" Mandatory="No"/><ItemRef ItemOID="I_DAY" Mandatory="No"/></ItemGroupDef>
		<ItemDef OID="I_WEIGHT" Name="Weight" DataType="float"/>
		<ItemDef OID="I_SCAN" Name="Scan" DataType="text"><OpenClinica:ItemDetails ItemOID="I_SCAN"><OpenClinica:ItemPresentInForm FormOID="F_CALL"><OpenClinica:ItemResponse ResponseType="file"/></OpenClinica:ItemPresentInForm></OpenClinica:ItemDetails></ItemDef>
		<ItemDef OID="I_LINE" Name="Line" DataType="text"/><ItemDef OID="I_DAY" Name="Day" DataType="date"/>
		</MetaDataVersion></Study></ODM>`, 200)
	for i := range participants {
		c.ask("POST", fmt.Sprintf("%s/clinicaldata/studies/%s/sites/%s_PORT/participants", auth4, oid, oid), "application/json", fmt.Sprintf(`{"subjectKey":"P%d"}`, i+1), 200)
	}
}

// calls is a document about the participants; round makes the values, of which one in ten is not valid.
func calls(oid string, participants, round int, scan string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<ODM xmlns="http://www.cdisc.org/ns/odm/v1.3" xmlns:OpenClinica="http://www.openclinica.org/ns/odm_ext_v130/v3.1"><ClinicalData StudyOID="%s">`, oid)
	for p := range participants {
		fmt.Fprintf(&b, `<SubjectData OpenClinica:StudySubjectID="P%d"><StudyEventData StudyEventOID="SE_CALL" OpenClinica:StartDate="2026-03-01"><FormData FormOID="F_CALL"><ItemGroupData ItemGroupOID="IG_CALL"><ItemData ItemOID="I_WEIGHT" Value="%d.5"/>`, p+1, 60+round)
		if scan != "" && p == 0 {
			fmt.Fprintf(&b, `<ItemData ItemOID="I_SCAN" Value="%s"/>`, scan)
		}
		b.WriteString(`</ItemGroupData>`)
		for line := range 10 {
			day := fmt.Sprintf("2026-03-%02d", line+1)
			if line == 9 {
				day = "2026-02-30"
			}
			fmt.Fprintf(&b, `<ItemGroupData ItemGroupOID="IG_DIARY"><ItemData ItemOID="I_LINE" Value="line %d of %d"/><ItemData ItemOID="I_DAY" Value="%s"/></ItemGroupData>`, line, round, day)
		}
		b.WriteString(`</FormData></StudyEventData></SubjectData>`)
	}
	b.WriteString(`</ClinicalData></ODM>`)
	return b.String()
}

// send imports a document, with a ZIP or without, and returns the job's UUID.
func (c *clinic) send(doc string, files map[string]string) string {
	c.Helper()
	parts := map[string]string{"file calls.xml": doc}
	if files != nil {
		parts["attachedFilesZip files.zip"] = zipped(c.T, files)
	}
	return c.post("/clinicaldata/import/xml", parts)
}

// zipped is a ZIP of files, by their names.
func zipped(t *testing.T, files map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range files {
		f, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// post sends files by the names of their parts and their own, and returns the job's UUID.
func (c *clinic) post(path string, parts map[string]string) string {
	c.Helper()
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	for names, text := range parts {
		name, file, _ := strings.Cut(names, " ")
		out, err := w.CreateFormFile(name, file)
		if err != nil {
			c.Fatal(err)
		}
		if _, err := io.WriteString(out, text); err != nil {
			c.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		c.Fatal(err)
	}
	answer := c.ask("POST", auth4+path, w.FormDataContentType(), form.String(), 200)
	uuid, ok := strings.CutPrefix(answer, "job uuid: ")
	if !ok {
		c.Fatalf("the file is answered %s", answer)
	}
	return uuid
}

// log waits for the log of a job.
func (c *clinic) log(uuid string) string {
	c.Helper()
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if text := c.ask("GET", auth4+"/jobs/"+uuid+"/downloadFile", "text/plain", "", 200); !strings.Contains(text, "jobInProgress") {
			return text
		}
	}
	c.Fatal("the job does not end")
	return ""
}

func (c *clinic) retrieve(oid, form string) string {
	c.Helper()
	return c.ask("GET", auth4+"/clinicaldata/"+oid+"/*/*/*?includeAudits=y&includeMetadata=y", form, "", 200)
}

// unchanged imports what was given out, and is told that it changes nothing.
func (c *clinic) unchanged(doc string) {
	c.Helper()
	log := c.log(c.send(doc, nil))
	if strings.Contains(log, "Inserted") || strings.Contains(log, "Updated") || strings.Contains(log, "Failed") || !strings.Contains(log, "No Change") {
		c.Errorf("what was given out came to this when it came back:\n%s", log)
	}
}

// TestClinicalDataInAndOut imports documents with the real binaries and reads them back.
func TestClinicalDataInAndOut(t *testing.T) {
	c := newClinic(t, nil)
	c.study("S_SEA", 3)
	log := c.log(c.send(calls("S_SEA", 3, 1, "scan.pdf"), map[string]string{"folder/scan.pdf": "a scan"}))
	lines := strings.Split(log, "\n")
	if len(lines) != 1+3*21+1+2 || !strings.HasPrefix(lines[0], "SubjectKey,ParticipantID,") {
		t.Errorf("the log has %d lines:\n%s", len(lines), log)
	}
	for _, want := range []string{
		"SS_P1,P1,SE_CALL,1,F_CALL,IG_CALL,1,I_WEIGHT,Inserted,2", "SS_P1,P1,SE_CALL,1,F_CALL,IG_CALL,1,I_SCAN,Inserted,2",
		"SS_P3,P3,SE_CALL,1,F_CALL,IG_DIARY,10,I_DAY,Failed,,errorCode.invalidDateFormat\n",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not tell %s", want)
		}
	}
	first := c.retrieve("S_SEA", "application/xml")
	for _, want := range []string{
		`<ClinicalData StudyOID="S_SEA_PORT" MetaDataVersionOID="null">`, `<StudyName>Sea</StudyName>`,
		`<ItemData ItemOID="I_SCAN" OpenClinica:ItemName="Scan" Value="scan.pdf"/>`, `ItemGroupRepeatKey="10"`,
	} {
		if !strings.Contains(first, want) {
			t.Errorf("the data do not hold %s", want)
		}
	}
	c.unchanged(first)
	asJSON := c.retrieve("S_SEA", "application/json")
	if !strings.Contains(asJSON, `"@StudySubjectID"`) && !strings.Contains(asJSON, `"@OpenClinica:StudySubjectID": "P1"`) {
		t.Errorf("as JSON: %.500s", asJSON)
	}
	c.ask("GET", auth4+"/clinicaldata/S_NONE/*/*/*", "application/xml", "", 404)
	c.ask("GET", auth4+"/clinicaldata/S_SEA/*/*/*", "image/png", "", 406)

	// By drop folder.
	objects := blob.New(c.stack.AWSConfig())
	put := func(key, text string) {
		if _, err := objects.Put(t.Context(), c.stack.Buckets["intake"], key, "application/xml", []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	put("nobody/odm/S_SEA/calls.xml", calls("S_SEA", 3, 2, ""))
	time.Sleep(2 * time.Second)
	if got := c.retrieve("S_SEA", "application/xml"); stripped(got) != stripped(first) {
		t.Error("a document in the folder of nobody changed something")
	}
}

// TestDroppedDocument drops a document with its ZIP into a folder, as a laboratory's machine does: the binaries import it as
// whoever the folder belongs to, and keep nothing of a job that is deleted.
func TestDroppedDocument(t *testing.T) {
	c := newClinic(t, nil)
	c.study("S_SEA", 2)
	c.be("pilot", "Pia", "Pilot", "S_SEA", "Data Manager")
	objects := blob.New(c.stack.AWSConfig())
	for _, file := range []struct{ name, contentType, text string }{
		{"calls.zip", "application/zip", zipped(t, map[string]string{"charts/chart.pdf": "a chart"})},
		{"calls.xml", "application/xml", calls("S_SEA", 2, 1, "chart.pdf")},
	} {
		if _, err := objects.Put(t.Context(), c.stack.Buckets["intake"], "pilot/odm/S_SEA/"+file.name, file.contentType, []byte(file.text)); err != nil {
			t.Fatal(err)
		}
	}
	until := func(what string, done func() bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); !done(); time.Sleep(100 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("waited for %s for a minute", what)
			}
		}
	}
	var jobs []struct{ UUID, StudyOID, SourceFileName, CreatedByUsername string }
	until("the job", func() bool {
		if err := json.Unmarshal([]byte(c.ask("GET", auth4+"/jobs", "application/json", "", 200)), &jobs); err != nil {
			t.Fatal(err)
		}
		return len(jobs) > 0
	})
	if j := jobs[0]; len(jobs) != 1 || j.StudyOID != "S_SEA" || j.SourceFileName != "calls.xml" || j.CreatedByUsername != "pilot" {
		t.Errorf("jobs %+v", jobs)
	}
	log := c.log(jobs[0].UUID)
	for _, want := range []string{"SS_P1,P1,SE_CALL,1,F_CALL,IG_CALL,1,I_SCAN,Inserted,2", "SS_P2,P2,SE_CALL,1,F_CALL,IG_CALL,1,I_WEIGHT,Inserted,2"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not tell %s:\n%s", want, log)
		}
	}
	kept := func() int {
		list, err := objects.List(t.Context(), c.stack.Buckets["results"], "odm/"+jobs[0].UUID+"/", "", 1000)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	if n := kept(); n < 3 {
		t.Errorf("%d objects are kept of the job", n) // two forms of the log, and the plans
	}
	c.ask("DELETE", auth4+"/jobs/"+jobs[0].UUID, "application/json", "", 200)
	until("the job to be forgotten", func() bool { return kept() == 0 })
	if data := c.retrieve("S_SEA", "application/xml"); !strings.Contains(data, `Value="chart.pdf"`) {
		t.Errorf("the data went with their job:\n%s", data)
	}
}

// TestLongRetrieval has every retrieval collected by a job: a plain client that follows redirections gets it all the same,
// and what it gets changes nothing when it comes back.
func TestLongRetrieval(t *testing.T) {
	c := newClinic(t, map[string]string{"RetrievalSeconds": "0"})
	c.study("S_SEA", 3)
	c.log(c.send(calls("S_SEA", 3, 1, ""), nil))
	got := c.retrieve("S_SEA", "application/xml")
	for _, want := range []string{`<ClinicalData StudyOID="S_SEA_PORT" MetaDataVersionOID="null">`, `StudySubjectID="P3"`, `<StudyName>Sea</StudyName>`} {
		if !strings.Contains(got, want) {
			t.Errorf("the data do not hold %s", want)
		}
	}
	c.unchanged(got)
	if asJSON := c.retrieve("S_SEA", "application/json"); !json.Valid([]byte(asJSON)) || !strings.Contains(asJSON, `"@OpenClinica:StudySubjectID": "P3"`) {
		t.Errorf("as JSON: %.500s", asJSON)
	}
}

// TestBulkFilesInAndOut makes participants and events from CSV files with the real binaries.
func TestBulkFilesInAndOut(t *testing.T) {
	c := newClinic(t, nil)
	c.study("S_SEA", 1)
	bulk := func(path, text string) string {
		t.Helper()
		return c.log(c.post(path, map[string]string{"file list.csv": text}))
	}
	const site = "/clinicaldata/studies/S_SEA/sites/S_SEA_PORT"
	people := bulk(site+"/participants/bulk", "ParticipantID,firstName\nP1,Ann\nP2,Ben\n,Cam\n")
	if want := "Row,ParticipantID,Participant OID,Participate Status,Status,Message,\n1,P1,SS_P1,,Success,,\n2,P2,SS_P2,,Success,,\n3,,,,Failed,errorCode.missingParticipantID,\n"; people != want {
		t.Errorf("participants:\n%s", people)
	}
	events := bulk(site+"/events/bulk", "ParticipantID,StudyEventOID,StudyEventRepeatKey,StartDate,StudyEventStatus\nP1,SE_CALL,,2026-03-01,\nP2,SE_CALL,,,\nP1,SE_CALL,1,,skipped\n")
	if want := "Row #,ParticipantID,StudyEventOID,StudyEventRepeatKey,Status,Message\n1,P1,SE_CALL,1,Created,\n2,P2,SE_CALL,,Failed,errorCode.missingStartDate\n3,P1,SE_CALL,1,Updated,\n"; events != want {
		t.Errorf("events:\n%s", events)
	}
	if data := c.retrieve("S_SEA", "application/xml"); !strings.Contains(data, `OpenClinica:StartDate="2026-03-01" OpenClinica:Status="skipped"`) || strings.Contains(data, "Ann") {
		t.Errorf("the data are\n%s", data)
	}
}

// stripped is a document without the moment of its making.
func stripped(doc string) string {
	return regexp.MustCompile(`(FileOID|CreationDateTime)="[^"]*"`).ReplaceAllString(doc, "")
}
