package biobank

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Type names a kind of record; it is also the name of its id counter and the prefix of its markers.
type Type string

// The record types.
const (
	Institute    Type = "institute"
	Site         Type = "site"
	User         Type = "user"
	Protocol     Type = "cp"
	Event        Type = "event"
	Requirement  Type = "sr"
	Registration Type = "cpr"
	Visit        Type = "visit"
	Specimen     Type = "specimen"
	RoleType     Type = "role"
	// DistributionProtocol says who may receive specimens, from which sites.
	DistributionProtocol Type = "dp"
	// Order gives specimens to those whom a distribution protocol names.
	Order Type = "order"
	// Shipment takes specimens from one site to another.
	Shipment Type = "shipment"
	// Cart holds specimens that somebody works with.
	Cart Type = "cart"
	// Container is a storage container, ContainerType what containers are made after.
	Container     Type = "container"
	ContainerType Type = "containertype"
	// Participant has ids and marks but no record of its own: the person lies in the registration.
	Participant Type = "participant"
)

// Record is what is stored of one object.
type Record struct {
	Key     Key
	Type    Type
	ID      int64
	Version int64
	// Source tells who created it: "<job>#<row>" of an import, "" for a person. It is kept for life.
	Source string
	// Changes are the sources of the last 8 imported changes; a row listed here is done (design: a row's own items are
	// its ledger).
	Changes []string
	// CreatedBy, CreatedAt, Reason, From and Request are the audit of the creation: user id, epoch milliseconds, comment,
	// and of a person the address and the request's id.
	CreatedBy int64
	CreatedAt int64
	Reason    string
	From      string
	Request   string
	// Head names the newest audit entry and its hash; while the record was never changed, the hash of what it was created
	// as.
	Head string
	// Doc is the object as JSON.
	Doc []byte
}

// keptChanges is how many sources a record remembers.
const keptChanges = 8

// Remember adds the source of a change to those that a record remembers, and forgets the oldest. It leaves changes as it is.
func Remember(changes []string, source string) []string {
	if n := len(changes); n >= keptChanges {
		changes = changes[n-keptChanges+1:]
	}
	return append(slices.Clone(changes), source)
}

// Decode reads the object of a record. It returns T's zero value for a nil record.
func Decode[T any](r *Record) (T, error) {
	var v T
	if r == nil {
		return v, nil
	}
	if err := json.Unmarshal(r.Doc, &v); err != nil {
		return v, fmt.Errorf("decode %s %d: %w", r.Type, r.ID, err)
	}
	return v, nil
}

// Done tells whether the work behind source has been done on the record.
func (r *Record) Done(source string) bool {
	if source == "" {
		return false
	}
	if r.Source == source {
		return true
	}
	for _, s := range r.Changes {
		if s == source {
			return true
		}
	}
	return false
}

// Mark makes a value unique and findable: an item of a few bytes whose key is the value. It counts only while its owner
// holds the value, or is a row still being written.
type Mark struct {
	// Name is the key: "specimen.label#<label>", "specimen#<id>", ...
	Name string
	// To is the record the value belongs to.
	To Key
	ID int64
	// Source is that of the write that made the mark.
	Source string
	// Info holds what children need to know of the owner without reading it (a visit's status), empty for the usual.
	Info string
}

// IsZero tells whether the mark does not exist.
func (m Mark) IsZero() bool { return m.Name == "" }

// SetMark is the name of a mark that lies in a set with others, in the order of their places: MarksIn lists the set. No
// other name begins with a bar.
func SetMark(set, place string) string { return "|" + set + "|" + place }

// SplitMark tells the set and the place that SetMark was given; ok is false for any other name.
func SplitMark(name string) (set, place string, ok bool) {
	if name == "" || name[0] != '|' {
		return "", "", false
	}
	return strings.Cut(name[1:], "|")
}

// IDMark is the name of the mark that finds a record by its numeric id.
func IDMark(t Type, id int64) string { return string(t) + "#" + strconv.FormatInt(id, 10) }

// Fold is the form in which names that are compared without regard to case are marked.
func Fold(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// WriteKind says what a Write does.
type WriteKind uint8

// The writes a store can do. Each is conditional on its own identity, so that a repeat changes nothing.
const (
	// InsertMark puts Mark if its name is free.
	InsertMark WriteKind = iota + 1
	// InsertRecord puts Record, with its history if it has one, if its key is free.
	InsertRecord
	// InsertEntry puts the audit Entry if its key is free.
	InsertEntry
	// UpdateRecord replaces Record if the stored version is Version-1, and Seal, where there is one, is on it.
	UpdateRecord
	// TakeMark replaces Mark if the stored one has the source WasSource and owner WasTo.
	TakeMark
	// DropMark deletes the mark of that name if it has the source WasSource and owner WasTo.
	DropMark
	// DropRecord deletes the item at Record's key if it has Record's version: the record lies elsewhere now.
	DropRecord
	// SealRecord puts Seal on the record that has Record's version, in the place of any other (see stand.go). It is no new
	// version.
	SealRecord
	// UnsealRecord takes Seal off the record at Record's key, if it is on it.
	UnsealRecord
	// StandOn holds where the record has Record's version, and no seal or one that is over at Now, which it takes off.
	StandOn
)

// Write is one conditional write.
type Write struct {
	Kind      WriteKind
	Mark      Mark
	Record    *Record
	Entry     *Entry
	WasSource string
	WasTo     Key
	// Seal begins with the time, in epoch milliseconds, until which it holds; Now, of a StandOn, is such a time. An UpdateRecord with a Seal
	// needs it on the record, and takes it off.
	Seal, Now string
}

// Result is what became of a Write.
type Result uint8

// The results.
const (
	Written Result = iota + 1
	// Exists: an insert found the key taken.
	Exists
	// Conflict: an update, take or drop found another version, or nothing.
	Conflict
)

// MaxBatch is the most writes of one Store.Write: one request of 25 statements, of which one may renew a lease.
const MaxBatch = 24

// Store keeps the records. Reads marked strong see every write that was answered before they began.
type Store interface {
	// Marks returns the marks that exist among names.
	Marks(ctx context.Context, names []string, strong bool) (map[string]Mark, error)
	// MarksIn reads the marks of a set (see SetMark) in the order of their places, strongly: those whose place begins with
	// prefix and lies after after, at most limit (0: all).
	MarksIn(ctx context.Context, set, prefix, after string, limit int) ([]Mark, error)
	// Records returns the records that exist among keys.
	Records(ctx context.Context, keys []Key, strong bool) (map[Key]*Record, error)
	// List reads a partition in order, strongly: the records whose sort key begins with prefix and lies after after, at
	// most limit (0: all).
	List(ctx context.Context, part, prefix, after string, limit int) ([]*Record, error)
	// Write does at most MaxBatch independent writes in one request and tells what became of each. The first request of a
	// group of rows is opening: a store that writes under a lease renews it there, and returns an error when the lease
	// is lost or the work was stopped.
	Write(ctx context.Context, opening bool, writes []Write) ([]Result, error)
	// Transact does all the writes or none. A failed condition gives ErrTransaction with the results, of which at least
	// one tells what failed; the others may say Written.
	Transact(ctx context.Context, writes []Write) ([]Result, error)
	// Reserve takes n numbers from a counter and returns the first. Numbers start at 1; gaps are allowed.
	Reserve(ctx context.Context, counter string, n int64) (int64, error)
	// ReserveFor is Reserve for an owner who may ask again after a crash: whatever n is then, the answer is the numbers of the
	// first time, and how many they were. With an n of 0 none are drawn, and the answer is 0 for an owner who has none.
	ReserveFor(ctx context.Context, owner, counter string, n int64) (first, kept int64, err error)
	// Alive tells whether the work that wrote source may still be going on.
	Alive(ctx context.Context, source string) (bool, error)
	// Whole tells whether every row of the work that wrote source was finished, so that no mark of it was left without its
	// record.
	Whole(ctx context.Context, source string) (bool, error)
	// Trail returns the audit entries of an object, oldest first, void ones included.
	Trail(ctx context.Context, t Type, id int64) ([]*Entry, error)
	// TrailBefore returns those whose place lies before before, newest first, at most limit.
	TrailBefore(ctx context.Context, t Type, id int64, before string, limit int) ([]*Entry, error)
}
