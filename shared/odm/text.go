package odm

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// What decode has to do about a byte.
const (
	plain    uint8 = iota
	multi          // part of a character of several bytes
	entity         // an ampersand
	space          // white space that becomes a blank
	carriage       // a carriage return, which becomes a line break, alone or with the one that follows
	bracket        // may begin ]]>, which text may not hold
	refused        // may not stand here
)

var (
	textClass  = classes(map[byte]uint8{'&': entity, '\r': carriage, ']': bracket, '\t': plain, '\n': plain})
	valueClass = classes(map[byte]uint8{'&': entity, '\r': carriage, '\t': space, '\n': space, '<': refused})
	// rawClass is that of comments and CDATA sections.
	rawClass = classes(map[byte]uint8{'\r': carriage, '\t': plain, '\n': plain})
)

func classes(special map[byte]uint8) (class [256]uint8) {
	for c := range class {
		switch {
		case c < ' ':
			class[c] = refused
		case c >= utf8.RuneSelf:
			class[c] = multi
		}
	}
	for c, is := range special {
		class[c] = is
	}
	return class
}

// decode gives the text that raw stands for, which is raw itself where nothing in it has to change. raw lies in buf.
func (s *scanner) decode(raw []byte, class *[256]uint8) ([]byte, error) {
	i := 0
	for i < len(raw) && class[raw[i]] == plain {
		i++
	}
	if i == len(raw) {
		return raw, nil
	}
	from := len(s.scratch)
	s.scratch = append(s.scratch, raw[:i]...)
	for i < len(raw) {
		n := 1
		switch class[raw[i]] {
		case plain:
			for i+n < len(raw) && class[raw[i+n]] == plain {
				n++
			}
			s.scratch = append(s.scratch, raw[i:i+n]...)
		case multi:
			var r rune
			if r, n = utf8.DecodeRune(raw[i:]); r == utf8.RuneError && n == 1 || !isChar(r) {
				return nil, s.fault(Encoding, "the text is not valid UTF-8")
			}
			s.scratch = append(s.scratch, raw[i:i+n]...)
		case entity:
			r, length, fault := s.reference(raw[i:])
			if fault != nil {
				return nil, fault
			}
			s.scratch = utf8.AppendRune(s.scratch, r)
			n = length
		case space:
			s.scratch = append(s.scratch, ' ')
		case carriage:
			if i+1 < len(raw) && raw[i+1] == '\n' {
				n = 2
			}
			if class == &valueClass {
				s.scratch = append(s.scratch, ' ')
			} else {
				s.scratch = append(s.scratch, '\n')
			}
		case bracket:
			if bytes.HasPrefix(raw[i:], []byte("]]>")) {
				return nil, s.fault(Malformed, "text holds ]]>")
			}
			s.scratch = append(s.scratch, ']')
		default:
			return nil, s.fault(Malformed, "there is a control character, or a < in a value")
		}
		i += n
	}
	return s.scratch[from:], nil
}

// reference reads a reference to a character at the start of raw: one by number or one of the five of XML. There are no
// others, since a document may not declare any.
func (s *scanner) reference(raw []byte) (r rune, length int, fault error) {
	const longest = len("&#x0010FFFF;")
	end := bytes.IndexByte(raw[:min(len(raw), longest)], ';')
	if end < 2 {
		return 0, 0, s.fault(Malformed, "an ampersand is not followed by the name of a character and a semicolon")
	}
	name := raw[1:end]
	switch string(name) {
	case "lt":
		r = '<'
	case "gt":
		r = '>'
	case "amp":
		r = '&'
	case "quot":
		r = '"'
	case "apos":
		r = '\''
	default:
		if name[0] != '#' {
			return 0, 0, s.fault(Unsafe, "an entity is used that XML does not define")
		}
		digits, base := name[1:], 10
		if len(digits) > 0 && digits[0] == 'x' {
			digits, base = digits[1:], 16
		}
		n, err := strconv.ParseUint(string(digits), base, 32)
		if r = rune(n); err != nil || n > utf8.MaxRune || !isChar(r) {
			return 0, 0, s.fault(Malformed, "a number stands for no character")
		}
	}
	return r, end + 1, nil
}

// isChar tells whether XML may hold a character at all.
func isChar(r rune) bool {
	switch {
	case r < ' ':
		return r == '\t' || r == '\n' || r == '\r'
	case r >= 0xD800 && r <= 0xDFFF, r == 0xFFFE, r == 0xFFFF, r > utf8.MaxRune:
		return false
	}
	return true
}
