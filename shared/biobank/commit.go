package biobank

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"aliquot/shared/fault"
)

// write does the planned writes: for a job in rounds, for a person in one transaction.
func (b *Batch) write(ctx context.Context, opening *bool) error {
	if !b.bulk {
		return b.transact(ctx)
	}
	for round := range b.writes {
		if err := b.round(ctx, b.writes[round], opening); err != nil {
			return err
		}
	}
	return b.undo(ctx, opening)
}

// round sends writes, a request for each MaxBatch of them, and settles those that found something in their way.
func (b *Batch) round(ctx context.Context, writes []rowWrite, opening *bool) error {
	for from := 0; from < len(writes); {
		b.bufs, b.sent = b.bufs[:0], b.sent[:0]
		for ; from < len(writes) && len(b.bufs) < MaxBatch; from++ {
			if b.live(writes[from].row) {
				b.bufs = append(b.bufs, writes[from].Write)
				b.sent = append(b.sent, from)
			}
		}
		if len(b.bufs) == 0 {
			continue
		}
		results, err := b.store.Write(ctx, *opening, b.bufs)
		if err != nil {
			return err
		}
		*opening = false
		for k, i := range b.sent {
			if results[k] == Written || !b.live(writes[i].row) && !b.soft[writes[i].row] {
				continue
			}
			if err := b.settle(ctx, &writes[i], opening); err != nil {
				return err
			}
		}
	}
	return nil
}

// live tells whether the row's writes go on.
func (b *Batch) live(row int) bool { return b.failed[row] == nil && !b.again[row] }

// settle finds out why a write met something, and what follows: nothing (it was our own earlier try), a fault of the row,
// or another plan.
func (b *Batch) settle(ctx context.Context, w *rowWrite, opening *bool) error {
	if w.lax {
		return nil
	}
	switch w.Kind {
	case InsertMark, TakeMark:
		return b.settleMark(ctx, w, opening)
	case InsertRecord:
		got, err := b.fresh(ctx, w.Record.Key)
		if err != nil {
			return err
		}
		if got == nil || !got.Done(w.Record.Source) || w.Record.Source == "" {
			return fmt.Errorf("insert %s %d: %w", w.Record.Type, w.Record.ID, errLostTrack)
		}
	case UpdateRecord:
		source := ""
		if n := len(w.Record.Changes); n > 0 {
			source = w.Record.Changes[n-1]
		}
		got, err := b.fresh(ctx, w.Record.Key)
		if err != nil {
			return err
		}
		if got == nil || !got.Done(source) {
			b.again[w.row] = true // somebody else was faster: plan the change on what is there now
		}
	case InsertEntry:
		return b.settleEntry(ctx, w, opening)
	case DropMark:
		// A mark that is gone, or another's, needs no drop.
	case DropRecord:
		b.again[w.row] = true // it has changed
	}
	return nil
}

// settleEntry decides about an audit entry whose place is taken. It has the change's own id there, so an earlier try made
// it, at an earlier time: the record then names that one. One that tells of something else (the change came out
// differently this time) stays, void, and the new one goes beside it.
func (b *Batch) settleEntry(ctx context.Context, w *rowWrite, opening *bool) error {
	trail, err := b.store.Trail(ctx, w.Entry.Type, w.Entry.ID)
	if err != nil {
		return fmt.Errorf("read the audit of %s %d: %w", w.Entry.Type, w.Entry.ID, err)
	}
	for {
		i := slices.IndexFunc(trail, func(e *Entry) bool { return e.AuditKey() == w.Entry.AuditKey() })
		if i < 0 {
			break
		}
		ours := *w.Entry
		if ours.At = trail[i].At; ours.Head() == trail[i].Head() {
			b.rename(w, &ours)
			return nil
		}
		ours = *w.Entry
		ours.Change += again
		b.rename(w, &ours)
	}
	res, err := b.store.Write(ctx, *opening, []Write{w.Write})
	if err != nil {
		return err
	}
	*opening = false
	if res[0] != Written {
		b.again[w.row] = true // another worker has the same row
	}
	return nil
}

// again ends the id of a change that came out differently from an earlier try.
const again = "'"

// rename puts an entry in place of the one of w, and has the record name it.
func (b *Batch) rename(w *rowWrite, e *Entry) {
	head := w.Entry.Head()
	w.Entry = e
	for _, round := range [][]rowWrite{b.writes[roundBelow], b.writes[roundParents], b.writes[roundRecords]} {
		for i := range round {
			if r := round[i].Record; r != nil && r.Head == head {
				r.Head = e.Head()
			}
		}
	}
}

// fresh reads a record anew.
func (b *Batch) fresh(ctx context.Context, key Key) (*Record, error) {
	delete(b.recs, key)
	return b.rec(ctx, key)
}

// settleMark decides about a name that is taken: ours already, somebody's, or a leftover that may be taken over.
func (b *Batch) settleMark(ctx context.Context, w *rowWrite, opening *bool) error {
	for range tries {
		got, err := b.store.Marks(ctx, []string{w.Mark.Name}, true)
		if err != nil {
			return fmt.Errorf("look up a taken name: %w", err)
		}
		m, ok := got[w.Mark.Name]
		b.marks[w.Mark.Name] = m
		if w.stale != nil {
			w.stale()
			b.unseat(w.row)
			b.again[w.row] = true
			return nil
		}
		if b.bulk && ok && m.To == w.Mark.To && m.Source == w.Mark.Source {
			return nil
		}
		next := Write{Kind: InsertMark, Mark: w.Mark}
		if ok {
			held, err := b.held(ctx, w, m)
			if err != nil {
				return err
			}
			if held {
				if w.unique == nil {
					return fmt.Errorf("mark of id %d: %w", w.Mark.ID, errLostTrack)
				}
				if w.taken != nil {
					b.unseat(w.row)
					err := w.taken(m)
					if err != nil && fault.All(err) == nil {
						return err
					}
					b.failed[w.row], b.again[w.row] = err, err == nil
					return nil
				}
				// On a repeat a later row may hold the name that this row failed to keep: the reason of then counts.
				later := sourceRow(m.Source) > sourceRow(w.Mark.Source) && sameJob(m.Source, w.Mark.Source)
				if b.failed[w.row] == nil || b.soft[w.row] && !later {
					b.failed[w.row], b.soft[w.row] = fault.New(w.unique.code, w.unique.text, w.value), later
				}
				return nil
			}
			next = Write{Kind: TakeMark, Mark: w.Mark, WasSource: m.Source, WasTo: m.To}
		}
		if !b.bulk {
			w.Write = next // goes into the transaction's next try
			return nil
		}
		res, err := b.store.Write(ctx, *opening, []Write{next})
		if err != nil {
			return err
		}
		*opening = false
		if res[0] == Written {
			return nil
		}
	}
	return errors.New("a name changed hands too often")
}

// held tells whether a mark counts: its owner holds the value, or is a row that is still being written.
func (b *Batch) held(ctx context.Context, w *rowWrite, m Mark) (bool, error) {
	if until := reservedUntil(m.Source); until != 0 {
		return until > b.at, nil
	}
	owner, err := b.fresh(ctx, m.To)
	if err != nil {
		return false, err
	}
	switch {
	case w.unique == nil:
		return owner != nil || m.Source != w.Mark.Source, nil // an earlier try may have meant to put the record elsewhere
	case owner != nil:
		return w.unique.holds(owner, w.value)
	case b.claimed(w, m):
		return true, nil
	}
	alive, err := b.store.Alive(ctx, m.Source)
	if err != nil {
		return false, fmt.Errorf("look after the owner of a name: %w", err)
	}
	// Rows that name one cell in different ways may be in the hands of two workers.
	return alive && (w.unique == uniqueCell || !sameJob(m.Source, w.Mark.Source)), nil
}

// claimed tells whether another row of the group is about to write the owner of a mark.
func (b *Batch) claimed(w *rowWrite, m Mark) bool {
	return slices.ContainsFunc(b.writes[roundNames], func(o rowWrite) bool {
		return o.row != w.row && o.Mark.Name == m.Name && o.Mark.Source == m.Source && m.Source != "" && b.live(o.row)
	})
}

// sourceRow is the row of a source, 0 for a person's.
func sourceRow(source string) int64 {
	_, row, _ := strings.Cut(source, "#")
	n, err := strconv.ParseInt(row, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// sameJob tells whether two sources are rows of one job. Its rows that share a name run one after the other, so the
// earlier one is finished: it failed, and its mark is a leftover.
func sameJob(a, b string) bool {
	one, _, _ := strings.Cut(a, "#")
	two, _, _ := strings.Cut(b, "#")
	return one != "" && one == two
}

// undo releases the marks of rows that failed after some were made.
func (b *Batch) undo(ctx context.Context, opening *bool) error {
	b.bufs = b.bufs[:0]
	flush := func() error {
		if len(b.bufs) == 0 {
			return nil
		}
		_, err := b.store.Write(ctx, *opening, b.bufs)
		*opening = false
		b.bufs = b.bufs[:0]
		return err
	}
	for _, round := range [][]rowWrite{b.writes[roundNames], b.writes[roundIDs]} {
		for i := range round {
			if b.failed[round[i].row] == nil || round[i].lax && round[i].Kind == InsertMark {
				continue // such a mark counts only with what its record says
			}
			m := round[i].Mark
			w := Write{Kind: DropMark, Mark: m, WasSource: m.Source, WasTo: m.To}
			if round[i].lax {
				w.Kind, w.Mark.Info = TakeMark, round[i].value
			}
			b.bufs = append(b.bufs, w)
			if len(b.bufs) == MaxBatch {
				if err := flush(); err != nil {
					return err
				}
			}
		}
	}
	return flush()
}

// transact does one change's writes all or nothing; of one that is too large for that, see portions.
func (b *Batch) transact(ctx context.Context) error {
	var all []*rowWrite
	for round := range b.writes {
		for i := range b.writes[round] {
			all = append(all, &b.writes[round][i])
		}
	}
	all = standing(all)
	if len(all) <= maxTransaction {
		return b.commit(ctx, all)
	}
	portions, err := b.portions(ctx, all)
	if err != nil {
		return err
	}
	for _, part := range portions {
		if err := b.commit(ctx, part); err != nil || b.failed[0] != nil || b.again[0] {
			return err
		}
	}
	return nil
}

// commit does writes in one transaction, or notes why the change fails or must be planned again.
func (b *Batch) commit(ctx context.Context, all []*rowWrite) error {
	if len(all) == 0 {
		return nil
	}
	for range tries {
		b.bufs = b.bufs[:0]
		for _, w := range all {
			b.bufs = append(b.bufs, w.Write)
		}
		results, err := b.store.Transact(ctx, b.bufs)
		if err == nil {
			b.settled(all)
			return nil
		}
		if !errors.Is(err, ErrTransaction) {
			return err
		}
		for i, w := range all {
			if results[i] == Written {
				continue
			}
			switch {
			case w.lax || w.Kind == DropMark:
				w.Kind = 0 // gone already
			case w.Kind == InsertMark || w.Kind == TakeMark:
				opening := false
				if err := b.settleMark(ctx, w, &opening); err != nil {
					return err
				}
				if b.failed[w.row] != nil || b.again[w.row] {
					return nil
				}
			case w.Record != nil:
				if err := b.outdated(ctx, w.Record.Key); err != nil {
					return err
				}
				b.again[w.row] = true
				return nil
			default:
				return errors.New("an audit entry of this change exists already")
			}
		}
		kept := all[:0]
		for _, w := range all {
			if w.Kind != 0 {
				kept = append(kept, w)
			}
		}
		all = kept
	}
	return b.busy(errors.New("a name changed hands too often"))
}
