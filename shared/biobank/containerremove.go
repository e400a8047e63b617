package biobank

import (
	"context"
	"slices"
	"time"

	"aliquot/shared/fault"
)

// Removed counts what went with containers.
type Removed struct {
	Containers, Specimens int
}

// atOnce is how many containers and specimens one transaction takes out; each is three items of it or more.
const atOnce = 20

// remove plans the deletion of a container with those that lie in it. Specimens in them refuse it; forced they are taken
// out (reference openspecimen-rest.md 16.3, Delete).
func (d *ContainerDraft) remove(ctx context.Context, b *Batch, c *Change, o *Outcome, now *Branch) error {
	if !b.actor.HoldsAt(ResContainer, OpDelete, now.Site()) {
		return denied("delete containers of this site")
	}
	branches, specimens, kept, err := b.inside(ctx, now)
	for err == nil && (len(specimens) == 0 || d.Force) {
		// What was put in before the seals is found now; that may have something put into it in turn.
		recs := make([]*Record, len(branches))
		for i, br := range branches {
			recs[i] = br.Recs[0]
		}
		var more bool
		if more, err = b.seal(ctx, c, recs...); err != nil || !more {
			break
		}
		err = b.look(ctx, func(ctx context.Context) (err error) {
			branches, specimens, kept, err = b.inside(ctx, now)
			return err
		})
	}
	if err != nil {
		return err
	}
	if len(specimens) > 0 && !d.Force {
		return fault.New("STORAGE_CONTAINER_REF_ENTITY_FOUND", "The container is still in use (specimen: %d).", len(specimens))
	}
	for _, rec := range specimens {
		if err := b.takeOut(ctx, c, rec); err != nil {
			return err
		}
	}
	round := b.recordRound
	b.recordRound = roundBelow
	for _, rec := range kept { // checked out of what is deleted
		doc, err := Decode[ContainerDoc](rec)
		if err != nil {
			return err
		}
		doc.CheckedOut = nil
		if err := b.change(c, rec, &doc, &Outcome{}); err != nil {
			return err
		}
	}
	for _, br := range slices.Backward(branches[1:]) {
		if err := d.retire(ctx, b, c, &Outcome{}, br); err != nil {
			return err
		}
	}
	b.recordRound = round
	return d.retire(ctx, b, c, o, now)
}

// retire plans the deletion of one container.
func (d *ContainerDraft) retire(ctx context.Context, b *Batch, c *Change, o *Outcome, br *Branch) error {
	rec, doc := br.Recs[0], *br.Doc()
	for _, left := range []*Location{doc.Parent, doc.CheckedOut} {
		if left != nil {
			if err := b.leaveCell(ctx, *left, occupantRef{typ: Container, key: rec.Key, id: rec.ID}); err != nil {
				return err
			}
		}
	}
	doc.SiteID, doc.Parent, doc.Path, doc.CheckedOut, doc.Blocked = br.Site(), nil, nil, nil, nil
	return b.retire(ctx, c, o, rec, &doc, &doc.ActivityStatus,
		freed{&doc.Name, 64, containerMark}, freed{&doc.Barcode, 64, containerBarcodeMark})
}

// inside lists a container and those in it, the specimens in them, stored or checked out, and the containers that were
// checked out of them.
func (b *Batch) inside(ctx context.Context, top *Branch) (branches []*Branch, specimens, kept []*Record, err error) {
	err = b.contents(ctx, top, func(br *Branch, all []Occupant) error {
		branches = append(branches, br)
		for _, o := range all {
			switch {
			case o.Record == nil || o.Record.ID == br.ID() && o.Record.Type == Container:
			case o.Record.Type == Specimen:
				specimens = append(specimens, o.Record)
			case o.Kept:
				kept = append(kept, o.Record)
			}
		}
		return nil
	})
	return branches, specimens, kept, err
}

// RemoveContainers deletes containers with all that lies in them, and counts it. All of them are checked before the first
// is deleted. What is too much for one transaction goes piece by piece, the innermost first, so that a removal that was
// cut short goes on when it is asked for again; it is complete unless until came first.
func (r *Registry) RemoveContainers(ctx context.Context, a *Actor, at, until time.Time, now func() time.Time, c Change, ids []int64, force bool) (n Removed, complete bool, err error) {
	c.Op, c.ByID = Update, true
	removal := func(id int64) Change {
		one := c
		one.Draft = Removal(Container, id, StatusDisabled, force)
		return one
	}
	checks := make([]Change, len(ids))
	for i, id := range ids {
		checks[i] = removal(id)
	}
	if err := r.Check(ctx, a, at, checks); err != nil {
		return n, false, err
	}
	gone := map[int64]bool{}
	for _, id := range ids {
		if gone[id] {
			continue
		}
		rec, err := r.byID(ctx, Container, id)
		if err != nil {
			return n, false, err
		}
		b := r.newBatch(a, at)
		top, err := b.branch(ctx, rec)
		if err != nil {
			return n, false, err
		}
		branches, specimens, _, err := b.inside(ctx, top)
		if err != nil {
			return n, false, err
		}
		piecemeal := len(branches)+len(specimens) > atOnce
		for _, s := range specimens {
			if piecemeal {
				if now().After(until) {
					return n, false, nil
				}
				one := c
				one.Draft = &UnstoreDraft{ID: s.ID}
				if _, err := r.one(ctx, a, at, one); err != nil {
					return n, false, err
				}
			}
			n.Specimens++
		}
		for _, br := range slices.Backward(branches) {
			if piecemeal || br.ID() == id {
				if now().After(until) {
					return n, false, nil
				}
				if _, err := r.one(ctx, a, at, removal(br.ID())); err != nil {
					return n, false, err
				}
			}
			gone[br.ID()] = true
			n.Containers++
		}
	}
	return n, true, nil
}
