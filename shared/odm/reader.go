package odm

import (
	"bufio"
	"io"
	"strings"
)

// level is which of the elements that a Reader does not read whole is open.
type level uint8

const (
	inDocument level = iota
	inODM
	inClinicalData
	inSubjectData
	inStudyEventData
	inFormData
)

// Reader reads a document part by part. It is not for use by several goroutines at once.
type Reader struct {
	s        *scanner
	encoding encoding
	f        fields
	err      error
	level    level
	at       int64

	left  int             // bytes of memory that the part may still take
	arena strings.Builder // where strings lie, so that they cost no allocation each
	chars []byte          // the text of the elements that are being read
	typed typedItemData   // what ItemDataString and the like are read into

	clinicalData ClinicalData
	subject      SubjectData
	event        StudyEventData
	form         FormData
	group        ItemGroupData
}

// NewReader reads the document src. The first error is that of the first call of Next.
func NewReader(src io.Reader) *Reader {
	r := &Reader{}
	r.f.r = r
	buffered := bufio.NewReaderSize(src, firstRead)
	head, err := buffered.Peek(1024)
	if err != nil && err != io.EOF {
		r.err = err
		return r
	}
	encoding, mark, err := detect(head)
	if err != nil {
		r.err = err
		return r
	}
	_, _ = buffered.Discard(mark) // it is there: head begins with it
	r.encoding = encoding
	r.s = encoding.open(buffered, int64(mark))
	r.s.first = int64(mark)
	return r
}

// Next gives the next part of the document in the document's own order, first its *ODM. A part is the Reader's own, and
// so are its slices, until Next is called again; its strings may be kept, and so may a *Study and an *AdminData.
//
// The end of the document is io.EOF. A *Fault says what is wrong with it; another error is that of the source. After any
// of them Next goes on to return the same.
func (r *Reader) Next() (Part, error) {
	if r.err != nil {
		return nil, r.err
	}
	p := r.part()
	if r.err != nil {
		return nil, r.err
	}
	return p, nil
}

// Offset is the byte of the document where the part that Next gave last begins. It is the same each time the document is
// read, so it names an element that has no other name. Of an element in one tag the end begins after the tag.
func (r *Reader) Offset() int64 { return r.at }

// part reads up to the next part that is known; nil is for an error in r.err.
func (r *Reader) part() Part {
	for r.err == nil {
		r.left = MaxGroup
		switch r.token() {
		case tokenEOF:
			r.err = io.EOF
		case tokenStart:
			r.at = r.s.start
			if p := r.start(); p != nil {
				return p
			}
		case tokenEnd:
			r.at = r.s.start
			r.level--
			switch r.level + 1 {
			case inFormData:
				return EndFormData
			case inStudyEventData:
				return EndStudyEventData
			case inSubjectData:
				return EndSubjectData
			case inClinicalData:
				return EndClinicalData
			}
		}
	}
	return nil
}

// start reads the element that has begun; nil stands for one that is not known, and was skipped.
func (r *Reader) start() Part {
	name := string(r.s.name)
	if r.s.space > SpaceOC {
		name = ""
	}
	switch r.level {
	case inDocument:
		if name != "ODM" {
			r.err = r.s.fault(NotODM, "the root element is not ODM, or not in the namespace of ODM 1.3")
			return nil
		}
		return r.open(&ODM{})
	case inODM:
		switch name {
		case "Study":
			r.left = MaxStudy
			return r.whole(&Study{})
		case "AdminData":
			r.left = MaxStudy
			return r.whole(&AdminData{})
		case "ClinicalData":
			r.clinicalData = ClinicalData{}
			return r.open(&r.clinicalData)
		}
	case inClinicalData:
		if name == "SubjectData" {
			r.subject = SubjectData{}
			return r.open(&r.subject)
		}
	case inSubjectData:
		switch name {
		case "StudyEventData":
			r.event = StudyEventData{}
			return r.open(&r.event)
		case "SubjectGroupData":
			return r.whole(&SubjectGroupData{})
		}
	case inStudyEventData:
		switch name {
		case "FormData":
			r.form = FormData{}
			return r.open(&r.form)
		case "Signature":
			return r.whole(&Signature{})
		}
	case inFormData:
		if name == "ItemGroupData" {
			r.group.reset()
			return r.whole(&r.group)
		}
	}
	if r.level >= inSubjectData {
		switch name {
		case "AuditLogs":
			return r.whole(&AuditLogs{})
		case "DiscrepancyNotes":
			return r.whole(&DiscrepancyNotes{})
		}
	}
	r.skip()
	return nil
}

// open reads the attributes of an element whose children are parts of their own.
func (r *Reader) open(p Part) Part {
	r.level++
	r.attributes(p)
	return p
}

// whole reads an element with all that is in it.
func (r *Reader) whole(p Part) Part {
	r.element(p)
	return p
}

// token gives the scanner's next one, and none when there is an error.
func (r *Reader) token() token {
	t, err := r.s.next()
	if err != nil {
		r.err = err
		return tokenNone
	}
	return t
}

func (r *Reader) attributes(e element) {
	r.f.mode = readingAttrs
	e.fields(&r.f)
}

// element reads an element whose start tag has just been read, up to its end. What it does not know it skips.
func (r *Reader) element(e element) {
	r.attributes(e)
	from := len(r.chars)
	leaf := true
	for r.err == nil {
		switch r.token() {
		case tokenStart:
			// What has text has no children, so the text so far was white space between tags.
			leaf = false
			r.chars = r.chars[:from]
			r.f.mode, r.f.taken = readingChild, false
			if e.fields(&r.f); !r.f.taken {
				r.skip()
			}
		case tokenText:
			if !leaf {
				continue
			}
			if r.chars = append(r.chars, r.s.text...); len(r.chars)-from > MaxToken {
				r.err = r.s.tooLong()
			}
		case tokenEnd:
			if len(r.chars) > from {
				all := r.chars
				r.chars = all[from:]
				r.f.mode = readingText
				e.fields(&r.f)
				r.chars = all[:from]
			}
			r.f.mode, r.f.taken = readingChild, true // for the declaration that has taken this as its child
			return
		}
	}
}

// skip passes over the element whose start tag has just been read.
func (r *Reader) skip() {
	for depth := 1; depth > 0 && r.err == nil; {
		switch r.token() {
		case tokenStart:
			depth++
		case tokenEnd:
			depth--
		}
	}
}

// attr finds an attribute of the start tag. One of ODM's or OpenClinica's is found with OpenClinica's prefix and without
// one; where both are there, that in its own namespace counts.
func (r *Reader) attr(s Space, name string) *attribute {
	var found *attribute
	for i := range r.s.attrs {
		a := &r.s.attrs[i]
		if len(a.name) != len(name) || string(a.name) != name {
			continue
		}
		if a.space == s {
			return a
		}
		if a.space <= SpaceOC && s <= SpaceOC {
			found = a
		}
	}
	return found
}

// arenaSize is how much is allocated for strings at once: little, since one string that is kept keeps all of it.
const arenaSize = 4 << 10

// string copies b.
func (r *Reader) string(b []byte) string {
	r.spend(len(b))
	if len(b) > arenaSize/4 {
		return string(b)
	}
	if r.arena.Cap()-r.arena.Len() < len(b) {
		r.arena = strings.Builder{}
		r.arena.Grow(arenaSize)
	}
	from := r.arena.Len()
	r.arena.Write(b)
	return r.arena.String()[from:]
}

// spend takes n bytes from what the part may have.
func (r *Reader) spend(n int) {
	if r.left -= n; r.left < 0 && r.err == nil {
		r.err = r.s.fault(TooLarge, "a Study takes more than 16 MB or an ItemGroupData more than 8 MB")
	}
}
