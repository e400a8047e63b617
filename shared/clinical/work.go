package clinical

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"aliquot/shared/biobank"
)

// ErrPending means that somebody else's writes to the participant are under way: try again in a while.
var ErrPending = errors.New("the participant is being changed")

// work is a participant's data while it is changed: what is stored, and what becomes of it. Nothing is written before it is
// asked what to write.
type work struct {
	store  biobank.Store
	id     int64
	head   *held[Subject]
	events map[string]*held[Event]  // by sort key
	groups map[string]*held[Group]  // by sort key
	notes  map[string]*held[Thread] // by sort key
	many   bool                     // there are many events, of which only those are here that were needed
	read   map[string]bool          // the prefixes below which groups or notes were read; of many events what was looked for
	most   map[string]int           // the highest repeats of events and item groups that were read or made, by what their keys begin with
	window window                   // of a form that is not read whole
	// size is how many bytes were read, begun how many of them to begin with; counted are those that the planner knows of.
	size, begun, counted int
}

// held is a record with its document.
type held[T any] struct {
	rec     *biobank.Record // as stored; with version 0 for a new one
	doc     *T
	changed bool
	size    int // of an item group: how many bytes it has at the most, 0 if that is not known
}

func (h *held[T]) change() *T {
	h.changed = true
	return h.doc
}

// open reads a participant with all events. It returns nil for one that does not exist.
func open(ctx context.Context, s biobank.Store, id int64) (*work, error) {
	recs, err := s.List(ctx, subjectPart(id), "a", "", 0)
	if err != nil {
		return nil, fmt.Errorf("read participant %d: %w", id, err)
	}
	return assemble(s, id, recs)
}

// assemble makes a participant's data of records, nil where the participant itself is not among them.
func assemble(s biobank.Store, id int64, recs []*biobank.Record) (*work, error) {
	w := &work{
		store: s, id: id, events: map[string]*held[Event]{}, groups: map[string]*held[Group]{},
		notes: map[string]*held[Thread]{}, read: map[string]bool{}, most: map[string]int{},
	}
	for _, rec := range recs {
		var err error
		switch rec.Type {
		case SubjectType:
			w.head, err = hold[Subject](rec)
		case EventType:
			err = w.occurs(rec)
		}
		if err != nil {
			return nil, err
		}
	}
	if w.head == nil {
		return nil, nil
	}
	return w, w.keep(recs)
}

func hold[T any](rec *biobank.Record) (*held[T], error) {
	doc, err := biobank.Decode[T](rec)
	return &held[T]{rec: rec, doc: &doc}, err
}

func fresh[T any](key biobank.Key, t biobank.Type, id int64, doc *T) *held[T] {
	return &held[T]{rec: &biobank.Record{Key: key, Type: t, ID: id}, doc: doc, changed: true}
}

// event is an occurrence, nil when there is none.
func (w *work) event(oid string, key int) *held[Event] {
	return w.events[EventKey(w.id, Fold(oid), key).Sort]
}

// occurrences are those of an event, by key.
func (w *work) occurrences(oid string) []*held[Event] {
	return below(w.events, eventPrefix(Fold(oid)))
}

// below are those whose sort keys begin with a prefix, in their order.
func below[T any](all map[string]*held[T], prefix string) (some []*held[T]) {
	for _, sort := range slices.Sorted(maps.Keys(all)) {
		if strings.HasPrefix(sort, prefix) {
			some = append(some, all[sort])
		}
	}
	return some
}

// last is the highest key of an event's occurrences, 0 for none.
func (w *work) last(oid string) int { return w.most[eventPrefix(Fold(oid))] }

// schedule makes an occurrence.
func (w *work) schedule(e *Event) *held[Event] {
	key := EventKey(w.id, Fold(e.OID), e.Key)
	h := fresh(key, EventType, w.id, e)
	w.events[key.Sort] = h
	w.numbered(key.Sort, e.Key)
	return h
}

// occurs takes an occurrence as it is stored.
func (w *work) occurs(rec *biobank.Record) error {
	e, err := hold[Event](rec)
	if err == nil {
		w.events[rec.Key.Sort] = e
		w.numbered(rec.Key.Sort, e.doc.Key)
	}
	return err
}

// load reads the item groups of a form, once.
func (w *work) load(ctx context.Context, prefix string) error {
	if w.read[prefix] {
		return nil
	}
	recs, err := w.store.List(ctx, subjectPart(w.id), prefix, "", 0)
	if err != nil {
		return fmt.Errorf("read the items of participant %d: %w", w.id, err)
	}
	w.read[prefix] = true
	return w.keep(recs)
}

// loadFew reads the item groups or notes below a prefix if they are fewer than manyRepeats, with fewer bytes than manyBytes;
// otherwise it keeps none.
func (w *work) loadFew(ctx context.Context, prefix string) (all bool, err error) {
	var recs []*biobank.Record
	after, size := "", 0
	for {
		page, err := w.store.List(ctx, subjectPart(w.id), prefix, after, fewRepeats)
		if err != nil {
			return false, fmt.Errorf("read the items of participant %d: %w", w.id, err)
		}
		recs, size = append(recs, page...), size+bytesOf(page)
		switch {
		case len(recs) >= manyRepeats, size >= manyBytes:
			return false, nil
		case len(page) < fewRepeats:
			w.read[prefix] = true
			return true, w.keep(recs)
		}
		after = page[len(page)-1].Key.Sort
	}
}

// bytesOf is how many bytes the documents of records have.
func bytesOf(recs []*biobank.Record) (n int) {
	for _, rec := range recs {
		n += len(rec.Doc)
	}
	return n
}

// keep takes records of item groups and notes. What is held of them already, and may be changed, stays.
func (w *work) keep(recs []*biobank.Record) (err error) {
	w.size += bytesOf(recs)
	for _, rec := range recs {
		switch rec.Type {
		case GroupType:
			var g *held[Group]
			if g, err = hold[Group](rec); err == nil && w.groups[rec.Key.Sort] == nil {
				w.put(rec.Key.Sort, g)
			}
		case NoteType:
			var t *held[Thread]
			if t, err = hold[Thread](rec); err == nil && w.notes[rec.Key.Sort] == nil {
				w.notes[rec.Key.Sort] = t
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// put takes a repeat of an item group.
func (w *work) put(sort string, g *held[Group]) {
	w.groups[sort] = g
	w.numbered(sort, g.doc.Key)
}

// numbered notes the number of a repeat, or of an occurrence, at the end of its sort key.
func (w *work) numbered(sort string, n int) {
	of := sort[:strings.LastIndexByte(sort, '/')+1]
	w.most[of] = max(w.most[of], n)
}

// after is the version that the participant has when a plan for it is written, nil for none.
func (w *work) after(plan *SubjectPlan) int64 {
	if plan == nil {
		return w.head.rec.Version
	}
	return plan.Free.Version
}

// SubjectPlan is what becomes of one participant. Lock is written first: it marks the participant as pending, on
// condition that nobody changed it since it was read. Free is written last. Writes are between, each on condition of what
// it replaces, so that all of them can be done again.
type SubjectPlan struct {
	Lock   *biobank.Record `json:"lock"`
	Writes []biobank.Write `json:"writes"`
	Free   *biobank.Record `json:"free"`
}

// byImport is the reason of what an import changes.
const byImport = "Import"

// who is who changes something, when and why.
type who struct {
	source string
	by     int64
	at     int64
	reason string
	from   string
}

// plan turns what has changed into writes, nil when nothing has.
func (w *work) plan(by who) (*SubjectPlan, error) {
	var entries, records []biobank.Write
	chain := w.head.rec.Head
	count := w.head.doc.Entries
	add := func(rec *biobank.Record, doc any) error {
		next, entry, err := by.turn(w.id, rec, doc, chain, count+1)
		if err != nil || next == nil {
			return err
		}
		if entry != nil {
			count++
			chain = entry.Head()
			entries = append(entries, biobank.Write{Kind: biobank.InsertEntry, Entry: entry})
		}
		if next.Key != w.head.rec.Key {
			kind := biobank.UpdateRecord
			if next.Version == 1 {
				kind = biobank.InsertRecord
			}
			records = append(records, biobank.Write{Kind: kind, Record: next})
		}
		return nil
	}
	if err := eachChanged(w.events, add); err != nil {
		return nil, err
	}
	if err := eachChanged(w.groups, add); err != nil {
		return nil, err
	}
	if err := eachChanged(w.notes, add); err != nil {
		return nil, err
	}
	if w.head.changed {
		if err := add(w.head.rec, w.head.doc); err != nil {
			return nil, err
		}
	}
	if len(entries)+len(records) == 0 {
		return nil, nil
	}
	was, err := biobank.Decode[Subject](w.head.rec)
	if err != nil {
		return nil, err
	}
	lock, free := *w.head.rec, *w.head.rec
	lock.Version++
	was.Pending = by.source
	if lock.Doc, err = json.Marshal(was); err != nil {
		return nil, err
	}
	is := *w.head.doc
	is.Entries, is.UpdatedAt, is.UpdatedBy = count, by.at, by.by
	free.Version, free.Head = lock.Version+1, chain
	free.Changes = biobank.Remember(free.Changes, by.source)
	if free.Doc, err = json.Marshal(is); err != nil {
		return nil, err
	}
	return &SubjectPlan{Lock: &lock, Writes: append(entries, records...), Free: &free}, nil
}

// eachChanged calls do with what has changed, in the order of the keys.
func eachChanged[T any](of map[string]*held[T], do func(*biobank.Record, any) error) error {
	for _, k := range slices.Sorted(maps.Keys(of)) {
		if h := of[k]; h.changed {
			if err := do(h.rec, h.doc); err != nil {
				return err
			}
		}
	}
	return nil
}

// turn is the record that a document makes of the one stored, and the audit entry of the change; a new record carries its
// own creation and needs none. Both are nil where nothing differs.
func (by who) turn(subject int64, rec *biobank.Record, doc any, chain string, n int64) (*biobank.Record, *biobank.Entry, error) {
	next := *rec
	next.Version++
	var err error
	if next.Doc, err = json.Marshal(doc); err != nil {
		return nil, nil, err
	}
	if rec.Version == 0 {
		next.Source, next.CreatedBy, next.CreatedAt, next.Reason = by.source, by.by, by.at, by.reason
		return &next, nil, nil
	}
	before, after, err := delta(rec.Doc, next.Doc)
	if err != nil || before == nil {
		return nil, nil, err
	}
	e := &biobank.Entry{
		Type: SubjectType, ID: subject, Version: n, Change: by.source, At: by.at, By: by.by, Reason: by.reason, From: by.from, Prev: chain,
	}
	if e.Before, err = json.Marshal(map[string]any{rec.Key.Sort: before}); err != nil {
		return nil, nil, err
	}
	if e.After, err = json.Marshal(map[string]any{rec.Key.Sort: after}); err != nil {
		return nil, nil, err
	}
	next.Changes = biobank.Remember(next.Changes, by.source)
	return &next, e, nil
}

// delta is what differs between two JSON objects, and in the objects in them; nil, nil for nothing.
func delta(before, after []byte) (was, is map[string]any, err error) {
	var a, b map[string]any
	if err := json.Unmarshal(before, &a); err != nil {
		return nil, nil, fmt.Errorf("what was: %w", err)
	}
	if err := json.Unmarshal(after, &b); err != nil {
		return nil, nil, fmt.Errorf("what is: %w", err)
	}
	was, is = differing(a, b)
	return was, is, nil
}

func differing(a, b map[string]any) (was, is map[string]any) {
	put := func(name string, x, y any, inA, inB bool) {
		if was == nil {
			was, is = map[string]any{}, map[string]any{}
		}
		if inA {
			was[name] = x
		}
		if inB {
			is[name] = y
		}
	}
	names := maps.Clone(a)
	if names == nil {
		names = map[string]any{}
	}
	maps.Copy(names, b)
	for name := range names {
		x, inA := a[name]
		y, inB := b[name]
		xm, xIs := x.(map[string]any)
		ym, yIs := y.(map[string]any)
		switch {
		case inA && inB && xIs && yIs:
			if w, i := differing(xm, ym); w != nil {
				put(name, w, i, true, true)
			}
		case inA != inB || !equal(x, y):
			put(name, x, y, inA, inB)
		}
	}
	return was, is
}

// equal compares what JSON holds besides objects.
func equal(x, y any) bool {
	xs, xIs := x.([]any)
	ys, yIs := y.([]any)
	if xIs || yIs {
		a, errA := json.Marshal(xs)
		b, errB := json.Marshal(ys)
		return xIs && yIs && errA == nil && errB == nil && string(a) == string(b)
	}
	return x == y
}
