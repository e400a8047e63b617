package csvimport

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// The codes of this package's faults (reference openspecimen-import-query.md 1.4, 3.2).
const (
	codeParse      = "IMPORT_JOB_RECORD_PARSE_ERROR"
	codeDateFormat = "IMPORT_JOB_INVALID_DATE_FORMAT"
	codeTimeFormat = "IMPORT_JOB_INVALID_TIME_FORMAT"
	codeDate       = "COMMON_DATE_PARSE_ERROR"
)

const captionIdentifier = "Identifier"

// setToBlank asks to clear what the column holds.
const setToBlank = "##set_to_blank##"

// Options are what a job says besides its rows.
type Options struct {
	Op biobank.Op
	// DateFormat and TimeFormat are Java patterns; empty means the defaults.
	DateFormat, TimeFormat string
	// Location is the zone of dates and times without one; nil means UTC.
	Location *time.Location
	// ProtocolID is the protocol of rows that name none, when above 0.
	ProtocolID int64

	custom map[biobank.Level]*biobank.Form // of the schema
}

// Binding reads the rows of one file. It does not change and may be used by several goroutines.
type Binding struct {
	captions []string
	unknown  []string
	bound    []int // the cells that are read
	dates    *dates
	keys     []boundKey
	draft    func(*input) biobank.Draft

	protocolID int64
	protocol   int   // the cell of CP Short Title, -1: no such column
	finders    []int // the cells by which a row finds the record that it changes, the first that is given; nil but for an update
	lineage    int   // the cell that says whether a master row is about a participant, -1: none or every row is
	reason     int
	makes      func(cells [][]byte) int64 // nil where a row makes one object
}

// Bind finds the columns of a file. The fault, if any, is about the file as a whole: a pattern that is not valid, a
// column that the operation needs and the header lacks, or two columns that mean the same.
func (s *Schema) Bind(captions []string, o Options) (*Binding, error) {
	d, err := newDates(o)
	if err != nil {
		return nil, err
	}
	h := newHeader(captions)
	b := &Binding{captions: h.captions, dates: d, protocolID: max(o.ProtocolID, 0)}
	if o.Op == biobank.Create {
		// An exported file can be imported anew (1.5).
		h.drop(captionIdentifier)
	}
	o.custom = s.custom
	b.draft = s.binder(h, o)
	if h.twice != nil {
		return nil, h.twice
	}
	if err := s.missing(h, o); err != nil {
		return nil, err
	}
	b.protocol, b.lineage, b.reason = h.find(captionProtocol), -1, -1
	if i := h.find(captionReason); i >= 0 && h.used[i] {
		b.reason = i
	}
	b.keys = s.bindKeys(h, &b.lineage)
	if o.Op == biobank.Update {
		b.finders = s.finders(h)
	}
	if s.makes != nil {
		b.makes = s.makes(h)
	}
	b.bound = h.bound()
	b.unknown = h.unknown()
	return b, nil
}

// missing tells which columns the operation needs and the header lacks.
func (s *Schema) missing(h *header, o Options) error {
	lacks := func(groups [][]string) []string {
		var missing []string
		for _, group := range groups {
			if !h.holdsAny(group) && !(o.ProtocolID > 0 && slices.Contains(group, captionProtocol)) {
				missing = append(missing, `"`+strings.Join(group, `" or "`)+`"`)
			}
		}
		return missing
	}
	var missing []string
	if o.Op != biobank.Update {
		missing = lacks(s.create)
	}
	if o.Op == biobank.Update || o.Op == biobank.Upsert && missing != nil {
		toUpdate := lacks(s.update)
		if o.Op == biobank.Update || toUpdate == nil {
			missing = toUpdate
		}
	}
	switch len(missing) {
	case 0:
		return nil
	case 1:
		return fault.New(codeParse, "The file has no column %s. Add it to the header line.", missing[0])
	}
	return fault.New(codeParse, "The file lacks the columns %s. Add them to the header line.", strings.Join(missing, ", "))
}

// finders are the cells of the columns that an update needs one of.
func (s *Schema) finders(h *header) []int {
	var cells []int
	for _, caption := range slices.Concat(s.update...) {
		if i := h.find(caption); i >= 0 && caption != captionProtocol && !slices.Contains(cells, i) {
			cells = append(cells, i)
		}
	}
	return cells
}

// finder tells by which of the columns the row finds its record, from 1, 0 for none of them.
func (b *Binding) finder(cells [][]byte) int {
	for n, i := range b.finders {
		if _, s := cellAt(cells, i); s == given {
			return n + 1
		}
	}
	return 0
}

// Unknown lists the captions that mean nothing here, custom fields included, and numbered ones that lie behind a gap:
// their cells are not read.
func (b *Binding) Unknown() []string { return b.unknown }

// Reason is the audit comment of a row, empty when it gives none.
func (b *Binding) Reason(cells [][]byte) string {
	raw, s := cellAt(cells, b.reason)
	if s != given {
		return ""
	}
	return string(raw)
}

// Draft reads a row. The error is a fault.List of everything wrong with it; each text names its column and may quote up
// to 40 characters of the cell. The draft keeps nothing of cells.
func (b *Binding) Draft(cells [][]byte) (biobank.Draft, error) {
	if len(cells) < len(b.captions) {
		return nil, fault.List{fault.New(codeParse,
			"The row has %d cells, but the header has %d columns.", len(cells), len(b.captions))}
	}
	in := input{Binding: b, cells: cells}
	size := 0
	for _, i := range b.bound {
		size += len(cells[i])
	}
	in.text.Grow(size)
	d := b.draft(&in)
	if err := in.faults.Err(); err != nil {
		return nil, err
	}
	return d, nil
}

// input is one row being read.
type input struct {
	*Binding
	cells  [][]byte
	text   strings.Builder
	faults fault.List
}

// cell is a cell without the spaces around it, and what it says.
func (in *input) cell(i int) ([]byte, sent) { return cellAt(in.cells, i) }

func cellAt(cells [][]byte, i int) ([]byte, sent) {
	if i < 0 || i >= len(cells) {
		return nil, nothing
	}
	raw := trim(cells[i])
	switch {
	case len(raw) == 0:
		return nil, nothing
	case raw[0] == '#' && string(raw) == setToBlank:
		return nil, cleared
	}
	return raw, given
}

// trim spares the usual cell, which has nothing to trim, the look at every rune.
func trim(b []byte) []byte {
	if n := len(b); n > 0 && b[0] > ' ' && b[0] < utf8.RuneSelf && b[n-1] > ' ' && b[n-1] < utf8.RuneSelf {
		return b
	}
	return bytes.TrimSpace(b)
}

// sent tells whether any of the cells says something.
func (in *input) sent(cells []int) bool {
	for _, i := range cells {
		if _, s := in.cell(i); s != nothing {
			return true
		}
	}
	return false
}

// keep makes a string of raw. The strings of a row share one allocation.
func (in *input) keep(raw []byte) string {
	from := in.text.Len()
	in.text.Write(raw)
	return in.text.String()[from:]
}

// misfit is what a cell must be instead, as the end of a sentence that begins with the column.
type misfit struct{ code, want string }

func (m misfit) Error() string { return m.want }

var (
	errCount       = misfit{codeParse, "must be a whole number, 0 or more"}
	errIdentifier  = misfit{codeParse, "must be the whole number of a record"}
	errFlag        = misfit{codeParse, "must be yes or no"}
	errFixed       = misfit{codeParse, "cannot be cleared: it must be blank or a value"}
	errUnsupported = misfit{codeParse, "is not supported: it must be blank"}
	errWhole       = misfit{codeParse, "must be a whole number"}
	errObject      = misfit{codeParse, "must be a JSON object"}
	errNames       = misfit{codeParse, "must be a list with commas, without an item that is blank"}
	errCode        = misfit{codeParse, "must be a barcode, or ##set_to_blank## to take it away"}
	errTwice       = misfit{codeParse, "must be named once"}
	errDisposal    = misfit{"SPECIMEN_INVALID_DISPOSE_STATUS", "must be Closed or Disabled"}
)

const maxQuoted = 40

// refuse records that the value of a cell is not valid.
func (in *input) refuse(cell int, raw []byte, err error) {
	code := codeParse
	if m := (misfit{}); errors.As(err, &m) {
		code = m.code
	}
	in.faults.Add(code, "%s %v, but is %s.", in.captions[cell], err, quote(raw))
}

func quote(raw []byte) string {
	n := 0
	for i := range string(raw) {
		if n++; n > maxQuoted {
			return strconv.Quote(string(raw[:i])) + "..."
		}
	}
	return strconv.Quote(string(raw))
}

func badDateFormat(err error) error {
	return fault.New(codeDateFormat, "The date format %v.", err)
}

func badTimeFormat(err error) error {
	return fault.New(codeTimeFormat, "The time format %v.", err)
}

// partBinding is the fields of a draft that a file has, with their cells.
type partBinding[R any] []boundField[R]

type boundField[R any] struct {
	field[R]
	cells []int
}

// maxFields is how many fields of a draft the set of those that were sent can hold.
const maxFields = 64

func bindPart[R any](h *header, fields []field[R]) partBinding[R] {
	var p partBinding[R]
	for _, f := range fields {
		if cells := h.take(f.column); cells != nil {
			p = append(p, boundField[R]{f, cells})
		}
	}
	if len(p) > maxFields {
		panic(fmt.Sprintf("%d fields in one draft", len(p)))
	}
	return p
}

// read fills r and returns the set of fields that were sent and belong onto the stored object.
func (p partBinding[R]) read(in *input, r R) (set uint64) {
	for i := range p {
		f := &p[i]
		if f.read(in, f.cells, r) != nothing && f.copy != nil {
			set |= 1 << i
		}
	}
	return set
}

// merger is the Merge of a draft: it copies the fields in set from r.
func merger[R, D any](p partBinding[*R], r *R, set uint64, doc func(*R) *D) func(*D) {
	return func(stored *D) {
		var to R
		*doc(&to) = *stored
		for i := range p {
			if set&(1<<i) != 0 {
				p[i].copy(&to, r)
			}
		}
		*stored = *doc(&to)
	}
}

// FNV-1a, 64 bits, over text without case.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)
