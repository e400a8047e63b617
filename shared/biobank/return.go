package biobank

import (
	"cmp"
	"context"
	"slices"

	"aliquot/shared/fault"
)

// ReturnDraft takes specimens of an executed order back (20.2). The order is found by ID, else Name. What comes back is
// available again, and a specimen that the order closed is open.
type ReturnDraft struct {
	ID      int64
	Name    string
	Returns []SpecimenReturn
}

// SpecimenReturn is a specimen that comes back.
type SpecimenReturn struct {
	Specimen SpecimenRef
	Quantity *Quantity
	// User is who took it back, the caller when not sent; Time is when, now when 0.
	User     UserRef
	Time     int64
	Comments string
	// Location is where the specimen is stored again; nil leaves it where it is.
	Location *LocationRef
	// Thawed counts one more freeze/thaw cycle.
	Thawed bool
}

func (*ReturnDraft) recordType() Type { return Order }

func (d *ReturnDraft) want(_ context.Context, b *Batch, c *Change) error {
	b.wantMember(c, Order, d.ID, d.Name, orderMark)
	return nil
}

func (d *ReturnDraft) read(_ context.Context, b *Batch, c *Change) error {
	b.wantMemberRec(c, d.Name, orderMark)
	return nil
}

func (d *ReturnDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	rec, order, err := member[OrderDoc](ctx, b, c, Order, d.ID, d.Name, orderMark, uniqueOrder)
	if err != nil {
		return err
	}
	_, dp, err := b.distribution(ctx, DistributionRef{ID: order.DistributionID})
	if err != nil {
		return err
	}
	if !b.actor.distributes(ResOrder, OpUpdate, &dp) {
		return denied("take back specimens of orders of distribution protocol " + b.actor.callsDistribution(order.DistributionID, &dp))
	}
	apart, err := order.load(ctx, b, rec)
	if err != nil {
		return err
	}
	refs := make([]SpecimenRef, len(d.Returns))
	for i := range d.Returns {
		refs[i] = d.Returns[i].Specimen
	}
	recs, err := b.specimens(ctx, refs)
	if err != nil {
		return err
	}
	var l fault.List
	order.Items = slices.Clone(order.Items)
	for i := range d.Returns {
		if recs[i] == nil {
			l.Add("DIST_ORDER_SPECIMEN_DOES_NOT_EXIST", "Specimen %s was not found.", refs[i])
		} else if err := d.take(ctx, b, c, &l, rec.ID, &order, recs[i], &d.Returns[i]); err != nil {
			return err
		}
	}
	if len(l) > 0 {
		return l
	}
	if err := order.save(b, c, Order, rec.ID, apart); err != nil {
		return err
	}
	o.Record = rec
	return b.change(c, rec, &order, o)
}

// take plans the return of one specimen.
func (d *ReturnDraft) take(ctx context.Context, b *Batch, c *Change, l *fault.List, id int64, order *OrderDoc, rec *Record, back *SpecimenReturn) error {
	doc, err := Decode[SpecimenDoc](rec)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(order.Items, func(item OrderItem) bool { return item.SpecimenID == rec.ID })
	if i < 0 || order.Status != OrderExecuted {
		l.Add("DIST_ORDER_NOT_DISTRIBUTED", "Specimen %q was not distributed by order %q.", doc.Label, order.Name)
		return nil
	}
	item := &order.Items[i]
	switch {
	case item.Status == ItemReturned:
		l.Add("DIST_ORDER_SPECIMEN_ALREADY_RETURNED", "Specimen %q was returned already.", doc.Label)
		return nil
	case back.Quantity == nil && item.Quantity != nil:
		l.Add("DIST_ORDER_RETURN_QTY_REQ", "Give the quantity of specimen %q that is returned.", doc.Label)
		return nil
	case back.Quantity != nil && (*back.Quantity < 0 || item.Quantity == nil || *back.Quantity > *item.Quantity):
		l.Add("DIST_ORDER_INVALID_RETURN_QUANTITY", "Of specimen %q no more can be returned than was distributed.", doc.Label)
		return nil
	}
	tooLong(l, "Comments", back.Comments, 4000)
	was := Return{Quantity: back.Quantity, UserID: b.actor.ID, Time: cmp.Or(back.Time, b.at), Comments: back.Comments}
	if back.User.Sent() && !back.User.Clear {
		if err := told(l, assign(&was.UserID)(b.userID(ctx, back.User, "USER_NOT_FOUND"))); err != nil {
			return err
		}
	}
	closed := item.Status == ItemClosed // by the order; what a person closed since stays closed
	item.Status, item.Returned = ItemReturned, &was

	held := doc.Held()
	held.Orders = slices.DeleteFunc(held.Orders, func(o int64) bool { return o == id })
	if closed && held.Spent && doc.ActivityStatus == StatusClosed {
		doc.ActivityStatus = StatusActive
	}
	held.Spent = false
	doc.hold(held)
	if doc.AvailableQty != nil && back.Quantity != nil {
		there := *doc.AvailableQty + *back.Quantity
		if doc.InitialQty != nil {
			there = min(there, max(*doc.InitialQty, *doc.AvailableQty))
		}
		doc.AvailableQty = &there
	}
	if back.Location != nil && !back.Location.None() {
		cp, err := b.protocolAt(ctx, rec.Key)
		if err != nil {
			return err
		}
		was, who := doc, occupantRef{Specimen, rec.Key, rec.ID, []*Location{doc.Location, doc.CheckedOut}}
		s := &SpecimenDraft{Move: MoveRef{By: back.User, At: back.Time, Comments: back.Comments}}
		if err := told(l, s.put(ctx, b, c, cp, &doc, back.Location, who)); err != nil {
			return err
		}
		if err := b.left(ctx, who, &was, &doc); err != nil {
			return err
		}
	}
	if back.Thawed {
		doc.FreezeThawCycles++
	}
	return b.changeBelow(c, rec, &doc)
}
