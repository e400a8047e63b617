package api

import "aliquot/shared/biobank"

// Sites (reference openspecimen-rest.md section 6).

func siteRoutes() []route {
	return []route{
		getRoute("/sites", biobank.Site, showSite),
		createRoute("/sites", siteDraft, showSite),
	}
}

func siteDraft(in *input) biobank.Draft {
	return &biobank.SiteDraft{
		Institute:    in.text("instituteName"),
		Coordinators: in.userRefs("coordinators"),
		Doc: biobank.SiteDoc{
			Name: in.text("name"), Code: in.text("code"), Type: in.text("type"), Address: in.text("address"),
			ActivityStatus: in.text("activityStatus"),
		},
	}
}

// siteView has its nulls.
type siteView struct {
	OpComments      *string       `json:"opComments"`
	ID              int64         `json:"id"`
	Name            string        `json:"name"`
	InstituteName   *string       `json:"instituteName"`
	Code            *string       `json:"code"`
	Type            *string       `json:"type"`
	Coordinators    []userSummary `json:"coordinators"`
	Address         *string       `json:"address"`
	ActivityStatus  string        `json:"activityStatus"`
	CPCount         *int64        `json:"cpCount"`
	ExtensionDetail *struct{}     `json:"extensionDetail"`
}

func showSite(c *call, rec *biobank.Record) (any, error) {
	doc, err := biobank.Decode[biobank.SiteDoc](rec)
	if err != nil {
		return nil, err
	}
	r := c.related()
	if err := r.fetch(setKey(biobank.Institute, doc.InstituteID)); err != nil {
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
	return siteView{
		ID: rec.ID, Name: doc.Name, InstituteName: institute, Code: orNull(doc.Code), Type: orNull(doc.Type),
		Coordinators: coordinators, Address: orNull(doc.Address), ActivityStatus: doc.ActivityStatus,
	}, nil
}
