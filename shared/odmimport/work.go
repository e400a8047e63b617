package odmimport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"aliquot/shared/clinical"
	"aliquot/shared/fault"
	"aliquot/shared/jobs"
	"aliquot/shared/odm"
)

// errMoreTime means that the function's time is nearly over: the rest is for the next one.
var errMoreTime = errors.New("the function's time is nearly over")

// margin is what is left of the function's time when the work stops.
const margin = 45 * time.Second

// run is the work on a job by one worker.
type run struct {
	im      *Importer
	job     *jobs.Job
	planner *clinical.Planner
	// mark is behind the last part of the document that is done, nil before the first. With ended there is no more to plan.
	mark  *odm.Mark
	ended bool
}

// work imports what is left of a job's document and ends the job.
func (im *Importer) work(ctx context.Context, j *jobs.Job) error {
	if j.Stop {
		return im.end(ctx, j, jobs.Stopped, "")
	}
	p, err := im.Planner(ctx, j)
	if err != nil {
		return err
	}
	if err := im.beside(ctx, j); err != nil {
		return err
	}
	if p.Attached, err = im.attached(ctx, j, p.Study.ID); err != nil {
		return err
	}
	r := &run{im: im, job: j, planner: p}
	if err := r.resume(ctx); err != nil {
		return err
	}
	for !r.ended && !j.Stop {
		if err := r.read(ctx); err != nil {
			return err
		}
	}
	status := jobs.Completed
	if j.Stop {
		status = jobs.Stopped
	}
	return im.end(ctx, j, status, "")
}

// resume does what is left of the last plan that was kept.
func (r *run) resume(ctx context.Context) error {
	n := r.job.Parts()
	if n == 0 {
		return nil
	}
	last, err := r.im.part(ctx, r.job, n)
	if err != nil {
		return err
	}
	r.reach(last)
	err = clinical.Apply(ctx, r.im.Store, last)
	if errors.Is(err, clinical.ErrMoved) {
		return r.back(ctx, last)
	}
	return err
}

// reach goes on behind a plan.
func (r *run) reach(plan *clinical.Plan) {
	r.planner.Cursor, r.mark, r.ended = plan.Cursor, plan.Mark, plan.Mark == nil
}

// back goes to the beginning of a plan of which nothing was written, to plan it anew.
func (r *run) back(ctx context.Context, plan *clinical.Plan) error {
	before := &clinical.Plan{}
	r.job.DropPart()
	if n := r.job.Parts(); n > 0 {
		var err error
		if before, err = r.im.part(ctx, r.job, n); err != nil {
			return err
		}
	}
	r.reach(before)
	r.ended = false                            // there was a plan behind it
	r.planner.Cursor.Plans = plan.Cursor.Plans // what was planned twice has two names
	return nil
}

// maxHeld is how many bytes a plan is made of, about: those of the document, and of what is stored that it changes.
const maxHeld = 8 << 20

// read takes the parts of the document behind the mark, up to its end, or to where it must be read again: a participant was
// changed meanwhile.
func (r *run) read(ctx context.Context) error {
	from := int64(0)
	if r.mark != nil {
		from = r.mark.Offset
	}
	in, err := r.im.Files.Open(ctx, r.job.Bucket, r.job.Key, r.job.Version, from, -1)
	if err != nil {
		return err
	}
	defer in.Close()
	var doc *odm.Reader
	if r.mark == nil {
		doc = odm.NewReader(in)
	} else {
		doc = odm.Resume(in, *r.mark)
	}
	for {
		part, err := doc.Next()
		if errors.Is(err, io.EOF) {
			r.planner.End()
			_, err := r.cut(ctx, nil)
			return err
		}
		if err != nil {
			return notODM(err)
		}
		if err := r.planner.Take(ctx, part); err != nil {
			return err
		}
		if r.planner.Size() < r.im.Config.PartRows && int64(r.planner.Held())+doc.Offset()-from < maxHeld {
			continue
		}
		mark := doc.Mark()
		from = mark.Offset
		if again, err := r.cut(ctx, &mark); again || err != nil || r.job.Stop {
			return err
		}
		if until, ok := ctx.Deadline(); ok && until.Sub(r.im.Now()) < margin {
			return errMoreTime
		}
	}
}

// notODM makes what is wrong with a document a fault of the job's. What a request brings is checked before there is a job;
// what was uploaded past the request is met here.
func notODM(err error) error {
	var f *odm.Fault
	if errors.As(err, &f) {
		return fault.New(clinical.InvalidXMLFile.Wire(), "The document cannot be read: %s.", f)
	}
	return err
}

// cut keeps the plan of what was taken up to a mark, or up to the end, notes it, and writes it, unless the job is to stop.
// Where a participant was changed meanwhile it goes back, and the document must be read again from there.
func (r *run) cut(ctx context.Context, mark *odm.Mark) (again bool, err error) {
	plan, err := r.planner.Cut()
	if err != nil {
		return false, err
	}
	plan.Mark = mark
	text, err := json.Marshal(plan)
	if err != nil {
		return false, fmt.Errorf("encode a plan: %w", err)
	}
	key := partKey(r.job, r.job.Parts()+1, r.job.Fence)
	if err := r.im.Files.Put(ctx, r.im.Config.Results, key, text); err != nil {
		return false, fmt.Errorf("keep %s: %w", key, err)
	}
	r.job.AddPart()
	r.job.Status, r.job.Attempts = jobs.InProgress, 0
	if r.job.Stop, err = r.im.Jobs.Checkpoint(ctx, r.job, r.im.until()); r.job.Stop || err != nil {
		return false, err
	}
	if err := clinical.Apply(ctx, r.im.Store, plan); errors.Is(err, clinical.ErrMoved) {
		return true, r.back(ctx, plan)
	} else if err != nil {
		return false, err
	}
	r.mark, r.ended = mark, mark == nil
	return false, nil
}

// settle makes the log of a job that ends early a true one: of the last plan either nothing is written, and the plan is
// dropped, or all of it. An ended job holds no participant.
func (im *Importer) settle(ctx context.Context, j *jobs.Job) error {
	n := j.Parts()
	if n == 0 {
		return nil
	}
	last, err := im.part(ctx, j, n)
	if err != nil {
		return err
	}
	back, err := clinical.TakeBack(ctx, im.Store, last)
	if err != nil {
		return err
	}
	if !back {
		err = clinical.Apply(ctx, im.Store, last)
	}
	if back || errors.Is(err, clinical.ErrMoved) {
		j.DropPart()
		return nil
	}
	return err
}

// partKey is the key of a kept plan. The fence is that of the worker who made it, so that one who has lost the lease
// changes none.
func partKey(j *jobs.Job, n int, fence int64) string {
	return fmt.Sprintf("%sparts/%06d-%d.json", keptOf(j), n, fence)
}

// part reads a kept plan.
func (im *Importer) part(ctx context.Context, j *jobs.Job, n int) (*clinical.Plan, error) {
	key := partKey(j, n, j.PartFence(n))
	in, err := im.Files.Open(ctx, im.Config.Results, key, "", 0, -1)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	defer in.Close()
	var plan clinical.Plan
	if err := json.NewDecoder(in).Decode(&plan); err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	return &plan, nil
}
