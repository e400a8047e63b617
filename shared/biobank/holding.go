package biobank

import (
	"cmp"
	"context"

	"aliquot/shared/fault"
)

// Where specimens are held while they are at work or on their way (reference openspecimen-rest.md 15.2 and 20.2):
// holdingLocation is a cell of a container like any other, checkout keeps the cell that the specimen leaves. The reference
// names the members and no more. Here a specimen that goes to a holding location is stored there; with checkout its old
// cell stays its own, and waits for it.

// checkOut plans that a specimen leaves its cell, which is kept for it, and goes to the holding location where one is named.
func (d *SpecimenDraft) checkOut(ctx context.Context, b *Batch, c *Change, cp *protocolInfo, doc *SpecimenDoc, who occupantRef) error {
	kept := cmp.Or(doc.CheckedOut, doc.Location) // the first cell, where it goes from one holding location to another
	doc.Location = nil
	err := d.put(ctx, b, c, cp, doc, d.Holding, who)
	doc.CheckedOut = kept
	return err
}

// mayHold finds the container that an item is to be held in, with the right to see it: one that stores specimens, and that
// serves the distribution protocol where it is for distribution; into any other the specimen must fit.
func (b *Batch) mayHold(ctx context.Context, ref LocationRef, dp int64, rec *Record, s *SpecimenDoc) (*Branch, error) {
	cp, err := b.protocolAt(ctx, rec.Key)
	if err != nil {
		return nil, err
	}
	found, err := b.containersSeen(ctx, []LocationRef{ref})
	if err != nil {
		return nil, err
	}
	into := found[0]
	switch {
	case into == nil:
		return nil, missing(Container, ref)
	case into.Archived():
		return nil, fault.New("STORAGE_CONTAINER_ARCHIVED", "Container %q is archived.", into.Doc().Name)
	case into.Doc().UsedFor == UsedForDistribution && into.Serves(dp), into.Admits(s.Class, s.Type, cp.id, cp.doc.Sites):
		return into, nil
	}
	return nil, fault.New("STORAGE_CONTAINER_CANNOT_HOLD_SPECIMEN", "Container %q does not admit specimen %q.", into.Doc().Name, s.Label)
}

// heldAt checks where an item is to be held, and tells it as it is asked for when the order is executed: a cell, or the
// container alone for the next free one; nil where nothing is asked for.
func (b *Batch) heldAt(ctx context.Context, ref *LocationRef, dp int64, rec *Record) (*Location, error) {
	if ref == nil || ref.None() {
		return nil, ref.sound()
	}
	s, err := Decode[SpecimenDoc](rec)
	if err != nil {
		return nil, err
	}
	into, err := b.mayHold(ctx, *ref, dp, rec, &s)
	if err != nil {
		return nil, err
	}
	at, err := into.Doc().cell(into.ID(), ref.X, ref.Y, ref.Position)
	at.ContainerID = into.ID()
	return &at, err
}

// hold plans that the specimen of an executed item leaves its cell: for the holding location, or checked out.
func (b *Batch) hold(ctx context.Context, c *Change, item *OrderItem, is *OrderDoc, rec *Record, doc *SpecimenDoc) error {
	if item.Holding == nil && !is.CheckOut {
		return nil
	}
	was, kept := *doc, cmp.Or(doc.CheckedOut, doc.Location)
	who := occupantRef{Specimen, rec.Key, rec.ID, []*Location{doc.Location, doc.CheckedOut}}
	if is.CheckOut {
		doc.Location = nil
	}
	if at := item.Holding; at != nil {
		into, err := b.mayHold(ctx, LocationRef{ContainerID: at.ContainerID}, is.DistributionID, rec, doc)
		if err != nil {
			return err
		}
		ref := LocationRef{ContainerID: at.ContainerID}
		if at.Row != 0 {
			ref.Position = into.Doc().Ordinal(at.Row, at.Column)
		}
		if err := b.lodge(ctx, c, into, ref, doc, who); err != nil {
			return err
		}
	}
	doc.Moved = nil
	if is.CheckOut {
		doc.CheckedOut = kept
	}
	return b.left(ctx, who, &was, doc)
}
