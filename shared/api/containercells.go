package api

import (
	"encoding/hex"
	"fmt"
	"io"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// The cells of containers (reference openspecimen-rest.md 16.1, 16.2).

func containerCellRoutes(path string) []route {
	return []route{
		{pattern: "GET " + path + "/{id}/occupied-positions", summary: "List who holds the cells of a container", answers: []positionView{}, serve: occupiedPositions},
		{pattern: "POST " + path + "/{id}/occupied-positions", summary: "Put specimens and containers into cells", answers: []positionView{}, serve: assignPositions},
		{pattern: "GET " + path + "/{id}/vacant-positions", summary: "List free cells of a container", answers: []storageLocation{}, serve: vacantPositions},
		{pattern: "GET " + path + "/vacant-positions", summary: "List free cells of a container that is named", answers: []storageLocation{}, serve: vacantPositions},
		{pattern: "PUT " + path + "/{id}/block-positions", summary: "Block cells, or all that are free", answers: containerView{}, serve: func(c *call) (any, error) { return c.block(false) }},
		{pattern: "PUT " + path + "/{id}/unblock-positions", summary: "Open blocked cells, or all of them", answers: containerView{}, serve: func(c *call) (any, error) { return c.block(true) }},
		{pattern: "POST " + path + "/reserve-positions", summary: "Reserve cells for five minutes", answers: []storageLocation{}, serve: reservePositions},
		{pattern: "DELETE " + path + "/reserve-positions", summary: "Cancel a reservation", answers: vacatedView{}, serve: cancelReservation},
		{pattern: "DELETE " + path + "/reserve-positions/{reservation}", summary: "Cancel the reservation", answers: vacatedView{}, serve: cancelReservation},
	}
}

// positionView is a cell with who holds it, nulls included.
type positionView struct {
	ID                  *int64         `json:"id"`
	Mode                string         `json:"mode"`
	PosOne              *string        `json:"posOne"`
	PosTwo              *string        `json:"posTwo"`
	PosOneOrdinal       *int64         `json:"posOneOrdinal"`
	PosTwoOrdinal       *int64         `json:"posTwoOrdinal"`
	Position            *int64         `json:"position"`
	ContainerID         int64          `json:"containerId"`
	ContainerName       string         `json:"containerName"`
	OccupyingEntity     *string        `json:"occuypingEntity"` // misspelt in the contract
	OccupyingEntityID   *int64         `json:"occupyingEntityId"`
	OccupyingEntityName *string        `json:"occupyingEntityName"`
	OccupantProps       *occupantProps `json:"occupantProps"`
	CPShortTitle        *string        `json:"cpShortTitle"`
	Blocked             bool           `json:"blocked"`
	BlockedEntityID     *int64         `json:"blockedEntityId"`
	BlockedEntityName   *string        `json:"blockedEntityName"`
}

// occupantProps is what a map shows of who holds a cell; null what does not apply.
type occupantProps struct {
	SpecimenClass *string `json:"specimenClass"`
	Type          *string `json:"type"`
	Barcode       *string `json:"barcode"`
	PPID          *string `json:"ppid"`
	Reserved      bool    `json:"reserved"`
	DisplayName   *string `json:"displayName"`
}

// occupiedPositions serves who holds the cells, by row and column. Of a specimen that the caller may not see no more is
// shown than that there is one.
func occupiedPositions(c *call) (any, error) {
	br, err := c.branch()
	if err != nil {
		return nil, err
	}
	return c.positions(br)
}

func (c *call) positions(br *biobank.Branch) (any, error) {
	all, err := c.api.Registry.Occupants(c.Context(), c.at, br.ID())
	if err != nil {
		return nil, err
	}
	held := all[br.ID()]
	var specimens []*biobank.Record
	var keys []biobank.Key
	for _, o := range held {
		if o.Record != nil && o.Record.Type == biobank.Specimen {
			specimens = append(specimens, o.Record)
			keys = append(keys, setKey(biobank.Protocol, o.Record.Key.Protocol()), registrationOf(o.Record))
		}
	}
	readable, err := c.api.Registry.Readable(c.Context(), c.actor, specimens)
	if err != nil {
		return nil, err
	}
	seen := map[biobank.Key]bool{}
	for _, rec := range readable {
		seen[rec.Key] = true
	}
	r := c.related()
	if err := r.fetch(keys...); err != nil {
		return nil, err
	}
	views := []positionView{}
	for _, o := range held {
		v, err := r.position(br.Doc(), o, seen)
		if err != nil {
			return nil, err
		}
		views = append(views, v)
	}
	return views, nil
}

// registrationOf is where the registration of a specimen lies.
func registrationOf(rec *biobank.Record) biobank.Key {
	return biobank.Key{Part: rec.Key.Part, Sort: biobank.PadID(rec.Key.Registration())}
}

// cellView is a cell without who holds it.
func cellView(doc *biobank.ContainerDoc, cell biobank.Location) positionView {
	v := positionView{Mode: doc.Mode, ContainerID: cell.ContainerID, ContainerName: doc.Name}
	if cell.Row != 0 {
		x, y := doc.Labels(cell.Row, cell.Column)
		n := doc.Ordinal(cell.Row, cell.Column)
		v.ID, v.PosOne, v.PosTwo, v.PosOneOrdinal, v.PosTwoOrdinal, v.Position = &n, &x, &y, &cell.Column, &cell.Row, &n
	}
	return v
}

func (r *related) position(doc *biobank.ContainerDoc, o biobank.Occupant, seen map[biobank.Key]bool) (positionView, error) {
	v := cellView(doc, o.At)
	if o.Record == nil || o.Record.Type == biobank.Container && o.Record.ID == o.At.ContainerID {
		v.Blocked = true // or reserved
		return v, nil
	}
	kind, name := "container", ""
	var props occupantProps
	visible := true
	if o.Record.Type == biobank.Specimen {
		kind = "specimen"
		s, err := biobank.Decode[biobank.SpecimenDoc](o.Record)
		if err != nil {
			return v, err
		}
		cp, err := decodeAt[biobank.ProtocolDoc](r, setKey(biobank.Protocol, o.Record.Key.Protocol()))
		if err != nil {
			return v, err
		}
		reg, err := decodeAt[biobank.RegistrationDoc](r, registrationOf(o.Record))
		if err != nil {
			return v, err
		}
		if visible = seen[o.Record.Key]; visible {
			name, v.CPShortTitle = s.Label, orNull(cp.ShortTitle)
			props = occupantProps{SpecimenClass: &s.Class, Type: &s.Type, Barcode: orNull(s.Barcode), PPID: orNull(reg.PPID)}
		}
	} else {
		k, err := biobank.Decode[biobank.ContainerDoc](o.Record)
		if err != nil {
			return v, err
		}
		name = k.Name
		props.DisplayName = orNull(k.DisplayName)
	}
	v.OccupyingEntity = &kind
	if !visible {
		v.Blocked = o.Kept
		return v, nil
	}
	v.OccupantProps = &props
	if o.Kept {
		v.Blocked, v.BlockedEntityID, v.BlockedEntityName = true, &o.Record.ID, &name
		return v, nil
	}
	v.OccupyingEntityID, v.OccupyingEntityName = &o.Record.ID, &name
	return v, nil
}

// cellRef reads which cell a position object means: its labels, else its number.
func (in *input) cellRef() biobank.LocationRef {
	return biobank.LocationRef{X: in.text("posOne"), Y: in.text("posTwo"), Position: in.number("position")}
}

// assignPositions serves POST /{id}/occupied-positions.
func assignPositions(c *call) (any, error) {
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	d := biobank.AssignDraft{Vacate: in.flag("vacateOccupant")}
	reason := in.text("opComments")
	for _, o := range in.objects("positions") {
		it, err := o.assignment()
		if err != nil {
			return nil, err
		}
		d.Items = append(d.Items, it)
	}
	if err := in.err(); err != nil {
		return nil, err
	}
	if len(d.Items) == 0 {
		return nil, invalid("Give the positions.")
	}
	if len(d.Items) > maxPage {
		return nil, invalid("The request names %d positions; at most %d are possible.", len(d.Items), maxPage)
	}
	br, err := c.branch()
	if err != nil {
		return nil, err
	}
	d.ID = br.ID()
	change := biobank.Change{ID: c.id, Reason: reason}
	if err := c.api.Registry.Assign(c.Context(), c.actor, c.at, change, d); err != nil {
		return nil, err
	}
	return c.positions(br)
}

// assignment reads who goes into a cell.
func (in *input) assignment() (biobank.Assignment, error) {
	it := biobank.Assignment{At: in.cellRef(), ID: in.number("occupyingEntityId"), Name: in.text("occupyingEntityName")}
	switch kind := in.text("occuypingEntity"); biobank.Fold(kind) {
	case "specimen":
		it.Type = biobank.Specimen
	case "container":
		it.Type = biobank.Container
	default:
		return it, fault.New("STORAGE_CONTAINER_INVALID_ENTITY_TYPE", "%q cannot be put into a position; a specimen or a container can.", kind)
	}
	if it.ID <= 0 && it.Name == "" {
		return it, fault.New("STORAGE_CONTAINER_OCCUPYING_ENTITY_ID_OR_NAME_REQUIRED", "Give the id or the name of each specimen or container.")
	}
	return it, nil
}

// vacantPositions serves free cells of a container, named by its id or its name: from a cell on, and once around.
func vacantPositions(c *call) (any, error) {
	q := c.query()
	name, id, n := q.text("name"), q.number("containerId"), q.number("numPositions")
	from := biobank.LocationRef{X: q.text("startColumn"), Y: q.text("startRow"), Position: q.number("startPosition")}
	if q.wrong != nil {
		return nil, q.wrong
	}
	if n > maxPage {
		return nil, invalid("numPositions must be a number up to %d.", maxPage)
	}
	var rec *biobank.Record
	var err error
	switch {
	case c.PathValue("id") != "":
		rec, err = c.get(biobank.Container)
	case name == "" && id != 0:
		rec, err = c.api.Registry.Get(c.Context(), c.actor, biobank.Container, id)
	default:
		rec, err = c.api.Registry.ContainerNamed(c.Context(), c.actor, c.at, name, "")
	}
	if err != nil {
		return nil, err
	}
	br, err := c.branchOf(rec)
	if err != nil {
		return nil, err
	}
	if br.Doc().Dimensionless() {
		return []storageLocation{locationIn(&biobank.Location{ContainerID: br.ID()}, br.Doc())}, nil
	}
	cells, err := c.api.Registry.Vacant(c.Context(), c.at, br, from, int(max(n, 1)))
	if err != nil {
		return nil, err
	}
	views := []storageLocation{}
	for _, cell := range cells {
		views = append(views, locationIn(&cell, br.Doc()))
	}
	return views, nil
}

// block serves block-positions and unblock-positions; a body without positions means all. It answers with the container.
func (c *call) block(open bool) (any, error) {
	id, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	list, reason, err := c.positionsSent()
	if err != nil {
		return nil, err
	}
	if len(list) > maxPage {
		return nil, invalid("The request names %d positions; at most %d are possible.", len(list), maxPage)
	}
	rec, err := c.api.Registry.Block(c.Context(), c.actor, c.at, biobank.Change{ID: c.id, Reason: reason}, id, list, open)
	if err != nil {
		return nil, err
	}
	return c.showOne(containers(), rec)
}

// positionsSent reads positions: an array, an object that has one, or nothing.
func (c *call) positionsSent() ([]biobank.LocationRef, string, error) {
	text, err := c.text()
	if err != nil || len(text) == 0 {
		return nil, "", err
	}
	v, err := parseJSON(text)
	if err != nil {
		return nil, "", err
	}
	in := &input{members: map[string]any{"positions": v}, wrong: new(error)}
	if members, ok := v.(map[string]any); ok {
		in.members = members
	}
	var list []biobank.LocationRef
	for _, o := range in.objects("positions") {
		list = append(list, o.cellRef())
	}
	return list, in.text("opComments"), in.err()
}

// reservePositions serves POST /reserve-positions: {tenants: [{containerId or containerName, numOfAliquots, specimenClass,
// specimenType, positionX, positionY}], cpId, reservationToCancel}. The reference leaves the body open; this is what its
// clients send. Without a container one is chosen, where the protocol has a containerSelectionStrategy. It answers with the
// locations, to be sent back with their reservationId.
func reservePositions(c *call) (any, error) {
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	d := &biobank.ReserveDraft{}
	cp := in.number("cpId")
	for _, o := range in.objects("tenants") {
		d.Wanted = append(d.Wanted, biobank.ReserveRef{
			In: biobank.LocationRef{
				ContainerID: o.number("containerId"), Name: o.text("containerName"), X: o.text("positionX"), Y: o.text("positionY"),
				Position: o.number("position"),
			},
			Cells: o.number("numOfAliquots"), Protocol: cp, Class: o.text("specimenClass"), Type: o.text("specimenType"),
		})
	}
	cancel := in.text("reservationToCancel")
	if err := in.err(); err != nil {
		return nil, err
	}
	if len(d.Wanted) == 0 && cancel == "" {
		return nil, invalid("Give the tenants: for whom positions are to be reserved.")
	}
	if cancel != "" {
		if _, err := c.api.Registry.CancelReservation(c.Context(), c.actor, c.at, cancel); err != nil {
			return nil, err
		}
	}
	if len(d.Wanted) == 0 {
		return []storageLocation{}, nil
	}
	random := make([]byte, 8)
	if _, err := io.ReadFull(c.api.Random, random); err != nil {
		return nil, fmt.Errorf("draw a reservation id: %w", err)
	}
	d.Random = hex.EncodeToString(random)
	if d.Wanted, err = c.api.Registry.Choose(c.Context(), c.actor, c.at, d.Wanted); err != nil {
		return nil, err
	}
	if _, err := c.apply(biobank.Change{Op: biobank.Update, Draft: d}); err != nil {
		return nil, err
	}
	r := c.related()
	var cells []*biobank.Location
	for i := range d.Cells {
		cells = append(cells, &d.Cells[i])
	}
	if err := r.fetchLocations(cells...); err != nil {
		return nil, err
	}
	views := []storageLocation{}
	for _, cell := range cells {
		v, err := r.locate(cell)
		if err != nil {
			return nil, err
		}
		v.ReservationID = orNull(d.Reservation)
		views = append(views, v)
	}
	return views, nil
}

// cancelReservation serves DELETE /reserve-positions, with the id in the path or as reservationId.
func cancelReservation(c *call) (any, error) {
	id := c.PathValue("reservation")
	if id == "" {
		id = c.query().text("reservationId")
	}
	n, err := c.api.Registry.CancelReservation(c.Context(), c.actor, c.at, id)
	if err != nil {
		return nil, err
	}
	return vacatedView{n}, nil
}

type vacatedView struct {
	Vacated int `json:"vacatedPositions"`
}
