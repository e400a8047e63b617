package api_test

import (
	"fmt"
	"strings"
	"testing"

	"aliquot/shared/biobank"
)

// The lists of a protocol: columns, rows, sizes and values, as far as the caller may see them.
func TestListsOfAProtocol(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	for i, name := range []string{"Ada", "Bea", "Cleo"} {
		c.must("POST", "/collection-protocol-registrations", fmt.Sprintf(`{"cpId":%d,"ppid":"L-%d","site":"North Biobank","registrationDate":"2022-0%d-01",
			"participant":{"firstName":%q,"lastName":"Canary","gender":"Female","birthDate":"1990-01-0%d"}}`, s.cp, i, i+1, name, i+1))
	}
	w.newUser("nobody", "NONE")
	tech := w.newUser("tech", "NONE", biobank.Grant{ID: 1, Role: "Technician", ProtocolID: s.cp})
	c.must("POST", "/rbac/roles", `{"name":"Planner","acl":[{"resourceName":"CollectionProtocol","operations":[{"operationName":"Read"}]}]}`)
	planner := w.newUser("planner", "NONE", biobank.Grant{ID: 1, Role: "Planner", ProtocolID: s.cp})
	of := func(call, list, more string) string {
		return fmt.Sprintf("/collection-protocols/%s?cpId=%d&listName=%s-list-view%s", call, s.cp, list, more)
	}
	rows := func(v map[string]any, column int) string {
		var all []string
		for _, row := range v["rows"].([]any) {
			all = append(all, row.(map[string]any)["data"].([]any)[column].(string))
		}
		return strings.Join(all, ",")
	}

	t.Run("columns", func(t *testing.T) {
		for list, n := range map[string]int{"participant": 11, "specimen": 12} {
			v := c.must("GET", of("list-config", list, ""), "")
			if len(v["columns"].([]any)) != n || len(v["filters"].([]any)) != n {
				t.Errorf("%s: %v", list, v)
			}
		}
	})

	t.Run("rows and sizes", func(t *testing.T) {
		const three = `[{"expr":"Participant.ppid","values":["l-"]}]`
		all := c.must("GET", of("list-detail", "participant", ""), "")
		if got := rows(all, 1); strings.Count(got, ",") != 3 || all["size"] != 4.0 {
			t.Errorf("participants %s, size %v", got, all["size"])
		}
		page := c.must("POST", of("list-detail", "participant", "&startAt=1&maxResults=1&includeCount=true"), three)
		if len(page["rows"].([]any)) != 1 || page["size"] != 3.0 {
			t.Errorf("a page of the three: %v", page)
		}
		one := c.must("POST", of("list-detail", "participant", ""), `[{"expr":"Participant.firstName","values":["bea"]}]`)["rows"].([]any)[0].(map[string]any)
		if got := fmt.Sprint(one["data"]); !strings.Contains(got, "L-1 Bea Canary 1990-01-02 Female") || !strings.Contains(got, "2022-02-01 North Biobank") {
			t.Errorf("the row is %s", got)
		}
		for call, want := range map[string]float64{
			of("list-size", "participant", ""): 4, of("list-size", "specimen", ""): 2,
		} {
			if got := c.must("GET", call, "")["size"]; got != want {
				t.Errorf("%s: %v, want %v", call, got, want)
			}
		}
		if got := c.must("POST", of("list-size", "participant", ""), three)["size"]; got != 3.0 {
			t.Errorf("%v of three", got)
		}
		if got := rows(c.must("POST", of("list-detail", "specimen", ""), `[{"expr":"Specimen.lineage","values":["aliquot"]}]`), 3); got != "INV-1-S-1" {
			t.Errorf("aliquots %s", got)
		}
	})

	t.Run("values", func(t *testing.T) {
		for call, want := range map[string]string{
			of("expression-values", "participant", "&expr=Participant.firstName&searchTerm=e"):  `["Bea","Cleo"]`,
			of("expression-values", "participant", "&expr=Participant.lastName&searchTerm=can"): `["Canary"]`,
			of("expression-values", "specimen", "&expr=Specimen.lineage"):                       `["Aliquot","New"]`,
			of("expression-values", "specimen", "&expr=Specimen.barcode&searchTerm=never"):      `[]`,
		} {
			if got := strings.TrimSpace(c.do("GET", call, "").body); got != want {
				t.Errorf("%s: %s, want %s", call, got, want)
			}
		}
	})

	t.Run("without identifying data", func(t *testing.T) {
		a := tech.do("GET", of("list-detail", "participant", ""), "")
		if strings.Contains(a.body, "Canary") || strings.Contains(a.body, "1990") || !strings.Contains(a.body, "L-1") {
			t.Errorf("the technician sees %s", a.body)
		}
		if got := tech.must("POST", of("list-size", "participant", ""), `[{"expr":"Participant.lastName","values":["Canary"]}]`)["size"]; got != 0.0 {
			t.Errorf("the technician finds %v by name", got)
		}
		for _, expr := range []string{"lastName", "dateOfBirth"} {
			if got := strings.TrimSpace(tech.do("GET", of("expression-values", "participant", "&expr=Participant."+expr), "").body); got != "[]" {
				t.Errorf("the technician is told %s", got)
			}
		}
		for _, list := range []string{"participant", "specimen"} { // the protocol may be seen, what lies in it not
			if v := planner.must("GET", of("list-detail", list, "&includeCount=true"), ""); v["size"] != 0.0 || len(v["rows"].([]any)) != 0 {
				t.Errorf("the planner sees %v", v)
			}
		}
	})

	for path, code := range map[string]string{
		"/collection-protocols/list-config?cpId=99&listName=specimen-list-view": "CP_NOT_FOUND",
		"/collection-protocols/list-config?listName=specimen-list-view":         "CP_NOT_FOUND",
		of("list-detail", "nothing", ""):                                        "COMMON_INVALID_INPUT",
		of("list-size", "cart-specimens", ""):                                   "COMMON_INVALID_INPUT",
		of("list-detail", "specimen", "&maxResults=x"):                          "INVALID_REQUEST",
		of("expression-values", "specimen", ""):                                 "INVALID_REQUEST",
		of("expression-values", "specimen", "&expr=Specimen.colour"):            "INVALID_REQUEST",
		"/collection-protocols/list-size?cpId=x&listName=specimen-list-view":    "INVALID_REQUEST",
	} {
		c.do("GET", path, "").refused(t, 400, code)
	}
	c.do("POST", of("list-detail", "specimen", ""), `{}`).refused(t, 400, "INVALID_REQUEST")
}
