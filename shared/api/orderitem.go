package api

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"aliquot/shared/biobank"
	"aliquot/shared/csvfile"
	"aliquot/shared/fault"
)

// The items of orders: how they are read and shown, listed, reported, retrieved and taken back (reference
// openspecimen-rest.md 20.2).

// orderLines reads items of an order.
func (in *input) orderLines(name string) []biobank.OrderLine {
	var lines []biobank.OrderLine
	for _, o := range in.objects(name) {
		line := biobank.OrderLine{Quantity: o.quantity("quantity"), Cost: o.quantity("cost"), Label: o.text("label"), Status: o.text("status"), Holding: o.location("holdingLocation")}
		if s := o.object("specimen"); s != nil {
			line.Specimen = s.specimenNamed()
		}
		lines = append(lines, line)
	}
	return lines
}

// specimenNamed reads how an object names a specimen.
func (in *input) specimenNamed() biobank.SpecimenRef {
	return biobank.SpecimenRef{ID: in.number("id"), Label: in.text("label"), Barcode: in.text("barcode")}
}

// orderItemView is an item. A specimen that the reader may not see is null.
type orderItemView struct {
	ID             int64             `json:"id"`
	OrderID        int64             `json:"orderId"`
	OrderName      string            `json:"orderName"`
	Specimen       *specimenView     `json:"specimen"`
	Quantity       *biobank.Quantity `json:"quantity"`
	Cost           *biobank.Quantity `json:"cost"`
	Label          *string           `json:"label"`
	Status         string            `json:"status"`
	HoldingAt      *storageLocation  `json:"holdingLocation"`
	ReturnedQty    *biobank.Quantity `json:"returnedQuantity"`
	ReturnedBy     *userSummary      `json:"returnedBy"`
	ReturnDate     *int64            `json:"returnDate"`
	ReturnComments *string           `json:"returnComments"`
}

// orderItems shows items of an order with their specimens.
func (r *related) orderItems(rec *biobank.Record, doc *biobank.OrderDoc, items []biobank.OrderItem) ([]orderItemView, error) {
	var ids, users []int64
	var cells []*biobank.Location
	for _, item := range items {
		ids, cells = append(ids, item.SpecimenID), append(cells, item.Holding)
		if item.Returned != nil {
			users = append(users, item.Returned.UserID)
		}
	}
	shown, err := r.specimensByID(ids)
	if err != nil {
		return nil, err
	}
	if err := r.fetchUsers(users...); err != nil {
		return nil, err
	}
	if err := r.fetchLocations(cells...); err != nil {
		return nil, err
	}
	views := make([]orderItemView, 0, len(items))
	for _, item := range items {
		v := orderItemView{
			ID: item.ID, OrderID: rec.ID, OrderName: doc.Name, Specimen: shown[item.SpecimenID], Quantity: item.Quantity, Cost: item.Cost,
			Label: orNull(item.Label), Status: item.Status,
		}
		if item.Holding != nil {
			at, err := r.locate(item.Holding)
			if err != nil {
				return nil, err
			}
			v.HoldingAt = &at
		}
		if back := item.Returned; back != nil {
			v.ReturnedQty, v.ReturnDate, v.ReturnComments = back.Quantity, &back.Time, orNull(back.Comments)
			if v.ReturnedBy, err = r.summary(back.UserID); err != nil {
				return nil, err
			}
		}
		views = append(views, v)
	}
	return views, nil
}

// specimensByID shows the specimens that the caller may see, by id.
func (r *related) specimensByID(ids []int64) (map[int64]*specimenView, error) {
	recs, err := r.c.api.Registry.ByIDs(r.c.Context(), r.c.actor, biobank.Specimen, ids)
	if err != nil {
		return nil, err
	}
	return shownByID[specimenView](r, specimens(), recs)
}

// shownByID are objects of a noun as its views, by id.
func shownByID[V any](r *related, n noun, recs []*biobank.Record) (map[int64]*V, error) {
	views, err := r.show(n, recs...)
	if err != nil {
		return nil, err
	}
	shown := make(map[int64]*V, len(recs))
	for i, rec := range recs {
		v := views[i].(V)
		shown[rec.ID] = &v
	}
	return shown, nil
}

// loaded is the object of an order or a shipment with its items, of which many lie beside the record.
func loaded[D any, P interface {
	*D
	Load(context.Context, *biobank.Registry, *biobank.Record) error
}](c *call, rec *biobank.Record) (D, error) {
	doc, err := biobank.Decode[D](rec)
	if err == nil {
		err = P(&doc).Load(c.Context(), c.api.Registry, rec)
	}
	return doc, err
}

// order reads the order that the path names, with its items.
func (c *call) order() (*biobank.Record, biobank.OrderDoc, error) {
	rec, err := c.get(biobank.Order)
	if err != nil {
		return nil, biobank.OrderDoc{}, err
	}
	doc, err := loaded[biobank.OrderDoc](c, rec)
	return rec, doc, err
}

func listOrderItems(c *call) (any, error) {
	q := c.query()
	page := q.page("startAt", 100)
	if q.wrong != nil {
		return nil, q.wrong
	}
	rec, doc, err := c.order()
	if err != nil {
		return nil, err
	}
	return c.related().orderItems(rec, &doc, cut(doc.Items, page))
}

// dropOrderItems serves DELETE /distribution-orders/{id}/items?itemId=: it answers with what was taken out.
func dropOrderItems(c *call) (any, error) {
	q := c.query()
	ids := q.numbers("itemId")
	if q.wrong != nil {
		return nil, q.wrong
	}
	if len(ids) == 0 {
		return nil, invalid("Give the ids of the items as itemId.")
	}
	rec, doc, err := c.order()
	if err != nil {
		return nil, err
	}
	dropped := slices.DeleteFunc(slices.Clone(doc.Items), func(item biobank.OrderItem) bool { return !slices.Contains(ids, item.ID) })
	if len(dropped) < len(ids) {
		return nil, invalid("The order does not have all of these items.")
	}
	_, err = c.apply(biobank.Change{Op: biobank.Update, ByID: true, Draft: &biobank.OrderDraft{ID: rec.ID, Merge: func(doc *biobank.OrderDoc) {
		given := doc.Items[:doc.Given]
		left := slices.DeleteFunc(slices.Clone(doc.Items[doc.Given:]), func(item biobank.OrderItem) bool { return slices.Contains(ids, item.ID) })
		doc.Items = append(slices.Clone(given), left...)
	}}})
	if err != nil {
		return nil, err
	}
	return c.related().orderItems(rec, &doc, dropped)
}

// reportOrder serves GET /distribution-orders/{id}/report.
func reportOrder(c *call) (any, error) {
	rec, doc, err := c.order()
	if err != nil {
		return nil, err
	}
	views, err := c.related().orderItems(rec, &doc, doc.Items)
	if err != nil {
		return nil, err
	}
	body := csvfile.AppendStrings(nil, ',', append([]string{"Order", "Order Status"}, append(specimenCells(nil), "Quantity", "Item Status", "Cost", "Item Label")...)...)
	for _, v := range views {
		cells := append([]string{doc.Name, doc.Status}, specimenCells(cmp.Or(v.Specimen, &specimenView{}))...)
		body = csvfile.AppendStrings(body, ',', append(cells, amount(v.Quantity), v.Status, amount(v.Cost), text(v.Label))...)
	}
	return csvAnswer{name: fmt.Sprintf("order_%d.csv", rec.ID), body: body}, nil
}

// specimenCells are the cells of a specimen in reports; the captions for nil.
func specimenCells(v *specimenView) []string {
	if v == nil {
		return []string{"Collection Protocol", "PPID", "Visit", "Specimen Label", "Barcode", "Lineage", "Class", "Type", "Anatomic Site", "Pathology", "Available Quantity", "Availability"}
	}
	return []string{
		v.CPShortTitle, v.PPID, text(v.VisitName), text(v.Label), text(v.Barcode), v.Lineage, v.SpecimenClass, v.Type, text(v.AnatomicSite),
		text(v.Pathology), amount(v.AvailableQty), text(v.AvailabilityStatus),
	}
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func amount(q *biobank.Quantity) string {
	if q == nil {
		return ""
	}
	return q.String()
}

// findDistributed serves GET /distribution-orders/specimens?label=: of each specimen the item of the last order that gave
// it out and did not get it back; of the order orderId, where that is given.
func findDistributed(c *call) (any, error) {
	q := c.query()
	labels, only := q.texts("label"), q.number("orderId")
	if q.wrong != nil {
		return nil, q.wrong
	}
	if err := fewEnough(len(labels)); err != nil {
		return nil, err
	}
	recs, err := c.api.Registry.ByName(c.Context(), c.actor, biobank.Specimen, labels)
	if err != nil {
		return nil, err
	}
	r := c.related()
	views := []orderItemView{}
	for _, rec := range recs {
		doc, err := biobank.Decode[biobank.SpecimenDoc](rec)
		if err != nil {
			return nil, err
		}
		ids := doc.Held().Orders
		if len(ids) == 0 || only != 0 && !slices.Contains(ids, only) {
			continue
		}
		found, err := r.distributed(cmp.Or(only, ids[len(ids)-1]), rec.ID)
		if err != nil {
			return nil, err
		}
		views = append(views, found...)
	}
	return views, nil
}

// distributed shows the item with which an order gave out a specimen, if the caller may see the order.
func (r *related) distributed(order, specimen int64) ([]orderItemView, error) {
	rec, err := r.c.api.Registry.Get(r.c.Context(), r.c.actor, biobank.Order, order)
	if fault.All(err) != nil {
		return nil, nil // not theirs to see
	}
	if err != nil {
		return nil, err
	}
	doc, err := loaded[biobank.OrderDoc](r.c, rec)
	if err != nil {
		return nil, err
	}
	items := slices.DeleteFunc(doc.Items, func(item biobank.OrderItem) bool { return item.SpecimenID != specimen })
	return r.orderItems(rec, &doc, items)
}

// retrieveOrder serves POST /distribution-orders/{id}/retrieve: it takes the order's specimens out of their containers, a
// hundred checked together, for someone with the right to change them. What takes too long goes on when it is sent again.
func retrieveOrder(c *call) (any, error) {
	rec, doc, err := c.order()
	if err != nil {
		return nil, err
	}
	var ids []int64
	for _, item := range doc.Items {
		ids = append(ids, item.SpecimenID)
	}
	recs, err := c.api.Registry.ByIDs(c.Context(), c.actor, biobank.Specimen, ids)
	if err != nil {
		return nil, err
	}
	var changes []biobank.Change
	for _, one := range recs {
		s, err := biobank.Decode[biobank.SpecimenDoc](one)
		if err != nil {
			return nil, err
		}
		if s.Location != nil || s.CheckedOut != nil {
			changes = append(changes, biobank.Change{Op: biobank.Update, ByID: true, Draft: &biobank.UnstoreDraft{ID: one.ID}, ID: c.id, Reason: "order " + doc.Name})
		}
	}
	for some := range slices.Chunk(changes, maxBulk) {
		if c.api.Now().After(c.at.Add(removalTime)) {
			return nil, unfinished()
		}
		if _, err := c.api.Registry.ApplyAll(c.Context(), c.actor, c.at, some); err != nil {
			return nil, err
		}
	}
	return c.showOne(orders(), rec)
}

// addToOrder serves POST /distribution-orders/specimens: the order, as orderId or {id}, gets the orderItems.
func addToOrder(c *call) (any, error) {
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	d := &biobank.OrderDraft{ID: in.number("orderId"), Items: in.orderLines("orderItems"), KeepItems: true, AllAvailable: in.flag("distributeAvailableQty"), Merge: func(*biobank.OrderDoc) {}}
	reason := in.text("opComments")
	if err := in.err(); err != nil {
		return nil, err
	}
	if len(d.Items) == 0 {
		return nil, invalid("Give the orderItems to add.")
	}
	return c.distribute(biobank.Change{Op: biobank.Update, ByID: true, Draft: d, Reason: reason})
}

// returnSpecimens serves POST /distribution-orders/return-specimens, an array: {orderId or orderName, specimenLabel or
// specimen, quantity, location, user, time, comments, incrFreezeThaw}. It answers with the specimens.
func returnSpecimens(c *call) (any, error) {
	list, err := c.bodies()
	if err != nil {
		return nil, err
	}
	var drafts []*biobank.ReturnDraft
	byOrder := map[string]*biobank.ReturnDraft{}
	for _, in := range list {
		back := biobank.SpecimenReturn{
			Specimen: biobank.SpecimenRef{Label: in.text("specimenLabel")}, Quantity: in.quantity("quantity"), User: in.userRef("user"),
			Time: in.millis("time"), Comments: in.text("comments"), Thawed: in.flag("incrFreezeThaw"),
			Location: in.location("location"),
		}
		if s := in.object("specimen"); s != nil {
			back.Specimen = s.specimenNamed()
		}
		id, name := in.number("orderId"), in.text("orderName")
		key := cmp.Or(strconv.FormatInt(id, 10), "") + "#" + strings.ToLower(name)
		if byOrder[key] == nil || len(byOrder[key].Returns) == maxReturns {
			byOrder[key] = &biobank.ReturnDraft{ID: id, Name: name}
			drafts = append(drafts, byOrder[key])
		}
		byOrder[key].Returns = append(byOrder[key].Returns, back)
	}
	if err := c.decoded(list); err != nil {
		return nil, err
	}
	if err := fewEnough(len(list)); err != nil {
		return nil, err
	}
	var changes []biobank.Change
	var refs []biobank.SpecimenRef
	for _, d := range drafts {
		changes = append(changes, biobank.Change{Op: biobank.Update, ByID: d.ID != 0, Draft: d, ID: c.id})
		for _, back := range d.Returns {
			refs = append(refs, back.Specimen)
		}
	}
	if _, err := c.api.Registry.ApplyAll(c.Context(), c.actor, c.at, changes); err != nil {
		return nil, err
	}
	recs, err := c.api.Registry.Specimens(c.Context(), c.actor, refs)
	if err != nil {
		return nil, err
	}
	return c.show(specimens(), recs...)
}

// maxReturns is how many specimens of an order are taken back in one transaction.
const maxReturns = 18

// decoded is the first thing wrong with the objects of a body.
func (c *call) decoded(list []*input) error {
	if len(list) == 0 {
		return nil
	}
	return list[0].err() // they share it
}
