package api

import (
	"aliquot/shared/biobank"
)

// GET /specimens/{id}/events (reference openspecimen-rest.md 18.4): what happened to a specimen, a list for each kind of
// event. The product's own events are system records: they have no form, and their fields are those of the specimen.

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
	if e := doc.Disposal; e != nil {
		if err := add(rec, "SpecimenDisposalEvent", "Disposal", e.UserID, e.Time, eventField{"reason", "Reason", e.Reason},
			eventField{"comments", "Comments", e.Comments}); err != nil {
			return nil, err
		}
	}
	return list, nil
}
