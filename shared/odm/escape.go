package odm

import "unicode/utf8"

// escapes says for each byte what is written in its place: itself where it is empty.
type escapes [256]string

// notChar stands for what is to be looked at as a character of several bytes, and replaced if it is none.
const notChar = "\ufffd"

var (
	textEscapes  = newEscapes(map[byte]string{'&': "&amp;", '<': "&lt;", '>': "&gt;", '\r': "&#13;", '\n': "", '\t': ""})
	valueEscapes = newEscapes(map[byte]string{
		'&': "&amp;", '<': "&lt;", '>': "&gt;", '"': "&quot;", '\r': "&#13;", '\n': "&#10;", '\t': "&#9;",
	})
	jsonEscapes = newEscapes(map[byte]string{'"': `\"`, '\\': `\\`, '\r': `\r`, '\n': `\n`, '\t': `\t`})
)

func newEscapes(special map[byte]string) (e escapes) {
	for c := range e {
		if c < ' ' || c >= utf8.RuneSelf {
			e[c] = notChar
		}
	}
	for c, text := range special {
		e[c] = text
	}
	return e
}

// appendEscaped appends text with the characters that may not stand in it escaped.
func appendEscaped(b []byte, text string, e *escapes) []byte {
	from := 0
	for i := 0; i < len(text); {
		escape := e[text[i]]
		n := 1
		if escape == notChar {
			var r rune
			if r, n = utf8.DecodeRuneInString(text[i:]); isChar(r) && (r != utf8.RuneError || n > 1) {
				escape = ""
			}
		}
		if escape != "" {
			b = append(append(b, text[from:i]...), escape...)
			from = i + n
		}
		i += n
	}
	return append(b, text[from:]...)
}
