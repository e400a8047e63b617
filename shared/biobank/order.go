package biobank

import (
	"context"
	"fmt"
	"slices"
	"time"

	"aliquot/shared/fault"
)

// OrderDoc is an order of specimens for a distribution protocol (reference openspecimen-rest.md 20.2).
//
// A pending order may be changed at will; executed it stays as it is, but for what is returned. To execute it gives its
// specimens out: the available quantities are lowered, and where nothing shall be left the specimens are closed. That is
// one transaction for a few specimens. More are given out in groups, in the order of the items, and each transaction also
// counts them in Given: so none is given out twice, whoever executes the order again after a crash goes on where it
// ended, and the status moves last.
type OrderDoc struct {
	Name           string `json:"name"`
	DistributionID int64  `json:"dpId"`
	Requester      int64  `json:"requester"`
	SiteID         int64  `json:"siteId,omitempty"`
	Distributor    int64  `json:"distributor,omitempty"`
	CreatedOn      int64  `json:"creationDate"`            // epoch ms
	ExecutedOn     int64  `json:"executionDate,omitempty"` // epoch ms
	Status         string `json:"status"`
	TrackingURL    string `json:"trackingUrl,omitempty"`
	Comments       string `json:"comments,omitempty"`
	// CheckOut keeps the cells that the specimens leave when the order is executed.
	CheckOut bool `json:"checkout,omitempty"`
	Lines[OrderItem]
	// Given is how many of the items have been given out.
	Given          int        `json:"given,omitempty"`
	Extension      *Extension `json:"extension,omitempty"`
	ActivityStatus string     `json:"activityStatus"`
}

// OrderItem is a specimen of an order.
type OrderItem struct {
	ID         int64     `json:"id"`
	SpecimenID int64     `json:"specimenId"`
	Quantity   *Quantity `json:"quantity,omitempty"`
	Cost       *Quantity `json:"cost,omitempty"`
	Label      string    `json:"label,omitempty"`
	Status     string    `json:"status"`
	// Holding is where the specimen goes when the order is executed; a container without a cell asks for the next free one.
	Holding  *Location `json:"holding,omitempty"`
	Returned *Return   `json:"returned,omitempty"`
}

// Return tells what came back of an item.
type Return struct {
	Quantity *Quantity `json:"quantity,omitempty"`
	UserID   int64     `json:"userId"`
	Time     int64     `json:"time"` // epoch ms
	Comments string    `json:"comments,omitempty"`
}

// The states of orders and of their items.
const (
	OrderPending  = "PENDING"
	OrderExecuted = "EXECUTED"

	ItemDistributed = "DISTRIBUTED"
	ItemClosed      = "DISTRIBUTED_AND_CLOSED"
	ItemReturned    = "RETURNED"
)

func orderMark(name string) string { return "order.name#" + Fold(name) }

var uniqueOrder = &unique{"DIST_ORDER_DUP_NAME", "An order with the same name, %q, exists already.", func(r *Record, v string) (bool, error) {
	d, err := Decode[OrderDoc](r)
	return Fold(d.Name) == Fold(v) && d.ActivityStatus != StatusDisabled, err
}}

// OrderDraft is found by ID. Without Merge it replaces the order whole; with Merge it changes what Merge does, to an order
// whose items have been read. An order is written by Distribute, a removal by Remove.
type OrderDraft struct {
	ID                     int64
	DP                     DistributionRef
	Requester, Distributor UserRef
	Site                   *string // nil: that of the distribution protocol
	Items                  []OrderLine
	// KeepItems keeps the stored items, to which Items are added.
	KeepItems bool
	// AllReserved adds what is reserved for the distribution protocol, Cart the specimens of a cart (0: none).
	AllReserved bool
	Cart        int64
	// AllAvailable gives out all there is of items without a quantity.
	AllAvailable bool
	Doc          OrderDoc
	Merge        func(*OrderDoc)
	Extension    *ExtensionDraft // nil: not sent

	// checked tells that all items were checked by an earlier round of the same request: what comes next is enough.
	checked bool
}

// OrderLine asks for a specimen.
type OrderLine struct {
	Specimen       SpecimenRef
	Quantity, Cost *Quantity
	Label, Status  string
	Holding        *LocationRef
	// implied lines come of a cart or a reservation: one that is named, too, counts once.
	implied bool
}

func (*OrderDraft) recordType() Type { return Order }

func (d *OrderDraft) want(_ context.Context, b *Batch, c *Change) error {
	b.wantMember(c, Order, d.ID, "", orderMark)
	return nil
}

func (d *OrderDraft) read(_ context.Context, b *Batch, c *Change) error {
	if c.Op != Create {
		b.wantRec(SetKey(linesType(Order), d.ID))
	}
	return nil
}

func (d *OrderDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	rec, was, err := member[OrderDoc](ctx, b, c, Order, d.ID, "", orderMark, uniqueOrder)
	if err != nil {
		return err
	}
	apart, err := was.load(ctx, b, rec)
	if err != nil {
		return err
	}
	is := d.Doc
	if d.Merge != nil {
		is = was
	}
	is.Lines, is.Given, is.CreatedOn, is.DistributionID = was.Lines, was.Given, was.CreatedOn, was.DistributionID
	is.Items = slices.Clone(was.Items)
	if d.Merge != nil {
		d.Merge(&is)
	}
	var l fault.List
	dpID, dp, err := d.mayWrite(ctx, b, rec, &was, &is)
	if err != nil {
		return err
	}
	is.DistributionID = dpID
	switch {
	case was.Status == OrderExecuted && gone(is.ActivityStatus):
		return fault.New("DIST_ORDER_CANT_DELETE_EXEC_ORDER", "Order %q was executed and cannot be deleted.", was.Name)
	case was.Status == OrderExecuted:
		return fault.New("DIST_ORDER_ALREADY_EXECUTED", "Order %q was executed and cannot be changed.", was.Name)
	case rec != nil && gone(is.ActivityStatus):
		if was.Given > 0 {
			return fault.New("DIST_ORDER_CANT_DELETE_EXEC_ORDER", "Order %q is being executed and cannot be deleted.", was.Name)
		}
		if was.Apart {
			was.Items = nil // kept where they lie
		}
		return b.retire(ctx, c, o, rec, &was, &was.ActivityStatus, freed{&was.Name, 255, orderMark})
	}
	if err := d.check(ctx, b, &l, rec, &was, &is, &dp); err != nil {
		return err
	}
	if len(l) > 0 {
		return l
	}
	if err := d.choose(ctx, b, &l, &was, &is, &dp); err != nil {
		return err
	}
	if len(l) > 0 {
		return l
	}
	return d.write(ctx, b, c, o, rec, apart, &was, &is)
}

// mayWrite finds the distribution protocol of the order and checks the right to write orders of it.
func (d *OrderDraft) mayWrite(ctx context.Context, b *Batch, rec *Record, was, is *OrderDoc) (int64, DistributionDoc, error) {
	op := OpUpdate
	switch {
	case rec == nil:
		op = OpCreate
	case gone(is.ActivityStatus):
		op = OpDelete
	}
	if rec != nil {
		_, dp, err := b.distribution(ctx, DistributionRef{ID: was.DistributionID})
		if err != nil {
			return 0, dp, err
		}
		if !b.actor.distributes(ResOrder, op, &dp) {
			return 0, dp, denied("change orders of distribution protocol " + b.actor.callsDistribution(was.DistributionID, &dp))
		}
		if d.Merge != nil {
			return was.DistributionID, dp, nil
		}
	}
	if !d.DP.Sent() {
		return 0, DistributionDoc{}, fault.New("DIST_ORDER_DP_REQUIRED", "Give the distribution protocol of the order.")
	}
	found, dp, err := b.distribution(ctx, d.DP)
	if err != nil {
		return 0, dp, err
	}
	if !b.actor.distributes(ResOrder, op, &dp) {
		return 0, dp, denied("write orders of distribution protocol " + b.actor.callsDistribution(found.ID, &dp))
	}
	return found.ID, dp, nil
}

// check holds the rules of the order itself and resolves the people and the site that it names.
func (d *OrderDraft) check(ctx context.Context, b *Batch, l *fault.List, rec *Record, was, is *OrderDoc, dp *DistributionDoc) error {
	cannotBegin(l, is.ActivityStatus)
	status(l, &is.ActivityStatus)
	if is.Name == "" {
		l.Add("DIST_ORDER_NAME_REQUIRED", "Give the name of the order.")
	}
	tooLong(l, "Name", is.Name, 255)
	tooLong(l, "Tracking URL", is.TrackingURL, 2000)
	tooLong(l, "Comments", is.Comments, 4000)
	switch Fold(is.Status) {
	case "pending":
		is.Status = OrderPending
	case "executed":
		is.Status = OrderExecuted
	default:
		l.Add("DIST_ORDER_INVALID_STATUS", "Status %q is not valid. It is PENDING or EXECUTED.", is.Status)
	}
	dp.usable(l, b.now())
	if rec == nil {
		is.CreatedOn = b.at
	}
	form := func() (*Form, error) { return b.orderForm(ctx, dp) }
	if err := extendBy(l, OrderFields, form, was.Extension, &is.Extension, d.Extension, true); err != nil {
		return err
	}
	if d.Merge != nil {
		return nil
	}
	if !d.Requester.Sent() || d.Requester.Clear {
		l.Add("DIST_ORDER_REQUESTER_REQ", "Give the requester of the order.")
	}
	if err := told(l, assign(&is.Requester)(b.userID(ctx, d.Requester, "USER_NOT_FOUND"))); err != nil {
		return err
	}
	if err := told(l, assign(&is.Distributor)(b.userID(ctx, d.Distributor, "USER_NOT_FOUND"))); err != nil {
		return err
	}
	if d.Site == nil {
		is.SiteID = dp.ReceivingSiteID
	} else if err := told(l, assign(&is.SiteID)(b.siteID(ctx, *d.Site))); err != nil {
		return err
	}
	if is.Status == OrderExecuted {
		if is.Distributor == 0 {
			is.Distributor = b.actor.ID
		}
		if is.ExecutedOn == 0 {
			is.ExecutedOn = b.at
		}
	}
	return nil
}

// orderForm is the form of the custom fields of orders of a distribution protocol: its own, else that of all orders; nil
// where there is none.
func (b *Batch) orderForm(ctx context.Context, dp *DistributionDoc) (*Form, error) {
	if dp.OrderForm != 0 {
		return b.form(ctx, dp.OrderForm)
	}
	return b.customForm(ctx, OrderFields, nil)
}

// OrderForm is the form of the custom fields of orders of a distribution protocol that the actor may see, nil where there
// is none.
func (r *Registry) OrderForm(ctx context.Context, a *Actor, dp int64) (*Form, error) {
	rec, err := r.Get(ctx, a, DistributionProtocol, dp)
	if err != nil {
		return nil, err
	}
	doc, err := Decode[DistributionDoc](rec)
	if err != nil {
		return nil, err
	}
	return r.newBatch(a, time.Time{}).orderForm(ctx, &doc)
}

// write plans the order, its items, and what its execution does to the next specimens.
func (d *OrderDraft) write(ctx context.Context, b *Batch, c *Change, o *Outcome, rec, apart *Record, was, is *OrderDoc) error {
	id := d.ID
	if rec == nil {
		var err error
		if id, err = b.memberID(ctx, c, Order, 0); err != nil {
			return err
		}
	}
	if is.Status == OrderExecuted {
		next := is.Items[is.Given:min(len(is.Items), is.Given+together)]
		for i := range next {
			if err := b.give(ctx, c, &next[i], id, is); err != nil {
				return err
			}
		}
		if is.Given += len(next); is.Given < len(is.Items) {
			is.Status = OrderPending
		}
	}
	if err := is.save(b, c, Order, id, apart); err != nil {
		return err
	}
	if rec == nil {
		key := SetKey(Order, id)
		b.claim(c, uniqueOrder, is.Name, orderMark(is.Name), key, id, "")
		return b.insert(c, Order, key, id, is, o)
	}
	if err := b.reclaim(ctx, c, uniqueOrder, was.Name, is.Name, orderMark, rec); err != nil {
		return err
	}
	return b.change(c, rec, is, o)
}

// give plans what an executed item does to its specimen.
func (b *Batch) give(ctx context.Context, c *Change, item *OrderItem, order int64, is *OrderDoc) error {
	rec := b.recs[b.marks[IDMark(Specimen, item.SpecimenID)].To]
	doc, err := Decode[SpecimenDoc](rec)
	if err != nil {
		return err
	}
	held := doc.Held()
	if doc.AvailableQty != nil && item.Quantity != nil {
		left := max(0, *doc.AvailableQty-*item.Quantity)
		doc.AvailableQty = &left
		held.Spent = left == 0
	}
	if item.Status == ItemClosed {
		doc.ActivityStatus, held.Spent = StatusClosed, true
		if err := b.unstore(ctx, rec, &doc); err != nil {
			return err
		}
		doc.Disposal = &DisposalEvent{Time: is.ExecutedOn, UserID: is.Distributor, Reason: "Distributed", Comments: "Order " + is.Name}
	}
	if doc.ActivityStatus != StatusClosed {
		if err := b.hold(ctx, c, item, is, rec, &doc); err != nil {
			return err
		}
	}
	if !slices.Contains(held.Orders, order) {
		held.Orders = append(held.Orders, order)
	}
	if held.ReservedFor != 0 {
		held.ReservedFor = 0
		if err := b.release(ctx, reservedMark(is.DistributionID, rec.ID), rec.Key); err != nil {
			return err
		}
	}
	doc.hold(held)
	return b.changeBelow(c, rec, &doc)
}

// Distribute creates or changes an order for a person; an execution goes on until all its specimens are given out. All are
// checked before the first is: a fault of one means that nothing was written. What others do meanwhile can still stop it
// half-way; the order is then pending, and the same request goes on with what is left.
func (r *Registry) Distribute(ctx context.Context, a *Actor, at time.Time, c Change) (*Record, error) {
	d := *c.Draft.(*OrderDraft)
	c.Draft = &d
	for {
		rec, err := r.one(ctx, a, at, c)
		if err != nil {
			return nil, err
		}
		doc, err := Decode[OrderDoc](rec)
		if err != nil {
			return nil, err
		}
		if Fold(d.Doc.Status) != Fold(OrderExecuted) || doc.Status == OrderExecuted {
			return rec, nil
		}
		c.Op, c.ByID = Update, true
		d.ID, d.Items, d.KeepItems, d.AllReserved, d.Cart, d.checked = rec.ID, nil, true, false, 0, true
	}
}

// givers are the distribution protocols that decide who sees orders.
type givers map[int64]DistributionDoc

// givers reads the distribution protocols of the orders among records.
func (r *Registry) givers(ctx context.Context, recs ...*Record) (givers, error) {
	var keys []Key
	for _, rec := range recs {
		if rec.Type != Order {
			continue
		}
		doc, err := Decode[OrderDoc](rec)
		if err != nil {
			return nil, err
		}
		keys = append(keys, SetKey(DistributionProtocol, doc.DistributionID))
	}
	if len(keys) == 0 {
		return nil, nil
	}
	found, err := r.Store.Records(ctx, dedupe(keys), true)
	if err != nil {
		return nil, fmt.Errorf("read distribution protocols: %w", err)
	}
	all := givers{}
	for _, rec := range found {
		if all[rec.ID], err = Decode[DistributionDoc](rec); err != nil {
			return nil, err
		}
	}
	return all, nil
}
