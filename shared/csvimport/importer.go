package csvimport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"aliquot/shared/biobank"
	"aliquot/shared/jobs"
)

// JobStore keeps jobs, chunks and their leases; store.Jobs does.
type JobStore interface {
	Create(ctx context.Context, j *jobs.Job) error
	Get(ctx context.Context, id int64) (*jobs.Job, error)
	Lease(ctx context.Context, id int64, now time.Time, d time.Duration) (*jobs.Job, error)
	Renew(ctx context.Context, j *jobs.Job, to time.Time) error
	Save(ctx context.Context, j *jobs.Job) error
	End(ctx context.Context, j *jobs.Job) error
	AddChunks(ctx context.Context, job int64, n int) error
	Chunks(ctx context.Context, job int64, after, limit int) ([]*jobs.Chunk, error)
	LeaseChunk(ctx context.Context, job int64, n int, now time.Time, d time.Duration) (*jobs.Chunk, error)
	SaveChunk(ctx context.Context, c *jobs.Chunk) error
	Turn(ctx context.Context, j *jobs.Job) (bool, error)
	NextDrop(ctx context.Context, owner string) (int64, error)
	Open(ctx context.Context) ([]int64, error)
	Dropped(ctx context.Context, bucket, key, version string) (bool, error)
}

// Files keeps objects. A missing object gives jobs.ErrNoFile.
type Files interface {
	// Open reads the bytes [from, to) of an object, to < 0 for all.
	Open(ctx context.Context, bucket, key, version string, from, to int64) (io.ReadCloser, error)
	Put(ctx context.Context, bucket, key string, body []byte) error
	// Create makes an object that appears whole when it is closed. Abort drops it, and does nothing after Close.
	Create(ctx context.Context, bucket, key string) jobs.Writer
	// List names the objects after a key, in order, at most 1,000; Version is the newest version of one.
	List(ctx context.Context, bucket, after string) ([]Listed, error)
	Version(ctx context.Context, bucket, key string) (string, error)
	Size(ctx context.Context, bucket, key, version string) (int64, error)
	// AbortUploads ends uploads that nobody finished.
	AbortUploads(ctx context.Context, bucket string, olderThan time.Time) error
}

// Listed is an object in a list.
type Listed struct {
	Key      string
	Modified time.Time
}

// Queue takes messages. Messages of one group share the workers fairly with other groups.
type Queue interface {
	Send(ctx context.Context, body []byte, group string, delay time.Duration) error
}

// Config is what an installation sets.
type Config struct {
	Intake, Results string
	// Lease is how long a worker may be silent before its work is taken over.
	Lease time.Duration
	// DropWait is how long a dropped file waits for files with an earlier stamp.
	DropWait time.Duration
	// ChunkRows is the most rows of a chunk, and MaxAttempts how often a piece of work is tried without progress.
	ChunkRows, MaxAttempts int
}

// Importer does the steps of an import. It may be used by several goroutines.
type Importer struct {
	Config Config
	Jobs   JobStore
	Files  Files
	Queue  Queue
	// Under is the registry whose writes renew a chunk's lease.
	Under func(c *jobs.Chunk, until func() time.Time, progress func() (done, failed int64)) *biobank.Registry
	// Registry reads users and protocols.
	Registry *biobank.Registry
	// Clinical takes a dropped document of clinical data that the sweep meets; nil where nobody does.
	Clinical func(ctx context.Context, bucket, key, version string) error
	Now      func() time.Time
	Log      *slog.Logger
}

// Message asks for a step of a job.
type Message struct {
	Job int64 `json:"job"`
	// Step is "plan", "chunk" or "finish".
	Step  string `json:"step"`
	Chunk int    `json:"chunk,omitempty"`
}

// The steps.
const (
	stepPlan   = "plan"
	stepChunk  = "chunk"
	stepFinish = "finish"
)

// PlanMessage is the message that starts a job.
func PlanMessage(id int64) []byte { return Message{Job: id, Step: stepPlan}.encode() }

func (m Message) encode() []byte {
	b, err := json.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("message: %v", err)) // a Message holds nothing that cannot be marshalled
	}
	return b
}

// envelope is what the queue brings: a message of ours, or an event of S3 by way of EventBridge.
type envelope struct {
	Message
	jobs.Event
	Test string `json:"Event"` // of a test event
}

// Handle does what a message asks for. nil: it is done and the message can go. *jobs.Later: let it come again. Any other error:
// it failed and must come again.
func (im *Importer) Handle(ctx context.Context, body []byte) error {
	var e envelope
	if err := json.Unmarshal(body, &e); err != nil {
		return fmt.Errorf("message is not JSON: %w", err)
	}
	switch {
	case e.Job != 0 && e.Step == stepPlan:
		return im.plan(ctx, e.Job)
	case e.Job != 0 && e.Step == stepChunk:
		return im.chunk(ctx, e.Job, e.Chunk)
	case e.Job != 0 && e.Step == stepFinish:
		return im.finish(ctx, e.Job)
	case e.IsObject():
		return im.Drop(ctx, e.Detail.Bucket.Name, e.Detail.Object.Key, e.Detail.Object.VersionID)
	case e.Test == "s3:TestEvent":
		im.Log.InfoContext(ctx, "test event")
		return nil
	}
	return errors.New("message is of no known kind")
}

func (im *Importer) send(ctx context.Context, m Message, delay time.Duration) error {
	return im.Queue.Send(ctx, m.encode(), fmt.Sprintf("job-%d", m.Job), delay)
}

// actor reads the user as whom a job runs, and who acts as that user.
func (im *Importer) actor(ctx context.Context, j *jobs.Job) (*biobank.Actor, error) {
	a, err := im.Registry.Actor(ctx, j.OwnerID)
	if a != nil {
		a.By = j.By
	}
	return a, err
}

// until is the end of a lease that is taken or renewed now.
func (im *Importer) until() time.Time { return im.Now().Add(im.Config.Lease) }

// temporary tells whether err lies in a service or on the way to it: throttling, a connection that broke, time that ran
// out. What the clients of S3 and DynamoDB return says so by these methods.
func temporary(err error) bool {
	var timeout interface{ Timeout() bool }
	var connection interface{ ConnectionError() bool }
	var coded interface{ ErrorCode() string }
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, io.ErrUnexpectedEOF):
		return true
	case errors.As(err, &timeout) && timeout.Timeout(), errors.As(err, &connection) && connection.ConnectionError():
		return true
	case errors.As(err, &coded):
		switch coded.ErrorCode() {
		case "ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded", "InternalServerError",
			"ServiceUnavailable", "SlowDown", "InternalError":
			return true
		}
	}
	return false
}

// wait is how long a message waits for a lease that another worker holds.
func (im *Importer) wait(leasedTo time.Time) error {
	return &jobs.Later{After: max(time.Second, leasedTo.Sub(im.Now())+time.Second)}
}

// failJob ends a job that cannot run, with a reason and a report that tells it.
func (im *Importer) failJob(ctx context.Context, j *jobs.Job, reason string) error {
	j.Status, j.Reason = jobs.Failed, reason
	j.Total = max(j.Total, 0)
	j.EndedAt = im.Now()
	j.Report, j.FailedReport = reportKey(j.ID, j.Fence), ""
	if err := im.Files.Put(ctx, im.Config.Results, j.Report, faultReport(j.Reason)); err != nil {
		return fmt.Errorf("store report of job %d: %w", j.ID, err)
	}
	return leaseGone(im.end(ctx, j))
}

// end stores a final state and wakes the owner's next file.
func (im *Importer) end(ctx context.Context, j *jobs.Job) error {
	if err := im.Jobs.End(ctx, j); err != nil {
		return fmt.Errorf("end job %d: %w", j.ID, err)
	}
	im.Log.InfoContext(ctx, "job ended", "job", j.ID, "type", j.ObjectType, "status", j.Status, "rows", j.Total, "failed", j.FailedRows)
	return im.wakeNext(ctx, j)
}

// wakeNext starts the next of the owner's dropped files.
func (im *Importer) wakeNext(ctx context.Context, j *jobs.Job) error {
	if !j.Drop {
		return nil
	}
	next, err := im.Jobs.NextDrop(ctx, j.Owner)
	if err != nil || next == 0 {
		return err
	}
	return im.send(ctx, Message{Job: next, Step: stepPlan}, 0)
}
