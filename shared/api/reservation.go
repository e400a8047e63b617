package api

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"aliquot/shared/biobank"
)

// What distribution protocols hold and have given out (reference openspecimen-rest.md 20.1). The reference names the
// calls; their bodies and answers are ours.

// listReserved serves GET /distribution-protocols/{id}/reserved-specimens, by the specimens' ids.
func listReserved(c *call) (any, error) {
	q := c.query()
	page := q.page("startAt", 100)
	if q.wrong != nil {
		return nil, q.wrong
	}
	id, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	recs, err := c.api.Registry.Reserved(c.Context(), c.actor, id, 0)
	if err != nil {
		return nil, err
	}
	return c.show(specimens(), cut(recs, page)...)
}

// reserve serves PUT /distribution-protocols/{id}/reserved-specimens with {specimens: [{id or label or barcode}], cancelOp}:
// how many specimens were named.
func reserve(c *call) (any, error) {
	id, in, err := c.idAndBody()
	if err != nil {
		return nil, err
	}
	cancel, reason := in.flag("cancelOp"), cmp.Or(in.text("comments"), in.text("opComments"))
	var changes []biobank.Change
	for _, o := range in.objects("specimens") {
		d := &biobank.ReservationDraft{DP: id, Specimen: o.specimenNamed(), Cancel: cancel}
		changes = append(changes, biobank.Change{Op: biobank.Update, ByID: true, Draft: d, ID: c.id, Reason: reason})
	}
	if err := in.err(); err != nil {
		return nil, err
	}
	if len(changes) == 0 {
		return nil, invalid("Give the specimens.")
	}
	if err := fewEnough(len(changes)); err != nil {
		return nil, err
	}
	if _, err := c.api.Registry.ApplyAll(c.Context(), c.actor, c.at, changes); err != nil {
		return nil, err
	}
	return countView{len(changes)}, nil
}

// orderStat tells how many specimens an executed order gave out, of those that have the values in common.
type orderStat struct {
	ID                       int64             `json:"id"`
	Name                     string            `json:"name"`
	DistributionProtocol     *dpRefView        `json:"distributionProtocol"`
	ExecutionDate            *int64            `json:"executionDate"`
	DistributedSpecimenCount int64             `json:"distributedSpecimenCount"`
	GroupByAttrVals          map[string]string `json:"groupByAttrVals"`
}

// orderStats are the attributes by which what was given out can be counted.
var orderStats = map[string]func(*biobank.SpecimenDoc) string{
	"specimenType":    func(s *biobank.SpecimenDoc) string { return s.Type },
	"anatomicSite":    func(s *biobank.SpecimenDoc) string { return s.AnatomicSite },
	"pathologyStatus": func(s *biobank.SpecimenDoc) string { return s.Pathology },
}

// listOrderStats serves GET /distribution-protocols/orders?dpId=&groupBy=specimenType,anatomicSite,pathologyStatus for the
// executed orders that the caller may see, a page of orders at a time. Specimens that the caller may not see are not counted.
func listOrderStats(c *call) (any, error) {
	q := c.query()
	dp, groups, page := q.number("dpId"), q.texts("groupBy"), q.page("startAt", 100)
	if q.wrong != nil {
		return nil, q.wrong
	}
	for _, g := range groups {
		if orderStats[g] == nil {
			return nil, invalid("groupBy knows %s.", strings.Join(slices.Sorted(maps.Keys(orderStats)), ", "))
		}
	}
	all, err := c.api.Registry.Members(c.Context(), c.actor, biobank.Order)
	if err != nil {
		return nil, err
	}
	recs, err := sorted(all, func(_ int64, doc *biobank.OrderDoc) bool {
		return doc.Status == biobank.OrderExecuted && (dp == 0 || doc.DistributionID == dp)
	}, func(a, b *biobank.OrderDoc) int { return cmp.Compare(b.ExecutedOn, a.ExecutedOn) })
	if err != nil {
		return nil, err
	}
	recs = cut(recs, page)
	r := c.related()
	if err := gatherOrders(r, recs); err != nil {
		return nil, err
	}
	views := []orderStat{}
	for _, rec := range recs {
		stats, err := r.orderStats(rec, groups)
		if err != nil {
			return nil, err
		}
		views = append(views, stats...)
	}
	return views, nil
}

// orderStats counts what one order gave out, by the attributes.
func (r *related) orderStats(rec *biobank.Record, groups []string) ([]orderStat, error) {
	doc, err := loaded[biobank.OrderDoc](r.c, rec)
	if err != nil {
		return nil, err
	}
	var ids []int64
	for _, item := range doc.Items {
		if item.Status != biobank.ItemReturned {
			ids = append(ids, item.SpecimenID)
		}
	}
	recs, err := r.c.api.Registry.ByIDs(r.c.Context(), r.c.actor, biobank.Specimen, ids)
	if err != nil {
		return nil, err
	}
	summary, err := summarizeOrder(r, rec)
	if err != nil {
		return nil, err
	}
	counts := map[string]*orderStat{}
	for _, one := range recs {
		s, err := biobank.Decode[biobank.SpecimenDoc](one)
		if err != nil {
			return nil, err
		}
		vals, key := map[string]string{}, ""
		for _, g := range groups {
			vals[g] = orderStats[g](&s)
			key += vals[g] + "\x00"
		}
		if counts[key] == nil {
			counts[key] = &orderStat{rec.ID, doc.Name, summary.DistributionProtocol, summary.ExecutionDate, 0, vals}
		}
		counts[key].DistributedSpecimenCount++
	}
	var stats []orderStat
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		stats = append(stats, *counts[key])
	}
	return stats, nil
}
