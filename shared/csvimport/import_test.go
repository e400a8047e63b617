package csvimport_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/jobs"
)

const (
	cprFile      = "cpr_create_20260301080000000.csv"
	visitFile    = "visit_create_20260301080100000.csv"
	specimenFile = "specimen_create_20260301080200000.csv"
)

func TestParticipantsVisitsAndSpecimens(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		j, report := r.importFile(cprFile, lines(
			"CP Short Title,PPID,Registration Date,First Name,Last Name",
			"LAKE,P-1,01-02-2026,Mira,Sand",
			"LAKE,P-2,02-02-2026,Tomo,Reed",
			"LAKE,P-3,31-02-2026,Ulla,Fern",
		))
		golden(t, "participants", report)
		if j.Status != jobs.Failed || j.Total != 3 || j.Done != 3 || j.FailedRows != 1 || !strings.Contains(report, "Registration Date") {
			t.Errorf("job %+v, report %s", j, report)
		}
		if got, want := r.object(j.FailedReport), lines("CP Short Title,PPID,Registration Date,First Name,Last Name", "LAKE,P-3,31-02-2026,Ulla,Fern"); got != want {
			t.Errorf("failed rows (-want +got):\n%s", cmp.Diff(want, got))
		}
		r.mustImport(visitFile, lines(
			"CP Short Title,PPID,Event Label,Name,Visit Date,Visit Site",
			"LAKE,P-1,Baseline,V-1,03-02-2026,Lakeside Biobank",
			"LAKE,P-2,Baseline,V-2,04-02-2026,Lakeside Biobank",
		))
		j = r.mustImport(specimenFile, lines(
			"Visit Name,Specimen Label,Class,Type,Lineage,Parent Specimen Label,Initial Quantity",
			"V-1,S-1,Fluid,Whole Blood,New,,10",
			",S-1.1,Fluid,Plasma,Derived,S-1,4",
			",S-1.1.1,,,Aliquot,S-1.1,1",
			",S-1.1.2,,,Aliquot,S-1.1,1.5",
			"V-2,S-2,Fluid,Whole Blood,New,,10",
		))
		golden(t, "specimens", r.object(j.Report))
		if state := r.state(); !strings.Contains(state, `"availableQty":1.5`) {
			t.Errorf("the derivative of 4 with aliquots of 1 and 1.5 has not 1.5 left:\n%s", state)
		}
	})
}
