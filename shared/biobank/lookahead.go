package biobank

import (
	"context"
	"fmt"
	"slices"

	"aliquot/shared/fault"
)

// readAhead is how many changes are looked up together: a request reads 100 items.
const readAhead = 96

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
	forgetMarks(ctx, name)
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
