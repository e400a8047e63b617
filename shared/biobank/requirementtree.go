package biobank

import (
	"context"

	"aliquot/shared/fault"
)

// RequirementsDraft makes requirements, all or none: at the top of an event (EventID, or Protocol and EventLabel), below
// another requirement (ParentID, or ParentCode in that event), or as parts of a pool (PoolID).
type RequirementsDraft struct {
	EventID    int64
	Protocol   ProtocolRef
	EventLabel string
	ParentID   int64
	ParentCode string
	PoolID     int64
	Nodes      []*RequirementNode
}

// RequirementNode is a new requirement with those made from it, and the parts of which it is pooled.
type RequirementNode struct {
	Draft    *RequirementDraft
	Children []*RequirementNode
	Pool     []*RequirementNode
	// Record is what became of it.
	Record *Record
}

func countNodes(nodes []*RequirementNode) int64 {
	n := int64(len(nodes))
	for _, one := range nodes {
		n += countNodes(one.Children) + countNodes(one.Pool)
	}
	return n
}

func (*RequirementsDraft) recordType() Type { return Requirement }

func (d *RequirementsDraft) want(_ context.Context, b *Batch, _ *Change) error {
	for t, id := range map[Type]int64{Event: d.EventID, Requirement: max(d.ParentID, d.PoolID)} {
		if id != 0 {
			b.wantMark(IDMark(t, id))
		}
	}
	return nil
}

func (d *RequirementsDraft) read(context.Context, *Batch, *Change) error { return nil }

func (d *RequirementsDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	cp, event, err := d.event(ctx, b)
	if err != nil {
		return err
	}
	if err := b.mayRequire(cp); err != nil {
		return err
	}
	delete(b.protocols, cp.id) // read anew by whoever needs it next
	var l fault.List
	if event.doc.ActivityStatus == StatusClosed {
		l.Add("CPE_CLOSED", "Event %q is closed.", event.doc.Label)
	}
	up, pool := d.above(&l, cp, event)
	if len(l) > 0 {
		return l
	}
	ids, err := b.idBlock(ctx, c, map[Type]int64{Requirement: countNodes(d.Nodes)})
	if err != nil {
		return err
	}
	if err := b.layAll(ctx, c, &l, cp, event, up, pool, d.Nodes, ids); err != nil {
		return err
	}
	if len(l) > 0 {
		return l
	}
	if len(d.Nodes) > 0 {
		o.Record, o.Changed = d.Nodes[0].Record, true
	}
	return nil
}

// above finds what the new requirements hang on, nil for the event itself, and whether they are the parts of a pool.
func (d *RequirementsDraft) above(l *fault.List, cp *protocolInfo, event *eventInfo) (up *requirementInfo, pool bool) {
	switch {
	case d.PoolID != 0:
		up = cp.requirement(event.id, d.PoolID, "")
		if up == nil || up.doc.Lineage != LineageNew || up.doc.PoolID != 0 {
			l.Add("SR_INVALID_POOLED_SPMN", "Requirement %d is no pool: it must be a primary one of event %q and no part of a pool.", d.PoolID, event.doc.Label)
		}
	case d.ParentID != 0:
		if up = cp.requirement(event.id, d.ParentID, ""); up == nil {
			l.Add("SR_PARENT_NOT_FOUND", "Requirement %d was not found in event %q.", d.ParentID, event.doc.Label)
		}
	case d.ParentCode != "":
		if up = cp.requirement(event.id, 0, d.ParentCode); up == nil {
			l.Add("SR_PARENT_NOT_FOUND", "Requirement %q was not found in event %q.", d.ParentCode, event.doc.Label)
		}
	}
	if up != nil && up.doc.ActivityStatus == StatusClosed {
		l.Add("SR_CLOSED", "The requirement is closed; nothing can be added to it.")
	}
	return up, d.PoolID != 0
}

// event finds the event that the requirements belong to: that of the parent or pool, where these are named by their id.
func (d *RequirementsDraft) event(ctx context.Context, b *Batch) (*protocolInfo, *eventInfo, error) {
	if id := max(d.ParentID, d.PoolID); id != 0 && d.EventID == 0 && d.EventLabel == "" {
		m, err := b.mark(ctx, IDMark(Requirement, id))
		if err != nil {
			return nil, nil, err
		}
		if m.IsZero() {
			return nil, nil, missing(Requirement, id)
		}
		cp, err := b.protocolAt(ctx, m.To)
		if err != nil {
			return nil, nil, err
		}
		if req := cp.requirement(0, id, ""); req != nil {
			return cp, cp.eventOf(req), nil
		}
		return nil, nil, missing(Requirement, id)
	}
	if d.EventID != 0 {
		return b.event(ctx, d.EventID)
	}
	if !d.Protocol.Sent() {
		return nil, nil, needsEvent()
	}
	cp, err := b.protocol(ctx, d.Protocol)
	if err != nil {
		return nil, nil, err
	}
	if err := b.mayRequire(cp); err != nil {
		return nil, nil, err
	}
	if d.EventLabel == "" {
		if e := cp.hiddenEvent(); e != nil {
			return cp, e, nil
		}
		return nil, nil, needsEvent()
	}
	if e := cp.eventByLabel(d.EventLabel); e != nil {
		return cp, e, nil
	}
	return nil, nil, fault.New("CPE_NOT_FOUND", "Event %q was not found in collection protocol %s.", d.EventLabel, b.actor.calls(cp))
}

func needsEvent() error { return fault.New("SR_CPE_REQUIRED", "Give the event of the requirement.") }

// layAll plans requirements below an event or another requirement, and adds them to the event's, by which later ones are
// checked. What is wrong with any of them is noted in l.
func (b *Batch) layAll(ctx context.Context, c *Change, l *fault.List, cp *protocolInfo, event *eventInfo, up *requirementInfo, pool bool, nodes []*RequirementNode, ids *idBlock) error {
	for _, n := range nodes {
		is := n.Draft.Doc
		is.ParentID, is.PoolID = 0, 0
		switch {
		case pool:
			is.PoolID, is.Lineage = up.id, LineageNew
		case up != nil:
			is.ParentID = up.id
			is.like(&up.doc)
		case is.Lineage == LineageDerived || is.Lineage == LineageAliquot:
			l.Add("SR_PARENT_REQ_REQUIRED", "Give the parent of a derived or aliquot requirement.")
		}
		if len(n.Pool) > 0 && (pool || up != nil) {
			l.Add("SR_POOLED_SPMN_REQ", "Only a primary requirement can be a pool.")
		}
		cannotBegin(l, is.ActivityStatus)
		if err := n.Draft.rules(ctx, b, l, cp, event, &is, 0); err != nil {
			return err
		}
		req := &requirementInfo{id: ids.next(Requirement), doc: is}
		event.reqs = append(event.reqs, req)
		o, key := &Outcome{}, RequirementKey(cp.id, event.id, req.id)
		if is.Code != "" {
			b.claim(c, uniqueRequirementCode, is.Code, event.codeMark(is.Code), key, req.id, "")
		}
		if err := b.standOn(ctx, EventKey(cp.id, event.id)); err != nil {
			return err
		}
		if up != nil {
			if err := b.standOn(ctx, RequirementKey(cp.id, event.id, up.id)); err != nil {
				return err
			}
			if is.takes() > 0 {
				b.draw(c, up.rec)
			}
		}
		if err := b.insert(c, Requirement, key, req.id, &is, o); err != nil {
			return err
		}
		req.rec, n.Record = o.Record, o.Record
		if err := b.layAll(ctx, c, l, cp, event, req, false, n.Children, ids); err != nil {
			return err
		}
		if err := b.layAll(ctx, c, l, cp, event, req, true, n.Pool, ids); err != nil {
			return err
		}
	}
	return nil
}

// like gives a requirement what it has in common with the one that it is made from: an aliquot is of the same kind, and
// neither comes from another place unless that is said.
func (is *RequirementDoc) like(up *RequirementDoc) {
	fill := func(v *string, from string) {
		if *v == "" {
			*v = from
		}
	}
	if is.Lineage != LineageDerived && is.Lineage != LineageAliquot {
		is.Lineage = LineageDerived
		if is.Type == "" || Fold(is.Type) == Fold(up.Type) {
			is.Lineage = LineageAliquot
		}
	}
	if is.Lineage == LineageAliquot {
		is.Class, is.Type, is.Pathology = up.Class, up.Type, up.Pathology
		is.AnatomicSite, is.Laterality = up.AnatomicSite, up.Laterality
		if is.Concentration == nil {
			is.Concentration = up.Concentration
		}
	}
	fill(&is.AnatomicSite, up.AnatomicSite)
	fill(&is.Laterality, up.Laterality)
	fill(&is.Pathology, up.Pathology)
	fill(&is.StorageType, up.StorageType)
}
