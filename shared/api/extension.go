package api

import (
	"cmp"

	"aliquot/shared/biobank"
)

// Custom fields inside of objects (reference openspecimen-rest.md 18.5).

// extensionForms are the objects with custom fields, and the levels of these.
var extensionForms = []struct {
	path  string
	level biobank.Level
}{
	{"/sites", biobank.SiteFields},
	{"/collection-protocols", biobank.ProtocolFields},
	{"/collection-protocol-registrations", biobank.ParticipantFields},
	{"/participants", biobank.ParticipantFields},
	{"/visits", biobank.VisitFields},
	{"/specimens", biobank.SpecimenFields},
	{"/storage-containers", biobank.ContainerFields},
	{"/distribution-protocols", biobank.DistributionFields},
	{"/distribution-orders", biobank.OrderFields},
}

func extensionRoutes() []route {
	var all []route
	for _, e := range extensionForms {
		all = append(all, route{
			pattern: "GET " + e.path + "/extension-form", summary: "The form of the custom fields", answers: map[string]any{},
			serve: func(c *call) (any, error) { return extensionForm(c, e.level) },
		})
	}
	return all
}

// extensionForm serves GET <entity>/extension-form?cpId=: the form of the level's custom fields in a protocol (-1: in all),
// or an empty object.
func extensionForm(c *call, level biobank.Level) (any, error) {
	q := c.query()
	ids := append(idsOrAll(q, "cpId"), 0)
	if q.wrong != nil {
		return nil, q.wrong
	}
	if ids[0] != 0 {
		if _, err := c.api.Registry.Get(c.Context(), c.actor, biobank.Protocol, ids[0]); err != nil {
			return nil, err
		}
	}
	f, _, err := c.api.Registry.CustomForm(c.Context(), level, ids[0])
	return formLink(f), err
}

// formLink names a form of custom fields; an empty object for none.
func formLink(f *biobank.Form) map[string]any {
	if f == nil {
		return map[string]any{}
	}
	return map[string]any{"formId": f.ID(), "formName": f.Name, "formCaption": f.Caption}
}

// extension reads extensionDetail: attrs, each by name or udn, or attrsMap. With patch what was not sent is kept, and null
// clears; otherwise what was not sent is cleared, as with every member of an object that is sent whole.
func (in *input) extension(patch bool) *biobank.ExtensionDraft {
	o := in.object("extensionDetail")
	if o == nil {
		if patch && !in.sent("extensionDetail") {
			return nil
		}
		return &biobank.ExtensionDraft{Clear: true}
	}
	d := &biobank.ExtensionDraft{
		SentValues: biobank.SentValues{Values: map[string]any{}, ByUDN: o.flag("useUdn"), Patch: patch}, FormID: o.number("formId"),
		Status: o.maybeText("dataEntryStatus"),
	}
	for _, attr := range o.objects("attrs") {
		name, udn := attr.text("name"), attr.text("udn")
		if d.ByUDN || name == "" {
			name = cmp.Or(udn, name)
		}
		attr.note("value", something)
		d.Values[name] = attrValue(attr.members["value"])
	}
	if fields := o.object("attrsMap"); fields != nil {
		for name, v := range fields.members {
			d.Values[name] = v
		}
	}
	return d
}

// attrValue is the value of a field: the rows of a sub-form are arrays of fields here, as they are answered.
func attrValue(v any) any {
	rows, ok := v.([]any)
	if !ok {
		return v
	}
	out := make([]any, len(rows))
	for i, row := range rows {
		fields, ok := row.([]any)
		if !ok {
			out[i] = row
			continue
		}
		values := map[string]any{}
		for _, field := range fields {
			if f, ok := field.(map[string]any); ok {
				name, _ := f["name"].(string)
				values[name] = attrValue(f["value"])
			}
		}
		out[i] = values
	}
	return out
}

// extensionView has its nulls. The record goes by the id of its object.
type extensionView struct {
	ID              int64      `json:"id"`
	ObjectID        int64      `json:"objectId"`
	FormID          int64      `json:"formId"`
	FormCaption     string     `json:"formCaption"`
	DataEntryStatus string     `json:"dataEntryStatus"`
	Attrs           []attrView `json:"attrs"`
	UseUDN          bool       `json:"useUdn"`
}

// extensionKeys are what showing an object's custom fields needs; nothing where there are none.
func extensionKeys(e *biobank.Extension) []biobank.Key {
	if e == nil {
		return nil
	}
	return []biobank.Key{setKey(biobank.FormType, e.FormID), setKey(biobank.DefinitionType, e.FormID)}
}

// extension shows the custom fields of an object, of which extensionKeys were fetched; null where it has none, or their
// form is deleted.
func (r *related) extension(e *biobank.Extension, object int64, phi bool) (*extensionView, error) {
	if e == nil {
		return nil, nil
	}
	f, ok := r.forms[e.FormID]
	if !ok {
		var err error
		if f, err = biobank.FormOf(r.recs, e.FormID); err != nil {
			return nil, err
		}
		r.forms[e.FormID] = f
	}
	if f == nil {
		return nil, nil
	}
	return &extensionView{
		ID: object, ObjectID: object, FormID: e.FormID, FormCaption: f.Caption, DataEntryStatus: cmp.Or(e.Status, biobank.EntryComplete),
		Attrs: attrViews(f.FormDefinition, e.Values, phi),
	}, nil
}
