package biobank

import (
	"context"
	"fmt"
	"time"

	"aliquot/shared/fault"
)

// ApplyAll does changes for a person, each one whole, after all of them were checked: a fault of one means that none was
// begun. What others do between the check and a change can still stop it half-way; it may then be sent again, since a
// change that was made changes nothing more.
func (r *Registry) ApplyAll(ctx context.Context, a *Actor, at time.Time, changes []Change) ([]*Record, error) {
	if len(changes) > 1 {
		if err := r.Check(ctx, a, at, changes); err != nil {
			return nil, err
		}
	}
	recs := make([]*Record, len(changes))
	for i := range changes {
		rec, err := r.one(ctx, a, at, changes[i])
		if err != nil {
			return nil, err
		}
		recs[i] = rec
	}
	return recs, nil
}

// Check plans changes without writing and returns the faults that they would meet: of rights and rules, and names that
// are taken, in the store or by one another.
func (r *Registry) Check(ctx context.Context, a *Actor, at time.Time, changes []Change) error {
	_, err := r.check(ctx, a, at, changes)
	return err
}

// check is Check that also returns the records as the changes would make them.
func (r *Registry) check(ctx context.Context, a *Actor, at time.Time, changes []Change) ([]*Record, error) {
	b := r.newBatch(a, at)
	b.dry = true
	var recs []*Record
	var l fault.List
	names := map[string]bool{}
	for i := range changes {
		one, out := changes[i:i+1], make([]Outcome, 1)
		if err := b.lookUp(ctx, one, out); err != nil {
			return nil, err
		}
		for round := range b.writes {
			b.writes[round] = b.writes[round][:0]
		}
		b.failed, b.soft, b.again = resized(b.failed, 1), resized(b.soft, 1), resized(b.again, 1)
		if out[0].Err == nil {
			if err := b.planOne(ctx, 0, &one[0], &out[0]); err != nil {
				return nil, err
			}
		}
		l.Append(out[0].Err)
		recs = append(recs, out[0].Record)
		opening := false
		for w := range b.writes[roundNames] {
			claim := &b.writes[roundNames][w]
			if claim.unique == nil {
				continue
			}
			if names[claim.Mark.Name] && claim.taken != nil {
				l.Append(claim.taken(claim.Mark))
				continue
			}
			if names[claim.Mark.Name] {
				l.Add(claim.unique.code, claim.unique.text, claim.value)
				continue
			}
			names[claim.Mark.Name] = true
			if err := b.settleMark(ctx, claim, &opening); err != nil {
				return nil, fmt.Errorf("check a name: %w", err)
			}
			l.Append(b.failed[0])
			b.failed[0] = nil
		}
	}
	return recs, l.Err()
}
