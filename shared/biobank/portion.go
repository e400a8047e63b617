package biobank

import (
	"context"
	"fmt"

	"aliquot/shared/fault"
)

// maxTransaction is how many items a transaction holds.
const maxTransaction = 100

// tooLarge tells of a change that one transaction does not hold, and of which nothing was written.
type tooLarge struct{ items int }

func (t *tooLarge) Error() string {
	return fmt.Sprintf("%d items are more than a transaction holds", t.items)
}

// holds is how many of n objects of the change a transaction holds, by what it touches for them all: fewer than n.
func (t *tooLarge) holds(n int) int { return max(1, n*(maxTransaction-inCommon)/t.items) }

// portions writes what of a change that is too large for one transaction means nothing by itself, the entries of the audit
// and the marks of new ids, and divides the rest into transactions: one, where that holds it; else first the records that
// change because one above them does, and that one last. So a change that was cut short goes on when it is asked for
// again. The names that are claimed are looked at before anything is written, and what does not fit even so is refused.
func (b *Batch) portions(ctx context.Context, all []*rowWrite) ([][]*rowWrite, error) {
	opening := false
	var names []string
	for _, w := range all {
		if w.Kind == InsertMark && w.unique != nil {
			names = append(names, w.Mark.Name)
		}
	}
	taken, err := b.store.Marks(ctx, names, true)
	if err != nil {
		return nil, fmt.Errorf("look up the names that are claimed: %w", err)
	}
	for _, w := range all {
		if _, is := taken[w.Mark.Name]; !is || w.Kind != InsertMark || w.unique == nil {
			continue
		}
		if err := b.settleMark(ctx, w, &opening); err != nil || b.failed[0] != nil || b.again[0] {
			return nil, err
		}
	}
	var before, rest []*rowWrite
	for _, w := range all {
		if w.Kind == InsertEntry || w.Kind == InsertMark && w.unique == nil && w.stale == nil && !w.lax {
			before = append(before, w)
		} else {
			rest = append(rest, w)
		}
	}
	follows := map[Key]bool{}
	if len(rest) > maxTransaction {
		for i := range b.writes[roundBelow] {
			if w := &b.writes[roundBelow][i]; w.Kind == UpdateRecord {
				follows[w.Record.Key] = true
			}
		}
	}
	var parts [][]*rowWrite
	var part, last []*rowWrite
	groups, order := map[Key][]*rowWrite{}, []Key{}
	for _, w := range rest {
		of := w.Mark.To
		if w.Record != nil {
			of = w.Record.Key
		}
		if !follows[of] {
			last = append(last, w)
			continue
		}
		if groups[of] == nil {
			order = append(order, of)
		}
		groups[of] = append(groups[of], w)
	}
	if len(last) > maxTransaction {
		b.failed[0] = fault.New("COMMON_INVALID_INPUT", "The change touches %d items at once; at most %d are possible. Change fewer objects at a time.", len(last), maxTransaction).
			Wrap(&tooLarge{len(all)})
		return nil, nil
	}
	for _, key := range order {
		if len(part)+len(groups[key]) > maxTransaction {
			parts, part = append(parts, part), nil
		}
		part = append(part, groups[key]...)
	}
	if len(part)+len(last) > maxTransaction {
		parts, part = append(parts, part), nil
	}
	return append(parts, append(part, last...)), b.writeBefore(ctx, before)
}

// writeBefore writes entries of the audit and marks of ids on their own.
func (b *Batch) writeBefore(ctx context.Context, before []*rowWrite) error {
	opening := false
	for len(before) > 0 {
		some := before[:min(len(before), MaxBatch)]
		before = before[len(some):]
		bufs := make([]Write, len(some))
		for i, w := range some {
			bufs[i] = w.Write
		}
		results, err := b.store.Write(ctx, false, bufs)
		if err != nil {
			return err
		}
		for i, w := range some {
			switch {
			case results[i] == Written:
			case w.Kind == InsertEntry: // of an earlier try of the same request
				if err := b.settleEntry(ctx, w, &opening); err != nil {
					return err
				}
			default:
				return fmt.Errorf("mark of id %d: %w", w.Mark.ID, errLostTrack)
			}
		}
	}
	return nil
}
