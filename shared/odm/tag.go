package odm

import (
	"bytes"
	"unicode/utf8"
)

// startTag reads a start tag whole, declarations of namespaces first, since they hold for the tag itself.
func (s *scanner) startTag() error {
	n, err := s.tagEnd()
	if err != nil {
		return err
	}
	if len(s.open) == 0 && s.rooted {
		return s.fault(Malformed, "there is more than one root element")
	}
	if len(s.open) == MaxDepth {
		return s.fault(TooLarge, "elements are nested more than 32 deep")
	}
	tag := s.buf[s.pos+1 : s.pos+n]
	if len(tag) > 0 && tag[len(tag)-1] == '/' {
		s.closing = true
		tag = tag[:len(tag)-1]
	}
	i := nameEnd(tag, 0)
	name := tag[:i]
	s.open = append(s.open, frame{name: len(s.names), bindings: len(s.bindings)})
	s.names = append(s.names, name...)
	s.rooted = true
	s.attrs = s.attrs[:0]
	for {
		if i, err = s.attribute(tag, i); err != nil {
			return err
		}
		if i < 0 {
			break
		}
	}
	if err := s.resolve(name); err != nil {
		return err
	}
	s.pos += n + 1
	return nil
}

// tagEnd says how far after pos the tag ends, which is at the first > outside quotes.
func (s *scanner) tagEnd() (int, error) {
	for n := 1; ; {
		for window := s.buf[s.pos:s.end]; n < len(window); n++ {
			switch c := window[n]; c {
			case '>':
				if n > MaxToken {
					return 0, s.tooLong()
				}
				return n, nil
			case '<':
				return 0, s.fault(Malformed, "a tag holds a < or is not closed")
			case '"', '\'':
				i := bytes.IndexByte(window[n+1:], c)
				if i >= 0 {
					n += i + 1
					continue
				}
				var err error
				if n, err = s.find(len(window), string(rune(c))); err != nil {
					return 0, s.early(err)
				}
				window = s.buf[s.pos:s.end]
			}
		}
		if err := s.fill(); err != nil {
			return 0, s.early(err)
		}
	}
}

// attribute reads the attribute at tag[i:], after white space, and says where it ends: -1 when there is none.
func (s *scanner) attribute(tag []byte, i int) (int, error) {
	start := i
	if i = skipSpace(tag, i); i == len(tag) {
		return -1, nil
	}
	end := nameEnd(tag, i)
	name := tag[i:end]
	i = skipSpace(tag, end)
	if start == end || len(name) == 0 || i == len(tag) || tag[i] != '=' || !isSpace(tag[start]) {
		return 0, s.fault(Malformed, "a tag holds something that is no attribute")
	}
	if i = skipSpace(tag, i+1); i == len(tag) || tag[i] != '"' && tag[i] != '\'' {
		return 0, s.fault(Malformed, "the value of an attribute is not in quotes")
	}
	n := bytes.IndexByte(tag[i+1:], tag[i])
	value, err := s.decode(tag[i+1:i+1+n], &valueClass)
	if err != nil {
		return 0, err
	}
	i += n + 2
	if bytes.HasPrefix(name, []byte("xmlns")) && (len(name) == 5 || name[5] == ':') {
		return i, s.bind(name, value)
	}
	if len(s.attrs) == MaxAttributes {
		return 0, s.fault(TooLarge, "an element has more than 128 attributes")
	}
	s.attrs = append(s.attrs, attribute{name: name, value: value})
	return i, nil
}

// bind declares a namespace for the element that is being read.
func (s *scanner) bind(name, value []byte) error {
	if len(s.bindings) == MaxNamespaces {
		return s.fault(TooLarge, "more than 64 namespaces are declared")
	}
	b := binding{uri: string(value)}
	if len(name) > len("xmlns") {
		b.prefix = string(name[len("xmlns:"):])
		if !isLocal(name[len("xmlns:"):]) || b.prefix == "xmlns" || b.uri == "" {
			return s.fault(Malformed, "a namespace is not declared rightly")
		}
	}
	if b.uri == uriXMLNS || (b.prefix == "xml") != (b.uri == uriXML) {
		return s.fault(Malformed, "a namespace is not declared rightly")
	}
	for _, other := range s.bindings[s.open[len(s.open)-1].bindings:] {
		if other.prefix == b.prefix {
			return s.fault(Malformed, "a namespace is declared twice in one tag")
		}
	}
	b.space = bound(b.prefix, b.uri)
	s.bindings = append(s.bindings, b)
	return nil
}

// resolve gives the element and its attributes their namespaces and refuses attributes given twice.
func (s *scanner) resolve(name []byte) (err error) {
	var uri string
	if s.name, s.space, uri, err = s.split(name, true); err != nil {
		return err
	}
	if uri == uriXI { // to pass over it would be to lose what the sender thinks is there
		return s.fault(Unsafe, "an inclusion of another document is not accepted")
	}
	for i := range s.attrs {
		a := &s.attrs[i]
		if a.name, a.space, a.uri, err = s.split(a.name, false); err != nil {
			return err
		}
		for j := range s.attrs[:i] {
			b := &s.attrs[j]
			if len(a.name) == len(b.name) && a.space == b.space && string(a.name) == string(b.name) && a.uri == b.uri {
				return s.fault(Malformed, "an attribute is given twice")
			}
		}
	}
	return nil
}

// split takes the prefix from a name. An attribute without one has no namespace, whatever the default is.
func (s *scanner) split(name []byte, element bool) (local []byte, space Space, uri string, err error) {
	var prefix []byte
	if colon := bytes.IndexByte(name, ':'); colon >= 0 {
		if prefix, name = name[:colon], name[colon+1:]; !isLocal(prefix) {
			name = nil
		}
	}
	if !isLocal(name) {
		return nil, 0, "", s.fault(Malformed, "a name is not valid")
	}
	if prefix == nil && !element {
		return name, SpaceODM, "", nil
	}
	for i := len(s.bindings) - 1; i >= 0; i-- {
		if b := &s.bindings[i]; b.prefix == string(prefix) {
			if b.space == spaceOther {
				uri = b.uri
			}
			return name, b.space, uri, nil
		}
	}
	space, known := undeclared(string(prefix))
	if !known {
		return nil, 0, "", s.fault(NotODM, "a prefix has no namespace")
	}
	return name, space, "", nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

func skipSpace(tag []byte, i int) int {
	for i < len(tag) && isSpace(tag[i]) {
		i++
	}
	return i
}

// nameEnd says where the name at tag[i:] ends.
func nameEnd(tag []byte, i int) int {
	for i < len(tag) && nameClass[tag[i]] != 0 {
		i++
	}
	return i
}

// nameClass is 1 for what a name may begin with, 2 for what it may go on with, 3 for the colon. Beyond ASCII everything
// that is UTF-8 is taken: which letters a name may have is not what keeps a document safe.
var nameClass = func() (class [256]uint8) {
	for c := range class {
		switch {
		case 'a' <= c|0x20 && c|0x20 <= 'z', c == '_', c >= utf8.RuneSelf:
			class[c] = 1
		case '0' <= c && c <= '9', c == '-', c == '.':
			class[c] = 2
		case c == ':':
			class[c] = 3
		}
	}
	return class
}()

// isLocal tells whether name is a name without a colon.
func isLocal(name []byte) bool {
	if len(name) == 0 || nameClass[name[0]] != 1 {
		return false
	}
	ascii := true
	for _, c := range name {
		if class := nameClass[c]; class == 0 || class == 3 {
			return false
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	return ascii || utf8.Valid(name)
}
