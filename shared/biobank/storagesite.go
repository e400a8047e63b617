package biobank

import (
	"cmp"
	"context"
	"fmt"
)

// Rights by the site of storage (reference openspecimen-rest.md section 8, Evaluation, and 9): in a protocol with
// storageSiteBasedAccess a right on a specimen must hold at the site where the specimen is stored "as well". The reference
// says no more. Here one and the same assignment must give the right in the protocol and at that site; an administrator of an
// institute needs one of its sites to be that site. The site is the one that storageSite shows: that of the container, also of
// one that keeps a cell for what was checked out, else that which received the last shipment. A specimen that is nowhere is
// under the rules of the protocol alone, and so is a new one, but what is made from a specimen is made where that is stored.

// nowhere is a site that nobody has a right at: that of a container which is not there.
const nowhere = -1

// byStorage tells whether the site of storage decides on what the actor may do with specimens of the protocol.
func (d *ProtocolDoc) byStorage(a *Actor) bool { return d.StorageSiteBasedAccess && !a.Super() }

// storedIn is the container that a specimen stands in, or that keeps a cell for it; 0 for none.
func (s *SpecimenDoc) storedIn() int64 {
	if at := cmp.Or(s.Location, s.CheckedOut); at != nil {
		return at.ContainerID
	}
	return 0
}

// treats tells whether the actor holds a right on a specimen of a lineage, in a protocol with these sites, that is stored at
// a site; 0 where that does not decide.
func (a *Actor) treats(op Operation, cp int64, sites []ProtocolSite, lineage string, stored int64) bool {
	return a.canAt(ResSpecimen, op, cp, sites, stored) || lineage == LineageNew && a.canAt(ResPrimarySpecimen, op, cp, sites, stored)
}

// storageSites tells where the specimens among records are stored, by their ids: of those only of which it decides.
func (r *Registry) storageSites(ctx context.Context, a *Actor, protocols map[int64]ProtocolDoc, recs ...*Record) (map[int64]int64, error) {
	var keys []Key
	docs := map[int64]SpecimenDoc{}
	for _, rec := range recs {
		if rec.Type != Specimen {
			continue
		}
		if cp := protocols[protocolOf(rec)]; !cp.byStorage(a) {
			continue
		}
		doc, err := Decode[SpecimenDoc](rec)
		if err != nil {
			return nil, err
		}
		docs[rec.ID] = doc
		if in := doc.storedIn(); in != 0 {
			keys = append(keys, SetKey(Container, in))
		}
	}
	branches := map[int64]*Branch{}
	if len(keys) > 0 {
		found, err := r.Store.Records(ctx, dedupe(keys), true)
		if err != nil {
			return nil, fmt.Errorf("read the containers of specimens: %w", err)
		}
		var containers []*Record
		for _, rec := range found {
			containers = append(containers, rec)
		}
		if branches, err = r.Branches(ctx, containers); err != nil {
			return nil, err
		}
	}
	sites := map[int64]int64{}
	for id, doc := range docs {
		sites[id] = doc.storageSite(branches[doc.storedIn()])
	}
	return sites, nil
}

// storageSite is where a specimen is stored, given the container that it stands in; 0 for nowhere at all.
func (s *SpecimenDoc) storageSite(in *Branch) int64 {
	switch {
	case s.storedIn() == 0:
		return s.Held().SiteID
	case in == nil:
		return nowhere
	}
	return in.Site()
}

// siteOfStored is storageSite within a batch.
func (b *Batch) siteOfStored(ctx context.Context, s *SpecimenDoc) (int64, error) {
	var in *Branch
	rec, err := b.rec(ctx, setKeyOrNone(Container, s.storedIn()))
	if err == nil && rec != nil {
		in, err = b.branch(ctx, rec)
	}
	return s.storageSite(in), err
}

// mayHandle is nil where the batch's actor holds a right on a specimen as it is stored, else the refusal to do what in its
// protocol.
func (b *Batch) mayHandle(ctx context.Context, op Operation, cp *protocolInfo, s *SpecimenDoc, what string) error {
	stored := int64(0)
	if cp.doc.byStorage(b.actor) {
		var err error
		if stored, err = b.siteOfStored(ctx, s); err != nil {
			return err
		}
	}
	if !b.actor.treats(op, cp.id, cp.doc.Sites, s.Lineage, stored) {
		return denied(what + " in collection protocol " + b.actor.calls(cp))
	}
	return nil
}
