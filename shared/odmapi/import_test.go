package odmapi_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"aliquot/infra/local/localtest"
	"aliquot/shared/blob"
	"aliquot/shared/jobs"
)

// document is an import of a participant's data.
func document(study, participant, items string) string {
	return fmt.Sprintf(`<ODM><ClinicalData StudyOID="%s"><SubjectData OpenClinica:StudySubjectID="%s"><StudyEventData StudyEventOID="SE_FIRST" OpenClinica:StartDate="2026-02-01">
		<FormData FormOID="F_VITALS"><ItemGroupData ItemGroupOID="IG_VITALS">%s</ItemGroupData></FormData></StudyEventData></SubjectData></ClinicalData></ODM>`, study, participant, items)
}

// part is one of a multipart body; one without a file name is a field.
type part struct{ name, file, content string }

// form is a multipart body and the header that goes with it.
func form(parts ...part) (body, header string) {
	var b strings.Builder
	for _, p := range parts {
		name := fmt.Sprintf("name=%q", p.name)
		if p.file != "" {
			name += fmt.Sprintf("; filename=%q", p.file)
		}
		fmt.Fprintf(&b, "--------------------------0123456789abcdef\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n", name, p.content)
	}
	b.WriteString("--------------------------0123456789abcdef--\r\n")
	return b.String(), "Content-Type: multipart/form-data; boundary=------------------------0123456789abcdef"
}

func zipped(t *testing.T, names ...string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range names {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") {
			continue
		}
		if _, err := w.Write([]byte("content of " + name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var accepted = regexp.MustCompile(`^job uuid: ([0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})$`)

// job is the job that an import was answered with.
func (w *world) job(a answer) *jobs.Job {
	w.t.Helper()
	m := accepted.FindStringSubmatch(a.body)
	if m == nil || a.status != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
		w.t.Fatalf("got %d %s, want a job", a.status, a.body)
	}
	j, err := w.api.Jobs.ByUUID(w.t.Context(), m[1])
	if err != nil || j == nil {
		w.t.Fatal(j, err)
	}
	return j
}

func TestImportIsMadeAJob(t *testing.T) {
	w := newWorld(t)
	w.river()
	doc := document("s_spring", "R-1", `<ItemData ItemOID="I_SEX" Value="F"/>`)
	body, header := form(part{"note", "", "x"}, part{"file", `C:\data\river one.XML`, doc})
	check := func(name string, a answer, file string) {
		t.Helper()
		j := w.job(a)
		if j.FileName != file || j.Status != jobs.Queued || j.Owner != "admin" || j.Params["study"] != "S_RIVER" || j.Params["site"] != "S_SPRING" ||
			frozen(j.Params["log"]) != "SPRING-TEST_XML_IMPORT_2026-03-01-120000000+0000.csv" || j.Attached != "" {
			t.Errorf("%s: %+v", name, j)
		}
		stored, err := w.api.Blobs.Get(t.Context(), blob.Object{Bucket: j.Bucket, Key: j.Key, Version: j.Version}, 1<<20)
		if err != nil || string(stored) != doc || !strings.HasPrefix(j.Key, "_uploads/odm/"+j.UUID+"/") {
			t.Errorf("%s: stored at %s: %s, %v", name, j.Key, stored, err)
		}
		if want := fmt.Sprintf(`{"job":%d}`, j.ID); !localtest.OnBinaries() && w.queue.sent[len(w.queue.sent)-1] != want {
			t.Errorf("%s: the message is %s, want %s", name, w.queue.sent[len(w.queue.sent)-1], want)
		}
	}
	for _, path := range []string{"/clinicaldata/import/xml", "/clinicaldata/import", "/clinicaldata", "/clinicaldata/"} {
		check(path, w.fallback.do("POST", path, body, header), "river one.XML")
	}
	for name, contentType := range map[string]string{
		"as the vendor's line has it": "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW; boundary=------------------------0123456789abcdef",
		"the true one first":          "multipart/form-data; boundary=------------------------0123456789abcdef; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
		"none":                        "multipart/form-data",
		"in quotes and capitals":      `Multipart/Form-Data; Boundary="------------------------0123456789abcdef"`,
	} {
		check(name, w.fallback.do("POST", "/clinicaldata/import/xml", body, "Content-Type: "+contentType), "river one.XML")
	}
	for _, contentType := range []string{"application/xml", "text/xml; charset=UTF-8", ""} {
		check("raw "+contentType, w.fallback.do("POST", "/clinicaldata/import", doc, "Content-Type: "+contentType), "import.xml")
	}
	w.queue.err = errors.New("the queue is down")
	check("without the queue", w.fallback.do("POST", "/clinicaldata/import", doc), "import.xml")
	if log := w.logged(); strings.Contains(log, "R-1") {
		t.Error("the log holds a participant's id")
	}
}

// The checks of section 2.3, in their order, with the names and statuses of the documentation and those of 4.13.
func TestImportsThatAreRefused(t *testing.T) {
	w := newWorld(t)
	w.river()
	w.fallback.must("PUT", "/studies/S_BARE", `{}`)
	w.fallback.must("PUT", "/studies/S_LOCKED", `{}`)
	w.fallback.must("PUT", "/studies/S_LOCKED/status", `{"status":"Locked"}`)
	w.fallback.must("PUT", "/studies/S_MOUTH/status", `{"status":"Frozen"}`)
	stranger, monitor, site := w.newUser("stranger"), w.newUser("monitor"), w.newUser("sitely")
	w.grant("S_RIVER", "monitor", "Monitor")
	w.grant("S_SPRING", "sitely", "Investigator")
	item := `<ItemData ItemOID="I_SEX" Value="F"/>`
	good := document("S_RIVER", "R-1", item)
	scan := document("S_RIVER", "R-1", `<ItemData ItemOID="i_scan" Value="scan 1.pdf"/>`)
	zipFile := func(names ...string) part { return part{"attachedFilesZip", "a.zip", zipped(t, names...)} }
	tests := []struct {
		name   string
		caller caller
		parts  []part
		status int
		body   string
		old    int
		legacy string
	}{
		{"no part", w.fallback, nil, 415, "errorCode.fileFormatNotSupported", 415, ""},
		{"no file", w.fallback, []part{{"fill", "a.xml", good}}, 415, "errorCode.fileFormatNotSupported", 415, ""},
		{"another ending", w.fallback, []part{{"file", "a.csv", good}}, 415, "errorCode.fileFormatNotSupported", 415, ""},
		{"no ending", w.fallback, []part{{"file", "xml", good}}, 415, "errorCode.fileFormatNotSupported", 415, ""},
		{"empty", w.fallback, []part{{"file", "a.xml", ""}}, 415, "errorCode.invalidXMLFile\n", 415, ""},
		{"cut off", w.fallback, []part{{"file", "a.xml", good[:len(good)-8]}}, 415, "errorCode.invalidXMLFile\n", 415, ""},
		{"not ODM", w.fallback, []part{{"file", "a.xml", "<html/>"}}, 415, "errorCode.invalidXMLFile\n", 415, ""},
		{"no data", w.fallback, []part{{"file", "a.xml", "<ODM/>"}}, 404, "errorCode.missingStudyOID", 404, "errorCode.studyOidMissing"},
		{"no study", w.fallback, []part{{"file", "a.xml", document(" ", "R-1", item)}}, 404, "errorCode.missingStudyOID", 404, "errorCode.studyOidMissing"},
		{"unknown study", w.fallback, []part{{"file", "a.xml", document("S_NONE", "R-1", item)}}, 404, "errorCode.studyOIDNotFound", 404, "errorCode.studyNotExist"},
		{"locked study", w.fallback, []part{{"file", "a.xml", document("S_LOCKED", "R-1", item)}}, 400, "errorCode.studyOIDNotAvailable", 200, "errorCode.studyNotAvailable"},
		{"without metadata", w.fallback, []part{{"file", "a.xml", document("S_BARE", "R-1", item)}}, 400, "errorCode.studyOIDNotAvailable", 200, "errorCode.studyNotAvailable"},
		{"frozen site", w.fallback, []part{{"file", "a.xml", document("S_MOUTH", "R-1", item)}}, 400, "errorCode.siteNotAvailable", 200, ""},
		{"no role", stranger, []part{{"file", "a.xml", good}}, 403, "errorCode.noRoleSetUp", 200, ""},
		{"no role comes after no study", stranger, []part{{"file", "a.xml", document("S_NONE", "R-1", item)}}, 404, "errorCode.studyOIDNotFound", 404, "errorCode.studyNotExist"},
		{"a role that reads", monitor, []part{{"file", "a.xml", good}}, 403, "errorCode.noSufficientPrivileges", 200, ""},
		{"a role at a site", site, []part{{"file", "a.xml", good}}, 403, "errorCode.noSufficientPrivileges", 200, ""},
		{"a role at another site", site, []part{{"file", "a.xml", document("S_LOCKED", "R-1", item)}}, 400, "errorCode.studyOIDNotAvailable", 200, "errorCode.studyNotAvailable"},
		{"two archives", w.fallback, []part{{"file", "a.xml", good}, zipFile("a"), zipFile("b")}, 400, "errorCode.multipleFiles", 400, ""},
		{"a file that nobody chose", w.fallback, []part{{"file", "", ""}, {"file", "a.csv", good}}, 415, "errorCode.fileFormatNotSupported", 415, ""},
		{"no archive", w.fallback, []part{{"file", "a.xml", good}, {"attachedFilesZip", "a.zip", "PK"}}, 415, "errorCode.fileFormatNotSupported\nThe ZIP of attached files cannot be read", 415, ""},
		{"a file that did not come along", w.fallback, []part{{"file", "a.xml", scan}}, 400, "errorCode.missingItemFile.scan 1.pdf", 400, ""},
		{"another file came along", w.fallback, []part{{"file", "a.xml", scan}, zipFile("scan.pdf")}, 400, "errorCode.missingItemFile.scan 1.pdf", 400, ""},
	}
	seen := map[string]bool{}
	named := regexp.MustCompile(`^errorCode\.\w+`)
	for _, tt := range tests {
		seen[named.FindString(tt.body)], seen[named.FindString(tt.legacy)] = true, true
		t.Run(tt.name, func(t *testing.T) {
			body, header := form(tt.parts...)
			for _, legacy := range []bool{false, true} {
				if legacy && localtest.OnBinaries() {
					continue
				}
				w.api.LegacyCodes = legacy
				status, want := tt.status, tt.body
				if legacy {
					status = tt.old
					if tt.legacy != "" {
						want = tt.legacy
					}
				}
				a := tt.caller.do("POST", "/clinicaldata/import/xml", body, header)
				exact := a.body == want || strings.Contains(want, "\n") && strings.HasPrefix(a.body, want) && len(a.body) > len(want)
				if a.status != status || !exact || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
					t.Errorf("legacy %v: got %d %s, want %d %s", legacy, a.status, a.body, status, want)
				}
			}
		})
	}
	walked(t, importCodes, seen)
	w.api.LegacyCodes = false
	w.fallback.do("POST", "/clinicaldata/import", strings.Repeat(" ", 4<<20+1)).refused(t, http.StatusRequestEntityTooLarge, "upload-url")
	w.fallback.do("POST", "/clinicaldata/import", "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.xml\"\r\n\r\n<OD", "Content-Type: multipart/form-data; boundary=x").refused(t, 415, "errorCode.fileFormatNotSupported\n")
	w.request("POST", base+"/clinicaldata/import", good).refused(t, 401, "AUTH_INVALID_TOKEN")
	w.nothingLeft()
	if log := w.logged(); strings.Contains(log, "R-1") || strings.Contains(log, "scan 1") {
		t.Error("the log holds values of a participant")
	}
}

func TestImportWithFiles(t *testing.T) {
	w := newWorld(t)
	w.river()
	content := zipped(t, "folder/", "folder/scan 1.pdf", "unused.pdf", "__MACOSX/x")
	body, header := form(part{"attachedFilesZip", "x.zip", content},
		part{"file", "a.xml", document("S_RIVER", "R-1", `<ItemData ItemOID="i_scan" Value="scan 1.pdf"/><ItemData ItemOID="I_SCAN" Value=""/><ItemData ItemOID="I_SCAN"/>`)})
	j := w.job(w.fallback.do("POST", "/clinicaldata/import/xml", body, header))
	stored, err := w.api.Blobs.Get(t.Context(), blob.Object{Bucket: j.Bucket, Key: j.Attached, Version: j.AttachedVersion}, 1<<20)
	if err != nil || string(stored) != content {
		t.Errorf("the ZIP at %q has %d bytes, %v", j.Attached, len(stored), err)
	}
}

// upload asks for an upload and puts a document and perhaps a ZIP there.
func (c caller) upload(path, name, doc, attached string) string {
	c.t.Helper()
	a := c.do("POST", path, fmt.Sprintf(`{"filename":%q,"attachedFilesZip":%v}`, name, attached != ""))
	type put struct {
		Method, URL string
		Headers     map[string]string
	}
	var v struct {
		UUID             string
		File             put
		AttachedFilesZip *put
	}
	if err := json.Unmarshal([]byte(a.body), &v); err != nil || a.status != 200 {
		c.t.Fatalf("%d %s", a.status, a.body)
	}
	send := func(p put, body string) {
		c.t.Helper()
		req, err := http.NewRequestWithContext(c.t.Context(), p.Method, p.URL, strings.NewReader(body))
		if err != nil {
			c.t.Fatal(err)
		}
		for k, val := range p.Headers {
			req.Header.Set(k, val)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil || resp.StatusCode != 200 {
			c.t.Fatal(resp, err)
		}
		resp.Body.Close()
	}
	if doc != "" {
		send(v.File, doc)
	}
	if attached != "" {
		send(*v.AttachedFilesZip, attached)
	}
	return v.UUID
}

func TestUploadServesAnImport(t *testing.T) {
	w := newWorld(t)
	w.river()
	const path = "/clinicaldata/import/upload-url"
	scan := document("S_RIVER", "R-1", `<ItemData ItemOID="I_SCAN" Value="scan.pdf"/>`)
	uuid := w.fallback.upload(path, "river.xml", scan, zipped(t, "scan.pdf"))
	first := w.job(w.fallback.do("POST", "/clinicaldata/import/"+strings.ToUpper(uuid), ""))
	if first.UUID != uuid || first.FileName != "river.xml" || first.Attached == "" {
		t.Errorf("job %+v", first)
	}
	if again := w.job(w.fallback.do("POST", "/clinicaldata/import/"+uuid, "")); again.ID != first.ID {
		t.Errorf("started again it is job %d, not %d", again.ID, first.ID)
	}
	// What is sent to the URLs afterwards is not what the job imports.
	was := blob.Object{Bucket: first.Bucket, Key: first.Key, Version: first.Version}
	zipWas := blob.Object{Bucket: first.Bucket, Key: first.Attached, Version: first.AttachedVersion}
	for _, o := range []blob.Object{was, zipWas} {
		if _, err := w.api.Blobs.Put(t.Context(), o.Bucket, o.Key, "", []byte("something else")); err != nil {
			t.Fatal(err)
		}
	}
	doc, err := w.api.Blobs.Get(t.Context(), was, 1<<20)
	if err != nil || string(doc) != scan {
		t.Errorf("the job imports %s, %v", doc, err)
	}
	if content, err := w.api.Blobs.Get(t.Context(), zipWas, 1<<20); err != nil || string(content) != zipped(t, "scan.pdf") {
		t.Errorf("with a ZIP of %d bytes, %v", len(content), err)
	}
	other := w.newUser("other")
	w.grant("S_RIVER", "other", "Data Manager")
	other.do("POST", "/clinicaldata/import/"+uuid, "").is(t, 404, "errorCode.invalidUuid")

	// A large document is read up to its first data; the rest is the job's affair.
	large := document("S_RIVER", "R-1", strings.Repeat(`<ItemData ItemOID="I_SCAN" Value="scan.pdf"/>`, 100_000))
	if len(large) <= 4<<20 {
		t.Fatal("it is not large")
	}
	w.job(w.fallback.do("POST", "/clinicaldata/import/"+w.fallback.upload(path, "river.xml", large, ""), ""))

	for name, tt := range map[string]struct {
		doc, zip, code string
		status         int
	}{
		"nothing":        {"", "", "errorCode.invalidUuid", 404},
		"only the ZIP":   {"", zipped(t, "a"), "errorCode.invalidUuid", 404},
		"no XML":         {"x", "", "errorCode.invalidXMLFile", 415},
		"no study":       {document("S_NONE", "R-1", ""), "", "errorCode.studyOIDNotFound", 404},
		"a long head":    {"<ODM>" + strings.Repeat("<!--"+strings.Repeat(" ", 1<<19)+"-->", 140) + scan, "", "errorCode.invalidXMLFile\nline 1, byte 67108864: the first ClinicalData does not begin within 64 MB", 415},
		"no ZIP":         {scan, "PK", "errorCode.fileFormatNotSupported", 415},
		"a missing file": {scan, zipped(t, "a"), "errorCode.missingItemFile.scan.pdf", 400},
	} {
		t.Run(name, func(t *testing.T) {
			uuid := w.fallback.upload(path, "river.xml", tt.doc, tt.zip)
			w.fallback.do("POST", "/clinicaldata/import/"+uuid, "").refused(t, tt.status, tt.code)
		})
	}
	for _, uuid := range []string{"x", "0123", strings.Repeat("g", 36), overlong, "6f1c0000-0000-4000-8000-000000000000"} {
		w.fallback.do("POST", "/clinicaldata/import/"+uuid, "").is(t, 404, "errorCode.invalidUuid")
	}
	w.fallback.do("POST", path, `{"filename":"a.csv"}`).refused(t, 415, "errorCode.fileFormatNotSupported")
	w.newUser("stranger").do("POST", path, `{}`).refused(t, 403, "errorCode.noSufficientPrivileges")
}

// What somebody called a file, which may name a person, is kept with the job, and is in no key and no line of the log.
func TestNamesOfFilesAreInNoKey(t *testing.T) {
	w := newWorld(t)
	w.river()
	c := w.fallback
	const name = "Invented-Name R-1"
	doc := document("S_RIVER", "R-1", "")
	body, header := form(part{"file", name + ".xml", doc}, part{"attachedFilesZip", name + ".zip", zipped(t, "a.pdf")})
	sent := w.job(c.do("POST", "/clinicaldata/import/xml", body, header))
	uploaded := w.job(c.do("POST", "/clinicaldata/import/"+c.upload("/clinicaldata/import/upload-url", "folder/"+name+".xml", doc, ""), ""))
	for _, j := range []*jobs.Job{sent, uploaded} {
		if j.FileName != name+".xml" {
			t.Errorf("the job's file is %q", j.FileName)
		}
	}
	body, header = form(part{"file", name + ".csv", "ParticipantID\nR-1\n"})
	if j := w.job(c.do("POST", "/clinicaldata/studies/S_RIVER/sites/S_SPRING/participants/bulk", body, header)); j.FileName != name+".csv" {
		t.Errorf("the file of a CSV's job is %q", j.FileName)
	}
	c.upload("/studies/S_RIVER/metadata/upload-url", name+".xml", doc, "")
	stored, err := w.api.Blobs.List(t.Context(), w.api.Intake, "", "", 100)
	if err != nil || len(stored) != 2+2+1+2 {
		t.Errorf("%d objects, %v", len(stored), err)
	}
	for _, o := range stored {
		if strings.Contains(o.Key, "Invented") {
			t.Errorf("the key %s", o.Key)
		}
	}
	if strings.Contains(w.logged(), "Invented") {
		t.Error("the log holds the name of a file")
	}
}

// nothingLeft checks that refused imports have left no job, no message and no object.
func (w *world) nothingLeft() {
	w.t.Helper()
	all, err := w.api.Jobs.List(w.t.Context(), jobs.Filter{})
	if err != nil || len(all) > 0 || len(w.queue.sent) > 0 {
		w.t.Errorf("refused imports left jobs %v, messages %v, %v", all, w.queue.sent, err)
	}
	stored, err := w.api.Blobs.List(w.t.Context(), w.api.Intake, "", "", 10)
	if err != nil || len(stored) > 0 {
		w.t.Errorf("refused imports left objects %v, %v", stored, err)
	}
}
