package biobank

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
)

// Lists. Small sets are one partition each; what is collected is found by a mark or by reading the tree it lies in. Every
// read is strong, so that who wrote a record finds it in the lists at once, and every list leaves out what its reader may
// not see.

// Readable leaves out what is deleted and what the actor may not see.
func (r *Registry) Readable(ctx context.Context, a *Actor, recs []*Record) ([]*Record, error) {
	var keys []Key
	for _, rec := range recs {
		if cp := protocolOf(rec); cp != 0 {
			keys = append(keys, SetKey(Protocol, cp))
		}
	}
	protocols := map[Key]*Record{}
	if len(keys) > 0 {
		var err error
		if protocols, err = r.Store.Records(ctx, dedupe(keys), true); err != nil {
			return nil, fmt.Errorf("read protocols: %w", err)
		}
	}
	docs := map[int64]ProtocolDoc{}
	for _, p := range protocols {
		doc, err := Decode[ProtocolDoc](p)
		if err != nil {
			return nil, err
		}
		docs[p.ID] = doc
	}
	by, err := r.deciding(ctx, a, docs, recs...)
	if err != nil {
		return nil, err
	}
	out := make([]*Record, 0, len(recs))
	for _, rec := range recs {
		if statusOf(rec) == StatusDisabled {
			continue
		}
		cp := protocolOf(rec)
		if cp != 0 && docs[cp].ActivityStatus == StatusDisabled {
			continue // deleted with its protocol
		}
		if doc := docs[cp]; doc.hides(rec) {
			continue
		}
		sees, err := a.sees(rec, docs[cp].Sites, by)
		if err != nil {
			return nil, err
		}
		if sees {
			out = append(out, rec)
		}
	}
	return out, nil
}

// Members lists what the actor may see of a small set, by id.
func (r *Registry) Members(ctx context.Context, a *Actor, t Type) ([]*Record, error) {
	all, err := r.Set(ctx, t)
	if err != nil {
		return nil, err
	}
	return r.Readable(ctx, a, all)
}

// Set reads all of a set, deleted members included, all its partitions at once. It checks no rights.
func (r *Registry) Set(ctx context.Context, t Type) ([]*Record, error) {
	parts := SetParts(t)
	found, errs := make([][]*Record, len(parts)), make([]error, len(parts))
	var all sync.WaitGroup
	for i, part := range parts {
		all.Go(func() { found[i], errs[i] = r.Store.List(ctx, part, "", "", 0) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("list %s records: %w", t, err)
	}
	recs := slices.Concat(found...)
	slices.SortFunc(recs, func(a, b *Record) int { return cmp.Compare(a.ID, b.ID) })
	return recs, nil
}

// Definitions lists the events of a protocol and their requirements, each event before what lies below it, if the actor
// may see the protocol; an unknown one is CP_NOT_FOUND. Of a specimen-centric protocol the hidden event is among them.
func (r *Registry) Definitions(ctx context.Context, a *Actor, cp int64) ([]*Record, error) {
	all, _, err := r.definitions(ctx, a, cp)
	return all, err
}

// Events lists the events of a protocol as Definitions does; a specimen-centric one has none.
func (r *Registry) Events(ctx context.Context, a *Actor, cp int64) ([]*Record, error) {
	all, doc, err := r.definitions(ctx, a, cp)
	return slices.DeleteFunc(all, func(rec *Record) bool { return rec.Type != Event || doc.hides(rec) }), err
}

// definitions needs no look at the rights to what it lists: they are those to the protocol.
func (r *Registry) definitions(ctx context.Context, a *Actor, cp int64) ([]*Record, *ProtocolDoc, error) {
	protocol, err := r.Get(ctx, a, Protocol, cp)
	if err != nil {
		return nil, nil, err
	}
	doc, err := Decode[ProtocolDoc](protocol)
	if err != nil {
		return nil, nil, err
	}
	all, err := r.Store.List(ctx, ProtocolPart(cp), "event/", "", 0)
	if err != nil {
		return nil, nil, fmt.Errorf("list the events of protocol %d: %w", cp, err)
	}
	var event Key
	return slices.DeleteFunc(all, func(rec *Record) bool {
		if statusOf(rec) == StatusDisabled {
			return true
		}
		if rec.Type == Event {
			event = rec.Key
		}
		return rec.Type == Requirement && rec.Key.Above(1) != event // left of a copy that was cut short
	}), &doc, nil
}

// Below lists what the actor may see of the tree below a key, parents before their children.
func (r *Registry) Below(ctx context.Context, a *Actor, key Key) ([]*Record, error) {
	all, err := r.Store.List(ctx, key.Part, key.Sort+"/", "", 0)
	if err != nil {
		return nil, fmt.Errorf("list what lies below a record: %w", err)
	}
	return r.Readable(ctx, a, all)
}

// ByIDs reads objects by their ids, in that order, leaving out what is unknown, deleted or not for the actor to see.
func (r *Registry) ByIDs(ctx context.Context, a *Actor, t Type, ids []int64) ([]*Record, error) {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = IDMark(t, id)
	}
	return r.byMarks(ctx, a, names, func(int, *Record) (bool, error) { return true, nil })
}

// ByName reads visits by name, specimens by label, in the order of the names, leaving out like ByIDs.
func (r *Registry) ByName(ctx context.Context, a *Actor, t Type, names []string) ([]*Record, error) {
	if t == Visit {
		return r.byValue(ctx, a, uniqueVisitName, visitMark, names)
	}
	return r.byValue(ctx, a, uniqueLabel, labelMark, names)
}

// ByBarcode reads specimens by barcode.
func (r *Registry) ByBarcode(ctx context.Context, a *Actor, codes []string) ([]*Record, error) {
	return r.byValue(ctx, a, uniqueBarcode, barcodeMark, codes)
}

// ByPPID reads the registrations with a PPID in protocols, leaving out like ByIDs.
func (r *Registry) ByPPID(ctx context.Context, a *Actor, cps []int64, ppid string) ([]*Record, error) {
	names := make([]string, len(cps))
	for i, cp := range cps {
		names[i] = ppidMark(cp, ppid)
	}
	return r.byMarks(ctx, a, names, func(_ int, rec *Record) (bool, error) { return uniquePPID.holds(rec, ppid) })
}

// Taken tells whether a specimen label is in use, by whomever: labels are unique in the whole system.
func (r *Registry) Taken(ctx context.Context, label string) (*Record, error) {
	recs, err := r.byValue(ctx, &Actor{User: UserDoc{Type: UserSuper}}, uniqueLabel, labelMark, []string{label})
	if err != nil || len(recs) == 0 {
		return nil, err
	}
	return recs[0], nil
}

func (r *Registry) byValue(ctx context.Context, a *Actor, u *unique, mark func(string) string, values []string) ([]*Record, error) {
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = mark(v)
	}
	return r.byMarks(ctx, a, names, func(i int, rec *Record) (bool, error) { return u.holds(rec, values[i]) })
}

// byMarks reads the records that marks lead to, in the order of the marks; a record whose mark is a leftover does not hold.
func (r *Registry) byMarks(ctx context.Context, a *Actor, names []string, holds func(i int, rec *Record) (bool, error)) ([]*Record, error) {
	recs, err := r.marked(ctx, names, holds)
	if err != nil || len(recs) == 0 {
		return nil, err
	}
	return r.Readable(ctx, a, recs)
}

// marked is byMarks without regard to rights.
func (r *Registry) marked(ctx context.Context, names []string, holds func(i int, rec *Record) (bool, error)) ([]*Record, error) {
	possible := make([]string, 0, len(names))
	for _, name := range names {
		if len(name) <= maxMark {
			possible = append(possible, name)
		}
	}
	if len(possible) == 0 {
		return nil, nil
	}
	marks, err := r.Store.Marks(ctx, dedupe(possible), true)
	if err != nil {
		return nil, fmt.Errorf("look up names: %w", err)
	}
	var keys []Key
	for _, m := range marks {
		keys = append(append(keys, m.To), around(m.To)...)
	}
	if len(keys) == 0 {
		return nil, nil
	}
	recs, err := r.Store.Records(ctx, dedupe(keys), true)
	if err != nil {
		return nil, fmt.Errorf("read records: %w", err)
	}
	var out []*Record
	seen := map[Key]bool{}
	for i, name := range names {
		rec := recs[marks[name].To]
		if rec == nil || seen[rec.Key] {
			continue
		}
		if ok, err := holds(i, rec); err != nil {
			return nil, err
		} else if ok {
			out = append(out, rec)
			seen[rec.Key] = true
		}
	}
	return out, nil
}

// Levels of the trees, for Walk.
const (
	Registrations = 1 + iota
	Visits
	PrimarySpecimens
	Everything = 1 << 30
)

// walkPage is how many records a walk reads at once.
const walkPage = 256

// Walk reads the trees of a protocol down to a level, all shards at once, and returns the records that keep keeps; keep
// may be called from several goroutines. Where a page ends further down it jumps over the rest of that branch, so that
// a list of registrations does not read through all of their specimens. It checks no rights.
func (r *Registry) Walk(ctx context.Context, cp int64, level int, keep func(*Record) (bool, error)) ([]*Record, error) {
	parts := TreeParts(cp)
	found, errs := make([][]*Record, len(parts)), make([]error, len(parts))
	var all sync.WaitGroup
	for i, part := range parts {
		all.Go(func() { found[i], errs[i] = r.walk(ctx, part, level, keep) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("read the tree of protocol %d: %w", cp, err)
	}
	var out []*Record
	for _, recs := range found {
		out = append(out, recs...)
	}
	return out, nil
}

func (r *Registry) walk(ctx context.Context, part string, level int, keep func(*Record) (bool, error)) ([]*Record, error) {
	var out []*Record
	for rec, err := range r.tree(ctx, part, level) {
		if err != nil {
			return nil, err
		}
		if ok, err := keep(rec); err != nil {
			return nil, err
		} else if ok {
			out = append(out, rec)
		}
	}
	return out, nil
}

// tree reads a partition of a protocol's trees down to a level, a page at a time.
func (r *Registry) tree(ctx context.Context, part string, level int) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		for after := ""; ; {
			page, err := r.Store.List(ctx, part, "", after, walkPage)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, rec := range page {
				if rec.Key.depth() < level && !yield(rec, nil) {
					return
				}
			}
			if len(page) < walkPage {
				return
			}
			last := page[len(page)-1].Key
			after = last.Sort
			if deeper := last.depth() + 1 - level; deeper >= 0 {
				after = last.Above(deeper).Sort + "/~"
			}
		}
	}
}

// Each calls do with the records of a protocol's trees down to a level, one at a time and in no order, until it returns
// false. All shards are read at once, and a page of each is held. It checks no rights.
func (r *Registry) Each(ctx context.Context, cp int64, level int, do func(*Record) (more bool, err error)) error {
	var one sync.Mutex
	ended := false
	errs := make([]error, Shards)
	var all sync.WaitGroup
	for i, part := range TreeParts(cp) {
		all.Go(func() {
			for rec, err := range r.tree(ctx, part, level) {
				one.Lock()
				more := err == nil && !ended
				if more {
					more, err = do(rec)
				}
				ended = ended || !more
				one.Unlock()
				if errs[i] = err; !more || err != nil {
					return
				}
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("read the tree of protocol %d: %w", cp, err)
	}
	return nil
}

// Any tells whether a wanted record lies in a protocol's trees, down to a level; it looks no further than the first.
func (r *Registry) Any(ctx context.Context, cp int64, level int, wanted func(*Record) (bool, error)) (found bool, err error) {
	err = r.Each(ctx, cp, level, func(rec *Record) (bool, error) {
		var err error
		found, err = wanted(rec)
		return !found, err
	})
	return found, err
}

// protocolOf is the protocol that a record belongs to, or is; 0 for none.
func protocolOf(rec *Record) int64 {
	if rec.Type == Protocol {
		return rec.ID
	}
	return rec.Key.Protocol()
}

// EachSpecimen reads the specimens of a protocol that the actor may see, tree by tree, until keep returns false. It holds
// no more than a page of them.
func (r *Registry) EachSpecimen(ctx context.Context, a *Actor, cp int64, keep func(*Record) (more bool, err error)) error {
	if _, err := r.Get(ctx, a, Protocol, cp); err != nil {
		return err
	}
	for page, err := range r.pages(ctx, cp) {
		if err != nil {
			return err
		}
		recs, err := r.Readable(ctx, a, slices.DeleteFunc(page, func(rec *Record) bool { return rec.Type != Specimen }))
		if err != nil {
			return err
		}
		for _, rec := range recs {
			if more, err := keep(rec); err != nil || !more {
				return err
			}
		}
	}
	return nil
}

// EachRegistration is EachSpecimen of registrations. What lies below them is jumped over.
func (r *Registry) EachRegistration(ctx context.Context, a *Actor, cp int64, keep func(*Record) (more bool, err error)) error {
	if _, err := r.Get(ctx, a, Protocol, cp); err != nil {
		return err
	}
	var some []*Record
	use := func() (bool, error) {
		recs, err := r.Readable(ctx, a, some)
		some = some[:0]
		for _, rec := range recs {
			if more, err := keep(rec); err != nil || !more {
				return false, err
			}
		}
		return true, err
	}
	for _, part := range TreeParts(cp) {
		for rec, err := range r.tree(ctx, part, Registrations) {
			if err != nil {
				return fmt.Errorf("read the registrations of protocol %d: %w", cp, err)
			}
			if some = append(some, rec); len(some) < walkPage {
				continue
			}
			if more, err := use(); err != nil || !more {
				return err
			}
		}
	}
	_, err := use()
	return err
}

// pages reads the trees of a protocol one after the other, a page at a time. It checks no rights.
func (r *Registry) pages(ctx context.Context, cp int64) iter.Seq2[[]*Record, error] {
	return func(yield func([]*Record, error) bool) {
		for _, part := range TreeParts(cp) {
			for after, full := "", true; full; {
				page, err := r.Store.List(ctx, part, "", after, walkPage)
				if err != nil {
					yield(nil, fmt.Errorf("read the tree of protocol %d: %w", cp, err))
					return
				}
				if full = len(page) == walkPage; full {
					after = page[len(page)-1].Key.Sort
				}
				if !yield(page, nil) {
					return
				}
			}
		}
	}
}
