package clinical

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// The small sets that decide on rights: the grants of a user lie at the user's id, custom roles at their folded names.
const (
	GrantsType biobank.Type = "study.user"
	RoleType   biobank.Type = "study.role"
)

// Grants is what a user was given.
type Grants struct {
	Grants []Grant `json:"grants"`
}

// CustomRole is a role by a name of one's own.
type CustomRole struct {
	Name string `json:"name"`
	Role Role   `json:"role"`
}

func roleKey(name string) biobank.Key {
	return biobank.Key{Part: string(RoleType), Sort: escape(strings.ToLower(name))}
}

// Actor is a user with the roles in studies, read for one request and never cached beyond.
type Actor struct {
	*biobank.Actor
	grants []Grant
}

// Actor reads the roles of a user, strongly: one read, and one more where custom roles are among them.
func (r *Registry) Actor(ctx context.Context, a *biobank.Actor) (*Actor, error) {
	if a.Super() {
		return &Actor{Actor: a}, nil // manages everything
	}
	_, grants, err := r.grants(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	grants, err = r.resolved(ctx, grants)
	return &Actor{Actor: a, grants: grants}, err
}

// grants reads what a user was given; the record is nil for one who never was.
func (r *Registry) grants(ctx context.Context, user int64) (*biobank.Record, []Grant, error) {
	key := biobank.SetKey(GrantsType, user)
	recs, err := r.Store.Records(ctx, []biobank.Key{key}, true)
	if err != nil {
		return nil, nil, fmt.Errorf("read the roles of user %d: %w", user, err)
	}
	doc, err := biobank.Decode[Grants](recs[key])
	return recs[key], doc.Grants, err
}

// resolved gives grants of custom roles the rights that those have now.
func (r *Registry) resolved(ctx context.Context, grants []Grant) ([]Grant, error) {
	var keys []biobank.Key
	for _, g := range grants {
		if k := roleKey(g.Name); g.Name != "" && !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return grants, nil
	}
	recs, err := r.Store.Records(ctx, keys, true)
	if err != nil {
		return nil, fmt.Errorf("read custom roles: %w", err)
	}
	grants = slices.Clone(grants)
	for i := range grants {
		if g := &grants[i]; g.Name != "" {
			role, err := biobank.Decode[CustomRole](recs[roleKey(g.Name)])
			if err != nil {
				return nil, err
			}
			g.Role = role.Role
		}
	}
	return grants, nil
}

// Role is the actor's role at a place: that at the site, else that in the study, which counts for all its sites. It is empty
// where there is none (section 1.3). Super administrators of the biobank are data managers everywhere.
func (a *Actor) Role(p *Place) Role { return a.grant(p).Role }

// RoleName is Role by the name that it was given under, which is its own for a custom role.
func (a *Actor) RoleName(p *Place) string {
	g := a.grant(p)
	return cmp.Or(g.Name, string(g.Role))
}

// grant is that by which the actor has a role at a place.
func (a *Actor) grant(p *Place) (of Grant) {
	if a.Super() {
		return Grant{Role: DataManager}
	}
	for _, g := range a.grants {
		switch {
		case g.Study == p.Site.ID:
			return g
		case g.Study == p.Study.ID:
			of = g
		}
	}
	return of
}

// below tells whether the actor has a role at a site of the study, whichever.
func (a *Actor) below(p *Place) bool {
	return slices.ContainsFunc(a.grants, func(g Grant) bool { return g.Of == p.Study.ID })
}

// Sees tells which sites of a study the actor sees: all, or those that only counts true.
func (a *Actor) Sees(study *Held) (all bool, only map[int64]bool) {
	if a.Role(&Place{Study: study, Site: study}) != "" {
		return true, nil
	}
	only = map[int64]bool{}
	for _, g := range a.grants {
		if g.Of == study.ID {
			only[g.Study] = true
		}
	}
	return false, only
}

// MayRead is nil for whoever has a role there, or at a site of the study that is asked for: then only that site's data are
// seen.
func (a *Actor) MayRead(p *Place) error {
	if a.Role(p) == "" && (p.IsSite() || !a.below(p)) {
		return NoRoleSetUp
	}
	return nil
}

// Reader is the id of the user with a login name who may read at a place, 0 for nobody: only such a one says something in
// notes, or is asked.
func (r *Registry) Reader(ctx context.Context, users *biobank.Registry, p *Place, login string) (int64, error) {
	rec, err := users.UserByLogin(ctx, biobank.Domain, login)
	if err != nil || rec == nil {
		return 0, err
	}
	user, err := users.Actor(ctx, rec.ID)
	if len(fault.All(err)) > 0 {
		return 0, nil // may not act any more
	}
	if err != nil {
		return 0, err
	}
	actor, err := r.Actor(ctx, user)
	if err != nil || actor.MayRead(p) != nil {
		return 0, err
	}
	return rec.ID, nil
}

// MayChange is nil for a role that changes data there (section 2.3, checks 7 and 8). Who has a role at sites only is
// refused the study.
func (a *Actor) MayChange(p *Place) error {
	role := a.Role(p)
	switch {
	case role == "" && (p.IsSite() || !a.below(p)):
		return NoRoleSetUp
	case !role.Imports():
		return NoSufficientPrivileges
	}
	return nil
}

// MayManage is nil for data managers of the study: they change metadata, states, sites and roles.
func (a *Actor) MayManage(p *Place) error {
	study := &Place{Study: p.Study, Site: p.Study}
	if a.Role(study) == DataManager {
		return nil
	}
	if err := a.MayRead(p); err != nil {
		return err
	}
	return NoSufficientPrivileges
}

// at tells whether a role is one that a study, or a site, has (section 1.3).
func (r Role) at(site bool) bool {
	switch r {
	case DataManager, DataEntryPerson, DataSpecialist:
		return !site
	case ClinicalResearch:
		return site
	case Investigator, Monitor, Viewer:
		return true
	}
	return false
}

// UserGrants tells what a user, by id, was given in the study of a place and at its sites.
func (r *Registry) UserGrants(ctx context.Context, by *Actor, p *Place, user int64) ([]Grant, error) {
	if err := by.MayManage(p); err != nil && by.ID != user {
		return nil, err
	}
	_, grants, err := r.grants(ctx, user)
	if err != nil {
		return nil, err
	}
	grants, err = r.resolved(ctx, grants)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(grants, func(g Grant) bool { return g.Study != p.Site.ID && (g.Of != p.Site.ID || p.IsSite()) }), nil
}

// level is what a role is given for.
func level(site bool) string {
	if site {
		return "site"
	}
	return "study"
}

// SetGrant gives a user, by id, a role at a place instead of the one that was held there; an empty role takes it away. The
// role is one of the stock roles or a custom one, by its name.
func (r *Registry) SetGrant(ctx context.Context, by By, p *Place, user int64, role string) error {
	if err := by.MayManage(p); err != nil {
		return err
	}
	g := Grant{Study: p.Site.ID, Role: Role(role)}
	if p.IsSite() {
		g.Of = p.Study.ID
	}
	if role != "" && !Role(role).known() {
		custom, err := r.customRole(ctx, role)
		if err != nil {
			return err
		}
		g.Role, g.Name = custom.Role, custom.Name
	}
	if role != "" && !g.Role.at(p.IsSite()) {
		return fault.New("STUDY_ROLE_INVALID", "The role %q is not one for a %s.", role, level(p.IsSite()))
	}
	return again(func() error {
		rec, grants, err := r.grants(ctx, user)
		if err != nil {
			return err
		}
		grants = slices.DeleteFunc(slices.Clone(grants), func(old Grant) bool { return old.Study == g.Study })
		if role != "" {
			grants = append(grants, g)
		}
		const most = 500 // so that they fit into an item
		if len(grants) > most {
			return fault.New("STUDY_ROLE_INVALID", "The user has roles in %d studies and sites already.", most)
		}
		slices.SortFunc(grants, func(a, b Grant) int { return int(a.Study - b.Study) })
		var writes []biobank.Write
		if rec == nil {
			rec, err = by.begin(biobank.SetKey(GrantsType, user), GrantsType, user, Grants{grants})
			writes = []biobank.Write{{Kind: biobank.InsertRecord, Record: rec}}
		} else {
			writes, err = by.revise(rec, Grants{grants})
		}
		if err != nil {
			return err
		}
		return r.transact(ctx, writes, nil)
	})
}

func (r Role) known() bool { return r.at(true) || r.at(false) }

func (r *Registry) customRole(ctx context.Context, name string) (CustomRole, error) {
	key := roleKey(name)
	if len(name) > maxRoleName {
		return CustomRole{}, noRole(name)
	}
	recs, err := r.Store.Records(ctx, []biobank.Key{key}, true)
	if err != nil {
		return CustomRole{}, fmt.Errorf("read a custom role: %w", err)
	}
	if recs[key] == nil {
		return CustomRole{}, noRole(name)
	}
	return biobank.Decode[CustomRole](recs[key])
}

func noRole(name string) error {
	return fault.New("STUDY_ROLE_INVALID", "There is no role %q.", name)
}

// CustomRoles lists the roles that were added to the stock ones, by name.
func (r *Registry) CustomRoles(ctx context.Context) ([]CustomRole, error) {
	recs, err := r.Store.List(ctx, string(RoleType), "", "", 0)
	if err != nil {
		return nil, fmt.Errorf("list custom roles: %w", err)
	}
	var all []CustomRole
	for _, rec := range recs {
		role, err := biobank.Decode[CustomRole](rec)
		if err != nil {
			return nil, err
		}
		all = append(all, role)
	}
	return all, nil
}

const maxRoleName = 60

// PutCustomRole makes a role by another name, or gives it the rights of another stock role from now on: of one that studies and
// sites have where it is given. Custom roles count in every study, so they are for super administrators to make.
func (r *Registry) PutCustomRole(ctx context.Context, by By, role CustomRole) error {
	if !by.Super() {
		return NoSufficientPrivileges
	}
	role.Name = strings.TrimSpace(role.Name)
	switch {
	case role.Name == "" || len(role.Name) > maxRoleName:
		return fault.New("STUDY_ROLE_INVALID", "The name of a role has at least one and at most %d characters.", maxRoleName)
	case Role(role.Name).known():
		return fault.New("STUDY_ROLE_INVALID", "%q is a stock role and stays as it is.", role.Name)
	case !role.Role.known():
		return noRole(string(role.Role))
	}
	key := roleKey(role.Name)
	return again(func() error {
		recs, err := r.Store.Records(ctx, []biobank.Key{key}, true)
		if err != nil {
			return fmt.Errorf("read a custom role: %w", err)
		}
		var writes []biobank.Write
		if rec := recs[key]; rec != nil {
			if err := r.fits(ctx, role); err != nil {
				return err
			}
			writes, err = by.revise(rec, role)
		} else {
			var id int64
			if id, err = r.Store.Reserve(ctx, string(RoleType), 1); err != nil {
				return fmt.Errorf("draw a role id: %w", err)
			}
			if rec, err = by.begin(key, RoleType, id, role); err == nil {
				writes = []biobank.Write{{Kind: biobank.InsertRecord, Record: rec}}
			}
		}
		if err != nil {
			return err
		}
		return r.transact(ctx, writes, nil)
	})
}

// fits refuses to a custom role the rights that one cannot have where it is given. It lists all that was given, of which there
// is one record a user.
func (r *Registry) fits(ctx context.Context, role CustomRole) error {
	return r.eachGrant(ctx, func(_ int64, g Grant) error {
		if site := g.Of != 0; roleKey(g.Name) == roleKey(role.Name) && !role.Role.at(site) {
			return fault.New("STUDY_ROLE_INVALID", "The role %q is given for a %s, which has no %s.", role.Name, level(site), role.Role)
		}
		return nil
	})
}

// Imports tells whether the actor may change data anywhere.
func (a *Actor) Imports() bool {
	return a.Super() || slices.ContainsFunc(a.grants, func(g Grant) bool { return g.Role.Imports() })
}

// Holders are the ids of the users with a role at the study or site, by its id.
func (r *Registry) Holders(ctx context.Context) (map[int64][]int64, error) {
	ids := map[int64][]int64{}
	return ids, r.eachGrant(ctx, func(user int64, g Grant) error {
		ids[g.Study] = append(ids[g.Study], user)
		return nil
	})
}

// eachGrant tells do what each user was given, until it refuses.
func (r *Registry) eachGrant(ctx context.Context, do func(user int64, g Grant) error) error {
	recs, err := r.Store.List(ctx, string(GrantsType), "", "", 0)
	if err != nil {
		return fmt.Errorf("list roles: %w", err)
	}
	for _, rec := range recs {
		doc, err := biobank.Decode[Grants](rec)
		if err != nil {
			return err
		}
		for _, g := range doc.Grants {
			if err := do(rec.ID, g); err != nil {
				return err
			}
		}
	}
	return nil
}
