package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestSizeOfAnItem(t *testing.T) {
	for _, c := range []struct {
		name, item string
		want       int
	}{
		{"text by its bytes", `{"pk":{"S":"zoë"}}`, 2 + 4},
		{"blank text", `{"pk":{"S":""}}`, 2},
		{"one digit", `{"n":{"N":"7"}}`, 1 + 2},
		{"two digits", `{"n":{"N":"42"}}`, 1 + 2},
		{"three digits", `{"n":{"N":"421"}}`, 1 + 3},
		{"zeros at the end are not significant", `{"n":{"N":"4200000"}}`, 1 + 2},
		{"zero", `{"n":{"N":"0"}}`, 1 + 1},
		{"negative", `{"n":{"N":"-42"}}`, 1 + 3},
		{"truth value", `{"halt":{"BOOL":false}}`, 4 + 1},
		{"several", `{"pk":{"S":"a"},"ver":{"N":"1"}}`, 2 + 1 + 3 + 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			var it item
			if err := json.Unmarshal([]byte(c.item), &it); err != nil {
				t.Fatal(err)
			}
			got, err := it.size()
			if err != nil || got != c.want {
				t.Errorf("size %d, %v; want %d", got, err, c.want)
			}
		})
	}
	for _, doc := range []string{`{"n":{"N":"1.5"}}`, `{"n":{"N":"1e3"}}`, `{"l":{"L":[]}}`} {
		var it item
		if err := json.Unmarshal([]byte(doc), &it); err != nil {
			t.Fatal(err)
		}
		if n, err := it.size(); err == nil {
			t.Errorf("size of %s is %d, want none", doc, n)
		}
	}
}

func TestUnitsAreRoundedUp(t *testing.T) {
	for size, want := range map[int]float64{0: 1, 1: 1, 1024: 1, 1025: 2, 2048: 2} {
		if got := writeUnits(size); got != want {
			t.Errorf("writing %d bytes: %v units, want %v", size, got, want)
		}
	}
	for size, want := range map[int]float64{0: 1, 4096: 1, 4097: 2} {
		if got := readUnits(size, true); got != want {
			t.Errorf("reading %d bytes strongly: %v units, want %v", size, got, want)
		}
		if got := readUnits(size, false); got != want/2 {
			t.Errorf("reading %d bytes: %v units, want %v", size, got, want/2)
		}
	}
}

func text(s string) value { return value{S: &s} }

// newStandIn is an endpoint with a specimen of 1,000 bytes in partition cp#1#0.
func newStandIn() *endpoint {
	n := "1"
	e := &endpoint{texts: map[string]*statement{}, endpointSpec: endpointSpec{
		StandIn: true, Jobs: "jobs", Specimen: item{
			"pk": text("cp#1#0"), "sk": text("0000000001/0000000001/0000000001"), "num": value{N: &n},
			"doc": text(label(1) + strings.Repeat("x", 1000-len(label(1))-2-6-2-32-3-2-3)),
		},
	}}
	e.reset()
	return e
}

func TestBatchOfStatements(t *testing.T) {
	e := newStandIn()
	size, err := e.Specimen.size()
	if err != nil || size != 1000 {
		t.Fatalf("the specimen has %d bytes, %v", size, err)
	}
	answer, err := e.statements([]byte(`{"Statements":[
		{"Statement":"INSERT INTO \"records\" VALUE {'pk':?,'sk':'=','num':?}","Parameters":[{"S":"a"},{"N":"1"}]},
		{"Statement":"INSERT INTO \"records\" VALUE {'pk':?,'made':?}","Parameters":[{"S":"` + strings.Repeat("y", 1024) + `"},{"N":"1"}]},
		{"Statement":"UPDATE \"records\" SET doc=?, why=? WHERE pk=? AND sk=? AND ver=?","Parameters":[{"S":"short"},{"S":"a"},{"S":"cp#1#0"},{"S":"0000000001/0000000001/0000000002"},{"N":"1"}]},
		{"Statement":"UPDATE \"records\" SET why=? WHERE pk=? AND sk=?","Parameters":[{"S":"` + strings.Repeat("z", 22) + `"},{"S":"cp#1#0"},{"S":"0000000001/0000000001/0000000002"}]},
		{"Statement":"UPDATE \"jobs\" SET lease=? WHERE pk=?","Parameters":[{"N":"1"},{"S":"job#1"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	var told struct {
		Responses []struct{ TableName string }
	}
	if err := json.Unmarshal(answer, &told); err != nil || len(told.Responses) != 5 || told.Responses[4].TableName != "jobs" {
		t.Errorf("answer %s, %v", answer, err)
	}
	// 1 for the small item, 2 for the one over 1 KB, 1 for an update by the size before, 2 by the size after, 1 for the lease.
	if e.counts.WriteUnits != 7 || e.counts.Records != 1 {
		t.Errorf("counted %+v", e.counts)
	}
	for _, unknown := range []string{
		`{"Statements":[{"Statement":"DELETE FROM \"records\" WHERE pk=?","Parameters":[{"S":"a"}]}]}`,
		`{"Statements":[{"Statement":"INSERT INTO \"records\" VALUE {'pk':?}","Parameters":[]}]}`,
		`{"Statements":[{"Statement":"UPDATE \"records\" SET a=? WHERE pk=? AND sk=?","Parameters":[{"S":"a"},{"S":"b"},{"S":"c"}]}]}`,
	} {
		if _, err := e.statements([]byte(unknown)); err == nil {
			t.Errorf("took %s", unknown)
		}
	}
}
