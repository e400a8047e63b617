package api

import (
	"cmp"
	"fmt"
	"slices"

	"aliquot/shared/biobank"
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
		createRoute(n, func(in *input) biobank.Draft { return requirementDraft(in, 0) }),
		changeRoute("PUT", n, requirementDraft),
		deleteRoute(removal{noun: n}),
		dependentsRoute(n),
		{pattern: "GET " + n.path + "/{id}/specimens-count", summary: "Count the specimens of a requirement", answers: 0, serve: countSpecimens},
		auditRoute(n),
	}
}

func requirementDraft(in *input, id int64) biobank.Draft {
	return &biobank.RequirementDraft{
		ID: id, Protocol: in.protocolRef(),
		EventID: in.number("eventId"), EventLabel: in.text("eventLabel"), ParentCode: in.text("parentSrCode"),
		Collector: in.userRef("collector"), Receiver: in.userRef("receiver"),
		Doc: biobank.RequirementDoc{
			Name: in.text("name"), Code: in.text("code"),
			// Derivatives and aliquots have endpoints of their own.
			Lineage: biobank.LineageNew, Class: in.text("specimenClass"), Type: in.text("type"),
			AnatomicSite: in.text("anatomicSite"), Laterality: in.text("laterality"), Pathology: in.text("pathology"),
			StorageType: in.text("storageType"), InitialQty: in.quantity("initialQty"), Concentration: in.quantity("concentration"),
			CollectionProcedure: in.text("collectionProcedure"), CollectionContainer: in.text("collectionContainer"),
			LabelFmt: in.text("labelFmt"), SortOrder: in.maybeNumber("sortOrder"), ActivityStatus: in.text("activityStatus"),
		},
	}
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
		if doc.ParentID == 0 && wanted[rec.Key.Above(1)] {
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
	list, err := c.api.Registry.Dependents(c.Context(), c.actor, biobank.Requirement, id)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	return list[0].Count, nil
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
	SortOrder           *int64            `json:"sortOrder,omitempty"`
	ActivityStatus      string            `json:"activityStatus"`
	Children            []requirementView `json:"children"`
}

// gatherRequirements reads all requirements of the events: parents and children lie together.
func gatherRequirements(r *related, recs []*biobank.Record) error {
	var users []int64
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
		for _, one := range all {
			doc, err := biobank.Decode[biobank.RequirementDoc](one)
			if err != nil {
				return err
			}
			users = append(users, doc.CollectorID, doc.ReceiverID)
		}
	}
	if err := r.fetch(keys...); err != nil {
		return err
	}
	return r.fetchUsers(users...)
}

// viewRequirement shows a requirement with the live ones below it.
func viewRequirement(r *related, rec *biobank.Record) (any, error) {
	event := rec.Key.Above(1)
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
		v := requirementView{
			ID: id, UID: requirementUID(id), Name: orNull(doc.Name), Code: orNull(doc.Code), Lineage: doc.Lineage,
			SpecimenClass: doc.Class, Type: doc.Type, AnatomicSite: orNull(doc.AnatomicSite), Laterality: orNull(doc.Laterality),
			Pathology: orNull(doc.Pathology), StorageType: orNull(doc.StorageType), InitialQty: doc.InitialQty,
			Concentration: doc.Concentration, CollectionProcedure: orNull(doc.CollectionProcedure),
			CollectionContainer: orNull(doc.CollectionContainer), CPID: rec.Key.Protocol(), CPShortTitle: protocol.ShortTitle,
			EventID: r.recs[event].ID, EventLabel: eventDoc.Label, LabelFmt: orNull(doc.LabelFmt), SortOrder: doc.SortOrder,
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
			if child.ParentID != id || one.ID == id || child.ActivityStatus == biobank.StatusDisabled {
				continue
			}
			below, err := view(one.ID)
			if err != nil {
				return v, err
			}
			v.Children = append(v.Children, below)
		}
		sortRequirements(v.Children)
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
