package biobank

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"aliquot/shared/fault"
)

// Collecting more than one transaction holds: a node may have 100 children (reference openspecimen-rest.md 15.4), and each
// takes two items and more. The whole is planned first, as it will be, so that whatever a rule or a name refuses is told
// before anything is written. Then it is saved some specimens at a time, parents before children, each group with what it
// takes from its parents. What others do meanwhile can still stop it half-way.

// maxCollected is how many specimens a request collects at most; as many take some seconds.
const maxCollected = 1000

// saving is how long a group takes where the database is slow; runningOver is how much longer than until those may take that
// were begun.
const (
	saving      = 100 * time.Millisecond
	runningOver = 5 * time.Second
)

// inCommon is how many items of a transaction are left to what the specimens of a group have in common: the visit and the event
// that they stand on, their parent.
const inCommon = 4

// Collect saves a visit and trees of specimens: in one transaction, if that holds them. Else the groups are as large as the
// items that the whole would touch allow; one that is too large nevertheless, as its specimens are stored or made from
// different parents, is cut by the items that it touches itself, and those after it with it. None are begun where they would
// hardly be done before until; the caller may try again.
func (r *Registry) Collect(ctx context.Context, a *Actor, at, until time.Time, now func() time.Time, c Change, d *CollectDraft) error {
	if n := len(allNodes(d.Specimens)); n > maxCollected {
		return fault.New("COMMON_INVALID_INPUT", "%d specimens are to be collected; at most %d are possible at once.", n, maxCollected)
	}
	c.Op, c.Draft = Create, d
	d.drawTogether()
	begun := now()
	_, err := r.one(ctx, a, at, c)
	var large *tooLarge
	if !errors.As(err, &large) {
		return err
	}
	m := &collection{whole: d, parent: map[*SpecimenNode]*SpecimenNode{}, broods: map[Key]*brood{}}
	m.add(nil, d.Specimens)
	together := large.holds(len(m.order))
	planned := now()
	last := planned.Add(planned.Sub(begun) + time.Duration(len(m.order)/together+1)*saving) // each is planned once more
	if last.After(until) {
		return fault.New("COMMON_INVALID_REQUEST", "So many specimens could not be saved in time now, and none was. Send fewer at once, or try again later.").WithKind(fault.Busy)
	}
	for from := 0; from < len(m.order); {
		if now().After(until.Add(runningOver)) {
			return fault.New("COMMON_INVALID_REQUEST", "Time ran out when %d of the %d specimens were saved. Send those that are missing.", from, len(m.order))
		}
		to := min(from+together, len(m.order))
		group, done := m.group(from, to)
		c.Draft = group
		_, err := r.one(ctx, a, at, c)
		if errors.As(err, &large) && to-from > 1 {
			together = large.holds(to - from)
			continue
		}
		if err != nil {
			return err
		}
		done()
		from = to
	}
	return m.reread(ctx, r)
}

// collection is a large collection on its way.
type collection struct {
	whole  *CollectDraft
	order  []*SpecimenNode // parents before children
	parent map[*SpecimenNode]*SpecimenNode
	broods map[Key]*brood // by parent, one that is of the trees or one that roots name
}

// brood are the children of one parent, collected or not. What becomes of the parent comes once, whatever the groups: for the
// first child that takes something of it it is thawed as often as for any, and with the last child it is closed, if that is
// asked for by itself or by any that takes something, or by the protocol.
type brood struct {
	parent       Key
	first        *SpecimenNode
	last         int // in the order of the collection
	thaws        int64
	takes, close bool
}

func (m *collection) add(parent *SpecimenNode, nodes []*SpecimenNode) {
	for _, n := range nodes {
		m.order = append(m.order, n)
		if parent != nil {
			m.parent[n] = parent
		}
		if n.Record.Key.ParentSpecimen() != 0 {
			up := n.Record.Key.Above(1)
			all := m.broods[up]
			if all == nil {
				all = &brood{parent: up}
				m.broods[up] = all
			}
			all.last = len(m.order) - 1
			all.close = all.close || n.takes && n.Draft.CloseParent || parent != nil && parent.Close
			if n.takes {
				all.takes, all.thaws = true, max(all.thaws, n.Draft.ThawParent)
				all.first = cmp.Or(all.first, n)
			}
		}
		m.add(n, n.Children)
	}
}

// group is the draft of some nodes, and what to do when they were saved: note what became of each.
func (m *collection) group(from, to int) (d *CollectDraft, done func()) {
	d = &CollectDraft{whole: m.whole}
	if from == 0 {
		d.Visit = m.whole.Visit
	}
	made := map[*SpecimenNode]*SpecimenNode{}
	for i, n := range m.order[from:to] {
		draft := *n.Draft
		up := m.parent[n]
		one := &SpecimenNode{Draft: &draft, numbers: n.numbers}
		made[n] = one
		if all := m.broods[n.Record.Key.Above(1)]; all != nil && made[up] != nil && all.last < to {
			made[up].Close = up.Close // it is made with them all
		} else if all != nil {
			draft.OpenParent, draft.CloseParent, draft.ThawParent = true, false, 0
			if all.first == n {
				draft.ThawParent = all.thaws
			}
			if all.last == from+i {
				if up != nil {
					all.parent = up.Record.Key // of a new visit it has got another than it was planned with
				}
				d.ended = append(d.ended, all)
			}
		}
		switch {
		case up == nil:
			if from > 0 && m.whole.VisitRecord != nil && draft.ID == 0 && draft.ParentID == 0 && draft.ParentLabel == "" {
				draft.VisitID = m.whole.VisitRecord.ID
			}
			d.Specimens = append(d.Specimens, one)
		case made[up] != nil:
			made[up].Children = append(made[up].Children, one)
		default:
			draft.ParentID, draft.ParentLabel, draft.VisitID, draft.VisitName = up.Record.ID, "", 0, ""
			d.Specimens = append(d.Specimens, one)
		}
	}
	return d, func() {
		for n, one := range made {
			n.Record = one.Record
		}
		if d.Visit != nil {
			m.whole.VisitRecord = d.VisitRecord
		}
	}
}

// reread notes what parents have become, of which later groups took something.
func (m *collection) reread(ctx context.Context, r *Registry) error {
	keys := make([]Key, len(m.order))
	for i, n := range m.order {
		keys[i] = n.Record.Key
	}
	for i := 0; i < len(keys); i += readAhead {
		recs, err := r.Store.Records(ctx, keys[i:min(i+readAhead, len(keys))], true)
		if err != nil {
			return fmt.Errorf("read what was collected: %w", err)
		}
		for _, n := range m.order[i:min(i+readAhead, len(keys))] {
			if rec := recs[n.Record.Key]; rec != nil {
				n.Record = rec
			}
		}
	}
	return nil
}
