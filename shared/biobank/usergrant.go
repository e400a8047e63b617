package biobank

import (
	"context"
	"slices"
	"strconv"

	"aliquot/shared/fault"
)

// GrantRef gives a user a role at a named site (none: every site of the user's institute) in a named protocol (none: every
// one).
type GrantRef struct{ Role, Site, Protocol string }

// granted are the roles that the draft gives instead of those that the user has. One that the user has already keeps its id.
func (d *UserDraft) granted(ctx context.Context, b *Batch, l *fault.List, was *UserDoc) ([]Grant, error) {
	var all []Grant
	for _, ref := range d.Grants {
		g := Grant{Role: ref.Role}
		if ref.Role == "" {
			l.Add("RBAC_ROLE_NAME_REQUIRED", "Give the name of each role.")
			continue
		}
		if name, ok := stockRoleName(ref.Role); ok {
			g.Role = name
		}
		known := len(*l)
		if err := told(l, assign(&g.RoleID)(b.role(ctx, g.Role))); err != nil {
			return nil, err
		}
		if err := told(l, assign(&g.SiteID)(b.siteID(ctx, ref.Site))); err != nil {
			return nil, err
		}
		if len(*l) > known {
			continue
		}
		if ref.Protocol != "" {
			cp, err := b.protocol(ctx, ProtocolRef{ShortTitle: ref.Protocol})
			if err == nil && !b.can(ResProtocol, OpRead, cp) {
				err = missing(Protocol, strconv.Quote(ref.Protocol)) // that there is one is not theirs to know
			}
			if fault.All(err) != nil {
				l.Append(err)
				continue
			} else if err != nil {
				return nil, err
			}
			g.ProtocolID = cp.id
		}
		same := func(o Grant) bool {
			return o.StoredID() == g.StoredID() && o.SiteID == g.SiteID && o.ProtocolID == g.ProtocolID
		}
		if slices.ContainsFunc(all, same) {
			l.Add("COMMON_INVALID_INPUT", "Role %q is given twice at the same site and in the same protocol.", g.Role)
			continue
		}
		if i := slices.IndexFunc(was.Roles, same); i >= 0 {
			g = was.Roles[i]
		}
		all = append(all, g)
	}
	return all, nil
}

// numberGrants draws the ids of new assignments.
func (b *Batch) numberGrants(ctx context.Context, c *Change, all []Grant) error {
	fresh := int64(0)
	for _, g := range all {
		if g.ID == 0 {
			fresh++
		}
	}
	if fresh == 0 {
		return nil
	}
	ids, err := b.ownNumbers(ctx, c, "subjectRole", fresh)
	if err != nil {
		return err
	}
	for i := range all {
		if all[i].ID == 0 {
			all[i].ID, ids = ids[0], ids[1:]
		}
	}
	return nil
}
