package csvimport

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
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

// header is the captions of a file and what has been found among them.
type header struct {
	captions []string
	cells    map[string]int // by folded caption
	used     []bool
	dropped  []bool
	twice    error // two columns that mean the same
}

func newHeader(captions []string) *header {
	h := &header{
		captions: make([]string, len(captions)),
		cells:    make(map[string]int, len(captions)),
		used:     make([]bool, len(captions)),
		dropped:  make([]bool, len(captions)),
	}
	for i, c := range captions {
		h.captions[i] = strings.TrimSpace(c)
		if _, ok := h.cells[foldCaption(c)]; !ok {
			h.cells[foldCaption(c)] = i
		}
	}
	return h
}

// foldCaption is the form in which captions are compared: without case and without spaces around their parts.
func foldCaption(s string) string {
	parts := strings.Split(s, "#")
	for i := range parts {
		parts[i] = biobank.Fold(parts[i])
	}
	return strings.Join(parts, "#")
}

// find is the cell of a caption, -1 when there is no such column.
func (h *header) find(caption string) int {
	if i, ok := h.cells[foldCaption(caption)]; ok && !h.dropped[i] {
		return i
	}
	return -1
}

// drop makes a column as good as absent, without calling it unknown.
func (h *header) drop(caption string) {
	if i := h.find(caption); i >= 0 {
		h.dropped[i] = true
	}
}

func (h *header) holdsAny(captions []string) bool {
	for _, c := range captions {
		if h.find(c) >= 0 {
			return true
		}
	}
	return false
}

// take finds the cells of a column: one, or as many as there are numbers, each with the cells of its members (-1: no
// such column). It returns nil when the file does not have the column.
func (h *header) take(c column) []int {
	var cells []int
	if !c.many {
		if i := h.find(c.caption); i >= 0 {
			cells = []int{i}
		}
	} else {
		cells = h.takeNumbered(c)
	}
	for _, alias := range c.aliases {
		i := h.find(alias)
		switch {
		case i < 0:
		case cells == nil:
			cells = []int{i}
		case h.twice == nil:
			h.twice = fault.New(codeParse, "The columns %q and %q mean the same. Keep one of them.",
				h.captions[cells[0]], h.captions[i])
		}
	}
	for _, i := range cells {
		if i >= 0 {
			h.used[i] = true
		}
	}
	return cells
}

func (h *header) takeNumbered(c column) []int {
	var cells []int
	for n := 1; ; n++ {
		numbered := c.caption + "#" + strconv.Itoa(n)
		if len(c.members) == 0 {
			i := h.find(numbered)
			if i < 0 {
				return cells
			}
			cells = append(cells, i)
			continue
		}
		found := false
		for _, m := range c.members {
			i := h.find(numbered + "#" + m)
			found = found || i >= 0
			cells = append(cells, i)
		}
		if !found {
			cells = cells[:len(cells)-len(c.members)]
			if len(cells) == 0 {
				return nil
			}
			return cells
		}
	}
}

func (h *header) bound() []int {
	var cells []int
	for i, used := range h.used {
		if used {
			cells = append(cells, i)
		}
	}
	return cells
}

func (h *header) unknown() []string {
	var captions []string
	for i, used := range h.used {
		if !used && !h.dropped[i] {
			captions = append(captions, h.captions[i])
		}
	}
	return captions
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
func (p partBinding[R]) read(in *input, r *R) (set uint64) {
	for i := range p {
		f := &p[i]
		if f.read(in, f.cells, r) != nothing && f.copy != nil {
			set |= 1 << i
		}
	}
	return set
}

// merger is the Merge of a draft: it copies the fields in set from r.
func merger[R, D any](p partBinding[R], r *R, set uint64, doc func(*R) *D) func(*D) {
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

// identityKey is the columns that together name an object.
type identityKey struct {
	tag      string // what is named: two keys with one tag name the same thing when their texts agree
	own      bool   // the row creates or changes it; otherwise it refers to it
	captions []string
	record   string // the numbered record of which the captions are members, if any
	scoped   bool   // within the protocol
	primary  bool   // only where the row is about a participant: its lineage is blank or New
	// unnamed is the column of the row's own name: the key counts only where that is blank, so that the rows whose names
	// are counted under one parent stay together.
	unnamed string
	// lane are the columns of a place within what is named. A row that leaves them blank takes the next free place: the rows
	// about one such thing are done by one worker, in the order of the file, but not one by one.
	lane []string
	// joins keeps the rows that share the key with one worker, and says no more: their order is that of their lane.
	joins bool
}

type boundKey struct {
	seed    uint64
	cells   []int
	own     bool
	scoped  bool
	primary bool
	unnamed int // the cell that must be blank, -1: none
	lane    bool
	joins   bool
	places  []int // the cells of the place, for a lane
}

// Identity is what a row is about, as hashes: equal names give equal hashes, in every file and process, so hashes of the
// plan and the chunks agree. Unequal names may (once in some billions) give equal ones, and names that differ only in
// case do; so an equal hash is a reason to keep rows in order, not a proof that they are about one thing.
type Identity struct {
	Own  []uint64 // what the row creates or changes
	Refs []uint64 // what it names besides
	// Joins are the places that it takes, by which rows stay with one worker.
	Joins []uint64
	// Lane is the hash of what the row takes a place in, 0 for nothing; Taker is its name, and Open tells that the row takes
	// the next free place.
	Lane  uint64
	Taker []byte
	Open  bool
}

// Identity appends the hashes of a row to ids.
func (b *Binding) Identity(cells [][]byte, ids *Identity) {
	ids.Joins, ids.Lane, ids.Taker, ids.Open = ids.Joins[:0], 0, nil, false
	primary := true
	if raw, s := cellAt(cells, b.lineage); s == given {
		primary = bytes.EqualFold(raw, []byte(biobank.LineageNew))
	}
keys:
	for i := range b.keys {
		k := &b.keys[i]
		if k.primary && !primary {
			continue
		}
		if _, s := cellAt(cells, k.unnamed); s == given {
			continue
		}
		h := k.seed
		if k.scoped {
			h = b.hashProtocol(h, cells)
		}
		for _, cell := range k.cells {
			raw, s := cellAt(cells, cell)
			if s != given {
				continue keys
			}
			h = hashByte(hashFolded(h, raw), 0)
		}
		if h = mix(h); k.lane {
			ids.Lane, ids.Open = h, true
			ids.Taker, _ = cellAt(cells, k.cells[0])
			for _, cell := range k.places {
				if _, s := cellAt(cells, cell); s == given {
					ids.Open = false
				}
			}
		} else if k.joins {
			ids.Joins = append(ids.Joins, h)
		} else if k.own {
			ids.Own = append(ids.Own, h)
		} else {
			ids.Refs = append(ids.Refs, h)
		}
	}
}

// hashProtocol takes the protocol in. All rows of a job that lies in a protocol share it.
func (b *Binding) hashProtocol(h uint64, cells [][]byte) uint64 {
	if b.protocolID > 0 {
		return h
	}
	if raw, s := cellAt(cells, b.protocol); s == given {
		h = hashFolded(h, raw)
	}
	return hashByte(h, 0)
}

// bindKeys finds the cells of the keys. lineage is set to the cell that tells primary rows.
func (s *Schema) bindKeys(h *header, lineage *int) []boundKey {
	var keys []boundKey
	add := func(k identityKey, prefix string) {
		b := boundKey{seed: hashTag(k.tag), own: k.own, scoped: k.scoped, primary: k.primary, unnamed: -1, lane: k.lane != nil, joins: k.joins}
		for _, caption := range k.lane {
			b.places = append(b.places, h.find(caption))
		}
		if k.unnamed != "" {
			b.unnamed = h.find(k.unnamed)
		}
		for _, caption := range k.captions {
			cell := h.find(prefix + caption)
			if cell < 0 {
				cell = h.findAlias(s.columns, caption)
			}
			if cell < 0 {
				return
			}
			b.cells = append(b.cells, cell)
		}
		keys = append(keys, b)
	}
	for _, k := range s.keys {
		if !k.own && !slices.ContainsFunc(s.keys, func(o identityKey) bool { return o.own && o.tag == k.tag }) {
			continue // no row of this type makes what the column names
		}
		if k.primary {
			*lineage = h.find(captionLineage)
		}
		if k.record == "" {
			add(k, "")
			continue
		}
		cells := h.takeNumbered(column{caption: k.record, members: k.captions})
		for n := 1; n <= len(cells)/len(k.captions); n++ {
			add(k, k.record+"#"+strconv.Itoa(n)+"#")
		}
	}
	return keys
}

// findAlias is the cell of an older caption for a column.
func (h *header) findAlias(columns []column, caption string) int {
	for _, c := range columns {
		if c.caption == caption {
			for _, alias := range c.aliases {
				if i := h.find(alias); i >= 0 {
					return i
				}
			}
		}
	}
	return -1
}

// FNV-1a, 64 bits, over text without case.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

func hashByte(h uint64, b byte) uint64 { return (h ^ uint64(b)) * fnvPrime }

func hashTag(tag string) uint64 {
	h := uint64(fnvOffset)
	for i := range len(tag) {
		h = hashByte(h, tag[i])
	}
	return hashByte(h, 0)
}

func hashFolded(h uint64, text []byte) uint64 {
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			if c >= 'A' && c <= 'Z' {
				c += 'a' - 'A'
			}
			h = hashByte(h, c)
			i++
			continue
		}
		r, n := utf8.DecodeRune(text[i:])
		var buf [utf8.UTFMax]byte
		for _, c := range buf[:utf8.EncodeRune(buf[:], unicode.ToLower(r))] {
			h = hashByte(h, c)
		}
		i += n
	}
	return h
}

// mix spreads the hash over all bits, for those who use only some.
func mix(h uint64) uint64 {
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	h ^= h >> 32
	return h
}
