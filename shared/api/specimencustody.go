package api

import (
	"cmp"
	"slices"

	"aliquot/shared/biobank"
)

// What orders, reservations and shipments tell among the events of a specimen. An order or a shipment that the reader may
// not see is not told of, but that there was one is. A shipment is told of when it has been received: until then nothing
// has happened to its specimens.

// custodians are the orders and shipments that the reader may see, and the titles of distribution protocols, by id.
type custodians struct {
	orders    map[int64]biobank.OrderDoc
	shipments map[int64]biobank.ShipmentDoc
	titles    map[int64]string
}

// handed adds what orders, reservations and shipments made of a specimen.
func (l *eventLists) handed(specimen int64, all []biobank.CustodyChange) error {
	known, err := l.custodians(all)
	if err != nil {
		return err
	}
	for i, change := range all {
		by, at := change.By, change.At
		for _, id := range gained(change.Was.Orders, change.Is.Orders) {
			if err := l.distributed(specimen, known.orders[id], by, at); err != nil {
				return err
			}
		}
		for _, id := range gained(change.Is.Orders, change.Was.Orders) {
			if err := l.returned(specimen, known.orders[id], by, at); err != nil {
				return err
			}
		}
		if dp := change.Is.ReservedFor; dp != 0 && dp != change.Was.ReservedFor {
			if err := l.add(specimen, "SpecimenReservedEvent", "Reserved", by, at, eventField{"dp", "Distribution Protocol", known.titles[dp]}); err != nil {
				return err
			}
		}
		if id := change.Is.ShipmentID; id != 0 && id != change.Was.ShipmentID {
			quality := change.Is.Quality
			for _, later := range all[i+1:] {
				if later.Is.ShipmentID != id {
					break
				}
				quality = later.Is.Quality // told anew
			}
			if err := l.shipped(specimen, known.shipments[id], quality, by, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// gained are those of is that was has not.
func gained(was, is []int64) []int64 {
	return slices.DeleteFunc(slices.Clone(is), func(id int64) bool { return slices.Contains(was, id) })
}

// custodians reads the orders, with their items, the shipments and the distribution protocols that the changes name, and
// the names that stand in these.
func (l *eventLists) custodians(all []biobank.CustodyChange) (custodians, error) {
	known := custodians{map[int64]biobank.OrderDoc{}, map[int64]biobank.ShipmentDoc{}, map[int64]string{}}
	var keys, names []biobank.Key
	for _, change := range all {
		for _, id := range change.Is.Orders {
			keys = append(keys, biobank.SetKey(biobank.Order, id))
		}
		keys = append(keys, setKey(biobank.Shipment, change.Is.ShipmentID), setKey(biobank.DistributionProtocol, change.Is.ReservedFor))
	}
	if err := l.r.fetch(keys...); err != nil {
		return known, err
	}
	var recs []*biobank.Record
	for _, key := range keys {
		if rec := l.r.recs[key]; rec != nil && !slices.Contains(recs, rec) {
			recs = append(recs, rec)
		}
	}
	recs, err := l.r.c.api.Registry.Readable(l.r.c.Context(), l.r.c.actor, recs)
	if err != nil {
		return known, err
	}
	for _, rec := range recs {
		switch rec.Type {
		case biobank.DistributionProtocol:
			doc, err := biobank.Decode[biobank.DistributionDoc](rec)
			if err != nil {
				return known, err
			}
			known.titles[rec.ID] = doc.ShortTitle
		case biobank.Order:
			doc, err := loaded[biobank.OrderDoc](l.r.c, rec)
			if err != nil {
				return known, err
			}
			known.orders[rec.ID] = doc
			names = append(names, setKey(biobank.DistributionProtocol, doc.DistributionID))
		case biobank.Shipment:
			doc, err := biobank.Decode[biobank.ShipmentDoc](rec)
			if err != nil {
				return known, err
			}
			known.shipments[rec.ID] = doc
			names = append(names, setKey(biobank.Site, doc.SendingSiteID), setKey(biobank.Site, doc.ReceivingSiteID))
		}
	}
	return known, l.r.fetch(names...)
}

// itemOf is the item of an order with a specimen, zero where the order is not told of.
func itemOf(order biobank.OrderDoc, specimen int64) biobank.OrderItem {
	i := slices.IndexFunc(order.Items, func(item biobank.OrderItem) bool { return item.SpecimenID == specimen })
	if i < 0 {
		return biobank.OrderItem{}
	}
	return order.Items[i]
}

func (l *eventLists) distributed(specimen int64, order biobank.OrderDoc, by, at int64) error {
	item := itemOf(order, specimen)
	dp, err := decodeAt[biobank.DistributionDoc](l.r, setKey(biobank.DistributionProtocol, order.DistributionID))
	if err != nil {
		return err
	}
	return l.add(specimen, "SpecimenDistributedEvent", "Distributed", cmp.Or(order.Distributor, by), cmp.Or(order.ExecutedOn, at),
		eventField{"order", "Order", order.Name}, eventField{"dp", "Distribution Protocol", dp.ShortTitle},
		eventField{"quantity", "Quantity", amount(item.Quantity)}, eventField{"comments", "Comments", order.Comments})
}

func (l *eventLists) returned(specimen int64, order biobank.OrderDoc, by, at int64) error {
	back := itemOf(order, specimen).Returned
	if back == nil {
		back = &biobank.Return{}
	}
	return l.add(specimen, "SpecimenReturnEvent", "Returned", cmp.Or(back.UserID, by), cmp.Or(back.Time, at),
		eventField{"order", "Order", order.Name}, eventField{"quantity", "Quantity", amount(back.Quantity)}, eventField{"comments", "Comments", back.Comments})
}

// shipped adds that a specimen was sent and that it came.
func (l *eventLists) shipped(specimen int64, s biobank.ShipmentDoc, quality string, by, at int64) error {
	from, err := l.r.siteName(s.SendingSiteID)
	if err != nil {
		return err
	}
	to, err := l.r.siteName(s.ReceivingSiteID)
	if err != nil {
		return err
	}
	fields := []eventField{{"shipment", "Shipment", s.Name}, {"sendingSite", "Sending Site", text(from)}, {"receivingSite", "Receiving Site", text(to)}}
	if s.Name != "" {
		if err := l.add(specimen, "SpecimenShipmentShippedEvent", "Shipped", s.Sender, s.ShippedOn, append(fields, eventField{"comments", "Comments", s.SenderComments})...); err != nil {
			return err
		}
	}
	return l.add(specimen, "SpecimenShipmentReceivedEvent", "Shipment Received", cmp.Or(s.Receiver, by), cmp.Or(s.ReceivedOn, at),
		append(fields, eventField{"receivedQuality", "Received Quality", quality}, eventField{"comments", "Comments", s.ReceiverComments})...)
}
