package clinical

import (
	"context"
	"strings"

	"aliquot/shared/biobank"
	"aliquot/shared/odm"
)

// The codes of changing events by the API (section 9).
const (
	CommonEventsCannotBeScheduled              Code = "commonEventsCannotBeScheduled"
	EventAlreadyExists                         Code = "eventAlreadyExists"
	InvalidEventStatus                         Code = "invalidEventStatus"
	InvalidEventTransitionStatus               Code = "invalidEventTransitionStatus"
	EventOIDNotAvailableInThisStudy            Code = "eventOIDNotAvailableInThisStudy"
	StudyEventRepeatNotFound                   Code = "studyEventRepeatNotFound"
	ParticipantDoesNotHaveThisEventInThisStudy Code = "participantDoesNotHaveThisEventInThisStudy"
	ParticipantNotAvailable                    Code = "participantNotAvailable"
)

// EventDraft is what is asked of an event's occurrence: empty values are not given. Label is the Participant ID.
type EventDraft struct {
	Label, OID, Key, StartDate, EndDate, Status string
	// Removed, Locked and Archived put an occurrence out of use, or back into it; nil for neither.
	Removed, Locked, Archived *bool
	// Reason is why it is changed, if that is told.
	Reason string
}

// entered tells whether dates or the state of the workflow are given.
func (d *EventDraft) entered() bool { return d.StartDate != "" || d.EndDate != "" || d.Status != "" }

// ScheduleEvent makes an occurrence of a visit event, by the rules for imports (section 3.4), except that one that exists is
// refused. Where a repeating event is given no key it is the next one. Done again with the same By.ID it finds the occurrence
// that it made.
func (r *Registry) ScheduleEvent(ctx context.Context, by By, p *Place, meta *Metadata, d EventDraft) (*Event, error) {
	return r.changeEvent(ctx, by, p, d, func(w *work) (*held[Event], error) {
		def := meta.Event(d.OID)
		switch {
		case def == nil || def.Archived:
			return nil, EventOIDNotAvailableInThisStudy
		case def.Common:
			return nil, CommonEventsCannotBeScheduled
		}
		for _, e := range w.occurrences(def.OID) {
			if e.rec.Source == by.ID {
				return e, nil
			}
		}
		switch status := strings.ToLower(d.Status); {
		case status != "" && !isEventStatus(status):
			return nil, InvalidEventStatus
		case status != "" && status != EventScheduled:
			return nil, InvalidEventTransitionStatus
		}
		last := w.last(def.OID)
		key := 1
		if def.Repeating {
			sent, ok := repeatKey(d.Key)
			if !ok {
				return nil, InvalidStudyEventRepeatKey
			}
			if key = sent; d.Key == "" {
				key = last + 1
			}
		}
		switch {
		case w.event(def.OID, key) != nil:
			return nil, EventAlreadyExists
		case def.Repeating && key != last+1, key > MaxRepeat:
			return nil, EventRepeatKeyTooLarge
		}
		dates := odm.StudyEventData{StartDate: d.StartDate, EndDate: d.EndDate}
		if code := checkDates(&dates, true); code != "" {
			return nil, code
		}
		return w.schedule(&Event{OID: def.OID, Key: key, StartDate: dates.StartDate, EndDate: dates.EndDate, Status: EventScheduled}), nil
	})
}

// UpdateEvent changes the dates and the state of an occurrence. States change as the reference allows: from scheduled to
// data entry started or skipped, from skipped to data entry started, from data entry started to completed or stopped. Done
// again with the same By.ID it changes nothing.
//
// Whoever signed it did not sign other dates or another state, so that it is signed no more; to remove, lock or archive it
// changes nothing of what was signed.
//
// It also removes and restores an occurrence, and for data managers of the study locks, archives and takes back both, of
// which the reference tells only what it comes to. While it is one of these, no data, dates or states are taken
// (EventNotAvailable), and one that is locked is first unlocked.
func (r *Registry) UpdateEvent(ctx context.Context, by By, p *Place, meta *Metadata, d EventDraft) (*Event, error) {
	return r.changeEvent(ctx, by, p, d, func(w *work) (*held[Event], error) {
		if d.Locked != nil || d.Archived != nil {
			if err := by.MayManage(p); err != nil {
				return nil, err
			}
		}
		_, h, err := w.named(meta, d.OID, d.Key)
		if err != nil || h.rec.Done(by.ID) {
			return h, err
		}
		closed, put := h.doc.Locked || h.doc.Removed || h.doc.Archived, d.Removed != nil || d.Locked != nil || d.Archived != nil
		locked := h.doc.Locked && (d.Locked == nil || *d.Locked) && (d.Removed != nil || d.Archived != nil)
		if locked || closed && (d.entered() || !put) {
			return nil, EventNotAvailable
		}
		to := strings.ToLower(d.Status)
		if to == "" {
			to = h.doc.Status
		}
		switch {
		case !isEventStatus(to):
			return nil, InvalidEventStatus
		case to != h.doc.Status && !mayBecome(h.doc.Status, to):
			return nil, InvalidEventTransitionStatus
		}
		dates := odm.StudyEventData{StartDate: h.doc.StartDate, EndDate: h.doc.EndDate}
		if d.StartDate != "" {
			dates.StartDate = d.StartDate
		}
		if d.EndDate != "" {
			dates.EndDate = d.EndDate
		}
		if code := checkDates(&dates, false); code != "" {
			return nil, code
		}
		was, e := *h.doc, h.change()
		e.Status, e.StartDate, e.EndDate = to, dates.StartDate, dates.EndDate
		turn(&e.Removed, d.Removed)
		turn(&e.Locked, d.Locked)
		turn(&e.Archived, d.Archived)
		if e.Status != was.Status || e.StartDate != was.StartDate || e.EndDate != was.EndDate {
			w.unsign(h)
		}
		return h, nil
	})
}

// named finds an event and the occurrence of it that a participant has, by OID and repeat key: the first where none is
// given, or where there can be one only.
func (w *work) named(meta *Metadata, oid, sent string) (*EventDef, *held[Event], error) {
	def := meta.Event(oid)
	if def == nil || def.Archived {
		return nil, nil, EventOIDNotAvailableInThisStudy
	}
	key, ok := repeatKey(sent)
	if !ok {
		return nil, nil, InvalidStudyEventRepeatKey
	}
	if sent == "" || !def.Repeating && !def.Common {
		key = 1
	}
	h := w.event(def.OID, key)
	switch {
	case len(w.occurrences(def.OID)) == 0:
		return nil, nil, ParticipantDoesNotHaveThisEventInThisStudy
	case h == nil:
		return nil, nil, StudyEventRepeatNotFound
	}
	return def, h, nil
}

func isEventStatus(s string) bool {
	switch s {
	case EventScheduled, EventStarted, EventCompleted, EventStopped, EventSkipped:
		return true
	}
	return false
}

func mayBecome(from, to string) bool {
	switch from {
	case EventScheduled:
		return to == EventStarted || to == EventSkipped
	case EventSkipped:
		return to == EventStarted
	case EventStarted:
		return to == EventCompleted || to == EventStopped
	}
	return false
}

// changeEvent makes one change to the events of a participant.
func (r *Registry) changeEvent(ctx context.Context, by By, p *Place, d EventDraft, change func(*work) (*held[Event], error)) (*Event, error) {
	var done *Event
	err := r.changeSubject(ctx, by, p, d.Label, d.Reason, func(w *work) ([]biobank.Write, error) {
		h, err := change(w)
		if err != nil {
			return nil, err
		}
		done = h.doc
		return by.keepEvent(w.id, done)
	})
	if before := eventBefore(err); before != nil {
		return before, nil
	}
	return done, err
}

// turn turns a flag on or off, if that is asked for, and tells whether it changed.
func turn(flag *bool, to *bool) bool {
	if to == nil || *flag == *to {
		return false
	}
	*flag = *to
	return true
}
