package api

import (
	"fmt"

	"aliquot/shared/biobank"
)

// Visits (reference openspecimen-rest.md section 14).

func visitRoutes() []route {
	return []route{
		getRoute("/visits", biobank.Visit, showVisit),
	}
}

// visitView leaves its nulls out.
type visitView struct {
	ID                      int64        `json:"id"`
	EventID                 *int64       `json:"eventId,omitempty"`
	EventCode               *string      `json:"eventCode,omitempty"`
	EventLabel              *string      `json:"eventLabel,omitempty"`
	EventPoint              *int64       `json:"eventPoint,omitempty"`
	EventPointUnit          *string      `json:"eventPointUnit,omitempty"`
	Name                    string       `json:"name"`
	Description             string       `json:"description"`
	ClinicalDiagnoses       []string     `json:"clinicalDiagnoses"`
	DiagnosisList           []diagnosis  `json:"diagnosisList"`
	ClinicalStatus          *string      `json:"clinicalStatus,omitempty"`
	ActivityStatus          string       `json:"activityStatus"`
	Site                    *string      `json:"site,omitempty"`
	Status                  string       `json:"status"`
	MissedReason            *string      `json:"missedReason,omitempty"`
	MissedBy                *userSummary `json:"missedBy,omitempty"`
	Comments                *string      `json:"comments,omitempty"`
	SurgicalPathologyNumber *string      `json:"surgicalPathologyNumber,omitempty"`
	SprLocked               bool         `json:"sprLocked"`
	VisitDate               int64        `json:"visitDate"`
	AnticipatedVisitDate    *int64       `json:"anticipatedVisitDate,omitempty"`
	Cohort                  *string      `json:"cohort,omitempty"`
	CprID                   int64        `json:"cprId"`
	PPID                    string       `json:"ppid"`
	CPID                    int64        `json:"cpId"`
	CPTitle                 string       `json:"cpTitle"`
	CPShortTitle            string       `json:"cpShortTitle"`
	TotalPendingSpmns       int64        `json:"totalPendingSpmns"`
	PendingPrimary          int64        `json:"pendingPrimarySpmns"`
	PlannedPrimary          int64        `json:"plannedPrimarySpmnsColl"`
	UncollectedPrimary      int64        `json:"uncollectedPrimarySpmns"`
	UnplannedPrimary        int64        `json:"unplannedPrimarySpmnsColl"`
	StoredSpecimens         int64        `json:"storedSpecimens"`
	NotStoredSpecimens      int64        `json:"notStoredSpecimens"`
	DistributedSpecimens    int64        `json:"distributedSpecimens"`
	ClosedSpecimens         int64        `json:"closedSpecimens"`
	ForceDelete             bool         `json:"forceDelete"`
}

type diagnosis struct {
	Value     string `json:"value"`
	Attribute string `json:"attribute"`
}

// visitContext is what lies around a visit: its protocol, registration and event, whose docs are zero where there is none.
type visitContext struct {
	protocol     biobank.ProtocolDoc
	registration biobank.RegistrationDoc
	event        biobank.EventDoc
}

// visit fetches what lies around a visit, with further records.
func (r *related) visit(key biobank.Key, doc biobank.VisitDoc, more ...biobank.Key) (v visitContext, err error) {
	cp := key.Protocol()
	protocol, registration := setKey(biobank.Protocol, cp), key.Above(1)
	var event biobank.Key
	if doc.EventID != 0 {
		event = biobank.EventKey(cp, doc.EventID)
	}
	if err := r.fetch(append(more, protocol, registration, event)...); err != nil {
		return v, err
	}
	if v.protocol, err = decodeAt[biobank.ProtocolDoc](r, protocol); err != nil {
		return v, err
	}
	if v.registration, err = decodeAt[biobank.RegistrationDoc](r, registration); err != nil {
		return v, err
	}
	v.event, err = decodeAt[biobank.EventDoc](r, event)
	return v, err
}

func showVisit(c *call, rec *biobank.Record) (any, error) {
	doc, err := biobank.Decode[biobank.VisitDoc](rec)
	if err != nil {
		return nil, err
	}
	r := c.related()
	around, err := r.visit(rec.Key, doc, setKey(biobank.Site, doc.SiteID))
	if err != nil {
		return nil, err
	}
	if err := r.fetchUsers(doc.MissedBy); err != nil {
		return nil, err
	}
	site, err := r.siteName(doc.SiteID)
	if err != nil {
		return nil, err
	}
	missedBy, err := r.summary(doc.MissedBy)
	if err != nil {
		return nil, err
	}
	phi := c.seesPHI(rec.Key.Protocol(), around.protocol)
	v := visitView{
		ID: rec.ID, EventID: orNull(doc.EventID), EventCode: orNull(around.event.Code), EventLabel: orNull(around.event.Label),
		EventPoint: around.event.Point, EventPointUnit: orNull(around.event.PointUnit), Name: doc.Name,
		Description: describeVisit(doc, around.event), ClinicalDiagnoses: orEmpty(doc.ClinicalDiagnoses),
		DiagnosisList: []diagnosis{}, ClinicalStatus: orNull(doc.ClinicalStatus), ActivityStatus: doc.ActivityStatus,
		Site: site, Status: doc.Status, MissedReason: orNull(doc.MissedReason), MissedBy: missedBy,
		Comments: orMasked(doc.Comments, phi), SurgicalPathologyNumber: orMasked(doc.SurgicalPathologyNumber, phi),
		VisitDate: doc.VisitDate, AnticipatedVisitDate: anticipated(around.registration.RegistrationDate, around.event),
		Cohort: orNull(doc.Cohort), CprID: rec.Key.Registration(), PPID: around.registration.PPID,
		CPID: rec.Key.Protocol(), CPTitle: around.protocol.Title, CPShortTitle: around.protocol.ShortTitle,
	}
	for _, d := range doc.ClinicalDiagnoses {
		v.DiagnosisList = append(v.DiagnosisList, diagnosis{d, "clinical_diagnosis"})
	}
	return v, nil
}

// describeVisit is "T0DBaseline" for the event Baseline on day 0, or names an unplanned visit.
func describeVisit(doc biobank.VisitDoc, event biobank.EventDoc) string {
	switch {
	case doc.EventID == 0:
		return "Unplanned Visit / " + doc.Name
	case event.Point == nil || event.PointUnit == "":
		return event.Label
	}
	return fmt.Sprintf("T%d%.1s%s", *event.Point, event.PointUnit, event.Label)
}
