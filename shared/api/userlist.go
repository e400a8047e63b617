package api

import (
	"cmp"
	"slices"
	"strings"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// What users are looked for by (reference openspecimen-rest.md section 7), their assignments among it.

// fitsUser narrows a list of users. Nobody is in a group, since there are none.
func fitsUser(c *call, q *query) (func(int64, *biobank.UserDoc) bool, error) {
	search, name, login := q.text("searchString"), q.text("name"), q.text("loginName")
	domain, states, kinds, not := q.text("domainName"), q.texts("activityStatus"), q.texts("type"), q.texts("excludeType")
	system, group, named := q.flag("includeSysUser", false), q.text("group"), q.text("institute")
	all := q.flag("listAll", true)
	held := heldRole{role: q.text("role"), res: biobank.Resource(q.text("resource")), op: biobank.Operation(q.text("op"))}
	site, cp := q.text("site"), q.text("cp")
	since := q.day("activeSince")
	if q.wrong != nil {
		return nil, q.wrong
	}
	active, err := c.activeSince(since)
	if err != nil {
		return nil, err
	}
	institute := int64(0)
	if named != "" {
		if institute, err = c.instituteNamed(named); err != nil {
			return nil, err
		}
	}
	if err := held.at(c, site, cp); err != nil {
		return nil, err
	}
	return func(id int64, doc *biobank.UserDoc) bool {
		full := doc.FirstName + " " + doc.LastName
		switch {
		case group != "", id == biobank.SystemUserID && !system, !like(doc.LoginName, login, false), !like(full, name, false):
		case !like(full, search, false) && !like(doc.LoginName, search, false) && !like(doc.EmailAddress, search, false):
		case domain != "" && biobank.Fold(domain) != biobank.Fold(doc.DomainName):
		case named != "" && doc.InstituteID != institute:
		case !all && doc.InstituteID != c.actor.User.InstituteID && !c.actor.Super():
		case since != "" && !active[id], !among(states, doc.ActivityStatus), !among(kinds, doc.Type), len(not) > 0 && among(not, doc.Type):
		case !held.by(doc, id == c.actor.ID || c.actor.Assigns(doc)):
		default:
			return true
		}
		return false
	}, nil
}

// activeSince are the users who have signed in on a day or later: the reference names the parameter and not what it counts.
// It is nil for no day. That costs a read of all users, and one of 90 logins each; when a colleague was there is told to
// administrators alone.
func (c *call) activeSince(day string) (map[int64]bool, error) {
	if day == "" {
		return nil, nil
	}
	if !c.actor.Super() && !c.actor.InstituteAdmin() {
		return nil, fault.New("RBAC_ADMIN_RIGHTS_REQUIRED", "Only administrators may ask who has been active.")
	}
	all, err := c.api.Registry.Members(c.Context(), c.actor, biobank.User)
	if err != nil {
		return nil, err
	}
	ids := make([]int64, len(all))
	for i, rec := range all {
		ids[i] = rec.ID
	}
	return c.api.Guard.ActiveSince(c.Context(), day, ids)
}

// heldRole is a role or a right, at a site or in a protocol, that users are looked for by; blank for any. Who holds what is
// told of users whose assignments the caller may see, which are the caller and those that the caller administers; that
// administrators may do everything is no secret.
type heldRole struct {
	role   string
	res    biobank.Resource
	op     biobank.Operation
	places []place
	roles  map[int64]biobank.RoleDoc // by their ids
}

// place is where a role is to be held: at a site or in a protocol, whichever is not 0; -1 is one that does not exist.
type place struct {
	site, cp   int64
	institutes map[int64]bool // those with sites there
}

// covers tells whether an assignment of a user of an institute counts there.
func (p *place) covers(g biobank.Grant, institute int64) bool {
	if p.site != 0 {
		return g.SiteID == p.site || g.SiteID == 0 && p.institutes[institute]
	}
	return g.ProtocolID == p.cp || g.ProtocolID == 0 && p.institutes[institute]
}

// at reads what the site, the protocol and the right need. A protocol that the caller may not read is one that does not
// exist.
func (h *heldRole) at(c *call, site, cp string) error {
	if site != "" {
		id, err := siteNamed(c, site)
		if err != nil {
			return err
		}
		p := place{site: cmp.Or(id, -1)}
		if p.institutes, err = c.institutesOf(p.site); err != nil {
			return err
		}
		h.places = append(h.places, p)
	}
	if cp != "" {
		p, err := c.placeOf(cp)
		if err != nil {
			return err
		}
		h.places = append(h.places, p)
	}
	if h.role == "" && !h.rights() {
		return nil
	}
	var err error
	h.roles, err = c.related().allRoles()
	return err
}

// placeOf is a protocol by its short title.
func (c *call) placeOf(cp string) (place, error) {
	id, err := c.api.Registry.ProtocolOf(c.Context(), c.actor, biobank.ProtocolRef{ShortTitle: cp})
	if fault.Is(err, "CP_NOT_FOUND") {
		return place{cp: -1}, nil
	}
	if err != nil {
		return place{}, err
	}
	key := setKey(biobank.Protocol, id)
	r := c.related()
	if err := r.fetch(key); err != nil {
		return place{}, err
	}
	doc, err := decodeAt[biobank.ProtocolDoc](r, key)
	if err != nil {
		return place{}, err
	}
	var sites []int64
	for _, s := range doc.Sites {
		sites = append(sites, s.SiteID)
	}
	institutes, err := c.institutesOf(sites...)
	return place{cp: id, institutes: institutes}, err
}

// institutesOf are the institutes of sites.
func (c *call) institutesOf(sites ...int64) (map[int64]bool, error) {
	r := c.related()
	var keys []biobank.Key
	for _, id := range sites {
		keys = append(keys, setKey(biobank.Site, id))
	}
	if err := r.fetch(keys...); err != nil {
		return nil, err
	}
	institutes := map[int64]bool{}
	for _, k := range keys {
		doc, err := decodeAt[biobank.SiteDoc](r, k)
		if err != nil {
			return nil, err
		}
		institutes[doc.InstituteID] = true
	}
	return institutes, nil
}

// rights tells whether a right is asked for.
func (h *heldRole) rights() bool { return h.res != "" || h.op != "" }

// by tells whether a user holds it, of whom the caller may or may not see the assignments.
func (h *heldRole) by(doc *biobank.UserDoc, seen bool) bool {
	everywhere := func(covers func(*place) bool) bool {
		for i := range h.places {
			if !covers(&h.places[i]) {
				return false
			}
		}
		return true
	}
	switch {
	case h.role == "" && !h.rights() && len(h.places) == 0:
		return true
	case h.role == "" && doc.Type == biobank.UserSuper:
		return true
	case h.role == "" && doc.Type == biobank.UserInstitute:
		return everywhere(func(p *place) bool { return p.institutes[doc.InstituteID] })
	case !seen:
		return false
	}
	return slices.ContainsFunc(doc.Roles, func(g biobank.Grant) bool {
		return (h.role == "" || biobank.Fold(h.roles[g.StoredID()].Name) == biobank.Fold(h.role)) &&
			everywhere(func(p *place) bool { return p.covers(g, doc.InstituteID) }) && h.allows(g)
	})
}

func (h *heldRole) allows(g biobank.Grant) bool {
	if !h.rights() {
		return true
	}
	for res, ops := range h.roles[g.StoredID()].Rights {
		if (h.res == "" || res == h.res) && (h.op == "" && len(ops) > 0 || slices.Contains(ops, h.op)) {
			return true
		}
	}
	return false
}

func lessUser(a, b *biobank.UserDoc) int {
	return cmp.Or(strings.Compare(biobank.Fold(a.LastName), biobank.Fold(b.LastName)), strings.Compare(biobank.Fold(a.FirstName), biobank.Fold(b.FirstName)))
}
