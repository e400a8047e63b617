package biobank

import (
	"context"
	"fmt"
)

// What follows from a change of a specimen for those made from it.

// cascade gives every specimen below one the collection status, where that was missed or not collected (15.5), for an actor
// who may change each of them.
func (b *Batch) cascade(ctx context.Context, c *Change, cp *protocolInfo, rec *Record, status string) error {
	below, err := b.store.List(ctx, rec.Key.Part, rec.Key.Sort+"/", "", 0)
	if err != nil {
		return fmt.Errorf("read what lies below a record: %w", err)
	}
	for _, r := range below {
		if r.Type != Specimen {
			continue
		}
		if is, err := b.done(ctx, r, c); err != nil {
			return err
		} else if is {
			continue
		}
		doc, err := Decode[SpecimenDoc](r)
		if err != nil {
			return err
		}
		if doc.ActivityStatus == StatusDisabled || doc.Status == status {
			continue
		}
		if err := b.mayHandle(ctx, OpUpdate, cp, &doc, "change the specimens made from it"); err != nil {
			return err
		}
		doc.Status = status
		if err := b.unstore(ctx, r, &doc); err != nil {
			return err
		}
		if err := b.changeBelow(c, r, &doc); err != nil {
			return err
		}
	}
	return nil
}

// kind is what an aliquot has in common with its parent, always (reference openspecimen-rest.md 15.2).
type kind struct{ class, typ, site, laterality, pathology string }

func (d *SpecimenDoc) kind() kind {
	return kind{d.Class, d.Type, d.AnatomicSite, d.Laterality, d.Pathology}
}

// takeKind gives a specimen what it has of its parent: an aliquot all of its kind, another where it comes from.
func (d *SpecimenDoc) takeKind(parent *SpecimenDoc) {
	d.AnatomicSite, d.Laterality = parent.AnatomicSite, parent.Laterality
	if d.Lineage == LineageAliquot {
		d.Class, d.Type, d.Pathology = parent.Class, parent.Type, parent.Pathology
	}
}

// carry gives those made from a specimen what has become of its kind, for an actor who may change each of them; the
// containers that they lie in must admit them still.
func (b *Batch) carry(ctx context.Context, c *Change, cp *protocolInfo, rec *Record, is *SpecimenDoc) error {
	below, err := b.store.List(ctx, rec.Key.Part, rec.Key.Sort+"/", "", 0)
	if err != nil {
		return fmt.Errorf("read what lies below a record: %w", err)
	}
	parents := map[Key]*SpecimenDoc{rec.Key: is}
	for _, r := range below { // parents before their children
		parent := parents[r.Key.Above(1)]
		if r.Type != Specimen || parent == nil {
			continue
		}
		doc, err := Decode[SpecimenDoc](r)
		if err != nil {
			return err
		}
		was := doc.kind()
		doc.takeKind(parent)
		if doc.kind() == was || doc.ActivityStatus == StatusDisabled {
			continue // and what is below it stays
		}
		parents[r.Key] = &doc
		if is, err := b.done(ctx, r, c); is || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		if err := b.mayHandle(ctx, OpUpdate, cp, &doc, "change the specimens made from it"); err != nil {
			return err
		}
		if doc.Location != nil {
			if err := b.stays(ctx, cp, &doc); err != nil {
				return err
			}
		}
		if err := b.changeBelow(c, r, &doc); err != nil {
			return err
		}
	}
	return nil
}
