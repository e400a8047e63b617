package odm

import (
	"cmp"
	"slices"
)

// Element is an element that this package keeps without knowing what is in it: what a study says about itself that
// nothing but its output needs. Text is that of an element without children; what lies in foreign namespaces is left out.
type Element struct {
	Space    Space
	Name     string
	Attrs    []Attr
	Text     string
	Children []Element
}

// Attr is an attribute of an Element.
type Attr struct {
	Space Space
	Name  string
	Value string
}

func (e *Element) fields(f *fields) {
	switch f.mode {
	case writing:
		for _, a := range e.Attrs {
			f.out.attr(a.Space, a.Name, a.Value)
		}
		if e.Text != "" {
			f.out.text(e.Text)
		}
		children := e.Children
		if f.out.groups() {
			children = grouped(children)
		}
		for i := range children {
			c := &children[i]
			f.element(c.Space, c.Name, c)
		}
	case readingAttrs:
		for _, a := range f.r.s.attrs {
			if a.space != spaceOther {
				spendFor[Attr](f.r)
				e.Attrs = append(e.Attrs, Attr{Space: a.space, Name: f.r.string(a.name), Value: f.r.string(a.value)})
			}
		}
	case readingChild:
		if s := f.r.s.space; s != spaceOther {
			f.readRaw(s, &e.Children)
		}
	case readingText:
		f.text(&e.Text)
	}
}

// raw declares children of one name that are kept as they are.
func (f *fields) raw(s Space, name string, v *[]Element) {
	if f.mode == writing {
		for i := range *v {
			f.element(s, name, &(*v)[i])
		}
	} else if f.mode == readingChild && !f.taken && string(f.r.s.name) == name &&
		(f.r.s.space == s || f.r.s.space <= SpaceOC && s <= SpaceOC) {
		f.readRaw(s, v)
	}
}

func (f *fields) readRaw(s Space, v *[]Element) {
	f.taken = true
	spendFor[Element](f.r)
	*v = append(*v, Element{Space: s, Name: f.r.string(f.r.s.name)})
	f.r.element(&(*v)[len(*v)-1])
}

// grouped puts elements of one name one after the other, in the place of the first.
func grouped(in []Element) []Element {
	type key struct {
		space Space
		name  string
	}
	first := map[key]int{}
	for i, e := range in {
		if _, known := first[key{e.Space, e.Name}]; !known {
			first[key{e.Space, e.Name}] = i
		}
	}
	out := slices.Clone(in)
	slices.SortStableFunc(out, func(a, b Element) int {
		return cmp.Compare(first[key{a.Space, a.Name}], first[key{b.Space, b.Name}])
	})
	return out
}
