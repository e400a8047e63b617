package csvimport

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// The formats of a job that names none (reference openspecimen-import-query.md 1.4).
const (
	DefaultDateFormat = "dd-MM-yyyy"
	DefaultTimeFormat = "HH:mm"
)

// DateFormat reads dates and times by a pattern of Java's SimpleDateFormat, strictly: the text must match the pattern
// in full, and name a day and a time that exist. The letters are
//
//	y  year: yyyy (or y) four digits, yy two digits, from 1946 to 2045
//	M  month: MM two digits, M one or two, MMM Jan, MMMM January
//	d  day of the month: dd two digits, d one or two
//	H  hour 0-23, k hour 1-24, h hour 1-12, K hour 0-11, each as HH or H
//	m  minute, s second, each as mm or m
//	S  millisecond: SSS three digits, S one to three
//	a  AM or PM
//	E  day of the week, which must agree with the date: E to EEE Mon, EEEE Monday
//
// Other letters are refused. Text between single quotes stands for itself, two single quotes are one; so does every
// other character. Names are English, in any case. The century of a year of two digits does not move with the clock, so
// that a file means the same whenever it is read.
//
// A DateFormat does not change and may be used by several goroutines.
type DateFormat struct {
	pattern string
	steps   []dateStep
	has     uint16 // bit per field that the pattern holds
}

type dateStep struct {
	field    dateField
	min, max uint8  // digits
	literal  string // fieldLiteral
	names    []string
}

type dateField uint8

const (
	fieldLiteral dateField = iota
	fieldYear
	fieldShortYear
	fieldMonth
	fieldMonthName
	fieldDay
	fieldHour   // 0-23
	fieldHour24 // 1-24
	fieldHour12 // 1-12
	fieldHour11 // 0-11
	fieldMinute
	fieldSecond
	fieldMilli
	fieldHalf // AM, PM
	fieldWeekday

	dateFields
)

// The fields that tell the same thing.
const (
	yearBits  = 1<<fieldYear | 1<<fieldShortYear
	monthBits = 1<<fieldMonth | 1<<fieldMonthName
	hourBits  = 1<<fieldHour | 1<<fieldHour24 | 1<<fieldHour12 | 1<<fieldHour11
)

// rivals is the bits of the fields that tell what d tells.
func (d dateField) rivals() uint16 {
	for _, bits := range []uint16{yearBits, monthBits, hourBits} {
		if bits&(1<<d) != 0 {
			return bits
		}
	}
	return 1 << d
}

// shortYearPivot is the first year that two digits can mean.
const shortYearPivot = 1946

const maxDatePattern = 64

var (
	monthsShort = []string{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"}
	monthsLong  = []string{
		"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
		"December",
	}
	daysShort = []string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}
	daysLong  = []string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"}
	halves    = []string{"AM", "PM"}
)

// What Parse finds wrong.
var (
	// ErrDateText means that the text does not match the pattern or names a day or time that does not exist.
	ErrDateText = errors.New("does not match the format")
	// ErrDateSkipped means that the clocks of the zone skipped the time.
	ErrDateSkipped = errors.New("is a time that the clocks skipped when summer time began")
)

// ParseDateFormat reads a pattern. The text of the error completes a sentence that begins with the name of the setting
// and quotes the pattern.
func ParseDateFormat(pattern string) (*DateFormat, error) {
	if len(pattern) > maxDatePattern {
		return nil, fmt.Errorf("is longer than %d characters", maxDatePattern)
	}
	f := &DateFormat{pattern: pattern}
	for rest := pattern; rest != ""; {
		n, err := f.addStep(rest)
		if err != nil {
			return nil, err
		}
		rest = rest[n:]
	}
	// Numbers that touch must have a fixed width, else 1112020 could be two dates.
	for i := 0; i+1 < len(f.steps); i++ {
		s, next := &f.steps[i], &f.steps[i+1]
		if s.max > 0 && next.max > 0 && s.min != s.max {
			return nil, fmt.Errorf("%q leaves open where a number ends: write it with two letters, as dd or MM", pattern)
		}
	}
	return f, nil
}

// addStep reads the step at the beginning of rest and tells its length.
func (f *DateFormat) addStep(rest string) (int, error) {
	c := rest[0]
	if c == '\'' {
		return f.addQuoted(rest)
	}
	if !isLetter(c) {
		n := 1
		for n < len(rest) && rest[n] != '\'' && !isLetter(rest[n]) {
			n++
		}
		f.literal(rest[:n])
		return n, nil
	}
	n := 1
	for n < len(rest) && rest[n] == c {
		n++
	}
	step, err := letterStep(c, n)
	if err != nil {
		return 0, fmt.Errorf("%q %w", f.pattern, err)
	}
	if f.has&step.field.rivals() != 0 {
		return 0, fmt.Errorf("%q holds %s twice", f.pattern, fieldNames[step.field])
	}
	f.has |= 1 << step.field
	f.steps = append(f.steps, step)
	return n, nil
}

func (f *DateFormat) addQuoted(rest string) (int, error) {
	var text strings.Builder
	for i := 1; i < len(rest); i++ {
		if rest[i] != '\'' {
			text.WriteByte(rest[i])
			continue
		}
		if i+1 < len(rest) && rest[i+1] == '\'' && i > 1 {
			text.WriteByte('\'')
			i++
			continue
		}
		if i == 1 {
			text.WriteByte('\'') // '' outside quotes
		}
		f.literal(text.String())
		return i + 1, nil
	}
	return 0, fmt.Errorf("%q has a quote that is not closed", f.pattern)
}

func (f *DateFormat) literal(s string) {
	if last := len(f.steps) - 1; last >= 0 && f.steps[last].field == fieldLiteral {
		f.steps[last].literal += s
		return
	}
	f.steps = append(f.steps, dateStep{field: fieldLiteral, literal: s})
}

var fieldNames = [dateFields]string{
	fieldYear: "the year", fieldShortYear: "the year", fieldMonth: "the month", fieldMonthName: "the month",
	fieldDay: "the day", fieldHour: "the hour", fieldHour24: "the hour", fieldHour12: "the hour",
	fieldHour11: "the hour", fieldMinute: "the minute", fieldSecond: "the second", fieldMilli: "the millisecond",
	fieldHalf: "AM or PM", fieldWeekday: "the day of the week",
}

func letterStep(c byte, n int) (dateStep, error) {
	two := func(f dateField) (dateStep, error) {
		if n > 2 {
			return dateStep{}, fmt.Errorf("has %d times %c; once or twice is meant", n, c)
		}
		return dateStep{field: f, min: uint8(n), max: 2}, nil
	}
	switch c {
	case 'y':
		switch n {
		case 1, 4:
			return dateStep{field: fieldYear, min: 4, max: 4}, nil
		case 2:
			return dateStep{field: fieldShortYear, min: 2, max: 2}, nil
		}
		return dateStep{}, errors.New("has a year that is neither yyyy nor yy")
	case 'M':
		switch n {
		case 3:
			return dateStep{field: fieldMonthName, names: monthsShort}, nil
		case 4:
			return dateStep{field: fieldMonthName, names: monthsLong}, nil
		case 1, 2:
			return two(fieldMonth)
		}
		return dateStep{}, errors.New("has a month that is none of M, MM, MMM, MMMM")
	case 'd':
		return two(fieldDay)
	case 'H':
		return two(fieldHour)
	case 'k':
		return two(fieldHour24)
	case 'h':
		return two(fieldHour12)
	case 'K':
		return two(fieldHour11)
	case 'm':
		return two(fieldMinute)
	case 's':
		return two(fieldSecond)
	case 'S':
		if n == 1 || n == 3 {
			return dateStep{field: fieldMilli, min: uint8(n), max: 3}, nil
		}
		return dateStep{}, errors.New("has milliseconds that are neither S nor SSS")
	case 'a':
		return dateStep{field: fieldHalf, names: halves}, nil
	case 'E':
		if n <= 3 {
			return dateStep{field: fieldWeekday, names: daysShort}, nil
		}
		if n == 4 {
			return dateStep{field: fieldWeekday, names: daysLong}, nil
		}
		return dateStep{}, errors.New("has a day of the week that is neither EEE nor EEEE")
	case 'Y':
		return dateStep{}, errors.New("has Y, the year of a week; the year of a date is written yyyy")
	case 'D':
		return dateStep{}, errors.New("has D, the day of the year; the day of the month is written dd")
	}
	return dateStep{}, fmt.Errorf("has the letter %c, which is not supported; use y M d H h m s S a E", c)
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func (f *DateFormat) holds(field dateField) bool { return f.has&(1<<field) != 0 }

// checkDate tells what keeps f from being the format of a date.
func (f *DateFormat) checkDate() error {
	switch {
	case f.has&yearBits == 0:
		return fmt.Errorf("%q has no year: write yyyy", f.pattern)
	case f.has&monthBits == 0 && f.holds(fieldMinute):
		return fmt.Errorf("%q has no month: months are written MM, mm are minutes", f.pattern)
	case f.has&monthBits == 0:
		return fmt.Errorf("%q has no month: write MM", f.pattern)
	case !f.holds(fieldDay):
		return fmt.Errorf("%q has no day: write dd", f.pattern)
	}
	return f.checkClock()
}

// checkTime tells what keeps f from being the format of a time of day.
func (f *DateFormat) checkTime() error {
	if f.has&(yearBits|monthBits|1<<fieldDay|1<<fieldWeekday) != 0 {
		return fmt.Errorf("%q holds parts of a date: minutes are written mm, MM are months", f.pattern)
	}
	if !f.hasHour() {
		return fmt.Errorf("%q has no hour: write HH", f.pattern)
	}
	return f.checkClock()
}

// checkClock tells whether the hours of half a day come without their half.
func (f *DateFormat) checkClock() error {
	if (f.holds(fieldHour12) || f.holds(fieldHour11)) != f.holds(fieldHalf) {
		return fmt.Errorf("%q needs a together with hh, or HH without it", f.pattern)
	}
	return nil
}

// String is the pattern.
func (f *DateFormat) String() string { return f.pattern }

// civil is a date and time of day as written, without a zone. Fields that the pattern does not hold are zero.
type civil struct {
	year, month, day, hour, minute, second, milli int16
}

// Parse reads a date or time as the clocks of loc show it. A part that the pattern does not hold is its first: January,
// the 1st, midnight, of the year 1970. A time that occurs twice, when summer time ends, is the later one. A time that
// was skipped gives ErrDateSkipped; but a day whose midnight was skipped, where the pattern has no hours, begins when
// its first hour does. Any other text gives ErrDateText. The errors do not repeat the text.
func (f *DateFormat) Parse(s string, loc *time.Location) (time.Time, error) {
	c, err := f.civil(s)
	if err != nil {
		return time.Time{}, err
	}
	ms, err := c.millis(loc, f.hasHour())
	if err != nil {
		return time.Time{}, err
	}
	return time.UnixMilli(ms).In(loc), nil
}

func (f *DateFormat) hasHour() bool {
	return f.has&hourBits != 0
}

// civil reads s as written.
func (f *DateFormat) civil(s string) (civil, error) {
	c := civil{year: 1970, month: 1, day: 1}
	half, weekday := int16(0), -1
	for i := range f.steps {
		step := &f.steps[i]
		var v int16
		switch {
		case step.field == fieldLiteral:
			n := len(step.literal)
			if len(s) < n || s[0] != step.literal[0] || n > 1 && s[:n] != step.literal {
				return civil{}, ErrDateText
			}
			s = s[n:]
			continue
		case step.names != nil:
			i := matchName(step.names, s)
			if i < 0 {
				return civil{}, ErrDateText
			}
			v, s = int16(i), s[len(step.names[i]):]
		default:
			n, most := 0, min(int(step.max), len(s))
			for ; n < most; n++ {
				digit := s[n] - '0'
				if digit > 9 {
					break
				}
				v = v*10 + int16(digit)
			}
			if n < int(step.min) {
				return civil{}, ErrDateText
			}
			s = s[n:]
		}
		ok := true
		switch step.field {
		case fieldYear:
			c.year, ok = v, v >= 1
		case fieldShortYear:
			c.year = shortYearPivot + (v-shortYearPivot%100+100)%100
		case fieldMonth:
			c.month, ok = v, v >= 1 && v <= 12
		case fieldMonthName:
			c.month = v + 1
		case fieldDay:
			c.day, ok = v, v >= 1
		case fieldHour:
			c.hour, ok = v, v <= 23
		case fieldHour24:
			c.hour, ok = v%24, v >= 1 && v <= 24
		case fieldHour12:
			c.hour, ok = v%12, v >= 1 && v <= 12
		case fieldHour11:
			c.hour, ok = v, v <= 11
		case fieldMinute:
			c.minute, ok = v, v <= 59
		case fieldSecond:
			c.second, ok = v, v <= 59
		case fieldMilli:
			c.milli = v
		case fieldHalf:
			half = v
		case fieldWeekday:
			weekday = int(v)
		}
		if !ok {
			return civil{}, ErrDateText
		}
	}
	c.hour += 12 * half
	if s != "" || c.day > daysIn(c.year, c.month) {
		return civil{}, ErrDateText
	}
	if weekday >= 0 && weekday != int(time.Date(int(c.year), time.Month(c.month), int(c.day), 0, 0, 0, 0, time.UTC).Weekday()) {
		return civil{}, ErrDateText
	}
	return c, nil
}

func matchName(names []string, s string) int {
	for i, name := range names {
		if len(s) >= len(name) && strings.EqualFold(s[:len(name)], name) {
			return i
		}
	}
	return -1
}

func daysIn(year, month int16) int16 {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// utcMillis is c as if the clocks showed UTC.
func (c civil) utcMillis() int64 {
	// Days since 1970 by the count of Gregorian eras of 400 years, with years that begin in March.
	y, m := int(c.year), int(c.month)-3
	if m < 0 {
		m, y = m+12, y-1
	}
	era := y / 400
	yearOfEra := y - era*400
	days := era*146097 + yearOfEra*365 + yearOfEra/4 - yearOfEra/100 + (153*m+2)/5 + int(c.day) - 1 - 719468
	seconds := int64(days)*86400 + int64(c.hour)*3600 + int64(c.minute)*60 + int64(c.second)
	return seconds*1000 + int64(c.milli)
}

// millis is the epoch time at which the clocks of loc showed c.
func (c civil) millis(loc *time.Location, exact bool) (int64, error) {
	wall := c.utcMillis()
	if loc == time.UTC {
		return wall, nil
	}
	// The offsets a day before and a day after bracket any change of the clocks.
	before, after := offsetAt(wall-dayMillis, loc), offsetAt(wall+dayMillis, loc)
	if late := wall - after; offsetAt(late, loc) == after {
		return late, nil
	}
	if early := wall - before; offsetAt(early, loc) == before {
		return early, nil
	}
	if exact {
		return 0, ErrDateSkipped
	}
	// Neither fits: the clocks jumped over midnight. The day begins with the jump.
	_, end := time.UnixMilli(wall - dayMillis - before).In(loc).ZoneBounds()
	return end.UnixMilli(), nil
}

const dayMillis = 24 * 60 * 60 * 1000

func offsetAt(ms int64, loc *time.Location) int64 {
	_, offset := time.UnixMilli(ms).In(loc).Zone()
	return int64(offset) * 1000
}
