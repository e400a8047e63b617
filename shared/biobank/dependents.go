package biobank

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"aliquot/shared/fault"
)

// Dependent counts the objects of a kind that keep another from being deleted.
type Dependent struct {
	Name  string `json:"name"`
	Count int64  `json:"count"`
}

// Dependents counts what refers to an object that the actor may see, or, where everybody may see it, delete; kinds without
// any, and those that the actor may not read, are left out. What a user has written, or disposed of, does not refer to the
// user: it keeps naming one who was deleted.
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
	return r.tellable(ctx, a, rec)
}

// tellable counts what refers to an object, of what lies in a protocol only what the actor may read.
func (r *Registry) tellable(ctx context.Context, a *Actor, rec *Record) ([]Dependent, error) {
	list, err := r.dependents(ctx, rec, a)
	if err == nil && rec.Type == User {
		return a.ofUser(rec, list)
	}
	cp := protocolOf(rec)
	if err != nil || cp == 0 || len(list) == 0 {
		return list, err
	}
	sites, err := r.protocolSites(ctx, cp)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list, func(d Dependent) bool {
		return d.Name == "storage_container" && !a.Can(ResContainer, OpRead, cp, sites)
	}), nil
}

// ofUser leaves of what refers to a user what the actor may see: who deletes users by a right on them, and is no administrator,
// has no right to their protocols, orders and shipments. Sites everybody sees.
func (a *Actor) ofUser(rec *Record, list []Dependent) ([]Dependent, error) {
	doc, err := Decode[UserDoc](rec)
	if err != nil || a.administers(&doc) {
		return list, err
	}
	return slices.DeleteFunc(list, func(d Dependent) bool { return d.Name != "site" }), nil
}

// MadeFrom counts the specimens collected for a requirement or one made from it that the actor may see, for who may see any.
func (r *Registry) MadeFrom(ctx context.Context, a *Actor, requirement int64) (int64, error) {
	rec, err := r.Get(ctx, a, Requirement, requirement)
	if err != nil {
		return 0, err
	}
	sites, err := r.protocolSites(ctx, rec.Key.Protocol())
	if err != nil {
		return 0, err
	}
	if !a.Can(ResSpecimen, OpRead, rec.Key.Protocol(), sites) {
		return 0, denied("see the specimens of this requirement")
	}
	count := tally{}
	err = r.madeFrom(ctx, rec, Collected, a, count)
	return count[string(Specimen)], err
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
		return a.administers(&doc) || rec.ID != a.ID && a.Manages(OpDelete, &doc), err
	case ContainerType:
		return a.Super() || a.InstituteAdmin(), nil
	case ConsentStatement:
		return a.Super(), nil
	}
	return true, nil
}

// dependents counts what refers to an object; of what lies in a protocol only what the reader may see, all for nil.
func (r *Registry) dependents(ctx context.Context, rec *Record, reader *Actor) ([]Dependent, error) {
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
		err = errorsOf(
			each(ctx, r, User, func(d *UserDoc) {
				has := slices.ContainsFunc(d.Roles, func(g Grant) bool { return g.RoleID == rec.ID })
				count.add("subject_role", has && d.ActivityStatus != StatusDisabled)
			}),
			each(ctx, r, RoleType, func(d *RoleDoc) { count.add("role", d.ParentID == rec.ID && d.ActivityStatus != StatusDisabled) }),
		)
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
		doc, derr := Decode[ProtocolDoc](rec)
		if derr != nil {
			return nil, derr
		}
		if !doc.SpecimenCentric {
			err = r.tallyTree(ctx, rec.ID, Registrations, reader, count, func(*Record) (string, error) { return "collection_protocol_registration", nil })
			break
		}
		err = r.tallyTree(ctx, rec.ID, PrimarySpecimens, reader, count, func(one *Record) (string, error) {
			if one.Type != Specimen {
				return "", nil
			}
			return string(Specimen), nil
		})
	case Event:
		err = r.tallyTree(ctx, rec.Key.Protocol(), Visits, reader, count, func(v *Record) (string, error) {
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
		err = r.madeFrom(ctx, rec, Collected, reader, count)
	case Registration, Visit, Specimen:
		below, lerr := r.Store.List(ctx, rec.Key.Part, rec.Key.Sort+"/", "", 0)
		if lerr == nil && reader != nil {
			below, lerr = r.Readable(ctx, reader, below)
		}
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

// madeFrom counts the specimens made from a requirement or one below it that have a collection status, "" for any, and that
// the reader may see, nil for all.
func (r *Registry) madeFrom(ctx context.Context, rec *Record, status string, reader *Actor, count tally) error {
	family, err := r.requirementFamily(ctx, rec)
	if err != nil {
		return err
	}
	return r.tallyTree(ctx, rec.Key.Protocol(), Everything, reader, count, func(s *Record) (string, error) {
		doc, err := Decode[SpecimenDoc](s)
		if s.Type != Specimen || status != "" && doc.Status != status || !slices.ContainsFunc(family, func(q *Record) bool { return q.ID == doc.RequirementID }) {
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

// maxTally is up to how many dependents are counted in a protocol's trees; it stands for any number above it, too.
const maxTally = 10_000

// tallyTree counts the live records of a protocol's trees by their names, "" for none, that the reader may see, nil for all,
// up to maxTally of a name.
func (r *Registry) tallyTree(ctx context.Context, cp int64, level int, reader *Actor, count tally, name func(*Record) (string, error)) error {
	var some []*Record
	tell := func() (more bool, err error) {
		if reader != nil && len(some) > 0 {
			if some, err = r.Readable(ctx, reader, some); err != nil {
				return false, err
			}
		}
		more = true
		for _, rec := range some {
			n, err := name(rec)
			if err != nil {
				return false, err
			}
			count.add(n, true)
			more = more && count[n] < maxTally
		}
		some = some[:0]
		return more, nil
	}
	more := true
	err := r.Each(ctx, cp, level, func(rec *Record) (bool, error) {
		if statusOf(rec) == StatusDisabled {
			return true, nil
		}
		n, err := name(rec)
		if err != nil || n == "" {
			return true, err
		}
		if some = append(some, rec); len(some) == walkPage {
			more, err = tell()
		}
		return more, err
	})
	if err != nil || !more {
		return err
	}
	_, err = tell()
	return err
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

// unreferenced is nil where nothing depends on an object, else a fault that names what does, as far as the actor may know.
// Nothing can come to depend on it, or on what goes with it, until the change is made.
func (b *Batch) unreferenced(ctx context.Context, c *Change, rec *Record, code string, with ...*Record) error {
	unused := func(ctx context.Context) error { return b.unused(ctx, rec, code) }
	if err := b.look(ctx, unused); err != nil {
		return err
	}
	if more, err := b.seal(ctx, c, append(with, rec)...); err != nil || !more {
		return err
	}
	return b.look(ctx, unused)
}

// unused is unreferenced for the moment.
func (b *Batch) unused(ctx context.Context, rec *Record, code string) error {
	r := &Registry{Store: b.store}
	list, err := r.dependents(ctx, rec, nil)
	if err != nil || len(list) == 0 {
		return err
	}
	switch {
	case b.actor.Super():
	case protocolOf(rec) != 0:
		list, err = r.tellable(ctx, b.actor, rec)
	case rec.Type == User:
		list, err = b.actor.ofUser(rec, list)
	}
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return fault.New(code, "The %s is still in use.", strings.ToLower(notFound[rec.Type].noun))
	}
	var parts []string
	for _, d := range list {
		parts = append(parts, fmt.Sprintf("%s: %d", strings.ReplaceAll(d.Name, "_", " "), d.Count))
	}
	return fault.New(code, "The %s is still in use (%s).", strings.ToLower(notFound[rec.Type].noun), strings.Join(parts, ", "))
}
