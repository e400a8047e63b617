package clinical

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"aliquot/shared/biobank"
	"aliquot/shared/odm"
)

// Scope is a study or a site with its metadata.
type Scope struct {
	ID   int64
	OID  string
	Meta *Metadata
}

// Planner plans an import. Take gives it the parts of a document one after another; Cut gives what is to be written, and
// the rows of the log, of what was taken since the last Cut. What was cut must be written before more is taken.
type Planner struct {
	Store biobank.Store
	// Study is the study that the import is for, Sites are its sites. Closed has, by id, those whose participants take no data:
	// ParticipantNotFound where the importing user may not change them, else why.
	Study  Scope
	Sites  []Scope
	Closed map[int64]Code
	// Job names the import in the sources of what it writes.
	Job string
	By  int64
	Now func() time.Time
	// Author finds a user with a role in the study, 0 for none.
	Author func(ctx context.Context, login string) (int64, error)
	// Attached are the files that came along.
	Attached Attachments

	// Cursor is how far the planner is. A planner that goes on for another one is given the other's.
	Cursor Cursor

	rows []Row
	work map[int64]*work
	// order is that in which participants were first met.
	order []int64
	at    time.Time
	// held is how many bytes were read of participants who are done with.
	held int
	// marks are those of the note ids that the plan brings. free are numbers for ids that were drawn, drawn how many at once.
	marks map[string]bool
	free  []int64
	drawn int64
}

// Attachments are the files that came along with an import, by name.
type Attachments interface {
	// Key is where a file lies once it is kept; empty for a name that none has. The last element of the path is the same
	// for two files just when they have one name and one content.
	Key(name string) string
	// Keep stores a file there, once. It is false for one that is damaged.
	Keep(ctx context.Context, name string) (whole bool, err error)
}

// Cursor is where in a document a planner is, and what it must know of the elements that are open.
type Cursor struct {
	// Plans counts the plans that were cut.
	Plans    int            `json:"plans"`
	Subjects int            `json:"subjects"`
	Scope    int64          `json:"scope,omitempty"` // of the ClinicalData, 0 for one that is not the study's
	Subject  *subjectCursor `json:"subject,omitempty"`
	Event    *eventCursor   `json:"event,omitempty"`
	Form     *formCursor    `json:"form,omitempty"`
}

type subjectCursor struct {
	ID         int64 // 0: it failed, and what lies below is skipped
	Key, Label string
	Events     int
}

type eventCursor struct {
	OID          string // as defined, or as sent
	Sent         odm.StudyEventData
	Resolved     bool
	Failed       bool
	Key          int
	Forms        int
	Attestations []string
	// Attested is how many bytes the attestations have. Unfit is what is wrong with one of them; then none is held.
	Attested int  `json:"attested,omitempty"`
	Unfit    Code `json:"unfit,omitempty"`
}

type formCursor struct {
	OID      string // as defined, or as sent
	Named    string // as documents name it: by the OID of its version, where that has one
	Form     string // folded
	Layout   string
	Failed   bool
	Complete bool // asked for
	SDV      string
	Reason   string
	Groups   int
	Items    int
	NotDone  int  // items that keep the form from being complete
	Bad      int  // items and groups that failed
	Moved    bool // it was verified until an item was stored
	WasDone  bool // the form was complete before
	// Large tells that the form has too many repeats to be read whole, Discussed that it has too many notes. Highest is then
	// the highest repeat by item group, as long as the participant has the Version.
	Large     bool           `json:"large,omitempty"`
	Discussed bool           `json:"discussed,omitempty"`
	Version   int64          `json:"version,omitempty"`
	Highest   map[string]int `json:"highest,omitempty"`
}

// Plan is what a part of an import comes to.
type Plan struct {
	Source string `json:"source"`
	Rows   []Row  `json:"rows"`
	// Marks are those of note ids; they come after the locks and before the rest.
	Marks    []biobank.Write `json:"marks,omitempty"`
	Subjects []SubjectPlan   `json:"subjects"`
	// Cursor and Mark tell where the next part begins. Without a mark the document has ended.
	Cursor Cursor    `json:"cursor"`
	Mark   *odm.Mark `json:"mark,omitempty"`
}

// Size is how many rows are waiting to be cut.
func (p *Planner) Size() int { return len(p.rows) }

// Held is how many bytes of what is stored are held until the next Cut. Of the participant who is open it leaves out what the
// next plan has to read again, so that a cut always makes room.
func (p *Planner) Held() int {
	if c := p.Cursor.Subject; c != nil && p.work[c.ID] != nil {
		w := p.work[c.ID]
		return p.held + w.size - max(w.begun, w.counted)
	}
	return p.held
}

// source is what the next plan's writes carry.
func (p *Planner) source() string { return fmt.Sprintf("%s#%d", p.Job, p.Cursor.Plans+1) }

// Cut ends a plan.
func (p *Planner) Cut() (*Plan, error) {
	plan := &Plan{Source: p.source(), Rows: p.rows}
	plan.Marks = p.claims(plan.Source)
	by := who{source: plan.Source, by: p.By, at: stamp(p.Now()), reason: byImport}
	if !p.at.IsZero() {
		by.at = stamp(p.at)
	}
	for _, id := range p.order {
		s, err := p.work[id].plan(by)
		if err != nil {
			return nil, err
		}
		if s != nil {
			plan.Subjects = append(plan.Subjects, *s)
		}
		if c := p.Cursor.Subject; c != nil && c.ID == id {
			p.carry(p.work[id], p.work[id].after(s))
		}
	}
	p.Cursor.Plans++
	plan.Cursor = p.Cursor
	p.rows, p.work, p.order, p.marks, p.at, p.held = nil, nil, nil, nil, time.Time{}, 0
	return plan, nil
}

// Take plans the next part. Its error is that of a service, or ErrPending; whatever is wrong with the part becomes a row.
func (p *Planner) Take(ctx context.Context, part odm.Part) error {
	if p.at.IsZero() {
		p.at = p.Now()
	}
	c := &p.Cursor
	switch v := part.(type) {
	case *odm.ClinicalData:
		c.Scope = p.scope(v.StudyOID)
	case *odm.SubjectData:
		return p.subject(ctx, v)
	case *odm.StudyEventData:
		if c.Subject.ID != 0 {
			c.Subject.Events++
		}
		c.Event = &eventCursor{OID: v.StudyEventOID, Sent: *v}
	case *odm.Signature:
		p.attest(v.Attestation)
	case *odm.FormData:
		return p.form(ctx, v)
	case *odm.ItemGroupData:
		return p.group(ctx, v)
	case odm.End:
		switch v {
		case odm.EndFormData:
			return p.endForm(ctx)
		case odm.EndStudyEventData:
			return p.endEvent(ctx)
		case odm.EndSubjectData:
			if c.Subject.ID != 0 && c.Subject.Events == 0 {
				p.fail(rowParticipant, SubjectDoesNotContainStudyEventData)
			}
			if w := p.work[c.Subject.ID]; w != nil {
				p.held += w.size - w.counted
				w.counted = w.size
			}
			c.Subject = nil
		case odm.EndClinicalData:
			c.Scope = 0
		}
	}
	return nil
}

// End says that the document is over.
func (p *Planner) End() {
	if p.Cursor.Subjects == 0 {
		p.fail(rowParticipant, SubjectDataMissing)
	}
}

// scope is the id of the study or site with an OID, 0 for another study's.
func (p *Planner) scope(oid string) int64 {
	if Fold(oid) == Fold(p.Study.OID) {
		return p.Study.ID
	}
	for _, s := range p.Sites {
		if Fold(oid) == Fold(s.OID) {
			return s.ID
		}
	}
	return 0
}

// subject finds the participant that is meant (section 3.3).
func (p *Planner) subject(ctx context.Context, v *odm.SubjectData) error {
	c := &p.Cursor
	c.Subjects++
	c.Subject = &subjectCursor{Key: v.SubjectKey, Label: v.StudySubjectID}
	id, code, err := p.find(ctx, v.SubjectKey, v.StudySubjectID)
	if err != nil {
		return err
	}
	if code != "" {
		p.fail(rowParticipant, code)
		return nil
	}
	w, err := p.open(ctx, id)
	if err != nil {
		return err
	}
	if w == nil || w.head.doc.Removed {
		p.fail(rowParticipant, ParticipantNotFound)
		return nil
	}
	if code := p.Closed[w.head.doc.Site]; code != "" {
		p.fail(rowParticipant, code)
		return nil
	}
	c.Subject.ID, c.Subject.Key, c.Subject.Label = id, w.head.doc.OID, w.head.doc.Label
	return nil
}

func (p *Planner) find(ctx context.Context, oid, label string) (int64, Code, error) {
	if p.Cursor.Scope == 0 {
		return 0, ParticipantNotFound, nil
	}
	label = strings.TrimSpace(label) // as the participants' own are
	if oid == "" && label == "" {
		return 0, MissingParticipantID, nil
	}
	byOID, byLabel, err := FindSubject(ctx, p.Store, p.Study.ID, oid, label)
	if err != nil {
		return 0, "", err
	}
	here := func(l Listed) bool {
		return (p.Cursor.Scope == p.Study.ID || l.Site == p.Cursor.Scope) && p.Closed[l.Site] != ParticipantNotFound
	}
	byLabel = slices.DeleteFunc(byLabel, func(l Listed) bool { return !here(l) })
	if oid == "" {
		switch len(byLabel) {
		case 0:
			return 0, ParticipantNotFound, nil
		case 1:
			return byLabel[0].ID, "", nil
		}
		return 0, MultipleParticipantsFound, nil
	}
	known := byOID != nil && here(*byOID)
	if label == "" {
		if !known {
			return 0, ParticipantNotFound, nil
		}
		return byOID.ID, "", nil
	}
	switch {
	case !known && len(byLabel) == 0:
		return 0, ParticipantNotFound, nil
	case !known || byOID.Label != label:
		return 0, ParticipantIdentifiersMismatch, nil
	}
	return byOID.ID, "", nil
}

// open reads a participant once for a plan.
func (p *Planner) open(ctx context.Context, id int64) (*work, error) {
	if w, ok := p.work[id]; ok {
		return w, nil
	}
	w, err := begin(ctx, p.Store, id)
	if err != nil || w == nil {
		return nil, err
	}
	if w.head.doc.Pending != "" {
		return nil, ErrPending
	}
	if p.work == nil {
		p.work = map[int64]*work{}
	}
	w.begun = w.size
	p.work[id] = w
	p.order = append(p.order, id)
	return w, nil
}

// current is the participant whose data are being taken, with the metadata that hold there.
func (p *Planner) current(ctx context.Context) (*work, *Metadata, error) {
	w, err := p.open(ctx, p.Cursor.Subject.ID)
	if err != nil {
		return nil, nil, err
	}
	if w == nil {
		return nil, nil, fmt.Errorf("participant %d is gone", p.Cursor.Subject.ID)
	}
	if e := p.Cursor.Event; e != nil && e.Resolved && !e.Failed {
		if err := w.needs(ctx, e.OID, e.Key); err != nil {
			return nil, nil, err
		}
	}
	for _, s := range p.Sites {
		if s.ID == w.head.doc.Site {
			return w, s.Meta, nil
		}
	}
	return w, p.Study.Meta, nil
}

// repeatKey reads a repeat key; 0 for one that was not sent. An integer that is too large for a key is one that is higher
// than all.
func repeatKey(sent string) (n int, ok bool) {
	if sent == "" {
		return 0, true
	}
	n, err := strconv.Atoi(sent)
	return min(max(n, -1), MaxRepeat+1), err == nil || errors.Is(err, strconv.ErrRange)
}
