package biobank

import "context"

// pendingParents are the specimens above the draft's that are still pending, the uppermost first, where the draft is to be
// collected and asks for them to be collected with it (autoCollectParents, reference openspecimen-rest.md 15.4).
func (d *SpecimenDraft) pendingParents(ctx context.Context, b *Batch, c *Change) ([]*Record, error) {
	if !d.AutoCollectParents || b.bulk {
		return nil, nil
	}
	var up Key
	if c.Op == Create {
		status, lineage := Fold(d.Doc.Status), d.Doc.Lineage
		if status != "" && status != Fold(Collected) {
			return nil, nil
		}
		if lineage == "" {
			var err error
			if lineage, err = d.usualLineage(ctx, b, nil); err != nil {
				return nil, err
			}
		}
		if Fold(lineage) == Fold(LineageNew) {
			return nil, nil
		}
		at, err := d.placeBelowParent(ctx, b)
		if err != nil {
			return nil, err
		}
		up = at.key
	} else {
		rec, is, err := d.find(ctx, b, c)
		if err != nil || rec == nil || is.Status == Collected || rec.Key.ParentSpecimen() == 0 {
			return nil, err
		}
		if d.Merge != nil {
			d.Merge(&is)
		}
		if is.Status != Collected {
			return nil, nil
		}
		up = rec.Key.Above(1)
	}
	var chain []*Record
	for {
		rec, err := b.rec(ctx, up)
		if err != nil {
			return nil, err
		}
		doc, err := Decode[SpecimenDoc](rec)
		if err != nil || rec == nil || rec.Type != Specimen || doc.Status != CollectPending {
			return chain, err
		}
		chain = append([]*Record{rec}, chain...)
		up = up.Above(1)
	}
}

// collectParents collects a chain of pending specimens with the draft below the last of them, in one change.
func (d *SpecimenDraft) collectParents(ctx context.Context, b *Batch, c *Change, o *Outcome, chain []*Record, err error) error {
	if err != nil {
		return err
	}
	self := *d
	self.AutoCollectParents = false
	if c.Op != Create {
		rec, _, err := d.find(ctx, b, c)
		if err != nil {
			return err
		}
		self.ID = rec.ID
	}
	last := &SpecimenNode{Draft: &self}
	top := last
	for i := len(chain) - 1; i >= 0; i-- {
		parent := &SpecimenDraft{ID: chain[i].ID, Merge: func(doc *SpecimenDoc) { doc.Status = Collected }}
		top = &SpecimenNode{Draft: parent, Children: []*SpecimenNode{top}}
	}
	all := &CollectDraft{Specimens: []*SpecimenNode{top}}
	if err := all.plan(ctx, b, c, o); err != nil {
		return err
	}
	o.Record, o.Changed = last.Record, true
	return nil
}
