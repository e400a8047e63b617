package api

import (
	"slices"
	"strings"

	"aliquot/shared/biobank"
)

// Institutes (reference openspecimen-rest.md section 5).

func institutes() noun {
	return noun{path: "/institutes", typ: biobank.Institute, shows: instituteView{}, counted: true, gather: gatherInstitutes, view: viewInstitute}
}

func instituteRoutes() []route {
	n := institutes()
	gone := removal{noun: n, closes: true}
	return append(
		members[biobank.InstituteDoc]{
			noun: n, start: "startAt", fits: fitsInstitute,
			less: func(a, b *biobank.InstituteDoc) int {
				return strings.Compare(biobank.Fold(a.Name), biobank.Fold(b.Name))
			},
		}.routes(),
		byNameRoute(n, "INSTITUTE_NOT_FOUND", "Institute"),
		route{pattern: "GET /institutes/sites", summary: "List the sites of an institute", answers: []siteView{}, serve: instituteSites},
		getRoute(n),
		createRoute(n, func(in *input) biobank.Draft { return instituteDraft(in, 0) }),
		changeRoute("PUT", n, instituteDraft),
		deleteRoute(gone),
		bulkDeleteRoute(gone),
		dependentsRoute(n),
		auditRoute(n),
	)
}

// instituteSites serves GET /institutes/sites?name=&siteName=: the sites of the institute of that name, those whose names hold
// siteName. The reference names the call and its parameters; an institute that does not exist is INSTITUTE_NOT_FOUND.
func instituteSites(c *call) (any, error) {
	q := c.query()
	name, part, page := q.text("name"), q.text("siteName"), q.page("startAt", 100)
	if q.wrong != nil {
		return nil, q.wrong
	}
	id, err := c.instituteNamed(name)
	if err != nil {
		return nil, err
	}
	if id == 0 {
		return nil, notNamed("INSTITUTE_NOT_FOUND", "Institute", name)
	}
	all, err := c.api.Registry.Members(c.Context(), c.actor, biobank.Site)
	if err != nil {
		return nil, err
	}
	recs, err := sorted(all, func(_ int64, doc *biobank.SiteDoc) bool { return doc.InstituteID == id && like(doc.Name, part, false) }, lessSite)
	if err != nil {
		return nil, err
	}
	return c.show(sites(), cut(recs, page)...)
}

func instituteDraft(in *input, id int64) biobank.Draft {
	return &biobank.InstituteDraft{ID: id, Doc: biobank.InstituteDoc{Name: in.text("name"), ActivityStatus: in.text("activityStatus")}}
}

func fitsInstitute(_ *call, q *query) (func(int64, *biobank.InstituteDoc) bool, error) {
	ids, name, exact := q.numbers("id"), q.text("name"), q.flag("exactMatch", false)
	return func(id int64, doc *biobank.InstituteDoc) bool {
		return (len(ids) == 0 || slices.Contains(ids, id)) && like(doc.Name, name, exact)
	}, nil
}

type instituteView struct {
	ID             int64  `json:"id"`
	Name           string `json:"name"`
	ActivityStatus string `json:"activityStatus"`
	UsersCount     int64  `json:"usersCount"`
}

// gatherInstitutes counts the users of each institute where the caller wants to know.
func gatherInstitutes(r *related, _ []*biobank.Record) error {
	return r.count(biobank.User, func(rec *biobank.Record) ([]int64, error) {
		doc, err := biobank.Decode[biobank.UserDoc](rec)
		return []int64{doc.InstituteID}, err
	})
}

func viewInstitute(r *related, rec *biobank.Record) (any, error) {
	doc, err := biobank.Decode[biobank.InstituteDoc](rec)
	return instituteView{ID: rec.ID, Name: doc.Name, ActivityStatus: doc.ActivityStatus, UsersCount: r.counts[rec.ID]}, err
}
