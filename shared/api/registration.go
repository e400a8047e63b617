package api

import (
	"cmp"
	"slices"
	"strings"

	"aliquot/shared/biobank"
)

// Registrations and the participants in them (reference openspecimen-rest.md sections 12 and 13).

func registrations() noun {
	return noun{path: "/collection-protocol-registrations", typ: biobank.Registration, shows: registrationView{}, gather: gatherRegistrations, view: viewRegistration}
}

func registrationRoutes() []route {
	n := registrations()
	gone := removal{noun: n, several: completedList}
	return []route{
		{pattern: "POST " + n.path + "/list", summary: "List registrations, the newest first", answers: n.list(), serve: listRegistrations},
		{pattern: "POST " + n.path + "/count", summary: "Count registrations", answers: countView{}, serve: countRegistrations},
		{pattern: "GET " + n.path, summary: "Read several registrations", answers: n.list(), serve: registrationsByID},
		getRoute(n),
		createRoute(n, registrationDraft),
		changeRoute("PUT", n, registrationPatch),
		bulkRoute(n, registrationPatch),
		deleteRoute(gone),
		bulkDeleteRoute(gone),
		dependentsRoute(n),
		{pattern: "GET " + n.path + "/{id}/latest-visit", summary: "The last visit of a registration that took place", answers: (*visitView)(nil), serve: latestVisit},
		auditRoute(n),
	}
}

func registrationDraft(in *input) biobank.Draft {
	d := &biobank.RegistrationDraft{Protocol: in.protocolRef(), Site: in.maybeText("site"), Doc: registrationDoc(in)}
	if p := in.object("participant"); p != nil {
		d.ParticipantID, d.PMIs = p.number("id"), p.pmis()
		d.Doc.Participant = participantDoc(p)
	} else {
		d.NoParticipant = true
	}
	return d
}

func registrationDoc(in *input) biobank.RegistrationDoc {
	return biobank.RegistrationDoc{
		PPID: in.text("ppid"), RegistrationDate: in.day("registrationDate"), ExternalSubjectID: in.text("externalSubjectId"),
		Barcode: in.text("barcode"), DataEntryStatus: in.text("dataEntryStatus"), ActivityStatus: in.text("activityStatus"),
	}
}

// registrationPatch changes what was sent, of the participant, too, and keeps the rest.
func registrationPatch(in *input, id int64) biobank.Draft {
	fresh := registrationDoc(in)
	var m merge[biobank.RegistrationDoc]
	m.set(in, "ppid", func(d *biobank.RegistrationDoc) { d.PPID = fresh.PPID })
	m.set(in, "registrationDate", func(d *biobank.RegistrationDoc) { d.RegistrationDate = fresh.RegistrationDate })
	m.set(in, "externalSubjectId", func(d *biobank.RegistrationDoc) { d.ExternalSubjectID = fresh.ExternalSubjectID })
	m.set(in, "barcode", func(d *biobank.RegistrationDoc) { d.Barcode = fresh.Barcode })
	m.set(in, "dataEntryStatus", func(d *biobank.RegistrationDoc) { d.DataEntryStatus = fresh.DataEntryStatus })
	m.set(in, "activityStatus", func(d *biobank.RegistrationDoc) { d.ActivityStatus = fresh.ActivityStatus })
	d := &biobank.RegistrationDraft{ID: id, Site: in.maybeText("site"), Force: in.flag("forceDelete")}
	if p := in.object("participant"); p != nil {
		d.ParticipantID, d.PMIs = p.number("id"), p.pmis()
		patch := participantPatch(p)
		m = append(m, func(d *biobank.RegistrationDoc) { patch.onto(&d.Participant) })
	}
	d.Merge = m.onto
	return d
}

// criteria are what a list of registrations is narrowed to.
type criteria struct {
	cp                                 int64
	ppid, name, uid, specimen, day, on string
	exact                              bool
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
		specimen: in.text("specimen"), day: in.day("dob"), on: in.day("registrationDate"), exact: in.flag("exactMatch"),
		page: q.bounded("startAt", in.number("startAt"), in.number("maxResults"), 100),
	}
	if err := in.err(); err != nil {
		return k, err
	}
	return k, q.wrong
}

// listRegistrations serves full registrations, the newest registration date first.
func listRegistrations(c *call) (any, error) {
	k, err := c.criteria()
	if err != nil {
		return nil, err
	}
	recs, err := c.findRegistrations(k)
	if err != nil {
		return nil, err
	}
	return c.show(registrations(), cut(recs, k.page)...)
}

func countRegistrations(c *call) (any, error) {
	k, err := c.criteria()
	if err != nil {
		return nil, err
	}
	recs, err := c.findRegistrations(k)
	return countView{len(recs)}, err
}

// findRegistrations finds what the caller may see and asked for: by the specimen's or the participant's mark where they
// are given whole, else by reading the trees of the protocols. Identifying values are compared only where the caller may
// see them.
func (c *call) findRegistrations(k criteria) ([]*biobank.Record, error) {
	reg := c.api.Registry
	var cps []*biobank.Record
	var err error
	if k.cp != 0 {
		rec, err := reg.Get(c.Context(), c.actor, biobank.Protocol, k.cp)
		if err != nil {
			return nil, err
		}
		cps = []*biobank.Record{rec}
	} else if cps, err = reg.Members(c.Context(), c.actor, biobank.Protocol); err != nil {
		return nil, err
	}
	only := int64(0)
	if k.specimen != "" {
		if only, err = c.registrationOf(k.specimen); err != nil || only == 0 {
			return nil, err
		}
	}
	var all []*biobank.Record
	for _, cp := range cps {
		doc, err := biobank.Decode[biobank.ProtocolDoc](cp)
		if err != nil {
			return nil, err
		}
		phi := c.seesPHI(cp.ID, doc)
		if !phi && k.name+k.uid+k.day != "" {
			continue
		}
		var recs []*biobank.Record
		switch {
		case only != 0:
			recs, err = reg.ByIDs(c.Context(), c.actor, biobank.Registration, []int64{only})
			recs = slices.DeleteFunc(recs, func(rec *biobank.Record) bool { return rec.Key.Protocol() != cp.ID })
		case k.ppid != "" && k.exact:
			var rec *biobank.Record
			if rec, err = reg.ByPPID(c.Context(), c.actor, cp.ID, k.ppid); rec != nil {
				recs = []*biobank.Record{rec}
			}
		default:
			recs, err = reg.Walk(c.Context(), cp.ID, biobank.Registrations, func(rec *biobank.Record) (bool, error) {
				doc, err := biobank.Decode[biobank.RegistrationDoc](rec)
				return doc.ActivityStatus != biobank.StatusDisabled && k.fits(&doc), err
			})
			if err == nil {
				recs, err = reg.Readable(c.Context(), c.actor, recs)
			}
		}
		if err != nil {
			return nil, err
		}
		all = append(all, recs...)
	}
	all, err = sorted(all, func(_ int64, doc *biobank.RegistrationDoc) bool { return k.fits(doc) },
		func(a, b *biobank.RegistrationDoc) int {
			return strings.Compare(b.RegistrationDate, a.RegistrationDate)
		})
	return all, err
}

func (k criteria) fits(doc *biobank.RegistrationDoc) bool {
	p := &doc.Participant
	return like(doc.PPID, k.ppid, k.exact) && like(p.FirstName+" "+p.LastName, k.name, k.exact) && like(p.UID, k.uid, k.exact) &&
		(k.day == "" || p.BirthDate == k.day) && (k.on == "" || doc.RegistrationDate == k.on)
}

// registrationOf is whose specimen has a label or barcode that the caller may see, 0 for none.
func (c *call) registrationOf(name string) (int64, error) {
	recs, err := c.api.Registry.ByName(c.Context(), c.actor, biobank.Specimen, []string{name})
	if err == nil && len(recs) == 0 {
		recs, err = c.api.Registry.ByBarcode(c.Context(), c.actor, []string{name})
	}
	if err != nil || len(recs) == 0 {
		return 0, err
	}
	return recs[0].Key.Registration(), nil
}

// registrationsByID serves GET ?id=1&id=2, in that order; what is not found is left out.
func registrationsByID(c *call) (any, error) {
	q := c.query()
	ids := q.numbers("id")
	if q.wrong != nil {
		return nil, q.wrong
	}
	if len(ids) > maxPage {
		return nil, invalid("At most %d ids are possible.", maxPage)
	}
	recs, err := c.api.Registry.ByIDs(c.Context(), c.actor, biobank.Registration, ids)
	if err != nil {
		return nil, err
	}
	return c.show(registrations(), recs...)
}

// registrationView has its nulls, participantView leaves them out.
type registrationView struct {
	OpComments         *string         `json:"opComments"`
	ID                 int64           `json:"id"`
	Participant        participantView `json:"participant"`
	CPID               int64           `json:"cpId"`
	CPTitle            string          `json:"cpTitle"`
	CPShortTitle       string          `json:"cpShortTitle"`
	PPID               string          `json:"ppid"`
	Barcode            *string         `json:"barcode"`
	ActivityStatus     string          `json:"activityStatus"`
	DataEntryStatus    string          `json:"dataEntryStatus"`
	RegistrationDate   *int64          `json:"registrationDate"`
	ExternalSubjectID  *string         `json:"externalSubjectId"`
	Site               *string         `json:"site"`
	ConsentDetails     *struct{}       `json:"consentDetails"`
	SpecimenLabelFmt   *string         `json:"specimenLabelFmt"`
	AliquotLabelFmt    *string         `json:"aliquotLabelFmt"`
	DerivativeLabelFmt *string         `json:"derivativeLabelFmt"`
	ForceDelete        bool            `json:"forceDelete"`
}

func gatherRegistrations(r *related, recs []*biobank.Record) error {
	var keys []biobank.Key
	for _, rec := range recs {
		doc, err := biobank.Decode[biobank.RegistrationDoc](rec)
		if err != nil {
			return err
		}
		keys = append(keys, setKey(biobank.Protocol, rec.Key.Protocol()), setKey(biobank.Site, doc.SiteID))
		for _, pmi := range doc.Participant.PMIs {
			keys = append(keys, setKey(biobank.Site, pmi.SiteID))
		}
	}
	return r.fetch(keys...)
}

func viewRegistration(r *related, rec *biobank.Record) (any, error) {
	doc, err := biobank.Decode[biobank.RegistrationDoc](rec)
	if err != nil {
		return nil, err
	}
	protocol, err := decodeAt[biobank.ProtocolDoc](r, setKey(biobank.Protocol, rec.Key.Protocol()))
	if err != nil {
		return nil, err
	}
	site, err := r.siteName(doc.SiteID)
	if err != nil {
		return nil, err
	}
	participant, err := r.participant(doc, r.c.seesPHI(rec.Key.Protocol(), protocol))
	if err != nil {
		return nil, err
	}
	return registrationView{
		ID: rec.ID, Participant: participant, CPID: rec.Key.Protocol(), CPTitle: protocol.Title,
		CPShortTitle: protocol.ShortTitle, PPID: doc.PPID, Barcode: orNull(doc.Barcode), ActivityStatus: doc.ActivityStatus,
		DataEntryStatus:  cmp.Or(doc.DataEntryStatus, biobank.EntryComplete),
		RegistrationDate: dayMillis(doc.RegistrationDate), ExternalSubjectID: orNull(doc.ExternalSubjectID), Site: site,
		SpecimenLabelFmt: orNull(protocol.SpecimenLabelFmt), AliquotLabelFmt: orNull(protocol.AliquotLabelFmt),
		DerivativeLabelFmt: orNull(protocol.DerivativeLabelFmt),
	}, nil
}

// seesPHI tells whether the caller may see what identifies participants of a protocol.
func (c *call) seesPHI(id int64, protocol biobank.ProtocolDoc) bool {
	return c.actor.Can(biobank.ResParticipantPhi, biobank.OpRead, id, protocol.Sites)
}
