package biobank

import (
	"cmp"
	"context"
	"strings"

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
	// NamePrintMode and NamePrintCopies tell when names of its visits are printed; without them the protocol's count.
	NamePrintMode   string `json:"visitNamePrintMode,omitempty"`
	NamePrintCopies int64  `json:"visitNamePrintCopies,omitempty"`
	ActivityStatus  string `json:"activityStatus"`
}

func (d *EventDraft) want(ctx context.Context, b *Batch, c *Change) error {
	if c.Op != Create && d.ID != 0 {
		b.wantMark(IDMark(Event, d.ID))
	}
	return nil
}

func (d *EventDraft) read(context.Context, *Batch, *Change) error { return nil }

// plan checks and writes an event. Its label and code are unique within the protocol, which is read whole: marks decide
// between two that are made at the same time.
func (d *EventDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	if c.Op == Create {
		return (&EventNode{Draft: d}).plan(ctx, b, c, o)
	}
	id, done, err := d.stored(ctx, b, c, o)
	if done || err != nil {
		return err
	}
	if id == 0 && c.Op == Upsert {
		return (&EventNode{Draft: d}).plan(ctx, b, c, o)
	}
	found := *d
	found.ID = id
	return found.update(ctx, b, c, o)
}

// stored is the id of the event that the draft means, 0 for none of an upsert. It is done where an earlier try of the row
// has made the change.
func (d *EventDraft) stored(ctx context.Context, b *Batch, c *Change, o *Outcome) (id int64, before bool, err error) {
	if d.ID != 0 && (!b.bulk || !d.Protocol.Sent()) {
		return d.ID, false, nil
	}
	cp, err := d.protocol(ctx, b)
	if err != nil {
		return 0, false, err
	}
	for _, e := range cp.events {
		if before, err := b.changedBy(ctx, e.rec, c); before || err != nil {
			return 0, before, done(o, e.rec, err)
		}
	}
	switch e := cp.eventByLabel(d.Doc.Label); {
	case d.ID != 0 && cp.event(d.ID) != nil:
		return d.ID, false, nil
	case d.Doc.Label != "" && e != nil:
		return e.id, false, nil
	}
	for _, e := range cp.events {
		if d.Doc.Code != "" && Fold(e.doc.Code) == Fold(d.Doc.Code) && e.doc.ActivityStatus != StatusDisabled {
			return e.id, false, nil
		}
	}
	if c.Op == Update {
		return 0, false, fault.New("CPE_NOT_FOUND", "Event %q was not found in collection protocol %s.", cmp.Or(d.Doc.Label, d.Doc.Code), b.actor.calls(cp))
	}
	return 0, false, nil
}

// protocol is the protocol of a new event, which the actor may change.
func (d *EventDraft) protocol(ctx context.Context, b *Batch) (*protocolInfo, error) {
	if !d.Protocol.Sent() {
		return nil, fault.New("CPE_CP_REQUIRED", "Give the collection protocol of the event.")
	}
	cp, err := b.protocol(ctx, d.Protocol)
	if err != nil {
		return nil, err
	}
	if !b.can(ResProtocol, OpUpdate, cp) {
		return nil, denied("change the events of collection protocol " + b.actor.calls(cp))
	}
	return cp, b.peopled(cp)
}

func (d *EventDraft) update(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	cp, event, err := b.event(ctx, d.ID)
	if err != nil {
		return err
	}
	is, err := merged(event.rec, &d.Doc, d.Merge)
	if err != nil {
		return err
	}
	if !b.can(ResProtocol, OpUpdate, cp) {
		return denied("change the events of collection protocol " + b.actor.calls(cp))
	}
	if err := b.peopled(cp); err != nil {
		return err
	}
	was := event.doc
	delete(b.protocols, cp.id) // read anew by whoever needs it next
	if gone(is.ActivityStatus) {
		return d.remove(ctx, b, c, o, cp, event)
	}
	var l fault.List
	if err := d.check(ctx, b, &l, cp, is, event.id); err != nil {
		return err
	}
	if was.ActivityStatus == StatusClosed && is.ActivityStatus == StatusClosed {
		l.Add("CPE_CLOSED", "Event %q is closed. Reopen it with the change.", was.Label)
	}
	if len(l) > 0 {
		return l
	}
	if err := b.reclaim(ctx, c, uniqueEvent, was.Label, is.Label, cp.eventMark, event.rec); err != nil {
		return err
	}
	if err := b.reclaim(ctx, c, uniqueEventCode, was.Code, is.Code, cp.eventCodeMark, event.rec); err != nil {
		return err
	}
	if is.ActivityStatus == StatusClosed {
		if err := b.closePrimaries(c, event); err != nil {
			return err
		}
	}
	return b.change(c, event.rec, is, o)
}

// closePrimaries closes the open requirements for primary specimens with their event.
func (b *Batch) closePrimaries(c *Change, event *eventInfo) error {
	for _, q := range event.reqs {
		if q.doc.ParentID != 0 || q.doc.ActivityStatus != StatusActive {
			continue
		}
		doc := q.doc
		doc.ActivityStatus = StatusClosed
		if err := b.changeBelow(c, q.rec, &doc); err != nil {
			return err
		}
	}
	return nil
}

// remove plans the deletion of an event that nobody has visited, with its requirements.
func (d *EventDraft) remove(ctx context.Context, b *Batch, c *Change, o *Outcome, cp *protocolInfo, event *eventInfo) error {
	if err := b.unreferenced(ctx, c, event.rec, "CPE_HAS_VISITS"); err != nil {
		return err
	}
	for _, q := range event.reqs {
		if q.doc.ActivityStatus == StatusDisabled {
			continue
		}
		doc := q.doc
		doc.ActivityStatus = StatusDisabled
		if err := b.changeBelow(c, q.rec, &doc); err != nil {
			return err
		}
	}
	is := event.doc
	return b.retire(ctx, c, o, event.rec, &is, &is.ActivityStatus, freed{&is.Label, 255, cp.eventMark}, freed{&is.Code, 32, cp.eventCodeMark})
}

// event finds a live event by id, with its protocol.
func (b *Batch) event(ctx context.Context, id int64) (*protocolInfo, *eventInfo, error) {
	m, err := b.mark(ctx, IDMark(Event, id))
	if err != nil {
		return nil, nil, err
	}
	if m.IsZero() {
		return nil, nil, missing(Event, id)
	}
	cp, err := b.protocolAt(ctx, m.To)
	if err != nil {
		return nil, nil, err
	}
	if e := cp.event(id); e != nil {
		return cp, e, nil
	}
	return nil, nil, missing(Event, id)
}

// check holds the rules of an event's values; self is the event's id, 0 for a new one.
func (d *EventDraft) check(ctx context.Context, b *Batch, l *fault.List, cp *protocolInfo, is *EventDoc, self int64) error {
	if is.Label == "" {
		l.Add("CPE_LABEL_REQUIRED", "Give the label of the event.")
	} else if e := cp.eventByLabel(is.Label); e != nil && e.id != self {
		l.Add("CPE_DUP_LABEL", "Collection protocol %q has an event %q already.", cp.doc.ShortTitle, is.Label)
	}
	for _, e := range cp.events {
		if is.Code != "" && Fold(e.doc.Code) == Fold(is.Code) && e.doc.ActivityStatus != StatusDisabled && e.id != self {
			l.Add("CPE_DUP_CODE", "Collection protocol %q has an event with the code %q already.", cp.doc.ShortTitle, is.Code)
		}
	}
	switch is.PointUnit = strings.ToUpper(is.PointUnit); is.PointUnit {
	case "":
		if is.Point != nil {
			l.Add("CPE_POINT_UNIT_REQUIRED", "Give the unit of the event point: DAYS, WEEKS, MONTHS or YEARS.")
		}
	case "DAYS", "WEEKS", "MONTHS", "YEARS":
	default:
		l.Add("CPE_INVALID_POINT_UNIT", "Event point unit %q is not valid. It is DAYS, WEEKS, MONTHS or YEARS.", is.PointUnit)
	}
	const farthest = 1_000_000 // days, weeks, ...: beyond any calendar
	if is.Point != nil && (*is.Point > farthest || *is.Point < -farthest) {
		l.Add("CPE_INVALID_POINT", "Event point %d is not between -%d and %d.", *is.Point, farthest, farthest)
	}
	value(l, "clinical_diagnosis", "CPE_INVALID_CLINICAL_DIAGNOSIS", "Clinical diagnosis", &is.ClinicalDiagnosis)
	value(l, "clinical_status", "CPE_INVALID_CLINICAL_STATUS", "Clinical status", &is.ClinicalStatus)
	oneOf(l, &is.NamePrintMode, "", "CP_INVALID_VISIT_NAME_PRINT_MODE", "Visit name print mode", visitNamePrintModes...)
	status(l, &is.ActivityStatus)
	tooLong(l, "Event label", is.Label, 255)
	tooLong(l, "Event code", is.Code, 32)
	if d.DefaultSite == nil {
		return nil
	}
	id, err := b.siteID(ctx, *d.DefaultSite)
	if fault.All(err) != nil {
		l.Append(err)
	} else if err != nil {
		return err
	}
	is.DefaultSiteID = id
	return nil
}

var uniqueEvent = &unique{"CPE_DUP_LABEL", "The collection protocol has an event %q already.", func(r *Record, v string) (bool, error) {
	d, err := Decode[EventDoc](r)
	return Fold(d.Label) == Fold(v) && d.ActivityStatus != StatusDisabled, err
}}

var uniqueEventCode = &unique{"CPE_DUP_CODE", "The collection protocol has an event with the code %q already.", func(r *Record, v string) (bool, error) {
	d, err := Decode[EventDoc](r)
	return Fold(d.Code) == Fold(v) && d.ActivityStatus != StatusDisabled, err
}}

func (p *protocolInfo) eventCodeMark(code string) string {
	return "cpe.code#" + PadID(p.id) + "#" + Fold(code)
}

func (p *protocolInfo) eventMark(label string) string {
	return "cpe.label#" + PadID(p.id) + "#" + Fold(label)
}
