package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// maxDepth is how deep a body may be nested.
const maxDepth = 64

// input is a JSON object of a request. Its getters coerce as the reference does (openspecimen-rest.md section 1,
// Coercion): "3" is a number, "true" a boolean, "" and null stand for absent; unknown members are ignored. What cannot be
// coerced is remembered, and told by err as INVALID_REQUEST; the getters go on with zero values.
//
// Member names are exact. encoding/json would match them in any case, take the last of two equal ones, round long
// numbers and replace what is not Unicode: hence a type of its own.
type input struct {
	members map[string]any
	path    string // of the object within the body
	wrong   *error // the first thing wrong, shared by all objects of a body
	shape   *shape // what is asked for, where that is noted (recording.go)
}

// decode reads a body that holds one JSON object. It returns INVALID_REQUEST for anything else.
func decode(body []byte) (*input, error) {
	v, err := parseJSON(body)
	if err != nil {
		return nil, err
	}
	members, ok := v.(map[string]any)
	if !ok {
		return nil, invalid("The body must be a JSON object.")
	}
	return &input{members: members, wrong: new(error)}, nil
}

func invalid(format string, args ...any) *fault.Fault {
	return fault.New("INVALID_REQUEST", format, args...)
}

// parseJSON reads one JSON value strictly: no member twice, no text that is not Unicode, nothing behind it. Numbers stay
// as written.
func parseJSON(body []byte) (any, error) {
	if !utf8.Valid(body) {
		return nil, invalid("The body is not UTF-8 text.")
	}
	if loneSurrogate(body) {
		return nil, invalid("The body holds an escape of half a character.")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	v, err := parseValue(d, 0)
	if err != nil {
		var f *fault.Fault
		if errors.As(err, &f) {
			return nil, f
		}
		return nil, invalid("The body is not valid JSON, at byte %d.", d.InputOffset()).Wrap(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, invalid("The body goes on behind the JSON value, at byte %d.", d.InputOffset())
	}
	return v, nil
}

func parseValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, invalid("The body is nested deeper than %d levels.", maxDepth)
	}
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := parseValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = d.Token()
		return list, err
	case json.Delim('{'):
		members := map[string]any{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			key, ok := name.(string)
			if !ok {
				return nil, errors.New("a member without a name")
			}
			if _, ok := members[key]; ok {
				return nil, invalid("The body has two members %q in one object.", key)
			}
			if members[key], err = parseValue(d, depth+1); err != nil {
				return nil, err
			}
		}
		_, err = d.Token()
		return members, err
	}
	return token, nil
}

// loneSurrogate finds a \u escape of half a character, which encoding/json would replace.
func loneSurrogate(body []byte) bool {
	for i := 0; i < len(body); i++ {
		if body[i] != '\\' {
			continue
		}
		unit, ok := escaped(body[i:])
		switch {
		case !ok || unit < 0xD800 || unit > 0xDFFF:
			i++ // the escaped character
		case unit > 0xDBFF:
			return true
		default:
			low, ok := escaped(body[min(i+6, len(body)):])
			if !ok || low < 0xDC00 || low > 0xDFFF {
				return true
			}
			i += 11
		}
	}
	return false
}

func escaped(b []byte) (unit uint64, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	return unit, err == nil
}

// err is the first thing wrong with the body, nil if nothing is.
func (in *input) err() error { return *in.wrong }

func (in *input) refuse(name, want string) {
	if *in.wrong == nil {
		*in.wrong = invalid("%s must be %s.", in.path+name, want)
	}
}

// sent tells whether the member is there, null included.
func (in *input) sent(name string) bool {
	in.note(name, something)
	_, ok := in.members[name]
	return ok
}

// text is a string; a number gives its digits, absent and null the empty text. Surrounding space is dropped.
func (in *input) text(name string) string {
	in.note(name, aText)
	switch v := in.members[name].(type) {
	case nil:
	case string:
		if strings.ContainsFunc(v, control) {
			in.refuse(name, "a text without control characters")
		}
		return strings.TrimSpace(v)
	case json.Number:
		return v.String()
	default:
		in.refuse(name, "a text")
	}
	return ""
}

// control tells of characters that no text holds: those below the space but for tabs and the ends of lines, and delete.
func control(r rune) bool {
	return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f
}

// secret is a string as sent.
func (in *input) secret(name string) string {
	in.note(name, aText)
	v, ok := in.members[name].(string)
	if !ok && in.members[name] != nil {
		in.refuse(name, "a text")
	}
	return v
}

// number is an integer, 0 when absent.
func (in *input) number(name string) int64 {
	n := in.maybeNumber(name)
	if n == nil {
		return 0
	}
	return *n
}

// maybeNumber is an integer, nil when absent.
func (in *input) maybeNumber(name string) *int64 {
	in.note(name, aNumber)
	text := ""
	switch v := in.members[name].(type) {
	case nil:
	case string:
		text = strings.TrimSpace(v)
	case json.Number:
		text = v.String()
	default:
		in.refuse(name, "a whole number")
	}
	if text == "" {
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		// 3.0 and 3e2 are whole, too; a float64 holds those exactly up to 2^53.
		f, ferr := strconv.ParseFloat(text, 64)
		if ferr != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			in.refuse(name, "a whole number")
			return nil
		}
		n = int64(f)
	}
	return &n
}

// flag is a boolean, false when absent.
func (in *input) flag(name string) bool {
	in.note(name, aFlag)
	switch v := in.members[name].(type) {
	case nil:
	case bool:
		return v
	case string:
		switch strings.ToLower(strings.TrimSpace(v)) {
		case "true":
			return true
		case "false", "":
			return false
		}
		in.refuse(name, "true or false")
	default:
		in.refuse(name, "true or false")
	}
	return false
}

// maybeFlag is a boolean that may be left out: nil then.
func (in *input) maybeFlag(name string) *bool {
	if !in.sent(name) {
		return nil
	}
	v := in.flag(name)
	return &v
}

// quantity is a decimal number, nil when absent.
func (in *input) quantity(name string) *biobank.Quantity {
	in.note(name, aDecimal)
	text := ""
	switch v := in.members[name].(type) {
	case nil:
	case string:
		text = strings.TrimSpace(v)
	case json.Number:
		text = v.String()
	default:
		in.refuse(name, "a number")
	}
	if text == "" {
		return nil
	}
	var q biobank.Quantity
	if err := q.UnmarshalJSON([]byte(text)); err != nil {
		in.refuse(name, "a number")
		return nil
	}
	return &q
}

// day is a date without a time as yyyy-MM-dd, "" when absent.
func (in *input) day(name string) string {
	at := in.instant(name)
	if at == nil {
		return ""
	}
	return at.Format(time.DateOnly)
}

// millis is a time in epoch milliseconds, 0 when absent.
func (in *input) millis(name string) int64 {
	at := in.instant(name)
	if at == nil {
		return 0
	}
	return at.UnixMilli()
}

// instant is a time: milliseconds, as number or text, yyyy-MM-dd, or ISO-8601 with time and zone.
func (in *input) instant(name string) *time.Time {
	in.note(name, aDate)
	text := ""
	switch v := in.members[name].(type) {
	case nil:
	case string:
		text = strings.TrimSpace(v)
	case json.Number:
		text = v.String()
	default:
		in.refuse(name, "a date")
	}
	if text == "" {
		return nil
	}
	at, ok := parseInstant(text)
	switch {
	case !ok:
		in.refuse(name, "a date: milliseconds, yyyy-MM-dd, or yyyy-MM-ddTHH:mm:ss with a zone")
		return nil
	case at.Year() < 1 || at.Year() > 9999:
		in.refuse(name, "a date of the years 1 to 9999")
		return nil
	}
	return &at
}

func parseInstant(text string) (at time.Time, ok bool) {
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.UnixMilli(ms).UTC(), true
	}
	for _, layout := range []string{
		time.DateOnly, time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07",
		"2006-01-02T15:04Z07:00", "2006-01-02T15:04Z0700", "2006-01-02T15:04Z07",
	} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), true
		}
	}
	return time.Time{}, false
}

// raw is a member as it was sent, nil when absent or null.
func (in *input) raw(name string) json.RawMessage {
	in.note(name, something)
	v := in.members[name]
	if v == nil {
		return nil
	}
	text, err := json.Marshal(v)
	if err != nil { // it was JSON
		in.refuse(name, "JSON")
	}
	return text
}

// object is a member object, nil when absent.
func (in *input) object(name string) *input {
	member := in.note(name, anObject)
	switch v := in.members[name].(type) {
	case nil:
	case map[string]any:
		return &input{members: v, path: in.path + name + ".", wrong: in.wrong, shape: member}
	default:
		in.refuse(name, "an object")
	}
	return nil
}

// objects is an array of objects, nil when absent and empty for null.
func (in *input) objects(name string) []*input {
	item := in.noteItems(name, anObject)
	var list []*input
	for i, v := range in.list(name, "an array of objects") {
		members, ok := v.(map[string]any)
		if !ok {
			in.refuse(name, "an array of objects")
			break
		}
		list = append(list, &input{members: members, path: fmt.Sprintf("%s%s[%d].", in.path, name, i), wrong: in.wrong, shape: item})
	}
	if list == nil && in.sent(name) {
		return []*input{}
	}
	return list
}

// word is a text; true and false give the words.
func (in *input) word(name string) string {
	if v, ok := in.members[name].(bool); ok {
		in.note(name, aText)
		return strconv.FormatBool(v)
	}
	return in.text(name)
}

// texts is an array of texts, nil when absent and empty for null; numbers give their digits.
func (in *input) texts(name string) []string {
	in.noteItems(name, aText)
	var list []string
	for _, v := range in.list(name, "an array of texts") {
		switch v := v.(type) {
		case string:
			list = append(list, strings.TrimSpace(v))
		case json.Number:
			list = append(list, v.String())
		default:
			in.refuse(name, "an array of texts")
		}
	}
	if list == nil && in.sent(name) {
		return []string{}
	}
	return list
}

// numbers is an array of whole numbers.
func (in *input) numbers(name string) []int64 {
	in.noteItems(name, aNumber)
	var list []int64
	for i, v := range in.list(name, "an array of numbers") {
		one := input{members: map[string]any{name: v}, path: in.path, wrong: in.wrong}
		n := one.maybeNumber(name)
		if n == nil {
			in.refuse(fmt.Sprintf("%s[%d]", name, i), "a whole number")
			break
		}
		list = append(list, *n)
	}
	return list
}

func (in *input) list(name, want string) []any {
	switch v := in.members[name].(type) {
	case nil:
	case []any:
		return v
	default:
		in.refuse(name, want)
	}
	return nil
}

// textLists is an object whose values are arrays of texts, nil when absent and empty for null.
func (in *input) textLists(name string) map[string][]string {
	in.note(name, aMap)
	o := in.object(name)
	if o == nil {
		if in.sent(name) {
			return map[string][]string{}
		}
		return nil
	}
	o.shape = nil // its members are the caller's
	lists := map[string][]string{}
	for key := range o.members {
		lists[strings.TrimSpace(key)] = o.texts(key)
	}
	return lists
}

// textMap is an object whose values are texts or numbers, as texts; nulls are left out.
func (in *input) textMap(name string) map[string]string {
	in.note(name, aMap)
	o := in.object(name)
	m := map[string]string{}
	if o == nil {
		return m
	}
	o.shape = nil // its members are the caller's
	for key, v := range o.members {
		switch v := v.(type) {
		case nil:
		case bool:
			m[key] = strconv.FormatBool(v)
		default:
			m[key] = o.text(key)
		}
	}
	return m
}
