package api

import (
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"

	"aliquot/shared/biobank"
)

// Lists of registrations (reference openspecimen-rest.md section 12).

// criteria are what a list of registrations is narrowed to.
type criteria struct {
	cp                                 int64
	ppid, name, uid, specimen, day, on string
	exact, stats                       bool
	page                               page
}

func (c *call) criteria() (criteria, error) {
	in, err := c.body()
	if err != nil {
		return criteria{}, err
	}
	q := query{}
	k := criteria{
		cp: in.number("cpId"), ppid: in.text("ppid"), name: in.text("name"), uid: in.text("uid"),
		specimen: in.text("specimen"), day: in.day("dob"), on: in.day("registrationDate"),
		exact: in.flag("exactMatch"), stats: in.flag("includeStats"),
		page: q.bounded("startAt", in.number("startAt"), in.number("maxResults"), 100),
	}
	if err := in.err(); err != nil {
		return k, err
	}
	return k, q.wrong
}

// searched tells whether registrations must be looked into to know which are meant.
func (k criteria) searched() bool { return k.ppid+k.name+k.uid+k.day != "" }

func (k criteria) fits(doc *biobank.RegistrationDoc) bool {
	p := &doc.Participant
	return like(doc.PPID, k.ppid, k.exact) && like(p.UID, k.uid, k.exact) &&
		(like(p.FirstName+" "+p.LastName, k.name, k.exact) || k.exact && like(p.LastName, k.name, true)) &&
		(k.day == "" || p.BirthDate == k.day) && (k.on == "" || doc.RegistrationDate == k.on)
}

// listRegistrations serves full registrations, the newest registration date first. With includeStats each has the number
// of its collected visits and specimens.
func listRegistrations(c *call) (any, error) {
	k, err := c.criteria()
	if err != nil {
		return nil, err
	}
	var recs []*biobank.Record
	for rec, err := range c.findRegistrations(k) {
		if err != nil {
			return nil, err
		}
		if recs = append(recs, rec); len(recs) == k.page.most {
			break
		}
	}
	views, err := c.show(registrations(), recs...)
	if err != nil || !k.stats {
		return views, err
	}
	return views, c.countBelow(views, recs)
}

// countRegistrations counts what listRegistrations lists. Without criteria that must be looked into, entries are counted
// and no registration is read.
func countRegistrations(c *call) (any, error) {
	k, err := c.criteria()
	if err != nil {
		return nil, err
	}
	if !k.searched() && k.specimen == "" {
		cps, err := c.peopled(k)
		if err != nil {
			return nil, err
		}
		n, err := c.api.Registry.CountNewest(c.Context(), cps, k.on)
		return countView{n}, err
	}
	k.page = page{0, maxPage}
	n := 0
	for _, err := range c.findRegistrations(k) {
		if err != nil {
			return nil, err
		}
		n++
	}
	return countView{n}, nil
}

// peopled are the protocols that the caller may see the participants of and that a list is about. Where identifying values
// are compared, only those whose identifying values the caller may see.
func (c *call) peopled(k criteria) ([]int64, error) {
	var recs []*biobank.Record
	var err error
	if k.cp != 0 {
		rec, err := c.api.Registry.Get(c.Context(), c.actor, biobank.Protocol, k.cp)
		if err != nil {
			return nil, err
		}
		recs = []*biobank.Record{rec}
	} else if recs, err = c.api.Registry.Members(c.Context(), c.actor, biobank.Protocol); err != nil {
		return nil, err
	}
	var cps []int64
	for _, rec := range recs {
		doc, err := biobank.Decode[biobank.ProtocolDoc](rec)
		if err != nil {
			return nil, err
		}
		if c.seesPHI(rec.ID, doc) || k.name+k.uid+k.day == "" && c.seesPeople(rec.ID, doc) {
			cps = append(cps, rec.ID)
		}
	}
	return cps, nil
}

// findRegistrations finds what the caller may see and asked for, the newest first, from where the page begins: by the name
// of the specimen, the PPID or the National ID where that is given whole, else by the list of the protocols'
// registrations, which a search reads one by one until its caller has enough.
func (c *call) findRegistrations(k criteria) iter.Seq2[*biobank.Record, error] {
	return func(yield func(*biobank.Record, error) bool) {
		cps, err := c.peopled(k)
		if err != nil {
			yield(nil, err)
			return
		}
		skip := k.page.from
		give := func(rec *biobank.Record) bool {
			if skip > 0 {
				skip--
				return true
			}
			return yield(rec, nil)
		}
		if k.specimen != "" || k.exact && k.ppid+k.uid != "" {
			recs, err := c.namedRegistrations(k, cps)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, rec := range recs {
				if !give(rec) {
					return
				}
			}
			return
		}
		entries, enough := 0, k.page.most
		if k.searched() {
			enough = maxPage // any of them may be what is searched
		} else {
			entries, skip = skip, 0
		}
		for rec, err := range c.api.Registry.Newest(c.Context(), cps, k.on, entries, enough) {
			var doc biobank.RegistrationDoc
			if err == nil {
				doc, err = biobank.Decode[biobank.RegistrationDoc](rec)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if k.fits(&doc) && !give(rec) {
				return
			}
		}
	}
}

// namedRegistrations are those of the protocols that a specimen's label or barcode, a whole PPID or a whole National ID
// leads to, if they fit.
func (c *call) namedRegistrations(k criteria, cps []int64) ([]*biobank.Record, error) {
	recs, err := c.lookUp(k, cps)
	if err != nil {
		return nil, err
	}
	recs = slices.DeleteFunc(recs, func(rec *biobank.Record) bool { return !slices.Contains(cps, rec.Key.Protocol()) })
	return sorted(recs, func(_ int64, doc *biobank.RegistrationDoc) bool { return k.fits(doc) },
		func(a, b *biobank.RegistrationDoc) int {
			return strings.Compare(b.RegistrationDate, a.RegistrationDate)
		})
}

func (c *call) lookUp(k criteria, cps []int64) ([]*biobank.Record, error) {
	reg := c.api.Registry
	switch {
	case k.specimen != "":
		specimens, err := reg.ByName(c.Context(), c.actor, biobank.Specimen, []string{k.specimen})
		if err == nil && len(specimens) == 0 {
			specimens, err = reg.ByBarcode(c.Context(), c.actor, []string{k.specimen})
		}
		if err != nil || len(specimens) == 0 {
			return nil, err
		}
		return reg.ByIDs(c.Context(), c.actor, biobank.Registration, []int64{specimens[0].Key.Registration()})
	case k.ppid != "":
		return reg.ByPPID(c.Context(), c.actor, cps, k.ppid)
	}
	found, err := reg.MatchParticipant(c.Context(), c.actor, biobank.ParticipantDoc{UID: k.uid}, nil)
	var recs []*biobank.Record
	for _, m := range found {
		recs = append(recs, m.Registrations...)
	}
	return recs, err
}

// countBelow fills in how many visits and specimens were collected of each registration, of what the caller may see.
func (c *call) countBelow(views []any, recs []*biobank.Record) error {
	errs := make([]error, len(recs))
	var group sync.WaitGroup
	slots := make(chan struct{}, biobank.Shards)
	for i, rec := range recs {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			var below []*biobank.Record
			if below, errs[i] = c.api.Registry.Below(c.Context(), c.actor, rec.Key); errs[i] != nil {
				return
			}
			view := views[i].(registrationView)
			view.VisitCount, view.SpecimenCount = new(int), new(int)
			for _, one := range below {
				doc, err := biobank.Decode[struct {
					Status string `json:"status"`
				}](one)
				switch {
				case err != nil:
					errs[i] = err
				case one.Type == biobank.Visit && doc.Status == biobank.VisitComplete:
					*view.VisitCount++
				case one.Type == biobank.Specimen && doc.Status == biobank.Collected:
					*view.SpecimenCount++
				}
			}
			views[i] = view
		})
	}
	group.Wait()
	return errors.Join(errs...)
}
