package odmimport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"aliquot/shared/biobank"
	"aliquot/shared/clinical"
	"aliquot/shared/fault"
	"aliquot/shared/jobs"
)

// Planners makes the planners of jobs.
type Planners struct {
	Studies *clinical.Registry
	Users   *biobank.Registry
	Now     func() time.Time
}

// Make makes the planner of a job: for its study as it is defined now, with what its user may do now.
func (m *Planners) Make(ctx context.Context, j *jobs.Job) (*clinical.Planner, error) {
	actor, err := m.actor(ctx, j)
	if err != nil {
		return nil, err
	}
	place, err := m.Studies.Place(ctx, cmp.Or(j.Params[ParamSite], j.Params[ParamStudy]))
	if err != nil {
		return nil, refusal(err)
	}
	if err := cmp.Or(place.Open(), actor.MayChange(place)); err != nil {
		return nil, refusal(err)
	}
	meta, err := m.Studies.Metadata(ctx, place.Study)
	if err != nil {
		return nil, err
	}
	sites, err := m.Studies.Sites(ctx, place.Study.ID)
	if err != nil {
		return nil, err
	}
	p := &clinical.Planner{
		Store: m.Studies.Store, Job: fmt.Sprintf("odm%d", j.ID), By: j.OwnerID, Now: m.Now,
		Study:  clinical.Scope{ID: place.Study.ID, OID: place.Study.OID, Meta: meta.Study},
		Author: m.author(&clinical.Place{Study: place.Study, Site: place.Study}),
	}
	p.Closed = map[int64]clinical.Code{}
	for _, s := range append(sites, place.Study) {
		here := &clinical.Place{Study: place.Study, Site: s}
		switch {
		case actor.MayChange(here) != nil:
			p.Closed[s.ID] = clinical.ParticipantNotFound
		case here.Open() != nil:
			p.Closed[s.ID] = clinical.SiteNotAvailable
		}
		if here.IsSite() {
			p.Sites = append(p.Sites, clinical.Scope{ID: s.ID, OID: s.OID, Meta: meta.For(s.OID)})
		}
	}
	return p, nil
}

// actor is the user as whom a job runs.
func (m *Planners) actor(ctx context.Context, j *jobs.Job) (*clinical.Actor, error) {
	user, err := m.Users.Actor(ctx, j.OwnerID)
	if err != nil {
		return nil, err
	}
	return m.Studies.Actor(ctx, user)
}

// author finds users with a role at the place, each once for a job. It is the study, whichever site a document begins with:
// one with the data of several sites has notes by the people of all of them.
func (m *Planners) author(place *clinical.Place) func(context.Context, string) (int64, error) {
	known := map[string]int64{}
	return func(ctx context.Context, login string) (int64, error) {
		if id, ok := known[login]; ok {
			return id, nil
		}
		id, err := m.Studies.Reader(ctx, m.Users, place, login)
		if err == nil {
			known[login] = id
		}
		return id, err
	}
}

// refusal makes a code the reason of a job that ends with it.
func refusal(err error) error {
	var code clinical.Code
	if errors.As(err, &code) {
		return fault.New(code.Wire(), "%s", code.Sentence())
	}
	return err
}
