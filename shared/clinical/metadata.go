package clinical

import "slices"

// Metadata is what a study collects, compiled for look-ups by folded OID. It is immutable once compiled.
type Metadata struct {
	// Study is the OID it was compiled for: the study's, or a site's with its overrides.
	Study string
	// Events are in the order of the protocol.
	Events []*EventDef
	Forms  map[string]*FormDef
	Groups map[string]*GroupDef
	Items  map[string]*ItemDef

	events map[string]*EventDef
	// layouts lead from the OID of a form's version to the form: 3.x documents name that.
	layouts map[string]*FormDef
}

// EventDef is a definition of an event.
type EventDef struct {
	OID, Name string
	Repeating bool
	// Common events have no dates and are found by the form that they hold (section 3.4).
	Common   bool
	Archived bool
	// Forms are in the order of the definition.
	Forms []FormRef
}

// FormRef puts a form into an event.
type FormRef struct {
	Form    string // folded OID
	Default string // name of the layout that is used unless another is asked for
	Hidden  bool   // at the site
	// SiteHidden hides the form at sites that do not say otherwise; it shows in the study.
	SiteHidden bool
	Archived   bool
	Layouts    []string // names that may be used, none: every one of the form
}

// FormDef is a definition of a form.
type FormDef struct {
	OID, Name string
	Archived  bool
	Layouts   []Layout
	Groups    []string // folded OIDs, in the order of the definition
}

// Layout is a version of a form.
type Layout struct {
	Name string
	// OID is that of the version where it has one of its own, as in 3.x.
	OID      string
	Archived bool
}

// GroupDef is a definition of an item group.
type GroupDef struct {
	OID, Name string
	Repeating bool
	Items     []string // folded OIDs, in the order of the definition
}

// ItemDef is a definition of an item.
type ItemDef struct {
	OID, Name string
	Type      Kind
	// Codes are the values allowed, nil where any is; Multiple allows several, with commas between.
	Codes    map[string]bool
	Multiple bool
	File     bool
	Archived bool
	// Last is the key of the document that defined an archived item last; empty for one that was archived before this was kept.
	Last string `json:",omitempty"`
}

// index enters what is found by OID; metadata that was decoded needs it, too.
func (m *Metadata) index() {
	m.events, m.layouts = map[string]*EventDef{}, map[string]*FormDef{}
	for _, e := range m.Events {
		m.events[Fold(e.OID)] = e
	}
	for _, f := range m.Forms {
		for _, l := range f.Layouts {
			if l.OID != "" {
				m.layouts[Fold(l.OID)] = f
			}
		}
	}
}

// Event finds a definition by OID, nil when there is none.
func (m *Metadata) Event(oid string) *EventDef { return m.events[Fold(oid)] }

// Form finds a definition by OID, or by the OID of one of its versions, nil when there is none.
func (m *Metadata) Form(oid string) *FormDef {
	if f := m.Forms[Fold(oid)]; f != nil {
		return f
	}
	return m.layouts[Fold(oid)]
}

// names tells whether an OID is that of a form, or of the version of it that some data are in (section 6.1).
func (m *Metadata) names(oid string, form *FormDef, data *Form) bool {
	if f := m.Forms[Fold(oid)]; f != nil {
		return f == form
	}
	layout, known := form.Layout(data.Layout)
	return known && m.layouts[Fold(oid)] == form && Fold(layout.OID) == Fold(oid)
}

// Ref is how the event names the form, nil where it does not.
func (e *EventDef) Ref(form *FormDef) *FormRef {
	for i := range e.Forms {
		if e.Forms[i].Form == Fold(form.OID) {
			return &e.Forms[i]
		}
	}
	return nil
}

// Layout finds a version by name.
func (f *FormDef) Layout(name string) (Layout, bool) {
	for _, l := range f.Layouts {
		if l.Name == name {
			return l, true
		}
	}
	return Layout{}, false
}

// OIDOf is the OID by which documents name a form's data in a version: the version's where it has one of its own, as its
// FormDef is then the version's, and the form has none (section 1.2).
func (f *FormDef) OIDOf(layout string) string {
	if l, _ := f.Layout(layout); l.OID != "" {
		return l.OID
	}
	return f.OID
}

// offers tells whether data may be in a version where the form is put.
func (r *FormRef) offers(l Layout) bool {
	return !l.Archived && (len(r.Layouts) == 0 || slices.Contains(r.Layouts, l.Name))
}

// usual is the version that data without one are in: the default, where it is offered, else the last that is. Where none is
// it is the last, which no data may be in.
func (f *FormDef) usual(r *FormRef) string {
	if l, known := f.Layout(r.Default); known && r.offers(l) {
		return r.Default
	}
	for _, name := range slices.Backward(r.Layouts) {
		if l, known := f.Layout(name); known && r.offers(l) {
			return name
		}
	}
	for _, l := range slices.Backward(f.Layouts) {
		if r.offers(l) {
			return l.Name
		}
	}
	return f.Layouts[len(f.Layouts)-1].Name
}

// version finds the version that a form's data are in, by what the data say (sections 1.2 and 3.2): the version's name, or in
// the way of 3.x its OID in place of the form's. named tells whether they say anything.
func (f *FormDef) version(form, name string) (l Layout, known, named bool) {
	if name != "" {
		l, known = f.Layout(name)
		return l, known, true
	}
	for _, l := range f.Layouts {
		if l.OID != "" && Fold(l.OID) == Fold(form) {
			return l, true, true
		}
	}
	return Layout{}, false, false
}

// HasFiles tells whether an item takes a file.
func (m *Metadata) HasFiles() bool {
	for _, item := range m.Items {
		if item.File && !item.Archived {
			return true
		}
	}
	return false
}

// NewMetadata indexes definitions: events in the order of the protocol, and the OIDs of forms' versions with those of the
// forms, both folded.
func NewMetadata(study string, events []*EventDef, forms []*FormDef, groups []*GroupDef, items []*ItemDef, versions map[string]string) *Metadata {
	m := &Metadata{
		Study: study, Events: events, Forms: map[string]*FormDef{}, Groups: map[string]*GroupDef{}, Items: map[string]*ItemDef{},
		events: map[string]*EventDef{}, layouts: map[string]*FormDef{},
	}
	for _, e := range events {
		m.events[Fold(e.OID)] = e
	}
	for _, f := range forms {
		m.Forms[Fold(f.OID)] = f
	}
	for _, g := range groups {
		m.Groups[Fold(g.OID)] = g
	}
	for _, i := range items {
		m.Items[Fold(i.OID)] = i
	}
	for version, form := range versions {
		m.layouts[Fold(version)] = m.Forms[Fold(form)]
	}
	return m
}
