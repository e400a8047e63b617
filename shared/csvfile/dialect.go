package csvfile

import (
	"bytes"
	"fmt"
	"io"
)

// Encoding is how the characters of a file are written.
type Encoding string

// The encodings that are read.
const (
	EncodingUTF8    Encoding = "utf-8"
	EncodingUTF16LE Encoding = "utf-16le"
	EncodingUTF16BE Encoding = "utf-16be"
)

// Dialect is how a file is to be read. It is found once, and kept with the plan of an import.
type Dialect struct {
	Comma    byte     `json:"comma"`
	Encoding Encoding `json:"encoding"`
	BOM      int      `json:"bom,omitempty"` // length in bytes of the byte order mark
}

var (
	bomUTF8    = []byte("\xEF\xBB\xBF")
	bomUTF16LE = []byte("\xFF\xFE")
	bomUTF16BE = []byte("\xFE\xFF")
)

// Detect finds the dialect of a file from its first HeadSize bytes, or fewer when the file is shorter.
//
// The encoding is that of the byte order mark; without one it is UTF-16 when every other byte of mostly ASCII text is
// NUL, and otherwise UTF-8. The separator is the one given; with 0, it is that of a first line such as "sep=;", or else
// the one of tab, semicolon and comma that divides the header row and the rows after it into the same number of cells
// most often, then that which gives the most columns. A header of one column has a comma.
//
// It returns a *FileError for an empty file, for a separator that cannot be one, and for a file that is not text.
func Detect(head []byte, separator byte) (Dialect, error) {
	refuse := func(reason string) (Dialect, error) {
		return Dialect{}, &FileError{Line: 1, Reason: reason}
	}
	if separator != 0 && !separates(separator) {
		return refuse("the field separator is not valid; use a comma, a semicolon, a tab or another sign of ASCII")
	}
	for _, kind := range notText {
		if bytes.HasPrefix(head, []byte(kind.magic)) {
			return refuse(fmt.Sprintf("the file is %s and not a CSV; save it as CSV UTF-8", kind.name))
		}
	}
	d := Dialect{Comma: separator, Encoding: EncodingUTF8}
	switch {
	case bytes.HasPrefix(head, bomUTF8):
		d.BOM = len(bomUTF8)
	case bytes.HasPrefix(head, bomUTF16LE):
		d.Encoding, d.BOM = EncodingUTF16LE, len(bomUTF16LE)
	case bytes.HasPrefix(head, bomUTF16BE):
		d.Encoding, d.BOM = EncodingUTF16BE, len(bomUTF16BE)
	default:
		d.Encoding = guessEncoding(head)
	}
	if len(head) == d.BOM {
		return refuse("the file is empty")
	}
	if d.Comma == 0 {
		text := head[d.BOM:]
		if d.Encoding != EncodingUTF8 {
			// The head may end, or be wrong, in the middle of a character; whoever reads the file will say so.
			text, _ = io.ReadAll(UTF8(bytes.NewReader(head), d))
		}
		d.Comma = detectComma(text, len(head) >= HeadSize)
	}
	return d, nil
}

// notText are the files that are most often sent under the name of a CSV.
var notText = [...]struct{ magic, name string }{
	{"PK\x03\x04", "an Excel workbook or a ZIP archive"},
	{"\xD0\xCF\x11\xE0", "an Excel workbook"},
	{"\x1F\x8B", "a gzip archive"},
	{"%PDF-", "a PDF"},
	{"\xFF\xFE\x00\x00", "UTF-32 text"},
	{"\x00\x00\xFE\xFF", "UTF-32 text"},
}

// separates tells whether a byte can separate cells.
func separates(c byte) bool {
	switch c {
	case 0, '"', '\\', '\n', '\r':
		return false
	}
	return c < 0x80
}

// guessEncoding tells UTF-16 without a byte order mark from UTF-8. One NUL is not enough: it may be a single bad cell.
func guessEncoding(head []byte) Encoding {
	var nul [2]int
	for i, c := range head {
		if c == 0 {
			nul[i&1]++
		}
	}
	pairs := len(head) / 2
	switch {
	case pairs < 2:
	case nul[0] == 0 && nul[1] > pairs/2:
		return EncodingUTF16LE
	case nul[1] == 0 && nul[0] > pairs/2:
		return EncodingUTF16BE
	}
	return EncodingUTF8
}

// detectComma finds the separator of a text, of which the last row is cut off when the text is cut.
func detectComma(text []byte, cut bool) byte {
	const sample = 50 // rows
	best, bestAgree, bestWidth := byte(','), 0, 1
	for _, comma := range []byte{'\t', ';', ','} {
		r := NewReader(bytes.NewReader(text), comma, Position{})
		if first, err := r.Read(); err == nil {
			if said, ok := sepLine(first.Raw); ok {
				return said
			}
		}
		r = NewReader(bytes.NewReader(text), comma, Position{})
		header, err := r.headerRow()
		if err != nil || len(header.Fields) < 2 {
			continue
		}
		width, agree := len(header.Fields), 0
		for range sample {
			rec, err := r.Read()
			if err != nil || cut && rec.End == int64(len(text)) {
				break
			}
			if rec.Err == nil && len(rec.Fields) == width {
				agree++
			}
		}
		if agree > bestAgree || agree == bestAgree && width > bestWidth {
			best, bestAgree, bestWidth = comma, agree, width
		}
	}
	return best
}
