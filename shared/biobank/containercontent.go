package biobank

import (
	"context"
	"slices"
	"strconv"

	"aliquot/shared/fault"
)

// resize checks a change of the layout against the cells that are held.
func (d *ContainerDraft) resize(l *fault.List, is, was *ContainerDoc) {
	switch {
	case was.Dimensionless() && !is.Dimensionless():
		l.Add("STORAGE_CONTAINER_DL_TO_REG_NA", "A container without rows and columns cannot get them later.")
	case !was.Dimensionless() && is.Dimensionless():
		l.Add("STORAGE_CONTAINER_REG_TO_DL_NA", "The rows and columns of a container cannot be taken away.")
	}
}

// complies checks the content of a container that will be another, or lie elsewhere: cells that are taken stay in it, and
// what it holds it still admits.
func (d *ContainerDraft) complies(ctx context.Context, b *Batch, now, will *Branch) error {
	was, is := now.Doc(), will.Doc()
	smaller := is.Rows < was.Rows || is.Columns < was.Columns
	// Where the site or the restrictions of the branch change, everything below is looked at.
	stricter := now.Site() != will.Site() || was.StoreSpecimens && !is.StoreSpecimens || was.UsedFor != is.UsedFor ||
		!sameRestrictions(now, will)
	if !smaller && !stricter {
		return nil
	}
	if !stricter {
		all, err := occupantsOf(ctx, b.store, b.at, now.ID())
		if err != nil {
			return err
		}
		return fits(is, all[now.ID()])
	}
	return b.contents(ctx, will, func(br *Branch, all []Occupant) error {
		if br.ID() == will.ID() && smaller {
			if err := fits(is, all); err != nil {
				return err
			}
		}
		return b.admitted(ctx, br, all)
	})
}

func fits(is *ContainerDoc, all []Occupant) error {
	for _, o := range all {
		if o.At.Row != 0 && !is.Has(o.At.Row, o.At.Column) {
			return fault.New("STORAGE_CONTAINER_CANNOT_SHRINK_CONTAINER", "The position at row %d, column %d is in use.", o.At.Row, o.At.Column)
		}
	}
	return nil
}

func sameRestrictions(a, b *Branch) bool {
	ac, at := a.Kinds()
	bc, bt := b.Kinds()
	return slices.Equal(ac, bc) && slices.Equal(at, bt) && slices.Equal(a.Protocols(), b.Protocols()) &&
		slices.Equal(a.Distributions(), b.Distributions())
}

// admitted checks that a branch admits what lies in its first container.
func (b *Batch) admitted(ctx context.Context, br *Branch, all []Occupant) error {
	for _, o := range all {
		if o.Record == nil || o.Kept {
			continue
		}
		switch o.Record.Type {
		case Specimen:
			doc, err := Decode[SpecimenDoc](o.Record)
			if err != nil {
				return err
			}
			cp, err := b.protocolAt(ctx, o.Record.Key)
			if err != nil {
				return err
			}
			if !br.Admits(doc.Class, doc.Type, cp.id, cp.doc.Sites) {
				return fault.New("STORAGE_CONTAINER_CANNOT_HOLD_SPECIMEN", "Container %q holds specimens that it would not admit.", br.Doc().Name)
			}
		case Container:
			doc, err := Decode[ContainerDoc](o.Record)
			if err != nil {
				return err
			}
			if !br.narrows(&doc) || doc.UsedFor != br.Doc().UsedFor {
				return fault.New("STORAGE_CONTAINER_CANNOT_HOLD_CONTAINER", "Container %q holds %q, which admits more than it would.", br.Doc().Name, doc.Name)
			}
		}
	}
	return nil
}

// contents visits a container and those that lie in it, with who holds their cells, each before what lies in it.
func (b *Batch) contents(ctx context.Context, top *Branch, visit func(*Branch, []Occupant) error) error {
	for level := []*Branch{top}; len(level) > 0; {
		var ids []int64
		for _, br := range level {
			ids = append(ids, br.ID())
		}
		all, err := occupantsOf(ctx, b.store, b.at, ids...)
		if err != nil {
			return err
		}
		var next []*Branch
		for _, br := range level {
			if err := visit(br, all[br.ID()]); err != nil {
				return err
			}
			if len(br.Recs) > 2*maxNest {
				return tooDeep()
			}
			for _, o := range all[br.ID()] {
				if o.Record != nil && o.Record.Type == Container && !o.Kept && o.Record.ID != br.ID() {
					doc, err := Decode[ContainerDoc](o.Record)
					if err != nil {
						return err
					}
					next = append(next, newBranch(o.Record, &doc, br))
				}
			}
		}
		level = next
	}
	return nil
}

// noSpecimens is nil where no specimen lies in a container or one below it.
func (b *Batch) noSpecimens(ctx context.Context, id int64, code string) error {
	rec, err := b.rec(ctx, SetKey(Container, id))
	if err != nil {
		return err
	}
	top, err := b.branch(ctx, rec)
	if err != nil {
		return err
	}
	n := 0
	err = b.contents(ctx, top, func(_ *Branch, all []Occupant) error {
		for _, o := range all {
			if o.Record != nil && o.Record.Type == Specimen {
				n++
			}
		}
		return nil
	})
	if err == nil && n > 0 {
		err = fault.New(code, "Specimens are stored in the container: %s. Take them out first.", strconv.Itoa(n))
	}
	return err
}
