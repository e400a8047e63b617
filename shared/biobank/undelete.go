package biobank

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"aliquot/shared/fault"
)

// RestoreDraft brings a deleted specimen back: the audit entry of its deletion tells what it was (reference
// openspecimen-rest.md 15.1, undelete). Its names must be free still. It is not stored: the cell that it lay in was given up,
// and may be another's.
type RestoreDraft struct{ ID int64 }

func (*RestoreDraft) recordType() Type { return Specimen }

func (d *RestoreDraft) want(_ context.Context, b *Batch, _ *Change) error {
	b.wantMark(IDMark(Specimen, d.ID))
	return nil
}

func (d *RestoreDraft) read(_ context.Context, b *Batch, _ *Change) error {
	if to := b.marks[IDMark(Specimen, d.ID)].To; !to.IsZero() {
		b.wantRec(to)
		b.wantRec(to.Above(1))
	}
	return nil
}

func (d *RestoreDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	m, err := b.mark(ctx, IDMark(Specimen, d.ID))
	if err != nil {
		return err
	}
	rec, err := b.rec(ctx, m.To)
	if err != nil {
		return err
	}
	if rec == nil || statusOf(rec) != StatusDisabled {
		return notDeleted(d.ID)
	}
	if _, err := b.protocolAt(ctx, rec.Key); err != nil {
		return err
	}
	up, err := b.rec(ctx, rec.Key.Above(1))
	if err != nil {
		return err
	}
	if up == nil || statusOf(up) == StatusDisabled {
		return fault.New("SPECIMEN_PARENT_DELETED", "The visit or parent of specimen %d is deleted; bring that back first.", d.ID)
	}
	was, err := Decode[SpecimenDoc](rec)
	if err != nil {
		return err
	}
	is, err := b.beforeDeletion(ctx, rec)
	if err != nil {
		return err
	}
	is.Location, is.CheckedOut = nil, nil
	(&SpecimenDraft{}).claims(b, c, &was, is, rec.Key, rec.ID)
	if err := b.standOn(ctx, up.Key); err != nil {
		return err
	}
	return b.change(c, rec, is, o)
}

func notDeleted(id int64) *fault.Fault {
	return fault.New("SPECIMEN_DEL_NOT_FOUND", "There is no deleted specimen %d.", id)
}

// beforeDeletion is what a deleted specimen was, by the newest entry of its audit.
func (b *Batch) beforeDeletion(ctx context.Context, rec *Record) (*SpecimenDoc, error) {
	trail, err := b.store.Trail(ctx, rec.Type, rec.ID)
	if err != nil {
		return nil, fmt.Errorf("read the audit of %s %d: %w", rec.Type, rec.ID, err)
	}
	chain, err := VerifyChain(rec, trail)
	if err != nil {
		return nil, err
	}
	if len(chain) == 0 {
		return nil, errors.New("a deleted specimen has no audit entry of its deletion")
	}
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(rec.Doc, &members); err != nil {
		return nil, fmt.Errorf("decode %s %d: %w", rec.Type, rec.ID, err)
	}
	for _, last := range slices.Backward(chain) {
		after, before := map[string]json.RawMessage{}, map[string]json.RawMessage{}
		if err := errors.Join(json.Unmarshal(last.After, &after), json.Unmarshal(last.Before, &before)); err != nil {
			return nil, fmt.Errorf("decode the deletion of %s %d: %w", rec.Type, rec.ID, err)
		}
		if before["place"] == nil { // else it has moved with what it lies below, after it was deleted
			for name := range after {
				delete(members, name)
			}
			maps.Copy(members, before)
			break
		}
	}
	body, err := json.Marshal(members)
	if err != nil {
		return nil, err
	}
	is := &SpecimenDoc{}
	return is, json.Unmarshal(body, is)
}

// Restore brings a deleted specimen back, with the deleted ones below it when children is set, each in a transaction of its
// own, parents first. Where it is cut short it may be asked for again: what is there already is left alone. Only super
// administrators may; it is complete unless until came first.
func (r *Registry) Restore(ctx context.Context, a *Actor, at, until time.Time, now func() time.Time, c Change, id int64, children bool) (rec *Record, complete bool, err error) {
	if !a.Super() {
		return nil, false, adminOnly("bring deleted specimens back")
	}
	if rec, err = r.byID(ctx, Specimen, id); err != nil {
		return nil, false, err
	}
	if rec == nil {
		return nil, false, notDeleted(id)
	}
	var below []*Record
	if children {
		if below, err = r.Store.List(ctx, rec.Key.Part, rec.Key.Sort+"/", "", 0); err != nil {
			return nil, false, fmt.Errorf("read what lies below a record: %w", err)
		}
		below = slices.DeleteFunc(below, func(one *Record) bool { return statusOf(one) != StatusDisabled })
	}
	c.Op, c.ByID = Update, true
	if statusOf(rec) == StatusDisabled || len(below) == 0 {
		c.Draft = &RestoreDraft{ID: id}
		if rec, err = r.one(ctx, a, at, c); err != nil {
			return nil, false, err
		}
	}
	for _, one := range below {
		if now().After(until) {
			return nil, false, nil
		}
		c.Draft = &RestoreDraft{ID: one.ID}
		if _, err := r.one(ctx, a, at, c); err != nil {
			return nil, false, err
		}
	}
	return rec, true, nil
}
