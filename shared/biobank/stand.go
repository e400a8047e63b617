package biobank

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"aliquot/shared/fault"
)

// A deletion and a creation below the same object must not both succeed, though neither sees what the other is about to
// write.
//
//  1. Who deletes looks whether anything depends on the object. Only where nothing does it seals the object, and what goes
//     with it, and looks once more: so a deletion that is refused is in nobody's way.
//  2. It deletes on condition that the seals are still its own, and takes them off where it is refused after all.
//  3. Who creates something stands on what that is to lie in, and who saves an object on what it begins to name: the
//     transaction holds only where that has the version that was read, and no seal. So either the deletion finds what was
//     saved before it sealed, or the other finds the seal, waits a moment, and then finds the object deleted or free.
//
// A seal says until when it holds; one that is over, of a deletion that was cut short, is taken off by whoever stands on what
// it is on. Another deletion puts its own in its place, at once, so that one that was cut short can be asked for again. The
// deletion that it was of, should it still be going on, begins anew. Rows of jobs do neither: they are no transactions.

// sealed is how long a seal holds, in milliseconds: longer than a request lasts.
const sealed = 60_000

// looking bounds a look for what depends on an object: while the second one lasts others wait for its seal. It ends so long
// before the request does that the seal can be taken off, which takes no longer than unsealing.
const (
	looking   = 10 * time.Second
	unsealing = 2 * time.Second
	spare     = unsealing + time.Second
)

// errLong means that a look has lasted too long.
var errLong = errors.New("what depends on an object was not found out in time")

// look finds out what depends on an object that a person's change deletes, which is refused as busy when that takes too long.
func (b *Batch) look(ctx context.Context, what func(context.Context) error) error {
	if b.bulk {
		return what(ctx)
	}
	end := time.Now().Add(looking)
	if last, ok := ctx.Deadline(); ok && last.Add(-spare).Before(end) {
		end = last.Add(-spare)
	}
	within, cancel := context.WithDeadlineCause(ctx, end, errLong)
	defer cancel()
	err := what(within)
	if err != nil && errors.Is(context.Cause(within), errLong) {
		return fault.New("COMMON_INVALID_REQUEST", "There is too much to look through for what depends on the object: it was not deleted. Try again later.").
			WithKind(fault.Busy).Wrap(errLong)
	}
	return err
}

// errChanged means that a record is not what was planned on: the change is planned again.
var errChanged = errors.New("a record has changed since it was read")

// clock is a time as seals are compared with it.
func clock(ms int64) string { return strconv.FormatInt(ms, 10) }

// seal keeps others from adding to records that the change is about to delete, before it looks what is there. It tells
// whether any of them was not sealed before; errChanged says that one is not what was read.
func (b *Batch) seal(ctx context.Context, c *Change, recs ...*Record) (more bool, err error) {
	if b.bulk || b.dry {
		return false, nil
	}
	var open []*Record
	for _, rec := range recs {
		if b.seals[rec.Key] == "" {
			open = append(open, rec)
		}
	}
	mine := clock(b.at+sealed) + "/" + c.ID
	for some := range slices.Chunk(open, MaxBatch) {
		writes := make([]Write, len(some))
		for i, rec := range some {
			writes[i] = Write{Kind: SealRecord, Record: rec, Seal: mine}
		}
		results, err := b.store.Write(ctx, false, writes)
		if err != nil {
			return false, err
		}
		for i, rec := range some {
			if results[i] != Written {
				return false, errors.Join(errChanged, b.outdated(ctx, rec.Key))
			}
			b.seals[rec.Key], more = mine, true
		}
	}
	return more, nil
}

// stillSealed plans that the change holds only while the seal on a record that it leaves as it is was not taken off.
func (b *Batch) stillSealed(rec *Record) {
	if mine := b.seals[rec.Key]; mine != "" {
		b.add(roundIDs, Write{Kind: UnsealRecord, Record: rec, Seal: mine})
	}
}

// unseal takes off the seals of what was not deleted after all, also where the request was given up.
func (b *Batch) unseal(ctx context.Context) error {
	if len(b.seals) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unsealing)
	defer cancel()
	var writes []Write
	for key, mine := range b.seals {
		writes = append(writes, Write{Kind: UnsealRecord, Record: &Record{Key: key}, Seal: mine})
	}
	clear(b.seals)
	for len(writes) > 0 {
		n := min(len(writes), MaxBatch)
		if _, err := b.store.Write(ctx, false, writes[:n]); err != nil {
			return err
		}
		writes = writes[n:]
	}
	return nil
}

// standOn plans that what the change writes holds only where the object at key, which it is to lie in or to belong to, is
// not deleted meanwhile. One that the change writes itself is sure anyway.
func (b *Batch) standOn(ctx context.Context, key Key) error {
	if b.bulk || b.dry || key.IsZero() {
		return nil
	}
	if b.plans(key, InsertRecord, StandOn) {
		return nil
	}
	rec, err := b.rec(ctx, key)
	if err != nil || rec == nil {
		return err
	}
	b.add(roundIDs, Write{Kind: StandOn, Record: rec, Now: clock(b.at)})
	return nil
}

// eachSupport calls each with what an object of a small set, or a requirement, names that is not to be deleted before it is
// saved; 0 for none. Whom visits, specimens and the like name by the million is not here (infra/decisions/standing.md).
func eachSupport(doc any, each func(t Type, ids ...int64)) {
	switch d := doc.(type) {
	case *SiteDoc:
		each(Institute, d.InstituteID)
		each(User, d.Coordinators...)
	case *UserDoc:
		each(Institute, d.InstituteID)
		each(Site, d.PrimarySiteID)
		for _, g := range d.Roles {
			each(Site, g.SiteID)
			each(RoleType, g.RoleID)
		}
	case *ProtocolDoc:
		each(User, d.PI)
		each(User, d.Coordinators...)
		for _, s := range d.Sites {
			each(Site, s.SiteID)
		}
		for _, t := range d.Consents {
			each(ConsentStatement, t.StatementID)
		}
	case *RequirementDoc:
		each(User, d.CollectorID, d.ReceiverID)
	case *DistributionDoc:
		each(Institute, d.InstituteID)
		each(Site, d.ReceivingSiteID)
		each(User, d.PI)
		each(User, d.Coordinators...)
		for _, s := range d.Sites {
			each(Institute, s.InstituteID)
			each(Site, s.SiteIDs...)
		}
	case *OrderDoc:
		each(DistributionProtocol, d.DistributionID)
		each(Site, d.SiteID)
		each(User, d.Requester, d.Distributor)
	case *ShipmentDoc:
		each(Site, d.SendingSiteID, d.ReceivingSiteID)
		each(User, d.Sender, d.Receiver, d.Requester)
		each(User, d.Notify...)
	case *RoleDoc:
		each(RoleType, d.ParentID)
	case *ContainerDoc:
		each(ContainerType, d.TypeID)
		each(Site, d.SiteID) // of one that lies in no other
	case *ContainerTypeDoc:
		each(ContainerType, d.CanHold)
	}
}

// lean remembers what an object that is planned begins to name; was is nil for a new one.
func (b *Batch) lean(was *Record, doc any) error {
	if b.bulk || b.dry {
		return nil
	}
	on := map[Key]bool{}
	eachSupport(doc, func(t Type, ids ...int64) {
		for _, id := range ids {
			on[setKeyOrNone(t, id)] = true
		}
	})
	if len(on) > 0 && was != nil {
		old, err := decoded(was)
		if err != nil {
			return err
		}
		eachSupport(old, func(t Type, ids ...int64) {
			for _, id := range ids {
				delete(on, setKeyOrNone(t, id))
			}
		})
	}
	delete(on, Key{})
	maps.Copy(b.leans, on)
	return nil
}

// standOnNamed plans that the change stands on what its objects begin to name, as long as a transaction has room for that.
func (b *Batch) standOnNamed(ctx context.Context) error {
	if len(b.leans) == 0 {
		return nil
	}
	planned := len(b.leans)
	for round := range b.writes {
		planned += len(b.writes[round])
	}
	if planned > maxTransaction {
		clear(b.leans)
	}
	for key := range b.leans {
		b.wantRec(key)
	}
	if err := b.readRecs(ctx); err != nil {
		return err
	}
	for key := range b.leans {
		if err := b.standOn(ctx, key); err != nil {
			return err
		}
	}
	clear(b.leans)
	return nil
}

// plans tells whether a write of one of these kinds is planned for the record at key.
func (b *Batch) plans(key Key, kinds ...WriteKind) bool {
	for _, round := range [][]rowWrite{b.writes[roundBelow], b.writes[roundParents], b.writes[roundRecords], b.writes[roundIDs]} {
		for i := range round {
			if w := &round[i]; w.Record != nil && w.Record.Key == key && slices.Contains(kinds, w.Kind) {
				return true
			}
		}
	}
	return false
}

// draw plans the next version of a record, which stays as it is, of whose amount the change gives a part away. Who stands on a
// version is not in the way of others who do: by the new one, two changes that have both seen the same rest cannot both take
// it. Rows of a job need none, since those that share an amount run one after the other.
func (b *Batch) draw(c *Change, of *Record) {
	if b.bulk || b.plans(of.Key, InsertRecord, UpdateRecord) {
		return
	}
	rec, entry := b.next(c, c.Source, of, of.Doc, nil, nil)
	b.put(rec, entry, &Outcome{})
}

// standing leaves out that a transaction stands on what it writes itself.
func standing(all []*rowWrite) []*rowWrite {
	written := map[Key]bool{}
	for _, w := range all {
		if w.Kind == InsertRecord || w.Kind == UpdateRecord || w.Kind == DropRecord {
			written[w.Record.Key] = true
		}
	}
	kept := all[:0]
	for _, w := range all {
		if w.Kind != StandOn || !written[w.Record.Key] {
			kept = append(kept, w)
		}
	}
	return kept
}

// outdated forgets what is known of an object that is not what was planned on.
func (b *Batch) outdated(ctx context.Context, key Key) error {
	delete(b.seals, key)
	cp := key.Protocol()
	if key.Part == string(Protocol) {
		cp = keyID(key)
	}
	delete(b.protocols, cp)
	_, err := b.fresh(ctx, key)
	return err
}

// settled forgets the seals of what was deleted.
func (b *Batch) settled(all []*rowWrite) {
	for _, w := range all {
		if (w.Kind == UpdateRecord || w.Kind == UnsealRecord) && w.Seal != "" {
			delete(b.seals, w.Record.Key)
		}
	}
}
