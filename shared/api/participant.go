package api

import (
	"aliquot/shared/biobank"
)

// Participants (reference openspecimen-rest.md section 13). A participant lies in the registration.

// masked is short for it.
const masked = biobank.Masked

func participantRoutes() []route {
	return []route{
		{pattern: "GET /participants/{id}", summary: "Read a participant", answers: participantView{}, serve: getParticipant},
		{pattern: "POST /participants/match", summary: "Find who may be the person described", answers: []matchView{}, serve: matchParticipants},
		{pattern: "POST /participants/multi-match", summary: "Find who may be each of the people described", answers: []personMatches{}, serve: multiMatch},
	}
}

func participantDoc(in *input) biobank.ParticipantDoc {
	return biobank.ParticipantDoc{
		FirstName: in.text("firstName"), LastName: in.text("lastName"), MiddleName: in.text("middleName"),
		EmailAddress: in.text("emailAddress"), EmailOptIn: in.maybeFlag("emailOptIn"), PhoneNumber: in.text("phoneNumber"),
		TextOptIn: in.maybeFlag("textOptIn"), TextOptInConsent: in.maybeFlag("textOptInConsent"),
		BirthDate: in.day("birthDate"), DeathDate: in.day("deathDate"), Gender: in.text("gender"),
		SexGenotype: in.text("sexGenotype"), VitalStatus: in.text("vitalStatus"), Races: in.texts("races"), Ethnicities: in.texts("ethnicities"),
		UID: in.text("uid"), EMPI: in.text("empi"),
	}
}

// participantPatch changes what was sent, but for what the caller was shown masked and sent back like that.
func participantPatch(in *input) merge[biobank.ParticipantDoc] {
	type doc = biobank.ParticipantDoc
	fresh := participantDoc(in)
	var m merge[doc]
	text := func(name string, field func(*doc) *string) {
		if v := *field(&fresh); v != masked {
			m.set(in, name, func(d *doc) { *field(d) = v })
		}
	}
	text("firstName", func(d *doc) *string { return &d.FirstName })
	text("lastName", func(d *doc) *string { return &d.LastName })
	text("middleName", func(d *doc) *string { return &d.MiddleName })
	text("emailAddress", func(d *doc) *string { return &d.EmailAddress })
	text("phoneNumber", func(d *doc) *string { return &d.PhoneNumber })
	text("birthDate", func(d *doc) *string { return &d.BirthDate })
	text("deathDate", func(d *doc) *string { return &d.DeathDate })
	text("gender", func(d *doc) *string { return &d.Gender })
	text("sexGenotype", func(d *doc) *string { return &d.SexGenotype })
	text("vitalStatus", func(d *doc) *string { return &d.VitalStatus })
	text("uid", func(d *doc) *string { return &d.UID })
	text("empi", func(d *doc) *string { return &d.EMPI })
	m.set(in, "emailOptIn", func(d *doc) { d.EmailOptIn = fresh.EmailOptIn })
	m.set(in, "textOptIn", func(d *doc) { d.TextOptIn = fresh.TextOptIn })
	m.set(in, "textOptInConsent", func(d *doc) { d.TextOptInConsent = fresh.TextOptInConsent })
	m.set(in, "races", func(d *doc) { d.Races = fresh.Races })
	m.set(in, "ethnicities", func(d *doc) { d.Ethnicities = fresh.Ethnicities })
	return m
}

// pmis reads medical record numbers: pmis, or a single pmi; nil when neither was sent.
func (in *input) pmis() []biobank.PMIRef {
	list := in.objects("pmis")
	if one := in.object("pmi"); list == nil && one != nil {
		list = []*input{one}
	}
	if list == nil {
		return nil
	}
	refs := []biobank.PMIRef{}
	for _, o := range list {
		if o.text("mrn") == masked {
			return nil // as the caller was shown it
		}
		if ref := (biobank.PMIRef{Site: o.text("siteName"), MRN: o.text("mrn")}); ref != (biobank.PMIRef{}) {
			refs = append(refs, ref)
		}
	}
	return refs
}

func getParticipant(c *call) (any, error) {
	id, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	recs, err := c.api.Registry.ByParticipant(c.Context(), c.actor, id)
	if err != nil {
		return nil, err
	}
	if len(recs) == 0 {
		return nil, notNamed("PARTICIPANT_NOT_FOUND", "Participant", c.PathValue("id"))
	}
	return c.showPerson(recs)
}

// showPerson shows somebody as the first of the registrations does, with all of them.
func (c *call) showPerson(recs []*biobank.Record) (participantView, error) {
	r := c.related()
	views, err := r.show(registrations(), recs...)
	if err != nil {
		return participantView{}, err
	}
	v := views[0].(registrationView).Participant
	for i, rec := range recs {
		v.RegisteredCPs = append(v.RegisteredCPs, registeredIn(rec, views[i].(registrationView)))
	}
	return v, nil
}

// registeredCP is one of a person's registrations.
type registeredCP struct {
	ID               int64  `json:"id"`
	CprID            int64  `json:"cprId"`
	CPID             int64  `json:"cpId"`
	CPTitle          string `json:"cpTitle"`
	CPShortTitle     string `json:"cpShortTitle"`
	PPID             string `json:"ppid"`
	RegistrationDate *int64 `json:"registrationDate,omitempty"`
	ActivityStatus   string `json:"activityStatus"`
}

func registeredIn(rec *biobank.Record, v registrationView) registeredCP {
	return registeredCP{rec.ID, rec.ID, v.CPID, v.CPTitle, v.CPShortTitle, v.PPID, v.RegistrationDate, v.ActivityStatus}
}

// registeredCPs are the registrations of the person of one, which is the first: those that the caller may see, so that
// nobody learns from one protocol who is registered in another.
func (r *related) registeredCPs(rec *biobank.Record) ([]registeredCP, error) {
	own, err := biobank.Decode[biobank.RegistrationDoc](rec)
	if err != nil {
		return nil, err
	}
	list := []registeredCP{}
	for _, e := range append([]biobank.Enrolment{{Protocol: rec.Key.Protocol(), ID: rec.ID}}, own.Others...) {
		one := r.recs[e.Key()]
		doc, err := biobank.Decode[biobank.RegistrationDoc](one)
		if err != nil {
			return nil, err
		}
		protocol, err := decodeAt[biobank.ProtocolDoc](r, setKey(biobank.Protocol, e.Protocol))
		if err != nil {
			return nil, err
		}
		if one == nil || doc.ActivityStatus == biobank.StatusDisabled || doc.Participant.ID != own.Participant.ID ||
			protocol.ActivityStatus == biobank.StatusDisabled || !r.c.seesPeople(e.Protocol, protocol) {
			continue
		}
		list = append(list, registeredIn(one, registrationView{
			CPID: e.Protocol, CPTitle: protocol.Title, CPShortTitle: protocol.ShortTitle, PPID: doc.PPID,
			RegistrationDate: dayMillis(doc.RegistrationDate), ActivityStatus: doc.ActivityStatus,
		}))
	}
	return list, nil
}

// seesPeople tells whether the caller may see the participants of a protocol, identified or not.
func (c *call) seesPeople(id int64, protocol biobank.ProtocolDoc) bool {
	return c.actor.Can(biobank.ResParticipantDeid, biobank.OpRead, id, protocol.Sites) || c.seesPHI(id, protocol)
}

type matchView struct {
	Participant  participantView `json:"participant"`
	MatchedAttrs []string        `json:"matchedAttrs"`
}

// matchParticipants serves who may be the person that the body describes: by eMPI, else national id, else a medical
// record number, else last name and day of birth, in the protocols whose identifying data the caller may see. Where
// they are registered is told with reqRegInfo.
func matchParticipants(c *call) (any, error) {
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	return c.matchesOf(in)
}

// matchesOf finds who may be the described person.
func (c *call) matchesOf(in *input) ([]matchView, error) {
	doc, pmis, info := participantDoc(in), in.pmis(), in.flag("reqRegInfo")
	if err := in.err(); err != nil {
		return nil, err
	}
	found, err := c.api.Registry.MatchParticipant(c.Context(), c.actor, doc, pmis)
	if err != nil {
		return nil, err
	}
	matches := []matchView{}
	for _, m := range cut(found, page{0, maxPage}) {
		v, err := c.showPerson(m.Registrations)
		if err != nil {
			return nil, err
		}
		if !info {
			v.RegisteredCPs = []registeredCP{}
		}
		matches = append(matches, matchView{v, m.Attributes})
	}
	return matches, nil
}

type personMatches struct {
	Participant map[string]any `json:"participant"`
	Matches     []matchView    `json:"matches"`
}

// multiMatch serves the matches of several descriptions, in their order, each with the description as it was sent. The
// reference leaves the answer's form open.
func multiMatch(c *call) (any, error) {
	return matchEach(c, func(in *input, found []matchView) personMatches { return personMatches{in.members, found} },
		func(in *input) *input { return in })
}

// matchEach finds the matches of each description of the body.
func matchEach[T any](c *call, shape func(in *input, found []matchView) T, person func(in *input) *input) ([]T, error) {
	list, err := c.bodies()
	if err != nil {
		return nil, err
	}
	if err := fewEnough(len(list)); err != nil {
		return nil, err
	}
	out := []T{}
	for _, in := range list {
		found := []matchView{}
		if p := person(in); p != nil {
			if found, err = c.matchesOf(p); err != nil {
				return nil, err
			}
		}
		out = append(out, shape(in, found))
	}
	return out, nil
}

type participantView struct {
	ID               int64          `json:"id"`
	Source           string         `json:"source"`
	FirstName        *string        `json:"firstName,omitempty"`
	LastName         *string        `json:"lastName,omitempty"`
	MiddleName       *string        `json:"middleName,omitempty"`
	EmailAddress     *string        `json:"emailAddress,omitempty"`
	EmailOptIn       *bool          `json:"emailOptIn,omitempty"`
	PhoneNumber      *string        `json:"phoneNumber,omitempty"`
	TextOptIn        *bool          `json:"textOptIn,omitempty"`
	TextOptInConsent *bool          `json:"textOptInConsent,omitempty"`
	BirthDate        *int64         `json:"birthDate,omitempty"`
	BirthDateStr     *string        `json:"birthDateStr,omitempty"`
	DeathDate        *int64         `json:"deathDate,omitempty"`
	DeathDateStr     *string        `json:"deathDateStr,omitempty"`
	Gender           *string        `json:"gender,omitempty"`
	SexGenotype      *string        `json:"sexGenotype,omitempty"`
	VitalStatus      *string        `json:"vitalStatus,omitempty"`
	Races            []string       `json:"races"`
	PMIs             []pmiView      `json:"pmis"`
	UID              *string        `json:"uid,omitempty"`
	EMPI             *string        `json:"empi,omitempty"`
	Ethnicities      []string       `json:"ethnicities"`
	ActivityStatus   string         `json:"activityStatus"`
	PhiAccess        bool           `json:"phiAccess"`
	RegisteredCPs    []registeredCP `json:"registeredCps"`
	CPID             int64          `json:"cpId"`
	ReqRegInfo       bool           `json:"reqRegInfo"`
	ForceDelete      bool           `json:"forceDelete"`
	ExtensionDetail  *extensionView `json:"extensionDetail,omitempty"`
}

type pmiView struct {
	MRN      string  `json:"mrn"`
	SiteName *string `json:"siteName"`
}

// participant shows a person; without the right to identifying data texts are masked and dates left out (section 8).
func (r *related) participant(reg biobank.RegistrationDoc, phi bool) (participantView, error) {
	doc := reg.Participant
	v := participantView{
		ID: doc.ID, Source: "OpenSpecimen", FirstName: orMasked(doc.FirstName, phi), LastName: orMasked(doc.LastName, phi),
		MiddleName: orMasked(doc.MiddleName, phi), EmailAddress: orMasked(doc.EmailAddress, phi), EmailOptIn: doc.EmailOptIn,
		PhoneNumber: orMasked(doc.PhoneNumber, phi), TextOptIn: doc.TextOptIn, TextOptInConsent: doc.TextOptInConsent,
		Gender: orNull(doc.Gender), SexGenotype: orNull(doc.SexGenotype), VitalStatus: orNull(doc.VitalStatus), Races: orEmpty(doc.Races), PMIs: []pmiView{},
		UID: orMasked(doc.UID, phi), EMPI: orMasked(doc.EMPI, phi), Ethnicities: orEmpty(doc.Ethnicities),
		ActivityStatus: biobank.StatusActive, PhiAccess: phi, RegisteredCPs: []registeredCP{}, CPID: -1,
	}
	if reg.ActivityStatus == biobank.StatusDisabled && len(reg.Others) == 0 { // a closed registration closes nobody
		v.ActivityStatus = biobank.StatusDisabled
	}
	var err error
	if v.ExtensionDetail, err = r.extension(reg.Extension, doc.ID, phi); err != nil {
		return v, err
	}
	if phi {
		v.BirthDate, v.BirthDateStr = dayMillis(doc.BirthDate), orNull(doc.BirthDate)
		v.DeathDate, v.DeathDateStr = dayMillis(doc.DeathDate), orNull(doc.DeathDate)
	}
	for _, pmi := range doc.PMIs {
		site, err := r.siteName(pmi.SiteID)
		if err != nil {
			return v, err
		}
		mrn := pmi.MRN
		if !phi {
			mrn = masked
		}
		v.PMIs = append(v.PMIs, pmiView{mrn, site})
	}
	return v, nil
}

// orMasked is null for a blank text whoever asks.
func orMasked(text string, phi bool) *string {
	if text != "" && !phi {
		text = masked
	}
	return orNull(text)
}
