package biobank

import (
	"strconv"
	"strings"
)

// ParticipantDoc is a person. All of it but gender, genotype, vital status, race and ethnicity is protected health
// information.
type ParticipantDoc struct {
	ID               int64    `json:"id"`
	FirstName        string   `json:"firstName,omitempty"`
	LastName         string   `json:"lastName,omitempty"`
	MiddleName       string   `json:"middleName,omitempty"`
	EmailAddress     string   `json:"emailAddress,omitempty"`
	EmailOptIn       *bool    `json:"emailOptIn,omitempty"`
	PhoneNumber      string   `json:"phoneNumber,omitempty"`
	TextOptIn        *bool    `json:"textOptIn,omitempty"`
	TextOptInConsent *bool    `json:"textOptInConsent,omitempty"`
	BirthDate        string   `json:"birthDate,omitempty"` // yyyy-MM-dd
	DeathDate        string   `json:"deathDate,omitempty"` // yyyy-MM-dd
	Gender           string   `json:"gender,omitempty"`
	SexGenotype      string   `json:"sexGenotype,omitempty"`
	VitalStatus      string   `json:"vitalStatus,omitempty"`
	Races            []string `json:"races,omitempty"`
	Ethnicities      []string `json:"ethnicities,omitempty"`
	UID              string   `json:"uid,omitempty"`
	EMPI             string   `json:"empi,omitempty"`
	PMIs             []PMI    `json:"pmis,omitempty"`
}

// PMI is a person's medical record number at a site.
type PMI struct {
	SiteID int64  `json:"siteId"`
	MRN    string `json:"mrn"`
}

var (
	uniqueEMPI = &unique{"PARTICIPANT_DUP_EMPI", "eMPI %q belongs to another participant.", func(r *Record, v string) (bool, error) {
		d, err := Decode[RegistrationDoc](r)
		return d.Participant.EMPI == v && d.ActivityStatus != StatusDisabled, err
	}}
	uniqueUID = &unique{"PARTICIPANT_DUP_UID", "National ID %q belongs to another participant.", func(r *Record, v string) (bool, error) {
		d, err := Decode[RegistrationDoc](r)
		return d.Participant.UID == v && d.ActivityStatus != StatusDisabled, err
	}}
	uniqueMRN = &unique{"PARTICIPANT_DUP_MRN", "MRN %q belongs to another participant of that site.", func(r *Record, v string) (bool, error) {
		d, err := Decode[RegistrationDoc](r)
		if err != nil || d.ActivityStatus == StatusDisabled {
			return false, err
		}
		for _, p := range d.Participant.PMIs {
			if p.MRN == v {
				return true, nil
			}
		}
		return false, nil
	}}
)

// personMarks are the marks of what identifies a person.
func personMarks(p *ParticipantDoc) []string {
	var out []string
	if p.EMPI != "" {
		out = append(out, empiMark(p.EMPI))
	}
	if p.UID != "" {
		out = append(out, uidMark(p.UID))
	}
	for _, m := range p.PMIs {
		out = append(out, mrnMark(m.SiteID, m.MRN))
	}
	return out
}

// hasPHI tells whether identifying values were sent.
func hasPHI(p *ParticipantDoc, pmis []PMIRef) bool {
	return p.FirstName+p.LastName+p.MiddleName+p.EmailAddress+p.PhoneNumber+p.BirthDate+p.DeathDate+p.UID+p.EMPI != "" || len(pmis) > 0
}

// phiOf joins the identifying values, for comparison.
func phiOf(p *ParticipantDoc) string {
	parts := []string{p.FirstName, p.LastName, p.MiddleName, p.EmailAddress, p.PhoneNumber, p.BirthDate, p.DeathDate, p.UID, p.EMPI}
	for _, m := range p.PMIs {
		parts = append(parts, strconv.FormatInt(m.SiteID, 10), m.MRN)
	}
	return strings.Join(parts, "\x00")
}
