package biobank

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"

	"aliquot/shared/fault"
)

// Forms (reference openspecimen-rest.md section 18). A form is a definition, associations (formcontext.go) that tell what
// may be described by it, and either records (formrecord.go) or the custom fields inside of objects (extension.go).
//
// The definition may take 300 KB, so a form is two records: what lists show lies in the small set "form", the JSON in
// "form.definition" under the same id, where one read gets it. Each version of the JSON stays, below the form's id; the
// audit of the form tells its number and its digest.

// The types of this family.
const (
	FormType       Type = "form"
	DefinitionType Type = "form.definition"
	ContextType    Type = "form.context"
	FormRecordType Type = "form.record"
)

// FormDoc is what lists show of a form.
type FormDoc struct {
	Name    string `json:"name"`
	Caption string `json:"caption"`
	// Revision counts the versions of the definition, from 1; Digest is the SHA-256 of the current one.
	Revision       int64  `json:"revision"`
	Digest         string `json:"digest"`
	ModifiedAt     int64  `json:"modifiedAt"` // epoch ms
	ModifiedBy     int64  `json:"modifiedBy"`
	ActivityStatus string `json:"activityStatus"`
}

// Form is a form with its definition.
type Form struct {
	Record *Record
	Doc    FormDoc
	JSON   json.RawMessage
	*FormDefinition
}

// ID is the form's.
func (f *Form) ID() int64 { return f.Record.ID }

// FormDraft is found by ID. Definition is the whole JSON; with Delete the form goes, and with it its associations.
type FormDraft struct {
	ID         int64
	Definition []byte
	Delete     bool
}

func (*FormDraft) recordType() Type { return FormType }

func formMark(name string) string { return "form.name#" + Fold(name) }

var uniqueForm = &unique{"FORMS_DUP_NAME", "A form with the same name, %q, exists already.", func(r *Record, v string) (bool, error) {
	d, err := Decode[FormDoc](r)
	return Fold(d.Name) == Fold(v) && d.ActivityStatus != StatusDisabled, err
}}

// ManagesForms tells whether the actor may make and change forms and their associations: super administrators, and
// users who were given it.
func (a *Actor) ManagesForms() bool { return a.User.MayManageForms() }

func (d *FormDraft) want(_ context.Context, b *Batch, c *Change) error {
	if c.Op != Create {
		b.wantRec(SetKey(FormType, d.ID))
		b.wantRec(SetKey(DefinitionType, d.ID))
	}
	return nil
}

func (d *FormDraft) read(context.Context, *Batch, *Change) error { return nil }

func (d *FormDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	rec, was, err := member[FormDoc](ctx, b, c, FormType, d.ID, "", formMark, uniqueForm)
	if err != nil {
		return err
	}
	if !b.actor.ManagesForms() {
		return denied("create, change or delete forms")
	}
	if d.Delete {
		return d.remove(ctx, b, c, o, rec, &was)
	}
	def, err := ParseForm(d.Definition)
	if err != nil {
		return err
	}
	is := FormDoc{
		Name: def.Name, Caption: def.Caption, Revision: was.Revision + 1, ModifiedAt: b.at, ModifiedBy: b.actor.ID, ActivityStatus: StatusActive,
	}
	id := d.ID
	if rec == nil {
		if id, err = b.number(ctx, c, string(FormType)); err != nil {
			return err
		}
	}
	body, err := withID(d.Definition, id)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	if is.Digest = hex.EncodeToString(sum[:]); is.Digest == was.Digest {
		o.Record = rec
		return nil
	}
	key := SetKey(DefinitionType, id)
	version := &Record{Key: key, Type: DefinitionType, ID: id, Version: is.Revision, CreatedBy: b.actor.ID, CreatedAt: b.at, Doc: body}
	kept := *version
	kept.Key.Sort += "/" + PadID(is.Revision)
	b.add(roundParents, Write{Kind: InsertRecord, Record: &kept})
	if rec == nil {
		b.claim(c, uniqueForm, is.Name, formMark(is.Name), SetKey(FormType, id), id, "")
		b.add(roundParents, Write{Kind: InsertRecord, Record: version})
		return b.insert(c, FormType, SetKey(FormType, id), id, &is, o)
	}
	if err := b.reclaim(ctx, c, uniqueForm, was.Name, is.Name, formMark, rec); err != nil {
		return err
	}
	b.add(roundParents, Write{Kind: UpdateRecord, Record: version})
	return b.change(c, rec, &is, o)
}

// remove plans the deletion of a form with its associations. Its records stay where they are and are shown no more.
func (d *FormDraft) remove(ctx context.Context, b *Batch, c *Change, o *Outcome, rec *Record, is *FormDoc) error {
	contexts, err := b.store.List(ctx, string(ContextType), "", "", 0)
	if err != nil {
		return fmt.Errorf("list the associations of forms: %w", err)
	}
	round := b.recordRound
	b.recordRound = roundBelow
	for _, one := range contexts {
		doc, err := Decode[FormContextDoc](one)
		if err != nil {
			return err
		}
		if doc.FormID == rec.ID && doc.ActivityStatus != StatusDisabled {
			if err := b.dropContext(ctx, c, one, doc, &Outcome{}); err != nil {
				return err
			}
		}
	}
	b.recordRound = round
	return b.retire(ctx, c, o, rec, is, &is.ActivityStatus, freed{&is.Name, 255, formMark})
}

// withID is a definition as it is kept: as sent, without the space between its tokens and the reason of the change, and with
// the form's id as a client that reads it expects.
func withID(definition []byte, id int64) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(definition))
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("read a form's definition: %w", err)
	}
	out := []byte(`{"id":` + strconv.FormatInt(id, 10))
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("read a form's definition: %w", err)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, fmt.Errorf("read a form's definition: %w", err)
		}
		if name == "id" || name == "opComments" {
			continue
		}
		out = appendJSONString(append(out, ','), name.(string))
		out = append(append(out, ':'), value...)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, append(out, '}')); err != nil {
		return nil, fmt.Errorf("keep a form's definition: %w", err)
	}
	return compact.Bytes(), nil
}

// formKeys are the two records of a form.
func formKeys(id int64) []Key { return []Key{SetKey(FormType, id), SetKey(DefinitionType, id)} }

// FormOf makes a form of its records; nil for one that is unknown or deleted.
func FormOf(recs map[Key]*Record, id int64) (*Form, error) {
	keys := formKeys(id)
	rec, def := recs[keys[0]], recs[keys[1]]
	doc, err := Decode[FormDoc](rec)
	if err != nil || rec == nil || def == nil || doc.ActivityStatus == StatusDisabled {
		return nil, err
	}
	parsed, err := ParseForm(def.Doc)
	if err != nil {
		return nil, fmt.Errorf("stored definition of form %d: %w", id, fmt.Errorf("%s", fault.Codes(err)))
	}
	return &Form{Record: rec, Doc: doc, JSON: def.Doc, FormDefinition: parsed}, nil
}

// Forms reads forms by id; those that are unknown or deleted are left out. Whoever is signed in may read them: they are
// needed to enter and to show data.
func (r *Registry) Forms(ctx context.Context, ids ...int64) (map[int64]*Form, error) {
	var keys []Key
	for _, id := range ids {
		keys = append(keys, formKeys(id)...)
	}
	if len(keys) == 0 {
		return map[int64]*Form{}, nil
	}
	recs, err := r.Store.Records(ctx, dedupe(keys), true)
	if err != nil {
		return nil, fmt.Errorf("read forms: %w", err)
	}
	out := map[int64]*Form{}
	for _, id := range ids {
		f, err := FormOf(recs, id)
		if err != nil {
			return nil, err
		}
		if f != nil {
			out[id] = f
		}
	}
	return out, nil
}

// Form reads a form; an unknown or deleted one is FORMS_NOT_FOUND.
func (r *Registry) Form(ctx context.Context, id int64) (*Form, error) {
	forms, err := r.Forms(ctx, id)
	if err != nil {
		return nil, err
	}
	if forms[id] == nil {
		return nil, missing(FormType, id)
	}
	return forms[id], nil
}

// FormNamed reads a form by its name, in any case.
func (r *Registry) FormNamed(ctx context.Context, name string) (*Form, error) {
	unknown := missing(FormType, strconv.Quote(short(name)))
	if len(formMark(name)) > maxMark || name == "" {
		return nil, unknown
	}
	marks, err := r.Store.Marks(ctx, []string{formMark(name)}, true)
	if err != nil {
		return nil, fmt.Errorf("look up a form: %w", err)
	}
	m, ok := marks[formMark(name)]
	if !ok {
		return nil, unknown
	}
	f, err := r.Form(ctx, m.ID)
	if err == nil && Fold(f.Doc.Name) != Fold(name) {
		return nil, unknown
	}
	return f, err
}

// form reads a form once per batch; nil when there is none.
func (b *Batch) form(ctx context.Context, id int64) (*Form, error) {
	if f, ok := b.forms[id]; ok {
		return f, nil
	}
	for _, key := range formKeys(id) {
		b.wantRec(key)
	}
	if err := b.readRecs(ctx); err != nil {
		return nil, err
	}
	f, err := FormOf(b.recs, id)
	if err == nil {
		b.forms[id] = f
	}
	return f, err
}
