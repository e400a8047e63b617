package biobank

import (
	"context"
	"slices"
	"time"

	"aliquot/shared/fault"
)

// The choice of a container for specimens of which nobody says where they go. It takes a protocol with a
// containerSelectionStrategy (reference openspecimen-rest.md 9). The reference names no strategies, so there is one whatever
// the protocol says: of the containers that admit the specimen and that the caller sees, the newest that has room. Old ones
// are mostly full, and one that was put there to be filled is found at once.

// maxLooked is how many containers are looked into for free cells.
const maxLooked = 100

// Choose names the containers of wishes that name none: one for all cells of a wish where the protocol keeps aliquots
// together, else as many as it takes. It reserves nothing: what is chosen may be taken by others before it is.
// STORAGE_CONTAINER_NO_FREE_SPACE tells that there is no room; a wish whose protocol has no strategy is left as it is.
func (r *Registry) Choose(ctx context.Context, a *Actor, at time.Time, wanted []ReserveRef) ([]ReserveRef, error) {
	ch := &choice{r: r, actor: a, at: at, free: map[int64]int64{}}
	var out []ReserveRef
	for _, w := range wanted {
		if !w.In.None() || w.Protocol == 0 {
			out = append(out, w)
			continue
		}
		some, err := ch.choose(ctx, w)
		if err != nil {
			return nil, err
		}
		out = append(out, some...)
	}
	return out, nil
}

// choice is the containers that one request may choose from.
type choice struct {
	r     *Registry
	actor *Actor
	at    time.Time
	all   []*Branch // the newest first; nil before it was asked for
	// free are the cells that are left of the containers that were looked into.
	free map[int64]int64
}

func (ch *choice) choose(ctx context.Context, w ReserveRef) ([]ReserveRef, error) {
	rec, err := ch.r.Get(ctx, ch.actor, Protocol, w.Protocol)
	if err != nil {
		return nil, err
	}
	cp, err := Decode[ProtocolDoc](rec)
	if err != nil || cp.ContainerSelection == "" {
		return []ReserveRef{w}, err
	}
	if class, typ, ok := ClassOf(w.Type); ok {
		w.Class, w.Type = class, typ
	}
	if ch.all == nil {
		if ch.all, err = ch.r.Containers(ctx, ch.actor); err != nil {
			return nil, err
		}
		slices.SortFunc(ch.all, func(a, b *Branch) int { return int(b.ID() - a.ID()) })
	}
	var out []ReserveRef
	left := max(w.Cells, 1)
	for _, br := range ch.all {
		if br.Archived() || br.Doc().UsedFor != UsedForStorage || !br.Admits(w.Class, w.Type, rec.ID, cp.Sites) {
			continue
		}
		room, err := ch.room(ctx, br, left)
		if err != nil {
			return nil, err
		}
		if room == 0 || room < left && cp.AliquotsInSameContainer {
			continue
		}
		one := w
		one.In, one.Cells = LocationRef{ContainerID: br.ID()}, min(room, left)
		ch.free[br.ID()] -= one.Cells
		out = append(out, one)
		if left -= one.Cells; left == 0 {
			return out, nil
		}
	}
	return nil, fault.New("STORAGE_CONTAINER_NO_FREE_SPACE", "No container has room for %d specimens of class %q and type %q of collection protocol %q.", max(w.Cells, 1), w.Class, w.Type, cp.ShortTitle)
}

// room is how many cells of a container are free; as many as are wanted, where it has no cells.
func (ch *choice) room(ctx context.Context, br *Branch, wanted int64) (int64, error) {
	if br.Doc().Dimensionless() {
		ch.free[br.ID()] = wanted
		return wanted, nil
	}
	if n, known := ch.free[br.ID()]; known || len(ch.free) == maxLooked {
		return n, nil
	}
	held, err := ch.r.Occupants(ctx, ch.at, br.ID())
	if err != nil {
		return 0, err
	}
	ch.free[br.ID()] = br.Doc().Cells() - int64(len(held[br.ID()]))
	return ch.free[br.ID()], nil
}
