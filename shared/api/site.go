package api

import (
	"strings"

	"aliquot/shared/biobank"
)

// Sites (reference openspecimen-rest.md section 6).

func sites() noun {
	return noun{path: "/sites", typ: biobank.Site, shows: siteView{}, counted: true, gather: gatherSites, view: viewSite}
}

func siteRoutes() []route {
	n := sites()
	gone := removal{noun: n, closes: true}
	return append(
		members[biobank.SiteDoc]{
			noun: n, start: "startAt", fits: fitsSite, less: lessSite,
		}.routes(),
		byNameRoute(n, "SITE_NOT_FOUND", "Site"),
		getRoute(n),
		createRoute(n, func(in *input) biobank.Draft { return siteDraft(in, 0) }),
		changeRoute("PUT", n, siteDraft),
		changeRoute("PATCH", n, sitePatch),
		bulkRoute(n, sitePatch),
		deleteRoute(gone),
		bulkDeleteRoute(gone),
		dependentsRoute(n),
		auditRoute(n),
	)
}

func siteDraft(in *input, id int64) biobank.Draft {
	d := &biobank.SiteDraft{ID: id, Institute: in.text("instituteName"), Coordinators: in.userRefs("coordinators"), Doc: siteDoc(in), Extension: in.extension(false)}
	if d.Coordinators == nil {
		d.Coordinators = []biobank.UserRef{}
	}
	return d
}

func siteDoc(in *input) biobank.SiteDoc {
	return biobank.SiteDoc{
		Name: in.text("name"), Code: in.text("code"), Type: in.text("type"), Address: in.text("address"),
		ActivityStatus: in.text("activityStatus"),
	}
}

func sitePatch(in *input, id int64) biobank.Draft {
	fresh := siteDoc(in)
	var m merge[biobank.SiteDoc]
	m.set(in, "name", func(d *biobank.SiteDoc) { d.Name = fresh.Name })
	m.set(in, "code", func(d *biobank.SiteDoc) { d.Code = fresh.Code })
	m.set(in, "type", func(d *biobank.SiteDoc) { d.Type = fresh.Type })
	m.set(in, "address", func(d *biobank.SiteDoc) { d.Address = fresh.Address })
	m.set(in, "activityStatus", func(d *biobank.SiteDoc) { d.ActivityStatus = fresh.ActivityStatus })
	return &biobank.SiteDraft{ID: id, Institute: in.text("instituteName"), Coordinators: in.userRefs("coordinators"), Merge: m.onto, Extension: in.extension(true)}
}

func lessSite(a, b *biobank.SiteDoc) int {
	return strings.Compare(biobank.Fold(a.Name), biobank.Fold(b.Name))
}

// fitsSite narrows a list of sites. With listAll=false it has those that the caller works at: those of the own institute for its
// administrators, for others those where a role counts.
func fitsSite(c *call, q *query) (func(int64, *biobank.SiteDoc) bool, error) {
	names, exact := q.names("name"), q.flag("exactMatch", false)
	include, exclude := q.names("includeType"), q.names("excludeType")
	res, op := biobank.Resource(q.text("resource")), biobank.Operation(q.text("operation"))
	institute, named, all := int64(0), q.text("institute"), q.flag("listAll", true)
	if named != "" {
		var err error
		if institute, err = c.instituteNamed(named); err != nil {
			return nil, err
		}
	}
	return func(id int64, doc *biobank.SiteDoc) bool {
		switch {
		case len(names) == 1 && !like(doc.Name, names[0], exact), len(names) > 1 && !among(names, doc.Name):
		case named != "" && doc.InstituteID != institute:
		case !among(include, doc.Type), len(exclude) > 0 && among(exclude, doc.Type):
		case !all && !c.actor.WorksAt(id):
		case res != "" && op != "" && !c.actor.HoldsAt(res, op, id):
		default:
			return true
		}
		return false
	}, nil
}

// instituteNamed finds an institute by name, 0 for none.
func (c *call) instituteNamed(name string) (int64, error) {
	return c.api.Registry.Named(c.Context(), biobank.Institute, name)
}

// siteView has its nulls.
type siteView struct {
	OpComments      *string        `json:"opComments"`
	ID              int64          `json:"id"`
	Name            string         `json:"name"`
	InstituteName   *string        `json:"instituteName"`
	Code            *string        `json:"code"`
	Type            *string        `json:"type"`
	Coordinators    []userSummary  `json:"coordinators"`
	Address         *string        `json:"address"`
	ActivityStatus  string         `json:"activityStatus"`
	CPCount         *int64         `json:"cpCount"`
	ExtensionDetail *extensionView `json:"extensionDetail"`
}

func gatherSites(r *related, recs []*biobank.Record) error {
	var keys []biobank.Key
	var users []int64
	for _, rec := range recs {
		doc, err := biobank.Decode[biobank.SiteDoc](rec)
		if err != nil {
			return err
		}
		keys = append(append(keys, setKey(biobank.Institute, doc.InstituteID)), extensionKeys(doc.Extension)...)
		users = append(users, doc.Coordinators...)
	}
	if err := r.fetchWith(users, keys...); err != nil {
		return err
	}
	return r.count(biobank.Protocol, func(rec *biobank.Record) ([]int64, error) {
		doc, err := biobank.Decode[biobank.ProtocolDoc](rec)
		var ids []int64
		for _, s := range doc.Sites {
			ids = append(ids, s.SiteID)
		}
		return ids, err
	})
}

func viewSite(r *related, rec *biobank.Record) (any, error) {
	doc, err := biobank.Decode[biobank.SiteDoc](rec)
	if err != nil {
		return nil, err
	}
	institute, err := r.instituteName(doc.InstituteID)
	if err != nil {
		return nil, err
	}
	coordinators, err := r.summaries(doc.Coordinators)
	if err != nil {
		return nil, err
	}
	v := siteView{
		ID: rec.ID, Name: doc.Name, InstituteName: institute, Code: orNull(doc.Code), Type: orNull(doc.Type),
		Coordinators: coordinators, Address: orNull(doc.Address), ActivityStatus: doc.ActivityStatus,
	}
	if v.ExtensionDetail, err = r.extension(doc.Extension, rec.ID, true); err != nil {
		return nil, err
	}
	if r.counts != nil {
		n := r.counts[rec.ID]
		v.CPCount = &n
	}
	return v, nil
}
