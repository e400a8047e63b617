package api

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// List views (reference openspecimen-rest.md sections 9 and 21). The reference leaves their form open: the names of the lists,
// the columns with expr and caption, and rows of hidden ids and cells are what clients of its lists expect.

func listViewRoutes() []route {
	return []route{{pattern: "POST /lists/data", summary: "A page of a list view", answers: listView{}, serve: listData}}
}

// listKind is a kind of list: what it reads for the object that is named, and what it shows.
type listKind struct {
	each    func(c *call, id int64, keep func(*biobank.Record) (bool, error)) error
	noun    noun
	columns []listColumn
	// row shows a view of the noun.
	row func(view any) listRow
}

// listKinds are the lists, by name.
func listKinds() map[string]listKind {
	return map[string]listKind{
		participantList: {each: func(c *call, id int64, keep func(*biobank.Record) (bool, error)) error {
			return c.api.Registry.EachRegistration(c.Context(), c.actor, id, keep)
		}, noun: registrations(), columns: participantColumns(), row: participantRow},
		specimenList: {each: func(c *call, id int64, keep func(*biobank.Record) (bool, error)) error {
			return c.api.Registry.EachSpecimen(c.Context(), c.actor, id, keep)
		}, noun: specimens(), columns: specimenColumns(), row: specimenRow},
		"cart-specimens-list-view": {each: func(c *call, id int64, keep func(*biobank.Record) (bool, error)) error {
			rec, err := c.api.Registry.Cart(c.Context(), c.actor, id)
			if err != nil {
				return err
			}
			return c.api.Registry.CartSpecimens(c.Context(), c.actor, rec.ID, keep)
		}, noun: specimens(), columns: specimenColumns(), row: specimenRow},
	}
}

// The lists of protocols.
const (
	participantList = "participant-list-view"
	specimenList    = "specimen-list-view"
)

// specimenColumns are those of reports.
func specimenColumns() []listColumn {
	exprs := []string{
		"CollectionProtocol.shortTitle", "Participant.ppid", "SpecimenCollectionGroup.name", "Specimen.label", "Specimen.barcode", "Specimen.lineage",
		"Specimen.class", "Specimen.type", "Specimen.tissueSite", "Specimen.pathologicalStatus", "Specimen.availableQty", "Specimen.availabilityStatus",
	}
	columns := make([]listColumn, len(exprs))
	for i, caption := range specimenCells(nil) {
		columns[i] = listColumn{exprs[i], caption}
	}
	return columns
}

func specimenRow(view any) listRow {
	v := view.(specimenView)
	return listRow{listRowIDs{v.CPID, v.CprID, *v.VisitID, *v.ID}, specimenCells(&v)}
}

func participantColumns() []listColumn {
	return []listColumn{
		{"CollectionProtocol.shortTitle", "Collection Protocol"},
		{"Participant.ppid", "PPID"},
		{"Participant.firstName", "First Name"},
		{"Participant.lastName", "Last Name"},
		{"Participant.dateOfBirth", "Birth Date"},
		{"Participant.gender", "Gender"},
		{"Participant.vitalStatus", "Vital Status"},
		{"Participant.empi", "EMPI"},
		{"Participant.regDate", "Registration Date"},
		{"Participant.site", "Registration Site"},
		{"Participant.externalSubjectId", "External Subject ID"},
	}
}

// participantRow shows what the view does: names are masked, and dates of birth left out, for whom they are not.
func participantRow(view any) listRow {
	v := view.(registrationView)
	p := &v.Participant
	return listRow{listRowIDs{CPID: v.CPID, CprID: v.ID}, []string{
		v.CPShortTitle, v.PPID, text(p.FirstName), text(p.LastName), isoDay(p.BirthDate), text(p.Gender), text(p.VitalStatus), text(p.EMPI),
		isoDay(v.RegistrationDate), text(v.Site), text(v.ExternalSubjectID),
	}}
}

func isoDay(ms *int64) string {
	if ms == nil {
		return ""
	}
	return time.UnixMilli(*ms).UTC().Format(time.DateOnly)
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
	VisitID    int64 `json:"visitId,omitempty"` // of a specimen
	SpecimenID int64 `json:"specimenId,omitempty"`
}

// listRequest is what list of what object is asked for, and which rows of it.
type listRequest struct {
	listKind
	id      int64
	filters map[int][]string // by column
}

// listRequest reads which list is asked for, by listName, of the object that a parameter names. Filters are the body of a POST,
// [{expr, values: [..]}]: a row fits a filter when its cell holds one of the values, without regard to case, and is listed when
// it fits all of them.
func (c *call) listRequest(q *query, of string) (*listRequest, error) {
	name, req := q.text("listName"), &listRequest{id: q.number(of), filters: map[int][]string{}}
	if q.wrong != nil {
		return nil, q.wrong
	}
	var list []*input
	if c.Method == http.MethodPost {
		var err error
		if list, err = c.bodies(); err != nil {
			return nil, err
		}
	}
	type filter struct {
		expr   string
		values []string
	}
	var wanted []filter
	for _, in := range list {
		wanted = append(wanted, filter{in.text("expr"), in.texts("values")})
		if err := in.err(); err != nil {
			return nil, err
		}
	}
	kinds := listKinds()
	if of == "cpId" {
		delete(kinds, "cart-specimens-list-view")
	}
	var ok bool
	if req.listKind, ok = kinds[name]; !ok {
		return nil, fault.New("COMMON_INVALID_INPUT", "listName %q is not known. There are %s.", name, strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
	}
	for _, f := range wanted {
		at, err := req.column(f.expr)
		if err != nil {
			return nil, err
		}
		req.filters[at] = append(req.filters[at], f.values...)
	}
	return req, nil
}

// column is the place of a column.
func (req *listRequest) column(expr string) (int, error) {
	at := slices.IndexFunc(req.columns, func(col listColumn) bool { return col.Expr == expr })
	if at < 0 {
		return 0, invalid("The list has no column %q.", expr)
	}
	return at, nil
}

// listData serves POST /lists/data?listName=&objectId=&startAt=&maxResults= with filters.
func listData(c *call) (any, error) {
	q := c.query()
	page := q.page("startAt", 100)
	req, err := c.listRequest(q, "objectId")
	if err != nil {
		return nil, err
	}
	rows, err := c.listRows(req, page)
	return listView{Columns: req.columns, Rows: rows, Size: len(rows)}, err
}

// listRows are the rows of a page; it reads on until that is full.
func (c *call) listRows(req *listRequest, page page) ([]listRow, error) {
	rows, skipped := []listRow{}, 0
	err := c.eachRow(req, min(100, page.most), func() bool {
		if len(req.filters) > 0 || skipped == page.from {
			return false
		}
		skipped++
		return true
	}, func(row listRow) bool {
		switch {
		case skipped < page.from:
			skipped++
		case len(rows) < page.most:
			rows = append(rows, row)
		}
		return len(rows) < page.most
	})
	return rows, err
}

// eachRow gives the rows that fit to use until it returns false; they are shown so many at a time. Of what pass is true
// for nothing is shown.
func (c *call) eachRow(req *listRequest, together int, pass func() bool, use func(listRow) bool) error {
	c = c.forgetful()
	return c.eachView(req.noun, together, func(keep func(*biobank.Record) (bool, error)) error {
		return req.each(c, req.id, func(rec *biobank.Record) (bool, error) {
			if pass() {
				return true, nil
			}
			return keep(rec)
		})
	}, func(view any) bool {
		row := req.row(view)
		return !fitsAll(row.Data, req.filters) || use(row)
	})
}

// forgetful is the call for looking through what may be too much to be remembered: what is read for some records is not
// kept for the next ones.
func (c *call) forgetful() *call {
	forgets := *c
	forgets.Request = c.Request.WithContext(biobank.Forgetful(c.Context()))
	return &forgets
}

// eachView shows the records that each gives, so many at a time, and gives the views to use until it returns false.
func (c *call) eachView(n noun, together int, each func(keep func(*biobank.Record) (more bool, err error)) error, use func(view any) bool) error {
	var some []*biobank.Record
	more := true
	show := func() error {
		views, err := c.show(n, some...)
		some = some[:0]
		for _, v := range views {
			more = more && use(v)
		}
		return err
	}
	err := each(func(rec *biobank.Record) (bool, error) {
		if some = append(some, rec); len(some) < together {
			return true, nil
		}
		err := show()
		return more, err
	})
	if err == nil && more {
		err = show()
	}
	return err
}

func fitsAll(cells []string, filters map[int][]string) bool {
	for at, values := range filters {
		if len(values) > 0 && !slices.ContainsFunc(values, func(v string) bool { return like(cells[at], v, false) }) {
			return false
		}
	}
	return true
}
