package biobank

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

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

// readAhead is how many changes are looked up together: a request reads 100 items.
const readAhead = 96

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
		named: map[reference]bool{}, seals: map[Key]string{},
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

// lookUp reads what the changes need: marks, then records.
func (b *Batch) lookUp(ctx context.Context, changes []Change, out []Outcome) error {
	each := func(f func(planner, *Change) error) error {
		for i := range changes {
			if out[i].Err != nil {
				continue
			}
			if err := f(changes[i].Draft.(planner), &changes[i]); err != nil {
				if fault.All(err) == nil {
					return err
				}
				out[i].Err = err
			}
		}
		return nil
	}
	if b.retry {
		for i := range changes {
			if name, ok := changes[i].idMark(); ok {
				b.wantMark(name)
			}
		}
	}
	if err := each(func(p planner, c *Change) error { return p.want(ctx, b, c) }); err != nil {
		return err
	}
	if err := b.readMarks(ctx); err != nil {
		return err
	}
	if b.retry {
		for i := range changes {
			if name, ok := changes[i].idMark(); ok && b.marks[name].Source == changes[i].Source {
				b.wantRec(b.marks[name].To)
			}
		}
	}
	if err := each(func(p planner, c *Change) error { return p.read(ctx, b, c) }); err != nil {
		return err
	}
	return b.readRecs(ctx)
}

func (b *Batch) wantMark(name string) {
	if _, known := b.marks[name]; known {
		return
	}
	if len(name) > maxMark {
		b.marks[name] = Mark{} // nobody can have made it
		return
	}
	b.wantMarks = append(b.wantMarks, name)
}

// maxMark bounds the name of a mark, in bytes: what it is for and a value of 255 characters. The database takes keys of
// 2,048.
const maxMark = 1200

func (b *Batch) wantRec(key Key) {
	if _, known := b.recs[key]; !known && !key.IsZero() {
		b.wantRecs = append(b.wantRecs, key)
	}
}

// readMarks reads the wanted marks: first cheaply, and those that are missed once more strongly, since a parent may have
// been written a moment ago. A person's change reads strongly at once.
func (b *Batch) readMarks(ctx context.Context) error {
	names := dedupe(b.wantMarks)
	b.wantMarks = b.wantMarks[:0]
	for _, strong := range []bool{false, true} {
		if len(names) == 0 {
			return nil
		}
		if !strong && !b.bulk {
			continue
		}
		found, err := b.store.Marks(ctx, names, strong)
		if err != nil {
			return fmt.Errorf("look up names: %w", err)
		}
		missed := names[:0]
		for _, n := range names {
			if m, ok := found[n]; ok {
				b.marks[n] = m
			} else {
				missed = append(missed, n)
			}
		}
		names = missed
	}
	for _, n := range names {
		b.marks[n] = Mark{}
	}
	return nil
}

func (b *Batch) readRecs(ctx context.Context) error {
	keys := dedupe(b.wantRecs)
	b.wantRecs = b.wantRecs[:0]
	if len(keys) == 0 {
		return nil
	}
	ask := slices.Clone(keys)
	if !b.bulk { // what the answer will show of what lies around them comes along
		for _, k := range keys {
			ask = append(ask, around(k)...)
		}
		if b.actor != nil && b.actor.User.InstituteID != 0 {
			ask = append(ask, SetKey(Institute, b.actor.User.InstituteID))
		}
		ask = dedupe(ask)
	}
	found, err := b.store.Records(ctx, ask, true)
	if err != nil {
		return fmt.Errorf("read records: %w", err)
	}
	for _, k := range keys {
		b.recs[k] = found[k]
	}
	return nil
}

func dedupe[T comparable](in []T) []T {
	if len(in) < 2 {
		return in
	}
	seen := make(map[T]struct{}, len(in))
	out := in[:0]
	for _, v := range in {
		if _, ok := seen[v]; !ok {
			seen[v] = struct{}{}
			out = append(out, v)
		}
	}
	return out
}

// mark returns a mark read before, reading it now if it was not asked for in time.
func (b *Batch) mark(ctx context.Context, name string) (Mark, error) {
	if m, ok := b.marks[name]; ok {
		return m, nil
	}
	b.wantMark(name)
	err := b.readMarks(ctx)
	return b.marks[name], err
}

// rec returns a record read before, reading it now if it was not asked for in time; nil when there is none.
func (b *Batch) rec(ctx context.Context, key Key) (*Record, error) {
	if key.IsZero() {
		return nil, nil
	}
	if r, ok := b.recs[key]; ok {
		return r, nil
	}
	b.wantRec(key)
	err := b.readRecs(ctx)
	return b.recs[key], err
}

// led reads the record that a mark leads to, nil where there is none. A record that is not where the mark says may have moved
// since the mark was read: so the mark is read once more.
func (b *Batch) led(ctx context.Context, name string) (*Record, error) {
	m, err := b.mark(ctx, name)
	if err != nil || m.IsZero() {
		return nil, err
	}
	rec, err := b.rec(ctx, m.To)
	if err != nil || rec != nil {
		return rec, err
	}
	found, err := b.store.Marks(ctx, []string{name}, true)
	if err != nil {
		return nil, fmt.Errorf("look up a name again: %w", err)
	}
	b.marks[name] = found[name]
	if found[name].To == m.To {
		return nil, nil
	}
	return b.rec(ctx, found[name].To)
}

// tries is how often a change is planned anew when others change the same records meanwhile.
const tries = 8

// maxReason bounds, in bytes, what is said of why something is changed: it lies in the record or in the audit entry.
const maxReason = 4 << 10

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
func (b *Batch) group(ctx context.Context, changes []Change, out []Outcome) error {
	err := b.attempts(ctx, changes, out)
	if len(b.seals) > 0 {
		err = errors.Join(err, b.unseal(ctx))
	}
	return err
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
			planned = planned || out[i].Err == nil
		}
		if !planned {
			clear(b.named) // nothing is written that names them
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
	if !b.retry || !ok {
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

// add plans a write of the current change.
func (b *Batch) add(round int, w Write) {
	if w.Kind == UpdateRecord {
		w.Seal = b.seals[w.Record.Key]
	}
	b.writes[round] = append(b.writes[round], rowWrite{row: b.row, Write: w})
}

// claim plans the mark of a value that must be unique.
func (b *Batch) claim(c *Change, u *unique, value, name string, to Key, id int64, info string) {
	b.writes[roundNames] = append(b.writes[roundNames], rowWrite{
		row: b.row, unique: u, value: value,
		Write: Write{Kind: InsertMark, Mark: Mark{Name: name, To: to, ID: id, Source: c.Source, Info: info}},
	})
}

// taken is the fault of a value that another record holds, nil for one that is free or to's own.
func (b *Batch) taken(ctx context.Context, u *unique, value, name string, to Key) error {
	m, err := b.mark(ctx, name)
	if err != nil || m.IsZero() || m.To == to {
		return err
	}
	rec, err := b.rec(ctx, m.To)
	if err != nil || rec == nil {
		return err
	}
	if held, err := u.holds(rec, value); err != nil || !held {
		return err
	}
	return fault.New(u.code, u.text, value)
}

// release plans giving up a value's mark, if it is still the owner's. A job leaves it: whoever wants the name takes it
// over, and a repeat of a row that knew the record by that name finds it, and that it is done.
func (b *Batch) release(ctx context.Context, name string, owner Key) error {
	if b.bulk {
		return nil
	}
	m, err := b.mark(ctx, name)
	if err != nil || m.IsZero() || m.To != owner {
		return err
	}
	b.add(roundRelease, Write{Kind: DropMark, Mark: m, WasSource: m.Source, WasTo: m.To})
	return nil
}

// insert plans a new record with its id mark.
func (b *Batch) insert(c *Change, t Type, key Key, id int64, doc any, o *Outcome) error {
	body, err := encoded(doc)
	if err != nil {
		return err
	}
	rec := &Record{
		Key: key, Type: t, ID: id, Version: 1, Source: c.Source,
		CreatedBy: b.actor.ID, CreatedAt: b.at, Reason: b.actor.reason(c.Reason), From: b.actor.From, Doc: body,
	}
	if c.Source == "" {
		rec.Request = c.ID
	}
	rec.Head = rec.born(docHash(body))
	if scattered(t) {
		b.add(roundIDs, Write{Kind: InsertMark, Mark: Mark{Name: IDMark(t, id), To: key, ID: id, Source: c.Source}})
	}
	b.add(b.recordRound, Write{Kind: InsertRecord, Record: rec})
	b.note(key, doc)
	o.Record, o.Changed = rec, true
	return nil
}

// change plans the next version of a record, with its audit entry. Nothing is planned where the object stays the same.
func (b *Batch) change(c *Change, was *Record, doc any, o *Outcome) error {
	return b.changeAs(c, c.Source, was, doc, o)
}

func (b *Batch) changeAs(c *Change, source string, was *Record, doc any, o *Outcome) error {
	if cp := b.protocols[was.Key.Protocol()]; cp != nil && cp.doc.hides(was) {
		return b.peopled(cp)
	}
	body, err := encoded(doc)
	if err != nil {
		return err
	}
	before, after, err := diff(was.Doc, body)
	if err != nil {
		return err
	}
	if before == nil && after == nil {
		if o.Record == nil {
			o.Record = was
		}
		return nil
	}
	if err := b.noteNew(was, doc); err != nil {
		return err
	}
	rec, entry := b.next(c, source, was, body, before, after)
	b.put(rec, entry, o)
	return nil
}

// put plans the next version of a record with its entry.
func (b *Batch) put(rec *Record, entry *Entry, o *Outcome) {
	b.add(roundEntries, Write{Kind: InsertEntry, Entry: entry})
	b.add(b.recordRound, Write{Kind: UpdateRecord, Record: rec})
	o.Record, o.Changed = rec, true
}

// next is the next version of a record, and the audit entry that it names.
func (b *Batch) next(c *Change, source string, was *Record, body, before, after []byte) (*Record, *Entry) {
	rec := *was
	rec.Version, rec.Doc = was.Version+1, body
	change := c.ID
	if source != "" {
		change = source
		rec.Changes = Remember(was.Changes, source)
	}
	entry := &Entry{
		Type: was.Type, ID: was.ID, Version: rec.Version, Change: change, At: b.at, By: b.actor.ID,
		Reason: b.actor.reason(c.Reason), From: b.actor.From, Before: before, After: after,
		Was: docHash(was.Doc), Is: docHash(body), Prev: was.Head,
	}
	rec.Head = entry.Head()
	return &rec, entry
}

// appender is an object that writes its own JSON, for the types that come by the million.
type appender interface{ AppendJSON([]byte) []byte }

func marshal(doc any) ([]byte, error) {
	if a, ok := doc.(appender); ok {
		return a.AppendJSON(make([]byte, 0, 384)), nil
	}
	return json.Marshal(doc)
}

// maxDoc bounds an object as JSON, so that it fits into an item, and its audit entry too.
const maxDoc = 128 << 10

// encoded is an object's JSON. One that is too large is a fault of its change alone.
func encoded(doc any) ([]byte, error) {
	body, err := marshal(doc)
	if err == nil && len(body) > maxDoc {
		return nil, fault.New("COMMON_INVALID_INPUT", "The values take up %d KB together; at most %d KB are possible.", len(body)>>10, maxDoc>>10)
	}
	return body, err
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

// number draws from a counter: the row's place in the job's reserved range, or the next number.
func (b *Batch) number(ctx context.Context, c *Change, counter string) (int64, error) {
	if first, ok := c.Reserved[counter]; ok {
		return first + c.Row, nil
	}
	n, err := b.store.Reserve(ctx, counter, 1)
	if err != nil {
		return 0, fmt.Errorf("draw from counter %s: %w", counter, err)
	}
	return n, nil
}

var errLostTrack = errors.New("a record with our id belongs to another source")
