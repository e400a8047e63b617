package clinical

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// Registry is the one way to write studies, grants, participants and events; what imports write goes through a Planner. It
// may be used by several goroutines.
type Registry struct {
	Store   biobank.Store
	Objects Objects
	// Random gives the ends of OIDs that are taken: crypto/rand.Reader.
	Random io.Reader
}

// Objects keeps the documents of metadata. Both are whole: a Put that returned nil is found by every Get that begins after.
type Objects interface {
	Get(ctx context.Context, key string) ([]byte, error)
	Put(ctx context.Context, key string, body []byte) error
}

// By is who changes something, when, and under which id it stands in the audit.
type By struct {
	*Actor
	At time.Time
	ID string
	// Request is the name that the client gave the request, nil for none.
	Request *Request
}

func (b By) who(reason string) who {
	return who{source: b.ID, by: b.Actor.ID, at: stamp(b.At), reason: reason, from: b.From}
}

// Error makes a code a fault that callers can ask for. It is the code as on the wire.
func (c Code) Error() string { return c.Wire() }

// errMoved means that a record was changed between reading and writing.
var errMoved = errors.New("the record was changed meanwhile")

// tries is how often a change is made anew when others get in between.
const tries = 8

// again makes a change until nobody gets in between. Then the caller is asked to wait.
func again(change func() error) error {
	for range tries {
		err := change()
		if !errors.Is(err, errMoved) {
			return err
		}
	}
	return busy()
}

func busy() error {
	return fault.New("COMMON_INVALID_REQUEST", "The same object is being changed by others. Try again.").WithKind(fault.Busy)
}

// transact does the writes or none. One that was in the way gives errMoved, unless claimed has a fault for its place.
func (r *Registry) transact(ctx context.Context, writes []biobank.Write, claimed map[int]error) error {
	if len(writes) == 0 {
		return nil
	}
	results, err := r.Store.Transact(ctx, writes)
	if !errors.Is(err, biobank.ErrTransaction) {
		return err
	}
	for i, got := range results {
		if refusal := claimed[i]; got != biobank.Written && refusal != nil {
			return refusal
		}
	}
	return errMoved
}

// begin is the record of a new object.
func (b By) begin(key biobank.Key, t biobank.Type, id int64, doc any) (*biobank.Record, error) {
	body, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("encode %s %d: %w", t, id, err)
	}
	return &biobank.Record{
		Key: key, Type: t, ID: id, Version: 1, CreatedBy: b.Actor.ID, CreatedAt: stamp(b.At), Doc: body,
	}, nil
}

// revise is what makes of a stored record one with another document: the audit entry and the record, or nothing where the
// documents do not differ.
func (b By) revise(rec *biobank.Record, doc any) ([]biobank.Write, error) {
	next := *rec
	var err error
	if next.Doc, err = json.Marshal(doc); err != nil {
		return nil, fmt.Errorf("encode %s %d: %w", rec.Type, rec.ID, err)
	}
	before, after, err := delta(rec.Doc, next.Doc)
	if err != nil || before == nil {
		return nil, err
	}
	next.Version++
	e := &biobank.Entry{
		Type: rec.Type, ID: rec.ID, Version: next.Version, Change: b.ID, At: stamp(b.At), By: b.Actor.ID, From: b.From, Prev: rec.Head,
	}
	if e.Before, err = json.Marshal(before); err != nil {
		return nil, err
	}
	if e.After, err = json.Marshal(after); err != nil {
		return nil, err
	}
	next.Head = e.Head()
	return []biobank.Write{{Kind: biobank.InsertEntry, Entry: e}, {Kind: biobank.UpdateRecord, Record: &next}}, nil
}

// changeSubject is changeAnySubject for one who was not removed: ParticipantNotAvailable is the refusal.
func (r *Registry) changeSubject(ctx context.Context, by By, p *Place, label, reason string, change func(*work) ([]biobank.Write, error)) error {
	return r.changeAnySubject(ctx, by, p, label, reason, func(w *work) ([]biobank.Write, error) {
		if w.head.doc.Removed {
			return nil, ParticipantNotAvailable
		}
		return change(w)
	})
}

// maxReason is the most characters of why something is changed, as of a note that says so.
const maxReason = maxNoteText

// changeAnySubject makes one change to the participant of a place with an ID, for who may change data there, and at the site
// where the participant is. The reason is the caller's, empty for none. What change returns is written with it. It costs five
// reads at most, those of change, and one transaction; a request with a name costs a read more, and ends with its outcome if
// it was done before.
func (r *Registry) changeAnySubject(ctx context.Context, by By, p *Place, label, reason string, change func(*work) ([]biobank.Write, error)) error {
	if longer(reason, maxReason) {
		return DetailedNoteTextTooLong
	}
	if err := by.MayChange(p); err != nil {
		return err
	}
	return again(func() error {
		if err := cmp.Or(r.doneBefore(ctx, by), p.Open()); err != nil {
			return err
		}
		found, err := r.changeable(ctx, by, p, label)
		if err != nil {
			return err
		}
		w, err := open(ctx, r.Store, found.ID)
		if err != nil {
			return err
		}
		switch {
		case w == nil:
			return fmt.Errorf("participant %d of a list is missing", found.ID)
		case w.head.doc.Pending != "":
			return busy() // an import's plan is being written
		}
		more, err := change(w)
		if err != nil {
			return err
		}
		return r.commit(ctx, w, by.who(reason), more)
	})
}

// changeable finds the participant of a place with an ID, at whose site the actor may change data.
func (r *Registry) changeable(ctx context.Context, by By, p *Place, label string) (*Listed, error) {
	found, err := r.Participant(ctx, by.Actor, p, label)
	if err != nil || found.Site == p.Site.ID {
		return found, err
	}
	own, err := r.held(ctx, []biobank.Key{biobank.SetKey(StudyType, found.Site)})
	if err != nil {
		return nil, err
	}
	there := &Place{Study: p.Study, Site: own[0]}
	return found, cmp.Or(by.MayChange(there), there.Open())
}

// commit writes what has changed of a participant, and more, in one transaction, which nobody sees half of: so it needs no
// lock. Where nothing has changed it writes what else there is: a request that came to nothing is done, too.
func (r *Registry) commit(ctx context.Context, w *work, by who, more []biobank.Write) error {
	plan, err := w.plan(by)
	switch {
	case err != nil:
		return err
	case plan == nil:
		return r.transact(ctx, more, nil)
	}
	plan.Free.Version = plan.Lock.Version
	writes := append(plan.Writes, biobank.Write{Kind: biobank.UpdateRecord, Record: plan.Free})
	return r.transact(ctx, append(writes, more...), nil)
}
