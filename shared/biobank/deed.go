package biobank

import "context"

// Deed is something done about a user that changes nothing of the record, since what it changes lies with the sessions, and
// that the user's audit tells all the same: as an entry without members, whose reason it is. It is told before it is done,
// so that nothing is done untold.
type Deed string

// The deeds.
const (
	PasswordGiven Deed = "password set by an administrator"
	TokenGiven    Deed = "token for a new password made"
	LoginUnlocked Deed = "login unlocked"
	ActingBegun   Deed = "somebody begins to act as the user"
)

// DeedDraft puts a deed on record, for those who administer the user; that of a login is unlocked also for who may change it.
type DeedDraft struct {
	ID   int64
	Deed Deed
}

func (*DeedDraft) recordType() Type { return User }

func (d *DeedDraft) want(_ context.Context, b *Batch, _ *Change) error {
	b.wantRec(SetKey(User, d.ID))
	return nil
}

func (d *DeedDraft) read(context.Context, *Batch, *Change) error { return nil }

func (d *DeedDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	rec, err := b.rec(ctx, SetKey(User, d.ID))
	if err != nil {
		return err
	}
	if rec == nil || statusOf(rec) == StatusDisabled {
		return missing(User, d.ID)
	}
	doc, err := Decode[UserDoc](rec)
	if err != nil {
		return err
	}
	if !b.actor.Administers(&doc) && !(d.Deed == LoginUnlocked && b.actor.Manages(OpUpdate, &doc)) {
		return denied("do this for the user")
	}
	told := *c
	told.Reason = string(d.Deed)
	next, entry := b.next(&told, c.Source, rec, rec.Doc, nil, nil)
	b.put(next, entry, o)
	return nil
}

// Administers tells whether the actor may set a user's password and see and change the user's assignments: super
// administrators everybody's, those of an institute the ones of its plain users and contacts.
func (a *Actor) Administers(user *UserDoc) bool {
	return a.Super() || a.InstituteAdmin() && user.InstituteID == a.User.InstituteID && (user.Type == UserNone || user.Type == UserContact)
}
