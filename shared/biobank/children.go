package biobank

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"aliquot/shared/fault"
)

// ChildrenDraft is what a row of a job makes of one specimen: its aliquots, or one derivative (reference
// openspecimen-import-query.md 2.6 and 2.7).
//
// The children are written first and the parent last: lowered by what they took, thawed, closed. So a row for which the
// parent owes something is done when the parent says so, any other with the last of its children. A repeat before that ends
// what was begun, whatever people changed since: as many children as the first try was to make, under the numbers that are
// kept for the row, below the parent that it found, without asking again whether they may be made. Those that are there stay
// as they are. Rows about one parent must come one after the other.
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
	first, kept, err := d.kept(ctx, b, c)
	if err != nil {
		return err
	}
	at, kids, err := d.parent(ctx, b, c, first)
	if err != nil {
		return err
	}
	if is, err := b.changedBy(ctx, at.parent, c); err != nil {
		return err
	} else if is {
		return kids.done(ctx, b, o)
	}
	cp, err := b.protocolAt(ctx, at.key)
	if err != nil {
		return err
	}
	begun := len(kids.ours) > 0
	if !begun { // before anything is told of the parent, or reserved for what may not be made of it
		made := at.parentDoc
		made.Lineage = d.Child.Doc.Lineage
		if err := b.mayHandle(ctx, OpCreate, cp, &made, "create this specimen"); err != nil {
			return err
		}
	}
	n, each, err := d.share(at.parentDoc.AvailableQty, kept, kids)
	if err != nil {
		return err
	}
	own, n, err := d.reservedFor(ctx, b, c, cp, n)
	if err != nil {
		return err
	}
	if at.parentDoc.ActivityStatus == StatusDisabled { // and its children with it
		if int64(len(kids.ours)) == n {
			return kids.done(ctx, b, o)
		}
		return missing(Specimen, at.parent.ID)
	}
	b.family = map[Key]*debt{}
	defer func() { b.family = nil }()
	round := b.recordRound
	b.recordRound = roundBelow
	b.serials[at.key] = kids.highest
	for i, row := int64(0), own.Row; i < n; i++ {
		child, made := d.child(i, each), &Outcome{}
		child.begun = begun
		own.Row, own.Kin = row+i, i
		if kids.has(own.Reserved[string(Specimen)] + own.Row) {
			err = child.tookBefore(ctx, b, c, cp, at.parent)
		} else if child.Location, err = d.cell(ctx, b, i); err == nil {
			place := at
			err = child.create(ctx, b, own, made, &place)
		}
		if err != nil {
			return err
		}
		if i == 0 {
			*o = *made
		}
	}
	delete(b.serials, at.key)
	b.recordRound = round
	if o.Record == nil {
		if err := kids.done(ctx, b, o); err != nil {
			return err
		}
	}
	for _, owed := range b.family {
		if err := b.pay(ctx, c, c.Source, at.parent, owed); err != nil {
			return err
		}
		if !b.plans(at.key, UpdateRecord) { // it owes, of an unknown quantity: it says so that the row is done
			rec, entry := b.next(c, c.Source, at.parent, at.parent.Doc, nil, nil)
			b.put(rec, entry, &Outcome{})
		}
	}
	return nil
}

// says is how many children the row says that it makes, 0 where that follows from what there is of the parent.
func (d *ChildrenDraft) says() int64 {
	switch {
	case d.Child.Doc.Lineage != LineageAliquot:
		return 1
	case d.Number > 0:
		return d.Number
	}
	return int64(max(len(d.Labels), len(d.Barcodes)))
}

// planned tells whether the children get numbers that the plan of the job has set aside: where the row says how many they
// are, so that it is the same at each try, and they are no more than there are for each row.
func (d *ChildrenDraft) planned(c *Change) bool { return d.says() > 0 && d.says() <= c.Each }

// kept are the numbers that are the row's own already: the first, and how many; 0 where there are none, or it is not known yet.
func (d *ChildrenDraft) kept(ctx context.Context, b *Batch, c *Change) (first, n int64, err error) {
	switch {
	case c.Source == "" || !b.retry && b.try == 0:
		return 0, 0, nil
	case d.planned(c):
		return c.Reserved[string(Specimen)] + c.Row, d.says(), nil
	}
	if first, n, err = b.store.ReserveFor(ctx, c.Source, string(Specimen), 0); err != nil {
		err = fmt.Errorf("look for the numbers of a row: %w", err)
	}
	return first, n, err
}

// siblings are the children that the parent of a row has already.
type siblings struct {
	ours    []*Record // made by an earlier try of the row, in the order of their numbers
	highest int64     // the highest number that a format has counted among the others
}

func (s *siblings) has(id int64) bool {
	return slices.ContainsFunc(s.ours, func(r *Record) bool { return r.ID == id })
}

// done answers a row with the first of its children, which an earlier try has made.
func (s *siblings) done(ctx context.Context, b *Batch, o *Outcome) error {
	if len(s.ours) == 0 {
		return errLostTrack
	}
	o.Record, o.Changed = s.ours[0], true
	return b.names(ctx, s.ours[0], o)
}

// parent finds the specimen that a row is about, and its children: where an earlier try has made some of them, by the number
// that was kept for the first, whatever the parent is called by now; else as the row names it.
func (d *ChildrenDraft) parent(ctx context.Context, b *Batch, c *Change, first int64) (at below, kids *siblings, err error) {
	if first != 0 {
		m, err := b.mark(ctx, IDMark(Specimen, first))
		if err != nil {
			return at, nil, err
		}
		if rec, err := b.rec(ctx, m.To.Above(1)); err != nil {
			return at, nil, err
		} else if rec != nil && m.Source == c.Source {
			at = below{key: rec.Key, parent: rec}
			if at.parentDoc, err = Decode[SpecimenDoc](rec); err != nil {
				return at, nil, err
			}
			if kids, err = b.siblings(ctx, c, rec.Key); err != nil || len(kids.ours) > 0 {
				return at, kids, err
			}
		}
	}
	if at, err = d.Child.placeBelowParent(ctx, b); err == nil {
		kids, err = b.siblings(ctx, c, at.key)
	}
	return at, kids, err
}

func (b *Batch) siblings(ctx context.Context, c *Change, parent Key) (*siblings, error) {
	kids, err := b.children(ctx, parent)
	if err != nil {
		return nil, err
	}
	s := &siblings{}
	for _, kid := range kids {
		if c.Source != "" && kid.Source == c.Source {
			s.ours = append(s.ours, kid)
			continue
		}
		doc, err := Decode[SpecimenDoc](kid)
		if err != nil {
			return nil, err
		}
		s.highest = max(s.highest, doc.Serial)
	}
	return s, nil
}

// share decides how many children there will be, and what of: what is not sent of aliquots follows from what there is of the
// parent (SPECIMEN_ALIQUOT_CNT_N_QTY_REQ where that is not known). They stay as many as numbers were kept for (0: none yet),
// and those that an earlier try has begun of as much.
func (d *ChildrenDraft) share(available *Quantity, kept int64, kids *siblings) (n int64, each *Quantity, err error) {
	if d.Child.Doc.Lineage != LineageAliquot {
		return 1, nil, nil
	}
	n, each = d.says(), d.Quantity
	if len(kids.ours) > 0 && each == nil {
		first, err := Decode[SpecimenDoc](kids.ours[0])
		if err != nil {
			return 0, nil, err
		}
		each = first.InitialQty
	}
	if kept > 0 {
		n = kept
	}
	if (n == 0 || each == nil) && (available == nil || *available <= 0) {
		return 0, nil, fault.New("SPECIMEN_ALIQUOT_CNT_N_QTY_REQ", "Give the number of aliquots and the quantity of each: how much there is of the parent is not known.")
	}
	switch {
	case n == 0 && each == nil:
		return 0, nil, fault.New("SPECIMEN_ALIQUOT_CNT_N_QTY_REQ", "Give the number of aliquots, or the quantity of each.")
	case n == 0 && *each <= 0:
		return 0, nil, fault.New("SPECIMEN_INVALID_QTY_OR_CNT", "The quantity of an aliquot must be more than 0.")
	case n == 0:
		n = int64(*available / *each)
	case each == nil:
		part := *available / Quantity(n)
		each = &part
	}
	if n < 1 {
		return 0, nil, fault.New("SPECIMEN_INVALID_QTY_OR_CNT", "The parent does not have enough for one aliquot.")
	}
	if n > MaxChildren {
		return 0, nil, fault.New("SPECIMEN_CHILDREN_LIMIT_MAXED", "%d aliquots are asked for; at most %d can be made at once.", n, MaxChildren)
	}
	for noun, names := range map[string][]string{"labels": d.Labels, "barcodes": d.Barcodes} {
		if len(names) > 0 && int64(len(names)) != n {
			return 0, nil, fault.New("SPECIMEN_INVALID_QTY_OR_CNT", "%d %s are given for %d aliquots.", len(names), noun, n)
		}
	}
	return n, each, nil
}

// child is the draft of one of the children.
func (d *ChildrenDraft) child(i int64, each *Quantity) *SpecimenDraft {
	child := d.Child
	if child.Doc.Lineage == LineageAliquot {
		child.Doc.InitialQty = each
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

// tookBefore notes what a child took of its parent that an earlier try has made.
func (s *SpecimenDraft) tookBefore(ctx context.Context, b *Batch, c *Change, cp *protocolInfo, parent *Record) error {
	if status := Fold(s.Doc.Status); status != "" && status != Fold(Collected) {
		return nil
	}
	return s.taken(ctx, b, c, cp, parent, &SpecimenDoc{Lineage: s.Doc.Lineage, InitialQty: s.Doc.InitialQty})
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

// reservedFor is the change of a row of a job that makes n specimens, with numbers of each counter that are the row's own,
// and how many they are: those that the plan of the job or the first try set aside for it, else new ones. The first specimen
// takes those of its Row, and the others those that follow.
func (d *ChildrenDraft) reservedFor(ctx context.Context, b *Batch, c *Change, cp *protocolInfo, n int64) (*Change, int64, error) {
	own := asCreate(c)
	if c.Source == "" {
		return own, n, nil
	}
	own.Reserved = map[string]int64{}
	if d.planned(c) {
		maps.Copy(own.Reserved, c.Reserved)
	}
	counters, err := b.Counters(ctx, Specimen, false, ProtocolRef{ID: cp.id})
	if err != nil {
		return nil, 0, err
	}
	for _, counter := range slices.Sorted(slices.Values(counters)) {
		if _, planned := own.Reserved[counter]; planned {
			continue
		}
		var first int64
		if first, n, err = b.reserveFor(ctx, c.Source, counter, n); err != nil {
			return nil, 0, fmt.Errorf("reserve numbers of %s: %w", counter, err)
		}
		own.Reserved[counter] = first - own.Row
	}
	return own, n, nil
}
