package api

import (
	"cmp"
	"slices"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// Shipments of specimens and of containers (reference openspecimen-rest.md 20.3).

func shipments() noun {
	return noun{
		path: "/shipments", typ: biobank.Shipment, shows: shipmentView{ShipmentSpmns: []shippedSpecimenView{}, ShipmentContainers: []shippedContainerView{}}, gather: gatherShipments,
		view: func(r *related, rec *biobank.Record) (any, error) { return viewShipment(r, rec) },
	}
}

// shipmentSummaries is how shipments are listed: without their items.
func shipmentSummaries() noun {
	n := shipments()
	n.shows, n.counted = shipmentSummary{}, true
	n.view = func(r *related, rec *biobank.Record) (any, error) { return summarizeShipment(r, rec) }
	return n
}

func shipmentRoutes() []route {
	n := shipments()
	list := members[biobank.ShipmentDoc]{
		noun: shipmentSummaries(), start: "startAt", usual: 50, fits: fitsShipment,
		less: func(a, b *biobank.ShipmentDoc) int { return cmp.Compare(b.CreatedOn, a.CreatedOn) },
	}
	one := n.path + "/{id}"
	return append(
		list.routes(),
		getRoute(n),
		route{pattern: "POST " + n.path, summary: "Create a shipment", answers: n.shows, serve: func(c *call) (any, error) { return writeShipment(c, 0) }},
		route{pattern: "PUT " + one, summary: "Change, send or receive a shipment", answers: n.shows, serve: func(c *call) (any, error) {
			id, err := c.pathID("id")
			if err != nil {
				return nil, err
			}
			return writeShipment(c, id)
		}},
		route{pattern: "PUT " + one + "/request-status", summary: "Accept or reject the request for a shipment", answers: n.shows, serve: changeRequest},
		deleteRoute(removal{noun: n}),
		auditRoute(n),
		route{pattern: "GET " + one + "/specimens", summary: "List the specimens of a shipment", answers: []shippedSpecimenView{}, serve: listShippedSpecimens},
		route{pattern: "GET " + one + "/containers", summary: "List the containers of a shipment", answers: []shippedContainerView{}, serve: listShippedContainers},
		route{pattern: "GET " + n.path + "/containers", summary: "Find containers to ship, by name", answers: containers().list(), serve: findShippable},
		route{pattern: "GET " + one + "/report", summary: "The specimens or containers of a shipment as CSV", answers: file("application/csv"), serve: reportShipment},
	)
}

// writeShipment serves POST and PUT: id is 0 for a new shipment. sendMail is not looked at: there is no mail yet.
func writeShipment(c *call, id int64) (any, error) {
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	d := &biobank.ShipmentDraft{
		ID: id, SendingSite: in.text("sendingSite"), ReceivingSite: in.text("receivingSite"), Sender: in.userRef("sender"),
		Receiver: in.userRef("receiver"), Requester: in.userRef("requester"), Notify: in.userRefs("notifyUsers"),
		Doc: biobank.ShipmentDoc{
			Name: in.text("name"), Type: in.text("type"), Status: in.text("status"), ShippedOn: in.millis("shippedDate"),
			SenderComments: in.text("senderComments"), ReceivedOn: in.millis("receivedDate"), ReceiverComments: in.text("receiverComments"),
			Courier: in.text("courierName"), TrackingNumber: in.text("trackingNumber"), TrackingURL: in.text("trackingUrl"),
			Request: in.flag("request"), RequesterComments: in.text("requesterComments"), ActivityStatus: in.text("activityStatus"),
		},
	}
	for _, o := range in.objects("shipmentSpmns") {
		line := biobank.ShipmentLine{Quality: o.text("receivedQuality")}
		if s := o.object("specimen"); s != nil {
			line.Specimen = s.specimenNamed()
		}
		d.Specimens = append(d.Specimens, line)
	}
	for _, o := range in.objects("shipmentContainers") {
		line := biobank.ShipmentLine{Quality: o.text("receivedQuality")}
		if s := o.object("container"); s != nil {
			line.Container = biobank.LocationRef{ContainerID: s.number("id"), Name: s.text("name"), Barcode: s.text("barcode")}
		}
		d.Containers = append(d.Containers, line)
	}
	reason := in.text("opComments")
	if err := in.err(); err != nil {
		return nil, err
	}
	change := biobank.Change{Op: biobank.Create, Draft: d, ID: c.id, Reason: reason}
	if id != 0 {
		change.Op, change.ByID = biobank.Update, true
	}
	rec, err := c.api.Registry.Ship(c.Context(), c.actor, c.at, change)
	if err != nil {
		return nil, err
	}
	return c.showOne(shipments(), rec)
}

// changeRequest serves PUT /shipments/{id}/request-status with {requestStatus: Accepted, Rejected or Pending, comments}.
func changeRequest(c *call) (any, error) {
	id, in, err := c.idAndBody()
	if err != nil {
		return nil, err
	}
	sent, reason := cmp.Or(in.text("requestStatus"), in.text("status")), in.text("comments")
	if err := in.err(); err != nil {
		return nil, err
	}
	for _, status := range []string{biobank.RequestPending, biobank.RequestAccepted, biobank.RequestRejected} {
		if biobank.Fold(sent) == biobank.Fold(status) {
			return c.change(shipments(), &biobank.ShipmentDraft{ID: id, Merge: func(d *biobank.ShipmentDoc) { d.RequestStatus = status }}, reason)
		}
	}
	return nil, fault.New("SHIPMENT_INVALID_STATUS", "requestStatus %q is not valid. It is Pending, Accepted or Rejected.", sent)
}

func fitsShipment(c *call, q *query) (func(int64, *biobank.ShipmentDoc) bool, error) {
	name, from, to, inst := q.text("name"), q.text("sendingSite"), q.text("recvSite"), q.text("recvInstitute")
	state, request, holds := q.text("status"), q.text("requestStatus"), q.text("labelOrBarcode")
	if q.wrong != nil {
		return nil, q.wrong
	}
	sender, err := siteNamed(c, from)
	if err != nil {
		return nil, err
	}
	receiver, err := siteNamed(c, to)
	if err != nil {
		return nil, err
	}
	institute, err := c.instituteNamed(inst)
	if err != nil {
		return nil, err
	}
	ours, err := chosen(c, biobank.Site, inst != "", func(doc *biobank.SiteDoc) bool { return doc.InstituteID == institute })
	if err != nil {
		return nil, err
	}
	holding, err := c.shipmentsOf(holds)
	if err != nil {
		return nil, err
	}
	return func(id int64, doc *biobank.ShipmentDoc) bool {
		switch {
		case !like(doc.Name, name, false), from != "" && doc.SendingSiteID != sender, to != "" && doc.ReceivingSiteID != receiver:
		case !ours(doc.ReceivingSiteID), state != "" && biobank.Fold(doc.Status) != biobank.Fold(state):
		case request != "" && biobank.Fold(doc.RequestStatus) != biobank.Fold(request), holds != "" && !holding[id]:
		default:
			return true
		}
		return false
	}, nil
}

// shipmentsOf tells which shipments have the specimen with a label or a barcode, or the container with a name or a barcode.
// It reads the items of all.
func (c *call) shipmentsOf(labelOrBarcode string) (map[int64]bool, error) {
	if labelOrBarcode == "" {
		return nil, nil
	}
	found, err := c.api.Registry.Specimens(c.Context(), c.actor, []biobank.SpecimenRef{{Label: labelOrBarcode}, {Barcode: labelOrBarcode}})
	if err != nil {
		return nil, err
	}
	boxes, err := c.api.Registry.ContainersNamed(c.Context(), c.actor, c.at, []biobank.LocationRef{{Name: labelOrBarcode}, {Barcode: labelOrBarcode}})
	if err != nil || len(found)+len(boxes) == 0 {
		return nil, err
	}
	recs, err := c.api.Registry.Members(c.Context(), c.actor, biobank.Shipment)
	if err != nil {
		return nil, err
	}
	holding := map[int64]bool{}
	for _, rec := range recs {
		doc, err := loaded[biobank.ShipmentDoc](c, rec)
		if err != nil {
			return nil, err
		}
		for _, item := range doc.Items {
			holding[rec.ID] = holding[rec.ID] || slices.ContainsFunc(found, func(s *biobank.Record) bool { return s.ID == item.SpecimenID }) ||
				slices.ContainsFunc(boxes, func(s *biobank.Record) bool { return s.ID == item.ContainerID })
		}
	}
	return holding, nil
}

// shipmentSummary has its nulls.
type shipmentSummary struct {
	OpComments         *string       `json:"opComments"`
	ID                 int64         `json:"id"`
	Name               string        `json:"name"`
	Type               string        `json:"type"`
	Status             string        `json:"status"`
	SendingSite        *string       `json:"sendingSite"`
	SendingInstitute   *string       `json:"sendingInstitute"`
	ReceivingInstitute *string       `json:"receivingInstitute"`
	ReceivingSite      *string       `json:"receivingSite"`
	ShippedDate        *int64        `json:"shippedDate"`
	Sender             *userSummary  `json:"sender"`
	SenderComments     *string       `json:"senderComments"`
	ReceivedDate       *int64        `json:"receivedDate"`
	Receiver           *userSummary  `json:"receiver"`
	ReceiverComments   *string       `json:"receiverComments"`
	CourierName        *string       `json:"courierName"`
	TrackingNumber     *string       `json:"trackingNumber"`
	TrackingURL        *string       `json:"trackingUrl"`
	NotifyUsers        []userSummary `json:"notifyUsers"`
	Request            bool          `json:"request"`
	RequestStatus      *string       `json:"requestStatus"`
	Requester          *userSummary  `json:"requester"`
	RequestDate        *int64        `json:"requestDate"`
	RequesterComments  *string       `json:"requesterComments"`
	SpecimensCount     *int64        `json:"specimensCount"`
	ContainersCount    *int64        `json:"containersCount"`
	ActivityStatus     string        `json:"activityStatus"`
}

// count tells how much a shipment carries: one of the two counts is 0.
func (v *shipmentSummary) count(doc *biobank.ShipmentDoc) {
	none := int64(0)
	v.SpecimensCount, v.ContainersCount = &doc.Count, &none
	if doc.Type == biobank.ShipmentOfContainers {
		v.SpecimensCount, v.ContainersCount = &none, &doc.Count
	}
}

type shipmentView struct {
	shipmentSummary
	ShipmentSpmns      []shippedSpecimenView  `json:"shipmentSpmns"`
	ShipmentContainers []shippedContainerView `json:"shipmentContainers"`
}

func gatherShipments(r *related, recs []*biobank.Record) error {
	var keys, institutes []biobank.Key
	var users []int64
	for _, rec := range recs {
		doc, err := biobank.Decode[biobank.ShipmentDoc](rec)
		if err != nil {
			return err
		}
		keys = append(keys, setKey(biobank.Site, doc.SendingSiteID), setKey(biobank.Site, doc.ReceivingSiteID))
		users = append(append(users, doc.Sender, doc.Receiver, doc.Requester), doc.Notify...)
	}
	if err := r.fetch(keys...); err != nil {
		return err
	}
	for _, key := range keys {
		site, err := decodeAt[biobank.SiteDoc](r, key)
		if err != nil {
			return err
		}
		institutes = append(institutes, setKey(biobank.Institute, site.InstituteID))
	}
	if err := r.fetch(institutes...); err != nil {
		return err
	}
	return r.fetchUsers(users...)
}

func summarizeShipment(r *related, rec *biobank.Record) (v shipmentSummary, err error) {
	doc, err := biobank.Decode[biobank.ShipmentDoc](rec)
	if err != nil {
		return v, err
	}
	v = shipmentSummary{
		ID: rec.ID, Name: doc.Name, Type: doc.Type, Status: doc.Status, ShippedDate: orNull(doc.ShippedOn), SenderComments: orNull(doc.SenderComments),
		ReceivedDate: orNull(doc.ReceivedOn), ReceiverComments: orNull(doc.ReceiverComments), CourierName: orNull(doc.Courier),
		TrackingNumber: orNull(doc.TrackingNumber), TrackingURL: orNull(doc.TrackingURL), Request: doc.Request, RequestStatus: orNull(doc.RequestStatus),
		RequestDate: orNull(doc.RequestedOn), RequesterComments: orNull(doc.RequesterComments), ActivityStatus: doc.ActivityStatus,
	}
	if r.c.stats {
		v.count(&doc)
	}
	for _, end := range []struct {
		id              int64
		name, institute **string
	}{{doc.SendingSiteID, &v.SendingSite, &v.SendingInstitute}, {doc.ReceivingSiteID, &v.ReceivingSite, &v.ReceivingInstitute}} {
		site, err := decodeAt[biobank.SiteDoc](r, setKey(biobank.Site, end.id))
		if err != nil {
			return v, err
		}
		*end.name = orNull(site.Name)
		if *end.institute, err = r.instituteName(site.InstituteID); err != nil {
			return v, err
		}
	}
	if v.Sender, err = r.summary(doc.Sender); err != nil {
		return v, err
	}
	if v.Receiver, err = r.summary(doc.Receiver); err != nil {
		return v, err
	}
	if v.Requester, err = r.summary(doc.Requester); err != nil {
		return v, err
	}
	v.NotifyUsers, err = r.summaries(doc.Notify)
	return v, err
}

func viewShipment(r *related, rec *biobank.Record) (v shipmentView, err error) {
	if v.shipmentSummary, err = summarizeShipment(r, rec); err != nil {
		return v, err
	}
	doc, err := loaded[biobank.ShipmentDoc](r.c, rec)
	if err != nil {
		return v, err
	}
	v.count(&doc)
	if v.ShipmentSpmns, err = r.shippedSpecimens(&doc); err != nil {
		return v, err
	}
	v.ShipmentContainers, err = r.shippedContainers(&doc)
	return v, err
}
