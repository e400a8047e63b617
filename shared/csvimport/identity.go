package csvimport

import (
	"bytes"
	"slices"
	"strconv"
	"unicode"
	"unicode/utf8"

	"aliquot/shared/biobank"
)

// identityKey is the columns that together name an object.
type identityKey struct {
	tag      string // what is named: two keys with one tag name the same thing when their texts agree
	own      bool   // the row creates or changes it; otherwise it refers to it
	captions []string
	record   string // the numbered record of which the captions are members, if any
	scoped   bool   // within the protocol
	primary  bool   // only where the row is about a participant: its lineage is blank or New
	// unnamed is the column of the row's own name: the key counts only where that is blank, so that the rows whose names
	// are counted under one parent stay together.
	unnamed string
	// lane are the columns of a place within what is named. A row that leaves them blank takes the next free place: the rows
	// about one such thing are done by one worker, in the order of the file, but not one by one.
	lane []string
	// joins keeps the rows that share the key with one worker, and says no more: their order is that of their lane.
	joins bool
	// list: the cell of the one caption names several, parted by commas.
	list bool
}

type boundKey struct {
	seed    uint64
	cells   []int
	own     bool
	scoped  bool
	primary bool
	unnamed int // the cell that must be blank, -1: none
	lane    bool
	joins   bool
	list    bool
	places  []int // the cells of the place, for a lane
}

// Identity is what a row is about, as hashes: equal names give equal hashes, in every file and process, so hashes of the
// plan and the chunks agree. Unequal names may (once in some billions) give equal ones, and names that differ only in
// case do; so an equal hash is a reason to keep rows in order, not a proof that they are about one thing.
type Identity struct {
	Own  []uint64 // what the row creates or changes
	Refs []uint64 // what it names besides
	// Joins are the places that it takes, by which rows stay with one worker.
	Joins []uint64
	// Lane is the hash of what the row takes a place in, 0 for nothing; Taker is its name, and Open tells that the row takes
	// the next free place.
	Lane  uint64
	Taker []byte
	Open  bool
}

// Identity appends the hashes of a row to ids.
func (b *Binding) Identity(cells [][]byte, ids *Identity) {
	ids.Joins, ids.Lane, ids.Taker, ids.Open = ids.Joins[:0], 0, nil, false
	primary := true
	if raw, s := cellAt(cells, b.lineage); s == given {
		primary = bytes.EqualFold(raw, []byte(biobank.LineageNew))
	}
keys:
	for i := range b.keys {
		k := &b.keys[i]
		if k.primary && !primary {
			continue
		}
		if _, s := cellAt(cells, k.unnamed); s == given {
			continue
		}
		if k.list {
			raw, s := cellAt(cells, k.cells[0])
			if s != given {
				continue
			}
			for item := range bytes.SplitSeq(raw, []byte{','}) {
				ids.Own = append(ids.Own, mix(hashByte(hashFolded(k.seed, bytes.TrimSpace(item)), 0)))
			}
			continue
		}
		h := k.seed
		if k.scoped {
			h = b.hashProtocol(h, cells)
		}
		for _, cell := range k.cells {
			raw, s := cellAt(cells, cell)
			if s != given {
				continue keys
			}
			h = hashByte(hashFolded(h, raw), 0)
		}
		if h = mix(h); k.lane {
			ids.Lane, ids.Open = h, true
			ids.Taker, _ = cellAt(cells, k.cells[0])
			for _, cell := range k.places {
				if _, s := cellAt(cells, cell); s == given {
					ids.Open = false
				}
			}
		} else if k.joins {
			ids.Joins = append(ids.Joins, h)
		} else if k.own {
			ids.Own = append(ids.Own, h)
		} else {
			ids.Refs = append(ids.Refs, h)
		}
	}
}

// hashProtocol takes the protocol in. All rows of a job that lies in a protocol share it.
func (b *Binding) hashProtocol(h uint64, cells [][]byte) uint64 {
	if b.protocolID > 0 {
		return h
	}
	if raw, s := cellAt(cells, b.protocol); s == given {
		h = hashFolded(h, raw)
	}
	return hashByte(h, 0)
}

// bindKeys finds the cells of the keys. lineage is set to the cell that tells primary rows.
func (s *Schema) bindKeys(h *header, lineage *int) []boundKey {
	var keys []boundKey
	add := func(k identityKey, prefix string) {
		b := boundKey{seed: hashTag(k.tag), own: k.own, scoped: k.scoped, primary: k.primary, unnamed: -1, lane: k.lane != nil, joins: k.joins, list: k.list}
		for _, caption := range k.lane {
			b.places = append(b.places, h.find(caption))
		}
		if k.unnamed != "" {
			b.unnamed = h.find(k.unnamed)
		}
		for _, caption := range k.captions {
			cell := h.find(prefix + caption)
			if cell < 0 {
				cell = h.findAlias(s.columns, caption)
			}
			if cell < 0 {
				return
			}
			b.cells = append(b.cells, cell)
		}
		keys = append(keys, b)
	}
	for _, k := range s.keys {
		if !k.own && !slices.ContainsFunc(s.keys, func(o identityKey) bool { return o.own && o.tag == k.tag }) {
			continue // no row of this type makes what the column names
		}
		if k.primary {
			*lineage = h.find(captionLineage)
		}
		if k.record == "" {
			add(k, "")
			continue
		}
		cells := h.takeNumbered(column{caption: k.record, members: k.captions})
		for n := 1; n <= len(cells)/len(k.captions); n++ {
			add(k, k.record+"#"+strconv.Itoa(n)+"#")
		}
	}
	return keys
}

func hashByte(h uint64, b byte) uint64 { return (h ^ uint64(b)) * fnvPrime }

func hashTag(tag string) uint64 {
	h := uint64(fnvOffset)
	for i := range len(tag) {
		h = hashByte(h, tag[i])
	}
	return hashByte(h, 0)
}

func hashFolded(h uint64, text []byte) uint64 {
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			if c >= 'A' && c <= 'Z' {
				c += 'a' - 'A'
			}
			h = hashByte(h, c)
			i++
			continue
		}
		r, n := utf8.DecodeRune(text[i:])
		var buf [utf8.UTFMax]byte
		for _, c := range buf[:utf8.EncodeRune(buf[:], unicode.ToLower(r))] {
			h = hashByte(h, c)
		}
		i += n
	}
	return h
}

// mix spreads the hash over all bits, for those who use only some.
func mix(h uint64) uint64 {
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	h ^= h >> 32
	return h
}
