package odmapi_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"aliquot/infra/local/localtest"
	"aliquot/shared/blob"
	"aliquot/shared/jobs"
	"aliquot/shared/odmimport"
)

// Who sees whose data, metadata and users (sections 1.3 and 6.2).
func TestRetrieval(t *testing.T) {
	w := newWorld(t)
	w.river()
	w.lake()
	all := w.people()
	for site, id := range map[string]string{"S_SPRING": "Up", "S_MOUTH": "Down"} {
		w.fallback.must("POST", "/clinicaldata/studies/S_RIVER/sites/"+site+"/participants", `{"subjectKey":"`+id+`"}`)
	}
	// The participants that each caller sees of the study, of its sites, and of another study.
	want := map[string][4]string{
		"admin": {"Up Down", "Up", "Down", ""}, "manager": {"Up Down", "Up", "Down", ""}, "entry": {"Up Down", "Up", "Down", ""},
		"monitor": {"Up Down", "Up", "Down", ""}, "coordinator": {"Up", "Up", "", ""}, "watcher": {"Up", "Up", "", ""}, "stranger": {"", "", "", ""},
	}
	for i, who := range callers {
		for j, oid := range []string{"S_RIVER", "S_SPRING", "S_MOUTH", "S_LAKE"} {
			a := all[i].do("GET", "/clinicaldata/"+oid+"/*/*/*?includeMetadata=y", "", "Accept: application/xml")
			if a.status != 200 {
				t.Fatalf("%s about %s: %d %s", who.login, oid, a.status, a.body)
			}
			var seen []string
			for _, id := range []string{"Up", "Down"} {
				if strings.Contains(a.body, `StudySubjectID="`+id+`"`) {
					seen = append(seen, id)
				}
			}
			if got := strings.Join(seen, " "); got != want[who.login][j] {
				t.Errorf("%s sees %q of %s, want %q", who.login, got, oid, want[who.login][j])
			}
			if strings.HasPrefix(who.role, "Clinical") && (strings.Contains(a.body, "S_MOUTH") || strings.Contains(a.body, "monitor")) {
				t.Errorf("somebody of a site sees another site or the users of the study:\n%s", a.body)
			}
			if want[who.login][j] == "" && j < 3 && (strings.Contains(a.body, "<Study") || strings.Contains(a.body, "<AdminData")) {
				t.Errorf("%s sees the metadata of %s", who.login, oid)
			}
		}
	}
	c := all[0]
	for path, want := range map[string]int{
		"/clinicaldata/S_RIVER/Up/*/*": 200, "/clinicaldata/S_RIVER/%2A/SE_X[2],SE_Y/F_X": 200, "/clinicaldata/S_NONE/*/*/*": 404,
	} {
		if a := c.do("GET", path, ""); a.status != want {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	for accept, want := range map[string]string{
		"": "application/json", "*/*": "application/json", "text/xml": "application/xml", "text/html, application/json;q=0.9": "application/json",
		"application/json;q=0.1, application/xml": "application/xml", "application/xml;q=0, */*": "application/json", "application/json;q=0, */*;q=0.5": "application/xml",
		"application/xml, application/json": "application/xml", "Application/JSON, application/xml": "application/json", "text/*": "application/xml",
	} {
		a := c.do("GET", "/clinicaldata/S_RIVER/Up/*/*?clinicalData=n&INCLUDEMETADATA=no", "", "Accept: "+accept)
		if got := a.header.Get("Content-Type"); !strings.HasPrefix(got, want) || strings.Contains(a.body, "SubjectData") {
			t.Errorf("accepting %q: %s %s", accept, got, a.body)
		}
	}
	for usual, queries := range map[bool]map[string]int{
		false: {"": 1, "?legacyNamespaceKeys=y": 2, "?legacyNamespaceKeys=n": 1},
		true:  {"": 2, "?legacyNamespaceKeys=y": 2, "?legacyNamespaceKeys=n": 1},
	} {
		if usual && localtest.OnBinaries() {
			continue // they have the setting's default
		}
		w.api.NamespaceKeys = usual
		for query, want := range queries {
			if a := c.do("GET", "/clinicaldata/S_RIVER/Up/*/*"+query, ""); strings.Count(a.body, `"@xmlns:OpenClinica":`) != want {
				t.Errorf("%q, usually %t: %s", query, usual, a.body)
			}
		}
	}
	// What is neither y nor yes is no, and of one name in several cases the last one counts.
	for query, want := range map[string]bool{
		"": true, "clinicaldata=": false, "clinicaldata=maybe": false, "clinicaldata=YES": true, "clinicalData=n&clinicaldata=y": true,
		"clinicaldata=y&clinicalData=n": false, "includeMedtadata=y&%zz=n": true,
	} {
		a := c.do("GET", "/clinicaldata/S_RIVER/Up/*/*?"+query, "")
		if got := strings.Contains(a.body, "ClinicalData"); a.status != 200 || got != want {
			t.Errorf("?%s gives data: %t, %d", query, got, a.status)
		}
	}
	for _, accept := range []string{"image/png", "application/xml;q=0", "image/png, application/json;q=0"} {
		if a := c.do("GET", "/clinicaldata/S_RIVER/*/*/*", "", "Accept: "+accept); a.status != 406 {
			t.Errorf("accepting %s: %d %s", accept, a.status, a.body)
		}
	}
	if log := w.logged(); strings.Contains(log, `"ERROR"`) {
		t.Errorf("what a caller asks for raises an alarm: %s", log)
	}
}

// files are the buckets as an importer sees them.
type files struct{ *blob.Store }

func (f files) Open(ctx context.Context, bucket, key, version string, from, to int64) (io.ReadCloser, error) {
	return f.Store.Open(ctx, blob.Object{Bucket: bucket, Key: key, Version: version}, from, to)
}

func (f files) Size(ctx context.Context, bucket, key, version string) (int64, error) {
	info, err := f.Head(ctx, blob.Object{Bucket: bucket, Key: key, Version: version})
	if errors.Is(err, blob.ErrNotFound) {
		err = jobs.ErrNoFile
	}
	return info.Size, err
}

func (f files) Version(ctx context.Context, bucket, key string) (string, error) {
	info, err := f.Head(ctx, blob.Object{Bucket: bucket, Key: key})
	return info.Version, err
}

func (f files) Put(ctx context.Context, bucket, key string, body []byte) error {
	_, err := f.Store.Put(ctx, bucket, key, "application/octet-stream", body)
	return err
}

func (f files) Create(ctx context.Context, bucket, key, contentType string) jobs.Writer {
	return f.Store.Create(ctx, bucket, key, contentType)
}

// importer works on the jobs of the API.
func (w *world) importer() *odmimport.Importer {
	planners := &odmimport.Planners{Studies: w.api.Registry, Users: w.users, Now: w.clock}
	return &odmimport.Importer{
		Config: odmimport.Config{Results: w.api.Results, Lease: time.Minute, PartRows: 100, MaxAttempts: 2},
		Jobs:   w.api.Jobs, Files: files{w.api.Blobs}, Queue: w.queue, Store: w.api.Registry.Store,
		Planner: planners.Make, Document: planners.Document, Now: time.Now, Random: rand.Reader, Log: w.api.Log,
	}
}

// work does what the last message on the queue asks for, until no other one follows. Each worker has so much time left.
func (w *world) work(left time.Duration) (workers int) {
	w.t.Helper()
	for known := 0; known < len(w.queue.sent); workers++ {
		known = len(w.queue.sent)
		ctx, cancel := context.WithTimeout(w.t.Context(), left)
		err := w.importer().Handle(ctx, []byte(w.queue.sent[known-1]))
		cancel()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return workers
}

// follow asks for a document as a client does that follows redirections, with the token as long as the host stays. between
// is called where the client has been sent to come again.
func (c caller) follow(path, accept string, between func(location string)) (status int, contentType, body string) {
	c.t.Helper()
	a := c.do("GET", path, "", "Accept: "+accept)
	for range 10 {
		if a.status != http.StatusSeeOther {
			return a.status, a.header.Get("Content-Type"), a.body
		}
		to := a.header.Get("Location")
		if repeated := fmt.Sprintf(`{"url":%q}`, to); strings.ReplaceAll(a.body, `\u0026`, "&") != repeated {
			c.t.Errorf("the body is %s, want %s", a.body, repeated)
		}
		if below, ok := strings.CutPrefix(to, base); ok {
			between(to)
			a = c.do("GET", below, "")
			continue
		}
		there := fetch(c.t, to)
		return there.status, there.header.Get("Content-Type"), there.body
	}
	c.t.Fatal("the redirections do not end")
	return 0, "", ""
}

// fetch gets what a link leads to.
func fetch(t *testing.T, url string) answer {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// What takes long is collected by a job, and is what would have been given at once, byte for byte, however many workers
// write it.
func TestLongRetrieval(t *testing.T) {
	localtest.HandlerOnly(t)
	w := newWorld(t)
	w.river()
	c := w.fallback
	for i, at := range []string{atSpring, atSpring, atMouth, atRiver, atSpring, atMouth, atSpring} {
		c.must("POST", at, fmt.Sprintf(`{"subjectKey":"R-%d"}`, i+1))
		w.take("S_RIVER", strings.ReplaceAll(vitals, "R-1", fmt.Sprintf("R-%d", i+1)))
		w.take("S_RIVER", document("S_RIVER", fmt.Sprintf("R-%d", i+1), fmt.Sprintf(`<ItemData ItemOID="I_SEX" Value="M"/><ItemData ItemOID="I_PULSE" Value="6%d"/>`, i)))
	}
	const all = "?includeMetadata=y&includeAudits=y&includeDNs=y"
	// How many workers it takes where each has time for one participant.
	for path, hurried := range map[string]int{
		"/clinicaldata/S_RIVER/*/*/*" + all: 5, "/clinicaldata/S_MOUTH/*/*/*" + all: 2, "/clinicaldata/S_RIVER/R-4/SE_FIRST/*": 1,
		"/clinicaldata/S_RIVER/*/*/*?clinicalData=n&includeMetadata=y": 1, "/clinicaldata/S_RIVER/R-0/*/*": 1,
	} {
		for _, accept := range []string{"application/xml", "application/json"} {
			w.wait(time.Minute) // only so many a minute
			short := c.do("GET", path, "", "Accept: "+accept)
			if short.status != 200 {
				t.Fatalf("%s: %d %s", path, short.status, short.body)
			}
			for left, want := range map[time.Duration]int{time.Hour: 1, 40 * time.Second: hurried} {
				w.api.Patience = 0
				waited, workers := 0, 0
				status, contentType, body := c.follow(path, accept, func(string) {
					if waited++; waited == 2 {
						workers = w.work(left)
					}
				})
				if status != 200 || contentType != accept || body != short.body {
					t.Errorf("%s as %s, %s left: %d %s\n%s\nwant\n%s", path, accept, left, status, contentType, body, short.body)
				}
				if workers != want {
					t.Errorf("%s as %s, %s left: %d workers, want %d", path, accept, left, workers, want)
				}
				w.api.Patience = time.Minute
			}
		}
	}

	// It is for whoever asked, with what that one may see when it is collected; and no list shows it.
	w.wait(time.Minute)
	entry := w.newUser("entry")
	w.grant("S_SPRING", "entry", "Viewer")
	w.api.Patience = 0
	const river = "/clinicaldata/S_RIVER/*/*/*"
	_, _, text := entry.follow(river, "text/xml", func(to string) {
		c.do("GET", strings.TrimPrefix(to, base), "").refused(t, 404, "errorCode.invalidUuid")
		uuid := to[strings.LastIndex(to, "/")+1:]
		entry.do("GET", "/jobs/"+uuid+"/downloadFile", "").refused(t, 404, "errorCode.invalidUuid")
		entry.do("DELETE", "/jobs/"+uuid, "").refused(t, 400, "")
		entry.do("GET", "/studies/S_RIVER/sites/S_SPRING/jobs", "").is(t, 200, "[]")
		w.grant("S_SPRING", "entry", "")
		w.work(time.Hour)
	})
	if strings.Contains(text, "ClinicalData") || !strings.Contains(text, "<ODM ") {
		t.Errorf("somebody who has no role any more sees %s", text)
	}
	// Nor does anybody get what was collected under rights that are gone.
	w.grant("S_SPRING", "entry", "Viewer")
	status, _, body := entry.follow(river, "text/xml", func(string) {
		w.work(time.Hour)
		w.grant("S_SPRING", "entry", "")
	})
	if status != 404 || body != "errorCode.invalidUuid" {
		t.Errorf("collected under other rights: %d %s", status, body)
	}
	// Nobody gets what was begun under other rights: the rest would not be that of the beginning.
	w.grant("S_RIVER", "entry", "Viewer")
	first := true
	status, _, body = entry.follow(river, "text/xml", func(string) {
		if !first {
			return
		}
		first = false
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
		defer cancel()
		if err := w.importer().Handle(ctx, []byte(w.queue.sent[len(w.queue.sent)-1])); err != nil {
			t.Fatal(err)
		}
		w.grant("S_RIVER", "entry", "")
		w.grant("S_SPRING", "entry", "Viewer")
		w.work(time.Hour)
	})
	if status != 400 || !strings.Contains(body, "What you may see has changed") { // not 503: to wait would be of no use
		t.Errorf("under other rights: %d %s", status, body)
	}
	c.do("GET", "/clinicaldata/retrievals/none", "").refused(t, 404, "errorCode.invalidUuid")
	w.queue.err = errors.New("the queue is down")
	if a := c.do("GET", river, ""); a.status != 303 {
		t.Errorf("without the queue: %d %s", a.status, a.body)
	}
	// Who asks again and again instead of waiting makes so many jobs a minute and no more.
	w.wait(time.Minute)
	for n := range 11 {
		a := c.do("GET", river, "")
		if n < 10 && a.status != 303 {
			t.Fatalf("request %d: %d %s", n, a.status, a.body)
		} else if n == 10 {
			a.refused(t, 429, "AUTH_TOO_MANY_CALLS")
		}
	}
}
