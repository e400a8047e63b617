package api

import (
	"maps"
	"slices"
	"strings"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// List views (reference openspecimen-rest.md section 21). The reference leaves their form open: the names of the lists, the
// columns with expr and caption, and rows of hidden ids and cells are what clients of its lists expect.

func listViewRoutes() []route {
	return []route{{pattern: "POST /lists/data", summary: "A page of a list view", answers: listView{}, serve: listData}}
}

// listViews are the lists, by name: each reads the specimens of the object that objectId names.
var listViews = map[string]func(c *call, id int64, keep func(*biobank.Record) (bool, error)) error{
	"specimen-list-view": func(c *call, id int64, keep func(*biobank.Record) (bool, error)) error {
		return c.api.Registry.EachSpecimen(c.Context(), c.actor, id, keep)
	},
	"cart-specimens-list-view": func(c *call, id int64, keep func(*biobank.Record) (bool, error)) error {
		rec, err := c.api.Registry.Cart(c.Context(), c.actor, id)
		if err != nil {
			return err
		}
		return c.api.Registry.CartSpecimens(c.Context(), c.actor, rec.ID, keep)
	},
}

// listExprs name the columns, which are those of reports.
var listExprs = []string{
	"CollectionProtocol.shortTitle", "Participant.ppid", "SpecimenCollectionGroup.name", "Specimen.label", "Specimen.barcode", "Specimen.lineage",
	"Specimen.class", "Specimen.type", "Specimen.tissueSite", "Specimen.pathologicalStatus", "Specimen.availableQty", "Specimen.availabilityStatus",
}

type listView struct {
	Columns []listColumn `json:"columns"`
	Rows    []listRow    `json:"rows"`
	// Size is how many rows there are in this answer.
	Size int `json:"size"`
}

type listColumn struct {
	Expr    string `json:"expr"`
	Caption string `json:"caption"`
}

type listRow struct {
	Hidden listRowIDs `json:"hidden"`
	Data   []string   `json:"data"`
}

type listRowIDs struct {
	CPID       int64 `json:"cpId"`
	CprID      int64 `json:"cprId"`
	VisitID    int64 `json:"visitId"`
	SpecimenID int64 `json:"specimenId"`
}

// listData serves POST /lists/data?listName=&objectId=&startAt=&maxResults= with filters [{expr, values: [..]}]: a row fits a
// filter when its cell holds one of the values, without regard to case, and is listed when it fits all of them.
func listData(c *call) (any, error) {
	q := c.query()
	name, id, page := q.text("listName"), q.number("objectId"), q.page("startAt", 100)
	if q.wrong != nil {
		return nil, q.wrong
	}
	list, err := c.bodies()
	if err != nil {
		return nil, err
	}
	filters := map[int][]string{}
	for _, in := range list {
		expr, values := in.text("expr"), in.texts("values")
		if err := in.err(); err != nil {
			return nil, err
		}
		at := slices.Index(listExprs, expr)
		if at < 0 {
			return nil, invalid("The list has no column %q.", expr)
		}
		filters[at] = append(filters[at], values...)
	}
	read, ok := listViews[name]
	if !ok {
		return nil, fault.New("COMMON_INVALID_INPUT", "listName %q is not known. There are %s.", name, strings.Join(slices.Sorted(maps.Keys(listViews)), " and "))
	}
	rows, err := c.listRows(func(keep func(*biobank.Record) (bool, error)) error { return read(c, id, keep) }, filters, page)
	v := listView{Columns: []listColumn{}, Rows: rows, Size: len(rows)}
	for i, caption := range specimenCells(nil) {
		v.Columns = append(v.Columns, listColumn{listExprs[i], caption})
	}
	return v, err
}

// listRows reads on until the page is full.
func (c *call) listRows(read func(keep func(*biobank.Record) (bool, error)) error, filters map[int][]string, page page) ([]listRow, error) {
	r := c.related()
	rows, skipped := []listRow{}, 0
	var some []*biobank.Record
	show := func() error {
		views, err := r.show(specimens(), some...)
		some = some[:0]
		for _, one := range views {
			v := one.(specimenView)
			cells := specimenCells(&v)
			switch {
			case !fitsAll(cells, filters):
			case skipped < page.from:
				skipped++
			case len(rows) < page.most:
				rows = append(rows, listRow{listRowIDs{v.CPID, v.CprID, *v.VisitID, *v.ID}, cells})
			}
		}
		return err
	}
	err := read(func(rec *biobank.Record) (bool, error) {
		if len(filters) == 0 && skipped < page.from {
			skipped++
			return true, nil
		}
		if some = append(some, rec); len(some) < min(100, page.most) {
			return true, nil
		}
		err := show()
		return len(rows) < page.most, err
	})
	if err == nil && len(rows) < page.most {
		err = show()
	}
	return rows, err
}

func fitsAll(cells []string, filters map[int][]string) bool {
	for at, values := range filters {
		if len(values) > 0 && !slices.ContainsFunc(values, func(v string) bool { return like(cells[at], v, false) }) {
			return false
		}
	}
	return true
}
