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

// NoteMark makes the id of a note that came with an import unique.
func NoteMark(id string) string { return "note.id#" + id }

// discuss takes the notes of an item: queries and annotations.
func (p *Planner) discuss(ctx context.Context, w *work, def *GroupDef, item *ItemDef, at Path, d *odm.ItemData) error {
	if len(d.DiscrepancyNote) == 0 {
		return nil
	}
	at.Item = item.OID
	if err := w.load(ctx, NotePrefix(at.Event, at.EventKey, at.Form)); err != nil {
		return err
	}
	seen := map[string]bool{}
	for i := range d.DiscrepancyNote {
		n := &d.DiscrepancyNote[i]
		added, code, err := p.thread(ctx, w, at, n, seen)
		if err != nil {
			return err
		}
		kind := rowQuery
		if n.NoteType == KindAnnotation {
			kind = rowAnnotation
		}
		r := p.place(kind)
		r.GroupOID, r.GroupKey, r.ItemOID = def.OID, strconv.Itoa(at.GroupKey), item.OID
		switch {
		case code == "" && !added && systemNote(n):
			r.Status, r.Message = RowSkipped, "Only the system makes notes of this type"
		case code != "":
			r.Status, r.Message = RowFailed, code.Wire()
			if n.ID != "" {
				r.Message = n.ID + ":" + r.Message
			}
		case added:
			r.Status, r.At = RowInserted, stamp(p.at)
		default:
			continue // it is there already
		}
		p.rows = append(p.rows, r)
	}
	return nil
}

// thread adds what a note has that is not stored; a note is taken whole or not at all.
func (p *Planner) thread(ctx context.Context, w *work, at Path, n *odm.DiscrepancyNote, seen map[string]bool) (added bool, code Code, err error) {
	for _, id := range noteIDs(n) {
		switch {
		case longer(id, maxNoteID):
			return false, DiscrepancyNoteIDTooLong, nil
		case seen[id]:
			return false, DiscrepancyNoteIDIsRedundant, nil
		}
		seen[id] = true
	}
	var stored *held[Thread]
	for _, t := range w.threads(at) {
		if n.ID != "" && t.doc.ID == n.ID {
			stored = t
		}
	}
	if stored != nil && repeats(n, stored.doc) {
		return false, "", nil
	}
	if n.NoteType == "" {
		return false, MissingDiscrepancyNoteType, nil
	}
	if systemNote(n) {
		return false, "", nil
	}
	if n.NoteType != KindQuery && n.NoteType != KindAnnotation {
		return false, DiscrepancyNoteTypeNotValid, nil
	}
	if code := arity(n); code != "" {
		return false, code, nil
	}
	known := 0
	if stored != nil {
		if n.NoteType == KindAnnotation {
			return false, AnnotationMustHaveOneChildNote, nil
		}
		known = len(stored.doc.Children)
		for i := range stored.doc.Children {
			if i >= len(n.ChildNote) || n.ChildNote[i].ID != stored.doc.Children[i].ID {
				return false, NewQueryInBetweenOldQueries, nil
			}
		}
	}
	children, code, err := p.children(ctx, n, stored, known)
	if code != "" || err != nil {
		return false, code, err
	}
	if !holds(stored, children) {
		return false, DetailedNoteTextTooLong, nil
	}
	if code, err := p.unused(ctx, n, known, stored != nil); code != "" || err != nil {
		return false, code, err
	}
	if stored != nil {
		t := stored.change()
		t.Children = append(t.Children, children...)
		t.Status = last(t.Children).Status
	} else {
		id := n.ID
		if id == "" {
			if id, err = p.noteID(ctx, "DN_"); err != nil {
				return false, "", err
			}
		}
		p.note(w, at, &Thread{ID: id, Kind: n.NoteType, Status: last(children).Status, Item: at.Item, Children: children})
	}
	h, f := p.instance(w)
	if !f.Noted {
		h.change()
		f.Noted = true
	}
	return true, "", nil
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

// repeats tells whether a note says no more than what is stored.
func repeats(n *odm.DiscrepancyNote, t *Thread) bool {
	if len(n.ChildNote) > len(t.Children) {
		return false
	}
	for i := range n.ChildNote {
		c := &n.ChildNote[i]
		if c.ID != t.Children[i].ID || cmp.Or(c.DetailedNote, t.Children[i].Text) != t.Children[i].Text {
			return false
		}
	}
	return true
}

func arity(n *odm.DiscrepancyNote) Code {
	switch {
	case n.NoteType == KindAnnotation && len(n.ChildNote) != 1:
		return AnnotationMustHaveOneChildNote
	case len(n.ChildNote) == 0:
		return MissingChildNote
	}
	return ""
}

// children checks and makes the notes of a thread that come after those that are known.
func (p *Planner) children(ctx context.Context, n *odm.DiscrepancyNote, stored *held[Thread], known int) ([]Child, Code, error) {
	before := ""
	if stored != nil {
		before = stored.doc.Status
	}
	var out []Child
	for i := known; i < len(n.ChildNote); i++ {
		v := &n.ChildNote[i]
		state := taken(v.Status)
		if n.NoteType == KindQuery {
			if code := follows(before, state); code != "" {
				return nil, code, nil
			}
			before = state
		} else {
			state = notApplicable // an annotation has no state of its own, whatever is sent
		}
		if code := checkText(v.DetailedNote); code != "" {
			return nil, code, nil
		}
		if longer(v.Description, maxNoteText) {
			return nil, DetailedNoteTextTooLong, nil
		}
		c := Child{ID: v.ID, Status: state, At: stamp(p.at), Text: v.DetailedNote, Short: v.Description}
		var code Code
		var err error
		if c.By, code, err = p.author(ctx, n, v); code != "" || err != nil {
			return nil, code, err
		}
		if v.UserRef != nil && v.UserRef.UserName != "" {
			if c.To, err = p.Author(ctx, v.UserRef.UserName); err != nil {
				return nil, "", err
			}
			if c.To == 0 {
				return nil, AssignedUserNotValid, nil
			}
		}
		if c.ID == "" {
			if c.ID, err = p.noteID(ctx, "CDN_"); err != nil {
				return nil, "", err
			}
		}
		out = append(out, c)
	}
	return out, "", nil
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
func (p *Planner) author(ctx context.Context, n *odm.DiscrepancyNote, v *odm.ChildNote) (int64, Code, error) {
	if v.UserName == "" {
		if n.NoteType == KindAnnotation && v.Status == notApplicable {
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

// unused tells whether the ids that a note brings are free.
func (p *Planner) unused(ctx context.Context, n *odm.DiscrepancyNote, known int, stored bool) (Code, error) {
	var names []string
	if n.ID != "" && !stored {
		names = append(names, NoteMark(n.ID))
	}
	for i := known; i < len(n.ChildNote); i++ {
		if id := n.ChildNote[i].ID; id != "" {
			names = append(names, NoteMark(id))
		}
	}
	if len(names) == 0 {
		return "", nil
	}
	marks, err := p.Store.Marks(ctx, names, true)
	if err != nil {
		return "", fmt.Errorf("look up notes: %w", err)
	}
	switch {
	case n.ID != "" && !stored && !marks[NoteMark(n.ID)].IsZero():
		return ExistingNoteIDOnOtherItem, nil
	case len(marks) > 0:
		return NoteIDAlreadyInUse, nil
	}
	for _, name := range names {
		if p.marks[name] {
			return NoteIDAlreadyInUse, nil
		}
	}
	for _, name := range names {
		if p.marks == nil {
			p.marks = map[string]bool{}
		}
		p.marks[name] = true
	}
	return "", nil
}

func (p *Planner) noteID(ctx context.Context, prefix string) (string, error) {
	n, err := p.DrawNote(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s%d", prefix, n), nil
}

// note adds a thread.
func (p *Planner) note(w *work, at Path, t *Thread) {
	at.Discussed = t.ID
	key := NoteKey(w.id, at)
	w.notes[key.Sort] = fresh(key, NoteType, w.id, t)
}

// reason adds the reason for the change of an item of a complete form.
func (p *Planner) reason(ctx context.Context, w *work, f *Form, at Path) error {
	id, err := p.noteID(ctx, "DN_")
	if err != nil {
		return err
	}
	child, err := p.noteID(ctx, "CDN_")
	if err != nil {
		return err
	}
	p.note(w, at, &Thread{ID: id, Kind: KindReason, Status: notApplicable, Item: at.Item, Children: []Child{{
		ID: child, Status: notApplicable, At: stamp(p.at), By: p.By, Text: cmp.Or(p.Cursor.Form.Reason, defaultReason),
	}}})
	f.Noted = true
	return nil
}

// reopen tells in the closed queries of an item that its value has changed.
func (p *Planner) reopen(ctx context.Context, w *work, at Path) error {
	if err := w.load(ctx, NotePrefix(at.Event, at.EventKey, at.Form)); err != nil {
		return err
	}
	for _, t := range w.threads(at) {
		if t.doc.Kind != KindQuery || t.doc.Status != NoteClosed || !holds(t, nil) {
			continue // a full one stays closed
		}
		id, err := p.noteID(ctx, "CDN_")
		if err != nil {
			return err
		}
		doc := t.change()
		doc.Children = append(doc.Children, Child{
			ID: id, Status: NoteClosedModified, At: stamp(p.at), By: p.By, Text: "The value was changed by an import.",
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
