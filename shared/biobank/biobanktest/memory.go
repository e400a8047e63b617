// Package biobanktest has a store in memory for tests of what is written through the registry, and the suite that it and
// the real one are held to.
package biobanktest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"aliquot/shared/biobank"
)

// Memory is a biobank.Store in memory. It keeps copies, so that what a caller does to a value afterwards is not stored,
// as with a real one. It may be used by several goroutines.
type Memory struct {
	mu       sync.Mutex
	marks    map[string]biobank.Mark
	records  map[biobank.Key]*biobank.Record
	entries  map[biobank.Key]*biobank.Entry
	seals    map[biobank.Key]string
	counters map[string]int64
	ended    map[string]bool // by job, whether all its rows were finished
}

var _ biobank.Store = (*Memory)(nil)

// NewMemory makes an empty store.
func NewMemory() *Memory {
	return &Memory{
		marks: map[string]biobank.Mark{}, records: map[biobank.Key]*biobank.Record{}, entries: map[biobank.Key]*biobank.Entry{},
		seals: map[biobank.Key]string{}, counters: map[string]int64{}, ended: map[string]bool{},
	}
}

// Clone is a store with the same content.
func (m *Memory) Clone() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := NewMemory()
	maps.Copy(c.marks, m.marks)
	maps.Copy(c.records, m.records) // what is stored is replaced, never changed
	maps.Copy(c.entries, m.entries)
	maps.Copy(c.seals, m.seals)
	maps.Copy(c.counters, m.counters)
	maps.Copy(c.ended, m.ended)
	return c
}

// EndJob ends the job whose rows have sources "<job>#<row>", and tells whether all of them were finished.
func (m *Memory) EndJob(job string, whole bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended[job] = whole
}

// AllMarks returns every mark, by name.
func (m *Memory) AllMarks() map[string]biobank.Mark {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.marks)
}

// AllRecords returns every record, by key.
func (m *Memory) AllRecords() map[biobank.Key]*biobank.Record {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make(map[biobank.Key]*biobank.Record, len(m.records))
	for k, r := range m.records {
		out[k] = copied(r)
	}
	return out
}

func copied(r *biobank.Record) *biobank.Record {
	c := *r
	c.Changes, c.Doc = slices.Clone(r.Changes), bytes.Clone(r.Doc)
	return &c
}

// Marks implements biobank.Store.
func (m *Memory) Marks(ctx context.Context, names []string, _ bool) (map[string]biobank.Mark, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string]biobank.Mark{}
	for _, n := range names {
		if mark, ok := m.marks[n]; ok {
			out[n] = mark
		}
	}
	return out, ctx.Err()
}

// MarksIn implements biobank.Store.
func (m *Memory) MarksIn(ctx context.Context, set, prefix, after string, limit int) ([]biobank.Mark, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []biobank.Mark
	for name, mark := range m.marks {
		if in, place, ok := biobank.SplitMark(name); ok && in == set && strings.HasPrefix(place, prefix) && place > after {
			out = append(out, mark)
		}
	}
	slices.SortFunc(out, func(a, b biobank.Mark) int { return cmp.Compare(a.Name, b.Name) })
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return out, ctx.Err()
}

// Records implements biobank.Store.
func (m *Memory) Records(ctx context.Context, keys []biobank.Key, _ bool) (map[biobank.Key]*biobank.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[biobank.Key]*biobank.Record{}
	for _, k := range keys {
		if r, ok := m.records[k]; ok {
			out[k] = copied(r)
		}
	}
	return out, ctx.Err()
}

// List implements biobank.Store.
func (m *Memory) List(ctx context.Context, part, prefix, after string, limit int) ([]*biobank.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []*biobank.Record
	for k, r := range m.records {
		if k.Part == part && strings.HasPrefix(k.Sort, prefix) && k.Sort > after {
			out = append(out, copied(r))
		}
	}
	slices.SortFunc(out, func(a, b *biobank.Record) int { return cmp.Compare(a.Key.Sort, b.Key.Sort) })
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return out, ctx.Err()
}

// Write implements biobank.Store.
func (m *Memory) Write(ctx context.Context, _ bool, writes []biobank.Write) ([]biobank.Result, error) {
	if len(writes) > biobank.MaxBatch {
		return nil, fmt.Errorf("%d writes in one request", len(writes))
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	results := make([]biobank.Result, len(writes))
	for i := range writes {
		if results[i] = m.check(&writes[i]); results[i] == biobank.Written {
			m.do(&writes[i])
		}
	}
	return results, nil
}

// Transact implements biobank.Store.
func (m *Memory) Transact(ctx context.Context, writes []biobank.Write) ([]biobank.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	results := make([]biobank.Result, len(writes))
	failed := false
	touched := map[string]bool{}
	for i := range writes {
		if item := item(&writes[i]); touched[item] {
			return nil, fmt.Errorf("a transaction touches %s twice", item)
		} else {
			touched[item] = true
		}
		results[i] = m.check(&writes[i])
		failed = failed || results[i] != biobank.Written
	}
	if failed {
		return results, biobank.ErrTransaction
	}
	for i := range writes {
		m.do(&writes[i])
	}
	return nil, nil
}

// item names what a write touches.
func item(w *biobank.Write) string {
	switch w.Kind {
	case biobank.InsertRecord, biobank.UpdateRecord, biobank.DropRecord, biobank.SealRecord, biobank.UnsealRecord, biobank.StandOn:
		return "record " + w.Record.Key.String()
	case biobank.InsertEntry:
		return "entry " + w.Entry.AuditKey().String()
	default:
		return "mark " + w.Mark.Name
	}
}

func (m *Memory) check(w *biobank.Write) biobank.Result {
	switch w.Kind {
	case biobank.InsertMark:
		if _, ok := m.marks[w.Mark.Name]; ok {
			return biobank.Exists
		}
	case biobank.InsertRecord:
		if _, ok := m.records[w.Record.Key]; ok {
			return biobank.Exists
		}
	case biobank.InsertEntry:
		if _, ok := m.entries[w.Entry.AuditKey()]; ok {
			return biobank.Exists
		}
	case biobank.UpdateRecord:
		if r, ok := m.records[w.Record.Key]; !ok || r.Version != w.Record.Version-1 || w.Seal != "" && m.seals[w.Record.Key] != w.Seal {
			return biobank.Conflict
		}
	case biobank.SealRecord, biobank.StandOn:
		r, ok := m.records[w.Record.Key]
		if seal := m.seals[w.Record.Key]; !ok || r.Version != w.Record.Version || w.Kind == biobank.StandOn && seal != "" && seal >= w.Now {
			return biobank.Conflict
		}
	case biobank.UnsealRecord:
		if m.seals[w.Record.Key] != w.Seal {
			return biobank.Conflict
		}
	case biobank.DropRecord:
		if r, ok := m.records[w.Record.Key]; ok && r.Version != w.Record.Version {
			return biobank.Conflict
		}
	case biobank.TakeMark, biobank.DropMark:
		mark, ok := m.marks[w.Mark.Name]
		if !ok && w.Kind == biobank.DropMark {
			return biobank.Written // nothing there to delete
		}
		if !ok || mark.Source != w.WasSource || mark.To != w.WasTo {
			return biobank.Conflict
		}
	}
	return biobank.Written
}

func (m *Memory) do(w *biobank.Write) {
	switch w.Kind {
	case biobank.InsertMark, biobank.TakeMark:
		m.marks[w.Mark.Name] = w.Mark
	case biobank.DropMark:
		delete(m.marks, w.Mark.Name)
	case biobank.InsertRecord:
		m.records[w.Record.Key] = copied(w.Record)
	case biobank.UpdateRecord:
		// The creation stays as it was stored.
		r := copied(m.records[w.Record.Key])
		r.Doc, r.Version = bytes.Clone(w.Record.Doc), w.Record.Version
		r.Changes, r.Head = slices.Clone(w.Record.Changes), w.Record.Head
		m.records[w.Record.Key] = r
		if w.Seal != "" {
			delete(m.seals, w.Record.Key)
		}
	case biobank.DropRecord:
		delete(m.records, w.Record.Key)
		delete(m.seals, w.Record.Key)
	case biobank.SealRecord:
		m.seals[w.Record.Key] = w.Seal
	case biobank.UnsealRecord, biobank.StandOn:
		delete(m.seals, w.Record.Key)
	case biobank.InsertEntry:
		e := *w.Entry
		m.entries[w.Entry.AuditKey()] = &e
	}
}

// Reserve implements biobank.Store.
func (m *Memory) Reserve(ctx context.Context, counter string, n int64) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counters[counter] += n
	return m.counters[counter] - n + 1, ctx.Err()
}

// ReserveFor implements biobank.Store.
func (m *Memory) ReserveFor(ctx context.Context, owner, counter string, n int64) (first, kept int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	note := "reserved#" + owner + "#" + counter
	if m.counters[note] == 0 && n > 0 {
		m.counters[note], m.counters[note+"#n"] = m.counters[counter]+1, n
		m.counters[counter] += n
	}
	return m.counters[note], m.counters[note+"#n"], ctx.Err()
}

// Alive implements biobank.Store.
func (m *Memory) Alive(ctx context.Context, source string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	job, _, ok := strings.Cut(source, "#")
	_, ended := m.ended[job]
	return ok && !ended, ctx.Err()
}

// Whole implements biobank.Store.
func (m *Memory) Whole(ctx context.Context, source string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	job, _, ok := strings.Cut(source, "#")
	return !ok || m.ended[job], ctx.Err()
}

// TrailBefore implements biobank.Store.
func (m *Memory) TrailBefore(ctx context.Context, t biobank.Type, id int64, before string, limit int) ([]*biobank.Entry, error) {
	all, err := m.Trail(ctx, t, id)
	all = slices.DeleteFunc(all, func(e *biobank.Entry) bool { return e.AuditKey().Sort >= before })
	slices.Reverse(all)
	return all[:min(limit, len(all))], err
}

// Trail implements biobank.Store.
func (m *Memory) Trail(ctx context.Context, t biobank.Type, id int64) ([]*biobank.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []*biobank.Entry
	for _, e := range m.entries {
		if e.Type == t && e.ID == id {
			c := *e
			out = append(out, &c)
		}
	}
	slices.SortFunc(out, func(a, b *biobank.Entry) int { return cmp.Compare(a.AuditKey().Sort, b.AuditKey().Sort) })
	return out, ctx.Err()
}
