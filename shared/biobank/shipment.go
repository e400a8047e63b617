package biobank

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"aliquot/shared/fault"
)

// ShipmentDoc is a shipment of specimens from one site to another (reference openspecimen-rest.md 20.3).
//
// Sites, items and notified users change while it is pending. When it is received its specimens get the receiving site and
// the quality in which they came, and leave the containers that they lay in: in groups, each in one transaction with the
// count in Got, and the status moves last.
type ShipmentDoc struct {
	Name              string  `json:"name"`
	Type              string  `json:"type"`
	Status            string  `json:"status"`
	SendingSiteID     int64   `json:"sendingSite"`
	ReceivingSiteID   int64   `json:"receivingSite"`
	ShippedOn         int64   `json:"shippedDate,omitempty"` // epoch ms, as all its dates
	Sender            int64   `json:"sender,omitempty"`
	SenderComments    string  `json:"senderComments,omitempty"`
	ReceivedOn        int64   `json:"receivedDate,omitempty"`
	Receiver          int64   `json:"receiver,omitempty"`
	ReceiverComments  string  `json:"receiverComments,omitempty"`
	Courier           string  `json:"courierName,omitempty"`
	TrackingNumber    string  `json:"trackingNumber,omitempty"`
	TrackingURL       string  `json:"trackingUrl,omitempty"`
	Notify            []int64 `json:"notifyUsers,omitempty"`
	Request           bool    `json:"request,omitempty"`
	RequestStatus     string  `json:"requestStatus,omitempty"`
	Requester         int64   `json:"requester,omitempty"`
	RequestedOn       int64   `json:"requestDate,omitempty"`
	RequesterComments string  `json:"requesterComments,omitempty"`
	CreatedOn         int64   `json:"creationDate"`
	Lines[ShipmentItem]
	// Got is how many of the items have been told that they are received.
	Got            int    `json:"got,omitempty"`
	ActivityStatus string `json:"activityStatus"`
}

// ShipmentItem is a specimen of a shipment.
type ShipmentItem struct {
	ID         int64  `json:"id"`
	SpecimenID int64  `json:"specimenId"`
	Quality    string `json:"receivedQuality,omitempty"`
}

// The states of shipments, and of requests for one.
const (
	ShipmentOfSpecimens = "SPECIMEN"

	ShipmentPending  = "Pending"
	ShipmentShipped  = "Shipped"
	ShipmentReceived = "Received"

	RequestPending  = "Pending"
	RequestAccepted = "Accepted"
	RequestRejected = "Rejected"
)

func shipmentMark(name string) string { return "shipment.name#" + Fold(name) }

var uniqueShipment = &unique{"SHIPMENT_DUP_NAME", "A shipment with the same name, %q, exists already.", func(r *Record, v string) (bool, error) {
	d, err := Decode[ShipmentDoc](r)
	return Fold(d.Name) == Fold(v) && d.ActivityStatus != StatusDisabled, err
}}

// ships tells whether the actor holds a right about a shipment, at the site that sends or at the one that receives it.
func (a *Actor) ships(op Operation, d *ShipmentDoc) bool {
	return a.HoldsAt(ResShipping, op, d.SendingSiteID) || a.HoldsAt(ResShipping, op, d.ReceivingSiteID)
}

// ShipmentDraft is found by ID. Without Merge it replaces the shipment whole, as far as its status lets it. A shipment is
// written by Ship, a removal by Remove.
type ShipmentDraft struct {
	ID                          int64
	SendingSite, ReceivingSite  string
	Sender, Receiver, Requester UserRef
	Notify                      []UserRef
	Items                       []ShipmentLine
	Doc                         ShipmentDoc
	Merge                       func(*ShipmentDoc)

	// again tells that this is not the first round of a request.
	again bool
}

// ShipmentLine asks for a specimen, or tells in which quality it came.
type ShipmentLine struct {
	Specimen SpecimenRef
	Quality  string
}

func (*ShipmentDraft) recordType() Type { return Shipment }

func (d *ShipmentDraft) want(_ context.Context, b *Batch, c *Change) error {
	b.wantMember(c, Shipment, d.ID, "", shipmentMark)
	return nil
}

func (d *ShipmentDraft) read(_ context.Context, b *Batch, c *Change) error {
	if c.Op != Create {
		b.wantRec(SetKey(linesType(Shipment), d.ID))
	}
	return nil
}

func (d *ShipmentDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	rec, was, err := member[ShipmentDoc](ctx, b, c, Shipment, d.ID, "", shipmentMark, uniqueShipment)
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
		d.Merge(&is)
	} else {
		is.Lines, is.Got, is.CreatedOn = was.Lines, was.Got, was.CreatedOn
		is.RequestStatus, is.Request, is.RequestedOn = was.RequestStatus, d.Doc.Request || was.Request, was.RequestedOn
	}
	is.Items = slices.Clone(was.Items)
	if d.Merge != nil && !gone(is.ActivityStatus) && was.Status != ShipmentPending {
		return fault.New("SHIPMENT_STATUS_CHANGE_NOT_ALLOWED", "Shipment %q has left.", was.Name)
	}
	if rec != nil && gone(is.ActivityStatus) {
		return d.remove(ctx, b, c, o, rec, &was)
	}
	var l fault.List
	if err := d.check(ctx, b, &l, rec, &was, &is); err != nil || len(l) > 0 {
		return cmp.Or(err, l.Err())
	}
	if err := d.mayWrite(b, rec, &was, &is); err != nil {
		return err
	}
	if d.Merge == nil {
		if err := d.items(ctx, b, &l, &was, &is); err != nil || len(l) > 0 {
			return cmp.Or(err, l.Err())
		}
	}
	return d.write(ctx, b, c, o, rec, apart, &was, &is)
}

// remove plans the deletion of a shipment that has not left.
func (d *ShipmentDraft) remove(ctx context.Context, b *Batch, c *Change, o *Outcome, rec *Record, was *ShipmentDoc) error {
	if !b.actor.HoldsAt(ResShipping, OpDelete, was.SendingSiteID) {
		return denied("delete shipments of the sending site")
	}
	if was.Status != ShipmentPending {
		return fault.New("SHIPMENT_STATUS_CHANGE_NOT_ALLOWED", "Shipment %q has left and cannot be deleted.", was.Name)
	}
	if was.Apart {
		was.Items = nil // kept where they lie
	}
	return b.retire(ctx, c, o, rec, was, &was.ActivityStatus, freed{&was.Name, 255, shipmentMark})
}

// check holds the rules of the shipment itself and resolves the sites and people that it names.
func (d *ShipmentDraft) check(ctx context.Context, b *Batch, l *fault.List, rec *Record, was, is *ShipmentDoc) error {
	cannotBegin(l, is.ActivityStatus)
	status(l, &is.ActivityStatus)
	if is.Name == "" {
		l.Add("SHIPMENT_NAME_REQUIRED", "Give the name of the shipment.")
	}
	for _, t := range []struct {
		noun, text string
		most       int
	}{
		{"Name", is.Name, 255},
		{"Courier", is.Courier, 255},
		{"Tracking number", is.TrackingNumber, 255},
		{"Tracking URL", is.TrackingURL, 2000},
		{"Sender's comments", is.SenderComments, 4000},
		{"Receiver's comments", is.ReceiverComments, 4000},
		{"Requester's comments", is.RequesterComments, 4000},
	} {
		tooLong(l, t.noun, t.text, t.most)
	}
	switch Fold(is.Type) {
	case "":
		is.Type = cmp.Or(was.Type, ShipmentOfSpecimens)
	case "specimen":
		is.Type = ShipmentOfSpecimens
	default:
		l.Add("SHIPMENT_INVALID_TYPE", "Type %q is not valid. Shipments of type SPECIMEN are supported.", is.Type)
	}
	if rec != nil && is.Type != was.Type && len(*l) == 0 {
		l.Add("SHIPMENT_CANNOT_CHG_TYPE", "The type of a shipment cannot be changed.")
	}
	d.turn(l, was, is)
	if rec == nil {
		is.CreatedOn = b.at
	}
	if d.Merge != nil {
		return nil
	}
	if was.Status == "" || was.Status == ShipmentPending {
		if err := d.ends(ctx, b, l, is); err != nil {
			return err
		}
	} else {
		is.SendingSiteID, is.ReceivingSiteID, is.Notify = was.SendingSiteID, was.ReceivingSiteID, was.Notify
	}
	return d.people(ctx, b, l, was, is)
}

// turn checks the change of status.
func (d *ShipmentDraft) turn(l *fault.List, was, is *ShipmentDoc) {
	switch Fold(is.Status) {
	case "pending":
		is.Status = ShipmentPending
	case "shipped":
		is.Status = ShipmentShipped
	case "received":
		is.Status = ShipmentReceived
	default:
		l.Add("SHIPMENT_INVALID_STATUS", "Status %q is not valid. It is Pending, Shipped or Received.", is.Status)
		return
	}
	allowed := d.Merge != nil
	switch was.Status {
	case "", ShipmentPending:
		allowed = allowed || is.Status != ShipmentReceived
	case ShipmentShipped, ShipmentReceived:
		allowed = allowed || is.Status == ShipmentReceived
	}
	if !allowed || is.Status == ShipmentShipped && is.RequestStatus == RequestRejected {
		l.Add("SHIPMENT_STATUS_CHANGE_NOT_ALLOWED", "A shipment that is %s cannot become %s.", cmp.Or(was.Status, "new"), is.Status)
	}
}

// ends resolves the sites and the people to be told.
func (d *ShipmentDraft) ends(ctx context.Context, b *Batch, l *fault.List, is *ShipmentDoc) error {
	if d.SendingSite == "" {
		l.Add("SHIPMENT_SEND_SITE_REQUIRED", "Give the sending site.")
	}
	if d.ReceivingSite == "" {
		l.Add("SHIPMENT_RECV_SITE_REQUIRED", "Give the receiving site.")
	}
	if err := told(l, assign(&is.SendingSiteID)(b.siteID(ctx, d.SendingSite))); err != nil {
		return err
	}
	if err := told(l, assign(&is.ReceivingSiteID)(b.siteID(ctx, d.ReceivingSite))); err != nil {
		return err
	}
	ids, err := b.userIDs(ctx, l, d.Notify, "USER_NOT_FOUND")
	is.Notify = dedupe(ids)
	return err
}

// people resolves who sent, received and requested the shipment; what is not told when it happens is the caller, and now.
func (d *ShipmentDraft) people(ctx context.Context, b *Batch, l *fault.List, was, is *ShipmentDoc) error {
	for _, p := range []struct {
		ref  UserRef
		into *int64
		kept int64
	}{{d.Sender, &is.Sender, was.Sender}, {d.Receiver, &is.Receiver, was.Receiver}, {d.Requester, &is.Requester, was.Requester}} {
		if *p.into = p.kept; p.ref.Sent() && !p.ref.Clear {
			if err := told(l, assign(p.into)(b.userID(ctx, p.ref, "USER_NOT_FOUND"))); err != nil {
				return err
			}
		}
	}
	is.ShippedOn, is.ReceivedOn = cmp.Or(is.ShippedOn, was.ShippedOn), cmp.Or(is.ReceivedOn, was.ReceivedOn)
	switch is.Status {
	case ShipmentShipped:
		is.Sender, is.ShippedOn = cmp.Or(is.Sender, b.actor.ID), cmp.Or(is.ShippedOn, b.at)
	case ShipmentReceived:
		is.Receiver, is.ReceivedOn = cmp.Or(is.Receiver, b.actor.ID), cmp.Or(is.ReceivedOn, b.at)
	}
	if is.Request && is.RequestStatus == "" {
		is.RequestStatus, is.Requester, is.RequestedOn = RequestPending, cmp.Or(is.Requester, b.actor.ID), b.at
	}
	return nil
}

// mayWrite checks the rights: to send is for the sending site, to receive and to request for the receiving one.
func (d *ShipmentDraft) mayWrite(b *Batch, rec *Record, was, is *ShipmentDoc) error {
	may := func(op Operation, site int64) bool { return b.actor.HoldsAt(ResShipping, op, site) }
	ok := false
	switch {
	case rec == nil:
		ok = may(OpCreate, is.SendingSiteID) || is.Request && is.Status == ShipmentPending && may(OpCreate, is.ReceivingSiteID)
	case is.Status == ShipmentReceived:
		ok = may(OpUpdate, is.ReceivingSiteID)
	default:
		ok = may(OpUpdate, was.SendingSiteID) && may(OpUpdate, is.SendingSiteID) ||
			was.Request && was.Requester == b.actor.ID && is.Status == ShipmentPending && d.Merge == nil && may(OpUpdate, is.ReceivingSiteID)
	}
	if !ok {
		return denied("write this shipment")
	}
	return nil
}

// items takes the items that were sent, or checks those of a shipment that comes in.
func (d *ShipmentDraft) items(ctx context.Context, b *Batch, l *fault.List, was, is *ShipmentDoc) error {
	if len(d.Items) > MaxLines {
		l.Add("COMMON_INVALID_INPUT", "The shipment names %d specimens; at most %d are possible.", len(d.Items), MaxLines)
		return nil
	}
	if is.Status == ShipmentReceived {
		return d.received(ctx, b, l, is)
	}
	refs := make([]SpecimenRef, len(d.Items))
	for i := range d.Items {
		refs[i] = d.Items[i].Specimen
	}
	recs, err := b.specimens(ctx, refs)
	if err != nil {
		return err
	}
	kept := map[int64]int64{}
	for _, item := range was.Items {
		kept[item.SpecimenID] = item.ID
	}
	is.Items = nil
	has, fresh := map[int64]bool{}, 0
	for i, rec := range recs {
		if rec == nil {
			l.Append(missing(Specimen, refs[i]))
			continue
		}
		doc, err := Decode[SpecimenDoc](rec)
		if err != nil {
			return err
		}
		switch {
		case has[rec.ID]:
			l.Add("SHIPMENT_DUPLICATE_SPECIMENS", "Specimen %q is named twice.", doc.Label)
		case doc.Status != Collected || doc.ActivityStatus != StatusActive:
			l.Add("SHIPMENT_INVALID_SPECIMENS", "Specimen %q is closed or was not collected; it cannot be shipped.", doc.Label)
		}
		has[rec.ID] = true
		if kept[rec.ID] == 0 {
			fresh++
		}
		is.Items = append(is.Items, ShipmentItem{ID: kept[rec.ID], SpecimenID: rec.ID})
	}
	if is.Status == ShipmentShipped && len(is.Items) == 0 {
		l.Add("SHIPMENT_NO_SPECIMENS_TO_SHIP", "The shipment has no specimens.")
	}
	if fresh == 0 || len(*l) > 0 {
		return nil
	}
	next, err := b.store.Reserve(ctx, "shipment.item", int64(fresh))
	if err != nil {
		return fmt.Errorf("draw ids of items: %w", err)
	}
	for i := range is.Items {
		if is.Items[i].ID == 0 {
			is.Items[i].ID = next
			next++
		}
	}
	return nil
}

// received checks that exactly what was shipped is named, each with its quality. Who receives need not have the right to
// see the specimens.
func (d *ShipmentDraft) received(ctx context.Context, b *Batch, l *fault.List, is *ShipmentDoc) error {
	for i := range d.Items {
		if d.Items[i].Specimen.ID == 0 {
			b.wantMark(d.Items[i].Specimen.mark())
		}
	}
	if err := b.readMarks(ctx); err != nil {
		return err
	}
	quality := map[int64]string{}
	for i := range d.Items {
		id, q := d.Items[i].Specimen.ID, d.Items[i].Quality
		if id == 0 {
			id = b.marks[d.Items[i].Specimen.mark()].ID
		}
		if q == "" {
			l.Add("SHIPMENT_RECV_QUALITY_REQ", "Give the quality in which specimen %s was received.", d.Items[i].Specimen)
		}
		value(l, "receive_quality", "SPECIMEN_INVALID_RECV_QUALITY", "Received Quality", &q)
		quality[id] = q
	}
	for i := range is.Items {
		q, ok := quality[is.Items[i].SpecimenID]
		if !ok || len(quality) != len(is.Items) || len(d.Items) != len(is.Items) {
			l.Add("SHIPMENT_INVALID_SHIPPED_SPECIMENS", "Name exactly the %d specimens that were shipped.", len(is.Items))
			break
		}
		is.Items[i].Quality = q
	}
	return nil
}

// write plans the shipment, its items, and what its arrival tells the next specimens.
func (d *ShipmentDraft) write(ctx context.Context, b *Batch, c *Change, o *Outcome, rec, apart *Record, was, is *ShipmentDoc) error {
	id := d.ID
	if rec == nil {
		var err error
		if id, err = b.memberID(ctx, c, Shipment, 0); err != nil {
			return err
		}
	}
	if is.Status == ShipmentReceived && d.Merge == nil {
		if was.Status == ShipmentReceived && !d.again {
			is.Got = 0 // told anew
		}
		next := is.Items[is.Got:min(len(is.Items), is.Got+together)]
		if err := b.arrive(ctx, c, next, id, is.ReceivingSiteID); err != nil {
			return err
		}
		if is.Got += len(next); is.Got < len(is.Items) {
			is.Status = was.Status
		}
	}
	if err := is.save(b, c, Shipment, id, apart); err != nil {
		return err
	}
	if rec == nil {
		key := SetKey(Shipment, id)
		b.claim(c, uniqueShipment, is.Name, shipmentMark(is.Name), key, id, "")
		return b.insert(c, Shipment, key, id, is, o)
	}
	if err := b.reclaim(ctx, c, uniqueShipment, was.Name, is.Name, shipmentMark, rec); err != nil {
		return err
	}
	return b.change(c, rec, is, o)
}

// arrive plans what the arrival of items does to their specimens; one that was deleted on the way is left alone.
func (b *Batch) arrive(ctx context.Context, c *Change, items []ShipmentItem, shipment, site int64) error {
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
		if rec == nil || doc.ActivityStatus == StatusDisabled || held.ShipmentID == shipment && held.SiteID == site && held.Quality == item.Quality {
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

// Ship creates or changes a shipment for a person; an arrival goes on until all specimens are told. Sent again after a
// crash it goes on where it ended.
func (r *Registry) Ship(ctx context.Context, a *Actor, at time.Time, c Change) (*Record, error) {
	d := *c.Draft.(*ShipmentDraft)
	c.Draft = &d
	for {
		rec, err := r.one(ctx, a, at, c)
		if err != nil {
			return nil, err
		}
		doc, err := Decode[ShipmentDoc](rec)
		if err != nil {
			return nil, err
		}
		if Fold(d.Doc.Status) != Fold(ShipmentReceived) || int64(doc.Got) == doc.Count {
			return rec, nil
		}
		d.again = true
	}
}
