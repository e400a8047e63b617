package api

import (
	"slices"
	"strings"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// Associations of forms (reference openspecimen-rest.md 18.3).

func formContextRoutes() []route {
	return []route{
		{pattern: "GET /forms/{id}/contexts", summary: "List what a form is associated with", answers: []contextView{}, serve: listFormContexts},
		{pattern: "PUT /forms/{id}/contexts", summary: "Associate a form", answers: []contextView{}, serve: saveFormContexts},
		{pattern: "DELETE /forms/{id}/contexts", summary: "End an association of a form", answers: endedView{}, serve: deleteFormContext},
		{pattern: "GET /collection-protocols/{id}/forms", summary: "List the forms of a collection protocol", answers: []contextView{}, serve: protocolForms},
	}
}

type contextView struct {
	FormCtxtID    int64           `json:"formCtxtId"`
	Protocol      contextProtocol `json:"collectionProtocol"`
	InstituteName *string         `json:"instituteName"`
	Level         biobank.Level   `json:"level"`
	EntityID      *int64          `json:"entityId"`
	FormID        int64           `json:"formId"`
	FormName      string          `json:"formName"`    // ours, with the next
	FormCaption   string          `json:"formCaption"` // so that a list of a protocol's forms can be shown
	SortOrder     *int64          `json:"sortOrder"`
	MultiRecord   bool            `json:"multiRecord"`
	NotifEnabled  bool            `json:"notifEnabled"`
	DataInNotif   bool            `json:"dataInNotif"`
	NotifGroups   []struct{}      `json:"notifUserGroups"`
	SysForm       bool            `json:"sysForm"`
}

// contextProtocol is the protocol of an association, -1 for all.
type contextProtocol struct {
	ID         int64  `json:"id"`
	ShortTitle string `json:"shortTitle"`
	Title      string `json:"title"`
}

func (c *call) showContexts(recs []*biobank.Record) ([]contextView, error) {
	r := c.related()
	docs := make([]biobank.FormContextDoc, len(recs))
	var keys []biobank.Key
	for i, rec := range recs {
		var err error
		if docs[i], err = biobank.Decode[biobank.FormContextDoc](rec); err != nil {
			return nil, err
		}
		keys = append(keys, setKey(biobank.FormType, docs[i].FormID), setKey(biobank.Protocol, docs[i].ProtocolID), setKey(biobank.Institute, docs[i].EntityID))
	}
	if err := r.fetch(keys...); err != nil {
		return nil, err
	}
	views := []contextView{}
	for i, d := range docs {
		form, err := decodeAt[biobank.FormDoc](r, setKey(biobank.FormType, d.FormID))
		if err != nil {
			return nil, err
		}
		cp, err := decodeAt[biobank.ProtocolDoc](r, setKey(biobank.Protocol, d.ProtocolID))
		if err != nil {
			return nil, err
		}
		institute, err := r.instituteName(d.EntityID)
		if err != nil {
			return nil, err
		}
		v := contextView{
			FormCtxtID: recs[i].ID, Protocol: contextProtocol{*orAll(d.ProtocolID), cp.ShortTitle, cp.Title}, InstituteName: institute,
			Level: d.Level, EntityID: orNull(d.EntityID), FormID: d.FormID, FormName: form.Name, FormCaption: form.Caption,
			SortOrder: orNull(d.SortOrder), MultiRecord: d.MultiRecord, NotifEnabled: d.NotifEnabled, DataInNotif: d.DataInNotif,
			NotifGroups: []struct{}{},
		}
		if d.ProtocolID == 0 {
			v.Protocol.ShortTitle, v.Protocol.Title = "All", "All collection protocols"
		}
		views = append(views, v)
	}
	return views, nil
}

// contextsThat are the associations that the caller may see and that fit, those of a level in their order.
func (c *call) contextsThat(fit func(*biobank.FormContextDoc) bool) ([]*biobank.Record, []biobank.FormContextDoc, error) {
	recs, docs, err := c.api.Registry.FormContexts(c.Context(), c.actor)
	if err != nil {
		return nil, nil, err
	}
	var order []int
	for i := range docs {
		if fit(&docs[i]) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(i, j int) int {
		if n := strings.Compare(string(docs[i].Level), string(docs[j].Level)); n != 0 {
			return n
		}
		return int(docs[i].SortOrder - docs[j].SortOrder)
	})
	var outRecs []*biobank.Record
	var outDocs []biobank.FormContextDoc
	for _, i := range order {
		outRecs, outDocs = append(outRecs, recs[i]), append(outDocs, docs[i])
	}
	return outRecs, outDocs, nil
}

func listFormContexts(c *call) (any, error) {
	f, err := c.form()
	if err != nil {
		return nil, err
	}
	recs, _, err := c.contextsThat(func(d *biobank.FormContextDoc) bool { return d.FormID == f.ID() })
	if err != nil {
		return nil, err
	}
	return c.showContexts(recs)
}

// protocolForms serves the associations that count in a protocol, its own and those with all.
func protocolForms(c *call) (any, error) {
	levels := c.query().texts("entityType")
	cp, err := c.get(biobank.Protocol)
	if err != nil {
		return nil, err
	}
	recs, _, err := c.contextsThat(func(d *biobank.FormContextDoc) bool {
		return (d.ProtocolID == 0 || d.ProtocolID == cp.ID) && among(levels, string(d.Level))
	})
	if err != nil {
		return nil, err
	}
	return c.showContexts(recs)
}

// saveFormContexts serves PUT /forms/{id}/contexts: each association of the body is made, or replaced where there is one
// of the same level, protocol and institute. Groups of users to notify are not kept: there are none.
func saveFormContexts(c *call) (any, error) {
	id, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	list, err := c.bodies()
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return []contextView{}, nil
	}
	d := &biobank.FormContextsDraft{FormID: id}
	for _, in := range list {
		doc := biobank.FormContextDoc{
			Level: biobank.Level(in.text("level")), EntityID: max(in.number("entityId"), 0), SortOrder: in.number("sortOrder"),
			MultiRecord: in.flag("multiRecord"), NotifEnabled: in.flag("notifEnabled"), DataInNotif: in.flag("dataInNotif"),
		}
		if cp := in.object("collectionProtocol"); cp != nil {
			if doc.ProtocolID, err = c.contextProtocol(cp); err != nil {
				return nil, err
			}
		}
		d.Contexts = append(d.Contexts, doc)
		if err := in.err(); err != nil {
			return nil, err
		}
	}
	if _, err := c.apply(biobank.Change{Op: biobank.Update, Draft: d, Reason: reasonOf(list)}); err != nil {
		return nil, err
	}
	return c.showContexts(d.Records)
}

// contextProtocol reads {id} or {shortTitle} or {title}; -1, or an empty object, means all.
func (c *call) contextProtocol(in *input) (int64, error) {
	ref := in.asProtocolRef()
	if ref.ID != 0 || !ref.Sent() {
		return max(ref.ID, 0), nil
	}
	return c.api.Registry.ProtocolOf(c.Context(), c.actor, ref)
}

type endedView struct {
	Status bool `json:"status"`
}

// deleteFormContext serves DELETE /forms/{id}/contexts?entityType=&cpId=&entityId=.
func deleteFormContext(c *call) (any, error) {
	id, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	q := c.query()
	doc := biobank.FormContextDoc{Level: biobank.Level(q.text("entityType"))}
	for _, p := range []struct {
		name string
		into *int64
	}{{"cpId", &doc.ProtocolID}, {"entityId", &doc.EntityID}} {
		if ids := idsOrAll(q, p.name); len(ids) > 0 {
			*p.into = ids[0]
		}
	}
	if q.wrong != nil {
		return nil, q.wrong
	}
	if doc.Level == "" {
		return nil, fault.New("FORMS_ENTITY_TYPE_REQUIRED", "Give the level of the association as entityType.")
	}
	if _, err := c.apply(biobank.Change{Op: biobank.Update, Draft: &biobank.FormContextsDraft{FormID: id, Contexts: []biobank.FormContextDoc{doc}, Delete: true}}); err != nil {
		return nil, err
	}
	return endedView{true}, nil
}
