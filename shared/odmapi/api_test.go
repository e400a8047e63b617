package odmapi_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"aliquot/infra/admin"
	"aliquot/infra/local"
	"aliquot/infra/local/localtest"
	"aliquot/shared/auth"
	"aliquot/shared/biobank"
	"aliquot/shared/blob"
	"aliquot/shared/clinical"
	"aliquot/shared/odmapi"
	"aliquot/shared/store"
)

const password = "Invented-1"

// world is an API over the local DynamoDB and S3, with what a test looks at besides.
type world struct {
	t        *testing.T
	api      *odmapi.API
	users    *biobank.Registry
	url      string       // where the API answers
	stack    *local.Stack // of the binaries, when the tests run on them
	queue    *queueLog
	log      *syncBuffer
	mu       sync.Mutex
	now      time.Time
	fallback caller // the administrator
}

// queueLog is a queue that keeps what it is sent, or fails.
type queueLog struct {
	mu   sync.Mutex
	sent []string
	err  error
}

func (q *queueLog) Send(_ context.Context, body []byte, _ string, _ time.Duration) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sent = append(q.sent, string(body))
	return q.err
}

type syncBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

// objects is the results bucket as clinical sees it.
type objects struct {
	*blob.Store
	bucket string
}

func (o objects) Get(ctx context.Context, key string) ([]byte, error) {
	return o.Store.Get(ctx, blob.Object{Bucket: o.bucket, Key: key}, 64<<20)
}

func (o objects) Put(ctx context.Context, key string, body []byte) error {
	_, err := o.Store.Put(ctx, o.bucket, key, "application/octet-stream", body)
	return err
}

func newWorld(t *testing.T) *world {
	t.Helper()
	stack := localtest.Served(t, map[string]string{"TokenCallsPerMinute": "0", "WrongPasswordsPerMinute": "0"})
	cfg := stack.AWSConfig()
	db := store.NewClient(cfg)
	tables := store.Tables{
		Records: stack.Tables["records"], Audit: stack.Tables["audit"], Jobs: stack.Tables["jobs"],
		Sessions: stack.Tables["sessions"],
	}
	w := &world{t: t, queue: &queueLog{}, log: &syncBuffer{}, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	records := store.NewRecords(db, tables)
	w.users = &biobank.Registry{Store: records}
	guard := &auth.Guard{Store: store.NewSessions(db, tables), Idle: time.Hour, Max: 24 * time.Hour, Random: rand.Reader}
	blobs := blob.New(cfg)
	w.api = &odmapi.API{
		Registry: &clinical.Registry{Store: records, Objects: objects{blobs, stack.Buckets["results"]}, Random: rand.Reader},
		Users:    w.users, Guard: guard, Jobs: store.NewJobs(db, tables).Space("odm"), Blobs: blobs, Queue: w.queue,
		Intake: stack.Buckets["intake"], Results: stack.Buckets["results"], Patience: time.Minute, Now: w.clock, Random: rand.Reader,
		Log: slog.New(slog.NewJSONHandler(w.log, nil)),
	}
	if _, err := admin.Ensure(t.Context(), w.users, guard, w.now, password); err != nil {
		t.Fatal(err)
	}
	if localtest.OnBinaries() {
		w.stack, w.url, w.now = stack, stack.API, time.Now().UTC()
	} else {
		server := httptest.NewServer(w.api.Handler())
		t.Cleanup(server.Close)
		w.url = server.URL
	}
	w.fallback = w.signIn("admin")
	return w
}

// logged is what the function has logged so far.
func (w *world) logged() string {
	w.t.Helper()
	if w.stack == nil {
		return w.log.String()
	}
	lines, err := os.ReadFile(filepath.Join(w.stack.Dir, "logs", "clinicaldata.log"))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(lines)
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) wait(d time.Duration) {
	if localtest.OnBinaries() { // their clock cannot be moved: moments differ, and no more
		time.Sleep(min(d, time.Second))
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// today is a moment of this day, as answers and the names of logs tell it.
var today = regexp.MustCompile(time.Now().UTC().Format("2006-01-02") + `(T\d\d:\d\d:\d\d\.\d{3}Z|-\d{9})`)

// frozen is a text of the binaries, whose clock is the real one, as of the clock of the other worlds.
func frozen(text string) string {
	return today.ReplaceAllStringFunc(text, func(moment string) string {
		if strings.Contains(moment, "T") {
			return "2026-03-01T12:00:00.000Z"
		}
		return "2026-03-01-120000000"
	})
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) is(t *testing.T, status int, body string) {
	t.Helper()
	if a.status != status || a.body != body {
		t.Errorf("got %d %s, want %d %s", a.status, a.body, status, body)
	}
}

// refused checks the status and that a code is told.
func (a answer) refused(t *testing.T, status int, code string) {
	t.Helper()
	if a.status != status || !strings.Contains(a.body, code) {
		t.Errorf("got %d %s, want %d %s", a.status, a.body, status, code)
	}
}

// request sends one; a header is "Name: value".
func (w *world) request(method, path, body string, headers ...string) answer {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	a := answer{resp.StatusCode, resp.Header, string(text)}
	if localtest.OnBinaries() {
		if a.status != http.StatusSeeOther { // a link is signed
			a.body = frozen(a.body)
		}
		a.header.Set("Content-Disposition", frozen(a.header.Get("Content-Disposition")))
	}
	if a.status >= 500 && a.status != http.StatusServiceUnavailable {
		w.t.Errorf("%s %s: %d %s, log %s", method, path, a.status, a.body, w.logged())
	}
	if a.status >= 400 {
		told := strings.NewReplacer("errorCode.", "", "error.", "", "errorcode.", "").Replace(strings.ToLower(a.body))
		for _, word := range []string{"error ", "exception", "sql", "stack trace"} {
			if strings.Contains(told, word) {
				w.t.Errorf("%s %s: clients take %q for a crash: %s", method, path, word, a.body)
			}
		}
	}
	return a
}

// caller sends requests with a token.
type caller struct {
	*world
	token string
}

const (
	base     = "/OpenClinica/pages/auth/api"
	tokenURL = "/user-service/api/oauth/token"
)

func (w *world) signIn(login string) caller {
	w.t.Helper()
	a := w.request("POST", tokenURL, fmt.Sprintf(`{"username":%q,"password":%q}`, login, password), "Content-Type: application/json")
	if a.status != http.StatusOK || len(a.body) != 54 {
		w.t.Fatalf("sign in as %s: %d %s", login, a.status, a.body)
	}
	return caller{w, a.body}
}

func (c caller) do(method, path, body string, headers ...string) answer {
	c.t.Helper()
	return c.request(method, base+path, body, append(headers, "Authorization: bearer "+c.token)...)
}

// must returns the object that a successful request answers with.
func (c caller) must(method, path, body string) map[string]any {
	c.t.Helper()
	a := c.do(method, path, body)
	v := map[string]any{}
	if err := json.Unmarshal([]byte(a.body), &v); err != nil || a.status != http.StatusOK {
		c.t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
	}
	return v
}

// newUser makes a user without roles, and signs in.
func (w *world) newUser(login string) caller {
	w.t.Helper()
	a, err := w.users.Actor(w.t.Context(), w.adminID())
	if err != nil {
		w.t.Fatal(err)
	}
	draft := &biobank.UserDraft{Institute: "Default Institute", Doc: biobank.UserDoc{
		FirstName: "M", LastName: "M", EmailAddress: login + "@example.org", LoginName: login, DomainName: biobank.Domain,
	}}
	out, err := w.users.Apply(w.t.Context(), a, w.clock(), []biobank.Change{{Op: biobank.Create, Draft: draft, ID: "make-" + login}})
	if err != nil || out[0].Err != nil {
		w.t.Fatal(err, out)
	}
	if err := w.api.Guard.SetPassword(w.t.Context(), out[0].Record.ID, login, password); err != nil {
		w.t.Fatal(err)
	}
	return w.signIn(login)
}

func (w *world) adminID() int64 {
	w.t.Helper()
	rec, err := w.users.UserByLogin(w.t.Context(), biobank.Domain, "admin")
	if err != nil || rec == nil {
		w.t.Fatal(rec, err)
	}
	return rec.ID
}

// grant gives a role in a study or at a site.
func (w *world) grant(oid, login, role string) {
	w.t.Helper()
	w.fallback.must("PUT", "/studies/"+oid+"/users/"+login, fmt.Sprintf(`{"role":%q}`, role))
}

// river makes the invented study S_RIVER with metadata and the sites S_SPRING and S_MOUTH.
func (w *world) river() {
	w.t.Helper()
	w.fallback.must("PUT", "/studies/S_RIVER", `{"name":"River","uniqueProtocolId":"RIVER-1"}`)
	w.fallback.must("PUT", "/studies/S_SPRING", `{"name":"Spring","uniqueProtocolId":"SPRING","parent":"S_RIVER"}`)
	w.fallback.must("PUT", "/studies/S_MOUTH", `{"name":"Mouth","parent":"s_river"}`)
	w.fallback.must("PUT", "/studies/S_RIVER/metadata", mustRead(w.t, "testdata/river.xml"))
}

func mustRead(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
