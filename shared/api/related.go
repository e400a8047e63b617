package api

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"aliquot/shared/biobank"
)

// related are the records that an answer shows parts of: the names of sites, institutes, users and protocols, the visit
// above a specimen. They are fetched in rounds; one that does not exist shows as null.
type related struct {
	c    *call
	recs map[biobank.Key]*biobank.Record
	// below are the records of a key's subtree, where a view needs them.
	below map[biobank.Key][]*biobank.Record
	// counts are what includeStats asks for, by id; nil when it does not.
	counts map[int64]int64
	// stars are what the caller has starred, by id.
	stars map[int64]bool
	// sizes are how much lies in protocols, by id; nil when nobody asks.
	sizes map[int64]biobank.TreeSize
	// pools are the specimens of pools, and pools, by id.
	pools map[int64]biobank.SpecimenDoc
	// branches are containers with what they lie in, by id; held is who holds the cells of those of which that is told.
	// Of a single one it is always told, of several when stats asks for it.
	branches map[int64]*biobank.Branch
	held     map[int64][]biobank.Occupant
	stats    bool
	// forms are those of custom fields, by id; nil for one that is deleted.
	forms map[int64]*biobank.Form
	// roles are all there are, by id; nil before they were read.
	roles map[int64]biobank.RoleDoc
}

func (c *call) related() *related {
	return &related{c: c, recs: map[biobank.Key]*biobank.Record{}, below: map[biobank.Key][]*biobank.Record{}, forms: map[int64]*biobank.Form{}}
}

// fetch reads the records at keys that are not there yet, in one round.
func (r *related) fetch(keys ...biobank.Key) error {
	keys = slices.DeleteFunc(slices.Clone(keys), func(k biobank.Key) bool {
		_, known := r.recs[k]
		return known || k.IsZero()
	})
	slices.SortFunc(keys, func(a, b biobank.Key) int {
		return cmp.Or(strings.Compare(a.Part, b.Part), strings.Compare(a.Sort, b.Sort))
	})
	keys = slices.Compact(keys)
	if len(keys) == 0 {
		return nil
	}
	got, err := r.c.api.Registry.Fetch(r.c.Context(), keys...)
	if err != nil {
		return err
	}
	for _, k := range keys {
		r.recs[k] = got[k]
	}
	return nil
}

// count fills counts, if the caller asked for statistics: how many live members of a small set name each id.
func (r *related) count(t biobank.Type, named func(*biobank.Record) ([]int64, error)) error {
	if !r.c.stats {
		return nil
	}
	all, err := r.c.api.Registry.Members(r.c.Context(), r.c.actor, t)
	if err != nil {
		return err
	}
	r.counts = map[int64]int64{}
	for _, rec := range all {
		ids, err := named(rec)
		if err != nil {
			return err
		}
		for _, id := range ids {
			r.counts[id]++
		}
	}
	return nil
}

// fetchWith reads records together with users, and then what the users' summaries name: mostly nothing more, since most of
// them are of the caller's institute.
func (r *related) fetchWith(users []int64, keys ...biobank.Key) error {
	if len(users) > 0 {
		keys = append(keys, setKey(biobank.Institute, r.c.actor.User.InstituteID))
	}
	for _, id := range users {
		keys = append(keys, setKey(biobank.User, id))
	}
	if err := r.fetch(keys...); err != nil {
		return err
	}
	return r.fetchUsers(users...)
}

// fetchUsers reads users with the institutes and sites that their summaries name.
func (r *related) fetchUsers(ids ...int64) error {
	var keys []biobank.Key
	for _, id := range ids {
		keys = append(keys, setKey(biobank.User, id))
	}
	if err := r.fetch(keys...); err != nil {
		return err
	}
	var names []biobank.Key
	for _, k := range keys {
		u, err := biobank.Decode[biobank.UserDoc](r.recs[k])
		if err != nil {
			return err
		}
		names = append(names, setKey(biobank.Institute, u.InstituteID), setKey(biobank.Site, u.PrimarySiteID))
	}
	return r.fetch(names...)
}

// setKey is the key of a member of a small set, zero for id 0.
func setKey(t biobank.Type, id int64) biobank.Key {
	if id == 0 {
		return biobank.Key{}
	}
	return biobank.SetKey(t, id)
}

// decodeAt is the object at a key, zero when there is none.
func decodeAt[T any](r *related, k biobank.Key) (T, error) { return biobank.Decode[T](r.recs[k]) }

// siteName and instituteName are null for id 0 and for what does not exist.
func (r *related) siteName(id int64) (*string, error) {
	doc, err := decodeAt[biobank.SiteDoc](r, setKey(biobank.Site, id))
	return orNull(doc.Name), err
}

func (r *related) instituteName(id int64) (*string, error) {
	doc, err := decodeAt[biobank.InstituteDoc](r, setKey(biobank.Institute, id))
	return orNull(doc.Name), err
}

// orNull is nil for the zero value: null on the wire, or left out where a view omits nulls.
func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// orEmpty is never nil: [] on the wire.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// dayMillis shows a stored day as UTC midnight in epoch milliseconds; nil for none.
func dayMillis(day string) *int64 {
	at, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return nil
	}
	ms := at.UnixMilli()
	return &ms
}
