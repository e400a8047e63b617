// Package auth tells who is calling.
//
// A person signs in with a password and gets a token, 32 random bytes that the caller alone keeps: the store holds its
// SHA-256. A session ends after a while without use, after a longer while whatever its use, by signing out, and when the
// password changes or an administrator ends the user's sessions. For the last a user's login carries an epoch that every
// session repeats; a session of another epoch is dead. Both are read strongly at every request, so an end is at once.
//
// Passwords are stored as argon2id. After MaxFailures wrong ones in a row a login is locked for LockFor: nobody can sign
// in with it, though those who are signed in go on, so that locking is no means to put others out. To somebody who
// guesses, a name that does not exist looks like one that does: it costs the same reads, hash and writes, counts failures
// and locks just so, and gets the same answer.
package auth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
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

// TokenBytes is the length of a token before it becomes text.
const TokenBytes = 32

// touches is how often the use of a session is written down within the idle time: the limit may strike early by that part.
const touches = 60

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
	// Idle and Max are how long a session lives without use, and at all.
	Idle, Max time.Duration
	// Random gives tokens and salts: crypto/rand.Reader.
	Random io.Reader
}

// login is the secret part of a user: the document of "login#<user id>".
type login struct {
	Hash        string `json:"hash,omitempty"` // of the password; empty while none is set
	Epoch       int64  `json:"epoch,omitempty"`
	Failures    int    `json:"failures,omitempty"` // since the last success
	LockedUntil int64  `json:"lockedUntil,omitempty"`
}

// session is the document of "token#<SHA-256 of the token>".
type session struct {
	User    int64 `json:"user"`
	Epoch   int64 `json:"epoch,omitempty"`
	Created int64 `json:"created"` // epoch ms, as Used
	Used    int64 `json:"used"`
	// Life is how long the session lives, used or not, in ms; 0 for one that lives by the Guard's limits.
	Life int64 `json:"life,omitempty"`
}

// Candidate is somebody who wants to sign in: the name that was given, and the user whose it is, nil when it is nobody's.
type Candidate struct {
	Domain, Login string
	User          *biobank.Record
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

// Check verifies a password and counts the failure if it is wrong. It returns the user's epoch. Faults, in this order:
// AUTH_USER_LOCKED after too many failures, AUTH_INVALID_CREDENTIALS for an unknown name or a wrong password, and then,
// told only to somebody who knows the password, AUTH_USER_LOCKED, AUTH_PASSWD_EXPIRED or AUTH_INVALID_CREDENTIALS for a
// user who is not active.
func (g *Guard) Check(ctx context.Context, at time.Time, c Candidate, password string) (epoch int64, err error) {
	l, _, err := g.login(ctx, c.key())
	if err != nil {
		return 0, err
	}
	// The hash is computed even when the answer is known, so that the time tells nothing.
	right := verify(l.Hash, password) && c.User != nil
	if l.lockedAt(at) {
		return 0, locked()
	}
	if l, err = g.settle(ctx, at, c, l, right); err != nil {
		return 0, err
	}
	if !right {
		return 0, invalidCredentials()
	}
	return l.Epoch, mayEnter(c.User)
}

// settle writes down what became of an attempt that was judged by was, and returns the login as it is now.
func (g *Guard) settle(ctx context.Context, at time.Time, c Candidate, was login, right bool) (login, error) {
	var now login
	err := g.change(ctx, c.key(), func(l *login, item *Item) error {
		switch {
		case l.lockedAt(at), right && l.Hash != was.Hash: // meanwhile, by others' attempts or a new password
			return locked()
		case right && l.Failures == 0:
			now = *l
			return errUnchanged
		case right:
			l.Failures, l.LockedUntil = 0, 0
		default:
			if l.LockedUntil != 0 { // a lock that has run out: count anew
				l.Failures, l.LockedUntil = 0, 0
			}
			l.Failures++
			if l.Failures >= MaxFailures {
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

// mayEnter tells whether a user's state allows to sign in.
func mayEnter(user *biobank.Record) error {
	doc, err := biobank.Decode[biobank.UserDoc](user)
	if err != nil {
		return err
	}
	switch {
	case doc.ActivityStatus == "Locked":
		return fault.New("AUTH_USER_LOCKED", "The account is locked. Ask an administrator.")
	case doc.ActivityStatus == "Expired":
		return fault.New("AUTH_PASSWD_EXPIRED", "The password has expired. Ask an administrator for a new one.")
	case doc.ActivityStatus != biobank.StatusActive, doc.Type == biobank.UserContact:
		return invalidCredentials()
	}
	return nil
}

// SignIn checks the password and begins a session. Its faults are those of Check.
func (g *Guard) SignIn(ctx context.Context, at time.Time, c Candidate, password string) (token string, err error) {
	return g.SignInFor(ctx, at, c, password, 0)
}

// SignInFor is SignIn for a session that lives as long as life, used or not, instead of by the Guard's limits.
func (g *Guard) SignInFor(ctx context.Context, at time.Time, c Candidate, password string, life time.Duration) (token string, err error) {
	epoch, err := g.Check(ctx, at, c, password)
	if err != nil {
		return "", err
	}
	raw := make([]byte, TokenBytes)
	if _, err := io.ReadFull(g.Random, raw); err != nil {
		return "", fmt.Errorf("draw a token: %w", err)
	}
	token = base64.RawURLEncoding.EncodeToString(raw)
	s := session{User: c.User.ID, Epoch: epoch, Created: at.UnixMilli(), Used: at.UnixMilli(), Life: life.Milliseconds()}
	item := &Item{Key: tokenKey(token)}
	// Nobody else can have the same token: changed means that a repeated request found its own first try.
	if err := g.put(ctx, item, s, g.ends(s)); err != nil && !errors.Is(err, ErrChanged) {
		return "", fmt.Errorf("begin a session: %w", err)
	}
	return token, nil
}

// ends is when a session ends unless it is used again.
func (g *Guard) ends(s session) time.Time {
	if s.Life != 0 {
		return time.UnixMilli(s.Created + s.Life)
	}
	idle, limit := time.UnixMilli(s.Used).Add(g.Idle), time.UnixMilli(s.Created).Add(g.Max)
	if limit.Before(idle) {
		return limit
	}
	return idle
}

// User finds whose token it is and notes the use. It returns AUTH_INVALID_TOKEN or AUTH_TOKEN_EXPIRED, of kind SignIn,
// for a token that is not, or no longer, good. Whether the user is still active is for the caller to see, who reads the
// user anyway.
func (g *Guard) User(ctx context.Context, at time.Time, token string) (user int64, err error) {
	if raw, err := base64.RawURLEncoding.Strict().DecodeString(token); err != nil || len(raw) != TokenBytes {
		return 0, invalidToken()
	}
	item, err := g.Store.Get(ctx, tokenKey(token))
	if err != nil {
		return 0, fmt.Errorf("read a session: %w", err)
	}
	if item == nil {
		return 0, invalidToken()
	}
	var s session
	if err := json.Unmarshal(item.Doc, &s); err != nil {
		return 0, fmt.Errorf("decode a session: %w", err)
	}
	if !at.Before(g.ends(s)) { // the store drops expired items at its leisure
		return 0, fault.New("AUTH_TOKEN_EXPIRED", "The session has ended. Sign in again.").WithKind(fault.SignIn)
	}
	l, _, err := g.login(ctx, loginKey(s.User))
	if err != nil {
		return 0, err
	}
	if l.Epoch != s.Epoch {
		return 0, invalidToken()
	}
	if s.Life == 0 && at.Sub(time.UnixMilli(s.Used)) >= g.Idle/touches {
		s.Used = at.UnixMilli()
		// Changed means that another request has noted its use, or that the session was ended: then it stays so.
		if err := g.put(ctx, item, s, g.ends(s)); err != nil && !errors.Is(err, ErrChanged) {
			return 0, fmt.Errorf("note the use of a session: %w", err)
		}
	}
	return s.User, nil
}

// SignOut ends the session of a token; a token of none is no fault.
func (g *Guard) SignOut(ctx context.Context, token string) error {
	if err := g.Store.Delete(ctx, tokenKey(token)); err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	return nil
}

// EndSessions ends every session of a user.
func (g *Guard) EndSessions(ctx context.Context, user int64) error {
	return g.change(ctx, loginKey(user), func(l *login, _ *Item) error {
		l.Epoch++
		return nil
	})
}

// HasPassword tells whether a password was ever set for the user.
func (g *Guard) HasPassword(ctx context.Context, user int64) (bool, error) {
	l, _, err := g.login(ctx, loginKey(user))
	return l.Hash != "", err
}

// SetPassword sets a user's password, which also takes a lock away and ends the user's sessions. It returns
// USER_PASSWD_VIOLATES_RULES for one that is too weak.
func (g *Guard) SetPassword(ctx context.Context, user int64, loginName, password string) error {
	if err := CheckStrength(loginName, password); err != nil {
		return err
	}
	hash, err := hashPassword(g.Random, password)
	if err != nil {
		return err
	}
	return g.change(ctx, loginKey(user), func(l *login, _ *Item) error {
		*l = login{Hash: hash, Epoch: l.Epoch + 1}
		return nil
	})
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
	return fault.New("COMMON_SERVER_ERROR", "Too many attempts at once. Try again.").WithKind(fault.Busy)
}

func (g *Guard) put(ctx context.Context, item *Item, doc any, expires time.Time) error {
	text, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	return g.Store.Put(ctx, &Item{Key: item.Key, Version: item.Version, Expires: expires, Doc: text})
}
