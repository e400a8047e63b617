package biobank

import (
	"bytes"
	"context"
	"strconv"
	"strings"

	"aliquot/shared/fault"
)

// FormRecordDoc is a filled-in form of an object (reference openspecimen-rest.md 18.4). The object, and the form, are told
// by the record's key.
type FormRecordDoc struct {
	FormID    int64 `json:"formId"`
	ContextID int64 `json:"formCtxtId"`
	Level     Level `json:"level"`
	// ObjectID is the object's id as clients know it.
	ObjectID       int64      `json:"objectId"`
	Status         string     `json:"formStatus,omitempty"` // empty: COMPLETE
	Values         FormValues `json:"values"`
	ModifiedAt     int64      `json:"modifiedAt"` // epoch ms
	ModifiedBy     int64      `json:"modifiedBy"`
	ActivityStatus string     `json:"activityStatus"`
}

// FormRecordDraft is found by ID; a file names it by the object, where that has only one.
type FormRecordDraft struct {
	ID     int64
	FormID int64
	// A person names the association and the object by their ids.
	ContextID, ObjectID int64
	// A file names the level, and the object as its own files do.
	Level     Level
	Protocol  ProtocolRef
	PPID      string
	VisitName string
	Label     string
	Barcode   string
	Email     string
	Status    string
	Activity  string // Disabled deletes
	SentValues
}

func (*FormRecordDraft) recordType() Type { return FormRecordType }

// formPart begins the partitions of form records: those of an object lie in the partition of that name, sorted
// <object's place>#<form>/<record>, so that one read gives what an object has, and two that run side by side give a tree
// with the records of each object right behind it ('#' sorts before '/').
const formPart = "form."

// FormRecordKey is the place of a form's record below the object that it is about.
func FormRecordKey(owner Key, form, id int64) Key {
	return Key{formPart + owner.Part, formPrefix(owner, form) + PadID(id)}
}

func formPrefix(owner Key, form int64) string { return owner.Sort + "#" + PadID(form) + "/" }

// FormOwner is the object that a form record's key lies below, and the form; zero for other keys.
func (k Key) FormOwner() (owner Key, form int64) {
	part, ok := strings.CutPrefix(k.Part, formPart)
	at, rest, found := strings.Cut(k.Sort, "#")
	if !ok || !found {
		return Key{}, 0
	}
	id, _, _ := strings.Cut(rest, "/")
	form, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return Key{}, 0
	}
	return Key{part, at}, form
}

// oneMark makes an object's record of a form the only one.
func oneMark(owner Key, form int64) string {
	return "form.one#" + strconv.FormatInt(form, 10) + "#" + owner.String()
}

var uniqueRecord = &unique{"FORMS_MULTIPLE_RECS_NOT_ALLOWED", "Form %q can be filled in only once here; change the record that there is.", func(r *Record, _ string) (bool, error) {
	return statusOf(r) != StatusDisabled, nil
}}

// ownerMark is the mark by which the draft's object is found, "" for a user named by id.
func (d *FormRecordDraft) ownerMark(ctx context.Context, b *Batch, level Level) (string, *unique, string, error) {
	rule := levelRules[level]
	switch {
	case d.ObjectID != 0 && rule.owner == User:
		return "", nil, "", nil
	case d.ObjectID != 0 && level == LevelCommonParticipant:
		return IDMark(Participant, d.ObjectID), nil, "", nil
	case d.ObjectID != 0:
		return IDMark(rule.owner, d.ObjectID), nil, "", nil
	case rule.owner == Registration:
		if !d.Protocol.Sent() {
			return "", nil, "", fault.New("CPR_CP_REQUIRED", "Give the Collection Protocol.")
		}
		if d.PPID == "" {
			return "", nil, "", fault.New("CPR_PPID_REQUIRED", "Give the PPID of the participant.")
		}
		cp, err := b.protocol(ctx, d.Protocol)
		if err != nil {
			return "", nil, "", err
		}
		return ppidMark(cp.id, d.PPID), uniquePPID, d.PPID, nil
	case rule.owner == Visit && d.VisitName != "":
		return visitMark(d.VisitName), uniqueVisitName, d.VisitName, nil
	case rule.owner == Visit:
		return "", nil, "", fault.New("VISIT_NAME_REQUIRED", "Give the Visit Name.")
	case rule.owner == Specimen && d.Label != "":
		return labelMark(d.Label), uniqueLabel, d.Label, nil
	case rule.owner == Specimen && d.Barcode != "":
		return barcodeMark(d.Barcode), uniqueBarcode, d.Barcode, nil
	case rule.owner == Specimen:
		return "", nil, "", fault.New("SPECIMEN_ID_REQUIRED", "Give the Specimen Label or the Barcode.")
	case d.Email != "":
		return emailMark(d.Email), uniqueEmail, d.Email, nil
	}
	return "", nil, "", fault.New("USER_EMAIL_REQUIRED", "Give the Email Address of the user.")
}

func (d *FormRecordDraft) want(ctx context.Context, b *Batch, c *Change) error {
	switch {
	case d.Level == "" && d.ContextID == 0:
		return fault.New("FORMS_CTXT_ID_REQ", "Give the association of the form as appData.formCtxtId.")
	case d.Level == "" && d.ObjectID == 0:
		return fault.New("FORMS_OBJ_ID_REQ", "Give the object that the record is about as appData.objectId.")
	case c.Op == Create && d.ID != 0:
		return fault.New("FORMS_REC_ID_SPECIFIED_FOR_CREATE", "A new record has no id yet; leave it out, or update the record.")
	}
	if d.ID != 0 {
		b.wantMark(IDMark(FormRecordType, d.ID))
	}
	if b.forms[d.FormID] == nil {
		for _, key := range formKeys(d.FormID) {
			b.wantRec(key)
		}
	}
	if d.ContextID != 0 {
		b.wantRec(SetKey(ContextType, d.ContextID))
	}
	if d.Level == "" {
		return b.readRecs(ctx) // the association tells whose record it is
	}
	name, _, _, err := d.ownerMark(ctx, b, d.Level)
	if name != "" {
		b.wantMark(name)
	}
	return err
}

func (d *FormRecordDraft) read(ctx context.Context, b *Batch, _ *Change) error {
	if d.ID != 0 {
		b.wantRec(b.marks[IDMark(FormRecordType, d.ID)].To)
	}
	level := d.Level
	if level == "" {
		fc, err := Decode[FormContextDoc](b.recs[SetKey(ContextType, d.ContextID)])
		if err != nil {
			return err
		}
		level = fc.Level
	}
	if level.Custom() {
		return nil // the plan tells
	}
	name, _, _, err := d.ownerMark(ctx, b, level)
	if err != nil {
		return err
	}
	if name == "" {
		b.wantRec(SetKey(User, d.ObjectID))
		return nil
	}
	m, err := b.mark(ctx, name)
	b.wantRec(m.To)
	return err
}

// owner finds the object that the draft is about; a fault for none. A participant stands for the registration in which
// the actor may save the record, where there is one.
func (d *FormRecordDraft) owner(ctx context.Context, b *Batch, level Level) (*Record, error) {
	if level == LevelCommonParticipant && d.ObjectID != 0 {
		return b.registrationFor(ctx, d.ObjectID)
	}
	name, u, value, err := d.ownerMark(ctx, b, level)
	if err != nil {
		return nil, err
	}
	key, told := SetKey(User, d.ObjectID), any(d.ObjectID)
	if name != "" {
		m, err := b.mark(ctx, name)
		if err != nil {
			return nil, err
		}
		key = m.To
	}
	rec, err := b.rec(ctx, key)
	if err != nil {
		return nil, err
	}
	found := rec != nil && statusOf(rec) != StatusDisabled
	if u != nil {
		told = strconv.Quote(value)
		if found {
			if found, err = u.holds(rec, value); err != nil {
				return nil, err
			}
		}
	}
	if !found {
		return nil, missing(levelRules[level].owner, told)
	}
	return rec, nil
}

func (d *FormRecordDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	f, err := b.form(ctx, d.FormID)
	if err != nil {
		return err
	}
	if f == nil {
		return missing(FormType, d.FormID)
	}
	fc, owner, cp, err := d.about(ctx, b, f)
	if err != nil {
		return err
	}
	if err := b.mayFill(ctx, fc.doc.Level, cp, owner); err != nil {
		return err
	}
	place, object, err := ownerKey(owner, fc.doc.Level)
	if err != nil {
		return err
	}
	rec, was, err := d.find(ctx, b, c, f, place)
	if err != nil {
		return err
	}
	if is, err := b.done(ctx, rec, c); is || err != nil {
		return done(o, rec, err)
	}
	if gone(d.Activity) && rec != nil {
		was.ActivityStatus = StatusDisabled
		if err := b.change(c, rec, &was, o); err != nil {
			return err
		}
		return b.release(ctx, oneMark(place, f.ID()), rec.Key)
	}
	var l fault.List
	status(&l, &d.Activity)
	if d.Patch && len(d.Values) == 0 && d.Status == "" {
		o.Record = rec
		return l.Err() // a row without values asks for nothing
	}
	is := was
	if is.Status = formStatus(&l, d.Status); d.Patch && d.Status == "" {
		is.Status = was.Status
	}
	phi := cp == nil || b.can(ResParticipantPhi, OpRead, cp)
	is.Values = f.put(&l, was.Values, &d.SentValues, is.Status == "", phi)
	if len(l) > 0 {
		return l
	}
	is.FormID, is.ContextID, is.Level, is.ObjectID, is.ActivityStatus = f.ID(), fc.id, fc.doc.Level, object, StatusActive
	if rec != nil {
		body, err := encoded(&is)
		if err != nil || bytes.Equal(body, rec.Doc) {
			o.Record = rec
			return err
		}
		is.ModifiedAt, is.ModifiedBy = b.at, b.actor.ID
		return b.change(c, rec, &is, o)
	}
	is.ModifiedAt, is.ModifiedBy = b.at, b.actor.ID
	id, err := b.number(ctx, c, string(FormRecordType))
	if err != nil {
		return err
	}
	if !fc.doc.MultiRecord {
		others, err := b.recordsOf(ctx, place, f.ID())
		if err != nil {
			return err
		}
		if len(others) > 0 {
			return fault.New(uniqueRecord.code, uniqueRecord.text, f.Caption)
		}
		b.claim(c, uniqueRecord, f.Caption, oneMark(place, f.ID()), FormRecordKey(place, f.ID(), id), id, "")
	}
	return b.insert(c, FormRecordType, FormRecordKey(place, f.ID(), id), id, &is, o)
}

// ownerKey is the place below which a level's records of an object lie, and the object's id as the level's clients know
// it. Those of CommonParticipant are the person's, whichever registration names it.
func ownerKey(owner *Record, level Level) (Key, int64, error) {
	if level != LevelCommonParticipant {
		return owner.Key, owner.ID, nil
	}
	doc, err := Decode[RegistrationDoc](owner)
	return SetKey(Participant, doc.Participant.ID), doc.Participant.ID, err
}

// keyID is the id in the key of a member of a set.
func keyID(k Key) int64 {
	id, err := strconv.ParseInt(k.Sort, 10, 64)
	if err != nil {
		return 0
	}
	return id
}

// formContext is an association with its id.
type formContext struct {
	id  int64
	doc FormContextDoc
}

// about finds association and object, which must go together. The protocol is nil for an object outside of protocols.
func (d *FormRecordDraft) about(ctx context.Context, b *Batch, f *Form) (fc formContext, owner *Record, cp *protocolInfo, err error) {
	level := d.Level
	if level == "" {
		rec, err := b.rec(ctx, SetKey(ContextType, d.ContextID))
		if err != nil {
			return fc, nil, nil, err
		}
		if fc.doc, err = Decode[FormContextDoc](rec); err != nil {
			return fc, nil, nil, err
		}
		if rec == nil || fc.doc.ActivityStatus == StatusDisabled || fc.doc.FormID != f.ID() {
			return fc, nil, nil, fault.New("FORMS_INVALID_FORM_CTXT", "Association %d does not belong to form %q.", d.ContextID, f.Caption)
		}
		fc.id, level = rec.ID, fc.doc.Level
	}
	if level.Custom() {
		return fc, nil, nil, fault.New("FORMS_OP_NOT_ALLOWED", "Custom fields are saved with the object that they belong to, as its extensionDetail.")
	}
	if owner, err = d.owner(ctx, b, level); err != nil {
		return fc, nil, nil, err
	}
	cpID, entity := owner.Key.Protocol(), int64(0)
	if owner.Type == User {
		user, err := Decode[UserDoc](owner)
		if err != nil {
			return fc, nil, nil, err
		}
		entity = user.InstituteID
	} else if cp, err = b.protocolAt(ctx, owner.Key); err != nil {
		return fc, nil, nil, err
	}
	if gone(d.Activity) && d.ID != 0 { // also where the association has ended since
		fc.doc.Level = level
		return fc, owner, cp, nil
	}
	if d.Level != "" {
		fc, err = b.contextFor(ctx, level, cpID, entity, f.ID())
		if err == nil && fc.id == 0 {
			err = fault.New("FORMS_NO_ASSOCIATION", "Form %q is not associated with %s there.", f.Caption, level)
		}
		return fc, owner, cp, err
	}
	if fc.doc.ProtocolID != 0 && fc.doc.ProtocolID != cpID || fc.doc.EntityID != 0 && fc.doc.EntityID != entity {
		return fc, nil, nil, fault.New("FORMS_NO_ASSOCIATION", "Association %d of form %q is not for objects of this collection protocol or institute.", d.ContextID, f.Caption)
	}
	return fc, owner, cp, nil
}

// contextFor finds the association of a level, and of a form where records are meant, for objects of a protocol and
// institute: their own, else that of all. The id is 0 where there is none.
func (b *Batch) contextFor(ctx context.Context, level Level, cp, entity, form int64) (formContext, error) {
	names := []string{contextMark(level, cp, entity, form), contextMark(level, cp, 0, form), contextMark(level, 0, 0, form)}
	for _, name := range names {
		b.wantMark(name)
	}
	if err := b.readMarks(ctx); err != nil {
		return formContext{}, err
	}
	for _, name := range names {
		b.wantRec(b.marks[name].To)
	}
	if err := b.readRecs(ctx); err != nil {
		return formContext{}, err
	}
	for _, name := range names {
		rec := b.recs[b.marks[name].To]
		doc, err := Decode[FormContextDoc](rec)
		if err != nil {
			return formContext{}, err
		}
		if rec != nil && doc.ActivityStatus != StatusDisabled && doc.mark() == name {
			return formContext{rec.ID, doc}, nil
		}
	}
	return formContext{}, nil
}

// registrationFor is the registration of a participant whose records the actor may save, else any.
func (b *Batch) registrationFor(ctx context.Context, id int64) (*Record, error) {
	p, err := b.personByID(ctx, id)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, missing(Participant, id)
	}
	for _, rec := range p.regs {
		cp, err := b.protocolAt(ctx, rec.Key)
		if fault.All(err) != nil {
			continue // deleted with its protocol
		}
		if err != nil {
			return nil, err
		}
		if b.mayFill(ctx, LevelCommonParticipant, cp, rec) == nil {
			return rec, nil
		}
	}
	return p.regs[0], nil
}

// mayFill is nil where the actor may save records of an object: whoever may change it; of UserProfile the user, too.
func (b *Batch) mayFill(ctx context.Context, level Level, cp *protocolInfo, owner *Record) error {
	ok := false
	switch owner.Type {
	case Registration:
		ok = b.can(ResParticipantPhi, OpUpdate, cp) || b.can(ResParticipantDeid, OpUpdate, cp)
	case Visit:
		ok = b.can(ResVisit, OpUpdate, cp)
	case Specimen:
		doc, err := Decode[SpecimenDoc](owner)
		if err != nil {
			return err
		}
		return b.mayHandle(ctx, OpUpdate, cp, &doc, "save records of this specimen")
	case User:
		user, err := Decode[UserDoc](owner)
		if err != nil {
			return err
		}
		ok = b.actor.administers(&user) || level == LevelUserProfile && owner.ID == b.actor.ID
	}
	if !ok {
		return denied("save records of this " + notFound[owner.Type].noun)
	}
	if cp != nil && cp.doc.hides(owner) {
		return b.peopled(cp)
	}
	return nil
}

// administers tells whether the actor is an administrator of the user.
func (a *Actor) administers(user *UserDoc) bool {
	return a.Super() || a.InstituteAdmin() && a.User.InstituteID == user.InstituteID && user.Type != UserSuper
}

// find finds the stored record that the draft means, nil for a new one: by its id, or, for a file, as the only one that
// the object has of the form.
func (d *FormRecordDraft) find(ctx context.Context, b *Batch, c *Change, f *Form, owner Key) (*Record, FormRecordDoc, error) {
	var none FormRecordDoc
	if c.Op == Create {
		return nil, none, nil
	}
	if d.ID != 0 {
		m, err := b.mark(ctx, IDMark(FormRecordType, d.ID))
		if err != nil {
			return nil, none, err
		}
		rec, err := b.rec(ctx, m.To)
		if err != nil {
			return nil, none, err
		}
		doc, err := Decode[FormRecordDoc](rec)
		if err != nil {
			return nil, none, err
		}
		is, err := b.done(ctx, rec, c)
		switch {
		case err != nil:
			return nil, none, err
		case rec == nil || doc.ActivityStatus == StatusDisabled && !is:
			return nil, none, missing(FormRecordType, d.ID)
		case rec.Key != FormRecordKey(owner, f.ID(), d.ID):
			return nil, none, fault.New("FORMS_INVALID_REC_ID", "Record %d is of another form or object.", d.ID)
		}
		return rec, doc, nil
	}
	if d.Level == "" {
		return nil, none, fault.New("FORMS_INVALID_REC_ID", "Give the id of the record to update as recordId.")
	}
	recs, err := b.store.List(ctx, formPart+owner.Part, formPrefix(owner, f.ID()), "", 0)
	if err != nil {
		return nil, none, err
	}
	var live *Record
	for _, rec := range recs {
		if is, err := b.done(ctx, rec, c); err != nil {
			return nil, none, err
		} else if is {
			return rec, none, nil
		}
		if statusOf(rec) == StatusDisabled {
			continue
		}
		if live != nil {
			return nil, none, fault.New("FORMS_MULTI_RECS_ID_REQ", "There are several records of form %q; give the %s ID of the one to change.", f.Caption, f.Caption)
		}
		live = rec
	}
	if live == nil {
		if c.Op == Update || gone(d.Activity) {
			return nil, none, fault.New("FORMS_REC_NOT_FOUND", "There is no record of form %q to change.", f.Caption)
		}
		return nil, none, nil
	}
	doc, err := Decode[FormRecordDoc](live)
	return live, doc, err
}

// recordsOf are the live records that an object has of a form.
func (b *Batch) recordsOf(ctx context.Context, owner Key, form int64) ([]*Record, error) {
	all, err := b.store.List(ctx, formPart+owner.Part, formPrefix(owner, form), "", 0)
	return liveOnly(all), err
}

func liveOnly(all []*Record) []*Record {
	var live []*Record
	for _, rec := range all {
		if statusOf(rec) != StatusDisabled {
			live = append(live, rec)
		}
	}
	return live
}

// FormRecordRemoval is the draft that deletes a record.
func FormRecordRemoval(id int64, doc FormRecordDoc) *FormRecordDraft {
	return &FormRecordDraft{
		ID: id, FormID: doc.FormID, Level: doc.Level, ObjectID: doc.ObjectID, Activity: StatusDisabled,
	}
}
