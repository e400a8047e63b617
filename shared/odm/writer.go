package odm

import (
	"errors"
	"fmt"
	"io"
)

// encoder writes elements in one of the forms of a document. Its attributes come before its text or children.
type encoder interface {
	start(s Space, name string)
	declare(name, uri string) // a namespace, of the element that has just been started
	attr(s Space, name, value string)
	text(value string)
	end()
	// coming tells how many children of a name the innermost element will have (Coming).
	coming(name string, n int)
	// groups tells whether children of one name have to come one after the other.
	groups() bool
	// flush writes what is left; before, as much as it likes.
	flush() error
	// certain writes what nothing can change that comes later, and tells whether that is all.
	certain() bool
	// failed is why nothing is written any more.
	failed() error
}

// Writer writes a document part by part. It is not for use by several goroutines at once.
//
// What cannot be a character of XML is written as U+FFFD.
type Writer struct {
	f      fields
	level  level
	rank   [inFormData + 1]rank   // of the last part in each level
	entity [inFormData + 1]string // the OID of the element that opened it
	err    error
}

// Write writes the next part, the *ODM first. A part that may not stand where it comes, by the order that Part
// documents, gives an error, and so does whatever the destination refuses; both end the document.
func (w *Writer) Write(p Part) error {
	if w.err == nil {
		w.err = w.write(p)
	}
	return w.err
}

func (w *Writer) write(p Part) error {
	if end, is := p.(End); is {
		if w.level != level(end) {
			return fmt.Errorf("odm: the end of level %d comes in level %d", end, w.level)
		}
		w.close()
		return w.f.out.failed()
	}
	if n, is := p.(Coming); is {
		if coming[w.level] == "" {
			return fmt.Errorf("odm: nothing is open in level %d of which a number could be told", w.level)
		}
		w.f.out.coming(coming[w.level], int(n))
		return nil
	}
	at := p.place()
	if at.in == inOpen && w.level >= inSubjectData {
		at.in = w.level
	}
	if at.in != w.level || at.rank < w.rank[w.level] {
		return fmt.Errorf("odm: %s may not come here, in level %d", at.name, w.level)
	}
	w.rank[w.level] = at.rank
	if w.level == inDocument {
		w.rank[w.level]++ // there is one root
	}
	w.f.entity = w.entity[w.level]
	w.f.out.start(at.space, at.name)
	w.f.depth++
	p.fields(&w.f)
	switch p := p.(type) {
	case *ODM:
		w.open("")
	case *ClinicalData:
		w.open(p.StudyOID)
	case *SubjectData:
		w.open(p.SubjectKey)
	case *StudyEventData:
		w.open(p.StudyEventOID)
	case *FormData:
		w.open(p.FormOID)
	default:
		w.f.depth--
		w.f.out.end()
	}
	return w.f.out.failed()
}

func (w *Writer) open(oid string) {
	w.level++
	w.rank[w.level] = rankFirst
	w.entity[w.level] = oid
}

func (w *Writer) close() {
	w.level--
	w.f.depth--
	w.f.out.end()
}

// Close ends the document. It does not close the destination.
func (w *Writer) Close() error {
	if w.err != nil {
		return w.err
	}
	if w.level != inODM {
		w.err = fmt.Errorf("odm: the document is closed in level %d", w.level)
		return w.err
	}
	w.close()
	w.err = errors.New("odm: the document is closed")
	return w.f.out.flush()
}

// Flush writes to the destination what was written so far, and tells whether that is all of it: of a document in JSON the
// first element of a name is held back until it is certain that it is the only one, or is not (Coming). Where it
// is all, another Writer that was given parts which open the same elements can go on.
func (w *Writer) Flush() (all bool, err error) {
	if w.err == nil {
		all = w.f.out.certain()
		w.err = w.f.out.failed()
	}
	return all, w.err
}

// indent is one step of the indentation of XML.
const indent = "    "

// flushSize is how much is written at once.
const flushSize = 32 << 10

// NewXMLWriter writes the document to dst as XML (section 6.3): UTF-8, indented by four blanks, attributes on one line,
// OpenClinica's names with the prefix OpenClinica.
func NewXMLWriter(dst io.Writer) *Writer {
	return &Writer{f: fields{out: &xmlEncoder{dst: dst}}}
}

// xmlEncoder writes XML.
type xmlEncoder struct {
	dst  io.Writer
	buf  []byte
	err  error
	open []xmlFrame
	tag  bool // the start tag of the innermost element is not closed yet
}

type xmlFrame struct {
	space  Space
	name   string
	nested bool // it has children
}

func (e *xmlEncoder) start(s Space, name string) {
	if len(e.buf) > flushSize {
		e.write()
	}
	if n := len(e.open); n > 0 {
		e.closeTag()
		e.open[n-1].nested = true
	} else {
		e.buf = append(e.buf, `<?xml version="1.0" encoding="UTF-8"?>`...)
	}
	e.newLine()
	e.open = append(e.open, xmlFrame{space: s, name: name})
	e.buf = append(e.buf, '<')
	e.name(s, name)
	e.tag = true
}

func (e *xmlEncoder) declare(name, uri string) { e.attr(SpaceODM, name, uri) }

func (e *xmlEncoder) attr(s Space, name, value string) {
	e.buf = append(e.buf, ' ')
	e.name(s, name)
	e.buf = append(e.buf, '=', '"')
	e.buf = appendEscaped(e.buf, value, &valueEscapes)
	e.buf = append(e.buf, '"')
}

func (e *xmlEncoder) text(value string) {
	e.closeTag()
	e.buf = appendEscaped(e.buf, value, &textEscapes)
}

func (e *xmlEncoder) end() {
	top := e.open[len(e.open)-1]
	e.open = e.open[:len(e.open)-1]
	if e.tag {
		e.buf = append(e.buf, '/', '>')
		e.tag = false
		return
	}
	if top.nested {
		e.newLine()
	}
	e.buf = append(e.buf, '<', '/')
	e.name(top.space, top.name)
	e.buf = append(e.buf, '>')
}

func (e *xmlEncoder) closeTag() {
	if e.tag {
		e.buf = append(e.buf, '>')
		e.tag = false
	}
}

func (e *xmlEncoder) name(s Space, name string) {
	e.buf = append(e.buf, prefixes[s]...)
	e.buf = append(e.buf, name...)
}

func (e *xmlEncoder) newLine() {
	e.buf = append(e.buf, '\n')
	for range e.open {
		e.buf = append(e.buf, indent...)
	}
}

func (e *xmlEncoder) write() {
	if e.err == nil {
		_, e.err = e.dst.Write(e.buf)
	}
	e.buf = e.buf[:0]
}

func (e *xmlEncoder) flush() error {
	e.buf = append(e.buf, '\n')
	e.write()
	return e.err
}

func (e *xmlEncoder) certain() bool {
	if e.tag { // the tag may become an empty element's
		return false
	}
	e.write()
	return true
}

func (e *xmlEncoder) coming(string, int) {}

func (e *xmlEncoder) groups() bool { return false }

func (e *xmlEncoder) failed() error { return e.err }
