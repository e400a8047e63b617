package biobank

import (
	"context"
	"slices"

	"aliquot/shared/fault"
)

// goal is where a container is to lie.
type goal struct {
	into *Branch // nil: at the top of a site
	site int64
	ref  LocationRef
	// stays tells that nothing was said about it.
	stays bool
}

// goal decides where a container is to lie. One of the site and the container above must be named; a patch that names
// neither leaves it where it is.
func (d *ContainerDraft) goal(ctx context.Context, b *Batch, l *fault.List, now, into *Branch) (goal, error) {
	g := goal{into: into}
	if into != nil {
		g.site = into.Site()
		if d.Location != nil {
			g.ref = *d.Location
		}
		return g, nil
	}
	if now != nil && d.Merge != nil && d.Site == nil && d.Location == nil {
		g.stays, g.site = true, now.Site()
		if len(now.Recs) > 1 {
			g.into = &Branch{Recs: now.Recs[1:], Docs: now.Docs[1:]}
		}
		return g, nil
	}
	if d.Location != nil && !d.Location.None() {
		rec, err := b.container(ctx, *d.Location)
		if fault.All(err) != nil {
			l.Add("STORAGE_CONTAINER_PARENT_CONT_NOT_FOUND", "The container that it is to lie in was not found.")
			return g, nil
		} else if err != nil {
			return g, err
		}
		if g.into, err = b.branch(ctx, rec); err != nil {
			return g, err
		}
		g.ref, g.site = *d.Location, g.into.Site()
	}
	if d.Site == nil || *d.Site == "" {
		switch {
		case g.into != nil:
		case now != nil && d.Merge != nil && len(now.Recs) > 0:
			g.site = now.Site() // taken out, and left at its site
		default:
			l.Add("STORAGE_CONTAINER_REQUIRED_SITE_OR_PARENT_CONT", "Give the site, or the container that it lies in.")
		}
		return g, nil
	}
	site, err := b.siteID(ctx, *d.Site)
	if fault.All(err) != nil {
		l.Append(err)
		return g, nil
	} else if err != nil {
		return g, err
	}
	switch {
	case g.into != nil && g.site != site:
		l.Add("STORAGE_CONTAINER_INVALID_SITE_AND_PARENT_CONT", "The container that it lies in does not belong to site %q.", *d.Site)
	case g.into == nil && now != nil && d.Merge != nil && d.Location == nil && site == now.Site():
		g.stays = true // the site that it has anyway
		if len(now.Recs) > 1 {
			g.into = &Branch{Recs: now.Recs[1:], Docs: now.Docs[1:]}
		}
	}
	g.site = site
	at := int64(0)
	if now != nil && len(now.Recs) > 0 {
		at = now.Site()
	}
	return g, b.open(ctx, l, Site, at, site)
}

// may checks the right at the site where a container is to lie; that where it lies was checked before.
func (d *ContainerDraft) may(b *Batch, rec *Record, g goal) error {
	op := OpCreate
	if rec != nil {
		op = OpUpdate
	}
	if !b.actor.HoldsAt(ResContainer, op, g.site) {
		return denied("keep containers at this site")
	}
	return nil
}

// ofType resolves the type, and takes from it what a new container does not say (reference 16.2, typeId).
func (d *ContainerDraft) ofType(ctx context.Context, b *Batch, l *fault.List, rec *Record, is *ContainerDoc, was int64) error {
	if d.Stores != nil {
		is.StoreSpecimens = *d.Stores
	}
	if is.TypeID = was; d.Kind == nil {
		if d.Merge == nil {
			is.TypeID = 0
		}
		return nil
	}
	kind, doc, err := b.containerType(ctx, *d.Kind)
	if fault.All(err) != nil {
		l.Append(err)
		return nil
	} else if err != nil {
		return err
	}
	if is.TypeID = idOf(kind); kind == nil || rec != nil {
		return nil
	}
	fill := func(v *string, from string) {
		if *v == "" {
			*v = from
		}
	}
	if is.Rows == 0 && is.Columns == 0 {
		is.Rows, is.Columns = doc.Rows, doc.Columns
	}
	fill(&is.Mode, doc.Mode)
	fill(&is.Assignment, doc.Assignment)
	fill(&is.ColumnScheme, doc.ColumnScheme)
	fill(&is.RowScheme, doc.RowScheme)
	if is.Temperature == nil {
		is.Temperature = doc.Temperature
	}
	if d.Stores == nil {
		is.StoreSpecimens = is.StoreSpecimens || doc.StoreSpecimens
	}
	return nil
}

// restrict resolves the protocols that alone may be held. Those that the actor may not see are not shown to it, and stay.
func (d *ContainerDraft) restrict(ctx context.Context, b *Batch, l *fault.List, is, was *ContainerDoc) error {
	is.Protocols, is.Distributions = was.Protocols, was.Distributions
	if d.Merge == nil {
		is.Protocols, is.Distributions = nil, nil
	}
	if d.CPs != nil {
		is.Protocols = nil
		for _, title := range d.CPs {
			id, err := b.setID(ctx, shortTitleMark(title), uniqueShortTitle, title)
			if err != nil {
				return err
			}
			if id == 0 {
				l.Add("STORAGE_CONTAINER_INVALID_CPS", "Collection protocol %q was not found.", title)
			} else if !slices.Contains(is.Protocols, id) {
				is.Protocols = append(is.Protocols, id)
			}
		}
	}
	if d.DPs != nil {
		is.Distributions = nil
		for _, title := range d.DPs {
			id, err := b.setID(ctx, dpShortTitleMark(title), uniqueDPShortTitle, title)
			if err != nil {
				return err
			}
			if id == 0 {
				l.Add("STORAGE_CONTAINER_INVALID_DPS", "Distribution protocol %q was not found.", title)
			} else if !slices.Contains(is.Distributions, id) {
				is.Distributions = append(is.Distributions, id)
			}
		}
	}
	for _, list := range []struct {
		of  Type
		was []int64
		is  *[]int64
	}{{Protocol, was.Protocols, &is.Protocols}, {DistributionProtocol, was.Distributions, &is.Distributions}} {
		for _, id := range list.was {
			if slices.Contains(*list.is, id) {
				continue
			}
			rec, err := b.rec(ctx, SetKey(list.of, id))
			if err != nil {
				return err
			}
			sees, err := b.actor.Sees(rec)
			if err != nil {
				return err
			}
			if rec != nil && !sees {
				*list.is = append(*list.is, id)
			}
		}
	}
	for i, class := range is.Classes {
		value(l, SpecimenClasses, "SPECIMEN_INVALID_SPECIMEN_CLASS", "Specimen class", &is.Classes[i])
		if slices.Index(is.Classes, is.Classes[i]) < i {
			l.Add("SPECIMEN_INVALID_SPECIMEN_CLASS", "Specimen class %q is given twice.", class)
		}
	}
	for i, typ := range is.Types {
		if _, canonical, ok := ClassOf(typ); ok {
			is.Types[i] = canonical
		} else {
			l.Add("SPECIMEN_INVALID_SPECIMEN_TYPE", "Specimen type %q is not in the list of permissible values.", typ)
		}
	}
	return nil
}

// check holds the rules of a container's own values (section 16.2).
func (d *ContainerDraft) check(l *fault.List, is *ContainerDoc) {
	if is.Name == "" {
		l.Add("STORAGE_CONTAINER_NAME_REQUIRED", "Give the Name of the container.")
	}
	tooLong(l, "Name", is.Name, 64)
	tooLong(l, "Display name", is.DisplayName, 64)
	tooLong(l, "Barcode", is.Barcode, 64)
	tooLong(l, "Comments", is.Comments, 1024)
	oneOf := func(v *string, code, noun string, allowed ...string) {
		if *v == "" {
			*v = allowed[0]
		}
		for _, a := range allowed {
			if Fold(*v) == Fold(a) {
				*v = a
				return
			}
		}
		l.Add(code, "%s %q is not valid.", noun, *v)
	}
	oneOf(&is.UsedFor, "STORAGE_CONTAINER_INV_USAGE_MODE", "Used For", UsedForStorage, UsedForDistribution)
	oneOf(&is.CellDisplay, "STORAGE_CONTAINER_INVALID_CELL_DISP_PROP", "Cell display", cellDisplays...)
	is.Grid.check(l, "STORAGE_CONTAINER_", "STORAGE_CONTAINER_INVALID_DIMENSION_LABELING_SCHEME")
	if is.Automated && !is.Dimensionless() {
		l.Add("STORAGE_CONTAINER_AUTOMATED_NOT_DIMENSIONLESS", "An automated container has no rows and columns.")
	}
	if is.Capacity < 0 {
		l.Add("STORAGE_CONTAINER_INVALID_CAPACITY", "Capacity %d cannot be negative.", is.Capacity)
	}
	if !is.Dimensionless() && is.StoreSpecimens {
		is.Capacity = is.Cells()
	}
}

// nest checks a container against what it is to lie in.
func (d *ContainerDraft) nest(l *fault.List, is *ContainerDoc, g goal) {
	if g.into == nil {
		return
	}
	if g.into.Doc().UsedFor != is.UsedFor {
		l.Add("STORAGE_CONTAINER_USAGE_DIFFER", "It is for %s, and what it is to lie in is for %s.", is.UsedFor, g.into.Doc().UsedFor)
	}
	if g.into.Archived() && (is.ActivityStatus != StatusClosed || !g.stays) {
		l.Add("STORAGE_CONTAINER_PARENT_ARCHIVED", "The container that it lies in is archived.")
	}
	if !g.into.narrows(is) {
		l.Add("STORAGE_CONTAINER_CANNOT_HOLD_CONTAINER", "Container %q does not admit all that this one does.", g.into.Doc().Name)
	}
	if len(g.into.Recs) >= maxNest-1 {
		l.Append(tooDeep())
	}
}
