package biobank

import (
	"context"
	"strconv"

	"aliquot/shared/fault"
)

// SpecimenDoc is a specimen (reference openspecimen-rest.md section 15). Its protocol, registration, visit and parent
// are told by the record's key.
type SpecimenDoc struct {
	RequirementID    int64        `json:"reqId,omitempty"`
	Label            string       `json:"label,omitempty"`
	AdditionalLabel  string       `json:"additionalLabel,omitempty"`
	Barcode          string       `json:"barcode,omitempty"`
	Class            string       `json:"specimenClass"`
	Type             string       `json:"type"`
	Lineage          string       `json:"lineage"`
	AnatomicSite     string       `json:"anatomicSite,omitempty"`
	Laterality       string       `json:"laterality,omitempty"`
	Pathology        string       `json:"pathology,omitempty"`
	Status           string       `json:"status"`
	InitialQty       *Quantity    `json:"initialQty,omitempty"`
	AvailableQty     *Quantity    `json:"availableQty,omitempty"`
	Concentration    *Quantity    `json:"concentration,omitempty"`
	Biohazards       []string     `json:"biohazards,omitempty"`
	FreezeThawCycles int64        `json:"freezeThawCycles,omitempty"`
	CreatedOn        int64        `json:"createdOn,omitempty"` // epoch ms
	CreatedBy        int64        `json:"createdBy,omitempty"`
	ImageID          string       `json:"imageId,omitempty"`
	ExternalIDs      []ExternalID `json:"externalIds,omitempty"`
	Comments         string       `json:"comments,omitempty"`
	// What follows was sent for this specimen; what was not is as its requirement says.
	StorageType    string           `json:"storageType,omitempty"`
	SortOrder      *int64           `json:"sortOrder,omitempty"`
	PreBarcoded    *bool            `json:"preBarcodedTube,omitempty"`
	LabelPrintMode string           `json:"labelAutoPrintMode,omitempty"`
	Collection     *CollectionEvent `json:"collectionEvent,omitempty"`
	Received       *ReceivedEvent   `json:"receivedEvent,omitempty"`
	Disposal       *DisposalEvent   `json:"disposalEvent,omitempty"`
	// Pool are the specimens that a pool was made of, PoolID the pool that a specimen was put into last.
	Pool   []int64 `json:"pool,omitempty"`
	PoolID int64   `json:"poolId,omitempty"`
	// Location is the cell that the specimen lies in, nil for one that is not stored; CheckedOut the cell that is kept for
	// one that was taken out.
	Location   *Location `json:"location,omitempty"`
	CheckedOut *Location `json:"checkedOut,omitempty"`
	Moved      *Move     `json:"moved,omitempty"`
	// Serial is the number that %PSPEC_UID% gave the specimen among its parent's children.
	Serial         int64      `json:"serial,omitempty"`
	Custody        *Custody   `json:"custody,omitempty"`
	ActivityStatus string     `json:"activityStatus"`
	Extension      *Extension `json:"extension,omitempty"`
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

// DisposalEvent tells how a specimen was closed, the last time it was.
type DisposalEvent struct {
	Time     int64  `json:"time,omitempty"` // epoch ms
	UserID   int64  `json:"userId,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Comments string `json:"comments,omitempty"`
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
	if d.Location != nil {
		b.wantLocation(d.Location)
		d.wantNames(b)
	}
	if d.Holding != nil {
		b.wantLocation(d.Holding)
	}
	if d.NewContainer.sent() {
		b.wantLocation(&d.NewContainer.Location)
		b.wantMark(containerTypeMark(d.NewContainer.Kind.Name))
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
	if d.Location != nil {
		b.wantLocationRec(d.Location)
		d.wantHolders(b)
	}
	if d.Holding != nil {
		b.wantLocationRec(d.Holding)
	}
	if d.NewContainer.sent() {
		b.wantLocationRec(&d.NewContainer.Location)
		b.wantRec(b.marks[containerTypeMark(d.NewContainer.Kind.Name)].To)
		b.wantRec(setKeyOrNone(ContainerType, max(d.NewContainer.Kind.ID, 0)))
	}
	switch {
	case d.VisitID != 0:
		b.wantRec(b.marks[IDMark(Visit, d.VisitID)].To)
	case d.VisitName != "" && c.Op != Update:
		if m := b.marks[visitMark(d.VisitName)]; !m.IsZero() {
			if ok, err := b.sure(ctx, m); err != nil {
				return err
			} else if !ok || d.named() {
				b.wantRec(m.To)
			}
		}
	}
	switch {
	case d.ParentID != 0:
		b.wantRec(b.marks[IDMark(Specimen, d.ParentID)].To)
	case d.ParentLabel != "":
		b.wantRec(b.marks[labelMark(d.ParentLabel)].To)
		if to := b.marks[labelMark(d.ParentLabel)].To; d.named() && !to.IsZero() {
			b.wantRec(to.VisitKey())
		}
	}
	return nil
}

// named tells whether the draft names a requirement, which is one of the visit's event.
func (d *SpecimenDraft) named() bool { return d.RequirementID != 0 || d.RequirementCode != "" }

// find returns the stored specimen that the draft means, nil when there is none. An Identifier that names nothing any
// more falls back to the natural key (reference openspecimen-rest.md 23, 4).
func (d *SpecimenDraft) find(ctx context.Context, b *Batch, c *Change) (*Record, SpecimenDoc, error) {
	var none SpecimenDoc
	try := func(mark string, holds func(*SpecimenDoc) bool) (*Record, SpecimenDoc, error) {
		rec, err := b.led(ctx, mark)
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
	if chain, err := d.pendingParents(ctx, b, c); chain != nil || err != nil {
		return d.collectParents(ctx, b, c, o, chain, err)
	}
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
