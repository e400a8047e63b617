package biobank

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
)

// History is what became of an object: its creation, then each change, oldest first.
type History struct {
	Record *Record
	// Verified tells that the entries lead from the object back to its creation without a gap or a change.
	Verified bool
	Entries  []*Entry
}

// History reads the audit of an object, deleted or not, for those who may see it; of institutes, sites, users and roles for
// their administrators. What identifies a person is masked for those without the right to it. Of a chain that does not
// hold all entries are told, and that it does not.
func (r *Registry) History(ctx context.Context, a *Actor, t Type, id int64) (*History, error) {
	rec, err := r.byID(ctx, t, id)
	if err != nil {
		return nil, err
	}
	if rec == nil {
		return nil, missing(t, id)
	}
	hidden, err := r.mayAudit(ctx, a, rec)
	if err != nil {
		return nil, err
	}
	trail, err := r.Store.Trail(ctx, t, id)
	if err != nil {
		return nil, fmt.Errorf("read the audit of %s %d: %w", t, id, err)
	}
	chain, broken := VerifyChain(rec, trail)
	if broken != nil {
		chain = trail
	}
	first, err := creation(rec, chain)
	if err != nil {
		return nil, err
	}
	h := &History{Record: rec, Verified: broken == nil, Entries: append([]*Entry{first}, chain...)}
	for _, e := range h.Entries {
		if e.Before, err = without(hidden, e.Before); err != nil {
			return nil, err
		}
		if e.After, err = without(hidden, e.After); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// mayAudit is nil where the actor may see the object's audit, and tells which of its members not.
func (r *Registry) mayAudit(ctx context.Context, a *Actor, rec *Record) (hidden []string, err error) {
	if owner, _ := rec.Key.FormOwner(); !owner.IsZero() {
		return r.mayAuditFormRecord(ctx, a, rec, owner)
	}
	cp := protocolOf(rec)
	if cp == 0 {
		ours := a.Super()
		switch rec.Type {
		case DistributionProtocol, Order, Cart, Shipment:
			by, err := r.deciding(ctx, a, nil, rec)
			if err != nil {
				return nil, err
			}
			if ours, err = a.sees(rec, nil, by); err != nil {
				return nil, err
			}
		case FormType:
			ours = a.ManagesForms()
		case Container:
			all, err := r.Branches(ctx, []*Record{rec})
			if err != nil {
				return nil, err
			}
			ours = a.HoldsAt(ResContainer, OpRead, all[rec.ID].Site())
		case ContainerType:
			ours = ours || a.InstituteAdmin()
		case Site:
			ours = ours || a.AdministersSite(rec.ID)
		case User:
			doc, err := Decode[UserDoc](rec)
			if err != nil {
				return nil, err
			}
			ours = ours || a.InstituteAdmin() && doc.InstituteID == a.User.InstituteID
		}
		if !ours {
			return nil, denied("see the audit of this " + notFound[rec.Type].noun)
		}
		return nil, nil
	}
	doc, err := r.protocolDoc(ctx, cp)
	if err != nil {
		return nil, err
	}
	by, err := r.deciding(ctx, a, map[int64]ProtocolDoc{cp: doc}, rec)
	if err != nil {
		return nil, err
	}
	sites := doc.Sites
	sees, err := a.sees(rec, sites, by)
	if err == nil && !sees {
		err = denied("see the audit of this " + notFound[rec.Type].noun)
	}
	if !a.Can(ResParticipantPhi, OpRead, cp, sites) {
		hidden = append(hidden, phiMembers(rec.Type)...)
	}
	if rec.Type == Registration && !a.Can(ResConsent, OpRead, cp, sites) {
		hidden = append(hidden, "consents")
	}
	if rec.Type == Registration && !a.Super() {
		hidden = append(hidden, "others") // in which other protocols the person is
	}
	return hidden, err
}

// creation is the entry that a record carries in itself: the object as it is now, with what the changes replaced put back.
func creation(rec *Record, chain []*Entry) (*Entry, error) {
	doc := map[string]json.RawMessage{}
	if err := json.Unmarshal(rec.Doc, &doc); err != nil {
		return nil, fmt.Errorf("decode %s %d: %w", rec.Type, rec.ID, err)
	}
	for i := len(chain) - 1; i >= 0; i-- {
		before, err := membersOf(chain[i].Before)
		if err != nil {
			return nil, fmt.Errorf("decode an audit entry of %s %d: %w", rec.Type, rec.ID, err)
		}
		after, err := membersOf(chain[i].After)
		if err != nil {
			return nil, fmt.Errorf("decode an audit entry of %s %d: %w", rec.Type, rec.ID, err)
		}
		for name := range after {
			delete(doc, name)
		}
		for name, v := range before {
			doc[name] = v
		}
	}
	body, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	return &Entry{
		Type: rec.Type, ID: rec.ID, Version: 1, Change: cmp.Or(rec.Source, rec.Request), At: rec.CreatedAt, By: rec.CreatedBy,
		Reason: rec.Reason, From: rec.From, After: body,
	}, nil
}

// phiMembers are the members of an object that may identify a person.
func phiMembers(t Type) []string {
	switch t {
	case Registration:
		return []string{"participant", "externalSubjectId", "extension"}
	case Visit:
		return []string{"comments", "surgicalPathologyNumber", "report", "extension"}
	case Specimen:
		return []string{"extension"}
	case FormRecordType:
		return []string{"values"}
	}
	return nil
}

// without masks members of an object.
func without(names []string, doc json.RawMessage) (json.RawMessage, error) {
	if len(doc) == 0 || len(names) == 0 {
		return doc, nil
	}
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(doc, &members); err != nil {
		return nil, fmt.Errorf("mask an audit entry: %w", err)
	}
	for _, name := range names {
		if _, ok := members[name]; ok {
			members[name] = json.RawMessage(`"` + Masked + `"`)
		}
	}
	return json.Marshal(members)
}
