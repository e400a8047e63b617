package clinical

import (
	"strings"
	"time"
	"unicode/utf8"
)

// Kind is the data type of an item (section 4).
type Kind uint8

// The data types. What ODM has besides is stored as text.
const (
	Text Kind = iota
	Integer
	Real
	Boolean
	Date
	PartialDate
)

// KindOf maps an ODM data type; known is false for those that are stored as text for want of a rule.
func KindOf(dataType string) (k Kind, known bool) {
	switch dataType {
	case "text", "string":
		return Text, true
	case "integer":
		return Integer, true
	case "float", "double":
		return Real, true
	case "boolean":
		return Boolean, true
	case "date":
		return Date, true
	case "partialDate":
		return PartialDate, true
	}
	return Text, false
}

// MaxValue is the longest value, in characters.
const MaxValue = 3999

// Check tells whether a value may be stored for the item: an empty Code, or why not, in the order of section 4: length,
// then, unless the value is empty, data type and list. Files are checked elsewhere.
func (d *ItemDef) Check(value string) Code {
	if len(value) > MaxValue && utf8.RuneCountInString(value) > MaxValue {
		return ValueTooLong
	}
	if value == "" {
		return ""
	}
	if !d.Multiple { // several values are text, whatever their type
		if code := d.Type.check(value); code != "" {
			return code
		}
	}
	if d.Codes == nil {
		return ""
	}
	if !d.Multiple {
		if !d.Codes[value] && !d.unchecked() {
			return ValueChoiceCodeNotFound
		}
		return ""
	}
	for one := range strings.SplitSeq(value, ",") {
		if !d.Codes[one] {
			return ValueChoiceCodeNotFound
		}
	}
	return ""
}

// unchecked tells of the list that holds only "_", which stands for any value.
func (d *ItemDef) unchecked() bool { return len(d.Codes) == 1 && d.Codes["_"] }

func (k Kind) check(v string) Code {
	switch k {
	case Integer:
		if !isInteger(v) {
			return ValueTypeMismatch
		}
	case Real:
		if !isReal(v) {
			return ValueTypeMismatch
		}
	case Boolean:
		if v != "true" && v != "false" {
			return ValueTypeMismatch
		}
	case Date:
		if !isDay(v) {
			return InvalidDateFormat
		}
	case PartialDate:
		if !isDay(v) && !isDate(v, "2006-01") && !isDate(v, "2006") {
			return InvalidDateFormat
		}
	case Text:
	}
	return ""
}

// isInteger takes a sign, leading zeros, and what fits 32 bits.
func isInteger(v string) bool {
	digits, limit := v, int64(1<<31-1)
	switch {
	case strings.HasPrefix(v, "-"):
		digits, limit = v[1:], 1<<31
	case strings.HasPrefix(v, "+"):
		digits = v[1:]
	}
	if digits == "" {
		return false
	}
	n := int64(0)
	for i := range len(digits) {
		c := digits[i]
		if c < '0' || c > '9' {
			return false
		}
		if n = n*10 + int64(c-'0'); n > limit {
			return false
		}
	}
	return true
}

// isReal takes a minus, digits and one dot that is not the end.
func isReal(v string) bool {
	v = strings.TrimPrefix(v, "-")
	dots, digits := 0, 0
	for i := range len(v) {
		switch c := v[i]; {
		case c == '.':
			dots++
		case c >= '0' && c <= '9':
			digits++
		default:
			return false
		}
	}
	return digits > 0 && dots <= 1 && v[len(v)-1] != '.'
}

func isDay(v string) bool { return isDate(v, time.DateOnly) }

func isDate(v, layout string) bool {
	if len(v) != len(layout) {
		return false
	}
	_, err := time.Parse(layout, v)
	return err == nil
}
