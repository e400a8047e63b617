package clinical

import (
	"context"
	"slices"
	"strings"

	"aliquot/shared/odm"
)

// event finds or makes the occurrence that is meant, for the form that comes first in it (section 3.4). It tells whether
// the form can be taken; if not, there is a row that says why.
func (p *Planner) event(ctx context.Context, formOID string) (bool, error) {
	c := p.Cursor.Event
	if c.Resolved {
		return !c.Failed, nil
	}
	w, meta, err := p.current(ctx)
	if err != nil {
		return false, err
	}
	if def := meta.Event(c.Sent.StudyEventOID); def != nil {
		if err := w.asked(ctx, def, c.Sent.StudyEventRepeatKey); err != nil {
			return false, err
		}
	}
	c.Resolved = true
	code := p.resolve(w, meta, c, formOID)
	if code != "" {
		c.Failed = true
		p.fail(rowEvent, code)
	}
	return code == "", nil
}

// maxLocation is the most characters of where an event was; the reference tells none.
const maxLocation = 1000

func (p *Planner) resolve(w *work, meta *Metadata, c *eventCursor, formOID string) Code {
	if c.Sent.StudyEventOID == "" {
		return MissingStudyEventOID
	}
	def := meta.Event(c.Sent.StudyEventOID)
	if def == nil || def.Archived {
		return InvalidStudyEventOID
	}
	c.OID = def.OID
	if longer(c.Sent.StudyEventLocation, maxLocation) {
		return ValueTooLong
	}
	last := w.last(def.OID)
	if def.Common && !def.Repeating {
		return p.resolveByForm(w, meta, c, formOID)
	}
	if !def.Repeating {
		c.Key = 1
	} else {
		key, ok := repeatKey(c.Sent.StudyEventRepeatKey)
		if !ok {
			return InvalidStudyEventRepeatKey
		}
		c.Key = key
		if c.Sent.StudyEventRepeatKey == "" {
			c.Key = last + 1
		}
	}
	if e := w.event(def.OID, c.Key); e != nil {
		if !e.doc.available() {
			return EventNotAvailable
		}
		if def.Common && e.doc.Status != EventScheduled && !e.doc.holds(meta, formOID) {
			return RepeatKeyAndFormMismatch
		}
		return ""
	}
	if def.Repeating && c.Key != last+1 || c.Key > MaxRepeat {
		return EventRepeatKeyTooLarge
	}
	if code := checkDates(&c.Sent, !def.Common); code != "" {
		return code
	}
	w.schedule(&Event{
		OID: def.OID, Key: c.Key, StartDate: c.Sent.StartDate, EndDate: c.Sent.EndDate,
		Location: c.Sent.StudyEventLocation, Status: EventScheduled,
	})
	return ""
}

// resolveByForm finds the occurrence of a common event that holds a form; a new one is made only when an item is stored.
func (p *Planner) resolveByForm(w *work, meta *Metadata, c *eventCursor, formOID string) Code {
	c.Key = w.last(c.OID) + 1
	for _, e := range w.occurrences(c.OID) {
		if e.doc.holds(meta, formOID) {
			c.Key = e.doc.Key
			if !e.doc.available() {
				return EventNotAvailable
			}
			return ""
		}
	}
	if c.Key > MaxRepeat {
		return EventRepeatKeyTooLarge
	}
	return checkDates(&c.Sent, false)
}

// available tells whether data may be entered.
func (e *Event) available() bool {
	return !e.Locked && !e.Removed && !e.Archived && e.Status != EventSkipped && e.Status != EventStopped
}

// holds tells whether the occurrence has an instance of the form.
func (e *Event) holds(meta *Metadata, formOID string) bool {
	oid := Fold(formOID)
	if f := meta.Form(formOID); f != nil {
		oid = Fold(f.OID)
	}
	return e.Forms[oid] != nil
}

// checkDates applies the rules for an event that must be made, and gives times without seconds those they are given out with.
func checkDates(e *odm.StudyEventData, must bool) Code {
	switch {
	case e.StartDate == "" && must:
		return MissingStartDate
	case e.StartDate != "" && !isEventDate(e.StartDate):
		return InvalidStartDate
	case e.EndDate != "" && !isEventDate(e.EndDate):
		return InvalidEndDate
	case e.StartDate != "" && e.EndDate != "" && before(e.EndDate, e.StartDate):
		return EndDateBeforeStartDate
	}
	e.StartDate, e.EndDate = toSeconds(e.StartDate), toSeconds(e.EndDate)
	return ""
}

// before compares two dates of an event; where one has no time, by their days.
func before(a, b string) bool {
	if n := min(len(a), len(b)); n == len("2006-01-02") {
		return a[:n] < b[:n]
	}
	return a < b
}

// toMinutes is a time of an event that ends with its minutes.
const toMinutes = "2006-01-02T15:04"

// isEventDate takes a day, with or without a time: the forms in which events are given out (section 6.5), and times that end
// with their minutes. The reference tells no form of those that are sent.
func isEventDate(v string) bool {
	return isDay(v) || isDate(v, "2006-01-02T15:04:05") || isDate(v, toMinutes)
}

func toSeconds(v string) string {
	if len(v) == len(toMinutes) {
		return v + ":00"
	}
	return v
}

// endEvent signs the event, if that is asked for.
func (p *Planner) endEvent(ctx context.Context) error {
	c := p.Cursor.Event
	defer func() { p.Cursor.Event = nil }()
	if p.Cursor.Subject.ID == 0 {
		return nil
	}
	if c.Forms == 0 {
		c.Resolved, c.Failed = true, true
		p.fail(rowEvent, EventDoesNotContainFormData)
		return nil
	}
	if c.Failed || c.Sent.Signed == "" && len(c.Attestations) == 0 && c.Unfit == "" {
		return nil
	}
	w, _, err := p.current(ctx)
	if err != nil {
		return err
	}
	if h := w.event(c.OID, c.Key); h != nil {
		p.sign(h, c)
	}
	return nil
}

// maxAttestation is the most characters of an attestation, and attestedOutside what is added to it (section 3.2).
const (
	maxAttestation  = 1000
	attestedOutside = " [Signed Externally]"
)

// attest takes an attestation. An event is signed when it ends, so they are held until then: as many as fit into the event's
// record, whatever a document has, and none of a participant who failed.
func (p *Planner) attest(text string) {
	c := p.Cursor.Event
	if p.Cursor.Subject.ID == 0 || c.Unfit != "" || text == "" && c.Sent.Signed == "" {
		return // of somebody who failed, or ODM's own signature of an event that nothing asks to sign here
	}
	c.Attested += len(text) + len(attestedOutside)
	switch {
	case text == "":
		c.Unfit = AttestationIsMissing
	case longer(text, maxAttestation), c.Attested > maxRecord:
		c.Unfit = AttestationTextTooLong
	default:
		c.Attestations = append(c.Attestations, text)
		return
	}
	c.Attestations = nil
}

func (p *Planner) sign(h *held[Event], c *eventCursor) {
	signed, ok := yes(c.Sent.Signed)
	if !ok {
		p.fail(rowSignature, SignedStatusIsInvalid)
		return
	}
	if c.Unfit != "" {
		p.fail(rowSignature, c.Unfit)
		return
	}
	if signed && h.doc.Signed && len(c.Attestations) == 0 {
		return // as it is
	}
	if signed && len(c.Attestations) == 0 {
		p.fail(rowSignature, CannotSignWithoutAttestation)
		return
	}
	if signed && h.doc.Status != EventCompleted {
		p.fail(rowSignature, EventIsNotEligibleToBeSigned)
		return
	}
	row := func(status, message string) {
		r := p.place(rowSignature)
		r.Status, r.Message = status, message
		if status != RowSkipped {
			r.At = stamp(p.at)
		}
		p.rows = append(p.rows, r)
	}
	attested, known := *h.doc, map[string]bool{}
	for _, text := range attested.Attestations {
		known[text] = true
	}
	attested.Attestations = slices.Clone(attested.Attestations)
	exist := 0
	for _, text := range c.Attestations {
		if text += attestedOutside; known[text] {
			exist++
			continue
		}
		known[text] = true
		attested.Attestations = append(attested.Attestations, text)
	}
	added := len(attested.Attestations) > len(h.doc.Attestations)
	if added && size(attested) > maxRecord {
		p.fail(rowSignature, AttestationTextTooLong)
		return
	}
	for range exist {
		row(RowSkipped, "Attestation already exists in event")
	}
	if added {
		h.change().Attestations = attested.Attestations
		row(RowAttested, "")
	}
	if signed && !h.doc.Signed {
		h.change().Signed = true
		row(RowSigned, "")
	}
}

// touched does what an item that is stored does to the event and the participant (section 3.6).
func (p *Planner) touched(w *work, h *held[Event]) {
	if h.doc.Status == EventScheduled {
		h.change().Status = EventStarted
	}
	w.unsign(h)
}

// unsign withdraws the signature of an event, and with it the participant's, since what was signed is no longer what is there.
func (w *work) unsign(h *held[Event]) {
	if h.doc.Signed {
		h.change().Signed = false
	}
	if w.head.doc.Signed {
		w.head.change().Signed = false
	}
}

// completed tells whether every form that the event has at this site is complete; of a common event, the one that it holds.
func (e *Event) completed(meta *Metadata) bool {
	def := meta.Event(e.OID)
	if def == nil || len(e.Forms) == 0 {
		return false
	}
	for _, ref := range def.Forms {
		f := e.Forms[ref.Form]
		if f == nil && (def.Common || ref.Archived || ref.Hidden) {
			continue
		}
		if f == nil || f.Status != FormComplete && !f.Removed && !f.Archived {
			return false
		}
	}
	return true
}

// yes reads an attribute that is Yes or No, in any case; one that is not there means No.
func yes(sent string) (is, ok bool) {
	is = strings.EqualFold(sent, "Yes")
	return is, is || sent == "" || strings.EqualFold(sent, "No")
}

// longer tells whether a text has more than n characters.
func longer(text string, n int) bool { return len(text) > n && len([]rune(text)) > n }
