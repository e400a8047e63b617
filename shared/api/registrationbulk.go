package api

import (
	"time"

	"aliquot/shared/biobank"
)

// Calls about several registrations, and those that change one in a way of their own (reference openspecimen-rest.md
// section 12).

type registrationMatches struct {
	Registration map[string]any `json:"cpr"`
	Matches      []matchView    `json:"matches"`
}

// matchRegistrations serves, for each registration of the body, who its participant may be. The reference leaves the
// answer's form open: each row comes back as it was sent, with its matches.
func matchRegistrations(c *call) (any, error) {
	return matchEach(c, func(in *input, found []matchView) registrationMatches { return registrationMatches{in.members, found} },
		func(in *input) *input { return in.object("participant") })
}

// registerMany serves POST /bulk: as many nameless participants of a protocol as ppids names, or regCount with generated
// PPIDs, all checked before the first is registered. The reference leaves the fields open; registrationDate is today
// unless it is sent, site may be.
func registerMany(c *call) (any, error) {
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	count, ppids := in.number("regCount"), in.texts("ppids")
	draft := biobank.RegistrationDraft{Protocol: in.protocolRef(), Site: in.maybeText("site"), Many: true}
	draft.Doc.RegistrationDate = in.day("registrationDate")
	if err := in.err(); err != nil {
		return nil, err
	}
	if draft.Doc.RegistrationDate == "" {
		draft.Doc.RegistrationDate = c.at.Format(time.DateOnly)
	}
	switch {
	case len(ppids) > 0 && count != 0 && count != int64(len(ppids)):
		return nil, invalid("regCount is %d, but there are %d ppids; give one of the two.", count, len(ppids))
	case len(ppids) == 0 && (count < 1 || count > maxBulk):
		return nil, invalid("Give regCount, from 1 to %d, or ppids.", maxBulk)
	case len(ppids) == 0:
		ppids = make([]string, count)
	}
	if err := fewEnough(len(ppids)); err != nil {
		return nil, err
	}
	changes := make([]biobank.Change, len(ppids))
	for i, ppid := range ppids {
		d := draft
		d.Doc.PPID = ppid
		changes[i] = biobank.Change{Op: biobank.Create, Draft: &d, ID: c.id, Reason: in.text("opComments")}
	}
	recs, err := c.api.Registry.ApplyAll(c.Context(), c.actor, c.at, changes)
	if err != nil {
		return nil, err
	}
	return c.show(registrations(), recs...)
}

// anonymizeRoute serves PUT /{id}/anonymize: what identifies the person is wiped, in all of the person's
// registrations and their visits.
func anonymizeRoute(n noun) route {
	return route{pattern: "PUT " + n.path + "/{id}/anonymize", summary: "Wipe what identifies the participant", answers: n.shows, serve: func(c *call) (any, error) {
		id, err := c.pathID("id")
		if err != nil {
			return nil, err
		}
		rec, err := c.api.Registry.Anonymize(c.Context(), c.actor, c.at, biobank.Change{ID: c.id, Reason: "Anonymized"}, id)
		if err != nil {
			return nil, err
		}
		return c.showOne(n, rec)
	}}
}

// registrationSummary is a registration as the answer of a bulk deletion has it (CprSummary). What was collected for it is not
// counted there: null.
type registrationSummary struct {
	Participant      personSummary `json:"participant"`
	ID               int64         `json:"id"`
	CprID            int64         `json:"cprId"`
	RegistrationDate *int64        `json:"registrationDate"`
	PPID             string        `json:"ppid"`
	CPID             int64         `json:"cpId"`
	CPShortTitle     string        `json:"cpShortTitle"`
	ScgCount         *int64        `json:"scgCount"`
	SpecimenCount    *int64        `json:"specimenCount"`
}

type personSummary struct {
	ID           int64   `json:"id"`
	Source       string  `json:"source"`
	FirstName    *string `json:"firstName,omitempty"`
	LastName     *string `json:"lastName,omitempty"`
	EMPI         *string `json:"empi,omitempty"`
	UID          *string `json:"uid,omitempty"`
	EmailAddress *string `json:"emailAddress,omitempty"`
	EmailOptIn   *bool   `json:"emailOptIn,omitempty"`
	PhoneNumber  *string `json:"phoneNumber,omitempty"`
	TextOptIn    *bool   `json:"textOptIn,omitempty"`
	BirthDate    *int64  `json:"birthDate,omitempty"`
}

// completedRegistrations answers the deletion of several.
type completedRegistrations struct {
	Completed bool                  `json:"completed"`
	Entities  []registrationSummary `json:"entities"`
}

func completedSummaries(views []any, complete bool) any {
	list := make([]registrationSummary, len(views))
	for i, v := range views {
		r := v.(registrationView)
		p := r.Participant
		list[i] = registrationSummary{
			Participant: personSummary{
				p.ID, p.Source, p.FirstName, p.LastName, p.EMPI, p.UID, p.EmailAddress, p.EmailOptIn, p.PhoneNumber, p.TextOptIn, p.BirthDate,
			},
			ID: r.ID, CprID: r.ID, RegistrationDate: r.RegistrationDate, PPID: r.PPID, CPID: r.CPID, CPShortTitle: r.CPShortTitle,
		}
	}
	return completedRegistrations{complete, list}
}
