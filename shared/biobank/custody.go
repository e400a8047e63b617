package biobank

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"aliquot/shared/fault"
)

// Custody is what reservations, orders and shipments made of a specimen (reference openspecimen-rest.md 20). Only they
// change it.
type Custody struct {
	// ReservedFor is the distribution protocol that the specimen is kept for.
	ReservedFor int64 `json:"reservedFor,omitempty"`
	// Orders have given out some of the specimen, and it was not returned since.
	Orders []int64 `json:"orders,omitempty"`
	// Spent tells that the last of them gave out what was left, or closed the specimen.
	Spent bool `json:"spent,omitempty"`
	// SiteID received the specimen with its last shipment, in this quality.
	SiteID     int64  `json:"siteId,omitempty"`
	ShipmentID int64  `json:"shipmentId,omitempty"`
	Quality    string `json:"receivedQuality,omitempty"`
}

// Held is the custody of a specimen, zero for one that nobody has taken.
func (s *SpecimenDoc) Held() Custody {
	if s.Custody == nil {
		return Custody{}
	}
	c := *s.Custody
	c.Orders = slices.Clone(c.Orders)
	return c
}

// hold keeps the custody of a specimen.
func (s *SpecimenDoc) hold(c Custody) {
	s.Custody = &c
	if c.ReservedFor == 0 && len(c.Orders) == 0 && !c.Spent && c.SiteID == 0 && c.ShipmentID == 0 && c.Quality == "" {
		s.Custody = nil
	}
}

// reserved refuses a change of a specimen that is kept for a distribution protocol (15.5).
func reserved(l *fault.List, s *SpecimenDoc) {
	if s.Held().ReservedFor != 0 {
		l.Add("SPECIMEN_RESV_EDIT_NOT_ALLOWED", "Specimen %q is reserved for a distribution protocol. Cancel the reservation first.", s.Label)
	}
}

// SpecimenRef names a specimen: by id, else label, else barcode.
type SpecimenRef struct {
	ID             int64
	Label, Barcode string
}

func (r SpecimenRef) mark() string {
	switch {
	case r.ID != 0:
		return IDMark(Specimen, r.ID)
	case r.Label != "":
		return labelMark(r.Label)
	}
	return barcodeMark(r.Barcode)
}

// String is how a message names the specimen.
func (r SpecimenRef) String() string {
	switch {
	case r.ID != 0:
		return strconv.FormatInt(r.ID, 10)
	case r.Label != "":
		return strconv.Quote(r.Label)
	}
	return strconv.Quote(r.Barcode)
}

// specimens finds specimens, all together; nil stands for one that is unknown, deleted or not for the actor to see.
func (b *Batch) specimens(ctx context.Context, refs []SpecimenRef) ([]*Record, error) {
	for _, r := range refs {
		b.wantMark(r.mark())
	}
	if err := b.readMarks(ctx); err != nil {
		return nil, err
	}
	for _, r := range refs {
		b.wantRec(b.marks[r.mark()].To)
	}
	if err := b.readRecs(ctx); err != nil {
		return nil, err
	}
	recs := make([]*Record, len(refs))
	for i, r := range refs {
		rec := b.recs[b.marks[r.mark()].To]
		if rec == nil || rec.Type != Specimen {
			continue
		}
		doc, err := Decode[SpecimenDoc](rec)
		if err != nil {
			return nil, err
		}
		if doc.ActivityStatus == StatusDisabled || r.ID == 0 && doc.Label != r.Label && (r.Label != "" || doc.Barcode != r.Barcode) {
			continue
		}
		recs[i] = rec
		b.wantRec(SetKey(Protocol, rec.Key.Protocol()))
	}
	if err := b.readRecs(ctx); err != nil {
		return nil, err
	}
	docs := map[int64]ProtocolDoc{}
	for _, rec := range recs {
		if rec == nil {
			continue
		}
		cp := rec.Key.Protocol()
		doc, err := Decode[ProtocolDoc](b.recs[SetKey(Protocol, cp)])
		if err != nil {
			return nil, err
		}
		docs[cp] = doc
	}
	known := slices.DeleteFunc(slices.Clone(recs), func(rec *Record) bool { return rec == nil })
	by, err := (&Registry{Store: b.store}).deciding(ctx, b.actor, docs, known...)
	if err != nil {
		return nil, err
	}
	for i, rec := range recs {
		if rec == nil {
			continue
		}
		cp := docs[rec.Key.Protocol()]
		sees, err := b.actor.sees(rec, cp.Sites, by)
		if err != nil {
			return nil, err
		}
		if !sees || cp.ActivityStatus == StatusDisabled {
			recs[i] = nil
		}
	}
	return recs, nil
}

// fits refuses what a distribution protocol cannot have: a specimen that is closed, not collected or reserved for another
// one, or of a protocol none of whose sites distributes.
func (b *Batch) fits(ctx context.Context, l *fault.List, rec *Record, s *SpecimenDoc, dp int64, d *DistributionDoc) error {
	switch held := s.Held(); {
	case s.ActivityStatus == StatusClosed:
		l.Add("DIST_ORDER_CLOSED_SPECIMENS", "Specimen %q is closed.", s.Label)
		return nil
	case s.Status != Collected:
		l.Add("SPECIMEN_NOT_AVAILABLE_FOR_DIST", "Specimen %q was not collected.", s.Label)
		return nil
	case held.ReservedFor != 0 && held.ReservedFor != dp:
		l.Add("SPECIMEN_NOT_AVAILABLE_FOR_DIST", "Specimen %q is reserved for another distribution protocol.", s.Label)
		return nil
	}
	cp, err := Decode[ProtocolDoc](b.recs[SetKey(Protocol, rec.Key.Protocol())])
	if err != nil {
		return err
	}
	for _, at := range cp.Sites {
		of, err := b.instituteOf(ctx, at.SiteID)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(d.Sites, func(s DistributingSites) bool {
			return s.InstituteID == of && (len(s.SiteIDs) == 0 || slices.Contains(s.SiteIDs, at.SiteID))
		}) {
			return nil
		}
	}
	l.Add("DIST_ORDER_INVALID_SPECIMENS_FOR_DP", "Specimen %q is of no site that distributes for %q.", s.Label, d.ShortTitle)
	return nil
}

// reservedSet is the set of marks that lists what is reserved for a distribution protocol. A mark counts while its
// specimen says the same.
func reservedSet(dp int64) string { return "dp.reserved#" + strconv.FormatInt(dp, 10) }

func reservedMark(dp, specimen int64) string { return SetMark(reservedSet(dp), PadID(specimen)) }

// ReservationDraft keeps a specimen for a distribution protocol, or cancels that. It takes the right to change orders of
// the distribution protocol, and to see the specimen. To ask for what is so changes nothing.
type ReservationDraft struct {
	DP       int64
	Specimen SpecimenRef
	Cancel   bool
}

func (*ReservationDraft) recordType() Type { return Specimen }

func (d *ReservationDraft) want(_ context.Context, b *Batch, _ *Change) error {
	b.wantMark(d.Specimen.mark())
	return nil
}

func (d *ReservationDraft) read(_ context.Context, b *Batch, _ *Change) error {
	b.wantRec(SetKey(DistributionProtocol, d.DP))
	b.wantRec(b.marks[d.Specimen.mark()].To)
	return nil
}

func (d *ReservationDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	_, dp, err := b.distribution(ctx, DistributionRef{ID: d.DP})
	if err != nil {
		return err
	}
	if !b.actor.distributes(ResOrder, OpUpdate, &dp) {
		return denied("reserve specimens for distribution protocol " + b.actor.callsDistribution(d.DP, &dp))
	}
	recs, err := b.specimens(ctx, []SpecimenRef{d.Specimen})
	if err != nil {
		return err
	}
	rec := recs[0]
	if rec == nil {
		return missing(Specimen, d.Specimen)
	}
	doc, err := Decode[SpecimenDoc](rec)
	if err != nil {
		return err
	}
	held := doc.Held()
	o.Record = rec
	if d.Cancel {
		if held.ReservedFor != d.DP {
			return nil
		}
		held.ReservedFor = 0
		doc.hold(held)
		if err := b.change(c, rec, &doc, o); err != nil {
			return err
		}
		return b.release(ctx, reservedMark(d.DP, rec.ID), rec.Key)
	}
	var l fault.List
	dp.usable(&l, b.now())
	if err := b.fits(ctx, &l, rec, &doc, d.DP, &dp); err != nil {
		return err
	}
	if err := l.Err(); err != nil || held.ReservedFor == d.DP {
		return err
	}
	held.ReservedFor = d.DP
	doc.hold(held)
	b.claim(c, uniqueReservation, doc.Label, reservedMark(d.DP, rec.ID), rec.Key, rec.ID, "")
	return b.change(c, rec, &doc, o)
}

// uniqueReservation lets a specimen that is not reserved any more take over its own mark.
var uniqueReservation = &unique{"SPECIMEN_NOT_AVAILABLE_FOR_DIST", "Specimen %q is reserved already.", func(*Record, string) (bool, error) { return false, nil }}

// Reserved lists the specimens that are kept for a distribution protocol and that the actor may see, by id; most is how
// many are looked at.
func (r *Registry) Reserved(ctx context.Context, a *Actor, dp int64, most int) ([]*Record, error) {
	if _, err := r.Get(ctx, a, DistributionProtocol, dp); err != nil {
		return nil, err
	}
	recs, err := r.inSet(ctx, reservedSet(dp), most)
	if err != nil {
		return nil, err
	}
	var kept []*Record
	for _, rec := range recs {
		doc, err := Decode[SpecimenDoc](rec)
		if err != nil {
			return nil, err
		}
		if doc.Held().ReservedFor == dp {
			kept = append(kept, rec)
		}
	}
	return r.Readable(ctx, a, kept)
}

// inSet reads the records that the marks of a set lead to, in their order, at most as many.
func (r *Registry) inSet(ctx context.Context, set string, most int) ([]*Record, error) {
	marks, err := r.Store.MarksIn(ctx, set, "", "", most)
	if err != nil {
		return nil, fmt.Errorf("list marks: %w", err)
	}
	return r.led(ctx, marks)
}

// Specimens finds specimens, in that order, leaving out those that are unknown, deleted or not for the actor to see.
func (r *Registry) Specimens(ctx context.Context, a *Actor, refs []SpecimenRef) ([]*Record, error) {
	b := r.newBatch(a, time.Time{})
	recs, err := b.specimens(ctx, refs)
	return slices.DeleteFunc(recs, func(rec *Record) bool { return rec == nil }), err
}
