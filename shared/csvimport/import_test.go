package csvimport_test

import (
	"fmt"
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
	r := newRig(t)
	j, report := r.importFile(cprFile, lines(
		"CP Short Title,PPID,Registration Date,First Name,Last Name",
		"LAKE,P-1,01-02-2026,Mira,Sand",
		"LAKE,P-2,02-02-2026,Tomo,Reed",
		"LAKE,P-3,31-02-2026,Ulla,Fern",
	))
	want := lines(
		`"CP Short Title","PPID","Registration Date","First Name","Last Name","OS_IMPORT_STATUS","OS_ERROR_MESSAGE","OS_IDENTIFIER","OS_PPID"`,
		`"LAKE","P-1","01-02-2026","Mira","Sand","SUCCESS","","1","P-1"`,
		`"LAKE","P-2","02-02-2026","Tomo","Reed","SUCCESS","","2","P-2"`,
	)
	if !strings.HasPrefix(report, want) {
		t.Errorf("report (-want +got):\n%s", cmp.Diff(want, report))
	}
	if j.Status != jobs.Failed || j.Total != 3 || j.FailedRows != 1 || !strings.Contains(report, "Registration Date") {
		t.Errorf("job %+v, report %s", j, report)
	}
	if got, want := r.object(j.FailedReport), lines("CP Short Title,PPID,Registration Date,First Name,Last Name", "LAKE,P-3,31-02-2026,Ulla,Fern"); got != want {
		t.Errorf("failed rows (-want +got):\n%s", cmp.Diff(want, got))
	}
	j, report = r.importFile(visitFile, lines(
		"CP Short Title,PPID,Event Label,Name,Visit Date,Visit Site",
		"LAKE,P-1,Baseline,V-1,03-02-2026,Lakeside Biobank",
		"LAKE,P-2,Baseline,V-2,04-02-2026,Lakeside Biobank",
	))
	if j.Status != jobs.Completed {
		t.Fatalf("visits: %+v\n%s", j, report)
	}
	j, report = r.importFile(specimenFile, lines(
		"Visit Name,Specimen Label,Class,Type,Lineage,Parent Specimen Label,Initial Quantity",
		"V-1,S-1,Fluid,Whole Blood,New,,10",
		",S-1.1,Fluid,Plasma,Derived,S-1,4",
		",S-1.1.1,,,Aliquot,S-1.1,1",
		",S-1.1.2,,,Aliquot,S-1.1,1.5",
		"V-2,S-2,Fluid,Whole Blood,New,,10",
	))
	if j.Status != jobs.Completed {
		t.Fatalf("specimens: %+v\n%s", j, report)
	}
	fmt.Println(report)
}
