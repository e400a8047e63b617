package api

import "aliquot/shared/biobank"

// Stars (reference openspecimen-rest.md section 9, labels): what a user marked to find it again.

func starRoutes(n noun) []route {
	set := func(on bool) func(c *call) (any, error) {
		return func(c *call) (any, error) {
			id, err := c.pathID("id")
			if err != nil {
				return nil, err
			}
			if err := c.api.Registry.Star(c.Context(), c.actor, n.typ, id, on); err != nil {
				return nil, err
			}
			return starView{true}, nil
		}
	}
	return []route{
		{pattern: "POST " + n.path + "/{id}/labels", summary: "Star one of the " + n.plural(), answers: starView{}, serve: set(true)},
		{pattern: "DELETE " + n.path + "/{id}/labels", summary: "Take the star from one of the " + n.plural(), answers: starView{}, serve: set(false)},
	}
}

type starView struct {
	Status bool `json:"status"`
}

// byStars is the rank of lists that orderByStarred puts into another order: what the caller has starred comes first.
func byStars(t biobank.Type) func(q *query) func(c *call, recs []*biobank.Record) ([]*biobank.Record, error) {
	return func(q *query) func(c *call, recs []*biobank.Record) ([]*biobank.Record, error) {
		if !q.flag("orderByStarred", false) {
			return nil
		}
		return func(c *call, recs []*biobank.Record) ([]*biobank.Record, error) { return c.starredFirst(t, recs) }
	}
}

// starredFirst moves what the caller has starred to the front and keeps the order otherwise.
func (c *call) starredFirst(t biobank.Type, recs []*biobank.Record) ([]*biobank.Record, error) {
	ids := make([]int64, len(recs))
	for i, rec := range recs {
		ids[i] = rec.ID
	}
	stars, err := c.api.Registry.Stars(c.Context(), c.actor, t, ids)
	if err != nil {
		return nil, err
	}
	var front, back []*biobank.Record
	for _, rec := range recs {
		if stars[rec.ID] {
			front = append(front, rec)
		} else {
			back = append(back, rec)
		}
	}
	return append(front, back...), nil
}
