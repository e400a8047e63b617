package biobank

import (
	"reflect"
	"slices"

	"aliquot/shared/fault"
)

// Users by whoever holds rights on users (reference openspecimen-rest.md section 8: the resource User guards "the like-named
// modules", and "the assigner must hold User-update rights for that site/CP"). Which users such a right reaches the reference
// leaves open. Here users are of no protocol, so that an assignment in one reaches assignments in it and no user; one for all
// sites reaches the plain users and contacts of the own institute, one for a site those whose primary site it is. Nobody
// changes the own account or assignments in this way, but for what others need to reach them (ownProfile), and nobody who is
// no administrator makes administrators, opens drop folders or lets users manage forms. Whose role may be given, the reference
// does not say: any, at the places where the assigner may.

// plain tells whether a user of the actor's institute is no administrator.
func (a *Actor) plain(u *UserDoc) bool {
	return u.InstituteID == a.User.InstituteID && (u.Type == UserNone || u.Type == UserContact)
}

// Manages tells whether the actor may do something with a user, as an administrator or by a right on users.
func (a *Actor) Manages(op Operation, u *UserDoc) bool {
	return a.Administers(u) || a.plain(u) && slices.ContainsFunc(a.User.Roles, func(g Grant) bool {
		return g.ProtocolID == 0 && (g.SiteID == 0 || g.SiteID == u.PrimarySiteID) && slices.Contains(a.roles[g.StoredID()].Rights[ResUser], op)
	})
}

// Assigns tells whether there may be assignments of a user that the actor may change: then all may be seen.
func (a *Actor) Assigns(u *UserDoc) bool {
	return a.Administers(u) || a.plain(u) && slices.ContainsFunc(a.User.Roles, func(g Grant) bool {
		return slices.Contains(a.roles[g.StoredID()].Rights[ResUser], OpUpdate)
	})
}

// mayAssign is nil where the actor, who is no administrator, may give an assignment to a user or take it.
func (a *Actor) mayAssign(u *UserDoc, g Grant) error {
	may := func(own Grant) bool {
		here := own.SiteID == 0 && (g.SiteID == 0 || a.sites[g.SiteID]) || own.SiteID == g.SiteID
		return here && (own.ProtocolID == 0 || own.ProtocolID == g.ProtocolID) && slices.Contains(a.roles[own.StoredID()].Rights[ResUser], OpUpdate)
	}
	switch {
	case a.plain(u) && slices.ContainsFunc(a.User.Roles, may):
		return nil
	case g.ProtocolID != 0 && a.Assigns(u):
		return fault.New("CP_USER_UPDATE_RIGHTS_REQUIRED", "You do not have the right to change users in the collection protocol of the role.")
	}
	return denied("give or take this role")
}

// allowed is nil where the batch's actor may change a user, nil for a new one, from was to is.
func (d *UserDraft) allowed(b *Batch, rec *Record, was, is *UserDoc) error {
	a, refused := b.actor, adminOnly("create or change users of this institute")
	switch {
	case a.Super():
		return nil
	case a.InstituteAdmin():
		if is.InstituteID != a.User.InstituteID || rec != nil && was.InstituteID != is.InstituteID {
			return refused
		}
		if is.Type == UserSuper || was.Type == UserSuper {
			return adminOnly("create or change super administrators")
		}
		return nil
	case rec != nil && rec.ID == a.ID:
		return ownProfile(was, is)
	}
	var assigned []Grant
	for _, g := range slices.Concat(was.Roles, is.Roles) {
		if !slices.Contains(was.Roles, g) || !slices.Contains(is.Roles, g) {
			assigned = append(assigned, g)
		}
	}
	one, other := *was, *is
	one.Roles, other.Roles = nil, nil
	if len(assigned) == 0 || !reflect.DeepEqual(one, other) {
		op := OpUpdate
		if rec == nil {
			op = OpCreate
		}
		if !a.Manages(op, is) || rec != nil && !a.Manages(op, was) {
			return refused
		}
		if is.ManageForms != was.ManageForms || !reflect.DeepEqual(is.DropFolder, was.DropFolder) {
			return adminOnly("let users manage forms or have a drop folder")
		}
	}
	for _, g := range assigned {
		if err := a.mayAssign(is, g); err != nil {
			return err
		}
	}
	return nil
}

// ownProfile is nil where only that is changed which all may change of themselves: name, telephone, address, time zone and
// whether they want to be disturbed. Their e-mail address is how others find them, and changed by an administrator (section
// 22: USER_EMAIL_SELF_UPDATE_NA).
func ownProfile(was, is *UserDoc) error {
	one := *was
	one.FirstName, one.LastName, one.PhoneNumber, one.Address, one.TimeZone, one.DND = is.FirstName, is.LastName, is.PhoneNumber, is.Address, is.TimeZone, is.DND
	if reflect.DeepEqual(one, *is) {
		return nil
	}
	if one.EmailAddress = is.EmailAddress; reflect.DeepEqual(one, *is) {
		return fault.New("USER_EMAIL_SELF_UPDATE_NA", "Your own e-mail address is changed by an administrator.")
	}
	return adminOnly("change more of yourself than name, telephone, address, time zone and do-not-disturb")
}
