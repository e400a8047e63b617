package biobank

import (
	"context"
	"fmt"
)

// Lines are the items of an order or a shipment. Few of them lie in the object itself; more lie in a record of their own,
// beside it, so that a list of objects does not read them.
type Lines[T any] struct {
	Items []T   `json:"items,omitempty"`
	Count int64 `json:"itemCount,omitempty"`
	// Apart tells that the items lie in their own record. Once there, they stay there.
	Apart bool `json:"itemsApart,omitempty"`
}

const (
	fewLines = 25
	// MaxLines is how many items an order or a shipment may have.
	MaxLines = 1000
	// together is how many specimens are changed in one transaction with the order or shipment that changes them: each
	// takes a record, an audit entry, and the marks of a reservation and of three cells of its 100 items at most.
	together = 15
)

// LinesKey is where the items of a record lie when they do not lie in it.
func LinesKey(rec *Record) Key { return SetKey(linesType(rec.Type), rec.ID) }

func linesType(t Type) Type { return t + ".items" }

// load reads the items that lie apart, with their record; nil where they do not.
func (l *Lines[T]) load(ctx context.Context, b *Batch, rec *Record) (*Record, error) {
	if rec == nil || !l.Apart {
		return nil, nil
	}
	apart, err := b.rec(ctx, LinesKey(rec))
	if err != nil {
		return nil, err
	}
	return apart, l.from(apart)
}

func (l *Lines[T]) from(apart *Record) error {
	is, err := Decode[Lines[T]](apart)
	l.Items = is.Items
	return err
}

// Load reads the items that lie apart.
func (l *Lines[T]) Load(ctx context.Context, r *Registry, rec *Record) error {
	if !l.Apart {
		return nil
	}
	found, err := r.Store.Records(ctx, []Key{LinesKey(rec)}, true)
	if err != nil {
		return fmt.Errorf("read the items of %s %d: %w", rec.Type, rec.ID, err)
	}
	return l.from(found[LinesKey(rec)])
}

// save plans the write of items that lie apart, and takes them out of the object to be written.
func (l *Lines[T]) save(b *Batch, c *Change, t Type, id int64, apart *Record) error {
	l.Count = int64(len(l.Items))
	if !l.Apart && len(l.Items) <= fewLines {
		return nil
	}
	doc := Lines[T]{Items: l.Items}
	l.Items, l.Apart = nil, true
	if apart == nil {
		return b.insert(c, linesType(t), SetKey(linesType(t), id), id, doc, &Outcome{})
	}
	return b.change(c, apart, doc, &Outcome{})
}

// numberItems gives ids from a counter to those of n items that have none.
func (b *Batch) numberItems(ctx context.Context, counter string, n int, id func(int) *int64) error {
	var fresh []*int64
	for i := range n {
		if at := id(i); *at == 0 {
			fresh = append(fresh, at)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	next, err := b.store.Reserve(ctx, counter, int64(len(fresh)))
	if err != nil {
		return fmt.Errorf("draw ids of items: %w", err)
	}
	for i, at := range fresh {
		*at = next + int64(i)
	}
	return nil
}
