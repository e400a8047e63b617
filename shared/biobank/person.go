package biobank

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"aliquot/shared/fault"
)

// A person across protocols (reference openspecimen-rest.md sections 12 and 13; infra/decisions/one-person.md).
//
// Every registration holds a whole copy of the person, so that a tree is read without a join, and names the person's
// other registrations. A change of the person by way of one of them changes them all: for a request in its transaction;
// for a job the others first and then the one that the row is about, so that a row that was cut short is not done yet and
// makes the copies equal when it is tried again. The marks of the person (id, eMPI, National ID, MRNs) lead to any live
// registration of it.

// Enrolment names a registration of a person.
type Enrolment struct {
	Protocol int64 `json:"cp"`
	ID       int64 `json:"cpr"`
}

// Key is the place of the registration.
func (e Enrolment) Key() Key { return RegistrationKey(e.Protocol, e.ID) }

func enrolment(reg Key) Enrolment { return Enrolment{reg.Protocol(), reg.Registration()} }

// maxEnrolments is in how many protocols a person can be registered: a change of the person writes them all at once, two
// items each.
const maxEnrolments = 30

// person is somebody who is registered.
type person struct {
	doc ParticipantDoc
	// regs are the live registrations, of which the first has the copy that counts.
	regs []*Record
	docs []RegistrationDoc
}

// person reads the person of a live registration.
func (b *Batch) person(ctx context.Context, rec *Record, doc *RegistrationDoc) (*person, error) {
	p := &person{doc: doc.Participant, regs: []*Record{rec}, docs: []RegistrationDoc{*doc}}
	for _, e := range doc.Others {
		b.wantRec(e.Key())
	}
	if err := b.readRecs(ctx); err != nil {
		return nil, err
	}
	for _, e := range doc.Others {
		other, odoc, err := b.registration(ctx, Mark{Name: "-", To: e.Key()})
		if err != nil {
			return nil, err
		}
		if other != nil && odoc.Participant.ID == doc.Participant.ID {
			p.regs, p.docs = append(p.regs, other), append(p.docs, odoc)
		}
	}
	return p, nil
}

// personByID finds a registered person, nil when there is none.
func (b *Batch) personByID(ctx context.Context, id int64) (*person, error) {
	m, err := b.mark(ctx, IDMark(Participant, id))
	if err != nil {
		return nil, err
	}
	rec, doc, err := b.registration(ctx, m)
	if err != nil || rec == nil || doc.Participant.ID != id {
		return nil, err
	}
	return b.person(ctx, rec, &doc)
}

// personByMark finds the person who holds an eMPI, National ID or MRN, nil when nobody does.
func (b *Batch) personByMark(ctx context.Context, name string) (*person, error) {
	m, err := b.mark(ctx, name)
	if err != nil {
		return nil, err
	}
	rec, doc, err := b.registration(ctx, m)
	if err != nil || rec == nil || !slices.Contains(personMarks(&doc.Participant), name) {
		return nil, err
	}
	return b.person(ctx, rec, &doc)
}

// in is the person's registration in a protocol, nil when there is none.
func (p *person) in(cp int64) (*Record, RegistrationDoc) {
	for i, rec := range p.regs {
		if rec.Key.Protocol() == cp {
			return rec, p.docs[i]
		}
	}
	return nil, RegistrationDoc{}
}

// enrolments are the person's registrations but the one at a key.
func (p *person) enrolments(but Key) []Enrolment {
	var out []Enrolment
	for _, rec := range p.regs {
		if rec.Key != but {
			out = append(out, enrolment(rec.Key))
		}
	}
	return out
}

// spread plans that the person's registrations other than the one at a key hold the person as is, and name the
// registrations that others gives for each.
func (b *Batch) spread(c *Change, p *person, but Key, is *ParticipantDoc, others func(Key) []Enrolment) error {
	for i, rec := range p.regs {
		if rec.Key == but {
			continue
		}
		doc := p.docs[i]
		doc.Participant, doc.Others = *is, others(rec.Key)
		if err := b.changeBelow(c, rec, &doc); err != nil {
			return err
		}
	}
	return nil
}

// joined are the registrations that each of a person's names once there is another.
func (p *person) joined(reg Key) func(Key) []Enrolment {
	return func(one Key) []Enrolment {
		return append(slices.DeleteFunc(p.enrolments(one), func(e Enrolment) bool { return e.Key() == reg }), enrolment(reg))
	}
}

// left are the registrations that each of a person's names once one is no longer the person's.
func (p *person) left(reg Key) func(Key) []Enrolment {
	return func(one Key) []Enrolment {
		return slices.DeleteFunc(p.enrolments(one), func(e Enrolment) bool { return e.Key() == reg })
	}
}

// leave plans that a person no longer has a registration: the others forget it, and the marks that lead to it lead to one
// of them. A person without another registration is gone.
func (b *Batch) leave(ctx context.Context, c *Change, rec *Record, was *RegistrationDoc) error {
	p, err := b.person(ctx, rec, was)
	if err != nil {
		return err
	}
	names := append(personMarks(&was.Participant), IDMark(Participant, was.Participant.ID))
	if len(p.regs) == 1 {
		if err := b.enlist(ctx, c, rec.Key, []entry{nameEntry(&was.Participant)}, nil); err != nil {
			return err
		}
		for _, name := range names {
			if err := b.release(ctx, name, rec.Key); err != nil {
				return err
			}
		}
		return nil
	}
	heir := p.regs[1]
	for _, name := range names {
		m, err := b.mark(ctx, name)
		if err != nil {
			return err
		}
		if m.To != rec.Key {
			continue
		}
		// Before the records change: whichever of them a mark leads to, it counts.
		next := Mark{Name: name, To: heir.Key, ID: m.ID, Source: m.Source, Info: m.Info}
		b.writes[roundEntries] = append(b.writes[roundEntries], rowWrite{
			row: b.row, lax: true, Write: Write{Kind: TakeMark, Mark: next, WasSource: m.Source, WasTo: m.To},
		})
	}
	return b.spread(c, p, rec.Key, &was.Participant, p.left(rec.Key))
}

// deletedSet are the marks that lead to the registrations of a person that were deleted while there were others: no record
// names them any more.
//
//	participant.deleted#<person>  <registration>
func deletedSet(person int64) string { return fmt.Sprintf("%s.deleted#%d", Participant, person) }

// noteDeleted plans the mark of a person's registration that is deleted.
func (b *Batch) noteDeleted(rec *Record, person int64) {
	m := Mark{Name: SetMark(deletedSet(person), PadID(rec.ID)), To: rec.Key, ID: rec.ID}
	b.writes[roundIDs] = append(b.writes[roundIDs], rowWrite{row: b.row, lax: true, Write: Write{Kind: InsertMark, Mark: m}})
}

// sentMarks are the marks by which a known person is found, in the order in which they count. Sites that are not known are
// told by the plan.
func (d *RegistrationDraft) sentMarks(ctx context.Context, b *Batch) []string {
	if d.ParticipantID != 0 {
		return []string{IDMark(Participant, d.ParticipantID)}
	}
	sent := ParticipantDoc{EMPI: d.Doc.Participant.EMPI, UID: d.Doc.Participant.UID}
	for _, m := range d.PMIs {
		if id, err := b.siteID(ctx, m.Site); err == nil && id != 0 {
			sent.PMIs = append(sent.PMIs, PMI{SiteID: id, MRN: m.MRN})
		}
	}
	return personMarks(&sent)
}

// known finds who the draft registers once more: by the participant's id, else by eMPI, National ID and MRNs; nil for
// somebody new. What speaks against it is told in l, with nothing about the protocols where the person is registered.
//
// Whoever sends a participant's id must be able to see that person already: ids are easily guessed. An eMPI, a National
// ID or an MRN is knowledge of the person, and links whether or not the actor has rights where else it is registered.
func (d *RegistrationDraft) known(ctx context.Context, b *Batch, l *fault.List, cp *protocolInfo, sent *ParticipantDoc) (*person, error) {
	if d.ParticipantID != 0 {
		p, err := b.visible(ctx, d.ParticipantID, cp)
		if err == nil && p == nil {
			l.Add("PARTICIPANT_NOT_FOUND", "Participant %d was not found.", d.ParticipantID)
		}
		return p, err
	}
	var found *person
	for _, name := range personMarks(sent) {
		p, err := b.personByMark(ctx, name)
		if err != nil {
			return nil, err
		}
		switch {
		case p == nil:
		case found == nil:
			found = p
		case found.doc.ID != p.doc.ID:
			l.Add("PARTICIPANT_MULTI_MATCHES", "eMPI, National ID and MRNs belong to more than one participant.")
			return nil, nil
		}
	}
	if found == nil {
		return nil, nil
	}
	is := &found.doc
	if sent.EMPI != "" && is.EMPI != "" && sent.EMPI != is.EMPI {
		l.Add("PARTICIPANT_EMPI_MRN_DIFF", "The participant with this National ID or MRN has another eMPI.")
	}
	if sent.UID != "" && is.UID != "" && sent.UID != is.UID {
		l.Add("PARTICIPANT_INVALID_UID", "The participant with this eMPI or MRN has another National ID.")
	}
	for _, m := range sent.PMIs {
		if m.MRN != "" && slices.ContainsFunc(is.PMIs, func(o PMI) bool { return o.SiteID == m.SiteID && o.MRN != "" && o.MRN != m.MRN }) {
			l.Add("PARTICIPANT_MRN_DIFF", "The participant with these identifiers has another MRN at the site of MRN %q.", m.MRN)
		}
	}
	return found, nil
}

// visible finds a person by id whom the actor may see by way of some registration; identified, where the registration in
// cp is going to show what identifies the person. It is nil where there is none.
func (b *Batch) visible(ctx context.Context, id int64, cp *protocolInfo) (*person, error) {
	p, err := b.personByID(ctx, id)
	if err != nil || p == nil {
		return nil, err
	}
	phi := b.can(ResParticipantPhi, OpRead, cp)
	for _, rec := range p.regs {
		at, err := b.protocolAt(ctx, rec.Key)
		if err != nil {
			if fault.All(err) != nil {
				continue // deleted with its protocol
			}
			return nil, err
		}
		if b.can(ResParticipantPhi, OpRead, at) || !phi && b.can(ResParticipantDeid, OpRead, at) {
			return p, nil
		}
	}
	return nil, nil
}

// link checks the registration of a known person in one more protocol: doc takes the person over, with the values that were
// sent.
func (d *RegistrationDraft) link(b *Batch, l *fault.List, cp *protocolInfo, p *person, doc *RegistrationDoc) {
	if rec, _ := p.in(cp.id); rec != nil {
		l.Add("CPR_DUP_REGISTRATION", "The participant is already registered in collection protocol %q.", cp.doc.ShortTitle)
	}
	if len(p.regs) >= maxEnrolments {
		l.Add("COMMON_INVALID_INPUT", "The participant is registered in %d collection protocols; more are not possible.", len(p.regs))
	}
	is := p.doc
	overlay(&is, &doc.Participant)
	switch {
	case b.can(ResParticipantPhi, OpUpdate, cp):
	case phiOf(&is) != phiOf(&p.doc), !same(&is, &p.doc) && !b.can(ResParticipantDeid, OpUpdate, cp):
		l.Add("PARTICIPANT_CANNOT_UPDATE_PHI", "The participant is known with other values, and you do not have the right to change them in collection protocol %q.", cp.doc.ShortTitle)
	}
	doc.Participant, doc.Others = is, p.enrolments(Key{})
}

// linked plans what of the registration of a known person lies elsewhere: the other registrations name it, and take over
// the values that were sent with it.
func (d *RegistrationDraft) linked(ctx context.Context, b *Batch, c *Change, cp *protocolInfo, p *person, doc *RegistrationDoc, key Key, id int64) error {
	d.claims(b, c, cp, &RegistrationDoc{Participant: p.doc}, doc, key, id)
	if err := b.enlisted(ctx, c, key, &RegistrationDoc{Participant: p.doc}, doc); err != nil {
		return err
	}
	if err := b.freePerson(ctx, p, &doc.Participant); err != nil {
		return err
	}
	return b.spread(c, p, key, &doc.Participant, p.joined(key))
}

// changePerson plans what of a change of a registration's person lies elsewhere.
func (b *Batch) changePerson(ctx context.Context, c *Change, rec *Record, was, is *RegistrationDoc) error {
	p, err := b.person(ctx, rec, was)
	if err != nil {
		return err
	}
	if err := b.freePerson(ctx, p, &is.Participant); err != nil {
		return err
	}
	return b.spread(c, p, rec.Key, &is.Participant, p.enrolments)
}

// claimPerson plans the marks of what newly identifies a person.
func (b *Batch) claimPerson(c *Change, was, is *ParticipantDoc, key Key, id int64) {
	if is.EMPI != "" && is.EMPI != was.EMPI {
		b.claim(c, uniqueEMPI, is.EMPI, empiMark(is.EMPI), key, id, "")
	}
	if is.UID != "" && is.UID != was.UID {
		b.claim(c, uniqueUID, is.UID, uidMark(is.UID), key, id, "")
	}
	had := personMarks(was)
	for _, m := range is.PMIs {
		if name := mrnMark(m.SiteID, m.MRN); m.MRN != "" && !slices.Contains(had, name) {
			b.claim(c, uniqueMRN(m.SiteID), m.MRN, name, key, id, "")
		}
	}
}

// freePerson plans giving up the marks of what identifies a person no longer, whichever registration they lead to.
func (b *Batch) freePerson(ctx context.Context, p *person, is *ParticipantDoc) error {
	keep := personMarks(is)
	for _, name := range personMarks(&p.doc) {
		if slices.Contains(keep, name) {
			continue
		}
		for _, rec := range p.regs {
			if err := b.release(ctx, name, rec.Key); err != nil {
				return err
			}
		}
	}
	return nil
}

// same compares two objects.
func same[T any](a, b *T) bool { return reflect.DeepEqual(a, b) }

// overlay puts the values that are not blank onto a person. MRNs are added, or replaced, site by site.
func overlay(onto, sent *ParticipantDoc) {
	id, pmis := onto.ID, slices.Clone(onto.PMIs)
	to, from := reflect.ValueOf(onto).Elem(), reflect.ValueOf(sent).Elem()
	for i := range from.NumField() {
		if v := from.Field(i); !v.IsZero() && (v.Kind() != reflect.Slice || v.Len() > 0) {
			to.Field(i).Set(v)
		}
	}
	for _, m := range sent.PMIs {
		at := slices.IndexFunc(pmis, func(o PMI) bool { return o.SiteID == m.SiteID })
		switch {
		case at < 0:
			pmis = append(pmis, m)
		case m.MRN != "":
			pmis[at] = m
		}
	}
	onto.ID, onto.PMIs = id, pmis
}

// merge plans what of a registration's move to another person lies elsewhere, and gives the registration that person. The
// person it leaves is gone when this was the only registration.
func (d *RegistrationDraft) merge(ctx context.Context, b *Batch, c *Change, cp *protocolInfo, rec *Record, was, is *RegistrationDoc) error {
	if !b.can(ResParticipantPhi, OpUpdate, cp) {
		return fault.New("PARTICIPANT_CANNOT_UPDATE_PHI", "You do not have the right to give a registration of collection protocol %q to another participant.", cp.doc.ShortTitle)
	}
	p, err := b.visible(ctx, d.ParticipantID, cp)
	if err != nil {
		return err
	}
	if p == nil {
		return fault.New("PARTICIPANT_NOT_FOUND", "Participant %d was not found.", d.ParticipantID)
	}
	if other, _ := p.in(cp.id); other != nil {
		return fault.New("CPR_CANNOT_MERGE_PARTICIPANT", "Participant %d has a registration of its own in collection protocol %q.", d.ParticipantID, cp.doc.ShortTitle)
	}
	if len(p.regs) >= maxEnrolments {
		return fault.New("CPR_CANNOT_MERGE_PARTICIPANT", "The participant is registered in %d collection protocols; more are not possible.", len(p.regs))
	}
	is.Participant, is.Others = p.doc, p.enrolments(Key{})
	if err := b.leave(ctx, c, rec, was); err != nil {
		return err
	}
	return b.spread(c, p, Key{}, &p.doc, p.joined(rec.Key))
}
