package biobank

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"aliquot/shared/fault"
)

// Level is what a form may be associated with (reference openspecimen-rest.md 18.1): the kind of object that its records,
// or its custom fields, are about.
type Level string

// The levels.
const (
	LevelParticipant       Level = "Participant"
	LevelCommonParticipant Level = "CommonParticipant"
	LevelVisit             Level = "SpecimenCollectionGroup"
	LevelSpecimen          Level = "Specimen"
	LevelSpecimenEvent     Level = "SpecimenEvent"
	LevelUser              Level = "User"
	LevelUserProfile       Level = "UserProfile"

	ParticipantFields  Level = "ParticipantExtension"
	VisitFields        Level = "VisitExtension"
	SpecimenFields     Level = "SpecimenExtension"
	ProtocolFields     Level = "CollectionProtocolExtension"
	SiteFields         Level = "SiteExtension"
	ContainerFields    Level = "StorageContainerExtension"
	DistributionFields Level = "DistributionProtocolExtension"
	OrderFields        Level = "OrderExtension"
)

// levelRule is what a level means.
type levelRule struct {
	owner Type // whose records these are; "" for custom fields
	inCP  bool // the association may be with one protocol
}

var levelRules = map[Level]levelRule{
	LevelParticipant: {Registration, true}, LevelCommonParticipant: {Registration, true}, LevelVisit: {Visit, true},
	LevelSpecimen: {Specimen, true}, LevelSpecimenEvent: {Specimen, true}, LevelUser: {User, false}, LevelUserProfile: {User, false},
	ParticipantFields: {"", true}, VisitFields: {"", true}, SpecimenFields: {"", true}, ProtocolFields: {}, SiteFields: {},
	ContainerFields: {}, DistributionFields: {}, OrderFields: {},
}

// Levels lists the levels, in alphabetical order.
func Levels() []Level { return slices.Sorted(maps.Keys(levelRules)) }

// Custom tells whether the level is of custom fields, of which an object has those of one form.
func (l Level) Custom() bool { return levelRules[l].owner == "" }

// InProtocol tells whether a form may be associated with the level in one protocol.
func (l Level) InProtocol() bool { return levelRules[l].inCP }

// LevelsOf are the levels whose records hang on objects of a type, in alphabetical order.
func LevelsOf(owner Type) []Level {
	return slices.DeleteFunc(Levels(), func(l Level) bool { return l.Custom() || levelRules[l].owner != owner })
}

// FormContextDoc is an association of a form with a level: in one protocol, or in all; of users, in one institute or in
// all.
type FormContextDoc struct {
	FormID int64 `json:"formId"`
	Level  Level `json:"level"`
	// ProtocolID is 0 for all protocols, EntityID 0 for all institutes.
	ProtocolID int64 `json:"cpId,omitempty"`
	EntityID   int64 `json:"entityId,omitempty"`
	SortOrder  int64 `json:"sortOrder,omitempty"`
	// MultiRecord allows several records of the form for one object.
	MultiRecord bool `json:"multiRecord,omitempty"`
	// NotifEnabled and DataInNotif are kept and returned; nobody is notified.
	NotifEnabled   bool   `json:"notifEnabled,omitempty"`
	DataInNotif    bool   `json:"dataInNotif,omitempty"`
	ActivityStatus string `json:"activityStatus"`
}

// FormContextsDraft associates a form with several things at once, or ends associations. Each is found by level, protocol
// and institute, and replaced as a whole.
type FormContextsDraft struct {
	FormID   int64
	Contexts []FormContextDoc
	Delete   bool
	// Records are what became of Contexts.
	Records []*Record
}

func (*FormContextsDraft) recordType() Type { return ContextType }

// contextMark is the mark of an association. A level of custom fields has one form, the others one association a form.
func contextMark(level Level, cp, entity, form int64) string {
	name := "form.context#" + string(level) + "#" + strconv.FormatInt(cp, 10) + "#" + strconv.FormatInt(entity, 10)
	if !level.Custom() {
		name += "#" + strconv.FormatInt(form, 10)
	}
	return name
}

func (d *FormContextDoc) mark() string {
	return contextMark(d.Level, d.ProtocolID, d.EntityID, d.FormID)
}

var uniqueContext = &unique{"FORMS_MULTIPLE_CTXS_NOT_ALLOWED", "There is another form for %s already; end its association first.", func(r *Record, _ string) (bool, error) {
	return statusOf(r) != StatusDisabled, nil
}}

func (d *FormContextsDraft) want(_ context.Context, b *Batch, _ *Change) error {
	for _, key := range formKeys(d.FormID) {
		b.wantRec(key)
	}
	for i := range d.Contexts {
		d.Contexts[i].FormID = d.FormID
		b.wantMark(d.Contexts[i].mark())
		if cp := d.Contexts[i].ProtocolID; cp != 0 {
			b.wantRec(SetKey(Protocol, cp))
		}
	}
	return nil
}

func (d *FormContextsDraft) read(_ context.Context, b *Batch, _ *Change) error {
	for i := range d.Contexts {
		b.wantRec(b.marks[d.Contexts[i].mark()].To)
	}
	return nil
}

func (d *FormContextsDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	f, err := b.form(ctx, d.FormID)
	if err != nil {
		return err
	}
	if f == nil {
		return missing(FormType, d.FormID)
	}
	if !b.actor.ManagesForms() {
		return denied("associate forms")
	}
	d.Records = nil
	seen := map[string]bool{}
	for i := range d.Contexts {
		doc := &d.Contexts[i]
		if err := d.check(ctx, b, doc); err != nil {
			return err
		}
		if seen[doc.mark()] {
			return fault.New("FORMS_INVALID_FORM_CTXT", "The association with %s is given twice.", doc.Level)
		}
		seen[doc.mark()] = true
		one := Outcome{}
		if err := d.one(ctx, b, c, doc, &one); err != nil {
			return err
		}
		d.Records = append(d.Records, one.Record)
		o.Record, o.Changed = one.Record, o.Changed || one.Changed
	}
	return nil
}

// check holds the rules of an association.
func (d *FormContextsDraft) check(ctx context.Context, b *Batch, doc *FormContextDoc) error {
	rule, known := levelRules[doc.Level]
	switch {
	case doc.Level == "":
		return fault.New("FORMS_ENTITY_TYPE_REQUIRED", "Give the level with which the form is associated.")
	case !known:
		return fault.New("FORMS_INVALID_FORM_CTXT", "Level %q is not known. It is one of %s.", short(string(doc.Level)), joinLevels())
	case doc.ProtocolID != 0 && !rule.inCP:
		return fault.New("FORMS_INVALID_FORM_CTXT", "Forms of %s are for all collection protocols: give -1 as its id.", doc.Level)
	case doc.EntityID != 0 && rule.owner != User:
		return fault.New("FORMS_INVALID_FORM_CTXT", "Forms of %s are not made for one institute: leave entityId out.", doc.Level)
	}
	if doc.EntityID != 0 {
		rec, err := b.rec(ctx, SetKey(Institute, doc.EntityID))
		if err != nil {
			return err
		}
		if rec == nil || statusOf(rec) == StatusDisabled {
			return missing(Institute, doc.EntityID)
		}
	}
	if doc.ProtocolID == 0 {
		return nil
	}
	cp, err := b.protocol(ctx, ProtocolRef{ID: doc.ProtocolID})
	if err == nil && !b.can(ResProtocol, OpRead, cp) {
		err = denied("associate forms with collection protocol " + b.actor.calls(cp))
	}
	return err
}

func joinLevels() string {
	var names []string
	for _, l := range Levels() {
		names = append(names, string(l))
	}
	return strings.Join(names, ", ")
}

// one plans one association, or its end.
func (d *FormContextsDraft) one(ctx context.Context, b *Batch, c *Change, doc *FormContextDoc, o *Outcome) error {
	m, err := b.mark(ctx, doc.mark())
	if err != nil {
		return err
	}
	rec, err := b.rec(ctx, m.To)
	if err != nil {
		return err
	}
	was, err := Decode[FormContextDoc](rec)
	if err != nil {
		return err
	}
	mine := rec != nil && was.ActivityStatus != StatusDisabled && was.FormID == d.FormID
	if d.Delete {
		if !mine {
			return fault.New("FORMS_NO_ASSOCIATION", "The form is not associated with %s there.", doc.Level)
		}
		return b.dropContext(ctx, c, rec, was, o)
	}
	doc.ActivityStatus = StatusActive
	if mine {
		return b.change(c, rec, doc, o)
	}
	id, err := b.number(ctx, c, string(ContextType))
	if err != nil {
		return err
	}
	key := SetKey(ContextType, id)
	b.claim(c, uniqueContext, string(doc.Level), doc.mark(), key, id, "")
	return b.insert(c, ContextType, key, id, doc, o)
}

// dropContext plans the end of an association. Records made under it stay, and are shown again when it is made anew.
func (b *Batch) dropContext(ctx context.Context, c *Change, rec *Record, doc FormContextDoc, o *Outcome) error {
	doc.ActivityStatus = StatusDisabled
	if err := b.change(c, rec, &doc, o); err != nil {
		return err
	}
	return b.release(ctx, doc.mark(), rec.Key)
}

// FormContexts lists the associations of all forms, by id: those with protocols that the actor may not see are left out.
func (r *Registry) FormContexts(ctx context.Context, a *Actor) ([]*Record, []FormContextDoc, error) {
	recs, err := r.Members(ctx, a, ContextType)
	if err != nil {
		return nil, nil, err
	}
	var keys []Key
	docs := make([]FormContextDoc, len(recs))
	for i, rec := range recs {
		if docs[i], err = Decode[FormContextDoc](rec); err != nil {
			return nil, nil, err
		}
		if cp := docs[i].ProtocolID; cp != 0 {
			keys = append(keys, SetKey(Protocol, cp))
		}
	}
	protocols := map[Key]*Record{}
	if len(keys) > 0 {
		if protocols, err = r.Store.Records(ctx, dedupe(keys), true); err != nil {
			return nil, nil, fmt.Errorf("read protocols: %w", err)
		}
	}
	var outRecs []*Record
	var outDocs []FormContextDoc
	for i, doc := range docs {
		if doc.ProtocolID != 0 {
			cp, err := Decode[ProtocolDoc](protocols[SetKey(Protocol, doc.ProtocolID)])
			if err != nil {
				return nil, nil, err
			}
			if cp.ActivityStatus == StatusDisabled || !a.Can(ResProtocol, OpRead, doc.ProtocolID, cp.Sites) {
				continue
			}
		}
		outRecs, outDocs = append(outRecs, recs[i]), append(outDocs, doc)
	}
	return outRecs, outDocs, nil
}
