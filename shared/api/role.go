package api

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// Roles of users (reference openspecimen-rest.md section 8).

func roles() noun {
	return noun{path: "/rbac/roles", typ: biobank.RoleType, shows: roleView{}, view: func(r *related, rec *biobank.Record) (any, error) {
		all, err := r.allRoles()
		if err != nil {
			return nil, err
		}
		doc, err := biobank.Decode[biobank.RoleDoc](rec)
		return showRole(rec.ID, doc, all), err
	}}
}

func roleRoutes() []route {
	n := roles()
	return []route{
		{pattern: "GET /users/current-user-roles", summary: "List the caller's roles", answers: []grantView{{Site: siteView{}}}, serve: func(c *call) (any, error) { return showGrants(c, c.actor.User.Roles) }},
		{pattern: "GET /rbac/resources", summary: "List what rights are about", answers: []wordView{}, serve: func(*call) (any, error) { return vocabulary(biobank.Resources()), nil }},
		{pattern: "GET /rbac/operations", summary: "List what rights allow", answers: []wordView{}, serve: func(*call) (any, error) { return vocabulary(biobank.Operations()), nil }},
		{pattern: "GET /rbac/permissions", summary: "List what can be allowed of what", answers: []permissionView{}, serve: listPermissions},
		{pattern: "GET /rbac/roles", summary: "List roles", answers: []roleView{}, serve: listRoles},
		{pattern: "GET /rbac/roles/count", summary: "Count roles", answers: countView{}, serve: countRoles},
		{pattern: "GET /rbac/roles/{id}", summary: "Read a role", answers: roleView{}, serve: getRole},
		createRoute(n, func(in *input) biobank.Draft { return roleDraft(in, 0) }),
		changeRoute("PUT", n, roleDraft),
		deleteRoute(removal{noun: n}),
		auditRoute(n),
		{pattern: "GET /rbac/subjects/{id}/roles", summary: "List the roles of a user", answers: []grantView{{Site: siteView{}}}, serve: listGrants},
		{pattern: "POST /rbac/subjects/{id}/roles", summary: "Give a user a role", answers: grantView{Site: siteView{}}, serve: addGrant},
		{pattern: "PUT /rbac/subjects/{id}/roles/{grant}", summary: "Change a role of a user", answers: grantView{Site: siteView{}}, serve: changeGrant},
		{pattern: "DELETE /rbac/subjects/{id}/roles/{grant}", summary: "Take a role from a user", answers: grantView{Site: siteView{}}, serve: dropGrant},
	}
}

type wordView struct {
	Name string `json:"name"`
}

func vocabulary[T ~string](words []T) []wordView {
	var views []wordView
	for _, w := range words {
		views = append(views, wordView{string(w)})
	}
	return views
}

// permissionView is one thing that can be allowed.
type permissionView struct {
	Resource  biobank.Resource  `json:"resourceName"`
	Operation biobank.Operation `json:"operationName"`
}

// listPermissions serves every operation of every resource. The words are part of the program: none can be added.
func listPermissions(*call) (any, error) {
	var all []permissionView
	for _, res := range biobank.Resources() {
		for _, op := range biobank.Operations() {
			all = append(all, permissionView{res, op})
		}
	}
	return all, nil
}

// roleDraft reads a role. Of a resource that is named twice the last one counts. childRoles are not read: each says itself
// which role is above it.
func roleDraft(in *input, id int64) biobank.Draft {
	doc := biobank.RoleDoc{
		Name: in.text("name"), Description: in.text("description"), ActivityStatus: in.text("activityStatus"),
		Rights: map[biobank.Resource][]biobank.Operation{},
	}
	for _, acl := range in.objects("acl") {
		var ops []biobank.Operation
		for _, o := range acl.objects("operations") {
			if op := biobank.Operation(o.text("operationName")); !slices.Contains(ops, op) {
				ops = append(ops, op)
			}
		}
		doc.Rights[biobank.Resource(acl.text("resourceName"))] = ops
	}
	return &biobank.RoleDraft{ID: id, Parent: in.text("parentRoleName"), Doc: doc}
}

// allRoles are the stock roles, as they were changed, and the stored ones, by their ids.
func (r *related) allRoles() (map[int64]biobank.RoleDoc, error) {
	if r.roles != nil {
		return r.roles, nil
	}
	all := map[int64]biobank.RoleDoc{}
	for i, name := range biobank.StockRoleNames() {
		role, _ := biobank.StockRole(name)
		all[int64(i+1)] = biobank.RoleDoc{Name: name, Rights: role.Rights}
	}
	recs, err := r.c.api.Registry.Members(r.c.Context(), r.c.actor, biobank.RoleType)
	if err != nil {
		return nil, err
	}
	for _, rec := range recs {
		if all[rec.ID], err = biobank.Decode[biobank.RoleDoc](rec); err != nil {
			return nil, err
		}
	}
	r.roles = all
	return all, nil
}

// rolesNamed are the roles whose names hold a text, by name.
func (c *call) rolesNamed(name string) ([]roleView, error) {
	all, err := c.related().allRoles()
	if err != nil {
		return nil, err
	}
	views := []roleView{}
	for id, doc := range all {
		if like(doc.Name, name, false) {
			views = append(views, showRole(id, doc, all))
		}
	}
	slices.SortFunc(views, func(a, b roleView) int { return strings.Compare(biobank.Fold(a.Name), biobank.Fold(b.Name)) })
	return views, nil
}

func listRoles(c *call) (any, error) {
	q := c.query()
	name, page := q.text("name"), q.page("startAt", 100)
	if q.wrong != nil {
		return nil, q.wrong
	}
	all, err := c.rolesNamed(name)
	return cut(all, page), err
}

func countRoles(c *call) (any, error) {
	all, err := c.rolesNamed(c.query().text("name"))
	return countView{len(all)}, err
}

func getRole(c *call) (any, error) {
	id, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	all, err := c.related().allRoles()
	if err != nil {
		return nil, err
	}
	doc, ok := all[id]
	if !ok {
		return nil, fault.New("RBAC_ROLE_NOT_FOUND", "Role %d was not found.", id)
	}
	return showRole(id, doc, all), nil
}

// grantView is the assignment of a role; nulls stand for every site and every protocol.
type grantView struct {
	ID                 int64         `json:"id"`
	SystemRole         bool          `json:"systemRole"`
	Role               roleView      `json:"role"`
	CollectionProtocol *protocolItem `json:"collectionProtocol"`
	Site               any           `json:"site"`
}

type roleView struct {
	ID             *int64    `json:"id"`
	Name           string    `json:"name"`
	Description    *string   `json:"description"`
	ParentRoleName *string   `json:"parentRoleName"`
	ChildRoles     []string  `json:"childRoles"`
	ACL            []aclView `json:"acl"`
}

// aclView has no id of its own: what a role allows of a resource is found by the resource.
type aclView struct {
	ID           *int64           `json:"id"`
	ResourceName biobank.Resource `json:"resourceName"`
	Operations   []operationView  `json:"operations"`
}

type operationView struct {
	ResourceInstanceID *int64            `json:"resourceInstanceId"`
	OperationName      biobank.Operation `json:"operationName"`
}

// showRole shows a role, given all there are.
func showRole(id int64, role biobank.RoleDoc, all map[int64]biobank.RoleDoc) roleView {
	v := roleView{
		ID: orNull(id), Name: role.Name, Description: orNull(role.Description), ParentRoleName: orNull(all[role.ParentID].Name),
		ChildRoles: []string{}, ACL: []aclView{},
	}
	for _, one := range all {
		if one.ParentID == id && id != 0 {
			v.ChildRoles = append(v.ChildRoles, one.Name)
		}
	}
	slices.Sort(v.ChildRoles)
	for _, res := range slices.Sorted(maps.Keys(role.Rights)) {
		acl := aclView{ResourceName: res, Operations: []operationView{}}
		for _, op := range role.Rights[res] {
			acl.Operations = append(acl.Operations, operationView{OperationName: op})
		}
		v.ACL = append(v.ACL, acl)
	}
	return v
}

// showGrantedRole shows the role of an assignment by the name it has now.
func (r *related) showGrantedRole(g biobank.Grant) (roleView, error) {
	all, err := r.allRoles()
	return showRole(g.StoredID(), all[g.StoredID()], all), err
}

func showGrants(c *call, grants []biobank.Grant) (any, error) {
	r := c.related()
	views := []grantView{}
	for _, g := range grants {
		v, err := r.grant(g)
		if err != nil {
			return nil, err
		}
		views = append(views, v)
	}
	return views, nil
}

// grant shows an assignment: of its protocol no more than the id to whom neither the right to read it nor the assignment
// itself tells of it.
func (r *related) grant(g biobank.Grant) (v grantView, err error) {
	v = grantView{ID: g.ID}
	if v.Role, err = r.showGrantedRole(g); err != nil {
		return v, err
	}
	cp, site := setKey(biobank.Protocol, g.ProtocolID), setKey(biobank.Site, g.SiteID)
	if err := r.fetch(cp, site); err != nil {
		return v, err
	}
	own := slices.Contains(r.c.actor.User.Roles, g)
	if rec := r.recs[cp]; rec != nil {
		doc, err := biobank.Decode[biobank.ProtocolDoc](rec)
		if err != nil {
			return v, err
		}
		sees, err := r.c.actor.Sees(rec)
		if err != nil {
			return v, err
		}
		if !own && !sees {
			v.CollectionProtocol = &protocolItem{ID: rec.ID}
			return v, r.grantSite(&v, site)
		}
		if err := r.fetchUsers(doc.PI); err != nil {
			return v, err
		}
		item, err := showProtocolItem(r, rec)
		if err != nil {
			return v, err
		}
		v.CollectionProtocol = &item
	}
	return v, r.grantSite(&v, site)
}

func (r *related) grantSite(v *grantView, site biobank.Key) error {
	rec := r.recs[site]
	if rec == nil {
		return nil
	}
	views, err := r.show(sites(), rec)
	if err == nil {
		v.Site = views[0]
	}
	return err
}

// listGrants shows the roles of oneself, or of those whom the caller administers or may manage or assign roles to.
func listGrants(c *call) (any, error) {
	user, doc, err := c.pathUser()
	if err != nil {
		return nil, err
	}
	if user.ID != c.actor.ID && !c.actor.Assigns(&doc) && !c.actor.Manages(biobank.OpRead, &doc) {
		return nil, fault.New("RBAC_ACCESS_DENIED", "You do not have the right to see the roles of this user.")
	}
	return showGrants(c, doc.Roles)
}

// addGrant assigns one role; whether the caller may, and whether site and protocol fit the user, is for the registry.
func addGrant(c *call) (any, error) {
	g, reason, err := c.grant()
	if err != nil {
		return nil, err
	}
	user, doc, err := c.pathUser()
	if err != nil {
		return nil, err
	}
	if c.actor.InstituteAdmin() && user.ID != c.actor.ID && !c.actor.Administers(&doc) {
		return nil, fault.New("RBAC_ACCESS_DENIED", "You do not have the right to change the roles of this user.")
	}
	return c.regrant(user.ID, g, reason, func(all []biobank.Grant) []biobank.Grant { return append(all, g) })
}

// changeGrant serves PUT /rbac/subjects/{id}/roles/{grant}: another role, site or protocol for an assignment.
func changeGrant(c *call) (any, error) {
	g, reason, err := c.grant()
	if err != nil {
		return nil, err
	}
	user, was, err := c.pathGrant()
	if err != nil {
		return nil, err
	}
	g.ID = was.ID
	return c.regrant(user.ID, g, reason, func(all []biobank.Grant) []biobank.Grant {
		if i := slices.IndexFunc(all, func(one biobank.Grant) bool { return one.ID == g.ID }); i >= 0 {
			all[i] = g
		}
		return all
	})
}

// dropGrant serves DELETE /rbac/subjects/{id}/roles/{grant}.
func dropGrant(c *call) (any, error) {
	reason := c.query().text("reason")
	user, was, err := c.pathGrant()
	if err != nil {
		return nil, err
	}
	// Shown as it was: its role may go with it.
	v, err := c.related().grant(was)
	if err != nil {
		return nil, err
	}
	_, err = c.regrant(user.ID, was, reason, func(all []biobank.Grant) []biobank.Grant {
		return slices.DeleteFunc(all, func(one biobank.Grant) bool { return one.ID == was.ID })
	})
	return v, err
}

// grant reads an assignment from the body.
func (c *call) grant() (g biobank.Grant, reason string, err error) {
	in, err := c.body()
	if err != nil {
		return g, "", err
	}
	if role := in.object("role"); role != nil {
		g.Role = role.text("name")
	}
	site, cp, reason := in.siteRef("site"), in.object("collectionProtocol").maybeProtocolRef(), in.text("opComments")
	if err := in.err(); err != nil {
		return g, "", err
	}
	if g.Role == "" {
		return g, "", fault.New("RBAC_ROLE_NAME_REQUIRED", "Give the name of the role.")
	}
	if g.SiteID, err = c.siteOf(site); err != nil {
		return g, "", err
	}
	if g.ProtocolID, err = c.protocolOf(cp); err != nil {
		return g, "", err
	}
	return g, reason, nil
}

// pathGrant reads the assignment that the path names.
func (c *call) pathGrant() (*biobank.Record, biobank.Grant, error) {
	user, doc, err := c.pathUser()
	if err != nil {
		return nil, biobank.Grant{}, err
	}
	id, err := c.pathID("grant")
	if err != nil {
		return nil, biobank.Grant{}, err
	}
	if user.ID != c.actor.ID && !c.actor.Assigns(&doc) {
		return nil, biobank.Grant{}, fault.New("RBAC_ACCESS_DENIED", "You do not have the right to change the roles of this user.")
	}
	for _, g := range doc.Roles {
		if g.ID == id {
			return user, g, nil
		}
	}
	return nil, biobank.Grant{}, fault.New("RBAC_SUBJECT_ROLE_NOT_FOUND", "The user has no role assignment %d.", id)
}

// regrant changes the assignments of a user and shows the one that it is about: the last one, where it is new.
func (c *call) regrant(user int64, g biobank.Grant, reason string, change func([]biobank.Grant) []biobank.Grant) (any, error) {
	rec, err := c.apply(biobank.Change{Op: biobank.Update, ByID: true, Reason: reason, Draft: &biobank.UserDraft{
		ID: user, Merge: func(doc *biobank.UserDoc) { doc.Roles = change(slices.Clone(doc.Roles)) },
	}})
	if err != nil {
		return nil, err
	}
	doc, err := biobank.Decode[biobank.UserDoc](rec)
	if err != nil {
		return nil, err
	}
	for i, stored := range doc.Roles {
		if stored.ID == g.ID || g.ID == 0 && i == len(doc.Roles)-1 {
			g = stored // with its id and that of its role
		}
	}
	return c.related().grant(g)
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

// siteRef names a site, by id or name.
type siteRef struct {
	id   int64
	name string
}

// siteRef reads a reference to a site (reference openspecimen-rest.md 4.4), nil for null.
func (in *input) siteRef(name string) *siteRef {
	o := in.object(name)
	if o == nil {
		return nil
	}
	return &siteRef{cmp.Or(o.number("id"), o.number("siteId")), cmp.Or(o.text("name"), o.text("siteName"))}
}

// maybeProtocolRef reads a reference to a protocol, nil for null.
func (in *input) maybeProtocolRef() *biobank.ProtocolRef {
	if in == nil {
		return nil
	}
	ref := in.asProtocolRef()
	return &ref
}

// siteOf finds the site of a reference; null gives 0. One that names nothing is refused: without a site a role counts at
// every one.
func (c *call) siteOf(ref *siteRef) (int64, error) {
	switch {
	case ref == nil:
		return 0, nil
	case ref.id != 0:
		return ref.id, nil
	case ref.name == "":
		return 0, fault.New("SITE_NOT_FOUND", "Give the id or the name of the site, or null for every site.")
	}
	id, err := siteNamed(c, ref.name)
	if err == nil && id == 0 {
		err = notNamed("SITE_NOT_FOUND", "Site", ref.name)
	}
	return id, err
}

// protocolOf finds the protocol of a reference; null gives 0, and one that names nothing is refused.
func (c *call) protocolOf(ref *biobank.ProtocolRef) (int64, error) {
	switch {
	case ref == nil:
		return 0, nil
	case !ref.Sent():
		return 0, fault.New("CP_NOT_FOUND", "Give the id, title or shortTitle of the collection protocol, or null for every one.")
	}
	return c.api.Registry.ProtocolOf(c.Context(), c.actor, *ref)
}
