package api

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// Specimens (reference openspecimen-rest.md section 15).

func specimens() noun {
	return noun{path: "/specimens", typ: biobank.Specimen, gather: gatherSpecimens, view: viewSpecimen}
}

func specimenRoutes() []route {
	n := specimens()
	gone := removal{noun: n, forced: true}
	return []route{
		{pattern: "HEAD " + n.path, serve: labelExists},
		{pattern: "GET " + n.path, serve: listSpecimens},
		getRoute(n),
		createRoute(n, func(in *input) biobank.Draft { return specimenDraft(in) }),
		changeRoute("PUT", n, func(in *input, id int64) biobank.Draft { return specimenPatch(in, id) }),
		{pattern: "PUT " + n.path, serve: changeSpecimens},
		bulkRoute(n, func(in *input, id int64) biobank.Draft { return specimenPatch(in, id) }),
		{pattern: "PUT " + n.path + "/{id}/status", serve: changeSpecimenStatus},
		{pattern: "PUT " + n.path + "/status", serve: changeSpecimenStatuses},
		{pattern: "POST " + n.path + "/collect", serve: collectSpecimens},
		deleteRoute(gone),
		bulkDeleteRoute(gone),
		dependentsRoute(n),
		{pattern: "GET " + n.path + "/{id}/cpr-visit-ids", serve: specimenPlace},
		{pattern: "GET " + n.path + "/{id}/primary-specimen-id", serve: primaryOf},
		auditRoute(n),
	}
}

func specimenDoc(in *input) biobank.SpecimenDoc {
	doc := biobank.SpecimenDoc{
		Label: in.text("label"), AdditionalLabel: in.text("additionalLabel"), Barcode: in.text("barcode"),
		Class: in.text("specimenClass"), Type: in.text("type"), Lineage: in.text("lineage"),
		AnatomicSite: in.text("anatomicSite"), Laterality: in.text("laterality"), Pathology: in.text("pathology"),
		Status: in.text("status"), InitialQty: in.quantity("initialQty"), AvailableQty: in.quantity("availableQty"),
		Concentration: in.quantity("concentration"), Biohazards: in.texts("biohazards"),
		FreezeThawCycles: in.number("freezeThawCycles"), CreatedOn: in.millis("createdOn"), ImageID: in.text("imageId"),
		Comments: in.text("comments"), ActivityStatus: in.text("activityStatus"),
	}
	for _, o := range in.objects("externalIds") {
		doc.ExternalIDs = append(doc.ExternalIDs, biobank.ExternalID{Name: o.text("name"), Value: o.text("value")})
	}
	return doc
}

// collection reads how a primary specimen was collected, and by whom; nil when that was not sent.
func (in *input) collection() (*biobank.CollectionEvent, biobank.UserRef) {
	o := in.object("collectionEvent")
	if o == nil {
		return nil, biobank.UserRef{}
	}
	return &biobank.CollectionEvent{
		Time: o.millis("time"), Comments: o.text("comments"), Procedure: o.text("procedure"), Container: o.text("container"),
	}, o.userRef("user")
}

func (in *input) received() (*biobank.ReceivedEvent, biobank.UserRef) {
	o := in.object("receivedEvent")
	if o == nil {
		return nil, biobank.UserRef{}
	}
	return &biobank.ReceivedEvent{Time: o.millis("time"), Comments: o.text("comments"), Quality: o.text("receivedQuality")}, o.userRef("user")
}

// container is the storage location asked for, "" for none.
func (in *input) container() string {
	o := in.object("storageLocation")
	if o == nil {
		return ""
	}
	name, id := o.text("name"), o.number("id")
	if name == "" && id > 0 {
		name = strconv.FormatInt(id, 10)
	}
	return name
}

func specimenDraft(in *input) *biobank.SpecimenDraft {
	d := &biobank.SpecimenDraft{
		Protocol: in.protocolRef(), VisitID: in.number("visitId"), VisitName: in.text("visitName"),
		RequirementID: in.number("reqId"), RequirementCode: in.text("reqCode"), ParentID: in.number("parentId"),
		ParentLabel: in.text("parentLabel"), Container: in.container(), Doc: specimenDoc(in),
	}
	collected, collector := in.collection()
	received, receiver := in.received()
	if l := d.Doc.Lineage; l == "" || biobank.Fold(l) == biobank.Fold(biobank.LineageNew) { // children have the events of their ancestor
		d.Doc.Collection, d.Doc.Received, d.Collector, d.Receiver = collected, received, collector, receiver
	}
	return d
}

// specimenPatch changes what was sent and keeps the rest.
func specimenPatch(in *input, id int64) *biobank.SpecimenDraft {
	type doc = biobank.SpecimenDoc
	fresh := specimenDoc(in)
	d := &biobank.SpecimenDraft{
		ID: id, Protocol: in.protocolRef(), VisitID: in.number("visitId"), VisitName: in.text("visitName"),
		RequirementID: in.number("reqId"), RequirementCode: in.text("reqCode"), ParentID: in.number("parentId"),
		ParentLabel: in.text("parentLabel"), Container: in.container(), Force: in.flag("forceDelete"),
	}
	var m merge[doc]
	m.set(in, "label", func(d *doc) { d.Label = fresh.Label })
	m.set(in, "additionalLabel", func(d *doc) { d.AdditionalLabel = fresh.AdditionalLabel })
	m.set(in, "barcode", func(d *doc) { d.Barcode = fresh.Barcode })
	m.set(in, "type", func(d *doc) { d.Type, d.Class = fresh.Type, "" }) // the class follows from the type
	m.set(in, "specimenClass", func(d *doc) { d.Class = fresh.Class })
	m.set(in, "lineage", func(d *doc) { d.Lineage = cmp.Or(fresh.Lineage, d.Lineage) })
	m.set(in, "anatomicSite", func(d *doc) { d.AnatomicSite = fresh.AnatomicSite })
	m.set(in, "laterality", func(d *doc) { d.Laterality = fresh.Laterality })
	m.set(in, "pathology", func(d *doc) { d.Pathology = fresh.Pathology })
	m.set(in, "status", func(d *doc) { d.Status = fresh.Status })
	m.set(in, "initialQty", func(d *doc) { d.InitialQty = fresh.InitialQty })
	m.set(in, "availableQty", func(d *doc) { d.AvailableQty = fresh.AvailableQty })
	m.set(in, "concentration", func(d *doc) { d.Concentration = fresh.Concentration })
	m.set(in, "biohazards", func(d *doc) { d.Biohazards = fresh.Biohazards })
	m.set(in, "freezeThawCycles", func(d *doc) { d.FreezeThawCycles = fresh.FreezeThawCycles })
	m.set(in, "createdOn", func(d *doc) { d.CreatedOn = fresh.CreatedOn })
	m.set(in, "imageId", func(d *doc) { d.ImageID = fresh.ImageID })
	m.set(in, "externalIds", func(d *doc) { d.ExternalIDs = fresh.ExternalIDs })
	m.set(in, "comments", func(d *doc) { d.Comments = fresh.Comments })
	m.set(in, "activityStatus", func(d *doc) { d.ActivityStatus = fresh.ActivityStatus })
	collected, collector := in.collection()
	received, receiver := in.received()
	m = append(m, func(is *doc) {
		if is.Lineage != biobank.LineageNew {
			return // shown with the events of its ancestor, and sent back so
		}
		if collected != nil {
			e := *collected
			if is.Collection != nil && !collector.Sent() {
				e.UserID = is.Collection.UserID
			}
			is.Collection, d.Collector = &e, collector
		}
		if received != nil {
			e := *received
			if is.Received != nil && !receiver.Sent() {
				e.UserID = is.Received.UserID
			}
			is.Received, d.Receiver = &e, receiver
		}
	})
	d.Merge = m.onto
	return d
}

// labelExists serves HEAD /specimens?label=: 200 when a specimen has the label, 400 when none has.
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
		cp, err := find(c, biobank.Protocol, func(doc biobank.ProtocolDoc) bool {
			return biobank.Fold(doc.ShortTitle) == biobank.Fold(title) && doc.ActivityStatus != biobank.StatusDisabled
		})
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
// whichever is asked for first; nothing when nothing is.
func listSpecimens(c *call) (any, error) {
	q := c.query()
	ids, labels, barcodes := q.numbers("id"), q.texts("label"), q.texts("barcode")
	cpr, visit, event, cp := q.number("cprId"), q.number("visitId"), q.number("eventId"), q.number("cpId")
	page := q.page("startAt", 100)
	if q.wrong != nil {
		return nil, q.wrong
	}
	if max(len(ids), len(labels), len(barcodes)) > maxPage {
		return nil, fault.New("SPECIMEN_LABELS_SRCH_LIMIT_MAXED", "At most %d specimens can be looked for at once.", maxPage)
	}
	reg := c.api.Registry
	var recs []*biobank.Record
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
		if recs, err = c.primaries(cp); err == nil {
			recs = cut(recs, page)
		}
	}
	if err != nil {
		return nil, err
	}
	return c.show(specimens(), recs...)
}

// primaries are the collected primary specimens of a protocol, by id.
func (c *call) primaries(cp int64) ([]*biobank.Record, error) {
	reg := c.api.Registry
	if _, err := reg.Get(c.Context(), c.actor, biobank.Protocol, cp); err != nil {
		return nil, err
	}
	recs, err := reg.Walk(c.Context(), cp, biobank.PrimarySpecimens, func(rec *biobank.Record) (bool, error) {
		if rec.Type != biobank.Specimen {
			return false, nil
		}
		doc, err := biobank.Decode[biobank.SpecimenDoc](rec)
		return doc.Status == biobank.Collected && doc.ActivityStatus != biobank.StatusDisabled, err
	})
	if err == nil {
		recs, err = reg.Readable(c.Context(), c.actor, recs)
	}
	slices.SortFunc(recs, func(a, b *biobank.Record) int { return cmp.Compare(a.ID, b.ID) })
	return recs, err
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
	visit  *biobank.Record
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
		v := specimenView{
			CPID: w.cp, CprID: w.root.Registration(), PPID: w.around.registration.PPID, EventID: orNull(w.event),
			EventCode: orNull(w.around.event.Code), EventLabel: orNull(w.around.event.Label), CPShortTitle: w.around.protocol.ShortTitle,
			ReqID: &rec.ID, SortOrder: doc.SortOrder, Type: doc.Type, SpecimenClass: doc.Class, Lineage: doc.Lineage,
			AnatomicSite: orNull(doc.AnatomicSite), Laterality: orNull(doc.Laterality), Pathology: orNull(doc.Pathology),
			ReqLabel: orNull(doc.Name), InitialQty: doc.InitialQty, Concentration: doc.Concentration,
			StorageLocation: storageLocation{ID: -1}, StorageType: orNull(doc.StorageType), Code: orNull(doc.Code),
			ReqCode: orNull(doc.Code), LabelFmt: orNull(doc.LabelFmt), ExternalIDs: []biobank.ExternalID{}, Biohazards: []string{},
		}
		if w.visit != nil {
			v.VisitID = w.visit.ID
		}
		if up != nil && up.ID != nil {
			v.ParentID, v.ParentLabel = up.ID, up.Label
		}
		v.Children = w.below(rec.ID, filled, &v)
		views = append(views, v)
	}
	return views
}

// changeSpecimens serves PUT /specimens: patches, each with its id.
func changeSpecimens(c *call) (any, error) {
	list, err := c.bodies()
	if err != nil {
		return nil, err
	}
	if len(list) > maxBulk {
		return nil, fault.New("SPECIMEN_UPDATE_LIMIT_MAXED", "At most %d specimens can be changed at once.", maxBulk)
	}
	var drafts []biobank.Draft
	for _, in := range list {
		id := in.number("id")
		if err := in.err(); err != nil {
			return nil, err
		}
		if id == 0 {
			return nil, fault.New("SPECIMEN_ID_REQUIRED", "Give the id of each specimen.")
		}
		d := specimenPatch(in, id)
		if err := in.err(); err != nil {
			return nil, err
		}
		drafts = append(drafts, d)
	}
	return c.changeAll(specimens(), drafts, "")
}

// changeSpecimenStatus serves PUT /specimens/{id}/status: Active, Closed or Disabled, with a reason.
func changeSpecimenStatus(c *call) (any, error) {
	id, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	d, reason, err := specimenStatus(in, id)
	if err != nil {
		return nil, err
	}
	return c.change(specimens(), d, reason)
}

// specimenStatus reads a change of status. Who made it and when is in the audit, whatever the body says.
func specimenStatus(in *input, id int64) (biobank.Draft, string, error) {
	status := in.text("status")
	force := in.flag("forceUpdate") || in.flag("forceDelete")
	reason := strings.TrimSpace(in.text("reason") + " " + in.text("comments"))
	if err := in.err(); err != nil {
		return nil, "", err
	}
	if status == "" {
		return nil, "", fault.New("ACTIVITY_STATUS_INVALID", "Give the status: Active, Closed or Disabled.")
	}
	return biobank.Removal(biobank.Specimen, id, status, force), reason, nil
}

func changeSpecimenStatuses(c *call) (any, error) {
	list, err := c.bodies()
	if err != nil {
		return nil, err
	}
	if len(list) > maxBulk {
		return nil, fault.New("SPECIMEN_UPDATE_LIMIT_MAXED", "At most %d specimens can be changed at once.", maxBulk)
	}
	var changes []biobank.Change
	for _, in := range list {
		id, label := in.number("id"), in.text("label")
		if id == 0 && label != "" {
			recs, err := c.api.Registry.ByName(c.Context(), c.actor, biobank.Specimen, []string{label})
			if err != nil {
				return nil, err
			}
			if len(recs) == 0 {
				return nil, notNamed("SPECIMEN_NOT_FOUND", "Specimen", label)
			}
			id = recs[0].ID
		}
		d, reason, err := specimenStatus(in, id)
		if err != nil {
			return nil, err
		}
		changes = append(changes, biobank.Change{Op: biobank.Update, ByID: true, Draft: d, ID: c.id, Reason: reason})
	}
	recs, err := c.api.Registry.ApplyAll(c.Context(), c.actor, c.at, changes)
	if err != nil {
		return nil, err
	}
	return c.show(specimens(), recs...)
}

// specimenPlace serves where a specimen belongs.
func specimenPlace(c *call) (any, error) {
	rec, err := c.get(biobank.Specimen)
	if err != nil {
		return nil, err
	}
	return struct {
		CPID       int64 `json:"cpId"`
		CprID      int64 `json:"cprId"`
		VisitID    int64 `json:"visitId"`
		SpecimenID int64 `json:"specimenId"`
	}{rec.Key.Protocol(), rec.Key.Registration(), rec.Key.Visit(), rec.ID}, nil
}

func primaryOf(c *call) (any, error) {
	rec, err := c.get(biobank.Specimen)
	if err != nil {
		return nil, err
	}
	return primaryID(rec.Key), nil
}

// specimenView has its nulls.
type specimenView struct {
	OpComments          *string              `json:"opComments"`
	ID                  *int64               `json:"id,omitempty"` // nil for one that is anticipated
	CPID                int64                `json:"cpId"`
	CprID               int64                `json:"cprId"`
	PPID                string               `json:"ppid"`
	EventID             *int64               `json:"eventId"`
	EventCode           *string              `json:"eventCode"`
	EventLabel          *string              `json:"eventLabel"`
	VisitID             int64                `json:"visitId"`
	VisitName           string               `json:"visitName"`
	VisitStatus         string               `json:"visitStatus"`
	SprNo               *string              `json:"sprNo"`
	VisitDate           int64                `json:"visitDate"`
	CPShortTitle        string               `json:"cpShortTitle"`
	ReqID               *int64               `json:"reqId"`
	SortOrder           *int64               `json:"sortOrder"`
	Label               *string              `json:"label"`
	AdditionalLabel     *string              `json:"additionalLabel"`
	Barcode             *string              `json:"barcode"`
	Type                string               `json:"type"`
	SpecimenClass       string               `json:"specimenClass"`
	Lineage             string               `json:"lineage"`
	AnatomicSite        *string              `json:"anatomicSite"`
	Laterality          *string              `json:"laterality"`
	Status              string               `json:"status"`
	ReqLabel            *string              `json:"reqLabel"`
	Pathology           *string              `json:"pathology"`
	InitialQty          *biobank.Quantity    `json:"initialQty"`
	AvailableQty        *biobank.Quantity    `json:"availableQty"`
	Concentration       *biobank.Quantity    `json:"concentration"`
	QuantityUnit        *string              `json:"quantityUnit"`
	ConcentrationUnit   *string              `json:"concentrationUnit"`
	ParentID            *int64               `json:"parentId"`
	ParentLabel         *string              `json:"parentLabel"`
	StorageLocation     storageLocation      `json:"storageLocation"`
	StorageType         *string              `json:"storageType"`
	CollectionContainer *string              `json:"collectionContainer"`
	CollectionDate      *int64               `json:"collectionDate"`
	Collector           *userSummary         `json:"collector"`
	Receiver            *userSummary         `json:"receiver"`
	StorageSite         *string              `json:"storageSite"`
	ActivityStatus      string               `json:"activityStatus"`
	CreatedOn           *int64               `json:"createdOn"`
	CreatedBy           *userSummary         `json:"createdBy"`
	Code                *string              `json:"code"`
	DistributionStatus  string               `json:"distributionStatus"`
	AvailabilityStatus  string               `json:"availabilityStatus"`
	FreezeThawCycles    int64                `json:"freezeThawCycles"`
	ImageID             *string              `json:"imageId"`
	ExternalIDs         []biobank.ExternalID `json:"externalIds"`
	CollectionEvent     *collectionEventView `json:"collectionEvent"`
	ReceivedEvent       *receivedEventView   `json:"receivedEvent"`
	LabelFmt            *string              `json:"labelFmt"`
	LabelAutoPrintMode  *string              `json:"labelAutoPrintMode"`
	Biohazards          []string             `json:"biohazards"`
	Comments            *string              `json:"comments"`
	Children            []specimenView       `json:"children"`
	PooledSpecimenID    *int64               `json:"pooledSpecimenId"`
	PooledSpecimenLabel *string              `json:"pooledSpecimenLabel"`
	SpecimensPool       *[]struct{}          `json:"specimensPool"`
	PoolSpecimen        *bool                `json:"poolSpecimen"`
	ReqCode             *string              `json:"reqCode"`
	ExtensionDetail     *struct{}            `json:"extensionDetail"`
	Reserved            bool                 `json:"reserved"`
	UID                 *string              `json:"uid"`
	ParentUID           *string              `json:"parentUid"`
	DPID                *int64               `json:"dpId"`
}

// storageLocation is where a specimen lies; id -1 and nulls for one that is not stored.
type storageLocation struct {
	ID            int64   `json:"id"`
	Name          *string `json:"name"`
	PositionX     *string `json:"positionX"`
	PositionY     *string `json:"positionY"`
	Position      *int64  `json:"position"`
	Mode          *string `json:"mode"`
	ReservationID *string `json:"reservationId"`
}

type collectionEventView struct {
	ID            int64        `json:"id"`
	Time          *int64       `json:"time"`
	User          *userSummary `json:"user"`
	Comments      *string      `json:"comments"`
	SpecimenLabel *string      `json:"specimenLabel"`
	SpecimenID    int64        `json:"specimenId"`
	Procedure     *string      `json:"procedure"`
	Container     *string      `json:"container"`
}

type receivedEventView struct {
	ID              int64        `json:"id"`
	Time            *int64       `json:"time"`
	User            *userSummary `json:"user"`
	Comments        *string      `json:"comments"`
	SpecimenLabel   *string      `json:"specimenLabel"`
	SpecimenID      int64        `json:"specimenId"`
	ReceivedQuality *string      `json:"receivedQuality"`
}

// specimenKeys are where the visit, the specimen at the top of the lineage, and the parent of a specimen lie.
func specimenKeys(key biobank.Key) (visit, primary, parent biobank.Key) {
	visit = key.VisitKey()
	primary = visit.Child(primaryID(key))
	if key.ParentSpecimen() != 0 {
		parent = key.Above(1)
	}
	return visit, primary, parent
}

func gatherSpecimens(r *related, recs []*biobank.Record) error {
	var keys []biobank.Key
	for _, rec := range recs {
		visit, primary, parent := specimenKeys(rec.Key)
		keys = append(keys, visit, primary, parent)
	}
	if err := r.fetch(keys...); err != nil {
		return err
	}
	keys = keys[:0]
	var users []int64
	for _, rec := range recs {
		doc, err := biobank.Decode[biobank.SpecimenDoc](rec)
		if err != nil {
			return err
		}
		at, top, _ := specimenKeys(rec.Key)
		visit, err := decodeAt[biobank.VisitDoc](r, at)
		if err != nil {
			return err
		}
		primary, err := decodeAt[biobank.SpecimenDoc](r, top)
		if err != nil {
			return err
		}
		keys = append(append(keys, aroundVisit(at, visit)...), requirementOf(rec.Key, doc, visit))
		users = append(users, doc.CreatedBy)
		if primary.Collection != nil {
			users = append(users, primary.Collection.UserID)
		}
		if primary.Received != nil {
			users = append(users, primary.Received.UserID)
		}
	}
	if err := r.fetch(keys...); err != nil {
		return err
	}
	return r.fetchUsers(users...)
}

func requirementOf(key biobank.Key, doc biobank.SpecimenDoc, visit biobank.VisitDoc) biobank.Key {
	if doc.RequirementID == 0 || visit.EventID == 0 {
		return biobank.Key{}
	}
	return biobank.RequirementKey(key.Protocol(), visit.EventID, doc.RequirementID)
}

func viewSpecimen(r *related, rec *biobank.Record) (any, error) {
	doc, err := biobank.Decode[biobank.SpecimenDoc](rec)
	if err != nil {
		return nil, err
	}
	visitKey, primaryKey, parentKey := specimenKeys(rec.Key)
	visit, err := decodeAt[biobank.VisitDoc](r, visitKey)
	if err != nil {
		return nil, err
	}
	parent, err := decodeAt[biobank.SpecimenDoc](r, parentKey)
	if err != nil {
		return nil, err
	}
	// Children show the events of the specimen they all come from.
	primary, err := decodeAt[biobank.SpecimenDoc](r, primaryKey)
	if err != nil {
		return nil, err
	}
	around, err := r.visit(visitKey, visit)
	if err != nil {
		return nil, err
	}
	req, err := decodeAt[biobank.RequirementDoc](r, requirementOf(rec.Key, doc, visit))
	if err != nil {
		return nil, err
	}
	status := availability(doc)
	v := specimenView{
		ID: &rec.ID, CPID: rec.Key.Protocol(), CprID: rec.Key.Registration(), PPID: around.registration.PPID,
		EventID: orNull(visit.EventID), EventCode: orNull(around.event.Code), EventLabel: orNull(around.event.Label),
		VisitID: rec.Key.Visit(), VisitName: visit.Name, VisitStatus: visit.Status,
		SprNo:     orMasked(visit.SurgicalPathologyNumber, r.c.seesPHI(rec.Key.Protocol(), around.protocol)),
		VisitDate: visit.VisitDate, CPShortTitle: around.protocol.ShortTitle, ReqID: orNull(doc.RequirementID),
		SortOrder: req.SortOrder, Label: orNull(doc.Label), AdditionalLabel: orNull(doc.AdditionalLabel),
		Barcode: orNull(doc.Barcode), Type: doc.Type, SpecimenClass: doc.Class, Lineage: doc.Lineage,
		AnatomicSite: orNull(doc.AnatomicSite), Laterality: orNull(doc.Laterality), Status: doc.Status,
		ReqLabel: orNull(req.Name), Pathology: orNull(doc.Pathology), InitialQty: doc.InitialQty,
		AvailableQty: doc.AvailableQty, Concentration: doc.Concentration, ParentID: orNull(rec.Key.ParentSpecimen()),
		ParentLabel: orNull(parent.Label), StorageLocation: storageLocation{ID: -1}, StorageType: orNull(req.StorageType),
		ActivityStatus: doc.ActivityStatus, CreatedOn: orNull(doc.CreatedOn), Code: orNull(req.Code),
		DistributionStatus: status, AvailabilityStatus: status, FreezeThawCycles: doc.FreezeThawCycles,
		ImageID: orNull(doc.ImageID), ExternalIDs: orEmpty(doc.ExternalIDs), LabelFmt: orNull(req.LabelFmt),
		Biohazards: orEmpty(doc.Biohazards), Comments: orNull(doc.Comments), Children: []specimenView{}, ReqCode: orNull(req.Code),
	}
	if err := v.events(r, r.recs[primaryKey], primary, doc.CreatedBy); err != nil {
		return nil, err
	}
	return v, nil
}

// events fills in the collection and the arrival of the primary specimen, and who made the specimen; gathered before.
func (v *specimenView) events(r *related, rec *biobank.Record, primary biobank.SpecimenDoc, createdBy int64) error {
	collected, received := primary.Collection, primary.Received
	var err error
	if v.CreatedBy, err = r.summary(createdBy); err != nil {
		return err
	}
	if collected != nil {
		if v.Collector, err = r.summary(collected.UserID); err != nil {
			return err
		}
		v.CollectionDate, v.CollectionContainer = orNull(collected.Time), orNull(collected.Container)
		v.CollectionEvent = &collectionEventView{
			ID: rec.ID, Time: orNull(collected.Time), User: v.Collector, Comments: orNull(collected.Comments),
			SpecimenLabel: orNull(primary.Label), SpecimenID: rec.ID, Procedure: orNull(collected.Procedure),
			Container: orNull(collected.Container),
		}
	}
	if received != nil {
		if v.Receiver, err = r.summary(received.UserID); err != nil {
			return err
		}
		v.ReceivedEvent = &receivedEventView{
			ID: rec.ID, Time: orNull(received.Time), User: v.Receiver, Comments: orNull(received.Comments),
			SpecimenLabel: orNull(primary.Label), SpecimenID: rec.ID, ReceivedQuality: orNull(received.Quality),
		}
	}
	return nil
}

// availability is what can be had of a specimen.
func availability(doc biobank.SpecimenDoc) string {
	switch {
	case doc.ActivityStatus == biobank.StatusClosed:
		return "Closed"
	case doc.Status != biobank.Collected:
		return doc.Status
	}
	return "Available"
}

// primaryID is the id of the specimen at the top of a specimen's lineage.
func primaryID(k biobank.Key) int64 {
	parts := strings.Split(k.Sort, "/")
	if len(parts) < 3 {
		return 0
	}
	id, err := parseID("specimen", parts[2])
	if err != nil {
		return 0
	}
	return id
}
