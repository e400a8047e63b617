package api

import (
	"cmp"
	"slices"

	"aliquot/shared/auth"
	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// Users (reference openspecimen-rest.md section 7).

func users() noun {
	return noun{path: "/users", typ: biobank.User, shows: userView{}, gather: gatherUsers, view: viewUser, changed: unlock}
}

// userSummaries is how users are listed.
func userSummaries() noun {
	n := users()
	n.gather = func(r *related, recs []*biobank.Record) error {
		var ids []int64
		for _, rec := range recs {
			ids = append(ids, rec.ID)
		}
		if err := r.fetchUsers(ids...); err != nil {
			return err
		}
		// The protocols that a user leads or coordinates, as far as the caller may see them; the reference does not say which.
		return r.count(biobank.Protocol, func(rec *biobank.Record) ([]int64, error) {
			doc, err := biobank.Decode[biobank.ProtocolDoc](rec)
			return slices.Compact(slices.Sorted(slices.Values(append([]int64{doc.PI}, doc.Coordinators...)))), err
		})
	}
	n.view = func(r *related, rec *biobank.Record) (any, error) {
		v, err := r.summary(rec.ID)
		if v != nil {
			v.CPCount = r.counts[rec.ID]
		}
		return v, err
	}
	n.shows, n.counted = userSummary{}, true
	return n
}

func userRoutes() []route {
	n := users()
	gone := removal{noun: n, closes: true}
	return append(
		members[biobank.UserDoc]{noun: userSummaries(), start: "start", fits: fitsUser, less: lessUser}.routes(),
		route{pattern: "GET /users/current-user", summary: "Read the caller", answers: userView{}, serve: currentUser},
		route{pattern: "PUT /users/password", summary: "Change a password", answers: true, serve: changePassword},
		route{pattern: "GET /users/{id}", summary: "Read one of the users", answers: n.shows, serve: getUser},
		route{pattern: "GET /users/{id}/institute", summary: "Read the institute of a user", answers: instituteView{}, serve: userInstitute},
		createRoute(n, func(in *input) biobank.Draft { return userDraft(in, 0) }),
		changeRoute("PUT", n, userDraft),
		changeRoute("PATCH", n, userPatch),
		bulkRoute(n, userPatch),
		route{pattern: "PUT /users/{id}/activity-status", summary: "Lock, close or open a user", answers: userView{}, serve: changeUserStatus},
		deleteRoute(gone),
		bulkDeleteRoute(gone),
		dependentsRoute(n),
		auditRoute(n),
	)
}

// userDraft is a whole user. The roles are not part of it; the switch of the drop folder, which is ours, stays when it is
// not sent.
func userDraft(in *input, id int64) biobank.Draft {
	fresh := userDoc(in)
	d := &biobank.UserDraft{ID: id, Institute: in.text("instituteName"), PrimarySite: in.text("primarySite"), Doc: fresh}
	if id != 0 {
		d.Merge = func(doc *biobank.UserDoc) {
			was := *doc
			*doc = fresh
			doc.Roles = was.Roles
			if !in.sent("dropFolder") || fresh.DropFolder != nil && *fresh.DropFolder == was.Drops() { // as it was shown
				doc.DropFolder = was.DropFolder
			}
		}
	}
	return d
}

// userDoc reads a user. dropFolder, which lets files dropped below the user's login name run as the user, is ours.
func userDoc(in *input) biobank.UserDoc {
	return biobank.UserDoc{
		FirstName: in.text("firstName"), LastName: in.text("lastName"), EmailAddress: in.text("emailAddress"),
		DomainName: cmp.Or(in.text("domainName"), in.text("domain")), LoginName: in.text("loginName"),
		Type: in.text("type"), PhoneNumber: in.text("phoneNumber"), Address: in.text("address"),
		TimeZone: in.text("timeZone"), ManageForms: in.flag("manageForms"), DND: in.flag("dnd"),
		APIUser: in.flag("apiUser"), IPRange: in.text("ipRange"),
		DropFolder: in.maybeFlag("dropFolder"), ActivityStatus: in.text("activityStatus"),
	}
}

// userPatch changes what was sent and keeps the rest (section 4.1).
func userPatch(in *input, id int64) biobank.Draft {
	fresh := userDoc(in)
	var m merge[biobank.UserDoc]
	m.set(in, "firstName", func(d *biobank.UserDoc) { d.FirstName = fresh.FirstName })
	m.set(in, "lastName", func(d *biobank.UserDoc) { d.LastName = fresh.LastName })
	m.set(in, "emailAddress", func(d *biobank.UserDoc) { d.EmailAddress = fresh.EmailAddress })
	m.set(in, "domainName", func(d *biobank.UserDoc) { d.DomainName = fresh.DomainName })
	m.set(in, "loginName", func(d *biobank.UserDoc) { d.LoginName = fresh.LoginName })
	m.set(in, "primarySite", func(d *biobank.UserDoc) { d.PrimarySiteID = 0 }) // the draft names the new one
	m.set(in, "type", func(d *biobank.UserDoc) { d.Type = fresh.Type })
	m.set(in, "phoneNumber", func(d *biobank.UserDoc) { d.PhoneNumber = fresh.PhoneNumber })
	m.set(in, "address", func(d *biobank.UserDoc) { d.Address = fresh.Address })
	m.set(in, "timeZone", func(d *biobank.UserDoc) { d.TimeZone = fresh.TimeZone })
	m.set(in, "manageForms", func(d *biobank.UserDoc) { d.ManageForms = fresh.ManageForms })
	m.set(in, "dnd", func(d *biobank.UserDoc) { d.DND = fresh.DND })
	m.set(in, "apiUser", func(d *biobank.UserDoc) { d.APIUser = fresh.APIUser })
	m.set(in, "ipRange", func(d *biobank.UserDoc) { d.IPRange = fresh.IPRange })
	m.set(in, "dropFolder", func(d *biobank.UserDoc) { d.DropFolder = fresh.DropFolder })
	m.set(in, "activityStatus", func(d *biobank.UserDoc) { d.ActivityStatus = fresh.ActivityStatus })
	return &biobank.UserDraft{ID: id, Institute: in.text("instituteName"), PrimarySite: in.text("primarySite"), Merge: m.onto}
}

// unlock takes away the lock that wrong passwords have put on the login of a user whom the request makes Active.
func unlock(c *call, id int64, in *input) error {
	if in.text("activityStatus") != biobank.StatusActive {
		return nil
	}
	locked, err := c.api.Guard.IsLocked(c.Context(), c.at, id)
	if err != nil || !locked {
		return err
	}
	if err := c.tell(id, biobank.LoginUnlocked); err != nil {
		return err
	}
	return c.api.Guard.Unlock(c.Context(), id)
}

// tell puts on record what is about to be done about a user.
func (c *call) tell(user int64, deed biobank.Deed) error {
	_, err := c.apply(biobank.Change{Op: biobank.Update, ByID: true, Draft: &biobank.DeedDraft{ID: user, Deed: deed}})
	return err
}

// changeUserStatus serves PUT /users/{id}/activity-status.
func changeUserStatus(c *call) (any, error) {
	id, in, err := c.idAndBody()
	if err != nil {
		return nil, err
	}
	status := in.text("activityStatus")
	if err := in.err(); err != nil {
		return nil, err
	}
	if status == "" {
		return nil, fault.New("ACTIVITY_STATUS_INVALID", "Give the activityStatus.")
	}
	v, err := c.change(users(), biobank.Removal(biobank.User, id, status, false), in.text("opComments"))
	if err == nil {
		err = unlock(c, id, in)
	}
	return v, err
}

func userInstitute(c *call) (any, error) {
	_, doc, err := c.pathUser()
	if err != nil {
		return nil, err
	}
	rec, err := c.api.Registry.Get(c.Context(), c.actor, biobank.Institute, doc.InstituteID)
	if err != nil {
		return nil, err
	}
	return c.showOne(institutes(), rec)
}

// userView has its nulls.
type userView struct {
	OpComments     *string `json:"opComments"`
	ID             int64   `json:"id"`
	FirstName      string  `json:"firstName"`
	LastName       string  `json:"lastName"`
	EmailAddress   *string `json:"emailAddress"`
	DomainName     *string `json:"domainName"`
	LoginName      *string `json:"loginName"`
	InstituteID    *int64  `json:"instituteId"`
	InstituteName  *string `json:"instituteName"`
	PrimarySite    *string `json:"primarySite"`
	Type           string  `json:"type"`
	PhoneNumber    *string `json:"phoneNumber"`
	ManageForms    bool    `json:"manageForms"`
	DND            bool    `json:"dnd"`
	DropFolder     bool    `json:"dropFolder"`
	APIUser        bool    `json:"apiUser"`
	IPRange        *string `json:"ipRange"`
	Address        *string `json:"address"`
	TimeZone       *string `json:"timeZone"`
	CreationDate   *int64  `json:"creationDate"`
	ActivityStatus string  `json:"activityStatus"`
	// LoginLocked tells, in GET /users/{id} and to administrators only, whether wrong passwords have locked the login.
	LoginLocked *bool `json:"loginLocked,omitempty"`
}

// getUser serves GET /users/{id}.
func getUser(c *call) (any, error) {
	rec, doc, err := c.pathUser()
	if err != nil {
		return nil, err
	}
	shown, err := c.showOne(users(), rec)
	if err != nil || !c.actor.Administers(&doc) || rec.ID == biobank.SystemUserID {
		return shown, err
	}
	v := shown.(userView)
	locked, err := c.api.Guard.IsLocked(c.Context(), c.at, rec.ID)
	v.LoginLocked = &locked
	return v, err
}

func gatherUsers(r *related, recs []*biobank.Record) error {
	var keys []biobank.Key
	for _, rec := range recs {
		doc, err := biobank.Decode[biobank.UserDoc](rec)
		if err != nil {
			return err
		}
		keys = append(keys, setKey(biobank.Institute, doc.InstituteID), setKey(biobank.Site, doc.PrimarySiteID))
	}
	return r.fetch(keys...)
}

func viewUser(r *related, rec *biobank.Record) (any, error) {
	doc, err := biobank.Decode[biobank.UserDoc](rec)
	if err != nil {
		return nil, err
	}
	institute, err := r.instituteName(doc.InstituteID)
	if err != nil {
		return nil, err
	}
	site, err := r.siteName(doc.PrimarySiteID)
	if err != nil {
		return nil, err
	}
	return userView{
		ID: rec.ID, FirstName: doc.FirstName, LastName: doc.LastName, EmailAddress: orNull(doc.EmailAddress),
		DomainName: orNull(doc.DomainName), LoginName: orNull(doc.LoginName), InstituteID: orNull(doc.InstituteID),
		InstituteName: institute, PrimarySite: site, Type: doc.Type, PhoneNumber: orNull(doc.PhoneNumber),
		ManageForms: doc.MayManageForms(), DND: doc.DND, DropFolder: doc.Drops(), APIUser: doc.APIUser, IPRange: orNull(doc.IPRange), Address: orNull(doc.Address), TimeZone: orNull(doc.TimeZone),
		CreationDate: orNull(rec.CreatedAt), ActivityStatus: doc.ActivityStatus,
	}, nil
}

// userSummary shows a user in other objects (section 4.4), with its nulls.
type userSummary struct {
	ID             int64   `json:"id"`
	Type           *string `json:"type"`
	FirstName      string  `json:"firstName"`
	LastName       string  `json:"lastName"`
	LoginName      *string `json:"loginName"`
	Domain         *string `json:"domain"`
	EmailAddress   *string `json:"emailAddress"`
	InstituteName  *string `json:"instituteName"`
	PrimarySite    *string `json:"primarySite"`
	Admin          *bool   `json:"admin"`
	InstituteAdmin *bool   `json:"instituteAdmin"`
	ManageForms    *bool   `json:"manageForms"`
	CPCount        int64   `json:"cpCount"`
	CreationDate   *int64  `json:"creationDate"`
	ActivityStatus *string `json:"activityStatus"`
}

// summary shows a user that fetchUsers has read; nil for id 0 and for one that does not exist. Of the System user only
// the name is told.
func (r *related) summary(id int64) (*userSummary, error) {
	key := setKey(biobank.User, id)
	rec := r.recs[key]
	if rec == nil {
		return nil, nil
	}
	if id == biobank.SystemUserID {
		return &userSummary{ID: id, FirstName: "System"}, nil
	}
	doc, err := biobank.Decode[biobank.UserDoc](rec)
	if err != nil {
		return nil, err
	}
	institute, err := r.instituteName(doc.InstituteID)
	if err != nil {
		return nil, err
	}
	site, err := r.siteName(doc.PrimarySiteID)
	if err != nil {
		return nil, err
	}
	admin, instituteAdmin, forms := doc.Type == biobank.UserSuper, doc.Type == biobank.UserInstitute, doc.MayManageForms()
	return &userSummary{
		ID: id, Type: &doc.Type, FirstName: doc.FirstName, LastName: doc.LastName, LoginName: orNull(doc.LoginName),
		Domain: orNull(doc.DomainName), EmailAddress: orNull(doc.EmailAddress), InstituteName: institute, PrimarySite: site,
		Admin: &admin, InstituteAdmin: &instituteAdmin, ManageForms: &forms, CreationDate: orNull(rec.CreatedAt),
		ActivityStatus: &doc.ActivityStatus,
	}, nil
}

// summaries fetches users and shows those that exist.
func (r *related) summaries(ids []int64) ([]userSummary, error) {
	if err := r.fetchUsers(ids...); err != nil {
		return nil, err
	}
	all := []userSummary{}
	for _, id := range ids {
		s, err := r.summary(id)
		if err != nil {
			return nil, err
		}
		if s != nil {
			all = append(all, *s)
		}
	}
	return all, nil
}

func currentUser(c *call) (any, error) {
	rec, err := c.api.Registry.Get(c.Context(), c.actor, biobank.User, c.actor.ID)
	if err != nil {
		return nil, err
	}
	return c.showOne(users(), rec)
}

// changePassword sets one's own password, which needs the old one, or, for a super administrator, somebody else's. An
// institute administrator sets those of plain users and contacts of the own institute.
func changePassword(c *call) (any, error) {
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	id, old, fresh := in.number("userId"), in.secret("oldPassword"), in.secret("newPassword")
	if err := in.err(); err != nil {
		return nil, err
	}
	id = cmp.Or(id, c.actor.ID)
	rec, err := c.api.Registry.Get(c.Context(), c.actor, biobank.User, id)
	if err != nil {
		return nil, err
	}
	doc, err := biobank.Decode[biobank.UserDoc](rec)
	if err != nil {
		return nil, err
	}
	if id == c.actor.ID {
		err = c.checkOldPassword(doc, rec, old)
	} else if !c.actor.Administers(&doc) || id == biobank.SystemUserID {
		err = fault.New("RBAC_ADMIN_RIGHTS_REQUIRED", "Only an administrator may set another user's password.")
	}
	if err == nil && doc.Type == biobank.UserContact {
		err = noPassword()
	}
	if err == nil {
		err = auth.CheckStrength(doc.LoginName, fresh)
	}
	if err == nil && id != c.actor.ID {
		err = c.tell(id, biobank.PasswordGiven)
	}
	if err != nil {
		return nil, err
	}
	guard, err := c.guard()
	if err != nil {
		return nil, err
	}
	if err := guard.SetPassword(c.Context(), id, doc.LoginName, fresh); err != nil {
		return nil, err
	}
	return true, nil
}

// noPassword is the answer to who wants a password for a contact.
func noPassword() *fault.Fault {
	return fault.New("USER_PASSWD_CHANGE_NOT_ALLOWED", "The user is a contact, who cannot sign in.")
}

func (c *call) checkOldPassword(doc biobank.UserDoc, rec *biobank.Record, old string) error {
	if old == "" {
		return fault.New("USER_OLD_PASSWD_NOT_SPECIFIED", "The old password is missing.")
	}
	who := auth.Candidate{Domain: doc.DomainName, Login: doc.LoginName, User: rec, From: c.from()}
	guard, err := c.guard()
	if err != nil {
		return err
	}
	_, err = guard.Verify(c.Context(), c.at, who, old)
	if fault.Is(err, "AUTH_INVALID_CREDENTIALS") {
		return fault.New("USER_INVALID_OLD_PASSWD", "The old password is not right.")
	}
	return err
}
