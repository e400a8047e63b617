package biobank

import (
	"context"
	"encoding/json"
	"slices"

	"aliquot/shared/fault"
)

// RequirementDoc is an anticipated specimen of an event (section 11).
type RequirementDoc struct {
	Name                string    `json:"name,omitempty"`
	Code                string    `json:"code,omitempty"`
	ParentID            int64     `json:"parentId,omitempty"`
	PoolID              int64     `json:"poolId,omitempty"` // the pool that it is a part of
	Lineage             string    `json:"lineage"`
	Class               string    `json:"specimenClass"`
	Type                string    `json:"type"`
	AnatomicSite        string    `json:"anatomicSite"`
	Laterality          string    `json:"laterality"`
	Pathology           string    `json:"pathology"`
	StorageType         string    `json:"storageType"`
	InitialQty          *Quantity `json:"initialQty,omitempty"`
	Concentration       *Quantity `json:"concentration,omitempty"`
	CollectionProcedure string    `json:"collectionProcedure,omitempty"`
	CollectionContainer string    `json:"collectionContainer,omitempty"`
	CollectorID         int64     `json:"collectorId,omitempty"`
	ReceiverID          int64     `json:"receiverId,omitempty"`
	LabelFmt            string    `json:"labelFmt,omitempty"`
	LabelPrintMode      string    `json:"labelAutoPrintMode,omitempty"`
	LabelPrintCopies    *int64    `json:"labelPrintCopies,omitempty"`
	PreBarcoded         bool      `json:"preBarcodedTube,omitempty"`
	SortOrder           *int64    `json:"sortOrder,omitempty"`
	// Defaults and Services are kept as they were sent.
	Defaults       json.RawMessage `json:"defaultCustomFieldValues,omitempty"`
	Services       json.RawMessage `json:"services,omitempty"`
	ActivityStatus string          `json:"activityStatus"`
}

func (d *RequirementDraft) want(_ context.Context, b *Batch, c *Change) error {
	if c.Op != Create {
		b.wantMark(IDMark(Requirement, d.ID))
	}
	if d.EventID != 0 {
		b.wantMark(IDMark(Event, d.EventID))
	}
	return nil
}

func (d *RequirementDraft) read(context.Context, *Batch, *Change) error { return nil }

// plan checks and writes a requirement below its event.
func (d *RequirementDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	if c.Op != Create {
		id, done, err := d.stored(ctx, b, c, o)
		if done || err != nil {
			return err
		}
		if id != 0 || c.Op == Update {
			found := *d
			found.ID = id
			return found.update(ctx, b, c, o)
		}
	}
	up := d.Doc.ParentID
	if d.ParentUID != "" {
		var err error
		if up, err = d.tied(ctx, b, c); err != nil {
			return err
		}
	}
	all := &RequirementsDraft{
		EventID: d.EventID, Protocol: d.Protocol, EventLabel: d.EventLabel, ParentID: up, ParentCode: d.ParentCode,
		PoolID: d.Doc.PoolID, Nodes: []*RequirementNode{{Draft: d}},
	}
	return all.plan(ctx, b, c, o)
}

// Tie tells which row of its file a requirement is made from: the draft of the row that the file calls ParentUID, nil for
// none, and the id of what that row makes where it finds nothing. It counts only where the requirement itself is new: what is
// stored keeps its parent.
func (d *RequirementDraft) Tie(row *RequirementDraft, made int64) { d.parent, d.parentMade = row, made }

// tied is the id of what the row of the draft's parent has found or made.
func (d *RequirementDraft) tied(ctx context.Context, b *Batch, c *Change) (int64, error) {
	if d.parent == nil {
		return 0, fault.New("SR_PARENT_NOT_FOUND", "The file has no row with the Unique ID %q that the requirement could be made from.", d.ParentUID)
	}
	if c.Op == Create {
		return d.parentMade, nil
	}
	protocol, label := d.parent.Protocol, d.parent.EventLabel
	if !protocol.Sent() { // found by its identifier alone
		protocol, label = d.Protocol, d.EventLabel
	}
	cp, err := b.protocol(ctx, protocol)
	if err != nil {
		return 0, err
	}
	if event := cp.eventByLabel(label); event != nil {
		if q := d.parent.among(cp, event); q != nil {
			return q.id, nil
		}
	}
	return d.parentMade, nil
}

// among finds the requirement of an event that a row of a file means: by its identifier, else by its code.
func (d *RequirementDraft) among(cp *protocolInfo, event *eventInfo) *requirementInfo {
	if d.ID != 0 {
		if q := cp.requirement(event.id, d.ID, ""); q != nil {
			return q
		}
	}
	return cp.requirement(event.id, 0, d.Doc.Code)
}

// stored is the id of the requirement that the draft means, 0 for none of an upsert. It is done where an earlier try of the
// row has made the change.
func (d *RequirementDraft) stored(ctx context.Context, b *Batch, c *Change, o *Outcome) (id int64, before bool, err error) {
	if d.ID != 0 && (!b.bulk || !d.Protocol.Sent()) {
		return d.ID, false, nil
	}
	if !d.Protocol.Sent() || d.EventLabel == "" {
		return 0, false, fault.New("SR_CPE_REQUIRED", "Give the event of the requirement.")
	}
	cp, err := b.protocol(ctx, d.Protocol)
	if err != nil {
		return 0, false, err
	}
	for _, e := range cp.events {
		for _, q := range e.reqs {
			if before, err := b.changedBy(ctx, q.rec, c); before || err != nil {
				return 0, before, done(o, q.rec, err)
			}
		}
	}
	if err := b.mayRequire(cp); err != nil {
		return 0, false, err
	}
	event := cp.eventByLabel(d.EventLabel)
	if event == nil {
		return 0, false, fault.New("CPE_NOT_FOUND", "Event %q was not found in collection protocol %s.", d.EventLabel, b.actor.calls(cp))
	}
	if q := d.among(cp, event); q != nil {
		return q.id, false, nil
	}
	if c.Op == Update {
		return 0, false, fault.New("SR_NOT_FOUND", "Requirement %q was not found in event %q.", d.Doc.Code, event.doc.Label)
	}
	return 0, false, nil
}

// mayRequire is nil where the batch's actor may change the requirements of a protocol. It is asked before anything is looked
// up in the protocol by its name: that it is there, or is not, is not for everybody.
func (b *Batch) mayRequire(cp *protocolInfo) error {
	if !b.can(ResProtocol, OpUpdate, cp) {
		return denied("change the requirements of collection protocol " + b.actor.calls(cp))
	}
	return nil
}

// update changes a stored requirement. Its event, parent and lineage stay as they are.
func (d *RequirementDraft) update(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	m, err := b.mark(ctx, IDMark(Requirement, d.ID))
	if err != nil {
		return err
	}
	if m.IsZero() {
		return missing(Requirement, d.ID)
	}
	cp, err := b.protocolAt(ctx, m.To)
	if err != nil {
		return err
	}
	req := cp.requirement(0, d.ID, "")
	if req == nil {
		return missing(Requirement, d.ID)
	}
	event := cp.eventOf(req)
	if err := b.mayRequire(cp); err != nil {
		return err
	}
	is, err := merged(req.rec, &d.Doc, d.Merge)
	if err != nil {
		return err
	}
	was := req.doc
	is.Lineage, is.ParentID, is.PoolID = was.Lineage, was.ParentID, was.PoolID
	up := cp.requirement(event.id, is.ParentID, "")
	if is.Lineage == LineageAliquot && up != nil {
		is.like(&up.doc)
	}
	delete(b.protocols, cp.id) // read anew by whoever needs it next
	if gone(is.ActivityStatus) {
		return d.remove(ctx, b, c, o, event, req)
	}
	var l fault.List
	if d.EventID != 0 && d.EventID != event.id || d.EventID == 0 && d.EventLabel != "" && Fold(d.EventLabel) != Fold(event.doc.Label) {
		l.Add("COMMON_INVALID_INPUT", "The requirement belongs to event %q; it cannot be moved.", event.doc.Label)
	}
	if err := d.rules(ctx, b, &l, cp, event, is, req.id); err != nil {
		return err
	}
	if was.ActivityStatus == StatusClosed && is.ActivityStatus == StatusClosed {
		l.Add("SR_CLOSED", "The requirement is closed. Reopen it with the change.")
	}
	if event.doc.ActivityStatus == StatusClosed && is.ActivityStatus != StatusClosed {
		l.Add("CPE_CLOSED", "Event %q is closed.", event.doc.Label)
	}
	if len(l) > 0 {
		return l
	}
	if was.Class != is.Class || was.Type != is.Type {
		made := tally{}
		if err := (&Registry{Store: b.store}).madeFrom(ctx, req.rec, "", nil, made); err != nil {
			return err
		}
		if len(made) > 0 {
			return fault.New("SR_CANNOT_CHANGE_CLASS_OR_TYPE", "There are specimens of the requirement, or of one made from it; its class and type cannot be changed any more.")
		}
	}
	if err := b.carryRequirement(c, event, req.id, is); err != nil {
		return err
	}
	if err := b.reclaim(ctx, c, uniqueRequirementCode, was.Code, is.Code, event.codeMark, req.rec); err != nil {
		return err
	}
	if up != nil && is.takes() > was.takes() {
		b.draw(c, up.rec)
	}
	return b.change(c, req.rec, is, o)
}

// takes is what a requirement takes of its parent's quantity, which only aliquots do.
func (is *RequirementDoc) takes() Quantity {
	if is.Lineage != LineageAliquot || is.InitialQty == nil {
		return 0
	}
	return *is.InitialQty
}

var uniqueRequirementCode = &unique{"SR_DUP_CODE", "The event has a requirement with the code %q already.", func(r *Record, v string) (bool, error) {
	d, err := Decode[RequirementDoc](r)
	return Fold(d.Code) == Fold(v) && d.ActivityStatus != StatusDisabled, err
}}

// codeMark decides between two requirements of an event that get one code at the same time.
func (e *eventInfo) codeMark(code string) string { return "sr.code#" + PadID(e.id) + "#" + Fold(code) }

// carryRequirement gives the aliquots of a requirement, and theirs, what has become of its kind.
func (b *Batch) carryRequirement(c *Change, event *eventInfo, id int64, is *RequirementDoc) error {
	for _, q := range event.reqs {
		if q.doc.ParentID != id || q.doc.Lineage != LineageAliquot || q.doc.ActivityStatus == StatusDisabled {
			continue
		}
		doc := q.doc
		doc.like(is)
		if err := b.changeBelow(c, q.rec, &doc); err != nil {
			return err
		}
		if err := b.carryRequirement(c, event, q.id, &doc); err != nil {
			return err
		}
	}
	return nil
}

// remove plans the deletion of a requirement and those below it, of which no specimen was collected.
func (d *RequirementDraft) remove(ctx context.Context, b *Batch, c *Change, o *Outcome, event *eventInfo, req *requirementInfo) error {
	if err := b.unreferenced(ctx, c, req.rec, "SR_HAS_SPECIMENS", event.rec); err != nil {
		return err
	}
	b.stillSealed(event.rec)
	family, err := (&Registry{Store: b.store}).requirementFamily(ctx, req.rec) // to which nothing is added any more
	if err != nil {
		return err
	}
	for _, rec := range family[1:] {
		doc, err := Decode[RequirementDoc](rec)
		if err != nil {
			return err
		}
		doc.ActivityStatus = StatusDisabled
		if err := b.changeBelow(c, rec, &doc); err != nil {
			return err
		}
	}
	is := req.doc
	return b.retire(ctx, c, o, req.rec, &is, &is.ActivityStatus, freed{&is.Code, 32, event.codeMark})
}

func (p *protocolInfo) eventOf(req *requirementInfo) *eventInfo {
	for _, e := range p.events {
		if slices.Contains(e.reqs, req) {
			return e
		}
	}
	return nil
}

// rules checks a requirement against its event and resolves its people; self is its id, 0 for a new one.
func (d *RequirementDraft) rules(ctx context.Context, b *Batch, l *fault.List, cp *protocolInfo, event *eventInfo, is *RequirementDoc, self int64) error {
	d.check(l, is)
	d.Unit.among(l, cp.doc.UnitsOf(is.Class, is.Type))
	if f, err := ParseFormat(labelKind(is.Lineage), is.LabelFmt); err == nil && cp.doc.SpecimenCentric && slices.Contains(f.Counters(), PerVisit) {
		l.Add("SR_INVALID_LABEL_FMT", "The label format counts the specimens of a visit, and a specimen-centric protocol has no visits.")
	}
	if is.Code != "" {
		if other := cp.requirement(event.id, 0, is.Code); other != nil && other.id != self {
			l.Add("SR_DUP_CODE", "Event %q has a requirement with the code %q already.", event.doc.Label, is.Code)
		}
	}
	if self != 0 && is.InitialQty != nil {
		left := *is.InitialQty
		for _, q := range event.reqs {
			if q.doc.ParentID == self && q.doc.Lineage == LineageAliquot && q.doc.ActivityStatus != StatusDisabled && q.doc.InitialQty != nil {
				left -= *q.doc.InitialQty
			}
		}
		if left < 0 {
			l.Add("SR_INSUFFICIENT_QTY", "The aliquots of the requirement take more than %s.", is.InitialQty)
		}
	}
	if is.Lineage == LineageAliquot && is.InitialQty != nil {
		if parent := cp.requirement(event.id, is.ParentID, ""); parent != nil && parent.doc.InitialQty != nil {
			left := *parent.doc.InitialQty - *is.InitialQty
			for _, q := range event.reqs {
				if q.doc.ParentID == parent.id && q.id != self && q.doc.Lineage == LineageAliquot &&
					q.doc.ActivityStatus != StatusDisabled && q.doc.InitialQty != nil {
					left -= *q.doc.InitialQty
				}
			}
			if left < 0 {
				l.Add("SR_INSUFFICIENT_QTY", "The aliquots take more than the %s of their parent.", parent.doc.InitialQty)
			}
		}
	}
	for _, u := range []struct {
		ref  UserRef
		into *int64
		code string
	}{{d.Collector, &is.CollectorID, "SR_COLLECTOR_NOT_FOUND"}, {d.Receiver, &is.ReceiverID, "SR_RECEIVER_NOT_FOUND"}} {
		id, err := b.userID(ctx, u.ref, u.code)
		if fault.All(err) != nil {
			l.Append(err)
		} else if err != nil {
			return err
		}
		if u.ref.Sent() || d.Merge == nil {
			*u.into = id
		}
	}
	return nil
}

// check holds the rules of a requirement's own values (section 11).
func (d *RequirementDraft) check(l *fault.List, is *RequirementDoc) {
	if is.Lineage == "" {
		is.Lineage = LineageNew
	}
	if is.Lineage != LineageNew && is.Lineage != LineageDerived && is.Lineage != LineageAliquot {
		l.Add("SPECIMEN_INVALID_LINEAGE", "Lineage %q is not valid. It is New, Derived or Aliquot.", is.Lineage)
	}
	need := func(v, code, noun string) {
		if v == "" {
			l.Add(code, "Give the %s of the requirement.", noun)
		}
	}
	need(is.Class, "SR_SPECIMEN_CLASS_REQUIRED", "specimen class")
	need(is.Type, "SR_SPECIMEN_TYPE_REQUIRED", "specimen type")
	need(is.AnatomicSite, "SR_ANATOMIC_SITE_REQUIRED", "anatomic site")
	need(is.Laterality, "SR_LATERALITY_REQUIRED", "laterality")
	need(is.Pathology, "SR_PATHOLOGY_REQUIRED", "pathology status")
	need(is.StorageType, "SR_STORAGE_TYPE_REQUIRED", "storage type")
	if is.Lineage == LineageNew {
		need(is.CollectionProcedure, "SR_COLL_PROC_REQUIRED", "collection procedure")
		need(is.CollectionContainer, "SR_COLL_CONT_REQUIRED", "collection container")
	}
	if is.Class != "" && is.Type != "" {
		if class, typ, ok := TypeIn(is.Class, is.Type); ok {
			is.Class, is.Type = class, typ
		} else if _, ok := Canonical(SpecimenClasses, is.Class); !ok {
			l.Add("SR_INVALID_SPECIMEN_CLASS", "Class %q is not in the list of permissible values.", is.Class)
		} else {
			l.Add("SR_INVALID_SPECIMEN_TYPE", "Type %q is not a permissible value of class %q.", is.Type, is.Class)
		}
	}
	value(l, "anatomic_site", "SR_INVALID_ANATOMIC_SITE", "Anatomic site", &is.AnatomicSite)
	value(l, "laterality", "SR_INVALID_LATERALITY", "Laterality", &is.Laterality)
	value(l, "pathology_status", "SR_INVALID_PATHOLOGY", "Pathology status", &is.Pathology)
	value(l, "collection_procedure", "SR_INVALID_COLL_PROC", "Collection procedure", &is.CollectionProcedure)
	value(l, "collection_container", "SR_INVALID_COLL_CONT", "Collection container", &is.CollectionContainer)
	if is.InitialQty != nil && *is.InitialQty < 0 {
		l.Add("SR_INVALID_QTY", "The initial quantity cannot be negative.")
	}
	if is.Concentration != nil && *is.Concentration <= 0 {
		l.Add("SR_CONCENTRATION_MUST_BE_POSITIVE", "The concentration must be above zero.")
	}
	oneOf(l, &is.LabelPrintMode, "", "CP_INVALID_SPMN_LABEL_PRINT_MODE", "Label print mode", labelPrintModes...)
	if is.LabelPrintCopies != nil && *is.LabelPrintCopies < 0 {
		l.Add("COMMON_INVALID_INPUT", "The number of label copies cannot be negative.")
	}
	tooLong(l, "The name of the requirement", is.Name, 255)
	tooLong(l, "The code of the requirement", is.Code, 32)
	if is.LabelFmt != "" {
		f, err := ParseFormat(labelKind(is.Lineage), is.LabelFmt)
		if err != nil {
			l.Add("SR_INVALID_LABEL_FMT", "The label format %s.", err)
		} else {
			for _, scope := range f.Counters() {
				if scope == PerParticipant || scope == PerVisit && is.Lineage != LineageNew {
					l.Add("SR_INVALID_LABEL_FMT", "The label format counts under something other than the specimen's parent.")
				}
			}
		}
	}
	status(l, &is.ActivityStatus)
}
