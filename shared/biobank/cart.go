package biobank

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"aliquot/shared/fault"
)

// CartDoc is a cart: specimens that somebody works with, for the owner and those it is shared with (reference
// openspecimen-rest.md 20.4). What is in it are the marks of a set, one for each specimen, in the order of their ids.
type CartDoc struct {
	Name        string  `json:"name"`
	Description string  `json:"description,omitempty"`
	OwnerID     int64   `json:"owner"`
	SharedWith  []int64 `json:"sharedWith,omitempty"`
	// Default is the cart that each user has. It is stored with the first specimen that is put into it.
	Default        bool   `json:"defaultList,omitempty"`
	Digest         bool   `json:"sendDigestNotifs,omitempty"`
	SourceType     string `json:"sourceEntityType,omitempty"`
	SourceID       int64  `json:"sourceEntityId,omitempty"`
	CreatedOn      int64  `json:"createdOn"`     // epoch ms
	UpdatedOn      int64  `json:"lastUpdatedOn"` // epoch ms
	Count          int64  `json:"specimenCount,omitempty"`
	ActivityStatus string `json:"activityStatus"`
	// Added and Removed tell the audit which specimens came and went with the last change of the content, as "1-3,7".
	Added   string `json:"added,omitempty"`
	Removed string `json:"removed,omitempty"`
}

// MaxCart is how many specimens a cart may hold.
const MaxCart = 10_000

// defaultCartName is what the default cart is called.
const defaultCartName = "My default cart"

func cartSet(id int64) string { return "cart.specimens#" + strconv.FormatInt(id, 10) }

func cartMark(owner int64, name string) string {
	return "cart.name#" + strconv.FormatInt(owner, 10) + "#" + Fold(name)
}

func defaultCartMark(owner int64) string { return "cart.default#" + strconv.FormatInt(owner, 10) }

// uniqueCart is the name of a cart among its owner's.
func uniqueCart(owner int64) *unique {
	return &unique{"SPECIMEN_LIST_DUP_NAME", "You have a cart with the same name, %q, already.", func(r *Record, v string) (bool, error) {
		d, err := Decode[CartDoc](r)
		return d.OwnerID == owner && !d.Default && Fold(d.Name) == Fold(v) && d.ActivityStatus != StatusDisabled, err
	}}
}

var uniqueDefaultCart = &unique{"SPECIMEN_LIST_DUP_NAME", "The user has a default cart already; %q cannot be another one.", func(r *Record, _ string) (bool, error) {
	d, err := Decode[CartDoc](r)
	return d.Default && d.ActivityStatus != StatusDisabled, err
}}

// uses tells whether the actor may see a cart and change what is in it.
func (a *Actor) uses(d *CartDoc) bool {
	return a.Super() || d.OwnerID == a.ID || slices.Contains(d.SharedWith, a.ID)
}

func notYourCart() *fault.Fault {
	return fault.New("SPECIMEN_LIST_ACCESS_NOT_ALLOWED", "The cart is not yours and is not shared with you in this way.")
}

// CartDraft is found by ID. Only its owner and super administrators change a cart, but for what is in it (FillCart).
type CartDraft struct {
	ID    int64
	Users []UserRef // nil: not sent
	Doc   CartDoc
	Merge func(*CartDoc)

	// filled tells that only the content changed, as whoever uses the cart may.
	filled bool
}

func (*CartDraft) recordType() Type { return Cart }

func (d *CartDraft) want(_ context.Context, b *Batch, c *Change) error {
	b.wantMember(c, Cart, d.ID, "", nil)
	return nil
}

func (d *CartDraft) read(context.Context, *Batch, *Change) error { return nil }

func (d *CartDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	rec, was, err := member[CartDoc](ctx, b, c, Cart, d.ID, "", nil, nil)
	if err != nil {
		return err
	}
	if rec != nil && !b.actor.Super() && was.OwnerID != b.actor.ID && (!d.filled || !b.actor.uses(&was)) {
		return notYourCart()
	}
	is := d.Doc
	if d.Merge != nil {
		is = was
		is.SharedWith = slices.Clone(was.SharedWith)
		d.Merge(&is)
	} else if rec != nil {
		is.OwnerID, is.Default, is.CreatedOn, is.Count = was.OwnerID, was.Default, was.CreatedOn, was.Count
		is.Added, is.Removed = was.Added, was.Removed
	}
	is.UpdatedOn = b.at
	if rec != nil && gone(is.ActivityStatus) {
		name := freed{&was.Name, 255, func(s string) string { return cartMark(was.OwnerID, s) }}
		if was.Default {
			name.mark = func(string) string { return defaultCartMark(was.OwnerID) }
		}
		return b.retire(ctx, c, o, rec, &was, &was.ActivityStatus, name)
	}
	var l fault.List
	cannotBegin(&l, is.ActivityStatus)
	status(&l, &is.ActivityStatus)
	if is.Name == "" {
		l.Add("SPECIMEN_LIST_NAME_REQUIRED", "Give the name of the cart.")
	}
	tooLong(&l, "Name", is.Name, 255)
	tooLong(&l, "Description", is.Description, 4000)
	tooLong(&l, "Source entity type", is.SourceType, 255)
	if d.Users != nil {
		if is.SharedWith, err = b.userIDs(ctx, &l, d.Users, "SPECIMEN_LIST_INVALID_USERS_LIST"); err != nil {
			return err
		}
	}
	if is.SharedWith = dedupe(is.SharedWith); len(is.SharedWith) > MaxLines {
		l.Add("COMMON_INVALID_INPUT", "A cart can be shared with at most %d users.", MaxLines)
	}
	if len(l) > 0 {
		return l
	}
	if rec == nil {
		return d.create(ctx, b, c, o, &is)
	}
	if !is.Default {
		mark := func(s string) string { return cartMark(was.OwnerID, s) }
		if err := b.reclaim(ctx, c, uniqueCart(was.OwnerID), was.Name, is.Name, mark, rec); err != nil {
			return err
		}
	}
	return b.change(c, rec, &is, o)
}

func (d *CartDraft) create(ctx context.Context, b *Batch, c *Change, o *Outcome, is *CartDoc) error {
	is.OwnerID, is.CreatedOn = b.actor.ID, b.at
	id, err := b.memberID(ctx, c, Cart, 0)
	if err != nil {
		return err
	}
	key := SetKey(Cart, id)
	if is.Default {
		b.claim(c, uniqueDefaultCart, is.Name, defaultCartMark(is.OwnerID), key, id, "")
	} else {
		b.claim(c, uniqueCart(is.OwnerID), is.Name, cartMark(is.OwnerID, is.Name), key, id, "")
	}
	return b.insert(c, Cart, key, id, is, o)
}

// Carts lists the carts that the actor may use, by id, first of all the actor's default cart even if it is not stored.
func (r *Registry) Carts(ctx context.Context, a *Actor) ([]*Record, error) {
	recs, err := r.Members(ctx, a, Cart)
	if err != nil {
		return nil, err
	}
	for _, rec := range recs {
		doc, err := Decode[CartDoc](rec)
		if err != nil {
			return nil, err
		}
		if doc.Default && doc.OwnerID == a.ID {
			return recs, nil
		}
	}
	empty, err := emptyCart(a)
	return append([]*Record{empty}, recs...), err
}

// emptyCart is the default cart of somebody who has put nothing into it.
func emptyCart(a *Actor) (*Record, error) {
	doc, err := json.Marshal(CartDoc{Name: defaultCartName, OwnerID: a.ID, Default: true, ActivityStatus: StatusActive})
	return &Record{Type: Cart, Key: SetKey(Cart, 0), Doc: doc}, err
}

// Cart reads a cart that the actor may use; id 0 is the actor's default cart.
func (r *Registry) Cart(ctx context.Context, a *Actor, id int64) (*Record, error) {
	if id != 0 {
		return r.Get(ctx, a, Cart, id)
	}
	marks, err := r.Store.Marks(ctx, []string{defaultCartMark(a.ID)}, true)
	if err != nil {
		return nil, fmt.Errorf("look up a default cart: %w", err)
	}
	if m, ok := marks[defaultCartMark(a.ID)]; ok {
		rec, err := r.byID(ctx, Cart, m.ID)
		if err != nil || rec != nil && statusOf(rec) != StatusDisabled {
			return rec, err
		}
	}
	return emptyCart(a)
}

// How FillCart changes what is in a cart.
const (
	CartAdd     = "ADD"
	CartRemove  = "REMOVE"
	CartReplace = "UPDATE"
)

// FillCart adds specimens to a cart, removes them, or makes them all that is in it, and returns the cart as it is then. To
// add takes the right to see the specimens; removed is whatever is named. To ask again changes nothing more, and goes on
// where an earlier request was cut short.
func (r *Registry) FillCart(ctx context.Context, a *Actor, at time.Time, c Change, id int64, op string, ids []int64) (*Record, error) {
	rec, err := r.Cart(ctx, a, id)
	if err != nil {
		return nil, err
	}
	ids = dedupe(slices.Clone(ids))
	var named []*Record
	if op != CartRemove {
		refs := make([]SpecimenRef, len(ids))
		for i := range ids {
			refs[i].ID = ids[i]
		}
		if named, err = r.Specimens(ctx, a, refs); err != nil {
			return nil, err
		}
		if len(named) < len(ids) {
			return nil, fault.New("SPECIMEN_LIST_INVALID_SPECIMENS", "%d of the %d specimens were not found.", len(ids)-len(named), len(ids))
		}
	}
	if rec.ID == 0 {
		if len(named) == 0 {
			return rec, nil
		}
		if rec, err = r.one(ctx, a, at, Change{Op: Create, ID: c.ID, Draft: &CartDraft{Doc: CartDoc{Name: defaultCartName, Default: true}}}); err != nil {
			return nil, err
		}
	}
	there, err := r.Store.MarksIn(ctx, cartSet(rec.ID), "", "", 0)
	if err != nil {
		return nil, fmt.Errorf("list what is in a cart: %w", err)
	}
	writes, err := filling(cartSet(rec.ID), there, op, ids, named)
	if err != nil {
		return nil, err
	}
	for rest := writes; len(rest) > 0; {
		n := min(len(rest), MaxBatch)
		// Exists and Conflict mean that it is as asked for already.
		if _, err := r.Store.Write(ctx, false, rest[:n]); err != nil {
			return nil, fmt.Errorf("change what is in a cart: %w", err)
		}
		rest = rest[n:]
	}
	return r.countCart(ctx, a, at, c, rec, writes)
}

// filling are the writes that bring the marks of a cart to what is asked for.
func filling(set string, there []Mark, op string, ids []int64, named []*Record) ([]Write, error) {
	has := map[int64]bool{}
	var writes []Write
	for _, m := range there {
		has[m.ID] = true
		if op == CartRemove && slices.Contains(ids, m.ID) || op == CartReplace && !slices.Contains(ids, m.ID) {
			writes = append(writes, Write{Kind: DropMark, Mark: m, WasSource: m.Source, WasTo: m.To})
		}
	}
	left := len(there) - len(writes)
	for _, s := range named {
		if !has[s.ID] {
			writes = append(writes, Write{Kind: InsertMark, Mark: Mark{Name: SetMark(set, PadID(s.ID)), To: s.Key, ID: s.ID}})
			left++
		}
	}
	if left > MaxCart {
		return nil, fault.New("COMMON_INVALID_INPUT", "A cart can hold at most %d specimens.", MaxCart)
	}
	return writes, nil
}

// countCart keeps how many specimens are in a cart, and tells the audit which ones came and went: of many in several
// entries. A count that an earlier request failed to keep is put right.
func (r *Registry) countCart(ctx context.Context, a *Actor, at time.Time, c Change, rec *Record, writes []Write) (*Record, error) {
	var came, went []int64
	for _, w := range writes {
		if w.Kind == InsertMark {
			came = append(came, w.Mark.ID)
		} else {
			went = append(went, w.Mark.ID)
		}
	}
	added, removed := spans(came), spans(went)
	for {
		there, err := r.Store.MarksIn(ctx, cartSet(rec.ID), "", "", 0)
		if err != nil {
			return nil, fmt.Errorf("count what is in a cart: %w", err)
		}
		doc, err := Decode[CartDoc](rec)
		if err != nil || len(added)+len(removed) == 0 && doc.Count == int64(len(there)) {
			return rec, err
		}
		var plus, minus string
		if len(added) > 0 {
			plus, added = added[0], added[1:]
		} else if len(removed) > 0 {
			minus, removed = removed[0], removed[1:]
		}
		c.Op, c.ByID = Update, true
		c.Draft = &CartDraft{ID: rec.ID, filled: true, Merge: func(d *CartDoc) { d.Count, d.Added, d.Removed = int64(len(there)), plus, minus }}
		// What others put in meanwhile is counted by who looks last: so the count is compared once more.
		if rec, err = r.one(ctx, a, at, c); err != nil {
			return nil, err
		}
	}
}

// spans writes ids as "1-3,7", in texts of at most a few KB.
func spans(ids []int64) []string {
	const most = 3 << 10
	slices.Sort(ids)
	var texts []string
	var b strings.Builder
	for i := 0; i < len(ids); {
		last := i
		for last+1 < len(ids) && ids[last+1] == ids[last]+1 {
			last++
		}
		if b.Len() > most {
			texts = append(texts, b.String())
			b.Reset()
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(ids[i], 10))
		if last > i {
			b.WriteString("-" + strconv.FormatInt(ids[last], 10))
		}
		i = last + 1
	}
	if b.Len() > 0 {
		texts = append(texts, b.String())
	}
	return texts
}

// CartSpecimens reads what is in a cart and the actor may see, by id, a hundred at a time, until keep returns false.
func (r *Registry) CartSpecimens(ctx context.Context, a *Actor, cart int64, keep func(*Record) (more bool, err error)) error {
	const at = 100
	for after := ""; ; {
		marks, err := r.Store.MarksIn(ctx, cartSet(cart), "", after, at)
		if err != nil || len(marks) == 0 {
			return err
		}
		recs, err := r.led(ctx, marks)
		if err != nil {
			return fmt.Errorf("read specimens of a cart: %w", err)
		}
		if recs, err = r.Readable(ctx, a, recs); err != nil {
			return err
		}
		for _, rec := range recs {
			if more, err := keep(rec); err != nil || !more {
				return err
			}
		}
		if len(marks) < at {
			return nil
		}
		_, after, _ = SplitMark(marks[len(marks)-1].Name)
	}
}

// AllInCart is what CartSpecimens reads, at most MaxCart, in the order of the trees: parents before their children.
func (r *Registry) AllInCart(ctx context.Context, a *Actor, cart int64) ([]*Record, error) {
	var recs []*Record
	err := r.CartSpecimens(ctx, a, cart, func(rec *Record) (bool, error) {
		recs = append(recs, rec)
		return true, nil
	})
	slices.SortFunc(recs, func(x, y *Record) int {
		return cmp.Or(cmp.Compare(x.Key.Protocol(), y.Key.Protocol()), strings.Compare(x.Key.Sort, y.Key.Sort))
	})
	return recs, err
}

// CartDescendants are the ids of the specimens below those in a cart.
func (r *Registry) CartDescendants(ctx context.Context, a *Actor, cart int64) ([]int64, error) {
	recs, err := r.AllInCart(ctx, a, cart)
	if err != nil {
		return nil, err
	}
	var ids []int64
	top := Key{}
	for _, rec := range recs {
		if !top.IsZero() && rec.Key.Part == top.Part && strings.HasPrefix(rec.Key.Sort, top.Sort+"/") {
			continue // read with the one above it
		}
		top = rec.Key
		below, err := r.Below(ctx, a, top)
		if err != nil {
			return nil, err
		}
		for _, one := range below {
			ids = append(ids, one.ID)
		}
	}
	return ids, nil
}
