package api

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// query reads the parameters of a request as the reference does (openspecimen-rest.md section 1): lists are repeated or
// comma-joined, blank is absent. The first thing wrong is remembered in wrong, as INVALID_REQUEST.
type query struct {
	values url.Values
	wrong  error
	reads  *reads // where what is asked for is noted (recording.go)
}

func (c *call) query() *query { return &query{values: c.URL.Query(), reads: c.reads} }

func (q *query) refuse(name, want string) {
	if q.wrong == nil {
		q.wrong = invalid("%s must be %s.", name, want)
	}
}

// text is the first value.
func (q *query) text(name string) string {
	q.note(name, aText)
	return strings.TrimSpace(q.values.Get(name))
}

// raw is the first value as sent.
func (q *query) raw(name string) string {
	q.note(name, aText)
	return q.values.Get(name)
}

// texts are all values.
func (q *query) texts(name string) []string {
	q.note(name, aList)
	var all []string
	for _, v := range strings.Split(strings.Join(q.values[name], ","), ",") {
		if v = strings.TrimSpace(v); v != "" {
			all = append(all, v)
		}
	}
	return all
}

// names are all values of a parameter whose values may hold a comma: a value is a name as a whole, or the names between its
// commas; which, is seen when they are compared.
func (q *query) names(name string) []string {
	all := q.texts(name)
	for _, v := range q.values[name] {
		if v = strings.TrimSpace(v); strings.Contains(v, ",") {
			all = append(all, v)
		}
	}
	return all
}

// number is a whole number that is not negative, 0 when absent.
func (q *query) number(name string) int64 {
	q.note(name, aNumber)
	text := q.text(name)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		q.refuse(name, "a number")
		return 0
	}
	return n
}

func (q *query) numbers(name string) []int64 {
	q.note(name, aNumbers)
	var all []int64
	for _, text := range q.texts(name) {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			q.refuse(name, "numbers")
			return nil
		}
		if !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	return all
}

func (q *query) flag(name string, otherwise bool) bool {
	q.note(name, aFlag)
	switch strings.ToLower(q.text(name)) {
	case "":
		return otherwise
	case "true":
		return true
	case "false":
		return false
	}
	q.refuse(name, "true or false")
	return otherwise
}

// page is what part of a list is asked for.
type page struct{ from, most int }

// maxPage is the largest page (design.md section 8).
const maxPage = 1000

// page reads startAt, or what stands for it, and maxResults, of which 0 means the usual.
func (q *query) page(start string, usual int) page {
	return q.bounded(start, q.number(start), q.number("maxResults"), usual)
}

func (q *query) bounded(start string, from, most int64, usual int) page {
	if most < 0 || most > maxPage {
		q.refuse("maxResults", "a number from 1 to "+strconv.Itoa(maxPage))
		most = 0
	}
	if from < 0 || from > 1<<31 {
		q.refuse(start, "a number from 0 to 2147483648")
		from = 0
	}
	if most == 0 {
		most = int64(usual)
	}
	return page{int(from), int(most)}
}

// cut is the page of a list.
func cut[T any](list []T, p page) []T {
	from := min(p.from, len(list))
	return list[from:min(from+p.most, len(list))]
}

// sorted are the records that fit, in order; those that are equal by id.
func sorted[T any](recs []*biobank.Record, fits func(id int64, doc *T) bool, less func(a, b *T) int) ([]*biobank.Record, error) {
	var items []item
	for _, rec := range recs {
		doc, err := biobank.Decode[T](rec)
		if err != nil {
			return nil, err
		}
		if fits(rec.ID, &doc) {
			items = append(items, item{rec, &doc})
		}
	}
	return inOrder(items, func(a, b any) int { return less(a.(*T), b.(*T)) }), nil
}

// item is a record with its document, of whatever type: with a type for each T, each would have its own copy of the sorting.
type item struct {
	rec *biobank.Record
	doc any
}

func inOrder(items []item, less func(a, b any) int) []*biobank.Record {
	slices.SortStableFunc(items, func(a, b item) int {
		if n := less(a.doc, b.doc); n != 0 {
			return n
		}
		return int(a.rec.ID - b.rec.ID)
	})
	out := make([]*biobank.Record, len(items))
	for i := range items {
		out[i] = items[i].rec
	}
	return out
}

// like tells whether a text holds another, or equals it, without regard to case; a blank one is held by all.
func like(text, part string, exact bool) bool {
	if exact && part != "" {
		return biobank.Fold(text) == biobank.Fold(part)
	}
	return strings.Contains(biobank.Fold(text), biobank.Fold(part))
}

// among tells whether a list is blank or holds a text, without regard to case.
func among(list []string, text string) bool {
	return len(list) == 0 || slices.ContainsFunc(list, func(s string) bool { return biobank.Fold(s) == biobank.Fold(text) })
}

func notNamed(code, what, name string) *fault.Fault {
	return fault.New(code, "%s %q was not found.", what, name)
}

// unfinished tells that a forced deletion took too long for one request.
func unfinished() *fault.Fault {
	return fault.New("COMMON_INVALID_INPUT", "There is so much to do that it is not done yet. Send the request again to go on.").WithKind(fault.Busy)
}

// day is a date without a time as yyyy-MM-dd, "" when absent: written so, or as milliseconds.
func (q *query) day(name string) string {
	text := q.text(name)
	if text == "" {
		return ""
	}
	one := input{members: map[string]any{name: text}, wrong: new(error)}
	day := one.day(name)
	if one.err() != nil && q.wrong == nil {
		q.wrong = one.err()
	}
	return day
}
