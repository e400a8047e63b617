package odm

import (
	"errors"
	"io"
	"strings"
	"time"
)

// JSON says how a document is written as JSON.
type JSON struct {
	// NamespaceKeys adds a key @xmlns... to each element that uses a prefix which its parent does not use (rule 15).
	NamespaceKeys bool
}

// maxHeld is how many bytes of a document in JSON may be held back. What would need more is an error of Write.
const maxHeld = 64 << 20

// NewJSONWriter writes the document to dst as JSON: the mapping of section 7.1, rules 1 to 13, and the pass over dates,
// indented by two blanks. Of rule 14 the text is kept as text, and rule 15 is there on demand.
func NewJSONWriter(dst io.Writer, j JSON) *Writer {
	return &Writer{f: fields{out: &jsonEncoder{JSON: j, dst: dst, hold: maxHeld}}}
}

// jsonEncoder turns elements into JSON.
type jsonEncoder struct {
	JSON
	dst  io.Writer
	hold int // how much may be held back
	buf  []byte
	err  error
	open []jsonFrame

	// Of the innermost element, until it is known what it becomes.
	declared []jsonAttr
	attrs    []jsonAttr
	chars    []byte

	scratch []byte
}

type jsonAttr struct{ prefix, name, value string }

// jsonFrame is an open element.
type jsonFrame struct {
	space   Space
	indent  int              // of its members
	uses    [spaceOther]bool // the namespaces of its name and attributes
	object  bool             // its brace is written
	members bool             // and so is at least one member
	told    struct {         // the children of which it was told how many there will be
		name string
		n    int
	}
	last struct { // its last child, and those of the same name before it
		space Space
		name  string
		at    int  // where the first one's value starts in buf
		count int  // how many there are
		array bool // they are in brackets
		known bool // that they are to be, or not to be, was known before
	}
}

// start begins a child of the innermost element.
func (e *jsonEncoder) start(s Space, name string) {
	if len(e.buf) > flushSize {
		e.write()
	}
	f := jsonFrame{space: s, indent: 1}
	if n := len(e.open); n > 0 {
		f.indent = e.child(&e.open[n-1], s, name) + 1
	}
	f.uses[s] = true
	e.open = append(e.open, f)
}

// child writes what comes before a child and says how far that is indented.
func (e *jsonEncoder) child(f *jsonFrame, s Space, name string) int {
	e.object(f)
	last := &f.last
	if last.count > 0 && last.space == s && last.name == name {
		switch {
		case last.array:
		case last.known: // what came before may have been written
			e.fail("there are more " + name + " than were told")
		default:
			e.wrap(f)
		}
		last.count++
		e.buf = append(e.buf, ',')
		e.newLine(f.indent + 1)
		return f.indent + 1
	}
	e.closeArray(f)
	e.key(f, "", prefixes[s], name)
	last.space, last.name, last.count, last.array, last.known = s, name, 1, false, false
	if s == SpaceODM && name == f.told.name && f.told.n > 0 {
		last.known = true
		if last.array = f.told.n > 1; last.array {
			e.buf = append(e.buf, '[')
			e.newLine(f.indent + 1)
			return f.indent + 1
		}
	}
	last.at = len(e.buf)
	return f.indent
}

// wrap puts the first of several children into brackets, one step further in. Line breaks are only those between values,
// since those inside are escaped.
func (e *jsonEncoder) wrap(f *jsonFrame) {
	f.last.array = true
	e.scratch = append(e.scratch[:0], e.buf[f.last.at:]...)
	e.buf = append(e.buf[:f.last.at], '[')
	e.newLine(f.indent + 1)
	for _, c := range e.scratch {
		if e.buf = append(e.buf, c); c == '\n' {
			e.buf = append(e.buf, jsonIndent...)
		}
	}
	if cap(e.scratch) > flushSize {
		e.scratch = nil
	}
}

func (e *jsonEncoder) closeArray(f *jsonFrame) {
	if f.last.array {
		if f.last.known && f.last.count == 1 {
			e.fail("there are fewer " + f.last.name + " than were told")
		}
		e.newLine(f.indent)
		e.buf = append(e.buf, ']')
		f.last.array = false
	}
}

// object makes the innermost element an object, if it is not yet one, with its attributes.
func (e *jsonEncoder) object(f *jsonFrame) {
	if f.object {
		return
	}
	e.namespaces()
	f.object = true
	e.buf = append(e.buf, '{')
	for _, d := range e.declared {
		e.key(f, "@", d.prefix, d.name)
		e.value(d.value)
	}
	for _, a := range e.attrs {
		e.key(f, "@", a.prefix, a.name)
		e.value(a.value)
	}
	e.declared, e.attrs = e.declared[:0], e.attrs[:0]
	if len(e.chars) > 0 {
		e.key(f, "", "", "#text")
		e.value(string(e.chars))
		e.chars = e.chars[:0]
	}
}

// namespaces declares, where that is wanted, what the innermost element uses and its parent does not.
func (e *jsonEncoder) namespaces() {
	n := len(e.open) - 1
	if !e.NamespaceKeys || n == 0 || e.open[n].object || len(e.declared) > 0 {
		return
	}
	for s, used := range e.open[n].uses {
		if used && !e.open[n-1].uses[s] && Space(s) != SpaceXML {
			e.declare(declares[s].name, declares[s].uri)
		}
	}
}

func (e *jsonEncoder) declare(name, uri string) {
	e.declared = append(e.declared, jsonAttr{"", name, uri})
}

func (e *jsonEncoder) attr(s Space, name, value string) {
	if s != SpaceODM {
		e.open[len(e.open)-1].uses[s] = true
	} else if strings.EqualFold(name, "type") || strings.EqualFold(name, "class") {
		return // rule 13
	}
	e.attrs = append(e.attrs, jsonAttr{prefixes[s], name, value})
}

func (e *jsonEncoder) text(value string) { e.chars = append(e.chars, value...) }

func (e *jsonEncoder) end() {
	n := len(e.open) - 1
	f := &e.open[n]
	e.namespaces()
	if !f.object && len(e.declared)+len(e.attrs) == 0 {
		if len(e.chars) > 0 {
			e.value(string(e.chars))
			e.chars = e.chars[:0]
		} else {
			e.buf = append(e.buf, "null"...)
		}
	} else {
		e.object(f)
		e.closeArray(f)
		if f.members {
			e.newLine(f.indent - 1)
		}
		e.buf = append(e.buf, '}')
	}
	e.open = e.open[:n]
}

// key begins a member.
func (e *jsonEncoder) key(f *jsonFrame, mark, prefix, name string) {
	if f.members {
		e.buf = append(e.buf, ',')
	}
	f.members = true
	e.newLine(f.indent)
	e.buf = append(append(append(append(e.buf, '"'), mark...), prefix...), name...)
	e.buf = append(e.buf, `": `...)
}

// value writes a string, with the pass over dates.
func (e *jsonEncoder) value(v string) {
	if v == "null" {
		e.buf = append(e.buf, v...)
		return
	}
	e.buf = append(e.buf, '"')
	if n := len(e.buf); len(v) >= len(time.DateOnly) && v[4] == '-' {
		if e.buf = appendDate(e.buf, v); len(e.buf) > n {
			e.buf = append(e.buf, '"')
			return
		}
	}
	e.buf = append(appendEscaped(e.buf, v, &jsonEscapes), '"')
}

// appendDate appends a date, or a date with a time and no zone, as OpenClinica's JSON has it, and nothing for anything
// else. A day that is not in the calendar is no date.
func appendDate(b []byte, v string) []byte {
	const day, clock = "02-Jan-2006", " 15:04:05"
	if t, err := time.Parse(time.DateOnly, v); err == nil {
		return t.AppendFormat(b, day)
	}
	if t, err := time.Parse("2006-01-02T15:04:05", v); err == nil && len(v) == len("2006-01-02T15:04:05") {
		return t.AppendFormat(b, day+clock)
	}
	// A fraction may follow the seconds without the layout saying so, and has to.
	if t, err := time.Parse(time.DateTime, v); err == nil && len(v) > len(time.DateTime) && v[len(time.DateTime)] == '.' {
		return t.AppendFormat(b, day+clock)
	}
	return b
}

const jsonIndent = "  "

func (e *jsonEncoder) newLine(indent int) {
	e.buf = append(e.buf, '\n')
	for range indent {
		e.buf = append(e.buf, jsonIndent...)
	}
}

func (e *jsonEncoder) fail(reason string) {
	if e.err == nil {
		e.err = errors.New("odm: " + reason)
	}
}

// write writes what is certain, if that is worth it.
func (e *jsonEncoder) write() {
	n := e.settled()
	if len(e.buf)-n > e.hold {
		e.fail("the first element of its name is larger than 64 MB")
	}
	if n >= flushSize/2 {
		e.put(n)
	}
}

// settled is how much is certain: what comes before the first child that may be the first of several.
func (e *jsonEncoder) settled() int {
	for i := range e.open {
		if last := &e.open[i].last; last.count == 1 && !last.known {
			return last.at
		}
	}
	return len(e.buf)
}

// put writes the first n bytes.
func (e *jsonEncoder) put(n int) {
	if e.err != nil {
		return
	}
	_, e.err = e.dst.Write(e.buf[:n])
	e.buf = e.buf[:copy(e.buf, e.buf[n:])]
	for i := range e.open {
		e.open[i].last.at -= n
	}
}

func (e *jsonEncoder) certain() bool {
	n := e.settled()
	all := n == len(e.buf) && len(e.attrs)+len(e.chars) == 0
	e.put(n)
	return all
}

func (e *jsonEncoder) flush() error {
	if e.err == nil {
		_, e.err = e.dst.Write(e.buf)
	}
	return e.err
}

func (e *jsonEncoder) coming(name string, n int) {
	f := &e.open[len(e.open)-1]
	f.told.name, f.told.n = name, n
}

func (e *jsonEncoder) groups() bool { return true }

func (e *jsonEncoder) failed() error { return e.err }
