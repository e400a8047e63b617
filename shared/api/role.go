package api

import (
	"fmt"
	"maps"
	"slices"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// Roles of users (reference openspecimen-rest.md section 8).

func roleRoutes() []route {
	return []route{
		{pattern: "GET /users/current-user-roles", serve: func(c *call) (any, error) { return showGrants(c, c.actor.User.Roles) }},
		{pattern: "GET /rbac/subjects/{id}/roles", serve: listGrants},
		{pattern: "POST /rbac/subjects/{id}/roles", serve: addGrant},
	}
}

// grantView is the assignment of a role; nulls stand for every site and every protocol.
type grantView struct {
	ID                 int64        `json:"id"`
	SystemRole         bool         `json:"systemRole"`
	Role               roleView     `json:"role"`
	CollectionProtocol *grantCPView `json:"collectionProtocol"`
	Site               any          `json:"site"`
}

type grantCPView struct {
	ID                    int64        `json:"id"`
	ShortTitle            string       `json:"shortTitle"`
	Title                 string       `json:"title"`
	Code                  *string      `json:"code"`
	PrincipalInvestigator *userSummary `json:"principalInvestigator"`
	StartDate             *int64       `json:"startDate"`
}

type roleView struct {
	ID             *int64    `json:"id"`
	Name           string    `json:"name"`
	Description    *string   `json:"description"`
	ParentRoleName *string   `json:"parentRoleName"`
	ChildRoles     []string  `json:"childRoles"`
	ACL            []aclView `json:"acl"`
}

type aclView struct {
	ResourceName biobank.Resource `json:"resourceName"`
	Operations   []operationView  `json:"operations"`
}

type operationView struct {
	ResourceInstanceID *int64            `json:"resourceInstanceId"`
	OperationName      biobank.Operation `json:"operationName"`
}

func showRole(name string) roleView {
	v := roleView{Name: name, ChildRoles: []string{}, ACL: []aclView{}}
	role, _ := biobank.StockRole(name)
	for _, res := range slices.Sorted(maps.Keys(role.Rights)) {
		acl := aclView{ResourceName: res}
		for _, op := range role.Rights[res] {
			acl.Operations = append(acl.Operations, operationView{OperationName: op})
		}
		v.ACL = append(v.ACL, acl)
	}
	return v
}

func showGrants(c *call, grants []biobank.Grant) (any, error) {
	views := []grantView{}
	for _, g := range grants {
		v, err := showGrant(c, g)
		if err != nil {
			return nil, err
		}
		views = append(views, v)
	}
	return views, nil
}

func showGrant(c *call, g biobank.Grant) (v grantView, err error) {
	v = grantView{ID: g.ID, Role: showRole(g.Role)}
	cp, site := setKey(biobank.Protocol, g.ProtocolID), setKey(biobank.Site, g.SiteID)
	r := c.related()
	if err := r.fetch(cp, site); err != nil {
		return v, err
	}
	if rec := r.recs[cp]; rec != nil {
		doc, err := biobank.Decode[biobank.ProtocolDoc](rec)
		if err != nil {
			return v, err
		}
		if err := r.fetchUsers(doc.PI); err != nil {
			return v, err
		}
		pi, err := r.summary(doc.PI)
		if err != nil {
			return v, err
		}
		v.CollectionProtocol = &grantCPView{rec.ID, doc.ShortTitle, doc.Title, orNull(doc.Code), pi, dayMillis(doc.StartDate)}
	}
	if rec := r.recs[site]; rec != nil {
		v.Site, err = showSite(c, rec)
	}
	return v, err
}

// listGrants shows the roles of oneself, or of anybody to an administrator.
func listGrants(c *call) (any, error) {
	user, doc, err := c.pathUser()
	if err != nil {
		return nil, err
	}
	if user.ID != c.actor.ID && !administers(c.actor, doc) {
		return nil, fault.New("RBAC_ACCESS_DENIED", "You do not have the right to see the roles of this user.")
	}
	return showGrants(c, doc.Roles)
}

// addGrant assigns one role; whether the caller may, and whether site and protocol fit the user, is for the registry.
func addGrant(c *call) (any, error) {
	user, _, err := c.pathUser()
	if err != nil {
		return nil, err
	}
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	g := biobank.Grant{}
	if role := in.object("role"); role != nil {
		g.Role = role.text("name")
	}
	site, cp := in.object("site"), in.object("collectionProtocol")
	if g.SiteID, err = c.siteOf(site); err != nil {
		return nil, err
	}
	if g.ProtocolID, err = c.protocolOf(cp); err != nil {
		return nil, err
	}
	if err := in.err(); err != nil {
		return nil, err
	}
	if g.Role == "" {
		return nil, fault.New("RBAC_ROLE_NAME_REQUIRED", "Give the name of the role.")
	}
	if g.ID, err = c.api.Registry.Store.Reserve(c.Context(), "subjectRole", 1); err != nil {
		return nil, fmt.Errorf("draw the id of a role assignment: %w", err)
	}
	_, err = c.apply(biobank.Update, &biobank.UserDraft{ID: user.ID, Merge: func(doc *biobank.UserDoc) {
		doc.Roles = append(slices.Clone(doc.Roles), g)
	}}, in.text("opComments"))
	if err != nil {
		return nil, err
	}
	return showGrant(c, g)
}

func (c *call) pathUser() (*biobank.Record, biobank.UserDoc, error) {
	id, err := c.pathID("id")
	if err != nil {
		return nil, biobank.UserDoc{}, err
	}
	rec, err := c.api.Registry.Get(c.Context(), c.actor, biobank.User, id)
	if err != nil {
		return nil, biobank.UserDoc{}, err
	}
	doc, err := biobank.Decode[biobank.UserDoc](rec)
	return rec, doc, err
}

// siteOf finds the site that an object names by id or name; none was named gives 0.
func (c *call) siteOf(o *input) (int64, error) {
	if o == nil {
		return 0, nil
	}
	id, name := o.number("id"), o.text("name")
	if id != 0 || name == "" {
		return id, nil
	}
	found, err := find(c, biobank.Site, func(doc biobank.SiteDoc) bool {
		return biobank.Fold(doc.Name) == biobank.Fold(name) && doc.ActivityStatus != biobank.StatusDisabled
	})
	if err == nil && found == 0 {
		return 0, fault.New("SITE_NOT_FOUND", "Site %q was not found.", name)
	}
	return found, err
}

// protocolOf finds the protocol that an object names by id, title or short title; none was named gives 0.
func (c *call) protocolOf(o *input) (int64, error) {
	if o == nil {
		return 0, nil
	}
	id, title, short := o.number("id"), o.text("title"), o.text("shortTitle")
	if id != 0 || title == "" && short == "" {
		return id, nil
	}
	found, err := find(c, biobank.Protocol, func(doc biobank.ProtocolDoc) bool {
		same := biobank.Fold(doc.Title) == biobank.Fold(title)
		if title == "" {
			same = biobank.Fold(doc.ShortTitle) == biobank.Fold(short)
		}
		return same && doc.ActivityStatus != biobank.StatusDisabled
	})
	if err == nil && found == 0 {
		return 0, fault.New("CP_NOT_FOUND", "Collection protocol %q was not found.", title+short)
	}
	return found, err
}

// find looks through a small set for the first member that fits and returns its id, 0 for none.
func find[T any](c *call, t biobank.Type, fits func(T) bool) (int64, error) {
	all, err := c.api.Registry.Store.List(c.Context(), string(t), "", "", 0)
	if err != nil {
		return 0, fmt.Errorf("list %s records: %w", t, err)
	}
	for _, rec := range all {
		doc, err := biobank.Decode[T](rec)
		if err != nil {
			return 0, err
		}
		if fits(doc) {
			return rec.ID, nil
		}
	}
	return 0, nil
}
