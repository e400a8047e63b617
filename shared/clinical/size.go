package clinical

import (
	"encoding/json"
	"fmt"
	"maps"
)

// A record is an item of the store, which takes 400 KB, and its change an audit entry with what was and what is. What comes
// with an import is therefore held to less than half of that, when it is planned: a row fails, never a write.

const (
	// maxRecord is the most bytes of an item group's repeat, or of an event's occurrence, encoded.
	maxRecord = 180 << 10
	// escaped is how many bytes JSON makes of one, at the most.
	escaped = 6
)

// size is how many bytes a document has as it is stored.
func size(doc any) int {
	b, err := json.Marshal(doc)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", doc, err)) // documents hold texts, numbers and flags
	}
	return len(b)
}

// takes tells whether a value, with the key of its file, fits into a repeat of an item group. What it may come to at the most
// is added up; only where that is too much is it measured.
func takes(h *held[Group], oid, value, file string) bool {
	if h.size == 0 {
		h.size = size(h.doc)
	}
	h.size += escaped*(2*len(oid)+len(value)+len(file)) + len(`"":"","":"",`)
	if h.size <= maxRecord {
		return true
	}
	next := *h.doc
	next.Values, next.Files = maps.Clone(next.Values), maps.Clone(next.Files)
	next.put(oid, value, file)
	if n := size(next); n <= maxRecord {
		h.size = n
		return true
	}
	return false
}

// holds tells whether more notes fit into a thread, which may be new.
func holds(stored *held[Thread], more []Child) bool {
	n := size(more)
	if stored != nil {
		n += size(stored.doc)
	}
	return n <= fullNote
}
