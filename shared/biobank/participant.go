package biobank

import (
	"slices"
	"strconv"
	"strings"
)

// Masked stands for identifying text that somebody may not see.
const Masked = "###"

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
)

// uniqueMRN makes the numbers of a site unique: at another one the same number is another.
func uniqueMRN(site int64) *unique {
	return &unique{"PARTICIPANT_DUP_MRN", "MRN %q belongs to another participant of that site.", func(r *Record, v string) (bool, error) {
		d, err := Decode[RegistrationDoc](r)
		return slices.Contains(d.Participant.PMIs, PMI{SiteID: site, MRN: v}) && d.ActivityStatus != StatusDisabled, err
	}}
}

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
		if m.MRN != "" { // many are known at a site whose number there nobody has noted
			out = append(out, mrnMark(m.SiteID, m.MRN))
		}
	}
	return out
}

// phiFields are the texts of a participant that identify somebody, the MRNs apart.
func phiFields(p *ParticipantDoc) []*string {
	return []*string{&p.FirstName, &p.LastName, &p.MiddleName, &p.EmailAddress, &p.PhoneNumber, &p.BirthDate, &p.DeathDate, &p.UID, &p.EMPI}
}

// hasPHI tells whether identifying values were sent.
func hasPHI(p *ParticipantDoc, pmis []PMIRef) bool {
	return len(pmis) > 0 || slices.ContainsFunc(phiFields(p), func(field *string) bool { return *field != "" })
}

// phiOf joins the identifying values, for comparison.
func phiOf(p *ParticipantDoc) string {
	var parts []string
	for _, field := range phiFields(p) {
		parts = append(parts, *field)
	}
	for _, m := range p.PMIs {
		parts = append(parts, strconv.FormatInt(m.SiteID, 10), m.MRN)
	}
	return strings.Join(parts, "\x00")
}
