package csvimport

import (
	"slices"

	"aliquot/shared/biobank"
)

type specimen = biobank.SpecimenDraft

func specimenDoc(d *specimen) *biobank.SpecimenDoc { return &d.Doc }

func collection(d *specimen) **biobank.CollectionEvent { return &d.Doc.Collection }

func reception(d *specimen) **biobank.ReceivedEvent { return &d.Doc.Received }

func location(d *specimen) **biobank.LocationRef { return &d.Location }

// specimenSchema is specimen, section 2.5.
func specimenSchema() *Schema {
	fields := []field[*specimen]{
		identifier(func(d *specimen) *int64 { return &d.ID }),
		ref(captionProtocol, func(d *specimen) *string { return &d.Protocol.ShortTitle }),
		ref("Visit Name", func(d *specimen) *string { return &d.VisitName }),
		ref("Specimen Requirement Code", func(d *specimen) *string { return &d.RequirementCode }),
		text("Specimen Label", func(d *specimen) *string { return &d.Doc.Label }),
		text("Additional Label", func(d *specimen) *string { return &d.Doc.AdditionalLabel }),
		text("Barcode", func(d *specimen) *string { return &d.Doc.Barcode }),
		text("Class", func(d *specimen) *string { return &d.Doc.Class }),
		text("Type", func(d *specimen) *string { return &d.Doc.Type }),
		text(captionLineage, func(d *specimen) *string { return &d.Doc.Lineage }),
		ref("Parent Specimen Label", func(d *specimen) *string { return &d.ParentLabel }),
		text("Anatomic Site", func(d *specimen) *string { return &d.Doc.AnatomicSite }),
		text("Laterality", func(d *specimen) *string { return &d.Doc.Laterality }),
		text("Pathological Status", func(d *specimen) *string { return &d.Doc.Pathology }),
		text("Collection Status", func(d *specimen) *string { return &d.Doc.Status }),
		quantity("Initial Quantity", func(d *specimen) **biobank.Quantity { return &d.Doc.InitialQty }).aka("Quantity"),
		quantity("Available Quantity", func(d *specimen) **biobank.Quantity { return &d.Doc.AvailableQty }),
		quantity("Concentration", func(d *specimen) **biobank.Quantity { return &d.Doc.Concentration }),
		text("Quantity Unit", func(d *specimen) *string { return &d.Unit.Quantity }).draftOnly(),
		text("Concentration Unit", func(d *specimen) *string { return &d.Unit.Concentration }).draftOnly(),
		list("Biohazard", func(d *specimen) *[]string { return &d.Doc.Biohazards }).aka("Biohazard"),
		count("Freeze/Thaw Cycles", func(d *specimen) *int64 { return &d.Doc.FreezeThawCycles }),
		moment("Created On", func(d *specimen) *int64 { return &d.Doc.CreatedOn }),
		user("Created By#Email Address", func(d *specimen) *biobank.UserRef { return &d.CreatedBy }),
		text("Image ID", func(d *specimen) *string { return &d.Doc.ImageID }),
		externalIDs(),
		cell(location, "Location#Container", func(l *biobank.LocationRef) *string { return &l.Name }),
		cell(location, "Location#Row", func(l *biobank.LocationRef) *string { return &l.Y }),
		cell(location, "Location#Column", func(l *biobank.LocationRef) *string { return &l.X }),
		cellNumber(location, "Location#Position"),
		text("Comments", func(d *specimen) *string { return &d.Doc.Comments }),
		text(captionActivity, func(d *specimen) *string { return &d.Doc.ActivityStatus }),
		user("Transfer User#Email Address", func(d *specimen) *biobank.UserRef { return &d.Move.By }),
		moment("Transfer Time", func(d *specimen) *int64 { return &d.Move.At }).draftOnly(),
		flag("Checkout", func(d *specimen) *bool { return &d.CheckOut }).draftOnly(),
		ignored[*specimen](captionReason),
		inside(collection, moment("Collection Event#Date and Time",
			func(e *biobank.CollectionEvent) *int64 { return &e.Time })),
		user("Collection Event#User#Email Address", func(d *specimen) *biobank.UserRef { return &d.Collector }),
		inside(collection, text("Collection Event#Comments",
			func(e *biobank.CollectionEvent) *string { return &e.Comments })),
		inside(collection, text("Collection Event#Procedure",
			func(e *biobank.CollectionEvent) *string { return &e.Procedure })),
		inside(collection, text("Collection Event#Container",
			func(e *biobank.CollectionEvent) *string { return &e.Container })),
		inside(reception, moment("Received Event#Date and Time",
			func(e *biobank.ReceivedEvent) *int64 { return &e.Time })),
		user("Received Event#User#Email Address", func(d *specimen) *biobank.UserRef { return &d.Receiver }),
		inside(reception, text("Received Event#Comments",
			func(e *biobank.ReceivedEvent) *string { return &e.Comments })),
		inside(reception, text("Received Event#Quality",
			func(e *biobank.ReceivedEvent) *string { return &e.Quality })),
	}
	return &Schema{
		objectType: "specimen",
		label:      "Specimens",
		generated:  []string{"OS_IDENTIFIER", "OS_SPECIMEN_LABEL"},
		columns:    columnsOf(fields),
		// Those of a specimen-centric protocol name neither.
		create: [][]string{{"Visit Name", "Parent Specimen Label", captionProtocol}},
		update: [][]string{{captionIdentifier, "Specimen Label", "Barcode"}},
		keys: slices.Concat([]identityKey{
			{tag: "specimen", own: true, captions: []string{captionIdentifier}},
			{tag: "specimen.additionalLabel", own: true, captions: []string{"Additional Label"}},
			{tag: "specimen.counted", own: true, captions: []string{"Visit Name"}, unnamed: "Specimen Label"},
		}, specimenKeys(), cellKeys("Location#", "Container")),
		levels: []biobank.Level{biobank.SpecimenFields},
		binder: func(h *header, o Options) func(*input) biobank.Draft {
			part := bindPart(h, fields)
			custom := o.customFields(h, biobank.SpecimenFields)
			return func(in *input) biobank.Draft {
				d := &specimen{Force: true}
				set := part.read(in, d)
				d.Extension = custom(in)
				in.defaultProtocol(&d.Protocol)
				if o.Op != biobank.Create {
					d.Merge = merger(part, d, set, specimenDoc)
				}
				return d
			}
		},
	}
}

func externalIDs() field[*specimen] {
	return records("External IDs", func(d *specimen) *[]biobank.ExternalID { return &d.Doc.ExternalIDs },
		text("Name", func(x *biobank.ExternalID) *string { return &x.Name }),
		text("Value", func(x *biobank.ExternalID) *string { return &x.Value }),
	)
}

// specimenKeys are what specimen and masterSpecimen have in common.
func specimenKeys() []identityKey {
	return []identityKey{
		{tag: "specimen.label", own: true, captions: []string{"Specimen Label"}},
		{tag: "specimen.barcode", own: true, captions: []string{"Barcode"}},
		{tag: "specimen.label", captions: []string{"Parent Specimen Label"}},
		{tag: "specimen.counted", own: true, captions: []string{"Parent Specimen Label"}, unnamed: "Specimen Label"},
	}
}
