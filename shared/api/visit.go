package api

import (
	"cmp"
	"fmt"
	"slices"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// Visits (reference openspecimen-rest.md section 14).

func visits() noun {
	return noun{path: "/visits", typ: biobank.Visit, shows: visitView{}, gather: gatherVisits, view: viewVisit}
}

func visitRoutes() []route {
	n := visits()
	return append(reportRoutes(), []route{
		{pattern: "POST " + n.path + "/match", summary: "Find visits by accession number, eMPI or medical record number", answers: []visitMatch{{Cpr: registrations().shows, Visits: n.list().([]any)}}, serve: matchVisits},
		{pattern: "GET " + n.path, summary: "List the visits of a registration, also those to come", answers: n.list(), serve: listVisits},
		{pattern: "GET " + n.path + "/bynamespr", finds: "visitName", summary: "Find visits by name or path report number", answers: n.list(), serve: visitsByName},
		{pattern: "GET " + n.path + "/list", summary: "Find visits by their names", answers: n.list(), serve: visitsByNames},
		getRoute(n),
		createRoute(n, func(in *input) biobank.Draft { return visitDraft(in, 0) }),
		{pattern: "POST " + n.path + "/collect", summary: "Save a visit with trees of specimens", answers: collectedView{Visit: visitView{}}, serve: collectVisit},
		{pattern: "PUT " + n.path + "/{id}", summary: "Change one of the visits, or give it to another registration", answers: n.shows, serve: changeVisit},
		deleteRoute(removal{noun: n}),
		dependentsRoute(n),
		auditRoute(n),
	}...)
}

// changeVisit serves PUT /visits/{id}: a whole visit. One that goes to another registration takes with it what lies below
// it, which may be more than one request can move.
func changeVisit(c *call) (any, error) {
	id, in, err := c.idAndBody()
	if err != nil {
		return nil, err
	}
	d := visitDraft(in, id)
	d.Moves = true
	change := biobank.Change{Op: biobank.Update, ByID: true, ID: c.id, Reason: in.text("opComments")}
	if err := in.err(); err != nil {
		return nil, err
	}
	rec, complete, err := c.api.Registry.ChangeVisit(c.Context(), c.actor, c.at, c.at.Add(removalTime), c.api.Now, change, d)
	if err != nil {
		return nil, err
	}
	if !complete {
		return nil, unfinished()
	}
	return c.showOne(visits(), rec)
}

// visitDraft is a whole visit. Of a stored one the number behind its name stays, and so does what the caller was shown
// masked and sent back like that.
func visitDraft(in *input, id int64) *biobank.VisitDraft {
	fresh := biobank.VisitDoc{
		Name: in.text("name"), Status: in.text("status"), VisitDate: in.millis("visitDate"),
		ClinicalDiagnoses: in.texts("clinicalDiagnoses"), ClinicalStatus: in.text("clinicalStatus"), Cohort: in.text("cohort"),
		SurgicalPathologyNumber: in.text("surgicalPathologyNumber"), MissedReason: in.text("missedReason"),
		Comments: in.text("comments"), ActivityStatus: in.text("activityStatus"),
	}
	d := &biobank.VisitDraft{
		ID: id, RegistrationID: in.number("cprId"), Protocol: in.protocolRef(), PPID: in.text("ppid"),
		EventID: in.number("eventId"), EventLabel: in.text("eventLabel"), Site: in.maybeText("site"),
		MissedBy: in.userRef("missedBy"), Force: in.flag("forceDelete"), Doc: fresh,
		Extension: in.extension(id == 0),
	}
	if d.Site != nil && *d.Site == "" {
		d.Site = nil // the event's
	}
	if id != 0 {
		d.Merge = func(doc *biobank.VisitDoc) {
			was := *doc
			*doc = fresh
			doc.Serial = was.Serial
			if fresh.Comments == masked {
				doc.Comments = was.Comments
			}
			if fresh.SurgicalPathologyNumber == masked {
				doc.SurgicalPathologyNumber = was.SurgicalPathologyNumber
			}
		}
	}
	return d
}

// listVisits serves the visits of a registration, and those that are still to come: one for each open event without a
// visit. They are in the order of their dates, those without one last; with sortByDates=false in that in which they were saved.
func listVisits(c *call) (any, error) {
	q := c.query()
	id, stats, byDates := q.number("cprId"), q.flag("includeStats", false), q.flag("sortByDates", true)
	if q.wrong != nil {
		return nil, q.wrong
	}
	if id == 0 {
		return nil, invalid("Give the registration as cprId.")
	}
	reg, err := c.api.Registry.Get(c.Context(), c.actor, biobank.Registration, id)
	if err != nil {
		return nil, err
	}
	below, err := c.api.Registry.Below(c.Context(), c.actor, reg.Key)
	if err != nil {
		return nil, err
	}
	r := c.related()
	r.recs[reg.Key] = reg
	var saved []*biobank.Record
	for _, rec := range below {
		if rec.Type == biobank.Visit {
			saved = append(saved, rec)
		} else {
			r.below[rec.Key.VisitKey()] = append(r.below[rec.Key.VisitKey()], rec)
		}
	}
	shown, err := r.show(visits(), saved...)
	if err != nil {
		return nil, err
	}
	views := []visitView{}
	for i, v := range shown {
		view := v.(visitView)
		if stats {
			if err := view.count(r.below[saved[i].Key]); err != nil {
				return nil, err
			}
		}
		views = append(views, view)
	}
	coming, err := r.anticipatedVisits(reg, views)
	if err != nil {
		return nil, err
	}
	views = append(views, coming...)
	if byDates {
		slices.SortStableFunc(views, func(a, b visitView) int { return cmp.Compare(a.due(), b.due()) })
	}
	return views, nil
}

// due is when a visit was, or is to be.
func (v *visitView) due() int64 {
	switch {
	case v.VisitDate != nil:
		return *v.VisitDate
	case v.AnticipatedVisitDate != nil:
		return *v.AnticipatedVisitDate
	}
	return 1 << 62
}

// anticipatedVisits are the events of the protocol that a registration has no visit of; none for a caller who may not
// see visits.
func (r *related) anticipatedVisits(reg *biobank.Record, saved []visitView) ([]visitView, error) {
	cp := reg.Key.Protocol()
	if err := r.fetch(setKey(biobank.Protocol, cp)); err != nil {
		return nil, err
	}
	protocol, err := decodeAt[biobank.ProtocolDoc](r, setKey(biobank.Protocol, cp))
	if err != nil || !r.c.actor.Can(biobank.ResVisit, biobank.OpRead, cp, protocol.Sites) {
		return nil, err
	}
	doc, err := biobank.Decode[biobank.RegistrationDoc](reg)
	if err != nil {
		return nil, err
	}
	had := map[int64]bool{}
	for _, v := range saved {
		if v.EventID != nil {
			had[*v.EventID] = true
		}
	}
	all, err := r.c.api.Registry.Store.List(r.c.Context(), biobank.ProtocolPart(cp), "event/", "", 0)
	if err != nil {
		return nil, fmt.Errorf("list the events of protocol %d: %w", cp, err)
	}
	var views []visitView
	for _, rec := range all {
		if rec.Type != biobank.Event || had[rec.ID] {
			continue
		}
		event, err := biobank.Decode[biobank.EventDoc](rec)
		if err != nil {
			return nil, err
		}
		if event.ActivityStatus != biobank.StatusActive {
			continue
		}
		views = append(views, visitView{
			EventID: &rec.ID, EventCode: orNull(event.Code), EventLabel: orNull(event.Label), EventPoint: event.Point,
			EventPointUnit: orNull(event.PointUnit), Description: describeVisit(biobank.VisitDoc{EventID: rec.ID}, event),
			ClinicalDiagnoses: []string{}, DiagnosisList: []diagnosis{}, AnticipatedVisitDate: anticipated(doc.RegistrationDate, event),
			CprID: reg.ID, PPID: doc.PPID, CPID: cp, CPTitle: protocol.Title, CPShortTitle: protocol.ShortTitle,
		})
	}
	return views, nil
}

// count fills in the counters from the specimens below a visit. Each collected one is stored, not stored, distributed or
// closed.
func (v *visitView) count(specimens []*biobank.Record) error {
	for _, rec := range specimens {
		doc, err := biobank.Decode[biobank.SpecimenDoc](rec)
		if err != nil {
			return err
		}
		primary, planned := doc.Lineage == biobank.LineageNew, doc.RequirementID != 0
		add := func(n *int64, one bool) {
			if one {
				*n++
			}
		}
		add(&v.TotalPendingSpmns, doc.Status == biobank.CollectPending)
		add(&v.PendingPrimary, primary && doc.Status == biobank.CollectPending)
		add(&v.PlannedPrimary, primary && planned && doc.Status == biobank.Collected)
		add(&v.UnplannedPrimary, primary && !planned && doc.Status == biobank.Collected)
		add(&v.UncollectedPrimary, primary && (doc.Status == biobank.CollectMissed || doc.Status == biobank.NotCollected))
		switch is := availability(doc); {
		case doc.Location != nil:
			v.StoredSpecimens++
		case is == distributed:
			v.DistributedSpecimens++
		case doc.ActivityStatus == biobank.StatusClosed:
			v.ClosedSpecimens++
		case doc.Status == biobank.Collected:
			v.NotStoredSpecimens++
		}
	}
	return nil
}

// visitsByName serves GET /visits/bynamespr?visitName= or sprNumber=.
func visitsByName(c *call) (any, error) {
	q := c.query()
	name, number := q.text("visitName"), q.text("sprNumber")
	switch {
	case name != "":
		return c.namedVisits([]string{name}, page{0, maxPage})
	case number == "":
		return nil, fault.New("COMMON_INVALID_INPUT", "Give the visitName or the sprNumber.")
	}
	recs, err := c.api.Registry.ByReportNumber(c.Context(), c.actor, number)
	if err != nil {
		return nil, err
	}
	return c.show(visits(), recs...)
}

func visitsByNames(c *call) (any, error) {
	q := c.query()
	names, page, extensions := q.texts("name"), q.page("startAt", 100), q.flag("includeExtensions", true)
	if q.wrong != nil {
		return nil, q.wrong
	}
	views, err := c.namedVisits(names, page)
	if err != nil || extensions {
		return views, err
	}
	for i := range views {
		v := views[i].(visitView)
		v.ExtensionDetail = nil
		views[i] = v
	}
	return views, nil
}

func (c *call) namedVisits(names []string, p page) ([]any, error) {
	if len(names) > maxPage {
		return nil, invalid("At most %d names are possible.", maxPage)
	}
	recs, err := c.api.Registry.ByName(c.Context(), c.actor, biobank.Visit, names)
	if err != nil {
		return nil, err
	}
	return c.show(visits(), cut(recs, p)...)
}

// latestVisit serves the last visit of a registration that took place.
func latestVisit(c *call) (any, error) {
	reg, err := c.get(biobank.Registration)
	if err != nil {
		return nil, err
	}
	below, err := c.api.Registry.Below(c.Context(), c.actor, reg.Key)
	if err != nil {
		return nil, err
	}
	var latest *biobank.Record
	var at int64
	for _, rec := range below {
		if rec.Type != biobank.Visit {
			continue
		}
		doc, err := biobank.Decode[biobank.VisitDoc](rec)
		if err != nil {
			return nil, err
		}
		if doc.Status == biobank.VisitComplete && doc.VisitDate >= at {
			latest, at = rec, doc.VisitDate
		}
	}
	if latest == nil {
		return nil, nil
	}
	return c.showOne(visits(), latest)
}

// visitView leaves its nulls out.
type visitView struct {
	ID                      *int64         `json:"id,omitempty"` // nil for one that is still to come
	EventID                 *int64         `json:"eventId,omitempty"`
	EventCode               *string        `json:"eventCode,omitempty"`
	EventLabel              *string        `json:"eventLabel,omitempty"`
	EventPoint              *int64         `json:"eventPoint,omitempty"`
	EventPointUnit          *string        `json:"eventPointUnit,omitempty"`
	Name                    *string        `json:"name,omitempty"`
	Description             string         `json:"description"`
	ClinicalDiagnoses       []string       `json:"clinicalDiagnoses"`
	DiagnosisList           []diagnosis    `json:"diagnosisList"`
	ClinicalStatus          *string        `json:"clinicalStatus,omitempty"`
	ActivityStatus          *string        `json:"activityStatus,omitempty"`
	Site                    *string        `json:"site,omitempty"`
	Status                  *string        `json:"status,omitempty"`
	MissedReason            *string        `json:"missedReason,omitempty"`
	MissedBy                *userSummary   `json:"missedBy,omitempty"`
	Comments                *string        `json:"comments,omitempty"`
	SurgicalPathologyNumber *string        `json:"surgicalPathologyNumber,omitempty"`
	SprName                 *string        `json:"sprName,omitempty"`
	SprLocked               bool           `json:"sprLocked"`
	VisitDate               *int64         `json:"visitDate,omitempty"`
	AnticipatedVisitDate    *int64         `json:"anticipatedVisitDate,omitempty"`
	Cohort                  *string        `json:"cohort,omitempty"`
	CprID                   int64          `json:"cprId"`
	PPID                    string         `json:"ppid"`
	CPID                    int64          `json:"cpId"`
	CPTitle                 string         `json:"cpTitle"`
	CPShortTitle            string         `json:"cpShortTitle"`
	TotalPendingSpmns       int64          `json:"totalPendingSpmns"`
	PendingPrimary          int64          `json:"pendingPrimarySpmns"`
	PlannedPrimary          int64          `json:"plannedPrimarySpmnsColl"`
	UncollectedPrimary      int64          `json:"uncollectedPrimarySpmns"`
	UnplannedPrimary        int64          `json:"unplannedPrimarySpmnsColl"`
	StoredSpecimens         int64          `json:"storedSpecimens"`
	NotStoredSpecimens      int64          `json:"notStoredSpecimens"`
	DistributedSpecimens    int64          `json:"distributedSpecimens"`
	ClosedSpecimens         int64          `json:"closedSpecimens"`
	ForceDelete             bool           `json:"forceDelete"`
	ExtensionDetail         *extensionView `json:"extensionDetail,omitempty"`
}

// diagnosis is a permissible value as visits show it, with its nulls.
type diagnosis struct {
	ID             int64     `json:"id"`
	Value          string    `json:"value"`
	Attribute      string    `json:"attribute"`
	ConceptCode    *string   `json:"conceptCode"`
	Props          *struct{} `json:"props"`
	ActivityStatus string    `json:"activityStatus"`
}

// visitContext is what lies around a visit: its protocol, registration and event, whose docs are zero where there is none.
type visitContext struct {
	protocol     biobank.ProtocolDoc
	registration biobank.RegistrationDoc
	event        biobank.EventDoc
}

// aroundVisit are the keys of what lies around a visit.
func aroundVisit(key biobank.Key, doc biobank.VisitDoc) []biobank.Key {
	keys := []biobank.Key{setKey(biobank.Protocol, key.Protocol()), key.Above(1)}
	if doc.EventID != 0 {
		keys = append(keys, biobank.EventKey(key.Protocol(), doc.EventID))
	}
	return keys
}

// visit is what lies around a visit, fetched before.
func (r *related) visit(key biobank.Key, doc biobank.VisitDoc) (v visitContext, err error) {
	if v.protocol, err = decodeAt[biobank.ProtocolDoc](r, setKey(biobank.Protocol, key.Protocol())); err != nil {
		return v, err
	}
	if v.registration, err = decodeAt[biobank.RegistrationDoc](r, key.Above(1)); err != nil {
		return v, err
	}
	if doc.EventID != 0 {
		v.event, err = decodeAt[biobank.EventDoc](r, biobank.EventKey(key.Protocol(), doc.EventID))
	}
	return v, err
}

func gatherVisits(r *related, recs []*biobank.Record) error {
	var keys []biobank.Key
	var users []int64
	for _, rec := range recs {
		doc, err := biobank.Decode[biobank.VisitDoc](rec)
		if err != nil {
			return err
		}
		keys = append(append(keys, aroundVisit(rec.Key, doc)...), setKey(biobank.Site, doc.SiteID))
		keys = append(keys, extensionKeys(doc.Extension)...)
		users = append(users, doc.MissedBy)
	}
	return r.fetchWith(users, keys...)
}

func viewVisit(r *related, rec *biobank.Record) (any, error) {
	doc, err := biobank.Decode[biobank.VisitDoc](rec)
	if err != nil {
		return nil, err
	}
	around, err := r.visit(rec.Key, doc)
	if err != nil {
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
	phi := r.c.seesPHI(rec.Key.Protocol(), around.protocol)
	v := visitView{
		ID: &rec.ID, EventID: orNull(doc.EventID), EventCode: orNull(around.event.Code), EventLabel: orNull(around.event.Label),
		EventPoint: around.event.Point, EventPointUnit: orNull(around.event.PointUnit), Name: &doc.Name,
		Description: describeVisit(doc, around.event), ClinicalDiagnoses: orEmpty(doc.ClinicalDiagnoses),
		DiagnosisList: []diagnosis{}, ClinicalStatus: orNull(doc.ClinicalStatus), ActivityStatus: &doc.ActivityStatus,
		Site: site, Status: &doc.Status, MissedReason: orNull(doc.MissedReason), MissedBy: missedBy,
		Comments: orMasked(doc.Comments, phi), SurgicalPathologyNumber: orMasked(doc.SurgicalPathologyNumber, phi),
		VisitDate: &doc.VisitDate, AnticipatedVisitDate: anticipated(around.registration.RegistrationDate, around.event),
		Cohort: orNull(doc.Cohort), CprID: rec.Key.Registration(), PPID: around.registration.PPID,
		CPID: rec.Key.Protocol(), CPTitle: around.protocol.Title, CPShortTitle: around.protocol.ShortTitle,
	}
	if doc.Report != nil {
		v.SprName, v.SprLocked = orMasked(doc.Report.Name, phi), doc.Report.Locked
	}
	if v.ExtensionDetail, err = r.extension(doc.Extension, rec.ID, phi); err != nil {
		return nil, err
	}
	for _, d := range doc.ClinicalDiagnoses {
		v.DiagnosisList = append(v.DiagnosisList, diagnosis{
			ID: biobank.ValueID(biobank.ClinicalDiagnoses, d), Value: d, Attribute: biobank.ClinicalDiagnoses, ActivityStatus: biobank.StatusActive,
		})
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
