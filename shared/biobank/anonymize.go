package biobank

import (
	"context"
	"fmt"
	"time"

	"aliquot/shared/fault"
)

// Anonymizing (reference openspecimen-rest.md section 12) wipes what identifies a person, in all of the person's
// registrations: the participant, External Subject IDs, custom fields, what consents say in words and the signed forms; of
// the visits the comments, the path report and its number, a locked one too, and the custom fields. Answers to statements,
// dates and what was collected stay. What was deleted is wiped as well: of the visits, and of the registrations, in deleted
// protocols, too. The audit keeps what was wiped, and the stored files stay for it.

// Anonymize wipes what identifies a registration's person, of that registration alone. Gender, genotype, vital status, race
// and ethnicity stay, and so does the PPID, which is the protocol's own name for the registration. The External Subject ID
// goes: it is somebody else's name for the person.
func Anonymize(d *RegistrationDoc) {
	p := d.Participant
	d.wipe()
	d.Participant = ParticipantDoc{
		ID: p.ID, Gender: p.Gender, SexGenotype: p.SexGenotype, VitalStatus: p.VitalStatus, Races: p.Races, Ethnicities: p.Ethnicities,
	}
}

// wipe takes out what a registration says about the person besides who that is. Custom fields may identify, and the form that
// tells which do is not at hand.
func (d *RegistrationDoc) wipe() {
	d.ExternalSubjectID, d.Extension = "", nil
	if d.Consents != nil {
		is := *d.Consents
		is.Comments, is.Form = "", nil
		d.Consents = orNone(&is)
	}
}

// wipe takes out what a visit says about the person.
func (d *VisitDoc) wipe() {
	d.Comments, d.SurgicalPathologyNumber, d.Report, d.Extension = "", "", nil, nil
}

// wipeDraft wipes what a visit or a registration says about its person, deleted or not, for who may change identifying values
// there.
type wipeDraft struct {
	typ Type
	key Key
	id  int64
	// deleted tells that the registration was deleted, or its protocol: nobody holds a right there, and it takes none but those in
	// the others.
	deleted bool
}

func (d *wipeDraft) recordType() Type { return d.typ }

func (d *wipeDraft) want(context.Context, *Batch, *Change) error { return nil }

func (d *wipeDraft) read(_ context.Context, b *Batch, _ *Change) error {
	b.wantRec(d.key)
	return nil
}

func (d *wipeDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	rec, err := b.rec(ctx, d.key)
	if err != nil {
		return err
	}
	if rec == nil {
		return missing(d.typ, d.id)
	}
	if !d.deleted {
		cp := rec.Key.Protocol()
		protocol, err := b.rec(ctx, SetKey(Protocol, cp))
		if err != nil {
			return err
		}
		if err := b.actor.mayAnonymize(cp, protocol); err != nil {
			return err
		}
	}
	if d.typ == Registration {
		doc, err := Decode[RegistrationDoc](rec)
		if err != nil {
			return err
		}
		if doc.wipe(); doc.ActivityStatus == StatusDisabled { // which no change of the person reaches
			Anonymize(&doc)
		}
		return b.change(c, rec, &doc, o)
	}
	doc, err := Decode[VisitDoc](rec)
	if err != nil {
		return err
	}
	number := doc.SurgicalPathologyNumber
	doc.wipe()
	if err := b.renumber(ctx, c, number, "", rec.Key, rec.ID); err != nil {
		return err
	}
	return b.change(c, rec, &doc, o)
}

// Anonymize wipes what identifies the person of a registration, after it was checked that all of it may be: the visits first
// and the registration last, so that an anonymization that was cut short goes on when it is asked for again.
func (r *Registry) Anonymize(ctx context.Context, a *Actor, at time.Time, c Change, id int64) (*Record, error) {
	rec, err := r.byID(ctx, Registration, id)
	if err != nil {
		return nil, err
	}
	if rec == nil || statusOf(rec) == StatusDisabled {
		return nil, missing(Registration, id)
	}
	doc, err := Decode[RegistrationDoc](rec)
	if err != nil {
		return nil, err
	}
	c.Op, c.ByID = Update, true
	var changes []Change
	wipe := func(one *Record, deleted bool) {
		next := c
		next.Draft = &wipeDraft{one.Type, one.Key, one.ID, deleted}
		changes = append(changes, next)
	}
	regs, err := r.othersOf(ctx, &doc)
	if err != nil {
		return nil, err
	}
	own := c
	own.Draft = &RegistrationDraft{ID: id, Nameless: true, Merge: Anonymize}
	if err := r.Check(ctx, a, at, []Change{own}); err != nil { // one answer to who may not, whatever hangs on it
		return nil, err
	}
	deleted := map[Key]bool{}
	for _, reg := range regs {
		cp := reg.Key.Protocol()
		protocol, err := r.byID(ctx, Protocol, cp)
		if err == nil {
			if deleted[reg.Key] = statusOf(reg) == StatusDisabled || protocol == nil || statusOf(protocol) == StatusDisabled; deleted[reg.Key] {
				continue
			}
			err = a.mayAnonymize(cp, protocol)
		}
		if fault.All(err) != nil { // not in which: nobody learns from one protocol who is registered in another
			err = denied("anonymize this participant: there is another registration that you would have to be allowed to change")
		}
		if err != nil {
			return nil, err
		}
	}
	for _, reg := range append([]*Record{rec}, regs...) {
		below, err := r.Store.List(ctx, reg.Key.Part, reg.Key.Sort+"/", "", 0)
		if err != nil {
			return nil, fmt.Errorf("list what lies below a registration: %w", err)
		}
		for _, one := range below {
			if one.Type == Visit {
				wipe(one, deleted[reg.Key])
			}
		}
	}
	for _, reg := range regs {
		wipe(reg, deleted[reg.Key])
	}
	recs, err := r.ApplyAll(ctx, a, at, append(changes, own))
	if err != nil {
		return nil, err
	}
	return recs[len(recs)-1], nil
}

// mayAnonymize is nil where the actor may anonymize participants of a protocol.
func (a *Actor) mayAnonymize(cp int64, protocol *Record) error {
	doc, err := Decode[ProtocolDoc](protocol)
	if err == nil && !a.Can(ResParticipantPhi, OpUpdate, cp, doc.Sites) {
		err = denied("anonymize participants of collection protocol " + a.callsProtocol(cp, &doc))
	}
	return err
}

// othersOf reads the other registrations of a registration's person: those that it names, and those that were deleted.
func (r *Registry) othersOf(ctx context.Context, doc *RegistrationDoc) ([]*Record, error) {
	var keys []Key
	for _, e := range doc.Others {
		keys = append(keys, e.Key())
	}
	deleted, err := r.Store.MarksIn(ctx, deletedSet(doc.Participant.ID), "", "", 0)
	if err != nil {
		return nil, fmt.Errorf("look up a person's deleted registrations: %w", err)
	}
	for _, m := range deleted {
		keys = append(keys, m.To)
	}
	if len(keys) == 0 {
		return nil, nil
	}
	keys = dedupe(keys)
	found, err := r.Store.Records(ctx, keys, true)
	if err != nil {
		return nil, fmt.Errorf("read a person's registrations: %w", err)
	}
	var regs []*Record
	for _, key := range keys {
		if reg := found[key]; reg != nil {
			regs = append(regs, reg)
		}
	}
	return regs, nil
}
