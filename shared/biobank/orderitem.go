package biobank

import (
	"context"
	"slices"

	"aliquot/shared/fault"
)

// choose finds the specimens of an order and checks them: those that the draft asks for, or the stored ones. What has been
// given out already stays first and as it is.
func (d *OrderDraft) choose(ctx context.Context, b *Batch, l *fault.List, was, is *OrderDoc, dp *DistributionDoc) error {
	if d.Merge == nil && !d.KeepItems {
		is.Items = slices.Clone(was.Items[:was.Given])
	}
	asked, err := d.asked(ctx, b, is.DistributionID)
	if err != nil {
		return err
	}
	if len(asked)+len(is.Items) > MaxLines+was.Given {
		l.Add("COMMON_INVALID_INPUT", "The order names %d specimens; at most %d are possible.", len(asked)+len(is.Items), MaxLines)
		return nil
	}
	if err := d.add(ctx, b, l, was, is, asked); err != nil {
		return err
	}
	if is.Status == OrderExecuted && len(is.Items) == 0 {
		l.Add("DIST_ORDER_NO_SPECIMENS_TO_DIST", "The order has no specimens.")
	}
	if len(*l) > 0 {
		return nil
	}
	return d.checkItems(ctx, b, l, is, dp)
}

// asked lists what the draft asks for: items, what is reserved, a cart.
func (d *OrderDraft) asked(ctx context.Context, b *Batch, dp int64) ([]OrderLine, error) {
	asked := slices.Clone(d.Items)
	add := func(recs []*Record) {
		for _, rec := range recs {
			asked = append(asked, OrderLine{Specimen: SpecimenRef{ID: rec.ID}, implied: true})
		}
	}
	r := &Registry{Store: b.store}
	if d.AllReserved {
		recs, err := r.Reserved(ctx, b.actor, dp, MaxLines+1)
		if err != nil {
			return nil, err
		}
		add(recs)
	}
	if d.Cart != 0 {
		if _, err := r.Cart(ctx, b.actor, d.Cart); err != nil {
			return nil, err
		}
		var recs []*Record
		err := r.CartSpecimens(ctx, b.actor, d.Cart, func(rec *Record) (bool, error) {
			recs = append(recs, rec)
			return len(recs) <= MaxLines, nil
		})
		if err != nil {
			return nil, err
		}
		add(recs)
	}
	return asked, nil
}

// add resolves what was asked for and adds it to the items. A specimen that the order has already keeps its item's id.
func (d *OrderDraft) add(ctx context.Context, b *Batch, l *fault.List, was, is *OrderDoc, asked []OrderLine) error {
	refs := make([]SpecimenRef, len(asked))
	for i := range asked {
		refs[i] = asked[i].Specimen
	}
	recs, err := b.specimens(ctx, refs)
	if err != nil {
		return err
	}
	kept := map[int64]int64{}
	for _, item := range was.Items {
		kept[item.SpecimenID] = item.ID
	}
	has := map[int64]bool{}
	for _, item := range is.Items {
		has[item.SpecimenID] = true
	}
	given := map[int64]bool{}
	for _, item := range was.Items[:was.Given] {
		given[item.SpecimenID] = true
	}
	for i, rec := range recs {
		switch {
		case rec == nil:
			l.Add("DIST_ORDER_SPECIMEN_DOES_NOT_EXIST", "Specimen %s was not found.", refs[i])
			continue
		case given[rec.ID]:
			delete(given, rec.ID) // once more as it was given out
			continue
		case has[rec.ID] && asked[i].implied:
			continue
		case has[rec.ID]:
			l.Add("DIST_ORDER_DUPLICATE_SPECIMENS", "Specimen %s is named twice.", refs[i])
			continue
		}
		has[rec.ID] = true
		item := OrderItem{ID: kept[rec.ID], SpecimenID: rec.ID, Quantity: asked[i].Quantity, Cost: asked[i].Cost, Label: asked[i].Label, Status: asked[i].Status}
		at, err := b.heldAt(ctx, asked[i].Holding, is.DistributionID, rec)
		if err := told(l, err); err != nil {
			return err
		}
		item.Holding = at
		is.Items = append(is.Items, item)
	}
	if len(given) > 0 && d.Merge == nil && !d.KeepItems {
		l.Add("COMMON_INVALID_INPUT", "%d specimens that are not named have been given out already. Name them, too.", len(given))
	}
	if len(*l) > 0 {
		return nil
	}
	return b.numberItems(ctx, "order.item", len(is.Items), func(i int) *int64 { return &is.Items[i].ID })
}

// checkItems checks those that are not given out yet, and fills in quantities and states. Where an earlier round of the
// request has checked all, the next ones to be given out are enough.
func (d *OrderDraft) checkItems(ctx context.Context, b *Batch, l *fault.List, is *OrderDoc, dp *DistributionDoc) error {
	items := is.Items[is.Given:]
	if d.checked {
		items = items[:min(len(items), together)]
	}
	refs := make([]SpecimenRef, len(items))
	for i := range items {
		refs[i].ID = items[i].SpecimenID
	}
	recs, err := b.specimens(ctx, refs)
	if err != nil {
		return err
	}
	for i, rec := range recs {
		if rec == nil {
			l.Add("DIST_ORDER_SPECIMEN_DOES_NOT_EXIST", "Specimen %s was not found.", refs[i])
			continue
		}
		doc, err := Decode[SpecimenDoc](rec)
		if err != nil {
			return err
		}
		if err := b.fits(ctx, l, rec, &doc, is.DistributionID, dp); err != nil {
			return err
		}
		d.checkItem(l, &items[i], &doc)
		if items[i].Holding != nil && items[i].Status == ItemClosed {
			l.Add("SPECIMEN_STORE_NOT_ALLOWED", "The order closes specimen %q, which cannot be held then. Leave its holding location out, or give its item the status DISTRIBUTED.", doc.Label)
		}
	}
	return nil
}

// checkItem checks an item's quantity against what there is of the specimen. An item without a status closes the specimen
// when nothing will be left of it.
func (d *OrderDraft) checkItem(l *fault.List, item *OrderItem, s *SpecimenDoc) {
	if item.Quantity == nil && d.AllAvailable {
		item.Quantity = s.AvailableQty
	}
	switch {
	case item.Quantity == nil && s.AvailableQty != nil:
		l.Add("DIST_ORDER_ITEM_QTY_REQ", "Give the quantity of specimen %q.", s.Label)
	case item.Quantity != nil && (*item.Quantity < 0 || *item.Quantity == 0 && (s.AvailableQty == nil || *s.AvailableQty > 0)):
		l.Add("DIST_ORDER_ITEM_INVALID_QTY", "The quantity of specimen %q must be more than 0.", s.Label)
	case item.Quantity != nil && s.AvailableQty != nil && *item.Quantity > *s.AvailableQty:
		l.Add("DIST_ORDER_ITEM_INVALID_QTY", "Of specimen %q only %s is left; %s cannot be given out.", s.Label, s.AvailableQty, item.Quantity)
	}
	if item.Cost != nil && *item.Cost < 0 {
		l.Add("COMMON_INVALID_INPUT", "The cost of specimen %q must not be less than 0.", s.Label)
	}
	tooLong(l, "Label of the item", item.Label, 255)
	all := item.Quantity != nil && s.AvailableQty != nil && *item.Quantity >= *s.AvailableQty
	switch Fold(item.Status) {
	case "":
		item.Status = ItemDistributed
		if all || d.AllAvailable {
			item.Status = ItemClosed
		}
	case Fold(ItemDistributed):
		item.Status = ItemDistributed
	case Fold(ItemClosed):
		item.Status = ItemClosed
	default:
		l.Add("DIST_ORDER_INVALID_STATUS", "Status %q of an item is not valid. It is DISTRIBUTED or DISTRIBUTED_AND_CLOSED.", item.Status)
	}
}
