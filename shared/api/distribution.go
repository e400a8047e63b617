package api

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// Distribution protocols (reference openspecimen-rest.md 20.1).

func distributions() noun {
	return noun{
		path: "/distribution-protocols", typ: biobank.DistributionProtocol, shows: distributionView{},
		gather: gatherDistributions, view: viewDistribution,
	}
}

func distributionRoutes() []route {
	n := distributions()
	gone := removal{noun: n}
	list := members[biobank.DistributionDoc]{
		noun: n, start: "startAt", fits: fitsDistribution,
		less: func(a, b *biobank.DistributionDoc) int {
			return strings.Compare(biobank.Fold(a.ShortTitle), biobank.Fold(b.ShortTitle))
		},
	}
	reserved := n.path + "/{id}/reserved-specimens"
	tiers := n.path + "/{id}/consent-tiers"
	return append(
		list.routes(),
		getRoute(n),
		createRoute(n, func(in *input) biobank.Draft { return distributionDraft(in, 0) }),
		changeRoute("PUT", n, distributionDraft),
		statusRoute(n),
		deleteRoute(gone),
		bulkDeleteRoute(gone),
		dependentsRoute(n),
		auditRoute(n),
		route{pattern: "GET " + reserved, summary: "List what is reserved for a distribution protocol", answers: specimens().list(), serve: listReserved},
		route{pattern: "PUT " + reserved, summary: "Reserve specimens for a distribution protocol, or cancel that", answers: countView{}, serve: reserve},
		route{pattern: "GET " + n.path + "/{id}/order-extension-form", summary: "The form of the custom fields of a distribution protocol's orders", answers: map[string]any{}, serve: orderExtensionForm},
		route{pattern: "GET " + n.path + "/orders", summary: "Count what executed orders gave out", answers: []orderStat{{GroupByAttrVals: map[string]string{}}}, serve: listOrderStats},
		route{pattern: "GET " + tiers, summary: "List the consent tiers of a distribution protocol", answers: []dpTierView{}, serve: listDPTiers},
		route{pattern: "POST " + tiers, summary: "Add a consent tier to a distribution protocol", answers: dpTierView{}, serve: addDPTier},
		route{pattern: "PUT " + tiers + "/{tier}", summary: "Change a consent tier of a distribution protocol", answers: dpTierView{}, serve: changeDPTier},
		route{pattern: "DELETE " + tiers + "/{tier}", summary: "Delete a consent tier of a distribution protocol", answers: dpTierView{}, serve: dropDPTier},
	)
}

// statusRoute serves PUT <path>/{id}/activity-status: another status, the rest as it is.
func statusRoute(n noun) route {
	return route{pattern: "PUT " + n.path + "/{id}/activity-status", summary: "Close, open or delete one of the " + n.plural(), answers: n.shows, serve: func(c *call) (any, error) {
		id, in, err := c.idAndBody()
		if err != nil {
			return nil, err
		}
		status, reason := in.text("activityStatus"), in.text("opComments")
		if err := in.err(); err != nil {
			return nil, err
		}
		if status == "" {
			return nil, fault.New("ACTIVITY_STATUS_INVALID", "Give the activityStatus.")
		}
		return c.change(n, biobank.Removal(n.typ, id, status, false), reason)
	}}
}

// distributionDraft is a whole distribution protocol. orderExtnForm names a form by formId or id, or by name.
func distributionDraft(in *input, id int64) biobank.Draft {
	var form biobank.FormRef
	if o := in.object("orderExtnForm"); o != nil {
		form = biobank.FormRef{ID: cmp.Or(o.number("formId"), o.number("id")), Name: o.text("name")}
	}
	return &biobank.DistributionDraft{
		ID: id, Institute: in.maybeText("instituteName"), ReceivingSite: in.maybeText("defReceivingSiteName"),
		PI: in.userRef("principalInvestigator"), Coordinators: in.userRefs("coordinators"), Sites: in.textLists("distributingSites"),
		OrderForm: form, Extension: in.extension(false),
		Doc: biobank.DistributionDoc{
			Title: in.text("title"), ShortTitle: in.text("shortTitle"), StartDate: in.day("startDate"), EndDate: in.day("endDate"),
			IrbID: in.text("irbId"), NoNotifications: in.flag("disableEmailNotifs"), AttachmentType: in.text("attachmentType"),
			ItemLabelFormat: in.text("orderItemLabelFormat"), ActivityStatus: in.text("activityStatus"),
		},
	}
}

// orderExtensionForm serves GET /distribution-protocols/{id}/order-extension-form: its own form, else that of all orders,
// or an empty object.
func orderExtensionForm(c *call) (any, error) {
	id, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	f, err := c.api.Registry.OrderForm(c.Context(), c.actor, id)
	return formLink(f), err
}

// distributionRef reads how an object names its distribution protocol.
func (in *input) distributionRef(name string) biobank.DistributionRef {
	o := in.object(name)
	if o == nil {
		return biobank.DistributionRef{}
	}
	return biobank.DistributionRef{ID: o.number("id"), ShortTitle: o.text("shortTitle"), Title: o.text("title")}
}

func fitsDistribution(c *call, q *query) (func(int64, *biobank.DistributionDoc) bool, error) {
	text, title, irb, pi := q.text("query"), q.text("title"), q.text("irbId"), q.number("piId")
	inst, site, cp := q.text("receivingInstitute"), q.text("receivingSite"), q.text("cp")
	current, states := q.flag("excludeExpiredDps", false), q.texts("activityStatus")
	if q.wrong != nil {
		return nil, q.wrong
	}
	institute, err := c.instituteNamed(inst)
	if err != nil {
		return nil, err
	}
	receiver, err := siteNamed(c, site)
	if err != nil {
		return nil, err
	}
	gives, err := c.gives(cp)
	if err != nil {
		return nil, err
	}
	today := c.at.Format(time.DateOnly)
	return func(_ int64, doc *biobank.DistributionDoc) bool {
		switch {
		case !like(doc.Title, text, false) && !like(doc.ShortTitle, text, false):
		case !like(doc.Title, title, false) && !like(doc.ShortTitle, title, false), !like(doc.IrbID, irb, false):
		case pi != 0 && doc.PI != pi, inst != "" && doc.InstituteID != institute, site != "" && doc.ReceivingSiteID != receiver:
		case cp != "" && !slices.ContainsFunc(doc.Sites, gives):
		case current && doc.EndDate != "" && doc.EndDate < today, !among(states, doc.ActivityStatus):
		default:
			return true
		}
		return false
	}, nil
}

// gives tells whether sites that distribute are sites of the protocol with a short title; none are of an unknown one.
func (c *call) gives(shortTitle string) (func(biobank.DistributingSites) bool, error) {
	if shortTitle == "" {
		return nil, nil
	}
	all, err := c.api.Registry.Members(c.Context(), c.actor, biobank.Protocol)
	if err != nil {
		return nil, err
	}
	r := c.related()
	sites := map[int64]bool{}
	for _, rec := range all {
		doc, err := biobank.Decode[biobank.ProtocolDoc](rec)
		if err != nil {
			return nil, err
		}
		for _, s := range doc.Sites {
			sites[s.SiteID] = sites[s.SiteID] || biobank.Fold(doc.ShortTitle) == biobank.Fold(shortTitle)
		}
	}
	institutes := map[int64]bool{}
	for id, is := range sites {
		if !is {
			continue
		}
		if err := r.fetch(setKey(biobank.Site, id)); err != nil {
			return nil, err
		}
		site, err := decodeAt[biobank.SiteDoc](r, setKey(biobank.Site, id))
		if err != nil {
			return nil, err
		}
		institutes[site.InstituteID] = true
	}
	return func(s biobank.DistributingSites) bool {
		return len(s.SiteIDs) == 0 && institutes[s.InstituteID] || slices.ContainsFunc(s.SiteIDs, func(id int64) bool { return sites[id] })
	}, nil
}

// distributionView has its nulls. Queries for reports, which are not there, are null.
type distributionView struct {
	OpComments            *string             `json:"opComments"`
	ID                    int64               `json:"id"`
	Title                 string              `json:"title"`
	ShortTitle            string              `json:"shortTitle"`
	InstituteName         *string             `json:"instituteName"`
	DefReceivingSiteName  *string             `json:"defReceivingSiteName"`
	PrincipalInvestigator *userSummary        `json:"principalInvestigator"`
	Coordinators          []userSummary       `json:"coordinators"`
	DistributingSites     map[string][]string `json:"distributingSites"`
	StartDate             *int64              `json:"startDate"`
	EndDate               *int64              `json:"endDate"`
	IrbID                 *string             `json:"irbId"`
	OrderItemLabelFormat  *string             `json:"orderItemLabelFormat"`
	OrderExtnForm         *formRefView        `json:"orderExtnForm"`
	Report                *struct{}           `json:"report"`
	DisableEmailNotifs    bool                `json:"disableEmailNotifs"`
	AttachmentType        *string             `json:"attachmentType"`
	ActivityStatus        string              `json:"activityStatus"`
	ExtensionDetail       *extensionView      `json:"extensionDetail"`
}

// formRefView names a form.
type formRefView struct {
	FormID  int64  `json:"formId"`
	Name    string `json:"name"`
	Caption string `json:"caption"`
}

func gatherDistributions(r *related, recs []*biobank.Record) error {
	var keys []biobank.Key
	var users []int64
	for _, rec := range recs {
		doc, err := biobank.Decode[biobank.DistributionDoc](rec)
		if err != nil {
			return err
		}
		users = append(append(users, doc.PI), doc.Coordinators...)
		keys = append(keys, setKey(biobank.Institute, doc.InstituteID), setKey(biobank.Site, doc.ReceivingSiteID))
		keys = append(append(keys, extensionKeys(doc.Extension)...), extensionKeys(&biobank.Extension{FormID: doc.OrderForm})...)
		for _, s := range doc.Sites {
			keys = append(keys, setKey(biobank.Institute, s.InstituteID))
			for _, id := range s.SiteIDs {
				keys = append(keys, setKey(biobank.Site, id))
			}
		}
	}
	if err := r.fetch(keys...); err != nil {
		return err
	}
	return r.fetchUsers(users...)
}

func viewDistribution(r *related, rec *biobank.Record) (any, error) {
	doc, err := biobank.Decode[biobank.DistributionDoc](rec)
	if err != nil {
		return nil, err
	}
	v := distributionView{
		ID: rec.ID, Title: doc.Title, ShortTitle: doc.ShortTitle, DistributingSites: map[string][]string{},
		StartDate: dayMillis(doc.StartDate), EndDate: dayMillis(doc.EndDate), IrbID: orNull(doc.IrbID),
		DisableEmailNotifs: doc.NoNotifications, AttachmentType: orNull(doc.AttachmentType), ActivityStatus: doc.ActivityStatus,
		OrderItemLabelFormat: orNull(doc.ItemLabelFormat),
	}
	if v.ExtensionDetail, err = r.extension(doc.Extension, rec.ID, true); err != nil {
		return nil, err
	}
	if form, err := biobank.FormOf(r.recs, doc.OrderForm); err != nil {
		return nil, err
	} else if form != nil {
		v.OrderExtnForm = &formRefView{form.ID(), form.Name, form.Caption}
	}
	if v.InstituteName, err = r.instituteName(doc.InstituteID); err != nil {
		return nil, err
	}
	if v.DefReceivingSiteName, err = r.siteName(doc.ReceivingSiteID); err != nil {
		return nil, err
	}
	if v.PrincipalInvestigator, err = r.summary(doc.PI); err != nil {
		return nil, err
	}
	if v.Coordinators, err = r.summaries(doc.Coordinators); err != nil {
		return nil, err
	}
	for _, s := range doc.Sites {
		institute, err := r.instituteName(s.InstituteID)
		if err != nil {
			return nil, err
		}
		if institute == nil {
			continue
		}
		names := []string{}
		for _, id := range s.SiteIDs {
			name, err := r.siteName(id)
			if err != nil {
				return nil, err
			}
			if name != nil {
				names = append(names, *name)
			}
		}
		v.DistributingSites[*institute] = names
	}
	return v, nil
}

// dpTierView is a consent tier, in the form of those of collection protocols. There is no directory of statements: a
// statement's id is that of its tier.
type dpTierView struct {
	ID            int64   `json:"id"`
	DPID          int64   `json:"dpId"`
	StatementID   int64   `json:"statementId"`
	StatementCode *string `json:"statementCode"`
	Statement     string  `json:"statement"`
}

func showDPTier(dp int64, t biobank.ConsentTier) dpTierView {
	return dpTierView{t.ID, dp, t.ID, orNull(t.Code), t.Statement}
}

func listDPTiers(c *call) (any, error) {
	rec, err := c.get(biobank.DistributionProtocol)
	if err != nil {
		return nil, err
	}
	doc, err := biobank.Decode[biobank.DistributionDoc](rec)
	views := []dpTierView{}
	for _, t := range doc.ConsentTiers {
		views = append(views, showDPTier(rec.ID, t))
	}
	return views, err
}

func addDPTier(c *call) (any, error) {
	tier, reason, err := c.dpTier()
	if err != nil {
		return nil, err
	}
	if tier.ID, err = c.api.Registry.Store.Reserve(c.Context(), "dp.consentTier", 1); err != nil {
		return nil, fmt.Errorf("draw the id of a consent tier: %w", err)
	}
	return c.changeDPTiers(tier, reason, func(all []biobank.ConsentTier, _ int) []biobank.ConsentTier { return append(all, tier) })
}

func changeDPTier(c *call) (any, error) {
	id, err := c.pathID("tier")
	if err != nil {
		return nil, err
	}
	tier, reason, err := c.dpTier()
	if err != nil {
		return nil, err
	}
	tier.ID = id
	return c.changeDPTiers(tier, reason, func(all []biobank.ConsentTier, at int) []biobank.ConsentTier {
		all[at] = tier
		return all
	})
}

func dropDPTier(c *call) (any, error) {
	id, err := c.pathID("tier")
	if err != nil {
		return nil, err
	}
	return c.changeDPTiers(biobank.ConsentTier{ID: id}, "", func(all []biobank.ConsentTier, at int) []biobank.ConsentTier {
		return slices.Delete(all, at, at+1)
	})
}

// dpTier reads a consent tier.
func (c *call) dpTier() (biobank.ConsentTier, string, error) {
	in, err := c.body()
	if err != nil {
		return biobank.ConsentTier{}, "", err
	}
	return biobank.ConsentTier{Code: in.text("statementCode"), Statement: in.text("statement")}, in.text("opComments"), in.err()
}

// changeDPTiers changes the consent tiers of the distribution protocol that the path names and shows the one that it is
// about. The change is told where that one stands: behind all others, unless the path names it.
func (c *call) changeDPTiers(tier biobank.ConsentTier, reason string, change func(all []biobank.ConsentTier, at int) []biobank.ConsentTier) (any, error) {
	rec, err := c.get(biobank.DistributionProtocol)
	if err != nil {
		return nil, err
	}
	named := c.PathValue("tier") != ""
	missed := false
	_, err = c.apply(biobank.Change{Op: biobank.Update, ByID: true, Reason: reason, Draft: &biobank.DistributionDraft{
		ID: rec.ID, Merge: func(doc *biobank.DistributionDoc) {
			at := slices.IndexFunc(doc.ConsentTiers, func(t biobank.ConsentTier) bool { return t.ID == tier.ID })
			if missed = named && at < 0; missed {
				return
			}
			if at >= 0 && tier.Statement == "" {
				tier = doc.ConsentTiers[at] // to be shown when it is gone
			}
			doc.ConsentTiers = change(slices.Clone(doc.ConsentTiers), at)
		},
	}})
	if err == nil && missed {
		err = fault.New("DP_CONSENT_TIER_NOT_FOUND", "The distribution protocol has no consent tier %d.", tier.ID)
	}
	return showDPTier(rec.ID, tier), err
}
