package api

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
)

// Patterns lists the routes, for the test that walks all of them.
func Patterns() []string {
	var all []string
	for _, r := range routes() {
		all = append(all, r.pattern)
	}
	return all
}

// Document is the document of the API.
var Document = sync.OnceValues(func() ([]byte, error) { return json.Marshal(document(routes())) })

// Undescribed lists the routes that do not say what they are for or what they answer.
func Undescribed() []string {
	var all []string
	for _, r := range routes() {
		if r.summary == "" || r.answers == nil && r.pattern[:4] != http.MethodHead {
			all = append(all, r.pattern)
		}
	}
	return all
}

// rehearsed is what the document knows that routes read.
var rehearsed = sync.OnceValue(func() map[string]*reads {
	all := map[string]*reads{}
	for _, r := range routes() {
		if r.summary != "" {
			all[r.pattern] = r.rehearse()
		}
	}
	return all
})

// Watch is told what becomes of requests.
type Watch struct {
	// Missing is told of parameters and members that a request was asked for and that the document does not know.
	Missing func(pattern, name string)
	// Identified is told when the caller of a request is known, Served when it has been answered.
	Identified func(context.Context)
	Served     func(ctx context.Context, pattern string, status int)
}

// Watch sets what is told. It is called before Handler.
func (a *API) Watch(w Watch) { a.watch = watching(w) }

type watching Watch

func (w watching) identified(ctx context.Context) { w.Identified(ctx) }

func (w watching) served(ctx context.Context, pattern string, status int, seen *reads) {
	w.Served(ctx, pattern, status)
	known := rehearsed()[pattern]
	if known == nil {
		return
	}
	for name := range seen.query {
		if _, ok := known.query[name]; !ok {
			w.Missing(pattern, "the parameter "+name)
		}
	}
	for _, name := range seen.body.lacking(known.body, "") {
		w.Missing(pattern, "the member "+name)
	}
}

// lacking lists the members of s that other does not have.
func (s *shape) lacking(other *shape, path string) []string {
	if s == nil || other != nil && other.kind == something {
		return nil
	}
	if other == nil {
		return []string{path}
	}
	var all []string
	for name, member := range s.members {
		all = append(all, member.lacking(other.members[name], path+"."+name)...)
	}
	if s.item != nil && !s.within.inside(s.item) {
		all = append(all, s.item.lacking(other.item, path+"[]")...)
	}
	slices.Sort(all)
	return all
}

// inside tells whether s is other or lies in it.
func (s *shape) inside(other *shape) bool {
	return s != nil && (s == other || s.within.inside(other))
}
