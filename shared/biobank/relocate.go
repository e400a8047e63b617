package biobank

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Moving records to another place (infra/decisions/moves.md).
//
// A record's key is its place in a tree. So it moves by being written anew where it is to be, with its history and one
// entry more, while the old item is dropped and the marks that led there lead here: all in one transaction. What lies below
// it moves with it where that is little; else it moves ahead, leaves first and a few at a time, and the root comes last. A
// move that was cut short goes on when it is asked for again, since what has been moved is not below the root any more.
// Meanwhile a stand-in, a deleted copy, holds the place of what others lie below: whoever reads one of them by id sees what
// it belongs to, and no list shows the stand-in.

// movedTogether is how many records move in one transaction, each with at most ten of its 100 items.
const movedTogether = 8

// move is where something goes, with all that lies below it.
type move struct {
	from, to Key
	// events and reqs lead from what the records name to the like of it in the other place; nil where they stay.
	events, reqs map[int64]int64
	// status is what live specimens get, where it is not empty.
	status string
}

// Error makes a move that cannot be done in one transaction the reason why a change was not planned: what lies below must
// move ahead.
func (m *move) Error() string { return "what lies below a record must be moved ahead of it" }

// at is the place that a record below from, or from itself, gets.
func (m *move) at(k Key) Key {
	if owner, form := k.FormOwner(); form != 0 {
		return FormRecordKey(m.at(owner), form, k.last())
	}
	return Key{m.to.Part, m.to.Sort + strings.TrimPrefix(k.Sort, m.from.Sort)}
}

// below reads what lies below the root of a move, deleted or not, and the forms of it all, leaves first.
func (m *move) below(ctx context.Context, s Store) ([]*Record, error) {
	tree, err := s.List(ctx, m.from.Part, m.from.Sort+"/", "", 0)
	if err != nil {
		return nil, fmt.Errorf("read what lies below a record: %w", err)
	}
	forms, err := s.List(ctx, formPart+m.from.Part, m.from.Sort, "", 0)
	if err != nil {
		return nil, fmt.Errorf("read the forms of a tree: %w", err)
	}
	all := append(forms, tree...) // in front of what they are about
	depth := func(k Key) int {
		if owner, form := k.FormOwner(); form != 0 {
			k = owner
		}
		return strings.Count(k.Sort, "/")
	}
	slices.SortStableFunc(all, func(x, y *Record) int { return depth(y.Key) - depth(x.Key) })
	return all, nil
}

// standIn puts stand-ins where the root of a move, and what others lie below, are to be. One of an earlier try whose record
// has changed since gives way to a new one.
func (m *move) standIn(ctx context.Context, s Store, root *Record, below []*Record) error {
	all := slices.DeleteFunc(slices.Clone(below), func(rec *Record) bool { return rec.Type == FormRecordType })
	parents := map[Key]bool{}
	for _, rec := range all {
		parents[rec.Key.Above(1)] = true
	}
	if root != nil {
		all = append(all, root)
		parents[root.Key] = true
	}
	keys := make([]Key, len(all))
	for i, rec := range all {
		keys[i] = m.at(rec.Key)
	}
	there, err := s.Records(ctx, keys, true)
	if err != nil {
		return fmt.Errorf("read the place of a move: %w", err)
	}
	var drops, puts []Write
	for i, rec := range all {
		old := there[keys[i]]
		if old == nil && !parents[rec.Key] || old != nil && old.Version == rec.Version {
			continue
		}
		if old != nil && old.ID != rec.ID {
			return fmt.Errorf("move %s %d: %w", rec.Type, rec.ID, errLostTrack)
		}
		if old != nil {
			drops = append(drops, Write{Kind: DropRecord, Record: old})
		}
		copied := *rec
		copied.Key = keys[i]
		if copied.Doc, err = disabled(rec.Doc); err != nil {
			return err
		}
		puts = append(puts, Write{Kind: InsertRecord, Record: &copied})
	}
	for _, writes := range [][]Write{drops, puts} {
		for part := range slices.Chunk(writes, MaxBatch) {
			if _, err := s.Write(ctx, false, part); err != nil {
				return fmt.Errorf("prepare the place of a move: %w", err)
			}
		}
	}
	return nil
}

// disabled is an object as a deleted one.
func disabled(doc []byte) ([]byte, error) {
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(doc, &members); err != nil {
		return nil, fmt.Errorf("decode a record that moves: %w", err)
	}
	members["activityStatus"] = json.RawMessage(`"` + StatusDisabled + `"`)
	return json.Marshal(members)
}

// moveAhead moves what lies below the root of a move, and the root itself where whole is set; it is done unless until came
// first. It checks no rights.
func (r *Registry) moveAhead(ctx context.Context, a *Actor, at, until time.Time, now func() time.Time, c Change, m *move, whole bool) (done bool, err error) {
	for range tries {
		var changed *move
		if done, err = r.moveOnce(ctx, a, at, until, now, c, m, whole); !errors.As(err, &changed) {
			return done, err
		}
	}
	return false, err
}

func (r *Registry) moveOnce(ctx context.Context, a *Actor, at, until time.Time, now func() time.Time, c Change, m *move, whole bool) (done bool, err error) {
	recs, err := r.Store.Records(ctx, []Key{m.from}, true)
	if err != nil {
		return false, fmt.Errorf("read what is to be moved: %w", err)
	}
	root := recs[m.from]
	if root != nil && root.ID != m.to.last() {
		root = nil // what lies below it goes to something that is there
	}
	below, err := m.below(ctx, r.Store)
	if err != nil {
		return false, err
	}
	all := below
	if whole && root != nil {
		all = append(slices.Clone(below), root)
	}
	if whole && len(all) <= movedTogether {
		root = nil // nobody sees the place without it
	}
	if root != nil || len(below) > 0 {
		if err := m.standIn(ctx, r.Store, root, below); err != nil {
			return false, err
		}
	}
	for part := range slices.Chunk(all, movedTogether) {
		if now().After(until) {
			return false, nil
		}
		d := &relocation{move: m}
		for _, rec := range part {
			d.keys = append(d.keys, rec.Key)
		}
		c.Op, c.Draft = Update, d
		if _, err := r.one(ctx, a, at, c); err != nil {
			return false, err
		}
	}
	return true, nil
}

// relocation moves some of the records of a move. Those that are gone were moved before.
type relocation struct {
	move *move
	keys []Key
}

func (*relocation) recordType() Type { return Specimen }

func (*relocation) want(context.Context, *Batch, *Change) error { return nil }

func (d *relocation) read(_ context.Context, b *Batch, _ *Change) error {
	for _, k := range d.keys {
		b.wantRec(k)
		b.wantRec(d.move.at(k))
	}
	return nil
}

func (d *relocation) plan(ctx context.Context, b *Batch, c *Change, _ *Outcome) error {
	for _, k := range d.keys {
		rec, err := b.rec(ctx, k)
		if err != nil {
			return err
		}
		if rec == nil {
			continue
		}
		if err := b.along(ctx, c, rec, d.move); err != nil {
			return err
		}
	}
	return nil
}

// along plans that a record goes where its root goes.
func (b *Batch) along(ctx context.Context, c *Change, rec *Record, m *move) error {
	switch rec.Type {
	case Visit:
		doc, err := Decode[VisitDoc](rec)
		if err != nil {
			return err
		}
		if m.events != nil {
			doc.EventID = m.events[doc.EventID]
		}
		return b.relocate(ctx, c, rec, m.at(rec.Key), &doc, visitMarks(&doc, rec.ID), &Outcome{})
	case Specimen:
		doc, err := Decode[SpecimenDoc](rec)
		if err != nil {
			return err
		}
		if m.reqs != nil {
			doc.RequirementID = m.reqs[doc.RequirementID]
		}
		if m.status != "" && doc.ActivityStatus != StatusDisabled {
			doc.Status = m.status
			if err := b.unstore(ctx, rec, &doc); err != nil {
				return err
			}
		}
		return b.relocate(ctx, c, rec, m.at(rec.Key), &doc, specimenMarks(&doc, rec.ID), &Outcome{})
	case FormRecordType:
		return b.alongForm(ctx, c, rec, m)
	}
	return fmt.Errorf("a %s cannot be moved", rec.Type)
}

// alongForm plans that a form's record goes with what it is about. In another protocol it belongs to that one's association
// of the form, where there is one. Where the object it goes to has a record of a form that is filled in only once, there
// are two from then on: nothing is lost.
func (b *Batch) alongForm(ctx context.Context, c *Change, rec *Record, m *move) error {
	doc, err := Decode[FormRecordDoc](rec)
	if err != nil {
		return err
	}
	owner, form := rec.Key.FormOwner()
	goal := m.at(owner)
	if owner == m.from && owner.Registration() != 0 && owner.Visit() == 0 {
		doc.ObjectID = goal.Registration()
	}
	if goal.Protocol() != owner.Protocol() {
		fc, err := b.contextFor(ctx, doc.Level, goal.Protocol(), 0, form)
		if err != nil {
			return err
		}
		if fc.id != 0 {
			doc.ContextID = fc.id
		}
	}
	once, err := b.mark(ctx, oneMark(owner, form))
	if err != nil {
		return err
	}
	if once.To == rec.Key {
		next, err := b.mark(ctx, oneMark(goal, form))
		if err != nil {
			return err
		}
		if next.IsZero() {
			b.claim(c, uniqueRecord, "", oneMark(goal, form), m.at(rec.Key), rec.ID, "")
		}
		if err := b.release(ctx, once.Name, rec.Key); err != nil {
			return err
		}
	}
	return b.relocate(ctx, c, rec, m.at(rec.Key), &doc, []string{IDMark(FormRecordType, rec.ID)}, &Outcome{})
}

// visitMarks and specimenMarks are the marks that may lead to a record.
func visitMarks(doc *VisitDoc, id int64) []string {
	names := []string{IDMark(Visit, id), visitMark(doc.Name)}
	if doc.SurgicalPathologyNumber != "" {
		names = append(names, reportMark(doc.SurgicalPathologyNumber, id))
	}
	return names
}

func specimenMarks(doc *SpecimenDoc, id int64) []string {
	names := []string{IDMark(Specimen, id)}
	for _, n := range doc.names() {
		if n.value != "" {
			names = append(names, n.mark(n.value))
		}
	}
	for _, at := range []*Location{doc.Location, doc.CheckedOut} {
		if at != nil {
			names = append(names, at.mark(Specimen, id))
		}
	}
	if dp := doc.Held().ReservedFor; dp != 0 {
		names = append(names, reservedMark(dp, id))
	}
	return names
}

// forget has a move planned again on what lies where now: somebody else has moved some of it.
func (b *Batch) forget() {
	clear(b.recs)
	clear(b.marks)
}

// relocate plans that a record moves to another place and is as doc says there, with those of the marks that lead to it. Its
// id must still lead where it was read: that keeps two who move it at once from leaving it in both places, since an item
// that is gone already can be dropped again.
func (b *Batch) relocate(ctx context.Context, c *Change, rec *Record, to Key, doc any, marks []string, o *Outcome) error {
	body, err := encoded(doc)
	if err != nil {
		return err
	}
	before, after, err := diff(rec.Doc, body)
	if err != nil {
		return err
	}
	if before, err = placed(before, rec.Key); err != nil {
		return err
	}
	if after, err = placed(after, to); err != nil {
		return err
	}
	there, err := b.rec(ctx, to)
	if err != nil {
		return err
	}
	next, entry := b.next(c, c.Source, rec, body, before, after)
	next.Key = to
	put := Write{Kind: InsertRecord, Record: next}
	if there != nil {
		if there.Version != rec.Version {
			return &move{from: rec.Key, to: to} // the record has changed since its stand-in was put there
		}
		put.Kind = UpdateRecord
	}
	b.add(roundEntries, Write{Kind: InsertEntry, Entry: entry})
	b.add(b.recordRound, put)
	b.add(b.recordRound, Write{Kind: DropRecord, Record: rec})
	if to.Protocol() != rec.Key.Protocol() {
		b.note(to, doc)
	}
	for _, name := range marks {
		b.wantMark(name)
	}
	if err := b.readMarks(ctx); err != nil {
		return err
	}
	for _, name := range dedupe(slices.Clone(marks)) {
		m := b.marks[name]
		if name != IDMark(rec.Type, rec.ID) && (m.IsZero() || m.To != rec.Key) {
			continue
		}
		w := Write{Kind: TakeMark, Mark: m, WasSource: m.Source, WasTo: rec.Key}
		w.Mark.Name, w.Mark.To = name, to
		if v, ok := doc.(*VisitDoc); ok && name == visitMark(v.Name) {
			w.Mark.Info = v.info()
		}
		b.writes[roundNames] = append(b.writes[roundNames], rowWrite{row: b.row, Write: w, stale: b.forget})
	}
	o.Record, o.Changed = next, true
	return nil
}

// placed adds a place to the members of an object.
func placed(doc json.RawMessage, k Key) (json.RawMessage, error) {
	members := map[string]json.RawMessage{}
	if len(doc) > 0 {
		if err := json.Unmarshal(doc, &members); err != nil {
			return nil, fmt.Errorf("audit of a move: %w", err)
		}
	}
	if owner, form := k.FormOwner(); form != 0 {
		k = owner
	}
	place, err := json.Marshal(struct {
		Protocol     int64 `json:"cpId"`
		Registration int64 `json:"cprId,omitempty"`
		Visit        int64 `json:"visitId,omitempty"`
	}{k.Protocol(), k.Registration(), k.Visit()})
	if err != nil {
		return nil, err
	}
	members["place"] = place
	return json.Marshal(members)
}

// led reads the records that marks of specimens lead to, in their order. A specimen that has moved since is found by its
// id: a set that it is in need not be known to whoever moves it.
func (r *Registry) led(ctx context.Context, marks []Mark) ([]*Record, error) {
	if len(marks) == 0 {
		return nil, nil
	}
	keys := make([]Key, len(marks))
	for i, m := range marks {
		keys[i] = m.To
	}
	found, err := r.Store.Records(ctx, keys, true)
	if err != nil {
		return nil, fmt.Errorf("read records: %w", err)
	}
	var ids []string
	for _, m := range marks {
		if found[m.To] == nil {
			ids = append(ids, IDMark(Specimen, m.ID))
		}
	}
	if len(ids) > 0 {
		forgetMarks(ctx, ids...)
		moved, err := r.Store.Marks(ctx, ids, true)
		if err != nil {
			return nil, fmt.Errorf("look up what has moved: %w", err)
		}
		for i, m := range marks {
			if at, ok := moved[IDMark(Specimen, m.ID)]; ok && found[m.To] == nil {
				keys[i] = at.To
			}
		}
		if found, err = r.Store.Records(ctx, keys, true); err != nil {
			return nil, fmt.Errorf("read records: %w", err)
		}
	}
	var recs []*Record
	for _, k := range keys {
		if found[k] != nil {
			recs = append(recs, found[k])
		}
	}
	return recs, nil
}
