package biobank

import (
	"context"
	"fmt"
)

// Find reads the trees of a protocol, in their order, for the records that fit and that the actor may see, and stops when
// it has enough. It leaves out the first from of them. A search that finds little reads the whole protocol.
func (r *Registry) Find(ctx context.Context, a *Actor, cp int64, from, most int, fits func(*Record) (bool, error)) ([]*Record, error) {
	var found []*Record
	for _, part := range TreeParts(cp) {
		for after := ""; len(found) < from+most; {
			page, err := r.Store.List(ctx, part, "", after, walkPage)
			if err != nil {
				return nil, fmt.Errorf("read the tree of protocol %d: %w", cp, err)
			}
			var some []*Record
			for _, rec := range page {
				ok, err := fits(rec)
				if err != nil {
					return nil, err
				}
				if ok {
					some = append(some, rec)
				}
			}
			if len(some) > 0 {
				if some, err = r.Readable(ctx, a, some); err != nil {
					return nil, err
				}
				found = append(found, some...)
			}
			if len(page) < walkPage {
				break
			}
			after = page[len(page)-1].Key.Sort
		}
	}
	first := min(from, len(found))
	return found[first:min(from+most, len(found))], nil
}
