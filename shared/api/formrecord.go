package api

import (
	"cmp"
	"slices"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// Records of forms (reference openspecimen-rest.md 18.4).

// formOwners are the objects that have form records, and the levels of those.
var formOwners = []struct {
	path   string
	levels []biobank.Level
}{
	{"/collection-protocol-registrations", biobank.LevelsOf(biobank.Registration)},
	{"/visits", biobank.LevelsOf(biobank.Visit)},
	{"/specimens", biobank.LevelsOf(biobank.Specimen)},
	{"/users", biobank.LevelsOf(biobank.User)},
}

func formRecordRoutes() []route {
	all := []route{
		{pattern: "POST /forms/{id}/data", summary: "Create a record of a form", answers: map[string]any{}, serve: func(c *call) (any, error) { return saveFormRecord(c, biobank.Create) }},
		{pattern: "PUT /forms/{id}/data", summary: "Change a record of a form", answers: map[string]any{}, serve: func(c *call) (any, error) { return saveFormRecord(c, biobank.Update) }},
		{pattern: "GET /forms/{id}/data/{recordId}", summary: "Read a record of a form", answers: map[string]any{}, serve: getFormRecord},
		{pattern: "DELETE /forms/{id}/data/{recordId}", summary: "Delete a record of a form", answers: int64(0), serve: deleteFormRecord},
		{pattern: "GET /forms/{id}/data/{recordId}/audit", summary: "The audit of a record of a form", answers: auditView{}, serve: formRecordAudit},
		{pattern: "GET /forms/{id}/records", summary: "List the records of a form that an object has", answers: []recordView{}, serve: listFormRecords},
		{pattern: "GET /forms/{id}/latest-records", summary: "Read the newest record of a form that each object has", answers: []map[string]any{}, serve: latestFormRecords},
	}
	for _, o := range formOwners {
		all = append(
			all,
			route{pattern: "GET " + o.path + "/{id}/forms", summary: "List the forms that can be filled in for an object", answers: []formListView{}, serve: func(c *call) (any, error) { return ownerForms(c, o.levels) }},
			route{pattern: "GET " + o.path + "/{id}/forms/{ctxId}/records", summary: "List the records that an object has of a form", answers: formRecordsView{}, serve: func(c *call) (any, error) { return ownerFormRecords(c, o.levels) }},
			route{pattern: "GET " + o.path + "/{id}/extension-records", summary: "List the records that an object has, by form", answers: []recordsView{}, serve: func(c *call) (any, error) { return ownerRecords(c, o.levels) }},
		)
	}
	return all
}

// formRecordDraft reads a flat map: what belongs to the record lies in appData, all else are fields.
func formRecordDraft(in *input, form int64) *biobank.FormRecordDraft {
	d := &biobank.FormRecordDraft{FormID: form, ID: in.number("recordId")}
	if d.ID == 0 {
		d.ID = in.number("id")
	}
	if app := in.object("appData"); app != nil {
		d.ContextID, d.ObjectID, d.Status = app.number("formCtxtId"), app.number("objectId"), app.text("formStatus")
		d.ByUDN = app.flag("useUdn")
		if d.ID == 0 {
			d.ID = app.number("recordId")
		}
	}
	d.Values = map[string]any{}
	for name, v := range in.members {
		if name != "appData" && name != "id" && name != "recordId" {
			d.Values[name] = v
		}
	}
	return d
}

// saveFormRecord makes a record, or replaces the fields of one. The reason of the change is opComments of appData: the
// reference tells of none (18.4), and beside appData that would be a field.
func saveFormRecord(c *call, op biobank.Op) (any, error) {
	form, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	d := formRecordDraft(in, form)
	metadata, reason := false, ""
	if app := in.object("appData"); app != nil {
		metadata, reason = app.flag("includeMetadata"), app.text("opComments")
	}
	if err := in.err(); err != nil {
		return nil, err
	}
	f, err := c.api.Registry.Form(c.Context(), form)
	if err != nil {
		return nil, err
	}
	if err := c.filesOf(f.Controls, d.Values); err != nil {
		return nil, err
	}
	rec, err := c.apply(biobank.Change{Op: op, ByID: true, Draft: d, Reason: reason})
	if err != nil {
		return nil, err
	}
	got, err := c.api.Registry.FormRecord(c.Context(), c.actor, form, rec.ID)
	if err != nil {
		return nil, err
	}
	return c.flatRecord(got, got.Records[0], d.ByUDN, metadata)
}

// formRecord reads the record that the path names.
func (c *call) formRecord() (*biobank.FormRecords, error) {
	form, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	id, err := c.pathID("recordId")
	if err != nil {
		return nil, err
	}
	return c.api.Registry.FormRecord(c.Context(), c.actor, form, id)
}

// flatRecord is a record on the wire: a member for each field that may be shown, by name or udn, beside id and appData.
// With metadata appData tells of the fields, too: what they are, and their values as people read them.
func (c *call) flatRecord(set *biobank.FormRecords, rec *biobank.Record, byUDN, metadata bool) (map[string]any, error) {
	doc, err := biobank.Decode[biobank.FormRecordDoc](rec)
	if err != nil {
		return nil, err
	}
	f := set.Forms[doc.FormID]
	app := map[string]any{
		"formId": doc.FormID, "formCtxtId": doc.ContextID, "objectId": doc.ObjectID, "entityType": doc.Level,
		"formStatus": cmp.Or(doc.Status, biobank.EntryComplete), "useUdn": byUDN,
	}
	flat := map[string]any{"id": rec.ID, "appData": app}
	for name, value := range wireValues(f.Controls, f.Shown(doc.Values, set.PHI), byUDN) {
		flat[name] = value
	}
	if metadata {
		app["fields"] = attrViews(f.FormDefinition, doc.Values, set.PHI)
	}
	return flat, nil
}

// wireValues are values by the names that the caller uses, those of sub-forms, too.
func wireValues(controls []*biobank.Control, values biobank.FormValues, byUDN bool) map[string]any {
	out := map[string]any{}
	for _, ctl := range controls {
		value, ok := values[ctl.Name]
		if !ok {
			continue
		}
		if ctl.Kind != biobank.KindSubForm {
			out[ctl.Key(byUDN)] = value
			continue
		}
		rows := []map[string]any{}
		for _, row := range ctl.Rows(value) {
			rows = append(rows, wireValues(ctl.Controls, row, byUDN))
		}
		out[ctl.Key(byUDN)] = rows
	}
	return out
}

// attrView has its nulls: the value of a field that the caller may not see is one.
type attrView struct {
	Name         string  `json:"name"`
	UDN          string  `json:"udn"`
	Caption      string  `json:"caption"`
	Value        any     `json:"value"`
	Type         string  `json:"type"`
	DisplayValue *string `json:"displayValue"`
}

// attrViews are the fields of a form that have a value, in the form's order. Of what identifies a person only the field is
// shown to those without the right to it.
func attrViews(f *biobank.FormDefinition, values biobank.FormValues, phi bool) []attrView {
	views := []attrView{}
	for _, ctl := range f.Controls {
		value, ok := values[ctl.Name]
		if !ok {
			continue
		}
		v := attrView{Name: ctl.Name, UDN: ctl.UDN, Caption: ctl.Caption, Type: ctl.Type}
		switch {
		case ctl.PHI && !phi:
		case ctl.Kind == biobank.KindSubForm:
			rows := [][]attrView{}
			for _, row := range ctl.Rows(value) {
				rows = append(rows, attrViews(&biobank.FormDefinition{Controls: ctl.Controls}, row, phi))
			}
			v.Value = rows
		default:
			v.Value, v.DisplayValue = value, orNull(ctl.Display(value))
		}
		views = append(views, v)
	}
	return views
}

func getFormRecord(c *call) (any, error) {
	q := c.query()
	byUDN, metadata := q.flag("includeUdn", false), q.flag("includeMetadata", false)
	if q.wrong != nil {
		return nil, q.wrong
	}
	set, err := c.formRecord()
	if err != nil {
		return nil, err
	}
	return c.flatRecord(set, set.Records[0], byUDN, metadata)
}

// deleteFormRecord answers with the id of the record.
func deleteFormRecord(c *call) (any, error) {
	set, err := c.formRecord()
	if err != nil {
		return nil, err
	}
	rec := set.Records[0]
	doc, err := biobank.Decode[biobank.FormRecordDoc](rec)
	if err != nil {
		return nil, err
	}
	_, err = c.apply(biobank.Change{Op: biobank.Update, ByID: true, Draft: biobank.FormRecordRemoval(rec.ID, doc)})
	return rec.ID, err
}

func formRecordAudit(c *call) (any, error) {
	form, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	id, err := c.pathID("recordId")
	if err != nil {
		return nil, err
	}
	h, err := c.api.Registry.History(c.Context(), c.actor, biobank.FormRecordType, id)
	if err != nil {
		return nil, err
	}
	if _, of := h.Record.Key.FormOwner(); of != form {
		return nil, fault.New("FORMS_REC_NOT_FOUND", "Form record %d was not found.", id)
	}
	return c.showHistory(h)
}

// recordView leaves its nulls out.
type recordView struct {
	ID          int64         `json:"id"`
	FcID        int64         `json:"fcId"`
	SysForm     bool          `json:"sysForm"`
	RecordID    int64         `json:"recordId"`
	User        *userSummary  `json:"user,omitempty"`
	UpdateTime  int64         `json:"updateTime"`
	FieldValues []attrView    `json:"fieldValues,omitempty"`
	EntityType  biobank.Level `json:"entityType"`
	FormID      int64         `json:"formId"`
	FormCaption string        `json:"formCaption"`
	FormStatus  string        `json:"formStatus"`
}

// formRecordViews are the summaries of records, with their values where those are asked for.
func (c *call) formRecordViews(set *biobank.FormRecords, values bool) ([]recordView, error) {
	r := c.related()
	docs := make([]biobank.FormRecordDoc, len(set.Records))
	var users []int64
	for i, rec := range set.Records {
		var err error
		if docs[i], err = biobank.Decode[biobank.FormRecordDoc](rec); err != nil {
			return nil, err
		}
		users = append(users, docs[i].ModifiedBy)
	}
	if err := r.fetchUsers(users...); err != nil {
		return nil, err
	}
	views := []recordView{}
	for i, rec := range set.Records {
		d, f := &docs[i], set.Forms[docs[i].FormID]
		user, err := r.summary(d.ModifiedBy)
		if err != nil {
			return nil, err
		}
		v := recordView{
			ID: rec.ID, FcID: d.ContextID, RecordID: rec.ID, User: user, UpdateTime: d.ModifiedAt, EntityType: d.Level,
			FormID: d.FormID, FormCaption: f.Caption, FormStatus: cmp.Or(d.Status, biobank.EntryComplete),
		}
		if values {
			v.FieldValues = attrViews(f.FormDefinition, d.Values, set.PHI)
		}
		views = append(views, v)
	}
	return views, nil
}

// level reads a level of records from the query.
func (c *call) level() (biobank.Level, error) {
	level := biobank.Level(c.query().text("entityType"))
	if level == "" {
		return "", fault.New("FORMS_ENTITY_TYPE_REQUIRED", "Give the level of the records as entityType.")
	}
	if !slices.Contains(biobank.Levels(), level) || level.Custom() {
		return "", fault.New("FORMS_INVALID_FORM_CTXT", "Level %q has no records of forms.", level)
	}
	return level, nil
}

// listFormRecords serves GET /forms/{id}/records?objectId=&entityType=: the summaries of an object's records of a form.
func listFormRecords(c *call) (any, error) {
	q := c.query()
	object := q.number("objectId")
	if q.wrong != nil {
		return nil, q.wrong
	}
	level, err := c.level()
	if err != nil {
		return nil, err
	}
	set, err := c.formRecordsOf(level, object)
	if err != nil {
		return nil, err
	}
	return c.formRecordViews(set, false)
}

// formRecordsOf are an object's records of the form of the path, at a level.
func (c *call) formRecordsOf(level biobank.Level, object int64) (*biobank.FormRecords, error) {
	if object == 0 {
		return nil, fault.New("FORMS_OBJ_ID_REQ", "Give the object that the records are about as objectId.")
	}
	f, err := c.form()
	if err != nil {
		return nil, err
	}
	owner, err := c.api.Registry.FormOwner(c.Context(), c.actor, level, object)
	if err != nil {
		return nil, err
	}
	return c.api.Registry.FormRecords(c.Context(), c.actor, owner, level, f.ID())
}

// maxLatest is how many objects latest-records looks at.
const maxLatest = 100

// latestFormRecords serves GET /forms/{id}/latest-records?entityType=&objectId=: of each object the record that was
// changed last, as a flat map. Objects without one are left out.
func latestFormRecords(c *call) (any, error) {
	q := c.query()
	objects, byUDN := q.numbers("objectId"), q.flag("includeUdn", false)
	level, err := c.level()
	switch {
	case q.wrong != nil:
		return nil, q.wrong
	case err != nil:
		return nil, err
	case len(objects) == 0:
		return nil, fault.New("FORMS_OBJ_ID_REQ", "Give the objects that the records are about as objectId.")
	case len(objects) > maxLatest:
		return nil, invalid("At most %d objects are possible.", maxLatest)
	}
	flats := []map[string]any{}
	for _, object := range objects {
		set, err := c.formRecordsOf(level, object)
		if err != nil {
			return nil, err
		}
		var last *biobank.Record
		var at int64
		for _, rec := range set.Records {
			doc, err := biobank.Decode[biobank.FormRecordDoc](rec)
			if err != nil {
				return nil, err
			}
			if last == nil || doc.ModifiedAt >= at {
				last, at = rec, doc.ModifiedAt
			}
		}
		if last == nil {
			continue
		}
		flat, err := c.flatRecord(set, last, byUDN, false)
		if err != nil {
			return nil, err
		}
		flats = append(flats, flat)
	}
	return flats, nil
}

// ownerOf reads the object of the path, of the type that the levels are of.
func (c *call) ownerOf(levels []biobank.Level) (*biobank.Record, error) {
	id, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(levels, func(l biobank.Level) bool { return l != biobank.LevelCommonParticipant })
	return c.api.Registry.FormOwner(c.Context(), c.actor, levels[i], id)
}

// formListView is a form that an object may have records of.
type formListView struct {
	FormCtxtID       int64         `json:"formCtxtId"`
	FormID           int64         `json:"formId"`
	FormName         string        `json:"formName"`
	FormCaption      string        `json:"formCaption"`
	EntityType       biobank.Level `json:"entityType"`
	NoOfRecords      int           `json:"noOfRecords"`
	MultiRecord      bool          `json:"multiRecord"`
	SysForm          bool          `json:"sysForm"`
	CreationTime     int64         `json:"creationTime"`
	ModificationTime int64         `json:"modificationTime"`
}

// ownerForms serves GET <owner>/{id}/forms?entityType=: the forms that can be filled in for an object, with the number of
// records it has.
func ownerForms(c *call, levels []biobank.Level) (any, error) {
	asked := c.query().texts("entityType")
	owner, err := c.ownerOf(levels)
	if err != nil {
		return nil, err
	}
	institute := int64(0)
	if owner.Type == biobank.User {
		user, err := biobank.Decode[biobank.UserDoc](owner)
		if err != nil {
			return nil, err
		}
		institute = user.InstituteID
	}
	recs, docs, err := c.contextsThat(func(d *biobank.FormContextDoc) bool {
		here := (d.ProtocolID == 0 || d.ProtocolID == owner.Key.Protocol()) && (d.EntityID == 0 || d.EntityID == institute)
		return here && slices.Contains(levels, d.Level) && among(asked, string(d.Level))
	})
	if err != nil {
		return nil, err
	}
	set, err := c.api.Registry.FormRecords(c.Context(), c.actor, owner, "", 0)
	if err != nil {
		return nil, err
	}
	count := map[biobank.Level]map[int64]int{}
	for _, rec := range set.Records {
		doc, err := biobank.Decode[biobank.FormRecordDoc](rec)
		if err != nil {
			return nil, err
		}
		if count[doc.Level] == nil {
			count[doc.Level] = map[int64]int{}
		}
		count[doc.Level][doc.FormID]++
	}
	r := c.related()
	var keys []biobank.Key
	for _, d := range docs {
		keys = append(keys, setKey(biobank.FormType, d.FormID))
	}
	if err := r.fetch(keys...); err != nil {
		return nil, err
	}
	views := []formListView{}
	for i, d := range docs {
		key := setKey(biobank.FormType, d.FormID)
		f, err := decodeAt[biobank.FormDoc](r, key)
		if err != nil {
			return nil, err
		}
		views = append(views, formListView{
			FormCtxtID: recs[i].ID, FormID: d.FormID, FormName: f.Name, FormCaption: f.Caption, EntityType: d.Level,
			NoOfRecords: count[d.Level][d.FormID], MultiRecord: d.MultiRecord, CreationTime: r.recs[key].CreatedAt, ModificationTime: f.ModifiedAt,
		})
	}
	return views, nil
}

// formRecordsView are an object's records of an association's form.
type formRecordsView struct {
	FormID      int64        `json:"formId"`
	FormCtxtID  int64        `json:"formCtxtId"`
	FormCaption string       `json:"formCaption"`
	Records     []recordView `json:"records"`
}

// ownerFormRecords serves GET <owner>/{id}/forms/{ctxId}/records: an object's records of an association's form.
func ownerFormRecords(c *call, levels []biobank.Level) (any, error) {
	context, err := c.pathID("ctxId")
	if err != nil {
		return nil, err
	}
	owner, err := c.ownerOf(levels)
	if err != nil {
		return nil, err
	}
	recs, docs, err := c.contextsThat(func(d *biobank.FormContextDoc) bool {
		return slices.Contains(levels, d.Level) && (d.ProtocolID == 0 || d.ProtocolID == owner.Key.Protocol())
	})
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(recs, func(rec *biobank.Record) bool { return rec.ID == context })
	if i < 0 {
		return nil, fault.New("FORMS_INVALID_FORM_CTXT", "Association %d is not for this object.", context)
	}
	set, err := c.api.Registry.FormRecords(c.Context(), c.actor, owner, docs[i].Level, docs[i].FormID)
	if err != nil {
		return nil, err
	}
	views, err := c.formRecordViews(set, true)
	if err != nil {
		return nil, err
	}
	f, err := c.api.Registry.Form(c.Context(), docs[i].FormID)
	if err != nil {
		return nil, err
	}
	return formRecordsView{docs[i].FormID, context, f.Caption, views}, nil
}

// recordsView are the records of one form.
type recordsView struct {
	ID      int64        `json:"id"`
	Name    string       `json:"name"`
	Caption string       `json:"caption"`
	Records []recordView `json:"records"`
}

// ownerRecords serves GET <owner>/{id}/extension-records: all of an object's records with their values, a list for each
// form.
func ownerRecords(c *call, levels []biobank.Level) (any, error) {
	owner, err := c.ownerOf(levels)
	if err != nil {
		return nil, err
	}
	set, err := c.api.Registry.FormRecords(c.Context(), c.actor, owner, "", 0)
	if err != nil {
		return nil, err
	}
	views, err := c.formRecordViews(set, true)
	if err != nil {
		return nil, err
	}
	return byForm(set, views), nil
}

// byForm are records as a list for each form.
func byForm(set *biobank.FormRecords, views []recordView) []recordsView {
	lists := []recordsView{}
	for _, v := range views {
		i := slices.IndexFunc(lists, func(l recordsView) bool { return l.ID == v.FormID })
		if i < 0 {
			f := set.Forms[v.FormID]
			lists = append(lists, recordsView{ID: v.FormID, Name: f.Doc.Name, Caption: f.Caption})
			i = len(lists) - 1
		}
		lists[i].Records = append(lists[i].Records, v)
	}
	return lists
}
