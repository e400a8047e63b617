package biobank

import (
	"context"
	"fmt"
	"slices"
	"time"

	"aliquot/shared/fault"
)

// Match is somebody who may be a described person: the registrations of the person that the actor may see, of which the
// first shows what identifies it, and by what it was found.
type Match struct {
	Registrations []*Record
	Attributes    []string
}

// ByParticipant reads the registrations of a participant that the actor may see, first one that shows what identifies the
// person, if there is any; none where there is no such participant for the actor.
func (r *Registry) ByParticipant(ctx context.Context, a *Actor, id int64) ([]*Record, error) {
	recs, err := r.marked(ctx, []string{IDMark(Participant, id)}, func(_ int, rec *Record) (bool, error) {
		doc, err := Decode[RegistrationDoc](rec)
		return doc.Participant.ID == id && doc.ActivityStatus != StatusDisabled, err
	})
	if err != nil || len(recs) == 0 {
		return nil, err
	}
	recs, _, err = r.persons(ctx, a, recs[0])
	return recs, err
}

// persons are the registrations of the person of a registration that the actor may see, those that show what identifies
// the person first, and how many these are.
func (r *Registry) persons(ctx context.Context, a *Actor, rec *Record) (recs []*Record, identified int, err error) {
	doc, err := Decode[RegistrationDoc](rec)
	if err != nil {
		return nil, 0, err
	}
	all := []*Record{rec}
	if len(doc.Others) > 0 {
		keys := make([]Key, len(doc.Others))
		for i, e := range doc.Others {
			keys[i] = e.Key()
		}
		others, err := r.Store.Records(ctx, keys, true)
		if err != nil {
			return nil, 0, fmt.Errorf("read a participant's registrations: %w", err)
		}
		for _, k := range keys {
			other, err := Decode[RegistrationDoc](others[k])
			if err != nil {
				return nil, 0, err
			}
			if other.Participant.ID == doc.Participant.ID {
				all = append(all, others[k])
			}
		}
	}
	if recs, err = r.Readable(ctx, a, all); err != nil {
		return nil, 0, err
	}
	shows := map[Key]bool{}
	for _, rec := range recs {
		if shows[rec.Key], err = r.SeesPHI(ctx, a, rec.Key.Protocol()); err != nil {
			return nil, 0, err
		}
		if shows[rec.Key] {
			identified++
		}
	}
	slices.SortStableFunc(recs, func(x, y *Record) int {
		switch {
		case shows[x.Key] == shows[y.Key]:
			return 0
		case shows[x.Key]:
			return -1
		}
		return 1
	})
	return recs, identified, nil
}

// MatchParticipant finds who may be a described person: by empi, else uid, else pmi, else lnameAndDob (reference
// openspecimen-rest.md section 13; the spelling of the attributes is unconfirmed there). Only people count whose
// identifying data the actor may see. Each way is a look-up by name, never a search.
func (r *Registry) MatchParticipant(ctx context.Context, a *Actor, p ParticipantDoc, pmis []PMIRef) ([]Match, error) {
	b := r.newBatch(a, time.Time{})
	var mrns []string
	for _, pmi := range pmis {
		site, err := b.siteID(ctx, pmi.Site)
		if fault.All(err) != nil || pmi.MRN == "" || pmi.Site == "" {
			continue
		} else if err != nil {
			return nil, err
		}
		mrns = append(mrns, mrnMark(site, pmi.MRN))
	}
	for _, way := range []struct {
		attr  string
		names []string
	}{
		{"empi", personMarks(&ParticipantDoc{EMPI: p.EMPI})}, {"uid", personMarks(&ParticipantDoc{UID: p.UID})}, {"pmi", mrns},
	} {
		recs, err := r.marked(ctx, way.names, func(i int, rec *Record) (bool, error) {
			doc, err := Decode[RegistrationDoc](rec)
			return doc.ActivityStatus != StatusDisabled && slices.Contains(personMarks(&doc.Participant), way.names[i]), err
		})
		if err != nil {
			return nil, err
		}
		if found, err := r.matches(ctx, a, recs, way.attr); err != nil || len(found) > 0 {
			return found, err
		}
	}
	set := nameSet(&p)
	if set == "" {
		return nil, nil
	}
	entries, err := r.Store.MarksIn(ctx, set, "", "", 0)
	if err != nil {
		return nil, fmt.Errorf("list people of a name: %w", err)
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = IDMark(Participant, e.ID)
	}
	recs, err := r.marked(ctx, names, func(i int, rec *Record) (bool, error) {
		doc, err := Decode[RegistrationDoc](rec)
		return doc.ActivityStatus != StatusDisabled && doc.Participant.ID == entries[i].ID && nameSet(&doc.Participant) == set, err
	})
	if err != nil {
		return nil, err
	}
	return r.matches(ctx, a, recs, "lnameAndDob")
}

// ByNumber finds the registrations of who has a number as eMPI or as medical record number at any site, where the actor may
// see identifying data.
func (r *Registry) ByNumber(ctx context.Context, a *Actor, number string) ([]*Record, error) {
	sites, err := r.Members(ctx, a, Site)
	if err != nil {
		return nil, err
	}
	names := []string{empiMark(number)}
	for _, site := range sites {
		names = append(names, mrnMark(site.ID, number))
	}
	recs, err := r.marked(ctx, names, func(i int, rec *Record) (bool, error) {
		doc, err := Decode[RegistrationDoc](rec)
		return doc.ActivityStatus != StatusDisabled && slices.Contains(personMarks(&doc.Participant), names[i]), err
	})
	if err != nil {
		return nil, err
	}
	people, err := r.matches(ctx, a, recs, "")
	if err != nil {
		return nil, err
	}
	var out []*Record
	for _, who := range people {
		for _, rec := range who.Registrations {
			sees, err := r.SeesPHI(ctx, a, rec.Key.Protocol())
			if err != nil {
				return nil, err
			}
			if sees {
				out = append(out, rec)
			}
		}
	}
	return out, nil
}

// matches are the people of registrations whose identifying data the actor may see.
func (r *Registry) matches(ctx context.Context, a *Actor, recs []*Record, attr string) ([]Match, error) {
	var out []Match
	seen := map[int64]bool{}
	for _, rec := range recs {
		doc, err := Decode[RegistrationDoc](rec)
		if err != nil {
			return nil, err
		}
		if seen[doc.Participant.ID] {
			continue
		}
		seen[doc.Participant.ID] = true
		regs, identified, err := r.persons(ctx, a, rec)
		if err != nil {
			return nil, err
		}
		if identified > 0 {
			out = append(out, Match{regs, []string{attr}})
		}
	}
	return out, nil
}
