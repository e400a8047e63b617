package biobank

import (
	"strconv"
	"strings"

	"aliquot/shared/fault"
)

// scheme is a way to label rows or columns (reference openspecimen-rest.md 16.2). Labels are read without regard to case.
type scheme struct {
	name  string
	code  string // of a label that is none
	write func(n int64) string
	read  func(s string) int64 // 0 for what is no label; s is in capitals
	lower bool
}

var schemes = []scheme{
	{name: "Numbers", code: "STORAGE_CONTAINER_INVALID_NUMBER_POSITION", write: numeral, read: unnumeral},
	{name: "Alphabets Upper Case", code: "STORAGE_CONTAINER_INVALID_ALPHA_POSITION", write: letters, read: unletters},
	{name: "Alphabets Lower Case", code: "STORAGE_CONTAINER_INVALID_ALPHA_POSITION", write: letters, read: unletters, lower: true},
	{name: "Roman Upper Case", code: "STORAGE_CONTAINER_INVALID_ROMAN_POSITION", write: roman, read: unroman},
	{name: "Roman Lower Case", code: "STORAGE_CONTAINER_INVALID_ROMAN_POSITION", write: roman, read: unroman, lower: true},
}

func schemeNames() []string {
	names := make([]string, len(schemes))
	for i, s := range schemes {
		names[i] = s.name
	}
	return names
}

func schemeNamed(name string) *scheme {
	for i := range schemes {
		if schemes[i].name == name {
			return &schemes[i]
		}
	}
	return &schemes[0]
}

// label is the n-th label, from 1.
func (s *scheme) label(n int64) string {
	if s.lower {
		return strings.ToLower(s.write(n))
	}
	return s.write(n)
}

// ordinal is the number of a label.
func (s *scheme) ordinal(label string) (int64, error) {
	n := s.read(strings.ToUpper(strings.TrimSpace(label)))
	if n < 1 || n > maxSide {
		return 0, fault.New(s.code, "%q is not a position; the container's positions are labelled with %s.", label, s.name)
	}
	return n, nil
}

func numeral(n int64) string { return strconv.FormatInt(n, 10) }

func unnumeral(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// letters counts A, B, ... Z, AA, AB, ...
func letters(n int64) string {
	var out []byte
	for ; n > 0; n = (n - 1) / 26 {
		out = append([]byte{byte('A' + (n-1)%26)}, out...)
	}
	return string(out)
}

func unletters(s string) int64 {
	var n int64
	for _, r := range s {
		if r < 'A' || r > 'Z' || n > maxSide {
			return 0
		}
		n = n*26 + int64(r-'A'+1)
	}
	return n
}

var numerals = []struct {
	value int64
	text  string
}{
	{1000, "M"},
	{900, "CM"},
	{500, "D"},
	{400, "CD"},
	{100, "C"},
	{90, "XC"},
	{50, "L"},
	{40, "XL"},
	{10, "X"},
	{9, "IX"},
	{5, "V"},
	{4, "IV"},
	{1, "I"},
}

func roman(n int64) string {
	var out strings.Builder
	for _, d := range numerals {
		for ; n >= d.value; n -= d.value {
			out.WriteString(d.text)
		}
	}
	return out.String()
}

// unroman reads what roman writes, and nothing else.
func unroman(s string) int64 {
	rest, n := s, int64(0)
	for _, d := range numerals {
		for strings.HasPrefix(rest, d.text) {
			n, rest = n+d.value, rest[len(d.text):]
		}
	}
	if rest != "" || n > maxSide || roman(n) != s {
		return 0
	}
	return n
}
