package biobank

import (
	"context"
	"encoding/json"
	"fmt"

	"aliquot/shared/fault"
)

// Extension is the custom fields of an object (reference openspecimen-rest.md 18.5). It lies in the object, so that it
// costs no read and no write of its own; the record that the reference has of it goes by the object's id. Those of a
// participant belong to the registration: each protocol has its own form.
type Extension struct {
	FormID int64      `json:"formId"`
	Status string     `json:"status,omitempty"` // empty: COMPLETE
	Values FormValues `json:"values"`
}

// append adds the extension as a member of an object that writes its own JSON.
func (e *Extension) append(b []byte) []byte {
	if e == nil {
		return b
	}
	body, err := json.Marshal(e)
	if err != nil {
		panic(fmt.Sprintf("extension: %v", err)) // its values are JSON, checked before
	}
	return append(jsonName(b, "extension"), body...)
}

// ExtensionDraft is what was sent of an object's custom fields. A draft without one leaves them as they are.
type ExtensionDraft struct {
	SentValues
	// FormID is the form that the values were read for, 0 for whichever is the object's.
	FormID int64
	Status *string // nil: not sent
	// Clear asks for none.
	Clear bool
}

// extend puts what was sent of an object's custom fields onto what it had (was), into the object as it will be. cp is
// the object's protocol, nil for none; phi tells whether the actor may save what identifies a person. What is wrong is
// added to l.
//
// The form is that of the level for the protocol, else for all protocols. Values of another form, which the object had
// before the association changed, are given up with the first change.
func (b *Batch) extend(ctx context.Context, l *fault.List, level Level, cp *protocolInfo, was *Extension, into **Extension, d *ExtensionDraft, phi bool) error {
	return extendBy(l, level, func() (*Form, error) { return b.customForm(ctx, level, cp) }, was, into, d, phi)
}

// extendBy is extend with a form that is found in another way.
func extendBy(l *fault.List, level Level, find func() (*Form, error), was *Extension, into **Extension, d *ExtensionDraft, phi bool) error {
	if d == nil {
		return nil
	}
	if was == nil && len(d.Values) == 0 {
		*into = nil
		return nil // nothing was, and nothing is asked for
	}
	f, err := find()
	if err != nil {
		return err
	}
	if f == nil && (d.Clear || len(d.Values) == 0) {
		if *into = nil; d.Patch && !d.Clear {
			*into = was
		}
		return nil
	}
	if f == nil {
		l.Add("FORMS_NO_ASSOCIATION", "No form has custom fields of %s there; leave extensionDetail out.", level)
		return nil
	}
	if d.FormID != 0 && d.FormID != f.ID() {
		l.Add("FORMS_NO_ASSOCIATION", "The custom fields are those of form %q, not of the one that the values were sent for.", f.Caption)
		return nil
	}
	is := &Extension{FormID: f.ID()}
	var had FormValues
	if was != nil && was.FormID == is.FormID {
		had, is.Status = was.Values, was.Status
	}
	sent := d.SentValues
	sent.Strict = true
	switch {
	case d.Clear:
		sent, is.Status = SentValues{}, ""
	case d.Status != nil:
		is.Status = formStatus(l, *d.Status)
	case !d.Patch:
		is.Status = ""
	}
	if is.Values = f.put(l, had, &sent, is.Status == "" && !d.Clear, phi); len(is.Values) == 0 {
		is = nil
	}
	*into = is
	return nil
}

// customForm is the form of a level's custom fields, read once per batch; nil where there is none.
func (b *Batch) customForm(ctx context.Context, level Level, cp *protocolInfo) (*Form, error) {
	id := int64(0)
	if cp != nil {
		id = cp.id
	}
	name := contextMark(level, id, 0, 0)
	if form, ok := b.customs[name]; ok {
		return form, nil
	}
	fc, err := b.contextFor(ctx, level, id, 0, 0)
	if err != nil {
		return nil, err
	}
	var f *Form
	if fc.id != 0 {
		if f, err = b.form(ctx, fc.doc.FormID); err != nil {
			return nil, err
		}
	}
	b.customs[name] = f
	return f, nil
}
