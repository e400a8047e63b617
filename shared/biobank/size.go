package biobank

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// TreeSize is how much was collected in a protocol; nil for what is not told.
type TreeSize struct{ Participants, Specimens *int64 }

// countable is the most records of a protocol that are counted in passing: some 10 MB of reading.
const countable = 20_000

// TreeSize counts the registrations and the collected specimens of a protocol that the actor may read. No counters
// are kept: every import would write to them. So the trees are read, and a protocol that is too large for that has no counts.
func (r *Registry) TreeSize(ctx context.Context, a *Actor, rec *Record) (TreeSize, error) {
	doc, err := Decode[ProtocolDoc](rec)
	if err != nil {
		return TreeSize{}, err
	}
	people := a.Can(ResParticipantDeid, OpRead, rec.ID, doc.Sites) || a.Can(ResParticipantPhi, OpRead, rec.ID, doc.Sites)
	specimens := a.Can(ResSpecimen, OpRead, rec.ID, doc.Sites)
	if !people && !specimens {
		return TreeSize{}, nil
	}
	var read, regs, specs atomic.Int64
	count := func(part string) error {
		for after := ""; read.Load() <= countable; {
			page, err := r.Store.List(ctx, part, "", after, walkPage)
			if err != nil {
				return err
			}
			stored, err := r.storageSites(ctx, a, map[int64]ProtocolDoc{rec.ID: doc}, page...)
			if err != nil {
				return err
			}
			for _, one := range page {
				switch one.Type {
				case Registration:
					if statusOf(one) != StatusDisabled && !doc.hides(one) {
						regs.Add(1)
					}
				case Specimen:
					if !a.canAt(ResSpecimen, OpRead, rec.ID, doc.Sites, stored[one.ID]) {
						continue
					}
					s, err := Decode[SpecimenDoc](one)
					if err != nil {
						return err
					}
					if s.ActivityStatus != StatusDisabled && s.Status == Collected {
						specs.Add(1)
					}
				}
			}
			if read.Add(int64(len(page))); len(page) < walkPage {
				return nil
			}
			after = page[len(page)-1].Key.Sort
		}
		return nil
	}
	parts := TreeParts(rec.ID)
	errs := make([]error, len(parts))
	var all sync.WaitGroup
	for i, part := range parts {
		all.Go(func() { errs[i] = count(part) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return TreeSize{}, fmt.Errorf("count what lies in protocol %d: %w", rec.ID, err)
	}
	var size TreeSize
	if read.Load() > countable {
		return size, nil
	}
	if n := regs.Load(); people {
		size.Participants = &n
	}
	if n := specs.Load(); specimens {
		size.Specimens = &n
	}
	return size, nil
}
