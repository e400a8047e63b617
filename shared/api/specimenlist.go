package api

import (
	"cmp"
	"fmt"
	"slices"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// labelExists serves HEAD /specimens?label=: 200 when a specimen has the label, 400 when none has. With cpShortTitle it must be
// one of that protocol, which the caller must see: anybody may learn that a label is taken, but not by whom.
func labelExists(c *call) (any, error) {
	q := c.query()
	label, title := q.text("label"), q.text("cpShortTitle")
	if label == "" {
		return nil, fault.New("SPECIMEN_LABEL_REQUIRED", "Give the label.")
	}
	rec, err := c.api.Registry.Taken(c.Context(), label)
	if err != nil {
		return nil, err
	}
	if rec != nil && title != "" {
		cp, err := c.api.Registry.ProtocolOf(c.Context(), c.actor, biobank.ProtocolRef{ShortTitle: title})
		if err != nil {
			return nil, err
		}
		if rec.Key.Protocol() != cp {
			rec = nil
		}
	}
	if rec == nil {
		return nil, notNamed("SPECIMEN_NOT_FOUND", "Specimen", label)
	}
	return struct{}{}, nil
}

// listSpecimens serves specimens by id, label, barcode, the tree of a visit, or the collected primary ones of a protocol,
// whichever is asked for first; nothing when nothing is. Of what was found, storageLocationSite leaves what is at that site, of
// a protocol as many as make the page full; and includeExtensions=false shows none of the custom fields. Labels and barcodes
// are looked for whole, whatever exactMatch says: no index has parts of them.
func listSpecimens(c *call) (any, error) {
	q := c.query()
	ids, labels, barcodes := q.numbers("id"), q.texts("label"), q.texts("barcode")
	cpr, visit, event, cp := q.number("cprId"), q.number("visitId"), q.number("eventId"), q.number("cpId")
	page, minimal := q.page("startAt", 100), q.flag("minimalInfo", false)
	site, extensions := q.text("storageLocationSite"), q.flag("includeExtensions", true)
	q.flag("exactMatch", true) // read, so that a wrong one is refused: it changes nothing
	if q.wrong != nil {
		return nil, q.wrong
	}
	if max(len(ids), len(labels), len(barcodes)) > maxPage {
		return nil, fault.New("SPECIMEN_LABELS_SRCH_LIMIT_MAXED", "At most %d specimens can be looked for at once.", maxPage)
	}
	var there func(view any) bool // nil for all
	if site != "" {
		there = func(view any) bool {
			at := view.(specimenView).StorageSite
			return at != nil && biobank.Fold(*at) == biobank.Fold(site)
		}
	}
	reg := c.api.Registry
	var recs []*biobank.Record
	var views []any
	var err error
	switch {
	case cpr != 0 || visit != 0:
		return c.specimenTree(cpr, visit, event)
	case len(ids) > 0:
		recs, err = reg.ByIDs(c.Context(), c.actor, biobank.Specimen, ids)
	case len(labels) > 0:
		recs, err = reg.ByName(c.Context(), c.actor, biobank.Specimen, labels)
	case len(barcodes) > 0:
		recs, err = reg.ByBarcode(c.Context(), c.actor, barcodes)
	case cp != 0:
		views, err = c.primaries(cp, page, there)
	}
	if err == nil && views == nil {
		if views, err = c.show(specimens(), recs...); there != nil {
			views = slices.DeleteFunc(views, func(v any) bool { return !there(v) })
		}
	}
	if err != nil {
		return nil, err
	}
	shown := []any{}
	for _, view := range views {
		v := view.(specimenView)
		if !extensions {
			v.ExtensionDetail = nil
		}
		shown = append(shown, v)
	}
	return specimenInfos(shown, minimal)
}

// primaries are a page of the collected primary specimens of a protocol that fit, nil for all, participant by participant:
// nothing behind it is read. Whether one fits is known when it is shown.
func (c *call) primaries(cp int64, p page, fits func(view any) bool) (views []any, err error) {
	skip := p.from
	if fits != nil {
		c = c.forgetful()
	}
	err = c.eachView(specimens(), min(100, p.most), func(keep func(*biobank.Record) (bool, error)) error {
		return c.api.Registry.EachSpecimen(c.Context(), c.actor, cp, func(rec *biobank.Record) (bool, error) {
			doc, err := biobank.Decode[biobank.SpecimenDoc](rec)
			switch {
			case err != nil || rec.Key.ParentSpecimen() != 0 || doc.Status != biobank.Collected:
				return true, err
			case fits == nil && skip > 0:
				skip--
				return true, nil
			}
			return keep(rec)
		})
	}, func(view any) bool {
		switch {
		case fits != nil && !fits(view):
		case skip > 0:
			skip--
		default:
			views = append(views, view)
		}
		return len(views) < p.most
	})
	return views, err
}

// specimenTree serves the specimens of a visit, or of a registration's visits of an event, as trees, with those that the
// requirements anticipate and nobody has collected.
func (c *call) specimenTree(cpr, visit, event int64) (any, error) {
	reg := c.api.Registry
	var root biobank.Key
	var visitDoc biobank.VisitDoc
	if visit != 0 {
		rec, err := reg.Get(c.Context(), c.actor, biobank.Visit, visit)
		if err != nil {
			return nil, err
		}
		if cpr != 0 && rec.Key.Registration() != cpr {
			return nil, fault.New("VISIT_NOT_FOUND", "Visit %d was not found in registration %d.", visit, cpr)
		}
		if visitDoc, err = biobank.Decode[biobank.VisitDoc](rec); err != nil {
			return nil, err
		}
		root, event = rec.Key, visitDoc.EventID
	} else {
		rec, err := reg.Get(c.Context(), c.actor, biobank.Registration, cpr)
		if err != nil {
			return nil, err
		}
		root = rec.Key
	}
	below, err := reg.Below(c.Context(), c.actor, root)
	if err != nil {
		return nil, err
	}
	r := c.related()
	inEvent := map[biobank.Key]bool{root: visit != 0}
	var recs []*biobank.Record
	for _, rec := range below {
		if rec.Type == biobank.Visit {
			doc, err := biobank.Decode[biobank.VisitDoc](rec)
			if err != nil {
				return nil, err
			}
			inEvent[rec.Key] = event == 0 || doc.EventID == event
			r.recs[rec.Key] = rec
		} else if inEvent[rec.Key.VisitKey()] {
			recs = append(recs, rec)
		}
	}
	views, err := r.show(specimens(), recs...)
	if err != nil {
		return nil, err
	}
	return r.tree(recs, views, root, event)
}

// tree hangs specimens below their parents, and what the requirements of an event anticipate beside those that fill them.
func (r *related) tree(recs []*biobank.Record, views []any, root biobank.Key, event int64) (any, error) {
	wanted, err := r.anticipatedSpecimens(root, event)
	if err != nil {
		return nil, err
	}
	children := map[biobank.Key][]*specimenView{}
	known := map[biobank.Key]bool{}
	for _, rec := range recs {
		known[rec.Key] = true
	}
	var all []*specimenView
	byKey := map[biobank.Key]*specimenView{}
	for i, rec := range recs {
		v := views[i].(specimenView)
		all = append(all, &v)
		byKey[rec.Key] = &v
		if up := rec.Key.Above(1); known[up] {
			children[up] = append(children[up], &v)
		}
	}
	filled := map[int64]bool{}
	for _, v := range all {
		if v.ReqID != nil {
			filled[*v.ReqID] = true
		}
	}
	var build func(key biobank.Key) specimenView
	build = func(key biobank.Key) specimenView {
		v := byKey[key]
		for _, rec := range recs {
			if rec.Key.Above(1) == key {
				v.Children = append(v.Children, build(rec.Key))
			}
		}
		if v.ReqID != nil {
			v.Children = append(v.Children, wanted.below(*v.ReqID, filled, v)...)
		}
		sortSpecimens(v.Children)
		return *v
	}
	top := []specimenView{}
	for _, rec := range recs {
		if !known[rec.Key.Above(1)] {
			top = append(top, build(rec.Key))
		}
	}
	top = append(top, wanted.below(0, filled, nil)...)
	sortSpecimens(top)
	return top, nil
}

func sortSpecimens(list []specimenView) {
	id := func(v specimenView) int64 {
		if v.ID == nil {
			return 1 << 62
		}
		return *v.ID
	}
	slices.SortStableFunc(list, func(a, b specimenView) int {
		return cmp.Or(cmp.Compare(order(a.SortOrder), order(b.SortOrder)), cmp.Compare(id(a), id(b)))
	})
}

// wish is what an event's requirements anticipate, by the requirement above them.
type wish struct {
	reqs   map[int64][]*biobank.Record
	docs   map[int64]biobank.RequirementDoc
	around visitContext
	cp     int64
	root   biobank.Key
	event  int64
	visit  *biobank.Record // nil for an event without one
	is     biobank.VisitDoc
}

// anticipatedSpecimens reads the open requirements of an event; event 0 has none.
func (r *related) anticipatedSpecimens(root biobank.Key, event int64) (*wish, error) {
	w := &wish{reqs: map[int64][]*biobank.Record{}, docs: map[int64]biobank.RequirementDoc{}, cp: root.Protocol(), root: root, event: event}
	if event == 0 {
		return w, nil
	}
	key := biobank.EventKey(w.cp, event)
	reg := biobank.Key{Part: root.Part, Sort: biobank.PadID(root.Registration())}
	if err := r.fetch(key, reg, root, setKey(biobank.Protocol, w.cp)); err != nil {
		return nil, err
	}
	if root != reg {
		w.visit = r.recs[root]
	}
	doc := biobank.VisitDoc{EventID: event}
	var err error
	if w.is, err = biobank.Decode[biobank.VisitDoc](w.visit); err != nil {
		return nil, err
	}
	if w.around, err = r.visit(reg.Child(0), doc); err != nil {
		return nil, err
	}
	if !r.c.actor.Can(biobank.ResSpecimen, biobank.OpRead, w.cp, w.around.protocol.Sites) {
		return w, nil
	}
	all, err := r.c.api.Registry.Store.List(r.c.Context(), key.Part, key.Sort+"/", "", 0)
	if err != nil {
		return nil, fmt.Errorf("list the requirements of an event: %w", err)
	}
	for _, rec := range all {
		req, err := biobank.Decode[biobank.RequirementDoc](rec)
		if err != nil {
			return nil, err
		}
		if req.ActivityStatus == biobank.StatusActive {
			w.docs[rec.ID] = req
			w.reqs[req.ParentID] = append(w.reqs[req.ParentID], rec)
		}
	}
	return w, nil
}

// below shows the requirements below another that no specimen fills.
func (w *wish) below(parent int64, filled map[int64]bool, up *specimenView) []specimenView {
	views := []specimenView{}
	for _, rec := range w.reqs[parent] {
		if filled[rec.ID] {
			continue
		}
		doc := w.docs[rec.ID]
		unit := w.around.protocol.UnitsOf(doc.Class, doc.Type)
		v := specimenView{
			QuantityUnit: orNull(unit.Quantity), ConcentrationUnit: orNull(unit.Concentration),
			CPID: w.cp, CprID: w.root.Registration(), PPID: w.around.registration.PPID, EventID: orNull(w.event),
			EventCode: orNull(w.around.event.Code), EventLabel: orNull(w.around.event.Label), CPShortTitle: w.around.protocol.ShortTitle,
			ReqID: &rec.ID, SortOrder: doc.SortOrder, Type: doc.Type, SpecimenClass: doc.Class, Lineage: doc.Lineage,
			AnatomicSite: orNull(doc.AnatomicSite), Laterality: orNull(doc.Laterality), Pathology: orNull(doc.Pathology),
			ReqLabel: orNull(doc.Name), InitialQty: doc.InitialQty, Concentration: doc.Concentration,
			StorageLocation: storageLocation{ID: -1}, StorageType: orNull(doc.StorageType), Code: orNull(doc.Code),
			ReqCode: orNull(doc.Code), LabelFmt: orNull(doc.LabelFmt), LabelAutoPrintMode: orNull(doc.LabelPrintMode), PreBarcodedTube: doc.PreBarcoded, ExternalIDs: []biobank.ExternalID{}, Biohazards: []string{},
		}
		if w.visit != nil {
			v.VisitID, v.VisitName, v.VisitStatus, v.VisitDate = &w.visit.ID, orNull(w.is.Name), orNull(w.is.Status), orNull(w.is.VisitDate)
		}
		if up != nil && up.ID != nil {
			v.ParentID, v.ParentLabel = up.ID, up.Label
		}
		v.Children = w.below(rec.ID, filled, &v)
		views = append(views, v)
	}
	return views
}
