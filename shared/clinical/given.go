package clinical

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"aliquot/shared/biobank"
	"aliquot/shared/odm"
)

// given is a participant while the data are given out.
type given struct {
	*Retrieval
	w     *work
	meta  *Metadata
	logs  *history
	emit  func(odm.Part) error
	whole bool // all item groups and notes are in memory
	// forms are the prefixes of those that are still to be given out.
	forms []string
}

// occurrence is one of an event that is given out, with its forms in order.
type occurrence struct {
	def   *EventDef
	event *held[Event]
	forms []instance
}

// instance is a form in an event. It is archived where it is itself, or its event, its version or what defines one of them.
type instance struct {
	def      *FormDef
	form     *Form
	archived bool
}

// shown are the occurrences that are given out, in order. Where a form is asked for they are those that have it.
func (g *given) shown() (all []occurrence) {
	for _, def := range g.meta.Events {
		for _, h := range g.w.occurrences(def.OID) {
			if !g.selects(h.doc) || !g.Archived && (h.doc.Archived || def.Archived) {
				continue
			}
			o := occurrence{def: def, event: h}
			for _, ref := range def.Forms {
				f, fd := h.doc.Forms[ref.Form], g.meta.Forms[ref.Form]
				if f == nil || fd == nil || ref.Hidden || g.Form != "" && !g.meta.names(g.Form, fd, f) {
					continue
				}
				layout, known := fd.Layout(f.Layout)
				archived := f.Archived || ref.Archived || fd.Archived || known && layout.Archived
				if archived && !g.Archived {
					continue
				}
				o.forms = append(o.forms, instance{fd, f, archived || h.doc.Archived || def.Archived})
			}
			if g.Form == "" || len(o.forms) > 0 {
				all = append(all, o)
			}
		}
	}
	return all
}

const (
	// small is up to how many bytes of a participant are held at once: the item groups and notes of others are read form by form,
	// and the item groups of a form in pages.
	small = 8 << 20
	// groupPage is how many records are read at once, of up to 180 KB.
	groupPage = 200
)

// subject emits a participant, and tells whether there was one who has what is asked for.
func (r *Retrieval) subject(ctx context.Context, meta *Metadata, id int64, emit func(odm.Part) error) (bool, error) {
	w, whole, err := r.read(ctx, id)
	if err != nil || w == nil {
		return false, err
	}
	g := &given{Retrieval: r, w: w, meta: meta, emit: emit, whole: whole}
	all := g.shown()
	if r.narrowed() && len(all) == 0 {
		return false, nil
	}
	if r.Audits {
		if g.logs, err = readHistory(ctx, r.Store, w, cmp.Or(r.auditsHeld, heldAudits)); err != nil {
			return false, err
		}
	}
	return true, g.participant(ctx, all)
}

func (g *given) participant(ctx context.Context, all []occurrence) error {
	s := g.w.head.doc
	status := "Available"
	switch {
	case s.Removed:
		status = "Removed"
	case s.Signed:
		status = "signed"
	}
	err := errors.Join(g.emit(&odm.SubjectData{
		SubjectKey: s.OID, StudySubjectID: s.Label, UniqueIdentifier: s.UniqueIdentifier, Status: status, SecondaryID: s.SecondaryID,
		YearOfBirth: s.YearOfBirth, DateOfBirth: s.DateOfBirth, Sex: s.Sex, EnrollmentDate: s.EnrollmentDate,
	}), g.emit(odm.Coming(len(all))))
	if err != nil {
		return err
	}
	for _, o := range all {
		for _, i := range o.forms {
			g.forms = append(g.forms, FormPrefix(Fold(o.event.doc.OID), o.event.doc.Key, Fold(i.form.OID)))
		}
	}
	for _, o := range all {
		if err := g.event(ctx, o); err != nil {
			return err
		}
	}
	if err := g.audits(ctx, subjectLevel, auditedSubject, beginning{}); err != nil {
		return err
	}
	return g.emit(odm.EndSubjectData)
}

// read reads a participant, nil for none: whole, if it is small and all of it is asked for, which takes one request for most;
// else only the participant and the events.
func (r *Retrieval) read(ctx context.Context, id int64) (w *work, whole bool, err error) {
	if r.narrowed() {
		w, err = open(ctx, r.Store, id)
		return w, false, err
	}
	var recs []*biobank.Record
	for size, after := 0, ""; ; {
		page, err := r.Store.List(ctx, subjectPart(id), "", after, groupPage)
		if err != nil {
			return nil, false, fmt.Errorf("read participant %d: %w", id, err)
		}
		recs = append(recs, page...)
		if len(page) < groupPage {
			w, err = assemble(r.Store, id, recs)
			return w, true, err
		}
		for _, rec := range page {
			after = rec.Key.Sort
			size += len(rec.Doc)
		}
		if last := page[len(page)-1].Type; size > small && last != SubjectType && last != EventType {
			recs = slices.DeleteFunc(recs, func(rec *biobank.Record) bool { return rec.Type != SubjectType && rec.Type != EventType })
			w, err = assemble(r.Store, id, recs)
			return w, false, err
		}
	}
}

func (r *Retrieval) selects(e *Event) bool {
	if len(r.Events) == 0 {
		return true
	}
	return slices.ContainsFunc(r.Events, func(o Occurrence) bool {
		return Fold(o.Event) == Fold(e.OID) && (o.Key == 0 || o.Key == e.Key)
	})
}

func YesNo(v bool) string {
	if v {
		return "Yes"
	}
	return "No"
}

func (g *given) event(ctx context.Context, o occurrence) error {
	def, e := o.def, o.event.doc
	d := &odm.StudyEventData{
		StudyEventOID: e.OID, EventName: def.Name, StudyEventLocation: e.Location, StartDate: e.StartDate, EndDate: e.EndDate,
		Status: e.Status, WorkflowStatus: e.Status,
		Removed: YesNo(e.Removed), Archived: YesNo(e.Archived || def.Archived), Locked: YesNo(e.Locked), Signed: YesNo(e.Signed),
	}
	if born := g.w.head.doc.DateOfBirth; isDay(born) && e.StartDate >= born {
		d.SubjectAgeAtEvent = strconv.Itoa(age(born, e.StartDate))
	}
	if def.Repeating || def.Common {
		d.StudyEventRepeatKey = strconv.Itoa(e.Key)
	}
	switch {
	case e.Locked:
		d.Status = "Locked"
	case e.Signed:
		d.Status = "signed"
	}
	if err := errors.Join(g.emit(d), g.emit(odm.Coming(len(o.forms)))); err != nil {
		return err
	}
	for _, i := range o.forms {
		if err := g.form(ctx, e, i); err != nil {
			return err
		}
	}
	rec := o.event.rec
	now := map[string]string{"signed": YesNo(e.Signed)}
	unsure := g.w.head.doc.Pending != "" && rec.Version > 1
	if err := g.audits(ctx, rec.Key.Sort, auditedEvent, beginning{rec.CreatedBy, rec.CreatedAt, now, e.Attestations, unsure}); err != nil {
		return err
	}
	return g.emit(odm.EndStudyEventData)
}

// age is how many years have passed from one day to another, as dates.
func age(from, to string) int {
	const year = len("2006")
	a, errA := strconv.Atoi(from[:year])
	b, errB := strconv.Atoi(to[:year])
	if errA != nil || errB != nil { // both were checked when they were taken
		return 0
	}
	if to[year:len(time.DateOnly)] < from[year:] {
		b--
	}
	return b - a
}

// moment is a time as documents have it: to the second, without zone.
func moment(ms int64) string {
	if ms == 0 {
		return ""
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05")
}

func (g *given) form(ctx context.Context, e *Event, i instance) error {
	def, f := i.def, i.form
	created, err := g.User(ctx, f.CreatedBy)
	if err != nil {
		return err
	}
	d := &odm.FormData{
		FormOID: def.OIDOf(f.Layout), FormName: def.Name, FormLayoutOID: f.Layout, InterviewerName: f.InterviewerName, InterviewDate: f.InterviewDate,
		CreatedDate: moment(f.CreatedAt), CreatedBy: created.Login, UpdatedDate: moment(f.UpdatedAt),
		Status: f.Status, WorkflowStatus: f.Status, SdvStatus: f.SDV, Removed: YesNo(f.Removed), Archived: YesNo(i.archived),
	}
	if f.UpdatedAt != 0 {
		updated, err := g.User(ctx, f.UpdatedBy)
		if err != nil {
			return err
		}
		d.UpdatedBy = updated.Login
	}
	if f.Removed || i.archived || e.Removed || g.w.head.doc.Removed {
		d.Status = "invalid"
	}
	if err := g.emit(d); err != nil {
		return err
	}
	if g.logs != nil {
		if err := g.logs.need(ctx, g.forms); err != nil {
			return err
		}
	}
	g.forms = g.forms[1:]
	if err := g.groups(ctx, e, def, f); err != nil {
		return err
	}
	place, now := EventKey(g.w.id, Fold(e.OID), e.Key).Sort+formLevel+Fold(f.OID), map[string]string{"sdv": f.SDV}
	if err := g.audits(ctx, place, auditedForm, beginning{by: f.CreatedBy, at: f.CreatedAt, now: now}); err != nil {
		return err
	}
	return g.emit(odm.EndFormData)
}

// groups emits the item groups of a form, by OID, then by number.
func (g *given) groups(ctx context.Context, e *Event, def *FormDef, f *Form) error {
	prefix, notes := FormPrefix(Fold(e.OID), e.Key, Fold(f.OID)), NotePrefix(Fold(e.OID), e.Key, Fold(f.OID))
	var asked []*held[Group]
	if (g.Notes || g.Audits) && f.Noted && !g.whole { // the reasons of changes are notes
		if err := g.w.load(ctx, notes); err != nil {
			return err
		}
		defer g.w.forget(notes)
	}
	if g.Notes && f.Noted {
		asked = g.asked(def, prefix, notes)
	}
	for first, after := true, ""; ; first = false {
		stored, more, err := g.stored(ctx, prefix, after)
		if err != nil {
			return err
		}
		if more {
			after = stored[len(stored)-1].rec.Key.Sort
		}
		page := stored
		for len(asked) > 0 && (!more || asked[0].rec.Key.Sort <= after) {
			page, asked = append(page, asked[0]), asked[1:]
		}
		slices.SortStableFunc(page, func(a, b *held[Group]) int { return cmp.Compare(a.rec.Key.Sort, b.rec.Key.Sort) })
		page = slices.CompactFunc(page, func(a, b *held[Group]) bool { return a.rec.Key == b.rec.Key })
		if first {
			if err := g.emit(odm.Coming(len(page))); err != nil {
				return err
			}
		}
		for _, h := range page {
			if err := g.group(ctx, e, f, h); err != nil {
				return err
			}
		}
		if !more {
			return nil
		}
	}
}

// stored are the repeats of item groups of a form, in order, after a sort key; of a participant that is not small a page of
// them. More tells that others may follow.
func (g *given) stored(ctx context.Context, prefix, after string) (page []*held[Group], more bool, err error) {
	if g.whole {
		return below(g.w.groups, prefix), false, nil
	}
	recs, err := g.Store.List(ctx, subjectPart(g.w.id), prefix, after, groupPage)
	if err != nil {
		return nil, false, fmt.Errorf("read the items of participant %d: %w", g.w.id, err)
	}
	for _, rec := range recs {
		h, err := hold[Group](rec)
		if err != nil {
			return nil, false, err
		}
		page = append(page, h)
	}
	return page, len(recs) == groupPage, nil
}

// asked are the item groups of a form that are discussed, in order, stored or not: notes also ask for what is missing. They
// have no values.
func (g *given) asked(def *FormDef, prefix, notes string) (all []*held[Group]) {
	for _, key := range slices.Sorted(maps.Keys(g.w.notes)) {
		below, ok := strings.CutPrefix(key, notes)
		parts := strings.SplitN(below, "/", 3)
		if !ok || len(parts) < 3 {
			continue
		}
		i := slices.IndexFunc(def.Groups, func(oid string) bool { return escape(oid) == parts[0] })
		n, err := strconv.Atoi(parts[1])
		if i < 0 || err != nil || g.meta.Groups[def.Groups[i]] == nil {
			continue // of a group that the form has no more
		}
		at := biobank.Key{Part: subjectPart(g.w.id), Sort: prefix + parts[0] + "/" + parts[1]}
		missing := &Group{OID: g.meta.Groups[def.Groups[i]].OID, Key: n}
		all = append(all, &held[Group]{rec: &biobank.Record{Key: at}, doc: missing})
	}
	return all
}

// group emits a repeat of an item group: its values, and the items without one that are discussed.
func (g *given) group(ctx context.Context, e *Event, f *Form, h *held[Group]) error {
	d := &odm.ItemGroupData{ItemGroupOID: h.doc.OID, ItemGroupRepeatKey: strconv.Itoa(h.doc.Key), TransactionType: "Insert"}
	def := g.meta.Groups[Fold(h.doc.OID)]
	if def != nil {
		d.ItemGroupName = def.Name
	}
	if h.doc.Removed {
		d.Removed = "Yes"
	}
	at := Path{Event: Fold(e.OID), EventKey: e.Key, Form: Fold(f.OID), Group: Fold(h.doc.OID), GroupKey: h.doc.Key}
	threads := map[string][]*Thread{}
	items := map[string]bool{}
	if f.Noted {
		for _, t := range g.w.threads(at) {
			threads[t.doc.Item] = append(threads[t.doc.Item], t.doc)
			items[t.doc.Item] = items[t.doc.Item] || g.Notes
		}
	}
	maps.DeleteFunc(items, func(_ string, shown bool) bool { return !shown })
	for oid := range h.doc.Values {
		items[oid] = true
	}
	for _, oid := range slices.Sorted(maps.Keys(items)) {
		item, err := g.item(ctx, h, f, def, oid, threads[oid])
		if err != nil {
			return err
		}
		d.ItemData = append(d.ItemData, item)
	}
	return g.emit(d)
}

// forget lets what lies below a prefix go.
func (w *work) forget(prefix string) {
	delete(w.read, prefix)
	maps.DeleteFunc(w.groups, func(sort string, _ *held[Group]) bool { return strings.HasPrefix(sort, prefix) })
	maps.DeleteFunc(w.notes, func(sort string, _ *held[Thread]) bool { return strings.HasPrefix(sort, prefix) })
}

func (g *given) item(ctx context.Context, h *held[Group], f *Form, group *GroupDef, oid string, threads []*Thread) (odm.ItemData, error) {
	value, has := h.doc.Values[oid]
	d := odm.ItemData{ItemOID: oid, Value: value, NoValue: !has}
	if def := g.meta.Items[Fold(oid)]; def != nil {
		d.ItemName = def.Name
	}
	if g.logs != nil && has {
		var err error
		if d.AuditLog, err = g.itemLogs(ctx, h, f, group, oid, d.ItemName, threads); err != nil {
			return d, err
		}
	}
	if !g.Notes {
		return d, nil
	}
	slices.SortFunc(threads, func(a, b *Thread) int {
		// A longer id has a higher number: those of one moment come as they were drawn.
		return cmp.Or(cmp.Compare(a.Children[0].At, b.Children[0].At), cmp.Compare(len(a.ID), len(b.ID)), cmp.Compare(a.ID, b.ID))
	})
	for _, t := range threads {
		n, err := g.thread(ctx, t, d.ItemName)
		if err != nil {
			return d, err
		}
		d.DiscrepancyNote = append(d.DiscrepancyNote, n)
	}
	return d, nil
}

func (g *given) thread(ctx context.Context, t *Thread, name string) (odm.DiscrepancyNote, error) {
	n := odm.DiscrepancyNote{
		ID: t.ID, Status: shown(t.Status), NoteType: t.Kind, EntityName: name, NumberOfChildNotes: strconv.Itoa(len(t.Children)),
		DateUpdated: moment(last(t.Children).At),
	}
	for _, c := range t.Children {
		by, err := g.User(ctx, c.By)
		if err != nil {
			return n, err
		}
		v := odm.ChildNote{
			ID: c.ID, Status: shown(c.Status), DateCreated: moment(c.At), UserName: by.Login, Name: by.Name,
			Description: c.Short, DetailedNote: c.Text,
		}
		if c.To != 0 {
			to, err := g.User(ctx, c.To)
			if err != nil {
				return n, err
			}
			v.UserRef = &odm.UserRef{UserOID: UserOID(to.ID), UserName: to.Login, FullName: to.Name}
		}
		n.ChildNote = append(n.ChildNote, v)
	}
	return n, nil
}

// shown is a note's state as it is given out: with a blank where imports have a hyphen (section 6.6).
func shown(status string) string {
	if status == NoteClosedModified {
		return "Closed Modified"
	}
	return status
}

// UserOID names a user in documents.
func UserOID(id int64) string { return fmt.Sprintf("USR_%d", id) }
