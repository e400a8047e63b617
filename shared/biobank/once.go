package biobank

import (
	"context"
	"maps"
	"strings"
	"sync"
)

// Once is a Store that reads each record and mark once for a request: what a check of rights has read, a rule and a view see
// again without another call. Within a request that is as strong as reading it twice: a change is conditional on the version
// that was read, what the request itself writes is forgotten, and a condition that fails forgets everything. Requests are
// told apart by their contexts, which Remembering makes; without one nothing is kept.
func Once(s Store) Store { return once{s} }

type once struct{ Store }

// memory holds what a request has read.
type memory struct {
	mu    sync.Mutex
	recs  map[Key]*Record // nil for what does not exist
	marks map[string]Mark // zero likewise
	ahead Ahead
}

// Ahead is what a request is known to need before it is known who asks: it is read along with the session.
type Ahead struct {
	Marks []string
	Keys  []Key
}

type memoryKey struct{}

// Remembering is the context of a request that reads each record once.
func Remembering(ctx context.Context) context.Context {
	return context.WithValue(ctx, memoryKey{}, &memory{recs: map[Key]*Record{}, marks: map[string]Mark{}})
}

// Forgetful is the context of reads that are too many to be remembered.
func Forgetful(ctx context.Context) context.Context {
	return context.WithValue(ctx, memoryKey{}, (*memory)(nil))
}

func memoryOf(ctx context.Context) *memory {
	m, _ := ctx.Value(memoryKey{}).(*memory)
	return m
}

// Note adds a record that was read elsewhere to what the request knows.
func Note(ctx context.Context, rec *Record) {
	if m := memoryOf(ctx); m != nil && rec != nil {
		m.mu.Lock()
		m.recs[rec.Key] = rec
		m.mu.Unlock()
	}
}

// Expect tells that the request will read an object by its id.
func Expect(ctx context.Context, t Type, id int64) {
	if scattered(t) {
		expect(ctx, Ahead{Marks: []string{IDMark(t, id)}})
	} else {
		expect(ctx, Ahead{Keys: []Key{SetKey(t, id)}})
	}
}

// ExpectNamed tells that the request will look for an object by its name: a protocol by its short title, a specimen by its
// label.
func ExpectNamed(ctx context.Context, t Type, name string) {
	if mark := nameMark(t, name); name != "" && len(mark) <= maxMark {
		expect(ctx, Ahead{Marks: []string{mark}})
	}
}

func expect(ctx context.Context, ahead Ahead) {
	if m := memoryOf(ctx); m != nil {
		m.mu.Lock()
		m.ahead = Ahead{append(m.ahead.Marks, ahead.Marks...), append(m.ahead.Keys, ahead.Keys...)}
		m.mu.Unlock()
	}
}

// Expected is what Expect was told of and nobody has read yet.
func Expected(ctx context.Context) Ahead {
	m := memoryOf(ctx)
	if m == nil {
		return Ahead{}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	ahead := m.ahead
	m.ahead = Ahead{}
	return ahead
}

// Learn adds what Expected named to what the request knows: strongly read, and absent where it does not exist.
func Learn(ctx context.Context, ahead Ahead, marks map[string]Mark, recs map[Key]*Record) {
	m := memoryOf(ctx)
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range ahead.Marks {
		m.marks[name] = marks[name]
	}
	for _, k := range ahead.Keys {
		m.recs[k] = recs[k]
	}
}

// forgetMarks has marks read anew, where what they lead to is not there: it may have moved since they were read.
func forgetMarks(ctx context.Context, names ...string) {
	if m := memoryOf(ctx); m != nil {
		m.mu.Lock()
		for _, name := range names {
			delete(m.marks, name)
		}
		m.mu.Unlock()
	}
}

func (m *memory) forget(w Write) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.marks, w.Mark.Name)
	if w.Record != nil {
		delete(m.recs, w.Record.Key)
	}
}

func (m *memory) forgetAll() {
	m.mu.Lock()
	clear(m.recs)
	clear(m.marks)
	m.mu.Unlock()
}

// recall answers with what the request knows of some keys, and reads the others, which it knows from then on; the zero value
// stands for what does not exist.
func recall[K, V comparable](m *memory, known map[K]V, keys []K, read func([]K) (map[K]V, error)) (map[K]V, error) {
	var none V
	out := make(map[K]V, len(keys))
	var unknown []K
	m.mu.Lock()
	for _, k := range keys {
		if v, ok := known[k]; !ok {
			unknown = append(unknown, k)
		} else if v != none {
			out[k] = v
		}
	}
	m.mu.Unlock()
	if len(unknown) == 0 {
		return out, nil
	}
	got, err := read(unknown)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range unknown {
		known[k] = got[k]
	}
	maps.Copy(out, got)
	return out, nil
}

// Marks implements Store.
func (s once) Marks(ctx context.Context, names []string, strong bool) (map[string]Mark, error) {
	m := memoryOf(ctx)
	if m == nil || !strong {
		return s.Store.Marks(ctx, names, strong)
	}
	return recall(m, m.marks, names, func(unknown []string) (map[string]Mark, error) { return s.Store.Marks(ctx, unknown, true) })
}

// Records implements Store.
func (s once) Records(ctx context.Context, keys []Key, strong bool) (map[Key]*Record, error) {
	m := memoryOf(ctx)
	if m == nil || !strong {
		return s.Store.Records(ctx, keys, strong)
	}
	return recall(m, m.recs, keys, func(unknown []Key) (map[Key]*Record, error) { return s.Store.Records(ctx, unknown, true) })
}

// List implements Store. The members of small sets and the definitions of protocols are kept; trees may be large.
func (s once) List(ctx context.Context, part, prefix, after string, limit int) ([]*Record, error) {
	recs, err := s.Store.List(ctx, part, prefix, after, limit)
	if m := memoryOf(ctx); m != nil && err == nil && strings.Count(part, "#") <= 1 {
		m.mu.Lock()
		for _, rec := range recs {
			m.recs[rec.Key] = rec
		}
		m.mu.Unlock()
	}
	return recs, err
}

// Write implements Store.
func (s once) Write(ctx context.Context, opening bool, writes []Write) ([]Result, error) {
	if m := memoryOf(ctx); m != nil {
		defer m.forgetAll()
	}
	return s.Store.Write(ctx, opening, writes)
}

// Transact implements Store.
func (s once) Transact(ctx context.Context, writes []Write) ([]Result, error) {
	results, err := s.Store.Transact(ctx, writes)
	m := memoryOf(ctx)
	switch {
	case m == nil:
	case err != nil:
		m.forgetAll()
	default:
		for _, w := range writes {
			if w.Kind != StandOn { // which changes nothing
				m.forget(w)
			}
		}
	}
	return results, err
}
