package csvimport

import (
	"slices"
	"sort"

	"aliquot/shared/fault"
)

// maxMixed is the most rows of a file that are done one after the other because they find their records in different ways:
// some by the identifier, some by the label. Which of them are about one record only the records tell.
const maxMixed = 5_000

// mixedKey is what all rows of such a file share.
const mixedKey = 1

// rowKey is a hash of something that a row is about, with the row: 12 bytes, since a plan holds one or two for every row
// of the file.
type rowKey struct {
	hi, lo uint32
	row    uint32 // the top bit tells that the row creates or changes the thing
}

const ownBit = 1 << 31

func newRowKey(hash uint64, row uint32, own bool) rowKey {
	if own {
		row |= ownBit
	}
	return rowKey{uint32(hash >> 32), uint32(hash), row}
}

func (k rowKey) at() uint32 { return k.row &^ ownBit }

func (k rowKey) hash() uint64 { return uint64(k.hi)<<32 | uint64(k.lo) }

// link finds the rows that belong together: those that share a thing that at least one of them creates or changes. Where
// they lie in different chunks they go into a lane: one chunk, so one worker, for all of them, with everything that they
// in turn belong to. A lane of more than maxLane rows fails the file.
func (s *scan) link() error {
	if s.head.Mixed = s.head.Mixed && s.head.Rows <= maxMixed; s.head.Mixed {
		for row := range uint32(s.head.Rows) {
			s.keys = append(s.keys, newRowKey(mixedKey, row, true))
		}
	}
	slices.SortFunc(s.keys, func(a, b rowKey) int {
		switch ah, bh := a.hash(), b.hash(); {
		case ah < bh:
			return -1
		case ah > bh:
			return 1
		}
		return int(int64(a.at()) - int64(b.at()))
	})
	var sets *sets
	for from := 0; from < len(s.keys); {
		to, owned := from, false
		for ; to < len(s.keys) && s.keys[to].hash() == s.keys[from].hash(); to++ {
			owned = owned || s.keys[to].row&ownBit != 0
		}
		if owned && to-from > 1 && s.keys[to-1].at() != s.keys[from].at() {
			if sets == nil {
				sets = newSets(int(s.head.Rows))
			}
			for i := from + 1; i < to; i++ {
				sets.join(s.keys[from].at(), s.keys[i].at())
			}
		}
		from = to
	}
	s.keys = nil
	if sets == nil {
		return nil
	}
	return s.split(sets)
}

// maxLane is the most rows that may hang together across chunks: one worker holds them all in memory.
const maxLane = 30_000

// split marks the chunks whose rows depend on one another, and makes lanes of the sets that span chunks.
func (s *scan) split(sets *sets) error {
	chunkOf := func(row uint32) int {
		return sort.Search(len(s.spans), func(i int) bool { return s.spans[i].First-1 > int64(row) }) - 1
	}
	rows := uint32(s.head.Rows)
	spanning := make([]uint64, (rows+63)/64) // a bit for each set, at its root
	at := 0
	for row := range rows {
		for at+1 < len(s.spans) && int64(row) >= s.spans[at+1].First-1 {
			at++
		}
		root := sets.find(row)
		if root == row {
			continue
		}
		if chunkOf(root) == at {
			s.spans[at].Linked = true
		} else {
			spanning[root/64] |= 1 << (root % 64)
		}
	}
	lanes := map[uint32][]uint32{}
	var roots []uint32
	for row := range rows {
		root := sets.find(row)
		if spanning[root/64]&(1<<(root%64)) == 0 {
			continue
		}
		if lanes[root] == nil {
			roots = append(roots, root)
		}
		if lanes[root] = append(lanes[root], row); len(lanes[root]) > maxLane {
			return fault.New("IMPORT_JOB_RECORD_PARSE_ERROR",
				"More than %d rows hang together with data row %d: they name the same label, barcode, identifier, PPID or parent. Correct the column, or split the file.",
				maxLane, root+1)
		}
		s.lane = append(s.lane, row)
	}
	// Whole lanes fill chunks, in the order of their first rows, so that a chunk reads neighbouring parts of the file.
	var chunk []uint32
	for _, root := range roots {
		if len(chunk) > 0 && len(chunk)+len(lanes[root]) > s.im.Config.ChunkRows {
			s.lanes = append(s.lanes, chunk)
			chunk = nil
		}
		chunk = append(chunk, lanes[root]...)
	}
	if len(chunk) > 0 {
		s.lanes = append(s.lanes, chunk)
	}
	return nil
}

// sets are disjoint sets of rows; a set's root is its lowest row.
type sets struct{ up []uint32 }

func newSets(n int) *sets {
	s := &sets{up: make([]uint32, n)}
	for i := range s.up {
		s.up[i] = uint32(i)
	}
	return s
}

func (s *sets) find(row uint32) uint32 {
	for s.up[row] != row {
		s.up[row] = s.up[s.up[row]]
		row = s.up[row]
	}
	return row
}

func (s *sets) join(a, b uint32) {
	a, b = s.find(a), s.find(b)
	if a < b {
		s.up[b] = a
	} else {
		s.up[a] = b
	}
}

// wave is rows that do not depend on each other.
type wave struct {
	rows []int
	// settled tells that a row changes what an earlier one has named as its parent: what it took must be off by then.
	settled bool
}

// order is the order in which a chunk's rows are done: waves of rows that do not depend on each other. The outcome is that
// of the rows done one after the other in the file's order, but for one thing: a row that names what only a later row
// creates comes right after that row (with creates; an update creates nothing).
//
// Rows that change the same things, directly or by way of others, go one after the other: a row may free a name that it
// does not mention. own and refs are each row's hashes; a wave holds the rows' indices.
//
// Rows that take places in one thing (lane, 0 for none) share waves, but none goes before an earlier one.
func order(own, refs [][]uint64, lane []uint64, creates bool) []wave {
	first := map[uint64]int{} // the first row that creates or changes a thing
	groups := newSets(len(own))
	for i := range own {
		for _, h := range own[i] {
			if f, ok := first[h]; ok {
				groups.join(uint32(f), uint32(i))
			} else {
				first[h] = i
			}
		}
	}
	members := make([][]int, len(own)) // of each group, at its root, in the file's order
	for i := range own {
		root := groups.find(uint32(i))
		members[root] = append(members[root], i)
	}
	// A row's wave is the first after those of the rows before it that it must see, or that must not see it.
	written := make([]int, len(own)) // the wave after the last that changes a group's things
	read := make([]int, len(own))    // and after the last that names them
	var waves []wave
	last := map[uint64]int{} // by lane, the wave of its last row
	place := func(i int) {
		group := groups.find(uint32(i))
		at := max(written[group], read[group])
		if lane[i] != 0 {
			at = max(at, last[lane[i]])
		}
		for _, h := range refs[i] {
			if f, ok := first[h]; ok {
				at = max(at, written[groups.find(uint32(f))])
			}
		}
		if at == len(waves) {
			waves = append(waves, wave{})
		}
		if lane[i] != 0 {
			last[lane[i]] = at
		}
		w := &waves[at]
		w.rows = append(w.rows, i)
		w.settled = w.settled || read[group] > 0
		written[group] = at + 1
		for _, h := range refs[i] {
			if f, ok := first[h]; ok && f != i {
				of := groups.find(uint32(f))
				read[of] = max(read[of], at+1)
			}
		}
	}
	// Rows are placed in the file's order; creators that stand later are placed before the row that names them, and with
	// them the earlier rows about the same things.
	begun := make([]bool, len(own))
	next := make([]int, len(own)) // of each group, the first member that has not begun
	var visit func(i int)
	visit = func(i int) {
		if begun[i] {
			return // placed, or on the way: two rows that name each other are left in the file's order
		}
		begun[i] = true
		group := groups.find(uint32(i))
		for n := &next[group]; members[group][*n] < i; {
			*n++
			visit(members[group][*n-1])
		}
		for _, h := range refs[i] {
			if f, ok := first[h]; ok && creates && f > i {
				visit(f)
			}
		}
		place(i)
	}
	for i := range own {
		visit(i)
	}
	return waves
}
