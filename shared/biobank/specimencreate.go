package biobank

import (
	"context"
	"strconv"

	"aliquot/shared/fault"
)

// below is what a new specimen hangs on.
type below struct {
	key         Key // the visit's, or the parent specimen's
	visitStatus string
	visitName   string // "" when it was not read
	ppid        string // likewise
	eventID     int64
	eventKnown  bool
	parent      *Record
	parentDoc   SpecimenDoc
}

// place finds the visit or parent that a new specimen belongs to.
func (d *SpecimenDraft) place(ctx context.Context, b *Batch, lineage string) (at below, err error) {
	if lineage != LineageNew {
		return d.placeBelowParent(ctx, b)
	}
	switch {
	case d.VisitID != 0:
		rec, err := b.led(ctx, IDMark(Visit, d.VisitID))
		if err != nil {
			return at, err
		}
		doc, err := Decode[VisitDoc](rec)
		if err != nil {
			return at, err
		}
		if rec == nil || doc.ActivityStatus == StatusDisabled {
			return at, missing(Visit, d.VisitID)
		}
		return below{key: rec.Key, visitStatus: doc.Status, visitName: doc.Name, eventID: doc.EventID, eventKnown: true}, nil
	case d.VisitName != "":
		key, status, err := b.visit(ctx, d.VisitName)
		if err != nil {
			return at, err
		}
		if known, err := b.worksAt(ctx, key); err != nil {
			return at, err
		} else if !known {
			return at, missing(Visit, strconv.Quote(d.VisitName))
		}
		return below{key: key, visitStatus: status, visitName: d.VisitName}, nil
	case d.Protocol.Sent():
		cp, err := b.protocol(ctx, d.Protocol)
		if err != nil {
			return at, err
		}
		if place := cp.hiddenPlace(); place != nil {
			return *place, nil
		}
	}
	return at, fault.New("SPECIMEN_VISIT_REQUIRED", "Give the Visit Name of a primary specimen.")
}

func (d *SpecimenDraft) placeBelowParent(ctx context.Context, b *Batch) (at below, err error) {
	name, told := "", ""
	switch {
	case d.ParentID != 0:
		name, told = IDMark(Specimen, d.ParentID), strconv.FormatInt(d.ParentID, 10)
	case d.ParentLabel != "":
		name, told = labelMark(d.ParentLabel), strconv.Quote(d.ParentLabel)
	default:
		return at, parentRequired()
	}
	rec, err := b.led(ctx, name)
	if err != nil {
		return at, err
	}
	doc, err := Decode[SpecimenDoc](rec)
	if err != nil {
		return at, err
	}
	known := rec != nil && doc.ActivityStatus != StatusDisabled
	if known && d.ParentID == 0 {
		if known, err = b.worksAt(ctx, rec.Key); err != nil {
			return at, err
		}
		known = known && doc.Label == d.ParentLabel
	}
	if !known {
		return at, fault.New("SPECIMEN_NOT_FOUND", "Parent specimen %s was not found. It must be saved before its children.", told)
	}
	return below{key: rec.Key, parent: rec, parentDoc: doc}, d.inVisitOf(ctx, b, rec.Key)
}

func parentRequired() error {
	return fault.New("SPECIMEN_PARENT_REQUIRED", "Give the Parent Specimen Label of a derived specimen or an aliquot.")
}

// usualLineage is the lineage of a new specimen that tells none: that of the requirement that it names, else New (reference
// openspecimen-rest.md 15.2). at is what it hangs on; where that is nil the requirement is looked for in the event of the visit
// that the draft names, or of its parent's.
func (d *SpecimenDraft) usualLineage(ctx context.Context, b *Batch, at *below) (string, error) {
	if !d.named() {
		return LineageNew, nil
	}
	if at == nil {
		p, err := d.place(ctx, b, LineageNew)
		if fault.All(err) != nil {
			p, err = d.place(ctx, b, LineageDerived)
		}
		if fault.All(err) != nil {
			return LineageNew, nil // who looks for the place then says what is wrong
		}
		if err != nil {
			return "", err
		}
		at = &p
	}
	cp, err := b.protocolAt(ctx, at.key)
	if err != nil {
		return "", err
	}
	if !b.worksIn(cp) { // who then asks for the right refuses alike, whatever the protocol requires
		return LineageNew, nil
	}
	req, err := d.required(ctx, b, cp, at)
	if req == nil || err != nil {
		return LineageNew, err
	}
	return req.doc.Lineage, nil
}

// inVisitOf refuses a child that names another visit than its parent's.
func (d *SpecimenDraft) inVisitOf(ctx context.Context, b *Batch, parent Key) error {
	told := ""
	switch {
	case d.VisitID != 0 && d.VisitID != parent.Visit():
		told = strconv.FormatInt(d.VisitID, 10)
	case d.VisitID == 0 && d.VisitName != "":
		if m, err := b.mark(ctx, visitMark(d.VisitName)); err != nil {
			return err
		} else if m.To != parent.VisitKey() {
			told = strconv.Quote(d.VisitName)
		}
	}
	if told != "" {
		return fault.New("SPECIMEN_INVALID_VISIT", "The parent specimen belongs to another visit than %s.", told)
	}
	return nil
}

// create plans a new specimen. A master row hands over the visit it has just planned.
func (d *SpecimenDraft) create(ctx context.Context, b *Batch, c *Change, o *Outcome, at *below) error {
	doc := d.Doc
	var l fault.List
	if doc.Lineage == "" {
		var err error
		if doc.Lineage, err = d.usualLineage(ctx, b, at); err != nil {
			return err
		}
	}
	if !d.lineage(&l, &doc) {
		return l
	}
	if at != nil && at.parent == nil && doc.Lineage != LineageNew {
		return parentRequired()
	}
	if at == nil {
		p, err := d.place(ctx, b, doc.Lineage)
		if err != nil {
			return err
		}
		at = &p
	}
	cp, err := b.protocolAt(ctx, at.key)
	if err != nil {
		return err
	}
	if !d.begun {
		made := at.parentDoc // where the parent is stored
		made.Lineage = doc.Lineage
		if err := b.mayHandle(ctx, OpCreate, cp, &made, "create this specimen"); err != nil {
			return err
		}
		if cp.doc.ActivityStatus == StatusClosed {
			l.Add("CPR_CP_CLOSED", "Collection protocol %q is closed.", cp.doc.ShortTitle)
		}
	}
	if d.Protocol.Sent() {
		if named, err := b.protocol(ctx, d.Protocol); err != nil {
			return err
		} else if named.id != cp.id {
			return fault.New("SPECIMEN_NOT_FOUND_IN_CP", "The visit or parent specimen belongs to another collection protocol than %s.", b.actor.calls(named))
		}
	}
	req, err := d.requirement(ctx, b, &l, cp, &doc, at)
	if err != nil {
		return err
	}
	fromRequired(&l, req, at)
	d.inherit(&l, &doc, at, req)
	if err := b.quantified(ctx, &l, &doc); err != nil {
		return err
	}
	if gone(doc.ActivityStatus) {
		l.Add("SPECIMEN_CREATE_DISABLED_NA", "A specimen cannot be created as Disabled.")
	}
	d.check(&l, &doc)
	d.Unit.among(&l, cp.doc.UnitsOf(doc.Class, doc.Type))
	if err := b.extend(ctx, &l, SpecimenFields, cp, nil, &doc.Extension, d.Extension, b.can(ResParticipantPhi, OpRead, cp)); err != nil {
		return err
	}
	if !d.begun {
		d.mayHave(&l, c, doc.Status, at)
	}
	if err := d.events(ctx, b, &l, &doc, req); err != nil {
		return err
	}
	id, err := b.number(ctx, c, string(Specimen))
	if err != nil {
		return err
	}
	if err := d.names(ctx, b, c, &l, cp, &SpecimenDoc{}, &doc, at, req); err != nil {
		return err
	}
	if err := d.namesFree(ctx, b, c, &l, Key{}); err != nil {
		return err
	}
	if len(l) > 0 {
		return l
	}
	key := at.key.Child(id)
	if err := d.put(ctx, b, c, cp, &doc, d.Location, occupantRef{typ: Specimen, key: key, id: id}); err != nil {
		return err
	}
	d.claims(b, c, &SpecimenDoc{}, &doc, key, id)
	above := at.key
	if cp.doc.SpecimenCentric && at.parent == nil {
		above = SetKey(Protocol, cp.id) // whose hidden visit is not deleted by itself
	}
	if err := b.standOn(ctx, above); err != nil {
		return err
	}
	if req != nil {
		if err := b.standOn(ctx, req.rec.Key.Above(1)); err != nil { // the event, which a deletion of the requirement seals
			return err
		}
	}
	if err := b.insert(c, Specimen, key, id, &doc, o); err != nil {
		return err
	}
	o.Label = doc.Label
	if at.parent != nil && doc.Status == Collected {
		return d.taken(ctx, b, c, cp, at.parent, &doc)
	}
	return nil
}

// toldRequirement is how the draft names the requirement.
func (d *SpecimenDraft) toldRequirement() string {
	if d.RequirementID != 0 {
		return strconv.FormatInt(d.RequirementID, 10)
	}
	return strconv.Quote(d.RequirementCode)
}

// event tells of which event the visit is, 0 for an unplanned one.
func (at *below) event(ctx context.Context, b *Batch) (int64, error) {
	if at.eventKnown {
		return at.eventID, nil
	}
	rec, err := b.rec(ctx, at.key.VisitKey())
	if err != nil {
		return 0, err
	}
	doc, err := Decode[VisitDoc](rec)
	at.eventID, at.eventKnown = doc.EventID, err == nil
	return at.eventID, err
}

// required is the anticipated specimen that the draft names, among those of the visit's event: elsewhere another may have the
// same code. A visit without an event has none.
func (d *SpecimenDraft) required(ctx context.Context, b *Batch, cp *protocolInfo, at *below) (*requirementInfo, error) {
	event, err := at.event(ctx, b)
	if event == 0 || err != nil {
		return nil, err
	}
	return cp.requirement(event, d.RequirementID, d.RequirementCode), nil
}

// requirement finds the requirement that the draft names, and checks that the specimen is one of it; nil where none is named.
func (d *SpecimenDraft) requirement(ctx context.Context, b *Batch, l *fault.List, cp *protocolInfo, doc *SpecimenDoc, at *below) (*requirementInfo, error) {
	if !d.named() {
		return nil, nil
	}
	req, err := d.required(ctx, b, cp, at)
	if err != nil {
		return nil, err
	}
	if req == nil {
		l.Add("SR_NOT_FOUND", "Specimen requirement %s was not found in the event of the visit.", d.toldRequirement())
		return nil, nil
	}
	if req.doc.Lineage != doc.Lineage {
		l.Add("SPECIMEN_REQ_LINEAGE_MISMATCH", "The requirement is for lineage %s, the specimen's is %s.", req.doc.Lineage, doc.Lineage)
	}
	if doc.Type != "" && Fold(doc.Type) != Fold(req.doc.Type) {
		l.Add("SPECIMEN_REQ_TYPE_MISMATCH", "The requirement is for type %q, the specimen's is %q.", req.doc.Type, doc.Type)
	}
	doc.RequirementID = req.id
	return req, nil
}

// fromRequired checks that a specimen of a requirement below another one is made from a specimen of that.
func fromRequired(l *fault.List, req *requirementInfo, at *below) {
	if req != nil && at.parent != nil && req.doc.ParentID != 0 && req.doc.ParentID != at.parentDoc.RequirementID {
		l.Add("SPECIMEN_REQ_PARENT_MISMATCH", "The requirement is for something made from requirement %d; the parent specimen was not collected for that.", req.doc.ParentID)
	}
}

// inherit fills what was not sent from the requirement and the parent (reference openspecimen-rest.md 15.2).
func (d *SpecimenDraft) inherit(l *fault.List, doc *SpecimenDoc, at *below, req *requirementInfo) {
	fill := func(v *string, from string) {
		if *v == "" {
			*v = from
		}
	}
	if req != nil {
		fill(&doc.Type, req.doc.Type)
		fill(&doc.Class, req.doc.Class)
		fill(&doc.AnatomicSite, req.doc.AnatomicSite)
		fill(&doc.Laterality, req.doc.Laterality)
		fill(&doc.Pathology, req.doc.Pathology)
		if doc.InitialQty == nil {
			doc.InitialQty = req.doc.InitialQty
		}
	}
	if at.parent == nil {
		fill(&doc.AnatomicSite, NotSpecified)
		fill(&doc.Laterality, NotSpecified)
		fill(&doc.Pathology, NotSpecified)
		return
	}
	p := &at.parentDoc
	if doc.Lineage == LineageAliquot { // always its parent's
		doc.Class, doc.AnatomicSite, doc.Laterality, doc.Pathology = p.Class, p.AnatomicSite, p.Laterality, p.Pathology
		fill(&doc.Type, p.Type)
	}
	fill(&doc.AnatomicSite, p.AnatomicSite)
	fill(&doc.Laterality, p.Laterality)
	fill(&doc.Pathology, p.Pathology)
	d.likeParent(l, doc, p)
}
