package clinical

import (
	"context"

	"aliquot/shared/biobank"
)

// The codes of changing forms by the API. The reference has no such calls; the codes are ours, as the API is.
const (
	InterviewerNameTooLong Code = "interviewerNameTooLong"
	InterviewDateNotValid  Code = "interviewDateNotValid"
)

// maxInterviewer is the most characters of a name.
const maxInterviewer = 255

// FormDraft is what is asked of a form in an event: empty values are not given. Label is the Participant ID.
type FormDraft struct {
	Label, Event, EventKey, Form   string
	InterviewerName, InterviewDate string // the date as yyyy-MM-dd
	// Removed and Archived put the form out of use, or back into it; nil for neither. Reason is why, if that is told.
	Removed, Archived *bool
	Reason            string
}

// Filled is a form in an occurrence of an event.
type Filled struct {
	Form
	Event    string // OID
	EventKey int
}

// UpdateForm changes who was interviewed when for a form that was begun, and removes and restores it, and for data managers
// of the study archives it and takes that back. The values stay; while it is one of these none are taken
// (FormNotAvailable). A change withdraws the event's signature. Done again with the same By.ID it changes nothing.
func (r *Registry) UpdateForm(ctx context.Context, by By, p *Place, meta *Metadata, d FormDraft) (*Filled, error) {
	switch {
	case longer(d.InterviewerName, maxInterviewer):
		return nil, InterviewerNameTooLong
	case d.InterviewDate != "" && !isDay(d.InterviewDate):
		return nil, InterviewDateNotValid
	}
	if d.Archived != nil {
		if err := by.MayManage(p); err != nil {
			return nil, err
		}
	}
	var done *Filled
	err := r.changeSubject(ctx, by, p, d.Label, d.Reason, func(w *work) ([]biobank.Write, error) {
		h, _, f, err := w.form(meta, d.Event, d.EventKey, d.Form)
		if err != nil {
			return nil, err
		}
		if !h.rec.Done(by.ID) {
			closed, put := f.Removed || f.Archived, d.Removed != nil || d.Archived != nil
			changed := turn(&f.Removed, d.Removed)
			changed = turn(&f.Archived, d.Archived) || changed
			said := d.InterviewerName != "" || d.InterviewDate != ""
			if closed && (f.Removed || f.Archived) && (said || !put) {
				return nil, FormNotAvailable
			}
			if d.InterviewerName != "" && d.InterviewerName != f.InterviewerName {
				f.InterviewerName, changed = d.InterviewerName, true
			}
			if d.InterviewDate != "" && d.InterviewDate != f.InterviewDate {
				f.InterviewDate, changed = d.InterviewDate, true
			}
			if changed {
				f.UpdatedAt, f.UpdatedBy = stamp(by.At), by.Actor.ID
				h.change()
				w.unsign(h)
			}
		}
		done = &Filled{*f, h.doc.OID, h.doc.Key}
		return nil, nil
	})
	return done, err
}

// form finds a form that a participant has begun in an event that may be changed, by the OIDs and the repeat key.
func (w *work) form(meta *Metadata, event, key, oid string) (*held[Event], *FormDef, *Form, error) {
	none := func(err error) (*held[Event], *FormDef, *Form, error) { return nil, nil, nil, err }
	def, h, err := w.named(meta, event, key)
	if err != nil {
		return none(err)
	}
	if !h.doc.available() {
		return none(EventNotAvailable)
	}
	form := meta.Form(oid)
	if form == nil || form.Archived {
		return none(FormOIDNotFound)
	}
	if ref := def.Ref(form); ref == nil || ref.Archived || ref.Hidden {
		return none(FormOIDNotFound)
	}
	f := h.doc.Forms[Fold(form.OID)]
	if f == nil {
		return none(FormNotAvailable)
	}
	return h, form, f, nil
}
