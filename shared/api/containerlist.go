package api

import (
	"cmp"
	"slices"
	"strings"

	"aliquot/shared/biobank"
)

// containerFilter is what GET /storage-containers was asked for (reference 16.1).
type containerFilter struct {
	name                      string
	names, barcodes, sites    []string
	parent                    int64
	withChildren, top, free   bool
	class, typ, usage, status string
	canHold                   string
	cps, dps                  []int64
	stores                    *bool
	hierarchical, stats       bool
}

// containerQuery reads the parameters, and finds the protocols and the container that are named. canHold asks for those
// that may hold a container of a type: what can be said of that is the use and the free space.
func (c *call) containerQuery(q *query) (*containerFilter, error) {
	f := &containerFilter{
		name: q.text("name"), names: q.names("naam"), barcodes: q.texts("barcode"), sites: q.names("site"),
		parent: q.number("parentContainerId"), withChildren: q.flag("includeChildren", false),
		top: q.flag("topLevelContainers", false), free: q.flag("onlyFreeContainers", false), class: q.text("specimenClass"),
		typ: q.text("specimenType"), usage: q.text("usageMode"), status: q.text("status"), cps: q.numbers("cpId"),
		hierarchical: q.flag("hierarchical", false),
	}
	if stores := q.flag("storeSpecimensEnabled", false); q.text("storeSpecimensEnabled") != "" {
		f.stores = &stores
	}
	titles, distributions := q.texts("cpShortTitle"), q.texts("dpShortTitle")
	f.canHold = q.text("canHold")
	f.stats = q.flag("includeStats", false)
	q.flag("orderByStarred", false) // there is no call to star containers
	if q.wrong != nil {
		return nil, q.wrong
	}
	for _, title := range titles {
		id, err := c.api.Registry.ProtocolOf(c.Context(), c.actor, biobank.ProtocolRef{ShortTitle: title})
		if err != nil {
			return nil, err
		}
		f.cps = append(f.cps, id)
	}
	for _, title := range distributions {
		id, err := c.api.Registry.DistributionOf(c.Context(), c.actor, title)
		if err != nil {
			return nil, err
		}
		f.dps = append(f.dps, id)
	}
	if canonical, ok := biobank.Canonical(biobank.SpecimenClasses, f.class); ok {
		f.class = canonical
	}
	if of, canonical, ok := biobank.ClassOf(f.typ); ok {
		if f.typ = canonical; f.class == "" {
			f.class = of
		}
	}
	return f, nil
}

// findContainers are the containers that the caller may see and asked for, by name. Of those with free cells it looks for no
// more than enough, 0 for all.
func (c *call) findContainers(q *query, enough int) ([]*biobank.Branch, *containerFilter, error) {
	f, err := c.containerQuery(q)
	if err != nil {
		return nil, nil, err
	}
	all, err := c.api.Registry.Containers(c.Context(), c.actor)
	if err != nil {
		return nil, nil, err
	}
	holds, err := c.typesHolding(f.canHold)
	if err != nil {
		return nil, nil, err
	}
	sites, err := c.siteNames(all)
	if err != nil {
		return nil, nil, err
	}
	protocols, err := c.protocolDocs(f.cps)
	if err != nil {
		return nil, nil, err
	}
	all = slices.DeleteFunc(all, func(br *biobank.Branch) bool {
		return !f.fits(br, sites[br.Site()], protocols) || f.canHold != "" && !has(holds, br.Doc().TypeID)
	})
	slices.SortStableFunc(all, func(a, b *biobank.Branch) int {
		return cmp.Or(strings.Compare(biobank.Fold(a.Doc().Name), biobank.Fold(b.Doc().Name)), cmp.Compare(a.ID(), b.ID()))
	})
	if f.free {
		all, err = c.api.Registry.WithSpace(c.Context(), c.at, all, enough)
	}
	return all, f, err
}

// typesHolding are the container types that hold one of a name.
func (c *call) typesHolding(name string) ([]int64, error) {
	if name == "" {
		return nil, nil
	}
	held, err := c.api.Registry.Named(c.Context(), biobank.ContainerType, name)
	if err != nil || held == 0 {
		return nil, err
	}
	all, err := c.api.Registry.Members(c.Context(), c.actor, biobank.ContainerType)
	if err != nil {
		return nil, err
	}
	var ids []int64
	for _, rec := range all {
		doc, err := biobank.Decode[biobank.ContainerTypeDoc](rec)
		if err != nil {
			return nil, err
		}
		if doc.CanHold == held {
			ids = append(ids, rec.ID)
		}
	}
	return ids, nil
}

func (c *call) siteNames(all []*biobank.Branch) (map[int64]string, error) {
	r := c.related()
	var keys []biobank.Key
	for _, br := range all {
		keys = append(keys, setKey(biobank.Site, br.Site()))
	}
	if err := r.fetch(keys...); err != nil {
		return nil, err
	}
	names := map[int64]string{}
	for _, br := range all {
		name, err := r.siteName(br.Site())
		if err != nil {
			return nil, err
		}
		if name != nil {
			names[br.Site()] = *name
		}
	}
	return names, nil
}

func (c *call) protocolDocs(ids []int64) (map[int64]biobank.ProtocolDoc, error) {
	docs := map[int64]biobank.ProtocolDoc{}
	for _, id := range ids {
		rec, err := c.api.Registry.Get(c.Context(), c.actor, biobank.Protocol, id)
		if err != nil {
			return nil, err
		}
		if docs[id], err = biobank.Decode[biobank.ProtocolDoc](rec); err != nil {
			return nil, err
		}
	}
	return docs, nil
}

func (f *containerFilter) fits(br *biobank.Branch, site string, protocols map[int64]biobank.ProtocolDoc) bool {
	doc := br.Doc()
	switch {
	case !like(doc.Name, f.name, false), len(f.names) > 0 && !among(f.names, doc.Name):
	case len(f.barcodes) > 0 && !slices.Contains(f.barcodes, doc.Barcode), !among(f.sites, site):
	case f.parent != 0 && !f.below(br), f.top && doc.Parent != nil:
	case f.usage != "" && biobank.Fold(f.usage) != biobank.Fold(doc.UsedFor):
	case f.stores != nil && *f.stores != doc.StoreSpecimens:
	case f.status == "CHECKED_OUT" && doc.CheckedOut == nil, f.status == "AVAILABLE" && doc.CheckedOut != nil:
	case !f.admits(br, protocols):
	default:
		return true
	}
	return false
}

func (f *containerFilter) below(br *biobank.Branch) bool {
	above := br.IDs()[1:]
	if f.withChildren {
		return slices.Contains(above, f.parent) || br.ID() == f.parent
	}
	return len(above) > 0 && above[0] == f.parent
}

// admits checks the class, type and protocols asked for against the restrictions.
func (f *containerFilter) admits(br *biobank.Branch, protocols map[int64]biobank.ProtocolDoc) bool {
	if f.class != "" || f.typ != "" {
		classes, types := br.Kinds()
		if !slices.Contains(classes, f.class) && (f.typ == "" || !slices.Contains(types, f.typ)) {
			return false
		}
	}
	for _, id := range f.dps {
		if only := br.Distributions(); len(only) > 0 && !has(only, id) {
			return false
		}
	}
	for id, doc := range protocols {
		if only := br.Protocols(); len(only) > 0 && !slices.Contains(only, id) {
			return false
		} else if len(only) == 0 && !slices.ContainsFunc(doc.Sites, func(s biobank.ProtocolSite) bool { return s.SiteID == br.Site() }) {
			return false
		}
	}
	return true
}

func listContainers(c *call) (any, error) {
	q := c.query()
	page := q.page("startAt", 100)
	if q.wrong != nil {
		return nil, q.wrong
	}
	enough := page.from + page.most
	if q.flag("hierarchical", false) {
		enough = 0 // those of a page may lie in any of the others
	}
	all, f, err := c.findContainers(q, enough)
	if err != nil {
		return nil, err
	}
	if f.hierarchical {
		return c.containerTree(all, page, f.stats)
	}
	return c.showBranches(cut(all, page), f.stats)
}

func (c *call) showBranches(all []*biobank.Branch, stats bool) ([]any, error) {
	recs := make([]*biobank.Record, len(all))
	for i, br := range all {
		recs[i] = br.Recs[0]
	}
	r := c.related()
	r.stats = stats
	return r.show(containers(), recs...)
}

// containerTree shows containers within those of them that they lie in.
func (c *call) containerTree(all []*biobank.Branch, p page, stats bool) (any, error) {
	here := map[int64]bool{}
	for _, br := range all {
		here[br.ID()] = true
	}
	below := map[int64][]*biobank.Branch{}
	var tops []*biobank.Branch
	for _, br := range all {
		if ids := br.IDs(); len(ids) > 1 && here[ids[1]] {
			below[ids[1]] = append(below[ids[1]], br)
		} else {
			tops = append(tops, br)
		}
	}
	tops = cut(tops, p)
	// Each is shown behind what it lies in, and built before it.
	shown := slices.Clone(tops)
	for i := 0; i < len(shown); i++ {
		shown = append(shown, below[shown[i].ID()]...)
	}
	views, err := c.showBranches(shown, stats)
	if err != nil {
		return nil, err
	}
	built := map[int64]any{}
	for i, br := range slices.Backward(shown) {
		v := views[i].(containerView)
		kids := []any{}
		for _, kid := range below[br.ID()] {
			kids = append(kids, built[kid.ID()])
		}
		v.ChildContainers = &kids
		built[br.ID()] = v
	}
	out := []any{}
	for _, br := range tops {
		out = append(out, built[br.ID()])
	}
	return out, nil
}

func countContainers(c *call) (any, error) {
	all, _, err := c.findContainers(c.query(), 0)
	return countView{len(all)}, err
}

// has tells whether a list of ids holds one.
func has(ids []int64, id int64) bool { return slices.Contains(ids, id) }
