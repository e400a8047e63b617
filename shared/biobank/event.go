package biobank

import (
	"context"

	"aliquot/shared/fault"
)

// EventDoc is an event of a protocol (section 10).
type EventDoc struct {
	Label             string `json:"eventLabel"`
	Point             *int64 `json:"eventPoint,omitempty"`
	PointUnit         string `json:"eventPointUnit,omitempty"`
	Code              string `json:"code,omitempty"`
	DefaultSiteID     int64  `json:"defaultSiteId,omitempty"`
	ClinicalDiagnosis string `json:"clinicalDiagnosis,omitempty"`
	ClinicalStatus    string `json:"clinicalStatus,omitempty"`
	ActivityStatus    string `json:"activityStatus"`
}

func (d *EventDraft) want(ctx context.Context, b *Batch, c *Change) error {
	if c.Op != Create && d.ID != 0 {
		b.wantMark(IDMark(Event, d.ID))
	}
	return nil
}

func (d *EventDraft) read(context.Context, *Batch, *Change) error { return nil }

// plan checks and writes an event. Its label is unique within the protocol, which is read whole: a mark decides between
// two that are made at the same time.
func (d *EventDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	if c.Op != Create {
		return fault.New("COMMON_INVALID_INPUT", "Events can be created only.")
	}
	if !d.Protocol.Sent() {
		return fault.New("CPE_CP_REQUIRED", "Give the collection protocol of the event.")
	}
	cp, err := b.protocol(ctx, d.Protocol)
	if err != nil {
		return err
	}
	if !b.can(ResProtocol, OpUpdate, cp) {
		return denied("change the events of collection protocol " + cp.doc.ShortTitle)
	}
	is := d.Doc
	var l fault.List
	if is.Label == "" {
		l.Add("CPE_LABEL_REQUIRED", "Give the label of the event.")
	} else if cp.eventByLabel(is.Label) != nil {
		l.Add("CPE_DUP_LABEL", "Collection protocol %q has an event %q already.", cp.doc.ShortTitle, is.Label)
	}
	for _, e := range cp.events {
		if is.Code != "" && Fold(e.doc.Code) == Fold(is.Code) && e.doc.ActivityStatus != StatusDisabled {
			l.Add("CPE_DUP_CODE", "Collection protocol %q has an event with the code %q already.", cp.doc.ShortTitle, is.Code)
		}
	}
	switch is.PointUnit {
	case "":
		if is.Point != nil {
			l.Add("CPE_POINT_UNIT_REQUIRED", "Give the unit of the event point: DAYS, WEEKS, MONTHS or YEARS.")
		}
	case "DAYS", "WEEKS", "MONTHS", "YEARS":
	default:
		l.Add("CPE_INVALID_POINT_UNIT", "Event point unit %q is not valid. It is DAYS, WEEKS, MONTHS or YEARS.", is.PointUnit)
	}
	value(&l, "clinical_diagnosis", "CPE_INVALID_CLINICAL_DIAGNOSIS", "Clinical diagnosis", &is.ClinicalDiagnosis)
	value(&l, "clinical_status", "CPE_INVALID_CLINICAL_STATUS", "Clinical status", &is.ClinicalStatus)
	status(&l, &is.ActivityStatus)
	if d.DefaultSite != nil {
		id, err := b.siteID(ctx, *d.DefaultSite)
		if fault.All(err) != nil {
			l.Append(err)
		} else if err != nil {
			return err
		}
		is.DefaultSiteID = id
	}
	if len(l) > 0 {
		return l
	}
	id, err := b.number(ctx, c, string(Event))
	if err != nil {
		return err
	}
	key := EventKey(cp.id, id)
	b.claim(c, uniqueEvent, is.Label, cp.eventMark(is.Label), key, id, "")
	delete(b.protocols, cp.id)
	return b.insert(c, Event, key, id, &is, o)
}

var uniqueEvent = &unique{"CPE_DUP_LABEL", "The collection protocol has an event %q already.", func(r *Record, v string) (bool, error) {
	d, err := Decode[EventDoc](r)
	return Fold(d.Label) == Fold(v) && d.ActivityStatus != StatusDisabled, err
}}

func (p *protocolInfo) eventMark(label string) string {
	return "cpe.label#" + PadID(p.id) + "#" + Fold(label)
}
