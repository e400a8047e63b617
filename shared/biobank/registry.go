// Package biobank is the domain: institutes, sites, users, protocols, registrations, visits and specimens, their rules,
// and the registry through which every write goes.
//
// A person's request and an import's row take the same way. The caller says what it wants as a Change: an operation and
// a Draft with the values that were sent. A Batch takes changes and
//
//  1. looks up the marks of the names they mention (a label, a PPID, a visit's name),
//  2. reads the records they touch,
//  3. checks rights and rules and turns each change into conditional writes,
//  4. does the writes in rounds: names, ids, audit entries, records from the leaves up, and last the names given up.
//
// Every write is conditional on its own identity and carries the change's source ("<job>#<row>"), so that doing a change
// again after a crash finds its own items and changes nothing. A name that is taken is looked at again: the same source
// means our own earlier try, another owner means a duplicate, no owner means a leftover that is taken over. A job leaves
// the marks of what it renames and deletes as such leftovers, since a repeat of the row finds by them that it is done: so a
// mark counts only where its record holds the value. The rule, the right and the audit are the same whichever door was
// used.
package biobank

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"aliquot/shared/fault"
)

// Registry is the one way to write records. It may be used by several goroutines.
type Registry struct {
	Store Store
}

// Change is one thing asked for.
type Change struct {
	Op    Op
	Draft Draft
	// Source is "<job>#<row>" of an import and makes a repeat harmless; empty for a person.
	Source string
	// ID names the change in the audit: the source of an import, the request id of a person.
	ID     string
	Reason string
	// Reserved holds the first of the numbers set aside for the job, by counter; row n takes first + n. A counter that is
	// not in it is drawn from the store.
	Reserved map[string]int64
	Row      int64
	// Each is how many numbers are set aside for each row, where one may make several objects: Row is the place of the row's
	// first. 0 where they are for one object, or none are set aside for all rows.
	Each int64
	// Kin is the row's place (from 0) among the rows of the job whose name is counted under the same parent.
	Kin int64
	// ByID tells that the draft's id alone says which object to update: where it names none, no other is looked for by the
	// values sent.
	ByID bool
	// Shared tells that a later change of the batch may look at what this one writes.
	Shared bool
	// numbers are those of a specimen of a large collection, nil for any other change.
	numbers *drawnNumbers
}

// Outcome is what became of a change.
type Outcome struct {
	// Record is the record written, or found unchanged.
	Record *Record
	// Err is nil, or the faults of this change; nothing of it was written then.
	Err error
	// Changed is false where the change found everything as asked for.
	Changed bool
	// PPID, VisitName and Label are the names of what a registration, visit, specimen or master change wrote.
	PPID, VisitName, Label string
}

// ErrTransaction means that a condition of a transaction failed; the results tell which.
var ErrTransaction = errors.New("transaction condition failed")

// Apply does changes for a person: each one whole or not at all, in order.
func (r *Registry) Apply(ctx context.Context, a *Actor, at time.Time, changes []Change) ([]Outcome, error) {
	b := r.newBatch(a, at)
	out := make([]Outcome, 0, len(changes))
	for i := range changes {
		changes[i].Shared = true
		o, err := b.apply(ctx, changes[i:i+1])
		if err != nil {
			return out, err
		}
		out = append(out, o...)
	}
	return out, nil
}

// Import begins a batch for a job's rows: writes go in rounds of independent conditional writes rather than in
// transactions. On a retry the batch looks first for what an earlier try has done. Days are counted in zone. A batch is
// for one goroutine.
func (r *Registry) Import(a *Actor, at time.Time, zone *time.Location, retry bool) *Batch {
	b := r.newBatch(a, at)
	b.bulk, b.retry, b.zone = true, retry, zone
	return b
}

// notFound are the reference's codes for an id that is unknown or deleted (section 3).
var notFound = map[Type]struct{ code, noun string }{
	Institute: {"INSTITUTE_NOT_FOUND", "Institute"}, Site: {"SITE_NOT_FOUND", "Site"}, User: {"USER_NOT_FOUND", "User"},
	Protocol: {"CP_NOT_FOUND", "Collection protocol"}, Event: {"CPE_NOT_FOUND", "Event"},
	Requirement: {"SR_NOT_FOUND", "Specimen requirement"}, Registration: {"CPR_M_NOT_FOUND", "Registration"},
	Visit: {"VISIT_NOT_FOUND", "Visit"}, Specimen: {"SPECIMEN_NOT_FOUND", "Specimen"},
	RoleType: {"RBAC_ROLE_NOT_FOUND", "Role"}, DistributionProtocol: {"DP_NOT_FOUND", "Distribution protocol"},
	Order:    {"DIST_ORDER_NOT_FOUND", "Order"},
	FormType: {"FORMS_NOT_FOUND", "Form"}, Participant: {"PARTICIPANT_NOT_FOUND", "Participant"},
	ContextType: {"FORMS_INVALID_FORM_CTXT", "Form association"}, FormRecordType: {"FORMS_REC_NOT_FOUND", "Form record"},
	Cart: {"SPECIMEN_LIST_NOT_FOUND", "Cart"}, Shipment: {"SHIPMENT_NOT_FOUND", "Shipment"},
	Container: {"STORAGE_CONTAINER_NOT_FOUND", "Container"}, ContainerType: {"CONTAINER_TYPE_NOT_FOUND", "Container type"},
	ConsentStatement: {"CONSENT_STATEMENT_NOT_FOUND", "Consent statement"}, SettingType: {"COMMON_INVALID_INPUT", "Record of settings"},
}

func missing(t Type, what any) *fault.Fault {
	nf := notFound[t]
	return fault.New(nf.code, "%s %v was not found.", nf.noun, what)
}

// Get reads an object by id, strongly, for someone with the right to read it. Unknown and deleted ids give the
// reference's not-found code, a missing right RBAC_ACCESS_DENIED.
func (r *Registry) Get(ctx context.Context, a *Actor, t Type, id int64) (*Record, error) {
	rec, err := r.byID(ctx, t, id)
	if err != nil {
		return nil, err
	}
	if rec == nil || statusOf(rec) == StatusDisabled {
		return nil, missing(t, id)
	}
	if err := r.mayRead(ctx, a, rec); err != nil {
		return nil, err
	}
	return rec, nil
}

func (r *Registry) byID(ctx context.Context, t Type, id int64) (*Record, error) {
	if !scattered(t) {
		return r.at(ctx, SetKey(t, id))
	}
	name := IDMark(t, id)
	for was := (Key{}); ; {
		marks, err := r.Store.Marks(ctx, []string{name}, true)
		if err != nil {
			return nil, fmt.Errorf("look up %s: %w", name, err)
		}
		key := marks[name].To
		if key == was {
			return nil, nil // there is none, or an id that was left without its record
		}
		rec, err := r.at(ctx, key)
		if err != nil || rec != nil {
			return rec, err
		}
		was = key // unless it has moved since the mark was read
		forgetMarks(ctx, name)
	}
}

// at reads a record with what lies around it, by which its reader's right is told and its view is made.
func (r *Registry) at(ctx context.Context, key Key) (*Record, error) {
	recs, err := r.Store.Records(ctx, append(around(key), key), true)
	if err != nil {
		return nil, fmt.Errorf("read record %s: %w", key.Sort, err)
	}
	return recs[key], nil
}

// around are the keys of what lies around a record of a protocol: the protocol, and what is above it in its tree.
func around(key Key) []Key {
	cp := key.Protocol()
	if cp == 0 {
		return nil
	}
	keys := []Key{SetKey(Protocol, cp)}
	for range strings.Count(key.Sort, "/") {
		if key = key.Above(1); key.Sort != "event" { // which is no record
			keys = append(keys, key)
		}
	}
	return keys
}

// mayRead is nil where the actor may see a record; what belongs to a deleted protocol was deleted with it.
func (r *Registry) mayRead(ctx context.Context, a *Actor, rec *Record) error {
	if rec.Type == Container {
		all, err := r.Branches(ctx, []*Record{rec})
		if err == nil && !a.HoldsAt(ResContainer, OpRead, all[rec.ID].Site()) {
			err = denied("see this container")
		}
		return err
	}
	var doc ProtocolDoc
	cp := protocolOf(rec)
	if cp != 0 {
		key := SetKey(Protocol, cp)
		recs, err := r.Store.Records(ctx, []Key{key}, true)
		if err != nil {
			return fmt.Errorf("read protocol %d: %w", cp, err)
		}
		if doc, err = Decode[ProtocolDoc](recs[key]); err != nil {
			return err
		}
		if doc.ActivityStatus == StatusDisabled && rec.Type != Protocol || recs[key] == nil { // of a copy that was cut short
			return missing(rec.Type, rec.ID)
		}
	}
	deciding, err := r.deciding(ctx, a, map[int64]ProtocolDoc{cp: doc}, rec)
	if err != nil {
		return err
	}
	sees, err := a.sees(rec, doc.Sites, deciding)
	if err == nil && !sees && rec.Type == Cart {
		return notYourCart()
	}
	switch {
	case err != nil:
	case !sees:
		err = denied("see this " + notFound[rec.Type].noun)
	case doc.hides(rec):
		err = notAllowed(a.callsProtocol(rec.Key.Protocol(), &doc))
	}
	return err
}

// deciding is what decides, beside its protocol, on who may see a record: the distribution protocols of orders, by their
// ids, and the sites that specimens are stored at, by the specimens' ids.
type deciding struct {
	givers givers
	stored map[int64]int64
}

// deciding reads what decides on who may see records, given the protocols that they lie in.
func (r *Registry) deciding(ctx context.Context, a *Actor, protocols map[int64]ProtocolDoc, recs ...*Record) (deciding, error) {
	givers, err := r.givers(ctx, recs...)
	if err != nil {
		return deciding{}, err
	}
	stored, err := r.storageSites(ctx, a, protocols, recs...)
	return deciding{givers, stored}, err
}

// sees tells whether the actor may see a record that lies in a protocol with these sites.
func (a *Actor) sees(rec *Record, sites []ProtocolSite, by deciding) (bool, error) {
	res := Resource("")
	switch rec.Type {
	case Institute, Site, User, RoleType, FormType, ContextType, ContainerType, ConsentStatement:
		return true, nil
	case Protocol, Event, Requirement, Workflows:
		res = ResProtocol
	case Registration:
		res = ResParticipantDeid
	case Visit:
		res = ResVisit
	case DistributionProtocol:
		doc, err := Decode[DistributionDoc](rec)
		return a.distributes(ResDistribution, OpRead, &doc), err
	case Shipment:
		doc, err := Decode[ShipmentDoc](rec)
		return a.ships(OpRead, &doc), err
	case Cart:
		doc, err := Decode[CartDoc](rec)
		return a.uses(&doc), err
	case Order:
		doc, err := Decode[OrderDoc](rec)
		dp := by.givers[doc.DistributionID]
		return a.distributes(ResOrder, OpRead, &dp), err
	}
	cp := protocolOf(rec)
	if rec.Type == Specimen {
		stored := by.stored[rec.ID]
		if a.canAt(ResSpecimen, OpRead, cp, sites, stored) {
			return true, nil
		}
		if !a.canAt(ResPrimarySpecimen, OpRead, cp, sites, stored) {
			return false, nil
		}
		doc, err := Decode[SpecimenDoc](rec)
		return doc.Lineage == LineageNew, err
	}
	return a.Can(res, OpRead, cp, sites) || res == ResParticipantDeid && a.Can(ResParticipantPhi, OpRead, cp, sites), nil
}

// Sees tells whether the actor may see a collection or distribution protocol; nobody sees one that is not there.
func (a *Actor) Sees(rec *Record) (bool, error) {
	if rec == nil {
		return false, nil
	}
	doc, err := Decode[ProtocolDoc](rec)
	if err != nil {
		return false, err
	}
	return a.sees(rec, doc.Sites, deciding{})
}

// SeesDistribution tells whether the actor may see a distribution protocol; nobody sees one that is not there or was deleted.
func (a *Actor) SeesDistribution(rec *Record) (bool, error) {
	if rec == nil || statusOf(rec) == StatusDisabled {
		return false, nil
	}
	doc, err := Decode[DistributionDoc](rec)
	return err == nil && a.distributes(ResDistribution, OpRead, &doc), err
}

func (r *Registry) protocolSites(ctx context.Context, cp int64) ([]ProtocolSite, error) {
	doc, err := r.protocolDoc(ctx, cp)
	return doc.Sites, err
}

// protocolDoc is a protocol by id, empty for none.
func (r *Registry) protocolDoc(ctx context.Context, cp int64) (ProtocolDoc, error) {
	key := SetKey(Protocol, cp)
	recs, err := r.Store.Records(ctx, []Key{key}, true)
	if err != nil {
		return ProtocolDoc{}, fmt.Errorf("read protocol %d: %w", cp, err)
	}
	return Decode[ProtocolDoc](recs[key])
}

// SeesPHI tells whether the actor may see identifying values in the protocol.
func (r *Registry) SeesPHI(ctx context.Context, a *Actor, cp int64) (bool, error) {
	if a.Super() {
		return true, nil
	}
	sites, err := r.protocolSites(ctx, cp)
	if err != nil {
		return false, err
	}
	return a.Can(ResParticipantPhi, OpRead, cp, sites), nil
}

// Fetch reads related records strongly, without a check of rights: for callers that show parts of what Get allowed.
func (r *Registry) Fetch(ctx context.Context, keys ...Key) (map[Key]*Record, error) {
	return r.Store.Records(ctx, keys, true)
}

// UserOf finds the user that a reference names: by id, else e-mail address, else login name. Unknown and deleted ones give
// USER_NOT_FOUND.
func (r *Registry) UserOf(ctx context.Context, ref UserRef) (*Record, error) {
	var rec *Record
	var err error
	switch {
	case ref.ID != 0:
		rec, err = r.byID(ctx, User, ref.ID)
	case ref.Email != "":
		rec, err = r.UserByEmail(ctx, ref.Email)
	case ref.Login != "":
		rec, err = r.UserByLogin(ctx, cmp.Or(ref.Domain, Domain), ref.Login)
	default:
		return nil, fault.New("USER_NOT_FOUND", "Give the user: id, emailAddress or loginName.")
	}
	if err == nil && (rec == nil || statusOf(rec) == StatusDisabled) {
		err = missing(User, cmp.Or(ref.Email, ref.Login, strconv.FormatInt(ref.ID, 10)))
	}
	return rec, err
}

// UserByLogin finds a user by domain and login name, without regard to case; nil when there is none.
func (r *Registry) UserByLogin(ctx context.Context, domain, login string) (*Record, error) {
	return r.userNamed(ctx, loginMark(domain, login), func(doc UserDoc) string { return loginMark(doc.DomainName, doc.LoginName) })
}

// UserByEmail finds a user by e-mail address, without regard to case; nil when there is none.
func (r *Registry) UserByEmail(ctx context.Context, email string) (*Record, error) {
	return r.userNamed(ctx, emailMark(email), func(doc UserDoc) string { return emailMark(doc.EmailAddress) })
}

// userNamed finds the user whom a mark leads to, nil where there is none or the mark is a leftover.
func (r *Registry) userNamed(ctx context.Context, name string, markOf func(UserDoc) string) (*Record, error) {
	if len(name) > maxMark {
		return nil, nil
	}
	marks, err := r.Store.Marks(ctx, []string{name}, true)
	if err != nil {
		return nil, fmt.Errorf("look up a user: %w", err)
	}
	m, ok := marks[name]
	if !ok {
		return nil, nil
	}
	rec, err := r.byID(ctx, User, m.ID)
	if err != nil || rec == nil {
		return nil, err
	}
	doc, err := Decode[UserDoc](rec)
	if err != nil {
		return nil, err
	}
	if markOf(doc) != name {
		return nil, nil // a leftover: the user has another name now
	}
	return rec, nil
}

// statusOf reads the activity status out of a stored object.
func statusOf(rec *Record) string {
	doc, err := Decode[struct {
		ActivityStatus string `json:"activityStatus"`
	}](rec)
	if err != nil {
		return ""
	}
	return doc.ActivityStatus
}
