package csvimport_test

import (
	"maps"
	"strings"
	"testing"

	"aliquot/shared/biobank"
)

// requirements is a file of requirements; each row begins with event, Unique ID, Parent UID, name, code and lineage.
func requirements(rows ...string) string {
	all := []string{"CP Short Title,Event Label,Unique ID,Parent UID,Name,Code,Lineage,Specimen Class,Specimen Type," +
		"Anatomic Site,Laterality,Pathology,Storage Type,Initial Quantity,Collection Container,Collection Procedure"}
	for _, row := range rows {
		all = append(all, "LAKE,"+row+",Fluid,Plasma,Not Specified,Not Specified,Not Specified,Virtual,1,Not Specified,Not Specified")
	}
	return lines(all...)
}

// A file of requirements can be sent again: what is new in it is made from what the rows of its parents find, and what is
// stored keeps its parent.
func TestRequirementsSentAgain(t *testing.T) {
	r := newRig(t)
	r.crowd()
	r.mustImport("sr_create_20260301080000000.csv", requirements("Baseline,sr_1,,Blood,P,New", "Baseline,sr_2,sr_1,Part,A,Aliquot"))
	r.mustImport("sr_upsert_20260301080000000.csv", requirements("Baseline,sr_1,,Blood 2,P,New", "Baseline,sr_2,sr_1,Part 2,A,Aliquot",
		"Baseline,sr_3,sr_1,Serum,D,Derived", "Baseline,sr_4,sr_3,More,E,Derived"))
	r.mustImport("sr_update_20260301080000000.csv", requirements("Baseline,sr_2,sr_1,Part 3,A,Aliquot", "Baseline,sr_3,sr_7,Serum 3,D,Derived"))
	j, report := r.importFile("sr_upsert_20260301080000001.csv", requirements("Baseline,sr_1,,Blood,Q,New", "Baseline,sr_1,,Blood,R,New", "Baseline,sr_5,sr_9,Lost,F,Derived"))
	if j.FailedRows != 2 || !strings.Contains(report, "is that of data row 1 already") || !strings.Contains(report, "SR_PARENT_NOT_FOUND") {
		t.Errorf("a Unique ID given twice, and one that no row has: %d failed\n%s", j.FailedRows, report)
	}

	// Whoever may not change them is not told which events and codes there are.
	r.user("guest", biobank.UserNone, biobank.StatusActive)
	j, report = r.importKey("guest/sr_update_20260301080000002.csv", requirements("Baseline,,,,P,New", "Baseline,,,,Z,New", "Nowhere,,,,P,New"))
	if j.FailedRows != 3 || strings.Count(report, "RBAC_ACCESS_DENIED") != 3 {
		t.Errorf("a guest is told:\n%s", report)
	}

	recs, err := r.reg.Definitions(t.Context(), r.admin, 1)
	if err != nil {
		t.Fatal(err)
	}
	docs := map[int64]biobank.RequirementDoc{}
	for _, rec := range recs {
		if rec.Type != biobank.Requirement {
			continue
		}
		if docs[rec.ID], err = biobank.Decode[biobank.RequirementDoc](rec); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]string{}
	for _, doc := range docs {
		got[doc.Code+" "+doc.Name] = docs[doc.ParentID].Code
	}
	want := map[string]string{"P Blood 2": "", "A Part 3": "P", "D Serum 3": "P", "E More": "D", "Q Blood": ""}
	if !maps.Equal(got, want) {
		t.Errorf("requirements and those that they are made from: %v, want %v", got, want)
	}
}
