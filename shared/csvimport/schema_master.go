package csvimport

import (
	"slices"

	"aliquot/shared/biobank"
)

// masterSchema is masterSpecimen, section 2.9: one row holds the columns of a participant, a visit and a specimen, under
// captions of its own where two of them would clash. It always creates or updates, so the drafts have a Merge in every
// operation.
func masterSchema() *Schema {
	regFields := slices.Concat(
		[]field[*registration]{
			ref(captionProtocol, func(d *registration) *string { return &d.Protocol.ShortTitle }),
			text(captionPPID, func(d *registration) *string { return &d.Doc.PPID }),
			day("Registration Date", func(d *registration) *string { return &d.Doc.RegistrationDate }),
			name("Registration Site", func(d *registration) **string { return &d.Site }),
			text("External Subject ID", func(d *registration) *string { return &d.Doc.ExternalSubjectID }),
		},
		participantFields(),
	)
	visitFields := []field[*visit]{
		ref("Event Label", func(d *visit) *string { return &d.EventLabel }),
		text("Visit Name", func(d *visit) *string { return &d.Doc.Name }),
		date("Visit Date", func(d *visit) *int64 { return &d.Doc.VisitDate }),
		name("Collection Site", func(d *visit) **string { return &d.Site }),
		text("Visit Status", func(d *visit) *string { return &d.Doc.Status }),
		list("Clinical Diagnosis", func(d *visit) *[]string { return &d.Doc.ClinicalDiagnoses }).aka("Clinical Diagnosis"),
		text("Clinical Status", func(d *visit) *string { return &d.Doc.ClinicalStatus }),
		text("Path. Number", func(d *visit) *string { return &d.Doc.SurgicalPathologyNumber }),
		text("Visit Comments", func(d *visit) *string { return &d.Doc.Comments }),
	}
	specimenFields := []field[*specimen]{
		ref("Specimen Requirement Code", func(d *specimen) *string { return &d.RequirementCode }),
		text("Specimen Label", func(d *specimen) *string { return &d.Doc.Label }),
		text("Barcode", func(d *specimen) *string { return &d.Doc.Barcode }),
		text("Class", func(d *specimen) *string { return &d.Doc.Class }),
		text("Type", func(d *specimen) *string { return &d.Doc.Type }),
		text(captionLineage, func(d *specimen) *string { return &d.Doc.Lineage }),
		ref("Parent Specimen Label", func(d *specimen) *string { return &d.ParentLabel }),
		text("Anatomic Site", func(d *specimen) *string { return &d.Doc.AnatomicSite }),
		text("Laterality", func(d *specimen) *string { return &d.Doc.Laterality }),
		text("Pathological Status", func(d *specimen) *string { return &d.Doc.Pathology }),
		quantity("Initial Quantity", func(d *specimen) **biobank.Quantity { return &d.Doc.InitialQty }).aka("Quantity"),
		quantity("Available Quantity", func(d *specimen) **biobank.Quantity { return &d.Doc.AvailableQty }),
		quantity("Concentration", func(d *specimen) **biobank.Quantity { return &d.Doc.Concentration }),
		count("Freeze/Thaw Cycles", func(d *specimen) *int64 { return &d.Doc.FreezeThawCycles }),
		moment("Created On", func(d *specimen) *int64 { return &d.Doc.CreatedOn }),
		user("Created By#Email Address", func(d *specimen) *biobank.UserRef { return &d.CreatedBy }).aka("Created By"),
		text("Image ID", func(d *specimen) *string { return &d.Doc.ImageID }),
		text("Comments", func(d *specimen) *string { return &d.Doc.Comments }),
		externalIDs(),
		text("Collection Status", func(d *specimen) *string { return &d.Doc.Status }),
		cell(location, "Container", func(l *biobank.LocationRef) *string { return &l.Name }),
		cell(location, "Row", func(l *biobank.LocationRef) *string { return &l.Y }),
		cell(location, "Column", func(l *biobank.LocationRef) *string { return &l.X }),
		cellNumber(location, "Position"),
		inside(collection, moment("Collection Date", func(e *biobank.CollectionEvent) *int64 { return &e.Time })),
		inside(collection, text("Collection Procedure",
			func(e *biobank.CollectionEvent) *string { return &e.Procedure })),
		inside(collection, text("Collection Container",
			func(e *biobank.CollectionEvent) *string { return &e.Container })),
		user("Collector", func(d *specimen) *biobank.UserRef { return &d.Collector }).aka("Collector#Email Address"),
		user("Receiver", func(d *specimen) *biobank.UserRef { return &d.Receiver }).aka("Receiver#Email Address"),
		inside(reception, moment("Received Date", func(e *biobank.ReceivedEvent) *int64 { return &e.Time })),
		inside(reception, text("Received Quality", func(e *biobank.ReceivedEvent) *string { return &e.Quality })),
	}
	return &Schema{
		objectType: "masterSpecimen",
		label:      "Participants, Visits, and Specimens",
		generated:  []string{"OS_IDENTIFIER", "OS_PPID", "OS_VISIT_NAME", "OS_SPECIMEN_LABEL"},
		columns:    slices.Concat(columnsOf(regFields), columnsOf(visitFields), columnsOf(specimenFields)),
		create:     [][]string{{captionProtocol}},
		update:     [][]string{{captionProtocol}},
		keys: slices.Concat(
			participantKeys(true),
			[]identityKey{{tag: "visit.name", own: true, captions: []string{"Visit Name"}, primary: true}},
			specimenKeys(),
			cellKeys("", "Container"),
		),
		levels: []biobank.Level{biobank.SpecimenFields, biobank.ParticipantFields, biobank.VisitFields},
		binder: func(h *header, o Options) func(*input) biobank.Draft {
			regPart := bindPart(h, regFields)
			visitPart := bindPart(h, visitFields)
			specimenPart := bindPart(h, specimenFields)
			person := o.customFields(h, biobank.ParticipantFields)
			ofVisit := o.customFields(h, biobank.VisitFields)
			ofSpecimen := o.customFields(h, biobank.SpecimenFields)
			return func(in *input) biobank.Draft {
				m := &biobank.MasterDraft{}
				reg, vis, spec := &m.Registration, &m.Visit, &m.Specimen
				reg.Merge = merger(regPart, reg, regPart.read(in, reg), registrationDoc)
				vis.Merge = merger(visitPart, vis, visitPart.read(in, vis), visitDoc)
				spec.Merge = merger(specimenPart, spec, specimenPart.read(in, spec), specimenDoc)
				reg.Extension, vis.Extension, spec.Extension = person(in), ofVisit(in), ofSpecimen(in)
				in.defaultProtocol(&reg.Protocol)
				vis.Protocol, spec.Protocol = reg.Protocol, reg.Protocol
				vis.PPID, spec.VisitName = reg.Doc.PPID, vis.Doc.Name
				return m
			}
		},
	}
}
