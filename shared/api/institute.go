package api

import "aliquot/shared/biobank"

// Institutes (reference openspecimen-rest.md section 5).

func instituteRoutes() []route {
	return []route{
		getRoute("/institutes", biobank.Institute, showInstitute),
		createRoute("/institutes", instituteDraft, showInstitute),
	}
}

func instituteDraft(in *input) biobank.Draft {
	return &biobank.InstituteDraft{Doc: biobank.InstituteDoc{Name: in.text("name"), ActivityStatus: in.text("activityStatus")}}
}

type instituteView struct {
	ID             int64  `json:"id"`
	Name           string `json:"name"`
	ActivityStatus string `json:"activityStatus"`
	UsersCount     int64  `json:"usersCount"`
}

func showInstitute(_ *call, rec *biobank.Record) (any, error) {
	doc, err := biobank.Decode[biobank.InstituteDoc](rec)
	return instituteView{ID: rec.ID, Name: doc.Name, ActivityStatus: doc.ActivityStatus}, err
}
