package clinical

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
	"aliquot/shared/odm"
)

// Person is a user as documents show one.
type Person struct {
	ID          int64
	Login, Name string
}

// Retrieval gives out clinical data as parts of an ODM document (section 6), participant by participant; of no more than
// one participant's events and one form's values, or those of a small participant, is in memory.
type Retrieval struct {
	Store biobank.Store
	// Scopes are the study and the sites whose participants are given out, in that order: those that were asked for and that
	// the user may see.
	Scopes []Scope
	// Study is the id of the study.
	Study int64
	// Participant is an OID or an ID, Form the OID of a form or of a version; empty for all.
	Participant string
	Events      []Occurrence // none: all
	Form        string
	// Audits, Notes and Archived tell what is given out besides.
	Audits, Notes, Archived bool
	// User finds who did something.
	User func(ctx context.Context, id int64) (Person, error)

	found map[int64][]int64 // participants by site
	at    Reached
}

// Occurrence selects an event, or one of its repeats.
type Occurrence struct {
	Event string
	Key   int // 0: all
}

// Reached tells how far a retrieval has come, so that another one can go on where it ended.
type Reached struct {
	// Scopes are the ids of the study and the sites that have participants who are given out, Last is the newest of them:
	// whoever came later is left out.
	Scopes []int64 `json:"scopes"`
	Last   int64   `json:"last"`
	// Scope and Subject are those of the last participant given out.
	Scope   int64 `json:"scope"`
	Subject int64 `json:"subject"`
}

// listPage is how many participants are read at once.
const listPage = 500

// errOthers means that a retrieval cannot go on where another one ended.
var errOthers = fault.New("COMMON_INVALID_REQUEST", "What you may see has changed while the data were collected. Ask for them again.")

// Find finds the participants, for a retrieval that begins (nil) or goes on from where another one has come. It tells how
// many ClinicalData the document has. What is gone since, or may not be seen any more, is a fault.
func (r *Retrieval) Find(ctx context.Context, from *Reached) (int, error) {
	if from != nil {
		r.at.Last = from.Last
	}
	var err error
	if r.found, err = r.participants(ctx); err != nil {
		return 0, err
	}
	for _, s := range r.Scopes {
		if len(r.found[s.ID]) > 0 {
			r.at.Scopes = append(r.at.Scopes, s.ID)
		}
	}
	if from != nil {
		if !slices.Equal(from.Scopes, r.at.Scopes) || !slices.Contains(r.found[from.Scope], from.Subject) {
			return 0, errOthers
		}
		r.at = *from
	}
	return len(r.at.Scopes), nil
}

// Resume emits the skeleton of what the retrieval before has emitted, for a writer whose output so far goes nowhere: it is
// then where that retrieval's was.
func (r *Retrieval) Resume(emit func(odm.Part) error) error {
	for _, s := range r.Scopes {
		if len(r.found[s.ID]) == 0 {
			continue
		}
		parts := []odm.Part{&odm.ClinicalData{StudyOID: s.OID}}
		if s.ID == r.at.Scope {
			for range 2 { // so that it is certain that there are several
				parts = append(parts, &odm.SubjectData{SubjectKey: "-"}, odm.EndSubjectData)
			}
		} else {
			parts = append(parts, odm.EndClinicalData)
		}
		for _, p := range parts {
			if err := emit(p); err != nil {
				return err
			}
		}
		if s.ID == r.at.Scope {
			break
		}
	}
	return nil
}

// Data emits a ClinicalData for each scope in which Find has found participants, or what is left of them. After each
// participant but the last done is called, unless it is nil; what it returns ends Data. The error is that of the store, of
// emit, or of done.
func (r *Retrieval) Data(ctx context.Context, emit func(odm.Part) error, done func(Reached) error) error {
	for _, s := range r.Scopes {
		left := r.found[s.ID]
		if len(left) == 0 || slices.Index(r.at.Scopes, s.ID) < slices.Index(r.at.Scopes, r.at.Scope) {
			continue
		}
		if s.ID == r.at.Scope {
			left = left[slices.Index(left, r.at.Subject)+1:]
		} else if err := emit(&odm.ClinicalData{StudyOID: s.OID, MetaDataVersionOID: "null"}); err != nil {
			return err
		}
		for i, id := range left {
			if err := r.subject(ctx, s.Meta, id, emit); err != nil {
				return err
			}
			r.at.Scope, r.at.Subject = s.ID, id
			if done == nil || i == len(left)-1 {
				continue
			}
			if err := done(r.at); err != nil {
				return err
			}
		}
		if err := emit(odm.EndClinicalData); err != nil {
			return err
		}
	}
	return nil
}

// participants are the ids of those asked for, by site, in the order in which they came: 8 bytes for each are in memory.
func (r *Retrieval) participants(ctx context.Context) (map[int64][]int64, error) {
	out := map[int64][]int64{}
	if r.Participant != "" {
		byOID, byLabel, err := FindSubject(ctx, r.Store, r.Study, r.Participant, r.Participant)
		if byOID != nil {
			byLabel = []Listed{*byOID}
		}
		for _, l := range byLabel {
			out[l.Site] = append(out[l.Site], l.ID)
		}
		return out, err
	}
	part, after, goesOn := ListKey(r.Study, 0).Part, "", r.at.Last > 0
	for {
		recs, err := r.Store.List(ctx, part, "", after, listPage)
		if err != nil {
			return nil, fmt.Errorf("list participants: %w", err)
		}
		for _, rec := range recs {
			l, err := biobank.Decode[Listed](rec)
			if err != nil {
				return nil, err
			}
			if after = rec.Key.Sort; goesOn && l.ID > r.at.Last {
				return out, nil
			}
			out[l.Site] = append(out[l.Site], l.ID)
			r.at.Last = max(r.at.Last, l.ID)
		}
		if len(recs) < listPage {
			return out, nil
		}
	}
}

// given is a participant while the data are given out.
type given struct {
	*Retrieval
	w    *work
	meta *Metadata
	logs *history
	emit func(odm.Part) error
	// whole tells that all item groups are in memory, noted that all notes are.
	whole, noted bool
}

// small is up to how many item groups a participant's are read at once.
const small = 2000

func (r *Retrieval) subject(ctx context.Context, meta *Metadata, id int64, emit func(odm.Part) error) error {
	w, err := open(ctx, r.Store, id)
	if err != nil || w == nil {
		return err
	}
	g := &given{Retrieval: r, w: w, meta: meta, emit: emit}
	if g.whole, err = w.loadAll(ctx, "g/", small); err != nil {
		return err
	}
	if r.Notes {
		if g.noted, err = w.loadAll(ctx, "n/", small); err != nil {
			return err
		}
	}
	if r.Audits {
		if g.logs, err = readHistory(ctx, r.Store, w); err != nil {
			return err
		}
	}
	s := w.head.doc
	status := "Available"
	switch {
	case s.Removed:
		status = "Removed"
	case s.Signed:
		status = "signed"
	}
	err = emit(&odm.SubjectData{
		SubjectKey: s.OID, StudySubjectID: s.Label, UniqueIdentifier: s.UniqueIdentifier, Status: status, SecondaryID: s.SecondaryID,
		YearOfBirth: s.YearOfBirth, DateOfBirth: s.DateOfBirth, Sex: s.Sex, EnrollmentDate: s.EnrollmentDate,
	})
	if err != nil {
		return err
	}
	for _, def := range meta.Events {
		for _, h := range w.occurrences(def.OID) {
			if !r.selects(h.doc) || !r.Archived && (h.doc.Archived || def.Archived) {
				continue
			}
			if err := g.event(ctx, def, h); err != nil {
				return err
			}
		}
	}
	if err := g.audits(ctx, subjectLevel); err != nil {
		return err
	}
	return emit(odm.EndSubjectData)
}

// loadAll reads the records below a prefix, if there are not too many.
func (w *work) loadAll(ctx context.Context, prefix string, most int) (all bool, err error) {
	recs, err := w.store.List(ctx, subjectPart(w.id), prefix, "", most)
	if err != nil {
		return false, fmt.Errorf("read participant %d: %w", w.id, err)
	}
	if len(recs) == most {
		return false, nil
	}
	return true, w.keep(recs)
}

func (r *Retrieval) selects(e *Event) bool {
	if len(r.Events) == 0 {
		return true
	}
	return slices.ContainsFunc(r.Events, func(o Occurrence) bool {
		return Fold(o.Event) == Fold(e.OID) && (o.Key == 0 || o.Key == e.Key)
	})
}

func yesNo(v bool) string {
	if v {
		return "Yes"
	}
	return "No"
}

func (g *given) event(ctx context.Context, def *EventDef, h *held[Event]) error {
	e := h.doc
	d := &odm.StudyEventData{
		StudyEventOID: e.OID, EventName: def.Name, StudyEventLocation: e.Location, StartDate: e.StartDate, EndDate: e.EndDate,
		Status: e.Status, WorkflowStatus: e.Status,
		Removed: yesNo(e.Removed), Archived: yesNo(e.Archived), Locked: yesNo(e.Locked), Signed: yesNo(e.Signed),
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
	if err := g.emit(d); err != nil {
		return err
	}
	for _, ref := range def.Forms {
		f := e.Forms[ref.Form]
		fd := g.meta.Forms[ref.Form]
		if f == nil || fd == nil || ref.Hidden || g.Form != "" && g.meta.Form(g.Form) != fd {
			continue
		}
		layout, known := fd.Layout(f.Layout)
		if !g.Archived && (f.Archived || ref.Archived || fd.Archived || known && layout.Archived) {
			continue
		}
		if err := g.form(ctx, e, fd, f); err != nil {
			return err
		}
	}
	if err := g.audits(ctx, h.rec.Key.Sort); err != nil {
		return err
	}
	return g.emit(odm.EndStudyEventData)
}

// moment is a time as documents have it: to the second, without zone.
func moment(ms int64) string {
	if ms == 0 {
		return ""
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05")
}

func (g *given) form(ctx context.Context, e *Event, def *FormDef, f *Form) error {
	created, err := g.User(ctx, f.CreatedBy)
	if err != nil {
		return err
	}
	d := &odm.FormData{
		FormOID: f.OID, FormName: def.Name, FormLayoutOID: f.Layout, InterviewerName: f.InterviewerName, InterviewDate: f.InterviewDate,
		CreatedDate: moment(f.CreatedAt), CreatedBy: created.Login, UpdatedDate: moment(f.UpdatedAt),
		Status: f.Status, WorkflowStatus: f.Status, SdvStatus: f.SDV, Removed: yesNo(f.Removed), Archived: yesNo(f.Archived),
	}
	if f.UpdatedAt != 0 {
		updated, err := g.User(ctx, f.UpdatedBy)
		if err != nil {
			return err
		}
		d.UpdatedBy = updated.Login
	}
	if f.Removed || f.Archived || e.Removed || e.Archived || g.w.head.doc.Removed {
		d.Status = "invalid"
	}
	if err := g.emit(d); err != nil {
		return err
	}
	if err := g.groups(ctx, e, def, f); err != nil {
		return err
	}
	if err := g.audits(ctx, EventKey(g.w.id, Fold(e.OID), e.Key).Sort+formLevel+Fold(f.OID)); err != nil {
		return err
	}
	return g.emit(odm.EndFormData)
}

// groups emits the item groups of a form, by OID, then by number.
func (g *given) groups(ctx context.Context, e *Event, def *FormDef, f *Form) error {
	prefix, notes := FormPrefix(Fold(e.OID), e.Key, Fold(f.OID)), NotePrefix(Fold(e.OID), e.Key, Fold(f.OID))
	if !g.whole {
		if err := g.w.load(ctx, prefix); err != nil {
			return err
		}
		defer g.w.forget(prefix)
	}
	if g.Notes && !g.noted && f.Noted {
		if err := g.w.load(ctx, notes); err != nil {
			return err
		}
		defer g.w.forget(notes)
	}
	groups := map[string]*held[Group]{}
	for sort, h := range g.w.groups {
		if strings.HasPrefix(sort, prefix) {
			groups[sort] = h
		}
	}
	if g.Notes && f.Noted {
		g.asked(def, prefix, notes, groups)
	}
	for _, sort := range slices.Sorted(maps.Keys(groups)) {
		if err := g.group(ctx, e, f, groups[sort]); err != nil {
			return err
		}
	}
	return nil
}

// asked adds what is discussed and not stored: notes also ask for what is missing. The groups are those of a form, by sort
// key; what is added has no values.
func (g *given) asked(def *FormDef, prefix, notes string, groups map[string]*held[Group]) {
	for key := range g.w.notes {
		below, ok := strings.CutPrefix(key, notes)
		parts := strings.SplitN(below, "/", 3)
		if !ok || len(parts) < 3 || groups[prefix+parts[0]+"/"+parts[1]] != nil {
			continue
		}
		i := slices.IndexFunc(def.Groups, func(oid string) bool { return escape(oid) == parts[0] })
		n, err := strconv.Atoi(parts[1])
		if i < 0 || err != nil || g.meta.Groups[def.Groups[i]] == nil {
			continue // of a group that the form has no more
		}
		missing := &Group{OID: g.meta.Groups[def.Groups[i]].OID, Key: n}
		groups[prefix+parts[0]+"/"+parts[1]] = &held[Group]{rec: &biobank.Record{}, doc: missing}
	}
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
	if g.Notes && f.Noted {
		for _, t := range g.w.threads(at) {
			threads[t.doc.Item] = append(threads[t.doc.Item], t.doc)
			items[t.doc.Item] = true
		}
	}
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
		if d.AuditLog, err = g.itemLogs(ctx, h, f, group, oid, d.ItemName); err != nil {
			return d, err
		}
	}
	slices.SortFunc(threads, func(a, b *Thread) int {
		return cmp.Or(cmp.Compare(a.Children[0].At, b.Children[0].At), cmp.Compare(a.ID, b.ID))
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
