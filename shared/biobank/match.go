package biobank

import (
	"context"
	"errors"
	"time"

	"aliquot/shared/fault"
)

// MatchParticipant finds the registrations of who may be a described person, and by what: empi, else uid, else pmi, else
// lnameAndDob (reference openspecimen-rest.md section 13). Only protocols count whose identifying data the actor may see.
// The last way reads through those protocols; the others look up marks.
func (r *Registry) MatchParticipant(ctx context.Context, a *Actor, p ParticipantDoc, pmis []PMIRef) ([]*Record, string, error) {
	for _, way := range []struct {
		attr, mark string
		unique     *unique
		value      string
	}{{"empi", empiMark(p.EMPI), uniqueEMPI, p.EMPI}, {"uid", uidMark(p.UID), uniqueUID, p.UID}} {
		if way.value == "" {
			continue
		}
		recs, err := r.byValue(ctx, a, way.unique, func(string) string { return way.mark }, []string{way.value})
		if err == nil {
			recs, err = r.identified(ctx, a, recs)
		}
		if err != nil || len(recs) > 0 {
			return recs, way.attr, err
		}
	}
	b := r.newBatch(a, time.Time{})
	for _, pmi := range pmis {
		site, err := b.siteID(ctx, pmi.Site)
		if fault.All(err) != nil || pmi.MRN == "" || pmi.Site == "" {
			continue
		} else if err != nil {
			return nil, "", err
		}
		recs, err := r.byValue(ctx, a, uniqueMRN, func(s string) string { return mrnMark(site, s) }, []string{pmi.MRN})
		if err == nil {
			recs, err = r.identified(ctx, a, recs)
		}
		if err != nil || len(recs) > 0 {
			return recs, "pmi", err
		}
	}
	if p.LastName == "" || p.BirthDate == "" {
		return nil, "", nil
	}
	cps, err := r.Members(ctx, a, Protocol)
	if err != nil {
		return nil, "", err
	}
	var all []*Record
	for _, cp := range cps {
		doc, err := Decode[ProtocolDoc](cp)
		if err != nil {
			return nil, "", err
		}
		if !a.Can(ResParticipantPhi, OpRead, cp.ID, doc.Sites) {
			continue
		}
		recs, err := r.Walk(ctx, cp.ID, Registrations, func(rec *Record) (bool, error) {
			doc, err := Decode[RegistrationDoc](rec)
			same := Fold(doc.Participant.LastName) == Fold(p.LastName) && doc.Participant.BirthDate == p.BirthDate
			return same && doc.ActivityStatus != StatusDisabled, err
		})
		if err != nil {
			return nil, "", err
		}
		all = append(all, recs...)
	}
	return all, "lnameAndDob", nil
}

// identified leaves out the registrations whose identifying data the actor may not see.
func (r *Registry) identified(ctx context.Context, a *Actor, recs []*Record) ([]*Record, error) {
	var out []*Record
	var errs []error
	for _, rec := range recs {
		sees, err := r.SeesPHI(ctx, a, rec.Key.Protocol())
		errs = append(errs, err)
		if sees {
			out = append(out, rec)
		}
	}
	return out, errors.Join(errs...)
}
