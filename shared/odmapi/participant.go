package odmapi

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"aliquot/shared/biobank"
	"aliquot/shared/clinical"
)

// Participants (section 9). In their JSON subjectKey is the Participant ID, not the OID. Contact data are taken and never
// shown.

func participantRoutes() []route {
	const study, site = "/clinicaldata/studies/{study}/participants", "/clinicaldata/studies/{study}/sites/{site}/participants"
	return []route{
		{pattern: "GET " + study, tell: asMessage, serve: listParticipants},
		{pattern: "GET " + site, tell: asMessage, serve: listParticipants},
		{pattern: "POST " + study, tell: asMessage, serve: addParticipant},
		{pattern: "POST " + site, tell: asMessage, serve: addParticipant},
		{pattern: "PUT " + study, tell: asOwnMessage, serve: updateParticipant},
		{pattern: "PUT " + site, tell: asOwnMessage, serve: updateParticipant},
	}
}

// sitePlace finds the place that a path names by a study and perhaps one of its sites.
func (c *call) sitePlace() (*clinical.Place, error) {
	return c.api.Registry.PlaceOf(c.Context(), c.PathValue("study"), c.PathValue("site"))
}

type participantView struct {
	SubjectKey     string `json:"subjectKey"`
	SubjectOID     string `json:"subjectOid"`
	Status         string `json:"status"`
	CreatedBy      string `json:"createdBy"`
	CreatedAt      string `json:"createdAt"`
	LastModified   string `json:"lastModified,omitempty"`
	LastModifiedBy string `json:"lastModifiedBy,omitempty"`
}

// maxPage is the most participants of a page.
const maxPage = 1000

// listParticipants answers with the participants of a study or site that the caller sees, in order of creation. Without
// parameters it is all of them, as in the reference; maxResults and after, a participant's OID, ask for a page (ours).
func listParticipants(c *call) (any, error) {
	p, err := c.sitePlace()
	if err != nil {
		return nil, err
	}
	limit, err := c.limit(maxPage)
	if err != nil {
		return nil, err
	}
	site, err := json.Marshal(struct {
		ID   string `json:"siteID"`
		Name string `json:"siteName"`
		OID  string `json:"siteOID"`
	}{p.Site.Unique, p.Site.Name, p.Site.OID})
	if err != nil {
		return nil, fmt.Errorf("encode a site: %w", err)
	}
	after := c.URL.Query().Get("after")
	return list(c, `{"studyParticipants":`, func() (page []participantView, more bool, err error) {
		some, err := c.api.Registry.Participants(c.Context(), c.actor, p, after, cmp.Or(limit, maxPage))
		if err != nil || len(some) == 0 {
			return nil, false, err
		}
		after = some[len(some)-1].OID
		page, err = c.showParticipants(some)
		return page, limit == 0 && len(some) == maxPage, err
	}, ","+string(site[1:]))
}

func (c *call) showParticipants(some []*clinical.Participant) ([]participantView, error) {
	var ids []int64
	for _, one := range some {
		ids = append(ids, one.CreatedBy, one.UpdatedBy)
	}
	logins, err := c.logins(ids)
	if err != nil {
		return nil, err
	}
	views := make([]participantView, len(some))
	for i, one := range some {
		views[i] = participantView{
			SubjectKey: one.Label, SubjectOID: one.OID, Status: subjectStatus(&one.Subject),
			CreatedBy: logins[one.CreatedBy], CreatedAt: timestamp(time.UnixMilli(one.CreatedAt)), LastModifiedBy: logins[one.UpdatedBy],
		}
		if one.UpdatedAt != 0 {
			views[i].LastModified = timestamp(time.UnixMilli(one.UpdatedAt))
		}
	}
	return views, nil
}

func subjectStatus(s *clinical.Subject) string {
	switch {
	case s.Removed:
		return "Removed"
	case s.Signed:
		return "signed"
	}
	return "Available"
}

// logins are the login names of users, by id; 0 has none.
func (c *call) logins(ids []int64) (map[int64]string, error) {
	slices.Sort(ids)
	var keys []biobank.Key
	for _, id := range slices.Compact(ids) {
		if id != 0 {
			keys = append(keys, biobank.SetKey(biobank.User, id))
		}
	}
	names := map[int64]string{}
	if len(keys) == 0 {
		return names, nil
	}
	recs, err := c.api.Users.Fetch(c.Context(), keys...)
	if err != nil {
		return nil, err
	}
	for _, rec := range recs {
		doc, err := biobank.Decode[biobank.UserDoc](rec)
		if err != nil {
			return nil, err
		}
		names[rec.ID] = doc.LoginName
	}
	return names, nil
}

// addParticipant makes a participant of {"subjectKey","firstName","lastName","email","phone"} and, which is ours,
// {"subjectOid","uniqueIdentifier","secondaryId","dateOfBirth","yearOfBirth","sex","enrollmentDate"}. To register for Participate, which
// this product has not, is refused as where it is not active.
func addParticipant(c *call) (any, error) {
	p, d, err := c.subjectDraft()
	if err != nil {
		return nil, err
	}
	if isYes(c.URL.Query().Get("register")) {
		return nil, clinical.ParticipateInActive
	}
	made, err := c.api.Registry.AddParticipant(c.Context(), c.by(), p, d)
	return showSubject(made, err)
}

// updateParticipant changes what is given of a participant, of the members that addParticipant takes; {"removed"} takes the
// participant out of use or back into it, and {"reason"} says why. The call is ours.
func updateParticipant(c *call) (any, error) {
	p, d, err := c.subjectDraft()
	if err != nil {
		return nil, err
	}
	is, err := c.api.Registry.UpdateParticipant(c.Context(), c.by(), p, d)
	return showSubject(is, err)
}

// subjectDraft reads what is asked of a participant, for who may change data at the place of the path.
func (c *call) subjectDraft() (*clinical.Place, clinical.SubjectDraft, error) {
	var in struct {
		SubjectKey, SubjectOID, FirstName, LastName, Email, EmailAddress, Phone, PhoneNumber string
		UniqueIdentifier, SecondaryID, DateOfBirth, YearOfBirth, Sex, EnrollmentDate, Reason string
		Removed                                                                              *bool
	}
	p, err := c.sitePlace()
	if err == nil {
		err = c.actor.MayChange(p)
	}
	if err == nil {
		err = c.read(&in)
	}
	d := clinical.SubjectDraft{
		Label: in.SubjectKey, OID: in.SubjectOID, FirstName: in.FirstName, LastName: in.LastName, Email: cmp.Or(in.Email, in.EmailAddress), Phone: cmp.Or(in.Phone, in.PhoneNumber),
		UniqueIdentifier: in.UniqueIdentifier, SecondaryID: in.SecondaryID, DateOfBirth: in.DateOfBirth, YearOfBirth: in.YearOfBirth, Sex: in.Sex,
		EnrollmentDate: in.EnrollmentDate, Removed: in.Removed, Reason: in.Reason,
	}
	return p, d, err
}

func showSubject(s *clinical.Participant, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return struct {
		SubjectKey        string `json:"subjectKey"`
		SubjectOID        string `json:"subjectOid"`
		Status            string `json:"status"`
		ParticipateStatus string `json:"participateStatus"`
	}{s.Label, s.OID, subjectStatus(&s.Subject), ""}, nil
}
