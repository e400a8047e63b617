package csvimport_test

import (
	"testing"

	"aliquot/shared/biobank"
	"aliquot/shared/csvimport"
	"aliquot/shared/jobs"
)

// upload starts a job as POST /import-jobs does, and returns it when it has ended.
func (r *rig) upload(j *jobs.Job, content string) *jobs.Job {
	r.t.Helper()
	j.Bucket, j.Key, j.FileName = r.im.Config.Intake, csvimport.UploadPrefix+"7/input.csv", "input.csv"
	j.Total, j.CreatedAt, j.OwnerID = -1, r.clock.now(), r.lab.ID
	if err := r.files.Put(r.t.Context(), j.Bucket, j.Key, []byte(content)); err != nil {
		r.t.Fatal(err)
	}
	if err := r.jobs.Create(r.t.Context(), j); err != nil {
		r.t.Fatal(err)
	}
	r.run(csvimport.PlanMessage(j.ID))
	return r.job(j.ID)
}

// A participant with a visit, a primary specimen, a derivative and its aliquots, in one file with dates as in America,
// in a protocol that names visits itself.
func TestMasterFile(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		r.protocol(biobank.ProtocolDoc{ShortTitle: "SHORE", Title: "Shore Study", VisitNameFmt: "%PPI%.%EVENT_LABEL%.%PPI_UID%"})
		j := r.upload(&jobs.Job{ObjectType: "masterSpecimen", ImportType: "CREATE", DateFormat: "MM-dd-yyyy", TimeFormat: "HH:mm"}, lines(
			"CP Short Title,PPID,Registration Date,First Name,Last Name,Date Of Birth,Gender,Race#1,Race#2,Vital Status,Ethnicity,National ID,eMPI,Event Label,Visit Name,Visit Date,Collection Site,Visit Status,"+
				"Specimen Label,Class,Type,Lineage,Parent Specimen Label,Anatomic Site,Quantity,Created On,Container,Row,Collection Date,Collection Procedure,Collector,Received Date,Received Quality,PMI#1#Site Name,PMI#1#MRN",
			"SHORE,SH-1,02-27-2026,Mira,Sand,11-30-1981,Female,White,Asian,Alive,,N-1,E-1,Baseline,,02-28-2026,Lakeside Biobank,Complete,"+
				"SH-1.B,Fluid,Whole Blood,New,,Blood,8,,,,02-28-2026 09:30,Venipuncture,ada@example.org,02-28-2026 11:00,Acceptable,Lakeside Biobank,77",
			"SHORE,,,,,,,,,,,,,,,,,,SH-1.P,Fluid,Plasma,Derived,SH-1.B,,4,02-28-2026,,,,,,,,,",
			"SHORE,,,,,,,,,,,,,,,,,,SH-1.P1,Fluid,Plasma,Aliquot,SH-1.P,,1,02-28-2026,,,,,,,,,",
			"SHORE,,,,,,,,,,,,,,,,,,SH-1.P2,Fluid,Plasma,Aliquot,SH-1.P,,1.5,02-28-2026,,,,,,,,,",
			"SHORE,SH-1,,,,,,,,,,,,Baseline,,02-28-2026,,,SH-1.U,Fluid,Urine,New,,,5,,,,02-28-2026 10:00,,,,,,",
			"SHORE,SH-2,02-27-2026,Tomo,Reed,30-11-1981,,,,,,,,Baseline,,02-28-2026,Lakeside Biobank,,SH-2.B,,Whole Blood,New,,,8,,,,02-28-2026 09:30,,,,,,",
			"SHORE,SH-3,02-27-2026,Ulla,Fern,,,,,,,,,Baseline,,02-28-2026,Lakeside Biobank,,SH-3.B,,Whole Blood,New,,,8,,Freezer 1,A,02-28-2026 09:30,,,,,,",
		))
		golden(t, "master", r.outcome(j)+r.state())
	})
}
