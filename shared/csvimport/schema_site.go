package csvimport

import "aliquot/shared/biobank"

type (
	institute = biobank.InstituteDraft
	site      = biobank.SiteDraft
)

// instituteSchema is institute, section 2.13.
func instituteSchema() *Schema {
	fields := []field[*institute]{
		identifier(func(d *institute) *int64 { return &d.ID }),
		text("Name", func(d *institute) *string { return &d.Doc.Name }),
		text(captionActivity, func(d *institute) *string { return &d.Doc.ActivityStatus }),
	}
	return &Schema{
		objectType: "institute",
		label:      "Institutes",
		generated:  []string{"OS_IDENTIFIER"},
		columns:    columnsOf(fields),
		create:     [][]string{{"Name"}},
		update:     [][]string{{captionIdentifier, "Name"}},
		keys: []identityKey{
			{tag: "institute", own: true, captions: []string{captionIdentifier}},
			{tag: "institute.name", own: true, captions: []string{"Name"}},
		},
		binder: func(h *header, o Options) func(*input) biobank.Draft {
			part := bindPart(h, fields)
			return func(in *input) biobank.Draft {
				d := &institute{}
				set := part.read(in, d)
				if o.Op != biobank.Create {
					d.Merge = merger(part, d, set, func(d *institute) *biobank.InstituteDoc { return &d.Doc })
				}
				return d
			}
		},
	}
}

// siteSchema is site, section 2.13.
func siteSchema() *Schema {
	fields := []field[*site]{
		identifier(func(d *site) *int64 { return &d.ID }),
		text("Name", func(d *site) *string { return &d.Doc.Name }),
		ref("Institute Name", func(d *site) *string { return &d.Institute }),
		text("Code", func(d *site) *string { return &d.Doc.Code }),
		text("Type", func(d *site) *string { return &d.Doc.Type }),
		text("Address", func(d *site) *string { return &d.Doc.Address }),
		records("Coordinators", func(d *site) *[]biobank.UserRef { return &d.Coordinators },
			text("Email Address", func(u *biobank.UserRef) *string { return &u.Email })).draftOnly(),
		text(captionActivity, func(d *site) *string { return &d.Doc.ActivityStatus }),
	}
	return &Schema{
		objectType: "site",
		label:      "Sites",
		generated:  []string{"OS_IDENTIFIER"},
		columns:    columnsOf(fields),
		create:     [][]string{{"Name"}, {"Institute Name"}, {"Type"}},
		update:     [][]string{{captionIdentifier, "Name"}},
		keys: []identityKey{
			{tag: "site", own: true, captions: []string{captionIdentifier}},
			{tag: "site.name", own: true, captions: []string{"Name"}},
			{tag: "site.code", own: true, captions: []string{"Code"}},
		},
		levels: []biobank.Level{biobank.SiteFields},
		binder: func(h *header, o Options) func(*input) biobank.Draft {
			part := bindPart(h, fields)
			custom := o.customFields(h, biobank.SiteFields)
			return func(in *input) biobank.Draft {
				d := &site{}
				set := part.read(in, d)
				d.Extension = custom(in)
				if o.Op != biobank.Create {
					d.Merge = merger(part, d, set, func(d *site) *biobank.SiteDoc { return &d.Doc })
				}
				return d
			}
		},
	}
}
