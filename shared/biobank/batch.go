package biobank

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"aliquot/shared/fault"
)

// The rounds of writes. A round is done before the next begins.
const (
	roundNames   = iota // marks of natural keys: they decide who owns a name
	roundIDs            // marks of numeric ids
	roundEntries        // audit entries
	roundBelow          // records that change because one above them does: it comes last, as it tells that the row is done
	roundParents        // records that others of the same row lie below
	roundRecords
	roundRelease // marks given up, or told what became of their records
	rounds
)

// planner is what each draft does: say what it needs, then turn itself into writes.
type planner interface {
	Draft
	// want names the marks the change needs. A fault fails the change.
	want(ctx context.Context, b *Batch, c *Change) error
	// read names the records it needs, now that the marks are known.
	read(ctx context.Context, b *Batch, c *Change) error
	// plan checks the rules and adds the writes.
	plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error
}

// Batch applies changes with reads shared among them. It is for one goroutine.
type Batch struct {
	store Store
	actor *Actor
	at    int64
	bulk  bool
	retry bool
	zone  *time.Location

	// What has been read, or written by this batch. A nil record and a zero mark are known to be absent.
	marks     map[string]Mark
	holder    map[string]*Record // by mark, the record that was seen to hold its value
	recs      map[Key]*Record
	protocols map[int64]*protocolInfo
	cpNames   map[string]int64
	cpFaults  map[string]error
	serials   map[Key]int64 // by parent, the highest number below it that others drew
	late      map[Key]int64 // by parent, the highest number below it, for rows that were not counted
	debts     map[Key]*debt
	family    map[Key]*debt    // while trees are collected together: what parents owe
	whole     map[string]bool  // by job, whether all its rows are finished
	forms     map[int64]*Form  // by id, nil for what is not there
	customs   map[string]*Form // those of custom fields, by the mark of their association

	named map[reference]bool // whom the planned objects name

	stocks map[int64]*stock   // by container, what is known of its cells
	seats  []seat             // of the group
	try    int                // of the group, to plan and write it
	missed int                // how often somebody else took the cell that was next
	handed map[string]bool    // the marks of cells that change hands in the change that is planned
	made   map[string]*Branch // by folded name, the containers that the change that is planned makes for its specimens
	seals  map[Key]string     // of the records that the change is about to delete
	leans  map[Key]bool       // what the planned objects begin to name
	dry    bool               // nothing is written: changes are only checked

	wantMarks []string
	wantRecs  []Key

	writes [rounds][]rowWrite
	row    int // the change being planned
	// recordRound is where its records go: a record that another of the same row lies below goes a round earlier.
	recordRound int
	failed      []error
	soft        []bool // failed for a name that a later row of the job holds: another reason counts more
	again       []bool
	bufs        []Write
	sent        []int
}

// rowWrite is a write of one of the group's changes.
type rowWrite struct {
	row int
	Write
	unique *unique // nil for a mark that is ours by its number
	value  string
	// taken answers a claim that met somebody else: with a fault, or with nil to have the change planned again. Where it is
	// nil the answer is unique's.
	taken func(Mark) error
	// stale has a change planned again whose mark is not as it was read, and forgets what else may not be.
	stale func()
	// lax is a change of what a mark tells, from value: nothing follows where the condition fails.
	lax bool
}

// unique is a value that only one record may hold.
type unique struct {
	code, text string // the fault when another record holds it; the text has a %s for the value
	holds      func(rec *Record, value string) (bool, error)
}

func (r *Registry) newBatch(a *Actor, at time.Time) *Batch {
	return &Batch{
		store: r.Store, actor: a, at: at.UnixMilli(), zone: time.UTC,
		marks: map[string]Mark{}, holder: map[string]*Record{}, recs: map[Key]*Record{}, protocols: map[int64]*protocolInfo{},
		cpNames: map[string]int64{}, cpFaults: map[string]error{}, serials: map[Key]int64{}, late: map[Key]int64{}, debts: map[Key]*debt{}, whole: map[string]bool{},
		forms: map[int64]*Form{}, customs: map[string]*Form{}, stocks: map[int64]*stock{},
		named: map[reference]bool{}, seals: map[Key]string{}, leans: map[Key]bool{},
	}
}

// Apply does the changes, which must not depend on each other, and tells what became of each. After an error there are
// outcomes for the first changes only: it is not known what became of the others, and they must be applied again.
func (b *Batch) Apply(ctx context.Context, changes []Change) ([]Outcome, error) {
	out := make([]Outcome, 0, len(changes))
	for len(changes) > 0 {
		n := min(len(changes), readAhead)
		o, err := b.apply(ctx, changes[:n])
		out = append(out, o...)
		if err != nil {
			return out, err
		}
		changes = changes[n:]
	}
	return out, nil
}

func (b *Batch) apply(ctx context.Context, changes []Change) ([]Outcome, error) {
	out := make([]Outcome, len(changes))
	if err := b.lookUp(ctx, changes, out); err != nil {
		return nil, err
	}
	for from := 0; from < len(changes); from += MaxBatch {
		to := min(from+MaxBatch, len(changes))
		if err := b.group(ctx, changes[from:to], out[from:to]); err != nil {
			return out[:from], err
		}
	}
	return out, nil
}

// tries is how often a change is planned anew when others change the same records meanwhile.
const tries = 8

// maxReason bounds, in bytes, what is said of why something is changed: it lies in the record or in the audit entry.
const maxReason = 4 << 10

// ShortReason is a reason cut to what is possible, for one that is kept whole elsewhere.
func ShortReason(reason string) string {
	if len(reason) <= maxReason {
		return reason
	}
	const more = "..."
	cut := maxReason - len(more)
	for !utf8.RuneStart(reason[cut]) {
		cut--
	}
	return reason[:cut] + more
}

// busy answers a person who tried tries times to change what others were changing meanwhile. The text is about nobody's
// values, and the same request may be sent again. For a job it is no fault of a row: the chunk is tried again.
func (b *Batch) busy(cause error) error {
	if b.bulk {
		return cause
	}
	return fault.New("COMMON_INVALID_REQUEST", "The same objects are being changed by others. Try again.").WithKind(fault.Busy).Wrap(cause)
}

// pause waits before a try after the first, the longer the more there were: those who got into each other's way do not
// meet again.
func (b *Batch) pause(ctx context.Context, try int) error {
	if try == 0 {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(rand.N(time.Millisecond << min(try+2, 7))):
		return nil
	}
}

// maxMissed is how often more, when others take the cells that it is to have: each of them is one less to wait for.
const maxMissed = 100

// group plans and writes up to MaxBatch changes. Seals that it put on what was not deleted after all are taken off.
func (b *Batch) group(ctx context.Context, changes []Change, out []Outcome) (err error) {
	defer func() {
		if left := b.unseal(ctx); left != nil {
			err = errors.Join(err, left)
		}
	}()
	return b.attempts(ctx, changes, out)
}

// attempts plans and writes the changes until none of them is in others' way.
func (b *Batch) attempts(ctx context.Context, changes []Change, out []Outcome) error {
	b.again = resized(b.again, len(changes))
	for i := range b.again {
		b.again[i] = true
	}
	opening := true
	b.seats = b.seats[:0]
	for try := 0; ; try++ {
		if try == tries+min(b.missed, maxMissed) {
			return b.busy(fmt.Errorf("records were changed by others %d times in a row", tries))
		}
		if err := b.pause(ctx, try); err != nil {
			return err
		}
		b.try = try
		for i := range b.writes {
			b.writes[i] = b.writes[i][:0]
		}
		b.failed, b.soft = resized(b.failed, len(changes)), resized(b.soft, len(changes))
		planned := false
		for i := range changes {
			todo := b.again[i]
			b.again[i] = false
			if !todo || out[i].Err != nil && !b.retry {
				continue
			}
			if err := b.planOne(ctx, i, &changes[i], &out[i]); err != nil {
				return err
			}
			if b.again[i] {
				break // those behind it come after it
			}
			planned = planned || out[i].Err == nil
		}
		if !planned {
			clear(b.named) // nothing is written that names them
			clear(b.leans)
		}
		if err := b.standOnNamed(ctx); err != nil {
			return err
		}
		if err := b.markNamed(ctx); err != nil {
			return err
		}
		if err := b.write(ctx, &opening); err != nil {
			return err
		}
		redo := false
		for i := range changes {
			if b.failed[i] != nil {
				out[i] = Outcome{Err: b.failed[i]}
				b.unseat(i)
			}
			redo = redo || b.again[i]
		}
		b.remember(changes, out)
		if !redo {
			return nil
		}
		for i := range changes {
			if b.again[i] {
				out[i] = Outcome{}
				b.unseat(i)
			}
		}
		if err := b.lookUp(ctx, changes, out); err != nil {
			return err
		}
	}
}

func resized[T any](s []T, n int) []T {
	s = slices.Grow(s[:0], n)[:n]
	clear(s)
	return s
}

// planOne plans one change; its writes are taken back when it fails.
func (b *Batch) planOne(ctx context.Context, i int, c *Change, o *Outcome) error {
	var from [rounds]int
	for r := range b.writes {
		from[r] = len(b.writes[r])
	}
	b.row, b.recordRound, b.made = i, roundRecords, nil
	if len(c.Reason) > maxReason {
		*o = Outcome{Err: fault.New("COMMON_INVALID_INPUT", "The reason or comment of a change takes up %d bytes; at most %d are possible.", len(c.Reason), maxReason)}
		return nil
	}
	if done, err := b.doneBefore(ctx, c, o); done || err != nil || o.Err != nil {
		return err
	}
	err := b.planSafely(ctx, c, o)
	if err == nil {
		return nil
	}
	for r := range b.writes {
		b.writes[r] = b.writes[r][:from[r]]
	}
	b.unseat(i)
	if errors.Is(err, errChanged) {
		b.again[i] = true
		return nil
	}
	if fault.All(err) == nil {
		return err
	}
	*o = Outcome{Err: err}
	return nil
}

// planSafely keeps a row of a job that makes a rule panic from taking its neighbours with it. A person's change has none.
func (b *Batch) planSafely(ctx context.Context, c *Change, o *Outcome) (err error) {
	if !b.bulk {
		return c.Draft.(planner).plan(ctx, b, c, o)
	}
	defer func() {
		if p := recover(); p != nil {
			err = fault.New("COMMON_SERVER_ERROR", "The row could not be processed because of a fault in the program; the other rows are not affected.").
				Wrap(fault.Panicked(p))
		}
	}()
	return c.Draft.(planner).plan(ctx, b, c, o)
}

// idMark is the mark of the id that is set aside for what the row of a job makes, if there is one.
func (c *Change) idMark() (name string, ok bool) {
	t := c.Draft.recordType()
	first, ok := c.Reserved[string(t)]
	return IDMark(t, first+c.Row), ok && c.Op != Update
}

// doneBefore answers a create that an earlier try has finished from what it wrote: what has happened since (a parent
// closed, a label changed) is not the row's fault.
func (b *Batch) doneBefore(ctx context.Context, c *Change, o *Outcome) (bool, error) {
	name, ok := c.idMark()
	if _, several := c.Draft.(*ChildrenDraft); !b.retry || !ok || several { // of several the first does not tell of the others
		return false, nil
	}
	m, err := b.mark(ctx, name)
	if err != nil || m.IsZero() || m.Source != c.Source {
		return false, err
	}
	rec, err := b.rec(ctx, m.To)
	if err != nil || rec == nil || rec.Source != c.Source {
		return false, err
	}
	*o = Outcome{Record: rec, Changed: true}
	if err := b.owes(ctx, rec); err != nil {
		return false, err
	}
	if m, ok := c.Draft.(*MasterDraft); ok && m.primary() {
		if err := b.visitNames(ctx, rec.Key.VisitKey(), o); err != nil {
			return false, err
		}
	}
	return true, b.names(ctx, rec, o)
}

// done tells whether the change was made to the record by an earlier try. A record remembers the sources of its last
// changes; where a job has changed it more often than that, the audit knows.
func (b *Batch) done(ctx context.Context, rec *Record, c *Change) (bool, error) {
	if rec == nil || c.Source == "" {
		return false, nil
	}
	if rec.Done(c.Source) || !b.retry {
		return rec.Done(c.Source), nil
	}
	if sameJob(rec.Source, c.Source) && sourceRow(rec.Source) > sourceRow(c.Source) {
		return true, nil // a later row could make it only because this one was done and gave the name up
	}
	return b.changedBy(ctx, rec, c)
}

// changedBy tells whether an earlier try of the change has changed the record, or made it.
func (b *Batch) changedBy(ctx context.Context, rec *Record, c *Change) (bool, error) {
	if rec.Done(c.Source) || !b.retry || len(rec.Changes) < keptChanges {
		return rec.Done(c.Source), nil
	}
	trail, err := b.store.Trail(ctx, rec.Type, rec.ID)
	if err != nil {
		return false, fmt.Errorf("read the audit of %s %d: %w", rec.Type, rec.ID, err)
	}
	chain, err := VerifyChain(rec, trail)
	return slices.ContainsFunc(chain, func(e *Entry) bool { return strings.TrimRight(e.Change, again) == c.Source }), err
}

// names fills in the names of what was written before.
func (b *Batch) names(ctx context.Context, rec *Record, o *Outcome) error {
	switch rec.Type {
	case Specimen:
		doc, err := Decode[SpecimenDoc](rec)
		o.Label = doc.Label
		return err
	case Visit:
		return b.visitNames(ctx, rec.Key, o)
	case Registration:
		doc, err := Decode[RegistrationDoc](rec)
		o.PPID = doc.PPID
		return err
	}
	return nil
}

func (b *Batch) visitNames(ctx context.Context, visit Key, o *Outcome) error {
	v, err := b.rec(ctx, visit)
	if err != nil || v == nil {
		return err
	}
	reg, err := b.rec(ctx, visit.Above(1))
	if err != nil || reg == nil {
		return err
	}
	vd, err := Decode[VisitDoc](v)
	if err != nil {
		return err
	}
	rd, err := Decode[RegistrationDoc](reg)
	o.VisitName, o.PPID = vd.Name, rd.PPID
	return err
}

// remember keeps what later changes of the batch may look at.
func (b *Batch) remember(changes []Change, out []Outcome) {
	for round := range b.writes {
		for i := range b.writes[round] {
			w := &b.writes[round][i]
			if out[w.row].Err != nil || b.again[w.row] {
				continue
			}
			switch w.Kind {
			case InsertMark, TakeMark:
				if _, known := b.marks[w.Mark.Name]; known || changes[w.row].Shared {
					b.marks[w.Mark.Name] = w.Mark
				}
			case DropMark:
				b.marks[w.Mark.Name] = Mark{}
			case DropRecord:
				b.recs[w.Record.Key] = nil
			case InsertRecord, UpdateRecord:
				if _, known := b.recs[w.Record.Key]; known || changes[w.row].Shared {
					b.recs[w.Record.Key] = w.Record
				}
			}
		}
	}
}
