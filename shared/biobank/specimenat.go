package biobank

import (
	"context"

	"aliquot/shared/fault"
)

// LocatedDraft gives the specimen that lies in a cell its barcode (reference openspecimen-import-query.md 2.8).
type LocatedDraft struct {
	At      LocationRef
	Barcode string
}

func (*LocatedDraft) recordType() Type { return Specimen }

func (d *LocatedDraft) want(_ context.Context, b *Batch, _ *Change) error {
	b.wantLocation(&d.At)
	if d.Barcode != "" {
		b.wantMark(barcodeMark(d.Barcode))
	}
	return nil
}

func (d *LocatedDraft) read(_ context.Context, b *Batch, _ *Change) error {
	b.wantLocationRec(&d.At)
	return nil
}

func (d *LocatedDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	if d.At.None() || d.At.AnyCell() {
		return fault.New("SPECIMEN_LOC_NOT_SPECIFIED", "Give the container, by its name or its barcode, and the position of the specimen.")
	}
	container, err := b.container(ctx, d.At)
	if err != nil {
		return err
	}
	in, err := b.branch(ctx, container)
	if err != nil {
		return err
	}
	if !b.actor.HoldsAt(ResContainer, OpRead, in.Site()) {
		return denied("see this container")
	}
	if in.Doc().Dimensionless() {
		return fault.New("SPECIMEN_DIMLESS_CONTAINER", "Container %q has no positions.", in.Doc().Name)
	}
	at, err := in.Doc().cell(container.ID, d.At.X, d.At.Y, d.At.Position)
	if err != nil {
		return err
	}
	rec, err := b.led(ctx, at.mark(Specimen, 0)) // the mark of a cell does not tell who holds it
	if err != nil {
		return err
	}
	if rec == nil || rec.Type != Specimen {
		return noSpecimenAt(in, at)
	}
	doc, err := Decode[SpecimenDoc](rec)
	if err != nil {
		return err
	}
	if doc.ActivityStatus == StatusDisabled || !sameCell(doc.Location, &at) {
		return noSpecimenAt(in, at)
	}
	change := &SpecimenDraft{ID: rec.ID, Doc: SpecimenDoc{Barcode: d.Barcode}, Merge: func(is *SpecimenDoc) { is.Barcode = d.Barcode }}
	return change.update(ctx, b, c, o, rec, doc)
}

func noSpecimenAt(in *Branch, at Location) error {
	x, y := in.Doc().Labels(at.Row, at.Column)
	return fault.New("SPECIMEN_NO_SPMN_AT_LOC", "No specimen lies in row %s, column %s of container %q.", y, x, in.Doc().Name)
}
