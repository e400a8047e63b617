package biobank

import (
	"context"
	"strconv"

	"aliquot/shared/fault"
)

// InstituteDoc is an institute (reference openspecimen-rest.md section 5).
type InstituteDoc struct {
	Name           string `json:"name"`
	ActivityStatus string `json:"activityStatus"`
}

var uniqueInstitute = &unique{"INSTITUTE_DUP_NAME", "An institute with the same name, %q, exists already.", func(r *Record, v string) (bool, error) {
	d, err := Decode[InstituteDoc](r)
	return Fold(d.Name) == Fold(v) && d.ActivityStatus != StatusDisabled, err
}}

func (d *InstituteDraft) want(_ context.Context, b *Batch, c *Change) error {
	b.wantMember(c, Institute, d.ID, d.Doc.Name, instituteMark)
	return nil
}

func (d *InstituteDraft) read(_ context.Context, b *Batch, c *Change) error {
	b.wantMemberRec(c, d.Doc.Name, instituteMark)
	return nil
}

func (d *InstituteDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	if !b.actor.Super() {
		return adminOnly("create or change institutes")
	}
	rec, was, is, err := begin(ctx, b, c, o, sought{Institute, d.ID, d.Doc.Name, instituteMark, uniqueInstitute}, &d.Doc, d.Merge)
	if is == nil || err != nil {
		return err
	}
	if rec != nil && gone(is.ActivityStatus) {
		if err := b.unreferenced(ctx, c, rec, "INSTITUTE_REF_ENTITY_FOUND"); err != nil {
			return err
		}
		return b.retire(ctx, c, o, rec, &was, &was.ActivityStatus, freed{&was.Name, 255, instituteMark})
	}
	var l fault.List
	cannotBegin(&l, is.ActivityStatus)
	if is.Name == "" {
		l.Add("INSTITUTE_NAME_REQUIRED", "Give the Name of the institute.")
	}
	tooLong(&l, "Name", is.Name, 255)
	status(&l, &is.ActivityStatus)
	if len(l) > 0 {
		return l
	}
	if rec == nil {
		id, err := b.memberID(ctx, c, Institute, d.ID)
		if err != nil {
			return err
		}
		b.claim(c, uniqueInstitute, is.Name, instituteMark(is.Name), SetKey(Institute, id), id, "")
		return b.insert(c, Institute, SetKey(Institute, id), id, is, o)
	}
	if err := b.reclaim(ctx, c, uniqueInstitute, was.Name, is.Name, instituteMark, rec); err != nil {
		return err
	}
	return b.change(c, rec, is, o)
}

// wantMember names the mark by which a member of a small set is found.
func (b *Batch) wantMember(c *Change, t Type, id int64, name string, mark func(string) string) {
	if c.Op == Create {
		return
	}
	if id != 0 {
		b.wantRec(SetKey(t, id))
	}
	if name != "" {
		b.wantMark(mark(name))
	}
}

func (b *Batch) wantMemberRec(c *Change, name string, mark func(string) string) {
	if c.Op != Create && name != "" {
		b.wantRec(b.marks[mark(name)].To)
	}
}

// member finds a stored member of a small set by Identifier, else by name. It is nil for a create; an update of what does
// not exist is a fault.
func member[T any](ctx context.Context, b *Batch, c *Change, t Type, id int64, name string, mark func(string) string, u *unique) (*Record, T, error) {
	rec, err := b.memberRec(ctx, c, t, id, name, mark, u)
	if err != nil {
		var none T
		return nil, none, err
	}
	doc, err := Decode[T](rec)
	return rec, doc, err
}

// memberRec is the record of member. It is apart, since the compiler makes a copy of member for each T.
func (b *Batch) memberRec(ctx context.Context, c *Change, t Type, id int64, name string, mark func(string) string, u *unique) (*Record, error) {
	if c.Op == Create {
		return nil, nil
	}
	var rec *Record
	var err error
	if id != 0 {
		if rec, err = b.rec(ctx, SetKey(t, id)); err != nil {
			return nil, err
		}
		if rec != nil && statusOf(rec) == StatusDisabled {
			if is, err := b.done(ctx, rec, c); err != nil {
				return nil, err
			} else if !is {
				rec = nil
			}
		}
	}
	if rec == nil && name != "" && !c.ByID {
		m, err := b.mark(ctx, mark(name))
		if err != nil {
			return nil, err
		}
		if rec, err = b.rec(ctx, m.To); err != nil {
			return nil, err
		}
		if rec != nil {
			holds, err := u.holds(rec, name)
			if err == nil && !holds {
				holds, err = b.done(ctx, rec, c) // deleted or renamed by an earlier try
			}
			if err != nil {
				return nil, err
			}
			if !holds {
				rec = nil
			}
		}
	}
	switch {
	case rec != nil || c.Op != Update:
		return rec, nil
	case name == "" || c.ByID:
		return nil, missing(t, id)
	}
	return nil, missing(t, strconv.Quote(name))
}

// merged is the object as it will be: what was sent, or the stored one with what was sent put onto it.
func merged[T any](rec *Record, sent *T, merge func(*T)) (*T, error) {
	if rec == nil || merge == nil {
		is := *sent
		return &is, nil
	}
	is, err := Decode[T](rec)
	merge(&is)
	return &is, err
}

// sought is which member of a small set a draft is about: by id, else by name.
type sought struct {
	typ    Type
	id     int64
	name   string
	mark   func(string) string
	unique *unique
}

// begin finds the stored member, nil for a new one, as it was, and as it is to be: sent, or stored with what was sent
// merged into it. is is nil where an earlier try has done the change, which o then tells.
func begin[T any](ctx context.Context, b *Batch, c *Change, o *Outcome, s sought, sent *T, merge func(*T)) (rec *Record, was T, is *T, err error) {
	if rec, was, err = member[T](ctx, b, c, s.typ, s.id, s.name, s.mark, s.unique); err != nil {
		return nil, was, nil, err
	}
	if before, err := b.done(ctx, rec, c); before || err != nil {
		return nil, was, nil, done(o, rec, err)
	}
	is, err = merged(rec, sent, merge)
	return rec, was, is, err
}

func done(o *Outcome, rec *Record, err error) error {
	if err == nil {
		o.Record, o.Changed = rec, true
	}
	return err
}

// memberID is the id of a new member: the seeded one, or the next number.
func (b *Batch) memberID(ctx context.Context, c *Change, t Type, seeded int64) (int64, error) {
	if seeded != 0 && c.ID == SeedChange {
		return seeded, nil
	}
	return b.number(ctx, c, string(t))
}

// SeedChange is the id of the changes that set up an empty system; they alone may choose ids.
const SeedChange = "seed"

// reclaim plans the marks of a value that changes.
func (b *Batch) reclaim(ctx context.Context, c *Change, u *unique, was, is string, mark func(string) string, rec *Record) error {
	if Fold(was) == Fold(is) {
		return nil
	}
	if is != "" {
		b.claim(c, u, is, mark(is), rec.Key, rec.ID, "")
	}
	if was == "" {
		return nil
	}
	return b.release(ctx, mark(was), rec.Key)
}
