package odmapi

import (
	"encoding/json"
	"errors"
	"strconv"

	"aliquot/shared/clinical"
)

// Events of participants (section 9). The reference has them for sites; those of a study itself are ours.

func eventRoutes() []route {
	const study, site = "/clinicaldata/studies/{study}/events", "/clinicaldata/studies/{study}/sites/{site}/events"
	return []route{
		{pattern: "POST " + study, tell: asMessage, serve: scheduleEvent},
		{pattern: "POST " + site, tell: asMessage, serve: scheduleEvent},
		{pattern: "PUT " + study, tell: asMessage, serve: updateEvent},
		{pattern: "PUT " + site, tell: asMessage, serve: updateEvent},
	}
}

type eventView struct {
	SubjectKey  string `json:"subjectKey"`
	OID         string `json:"studyEventOID"`
	Key         string `json:"studyEventRepeatKey"`
	StartDate   string `json:"startDate,omitempty"`
	EndDate     string `json:"endDate,omitempty"`
	EventStatus string `json:"eventStatus"`
	// These are ours, and there where they are true.
	Removed  bool `json:"removed,omitempty"`
	Locked   bool `json:"locked,omitempty"`
	Archived bool `json:"archived,omitempty"`
	Signed   bool `json:"signed,omitempty"`
}

// loose is a text that some clients send as a number.
type loose string

// UnmarshalJSON takes a string, a number or null.
func (l *loose) UnmarshalJSON(b []byte) error {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	switch v := v.(type) {
	case nil:
	case string:
		*l = loose(v)
	case float64:
		*l = loose(b)
	default:
		return errors.New("neither text nor number")
	}
	return nil
}

// scheduleEvent makes an occurrence of an event. A request with an Idempotency-Key makes one, however often it is sent.
func scheduleEvent(c *call) (any, error) {
	p, meta, in, err := c.eventDraft()
	if err != nil {
		return nil, err
	}
	by, err := c.byOnce("event", p, "")
	if err != nil {
		return nil, err
	}
	e, err := c.api.Registry.ScheduleEvent(c.Context(), by, p, meta, in)
	return c.showEvent(in, e, err)
}

// updateEvent changes an occurrence of an event. A request with an Idempotency-Key changes it once, however often it is sent.
func updateEvent(c *call) (any, error) {
	p, meta, in, err := c.eventDraft()
	if err != nil {
		return nil, err
	}
	by, err := c.byOnce("event", p, c.Method)
	if err != nil {
		return nil, err
	}
	e, err := c.api.Registry.UpdateEvent(c.Context(), by, p, meta, in)
	return c.showEvent(in, e, err)
}

// asked reads what is asked of a participant's data at the place of the path, for who may change them, and finds what the
// study collects there.
func (c *call) asked(in any) (*clinical.Place, *clinical.Metadata, error) {
	p, err := c.sitePlace()
	if err != nil {
		return nil, nil, err
	}
	if err := c.actor.MayChange(p); err != nil {
		return nil, nil, err
	}
	if err := c.read(in); err != nil {
		return nil, nil, err
	}
	meta, err := c.api.Registry.Metadata(c.Context(), p.Study)
	if err != nil {
		return nil, nil, err
	}
	return p, meta.For(p.Site.OID), nil
}

// eventDraft reads {"subjectKey","studyEventOID","studyEventRepeatKey","startDate","endDate","eventStatus"}, and for changes
// {"removed","locked","archived","reason"}, which are ours.
func (c *call) eventDraft() (*clinical.Place, *clinical.Metadata, clinical.EventDraft, error) {
	var in struct {
		SubjectKey          loose
		StudyEventOID       string
		StudyEventRepeatKey loose
		StartDate, EndDate  string
		EventStatus, Reason string
		Removed, Locked     *bool
		Archived            *bool
	}
	p, meta, err := c.asked(&in)
	if err != nil {
		return nil, nil, clinical.EventDraft{}, err
	}
	d := clinical.EventDraft{
		Label: string(in.SubjectKey), OID: in.StudyEventOID, Key: string(in.StudyEventRepeatKey),
		StartDate: in.StartDate, EndDate: in.EndDate, Status: in.EventStatus,
		Removed: in.Removed, Locked: in.Locked, Archived: in.Archived, Reason: in.Reason,
	}
	return p, meta, d, nil
}

func (c *call) showEvent(in clinical.EventDraft, e *clinical.Event, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return eventView{
		SubjectKey: in.Label, OID: e.OID, Key: strconv.Itoa(e.Key), StartDate: e.StartDate, EndDate: e.EndDate, EventStatus: e.Status,
		Removed: e.Removed, Locked: e.Locked, Archived: e.Archived, Signed: e.Signed,
	}, nil
}
