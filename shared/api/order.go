package api

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"aliquot/shared/biobank"
	"aliquot/shared/csvfile"
	"aliquot/shared/fault"
)

// Orders (reference openspecimen-rest.md 20.2). The forms of the calls about items, reports and returns are not told by
// the reference; they are such as its other calls have.

func orders() noun {
	return noun{
		path: "/distribution-orders", typ: biobank.Order, shows: orderView{OrderItems: []orderItemView{}}, gather: gatherOrders,
		view: func(r *related, rec *biobank.Record) (any, error) { return viewOrder(r, rec) },
	}
}

// orderSummaries is how orders are listed: without their items.
func orderSummaries() noun {
	n := orders()
	n.shows, n.counted = orderSummary{}, true
	n.view = func(r *related, rec *biobank.Record) (any, error) { return summarizeOrder(r, rec) }
	return n
}

func orderRoutes() []route {
	n := orders()
	list := members[biobank.OrderDoc]{
		noun: orderSummaries(), start: "startAt", usual: 50, fits: fitsOrder,
		less: func(a, b *biobank.OrderDoc) int { return cmp.Compare(b.CreatedOn, a.CreatedOn) },
	}
	one := n.path + "/{id}"
	return append(
		list.routes(),
		getRoute(n),
		route{pattern: "POST " + n.path, summary: "Create an order", answers: n.shows, serve: func(c *call) (any, error) { return writeOrder(c, 0) }},
		route{pattern: "PUT " + one, summary: "Change or execute an order", answers: n.shows, serve: func(c *call) (any, error) {
			id, err := c.pathID("id")
			if err != nil {
				return nil, err
			}
			return writeOrder(c, id)
		}},
		deleteRoute(removal{noun: n}),
		auditRoute(n),
		route{pattern: "GET " + one + "/items", summary: "List the items of an order", answers: []orderItemView{}, serve: listOrderItems},
		route{pattern: "DELETE " + one + "/items", summary: "Take items out of a pending order", answers: []orderItemView{}, serve: dropOrderItems},
		route{pattern: "GET " + one + "/report", summary: "The items of an order as CSV", answers: file("application/csv"), serve: reportOrder},
		route{pattern: "POST " + one + "/retrieve", summary: "Take the specimens of an order out of their containers", answers: n.shows, serve: retrieveOrder},
		route{pattern: "GET " + n.path + "/specimens", summary: "Find what orders gave out, by label", answers: []orderItemView{}, serve: findDistributed},
		route{pattern: "POST " + n.path + "/specimens", summary: "Add specimens to a pending order", answers: n.shows, serve: addToOrder},
		route{pattern: "POST " + n.path + "/return-specimens", summary: "Take specimens of executed orders back", answers: specimens().list(), serve: returnSpecimens},
	)
}

// orderDraft is a whole order.
func orderDraft(in *input, id int64) *biobank.OrderDraft {
	d := &biobank.OrderDraft{
		ID: id, DP: in.distributionRef("distributionProtocol"), Requester: in.userRef("requester"), Distributor: in.userRef("distributor"),
		Site: in.maybeText("siteName"), Items: in.orderLines("orderItems"), KeepItems: in.flag("copyItemsFromExistingOrder"),
		AllReserved: in.flag("allReservedSpmns"), AllAvailable: in.flag("distributeAvailableQty"),
		Doc: biobank.OrderDoc{
			Name: in.text("name"), ExecutedOn: in.millis("executionDate"), Status: in.text("status"), TrackingURL: in.text("trackingUrl"),
			Comments: in.text("comments"), ActivityStatus: in.text("activityStatus"),
		},
		Extension: in.extension(false),
	}
	if list := in.object("specimenList"); list != nil {
		d.Cart = list.number("id")
	}
	if d.Site != nil && *d.Site == "" {
		d.Site = nil
	}
	return d
}

// orderLines reads items of an order.
func (in *input) orderLines(name string) []biobank.OrderLine {
	var lines []biobank.OrderLine
	for _, o := range in.objects(name) {
		line := biobank.OrderLine{Quantity: o.quantity("quantity"), Cost: o.quantity("cost"), Label: o.text("label"), Status: o.text("status")}
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

// writeOrder serves POST and PUT: id is 0 for a new order.
func writeOrder(c *call, id int64) (any, error) {
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	d, reason := orderDraft(in, id), in.text("opComments")
	clears, clearMode := in.number("clearListId"), strings.ToUpper(in.text("clearListMode"))
	if err := in.err(); err != nil {
		return nil, err
	}
	if clearMode != "" && clearMode != "NONE" && clearMode != "ALL" && clearMode != "DISTRIBUTED" {
		return nil, invalid("clearListMode must be ALL, DISTRIBUTED or NONE.")
	}
	if clears > 0 {
		if _, err := c.api.Registry.Get(c.Context(), c.actor, biobank.Cart, clears); err != nil {
			return nil, err
		}
	}
	change := biobank.Change{Op: biobank.Create, Draft: d, Reason: reason}
	if id != 0 {
		change.Op, change.ByID = biobank.Update, true
	}
	shown, err := c.distribute(change)
	if v, ok := shown.(orderView); ok && clears > 0 && v.Status == biobank.OrderExecuted {
		err = c.clearCart(clears, clearMode, v)
	}
	return shown, err
}

// clearCart takes what an order gave out, or all, out of a cart.
func (c *call) clearCart(cart int64, mode string, v orderView) error {
	var ids []int64
	for _, item := range v.OrderItems {
		if item.Specimen != nil && item.Specimen.ID != nil {
			ids = append(ids, *item.Specimen.ID)
		}
	}
	op := biobank.CartRemove
	switch mode {
	case "", "NONE":
		return nil
	case "ALL":
		op, ids = biobank.CartReplace, nil
	}
	_, err := c.api.Registry.FillCart(c.Context(), c.actor, c.at, biobank.Change{ID: c.id, Reason: "order " + v.Name}, cart, op, ids)
	return err
}

// distribute writes an order and shows it.
func (c *call) distribute(change biobank.Change) (any, error) {
	change.ID = c.id
	rec, err := c.api.Registry.Distribute(c.Context(), c.actor, c.at, change)
	if err != nil {
		return nil, err
	}
	return c.showOne(orders(), rec)
}

func fitsOrder(c *call, q *query) (func(int64, *biobank.OrderDoc) bool, error) {
	name, short, dp := q.text("query"), q.text("dpShortTitle"), q.number("dpId")
	requester, requesterID, request := q.text("requestor"), q.number("requestorId"), q.number("requestId")
	day, site, inst, state := q.day("executionDate"), q.text("receivingSite"), q.text("receivingInstitute"), q.text("status")
	if q.wrong != nil {
		return nil, q.wrong
	}
	receiver, err := siteNamed(c, site)
	if err != nil {
		return nil, err
	}
	institute, err := c.instituteNamed(inst)
	if err != nil {
		return nil, err
	}
	dps, err := chosen(c, biobank.DistributionProtocol, short != "" || inst != "", func(doc *biobank.DistributionDoc) bool {
		return (short == "" || biobank.Fold(doc.ShortTitle) == biobank.Fold(short)) && (inst == "" || doc.InstituteID == institute)
	})
	if err != nil {
		return nil, err
	}
	users, err := chosen(c, biobank.User, requester != "", func(doc *biobank.UserDoc) bool {
		return like(doc.FirstName+" "+doc.LastName, requester, false) || like(doc.LoginName, requester, false) || like(doc.EmailAddress, requester, false)
	})
	if err != nil {
		return nil, err
	}
	return func(_ int64, doc *biobank.OrderDoc) bool {
		switch {
		case !like(doc.Name, name, false), dp != 0 && doc.DistributionID != dp, !dps(doc.DistributionID), !users(doc.Requester):
		case requesterID != 0 && doc.Requester != requesterID, request != 0: // there are no requests of catalogues
		case day != "" && (doc.ExecutedOn == 0 || time.UnixMilli(doc.ExecutedOn).UTC().Format(time.DateOnly) != day):
		case site != "" && doc.SiteID != receiver, state != "" && biobank.Fold(doc.Status) != biobank.Fold(state):
		default:
			return true
		}
		return false
	}, nil
}

// chosen tells which ids are of members of a small set that fit; all are where nothing was asked for.
func chosen[T any](c *call, t biobank.Type, asked bool, fits func(*T) bool) (func(int64) bool, error) {
	if !asked {
		return func(int64) bool { return true }, nil
	}
	all, err := c.api.Registry.Set(c.Context(), t)
	if err != nil {
		return nil, err
	}
	ids := map[int64]bool{}
	for _, rec := range all {
		doc, err := biobank.Decode[T](rec)
		if err != nil {
			return nil, err
		}
		ids[rec.ID] = fits(&doc)
	}
	return func(id int64) bool { return ids[id] }, nil
}

// orderSummary has its nulls.
type orderSummary struct {
	OpComments           *string      `json:"opComments"`
	ID                   int64        `json:"id"`
	Name                 string       `json:"name"`
	DistributionProtocol *dpRefView   `json:"distributionProtocol"`
	Requester            *userSummary `json:"requester"`
	SiteName             *string      `json:"siteName"`
	InstituteName        *string      `json:"instituteName"`
	Distributor          *userSummary `json:"distributor"`
	CreationDate         int64        `json:"creationDate"`
	ExecutionDate        *int64       `json:"executionDate"`
	Status               string       `json:"status"`
	TrackingURL          *string      `json:"trackingUrl"`
	Comments             *string      `json:"comments"`
	SpecimenCount        *int64       `json:"specimenCnt"`
	ActivityStatus       string       `json:"activityStatus"`
}

type dpRefView struct {
	ID         int64  `json:"id"`
	ShortTitle string `json:"shortTitle"`
	Title      string `json:"title"`
}

// orderView is an order with its items. An order is done when it is answered: it is never left to run on.
type orderView struct {
	orderSummary
	OrderItems      []orderItemView `json:"orderItems"`
	ExtensionDetail *extensionView  `json:"extensionDetail"`
	Async           bool            `json:"async"`
	Completed       bool            `json:"completed"`
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
	ReturnedQty    *biobank.Quantity `json:"returnedQuantity"`
	ReturnedBy     *userSummary      `json:"returnedBy"`
	ReturnDate     *int64            `json:"returnDate"`
	ReturnComments *string           `json:"returnComments"`
}

func gatherOrders(r *related, recs []*biobank.Record) error {
	var keys, names []biobank.Key
	var users []int64
	for _, rec := range recs {
		doc, err := biobank.Decode[biobank.OrderDoc](rec)
		if err != nil {
			return err
		}
		keys = append(keys, setKey(biobank.DistributionProtocol, doc.DistributionID), setKey(biobank.Site, doc.SiteID))
		keys = append(keys, extensionKeys(doc.Extension)...)
		users = append(users, doc.Requester, doc.Distributor)
	}
	if err := r.fetch(keys...); err != nil {
		return err
	}
	for _, key := range keys {
		if key.Part == string(biobank.DistributionProtocol) {
			dp, err := decodeAt[biobank.DistributionDoc](r, key)
			if err != nil {
				return err
			}
			names = append(names, setKey(biobank.Institute, dp.InstituteID))
		}
	}
	if err := r.fetch(names...); err != nil {
		return err
	}
	return r.fetchUsers(users...)
}

func summarizeOrder(r *related, rec *biobank.Record) (v orderSummary, err error) {
	doc, err := biobank.Decode[biobank.OrderDoc](rec)
	if err != nil {
		return v, err
	}
	dp, err := decodeAt[biobank.DistributionDoc](r, setKey(biobank.DistributionProtocol, doc.DistributionID))
	if err != nil {
		return v, err
	}
	v = orderSummary{
		ID: rec.ID, Name: doc.Name, DistributionProtocol: &dpRefView{doc.DistributionID, dp.ShortTitle, dp.Title}, CreationDate: doc.CreatedOn,
		ExecutionDate: orNull(doc.ExecutedOn), Status: doc.Status, TrackingURL: orNull(doc.TrackingURL), Comments: orNull(doc.Comments),
		ActivityStatus: doc.ActivityStatus,
	}
	if r.c.stats {
		v.SpecimenCount = &doc.Count
	}
	if v.SiteName, err = r.siteName(doc.SiteID); err != nil {
		return v, err
	}
	if v.InstituteName, err = r.instituteName(dp.InstituteID); err != nil {
		return v, err
	}
	if v.Requester, err = r.summary(doc.Requester); err != nil {
		return v, err
	}
	v.Distributor, err = r.summary(doc.Distributor)
	return v, err
}

func viewOrder(r *related, rec *biobank.Record) (v orderView, err error) {
	if v.orderSummary, err = summarizeOrder(r, rec); err != nil {
		return v, err
	}
	doc, err := biobank.Decode[biobank.OrderDoc](rec)
	if err != nil {
		return v, err
	}
	if err := doc.Load(r.c.Context(), r.c.api.Registry, rec); err != nil {
		return v, err
	}
	v.SpecimenCount, v.Completed = &doc.Count, true
	if v.ExtensionDetail, err = r.extension(doc.Extension, rec.ID, true); err != nil {
		return v, err
	}
	v.OrderItems, err = r.orderItems(rec, &doc, doc.Items)
	return v, err
}

// orderItems shows items of an order with their specimens.
func (r *related) orderItems(rec *biobank.Record, doc *biobank.OrderDoc, items []biobank.OrderItem) ([]orderItemView, error) {
	var ids, users []int64
	for _, item := range items {
		ids = append(ids, item.SpecimenID)
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
	views := make([]orderItemView, 0, len(items))
	for _, item := range items {
		v := orderItemView{
			ID: item.ID, OrderID: rec.ID, OrderName: doc.Name, Specimen: shown[item.SpecimenID], Quantity: item.Quantity, Cost: item.Cost,
			Label: orNull(item.Label), Status: item.Status,
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
	views, err := r.show(specimens(), recs...)
	if err != nil {
		return nil, err
	}
	shown := map[int64]*specimenView{}
	for i, rec := range recs {
		v := views[i].(specimenView)
		shown[rec.ID] = &v
	}
	return shown, nil
}

// order reads the order that the path names, with its items.
func (c *call) order() (*biobank.Record, biobank.OrderDoc, error) {
	rec, err := c.get(biobank.Order)
	if err != nil {
		return nil, biobank.OrderDoc{}, err
	}
	doc, err := biobank.Decode[biobank.OrderDoc](rec)
	if err == nil {
		err = doc.Load(c.Context(), c.api.Registry, rec)
	}
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
		v.CPShortTitle, v.PPID, v.VisitName, text(v.Label), text(v.Barcode), v.Lineage, v.SpecimenClass, v.Type, text(v.AnatomicSite),
		text(v.Pathology), amount(v.AvailableQty), v.AvailabilityStatus,
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
	doc, err := biobank.Decode[biobank.OrderDoc](rec)
	if err != nil {
		return nil, err
	}
	if err := doc.Load(r.c.Context(), r.c.api.Registry, rec); err != nil {
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
// specimen, quantity, user, time, comments, incrFreezeThaw}. It answers with the specimens.
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
const maxReturns = 30

// decoded is the first thing wrong with the objects of a body.
func (c *call) decoded(list []*input) error {
	if len(list) == 0 {
		return nil
	}
	return list[0].err() // they share it
}
