package csvimport_test

import (
	"encoding/csv"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"aliquot/shared/biobank"
	"aliquot/shared/jobs"
)

// What becomes of each row of the other types is told by row and column, in golden files: first the rows that are refused.
func TestReportsOfOtherTypes(t *testing.T) {
	base := newRig(t)
	base.crowd()
	for _, flow := range otherFlows {
		t.Run(flow.name, func(t *testing.T) {
			r := rigOver(t, base.copy())
			r.actors()
			j, report := r.importFile(flow.file, flow.content)
			if j.Status != jobs.Failed || j.FailedRows == 0 || j.FailedRows == j.Total {
				t.Errorf("%s: %d of %d rows failed: %s", j.Status, j.FailedRows, j.Total, j.Reason)
			}
			golden(t, "types/"+fileName(flow.name), outcomes(t, report))
		})
	}
}

// Whoever has no right by the API has none by a file.
func TestRightsOfOtherTypes(t *testing.T) {
	base := newRig(t)
	base.crowd()
	base.user("guest", biobank.UserNone, biobank.StatusActive)
	told := regexp.MustCompile(`RBAC_|SPECIMEN_NOT_FOUND\)|SPECIMEN_PARENT_REQUIRED|the Unique ID "none"|IMPORT_JOB_RECORD_PARSE_ERROR`)
	for _, flow := range otherFlows {
		t.Run(flow.name, func(t *testing.T) {
			r := rigOver(t, base.copy())
			j, report := r.importKey("guest/"+flow.file, flow.content)
			if j.FailedRows != j.Total || strings.Contains(report, "SUCCESS") {
				t.Errorf("a guest saved rows:\n%s", outcomes(t, report))
			}
			if !regexp.MustCompile(`RBAC_|U-1"+ was not found`).MatchString(report) { // or as if what it names were not there
				t.Errorf("no row is refused for want of a right:\n%s", outcomes(t, report))
			}
			if flow.name != "aliquots" && flow.name != "derivatives" && flow.name != "requirements" {
				return
			}
			for row := range strings.Lines(outcomes(t, report)) {
				if strings.Contains(row, "FAIL") && !told.MatchString(row) {
					t.Errorf("a guest is told what is not his to know: %s", row)
				}
			}
			var next [2]int64
			for i, store := range []*rig{rigOver(t, base.copy()), r} {
				n, err := store.reg.Store.Reserve(t.Context(), string(biobank.Specimen), 1)
				if err != nil {
					t.Fatal(err)
				}
				next[i] = n
			}
			planned := int64(0)
			if flow.name == "derivatives" {
				planned = j.Total // for each row, as of any file, whatever it is about
			}
			if next[0]+planned != next[1] {
				t.Errorf("%d numbers were taken for a guest", next[1]-next[0])
			}
		})
	}
}

// Custom fields are columns of protocols, containers and distribution protocols, too, without a cpId.
func TestCustomFieldsOutsideOfProtocols(t *testing.T) {
	r := newRig(t)
	f := r.apply(r.admin, &biobank.FormDraft{Definition: fmt.Appendf(nil, habits, "habits", "Habits")})
	for _, level := range []biobank.Level{biobank.ProtocolFields, biobank.ContainerFields, biobank.DistributionFields} {
		r.apply(r.admin, &biobank.FormContextsDraft{FormID: f.ID, Contexts: []biobank.FormContextDoc{{Level: level}}})
	}
	for _, file := range []struct {
		name, head, good, bad string
		key                   biobank.Key
	}{
		{"cp", "Sites#1#Name,Title,Short Title,PI#PI Email", "Lakeside Biobank,Two,TWO,ada@example.org", "Lakeside Biobank,Three,THREE,ada@example.org", biobank.SetKey(biobank.Protocol, 3)},
		{"storageContainer", "Name,Site Name,Stores Specimen", "Crate,Lakeside Biobank,yes", "Crate 2,Lakeside Biobank,yes", biobank.SetKey(biobank.Container, 2)},
		{
			"distributionProtocol", "Title,Short Title,Receiving Institute,PI#Email,Distributing Sites#1#Institute", "Give,G,Lakeside Institute,ada@example.org,Lakeside Institute",
			"Take,T,Lakeside Institute,ada@example.org,Lakeside Institute", biobank.SetKey(biobank.DistributionProtocol, 2),
		},
	} {
		j, report := r.importFile(file.name+"_create_20260301080000000.csv", lines(
			file.head+",Habits#Status Now,Habits#Packs,Habits#Nothing", file.bad+",Sometimes,1,", file.good+",Never,2.5,"))
		if j.FailedRows != 1 || !strings.Contains(report, "Status Now") || len(j.Warnings) != 1 {
			t.Errorf("%s: %d failed, %q\n%s", file.name, j.FailedRows, j.Warnings, report)
		}
		recs, err := r.reg.Fetch(t.Context(), file.key)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := biobank.Decode[struct{ Extension *biobank.Extension }](recs[file.key])
		if err != nil {
			t.Fatal(err)
		}
		if got := values(t, doc.Extension); got != `{"DD1":"Never","NU2":2.5}` {
			t.Errorf("%s has the custom fields %s", file.name, got)
		}
	}
}

// outcomes are the rows of a report, each with the number that it has in the file, and what was generated for it.
func outcomes(t *testing.T, report string) string {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(report)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for i, row := range rows {
		for n, caption := range rows[0] {
			if strings.HasPrefix(caption, "OS_") {
				fmt.Fprintf(&b, "%d %s\n", i, strings.TrimSpace(strings.Join(row[n:], " | ")))
				break
			}
		}
	}
	return b.String()
}
