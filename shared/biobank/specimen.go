package biobank

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"aliquot/shared/fault"
)

// SpecimenDoc is a specimen (reference openspecimen-rest.md section 15). Its protocol, registration, visit and parent
// are told by the record's key.
type SpecimenDoc struct {
	RequirementID    int64            `json:"reqId,omitempty"`
	Label            string           `json:"label,omitempty"`
	AdditionalLabel  string           `json:"additionalLabel,omitempty"`
	Barcode          string           `json:"barcode,omitempty"`
	Class            string           `json:"specimenClass"`
	Type             string           `json:"type"`
	Lineage          string           `json:"lineage"`
	AnatomicSite     string           `json:"anatomicSite,omitempty"`
	Laterality       string           `json:"laterality,omitempty"`
	Pathology        string           `json:"pathology,omitempty"`
	Status           string           `json:"status"`
	InitialQty       *Quantity        `json:"initialQty,omitempty"`
	AvailableQty     *Quantity        `json:"availableQty,omitempty"`
	Concentration    *Quantity        `json:"concentration,omitempty"`
	Biohazards       []string         `json:"biohazards,omitempty"`
	FreezeThawCycles int64            `json:"freezeThawCycles,omitempty"`
	CreatedOn        int64            `json:"createdOn,omitempty"` // epoch ms
	CreatedBy        int64            `json:"createdBy,omitempty"`
	ImageID          string           `json:"imageId,omitempty"`
	ExternalIDs      []ExternalID     `json:"externalIds,omitempty"`
	Comments         string           `json:"comments,omitempty"`
	Collection       *CollectionEvent `json:"collectionEvent,omitempty"`
	Received         *ReceivedEvent   `json:"receivedEvent,omitempty"`
	// Serial is the number that %PSPEC_UID% gave the specimen among its parent's children.
	Serial         int64  `json:"serial,omitempty"`
	ActivityStatus string `json:"activityStatus"`
}

// ExternalID is a name for the specimen in another system.
type ExternalID struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// CollectionEvent tells how a primary specimen was collected.
type CollectionEvent struct {
	Time      int64  `json:"time,omitempty"` // epoch ms
	UserID    int64  `json:"userId,omitempty"`
	Comments  string `json:"comments,omitempty"`
	Procedure string `json:"procedure,omitempty"`
	Container string `json:"container,omitempty"`
}

// ReceivedEvent tells how a primary specimen arrived.
type ReceivedEvent struct {
	Time     int64  `json:"time,omitempty"` // epoch ms
	UserID   int64  `json:"userId,omitempty"`
	Comments string `json:"comments,omitempty"`
	Quality  string `json:"receivedQuality,omitempty"`
}

// The lineages.
const (
	LineageNew     = "New"
	LineageDerived = "Derived"
	LineageAliquot = "Aliquot"
)

// The collection states.
const (
	Collected      = "Collected"
	CollectPending = "Pending"
	CollectMissed  = "Missed Collection"
	NotCollected   = "Not Collected"
	NotSpecified   = "Not Specified"
	StatusActive   = "Active"
	StatusClosed   = "Closed"
	StatusDisabled = "Disabled"
)

var (
	uniqueLabel = &unique{"SPECIMEN_DUP_LABEL", "Label %q is already used by another specimen.", func(r *Record, v string) (bool, error) {
		d, err := Decode[SpecimenDoc](r)
		return d.Label == v && d.ActivityStatus != StatusDisabled, err
	}}
	uniqueBarcode = &unique{"SPECIMEN_DUP_BARCODE", "Barcode %q is already used by another specimen.", func(r *Record, v string) (bool, error) {
		d, err := Decode[SpecimenDoc](r)
		return d.Barcode == v && d.ActivityStatus != StatusDisabled, err
	}}
	uniqueAdditional = &unique{"SPECIMEN_DUP_ADDL_LABEL", "Additional Label %q is already used by another specimen.", func(r *Record, v string) (bool, error) {
		d, err := Decode[SpecimenDoc](r)
		return d.AdditionalLabel == v && d.ActivityStatus != StatusDisabled, err
	}}
)

func (d *SpecimenDraft) want(ctx context.Context, b *Batch, c *Change) error {
	if d.Protocol.Sent() {
		if _, err := b.protocol(ctx, d.Protocol); err != nil {
			return err
		}
	}
	if c.Op != Create {
		if d.ID != 0 {
			b.wantMark(IDMark(Specimen, d.ID))
		}
		if d.Doc.Label != "" {
			b.wantMark(labelMark(d.Doc.Label))
		}
		if d.Doc.Barcode != "" {
			b.wantMark(barcodeMark(d.Doc.Barcode))
		}
	}
	switch {
	case d.VisitID != 0:
		b.wantMark(IDMark(Visit, d.VisitID))
	case d.VisitName != "":
		b.wantMark(visitMark(d.VisitName))
	}
	switch {
	case d.ParentID != 0:
		b.wantMark(IDMark(Specimen, d.ParentID))
	case d.ParentLabel != "":
		b.wantMark(labelMark(d.ParentLabel))
	}
	return nil
}

func (d *SpecimenDraft) read(ctx context.Context, b *Batch, c *Change) error {
	if c.Op != Create {
		if d.ID != 0 {
			b.wantRec(b.marks[IDMark(Specimen, d.ID)].To)
		}
		if d.Doc.Label != "" {
			b.wantRec(b.marks[labelMark(d.Doc.Label)].To)
		} else if d.Doc.Barcode != "" {
			b.wantRec(b.marks[barcodeMark(d.Doc.Barcode)].To)
		}
	}
	switch {
	case d.VisitID != 0:
		b.wantRec(b.marks[IDMark(Visit, d.VisitID)].To)
	case d.VisitName != "" && c.Op != Update:
		if m := b.marks[visitMark(d.VisitName)]; !m.IsZero() {
			if ok, err := b.sure(ctx, m); err != nil {
				return err
			} else if !ok {
				b.wantRec(m.To)
			}
		}
	}
	switch {
	case d.ParentID != 0:
		b.wantRec(b.marks[IDMark(Specimen, d.ParentID)].To)
	case d.ParentLabel != "":
		b.wantRec(b.marks[labelMark(d.ParentLabel)].To)
	}
	return nil
}

// find returns the stored specimen that the draft means, nil when there is none. An Identifier that names nothing any
// more falls back to the natural key (reference openspecimen-rest.md 23, 4).
func (d *SpecimenDraft) find(ctx context.Context, b *Batch, c *Change) (*Record, SpecimenDoc, error) {
	var none SpecimenDoc
	try := func(mark string, holds func(*SpecimenDoc) bool) (*Record, SpecimenDoc, error) {
		m, err := b.mark(ctx, mark)
		if err != nil || m.IsZero() {
			return nil, none, err
		}
		rec, err := b.rec(ctx, m.To)
		if err != nil || rec == nil {
			return nil, none, err
		}
		doc, err := Decode[SpecimenDoc](rec)
		if err != nil {
			return nil, none, err
		}
		if doc.ActivityStatus == StatusDisabled || !holds(&doc) {
			if is, err := b.done(ctx, rec, c); !is || err != nil { // else deleted or renamed by an earlier try
				return nil, none, err
			}
		}
		return rec, doc, nil
	}
	if d.ID != 0 {
		if rec, doc, err := try(IDMark(Specimen, d.ID), func(*SpecimenDoc) bool { return true }); rec != nil || err != nil {
			return rec, doc, err
		}
	}
	if c.ByID {
		return nil, none, nil
	}
	if d.Doc.Label != "" {
		return try(labelMark(d.Doc.Label), func(s *SpecimenDoc) bool { return s.Label == d.Doc.Label })
	}
	if d.Doc.Barcode != "" {
		return try(barcodeMark(d.Doc.Barcode), func(s *SpecimenDoc) bool { return s.Barcode == d.Doc.Barcode })
	}
	return nil, none, nil
}

func (d *SpecimenDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	if c.Op != Create {
		rec, doc, err := d.find(ctx, b, c)
		if err != nil {
			return err
		}
		if rec != nil {
			return d.update(ctx, b, c, o, rec, doc)
		}
		if c.Op == Update {
			switch {
			case c.ByID:
				return missing(Specimen, d.ID)
			case d.Doc.Label != "":
				return missing(Specimen, "with label "+strconv.Quote(d.Doc.Label))
			case d.Doc.Barcode != "":
				return missing(Specimen, "with barcode "+strconv.Quote(d.Doc.Barcode))
			case d.ID != 0:
				return missing(Specimen, d.ID)
			}
			return fault.New("SPECIMEN_ID_REQUIRED", "Give Identifier, Specimen Label or Barcode to say which specimen to update.")
		}
	}
	return d.create(ctx, b, c, o, nil)
}

// below is what a new specimen hangs on.
type below struct {
	key         Key // the visit's, or the parent specimen's
	visitStatus string
	visitName   string // "" when it was not read
	ppid        string // likewise
	eventID     int64
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
		m, err := b.mark(ctx, IDMark(Visit, d.VisitID))
		if err != nil {
			return at, err
		}
		rec, err := b.rec(ctx, m.To)
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
		return below{key: rec.Key, visitStatus: doc.Status, visitName: doc.Name}, nil
	case d.VisitName != "":
		key, status, err := b.visit(ctx, d.VisitName)
		if err != nil {
			return at, err
		}
		if key.IsZero() {
			return at, missing(Visit, strconv.Quote(d.VisitName))
		}
		return below{key: key, visitStatus: status, visitName: d.VisitName}, nil
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
		return at, fault.New("SPECIMEN_PARENT_REQUIRED", "Give the Parent Specimen Label of a derived specimen or an aliquot.")
	}
	m, err := b.mark(ctx, name)
	if err != nil {
		return at, err
	}
	rec, err := b.rec(ctx, m.To)
	if err != nil {
		return at, err
	}
	doc, err := Decode[SpecimenDoc](rec)
	if err != nil {
		return at, err
	}
	if rec == nil || doc.ActivityStatus == StatusDisabled || d.ParentID == 0 && doc.Label != d.ParentLabel {
		return at, fault.New("SPECIMEN_NOT_FOUND", "Parent specimen %s was not found. It must be saved before its children.", told)
	}
	return below{key: rec.Key, parent: rec, parentDoc: doc}, nil
}

// create plans a new specimen. A master row hands over the visit it has just planned.
func (d *SpecimenDraft) create(ctx context.Context, b *Batch, c *Change, o *Outcome, at *below) error {
	doc := d.Doc
	var l fault.List
	if doc.Lineage == "" {
		doc.Lineage = LineageNew
	}
	if !d.lineage(&l, &doc) {
		return l
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
	if d.Protocol.Sent() {
		if named, err := b.protocol(ctx, d.Protocol); err != nil {
			return err
		} else if named.id != cp.id {
			return fault.New("SPECIMEN_NOT_FOUND_IN_CP", "The visit or parent specimen belongs to another collection protocol than %q.", named.doc.ShortTitle)
		}
	}
	if !b.can(ResSpecimen, OpCreate, cp) && (doc.Lineage != LineageNew || !b.can(ResPrimarySpecimen, OpCreate, cp)) {
		return denied("create this specimen in collection protocol " + cp.doc.ShortTitle)
	}
	if cp.doc.ActivityStatus == StatusClosed {
		l.Add("CPR_CP_CLOSED", "Collection protocol %q is closed.", cp.doc.ShortTitle)
	}
	req := d.requirement(&l, cp, &doc)
	d.inherit(&l, &doc, at, req)
	if gone(doc.ActivityStatus) {
		l.Add("SPECIMEN_CREATE_DISABLED_NA", "A specimen cannot be created as Disabled.")
	}
	d.check(&l, &doc)
	d.mayHave(&l, c, doc.Status, at)
	if err := d.events(ctx, b, &l, &doc); err != nil {
		return err
	}
	id, err := b.number(ctx, c, string(Specimen))
	if err != nil {
		return err
	}
	if err := d.label(ctx, b, c, &l, cp, &doc, at, req); err != nil {
		return err
	}
	if len(l) > 0 {
		return l
	}
	key := at.key.Child(id)
	d.claims(b, c, &SpecimenDoc{}, &doc, key, id)
	if err := b.insert(c, Specimen, key, id, &doc, o); err != nil {
		return err
	}
	o.Label = doc.Label
	if at.parent != nil && doc.Status == Collected {
		return b.taken(ctx, c, cp, at.parent, &doc)
	}
	return nil
}

func (d *SpecimenDraft) lineage(l *fault.List, doc *SpecimenDoc) bool {
	switch Fold(doc.Lineage) {
	case "new":
		doc.Lineage = LineageNew
	case "derived", "derivative":
		doc.Lineage = LineageDerived
	case "aliquot":
		doc.Lineage = LineageAliquot
	default:
		l.Add("SPECIMEN_INVALID_LINEAGE", "Lineage %q is not valid. It is New, Derived or Aliquot.", doc.Lineage)
		return false
	}
	return true
}

// requirement finds the anticipated specimen that the draft names.
func (d *SpecimenDraft) requirement(l *fault.List, cp *protocolInfo, doc *SpecimenDoc) *requirementInfo {
	if d.RequirementID == 0 && d.RequirementCode == "" {
		return nil
	}
	req := cp.requirement(0, d.RequirementID, d.RequirementCode)
	if req == nil {
		l.Add("SR_NOT_FOUND", "Specimen requirement %q was not found in collection protocol %q.", d.RequirementCode, cp.doc.ShortTitle)
		return nil
	}
	if req.doc.Lineage != doc.Lineage {
		l.Add("SPECIMEN_REQ_LINEAGE_MISMATCH", "The requirement is for lineage %s, the specimen's is %s.", req.doc.Lineage, doc.Lineage)
	}
	if doc.Type != "" && Fold(doc.Type) != Fold(req.doc.Type) {
		l.Add("SPECIMEN_REQ_TYPE_MISMATCH", "The requirement is for type %q, the specimen's is %q.", req.doc.Type, doc.Type)
	}
	doc.RequirementID = req.id
	return req
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
	fill(&doc.AnatomicSite, p.AnatomicSite)
	fill(&doc.Laterality, p.Laterality)
	fill(&doc.Pathology, p.Pathology)
	if doc.Lineage == LineageAliquot {
		fill(&doc.Type, p.Type)
		doc.Class = p.Class
		doc.Pathology = p.Pathology
	}
	d.likeParent(l, doc, p)
}

// likeParent checks what a specimen must have in common with its parent.
func (d *SpecimenDraft) likeParent(l *fault.List, doc, p *SpecimenDoc) {
	same := func(noun, v, parent string) {
		if parent != "" && Fold(v) != Fold(parent) {
			l.Add("SPECIMEN_ANATOMIC_SITE_NOT_SAME_AS_PARENT", "%s is %q, but the parent specimen's is %q. Leave it blank or give the same.", noun, v, parent)
		}
	}
	same("Anatomic Site", doc.AnatomicSite, p.AnatomicSite)
	same("Laterality", doc.Laterality, p.Laterality)
	if doc.Lineage != LineageAliquot {
		return
	}
	if Fold(doc.Type) != Fold(p.Type) {
		l.Add("SPECIMEN_INVALID_SPECIMEN_TYPE", "An aliquot has the type of its parent: %q, not %q.", p.Type, doc.Type)
	}
	if doc.InitialQty == nil {
		l.Add("SPECIMEN_ALIQUOT_QTY_REQ", "Give the Initial Quantity of an aliquot.")
	}
}

// check holds the rules that a specimen's own values must keep, new or changed.
func (d *SpecimenDraft) check(l *fault.List, doc *SpecimenDoc) {
	if doc.Type == "" {
		l.Add("SPECIMEN_TYPE_REQUIRED", "Give the Type of the specimen.")
	} else if class, typ, ok := ClassOf(doc.Type); !ok {
		l.Add("SPECIMEN_INVALID_SPECIMEN_TYPE", "Type %q is not in the list of permissible values.", doc.Type)
	} else {
		if doc.Class != "" && Fold(doc.Class) != Fold(class) {
			l.Add("SPECIMEN_INVALID_SPECIMEN_CLASS", "Class %q does not have the type %q; its class is %q.", doc.Class, typ, class)
		}
		doc.Class, doc.Type = class, typ
	}
	value(l, "anatomic_site", "SPECIMEN_INVALID_ANATOMIC_SITE", "Anatomic Site", &doc.AnatomicSite)
	value(l, "laterality", "SPECIMEN_INVALID_LATERALITY", "Laterality", &doc.Laterality)
	value(l, "pathology_status", "SPECIMEN_INVALID_PATHOLOGY", "Pathological Status", &doc.Pathology)
	values(l, "specimen_biohazard", "SPECIMEN_INVALID_BIOHAZARDS", "Biohazard", doc.Biohazards)
	switch Fold(doc.Status) {
	case "", "collected":
		doc.Status = Collected
	case "pending":
		doc.Status = CollectPending
	case "missed collection":
		doc.Status = CollectMissed
	case "not collected":
		doc.Status = NotCollected
	default:
		l.Add("SPECIMEN_INVALID_COLL_STATUS", "Collection Status %q is not valid. It is Collected, Pending, Missed Collection or Not Collected.", doc.Status)
	}
	status(l, &doc.ActivityStatus)
	amount := func(noun string, q *Quantity) {
		if q != nil && *q < 0 {
			l.Add("SPECIMEN_INVALID_QTY", "%s is %s; it cannot be negative.", noun, q)
		}
	}
	amount("Initial Quantity", doc.InitialQty)
	amount("Available Quantity", doc.AvailableQty)
	amount("Concentration", doc.Concentration)
	if doc.AvailableQty == nil && doc.Status == Collected {
		doc.AvailableQty = doc.InitialQty
	}
	if doc.InitialQty != nil && doc.AvailableQty != nil && *doc.AvailableQty > *doc.InitialQty {
		l.Add("SPECIMEN_AVBL_QTY_GT_INIT_QTY", "Available Quantity %s is more than Initial Quantity %s.", doc.AvailableQty, doc.InitialQty)
	}
	if doc.FreezeThawCycles < 0 {
		l.Add("SPECIMEN_INVALID_FREEZE_THAW_CYCLES", "Freeze/Thaw Cycles is %d; it cannot be negative.", doc.FreezeThawCycles)
	}
	for i, x := range doc.ExternalIDs {
		if x.Name == "" || x.Value == "" {
			l.Add("SPECIMEN_EXT_ID_NO_NAME_VALUE", "External ID %d has only one of name and value; give both.", i+1)
		}
		for _, y := range doc.ExternalIDs[:i] {
			if x.Name == y.Name {
				l.Add("SPECIMEN_EXT_ID_DUP_NAME", "External ID name %q is given twice.", x.Name)
			}
		}
	}
	tooLong(l, "Specimen Label", doc.Label, 255)
	tooLong(l, "Barcode", doc.Barcode, 255)
	tooLong(l, "Additional Label", doc.AdditionalLabel, 255)
	tooLong(l, "Comments", doc.Comments, 4000)
	if d.Container != "" {
		l.Add("STORAGE_CONTAINER_NOT_FOUND", "Storage container %q was not found. Leave the location blank to save the specimen as not stored.", d.Container)
	}
}

// mayHave checks a collection status against the visit's and the parent's (15.5).
func (d *SpecimenDraft) mayHave(l *fault.List, c *Change, status string, at *below) {
	if at.parent == nil {
		if code, visit := visitRule(status); at.visitStatus != VisitComplete && at.visitStatus != visit {
			l.Add(code, "A specimen with Collection Status %s cannot belong to a visit that is %s.", status, at.visitStatus)
		}
		return
	}
	p := &at.parentDoc
	if p.ActivityStatus == StatusClosed && !settledBy(at.parent, c.Source) {
		l.Add("SPECIMEN_PROC_NOT_ALLOWED", "Parent specimen %q is closed; nothing can be made from it.", p.Label)
	}
	if p.Status != Collected && (status == Collected || p.Status != status) {
		l.Add(parentRule(status), "A specimen with Collection Status %s cannot have a parent that is %s.", status, p.Status)
	}
}

// settledBy tells whether the job of a source has settled the parent. Where the protocol closes parents after their
// children were made, one chunk of a job closes them before another one has made its own.
func settledBy(parent *Record, source string) bool {
	job, _, ok := strings.Cut(source, "#")
	return ok && slices.ContainsFunc(parent.Changes, func(change string) bool { return strings.HasPrefix(change, job+"#c") })
}

// visitRule is the code, and the visit status that a collection status goes with besides Complete.
func visitRule(status string) (code, visit string) {
	switch status {
	case CollectPending:
		return "VISIT_COMPL_OR_PENDING_VISIT_REQ", VisitPending
	case CollectMissed:
		return "VISIT_COMPL_OR_MISSED_VISIT_REQ", VisitMissed
	case NotCollected:
		return "VISIT_COMPL_OR_NC_VISIT_REQ", VisitNotCollected
	}
	return "VISIT_COMPL_VISIT_REQ", VisitComplete
}

func parentRule(status string) string {
	switch status {
	case CollectPending:
		return "SPECIMEN_COLL_OR_PENDING_PARENT_REQ"
	case CollectMissed:
		return "SPECIMEN_COLL_OR_MISSED_PARENT_REQ"
	case NotCollected:
		return "SPECIMEN_COLL_OR_NC_PARENT_REQ"
	}
	return "SPECIMEN_COLL_PARENT_REQ"
}

// events fills in who made, collected and received the specimen.
func (d *SpecimenDraft) events(ctx context.Context, b *Batch, l *fault.List, doc *SpecimenDoc) error {
	who := func(u UserRef, into *int64) error {
		if !u.Sent() {
			return nil
		}
		id, err := b.userID(ctx, u, "USER_NOT_FOUND")
		if fault.All(err) != nil {
			l.Append(err)
			return nil
		}
		*into = id
		return err
	}
	if err := who(d.CreatedBy, &doc.CreatedBy); err != nil {
		return err
	}
	primary := doc.Lineage == LineageNew && doc.Status == Collected
	if primary || doc.Collection != nil || doc.Received != nil || d.Collector.Sent() || d.Receiver.Sent() {
		if doc.Lineage != LineageNew {
			l.Add("SPECIMEN_INVALID_LINEAGE", "Only a primary specimen has its own collection and received events; leave those columns blank.")
			return nil
		}
		var col CollectionEvent
		var rcv ReceivedEvent
		if doc.Collection != nil {
			col = *doc.Collection
		}
		if doc.Received != nil {
			rcv = *doc.Received
		}
		if err := errors.Join(who(d.Collector, &col.UserID), who(d.Receiver, &rcv.UserID)); err != nil {
			return err
		}
		if primary {
			if col.UserID == 0 {
				col.UserID = b.actor.ID
			}
			if rcv.UserID == 0 {
				rcv.UserID = b.actor.ID
			}
			if col.Time == 0 {
				col.Time = b.at
			}
			if rcv.Time == 0 {
				rcv.Time = col.Time
			}
		}
		value(l, "collection_procedure", "SPECIMEN_INVALID_COLL_PROC", "Collection Procedure", &col.Procedure)
		value(l, "collection_container", "SPECIMEN_INVALID_COLL_CONTAINER", "Collection Container", &col.Container)
		value(l, "receive_quality", "SPECIMEN_INVALID_RECV_QUALITY", "Received Quality", &rcv.Quality)
		doc.Collection, doc.Received = &col, &rcv
	}
	if doc.CreatedOn == 0 && doc.Status == Collected {
		doc.CreatedOn = b.at
		if doc.Received != nil && doc.Received.Time != 0 {
			doc.CreatedOn = doc.Received.Time
		}
	}
	if doc.CreatedOn > b.at+day {
		l.Add("SPECIMEN_INVALID_CREATION_DATE", "Created On lies in the future.")
	}
	return nil
}

// day is a day in milliseconds, the slack for clocks and zones where a time must not lie in the future.
const day = 24 * 60 * 60 * 1000

// label decides the specimen's label (15.3).
func (d *SpecimenDraft) label(ctx context.Context, b *Batch, c *Change, l *fault.List, cp *protocolInfo, doc *SpecimenDoc, at *below, req *requirementInfo) error {
	format := cp.labels[doc.Lineage]
	if req != nil && req.doc.LabelFmt != "" {
		f, err := ParseFormat(labelKind(doc.Lineage), req.doc.LabelFmt)
		if err != nil {
			l.Add("SR_INVALID_LABEL_FMT", "The label format of requirement %q is not valid: %s.", req.doc.Code, err)
			return nil
		}
		format = f
	}
	switch {
	case doc.Label != "" && format != nil && !cp.doc.ManualSpecimenLabel:
		l.Add("SPECIMEN_MANUAL_LABEL_NOT_ALLOWED", "Labels of collection protocol %q are generated; leave Specimen Label blank.", cp.doc.ShortTitle)
	case doc.Label != "" && format != nil && !format.Matches(doc.Label):
		l.Add("SPECIMEN_INVALID_LABEL", "Specimen Label %q does not fit the format of the collection protocol.", doc.Label)
	case doc.Label == "" && doc.Status == Collected && (format == nil || cp.doc.ManualSpecimenLabel):
		l.Add("SPECIMEN_LABEL_REQUIRED", "Give the Specimen Label of a collected specimen.")
	case doc.Label == "" && doc.Status == Collected && len(*l) == 0:
		made, serial, err := b.generate(ctx, c, format, cp, at, doc)
		if err != nil {
			return err
		}
		doc.Label, doc.Serial = made, serial
		tooLong(l, "The label that the format of the collection protocol makes", made, 255)
	}
	return nil
}

// claims plans the marks of the values that changed and must be unique.
func (d *SpecimenDraft) claims(b *Batch, c *Change, was, is *SpecimenDoc, key Key, id int64) {
	if is.Label != "" && is.Label != was.Label {
		b.claim(c, uniqueLabel, is.Label, labelMark(is.Label), key, id, "")
	}
	if is.Barcode != "" && is.Barcode != was.Barcode {
		b.claim(c, uniqueBarcode, is.Barcode, barcodeMark(is.Barcode), key, id, "")
	}
	if is.AdditionalLabel != "" && is.AdditionalLabel != was.AdditionalLabel {
		b.claim(c, uniqueAdditional, is.AdditionalLabel, addlLabelMark(is.AdditionalLabel), key, id, "")
	}
}

func (d *SpecimenDraft) update(ctx context.Context, b *Batch, c *Change, o *Outcome, rec *Record, was SpecimenDoc) error {
	o.Label = b.nameBefore(was.Label, was.ActivityStatus)
	if is, err := b.done(ctx, rec, c); is || err != nil {
		return done(o, rec, err)
	}
	cp, err := b.protocolAt(ctx, rec.Key)
	if err != nil {
		return err
	}
	if d.Protocol.Sent() {
		if named, err := b.protocol(ctx, d.Protocol); err != nil {
			return err
		} else if named.id != cp.id {
			return fault.New("SPECIMEN_NOT_FOUND_IN_CP", "The specimen was not found in collection protocol %q.", named.doc.ShortTitle)
		}
	}
	is, err := Decode[SpecimenDoc](rec) // a copy that shares nothing with was
	if err != nil {
		return err
	}
	if d.Merge != nil {
		d.Merge(&is)
	} else {
		is = d.Doc
	}
	op := OpUpdate
	if gone(is.ActivityStatus) {
		op = OpDelete
	}
	if !b.can(ResSpecimen, op, cp) && (was.Lineage != LineageNew || !b.can(ResPrimarySpecimen, op, cp)) {
		return denied("change this specimen in collection protocol " + cp.doc.ShortTitle)
	}
	var l fault.List
	if d.lineage(&l, &is) && is.Lineage != was.Lineage {
		l.Add("SPECIMEN_CANNOT_CHG_LINEAGE", "The lineage is %s and cannot be changed to %s.", was.Lineage, is.Lineage)
	}
	if d.VisitName != "" {
		m, err := b.mark(ctx, visitMark(d.VisitName))
		if err != nil {
			return err
		}
		if m.To != rec.Key.VisitKey() {
			l.Add("SPECIMEN_VISIT_CHG_NOT_ALLOWED", "The specimen belongs to another visit than %q.", d.VisitName)
		}
	}
	if d.ParentLabel != "" {
		m, err := b.mark(ctx, labelMark(d.ParentLabel))
		if err != nil {
			return err
		}
		if was.Lineage == LineageNew || m.To != rec.Key.Above(1) {
			l.Add("COMMON_INVALID_INPUT", "The specimen was not made from %q; its parent cannot be changed.", d.ParentLabel)
		}
	}
	if d.VisitID != 0 && d.VisitID != rec.Key.Visit() {
		l.Add("SPECIMEN_VISIT_CHG_NOT_ALLOWED", "The specimen belongs to another visit than %d.", d.VisitID)
	}
	if d.ParentID != 0 && d.ParentID != rec.Key.ParentSpecimen() {
		l.Add("COMMON_INVALID_INPUT", "The specimen was not made from %d; its parent cannot be changed.", d.ParentID)
	}
	if d.RequirementCode != "" || d.RequirementID != 0 && d.RequirementID != was.RequirementID {
		d.requirement(&l, cp, &is)
	}
	d.check(&l, &is)
	if is.Lineage == LineageNew || is.Collection != nil || is.Received != nil {
		if err := d.events(ctx, b, &l, &is); err != nil {
			return err
		}
	}
	made := is.Lineage != LineageNew && (is.AnatomicSite != was.AnatomicSite || is.Laterality != was.Laterality ||
		is.Type != was.Type || is.InitialQty == nil && was.InitialQty != nil)
	collect := is.Label == "" && is.Status == Collected && was.Label == "" // its label is made now
	if is.Status != was.Status || made || collect {
		if err := d.recheck(ctx, b, c, &l, cp, &is, &was, rec, collect); err != nil {
			return err
		}
	}
	if is.Label == "" && is.Status == Collected && !collect {
		l.Add("SPECIMEN_LABEL_REQUIRED", "Specimen Label cannot be cleared.")
	}
	if is.Label != was.Label && cp.labels[is.Lineage] != nil && !cp.doc.ManualSpecimenLabel && was.Label != "" {
		l.Add("SPECIMEN_MANUAL_LABEL_NOT_ALLOWED", "Labels of collection protocol %q are generated and cannot be changed.", cp.doc.ShortTitle)
	}
	if is.ActivityStatus == StatusClosed && was.ActivityStatus != StatusClosed && cp.doc.SetQtyToZero {
		zero := Quantity(0)
		is.AvailableQty = &zero
	}
	if len(l) > 0 {
		return l
	}
	if is.ActivityStatus == StatusDisabled {
		return b.remove(ctx, c, o, rec, d.Force)
	}
	d.claims(b, c, &was, &is, rec.Key, rec.ID)
	if err := b.change(c, rec, &is, o); err != nil {
		return err
	}
	o.Label = is.Label
	if is.Status != was.Status && (is.Status == CollectMissed || is.Status == NotCollected) {
		if err := b.cascade(ctx, c, rec, is.Status); err != nil {
			return err
		}
	}
	for _, gone := range [][3]string{
		{was.Label, is.Label, labelMark(was.Label)},
		{was.Barcode, is.Barcode, barcodeMark(was.Barcode)},
		{was.AdditionalLabel, is.AdditionalLabel, addlLabelMark(was.AdditionalLabel)},
	} {
		if gone[0] != "" && gone[0] != gone[1] {
			if err := b.release(ctx, gone[2], rec.Key); err != nil {
				return err
			}
		}
	}
	return nil
}

// recheck reads the visit or the parent of a stored specimen and checks against it what has changed: the collection status,
// or what the parent decides. A specimen that is collected now gets its label where the protocol makes it.
func (d *SpecimenDraft) recheck(ctx context.Context, b *Batch, c *Change, l *fault.List, cp *protocolInfo, is, was *SpecimenDoc, rec *Record, collect bool) error {
	up, err := b.rec(ctx, rec.Key.Above(1))
	if err != nil || up == nil {
		return err
	}
	at := below{key: up.Key}
	if was.Lineage == LineageNew {
		v, err := Decode[VisitDoc](up)
		if err != nil {
			return err
		}
		at.visitStatus = v.Status
	} else {
		at.parent = up
		if at.parentDoc, err = Decode[SpecimenDoc](up); err != nil {
			return err
		}
		d.likeParent(l, is, &at.parentDoc)
	}
	if is.Status != was.Status {
		d.mayHave(l, c, is.Status, &at)
	}
	if !collect {
		return nil
	}
	late := *c
	late.Kin = noKin
	return d.label(ctx, b, &late, l, cp, is, &at, cp.requirement(0, is.RequirementID, ""))
}
