package biobank

import (
	"context"
	"fmt"
	"slices"

	"aliquot/shared/fault"
)

// ChildrenDraft is what a row of a job makes of one specimen: its aliquots, or one derivative (reference
// openspecimen-import-query.md 2.6 and 2.7).
//
// The children are written first and the parent last: lowered by what they took, thawed, closed. So the row is done when
// the parent says so, and a repeat before that finds the same parent and makes the same children, under the numbers that
// are kept for the row. Rows about one parent must come one after the other.
type ChildrenDraft struct {
	// Child is what they all are: parent, lineage, values; of a derivative its label and barcode, too. Its Location is that
	// of the first.
	Child SpecimenDraft
	// Number and Quantity are of aliquots, 0 and nil for what follows from the other and from what there is of the parent.
	Number   int64
	Quantity *Quantity
	// Labels and Barcodes are the aliquots', in their order; none for those that the protocol makes.
	Labels, Barcodes []string
}

func (*ChildrenDraft) recordType() Type { return Specimen }

func (d *ChildrenDraft) want(ctx context.Context, b *Batch, c *Change) error {
	return d.Child.want(ctx, b, asCreate(c))
}

func (d *ChildrenDraft) read(ctx context.Context, b *Batch, c *Change) error {
	return d.Child.read(ctx, b, asCreate(c))
}

// asCreate is a change that makes something, whatever the operation of its job is called.
func asCreate(c *Change) *Change {
	one := *c
	one.Op = Create
	return &one
}

func (d *ChildrenDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	at, err := d.Child.placeBelowParent(ctx, b)
	if err != nil {
		return err
	}
	kids, err := b.children(ctx, at.key)
	if err != nil {
		return err
	}
	var ours []*Record // of an earlier try
	highest := int64(0)
	for _, kid := range kids {
		doc, err := Decode[SpecimenDoc](kid)
		if err != nil {
			return err
		}
		if c.Source != "" && kid.Source == c.Source {
			ours = append(ours, kid)
		} else {
			highest = max(highest, doc.Serial)
		}
	}
	if is, err := b.changedBy(ctx, at.parent, c); err != nil {
		return err
	} else if is {
		if len(ours) == 0 {
			return errLostTrack
		}
		o.Record, o.Changed = ours[0], true
		return b.names(ctx, ours[0], o)
	}
	cp, err := b.protocolAt(ctx, at.key)
	if err != nil {
		return err
	}
	// Before anything is told of the parent, or reserved for what may not be made of it.
	made := at.parentDoc
	made.Lineage = d.Child.Doc.Lineage
	if err := b.mayHandle(ctx, OpCreate, cp, &made, "create this specimen"); err != nil {
		return err
	}
	n, err := d.share(at.parentDoc.AvailableQty, ours)
	if err != nil {
		return err
	}
	own, err := b.reservedFor(ctx, c, cp, n)
	if err != nil {
		return err
	}
	b.family = map[Key]*debt{}
	defer func() { b.family = nil }()
	round := b.recordRound
	b.recordRound = roundBelow
	b.serials[at.key] = highest
	for i := range n {
		child, made := d.child(i), &Outcome{}
		own.Row, own.Kin = i+1, i
		if child.Location, err = d.cell(ctx, b, i); err != nil {
			return err
		}
		place := at
		if err := child.create(ctx, b, own, made, &place); err != nil {
			return err
		}
		if i == 0 {
			*o = *made
		}
	}
	delete(b.serials, at.key)
	b.recordRound = round
	for _, owed := range b.family {
		if err := b.pay(ctx, c, c.Source, at.parent, owed); err != nil {
			return err
		}
	}
	return nil
}

// share decides how many aliquots there will be, and what of: what is not sent follows from what there is of the parent
// (SPECIMEN_ALIQUOT_CNT_N_QTY_REQ where that is not known). What an earlier try has begun stays as it is.
func (d *ChildrenDraft) share(available *Quantity, ours []*Record) (int64, error) {
	if d.Child.Doc.Lineage != LineageAliquot {
		return 1, nil
	}
	n, qty := d.Number, d.Quantity
	if len(ours) > 0 && qty == nil {
		first, err := Decode[SpecimenDoc](ours[0])
		if err != nil {
			return 0, err
		}
		qty = first.InitialQty
	}
	if names := int64(max(len(d.Labels), len(d.Barcodes))); n == 0 {
		n = names
	}
	if (n == 0 || qty == nil) && (available == nil || *available <= 0) {
		return 0, fault.New("SPECIMEN_ALIQUOT_CNT_N_QTY_REQ", "Give the number of aliquots and the quantity of each: how much there is of the parent is not known.")
	}
	switch {
	case n == 0 && qty == nil:
		return 0, fault.New("SPECIMEN_ALIQUOT_CNT_N_QTY_REQ", "Give the number of aliquots, or the quantity of each.")
	case n == 0 && *qty <= 0:
		return 0, fault.New("SPECIMEN_INVALID_QTY_OR_CNT", "The quantity of an aliquot must be more than 0.")
	case n == 0:
		n = max(int64(*available / *qty), int64(len(ours)))
	case qty == nil:
		each := *available / Quantity(n)
		qty = &each
	}
	if n < 1 {
		return 0, fault.New("SPECIMEN_INVALID_QTY_OR_CNT", "The parent does not have enough for one aliquot.")
	}
	if n > maxChildren {
		return 0, fault.New("SPECIMEN_CHILDREN_LIMIT_MAXED", "%d aliquots are asked for; at most %d can be made at once.", n, maxChildren)
	}
	for noun, names := range map[string][]string{"labels": d.Labels, "barcodes": d.Barcodes} {
		if len(names) > 0 && int64(len(names)) != n {
			return 0, fault.New("SPECIMEN_INVALID_QTY_OR_CNT", "%d %s are given for %d aliquots.", len(names), noun, n)
		}
	}
	d.Quantity = qty
	return n, nil
}

// child is the draft of one of the children.
func (d *ChildrenDraft) child(i int64) *SpecimenDraft {
	child := d.Child
	if child.Doc.Lineage == LineageAliquot {
		child.Doc.InitialQty = d.Quantity
		child.Doc.Label, child.Doc.Barcode = "", ""
		if len(d.Labels) > 0 {
			child.Doc.Label = d.Labels[i]
		}
		if len(d.Barcodes) > 0 {
			child.Doc.Barcode = d.Barcodes[i]
		}
	}
	return &child
}

// cell is where a child is stored: the first in the cell that is named, and the others in those that follow in the order of
// the container's assignment; without a cell each in the next that is free.
func (d *ChildrenDraft) cell(ctx context.Context, b *Batch, i int64) (*LocationRef, error) {
	first := d.Child.Location
	if first == nil || first.None() || first.AnyCell() || i == 0 {
		return first, nil
	}
	rec, err := b.container(ctx, *first)
	if err != nil {
		return nil, err
	}
	doc, err := Decode[ContainerDoc](rec)
	if err != nil {
		return nil, err
	}
	at, err := doc.cell(rec.ID, first.X, first.Y, first.Position)
	if err != nil {
		return nil, err
	}
	n := doc.Ordinal(at.Row, at.Column) + i
	if n > doc.Cells() {
		return nil, fault.New("STORAGE_CONTAINER_INV_POS", "Container %q ends before the last aliquot.", doc.Name)
	}
	x, y := doc.Labels(doc.Cell(n))
	return &LocationRef{ContainerID: rec.ID, X: x, Y: y}, nil
}

// reservedFor is the change of a row of a job that makes n specimens: with n numbers of each counter that are the row's own,
// however often it is tried. The i-th of them, from 1, takes those of its Row.
func (b *Batch) reservedFor(ctx context.Context, c *Change, cp *protocolInfo, n int64) (*Change, error) {
	own := asCreate(c)
	if c.Source == "" {
		return own, nil
	}
	counters, err := b.Counters(ctx, Specimen, false, ProtocolRef{ID: cp.id})
	if err != nil {
		return nil, err
	}
	own.Reserved = map[string]int64{}
	for _, counter := range slices.Sorted(slices.Values(counters)) {
		first, err := b.store.ReserveFor(ctx, c.Source, counter, n)
		if err != nil {
			return nil, fmt.Errorf("reserve numbers of %s: %w", counter, err)
		}
		own.Reserved[counter] = first - 1
	}
	return own, nil
}
