package api

import (
	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// Pools of specimens, and specimens that come back (reference openspecimen-rest.md 15.1).

// poolSpecimens serves POST /specimens/pooled: a new primary specimen, as POST /specimens takes it, with the specimens that
// it is pooled from as specimensPool (or pooledSpecimens), each by id, label or barcode.
func poolSpecimens(c *call) (any, error) {
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	d := &biobank.PoolDraft{Specimen: specimenDraft(in)}
	var refs []specimenRef
	for _, name := range []string{"specimensPool", "pooledSpecimens"} {
		for _, one := range in.objects(name) {
			refs = append(refs, one.specimenRef())
		}
	}
	reason := in.text("opComments")
	if err := in.err(); err != nil {
		return nil, err
	}
	if len(refs) > biobank.MaxPool {
		return nil, fault.New("SPECIMEN_REQUIRED", "Give the specimens that are pooled, between 1 and %d.", biobank.MaxPool)
	}
	for _, ref := range refs {
		id, err := c.specimenID(ref)
		if err != nil {
			return nil, err
		}
		d.Members = append(d.Members, id)
	}
	rec, err := c.apply(biobank.Change{Op: biobank.Create, Draft: d, Reason: reason})
	if err != nil {
		return nil, err
	}
	return c.showOne(specimens(), rec)
}

// undeleteSpecimen serves POST /specimens/undelete: {id, includeChildren, reason}.
func undeleteSpecimen(c *call) (any, error) {
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	id, children, reason := in.number("id"), in.flag("includeChildren"), in.text("reason")
	if err := in.err(); err != nil {
		return nil, err
	}
	if id == 0 {
		return nil, fault.New("SPECIMEN_ID_REQUIRED", "Give the id of the specimen.")
	}
	change := biobank.Change{ID: c.id, Reason: reason}
	rec, complete, err := c.api.Registry.Restore(c.Context(), c.actor, c.at, c.at.Add(removalTime), c.api.Now, change, id, children)
	if err != nil {
		return nil, err
	}
	if !complete {
		return nil, unfinished()
	}
	return c.showOne(specimens(), rec)
}

// poolView is a specimen that another was pooled from.
type poolView struct {
	ID      int64   `json:"id"`
	Label   *string `json:"label"`
	Barcode *string `json:"barcode"`
	Type    string  `json:"type"`
}

// fetchPools reads what pools were made of, and the pools that others went into; those that the caller may not see are left
// out.
func (r *related) fetchPools(docs []biobank.SpecimenDoc) error {
	var ids []int64
	for _, doc := range docs {
		ids = append(ids, doc.Pool...)
		if doc.PoolID != 0 {
			ids = append(ids, doc.PoolID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	recs, err := r.c.api.Registry.ByIDs(r.c.Context(), r.c.actor, biobank.Specimen, ids)
	r.pools = map[int64]biobank.SpecimenDoc{}
	for _, rec := range recs {
		if r.pools[rec.ID], err = biobank.Decode[biobank.SpecimenDoc](rec); err != nil {
			return err
		}
	}
	return err
}

// pool fills in what a specimen was pooled from, or the pool that it went into; fetched before.
func (v *specimenView) pool(r *related, doc biobank.SpecimenDoc) {
	if len(doc.Pool) > 0 {
		list := []poolView{}
		for _, id := range doc.Pool {
			if one, ok := r.pools[id]; ok {
				list = append(list, poolView{id, orNull(one.Label), orNull(one.Barcode), one.Type})
			}
		}
		v.SpecimensPool, v.PooledSpecimens = &list, &list
	}
	if doc.PoolID != 0 {
		part := true
		v.PoolSpecimen, v.PooledSpecimenID, v.PooledSpecimenLabel = &part, &doc.PoolID, orNull(r.pools[doc.PoolID].Label)
	}
}
