package clinical

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// NoteNotFound means that an item has no such note. The reference has no API for notes; the code is ours, as the API is.
const NoteNotFound Code = "discrepancyNoteNotFound"

const (
	// maxNoteTitle is the most characters of a title; the reference tells none.
	maxNoteTitle = 255
	// fullNote is how many bytes of a note are enough: it fits into an item, and twice into its audit entry.
	fullNote = 100 << 10
)

// NoteDraft is what is asked of a note: empty values are not given. Label is the Participant ID; Event to Item name the item
// that the note is about, whose repeat keys are 1 unless given.
type NoteDraft struct {
	Label                                        string
	Event, EventKey, Form, Group, GroupKey, Item string
	// Kind is that of a new note: Query or Annotation.
	Kind string
	// Status is that which the note comes to have.
	Status string
	// Text is what is said, at most 1,000 characters; Short is a title of it, if one is wanted, of at most 255.
	Text, Short string
	// To finds the id of the user who is asked, or refuses; nil for nobody. A note that was made before is not refused for one
	// who may not be asked any more.
	To func(context.Context) (int64, error)
}

// Note is a note with the place of its item: OIDs are as defined.
type Note struct {
	Thread
	Event, Form, Group string
	EventKey, GroupKey int
}

func (n *Note) path() Path {
	return Path{
		Event: Fold(n.Event), EventKey: n.EventKey, Form: Fold(n.Form), Group: Fold(n.Group), GroupKey: n.GroupKey,
		Item: n.Item, Discussed: n.ID,
	}
}

// AddNote begins a query or an annotation of an item, by the rules for imports (sections 3.2 and 5, level N): what is noted
// lies in a form that was begun and that may be changed. A query is New; an annotation has no status of its own.
func (r *Registry) AddNote(ctx context.Context, by By, p *Place, meta *Metadata, d NoteDraft) (*Note, error) {
	var done *Note
	err := r.changeSubject(ctx, by, p, d.Label, "", func(w *work) ([]biobank.Write, error) {
		status := NoteNew
		switch d.Kind {
		case "":
			return nil, MissingDiscrepancyNoteType
		case KindAnnotation:
			status = notApplicable
		case KindQuery:
			if d.Status != "" && d.Status != NoteNew {
				return nil, QueryStatusNotApplicable
			}
		default:
			return nil, DiscrepancyNoteTypeNotValid
		}
		note, h, f, err := d.find(ctx, w, meta)
		if err != nil {
			return nil, err
		}
		study := w.head.doc.Study
		child, n, err := d.child(ctx, r.Store, by, study, status)
		if err != nil {
			return nil, err
		}
		note.ID, note.Kind, note.Status, note.Children = threadID(n), d.Kind, status, []Child{child}
		key := NoteKey(w.id, note.path())
		w.notes[key.Sort] = fresh(key, NoteType, w.id, &note.Thread)
		if !f.Noted {
			h.change()
			f.Noted = true
		}
		done = note
		kept, err := by.keepNote(w.id, done)
		return append(kept, by.markNote(study, note.ID), by.markNote(study, child.ID)), err
	})
	if err != nil {
		return r.noteBefore(ctx, err)
	}
	return done, nil
}

// AnswerNote says something more in a query, and so updates or closes it: after New or Updated it may become Updated or
// Closed, after Closed Updated or Closed-Modified, after Closed-Modified Updated or Closed (section 5). Other notes say one
// thing only.
func (r *Registry) AnswerNote(ctx context.Context, by By, p *Place, meta *Metadata, id string, d NoteDraft) (*Note, error) {
	var done *Note
	err := r.changeSubject(ctx, by, p, d.Label, "", func(w *work) ([]biobank.Write, error) {
		note, _, _, err := d.find(ctx, w, meta)
		if err != nil {
			return nil, err
		}
		if longer(id, maxNoteID) {
			return nil, NoteNotFound
		}
		note.ID = id
		key := NoteKey(w.id, note.path())
		recs, err := r.Store.Records(ctx, []biobank.Key{key}, true)
		if err != nil {
			return nil, fmt.Errorf("read a note: %w", err)
		}
		if recs[key] == nil {
			return nil, NoteNotFound
		}
		if err := w.keep([]*biobank.Record{recs[key]}); err != nil {
			return nil, err
		}
		t := w.notes[key.Sort]
		switch {
		case t.doc.Kind == KindAnnotation:
			return nil, AnnotationMustHaveOneChildNote
		case t.doc.Kind != KindQuery:
			return nil, DiscrepancyNoteTypeNotValid
		}
		status := taken(d.Status)
		if code := follows(t.doc.Status, status); code != "" {
			return nil, code
		}
		if len(recs[key].Doc) > fullNote {
			return nil, fault.New("COMMON_INVALID_INPUT", "The note has as many answers as it can hold. Begin another one.")
		}
		study := w.head.doc.Study
		child, _, err := d.child(ctx, r.Store, by, study, status)
		if err != nil {
			return nil, err
		}
		doc := t.change()
		doc.Status, doc.Children = status, append(doc.Children, child)
		note.Thread, done = *doc, note
		kept, err := by.keepNote(w.id, done)
		return append(kept, by.markNote(study, child.ID)), err
	})
	if err != nil {
		return r.noteBefore(ctx, err)
	}
	return done, nil
}

// find finds the item that is meant, and the form of it, which must have been begun. A repeat of a repeating group must be
// stored; an item need not have a value, since what is missing is asked for, too.
func (d *NoteDraft) find(ctx context.Context, w *work, meta *Metadata) (*Note, *held[Event], *Form, error) {
	none := func(err error) (*Note, *held[Event], *Form, error) { return nil, nil, nil, err }
	h, form, f, err := w.form(meta, d.Event, d.EventKey, d.Form)
	if err != nil {
		return none(err)
	}
	if f.Removed || f.Archived {
		return none(FormNotAvailable)
	}
	group := meta.Groups[Fold(d.Group)]
	if group == nil || !slices.Contains(form.Groups, Fold(group.OID)) {
		return none(ItemGroupOIDNotFound)
	}
	item := meta.Items[Fold(d.Item)]
	switch {
	case item == nil || item.Archived:
		return none(ItemNotFound)
	case !slices.Contains(group.Items, Fold(item.OID)):
		return none(ItemGroupDoesNotContainItemData)
	}
	n, ok := repeatKey(d.GroupKey)
	switch {
	case !ok:
		return none(InvalidItemGroupRepeatKey)
	case d.GroupKey == "" || !group.Repeating:
		n = 1
	case n < 1:
		return none(GroupRepeatKeyLessThanOne)
	}
	note := &Note{
		Thread: Thread{Item: item.OID}, Event: h.doc.OID, EventKey: h.doc.Key, Form: form.OID, Group: group.OID, GroupKey: n,
	}
	key := GroupKey(w.id, note.path())
	recs, err := w.store.Records(ctx, []biobank.Key{key}, true)
	if err != nil {
		return none(fmt.Errorf("read an item group of participant %d: %w", w.id, err))
	}
	stored, err := biobank.Decode[Group](recs[key])
	switch {
	case err != nil:
		return none(err)
	case recs[key] == nil && group.Repeating:
		return none(GroupRepeatKeyTooLarge)
	case stored.Removed:
		return none(ItemGroupIsAlreadyRemoved)
	}
	return note, h, f, nil
}

// child is what is said, with a number for ids that no note of the study has, which its own has.
func (d *NoteDraft) child(ctx context.Context, s biobank.Store, by By, study int64, status string) (c Child, n int64, err error) {
	if code := checkText(d.Text); code != "" {
		return c, 0, code
	}
	if longer(d.Short, maxNoteTitle) {
		return c, 0, DetailedNoteTextTooLong
	}
	control := func(c rune) bool { return c < ' ' && !strings.ContainsRune("\t\n\r", c) }
	if strings.ContainsFunc(d.Text+d.Short, control) {
		return c, 0, fault.New("COMMON_INVALID_INPUT", "The text of a note has characters that no document can hold.")
	}
	var to int64
	if d.To != nil {
		var err error
		if to, err = d.To(ctx); err != nil {
			return c, 0, err
		}
	}
	free, err := freeNotes(ctx, s, study, 1)
	if err != nil {
		return c, 0, err
	}
	return Child{ID: childID(free[0]), Status: status, At: stamp(by.At), By: by.Actor.ID, To: to, Text: d.Text, Short: d.Short}, free[0], nil
}
