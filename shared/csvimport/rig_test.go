package csvimport_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aliquot/infra/local/localtest"
	"aliquot/shared/biobank"
	"aliquot/shared/biobank/biobanktest"
	"aliquot/shared/csvimport"
	"aliquot/shared/jobs"
	"aliquot/shared/store"
	"aliquot/shared/wire"
)

// rig is an importer with what it works on, a clock that the test sets, and a queue that the test empties.
type rig struct {
	t     testing.TB
	im    *csvimport.Importer
	reg   *biobank.Registry
	files csvimport.Files
	jobs  jobStore
	store biobank.Store
	queue *queue
	clock *clock
	log   *syncBuffer
	admin *biobank.Actor
	lab   *biobank.Actor
}

// jobStore is what jobs and their requests to stop are kept in.
type jobStore interface {
	csvimport.JobStore
	List(context.Context, jobs.Filter) ([]*jobs.Job, error)
	RequestStop(context.Context, int64) (*jobs.Job, error)
}

// clock is the time of a rig.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// until moves the clock forward to a time, never back.
func (c *clock) until(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.After(c.at) {
		c.at = t
	}
}

func (c *clock) pass(d time.Duration) { c.until(c.now().Add(d)) }

// syncBuffer takes the log lines of several workers.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// queue delivers messages when they are due, in order, or in any with random set.
type queue struct {
	mu       sync.Mutex
	clock    *clock
	random   *rand.Rand
	messages []message
	dead     []message
}

type message struct {
	body     []byte
	due      time.Time
	received int
}

func (q *queue) Send(ctx context.Context, body []byte, _ string, delay time.Duration) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.messages = append(q.messages, message{body: bytes.Clone(body), due: q.clock.now().Add(delay)})
	return ctx.Err()
}

// next takes a message that is due, waiting for the first that will be.
func (q *queue) next() (message, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.messages) == 0 {
		return message{}, false
	}
	first := q.messages[0].due
	for _, m := range q.messages {
		if m.due.Before(first) {
			first = m.due
		}
	}
	q.clock.until(first)
	now := q.clock.now()
	var due []int
	for i, m := range q.messages {
		if !m.due.After(now) {
			due = append(due, i)
		}
	}
	pick := due[0]
	if q.random != nil {
		pick = due[q.random.IntN(len(due))]
	}
	m := q.messages[pick]
	q.messages = append(q.messages[:pick:pick], q.messages[pick+1:]...)
	m.received++
	return m, true
}

// back puts a message back, to come again after a while, or away when it has come too often.
func (q *queue) back(m message, after time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if m.received >= maxReceives {
		q.dead = append(q.dead, m)
		return
	}
	m.due = q.clock.now().Add(after)
	q.messages = append(q.messages, m)
}

// maxReceives is as in the template.
const maxReceives = 20

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.messages)
}

// lose throws every message away.
func (q *queue) lose() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.messages = nil
}

var start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

var config = csvimport.Config{
	Intake: "intake", Results: "results", Lease: time.Minute, DropWait: 10 * time.Second, ChunkRows: 50, MaxAttempts: 5,
}

// world is what a rig in memory works on.
type world struct {
	records *biobanktest.Memory
	jobs    *memJobs
	files   *memFiles
}

// newRig is a rig in memory, with a study set up.
func newRig(t testing.TB) *rig {
	r := rigOver(t, &world{biobanktest.NewMemory(), newMemJobs(), nil})
	r.seed()
	return r
}

// rigOver is a rig in memory over what others have written.
func rigOver(t testing.TB, w *world) *rig {
	t.Helper()
	c := &clock{at: start}
	if w.files == nil {
		w.files = newMemFiles(c.now)
	}
	w.files.now = c.now
	records := &memRecords{Memory: w.records, jobs: w.jobs}
	r := &rig{
		t: t, clock: c, queue: &queue{clock: c}, log: &syncBuffer{},
		files: w.files, jobs: w.jobs, store: records, reg: &biobank.Registry{Store: records},
	}
	r.im = &csvimport.Importer{
		Config: config, Jobs: w.jobs, Files: w.files, Queue: r.queue, Registry: r.reg, Now: c.now,
		Under: func(c *jobs.Chunk, until func() time.Time, progress func() (int64, int64)) *biobank.Registry {
			leased := *records
			leased.chunk, leased.until, leased.progress = c, until, progress
			return &biobank.Registry{Store: &leased}
		},
		Log: slog.New(slog.NewJSONHandler(r.log, nil)),
	}
	return r
}

// newStackRig is a rig over the local DynamoDB and S3, with a study set up.
func newStackRig(t testing.TB) *rig {
	t.Helper()
	s := localtest.Data(t)
	cfg := s.AWSConfig()
	c := &clock{at: start}
	q := &queue{clock: c}
	settings := wire.ImportSettings{
		Records: s.Tables["records"], Audit: s.Tables["audit"], Jobs: s.Tables["jobs"],
		Intake: s.Buckets["intake"], Results: s.Buckets["results"],
		Lease: int(config.Lease.Seconds()), DropWait: int(config.DropWait.Seconds()),
		ChunkRows: config.ChunkRows, MaxAttempts: config.MaxAttempts,
	}
	tables := store.Tables{Records: settings.Records, Audit: settings.Audit, Jobs: settings.Jobs}
	db := store.NewClient(cfg)
	r := &rig{
		t: t, clock: c, queue: q, log: &syncBuffer{}, im: wire.NewImporter(cfg, settings, q),
		jobs: store.NewJobs(db, tables), store: store.NewRecords(db, tables),
	}
	r.im.Log, r.im.Now = slog.New(slog.NewJSONHandler(r.log, nil)), c.now
	r.reg, r.files = r.im.Registry, r.im.Files
	r.seed()
	return r
}

// onBoth runs a test in memory and on the local DynamoDB and S3.
func onBoth(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Run("memory", func(t *testing.T) { test(t, newRig(t)) })
	t.Run("stack", func(t *testing.T) { test(t, newStackRig(t)) })
}

// seed sets up an institute, a site, an administrator, a user "lab" who drops files, and a protocol with an event.
func (r *rig) seed() {
	r.t.Helper()
	system := &biobank.Actor{ID: biobank.SystemUserID, User: biobank.UserDoc{Type: biobank.UserSuper}}
	r.apply(system, &biobank.InstituteDraft{Doc: biobank.InstituteDoc{Name: "Lakeside Institute"}})
	r.apply(system, &biobank.SiteDraft{Institute: "Lakeside Institute", Doc: biobank.SiteDoc{Name: "Lakeside Biobank", Type: "Repository"}})
	r.user("ada", biobank.UserSuper, biobank.StatusActive)
	r.user("lab", biobank.UserInstitute, biobank.StatusActive)
	r.actors()
	r.protocol(biobank.ProtocolDoc{ShortTitle: "LAKE", Title: "Lake Study"})
}

// actors reads the users that the tests act as.
func (r *rig) actors() {
	r.t.Helper()
	var err error
	if r.admin, err = r.reg.Actor(r.t.Context(), 1); err != nil {
		r.t.Fatal(err)
	}
	if r.lab, err = r.reg.Actor(r.t.Context(), 2); err != nil {
		r.t.Fatal(err)
	}
}

// user makes a user with the name of a login.
func (r *rig) user(login, kind, status string) {
	r.t.Helper()
	system := &biobank.Actor{ID: biobank.SystemUserID, User: biobank.UserDoc{Type: biobank.UserSuper}}
	r.apply(system, &biobank.UserDraft{Institute: "Lakeside Institute", Doc: biobank.UserDoc{
		FirstName: login, LastName: "Tester", EmailAddress: login + "@example.org", LoginName: login,
		DomainName: biobank.Domain, Type: kind, ActivityStatus: status,
	}})
}

// protocol makes a protocol with the event Baseline.
func (r *rig) protocol(doc biobank.ProtocolDoc) {
	r.t.Helper()
	r.apply(r.admin, &biobank.ProtocolDraft{
		PI: biobank.UserRef{Email: "ada@example.org"}, Sites: []biobank.SiteRef{{Name: "Lakeside Biobank"}}, Doc: doc,
	})
	r.apply(r.admin, &biobank.EventDraft{Protocol: biobank.ProtocolRef{ShortTitle: doc.ShortTitle}, Doc: biobank.EventDoc{Label: "Baseline"}})
}

// apply makes an object, and fails the test when it cannot.
func (r *rig) apply(a *biobank.Actor, d biobank.Draft) *biobank.Record {
	r.t.Helper()
	out, err := r.reg.Apply(r.t.Context(), a, r.clock.now(), []biobank.Change{{Op: biobank.Create, Draft: d, ID: "test"}})
	if err != nil {
		r.t.Fatal(err)
	}
	if out[0].Err != nil {
		r.t.Fatal(out[0].Err)
	}
	return out[0].Record
}

// drop puts a file in a drop folder and returns the message of its event.
func (r *rig) drop(key, content string) []byte {
	r.t.Helper()
	if err := r.files.Put(r.t.Context(), r.im.Config.Intake, key, []byte(content)); err != nil {
		r.t.Fatal(err)
	}
	version, err := r.files.Version(r.t.Context(), r.im.Config.Intake, key)
	if err != nil {
		r.t.Fatal(err)
	}
	return event(r.im.Config.Intake, key, version)
}

func event(bucket, key, version string) []byte {
	doc, err := json.Marshal(map[string]any{
		"source": "aws.s3", "detail-type": "Object Created",
		"detail": map[string]any{"bucket": map[string]any{"name": bucket}, "object": map[string]any{"key": key, "version-id": version}},
	})
	if err != nil {
		panic(err)
	}
	return doc
}

// run delivers messages until none is left. A message that cannot be handled fails the test.
func (r *rig) run(first ...[]byte) {
	r.t.Helper()
	r.send(first...)
	for range 100_000 {
		m, ok := r.queue.next()
		if !ok {
			return
		}
		err := r.im.Handle(r.t.Context(), m.body)
		var later *jobs.Later
		switch {
		case errors.As(err, &later):
			r.queue.back(m, later.After)
		case err != nil:
			r.t.Fatalf("%s: %v", m.body, err)
		}
	}
	r.t.Fatal("the queue never gets empty")
}

func (r *rig) send(messages ...[]byte) {
	r.t.Helper()
	for _, m := range messages {
		if err := r.queue.Send(r.t.Context(), m, "", 0); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *rig) job(id int64) *jobs.Job {
	r.t.Helper()
	j, err := r.jobs.Get(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	if j == nil {
		r.t.Fatalf("job %d does not exist", id)
	}
	return j
}

// all lists the jobs, newest first.
func (r *rig) all() []*jobs.Job {
	r.t.Helper()
	all, err := r.jobs.List(r.t.Context(), jobs.Filter{})
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

// object reads an object of the results bucket, "" for no key.
func (r *rig) object(key string) string {
	r.t.Helper()
	if key == "" {
		return ""
	}
	in, err := r.files.Open(r.t.Context(), r.im.Config.Results, key, "", 0, -1)
	if err != nil {
		r.t.Fatal(err)
	}
	defer in.Close()
	b, err := io.ReadAll(in)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

// importFile drops a file of lab's, runs everything and returns job and report.
func (r *rig) importFile(name, content string) (*jobs.Job, string) {
	r.t.Helper()
	return r.importKey("lab/"+name, content)
}

func (r *rig) importKey(key, content string) (*jobs.Job, string) {
	r.t.Helper()
	before := r.all()
	r.run(r.drop(key, content))
	after := r.all()
	if len(after) != len(before)+1 {
		r.t.Fatalf("%d jobs were made", len(after)-len(before))
	}
	return after[0], r.object(after[0].Report)
}

// mustImport is importFile of a file that must be imported without a failed row.
func (r *rig) mustImport(name, content string) *jobs.Job {
	r.t.Helper()
	j, report := r.importFile(name, content)
	if j.Status != jobs.Completed {
		r.t.Fatalf("%s: %s %s\n%s", name, j.Status, j.Reason, report)
	}
	return j
}

func lines(s ...string) string { return strings.Join(s, "\n") + "\n" }

// golden compares what leaves the building with a file of testdata; ALIQUOT_GOLDEN=write writes the file.
func golden(t testing.TB, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if os.Getenv("ALIQUOT_GOLDEN") == "write" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// fileName makes the name of a test one of a file.
func fileName(name string) string { return strings.NewReplacer(" ", "-", ",", "").Replace(name) }

var seed = flag.Uint64("seed", 1, "seed of the random tests; a failure prints the one that makes it come again")

// state is everything of a protocol and the sets around it that an import can change, one line for each record and each
// entry of its audit chain. times leaves out what depends on when the work was done.
func (r *rig) state() string {
	r.t.Helper()
	var b strings.Builder
	parts := []string{"institute", "site", "cp"}
	for cp := int64(1); cp <= 3; cp++ {
		parts = append(parts, biobank.TreeParts(cp)...)
	}
	for _, part := range parts {
		records, err := r.store.List(r.t.Context(), part, "", "", 0)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, rec := range records {
			fmt.Fprintf(&b, "%s v%d by %d from %q, then %v why %q: %s\n", rec.Key, rec.Version, rec.CreatedBy, rec.Source, rec.Changes, rec.Reason, rec.Doc)
			trail, err := r.store.Trail(r.t.Context(), rec.Type, rec.ID)
			if err != nil {
				r.t.Fatal(err)
			}
			chain, err := biobank.VerifyChain(rec, trail)
			if err != nil {
				r.t.Error(err)
			}
			for _, e := range chain {
				fmt.Fprintf(&b, "  v%d %s by %d why %q: %s -> %s\n", e.Version, e.Change, e.By, e.Reason, e.Before, e.After)
			}
			if int64(len(chain)) != rec.Version-1 {
				r.t.Errorf("%s has version %d and %d audit entries", rec.Key, rec.Version, len(chain))
			}
		}
	}
	return b.String()
}
