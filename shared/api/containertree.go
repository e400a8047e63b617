package api

import (
	"cmp"
	"slices"
	"strconv"

	"aliquot/shared/biobank"
	"aliquot/shared/csvfile"
	"aliquot/shared/fault"
)

// What lies in a container and what it lies in, and containers made many at a time (reference openspecimen-rest.md 16.1).

func containerTreeRoutes(path string) []route {
	return []route{
		{pattern: "POST " + path + "/multiple", summary: "Create several containers", answers: []containerView{}, serve: createContainers},
		{pattern: "POST " + path + "/create-hierarchy", summary: "Create containers of a type, filled with those that it holds", answers: []containerView{}, serve: createHierarchy},
		{pattern: "POST " + path + "/{id}/replica", summary: "Create empty containers like another", answers: []containerView{}, serve: replicateContainer},
		{pattern: "GET " + path + "/{id}/child-containers", summary: "List the containers in a container", answers: []containerView{}, serve: childContainers},
		{pattern: "GET " + path + "/{id}/descendant-containers", summary: "List the containers in a container and in those", answers: []containerView{}, serve: descendantContainers},
		{pattern: "GET " + path + "/{id}/ancestors-hierarchy", summary: "Read what a container lies in, from the top", answers: containerView{}, serve: ancestorsHierarchy},
		{pattern: "GET " + path + "/{id}/specimens", summary: "List the specimens in a container and in those in it", answers: []specimenView{}, serve: containerSpecimens},
		{pattern: "GET " + path + "/{id}/specimens-count", summary: "Count the specimens in a container and in those in it", answers: countView{}, serve: containerSpecimensCount},
		{pattern: "GET " + path + "/{id}/transfer-events", summary: "Tell where a container has been", answers: []transferView{}, serve: transferEvents},
		{pattern: "GET " + path + "/{id}/export-map", summary: "Get the map of a container as CSV", answers: file("application/csv"), serve: exportMap},
		{pattern: "GET " + path + "/{id}/report", summary: "Get the specimens in a container as CSV", answers: file("application/csv"), serve: containerReport},
	}
}

func childContainers(c *call) (any, error) {
	br, err := c.branch()
	if err != nil {
		return nil, err
	}
	recs, err := c.api.Registry.Children(c.Context(), c.at, br.ID())
	if err != nil {
		return nil, err
	}
	return c.show(containers(), recs...)
}

func descendantContainers(c *call) (any, error) {
	q := c.query()
	page := q.page("startAt", 100)
	name := q.text("name")
	if q.wrong != nil {
		return nil, q.wrong
	}
	br, err := c.branch()
	if err != nil {
		return nil, err
	}
	all, _, err := c.api.Registry.Inside(c.Context(), c.at, br.Recs[0])
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(one *biobank.Branch) bool { return !like(one.Doc().Name, name, false) })
	return c.showBranches(cut(all, page), false)
}

// ancestorsHierarchy serves the top container with the next one in it, and so on down to the one that is named.
func ancestorsHierarchy(c *call) (any, error) {
	br, err := c.branch()
	if err != nil {
		return nil, err
	}
	views, err := c.show(containers(), br.Recs...)
	if err != nil {
		return nil, err
	}
	var below any
	for _, v := range views {
		one := v.(containerView)
		if below != nil {
			one.ChildContainers = &[]any{below}
		}
		below = one
	}
	return below, nil
}

// specimensInside are the specimens in a container and those in it that the caller may see, of a type and lineage where these are
// asked for, by id.
func (c *call) specimensInside() ([]*biobank.Record, error) {
	q := c.query()
	types, lineages := q.texts("type"), q.texts("lineage")
	br, err := c.branch()
	if err != nil {
		return nil, err
	}
	_, recs, err := c.api.Registry.Inside(c.Context(), c.at, br.Recs[0])
	if err != nil {
		return nil, err
	}
	if recs, err = c.api.Registry.Readable(c.Context(), c.actor, recs); err != nil {
		return nil, err
	}
	return sorted(recs, func(_ int64, d *biobank.SpecimenDoc) bool { return among(types, d.Type) && among(lineages, d.Lineage) },
		func(_, _ *biobank.SpecimenDoc) int { return 0 })
}

func containerSpecimens(c *call) (any, error) {
	q := c.query()
	page := q.page("startAt", 100)
	if q.wrong != nil {
		return nil, q.wrong
	}
	recs, err := c.specimensInside()
	if err != nil {
		return nil, err
	}
	return c.show(specimens(), cut(recs, page)...)
}

func containerSpecimensCount(c *call) (any, error) {
	recs, err := c.specimensInside()
	return countView{len(recs)}, err
}

// transferView is a change of where a container lies.
type transferView struct {
	ID            int64            `json:"id"`
	ContainerID   int64            `json:"containerId"`
	ContainerName string           `json:"containerName"`
	FromSite      *string          `json:"fromSite"`
	FromLocation  *storageLocation `json:"fromLocation"`
	ToSite        *string          `json:"toSite"`
	ToLocation    *storageLocation `json:"toLocation"`
	User          *userSummary     `json:"user"`
	Time          int64            `json:"time"`
	Reason        *string          `json:"reason"`
}

// transferEvents serves how a container came to where it lies, the newest first. Its first place is no transfer.
func transferEvents(c *call) (any, error) {
	br, err := c.branch()
	if err != nil {
		return nil, err
	}
	all, err := c.api.Registry.Transfers(c.Context(), c.actor, br.ID())
	if err != nil {
		return nil, err
	}
	r := c.related()
	var users []int64
	var cells []*biobank.Location
	var sites []biobank.Key
	for _, t := range all {
		users = append(users, t.By)
		cells = append(cells, t.From, t.To)
		sites = append(sites, setKey(biobank.Site, t.FromSite), setKey(biobank.Site, t.ToSite))
	}
	if err := r.fetchUsers(users...); err != nil {
		return nil, err
	}
	if err := r.fetchLocations(cells...); err != nil {
		return nil, err
	}
	if err := r.fetch(sites...); err != nil {
		return nil, err
	}
	views := []transferView{}
	for i, t := range all {
		if i == 0 {
			continue
		}
		v := transferView{ID: int64(i), ContainerID: br.ID(), ContainerName: br.Doc().Name, Time: t.At, Reason: orNull(t.Reason)}
		if v.User, err = r.summary(t.By); err != nil {
			return nil, err
		}
		if v.FromSite, v.FromLocation, err = r.placeOf(t.From, t.FromSite); err != nil {
			return nil, err
		}
		if v.ToSite, v.ToLocation, err = r.placeOf(t.To, t.ToSite); err != nil {
			return nil, err
		}
		views = append(views, v)
	}
	slices.Reverse(views)
	return views, nil
}

// placeOf shows a location and its site; both were fetched.
func (r *related) placeOf(cell *biobank.Location, site int64) (*string, *storageLocation, error) {
	if cell == nil {
		name, err := r.siteName(site)
		return name, nil, err
	}
	name, err := r.siteOf(cell)
	if err != nil {
		return nil, nil, err
	}
	at, err := r.locate(cell)
	return name, &at, err
}

// createContainers serves POST /storage-containers/multiple: an array of containers, up to 25 of which are made all or
// none.
func createContainers(c *call) (any, error) {
	list, err := c.bodies()
	if err != nil {
		return nil, err
	}
	var nodes []*biobank.ContainerNode
	for _, in := range list {
		nodes = append(nodes, &biobank.ContainerNode{Draft: containerDraft(in, 0)})
		if err := in.err(); err != nil {
			return nil, err
		}
	}
	return c.createNodes(nodes, "")
}

// maxContainers is how many containers a request may make.
const maxContainers = 1000

func (c *call) createNodes(nodes []*biobank.ContainerNode, reason string) (any, error) {
	if len(nodes) == 0 {
		return []any{}, nil
	}
	if len(nodes) > maxContainers {
		return nil, invalid("The request makes %d containers; at most %d are possible.", len(nodes), maxContainers)
	}
	recs, err := c.api.Registry.CreateContainers(c.Context(), c.actor, c.at, biobank.Change{ID: c.id, Reason: reason}, nodes)
	if err != nil {
		return nil, err
	}
	return c.show(containers(), recs...)
}

// createHierarchy serves POST /storage-containers/create-hierarchy: numOfContainers of a type, or one for each of names, all
// filled with containers of the type that it holds, and so on. Only the outer ones are answered with.
func createHierarchy(c *call) (any, error) {
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	kind, names, n := in.kind(), in.texts("names"), in.number("numOfContainers")
	draft, reason := containerDraft(in, 0), in.text("opComments")
	if err := in.err(); err != nil {
		return nil, err
	}
	if kind == nil || kind.ID <= 0 && kind.Name == "" {
		return nil, fault.New("STORAGE_CONTAINER_TYPE_REQUIRED", "Give the type of the containers.")
	}
	if n < 0 || n > maxContainers || len(names) > maxContainers {
		return nil, invalid("numOfContainers must be a number from 1 to %d.", maxContainers)
	}
	levels, err := c.typeChain(*kind)
	if err != nil {
		return nil, err
	}
	var nodes []*biobank.ContainerNode
	for i := range max(int(n), len(names), 1) {
		one := *draft
		if i < len(names) {
			one.Doc.Name = names[i]
		} else if n > 1 || len(names) > 0 {
			one.Doc.Name = "" // by the format
		}
		if i > 0 && one.Location != nil {
			next := *one.Location // the first has the cell that was named
			next.X, next.Y, next.Position = "", "", 0
			one.Location = &next
		}
		nodes = append(nodes, &biobank.ContainerNode{Draft: &one, OfType: true})
	}
	tops := len(nodes)
	level := nodes
	for i := 1; i < len(levels); i++ {
		outer := levels[i-1].doc
		var next []*biobank.ContainerNode
		for _, up := range level {
			rows, columns := outer.Rows, outer.Columns
			if i == 1 && draft.Doc.Rows > 0 {
				rows, columns = draft.Doc.Rows, draft.Doc.Columns
			}
			if int64(len(nodes)+len(next))+rows*columns > maxContainers {
				return nil, invalid("The hierarchy has more than %d containers; make it in parts.", maxContainers)
			}
			for range rows * columns {
				d := &biobank.ContainerDraft{Kind: &biobank.TypeRef{ID: levels[i].id}, Doc: biobank.ContainerDoc{
					UsedFor: draft.Doc.UsedFor,
				}}
				next = append(next, &biobank.ContainerNode{Draft: d, Parent: up})
			}
		}
		nodes = append(nodes, next...)
		level = next
	}
	if _, err := c.createNodes(nodes, reason); err != nil {
		return nil, err
	}
	recs := make([]*biobank.Record, tops)
	for i, n := range nodes[:tops] {
		recs[i] = n.Record
	}
	return c.show(containers(), recs...)
}

type typeLevel struct {
	id  int64
	doc biobank.ContainerTypeDoc
}

// typeChain is a container type, the one that it holds, and so on.
func (c *call) typeChain(ref biobank.TypeRef) ([]typeLevel, error) {
	all, err := c.api.Registry.Members(c.Context(), c.actor, biobank.ContainerType)
	if err != nil {
		return nil, err
	}
	byID := map[int64]biobank.ContainerTypeDoc{}
	id := ref.ID
	for _, rec := range all {
		doc, err := biobank.Decode[biobank.ContainerTypeDoc](rec)
		if err != nil {
			return nil, err
		}
		byID[rec.ID] = doc
		if id <= 0 && biobank.Fold(doc.Name) == biobank.Fold(ref.Name) {
			id = rec.ID
		}
	}
	var chain []typeLevel
	for ; id != 0 && len(chain) <= len(all); id = byID[id].CanHold {
		doc, ok := byID[id]
		if !ok {
			break
		}
		chain = append(chain, typeLevel{id, doc})
	}
	if len(chain) == 0 {
		return nil, notNamed("CONTAINER_TYPE_NOT_FOUND", "Container type", cmp.Or(ref.Name, strconv.FormatInt(ref.ID, 10)))
	}
	return chain, nil
}

// replicateContainer serves POST /storage-containers/{id}/replica: {destinations: [{name, barcode, siteName,
// parentContainerId or parentContainerName, posOne, posTwo, position}]}, empty containers of the same kind.
func replicateContainer(c *call) (any, error) {
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	var copies []*biobank.ContainerDraft
	for _, o := range in.objects("destinations") {
		d := &biobank.ContainerDraft{Site: o.maybeText("siteName"), Doc: biobank.ContainerDoc{Name: o.text("name"), Barcode: o.text("barcode")}}
		if into := (biobank.LocationRef{
			ContainerID: o.number("parentContainerId"), Name: o.text("parentContainerName"), X: o.text("posOne"), Y: o.text("posTwo"),
			Position: o.number("position"),
		}); !into.None() {
			d.Location = &into
		}
		copies = append(copies, d)
	}
	reason := in.text("opComments")
	if err := in.err(); err != nil {
		return nil, err
	}
	if len(copies) == 0 {
		return nil, invalid("Give the destinations.")
	}
	br, err := c.branch()
	if err != nil {
		return nil, err
	}
	titles, err := c.titles(biobank.Protocol, br.Doc().Protocols)
	if err != nil {
		return nil, err
	}
	distributions, err := c.titles(biobank.DistributionProtocol, br.Doc().Distributions)
	if err != nil {
		return nil, err
	}
	var nodes []*biobank.ContainerNode
	for _, d := range copies {
		doc := *br.Doc()
		doc.Name, doc.Barcode, doc.ActivityStatus = d.Doc.Name, d.Doc.Barcode, biobank.StatusActive
		doc.Classes, doc.Types = slices.Clone(doc.Classes), slices.Clone(doc.Types)
		d.Doc, d.CPs, d.DPs, d.Stores = doc, titles, distributions, &doc.StoreSpecimens
		if doc.TypeID != 0 {
			d.Kind = &biobank.TypeRef{ID: doc.TypeID}
		}
		nodes = append(nodes, &biobank.ContainerNode{Draft: d})
	}
	return c.createNodes(nodes, reason)
}

// titles are the short titles of collection or distribution protocols.
func (c *call) titles(of biobank.Type, ids []int64) ([]string, error) {
	r := c.related()
	var keys []biobank.Key
	for _, id := range ids {
		keys = append(keys, setKey(of, id))
	}
	if err := r.fetch(keys...); err != nil {
		return nil, err
	}
	return r.shortTitles(of, ids)
}

// exportMap serves the map of a container as CSV: a line for each row, with what the top container says that its cells show.
func exportMap(c *call) (any, error) {
	br, err := c.branch()
	if err != nil {
		return nil, err
	}
	doc := br.Doc()
	if doc.Dimensionless() {
		return nil, fault.New("STORAGE_CONTAINER_DIMLESS_NO_MAP", "Container %q has no positions, and so no map.", doc.Name)
	}
	views, err := c.positions(br)
	if err != nil {
		return nil, err
	}
	at := map[[2]int64]string{}
	for _, v := range views.([]positionView) {
		if v.PosOneOrdinal != nil {
			at[[2]int64{*v.PosTwoOrdinal, *v.PosOneOrdinal}] = v.cellText(br.CellDisplay())
		}
	}
	line := []string{""}
	for column := range doc.Columns {
		x, _ := doc.Labels(1, column+1)
		line = append(line, x)
	}
	body := csvfile.AppendStrings(nil, ',', line...)
	for row := range doc.Rows {
		_, y := doc.Labels(row+1, 1)
		line = append(line[:0], y)
		for column := range doc.Columns {
			line = append(line, at[[2]int64{row + 1, column + 1}])
		}
		body = csvfile.AppendStrings(body, ',', line...)
	}
	return csvAnswer{name: csvName(doc.Name, "map"), body: body}, nil
}

// cellText is what a map shows of a cell.
func (v *positionView) cellText(display string) string {
	switch {
	case v.OccupyingEntityName == nil && v.BlockedEntityName != nil:
		return "(" + *v.BlockedEntityName + ")"
	case v.OccupyingEntityName == nil && v.OccupyingEntity != nil:
		return "(occupied)"
	case v.OccupyingEntityName == nil:
		return "(blocked)"
	case *v.OccupyingEntity != "specimen":
		return *v.OccupyingEntityName
	}
	switch display {
	case "SPECIMEN_PPID":
		return text(v.OccupantProps.PPID)
	case "SPECIMEN_BARCODE":
		return text(v.OccupantProps.Barcode)
	}
	return *v.OccupyingEntityName
}

// deref is the text that may be null, blank then.

// containerReport serves the specimens in a container and those in it as CSV, a line for each.
func containerReport(c *call) (any, error) {
	recs, err := c.specimensInside()
	if err != nil {
		return nil, err
	}
	br, err := c.branch()
	if err != nil {
		return nil, err
	}
	views, err := c.show(specimens(), recs...)
	if err != nil {
		return nil, err
	}
	body := csvfile.AppendStrings(nil, ',', "Container", "Row", "Column", "Position", "Specimen Label", "Barcode", "CP Short Title", "PPID", "Lineage", "Class", "Type")
	for _, one := range views {
		v := one.(specimenView)
		position := ""
		if v.StorageLocation.Position != nil {
			position = strconv.FormatInt(*v.StorageLocation.Position, 10)
		}
		body = csvfile.AppendStrings(body, ',', text(v.StorageLocation.Name), text(v.StorageLocation.PositionY), text(v.StorageLocation.PositionX),
			position, text(v.Label), text(v.Barcode), v.CPShortTitle, v.PPID, v.Lineage, v.SpecimenClass, v.Type)
	}
	return csvAnswer{name: csvName(br.Doc().Name, "report"), body: body}, nil
}
