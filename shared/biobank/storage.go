package biobank

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"aliquot/shared/fault"
)

// Taking and leaving cells. Whoever takes a cell claims its mark together with the record that says so; the next free
// cell is looked for among the marks of the container, and looked for again when somebody else was faster.

// occupantRef is who takes or leaves a cell.
type occupantRef struct {
	typ Type
	key Key
	id  int64
	// has are cells that are the occupant's already.
	has []*Location
}

func (who occupantRef) holds(at Location) bool {
	return slices.ContainsFunc(who.has, func(own *Location) bool { return own != nil && *own == at })
}

// stock is what a batch knows about the cells of a container: its marks, and what the batch itself has planned.
type stock struct {
	marks map[Location]Mark
	// missed is how often somebody else took the cell that was next.
	missed int
	// sure tells that leftovers were sorted out.
	sure bool
	// first is the number of the first cell that may be free.
	first int64
}

// seat is a cell that a change of the group takes.
type seat struct {
	row, try int // in which try of the group the change was planned
	at       Location
	was      Mark // that the stock knew of the cell before
}

// unsure tells whether another change that is planned, and not written yet, is to take a cell that fits: it may fail.
func (b *Batch) unsure(fits func(Location) bool) bool {
	return slices.ContainsFunc(b.seats, func(s seat) bool { return s.try == b.try && s.row != b.row && fits(s.at) })
}

func (b *Batch) wantLocation(ref *LocationRef) {
	switch {
	case ref.None():
	case ref.ContainerID > 0:
		b.wantRec(SetKey(Container, ref.ContainerID))
	case ref.Name != "":
		b.wantMark(containerMark(ref.Name))
	default:
		b.wantMark(containerBarcodeMark(ref.Barcode))
	}
}

func (b *Batch) wantLocationRec(ref *LocationRef) {
	switch {
	case ref.None() || ref.ContainerID > 0:
	case ref.Name != "":
		b.wantRec(b.marks[containerMark(ref.Name)].To)
	default:
		b.wantRec(b.marks[containerBarcodeMark(ref.Barcode)].To)
	}
}

// container finds the container that a reference names: by id, name or barcode.
func (b *Batch) container(ctx context.Context, ref LocationRef) (*Record, error) {
	id := ref.ContainerID
	var err error
	switch {
	case id > 0:
	case ref.Name != "":
		id, err = b.setID(ctx, containerMark(ref.Name), uniqueContainer, ref.Name)
	default:
		id, err = b.setID(ctx, containerBarcodeMark(ref.Barcode), uniqueContainerBarcode, ref.Barcode)
	}
	if err != nil {
		return nil, err
	}
	rec, err := b.rec(ctx, setKeyOrNone(Container, id))
	if err == nil && (rec == nil || statusOf(rec) == StatusDisabled) {
		err = missing(Container, ref)
	}
	return rec, err
}

// takeCell plans that somebody takes a cell of a container: the one that is named, or the next that is free in the order
// of the container's assignment. A cell that is taken, or a container that is full, is STORAGE_CONTAINER_NO_FREE_SPACE,
// one that the container does not have STORAGE_CONTAINER_INV_POS (the reference leaves open which).
func (b *Batch) takeCell(ctx context.Context, c *Change, into *Branch, ref LocationRef, who occupantRef) (Location, error) {
	if err := b.standOn(ctx, into.Recs[0].Key); err != nil {
		return Location{}, err
	}
	grid, id := &into.Doc().Grid, into.ID()
	at, err := grid.cell(id, ref.X, ref.Y, ref.Position)
	if err != nil {
		return at, err
	}
	if grid.Dimensionless() {
		at = Location{ContainerID: id}
		if who.holds(at) {
			return at, nil
		}
		b.claimCell(c.Source, at, who, Mark{}, func(Mark) error { return errLostTrack })
		return at, nil
	}
	named := at != Location{}
	if !named {
		if at, err = b.nextCell(ctx, c, into, who); err != nil {
			return at, err
		}
	} else if b.bulk && b.unsure(func(l Location) bool { return l == at }) {
		return at, errChanged
	} else if b.bulk && slices.ContainsFunc(b.seats, func(s seat) bool { return s.at == at && s.row != b.row }) {
		return at, noSpace(grid, at) // an earlier row of the group has it
	}
	if who.holds(at) {
		return at, nil
	}
	name := at.mark(who.typ, who.id)
	var held Mark // that the cell is taken over from
	if ref.Reservation != "" || b.handed[name] {
		m, err := b.mark(ctx, name)
		if err != nil {
			return at, err
		}
		if b.handed[name] || reservationOf(m.Source) == ref.Reservation {
			held = m
		}
	}
	b.claimCell(c.Source, at, who, held, b.whenTaken(grid, at, named))
	return at, nil
}

// whenTaken answers a claim that met somebody else: a cell that was named is refused, instead of the next free one
// another is looked for.
func (b *Batch) whenTaken(g *Grid, at Location, named bool) func(Mark) error {
	return func(m Mark) error {
		if named {
			return noSpace(g, at)
		}
		st := b.stocks[at.ContainerID]
		st.marks[at] = m
		st.missed++
		b.missed++
		return nil
	}
}

func noSpace(g *Grid, at Location) error {
	x, y := g.Labels(at.Row, at.Column)
	return fault.New("STORAGE_CONTAINER_NO_FREE_SPACE", "The position at row %s, column %s is taken.", y, x)
}

// claimCell plans the mark of a cell. One that is held by a reservation of the caller's, or that its holder leaves in the
// same change, is taken over. What taken
// returns fails the change that found the cell held by somebody else; nil has it planned again.
func (b *Batch) claimCell(source string, at Location, who occupantRef, held Mark, taken func(Mark) error) {
	m := Mark{Name: at.mark(who.typ, who.id), To: who.key, ID: who.id, Source: source}
	w := Write{Kind: InsertMark, Mark: m}
	if !held.IsZero() {
		w = Write{Kind: TakeMark, Mark: m, WasSource: held.Source, WasTo: held.To}
	}
	b.writes[roundNames] = append(b.writes[roundNames], rowWrite{row: b.row, unique: uniqueCell, value: m.Name, taken: taken, Write: w})
	one := seat{row: b.row, try: b.try, at: at}
	if st := b.stocks[at.ContainerID]; st != nil {
		one.was, st.marks[at] = st.marks[at], m
	}
	b.seats = append(b.seats, one)
}

// uniqueCell is the claim of a cell; who is refused hears it from the claim's own text.
var uniqueCell = &unique{code: "STORAGE_CONTAINER_NO_FREE_SPACE", text: "The position is taken (%s).", holds: func(r *Record, name string) (bool, error) {
	_, live, err := occupant(Mark{Name: name}, r, 0)
	return live, err
}}

// leaveCell plans that somebody leaves a cell. A job leaves its mark, as it does that of a name: which cells its further
// rows find free must not depend on how far an earlier try came.
func (b *Batch) leaveCell(ctx context.Context, at Location, who occupantRef) error {
	if b.bulk {
		return nil
	}
	m, err := b.mark(ctx, at.mark(who.typ, who.id))
	if err != nil || m.IsZero() || m.To != who.key || b.handed[m.Name] {
		return err
	}
	b.add(roundRelease, Write{Kind: DropMark, Mark: m, WasSource: m.Source, WasTo: m.To})
	return nil
}

// nextCell is the next free cell of a container. A repeat of a row gets the one that it had. Rows of a job that ask for one
// in the same container are planned by one worker in the order of the file, so they get the same ones however often
// they are tried.
func (b *Batch) nextCell(ctx context.Context, c *Change, into *Branch, who occupantRef) (Location, error) {
	st, err := b.stockOf(ctx, into.ID())
	if err != nil {
		return Location{}, err
	}
	if c.Source != "" {
		for at, m := range st.marks {
			if m.Source == c.Source && m.To == who.key {
				return at, nil
			}
		}
	}
	grid := &into.Doc().Grid
	for {
		if at, ok := st.next(grid, into.ID(), b.hop(c, st)); ok {
			return at, nil
		}
		if st.sure {
			if b.bulk && b.unsure(func(l Location) bool { return l.ContainerID == into.ID() }) {
				return Location{}, errChanged
			}
			return Location{}, fault.New("STORAGE_CONTAINER_NO_FREE_SPACE", "Container %q is full.", into.Doc().Name)
		}
		if err := b.sortOut(ctx, st, into.ID()); err != nil {
			return Location{}, err
		}
	}
}

// hop is how many free cells a person's change leaves out: after others were faster, each one tries another.
func (b *Batch) hop(c *Change, st *stock) int {
	if st.missed == 0 || b.bulk {
		return 0
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(c.ID)) // a hash takes anything
	return int(h.Sum32()>>1) % (1 << min(st.missed, 6))
}

// next is the free cell after skip others, or the last one.
func (st *stock) next(g *Grid, id int64, skip int) (at Location, ok bool) {
	for n := max(st.first, 1); n <= g.Cells(); n++ {
		row, column := g.Cell(n)
		one := Location{id, row, column}
		if _, taken := st.marks[one]; taken {
			continue
		}
		if !ok {
			st.first = n
		}
		if at, ok = one, true; skip == 0 {
			break
		}
		skip--
	}
	return at, ok
}

// Dimensionless tells which of the containers with these names have no cells. Names that are not known are left out.
func (b *Batch) Dimensionless(ctx context.Context, names []string) (map[string]bool, error) {
	out := map[string]bool{}
	for from := 0; from < len(names); from += readAhead {
		some := names[from:min(from+readAhead, len(names))]
		for _, name := range some {
			b.wantLocation(&LocationRef{Name: name})
		}
		if err := b.readMarks(ctx); err != nil {
			return nil, err
		}
		for _, name := range some {
			b.wantLocationRec(&LocationRef{Name: name})
		}
		if err := b.readRecs(ctx); err != nil {
			return nil, err
		}
		for _, name := range some {
			doc, err := Decode[ContainerDoc](b.recs[b.marks[containerMark(name)].To])
			if err != nil {
				return nil, err
			}
			if Fold(doc.Name) == Fold(name) && doc.Dimensionless() {
				out[name] = true
			}
		}
	}
	return out, nil
}

// stockOf reads the cells of a container, once for a batch.
func (b *Batch) stockOf(ctx context.Context, id int64) (*stock, error) {
	if st := b.stocks[id]; st != nil {
		return st, nil
	}
	marks, err := b.store.MarksIn(ctx, cellSet(id), "", "", 0)
	if err != nil {
		return nil, fmt.Errorf("list the cells of container %d: %w", id, err)
	}
	st := &stock{marks: map[Location]Mark{}}
	for _, m := range marks {
		if until := reservedUntil(m.Source); until == 0 || until > b.at {
			st.marks[markedCell(m.Name)] = m
		}
	}
	for _, w := range b.writes[roundNames] {
		if at := markedCell(w.Mark.Name); at.ContainerID == id {
			for i := range b.seats {
				if b.seats[i].at == at {
					b.seats[i].was = st.marks[at] // whose it stays, should the change fail
				}
			}
			st.marks[at] = w.Mark
		}
	}
	b.stocks[id] = st
	return st, nil
}

// sortOut drops the leftovers among the marks of a container that seems to be full.
func (b *Batch) sortOut(ctx context.Context, st *stock, id int64) error {
	all, err := occupantsOf(ctx, b.store, b.at, id)
	if err != nil {
		return err
	}
	live := map[Location]bool{}
	for _, o := range all[id] {
		live[o.At] = true
	}
	for _, s := range b.seats {
		live[s.at] = true
	}
	for at := range st.marks {
		if !live[at] {
			delete(st.marks, at)
		}
	}
	st.sure, st.first = true, 0
	return nil
}

// unseat gives the cells back that a change of the group was to take.
func (b *Batch) unseat(row int) {
	kept := b.seats[:0]
	for _, s := range b.seats {
		if s.row != row {
			kept = append(kept, s)
			continue
		}
		if st := b.stocks[s.at.ContainerID]; st != nil {
			if delete(st.marks, s.at); !s.was.IsZero() {
				st.marks[s.at] = s.was // the cell was somebody's all along, or left by an earlier try
				st.sure = false
			}
			st.first = 0
		}
	}
	b.seats = kept
}

// Reservations are marks of cells whose source tells which reservation they belong to, and until when it holds:
// "reserved/<id>/<epoch ms>". One that is over is a leftover.
const reservedPrefix = "reserved/"

// reservationSource is the source of the marks of a reservation.
func reservationSource(id string, until int64) string {
	return reservedPrefix + id + "/" + strconv.FormatInt(until, 10)
}

// reservationOf is the id of the reservation that a source names, "" for none.
func reservationOf(source string) string {
	id, _, _ := strings.Cut(strings.TrimPrefix(source, reservedPrefix), "/")
	if !strings.HasPrefix(source, reservedPrefix) {
		return ""
	}
	return id
}

// reservedUntil is until when the reservation that a source names holds, 0 for none.
func reservedUntil(source string) int64 {
	if !strings.HasPrefix(source, reservedPrefix) {
		return 0
	}
	until, err := strconv.ParseInt(source[strings.LastIndexByte(source, '/')+1:], 10, 64)
	if err != nil {
		return 0
	}
	return until
}
