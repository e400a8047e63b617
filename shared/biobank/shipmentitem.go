package biobank

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"aliquot/shared/fault"
)

// ShipmentItem is what a shipment carries: a specimen, or a container with what lies in it.
type ShipmentItem struct {
	ID          int64  `json:"id"`
	SpecimenID  int64  `json:"specimenId,omitempty"`
	ContainerID int64  `json:"containerId,omitempty"`
	Quality     string `json:"receivedQuality,omitempty"`
}

// maxShippedContainers is how many containers a shipment may have: what lies in each is looked at.
const maxShippedContainers = 100

// of is the id of the specimen or container.
func (i *ShipmentItem) of() int64 { return cmp.Or(i.SpecimenID, i.ContainerID) }

// ShipmentLine asks for a specimen or a container, or tells in which quality it came.
type ShipmentLine struct {
	Specimen  SpecimenRef
	Container LocationRef
	Quality   string
}

// String is how a message names what the line is about.
func (l ShipmentLine) String() string {
	if l.Container.None() {
		return l.Specimen.String()
	}
	return l.Container.String()
}

// lines are those of the shipment's type.
func (d *ShipmentDraft) lines(is *ShipmentDoc) []ShipmentLine {
	if is.Type == ShipmentOfContainers {
		return d.Containers
	}
	return d.Specimens
}

// goods is what a shipment carries, as codes have it.
func (s *ShipmentDoc) goods() string { return s.Type + "S" }

// items takes the items that were sent, or checks those of a shipment that comes in.
func (d *ShipmentDraft) items(ctx context.Context, b *Batch, l *fault.List, was, is *ShipmentDoc) error {
	most := MaxLines
	if is.Type == ShipmentOfContainers {
		most = maxShippedContainers
	}
	if n := len(d.lines(is)); n > most {
		l.Add("COMMON_INVALID_INPUT", "The shipment names %d %s; at most %d are possible.", n, strings.ToLower(is.goods()), most)
		return nil
	}
	if is.Status == ShipmentReceived {
		return d.received(ctx, b, l, is)
	}
	find := d.specimens
	if is.Type == ShipmentOfContainers {
		find = d.containers
	}
	items, err := find(ctx, b, l, is)
	if err != nil {
		return err
	}
	kept := map[int64]int64{}
	for _, item := range was.Items {
		kept[item.of()] = item.ID
	}
	has := map[int64]bool{}
	for i := range items {
		of := items[i].of()
		if has[of] {
			l.Add("SHIPMENT_DUPLICATE_"+is.goods(), "The shipment names %s %d twice.", strings.ToLower(is.Type), of)
		}
		has[of] = true
		items[i].ID = kept[of]
	}
	is.Items = items
	if is.Status == ShipmentShipped && len(d.lines(is)) == 0 {
		l.Add("SHIPMENT_NO_"+is.goods()+"_TO_SHIP", "The shipment has no %s.", strings.ToLower(is.goods()))
	}
	if len(*l) > 0 {
		return nil
	}
	return b.numberItems(ctx, "shipment.item", len(is.Items), func(i int) *int64 { return &is.Items[i].ID })
}

// specimens finds the specimens to be shipped, which the actor must see; they are collected and not closed, and those that
// are stored are so at the sending site, as containers are: to send is a right at that site, and the arrival takes them out of
// their cells.
func (d *ShipmentDraft) specimens(ctx context.Context, b *Batch, l *fault.List, is *ShipmentDoc) ([]ShipmentItem, error) {
	refs := make([]SpecimenRef, len(d.Specimens))
	for i := range d.Specimens {
		refs[i] = d.Specimens[i].Specimen
	}
	recs, err := b.specimens(ctx, refs)
	if err != nil {
		return nil, err
	}
	docs := make([]SpecimenDoc, len(recs))
	for i, rec := range recs {
		if docs[i], err = Decode[SpecimenDoc](rec); err != nil {
			return nil, err
		}
		b.wantRec(setKeyOrNone(Container, docs[i].storedIn()))
	}
	if err := b.readRecs(ctx); err != nil {
		return nil, err
	}
	var items []ShipmentItem
	for i, rec := range recs {
		if rec == nil {
			l.Append(missing(Specimen, refs[i]))
			continue
		}
		at, err := b.siteOfStored(ctx, &docs[i])
		if err != nil {
			return nil, err
		}
		switch {
		case docs[i].Status != Collected || docs[i].ActivityStatus != StatusActive:
			l.Add("SHIPMENT_INVALID_SPECIMENS", "Specimen %q is closed or was not collected; it cannot be shipped.", docs[i].Label)
		case at != 0 && at != is.SendingSiteID:
			l.Add("SHIPMENT_INVALID_SPECIMENS", "Specimen %q is stored at another site than the sending one.", docs[i].Label)
		}
		items = append(items, ShipmentItem{SpecimenID: rec.ID})
	}
	return items, nil
}

// containers finds the containers to be shipped, which the actor must see: they are at the sending site, not archived, and
// none lies in another one. What lies in them goes along, so the receiving site must be one that it may be stored at. (The
// reference tells no codes but that for a shipment without any; these are such as specimens have.)
func (d *ShipmentDraft) containers(ctx context.Context, b *Batch, l *fault.List, is *ShipmentDoc) ([]ShipmentItem, error) {
	refs := containerRefs(d.Containers)
	branches, err := b.containersSeen(ctx, refs)
	if err != nil {
		return nil, err
	}
	var items []ShipmentItem
	for i, br := range branches {
		if br == nil {
			l.Append(missing(Container, refs[i]))
			continue
		}
		name := br.Doc().Name
		switch {
		case br.Archived():
			l.Add("SHIPMENT_INVALID_CONTAINERS", "Container %q is archived; it cannot be shipped.", name)
		case br.Site() != is.SendingSiteID:
			l.Add("SHIPMENT_INVALID_CONTAINERS", "Container %q is not at the sending site.", name)
		case slices.ContainsFunc(branches, func(o *Branch) bool { return o != nil && slices.Contains(br.IDs()[1:], o.ID()) }):
			l.Add("SHIPMENT_DUPLICATE_CONTAINERS", "Container %q lies in another one of the shipment and goes with that.", name)
		default:
			if err := told(l, b.mayStandAt(ctx, br, is.ReceivingSiteID)); err != nil {
				return nil, err
			}
		}
		items = append(items, ShipmentItem{ContainerID: br.ID()})
	}
	return items, nil
}

func containerRefs(lines []ShipmentLine) []LocationRef {
	refs := make([]LocationRef, len(lines))
	for i := range lines {
		refs[i] = lines[i].Container
	}
	return refs
}

// mayStandAt tells whether a container could be at the top of a site with all that lies in it.
func (b *Batch) mayStandAt(ctx context.Context, br *Branch, site int64) error {
	doc := *br.Doc()
	doc.SiteID, doc.Parent, doc.Path = site, nil, nil
	return b.contents(ctx, newBranch(br.Recs[0], &doc, nil), func(in *Branch, all []Occupant) error { return b.admitted(ctx, in, all) })
}

// received checks that exactly what was shipped is named, each with its quality. Who receives need not have the right to
// see it.
func (d *ShipmentDraft) received(ctx context.Context, b *Batch, l *fault.List, is *ShipmentDoc) error {
	lines := d.lines(is)
	ids, err := d.ids(ctx, b, is)
	if err != nil {
		return err
	}
	noun := strings.ToLower(is.Type)
	quality := map[int64]string{}
	for i := range lines {
		q := lines[i].Quality
		if q == "" {
			l.Add("SHIPMENT_RECV_QUALITY_REQ", "Give the quality in which %s %s was received.", noun, lines[i])
		}
		value(l, "receive_quality", "SPECIMEN_INVALID_RECV_QUALITY", "Received Quality", &q)
		quality[ids[i]] = q
	}
	for i := range is.Items {
		q, ok := quality[is.Items[i].of()]
		if !ok || len(quality) != len(is.Items) || len(lines) != len(is.Items) {
			l.Add("SHIPMENT_INVALID_SHIPPED_"+is.goods(), "Name exactly the %d %ss that were shipped.", len(is.Items), noun)
			break
		}
		is.Items[i].Quality = q
	}
	return nil
}

// ids are those of what the lines name, 0 for what nobody knows.
func (d *ShipmentDraft) ids(ctx context.Context, b *Batch, is *ShipmentDoc) ([]int64, error) {
	if is.Type == ShipmentOfContainers {
		recs, err := b.containersNamed(ctx, containerRefs(d.Containers))
		if err != nil {
			return nil, err
		}
		ids := make([]int64, len(recs))
		for i, rec := range recs {
			if ids[i] = d.Containers[i].Container.ContainerID; rec != nil {
				ids[i] = rec.ID
			}
		}
		return ids, nil
	}
	for i := range d.Specimens {
		if d.Specimens[i].Specimen.ID == 0 {
			b.wantMark(d.Specimens[i].Specimen.mark())
		}
	}
	if err := b.readMarks(ctx); err != nil {
		return nil, err
	}
	ids := make([]int64, len(d.Specimens))
	for i := range d.Specimens {
		if ids[i] = d.Specimens[i].Specimen.ID; ids[i] == 0 {
			ids[i] = b.marks[d.Specimens[i].Specimen.mark()].ID
		}
	}
	return ids, nil
}

// arriveSpecimens plans what the arrival of items does to their specimens; one that was deleted on the way is left alone.
// Where the arrival is told anew, one that another shipment has brought elsewhere since is left alone, too.
func (b *Batch) arriveSpecimens(ctx context.Context, c *Change, items []ShipmentItem, shipment, site int64, anew bool) error {
	for _, item := range items {
		b.wantMark(IDMark(Specimen, item.SpecimenID))
	}
	if err := b.readMarks(ctx); err != nil {
		return err
	}
	for _, item := range items {
		b.wantRec(b.marks[IDMark(Specimen, item.SpecimenID)].To)
	}
	if err := b.readRecs(ctx); err != nil {
		return err
	}
	for _, item := range items {
		rec := b.recs[b.marks[IDMark(Specimen, item.SpecimenID)].To]
		doc, err := Decode[SpecimenDoc](rec)
		if err != nil {
			return err
		}
		held := doc.Held()
		if rec == nil || doc.ActivityStatus == StatusDisabled || anew && held.ShipmentID != shipment {
			continue
		}
		if held.ShipmentID != shipment {
			if err := b.unstore(ctx, rec, &doc); err != nil {
				return err
			}
		}
		held.ShipmentID, held.SiteID, held.Quality = shipment, site, item.Quality
		doc.hold(held)
		if err := b.changeBelow(c, rec, &doc); err != nil {
			return err
		}
	}
	return nil
}

// arriveContainers plans what the arrival of items does to their containers: each leaves what it lies in and is at the top
// of the receiving site, with all that lies in it. That it is there is a fact, so nothing is asked of the site any more.
// One that was deleted on the way is left alone, and all are where the arrival is told anew: they may have been put away.
func (b *Batch) arriveContainers(ctx context.Context, c *Change, items []ShipmentItem, _, site int64, anew bool) error {
	if anew {
		return nil
	}
	for _, item := range items {
		b.wantRec(SetKey(Container, item.ContainerID))
	}
	if err := b.readRecs(ctx); err != nil {
		return err
	}
	for _, item := range items {
		rec := b.recs[SetKey(Container, item.ContainerID)]
		doc, err := Decode[ContainerDoc](rec)
		if err != nil {
			return err
		}
		if rec == nil || doc.ActivityStatus == StatusDisabled {
			continue
		}
		for _, cell := range []*Location{doc.Parent, doc.CheckedOut} {
			if cell != nil {
				if err := b.leaveCell(ctx, *cell, occupantRef{typ: Container, key: rec.Key, id: rec.ID}); err != nil {
					return err
				}
			}
		}
		doc.SiteID, doc.Parent, doc.Path, doc.CheckedOut, doc.Moved = site, nil, nil, nil, nil
		if err := b.changeBelow(c, rec, &doc); err != nil {
			return err
		}
	}
	return nil
}
