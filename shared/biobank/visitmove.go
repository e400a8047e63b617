package biobank

import (
	"context"
	"errors"
	"slices"
	"time"

	"aliquot/shared/fault"
)

// Moving a visit to another registration (reference openspecimen-rest.md section 14).

// stays refuses a change that names another registration than that of the visit.
func (d *VisitDraft) stays(ctx context.Context, b *Batch, l *fault.List, rec *Record, was *VisitDoc, cp *protocolInfo) error {
	if d.RegistrationID != 0 && d.RegistrationID != rec.Key.Registration() {
		l.Add("COMMON_INVALID_INPUT", "The visit belongs to another registration than %d; it cannot be moved this way.", d.RegistrationID)
	}
	if !d.Protocol.Sent() {
		return nil
	}
	named, err := b.protocol(ctx, d.Protocol)
	if err != nil {
		return err
	}
	if named.id != cp.id {
		return fault.New("VISIT_NOT_FOUND", "Visit %q was not found in collection protocol %s.", was.Name, b.actor.calls(named))
	}
	if d.PPID == "" {
		return nil
	}
	m, err := b.mark(ctx, ppidMark(cp.id, d.PPID))
	if err != nil {
		return err
	}
	if m.To != rec.Key.Above(1) {
		l.Add("COMMON_INVALID_INPUT", "The visit belongs to another participant than PPID %q; it cannot be moved this way.", d.PPID)
	}
	return nil
}

// goal is the place that the visit is to have, and the protocol there: below the registration with the cprId, else with
// the protocol and PPID, that were sent; where neither was, it stays. Who sends back what was read and changes only one of
// them means that one; who changes both must mean one registration.
func (d *VisitDraft) goal(ctx context.Context, b *Batch, l *fault.List, rec *Record, cp *protocolInfo) (Key, *protocolInfo, error) {
	named := *d
	if d.RegistrationID == rec.Key.Registration() && d.PPID != "" && d.Protocol.Sent() {
		named.RegistrationID = 0
	}
	if named.RegistrationID == 0 && (d.PPID == "" || !d.Protocol.Sent()) {
		return rec.Key, cp, nil
	}
	reg, _, err := named.registration(ctx, b)
	if err != nil {
		return Key{}, nil, err
	}
	if reg.Key == rec.Key.Above(1) {
		return rec.Key, cp, nil
	}
	goal, err := b.protocolAt(ctx, reg.Key)
	if err != nil {
		return Key{}, nil, err
	}
	if !b.can(ResVisit, OpCreate, goal) {
		return Key{}, nil, denied("create visits in collection protocol " + b.actor.calls(goal))
	}
	l.Append(b.peopled(goal))
	if goal.doc.ActivityStatus == StatusClosed {
		l.Add("CPR_CP_CLOSED", "Collection protocol %q is closed.", goal.doc.ShortTitle)
	}
	return reg.Key.Child(rec.ID), goal, nil
}

// eventLike is the draft with the event of the goal's that is called like the one that the visit had, where that was sent
// back with it.
func (d *VisitDraft) eventLike(from, goal *protocolInfo, was *VisitDoc) *VisitDraft {
	had := from.event(was.EventID)
	if goal == from || had == nil || d.EventID != was.EventID {
		return d
	}
	like := goal.eventByLabel(had.doc.Label)
	if like == nil {
		return d
	}
	moved := *d
	moved.EventID = like.id
	return &moved
}

// transfer plans that a visit goes to another place, with its specimens and forms. Where they are too many for one
// transaction the error is a move, which must be made first.
func (d *VisitDraft) transfer(ctx context.Context, b *Batch, c *Change, from, goal *protocolInfo, rec *Record, to Key, was, is *VisitDoc, o *Outcome) error {
	m := &move{from: rec.Key, to: to}
	if was.EventID != is.EventID {
		m.reqs = equals(from.event(was.EventID), goal.event(is.EventID))
	}
	if is.Status != was.Status && is.Status != VisitComplete {
		m.status = is.Status
	}
	below, err := m.below(ctx, b.store)
	if err != nil {
		return err
	}
	specimens := slices.DeleteFunc(slices.Clone(below), func(r *Record) bool { return r.Type != Specimen })
	if len(specimens) > 0 {
		if err := b.maySpecimensMove(ctx, specimens, from, goal, m.status != "" || m.reqs != nil); err != nil {
			return err
		}
	}
	switch {
	case len(below) <= movedTogether:
		for _, r := range below {
			if err := b.along(ctx, c, r, m); err != nil {
				return err
			}
		}
	case !d.MovedAhead:
		return m
	}
	if is.Name != was.Name {
		b.claim(c, uniqueVisitName, is.Name, visitMark(is.Name), to, rec.ID, is.info())
		if err := b.release(ctx, visitMark(was.Name), rec.Key); err != nil {
			return err
		}
	}
	if was.SurgicalPathologyNumber != is.SurgicalPathologyNumber {
		if err := errors.Join(
			b.renumber(ctx, c, was.SurgicalPathologyNumber, "", rec.Key, rec.ID),
			b.renumber(ctx, c, "", is.SurgicalPathologyNumber, to, rec.ID),
		); err != nil {
			return err
		}
	}
	err = b.relocate(ctx, c, rec, to, is, visitMarks(is, rec.ID), o)
	if errors.As(err, new(*move)) {
		return m // there is a stand-in of an earlier try, which must give way
	}
	if err != nil {
		return err
	}
	if is.Status == was.Status && m.reqs == nil {
		return nil
	}
	if specimens, err = m.filling(ctx, b, specimens); err != nil {
		return err
	}
	return d.missed(ctx, b, c, goal, goal.event(is.EventID), to, is, specimens)
}

// filling are the specimens of a visit that moves, as they will be: those that go with it, and those that are there.
func (m *move) filling(ctx context.Context, b *Batch, going []*Record) ([]*Record, error) {
	there, err := b.children(ctx, m.to)
	if err != nil {
		return nil, err
	}
	for _, r := range going {
		doc, err := Decode[SpecimenDoc](r)
		if err != nil {
			return nil, err
		}
		if m.reqs != nil {
			doc.RequirementID = m.reqs[doc.RequirementID]
		}
		seen := *r
		if seen.Doc, err = encoded(&doc); err != nil {
			return nil, err
		}
		there = append(there, &seen)
	}
	return there, nil
}

// ChangeVisit does a change of a visit that may move it. Where more lies below the visit than goes in one transaction that
// is moved ahead of it, after the change was checked; it is complete unless until came first, and goes on when it is asked
// for again.
func (r *Registry) ChangeVisit(ctx context.Context, a *Actor, at, until time.Time, now func() time.Time, c Change, d *VisitDraft) (rec *Record, complete bool, err error) {
	for range tries {
		c.Draft = d
		rec, err = r.one(ctx, a, at, c)
		var m *move
		if !errors.As(err, &m) {
			return rec, err == nil, err
		}
		checked := *d
		checked.MovedAhead = true
		c.Draft = &checked
		if err := r.Check(ctx, a, at, []Change{c}); err != nil && !errors.As(err, new(*move)) {
			return nil, false, err
		}
		if done, err := r.moveAhead(ctx, a, at, until, now, c, m, false); !done || err != nil {
			return nil, false, err
		}
	}
	return nil, false, err
}

// maySpecimensMove is nil where the batch's actor may move the specimens of a visit, and change them where changed tells that
// they do; primary ones move with those that were made from them, so that the right to primary ones alone is not enough.
func (b *Batch) maySpecimensMove(ctx context.Context, specimens []*Record, from, goal *protocolInfo, changed bool) error {
	if goal != from && !(b.can(ResSpecimen, OpUpdate, from) && b.can(ResSpecimen, OpCreate, goal)) {
		return denied("move specimens to collection protocol " + b.actor.calls(goal))
	}
	if changed && !b.can(ResSpecimen, OpUpdate, goal) {
		return denied("change the specimens of the visit")
	}
	if goal == from && !changed {
		return nil
	}
	err := b.mayHandleStored(ctx, specimens, from, from, OpUpdate)
	if err == nil && goal != from {
		err = b.mayHandleStored(ctx, specimens, from, goal, OpCreate)
	}
	return err
}

// mayHandleStored is nil where the batch's actor has a right in a protocol to specimens, which lie in from, at the sites where
// they are stored.
func (b *Batch) mayHandleStored(ctx context.Context, specimens []*Record, from, in *protocolInfo, op Operation) error {
	stored, err := (&Registry{Store: b.store}).storageSites(ctx, b.actor, map[int64]ProtocolDoc{from.id: in.doc}, specimens...)
	if err != nil {
		return err
	}
	for _, rec := range specimens {
		if !b.actor.canAt(ResSpecimen, op, in.id, in.doc.Sites, stored[rec.ID]) {
			return denied("change specimens that are stored at another site")
		}
	}
	return nil
}
