package biobank

import (
	"context"
	"fmt"
	"slices"
	"strings"
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
// one transaction, so that a removal that was cut short goes on when it is asked for again. It is complete unless until
// came first.
func (r *Registry) Remove(ctx context.Context, a *Actor, at, until time.Time, now func() time.Time, c Change, t Type, id int64, force bool) (rec *Record, complete bool, err error) {
	c.Op, c.ByID, c.Draft = Update, true, Removal(t, id, StatusDisabled, force)
	if force {
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
// protocol's own deletion cannot be asked yet: beforeRemoval knows what they will say.
func (r *Registry) protocolsRemovable(ctx context.Context, a *Actor, ids []int64) error {
	var l fault.List
	for _, id := range ids {
		rec, err := r.byID(ctx, Protocol, id)
		if err == nil && (rec == nil || statusOf(rec) == StatusDisabled) {
			err = missing(Protocol, id)
		}
		if err == nil {
			_, err = r.beforeRemoval(ctx, a, Protocol, id)
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

// beforeRemoval lists what must be deleted before an object whose removal is forced, leaves first; nothing where one
// transaction holds it all.
func (r *Registry) beforeRemoval(ctx context.Context, a *Actor, t Type, id int64) ([]*Record, error) {
	if t != Protocol && t != Registration && t != Visit && t != Specimen {
		return nil, nil
	}
	rec, err := r.byID(ctx, t, id)
	if err != nil || rec == nil || statusOf(rec) == StatusDisabled {
		return nil, err // the change tells
	}
	cp := protocolOf(rec)
	sites, err := r.protocolSites(ctx, cp)
	if err != nil {
		return nil, err
	}
	if t == Protocol && !a.Can(ResProtocol, OpDelete, cp, sites) {
		return nil, denied("delete this collection protocol")
	}
	if t == Protocol {
		// Nothing of it is deleted where it cannot be in the end.
		kept := tally{}
		if err := r.restricted(ctx, cp, kept); err != nil {
			return nil, err
		}
		if n := kept["storage_container"]; n > 0 {
			return nil, fault.New("CP_REF_ENTITY_FOUND", "The collection protocol is still in use (storage container: %d).", n)
		}
	}
	live := func(rec *Record) (bool, error) { return statusOf(rec) != StatusDisabled, nil }
	var below []*Record
	if t == Protocol {
		below, err = r.Walk(ctx, cp, Everything, live)
	} else {
		below, err = r.Store.List(ctx, rec.Key.Part, rec.Key.Sort+"/", "", 0)
		below = slices.DeleteFunc(below, func(rec *Record) bool { return statusOf(rec) == StatusDisabled })
	}
	if err != nil {
		return nil, fmt.Errorf("read what lies below a record: %w", err)
	}
	if err := a.mayRemove(below, cp, sites); err != nil {
		return nil, err
	}
	if t != Protocol && len(below) <= wholeTree {
		return nil, nil
	}
	slices.SortStableFunc(below, func(x, y *Record) int {
		return y.Key.depth() - x.Key.depth()
	})
	return below, nil
}

// mayRemove is nil where the actor may delete all of these records of a protocol.
func (a *Actor) mayRemove(recs []*Record, cp int64, sites []ProtocolSite) error {
	for _, rec := range recs {
		ok := false
		switch rec.Type {
		case Registration:
			ok = a.Can(ResParticipantPhi, OpDelete, cp, sites) || a.Can(ResParticipantDeid, OpDelete, cp, sites)
		case Visit:
			ok = a.Can(ResVisit, OpDelete, cp, sites)
		case Specimen:
			ok = a.Can(ResSpecimen, OpDelete, cp, sites)
			if !ok && rec.Key.ParentSpecimen() == 0 {
				ok = a.Can(ResPrimarySpecimen, OpDelete, cp, sites)
			}
		}
		if !ok {
			return denied("delete a " + strings.ToLower(notFound[rec.Type].noun) + " that depends on it")
		}
	}
	return nil
}

// Dependent counts the objects of a kind that keep another from being deleted.
type Dependent struct {
	Name  string `json:"name"`
	Count int64  `json:"count"`
}

// Dependents counts what refers to an object that the actor may see, or, where everybody may see it, delete; kinds without
// any are left out. What a user has written, or disposed of, does not refer to the user: it keeps naming one who was deleted.
func (r *Registry) Dependents(ctx context.Context, a *Actor, t Type, id int64) ([]Dependent, error) {
	rec, err := r.Get(ctx, a, t, id)
	if err != nil {
		return nil, err
	}
	ours, err := a.mayCount(rec)
	if err != nil {
		return nil, err
	}
	if !ours {
		return nil, denied("see what depends on this " + notFound[t].noun)
	}
	return r.dependents(ctx, rec)
}

// mayCount tells whether the actor may see how much depends on an object that everybody may read: who may delete it.
func (a *Actor) mayCount(rec *Record) (bool, error) {
	switch rec.Type {
	case Institute:
		return a.Super(), nil
	case Site:
		return a.AdministersSite(rec.ID), nil
	case User:
		doc, err := Decode[UserDoc](rec)
		return a.Super() || a.InstituteAdmin() && doc.InstituteID == a.User.InstituteID && doc.Type != UserSuper, err
	case ContainerType:
		return a.Super() || a.InstituteAdmin(), nil
	}
	return true, nil
}

func (r *Registry) dependents(ctx context.Context, rec *Record) ([]Dependent, error) {
	count := tally{}
	var err error
	switch rec.Type {
	case Institute:
		err = errorsOf(
			each(ctx, r, User, func(d *UserDoc) { count.add("user", d.InstituteID == rec.ID && d.ActivityStatus != StatusDisabled) }),
			each(ctx, r, Site, func(d *SiteDoc) { count.add("site", d.InstituteID == rec.ID && d.ActivityStatus != StatusDisabled) }),
			r.tallyDistribution(ctx, count, func(d *DistributionDoc) bool { return d.concernsInstitute(rec.ID) }),
		)
	case Site:
		err = errorsOf(
			each(ctx, r, Protocol, func(d *ProtocolDoc) {
				here := slices.ContainsFunc(d.Sites, func(s ProtocolSite) bool { return s.SiteID == rec.ID })
				count.add("collection_protocol", here && d.ActivityStatus != StatusDisabled)
			}),
			each(ctx, r, User, func(d *UserDoc) {
				has := slices.ContainsFunc(d.Roles, func(g Grant) bool { return g.SiteID == rec.ID })
				count.add("subject_role", has && d.ActivityStatus != StatusDisabled)
				count.add("user", d.PrimarySiteID == rec.ID && d.ActivityStatus != StatusDisabled)
			}),
			r.tallyDistribution(ctx, count, func(d *DistributionDoc) bool { return d.concernsSite(rec.ID) }),
			eachContainer(ctx, r, func(d *ContainerDoc) { count.add("storage_container", d.SiteID == rec.ID) }),
			each(ctx, r, Order, func(d *OrderDoc) {
				count.add("distribution_order", d.SiteID == rec.ID && d.ActivityStatus != StatusDisabled)
			}),
			each(ctx, r, Shipment, func(d *ShipmentDoc) {
				concerns := d.SendingSiteID == rec.ID || d.ReceivingSiteID == rec.ID
				count.add("shipment", concerns && d.ActivityStatus != StatusDisabled)
			}),
			r.tallyNames(ctx, Site, rec.ID, count),
		)
	case User:
		err = errorsOf(
			each(ctx, r, Protocol, func(d *ProtocolDoc) {
				leads := d.PI == rec.ID || slices.Contains(d.Coordinators, rec.ID)
				count.add("collection_protocol", leads && d.ActivityStatus != StatusDisabled)
			}),
			each(ctx, r, Site, func(d *SiteDoc) {
				count.add("site", slices.Contains(d.Coordinators, rec.ID) && d.ActivityStatus != StatusDisabled)
			}),
			r.tallyDistribution(ctx, count, func(d *DistributionDoc) bool { return d.PI == rec.ID || slices.Contains(d.Coordinators, rec.ID) }),
			each(ctx, r, Order, func(d *OrderDoc) {
				concerns := d.Requester == rec.ID || d.Distributor == rec.ID
				count.add("distribution_order", concerns && d.ActivityStatus != StatusDisabled)
			}),
			each(ctx, r, Shipment, func(d *ShipmentDoc) {
				concerns := d.Sender == rec.ID || d.Receiver == rec.ID || d.Requester == rec.ID || slices.Contains(d.Notify, rec.ID)
				count.add("shipment", concerns && d.ActivityStatus != StatusDisabled)
			}),
			r.tallyNames(ctx, User, rec.ID, count),
		)
	case ConsentStatement:
		err = each(ctx, r, Protocol, func(d *ProtocolDoc) {
			asks := slices.ContainsFunc(d.Consents, func(t ProtocolConsent) bool { return t.StatementID == rec.ID })
			count.add("collection_protocol", asks && d.ActivityStatus != StatusDisabled)
		})
	case RoleType:
		err = each(ctx, r, User, func(d *UserDoc) {
			has := slices.ContainsFunc(d.Roles, func(g Grant) bool { return g.RoleID == rec.ID })
			count.add("subject_role", has && d.ActivityStatus != StatusDisabled)
		})
	case ContainerType:
		err = errorsOf(
			eachContainer(ctx, r, func(d *ContainerDoc) { count.add("storage_container", d.TypeID == rec.ID) }),
			each(ctx, r, ContainerType, func(d *ContainerTypeDoc) {
				count.add("container_type", d.CanHold == rec.ID && d.ActivityStatus != StatusDisabled)
			}),
		)
	case Container:
		_, specimens, ierr := r.Inside(ctx, time.UnixMilli(0), rec)
		err, count["specimen"] = ierr, int64(len(specimens))
	case Protocol:
		if err = r.restricted(ctx, rec.ID, count); err != nil {
			break
		}
		err = r.tallyTree(ctx, rec.ID, Registrations, count, func(*Record) (string, error) { return "collection_protocol_registration", nil })
	case Event:
		err = r.tallyTree(ctx, rec.Key.Protocol(), Visits, count, func(v *Record) (string, error) {
			doc, err := Decode[VisitDoc](v)
			if v.Type != Visit || doc.EventID != rec.ID {
				return "", err
			}
			return "visit", err
		})
	case DistributionProtocol:
		err = each(ctx, r, Order, func(d *OrderDoc) {
			count.add("distribution_order", d.DistributionID == rec.ID && d.ActivityStatus != StatusDisabled)
		})
	case Requirement:
		err = r.madeFrom(ctx, rec, count)
	case Registration, Visit, Specimen:
		below, lerr := r.Store.List(ctx, rec.Key.Part, rec.Key.Sort+"/", "", 0)
		for _, one := range below {
			blocks, berr := hinders(rec.Type, one)
			if berr != nil {
				return nil, berr
			}
			count.add(string(one.Type), blocks)
		}
		err = lerr
	}
	if err != nil {
		return nil, fmt.Errorf("count what refers to %s %d: %w", rec.Type, rec.ID, err)
	}
	return count.list(), nil
}

// restricted counts the containers that are kept for a protocol.
func (r *Registry) restricted(ctx context.Context, cp int64, count tally) error {
	return eachContainer(ctx, r, func(d *ContainerDoc) { count.add("storage_container", slices.Contains(d.Protocols, cp)) })
}

// madeFrom counts the collected specimens made from a requirement or one below it.
func (r *Registry) madeFrom(ctx context.Context, rec *Record, count tally) error {
	family, err := r.requirementFamily(ctx, rec)
	if err != nil {
		return err
	}
	return r.tallyTree(ctx, rec.Key.Protocol(), Everything, count, func(s *Record) (string, error) {
		doc, err := Decode[SpecimenDoc](s)
		if s.Type != Specimen || doc.Status != Collected || !slices.ContainsFunc(family, func(q *Record) bool { return q.ID == doc.RequirementID }) {
			return "", err
		}
		return "specimen", err
	})
}

// requirementFamily is a requirement and the live ones below it, the parts of a pool among them.
func (r *Registry) requirementFamily(ctx context.Context, rec *Record) ([]*Record, error) {
	event := rec.Key.Above(1)
	all, err := r.Store.List(ctx, event.Part, event.Sort+"/", "", 0)
	if err != nil {
		return nil, err
	}
	family := []*Record{rec}
	for i := 0; i < len(family); i++ {
		for _, one := range all {
			doc, err := Decode[RequirementDoc](one)
			if err != nil {
				return nil, err
			}
			if (doc.ParentID == family[i].ID || doc.PoolID == family[i].ID) && one.ID != rec.ID && doc.ActivityStatus != StatusDisabled {
				family = append(family, one)
			}
		}
	}
	return family, nil
}

// hinders tells whether a live record below another keeps that from being deleted unless it is forced: a completed visit
// its registration, a collected specimen its visit, any specimen its parent.
func hinders(of Type, below *Record) (bool, error) {
	if statusOf(below) == StatusDisabled {
		return false, nil
	}
	switch below.Type {
	case Visit:
		doc, err := Decode[VisitDoc](below)
		return doc.Status == VisitComplete, err
	case Specimen:
		doc, err := Decode[SpecimenDoc](below)
		return of == Specimen || doc.Status == Collected, err
	}
	return true, nil
}

func (r *Registry) tallyTree(ctx context.Context, cp int64, level int, count tally, name func(*Record) (string, error)) error {
	recs, err := r.Walk(ctx, cp, level, func(rec *Record) (bool, error) {
		if statusOf(rec) == StatusDisabled {
			return false, nil
		}
		n, err := name(rec)
		return n != "", err
	})
	if err != nil {
		return err
	}
	for _, rec := range recs {
		n, err := name(rec)
		if err != nil {
			return err
		}
		count.add(n, true)
	}
	return nil
}

// tally counts by name.
type tally map[string]int64

func (t tally) add(name string, one bool) {
	if one {
		t[name]++
	}
}

func (t tally) list() []Dependent {
	out := []Dependent{}
	for name, n := range t {
		if n > 0 {
			out = append(out, Dependent{name, n})
		}
	}
	slices.SortFunc(out, func(a, b Dependent) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// each decodes the members of a small set.
func each[T any](ctx context.Context, r *Registry, t Type, f func(*T)) error {
	all, err := r.Set(ctx, t)
	if err != nil {
		return err
	}
	for _, rec := range all {
		doc, err := Decode[T](rec)
		if err != nil {
			return err
		}
		f(&doc)
	}
	return nil
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// unreferenced is nil where nothing depends on an object, else a fault that names what does.
func (b *Batch) unreferenced(ctx context.Context, rec *Record, code string) error {
	list, err := (&Registry{Store: b.store}).dependents(ctx, rec)
	if err != nil || len(list) == 0 {
		return err
	}
	var parts []string
	for _, d := range list {
		parts = append(parts, fmt.Sprintf("%s: %d", strings.ReplaceAll(d.Name, "_", " "), d.Count))
	}
	return fault.New(code, "The %s is still in use (%s).", strings.ToLower(notFound[rec.Type].noun), strings.Join(parts, ", "))
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
		text := []rune(*n.value)
		*n.value = string(text[:min(len(text), n.limit-len(b.suffix()))]) + b.suffix()
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
