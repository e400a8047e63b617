package biobank

import (
	"context"

	"aliquot/shared/fault"
)

// Where specimens are stored (reference openspecimen-rest.md 15.6).

// names are the values of a specimen that must be unique, with their marks.
func (s *SpecimenDoc) names() []struct {
	value string
	mark  func(string) string
	u     *unique
} {
	return []struct {
		value string
		mark  func(string) string
		u     *unique
	}{
		{s.Label, labelMark, uniqueLabel}, {s.Barcode, barcodeMark, uniqueBarcode}, {s.AdditionalLabel, addlLabelMark, uniqueAdditional},
	}
}

// takesCell tells whether the row of a job asks for a cell.
func (d *SpecimenDraft) takesCell(b *Batch) bool {
	return b.bulk && d.Location != nil && !d.Location.None()
}

// wantNames and wantHolders look ahead at the names of a specimen that asks for a cell: one that is refused for its name
// must not take a cell from the row behind it.
func (d *SpecimenDraft) wantNames(b *Batch) {
	if !d.takesCell(b) {
		return
	}
	for _, n := range d.Doc.names() {
		if n.value != "" {
			b.wantMark(n.mark(n.value))
		}
	}
}

func (d *SpecimenDraft) wantHolders(b *Batch) {
	if !d.takesCell(b) {
		return
	}
	for _, n := range d.Doc.names() {
		if n.value != "" {
			b.wantRec(b.marks[n.mark(n.value)].To)
		}
	}
}

// namesFree refuses names that others than the specimen at key hold. What a later row of the same job holds was free when this row was first tried.
func (d *SpecimenDraft) namesFree(ctx context.Context, b *Batch, c *Change, l *fault.List, key Key) error {
	if !d.takesCell(b) {
		return nil
	}
	for _, n := range d.Doc.names() {
		if n.value == "" {
			continue
		}
		m, err := b.mark(ctx, n.mark(n.value))
		if err != nil {
			return err
		}
		rec, err := b.rec(ctx, m.To)
		if err != nil {
			return err
		}
		if rec == nil || rec.Key == key || rec.Source == c.Source || sameJob(rec.Source, c.Source) && sourceRow(rec.Source) > sourceRow(c.Source) {
			continue
		}
		if held, err := n.u.holds(rec, n.value); err != nil {
			return err
		} else if held {
			l.Add(n.u.code, n.u.text, n.value)
		}
	}
	return nil
}

// put plans that a specimen is stored where it is asked to, or that it stays out of storage, where nothing is said.
func (d *SpecimenDraft) put(ctx context.Context, b *Batch, c *Change, cp *protocolInfo, doc *SpecimenDoc, where *LocationRef, who occupantRef) error {
	if (where == nil || where.None()) && !d.NewContainer.sent() {
		return where.sound()
	}
	if where == nil {
		where = &LocationRef{}
	}
	if doc.Status != Collected || doc.ActivityStatus == StatusClosed {
		return fault.New("SPECIMEN_STORE_NOT_ALLOWED", "Only specimens that are collected and not closed can be stored.")
	}
	into, err := d.into(ctx, b, c, *where, cp, doc)
	if err != nil {
		return err
	}
	was := doc.Location
	if err := b.lodge(ctx, c, into, *where, doc, who); err != nil || sameLocation(was, doc.Location) {
		return err
	}
	doc.Moved, err = b.moveOf(ctx, d.Move)
	return err
}

// lodge plans that a specimen lies in a container that admits it: in the cell that is named, else where it is, else in the
// next free one.
func (b *Batch) lodge(ctx context.Context, c *Change, into *Branch, ref LocationRef, doc *SpecimenDoc, who occupantRef) error {
	if doc.Location != nil && doc.Location.ContainerID == into.ID() && ref.AnyCell() {
		return nil
	}
	at, err := b.takeCell(ctx, c, into, ref, who)
	if err != nil || sameCell(&at, doc.Location) {
		return err
	}
	doc.Location, doc.CheckedOut = &at, nil
	return nil
}

// storageFor finds the container that a specimen is to be stored in, with the right to see it, and checks that it admits
// the specimen (16.3).
func (b *Batch) storageFor(ctx context.Context, ref LocationRef, cp *protocolInfo, doc *SpecimenDoc) (*Branch, error) {
	rec, err := b.container(ctx, ref)
	if err != nil {
		return nil, err
	}
	into, err := b.branch(ctx, rec)
	if err != nil {
		return nil, err
	}
	return b.admitting(into, cp, doc)
}

// admitting is a container that the actor may store the specimen in.
func (b *Batch) admitting(into *Branch, cp *protocolInfo, doc *SpecimenDoc) (*Branch, error) {
	name := into.Doc().Name
	switch {
	case !b.actor.HoldsAt(ResContainer, OpRead, into.Site()):
		return nil, fault.New("SPECIMEN_CONTAINER_ACCESS_DENIED", "You do not have the right to store specimens in container %q.", name)
	case into.Archived():
		return nil, fault.New("STORAGE_CONTAINER_ARCHIVED", "Container %q is archived.", name)
	}
	return into, into.admits(doc, cp)
}

// admits is nil where the container admits the specimen.
func (br *Branch) admits(doc *SpecimenDoc, cp *protocolInfo) error {
	if !br.Admits(doc.Class, doc.Type, cp.id, cp.doc.Sites) {
		return fault.New("STORAGE_CONTAINER_CANNOT_HOLD_SPECIMEN", "Container %q does not admit a specimen of class %q and type %q of this collection protocol.", br.Doc().Name, doc.Class, doc.Type)
	}
	return nil
}

// stays checks that the container of a stored specimen admits what it is now.
func (b *Batch) stays(ctx context.Context, cp *protocolInfo, is *SpecimenDoc) error {
	rec, err := b.rec(ctx, SetKey(Container, is.Location.ContainerID))
	if err != nil || rec == nil {
		return err
	}
	in, err := b.branch(ctx, rec)
	if err != nil {
		return err
	}
	return in.admits(is, cp)
}

// move plans what becomes of the cell of a stored specimen: it is stored elsewhere, taken out, checked out (the cell is
// kept for it), or leaves it because it is closed or no longer collected.
func (d *SpecimenDraft) move(ctx context.Context, b *Batch, c *Change, cp *protocolInfo, rec *Record, was, is *SpecimenDoc) error {
	is.Location, is.CheckedOut, is.Moved = was.Location, was.CheckedOut, was.Moved
	who := occupantRef{Specimen, rec.Key, rec.ID, []*Location{was.Location, was.CheckedOut}}
	closes := is.ActivityStatus == StatusClosed && was.ActivityStatus != StatusClosed || is.Status != Collected && was.Status == Collected
	switch {
	case closes:
		is.Location, is.CheckedOut = nil, nil // whatever location was sent along
	case d.CheckOut && (is.Location != nil || is.CheckedOut != nil):
		if err := d.checkOut(ctx, b, c, cp, is, who); err != nil {
			return err
		}
	case d.Holding != nil && !d.Holding.None():
		if err := d.put(ctx, b, c, cp, is, d.Holding, who); err != nil {
			return err
		}
	case d.NewContainer.sent():
		if err := d.put(ctx, b, c, cp, is, d.Location, who); err != nil {
			return err
		}
	case d.Location != nil && d.Location.None():
		if err := d.Location.sound(); err != nil {
			return err
		}
		is.Location = nil
	case d.Location != nil:
		if err := d.put(ctx, b, c, cp, is, d.Location, who); err != nil {
			return err
		}
	case is.Location != nil && (is.Class != was.Class || is.Type != was.Type):
		if err := b.stays(ctx, cp, is); err != nil {
			return err
		}
	}
	if is.Location == nil && was.Location != nil {
		var err error
		if is.Moved, err = b.moveOf(ctx, d.Move); err != nil {
			return err
		}
	}
	return b.left(ctx, who, was, is)
}

// left plans that a specimen leaves the cells that it no longer has.
func (b *Batch) left(ctx context.Context, who occupantRef, was, is *SpecimenDoc) error {
	for _, cell := range []*Location{was.Location, was.CheckedOut} {
		if cell != nil && !sameCell(cell, is.Location) && !sameCell(cell, is.CheckedOut) {
			if err := b.leaveCell(ctx, *cell, who); err != nil {
				return err
			}
		}
	}
	return nil
}

// unstore takes a specimen that is changed out of its cell.
func (b *Batch) unstore(ctx context.Context, rec *Record, doc *SpecimenDoc) error {
	was := *doc
	doc.Location, doc.CheckedOut, doc.Moved = nil, nil, nil
	return b.left(ctx, occupantRef{typ: Specimen, key: rec.Key, id: rec.ID}, &was, doc)
}

// takeOut plans that a specimen is taken out of its cell, for its own sake: with the right to change it.
func (b *Batch) takeOut(ctx context.Context, c *Change, rec *Record) error {
	doc, err := Decode[SpecimenDoc](rec)
	if err != nil {
		return err
	}
	cp, err := b.protocolAt(ctx, rec.Key)
	if err != nil {
		return err
	}
	if err := b.mayHandle(ctx, OpUpdate, cp, &doc, "take a specimen out of the container"); err != nil {
		return err
	}
	if err := b.unstore(ctx, rec, &doc); err != nil {
		return err
	}
	return b.changeBelow(c, rec, &doc)
}

// UnstoreDraft takes a specimen out of its cell, also out of one that is kept for it.
type UnstoreDraft struct{ ID int64 }

func (*UnstoreDraft) recordType() Type { return Specimen }

func (d *UnstoreDraft) want(_ context.Context, b *Batch, _ *Change) error {
	b.wantMark(IDMark(Specimen, d.ID))
	return nil
}

func (d *UnstoreDraft) read(_ context.Context, b *Batch, _ *Change) error {
	b.wantRec(b.marks[IDMark(Specimen, d.ID)].To)
	return nil
}

func (d *UnstoreDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	rec, err := b.rec(ctx, b.marks[IDMark(Specimen, d.ID)].To)
	if err != nil {
		return err
	}
	if rec == nil {
		return missing(Specimen, d.ID)
	}
	o.Record = rec
	return b.takeOut(ctx, c, rec)
}

// unclaim takes back the claim of a cell by a specimen that is closed in the change that makes it.
func (b *Batch) unclaim(doc *SpecimenDoc, id int64) {
	if doc.Location == nil {
		return
	}
	name := doc.Location.mark(Specimen, id)
	kept := b.writes[roundNames][:0]
	for _, w := range b.writes[roundNames] {
		if w.Mark.Name != name {
			kept = append(kept, w)
		}
	}
	b.writes[roundNames], doc.Location = kept, nil
}
