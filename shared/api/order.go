package api

import (
	"cmp"
	"log/slog"
	"strings"
	"time"

	"aliquot/shared/biobank"
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
			Comments: in.text("comments"), CheckOut: in.flag("checkout"), ActivityStatus: in.text("activityStatus"),
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
		if err := c.clearCart(clears, clearMode, v); err != nil {
			// What is given out is given out, and must not be sent again: the cart can be cleared by hand.
			level, cause := slog.LevelWarn, fault.Codes(err)
			if len(fault.All(err)) == 0 {
				level, cause = slog.LevelError, err.Error()
			}
			c.api.Log.Log(c.Context(), level, "a cart was not cleared after its order", "cart", clears, "order", v.ID, "cause", cause)
		}
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
	Checkout        bool            `json:"checkout"`
	OrderItems      []orderItemView `json:"orderItems"`
	ExtensionDetail *extensionView  `json:"extensionDetail"`
	Async           bool            `json:"async"`
	Completed       bool            `json:"completed"`
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
	doc, err := loaded[biobank.OrderDoc](r.c, rec)
	if err != nil {
		return v, err
	}
	v.SpecimenCount, v.Completed, v.Checkout = &doc.Count, true, doc.CheckOut
	if v.ExtensionDetail, err = r.extension(doc.Extension, rec.ID, true); err != nil {
		return v, err
	}
	v.OrderItems, err = r.orderItems(rec, &doc, doc.Items)
	return v, err
}
