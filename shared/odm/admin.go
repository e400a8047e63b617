package odm

// AdminData holds the users of a study or site.
type AdminData struct {
	StudyOID string
	User     []User
	Location []Element
}

func (a *AdminData) fields(f *fields) {
	f.attr("StudyOID", &a.StudyOID)
	list(f, SpaceODM, "User", &a.User)
	f.raw(SpaceODM, "Location", &a.Location)
}

// User is a user of a study.
type User struct {
	OID          string
	UserType     string
	LoginName    string
	DisplayName  string
	FullName     string
	FirstName    string
	LastName     string
	Organization string
	Email        string
	LocationRef  []Element
}

func (u *User) fields(f *fields) {
	f.attr("OID", &u.OID)
	f.attr("UserType", &u.UserType)
	f.leaf(SpaceODM, "LoginName", &u.LoginName)
	f.leaf(SpaceODM, "DisplayName", &u.DisplayName)
	f.leaf(SpaceODM, "FullName", &u.FullName)
	f.leaf(SpaceODM, "FirstName", &u.FirstName)
	f.leaf(SpaceODM, "LastName", &u.LastName)
	f.leaf(SpaceODM, "Organization", &u.Organization)
	f.leaf(SpaceODM, "Email", &u.Email)
	f.raw(SpaceODM, "LocationRef", &u.LocationRef)
}
