// Package jobs holds the import job: its states, the transitions allowed, its chunks and their leases.
//
// A job is an item in the jobs table, its chunks are items beside it. Work on either is leased: a lease has an expiry and
// a fence, a number that grows with each taking; every write of the work is conditional on the fence, so that a worker
// who slept too long can change nothing. Counters of a running job are the sum over its chunks. Every ending has a state
// and a reason (design.md section 3, rules 4 and 5).
package jobs

import "time"

// Status is a job's state on the wire (reference openspecimen-import-query.md 3.5).
type Status string

// The states of a job.
const (
	Queued     Status = "QUEUED"
	InProgress Status = "IN_PROGRESS"
	Completed  Status = "COMPLETED"
	Failed     Status = "FAILED"
	Stopped    Status = "STOPPED"
)

// TxnSizeExceeded is the answer to an all-or-nothing request, never the state of a job (3.4).
const TxnSizeExceeded = "TXN_SIZE_EXCEEDED"

// Final tells whether s is an end state.
func (s Status) Final() bool { return s == Completed || s == Failed || s == Stopped }

// Job is one import. Its id is a small integer, newest highest.
type Job struct {
	ID         int64
	ObjectType string
	ImportType string // CREATE, UPDATE, UPSERT
	CSVType    string // SINGLE_ROW_PER_OBJ, MULTIPLE_ROWS_PER_OBJ
	Status     Status
	// Reason says why a job failed or stopped as a whole, in a sentence for a data manager; empty otherwise.
	Reason string
	// Warnings are told besides: unknown captions and the like.
	Warnings []string
	// Total is the number of records, -1 until the plan has counted them. Failed and Done count rows with an outcome.
	Total, Done, FailedRows int64

	OwnerID   int64  // the user as whom it runs
	Owner     string // login name, for drops
	CreatedAt time.Time
	EndedAt   time.Time

	DateFormat, TimeFormat, TimeZone, FieldSeparator string
	Params                                           map[string]string

	// The input object, and for a drop the stamp and name of its file, by which one owner's files are ordered.
	Bucket, Key, Version string
	FileName             string
	Stamp                string
	Drop                 bool

	// Report and FailedReport are keys in the results bucket, empty until they are whole.
	Report, FailedReport string

	Stop   bool // asked to stop
	Chunks int  // 0 until planned

	// The lease on planning and finishing.
	Fence    int64
	LeasedTo time.Time
	Attempts int
}

// Chunk is a part of a job's rows, worked on by one worker at a time.
type Chunk struct {
	JobID int64
	N     int
	State ChunkState
	// Next is the number of rows of the chunk that were finished at the last checkpoint.
	Next int64
	// Parts are the report parts of the checkpoints so far, in order.
	Parts []string
	// Done and Failed count rows with an outcome.
	Done, Failed int64

	Stop     bool
	Fence    int64
	LeasedTo time.Time
	Attempts int
}

// ChunkState is open or done.
type ChunkState string

// The chunk states.
const (
	ChunkOpen ChunkState = "open"
	ChunkDone ChunkState = "done"
)
