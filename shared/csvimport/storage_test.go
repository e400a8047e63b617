package csvimport_test

import (
	"fmt"
	"strings"
	"testing"

	"aliquot/shared/biobank"
	"aliquot/shared/jobs"
)

// cells tells who lies where in a container, as row, column and label.
func (r *rig) cells(name string) string {
	r.t.Helper()
	rec, err := r.reg.ContainerNamed(r.t.Context(), r.admin, r.clock.now(), name, "")
	if err != nil {
		r.t.Fatal(err)
	}
	all, err := r.reg.Occupants(r.t.Context(), r.clock.now(), rec.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	var out []string
	for _, o := range all[rec.ID] {
		doc, err := biobank.Decode[struct{ Label, Name string }](o.Record)
		if err != nil {
			r.t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%d%d %s%s", o.At.Row, o.At.Column, doc.Label, doc.Name))
	}
	return strings.Join(out, ", ")
}

// Containers come by CSV, and specimens into them: free cells in the order of the file, however it is cut.
func TestStorageByCSV(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		r.im.Config.ChunkRows = 3
		r.crowd()
		r.mustImport("storageContainerType_create_20260301080000000.csv", lines(
			"Name,Name Format,No. of Rows,No. of Columns,Stores Specimen,Can Hold#Name",
			"Shelf,%PCONT_NAME%-S%PCONT_UID%,2,2,no,Crate",
			"Crate,%PCONT_NAME%-C%PCONT_UID(2)%,2,2,yes,",
		))
		r.mustImport("storageContainer_create_20260301080000001.csv", lines(
			"Name,Type Name,Site Name,Storage Location#Parent Container Name,Storage Location#Row,Storage Location#Column,Temperature",
			",Crate,,North,,,",
			"North,Shelf,Lakeside Biobank,,,,-80",
			",Crate,,North,2,2,",
			",Crate,,North,,,",
			"Own,Crate,,North,,,",
		))
		if got := r.cells("North"); got != "11 North-C01, 12 North-C03, 21 Own, 22 North-C02" {
			t.Error(got)
		}
		j, report := r.importFile("specimen_create_20260301080000002.csv", lines(
			"Visit Name,Specimen Label,Type,Initial Quantity,Location#Container,Location#Row,Location#Column,Location#Position",
			"V-1,S-1,Plasma,1,Own,,,",
			"V-1,U-1,Plasma,1,Own,,,", // label taken: takes no cell
			"V-1,S-2,Plasma,1,own,2,2,",
			"V-1,S-3,Plasma,1,Own,,,",
			"V-1,S-4,Plasma,1,Own,1,1,", // taken
			"V-1,S-5,Plasma,1,Tank,,,",
			"V-2,S-6,Plasma,1,Tank,1,1,", // no cells
			"V-2,S-7,Plasma,1,Own,,,",
			"V-2,S-8,Plasma,1,Own,,,", // full
			"V-2,S-9,Plasma,1,,1,1,",  // of which container?
			"V-2,S-10,Plasma,1,North,,,",
			"V-2,S-11,Plasma,1,None,,,",
			"V-2,S-12,Plasma,1,Own,1,,",
		))
		for _, want := range []string{
			`"S-4"`, "STORAGE_CONTAINER_NO_FREE_SPACE", "STORAGE_CONTAINER_INV_POS", "STORAGE_CONTAINER_ID_NAME_OR_BARCODE_REQ",
			"STORAGE_CONTAINER_CANNOT_HOLD_SPECIMEN", "STORAGE_CONTAINER_NOT_FOUND", "SPECIMEN_DUP_LABEL",
		} {
			if !strings.Contains(report, want) {
				t.Errorf("the report has no %s", want)
			}
		}
		if j.FailedRows != 8 {
			t.Errorf("%d rows failed:\n%s", j.FailedRows, report)
		}
		if got := r.cells("Own"); got != "11 S-1, 12 S-3, 21 S-7, 22 S-2" {
			t.Error(got)
		}
		if got := r.cells("Tank"); got != "00 S-5" {
			t.Error(got)
		}
		r.mustImport("specimen_update_20260301080000003.csv", lines(
			"Specimen Label,Location#Container,Location#Row,Location#Column,Activity Status,Checkout,Transfer User#Email Address",
			"S-1,Tank,,,,,ada@example.org",
			"S-2,##set_to_blank##,,,,,",
			"S-3,,,,Closed,,",
			"S-7,,,,,yes,",
		))
		if got := r.cells("Own"); got != "21 S-7" {
			t.Error(got) // its cell is kept
		}
		if got := r.cells("Tank"); got != "00 S-1, 00 S-5" {
			t.Error(got)
		}
		r.mustImport("specimen_update_20260301080000004.csv", lines("Specimen Label,Location#Container", "S-2,Own", "S-5,Own", "S-1,Own"))
		if got := r.cells("Own"); got != "11 S-2, 12 S-5, 21 S-7, 22 S-1" {
			t.Error(got) // what was left is free again
		}
		if j, _ := r.importFile("masterSpecimen_create_20260301080000005.csv", lines(
			"CP Short Title,PPID,Registration Date,Event Label,Visit Name,Visit Date,Collection Site,Specimen Label,Type,Lineage,Initial Quantity,Collection Date,Container,Row,Column,Position",
			"LAKE,M-1,01-02-2026,Baseline,M-1.1,03-02-2026,Lakeside Biobank,MS-1,Plasma,New,1,03-02-2026,North-C01,,,",
			"LAKE,M-1,01-02-2026,Baseline,M-1.1,03-02-2026,Lakeside Biobank,MS-2,Plasma,New,1,03-02-2026,North-C01,,,4",
			"LAKE,M-2,01-02-2026,Baseline,M-2.1,03-02-2026,Lakeside Biobank,MS-3,Plasma,New,1,03-02-2026,North-C01,,,",
		)); j.Status != jobs.Completed {
			t.Errorf("%+v", j)
		}
		if got := r.cells("North-C01"); got != "11 MS-1, 12 MS-3, 22 MS-2" {
			t.Error(got)
		}
	})
}
