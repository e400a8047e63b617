package api

import (
	"strings"
	"time"

	"aliquot/shared/biobank"
)

// Events (reference openspecimen-rest.md section 10).

func eventRoutes() []route {
	return []route{
		getRoute("/collection-protocol-events", biobank.Event, showEvent),
		createRoute("/collection-protocol-events", eventDraft, showEvent),
	}
}

func eventDraft(in *input) biobank.Draft {
	d := &biobank.EventDraft{
		// The title wins over the short title; an id is not asked for here.
		Protocol: biobank.ProtocolRef{Title: in.text("collectionProtocol"), ShortTitle: in.text("cpShortTitle")},
		Doc: biobank.EventDoc{
			Label: in.text("eventLabel"), Point: in.maybeNumber("eventPoint"), PointUnit: in.text("eventPointUnit"),
			Code: in.text("code"), ClinicalDiagnosis: in.text("clinicalDiagnosis"), ClinicalStatus: in.text("clinicalStatus"),
			ActivityStatus: in.text("activityStatus"),
		},
	}
	if in.sent("defaultSite") {
		site := in.text("defaultSite")
		d.DefaultSite = &site
	}
	return d
}

// eventView leaves its nulls out.
type eventView struct {
	ID                 int64   `json:"id"`
	EventLabel         string  `json:"eventLabel"`
	EventPoint         *int64  `json:"eventPoint,omitempty"`
	EventPointUnit     *string `json:"eventPointUnit,omitempty"`
	CPID               int64   `json:"cpId"`
	CollectionProtocol string  `json:"collectionProtocol"`
	CPShortTitle       string  `json:"cpShortTitle"`
	DefaultSite        *string `json:"defaultSite,omitempty"`
	ClinicalDiagnosis  *string `json:"clinicalDiagnosis,omitempty"`
	ClinicalStatus     *string `json:"clinicalStatus,omitempty"`
	ActivityStatus     string  `json:"activityStatus"`
	Code               *string `json:"code,omitempty"`
	Offset             int64   `json:"offset"`
	OffsetUnit         string  `json:"offsetUnit"`
}

func showEvent(c *call, rec *biobank.Record) (any, error) {
	doc, err := biobank.Decode[biobank.EventDoc](rec)
	if err != nil {
		return nil, err
	}
	cp := setKey(biobank.Protocol, rec.Key.Protocol())
	r := c.related()
	if err := r.fetch(cp, setKey(biobank.Site, doc.DefaultSiteID)); err != nil {
		return nil, err
	}
	protocol, err := decodeAt[biobank.ProtocolDoc](r, cp)
	if err != nil {
		return nil, err
	}
	site, err := r.siteName(doc.DefaultSiteID)
	if err != nil {
		return nil, err
	}
	return eventView{
		ID: rec.ID, EventLabel: doc.Label, EventPoint: doc.Point, EventPointUnit: orNull(doc.PointUnit),
		CPID: rec.Key.Protocol(), CollectionProtocol: protocol.Title, CPShortTitle: protocol.ShortTitle, DefaultSite: site,
		ClinicalDiagnosis: orNull(doc.ClinicalDiagnosis), ClinicalStatus: orNull(doc.ClinicalStatus),
		ActivityStatus: doc.ActivityStatus, Code: orNull(doc.Code), OffsetUnit: "DAYS",
	}, nil
}

// anticipated is when an event falls due for somebody registered on a day, in epoch milliseconds; nil without a point.
func anticipated(registered string, doc biobank.EventDoc) *int64 {
	at, err := time.Parse(time.DateOnly, registered)
	if err != nil || doc.Point == nil {
		return nil
	}
	n := int(*doc.Point)
	switch strings.ToUpper(doc.PointUnit) {
	case "WEEKS":
		at = at.AddDate(0, 0, 7*n)
	case "MONTHS":
		at = at.AddDate(0, n, 0)
	case "YEARS":
		at = at.AddDate(n, 0, 0)
	default:
		at = at.AddDate(0, 0, n)
	}
	ms := at.UnixMilli()
	return &ms
}
