package api

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// Definitions of forms (reference openspecimen-rest.md 18.2). There are no system forms: every one can be changed.

func forms() noun { return noun{path: "/forms", typ: biobank.FormType} }

func formRoutes() []route {
	return []route{
		{pattern: "GET /forms", summary: "List forms", answers: []formItem{}, serve: listForms},
		{pattern: "GET /forms/count", summary: "Count forms", answers: countView{}, serve: countForms},
		{pattern: "GET /forms/definition", summary: "Read the definition of a form by its name", answers: map[string]any{}, serve: formNamed},
		{pattern: "GET /forms/{id}/definition", summary: "Read the definition of a form", answers: map[string]any{}, serve: formDefinition},
		{pattern: "PUT /forms/{id}", summary: "Save the definition of a form; id -1 makes a form", answers: idView{}, serve: saveForm},
		{pattern: "DELETE /forms/{id}", summary: "Delete a form", answers: true, serve: deleteForm},
		{pattern: "DELETE /forms", summary: "Delete several forms", answers: true, serve: deleteForms},
		{pattern: "GET /forms/{id}/fields", summary: "List the fields of a form", answers: []fieldView{}, serve: formFields},
		{pattern: "GET /forms/{id}/permissible-values", summary: "List the values that a field of a form may have", answers: []any{}, serve: formValues},
		auditRoute(forms()),
	}
}

// formItem leaves its nulls out. What is said of an association is that of the first one that was asked for.
type formItem struct {
	FormID           int64        `json:"formId"`
	Name             string       `json:"name"`
	Caption          string       `json:"caption"`
	CreatedBy        *userSummary `json:"createdBy,omitempty"`
	CreationTime     int64        `json:"creationTime"`
	ModificationTime int64        `json:"modificationTime"`
	Associations     *int         `json:"associations,omitempty"`
	SysForm          bool         `json:"sysForm"`
	EntityType       *string      `json:"entityType,omitempty"`
	MultipleRecords  *bool        `json:"multipleRecords,omitempty"`
	NotifEnabled     *bool        `json:"notifEnabled,omitempty"`
	DataInNotif      *bool        `json:"dataInNotif,omitempty"`
	FormCtxtID       *int64       `json:"formCtxtId,omitempty"`
	CPID             *int64       `json:"cpId,omitempty"`
}

// findForms lists the forms that were asked for, by name: cpId, entityId and formType (a level) look for associations, with
// what they name or with all.
func findForms(c *call, q *query) ([]*biobank.Record, []formItem, error) {
	name, levels := q.text("name"), q.texts("formType")
	cps, entities := idsOrAll(q, "cpId"), idsOrAll(q, "entityId")
	q.flag("excludeSysForms", false) // there are none
	stats := q.flag("includeStats", false)
	if q.wrong != nil {
		return nil, nil, q.wrong
	}
	all, err := c.api.Registry.Members(c.Context(), c.actor, biobank.FormType)
	if err != nil {
		return nil, nil, err
	}
	all, err = sorted(all, func(_ int64, d *biobank.FormDoc) bool {
		return like(d.Name, name, false) || like(d.Caption, name, false)
	},
		func(a, b *biobank.FormDoc) int { return strings.Compare(biobank.Fold(a.Name), biobank.Fold(b.Name)) })
	if err != nil {
		return nil, nil, err
	}
	narrowed := len(levels)+len(cps)+len(entities) > 0
	contexts, docs, err := c.api.Registry.FormContexts(c.Context(), c.actor)
	if err != nil {
		return nil, nil, err
	}
	var recs []*biobank.Record
	items := []formItem{}
	for _, rec := range all {
		doc, err := biobank.Decode[biobank.FormDoc](rec)
		if err != nil {
			return nil, nil, err
		}
		item := formItem{
			FormID: rec.ID, Name: doc.Name, Caption: doc.Caption, CreationTime: rec.CreatedAt, ModificationTime: doc.ModifiedAt,
		}
		count, first := 0, -1
		for i, d := range docs {
			if d.FormID != rec.ID {
				continue
			}
			count++
			if first < 0 && among(levels, string(d.Level)) && withOrAll(cps, d.ProtocolID) && withOrAll(entities, d.EntityID) {
				first = i
			}
		}
		if narrowed && first < 0 {
			continue
		}
		if stats {
			item.Associations = &count
		}
		if narrowed {
			d := docs[first]
			item.EntityType, item.MultipleRecords, item.NotifEnabled, item.DataInNotif = orNull(string(d.Level)), &d.MultiRecord, &d.NotifEnabled, &d.DataInNotif
			item.FormCtxtID, item.CPID = &contexts[first].ID, orAll(d.ProtocolID)
		}
		recs, items = append(recs, rec), append(items, item)
	}
	return recs, items, nil
}

// idsOrAll are the ids of a parameter, of which -1 stands for all, kept as 0.
func idsOrAll(q *query, name string) []int64 {
	var ids []int64
	for _, text := range q.texts(name) {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < -1 {
			q.refuse(name, "numbers")
			return nil
		}
		ids = append(ids, max(n, 0))
	}
	return ids
}

// withOrAll tells whether an association with one (0: with all) is among those asked for.
func withOrAll(asked []int64, id int64) bool {
	return len(asked) == 0 || id == 0 || slices.Contains(asked, id)
}

// orAll shows an id, 0 as -1.
func orAll(id int64) *int64 {
	id = cmp.Or(id, -1)
	return &id
}

func listForms(c *call) (any, error) {
	q := c.query()
	page := q.page("startAt", 100)
	recs, items, err := findForms(c, q)
	if err != nil {
		return nil, err
	}
	recs, items = cut(recs, page), cut(items, page)
	r := c.related()
	var users []int64
	for _, rec := range recs {
		users = append(users, rec.CreatedBy)
	}
	if err := r.fetchUsers(users...); err != nil {
		return nil, err
	}
	for i, rec := range recs {
		if items[i].CreatedBy, err = r.summary(rec.CreatedBy); err != nil {
			return nil, err
		}
	}
	return items, nil
}

func countForms(c *call) (any, error) {
	_, items, err := findForms(c, c.query())
	return countView{len(items)}, err
}

// form is the form that the path names.
func (c *call) form() (*biobank.Form, error) {
	id, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	return c.api.Registry.Form(c.Context(), id)
}

func formDefinition(c *call) (any, error) {
	return c.definitionOf(c.query(), c.form)
}

func formNamed(c *call) (any, error) {
	q := c.query()
	name := q.text("name")
	return c.definitionOf(q, func() (*biobank.Form, error) { return c.api.Registry.FormNamed(c.Context(), name) })
}

// definitionOf is the JSON of a form as it was saved, with its id; with maxPvs lists of values are cut to that length.
func (c *call) definitionOf(q *query, read func() (*biobank.Form, error)) (any, error) {
	most := q.number("maxPvs")
	if q.wrong != nil {
		return nil, q.wrong
	}
	f, err := read()
	if err != nil {
		return nil, err
	}
	if most == 0 {
		return f.JSON, nil
	}
	doc, err := parseJSON(f.JSON)
	if err != nil {
		return nil, err
	}
	return fewerPVs(doc, int(min(most, 1<<31))), nil
}

func fewerPVs(v any, most int) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = fewerPVs(v[i], most)
		}
	case map[string]any:
		for name, of := range v {
			if pvs, ok := of.([]any); ok && name == "pvs" {
				v[name] = pvs[:min(len(pvs), most)]
			} else {
				v[name] = fewerPVs(of, most)
			}
		}
	}
	return v
}

// saveForm serves PUT /forms/{id}: the whole definition of a form, of a new one where the id is -1. Its opComments are the
// reason of the change, and no part of the form.
func saveForm(c *call) (any, error) {
	op, id := biobank.Create, int64(0)
	if text := c.PathValue("id"); text != "-1" {
		var err error
		if id, err = c.pathID("id"); err != nil {
			return nil, err
		}
		op = biobank.Update
	}
	text, err := c.text()
	if err != nil {
		return nil, err
	}
	in, err := decode(text)
	if err != nil {
		return nil, err
	}
	reason := in.text("opComments")
	if err := in.err(); err != nil {
		return nil, err
	}
	rec, err := c.apply(biobank.Change{Op: op, ByID: true, Draft: &biobank.FormDraft{ID: id, Definition: text}, Reason: reason})
	if err != nil {
		return nil, err
	}
	return idView{rec.ID}, nil
}

func deleteForm(c *call) (any, error) {
	id, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	return c.deleteForms(id)
}

func deleteForms(c *call) (any, error) {
	q := c.query()
	ids := q.numbers("id")
	switch {
	case q.wrong != nil:
		return nil, q.wrong
	case len(ids) == 0:
		return nil, invalid("Give the ids to delete as id.")
	}
	return c.deleteForms(ids...)
}

func (c *call) deleteForms(ids ...int64) (any, error) {
	if err := fewEnough(len(ids)); err != nil {
		return nil, err
	}
	changes := make([]biobank.Change, len(ids))
	for i, id := range ids {
		changes[i] = biobank.Change{Op: biobank.Update, ByID: true, Draft: &biobank.FormDraft{ID: id, Delete: true}, ID: c.id}
	}
	_, err := c.api.Registry.ApplyAll(c.Context(), c.actor, c.at, changes)
	return true, err
}

// fieldView leaves its nulls out, but for lookupProps: no kind of field looks values up elsewhere. A field goes by the name
// that its author gave it.
type fieldView struct {
	Name        string      `json:"name"`
	Caption     string      `json:"caption"`
	Type        string      `json:"type"`
	PVs         []string    `json:"pvs,omitempty"`
	SubFields   []fieldView `json:"subFields,omitempty"`
	LookupProps *struct{}   `json:"lookupProps"`
	Flatten     bool        `json:"flatten"`
	Multiple    bool        `json:"multiple"`
}

// fieldTypes are the data types of fields; the reference leaves their names open.
var fieldTypes = map[biobank.ControlKind]string{
	biobank.KindText: "STRING", biobank.KindSelect: "STRING", biobank.KindMultiSelect: "STRING", biobank.KindNumber: "FLOAT",
	biobank.KindBoolean: "BOOLEAN", biobank.KindDate: "DATE", biobank.KindFile: "FILE", biobank.KindSubForm: "SUBFORM",
}

// formFields serves the fields of a form. cpId and extendedFields are about system forms, of which there are none.
func formFields(c *call) (any, error) {
	q := c.query()
	prefix := q.flag("prefixParentCaption", false)
	if q.wrong != nil {
		return nil, q.wrong
	}
	f, err := c.form()
	if err != nil {
		return nil, err
	}
	return fieldViews(f.Controls, "", prefix), nil
}

func fieldViews(controls []*biobank.Control, parent string, prefix bool) []fieldView {
	views := []fieldView{}
	for _, ctl := range controls {
		v := fieldView{
			Name: ctl.UDN, Caption: parent + ctl.Caption, Type: fieldTypes[ctl.Kind],
			Multiple: ctl.Kind == biobank.KindMultiSelect || ctl.Kind == biobank.KindSubForm,
		}
		for _, pv := range ctl.PVs {
			v.PVs = append(v.PVs, pv.Value)
		}
		if ctl.Kind == biobank.KindSubForm {
			below := ""
			if prefix {
				below = v.Caption + ": "
			}
			v.SubFields = fieldViews(ctl.Controls, below, prefix)
		}
		views = append(views, v)
	}
	return views
}

// formValues serves the values of a control, as its definition has them, whose value or name holds a text.
func formValues(c *call) (any, error) {
	q := c.query()
	name, search, page := q.text("controlName"), q.text("searchString"), q.page("startAt", 100)
	if q.wrong != nil {
		return nil, q.wrong
	}
	f, err := c.form()
	if err != nil {
		return nil, err
	}
	ctl := f.Field(name)
	if ctl == nil || !ctl.Selects() {
		return nil, fault.New("FORMS_NOT_SELECT_CONTROL", "Form %q has no control %q whose values are selected.", f.Caption, name)
	}
	values := []json.RawMessage{}
	for _, pv := range ctl.PVs {
		if like(pv.Value, search, false) || like(pv.Name, search, false) {
			values = append(values, pv.JSON)
		}
	}
	return cut(values, page), nil
}
