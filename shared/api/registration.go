package api

import (
	"cmp"

	"aliquot/shared/biobank"
)

// Registrations and the participants in them (reference openspecimen-rest.md sections 12 and 13).

// masked stands for identifying text that the caller may not see.
const masked = "###"

func registrationRoutes() []route {
	return []route{
		getRoute("/collection-protocol-registrations", biobank.Registration, showRegistration),
	}
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

func showRegistration(c *call, rec *biobank.Record) (any, error) {
	doc, err := biobank.Decode[biobank.RegistrationDoc](rec)
	if err != nil {
		return nil, err
	}
	cp := setKey(biobank.Protocol, rec.Key.Protocol())
	keys := []biobank.Key{cp, setKey(biobank.Site, doc.SiteID)}
	for _, pmi := range doc.Participant.PMIs {
		keys = append(keys, setKey(biobank.Site, pmi.SiteID))
	}
	r := c.related()
	if err := r.fetch(keys...); err != nil {
		return nil, err
	}
	protocol, err := decodeAt[biobank.ProtocolDoc](r, cp)
	if err != nil {
		return nil, err
	}
	site, err := r.siteName(doc.SiteID)
	if err != nil {
		return nil, err
	}
	phi := c.seesPHI(rec.Key.Protocol(), protocol)
	participant, err := r.participant(doc.Participant, phi)
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

// participant shows a person; without the right to identifying data texts are masked and dates left out (section 8).
func (r *related) participant(doc biobank.ParticipantDoc, phi bool) (participantView, error) {
	v := participantView{
		ID: doc.ID, Source: "OpenSpecimen", FirstName: orMasked(doc.FirstName, phi), LastName: orMasked(doc.LastName, phi),
		MiddleName: orMasked(doc.MiddleName, phi), EmailAddress: orMasked(doc.EmailAddress, phi), EmailOptIn: doc.EmailOptIn,
		PhoneNumber: orMasked(doc.PhoneNumber, phi), TextOptIn: doc.TextOptIn, TextOptInConsent: doc.TextOptInConsent,
		Gender: orNull(doc.Gender), VitalStatus: orNull(doc.VitalStatus), Races: orEmpty(doc.Races), PMIs: []pmiView{},
		UID: orMasked(doc.UID, phi), EMPI: orMasked(doc.EMPI, phi), Ethnicities: orEmpty(doc.Ethnicities),
		ActivityStatus: biobank.StatusActive, PhiAccess: phi, RegisteredCPs: []struct{}{}, CPID: -1,
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
