package csvimport

import "aliquot/shared/biobank"

type visit = biobank.VisitDraft

func visitDoc(d *visit) *biobank.VisitDoc { return &d.Doc }

// visitSchema is visit, section 2.4.
func visitSchema() *Schema {
	fields := []field[*visit]{
		identifier(func(d *visit) *int64 { return &d.ID }),
		ref(captionProtocol, func(d *visit) *string { return &d.Protocol.ShortTitle }),
		ref(captionPPID, func(d *visit) *string { return &d.PPID }),
		ref("Event Label", func(d *visit) *string { return &d.EventLabel }),
		text("Name", func(d *visit) *string { return &d.Doc.Name }),
		date("Visit Date", func(d *visit) *int64 { return &d.Doc.VisitDate }),
		name("Visit Site", func(d *visit) **string { return &d.Site }),
		text("Visit Status", func(d *visit) *string { return &d.Doc.Status }),
		list("Clinical Diagnosis", func(d *visit) *[]string { return &d.Doc.ClinicalDiagnoses }).aka("Clinical Diagnosis"),
		text("Clinical Status", func(d *visit) *string { return &d.Doc.ClinicalStatus }),
		text("Cohort", func(d *visit) *string { return &d.Doc.Cohort }),
		text("Path. Number", func(d *visit) *string { return &d.Doc.SurgicalPathologyNumber }),
		unsupported[*visit]("Path Report Name"),
		user("Missed/Not Collected By#Email Address", func(d *visit) *biobank.UserRef { return &d.MissedBy }),
		text("Missed/Not Collected Reason", func(d *visit) *string { return &d.Doc.MissedReason }),
		text("Comments", func(d *visit) *string { return &d.Doc.Comments }),
		text(captionActivity, func(d *visit) *string { return &d.Doc.ActivityStatus }),
		ignored[*visit](captionReason),
	}
	return &Schema{
		objectType: "visit",
		label:      "Visits",
		generated:  []string{"OS_IDENTIFIER", "OS_VISIT_NAME"},
		columns:    columnsOf(fields),
		create:     [][]string{{captionProtocol}, {captionPPID}},
		update:     [][]string{{captionIdentifier, "Name"}},
		keys: []identityKey{
			{tag: "visit", own: true, captions: []string{captionIdentifier}},
			{tag: "visit.name", own: true, captions: []string{"Name"}},
			{tag: "cpr.ppid", captions: []string{captionPPID}, scoped: true},
			{tag: "visit.counted", own: true, captions: []string{captionPPID}, scoped: true, unnamed: "Name"},
		},
		levels: []biobank.Level{biobank.VisitFields},
		binder: func(h *header, o Options) func(*input) biobank.Draft {
			part := bindPart(h, fields)
			custom := o.customFields(h, biobank.VisitFields)
			return func(in *input) biobank.Draft {
				d := &visit{Force: true}
				set := part.read(in, d)
				d.Extension = custom(in)
				in.defaultProtocol(&d.Protocol)
				if o.Op != biobank.Create {
					d.Merge = merger(part, d, set, visitDoc)
				}
				return d
			}
		},
	}
}
