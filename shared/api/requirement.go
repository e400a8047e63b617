package api

import (
	"cmp"
	"fmt"
	"slices"

	"aliquot/shared/biobank"
)

// Specimen requirements (reference openspecimen-rest.md section 11).

func requirementRoutes() []route {
	return []route{
		getRoute("/specimen-requirements", biobank.Requirement, showRequirement),
		createRoute("/specimen-requirements", requirementDraft, showRequirement),
	}
}

func requirementDraft(in *input) biobank.Draft {
	return &biobank.RequirementDraft{
		Protocol: biobank.ProtocolRef{ID: in.number("cpId"), Title: in.text("cpTitle"), ShortTitle: in.text("cpShortTitle")},
		EventID:  in.number("eventId"), EventLabel: in.text("eventLabel"), ParentCode: in.text("parentSrCode"),
		Collector: in.userRef("collector"), Receiver: in.userRef("receiver"),
		Doc: biobank.RequirementDoc{
			Name: in.text("name"), Code: in.text("code"), ParentID: in.number("parentId"),
			// Derivatives and aliquots have endpoints of their own.
			Lineage: biobank.LineageNew, Class: in.text("specimenClass"), Type: in.text("type"),
			AnatomicSite: in.text("anatomicSite"), Laterality: in.text("laterality"), Pathology: in.text("pathology"),
			StorageType: in.text("storageType"), InitialQty: in.quantity("initialQty"), Concentration: in.quantity("concentration"),
			CollectionProcedure: in.text("collectionProcedure"), CollectionContainer: in.text("collectionContainer"),
			LabelFmt: in.text("labelFmt"), SortOrder: in.maybeNumber("sortOrder"), ActivityStatus: in.text("activityStatus"),
		},
	}
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

func showRequirement(c *call, rec *biobank.Record) (any, error) {
	event := rec.Key.Above(1)
	cp := setKey(biobank.Protocol, rec.Key.Protocol())
	r := c.related()
	if err := r.fetch(cp, event); err != nil {
		return nil, err
	}
	protocol, err := decodeAt[biobank.ProtocolDoc](r, cp)
	if err != nil {
		return nil, err
	}
	eventDoc, err := decodeAt[biobank.EventDoc](r, event)
	if err != nil {
		return nil, err
	}
	// All requirements of an event lie together, parents and children alike.
	all, err := c.api.Registry.Store.List(c.Context(), event.Part, event.Sort+"/", "", 0)
	if err != nil {
		return nil, fmt.Errorf("list the requirements of an event: %w", err)
	}
	docs := map[int64]biobank.RequirementDoc{}
	var users []int64
	for _, one := range all {
		doc, err := biobank.Decode[biobank.RequirementDoc](one)
		if err != nil {
			return nil, err
		}
		docs[one.ID] = doc
		users = append(users, doc.CollectorID, doc.ReceiverID)
	}
	if err := r.fetchUsers(users...); err != nil {
		return nil, err
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
		for _, one := range all {
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
		slices.SortStableFunc(v.Children, func(a, b requirementView) int {
			return cmp.Or(cmp.Compare(order(a.SortOrder), order(b.SortOrder)), cmp.Compare(a.ID, b.ID))
		})
		return v, nil
	}
	return view(rec.ID)
}

func requirementUID(id int64) string { return fmt.Sprintf("sr_%d", id) }

// order sorts what has no place last.
func order(n *int64) int64 {
	if n == nil {
		return 1 << 62
	}
	return *n
}
