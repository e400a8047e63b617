package csvimport_test

import (
	"strings"
	"testing"

	"aliquot/shared/biobank"
)

// A row that registers somebody whom another protocol knows, by eMPI, National ID or MRN, links the two registrations; where
// its values lead to two people it is refused (reference openspecimen-import-query.md 2.9).
func TestAPersonOfAnotherProtocolIsLinked(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		r.protocol(biobank.ProtocolDoc{ShortTitle: "TARN", Title: "Tarn Study"})
		r.mustImport("cpr_create_20260301080000000.csv", lines(
			"CP Short Title,PPID,Registration Date,First Name,eMPI,National ID,PMI#1#Site Name,PMI#1#MRN",
			"LAKE,L-1,01-02-2026,Mira,E-1,,,", "LAKE,L-2,01-02-2026,Tomo,,N-2,,", "LAKE,L-3,01-02-2026,Ulla,,,Lakeside Biobank,M-3", "LAKE,L-4,01-02-2026,Nils,E-4,,,"))
		j, report := r.importFile("cpr_create_20260301080000001.csv", lines(
			"CP Short Title,PPID,Registration Date,eMPI,National ID,PMI#1#Site Name,PMI#1#MRN",
			"TARN,T-0,01-02-2026,E-1,N-2,,", "TARN,T-1,01-02-2026,E-1,,,", "TARN,T-2,01-02-2026,,N-2,,", "TARN,T-3,01-02-2026,,,Lakeside Biobank,M-3"))
		if j.FailedRows != 1 || !strings.Contains(report, "T-0") || strings.Count(report, "SUCCESS") != 3 {
			t.Errorf("%d rows failed:\n%s", j.FailedRows, report)
		}
		r.mustImport("masterSpecimen_create_20260301080000002.csv", lines(
			"CP Short Title,PPID,eMPI,Event Label,Visit Name,Collection Site,Specimen Label,Type,Initial Quantity,Collection Date",
			"TARN,T-4,E-4,Baseline,T-4.v,Lakeside Biobank,T-4.s,Plasma,1,03-02-2026"))
		person := func(cp int64, ppid string) biobank.ParticipantDoc {
			recs, err := r.reg.ByPPID(t.Context(), r.admin, []int64{cp}, ppid)
			if err != nil || len(recs) != 1 {
				t.Fatalf("PPID %s: %v %v", ppid, recs, err)
			}
			doc, err := biobank.Decode[biobank.RegistrationDoc](recs[0])
			if err != nil {
				t.Fatal(err)
			}
			return doc.Participant
		}
		for _, n := range []string{"1", "2", "3", "4"} {
			if one, two := person(1, "L-"+n), person(2, "T-"+n); one.ID != two.ID || two.FirstName != one.FirstName {
				t.Errorf("L-%s is %d %s, T-%s is %d %s", n, one.ID, one.FirstName, n, two.ID, two.FirstName)
			}
		}
	})
}

// Who may import, and has no right in a protocol, is not told by a file which PPIDs it has.
func TestPPIDsAreForThoseWhoMayKnowThem(t *testing.T) {
	r := newRig(t)
	r.crowd()
	r.user("guest", biobank.UserNone, biobank.StatusActive)
	for name, file := range map[string]string{
		"cpr_update_20260301080000000.csv":            "CP Short Title,PPID,First Name\nLAKE,P-1,Ada\nLAKE,P-99,Ada\n",
		"cpr_upsert_20260301080000001.csv":            "CP Short Title,PPID,First Name\nLAKE,P-1,Ada\nLAKE,P-99,Ada\n",
		"consent_update_20260301080000002.csv":        "CP Short Title,PPID,Consent Statement Code,Consent Response\nLAKE,P-1,STORE,Yes\nLAKE,P-99,STORE,Yes\n",
		"visit_create_20260301080000003.csv":          "CP Short Title,PPID,Name,Visit Date\nLAKE,P-1,V-77,01-02-2026\nLAKE,P-99,V-78,01-02-2026\n",
		"masterSpecimen_create_20260301080000004.csv": "CP Short Title,PPID,Event Label,Type,Initial Quantity,Collection Date\nLAKE,P-1,Baseline,Plasma,1,03-02-2026\nLAKE,P-99,Baseline,Plasma,1,03-02-2026\n",
	} {
		j, report := r.importKey("guest/"+name, file)
		if rows := outcomes(t, report); j.FailedRows != 2 || strings.Count(rows, "RBAC_ACCESS_DENIED") != 2 {
			t.Errorf("%s: %d failed\n%s", name, j.FailedRows, report)
		}
	}
}

// A number that a file moves to another site is free at the first one.
func TestMRNsThatMoveToAnotherSite(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		r.apply(r.admin, &biobank.SiteDraft{Institute: "Lakeside Institute", Doc: biobank.SiteDoc{Name: "Hill Biobank", Type: "Repository"}})
		const head = "CP Short Title,PPID,Registration Date,PMI#1#Site Name,PMI#1#MRN"
		r.mustImport("cpr_create_20260301080000000.csv", lines(head, "LAKE,P-1,01-02-2026,Lakeside Biobank,7"))
		r.mustImport("cpr_update_20260301080000001.csv", lines(head, "LAKE,P-1,,Hill Biobank,7"))
		r.mustImport("cpr_create_20260301080000002.csv", lines(head, "LAKE,P-2,01-02-2026,Lakeside Biobank,7"))
		j, report := r.importFile("cpr_create_20260301080000003.csv", lines(head, "LAKE,P-3,01-02-2026,Hill Biobank,7", "LAKE,P-4,01-02-2026,Lakeside Biobank,7"))
		if j.FailedRows != 2 || strings.Count(report, "CPR_DUP_REGISTRATION") != 2 {
			t.Errorf("numbers that are held: %d failed\n%s", j.FailedRows, report)
		}
	})
}
