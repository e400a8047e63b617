package biobank

import (
	"context"
	"fmt"
)

// The numbers of a large collection, of ids and of what formats count, are drawn many at once, and those that the plan of the
// whole was given are taken over by what is saved. Of what only some of the specimens count, up to drawnTogether numbers less
// one are left out.

// drawnTogether is how many numbers are drawn at once.
const drawnTogether = 50

// numberPool draws from counters for a number of specimens.
type numberPool struct {
	specimens int64
	at        map[string]*poolCounter
}

type poolCounter struct{ next, left, drawn int64 }

// next is the next number of a counter. No more are drawn than the specimens may need, unless one needs several.
func (p *numberPool) next(ctx context.Context, store Store, counter string) (int64, error) {
	at := p.at[counter]
	if at == nil {
		at = &poolCounter{}
		p.at[counter] = at
	}
	if at.left == 0 {
		n := max(min(drawnTogether, p.specimens-at.drawn), 1)
		first, err := store.Reserve(ctx, counter, n)
		if err != nil {
			return 0, fmt.Errorf("draw from counter %s: %w", counter, err)
		}
		at.next, at.left, at.drawn = first, n, at.drawn+n
	}
	at.next++
	at.left--
	return at.next - 1, nil
}

// drawnNumbers are the numbers of one specimen of a large collection, by counter: the same whenever it is planned.
type drawnNumbers struct {
	pool *numberPool
	kept map[string][]int64
	used map[string]int
}

// again is d for a plan that begins; nil stays nil, which draws one by one.
func (d *drawnNumbers) again() *drawnNumbers {
	if d != nil {
		clear(d.used)
	}
	return d
}

func (d *drawnNumbers) number(ctx context.Context, store Store, counter string) (int64, error) {
	if d.used[counter] == len(d.kept[counter]) {
		n, err := d.pool.next(ctx, store, counter)
		if err != nil {
			return 0, err
		}
		d.kept[counter] = append(d.kept[counter], n)
	}
	d.used[counter]++
	return d.kept[counter][d.used[counter]-1], nil
}

// drawTogether makes the specimens of a collection draw their numbers together, where they are more than one transaction
// holds: each takes three of its items at least.
func (d *CollectDraft) drawTogether() {
	all := allNodes(d.Specimens)
	if len(all) <= maxTransaction/3 {
		return
	}
	pool := &numberPool{specimens: int64(len(all)), at: map[string]*poolCounter{}}
	for _, n := range all {
		n.numbers = &drawnNumbers{pool: pool, kept: map[string][]int64{}, used: map[string]int{}}
	}
}

func allNodes(nodes []*SpecimenNode) (all []*SpecimenNode) {
	for _, n := range nodes {
		all = append(append(all, n), allNodes(n.Children)...)
	}
	return all
}
