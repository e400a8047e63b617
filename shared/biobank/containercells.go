package biobank

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"aliquot/shared/fault"
)

// Blocking, reserving and assigning cells (reference openspecimen-rest.md 16.1).

// BlockDraft blocks cells of a container, or opens them again.
type BlockDraft struct {
	ID    int64
	Cells []Location
	Open  bool
}

func (*BlockDraft) recordType() Type { return Container }

func (d *BlockDraft) want(_ context.Context, b *Batch, _ *Change) error {
	b.wantRec(SetKey(Container, d.ID))
	return nil
}

func (d *BlockDraft) read(context.Context, *Batch, *Change) error { return nil }

func (d *BlockDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	br, err := b.ownContainer(ctx, d.ID, OpUpdate)
	if err != nil {
		return err
	}
	is := *br.Doc()
	blocked := cellsOf(d.ID, is.Blocked)
	self := occupantRef{typ: Container, key: br.Recs[0].Key, id: d.ID}
	for _, at := range d.Cells {
		switch {
		case d.Open && blocked[at]:
			if err := b.leaveCell(ctx, at, self); err != nil {
				return err
			}
			delete(blocked, at)
		case !d.Open && !blocked[at]:
			b.claimCell("", at, self, Mark{}, func(Mark) error {
				x, y := is.Labels(at.Row, at.Column)
				return fault.New("STORAGE_CONTAINER_POS_OCCUPIED", "The position at row %s, column %s is occupied.", y, x)
			})
			blocked[at] = true
		}
	}
	is.Blocked = spansOf(blocked)
	return b.change(c, br.Recs[0], &is, o)
}

// ownContainer is a container that the actor holds a right on.
func (b *Batch) ownContainer(ctx context.Context, id int64, op Operation) (*Branch, error) {
	rec, err := b.container(ctx, LocationRef{ContainerID: max(id, 1)})
	if err != nil {
		return nil, err
	}
	br, err := b.branch(ctx, rec)
	if err == nil && !b.actor.HoldsAt(ResContainer, op, br.Site()) {
		err = denied("do this with containers of this site")
	}
	return br, err
}

// Block blocks cells of a container, or with open gives them free; without cells all that are free, or blocked. It does
// so 40 cells at a time; a block that was cut short goes on when it is asked for again.
func (r *Registry) Block(ctx context.Context, a *Actor, at time.Time, c Change, id int64, cells []LocationRef, open bool) (*Record, error) {
	b := r.newBatch(a, at)
	br, err := b.ownContainer(ctx, id, OpUpdate)
	if err != nil {
		return nil, err
	}
	grid := &br.Doc().Grid
	if grid.Dimensionless() {
		return nil, fault.New("STORAGE_CONTAINER_DL_POS_BLK_NP", "Container %q has no positions that could be blocked.", br.Doc().Name)
	}
	list := make([]Location, 0, len(cells))
	for _, ref := range cells {
		one, err := grid.cell(id, ref.X, ref.Y, ref.Position)
		if err == nil && one.Row == 0 {
			err = fault.New("STORAGE_CONTAINER_INV_POS", "Give the row and the column of each position.")
		}
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	held, err := occupantsOf(ctx, b.store, b.at, id)
	if err != nil {
		return nil, err
	}
	blocked, taken := cellsOf(id, br.Doc().Blocked), map[Location]bool{}
	for _, o := range held[id] {
		taken[o.At] = !blocked[o.At]
	}
	if len(cells) == 0 {
		for n := int64(1); n <= grid.Cells(); n++ {
			row, column := grid.Cell(n)
			if one := (Location{id, row, column}); !taken[one] && blocked[one] == open {
				list = append(list, one)
			}
		}
	}
	for _, one := range list {
		if taken[one] && !open {
			x, y := grid.Labels(one.Row, one.Column)
			return nil, fault.New("STORAGE_CONTAINER_POS_OCCUPIED", "The position at row %s, column %s is occupied.", y, x)
		}
	}
	rec := br.Recs[0]
	const together = 40
	c.Op = Update
	for list = dedupe(list); len(list) > 0; {
		n := min(len(list), together)
		c.Draft = &BlockDraft{ID: id, Cells: list[:n], Open: open}
		if rec, err = r.one(ctx, a, at, c); err != nil {
			return nil, err
		}
		list = list[n:]
	}
	return rec, nil
}

// reservationLife is how long cells stay reserved.
const reservationLife = 5 * time.Minute

// ReserveDraft reserves cells of containers for who names the reservation within five minutes.
type ReserveDraft struct {
	Wanted []ReserveRef
	// Random makes the id unique that nobody guesses.
	Random string
	// Reservation is the id of what became of it, Cells are the cells, in the order of Wanted.
	Reservation string
	Cells       []Location
}

// ReserveRef asks for some cells of a container: the one that is named and those that are free after it, or the next free
// ones. The specimen that they are for says what the container must admit.
type ReserveRef struct {
	In          LocationRef
	Cells       int64
	Protocol    int64
	Class, Type string
}

func (*ReserveDraft) recordType() Type { return Container }

func (d *ReserveDraft) want(_ context.Context, b *Batch, _ *Change) error {
	for i := range d.Wanted {
		b.wantLocation(&d.Wanted[i].In)
	}
	return nil
}

func (d *ReserveDraft) read(_ context.Context, b *Batch, _ *Change) error {
	for i := range d.Wanted {
		b.wantLocationRec(&d.Wanted[i].In)
	}
	return nil
}

// maxReserved bounds the cells of a reservation: one transaction takes them all.
const maxReserved = 100

func (d *ReserveDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	into := make([]*Branch, len(d.Wanted))
	ids := make([]string, len(d.Wanted))
	for i, w := range d.Wanted {
		br, err := d.container(ctx, b, w)
		if err != nil {
			return err
		}
		into[i], ids[i] = br, strconv.FormatInt(br.ID(), 10)
		o.Record = br.Recs[0]
	}
	d.Reservation = strings.Join(dedupe(ids), ".") + "-" + d.Random // by the containers it is found again
	source := reservationSource(d.Reservation, b.at+reservationLife.Milliseconds())
	d.Cells = nil
	for i, w := range d.Wanted {
		if err := d.reserve(ctx, b, c, into[i], w, source); err != nil {
			return err
		}
	}
	return nil
}

// container finds the container of a wish, for who may use it, and checks that it admits what is to be stored.
func (d *ReserveDraft) container(ctx context.Context, b *Batch, w ReserveRef) (*Branch, error) {
	if w.In.None() {
		return nil, fault.New("STORAGE_CONTAINER_ID_NAME_OR_BARCODE_REQ", "Say in which container to reserve positions; one is chosen only for specimens of a collection protocol with a containerSelectionStrategy.")
	}
	rec, err := b.container(ctx, w.In)
	if err != nil {
		return nil, err
	}
	into, err := b.branch(ctx, rec)
	if err != nil {
		return nil, err
	}
	if !b.actor.HoldsAt(ResContainer, OpRead, into.Site()) {
		return nil, denied("use containers of this site")
	}
	if into.Archived() {
		return nil, fault.New("STORAGE_CONTAINER_ARCHIVED", "Container %q is archived.", into.Doc().Name)
	}
	if w.Protocol != 0 && w.Class != "" {
		cp, err := b.protocol(ctx, ProtocolRef{ID: w.Protocol})
		if err != nil {
			return nil, err
		}
		if !into.Admits(w.Class, w.Type, cp.id, cp.doc.Sites) {
			return nil, fault.New("STORAGE_CONTAINER_CANNOT_HOLD_SPECIMEN", "Container %q does not admit a specimen of class %q and type %q of this collection protocol.", into.Doc().Name, w.Class, w.Type)
		}
	}
	return into, nil
}

// reserve plans the cells of a wish.
func (d *ReserveDraft) reserve(ctx context.Context, b *Batch, c *Change, into *Branch, w ReserveRef, source string) error {
	if into.Doc().Dimensionless() {
		d.Cells = append(d.Cells, Location{ContainerID: into.ID()}) // there is always room
		return nil
	}
	self := occupantRef{typ: Container, key: into.Recs[0].Key, id: into.ID()}
	for n := range max(w.Cells, 1) {
		if len(d.Cells) == maxReserved {
			return fault.New("COMMON_INVALID_INPUT", "At most %d positions can be reserved at once.", maxReserved)
		}
		ref := w.In
		if n > 0 {
			ref = LocationRef{ContainerID: into.ID()}
		}
		at, err := b.reserveCell(ctx, c, into, ref, self, source)
		if err != nil {
			return err
		}
		d.Cells = append(d.Cells, at)
	}
	return nil
}

func (b *Batch) reserveCell(ctx context.Context, c *Change, into *Branch, ref LocationRef, self occupantRef, source string) (Location, error) {
	grid, id := &into.Doc().Grid, into.ID()
	at, err := grid.cell(id, ref.X, ref.Y, ref.Position)
	if err != nil {
		return at, err
	}
	named := at != Location{}
	if !named {
		if at, err = b.nextCell(ctx, c, into, self); err != nil {
			return at, err
		}
	}
	b.claimCell(source, at, self, Mark{}, b.whenTaken(grid, at, named))
	return at, nil
}

// CancelReservation gives reserved cells free, for those who may use the containers, and tells how many.
func (r *Registry) CancelReservation(ctx context.Context, a *Actor, at time.Time, reservation string) (int, error) {
	containers, _, ok := strings.Cut(reservation, "-")
	parts := strings.Split(containers, ".")
	if !ok || len(parts) > maxReserved {
		return 0, fault.New("COMMON_INVALID_INPUT", "Reservation %q is not known.", reservation)
	}
	b := r.newBatch(a, at)
	var writes []Write
	for _, part := range parts {
		id, err := strconv.ParseInt(part, 10, 64)
		if err != nil || id < 1 {
			return 0, fault.New("COMMON_INVALID_INPUT", "Reservation %q is not known.", reservation)
		}
		if _, err := b.ownContainer(ctx, id, OpRead); err != nil {
			return 0, err
		}
		marks, err := r.Store.MarksIn(ctx, cellSet(id), "", "", 0)
		if err != nil {
			return 0, fmt.Errorf("list the cells of container %d: %w", id, err)
		}
		for _, m := range marks {
			if reservationOf(m.Source) == reservation {
				writes = append(writes, Write{Kind: DropMark, Mark: m, WasSource: m.Source, WasTo: m.To})
			}
		}
	}
	n := len(writes)
	for len(writes) > 0 {
		some := min(len(writes), MaxBatch)
		if _, err := r.Store.Write(ctx, false, writes[:some]); err != nil {
			return 0, fmt.Errorf("cancel a reservation: %w", err)
		}
		writes = writes[some:]
	}
	return n, nil
}

// AssignDraft puts specimens and containers into cells of a container, all or none, each with the right to change it.
type AssignDraft struct {
	ID    int64
	Items []Assignment
	// Vacate takes specimens out that are in the way.
	Vacate bool
}

// Assignment is who goes into a cell: a specimen by its id or label, a container by its id or name.
type Assignment struct {
	At   LocationRef
	Type Type
	ID   int64
	Name string
}

func (*AssignDraft) recordType() Type { return Container }

func (d *AssignDraft) want(_ context.Context, b *Batch, _ *Change) error {
	b.wantRec(SetKey(Container, d.ID))
	for _, it := range d.Items {
		switch {
		case it.Type == Specimen && it.ID != 0:
			b.wantMark(IDMark(Specimen, it.ID))
		case it.Type == Specimen:
			b.wantMark(labelMark(it.Name))
		case it.ID != 0:
			b.wantMark(turnMark)
			b.wantRec(SetKey(Container, it.ID))
		default:
			b.wantMark(turnMark)
			b.wantMark(containerMark(it.Name))
		}
	}
	return nil
}

func (d *AssignDraft) read(_ context.Context, b *Batch, _ *Change) error {
	for _, it := range d.Items {
		switch {
		case it.Type == Specimen && it.ID != 0:
			b.wantRec(b.marks[IDMark(Specimen, it.ID)].To)
		case it.Type == Specimen:
			b.wantRec(b.marks[labelMark(it.Name)].To)
		case it.ID == 0:
			b.wantRec(b.marks[containerMark(it.Name)].To)
		}
	}
	return nil
}

func (d *AssignDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	into, err := b.ownContainer(ctx, d.ID, OpUpdate)
	if err != nil {
		return err
	}
	defer func() { b.handed = nil }()
	recs := make([]*Record, len(d.Items))
	leaves := map[Key]bool{} // those who change their place
	for i, it := range d.Items {
		if recs[i], err = d.who(ctx, b, it); err != nil {
			return err
		}
		if leaves[recs[i].Key] {
			return fault.New("COMMON_INVALID_INPUT", "%s %d is put into two positions.", notFound[it.Type].noun, recs[i].ID)
		}
		leaves[recs[i].Key] = true
	}
	b.handed = map[string]bool{}
	for i, it := range d.Items {
		if err := d.handOver(ctx, b, c, into, it, recs[i], leaves); err != nil {
			return err
		}
	}
	for i, it := range d.Items {
		ref := it.At
		ref.ContainerID = d.ID
		made := &Outcome{}
		if it.Type == Specimen {
			was, err := Decode[SpecimenDoc](recs[i])
			if err != nil {
				return err
			}
			s := &SpecimenDraft{ID: recs[i].ID, Location: &ref, Merge: func(*SpecimenDoc) {}}
			if err := s.update(ctx, b, as(c, recs[i].ID), made, recs[i], was); err != nil {
				return err
			}
		} else {
			k := &ContainerDraft{ID: recs[i].ID, Location: &ref, Merge: func(*ContainerDoc) {}}
			if err := k.plan(ctx, b, as(c, recs[i].ID), made); err != nil {
				return err
			}
		}
	}
	o.Record = into.Recs[0]
	return b.eachOnce()
}

// who finds the specimen or container that is to go into a cell.
func (d *AssignDraft) who(ctx context.Context, b *Batch, it Assignment) (*Record, error) {
	if it.Type == Container {
		return b.container(ctx, LocationRef{ContainerID: it.ID, Name: it.Name})
	}
	s := &SpecimenDraft{ID: it.ID, Doc: SpecimenDoc{Label: it.Name}}
	rec, _, err := s.find(ctx, b, &Change{Op: Update, ByID: it.ID != 0})
	if err == nil && rec == nil {
		told := any(it.ID)
		if it.ID == 0 {
			told = strconv.Quote(it.Name)
		}
		err = missing(Specimen, told)
	}
	return rec, err
}

// handOver notes that a cell goes from one to another in this change: the mark changes hands then, instead of being
// dropped and made. A specimen that is in the way and has no other place to go is taken out where that was asked for.
func (d *AssignDraft) handOver(ctx context.Context, b *Batch, c *Change, into *Branch, it Assignment, rec *Record, leaves map[Key]bool) error {
	grid := &into.Doc().Grid
	at, err := grid.cell(d.ID, it.At.X, it.At.Y, it.At.Position)
	if err != nil || at.Row == 0 {
		return err
	}
	m, err := b.mark(ctx, at.mark(it.Type, rec.ID))
	if err != nil || m.IsZero() || m.To == rec.Key || reservedUntil(m.Source) != 0 {
		return err
	}
	holder, err := b.rec(ctx, m.To)
	if err != nil {
		return err
	}
	one, live, err := occupant(m, holder, b.at)
	if err != nil || !live {
		return err
	}
	switch {
	case leaves[m.To]:
	case d.Vacate && one.Record != nil && one.Record.Type == Specimen:
		b.handed[m.Name] = true
		return b.takeOut(ctx, c, one.Record)
	default:
		return noSpace(grid, at)
	}
	b.handed[m.Name] = true
	return nil
}

// Assign puts specimens and containers into cells, up to 25 of them all or none; more go 25 at a time, after all of them were
// checked: a fault of one means that none was begun. What can still stop it half-way is what others do meanwhile, and a cell
// that one is to get and another leaves only with a later 25. It may then be sent again.
func (r *Registry) Assign(ctx context.Context, a *Actor, at time.Time, c Change, d AssignDraft) error {
	if len(d.Items) == 0 {
		return errors.New("nothing to assign")
	}
	const together = 25
	c.Op = Update
	if len(d.Items) > together {
		all := c
		all.Draft = &d
		if err := r.Check(ctx, a, at, []Change{all}); err != nil {
			return err
		}
	}
	for items := d.Items; len(items) > 0; {
		n := min(len(items), together)
		c.Draft = &AssignDraft{ID: d.ID, Items: items[:n], Vacate: d.Vacate}
		if _, err := r.one(ctx, a, at, c); err != nil {
			return err
		}
		items = items[n:]
	}
	return nil
}
