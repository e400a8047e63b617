package odmapi_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aliquot/infra/local/localtest"
	"aliquot/shared/blob"
	"aliquot/shared/jobs"
	"aliquot/shared/odmimport"
)

// overlong is no UUID, and longer than a key of the store may be.
var overlong = strings.Repeat("a", 2100)

// finish ends a job as the importer does, with a log.
func (w *world) finish(j *jobs.Job, log string) {
	w.t.Helper()
	j, err := w.api.Jobs.Lease(w.t.Context(), j.ID, w.clock(), time.Minute)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, typed := range []bool{false, true} {
		if _, err := w.api.Blobs.Put(w.t.Context(), w.api.Results, odmimport.LogKey(j, typed), "text/csv", []byte(fmt.Sprintf("%v %s", typed, log))); err != nil {
			w.t.Fatal(err)
		}
	}
	j.Status, j.Report, j.EndedAt = jobs.Completed, odmimport.LogKey(j, false), w.clock()
	if err := w.api.Jobs.End(w.t.Context(), j); err != nil {
		w.t.Fatal(err)
	}
}

func TestLogs(t *testing.T) {
	w := newWorld(t)
	w.river()
	other := w.newUser("other")
	w.grant("S_RIVER", "other", "Data Manager")
	c := w.fallback
	j := w.job(c.do("POST", "/clinicaldata/import", document("S_RIVER", "R-1", "")))
	path := "/jobs/" + j.UUID + "/downloadFile"
	seen := map[string]bool{}
	wants := func(name, path string, caller caller, status int, body string, old int, legacy string) {
		t.Helper()
		seen[body], seen[legacy] = true, true
		for _, on := range []bool{false, true} {
			if on && localtest.OnBinaries() {
				continue
			}
			w.api.LegacyCodes = on
			a := caller.do("GET", path, "")
			if on && (a.status != old || a.body != legacy) || !on && (a.status != status || a.body != body) {
				t.Errorf("%s, legacy %v: got %d %s", name, on, a.status, a.body)
			}
		}
		w.api.LegacyCodes = false
	}
	wants("unknown", "/jobs/x/downloadFile", c, 404, "errorCode.invalidUuid", 404, "error.invalidUuid")
	wants("no UUID", "/jobs/"+overlong+"/downloadFile", c, 404, "errorCode.invalidUuid", 404, "error.invalidUuid")
	c.do("GET", "/clinicaldata/retrievals/"+overlong, "").refused(t, 404, "errorCode.invalidUuid")
	wants("another's", path, other, 403, "errorCode.noSufficientPrivileges", 200, "errorCode.noSufficientPrivileges")
	wants("in progress", path, c, 200, "errorCode.jobInProgress", 200, "error.jobInProgress")
	w.wait(time.Minute)
	w.finish(j, "log")
	a := c.do("GET", path, "")
	a.is(t, 200, "false log")
	if a.header.Get("Content-Type") != "application/force-download" ||
		a.header.Get("Content-Disposition") != `attachment; filename=RIVER-1-TEST_XML_IMPORT_2026-03-01-120000000+0000.csv` {
		t.Errorf("headers %v", a.header)
	}
	if how := c.do("GET", path+"?open=true", "").header.Get("Content-Disposition"); !strings.HasPrefix(how, "inline;") {
		t.Errorf("opened it is %q", how)
	}
	c.do("GET", strings.ToUpper(path[:30])+path[30:]+"?format=v2", "").refused(t, 404, "")
	c.do("GET", path+"?format=v2", "").is(t, 200, "true log")

	if err := w.api.Blobs.Delete(t.Context(), blob.Object{Bucket: w.api.Results, Key: odmimport.LogKey(j, false)}); err != nil {
		t.Fatal(err)
	}
	wants("expired", path, c, 404, "error.noLogFileFound", 200, "error.noLogFileFound")
	walked(t, jobCodes, seen)

	large := w.job(c.do("POST", "/clinicaldata/import", document("S_RIVER", "R-1", "")))
	w.finish(large, strings.Repeat("x", 4<<20))
	a = c.do("GET", "/jobs/"+large.UUID+"/downloadFile", "")
	var there struct{ URL string }
	if err := json.Unmarshal([]byte(a.body), &there); err != nil || a.status != 303 || there.URL == "" || a.header.Get("Location") != there.URL {
		t.Errorf("a large log: %d %s", a.status, a.body)
	}
	for query, how := range map[string]string{"": "attachment;", "?open=true": "inline;"} {
		a := c.do("GET", "/jobs/"+large.UUID+"/downloadFile"+query, "")
		there := fetch(t, a.header.Get("Location"))
		if got := there.header.Get("Content-Disposition"); !strings.HasPrefix(got, how) || there.header.Get("Content-Type") != "application/force-download" || len(there.body) <= 4<<20 {
			t.Errorf("a large log%s: %d bytes, %v", query, len(there.body), there.header)
		}
	}
}

// A log names participants, so it is for who may still read where they are.
func TestLogAfterTheRoleIsTakenAway(t *testing.T) {
	w := newWorld(t)
	w.river()
	c := w.newUser("ann")
	get := func(j *jobs.Job) answer { return c.do("GET", "/jobs/"+j.UUID+"/downloadFile", "") }
	refused := func(name string, j *jobs.Job) {
		t.Helper()
		if a := get(j); a.status != 403 || a.body != "errorCode.noSufficientPrivileges" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	w.grant("S_RIVER", "ann", "Data Manager")
	river := w.job(c.do("POST", "/clinicaldata/import", document("S_RIVER", "R-1", "")))
	w.grant("S_SPRING", "ann", "Clinical Research Coordinator")
	spring := w.job(c.do("POST", "/clinicaldata/import", document("S_SPRING", "R-1", "")))
	for _, j := range []*jobs.Job{river, spring} {
		w.finish(j, "log")
		get(j).is(t, 200, "false log")
	}
	w.grant("S_RIVER", "ann", "")
	refused("the study's, with a role at a site", river)
	refused("the site's, of somebody who could change others", spring)
	w.grant("S_SPRING", "ann", "")
	refused("the site's", spring)
	w.grant("S_RIVER", "ann", "Viewer")
	get(river).is(t, 200, "false log")
	get(spring).is(t, 200, "false log")
}

func TestPagesOfJobs(t *testing.T) {
	w := newWorld(t)
	w.river()
	c := w.newUser("ann")
	w.grant("S_RIVER", "ann", "Data Manager")
	var want []string // newest first
	for range 5 {
		want = append([]string{w.job(c.do("POST", "/clinicaldata/import", document("S_RIVER", "R-1", ""))).UUID}, want...)
	}
	foreign := w.job(w.fallback.do("POST", "/clinicaldata/import", document("S_RIVER", "R-1", "")))
	page := func(path string) (uuids []string) {
		t.Helper()
		var all []struct{ UUID string }
		a := c.do("GET", path, "")
		if err := json.Unmarshal([]byte(a.body), &all); err != nil || a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		for _, j := range all {
			uuids = append(uuids, j.UUID)
		}
		return uuids
	}
	for _, list := range []string{"/jobs", "/studies/s_river/jobs"} {
		got := page(list + "?maxResults=2")
		for len(got) > 0 && len(got) < 9 {
			next := page(list + "?maxResults=2&after=" + strings.ToUpper(got[len(got)-1]))
			if got = append(got, next...); len(next) < 2 {
				break
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s by pages (-want +got):\n%s", list, d)
		}
		if d := cmp.Diff(want, page(list)); d != "" {
			t.Errorf("%s (-want +got):\n%s", list, d)
		}
		for _, bad := range []string{"0", "101", "-1", "x", "2.5"} {
			c.do("GET", list+"?maxResults="+bad, "").refused(t, 400, "COMMON_INVALID_INPUT")
		}
		for _, unknown := range []string{"x", overlong, foreign.UUID} {
			if a := c.do("GET", list+"?after="+unknown, ""); a.status != 400 || a.header.Get("X-runtimeApp-error") != "error.invalidUuid" {
				t.Errorf("after %s: %d %v", unknown, a.status, a.header)
			}
		}
	}
}

// All jobs of a list are read by pages.
func TestManyJobs(t *testing.T) {
	localtest.HandlerOnly(t)
	w := newWorld(t)
	w.river()
	p, err := w.api.Registry.Place(t.Context(), "S_RIVER")
	if err != nil {
		t.Fatal(err)
	}
	const many = 230
	var want []string
	for n := range many {
		uuid := fmt.Sprintf("00000000-0000-4000-8000-%012d", n)
		if err := w.api.Jobs.Create(t.Context(), odmimport.NewJob(odmimport.TypeImport, p, w.adminID(), "admin", uuid, "a.xml", w.clock())); err != nil {
			t.Fatal(err)
		}
		want = append([]string{uuid}, want...)
	}
	var all []struct{ UUID string }
	a := w.fallback.do("GET", "/studies/S_RIVER/jobs", "")
	if err := json.Unmarshal([]byte(a.body), &all); err != nil || a.status != 200 {
		t.Fatalf("%d %v", a.status, err)
	}
	var got []string
	for _, j := range all {
		got = append(got, j.UUID)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	w.api.Patience = 0
	w.fallback.do("GET", "/studies/S_RIVER/jobs", "").refused(t, 400, "Ask for pages of it")
	if a := w.fallback.do("GET", "/studies/S_RIVER/jobs?maxResults=100", ""); a.status != 200 || !strings.Contains(a.body, want[99]) {
		t.Errorf("a page of it: %d %.300s", a.status, a.body)
	}
}

func TestJobs(t *testing.T) {
	w := newWorld(t)
	w.river()
	w.fallback.must("PUT", "/studies/S_LAKE", `{}`)
	w.fallback.must("PUT", "/studies/S_SHORE", `{"parent":"S_LAKE"}`)
	c := w.newUser("ann")
	w.grant("S_RIVER", "ann", "Data Manager")
	atStudy := w.job(c.do("POST", "/clinicaldata/import", document("S_RIVER", "R-1", "")))
	w.wait(time.Second)
	atSite := w.job(c.do("POST", "/clinicaldata/import", document("S_SPRING", "R-1", "")))
	w.job(w.fallback.do("POST", "/clinicaldata/import", document("S_RIVER", "R-1", ""))) // another's

	list := func(path string) (all []map[string]any) {
		t.Helper()
		a := c.do("GET", path, "")
		if err := json.Unmarshal([]byte(a.body), &all); err != nil || a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		return all
	}
	all := list("/studies/S_RIVER/jobs")
	if len(all) != 1 || all[0]["uuid"] != atStudy.UUID || all[0]["type"] != "XML_IMPORT" || all[0]["status"] != "IN_QUEUE" || all[0]["siteOid"] != "" ||
		all[0]["studyOid"] != "S_RIVER" || all[0]["createdByUsername"] != "ann" || all[0]["dateCreated"] != "2026-03-01T12:00:00.000Z" ||
		all[0]["dateCompleted"] != "" || all[0]["sourceFileName"] != "import.xml" {
		t.Errorf("listed %v", all)
	}
	w.wait(time.Second)
	w.finish(atSite, "log")
	all = list("/studies/S_RIVER/sites/S_SPRING/jobs")
	if len(all) != 1 || all[0]["uuid"] != atSite.UUID || all[0]["status"] != "COMPLETED" || all[0]["siteOid"] != "S_SPRING" ||
		!localtest.OnBinaries() && all[0]["dateCompleted"] != "2026-03-01T12:00:02.000Z" || all[0]["dateUpdated"] != all[0]["dateCompleted"] || all[0]["logFileName"] == nil {
		t.Errorf("listed at the site %v", all)
	}
	for path, name := range map[string]string{
		"/studies/S_NONE/jobs":                "error.incorrectStudyOid",
		"/studies/S_SPRING/jobs":              "error.invalidStudyOidAsStudy",
		"/studies/S_RIVER/sites/S_NONE/jobs":  "error.incorrectSiteOid",
		"/studies/S_RIVER/sites/S_LAKE/jobs":  "error.invalidSiteOidAsSite",
		"/studies/S_RIVER/sites/S_SHORE/jobs": "error.mismatchStudyOidAndSiteOid",
	} {
		if a := c.do("GET", path, ""); a.status != 400 || a.header.Get("X-runtimeApp-error") != name {
			t.Errorf("%s: %d %v, want %s", path, a.status, a.header, name)
		}
	}
	c.do("GET", "/studies/S_LAKE/jobs", "").refused(t, 403, "errorCode.noRoleSetUp")
	if all = list("/jobs"); len(all) != 2 || all[0]["uuid"] != atSite.UUID || all[1]["uuid"] != atStudy.UUID {
		t.Errorf("the caller's own are %v", all)
	}

	for path, name := range map[string]string{"/jobs/x": "error.invalidUuid", "/jobs/" + overlong: "error.invalidUuid", "/jobs/" + atSite.UUID: "error.incorrectUser"} {
		if a := w.fallback.do("DELETE", path, ""); a.status != 400 || a.header.Get("X-runtimeApp-error") != name {
			t.Errorf("DELETE %s: %d %v, want %s", path, a.status, a.header, name)
		}
	}
	for _, j := range []*jobs.Job{atSite, atStudy} {
		a := c.do("DELETE", "/jobs/"+j.UUID, "")
		if a.status != 200 || a.header.Get("X-studyServiceApp-alert") == "" || a.header.Get("X-studyServiceApp-params") != j.UUID {
			t.Errorf("delete: %d %v", a.status, a.header)
		}
		c.do("GET", "/jobs/"+j.UUID+"/downloadFile", "").is(t, 404, "errorCode.invalidUuid")
		if a := c.do("DELETE", "/jobs/"+j.UUID, ""); a.status != 200 { // as after a request that broke off
			t.Errorf("deleted again: %d %v", a.status, a.header)
		}
		if a := w.fallback.do("DELETE", "/jobs/"+j.UUID, ""); a.header.Get("X-runtimeApp-error") != "error.invalidUuid" {
			t.Errorf("another's that is deleted: %d %v", a.status, a.header)
		}
	}
	if all := slices.Concat(list("/studies/S_RIVER/jobs"), list("/studies/S_RIVER/sites/S_SPRING/jobs"), list("/jobs")); len(all) > 0 {
		t.Errorf("still listed %v", all)
	}
	for _, typed := range []bool{false, true} {
		if _, err := w.api.Blobs.Head(t.Context(), blob.Object{Bucket: w.api.Results, Key: odmimport.LogKey(atSite, typed)}); err == nil {
			t.Error("a log outlives its job")
		}
	}
	if j, err := w.api.Jobs.ByUUID(t.Context(), atStudy.UUID); err != nil || !j.Stop {
		t.Errorf("a job that was deleted before it began: %+v, %v", j, err)
	}
}

// TestLogOfSeveralSites: who could change the whole study, and may now see one site, no longer reads the log of a document
// that began with that site.
func TestLogOfSeveralSites(t *testing.T) {
	w := newWorld(t)
	w.river()
	ann, ben := w.newUser("ann"), w.newUser("ben")
	w.grant("S_RIVER", "ann", "Data Manager")
	w.grant("S_SPRING", "ben", "Clinical Research Coordinator")
	for _, c := range []caller{ann, ben} {
		j := w.job(c.do("POST", "/clinicaldata/import", document("S_SPRING", "R-1", "")))
		w.wait(time.Minute)
		w.finish(j, "log")
		path := "/jobs/" + j.UUID + "/downloadFile"
		c.do("GET", path, "").is(t, 200, "false log")
		if c.token == ben.token {
			continue
		}
		w.grant("S_RIVER", "ann", "")
		w.grant("S_SPRING", "ann", "Clinical Research Coordinator")
		c.do("GET", path, "").refused(t, 403, "errorCode.noSufficientPrivileges")
	}
}
