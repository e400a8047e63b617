package csvfile

import (
	"encoding/binary"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// UTF8 returns the text of a whole file in UTF-8. UTF-16 is transcoded as it is read, and loses its byte order mark;
// UTF-8 is returned as it is, byte order mark included, since Reader passes over that and counts it. A surrogate
// without its other half and an odd byte at the end give a *FileError once the text before them has been read.
func UTF8(r io.Reader, d Dialect) io.Reader {
	switch d.Encoding {
	case EncodingUTF16LE:
		return &utf16Reader{src: r, order: binary.LittleEndian, line: 1}
	case EncodingUTF16BE:
		return &utf16Reader{src: r, order: binary.BigEndian, line: 1}
	}
	return r
}

type utf16Reader struct {
	src   io.Reader
	order binary.ByteOrder
	in    [16 << 10]byte
	have  int    // in[:have] is read and not yet decoded
	text  []byte // what is decoded and not yet given out
	out   []byte // the buffer of text
	err   error

	offset int64 // in the file, of in[0]
	line   int64
	last   rune
}

func (u *utf16Reader) Read(p []byte) (int, error) {
	for len(u.text) == 0 {
		if u.err != nil {
			return 0, u.err
		}
		n, err := u.src.Read(u.in[u.have:])
		u.have += n
		u.err = err
		u.decode()
		if n == 0 && u.err == nil {
			return 0, nil
		}
	}
	n := copy(p, u.text)
	u.text = u.text[n:]
	return n, nil
}

// decode decodes the characters that are whole in the buffer. At the end of the source, all have to be.
func (u *utf16Reader) decode() {
	u.out = u.out[:0]
	i := 0
	var bad string
	for ; i+2 <= u.have; i += 2 {
		c := rune(u.order.Uint16(u.in[i:]))
		if utf16.IsSurrogate(c) {
			if i+4 > u.have && u.err != io.EOF {
				break
			}
			low := rune(0)
			if i+4 <= u.have {
				low = rune(u.order.Uint16(u.in[i+2:]))
			}
			if c = utf16.DecodeRune(c, low); c == utf8.RuneError {
				bad = "the file is not valid UTF-16 (half a character); save it as CSV UTF-8"
				break
			}
			i += 2
		}
		if c == '\n' && u.last != '\r' || c == '\r' {
			u.line++
		}
		if c == '\uFEFF' && u.offset == 0 && i == 0 {
			continue
		}
		u.last = c
		u.out = utf8.AppendRune(u.out, c)
	}
	if bad == "" && u.err == io.EOF && i < u.have {
		bad = "the file is not valid UTF-16 (it ends within a character); send it again or save it as CSV UTF-8"
	}
	u.offset += int64(i)
	u.have = copy(u.in[:], u.in[i:u.have])
	if bad != "" {
		u.err = &FileError{Line: u.line, Byte: u.offset, Reason: bad}
	}
	u.text = u.out
}
