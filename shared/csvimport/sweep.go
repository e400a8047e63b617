package csvimport

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"aliquot/shared/jobs"
)

// sweepWindow is how far back the sweep looks for files without a job. Events are lost rarely, and found within minutes.
const sweepWindow = 24 * time.Hour

// Sweep finds what was left lying and sets it going again: jobs that nobody works on, chunks whose lease ran out, dropped
// files whose event was lost, uploads that were never finished. It is called every minute, and two at once do no harm.
func (im *Importer) Sweep(ctx context.Context) error {
	return errors.Join(im.sweepJobs(ctx), im.sweepUploads(ctx), im.sweepDrops(ctx))
}

func (im *Importer) sweepJobs(ctx context.Context) error {
	ids, err := im.Jobs.Open(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range ids {
		if err := im.sweepJob(ctx, id); err != nil {
			errs = append(errs, fmt.Errorf("sweep job %d: %w", id, err))
		}
	}
	return errors.Join(errs...)
}

func (im *Importer) sweepJob(ctx context.Context, id int64) error {
	j, err := im.Jobs.Get(ctx, id)
	if err != nil || j == nil || j.Status.Final() {
		return err
	}
	now := im.Now()
	if j.LeasedTo.After(now) || now.Sub(j.CreatedAt) < im.Config.DropWait+im.Config.Lease {
		return nil
	}
	if j.Chunks == 0 {
		return im.send(ctx, Message{Job: id, Step: stepPlan}, 0)
	}
	chunks, err := im.Jobs.Chunks(ctx, id, -1, 0)
	if err != nil {
		return err
	}
	open, working := 0, 0
	for _, c := range chunks {
		if c.Open {
			open++
			if c.LeasedTo.After(now) {
				working++
			}
		}
	}
	if open == 0 {
		return im.send(ctx, Message{Job: id, Step: stepFinish}, 0)
	}
	sent := 0
	for _, c := range chunks {
		// A chunk that was never begun waits in the queue, unless the whole job stands still.
		stale := c.LeasedTo.UnixMilli() > 0 || working == 0
		if !c.Open || !stale || c.LeasedTo.After(now) {
			continue
		}
		if err := im.send(ctx, Message{Job: id, Step: stepChunk, Chunk: c.N}, 0); err != nil {
			return err
		}
		if sent++; sent == sweepChunks {
			break
		}
	}
	return nil
}

// sweepChunks is the most chunks of a job that one sweep sends: a job that only waits behind others has its messages in
// the queue already, and must not fill it with copies every minute.
const sweepChunks = 20

// sweepDrops makes the jobs of files whose event did not arrive. One that fails does not hold up the others.
func (im *Importer) sweepDrops(ctx context.Context) error {
	now := im.Now()
	var errs []error
	for after := ""; ; {
		page, err := im.Files.List(ctx, im.Config.Intake, after)
		if err != nil {
			return errors.Join(append(errs, fmt.Errorf("list the drop folders: %w", err))...)
		}
		for _, o := range page {
			after = o.Key
			if strings.HasPrefix(o.Key, UploadPrefix) {
				after = UploadPrefix + "\U0010FFFF" // on behind the uploads
				break
			}
			age := now.Sub(o.Modified)
			if age < im.Config.Lease || age > sweepWindow {
				continue
			}
			if err := im.sweepDrop(ctx, o.Key); err != nil {
				errs = append(errs, err)
			}
		}
		if len(page) == 0 {
			return errors.Join(errs...)
		}
	}
}

func (im *Importer) sweepDrop(ctx context.Context, key string) error {
	version, err := im.Files.Version(ctx, im.Config.Intake, key)
	if errors.Is(err, jobs.ErrNoFile) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at a dropped file: %w", err)
	}
	if _, name, _ := strings.Cut(key, "/"); strings.HasPrefix(name, odmPrefix) && im.Clinical != nil {
		return im.Clinical(ctx, im.Config.Intake, key, version)
	}
	known, err := im.Jobs.Dropped(ctx, im.Config.Intake, key, version)
	if err != nil || known {
		return err
	}
	return im.Drop(ctx, im.Config.Intake, key, version)
}

// UploadPrefix is where uploads of the API lie in the intake bucket. They start nothing by themselves.
const UploadPrefix = "_uploads/"

func (im *Importer) sweepUploads(ctx context.Context) error {
	return im.Files.AbortUploads(ctx, im.Config.Results, im.Now().Add(-sweepWindow))
}
