package clinical

import (
	"cmp"
	"context"
	"path"
	"slices"
	"strconv"
	"strings"

	"aliquot/shared/odm"
)

// form takes the beginning of a form (section 3.5, 1 to 3).
func (p *Planner) form(ctx context.Context, v *odm.FormData) error {
	c := &p.Cursor
	c.Form = &formCursor{OID: v.FormOID, Failed: true}
	if c.Subject.ID == 0 {
		return nil
	}
	c.Event.Forms++
	ok, err := p.event(ctx, v.FormOID)
	if err != nil || !ok {
		return err
	}
	w, meta, err := p.current(ctx)
	if err != nil {
		return err
	}
	code := p.accept(w, meta, v)
	if code != "" {
		p.fail(rowForm, code)
		return nil
	}
	c.Form.Failed = false
	return nil
}

func (p *Planner) accept(w *work, meta *Metadata, v *odm.FormData) Code {
	c := &p.Cursor
	event := meta.Event(c.Event.OID)
	if event.Common && c.Event.Forms > 1 {
		return FormMissingStudyEventConstruct
	}
	if v.FormOID == "" {
		return MissingFormOID
	}
	def := meta.Form(v.FormOID)
	if def == nil || def.Archived {
		return FormOIDNotFound
	}
	ref := event.Ref(def)
	if ref == nil || ref.Archived || ref.Hidden {
		return FormOIDNotFound
	}
	c.Form.OID, c.Form.Form = def.OID, Fold(def.OID)
	switch strings.ToLower(status(v)) {
	case "", FormInitial:
	case "complete", FormComplete:
		c.Form.Complete = true
	default:
		return FormStatusNotValid
	}
	l, known, named := def.version(v.FormOID, cmp.Or(v.FormLayoutOID, v.Version))
	if !named {
		l, known = def.Layout(def.usual(ref)) // stored metadata may have a default that is not offered
	}
	switch {
	case !known:
		return FormLayoutOIDNotFound
	case !ref.offers(l):
		return FormLayoutOIDNotAvailable
	}
	c.Form.Layout, c.Form.Named = l.Name, def.OIDOf(l.Name)
	if longer(v.ReasonForChangeForCompleteForms, maxNoteText) {
		return DetailedNoteTextTooLong
	}
	c.Form.SDV, c.Form.Reason = v.SdvStatus, v.ReasonForChangeForCompleteForms
	if e := w.event(c.Event.OID, c.Event.Key); e != nil {
		if f := e.doc.Forms[c.Form.Form]; f != nil {
			if f.Removed || f.Archived {
				return FormNotAvailable
			}
			c.Form.WasDone = f.Status == FormComplete
		}
	}
	return ""
}

// status is what a form is to become. What is given out names it twice, with the workflow status as the one that can be set.
func status(v *odm.FormData) string {
	if v.WorkflowStatus != "" {
		return v.WorkflowStatus
	}
	return v.Status
}

// instance is the form that an item, or what is said of it, is stored in. It is made, and its event with it, when there is
// none: then data entry has started (section 3.6).
func (p *Planner) instance(w *work) (*held[Event], *Form) {
	c := &p.Cursor
	h := w.event(c.Event.OID, c.Event.Key)
	if h == nil {
		h = w.schedule(&Event{
			OID: c.Event.OID, Key: c.Event.Key, StartDate: c.Event.Sent.StartDate, EndDate: c.Event.Sent.EndDate,
			Location: c.Event.Sent.StudyEventLocation, Status: EventScheduled,
		})
	}
	f := h.doc.Forms[c.Form.Form]
	if f == nil {
		f = &Form{OID: c.Form.OID, Layout: c.Form.Layout, Status: FormInitial, CreatedAt: stamp(p.at), CreatedBy: p.By, Import: p.Job}
		if h.doc.Forms == nil {
			h.doc.Forms = map[string]*Form{}
		}
		h.change().Forms[c.Form.Form] = f
		if h.doc.Status == EventScheduled {
			h.doc.Status = EventStarted
		}
	}
	return h, f
}

// endForm completes and verifies the form, if that is asked for and possible (section 3.6).
func (p *Planner) endForm(ctx context.Context) error {
	c := p.Cursor.Form
	defer func() { p.Cursor.Form = nil }()
	if c.Failed {
		return nil
	}
	if c.Groups == 0 {
		p.fail(rowForm, FormDoesNotContainItemGroupData)
		return nil
	}
	w, meta, err := p.current(ctx)
	if err != nil {
		return err
	}
	h := w.event(p.Cursor.Event.OID, p.Cursor.Event.Key)
	if h == nil || h.doc.Forms[c.Form] == nil { // no item was stored
		p.verify(h, &Form{}) // which it is too early for, whatever is asked
		return nil
	}
	f := h.doc.Forms[c.Form]
	if c.Complete && c.NotDone == 0 && c.Items > 0 && f.Status != FormComplete {
		h.change()
		f.Status, f.CompletedAt, f.UpdatedAt, f.UpdatedBy = FormComplete, stamp(p.at), stamp(p.at), p.By
	}
	if (h.doc.Status == EventScheduled || h.doc.Status == EventStarted) && h.doc.completed(meta) {
		h.change().Status = EventCompleted
	}
	p.verify(h, f)
	return nil
}

// verify sets the state of source data verification that is asked for. Of a form that is not stored it only tells why not.
func (p *Planner) verify(h *held[Event], f *Form) {
	c := p.Cursor.Form
	want := ""
	switch strings.ToLower(c.SDV) {
	case "":
		return
	case "verified":
		want = SDVVerified
	case "not verified", "ready to verify":
		want = SDVReady
	case "changed since verified":
		want = SDVChanged
	default:
		p.fail(rowSDV, SDVStatusNotValid)
		return
	}
	row := p.place(rowSDV)
	automatic := func() {
		row.Status, row.Message = RowSkipped, "SDV Status set automatically"
		p.rows = append(p.rows, row)
	}
	switch {
	case f.SDV == want:
		if c.Moved {
			automatic()
		}
		return
	case c.Bad > 0:
		p.fail(rowSDV, SDVNotUpdatedBecauseOfItemFailure)
		return
	case want == SDVVerified && f.Status != FormComplete:
		p.fail(rowSDV, FormShouldBeCompleteForSDV)
		return
	case want == SDVReady && c.Moved: // what is verified is not verified any more, as asked, and tells why
		automatic()
		return
	case want == SDVReady && f.SDV == "": // a form is ready to be verified unless something else is said
		return
	case want == SDVChanged && f.SDV != SDVVerified:
		p.fail(rowSDV, SDVStatusNotApplicable)
		return
	}
	h.change()
	f.SDV = want
	row.Status, row.At = RowUpdated, stamp(p.at)
	p.rows = append(p.rows, row)
}

// group takes a repeat of an item group with its items (section 3.5, 4 to 8).
func (p *Planner) group(ctx context.Context, v *odm.ItemGroupData) error {
	c := &p.Cursor
	c.Form.Groups++
	if c.Form.Failed {
		return nil
	}
	w, meta, err := p.current(ctx)
	if err != nil {
		return err
	}
	fail := func(code Code, oid, key string) {
		c.Form.Bad++
		c.Form.NotDone++
		r := p.place(rowGroup)
		r.GroupOID, r.GroupKey, r.Status, r.Message = oid, key, RowFailed, code.Wire()
		p.rows = append(p.rows, r)
	}
	if v.ItemGroupOID == "" {
		fail(MissingItemGroupOID, "", v.ItemGroupRepeatKey)
		return nil
	}
	form := meta.Forms[c.Form.Form]
	def := meta.Groups[Fold(v.ItemGroupOID)]
	if def == nil || !slices.Contains(form.Groups, Fold(def.OID)) {
		fail(ItemGroupOIDNotFound, v.ItemGroupOID, v.ItemGroupRepeatKey)
		return nil
	}
	if len(v.ItemData) == 0 {
		fail(ItemGroupDoesNotContainItemData, def.OID, v.ItemGroupRepeatKey)
		return nil
	}
	at := Path{Event: Fold(c.Event.OID), EventKey: c.Event.Key, Form: c.Form.Form, Group: Fold(def.OID)}
	highest, err := p.repeated(ctx, w, at, def.Repeating)
	if err != nil {
		return err
	}
	key, code := groupKey(def, v.ItemGroupRepeatKey, highest)
	if code != "" {
		fail(code, def.OID, v.ItemGroupRepeatKey)
		return nil
	}
	at.GroupKey = key
	if err := p.repeat(ctx, w, at); err != nil {
		return err
	}
	remove, ok := yes(v.Removed)
	if !ok {
		fail(ItemGroupRemovedAttributeIsInvalid, def.OID, strconv.Itoa(key))
		return nil
	}
	sort := GroupKey(w.id, at).Sort
	stored := w.groups[sort]
	if stored != nil && stored.doc.Removed {
		if remove && p.same(meta, stored.doc, v) {
			return p.unchanged(meta, def, at, v)
		}
		fail(ItemGroupIsAlreadyRemoved, def.OID, strconv.Itoa(key))
		return nil
	}
	if err := p.items(ctx, w, meta, def, at, v); err != nil {
		return err
	}
	if remove {
		p.removeGroup(w, def, at, fail)
	}
	return nil
}

// groupKey is the repeat that is meant, where most is the highest stored.
func groupKey(def *GroupDef, sent string, most int) (int, Code) {
	if !def.Repeating {
		return 1, ""
	}
	if sent == "" {
		if most == MaxRepeat {
			return 0, GroupRepeatKeyTooLarge
		}
		return most + 1, ""
	}
	key, ok := repeatKey(sent)
	switch {
	case !ok:
		return 0, InvalidItemGroupRepeatKey
	case key < 1:
		return 0, GroupRepeatKeyLessThanOne
	case key > most+1:
		return 0, GroupRepeatKeyTooLarge
	}
	return key, ""
}

// same tells whether a removed repeat holds just what is sent: data that were given out come back.
func (p *Planner) same(meta *Metadata, g *Group, v *odm.ItemGroupData) bool {
	for i := range v.ItemData {
		d := &v.ItemData[i]
		def := meta.Items[Fold(d.ItemOID)]
		if def == nil {
			return false
		}
		if value, has := g.Values[def.OID]; !has || d.NoValue || value != d.Value {
			return false
		}
	}
	return true
}

func (p *Planner) unchanged(meta *Metadata, def *GroupDef, at Path, v *odm.ItemGroupData) error {
	for i := range v.ItemData {
		p.Cursor.Form.Items++
		p.item(def, at, meta.Items[Fold(v.ItemData[i].ItemOID)].OID, RowNoChange, "", false)
	}
	return nil
}

func (p *Planner) removeGroup(w *work, def *GroupDef, at Path, fail func(Code, string, string)) {
	switch {
	case !def.Repeating:
		fail(NonRepeatingGroupCannotBeRemoved, def.OID, strconv.Itoa(at.GroupKey))
		return
	case at.GroupKey == 1:
		fail(FirstRepeatingGroupCannotBeRemoved, def.OID, strconv.Itoa(at.GroupKey))
		return
	}
	g := w.groups[GroupKey(w.id, at).Sort]
	if g == nil {
		return // none of its items could be stored
	}
	h, f := p.instance(w)
	g.change().Removed = true
	p.changed(w, h, f)
	r := p.place(rowGroup)
	r.GroupOID, r.GroupKey, r.Status, r.At = def.OID, strconv.Itoa(at.GroupKey), RowGroupRemoved, stamp(p.at)
	p.rows = append(p.rows, r)
}

// changed does what a stored value, or a removed repeat, does to the form, the event and the participant (section 3.6).
func (p *Planner) changed(w *work, h *held[Event], f *Form) {
	h.change()
	f.UpdatedAt, f.UpdatedBy = stamp(p.at), p.By
	if f.SDV == SDVVerified {
		f.SDV = SDVChanged
		p.Cursor.Form.Moved = true
	}
	p.touched(w, h)
}

// item adds the row of an item.
func (p *Planner) item(def *GroupDef, at Path, oid, status, message string, dated bool) {
	r := p.place(rowItem)
	r.GroupOID, r.GroupKey, r.ItemOID, r.Status, r.Message = def.OID, strconv.Itoa(at.GroupKey), oid, status, message
	if dated {
		r.At = stamp(p.at)
	}
	p.rows = append(p.rows, r)
}

// items takes the items of a group. What is said in notes is taken whatever becomes of the value: a query is often about one
// that is missing or wrong.
func (p *Planner) items(ctx context.Context, w *work, meta *Metadata, def *GroupDef, at Path, v *odm.ItemGroupData) error {
	for i := range v.ItemData {
		d := &v.ItemData[i]
		p.Cursor.Form.Items++
		item := meta.Items[Fold(d.ItemOID)]
		switch {
		case item == nil:
			p.refuse(def, at, d.ItemOID, ItemNotFound.Wire())
			continue
		case item.Archived:
			p.refuse(def, at, item.OID, ItemNotFound.Wire())
			continue
		case !slices.Contains(def.Items, Fold(item.OID)):
			p.refuse(def, at, item.OID, ItemGroupDoesNotContainItemData.Wire())
			continue
		}
		if err := p.value(ctx, w, def, item, at, d); err != nil {
			return err
		}
		if err := p.discuss(ctx, w, def, item, at, d); err != nil {
			return err
		}
	}
	return nil
}

// refuse adds the row of an item whose value is not taken.
func (p *Planner) refuse(def *GroupDef, at Path, oid, message string) {
	p.Cursor.Form.Bad++
	p.Cursor.Form.NotDone++
	p.item(def, at, oid, RowFailed, message, false)
}

// value takes the value of an item, if it has one that is valid.
func (p *Planner) value(ctx context.Context, w *work, def *GroupDef, item *ItemDef, at Path, d *odm.ItemData) error {
	if d.NoValue {
		p.Cursor.Form.NotDone++
		p.item(def, at, item.OID, RowSkipped, "No item value present", false)
		return nil
	}
	if code := item.Check(d.Value); code != "" {
		p.refuse(def, at, item.OID, code.Wire())
		return nil
	}
	sort, file := GroupKey(w.id, at).Sort, ""
	if item.File && d.Value != "" {
		key, whole, err := p.file(ctx, w.groups[sort], item.OID, d.Value)
		if err != nil {
			return err
		}
		if !whole {
			p.refuse(def, at, item.OID, MissingItemFile.Wire()+"."+d.Value)
			return nil
		}
		file = key
	}
	return p.store(ctx, w, def, item, at, sort, d.Value, file)
}

// file keeps the file that a value names and tells where it lies. It is not whole if it neither came along nor is what the
// item has: one that is stored came with its own import.
func (p *Planner) file(ctx context.Context, g *held[Group], oid, name string) (key string, whole bool, err error) {
	stored, was := false, ""
	if g != nil && g.doc.Values[oid] == name {
		stored, was = true, g.doc.Files[oid]
	}
	key = p.Attached.Key(name)
	if stored && (key == "" || path.Base(key) == path.Base(was)) {
		return was, true, nil
	}
	if key == "" {
		return "", false, nil
	}
	whole, err = p.Attached.Keep(ctx, name)
	return key, whole, err
}

// store puts a value, and the key of its file if it names one, in its place and tells what that came to.
func (p *Planner) store(ctx context.Context, w *work, def *GroupDef, item *ItemDef, at Path, sort, value, file string) error {
	oid := item.OID
	g := w.groups[sort]
	if g != nil {
		if was, has := g.doc.Values[oid]; has && was == value && g.doc.Files[oid] == file {
			p.item(def, at, oid, RowNoChange, "", false)
			return nil
		}
	}
	if g == nil {
		g = fresh(GroupKey(w.id, at), GroupType, w.id, &Group{OID: def.OID, Key: at.GroupKey, Values: map[string]string{}})
	}
	if !takes(g, oid, value, file) {
		p.refuse(def, at, oid, ValueTooLong.Wire())
		return nil
	}
	w.put(sort, g)
	h, f := p.instance(w)
	status := RowInserted
	if _, has := g.doc.Values[oid]; has {
		status = RowUpdated
	}
	g.change().put(oid, value, file)
	p.changed(w, h, f)
	p.item(def, at, oid, status, "", true)
	at.Item = oid
	if f.Noted {
		if err := p.reopen(ctx, w, at); err != nil {
			return err
		}
	}
	if p.Cursor.Form.WasDone {
		return p.reason(ctx, w, f, at)
	}
	return nil
}

// threads are the notes of an item, or of all items of a group's repeat where it names none, in the order of their keys.
func (w *work) threads(at Path) []*held[Thread] {
	at.Discussed = ""
	prefix := NoteKey(w.id, at).Sort
	if at.Item == "" {
		prefix = strings.TrimSuffix(prefix, "/")
	}
	return below(w.notes, prefix)
}
