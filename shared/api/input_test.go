package api

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/fault"
)

func TestBodiesThatAreRefused(t *testing.T) {
	tests := map[string]string{
		"nothing":                   ``,
		"not JSON":                  `name=x`,
		"an array":                  `[{"name":"x"}]`,
		"a text":                    `"x"`,
		"cut off":                   `{"name":"x"`,
		"something behind":          `{"name":"x"} {"name":"y"}`,
		"a brace behind":            `{"name":"x"}}`,
		"two members of one name":   `{"name":"x","name":"y"}`,
		"the same, further down":    `{"o":{"a":1,"a":2}}`,
		"nested too deep":           `{"a":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `}`,
		"nested a million times":    `{"a":` + strings.Repeat("[", 1_000_000),
		"not UTF-8":                 "{\"name\":\"\xff\"}",
		"half a character":          `{"name":"\ud83d"}`,
		"the halves swapped":        `{"name":"\ude00\ud83d"}`,
		"a text for an object":      `{"object":"x"}`,
		"an object for an array":    `{"objects":{"name":"x"}}`,
		"a text for an array":       `{"objects":"x"}`,
		"texts in an array":         `{"objects":["x"]}`,
		"an object for a text":      `{"text":{}}`,
		"an array for a number":     `{"number":[1]}`,
		"a fraction":                `{"number":1.5}`,
		"beyond 63 bits":            `{"number":9223372036854775808}`,
		"beyond a float":            `{"number":1e400}`,
		"not a number":              `{"number":NaN}`,
		"a word for a number":       `{"number":"three"}`,
		"a word for a flag":         `{"flag":"yes"}`,
		"a number for a flag":       `{"flag":1}`,
		"a word for a date":         `{"day":"soon"}`,
		"a day that does not exist": `{"day":"2023-02-29"}`,
		"a time beyond the years":   `{"day":99999999999999999}`,
		"beyond what is measured":   `{"quantity":1e400}`,
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			in, err := decode([]byte(body))
			if err == nil {
				in.text("text")
				in.number("number")
				in.flag("flag")
				in.day("day")
				in.quantity("quantity")
				in.object("object")
				in.objects("objects")
				err = in.err()
			}
			if !fault.Is(err, "INVALID_REQUEST") {
				t.Fatalf("got %v, want INVALID_REQUEST", err)
			}
			if words := forbidden(fault.All(err)[0].Message); words != "" {
				t.Errorf("the message has the word %q", words)
			}
		})
	}
}

func TestCoercion(t *testing.T) {
	type got struct {
		Text, Day        string
		Number, Millis   int64
		Flag             bool
		Quantity         string
		Texts            []string
		Objects          int
		ObjectsAreAbsent bool
	}
	tests := map[string]struct {
		body string
		want got
	}{
		"absent": {`{}`, got{ObjectsAreAbsent: true}},
		"null": {
			`{"text":null,"day":null,"number":null,"millis":null,"flag":null,"quantity":null,"texts":null,"objects":null}`,
			got{Texts: []string{}},
		},
		"blank": {`{"text":" ","day":"","number":"","millis":"","flag":"","quantity":"","objects":[]}`, got{}},
		"as they are": {
			`{"text":"a b","day":"2021-02-24","number":3,"millis":1614124800001,"flag":true,"quantity":0.5,"texts":["x"],"objects":[{},{}]}`,
			got{Text: "a b", Day: "2021-02-24", Number: 3, Millis: 1614124800001, Flag: true, Quantity: "0.5", Texts: []string{"x"}, Objects: 2},
		},
		"as texts": {
			`{"text":3457,"day":1614124800000,"number":"3","millis":"2021-02-24","flag":"True","quantity":"1.25"}`,
			got{Text: "3457", Day: "2021-02-24", Number: 3, Millis: 1614124800000, Flag: true, Quantity: "1.25", ObjectsAreAbsent: true},
		},
		"odd but whole": {
			`{"day":"2021-02-24T23:30:00+01:00","number":9007199254740993,"millis":"1614124800000","quantity":1e-05}`,
			got{Day: "2021-02-24", Number: 9007199254740993, Millis: 1614124800000, Quantity: "0.00001", ObjectsAreAbsent: true},
		},
		"another case, unknown members": {
			`{"TEXT":"x","Number":7,"nobody":{"knows":[1]},"number":3.0}`,
			got{Number: 3, ObjectsAreAbsent: true},
		},
		"escapes": {`{"text":"\ud83d\ude00\\ud83d \u00e4"}`, got{Text: `😀\ud83d ä`, ObjectsAreAbsent: true}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			in, err := decode([]byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			objects := in.objects("objects")
			got := got{
				Text: in.text("text"), Day: in.day("day"), Number: in.number("number"), Millis: in.millis("millis"),
				Flag: in.flag("flag"), Texts: in.texts("texts"), Objects: len(objects), ObjectsAreAbsent: objects == nil,
			}
			if q := in.quantity("quantity"); q != nil {
				got.Quantity = q.String()
			}
			if err := in.err(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// forbidden finds a word that clients take for a crash (reference openspecimen-rest.md 23.1).
func forbidden(text string) string {
	for _, word := range []string{"error", "exception", "sql", "stack trace", "jdbc"} {
		if strings.Contains(strings.ToLower(text), word) {
			return word
		}
	}
	return ""
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"a":[1,"2",{"b":null}],"c":"\ud83d\ude00"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		in, err := decode(body)
		if err != nil {
			if !fault.Is(err, "INVALID_REQUEST") {
				t.Errorf("got %v, want INVALID_REQUEST", err)
			}
			return
		}
		for name := range in.members {
			in.text(name)
			in.number(name)
			in.millis(name)
			in.quantity(name)
			in.textMap(name)
			in.objects(name)
		}
	})
}

func TestZonesOfDates(t *testing.T) {
	for _, text := range []string{
		"2026-01-05T09:30+01:00", "2026-01-05T09:30+0100", "2026-01-05T09:30+01", "2026-01-05T08:30Z", "2026-01-05T09:30:00+01:00",
		"2026-01-05T09:30:00+0100", "2026-01-05T09:30:00+01", "2026-01-05T09:30:00.000+01", "2026-01-05T09:30:00.000+0100",
	} {
		in, err := decode([]byte(`{"at":"` + text + `"}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := in.millis("at"); got != 1767601800000 || in.err() != nil {
			t.Errorf("%s is %d, %v", text, got, in.err())
		}
	}
}
