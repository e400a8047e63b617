package biobank

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"aliquot/shared/fault"
)

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
	if err := b.lean(nil, doc); err != nil {
		return err
	}
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
	if err := b.lean(was, doc); err != nil {
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

// number draws from a counter: the row's place in the job's reserved range, what a large collection has drawn for the
// specimen, or the next number.
func (b *Batch) number(ctx context.Context, c *Change, counter string) (int64, error) {
	if first, ok := c.Reserved[counter]; ok {
		return first + c.Row, nil
	}
	if c.numbers != nil {
		return c.numbers.number(ctx, b.store, counter)
	}
	n, err := b.store.Reserve(ctx, counter, 1)
	if err != nil {
		return 0, fmt.Errorf("draw from counter %s: %w", counter, err)
	}
	return n, nil
}

var errLostTrack = errors.New("a record with our id belongs to another source")
