package biobank

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"aliquot/shared/fault"
)

// ContainerDoc is a storage container (reference openspecimen-rest.md section 16). A top container belongs to a site, any
// other lies in a container.
type ContainerDoc struct {
	Name        string    `json:"name"`
	Barcode     string    `json:"barcode,omitempty"`
	DisplayName string    `json:"displayName,omitempty"`
	TypeID      int64     `json:"typeId,omitempty"`
	UsedFor     string    `json:"usedFor"`
	SiteID      int64     `json:"siteId,omitempty"` // of a top container
	Parent      *Location `json:"parent,omitempty"`
	// Path are the containers that it lay in when it was last written, the nearest first: a hint.
	Path []int64 `json:"path,omitempty"`
	Grid
	Capacity       int64     `json:"capacity,omitempty"`
	StoreSpecimens bool      `json:"storeSpecimens,omitempty"`
	Automated      bool      `json:"automated,omitempty"`
	AutoFreezer    string    `json:"autoFreezer,omitempty"`
	Temperature    *Quantity `json:"temperature,omitempty"`
	Comments       string    `json:"comments,omitempty"`
	Classes        []string  `json:"classes,omitempty"`
	Types          []string  `json:"types,omitempty"`
	Protocols      []int64   `json:"cps,omitempty"`
	Distributions  []int64   `json:"dps,omitempty"`
	CellDisplay    string    `json:"cellDisplay"`
	Blocked        []Span    `json:"blocked,omitempty"`
	// CheckedOut is the cell that is kept for a container that was taken out.
	CheckedOut     *Location  `json:"checkedOut,omitempty"`
	Moved          *Move      `json:"moved,omitempty"`
	Extension      *Extension `json:"extension,omitempty"`
	ActivityStatus string     `json:"activityStatus"`
}

// Move is what was said about the last change of a location; the audit has who really made it, and when.
type Move struct {
	By       int64  `json:"by,omitempty"`
	At       int64  `json:"at,omitempty"` // epoch ms
	Comments string `json:"comments,omitempty"`
}

// What containers are for, and what their maps show.
const (
	UsedForStorage      = "STORAGE"
	UsedForDistribution = "DISTRIBUTION"
)

var cellDisplays = []string{"SPECIMEN_LABEL", "SPECIMEN_PPID", "SPECIMEN_BARCODE"}

// ContainerDraft is found by ID, else Doc.Name. One without a Merge replaces the whole object, with where it lies.
type ContainerDraft struct {
	ID       int64
	Kind     *TypeRef     // nil: not sent
	Site     *string      // nil: not sent
	Location *LocationRef // of the container that it lies in; nil: not sent
	CPs, DPs []string     // short titles; nil: not sent
	Stores   *bool        // whether specimens are stored in it; nil: not sent, so that a new one does as its type says
	Move     MoveRef
	CheckOut bool
	Force    bool // Disabled takes the specimens out
	Doc      ContainerDoc
	Merge    func(*ContainerDoc)
	// Extension is nil where it was not sent.
	Extension *ExtensionDraft
}

// LocationRef names a container, by id, name or barcode, and a cell of it by its labels (X the column, Y the row) or its
// number. One that names no container asks for none; one without a cell asks for the next that is free.
type LocationRef struct {
	ContainerID int64
	Name        string
	Barcode     string
	X, Y        string
	Position    int64
	Reservation string
}

// None tells whether the reference names no container.
func (l LocationRef) None() bool { return l.ContainerID <= 0 && l.Name == "" && l.Barcode == "" }

// String is how a message names the container.
func (l LocationRef) String() string {
	switch {
	case l.ContainerID > 0:
		return strconv.FormatInt(l.ContainerID, 10)
	case l.Name != "":
		return strconv.Quote(l.Name)
	}
	return "with barcode " + strconv.Quote(l.Barcode)
}

// sound refuses a cell of no container: it would be taken for the wish not to be stored.
func (l *LocationRef) sound() error {
	if l != nil && l.None() && (l.X != "" || l.Y != "" || l.Position != 0) {
		return fault.New("STORAGE_CONTAINER_ID_NAME_OR_BARCODE_REQ", "Give the container of the position.")
	}
	return nil
}

// AnyCell tells whether it names a container and leaves the cell open.
func (l *LocationRef) AnyCell() bool {
	return l != nil && !l.None() && l.X == "" && l.Y == "" && l.Position == 0
}

// MoveRef is what a caller says about a change of a location.
type MoveRef struct {
	By       UserRef
	At       int64
	Comments string
}

func (*ContainerDraft) recordType() Type { return Container }

func containerMark(name string) string        { return "container.name#" + Fold(name) }
func containerBarcodeMark(code string) string { return "container.barcode#" + code }

var (
	uniqueContainer = &unique{"STORAGE_CONTAINER_DUP_NAME", "A container with the same name, %q, exists already.", func(r *Record, v string) (bool, error) {
		d, err := Decode[ContainerDoc](r)
		return Fold(d.Name) == Fold(v) && d.ActivityStatus != StatusDisabled, err
	}}
	uniqueContainerBarcode = &unique{"STORAGE_CONTAINER_DUP_BARCODE", "A container with the same barcode, %q, exists already.", func(r *Record, v string) (bool, error) {
		d, err := Decode[ContainerDoc](r)
		return d.Barcode == v && d.ActivityStatus != StatusDisabled, err
	}}
)

func (d *ContainerDraft) want(_ context.Context, b *Batch, c *Change) error {
	b.wantMember(c, Container, d.ID, d.Doc.Name, containerMark)
	if d.Location != nil {
		b.wantLocation(d.Location)
		if c.Op != Create && !b.bulk {
			b.wantMark(turnMark)
		}
	}
	if d.Site != nil && *d.Site != "" {
		b.wantMark(siteMark(*d.Site))
	}
	for _, title := range d.CPs {
		b.wantMark(shortTitleMark(title))
	}
	return nil
}

func (d *ContainerDraft) read(_ context.Context, b *Batch, c *Change) error {
	b.wantMemberRec(c, d.Doc.Name, containerMark)
	if d.Location != nil {
		b.wantLocationRec(d.Location)
	}
	return nil
}

func (d *ContainerDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	_, err := d.save(ctx, b, c, o, nil)
	return err
}

// save plans a new container or a change of one, and returns it as it will be, with what it lies in. Of a new one that is
// made together with the container it goes into, into is that.
func (d *ContainerDraft) save(ctx context.Context, b *Batch, c *Change, o *Outcome, into *Branch) (*Branch, error) {
	rec, was, is, err := begin(ctx, b, c, o, sought{Container, d.ID, d.Doc.Name, containerMark, uniqueContainer}, &d.Doc, d.Merge)
	if is == nil || err != nil {
		return nil, err
	}
	var now *Branch // where it lies
	if rec != nil {
		if now, err = b.branch(ctx, rec); err != nil {
			return nil, err
		}
		if !b.actor.HoldsAt(ResContainer, OpUpdate, now.Site()) && !gone(is.ActivityStatus) {
			return nil, denied("change containers of this site")
		}
		if gone(is.ActivityStatus) {
			return nil, d.remove(ctx, b, c, o, now)
		}
	}
	var l fault.List
	cannotBegin(&l, is.ActivityStatus)
	status(&l, &is.ActivityStatus)
	if err := d.ofType(ctx, b, &l, rec, is, was.TypeID); err != nil {
		return nil, err
	}
	// What only the registry sets stays.
	is.SiteID, is.Parent, is.Path, is.Blocked, is.CheckedOut, is.Moved = was.SiteID, was.Parent, was.Path, was.Blocked, was.CheckedOut, was.Moved
	goal, err := d.goal(ctx, b, &l, now, into)
	if err != nil {
		return nil, err
	}
	if len(l) > 0 {
		return nil, l
	}
	if err := d.may(b, rec, goal); err != nil {
		return nil, err
	}
	if is.Name == "" && rec == nil && is.TypeID != 0 {
		kind, err := b.rec(ctx, SetKey(ContainerType, is.TypeID))
		if err != nil {
			return nil, err
		}
		doc, err := Decode[ContainerTypeDoc](kind)
		if err != nil {
			return nil, err
		}
		if is.Name, err = b.containerName(ctx, c, doc.NameFormat, goal.into, goal.site); err != nil {
			return nil, err
		}
	}
	if err := d.restrict(ctx, b, &l, is, &was); err != nil {
		return nil, err
	}
	if err := b.extend(ctx, &l, ContainerFields, nil, was.Extension, &is.Extension, d.Extension, true); err != nil {
		return nil, err
	}
	d.check(&l, is)
	if rec != nil {
		d.resize(&l, is, &was)
	}
	d.nest(&l, is, goal)
	if len(l) > 0 {
		return nil, l
	}
	if rec == nil {
		return d.create(ctx, b, c, o, is, goal)
	}
	return d.update(ctx, b, c, o, now, is, goal)
}

func (d *ContainerDraft) create(ctx context.Context, b *Batch, c *Change, o *Outcome, is *ContainerDoc, g goal) (*Branch, error) {
	if is.ActivityStatus == StatusClosed {
		return nil, fault.New("ACTIVITY_STATUS_INVALID", "A container cannot be created as Closed.")
	}
	id, err := b.memberID(ctx, c, Container, d.ID)
	if err != nil {
		return nil, err
	}
	key := SetKey(Container, id)
	if err := d.settleIn(ctx, b, c, is, g, occupantRef{typ: Container, key: key, id: id}); err != nil {
		if fault.All(err) == nil {
			return nil, err
		}
		// Whether there is room for a name that is taken depends on what other rows have got meanwhile.
		return nil, cmp.Or(b.taken(ctx, uniqueContainer, is.Name, containerMark(is.Name), key), err)
	}
	b.claim(c, uniqueContainer, is.Name, containerMark(is.Name), key, id, "")
	if is.Barcode != "" {
		b.claim(c, uniqueContainerBarcode, is.Barcode, containerBarcodeMark(is.Barcode), key, id, "")
	}
	if err := b.insert(c, Container, key, id, is, o); err != nil {
		return nil, err
	}
	return newBranch(o.Record, is, g.into), nil
}

// settleIn gives a container its place, with a cell of its own in what it lies in.
func (d *ContainerDraft) settleIn(ctx context.Context, b *Batch, c *Change, is *ContainerDoc, g goal, self occupantRef) error {
	if g.into == nil {
		is.SiteID, is.Parent, is.Path = g.site, nil, nil
		return nil
	}
	at, err := b.takeCell(ctx, c, g.into, g.ref, self)
	if err != nil {
		return err
	}
	is.SiteID, is.Parent, is.Path = 0, &at, g.into.IDs()
	return nil
}

func newBranch(rec *Record, doc *ContainerDoc, into *Branch) *Branch {
	br := &Branch{Recs: []*Record{rec}, Docs: []ContainerDoc{*doc}}
	if into != nil {
		br.Recs, br.Docs = append(br.Recs, into.Recs...), append(br.Docs, into.Docs...)
	}
	return br
}

func (d *ContainerDraft) update(ctx context.Context, b *Batch, c *Change, o *Outcome, now *Branch, is *ContainerDoc, g goal) (*Branch, error) {
	rec, was := now.Recs[0], now.Doc()
	self := occupantRef{Container, rec.Key, rec.ID, []*Location{was.Parent, was.CheckedOut}}
	if g.into != nil && slices.Contains(g.into.IDs(), rec.ID) {
		return nil, fault.New("STORAGE_CONTAINER_HIERARCHY_CONTAINS_CYCLE", "A container cannot lie in itself, or in one that lies in it.")
	}
	switch archives := is.ActivityStatus == StatusClosed && was.ActivityStatus != StatusClosed; {
	case archives:
		if err := b.noSpecimens(ctx, rec.ID, "STORAGE_CONTAINER_CANNOT_ARCHIVE"); err != nil {
			return nil, err
		}
		is.SiteID, is.Parent, is.Path, is.CheckedOut = now.Site(), nil, nil, nil
	case d.CheckOut:
		if was.CheckedOut != nil {
			return nil, fault.New("STORAGE_CONTAINER_CHECKED_OUT_ALREADY", "The container is checked out already.")
		}
		if was.Parent == nil {
			return nil, fault.New("COMMON_INVALID_INPUT", "A container at the top of a site cannot be checked out.")
		}
		is.SiteID, is.Parent, is.Path, is.CheckedOut = now.Site(), nil, nil, was.Parent
	case g.stays && was.Parent != nil:
		is.Path = now.IDs()[1:]
	case g.stays:
	case g.into == nil && was.CheckedOut != nil && g.site == now.Site():
		// Sent back as it is shown while it is checked out, at its site and in nothing: its cell stays kept, as a specimen's does.
	case g.into != nil && was.Parent != nil && was.Parent.ContainerID == g.into.ID() && g.ref.AnyCell():
		is.Path = g.into.IDs() // it lies there already
	default:
		if g.into != nil {
			if err := b.takeTurn(ctx, c, rec); err != nil {
				return nil, err
			}
		}
		if err := d.settleIn(ctx, b, c, is, g, self); err != nil {
			return nil, err
		}
		is.CheckedOut = nil
	}
	if err := d.complies(ctx, b, now, newBranch(rec, is, g.into)); err != nil {
		return nil, err
	}
	if err := d.moved(ctx, b, is, was); err != nil {
		return nil, err
	}
	if err := b.reclaim(ctx, c, uniqueContainer, was.Name, is.Name, containerMark, rec); err != nil {
		return nil, err
	}
	if was.Barcode != is.Barcode {
		if is.Barcode != "" {
			b.claim(c, uniqueContainerBarcode, is.Barcode, containerBarcodeMark(is.Barcode), rec.Key, rec.ID, "")
		}
		if was.Barcode != "" {
			if err := b.release(ctx, containerBarcodeMark(was.Barcode), rec.Key); err != nil {
				return nil, err
			}
		}
	}
	if err := b.change(c, rec, is, o); err != nil {
		return nil, err
	}
	for _, left := range []*Location{was.Parent, was.CheckedOut} {
		if left != nil && !sameCell(left, is.Parent) && !sameCell(left, is.CheckedOut) {
			if err := b.leaveCell(ctx, *left, self); err != nil {
				return nil, err
			}
		}
	}
	return newBranch(o.Record, is, g.into), nil
}

func sameCell(a, b *Location) bool { return a != nil && b != nil && *a == *b }

// moved notes what the caller said about a move, when there was one.
func (d *ContainerDraft) moved(ctx context.Context, b *Batch, is, was *ContainerDoc) error {
	same := is.SiteID == was.SiteID && (is.Parent == nil && was.Parent == nil || sameCell(is.Parent, was.Parent))
	if same {
		return nil
	}
	var err error
	is.Moved, err = b.moveOf(ctx, d.Move)
	return err
}

// moveOf is what a caller said about a move, nil for nothing.
func (b *Batch) moveOf(ctx context.Context, ref MoveRef) (*Move, error) {
	by, err := b.userID(ctx, ref.By, "USER_NOT_FOUND")
	if err != nil || by == 0 && ref.At == 0 && ref.Comments == "" {
		return nil, err
	}
	return &Move{By: by, At: ref.At, Comments: ref.Comments}, nil
}
