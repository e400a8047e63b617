package api

import (
	"cmp"

	"aliquot/shared/biobank"
)

// Registrations and the participants in them (reference openspecimen-rest.md sections 12 and 13).

func registrations() noun {
	return noun{path: "/collection-protocol-registrations", typ: biobank.Registration, shows: registrationView{}, gather: gatherRegistrations, view: viewRegistration}
}

func registrationRoutes() []route {
	n := registrations()
	one := n
	one.gather, one.view = gatherOneRegistration, viewOneRegistration
	gone := removal{noun: n, several: completedSummaries}
	return []route{
		{pattern: "POST " + n.path + "/list", summary: "List registrations, the newest first", answers: n.list(), serve: listRegistrations},
		{pattern: "POST " + n.path + "/count", summary: "Count registrations", answers: countView{}, serve: countRegistrations},
		{pattern: "GET " + n.path, summary: "Read several registrations", answers: n.list(), serve: registrationsByID},
		getRoute(one),
		{pattern: "POST " + n.path + "/matches", summary: "Find who the participants of registrations may be", answers: []registrationMatches{}, serve: matchRegistrations},
		{pattern: "POST " + n.path + "/bulk", summary: "Register many nameless participants at once", answers: n.list(), serve: registerMany},
		createRoute(n, registrationDraft),
		changeRoute("PUT", n, registrationPatch),
		bulkRoute(n, registrationPatch),
		anonymizeRoute(n),
		deleteRoute(gone),
		bulkDeleteRoute(gone),
		dependentsRoute(n),
		{pattern: "GET " + n.path + "/{id}/latest-visit", summary: "The last visit of a registration that took place", answers: (*visitView)(nil), serve: latestVisit},
		auditRoute(n),
	}
}

func registrationDraft(in *input) biobank.Draft {
	d := &biobank.RegistrationDraft{Protocol: in.protocolRef(), Site: in.maybeText("site"), Doc: registrationDoc(in)}
	if o := in.object("consentDetails"); o != nil {
		d.Consents = o.consentDetails()
	}
	if p := in.object("participant"); p != nil {
		d.ParticipantID, d.PMIs, d.Extension = p.number("id"), p.pmis(), p.extension(true)
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
	if o := in.object("consentDetails"); o != nil { // null is what is shown to those who may not see consents
		d.Consents = o.consentDetails()
	}
	if p := in.object("participant"); p != nil {
		d.ParticipantID, d.PMIs, d.Extension = p.number("id"), p.pmis(), p.extension(true)
		patch := participantPatch(p)
		m = append(m, func(d *biobank.RegistrationDoc) { patch.onto(&d.Participant) })
	}
	d.Merge = m.onto
	return d
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
	ConsentDetails     *consentView    `json:"consentDetails"`
	SpecimenLabelFmt   *string         `json:"specimenLabelFmt"`
	AliquotLabelFmt    *string         `json:"aliquotLabelFmt"`
	DerivativeLabelFmt *string         `json:"derivativeLabelFmt"`
	ForceDelete        bool            `json:"forceDelete"`
	// Only with includeStats.
	VisitCount    *int `json:"scgCount,omitempty"`
	SpecimenCount *int `json:"specimenCount,omitempty"`
}

func gatherRegistrations(r *related, recs []*biobank.Record) error {
	keys, err := registrationKeys(recs)
	if err != nil {
		return err
	}
	if err := r.fetch(keys...); err != nil {
		return err
	}
	return r.fetchConsents(recs)
}

// registrationKeys are the keys of what views of registrations show parts of.
func registrationKeys(recs []*biobank.Record) ([]biobank.Key, error) {
	var keys []biobank.Key
	for _, rec := range recs {
		doc, err := biobank.Decode[biobank.RegistrationDoc](rec)
		if err != nil {
			return nil, err
		}
		keys = append(keys, setKey(biobank.Protocol, rec.Key.Protocol()), setKey(biobank.Site, doc.SiteID))
		keys = append(keys, extensionKeys(doc.Extension)...)
		for _, pmi := range doc.Participant.PMIs {
			keys = append(keys, setKey(biobank.Site, pmi.SiteID))
		}
	}
	return keys, nil
}

// gatherOneRegistration fetches besides where else the people are registered, in the same round.
func gatherOneRegistration(r *related, recs []*biobank.Record) error {
	keys, err := registrationKeys(recs)
	if err != nil {
		return err
	}
	for _, rec := range recs {
		doc, err := biobank.Decode[biobank.RegistrationDoc](rec)
		if err != nil {
			return err
		}
		for _, e := range doc.Others {
			keys = append(keys, e.Key(), setKey(biobank.Protocol, e.Protocol))
		}
	}
	if err := r.fetch(keys...); err != nil {
		return err
	}
	return r.fetchConsents(recs)
}

// viewOneRegistration shows besides where the person is registered.
func viewOneRegistration(r *related, rec *biobank.Record) (any, error) {
	v, err := viewRegistration(r, rec)
	if err != nil {
		return nil, err
	}
	view := v.(registrationView)
	view.Participant.RegisteredCPs, err = r.registeredCPs(rec)
	return view, err
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
	v := registrationView{
		ID: rec.ID, Participant: participant, CPID: rec.Key.Protocol(), CPTitle: protocol.Title,
		CPShortTitle: protocol.ShortTitle, PPID: doc.PPID, Barcode: orNull(doc.Barcode), ActivityStatus: doc.ActivityStatus,
		DataEntryStatus:  cmp.Or(doc.DataEntryStatus, biobank.EntryComplete),
		RegistrationDate: dayMillis(doc.RegistrationDate), ExternalSubjectID: orNull(doc.ExternalSubjectID), Site: site,
		SpecimenLabelFmt: orNull(protocol.SpecimenLabelFmt), AliquotLabelFmt: orNull(protocol.AliquotLabelFmt),
		DerivativeLabelFmt: orNull(protocol.DerivativeLabelFmt),
	}
	if doc.Consents != nil && r.c.seesConsents(rec.Key.Protocol(), protocol) {
		consents, err := r.consents(rec, doc, protocol)
		if err != nil {
			return nil, err
		}
		v.ConsentDetails = &consents
	}
	return v, nil
}

// seesPHI tells whether the caller may see what identifies participants of a protocol.
func (c *call) seesPHI(id int64, protocol biobank.ProtocolDoc) bool {
	return c.actor.Can(biobank.ResParticipantPhi, biobank.OpRead, id, protocol.Sites)
}
