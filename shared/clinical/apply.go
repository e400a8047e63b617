package clinical

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"aliquot/shared/biobank"
)

// ErrMoved means that a participant was changed between the reading and the writing of a plan, of which nothing was
// written: plan anew.
var ErrMoved = errors.New("a participant was changed meanwhile")

// Apply does the writes of a plan, or what is left of them: done again, it changes nothing. The error is that of the
// store, or ErrMoved.
func Apply(ctx context.Context, s biobank.Store, plan *Plan) error {
	todo, moved, err := lock(ctx, s, plan)
	if err != nil {
		return err
	}
	if moved {
		if err := release(ctx, s, todo); err != nil {
			return err
		}
		return ErrMoved
	}
	if len(todo) == 0 {
		return nil
	}
	var entries, records, free []biobank.Write
	for _, p := range todo {
		for _, w := range p.Writes {
			if w.Kind == biobank.InsertEntry {
				entries = append(entries, w)
			} else {
				records = append(records, w)
			}
		}
		free = append(free, biobank.Write{Kind: biobank.UpdateRecord, Record: p.Free})
	}
	// Each round must be there before the next: an entry before the record that it tells of, all of it before the participant
	// is free.
	for _, round := range [][]biobank.Write{plan.Marks, entries, records, free} {
		if err := write(ctx, s, plan.Source, round); err != nil {
			return err
		}
	}
	return nil
}

// lock marks the participants of a plan as pending. It leaves out those of which all is done, and tells whether one was
// changed by somebody else: an earlier try has then written nothing, since it locks all before it writes.
func lock(ctx context.Context, s biobank.Store, plan *Plan) (todo []*SubjectPlan, moved bool, err error) {
	for some := range slices.Chunk(plan.Subjects, biobank.MaxBatch) {
		writes := make([]biobank.Write, len(some))
		for i := range some {
			writes[i] = biobank.Write{Kind: biobank.UpdateRecord, Record: some[i].Lock}
		}
		results, err := s.Write(ctx, false, writes)
		if err != nil {
			return nil, false, fmt.Errorf("lock participants: %w", err)
		}
		for i, r := range results {
			if r == biobank.Written {
				todo = append(todo, &some[i])
				continue
			}
			key := some[i].Lock.Key
			recs, err := s.Records(ctx, []biobank.Key{key}, true)
			if err != nil {
				return nil, false, fmt.Errorf("read a participant: %w", err)
			}
			doc, err := biobank.Decode[Subject](recs[key])
			switch {
			case err != nil:
				return nil, false, err
			case doc.Pending == plan.Source:
				todo = append(todo, &some[i]) // an earlier try locked it
			case recs[key] == nil || !slices.Contains(recs[key].Changes, plan.Source):
				moved = true
			}
		}
	}
	return todo, moved, nil
}

// release gives participants back as they were.
func release(ctx context.Context, s biobank.Store, locked []*SubjectPlan) error {
	for some := range slices.Chunk(locked, biobank.MaxBatch) {
		writes := make([]biobank.Write, len(some))
		for i, p := range some {
			doc, err := biobank.Decode[Subject](p.Lock)
			if err != nil {
				return err
			}
			rec := *p.Lock
			rec.Version++
			doc.Pending = ""
			if rec.Doc, err = json.Marshal(doc); err != nil {
				return err
			}
			writes[i] = biobank.Write{Kind: biobank.UpdateRecord, Record: &rec}
		}
		// One that is not there as it was locked was released by an earlier try.
		if _, err := s.Write(ctx, false, writes); err != nil {
			return fmt.Errorf("release participants: %w", err)
		}
	}
	return nil
}

// write does writes that nobody else can stand in the way of: what is there already must be of the same source.
func write(ctx context.Context, s biobank.Store, source string, writes []biobank.Write) error {
	for some := range slices.Chunk(writes, biobank.MaxBatch) {
		results, err := s.Write(ctx, false, some)
		if err != nil {
			return fmt.Errorf("write participants: %w", err)
		}
		var keys []biobank.Key
		for i, r := range results {
			if r != biobank.Written && some[i].Record != nil {
				keys = append(keys, some[i].Record.Key)
			}
		}
		if len(keys) == 0 {
			continue
		}
		recs, err := s.Records(ctx, keys, true)
		if err != nil {
			return fmt.Errorf("read participants: %w", err)
		}
		for _, key := range keys {
			if rec := recs[key]; rec == nil || !rec.Done(source) {
				return fmt.Errorf("%s was changed past its lock", key.Part)
			}
		}
	}
	return nil
}
