package csvimport

import (
	"strconv"

	"aliquot/shared/biobank"
)

type (
	container     = biobank.ContainerDraft
	containerType = biobank.ContainerTypeDraft
)

// cell is a column of a location: the container, or the row or column within it. Cleared, the object is not stored.
func cell[R any](part func(R) **biobank.LocationRef, caption string, at func(*biobank.LocationRef) *string) field[R] {
	return ofLocation(part, text(caption, at))
}

// cellNumber is the position of a location as a number.
func cellNumber[R any](part func(R) **biobank.LocationRef, caption string) field[R] {
	return ofLocation(part, single(caption, func(l *biobank.LocationRef) *int64 { return &l.Position }, zero, func(_ *input, raw []byte) (int64, error) {
		n, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil || n < 1 {
			return 0, errCount
		}
		return n, nil
	}))
}

func ofLocation[R any](part func(R) **biobank.LocationRef, f field[*biobank.LocationRef]) field[R] {
	out := inside(part, f).draftOnly()
	out.clear = func(r R) {
		if p := part(r); *p == nil {
			*p = new(biobank.LocationRef)
		}
	}
	return out
}

// cellKeys keep the rows of one container in the order of the file where some of them ask for the next free cell, and the
// rows that name one cell. Prefix is that of the captions, container the caption of the container.
func cellKeys(prefix, container string) []identityKey {
	container = prefix + container
	row, column, number := prefix+"Row", prefix+"Column", prefix+"Position"
	return []identityKey{
		{tag: "container", own: true, captions: []string{container}, lane: []string{row, column, number}},
		{tag: "cell", own: true, joins: true, captions: []string{container, row, column}},
		{tag: "cell.number", own: true, joins: true, captions: []string{container, number}},
	}
}

// containerSchema is storageContainer, section 2.12.
func containerSchema() *Schema {
	within := func(d *container) **biobank.LocationRef { return &d.Location }
	fields := []field[*container]{
		identifier(func(d *container) *int64 { return &d.ID }),
		text("Display Name", func(d *container) *string { return &d.Doc.DisplayName }),
		text("Name", func(d *container) *string { return &d.Doc.Name }),
		text("Barcode", func(d *container) *string { return &d.Doc.Barcode }),
		text("Used For", func(d *container) *string { return &d.Doc.UsedFor }),
		single("Type Name", func(d *container) **biobank.TypeRef { return &d.Kind },
			func() *biobank.TypeRef { return &biobank.TypeRef{} },
			func(in *input, raw []byte) (*biobank.TypeRef, error) {
				return &biobank.TypeRef{Name: in.keep(raw)}, nil
			}).draftOnly(),
		text(captionActivity, func(d *container) *string { return &d.Doc.ActivityStatus }),
		name("Site Name", func(d *container) **string { return &d.Site }),
		cell(within, "Storage Location#Parent Container Name", func(l *biobank.LocationRef) *string { return &l.Name }),
		cell(within, "Storage Location#Row", func(l *biobank.LocationRef) *string { return &l.Y }),
		cell(within, "Storage Location#Column", func(l *biobank.LocationRef) *string { return &l.X }),
		cellNumber(within, "Storage Location#Position"),
		quantity("Temperature", func(d *container) **biobank.Quantity { return &d.Doc.Temperature }),
		count("No. of Columns", func(d *container) *int64 { return &d.Doc.Columns }),
		count("No. of Rows", func(d *container) *int64 { return &d.Doc.Rows }),
		text("Position Labeling Mode", func(d *container) *string { return &d.Doc.Mode }),
		text("Column Labeling Scheme", func(d *container) *string { return &d.Doc.ColumnScheme }),
		text("Row Labeling Scheme", func(d *container) *string { return &d.Doc.RowScheme }),
		text("Position Assignment", func(d *container) *string { return &d.Doc.Assignment }),
		list("Allowed Specimen Class", func(d *container) *[]string { return &d.Doc.Classes }),
		list("Allowed Specimen Type", func(d *container) *[]string { return &d.Doc.Types }),
		list("Allowed Collection Protocol", func(d *container) *[]string { return &d.CPs }).draftOnly(),
		list("Allowed Distribution Protocol", func(d *container) *[]string { return &d.DPs }).draftOnly(),
		single("Stores Specimen", func(d *container) **bool { return &d.Stores }, func() *bool { return new(bool) },
			func(in *input, raw []byte) (*bool, error) {
				v, err := parseFlag(in, raw)
				return &v, err
			}).draftOnly(),
		text("Comments", func(d *container) *string { return &d.Doc.Comments }),
		ignored[*container](captionReason),
	}
	parent := "Storage Location#Parent Container Name"
	return &Schema{
		objectType: "storageContainer",
		label:      "Storage Containers",
		generated:  []string{"OS_IDENTIFIER"},
		columns:    columnsOf(fields),
		create:     [][]string{{"Name", "Type Name"}, {"Site Name", parent}},
		update:     [][]string{{captionIdentifier, "Name"}},
		keys: append([]identityKey{
			{tag: "container.id", own: true, captions: []string{captionIdentifier}},
			{tag: "container.name", own: true, captions: []string{"Name"}},
			{tag: "container.barcode", own: true, captions: []string{"Barcode"}},
			{tag: "container.name", captions: []string{parent}},
		}, cellKeys("Storage Location#", "Parent Container Name")...),
		levels: []biobank.Level{biobank.ContainerFields},
		binder: func(h *header, o Options) func(*input) biobank.Draft {
			part := bindPart(h, fields)
			custom := o.customFields(h, biobank.ContainerFields)
			return func(in *input) biobank.Draft {
				d := &container{}
				set := part.read(in, d)
				d.Extension = custom(in)
				if o.Op != biobank.Create {
					d.Merge = merger(part, d, set, func(d *container) *biobank.ContainerDoc { return &d.Doc })
				}
				return d
			}
		},
	}
}

// containerTypeSchema is storageContainerType, section 2.12.
func containerTypeSchema() *Schema {
	fields := []field[*containerType]{
		identifier(func(d *containerType) *int64 { return &d.ID }),
		text("Name", func(d *containerType) *string { return &d.Doc.Name }),
		text("Name Format", func(d *containerType) *string { return &d.Doc.NameFormat }),
		quantity("Temperature", func(d *containerType) **biobank.Quantity { return &d.Doc.Temperature }),
		count("No. of Rows", func(d *containerType) *int64 { return &d.Doc.Rows }),
		count("No. of Columns", func(d *containerType) *int64 { return &d.Doc.Columns }),
		text("Position Labeling Mode", func(d *containerType) *string { return &d.Doc.Mode }),
		text("Row Labeling Scheme", func(d *containerType) *string { return &d.Doc.RowScheme }),
		text("Column Labeling Scheme", func(d *containerType) *string { return &d.Doc.ColumnScheme }),
		text("Position Assignment", func(d *containerType) *string { return &d.Doc.Assignment }),
		flag("Stores Specimen", func(d *containerType) *bool { return &d.Doc.StoreSpecimens }),
		text(captionActivity, func(d *containerType) *string { return &d.Doc.ActivityStatus }),
		single("Can Hold#Name", func(d *containerType) **biobank.TypeRef { return &d.CanHold },
			func() *biobank.TypeRef { return &biobank.TypeRef{} },
			func(in *input, raw []byte) (*biobank.TypeRef, error) {
				return &biobank.TypeRef{Name: in.keep(raw)}, nil
			}).draftOnly(),
	}
	return &Schema{
		objectType: "storageContainerType",
		label:      "Container Types",
		generated:  []string{"OS_IDENTIFIER"},
		columns:    columnsOf(fields),
		create:     [][]string{{"Name"}, {"Name Format"}, {"No. of Rows"}, {"No. of Columns"}},
		update:     [][]string{{captionIdentifier, "Name"}},
		keys: []identityKey{
			{tag: "containertype.id", own: true, captions: []string{captionIdentifier}},
			{tag: "containertype.name", own: true, captions: []string{"Name"}},
			{tag: "containertype.name", captions: []string{"Can Hold#Name"}},
		},
		binder: func(h *header, o Options) func(*input) biobank.Draft {
			part := bindPart(h, fields)
			return func(in *input) biobank.Draft {
				d := &containerType{}
				set := part.read(in, d)
				if o.Op != biobank.Create {
					d.Merge = merger(part, d, set, func(d *containerType) *biobank.ContainerTypeDoc { return &d.Doc })
				}
				return d
			}
		},
	}
}

// locatedSchema is containerSpecimen, section 2.8: it gives barcodes to the specimens that lie in the cells of containers.
func locatedSchema() *Schema {
	type located = biobank.LocatedDraft
	number := cellNumber(func(d *located) **biobank.LocationRef { at := &d.At; return &at }, "Location#Position")
	fields := []field[*located]{
		ref("Location#Container Name", func(d *located) *string { return &d.At.Name }),
		ref("Location#Container Barcode", func(d *located) *string { return &d.At.Barcode }),
		ref("Location#Row", func(d *located) *string { return &d.At.Y }),
		ref("Location#Column", func(d *located) *string { return &d.At.X }),
		number.fixed(),
		text("Specimen#Barcode", func(d *located) *string { return &d.Barcode }),
	}
	barcode := "Specimen#Barcode"
	keys := []identityKey{{tag: "specimen.barcode", own: true, captions: []string{barcode}}}
	for _, container := range []string{"Location#Container Name", "Location#Container Barcode"} {
		keys = append(
			keys,
			identityKey{tag: "cell", own: true, captions: []string{container, "Location#Row", "Location#Column"}},
			identityKey{tag: "cell.number", own: true, captions: []string{container, "Location#Position"}},
		)
	}
	return &Schema{
		objectType: "containerSpecimen",
		label:      "Container Specimens",
		generated:  []string{"OS_IDENTIFIER", "OS_SPECIMEN_LABEL"},
		columns:    columnsOf(fields),
		update:     [][]string{{"Location#Container Name", "Location#Container Barcode"}, {"Location#Row", "Location#Position"}, {barcode}},
		op:         biobank.Update,
		keys:       keys,
		binder: func(h *header, _ Options) func(*input) biobank.Draft {
			part := bindPart(h, fields)
			code := h.find(barcode)
			return func(in *input) biobank.Draft {
				d := &located{}
				part.read(in, d)
				if raw, s := in.cell(code); s == nothing && code >= 0 {
					in.refuse(code, raw, errCode)
				}
				return d
			}
		},
	}
}
