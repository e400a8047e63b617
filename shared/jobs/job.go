// Package jobs holds the import job: its states, the transitions allowed, its chunks and their leases.
//
// A job is an item in the jobs table, its chunks are items beside it. Work on either is leased: a lease has an expiry and
// a fence, a number that grows with each taking; every write of the work is conditional on the fence, so that a worker
// who slept too long can change nothing. Counters of a running job are the sum over its chunks. Every ending has a state
// and a reason (design.md section 3, rules 4 and 5).
package jobs

import (
	"errors"
	"slices"
	"time"
)

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
	ID         int64 `json:"-"`
	ObjectType string
	ImportType string // CREATE, UPDATE, UPSERT
	CSVType    string // SINGLE_ROW_PER_OBJ, MULTIPLE_ROWS_PER_OBJ
	Status     Status `json:"-"`
	// Reason says why a job failed or stopped as a whole, in a sentence for a data manager; empty otherwise.
	Reason string
	// Warnings are told besides: unknown captions and the like.
	Warnings []string
	// Total is the number of records, -1 until the plan has counted them. Failed and Done count rows with an outcome.
	Total, Done, FailedRows int64
	// Lost counts the failed rows of which it is not known whether they were saved.
	Lost int64

	OwnerID   int64  // the user as whom it runs
	Owner     string // login name, for drops
	By        int64  `json:",omitempty"` // who acted as the owner, 0 for nobody else
	CreatedAt time.Time
	EndedAt   time.Time

	DateFormat, TimeFormat, TimeZone, FieldSeparator string
	Params                                           map[string]string

	// The input object, and for a drop the stamp and name of its file, by which one owner's files are ordered.
	Bucket, Key, Version string
	FileName             string
	// Entry is the name of the file in the archive that the object is; empty for a plain file.
	Entry string `json:",omitempty"`
	Stamp string
	Drop  bool

	// Report and FailedReport are keys in the results bucket, empty until they are whole.
	Report, FailedReport string

	Stop bool `json:"-"` // asked to stop
	// Deleted tells that its owner wants to see no more of it, whatever becomes of it.
	Deleted bool `json:"-"`
	// Plan is the fence under which the plan was made; it is in the names of its objects.
	Plan   int64
	Chunks int // 0 until planned

	// UUID names an import of ODM, in place of the number; Attached is the key of the ZIP that came along, empty for none.
	UUID            string `json:",omitempty"`
	Attached        string `json:",omitempty"`
	AttachedVersion string `json:",omitempty"`
	// Lists name the lists that show the job; they are set when it is made.
	Lists []string `json:",omitempty"`
	// Kept are the plans that an import of ODM has kept, by ranges of one fence.
	Kept []KeptParts `json:",omitempty"`

	// The lease on planning and finishing. Attempts counts the times it was taken since the last progress.
	Fence    int64     `json:"-"`
	LeasedTo time.Time `json:"-"`
	Attempts int       `json:"-"`
}

// Whole tells whether every row of an ended job was saved or left nothing behind, so that what its marks say can be
// trusted without a look at the records.
func (j *Job) Whole() bool {
	return j.Status.Final() && j.Chunks > 0 && j.Done == j.Total && j.Lost == 0
}

// KeptParts are parts that one worker has kept: those up to Last, and behind the ranges before.
type KeptParts struct {
	Last  int
	Fence int64
}

// Parts is how many parts are kept.
func (j *Job) Parts() int {
	if len(j.Kept) == 0 {
		return 0
	}
	return j.Kept[len(j.Kept)-1].Last
}

// AddPart notes that the holder of the lease keeps one more part.
func (j *Job) AddPart() {
	n := j.Parts() + 1
	if k := len(j.Kept); k > 0 && j.Kept[k-1].Fence == j.Fence {
		j.Kept[k-1].Last = n
		return
	}
	j.Kept = append(j.Kept, KeptParts{Last: n, Fence: j.Fence})
}

// DropPart takes the last part back.
func (j *Job) DropPart() {
	n := j.Parts() - 1
	k := len(j.Kept) - 1
	if k > 0 && j.Kept[k-1].Last == n || n == 0 {
		j.Kept = j.Kept[:k]
		return
	}
	j.Kept[k].Last = n
}

// PartFence is the fence of the worker who kept part n, from 1.
func (j *Job) PartFence(n int) int64 {
	for _, k := range j.Kept {
		if n <= k.Last {
			return k.Fence
		}
	}
	return 0
}

// Chunk is a part of a job's rows, worked on by one worker at a time.
type Chunk struct {
	JobID int64
	N     int
	Open  bool
	// Next is the number of rows of the chunk that were finished at the last checkpoint.
	Next int64
	// Parts are the report parts of the checkpoints so far, in order.
	Parts []string
	// Done and Failed count rows with an outcome; while the chunk is worked on they are as of the last renewal of its lease.
	Done, Failed int64

	Stop     bool
	Fence    int64
	LeasedTo time.Time
	Attempts int
}

// Filter selects jobs for a list: those of the owners (nil: of anybody), of the object types (none: of any), and with one
// of the params (none: any).
type Filter struct {
	OwnerIDs     []int64
	ObjectTypes  []string
	Params       map[string][]string
	StartAt, Max int
}

// Matches tells whether j is selected. Several params are alternatives (reference openspecimen-import-query.md 3.8).
func (f *Filter) Matches(j *Job) bool {
	if j.Deleted {
		return false
	}
	if f.OwnerIDs != nil && !slices.Contains(f.OwnerIDs, j.OwnerID) {
		return false
	}
	if len(f.ObjectTypes) > 0 && !slices.Contains(f.ObjectTypes, j.ObjectType) {
		return false
	}
	for name, values := range f.Params {
		if v, ok := j.Params[name]; ok && slices.Contains(values, v) {
			return true
		}
	}
	return len(f.Params) == 0
}

// What stands in the way of work.
var (
	// ErrLeased means that another worker holds the lease.
	ErrLeased = errors.New("another worker holds the lease")
	// ErrLeaseLost means that the lease ran out and was taken over: stop at once and write nothing more.
	ErrLeaseLost = errors.New("the lease was taken over")
	// ErrStopped means that somebody asked the job to stop.
	ErrStopped = errors.New("the job was asked to stop")
	// ErrEnded means that the job, or the chunk, has ended.
	ErrEnded = errors.New("the work has ended")
)
