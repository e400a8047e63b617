// Package router finds the route that a request takes, for an API that answers it in its own way afterwards: with its own
// look-up of the caller, its own form of refusals and its own line in the log.
package router

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// Router finds routes by their patterns, which are those of net/http.ServeMux.
type Router[R any] struct {
	// A hundred patterns take milliseconds, which the first request pays and not every start.
	table func() *table[R]
}

type table[R any] struct {
	mux    *http.ServeMux
	routes map[string]R
}

// New makes a router; routes is called with the first request, and a pattern that is given twice panics then.
func New[R any](routes func() []R, pattern func(R) string) *Router[R] {
	return &Router[R]{sync.OnceValue(func() *table[R] {
		t := &table[R]{http.NewServeMux(), map[string]R{}}
		for _, r := range routes() {
			t.routes[pattern(r)] = r
			// The mux only finds the route and its wildcards.
			t.mux.HandleFunc(pattern(r), func(http.ResponseWriter, *http.Request) {})
		}
		return t
	})}
}

// Miss says that no route fits: the status of the answer, and the verbs that the path does serve, empty for an unknown one.
type Miss struct {
	Status int
	Allow  string
}

// Find returns the route of a request, which has the pattern and the wildcards set, or a *Miss.
func (r *Router[R]) Find(req *http.Request) (R, *Miss) {
	t := r.table()
	found := NewDiscard()
	t.mux.ServeHTTP(found, req)
	route, ok := t.routes[req.Pattern]
	if !ok {
		return route, &Miss{found.Status, found.header.Get("Allow")}
	}
	return route, nil
}

// Discard is an answer of which only the status is kept.
type Discard struct {
	Status int
	header http.Header
}

// NewDiscard makes one.
func NewDiscard() *Discard { return &Discard{header: http.Header{}} }

// Header implements http.ResponseWriter.
func (d *Discard) Header() http.Header { return d.header }

// WriteHeader implements http.ResponseWriter.
func (d *Discard) WriteHeader(status int) { d.Status = status }

// Write implements http.ResponseWriter.
func (d *Discard) Write(p []byte) (int, error) { return len(p), nil }

// RequestID draws what names a request, in the log and in the audit of what it changes.
func RequestID(random io.Reader) (string, error) {
	var id [16]byte
	if _, err := io.ReadFull(random, id[:]); err != nil {
		return "", fmt.Errorf("draw a request id: %w", err)
	}
	return hex.EncodeToString(id[:]), nil
}
