package clinical

import (
	"context"
	"fmt"
	"strings"
)

// An import needs of a form what its part of the document names: the stored repeats that are sent again, and the highest one,
// after which new ones are numbered. A form of a usual size is read whole, in one request. Of one with thousands of repeats,
// which comes in many parts, each part reads no more than its own: the highest is looked for once and then carried on in the
// cursor, and stored repeats are read a window at a time, since documents have them in order.

const (
	// manyRepeats is from how many item groups, or notes, a form is not read whole, and manyBytes from how many bytes; it is
	// read fewRepeats at a time to see.
	manyRepeats, fewRepeats = 500, 50
	manyBytes               = 4 << 20
	// firstWindow is how many repeats are read at once where one is named, nextWindow where the one behind them is: as many as
	// have, by those before, windowBytes.
	firstWindow, nextWindow = 10, 200
	windowBytes             = 2 << 20
)

// window are repeats of an item group that were read, up to the one with the key to.
type window struct {
	prefix   string
	from, to int
	mean     int // of their bytes
}

// repeatsOf is what the sort keys of an item group's repeats in a form begin with.
func repeatsOf(p Path) string { return FormPrefix(p.Event, p.EventKey, p.Form) + escape(p.Group) + "/" }

// repeated is the highest repeat of an item group in the form that is open; of a group that does not repeat, at least that.
// It also reads the form where it can be read whole.
func (p *Planner) repeated(ctx context.Context, w *work, at Path, repeating bool) (highest int, err error) {
	f := p.Cursor.Form
	prefix := FormPrefix(at.Event, at.EventKey, at.Form)
	group := repeatsOf(at)
	if h := w.event(at.Event, at.EventKey); h == nil || h.rec.Version == 0 || h.doc.Forms[at.Form] == nil {
		return w.most[group], nil // nothing of the form is stored
	}
	if !f.Large && !w.read[prefix] {
		whole, err := w.loadFew(ctx, prefix)
		if err != nil {
			return 0, err
		}
		f.Large = !whole
	}
	if !f.Large {
		return w.most[group], nil
	}
	if f.Version != w.head.rec.Version { // somebody else has changed the participant, or nothing is known yet
		f.Version, f.Highest = w.head.rec.Version, map[string]int{}
	}
	stored, known := f.Highest[at.Group]
	if !known {
		stored = 1
		if repeating {
			if stored, err = w.lastRepeat(ctx, group); err != nil {
				return 0, err
			}
		}
		f.Highest[at.Group] = stored
	}
	return max(stored, w.most[group]), nil
}

// lastRepeat finds the highest stored repeat of an item group by halving, 0 for none.
func (w *work) lastRepeat(ctx context.Context, group string) (int, error) {
	low, high := 0, MaxRepeat // it is at least low, at most high
	for low < high {
		middle := low + (high-low)/2
		recs, err := w.store.List(ctx, subjectPart(w.id), group, group+fmt.Sprintf(repeat, middle), 1)
		if err != nil {
			return 0, fmt.Errorf("read the items of participant %d: %w", w.id, err)
		}
		if len(recs) == 0 {
			high = middle
			continue
		}
		if _, err := fmt.Sscanf(recs[0].Key.Sort[len(group):], "%d", &low); err != nil {
			return 0, fmt.Errorf("the key of a repeat of participant %d: %w", w.id, err)
		}
	}
	return low, nil
}

// repeat reads a repeat of an item group, if it may be stored and is not read yet.
func (p *Planner) repeat(ctx context.Context, w *work, at Path) error {
	f := p.Cursor.Form
	group := repeatsOf(at)
	if !f.Large || at.GroupKey > f.Highest[at.Group] {
		return nil
	}
	read := &w.window
	if read.prefix == group && at.GroupKey >= read.from && at.GroupKey <= read.to {
		return nil
	}
	most := firstWindow
	if read.prefix == group && at.GroupKey == read.to+1 {
		most = min(nextWindow, max(firstWindow, windowBytes/read.mean))
	}
	recs, err := w.store.List(ctx, subjectPart(w.id), group, group+fmt.Sprintf(repeat, at.GroupKey-1), most)
	if err != nil {
		return fmt.Errorf("read the items of participant %d: %w", w.id, err)
	}
	*read = window{prefix: group, from: at.GroupKey, to: MaxRepeat, mean: 1 + bytesOf(recs)/max(1, len(recs))}
	if len(recs) == most {
		if _, err := fmt.Sscanf(recs[most-1].Key.Sort[len(group):], "%d", &read.to); err != nil {
			return fmt.Errorf("the key of a repeat of participant %d: %w", w.id, err)
		}
	}
	return w.keep(recs)
}

// notes reads the notes of a form, or, where there are many, those of a repeat of an item group.
func (p *Planner) notes(ctx context.Context, w *work, at Path) error {
	h := w.event(at.Event, at.EventKey)
	if h == nil || h.rec.Version == 0 || h.doc.Forms[at.Form] == nil || !h.doc.Forms[at.Form].Noted {
		return nil // none is stored
	}
	f := p.Cursor.Form
	prefix := NotePrefix(at.Event, at.EventKey, at.Form)
	if !f.Discussed && !w.read[prefix] {
		whole, err := w.loadFew(ctx, prefix)
		if err != nil {
			return err
		}
		f.Discussed = !whole
	}
	if f.Discussed {
		return w.load(ctx, prefix+strings.TrimPrefix(repeatsOf(at), FormPrefix(at.Event, at.EventKey, at.Form))+fmt.Sprintf(repeat, at.GroupKey)+"/")
	}
	return nil
}

// carry keeps in the cursor what the next part must know of a form that is open: how the participant will be when this part
// is written.
func (p *Planner) carry(w *work, version int64) {
	f := p.Cursor.Form
	if f == nil || !f.Large || f.Version != w.head.rec.Version {
		return
	}
	f.Version = version
	at := Path{Event: Fold(p.Cursor.Event.OID), EventKey: p.Cursor.Event.Key, Form: f.Form}
	for group := range f.Highest {
		at.Group = group
		f.Highest[group] = max(f.Highest[group], w.most[repeatsOf(at)])
	}
}
