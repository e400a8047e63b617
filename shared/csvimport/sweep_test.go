package csvimport_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/jobs"
)

// sweep runs the sweep after a while, and what it sends.
func (r *rig) sweep(after time.Duration) {
	r.t.Helper()
	r.clock.pass(after)
	if err := r.im.Sweep(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.run()
}

// soon is after every wait and lease.
const soon = 5 * time.Minute

func TestSweepMakesTheJobOfALostEvent(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		r.clock.until(time.Now()) // the real S3 stamps objects with the real time
		r.drop("lab/"+cprFile, participants+"LAKE,P-1,01-02-2026,Mira\n")
		r.drop("lab/not a name.csv", "x")
		r.drop("_uploads/7/input.csv", "x")
		r.drop("lab/", "")
		r.sweep(time.Second)
		if all := r.all(); len(all) != 0 {
			t.Fatalf("an event that may still come was taken for lost: %+v", all)
		}
		for range 3 {
			r.sweep(soon)
		}
		all := r.all()
		if len(all) != 2 {
			t.Fatalf("%d jobs", len(all))
		}
		for _, j := range all {
			want := jobs.Completed
			if j.FileName == "not a name.csv" {
				want = jobs.Failed
			}
			if j.Status != want || j.Version == "" {
				t.Errorf("job %+v", j)
			}
		}
	})
}

func TestSweepLeavesOldFilesAlone(t *testing.T) {
	r := newRig(t)
	r.drop("lab/"+cprFile, participants)
	r.sweep(25 * time.Hour)
	if all := r.all(); len(all) != 0 {
		t.Errorf("a file of yesterday made %d jobs", len(all))
	}
}

// Of more files than one page of a listing holds, none is passed over.
func TestSweepOfManyFiles(t *testing.T) {
	r := newRig(t)
	r.files.(*memFiles).page = 5
	for i := range 12 {
		r.drop(fmt.Sprintf("lab/%04d.csv", i), "x")
	}
	r.sweep(soon)
	if all := r.all(); len(all) != 12 {
		t.Errorf("%d jobs", len(all))
	}
}

// A file that cannot be looked at does not hold up the others.
func TestSweepGoesOnAfterAFault(t *testing.T) {
	r := newRig(t)
	r.drop("lab/a.csv", "x")
	r.drop("lab/b.csv", "x")
	jobs := r.im.Jobs
	r.im.Jobs = brokenJobs{jobs}
	r.clock.pass(soon)
	if err := r.im.Sweep(t.Context()); !errors.Is(err, errBroken) {
		t.Errorf("sweep: %v", err)
	}
	r.run()
	if all := r.all(); len(all) != 1 || all[0].FileName != "b.csv" {
		t.Errorf("jobs %+v", all)
	}
}

// What a step of a job loses, or leaves behind when it dies, the sweep sets going again, and the outcome is the same.
func TestSweepFindsWhatIsLost(t *testing.T) {
	base := newRig(t)
	base.crowd()
	flow := flows[0]
	fresh := func() *rig {
		r := rigOver(t, base.copy())
		r.im.Config.ChunkRows = 4
		return r
	}
	sound := fresh()
	sound.run(sound.drop("lab/"+flow.file, flow.content))
	want := sound.natural()
	// Every message that is ever sent is lost at some point, with all that are waiting then.
	for lost := 1; ; lost++ {
		r := fresh()
		r.send(r.drop("lab/"+flow.file, flow.content))
		handled := 0
		for ; handled < lost; handled++ {
			m, ok := r.queue.next()
			if !ok {
				break
			}
			if err := r.im.Handle(t.Context(), m.body); err != nil {
				t.Fatal(err)
			}
		}
		if handled < lost {
			break
		}
		r.queue.lose()
		for range 10 {
			if r.ended() {
				break
			}
			r.sweep(soon)
		}
		if diff := cmp.Diff(want, r.natural()); diff != "" {
			t.Errorf("all was lost after %d messages (-want +got):\n%s", lost, diff)
		}
	}
	// A worker dies with his message: while he plans, in a chunk, while he finishes.
	for _, dies := range []struct{ name, at string }{{"planning", "AddChunks"}, {"a chunk", "SaveChunk"}, {"finishing", "End"}} {
		r := fresh()
		dead := false
		r.im.Jobs = &dyingJobs{JobStore: r.im.Jobs, at: dies.at, dead: &dead}
		r.send(r.drop("lab/"+flow.file, flow.content))
		for !dead {
			m, ok := r.queue.next()
			if !ok {
				t.Fatalf("nobody died in %s", dies.name)
			}
			if err := r.attempt(func() error { return r.im.Handle(t.Context(), m.body) }); err != nil && !errors.Is(err, errDead) {
				t.Fatal(err)
			}
		}
		r.queue.lose()
		r.clock.pass(time.Second)
		if err := r.im.Sweep(t.Context()); err != nil || r.queue.len() != 0 {
			t.Errorf("%s: work whose lease runs was sent again: %v", dies.name, err)
		}
		for range 10 {
			if r.ended() {
				break
			}
			r.sweep(soon)
		}
		if diff := cmp.Diff(want, r.natural()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", dies.name, diff)
		}
	}
}

// A job that only waits has its messages in the queue. The sweep does not fill it with copies.
func TestSweepSendsFewCopies(t *testing.T) {
	r := newRig(t)
	r.specimens("S-000")
	r.im.Config.ChunkRows = 3
	planned := r.plan("lab/specimen_create_20260301080000000.csv", specimenRows(300))
	if len(planned) != 100 {
		t.Fatalf("%d chunks", len(planned))
	}
	r.clock.pass(soon)
	if err := r.im.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := r.queue.len(); n == 0 || n > 20 {
		t.Errorf("%d messages were sent", n)
	}
	for range 10 {
		r.sweep(soon)
	}
	if j := r.all()[0]; j.Status != jobs.Completed || strings.Count(r.object(j.Report), "SUCCESS") != 300 {
		t.Errorf("job %+v", j)
	}
}
