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

// Specimens of a protocol without participants name the protocol, in the column or for the whole file.
func TestSpecimensOfASpecimenCentricProtocol(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		r.mustImport("cp_create_20260301080000000.csv", lines(
			"Short Title,Title,PI#PI Email,Sites#1#Name,Specimen Centric,Label Format",
			"BANK,A bank,ada@example.org,Lakeside Biobank,true,BANK-%CP_UID(3)%",
		))
		r.mustImport("specimen_create_20260301080000001.csv", lines(
			"CP Short Title,Type,Lineage,Parent Specimen Label,Initial Quantity",
			"BANK,Plasma,,,4", "BANK,Plasma,,,5",
		))
		r.mustImport("specimen_create_20260301080000002.csv", lines("Parent Specimen Label,Lineage,Specimen Label,Initial Quantity", "BANK-001,Aliquot,A-1,1"))
		j, report := r.importFile("specimen_create_20260301080000003.csv", lines("CP Short Title,Type,Specimen Label", "LAKE,Plasma,S-1", "BANK,Plasma,S-1", "BANK,Plasma,"))
		if j.FailedRows != 2 || !strings.Contains(report, "SPECIMEN_VISIT_REQUIRED") || !strings.Contains(report, "SPECIMEN_MANUAL_LABEL_NOT_ALLOWED") || !strings.Contains(report, "BANK-005") {
			t.Error(report)
		}
		for _, label := range []string{"BANK-001", "BANK-002", "A-1"} {
			if !strings.Contains(r.state(), label) {
				t.Errorf("there is no %s", label)
			}
		}
		if _, report := r.importFile("cpr_create_20260301080000004.csv", lines("CP Short Title,PPID,Registration Date", "BANK,P-1,01-02-2026")); !strings.Contains(report, "CP_OP_NOT_ALLOWED_SC") {
			t.Error(report)
		}
	})
}

// A row may say what a quantity is measured in, which is kept with the type: it must be that.
func TestUnitsInFiles(t *testing.T) {
	r := newRig(t)
	r.mustImport("cp_create_20260301080000000.csv", lines(
		"Short Title,Title,PI#PI Email,Sites#1#Name,Specimen Centric,Label Format",
		"BANK,A bank,ada@example.org,Lakeside Biobank,true,BANK-%CP_UID(3)%",
	))
	const units = "Quantity Unit,Concentration Unit"
	j, report := r.importFile("specimen_create_20260301080000001.csv", lines(
		"CP Short Title,Type,Initial Quantity,"+units,
		"BANK,Plasma,4,ML,", "BANK,DNA,4,,ug/ml", "BANK,Plasma,5,,", "BANK,Plasma,4,ul,", "BANK,Plasma,4,,ug/ml",
	))
	if j.FailedRows != 2 || strings.Count(report, "SPECIMEN_INVALID_UNIT") != 2 || !strings.Contains(report, "BANK-003") {
		t.Error(report)
	}
	if j, report = r.importFile("specimen_update_20260301080000002.csv", lines("Specimen Label,Initial Quantity,"+units,
		"BANK-001,6,ml,", "BANK-002,6,ml,", "BANK-003,6,##set_to_blank##,")); j.FailedRows != 1 || strings.Count(report, "SPECIMEN_INVALID_UNIT") != 1 {
		t.Error(report)
	}
	const head = "CP Short Title,Event Label,Lineage,Specimen Class,Specimen Type,Anatomic Site,Laterality,Pathology,Storage Type,Collection Procedure,Collection Container," + units
	row := func(units string) string {
		return "LAKE,Baseline,New,Fluid,Plasma,Not Specified,Not Specified,Not Specified,Virtual,Not Specified,Not Specified," + units
	}
	if j, report = r.importFile("sr_create_20260301080000003.csv", lines(head, row("ml,"), row("g,"))); j.FailedRows != 1 || strings.Count(report, "SPECIMEN_INVALID_UNIT") != 1 {
		t.Error(report)
	}
}

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
