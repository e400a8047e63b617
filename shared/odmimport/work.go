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
	files   *attached
	// from is the offset of the last part of the document that is done.
	from int64
}

// work imports what is left of a job's document and ends the job.
func (im *Importer) work(ctx context.Context, j *jobs.Job) error {
	p, err := im.Planner(ctx, j)
	if err != nil {
		return err
	}
	r := &run{im: im, job: j, planner: p, from: -1}
	if r.files, err = im.attached(ctx, j); err != nil {
		return err
	}
	p.Attached = r.files.has
	if err := r.resume(ctx); err != nil {
		return err
	}
	for {
		again, err := r.read(ctx)
		if err != nil {
			return err
		}
		if !again {
			break
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
	r.planner.Cursor, r.from = last.Cursor, last.Offset
	err = r.apply(ctx, last)
	if errors.Is(err, clinical.ErrMoved) {
		return r.back(ctx, last)
	}
	return err
}

// back goes to the beginning of a plan of which nothing was written, to plan it anew.
func (r *run) back(ctx context.Context, plan *clinical.Plan) error {
	r.planner.Cursor, r.from = clinical.Cursor{}, -1
	r.job.DropPart()
	if n := r.job.Parts(); n > 0 {
		before, err := r.im.part(ctx, r.job, n)
		if err != nil {
			return err
		}
		r.planner.Cursor, r.from = before.Cursor, before.Offset
	}
	r.planner.Cursor.Plans = plan.Cursor.Plans // what was planned twice has two names
	return nil
}

// read takes the parts of the document behind from. It tells whether to read again from where it is now.
func (r *run) read(ctx context.Context) (again bool, err error) {
	in, err := r.im.Files.Open(ctx, r.job.Bucket, r.job.Key, r.job.Version, 0, -1)
	if err != nil {
		return false, err
	}
	defer in.Close()
	doc := odm.NewReader(in)
	for {
		part, err := doc.Next()
		if errors.Is(err, io.EOF) {
			r.planner.End()
			return r.cut(ctx, doc.Offset()+1, true)
		}
		if err != nil {
			return false, notODM(err)
		}
		if doc.Offset() <= r.from {
			continue
		}
		if err := r.planner.Take(ctx, part); err != nil {
			return false, err
		}
		if r.planner.Size() < r.im.Config.PartRows {
			continue
		}
		if again, err := r.cut(ctx, doc.Offset(), false); again || err != nil || r.job.Stop {
			return again, err
		}
		if until, ok := ctx.Deadline(); ok && until.Sub(r.im.Now()) < margin {
			return false, errMoreTime
		}
	}
}

// notODM makes what is wrong with a document a fault of the job's. What a request brings is checked before there is a job;
// what was uploaded past the request is met here.
func notODM(err error) error {
	var f *odm.Fault
	if errors.As(err, &f) {
		return fault.New("invalidXMLFile", "%s", clinical.InvalidXMLFile.Wire()+": "+f.Error())
	}
	return err
}

// cut keeps the plan of what was taken, notes it, and writes it. Where a participant was changed meanwhile, it goes back.
func (r *run) cut(ctx context.Context, offset int64, last bool) (again bool, err error) {
	if last && offset <= r.from {
		return false, nil // all of it was planned by an earlier worker
	}
	plan, err := r.planner.Cut()
	if err != nil {
		return false, err
	}
	plan.Offset = offset
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
	if r.job.Stop, err = r.im.Jobs.Checkpoint(ctx, r.job, r.im.until()); err != nil {
		return false, err
	}
	if err := r.apply(ctx, plan); errors.Is(err, clinical.ErrMoved) {
		return true, r.back(ctx, plan)
	} else if err != nil {
		return false, err
	}
	r.from = offset
	return false, nil
}

// apply stores the files that a plan names and does its writes.
func (r *run) apply(ctx context.Context, plan *clinical.Plan) error {
	for _, f := range plan.Files {
		if err := r.files.store(ctx, f.Name, f.Key); err != nil {
			return err
		}
	}
	return clinical.Apply(ctx, r.im.Store, plan)
}

// partKey is the key of a kept plan. The fence is that of the worker who made it, so that one who has lost the lease
// changes none.
func partKey(j *jobs.Job, n int, fence int64) string {
	return fmt.Sprintf("odm/%s/parts/%06d-%d.json", j.UUID, n, fence)
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
