package api

import (
	"cmp"

	"aliquot/shared/auth"
	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// Users (reference openspecimen-rest.md section 7).

func userRoutes() []route {
	return []route{
		{pattern: "GET /users/current-user", serve: currentUser},
		{pattern: "PUT /users/password", serve: changePassword},
		getRoute("/users", biobank.User, showUser),
		createRoute("/users", userDraft, showUser),
		{pattern: "PATCH /users/{id}", serve: patchUser},
	}
}

func userDraft(in *input) biobank.Draft {
	return &biobank.UserDraft{Institute: in.text("instituteName"), PrimarySite: in.text("primarySite"), Doc: userDoc(in)}
}

// userDoc reads a user. dropFolder, which lets files dropped below the user's login name run as the user, is ours.
func userDoc(in *input) biobank.UserDoc {
	return biobank.UserDoc{
		FirstName: in.text("firstName"), LastName: in.text("lastName"), EmailAddress: in.text("emailAddress"),
		DomainName: cmp.Or(in.text("domainName"), in.text("domain")), LoginName: in.text("loginName"),
		Type: in.text("type"), PhoneNumber: in.text("phoneNumber"), Address: in.text("address"),
		TimeZone: in.text("timeZone"), ManageForms: in.flag("manageForms"), DND: in.flag("dnd"),
		DropFolder: in.maybeFlag("dropFolder"), ActivityStatus: in.text("activityStatus"),
	}
}

// patchUser changes what was sent and keeps the rest (section 4.1). Whoever is no longer active is signed out for good:
// the sessions do not come back with the user.
func patchUser(c *call) (any, error) {
	id, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	fresh := userDoc(in)
	d := &biobank.UserDraft{
		ID: id, Institute: in.text("instituteName"), PrimarySite: in.text("primarySite"),
		Merge: func(doc *biobank.UserDoc) {
			for name, change := range map[string]func(){
				"firstName":      func() { doc.FirstName = fresh.FirstName },
				"lastName":       func() { doc.LastName = fresh.LastName },
				"emailAddress":   func() { doc.EmailAddress = fresh.EmailAddress },
				"domainName":     func() { doc.DomainName = fresh.DomainName },
				"loginName":      func() { doc.LoginName = fresh.LoginName },
				"type":           func() { doc.Type = fresh.Type },
				"phoneNumber":    func() { doc.PhoneNumber = fresh.PhoneNumber },
				"address":        func() { doc.Address = fresh.Address },
				"timeZone":       func() { doc.TimeZone = fresh.TimeZone },
				"manageForms":    func() { doc.ManageForms = fresh.ManageForms },
				"dnd":            func() { doc.DND = fresh.DND },
				"dropFolder":     func() { doc.DropFolder = fresh.DropFolder },
				"activityStatus": func() { doc.ActivityStatus = fresh.ActivityStatus },
			} {
				if in.sent(name) {
					change()
				}
			}
		},
	}
	if err := in.err(); err != nil {
		return nil, err
	}
	rec, err := c.apply(biobank.Update, d, in.text("opComments"))
	if err != nil {
		return nil, err
	}
	doc, err := biobank.Decode[biobank.UserDoc](rec)
	if err != nil {
		return nil, err
	}
	if doc.ActivityStatus != biobank.StatusActive {
		if err := c.api.Guard.EndSessions(c.Context(), id); err != nil {
			return nil, err
		}
	}
	return showUser(c, rec)
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
	Address        *string `json:"address"`
	TimeZone       *string `json:"timeZone"`
	CreationDate   *int64  `json:"creationDate"`
	ActivityStatus string  `json:"activityStatus"`
}

func showUser(c *call, rec *biobank.Record) (any, error) {
	doc, err := biobank.Decode[biobank.UserDoc](rec)
	if err != nil {
		return nil, err
	}
	r := c.related()
	if err := r.fetch(setKey(biobank.Institute, doc.InstituteID), setKey(biobank.Site, doc.PrimarySiteID)); err != nil {
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
		ManageForms: doc.ManageForms, DND: doc.DND, DropFolder: doc.Drops(), Address: orNull(doc.Address), TimeZone: orNull(doc.TimeZone),
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
	admin, instituteAdmin := doc.Type == biobank.UserSuper, doc.Type == biobank.UserInstitute
	return &userSummary{
		ID: id, Type: &doc.Type, FirstName: doc.FirstName, LastName: doc.LastName, LoginName: orNull(doc.LoginName),
		Domain: orNull(doc.DomainName), EmailAddress: orNull(doc.EmailAddress), InstituteName: institute, PrimarySite: site,
		Admin: &admin, InstituteAdmin: &instituteAdmin, ManageForms: &doc.ManageForms, CreationDate: orNull(rec.CreatedAt),
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
	return showUser(c, rec)
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
	} else if !administers(c.actor, doc) || id == biobank.SystemUserID {
		err = fault.New("RBAC_ADMIN_RIGHTS_REQUIRED", "Only an administrator may set another user's password.")
	}
	if err != nil {
		return nil, err
	}
	if err := c.api.Guard.SetPassword(c.Context(), id, doc.LoginName, fresh); err != nil {
		return nil, err
	}
	return true, nil
}

func administers(a *biobank.Actor, user biobank.UserDoc) bool {
	return a.Super() || a.InstituteAdmin() && user.InstituteID == a.User.InstituteID &&
		(user.Type == biobank.UserNone || user.Type == biobank.UserContact)
}

func (c *call) checkOldPassword(doc biobank.UserDoc, rec *biobank.Record, old string) error {
	if old == "" {
		return fault.New("USER_OLD_PASSWD_NOT_SPECIFIED", "The old password is missing.")
	}
	who := auth.Candidate{Domain: doc.DomainName, Login: doc.LoginName, User: rec}
	_, err := c.api.Guard.Check(c.Context(), c.at, who, old)
	if fault.Is(err, "AUTH_INVALID_CREDENTIALS") {
		return fault.New("USER_INVALID_OLD_PASSWD", "The old password is not right.")
	}
	return err
}
