package odm

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// token is what a scanner has found.
type token uint8

const (
	tokenNone  token = iota // nothing: there is an error
	tokenEnd                // the end of an element
	tokenStart              // its start, in space, name and attrs
	tokenText               // text between tags, in text
	tokenEOF                // the end of a whole document
)

// attribute is one of a start tag. A declaration of a namespace is none.
type attribute struct {
	space       Space
	uri         string // of a foreign namespace, to tell duplicates
	name, value []byte
}

// binding is a declaration of a namespace in scope.
type binding struct {
	prefix, uri string
	space       Space
}

// frame is an open element.
type frame struct {
	name     int // where its name starts in scanner.names
	bindings int // how many there were outside it
}

// scanner splits a document into tokens and refuses one that is not well-formed or passes a limit. It does what
// encoding/xml does not: refuses a DOCTYPE, attributes given twice, and what stands outside the root; normalizes white
// space in attributes; limits depth and size; and allocates nothing for a token. What it gives points into its buffer
// and is valid until the next call.
type scanner struct {
	src      io.Reader
	buf      []byte
	pos, end int // buf[pos:end] is read and not yet used
	srcErr   error

	// Places are those of the source: with narrow, a character of the text is one byte there.
	narrow bool
	seen   int   // buf[:seen] is in offset
	offset int64 // of buf[seen] in the source
	lines  int64 // line breaks before buf[0]
	first  int64 // offset where the text begins, after a byte order mark

	space Space
	name  []byte
	attrs []attribute
	text  []byte

	start    int64  // offset of the token
	scratch  []byte // values that are not as written
	names    []byte // of the open elements, one after the other
	open     []frame
	bindings []binding
	closing  bool // the start was a whole element
	rooted   bool // the root has been seen
}

// firstRead is how much is read at once until a token is longer.
const firstRead = 64 << 10

func newScanner(src io.Reader) *scanner {
	return &scanner{src: src, buf: make([]byte, firstRead)}
}

// here is the offset of pos in the source.
func (s *scanner) here() int64 {
	if s.narrow {
		s.offset += int64(utf8.RuneCount(s.buf[s.seen:s.pos]))
	} else {
		s.offset += int64(s.pos - s.seen)
	}
	s.seen = s.pos
	return s.offset
}

// line is the number of the line of pos, from 1.
func (s *scanner) line() int64 {
	return s.lines + int64(bytes.Count(s.buf[:s.pos], []byte{'\n'})) + 1
}

// next gives the next token.
func (s *scanner) next() (token, error) {
	s.scratch = s.scratch[:0]
	s.start = s.here()
	if s.closing {
		s.closing = false
		s.pop()
		return tokenEnd, nil
	}
	for {
		s.start = s.here()
		c, err := s.at(0)
		switch {
		case err == io.EOF && s.rooted && len(s.open) == 0:
			return tokenEOF, nil
		case err != nil:
			return 0, s.early(err)
		case c != '<':
			if skip, err := s.textRun(); err != nil || !skip {
				return tokenText, err
			}
			continue
		}
		if c, err = s.at(1); err != nil {
			return 0, s.early(err)
		}
		switch c {
		case '/':
			return tokenEnd, s.endTag()
		case '?':
			err = s.instruction()
		case '!':
			var isText bool
			if isText, err = s.declaration(); isText && err == nil {
				return tokenText, nil
			}
		default:
			return tokenStart, s.startTag()
		}
		if err != nil {
			return 0, err
		}
	}
}

// fill reads more; what starts at pos keeps its distance from pos. Its error is io.EOF, the source's, or a *Fault.
func (s *scanner) fill() error {
	if s.srcErr != nil {
		return s.srcErr
	}
	if s.end-s.pos > MaxToken {
		return s.tooLong()
	}
	if s.pos > 0 {
		s.here()
		s.lines = s.line() - 1
		s.end = copy(s.buf, s.buf[s.pos:s.end])
		s.pos, s.seen = 0, 0
	}
	if s.end == len(s.buf) {
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
	}
	for range 100 {
		n, err := s.src.Read(s.buf[s.end:])
		s.end += n
		s.srcErr = err
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	s.srcErr = io.ErrNoProgress
	return s.srcErr
}

// at gives the byte n after pos.
func (s *scanner) at(n int) (byte, error) {
	for s.pos+n >= s.end {
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	return s.buf[s.pos+n], nil
}

// begins tells whether what comes begins with prefix; what is cut off does not.
func (s *scanner) begins(prefix string) bool {
	_, err := s.at(len(prefix) - 1)
	return err == nil && string(s.buf[s.pos:s.pos+len(prefix)]) == prefix
}

// find says how far after pos the first c is that is at least from after it.
func (s *scanner) find(from int, c string) (int, error) {
	for {
		i := bytes.Index(s.buf[s.pos+from:s.end], []byte(c))
		if from+i > MaxToken {
			return 0, s.tooLong()
		}
		if i >= 0 {
			return from + i, nil
		}
		from = max(from, s.end-s.pos-len(c)+1)
		if err := s.fill(); err != nil {
			return s.end - s.pos, err
		}
	}
}

// textRun reads text up to the next tag. Outside the root only white space may stand, and is skipped.
func (s *scanner) textRun() (skip bool, err error) {
	n, err := s.find(1, "<")
	if err != nil && err != io.EOF {
		return false, s.early(err)
	}
	raw := s.buf[s.pos : s.pos+n]
	if len(s.open) == 0 {
		if len(bytes.Trim(raw, " \t\r\n")) > 0 {
			return false, s.fault(Malformed, "there is text outside the root element")
		}
		s.pos += n
		return true, nil
	}
	if s.text, err = s.decode(raw, &textClass); err != nil {
		return false, err
	}
	s.pos += n
	return false, nil
}

// endTag closes the innermost element.
func (s *scanner) endTag() error {
	n, err := s.find(2, ">")
	if err != nil {
		return s.early(err)
	}
	name := bytes.TrimRight(s.buf[s.pos+2:s.pos+n], " \t\r\n")
	if len(s.open) == 0 || !bytes.Equal(name, s.names[s.open[len(s.open)-1].name:]) {
		return s.fault(Malformed, "an end tag does not belong to the element that is open")
	}
	s.pos += n + 1
	s.pop()
	return nil
}

func (s *scanner) pop() {
	top := s.open[len(s.open)-1]
	s.open = s.open[:len(s.open)-1]
	s.names = s.names[:top.name]
	s.bindings = s.bindings[:top.bindings]
}

// instruction skips a processing instruction. The encoding that the first may declare is the business of detect.
func (s *scanner) instruction() error {
	n, err := s.find(2, "?>")
	if err != nil {
		return s.early(err)
	}
	body := s.buf[s.pos+2 : s.pos+n]
	if bytes.HasPrefix(body, []byte("xml ")) && s.start > s.first {
		return s.fault(Malformed, "the XML declaration is not at the start")
	}
	if _, err := s.decode(body, &rawClass); err != nil {
		return err
	}
	s.pos += n + 2
	return nil
}

// declaration reads what begins with <!: it skips a comment, gives the text of a CDATA section, and refuses a DOCTYPE.
func (s *scanner) declaration() (isText bool, err error) {
	const comment, cdata = "<!--", "<![CDATA["
	if s.begins(comment) {
		n, err := s.find(len(comment), "--")
		if err != nil {
			return false, s.early(err)
		}
		if c, err := s.at(n + 2); err != nil {
			return false, s.early(err)
		} else if c != '>' {
			return false, s.fault(Malformed, "a comment holds two hyphens")
		}
		if _, err := s.decode(s.buf[s.pos+len(comment):s.pos+n], &rawClass); err != nil {
			return false, err
		}
		s.pos += n + len("-->")
		return false, nil
	}
	if !s.begins(cdata) {
		if s.srcErr != nil && (strings.HasPrefix(comment, string(s.buf[s.pos:s.end])) || strings.HasPrefix(cdata, string(s.buf[s.pos:s.end]))) {
			return false, s.early(s.srcErr)
		}
		return false, s.fault(Unsafe, "a DOCTYPE or other declaration is not accepted")
	}
	if len(s.open) == 0 {
		return false, s.fault(Malformed, "there is text outside the root element")
	}
	n, err := s.find(len(cdata), "]]>")
	if err != nil {
		return false, s.early(err)
	}
	if s.text, err = s.decode(s.buf[s.pos+len(cdata):s.pos+n], &rawClass); err != nil {
		return false, err
	}
	s.pos += n + len("]]>")
	return true, nil
}

// early is a *Fault for the end of the source inside a document, and otherwise err.
func (s *scanner) early(err error) error {
	if errors.Is(err, io.EOF) {
		s.pos = s.end
		return s.fault(Malformed, "the document ends before its root element is closed")
	}
	return err
}

func (s *scanner) tooLong() *Fault {
	return s.fault(TooLarge, "a tag, text or comment is longer than 1 MB")
}

func (s *scanner) fault(kind Kind, reason string) *Fault {
	return &Fault{Kind: kind, Line: s.line(), Byte: s.here(), Reason: reason}
}
