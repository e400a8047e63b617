package clinical

import (
	"context"
	"fmt"

	"aliquot/shared/biobank"
)

// An import needs of a participant's events those that its document names, and the highest key of each, after which new ones
// are numbered. The few that most participants have are read at once with the participant. Of many, as of somebody with an
// entry for every hour of a year, each plan reads no more than its own.

const (
	// manyEvents is from how many occurrences on they are not read at once.
	manyEvents = 200
	// nextEvents is how many are read where one is named: documents have them in order.
	nextEvents = 50
)

// begin reads a participant, nil for none, with all events where they are few.
func begin(ctx context.Context, s biobank.Store, id int64) (*work, error) {
	recs, err := s.List(ctx, subjectPart(id), "a", "", 1+manyEvents)
	if err != nil {
		return nil, fmt.Errorf("read participant %d: %w", id, err)
	}
	many := len(recs) > manyEvents
	if many {
		recs = recs[:1] // the participant comes before its events
	}
	w, err := assemble(s, id, recs)
	if w != nil {
		w.many = many
	}
	return w, err
}

// asked reads what must be known of an event to find the occurrence that is meant by a repeat key as it was sent.
func (w *work) asked(ctx context.Context, def *EventDef, sent string) error {
	if !w.many {
		return nil
	}
	if def.Common && !def.Repeating { // it is found by its form, and there are no more of it than forms
		prefix := eventPrefix(Fold(def.OID))
		if w.read[prefix+"*"] {
			return nil
		}
		w.read[prefix], w.read[prefix+"*"] = true, true
		return w.list(ctx, prefix, "", 0)
	}
	key := 1
	if def.Repeating {
		key, _ = repeatKey(sent) // one that is none needs nothing
	}
	return w.needs(ctx, def.OID, key)
}

// needs reads the highest key of an event, and its occurrence with a key if there is one.
func (w *work) needs(ctx context.Context, oid string, key int) error {
	if !w.many {
		return nil
	}
	prefix := eventPrefix(Fold(oid))
	if !w.read[prefix] {
		last, err := w.lastRepeat(ctx, prefix)
		if err != nil {
			return err
		}
		w.most[prefix] = max(w.most[prefix], last)
		w.read[prefix] = true
	}
	sort := EventKey(w.id, Fold(oid), key).Sort
	if key < 1 || key > w.most[prefix] || w.events[sort] != nil || w.read[sort] {
		return nil
	}
	w.read[sort] = true
	return w.list(ctx, prefix, prefix+fmt.Sprintf(repeat, key-1), nextEvents)
}

// list reads occurrences of an event after a sort key, at most so many (0: all). What is held of them stays.
func (w *work) list(ctx context.Context, prefix, after string, most int) error {
	recs, err := w.store.List(ctx, subjectPart(w.id), prefix, after, most)
	if err != nil {
		return fmt.Errorf("read the events of participant %d: %w", w.id, err)
	}
	w.size += bytesOf(recs)
	for _, rec := range recs {
		if w.events[rec.Key.Sort] != nil {
			continue
		}
		if err := w.occurs(rec); err != nil {
			return err
		}
	}
	return nil
}
