package api

import (
	"slices"
	"strings"

	"aliquot/shared/biobank"
)

// The lists of protocols (reference openspecimen-rest.md section 9, "UI support"). The reference names the calls and no more.
// Here each takes the protocol as cpId and the list as listName, participant-list-view or specimen-list-view; the rows and
// columns are those of POST /lists/data, and filters the body of a POST. A list of registrations or specimens leaves out what
// the caller may not see, and shows of people what their registrations show.

func protocolListRoutes() []route {
	const path = "/collection-protocols"
	return []route{
		{pattern: "GET " + path + "/list-config", summary: "Tell what columns and filters a list of a protocol has", answers: listConfig{}, serve: protocolListConfig},
		{pattern: "GET " + path + "/list-detail", summary: "A page of a list of a protocol", answers: listView{}, serve: protocolListDetail},
		{pattern: "POST " + path + "/list-detail", summary: "A page of a list of a protocol, filtered", answers: listView{}, serve: protocolListDetail},
		{pattern: "GET " + path + "/list-size", summary: "Count the rows of a list of a protocol", answers: listSize{}, serve: protocolListSize},
		{pattern: "POST " + path + "/list-size", summary: "Count the rows of a list of a protocol that fit filters", answers: listSize{}, serve: protocolListSize},
		{pattern: "GET " + path + "/expression-values", summary: "List the values in a column of a list of a protocol", answers: []string{}, serve: protocolListValues},
	}
}

// listConfig tells the columns of a list. Rows can be filtered by each.
type listConfig struct {
	Columns []listColumn `json:"columns"`
	Filters []listColumn `json:"filters"`
}

type listSize struct {
	Size int `json:"size"`
}

// protocolList reads which list of a protocol is asked for, if the caller may see the protocol.
func (c *call) protocolList(q *query) (*listRequest, error) {
	req, err := c.listRequest(q, "cpId")
	if err != nil {
		return nil, err
	}
	_, err = c.api.Registry.Get(c.Context(), c.actor, biobank.Protocol, req.id)
	return req, err
}

func protocolListConfig(c *call) (any, error) {
	req, err := c.protocolList(c.query())
	if err != nil {
		return nil, err
	}
	return listConfig{req.columns, req.columns}, nil
}

// protocolListDetail serves a page. The size is that of the page or, with includeCount, of the whole list, which is read for
// it.
func protocolListDetail(c *call) (any, error) {
	q := c.query()
	page, count := q.page("startAt", 100), q.flag("includeCount", false)
	req, err := c.protocolList(q)
	if err != nil {
		return nil, err
	}
	v := listView{Columns: req.columns}
	if v.Rows, err = c.listRows(req, page); err != nil {
		return nil, err
	}
	if v.Size = len(v.Rows); count {
		v.Size, err = c.sizeOf(req)
	}
	return v, err
}

func protocolListSize(c *call) (any, error) {
	req, err := c.protocolList(c.query())
	if err != nil {
		return nil, err
	}
	n, err := c.sizeOf(req)
	return listSize{n}, err
}

// sizeOf counts the rows of a list that fit. Those of a list without filters need not be shown.
func (c *call) sizeOf(req *listRequest) (int, error) {
	n := 0
	err := c.eachRow(req, 100, func() bool {
		if len(req.filters) == 0 {
			n++
		}
		return len(req.filters) == 0
	}, func(listRow) bool {
		n++
		return true
	})
	return n, err
}

// Of a column's values at most so many are told.
const maxListValues = 500

// protocolListValues serves GET /collection-protocols/expression-values?cpId=&listName=&expr=&searchTerm=: the values that are
// in a column, those that hold the term, in their order. It reads on until it has 500. What is masked is no value.
func protocolListValues(c *call) (any, error) {
	q := c.query()
	expr, term := q.text("expr"), q.text("searchTerm")
	req, err := c.protocolList(q)
	if err != nil {
		return nil, err
	}
	at, err := req.column(expr)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	err = c.eachRow(req, 100, func() bool { return false }, func(row listRow) bool {
		if v := row.Data[at]; v != "" && v != masked && like(v, term, false) {
			seen[v] = true
		}
		return len(seen) < maxListValues
	})
	values := make([]string, 0, len(seen))
	for v := range seen {
		values = append(values, v)
	}
	slices.SortFunc(values, func(a, b string) int { return strings.Compare(biobank.Fold(a), biobank.Fold(b)) })
	return values, err
}
