package auth

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// randomBytes and TokenBytes are the lengths of a token's secret, and of the token before it becomes text.
const (
	randomBytes = 32
	TokenBytes  = randomBytes + 8
)

// touches is how often the use of a session is written down within the idle time: the limit may strike early by that part.
const touches = 60

// ActingFor is how long somebody may act as another user before asking again.
const ActingFor = time.Hour

// session is the document of "token#<SHA-256 of the token>".
type session struct {
	User    int64 `json:"user"`
	Epoch   int64 `json:"epoch,omitempty"`
	Ended   int64 `json:"ended,omitempty"` // as in the user's record
	Created int64 `json:"created"`         // epoch ms, as Used
	Used    int64 `json:"used"`
	// Idle is how long it lives without use, in ms, 0 for the Guard's: a session lives by the rules that it was begun under, so
	// that no request has to read them.
	Idle int64 `json:"idle,omitempty"`
	// From is the address that the session was begun from, and Bound tells that it is good only from there.
	From  string `json:"from,omitempty"`
	Bound bool   `json:"bound,omitempty"`
	// By is who acts as User, 0 for the user.
	By int64 `json:"by,omitempty"`
	// Life is how long the session lives, used or not, in ms; 0 for one that lives by the Guard's limits.
	Life int64 `json:"life,omitempty"`
}

// Caller is whom a token stands for.
type Caller struct {
	ID int64
	// User is the user's record, nil if there is none.
	User *biobank.Record
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
	doc, err := biobank.Decode[biobank.UserDoc](c.User)
	if err != nil {
		return "", err
	}
	s := session{
		User: c.User.ID, Epoch: epoch, Ended: doc.Ended, Created: at.UnixMilli(), Used: at.UnixMilli(),
		Idle: g.Idle.Milliseconds(), From: c.From, Bound: g.SameAddress, Life: life.Milliseconds(),
	}
	if token, err = g.begin(ctx, s); err != nil || g.MaxSessions <= 0 {
		return token, err
	}
	return token, g.limit(ctx, at, s, tokenKey(token))
}

// begin stores a session and returns its token.
func (g *Guard) begin(ctx context.Context, s session) (token string, err error) {
	raw := make([]byte, TokenBytes)
	if _, err := io.ReadFull(g.Random, raw[:randomBytes]); err != nil {
		return "", fmt.Errorf("draw a token: %w", err)
	}
	binary.BigEndian.PutUint64(raw[randomBytes:], uint64(s.User))
	token = base64.RawURLEncoding.EncodeToString(raw)
	item := &Item{Key: tokenKey(token)}
	// Nobody else can have the same token: changed means that a repeated request found its own first try.
	if err := g.put(ctx, item, s, g.ends(s)); err != nil && !errors.Is(err, ErrChanged) {
		return "", fmt.Errorf("begin a session: %w", err)
	}
	return token, nil
}

// limit notes a user's new session and ends the oldest ones above MaxSessions. Sessions that have ended do not count.
func (g *Guard) limit(ctx context.Context, at time.Time, fresh session, key string) error {
	var over []string
	err := g.change(ctx, loginKey(fresh.User), func(l *login, _ *Item) error {
		live, err := g.live(ctx, at, fresh, l.Open)
		if err != nil {
			return err
		}
		live = append(live, open{key, fresh.Created})
		// Of two that begin at once each may be noted first.
		slices.SortStableFunc(live, func(a, b open) int { return cmp.Compare(a.began, b.began) })
		n := max(len(live)-g.MaxSessions, 0)
		over, l.Open = nil, nil
		for _, one := range live[:n] {
			over = append(over, one.key)
		}
		for _, one := range live[n:] {
			l.Open = append(l.Open, one.key)
		}
		if len(l.Open) == g.MaxSessions {
			l.Since = live[n].began
		}
		return nil
	})
	for _, key := range over {
		if err == nil {
			err = g.Store.Delete(ctx, key)
		}
	}
	if err != nil {
		return fmt.Errorf("end the oldest session: %w", err)
	}
	return nil
}

// open is a session that counts: its key, and when it began.
type open struct {
	key   string
	began int64
}

// live are those of a user's sessions, by their keys, that are as good as a fresh one.
func (g *Guard) live(ctx context.Context, at time.Time, fresh session, keys []string) ([]open, error) {
	items, err := g.items(ctx, keys)
	if err != nil {
		return nil, err
	}
	var live []open
	for _, key := range keys {
		var s session
		if items[key] == nil {
			continue
		}
		if err := json.Unmarshal(items[key].Doc, &s); err != nil {
			return nil, fmt.Errorf("decode a session: %w", err)
		}
		if at.Before(g.ends(s)) && s.Epoch == fresh.Epoch && s.Ended == fresh.Ended {
			live = append(live, open{key, s.Created})
		}
	}
	return live, nil
}

// items reads any number of items, 90 with a call: those that exist.
func (g *Guard) items(ctx context.Context, keys []string) (map[string]*Item, error) {
	const together = 90
	all := map[string]*Item{}
	for some := range slices.Chunk(keys, together) {
		items, _, err := g.Store.Look(ctx, some, biobank.SystemUserID) // who is read along, and not needed here
		if err != nil {
			return nil, err
		}
		maps.Copy(all, items)
	}
	return all, nil
}

// ends is when a session ends unless it is used again.
func (g *Guard) ends(s session) time.Time {
	if s.By != 0 {
		return time.UnixMilli(s.Created).Add(ActingFor)
	}
	if s.Life != 0 {
		return time.UnixMilli(s.Created + s.Life)
	}
	idle, limit := time.UnixMilli(s.Used+g.idle(s)), time.UnixMilli(s.Created).Add(g.Max)
	if limit.Before(idle) {
		return limit
	}
	return idle
}

// idle is how long a session lives without use, in ms.
func (g *Guard) idle(s session) int64 { return cmp.Or(s.Idle, g.Idle.Milliseconds()) }

// tokenUser reads the user's id out of a token.
func tokenUser(token string) (user int64, ok bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != TokenBytes {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64(raw[randomBytes:])), true
}

// User finds whose token it is, in one strong read, and notes the use. It returns AUTH_INVALID_TOKEN, AUTH_TOKEN_EXPIRED
// or AUTH_IP_ADDRESS_CHANGED, of kind SignIn, for a token that is not, or no longer, good. Whether the user is still active
// is for the caller to see.
func (g *Guard) User(ctx context.Context, at time.Time, token, from string) (Caller, error) {
	s, item, user, err := g.look(ctx, at, token, invalidToken())
	if err != nil {
		return Caller{}, err
	}
	switch {
	case s.By != 0: // it takes the token of who acts, too
		return Caller{}, invalidToken()
	case (s.Bound || s.Idle == 0 && g.SameAddress) && s.From != from:
		return Caller{}, fault.New("AUTH_IP_ADDRESS_CHANGED", "The address has changed since signing in. Sign in again.").WithKind(fault.SignIn)
	}
	if s.Life == 0 && at.UnixMilli()-s.Used >= g.idle(s)/touches {
		s.Used = at.UnixMilli()
		// Changed means that another request has noted its use, or that the session was ended: then it stays so.
		if err := g.put(ctx, item, s, g.ends(s)); err != nil && !errors.Is(err, ErrChanged) {
			return Caller{}, fmt.Errorf("note the use of a session: %w", err)
		}
	}
	return Caller{s.User, user}, nil
}

// look reads a token's session, login and user, and checks that the session is good; unknown is the fault for one of none.
func (g *Guard) look(ctx context.Context, at time.Time, token string, unknown error) (s session, item *Item, user *biobank.Record, err error) {
	id, ok := tokenUser(token)
	if !ok {
		return s, nil, nil, unknown
	}
	items, user, err := g.Store.Look(ctx, []string{tokenKey(token), loginKey(id)}, id)
	if err != nil {
		return s, nil, nil, fmt.Errorf("read a session: %w", err)
	}
	if item = items[tokenKey(token)]; item == nil {
		return s, nil, nil, unknown
	}
	if err := json.Unmarshal(item.Doc, &s); err != nil {
		return s, nil, nil, fmt.Errorf("decode a session: %w", err)
	}
	if !at.Before(g.ends(s)) { // the store drops expired items at its leisure
		if s.By != 0 {
			return s, nil, nil, fault.New("AUTH_IMP_TOKEN_EXP", "The hour of acting as another user is over.")
		}
		return s, nil, nil, fault.New("AUTH_TOKEN_EXPIRED", "The session has ended. Sign in again.").WithKind(fault.SignIn)
	}
	var l login
	if kept := items[loginKey(id)]; kept != nil {
		if err := json.Unmarshal(kept.Doc, &l); err != nil {
			return s, nil, nil, fmt.Errorf("decode %s: %w", loginKey(id), err)
		}
	}
	doc, err := biobank.Decode[biobank.UserDoc](user)
	if err != nil {
		return s, nil, nil, err
	}
	if l.Epoch != s.Epoch || doc.Ended != s.Ended || s.By == 0 && s.Created < l.Since {
		return s, nil, nil, unknown
	}
	return s, item, user, nil
}

// ActAs gives by a token with which to act as another user for an hour. That by may is for the caller to see.
func (g *Guard) ActAs(ctx context.Context, at time.Time, by int64, user *biobank.Record) (token string, err error) {
	doc, err := biobank.Decode[biobank.UserDoc](user)
	if err != nil {
		return "", err
	}
	l, _, err := g.login(ctx, loginKey(user.ID))
	if err != nil {
		return "", err
	}
	return g.begin(ctx, session{User: user.ID, Epoch: l.Epoch, Ended: doc.Ended, Created: at.UnixMilli(), Used: at.UnixMilli(), By: by})
}

// Acting finds as whom by acts with a token of ActAs. Its faults are AUTH_IMP_TOKEN_INV and AUTH_IMP_TOKEN_EXP, not of kind
// SignIn: the session of by is good.
func (g *Guard) Acting(ctx context.Context, at time.Time, by int64, token string) (Caller, error) {
	unknown := fault.New("AUTH_IMP_TOKEN_INV", "The token for acting as another user is not valid.")
	s, _, user, err := g.look(ctx, at, token, unknown)
	if err == nil && s.By != by {
		err = unknown
	}
	if err != nil {
		return Caller{}, err
	}
	return Caller{s.User, user}, nil
}

// SignOut ends the session of a token; a token of none is no fault.
func (g *Guard) SignOut(ctx context.Context, token string) error {
	if err := g.Store.Delete(ctx, tokenKey(token)); err != nil {
		return fmt.Errorf("end a session: %w", err)
	}
	return nil
}

// IsLocked tells whether wrong passwords have locked a user's login.
func (g *Guard) IsLocked(ctx context.Context, at time.Time, user int64) (bool, error) {
	l, _, err := g.login(ctx, loginKey(user))
	return l.lockedAt(at), err
}

// Unlock takes away the lock that wrong passwords have put on a user's login.
func (g *Guard) Unlock(ctx context.Context, user int64) error {
	return g.change(ctx, loginKey(user), func(l *login, _ *Item) error {
		if l.Failures == 0 && l.LockedUntil == 0 {
			return errUnchanged
		}
		l.Failures, l.LockedUntil = 0, 0
		return nil
	})
}
