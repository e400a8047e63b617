// Package auth tells who is calling.
//
// A person signs in with a password and gets a token, 32 random bytes and the user's id, that the caller alone keeps: the
// store holds its SHA-256. The id is there so that one strong read finds session, login and user. A session ends after a
// while without use, after a longer while whatever its use, by signing out, and when the password changes or an
// user is closed, locked, deleted or made a contact. For the password a user's login carries an epoch that every session
// repeats, and for the rest the user's record counts how often it has happened (biobank.UserDoc.Ended); a session of another
// epoch or count is dead. All are read strongly at every request, so an end is at once, and by whichever door it came.
//
// A super administrator may act as another user for an hour: by a second session, which names who acts and is good only
// together with the actor's own.
//
// Passwords are stored as argon2id. After MaxFailures wrong ones in a row, or as many as are set, a login is locked for LockFor: nobody can sign
// in with it, though those who are signed in go on, so that locking is no means to put others out. To somebody who
// guesses, a name that does not exist looks like one that does: it costs the same reads, hash and writes, counts failures
// and locks just so, and gets the same answer.
package auth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// The rules of locking.
const (
	MaxFailures = 5
	LockFor     = 15 * time.Minute
)

// Item is what a Store keeps.
type Item struct {
	Key string
	// Version grows by one with each Put.
	Version int64
	// Expires is when the store may drop the item; zero for never.
	Expires time.Time
	Doc     []byte
}

// Store keeps sessions and logins.
type Store interface {
	// Get reads strongly; it returns nil for a missing item.
	Get(ctx context.Context, key string) (*Item, error)
	// Look reads items and a user strongly, in one call: those that exist, and nil for a user who does not.
	Look(ctx context.Context, keys []string, user int64) (map[string]*Item, *biobank.Record, error)
	// Put writes the item with the next version if the stored one has item.Version, 0 for none. Otherwise it returns
	// ErrChanged.
	Put(ctx context.Context, item *Item) error
	// Delete drops an item, whether or not it is there.
	Delete(ctx context.Context, key string) error
}

// ErrChanged tells that somebody else has written the item since it was read.
var ErrChanged = errors.New("the item has changed")

// Guard signs people in and knows them again. It may be used by several goroutines.
type Guard struct {
	Store Store
	// Idle and Max are how long a session lives without use, and at all. Idle is that of sessions which begin now.
	Idle, Max time.Duration
	// Random gives tokens and salts: crypto/rand.Reader.
	Random io.Reader
	Rules
}

// Rules are settings of signing in (reference openspecimen-rest.md section 2.4). Their zero values ask for nothing.
type Rules struct {
	// Lockdown lets only super administrators sign in. Sessions that have begun go on.
	Lockdown bool
	// MaxSessions is how many sessions a user may have at once; with one more the oldest ends. 0 stands for any number: those
	// that begin meanwhile are not counted, and end when as many as may be have begun after them.
	MaxSessions int
	// SameAddress makes sessions that begin now good only from the address that they are begun from.
	SameAddress bool
	// PasswordsToExamine is how many of the last passwords a new one must differ from; 0 for none.
	PasswordsToExamine int
	// WrongPerMinute is how many wrong passwords may come from one address in a minute, whosever they are; 0 for any number.
	WrongPerMinute int
	// AllowedFailures is how many wrong passwords in a row lock a login; 0 for MaxFailures.
	AllowedFailures int
}

// Under is the Guard by rules that were set since it was deployed.
func (g *Guard) Under(set biobank.SignInRules) *Guard {
	now := *g
	for at, n := range map[*int]*int{&now.AllowedFailures: set.Failures, &now.MaxSessions: set.Sessions, &now.PasswordsToExamine: set.Examined} {
		if n != nil {
			*at = *n
		}
	}
	for at, on := range map[*bool]*bool{&now.Lockdown: set.Lockdown, &now.SameAddress: set.SameAddress} {
		if on != nil {
			*at = *on
		}
	}
	if set.IdleMinutes != nil {
		now.Idle = time.Duration(*set.IdleMinutes) * time.Minute
	}
	return &now
}

// login is the secret part of a user: the document of "login#<user id>".
type login struct {
	Hash        string `json:"hash,omitempty"` // of the password; empty while none is set
	Epoch       int64  `json:"epoch,omitempty"`
	Failures    int    `json:"failures,omitempty"` // since the last success
	LockedUntil int64  `json:"lockedUntil,omitempty"`
	// Last is the day of the last right password, in UTC, as yyyy-MM-dd.
	Last string `json:"last,omitempty"`
	// Old are the hashes of earlier passwords, the newest first, as many as are examined.
	Old []string `json:"old,omitempty"`
	// Open are the keys of the sessions, the oldest first, where their number is limited.
	Open []string `json:"open,omitempty"`
	// Since is when, in epoch ms, the oldest of as many sessions as there may be began: those from before it are over, also
	// those that began while their number was not limited, and are not among Open.
	Since int64 `json:"since,omitempty"`
	// Reset is the SHA-256 of the token by which a new password may be set, until ResetUntil.
	Reset      string `json:"reset,omitempty"`
	ResetUntil int64  `json:"resetUntil,omitempty"`
}

// Candidate is somebody who wants to sign in: the name that was given, and the user whose it is, nil when it is nobody's.
type Candidate struct {
	Domain, Login string
	User          *biobank.Record
	// From is the address that the attempt comes from.
	From string
}

// key is where the candidate's failures are counted: at the login of a user, or, for a name that is nobody's, at an item
// of its own.
func (c Candidate) key() string {
	if c.User != nil {
		return loginKey(c.User.ID)
	}
	sum := sha256.Sum256([]byte(biobank.Fold(c.Domain) + "/" + biobank.Fold(c.Login)))
	return "login#?" + hex.EncodeToString(sum[:])
}

func loginKey(user int64) string { return "login#" + strconv.FormatInt(user, 10) }

func tokenKey(token string) string {
	sum := sha256.Sum256([]byte(token))
	return "token#" + hex.EncodeToString(sum[:])
}

func invalidCredentials() *fault.Fault {
	return fault.New("AUTH_INVALID_CREDENTIALS", "The login name, the password or the domain is not valid.")
}

func invalidToken() *fault.Fault {
	return fault.New("AUTH_INVALID_TOKEN", "The token is not valid. Sign in again.").WithKind(fault.SignIn)
}

func locked() *fault.Fault {
	return fault.New("AUTH_USER_LOCKED", "The account is locked. Try again in %d minutes or ask an administrator.",
		int(LockFor/time.Minute))
}

func tooManyWrong() *fault.Fault {
	return fault.New("AUTH_TOO_MANY_CALLS", "Too many wrong passwords came from this address. Wait a minute.").WithKind(fault.TooMany)
}

// Check is Verify that also tells whether the user may sign in. Its further faults are, in the order of the reference
// (openspecimen-rest.md section 2.3), AUTH_NA_IP_ADDRESS, AUTH_SYSTEM_LOCKDOWN, AUTH_USER_LOCKED, AUTH_PASSWD_EXPIRED, and
// AUTH_INVALID_CREDENTIALS for a user who is not active. The reference tells these before it looks at the password; here
// only who knows it is told, since they tell that there is such a user.
func (g *Guard) Check(ctx context.Context, at time.Time, c Candidate, password string) (epoch int64, err error) {
	if epoch, err = g.Verify(ctx, at, c, password); err != nil {
		return 0, err
	}
	return epoch, g.mayEnter(c)
}

// Verify verifies a password and counts the failure if it is wrong. It returns the epoch of the user's login. Its faults are
// AUTH_USER_LOCKED after too many failures, AUTH_INVALID_CREDENTIALS for an unknown name or a wrong password, and
// AUTH_TOO_MANY_CALLS where so many came from the candidate's address that none is looked at before the minute is over: one
// password cannot be tried at all names, nor can all of them be locked.
func (g *Guard) Verify(ctx context.Context, at time.Time, c Candidate, password string) (epoch int64, err error) {
	guessing := "wrong password from " + c.From
	if g.WrongPerMinute > 0 {
		n, err := g.called(ctx, at, guessing)
		if err != nil {
			return 0, err
		}
		if n >= g.WrongPerMinute {
			return 0, tooManyWrong()
		}
	}
	l, _, err := g.login(ctx, c.key())
	if err != nil {
		return 0, err
	}
	// The hash is computed even when the answer is known, so that the time tells nothing.
	right := verify(l.Hash, password) && c.User != nil
	if !right && g.WrongPerMinute > 0 { // before it can lock the login
		ok, err := g.Allow(ctx, at, guessing, g.WrongPerMinute)
		if err != nil {
			return 0, err
		}
		if !ok { // others came at the same time
			return 0, tooManyWrong()
		}
	}
	if l.lockedAt(at) {
		return 0, locked()
	}
	if l, err = g.settle(ctx, at, c, l, right); err != nil {
		return 0, err
	}
	if !right {
		return 0, invalidCredentials()
	}
	return l.Epoch, nil
}

// settle writes down what became of an attempt that was judged by was, and returns the login as it is now.
func (g *Guard) settle(ctx context.Context, at time.Time, c Candidate, was login, right bool) (login, error) {
	var now login
	today := at.UTC().Format(time.DateOnly)
	err := g.change(ctx, c.key(), func(l *login, item *Item) error {
		switch {
		case l.lockedAt(at), right && l.Hash != was.Hash: // meanwhile, by others' attempts or a new password
			return locked()
		case right && l.Failures == 0 && l.Last == today:
			now = *l
			return errUnchanged
		case right:
			l.Failures, l.LockedUntil, l.Last = 0, 0, today
		default:
			if l.LockedUntil != 0 { // a lock that has run out: count anew
				l.Failures, l.LockedUntil = 0, 0
			}
			l.Failures++
			if l.Failures >= cmp.Or(g.AllowedFailures, MaxFailures) {
				l.LockedUntil = at.Add(LockFor).UnixMilli()
			}
		}
		if c.User == nil {
			item.Expires = at.Add(24 * time.Hour)
		}
		now = *l
		return nil
	})
	return now, err
}

func (l login) lockedAt(at time.Time) bool { return at.UnixMilli() < l.LockedUntil }

// mayEnter tells whether a user's address and state, and the system's, allow to sign in.
func (g *Guard) mayEnter(c Candidate) error {
	doc, err := biobank.Decode[biobank.UserDoc](c.User)
	if err != nil {
		return err
	}
	switch {
	case !doc.MayComeFrom(c.From):
		return fault.New("AUTH_NA_IP_ADDRESS", "Signing in is not possible from this address.")
	case g.Lockdown && doc.Type != biobank.UserSuper:
		return fault.New("AUTH_SYSTEM_LOCKDOWN", "The system is locked down: only super administrators may sign in.")
	case doc.ActivityStatus == "Locked":
		return fault.New("AUTH_USER_LOCKED", "The account is locked. Ask an administrator.")
	case doc.ActivityStatus == "Expired":
		return fault.New("AUTH_PASSWD_EXPIRED", "The password has expired. Ask an administrator for a new one.")
	case doc.ActivityStatus != biobank.StatusActive, doc.Type == biobank.UserContact:
		return invalidCredentials()
	}
	return nil
}

// HasPassword tells whether a password was ever set for the user.
func (g *Guard) HasPassword(ctx context.Context, user int64) (bool, error) {
	l, _, err := g.login(ctx, loginKey(user))
	return l.Hash != "", err
}

func (g *Guard) login(ctx context.Context, key string) (login, *Item, error) {
	item, err := g.Store.Get(ctx, key)
	if err != nil {
		return login{}, nil, fmt.Errorf("read a login: %w", err)
	}
	if item == nil {
		return login{}, &Item{Key: key}, nil
	}
	var l login
	if err := json.Unmarshal(item.Doc, &l); err != nil {
		return login{}, nil, fmt.Errorf("decode %s: %w", key, err)
	}
	return l, item, nil
}

// errUnchanged is what an edit returns that has nothing to write.
var errUnchanged = errors.New("unchanged")

// change reads a login, edits it and writes it back, again if others write it at the same time.
func (g *Guard) change(ctx context.Context, key string, edit func(*login, *Item) error) error {
	for try := 0; try < 20; try++ {
		l, item, err := g.login(ctx, key)
		if err != nil {
			return err
		}
		if err := edit(&l, item); err != nil {
			if errors.Is(err, errUnchanged) {
				return nil
			}
			return err
		}
		err = g.put(ctx, item, l, item.Expires)
		if !errors.Is(err, ErrChanged) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(try) * time.Millisecond):
		}
	}
	return busy()
}

func busy() *fault.Fault {
	return fault.New("COMMON_SERVER_ERROR", "Too many attempts at once. Try again.").WithKind(fault.Busy)
}

func (g *Guard) put(ctx context.Context, item *Item, doc any, expires time.Time) error {
	text, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	return g.Store.Put(ctx, &Item{Key: item.Key, Version: item.Version, Expires: expires, Doc: text})
}
