package odmapi

import (
	"context"
	"strconv"
	"time"

	"aliquot/shared/clinical"
)

// Discrepancy notes of items. The reference has no API for them: the paths, which are like those of events, and the bodies
// are ours. What may be said when, and the codes, are those of imports (sections 3.2 and 5, level N); the notes come out with
// the data (includeDNs=y). They are for who may change data there: monitors and viewers only read (section 1.3).

func noteRoutes() []route {
	const study, site = "/clinicaldata/studies/{study}/notes", "/clinicaldata/studies/{study}/sites/{site}/notes"
	return []route{
		{pattern: "POST " + study, tell: asOwnMessage, serve: addNote},
		{pattern: "POST " + site, tell: asOwnMessage, serve: addNote},
		{pattern: "PUT " + study + "/{note}", tell: asOwnMessage, serve: answerNote},
		{pattern: "PUT " + site + "/{note}", tell: asOwnMessage, serve: answerNote},
	}
}

type noteView struct {
	ID         string      `json:"id"`
	NoteType   string      `json:"noteType"`
	Status     string      `json:"status"`
	SubjectKey string      `json:"subjectKey"`
	EventOID   string      `json:"studyEventOID"`
	EventKey   string      `json:"studyEventRepeatKey"`
	FormOID    string      `json:"formOID"`
	GroupOID   string      `json:"itemGroupOID"`
	GroupKey   string      `json:"itemGroupRepeatKey"`
	ItemOID    string      `json:"itemOID"`
	ChildNotes []childView `json:"childNotes"`
}

type childView struct {
	ID           string `json:"id"`
	Status       string `json:"status"`
	DateCreated  string `json:"dateCreated"`
	UserName     string `json:"userName"`
	Description  string `json:"description,omitempty"`
	DetailedNote string `json:"detailedNote"`
	AssignedTo   string `json:"assignedTo,omitempty"`
}

// addNote begins a note of an item: {"subjectKey","studyEventOID","studyEventRepeatKey","formOID","itemGroupOID",
// "itemGroupRepeatKey","itemOID","noteType":"Query"|"Annotation","detailedNote","description","assignedTo"}. subjectKey is
// the Participant ID, repeat keys are 1 unless given, and assignedTo is the login name of somebody with a role there. The
// answer is the note with the ids that it was given. A request with an Idempotency-Key begins one, however often it is sent.
func addNote(c *call) (any, error) {
	p, meta, d, err := c.noteDraft()
	if err != nil {
		return nil, err
	}
	by, err := c.byOnce("note", p, "")
	if err != nil {
		return nil, err
	}
	n, err := c.api.Registry.AddNote(c.Context(), by, p, meta, d)
	return c.showNote(d, n, err)
}

// answerNote says something more in the query {note} of an item, which is named as when it was begun, and gives it the
// "status" Updated, Closed or Closed-Modified. The answer is the note with all that was said. A request with an Idempotency-Key
// says it once, however often it is sent.
func answerNote(c *call) (any, error) {
	p, meta, d, err := c.noteDraft()
	if err != nil {
		return nil, err
	}
	by, err := c.byOnce("note", p, c.PathValue("note"))
	if err != nil {
		return nil, err
	}
	n, err := c.api.Registry.AnswerNote(c.Context(), by, p, meta, c.PathValue("note"), d)
	return c.showNote(d, n, err)
}

func (c *call) noteDraft() (*clinical.Place, *clinical.Metadata, clinical.NoteDraft, error) {
	var in struct {
		SubjectKey                              loose
		StudyEventOID, FormOID                  string
		ItemGroupOID, ItemOID                   string
		StudyEventRepeatKey, ItemGroupRepeatKey loose
		NoteType, Status                        string
		DetailedNote, Description, AssignedTo   string
	}
	p, meta, err := c.asked(&in)
	if err != nil {
		return nil, nil, clinical.NoteDraft{}, err
	}
	d := clinical.NoteDraft{
		Label: string(in.SubjectKey), Event: in.StudyEventOID, EventKey: string(in.StudyEventRepeatKey), Form: in.FormOID,
		Group: in.ItemGroupOID, GroupKey: string(in.ItemGroupRepeatKey), Item: in.ItemOID,
		Kind: in.NoteType, Status: in.Status, Text: in.DetailedNote, Short: in.Description,
	}
	if in.AssignedTo != "" {
		d.To = func(ctx context.Context) (int64, error) {
			id, err := c.api.Registry.Reader(ctx, c.api.Users, p, in.AssignedTo)
			if err == nil && id == 0 {
				err = clinical.AssignedUserNotValid
			}
			return id, err
		}
	}
	return p, meta, d, nil
}

func (c *call) showNote(in clinical.NoteDraft, n *clinical.Note, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	var ids []int64
	for _, one := range n.Children {
		ids = append(ids, one.By, one.To)
	}
	logins, err := c.logins(ids)
	if err != nil {
		return nil, err
	}
	v := noteView{
		ID: n.ID, NoteType: n.Kind, Status: n.Status, SubjectKey: in.Label, EventOID: n.Event, EventKey: strconv.Itoa(n.EventKey),
		FormOID: n.Form, GroupOID: n.Group, GroupKey: strconv.Itoa(n.GroupKey), ItemOID: n.Item,
	}
	for _, one := range n.Children {
		v.ChildNotes = append(v.ChildNotes, childView{
			ID: one.ID, Status: one.Status, DateCreated: timestamp(time.UnixMilli(one.At)), UserName: logins[one.By], Description: one.Short,
			DetailedNote: one.Text, AssignedTo: logins[one.To],
		})
	}
	return v, nil
}
