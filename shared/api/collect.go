package api

import (
	"cmp"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// Hierarchical collection (reference openspecimen-rest.md 15.4): trees of specimens, with their visit or without.

// node is a specimen of the request with what its caller pairs the answer by.
type node struct {
	uid, parentUID string
	specimen       *biobank.SpecimenNode
	children       []*node
}

// collectSpecimens serves POST /specimens/collect.
func collectSpecimens(c *call) (any, error) {
	list, err := c.bodies()
	if err != nil {
		return nil, err
	}
	nodes, reason := readNodes(list), reasonOf(list)
	for _, in := range list {
		if err := in.err(); err != nil {
			return nil, err
		}
	}
	if err := c.collect(&biobank.CollectDraft{Specimens: specimenNodes(nodes)}, reason); err != nil {
		return nil, err
	}
	return c.showNodes(nodes)
}

// collectVisit serves POST /visits/collect.
func collectVisit(c *call) (any, error) {
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	visit := in.object("visit")
	nodes := readNodes(in.objects("specimens"))
	if visit == nil {
		return nil, fault.New("VISIT_NOT_FOUND", "Give the visit.")
	}
	d := &biobank.CollectDraft{Visit: visitDraft(visit, visit.number("id")), Specimens: specimenNodes(nodes)}
	reason := cmp.Or(in.text("opComments"), visit.text("opComments"), reasonOf(in.objects("specimens")))
	if err := in.err(); err != nil {
		return nil, err
	}
	if err := c.collect(d, reason); err != nil {
		return nil, err
	}
	shown, err := c.showOne(visits(), d.VisitRecord)
	if err != nil {
		return nil, err
	}
	trees, err := c.showNodes(nodes)
	return collectedView{shown, trees}, err
}

type collectedView struct {
	Visit     any            `json:"visit"`
	Specimens []specimenView `json:"specimens"`
}

func (c *call) collect(d *biobank.CollectDraft, reason string) error {
	return c.api.Registry.Collect(c.Context(), c.actor, c.at, c.at.Add(removalTime), c.api.Now, biobank.Change{ID: c.id, Reason: reason}, d)
}

// reasonOf is why a list of objects is changed at once: what the first of them says that says anything.
func reasonOf(list []*input) string {
	for _, in := range list {
		if reason := in.text("opComments"); reason != "" {
			return reason
		}
	}
	return ""
}

func readNodes(list []*input) []*node {
	var nodes []*node
	for _, in := range list {
		n := &node{uid: in.text("uid"), parentUID: in.text("parentUid"), specimen: &biobank.SpecimenNode{Close: in.flag("closeAfterChildrenCreation")}}
		if id := in.number("id"); id != 0 {
			n.specimen.Draft = collected(specimenPatch(in, id), in)
		} else {
			// A requirement may have a pending specimen, which is patched then.
			n.specimen.Draft = specimenDraft(in)
			n.specimen.Draft.Merge = collected(specimenPatch(in, 0), in).Merge
		}
		n.children = readNodes(in.objects("children"))
		n.specimen.Children = specimenNodes(n.children)
		nodes = append(nodes, n)
	}
	return nodes
}

// collected makes a patch collect the specimen, unless it says otherwise.
func collected(d *biobank.SpecimenDraft, in *input) *biobank.SpecimenDraft {
	patch := d.Merge
	d.Merge = func(doc *biobank.SpecimenDoc) {
		patch(doc)
		if in.text("status") == "" {
			doc.Status = biobank.Collected
		}
	}
	return d
}

func specimenNodes(nodes []*node) []*biobank.SpecimenNode {
	list := make([]*biobank.SpecimenNode, len(nodes))
	for i, n := range nodes {
		list[i] = n.specimen
	}
	return list
}

// showNodes shows what was saved in the shape of the request, with the callers' own keys.
func (c *call) showNodes(nodes []*node) ([]specimenView, error) {
	var recs []*biobank.Record
	var all func(nodes []*node)
	all = func(nodes []*node) {
		for _, n := range nodes {
			recs = append(recs, n.specimen.Record)
			all(n.children)
		}
	}
	all(nodes)
	views, err := c.show(specimens(), recs...)
	if err != nil {
		return nil, err
	}
	at := 0
	var build func(nodes []*node) []specimenView
	build = func(nodes []*node) []specimenView {
		list := []specimenView{}
		for _, n := range nodes {
			v := views[at].(specimenView)
			at++
			v.UID, v.ParentUID = orNull(n.uid), orNull(n.parentUID)
			v.Children = build(n.children)
			list = append(list, v)
		}
		return list
	}
	return build(nodes), nil
}
