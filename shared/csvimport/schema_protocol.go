package csvimport

import "aliquot/shared/biobank"

type protocol = biobank.ProtocolDraft

// protocolSchema is cp, section 2.10.
func protocolSchema() *Schema {
	fields := []field[*protocol]{
		records("Sites", func(d *protocol) *[]biobank.SiteRef { return &d.Sites },
			text("Name", func(s *biobank.SiteRef) *string { return &s.Name }),
			text("Code", func(s *biobank.SiteRef) *string { return &s.Code }),
		).draftOnly(),
		identifier(func(d *protocol) *int64 { return &d.ID }),
		text("Title", func(d *protocol) *string { return &d.Doc.Title }),
		text("Short Title", func(d *protocol) *string { return &d.Doc.ShortTitle }),
		text("Code", func(d *protocol) *string { return &d.Doc.Code }),
		user("PI#PI Email", func(d *protocol) *biobank.UserRef { return &d.PI }),
		records("Coordinator", func(d *protocol) *[]biobank.UserRef { return &d.Coordinators },
			text("Coordinator Email", func(u *biobank.UserRef) *string { return &u.Email })).draftOnly(),
		day("Start Date", func(d *protocol) *string { return &d.Doc.StartDate }),
		day("End Date", func(d *protocol) *string { return &d.Doc.EndDate }),
		text("Ethics ID", func(d *protocol) *string { return &d.Doc.IrbID }).aka("IRB ID"),
		flag("Specimen Centric", func(d *protocol) *bool { return &d.Doc.SpecimenCentric }),
		count("Anticipated Participants Count", func(d *protocol) *int64 { return &d.Doc.AnticipatedParticipants }),
		text("SOP Document URL", func(d *protocol) *string { return &d.Doc.SopDocumentURL }),
		text("SOP Document Name", func(d *protocol) *string { return &d.Doc.SopDocumentName }),
		flag("Store SPRs?", func(d *protocol) *bool { return &d.Doc.StoreSpr }),
		flag("Extract Text from SPR PDF Docs?", func(d *protocol) *bool { return &d.Doc.ExtractSprText }),
		text("PPID Format", func(d *protocol) *string { return &d.Doc.PpidFmt }),
		text("Visit Name Format", func(d *protocol) *string { return &d.Doc.VisitNameFmt }),
		text("Label Format", func(d *protocol) *string { return &d.Doc.SpecimenLabelFmt }),
		text("Derivative Label Format", func(d *protocol) *string { return &d.Doc.DerivativeLabelFmt }),
		text("Aliquot Label Format", func(d *protocol) *string { return &d.Doc.AliquotLabelFmt }),
		flag("User inputs PPID", func(d *protocol) *bool { return &d.Doc.ManualPpid }),
		flag("User inputs Visit Name", func(d *protocol) *bool { return &d.Doc.ManualVisitName }),
		flag("User inputs Specimen Label", func(d *protocol) *bool { return &d.Doc.ManualSpecimenLabel }),
		flag("Close Parent Specimens", func(d *protocol) *bool { return &d.Doc.CloseParentSpecimens }),
		flag("Zero Out Specimen Quantity", func(d *protocol) *bool { return &d.Doc.SetQtyToZero }),
		text("Additional Label Format", func(d *protocol) *string { return &d.Doc.AdditionalLabelFmt }),
		flag("Enable Specimen Barcoding", func(d *protocol) *bool { return &d.Doc.BarcodingEnabled }),
		text("Specimen Barcode Format", func(d *protocol) *string { return &d.Doc.SpecimenBarcodeFmt }),
		text("Label Sequence Key", func(d *protocol) *string { return &d.Doc.LabelSequenceKey }),
		flag("Kit Labels", func(d *protocol) *bool { return &d.Doc.KitLabels }),
		text("Show On Visit Collection", func(d *protocol) *string { return &d.Doc.VisitCollectionMode }),
		text("Label Pre-print Mode", func(d *protocol) *string { return &d.Doc.LabelPrePrintMode }),
		flag("Storage Site Based Access", func(d *protocol) *bool { return &d.Doc.StorageSiteBasedAccess }),
		flag("Draft Data Entry", func(d *protocol) *bool { return &d.Doc.DraftDataEntry }),
		records("Label Print Setting", func(d *protocol) *[]biobank.PrintSetting { return &d.Doc.LabelPrintSettings },
			text("Lineage", func(p *biobank.PrintSetting) *string { return &p.Lineage }),
			text("Print Mode", func(p *biobank.PrintSetting) *string { return &p.PrintMode }),
			count("Copies", func(p *biobank.PrintSetting) *int64 { return &p.Copies }),
		),
		text("Container Auto Allocation Strategy", func(d *protocol) *string { return &d.Doc.ContainerSelection }),
		flag("Store aliquots in the same box", func(d *protocol) *bool { return &d.Doc.AliquotsInSameContainer }),
		records("Distribution Protocols", func(d *protocol) *[]string { return &d.Doc.DistributionProtocols },
			text("Short Title", func(s *string) *string { return s })),
		text("Description URL", func(d *protocol) *string { return &d.Doc.DescriptionURL }),
		text(captionActivity, func(d *protocol) *string { return &d.Doc.ActivityStatus }),
	}
	return &Schema{
		objectType: "cp",
		label:      "Collection Protocols",
		generated:  []string{"OS_IDENTIFIER"},
		columns:    columnsOf(fields),
		create:     [][]string{{"Sites#1#Name"}, {"Title"}, {"Short Title"}, {"PI#PI Email"}},
		update:     [][]string{{captionIdentifier, "Short Title"}},
		keys: []identityKey{
			{tag: "cp", own: true, captions: []string{captionIdentifier}},
			{tag: "cp.shortTitle", own: true, captions: []string{"Short Title"}},
			{tag: "cp.title", own: true, captions: []string{"Title"}},
			{tag: "cp.code", own: true, captions: []string{"Code"}},
		},
		levels: []biobank.Level{biobank.ProtocolFields},
		binder: func(h *header, o Options) func(*input) biobank.Draft {
			part := bindPart(h, fields)
			custom := o.customFields(h, biobank.ProtocolFields)
			return func(in *input) biobank.Draft {
				d := &protocol{}
				set := part.read(in, d)
				d.Extension = custom(in)
				if o.Op != biobank.Create {
					d.Merge = merger(part, d, set, func(d *protocol) *biobank.ProtocolDoc { return &d.Doc })
				}
				return d
			}
		},
	}
}
