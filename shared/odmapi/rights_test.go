package odmapi_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"aliquot/shared/odmapi"
)

// callers are who calls, in the order of a row's columns: a super administrator without any role; roles in the study
// S_RIVER; roles at its site S_SPRING; and somebody without a role.
var callers = []struct{ login, oid, role string }{
	{"admin", "", ""},
	{"manager", "S_RIVER", "Data Manager"},
	{"entry", "S_RIVER", "Data Entry Person"},
	{"monitor", "S_RIVER", "Monitor"},
	{"coordinator", "S_SPRING", "Clinical Research Coordinator"},
	{"watcher", "S_SPRING", "Viewer"},
	{"stranger", "", ""},
}

// places are what the calls are about, in the order of a column's letters: the study, its two sites, and another study.
var places = []struct{ oid, study, site string }{
	{"S_RIVER", "S_RIVER", ""},
	{"S_SPRING", "S_RIVER", "S_SPRING"},
	{"S_MOUTH", "S_RIVER", "S_MOUTH"},
	{"S_LAKE", "S_LAKE", "S_SHORE"},
}

// The letters of an expectation: . served, x denied, - not found, v allowed but refused for what was sent, _ not asked.
type columns [7]string

var (
	see        = columns{"....", "...x", "...x", "...x", "..xx", "..xx", "xxxx"}
	manage     = columns{"....", "...x", "xxxx", "xxxx", "xxxx", "xxxx", "xxxx"}
	change     = columns{"....", "...x", "...x", "xxxx", "x.xx", "xxxx", "xxxx"}
	everywhere = columns{".", ".", ".", ".", ".", ".", "."}
)

// ours is about an endpoint of our own: of where the caller has no role nothing is told.
func (c columns) ours() columns {
	for i := range c {
		for j, p := range places {
			none := callers[i].login == "stranger" || p.study == "S_LAKE" || p.oid == "S_MOUTH" && callers[i].oid == "S_SPRING"
			if none && i > 0 && j < len(c[i]) && c[i][j] == 'x' {
				c[i] = c[i][:j] + "-" + c[i][j+1:]
			}
		}
	}
	return c
}

// only asks about studies, or about sites.
func (c columns) only(about string) columns {
	for i := range c {
		letters := []byte(c[i])
		for j := range letters {
			if about == "studies" && (j == 1 || j == 2) || about == "sites" && j == 0 {
				letters[j] = '_'
			}
		}
		c[i] = string(letters)
	}
	return c
}

// with has another letter for what is allowed.
func (c columns) with(ok string) columns {
	for i := range c {
		c[i] = strings.ReplaceAll(c[i], ".", ok)
	}
	return c
}

// row is what is expected of a route. {oid}, {study} and {site} in path and body are those of the place. A row without
// columns names the test that proves the route.
type row struct {
	pattern, path, body string
	want                columns
	proved              string
}

func rightsRows() []row {
	const atStudy, atSite = "/clinicaldata/studies/{study}", "/clinicaldata/studies/{study}/sites/{site}"
	doc := document("{oid}", "R-1", "")
	return []row{
		{pattern: "POST /user-service/api/oauth/token", proved: "TestToken"},

		{pattern: "GET /studies", proved: "TestWhoSeesWhichStudies"},
		{pattern: "GET /studies/{study}", path: "/studies/{oid}", want: see.ours()},
		{pattern: "PUT /studies/{study}", path: "/studies/{oid}", body: `{"name":"Other"}`, want: manage},
		{pattern: "PUT /studies/{study}/status", path: "/studies/{oid}/status", body: `{"status":"Available"}`, want: manage.ours()},
		{pattern: "PUT /studies/{study}/publish", path: "/studies/{oid}/publish", want: columns{".vv.", ".vvx", "xxxx", "xxxx", "xxxx", "xxxx", "xxxx"}.ours()},
		{pattern: "PUT /studies/{study}/metadata", path: "/studies/{oid}/metadata", want: columns{"v--v", "v--x", "x--x", "x--x", "x--x", "x--x", "x--x"}.ours()},
		{pattern: "POST /studies/{study}/metadata/upload-url", path: "/studies/{oid}/metadata/upload-url", want: columns{".--.", ".--x", "x--x", "x--x", "x--x", "x--x", "x--x"}.ours()},
		{pattern: "GET /studies/{study}/users/{login}", path: "/studies/{oid}/users/admin", want: manage.ours()},
		{pattern: "PUT /studies/{study}/users/{login}", path: "/studies/{oid}/users/admin", body: `{"role":"King"}`, want: manage.with("v").ours()},
		{pattern: "GET /roles", path: "/roles", want: everywhere},
		{pattern: "PUT /roles/{name}", path: "/roles/Warden", body: `{}`, want: columns{"v", "x", "x", "x", "x", "x", "x"}},

		{pattern: "GET /clinicaldata/studies/{study}/participants", path: atStudy + "/participants", want: see.only("studies")},
		{pattern: "GET /clinicaldata/studies/{study}/sites/{site}/participants", path: atSite + "/participants", want: see.only("sites")},
		{pattern: "POST /clinicaldata/studies/{study}/participants", path: atStudy + "/participants", want: change.only("studies").with("v")},
		{pattern: "POST /clinicaldata/studies/{study}/sites/{site}/participants", path: atSite + "/participants", want: change.only("sites").with("v")},
		{pattern: "PUT /clinicaldata/studies/{study}/participants", path: atStudy + "/participants", want: change.only("studies").with("v").ours()},
		{pattern: "PUT /clinicaldata/studies/{study}/sites/{site}/participants", path: atSite + "/participants", want: change.only("sites").with("v").ours()},
		{pattern: "GET /clinicaldata/studies/{study}/files", path: atStudy + "/files", want: see.only("studies").with("v").ours()},
		{pattern: "GET /clinicaldata/studies/{study}/sites/{site}/files", path: atSite + "/files", want: see.only("sites").with("v").ours()},
		{pattern: "PUT /clinicaldata/studies/{study}/forms", path: atStudy + "/forms", want: change.only("studies").with("v").ours()},
		{pattern: "PUT /clinicaldata/studies/{study}/sites/{site}/forms", path: atSite + "/forms", want: change.only("sites").with("v").ours()},
		{pattern: "POST /clinicaldata/studies/{study}/events", path: atStudy + "/events", want: change.only("studies").with("v")},
		{pattern: "POST /clinicaldata/studies/{study}/sites/{site}/events", path: atSite + "/events", want: change.only("sites").with("v")},
		{pattern: "PUT /clinicaldata/studies/{study}/events", path: atStudy + "/events", want: change.only("studies").with("v")},
		{pattern: "PUT /clinicaldata/studies/{study}/sites/{site}/events", path: atSite + "/events", want: change.only("sites").with("v")},
		{pattern: "POST /clinicaldata/studies/{study}/sites/{site}/participants/bulk", path: atSite + "/participants/bulk", want: change.only("sites").with("v")},
		{pattern: "POST /clinicaldata/studies/{study}/sites/{site}/events/bulk", path: atSite + "/events/bulk", want: change.only("sites").with("v")},
		{pattern: "POST /clinicaldata/studies/{study}/notes", path: atStudy + "/notes", want: change.only("studies").with("v").ours()},
		{pattern: "POST /clinicaldata/studies/{study}/sites/{site}/notes", path: atSite + "/notes", want: change.only("sites").with("v").ours()},
		{pattern: "PUT /clinicaldata/studies/{study}/notes/{note}", path: atStudy + "/notes/DN_1", want: change.only("studies").with("v").ours()},
		{pattern: "PUT /clinicaldata/studies/{study}/sites/{site}/notes/{note}", path: atSite + "/notes/DN_1", want: change.only("sites").with("v").ours()},

		{pattern: "POST /clinicaldata", path: "/clinicaldata", body: doc, want: change},
		{pattern: "POST /clinicaldata/import", path: "/clinicaldata/import", body: doc, want: change},
		{pattern: "POST /clinicaldata/import/xml", path: "/clinicaldata/import/xml", body: doc, want: change},
		{pattern: "POST /clinicaldata/import/upload-url", path: "/clinicaldata/import/upload-url", want: columns{".", ".", ".", "x", ".", "x", "x"}},
		{pattern: "POST /clinicaldata/import/{uuid}", proved: "TestUploadServesAnImport"},

		{pattern: "GET /clinicaldata/{study}/{participant}/{event}/{form}", proved: "TestRetrieval"},
		{pattern: "GET /clinicaldata/retrievals/{uuid}", proved: "TestLongRetrieval"},

		{pattern: "GET /jobs", proved: "TestPagesOfJobs"},
		{pattern: "GET /studies/{study}/jobs", path: "/studies/{study}/jobs", want: see.only("studies")},
		{pattern: "GET /studies/{study}/sites/{site}/jobs", path: "/studies/{study}/sites/{site}/jobs", want: see.only("sites")},
		{pattern: "GET /jobs/{uuid}/downloadFile", proved: "TestLogs"},
		{pattern: "DELETE /jobs/{uuid}", proved: "TestJobs"},
	}
}

// lake makes the other study, with a site.
func (w *world) lake() {
	w.t.Helper()
	w.fallback.must("PUT", "/studies/S_LAKE", `{}`)
	w.fallback.must("PUT", "/studies/S_SHORE", `{"parent":"S_LAKE"}`)
	w.fallback.must("PUT", "/studies/S_LAKE/metadata", strings.ReplaceAll(mustRead(w.t, "testdata/river.xml"), "S_RIVER", "S_LAKE"))
}

// people signs all callers in.
func (w *world) people() []caller {
	w.t.Helper()
	all := []caller{w.fallback}
	for _, who := range callers[1:] {
		all = append(all, w.newUser(who.login))
		if who.oid != "" {
			w.grant(who.oid, who.login, who.role)
		}
	}
	return all
}

func TestRights(t *testing.T) {
	rows := rightsRows()
	var patterns []string
	for _, r := range rows {
		patterns = append(patterns, r.pattern)
		if (r.proved == "") == (r.want == columns{}) {
			t.Errorf("%s wants either columns or a test", r.pattern)
		}
	}
	slices.Sort(patterns)
	if routes := odmapi.Routes(); !slices.Equal(patterns, routes) {
		t.Fatalf("the rows are about\n%s\nthe routes are\n%s", strings.Join(patterns, "\n"), strings.Join(routes, "\n"))
	}
	sources, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	for _, name := range sources {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(text)
	}

	w := newWorld(t)
	w.river()
	w.lake()
	people := w.people()
	for _, r := range rows {
		if r.proved != "" {
			if !strings.Contains(tests.String(), "func "+r.proved+"(t *testing.T)") {
				t.Errorf("%s: there is no %s", r.pattern, r.proved)
			}
			continue
		}
		method, _, _ := strings.Cut(r.pattern, " ")
		t.Run(strings.ReplaceAll(r.pattern, "/", ":"), func(t *testing.T) {
			for i, letters := range r.want {
				for j := range len(letters) {
					if letters[j] == '_' {
						continue
					}
					fill := strings.NewReplacer("{oid}", places[j].oid, "{study}", places[j].study, "{site}", places[j].site)
					a := people[i].do(method, fill.Replace(r.path), fill.Replace(r.body))
					got := "v"
					switch {
					case a.status == 200:
						got = "."
					case a.status == 403:
						got = "x"
					case a.status == 404:
						got = "-"
					case a.status == 401 || a.status >= 500:
						got = fmt.Sprint(a.status)
					}
					if got != letters[j:j+1] {
						t.Errorf("%s about %s: got %s (%d %s), want %c", callers[i].login, places[j].oid, got, a.status, a.body, letters[j])
					}
				}
			}
			if a := w.request(method, base+strings.NewReplacer("{oid}", "S_RIVER", "{study}", "S_RIVER", "{site}", "S_SPRING").Replace(r.path), r.body); a.status != 401 {
				t.Errorf("without a token: %d %s", a.status, a.body)
			}
		})
	}
}

func TestWhoSeesWhichStudies(t *testing.T) {
	w := newWorld(t)
	w.river()
	w.lake()
	people := w.people()
	for _, p := range places {
		path := "/clinicaldata/studies/" + p.study + "/participants"
		if p.site != "" {
			path = "/clinicaldata/studies/" + p.study + "/sites/" + p.site + "/participants"
		}
		w.fallback.must("POST", path, fmt.Sprintf(`{"subjectKey":"at %s"}`, p.oid))
	}
	all := []string{"S_RIVER", "S_SPRING", "S_MOUTH"}
	for i, want := range []struct{ studies, participants []string }{
		{append(slices.Clone(all), "S_LAKE", "S_SHORE"), all},
		{all, all},
		{all, all},
		{all, all},
		{[]string{"S_RIVER", "S_SPRING"}, []string{"S_SPRING"}},
		{[]string{"S_RIVER", "S_SPRING"}, []string{"S_SPRING"}},
		{nil, nil},
	} {
		var studies []struct{ OID, Role string }
		if err := json.Unmarshal([]byte(people[i].do("GET", "/studies", "").body), &studies); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range studies {
			got = append(got, s.OID)
		}
		if !slices.Equal(got, want.studies) {
			t.Errorf("%s sees %v, want %v", callers[i].login, got, want.studies)
		}
		if want.participants == nil {
			continue
		}
		var list struct{ StudyParticipants []struct{ SubjectKey string } }
		if err := json.Unmarshal([]byte(people[i].do("GET", atRiver, "").body), &list); err != nil {
			t.Fatal(err)
		}
		got = nil
		for _, p := range list.StudyParticipants {
			got = append(got, strings.TrimPrefix(p.SubjectKey, "at "))
		}
		if !slices.Equal(got, want.participants) {
			t.Errorf("%s sees the participants at %v, want %v", callers[i].login, got, want.participants)
		}
		own := people[i].do("GET", "/studies/"+want.studies[0]+"/users/"+strings.ToUpper(callers[i].login), "")
		if own.status != 200 {
			t.Errorf("%s asks for the own roles: %d %s", callers[i].login, own.status, own.body)
		}
	}
	// A site's user may not make a site, nor schedule anything for a participant of another one.
	site := people[4]
	site.do("PUT", "/studies/S_NEW", `{"parent":"S_RIVER"}`).refused(t, 403, "errorCode.noSufficientPrivileges")
	site.do("PUT", "/studies/S_NEW", `{}`).refused(t, 403, "errorCode.noSufficientPrivileges")
	people[1].do("PUT", "/studies/S_NEW", `{}`).refused(t, 403, "errorCode.noSufficientPrivileges")
	people[1].must("PUT", "/studies/S_NEW", `{"parent":"S_RIVER"}`)
	people[1].do("PUT", "/studies/S_NEWER", `{"parent":"S_LAKE"}`).refused(t, 404, "errorCode.studyOIDNotFound")
	site.do("POST", "/clinicaldata/studies/S_RIVER/sites/S_SPRING/events", `{"subjectKey":"at S_MOUTH","studyEventOID":"SE_FIRST","startDate":"2026-02-01"}`).
		refused(t, 400, "errorCode.participantNotFound")
	site.do("GET", atRiver+"?after=SS_ATSMOUTH", "").refused(t, 400, "errorCode.participantNotFound")
}

// On our own endpoints nobody learns of a study or a site in which there is no role (S-13 of the attacks).
func TestUnknownAndForbiddenLookAlike(t *testing.T) {
	w := newWorld(t)
	w.river()
	w.lake()
	people := w.people()
	rows := 0
	for _, r := range rightsRows() {
		ours := strings.Contains(r.pattern, " /studies/{study}") && !strings.HasSuffix(r.pattern, "/jobs") || strings.Contains(r.pattern, "/notes")
		if !ours || r.proved != "" {
			continue
		}
		rows++
		method, _, _ := strings.Cut(r.pattern, " ")
		told := func(who int, study, site string) string {
			oid := study
			if site != "" && !strings.Contains(r.path, "{site}") {
				oid = site
			}
			fill := strings.NewReplacer("{oid}", oid, "{study}", study, "{site}", site)
			a := people[who].do(method, fill.Replace(r.path), fill.Replace(r.body))
			return fmt.Sprint(a.status, " ", strings.NewReplacer(study, "the study", cmp.Or(site, "no site"), "the site").Replace(a.body))
		}
		for i, who := range callers[1:] {
			if got, want := told(i+1, "S_LAKE", "S_SHORE"), told(i+1, "S_NONE", "S_NOWHERE"); got != want {
				t.Errorf("%s, %s: %s of a site there is, %s of one there is not", r.pattern, who.login, got, want)
			}
			if got, want := told(i+1, "S_LAKE", ""), told(i+1, "S_NONE", ""); got != want && !strings.Contains(r.path, "{site}") {
				t.Errorf("%s, %s: %s of a study there is, %s of one there is not", r.pattern, who.login, got, want)
			}
			if who.oid != "S_SPRING" {
				continue
			}
			if got, want := told(i+1, "S_RIVER", "S_MOUTH"), told(i+1, "S_RIVER", "S_NOWHERE"); got != want {
				t.Errorf("%s, %s: %s of another site, %s of one there is not", r.pattern, who.login, got, want)
			}
		}
	}
	if rows < 10 {
		t.Errorf("only %d endpoints are ours", rows)
	}
	// An OID that is taken cannot be used, and no more is told.
	people[1].do("PUT", "/studies/S_LAKE", `{"parent":"S_RIVER"}`).refused(t, 400, "STUDY_OID_INVALID")
}
