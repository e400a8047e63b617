package biobank

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"aliquot/shared/fault"
)

// Resource is what a right is about (reference openspecimen-rest.md section 8).
type Resource string

// The resources.
const (
	ResProtocol        Resource = "CollectionProtocol"
	ResParticipantPhi  Resource = "ParticipantPhi"
	ResParticipantDeid Resource = "ParticipantDeid"
	ResConsent         Resource = "Consent"
	ResVisit           Resource = "Visit"
	ResReport          Resource = "SurgicalPathologyReport"
	ResSpecimen        Resource = "Specimen"
	ResPrimarySpecimen Resource = "PrimarySpecimen"
	ResContainer       Resource = "StorageContainer"
	ResUser            Resource = "User"
	ResDistribution    Resource = "DistributionProtocol"
	ResOrder           Resource = "Order"
	ResShipping        Resource = "ShippingAndTracking"
)

// Operation is what a right allows.
type Operation string

// The operations.
const (
	OpCreate       Operation = "Create"
	OpRead         Operation = "Read"
	OpUpdate       Operation = "Update"
	OpDelete       Operation = "Delete"
	OpExportImport Operation = "Export Import"
	OpLock         Operation = "Lock"
	OpUnlock       Operation = "Unlock"
)

// Role is a named set of rights.
type Role struct {
	Name   string
	Rights map[Resource][]Operation
}

var (
	opsRead = []Operation{OpRead}
	opsAll  = []Operation{OpCreate, OpRead, OpUpdate, OpDelete, OpExportImport}
	opsLock = []Operation{OpCreate, OpRead, OpUpdate, OpDelete, OpLock, OpUnlock}
	opsEdit = []Operation{OpCreate, OpRead, OpUpdate, OpExportImport}
)

// StockRole returns a seeded role by name. Technician is as recorded from a real server; the others' rights are ours,
// since the reference leaves them open (section 24).
func StockRole(name string) (Role, bool) {
	switch name {
	case "Technician":
		return Role{name, map[Resource][]Operation{
			ResParticipantDeid: opsRead, ResProtocol: opsRead, ResContainer: opsRead, ResDistribution: opsRead,
			ResVisit: opsAll, ResSpecimen: opsAll, ResOrder: opsAll, "Query": opsAll, ResShipping: opsAll,
		}}, true
	case "Coordinator":
		return Role{name, map[Resource][]Operation{
			ResParticipantPhi: opsAll, ResParticipantDeid: opsAll, ResProtocol: opsRead, ResConsent: opsAll,
			ResVisit: opsAll, ResReport: opsLock, ResSpecimen: opsAll, ResContainer: opsRead,
			ResDistribution: opsRead, ResOrder: opsAll, ResShipping: opsAll,
		}}, true
	case "Principal Investigator":
		return Role{name, map[Resource][]Operation{
			ResParticipantPhi: opsAll, ResParticipantDeid: opsAll, ResProtocol: opsEdit, ResConsent: opsAll,
			ResVisit: opsAll, ResReport: opsLock, ResSpecimen: opsAll, ResContainer: opsRead, ResUser: opsRead,
			ResDistribution: opsEdit, ResOrder: opsAll, ResShipping: opsAll,
		}}, true
	case "Researcher":
		return Role{name, map[Resource][]Operation{
			ResParticipantDeid: opsRead, ResProtocol: opsRead, ResVisit: opsRead, ResSpecimen: opsRead,
			ResDistribution: opsRead, ResOrder: opsRead,
		}}, true
	}
	return Role{}, false
}

// stockRoleName is the name of a stock role as we write it, however it was sent.
func stockRoleName(sent string) (string, bool) {
	for _, name := range StockRoleNames() {
		if Fold(name) == Fold(sent) {
			return name, true
		}
	}
	return "", false
}

// Actor is a user with what decides on rights, read for one request or one chunk and never cached beyond.
type Actor struct {
	ID   int64
	User UserDoc
	// From is the caller's address, for the audit; By is who acts as the actor, 0 for nobody else.
	From  string
	By    int64
	roles map[int64]Role // by their ids, as Grant.StoredID tells them
	// sites are those of the actor's institute.
	sites map[int64]bool
}

// Actor reads a user with roles and rights, strongly. An unknown user, or one who may not act, is a fault.
func (r *Registry) Actor(ctx context.Context, userID int64) (*Actor, error) {
	recs, err := r.Store.Records(ctx, []Key{SetKey(User, userID)}, true)
	if err != nil {
		return nil, fmt.Errorf("read user %d: %w", userID, err)
	}
	return r.ActorOf(ctx, userID, recs[SetKey(User, userID)])
}

// ActorOf is Actor for a user whose record was read; nil for one who does not exist.
func (r *Registry) ActorOf(ctx context.Context, userID int64, rec *Record) (*Actor, error) {
	if rec == nil {
		return nil, fault.New("USER_NOT_FOUND", "User %d does not exist.", userID)
	}
	doc, err := Decode[UserDoc](rec)
	if err != nil {
		return nil, err
	}
	if doc.Type == UserContact {
		return nil, fault.New("USER_INACTIVE", "User %d may not sign in or import: contacts cannot.", userID)
	}
	if !doc.MaySignIn() {
		return nil, fault.New("USER_INACTIVE", "User %s may not sign in or import: the account is %s.", doc.LoginName, doc.ActivityStatus)
	}
	a := &Actor{ID: userID, User: doc}
	if a.roles, err = r.Roles(ctx, doc.Roles); err != nil {
		return nil, err
	}
	if a.Super() || doc.InstituteID == 0 {
		return a, nil
	}
	a.sites = map[int64]bool{}
	sites, err := r.Store.List(ctx, string(Site), "", "", 0)
	if err != nil {
		return nil, fmt.Errorf("list sites: %w", err)
	}
	for _, s := range sites {
		site, err := Decode[SiteDoc](s)
		if err != nil {
			return nil, err
		}
		if site.InstituteID == doc.InstituteID {
			a.sites[s.ID] = true
		}
	}
	return a, nil
}

// reason is why the actor changes something, with who acts as the actor.
func (a *Actor) reason(given string) string {
	if a.By == 0 {
		return given
	}
	return strings.TrimSuffix(fmt.Sprintf("By user %d as user %d: %s", a.By, a.ID, given), ": ")
}

// Super tells whether the actor may do everything.
func (a *Actor) Super() bool { return a.User.Type == UserSuper }

// InstituteAdmin tells whether the actor may do everything at the sites of the own institute.
func (a *Actor) InstituteAdmin() bool { return a.User.Type == UserInstitute }

// Can tells whether the actor holds the right in a protocol with these sites. A grant counts for a protocol when it names
// it or none, and when one of the protocol's sites is its site, or, where it names none, a site of the actor's institute
// (reference openspecimen-rest.md section 8, Evaluation).
func (a *Actor) Can(res Resource, op Operation, protocol int64, sites []ProtocolSite) bool {
	return a.canAt(res, op, protocol, sites, 0)
}

// canAt is Can for what is stored at a site: a grant counts when it counts there, too. 0 is for what no site of storage
// decides on.
func (a *Actor) canAt(res Resource, op Operation, protocol int64, sites []ProtocolSite, stored int64) bool {
	if a.Super() {
		return true
	}
	ours := slices.ContainsFunc(sites, func(s ProtocolSite) bool { return a.sites[s.SiteID] }) && (stored == 0 || a.sites[stored])
	if a.InstituteAdmin() {
		return ours
	}
	for _, g := range a.User.Roles {
		if g.ProtocolID != 0 && g.ProtocolID != protocol {
			continue
		}
		if g.SiteID == 0 && !ours {
			continue
		}
		if g.SiteID != 0 && !slices.ContainsFunc(sites, func(s ProtocolSite) bool { return s.SiteID == g.SiteID }) {
			continue
		}
		if g.SiteID != 0 && stored != 0 && g.SiteID != stored {
			continue
		}
		if slices.Contains(a.roles[g.StoredID()].Rights[res], op) {
			return true
		}
	}
	return false
}

// CanImport tells whether the actor may upload import files at all: administrators, and users with an Export Import
// right on some resource (reference openspecimen-import-query.md 3.8).
func (a *Actor) CanImport() bool { return a.holdsSomewhere(OpExportImport) }

// CanWrite tells whether the actor may create or change anything at all.
func (a *Actor) CanWrite() bool { return a.holdsSomewhere(OpCreate, OpUpdate) }

// holdsSomewhere tells whether the actor holds one of the rights on some resource, in whatever protocol and at whatever site.
func (a *Actor) holdsSomewhere(any ...Operation) bool {
	if a.Super() || a.InstituteAdmin() {
		return true
	}
	for _, g := range a.User.Roles {
		for _, ops := range a.roles[g.StoredID()].Rights {
			if slices.ContainsFunc(ops, func(op Operation) bool { return slices.Contains(any, op) }) {
				return true
			}
		}
	}
	return false
}

// HoldsAt tells whether the actor holds the right at a site, in whatever protocol.
func (a *Actor) HoldsAt(res Resource, op Operation, site int64) bool {
	if a.Super() || a.InstituteAdmin() {
		return a.Super() || a.sites[site]
	}
	return slices.ContainsFunc(a.User.Roles, func(g Grant) bool {
		here := g.SiteID == site || g.SiteID == 0 && a.sites[site]
		return here && slices.Contains(a.roles[g.StoredID()].Rights[res], op)
	})
}

// WorksAt tells whether the actor administers a site or has a role that counts there.
func (a *Actor) WorksAt(site int64) bool {
	return a.AdministersSite(site) || slices.ContainsFunc(a.User.Roles, func(g Grant) bool { return g.SiteID == site || g.SiteID == 0 && a.sites[site] })
}

// AdministersSite tells whether the actor may change a site: super administrators, and those of its institute.
func (a *Actor) AdministersSite(id int64) bool {
	return a.Super() || a.InstituteAdmin() && a.sites[id]
}

// calls is how a protocol is named to the actor: by its short title to who may see it, else by its id, so that nobody learns
// titles by guessing ids.
func (a *Actor) calls(cp *protocolInfo) string { return a.callsProtocol(cp.id, &cp.doc) }

func (a *Actor) callsProtocol(id int64, doc *ProtocolDoc) string {
	return titleFor(a.Can(ResProtocol, OpRead, id, doc.Sites), id, doc.ShortTitle)
}

// callsDistribution is the same of a distribution protocol.
func (a *Actor) callsDistribution(id int64, doc *DistributionDoc) string {
	return titleFor(a.distributes(ResDistribution, OpRead, doc), id, doc.ShortTitle)
}

func titleFor(seen bool, id int64, title string) string {
	if seen {
		return strconv.Quote(title)
	}
	return strconv.FormatInt(id, 10)
}

// denied is the answer to whoever lacks a right.
func denied(what string) *fault.Fault {
	return fault.New("RBAC_ACCESS_DENIED", "You do not have the right to %s.", what)
}

// adminOnly is the answer to whoever is no administrator of what is to be changed.
func adminOnly(what string) *fault.Fault {
	return fault.New("RBAC_ADMIN_RIGHTS_REQUIRED", "Only an administrator may %s.", what)
}
