package api

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"aliquot/shared/biobank"
	"aliquot/shared/csvfile"
)

// What shipments carry (reference openspecimen-rest.md 20.3). A container goes with what lies in it, of which the shipment
// knows nothing: /{id}/specimens of a shipment of containers is empty.

// shippedSpecimenView is an item. A specimen that the reader may not see has only its id.
type shippedSpecimenView struct {
	ID              int64         `json:"id"`
	SpecimenID      int64         `json:"specimenId"`
	Specimen        *specimenView `json:"specimen"`
	ReceivedQuality *string       `json:"receivedQuality"`
}

// shippedContainerView is an item. A container that the reader may not see has only its id.
type shippedContainerView struct {
	ID              int64          `json:"id"`
	ContainerID     int64          `json:"containerId"`
	Container       *containerView `json:"container"`
	ReceivedQuality *string        `json:"receivedQuality"`
}

func (r *related) shippedSpecimens(doc *biobank.ShipmentDoc) ([]shippedSpecimenView, error) {
	views := []shippedSpecimenView{}
	if doc.Type != biobank.ShipmentOfSpecimens {
		return views, nil
	}
	ids := make([]int64, len(doc.Items))
	for i := range doc.Items {
		ids[i] = doc.Items[i].SpecimenID
	}
	shown, err := r.specimensByID(ids)
	if err != nil {
		return nil, err
	}
	for _, item := range doc.Items {
		views = append(views, shippedSpecimenView{item.ID, item.SpecimenID, shown[item.SpecimenID], orNull(item.Quality)})
	}
	return views, nil
}

func (r *related) shippedContainers(doc *biobank.ShipmentDoc) ([]shippedContainerView, error) {
	views := []shippedContainerView{}
	if doc.Type != biobank.ShipmentOfContainers {
		return views, nil
	}
	refs := make([]biobank.LocationRef, len(doc.Items))
	for i := range doc.Items {
		refs[i].ContainerID = doc.Items[i].ContainerID
	}
	recs, err := r.c.api.Registry.ContainersNamed(r.c.Context(), r.c.actor, r.c.at, refs)
	if err != nil {
		return nil, err
	}
	shown, err := shownByID[containerView](r, containers(), recs)
	if err != nil {
		return nil, err
	}
	for _, item := range doc.Items {
		views = append(views, shippedContainerView{item.ID, item.ContainerID, shown[item.ContainerID], orNull(item.Quality)})
	}
	return views, nil
}

// shipment reads the shipment that the path names, with its items.
func (c *call) shipment() (*biobank.Record, *biobank.ShipmentDoc, error) {
	rec, err := c.get(biobank.Shipment)
	if err != nil {
		return nil, nil, err
	}
	doc, err := loaded[biobank.ShipmentDoc](c, rec)
	return rec, &doc, err
}

// listShippedSpecimens serves GET /shipments/{id}/specimens: in the order of the shipment, or by orderBy label, barcode,
// ppid or type, the other way round for direction desc.
func listShippedSpecimens(c *call) (any, error) {
	of := func(f func(*specimenView) string) func(shippedSpecimenView) string {
		return func(v shippedSpecimenView) string { return f(cmp.Or(v.Specimen, &specimenView{})) }
	}
	return listShipped(c, (*related).shippedSpecimens, map[string]func(shippedSpecimenView) string{
		"label": of(func(s *specimenView) string { return text(s.Label) }), "barcode": of(func(s *specimenView) string { return text(s.Barcode) }),
		"ppid": of(func(s *specimenView) string { return s.PPID }), "type": of(func(s *specimenView) string { return s.Type }),
	})
}

// listShippedContainers serves GET /shipments/{id}/containers likewise, by orderBy name or barcode.
func listShippedContainers(c *call) (any, error) {
	of := func(f func(*containerView) string) func(shippedContainerView) string {
		return func(v shippedContainerView) string { return f(cmp.Or(v.Container, &containerView{})) }
	}
	return listShipped(c, (*related).shippedContainers, map[string]func(shippedContainerView) string{
		"name": of(func(s *containerView) string { return s.Name }), "barcode": of(func(s *containerView) string { return text(s.Barcode) }),
	})
}

func listShipped[V any](c *call, show func(*related, *biobank.ShipmentDoc) ([]V, error), orders map[string]func(V) string) (any, error) {
	q := c.query()
	page, by, down := q.page("startAt", 50), q.text("orderBy"), strings.EqualFold(q.text("direction"), "desc")
	if q.wrong != nil {
		return nil, q.wrong
	}
	value, ok := orders[by]
	if by != "" && !ok {
		return nil, invalid("orderBy %q is not possible here.", by)
	}
	_, doc, err := c.shipment()
	if err != nil {
		return nil, err
	}
	views, err := show(c.related(), doc)
	if err != nil {
		return nil, err
	}
	if value != nil {
		slices.SortStableFunc(views, func(a, b V) int { return strings.Compare(value(a), value(b)) })
	}
	if down {
		slices.Reverse(views)
	}
	return cut(views, page), nil
}

// findShippable serves GET /shipments/containers?name=: the containers with these names, in that order, that the caller may
// see; of the site sendingSite, where that is given.
func findShippable(c *call) (any, error) {
	q := c.query()
	names, site := q.texts("name"), q.text("sendingSite")
	if q.wrong != nil {
		return nil, q.wrong
	}
	if err := fewEnough(len(names)); err != nil {
		return nil, err
	}
	refs := make([]biobank.LocationRef, len(names))
	for i, name := range names {
		refs[i].Name = name
	}
	recs, err := c.api.Registry.ContainersNamed(c.Context(), c.actor, c.at, refs)
	if err != nil {
		return nil, err
	}
	views, err := c.show(containers(), recs...)
	return slices.DeleteFunc(views, func(v any) bool {
		return site != "" && !strings.EqualFold(text(v.(containerView).SiteName), site)
	}), err
}

// reportShipment serves GET /shipments/{id}/report: a line for each item behind what is told of the shipment.
func reportShipment(c *call) (any, error) {
	rec, doc, err := c.shipment()
	if err != nil {
		return nil, err
	}
	r := c.related()
	if err := gatherShipments(r, []*biobank.Record{rec}); err != nil {
		return nil, err
	}
	about, err := summarizeShipment(r, rec)
	if err != nil {
		return nil, err
	}
	head := []string{doc.Name, doc.Status, text(about.SendingSite), text(about.ReceivingSite)}
	lines := [][]string{{"Shipment", "Shipment Status", "Sending Site", "Receiving Site"}}
	switch doc.Type {
	case biobank.ShipmentOfContainers:
		lines[0] = append(lines[0], "Container", "Barcode", "Display Name", "Type", "Rows", "Columns", "Received Quality")
		views, err := r.shippedContainers(doc)
		if err != nil {
			return nil, err
		}
		for _, v := range views {
			box := cmp.Or(v.Container, &containerView{})
			lines = append(lines, slices.Concat(head, []string{
				box.Name, text(box.Barcode), text(box.DisplayName), text(box.TypeName), count(box.NoOfRows), count(box.NoOfColumns), text(v.ReceivedQuality),
			}))
		}
	default:
		lines[0] = append(append(lines[0], specimenCells(nil)...), "Received Quality")
		views, err := r.shippedSpecimens(doc)
		if err != nil {
			return nil, err
		}
		for _, v := range views {
			lines = append(lines, slices.Concat(head, specimenCells(cmp.Or(v.Specimen, &specimenView{})), []string{text(v.ReceivedQuality)}))
		}
	}
	var body []byte
	for _, line := range lines {
		body = csvfile.AppendStrings(body, ',', line...)
	}
	return csvAnswer{name: fmt.Sprintf("shipment_%d.csv", rec.ID), body: body}, nil
}

// count is a number as a report has it, blank for none.
func count(n *int64) string {
	if n == nil {
		return ""
	}
	return strconv.FormatInt(*n, 10)
}
