package odm

import "io"

// Mark is a place in a document, after one of its parts, from where it can be read on without what is before it: for
// work that is taken up again, or shared. It can be kept as JSON.
type Mark struct {
	Offset     int64       `json:"offset"` // bytes before it
	Line       int64       `json:"line"`   // 1-based
	Encoding   string      `json:"encoding,omitempty"`
	Open       []string    `json:"open"`       // the elements it lies in, by their names in the document
	Namespaces []Namespace `json:"namespaces"` // what they declare
	Closing    bool        `json:"closing,omitempty"`
}

// Namespace is a declaration that is in scope.
type Namespace struct {
	Depth  int    `json:"depth"` // of the element that declares it: 0 is the root
	Prefix string `json:"prefix,omitempty"`
	URI    string `json:"uri"`
}

// Mark is the place after the part that Next gave last. There is none before the first part or after an error.
func (r *Reader) Mark() Mark {
	s := r.s
	m := Mark{Offset: s.here(), Line: s.line(), Encoding: string(r.encoding), Closing: s.closing}
	for i, f := range s.open {
		name, bindings := len(s.names), len(s.bindings)
		if i+1 < len(s.open) {
			name, bindings = s.open[i+1].name, s.open[i+1].bindings
		}
		m.Open = append(m.Open, string(s.names[f.name:name]))
		for _, b := range s.bindings[f.bindings:bindings] {
			m.Namespaces = append(m.Namespaces, Namespace{Depth: i, Prefix: b.prefix, URI: b.uri})
		}
	}
	return m
}

// Resume reads a document on from a mark: src begins at its Offset. What Next gives, and Offset and Mark say, is as if
// the document had been read from its start. The mark must be one of this document's.
func Resume(src io.Reader, m Mark) *Reader {
	r := &Reader{encoding: encoding(m.Encoding)}
	r.f.r = r
	s := r.encoding.open(src, m.Offset)
	s.lines, s.closing, s.rooted = m.Line-1, m.Closing, true
	for depth, name := range m.Open {
		s.open = append(s.open, frame{name: len(s.names), bindings: len(s.bindings)})
		s.names = append(s.names, name...)
		for _, n := range m.Namespaces {
			if n.Depth == depth {
				s.bindings = append(s.bindings, binding{prefix: n.Prefix, uri: n.URI, space: bound(n.Prefix, n.URI)})
			}
		}
	}
	r.s, r.level = s, level(len(m.Open))
	return r
}
