package biobank

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
)

// Quantity is an exact amount of a specimen (millilitres, grams, micrograms, a count of cells) in millionths of its unit.
// Amounts that children take from their parent must add up, which binary fractions do not.
type Quantity int64

const (
	quantityDecimals = 6
	quantityUnit     = 1_000_000
	// MaxQuantity is the largest amount, 999,999,999,999.999999; the smallest is its negative.
	MaxQuantity Quantity = 999_999_999_999_999_999
)

// What ParseQuantity finds wrong, as the end of a sentence that names the value's place ("Initial Quantity " + text).
var (
	errQuantityBlank    = errors.New("must be a number, but is blank")
	errQuantityComma    = errors.New("must use a point, not a comma, for decimals and no separators for thousands")
	errQuantityExponent = errors.New("must be written out in full, without an exponent")
	errQuantityDigits   = errors.New("must be a number such as 12 or 0.5")
	errQuantityFraction = errors.New("must have at most 6 decimals")
	errQuantitySize     = errors.New("must be less than 1000000000000")
)

// Q is the amount of n whole units.
func Q(n int64) *Quantity {
	q := Quantity(n * quantityUnit)
	return &q
}

// ParseQuantity reads a plain decimal: digits with an optional sign and at most 6 decimals; zeros after those are fine.
// Exponents, separators and decimal commas are refused, since a guess could be wrong by a thousand. The text of the
// error completes a sentence that begins with the name of the field, and does not repeat the value.
func ParseQuantity(s string) (Quantity, error) {
	digits := s
	negative := false
	if s != "" && (s[0] == '-' || s[0] == '+') {
		negative, digits = s[0] == '-', s[1:]
	}
	var n Quantity
	var seen, dot bool
	decimals := 0
	for i := 0; i < len(digits); i++ {
		c := digits[i]
		switch {
		case c >= '0' && c <= '9':
			seen = true
			if dot {
				if decimals == quantityDecimals {
					if c != '0' {
						return 0, errQuantityFraction
					}
					continue
				}
				decimals++
			}
			n = n*10 + Quantity(c-'0')
			// Bounding the whole units keeps the product with a million inside 64 bits.
			if !dot && n > MaxQuantity/quantityUnit {
				return 0, errQuantitySize
			}
		case c == '.' && !dot:
			dot = true
		default:
			return 0, quantityFault(s, seen, c)
		}
	}
	if !seen {
		return 0, quantityFault(s, false, 0)
	}
	for ; decimals < quantityDecimals; decimals++ {
		n *= 10
	}
	if negative {
		n = -n
	}
	return n, nil
}

// quantityFault tells what is wrong with s, where at is the byte that does not belong (0: none).
func quantityFault(s string, seen bool, at byte) error {
	switch {
	case strings.TrimSpace(s) == "":
		return errQuantityBlank
	case seen && at == ',':
		return errQuantityComma
	case seen && (at == 'e' || at == 'E'):
		return errQuantityExponent
	}
	return errQuantityDigits
}

// String is the shortest decimal that ParseQuantity reads back as q.
func (q Quantity) String() string { return string(q.Append(nil)) }

// Append appends the text of String.
func (q Quantity) Append(b []byte) []byte {
	n := uint64(q)
	if q < 0 {
		b = append(b, '-')
		n = -n
	}
	b = strconv.AppendUint(b, n/quantityUnit, 10)
	fraction := n % quantityUnit
	if fraction == 0 {
		return b
	}
	b = append(b, '.')
	for place := uint64(quantityUnit / 10); fraction > 0; place /= 10 {
		b = append(b, byte('0'+fraction/place))
		fraction %= place
	}
	return b
}

// MarshalJSON writes a JSON number.
func (q Quantity) MarshalJSON() ([]byte, error) { return q.Append(nil), nil }

// UnmarshalJSON reads a JSON number, or one in quotes as the reference's clients send it. null leaves q as it is. Unlike
// in a cell an exponent is accepted, since JSON encoders write 0.00001 as 1e-05, and so are more than 6 decimals, since
// clients compute: what is finer than a millionth is cut off, so that the three parts of 10/3 are no more than 10. Nines to
// the end stand for the next millionth: 0.3-0.1 is 0.19999999999999998 to a computer.
func (q *Quantity) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	text := string(bytes.Trim(b, `"`))
	if strings.Trim(text, "+-.0123456789") != "" && strings.Trim(text, "+-.0123456789eE") == "" {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return errQuantityDigits
		}
		text = strconv.FormatFloat(f, 'f', -1, 64)
	}
	v, err := ParseQuantity(text)
	if errors.Is(err, errQuantityFraction) {
		v, err = cutQuantity(text)
	}
	if err != nil {
		return err
	}
	*q = v
	return nil
}

// cutQuantity reads a plain decimal with more than 6 decimals.
func cutQuantity(text string) (Quantity, error) {
	end := strings.IndexByte(text, '.') + 1 + quantityDecimals
	v, err := ParseQuantity(text[:end])
	rest := text[end:]
	if strings.Trim(rest, "0123456789") != "" {
		return 0, errQuantityDigits
	}
	if nines := rest[:min(4, len(rest)-1)]; nines != "" && strings.Trim(nines, "9") == "" { // the last digit is rounded
		if text[0] == '-' {
			v--
		} else {
			v++
		}
	}
	if v > MaxQuantity || v < -MaxQuantity {
		return 0, errQuantitySize
	}
	return v, err
}
