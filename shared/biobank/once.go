package biobank

import (
	"context"
	"strings"
	"sync"
)

// Once is a Store that reads each record once for a request: what a check of rights has read, a rule and a view see again
// without another call. Within a request that is as strong as reading it twice: a change is conditional on the version
// that was read, what the request itself writes is forgotten, and a condition that fails forgets everything. Requests are
// told apart by their contexts, which Remembering makes; without one nothing is kept.
func Once(s Store) Store { return once{s} }

type once struct{ Store }

// memory holds what a request has read.
type memory struct {
	mu   sync.Mutex
	recs map[Key]*Record // nil for what does not exist
}

type memoryKey struct{}

// Remembering is the context of a request that reads each record once.
func Remembering(ctx context.Context) context.Context {
	return context.WithValue(ctx, memoryKey{}, &memory{recs: map[Key]*Record{}})
}

// forgetful is the context of reads that are too many to be remembered.
func forgetful(ctx context.Context) context.Context {
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

func (m *memory) forget(keys ...Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range keys {
		delete(m.recs, k)
	}
}

func (m *memory) forgetAll() {
	m.mu.Lock()
	clear(m.recs)
	m.mu.Unlock()
}

// Records implements Store.
func (s once) Records(ctx context.Context, keys []Key, strong bool) (map[Key]*Record, error) {
	m := memoryOf(ctx)
	if m == nil || !strong {
		return s.Store.Records(ctx, keys, strong)
	}
	out := make(map[Key]*Record, len(keys))
	var unknown []Key
	m.mu.Lock()
	for _, k := range keys {
		if rec, ok := m.recs[k]; !ok {
			unknown = append(unknown, k)
		} else if rec != nil {
			out[k] = rec
		}
	}
	m.mu.Unlock()
	if len(unknown) == 0 {
		return out, nil
	}
	got, err := s.Store.Records(ctx, unknown, true)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range unknown {
		m.recs[k] = got[k]
		if got[k] != nil {
			out[k] = got[k]
		}
	}
	return out, nil
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
			if w.Record != nil {
				m.forget(w.Record.Key)
			}
		}
	}
	return results, err
}
