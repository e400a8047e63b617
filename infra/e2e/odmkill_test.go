package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/blob"
)

// everything is a document about the participants with all that an import can bring: values that are new, that change and
// that are not valid, files, queries that go on from round to round, annotations without ids, events and repeats without keys,
// signatures that a later round withdraws, elements in one tag, and a participant who is not there.
func everything(oid string, participants, round int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<ODM xmlns="http://www.cdisc.org/ns/odm/v1.3" xmlns:OpenClinica="http://www.openclinica.org/ns/odm_ext_v130/v3.1"><ClinicalData StudyOID="%s"><SubjectData OpenClinica:StudySubjectID="P1"/><SubjectData SubjectKey="SS_NOBODY"/>`, oid)
	child := func(id, status string) string {
		return fmt.Sprintf(`<OpenClinica:ChildNote%s Status="%s" UserName="admin"><OpenClinica:DetailedNote>Round %d</OpenClinica:DetailedNote></OpenClinica:ChildNote>`, id, status, round)
	}
	for p := range participants {
		fmt.Fprintf(&b, `<SubjectData OpenClinica:StudySubjectID="P%d"><StudyEventData StudyEventOID="SE_CALL" OpenClinica:StartDate="2026-03-01"><FormData FormOID="F_CALL">`, p+1)
		status := "Updated"
		if round == 1 {
			status = "New"
		}
		fmt.Fprintf(&b, `<ItemGroupData ItemGroupOID="IG_CALL"><ItemData ItemOID="I_WEIGHT" Value="%d.5"><OpenClinica:DiscrepancyNotes><OpenClinica:DiscrepancyNote ID="Q%d" NoteType="Query">%s</OpenClinica:DiscrepancyNote></OpenClinica:DiscrepancyNotes></ItemData>`,
			60+round, p, child(fmt.Sprintf(` ID="Q%d.%d"`, p, round), status))
		fmt.Fprintf(&b, `<ItemData ItemOID="I_SCAN" Value="scan %d.pdf"/></ItemGroupData><ItemGroupData ItemGroupOID="IG_CALL"/>`, p%3)
		for line := range 5 {
			day := fmt.Sprintf("2026-03-%02d", line+1)
			if line == 4 {
				day = "2026-02-30"
			}
			fmt.Fprintf(&b, `<ItemGroupData ItemGroupOID="IG_DIARY"><ItemData ItemOID="I_LINE" Value="line %d of %d"/><ItemData ItemOID="I_DAY" Value="%s"/></ItemGroupData>`, line, round, day)
		}
		b.WriteString(`</FormData><FormData FormOID="F_NONE"/></StudyEventData>`)
		// The watch before is signed; its change withdraws the signature and has a reason.
		for n, watch := range []string{`StudyEventRepeatKey="` + strconv.Itoa(round-1) + `"`, `OpenClinica:Signed="Yes"`} {
			if round == 1 && n == 0 {
				continue
			}
			signature, note := "", child("", "")
			if n == 1 {
				signature = `<Signature Attestation="I was there"/>`
			}
			fmt.Fprintf(&b, `<StudyEventData StudyEventOID="SE_WATCH" OpenClinica:StartDate="2026-03-01" %s><FormData FormOID="F_CALL" OpenClinica:Status="complete">`, watch)
			fmt.Fprintf(&b, `<ItemGroupData ItemGroupOID="IG_CALL"><ItemData ItemOID="I_WEIGHT" Value="%d"><OpenClinica:DiscrepancyNotes><OpenClinica:DiscrepancyNote NoteType="Annotation">%s</OpenClinica:DiscrepancyNote></OpenClinica:DiscrepancyNotes></ItemData></ItemGroupData></FormData>%s</StudyEventData>`,
				60+round-n, note, signature)
		}
		b.WriteString(`</SubjectData>`)
	}
	b.WriteString(`</ClinicalData></ODM>`)
	return b.String()
}

// TestKilledClinicalImport kills the worker at random: the data, the files, and the log but for its time stamps, are those of
// a run that nobody disturbed. ALIQUOT_ODM_KILLS says how often.
func TestKilledClinicalImport(t *testing.T) {
	kills := 4
	if n, err := strconv.Atoi(os.Getenv("ALIQUOT_ODM_KILLS")); err == nil {
		kills = n
	}
	c := newClinic(t, nil)
	const people = 6
	c.study("S_CALM", people)
	c.study("S_WILD", people)
	moments := regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}Z)?`)
	drawn := regexp.MustCompile(`(AL|DN|CDN)_\d+`)
	killed := 0
	for round := 1; killed < kills; round++ {
		files := map[string]string{"scan 0.pdf": fmt.Sprint("scan of round ", round), "a/scan 1.pdf": "the same in all", "scan 2.pdf": strings.Repeat("large ", 20_000)}
		calm := c.log(c.send(everything("S_CALM", people, round), files))
		uuid := c.send(everything("S_WILD", people, round), files)
		for killed < kills {
			time.Sleep(time.Duration(20+mathrand.IntN(400)) * time.Millisecond)
			killed += c.stack.KillFunction("odmimport")
			if !strings.Contains(c.ask("GET", auth4+"/jobs/"+uuid+"/downloadFile", "text/plain", "", 200), "jobInProgress") {
				break
			}
		}
		wild := c.log(uuid)
		if d := cmp.Diff(moments.ReplaceAllString(calm, ""), moments.ReplaceAllString(wild, "")); d != "" {
			t.Fatalf("round %d, %d kills: log (-undisturbed +killed):\n%s", round, killed, d)
		}
		for _, want := range []string{",I_SCAN,Inserted,", ",Event is Signed,", ",errorCode.subjectDoesNotContainStudyEventData", ",errorCode.formOIDNotFound", ",errorCode.itemGroupDoesNotContainItemData"} {
			if round == 1 && !strings.Contains(calm, want) {
				t.Fatalf("the log does not tell %s:\n%s", want, calm)
			}
		}
		plain := func(oid string) string {
			text := stripped(c.ask("GET", auth4+"/clinicaldata/"+oid+"/*/*/*?includeAudits=y&includeDNs=y&includeMetadata=y", "application/xml", "", 200))
			return moments.ReplaceAllString(strings.ReplaceAll(drawn.ReplaceAllString(text, "$1"), oid, "S"), "")
		}
		data := plain("S_CALM")
		if d := cmp.Diff(data, plain("S_WILD")); d != "" {
			t.Fatalf("round %d, %d kills: data (-undisturbed +killed):\n%s", round, killed, d)
		}
		for _, want := range []string{`ID="Q5.1"`, `NoteType="Annotation"`, `OpenClinica:Signed="Yes"`} {
			if !strings.Contains(data, want) {
				t.Fatalf("the data do not hold %s", want)
			}
		}
	}
	if counts := c.filesByStudy(); len(counts) != 2 || counts[0] != counts[1] {
		t.Errorf("the studies have %v files", counts)
	}
	t.Logf("%d kills", killed)
}

// filesByStudy is how many attached files are stored for each study.
func (c *clinic) filesByStudy() []int {
	c.Helper()
	list, err := blob.New(c.stack.AWSConfig()).List(c.Context(), c.stack.Buckets["results"], "attached/", "", 1000)
	if err != nil {
		c.Fatal(err)
	}
	counts := map[string]int{}
	for _, o := range list {
		counts[strings.Split(o.Key, "/")[1]]++
	}
	return slices.Collect(maps.Values(counts))
}

// TestLargeUploads imports a document and a ZIP that are larger than a request may be, by the URLs of an upload, and fetches a
// file back.
func TestLargeUploads(t *testing.T) {
	c := newClinic(t, map[string]string{"OdmPartRows": "2000"})
	c.study("S_SEA", 2)
	random := mathrand.New(mathrand.NewPCG(1, 2))
	scan := make([]byte, 6<<20)
	for i := range scan {
		scan[i] = byte(random.Uint32())
	}
	doc := calls("S_SEA", 2, 1, "scan.pdf")
	doc = strings.Replace(doc, "<ClinicalData", "<!--"+strings.Repeat(strings.Repeat("x", 1<<19)+"--><!--", 10)+"--><ClinicalData", 1)
	zip := zipped(t, map[string]string{"folder/scan.pdf": string(scan), "other.pdf": "not named"})
	if len(doc) < 4<<20 || len(zip) < 4<<20 {
		t.Fatalf("the document has %d bytes, the ZIP %d", len(doc), len(zip))
	}
	type put struct {
		Method, URL string
		Headers     map[string]string
	}
	var at struct {
		UUID                   string
		File, AttachedFilesZip put
	}
	answer := c.ask("POST", auth4+"/clinicaldata/import/upload-url", "application/json", `{"filename":"calls.xml","attachedFilesZip":true}`, 200)
	if err := json.Unmarshal([]byte(answer), &at); err != nil {
		t.Fatal(err)
	}
	for _, one := range []struct {
		put
		body string
	}{{at.File, doc}, {at.AttachedFilesZip, zip}} {
		req, err := http.NewRequestWithContext(t.Context(), one.Method, one.URL, strings.NewReader(one.body))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range one.Headers {
			req.Header.Set(name, value)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != 200 {
			t.Fatalf("%s: %d", one.Method, resp.StatusCode)
		}
	}
	start := func() string { return c.ask("POST", auth4+"/clinicaldata/import/"+at.UUID, "text/plain", "", 200) }
	uuid := strings.TrimPrefix(start(), "job uuid: ")
	log := c.log(uuid)
	if !strings.Contains(log, "SS_P1,P1,SE_CALL,1,F_CALL,IG_CALL,1,I_SCAN,Inserted,2") || strings.Count(log, "\n") != 1+2*21+1+1 {
		t.Errorf("the log is\n%s", log)
	}
	if again := start(); again != "job uuid: "+uuid {
		t.Errorf("started again: %s", again)
	}
	back := c.ask("GET", auth4+"/clinicaldata/studies/S_SEA/sites/S_SEA_PORT/files?subjectKey=P1&studyEventOID=SE_CALL&formOID=F_CALL&itemGroupOID=IG_CALL&itemOID=I_SCAN", "*/*", "", 200)
	if back != string(scan) {
		t.Errorf("%d bytes come back, %d were sent", len(back), len(scan))
	}
}
