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

// Containers lie in containers, and move. A container tells only what it lies in; where the whole branch is, whose site it
// belongs to and what it may hold follow from what is above it, so that moving one moves all of it in one write. Each
// container remembers the branch as it was when it was last written, so that a branch is read in one go: the parents
// decide, the memory is a hint.

// Branch is a container with what it lies in: itself first, the top one last.
type Branch struct {
	Recs []*Record
	Docs []ContainerDoc
}

// maxNest is how deep containers lie in one another.
const maxNest = 24

// ID is the container's.
func (br *Branch) ID() int64 { return br.Recs[0].ID }

// Doc is the container.
func (br *Branch) Doc() *ContainerDoc { return &br.Docs[0] }

// Site is the id of the site of all of the branch.
func (br *Branch) Site() int64 { return br.Docs[len(br.Docs)-1].SiteID }

// Archived tells whether the container, or one that it lies in, is closed.
func (br *Branch) Archived() bool {
	return slices.ContainsFunc(br.Docs, func(d ContainerDoc) bool { return d.ActivityStatus == StatusClosed })
}

// CellDisplay is what the map of the container shows of its cells: that of the top one.
func (br *Branch) CellDisplay() string { return br.Docs[len(br.Docs)-1].CellDisplay }

// IDs are the ids of the containers that it lies in, the nearest first.
func (br *Branch) IDs() []int64 {
	ids := make([]int64, len(br.Recs))
	for i, rec := range br.Recs {
		ids[i] = rec.ID
	}
	return ids
}

// Kinds are the classes and types of specimens that the container may hold (reference openspecimen-rest.md 16.3): its own
// values where it has either, else those of what it lies in, else every class.
func (br *Branch) Kinds() (classes, types []string) {
	for i := range br.Docs {
		if d := &br.Docs[i]; len(d.Classes) > 0 || len(d.Types) > 0 {
			return d.Classes, d.Types
		}
	}
	return Values(SpecimenClasses), nil
}

// Protocols are the protocols whose specimens it may hold, none for those of its site.
func (br *Branch) Protocols() []int64 {
	return br.nearest(func(d *ContainerDoc) []int64 { return d.Protocols })
}

// Distributions are the distribution protocols that it may serve, none for all.
func (br *Branch) Distributions() []int64 {
	return br.nearest(func(d *ContainerDoc) []int64 { return d.Distributions })
}

func (br *Branch) nearest(of func(*ContainerDoc) []int64) []int64 {
	for i := range br.Docs {
		if ids := of(&br.Docs[i]); len(ids) > 0 {
			return ids
		}
	}
	return nil
}

// Admits tells whether a specimen of a class and type, in a protocol with these sites, may be stored (16.3). A container
// for distribution looks at the distribution protocol alone, which a specimen that is being stored does not have.
func (br *Branch) Admits(class, typ string, cp int64, sites []ProtocolSite) bool {
	if !br.AdmitsKind(class, typ) {
		return false
	}
	if br.Doc().UsedFor == UsedForDistribution {
		return len(br.Distributions()) == 0
	}
	if only := br.Protocols(); len(only) > 0 {
		return slices.Contains(only, cp)
	}
	return slices.ContainsFunc(sites, func(s ProtocolSite) bool { return s.SiteID == br.Site() })
}

// Serves tells whether a container stores what is distributed by a distribution protocol.
func (br *Branch) Serves(dp int64) bool {
	only := br.Distributions()
	return br.Doc().StoreSpecimens && (len(only) == 0 || slices.Contains(only, dp))
}

// AdmitsKind tells whether specimens of a class and type may be stored, of some protocol.
func (br *Branch) AdmitsKind(class, typ string) bool {
	if !br.Doc().StoreSpecimens || br.Doc().UsedFor == UsedForDistribution {
		return br.Doc().StoreSpecimens
	}
	classes, types := br.Kinds()
	return slices.Contains(classes, class) || slices.Contains(types, typ)
}

// narrows tells whether a container with its own restrictions may lie in the branch: what it admits, the branch admits.
func (br *Branch) narrows(d *ContainerDoc) bool {
	classes, types := br.Kinds()
	for _, c := range d.Classes {
		if !slices.Contains(classes, c) {
			return false
		}
	}
	for _, t := range d.Types {
		class, _, _ := ClassOf(t)
		if !slices.Contains(types, t) && !slices.Contains(classes, class) {
			return false
		}
	}
	within := func(own, above []int64) bool {
		return len(above) == 0 || !slices.ContainsFunc(own, func(id int64) bool { return !slices.Contains(above, id) })
	}
	return within(d.Protocols, br.Protocols()) && within(d.Distributions, br.Distributions())
}

// branchesOf reads what containers lie in: mostly in one go.
func branchesOf(ctx context.Context, read func(context.Context, []Key) (map[Key]*Record, error), recs []*Record) (map[int64]*Branch, error) {
	known := map[Key]*Record{}
	docs := map[Key]ContainerDoc{}
	for _, rec := range recs {
		known[rec.Key] = rec
	}
	var keys []Key
	for _, rec := range recs {
		doc, err := Decode[ContainerDoc](rec)
		if err != nil {
			return nil, err
		}
		docs[rec.Key] = doc
		for _, id := range doc.Path {
			if key := SetKey(Container, id); known[key] == nil {
				keys = append(keys, key)
			}
		}
	}
	load := func(keys []Key) error {
		if keys = dedupe(keys); len(keys) == 0 {
			return nil
		}
		got, err := read(ctx, keys)
		if err != nil {
			return fmt.Errorf("read what containers lie in: %w", err)
		}
		for _, key := range keys {
			known[key] = got[key]
			if docs[key], err = Decode[ContainerDoc](got[key]); err != nil {
				return err
			}
		}
		return nil
	}
	if err := load(keys); err != nil {
		return nil, err
	}
	out := map[int64]*Branch{}
	for _, rec := range recs {
		br := &Branch{}
		for key := rec.Key; ; {
			if _, ok := known[key]; !ok {
				if err := load([]Key{key}); err != nil {
					return nil, err
				}
			}
			if known[key] == nil {
				break
			}
			br.Recs, br.Docs = append(br.Recs, known[key]), append(br.Docs, docs[key])
			if docs[key].Parent == nil {
				break
			}
			if len(br.Recs) == maxNest {
				return nil, tooDeep()
			}
			key = SetKey(Container, docs[key].Parent.ContainerID)
		}
		out[rec.ID] = br
	}
	return out, nil
}

func tooDeep() error {
	return fault.New("STORAGE_CONTAINER_HIERARCHY_CONTAINS_CYCLE", "The containers lie more than %d deep in one another.", maxNest)
}

// Branches reads what containers lie in, by id. It checks no rights.
func (r *Registry) Branches(ctx context.Context, recs []*Record) (map[int64]*Branch, error) {
	return branchesOf(ctx, func(ctx context.Context, keys []Key) (map[Key]*Record, error) {
		return r.Store.Records(ctx, keys, true)
	}, recs)
}

// branch reads what a container lies in, within a batch.
func (b *Batch) branch(ctx context.Context, rec *Record) (*Branch, error) {
	all, err := branchesOf(ctx, func(ctx context.Context, keys []Key) (map[Key]*Record, error) {
		for _, key := range keys {
			b.wantRec(key)
		}
		return b.recs, b.readRecs(ctx)
	}, []*Record{rec})
	return all[rec.ID], err
}

// Occupant is who holds a cell.
type Occupant struct {
	At Location
	// Record is the specimen or container in the cell, or for which it is kept; nil for a cell that is blocked or reserved.
	Record *Record
	// Kept tells that the cell is kept for what was checked out of it.
	Kept bool
	// Reserved is until when a cell is reserved, zero for one that is not.
	Reserved time.Time
}

// occupant tells what a mark of a cell stands for, given the record that it names; false for a leftover.
func occupant(m Mark, rec *Record, now int64) (Occupant, bool, error) {
	o := Occupant{At: markedCell(m.Name)}
	if until := reservedUntil(m.Source); until != 0 {
		o.Reserved = time.UnixMilli(until).UTC()
		return o, until > now, nil
	}
	if rec == nil {
		return o, false, nil
	}
	holds := func(in, out *Location) bool {
		o.Record = rec
		o.Kept = out != nil && *out == o.At
		return in != nil && *in == o.At || o.Kept
	}
	if rec.Type == Specimen {
		doc, err := Decode[SpecimenDoc](rec)
		return o, holds(doc.Location, doc.CheckedOut), err
	}
	doc, err := Decode[ContainerDoc](rec)
	if err != nil {
		return o, false, err
	}
	if rec.ID == o.At.ContainerID {
		return o, slices.ContainsFunc(doc.Blocked, func(s Span) bool {
			return s.Row == o.At.Row && s.From <= o.At.Column && o.At.Column <= s.To
		}), nil
	}
	return o, holds(doc.Parent, doc.CheckedOut), nil
}

// Occupants lists who holds the cells of containers, by container and in the order of rows and columns. It checks no
// rights.
func (r *Registry) Occupants(ctx context.Context, at time.Time, ids ...int64) (map[int64][]Occupant, error) {
	return occupantsOf(ctx, r.Store, at.UnixMilli(), ids...)
}

func occupantsOf(ctx context.Context, store Store, now int64, ids ...int64) (map[int64][]Occupant, error) {
	found, errs := make([][]Mark, len(ids)), make([]error, len(ids))
	var group sync.WaitGroup
	slots := make(chan struct{}, readers)
	for i, id := range ids {
		slots <- struct{}{}
		group.Go(func() {
			found[i], errs[i] = store.MarksIn(ctx, cellSet(id), "", "", 0)
			<-slots
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("list the cells of containers: %w", err)
	}
	marks := map[int64][]Mark{}
	var keys []Key
	for i, id := range ids {
		marks[id] = found[i]
		for _, m := range found[i] {
			if reservedUntil(m.Source) == 0 {
				keys = append(keys, m.To)
			}
		}
	}
	recs := map[Key]*Record{}
	if len(keys) > 0 {
		var err error
		if recs, err = store.Records(ctx, dedupe(keys), true); err != nil {
			return nil, fmt.Errorf("read who holds cells: %w", err)
		}
	}
	out := map[int64][]Occupant{}
	for id, all := range marks {
		for _, m := range all {
			o, live, err := occupant(m, recs[m.To], now)
			if err != nil {
				return nil, err
			}
			if live {
				out[id] = append(out[id], o)
			}
		}
	}
	return out, nil
}
