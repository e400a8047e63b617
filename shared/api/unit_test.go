package api_test

import (
	"fmt"
	"testing"
)

// Units are those of the type in the protocol, else of the class, else what is usual.
func TestUnitsOfSpecimens(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	specimen, requirement := fmt.Sprintf("/specimens/%d", s.specimen), fmt.Sprintf("/specimen-requirements/%d", s.requirement)
	dna := fmt.Sprintf("/specimen-requirements/%v", c.must("POST", "/specimen-requirements",
		fmt.Sprintf(`{"eventId":%d,"code":"DNA","specimenClass":"Molecular","type":"DNA",%s}`, s.event, primary))["id"])
	told := func(path string) string {
		v := c.must("GET", path, "")
		return fmt.Sprint(v["quantityUnit"], " ", v["concentrationUnit"])
	}
	check := func(path, want string) {
		t.Helper()
		if got := told(path); got != want {
			t.Errorf("%s is measured in %s, not in %s", path, got, want)
		}
	}
	check(specimen, "ml <nil>")
	check(requirement, "ml <nil>")
	check(dna, "ug ug/ml")

	cp := fmt.Sprintf("/collection-protocols/%d", s.cp)
	put := func(units string) string {
		return `{"shortTitle":"INV","title":"An invented study","code":"I1","principalInvestigator":{"id":2},"cpSites":[{"siteName":"North Biobank"}]` + units + `}`
	}
	for _, refused := range [][2]string{
		{`[{"quantityUnit":"ul"}]`, "SPECIMEN_INVALID_SPECIMEN_CLASS"},
		{`[{"specimenClass":"Fluid","type":"DNA","quantityUnit":"ul"}]`, "SPECIMEN_INVALID_SPECIMEN_TYPE"},
		{`[{"specimenClass":"Fluid","quantityUnit":"barrels"}]`, "SPECIMEN_INVALID_UNIT"},
		{`[{"specimenClass":"Fluid"}]`, "SPECIMEN_TYPE_UNIT_QTY_OR_CONC_UNIT_REQ"},
		{`[{"specimenClass":"Fluid","quantityUnit":"ul"},{"specimenClass":"fluid","concentrationUnit":"ug/ml"}]`, "SPECIMEN_TYPE_UNIT_DUP"},
		{`{"specimenClass":"Fluid"}`, "INVALID_REQUEST"},
	} {
		c.do("PUT", cp, put(`,"units":`+refused[0])).refused(t, 400, refused[1])
	}
	check(specimen, "ml <nil>")

	c.must("PUT", cp, put(`,"units":[{"specimenClass":"molecular","type":"dna","quantityUnit":"NG"},{"specimenClass":"Molecular","concentrationUnit":"ng/ul"},{"specimenClass":"Fluid","quantityUnit":"ul"}]`))
	check(dna, "ng ng/ul")
	check(specimen, "ul <nil>")
	c.must("PUT", cp, put("")) // clients that know of no units send none
	check(requirement, "ul <nil>")

	// They are part of the definition, and go with a copy.
	def := c.must("GET", cp+"/definition", "")["units"]
	if fmt.Sprint(def) != "[map[quantityUnit:ng specimenClass:Molecular type:DNA] map[concentrationUnit:ng/ul specimenClass:Molecular] map[quantityUnit:ul specimenClass:Fluid]]" {
		t.Errorf("the definition has the units %v", def)
	}
	copied := c.must("POST", cp+"/copy", `{"shortTitle":"TWO","title":"Two"}`)
	if got := c.must("GET", fmt.Sprintf("/collection-protocols/%v/definition", copied["id"]), "")["units"]; fmt.Sprint(got) != fmt.Sprint(def) {
		t.Errorf("the copy has the units %v", got)
	}
	c.must("PUT", cp, put(`,"units":[]`))
	check(specimen, "ml <nil>")
}

func TestUnitsArePropertiesOfTypes(t *testing.T) {
	c := newWorld(t).signIn("admin", password)
	for _, one := range [][2]string{
		{"/permissible-values/v/RNA?attribute=specimen_type&includeProps=true", "map[concentration_unit:ug/ml quantity_unit:ug]"},
		{"/permissible-values/v/Slide?attribute=specimen_type&includeProps=true", "map[concentration_unit:cells/ml quantity_unit:slides]"},
		{"/permissible-values/v/Tissue?attribute=specimen_class&includeProps=true", "map[quantity_unit:g]"},
		{"/permissible-values/v/Left?attribute=laterality&includeProps=true", "map[]"},
		{"/permissible-values/v/RNA?attribute=specimen_type", "<nil>"},
	} {
		if got := fmt.Sprint(c.must("GET", one[0], "")["props"]); got != one[1] {
			t.Errorf("%s: %s, not %s", one[0], got, one[1])
		}
	}
}
