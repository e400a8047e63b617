package api

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// Specimen requirements (reference openspecimen-rest.md section 11).

func requirements() noun {
	return noun{path: "/specimen-requirements", typ: biobank.Requirement, shows: requirementView{}, gather: gatherRequirements, view: viewRequirement}
}

func requirementRoutes() []route {
	n := requirements()
	return []route{
		{pattern: "GET " + n.path, summary: "List the requirements of an event, as trees", answers: n.list(), serve: listRequirements},
		getRoute(n),
		createRoute(n, func(in *input) biobank.Draft {
			d := requirementDraft(in, 0).(*biobank.RequirementDraft)
			all := &biobank.RequirementsDraft{
				EventID: d.EventID, Protocol: d.Protocol, EventLabel: d.EventLabel, PoolID: in.number("pooledSpecimenId"),
				Nodes: []*biobank.RequirementNode{{Draft: d, Pool: requirementNodes(in.objects("specimensPool"))}},
			}
			if d.Doc.Lineage != biobank.LineageNew {
				all.ParentCode = d.ParentCode
			}
			return all
		}),
		changeRoute("PUT", n, requirementDraft),
		deleteRoute(removal{noun: n}),
		dependentsRoute(n),
		{pattern: "GET " + n.path + "/{id}/specimens-count", summary: "Count the specimens of a requirement", answers: 0, serve: countSpecimens},
		{pattern: "POST " + n.path + "/{id}/aliquots", summary: "Add aliquots to a requirement", answers: n.list(), serve: makeAliquotRequirements},
		{pattern: "POST " + n.path + "/{id}/derived", summary: "Add a derivative to a requirement", answers: n.shows, serve: makeDerivedRequirement},
		{pattern: "POST " + n.path + "/{id}/copy", summary: "Copy a requirement with those below it", answers: n.shows, serve: copyRequirement},
		auditRoute(n),
	}
}

func requirementDraft(in *input, id int64) biobank.Draft {
	lineage := in.text("lineage")
	if lineage == "" {
		lineage = biobank.LineageNew
	}
	return &biobank.RequirementDraft{
		ID: id, Protocol: in.protocolRef(),
		EventID: in.number("eventId"), EventLabel: in.text("eventLabel"), ParentCode: in.text("parentSrCode"),
		Collector: in.userRef("collector"), Receiver: in.userRef("receiver"),
		Doc: biobank.RequirementDoc{
			Name: in.text("name"), Code: in.text("code"), ParentID: in.number("parentSrId"),
			Lineage: lineage, Class: in.text("specimenClass"), Type: in.text("type"),
			AnatomicSite: in.text("anatomicSite"), Laterality: in.text("laterality"), Pathology: in.text("pathology"),
			StorageType: in.text("storageType"), InitialQty: in.quantity("initialQty"), Concentration: in.quantity("concentration"),
			CollectionProcedure: in.text("collectionProcedure"), CollectionContainer: in.text("collectionContainer"),
			LabelFmt: in.text("labelFmt"), LabelPrintMode: in.text("labelAutoPrintMode"), LabelPrintCopies: in.maybeNumber("labelPrintCopies"),
			PreBarcoded: in.flag("preBarcodedTube"), SortOrder: in.maybeNumber("sortOrder"),
			Defaults: in.raw("defaultCustomFieldValues"), Services: in.raw("services"), ActivityStatus: in.text("activityStatus"),
		},
	}
}

// requirementNode reads a requirement with those below it, as it is shown.
func requirementNode(in *input) *biobank.RequirementNode {
	return &biobank.RequirementNode{
		Draft:    requirementDraft(in, 0).(*biobank.RequirementDraft),
		Children: requirementNodes(in.objects("children")), Pool: requirementNodes(in.objects("specimensPool")),
	}
}

func requirementNodes(list []*input) []*biobank.RequirementNode {
	var nodes []*biobank.RequirementNode
	for _, in := range list {
		nodes = append(nodes, requirementNode(in))
	}
	return nodes
}

// maxAliquots is how many aliquots a requirement can be given at once: one transaction holds them.
const maxAliquots = 45

// makeAliquotRequirements serves POST /{id}/aliquots: as many equal ones as are asked for. A code is given to the first of
// them alone, since codes are unique in the event.
func makeAliquotRequirements(c *call) (any, error) {
	d, in, err := c.belowRequirement()
	if err != nil {
		return nil, err
	}
	count := in.number("noOfAliquots")
	one := biobank.RequirementDoc{
		Name: in.text("name"), Code: in.text("code"), Lineage: biobank.LineageAliquot, InitialQty: in.quantity("qtyPerAliquot"),
		StorageType: in.text("storageType"), LabelFmt: in.text("labelFmt"), LabelPrintMode: in.text("labelAutoPrintMode"),
		LabelPrintCopies: in.maybeNumber("labelPrintCopies"), PreBarcoded: in.flag("preBarcodedTube"),
		Defaults: in.raw("defaultCustomFieldValues"), Services: in.raw("services"),
	}
	if err := in.err(); err != nil {
		return nil, err
	}
	if count < 1 || count > maxAliquots {
		return nil, fault.New("SR_INVALID_ALIQUOT_CNT", "The number of aliquots must be between 1 and %d.", maxAliquots)
	}
	for range count {
		d.Nodes = append(d.Nodes, &biobank.RequirementNode{Draft: &biobank.RequirementDraft{Doc: one}})
		one.Code = ""
	}
	if _, err := c.apply(biobank.Change{Op: biobank.Create, Draft: d, Reason: in.text("opComments")}); err != nil {
		return nil, err
	}
	var recs []*biobank.Record
	for _, n := range d.Nodes {
		recs = append(recs, n.Record)
	}
	return c.show(requirements(), recs...)
}

// makeDerivedRequirement serves POST /{id}/derived.
func makeDerivedRequirement(c *call) (any, error) {
	d, in, err := c.belowRequirement()
	if err != nil {
		return nil, err
	}
	one := requirementDraft(in, 0).(*biobank.RequirementDraft)
	one.Doc.Lineage = biobank.LineageDerived
	if in.sent("quantity") {
		one.Doc.InitialQty = in.quantity("quantity")
	}
	if err := in.err(); err != nil {
		return nil, err
	}
	d.Nodes = []*biobank.RequirementNode{{Draft: one}}
	return c.make(requirements(), d, in)
}

// copyRequirement serves POST /{id}/copy: another requirement like the first, apart from what is sent, with the open ones
// below it. It goes to the same event, unless eventId names another. Codes are unique in an event: in the same one the copies
// have none but what is sent.
func copyRequirement(c *call) (any, error) {
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	requirementDraft(in, 0)
	if err := in.err(); err != nil {
		return nil, err
	}
	rec, err := c.get(biobank.Requirement)
	if err != nil {
		return nil, err
	}
	doc, err := biobank.Decode[biobank.RequirementDoc](rec)
	if err != nil {
		return nil, err
	}
	shown, err := c.showOne(requirements(), rec)
	if err != nil {
		return nil, err
	}
	if in, err = in.over(shown, "code"); err != nil {
		return nil, err
	}
	node := requirementNode(in)
	d := &biobank.RequirementsDraft{EventID: in.number("eventId"), Nodes: []*biobank.RequirementNode{node}}
	if err := in.err(); err != nil {
		return nil, err
	}
	if same := shown.(requirementView).EventID; d.EventID == same {
		d.ParentID, d.PoolID = doc.ParentID, doc.PoolID
		withoutCodes(node.Children)
		withoutCodes(node.Pool)
	}
	return c.make(requirements(), d, in)
}

func withoutCodes(nodes []*biobank.RequirementNode) {
	for _, n := range nodes {
		n.Draft.Doc.Code = ""
		withoutCodes(n.Children)
		withoutCodes(n.Pool)
	}
}

// belowRequirement reads which requirement others are made from: by the id of the path, or, where that is 0, by
// cpShortTitle, eventLabel and parentSrCode of the body.
func (c *call) belowRequirement() (*biobank.RequirementsDraft, *input, error) {
	id, err := c.pathID("id")
	if err != nil {
		return nil, nil, err
	}
	in, err := c.body()
	if err != nil {
		return nil, nil, err
	}
	d := &biobank.RequirementsDraft{Protocol: in.protocolRef(), EventLabel: in.text("eventLabel"), ParentCode: in.text("parentSrCode")}
	if id != 0 {
		return &biobank.RequirementsDraft{ParentID: id}, in, nil
	}
	if d.ParentCode == "" {
		return nil, nil, fault.New("SR_ID_CODE_REQ", "Give the id of the parent requirement, or its parentSrCode.")
	}
	return d, in, nil
}

// listRequirements serves the requirements of an event, or of all events of a protocol, as trees.
func listRequirements(c *call) (any, error) {
	q := c.query()
	cp, event, label, children := q.number("cpId"), q.number("eventId"), q.text("eventLabel"), q.flag("includeChildReqs", true)
	if q.wrong != nil {
		return nil, q.wrong
	}
	if event != 0 {
		rec, err := c.api.Registry.Get(c.Context(), c.actor, biobank.Event, event)
		if err != nil {
			return nil, err
		}
		cp = rec.Key.Protocol()
	}
	if cp == 0 {
		return nil, invalid("Give the event as eventId, or the collection protocol as cpId.")
	}
	all, err := c.api.Registry.Definitions(c.Context(), c.actor, cp)
	if err != nil {
		return nil, err
	}
	wanted := map[biobank.Key]bool{}
	var roots []*biobank.Record
	for _, rec := range all {
		if rec.Type == biobank.Event {
			doc, err := biobank.Decode[biobank.EventDoc](rec)
			if err != nil {
				return nil, err
			}
			wanted[rec.Key] = (event == 0 || rec.ID == event) && (label == "" || like(doc.Label, label, true))
			continue
		}
		doc, err := biobank.Decode[biobank.RequirementDoc](rec)
		if err != nil {
			return nil, err
		}
		if doc.ParentID == 0 && doc.PoolID == 0 && wanted[rec.Key.Above(1)] {
			roots = append(roots, rec)
		}
	}
	views, err := c.show(requirements(), roots...)
	if err != nil {
		return nil, err
	}
	trees := []requirementView{}
	for _, v := range views {
		tree := v.(requirementView)
		if !children {
			tree.Children = []requirementView{}
		}
		trees = append(trees, tree)
	}
	sortRequirements(trees)
	return trees, nil
}

// countSpecimens serves the number of specimens collected for a requirement.
func countSpecimens(c *call) (any, error) {
	id, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	return c.api.Registry.MadeFrom(c.Context(), c.actor, id)
}

// requirementView leaves its nulls out.
type requirementView struct {
	ID                  int64             `json:"id"`
	UID                 string            `json:"uid"`
	ParentUID           *string           `json:"parentUid,omitempty"`
	Name                *string           `json:"name,omitempty"`
	Code                *string           `json:"code,omitempty"`
	Lineage             string            `json:"lineage"`
	SpecimenClass       string            `json:"specimenClass"`
	Type                string            `json:"type"`
	AnatomicSite        *string           `json:"anatomicSite,omitempty"`
	Laterality          *string           `json:"laterality,omitempty"`
	Pathology           *string           `json:"pathology,omitempty"`
	StorageType         *string           `json:"storageType,omitempty"`
	InitialQty          *biobank.Quantity `json:"initialQty,omitempty"`
	Concentration       *biobank.Quantity `json:"concentration,omitempty"`
	QuantityUnit        *string           `json:"quantityUnit,omitempty"`
	ConcentrationUnit   *string           `json:"concentrationUnit,omitempty"`
	Collector           *userSummary      `json:"collector,omitempty"`
	CollectionProcedure *string           `json:"collectionProcedure,omitempty"`
	CollectionContainer *string           `json:"collectionContainer,omitempty"`
	Receiver            *userSummary      `json:"receiver,omitempty"`
	CPID                int64             `json:"cpId"`
	CPShortTitle        string            `json:"cpShortTitle"`
	EventID             int64             `json:"eventId"`
	EventLabel          string            `json:"eventLabel"`
	ParentSrCode        *string           `json:"parentSrCode,omitempty"`
	LabelFmt            *string           `json:"labelFmt,omitempty"`
	LabelAutoPrintMode  *string           `json:"labelAutoPrintMode,omitempty"`
	LabelPrintCopies    *int64            `json:"labelPrintCopies,omitempty"`
	PreBarcodedTube     bool              `json:"preBarcodedTube"`
	SortOrder           *int64            `json:"sortOrder,omitempty"`
	Defaults            json.RawMessage   `json:"defaultCustomFieldValues,omitempty"`
	Services            json.RawMessage   `json:"services,omitempty"`
	PooledSpecimenID    *int64            `json:"pooledSpecimenId,omitempty"`
	SpecimensPool       []requirementView `json:"specimensPool,omitempty"`
	ActivityStatus      string            `json:"activityStatus"`
	Children            []requirementView `json:"children"`
}

// gatherRequirements reads all requirements of the events: parents and children lie together.
func gatherRequirements(r *related, recs []*biobank.Record) error {
	var keys []biobank.Key
	for _, rec := range recs {
		event := rec.Key.Above(1)
		keys = append(keys, event, setKey(biobank.Protocol, rec.Key.Protocol()))
		if _, known := r.below[event]; known {
			continue
		}
		all, err := r.c.api.Registry.Store.List(r.c.Context(), event.Part, event.Sort+"/", "", 0)
		if err != nil {
			return fmt.Errorf("list the requirements of an event: %w", err)
		}
		r.below[event] = all
		if err := r.fetchRequirementUsers(all); err != nil {
			return err
		}
	}
	return r.fetch(keys...)
}

func (r *related) fetchRequirementUsers(recs []*biobank.Record) error {
	var users []int64
	for _, one := range recs {
		doc, err := biobank.Decode[biobank.RequirementDoc](one)
		if err != nil {
			return err
		}
		users = append(users, doc.CollectorID, doc.ReceiverID)
	}
	return r.fetchUsers(users...)
}

// viewRequirement shows a requirement with the live ones below it.
func viewRequirement(r *related, rec *biobank.Record) (any, error) {
	event := rec.Key.Above(1)
	if r.recs[event] == nil { // left of a copy that was cut short
		return nil, fault.New("SR_NOT_FOUND", "Specimen requirement %d was not found.", rec.ID)
	}
	protocol, err := decodeAt[biobank.ProtocolDoc](r, setKey(biobank.Protocol, rec.Key.Protocol()))
	if err != nil {
		return nil, err
	}
	eventDoc, err := decodeAt[biobank.EventDoc](r, event)
	if err != nil {
		return nil, err
	}
	docs := map[int64]biobank.RequirementDoc{}
	for _, one := range r.below[event] {
		if docs[one.ID], err = biobank.Decode[biobank.RequirementDoc](one); err != nil {
			return nil, err
		}
	}
	var view func(id int64) (requirementView, error)
	view = func(id int64) (requirementView, error) {
		doc := docs[id]
		unit := protocol.UnitsOf(doc.Class, doc.Type)
		v := requirementView{
			QuantityUnit: orNull(unit.Quantity), ConcentrationUnit: orNull(unit.Concentration),
			ID: id, UID: requirementUID(id), Name: orNull(doc.Name), Code: orNull(doc.Code), Lineage: doc.Lineage,
			SpecimenClass: doc.Class, Type: doc.Type, AnatomicSite: orNull(doc.AnatomicSite), Laterality: orNull(doc.Laterality),
			Pathology: orNull(doc.Pathology), StorageType: orNull(doc.StorageType), InitialQty: doc.InitialQty,
			Concentration: doc.Concentration, CollectionProcedure: orNull(doc.CollectionProcedure),
			CollectionContainer: orNull(doc.CollectionContainer), CPID: rec.Key.Protocol(), CPShortTitle: protocol.ShortTitle,
			EventID: r.recs[event].ID, EventLabel: eventDoc.Label, LabelFmt: orNull(doc.LabelFmt), SortOrder: doc.SortOrder,
			LabelAutoPrintMode: orNull(doc.LabelPrintMode), LabelPrintCopies: doc.LabelPrintCopies, PreBarcodedTube: doc.PreBarcoded,
			Defaults: doc.Defaults, Services: doc.Services, PooledSpecimenID: orNull(doc.PoolID),
			ActivityStatus: doc.ActivityStatus, Children: []requirementView{},
		}
		if doc.ParentID != 0 {
			v.ParentUID = orNull(requirementUID(doc.ParentID))
			v.ParentSrCode = orNull(docs[doc.ParentID].Code)
		}
		if v.Collector, err = r.summary(doc.CollectorID); err != nil {
			return v, err
		}
		if v.Receiver, err = r.summary(doc.ReceiverID); err != nil {
			return v, err
		}
		for _, one := range r.below[event] {
			child := docs[one.ID]
			if child.ParentID != id && child.PoolID != id || child.ActivityStatus == biobank.StatusDisabled {
				continue
			}
			below, err := view(one.ID)
			if err != nil {
				return v, err
			}
			if child.PoolID == id {
				v.SpecimensPool = append(v.SpecimensPool, below)
			} else {
				v.Children = append(v.Children, below)
			}
		}
		sortRequirements(v.Children)
		sortRequirements(v.SpecimensPool)
		return v, nil
	}
	return view(rec.ID)
}

func sortRequirements(list []requirementView) {
	slices.SortStableFunc(list, func(a, b requirementView) int {
		return cmp.Or(cmp.Compare(order(a.SortOrder), order(b.SortOrder)), cmp.Compare(a.ID, b.ID))
	})
}

func requirementUID(id int64) string { return fmt.Sprintf("sr_%d", id) }

// order sorts what has no place last.
func order(n *int64) int64 {
	if n == nil {
		return 1 << 62
	}
	return *n
}
