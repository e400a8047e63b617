package api

import (
	"fmt"
	"slices"
	"strings"

	"aliquot/shared/biobank"
	"aliquot/shared/csvfile"
	"aliquot/shared/fault"
)

// Carts, which the reference calls specimen lists (openspecimen-rest.md 20.4). Where a path names cart 0 it means the
// caller's default cart.

func carts() noun {
	return noun{
		path: "/specimen-lists", typ: biobank.Cart, shows: cartDetail{}, gather: gatherCarts,
		view: func(r *related, rec *biobank.Record) (any, error) { return viewCart(r, rec) },
	}
}

// cartSummaries is how carts are listed.
func cartSummaries() noun {
	n := carts()
	n.shows = cartView{}
	n.view = func(r *related, rec *biobank.Record) (any, error) { return summarizeCart(r, rec) }
	return n
}

func cartRoutes() []route {
	n := carts()
	one := n.path + "/{id}"
	return append(
		starRoutes(n),
		route{pattern: "GET " + n.path, summary: "List the carts that the caller may use", answers: cartSummaries().list(), serve: listCarts},
		route{pattern: "GET " + n.path + "/count", summary: "Count the carts that the caller may use", answers: countView{}, serve: countCarts},
		route{pattern: "GET " + one, summary: "Read a cart", answers: n.shows, serve: func(c *call) (any, error) {
			rec, err := c.cart()
			if err != nil {
				return nil, err
			}
			return c.showOne(n, rec)
		}},
		route{pattern: "POST " + n.path, summary: "Create a cart", answers: n.shows, serve: createCart},
		changeRoute("PUT", n, func(in *input, id int64) biobank.Draft { return cartDraft(in, id) }),
		changeRoute("PATCH", n, cartPatch),
		deleteRoute(removal{noun: n}),
		auditRoute(n),
		route{pattern: "GET " + one + "/specimens", summary: "List what is in a cart", answers: specimens().list(), serve: listCartSpecimens},
		route{pattern: "GET " + one + "/specimens-count", summary: "Count what is in a cart", answers: countView{}, serve: countCartSpecimens},
		route{pattern: "GET " + one + "/specimens-sorted-by-rel", summary: "List what is in a cart, parents before their children", answers: specimens().list(), serve: listCartByLineage},
		route{pattern: "PUT " + one + "/specimens", summary: "Put specimens into a cart or take them out", answers: countView{}, serve: fillCart},
		route{pattern: "POST " + one + "/add-child-specimens", summary: "Add what was made from the specimens of a cart", answers: countView{}, serve: addDescendants},
		route{pattern: "PUT " + one + "/users", summary: "Share a cart", answers: []userSummary{}, serve: shareCart},
		route{pattern: "GET " + one + "/report", summary: "What is in a cart, as CSV", answers: file("application/csv"), serve: reportCart},
	)
}

// cart reads the cart that the path names.
func (c *call) cart() (*biobank.Record, error) {
	id, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	return c.api.Registry.Cart(c.Context(), c.actor, id)
}

// cartDraft is a whole cart. Groups of users are not there, folders neither.
func cartDraft(in *input, id int64) *biobank.CartDraft {
	d := &biobank.CartDraft{ID: id, Users: in.userRefs("sharedWith"), Doc: biobank.CartDoc{
		Name: in.text("name"), Description: in.text("description"), Digest: in.flag("sendDigestNotifs"),
		SourceType: in.text("sourceEntityType"), SourceID: in.number("sourceEntityId"), ActivityStatus: in.text("activityStatus"),
	}}
	if d.Users == nil {
		d.Users = []biobank.UserRef{}
	}
	return d
}

func cartPatch(in *input, id int64) biobank.Draft {
	type doc = biobank.CartDoc
	fresh := cartDraft(in, id)
	d := &biobank.CartDraft{ID: id}
	if in.sent("sharedWith") {
		d.Users = fresh.Users
	}
	var m merge[doc]
	m.set(in, "name", func(d *doc) { d.Name = fresh.Doc.Name })
	m.set(in, "description", func(d *doc) { d.Description = fresh.Doc.Description })
	m.set(in, "sendDigestNotifs", func(d *doc) { d.Digest = fresh.Doc.Digest })
	m.set(in, "sourceEntityType", func(d *doc) { d.SourceType = fresh.Doc.SourceType })
	m.set(in, "sourceEntityId", func(d *doc) { d.SourceID = fresh.Doc.SourceID })
	m.set(in, "activityStatus", func(d *doc) { d.ActivityStatus = fresh.Doc.ActivityStatus })
	d.Merge = m.onto
	return d
}

// createCart serves POST /specimen-lists, with the first specimens as specimenIds. They are checked before the cart is made.
func createCart(c *call) (any, error) {
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	d, ids, reason := cartDraft(in, 0), in.numbers("specimenIds"), in.text("opComments")
	if err := in.err(); err != nil {
		return nil, err
	}
	if err := c.mayCart(ids); err != nil {
		return nil, err
	}
	rec, err := c.apply(biobank.Change{Op: biobank.Create, Draft: d, Reason: reason})
	if err == nil && len(ids) > 0 {
		rec, err = c.api.Registry.FillCart(c.Context(), c.actor, c.at, biobank.Change{ID: c.id}, rec.ID, biobank.CartAdd, ids)
	}
	if err != nil {
		return nil, err
	}
	return c.showOne(carts(), rec)
}

// maxCartIDs is how many specimens a request may put into a cart.
const maxCartIDs = 5000

// mayCart refuses ids that are too many or not of specimens that the caller may see.
func (c *call) mayCart(ids []int64) error {
	if len(ids) > maxCartIDs {
		return invalid("The request names %d specimens; at most %d are possible.", len(ids), maxCartIDs)
	}
	refs := make([]biobank.SpecimenRef, len(ids))
	for i := range ids {
		refs[i].ID = ids[i]
	}
	recs, err := c.api.Registry.Specimens(c.Context(), c.actor, refs)
	if err == nil && len(recs) < len(ids) {
		err = fault.New("SPECIMEN_LIST_INVALID_SPECIMENS", "%d of the %d specimens were not found.", len(ids)-len(recs), len(ids))
	}
	return err
}

// findCarts lists the carts that were asked for, the default cart first, then by name; what is starred before that, where
// that is asked for.
func (c *call) findCarts(q *query) ([]*biobank.Record, error) {
	name, starred, folder := q.text("name"), q.flag("orderByStarred", false), q.number("folderId")
	if q.wrong != nil {
		return nil, q.wrong
	}
	if folder != 0 {
		return nil, nil // no call of the reference makes folders, so none has a cart in it
	}
	all, err := c.api.Registry.Carts(c.Context(), c.actor)
	if err != nil {
		return nil, err
	}
	recs, err := sorted(all, func(_ int64, doc *biobank.CartDoc) bool { return like(doc.Name, name, false) }, func(a, b *biobank.CartDoc) int {
		if a.Default != b.Default {
			if a.Default {
				return -1
			}
			return 1
		}
		return strings.Compare(biobank.Fold(a.Name), biobank.Fold(b.Name))
	})
	if err == nil && starred {
		recs, err = c.starredFirst(biobank.Cart, recs)
	}
	return recs, err
}

func listCarts(c *call) (any, error) {
	q := c.query()
	page := q.page("startAt", 100)
	q.flag("includeStats", false) // the counts are always there
	recs, err := c.findCarts(q)
	if err != nil {
		return nil, err
	}
	return c.show(cartSummaries(), cut(recs, page)...)
}

func countCarts(c *call) (any, error) {
	recs, err := c.findCarts(c.query())
	return countView{len(recs)}, err
}

// cartFilter reads which specimens of a cart are asked for.
func cartFilter(q *query) func(r *related, recs []*biobank.Record) ([]specimenView, error) {
	labels, cp, ppid := q.texts("label"), q.number("cpId"), q.text("ppid")
	lineages, kinds, places, containers := q.texts("lineage"), q.texts("type"), q.texts("anatomicSite"), q.texts("container")
	available, empty := q.flag("available", false), q.flag("noQty", false)
	q.flag("includeListCount", false) // in how many carts a specimen is is not kept
	return func(r *related, recs []*biobank.Record) ([]specimenView, error) {
		recs = slices.DeleteFunc(slices.Clone(recs), func(rec *biobank.Record) bool { return cp != 0 && rec.Key.Protocol() != cp })
		views, err := r.show(specimens(), recs...)
		if err != nil {
			return nil, err
		}
		var fit []specimenView
		for _, one := range views {
			v := one.(specimenView)
			switch {
			case len(labels) == 1 && !like(text(v.Label), labels[0], false), len(labels) > 1 && !among(labels, text(v.Label)):
			case !like(v.PPID, ppid, false), !among(lineages, v.Lineage), !among(kinds, v.Type), !among(places, text(v.AnatomicSite)):
			case len(containers) > 0 && (v.StorageLocation.Name == nil || !among(containers, *v.StorageLocation.Name)):
			case available && text(v.AvailabilityStatus) != "Available", empty && (v.AvailableQty == nil || *v.AvailableQty != 0):
			default:
				fit = append(fit, v)
			}
		}
		return fit, nil
	}
}

// inCart shows the specimens of a cart that fit, a hundred read at a time, until there are enough.
func (c *call) inCart(cart int64, fits func(*related, []*biobank.Record) ([]specimenView, error), most int) ([]specimenView, error) {
	r := c.related()
	views := []specimenView{}
	var some []*biobank.Record
	show := func() error {
		more, err := fits(r, some)
		views, some = append(views, more...), some[:0]
		return err
	}
	err := c.api.Registry.CartSpecimens(c.Context(), c.actor, cart, func(rec *biobank.Record) (bool, error) {
		if some = append(some, rec); len(some) < min(100, most) {
			return true, nil
		}
		err := show()
		return len(views) < most, err
	})
	if err == nil && len(views) < most {
		err = show()
	}
	return views, err
}

func listCartSpecimens(c *call) (any, error) {
	q := c.query()
	page, fits := q.page("startAt", 50), cartFilter(q)
	if q.wrong != nil {
		return nil, q.wrong
	}
	rec, err := c.cart()
	if err != nil {
		return nil, err
	}
	views, err := c.inCart(rec.ID, fits, page.from+page.most)
	return cut(views, page), err
}

func countCartSpecimens(c *call) (any, error) {
	q := c.query()
	fits := cartFilter(q)
	if q.wrong != nil {
		return nil, q.wrong
	}
	rec, err := c.cart()
	if err != nil {
		return nil, err
	}
	views, err := c.inCart(rec.ID, fits, biobank.MaxCart)
	return countView{len(views)}, err
}

func listCartByLineage(c *call) (any, error) {
	q := c.query()
	page := q.page("startAt", 50)
	if q.wrong != nil {
		return nil, q.wrong
	}
	rec, err := c.cart()
	if err != nil {
		return nil, err
	}
	recs, err := c.api.Registry.AllInCart(c.Context(), c.actor, rec.ID)
	if err != nil {
		return nil, err
	}
	return c.show(specimens(), cut(recs, page)...)
}

// numbers reads a request's JSON array of ids.
func (c *call) numbers() ([]int64, error) {
	shape := c.reads.noteBody(aList)
	in := &input{members: map[string]any{}, wrong: new(error), shape: shape}
	if shape == nil || !c.reads.samples {
		body, err := c.text()
		if err != nil {
			return nil, err
		}
		if in.members["body"], err = parseJSON(body); err != nil {
			return nil, err
		}
	}
	ids := in.numbers("body")
	return ids, in.err()
}

// cartOperation reads how the content, or the users, of a cart are to change: ADD unless it is said.
func cartOperation(q *query) (string, error) {
	switch op := strings.ToUpper(q.text("operation")); op {
	case "":
		return biobank.CartAdd, nil
	case biobank.CartAdd, biobank.CartRemove, biobank.CartReplace:
		return op, nil
	}
	return "", invalid("operation must be ADD, REMOVE or UPDATE.")
}

// fillCart serves PUT /specimen-lists/{id}/specimens?operation= with ids: how many specimens the cart has then.
func fillCart(c *call) (any, error) {
	op, err := cartOperation(c.query())
	if err != nil {
		return nil, err
	}
	ids, err := c.numbers()
	if err != nil {
		return nil, err
	}
	id, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	return c.fill(id, op, ids)
}

func (c *call) fill(cart int64, op string, ids []int64) (any, error) {
	if len(ids) > maxCartIDs {
		return nil, invalid("The request names %d specimens; at most %d are possible.", len(ids), maxCartIDs)
	}
	return c.fillAll(cart, op, ids)
}

// fillAll is fill for whatever number a cart may hold.
func (c *call) fillAll(cart int64, op string, ids []int64) (any, error) {
	rec, err := c.api.Registry.FillCart(c.Context(), c.actor, c.at, biobank.Change{ID: c.id}, cart, op, ids)
	if err != nil {
		return nil, err
	}
	doc, err := biobank.Decode[biobank.CartDoc](rec)
	return countView{int(doc.Count)}, err
}

func addDescendants(c *call) (any, error) {
	rec, err := c.cart()
	if err != nil {
		return nil, err
	}
	ids, err := c.api.Registry.CartDescendants(c.Context(), c.actor, rec.ID)
	if err != nil {
		return nil, err
	}
	return c.fillAll(rec.ID, biobank.CartAdd, ids)
}

// shareCart serves PUT /specimen-lists/{id}/users?operation= with ids: with whom the cart is shared then.
func shareCart(c *call) (any, error) {
	op, err := cartOperation(c.query())
	if err != nil {
		return nil, err
	}
	ids, err := c.numbers()
	if err != nil {
		return nil, err
	}
	rec, err := c.cart()
	if err != nil {
		return nil, err
	}
	doc, err := biobank.Decode[biobank.CartDoc](rec)
	if err != nil {
		return nil, err
	}
	if rec.ID == 0 {
		return nil, fault.New("SPECIMEN_LIST_NOT_FOUND", "The default cart is empty. Put a specimen into it first.")
	}
	all := ids
	switch op {
	case biobank.CartAdd:
		all = append(slices.Clone(doc.SharedWith), ids...)
	case biobank.CartRemove:
		all = slices.DeleteFunc(slices.Clone(doc.SharedWith), func(id int64) bool { return slices.Contains(ids, id) })
	}
	users := []biobank.UserRef{}
	for _, id := range all {
		if id <= 0 {
			return nil, fault.New("SPECIMEN_LIST_INVALID_USERS_LIST", "User %d was not found.", id)
		}
		users = append(users, biobank.UserRef{ID: id})
	}
	rec, err = c.apply(biobank.Change{Op: biobank.Update, ByID: true, Draft: &biobank.CartDraft{ID: rec.ID, Users: users, Merge: func(*biobank.CartDoc) {}}})
	if err != nil {
		return nil, err
	}
	if doc, err = biobank.Decode[biobank.CartDoc](rec); err != nil {
		return nil, err
	}
	return c.related().summaries(doc.SharedWith)
}

func reportCart(c *call) (any, error) {
	q := c.query()
	fits := cartFilter(q)
	if q.wrong != nil {
		return nil, q.wrong
	}
	rec, err := c.cart()
	if err != nil {
		return nil, err
	}
	views, err := c.inCart(rec.ID, fits, biobank.MaxCart)
	if err != nil {
		return nil, err
	}
	body := csvfile.AppendStrings(nil, ',', specimenCells(nil)...)
	for i := range views {
		body = csvfile.AppendStrings(body, ',', specimenCells(&views[i])...)
	}
	return csvAnswer{name: fmt.Sprintf("cart_%d.csv", rec.ID), body: body}, nil
}

// cartView omits its nulls.
type cartView struct {
	ID               int64        `json:"id"`
	Name             string       `json:"name"`
	Description      string       `json:"description,omitempty"`
	CreatedOn        int64        `json:"createdOn,omitempty"`
	LastUpdatedOn    int64        `json:"lastUpdatedOn,omitempty"`
	Owner            *userSummary `json:"owner,omitempty"`
	DefaultList      bool         `json:"defaultList"`
	SpecimenCount    int64        `json:"specimenCount"`
	Starred          bool         `json:"starred"`
	SendDigestNotifs bool         `json:"sendDigestNotifs"`
	SourceEntityType string       `json:"sourceEntityType,omitempty"`
	SourceEntityID   int64        `json:"sourceEntityId,omitempty"`
	ActivityStatus   string       `json:"activityStatus"`
}

// cartDetail tells of the specimens those that the reader may see. There are no groups.
type cartDetail struct {
	cartView
	SharedWith       []userSummary `json:"sharedWith"`
	SharedWithGroups []struct{}    `json:"sharedWithGroups"`
	SpecimenIDs      []int64       `json:"specimenIds"`
}

func gatherCarts(r *related, recs []*biobank.Record) error {
	var users, ids []int64
	for _, rec := range recs {
		doc, err := biobank.Decode[biobank.CartDoc](rec)
		if err != nil {
			return err
		}
		users, ids = append(users, doc.OwnerID), append(ids, rec.ID)
	}
	stars, err := r.c.api.Registry.Stars(r.c.Context(), r.c.actor, biobank.Cart, ids)
	if err != nil {
		return err
	}
	r.stars = stars
	return r.fetchUsers(users...)
}

func summarizeCart(r *related, rec *biobank.Record) (cartView, error) {
	doc, err := biobank.Decode[biobank.CartDoc](rec)
	if err != nil {
		return cartView{}, err
	}
	owner, err := r.summary(doc.OwnerID)
	return cartView{
		ID: rec.ID, Name: doc.Name, Description: doc.Description, CreatedOn: doc.CreatedOn, LastUpdatedOn: doc.UpdatedOn, Owner: owner,
		DefaultList: doc.Default, SpecimenCount: doc.Count, Starred: r.stars[rec.ID], SendDigestNotifs: doc.Digest,
		SourceEntityType: doc.SourceType, SourceEntityID: doc.SourceID, ActivityStatus: doc.ActivityStatus,
	}, err
}

func viewCart(r *related, rec *biobank.Record) (v cartDetail, err error) {
	if v.cartView, err = summarizeCart(r, rec); err != nil {
		return v, err
	}
	doc, err := biobank.Decode[biobank.CartDoc](rec)
	if err != nil {
		return v, err
	}
	if v.SharedWith, err = r.summaries(doc.SharedWith); err != nil {
		return v, err
	}
	v.SharedWithGroups, v.SpecimenIDs = []struct{}{}, []int64{}
	err = r.c.api.Registry.CartSpecimens(r.c.Context(), r.c.actor, rec.ID, func(s *biobank.Record) (bool, error) {
		v.SpecimenIDs = append(v.SpecimenIDs, s.ID)
		return true, nil
	})
	return v, err
}
