package api

import (
	"slices"
	"strings"

	"aliquot/shared/biobank"
)

// GET /specimens/{id}/events (reference openspecimen-rest.md 18.4): what happened to a specimen, a list for each kind of
// event. The product's own events are system records: they have no form, and their fields are those of the specimen, of the
// order or of the shipment. Behind them come the records of SpecimenEvent forms.

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

// eventLists gathers the product's own events of a specimen, a list for each kind.
type eventLists struct {
	r     *related
	lists []eventsView
}

// add notes an event of a specimen; fields without a value are left out.
func (l *eventLists) add(specimen int64, name, caption string, user, at int64, fields ...eventField) error {
	if err := l.r.fetchUsers(user); err != nil {
		return err
	}
	who, err := l.r.summary(user)
	if err != nil {
		return err
	}
	one := eventRecordView{
		SysForm: true, RecordID: specimen, User: who, UpdateTime: orNull(at), FieldValues: []eventField{}, EntityType: "SpecimenEvent",
		FormCaption: caption, FormStatus: biobank.EntryComplete,
	}
	for _, f := range fields {
		if f.Value != "" {
			one.FieldValues = append(one.FieldValues, f)
		}
	}
	i := slices.IndexFunc(l.lists, func(v eventsView) bool { return v.Name == name })
	if i < 0 {
		i = len(l.lists)
		l.lists = append(l.lists, eventsView{Name: name, Caption: caption})
	}
	l.lists[i].Records = append(l.lists[i].Records, one)
	return nil
}

// specimenEvents serves the events of a specimen, those of a kind oldest first; a child shows how the specimen that it
// comes from was collected.
func specimenEvents(c *call) (any, error) {
	rec, err := c.get(biobank.Specimen)
	if err != nil {
		return nil, err
	}
	l := &eventLists{r: c.related()}
	l.r.recs[rec.Key] = rec
	if err := l.collected(rec); err != nil {
		return nil, err
	}
	all, err := c.api.Registry.EventsOf(c.Context(), c.actor, rec.ID)
	if err != nil {
		return nil, err
	}
	if err := l.moved(rec.ID, all.Transfers); err != nil {
		return nil, err
	}
	if err := l.handed(rec.ID, all.Custody); err != nil {
		return nil, err
	}
	for _, e := range all.Disposals {
		if err := l.add(rec.ID, "SpecimenDisposalEvent", "Disposal", e.UserID, e.Time, eventField{"reason", "Reason", e.Reason},
			eventField{"comments", "Comments", e.Comments}); err != nil {
			return nil, err
		}
	}
	custom, err := c.customEvents(rec)
	return append(l.lists, custom...), err
}

// collected adds how a specimen, or the one that it comes from, was collected and received.
func (l *eventLists) collected(rec *biobank.Record) error {
	_, top, _ := specimenKeys(rec.Key)
	if err := l.r.fetch(top); err != nil {
		return err
	}
	primary, err := decodeAt[biobank.SpecimenDoc](l.r, top)
	if err != nil {
		return err
	}
	if e := primary.Collection; e != nil {
		if err := l.add(l.r.recs[top].ID, "SpecimenCollectionEvent", "Collection", e.UserID, e.Time, eventField{"procedure", "Collection Procedure", e.Procedure},
			eventField{"container", "Collection Container", e.Container}, eventField{"comments", "Comments", e.Comments}); err != nil {
			return err
		}
	}
	if e := primary.Received; e != nil {
		return l.add(l.r.recs[top].ID, "SpecimenReceivedEvent", "Received", e.UserID, e.Time, eventField{"receivedQuality", "Received Quality", e.Quality},
			eventField{"comments", "Comments", e.Comments})
	}
	return nil
}

// moved adds the changes of where a specimen lies.
func (l *eventLists) moved(specimen int64, all []biobank.Transfer) error {
	var cells []*biobank.Location
	for _, t := range all {
		cells = append(cells, t.From, t.To)
	}
	if err := l.r.fetchLocations(cells...); err != nil {
		return err
	}
	for _, t := range all {
		from, err := l.cell(t.From)
		if err != nil {
			return err
		}
		to, err := l.cell(t.To)
		if err != nil {
			return err
		}
		if err := l.add(specimen, "SpecimenTransferEvent", "Transfer", t.By, t.At, eventField{"fromPosition", "From", from}, eventField{"toPosition", "To", to},
			eventField{"comments", "Comments", t.Reason}); err != nil {
			return err
		}
	}
	return nil
}

// cell is a location in words.
func (l *eventLists) cell(cell *biobank.Location) (string, error) {
	at, err := l.r.locate(cell)
	return strings.TrimSpace(text(at.Name) + " " + text(at.PositionY) + " " + text(at.PositionX)), err
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
