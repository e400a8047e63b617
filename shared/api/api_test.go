package api_test

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
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aliquot/infra/admin"
	"aliquot/infra/local"
	"aliquot/infra/local/localtest"
	"aliquot/shared/api"
	"aliquot/shared/auth"
	"aliquot/shared/biobank"
	"aliquot/shared/blob"
	"aliquot/shared/store"
)

const password = "Invented-1"

// world is an API over the local DynamoDB and S3, with what a test looks at besides.
type world struct {
	t        *testing.T
	api      *api.API
	registry *biobank.Registry
	url      string       // where the API answers
	stack    *local.Stack // of the binaries, when the tests run on them
	queue    *queueLog
	log      *syncBuffer
	mu       sync.Mutex
	now      time.Time
	step     time.Duration // that passes whenever the time is asked for
	fresh    int           // names made
	outsize  bool          // whether requests have the header of that name
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

func newWorld(t *testing.T) *world {
	t.Helper()
	stack := localtest.Served(t, map[string]string{"WrongPasswordsPerMinute": "0"})
	cfg := stack.AWSConfig()
	db := store.NewClient(counting(cfg))
	tables := store.Tables{
		Records: stack.Tables["records"], Audit: stack.Tables["audit"], Jobs: stack.Tables["jobs"],
		Sessions: stack.Tables["sessions"],
	}
	w := &world{t: t, queue: &queueLog{}, log: &syncBuffer{}, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	w.registry = &biobank.Registry{Store: biobank.Once(store.NewRecords(db, tables))}
	guard := &auth.Guard{Store: store.NewSessions(db, tables), Idle: time.Hour, Max: 24 * time.Hour, Random: rand.Reader, Rules: auth.Rules{WrongPerMinute: 10_000}}
	w.api = &api.API{
		Registry: w.registry, Guard: guard, Jobs: store.NewJobs(db, tables), Blobs: blob.New(cfg), Queue: w.queue,
		Intake: stack.Buckets["intake"], Results: stack.Buckets["results"], Now: w.clock, Random: rand.Reader,
		Log: slog.New(slog.NewJSONHandler(w.log, nil)),
	}
	if _, err := admin.Ensure(t.Context(), w.registry, guard, w.now, password); err != nil {
		t.Fatal(err)
	}
	if localtest.OnBinaries() {
		w.stack, w.url, w.now = stack, stack.API, time.Now().UTC()
		return w
	}
	w.api.Watch(api.Watch{
		Missing:    func(pattern, name string) { t.Errorf("%s reads %s, which the document does not tell", pattern, name) },
		Identified: identified, Served: served,
	})
	server := httptest.NewServer(tallied(w.api.Handler()))
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

// logged is what the function has logged so far.
func (w *world) logged() string {
	w.t.Helper()
	if w.stack == nil {
		return w.log.String()
	}
	lines, err := os.ReadFile(filepath.Join(w.stack.Dir, "logs", "api.log"))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(lines)
}

// timestamp is a moment of these years in milliseconds.
var timestamp = regexp.MustCompile(`\b1[78]\d{11}\b`)

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(w.step)
	return w.now
}

// hurry makes that much time pass whenever somebody asks for it.
func (w *world) hurry(step time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.step = step
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

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// codes are the codes of a refusal, joined.
func (a answer) codes(t *testing.T) string {
	t.Helper()
	var list []struct{ Code, Message string }
	if err := json.Unmarshal([]byte(a.body), &list); err != nil {
		t.Fatalf("status %d, body %q is not an array of faults", a.status, a.body)
	}
	var codes []string
	for _, p := range list {
		codes = append(codes, p.Code)
		if p.Message == "" {
			t.Errorf("%s has no message", p.Code)
		}
	}
	return strings.Join(codes, ",")
}

// request sends one; a header is "Name: value". Every answer is checked for what all have in common.
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
	if w.outsize {
		req.Header.Set(outsize, "yes")
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
	if a.header.Get("Cache-Control") != "no-cache, no-store, must-revalidate" || a.header.Get("Expires") != "0" {
		w.t.Errorf("%s %s may be cached: %v", method, path, a.header)
	}
	k, err := theContract()
	if err != nil {
		w.t.Fatal(err)
	}
	k.check(w.t, method, path, a)
	if a.status >= 400 && method != http.MethodHead {
		for _, word := range []string{"error", "exception", "sql", "stack trace", "jdbc"} {
			if strings.Contains(strings.ToLower(theirCodes.Replace(a.body)), word) {
				w.t.Errorf("%s %s: clients take %q for a crash: %s", method, path, word, a.body)
			}
		}
	}
	return a
}

// theirCodes takes out the codes of the contract that hold such a word themselves.
var theirCodes = strings.NewReplacer("internal_error", "", "IMPORT_JOB_RECORD_PARSE_ERROR", "")

// caller sends requests with a token.
type caller struct {
	*world
	token string
}

const base = "/openspecimen/rest/ng"

func (w *world) signIn(login, password string) caller {
	w.t.Helper()
	a := w.request("POST", base+"/sessions", fmt.Sprintf(`{"loginName":%q,"password":%q}`, login, password))
	var v struct{ Token string }
	if err := json.Unmarshal([]byte(a.body), &v); err != nil || a.status != http.StatusOK || v.Token == "" {
		w.t.Fatalf("sign in as %s: %d %s", login, a.status, a.body)
	}
	return caller{w, v.Token}
}

func (c caller) do(method, path, body string, headers ...string) answer {
	c.t.Helper()
	return c.request(method, base+path, body, append(headers, "X-OS-API-TOKEN: "+c.token)...)
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

// refuses checks that a request is refused with a status and codes.
func (a answer) refused(t *testing.T, status int, codes string) {
	t.Helper()
	if a.status != status || a.codes(t) != codes {
		t.Errorf("got %d %s, want %d %s", a.status, a.body, status, codes)
	}
}

// golden compares JSON with a file of testdata, indented but in its own order of members.
func golden(t *testing.T, name, body string) {
	t.Helper()
	if localtest.OnBinaries() {
		body = timestamp.ReplaceAllStringFunc(body, func(text string) string {
			if ms, err := strconv.ParseInt(text, 10, 64); err != nil || time.Since(time.UnixMilli(ms)).Abs() > time.Hour {
				return text
			}
			return "1772366400000" // of now: their clock is the real one
		})
	}
	var got bytes.Buffer
	if err := json.Indent(&got, []byte(body), "", "  "); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	got.WriteByte('\n')
	file := filepath.Join("testdata", name+".json")
	if os.Getenv("ALIQUOT_GOLDEN") == "write" {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func TestPaths(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	tests := []struct {
		method, path string
		status       int
	}{
		{"GET", "/rest/ng/users/current-user", 200},
		{"GET", "/openspecimen/rest/ng/users/current-user", 200},
		{"GET", "/rest/ng/users/current-user/", 200},
		{"GET", "//rest//ng///users//current-user//", 200},
		{"GET", "/rest/ng/users/2?x=&", 200},
		{"GET", "/rest/ng/users/two", 400},
		{"GET", "/rest/ng/users/-2", 400},
		{"GET", "/rest/ng/users/99999999999999999999", 400},
		{"GET", "/rest/ng/users/77", 400},
		{"GET", "/rest/ng/nothing", 404},
		{"GET", "/rest/ng", 404},
		{"GET", "/", 404},
		{"GET", "/other/rest/ng/users/2", 404},
		{"GET", "/rest/ng/institutes/../users/2", 404},
		{"GET", "/rest/ng/users/%2e%2e/users/2", 404},
		{"GET", "/rest/ng/users%2f2", 200},
		{"POST", "/rest/ng/users/current-user", 405},
		{"PATCH", "/rest/ng/sessions", 405},
		{"OPTIONS", "/rest/ng/sessions", 200},
		{"HEAD", "/rest/ng/users/2", 200},
		{"HEAD", "/rest/ng/users/77", 400},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			if tt.path == "/" {
				localtest.HandlerOnly(t) // the gateway answers by itself
			}
			a := w.request(tt.method, tt.path, "", "X-OS-API-TOKEN: "+c.token)
			if a.status != tt.status {
				t.Errorf("status %d, want %d: %s", a.status, tt.status, a.body)
			}
			if tt.status == http.StatusMethodNotAllowed && a.header.Get("Allow") == "" {
				t.Error("no Allow header")
			}
			if tt.status >= 400 && tt.method != http.MethodHead {
				a.codes(t)
			}
		})
	}
}

func TestBrowsersOfOtherOriginsMayCall(t *testing.T) {
	w := newWorld(t)
	a := w.request("OPTIONS", base+"/users/2", "", "Origin: https://lab.example.org")
	if a.status != http.StatusOK || a.body != "" {
		t.Errorf("%d %q, want 200 and nothing", a.status, a.body)
	}
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin":      "https://lab.example.org",
		"Access-Control-Allow-Credentials": "true",
		"Access-Control-Allow-Methods":     "POST, GET, PUT, DELETE, PATCH, OPTIONS",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if !strings.Contains(a.header.Get("Access-Control-Allow-Headers"), "X-OS-API-TOKEN") {
		t.Error("the token's header is not allowed")
	}
}

func TestBodies(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	tests := map[string]struct {
		body   string
		status int
		code   string
	}{
		"none":            {"", 400, "INVALID_REQUEST"},
		"not JSON":        {"<a/>", 400, "INVALID_REQUEST"},
		"a list":          {`[{"name":"x"}]`, 400, "INVALID_REQUEST"},
		"twice":           {`{"name":"x","name":"y"}`, 400, "INVALID_REQUEST"},
		"behind":          {`{"name":"x"}1`, 400, "INVALID_REQUEST"},
		"wrong type":      {`{"name":{"a":1}}`, 400, "INVALID_REQUEST"},
		"too large":       {`{"name":"` + strings.Repeat("x", 4<<20) + `"}`, 413, "COMMON_INVALID_INPUT"},
		"empty object":    {`{}`, 400, "INSTITUTE_NAME_REQUIRED"},
		"only other case": {`{"NAME":"x"}`, 400, "INSTITUTE_NAME_REQUIRED"},
		"same name again": {`{"name":"default institute"}`, 400, "INSTITUTE_DUP_NAME"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c.do("POST", "/institutes", tt.body).refused(t, tt.status, tt.code)
		})
	}
	t.Run("nothing was written", func(t *testing.T) {
		got := c.must("POST", "/institutes", `{"name":"Next","id":77,"createdBy":5,"unknown":{"a":[1]}}`)
		if got["id"] == 77.0 || got["usersCount"] != 0.0 {
			t.Errorf("got %v", got)
		}
	})
}

func TestDuplicateNamesSaySame(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	a := c.do("POST", "/institutes", `{"name":"Default Institute"}`)
	if !strings.Contains(a.body, "same") {
		t.Errorf("clients look for the word same: %s", a.body)
	}
}

// Messages are text of HTML, whatever was sent or is stored; what is stored is as it was sent.
func TestMessagesAreEscaped(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	const name = `<img src=x onclick=\"alert('1 & 2')\">`
	made := c.must("POST", "/institutes", `{"name":"`+name+`"}`)
	var refused []struct{ Message string }
	a := c.do("POST", "/institutes", `{"name":"`+name+`"}`)
	a.refused(t, 400, "INSTITUTE_DUP_NAME")
	if err := json.Unmarshal([]byte(a.body), &refused); err != nil || strings.ContainsAny(refused[0].Message, `<>"'`) || !strings.Contains(refused[0].Message, "&lt;img src=x") {
		t.Errorf("%v, got %s", err, a.body)
	}
	if want := strings.ReplaceAll(name, `\`, ""); made["name"] != want {
		t.Errorf("stored as %v, want %s", made["name"], want)
	}
}

func TestInternalFaultsTellNothing(t *testing.T) {
	localtest.HandlerOnly(t)
	w := newWorld(t)
	c := w.signIn("admin", password)
	w.api.Registry.Store = panics{w.api.Registry.Store}
	a := c.do("POST", "/institutes", `{"name":"canary-institute"}`)
	a.refused(t, http.StatusInternalServerError, "internal_error")
	log := w.logged()
	if strings.Contains(log, "canary") || strings.Contains(a.body, "canary") {
		t.Error("the value of the panic got out")
	}
	if !strings.Contains(log, "panic: *api_test.secret") || !strings.Contains(log, "panics.Transact") {
		t.Errorf("the log does not tell where: %s", log)
	}
	id := a.body[strings.Index(a.body, "log is ")+7:][:32]
	if !strings.Contains(log, id) {
		t.Errorf("the log does not have the id %q", id)
	}
}

// panics is a store that panics with somebody's data in hand.
type panics struct{ biobank.Store }

type secret struct{ writes []biobank.Write }

func (panics) Transact(_ context.Context, writes []biobank.Write) ([]biobank.Result, error) {
	panic(&secret{writes})
}

// mustApply makes a record directly in the registry, where the API has no route for it yet.
func (w *world) mustApply(op biobank.Op, d biobank.Draft) *biobank.Record {
	w.t.Helper()
	actor, err := w.registry.Actor(w.t.Context(), biobank.AdminUserID)
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := w.registry.Apply(w.t.Context(), actor, w.clock(), []biobank.Change{{Op: op, Draft: d, ID: "test"}})
	if err != nil {
		w.t.Fatal(err)
	}
	if out[0].Err != nil {
		w.t.Fatal(out[0].Err)
	}
	return out[0].Record
}

// newUser makes a user of institute 1 with a password, and signs in.
func (w *world) newUser(login, kind string, roles ...biobank.Grant) caller {
	w.t.Helper()
	return w.newUserOf("Default Institute", login, kind, roles...)
}

// newUserOf makes a user of an institute with a password, and signs in.
func (w *world) newUserOf(institute, login, kind string, roles ...biobank.Grant) caller {
	w.t.Helper()
	doc := biobank.UserDoc{
		FirstName: "Some", LastName: login, EmailAddress: login + "@example.org", DomainName: biobank.Domain,
		LoginName: login, Type: kind, Roles: roles, ActivityStatus: biobank.StatusActive,
	}
	rec := w.mustApply(biobank.Create, &biobank.UserDraft{Institute: institute, Doc: doc})
	if err := w.api.Guard.SetPassword(w.t.Context(), rec.ID, login, password); err != nil {
		w.t.Fatal(err)
	}
	return w.signIn(login, password)
}

// mustDecode reads the JSON of a successful answer.
func mustDecode(t *testing.T, a answer, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), into); err != nil || a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
}
