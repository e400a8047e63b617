package biobank

import (
	"cmp"
	"context"
	"slices"
	"time"

	"aliquot/shared/fault"
)

// ShipmentDoc is a shipment of specimens, or of containers with what lies in them, from one site to another (reference
// openspecimen-rest.md 20.3).
//
// Sites, items and notified users change while it is pending. When it is received its specimens get the receiving site and
// the quality in which they came, and leave the containers that they lay in; its containers leave what they lay in and are
// the receiving site's. That goes in groups, each in one transaction with the count in Got, and the status moves last.
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

// The states of shipments, and of requests for one.
const (
	ShipmentOfSpecimens  = "SPECIMEN"
	ShipmentOfContainers = "CONTAINER"

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
	// Specimens or Containers are what is shipped, as the type says.
	Specimens, Containers []ShipmentLine
	Doc                   ShipmentDoc
	Merge                 func(*ShipmentDoc)

	// again tells that this is not the first round of a request.
	again bool
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
	if rec != nil && !b.actor.ships(OpRead, &was) { // first: a refusal of what is sent tells what the shipment is
		return denied("see this shipment")
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
	case "container":
		is.Type = ShipmentOfContainers
	default:
		l.Add("SHIPMENT_INVALID_TYPE", "Type %q is not valid. It is SPECIMEN or CONTAINER.", is.Type)
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
		arrive := b.arriveSpecimens
		if is.Type == ShipmentOfContainers {
			arrive = b.arriveContainers
		}
		if err := arrive(ctx, c, next, id, is.ReceivingSiteID, was.Status == ShipmentReceived); err != nil {
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
