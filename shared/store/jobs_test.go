package store_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aliquot/infra/local/localtest"
	"aliquot/shared/biobank"
	"aliquot/shared/jobs"
	"aliquot/shared/store"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

const lease = time.Minute

func newJobs(t *testing.T) *store.Jobs {
	t.Helper()
	s := localtest.Data(t)
	return store.NewJobs(store.NewClient(s.AWSConfig()), tablesOf(s.Tables))
}

func mustCreate(t *testing.T, s *store.Jobs, j *jobs.Job) *jobs.Job {
	t.Helper()
	if err := s.Create(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	return j
}

func mustLease(t *testing.T, s *store.Jobs, id int64, at time.Time) *jobs.Job {
	t.Helper()
	j, err := s.Lease(t.Context(), id, at, lease)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// mustPlan brings a new job so far that its chunks can be worked on.
func mustPlan(t *testing.T, s *store.Jobs, chunks int) *jobs.Job {
	t.Helper()
	j := mustLease(t, s, mustCreate(t, s, &jobs.Job{ObjectType: "specimen", OwnerID: 2}).ID, now)
	if err := s.AddChunks(t.Context(), j.ID, chunks); err != nil {
		t.Fatal(err)
	}
	j.Status, j.Chunks, j.Total = jobs.InProgress, chunks, 100
	if err := s.Save(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	return j
}

func mustChunk(t *testing.T, s *store.Jobs, job int64, n int, at time.Time) *jobs.Chunk {
	t.Helper()
	c, err := s.LeaseChunk(t.Context(), job, n, at, lease)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mustGet(t *testing.T, s *store.Jobs, id int64) *jobs.Job {
	t.Helper()
	j, err := s.Get(t.Context(), id)
	if err != nil || j == nil {
		t.Fatalf("job %d: %v, %v", id, j, err)
	}
	return j
}

func drop(owner, stamp, name string) *jobs.Job {
	return &jobs.Job{
		Drop: true, Owner: owner, Stamp: stamp, FileName: name, Bucket: "intake", Key: owner + "/" + name, Version: "v1",
		ObjectType: "specimen", ImportType: "CREATE", CreatedAt: now, Params: map[string]string{"cpId": "1"},
	}
}

func TestJobIsReadAsItWasStored(t *testing.T) {
	s := newJobs(t)
	j := mustCreate(t, s, drop("ada", "20260304050607000", "specimen_create_20260304050607000.csv"))
	want := *j
	want.Status, want.LeasedTo = jobs.Queued, time.UnixMilli(0).UTC()
	if d := cmp.Diff(&want, mustGet(t, s, j.ID)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got, err := s.Get(t.Context(), 99); got != nil || err != nil {
		t.Errorf("an unknown job is %v, %v", got, err)
	}
}

// TestDropDeliveredManyTimes: each version of an object makes one job.
func TestDropDeliveredManyTimes(t *testing.T) {
	s := newJobs(t)
	for round := range 5 {
		name := fmt.Sprintf("file-%d.csv", round)
		ids := make([]int64, 10)
		var group sync.WaitGroup
		for i := range ids {
			group.Go(func() {
				j := drop("ada", "20260304050607000", name)
				if err := s.Create(t.Context(), j); err != nil {
					t.Error(err)
				}
				ids[i] = j.ID
			})
		}
		group.Wait()
		slices.Sort(ids)
		if len(slices.Compact(ids)) != 1 {
			t.Errorf("deliveries of %s made the jobs %v", name, ids)
		}
	}
	if open, err := s.Open(t.Context()); err != nil || len(open) != 5 {
		t.Errorf("%d jobs are open, %v", len(open), err)
	}
	if queue, err := s.Drops(t.Context(), "ada"); err != nil || len(queue) != 5 {
		t.Errorf("%d drops wait, %v", len(queue), err)
	}
	again := drop("ada", "20260304050607000", "file-0.csv")
	again.Version = "v2"
	if mustCreate(t, s, again); again.ID <= 5 {
		t.Errorf("another version of the object got the job %d of an earlier one", again.ID)
	}
	known, err := s.Dropped(t.Context(), "intake", "ada/file-0.csv", "v1")
	unknown, err2 := s.Dropped(t.Context(), "intake", "ada/file-0.csv", "v3")
	if !known || unknown || errors.Join(err, err2) != nil {
		t.Errorf("dropped: %t, never dropped: %t, %v, %v", known, unknown, err, err2)
	}
}

func TestDropDeliveredAfterItsJobEnded(t *testing.T) {
	s := newJobs(t)
	j := mustLease(t, s, mustCreate(t, s, drop("ada", "1", "a.csv")).ID, now)
	j.Status, j.Reason = jobs.Failed, "The file could not be read."
	if err := s.End(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	later := drop("ada", "1", "a.csv")
	if err := s.Create(t.Context(), later); !errors.Is(err, jobs.ErrEnded) || later.ID != j.ID || later.Reason != j.Reason {
		t.Errorf("job %d %q, %v", later.ID, later.Reason, err)
	}
}

// TestUploadOfADroppedObject: an upload may be imported again and again, whatever else was made of the object.
func TestUploadOfADroppedObject(t *testing.T) {
	s := newJobs(t)
	dropped := mustCreate(t, s, drop("ada", "1", "a.csv"))
	upload := drop("ada", "1", "a.csv")
	upload.Drop = false
	if mustCreate(t, s, upload); upload.ID == dropped.ID {
		t.Error("the upload got the job of the drop")
	}
}

func TestDropsOfOneOwnerWaitInTheOrderOfTheirNames(t *testing.T) {
	s := newJobs(t)
	long := strings.Repeat("long name ", 100)
	for _, f := range []struct{ owner, stamp, name string }{
		{"ada", "20260304050609000", "visit.csv"},
		{"ada", "20260304050607000", "specimen.csv"},
		{"bob", "20260304050601000", "cpr.csv"},
		{"ada", "20260304050607000", "cpr.csv"},
		{"ada", "20260304050610000", long},
	} {
		mustCreate(t, s, drop(f.owner, f.stamp, f.name))
	}
	got, err := s.Drops(t.Context(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]int64{4, 2, 1, 5}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for _, id := range got {
		j := mustLease(t, s, id, now)
		j.Status = jobs.Completed
		if err := s.End(t.Context(), j); err != nil {
			t.Fatal(err)
		}
	}
	open, err := s.Open(t.Context())
	waiting, err2 := s.Drops(t.Context(), "ada")
	if d := cmp.Diff([]int64{3}, open); d != "" || len(waiting) > 0 || errors.Join(err, err2) != nil {
		t.Errorf("open %v, waiting %v, %v, %v", open, waiting, err, err2)
	}
}

func TestJobThatEndedAtOnceIsNotOpen(t *testing.T) {
	s := newJobs(t)
	j := drop("ada", "", "what is this.csv")
	j.Status, j.Reason = jobs.Failed, "The name of the file could not be read."
	mustCreate(t, s, j)
	if open, err := s.Open(t.Context()); err != nil || len(open) > 0 {
		t.Errorf("open jobs %v, %v", open, err)
	}
	if waiting, err := s.Drops(t.Context(), "ada"); err != nil || len(waiting) > 0 {
		t.Errorf("waiting %v, %v", waiting, err)
	}
	if _, err := s.Lease(t.Context(), j.ID, now, lease); !errors.Is(err, jobs.ErrEnded) {
		t.Errorf("it can be leased: %v", err)
	}
}

func TestJobLeaseIsFenced(t *testing.T) {
	s := newJobs(t)
	id := mustCreate(t, s, &jobs.Job{OwnerID: 2}).ID
	sleeper := mustLease(t, s, id, now)
	if got, err := s.Lease(t.Context(), id, now.Add(lease-time.Second), lease); !errors.Is(err, jobs.ErrLeased) || !got.LeasedTo.Equal(now.Add(lease)) {
		t.Errorf("a leased job: %+v, %v", got, err)
	}
	if err := s.Renew(t.Context(), sleeper, now.Add(2*lease)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lease(t.Context(), id, now.Add(lease+time.Second), lease); !errors.Is(err, jobs.ErrLeased) {
		t.Errorf("a renewed lease: %v", err)
	}
	heir := mustLease(t, s, id, now.Add(2*lease+time.Second))
	if heir.Fence != sleeper.Fence+1 || heir.Attempts != 2 {
		t.Errorf("fence %d after %d, attempt %d", heir.Fence, sleeper.Fence, heir.Attempts)
	}
	sleeper.Status = jobs.Failed
	for name, do := range map[string]func() error{
		"Renew": func() error { return s.Renew(t.Context(), sleeper, now.Add(9*lease)) },
		"Save":  func() error { return s.Save(t.Context(), sleeper) },
		"End":   func() error { return s.End(t.Context(), sleeper) },
	} {
		if err := do(); !errors.Is(err, jobs.ErrLeaseLost) {
			t.Errorf("%s after the lease was taken over: %v", name, err)
		}
	}
	heir.Status, heir.Attempts = jobs.InProgress, 0
	if err := s.Save(t.Context(), heir); err != nil {
		t.Fatal(err)
	}
	if next := mustLease(t, s, id, now.Add(2*lease+2*time.Second)); next.Status != jobs.InProgress || next.Attempts != 1 {
		t.Errorf("after progress: %s, attempt %d", next.Status, next.Attempts)
	}
	if _, err := s.Lease(t.Context(), 99, now, lease); !errors.Is(err, jobs.ErrEnded) {
		t.Errorf("an unknown job: %v", err)
	}
}

func TestOneOfManyGetsTheLease(t *testing.T) {
	s := newJobs(t)
	j := mustPlan(t, s, 1)
	var mu sync.Mutex
	var group sync.WaitGroup
	got := 0
	for range 8 {
		group.Go(func() {
			_, err := s.LeaseChunk(t.Context(), j.ID, 0, now, lease)
			switch {
			case err == nil:
				mu.Lock()
				got++
				mu.Unlock()
			case !errors.Is(err, jobs.ErrLeased):
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got != 1 {
		t.Errorf("%d workers got the chunk", got)
	}
}

func TestChunkLeaseIsFenced(t *testing.T) {
	s := newJobs(t)
	j := mustPlan(t, s, 30)
	if err := s.AddChunks(t.Context(), j.ID, 30); err != nil { // planning again
		t.Fatal(err)
	}
	sleeper := mustChunk(t, s, j.ID, 7, now)
	if _, err := s.LeaseChunk(t.Context(), j.ID, 7, now.Add(lease-1), lease); !errors.Is(err, jobs.ErrLeased) {
		t.Errorf("a leased chunk: %v", err)
	}
	heir := mustChunk(t, s, j.ID, 7, now.Add(lease+time.Second))
	if heir.Attempts != 2 {
		t.Errorf("attempt %d", heir.Attempts)
	}
	sleeper.Next = 3
	if err := s.SaveChunk(t.Context(), sleeper); !errors.Is(err, jobs.ErrLeaseLost) {
		t.Errorf("the sleeper saved: %v", err)
	}
	heir.Next, heir.Done, heir.Failed, heir.Parts = 10, 10, 2, []string{"parts/a", "parts/b"}
	if err := s.SaveChunk(t.Context(), heir); err != nil {
		t.Fatal(err)
	}
	next := mustChunk(t, s, j.ID, 7, now)
	want := *heir
	want.Fence, want.Attempts, want.LeasedTo = heir.Fence+1, 1, now.Add(lease)
	if d := cmp.Diff(&want, next); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got := mustGet(t, s, j.ID); got.Done != 10 || got.FailedRows != 2 {
		t.Errorf("the job counts %d done, %d failed", got.Done, got.FailedRows)
	}
	next.Open = false
	if err := s.SaveChunk(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if _, err := s.LeaseChunk(t.Context(), j.ID, 7, now, lease); !errors.Is(err, jobs.ErrEnded) {
		t.Errorf("a chunk that is done: %v", err)
	}
	if _, err := s.LeaseChunk(t.Context(), j.ID, 30, now, lease); !errors.Is(err, jobs.ErrEnded) {
		t.Errorf("an unknown chunk: %v", err)
	}
	for _, c := range []struct{ after, limit, first, n int }{{-1, 0, 0, 30}, {-1, 5, 0, 5}, {9, 0, 10, 20}, {28, 5, 29, 1}, {29, 5, 0, 0}} {
		got, err := s.Chunks(t.Context(), j.ID, c.after, c.limit)
		if err != nil || len(got) != c.n || c.n > 0 && got[0].N != c.first {
			t.Errorf("%+v: %d chunks, %v", c, len(got), err)
		}
	}
}

func TestRequestStop(t *testing.T) {
	s := newJobs(t)
	if _, err := s.RequestStop(t.Context(), 99); !errors.Is(err, jobs.ErrEnded) {
		t.Errorf("an unknown job: %v", err)
	}
	queued := mustCreate(t, s, &jobs.Job{OwnerID: 2})
	for range 2 { // asking twice is no harm
		if j, err := s.RequestStop(t.Context(), queued.ID); err != nil || !j.Stop || j.Status != jobs.Queued {
			t.Errorf("a queued job: %+v, %v", j, err)
		}
	}
	if j := mustLease(t, s, queued.ID, now); !j.Stop {
		t.Error("its worker does not see it")
	}
	running := mustPlan(t, s, 3)
	busy := mustChunk(t, s, running.ID, 0, now)
	finished := mustChunk(t, s, running.ID, 1, now)
	finished.Open = false
	if err := s.SaveChunk(t.Context(), finished); err != nil {
		t.Fatal(err)
	}
	if j, err := s.RequestStop(t.Context(), running.ID); err != nil || !j.Stop || j.Status != jobs.InProgress {
		t.Errorf("a running job: %+v, %v", j, err)
	}
	chunks, err := s.Chunks(t.Context(), running.ID, -1, 0)
	if err != nil {
		t.Fatal(err)
	}
	if !chunks[busy.N].Stop || chunks[1].Stop {
		t.Errorf("flagged: the busy chunk %t, the finished one %t", chunks[busy.N].Stop, chunks[1].Stop)
	}
	if late := mustChunk(t, s, running.ID, 2, now); !late.Stop && !mustGet(t, s, running.ID).Stop {
		t.Error("who leases a chunk later does not see it")
	}
	for _, end := range []jobs.Status{jobs.Completed, jobs.Failed, jobs.Stopped} {
		j := mustLease(t, s, mustCreate(t, s, &jobs.Job{OwnerID: 2}).ID, now)
		j.Status, j.Reason = end, "ended"
		if err := s.End(t.Context(), j); err != nil {
			t.Fatal(err)
		}
		if got, err := s.RequestStop(t.Context(), j.ID); !errors.Is(err, jobs.ErrEnded) || got.Stop || got.Status != end || got.Reason != "ended" {
			t.Errorf("a job that is %s: %+v, %v", end, got, err)
		}
	}
}

func TestListJobs(t *testing.T) {
	s := newJobs(t)
	for i := range 40 {
		j := &jobs.Job{
			OwnerID: int64(i % 2), ObjectType: []string{"cpr", "visit", "specimen", "specimen"}[i%4],
			Params: map[string]string{"cpId": fmt.Sprint(i % 5)}, Reason: strings.Repeat("x", 40_000), // more than a page
		}
		mustCreate(t, s, j)
	}
	for _, c := range []struct {
		name   string
		filter jobs.Filter
		want   []int64
	}{
		{"newest first", jobs.Filter{Max: 3}, []int64{40, 39, 38}},
		{"on from there", jobs.Filter{StartAt: 3, Max: 3}, []int64{37, 36, 35}},
		{"the last", jobs.Filter{StartAt: 38, Max: 5}, []int64{2, 1}},
		{"beyond", jobs.Filter{StartAt: 40, Max: 5}, nil},
		{"of an owner", jobs.Filter{OwnerIDs: []int64{1}, Max: 3}, []int64{40, 38, 36}},
		{"of nobody", jobs.Filter{OwnerIDs: []int64{}}, nil},
		{"of types", jobs.Filter{ObjectTypes: []string{"visit", "cpr"}, Max: 3}, []int64{38, 37, 34}},
		{"with a parameter", jobs.Filter{Params: map[string][]string{"cpId": {"4"}}, Max: 2}, []int64{40, 35}},
		{"all of it", jobs.Filter{OwnerIDs: []int64{0}, ObjectTypes: []string{"specimen"}, Params: map[string][]string{"cpId": {"2", "0"}}, StartAt: 1, Max: 2}, []int64{23, 11}},
	} {
		got, err := s.List(t.Context(), c.filter)
		if err != nil {
			t.Fatal(err)
		}
		var ids []int64
		for _, j := range got {
			ids = append(ids, j.ID)
		}
		if d := cmp.Diff(c.want, ids); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
	}
	if all, err := s.List(t.Context(), jobs.Filter{}); err != nil || len(all) != 40 {
		t.Errorf("%d jobs, %v", len(all), err)
	}
}

// TestGuard: a worker writes only while the lease is its own and nobody asked the job to stop.
func TestGuard(t *testing.T) {
	local := localtest.Data(t)
	client := store.NewClient(local.AWSConfig())
	s := store.NewJobs(client, tablesOf(local.Tables))
	records := store.NewRecords(client, tablesOf(local.Tables))
	j := mustPlan(t, s, 2)
	chunk := mustChunk(t, s, j.ID, 0, now)
	rows := int64(0)
	guarded := records.Leased(&store.Guard{
		Chunk: chunk, Until: func() time.Time { return now.Add(time.Duration(rows) * time.Hour) },
		Progress: func() (int64, int64) { return rows, rows / 10 },
	})
	write := func(opening bool, n int) error {
		var writes []biobank.Write
		for range n {
			rows++
			writes = append(writes, biobank.Write{Kind: biobank.InsertMark, Mark: biobank.Mark{
				Name: fmt.Sprintf("specimen.label#%d", rows), To: biobank.Key{Part: "cp#1#2", Sort: "1"}, ID: rows, Source: "1#1",
			}})
		}
		results, err := guarded.Write(t.Context(), opening, writes)
		for i, r := range results {
			if r != biobank.Written {
				t.Errorf("write %d: result %d", i, r)
			}
		}
		return err
	}
	if err := write(true, biobank.MaxBatch); err != nil {
		t.Fatal(err)
	}
	if err := write(false, biobank.MaxBatch); err != nil {
		t.Fatal(err)
	}
	got, err := s.Chunks(t.Context(), j.ID, -1, 1)
	if err != nil || !got[0].LeasedTo.Equal(now.Add(24*time.Hour)) || got[0].Done != 24 || got[0].Failed != 2 {
		t.Errorf("after a renewal: %+v, %v", got[0], err)
	}
	if err := write(true, 0); err != nil { // a group without a write renews, too
		t.Fatal(err)
	}
	if _, err := s.RequestStop(t.Context(), j.ID); err != nil {
		t.Fatal(err)
	}
	if err := write(true, 1); !errors.Is(err, jobs.ErrStopped) {
		t.Errorf("after a request to stop: %v", err)
	}
	heir := mustChunk(t, s, j.ID, 0, now.Add(1000*time.Hour))
	if err := write(true, 1); !errors.Is(err, jobs.ErrLeaseLost) {
		t.Errorf("after the lease was taken over: %v", err)
	}
	if c, err := s.Chunks(t.Context(), j.ID, -1, 1); err != nil || c[0].Fence != heir.Fence || !c[0].LeasedTo.Equal(heir.LeasedTo) {
		t.Errorf("the sleeper changed the lease: %+v, %v", c[0], err)
	}
}

// TestAliveAndWhole: what a job's source says about its marks.
func TestAliveAndWhole(t *testing.T) {
	local := localtest.Data(t)
	client := store.NewClient(local.AWSConfig())
	s := store.NewJobs(client, tablesOf(local.Tables))
	records := store.NewRecords(client, tablesOf(local.Tables))
	end := func(status jobs.Status, done, lost int64) int64 {
		j := mustLease(t, s, mustCreate(t, s, &jobs.Job{OwnerID: 2}).ID, now)
		j.Chunks, j.Total, j.Done, j.Lost = 1, 10, done, lost
		if j.Status = status; status.Final() {
			if err := s.End(t.Context(), j); err != nil {
				t.Fatal(err)
			}
		}
		return j.ID
	}
	source := func(id int64) string { return fmt.Sprintf("%d#17", id) }
	for _, c := range []struct {
		name         string
		source       string
		alive, whole bool
	}{
		{"a person's", "", false, true},
		{"of a job that runs", source(end(jobs.Queued, 3, 0)), true, false},
		{"of a job that was completed", source(end(jobs.Completed, 10, 0)), false, true},
		{"of a job with rows that failed", source(end(jobs.Failed, 10, 0)), false, true},
		{"of a job with rows that were given up", source(end(jobs.Failed, 10, 2)), false, false},
		{"of a job that broke off", source(end(jobs.Failed, 7, 0)), false, false},
		{"of a job that was stopped", source(end(jobs.Stopped, 7, 0)), false, false},
		{"of a job that is not there", "999#1", false, false},
		{"no source at all", "nonsense", false, false},
	} {
		alive, err := records.Alive(t.Context(), c.source)
		whole, err2 := records.Whole(t.Context(), c.source)
		if alive != c.alive || whole != c.whole || errors.Join(err, err2) != nil {
			t.Errorf("%s: alive %t, whole %t, %v, %v", c.name, alive, whole, err, err2)
		}
	}
}

// One owner's dropped files run one at a time, the earliest stamp first; one that has begun is not held up by an earlier
// file that comes late.
func TestKindsOfJobsKeepApart(t *testing.T) {
	plain := newJobs(t)
	odm := plain.Space("odm")
	csv := mustCreate(t, plain, &jobs.Job{ObjectType: "specimen", OwnerID: 2})
	job := mustCreate(t, odm, &jobs.Job{ObjectType: "XML_IMPORT", OwnerID: 2, UUID: "6f1c"})
	if job.ID == csv.ID {
		t.Errorf("both jobs have the id %d", job.ID)
	}
	got, err := odm.ByUUID(t.Context(), "6f1c")
	if err != nil || got == nil || got.ID != job.ID {
		t.Fatalf("by UUID: %+v, %v", got, err)
	}
	for name, s := range map[string]*store.Jobs{"the other kind": plain, "a third kind": plain.Space("x")} {
		if got, err := s.ByUUID(t.Context(), "6f1c"); got != nil || err != nil {
			t.Errorf("%s finds it by UUID: %+v, %v", name, got, err)
		}
		if got, err := s.Get(t.Context(), job.ID); got != nil || err != nil {
			t.Errorf("%s finds it by id: %+v, %v", name, got, err)
		}
	}
	for _, test := range []struct {
		store *store.Jobs
		want  []int64
	}{{plain, []int64{csv.ID}}, {odm, []int64{job.ID}}} {
		list, err := test.store.List(t.Context(), jobs.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		open, err := test.store.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(list) != 1 || list[0].ID != test.want[0] || !slices.Equal(open, test.want) {
			t.Errorf("listed %v, open %v, want %v", list, open, test.want)
		}
	}
}

func TestJobOfAUUIDIsMadeOnce(t *testing.T) {
	s := newJobs(t).Space("odm")
	var wg sync.WaitGroup
	ids := make([]int64, 6)
	for i := range ids {
		wg.Go(func() {
			j := &jobs.Job{UUID: "6f1c", OwnerID: 2}
			if err := s.Create(t.Context(), j); err != nil {
				t.Error(err)
			}
			ids[i] = j.ID
		})
	}
	wg.Wait()
	if slices.Max(ids) != slices.Min(ids) {
		t.Errorf("jobs %v, want one", ids)
	}
	j := mustLease(t, s, ids[0], now)
	j.Status = jobs.Completed
	if err := s.End(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	if err := s.Create(t.Context(), &jobs.Job{UUID: "6f1c"}); !errors.Is(err, jobs.ErrEnded) {
		t.Errorf("once it has ended: %v, want %v", err, jobs.ErrEnded)
	}
	if open, err := s.Open(t.Context()); err != nil || len(open) > 0 {
		t.Errorf("open: %v, %v", open, err)
	}
}

func TestDeletedJobIsNoLongerListed(t *testing.T) {
	s := newJobs(t)
	j := mustCreate(t, s, &jobs.Job{UUID: "6f1c", OwnerID: 2, Lists: []string{"a", "b"}})
	if err := s.Delete(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	if list, err := s.List(t.Context(), jobs.Filter{}); err != nil || len(list) > 0 {
		t.Errorf("listed %v, %v", list, err)
	}
	for _, name := range j.Lists {
		if list, err := s.Listed(t.Context(), name, 0, 0); err != nil || len(list) > 0 {
			t.Errorf("listed in %s: %v, %v", name, list, err)
		}
	}
	got, err := s.ByUUID(t.Context(), "6f1c")
	if err != nil || !got.Deleted || !got.Stop {
		t.Errorf("got %+v, %v, want it deleted and asked to stop", got, err)
	}
	if err := s.Delete(t.Context(), &jobs.Job{ID: j.ID + 1, Lists: j.Lists}); err == nil {
		t.Error("a job that nobody made was deleted")
	}
	if got, err := s.Get(t.Context(), j.ID+1); got != nil || err != nil {
		t.Errorf("deleting made a job: %+v, %v", got, err)
	}
}

// TestListsOfJobs: a list shows its jobs newest first, page by page, at two calls a page, however many others there are.
func TestListsOfJobs(t *testing.T) {
	local := localtest.Data(t)
	calls := map[string]int{}
	cfg := through(t, local, func(_ int64, op string) trouble { calls[op]++; return none })
	s := store.NewJobs(store.NewClient(cfg), tablesOf(local.Tables))
	var even []int64
	for i := range 230 {
		j := &jobs.Job{OwnerID: 2, Lists: []string{"all"}}
		if i%2 == 0 {
			j.Lists = append(j.Lists, "even")
		}
		mustCreate(t, s, j)
		if i%2 == 0 {
			even = append([]int64{j.ID}, even...)
		}
	}
	list := func(name string, before int64, limit int) (ids []int64) {
		t.Helper()
		all, err := s.Listed(t.Context(), name, before, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range all {
			ids = append(ids, j.ID)
		}
		return ids
	}
	if d := cmp.Diff(even, list("even", 0, 0)); d != "" {
		t.Errorf("whole (-want +got):\n%s", d)
	}
	clear(calls)
	if d := cmp.Diff(even[:100], list("even", 0, 100)); d != "" {
		t.Errorf("first page (-want +got):\n%s", d)
	}
	if d := cmp.Diff(map[string]int{"Query": 1, "BatchGetItem": 1}, calls); d != "" {
		t.Errorf("calls for a page (-want +got):\n%s", d)
	}
	if d := cmp.Diff(even[100:], list("even", even[99], 100)); d != "" {
		t.Errorf("last page (-want +got):\n%s", d)
	}
	if got := list("even", even[len(even)-1], 10); got != nil {
		t.Errorf("behind the last: %v", got)
	}
	if got := list("none", 0, 10); got != nil {
		t.Errorf("an empty list: %v", got)
	}
	if got := len(list("all", 0, 0)); got != 230 {
		t.Errorf("%d jobs", got)
	}
	// A list that still has deleted jobs fills its page from what follows.
	gone, err := s.Get(t.Context(), even[0])
	if err != nil {
		t.Fatal(err)
	}
	lists := gone.Lists
	gone.Lists = nil
	if err := s.Delete(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(even[1:3], list("even", 0, 2)); d != "" {
		t.Errorf("past a deleted job (-want +got):\n%s", d)
	}
	gone.Lists = lists
	if err := s.Delete(t.Context(), gone); err != nil { // done again it takes it off
		t.Fatal(err)
	}
	if d := cmp.Diff(even[1:3], list("even", 0, 2)); d != "" {
		t.Errorf("without the deleted job (-want +got):\n%s", d)
	}
}

func TestTurnOfDrops(t *testing.T) {
	s := newJobs(t)
	drop := func(owner, stamp string) *jobs.Job {
		j := &jobs.Job{Bucket: "intake", Key: owner + "/" + stamp, FileName: stamp, Stamp: stamp, Owner: owner, Drop: true}
		if err := s.Create(t.Context(), j); err != nil {
			t.Fatal(err)
		}
		return j
	}
	turn := func(j *jobs.Job, want bool) {
		t.Helper()
		if got, err := s.Turn(t.Context(), j); err != nil || got != want {
			t.Errorf("turn of %s: %v, %v", j.Key, got, err)
		}
	}
	end := func(j *jobs.Job) {
		t.Helper()
		leased, err := s.Lease(t.Context(), j.ID, time.Now(), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		leased.Status = jobs.Completed
		if err := s.End(t.Context(), leased); err != nil {
			t.Fatal(err)
		}
	}
	third, second, other := drop("ada", "3"), drop("ada", "2"), drop("bob", "9")
	turn(third, false)
	turn(second, true)
	turn(other, true)
	first := drop("ada", "1")
	turn(second, true)
	turn(first, false)
	if next, err := s.NextDrop(t.Context(), "ada"); err != nil || next != first.ID {
		t.Errorf("next: %d, %v", next, err)
	}
	end(second)
	turn(third, false)
	turn(first, true)
	end(first)
	turn(third, true)
	end(third)
	if next, err := s.NextDrop(t.Context(), "ada"); err != nil || next != 0 {
		t.Errorf("next of none: %d, %v", next, err)
	}
}
