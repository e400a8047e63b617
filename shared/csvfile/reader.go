package csvfile

import (
	"bytes"
	"fmt"
	"io"
	"unicode/utf8"
)

// A Record is one row of a file. It and all it holds is valid until the next call of Read.
type Record struct {
	// Fields are the cells, unquoted and not trimmed; an empty line has one empty cell. Cells beyond MaxColumns are
	// left out. Of a row over a limit only the cells before the limit are held. Of a row whose quotes are not valid, the
	// cell with the fault is held as it stands in the file.
	Fields [][]byte

	Line        int64 // 1-based line where the record starts
	Offset, End int64 // the record is the bytes [Offset, End) of the file, its line break included

	// Raw is the record as it stands in the file, without its line break; nil when the row is over MaxCell or MaxRecord.
	Raw []byte

	Err *RowError // why this row alone is bad, or nil
}

// Blank tells whether every cell of the record holds nothing but white space. A bad row is not blank.
func (rec *Record) Blank() bool {
	if rec.Err != nil {
		return false
	}
	for _, cell := range rec.Fields {
		if !blank(cell) {
			return false
		}
	}
	return true
}

const firstBuffer = 64 << 10

// A Reader reads records one after the other. It holds one buffer, which grows to the longest record met and never
// beyond MaxRecord + MaxCell. A Reader is not for use by several goroutines at once.
type Reader struct {
	src   io.Reader
	comma byte

	buf  []byte // buf[:n] is read, buf[pos:n] is not yet given out
	pos  int
	n    int
	base int64 // offset in the file of buf[0]
	err  error // of src, once it has one; io.EOF among them

	lf, cr int // the first LF and CR at or after where they were last looked for, n when there is none

	line    int64
	multi   bool // the current record has line breaks inside quotes
	started bool
	scratch []byte // cells that had a quote to unescape
	rec     Record

	maxCell, maxRecord int
}

// NewReader returns a Reader of UTF-8 text, of which the first byte lies at start: the zero Position for a whole file,
// that of a record for a range cut out of one. A byte order mark at offset 0 is skipped and counted.
func NewReader(r io.Reader, comma byte, start Position) *Reader {
	return newReader(r, comma, start, firstBuffer, MaxCell, MaxRecord)
}

// newReader lets tests move the limits to where small inputs reach them. The buffer has room for a byte order mark.
func newReader(r io.Reader, comma byte, start Position, buffer, maxCell, maxRecord int) *Reader {
	return &Reader{
		src: r, comma: comma, buf: make([]byte, buffer), base: start.Offset, line: max(start.Line, 1),
		lf: -1, cr: -1, maxCell: maxCell, maxRecord: maxRecord,
	}
}

// Read returns the next record, io.EOF after the last one. A record that is bad on its own has Err set; an error that is
// returned ends the file: a *FileError when the bytes are not valid, anything else from the underlying reader.
func (r *Reader) Read() (*Record, error) {
	if !r.started {
		r.started = true
		if err := r.refill(0, 0); err != nil {
			return nil, err
		}
		if r.base == 0 && bytes.HasPrefix(r.buf[:r.n], bomUTF8) {
			r.pos = len(bomUTF8)
		}
	}
	for {
		if r.pos == r.n && r.err == io.EOF {
			return nil, io.EOF
		}
		complete, err := r.row()
		if err != nil {
			return nil, err
		}
		if complete {
			return &r.rec, nil
		}
		// The row goes beyond the buffer. Scanning it again from its start costs little, since the buffer is filled to
		// the brim each time and doubles when it is too small.
		if err := r.refill(0, r.pos); err != nil {
			return nil, err
		}
		r.pos = 0
	}
}

// refill drops buf[keep:from], moves what follows down, and reads until the buffer is full or the source ends. It
// returns the error of the source only once everything that came before it has been asked for.
func (r *Reader) refill(keep, from int) error {
	if r.err != nil {
		return fmt.Errorf("read CSV at byte %d: %w", r.base+int64(r.n), r.err)
	}
	r.n = keep + copy(r.buf[keep:], r.buf[from:r.n])
	r.base += int64(from - keep)
	r.lf, r.cr = -1, -1
	if r.n == len(r.buf) {
		// A record is cut off at the end of the first cell that takes it over its limit: at most one cell beyond it,
		// with quotes, separator and line break.
		bound := r.maxRecord + r.maxCell + 8
		grown := make([]byte, max(min(2*len(r.buf), bound), len(r.buf)+1))
		copy(grown, r.buf)
		r.buf = grown
	}
	for idle := 0; r.n < len(r.buf) && r.err == nil; {
		var m int
		m, r.err = r.src.Read(r.buf[r.n:])
		r.n += m
		if m > 0 {
			idle = 0
		} else if idle++; idle == 100 && r.err == nil {
			r.err = io.ErrNoProgress
		}
	}
	return nil
}

// row scans the record at pos. It returns false when the buffer ends before the record does.
func (r *Reader) row() (complete bool, err error) {
	rec := &r.rec
	*rec = Record{Fields: rec.Fields[:0], Line: r.line, Offset: r.base + int64(r.pos)}
	r.scratch = r.scratch[:0]
	r.multi = false

	for i, column := r.pos, 1; ; column++ {
		start, end, next, how, quotes := r.scan(i)
		switch how {
		case needMore:
			return false, nil
		case longPlain, longQuoted:
			r.fault(column, i, fmt.Sprintf("cell %d is longer than 1 MB (1,048,576 bytes)", column))
			return true, r.skip(i)
		}
		if next-r.pos > r.maxRecord {
			r.fault(0, r.pos, "the row is longer than 8 MB (8,388,608 bytes)")
			return true, r.skip(i)
		}
		cell := r.buf[start:end:end]
		switch quotes {
		case escaped:
			cell = r.unescape(cell)
		case unclosed:
			r.fault(column, i, fmt.Sprintf("the row that starts in line %d opens a quote in cell %d that is not closed, "+
				"or not within 1 MB (1,048,576 bytes)", r.line, column))
		case textAfter:
			r.fault(column, i, fmt.Sprintf("cell %d has text after its closing quote; "+
				"a quote inside a quoted cell is written twice", column))
		}
		if column <= MaxColumns {
			rec.Fields = append(rec.Fields, cell)
		} else if !blank(cell) {
			r.fault(column, i, "the row has a value beyond column 2,000, which is the limit")
		}
		i = next
		if how == atRowEnd {
			rec.Raw = trimBreak(r.buf[r.pos:next:next])
			r.checkText()
			lines := int64(1)
			if r.multi {
				lines = countBreaks(r.buf[r.pos:next])
			}
			r.finish(next, lines)
			return true, nil
		}
	}
}

// finish ends the record at next, where the following one starts, so many lines later.
func (r *Reader) finish(next int, lines int64) {
	r.rec.End = r.base + int64(next)
	r.pos = next
	r.line += lines
}

// fault notes what is wrong with the current record, unless something was wrong with it before.
func (r *Reader) fault(column, at int, reason string) {
	if r.rec.Err == nil {
		r.rec.Err = &RowError{Line: r.rec.Line, Byte: r.base + int64(at), Column: column, Reason: reason}
	}
}

// ending says how the scan of a cell ended.
type ending uint8

const (
	atSeparator ending = iota // another cell follows
	atRowEnd                  // the row ends with the cell
	needMore                  // the buffer ends before that is known
	longPlain                 // the cell is over the limit; its rest ends at a separator or line break
	longQuoted                // the same inside quotes; its rest ends at the closing quote or a line break
)

// quoting says what is to be known about the quotes of a cell.
type quoting uint8

const (
	plain     quoting = iota // the text can be taken as it is
	escaped                  // it has quotes that are doubled or behind a backslash
	unclosed                 // fault: the end of the quoted text was not found, so the cell ends with its line
	textAfter                // fault: there is text after the closing quote
)

// scan finds the end of the cell at i, buf[start:end] being its text, and where the next one starts. It never looks
// further than one cell limit ahead, and what it finds depends on nothing but the bytes from i on. When how is
// longPlain or longQuoted, next is where to go on looking for the end of the cell.
func (r *Reader) scan(i int) (start, end, next int, how ending, quotes quoting) {
	search := i
	if i < r.n && r.buf[i] == '"' {
		start, end, next, how, quotes = r.scanQuoted(i)
		if quotes != textAfter {
			return start, end, next, how, quotes
		}
		search = next // the rest of the cell is read as if the cell were not quoted
	}
	end = r.lineEnd(search)
	if k := bytes.IndexByte(r.buf[search:end], r.comma); k >= 0 {
		end = search + k
	}
	if end-i > r.maxCell {
		return i, end, search, longPlain, quotes
	}
	next, how = r.afterCell(end)
	return i, end, next, how, quotes
}

// scanQuoted is scan for a cell that begins with a quote. For textAfter, next is where that text starts.
func (r *Reader) scanQuoted(i int) (start, end, next int, how ending, quotes quoting) {
	start = i + 1
	for j := start; ; {
		q := r.n
		if k := bytes.IndexByte(r.buf[j:r.n], '"'); k >= 0 {
			q = j + k
		}
		if q-start > r.maxCell || q == r.n && r.err == io.EOF {
			return r.scanUnclosed(i, j)
		}
		switch r.quoteAt(start, q) {
		case undecided:
			return start, q, i, needMore, quotes
		case doubled:
			quotes = escaped
			j = q + 2
		case backslashed:
			quotes = escaped
			j = q + 1
		case closing:
			if r.lineEnd(start) < q {
				r.multi = true
			}
			next, how = r.afterCell(q + 1)
			return start, q, next, how, quotes
		case stray:
			if r.lineEnd(start) < q {
				return r.scanUnclosed(i, j)
			}
			return i, q, q + 1, atSeparator, textAfter
		}
	}
}

// scanUnclosed ends the quoted cell at i with its line. Before j, there is no quote in it that is unlike a text's.
func (r *Reader) scanUnclosed(i, j int) (start, end, next int, how ending, quotes quoting) {
	end = r.lineEnd(i)
	if end-i-1 > r.maxCell {
		return i, end, j, longQuoted, unclosed
	}
	next, how = r.afterCell(end)
	return i, end, next, how, unclosed
}

// role says what a quote inside a quoted cell is.
type role uint8

const (
	undecided   role = iota // the byte after it is not in the buffer yet
	doubled                 // with the one after it, a quote of the text
	backslashed             // with the backslash before it, a quote of the text
	closing                 // the end of the cell
	stray                   // none of these
)

// quoteAt tells the role of the quote at q in quoted text from start on; q may be n, where a quote is yet to come.
func (r *Reader) quoteAt(start, q int) role {
	if q+1 >= r.n {
		if q < r.n && r.err == io.EOF {
			return closing
		}
		return undecided
	}
	switch r.buf[q+1] {
	case '"':
		return doubled
	case r.comma, '\n', '\r':
		return closing
	}
	if q > start && r.buf[q-1] == '\\' {
		return backslashed
	}
	return stray
}

// lineEnd returns where the first line break at or after i is, n when there is none. It remembers where the next LF
// and the next CR are, so i must not be smaller than before, but after a reset of both.
func (r *Reader) lineEnd(i int) int {
	if r.lf < i {
		r.lf = r.index(i, '\n')
	}
	if r.cr < i {
		r.cr = r.index(i, '\r')
	}
	return min(r.lf, r.cr)
}

func (r *Reader) index(i int, c byte) int {
	if k := bytes.IndexByte(r.buf[i:r.n], c); k >= 0 {
		return i + k
	}
	return r.n
}

// afterCell tells what follows a cell that ends at i, where a separator, a line break or the end of the buffer is.
func (r *Reader) afterCell(i int) (next int, how ending) {
	if i < r.n && r.buf[i] == r.comma {
		return i + 1, atSeparator
	}
	atEnd := r.err == io.EOF
	switch {
	case i == r.n && !atEnd:
		return i, needMore
	case i == r.n:
		return i, atRowEnd
	case r.buf[i] == '\n':
		return i + 1, atRowEnd
	case i+1 == r.n && !atEnd: // CR, and perhaps LF
		return i, needMore
	case i+1 < r.n && r.buf[i+1] == '\n':
		return i + 2, atRowEnd
	}
	return i + 1, atRowEnd
}

// skip finds the end of a record that is over a limit, holding on to what lies before the cell at keep and dropping
// what it has passed.
func (r *Reader) skip(keep int) error {
	r.rec.Raw = nil
	r.lf, r.cr = -1, -1 // scan has been here before
	lines := countBreaks(r.buf[r.pos:keep])
	state := atSeparator
	for i := keep; ; {
		var next int
		var how ending
		switch state {
		case longPlain:
			next, how = r.passPlain(i)
		case longQuoted:
			next, how = r.passQuoted(i)
		default:
			if _, _, next, how, _ = r.scan(i); how == needMore {
				next = i
			}
		}
		lines += countBreaks(r.buf[i:next])
		i = next
		switch how {
		case atRowEnd:
			r.finish(next, lines)
			return nil
		case needMore:
			if err := r.refill(keep, i); err != nil {
				return err
			}
			i = keep
		default:
			state = how
		}
	}
}

// passPlain looks from i on for the end of a cell that is not quoted. On needMore, next is where to go on.
func (r *Reader) passPlain(i int) (next int, how ending) {
	end := r.lineEnd(i)
	if k := bytes.IndexByte(r.buf[i:end], r.comma); k >= 0 {
		end = i + k
	}
	return r.afterCell(end)
}

// passQuoted looks from i on for the end of a quoted cell, which is also the end of its line: the cell is longer than
// may be held, so where it would be closed cannot be known. On needMore, next is where to go on.
func (r *Reader) passQuoted(i int) (next int, how ending) {
	for {
		end := r.lineEnd(i)
		k := bytes.IndexByte(r.buf[i:end], '"')
		if k < 0 {
			if next, how = r.afterCell(end); how == needMore {
				next = max(i, end-1) // keep what may be the backslash of a quote
			}
			return next, how
		}
		q := i + k
		switch r.quoteAt(i, q) {
		case undecided:
			return max(i, q-1), needMore
		case doubled:
			i = q + 2
		case backslashed:
			i = q + 1
		case closing:
			if next, how = r.afterCell(q + 1); how == needMore {
				next = max(i, q-1)
			}
			return next, how
		case stray:
			return q + 1, longPlain
		}
	}
}

// unescape returns quoted text with its doubled and backslashed quotes made plain ones.
func (r *Reader) unescape(text []byte) []byte {
	from := len(r.scratch)
	for {
		q := bytes.IndexByte(text, '"')
		if q < 0 {
			break
		}
		if q+1 < len(text) && text[q+1] == '"' {
			r.scratch = append(r.scratch, text[:q+1]...)
			text = text[q+2:]
		} else {
			r.scratch = append(append(r.scratch, text[:q-1]...), '"')
			text = text[q+1:]
		}
	}
	r.scratch = append(r.scratch, text...)
	return r.scratch[from:len(r.scratch):len(r.scratch)]
}

// checkText makes the current record, whole in the buffer at pos, a bad row when it holds a NUL or is not UTF-8.
func (r *Reader) checkText() {
	raw := r.rec.Raw
	nul := bytes.IndexByte(raw, 0)
	if r.rec.Err != nil || nul < 0 && utf8.Valid(raw) {
		return
	}
	bad := 0
	for bad < len(raw) && raw[bad] != 0 {
		c, size := utf8.DecodeRune(raw[bad:])
		if c == utf8.RuneError && size == 1 {
			break
		}
		bad += size
	}
	at, column := r.pos+bad, 1
	r.lf, r.cr = -1, -1 // back to the start of the record
	for i := r.pos; ; column++ {
		_, _, next, how, _ := r.scan(i)
		if next > at || how == atRowEnd {
			break
		}
		i = next
	}
	r.lf, r.cr = -1, -1
	what := "bytes that are not UTF-8 (byte %d); save the file as CSV UTF-8"
	if bad == nul {
		what = "a NUL character (byte %d), which no text has"
	}
	r.fault(column, at, fmt.Sprintf("cell %d holds "+what, column, r.base+int64(at)))
}

// trimBreak takes the line break off the end of a record.
func trimBreak(record []byte) []byte {
	n := len(record)
	if n > 0 && record[n-1] == '\n' {
		n--
		if n > 0 && record[n-1] == '\r' {
			n--
		}
	} else if n > 0 && record[n-1] == '\r' {
		n--
	}
	return record[:n:n]
}
