package csvfile

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// A Header is the row that names the columns of a file.
type Header struct {
	Captions []string // trimmed, otherwise as written; none is blank, no two are the same but for case
	Record   Record   // the row itself, a copy that stays valid
}

// Header reads the header row, which is the first one that is neither blank nor a comment (its first cell starts with
// '#'); a first line such as "sep=;" is passed over as well. It is called once, before the first Read, on a Reader that
// starts at the start of the file. Captions that are blank at the end of the row, as Excel leaves them, are dropped; the
// cells below them are then surplus.
//
// It returns a *FileError when there is no such row, when the row is bad, when a caption is missing, when two are the
// same without regard to case and outer white space, and when there are more than MaxColumns. Columns are named by their
// number alone: in a file that came without a header, a caption is the value of a person.
func (r *Reader) Header() (*Header, error) {
	rec, err := r.headerRow()
	if err == io.EOF {
		reason := "the file has no header row"
		if r.base+int64(r.pos) == 0 {
			reason = "the file is empty"
		}
		return nil, &FileError{Line: r.line, Byte: r.base + int64(r.pos), Reason: reason}
	}
	if err != nil {
		return nil, err
	}
	if bad := rec.Err; bad != nil {
		return nil, &FileError{Line: bad.Line, Byte: bad.Byte, Reason: "the header row is not valid: " + bad.Reason}
	}
	refuse := func(format string, args ...any) (*Header, error) {
		return nil, &FileError{Line: rec.Line, Byte: rec.Offset, Reason: fmt.Sprintf(format, args...)}
	}

	cells := rec.Fields
	for len(cells) > 0 && blank(cells[len(cells)-1]) {
		cells = cells[:len(cells)-1]
	}
	h := &Header{Captions: make([]string, len(cells)), Record: rec.clone()}
	seen := make(map[string]int, len(cells))
	for i, cell := range cells {
		caption := string(bytes.TrimSpace(cell))
		if caption == "" {
			return refuse("column %d of the header row has no caption", i+1)
		}
		folded := strings.ToLower(caption)
		if before, ok := seen[folded]; ok {
			return refuse("columns %d and %d of the header row have the same caption", before+1, i+1)
		}
		seen[folded] = i
		h.Captions[i] = caption
	}
	return h, nil
}

// headerRow reads up to the header row.
func (r *Reader) headerRow() (*Record, error) {
	for first := true; ; first = false {
		rec, err := r.Read()
		if err != nil {
			return nil, err
		}
		if first {
			if _, ok := sepLine(rec.Raw); ok {
				continue
			}
		}
		if rec.Blank() || len(rec.Fields) > 0 && bytes.HasPrefix(bytes.TrimSpace(rec.Fields[0]), []byte("#")) {
			continue
		}
		return rec, nil
	}
}

// sepLine reads the line by which Excel is told the separator.
func sepLine(raw []byte) (separator byte, ok bool) {
	line := bytes.Trim(raw, `" `)
	if len(line) != len("sep=;") || !bytes.EqualFold(line[:4], []byte("sep=")) || !separates(line[4]) {
		return 0, false
	}
	return line[4], true
}

// Check returns what is wrong with a record read under this header: its own fault, or that it has fewer cells than the
// header has captions. Surplus cells are ignored. A blank record is short as well; skip it before.
func (h *Header) Check(rec *Record) *RowError {
	if rec.Err != nil {
		return rec.Err
	}
	if len(rec.Fields) >= len(h.Captions) {
		return nil
	}
	return &RowError{
		Line: rec.Line, Byte: rec.Offset, Column: len(rec.Fields) + 1,
		Reason: fmt.Sprintf("the row has %d cells, the header row has %d", len(rec.Fields), len(h.Captions)),
	}
}

func (rec *Record) clone() Record {
	c := *rec
	c.Raw = bytes.Clone(rec.Raw)
	c.Fields = make([][]byte, len(rec.Fields))
	for i, cell := range rec.Fields {
		c.Fields[i] = bytes.Clone(cell)
	}
	return c
}
