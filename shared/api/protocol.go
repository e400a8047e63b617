package api

import (
	"cmp"
	"slices"
	"strings"

	"aliquot/shared/biobank"
)

// Collection protocols (reference openspecimen-rest.md section 9).

func protocols() noun {
	return noun{path: "/collection-protocols", typ: biobank.Protocol, shows: protocolView{}, gather: gatherProtocols, view: viewProtocol}
}

// protocolItems is how protocols are listed.
func protocolItems() noun {
	n := protocols()
	n.gather, n.view, n.shows = gatherProtocolItems, viewProtocolItem, protocolItem{}
	return n
}

func protocolRoutes() []route {
	n := protocols()
	gone := removal{
		noun: n,
		one: func(c *call, rec *biobank.Record, complete bool) (any, error) {
			if !complete {
				return completedOne{Completed: false}, nil
			}
			v, err := c.showOne(n, rec)
			return completedOne{true, v}, err
		},
		oneAnswers: completedOne{Entity: n.shows},
		several:    completedList,
	}
	list := members[biobank.ProtocolDoc]{
		noun: protocolItems(), start: "startAt", fits: fitsProtocol, less: lessProtocol,
		rank: byStars(biobank.Protocol),
	}
	return append(
		append(list.routes(), starRoutes(n)...),
		route{pattern: "GET /collection-protocols/byop", summary: "List the protocols in which the caller holds a right", answers: list.list(), serve: func(c *call) (any, error) { return listByRight(c, list) }},
		getRoute(n),
		route{pattern: "GET /collection-protocols/{id}/sites", summary: "List the sites of a protocol", answers: []protocolSiteView{}, serve: listProtocolSites},
		createRoute(n, func(in *input) biobank.Draft { return protocolDraft(in, 0) }),
		changeRoute("PUT", n, protocolDraft),
		deleteRoute(gone),
		bulkDeleteRoute(gone),
		dependentsRoute(n),
		route{pattern: "GET " + n.path + "/barcoding-enabled", summary: "Tell whether any protocol gives specimens barcodes", answers: true, serve: barcodingEnabled},
		route{pattern: "POST " + n.path + "/merge", summary: "Move the participants of a protocol into another, and delete it", answers: mergeView{}, serve: mergeProtocols},
		route{pattern: "POST " + n.path + "/{id}/copy", summary: "Copy a protocol with its events and requirements", answers: n.shows, serve: copyProtocol},
		route{pattern: "GET " + n.path + "/{id}/definition", summary: "Export a protocol with its events, requirements and workflows", answers: map[string]any{}, serve: exportDefinition},
		route{pattern: "POST " + n.path + "/definition", summary: "Make a protocol from an exported definition", answers: n.shows, serve: importDefinition},
		auditRoute(n),
	)
}

// completedOne and completedMany answer deletions that can take longer than a request: completed is false when the
// request must be sent again to go on.
type completedOne struct {
	Completed bool `json:"completed"`
	Entity    any  `json:"entity"`
}

type completedMany struct {
	Completed bool  `json:"completed"`
	Entities  []any `json:"entities"`
}

func completedList(views []any, complete bool) any { return completedMany{complete, views} }

func fitsProtocol(c *call, q *query) (func(int64, *biobank.ProtocolDoc) bool, error) {
	c.stats = q.flag("detailedList", false)
	institute, withConsents := q.number("instituteId"), q.flag("onlyParticipantConsentCps", false)
	text, title, irb, pi := q.text("query"), q.text("title"), q.text("irbId"), q.number("piId")
	site, err := siteNamed(c, q.text("repositoryName"))
	if err != nil {
		return nil, err
	}
	ours := map[int64]bool{}
	if institute != 0 {
		all, err := c.api.Registry.Members(c.Context(), c.actor, biobank.Site)
		if err != nil {
			return nil, err
		}
		for _, rec := range all {
			doc, err := biobank.Decode[biobank.SiteDoc](rec)
			if err != nil {
				return nil, err
			}
			ours[rec.ID] = doc.InstituteID == institute
		}
	}
	at := func(doc *biobank.ProtocolDoc, fits func(int64) bool) bool {
		return slices.ContainsFunc(doc.Sites, func(s biobank.ProtocolSite) bool { return fits(s.SiteID) })
	}
	return func(_ int64, doc *biobank.ProtocolDoc) bool {
		switch {
		case !like(doc.Title, text, false) && !like(doc.ShortTitle, text, false) && !like(doc.Code, text, false):
		case !like(doc.Title, title, false) && !like(doc.ShortTitle, title, false), !like(doc.IrbID, irb, false):
		case pi != 0 && doc.PI != pi:
		case withConsents && (doc.ConsentsWaived || doc.VisitLevelConsents):
		case q.text("repositoryName") != "" && !at(doc, func(id int64) bool { return id == site }):
		case institute != 0 && !at(doc, func(id int64) bool { return ours[id] }):
		default:
			return true
		}
		return false
	}, nil
}

// siteNamed finds a site by name, 0 for none.
func siteNamed(c *call, name string) (int64, error) {
	if name == "" {
		return 0, nil
	}
	return c.api.Registry.Named(c.Context(), biobank.Site, name)
}

func lessProtocol(a, b *biobank.ProtocolDoc) int {
	return strings.Compare(biobank.Fold(a.ShortTitle), biobank.Fold(b.ShortTitle))
}

// listByRight serves the protocols in which the caller holds a right.
func listByRight(c *call, list members[biobank.ProtocolDoc]) (any, error) {
	q := c.query()
	res, op := biobank.Resource(q.text("resource")), biobank.Operation(q.text("op"))
	site, err := siteNamed(c, q.text("siteName"))
	if err != nil {
		return nil, err
	}
	page := q.page("startAt", 100)
	recs, err := list.find(c, q)
	if err != nil {
		return nil, err
	}
	var held []*biobank.Record
	for _, rec := range recs {
		doc, err := biobank.Decode[biobank.ProtocolDoc](rec)
		if err != nil {
			return nil, err
		}
		sites := doc.Sites
		if q.text("siteName") != "" {
			sites = slices.DeleteFunc(slices.Clone(sites), func(s biobank.ProtocolSite) bool { return s.SiteID != site })
		}
		if len(sites) > 0 && c.actor.Can(res, op, rec.ID, sites) {
			held = append(held, rec)
		}
	}
	return c.show(list.noun, cut(held, page)...)
}

// listProtocolSites serves the sites of a protocol.
func listProtocolSites(c *call) (any, error) {
	rec, err := c.get(biobank.Protocol)
	if err != nil {
		return nil, err
	}
	doc, err := biobank.Decode[biobank.ProtocolDoc](rec)
	if err != nil {
		return nil, err
	}
	r := c.related()
	var keys []biobank.Key
	for _, s := range doc.Sites {
		keys = append(keys, setKey(biobank.Site, s.SiteID))
	}
	if err := r.fetch(keys...); err != nil {
		return nil, err
	}
	return r.protocolSites(doc)
}

func (r *related) protocolSites(doc biobank.ProtocolDoc) ([]protocolSiteView, error) {
	views := []protocolSiteView{}
	for _, s := range doc.Sites {
		name, err := r.siteName(s.SiteID)
		if err != nil {
			return nil, err
		}
		views = append(views, protocolSiteView{ID: s.SiteID, SiteName: name, Code: orNull(s.Code)})
	}
	return views, nil
}

func protocolDraft(in *input, id int64) biobank.Draft {
	d := &biobank.ProtocolDraft{
		ID:           id,
		PI:           in.userRef("principalInvestigator"),
		Coordinators: in.userRefs("coordinators"),
		Doc: biobank.ProtocolDoc{
			ShortTitle: in.text("shortTitle"), Title: in.text("title"), Code: in.text("code"),
			StartDate: in.day("startDate"), EndDate: in.day("endDate"), IrbID: in.text("irbId"),
			DescriptionURL: in.text("descriptionUrl"), SopDocumentURL: in.text("sopDocumentUrl"),
			SopDocumentName: in.text("sopDocumentName"), AnticipatedParticipants: in.number("anticipatedParticipantsCount"),
			PpidFmt: in.text("ppidFmt"), ManualPpid: in.flag("manualPpidEnabled"),
			VisitNameFmt: in.text("visitNameFmt"), ManualVisitName: in.flag("manualVisitNameEnabled"),
			SpecimenLabelFmt: in.text("specimenLabelFmt"), DerivativeLabelFmt: in.text("derivativeLabelFmt"),
			AliquotLabelFmt: in.text("aliquotLabelFmt"), AdditionalLabelFmt: in.text("additionalLabelFmt"),
			ManualSpecimenLabel: in.flag("manualSpecLabelEnabled"), SpecimenBarcodeFmt: in.text("specimenBarcodeFmt"),
			BarcodingEnabled: in.flag("barcodingEnabled"), LabelSequenceKey: in.text("labelSequenceKey"),
			VisitCollectionMode: in.text("visitCollectionMode"), VisitNamePrintMode: in.text("visitNamePrintMode"),
			VisitNamePrintCopies: in.number("visitNamePrintCopies"), LabelPrePrintMode: in.text("spmnLabelPrePrintMode"),
			SpecimenCentric: in.flag("specimenCentric"), ConsentsWaived: in.flag("consentsWaived"),
			VisitLevelConsents: in.flag("visitLevelConsents"), CloseParentSpecimens: in.flag("closeParentSpecimens"),
			SetQtyToZero: in.flag("setQtyToZero"), ContainerSelection: in.text("containerSelectionStrategy"),
			AliquotsInSameContainer: in.flag("aliquotsInSameContainer"),
			StorageSiteBasedAccess:  in.flag("storageSiteBasedAccess"), StoreSpr: in.flag("storeSprEnabled"),
			ExtractSprText: in.flag("extractSprText"), KitLabels: in.flag("kitLabelsEnabled"),
			DraftDataEntry: in.flag("draftDataEntry"), BulkRegistration: in.flag("bulkPartRegEnabled"),
			Units: in.units(), ActivityStatus: in.text("activityStatus"),
		},
	}
	d.Extension = in.extension(id == 0)
	if id != 0 { // a whole object: what is absent is none
		d.Sites = []biobank.SiteRef{}
		if d.Coordinators == nil {
			d.Coordinators = []biobank.UserRef{}
		}
		d.PI.Clear = !d.PI.Sent()
	}
	for _, s := range in.objects("consents") {
		d.Consents = append(d.Consents, s.statementRef())
	}
	if o := in.object("consentsSource"); o != nil {
		d.ConsentsSource = o.asProtocolRef()
	}
	for _, s := range in.objects("cpSites") {
		d.Sites = append(d.Sites, biobank.SiteRef{Name: s.text("siteName"), Code: s.text("code")})
	}
	d.Distributions = in.distributionRefs("distributionProtocols")
	for _, s := range in.objects("spmnLabelPrintSettings") {
		d.Doc.LabelPrintSettings = append(d.Doc.LabelPrintSettings, biobank.PrintSetting{
			Lineage: s.text("lineage"), PrintMode: s.text("printMode"), Copies: s.number("copies"),
		})
	}
	return d
}

// protocolView leaves its nulls out.
type protocolView struct {
	ID                      int64              `json:"id"`
	ShortTitle              string             `json:"shortTitle"`
	Title                   string             `json:"title"`
	Code                    *string            `json:"code,omitempty"`
	PrincipalInvestigator   *userSummary       `json:"principalInvestigator,omitempty"`
	StartDate               *int64             `json:"startDate,omitempty"`
	EndDate                 *int64             `json:"endDate,omitempty"`
	Coordinators            []userSummary      `json:"coordinators"`
	CPSites                 []protocolSiteView `json:"cpSites"`
	IrbID                   *string            `json:"irbId,omitempty"`
	AnticipatedParticipants *int64             `json:"anticipatedParticipantsCount,omitempty"`
	SopDocumentURL          *string            `json:"sopDocumentUrl,omitempty"`
	SopDocumentName         *string            `json:"sopDocumentName,omitempty"`
	DescriptionURL          *string            `json:"descriptionUrl,omitempty"`
	SpecimenCentric         bool               `json:"specimenCentric"`
	ConsentsWaived          bool               `json:"consentsWaived"`
	VisitLevelConsents      bool               `json:"visitLevelConsents"`
	ConsentsSource          *protocolRefView   `json:"consentsSource,omitempty"`
	PpidFmt                 *string            `json:"ppidFmt,omitempty"`
	ManualPpid              bool               `json:"manualPpidEnabled"`
	VisitNameFmt            *string            `json:"visitNameFmt,omitempty"`
	ManualVisitName         bool               `json:"manualVisitNameEnabled"`
	SpecimenLabelFmt        *string            `json:"specimenLabelFmt,omitempty"`
	DerivativeLabelFmt      *string            `json:"derivativeLabelFmt,omitempty"`
	AliquotLabelFmt         *string            `json:"aliquotLabelFmt,omitempty"`
	AliquotLabelFmtToUse    string             `json:"aliquotLabelFmtToUse"`
	AdditionalLabelFmt      *string            `json:"additionalLabelFmt,omitempty"`
	ManualSpecimenLabel     bool               `json:"manualSpecLabelEnabled"`
	BarcodingEnabled        bool               `json:"barcodingEnabled"`
	SpecimenBarcodeFmt      *string            `json:"specimenBarcodeFmt,omitempty"`
	SpecimenBarcodeFmtToUse *string            `json:"specimenBarcodeFmtToUse,omitempty"`
	LabelSequenceKey        *string            `json:"labelSequenceKey,omitempty"`
	ContainerSelection      *string            `json:"containerSelectionStrategy,omitempty"`
	AliquotsInSameContainer bool               `json:"aliquotsInSameContainer"`
	VisitCollectionMode     *string            `json:"visitCollectionMode,omitempty"`
	VisitNamePrintMode      *string            `json:"visitNamePrintMode,omitempty"`
	VisitNamePrintCopies    *int64             `json:"visitNamePrintCopies,omitempty"`
	LabelPrePrintMode       *string            `json:"spmnLabelPrePrintMode,omitempty"`
	LabelPrintSettings      []printSettingView `json:"spmnLabelPrintSettings"`
	CloseParentSpecimens    bool               `json:"closeParentSpecimens"`
	SetQtyToZero            bool               `json:"setQtyToZero"`
	StoreSpr                bool               `json:"storeSprEnabled"`
	ExtractSprText          bool               `json:"extractSprText"`
	KitLabels               bool               `json:"kitLabelsEnabled"`
	DraftDataEntry          bool               `json:"draftDataEntry"`
	BulkRegistration        bool               `json:"bulkPartRegEnabled"`
	StorageSiteBasedAccess  bool               `json:"storageSiteBasedAccess"`
	DistributionProtocols   []string           `json:"distributionProtocols"`
	ActivityStatus          string             `json:"activityStatus"`
	ExtensionDetail         *extensionView     `json:"extensionDetail,omitempty"`
}

type protocolSiteView struct {
	ID       int64   `json:"id"`
	SiteName *string `json:"siteName,omitempty"`
	Code     *string `json:"code,omitempty"`
}

type printSettingView struct {
	ID        int64   `json:"id"`
	Lineage   string  `json:"lineage"`
	PrintMode *string `json:"printMode,omitempty"`
	Copies    *int64  `json:"copies,omitempty"`
}

func gatherProtocols(r *related, recs []*biobank.Record) error {
	var users []int64
	var keys []biobank.Key
	for _, rec := range recs {
		doc, err := biobank.Decode[biobank.ProtocolDoc](rec)
		if err != nil {
			return err
		}
		users = append(append(users, doc.PI), doc.Coordinators...)
		keys = append(keys, extensionKeys(doc.Extension)...)
		keys = append(keys, setKey(biobank.Protocol, doc.ConsentsSource))
		for _, id := range doc.DistributionIDs {
			keys = append(keys, setKey(biobank.DistributionProtocol, id))
		}
		for _, s := range doc.Sites {
			keys = append(keys, setKey(biobank.Site, s.SiteID))
		}
	}
	return r.fetchWith(users, keys...)
}

// barcodingEnabled tells whether any protocol may give specimens barcodes of its own; here each protocol says so itself.
func barcodingEnabled(c *call) (any, error) {
	all, err := c.api.Registry.Members(c.Context(), c.actor, biobank.Protocol)
	for _, rec := range all {
		doc, err := biobank.Decode[biobank.ProtocolDoc](rec)
		if err != nil || doc.BarcodingEnabled {
			return true, err
		}
	}
	return false, err
}

// distributionRefs reads an array of distribution protocols, by their short titles or as objects; nil when absent.
func (in *input) distributionRefs(name string) []biobank.DistributionRef {
	var refs []biobank.DistributionRef
	if list, ok := in.members[name].([]any); ok && len(list) > 0 {
		if _, ok := list[0].(string); ok {
			for _, title := range in.texts(name) {
				refs = append(refs, biobank.DistributionRef{ShortTitle: title})
			}
			return refs
		}
	}
	for _, o := range in.objects(name) {
		refs = append(refs, biobank.DistributionRef{ID: o.number("id"), ShortTitle: o.text("shortTitle"), Title: o.text("title")})
	}
	if refs == nil && in.sent(name) {
		return []biobank.DistributionRef{}
	}
	return refs
}

// gatherProtocolItems counts, besides, what lies in each protocol where detailedList asks for it.
func gatherProtocolItems(r *related, recs []*biobank.Record) error {
	if err := gatherProtocols(r, recs); err != nil {
		return err
	}
	if !r.c.stats {
		return nil
	}
	r.sizes = map[int64]biobank.TreeSize{}
	for _, rec := range recs {
		size, err := r.c.api.Registry.TreeSize(r.c.Context(), r.c.actor, rec)
		if err != nil {
			return err
		}
		r.sizes[rec.ID] = size
	}
	return nil
}

// protocolItem has its nulls. Counts are given where detailedList asks for them, the caller may read what is counted, and
// it is little enough to be counted in passing; else they are null.
type protocolItem struct {
	OpComments            *string      `json:"opComments"`
	ID                    int64        `json:"id"`
	ShortTitle            string       `json:"shortTitle"`
	Title                 string       `json:"title"`
	Code                  *string      `json:"code"`
	PrincipalInvestigator *userSummary `json:"principalInvestigator"`
	StartDate             *int64       `json:"startDate"`
	EndDate               *int64       `json:"endDate"`
	ParticipantCount      *int64       `json:"participantCount"`
	SpecimenCount         *int64       `json:"specimenCount"`
	PpidFmt               *string      `json:"ppidFmt"`
	ManualPpid            bool         `json:"manualPpidEnabled"`
	SpecimenCentric       bool         `json:"specimenCentric"`
	CatalogID             *int64       `json:"catalogId"`
}

func viewProtocolItem(r *related, rec *biobank.Record) (any, error) { return showProtocolItem(r, rec) }

func showProtocolItem(r *related, rec *biobank.Record) (protocolItem, error) {
	doc, err := biobank.Decode[biobank.ProtocolDoc](rec)
	if err != nil {
		return protocolItem{}, err
	}
	pi, err := r.summary(doc.PI)
	return protocolItem{
		ID: rec.ID, ShortTitle: doc.ShortTitle, Title: doc.Title, Code: orNull(doc.Code), PrincipalInvestigator: pi,
		StartDate: dayMillis(doc.StartDate), EndDate: dayMillis(doc.EndDate), PpidFmt: orNull(doc.PpidFmt),
		ManualPpid: doc.ManualPpid, SpecimenCentric: doc.SpecimenCentric,
		ParticipantCount: r.sizes[rec.ID].Participants, SpecimenCount: r.sizes[rec.ID].Specimens,
	}, err
}

func viewProtocol(r *related, rec *biobank.Record) (any, error) {
	doc, err := biobank.Decode[biobank.ProtocolDoc](rec)
	if err != nil {
		return nil, err
	}
	extension, err := r.extension(doc.Extension, rec.ID, true)
	if err != nil {
		return nil, err
	}
	v := protocolView{
		ExtensionDetail: extension,
		ID:              rec.ID, ShortTitle: doc.ShortTitle, Title: doc.Title, Code: orNull(doc.Code),
		StartDate: dayMillis(doc.StartDate), EndDate: dayMillis(doc.EndDate),
		IrbID: orNull(doc.IrbID), AnticipatedParticipants: orNull(doc.AnticipatedParticipants),
		SopDocumentURL: orNull(doc.SopDocumentURL), SopDocumentName: orNull(doc.SopDocumentName),
		DescriptionURL: orNull(doc.DescriptionURL), SpecimenCentric: doc.SpecimenCentric, ConsentsWaived: doc.ConsentsWaived,
		VisitLevelConsents: doc.VisitLevelConsents, PpidFmt: orNull(doc.PpidFmt), ManualPpid: doc.ManualPpid,
		VisitNameFmt: orNull(doc.VisitNameFmt), ManualVisitName: doc.ManualVisitName,
		SpecimenLabelFmt: orNull(doc.SpecimenLabelFmt), DerivativeLabelFmt: orNull(doc.DerivativeLabelFmt),
		AliquotLabelFmt: orNull(doc.AliquotLabelFmt), AliquotLabelFmtToUse: cmp.Or(doc.AliquotLabelFmt, biobank.DefaultAliquotFormat),
		AdditionalLabelFmt: orNull(doc.AdditionalLabelFmt), ManualSpecimenLabel: doc.ManualSpecimenLabel,
		BarcodingEnabled: doc.BarcodingEnabled, SpecimenBarcodeFmt: orNull(doc.SpecimenBarcodeFmt),
		SpecimenBarcodeFmtToUse: orNull(doc.SpecimenBarcodeFmt), LabelSequenceKey: orNull(doc.LabelSequenceKey),
		ContainerSelection: orNull(doc.ContainerSelection), AliquotsInSameContainer: doc.AliquotsInSameContainer,
		VisitCollectionMode: orNull(doc.VisitCollectionMode), VisitNamePrintMode: orNull(doc.VisitNamePrintMode),
		VisitNamePrintCopies: orNull(doc.VisitNamePrintCopies), LabelPrePrintMode: orNull(doc.LabelPrePrintMode),
		LabelPrintSettings: []printSettingView{}, CloseParentSpecimens: doc.CloseParentSpecimens,
		SetQtyToZero: doc.SetQtyToZero, StoreSpr: doc.StoreSpr, ExtractSprText: doc.ExtractSprText, KitLabels: doc.KitLabels,
		DraftDataEntry: doc.DraftDataEntry, BulkRegistration: doc.BulkRegistration, StorageSiteBasedAccess: doc.StorageSiteBasedAccess,
		DistributionProtocols: []string{}, ActivityStatus: doc.ActivityStatus,
	}
	for _, id := range doc.DistributionIDs { // those that are there and that the reader may see
		rec := r.recs[setKey(biobank.DistributionProtocol, id)]
		sees, err := r.c.actor.SeesDistribution(rec)
		if err != nil {
			return nil, err
		}
		if sees {
			dp, err := biobank.Decode[biobank.DistributionDoc](rec)
			if err != nil {
				return nil, err
			}
			v.DistributionProtocols = append(v.DistributionProtocols, dp.ShortTitle)
		}
	}
	if v.PrincipalInvestigator, err = r.summary(doc.PI); err != nil {
		return nil, err
	}
	if v.Coordinators, err = r.summaries(doc.Coordinators); err != nil {
		return nil, err
	}
	if v.ConsentsSource, err = r.consentsSource(doc); err != nil {
		return nil, err
	}
	if v.CPSites, err = r.protocolSites(doc); err != nil {
		return nil, err
	}
	v.LabelPrintSettings = printSettings(rec.ID, doc.LabelPrintSettings)
	return v, nil
}

// printSettings are the settings of a protocol, those of primary specimens first, then those of derived ones and of aliquots.
// A protocol has one for each at most: so the lineage gives it a number that no other protocol's setting has.
func printSettings(cp int64, settings []biobank.PrintSetting) []printSettingView {
	lineages := []string{biobank.LineageNew, biobank.LineageDerived, biobank.LineageAliquot}
	views := []printSettingView{}
	for i, lineage := range lineages {
		for _, s := range settings {
			if s.Lineage == lineage {
				id := (cp-1)*int64(len(lineages)) + int64(i) + 1
				views = append(views, printSettingView{id, lineage, orNull(s.PrintMode), orNull(s.Copies)})
			}
		}
	}
	return views
}
