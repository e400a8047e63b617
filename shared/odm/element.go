package odm

import (
	"bytes"
	"reflect"
	"strings"
)

// element is a piece of the wire format. Its fields method is the one place that says what it holds, in the order in
// which that is written: attributes first, then children. The same declaration reads it, in any order, and writes it.
type element interface{ fields(f *fields) }

// mode is what fields is asked for.
type mode uint8

const (
	writing      mode = iota
	readingAttrs      // take what the start tag holds
	readingChild      // take the child that has just begun, if it is known
	readingText       // take the text
)

// fields goes through an element's declaration.
type fields struct {
	mode  mode
	r     *Reader // when reading
	taken bool    // the child is known

	out    encoder // when writing
	depth  int     // how many elements are around the one that is written
	entity string  // the OID of that which is open
}

// attr declares an attribute without a prefix. It is written unless it is empty.
func (f *fields) attr(name string, v *string) { f.attribute(SpaceODM, name, v) }

// oc declares an attribute of OpenClinica's. Both kinds are read with and without the prefix (section 3.1).
func (f *fields) oc(name string, v *string) { f.attribute(SpaceOC, name, v) }

func (f *fields) attribute(s Space, name string, v *string) {
	switch f.mode {
	case writing:
		if *v != "" {
			f.out.attr(s, name, *v)
		}
	case readingAttrs:
		if a := f.r.attr(s, name); a != nil {
			*v = f.r.string(a.value)
		}
	}
}

// text declares the text of an element that has no children.
func (f *fields) text(v *string) {
	switch f.mode {
	case writing:
		if *v != "" {
			f.out.text(*v)
		}
	case readingText:
		*v = f.r.string(f.r.chars)
	}
}

// begins tells whether the child to read has this name, and takes it.
func (f *fields) begins(name string) bool {
	if f.mode != readingChild || f.taken || f.r.s.space > SpaceOC || string(f.r.s.name) != name {
		return false
	}
	f.taken = true
	return true
}

// pointer is a *T that is an element.
type pointer[T any] interface {
	*T
	element
}

// list declares children of one name.
func list[T any, P pointer[T]](f *fields, s Space, name string, v *[]T) {
	switch {
	case f.mode == writing:
		for i := range *v {
			f.element(s, name, P(&(*v)[i]))
		}
	case f.begins(name):
		spendFor[T](f.r)
		*v = append(*v, *new(T))
		f.r.element(P(&(*v)[len(*v)-1]))
	}
}

// one declares a child that is there at most once; of several the last counts.
func one[T any, P pointer[T]](f *fields, s Space, name string, v **T) {
	switch {
	case f.mode == writing:
		if *v != nil {
			f.element(s, name, P(*v))
		}
	case f.begins(name):
		spendFor[T](f.r)
		*v = new(T)
		f.r.element(P(*v))
	}
}

// owner is the attribute by which a list of OpenClinica's names the element that it is about; it is only written.
type owner struct{ attr, oid string }

// wrapped declares children of one name that lie in an element of their own, which is not written without them.
func wrapped[T any, P pointer[T]](f *fields, s Space, name string, of owner, inner Space, child string, v *[]T) {
	switch {
	case f.mode == writing:
		if len(*v) > 0 {
			f.element(s, name, &wrapper[T, P]{of, inner, child, v})
		}
	case f.begins(name):
		f.r.element(&wrapper[T, P]{of, inner, child, v})
	}
}

type wrapper[T any, P pointer[T]] struct {
	owner
	space Space
	name  string
	v     *[]T
}

func (w *wrapper[T, P]) fields(f *fields) {
	if f.mode == writing && w.attr != "" {
		f.attr(w.attr, &w.oid)
	}
	list[T, P](f, w.space, w.name, w.v)
}

// translated declares a child that holds a text in several languages.
func (f *fields) translated(name string, v *[]TranslatedText) {
	wrapped(f, SpaceODM, name, owner{}, SpaceODM, "TranslatedText", v)
}

// ref declares a child that has only an attribute. It is written unless that is empty.
func (f *fields) ref(s Space, name, attr string, v *string) {
	switch {
	case f.mode == writing:
		if *v != "" {
			f.element(s, name, &reference{attr, v})
		}
	case f.begins(name):
		f.r.element(&reference{attr, v})
	}
}

type reference struct {
	attr string
	v    *string
}

func (r *reference) fields(f *fields) { f.attr(r.attr, r.v) }

// leaf declares a child that has only text. It is written unless it is empty.
func (f *fields) leaf(s Space, name string, v *string) {
	f.leafElement(s, name, v, &leaf{v})
}

// leafOnLines is leaf with the text on a line of its own.
func (f *fields) leafOnLines(s Space, name string, v *string) {
	f.leafElement(s, name, v, &leafOnLines{v})
}

func (f *fields) leafElement(s Space, name string, v *string, e element) {
	switch {
	case f.mode == writing:
		if *v != "" {
			f.element(s, name, e)
		}
	case f.begins(name):
		*v = ""
		f.r.element(e)
	}
}

type leaf struct{ v *string }

func (l *leaf) fields(f *fields) { f.text(l.v) }

type leafOnLines struct{ v *string }

func (l *leafOnLines) fields(f *fields) { f.textOnLines(1, l.v) }

// textOnLines is text that is written on a line of its own, this many steps further in than its tags, and read without
// the white space around it (section 6.4; clients see it in JSON).
func (f *fields) textOnLines(further int, v *string) {
	switch f.mode {
	case writing:
		if *v != "" {
			f.out.text("\n" + strings.Repeat(indent, f.depth-1+further) + *v + "\n" + strings.Repeat(indent, f.depth-1))
		}
	case readingText:
		*v = f.r.string(bytes.Trim(f.r.chars, " \t\r\n"))
	}
}

// spendFor takes the memory of a T from what the part may have.
func spendFor[T any](r *Reader) { r.spend(int(reflect.TypeFor[T]().Size())) }

// element writes a child.
func (f *fields) element(s Space, name string, e element) {
	f.out.start(s, name)
	f.depth++
	e.fields(f)
	f.depth--
	f.out.end()
}
