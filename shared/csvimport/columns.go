package csvimport

import (
	"bytes"
	"strconv"
	"time"

	"aliquot/shared/biobank"
)

// A field reads one column, or one family of numbered columns, into a draft of type R, a pointer. The kinds of field below
// are made from an accessor to what they fill, from which reading a cell, clearing it and copying it onto a stored object
// follow. The compiler makes one copy of them for all pointers, but one for each struct.
type field[R any] struct {
	column
	// set fills r from the cell of a single column. Its error says what the cell must be instead.
	set func(in *input, raw []byte, r R) error
	// clear empties the field of r. It is nil where that has no meaning: a cell that asks for it is refused.
	clear func(r R)
	// readAll does the work of set and clear for numbered columns, from the cells of all of them.
	readAll func(in *input, cells []int, r R) sent
	// copy gives dst what src has of the field. It is nil where the registry acts on the draft itself, as on references.
	copy func(dst, src R)
}

// sent tells what a row says about a field.
type sent uint8

const (
	nothing sent = iota
	cleared
	given
)

// read fills r from the cells of the field and tells what the row sent. A cell that is not valid leaves a fault in in.
func (f *field[R]) read(in *input, cells []int, r R) sent {
	if f.readAll != nil {
		return f.readAll(in, cells, r)
	}
	raw, s := in.cell(cells[0])
	switch {
	case s == given:
		if err := f.set(in, raw, r); err != nil {
			in.refuse(cells[0], raw, err)
		}
	case s == cleared && f.clear == nil:
		in.refuse(cells[0], []byte(setToBlank), errFixed)
	case s == cleared:
		f.clear(r)
	}
	return s
}

// aka adds older captions.
func (f field[R]) aka(aliases ...string) field[R] {
	f.aliases = aliases
	return f
}

// fixed makes a field that cannot be cleared.
func (f field[R]) fixed() field[R] {
	f.clear = nil
	return f
}

// draftOnly takes the copy away from a field that the registry resolves.
func (f field[R]) draftOnly() field[R] {
	f.copy = nil
	return f
}

// single is a field of one cell. Cleared, *at(r) becomes what none returns.
func single[R, T any](caption string, at func(R) *T, none func() T, parse func(*input, []byte) (T, error)) field[R] {
	return field[R]{
		column: column{caption: caption},
		set: func(in *input, raw []byte, r R) error {
			v, err := parse(in, raw)
			if err != nil {
				return err
			}
			*at(r) = v
			return nil
		},
		clear: func(r R) { *at(r) = none() },
		copy:  func(dst, src R) { *at(dst) = *at(src) },
	}
}

func zero[T any]() (t T) { return t }

// text is a field that takes its cell as it is.
func text[R any](caption string, at func(R) *string) field[R] {
	return single(caption, at, zero, parseText)
}

// ref is the text by which a row names the object or another one. It cannot be cleared.
func ref[R any](caption string, at func(R) *string) field[R] {
	return text(caption, at).draftOnly().fixed()
}

// identifier is the numeric id of the object.
func identifier[R any](at func(R) *int64) field[R] {
	return single(captionIdentifier, at, zero, func(_ *input, raw []byte) (int64, error) {
		n, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil || n < 1 {
			return 0, errIdentifier
		}
		return n, nil
	}).draftOnly().fixed()
}

// name is a name that the registry resolves: absent, given, or given as empty to clear it.
func name[R any](caption string, at func(R) **string) field[R] {
	return single(caption, at, func() *string { return new(string) }, func(in *input, raw []byte) (*string, error) {
		s := in.keep(raw)
		return &s, nil
	}).draftOnly()
}

// user is a user named by e-mail address.
func user[R any](caption string, at func(R) *biobank.UserRef) field[R] {
	return single(caption, at, func() biobank.UserRef { return biobank.UserRef{Clear: true} },
		func(in *input, raw []byte) (biobank.UserRef, error) {
			return biobank.UserRef{Email: in.keep(raw)}, nil
		}).draftOnly()
}

func quantity[R any](caption string, at func(R) **biobank.Quantity) field[R] {
	return single(caption, at, zero, func(_ *input, raw []byte) (*biobank.Quantity, error) {
		q, err := biobank.ParseQuantity(string(raw))
		if err != nil {
			return nil, err
		}
		return &q, nil
	})
}

// count is a whole number from zero up.
func count[R any](caption string, at func(R) *int64) field[R] {
	return single(caption, at, zero, func(_ *input, raw []byte) (int64, error) {
		n, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil || n < 0 {
			return 0, errCount
		}
		return n, nil
	})
}

func flag[R any](caption string, at func(R) *bool) field[R] {
	return single(caption, at, zero, parseFlag)
}

// optFlag is a boolean that may be unknown.
func optFlag[R any](caption string, at func(R) **bool) field[R] {
	return single(caption, at, zero, func(in *input, raw []byte) (*bool, error) {
		v, err := parseFlag(in, raw)
		if err != nil {
			return nil, err
		}
		return &v, nil
	})
}

// day is a date without a zone, kept as yyyy-MM-dd.
func day[R any](caption string, at func(R) *string) field[R] {
	return single(caption, at, zero, func(in *input, raw []byte) (string, error) {
		c, err := in.dates.date.civil(string(raw))
		if err != nil {
			return "", in.dates.wantDate
		}
		var iso [10]byte
		return in.keep(c.appendDate(iso[:0])), nil
	})
}

// date is the beginning of a day in the zone of the job, in epoch milliseconds.
func date[R any](caption string, at func(R) *int64) field[R] {
	return single(caption, at, zero, func(in *input, raw []byte) (int64, error) {
		return in.dates.parseDate(string(raw))
	})
}

// moment is a date and time in the zone of the job, in epoch milliseconds.
func moment[R any](caption string, at func(R) *int64) field[R] {
	return single(caption, at, zero, func(in *input, raw []byte) (int64, error) {
		return in.dates.parseMoment(string(raw))
	})
}

// unsupported is a column of the reference for which there is no place here yet. A value would be lost, so it is
// refused; a flag that is off loses nothing.
func unsupported[R any](caption string) field[R] {
	f := ignored[R](caption)
	f.set = func(in *input, raw []byte, _ R) error {
		if on, err := parseFlag(in, raw); err == nil && !on {
			return nil
		}
		return errUnsupported
	}
	return f
}

// ignored is a column that says nothing about the object itself.
func ignored[R any](caption string) field[R] {
	return field[R]{
		column: column{caption: caption},
		set:    func(*input, []byte, R) error { return nil },
		clear:  func(R) {},
	}
}

// list is a field of many values, Caption#1, Caption#2 and so on, up to the first that is blank. A cell that asks to be
// cleared clears the whole list.
func list[R any](caption string, at func(R) *[]string) field[R] {
	return field[R]{
		column: column{caption: caption, many: true},
		readAll: func(in *input, cells []int, r R) sent {
			var values []string
			for i, cell := range cells {
				raw, s := in.cell(cell)
				if s == cleared {
					*at(r) = nil
					return cleared
				}
				if s == nothing {
					break
				}
				if values == nil {
					values = make([]string, 0, len(cells)-i)
				}
				values = append(values, in.keep(raw))
			}
			if values == nil {
				return nothing
			}
			*at(r) = values
			return given
		},
		copy: func(dst, src R) { *at(dst) = *at(src) },
	}
}

// records is a field of many nested records, Caption#1#Member and so on, up to the first number of which nothing is
// sent. A record whose members are all cleared is dropped, so that clearing the first clears the list.
func records[R, E any](caption string, at func(R) *[]E, members ...field[*E]) field[R] {
	names := make([]string, len(members))
	for i := range members {
		names[i] = members[i].caption
	}
	return field[R]{
		column: column{caption: caption, many: true, members: names},
		readAll: func(in *input, cells []int, r R) sent {
			all := []E{} // once sent, empty is not nil
			said := nothing
			for ; len(cells) > 0 && in.sent(cells[:len(members)]); cells = cells[len(members):] {
				all = append(all, *new(E))
				e, best := &all[len(all)-1], cleared
				for i := range members {
					best = max(best, members[i].read(in, cells[i:i+1], e))
				}
				if best == cleared {
					all = all[:len(all)-1]
				}
				said = max(said, best)
			}
			if said != nothing {
				*at(r) = all
			}
			return said
		},
		copy: func(dst, src R) { *at(dst) = *at(src) },
	}
}

// inside is a field of a part E of R that need not exist: it is made when a value is sent, not when one is cleared.
func inside[R, E any](part func(R) **E, f field[*E]) field[R] {
	return field[R]{
		column: f.column,
		set: func(in *input, raw []byte, r R) error {
			p := part(r)
			if *p == nil {
				*p = new(E)
			}
			return f.set(in, raw, *p)
		},
		clear: func(r R) {
			if p := *part(r); p != nil {
				f.clear(p)
			}
		},
		copy: func(dst, src R) {
			to, from := part(dst), *part(src)
			if from == nil {
				if *to == nil {
					return
				}
				from = new(E)
			}
			if *to == nil {
				*to = new(E)
			}
			f.copy(*to, from)
		},
	}
}

func parseText(in *input, raw []byte) (string, error) { return in.keep(raw), nil }

func parseFlag(_ *input, raw []byte) (bool, error) {
	for _, v := range flags {
		if bytes.EqualFold(raw, v.text) {
			return v.value, nil
		}
	}
	return false, errFlag
}

var flags = [...]struct {
	text  []byte
	value bool
}{{[]byte("yes"), true}, {[]byte("no"), false}, {[]byte("true"), true}, {[]byte("false"), false}}

func (c civil) appendDate(b []byte) []byte {
	digits := func(n int16, width int) {
		for place := pow10[width-1]; place > 0; place /= 10 {
			b = append(b, byte('0'+n/place%10))
		}
	}
	digits(c.year, 4)
	b = append(b, '-')
	digits(c.month, 2)
	b = append(b, '-')
	digits(c.day, 2)
	return b
}

var pow10 = [...]int16{1, 10, 100, 1000}

// dates reads the dates of a job.
type dates struct {
	date, moment *DateFormat
	zone         *time.Location
	// What a cell must be.
	wantDate, wantMoment, wantExisting misfit
}

// isoUTC is the form of a time with its zone, which every job accepts.
var isoUTC = func() *DateFormat {
	f, err := ParseDateFormat("yyyy-MM-dd'T'HH:mm:ss'Z'")
	if err != nil {
		panic(err)
	}
	return f
}()

func newDates(o Options) (*dates, error) {
	d := &dates{zone: o.Location}
	if d.zone == nil {
		d.zone = time.UTC
	}
	dateText, timeText := o.DateFormat, o.TimeFormat
	if dateText == "" {
		dateText = DefaultDateFormat
	}
	if timeText == "" {
		timeText = DefaultTimeFormat
	}
	var err error
	if d.date, err = ParseDateFormat(dateText); err == nil {
		err = d.date.checkDate()
	}
	if err != nil {
		return nil, badDateFormat(err)
	}
	clock, err := ParseDateFormat(timeText)
	if err == nil {
		err = clock.checkTime()
	}
	if err != nil {
		return nil, badTimeFormat(err)
	}
	d.moment = d.date
	if !d.date.hasHour() {
		if d.moment, err = ParseDateFormat(dateText + " " + timeText); err != nil {
			return nil, badTimeFormat(err)
		}
	}
	d.wantDate = misfit{codeDate, "must be a date in the format " + dateText}
	d.wantMoment = misfit{codeDate, "must be a date and time in the format " + d.moment.String() + ", or a date alone"}
	d.wantExisting = misfit{codeDate, "must be a time that the clocks of " + d.zone.String() +
		" showed (they skipped it when summer time began)"}
	return d, nil
}

func (d *dates) parseDate(s string) (int64, error) {
	c, err := d.date.civil(s)
	if err != nil {
		return 0, d.wantDate
	}
	return d.millis(c, d.date)
}

func (d *dates) parseMoment(s string) (int64, error) {
	if s[len(s)-1] == 'Z' {
		if c, err := isoUTC.civil(s); err == nil {
			return c.utcMillis(), nil
		}
	}
	if c, err := d.moment.civil(s); err == nil {
		return d.millis(c, d.moment)
	}
	c, err := d.date.civil(s)
	if err != nil {
		return 0, d.wantMoment
	}
	return d.millis(c, d.date)
}

func (d *dates) millis(c civil, f *DateFormat) (int64, error) {
	ms, err := c.millis(d.zone, f.hasHour())
	if err != nil {
		return 0, d.wantExisting
	}
	return ms, nil
}
