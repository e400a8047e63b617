package csvimport

import (
	"encoding/json"
	"strconv"

	"aliquot/shared/biobank"
)

type (
	event       = biobank.EventDraft
	requirement = biobank.RequirementDraft
)

const captionEvent = "Event Label"

// optNumber is a whole number that may be unknown, from least up.
func optNumber[R any](caption string, least int64, wrong error, at func(R) **int64) field[R] {
	return single(caption, at, zero, func(_ *input, raw []byte) (*int64, error) {
		n, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil || n < least {
			return nil, wrong
		}
		return &n, nil
	})
}

// eventSchema is cpe, section 2.11. An event is found by Identifier, else by its label in the protocol, else by its code;
// the reference leaves open which of the two is looked at first. To give it another label takes the Identifier.
func eventSchema() *Schema {
	fields := []field[*event]{
		identifier(func(d *event) *int64 { return &d.ID }),
		ref(captionProtocol, func(d *event) *string { return &d.Protocol.ShortTitle }),
		text("Event Code", func(d *event) *string { return &d.Doc.Code }),
		optNumber("Event Point", -1<<40, errWhole, func(d *event) **int64 { return &d.Doc.Point }),
		text("Event Point Unit", func(d *event) *string { return &d.Doc.PointUnit }),
		text(captionEvent, func(d *event) *string { return &d.Doc.Label }),
		text("Clinical Diagnosis", func(d *event) *string { return &d.Doc.ClinicalDiagnosis }),
		text("Clinical Status", func(d *event) *string { return &d.Doc.ClinicalStatus }),
		name("Default Site", func(d *event) **string { return &d.DefaultSite }),
		text(captionActivity, func(d *event) *string { return &d.Doc.ActivityStatus }),
		text("When to Print", func(d *event) *string { return &d.Doc.NamePrintMode }),
		count("Print Copies", func(d *event) *int64 { return &d.Doc.NamePrintCopies }),
		ignored[*event](captionReason),
	}
	return &Schema{
		objectType: "cpe",
		label:      "Collection Protocol Events",
		generated:  []string{"OS_IDENTIFIER"},
		columns:    columnsOf(fields),
		create:     [][]string{{captionProtocol}, {captionEvent}},
		update:     [][]string{{captionIdentifier, captionProtocol}, {captionIdentifier, captionEvent, "Event Code"}},
		looks:      true,
		keys: []identityKey{
			{tag: "cpe", own: true, captions: []string{captionIdentifier}},
			{tag: "cpe.label", own: true, captions: []string{captionEvent}, scoped: true},
			{tag: "cpe.code", own: true, captions: []string{"Event Code"}, scoped: true},
		},
		binder: func(h *header, o Options) func(*input) biobank.Draft {
			part := bindPart(h, fields)
			return func(in *input) biobank.Draft {
				d := &event{}
				set := part.read(in, d)
				if d.ID == 0 {
					in.defaultProtocol(&d.Protocol)
				}
				if o.Op != biobank.Create {
					d.Merge = merger(part, d, set, func(d *event) *biobank.EventDoc { return &d.Doc })
				}
				return d
			}
		},
	}
}

// requirementSchema is sr, section 2.11. A requirement is found by Identifier, else by its code in the event. Unique ID and
// Parent UID are what the file itself calls its rows.
func requirementSchema() *Schema {
	fields := []field[*requirement]{
		identifier(func(d *requirement) *int64 { return &d.ID }),
		ref(captionProtocol, func(d *requirement) *string { return &d.Protocol.ShortTitle }),
		ref(captionEvent, func(d *requirement) *string { return &d.EventLabel }),
		ref("Parent Code", func(d *requirement) *string { return &d.ParentCode }),
		text("Name", func(d *requirement) *string { return &d.Doc.Name }),
		text("Code", func(d *requirement) *string { return &d.Doc.Code }),
		text(captionLineage, func(d *requirement) *string { return &d.Doc.Lineage }),
		text("Specimen Class", func(d *requirement) *string { return &d.Doc.Class }),
		text("Specimen Type", func(d *requirement) *string { return &d.Doc.Type }),
		text("Anatomic Site", func(d *requirement) *string { return &d.Doc.AnatomicSite }),
		text("Laterality", func(d *requirement) *string { return &d.Doc.Laterality }),
		text("Pathology", func(d *requirement) *string { return &d.Doc.Pathology }),
		text("Storage Type", func(d *requirement) *string { return &d.Doc.StorageType }),
		quantity("Initial Quantity", func(d *requirement) **biobank.Quantity { return &d.Doc.InitialQty }),
		quantity("Concentration", func(d *requirement) **biobank.Quantity { return &d.Doc.Concentration }),
		text("Quantity Unit", func(d *requirement) *string { return &d.Unit.Quantity }).draftOnly(),
		text("Concentration Unit", func(d *requirement) *string { return &d.Unit.Concentration }).draftOnly(),
		user("Collector#Email Address", func(d *requirement) *biobank.UserRef { return &d.Collector }),
		text("Collection Container", func(d *requirement) *string { return &d.Doc.CollectionContainer }),
		text("Collection Procedure", func(d *requirement) *string { return &d.Doc.CollectionProcedure }),
		user("Receiver#Email Address", func(d *requirement) *biobank.UserRef { return &d.Receiver }),
		text("Label Format", func(d *requirement) *string { return &d.Doc.LabelFmt }),
		text("Label Auto Print Mode", func(d *requirement) *string { return &d.Doc.LabelPrintMode }),
		optNumber("Label Print Copies", 0, errCount, func(d *requirement) **int64 { return &d.Doc.LabelPrintCopies }),
		flag("Pre-barcoded Tube", func(d *requirement) *bool { return &d.Doc.PreBarcoded }),
		optNumber("Sort Order", 0, errCount, func(d *requirement) **int64 { return &d.Doc.SortOrder }),
		single("Default Custom Field Values", func(d *requirement) *json.RawMessage { return &d.Doc.Defaults }, zero,
			func(_ *input, raw []byte) (json.RawMessage, error) {
				var members map[string]json.RawMessage
				if err := json.Unmarshal(raw, &members); err != nil {
					return nil, errObject
				}
				return append(json.RawMessage(nil), raw...), nil
			}),
		text(captionActivity, func(d *requirement) *string { return &d.Doc.ActivityStatus }),
		ref("Parent UID", func(d *requirement) *string { return &d.ParentUID }),
		ref("Unique ID", func(d *requirement) *string { return &d.UID }),
		ignored[*requirement](captionReason),
	}
	return &Schema{
		objectType: "sr",
		label:      "Specimen Requirements",
		generated:  []string{"OS_IDENTIFIER"},
		columns:    columnsOf(fields),
		create:     [][]string{{captionProtocol}, {captionEvent}, {"Specimen Type"}},
		update:     [][]string{{captionIdentifier, captionProtocol}, {captionIdentifier, captionEvent}, {captionIdentifier, "Code"}},
		looks:      true,
		keys: []identityKey{
			{tag: "sr", own: true, captions: []string{captionIdentifier}},
			// Requirements of one event share the quantity of their parents.
			{tag: "sr.event", own: true, captions: []string{captionEvent}, scoped: true},
			{tag: "sr.code", own: true, captions: []string{captionEvent, "Code"}, scoped: true},
			{tag: "sr.code", captions: []string{captionEvent, "Parent Code"}, scoped: true},
			{tag: "sr.uid", own: true, captions: []string{"Unique ID"}},
			{tag: "sr.uid", captions: []string{"Parent UID"}},
		},
		binder: func(h *header, o Options) func(*input) biobank.Draft {
			part := bindPart(h, fields)
			return func(in *input) biobank.Draft {
				d := &requirement{}
				set := part.read(in, d)
				if d.ID == 0 {
					in.defaultProtocol(&d.Protocol)
				}
				if o.Op != biobank.Create {
					d.Merge = merger(part, d, set, func(d *requirement) *biobank.RequirementDoc { return &d.Doc })
				}
				return d
			}
		},
	}
}
