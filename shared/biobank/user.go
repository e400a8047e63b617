package biobank

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"aliquot/shared/fault"
)

// UserDoc is a user (reference openspecimen-rest.md section 7), with the roles of section 8 and the switch for drop
// folders. The password is not here: it lies in the sessions table, which no importer can read.
type UserDoc struct {
	FirstName      string  `json:"firstName"`
	LastName       string  `json:"lastName"`
	EmailAddress   string  `json:"emailAddress"`
	DomainName     string  `json:"domainName"`
	LoginName      string  `json:"loginName"`
	InstituteID    int64   `json:"instituteId,omitempty"`
	PrimarySiteID  int64   `json:"primarySiteId,omitempty"`
	Type           string  `json:"type"`
	PhoneNumber    string  `json:"phoneNumber,omitempty"`
	Address        string  `json:"address,omitempty"`
	TimeZone       string  `json:"timeZone,omitempty"`
	ManageForms    bool    `json:"manageForms,omitempty"`
	DND            bool    `json:"dnd,omitempty"`
	DropFolder     *bool   `json:"dropFolder,omitempty"` // see Drops
	APIUser        bool    `json:"apiUser,omitempty"`
	IPRange        string  `json:"ipRange,omitempty"` // see MayComeFrom
	Roles          []Grant `json:"roles,omitempty"`
	ActivityStatus string  `json:"activityStatus"`
	// Ended counts how often the user ceased to be one who may sign in: a session that was begun before is dead, also when
	// the user may sign in again.
	Ended int64 `json:"ended,omitempty"`
}

// MayManageForms tells whether the user may make and change forms: administrators always, contacts never, others where it
// was set.
func (u *UserDoc) MayManageForms() bool {
	switch u.Type {
	case UserSuper, UserInstitute:
		return true
	case UserContact:
		return false
	}
	return u.ManageForms
}

// MaySignIn tells whether the state of the user allows to sign in and to act.
func (u *UserDoc) MaySignIn() bool {
	return u.ActivityStatus == StatusActive && u.Type != UserContact
}

// Grant gives a user the rights of a role at a site (0: every site of the user's institute) in a protocol (0: every one).
type Grant struct {
	ID         int64  `json:"id"`
	SiteID     int64  `json:"siteId,omitempty"`
	ProtocolID int64  `json:"cpId,omitempty"`
	Role       string `json:"role"`
	// RoleID is that of a stored role, 0 for a stock one; Role is the name that it had when it was assigned.
	RoleID int64 `json:"roleId,omitempty"`
}

// Drops tells whether files in the user's drop folder are imported. Unless it was set, they are for everybody but super
// administrators: whoever may write into the folder acts with its owner's rights.
func (u *UserDoc) Drops() bool {
	if u.DropFolder != nil {
		return *u.DropFolder
	}
	return u.Type != UserSuper
}

// MayComeFrom tells whether the user may sign in from an address: anybody from anywhere, but who has a range from there
// alone.
func (u *UserDoc) MayComeFrom(address string) bool {
	if u.IPRange == "" {
		return true
	}
	all, err := ipRange(u.IPRange)
	if err != nil {
		return false
	}
	if at, err := netip.ParseAddrPort(address); err == nil {
		address = at.Addr().String()
	}
	from, err := netip.ParseAddr(address)
	return err == nil && all.Contains(from.Unmap())
}

// ipRange reads a range of addresses, as in 10.1.0.0/16, or a single one.
func ipRange(text string) (netip.Prefix, error) {
	if one, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(one, one.BitLen()), nil
	}
	return netip.ParsePrefix(text)
}

// The user types.
const (
	UserSuper     = "SUPER"
	UserInstitute = "INSTITUTE"
	UserContact   = "CONTACT"
	UserNone      = "NONE"
)

// Domain is the built-in authentication domain.
const Domain = "openspecimen"

// The seeded ids that clients know (section 1, Ids).
const (
	SystemUserID = 1
	AdminUserID  = 2
)

var (
	uniqueEmail = &unique{"USER_DUP_EMAIL", "A user with the same e-mail address, %q, exists already.", func(r *Record, v string) (bool, error) {
		d, err := Decode[UserDoc](r)
		return Fold(d.EmailAddress) == Fold(v) && d.ActivityStatus != StatusDisabled, err
	}}
	uniqueLogin = &unique{"USER_DUP_LOGIN_NAME", "A user with the same login name, %q, exists already.", func(r *Record, v string) (bool, error) {
		d, err := Decode[UserDoc](r)
		return Fold(d.LoginName) == Fold(v) && d.ActivityStatus != StatusDisabled, err
	}}
)

func (d *UserDraft) want(_ context.Context, b *Batch, c *Change) error {
	b.wantMember(c, User, d.ID, d.Doc.EmailAddress, emailMark)
	return nil
}

func (d *UserDraft) read(_ context.Context, b *Batch, c *Change) error {
	b.wantMemberRec(c, d.Doc.EmailAddress, emailMark)
	return nil
}

func (d *UserDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	rec, was, is, err := begin(ctx, b, c, o, sought{User, d.ID, d.Doc.EmailAddress, emailMark, uniqueEmail}, &d.Doc, d.Merge)
	if is == nil || err != nil {
		return err
	}
	if rec != nil && gone(is.ActivityStatus) {
		return d.remove(ctx, b, c, o, rec, &was)
	}
	var l fault.List
	if rec == nil {
		cannotBegin(&l, is.ActivityStatus)
	}
	if err := d.references(ctx, b, &l, &was, is); err != nil {
		return err
	}
	if is.FirstName == "" && (rec == nil || was.FirstName != "") { // contacts could once be without
		l.Add("USER_FIRST_NAME_REQUIRED", "Give the First Name.")
	}
	d.check(&l, is)
	if is.Type == UserContact && is.DomainName == "" {
		is.DomainName = was.DomainName // which a contact needs not, and keeps
	}
	is.end(&was)
	if err := d.allowed(b, rec, &was, is); err != nil {
		return err
	}
	if rec != nil && b.actor.Super() && rec.ID == b.actor.ID && (is.Type != UserSuper || !is.MaySignIn()) {
		return notOneself()
	}
	if len(l) > 0 {
		return l
	}
	if err := b.numberGrants(ctx, c, is.Roles); err != nil {
		return err
	}
	if rec == nil {
		id, err := b.memberID(ctx, c, User, d.ID)
		if err != nil {
			return err
		}
		key := SetKey(User, id)
		b.claim(c, uniqueEmail, is.EmailAddress, emailMark(is.EmailAddress), key, id, "")
		if is.LoginName != "" {
			b.claim(c, uniqueLogin, is.LoginName, loginMark(is.DomainName, is.LoginName), key, id, "")
		}
		return b.insert(c, User, key, id, is, o)
	}
	if is.ActivityStatus == UserPending && was.ActivityStatus != UserPending {
		return fault.New("USER_STATUS_CHANGE_NOT_ALLOWED", "Only a user who has signed up and waits is Pending.")
	}
	if is.DomainName != was.DomainName && was.DomainName != "" {
		return fault.New("USER_DOMAIN_CHANGE_NOT_ALLOWED", "The domain of a user cannot be changed.")
	}
	if err := b.reclaim(ctx, c, uniqueEmail, was.EmailAddress, is.EmailAddress, emailMark, rec); err != nil {
		return err
	}
	if err := d.relogin(ctx, b, c, rec, &was, is); err != nil {
		return err
	}
	return b.change(c, rec, is, o)
}

// relogin plans the marks of a login name that changes, or that gets its domain.
func (d *UserDraft) relogin(ctx context.Context, b *Batch, c *Change, rec *Record, was, is *UserDoc) error {
	old, name := loginMark(was.DomainName, was.LoginName), loginMark(is.DomainName, is.LoginName)
	if old == name {
		return nil
	}
	if is.LoginName != "" {
		b.claim(c, uniqueLogin, is.LoginName, name, rec.Key, rec.ID, "")
	}
	if was.LoginName == "" {
		return nil
	}
	return b.release(ctx, old, rec.Key)
}

// notOneself keeps a system from being left without a super administrator: who is one stays one until another says
// otherwise.
func notOneself() *fault.Fault {
	return fault.New("USER_PERMISSION_DENIED", "A super administrator cannot end the own rights. Another one can.")
}

// end ends the sessions of a user who may no longer sign in.
func (u *UserDoc) end(was *UserDoc) {
	u.Ended = was.Ended
	if was.MaySignIn() && !u.MaySignIn() {
		u.Ended++
	}
}

// remove plans the deletion of a user, who must lead nothing any more.
func (d *UserDraft) remove(ctx context.Context, b *Batch, c *Change, o *Outcome, rec *Record, is *UserDoc) error {
	switch {
	case rec.ID == SystemUserID:
		return fault.New("USER_PERMISSION_DENIED", "The System user cannot be deleted.")
	case b.actor.administers(is), rec.ID != b.actor.ID && b.actor.Manages(OpDelete, is):
	default:
		return adminOnly("delete this user")
	}
	if err := b.unreferenced(ctx, c, rec, "USER_REF_ENTITY_FOUND"); err != nil {
		return err
	}
	if b.actor.Super() && rec.ID == b.actor.ID {
		return notOneself()
	}
	domain := is.DomainName
	if is.MaySignIn() {
		is.Ended++
	}
	return b.retire(ctx, c, o, rec, is, &is.ActivityStatus, freed{&is.EmailAddress, 255, emailMark},
		freed{&is.LoginName, 255, func(s string) string { return loginMark(domain, s) }})
}

// references resolves the institute, the site and the places of the roles.
func (d *UserDraft) references(ctx context.Context, b *Batch, l *fault.List, was, is *UserDoc) error {
	if d.Institute != "" {
		id, err := b.instituteID(ctx, d.Institute)
		if fault.All(err) != nil {
			l.Append(err)
		} else if err != nil {
			return err
		}
		is.InstituteID = id
	}
	if d.PrimarySite != "" {
		id, err := b.siteID(ctx, d.PrimarySite)
		if fault.All(err) != nil {
			l.Append(err)
		} else if err != nil {
			return err
		}
		is.PrimarySiteID = id
	}
	if err := b.open(ctx, l, Institute, was.InstituteID, is.InstituteID); err != nil {
		return err
	}
	if err := b.open(ctx, l, Site, was.PrimarySiteID, is.PrimarySiteID); err != nil {
		return err
	}
	moved := is.InstituteID != was.InstituteID
	if is.PrimarySiteID != 0 && (moved || is.PrimarySiteID != was.PrimarySiteID) {
		site, err := b.siteDoc(ctx, is.PrimarySiteID)
		if err != nil {
			return err
		}
		if is.InstituteID != 0 && site.InstituteID != is.InstituteID {
			l.Add("SITE_NOT_FOUND", "The primary site %q is not one of the user's institute.", site.Name)
		}
	}
	if d.Grants != nil {
		var err error
		if is.Roles, err = d.granted(ctx, b, l, was); err != nil {
			return err
		}
	}
	for i := range is.Roles {
		g := &is.Roles[i]
		if !moved && slices.Contains(was.Roles, *g) {
			continue // checked when it was assigned
		}
		if err := d.grant(ctx, b, l, is, g); err != nil {
			return err
		}
	}
	return nil
}

// grant checks one role assignment (reference openspecimen-rest.md section 8, Checks).
func (d *UserDraft) grant(ctx context.Context, b *Batch, l *fault.List, is *UserDoc, g *Grant) error {
	if name, ok := stockRoleName(g.Role); ok {
		g.Role = name
	}
	if g.StoredID() == 0 {
		if err := told(l, assign(&g.RoleID)(b.role(ctx, g.Role))); err != nil {
			return err
		}
	}
	ours := func(site int64) (bool, error) {
		doc, err := b.siteDoc(ctx, site)
		return doc.InstituteID == is.InstituteID && doc.ActivityStatus != StatusDisabled && site != 0, err
	}
	if g.SiteID != 0 {
		ok, err := ours(g.SiteID)
		if err != nil {
			return err
		}
		if !ok {
			l.Add("RBAC_INV_SITE_USER", "The site of the role does not belong to the user's institute.")
		} else if err := b.open(ctx, l, Site, 0, g.SiteID); err != nil {
			return err
		}
	}
	if g.ProtocolID == 0 {
		return nil
	}
	cp, err := b.protocol(ctx, ProtocolRef{ID: g.ProtocolID})
	if err == nil && !b.can(ResProtocol, OpRead, cp) {
		err = missing(Protocol, g.ProtocolID) // its name is not theirs to know, nor that there is one
	}
	if fault.All(err) != nil {
		l.Append(err)
		return nil
	} else if err != nil {
		return err
	}
	if g.SiteID != 0 {
		if !cp.hasSite(g.SiteID) {
			l.Add("RBAC_INV_CP_SITE", "The site of the role is not a site of collection protocol %s.", b.actor.calls(cp))
		}
		return nil
	}
	for _, s := range cp.doc.Sites {
		if ok, err := ours(s.SiteID); ok || err != nil {
			return err
		}
	}
	l.Add("RBAC_INV_CP_USER", "Collection protocol %s has no site of the user's institute.", b.actor.calls(cp))
	return nil
}

func (d *UserDraft) check(l *fault.List, is *UserDoc) {
	if is.LastName == "" {
		l.Add("USER_LAST_NAME_REQUIRED", "Give the Last Name.")
	}
	if is.EmailAddress == "" {
		l.Add("USER_EMAIL_REQUIRED", "Give the Email Address.")
	} else if at := strings.IndexByte(is.EmailAddress, '@'); at < 1 || at == len(is.EmailAddress)-1 || strings.ContainsAny(is.EmailAddress, " ,;<>") {
		l.Add("USER_INVALID_EMAIL", "Email Address %q is not valid.", is.EmailAddress)
	}
	switch is.Type = strings.ToUpper(is.Type); is.Type {
	case "":
		is.Type = UserNone
	case UserSuper, UserInstitute, UserNone, UserContact:
	default:
		l.Add("USER_INVALID_TYPE", "Type %q is not valid. It is SUPER, INSTITUTE, CONTACT or NONE.", is.Type)
	}
	if is.Type != UserContact {
		switch {
		case is.DomainName == "":
			l.Add("USER_DOMAIN_NAME_REQUIRED", "Give the Domain Name; the built-in one is %q.", Domain)
		case Fold(is.DomainName) != Domain:
			l.Add("USER_DOMAIN_NOT_FOUND", "Domain %q was not found.", is.DomainName)
		default:
			is.DomainName = Domain
		}
		if is.LoginName == "" {
			l.Add("USER_LOGIN_NAME_REQUIRED", "Give the Login Name.")
		}
	}
	if strings.HasPrefix(is.LoginName, "_") || strings.ContainsAny(is.LoginName, "/\\:#|") {
		l.Add("USER_SYS_LOGIN_NAME", "Login Name %q is not possible: it must not begin with _ nor hold / \\ : # |.", is.LoginName)
	}
	if is.InstituteID == 0 {
		l.Add("USER_INST_REQUIRED", "Give the Institute of the user.")
	}
	if is.TimeZone != "" {
		if _, err := time.LoadLocation(is.TimeZone); err != nil || is.TimeZone == "Local" {
			l.Add("COMMON_INVALID_TZ", "Time zone %q is not known.", is.TimeZone)
		}
	}
	if is.APIUser && is.IPRange == "" {
		l.Add("USER_IP_REQ", "Give the ipRange that the API user calls from.")
	}
	if is.IPRange != "" {
		if _, err := ipRange(is.IPRange); err != nil {
			l.Add("USER_INVALID_IP", "ipRange %q is not valid. It is an address or a range such as 10.1.0.0/16.", is.IPRange)
		}
	}
	switch is.ActivityStatus {
	case "":
		is.ActivityStatus = StatusActive
	case StatusActive, StatusClosed, StatusDisabled, UserLocked, UserPending, UserExpired:
	default:
		l.Add("ACTIVITY_STATUS_INVALID", "Activity Status %q is not valid.", is.ActivityStatus)
	}
	tooLong(l, "First Name", is.FirstName, 255)
	tooLong(l, "Last Name", is.LastName, 255)
	tooLong(l, "Phone Number", is.PhoneNumber, 255)
	tooLong(l, "Address", is.Address, 1000)
	tooLong(l, "Login Name", is.LoginName, 255)
	tooLong(l, "Email Address", is.EmailAddress, 255)
}

// The activity states that only users have.
const (
	UserLocked  = "Locked"
	UserPending = "Pending"
	UserExpired = "Expired"
)

// DropOwner is the id of the user as whom what lies in a drop folder is imported, by the login name that the folder has
// (design.md section 5). The refusals: nobody has that name, the user may not act, the folder is not switched on; with
// those about a user the id comes along.
func (r *Registry) DropOwner(ctx context.Context, login string) (int64, error) {
	user, err := r.UserByLogin(ctx, Domain, login)
	if err != nil {
		return 0, fmt.Errorf("find the owner of a drop folder: %w", err)
	}
	if user == nil {
		const most = 100
		return 0, fault.New("USER_NOT_FOUND", "No user has the login name %q of the drop folder.", login[:min(most, len(login))])
	}
	if _, err := r.Actor(ctx, user.ID); err != nil {
		return user.ID, err
	}
	doc, err := Decode[UserDoc](user)
	if err != nil {
		return 0, err
	}
	if !doc.Drops() {
		return user.ID, fault.New("RBAC_ACCESS_DENIED", "The drop folder of user %q is not switched on. An administrator can set dropFolder on the user.", doc.LoginName)
	}
	return user.ID, nil
}
