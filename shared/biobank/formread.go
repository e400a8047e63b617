package biobank

import (
	"context"
	"fmt"
	"slices"
	"time"

	"aliquot/shared/fault"
)

// Reading the records of forms. The rights are those on the object that a record is about; what was deleted with its object
// or its form is not found.

// FormRecords are an object's records of forms, in the order of their ids, with the forms.
type FormRecords struct {
	Owner   *Record
	Records []*Record
	Forms   map[int64]*Form
	// PHI tells whether the actor may see what identifies a person.
	PHI bool
}

// FormOwner reads the object that a level's records are about, for an actor who may see it: of CommonParticipant a
// registration of the participant, one that shows what identifies the person if there is any; of users for their
// administrators, and for themselves.
func (r *Registry) FormOwner(ctx context.Context, a *Actor, level Level, id int64) (*Record, error) {
	if level == LevelCommonParticipant {
		recs, err := r.ByParticipant(ctx, a, id)
		if err != nil {
			return nil, err
		}
		if len(recs) == 0 {
			return nil, missing(Participant, id)
		}
		return recs[0], nil
	}
	rec, err := r.Get(ctx, a, levelRules[level].owner, id)
	if err == nil {
		err = a.seesFormsOf(rec)
	}
	return rec, err
}

// seesFormsOf is nil where an actor who may see an object may see its form records, too.
func (a *Actor) seesFormsOf(owner *Record) error {
	if owner.Type != User {
		return nil
	}
	user, err := Decode[UserDoc](owner)
	if err == nil && owner.ID != a.ID && !a.administers(&user) {
		err = denied("see the form records of this user")
	}
	return err
}

// FormRecords reads what an object, which the actor has been found to see, has of records: of a form (0: of all) and a level ("": of
// all).
func (r *Registry) FormRecords(ctx context.Context, a *Actor, owner *Record, level Level, form int64) (*FormRecords, error) {
	if err := a.seesFormsOf(owner); err != nil {
		return nil, err
	}
	levels := []Level{level}
	if level == "" {
		levels = LevelsOf(owner.Type)
	}
	var places []Key
	for _, l := range levels {
		key, _, err := ownerKey(owner, l)
		if err != nil {
			return nil, err
		}
		places = append(places, key)
	}
	var all []*Record
	for _, key := range dedupe(places) {
		prefix := key.Sort + "#"
		if form != 0 {
			prefix = formPrefix(key, form)
		}
		some, err := r.Store.List(ctx, formPart+key.Part, prefix, "", 0)
		if err != nil {
			return nil, fmt.Errorf("list the form records of %s %d: %w", owner.Type, owner.ID, err)
		}
		all = append(all, some...)
	}
	out := &FormRecords{Owner: owner}
	var err error
	var ids []int64
	for _, rec := range liveOnly(all) {
		doc, err := Decode[FormRecordDoc](rec)
		if err != nil {
			return nil, err
		}
		if level == "" || doc.Level == level {
			out.Records = append(out.Records, rec)
			ids = append(ids, doc.FormID)
		}
	}
	if out.Forms, err = r.Forms(ctx, ids...); err != nil {
		return nil, err
	}
	out.Records = slices.DeleteFunc(out.Records, func(rec *Record) bool {
		_, form := rec.Key.FormOwner()
		return out.Forms[form] == nil
	})
	slices.SortFunc(out.Records, func(x, y *Record) int { return int(x.ID - y.ID) })
	if cp := owner.Key.Protocol(); cp == 0 {
		out.PHI = true
	} else if len(out.Records) > 0 {
		out.PHI, err = r.SeesPHI(ctx, a, cp)
	}
	return out, err
}

// FormRecord reads one record of a form, with two calls: its mark tells where record, object, protocol and form lie. An
// unknown or deleted one is FORMS_REC_NOT_FOUND.
func (r *Registry) FormRecord(ctx context.Context, a *Actor, form, id int64) (*FormRecords, error) {
	name := IDMark(FormRecordType, id)
	marks, err := r.Store.Marks(ctx, []string{name}, true)
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", name, err)
	}
	owner, of := marks[name].To.FormOwner()
	if of != form || form == 0 {
		return nil, missing(FormRecordType, id)
	}
	if owner.Part == string(Participant) {
		reg, err := r.FormOwner(ctx, a, LevelCommonParticipant, keyID(owner))
		if fault.Is(err, notFound[Participant].code) {
			err = missing(FormRecordType, id)
		}
		if err != nil {
			return nil, err
		}
		owner = reg.Key
	}
	keys := append(formKeys(form), marks[name].To, owner)
	cp := owner.Protocol()
	if cp != 0 {
		keys = append(keys, SetKey(Protocol, cp))
	}
	recs, err := r.Store.Records(ctx, keys, true)
	if err != nil {
		return nil, fmt.Errorf("read form record %d: %w", id, err)
	}
	protocol, err := Decode[ProtocolDoc](recs[SetKey(Protocol, cp)])
	if err != nil {
		return nil, err
	}
	f, err := FormOf(recs, form)
	if err != nil {
		return nil, err
	}
	rec, object := recs[marks[name].To], recs[owner]
	if f == nil {
		return nil, missing(FormType, form)
	}
	if rec == nil || statusOf(rec) == StatusDisabled || object == nil || statusOf(object) == StatusDisabled || protocol.ActivityStatus == StatusDisabled {
		return nil, missing(FormRecordType, id)
	}
	by, err := r.deciding(ctx, a, map[int64]ProtocolDoc{cp: protocol}, object)
	if err != nil {
		return nil, err
	}
	sees, err := a.sees(object, protocol.Sites, by)
	if err == nil && !sees {
		err = denied("see this " + notFound[object.Type].noun)
	}
	if err == nil {
		err = a.seesFormsOf(object)
	}
	if err != nil {
		return nil, err
	}
	return &FormRecords{
		Owner: object, Records: []*Record{rec}, Forms: map[int64]*Form{form: f},
		PHI: cp == 0 || a.Can(ResParticipantPhi, OpRead, cp, protocol.Sites),
	}, nil
}

// CustomForm is the form of a level's custom fields, for objects of a protocol (0: outside of protocols): its own, else
// that of all protocols; nil where there is none.
func (r *Registry) CustomForm(ctx context.Context, level Level, cp int64) (*Form, FormContextDoc, error) {
	b := r.newBatch(nil, time.Time{})
	fc, err := b.contextFor(ctx, level, cp, 0, 0)
	if err != nil || fc.id == 0 {
		return nil, fc.doc, err
	}
	f, err := b.form(ctx, fc.doc.FormID)
	return f, fc.doc, err
}

// mayAuditFormRecord is mayAudit for a form record: its audit is for those who may see that of its object.
func (r *Registry) mayAuditFormRecord(ctx context.Context, a *Actor, rec *Record, owner Key) (hidden []string, err error) {
	if owner.Part == string(Participant) {
		reg, err := r.FormOwner(ctx, a, LevelCommonParticipant, keyID(owner))
		if err != nil {
			return nil, err
		}
		owner = reg.Key
	}
	recs, err := r.Store.Records(ctx, []Key{owner}, true)
	if err != nil {
		return nil, fmt.Errorf("read the object of form record %d: %w", rec.ID, err)
	}
	if recs[owner] == nil {
		return nil, missing(rec.Type, rec.ID)
	}
	if _, err := r.mayAudit(ctx, a, recs[owner]); err != nil || owner.Protocol() == 0 {
		return nil, err
	}
	phi, err := r.SeesPHI(ctx, a, owner.Protocol())
	if !phi {
		hidden = phiMembers(rec.Type)
	}
	return hidden, err
}
