package api

import (
	"encoding/json"

	"aliquot/shared/biobank"
)

// Audit: who changed an object, when, why, from where, and what, its creation first. The reference has no endpoint for it;
// this one is ours.

type auditView struct {
	// Verified tells that the chain of entries holds from the object back to its creation.
	Verified bool        `json:"verified"`
	Entries  []entryView `json:"entries"`
}

type entryView struct {
	Version int64           `json:"version"`
	At      int64           `json:"time"`
	User    *userSummary    `json:"user"`
	Reason  *string         `json:"reason"`
	From    *string         `json:"from"`
	Source  *string         `json:"source"`
	Before  json.RawMessage `json:"before"`
	After   json.RawMessage `json:"after"`
}

// auditRoute serves GET <path>/{id}/audit to those who may read the object, deleted or not; of institutes, sites, users and
// roles to those who administer them.
func auditRoute(n noun) route {
	return route{pattern: "GET " + n.path + "/{id}/audit", summary: "Tell who changed one of the " + n.plural() + ", and what", answers: auditView{}, serve: func(c *call) (any, error) {
		id, err := c.pathID("id")
		if err != nil {
			return nil, err
		}
		h, err := c.api.Registry.History(c.Context(), c.actor, n.typ, id)
		if err != nil {
			return nil, err
		}
		return c.showHistory(h)
	}}
}

func (c *call) showHistory(h *biobank.History) (any, error) {
	r := c.related()
	var users []int64
	for _, e := range h.Entries {
		users = append(users, e.By)
	}
	if err := r.fetchUsers(users...); err != nil {
		return nil, err
	}
	v := auditView{Verified: h.Verified, Entries: []entryView{}}
	for _, e := range h.Entries {
		user, err := r.summary(e.By)
		if err != nil {
			return nil, err
		}
		v.Entries = append(v.Entries, entryView{
			Version: e.Version, At: e.At, User: user, Reason: orNull(e.Reason), From: orNull(e.From), Source: orNull(e.Change),
			Before: orNothing(e.Before), After: orNothing(e.After),
		})
	}
	return v, nil
}

func orNothing(doc json.RawMessage) json.RawMessage {
	if len(doc) == 0 {
		return json.RawMessage("null")
	}
	return doc
}
