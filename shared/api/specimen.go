package api

import (
	"cmp"
	"strings"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// Specimens (reference openspecimen-rest.md section 15).

func specimens() noun {
	return noun{path: "/specimens", typ: biobank.Specimen, shows: specimenView{}, gather: gatherSpecimens, view: viewSpecimen}
}

func specimenRoutes() []route {
	n := specimens()
	gone := removal{noun: n, forced: true}
	return []route{
		{pattern: "HEAD " + n.path, finds: "label", summary: "Tell whether a label is taken", serve: labelExists},
		{pattern: "GET " + n.path, finds: "label", summary: "List specimens", answers: either{n.list(), []map[string]any{}}, serve: listSpecimens},
		getRoute(n),
		createRoute(n, func(in *input) biobank.Draft { return specimenDraft(in) }),
		changeRoute("PUT", n, func(in *input, id int64) biobank.Draft { return specimenPatch(in, id) }),
		{pattern: "PUT " + n.path, summary: "Change several specimens", answers: n.list(), serve: changeSpecimens},
		bulkRoute(n, func(in *input, id int64) biobank.Draft { return specimenPatch(in, id) }),
		{pattern: "PUT " + n.path + "/{id}/status", summary: "Close, open or delete a specimen", answers: n.shows, serve: changeSpecimenStatus},
		{pattern: "PUT " + n.path + "/status", summary: "Close, open or delete several specimens", answers: n.list(), serve: changeSpecimenStatuses},
		{pattern: "POST " + n.path + "/collect", summary: "Collect trees of specimens in a visit", answers: n.list(), serve: collectSpecimens},
		deleteRoute(gone),
		bulkDeleteRoute(gone),
		dependentsRoute(n),
		{pattern: "GET " + n.path + "/{id}/cpr-visit-ids", summary: "Tell where a specimen belongs", answers: placeView{}, serve: specimenPlace},
		{pattern: "GET " + n.path + "/{id}/primary-specimen-id", summary: "The specimen that a specimen comes from", answers: idView{}, serve: primaryOf},
		{pattern: "POST " + n.path + "/search", summary: "Find specimens", answers: either{n.list(), []map[string]any{}}, serve: searchSpecimens},
		{pattern: "POST " + n.path + "/pooled", summary: "Pool specimens into a new one", answers: n.shows, serve: poolSpecimens},
		{pattern: "POST " + n.path + "/undelete", summary: "Bring a deleted specimen back", answers: n.shows, serve: undeleteSpecimen},
		{pattern: "GET " + n.path + "/{id}/events", summary: "List what happened to a specimen", answers: []eventsView{}, serve: specimenEvents},
		auditRoute(n),
	}
}

func specimenDoc(in *input) biobank.SpecimenDoc {
	doc := biobank.SpecimenDoc{
		Label: in.text("label"), AdditionalLabel: in.text("additionalLabel"), Barcode: in.text("barcode"),
		Class: in.text("specimenClass"), Type: in.text("type"), Lineage: in.text("lineage"),
		AnatomicSite: in.text("anatomicSite"), Laterality: in.text("laterality"), Pathology: in.text("pathology"),
		Status: in.text("status"), InitialQty: in.quantity("initialQty"), AvailableQty: in.quantity("availableQty"),
		Concentration: in.quantity("concentration"), Biohazards: in.texts("biohazards"),
		FreezeThawCycles: in.number("freezeThawCycles"), CreatedOn: in.millis("createdOn"), ImageID: in.text("imageId"),
		Comments: in.text("comments"), ActivityStatus: in.text("activityStatus"),
		StorageType: in.text("storageType"), SortOrder: in.maybeNumber("sortOrder"), PreBarcoded: in.maybeFlag("preBarcodedTube"),
		LabelPrintMode: in.text("labelAutoPrintMode"),
	}
	for _, o := range in.objects("externalIds") {
		doc.ExternalIDs = append(doc.ExternalIDs, biobank.ExternalID{Name: o.text("name"), Value: o.text("value")})
	}
	return doc
}

// collection reads what was sent of how a primary specimen was collected, and by whom; nil when nothing was.
func (in *input) collection() (merge[biobank.CollectionEvent], biobank.UserRef) {
	o := in.object("collectionEvent")
	if o == nil {
		return nil, biobank.UserRef{}
	}
	type event = biobank.CollectionEvent
	fresh := event{Time: o.millis("time"), Comments: o.text("comments"), Procedure: o.text("procedure"), Container: o.text("container")}
	m := merge[event]{}
	m.set(o, "time", func(e *event) { e.Time = fresh.Time })
	m.set(o, "comments", func(e *event) { e.Comments = fresh.Comments })
	m.set(o, "procedure", func(e *event) { e.Procedure = fresh.Procedure })
	m.set(o, "container", func(e *event) { e.Container = fresh.Container })
	return m, o.userRef("user")
}

// received reads what was sent of how it arrived.
func (in *input) received() (merge[biobank.ReceivedEvent], biobank.UserRef) {
	o := in.object("receivedEvent")
	if o == nil {
		return nil, biobank.UserRef{}
	}
	type event = biobank.ReceivedEvent
	fresh := event{Time: o.millis("time"), Comments: o.text("comments"), Quality: o.text("receivedQuality")}
	m := merge[event]{}
	m.set(o, "time", func(e *event) { e.Time = fresh.Time })
	m.set(o, "comments", func(e *event) { e.Comments = fresh.Comments })
	m.set(o, "receivedQuality", func(e *event) { e.Quality = fresh.Quality })
	return m, o.userRef("user")
}

// transfer reads what is said about a move of a specimen.
func (in *input) transfer() biobank.MoveRef {
	return in.move("transferUser", "transferTime", "transferComments")
}

// thaws is how often the parent was thawed for its children: a number, or true for once.
func (in *input) thaws() int64 {
	if _, ok := in.members["incrParentFreezeThaw"].(bool); ok {
		if in.flag("incrParentFreezeThaw") {
			return 1
		}
		return 0
	}
	n := in.number("incrParentFreezeThaw")
	if n < 0 {
		in.refuse("incrParentFreezeThaw", "a number that is not negative")
	}
	return max(n, 0)
}

// newContainer reads how the container of a storage location is to be made.
func (in *input) newContainer() *biobank.ContainerRef {
	ref := &biobank.ContainerRef{Kind: biobank.TypeRef{ID: in.number("containerTypeId"), Name: in.text("containerTypeName")}}
	if at := in.location("containerLocation"); at != nil {
		ref.Location = *at
	}
	return ref
}

func specimenDraft(in *input) *biobank.SpecimenDraft {
	d := &biobank.SpecimenDraft{
		Protocol: in.protocolRef(), VisitID: in.number("visitId"), VisitName: in.text("visitName"),
		RequirementID: in.number("reqId"), RequirementCode: in.text("reqCode"), ParentID: in.number("parentId"),
		ParentLabel: in.text("parentLabel"), Location: in.location("storageLocation"), Move: in.transfer(), Doc: specimenDoc(in),
		CloseParent: in.flag("closeParent"), ThawParent: in.thaws(), AutoCollectParents: in.flag("autoCollectParents"),
		NewContainer: in.newContainer(), Extension: in.extension(true),
	}
	collected, collector := in.collection()
	received, receiver := in.received()
	if l := d.Doc.Lineage; l == "" || biobank.Fold(l) == biobank.Fold(biobank.LineageNew) { // children have the events of their ancestor
		d.Doc.Collection, d.Doc.Received, d.Collector, d.Receiver = collected.over(nil), received.over(nil), collector, receiver
	}
	return d
}

// specimenPatch changes what was sent and keeps the rest.
func specimenPatch(in *input, id int64) *biobank.SpecimenDraft {
	type doc = biobank.SpecimenDoc
	fresh := specimenDoc(in)
	d := &biobank.SpecimenDraft{
		ID: id, Protocol: in.protocolRef(), VisitID: in.number("visitId"), VisitName: in.text("visitName"),
		RequirementID: in.number("reqId"), RequirementCode: in.text("reqCode"), ParentID: in.number("parentId"),
		ParentLabel: in.text("parentLabel"), Location: in.location("storageLocation"), Move: in.transfer(),
		CloseParent: in.flag("closeParent"), ThawParent: in.thaws(),
		CheckOut: in.flag("checkout"), Holding: in.location("holdingLocation"), Force: in.flag("forceDelete"), AutoCollectParents: in.flag("autoCollectParents"),
		NewContainer: in.newContainer(), Extension: in.extension(true),
	}
	var m merge[doc]
	m.set(in, "label", func(d *doc) { d.Label = fresh.Label })
	m.set(in, "additionalLabel", func(d *doc) { d.AdditionalLabel = fresh.AdditionalLabel })
	m.set(in, "barcode", func(d *doc) { d.Barcode = fresh.Barcode })
	m.set(in, "type", func(d *doc) { d.Type, d.Class = fresh.Type, "" }) // the class follows from the type
	m.set(in, "specimenClass", func(d *doc) { d.Class = fresh.Class })
	m.set(in, "lineage", func(d *doc) { d.Lineage = cmp.Or(fresh.Lineage, d.Lineage) })
	m.set(in, "anatomicSite", func(d *doc) { d.AnatomicSite = fresh.AnatomicSite })
	m.set(in, "laterality", func(d *doc) { d.Laterality = fresh.Laterality })
	m.set(in, "pathology", func(d *doc) { d.Pathology = fresh.Pathology })
	m.set(in, "status", func(d *doc) { d.Status = fresh.Status })
	m.set(in, "initialQty", func(d *doc) { d.InitialQty = fresh.InitialQty })
	m.set(in, "availableQty", func(d *doc) { d.AvailableQty = fresh.AvailableQty })
	m.set(in, "concentration", func(d *doc) { d.Concentration = fresh.Concentration })
	m.set(in, "biohazards", func(d *doc) { d.Biohazards = fresh.Biohazards })
	m.set(in, "freezeThawCycles", func(d *doc) { d.FreezeThawCycles = fresh.FreezeThawCycles })
	m.set(in, "createdOn", func(d *doc) { d.CreatedOn = fresh.CreatedOn })
	m.set(in, "imageId", func(d *doc) { d.ImageID = fresh.ImageID })
	m.set(in, "externalIds", func(d *doc) { d.ExternalIDs = fresh.ExternalIDs })
	m.set(in, "comments", func(d *doc) { d.Comments = fresh.Comments })
	m.set(in, "activityStatus", func(d *doc) { d.ActivityStatus = fresh.ActivityStatus })
	m.set(in, "storageType", func(d *doc) { d.StorageType = fresh.StorageType })
	m.set(in, "sortOrder", func(d *doc) { d.SortOrder = fresh.SortOrder })
	m.set(in, "preBarcodedTube", func(d *doc) { d.PreBarcoded = fresh.PreBarcoded })
	m.set(in, "labelAutoPrintMode", func(d *doc) { d.LabelPrintMode = fresh.LabelPrintMode })
	collected, collector := in.collection()
	received, receiver := in.received()
	m = append(m, func(is *doc) {
		if is.Lineage != biobank.LineageNew {
			return // shown with the events of its ancestor, and sent back so
		}
		is.Collection, is.Received = collected.over(is.Collection), received.over(is.Received)
		d.Collector, d.Receiver = collector, receiver
	})
	d.Merge = m.onto
	return d
}

// changeSpecimens serves PUT /specimens: patches, each with its id.
func changeSpecimens(c *call) (any, error) {
	list, err := c.bodies()
	if err != nil {
		return nil, err
	}
	if len(list) > maxBulk {
		return nil, fault.New("SPECIMEN_UPDATE_LIMIT_MAXED", "At most %d specimens can be changed at once.", maxBulk)
	}
	var drafts []biobank.Draft
	for _, in := range list {
		id := in.number("id")
		if err := in.err(); err != nil {
			return nil, err
		}
		if id == 0 {
			return nil, fault.New("SPECIMEN_ID_REQUIRED", "Give the id of each specimen.")
		}
		d := specimenPatch(in, id)
		if err := in.err(); err != nil {
			return nil, err
		}
		drafts = append(drafts, d)
	}
	return c.changeAll(specimens(), drafts, reasonOf(list))
}

// changeSpecimenStatus serves PUT /specimens/{id}/status: Active, Closed or Disabled, with a reason.
func changeSpecimenStatus(c *call) (any, error) {
	id, in, err := c.idAndBody()
	if err != nil {
		return nil, err
	}
	d, reason, err := specimenStatus(in, id)
	if err != nil {
		return nil, err
	}
	return c.change(specimens(), d, reason)
}

// specimenStatus reads a change of status, with how and by whom a specimen is closed. Reason and comments are those of the change,
// too, as far as that has room; of a disposal they are kept whole.
func specimenStatus(in *input, id int64) (biobank.Draft, string, error) {
	status := in.text("status")
	reason, comments := in.text("reason"), in.text("comments")
	d := biobank.Removal(biobank.Specimen, id, status, in.flag("forceUpdate") || in.flag("forceDelete")).(*biobank.SpecimenDraft)
	d.Disposer = in.userRef("user")
	d.Disposal = &biobank.DisposalEvent{Time: in.millis("date"), Reason: reason, Comments: comments}
	if err := in.err(); err != nil {
		return nil, "", err
	}
	switch biobank.Fold(status) {
	case "active", "closed", "disabled":
	default:
		return nil, "", fault.New("SPECIMEN_INVALID_DISPOSE_STATUS", "Give the status: Active, Closed or Disabled.")
	}
	why := strings.TrimSpace(reason + " " + comments)
	if biobank.Fold(status) == "closed" {
		why = biobank.ShortReason(why)
	}
	return d, why, nil
}

func changeSpecimenStatuses(c *call) (any, error) {
	list, err := c.bodies()
	if err != nil {
		return nil, err
	}
	if len(list) > maxBulk {
		return nil, fault.New("SPECIMEN_UPDATE_LIMIT_MAXED", "At most %d specimens can be changed at once.", maxBulk)
	}
	var changes []biobank.Change
	for _, in := range list {
		ref := in.specimenRef()
		d, reason, err := specimenStatus(in, ref.id)
		if err != nil {
			return nil, err
		}
		if d.(*biobank.SpecimenDraft).ID, err = c.specimenID(ref); err != nil {
			return nil, err
		}
		changes = append(changes, biobank.Change{Op: biobank.Update, ByID: true, Draft: d, ID: c.id, Reason: reason})
	}
	recs, err := c.api.Registry.ApplyAll(c.Context(), c.actor, c.at, changes)
	if err != nil {
		return nil, err
	}
	return c.show(specimens(), recs...)
}

// specimenRef names a specimen: by id, else label, else barcode.
type specimenRef struct {
	id             int64
	label, barcode string
}

func (in *input) specimenRef() specimenRef {
	return specimenRef{in.number("id"), in.text("label"), in.text("barcode")}
}

// specimenID finds a specimen that the caller may see.
func (c *call) specimenID(ref specimenRef) (int64, error) {
	var recs []*biobank.Record
	var err error
	switch {
	case ref.id != 0:
		return ref.id, nil
	case ref.label != "":
		recs, err = c.api.Registry.ByName(c.Context(), c.actor, biobank.Specimen, []string{ref.label})
	case ref.barcode != "":
		recs, err = c.api.Registry.ByBarcode(c.Context(), c.actor, []string{ref.barcode})
	default:
		return 0, fault.New("SPECIMEN_ID_REQUIRED", "Give the id, label or barcode of each specimen.")
	}
	if err != nil {
		return 0, err
	}
	if len(recs) == 0 {
		return 0, notNamed("SPECIMEN_NOT_FOUND", "Specimen", cmp.Or(ref.label, ref.barcode))
	}
	return recs[0].ID, nil
}

// specimenPlace serves where a specimen belongs.
func specimenPlace(c *call) (any, error) {
	rec, err := c.get(biobank.Specimen)
	if err != nil {
		return nil, err
	}
	return placeView{rec.Key.Protocol(), rec.Key.Registration(), rec.Key.Visit(), rec.ID}, nil
}

type placeView struct {
	CPID       int64 `json:"cpId"`
	CprID      int64 `json:"cprId"`
	VisitID    int64 `json:"visitId"`
	SpecimenID int64 `json:"specimenId"`
}

func primaryOf(c *call) (any, error) {
	rec, err := c.get(biobank.Specimen)
	if err != nil {
		return nil, err
	}
	return idView{primaryID(rec.Key)}, nil
}

type idView struct {
	ID int64 `json:"id"`
}
