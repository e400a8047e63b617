package biobank

import (
	"context"
	"fmt"

	"aliquot/shared/fault"
)

// PoolDraft is a new primary specimen that is pooled from others (reference openspecimen-rest.md 15.1, pooled). It lies in
// the visit that it names, or in that of the first of the others. These note the pool that they went into; what was taken
// of them is not in the reference and stays as it is.
type PoolDraft struct {
	Specimen *SpecimenDraft
	Members  []int64
}

// MaxPool is how many specimens a pool can be made of: one transaction holds them.
const MaxPool = 45

func (*PoolDraft) recordType() Type { return Specimen }

func (d *PoolDraft) want(ctx context.Context, b *Batch, c *Change) error {
	for _, id := range d.Members {
		b.wantMark(IDMark(Specimen, id))
	}
	return d.Specimen.want(ctx, b, c)
}

func (d *PoolDraft) read(ctx context.Context, b *Batch, c *Change) error {
	for _, id := range d.Members {
		b.wantRec(b.marks[IDMark(Specimen, id)].To)
	}
	return d.Specimen.read(ctx, b, c)
}

func (d *PoolDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	if len(d.Members) == 0 || len(d.Members) > MaxPool {
		return fault.New("SPECIMEN_REQUIRED", "Give the specimens that are pooled, between 1 and %d.", MaxPool)
	}
	members, docs := make([]*Record, len(d.Members)), make([]SpecimenDoc, len(d.Members))
	var l fault.List
	for i, id := range d.Members {
		m, err := b.mark(ctx, IDMark(Specimen, id))
		if err != nil {
			return err
		}
		if members[i], err = b.rec(ctx, m.To); err != nil {
			return err
		}
		if docs[i], err = Decode[SpecimenDoc](members[i]); err != nil {
			return err
		}
		if members[i] == nil || docs[i].ActivityStatus == StatusDisabled {
			return missing(Specimen, id)
		}
	}
	s := *d.Specimen
	if s.VisitID == 0 && s.VisitName == "" {
		s.VisitID = members[0].Key.Visit()
	}
	s.Doc.Lineage, s.Doc.Status, s.Doc.Pool = LineageNew, Collected, d.Members
	if s.Doc.Type == "" {
		s.Doc.Type = docs[0].Type
	}
	if err := s.create(ctx, b, c, o, nil); err != nil {
		return err
	}
	for i, rec := range members {
		cp, err := b.protocolAt(ctx, rec.Key)
		if err != nil {
			return err
		}
		was := &docs[i]
		if err := b.mayHandle(ctx, OpUpdate, cp, was, "change this specimen"); err != nil {
			return err
		}
		told := was.Label
		if told == "" {
			told = fmt.Sprint(rec.ID)
		}
		switch {
		case cp.id != o.Record.Key.Protocol():
			l.Add("SPECIMEN_POOL_SAME_CP_REQ", "Specimen %q belongs to another collection protocol than the pool.", told)
		case was.Status != Collected:
			l.Add("SPECIMEN_NOT_COLLECTED", "Specimen %q was not collected.", told)
		case was.ActivityStatus != StatusActive:
			l.Add("SPECIMEN_NOT_ACTIVE", "Specimen %q is closed.", told)
		}
		was.PoolID = o.Record.ID
		if err := b.changeBelow(c, rec, was); err != nil {
			return err
		}
	}
	if len(l) > 0 {
		return l
	}
	return b.eachOnce()
}
