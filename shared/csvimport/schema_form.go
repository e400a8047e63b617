package csvimport

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// Forms in files: custom fields as columns of an object's own file (reference openspecimen-import-query.md 1.2), and
// records of forms as rows of their own (2.16). A job reads its forms once for its plan and once for each chunk.

type formRecord = biobank.FormRecordDraft

// The types whose rows are records of a form.
const (
	typeExtensions     = "extensions"
	typeUserExtensions = "userExtensions"
)

// formRecordsSchema is what is known of a file of form records without its form.
func formRecordsSchema(objectType string) *Schema {
	return &Schema{
		objectType: objectType, label: "Form Records", generated: []string{"OS_IDENTIFIER"},
		binder: func(*header, Options) func(*input) biobank.Draft {
			return func(*input) biobank.Draft { return &formRecord{} }
		},
	}
}

// SchemaOf is the schema of an object type with the columns of forms that a job's parameters call for: cpId for custom
// fields of a protocol, formName and entityType for records. It is nil for an unknown type; a form that is missing is a
// fault.
func SchemaOf(ctx context.Context, reg *biobank.Registry, objectType string, params map[string]string) (*Schema, error) {
	s := SchemaFor(objectType)
	if s == nil {
		return nil, nil
	}
	if objectType == typeExtensions || objectType == typeUserExtensions {
		return recordsOf(ctx, reg, s, params)
	}
	with := *s
	with.custom = map[biobank.Level]*biobank.Form{}
	cp, err := strconv.ParseInt(params["cpId"], 10, 64)
	inProtocol := err == nil && cp > 0
	for _, level := range s.levels {
		if !inProtocol && level.InProtocol() {
			continue // the template of all protocols has no custom fields
		}
		f, _, err := reg.CustomForm(ctx, level, max(cp, 0))
		if err != nil {
			return nil, err
		}
		if f != nil {
			with.custom[level] = f
		}
	}
	return &with, nil
}

func recordsOf(ctx context.Context, reg *biobank.Registry, s *Schema, params map[string]string) (*Schema, error) {
	name, level := strings.TrimSpace(params["formName"]), biobank.Level(strings.TrimSpace(params["entityType"]))
	switch {
	case name == "":
		return nil, fault.New("FORMS_NAME_REQUIRED", "Give the form as parameter formName.")
	case level == "":
		return nil, fault.New("FORMS_ENTITY_TYPE_REQUIRED", "Give the level of the records as parameter entityType.")
	case !slices.Contains(biobank.Levels(), level) || level.Custom():
		return nil, fault.New("FORMS_INVALID_FORM_CTXT", "Level %q has no records of forms.", short(string(level)))
	}
	f, err := reg.FormNamed(ctx, name)
	if err != nil {
		return nil, err
	}
	return recordSchema(s, f, level), nil
}

// recordSchema is the columns of a form's records: whose they are, then the form's fields.
func recordSchema(base *Schema, f *biobank.Form, level biobank.Level) *Schema {
	id := f.Caption + " ID"
	fields := []field[*formRecord]{identified(id, func(d *formRecord) *int64 { return &d.ID })}
	owner := [][]string{}
	keys := []identityKey{{tag: "form.record", own: true, captions: []string{id}}}
	add := func(needed bool, f field[*formRecord]) {
		fields = append(fields, f)
		keys = append(keys, identityKey{tag: "form." + f.caption, own: true, captions: []string{f.caption}, scoped: f.caption == captionPPID})
		if needed {
			owner = append(owner, []string{f.caption})
		}
	}
	switch level {
	case biobank.LevelParticipant, biobank.LevelCommonParticipant:
		fields = append(fields, ref("Collection Protocol", func(d *formRecord) *string { return &d.Protocol.ShortTitle }).aka(captionProtocol))
		add(true, ref(captionPPID, func(d *formRecord) *string { return &d.PPID }))
	case biobank.LevelVisit:
		add(true, ref("Visit Name", func(d *formRecord) *string { return &d.VisitName }))
	case biobank.LevelSpecimen, biobank.LevelSpecimenEvent:
		fields = append(fields, ref(captionProtocol, func(d *formRecord) *string { return &d.Protocol.ShortTitle }))
		add(false, ref("Specimen Label", func(d *formRecord) *string { return &d.Label }))
		add(false, ref("Barcode", func(d *formRecord) *string { return &d.Barcode }))
		owner = append(owner, []string{"Specimen Label", "Barcode"})
	default:
		add(true, ref("Email Address", func(d *formRecord) *string { return &d.Email }))
	}
	fields = append(
		fields,
		ref("Status", func(d *formRecord) *string { return &d.Status }),
		ref(captionActivity, func(d *formRecord) *string { return &d.Activity }),
	)
	s := *base
	s.label = f.Caption + " (" + string(level) + ")"
	s.columns, s.create, s.update, s.keys = columnsOf(fields), owner, owner, keys
	s.more = formCaptions("", f.Controls)
	s.binder = func(h *header, _ Options) func(*input) biobank.Draft {
		part := bindPart(h, fields)
		controls := bindControls(h, "", f.Controls)
		return func(in *input) biobank.Draft {
			d := &formRecord{FormID: f.ID(), Level: level}
			part.read(in, d)
			in.defaultProtocol(&d.Protocol)
			d.Values, _ = readControls(in, controls)
			d.Patch = true
			return d
		}
	}
	return &s
}

// identified is identifier under another caption.
func identified[R any](caption string, at func(R) *int64) field[R] {
	f := identifier(at)
	f.caption = caption
	return f
}

// formCaptions are the columns of a form's fields, numbered ones twice; files have none.
func formCaptions(prefix string, controls []*biobank.Control) []string {
	var all []string
	for _, c := range controls {
		caption := prefix + c.Caption
		switch c.Kind {
		case biobank.KindFile:
		case biobank.KindMultiSelect:
			all = append(all, caption+"#1", caption+"#2")
		case biobank.KindSubForm:
			all = append(all, formCaptions(caption+"#1#", c.Controls)...)
			all = append(all, formCaptions(caption+"#2#", c.Controls)...)
		default:
			all = append(all, caption)
		}
	}
	return all
}

// customFields binds the custom fields of a level, which stand behind the caption of their form. The draft has none where
// a row says nothing of them.
func (o *Options) customFields(h *header, level biobank.Level) func(*input) *biobank.ExtensionDraft {
	f := o.custom[level]
	if f == nil {
		return func(*input) *biobank.ExtensionDraft { return nil }
	}
	controls := bindControls(h, f.Caption+"#", f.Controls)
	return func(in *input) *biobank.ExtensionDraft {
		values, said := readControls(in, controls)
		if !said {
			return nil
		}
		return &biobank.ExtensionDraft{FormID: f.ID(), SentValues: biobank.SentValues{Values: values, Patch: true}}
	}
}

// boundControl is a field with its cells: one, or those of its numbers; of a sub-form the fields of each number.
type boundControl struct {
	*biobank.Control
	cells []int
	rows  [][]boundControl
}

// bindControls finds the columns of a form's fields, those of numbered ones from 1 up to the first that is missing.
func bindControls(h *header, prefix string, controls []*biobank.Control) []boundControl {
	var all []boundControl
	one := func(caption string) int {
		i := h.find(caption)
		if i >= 0 && h.used[i] {
			return -1 // a column of the object itself
		}
		if i >= 0 {
			h.used[i] = true
		}
		return i
	}
	for _, c := range controls {
		b := boundControl{Control: c}
		caption := prefix + c.Caption
		switch c.Kind {
		case biobank.KindMultiSelect:
			for n := 1; ; n++ {
				i := one(caption + "#" + strconv.Itoa(n))
				if i < 0 {
					break
				}
				b.cells = append(b.cells, i)
			}
			if i := one(caption); i >= 0 && b.cells == nil {
				b.cells = []int{i}
			}
		case biobank.KindSubForm:
			for n := 1; ; n++ {
				row := bindControls(h, caption+"#"+strconv.Itoa(n)+"#", c.Controls)
				if row == nil {
					break
				}
				b.rows = append(b.rows, row)
			}
		default:
			if i := one(caption); i >= 0 {
				b.cells = []int{i}
			}
		}
		if b.cells != nil || b.rows != nil {
			all = append(all, b)
		}
	}
	return all
}

// readControls reads a row's fields, and tells whether it says anything of them. A field that is cleared is nil.
func readControls(in *input, controls []boundControl) (values map[string]any, said bool) {
	values = map[string]any{}
	for i := range controls {
		if v, s := controls[i].read(in); s != nothing {
			values[controls[i].Name], said = v, true
		}
	}
	return values, said
}

func (b *boundControl) read(in *input) (any, sent) {
	if b.Kind == biobank.KindSubForm {
		return b.readRows(in)
	}
	var several []any
	for _, cell := range b.cells {
		raw, s := in.cell(cell)
		switch {
		case s == cleared:
			return nil, cleared
		case s == nothing && b.Kind == biobank.KindMultiSelect && several != nil:
			return several, given
		case s == nothing:
			return nil, nothing
		}
		v, err := b.value(in, raw)
		if err != nil {
			in.refuse(cell, raw, err)
			return nil, nothing
		}
		if b.Kind != biobank.KindMultiSelect {
			return v, given
		}
		several = append(several, v)
	}
	return several, given
}

// value reads a cell: dates in the job's format, all else as text, which the form's rules bring into its form.
func (b *boundControl) value(in *input, raw []byte) (any, error) {
	switch {
	case b.Kind == biobank.KindFile:
		return nil, errUnsupported
	case b.Kind == biobank.KindDate && b.DateTime():
		ms, err := in.dates.parseMoment(string(raw))
		return json.Number(strconv.FormatInt(ms, 10)), err
	case b.Kind == biobank.KindDate:
		day, err := in.dates.date.civil(string(raw))
		if err != nil {
			return nil, in.dates.wantDate
		}
		return string(day.appendDate(nil)), nil
	}
	return in.keep(raw), nil
}

// readRows reads a sub-form up to the first number of which nothing is sent; rows that are cleared are dropped.
func (b *boundControl) readRows(in *input) (any, sent) {
	var rows []any
	best := nothing
	for _, controls := range b.rows {
		values, said := readControls(in, controls)
		if !said {
			break
		}
		best = max(best, cleared)
		row := map[string]any{}
		for name, v := range values {
			if v != nil {
				row[name], best = v, given
			}
		}
		if len(row) > 0 {
			rows = append(rows, row)
		}
	}
	if best == cleared {
		return nil, cleared
	}
	return rows, best
}
