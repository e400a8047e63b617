package api

import (
	"strings"

	"aliquot/shared/biobank"
)

// GET /specimens/{id}/events (reference openspecimen-rest.md 18.4): what happened to a specimen, a list for each kind of
// event. The product's own events are system records: they have no form, and their fields are those of the specimen. Behind
// them come the records of SpecimenEvent forms.

type eventsView struct {
	ID      *int64            `json:"id"`
	Name    string            `json:"name"`
	Caption string            `json:"caption"`
	Records []eventRecordView `json:"records"`
}

type eventRecordView struct {
	ID          *int64       `json:"id"`
	FcID        *int64       `json:"fcId"`
	SysForm     bool         `json:"sysForm"`
	RecordID    int64        `json:"recordId"`
	User        *userSummary `json:"user"`
	UpdateTime  *int64       `json:"updateTime"`
	FieldValues []eventField `json:"fieldValues"`
	EntityType  string       `json:"entityType"`
	FormID      *int64       `json:"formId"`
	FormCaption string       `json:"formCaption"`
	FormStatus  string       `json:"formStatus"`
}

type eventField struct {
	Name    string `json:"name"`
	Caption string `json:"caption"`
	Value   string `json:"value"`
}

// specimenEvents serves the events of a specimen; a child shows how the specimen that it comes from was collected.
func specimenEvents(c *call) (any, error) {
	rec, err := c.get(biobank.Specimen)
	if err != nil {
		return nil, err
	}
	doc, err := biobank.Decode[biobank.SpecimenDoc](rec)
	if err != nil {
		return nil, err
	}
	r := c.related()
	r.recs[rec.Key] = rec
	_, top, _ := specimenKeys(rec.Key)
	if err := r.fetch(top); err != nil {
		return nil, err
	}
	primary, err := decodeAt[biobank.SpecimenDoc](r, top)
	if err != nil {
		return nil, err
	}
	list := []eventsView{}
	add := func(of *biobank.Record, name, caption string, user, at int64, fields ...eventField) error {
		if err := r.fetchUsers(user); err != nil {
			return err
		}
		who, err := r.summary(user)
		one := eventRecordView{
			SysForm: true, RecordID: of.ID, User: who, UpdateTime: orNull(at), FieldValues: []eventField{}, EntityType: "SpecimenEvent",
			FormCaption: caption, FormStatus: biobank.EntryComplete,
		}
		for _, f := range fields {
			if f.Value != "" {
				one.FieldValues = append(one.FieldValues, f)
			}
		}
		list = append(list, eventsView{Name: name, Caption: caption, Records: []eventRecordView{one}})
		return err
	}
	if e := primary.Collection; e != nil {
		if err := add(r.recs[top], "SpecimenCollectionEvent", "Collection", e.UserID, e.Time, eventField{"procedure", "Collection Procedure", e.Procedure},
			eventField{"container", "Collection Container", e.Container}, eventField{"comments", "Comments", e.Comments}); err != nil {
			return nil, err
		}
	}
	if e := primary.Received; e != nil {
		if err := add(r.recs[top], "SpecimenReceivedEvent", "Received", e.UserID, e.Time, eventField{"receivedQuality", "Received Quality", e.Quality},
			eventField{"comments", "Comments", e.Comments}); err != nil {
			return nil, err
		}
	}
	moves, err := r.moves(rec)
	if err != nil {
		return nil, err
	}
	for _, m := range moves {
		if err := add(rec, "SpecimenTransferEvent", "Transfer", m.by, m.at, eventField{"fromPosition", "From", m.from},
			eventField{"toPosition", "To", m.to}, eventField{"comments", "Comments", m.reason}); err != nil {
			return nil, err
		}
	}
	if e := doc.Disposal; e != nil {
		if err := add(rec, "SpecimenDisposalEvent", "Disposal", e.UserID, e.Time, eventField{"reason", "Reason", e.Reason},
			eventField{"comments", "Comments", e.Comments}); err != nil {
			return nil, err
		}
	}
	custom, err := c.customEvents(rec)
	return append(list, custom...), err
}

// customEvents are the records of a specimen's event forms, a list for each form, in the shape of its own events.
func (c *call) customEvents(rec *biobank.Record) ([]eventsView, error) {
	set, err := c.api.Registry.FormRecords(c.Context(), c.actor, rec, biobank.LevelSpecimenEvent, 0)
	if err != nil {
		return nil, err
	}
	views, err := c.formRecordViews(set, true)
	if err != nil {
		return nil, err
	}
	var lists []eventsView
	for _, l := range byForm(set, views) {
		of := eventsView{ID: &l.ID, Name: l.Name, Caption: l.Caption, Records: []eventRecordView{}}
		for _, v := range l.Records {
			one := eventRecordView{
				ID: &v.ID, FcID: &v.FcID, RecordID: v.RecordID, User: v.User, UpdateTime: &v.UpdateTime, FieldValues: []eventField{},
				EntityType: string(v.EntityType), FormID: &v.FormID, FormCaption: v.FormCaption, FormStatus: v.FormStatus,
			}
			for _, a := range v.FieldValues {
				if a.DisplayValue != nil {
					one.FieldValues = append(one.FieldValues, eventField{a.Name, a.Caption, *a.DisplayValue})
				}
			}
			of.Records = append(of.Records, one)
		}
		lists = append(lists, of)
	}
	return lists, nil
}

// moveText is a change of where a specimen lies, in words.
type moveText struct {
	by, at           int64
	from, to, reason string
}

// moves are the changes of where a specimen lies, oldest first. That it was stored when it was made is none.
func (r *related) moves(rec *biobank.Record) ([]moveText, error) {
	all, err := r.c.api.Registry.Transfers(r.c.Context(), r.c.actor, biobank.Specimen, rec.ID)
	if err != nil {
		return nil, err
	}
	var cells []*biobank.Location
	for _, t := range all {
		cells = append(cells, t.From, t.To)
	}
	if err := r.fetchLocations(cells...); err != nil {
		return nil, err
	}
	var out []moveText
	for i, t := range all {
		if i == 0 && t.At == rec.CreatedAt {
			continue
		}
		one := moveText{by: t.By, at: t.At, reason: t.Reason}
		for _, end := range []struct {
			cell *biobank.Location
			into *string
		}{{t.From, &one.from}, {t.To, &one.to}} {
			at, err := r.locate(end.cell)
			if err != nil {
				return nil, err
			}
			*end.into = strings.TrimSpace(deref(at.Name) + " " + deref(at.PositionY) + " " + deref(at.PositionX))
		}
		out = append(out, one)
	}
	return out, nil
}
