package clinical

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"aliquot/shared/biobank"
	"aliquot/shared/odm"
)

// The limits of notes (section 3.2).
const (
	maxNoteID   = 32
	maxNoteText = 1000
)

// defaultReason is the text of a reason for change where the form gives none.
const defaultReason = "Update via Import"

// noteFault is why a note is not taken. id is that of the thread or of the child that is wrong; empty where it has none.
type noteFault struct {
	id   string
	code Code
}

// message is a fault as the log has it (section 5).
func (f noteFault) message() string {
	if f.id == "" {
		return f.code.Wire()
	}
	return f.id + ":" + f.code.Wire()
}

// discuss takes the notes of an item: queries and annotations. Each thing that is wrong with a note has a row.
func (p *Planner) discuss(ctx context.Context, w *work, def *GroupDef, item *ItemDef, at Path, d *odm.ItemData) error {
	if len(d.DiscrepancyNote) == 0 {
		return nil
	}
	at.Item = item.OID
	if err := p.notes(ctx, w, at); err != nil {
		return err
	}
	seen := map[string]bool{}
	for i := range d.DiscrepancyNote {
		n := &d.DiscrepancyNote[i]
		stored, faults, err := p.thread(ctx, w, at, n, seen)
		if err != nil {
			return err
		}
		r := p.place(rowQuery)
		if strings.EqualFold(n.NoteType, KindAnnotation) {
			r.Type = rowAnnotation
		}
		r.GroupOID, r.GroupKey, r.ItemOID = def.OID, strconv.Itoa(at.GroupKey), item.OID
		switch {
		case len(faults) > 0:
			r.Status = RowFailed
			for _, f := range faults {
				r.Message = f.message()
				p.rows = append(p.rows, r)
			}
			continue
		case stored:
			r.Status, r.At = RowInserted, stamp(p.at)
		case systemNote(n):
			r.Status, r.Message = RowSkipped, "Only the system makes notes of this type"
		default:
			continue // it is there already
		}
		p.rows = append(p.rows, r)
	}
	return nil
}

// thread adds what a note has that is not stored; a note is taken whole or not at all.
func (p *Planner) thread(ctx context.Context, w *work, at Path, n *odm.DiscrepancyNote, seen map[string]bool) (taken bool, faults []noteFault, err error) {
	if faults := checkIDs(n, seen); len(faults) > 0 {
		return false, faults, nil
	}
	refuse := func(code Code) (bool, []noteFault, error) { return false, []noteFault{{n.ID, code}}, nil }
	var stored *held[Thread]
	for _, t := range w.threads(at) {
		if n.ID != "" && t.doc.ID == n.ID {
			stored = t
		}
	}
	more, faults := added(n, stored)
	if stored != nil && len(more) == 0 || systemNote(n) {
		return false, nil, nil
	}
	kind, code := kindOf(n)
	switch {
	case code != "":
		return refuse(code)
	case stored != nil && stored.doc.Kind == KindAnnotation:
		return refuse(AnnotationMustHaveOneChildNote)
	case stored != nil && stored.doc.Kind != kind:
		return refuse(DiscrepancyNoteTypeNotValid)
	case len(faults) > 0:
		return false, faults, nil
	}
	children, faults, err := p.children(ctx, kind, more, stored)
	if len(faults) > 0 || err != nil {
		return false, faults, err
	}
	if !holds(stored, children) {
		return refuse(DetailedNoteTextTooLong)
	}
	if faults, err := p.unused(ctx, w, at, n.ID, more, stored != nil); len(faults) > 0 || err != nil {
		return false, faults, err
	}
	for i := range children {
		if children[i].ID == "" {
			number, err := p.drawNote(ctx)
			if err != nil {
				return false, nil, err
			}
			children[i].ID = childID(number)
			p.markNotes(children[i].ID)
		}
	}
	if stored != nil {
		t := stored.change()
		t.Children = append(t.Children, children...)
		t.Status = last(t.Children).Status
	} else {
		id := n.ID
		if id == "" {
			number, err := p.drawNote(ctx)
			if err != nil {
				return false, nil, err
			}
			id = threadID(number)
			p.markNotes(id)
		}
		p.note(w, at, &Thread{ID: id, Kind: kind, Status: last(children).Status, Item: at.Item, Children: children})
	}
	h, f := p.instance(w)
	if !f.Noted {
		h.change()
		f.Noted = true
	}
	return true, nil, nil
}

// checkIDs applies the rules for the ids of a note; seen are those of the notes before it on the item.
func checkIDs(n *odm.DiscrepancyNote, seen map[string]bool) (faults []noteFault) {
	for _, id := range noteIDs(n) {
		switch {
		case longer(id, maxNoteID):
			faults = append(faults, noteFault{id, DiscrepancyNoteIDTooLong})
		case seen[id]:
			faults = append(faults, noteFault{id, DiscrepancyNoteIDIsRedundant})
		}
		seen[id] = true
	}
	return faults
}

// kindOf is what a note is, in whatever case it says so, if it has as many children as its kind may have.
func kindOf(n *odm.DiscrepancyNote) (kind string, code Code) {
	switch {
	case n.NoteType == "":
		return "", MissingDiscrepancyNoteType
	case strings.EqualFold(n.NoteType, KindQuery):
		kind = KindQuery
	case strings.EqualFold(n.NoteType, KindAnnotation):
		kind = KindAnnotation
	default:
		return "", DiscrepancyNoteTypeNotValid
	}
	switch {
	case len(n.ChildNote) == 0:
		return "", MissingChildNote
	case kind == KindAnnotation && len(n.ChildNote) > 1:
		return "", AnnotationMustHaveOneChildNote
	}
	return kind, ""
}

func noteIDs(n *odm.DiscrepancyNote) (all []string) {
	if n.ID != "" {
		all = append(all, n.ID)
	}
	for i := range n.ChildNote {
		if id := n.ChildNote[i].ID; id != "" {
			all = append(all, id)
		}
	}
	return all
}

// added are the children of a note that are not stored. They come after those that are.
func added(n *odm.DiscrepancyNote, stored *held[Thread]) (more []odm.ChildNote, faults []noteFault) {
	for i := range n.ChildNote {
		c := n.ChildNote[i]
		known := stored != nil && slices.ContainsFunc(stored.doc.Children, func(is Child) bool { return is.ID == c.ID })
		switch {
		case !known:
			more = append(more, c)
		case len(more) > 0:
			faults = append(faults, noteFault{c.ID, NewQueryInBetweenOldQueries})
		}
	}
	return more, faults
}

// children checks and makes the notes of a thread that come after those that are stored; those that came without an id are
// still to be given one. Each thing that is wrong with one of them is a fault.
func (p *Planner) children(ctx context.Context, kind string, more []odm.ChildNote, stored *held[Thread]) (out []Child, faults []noteFault, err error) {
	before := ""
	if stored != nil {
		before = stored.doc.Status
	}
	for i := range more {
		v := &more[i]
		check := func(code Code) {
			if code != "" {
				faults = append(faults, noteFault{v.ID, code})
			}
		}
		state := notApplicable // an annotation has no state of its own, whatever is sent
		if kind == KindQuery {
			state = taken(v.Status)
			check(follows(before, state))
			before = state
		}
		c := Child{ID: v.ID, Status: state, At: stamp(p.at), Text: v.DetailedNote, Short: v.Description}
		var code Code
		if c.By, code, err = p.author(ctx, kind, v); err != nil {
			return nil, nil, err
		}
		check(code)
		if v.UserRef != nil && v.UserRef.UserName != "" {
			if c.To, err = p.Author(ctx, v.UserRef.UserName); err != nil {
				return nil, nil, err
			}
			if c.To == 0 {
				check(AssignedUserNotValid)
			}
		}
		code = checkText(v.DetailedNote)
		if code == "" && longer(v.Description, maxNoteText) {
			code = DetailedNoteTextTooLong
		}
		check(code)
		out = append(out, c)
	}
	return out, faults, nil
}

// taken is a note's state as it is stored: data that were given out have a blank in one (section 6.6).
func taken(status string) string {
	if status == "Closed Modified" {
		return NoteClosedModified
	}
	return status
}

// checkText applies the rules for what a note says.
func checkText(text string) Code {
	switch {
	case text == "":
		return DetailedNoteMissing
	case longer(text, maxNoteText):
		return DetailedNoteTextTooLong
	}
	return ""
}

// author is who wrote a note. Annotations as 3.x gives them out name nobody: they become those of whoever imports them.
func (p *Planner) author(ctx context.Context, kind string, v *odm.ChildNote) (int64, Code, error) {
	if v.UserName == "" {
		if kind == KindAnnotation && v.Status == notApplicable {
			return p.By, "", nil
		}
		return 0, MissingUserName, nil
	}
	id, err := p.Author(ctx, v.UserName)
	if err == nil && id == 0 {
		return 0, UserNotValid, nil
	}
	return id, "", err
}

// systemNote tells of a note that only the system makes. Data that were given out bring them back.
func systemNote(n *odm.DiscrepancyNote) bool {
	return strings.EqualFold(n.NoteType, KindReason) || strings.EqualFold(n.NoteType, KindCheck)
}

// follows tells whether a query in one state may go to another; before is empty for a new one.
func follows(before, state string) Code {
	switch state {
	case "":
		return MissingDiscrepancyNoteStatus
	case NoteNew, NoteUpdated, NoteClosed, NoteClosedModified:
	default:
		return DiscrepancyNoteStatusNotValid
	}
	may := map[string][]string{
		"":                 {NoteNew},
		NoteNew:            {NoteUpdated, NoteClosed},
		NoteUpdated:        {NoteUpdated, NoteClosed},
		NoteClosed:         {NoteUpdated, NoteClosedModified},
		NoteClosedModified: {NoteUpdated, NoteClosed},
	}
	if !slices.Contains(may[before], state) {
		return QueryStatusNotApplicable
	}
	return ""
}

// unused tells which of the ids that a thread and its new children bring are taken: the thread's by another one, on another
// item, or by a child.
func (p *Planner) unused(ctx context.Context, w *work, at Path, thread string, more []odm.ChildNote, stored bool) (faults []noteFault, err error) {
	var ids, names []string
	if thread != "" && !stored {
		ids = append(ids, thread)
	}
	for i := range more {
		if id := more[i].ID; id != "" {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	for _, id := range ids {
		names = append(names, NoteMark(p.Study.ID, id))
	}
	marks, err := p.Store.Marks(ctx, names, true)
	if err != nil {
		return nil, fmt.Errorf("look up notes: %w", err)
	}
	for i, id := range ids {
		switch used := !marks[names[i]].IsZero(); {
		case used && id == thread && !w.answered(at, id):
			faults = append(faults, noteFault{id, ExistingNoteIDOnOtherItem})
		case used || p.marks[names[i]]:
			faults = append(faults, noteFault{id, NoteIDAlreadyInUse})
		}
	}
	if len(faults) == 0 {
		p.markNotes(ids...)
	}
	return faults, nil
}

// answered tells whether an id is that of a child of one of the item's threads.
func (w *work) answered(at Path, id string) bool {
	return slices.ContainsFunc(w.threads(at), func(t *held[Thread]) bool {
		return slices.ContainsFunc(t.doc.Children, func(c Child) bool { return c.ID == id })
	})
}

// note adds a thread.
func (p *Planner) note(w *work, at Path, t *Thread) {
	at.Discussed = t.ID
	key := NoteKey(w.id, at)
	w.notes[key.Sort] = fresh(key, NoteType, w.id, t)
}

// reason adds the reason for the change of an item of a complete form.
func (p *Planner) reason(ctx context.Context, w *work, f *Form, at Path) error {
	n, err := p.drawNote(ctx)
	if err != nil {
		return err
	}
	p.markNotes(threadID(n), childID(n))
	p.note(w, at, &Thread{ID: threadID(n), Kind: KindReason, Status: notApplicable, Item: at.Item, Children: []Child{{
		ID: childID(n), Status: notApplicable, At: stamp(p.at), By: p.By, Text: cmp.Or(p.Cursor.Form.Reason, defaultReason),
	}}})
	f.Noted = true
	return nil
}

// reopen tells in the closed queries of an item that its value has changed.
func (p *Planner) reopen(ctx context.Context, w *work, at Path) error {
	if err := p.notes(ctx, w, at); err != nil {
		return err
	}
	for _, t := range w.threads(at) {
		if t.doc.Kind != KindQuery || t.doc.Status != NoteClosed || !holds(t, nil) {
			continue // a full one stays closed
		}
		n, err := p.drawNote(ctx)
		if err != nil {
			return err
		}
		p.markNotes(childID(n))
		doc := t.change()
		doc.Children = append(doc.Children, Child{
			ID: childID(n), Status: NoteClosedModified, At: stamp(p.at), By: p.By, Text: "The value was changed by an import.",
		})
		doc.Status = NoteClosedModified
	}
	return nil
}

func last(children []Child) Child { return children[len(children)-1] }

// claims are the marks of the note ids that a plan brings.
func (p *Planner) claims(source string) []biobank.Write {
	var out []biobank.Write
	for _, name := range slices.Sorted(maps.Keys(p.marks)) {
		out = append(out, biobank.Write{Kind: biobank.InsertMark, Mark: biobank.Mark{Name: name, Source: source}})
	}
	return out
}
