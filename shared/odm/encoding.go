package odm

import (
	"bufio"
	"bytes"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"
)

// declared finds the encoding in an XML declaration.
var declared = regexp.MustCompile(`^<\?xml\s[^>]*?\sencoding\s*=\s*["']([A-Za-z][A-Za-z0-9._-]*)["']`)

// An encoding is how a document is encoded, as far as it is read.
type encoding string

const (
	isUTF8        encoding = "" // ASCII included
	isLatin1      encoding = "iso-8859-1"
	isWindows1252 encoding = "windows-1252"
)

// detect says how a document is encoded that begins with head, and how long its byte order mark is. Documents say it in
// their first line (section 2.2); a mark has the last word. UTF-8, ASCII, ISO-8859-1 and windows-1252 are read, others are
// a *Fault, UTF-16 among them. That UTF-8 is what it says is for the scanner to check.
func detect(head []byte) (e encoding, mark int, err error) {
	refuse := func(reason string) (encoding, int, error) {
		return "", 0, &Fault{Kind: Encoding, Line: 1, Reason: reason}
	}
	// Without a mark a null among the first bytes, which have to be characters of ASCII, tells 16 or 32 bits.
	if bytes.HasPrefix(head, []byte{0xFE, 0xFF}) || bytes.HasPrefix(head, []byte{0xFF, 0xFE}) ||
		bytes.IndexByte(head[:min(len(head), 4)], 0) >= 0 {
		return refuse("the document is in UTF-16 or UTF-32; save it as UTF-8")
	}
	if mark := "\ufeff"; bytes.HasPrefix(head, []byte(mark)) {
		return isUTF8, len(mark), nil
	}
	found := declared.FindSubmatch(head)
	if found == nil {
		return isUTF8, 0, nil
	}
	switch strings.ToLower(string(found[1])) {
	case "utf-8", "utf8", "us-ascii", "ascii":
		return isUTF8, 0, nil
	case "iso-8859-1", "iso8859-1", "latin1":
		return isLatin1, 0, nil
	case "windows-1252", "cp1252":
		return isWindows1252, 0, nil
	}
	return refuse("the document is in an encoding that is not read; save it as UTF-8")
}

// open begins a scanner on a document, or on what is left of one at an offset.
func (e encoding) open(src io.Reader, offset int64) *scanner {
	s := newScanner(src)
	s.offset = offset
	if e != isUTF8 {
		s.narrow = true
		high := &windows1252
		if e == isLatin1 {
			high = nil
		}
		s.src = &singleByte{src: bufio.NewReaderSize(src, firstRead), high: high, read: offset}
	}
	return s
}

// windows1252 is what that encoding has from 0x80 to 0x9F, where ISO-8859-1 has control characters; 0 is undefined.
var windows1252 = [32]rune{
	'€', 0, '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', 0, 'Ž', 0,
	0, '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', 0, 'ž', 'Ÿ',
}

// singleByte turns an encoding of one byte a character into UTF-8.
type singleByte struct {
	src  *bufio.Reader
	high *[32]rune // nil for ISO-8859-1
	read int64
}

func (r *singleByte) Read(p []byte) (n int, err error) {
	for n+utf8.UTFMax <= len(p) {
		c, err := r.src.ReadByte()
		if err != nil {
			if n > 0 {
				err = nil // it comes again
			}
			return n, err
		}
		char := rune(c)
		if r.high != nil && 0x80 <= c && c < 0xA0 {
			if char = r.high[c-0x80]; char == 0 {
				return n, &Fault{Kind: Encoding, Byte: r.read, Reason: "the text is not valid in the encoding that the document names"}
			}
		}
		r.read++
		n += utf8.EncodeRune(p[n:], char)
	}
	return n, nil
}
