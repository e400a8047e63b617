// Package odmimport imports ODM documents, and participants and events in CSV files, as jobs (reference
// openclinica-clinicaldata.md, 2, 3 and 9), and collects the documents that take long to be given out (collect.go).
//
// A job is worked on by one worker at a time, under a lease, in document order. The worker plans a few thousand values,
// keeps the plan as an object, notes in the job how far it is, and only then writes what was planned. Whoever takes over
// does first what is left of the last plan and goes on behind it; so data and log are those of one undisturbed run, and a
// document of any size passes through little memory. The plans also hold the lines of the log, which is joined from them
// when the document has ended. A job that ends before, by a fault or because somebody stopped it, first finishes its last
// plan if anything of it is stored, and else drops it: the log tells of nothing that is not stored, and no participant stays
// locked. As long as the store does not let it finish a plan that has begun, the job goes on trying.
//
// Attached files are stored while the values that name them are planned, so one that is damaged fails the row.
//
// CSV files are worked on row by row (rows.go).
package odmimport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"aliquot/shared/biobank"
	"aliquot/shared/clinical"
	"aliquot/shared/fault"
	"aliquot/shared/jobs"
	"aliquot/shared/odmexport"
)

// JobStore keeps jobs and their leases; store.Jobs does.
type JobStore interface {
	Create(ctx context.Context, j *jobs.Job) error
	Get(ctx context.Context, id int64) (*jobs.Job, error)
	Lease(ctx context.Context, id int64, now time.Time, d time.Duration) (*jobs.Job, error)
	Renew(ctx context.Context, j *jobs.Job, to time.Time) error
	// Checkpoint stores the job, keeps the lease until to, and tells whether somebody asked the job to stop.
	Checkpoint(ctx context.Context, j *jobs.Job, to time.Time) (stop bool, err error)
	Save(ctx context.Context, j *jobs.Job) error
	End(ctx context.Context, j *jobs.Job) error
	Open(ctx context.Context) ([]int64, error)
	Dropped(ctx context.Context, bucket, key, version string) (bool, error)
}

// Files keeps objects. A missing object gives jobs.ErrNoFile.
type Files interface {
	// Open reads the bytes [from, to) of an object, to < 0 for all.
	Open(ctx context.Context, bucket, key, version string, from, to int64) (io.ReadCloser, error)
	Size(ctx context.Context, bucket, key, version string) (int64, error)
	// Version is that of an object as it is now.
	Version(ctx context.Context, bucket, key string) (string, error)
	Put(ctx context.Context, bucket, key string, body []byte) error
	// Create makes an object that appears whole when it is closed. Abort drops it, and does nothing after Close.
	Create(ctx context.Context, bucket, key, contentType string) jobs.Writer
	// RemoveBelow removes all objects whose keys begin with prefix. That there are none is no fault.
	RemoveBelow(ctx context.Context, bucket, prefix string) error
}

// Queue takes messages. Messages of one group share the workers fairly with other groups.
type Queue interface {
	Send(ctx context.Context, body []byte, group string, delay time.Duration) error
}

// Config is what an installation sets.
type Config struct {
	// Results is the bucket of plans, logs and attached files.
	Results string
	// DropWait is how long a dropped document waits for what belongs to it.
	DropWait time.Duration
	// Lease is how long a worker may be silent before its work is taken over.
	Lease time.Duration
	// PartRows is how many lines of the log a plan has at the most, about.
	PartRows int
	// MaxAttempts is how often a job is taken up without getting any further.
	MaxAttempts int
}

// Importer does the work of import jobs. It may be used by several goroutines.
type Importer struct {
	Config Config
	Jobs   JobStore
	Files  Files
	Queue  Queue
	Store  biobank.Store
	// Planner makes the planner of a job: its study as it is defined now, and what its user may do now. A fault ends the job.
	Planner func(ctx context.Context, j *jobs.Job) (*clinical.Planner, error)
	// Document opens the document of a retrieval, as its user may see it now. A fault ends the job.
	Document func(ctx context.Context, j *jobs.Job) (*odmexport.Document, error)
	// Rows makes the writer of the rows of a job that takes a CSV file, and tells who the user is. A fault ends the job.
	Rows func(ctx context.Context, j *jobs.Job) (RowWriter, clinical.By, error)
	// DropOwner finds the user as whom a drop folder is imported.
	DropOwner func(ctx context.Context, login string) (int64, error)
	// Place finds the study or the site that a drop folder is for, by OID.
	Place func(ctx context.Context, oid string) (*clinical.Place, error)
	Now   func() time.Time
	// Random gives UUIDs: crypto/rand.Reader.
	Random io.Reader
	Log    *slog.Logger
}

// message asks for the work on a job.
type message struct {
	Job int64 `json:"job"`
}

// envelope is what the queue brings: a message of ours, or an event of S3 by way of EventBridge.
type envelope struct {
	message
	jobs.Event
}

// Message is the message that starts a job, or sets it going again.
func Message(id int64) []byte {
	b, err := json.Marshal(message{id})
	if err != nil {
		panic(fmt.Sprintf("message: %v", err)) // a message holds nothing that cannot be marshalled
	}
	return b
}

// pendingWait is how long a job waits for the changes of a participant by somebody else.
const pendingWait = 2 * time.Second

// Handle does what a message asks for. nil: it is done and the message can go. *jobs.Later: let it come again. Any other error:
// it failed and must come again.
func (im *Importer) Handle(ctx context.Context, body []byte) error {
	var e envelope
	if err := json.Unmarshal(body, &e); err != nil {
		return errors.New("message is not JSON")
	}
	switch {
	case e.IsObject():
		return im.Drop(ctx, e.Detail.Bucket.Name, e.Detail.Object.Key, e.Detail.Object.VersionID)
	case e.Job == 0:
		return errors.New("message is of no known kind")
	}
	j, err := im.Jobs.Lease(ctx, e.Job, im.Now(), im.Config.Lease)
	switch {
	case errors.Is(err, jobs.ErrEnded):
		return im.forget(ctx, e.Job)
	case errors.Is(err, jobs.ErrLeased):
		return &jobs.Later{After: max(time.Second, j.LeasedTo.Sub(im.Now())+time.Second)}
	case err != nil:
		return err
	}
	if err := im.lead(ctx, j); err != nil || !j.Deleted {
		return err
	}
	return im.forget(ctx, j.ID)
}

// forget removes what is kept of a job that its owner has deleted, as soon as nobody works on it: the log, and the plans,
// which have all that the log tells and every value that was written. A job is woken when it is deleted, so whichever way it
// ends it comes here.
func (im *Importer) forget(ctx context.Context, id int64) error {
	j, err := im.Jobs.Get(ctx, id)
	if err != nil || j == nil || !j.Deleted || !j.Status.Final() {
		return err
	}
	if err := im.Files.RemoveBelow(ctx, im.Config.Results, keptOf(j)); err != nil {
		return fmt.Errorf("remove what is kept of job %d: %w", id, err)
	}
	return nil
}

// lead works on a job whose lease it holds.
func (im *Importer) lead(ctx context.Context, j *jobs.Job) error {
	held, release := im.hold(ctx, j)
	defer release()
	work := im.work
	switch {
	case j.ObjectType == TypeRetrieval:
		work = im.collect
	case isTable(j):
		work = im.rows
	}
	err := safely(func() error { return work(held, j) })
	reason := ""
	switch {
	case err == nil:
		return nil
	case im.lost(held, err):
		return nil // somebody else goes on
	case errors.Is(err, clinical.ErrPending):
		j.Attempts--
		return im.giveBack(ctx, j, &jobs.Later{After: pendingWait})
	case errors.Is(err, errMoreTime):
		j.Attempts = 0
		if err := im.Queue.Send(ctx, Message(j.ID), Group(j), 0); err != nil {
			return err
		}
		return im.giveBack(ctx, j, nil)
	case len(fault.All(err)) > 0:
		reason = fault.Row(err)
	case j.Attempts >= im.Config.MaxAttempts:
		im.Log.ErrorContext(ctx, "job given up", "job", j.ID, "cause", err.Error())
		reason = givenUp(j)
	default:
		return im.giveBack(ctx, j, err)
	}
	err = safely(func() error { return im.end(held, j, jobs.Failed, reason) })
	if err == nil || im.lost(held, err) {
		return nil
	}
	return im.giveBack(ctx, j, err)
}

// givenUp is the reason of a job that nobody could finish.
func givenUp(j *jobs.Job) string {
	if j.ObjectType == TypeRetrieval {
		return "The data could not be collected. Ask for them again."
	}
	return "The import could not be finished. What the log names was done; import the file again for the rest."
}

// safely makes a panic a try that failed: the function goes on with other jobs, and this one ends when it has failed often
// enough.
func safely(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.Panicked(p)
		}
	}()
	return do()
}

// lost tells whether an error comes of the lease being lost.
func (im *Importer) lost(held context.Context, err error) bool {
	return errors.Is(err, jobs.ErrLeaseLost) || errors.Is(context.Cause(held), jobs.ErrLeaseLost)
}

// Group is the tenant of a job's messages: its owner, so that the many jobs of one do not keep those of others waiting (SQS
// fair queues).
func Group(j *jobs.Job) string { return fmt.Sprintf("user-%d", j.OwnerID) }

// giveBack lets others work on the job, and returns why.
func (im *Importer) giveBack(ctx context.Context, j *jobs.Job, why error) error {
	if err := im.Jobs.Save(context.WithoutCancel(ctx), j); err != nil && !errors.Is(err, jobs.ErrLeaseLost) {
		return err
	}
	return why
}

// hold renews the lease while work goes on. The context ends when the lease is lost.
func (im *Importer) hold(ctx context.Context, j *jobs.Job) (context.Context, func()) {
	ctx, lose := context.WithCancelCause(ctx)
	idle := make(chan struct{})
	lease := jobs.Job{ID: j.ID, Fence: j.Fence, Status: jobs.InProgress}
	go func() {
		defer close(idle)
		every := time.NewTicker(im.Config.Lease / 3)
		defer every.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-every.C:
				if err := im.Jobs.Renew(ctx, &lease, im.until()); errors.Is(err, jobs.ErrLeaseLost) {
					lose(err)
					return
				}
			}
		}
	}()
	return ctx, func() { lose(nil); <-idle }
}

func (im *Importer) until() time.Time { return im.Now().Add(im.Config.Lease) }

// Sweep sets jobs going again that nobody works on: their message was lost, or their worker died.
func (im *Importer) Sweep(ctx context.Context) error {
	ids, err := im.Jobs.Open(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		j, err := im.Jobs.Get(ctx, id)
		if err != nil {
			return err
		}
		quiet := j != nil && !j.Status.Final() && j.LeasedTo.Before(im.Now()) && j.CreatedAt.Before(im.Now().Add(-im.Config.Lease))
		if !quiet {
			continue
		}
		if err := im.Queue.Send(ctx, Message(id), Group(j), 0); err != nil {
			return err
		}
	}
	return nil
}
