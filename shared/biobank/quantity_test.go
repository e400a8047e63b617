package biobank

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestParseQuantity(t *testing.T) {
	tests := []struct {
		text string
		want Quantity
		err  error
	}{
		{"", 0, errQuantityBlank},
		{"  ", 0, errQuantityBlank},
		{"-", 0, errQuantityDigits},
		{".", 0, errQuantityDigits},
		{"+.", 0, errQuantityDigits},
		{"--1", 0, errQuantityDigits},
		{"1-", 0, errQuantityDigits},
		{"1.2.3", 0, errQuantityDigits},
		{" 1", 0, errQuantityDigits},
		{"1 ml", 0, errQuantityDigits},
		{"abc", 0, errQuantityDigits},
		{"NaN", 0, errQuantityDigits},
		{"0x10", 0, errQuantityDigits},
		{"e3", 0, errQuantityDigits},
		{",5", 0, errQuantityDigits},
		{"1,5", 0, errQuantityComma},
		{"1,000.5", 0, errQuantityComma},
		{"1e3", 0, errQuantityExponent},
		{"1.5E-3", 0, errQuantityExponent},
		{"0.0000001", 0, errQuantityFraction},
		{"1.1234567", 0, errQuantityFraction},
		{"1000000000000", 0, errQuantitySize},
		{"-1000000000000", 0, errQuantitySize},
		{"9223372036854775808", 0, errQuantitySize},
		{strings.Repeat("9", 400), 0, errQuantitySize},
		{"0", 0, nil},
		{"-0", 0, nil},
		{"3", 3_000_000, nil},
		{"+3", 3_000_000, nil},
		{"0003", 3_000_000, nil},
		{"3.", 3_000_000, nil},
		{".5", 500_000, nil},
		{"-1.25", -1_250_000, nil},
		{"0.000001", 1, nil},
		{"1.5000000000", 1_500_000, nil},
		{"999999999999.999999", MaxQuantity, nil},
		{"-999999999999.999999", -MaxQuantity, nil},
	}
	for _, test := range tests {
		got, err := ParseQuantity(test.text)
		if got != test.want || err != test.err { //nolint:errorlint // the very text matters
			t.Errorf("ParseQuantity(%q) = %d, %v; want %d, %v", test.text, got, err, test.want, test.err)
		}
	}
}

func TestQuantityTextIsShortest(t *testing.T) {
	for q, want := range map[Quantity]string{
		0: "0", 1: "0.000001", -1: "-0.000001", 1_000_000: "1", 1_500_000: "1.5", -250_000: "-0.25", 10_000_010: "10.00001",
		MaxQuantity: "999999999999.999999", -MaxQuantity: "-999999999999.999999",
	} {
		if got := q.String(); got != want {
			t.Errorf("%d is %q, want %q", int64(q), got, want)
		}
	}
}

func TestQuantityInJSON(t *testing.T) {
	type amount struct {
		Qty *Quantity `json:"qty,omitempty"`
	}
	tests := []struct{ in, out string }{
		{`{"qty":1.5}`, `{"qty":1.5}`},
		{`{"qty":"3"}`, `{"qty":3}`},
		{`{"qty":1e-05}`, `{"qty":0.00001}`},
		{`{"qty":1E+3}`, `{"qty":1000}`},
		{`{"qty":0}`, `{"qty":0}`},
		{`{"qty":3.3333333333333335}`, `{"qty":3.333333}`},
		{`{"qty":1.6666666666666667}`, `{"qty":1.666666}`},
		{`{"qty":0.19999999999999998}`, `{"qty":0.2}`},
		{`{"qty":-0.19999999999999998}`, `{"qty":-0.2}`},
		{`{"qty":0.30000000000000004}`, `{"qty":0.3}`},
		{`{"qty":123456789.09999999}`, `{"qty":123456789.1}`},
		{`{"qty":0.09999999999999987}`, `{"qty":0.1}`},
		{`{"qty":0.1234569}`, `{"qty":0.123456}`},
		{`{"qty":1.23456789e-05}`, `{"qty":0.000012}`},
		{`{"qty":1e-9}`, `{"qty":0}`},
		{`{"qty":"0.00000001"}`, `{"qty":0}`},
		{`{"qty":null}`, `{}`},
		{`{}`, `{}`},
	}
	for _, test := range tests {
		var a amount
		if err := json.Unmarshal([]byte(test.in), &a); err != nil {
			t.Errorf("decode %s: %v", test.in, err)
			continue
		}
		if out, err := json.Marshal(a); err != nil || string(out) != test.out {
			t.Errorf("%s comes back as %s, %v; want %s", test.in, out, err, test.out)
		}
	}
	for _, in := range []string{
		`{"qty":""}`, `{"qty":"1,5"}`, `{"qty":true}`, `{"qty":{}}`, `{"qty":1e400}`, `{"qty":1e13}`,
		`{"qty":"1.2345678x"}`, `{"qty":"1.2345678.9"}`, `{"qty":"0x1ep2"}`, `{"qty":"1.2345678-"}`, `{"qty":999999999999.9999999999}`,
		`{"qty":"1e999999999"}`,
	} {
		var a amount
		if err := json.Unmarshal([]byte(in), &a); err == nil {
			t.Errorf("decode %s gives %v, want a refusal", in, *a.Qty)
		}
	}
}

func FuzzQuantity(f *testing.F) {
	for _, s := range []string{"0", "-1.25", "999999999999.999999", "1,5", "1e3", ".", "0.0000010"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := ParseQuantity(s)
		if err != nil {
			return
		}
		again, err := ParseQuantity(q.String())
		if err != nil || again != q {
			t.Errorf("%q is %v, whose text is read as %v, %v", s, q, again, err)
		}
		if q > MaxQuantity || q < -MaxQuantity {
			t.Errorf("%q is %v, beyond the limit", s, q)
		}
	})
}
