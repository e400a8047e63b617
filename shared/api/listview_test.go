package api_test

import (
	"fmt"
	"strings"
	"testing"

	"aliquot/shared/biobank"
)

func TestListViews(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newDepot(c, 3)
	c.must("PUT", "/specimen-lists/0/specimens", fmt.Sprintf("[%v,%v]", c.specimen("D-01")["id"], c.specimen("D-03")["id"]))
	labels := func(v map[string]any) string {
		var all []string
		for _, row := range v["rows"].([]any) {
			all = append(all, row.(map[string]any)["data"].([]any)[3].(string))
		}
		return strings.Join(all, ",")
	}
	of := func(list string, id int64) string {
		return fmt.Sprintf("/lists/data?listName=%s&objectId=%d", list, id)
	}
	for _, tt := range []struct{ path, filters, want string }{
		{of("specimen-list-view", s.cp), `[]`, "INV-1-S,INV-1-S-1,D-01,D-02,D-03"},
		{of("specimen-list-view", s.cp) + "&startAt=2&maxResults=2", `[]`, "D-01,D-02"},
		{of("specimen-list-view", s.cp) + "&startAt=1&maxResults=1", `[{"expr":"Specimen.label","values":["d-02","D-03"]}]`, "D-03"},
		{of("specimen-list-view", s.cp), `[{"expr":"Specimen.label","values":["D-0"]},{"expr":"Specimen.barcode","values":["DB-02"]}]`, "D-02"},
		{of("specimen-list-view", s.cp), `[{"expr":"Participant.ppid","values":["nobody"]}]`, ""},
		{of("specimen-list-view", s.cp), `[{"expr":"Participant.ppid","values":[]}]`, "INV-1-S,INV-1-S-1,D-01,D-02,D-03"},
		{of("cart-specimens-list-view", 0), `[]`, "D-01,D-03"},
	} {
		got := c.must("POST", tt.path, tt.filters)
		if labels(got) != tt.want || len(got["columns"].([]any)) != 12 {
			t.Errorf("%s %s: %s, want %s", tt.path, tt.filters, labels(got), tt.want)
		}
	}
	for path, code := range map[string]string{
		of("specimen-list-view", 99): "CP_NOT_FOUND", of("cart-specimens-list-view", 99): "SPECIMEN_LIST_NOT_FOUND", of("nothing", 1): "COMMON_INVALID_INPUT",
		"/lists/data": "COMMON_INVALID_INPUT", of("specimen-list-view", s.cp) + "&maxResults=x": "INVALID_REQUEST",
	} {
		c.do("POST", path, `[]`).refused(t, 400, code)
	}
	for _, body := range []string{`{}`, ``, `[{"expr":"Specimen.colour","values":["x"]}]`, `[{"expr":"Specimen.label","values":"x"}]`} {
		c.do("POST", of("specimen-list-view", s.cp), body).refused(t, 400, "INVALID_REQUEST")
	}
	stranger := w.newUser("stranger", "NONE")
	stranger.do("POST", of("specimen-list-view", s.cp), `[]`).refused(t, 400, "RBAC_ACCESS_DENIED")
	c.must("POST", "/specimen-lists", `{"name":"Mine"}`)
	mine := int64(c.list("GET", "/specimen-lists?name=Mine", "")[0]["id"].(float64))
	stranger.do("POST", of("cart-specimens-list-view", mine), `[]`).refused(t, 400, "SPECIMEN_LIST_ACCESS_NOT_ALLOWED")
	deid := w.newUser("deid", "NONE", biobank.Grant{ID: 1, Role: "Researcher", ProtocolID: s.cp})
	if got := labels(deid.must("POST", of("specimen-list-view", s.cp), `[]`)); got != "INV-1-S,INV-1-S-1,D-01,D-02,D-03" {
		t.Errorf("the researcher sees %s", got)
	}
}
