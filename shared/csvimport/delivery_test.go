package csvimport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/biobank"
	"aliquot/shared/csvimport"
	"aliquot/shared/jobs"
)

func specimenRows(n int) string {
	var b strings.Builder
	b.WriteString("Visit Name,Specimen Label,Type,Initial Quantity,Created On\n")
	for i := range n {
		fmt.Fprintf(&b, "V-1,S-%03d,Plasma,10,03-02-2026\n", i+1)
	}
	return b.String()
}

// One event that comes ten times at once makes one job, and its rows are imported once.
func TestOneEventTenTimesAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		m := r.drop("lab/"+cprFile, participants+"LAKE,P-1,01-02-2026,Mira\nLAKE,P-2,01-02-2026,Tomo\n")
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if err := r.im.Handle(t.Context(), m); err != nil {
					t.Errorf("event: %v", err)
				}
			})
		}
		wg.Wait()
		// Then ten workers take what was sent. What another holds is left to the end, so that no lease runs out meanwhile.
		r.clock.pass(config.DropWait)
		for range 10 {
			wg.Go(func() {
				m, ok := r.queue.next()
				if !ok {
					t.Error("there are fewer messages than events")
					return
				}
				var later *jobs.Later
				if err := r.im.Handle(t.Context(), m.body); errors.As(err, &later) {
					r.queue.back(m, later.After)
				} else if err != nil {
					t.Errorf("%s: %v", m.body, err)
				}
			})
		}
		wg.Wait()
		r.run(m)
		all := r.all()
		if len(all) != 1 || all[0].Status != jobs.Completed || all[0].Done != 2 {
			t.Fatalf("jobs: %+v", all)
		}
		if state := r.state(); strings.Count(state, `"ppid"`) != 2 {
			t.Errorf("records:\n%s", state)
		}
	})
}

// The same file put again is another version, and a job of its own.
func TestFilePutAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		first := r.drop("lab/"+cprFile, participants+"LAKE,P-1,01-02-2026,Mira\n")
		second := r.drop("lab/"+cprFile, participants+"LAKE,P-2,01-02-2026,Tomo\n")
		r.run(second, first, second, first)
		all := r.all()
		if len(all) != 2 {
			t.Fatalf("%d jobs", len(all))
		}
		for _, j := range all {
			if j.Status != jobs.Completed || j.Total != 1 {
				t.Errorf("job: %+v", j)
			}
		}
		if state := r.state(); !strings.Contains(state, "P-1") || !strings.Contains(state, "P-2") {
			t.Errorf("records:\n%s", state)
		}
	})
}

// Messages that come twice, late and in any order change nothing.
func TestDuplicatesInAnyOrder(t *testing.T) {
	base := newRig(t)
	base.crowd()
	for _, flow := range flows {
		sound := rigOver(t, base.copy())
		sound.im.Config.ChunkRows = 4
		sound.run(sound.drop("lab/"+flow.file, flow.content))
		want := sound.natural()
		for s := *seed; s < *seed+20; s++ {
			r := rigOver(t, base.copy())
			r.im.Config.ChunkRows = 4
			rng := rand.New(rand.NewPCG(s, 0))
			r.queue.random = rng
			r.im.Queue = twice{r.queue, rng, r.clock}
			m := r.drop("lab/"+flow.file, flow.content)
			r.survive(m, m, m)
			if diff := cmp.Diff(want, r.natural()); diff != "" {
				t.Fatalf("%s, seed %d (-want +got):\n%s", flow.name, s, diff)
			}
		}
	}
}

// twice sends most messages once or twice more, some of them much later.
type twice struct {
	*queue
	rng   *rand.Rand
	clock *clock
}

func (q twice) Send(ctx context.Context, body []byte, group string, delay time.Duration) error {
	for range 1 + q.rng.IntN(3) {
		if err := q.queue.Send(ctx, body, group, delay); err != nil {
			return err
		}
		delay += time.Duration(q.rng.IntN(3)) * time.Minute
	}
	return nil
}

// A worker who sleeps through his lease while another does the chunk finds it taken over, and writes no more.
func TestSleeperWakesAfterTakeover(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		r.specimens("S-000")
		planned := r.plan("lab/specimen_create_20260301080000000.csv", specimenRows(120))
		r.im.Config.Lease = config.Lease
		job := planned[0].job
		var before string
		slept := false
		sleeper := *r.im
		sleeper.Under = func(c *jobs.Chunk, until func() time.Time, progress func() (int64, int64)) *biobank.Registry {
			under := r.im.Under(c, until, progress)
			return &biobank.Registry{Store: &sleepy{under.Store, func(n int) {
				if n != 3 || slept {
					return
				}
				slept = true
				r.clock.pass(2 * config.Lease)
				r.run(planned[0].body, planned[1].body, planned[2].body)
				if j := r.job(job); j.Status != jobs.Completed {
					t.Errorf("after the takeover: %+v", j)
				}
				before = r.state() + r.outcome(r.job(job))
			}, new(int)}}
		}
		if err := sleeper.Handle(t.Context(), planned[0].body); err != nil {
			t.Errorf("the sleeper: %v", err)
		}
		if diff := cmp.Diff(before, r.state()+r.outcome(r.job(job))); diff != "" || !slept {
			t.Errorf("the sleeper changed (-before +after):\n%s", diff)
		}
		if !strings.Contains(r.log.String(), "lease lost") {
			t.Errorf("log:\n%s", r.log)
		}
	})
}

// sleepy is a store whose writes are preceded by a nap.
type sleepy struct {
	biobank.Store
	nap func(n int)
	n   *int
}

func (s *sleepy) Write(ctx context.Context, opening bool, writes []biobank.Write) ([]biobank.Result, error) {
	*s.n++
	s.nap(*s.n)
	return s.Store.Write(ctx, opening, writes)
}

type plannedChunk struct {
	job  int64
	body []byte
}

// plan drops a file and has it planned, and returns the messages for its chunks.
func (r *rig) plan(key, content string) []plannedChunk {
	r.t.Helper()
	r.send(r.drop(key, content))
	for range 2 { // the event, then the plan
		m, ok := r.queue.next()
		if !ok {
			r.t.Fatal("no message")
		}
		if err := r.im.Handle(r.t.Context(), m.body); err != nil {
			r.t.Fatal(err)
		}
	}
	var out []plannedChunk
	id := r.all()[0].ID
	for {
		m, ok := r.queue.next()
		if !ok {
			return out
		}
		out = append(out, plannedChunk{id, m.body})
	}
}

// A job that is asked to stop writes at most one batch more, keeps what it wrote, and tells how far it came.
func TestStopAtEveryBatch(t *testing.T) {
	base := newRig(t)
	base.specimens("S-000")
	content := specimenRows(120)
	for at := 0; ; at++ {
		r := rigOver(t, base.copy())
		calls, stopped := 0, false
		var atStop int64
		var job int64
		under := r.im.Under
		r.im.Under = func(c *jobs.Chunk, until func() time.Time, progress func() (int64, int64)) *biobank.Registry {
			return &biobank.Registry{Store: &sleepy{under(c, until, progress).Store, func(int) {
				if calls++; calls == at {
					stopped = true
					job = r.all()[0].ID
					j, err := r.jobs.RequestStop(t.Context(), job)
					if err != nil {
						t.Fatal(err)
					}
					atStop = int64(strings.Count(r.state(), `"label"`)) - 1
					r.send(csvimport.PlanMessage(j.ID))
				}
			}, new(int)}}
		}
		j, report := r.importFile("specimen_create_20260301080000000.csv", content)
		if at > 0 && !stopped {
			if j.Status != jobs.Completed {
				t.Errorf("the job that was not stopped: %+v", j)
			}
			return
		}
		if at == 0 {
			continue
		}
		saved := int64(strings.Count(r.state(), `"label"`)) - 1
		if saved > atStop+biobank.MaxBatch {
			t.Errorf("stopped at call %d: %d rows were written after it", at, saved-atStop)
		}
		if told := int64(strings.Count(report, "SUCCESS")); told != saved || j.Done != saved {
			t.Errorf("stopped at call %d: %d rows saved, %d in the report, job %+v", at, saved, told, j)
		}
		if j.Status != jobs.Stopped && (j.Status != jobs.Completed || saved != 120) {
			t.Errorf("stopped at call %d: %+v", at, j)
		}
	}
}

func TestStopInEveryState(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		stop := func(id int64) error {
			_, err := r.jobs.RequestStop(t.Context(), id)
			return err
		}
		// While it waits for its turn behind another.
		first := r.drop("lab/cpr_create_20260301080000000.csv", participants+"LAKE,P-1,01-02-2026,Mira\n")
		second := r.drop("lab/cpr_create_20260301080100000.csv", participants+"LAKE,P-2,01-02-2026,Tomo\n")
		for _, m := range [][]byte{first, second} {
			if err := r.im.Handle(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(stop(2), stop(2)); err != nil {
			t.Fatal(err)
		}
		r.run(csvimport.PlanMessage(2))
		if j := r.job(2); j.Status != jobs.Stopped || j.Done != 0 || j.Reason == "" {
			t.Errorf("stopped while it waited: %+v", j)
		}
		if j := r.job(1); j.Status != jobs.Completed {
			t.Errorf("the job before it: %+v", j)
		}
		// After its end.
		if err := stop(1); !errors.Is(err, jobs.ErrEnded) {
			t.Errorf("stopped after its end: %v", err)
		}
		if err := stop(2); !errors.Is(err, jobs.ErrEnded) {
			t.Errorf("stopped after it was stopped: %v", err)
		}
		// After it was planned, before any row; with a chunk that is done already.
		for done := range 2 {
			planned := r.plan(fmt.Sprintf("lab/cpr_create_2026030108020000%d.csv", done), participants+func() string {
				rows := ""
				for i := range 60 {
					rows += fmt.Sprintf("LAKE,Q-%d-%d,01-02-2026,Mira\n", done, i)
				}
				return rows
			}())
			for _, p := range planned[:done] {
				if err := r.im.Handle(t.Context(), p.body); err != nil {
					t.Fatal(err)
				}
			}
			id := planned[0].job
			if err := stop(id); err != nil {
				t.Fatal(err)
			}
			r.run(csvimport.PlanMessage(id))
			if j := r.job(id); j.Status != jobs.Stopped || j.Done != int64(50*done) || j.Report == "" {
				t.Errorf("stopped after %d chunks: %+v", done, j)
			}
		}
	})
}

// A function whose time is nearly over stores what is done and goes on later; the outcome is the same.
func TestTimeRunsOut(t *testing.T) {
	base := newRig(t)
	base.crowd()
	files := []struct{ file, content string }{{"specimen_create_20260301080000000.csv", specimenRows(450)}}
	for _, f := range flows {
		files = append(files, struct{ file, content string }{f.file, f.content})
	}
	// Names that are counted below a parent, in one chunk that goes on.
	counted := "CP Short Title,PPID,Name,Visit Date,Visit Site\n"
	for range 240 {
		counted += "GEN,G-1,,03-02-2026,Lakeside Biobank\n"
	}
	files = append(files, struct{ file, content string }{"visit_create_20260301080000000.csv", counted})
	for _, f := range files {
		sound, r := rigOver(t, base.copy()), rigOver(t, base.copy())
		sound.im.Config.ChunkRows, r.im.Config.ChunkRows = 250, 250
		sound.run(sound.drop("lab/"+f.file, f.content))
		want := sound.natural()
		turns := 0
		r.send(r.drop("lab/"+f.file, f.content))
		for {
			m, ok := r.queue.next()
			if !ok {
				break
			}
			ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(time.Hour))
			late := *r.im
			if strings.Contains(string(m.body), `"step":"chunk"`) {
				// By this worker's clock the time has always run out: each turn does one window.
				turns++
				late.Now = func() time.Time { return time.Now().Add(time.Hour) }
				r.clock.until(late.Now().Add(time.Minute))
			}
			err := late.Handle(ctx, m.body)
			cancel()
			var later *jobs.Later
			if errors.As(err, &later) {
				r.queue.back(m, later.After)
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, r.natural()); diff != "" {
			t.Errorf("%s in %d turns (-want +got):\n%s", f.file, turns, diff)
		}
		if strings.Count(f.content, "\n") > 200 && turns < 3 {
			t.Errorf("%s took %d turns", f.file, turns)
		}
		r.state()
	}
}

// What fails for ever ends: a chunk with its rows, a plan or a report with the job; the owner's next file is imported.
func TestAttemptsRunOut(t *testing.T) {
	base := newRig(t)
	base.specimens("S-000")
	for _, tt := range []struct {
		name   string
		broken func(bucket, key string) bool
		reason string
		rows   int64
	}{
		{"the file cannot be opened", func(bucket, _ string) bool { return bucket == "intake" }, "could not be read in 5 tries", 0},
		{"a chunk's rows cannot be written", nil, "", 120},
		{"the plan cannot be read", func(_, key string) bool { return strings.Contains(key, "plan-") }, "report could not be made", 0},
		{"a chunk's description cannot be read", func(_, key string) bool { return strings.HasSuffix(key, ".rows") }, "Only 0 of 120 rows", 0},
		{"the report cannot be written", func(_, key string) bool { return strings.Contains(key, "/parts/") }, "report could not be made", 120},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := rigOver(t, base.copy())
			files, under := r.im.Files, r.im.Under
			broken := true
			r.im.Files = brokenFiles{files, func(bucket, key string) bool { return broken && tt.broken != nil && tt.broken(bucket, key) }}
			r.im.Under = func(c *jobs.Chunk, until func() time.Time, progress func() (int64, int64)) *biobank.Registry {
				reg := under(c, until, progress)
				if tt.broken == nil && broken && c.N == 1 {
					return &biobank.Registry{Store: brokenStore{reg.Store}}
				}
				return reg
			}
			r.survive(r.drop("lab/specimen_create_20260301080000000.csv", specimenRows(120)))
			broken = false
			j := r.all()[0]
			if j.Status != jobs.Failed || !strings.Contains(j.Reason, tt.reason) || (j.Reason == "") != (tt.reason == "") {
				t.Errorf("job %+v", j)
			}
			report := r.object(j.Report)
			if tt.broken == nil && (strings.Count(report, "SUCCESS") != 70 || strings.Count(report, "broke off 5 times") != 50 || j.FailedRows != 50) {
				t.Errorf("job %+v, report %s", j, report)
			}
			if j.Reason != "" && !strings.Contains(report, "SUCCESS") && !strings.Contains(report, "OS_ERROR_MESSAGE") {
				t.Errorf("report %s", report)
			}
			if _, next := r.importFile(cprFile, participants+"LAKE,NEXT,01-02-2026,Mira\n"); !strings.Contains(next, "SUCCESS") {
				t.Errorf("the next file: %s", next)
			}
		})
	}
}

// brokenFiles does not open or write some objects.
type brokenFiles struct {
	csvimport.Files
	broken func(bucket, key string) bool
}

func (f brokenFiles) Open(ctx context.Context, bucket, key, version string, from, to int64) (io.ReadCloser, error) {
	if f.broken(bucket, key) {
		return nil, errBroken
	}
	return f.Files.Open(ctx, bucket, key, version, from, to)
}

type brokenStore struct{ biobank.Store }

func (brokenStore) Write(context.Context, bool, []biobank.Write) ([]biobank.Result, error) {
	return nil, errBroken
}

// One owner's files run in the order of stamp and name, whatever the order of their events; others do not wait for them.
func TestOrderOfDrops(t *testing.T) {
	for s := *seed; s < *seed+20; s++ {
		r := newRig(t)
		r.user("other", biobank.UserInstitute, biobank.StatusActive)
		names := []string{
			"lab/cpr_create_20260301080000000.csv", // participants before their visits
			"lab/visit_create_20260301080000000.csv",
			"lab/specimen_create_20260301080000001.csv",
			"lab/specimen_update_20260301080000002.csv",
		}
		contents := []string{
			participants + "LAKE,P-1,01-02-2026,Mira\n",
			"CP Short Title,PPID,Name,Visit Date,Visit Site\nLAKE,P-1,V-1,03-02-2026,Lakeside Biobank\n",
			"Visit Name,Specimen Label,Type\nV-1,S-1,Plasma\n",
			"Specimen Label,Comments\nS-1,changed\n",
		}
		var events [][]byte
		for i := range names {
			events = append(events, r.drop(names[i], contents[i]))
		}
		events = append(events, r.drop("other/cpr_create_20260101000000000.csv", participants+"LAKE,P-2,01-02-2026,Tomo\n"),
			r.drop("lab/not a name.csv", "x"))
		rng := rand.New(rand.NewPCG(s, 0))
		rng.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		r.queue.random = rng
		r.run(events...)
		for _, j := range r.all() {
			if want := map[bool]jobs.Status{true: jobs.Failed, false: jobs.Completed}[j.FileName == "not a name.csv"]; j.Status != want {
				t.Errorf("seed %d: %s is %s: %s\n%s", s, j.Key, j.Status, j.Reason, r.object(j.Report))
			}
		}
	}
}
