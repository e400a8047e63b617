package main

import (
	"fmt"
	"strings"
)

// value is an attribute value as it is on the wire, of the types that Aliquot stores.
type value struct {
	S    *string `json:",omitempty"`
	N    *string `json:",omitempty"`
	BOOL *bool   `json:",omitempty"`
}

// item is a stored item.
type item map[string]value

// size is what DynamoDB counts of a value: a text by its bytes in UTF-8, a number by two digits a byte and one byte
// besides (one more when it is negative), a truth value 1.
func (v value) size() (int, error) {
	switch {
	case v.S != nil:
		return len(*v.S), nil
	case v.N != nil:
		digits := strings.TrimLeft(strings.TrimPrefix(*v.N, "-"), "0")
		if strings.ContainsAny(digits, ".eE") {
			return 0, fmt.Errorf("the size of number %s is not known here", *v.N)
		}
		n := (len(strings.TrimRight(digits, "0"))+1)/2 + 1
		if strings.HasPrefix(*v.N, "-") {
			n++
		}
		return n, nil
	case v.BOOL != nil:
		return 1, nil
	}
	return 0, fmt.Errorf("a value of a type whose size is not known here")
}

// size is that of the names and values of an item.
func (it item) size() (int, error) {
	total := 0
	for name, v := range it {
		n, err := v.size()
		if err != nil {
			return 0, err
		}
		total += len(name) + n
	}
	return total, nil
}

// writeUnits is what writing an item costs: 1 for each KB begun.
func writeUnits(size int) float64 { return float64(max(1, (size+1023)/1024)) }

// readUnits is what reading an item by its key costs: 1 for each 4 KB begun, half when it is not read strongly. An item
// that is not there costs as much as a small one.
func readUnits(size int, strong bool) float64 {
	units := float64(max(1, (size+4095)/4096))
	if !strong {
		units /= 2
	}
	return units
}
