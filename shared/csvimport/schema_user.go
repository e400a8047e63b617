package csvimport

import "aliquot/shared/biobank"

type account = biobank.UserDraft

func userKeys() []identityKey {
	return []identityKey{
		{tag: "user", own: true, captions: []string{captionIdentifier}},
		{tag: "user.email", own: true, captions: []string{"Email Address"}},
		{tag: "user.login", own: true, captions: []string{"Login Name"}},
	}
}

// userSchema is user, section 2.13.
func userSchema() *Schema {
	fields := []field[*account]{
		identifier(func(d *account) *int64 { return &d.ID }),
		text("Last Name", func(d *account) *string { return &d.Doc.LastName }),
		text("First Name", func(d *account) *string { return &d.Doc.FirstName }),
		text("Domain Name", func(d *account) *string { return &d.Doc.DomainName }),
		text("Login Name", func(d *account) *string { return &d.Doc.LoginName }),
		text("Email Address", func(d *account) *string { return &d.Doc.EmailAddress }),
		ref("Institute", func(d *account) *string { return &d.Institute }),
		ref("Primary Site", func(d *account) *string { return &d.PrimarySite }),
		text("Type", func(d *account) *string { return &d.Doc.Type }),
		text("Address", func(d *account) *string { return &d.Doc.Address }),
		text("Phone Number", func(d *account) *string { return &d.Doc.PhoneNumber }),
		text(captionActivity, func(d *account) *string { return &d.Doc.ActivityStatus }),
		flag("Disable Email Notifications", func(d *account) *bool { return &d.Doc.DND }),
		flag("Manage Forms", func(d *account) *bool { return &d.Doc.ManageForms }),
		unsupported[*account]("Manage Workflows"),
		unsupported[*account]("Download Labels Print File"),
		ignored[*account](captionReason),
	}
	return &Schema{
		objectType: "user",
		label:      "Users",
		generated:  []string{"OS_IDENTIFIER"},
		columns:    columnsOf(fields),
		create:     [][]string{{"Last Name"}, {"Email Address"}, {"Institute"}},
		update:     [][]string{{captionIdentifier, "Email Address"}},
		keys:       userKeys(),
		binder: func(h *header, o Options) func(*input) biobank.Draft {
			part := bindPart(h, fields)
			return func(in *input) biobank.Draft {
				d := &account{}
				set := part.read(in, d)
				if o.Op != biobank.Create {
					d.Merge = merger(part, d, set, func(d *account) *biobank.UserDoc { return &d.Doc })
				}
				return d
			}
		},
	}
}

// userRolesSchema is userRoles, section 2.13: the roles of a row replace those that the user has. A row without roles leaves
// them as they are; ##set_to_blank## as the name of the first takes all away. An operation makes no difference: users are
// made by files of their own.
func userRolesSchema() *Schema {
	fields := []field[*account]{
		identifier(func(d *account) *int64 { return &d.ID }),
		ref("Email Address", func(d *account) *string { return &d.Doc.EmailAddress }),
		records("Role", func(d *account) *[]biobank.GrantRef { return &d.Grants },
			text("Name", func(g *biobank.GrantRef) *string { return &g.Role }),
			text("Site Name", func(g *biobank.GrantRef) *string { return &g.Site }),
			text(captionProtocol, func(g *biobank.GrantRef) *string { return &g.Protocol }),
		).draftOnly(),
		ignored[*account](captionReason),
	}
	return &Schema{
		objectType: "userRoles",
		label:      "User Roles",
		generated:  []string{"OS_IDENTIFIER"},
		columns:    columnsOf(fields),
		update:     [][]string{{captionIdentifier, "Email Address"}, {"Role#1#Name"}},
		op:         biobank.Update,
		keys:       userKeys(),
		binder: func(h *header, _ Options) func(*input) biobank.Draft {
			part := bindPart(h, fields)
			return func(in *input) biobank.Draft {
				d := &account{Merge: func(*biobank.UserDoc) {}}
				part.read(in, d)
				return d
			}
		},
	}
}
