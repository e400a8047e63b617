package biobank

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"aliquot/shared/fault"
)

// RoleDoc is a role that administrators made, or a stock one that they changed (reference openspecimen-rest.md section 8).
type RoleDoc struct {
	Name        string                   `json:"name"`
	Description string                   `json:"description,omitempty"`
	Rights      map[Resource][]Operation `json:"rights,omitempty"`
	// ParentID is the role above it, 0 for none. What the hierarchy is for the reference does not say: it is kept and shown, and
	// gives no rights.
	ParentID       int64  `json:"parentId,omitempty"`
	ActivityStatus string `json:"activityStatus"`
}

// RoleDraft is found by ID. The sent rights replace the stored ones. A stock role is stored when it is first changed; it
// keeps its name, by which assignments name it, and is not deleted. Merge is for deletions.
type RoleDraft struct {
	ID     int64
	Parent string // the name of the role above it
	Doc    RoleDoc
	Merge  func(*RoleDoc)
}

func (*RoleDraft) recordType() Type { return RoleType }

// StockRoles are the names of the stock roles, in the order of their ids, which begin at 1.
var stockRoles = [...]string{"Technician", "Coordinator", "Principal Investigator", "Researcher"}

// firstRole is the first id of stored roles: the lower ones are kept for the stock roles.
const firstRole = 100

// stockID is the id of a stock role, 0 for a name that none has.
func stockID(name string) int64 {
	return int64(slices.IndexFunc(stockRoles[:], func(s string) bool { return Fold(s) == Fold(name) }) + 1)
}

// StockRoleNames lists the stock roles; the role at index i has the id i+1.
func StockRoleNames() []string { return slices.Clone(stockRoles[:]) }

// Resources and Operations are the vocabulary of rights.
func Resources() []Resource {
	return []Resource{
		ResProtocol, ResParticipantPhi, ResParticipantDeid, ResConsent, ResVisit, ResReport, ResSpecimen,
		ResPrimarySpecimen, ResContainer, ResDistribution, ResOrder, ResShipping, ResUser, "Query",
		"ScheduledJob", "PrintRule",
	}
}

// Operations lists the operations of rights.
func Operations() []Operation {
	return []Operation{OpCreate, OpRead, OpUpdate, OpDelete, OpLock, OpUnlock, OpExportImport}
}

func roleMark(name string) string { return "role.name#" + Fold(name) }

var uniqueRole = &unique{"RBAC_DUP_ROLE_NAME", "A role with the same name, %q, exists already.", func(r *Record, v string) (bool, error) {
	d, err := Decode[RoleDoc](r)
	return Fold(d.Name) == Fold(v) && d.ActivityStatus != StatusDisabled, err
}}

func (d *RoleDraft) want(_ context.Context, b *Batch, c *Change) error {
	b.wantMember(c, RoleType, d.ID, "", roleMark)
	return nil
}

func (d *RoleDraft) read(context.Context, *Batch, *Change) error { return nil }

func (d *RoleDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	if !b.actor.Super() {
		return adminOnly("create or change roles")
	}
	stock := d.ID != 0 && d.ID <= int64(len(stockRoles))
	if stock {
		if d.Merge != nil || gone(d.Doc.ActivityStatus) || Fold(d.Doc.Name) != Fold(stockRoles[d.ID-1]) {
			return fault.New("COMMON_INVALID_INPUT", "A stock role cannot be deleted or renamed; its rights can be changed.")
		}
		d.Doc.Name = stockRoles[d.ID-1]
		if rec, err := b.rec(ctx, SetKey(RoleType, d.ID)); err != nil {
			return err
		} else if rec == nil {
			return d.store(ctx, b, c, o)
		}
	}
	rec, was, is, err := begin(ctx, b, c, o, sought{RoleType, d.ID, "", roleMark, uniqueRole}, &d.Doc, d.Merge)
	if is == nil || err != nil {
		return err
	}
	if rec != nil && gone(is.ActivityStatus) {
		if err := b.unreferenced(ctx, c, rec, "RBAC_REF_ENTITY_FOUND"); err != nil {
			return err
		}
		return b.retire(ctx, c, o, rec, is, &is.ActivityStatus, freed{&is.Name, 255, roleMark})
	}
	var l fault.List
	if err := d.check(ctx, b, &l, is); err != nil {
		return err
	}
	if !stock && stockID(is.Name) != 0 {
		l.Add(uniqueRole.code, uniqueRole.text, is.Name)
	}
	if len(l) > 0 {
		return l
	}
	if rec == nil {
		n, err := b.number(ctx, c, string(RoleType))
		if err != nil {
			return err
		}
		key := SetKey(RoleType, firstRole+n)
		b.claim(c, uniqueRole, is.Name, roleMark(is.Name), key, firstRole+n, "")
		return b.insert(c, RoleType, key, firstRole+n, is, o)
	}
	if !stock {
		if err := b.reclaim(ctx, c, uniqueRole, was.Name, is.Name, roleMark, rec); err != nil {
			return err
		}
	}
	return b.change(c, rec, is, o)
}

// store plans the first change of a stock role.
func (d *RoleDraft) store(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	is := d.Doc
	var l fault.List
	if err := d.check(ctx, b, &l, &is); err != nil {
		return err
	}
	if len(l) > 0 {
		return l
	}
	return b.insert(c, RoleType, SetKey(RoleType, d.ID), d.ID, &is, o)
}

// check brings a role into its canonical form.
func (d *RoleDraft) check(ctx context.Context, b *Batch, l *fault.List, is *RoleDoc) error {
	if is.Name == "" {
		l.Add("RBAC_ROLE_NAME_REQUIRED", "Give the name of the role.")
	}
	tooLong(l, "Name", is.Name, 255)
	tooLong(l, "Description", is.Description, 1000)
	cannotBegin(l, is.ActivityStatus)
	status(l, &is.ActivityStatus)
	for res, ops := range is.Rights {
		if !slices.Contains(Resources(), res) {
			l.Add("RBAC_RESOURCE_NOT_FOUND", "Resource %q was not found.", res)
		}
		for _, op := range ops {
			if !slices.Contains(Operations(), op) {
				l.Add("RBAC_OPERATION_NOT_FOUND", "Operation %q was not found.", op)
			}
		}
	}
	return d.above(ctx, b, l, is)
}

// above resolves the role above this one, which must not be below it.
func (d *RoleDraft) above(ctx context.Context, b *Batch, l *fault.List, is *RoleDoc) error {
	is.ParentID = 0
	if d.Parent == "" {
		return nil
	}
	id, err := b.role(ctx, d.Parent)
	if fault.All(err) != nil {
		l.Append(err)
		return nil
	} else if err != nil {
		return err
	}
	if id == 0 {
		id = stockID(d.Parent)
	}
	is.ParentID = id
	for seen := []int64{d.ID}; id != 0; {
		if slices.Contains(seen, id) {
			l.Add("RBAC_CYCLE_DETECTED_IN_HIERARCHY", "Role %q is below this role.", d.Parent)
			return nil
		}
		seen = append(seen, id)
		rec, err := b.rec(ctx, SetKey(RoleType, id))
		if err != nil {
			return err
		}
		doc, err := Decode[RoleDoc](rec)
		if err != nil {
			return err
		}
		id = doc.ParentID
	}
	return nil
}

// role finds a role by name: the id of a stored one, 0 for a stock one; a fault for none.
func (b *Batch) role(ctx context.Context, name string) (int64, error) {
	if stockID(name) != 0 {
		return 0, nil
	}
	id, err := b.setID(ctx, roleMark(name), uniqueRole, name)
	if err == nil && id == 0 {
		return 0, fault.New("RBAC_ROLE_NOT_FOUND", "Role %q was not found.", name)
	}
	return id, err
}

// Roles reads the roles that grants name, by their ids, since a name may be given to another role: a stored role that was
// deleted gives no rights, a stock one what it was changed to, else what it was seeded with.
func (r *Registry) Roles(ctx context.Context, grants []Grant) (map[int64]Role, error) {
	roles := map[int64]Role{}
	var keys []Key
	for _, g := range grants {
		id := g.StoredID()
		if role, ok := StockRole(g.Role); ok {
			roles[id] = role
		}
		if id != 0 {
			keys = append(keys, SetKey(RoleType, id))
		}
	}
	if len(keys) == 0 {
		return roles, nil
	}
	recs, err := r.Store.Records(ctx, dedupe(keys), true)
	if err != nil {
		return nil, fmt.Errorf("read roles: %w", err)
	}
	for _, g := range grants {
		doc, err := Decode[RoleDoc](recs[SetKey(RoleType, g.StoredID())])
		if err != nil {
			return nil, err
		}
		if doc.ActivityStatus == StatusActive {
			roles[g.StoredID()] = Role{Name: doc.Name, Rights: doc.Rights}
		}
	}
	return roles, nil
}

// StoredID is the id under which the role of an assignment is stored: that of a stock role may not be. It tells the role,
// which the name does not: a role may have been renamed since, and its name given to another one. 0 is a role that was not
// looked up yet.
func (g *Grant) StoredID() int64 { return cmp.Or(g.RoleID, stockID(g.Role)) }
