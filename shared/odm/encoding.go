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

// utf8Text gives a document in UTF-8, without a byte order mark. Documents say in their first line how they are
// encoded (section 2.2): UTF-8, ASCII, ISO-8859-1 and windows-1252 are read, others are a *Fault, UTF-16 among them.
// That UTF-8 is what it says is for the scanner to check.
func utf8Text(src io.Reader) (io.Reader, error) {
	refuse := func(reason string) (io.Reader, error) {
		return nil, &Fault{Kind: Encoding, Line: 1, Reason: reason}
	}
	r := bufio.NewReaderSize(src, firstRead)
	head, err := r.Peek(1024)
	if err != nil && err != io.EOF {
		return nil, err
	}
	// Without a mark a null among the first bytes, which ask for two of XML's ASCII characters, tells 16 or 32 bits.
	if bytes.HasPrefix(head, []byte{0xFE, 0xFF}) || bytes.HasPrefix(head, []byte{0xFF, 0xFE}) ||
		bytes.IndexByte(head[:min(len(head), 4)], 0) >= 0 {
		return refuse("the document is in UTF-16 or UTF-32; save it as UTF-8")
	}
	if mark := []byte("\ufeff"); bytes.HasPrefix(head, mark) {
		head = head[len(mark):]
		_, _ = r.Discard(len(mark)) // it has been peeked at
	}
	found := declared.FindSubmatch(head)
	if found == nil {
		return r, nil
	}
	switch strings.ToLower(string(found[1])) {
	case "utf-8", "utf8", "us-ascii", "ascii":
		return r, nil
	case "iso-8859-1", "iso8859-1", "latin1":
		return &singleByte{src: r}, nil
	case "windows-1252", "cp1252":
		return &singleByte{src: r, high: &windows1252}, nil
	}
	return refuse("the document is in an encoding that is not read; save it as UTF-8")
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
