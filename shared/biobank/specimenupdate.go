package biobank

import (
	"bytes"
	"context"

	"aliquot/shared/fault"
)

func (d *SpecimenDraft) update(ctx context.Context, b *Batch, c *Change, o *Outcome, rec *Record, was SpecimenDoc) error {
	o.Label = b.nameBefore(was.Label, was.ActivityStatus)
	if is, err := b.done(ctx, rec, c); is || err != nil {
		return done(o, rec, err)
	}
	cp, err := b.protocolAt(ctx, rec.Key)
	if err != nil {
		return err
	}
	is, err := Decode[SpecimenDoc](rec) // a copy that shares nothing with was
	if err != nil {
		return err
	}
	if d.Merge != nil {
		d.Merge(&is)
	} else {
		is = d.Doc
	}
	is.Custody = was.Custody
	if was.Lineage == LineageAliquot {
		is.AnatomicSite, is.Laterality, is.Pathology = was.AnatomicSite, was.Laterality, was.Pathology // always its parent's
	}
	op := OpUpdate
	if gone(is.ActivityStatus) {
		op = OpDelete
	}
	if err := b.mayHandle(ctx, op, cp, &was, "change this specimen"); err != nil {
		return err
	}
	if d.Protocol.Sent() {
		if named, err := b.protocol(ctx, d.Protocol); err != nil {
			return err
		} else if named.id != cp.id {
			return fault.New("SPECIMEN_NOT_FOUND_IN_CP", "The specimen was not found in collection protocol %s.", b.actor.calls(named))
		}
	}
	var l fault.List
	if d.lineage(&l, &is) && is.Lineage != was.Lineage {
		l.Add("SPECIMEN_CANNOT_CHG_LINEAGE", "The lineage is %s and cannot be changed to %s.", was.Lineage, is.Lineage)
	}
	if d.VisitName != "" {
		m, err := b.mark(ctx, visitMark(d.VisitName))
		if err != nil {
			return err
		}
		if m.To != rec.Key.VisitKey() {
			l.Add("SPECIMEN_VISIT_CHG_NOT_ALLOWED", "The specimen belongs to another visit than %q.", d.VisitName)
		}
	}
	if d.ParentLabel != "" {
		m, err := b.mark(ctx, labelMark(d.ParentLabel))
		if err != nil {
			return err
		}
		if was.Lineage == LineageNew || m.To != rec.Key.Above(1) {
			l.Add("COMMON_INVALID_INPUT", "The specimen was not made from %q; its parent cannot be changed.", d.ParentLabel)
		}
	}
	if d.VisitID != 0 && d.VisitID != rec.Key.Visit() {
		l.Add("SPECIMEN_VISIT_CHG_NOT_ALLOWED", "The specimen belongs to another visit than %d.", d.VisitID)
	}
	if d.ParentID != 0 && d.ParentID != rec.Key.ParentSpecimen() {
		l.Add("COMMON_INVALID_INPUT", "The specimen was not made from %d; its parent cannot be changed.", d.ParentID)
	}
	if d.named() && !d.has(cp, was.RequirementID) {
		if _, err := d.requirement(ctx, b, &l, cp, &is, &below{key: rec.Key}); err != nil {
			return err
		}
	} else {
		is.RequirementID = was.RequirementID // its type may be mended all the same: it turned out to be another thing
	}
	d.check(&l, &is)
	d.Unit.among(&l, cp.doc.UnitsOf(is.Class, is.Type))
	if err := b.extend(ctx, &l, SpecimenFields, cp, was.Extension, &is.Extension, d.Extension, b.can(ResParticipantPhi, OpRead, cp)); err != nil {
		return err
	}
	if is.Lineage == LineageNew || is.Collection != nil || is.Received != nil {
		if err := d.events(ctx, b, &l, &is, cp.requirement(0, is.RequirementID, "")); err != nil {
			return err
		}
	}
	made := is.Lineage != LineageNew && (is.AnatomicSite != was.AnatomicSite || is.Laterality != was.Laterality ||
		is.Type != was.Type || is.InitialQty == nil && was.InitialQty != nil)
	collect := is.Label == "" && is.Status == Collected && was.Label == ""                // its label is made now
	if was.Label != "" || is.Status != Collected || was.Status == Collected && !collect { // else names decides on it
		if err := relabelled(&l, cp, &was, &is); err != nil {
			return err
		}
	}
	if is.Status != was.Status || made || collect {
		if err := d.recheck(ctx, b, c, &l, cp, &is, &was, rec, collect); err != nil {
			return err
		}
	} else {
		ownNames(&l, cp, &was, &is, cp.requirement(0, is.RequirementID, ""))
	}
	if is.Label == "" && is.Status == Collected && !collect {
		l.Add("SPECIMEN_LABEL_REQUIRED", "Specimen Label cannot be cleared.")
	}
	if is.ActivityStatus == StatusClosed && was.ActivityStatus != StatusClosed {
		if err := d.dispose(ctx, b, &l, cp, &is); err != nil {
			return err
		}
	}
	if !bytes.Equal(is.AppendJSON(nil), was.AppendJSON(nil)) {
		reserved(&l, &was)
	}
	if err := d.namesFree(ctx, b, c, &l, rec.Key); err != nil {
		return err
	}
	if len(l) > 0 {
		return l
	}
	if is.ActivityStatus == StatusDisabled {
		return b.remove(ctx, c, o, rec, d.Force)
	}
	if err := d.move(ctx, b, c, cp, rec, &was, &is); err != nil {
		return err
	}
	d.claims(b, c, &was, &is, rec.Key, rec.ID)
	if err := b.change(c, rec, &is, o); err != nil {
		return err
	}
	o.Label = is.Label
	if is.Status != was.Status && (is.Status == CollectMissed || is.Status == NotCollected) {
		if err := b.cascade(ctx, c, cp, rec, is.Status); err != nil {
			return err
		}
	}
	if is.kind() != was.kind() {
		if err := b.carry(ctx, c, cp, rec, &is); err != nil {
			return err
		}
	}
	if is.Status == Collected && was.Status != Collected && rec.Key.ParentSpecimen() != 0 && !b.bulk {
		parent, err := b.rec(ctx, rec.Key.Above(1))
		if err != nil {
			return err
		}
		if err := d.taken(ctx, b, c, cp, parent, &is); err != nil {
			return err
		}
	}
	for _, gone := range [][3]string{
		{was.Label, is.Label, labelMark(was.Label)},
		{was.Barcode, is.Barcode, barcodeMark(was.Barcode)},
		{was.AdditionalLabel, is.AdditionalLabel, addlLabelMark(was.AdditionalLabel)},
	} {
		if gone[0] != "" && gone[0] != gone[1] {
			if err := b.release(ctx, gone[2], rec.Key); err != nil {
				return err
			}
		}
	}
	return nil
}

// has tells whether the draft names the requirement that the specimen has, by its id or by the code that is shown with it. That
// may be deleted.
func (d *SpecimenDraft) has(cp *protocolInfo, requirement int64) bool {
	if d.RequirementID != 0 {
		return d.RequirementID == requirement
	}
	for _, e := range cp.events {
		for _, q := range e.reqs {
			if q.id == requirement {
				return Fold(q.doc.Code) == Fold(d.RequirementCode)
			}
		}
	}
	return false
}

// dispose notes how a specimen is closed, and empties it where the protocol says so (15.5).
func (d *SpecimenDraft) dispose(ctx context.Context, b *Batch, l *fault.List, cp *protocolInfo, is *SpecimenDoc) error {
	e := DisposalEvent{}
	if d.Disposal != nil {
		e = *d.Disposal
	}
	if e.Time == 0 {
		e.Time = b.at
	}
	id, err := b.userID(ctx, d.Disposer, "USER_NOT_FOUND")
	if fault.All(err) != nil {
		l.Append(err)
	} else if err != nil {
		return err
	}
	if e.UserID = id; id == 0 {
		e.UserID = b.actor.ID
	}
	if e.Time > b.at+day {
		l.Add("COMMON_DATE_GT_TODAY", "The date of the disposal lies in the future.")
	}
	tooLong(l, "The reason of the disposal", e.Reason, 255)
	tooLong(l, "The comments of the disposal", e.Comments, 4000)
	is.Disposal = &e
	if cp.doc.SetQtyToZero {
		zero := Quantity(0)
		is.AvailableQty = &zero
	}
	return nil
}

// recheck reads the visit or the parent of a stored specimen and checks against it what has changed: the collection status,
// or what the parent decides. A specimen that is collected now gets its label where the protocol makes it.
func (d *SpecimenDraft) recheck(ctx context.Context, b *Batch, c *Change, l *fault.List, cp *protocolInfo, is, was *SpecimenDoc, rec *Record, collect bool) error {
	up, err := b.rec(ctx, rec.Key.Above(1))
	if err != nil || up == nil {
		return err
	}
	at := below{key: up.Key}
	if was.Lineage == LineageNew {
		v, err := Decode[VisitDoc](up)
		if err != nil {
			return err
		}
		at.visitStatus = v.Status
	} else {
		at.parent = up
		if at.parentDoc, err = Decode[SpecimenDoc](up); err != nil {
			return err
		}
		d.likeParent(l, is, &at.parentDoc)
		if err := b.quantified(ctx, l, is); err != nil {
			return err
		}
	}
	if is.Status != was.Status {
		d.mayHave(l, c, is.Status, &at)
	}
	req := cp.requirement(0, is.RequirementID, "")
	if !collect && (is.Status != Collected || was.Status == Collected) {
		ownNames(l, cp, was, is, req)
		return nil
	}
	late := *c
	late.Kin = noKin
	return d.names(ctx, b, &late, l, cp, was, is, &at, req)
}

// claims plans the marks of the values that changed and must be unique.
func (d *SpecimenDraft) claims(b *Batch, c *Change, was, is *SpecimenDoc, key Key, id int64) {
	if is.Label != "" && is.Label != was.Label {
		b.claim(c, uniqueLabel, is.Label, labelMark(is.Label), key, id, "")
	}
	if is.Barcode != "" && is.Barcode != was.Barcode {
		b.claim(c, uniqueBarcode, is.Barcode, barcodeMark(is.Barcode), key, id, "")
	}
	if is.AdditionalLabel != "" && is.AdditionalLabel != was.AdditionalLabel {
		b.claim(c, uniqueAdditional, is.AdditionalLabel, addlLabelMark(is.AdditionalLabel), key, id, "")
	}
}
