package biobank

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"aliquot/shared/fault"
)

// primary tells whether the row brings participant and visit along; a child names its parent instead.
func (d *MasterDraft) primary() bool {
	return Fold(d.Specimen.Doc.Lineage) == "" && d.Specimen.ParentLabel == "" || Fold(d.Specimen.Doc.Lineage) == "new"
}

func (d *MasterDraft) want(ctx context.Context, b *Batch, c *Change) error {
	if !d.Registration.Protocol.Sent() {
		return fault.New("CP_SHORT_TITLE_REQUIRED", "Give the CP Short Title.")
	}
	up := *c
	up.Op = Upsert
	d.Specimen.Protocol = d.Registration.Protocol
	if err := d.Specimen.want(ctx, b, &up); err != nil {
		return err
	}
	if !d.primary() {
		return nil
	}
	if err := d.Registration.want(ctx, b, &up); err != nil {
		return err
	}
	if d.Visit.Doc.Name != "" {
		b.wantMark(visitMark(d.Visit.Doc.Name))
	}
	return nil
}

func (d *MasterDraft) read(ctx context.Context, b *Batch, c *Change) error {
	up := *c
	up.Op = Upsert
	if err := d.Specimen.read(ctx, b, &up); err != nil || !d.primary() {
		return err
	}
	if err := d.Registration.read(ctx, b, &up); err != nil {
		return err
	}
	if d.Visit.Doc.Name != "" {
		b.wantRec(b.marks[visitMark(d.Visit.Doc.Name)].To)
	}
	return nil
}

// plan follows the algorithm of reference openspecimen-import-query.md 2.9: find or create the registration, the visit
// and the specimen; all are saved or none.
func (d *MasterDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	spec, doc, err := d.Specimen.find(ctx, b, c)
	if err != nil {
		return err
	}
	if !d.primary() {
		if d.Specimen.Doc.Lineage == "" && !d.Specimen.named() {
			d.Specimen.Doc.Lineage = LineageDerived
		}
		if spec != nil {
			return d.Specimen.update(ctx, b, c, o, spec, doc)
		}
		return d.Specimen.create(ctx, b, c, o, nil)
	}
	if d.Specimen.Doc.Collection == nil || d.Specimen.Doc.Collection.Time == 0 {
		if spec == nil {
			return fault.New("SPECIMEN_COLL_DATE_REQUIRED", "Give the Collection Date of a primary specimen.")
		}
	}
	b.recordRound = roundParents
	reg, regDoc, err := d.register(ctx, b, c, o)
	if err != nil {
		return err
	}
	visit, visitDoc, err := d.visit(ctx, b, c, o, reg, regDoc)
	if err != nil {
		return err
	}
	b.recordRound = roundRecords
	if spec != nil {
		if spec.Key.VisitKey() != visit {
			return fault.New("SPECIMEN_VISIT_CHG_NOT_ALLOWED", "Specimen %q belongs to another visit than the one that the row names.", doc.Label)
		}
		return d.Specimen.update(ctx, b, c, o, spec, doc)
	}
	return d.Specimen.create(ctx, b, c, o, &below{
		key: visit, visitStatus: visitDoc.Status, visitName: visitDoc.Name, ppid: regDoc.PPID, eventID: visitDoc.EventID, eventKnown: true,
	})
}

// register finds the registration, by PPID, eMPI, National ID or MRNs, and patches it, or plans a new one.
func (d *MasterDraft) register(ctx context.Context, b *Batch, c *Change, o *Outcome) (Key, *RegistrationDoc, error) {
	r := &d.Registration
	rec, doc, err := r.find(ctx, b, c)
	if err != nil {
		return Key{}, nil, err
	}
	cp, err := b.protocol(ctx, r.Protocol)
	if err != nil {
		return Key{}, nil, err
	}
	if !b.can(ResParticipantPhi, OpRead, cp) && hasPHI(&r.Doc.Participant, r.PMIs) {
		// Not even whether a value is somebody's may be learned from the answer.
		return Key{}, nil, fault.New("PARTICIPANT_CANNOT_UPDATE_PHI", "You do not have the right to send identifying values (names, dates of birth or death, contact, National ID, eMPI, MRN) to collection protocol %q. Leave those columns blank.", cp.doc.ShortTitle)
	}
	for _, name := range r.sentMarks(ctx, b) {
		if rec != nil || r.Doc.PPID != "" {
			break
		}
		p, err := b.personByMark(ctx, name)
		if err != nil {
			return Key{}, nil, err
		}
		if p != nil {
			rec, doc = p.in(cp.id)
		}
	}
	if rec == nil {
		if r.Doc.RegistrationDate == "" {
			// The day of the first collection is the latest on which the participant can have been registered.
			r.Doc.RegistrationDate = b.day(d.Specimen.Doc.Collection.Time)
		}
		is, err := r.create(ctx, b, c, o)
		if err != nil {
			return Key{}, nil, err
		}
		return o.Record.Key, is, nil
	}
	o.PPID = doc.PPID
	if same, err := unchanged(rec, r.Merge); err != nil || same && r.Site == nil && r.PMIs == nil && r.Extension == nil {
		return rec.Key, &doc, err
	}
	if is, err := b.done(ctx, rec, c); is || err != nil {
		return rec.Key, &doc, err
	}
	is, err := r.patch(ctx, b, c, o, rec, doc)
	return rec.Key, is, err
}

// visit finds the visit by name, or by event and day, and patches it, or plans a new one.
func (d *MasterDraft) visit(ctx context.Context, b *Batch, c *Change, o *Outcome, reg Key, regDoc *RegistrationDoc) (Key, *VisitDoc, error) {
	v := &d.Visit
	date := v.Doc.VisitDate
	if date == 0 && d.Specimen.Doc.Collection != nil {
		date = d.Specimen.Doc.Collection.Time
	}
	rec, doc, err := v.find(ctx, b, c)
	if err != nil {
		return Key{}, nil, err
	}
	if rec != nil && rec.Key.Above(1) != reg {
		return Key{}, nil, fault.New("VISIT_DUP_NAME", "Visit %q belongs to another participant.", doc.Name)
	}
	if rec == nil && v.Doc.Name == "" && b.recs[reg] != nil {
		if rec, doc, err = d.sameDay(ctx, b, reg, date); err != nil {
			return Key{}, nil, err
		}
	}
	if rec == nil {
		create := *v
		create.Doc.VisitDate = date
		return create.create(ctx, b, c, o, reg, regDoc.PPID)
	}
	o.VisitName = doc.Name
	if is, err := b.done(ctx, rec, c); err != nil {
		return rec.Key, &doc, err
	} else if is {
		return rec.Key, &doc, b.tellAgain(ctx, rec, &doc)
	}
	if same, err := unchanged(rec, v.Merge); err != nil || same && v.Site == nil && v.EventLabel == "" && v.Extension == nil {
		return rec.Key, &doc, err
	}
	is, err := v.patch(ctx, b, c, o, rec, doc)
	return rec.Key, is, err
}

// sameDay finds the participant's visit of the row's event (any, when the row names none) on the row's day.
func (d *MasterDraft) sameDay(ctx context.Context, b *Batch, reg Key, date int64) (*Record, VisitDoc, error) {
	var none VisitDoc
	cp, err := b.protocolAt(ctx, reg)
	if err != nil {
		return nil, none, err
	}
	event := cp.eventByLabel(d.Visit.EventLabel)
	visits, err := b.children(ctx, reg)
	if err != nil {
		return nil, none, err
	}
	for _, rec := range visits {
		doc, err := Decode[VisitDoc](rec)
		if err != nil {
			return nil, none, err
		}
		if doc.ActivityStatus == StatusDisabled || b.day(doc.VisitDate) != b.day(date) ||
			d.Visit.EventLabel != "" && (event == nil || event.id != doc.EventID) {
			continue
		}
		b.recs[rec.Key] = rec
		return rec, doc, nil
	}
	return nil, none, nil
}

// now is the time of the batch.
func (b *Batch) now() time.Time { return time.UnixMilli(b.at).UTC() }

// day is the calendar day of a time, in the zone of the batch.
func (b *Batch) day(ms int64) string { return time.UnixMilli(ms).In(b.zone).Format(time.DateOnly) }

// unchanged tells whether what was sent leaves a stored object as it is.
func unchanged[T any](rec *Record, merge func(*T)) (bool, error) {
	doc, err := Decode[T](rec)
	if err != nil || merge == nil {
		return merge == nil, err
	}
	merge(&doc)
	body, err := json.Marshal(&doc)
	return bytes.Equal(body, rec.Doc), err
}
