package biobank

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"aliquot/shared/fault"
)

// RegistrationDoc is a participant's registration to a protocol, with the person in it (reference openspecimen-rest.md
// sections 12 and 13). Protocol and ids are told by the record's key.
type RegistrationDoc struct {
	PPID              string `json:"ppid"`
	RegistrationDate  string `json:"registrationDate,omitempty"` // yyyy-MM-dd
	SiteID            int64  `json:"siteId,omitempty"`
	ExternalSubjectID string `json:"externalSubjectId,omitempty"`
	Barcode           string `json:"barcode,omitempty"`
	DataEntryStatus   string `json:"dataEntryStatus,omitempty"` // empty: COMPLETE
	ActivityStatus    string `json:"activityStatus"`
	// Extension are the custom fields of the person in this protocol.
	Extension   *Extension     `json:"extension,omitempty"`
	Participant ParticipantDoc `json:"participant"`
	Consents    *ConsentDoc    `json:"consents,omitempty"`
	// Others are the person's other registrations.
	Others []Enrolment `json:"others,omitempty"`
}

// The data entry states.
const (
	EntryComplete = "COMPLETE"
	EntryDraft    = "DRAFT"
)

var (
	uniquePPID = &unique{"CPR_DUP_PPID", "PPID %q is already registered in this collection protocol.", func(r *Record, v string) (bool, error) {
		d, err := Decode[RegistrationDoc](r)
		return d.PPID == v && d.ActivityStatus != StatusDisabled, err
	}}
	uniqueCprBarcode = &unique{"CPR_DUP_BARCODE", "Barcode %q is already used by another registration.", func(r *Record, v string) (bool, error) {
		d, err := Decode[RegistrationDoc](r)
		return d.Barcode == v && d.ActivityStatus != StatusDisabled, err
	}}
)

func (d *RegistrationDraft) want(ctx context.Context, b *Batch, c *Change) error {
	b.wantRec(settingsKey) // read with the first record that is
	if c.Op != Create && d.ID != 0 {
		b.wantMark(IDMark(Registration, d.ID))
	}
	if !d.Protocol.Sent() {
		if d.ID != 0 && c.Op != Create {
			return nil
		}
		return fault.New("CPR_CP_REQUIRED", "Give the CP Short Title.")
	}
	cp, err := b.protocol(ctx, d.Protocol)
	if err != nil {
		return err
	}
	if c.Op != Create && d.Doc.PPID != "" {
		b.wantMark(ppidMark(cp.id, d.Doc.PPID))
	}
	if c.Op != Update {
		for _, name := range d.sentMarks(ctx, b) {
			b.wantMark(name)
		}
	}
	return nil
}

func (d *RegistrationDraft) read(ctx context.Context, b *Batch, c *Change) error {
	if c.Op != Update {
		for _, name := range d.sentMarks(ctx, b) {
			b.wantRec(b.marks[name].To)
		}
	}
	if c.Op == Create {
		return nil
	}
	if d.ID != 0 {
		b.wantRec(b.marks[IDMark(Registration, d.ID)].To)
	}
	if d.Protocol.Sent() && d.Doc.PPID != "" {
		cp, err := b.protocol(ctx, d.Protocol)
		if err != nil {
			return err
		}
		b.wantRec(b.marks[ppidMark(cp.id, d.Doc.PPID)].To)
	}
	return nil
}

// find returns the stored registration that the draft means by Identifier, else by protocol and PPID.
func (d *RegistrationDraft) find(ctx context.Context, b *Batch, c *Change) (*Record, RegistrationDoc, error) {
	var none RegistrationDoc
	// earlier is the registration that an earlier try has deleted or renamed.
	earlier := func(m Mark) (*Record, RegistrationDoc, error) {
		rec, err := b.rec(ctx, m.To)
		if err != nil {
			return nil, none, err
		}
		if is, err := b.done(ctx, rec, c); !is || err != nil {
			return nil, none, err
		}
		doc, err := Decode[RegistrationDoc](rec)
		return rec, doc, err
	}
	if d.ID != 0 {
		m, err := b.mark(ctx, IDMark(Registration, d.ID))
		if err != nil {
			return nil, none, err
		}
		if rec, doc, err := b.registration(ctx, m); rec != nil || err != nil {
			return rec, doc, err
		}
		if rec, doc, err := earlier(m); rec != nil || err != nil {
			return rec, doc, err
		}
	}
	if d.Doc.PPID == "" || !d.Protocol.Sent() || c.ByID {
		return nil, none, nil
	}
	cp, err := b.protocol(ctx, d.Protocol)
	if err != nil {
		return nil, none, err
	}
	m, err := b.mark(ctx, ppidMark(cp.id, d.Doc.PPID))
	if err != nil {
		return nil, none, err
	}
	rec, doc, err := b.registration(ctx, m)
	if err == nil && (rec == nil || doc.PPID != d.Doc.PPID) {
		rec, doc, err = earlier(m)
	}
	if err != nil || b.worksIn(cp) {
		return rec, doc, err
	}
	if rec != nil { // what the row has done it has done, whatever became of its owner's rights
		if is, err := b.done(ctx, rec, c); is || err != nil {
			return rec, doc, err
		}
	}
	return nil, none, denied("change participants of collection protocol " + b.actor.calls(cp))
}

// registration reads the live registration a mark leads to, nil when there is none.
func (b *Batch) registration(ctx context.Context, m Mark) (*Record, RegistrationDoc, error) {
	var none RegistrationDoc
	if m.IsZero() {
		return nil, none, nil
	}
	rec, err := b.rec(ctx, m.To)
	if err != nil || rec == nil {
		return nil, none, err
	}
	doc, err := Decode[RegistrationDoc](rec)
	if err != nil || doc.ActivityStatus == StatusDisabled {
		return nil, none, err
	}
	return rec, doc, nil
}

func (d *RegistrationDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	if c.Op != Create {
		rec, doc, err := d.find(ctx, b, c)
		if err != nil {
			return err
		}
		if rec != nil {
			return d.update(ctx, b, c, o, rec, doc)
		}
		if c.Op == Update {
			if d.Doc.PPID == "" || c.ByID {
				return missing(Registration, d.ID)
			}
			return fault.New("CPR_NOT_FOUND", "PPID %q was not found in the collection protocol.", d.Doc.PPID)
		}
	}
	_, err := d.create(ctx, b, c, o)
	return err
}

// create plans a new registration with its participant and returns its document.
func (d *RegistrationDraft) create(ctx context.Context, b *Batch, c *Change, o *Outcome) (*RegistrationDoc, error) {
	cp, err := b.protocol(ctx, d.Protocol)
	if err != nil {
		return nil, err
	}
	if !b.can(ResParticipantPhi, OpCreate, cp) && !b.can(ResParticipantDeid, OpCreate, cp) {
		return nil, denied("register participants in collection protocol " + b.actor.calls(cp))
	}
	doc := d.Doc
	var l fault.List
	if d.NoParticipant {
		l.Add("CPR_PARTICIPANT_DETAIL_REQUIRED", "Give the participant.")
	}
	if cp.doc.ActivityStatus == StatusClosed {
		l.Add("CPR_CP_CLOSED", "Collection protocol %q is closed.", cp.doc.ShortTitle)
	}
	l.Append(b.peopled(cp))
	if d.Many && !cp.doc.BulkRegistration {
		l.Add("COMMON_INVALID_INPUT", "Collection protocol %q does not allow bulk registration.", cp.doc.ShortTitle)
	}
	if doc.RegistrationDate == "" {
		l.Add("CPR_REG_DATE_REQUIRED", "Give the Registration Date.")
	}
	if gone(doc.ActivityStatus) {
		l.Add("CPR_CREATE_DISABLED_NA", "A registration cannot be created as Disabled.")
	}
	if err := d.references(ctx, b, &l, cp, &doc); err != nil {
		return nil, err
	}
	var p *person
	if !b.can(ResParticipantPhi, OpCreate, cp) && hasPHI(&doc.Participant, d.PMIs) {
		// Not even whether a value is somebody's may be learned from the answer: nobody is looked for.
		l.Add("PARTICIPANT_CANNOT_UPDATE_PHI", "You do not have the right to save identifying values (names, dates of birth or death, contact, National ID, eMPI, MRN) in collection protocol %q.", cp.doc.ShortTitle)
	} else if p, err = d.known(ctx, b, &l, cp, &doc.Participant); err != nil {
		return nil, err
	}
	if p != nil {
		d.link(b, &l, cp, p, &doc)
	}
	if err := d.required(ctx, b, &l, nil, &doc); err != nil {
		return nil, err
	}
	d.check(b, &l, cp, &doc)
	if err := b.extend(ctx, &l, ParticipantFields, cp, nil, &doc.Extension, d.Extension, b.can(ResParticipantPhi, OpCreate, cp)); err != nil {
		return nil, err
	}
	if err := d.consentsOf(ctx, b, &l, OpCreate, cp, &doc); err != nil {
		return nil, err
	}
	switch {
	case doc.PPID == "" && (cp.ppid == nil || cp.doc.ManualPpid):
		l.Add("CPR_PPID_REQUIRED", "Give the PPID.")
	case doc.PPID != "" && cp.ppid != nil && !cp.doc.ManualPpid:
		l.Add("CPR_MANUAL_PPID_NOT_ALLOWED", "PPIDs of collection protocol %q are generated; leave PPID blank.", cp.doc.ShortTitle)
	case doc.PPID != "" && cp.ppid != nil && !cp.ppid.Matches(doc.PPID):
		l.Add("CPR_INVALID_PPID", "PPID %q does not fit the format of the collection protocol.", doc.PPID)
	}
	if len(l) > 0 {
		return nil, l
	}
	id, err := b.number(ctx, c, string(Registration))
	if err != nil {
		return nil, err
	}
	if p == nil {
		if doc.Participant.ID, err = b.number(ctx, c, string(Participant)); err != nil {
			return nil, err
		}
	}
	if doc.PPID == "" {
		v := FormatValues{ShortTitle: cp.doc.ShortTitle, ProtocolCode: cp.doc.Code}
		if _, err := b.numbers(ctx, c, cp.ppid, namesPPID, cp.id, Key{}, &v); err != nil {
			return nil, err
		}
		doc.PPID = cp.ppid.Make(&v)
		if tooLong(&l, "The PPID that the format of the collection protocol makes", doc.PPID, 255); len(l) > 0 {
			return nil, l
		}
	}
	key := RegistrationKey(cp.id, id)
	if p == nil {
		d.claims(b, c, cp, &RegistrationDoc{}, &doc, key, id)
		if err := b.enlisted(ctx, c, key, &RegistrationDoc{}, &doc); err != nil {
			return nil, err
		}
		b.add(roundIDs, Write{Kind: InsertMark, Mark: Mark{Name: IDMark(Participant, doc.Participant.ID), To: key, ID: doc.Participant.ID, Source: c.Source}})
	} else if err := d.linked(ctx, b, c, cp, p, &doc, key, id); err != nil {
		return nil, err
	}
	if err := b.standOn(ctx, SetKey(Protocol, cp.id)); err != nil {
		return nil, err
	}
	if err := b.insert(c, Registration, key, id, &doc, o); err != nil {
		return nil, err
	}
	o.PPID = doc.PPID
	return &doc, nil
}

// references resolves the sites that the draft names.
func (d *RegistrationDraft) references(ctx context.Context, b *Batch, l *fault.List, cp *protocolInfo, doc *RegistrationDoc) error {
	if d.Site != nil {
		id, err := b.siteID(ctx, *d.Site)
		switch {
		case fault.All(err) != nil:
			l.Append(err)
		case err != nil:
			return err
		case id != 0 && !cp.hasSite(id):
			l.Add("CPR_NOT_CP_SITE", "Site %q is not a site of collection protocol %q.", *d.Site, cp.doc.ShortTitle)
		default:
			doc.SiteID = id
		}
	}
	if d.PMIs == nil {
		return nil
	}
	doc.Participant.PMIs = nil
	for _, p := range d.PMIs {
		if p.Site == "" {
			l.Add("SITE_NOT_FOUND", "MRN %q has no site; give PMI Site Name and MRN together.", p.MRN)
			continue
		}
		id, err := b.siteID(ctx, p.Site)
		if fault.All(err) != nil {
			l.Append(err)
			continue
		} else if err != nil {
			return err
		}
		for _, other := range doc.Participant.PMIs {
			if other.SiteID == id {
				l.Add("PARTICIPANT_DUP_MRN_SITE", "Site %q has more than one MRN.", p.Site)
			}
		}
		doc.Participant.PMIs = append(doc.Participant.PMIs, PMI{SiteID: id, MRN: p.MRN})
	}
	return nil
}

// check holds the rules that a registration's own values must keep, new or changed (sections 12 and 13).
func (d *RegistrationDraft) check(b *Batch, l *fault.List, cp *protocolInfo, doc *RegistrationDoc) {
	status(l, &doc.ActivityStatus)
	switch strings.ToUpper(doc.DataEntryStatus) {
	case "", EntryComplete:
		doc.DataEntryStatus = ""
	case EntryDraft:
		doc.DataEntryStatus = EntryDraft
		if !cp.doc.DraftDataEntry {
			l.Add("CPR_DRAFT_NOT_ALLOWED", "Collection protocol %q does not allow drafts.", cp.doc.ShortTitle)
		}
	default:
		l.Add("COMMON_INVALID_INPUT", "Data Entry Status %q is not valid. It is COMPLETE or DRAFT.", doc.DataEntryStatus)
	}
	tomorrow := dayAfter(b.at)
	if doc.RegistrationDate > tomorrow {
		l.Add("COMMON_DATE_GT_TODAY", "Registration Date %s lies in the future.", doc.RegistrationDate)
	}
	p := &doc.Participant
	value(l, "gender", "PARTICIPANT_INVALID_GENDER", "Gender", &p.Gender)
	// The reference has no code of its own for a genotype that is not in the list.
	value(l, SexGenotypes, "COMMON_INVALID_INPUT", "Sex Genotype", &p.SexGenotype)
	value(l, "vital_status", "PARTICIPANT_INVALID_VITAL_STATUS", "Vital Status", &p.VitalStatus)
	values(l, "race", "PARTICIPANT_INVALID_RACE", "Race", p.Races)
	values(l, "ethnicity", "PARTICIPANT_INVALID_ETHNICITY", "Ethnicity", p.Ethnicities)
	if p.BirthDate > tomorrow {
		l.Add("PARTICIPANT_INVALID_BIRTH_DATE", "Date Of Birth lies in the future.")
	}
	if p.DeathDate != "" {
		if p.DeathDate > tomorrow || p.BirthDate != "" && p.DeathDate < p.BirthDate {
			l.Add("PARTICIPANT_INVALID_DEATH_DATE", "Death Date lies in the future or before Date Of Birth.")
		}
		if !Dead(p.VitalStatus) {
			p.DeathDate = ""
		}
	}
	if at := strings.IndexByte(p.EmailAddress, '@'); p.EmailAddress != "" && (at < 1 || at == len(p.EmailAddress)-1 || strings.ContainsAny(p.EmailAddress, " ,;")) {
		l.Add("PARTICIPANT_INVALID_EMAIL_ID", "Email Address is not valid.")
	}
	tooLong(l, "PPID", doc.PPID, 255)
	tooLong(l, "Barcode", doc.Barcode, 255)
	tooLong(l, "National ID", p.UID, 255)
	tooLong(l, "eMPI", p.EMPI, 255)
	for _, m := range p.PMIs {
		tooLong(l, "MRN", m.MRN, 255)
	}
}

// dayAfter is the day after a time, in epoch milliseconds: what lies behind it is in the future wherever the caller is.
func dayAfter(at int64) string { return time.UnixMilli(at + day).UTC().Format(time.DateOnly) }

// claims plans the marks of the values that changed and must be unique.
func (d *RegistrationDraft) claims(b *Batch, c *Change, cp *protocolInfo, was, is *RegistrationDoc, key Key, id int64) {
	if is.PPID != was.PPID {
		b.claim(c, uniquePPID, is.PPID, ppidMark(cp.id, is.PPID), key, id, "")
	}
	if is.Barcode != "" && is.Barcode != was.Barcode {
		b.claim(c, uniqueCprBarcode, is.Barcode, cprBarcodeMark(is.Barcode), key, id, "")
	}
	if was.Participant.ID == is.Participant.ID || was.Participant.ID == 0 {
		b.claimPerson(c, &was.Participant, &is.Participant, key, id)
	}
}

func (d *RegistrationDraft) update(ctx context.Context, b *Batch, c *Change, o *Outcome, rec *Record, was RegistrationDoc) error {
	o.PPID = b.nameBefore(was.PPID, was.ActivityStatus)
	if is, err := b.done(ctx, rec, c); err != nil {
		return err
	} else if is {
		return errors.Join(b.unlist(ctx, c, rec, &was), done(o, rec, nil))
	}
	_, err := d.patch(ctx, b, c, o, rec, was)
	return err
}

// put changes a stored registration as the draft says.
func (d *RegistrationDraft) put(doc *RegistrationDoc) {
	if d.Merge != nil {
		d.Merge(doc)
		return
	}
	was := *doc
	*doc = d.Doc
	doc.Participant.ID, doc.Others, doc.Consents = was.Participant.ID, was.Others, was.Consents
}

// identifies tells whether the draft gives a stored participant identifying values, those that are stored or others: were the
// right ones taken from who may not see them, they could be found by guessing. Blank gives none, but takes away what is shown
// to be there: of dates (see keepDates) not even that is shown.
func (d *RegistrationDraft) identifies(was *RegistrationDoc) bool {
	if d.Nameless || len(d.PMIs) > 0 || d.PMIs != nil && len(was.Participant.PMIs) > 0 {
		return true
	}
	const kept = "\x00"
	probe := *was
	for _, field := range phiFields(&probe.Participant) {
		*field = kept
	}
	d.put(&probe)
	stored := phiFields(&was.Participant)
	for i, field := range phiFields(&probe.Participant) {
		if *field != kept && (*field != "" || *stored[i] != "" && stored[i] != &was.Participant.BirthDate && stored[i] != &was.Participant.DeathDate) {
			return true
		}
	}
	return false
}

// keepDates gives a participant back the dates that were sent blank by who is shown none.
func keepDates(is, was *ParticipantDoc) {
	is.BirthDate, is.DeathDate = cmp.Or(is.BirthDate, was.BirthDate), cmp.Or(is.DeathDate, was.DeathDate)
}

// patch plans a change of a stored registration and returns the new document.
func (d *RegistrationDraft) patch(ctx context.Context, b *Batch, c *Change, o *Outcome, rec *Record, was RegistrationDoc) (*RegistrationDoc, error) {
	o.PPID = was.PPID
	cp, err := b.protocolAt(ctx, rec.Key)
	if err != nil {
		return nil, err
	}
	is, err := Decode[RegistrationDoc](rec)
	if err != nil {
		return nil, err
	}
	d.put(&is)
	if is.PPID == "" {
		is.PPID = was.PPID
	}
	op := OpUpdate
	if gone(is.ActivityStatus) {
		op = OpDelete
	}
	phi := b.can(ResParticipantPhi, op, cp)
	if !phi && !b.can(ResParticipantDeid, op, cp) {
		return nil, denied("change participants of collection protocol " + b.actor.calls(cp))
	}
	if err := b.peopled(cp); err != nil {
		return nil, err
	}
	if !phi {
		keepDates(&is.Participant, &was.Participant)
	}
	if !phi && d.identifies(&was) {
		return nil, fault.New("PARTICIPANT_CANNOT_UPDATE_PHI", "You do not have the right to change identifying values (names, dates of birth or death, contact, National ID, eMPI, MRN) in collection protocol %q.", cp.doc.ShortTitle)
	}
	var l fault.List
	if err := d.references(ctx, b, &l, cp, &is); err != nil {
		return nil, err
	}
	merges := d.ParticipantID != 0 && d.ParticipantID != was.Participant.ID && op == OpUpdate
	if merges {
		is.Participant = was.Participant // who it is of now tells the other participant
	}
	if is.RegistrationDate == "" {
		l.Add("CPR_REG_DATE_REQUIRED", "Give the Registration Date.")
	}
	if err := d.required(ctx, b, &l, &was, &is); err != nil {
		return nil, err
	}
	d.check(b, &l, cp, &is)
	if err := b.extend(ctx, &l, ParticipantFields, cp, was.Extension, &is.Extension, d.Extension, phi); err != nil {
		return nil, err
	}
	if err := d.consentsOf(ctx, b, &l, OpUpdate, cp, &is); err != nil {
		return nil, err
	}
	if is.PPID != was.PPID && cp.ppid != nil && !cp.doc.ManualPpid {
		l.Add("CPR_MANUAL_PPID_NOT_ALLOWED", "PPIDs of collection protocol %q are generated and cannot be changed.", cp.doc.ShortTitle)
	}
	if is.PPID != was.PPID && cp.ppid != nil && cp.doc.ManualPpid && !cp.ppid.Matches(is.PPID) {
		l.Add("CPR_INVALID_PPID", "PPID %q does not fit the format of the collection protocol.", is.PPID)
	}
	if len(l) > 0 {
		return nil, l
	}
	if is.ActivityStatus == StatusDisabled {
		return &is, b.remove(ctx, c, o, rec, d.Force)
	}
	if merges {
		err = d.merge(ctx, b, c, cp, rec, &was, &is)
	} else if !same(&is.Participant, &was.Participant) {
		err = b.changePerson(ctx, c, rec, &was, &is)
	}
	if err != nil {
		return nil, err
	}
	d.claims(b, c, cp, &was, &is, rec.Key, rec.ID)
	if err := b.enlisted(ctx, c, rec.Key, &was, &is); err != nil {
		return nil, err
	}
	if err := b.change(c, rec, &is, o); err != nil {
		return nil, err
	}
	o.PPID = is.PPID
	if is.PPID != was.PPID {
		if err := b.release(ctx, ppidMark(cp.id, was.PPID), rec.Key); err != nil {
			return nil, err
		}
	}
	if was.Barcode != "" && is.Barcode != was.Barcode {
		if err := b.release(ctx, cprBarcodeMark(was.Barcode), rec.Key); err != nil {
			return nil, err
		}
	}
	return &is, nil
}
