package api

import (
	"cmp"
	"slices"

	"aliquot/shared/biobank"
)

// Participants (reference openspecimen-rest.md section 13). A participant lies in the registration.

// masked stands for identifying text that the caller may not see.
const masked = "###"

func participantRoutes() []route {
	return []route{
		{pattern: "GET /participants/{id}", summary: "Read a participant", answers: participantView{}, serve: getParticipant},
		{pattern: "POST /participants/match", summary: "Find who may be the person described", answers: []matchView{}, serve: matchParticipants},
	}
}

func participantDoc(in *input) biobank.ParticipantDoc {
	return biobank.ParticipantDoc{
		FirstName: in.text("firstName"), LastName: in.text("lastName"), MiddleName: in.text("middleName"),
		EmailAddress: in.text("emailAddress"), EmailOptIn: in.maybeFlag("emailOptIn"), PhoneNumber: in.text("phoneNumber"),
		TextOptIn: in.maybeFlag("textOptIn"), TextOptInConsent: in.maybeFlag("textOptInConsent"),
		BirthDate: in.day("birthDate"), DeathDate: in.day("deathDate"), Gender: in.text("gender"),
		VitalStatus: in.text("vitalStatus"), Races: in.texts("races"), Ethnicities: in.texts("ethnicities"),
		UID: in.text("uid"), EMPI: in.text("empi"),
	}
}

func participantPatch(in *input) merge[biobank.ParticipantDoc] {
	type doc = biobank.ParticipantDoc
	fresh := participantDoc(in)
	var m merge[doc]
	m.set(in, "firstName", func(d *doc) { d.FirstName = fresh.FirstName })
	m.set(in, "lastName", func(d *doc) { d.LastName = fresh.LastName })
	m.set(in, "middleName", func(d *doc) { d.MiddleName = fresh.MiddleName })
	m.set(in, "emailAddress", func(d *doc) { d.EmailAddress = fresh.EmailAddress })
	m.set(in, "emailOptIn", func(d *doc) { d.EmailOptIn = fresh.EmailOptIn })
	m.set(in, "phoneNumber", func(d *doc) { d.PhoneNumber = fresh.PhoneNumber })
	m.set(in, "textOptIn", func(d *doc) { d.TextOptIn = fresh.TextOptIn })
	m.set(in, "textOptInConsent", func(d *doc) { d.TextOptInConsent = fresh.TextOptInConsent })
	m.set(in, "birthDate", func(d *doc) { d.BirthDate = fresh.BirthDate })
	m.set(in, "deathDate", func(d *doc) { d.DeathDate = fresh.DeathDate })
	m.set(in, "gender", func(d *doc) { d.Gender = fresh.Gender })
	m.set(in, "vitalStatus", func(d *doc) { d.VitalStatus = fresh.VitalStatus })
	m.set(in, "races", func(d *doc) { d.Races = fresh.Races })
	m.set(in, "ethnicities", func(d *doc) { d.Ethnicities = fresh.Ethnicities })
	m.set(in, "uid", func(d *doc) { d.UID = fresh.UID })
	m.set(in, "empi", func(d *doc) { d.EMPI = fresh.EMPI })
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
	rec, err := c.api.Registry.ByParticipant(c.Context(), c.actor, id)
	if err != nil {
		return nil, err
	}
	if rec == nil {
		return nil, notNamed("PARTICIPANT_NOT_FOUND", "Participant", c.PathValue("id"))
	}
	v, err := c.showOne(registrations(), rec)
	if err != nil {
		return nil, err
	}
	return v.(registrationView).Participant, nil
}

type matchView struct {
	Participant  participantView `json:"participant"`
	MatchedAttrs []string        `json:"matchedAttrs"`
}

// matchParticipants serves who may be the person that the body describes: by eMPI, else national id, else a medical
// record number, else last name and day of birth, in the protocols whose identifying data the caller may see.
func matchParticipants(c *call) (any, error) {
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	doc, pmis := participantDoc(in), in.pmis()
	if err := in.err(); err != nil {
		return nil, err
	}
	recs, attr, err := c.api.Registry.MatchParticipant(c.Context(), c.actor, doc, pmis)
	if err != nil {
		return nil, err
	}
	views, err := c.show(registrations(), cut(recs, page{0, maxPage})...)
	if err != nil {
		return nil, err
	}
	matches := []matchView{}
	for _, v := range views {
		matches = append(matches, matchView{v.(registrationView).Participant, []string{attr}})
	}
	return slices.Clip(matches), nil
}

type participantView struct {
	ID               int64      `json:"id"`
	Source           string     `json:"source"`
	FirstName        *string    `json:"firstName,omitempty"`
	LastName         *string    `json:"lastName,omitempty"`
	MiddleName       *string    `json:"middleName,omitempty"`
	EmailAddress     *string    `json:"emailAddress,omitempty"`
	EmailOptIn       *bool      `json:"emailOptIn,omitempty"`
	PhoneNumber      *string    `json:"phoneNumber,omitempty"`
	TextOptIn        *bool      `json:"textOptIn,omitempty"`
	TextOptInConsent *bool      `json:"textOptInConsent,omitempty"`
	BirthDate        *int64     `json:"birthDate,omitempty"`
	BirthDateStr     *string    `json:"birthDateStr,omitempty"`
	DeathDate        *int64     `json:"deathDate,omitempty"`
	DeathDateStr     *string    `json:"deathDateStr,omitempty"`
	Gender           *string    `json:"gender,omitempty"`
	VitalStatus      *string    `json:"vitalStatus,omitempty"`
	Races            []string   `json:"races"`
	PMIs             []pmiView  `json:"pmis"`
	UID              *string    `json:"uid,omitempty"`
	EMPI             *string    `json:"empi,omitempty"`
	Ethnicities      []string   `json:"ethnicities"`
	ActivityStatus   string     `json:"activityStatus"`
	PhiAccess        bool       `json:"phiAccess"`
	RegisteredCPs    []struct{} `json:"registeredCps"`
	CPID             int64      `json:"cpId"`
	ReqRegInfo       bool       `json:"reqRegInfo"`
	ForceDelete      bool       `json:"forceDelete"`
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
		Gender: orNull(doc.Gender), VitalStatus: orNull(doc.VitalStatus), Races: orEmpty(doc.Races), PMIs: []pmiView{},
		UID: orMasked(doc.UID, phi), EMPI: orMasked(doc.EMPI, phi), Ethnicities: orEmpty(doc.Ethnicities),
		ActivityStatus: cmp.Or(reg.ActivityStatus, biobank.StatusActive), PhiAccess: phi, RegisteredCPs: []struct{}{}, CPID: -1,
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
