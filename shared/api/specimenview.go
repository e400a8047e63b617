package api

import (
	"cmp"
	"strings"

	"aliquot/shared/biobank"
)

// specimenView has its nulls. Its units are among them: the reference tells what they are only in definitions of protocols,
// and those we do not keep.
type specimenView struct {
	OpComments          *string              `json:"opComments"`
	ID                  *int64               `json:"id,omitempty"` // nil for one that is anticipated
	CPID                int64                `json:"cpId"`
	CprID               int64                `json:"cprId"`
	PPID                string               `json:"ppid"`
	EventID             *int64               `json:"eventId"`
	EventCode           *string              `json:"eventCode"`
	EventLabel          *string              `json:"eventLabel"`
	VisitID             *int64               `json:"visitId"`
	VisitName           *string              `json:"visitName"`
	VisitStatus         *string              `json:"visitStatus"`
	SprNo               *string              `json:"sprNo"`
	VisitDate           *int64               `json:"visitDate"`
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
	Status              *string              `json:"status"`
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
	ActivityStatus      *string              `json:"activityStatus"`
	CreatedOn           *int64               `json:"createdOn"`
	CreatedBy           *userSummary         `json:"createdBy"`
	Code                *string              `json:"code"`
	DistributionStatus  *string              `json:"distributionStatus"`
	AvailabilityStatus  *string              `json:"availabilityStatus"`
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
	SpecimensPool       *[]poolView          `json:"specimensPool"`
	PooledSpecimens     *[]poolView          `json:"pooledSpecimens"`
	PoolSpecimen        *bool                `json:"poolSpecimen"`
	ReqCode             *string              `json:"reqCode"`
	ExtensionDetail     *extensionView       `json:"extensionDetail"`
	Reserved            bool                 `json:"reserved"`
	UID                 *string              `json:"uid"`
	ParentUID           *string              `json:"parentUid"`
	DPID                *int64               `json:"dpId"`
	CheckedOut          bool                 `json:"checkedOut"`
	CheckoutPosition    *storageLocation     `json:"checkoutPosition"`
	PreBarcodedTube     bool                 `json:"preBarcodedTube"`
	AncestorID          *int64               `json:"ancestorId"` // of the primary specimen that a child comes from
	KitLabel            *string              `json:"kitLabel"`   // kits are not kept: null, as is the next
	KitBarcode          *string              `json:"kitBarcode"`
}

// storageLocation is where a specimen lies; id -1 and nulls for one that is not stored.
type storageLocation struct {
	ID            int64   `json:"id"`
	Name          *string `json:"name"`
	DisplayName   *string `json:"displayName"`
	Barcode       *string `json:"barcode"`
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
	var docs []biobank.SpecimenDoc
	var cells []*biobank.Location
	for _, rec := range recs {
		doc, err := biobank.Decode[biobank.SpecimenDoc](rec)
		if err != nil {
			return err
		}
		docs = append(docs, doc)
		keys = append(keys, extensionKeys(doc.Extension)...)
		at, top, _ := specimenKeys(rec.Key)
		visit, err := decodeAt[biobank.VisitDoc](r, at)
		if err != nil {
			return err
		}
		primary, err := decodeAt[biobank.SpecimenDoc](r, top)
		if err != nil {
			return err
		}
		keys = append(append(keys, aroundVisit(at, visit)...), requirementOf(rec.Key, doc, visit), setKey(biobank.Site, doc.Held().SiteID))
		users = append(users, doc.CreatedBy)
		cells = append(cells, doc.Location, doc.CheckedOut)
		if primary.Collection != nil {
			users = append(users, primary.Collection.UserID)
		}
		if primary.Received != nil {
			users = append(users, primary.Received.UserID)
		}
	}
	if err := r.fetchWith(users, keys...); err != nil {
		return err
	}
	if err := r.fetchLocations(cells...); err != nil {
		return err
	}
	return r.fetchPools(docs)
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
	status, unit := availability(doc), around.protocol.UnitsOf(doc.Class, doc.Type)
	v := specimenView{
		QuantityUnit: orNull(unit.Quantity), ConcentrationUnit: orNull(unit.Concentration),
		ID: &rec.ID, CPID: rec.Key.Protocol(), CprID: rec.Key.Registration(), PPID: around.registration.PPID,
		EventID: orNull(visit.EventID), EventCode: orNull(around.event.Code), EventLabel: orNull(around.event.Label),
		VisitID: orNull(rec.Key.Visit()), VisitName: orNull(visit.Name), VisitStatus: orNull(visit.Status),
		SprNo:     orMasked(visit.SurgicalPathologyNumber, r.c.seesPHI(rec.Key.Protocol(), around.protocol)),
		VisitDate: orNull(visit.VisitDate), CPShortTitle: around.protocol.ShortTitle, ReqID: orNull(doc.RequirementID),
		SortOrder: cmp.Or(doc.SortOrder, req.SortOrder), Label: orNull(doc.Label), AdditionalLabel: orNull(doc.AdditionalLabel),
		Barcode: orNull(doc.Barcode), Type: doc.Type, SpecimenClass: doc.Class, Lineage: doc.Lineage,
		AnatomicSite: orNull(doc.AnatomicSite), Laterality: orNull(doc.Laterality), Status: &doc.Status,
		ReqLabel: orNull(req.Name), Pathology: orNull(doc.Pathology), InitialQty: doc.InitialQty,
		AvailableQty: doc.AvailableQty, Concentration: doc.Concentration, ParentID: orNull(rec.Key.ParentSpecimen()),
		ParentLabel: orNull(parent.Label), StorageType: orNull(cmp.Or(doc.StorageType, req.StorageType)),
		LabelAutoPrintMode: orNull(cmp.Or(doc.LabelPrintMode, req.LabelPrintMode)), PreBarcodedTube: req.PreBarcoded,
		ActivityStatus: &doc.ActivityStatus, CreatedOn: orNull(doc.CreatedOn), Code: orNull(req.Code),
		DistributionStatus: &status, AvailabilityStatus: &status, FreezeThawCycles: doc.FreezeThawCycles,
		ImageID: orNull(doc.ImageID), ExternalIDs: orEmpty(doc.ExternalIDs), LabelFmt: orNull(req.LabelFmt),
		Biohazards: orEmpty(doc.Biohazards), Comments: orNull(doc.Comments), Children: []specimenView{}, ReqCode: orNull(req.Code),
	}
	if v.ExtensionDetail, err = r.extension(doc.Extension, rec.ID, r.c.seesPHI(rec.Key.Protocol(), around.protocol)); err != nil {
		return nil, err
	}
	if doc.PreBarcoded != nil {
		v.PreBarcodedTube = *doc.PreBarcoded
	}
	if rec.Key.ParentSpecimen() != 0 {
		v.AncestorID = orNull(primaryID(rec.Key))
	}
	v.DPID = orNull(doc.Held().ReservedFor)
	v.Reserved = v.DPID != nil
	v.pool(r, doc)
	if v.StorageLocation, err = r.locate(doc.Location); err != nil {
		return nil, err
	}
	if v.StorageSite, err = r.siteOf(doc.Location); err == nil && v.StorageSite == nil {
		v.StorageSite, err = r.siteName(doc.Held().SiteID) // where it came to, and is not stored yet
	}
	if err != nil {
		return nil, err
	}
	if doc.CheckedOut != nil {
		from, err := r.locate(doc.CheckedOut)
		if err != nil {
			return nil, err
		}
		v.CheckedOut, v.CheckoutPosition = true, &from
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

// distributed is the availability of a specimen that was given out.
const distributed = "Distributed"

// availability is what can be had of a specimen.
func availability(doc biobank.SpecimenDoc) string {
	held := doc.Held()
	switch {
	case held.Spent && (doc.ActivityStatus == biobank.StatusClosed || doc.AvailableQty == nil || *doc.AvailableQty == 0):
		return distributed
	case doc.ActivityStatus == biobank.StatusClosed:
		return "Closed"
	case doc.Status != biobank.Collected:
		return doc.Status
	case held.ReservedFor != 0:
		return "Reserved"
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
