package clinical

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"aliquot/shared/biobank"
)

// ErrMoved means that a participant was changed, or the id of a note was taken, between the reading and the writing of a
// plan, of which nothing was written: plan anew.
var ErrMoved = errors.New("a participant was changed meanwhile")

// Apply does the writes of a plan, or what is left of them: done again, it changes nothing. The error is that of the
// store, or ErrMoved.
func Apply(ctx context.Context, s biobank.Store, plan *Plan) error {
	todo, moved, err := lock(ctx, s, plan)
	if err != nil {
		return err
	}
	if !moved && len(todo) > 0 {
		moved, err = claim(ctx, s, plan)
		if err != nil {
			return err
		}
	}
	if moved {
		if err := takeBack(ctx, s, plan, todo); err != nil {
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
	for _, round := range [][]biobank.Write{entries, records, free} {
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
			case recs[key] != nil && slices.Contains(recs[key].Changes, plan.Source):
			default:
				done, err := begun(ctx, s, plan.Source, &some[i]) // others have changed it since
				if err != nil {
					return nil, false, err
				}
				moved = moved || !done
			}
		}
	}
	return todo, moved, nil
}

// claim takes the ids of the notes that a plan brings, and tells whether another import took one since they were looked up.
func claim(ctx context.Context, s biobank.Store, plan *Plan) (taken bool, err error) {
	for some := range slices.Chunk(plan.Marks, biobank.MaxBatch) {
		results, err := s.Write(ctx, false, some)
		if err != nil {
			return false, fmt.Errorf("claim notes: %w", err)
		}
		var names []string
		for i, r := range results {
			if r != biobank.Written {
				names = append(names, some[i].Mark.Name)
			}
		}
		if len(names) == 0 {
			continue
		}
		marks, err := s.Marks(ctx, names, true)
		if err != nil {
			return false, fmt.Errorf("look up notes: %w", err)
		}
		for _, name := range names {
			if marks[name].Source != plan.Source {
				return true, nil
			}
		}
	}
	return false, nil
}

// TakeBack gives back what a plan has locked and claimed, if nothing else of it was written, and tells whether that is so:
// a plan of which more was written must be finished by Apply.
func TakeBack(ctx context.Context, s biobank.Store, plan *Plan) (bool, error) {
	var locked, touched []*SubjectPlan
	for some := range slices.Chunk(plan.Subjects, biobank.MaxBatch) {
		keys := make([]biobank.Key, len(some))
		for i := range some {
			keys[i] = some[i].Lock.Key
		}
		heads, err := s.Records(ctx, keys, true)
		if err != nil {
			return false, fmt.Errorf("read participants: %w", err)
		}
		for i, key := range keys {
			head := heads[key]
			doc, err := biobank.Decode[Subject](head)
			switch {
			case err != nil:
				return false, err
			case head != nil && slices.Contains(head.Changes, plan.Source):
				return false, nil // it is done
			case doc.Pending == plan.Source:
				locked = append(locked, &some[i])
				touched = append(touched, &some[i])
			case head != nil && head.Version >= some[i].Lock.Version:
				touched = append(touched, &some[i]) // changed by others, before the plan or after it
			}
		}
	}
	for _, p := range touched {
		if begun, err := begun(ctx, s, plan.Source, p); begun || err != nil {
			return false, err
		}
	}
	return true, takeBack(ctx, s, plan, locked)
}

// begun tells whether anything of a participant's plan was written but its lock. What a record remembers of its last changes
// is forgotten after some more of them; an audit entry, and where a new record came from, are not.
func begun(ctx context.Context, s biobank.Store, source string, p *SubjectPlan) (bool, error) {
	var keys []biobank.Key
	var last *biobank.Entry
	entries := 0
	for _, w := range p.Writes {
		if w.Entry != nil {
			last = w.Entry // they are in the order of their places
			entries++
		}
		if w.Record != nil {
			keys = append(keys, w.Record.Key)
		}
	}
	if last != nil {
		// "!" comes behind the place itself, and before any that begins with it.
		trail, err := s.TrailBefore(ctx, last.Type, last.ID, last.AuditKey().Sort+"!", entries)
		if err != nil {
			return false, fmt.Errorf("read the audit of a participant: %w", err)
		}
		if slices.ContainsFunc(trail, func(e *biobank.Entry) bool { return e.Change == source }) {
			return true, nil
		}
	}
	for some := range slices.Chunk(keys, biobank.MaxBatch) {
		recs, err := s.Records(ctx, some, true)
		if err != nil {
			return false, fmt.Errorf("read participants: %w", err)
		}
		for _, rec := range recs {
			if rec.Done(source) {
				return true, nil
			}
		}
	}
	return false, nil
}

func takeBack(ctx context.Context, s biobank.Store, plan *Plan, locked []*SubjectPlan) error {
	if err := release(ctx, s, locked); err != nil {
		return err
	}
	for some := range slices.Chunk(plan.Marks, biobank.MaxBatch) {
		writes := slices.Clone(some)
		for i := range writes {
			writes[i].Kind, writes[i].WasSource = biobank.DropMark, plan.Source
		}
		// One that is not there, or is another's, was not claimed.
		if _, err := s.Write(ctx, false, writes); err != nil {
			return fmt.Errorf("give note ids back: %w", err)
		}
	}
	return nil
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
