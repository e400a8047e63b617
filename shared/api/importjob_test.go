package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aliquot/infra/local/localtest"
	"aliquot/shared/biobank"
	"aliquot/shared/jobs"
)

const participants = "CP Short Title,PPID,Registration Date\nINV,INV-1,2021-02-24\n\nINV,INV-2,2021-02-25\n"

// upload sends a file as the multipart part that clients use.
func (c caller) upload(part, filename, body string) answer {
	c.t.Helper()
	return c.uploadTo("/import-jobs/input-file", part, filename, body)
}

func (c caller) uploadTo(path, part, filename, body string) answer {
	c.t.Helper()
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	must := func(err error) {
		c.t.Helper()
		if err != nil {
			c.t.Fatal(err)
		}
	}
	must(w.WriteField("before", "x"))
	f, err := w.CreateFormFile(part, filename)
	must(err)
	_, err = io.WriteString(f, body)
	must(err)
	must(w.Close())
	return c.do("POST", path, form.String(), "Content-Type: "+w.FormDataContentType())
}

func (c caller) mustUpload(body string) (fileID string) {
	c.t.Helper()
	a := c.upload("file", "cpr.csv", body)
	var v struct{ FileID, Filename string }
	if err := json.Unmarshal([]byte(a.body), &v); err != nil || a.status != http.StatusOK || v.Filename != "cpr.csv" {
		c.t.Fatalf("upload: %d %s", a.status, a.body)
	}
	return v.FileID
}

func (c caller) mustCreate(fileID string, more ...string) int64 {
	c.t.Helper()
	body := `{"objectType":"cpr","inputFileId":"` + fileID + `"` + strings.Join(append([]string{""}, more...), ",") + `}`
	return int64(c.must("POST", "/import-jobs", body)["id"].(float64))
}

func TestUploads(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	stranger := w.newUser("stranger", "NONE")

	stranger.upload("file", "a.csv", "x").refused(t, 400, "RBAC_ACCESS_DENIED")
	stranger.do("POST", "/import-jobs/input-file/upload-url", `{"filename":"a.csv"}`).refused(t, 400, "RBAC_ACCESS_DENIED")
	c.upload("other", "a.csv", "x").refused(t, 400, "INVALID_REQUEST")
	c.do("POST", "/import-jobs/input-file", `{"a":1}`).refused(t, 400, "INVALID_REQUEST")
	c.do("POST", "/import-jobs/input-file", "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nabc",
		"Content-Type: multipart/form-data; boundary=b").refused(t, 400, "INVALID_REQUEST")
	large := c.upload("file", "a.csv", strings.Repeat("x", 4<<20))
	large.refused(t, http.StatusRequestEntityTooLarge, "COMMON_INVALID_INPUT")
	if !strings.Contains(large.body, "/import-jobs/input-file/upload-url") {
		t.Errorf("the twin is not named: %s", large.body)
	}

	for name, want := range map[string]string{
		"cpr.csv": "cpr.csv", "../../etc/passwd": "passwd", `C:\files\my file.csv`: "my file.csv", "..": "input.csv",
		"": "input.csv", "ü.csv": "ü.csv", strings.Repeat("ü", 200) + ".csv": strings.Repeat("ü", 98) + ".csv", "a\x01b": "a_b",
	} {
		url := c.must("POST", "/import-jobs/input-file/upload-url", fmt.Sprintf(`{"filename":%s}`, mustJSON(t, name)))
		if url["filename"] != want {
			t.Errorf("%q became %q, want %q", name, url["filename"], want)
		}
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestPresignedUploadServesAJob(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	v := c.must("POST", "/import-jobs/input-file/upload-url", `{"filename":"big.csv"}`)
	c.do("POST", "/import-jobs", fmt.Sprintf(`{"objectType":"cpr","inputFileId":%q}`, v["fileId"])).
		refused(t, 400, "COMMON_FILE_NOT_FOUND") // nothing is there yet
	req, err := http.NewRequestWithContext(t.Context(), v["method"].(string), v["url"].(string), strings.NewReader(participants))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range v["headers"].(map[string]any) {
		req.Header.Set(name, value.(string))
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("upload: %s", resp.Status)
	}
	id := c.mustCreate(v["fileId"].(string))
	j, err := w.api.Jobs.Get(t.Context(), id)
	if err != nil || j.FileName != "big.csv" || j.Version == "" {
		t.Errorf("job %+v, %v", j, err)
	}
}

func TestJobsThatAreRefused(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	file := c.mustUpload(participants)
	var members []string
	for i := range 60 {
		members = append(members, fmt.Sprintf(`"p%d":"x"`, i))
	}
	tests := map[string]struct{ body, codes string }{
		"no type":           {`{}`, "IMPORT_JOB_OBJ_SCHEMA_NOT_FOUND"},
		"unknown type":      {`{"objectType":"wizard","inputFileId":"FILE"}`, "IMPORT_JOB_OBJ_SCHEMA_NOT_FOUND"},
		"unknown operation": {`{"objectType":"cpr","importType":"DELETE","inputFileId":"FILE"}`, "COMMON_INVALID_INPUT"},
		"unknown csv type":  {`{"objectType":"cpr","csvType":"X","inputFileId":"FILE"}`, "COMMON_INVALID_INPUT"},
		"date format":       {`{"objectType":"cpr","dateFormat":"yyyy-QQ","inputFileId":"FILE"}`, "IMPORT_JOB_INVALID_DATE_FORMAT"},
		"time format":       {`{"objectType":"cpr","timeFormat":"nonsense","inputFileId":"FILE"}`, "IMPORT_JOB_INVALID_TIME_FORMAT"},
		"time zone":         {`{"objectType":"cpr","timeZone":"Mars/Base","inputFileId":"FILE"}`, "COMMON_INVALID_TZ"},
		"machine's zone":    {`{"objectType":"cpr","timeZone":"Local","inputFileId":"FILE"}`, "COMMON_INVALID_TZ"},
		"no file":           {`{"objectType":"cpr"}`, "COMMON_FILE_NOT_FOUND"},
		"unknown file":      {`{"objectType":"cpr","inputFileId":"00000000000000000000000000000000"}`, "COMMON_FILE_NOT_FOUND"},
		"a path for a file": {`{"objectType":"cpr","inputFileId":"../jobs/1/input"}`, "COMMON_FILE_NOT_FOUND"},
		"a prefix":          {`{"objectType":"cpr","inputFileId":"` + file[:16] + `"}`, "COMMON_FILE_NOT_FOUND"},
		"params":            {`{"objectType":"cpr","objectParams":{"cpId":[1]},"inputFileId":"FILE"}`, "INVALID_REQUEST"},
		"a long param":      {`{"objectType":"cpr","objectParams":{"a":"` + strings.Repeat("x", 500<<10) + `"},"inputFileId":"FILE"}`, "COMMON_INVALID_INPUT"},
		"many params":       {`{"objectType":"cpr","objectParams":{` + strings.Join(members, ",") + `},"inputFileId":"FILE"}`, "COMMON_INVALID_INPUT"},
		"a long separator":  {`{"objectType":"cpr","fieldSeparator":"` + strings.Repeat(";", 500<<10) + `","inputFileId":"FILE"}`, "COMMON_INVALID_INPUT"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c.do("POST", "/import-jobs", strings.ReplaceAll(tt.body, "FILE", file)).refused(t, 400, tt.codes)
		})
	}
	stranger := w.newUser("stranger", "NONE")
	stranger.do("POST", "/import-jobs", `{"objectType":"cpr","inputFileId":"`+file+`"}`).refused(t, 400, "RBAC_ACCESS_DENIED")
	if len(w.queue.sent) != 0 {
		t.Errorf("sent %q", w.queue.sent)
	}
}

func TestAllOrNothingAnswersWithTheSize(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	for name, tt := range map[string]struct{ file, want string }{
		"rows":        {participants, `{"status":"TXN_SIZE_EXCEEDED","totalRecords":2}`},
		"only header": {"PPID\n", `{"status":"TXN_SIZE_EXCEEDED","totalRecords":0}`},
		"quotes":      {"PPID;X\n\"a\nb\";1\n2;2", `{"status":"TXN_SIZE_EXCEEDED","totalRecords":2}`},
		"UTF-16":      {"\xff\xfeP\x00\n\x00a\x00\n\x00", `{"status":"TXN_SIZE_EXCEEDED","totalRecords":1}`},
	} {
		a := c.do("POST", "/import-jobs", `{"objectType":"cpr","atomic":"true","inputFileId":"`+c.mustUpload(tt.file)+`"}`)
		if a.status != http.StatusOK || a.body != tt.want {
			t.Errorf("%s: %d %s, want %s", name, a.status, a.body, tt.want)
		}
	}
	for name, file := range map[string]string{"empty": "", "a ZIP": "PK\x03\x04abc", "no text": "P\xff\nx\n", "same captions": "a,A\n1,2\n"} {
		a := c.do("POST", "/import-jobs", `{"objectType":"cpr","atomic":true,"inputFileId":"`+c.mustUpload(file)+`"}`)
		if a.status != 400 || a.codes(t) != "IMPORT_JOB_RECORD_PARSE_ERROR" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if len(w.queue.sent) != 0 {
		t.Errorf("sent %q", w.queue.sent)
	}
}

func TestRowsOfALongFileAreCountedInPart(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	file := c.mustUpload(participants)
	list, err := w.api.Blobs.List(t.Context(), w.api.Intake, "", "", 10)
	if err != nil || len(list) != 1 {
		t.Fatalf("uploads %v, %v", list, err)
	}
	const row = "0123456789abcde\n" // 16 bytes, as the header has
	long := "PPID,First Name\n" + strings.Repeat(row, 16<<20/len(row)) + "not a \xff row"
	if _, err := w.api.Blobs.Put(t.Context(), w.api.Intake, list[0].Key, "text/csv", []byte(long)); err != nil {
		t.Fatal(err)
	}
	a := c.do("POST", "/import-jobs", `{"objectType":"cpr","atomic":true,"inputFileId":"`+file+`"}`)
	if want := fmt.Sprintf(`{"status":"TXN_SIZE_EXCEEDED","totalRecords":%d}`, 16<<20/len(row)-1); a.status != http.StatusOK || a.body != want {
		t.Errorf("%d %s, want %s", a.status, a.body, want)
	}
}

func TestCreateJob(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	file := c.mustUpload(participants)
	a := c.do("POST", "/import-jobs/", `{"objectType":"cpr","importType":"UPSERT","csvType":"SINGLE_ROW_PER_OBJ",
		"dateFormat":"yyyy-MM-dd","timeFormat":"HH:mm","fieldSeparator":"\t","timeZone":"Europe/Paris",
		"inputFileId":"`+file+`","objectParams":{"cpId":12,"entityType":"Participant","none":null},"atomic":false}`)
	if a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	golden(t, "job", a.body)
	if diff := cmp.Diff([]string{`{"job":1,"step":"plan"}`}, w.queue.sent); diff != "" && !localtest.OnBinaries() {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if got := c.do("GET", "/import-jobs/1", ""); got.body != a.body {
		t.Errorf("GET answers %s", got.body)
	}
	j, err := w.api.Jobs.Get(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if j.FieldSeparator != "\t" || j.TimeZone != "Europe/Paris" || j.Bucket != w.api.Intake || j.Version == "" ||
		j.Key != "_uploads/"+file+"/cpr.csv" || j.Drop || j.CSVType != "SINGLE_ROW_PER_OBJ" {
		t.Errorf("stored %+v", j)
	}

	t.Run("a lost message does not lose the job", func(t *testing.T) {
		localtest.HandlerOnly(t)
		w.queue.err = errors.New("the queue is away")
		if id := c.mustCreate(file); id != 2 {
			t.Errorf("job %d, want 2", id)
		}
		w.queue.err = nil
	})
}

func TestWhoSeesWhichJobs(t *testing.T) {
	w := newWorld(t)
	super := w.signIn("admin", password)
	super.must("POST", "/institutes", `{"name":"Elsewhere"}`)
	role := biobank.Grant{ID: 1, Role: "Coordinator"}
	one, two := w.newUser("one", "NONE", role), w.newUser("two", "NONE", role)
	boss := w.newUser("boss", "INSTITUTE")

	one.mustCreate(one.mustUpload(participants), `"objectParams":{"cpId":"1"}`)                                 // 1
	two.mustCreate(two.mustUpload(participants), `"objectParams":{"cpId":-1}`, `"importType":"UPDATE"`)         // 2
	super.mustCreate(super.mustUpload(participants))                                                            // 3
	one.must("POST", "/import-jobs", `{"objectType":"visit","inputFileId":"`+one.mustUpload(participants)+`"}`) // 4
	w.mustApply(biobank.Create, &biobank.UserDraft{Institute: "Elsewhere", Doc: biobank.UserDoc{
		FirstName: "a", LastName: "b", EmailAddress: "far@example.org", DomainName: "openspecimen", LoginName: "far", Roles: nil,
	}})

	for _, tt := range []struct {
		who   caller
		query string
		want  string
	}{
		{one, "", "4 1"},
		{two, "", "2"},
		{boss, "", "4 3 2 1"},
		{super, "", "4 3 2 1"},
		{super, "?startAt=1&maxResults=2", "3 2"},
		{super, "?maxResults=0", "4 3 2 1"},
		{super, "?maxResults=-1&", "4 3 2 1"},
		{super, "?maxResults=100000000000", "4 3 2 1"},
		{super, "?objectType=visit", "4"},
		{super, "?objectType=visit&objectType=cpr", "4 3 2 1"},
		{super, "?objectType=visit,cpr", "4 3 2 1"},
		{super, "?objectType=", "4 3 2 1"},
		{super, "?cpId=1", "1"},
		{super, "?cpId=1&cpId=-1", "2 1"},
		{super, "?cpId=1,-1&objectType=cpr", "2 1"},
		{super, "?entityType=X", ""},
		{one, "?cpId=-1", ""},
	} {
		t.Run(tt.query, func(t *testing.T) {
			a := tt.who.do("GET", "/import-jobs"+tt.query, "")
			var list []struct{ ID int64 }
			if err := json.Unmarshal([]byte(a.body), &list); err != nil || a.status != http.StatusOK || list == nil {
				t.Fatalf("%d %s", a.status, a.body)
			}
			var ids []string
			for _, j := range list {
				ids = append(ids, fmt.Sprint(j.ID))
			}
			if got := strings.Join(ids, " "); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	for _, query := range []string{"?maxResults=None", "?startAt=x", "?maxResults=1.5"} {
		super.do("GET", "/import-jobs"+query, "").refused(t, 400, "INVALID_REQUEST")
	}

	// To list a job is not to open it.
	for _, what := range []struct{ method, path string }{
		{"GET", "/import-jobs/2"}, {"GET", "/import-jobs/2/output"}, {"GET", "/import-jobs/2/failed-rows"}, {"PUT", "/import-jobs/2/stop"},
	} {
		one.do(what.method, what.path, "").refused(t, 400, "IMPORT_JOB_ACCESS_DENIED")
		boss.do(what.method, what.path, "").refused(t, 400, "IMPORT_JOB_ACCESS_DENIED")
		super.do(what.method, strings.Replace(what.path, "2", "77", 1), "").refused(t, 400, "IMPORT_JOB_NOT_FOUND")
		super.do(what.method, strings.Replace(what.path, "2", "None", 1), "").refused(t, 400, "INVALID_REQUEST")
	}
	two.must("GET", "/import-jobs/2", "")
	super.must("GET", "/import-jobs/2", "")
}

func TestStop(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	id := c.mustCreate(c.mustUpload(participants))
	c.must("PUT", fmt.Sprintf("/import-jobs/%d/stop", id), "")
	j, err := w.api.Jobs.Get(t.Context(), id)
	if err != nil || !j.Stop {
		t.Fatalf("job %+v, %v, want it asked to stop", j, err)
	}
	if len(w.queue.sent) != 2 && !localtest.OnBinaries() {
		t.Errorf("the importer was not woken: %q", w.queue.sent)
	}
	w.finish(id, func(j *jobs.Job) { j.Status = jobs.Stopped })
	c.do("PUT", fmt.Sprintf("/import-jobs/%d/stop", id), "").refused(t, 400, "IMPORT_JOB_NOT_IN_PROGRESS")
}

// finish ends a job as the importer does.
func (w *world) finish(id int64, edit func(*jobs.Job)) {
	w.t.Helper()
	j, err := w.api.Jobs.Lease(w.t.Context(), id, w.clock(), time.Minute)
	if err != nil {
		w.t.Fatal(err)
	}
	j.Status, j.EndedAt = jobs.Completed, w.clock()
	edit(j)
	if err := w.api.Jobs.End(w.t.Context(), j); err != nil {
		w.t.Fatal(err)
	}
}

func TestReports(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	put := func(key, body string) {
		t.Helper()
		if _, err := w.api.Blobs.Put(t.Context(), w.api.Results, key, "text/csv", []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	id := c.mustCreate(c.mustUpload(participants))
	output, failed := fmt.Sprintf("/import-jobs/%d/output", id), fmt.Sprintf("/import-jobs/%d/failed-rows", id)
	c.do("GET", output, "").refused(t, 400, "IMPORT_JOB_OUTPUT_FILE_NOT_CREATED")

	put("jobs/1/report.csv", "PPID,OS_IMPORT_STATUS\nINV-1,SUCCESS\n")
	w.finish(id, func(j *jobs.Job) {
		j.Status, j.Report, j.FailedReport = jobs.Failed, "jobs/1/report.csv", "jobs/1/failed.csv"
		j.Total, j.Done, j.FailedRows, j.Reason = 2, 2, 1, "One of 2 rows failed."
		j.Warnings = []string{"Column 4 is not known."}
	})
	golden(t, "job-failed", c.do("GET", fmt.Sprintf("/import-jobs/%d", id), "").body)
	a := c.do("GET", output, "")
	if a.status != http.StatusOK || a.body != "PPID,OS_IMPORT_STATUS\nINV-1,SUCCESS\n" ||
		a.header.Get("Content-Type") != "application/csv" ||
		a.header.Get("Content-Disposition") != "attachment;filename=BulkImportJob_1.csv" {
		t.Errorf("%d %v %q", a.status, a.header, a.body)
	}
	// The file has expired, or never was.
	c.do("GET", failed, "").refused(t, 400, "IMPORT_JOB_OUTPUT_FILE_NOT_CREATED")

	large := strings.Repeat("INV,INV-1,SUCCESS\n", 300_000)
	put("jobs/1/failed.csv", large)
	a = c.do("GET", failed, "")
	var elsewhere struct{ URL string }
	if err := json.Unmarshal([]byte(a.body), &elsewhere); err != nil || a.status != http.StatusSeeOther ||
		elsewhere.URL == "" || a.header.Get("Location") != elsewhere.URL {
		t.Fatalf("%d %v %s", a.status, a.header, a.body)
	}
	resp, err := http.Get(elsewhere.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != large {
		t.Errorf("%s, %d bytes of %d, %v", resp.Status, len(body), len(large), err)
	}
	if strings.Contains(w.logged(), "X-Amz-Signature") {
		t.Error("the log has a presigned URL")
	}
}

func TestTemplate(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	c.do("GET", "/import-jobs/input-file-template", "").refused(t, 400, "IMPORT_JOB_OBJ_SCHEMA_NOT_FOUND")
	c.do("GET", "/import-jobs/input-file-template?schema=wizard", "").refused(t, 400, "IMPORT_JOB_OBJ_SCHEMA_NOT_FOUND")
	c.do("GET", "/import-jobs/input-file-template?schema=cpr&cpId=1", "").refused(t, 400, "CP_NOT_FOUND")
	s := w.newStudy(c)
	form := c.newForm("my habits", strings.Replace(smoking, `"name":"smoking"`, `"name":"my habits"`, 1))
	c.associate(form, "ParticipantExtension", s.cp, "")
	c.associate(form, "Specimen", s.cp, "")
	a := c.do("GET", fmt.Sprintf("/import-jobs/input-file-template?schema=cpr&cpId=%d", s.cp), "")
	if !strings.Contains(a.body, "Smoking History#Attempts#2#How") {
		t.Errorf("custom fields: %d %q", a.status, a.body)
	}
	if a = c.do("GET", "/import-jobs/input-file-template?schema=cpr&cpId=-1", ""); strings.Contains(a.body, "Smoking History") {
		t.Errorf("custom fields outside of a protocol: %q", a.body)
	}
	a = c.do("GET", "/import-jobs/input-file-template?schema=extensions&formName=my+habits&entityType=Specimen", "")
	if a.header.Get("Content-Disposition") != "attachment;filename=myhabits_Specimen.csv" || !strings.HasPrefix(strings.ReplaceAll(a.body, `"`, ""), "Smoking History ID,CP Short Title,Specimen Label,Barcode,") {
		t.Errorf("form records: %d %v %q", a.status, a.header, a.body)
	}
	c.do("GET", "/import-jobs/input-file-template?schema=extensions&entityType=Specimen", "").refused(t, 400, "FORMS_NAME_REQUIRED")
	c.do("GET", "/import-jobs/input-file-template?schema=extensions&formName=my+habits", "").refused(t, 400, "FORMS_ENTITY_TYPE_REQUIRED")
	c.do("GET", "/import-jobs/input-file-template?schema=extensions&formName=no&entityType=Specimen", "").refused(t, 400, "FORMS_NOT_FOUND")
	w.newUser("stranger", "NONE").do("GET", fmt.Sprintf("/import-jobs/input-file-template?schema=cpr&cpId=%d", s.cp), "").refused(t, 400, "RBAC_ACCESS_DENIED")
	for _, sep := range []string{",", ";"} {
		a := c.do("GET", "/import-jobs/input-file-template?schema=cpr&fieldSeparator="+strings.ReplaceAll(sep, ";", "%3B"), "")
		want := regexp.MustCompile(`^[^\n]*"?CP Short Title"?` + sep + `[^\n]*\n$`)
		if a.status != http.StatusOK || !want.MatchString(a.body) ||
			a.header.Get("Content-Disposition") != "attachment;filename=cpr.csv" {
			t.Errorf("%d %v %q", a.status, a.header, a.body)
		}
	}
}
