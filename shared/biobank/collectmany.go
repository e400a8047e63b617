package biobank

import (
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

// maxCollected is how many specimens a request collects at most; as many are made within its time.
const maxCollected = 1000

// collectedTogether is how many are saved in one transaction, where one does not hold them all: a specimen takes three to six
// of its 100 items, six with barcode, additional label and cell. What a group stands on, and its parents, take the rest: it
// does not suffice for twelve of six that are made from twelve parents and put into twelve containers, which is refused.
const collectedTogether = 12

// errTooLarge tells of a change that one transaction does not hold, and of which nothing was written.
var errTooLarge = errors.New("more items than a transaction holds")

// Collect saves a visit and trees of specimens: in one transaction, if that holds them.
func (r *Registry) Collect(ctx context.Context, a *Actor, at time.Time, c Change, d *CollectDraft) error {
	c.Op, c.Draft = Create, d
	d.drawTogether()
	_, err := r.one(ctx, a, at, c)
	if !errors.Is(err, errTooLarge) {
		return err
	}
	m := &collection{whole: d, parent: map[*SpecimenNode]*SpecimenNode{}, broods: map[Key]*brood{}}
	m.add(nil, d.Specimens)
	if len(m.order) > maxCollected {
		return fault.New("COMMON_INVALID_INPUT", "%d specimens are to be collected; at most %d are possible at once.", len(m.order), maxCollected)
	}
	for from := 0; from < len(m.order); from += collectedTogether {
		group, done := m.group(from, min(from+collectedTogether, len(m.order)))
		c.Draft = group
		if _, err := r.one(ctx, a, at, c); err != nil {
			return err
		}
		done()
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

// brood is what is made from one parent. It is done to the parent once, whatever the groups: it is thawed for the first of
// them as often as for any, and with the last of them it is closed, if that is asked for by any.
type brood struct {
	first, last *SpecimenNode
	thaws       int64
	close       bool
}

func (m *collection) add(parent *SpecimenNode, nodes []*SpecimenNode) {
	for _, n := range nodes {
		m.order = append(m.order, n)
		if parent != nil {
			m.parent[n] = parent
		}
		if !n.takes.IsZero() {
			all := m.broods[n.takes]
			if all == nil {
				all = &brood{first: n}
				m.broods[n.takes] = all
			}
			all.last, all.thaws = n, max(all.thaws, n.Draft.ThawParent)
			all.close = all.close || n.Draft.CloseParent || parent != nil && parent.Close
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
	for _, n := range m.order[from:to] {
		draft := *n.Draft
		up := m.parent[n]
		one := &SpecimenNode{Draft: &draft, numbers: n.numbers}
		made[n] = one
		if all := m.broods[n.takes]; all != nil {
			draft.OpenParent, draft.CloseParent, draft.ThawParent = all.last != n, all.close, 0
			if all.first == n {
				draft.ThawParent = all.thaws
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
