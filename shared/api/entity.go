package api

import (
	"cmp"
	"strings"
	"time"

	"aliquot/shared/biobank"
)

// noun is a kind of object as the API serves it: where, how it is shown, and what follows when one was changed.
type noun struct {
	path string
	typ  biobank.Type
	// gather fetches what the views of records show parts of, for all of them together.
	gather func(r *related, recs []*biobank.Record) error
	// view shows one, from what was gathered. shows is a value of what it returns, for the document of the API.
	view  func(r *related, rec *biobank.Record) (any, error)
	shows any
	// counted objects show counts to those who ask with includeStats.
	counted bool
	// changed is called when a body has changed one, nil for nothing to do.
	changed func(c *call, id int64, in *input) error
}

// nouns are those whose objects paths name by their ids.
func nouns() []noun {
	return []noun{
		institutes(), sites(), users(), roles(), protocols(), events(), requirements(), registrations(), visits(), specimens(),
		containers(), containerTypes(), forms(), distributions(), orders(), shipments(), carts(), statements(),
	}
}

// plural is what the objects are called, after their path.
func (n noun) plural() string {
	return strings.ReplaceAll(n.path[strings.LastIndex(n.path, "/")+1:], "-", " ")
}

// list is a value of a list of views.
func (n noun) list() any {
	if n.shows == nil {
		return nil
	}
	return []any{n.shows}
}

// show builds the views of records of a kind.
func (c *call) show(n noun, recs ...*biobank.Record) ([]any, error) {
	return c.related().show(n, recs...)
}

func (r *related) show(n noun, recs ...*biobank.Record) ([]any, error) {
	for _, rec := range recs {
		r.recs[rec.Key] = rec
	}
	if n.gather != nil {
		if err := n.gather(r, recs); err != nil {
			return nil, err
		}
	}
	views := make([]any, 0, len(recs))
	for _, rec := range recs {
		v, err := n.view(r, rec)
		if err != nil {
			return nil, err
		}
		views = append(views, v)
	}
	return views, nil
}

// askedForStats reads includeStats, where the objects have counts to show.
func (c *call) askedForStats(n noun, q *query) error {
	c.stats = n.counted && q.flag("includeStats", false)
	return q.wrong
}

func (c *call) showOne(n noun, rec *biobank.Record) (any, error) {
	views, err := c.show(n, rec)
	if err != nil {
		return nil, err
	}
	return views[0], nil
}

// get reads the object that the path names, if the caller may.
func (c *call) get(t biobank.Type) (*biobank.Record, error) {
	id, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	return c.api.Registry.Get(c.Context(), c.actor, t, id)
}

// getRoute serves GET <path>/{id}: the object, if the caller may read it.
func getRoute(n noun) route {
	return route{pattern: "GET " + n.path + "/{id}", summary: "Read one of the " + n.plural(), answers: n.shows, serve: func(c *call) (any, error) {
		if err := c.askedForStats(n, c.query()); err != nil {
			return nil, err
		}
		rec, err := c.get(n.typ)
		if err != nil {
			return nil, err
		}
		return c.showOne(n, rec)
	}}
}

// createRoute serves POST <path>: it answers with the new object as GET would.
func createRoute(n noun, draft func(in *input) biobank.Draft) route {
	return route{pattern: "POST " + n.path, summary: "Create one of the " + n.plural(), answers: n.shows, serve: func(c *call) (any, error) {
		in, err := c.body()
		if err != nil {
			return nil, err
		}
		d := draft(in)
		if err := in.err(); err != nil {
			return nil, err
		}
		return c.make(n, d, in)
	}}
}

// make creates an object and shows it.
func (c *call) make(n noun, d biobank.Draft, in *input) (any, error) {
	rec, err := c.apply(biobank.Change{Op: biobank.Create, Draft: d, Reason: in.text("opComments")})
	if err != nil {
		return nil, err
	}
	return c.showOne(n, rec)
}

// changeRoute serves PUT or PATCH <path>/{id}. The path says which object, whatever the body says; a draft with a Merge
// keeps what was not sent, one without replaces the whole object.
func changeRoute(verb string, n noun, draft func(in *input, id int64) biobank.Draft) route {
	return route{pattern: verb + " " + n.path + "/{id}", summary: "Change one of the " + n.plural(), answers: n.shows, serve: func(c *call) (any, error) {
		id, in, err := c.idAndBody()
		if err != nil {
			return nil, err
		}
		d := draft(in, id)
		if err := in.err(); err != nil {
			return nil, err
		}
		v, err := c.change(n, d, in.text("opComments"))
		if err == nil && n.changed != nil {
			err = n.changed(c, id, in)
		}
		return v, err
	}}
}

// change applies one change of a stored object and shows it.
func (c *call) change(n noun, d biobank.Draft, reason string) (any, error) {
	rec, err := c.apply(biobank.Change{Op: biobank.Update, ByID: true, Draft: d, Reason: reason})
	if err != nil {
		return nil, err
	}
	return c.showOne(n, rec)
}

// bulkRoute serves PUT <path>/bulk-update (section 4.5): the same patch for several objects, all checked before the first
// is changed.
func bulkRoute(n noun, patch func(in *input, id int64) biobank.Draft) route {
	return route{pattern: "PUT " + n.path + "/bulk-update", summary: "Change several of the " + n.plural() + " alike", answers: n.list(), serve: func(c *call) (any, error) {
		in, err := c.body()
		if err != nil {
			return nil, err
		}
		ids, detail := in.numbers("ids"), in.object("detail")
		if detail == nil {
			in.refuse("detail", "an object")
		}
		if err := in.err(); err != nil {
			return nil, err
		}
		if err := fewEnough(len(ids)); err != nil {
			return nil, err
		}
		var drafts []biobank.Draft
		for _, id := range ids {
			drafts = append(drafts, patch(detail, id))
		}
		if err := in.err(); err != nil {
			return nil, err
		}
		views, err := c.changeAll(n, drafts, detail.text("opComments"))
		for _, id := range ids {
			if err == nil && n.changed != nil {
				err = n.changed(c, id, detail)
			}
		}
		return views, err
	}}
}

// maxBulk is how many objects a request may change.
const maxBulk = 100

func fewEnough(n int) error {
	if n > maxBulk {
		return invalid("The request names %d objects; at most %d are possible.", n, maxBulk)
	}
	return nil
}

func (c *call) changeAll(n noun, drafts []biobank.Draft, reason string) (any, error) {
	changes := make([]biobank.Change, len(drafts))
	for i, d := range drafts {
		changes[i] = biobank.Change{Op: biobank.Update, ByID: true, Draft: d, ID: c.id, Reason: reason}
	}
	recs, err := c.api.Registry.ApplyAll(c.Context(), c.actor, c.at, changes)
	if err != nil {
		return nil, err
	}
	return c.show(n, recs...)
}

// apply does one change for the caller and returns the record.
func (c *call) apply(change biobank.Change) (*biobank.Record, error) {
	change.ID = c.id
	out, err := c.api.Registry.Apply(c.Context(), c.actor, c.at, []biobank.Change{change})
	if err != nil {
		return nil, err
	}
	return out[0].Record, out[0].Err
}

// removalTime bounds the work of one deletion, well below the function's time: what is left is deleted when it is asked
// for again.
const removalTime = 20 * time.Second

// removal is how a kind of object answers to being deleted.
type removal struct {
	noun
	// closes tells that close=true closes instead; forced that dependents always go, too.
	closes, forced bool
	// one and several shape the answers; nil for the object, and for the array.
	one func(c *call, rec *biobank.Record, complete bool) (any, error)
	// oneAnswers is a value of what one returns.
	oneAnswers any
	several    func(views []any, complete bool) any
}

// deleteRoute serves DELETE <path>/{id} (section 4.2).
func deleteRoute(n removal) route {
	answers := n.oneAnswers
	if n.one == nil {
		answers = n.shows
	}
	return route{pattern: "DELETE " + n.path + "/{id}", summary: "Delete one of the " + n.plural(), answers: answers, serve: func(c *call) (any, error) {
		id, err := c.pathID("id")
		if err != nil {
			return nil, err
		}
		q := c.query()
		closes, force, reason := n.closes && q.flag("close", false), q.flag("forceDelete", false), q.text("reason")
		if q.wrong != nil {
			return nil, q.wrong
		}
		if closes {
			return c.change(n.noun, biobank.Removal(n.typ, id, biobank.StatusClosed, false), reason)
		}
		rec, complete, err := c.remove(n, id, force, reason)
		if err != nil {
			return nil, err
		}
		if n.one != nil {
			return n.one(c, rec, complete)
		}
		if !complete {
			return nil, unfinished()
		}
		return c.showOne(n.noun, rec)
	}}
}

// bulkDeleteRoute serves DELETE <path>?id=1&id=2 (section 4.5). All are checked before the first is deleted, with what goes
// with them where it is forced.
func bulkDeleteRoute(n removal) route {
	answers := n.list()
	if n.several != nil && n.shows != nil {
		answers = n.several([]any{n.shows}, true)
	}
	return route{pattern: "DELETE " + n.path, summary: "Delete several of the " + n.plural(), answers: answers, serve: func(c *call) (any, error) {
		q := c.query()
		ids, closes := q.numbers("id"), n.closes && q.flag("close", false)
		force, reason := n.forced || q.flag("forceDelete", false), q.text("reason")
		if q.wrong != nil {
			return nil, q.wrong
		}
		if len(ids) == 0 {
			return nil, invalid("Give the ids to delete as id.")
		}
		if err := fewEnough(len(ids)); err != nil {
			return nil, err
		}
		if closes {
			var drafts []biobank.Draft
			for _, id := range ids {
				drafts = append(drafts, biobank.Removal(n.typ, id, biobank.StatusClosed, force))
			}
			return c.changeAll(n.noun, drafts, reason)
		}
		order, err := c.api.Registry.Removable(c.Context(), c.actor, c.at, n.typ, ids, force)
		if err != nil {
			return nil, err
		}
		gone := map[int64]*biobank.Record{}
		for _, id := range order {
			rec, complete, err := c.remove(n, id, force, reason)
			if err != nil {
				return nil, err
			}
			if !complete {
				break
			}
			gone[id] = rec
		}
		var recs []*biobank.Record // as they were asked for
		for _, id := range ids {
			if rec := gone[id]; rec != nil {
				recs = append(recs, rec)
			}
		}
		done := len(recs) == len(ids)
		views, err := c.show(n.noun, recs...)
		switch {
		case err != nil:
			return nil, err
		case n.several != nil:
			return n.several(views, done), nil
		case !done:
			return nil, unfinished()
		}
		return views, nil
	}}
}

func (c *call) remove(n removal, id int64, force bool, reason string) (*biobank.Record, bool, error) {
	change := biobank.Change{ID: c.id, Reason: reason}
	return c.api.Registry.Remove(c.Context(), c.actor, c.at, c.at.Add(removalTime), c.api.Now, change, n.typ, id, force)
}

// dependentsRoute serves GET <path>/{id}/dependent-entities: what keeps the object from being deleted.
func dependentsRoute(n noun) route {
	return route{pattern: "GET " + n.path + "/{id}/dependent-entities", summary: "List what keeps one of the " + n.plural() + " from being deleted", answers: []biobank.Dependent{}, serve: func(c *call) (any, error) {
		id, err := c.pathID("id")
		if err != nil {
			return nil, err
		}
		return c.api.Registry.Dependents(c.Context(), c.actor, n.typ, id)
	}}
}

// countView is the answer of the count endpoints.
type countView struct {
	Count int `json:"count"`
}

// members lists a small set as the caller asked: those that fit, sorted by less. A count is the same list, counted.
type members[T any] struct {
	noun
	// fits makes the filter of a request; unknown parameters are ignored.
	fits func(c *call, q *query) (func(id int64, doc *T) bool, error)
	less func(a, b *T) int
	// rank reads whether the whole list is to be in another order, and gives what puts it so, nil for none.
	rank func(q *query) func(c *call, recs []*biobank.Record) ([]*biobank.Record, error)
	// start names the parameter that the page begins with.
	start string
	// usual is the size of a page, where it is not 100.
	usual int
}

func (m members[T]) routes() []route {
	return []route{
		{pattern: "GET " + m.noun.path, summary: "List " + m.plural(), answers: m.list(), serve: func(c *call) (any, error) {
			q := c.query()
			page := q.page(m.start, cmp.Or(m.usual, 100))
			if err := c.askedForStats(m.noun, q); err != nil {
				return nil, err
			}
			var ranked func(*call, []*biobank.Record) ([]*biobank.Record, error)
			if m.rank != nil {
				ranked = m.rank(q)
			}
			recs, err := m.find(c, q)
			if err == nil && ranked != nil {
				recs, err = ranked(c, recs)
			}
			if err != nil {
				return nil, err
			}
			return c.show(m.noun, cut(recs, page)...)
		}},
		{pattern: "GET " + m.noun.path + "/count", summary: "Count " + m.plural(), answers: countView{}, serve: func(c *call) (any, error) {
			recs, err := m.find(c, c.query())
			return countView{len(recs)}, err
		}},
	}
}

// find lists the members that the caller may see and asked for.
func (m members[T]) find(c *call, q *query) ([]*biobank.Record, error) {
	fits, err := m.fits(c, q)
	if err != nil {
		return nil, err
	}
	if q.wrong != nil {
		return nil, q.wrong
	}
	all, err := c.api.Registry.Members(c.Context(), c.actor, m.typ)
	if err != nil {
		return nil, err
	}
	return sorted(all, fits, m.less)
}

// byNameRoute serves GET <path>/byname?name=.
func byNameRoute(n noun, code, what string) route {
	return route{pattern: "GET " + n.path + "/byname", finds: "name", summary: "Find one of the " + n.plural() + " by name", answers: n.shows, serve: func(c *call) (any, error) {
		q := c.query()
		want := q.text("name")
		if err := c.askedForStats(n, q); err != nil {
			return nil, err
		}
		id, err := c.api.Registry.Named(c.Context(), n.typ, want)
		if err != nil {
			return nil, err
		}
		if id == 0 {
			return nil, notNamed(code, what, want)
		}
		rec, err := c.api.Registry.Get(c.Context(), c.actor, n.typ, id)
		if err != nil {
			return nil, err
		}
		return c.showOne(n, rec)
	}}
}

// userRef reads a reference to a user: an object with id, emailAddress, or loginName and domain; null asks for none.
func (in *input) userRef(name string) biobank.UserRef {
	o := in.object(name)
	if o == nil {
		return biobank.UserRef{Clear: in.sent(name)}
	}
	return o.asUserRef()
}

func (in *input) asUserRef() biobank.UserRef {
	ref := biobank.UserRef{ID: in.number("id"), Email: in.text("emailAddress"), Login: in.text("loginName"), Domain: in.text("domain")}
	if ref.Domain == "" {
		ref.Domain = in.text("domainName")
	}
	ref.Clear = !ref.Sent()
	return ref
}

// userRefs reads an array of them, nil when absent.
func (in *input) userRefs(name string) []biobank.UserRef {
	list := in.objects(name)
	if list == nil {
		return nil
	}
	refs := []biobank.UserRef{}
	for _, o := range list {
		if ref := o.asUserRef(); ref.ID != 0 || ref.Email != "" || ref.Login != "" {
			refs = append(refs, ref)
		}
	}
	return refs
}

// maybeText is a text that may be left out: nil then.
func (in *input) maybeText(name string) *string {
	if !in.sent(name) {
		return nil
	}
	v := in.text(name)
	return &v
}

// protocolRef reads how an object names its protocol.
func (in *input) protocolRef() biobank.ProtocolRef {
	return biobank.ProtocolRef{ID: in.number("cpId"), Title: in.text("cpTitle"), ShortTitle: in.text("cpShortTitle")}
}
