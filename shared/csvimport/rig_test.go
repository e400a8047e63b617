package csvimport_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"aliquot/infra/local/localtest"
	"aliquot/shared/biobank"
	"aliquot/shared/blob"
	"aliquot/shared/csvimport"
	"aliquot/shared/jobs"
	"aliquot/shared/store"
	"aliquot/shared/wire"
)

// rig is an importer over the local DynamoDB and S3, with a queue in memory that the test empties.
type rig struct {
	t       *testing.T
	im      *csvimport.Importer
	reg     *biobank.Registry
	blobs   *blob.Store
	records *store.Records
	jobs    *store.Jobs
	tables  store.Tables
	queue   *queue
	log     *bytes.Buffer
	admin   *biobank.Actor
}

// queue delivers messages in order, at once, whatever their delay.
type queue struct {
	mu       sync.Mutex
	messages [][]byte
}

func (q *queue) Send(_ context.Context, body []byte, _ string, _ time.Duration) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.messages = append(q.messages, bytes.Clone(body))
	return nil
}

func (q *queue) next() []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.messages) == 0 {
		return nil
	}
	m := q.messages[0]
	q.messages = q.messages[1:]
	return m
}

var start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// newRig sets up an empty system with an institute, a site, an administrator and a user "lab" with a drop folder.
func newRig(t *testing.T) *rig {
	t.Helper()
	s := localtest.Data(t)
	cfg := s.AWSConfig()
	q := &queue{}
	settings := wire.ImportSettings{
		Records: s.Tables["records"], Audit: s.Tables["audit"], Jobs: s.Tables["jobs"],
		Intake: s.Buckets["intake"], Results: s.Buckets["results"], Lease: 60, DropWait: 0, ChunkRows: 50, MaxAttempts: 5,
	}
	r := &rig{t: t, queue: q, im: wire.NewImporter(cfg, settings, q), blobs: blob.New(cfg), log: &bytes.Buffer{}}
	r.im.Log = slog.New(slog.NewJSONHandler(r.log, nil))
	r.tables = store.Tables{Records: settings.Records, Audit: settings.Audit, Jobs: settings.Jobs}
	db := store.NewClient(cfg)
	r.records, r.jobs = store.NewRecords(db, r.tables), store.NewJobs(db, r.tables)
	r.reg = r.im.Registry
	r.seed()
	return r
}

func (r *rig) seed() {
	r.t.Helper()
	system := &biobank.Actor{ID: biobank.SystemUserID, User: biobank.UserDoc{Type: biobank.UserSuper}}
	r.apply(system, &biobank.InstituteDraft{Doc: biobank.InstituteDoc{Name: "Lakeside Institute"}})
	r.apply(system, &biobank.SiteDraft{Institute: "Lakeside Institute", Doc: biobank.SiteDoc{Name: "Lakeside Biobank", Type: "Repository"}})
	r.apply(system, &biobank.UserDraft{Institute: "Lakeside Institute", Doc: biobank.UserDoc{
		FirstName: "Ada", LastName: "Admin", EmailAddress: "ada@example.org", LoginName: "ada", DomainName: biobank.Domain,
		Type: biobank.UserSuper, ActivityStatus: biobank.StatusActive,
	}})
	r.apply(system, &biobank.UserDraft{Institute: "Lakeside Institute", Doc: biobank.UserDoc{
		FirstName: "Lena", LastName: "Lab", EmailAddress: "lab@example.org", LoginName: "lab", DomainName: biobank.Domain,
		Type: biobank.UserInstitute, ActivityStatus: biobank.StatusActive,
	}})
	admin, err := r.reg.Actor(r.t.Context(), 1)
	if err != nil {
		r.t.Fatal(err)
	}
	r.admin = admin
	r.apply(admin, &biobank.ProtocolDraft{
		PI: biobank.UserRef{Email: "ada@example.org"}, Sites: []biobank.SiteRef{{Name: "Lakeside Biobank"}},
		Doc: biobank.ProtocolDoc{ShortTitle: "LAKE", Title: "Lake Study"},
	})
	r.apply(admin, &biobank.EventDraft{Protocol: biobank.ProtocolRef{ShortTitle: "LAKE"}, Doc: biobank.EventDoc{Label: "Baseline"}})
}

// apply makes an object, and fails the test when it cannot.
func (r *rig) apply(a *biobank.Actor, d biobank.Draft) *biobank.Record {
	r.t.Helper()
	out, err := r.reg.Apply(r.t.Context(), a, start, []biobank.Change{{Op: biobank.Create, Draft: d, ID: "test"}})
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
	info, err := r.blobs.Put(r.t.Context(), r.im.Config.Intake, key, "text/csv", []byte(content))
	if err != nil {
		r.t.Fatal(err)
	}
	return event(r.im.Config.Intake, key, info.Version)
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

// run delivers messages until none is left.
func (r *rig) run(first ...[]byte) {
	r.t.Helper()
	for _, m := range first {
		if err := r.queue.Send(r.t.Context(), m, "", 0); err != nil {
			r.t.Fatal(err)
		}
	}
	for range 10_000 {
		m := r.queue.next()
		if m == nil {
			return
		}
		if err := r.im.Handle(r.t.Context(), m); err != nil && !errors.As(err, new(*csvimport.Later)) {
			r.t.Fatalf("%s: %v", m, err)
		}
	}
	r.t.Fatal("the queue never gets empty")
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

func (r *rig) object(key string) string {
	r.t.Helper()
	b, err := r.blobs.Get(r.t.Context(), blob.Object{Bucket: r.im.Config.Results, Key: key}, 1<<30)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

// importFile drops a file, runs everything and returns job and report.
func (r *rig) importFile(name, content string) (*jobs.Job, string) {
	r.t.Helper()
	before, err := r.jobs.List(r.t.Context(), jobs.Filter{Max: 1})
	if err != nil {
		r.t.Fatal(err)
	}
	r.run(r.drop("lab/"+name, content))
	after, err := r.jobs.List(r.t.Context(), jobs.Filter{Max: 1})
	if err != nil {
		r.t.Fatal(err)
	}
	if len(after) == 0 || len(before) > 0 && before[0].ID == after[0].ID {
		r.t.Fatal("no job was made")
	}
	j := r.job(after[0].ID)
	if j.Report == "" {
		return j, ""
	}
	return j, r.object(j.Report)
}

func lines(s ...string) string { return strings.Join(s, "\n") + "\n" }

