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
		getRoute(n),
		createRoute(n, func(in *input) biobank.Draft { return instituteDraft(in, 0) }),
		changeRoute("PUT", n, instituteDraft),
		deleteRoute(gone),
		bulkDeleteRoute(gone),
		dependentsRoute(n),
		auditRoute(n),
	)
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
