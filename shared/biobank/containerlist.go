package biobank

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"aliquot/shared/fault"
)

// allContainers reads every container that is not deleted, all shards at once. It checks no rights.
func (r *Registry) allContainers(ctx context.Context) ([]*Record, error) {
	parts := SetParts(Container)
	found, errs := make([][]*Record, len(parts)), make([]error, len(parts))
	var all sync.WaitGroup
	for i, part := range parts {
		all.Go(func() { found[i], errs[i] = r.Store.List(ctx, part, "", "", 0) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	var out []*Record
	for _, recs := range found {
		for _, rec := range recs {
			if statusOf(rec) != StatusDisabled {
				out = append(out, rec)
			}
		}
	}
	return out, nil
}

// eachContainer decodes the containers.
func eachContainer(ctx context.Context, r *Registry, f func(*ContainerDoc)) error {
	all, err := r.allContainers(ctx)
	if err != nil {
		return err
	}
	for _, rec := range all {
		doc, err := Decode[ContainerDoc](rec)
		if err != nil {
			return err
		}
		f(&doc)
	}
	return nil
}

// Containers lists the containers that the actor may see, with what each lies in.
func (r *Registry) Containers(ctx context.Context, a *Actor) ([]*Branch, error) {
	all, err := r.allContainers(ctx)
	if err != nil {
		return nil, err
	}
	return r.seenBranches(ctx, a, all)
}

func (r *Registry) seenBranches(ctx context.Context, a *Actor, recs []*Record) ([]*Branch, error) {
	byID, err := r.Branches(ctx, recs)
	if err != nil {
		return nil, err
	}
	out := make([]*Branch, 0, len(recs))
	for _, rec := range recs {
		if br := byID[rec.ID]; a.HoldsAt(ResContainer, OpRead, br.Site()) {
			out = append(out, br)
		}
	}
	return out, nil
}

// ContainerNamed reads a container by name, or else by barcode, for who may see it; STORAGE_CONTAINER_NOT_FOUND when there
// is none.
func (r *Registry) ContainerNamed(ctx context.Context, a *Actor, at time.Time, name, barcode string) (*Record, error) {
	ref := LocationRef{Name: name, Barcode: barcode}
	if ref.None() {
		return nil, fault.New("STORAGE_CONTAINER_ID_NAME_OR_BARCODE_REQ", "Give the name or the barcode of the container.")
	}
	rec, err := r.newBatch(a, at).container(ctx, ref)
	if err != nil {
		return nil, err
	}
	return rec, r.mayRead(ctx, a, rec)
}

// ContainersNamed finds containers, in that order, leaving out those that are unknown, deleted or not for the actor to see.
func (r *Registry) ContainersNamed(ctx context.Context, a *Actor, at time.Time, refs []LocationRef) ([]*Record, error) {
	branches, err := r.newBatch(a, at).containersSeen(ctx, refs)
	if err != nil {
		return nil, err
	}
	var recs []*Record
	for _, br := range branches {
		if br != nil {
			recs = append(recs, br.Recs[0])
		}
	}
	return recs, nil
}

// containersNamed finds containers, all together; nil stands for one that is unknown or deleted. It checks no rights.
func (b *Batch) containersNamed(ctx context.Context, refs []LocationRef) ([]*Record, error) {
	for i := range refs {
		b.wantLocation(&refs[i])
	}
	if err := b.readMarks(ctx); err != nil {
		return nil, err
	}
	for i := range refs {
		b.wantLocationRec(&refs[i])
	}
	if err := b.readRecs(ctx); err != nil {
		return nil, err
	}
	recs := make([]*Record, len(refs))
	for i := range refs {
		rec, err := b.container(ctx, refs[i])
		if err != nil && fault.All(err) == nil {
			return nil, err
		} else if err == nil {
			recs[i] = rec
		}
	}
	return recs, nil
}

// containersSeen is containersNamed with what the containers lie in; nil stands for one that the actor may not see, too.
func (b *Batch) containersSeen(ctx context.Context, refs []LocationRef) ([]*Branch, error) {
	recs, err := b.containersNamed(ctx, refs)
	if err != nil {
		return nil, err
	}
	found := slices.DeleteFunc(slices.Clone(recs), func(rec *Record) bool { return rec == nil })
	byID, err := (&Registry{Store: b.store}).Branches(ctx, found)
	if err != nil {
		return nil, err
	}
	branches := make([]*Branch, len(recs))
	for i, rec := range recs {
		if rec != nil && b.actor.HoldsAt(ResContainer, OpRead, byID[rec.ID].Site()) {
			branches[i] = byID[rec.ID]
		}
	}
	return branches, nil
}

// WithSpace are those of the containers that have a free cell, or no cells at all, in their order: the first enough of them,
// 0 for all. It looks into some at once, and behind the last that is wanted into no more than that.
func (r *Registry) WithSpace(ctx context.Context, at time.Time, all []*Branch, enough int) ([]*Branch, error) {
	const atOnce = 32
	var out []*Branch
	for some := range slices.Chunk(all, atOnce) {
		free, errs := make([]bool, len(some)), make([]error, len(some))
		var group sync.WaitGroup
		for i, br := range some {
			group.Go(func() { free[i], errs[i] = r.hasSpace(ctx, at, br) })
		}
		group.Wait()
		if err := errors.Join(errs...); err != nil {
			return nil, err
		}
		for i, br := range some {
			if free[i] {
				out = append(out, br)
			}
		}
		if enough > 0 && len(out) >= enough {
			return out[:enough], nil
		}
	}
	return out, nil
}

// hasSpace tells whether something more goes into a container. Who holds its cells is looked at only where each of them has
// a mark, which may be a leftover.
func (r *Registry) hasSpace(ctx context.Context, at time.Time, br *Branch) (bool, error) {
	if br.Archived() || br.Doc().Dimensionless() {
		return !br.Archived(), nil
	}
	cells := br.Doc().Cells()
	marks, err := r.Store.MarksIn(ctx, cellSet(br.ID()), "", "", int(cells))
	if err != nil {
		return false, fmt.Errorf("list the cells of container %d: %w", br.ID(), err)
	}
	if int64(len(marks)) < cells {
		return true, nil
	}
	held, err := r.Occupants(ctx, at, br.ID())
	return int64(len(held[br.ID()])) < cells, err
}

// Children lists the containers that lie in another.
func (r *Registry) Children(ctx context.Context, at time.Time, id int64) ([]*Record, error) {
	all, err := r.Occupants(ctx, at, id)
	if err != nil {
		return nil, err
	}
	var out []*Record
	for _, o := range all[id] {
		if o.Record != nil && o.Record.Type == Container && !o.Kept && o.Record.ID != id {
			out = append(out, o.Record)
		}
	}
	return out, nil
}

// Inside lists the containers that lie in another, each after the one that it lies in, and the specimens that are stored
// in it and in them. It checks no rights.
func (r *Registry) Inside(ctx context.Context, at time.Time, rec *Record) ([]*Branch, []*Record, error) {
	b := r.newBatch(&Actor{}, at)
	top, err := b.branch(ctx, rec)
	if err != nil {
		return nil, nil, err
	}
	var branches []*Branch
	var specimens []*Record
	err = b.contents(ctx, top, func(br *Branch, all []Occupant) error {
		branches = append(branches, br)
		for _, o := range all {
			if o.Record != nil && o.Record.Type == Specimen && !o.Kept {
				specimens = append(specimens, o.Record)
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return branches[1:], specimens, nil
}

// Vacant lists free cells of a container, at most n, in the order of its assignment: from the given one on, and once around.
func (r *Registry) Vacant(ctx context.Context, at time.Time, br *Branch, from LocationRef, n int) ([]Location, error) {
	grid, id := &br.Doc().Grid, br.ID()
	start, err := grid.cell(id, from.X, from.Y, from.Position)
	if err != nil || grid.Dimensionless() {
		return nil, err
	}
	held, err := r.Occupants(ctx, at, id)
	if err != nil {
		return nil, err
	}
	taken := map[Location]bool{}
	for _, o := range held[id] {
		taken[o.At] = true
	}
	first := int64(1)
	if start.Row != 0 {
		first = grid.Ordinal(start.Row, start.Column)
	}
	var out []Location
	for i := range grid.Cells() {
		row, column := grid.Cell((first-1+i)%grid.Cells() + 1)
		if one := (Location{id, row, column}); !taken[one] {
			if out = append(out, one); len(out) == n {
				break
			}
		}
	}
	if len(out) < n {
		return nil, fault.New("STORAGE_CONTAINER_NO_FREE_SPACE", "Container %q has %d free positions, not %d.", br.Doc().Name, len(out), n)
	}
	return out, nil
}
