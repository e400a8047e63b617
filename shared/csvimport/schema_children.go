package csvimport

import (
	"bytes"
	"strconv"
	"strings"

	"aliquot/shared/biobank"
)

type children = biobank.ChildrenDraft

// of is a field of the specimens that a row makes of one parent.
func of(f field[*specimen]) field[*children] {
	out := field[*children]{column: f.column, set: func(in *input, raw []byte, d *children) error { return f.set(in, raw, &d.Child) }}
	if f.clear != nil {
		out.clear = func(d *children) { f.clear(&d.Child) }
	}
	if f.readAll != nil {
		out.readAll = func(in *input, cells []int, d *children) sent { return f.readAll(in, cells, &d.Child) }
	}
	return out
}

// madeFields are the columns that aliquots and derivatives have in common: how they were made, and what became of the parent.
func madeFields() []field[*specimen] {
	return []field[*specimen]{
		moment("Created On", func(d *specimen) *int64 { return &d.Doc.CreatedOn }),
		user("Created By#Email Address", func(d *specimen) *biobank.UserRef { return &d.CreatedBy }),
		count("Freeze/Thaw Cycles", func(d *specimen) *int64 { return &d.Doc.FreezeThawCycles }),
		count("Increment Parent Freeze/Thaw Cycles", func(d *specimen) *int64 { return &d.ThawParent }),
		flag("Close Parent", func(d *specimen) *bool { return &d.CloseParent }),
	}
}

// names is a list in one cell, its items parted by commas.
func names(caption string, at func(*children) *[]string) field[*children] {
	return single(caption, at, zero, func(in *input, raw []byte) ([]string, error) {
		all := strings.Split(in.keep(raw), ",")
		for i := range all {
			if all[i] = strings.TrimSpace(all[i]); all[i] == "" {
				return nil, errNames
			}
		}
		return all, nil
	})
}

// aliquotSchema is specimenAliquot, section 2.6: a row makes as many aliquots of one parent as it says. With a position they
// go into that and those that follow in the order of the container, without into the next that are free.
func aliquotSchema() *Schema {
	fields := []field[*children]{
		of(ref(captionProtocol, func(d *specimen) *string { return &d.Protocol.ShortTitle })),
		of(ref("Parent Specimen Label", func(d *specimen) *string { return &d.ParentLabel })),
		names("Specimen Labels", func(d *children) *[]string { return &d.Labels }),
		names("Specimen Barcodes", func(d *children) *[]string { return &d.Barcodes }),
		count("Number of Aliquots", func(d *children) *int64 { return &d.Number }),
		quantity("Quantity per Aliquot", func(d *children) **biobank.Quantity { return &d.Quantity }),
		of(text("Class", func(d *specimen) *string { return &d.Doc.Class })),
		of(text("Type", func(d *specimen) *string { return &d.Doc.Type })),
		of(quantity("Concentration", func(d *specimen) **biobank.Quantity { return &d.Doc.Concentration })),
		of(cell(location, "Container", func(l *biobank.LocationRef) *string { return &l.Name })),
		of(cell(location, "Start Row", func(l *biobank.LocationRef) *string { return &l.Y })),
		of(cell(location, "Start Column", func(l *biobank.LocationRef) *string { return &l.X })),
		of(cellNumber(location, "Start Position")),
	}
	for _, f := range madeFields() {
		fields = append(fields, of(f))
	}
	return childrenSchema("specimenAliquot", "Specimen Aliquots", biobank.LineageAliquot, fields, "Container",
		[][]string{{"Parent Specimen Label"}}, aliquotsEach)
}

// derivativeSchema is specimenDerivative, section 2.7.
func derivativeSchema() *Schema {
	fields := []field[*children]{
		of(ref(captionProtocol, func(d *specimen) *string { return &d.Protocol.ShortTitle })),
		of(ref("Parent Specimen Label", func(d *specimen) *string { return &d.ParentLabel })),
		of(text("Specimen Label", func(d *specimen) *string { return &d.Doc.Label })),
		of(text("Barcode", func(d *specimen) *string { return &d.Doc.Barcode })),
		of(text("Class", func(d *specimen) *string { return &d.Doc.Class })),
		of(text("Type", func(d *specimen) *string { return &d.Doc.Type })),
		of(text("Collection Status", func(d *specimen) *string { return &d.Doc.Status })),
		of(text("Pathological Status", func(d *specimen) *string { return &d.Doc.Pathology })),
		of(quantity("Initial Quantity", func(d *specimen) **biobank.Quantity { return &d.Doc.InitialQty })),
		of(quantity("Available Quantity", func(d *specimen) **biobank.Quantity { return &d.Doc.AvailableQty })),
		of(quantity("Concentration", func(d *specimen) **biobank.Quantity { return &d.Doc.Concentration })),
		of(list("Biohazard", func(d *specimen) *[]string { return &d.Doc.Biohazards })),
		of(externalIDs()),
		of(cell(location, "Location#Container", func(l *biobank.LocationRef) *string { return &l.Name })),
		of(cell(location, "Location#Row", func(l *biobank.LocationRef) *string { return &l.Y })),
		of(cell(location, "Location#Column", func(l *biobank.LocationRef) *string { return &l.X })),
		of(cellNumber(location, "Location#Position")),
		of(text("Image ID", func(d *specimen) *string { return &d.Doc.ImageID })),
		of(text("Comments", func(d *specimen) *string { return &d.Doc.Comments })),
	}
	for _, f := range madeFields() {
		fields = append(fields, of(f))
	}
	return childrenSchema("specimenDerivative", "Derived Specimens", biobank.LineageDerived, fields, "Location#Container",
		[][]string{{"Parent Specimen Label"}, {"Type"}}, oneEach)
}

// oneEach is how many specimens a row of derivatives makes.
func oneEach(*header) func([][]byte) int64 { return func([][]byte) int64 { return 1 } }

// aliquotsEach is how many aliquots a row says that it makes.
func aliquotsEach(h *header) func([][]byte) int64 {
	number, labels, barcodes := h.find("Number of Aliquots"), h.find("Specimen Labels"), h.find("Specimen Barcodes")
	return func(cells [][]byte) (n int64) {
		if number >= 0 {
			if n, err := strconv.ParseInt(string(cells[number]), 10, 64); err == nil && n > 0 {
				return n
			}
		}
		for _, list := range []int{labels, barcodes} {
			if list >= 0 && len(cells[list]) > 0 {
				n = max(n, int64(bytes.Count(cells[list], []byte(","))+1))
			}
		}
		return n
	}
}

func childrenSchema(objectType, label, lineage string, fields []field[*children], container string, needed [][]string,
	makes func(*header) func([][]byte) int64,
) *Schema {
	return &Schema{
		objectType: objectType,
		label:      label,
		generated:  []string{"OS_IDENTIFIER", "OS_SPECIMEN_LABEL"},
		columns:    columnsOf(fields),
		create:     needed,
		op:         biobank.Create,
		makes:      makes,
		looks:      true,
		keys: []identityKey{
			// Each row changes its parent, and takes cells as it comes.
			{tag: "specimen.label", own: true, captions: []string{"Parent Specimen Label"}},
			{tag: "specimen.label", own: true, captions: []string{"Specimen Label"}},
			{tag: "specimen.label", own: true, captions: []string{"Specimen Labels"}, list: true},
			{tag: "specimen.barcode", own: true, captions: []string{"Barcode"}},
			{tag: "specimen.barcode", own: true, captions: []string{"Specimen Barcodes"}, list: true},
			{tag: "container", own: true, captions: []string{container}},
		},
		levels: []biobank.Level{biobank.SpecimenFields},
		binder: func(h *header, o Options) func(*input) biobank.Draft {
			part := bindPart(h, fields)
			custom := o.customFields(h, biobank.SpecimenFields)
			return func(in *input) biobank.Draft {
				d := &children{}
				part.read(in, d)
				d.Child.Doc.Lineage = lineage
				d.Child.Extension = custom(in)
				in.defaultProtocol(&d.Child.Protocol)
				return d
			}
		},
	}
}

// disposalSchema is specimenDisposal, section 2.8: it closes specimens, or deletes them, and says how.
func disposalSchema() *Schema {
	disposal := func(d *specimen) **biobank.DisposalEvent { return &d.Disposal }
	fields := []field[*specimen]{
		ref(captionProtocol, func(d *specimen) *string { return &d.Protocol.ShortTitle }),
		ref("Specimen Label", func(d *specimen) *string { return &d.Doc.Label }),
		ref("Barcode", func(d *specimen) *string { return &d.Doc.Barcode }),
		single(captionActivity, func(d *specimen) *string { return &d.Doc.ActivityStatus }, zero,
			func(_ *input, raw []byte) (string, error) {
				for _, status := range []string{biobank.StatusClosed, biobank.StatusDisabled} {
					if biobank.Fold(string(raw)) == biobank.Fold(status) {
						return status, nil
					}
				}
				return "", errDisposal
			}).fixed(),
		inside(disposal, moment("Disposal Date", func(e *biobank.DisposalEvent) *int64 { return &e.Time })).draftOnly(),
		inside(disposal, text("Disposal Reason", func(e *biobank.DisposalEvent) *string { return &e.Reason })).draftOnly(),
		inside(disposal, text("Comments", func(e *biobank.DisposalEvent) *string { return &e.Comments })).draftOnly(),
		user("User#Email Address", func(d *specimen) *biobank.UserRef { return &d.Disposer }),
	}
	return &Schema{
		objectType: "specimenDisposal",
		label:      "Dispose Specimens",
		generated:  []string{"OS_IDENTIFIER", "OS_SPECIMEN_LABEL"},
		columns:    columnsOf(fields),
		update:     [][]string{{"Specimen Label", "Barcode"}, {captionActivity}},
		op:         biobank.Update,
		keys: []identityKey{
			{tag: "specimen.label", own: true, captions: []string{"Specimen Label"}},
			{tag: "specimen.barcode", own: true, captions: []string{"Barcode"}},
		},
		binder: func(h *header, _ Options) func(*input) biobank.Draft {
			part := bindPart(h, fields)
			status := h.find(captionActivity)
			return func(in *input) biobank.Draft {
				d := &specimen{Force: true} // as by the file of specimens
				set := part.read(in, d)
				if raw, s := in.cell(status); s == nothing && status >= 0 {
					in.refuse(status, raw, errDisposal)
				}
				in.defaultProtocol(&d.Protocol)
				d.Merge = merger(part, d, set, specimenDoc)
				return d
			}
		},
	}
}
