package api

import (
	"slices"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// POST /specimens/search (reference openspecimen-rest.md 15.1). The reference leaves the criteria open; they are the
// parameters of the list, and what a specimen can be told by.

// maxFound is how many specimens a search gives, and how many labels and barcodes it takes.
const maxFound = 10_000

type specimenCriteria struct {
	ids                      []int64
	labels, barcodes         []string
	cp, cpr, ancestor        int64
	cpShortTitle, ppid       string
	lineages, statuses       []string
	anatomicSite, typ, class string
	available, noQty         bool
	page                     page
	minimal                  bool
}

func (in *input) specimenCriteria() specimenCriteria {
	k := specimenCriteria{
		ids: in.numbers("ids"), labels: in.oneOrMore("labels", "label"), barcodes: in.oneOrMore("barcodes", "barcode"),
		cp: in.number("cpId"), cpr: in.number("cprId"), ancestor: in.number("ancestorId"), cpShortTitle: in.text("cpShortTitle"),
		ppid: in.text("ppid"), lineages: in.oneOrMore("lineages", "lineage"), statuses: in.oneOrMore("collectionStatuses", "collectionStatus"),
		anatomicSite: in.text("anatomicSite"), typ: in.text("type"), class: in.text("specimenClass"),
		available: in.flag("available"), noQty: in.flag("noQty"), minimal: in.flag("minimalInfo"),
	}
	from, most := in.number("startAt"), in.number("maxResults")
	if from < 0 || most < 0 {
		in.refuse("startAt and maxResults", "numbers that are not negative")
	}
	if most == 0 {
		most = 100
	}
	k.page = page{int(min(max(from, 0), 1<<31)), int(min(max(most, 0), maxFound))}
	return k
}

// oneOrMore is an array of texts, or one text under either name.
func (in *input) oneOrMore(names, name string) []string {
	var list []string
	switch in.members[names].(type) {
	case string:
		list = []string{in.text(names)}
	default:
		list = in.texts(names)
	}
	if one := in.text(name); one != "" {
		list = append(list, one)
	}
	return list
}

// searchSpecimens finds specimens by what narrows them most: ids, labels, barcodes, an ancestor, a registration, or else
// a protocol, which is read until enough are found. One of these must be given: there is no reading through everything.
func searchSpecimens(c *call) (any, error) {
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	k := in.specimenCriteria()
	if err := in.err(); err != nil {
		return nil, err
	}
	if len(k.labels)+len(k.barcodes) > maxFound || len(k.ids) > maxFound {
		return nil, fault.New("SPECIMEN_LABELS_SRCH_LIMIT_MAXED", "At most %d specimens can be looked for at once.", maxFound)
	}
	recs, err := c.findSpecimens(k)
	if err != nil {
		return nil, err
	}
	return c.showSpecimens(recs, k.minimal)
}

func (c *call) findSpecimens(k specimenCriteria) ([]*biobank.Record, error) {
	reg := c.api.Registry
	if k.cp == 0 && k.cpShortTitle != "" {
		var err error
		if k.cp, err = reg.ProtocolOf(c.Context(), c.actor, biobank.ProtocolRef{ShortTitle: k.cpShortTitle}); err != nil {
			return nil, err
		}
	}
	var recs []*biobank.Record
	var err error
	switch {
	case len(k.ids) > 0:
		recs, err = reg.ByIDs(c.Context(), c.actor, biobank.Specimen, k.ids)
	case len(k.labels)+len(k.barcodes) > 0:
		if recs, err = reg.ByName(c.Context(), c.actor, biobank.Specimen, k.labels); err != nil {
			return nil, err
		}
		var more []*biobank.Record
		more, err = reg.ByBarcode(c.Context(), c.actor, k.barcodes)
		known := map[int64]bool{}
		recs = slices.DeleteFunc(append(recs, more...), func(rec *biobank.Record) bool {
			twice := known[rec.ID]
			known[rec.ID] = true
			return twice
		})
	case k.ancestor != 0:
		recs, err = c.specimensBelow(biobank.Specimen, k.ancestor)
	case k.cpr != 0:
		recs, err = c.specimensBelow(biobank.Registration, k.cpr)
	case k.ppid != "" && k.cp != 0:
		var who []*biobank.Record
		if who, err = reg.ByPPID(c.Context(), c.actor, []int64{k.cp}, k.ppid); err == nil && len(who) > 0 {
			recs, err = reg.Below(c.Context(), c.actor, who[0].Key)
		}
	case k.cp != 0:
		if _, err := reg.Get(c.Context(), c.actor, biobank.Protocol, k.cp); err != nil {
			return nil, err
		}
		return reg.Find(c.Context(), c.actor, k.cp, k.page.from, k.page.most, k.fits)
	default:
		return nil, invalid("Give ids, labels, barcodes, ancestorId, cprId, or a protocol as cpId or cpShortTitle.")
	}
	if err != nil {
		return nil, err
	}
	var fit []*biobank.Record
	for _, rec := range recs {
		ok, err := k.fits(rec)
		if err != nil {
			return nil, err
		}
		if ok {
			fit = append(fit, rec)
		}
	}
	return cut(fit, k.page), nil
}

// specimensBelow lists what lies below an object that the caller may see.
func (c *call) specimensBelow(t biobank.Type, id int64) ([]*biobank.Record, error) {
	rec, err := c.api.Registry.Get(c.Context(), c.actor, t, id)
	if err != nil {
		return nil, err
	}
	return c.api.Registry.Below(c.Context(), c.actor, rec.Key)
}

// fits tells whether a record is a specimen that is looked for.
func (k specimenCriteria) fits(rec *biobank.Record) (bool, error) {
	if rec.Type != biobank.Specimen || k.cp != 0 && rec.Key.Protocol() != k.cp || k.cpr != 0 && rec.Key.Registration() != k.cpr {
		return false, nil
	}
	doc, err := biobank.Decode[biobank.SpecimenDoc](rec)
	if err != nil || doc.ActivityStatus == biobank.StatusDisabled {
		return false, err
	}
	empty := doc.AvailableQty != nil && *doc.AvailableQty == 0
	return among(k.lineages, doc.Lineage) && among(k.statuses, doc.Status) && like(doc.AnatomicSite, k.anatomicSite, true) &&
		like(doc.Type, k.typ, true) && like(doc.Class, k.class, true) &&
		(!k.available || availability(doc) == "Available" && !empty) && (!k.noQty || empty), nil
}

// infoOnly are the members of a specimen that minimalInfo leaves out (SpecimenInfo, 15.2).
var infoOnly = []string{
	"collectionEvent", "receivedEvent", "children", "specimensPool", "pooledSpecimens", "labelFmt", "biohazards", "comments",
	"extensionDetail", "uid", "parentUid", "reserved", "dpId", "ancestorId", "kitLabel", "kitBarcode",
}

// showSpecimens shows specimens, whole or with what is needed to tell them apart.
func (c *call) showSpecimens(recs []*biobank.Record, minimal bool) (any, error) {
	views, err := c.show(specimens(), recs...)
	if err != nil {
		return nil, err
	}
	return specimenInfos(views, minimal)
}

// specimenInfos are views of specimens, minimal ones without what only the detail of a specimen tells.
func specimenInfos(views []any, minimal bool) (any, error) {
	if !minimal {
		return views, nil
	}
	infos := make([]map[string]any, len(views))
	for i, v := range views {
		var err error
		if infos[i], err = asMembers(v); err != nil {
			return nil, err
		}
		for _, name := range infoOnly {
			delete(infos[i], name)
		}
	}
	return infos, nil
}
