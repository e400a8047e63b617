package biobank

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// Entry is the audit of one change: who, when, why, from where, and the members that changed, before and after.
//
// A change writes its entry first, then the record on condition of its version, naming the entry as its head. Entries
// form a chain: each holds the head before it, and a head holds the entry's hash, so a change of an entry shows. An entry
// that no record leads to belongs to a change that never happened (a crash between the two writes) and is void.
//
// So that the record itself shows when it is changed past the audit, an entry holds the hash of the whole object before and
// after, and a record that was never changed the hash of what it was created as: the first entry names that as its Prev.
type Entry struct {
	Type    Type   `json:"type"`
	ID      int64  `json:"id"`
	Version int64  `json:"version"` // the version that the change makes
	Change  string `json:"change"`  // the change's own id: "<job>#<row>", or the request's
	At      int64  `json:"at"`      // epoch ms
	By      int64  `json:"by"`      // user id
	Reason  string `json:"reason,omitempty"`
	From    string `json:"from,omitempty"` // address of the caller
	// Before and After hold the members that differ.
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
	// Was and Is are the hashes of the whole object before and after, empty in entries that are not about one object.
	Was string `json:"was,omitempty"`
	Is  string `json:"is,omitempty"`
	// Prev is the head before this entry.
	Prev string `json:"prev,omitempty"`
}

// docHash is the hash of an object as an entry holds it.
func docHash(doc []byte) string {
	sum := sha256.Sum256(doc)
	return hex.EncodeToString(sum[:16])
}

// newHead begins the head of a record that was never changed.
const newHead = "new|"

// born is the head of a record while it is as it was created: a hash of the object, given by its own hash, and of who
// created it, when, why and from where.
func (r *Record) born(doc string) string {
	b := make([]byte, 0, 256)
	for _, part := range []string{
		string(r.Type), strconv.FormatInt(r.ID, 10), r.Source, strconv.FormatInt(r.CreatedBy, 10),
		strconv.FormatInt(r.CreatedAt, 10), r.Reason, r.From, r.Request, doc,
	} {
		b = append(strconv.AppendInt(b, int64(len(part)), 10), ':')
		b = append(b, part...)
	}
	return newHead + docHash(b)
}

// AuditKey is the place of the entry in the audit table.
func (e *Entry) AuditKey() Key {
	return Key{IDMark(e.Type, e.ID), PadID(e.Version) + "#" + e.Change}
}

// Head is how a record, or the next entry, names e: its place and its hash.
func (e *Entry) Head() string {
	doc, err := json.Marshal(e)
	if err != nil {
		panic(fmt.Sprintf("audit entry: %v", err)) // an Entry holds nothing that cannot be marshalled
	}
	sum := sha256.Sum256(doc)
	return e.AuditKey().Sort + "|" + hex.EncodeToString(sum[:16])
}

// VerifyChain follows the chain from a record's head and returns its entries, oldest first. It names the first link that
// does not hold: an entry that is missing or was changed, or a record that is not what its newest entry says, or what it was
// created as. A record without a head was never changed, and stems from before creations had one.
func VerifyChain(r *Record, trail []*Entry) ([]*Entry, error) {
	byKey := make(map[string]*Entry, len(trail))
	for _, e := range trail {
		byKey[e.AuditKey().Sort] = e
	}
	if r.Head == "" && r.Version > 1 {
		return nil, fmt.Errorf("%s %d: version %d has no audit entry", r.Type, r.ID, r.Version)
	}
	var chain []*Entry
	c := newChase(r)
	for {
		place, err := c.next()
		if err != nil {
			return nil, err
		}
		if place == "" {
			break
		}
		e := byKey[place]
		if e == nil {
			return nil, c.missing(place)
		}
		if err := c.follow(e); err != nil {
			return nil, err
		}
		chain = append(chain, e)
	}
	for i, j := 0, len(chain)-1; i < j; i, j = i+1, j-1 {
		chain[i], chain[j] = chain[j], chain[i]
	}
	return chain, nil
}

// WalkChain follows the chain from a record's head as VerifyChain does, and calls do with each entry, newest first. It reads
// some hundred entries at once, so that their number does not matter. It ends with what do returns, or at the first link that
// does not hold. The entries may be about parts of the object, so versions without one are none of its business.
func WalkChain(ctx context.Context, s Store, r *Record, do func(*Entry) error) error {
	const page = 500
	c := newChase(r)
	place, err := c.next()
	for before := place + "\x00"; err == nil && place != ""; { // just behind the newest
		var entries []*Entry
		if entries, err = s.TrailBefore(ctx, r.Type, r.ID, before, page); err != nil {
			return fmt.Errorf("read the audit of %s %d: %w", r.Type, r.ID, err)
		}
		for _, e := range entries {
			if before = e.AuditKey().Sort; before > place {
				continue // void
			}
			if before < place {
				return c.missing(place)
			}
			if err := c.follow(e); err != nil {
				return err
			}
			if err := do(e); err != nil {
				return err
			}
			if place, err = c.next(); err != nil || place == "" {
				return err
			}
		}
		if len(entries) < page {
			return c.missing(place)
		}
	}
	return err
}

// chase is how far a chain was followed: what the next entry must be, and must have made.
type chase struct {
	r       *Record
	head    string
	version int64
	doc     string
}

func newChase(r *Record) *chase { return &chase{r, r.Head, r.Version, docHash(r.Doc)} }

// next is the place of the next entry, empty at the creation, which must be what the chain says.
func (c *chase) next() (string, error) {
	if c.head == "" {
		return "", nil
	}
	if strings.HasPrefix(c.head, newHead) {
		if c.head != c.r.born(c.doc) || c.version != 1 {
			return "", fmt.Errorf("%s %d: what is said of its creation was changed", c.r.Type, c.r.ID)
		}
		return "", nil
	}
	at := strings.LastIndexByte(c.head, '|')
	if at < 0 {
		return "", fmt.Errorf("%s %d: head %q is not valid", c.r.Type, c.r.ID, c.head)
	}
	return c.head[:at], nil
}

// follow goes past the entry at the next place.
func (c *chase) follow(e *Entry) error {
	place := e.AuditKey().Sort
	if e.Head() != c.head {
		return fmt.Errorf("%s %d: audit entry %s was changed", c.r.Type, c.r.ID, place)
	}
	if e.Is != "" && (e.Is != c.doc || e.Version != c.version) {
		return fmt.Errorf("%s %d: version %d is not what audit entry %s says", c.r.Type, c.r.ID, c.version, place)
	}
	c.version, c.doc, c.head = e.Version-1, e.Was, e.Prev
	return nil
}

func (c *chase) missing(place string) error {
	return fmt.Errorf("%s %d: audit entry %s is missing", c.r.Type, c.r.ID, place)
}

// diff returns the members of two JSON objects that differ, as two JSON objects; nil, nil when none do.
func diff(before, after []byte) (was, is json.RawMessage, err error) {
	if bytes.Equal(before, after) {
		return nil, nil, nil
	}
	var a, b map[string]json.RawMessage
	if err := json.Unmarshal(before, &a); err != nil {
		return nil, nil, fmt.Errorf("audit before: %w", err)
	}
	if err := json.Unmarshal(after, &b); err != nil {
		return nil, nil, fmt.Errorf("audit after: %w", err)
	}
	names := make([]string, 0, len(a)+len(b))
	for n := range a {
		names = append(names, n)
	}
	for n := range b {
		if _, both := a[n]; !both {
			names = append(names, n)
		}
	}
	sort.Strings(names)
	x, y := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	for _, n := range names {
		if bytes.Equal(a[n], b[n]) {
			continue
		}
		if v, ok := a[n]; ok {
			x[n] = v
		}
		if v, ok := b[n]; ok {
			y[n] = v
		}
	}
	if len(x) == 0 && len(y) == 0 {
		return nil, nil, nil
	}
	if was, err = json.Marshal(x); err != nil {
		return nil, nil, err
	}
	if is, err = json.Marshal(y); err != nil {
		return nil, nil, err
	}
	return was, is, nil
}
