package biobank

import (
	"context"

	"aliquot/shared/fault"
)

// RequirementDoc is an anticipated specimen of an event (section 11).
type RequirementDoc struct {
	Name                string    `json:"name,omitempty"`
	Code                string    `json:"code,omitempty"`
	ParentID            int64     `json:"parentId,omitempty"`
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
	SortOrder           *int64    `json:"sortOrder,omitempty"`
	ActivityStatus      string    `json:"activityStatus"`
}

func (d *RequirementDraft) want(_ context.Context, b *Batch, _ *Change) error {
	if d.EventID != 0 {
		b.wantMark(IDMark(Event, d.EventID))
	}
	return nil
}

func (d *RequirementDraft) read(context.Context, *Batch, *Change) error { return nil }

// plan checks and writes a requirement below its event.
func (d *RequirementDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	if c.Op != Create {
		return fault.New("COMMON_INVALID_INPUT", "Specimen requirements can be created only.")
	}
	cp, event, err := d.event(ctx, b)
	if err != nil {
		return err
	}
	if !b.can(ResProtocol, OpUpdate, cp) {
		return denied("change the requirements of collection protocol " + cp.doc.ShortTitle)
	}
	is := d.Doc
	var l fault.List
	if event.doc.ActivityStatus == StatusClosed {
		l.Add("CPE_CLOSED", "Event %q is closed.", event.doc.Label)
	}
	d.check(&l, &is)
	if is.Code != "" && cp.requirement(event.id, 0, is.Code) != nil {
		l.Add("SR_DUP_CODE", "Event %q has a requirement with the code %q already.", event.doc.Label, is.Code)
	}
	if d.ParentCode != "" {
		parent := cp.requirement(event.id, 0, d.ParentCode)
		if parent == nil {
			l.Add("SR_PARENT_NOT_FOUND", "Requirement %q was not found.", d.ParentCode)
		} else {
			is.ParentID = parent.id
		}
	}
	if is.Lineage != LineageNew && is.ParentID == 0 && d.ParentCode == "" {
		l.Add("SR_PARENT_REQ_REQUIRED", "Give the parent of a derived or aliquot requirement.")
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
		*u.into = id
	}
	if len(l) > 0 {
		return l
	}
	id, err := b.number(ctx, c, string(Requirement))
	if err != nil {
		return err
	}
	delete(b.protocols, cp.id)
	return b.insert(c, Requirement, RequirementKey(cp.id, event.id, id), id, &is, o)
}

// event finds the event that the requirement belongs to.
func (d *RequirementDraft) event(ctx context.Context, b *Batch) (*protocolInfo, *eventInfo, error) {
	if d.EventID != 0 {
		m, err := b.mark(ctx, IDMark(Event, d.EventID))
		if err != nil {
			return nil, nil, err
		}
		if m.IsZero() {
			return nil, nil, missing(Event, d.EventID)
		}
		cp, err := b.protocolAt(ctx, m.To)
		if err != nil {
			return nil, nil, err
		}
		if e := cp.event(d.EventID); e != nil {
			return cp, e, nil
		}
		return nil, nil, missing(Event, d.EventID)
	}
	if d.EventLabel == "" || !d.Protocol.Sent() {
		return nil, nil, fault.New("SR_CPE_REQUIRED", "Give the event of the requirement.")
	}
	cp, err := b.protocol(ctx, d.Protocol)
	if err != nil {
		return nil, nil, err
	}
	if e := cp.eventByLabel(d.EventLabel); e != nil {
		return cp, e, nil
	}
	return nil, nil, fault.New("CPE_NOT_FOUND", "Event %q was not found in collection protocol %q.", d.EventLabel, cp.doc.ShortTitle)
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
