package odmapi

import (
	"cmp"

	"aliquot/shared/biobank"
	"aliquot/shared/clinical"
	"aliquot/shared/fault"
)

// Roles in studies and at sites (section 1.3). The endpoints are ours.

func roleRoutes() []route {
	return []route{
		{pattern: "GET /studies/{study}/users/{login}", serve: showGrants},
		{pattern: "PUT /studies/{study}/users/{login}", serve: putGrant},
		{pattern: "GET /roles", serve: listRoles},
		{pattern: "PUT /roles/{name}", serve: putRole},
	}
}

type grantsView struct {
	Login string      `json:"login"`
	Roles []grantView `json:"roles"`
}

type grantView struct {
	StudyOID string `json:"studyOid"`
	// Role is the name it was given under, Acts the stock role of a custom one.
	Role string `json:"role"`
	Acts string `json:"acts,omitempty"`
}

// user finds the user of the path.
func (c *call) user() (int64, error) {
	login := c.PathValue("login")
	rec, err := c.api.Users.UserByLogin(c.Context(), biobank.Domain, login)
	if err != nil {
		return 0, err
	}
	if rec == nil {
		return 0, fault.New("USER_NOT_FOUND", "There is no user %q.", login)
	}
	return rec.ID, nil
}

// showGrants answers with the roles that a user has in a study and at its sites, to its data managers and to the user.
func showGrants(c *call) (any, error) {
	p, err := c.place()
	if err != nil {
		return nil, err
	}
	if own := biobank.Fold(c.PathValue("login")) == biobank.Fold(c.actor.User.LoginName); !own {
		if err := c.actor.MayManage(p); err != nil {
			return nil, err
		}
	}
	id, err := c.user()
	if err != nil {
		return nil, err
	}
	return c.grants(p, id)
}

func (c *call) grants(p *clinical.Place, user int64) (any, error) {
	grants, err := c.api.Registry.UserGrants(c.Context(), c.actor, p, user)
	if err != nil {
		return nil, err
	}
	oids := map[int64]string{p.Site.ID: p.Site.OID}
	if len(grants) > 0 && !p.IsSite() {
		sites, err := c.api.Registry.Sites(c.Context(), p.Study.ID)
		if err != nil {
			return nil, err
		}
		for _, s := range sites {
			oids[s.ID] = s.OID
		}
	}
	view := grantsView{Login: c.PathValue("login"), Roles: []grantView{}}
	for _, g := range grants {
		one := grantView{StudyOID: oids[g.Study], Role: cmp.Or(g.Name, string(g.Role))}
		if g.Name != "" {
			one.Acts = string(g.Role)
		}
		view.Roles = append(view.Roles, one)
	}
	return view, nil
}

// putGrant gives a user the role {"role"} in the study, or at the site, of the path instead of the one held there; "" takes
// it away.
func putGrant(c *call) (any, error) {
	var in struct {
		Role *string `json:"role"`
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if in.Role == nil {
		return nil, fault.New("STUDY_ROLE_INVALID", "Name the role, or an empty one to take it away.")
	}
	p, err := c.api.Registry.Place(c.Context(), c.PathValue("study"))
	if err != nil {
		return nil, err
	}
	if err := c.actor.MayManage(p); err != nil { // before it is told whether there is such a user
		return nil, err
	}
	id, err := c.user()
	if err != nil {
		return nil, err
	}
	if err := c.api.Registry.SetGrant(c.Context(), c.by(), p, id, *in.Role); err != nil {
		return nil, err
	}
	return c.grants(p, id)
}

type roleView struct {
	Name string        `json:"name"`
	Acts clinical.Role `json:"acts"`
}

// listRoles answers with the custom roles.
func listRoles(c *call) (any, error) {
	roles, err := c.api.Registry.CustomRoles(c.Context())
	if err != nil {
		return nil, err
	}
	views := make([]roleView, len(roles))
	for i, r := range roles {
		views[i] = roleView{r.Name, r.Role}
	}
	return views, nil
}

// putRole makes a custom role that has the rights of the stock role {"acts"}, or gives it those.
func putRole(c *call) (any, error) {
	var in struct {
		Acts clinical.Role `json:"acts"`
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	role := clinical.CustomRole{Name: c.PathValue("name"), Role: in.Acts}
	if err := c.api.Registry.PutCustomRole(c.Context(), c.by(), role); err != nil {
		return nil, err
	}
	return roleView{role.Name, role.Role}, nil
}
