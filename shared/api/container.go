package api

import (
	"net/http"
	"strings"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// Storage containers (reference openspecimen-rest.md section 16): how they are read from requests, and their routes.

func containers() noun {
	return noun{path: "/storage-containers", typ: biobank.Container, gather: gatherContainers, view: viewContainer, shows: containerView{}}
}

func containerRoutes() []route {
	n := containers()
	return append(
		[]route{
			{pattern: "GET " + n.path, summary: "List containers", answers: n.list(), serve: listContainers},
			{pattern: "GET " + n.path + "/count", summary: "Count containers", answers: countView{}, serve: countContainers},
			{pattern: "GET " + n.path + "/byname", finds: "name", summary: "Find a container by name or barcode", answers: n.shows, serve: containerByName},
			{pattern: "GET " + n.path + "/{id}", summary: "Read a container; with HEAD, ask whether it admits a specimen", answers: n.shows, serve: getContainer},
			createRoute(n, func(in *input) biobank.Draft { return containerDraft(in, 0) }),
			changeRoute("PUT", n, func(in *input, id int64) biobank.Draft { return containerDraft(in, id) }),
			changeRoute("PATCH", n, containerPatch),
			bulkRoute(n, containerPatch),
			{pattern: "DELETE " + n.path + "/{id}", summary: "Delete a container with those in it", answers: removedView{}, serve: deleteContainer},
			{pattern: "DELETE " + n.path, summary: "Delete several containers", answers: removedView{}, serve: deleteContainers},
			dependentsRoute(n),
			auditRoute(n),
		},
		append(containerCellRoutes(n.path), containerTreeRoutes(n.path)...)...,
	)
}

// location reads a storage location, nil when it was not sent. An empty one, and one whose id is -1, name no container.
func (in *input) location(name string) *biobank.LocationRef {
	if !in.sent(name) {
		return nil
	}
	o := in.object(name)
	if o == nil {
		return &biobank.LocationRef{}
	}
	return &biobank.LocationRef{
		ContainerID: max(o.number("id"), 0), Name: o.text("name"), Barcode: o.text("barcode"), X: o.text("positionX"),
		Y: o.text("positionY"), Position: o.number("position"), Reservation: o.text("reservationId"),
	}
}

// move reads what is said about a change of a location.
func (in *input) move(by, at, comments string) biobank.MoveRef {
	return biobank.MoveRef{By: in.userRef(by), At: in.millis(at), Comments: in.text(comments)}
}

func containerDoc(in *input) biobank.ContainerDoc {
	return biobank.ContainerDoc{
		Name: in.text("name"), Barcode: in.text("barcode"), DisplayName: in.text("displayName"), UsedFor: in.text("usedFor"),
		Grid: in.grid(), Capacity: in.number("capacity"),
		Automated: in.flag("automated"), AutoFreezer: in.text("autoFreezerProvider"), Temperature: in.quantity("temperature"),
		Comments: in.text("comments"), Classes: in.texts("allowedSpecimenClasses"), Types: in.texts("allowedSpecimenTypes"),
		CellDisplay: in.text("cellDisplayProp"), ActivityStatus: in.text("activityStatus"),
	}
}

// kind reads how a container names its type: typeId, else typeName.
func (in *input) kind() *biobank.TypeRef {
	if !in.sent("typeId") && !in.sent("typeName") {
		return nil
	}
	return &biobank.TypeRef{ID: in.number("typeId"), Name: in.text("typeName")}
}

func containerDraft(in *input, id int64) *biobank.ContainerDraft {
	return &biobank.ContainerDraft{
		ID: id, Kind: in.kind(), Site: in.maybeText("siteName"), Location: in.location("storageLocation"),
		CPs: in.texts("allowedCollectionProtocols"), DPs: in.texts("allowedDistributionProtocols"),
		Move: in.move("transferredBy", "transferDate", "transferComments"), CheckOut: in.flag("checkOut"), Doc: containerDoc(in),
		Extension: in.extension(false),
		Stores:    in.maybeFlag("storeSpecimensEnabled"),
	}
}

// containerPatch changes what was sent and keeps the rest.
func containerPatch(in *input, id int64) biobank.Draft {
	type doc = biobank.ContainerDoc
	d := containerDraft(in, id)
	fresh := d.Doc
	var m merge[doc]
	m.set(in, "name", func(d *doc) { d.Name = fresh.Name })
	m.set(in, "barcode", func(d *doc) { d.Barcode = fresh.Barcode })
	m.set(in, "displayName", func(d *doc) { d.DisplayName = fresh.DisplayName })
	m.set(in, "usedFor", func(d *doc) { d.UsedFor = fresh.UsedFor })
	m.set(in, "noOfRows", func(d *doc) { d.Rows = fresh.Rows })
	m.set(in, "noOfColumns", func(d *doc) { d.Columns = fresh.Columns })
	m.set(in, "positionLabelingMode", func(d *doc) { d.Mode = fresh.Mode })
	m.set(in, "positionAssignment", func(d *doc) { d.Assignment = fresh.Assignment })
	m.set(in, "columnLabelingScheme", func(d *doc) { d.ColumnScheme = fresh.ColumnScheme })
	m.set(in, "rowLabelingScheme", func(d *doc) { d.RowScheme = fresh.RowScheme })
	m.set(in, "capacity", func(d *doc) { d.Capacity = fresh.Capacity })
	m.set(in, "automated", func(d *doc) { d.Automated = fresh.Automated })
	m.set(in, "autoFreezerProvider", func(d *doc) { d.AutoFreezer = fresh.AutoFreezer })
	m.set(in, "temperature", func(d *doc) { d.Temperature = fresh.Temperature })
	m.set(in, "comments", func(d *doc) { d.Comments = fresh.Comments })
	m.set(in, "allowedSpecimenClasses", func(d *doc) { d.Classes = fresh.Classes })
	m.set(in, "allowedSpecimenTypes", func(d *doc) { d.Types = fresh.Types })
	m.set(in, "cellDisplayProp", func(d *doc) { d.CellDisplay = fresh.CellDisplay })
	m.set(in, "activityStatus", func(d *doc) { d.ActivityStatus = fresh.ActivityStatus })
	d.Merge, d.Extension = m.onto, in.extension(true)
	return d
}

// containerByName serves GET /storage-containers/byname by name, or by barcode.
func containerByName(c *call) (any, error) {
	q := c.query()
	rec, err := c.api.Registry.ContainerNamed(c.Context(), c.actor, c.at, q.text("name"), q.text("barcode"))
	if err != nil {
		return nil, err
	}
	return c.showOne(containers(), rec)
}

// getContainer serves a container; a HEAD request may ask whether it admits a specimen. (A route of its own for HEAD would
// be at odds with the other GET routes.)
func getContainer(c *call) (any, error) {
	q := c.query()
	cp, class, typ := q.number("cpId"), q.text("specimenClass"), q.text("specimenType")
	q.flag("includeStats", false) // one container is always shown with its statistics
	if q.wrong != nil {
		return nil, q.wrong
	}
	if c.Method == http.MethodHead {
		return c.admits(cp, class, typ)
	}
	rec, err := c.get(biobank.Container)
	if err != nil {
		return nil, err
	}
	return c.showOne(containers(), rec)
}

// admits answers HEAD /storage-containers/{id}: 200 if a specimen of a class and type, of a protocol where that is given, may
// be stored. Without any of the parameters it tells whether the container exists.
func (c *call) admits(cp int64, class, typ string) (any, error) {
	br, err := c.branch()
	if err != nil {
		return nil, err
	}
	if cp == 0 && class == "" && typ == "" {
		return struct{}{}, nil
	}
	if canonical, ok := biobank.Canonical(biobank.SpecimenClasses, class); ok {
		class = canonical
	}
	if of, canonical, ok := biobank.ClassOf(typ); ok {
		if typ = canonical; class == "" {
			class = of
		}
	}
	fits := br.AdmitsKind(class, typ) || class == "" && typ == ""
	if cp != 0 {
		rec, err := c.api.Registry.Get(c.Context(), c.actor, biobank.Protocol, cp)
		if err != nil {
			return nil, err
		}
		doc, err := biobank.Decode[biobank.ProtocolDoc](rec)
		if err != nil {
			return nil, err
		}
		fits = br.Admits(class, typ, cp, doc.Sites)
	}
	if br.Archived() {
		return nil, fault.New("STORAGE_CONTAINER_ARCHIVED", "The container is archived.")
	}
	if !fits {
		return nil, fault.New("STORAGE_CONTAINER_CANNOT_HOLD_SPECIMEN", "The container does not admit such a specimen.")
	}
	return struct{}{}, nil
}

// branch reads the container that the path names, if the caller may see it, with what it lies in.
func (c *call) branch() (*biobank.Branch, error) {
	rec, err := c.get(biobank.Container)
	if err != nil {
		return nil, err
	}
	return c.branchOf(rec)
}

func (c *call) branchOf(rec *biobank.Record) (*biobank.Branch, error) {
	all, err := c.api.Registry.Branches(c.Context(), []*biobank.Record{rec})
	return all[rec.ID], err
}

// removedView counts what went with containers.
type removedView struct {
	Containers int `json:"storage_container"`
	Specimens  int `json:"specimen"`
}

// deleteContainer serves DELETE /storage-containers/{id}: with the containers in it; specimens refuse it unless it is
// forced, which takes them out.
func deleteContainer(c *call) (any, error) {
	id, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	return c.removeContainers([]int64{id})
}

func deleteContainers(c *call) (any, error) {
	q := c.query()
	ids := q.numbers("id")
	if q.wrong != nil {
		return nil, q.wrong
	}
	if len(ids) == 0 {
		return nil, invalid("Give the ids to delete as id.")
	}
	if err := fewEnough(len(ids)); err != nil {
		return nil, err
	}
	return c.removeContainers(ids)
}

func (c *call) removeContainers(ids []int64) (any, error) {
	q := c.query()
	force, reason := q.flag("forceDelete", false), q.text("reason")
	if q.wrong != nil {
		return nil, q.wrong
	}
	n, complete, err := c.api.Registry.RemoveContainers(c.Context(), c.actor, c.at, c.at.Add(removalTime), c.api.Now,
		biobank.Change{ID: c.id, Reason: reason}, ids, force)
	if err != nil {
		return nil, err
	}
	if !complete {
		return nil, unfinished()
	}
	return removedView{n.Containers, n.Specimens}, nil
}

// csvName names a file of a container after it; what a header cannot hold is left out.
func csvName(name, kind string) string {
	keep := func(r rune) rune {
		if r > ' ' && r < 0x7f && !strings.ContainsRune(`"\/;,`, r) {
			return r
		}
		return '_'
	}
	return strings.Map(keep, name) + "_" + kind + ".csv"
}
