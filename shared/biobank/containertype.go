package biobank

import (
	"context"
	"slices"

	"aliquot/shared/fault"
)

// ContainerTypeDoc is what containers are made after (reference openspecimen-rest.md section 17): a layout, a format of
// names, and the type of what such a container holds.
type ContainerTypeDoc struct {
	Name       string `json:"name"`
	NameFormat string `json:"nameFormat"`
	Grid
	Temperature    *Quantity `json:"temperature,omitempty"`
	StoreSpecimens bool      `json:"storeSpecimens,omitempty"`
	CanHold        int64     `json:"canHold,omitempty"`
	ActivityStatus string    `json:"activityStatus"`
}

// ContainerTypeDraft is found by ID, else Doc.Name.
type ContainerTypeDraft struct {
	ID      int64
	CanHold *TypeRef // nil: not sent
	Doc     ContainerTypeDoc
	Merge   func(*ContainerTypeDoc)
}

// TypeRef names a container type: by id, else by name. The zero TypeRef asks for none.
type TypeRef struct {
	ID   int64
	Name string
}

func (*ContainerTypeDraft) recordType() Type { return ContainerType }

func containerTypeMark(s string) string { return "containertype.name#" + Fold(s) }

var uniqueContainerType = &unique{"CONTAINER_TYPE_DUP_NAME", "A container type with the same name, %q, exists already.", func(r *Record, v string) (bool, error) {
	d, err := Decode[ContainerTypeDoc](r)
	return Fold(d.Name) == Fold(v) && d.ActivityStatus != StatusDisabled, err
}}

func (d *ContainerTypeDraft) want(_ context.Context, b *Batch, c *Change) error {
	b.wantMember(c, ContainerType, d.ID, d.Doc.Name, containerTypeMark)
	return nil
}

func (d *ContainerTypeDraft) read(_ context.Context, b *Batch, c *Change) error {
	b.wantMemberRec(c, d.Doc.Name, containerTypeMark)
	return nil
}

// plan checks the rules of section 17. Types serve the whole system, so only administrators change them (the reference
// leaves the right open).
func (d *ContainerTypeDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	if !b.actor.Super() && !b.actor.InstituteAdmin() {
		return fault.New("RBAC_ADMIN_RIGHTS_REQUIRED", "Only an administrator may create, change or delete container types.")
	}
	rec, was, is, err := begin(ctx, b, c, o, sought{ContainerType, d.ID, d.Doc.Name, containerTypeMark, uniqueContainerType}, &d.Doc, d.Merge)
	if is == nil || err != nil {
		return err
	}
	if rec != nil && gone(is.ActivityStatus) {
		if err := b.unreferenced(ctx, c, rec, "CONTAINER_TYPE_REF_ENTITY_FOUND"); err != nil {
			return err
		}
		return b.retire(ctx, c, o, rec, &was, &was.ActivityStatus, freed{&was.Name, 64, containerTypeMark})
	}
	var l fault.List
	cannotBegin(&l, is.ActivityStatus)
	if is.CanHold, err = d.holds(ctx, b, &l, rec, was.CanHold); err != nil {
		return err
	}
	d.check(&l, is)
	if len(l) > 0 {
		return l
	}
	if rec == nil {
		id, err := b.memberID(ctx, c, ContainerType, d.ID)
		if err != nil {
			return err
		}
		key := SetKey(ContainerType, id)
		b.claim(c, uniqueContainerType, is.Name, containerTypeMark(is.Name), key, id, "")
		return b.insert(c, ContainerType, key, id, is, o)
	}
	if err := b.reclaim(ctx, c, uniqueContainerType, was.Name, is.Name, containerTypeMark, rec); err != nil {
		return err
	}
	return b.change(c, rec, is, o)
}

func (d *ContainerTypeDraft) check(l *fault.List, is *ContainerTypeDoc) {
	if is.Name == "" {
		l.Add("CONTAINER_TYPE_NAME_REQUIRED", "Give the Name of the container type.")
	}
	tooLong(l, "Name", is.Name, 64)
	switch {
	case is.NameFormat == "":
		l.Add("CONTAINER_TYPE_NAME_FORMAT_REQUIRED", "Give the Name Format of the container type.")
	default:
		if _, err := parseContainerName(is.NameFormat); err != nil {
			l.Add("CONTAINER_TYPE_INVALID_NAME_FORMAT", "Name Format %q is not valid: %s.", is.NameFormat, err)
		}
	}
	if is.Rows < 1 || is.Columns < 1 || is.large() {
		l.Add("CONTAINER_TYPE_INVALID_CAPACITY", "Give the number of rows and of columns of the container type, from 1 to %d and at most %d positions.", maxSide, maxCells)
	} else {
		is.Grid.check(l, "STORAGE_CONTAINER_", "CONTAINER_TYPE_INVALID_LABELING_SCHEME")
	}
	status(l, &is.ActivityStatus)
}

// holds resolves the type that containers of this one hold.
func (d *ContainerTypeDraft) holds(ctx context.Context, b *Batch, l *fault.List, rec *Record, was int64) (int64, error) {
	if d.CanHold == nil {
		if d.Merge == nil {
			return 0, nil
		}
		return was, nil
	}
	held, _, err := b.containerType(ctx, *d.CanHold)
	if fault.All(err) != nil {
		l.Append(err)
		return 0, nil
	}
	if err != nil || held == nil || rec == nil {
		return idOf(held), err
	}
	// What the held one holds, and so on, must not lead back here.
	var seen []int64
	for next := held; next != nil && !slices.Contains(seen, next.ID); {
		if next.ID == rec.ID {
			l.Add("CONTAINER_TYPE_CYCLES_NOT_ALLOWED", "A container of this type would hold one of its own type.")
			return 0, nil
		}
		seen = append(seen, next.ID)
		doc, err := Decode[ContainerTypeDoc](next)
		if err != nil {
			return 0, err
		}
		if next, err = b.rec(ctx, setKeyOrNone(ContainerType, doc.CanHold)); err != nil {
			return 0, err
		}
	}
	return held.ID, nil
}

// containerType finds a container type, nil for a reference that names none.
func (b *Batch) containerType(ctx context.Context, ref TypeRef) (*Record, ContainerTypeDoc, error) {
	id, told := ref.ID, any(ref.ID)
	if id <= 0 {
		if ref.Name == "" {
			return nil, ContainerTypeDoc{}, nil
		}
		var err error
		if id, err = b.setID(ctx, containerTypeMark(ref.Name), uniqueContainerType, ref.Name); err != nil {
			return nil, ContainerTypeDoc{}, err
		}
		told = ref.Name
	}
	rec, err := b.rec(ctx, setKeyOrNone(ContainerType, id))
	if err != nil {
		return nil, ContainerTypeDoc{}, err
	}
	doc, err := Decode[ContainerTypeDoc](rec)
	if err == nil && (rec == nil || doc.ActivityStatus == StatusDisabled) {
		err = missing(ContainerType, told)
	}
	return rec, doc, err
}

// setKeyOrNone is the place of a member of a small set, nowhere for id 0.
func setKeyOrNone(t Type, id int64) Key {
	if id == 0 {
		return Key{}
	}
	return SetKey(t, id)
}

// idOf is a record's id, 0 for none.
func idOf(rec *Record) int64 {
	if rec == nil {
		return 0
	}
	return rec.ID
}
