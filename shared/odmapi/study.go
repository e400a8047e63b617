package odmapi

import (
	"aliquot/shared/clinical"
)

// Studies and sites. In the reference they are made in a separate designer (section 8.1); these endpoints are ours.

func studyRoutes() []route {
	return []route{
		{pattern: "GET /studies", serve: listStudies},
		{pattern: "GET /studies/{study}", serve: showStudy},
		{pattern: "PUT /studies/{study}", serve: putStudy},
		{pattern: "PUT /studies/{study}/status", serve: putStatus},
		{pattern: "PUT /studies/{study}/publish", serve: publish},
	}
}

type studyView struct {
	OID    string `json:"oid"`
	Name   string `json:"name"`
	Unique string `json:"uniqueProtocolId"`
	// Parent is the OID of a site's study.
	Parent          string          `json:"parent,omitempty"`
	Status          clinical.Status `json:"status"`
	Environment     string          `json:"environment"`
	MetadataVersion int             `json:"metadataVersion"`
	// Role is the caller's, by the name it was given under.
	Role string `json:"role"`
}

func (c *call) showPlace(p *clinical.Place) studyView {
	v := studyView{
		OID: p.Site.OID, Name: p.Site.Name, Unique: p.Site.Unique, Status: p.Site.Status,
		Environment: p.Environment(), MetadataVersion: p.Study.Version, Role: c.actor.RoleName(p),
	}
	if p.IsSite() {
		v.Parent = p.Study.OID
	}
	return v
}

// listStudies answers with the studies and sites in which the caller has a role, each site after its study.
func listStudies(c *call) (any, error) {
	places, err := c.api.Registry.Studies(c.Context(), c.actor)
	if err != nil {
		return nil, err
	}
	views := make([]studyView, len(places))
	for i, p := range places {
		views[i] = c.showPlace(p)
	}
	return views, nil
}

// place finds the study or site of the path for who may see it.
func (c *call) place() (*clinical.Place, error) {
	p, err := c.api.Registry.Place(c.Context(), c.PathValue("study"))
	if err != nil {
		return nil, err
	}
	return p, c.actor.MayRead(p)
}

func showStudy(c *call) (any, error) {
	p, err := c.place()
	if err != nil {
		return nil, err
	}
	return c.showPlace(p), nil
}

// putStudy creates a study, or with "parent" a site, or changes its names: {"name","uniqueProtocolId","parent"}, of which
// what is left out stays, or gets a usual value.
func putStudy(c *call) (any, error) {
	var in struct {
		Name   string `json:"name"`
		Unique string `json:"uniqueProtocolId"`
		Parent string `json:"parent"`
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	p, err := c.api.Registry.PutStudy(c.Context(), c.by(), clinical.StudyDraft{
		OID: c.PathValue("study"), Name: in.Name, Unique: in.Unique, Parent: in.Parent,
	})
	if err != nil {
		return nil, err
	}
	return c.showPlace(p), nil
}

// putStatus puts a study or site into the state {"status"}: Design, Available, Frozen, Locked or Removed.
func putStatus(c *call) (any, error) {
	var in struct {
		Status clinical.Status `json:"status"`
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	p, err := c.api.Registry.SetStatus(c.Context(), c.by(), c.PathValue("study"), in.Status)
	if err != nil {
		return nil, err
	}
	return c.showPlace(p), nil
}

// publish takes a study from TEST to PROD.
func publish(c *call) (any, error) {
	p, err := c.api.Registry.Publish(c.Context(), c.by(), c.PathValue("study"))
	if err != nil {
		return nil, err
	}
	return c.showPlace(p), nil
}
