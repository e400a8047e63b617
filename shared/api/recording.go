package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"aliquot/shared/biobank"
	"aliquot/shared/router"
)

// What a route reads of a request, its parameters and the members of its body, is not written down a second time for the
// document of the API: it is found by running the route's handler. A rehearsal is a call without an API behind it. The
// readers of parameters and bodies note what they are asked for and answer with samples, until the handler turns to the
// registry or a store, which ends it. As handlers decode first, all is noted by then; the tests compare what real
// requests are asked for, and fail where a rehearsal ended too soon.

// reads is what a request was asked for.
type reads struct {
	query map[string]string // kinds by name
	body  *shape            // nil: none was read
	// samples tells a rehearsal, and sent how much its request holds.
	samples bool
	sent    int
}

// What the request of a rehearsal holds: objects with nothing in them, lists of such objects, too, or all there is.
const (
	objects = iota
	lists
	everything
)

// shape is a JSON value that a request is asked for.
type shape struct {
	kind    string
	members map[string]*shape // of an object
	item    *shape            // of an array
	// within is the object around a member object.
	within *shape
	name   string
	reads  *reads
}

// The kinds of values.
const (
	aText     = "text"
	aNumber   = "number"
	aNumbers  = "numbers"
	aDecimal  = "decimal"
	aFlag     = "flag"
	aDate     = "date"
	anObject  = "object"
	aList     = "list"
	aMap      = "map"
	aFile     = "file"
	something = "something"
)

// samples stand for values in a rehearsal.
var samples = map[string]any{
	aText: "1", aNumber: json.Number("1"), aDecimal: json.Number("1"), aFlag: true, aDate: "2020-01-01", aMap: map[string]any{},
	something: "1",
}

// rehearse finds what a route reads. What is read often depends on what was sent: hence the three requests.
func (r route) rehearse() *reads {
	seen := &reads{query: map[string]string{}, samples: true}
	for _, seen.sent = range []int{objects, lists, everything} {
		rehearsal(r, seen)
	}
	return seen
}

func rehearsal(r route, seen *reads) {
	defer func() { _ = recover() }() // what is behind the decoding is not there
	verb, path, _ := strings.Cut(r.pattern, " ")
	req, err := http.NewRequest(verb, path, nil)
	if err != nil {
		return
	}
	for _, name := range wildcards(path) {
		req.SetPathValue(name, "1")
	}
	drops := true
	user := biobank.UserDoc{DropFolder: &drops, Type: biobank.UserSuper, LoginName: "1", ActivityStatus: biobank.StatusActive}
	c := &call{
		Request: req, w: router.NewDiscard(), at: time.UnixMilli(0).UTC(), reads: seen,
		actor: &biobank.Actor{ID: biobank.AdminUserID, User: user},
	}
	_, _ = r.serve(c)
}

// wildcards are the names in braces of a path.
func wildcards(path string) []string {
	var names []string
	for _, part := range strings.Split(path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			names = append(names, strings.TrimRight(name, ".}"))
		}
	}
	return names
}

// noteBody notes that the body is read, as an object, a list or something else.
func (s *reads) noteBody(kind string) *shape {
	if s == nil {
		return nil
	}
	if s.body == nil {
		s.body = &shape{reads: s}
	}
	if s.body.kind == "" || s.body.kind == something {
		s.body.kind = kind
	}
	return s.body
}

// note notes a parameter and, in a rehearsal, gives it a value.
func (q *query) note(name, kind string) {
	if q.reads == nil {
		return
	}
	if was := q.reads.query[name]; was == "" || was == aText {
		q.reads.query[name] = kind
	}
	if q.reads.samples && q.reads.sent == everything {
		q.values[name] = []string{"1"}
		if kind == aFlag {
			q.values[name] = []string{"true"}
		}
	}
}

// note notes a member and, in a rehearsal, gives it a value. It returns the member's shape, nil when nothing is noted.
func (in *input) note(name, kind string) *shape {
	if in.shape == nil {
		return nil
	}
	member := in.shape.members[name]
	if member == nil {
		member = &shape{kind: kind, name: name, within: in.shape, reads: in.shape.reads}
		if in.shape.members == nil {
			in.shape.members = map[string]*shape{}
		}
		in.shape.members[name] = member
	}
	if member.kind == something {
		member.kind = kind
	}
	if in.shape.reads.samples {
		in.sample(name, kind)
	}
	return member
}

func (in *input) sample(name, kind string) {
	switch kind {
	case anObject:
		in.members[name] = map[string]any{}
	case aList: // its items are told by who asks for them
	default:
		if in.shape.reads.sent == everything {
			in.members[name] = samples[kind]
		}
	}
}

// noteItems notes an array and the kind of its items and returns their shape; in a rehearsal it has one item, unless it is
// an array of what lies around it, such as the children of a specimen.
func (in *input) noteItems(name, kind string) *shape {
	list := in.note(name, aList)
	if list == nil {
		return nil
	}
	if list.item == nil {
		list.item = &shape{kind: kind, name: name, within: in.shape, reads: in.shape.reads}
		for above := in.shape; above != nil; above = above.within {
			if above.name == name {
				list.item = above
			}
		}
	}
	if !list.reads.samples || list.reads.sent < lists {
		return list.item
	}
	switch {
	case kind == anObject && list.item.within == in.shape:
		in.members[name] = []any{map[string]any{}}
	case kind == anObject:
		in.members[name] = []any{}
	default:
		in.members[name] = []any{samples[kind]}
	}
	return list.item
}
