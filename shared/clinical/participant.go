package clinical

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"aliquot/shared/biobank"
)

// The codes of making participants (section 9).
const (
	ParticipantIDAlreadyExists Code = "participantIDAlreadyExists"
	ParticipantIDTooLong       Code = "participantIdTooLong"
	ParticipateInActive        Code = "participateInActive"
	FirstNameTooLong           Code = "firstNameTooLong"
	LastNameTooLong            Code = "lastNameTooLong"
	EmailAddressTooLong        Code = "emailAddressTooLong"
	PhoneTooLong               Code = "phoneTooLong"
	ParticipantIDNotValid      Code = "participantIDNotValid"
	ParticipantOIDNotValid     Code = "participantOIDNotValid"
	ParticipantOIDExists       Code = "participantOIDAlreadyExists"
	UniqueIdentifierTooLong    Code = "uniqueIdentifierTooLong"
	SecondaryIDTooLong         Code = "secondaryIdTooLong"
	DateOfBirthNotValid        Code = "dateOfBirthNotValid"
	YearOfBirthNotValid        Code = "yearOfBirthNotValid"
	SexNotValid                Code = "sexNotValid"
	EnrollmentDateNotValid     Code = "enrollmentDateNotValid"
)

// The most characters of what is known of a person. The reference tells those of the id and the first name; the others
// are ours, and so are lastNameTooLong and phoneTooLong, and the codes of what documents show of a participant.
const (
	maxLabel     = 30
	maxFirstName = 35
	maxLastName  = 35
	maxEmail     = 255
	maxPhone     = 30
	maxUniqueID  = 255
	maxSecondary = 30
)

// Participant is a participant with the record that tells who made it, and when.
type Participant struct {
	ID int64
	Subject
	CreatedBy, CreatedAt int64
}

// SubjectDraft is what is asked of a participant: what is empty is not given.
type SubjectDraft struct {
	Label string // Participant ID
	// OID is the one that the participant has in another system, by which documents of that name it, perhaps alone. Empty: one is
	// made of the ID. Of a participant that exists it is not changed.
	OID                               string
	FirstName, LastName, Email, Phone string
	// What documents show (section 6.5). Nobody looks whether another participant has the identifiers. Of the birth the date or
	// the year is kept: a date takes the place of a year, and another year that of a date.
	UniqueIdentifier, SecondaryID            string
	DateOfBirth, YearOfBirth, EnrollmentDate string // yyyy-MM-dd, yyyy
	Sex                                      string // m or f, in any case
	// Removed takes a participant that exists out of use, or back into it; nil for neither. Reason is why, if that is told.
	Removed *bool
	Reason  string
}

func (d *SubjectDraft) check() error {
	switch {
	case d.Label == "":
		return MissingParticipantID
	case longer(d.Label, maxLabel):
		return ParticipantIDTooLong
	case !utf8.ValidString(d.Label) || notInPath(d.Label): // requests name it in their paths
		return ParticipantIDNotValid
	case d.OID != "" && (!utf8.ValidString(d.OID) || notInPath(d.OID) || len(escape(Fold(d.OID))) > maxOID):
		return ParticipantOIDNotValid
	case longer(d.FirstName, maxFirstName):
		return FirstNameTooLong
	case longer(d.LastName, maxLastName):
		return LastNameTooLong
	case longer(d.Email, maxEmail):
		return EmailAddressTooLong
	case longer(d.Phone, maxPhone):
		return PhoneTooLong
	case longer(d.UniqueIdentifier, maxUniqueID):
		return UniqueIdentifierTooLong
	case longer(d.SecondaryID, maxSecondary):
		return SecondaryIDTooLong
	case d.DateOfBirth != "" && !isDay(d.DateOfBirth):
		return DateOfBirthNotValid
	case d.YearOfBirth != "" && (!isDate(d.YearOfBirth, "2006") || d.DateOfBirth != "" && d.DateOfBirth[:4] != d.YearOfBirth):
		return YearOfBirthNotValid
	case d.Sex != "" && !strings.EqualFold(d.Sex, "m") && !strings.EqualFold(d.Sex, "f"):
		return SexNotValid
	case d.EnrollmentDate != "" && !isDay(d.EnrollmentDate):
		return EnrollmentDateNotValid
	}
	return nil
}

// put gives a participant what is asked for, and tells whether that changes anything.
func (d *SubjectDraft) put(s *Subject) bool {
	was := *s
	for _, f := range []struct {
		of *string
		to string
	}{
		{&s.FirstName, d.FirstName},
		{&s.LastName, d.LastName},
		{&s.Email, d.Email},
		{&s.Phone, d.Phone},
		{&s.UniqueIdentifier, d.UniqueIdentifier},
		{&s.SecondaryID, d.SecondaryID},
		{&s.Sex, strings.ToLower(d.Sex)},
		{&s.EnrollmentDate, d.EnrollmentDate},
	} {
		if f.to != "" {
			*f.of = f.to
		}
	}
	switch {
	case d.DateOfBirth != "":
		s.DateOfBirth, s.YearOfBirth = d.DateOfBirth, ""
	case d.YearOfBirth != "" && !strings.HasPrefix(s.DateOfBirth, d.YearOfBirth):
		s.DateOfBirth, s.YearOfBirth = "", d.YearOfBirth
	}
	return *s != was
}

// AddParticipant makes a participant at a place that takes data, for who may change data there. An ID is taken once at each
// site, an OID once in the study (ParticipantOIDExists). It costs a number and a transaction, and another transaction where
// the OID that was made of the ID is taken.
func (r *Registry) AddParticipant(ctx context.Context, by By, p *Place, d SubjectDraft) (*Participant, error) {
	if err := by.MayChange(p); err != nil {
		return nil, err
	}
	if err := p.Open(); err != nil {
		return nil, err
	}
	d.Label, d.OID = strings.TrimSpace(d.Label), strings.TrimSpace(d.OID)
	if err := d.check(); err != nil {
		return nil, err
	}
	id, err := r.Store.Reserve(ctx, string(SubjectType), 1)
	if err != nil {
		return nil, fmt.Errorf("draw a participant id: %w", err)
	}
	s := Subject{
		OID: cmp.Or(d.OID, subjectOID(d.Label)), Label: d.Label, Study: p.Study.ID, Site: p.Site.ID,
	}
	d.put(&s)
	taken := s.OID == "SS_" && d.OID == ""
	for range tries {
		if taken {
			if s.OID, err = r.otherOID(s.OID); err != nil {
				return nil, err
			}
		}
		rec, writes, err := by.newSubject(id, s)
		if err != nil {
			return nil, err
		}
		err = r.transact(ctx, writes, map[int]error{labelWrite: ParticipantIDAlreadyExists, oidWrite: errOIDTaken})
		switch {
		case err == nil:
			return participant(rec)
		case errors.Is(err, errOIDTaken) && d.OID != "":
			return nil, ParticipantOIDExists
		case errors.Is(err, errOIDTaken):
			taken = true
		case !errors.Is(err, errMoved):
			return nil, err
		}
	}
	return nil, busy()
}

// PutParticipant makes a participant at a place, or is UpdateParticipant for the one that has the ID there. The refusals are
// those of both.
func (r *Registry) PutParticipant(ctx context.Context, by By, p *Place, d SubjectDraft) (*Participant, error) {
	if err := by.MayChange(p); err != nil {
		return nil, err
	}
	d.Label = strings.TrimSpace(d.Label)
	if err := d.check(); err != nil {
		return nil, err
	}
	_, known, err := FindSubject(ctx, r.Store, p.Study.ID, "", d.Label)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(known, func(l Listed) bool { return l.Site == p.Site.ID }) {
		made, err := r.AddParticipant(ctx, by, p, d)
		if !errors.Is(err, ParticipantIDAlreadyExists) { // somebody else may have made it meanwhile
			return made, err
		}
	}
	return r.UpdateParticipant(ctx, by, p, d)
}

// UpdateParticipant changes what is known of the participant of a place with an ID: what is empty stays as it is. It removes
// and restores a participant, too; another OID is ParticipantIdentifiersMismatch; of one who is removed nothing else is changed (ParticipantNotAvailable), nor are data taken.
// Done again with the same By.ID it changes nothing. The other refusals are those of Participant and of AddParticipant.
func (r *Registry) UpdateParticipant(ctx context.Context, by By, p *Place, d SubjectDraft) (*Participant, error) {
	d.Label = strings.TrimSpace(d.Label)
	if err := cmp.Or(by.MayChange(p), d.check()); err != nil {
		return nil, err
	}
	var done *Participant
	err := r.changeAnySubject(ctx, by, p, d.Label, d.Reason, func(w *work) ([]biobank.Write, error) {
		s := w.head.doc
		if d.OID != "" && Fold(d.OID) != Fold(s.OID) {
			return nil, ParticipantIdentifiersMismatch
		}
		if !w.head.rec.Done(by.ID) {
			was := s.Removed
			turned := turn(&s.Removed, d.Removed)
			changed := d.put(s)
			if was && s.Removed && (changed || d.Removed == nil) {
				return nil, ParticipantNotAvailable
			}
			w.head.changed = turned || changed
		}
		done = &Participant{ID: w.id, Subject: *s, CreatedBy: w.head.rec.CreatedBy, CreatedAt: w.head.rec.CreatedAt}
		return nil, nil
	})
	if err != nil {
		return nil, err
	}
	return done, nil
}

var errOIDTaken = errors.New("the OID is taken")

// The places of what may be taken among the writes of newSubject.
const (
	labelWrite = iota
	oidWrite
)

// newSubject is what makes a participant.
func (b By) newSubject(id int64, s Subject) (*biobank.Record, []biobank.Write, error) {
	key := SubjectKey(id)
	head, err := b.begin(key, SubjectType, id, s)
	if err != nil {
		return nil, nil, err
	}
	head.Source = b.ID // so that who makes it again finds that it did
	entry := Listed{OID: s.OID, Label: s.Label, Site: s.Site, ID: id}
	label, err := b.begin(LabelKey(s.Study, s.Label, s.Site), ListedType, id, entry)
	if err != nil {
		return nil, nil, err
	}
	listed, err := b.begin(ListKey(s.Study, id), ListedType, id, entry)
	if err != nil {
		return nil, nil, err
	}
	return head, []biobank.Write{
		labelWrite: {Kind: biobank.InsertRecord, Record: label},
		oidWrite:   {Kind: biobank.InsertMark, Mark: biobank.Mark{Name: SubjectMark(s.Study, s.OID), To: key, ID: id}},
		{Kind: biobank.InsertMark, Mark: biobank.Mark{Name: biobank.IDMark(SubjectType, id), To: key, ID: id}},
		{Kind: biobank.InsertRecord, Record: head},
		{Kind: biobank.InsertRecord, Record: listed},
	}, nil
}

// subjectOID is SS_ and the letters and digits of ASCII in an ID, in capitals (section 1.2; how many of them is not
// known, so all are taken).
func subjectOID(label string) string {
	return "SS_" + strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z':
			return c - 'a' + 'A'
		case c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
			return c
		}
		return -1
	}, label)
}

// otherOID ends an OID that is taken, or empty, with four random digits.
func (r *Registry) otherOID(oid string) (string, error) {
	var b [4]byte
	if _, err := io.ReadFull(r.Random, b[:]); err != nil {
		return "", fmt.Errorf("draw an OID: %w", err)
	}
	end := make([]byte, len(b))
	for i := range b {
		end[i] = '0' + b[i]%10
	}
	stem, _, _ := strings.Cut(strings.TrimPrefix(oid, "SS_"), "_")
	if stem == "" {
		return "SS_" + string(end), nil
	}
	return "SS_" + stem + "_" + string(end), nil
}

func participant(rec *biobank.Record) (*Participant, error) {
	doc, err := biobank.Decode[Subject](rec)
	return &Participant{ID: rec.ID, Subject: doc, CreatedBy: rec.CreatedBy, CreatedAt: rec.CreatedAt}, err
}

// seen tells which participants of a place the actor sees, by their site: those of the place's own that are at a site where
// the actor has a role. A study's own are those of all its sites.
func (a *Actor) seen(p *Place) func(*Listed) bool {
	all, only := a.Sees(p.Study)
	return func(l *Listed) bool {
		return (!p.IsSite() || l.Site == p.Site.ID) && (all || only[l.Site])
	}
}

// Participants lists the participants of a place that the actor sees, in order of creation: those after the one with the
// OID after, if it is given, at most limit (0: all). An OID that the actor does not see is ParticipantNotFound.
func (r *Registry) Participants(ctx context.Context, a *Actor, p *Place, after string, limit int) ([]*Participant, error) {
	if err := a.MayRead(p); err != nil {
		return nil, err
	}
	seen, from := a.seen(p), ""
	if after != "" {
		last, _, err := FindSubject(ctx, r.Store, p.Study.ID, after, "")
		if err != nil {
			return nil, err
		}
		if last == nil || !seen(last) {
			return nil, ParticipantNotFound
		}
		from = biobank.PadID(last.ID)
	}
	var keys []biobank.Key
	for {
		const page = 1000
		recs, err := r.Store.List(ctx, ListKey(p.Study.ID, 0).Part, "", from, page)
		if err != nil {
			return nil, fmt.Errorf("list participants: %w", err)
		}
		for _, rec := range recs {
			from = rec.Key.Sort
			doc, err := biobank.Decode[Listed](rec)
			if err != nil {
				return nil, err
			}
			if !seen(&doc) {
				continue
			}
			if keys = append(keys, SubjectKey(doc.ID)); len(keys) == limit {
				break
			}
		}
		if len(recs) < page || limit > 0 && len(keys) == limit {
			break
		}
	}
	recs, err := r.Store.Records(ctx, keys, true)
	if err != nil {
		return nil, fmt.Errorf("read participants: %w", err)
	}
	out := make([]*Participant, 0, len(keys))
	for _, k := range keys {
		if recs[k] == nil {
			return nil, fmt.Errorf("participant %s of a list is missing", k.Part)
		}
		one, err := participant(recs[k])
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

// Participant finds the participant of a place by ID. The refusals are ParticipantNotFound, also for one at a site that the
// actor does not see, and MultipleParticipantsFound where several sites of a study have the ID.
func (r *Registry) Participant(ctx context.Context, a *Actor, p *Place, label string) (*Listed, error) {
	label = strings.TrimSpace(label)
	if label == "" {
		return nil, MissingParticipantID
	}
	_, found, err := FindSubject(ctx, r.Store, p.Study.ID, "", label)
	if err != nil {
		return nil, err
	}
	seen := a.seen(p)
	var hit *Listed
	for i := range found {
		switch f := &found[i]; {
		case !seen(f):
		case hit != nil:
			return nil, MultipleParticipantsFound
		default:
			hit = f
		}
	}
	if hit == nil {
		return nil, ParticipantNotFound
	}
	return hit, nil
}

// Stored is a value of an item.
type Stored struct{ Item, Value string }

// StoredFiles are the values of a participant's items that have a file. A participant whom the actor does not see at the
// place, or an ID that several have, has none.
func (r *Registry) StoredFiles(ctx context.Context, a *Actor, p *Place, oid, label string) (map[Stored]bool, error) {
	byOID, byLabel, err := FindSubject(ctx, r.Store, p.Study.ID, oid, label)
	if err != nil {
		return nil, err
	}
	all, seen := map[Stored]bool{}, a.seen(p)
	byLabel = slices.DeleteFunc(byLabel, func(l Listed) bool { return !seen(&l) })
	if oid == "" && len(byLabel) == 1 {
		byOID = &byLabel[0]
	}
	if byOID == nil || !seen(byOID) {
		return all, nil
	}
	for after := ""; ; {
		recs, err := r.Store.List(ctx, subjectPart(byOID.ID), "g/", after, groupPage)
		if err != nil {
			return nil, fmt.Errorf("read the items of participant %d: %w", byOID.ID, err)
		}
		for _, rec := range recs {
			g, err := biobank.Decode[Group](rec)
			if err != nil {
				return nil, err
			}
			for item := range g.Files {
				all[Stored{item, g.Values[item]}] = true
			}
			after = rec.Key.Sort
		}
		if len(recs) < groupPage {
			return all, nil
		}
	}
}
