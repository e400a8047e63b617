package biobank

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"aliquot/shared/fault"
)

// Deleting (reference openspecimen-rest.md 4.2) is a change of the activity status to Disabled, by whichever door: what
// depends on the object refuses it, its names get a suffix and are free again, and nobody finds it any more.

// Removal is the draft that gives an object another activity status and leaves the rest as it is: Disabled deletes it,
// with what lies below it when forced. It is nil for a type that cannot be deleted.
func Removal(t Type, id int64, status string, force bool) Draft {
	switch t {
	case Institute:
		return &InstituteDraft{ID: id, Merge: func(d *InstituteDoc) { d.ActivityStatus = status }}
	case Site:
		return &SiteDraft{ID: id, Merge: func(d *SiteDoc) { d.ActivityStatus = status }}
	case User:
		return &UserDraft{ID: id, Merge: func(d *UserDoc) { d.ActivityStatus = status }}
	case ConsentStatement:
		return &StatementDraft{ID: id, Merge: func(d *StatementDoc) { d.ActivityStatus = status }}
	case RoleType:
		return &RoleDraft{ID: id, Merge: func(d *RoleDoc) { d.ActivityStatus = status }}
	case Protocol:
		return &ProtocolDraft{ID: id, Merge: func(d *ProtocolDoc) { d.ActivityStatus = status }}
	case Event:
		return &EventDraft{ID: id, Merge: func(d *EventDoc) { d.ActivityStatus = status }}
	case Requirement:
		return &RequirementDraft{ID: id, Merge: func(d *RequirementDoc) { d.ActivityStatus = status }}
	case DistributionProtocol:
		return &DistributionDraft{ID: id, Merge: func(d *DistributionDoc) { d.ActivityStatus = status }}
	case Cart:
		return &CartDraft{ID: id, Merge: func(d *CartDoc) { d.ActivityStatus = status }}
	case Shipment:
		return &ShipmentDraft{ID: id, Merge: func(d *ShipmentDoc) { d.ActivityStatus = status }}
	case Order:
		return &OrderDraft{ID: id, Merge: func(d *OrderDoc) { d.ActivityStatus = status }}
	case Registration:
		return &RegistrationDraft{ID: id, Force: force, Merge: func(d *RegistrationDoc) { d.ActivityStatus = status }}
	case Visit:
		return &VisitDraft{ID: id, Force: force, Merge: func(d *VisitDoc) { d.ActivityStatus = status }}
	case Specimen:
		return &SpecimenDraft{ID: id, Force: force, Merge: func(d *SpecimenDoc) { d.ActivityStatus = status }}
	case Container:
		return &ContainerDraft{ID: id, Force: force, Merge: func(d *ContainerDoc) { d.ActivityStatus = status }}
	case ContainerType:
		return &ContainerTypeDraft{ID: id, Merge: func(d *ContainerTypeDoc) { d.ActivityStatus = status }}
	}
	return nil
}

// wholeTree is how many records below another are deleted with it in one transaction; each takes three items of it or
// more.
const wholeTree = 16

// Remove deletes an object, with what lies below it when forced: first the leaves, one by one, where that is too much for
// one transaction, so that a removal that was cut short goes on when it is asked for again. Of a protocol each registration
// goes like that, and no more than a page of them is held, with what lies below one. It is complete unless until came first.
func (r *Registry) Remove(ctx context.Context, a *Actor, at, until time.Time, now func() time.Time, c Change, t Type, id int64, force bool) (rec *Record, complete bool, err error) {
	if force && t == Protocol {
		if done, err := r.empty(ctx, a, at, until, now, c, id); err != nil || !done {
			return nil, false, err
		}
	}
	c.Op, c.ByID, c.Draft = Update, true, Removal(t, id, StatusDisabled, force)
	if force && t != Protocol {
		below, err := r.beforeRemoval(ctx, a, t, id)
		if err != nil {
			return nil, false, err
		}
		for _, b := range below {
			if now().After(until) {
				return nil, false, nil
			}
			d := c
			d.Draft = Removal(b.Type, b.ID, StatusDisabled, true)
			if _, err := r.one(ctx, a, at, d); err != nil {
				return nil, false, err
			}
		}
	}
	rec, err = r.one(ctx, a, at, c)
	return rec, err == nil, err
}

// Removable checks the deletion of several objects before any of them is deleted, and returns their ids in the order to
// delete them in: what lies below another of them first, since that one takes it along. The faults are those that the
// deletions would meet, of rights and rules, about what goes with the objects, too.
func (r *Registry) Removable(ctx context.Context, a *Actor, at time.Time, t Type, ids []int64, force bool) ([]int64, error) {
	if t == Protocol && force {
		return ids, r.protocolsRemovable(ctx, a, ids)
	}
	changes := make([]Change, len(ids))
	for i, id := range ids {
		changes[i] = Change{Op: Update, ByID: true, Draft: Removal(t, id, StatusDisabled, force)}
	}
	recs, err := r.check(ctx, a, at, changes)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(recs, func(x, y *Record) int { return y.Key.depth() - x.Key.depth() })
	order := make([]int64, len(recs))
	for i, rec := range recs {
		order[i] = rec.ID
	}
	return order, nil
}

// protocolsRemovable checks forced deletions of protocols. What is in a protocol goes before it, so that the rules of the
// protocol's own deletion cannot be asked yet: mayEmpty knows what they will say.
func (r *Registry) protocolsRemovable(ctx context.Context, a *Actor, ids []int64) error {
	var l fault.List
	for _, id := range ids {
		rec, err := r.byID(ctx, Protocol, id)
		if err == nil && (rec == nil || statusOf(rec) == StatusDisabled) {
			err = missing(Protocol, id)
		}
		if err == nil {
			var doc ProtocolDoc
			if doc, err = Decode[ProtocolDoc](rec); err == nil {
				err = r.mayEmpty(ctx, a, id, doc)
			}
		}
		if err != nil && fault.All(err) == nil {
			return err
		}
		l.Append(err)
	}
	return l.Err()
}

func (r *Registry) one(ctx context.Context, a *Actor, at time.Time, c Change) (*Record, error) {
	out, err := r.Apply(ctx, a, at, []Change{c})
	if err != nil {
		return nil, err
	}
	return out[0].Record, out[0].Err
}

// empty deletes what was collected in a protocol, participant by participant, or specimen by specimen where it has no
// participants, after it was checked that nothing will stand in the way; it is complete unless until came first. What was
// deleted before is passed over.
func (r *Registry) empty(ctx context.Context, a *Actor, at, until time.Time, now func() time.Time, c Change, cp int64) (complete bool, err error) {
	rec, err := r.byID(ctx, Protocol, cp)
	if err != nil || rec == nil || statusOf(rec) == StatusDisabled {
		return err == nil, err // the change tells
	}
	doc, err := Decode[ProtocolDoc](rec)
	if err != nil {
		return false, err
	}
	if err := r.mayEmpty(ctx, a, rec.ID, doc); err != nil {
		return false, err
	}
	level := Registrations
	if doc.SpecimenCentric {
		level = PrimarySpecimens
	}
	errs, late := make([]error, Shards), make([]bool, Shards)
	var all sync.WaitGroup
	for i, part := range TreeParts(cp) {
		all.Go(func() {
			for one, err := range r.tree(ctx, part, level) {
				if errs[i] = err; err != nil {
					return
				}
				if statusOf(one) == StatusDisabled || doc.hides(one) {
					continue
				}
				var done bool
				if _, done, errs[i] = r.Remove(ctx, a, at, until, now, c, one.Type, one.ID, true); !done || errs[i] != nil || now().After(until) {
					late[i] = true
					return
				}
			}
		})
	}
	all.Wait()
	return !slices.Contains(late, true), errors.Join(errs...)
}

// mayEmpty is nil where the actor may delete a protocol with all that is in it. Nothing of it is deleted where it cannot
// be in the end.
func (r *Registry) mayEmpty(ctx context.Context, a *Actor, cp int64, doc ProtocolDoc) error {
	can := func(res Resource) bool { return a.Can(res, OpDelete, cp, doc.Sites) }
	if !can(ResProtocol) {
		return denied("delete this collection protocol")
	}
	kept := tally{}
	if err := r.restricted(ctx, cp, kept); err != nil {
		return err
	}
	if n := kept["storage_container"]; n > 0 {
		return fault.New("CP_REF_ENTITY_FOUND", "The collection protocol is still in use (storage container: %d).", n)
	}
	if a.Super() || can(ResParticipantDeid) && can(ResVisit) && can(ResSpecimen) && !doc.StorageSiteBasedAccess {
		return nil
	}
	var some []*Record
	err := r.Each(ctx, cp, Everything, func(one *Record) (bool, error) {
		if statusOf(one) == StatusDisabled || doc.hides(one) {
			return true, nil
		}
		if some = append(some, one); len(some) < walkPage {
			return true, nil
		}
		err := r.mayRemove(ctx, a, some, cp, doc)
		some = some[:0]
		return true, err
	})
	if err != nil {
		return err
	}
	return r.mayRemove(ctx, a, some, cp, doc)
}

// beforeRemoval lists what is to be deleted before an object is deleted with all that lies below it: nothing where one
// transaction takes them all, else all of it, the leaves first. The right to delete them is checked for all.
func (r *Registry) beforeRemoval(ctx context.Context, a *Actor, t Type, id int64) ([]*Record, error) {
	if t != Registration && t != Visit && t != Specimen {
		return nil, nil
	}
	rec, err := r.byID(ctx, t, id)
	if err != nil || rec == nil || statusOf(rec) == StatusDisabled {
		return nil, err // the change tells
	}
	cp := protocolOf(rec)
	doc, err := r.protocolDoc(ctx, cp)
	if err != nil {
		return nil, err
	}
	if doc.hides(rec) {
		return nil, nil // the change tells
	}
	below, err := r.Store.List(ctx, rec.Key.Part, rec.Key.Sort+"/", "", 0)
	if err != nil {
		return nil, fmt.Errorf("read what lies below a record: %w", err)
	}
	below = slices.DeleteFunc(below, func(rec *Record) bool { return statusOf(rec) == StatusDisabled })
	if err := r.mayRemove(ctx, a, below, cp, doc); err != nil {
		return nil, err
	}
	if len(below) <= wholeTree {
		return nil, nil
	}
	slices.SortStableFunc(below, func(x, y *Record) int {
		return y.Key.depth() - x.Key.depth()
	})
	return below, nil
}

// mayRemove is nil where the actor may delete all of these records of a protocol.
func (r *Registry) mayRemove(ctx context.Context, a *Actor, recs []*Record, cp int64, doc ProtocolDoc) error {
	stored, err := r.storageSites(ctx, a, map[int64]ProtocolDoc{cp: doc}, recs...)
	if err != nil {
		return err
	}
	sites := doc.Sites
	for _, rec := range recs {
		ok := false
		switch rec.Type {
		case Registration:
			ok = a.Can(ResParticipantPhi, OpDelete, cp, sites) || a.Can(ResParticipantDeid, OpDelete, cp, sites)
		case Visit:
			ok = a.Can(ResVisit, OpDelete, cp, sites)
		case Specimen:
			ok = a.canAt(ResSpecimen, OpDelete, cp, sites, stored[rec.ID])
			if !ok && rec.Key.ParentSpecimen() == 0 {
				ok = a.canAt(ResPrimarySpecimen, OpDelete, cp, sites, stored[rec.ID])
			}
		}
		if !ok {
			return denied("delete a " + strings.ToLower(notFound[rec.Type].noun) + " that depends on it")
		}
	}
	return nil
}

// gone tells whether a change asks for a deletion.
func gone(status string) bool { return Fold(status) == Fold(StatusDisabled) }

// cannotBegin refuses to create an object as deleted.
func cannotBegin(l *fault.List, status string) {
	if gone(status) {
		l.Add("ACTIVITY_STATUS_INVALID", "An object cannot be created as Disabled.")
	}
}

// freed is a name that a deletion frees: where it stands, how long it may get, and its mark.
type freed struct {
	value *string
	limit int
	mark  func(string) string // nil: not unique
}

// suffixed is the name of something deleted: with the suffix, and cut to its column's size before (reference
// openspecimen-rest.md 4.2).
func suffixed(name, suffix string, limit int) string {
	text := []rune(name)
	return string(text[:min(len(text), limit-len(suffix))]) + suffix
}

// retire plans the deletion of a member of a small set: its names get the suffix, cut to the columns' sizes, and are free.
func (b *Batch) retire(ctx context.Context, c *Change, o *Outcome, rec *Record, doc any, status *string, names ...freed) error {
	*status = StatusDisabled
	var free []string
	for _, n := range names {
		if *n.value == "" {
			continue
		}
		if n.mark != nil {
			free = append(free, n.mark(*n.value))
		}
		*n.value = suffixed(*n.value, b.suffix(), n.limit)
	}
	if err := b.change(c, rec, doc, o); err != nil {
		return err
	}
	for _, name := range free {
		if err := b.release(ctx, name, rec.Key); err != nil {
			return err
		}
	}
	return nil
}
