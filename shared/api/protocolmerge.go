package api

import "aliquot/shared/biobank"

// mergeView answers a merge: the request, and, where it took longer than a request can, that it must be sent again.
type mergeView struct {
	Source    string `json:"srcCpShortTitle"`
	Target    string `json:"tgtCpShortTitle"`
	Completed *bool  `json:"completed,omitempty"`
}

// mergeProtocols serves POST /collection-protocols/merge (reference openspecimen-rest.md section 9). The answer of one that
// is done is the request's body; of one that is not it says "completed": false, as with a deletion that takes longer.
func mergeProtocols(c *call) (any, error) {
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	v := mergeView{Source: in.text("srcCpShortTitle"), Target: in.text("tgtCpShortTitle")}
	change := biobank.Change{ID: c.id, Reason: in.text("opComments")}
	if err := in.err(); err != nil {
		return nil, err
	}
	complete, err := c.api.Registry.Merge(c.Context(), c.actor, c.at, c.at.Add(removalTime), c.api.Now, change, v.Source, v.Target)
	if err != nil {
		return nil, err
	}
	if !complete {
		v.Completed = &complete
	}
	return v, nil
}
