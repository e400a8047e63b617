package api

import (
	"cmp"
	"strings"
	"time"

	"aliquot/shared/biobank"
)

// Events (reference openspecimen-rest.md section 10).

func events() noun {
	return noun{path: "/collection-protocol-events", typ: biobank.Event, shows: eventView{}, gather: gatherEvents, view: viewEvent}
}

func eventRoutes() []route {
	n := events()
	return []route{
		{pattern: "GET " + n.path, summary: "List the events of a protocol", answers: n.list(), serve: listEvents},
		getRoute(n),
		createRoute(n, func(in *input) biobank.Draft { return eventDraft(in, 0) }),
		changeRoute("PUT", n, eventDraft),
		deleteRoute(removal{noun: n}),
		dependentsRoute(n),
		{pattern: "POST " + n.path + "/{id}/copy", summary: "Copy an event with its requirements", answers: n.shows, serve: copyEvent},
		auditRoute(n),
	}
}

func eventDraft(in *input, id int64) biobank.Draft {
	return &biobank.EventDraft{
		ID: id,
		// The title wins over the short title; an id is not asked for here.
		Protocol:    biobank.ProtocolRef{Title: in.text("collectionProtocol"), ShortTitle: in.text("cpShortTitle")},
		DefaultSite: in.maybeText("defaultSite"),
		Doc: biobank.EventDoc{
			Label: in.text("eventLabel"), Point: in.maybeNumber("eventPoint"), PointUnit: in.text("eventPointUnit"),
			Code: in.text("code"), ClinicalDiagnosis: in.text("clinicalDiagnosis"), ClinicalStatus: in.text("clinicalStatus"),
			NamePrintMode: in.text("visitNamePrintMode"), NamePrintCopies: in.number("visitNamePrintCopies"),
			ActivityStatus: in.text("activityStatus"),
		},
	}
}

// eventNode reads an event with its requirements, as a definition shows it.
func eventNode(in *input) *biobank.EventNode {
	return &biobank.EventNode{
		Draft: eventDraft(in, 0).(*biobank.EventDraft), Requirements: requirementNodes(in.objects("specimenRequirements")),
	}
}

// listEvents serves the events of a protocol by their point, those without one last.
func listEvents(c *call) (any, error) {
	q := c.query()
	cp, closed := q.number("cpId"), q.flag("includeClosedEvents", false)
	if q.wrong != nil {
		return nil, q.wrong
	}
	if cp == 0 {
		return nil, invalid("Give the collection protocol as cpId.")
	}
	all, err := c.api.Registry.Events(c.Context(), c.actor, cp)
	if err != nil {
		return nil, err
	}
	all, err = sorted(all, func(_ int64, doc *biobank.EventDoc) bool {
		return closed || doc.ActivityStatus != biobank.StatusClosed
	}, byPoint)
	if err != nil {
		return nil, err
	}
	return c.show(events(), all...)
}

// byPoint orders events by their points in days, those without one last.
func byPoint(a, b *biobank.EventDoc) int {
	days := func(doc *biobank.EventDoc) int64 {
		if doc.Point == nil {
			return 1 << 62
		}
		return *doc.Point * map[string]int64{"WEEKS": 7, "MONTHS": 30, "YEARS": 365, "DAYS": 1}[doc.PointUnit]
	}
	return cmp.Compare(days(a), days(b))
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
	NamePrintMode      *string `json:"visitNamePrintMode,omitempty"`
	NamePrintCopies    *int64  `json:"visitNamePrintCopies,omitempty"`
	Offset             int64   `json:"offset"`
	OffsetUnit         string  `json:"offsetUnit"`
}

func gatherEvents(r *related, recs []*biobank.Record) error {
	var keys []biobank.Key
	for _, rec := range recs {
		doc, err := biobank.Decode[biobank.EventDoc](rec)
		if err != nil {
			return err
		}
		keys = append(keys, setKey(biobank.Protocol, rec.Key.Protocol()), setKey(biobank.Site, doc.DefaultSiteID))
	}
	return r.fetch(keys...)
}

func viewEvent(r *related, rec *biobank.Record) (any, error) {
	doc, err := biobank.Decode[biobank.EventDoc](rec)
	if err != nil {
		return nil, err
	}
	protocol, err := decodeAt[biobank.ProtocolDoc](r, setKey(biobank.Protocol, rec.Key.Protocol()))
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
		NamePrintMode: orNull(doc.NamePrintMode), NamePrintCopies: orNull(doc.NamePrintCopies),
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
