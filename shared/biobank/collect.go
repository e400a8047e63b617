package biobank

import (
	"cmp"
	"context"

	"aliquot/shared/fault"
)

// CollectDraft is a visit and trees of specimens that are saved together, all or none (reference openspecimen-rest.md
// 15.4), in one transaction. Registry.Collect saves more than that holds.
type CollectDraft struct {
	// Visit is saved first: updated by its ID, or created. Without one each root names its visit or parent.
	Visit     *VisitDraft
	Specimens []*SpecimenNode
	// VisitRecord is what became of Visit.
	VisitRecord *Record
	// whole is the collection that this one is a part of, nil for one that is whole.
	whole *CollectDraft
	// ended are the broods of which it makes the last, where it makes not all of them with their parent.
	ended []*brood
	// planned are the keys of what is looked at as it will be, while the draft is planned.
	planned []Key
}

// SpecimenNode is a specimen of a tree: a stored one by its ID, the visit's pending one of its requirement, or a new one.
type SpecimenNode struct {
	Draft    *SpecimenDraft
	Children []*SpecimenNode
	// Close asks to close the specimen when its children were made.
	Close bool
	// Record is what became of it.
	Record *Record
	// takes tells that it was planned to take something of the specimen that it is made from.
	takes bool
	// numbers are drawn for it with those of others, nil where they are drawn one by one.
	numbers *drawnNumbers
}

// MaxChildren is how many specimens may be made from one at once.
const MaxChildren = 100

func (*CollectDraft) recordType() Type { return Specimen }

func (d *CollectDraft) want(ctx context.Context, b *Batch, c *Change) error {
	if d.Visit != nil {
		if err := d.Visit.want(ctx, b, as(c, d.Visit.ID)); err != nil {
			return err
		}
	}
	return eachNode(d.Specimens, func(n *SpecimenNode) error { return n.Draft.want(ctx, b, as(c, n.Draft.ID)) })
}

func (d *CollectDraft) read(ctx context.Context, b *Batch, c *Change) error {
	if d.Visit != nil {
		if err := d.Visit.read(ctx, b, as(c, d.Visit.ID)); err != nil {
			return err
		}
	}
	return eachNode(d.Specimens, func(n *SpecimenNode) error { return n.Draft.read(ctx, b, as(c, n.Draft.ID)) })
}

// as is the change as that of a stored object, when it has an id, or of a new one.
func as(c *Change, id int64) *Change {
	one := *c
	one.Op, one.ByID = Create, id != 0
	if id != 0 {
		one.Op = Update
	}
	return &one
}

func eachNode(nodes []*SpecimenNode, f func(*SpecimenNode) error) error {
	for _, n := range nodes {
		if err := f(n); err != nil {
			return err
		}
		if err := eachNode(n.Children, f); err != nil {
			return err
		}
	}
	return nil
}

func (d *CollectDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	b.family = map[Key]*debt{}
	defer func() {
		b.family = nil
		for _, key := range d.planned {
			delete(b.recs, key)
		}
		d.planned = nil
	}()
	var at *below
	if d.Visit != nil {
		var err error
		if at, err = d.visit(ctx, b, c); err != nil {
			return err
		}
	}
	kin := map[Key]int64{}
	for _, n := range d.Specimens {
		if err := d.node(ctx, b, c, n, at, kin); err != nil {
			return err
		}
	}
	for _, all := range d.ended {
		cp, err := b.protocolAt(ctx, all.parent)
		if err != nil {
			return err
		}
		if all.close || all.takes && cp.doc.CloseParentSpecimens {
			b.owing(debt{parent: all.parent, close: true})
		}
	}
	// What is left is owed by parents that are not of the trees.
	for key, owed := range b.family {
		parent, err := b.rec(ctx, key)
		if err != nil {
			return err
		}
		if err := b.pay(ctx, c, c.Source, parent, owed); err != nil {
			return err
		}
	}
	return b.eachOnce()
}

// eachOnce refuses a change that would write a record twice, or claim a name twice, which no transaction can.
func (b *Batch) eachOnce() error {
	seen, claimed := map[Key]bool{}, map[string]bool{}
	for _, round := range b.writes {
		for _, w := range round {
			if w.unique != nil && w.taken == nil {
				if claimed[w.Mark.Name] {
					return fault.New(w.unique.code, w.unique.text, w.value)
				}
				claimed[w.Mark.Name] = true
			}
			if w.Record == nil || w.Kind == StandOn {
				continue
			}
			if seen[w.Record.Key] {
				return fault.New("COMMON_INVALID_INPUT", "%s %d is changed in two ways at once.", notFound[w.Record.Type].noun, w.Record.ID)
			}
			seen[w.Record.Key] = true
		}
	}
	return nil
}

// visit saves the visit and tells what its specimens hang on.
func (d *CollectDraft) visit(ctx context.Context, b *Batch, c *Change) (*below, error) {
	v := d.Visit
	v.Fills = nil
	for _, n := range cmp.Or(d.whole, d).Specimens {
		v.Fills = append(v.Fills, n.Draft.RequirementID)
	}
	o := &Outcome{}
	if v.ID == 0 {
		reg, doc, err := v.registration(ctx, b)
		if err != nil {
			return nil, err
		}
		key, is, err := v.create(ctx, b, c, o, reg.Key, doc.PPID)
		if err != nil {
			return nil, err
		}
		d.VisitRecord = o.Record
		return &below{key: key, visitStatus: is.Status, visitName: is.Name, ppid: doc.PPID, eventID: is.EventID, eventKnown: true}, nil
	}
	rec, was, err := v.find(ctx, b, as(c, v.ID))
	if err != nil {
		return nil, err
	}
	if rec == nil {
		return nil, missing(Visit, v.ID)
	}
	is, err := v.patch(ctx, b, c, o, rec, was)
	if err != nil {
		return nil, err
	}
	if is.ActivityStatus == StatusDisabled {
		return nil, fault.New("COMMON_INVALID_INPUT", "A visit cannot be deleted and collected at once.")
	}
	reg, err := b.rec(ctx, rec.Key.Above(1))
	if err != nil {
		return nil, err
	}
	doc, err := Decode[RegistrationDoc](reg)
	if err != nil {
		return nil, err
	}
	d.VisitRecord = o.Record
	d.will(b, o.Record)
	return &below{key: rec.Key, visitStatus: is.Status, visitName: is.Name, ppid: doc.PPID, eventID: is.EventID, eventKnown: true}, nil
}

// will makes what is planned next see a record as it will be.
func (d *CollectDraft) will(b *Batch, rec *Record) {
	b.recs[rec.Key] = rec
	d.planned = append(d.planned, rec.Key)
}

// node plans a specimen and those made from it. at is what it hangs on, nil for a root that names that itself.
func (d *CollectDraft) node(ctx context.Context, b *Batch, c *Change, n *SpecimenNode, at *below, kin map[Key]int64) error {
	if len(n.Children) > MaxChildren {
		return fault.New("SPECIMEN_CHILDREN_LIMIT_MAXED", "A specimen has %d children; at most %d can be made at once.", len(n.Children), MaxChildren)
	}
	s := n.Draft
	if s.ID == 0 {
		var err error
		if at, err = d.placed(ctx, b, s, at); err != nil {
			return err
		}
	}
	rec, was, err := d.stored(ctx, b, c, s, at)
	if err != nil {
		return err
	}
	if rec != nil {
		return d.collect(ctx, b, c, n, rec, was, kin)
	}
	if at.parent != nil && s.Doc.CreatedOn == 0 {
		s.Doc.CreatedOn = at.parentDoc.CreatedOn
	}
	if at.parent != nil && kin[at.key] >= MaxChildren { // those of roots that name it count, too
		return fault.New("SPECIMEN_CHILDREN_LIMIT_MAXED", "More than %d specimens are to be made from one at once.", MaxChildren)
	}
	one := *as(c, 0)
	one.Kin, one.numbers = kin[at.key], n.numbers.again()
	kin[at.key]++
	o := &Outcome{}
	if err := s.create(ctx, b, &one, o, at); err != nil {
		return err
	}
	n.Record = o.Record
	doc, err := Decode[SpecimenDoc](o.Record)
	if err != nil {
		return err
	}
	n.takes = at.parent != nil && doc.Status == Collected
	if err := d.children(ctx, b, c, n, &below{
		key: o.Record.Key, parent: o.Record, parentDoc: doc, visitStatus: at.visitStatus, visitName: at.visitName, ppid: at.ppid,
		eventID: at.eventID, eventKnown: at.eventKnown,
	}, kin); err != nil {
		return err
	}
	if owed := b.family[o.Record.Key]; owed != nil {
		delete(b.family, o.Record.Key)
		if owed.settle(b, &doc); doc.ActivityStatus == StatusClosed {
			b.unclaim(&doc, o.Record.ID)
		}
		if o.Record.Doc, err = encoded(&doc); err == nil { // the planned insert holds the same record
			o.Record.Head = o.Record.born(docHash(o.Record.Doc))
		}
	}
	return err
}

// placed decides the lineage of a specimen that is not named by its id, where it tells none, and finds what it hangs on. A
// child is as its requirement says, else an aliquot where its type is its parent's. A root sent with its visit that is made
// from another specimen must be made from one of that visit.
func (d *CollectDraft) placed(ctx context.Context, b *Batch, s *SpecimenDraft, at *below) (*below, error) {
	if s.Doc.Lineage == "" {
		lineage, err := s.usualLineage(ctx, b, at)
		if err != nil {
			return nil, err
		}
		if at != nil && at.parent != nil && lineage == LineageNew {
			lineage = LineageDerived
			if s.Doc.Type == "" || Fold(s.Doc.Type) == Fold(at.parentDoc.Type) {
				lineage = LineageAliquot
			}
		}
		s.Doc.Lineage = lineage
	}
	var l fault.List
	if !s.lineage(&l, &s.Doc) {
		return nil, l
	}
	if at != nil && (at.parent != nil || s.Doc.Lineage == LineageNew) {
		return at, nil
	}
	p, err := s.place(ctx, b, s.Doc.Lineage)
	if err == nil && at != nil && p.key.VisitKey() != at.key {
		err = fault.New("SPECIMEN_INVALID_VISIT", "The parent specimen belongs to another visit than the one that is saved.")
	}
	return &p, err
}

// children plans what is made from a node's specimen, and notes whether that is to be closed.
func (d *CollectDraft) children(ctx context.Context, b *Batch, c *Change, n *SpecimenNode, at *below, kin map[Key]int64) error {
	for _, child := range n.Children {
		if err := d.node(ctx, b, c, child, at, kin); err != nil {
			return err
		}
	}
	if n.Close && len(n.Children) > 0 {
		b.owing(debt{parent: at.key, close: true})
	}
	return nil
}

// stored finds the specimen that a node means: by its id, or the pending one of its requirement in the visit; nil for a
// new one.
func (d *CollectDraft) stored(ctx context.Context, b *Batch, c *Change, s *SpecimenDraft, at *below) (*Record, SpecimenDoc, error) {
	if s.ID != 0 {
		rec, doc, err := s.find(ctx, b, as(c, s.ID))
		if err == nil && rec == nil {
			err = missing(Specimen, s.ID)
		}
		if err == nil && at != nil && rec.Key.Above(1) != at.key {
			err = fault.New("SPECIMEN_VISIT_CHG_NOT_ALLOWED", "Specimen %d does not belong to the visit or parent that it is sent below.", s.ID)
		}
		return rec, doc, err
	}
	cp, err := b.protocolAt(ctx, at.key)
	if err != nil || s.RequirementID == 0 || cp.doc.SpecimenCentric {
		return nil, SpecimenDoc{}, err
	}
	kids, err := b.children(ctx, at.key)
	if err != nil {
		return nil, SpecimenDoc{}, err
	}
	for _, rec := range kids {
		if rec.Type != Specimen {
			continue
		}
		doc, err := Decode[SpecimenDoc](rec)
		if err != nil {
			return nil, SpecimenDoc{}, err
		}
		if doc.RequirementID == s.RequirementID && doc.Status == CollectPending && doc.ActivityStatus == StatusActive {
			b.recs[rec.Key] = rec
			return rec, doc, nil
		}
	}
	return nil, SpecimenDoc{}, nil
}

// collect plans the change of a stored specimen after its children, so that what they take is part of the one change.
func (d *CollectDraft) collect(ctx context.Context, b *Batch, c *Change, n *SpecimenNode, rec *Record, was SpecimenDoc, kin map[Key]int64) error {
	s := *n.Draft
	if s.Merge == nil {
		return fault.New("COMMON_INVALID_INPUT", "Specimen %d is pending; send it by its id.", rec.ID)
	}
	will, err := Decode[SpecimenDoc](rec)
	if err != nil {
		return err
	}
	s.Merge(&will)
	if will.Status == "" {
		will.Status = Collected
	}
	soon := *rec
	if soon.Doc, err = encoded(&will); err != nil {
		return err
	}
	d.will(b, &soon)
	if err := d.children(ctx, b, c, n, &below{key: rec.Key, parent: rec, parentDoc: will}, kin); err != nil {
		return err
	}
	owed, patch := b.family[rec.Key], s.Merge
	delete(b.family, rec.Key)
	s.Merge = func(doc *SpecimenDoc) {
		patch(doc)
		if owed != nil {
			if doc.AvailableQty == nil && doc.Status == Collected {
				doc.AvailableQty = doc.InitialQty
			}
			owed.settle(b, doc)
		}
	}
	one, o := as(c, rec.ID), &Outcome{}
	one.numbers = n.numbers.again()
	if err := s.update(ctx, b, one, o, rec, was); err != nil {
		return err
	}
	n.Record = o.Record
	n.takes = rec.Key.ParentSpecimen() != 0 && was.Status != Collected && will.Status == Collected
	return nil
}
