package csvimport

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

func cells(texts ...string) [][]byte {
	row := make([][]byte, len(texts))
	for i, s := range texts {
		row[i] = []byte(s)
	}
	return row
}

func TestHeaderRefusals(t *testing.T) {
	tests := []struct {
		name       string
		objectType string
		captions   []string
		o          Options
		want       string
	}{
		{"create without the protocol", "cpr", []string{"PPID", "Registration Date"}, Options{Op: biobank.Create}, `no column "CP Short Title". Add it`},
		{"create without two columns", "cpr", []string{"PPID"}, Options{Op: biobank.Create}, `columns "CP Short Title", "Registration Date". Add them`},
		{"create by identifier", "institute", []string{"Identifier"}, Options{Op: biobank.Create}, `no column "Name"`},
		{"update without a key", "cpr", []string{"CP Short Title", "First Name"}, Options{Op: biobank.Update}, `no column "Identifier" or "PPID"`},
		{"update of visits", "visit", []string{"CP Short Title", "PPID"}, Options{Op: biobank.Update}, `"Identifier" or "Name"`},
		{"update of specimens", "specimen", []string{"Class"}, Options{Op: biobank.Update}, `"Identifier" or "Specimen Label" or "Barcode"`},
		{"upsert that can do neither", "cpr", []string{"PPID"}, Options{Op: biobank.Upsert}, `"CP Short Title", "Registration Date"`},
		{"primary nor child", "specimen", []string{"Specimen Label", "Type"}, Options{Op: biobank.Create}, `"Visit Name" or "Parent Specimen Label"`},
		{"master without the protocol", "masterSpecimen", []string{"PPID"}, Options{Op: biobank.Create}, `"CP Short Title"`},
		{"protocol without sites", "cp", []string{"Title", "Short Title", "PI#PI Email", "Sites#2#Name"}, Options{Op: biobank.Create}, `"Sites#1#Name"`},
		{"old and new caption", "specimen", []string{"Visit Name", "Quantity", "Initial Quantity"}, Options{Op: biobank.Create}, `"Initial Quantity" and "Quantity" mean the same`},
		{"list and single", "visit", []string{"Identifier", "Clinical Diagnosis", "Clinical Diagnosis#1"}, Options{Op: biobank.Update}, "mean the same"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := SchemaFor(test.objectType).Bind(test.captions, test.o)
			wantFault(t, err, codeParse, test.want)
		})
	}
}

func TestHeadersThatSuffice(t *testing.T) {
	tests := []struct {
		name       string
		objectType string
		captions   []string
		o          Options
	}{
		{"protocol of the job", "cpr", []string{"PPID", "Registration Date"}, Options{Op: biobank.Create, ProtocolID: 7}},
		{"update within the job's protocol", "cpr", []string{"PPID"}, Options{Op: biobank.Update, ProtocolID: 7}},
		{"update by identifier", "cpr", []string{"identifier", "Gender"}, Options{Op: biobank.Update}},
		{"upsert that can only update", "cpr", []string{"Identifier"}, Options{Op: biobank.Upsert}},
		{"upsert that can only create", "specimen", []string{"Visit Name", "Type"}, Options{Op: biobank.Upsert}},
		{"aliquots only", "specimen", []string{"Parent Specimen Label", "Lineage"}, Options{Op: biobank.Create}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { mustBind(t, test.objectType, test.captions, test.o) })
	}
}

func TestUnknownColumns(t *testing.T) {
	b := mustBind(t, "visit", []string{
		"Identifier", "Sample Quality#Fasting", "Clinical Diagnosis#1", "Clinical Diagnosis#3", "Commments", "PPID",
		"Clinical Diagnosis#0", "Clinical Diagnosis#01", "reason",
	}, Options{Op: biobank.Update})
	want := []string{
		"Sample Quality#Fasting", "Clinical Diagnosis#3", "Commments", "Clinical Diagnosis#0", "Clinical Diagnosis#01",
	}
	if diff := cmp.Diff(want, b.Unknown()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// On CREATE an identifier is left out, not unknown.
	b = mustBind(t, "visit", []string{"Identifier", "CP Short Title", "PPID"}, Options{Op: biobank.Create})
	if len(b.Unknown()) > 0 {
		t.Errorf("unknown: %q", b.Unknown())
	}
	d := mustDraft[*biobank.VisitDraft](t, b, "not a number", "LUNG", "P1")
	if d.ID != 0 || d.PPID != "P1" {
		t.Errorf("got %+v", d)
	}
}

func TestCellRefusals(t *testing.T) {
	long := strings.Repeat("ä", 50)
	tests := []struct {
		objectType, caption, cell, code, want string
	}{
		{"specimen", "Identifier", "S-1", codeParse, `Identifier must be the whole number of a record, but is "S-1".`},
		{"specimen", "Identifier", "0", codeParse, "whole number of a record"},
		{"specimen", "Identifier", "-3", codeParse, "whole number of a record"},
		{"specimen", "Identifier", "1.5", codeParse, "whole number of a record"},
		{"specimen", "Identifier", "99999999999999999999", codeParse, "whole number of a record"},
		{"specimen", "Identifier", setToBlank, codeParse, "Identifier cannot be cleared"},
		{"specimen", "initial quantity", "1,5", codeParse, `initial quantity must use a point, not a comma, for decimals and no separators for thousands, but is "1,5".`},
		{"specimen", "Quantity", "lots", codeParse, `Quantity must be a number such as 12 or 0.5, but is "lots".`},
		{"specimen", "Concentration", "1e3", codeParse, "without an exponent"},
		{"specimen", "Freeze/Thaw Cycles", "-1", codeParse, "whole number, 0 or more"},
		{"specimen", "Freeze/Thaw Cycles", "2.5", codeParse, "whole number, 0 or more"},
		{"specimen", "Created On", "2024-01-31", codeDate, `Created On must be a date and time in the format dd-MM-yyyy HH:mm, or a date alone, but is "2024-01-31".`},
		{"specimen", "Created On", "31-01-2024 25:00", codeDate, "date and time in the format"},
		{"specimen", "Created On", "2024-01-31T10:00Z", codeDate, "date and time in the format"},
		{"specimen", "Created On", "31-03-2024 02:30", codeDate, "the clocks of Europe/Berlin showed"},
		{"specimen", "Collection Event#Date and Time", "tomorrow", codeDate, "Collection Event#Date and Time must be a date and time"},
		{"visit", "Path Report Name", "report.pdf", codeParse, `Path Report Name is not supported: it must be blank, but is "report.pdf".`},
		{"specimen", "Location#Position", "A3", codeParse, "Location#Position must be a whole number"},
		{"specimen", "Checkout", "perhaps", codeParse, "Checkout must be yes or no"},
		{"specimen", "Visit Name", setToBlank, codeParse, "Visit Name cannot be cleared"},
		{"visit", "Visit Date", "31-01-2024 10:00", codeDate, "Visit Date must be a date in the format dd-MM-yyyy, but is"},
		{"visit", "Visit Date", "1-1-2024", codeDate, "must be a date in the format"},
		{"visit", "Path Report Name", "report.pdf", codeParse, "Path Report Name is not supported"},
		{"visit", "Event Label", setToBlank, codeParse, "Event Label cannot be cleared"},
		{"cpr", "Registration Date", "30-02-2024", codeDate, "must be a date in the format"},
		{"cpr", "Date Of Birth", "1980", codeDate, "Date Of Birth must be a date"},
		{"cpr", "Receive Emails", "maybe", codeParse, `Receive Emails must be yes or no, but is "maybe".`},
		{"cp", "Specimen Centric", "1", codeParse, "must be yes or no"},
		{"cp", "Label Print Setting#1#Copies", "two", codeParse, "Label Print Setting#1#Copies must be a whole number"},
		// A long value is cut at 40 characters, and what is no character is shown, not sent on.
		{"specimen", "Quantity", long, codeParse, `but is "` + strings.Repeat("ä", 40) + `"....`},
		{"specimen", "Quantity", "1\x00\n", codeParse, `but is "1\x00".`},
	}
	for _, test := range tests {
		t.Run(test.objectType+" "+test.caption+" "+test.cell, func(t *testing.T) {
			b := mustBind(t, test.objectType, []string{test.caption, identityOf(test.objectType)},
				Options{Op: biobank.Update, Location: mustZone(t, "Europe/Berlin"), ProtocolID: 1})
			_, err := b.Draft(cells(test.cell, ""))
			wantFault(t, err, test.code, test.want)
		})
	}
}

// identityOf is a column that lets any file of the type be an update.
func identityOf(objectType string) string {
	switch objectType {
	case "specimen":
		return "Barcode"
	case "visit":
		return "Name"
	case "cp":
		return "Short Title"
	}
	return "PPID"
}

func TestAllFaultsOfARowAreTold(t *testing.T) {
	b := mustBind(t, "specimen", []string{"Barcode", "Quantity", "Created On", "Freeze/Thaw Cycles", "External IDs#1#Name"},
		Options{Op: biobank.Update})
	_, err := b.Draft(cells("B1", "x", "y", "z", "fine"))
	if got := fault.Codes(err); got != codeParse+","+codeParse+","+codeDate {
		t.Errorf("got %s (%v)", got, err)
	}
	d, err := b.Draft(cells("B1", "1"))
	wantFault(t, err, codeParse, "The row has 2 cells, but the header has 5 columns.")
	if d != nil {
		t.Errorf("a bad row gives %v", d)
	}
}

func TestBlankCellsAreNotSent(t *testing.T) {
	captions := SchemaFor("specimen").Template()
	b := mustBind(t, "specimen", captions, Options{Op: biobank.Update})
	row := make([][]byte, len(captions))
	for i := range row {
		row[i] = []byte(" \t ")
	}
	d, err := b.Draft(row)
	if err != nil {
		t.Fatal(err)
	}
	got := d.(*biobank.SpecimenDraft)
	stored := fullSpecimen()
	got.Merge(&stored)
	if diff := cmp.Diff(fullSpecimen(), stored); diff != "" {
		t.Errorf("a blank row changes (-was +is):\n%s", diff)
	}
	got.Merge = nil
	if diff := cmp.Diff(&biobank.SpecimenDraft{Force: true}, got, cmpopts.IgnoreUnexported(biobank.SpecimenDraft{})); diff != "" {
		t.Errorf("a blank row sends (-want +got):\n%s", diff)
	}
}

func fullSpecimen() biobank.SpecimenDoc {
	return biobank.SpecimenDoc{
		RequirementID: 3, Label: "S1", AdditionalLabel: "A1", Barcode: "B1", Class: "Fluid", Type: "Plasma",
		Lineage: biobank.LineageNew, AnatomicSite: "Blood", Laterality: "Left", Pathology: "Normal", Status: biobank.Collected,
		InitialQty: biobank.Q(5), AvailableQty: biobank.Q(4), Concentration: biobank.Q(3), Biohazards: []string{"HIV"},
		FreezeThawCycles: 2, CreatedOn: 99, CreatedBy: 8, ImageID: "I",
		ExternalIDs: []biobank.ExternalID{{Name: "lab", Value: "7"}}, Comments: "kept",
		Collection:     &biobank.CollectionEvent{Time: 1, UserID: 2, Comments: "c", Procedure: "Biopsy", Container: "CPT"},
		Received:       &biobank.ReceivedEvent{Time: 3, UserID: 4, Comments: "r", Quality: "Acceptable"},
		ActivityStatus: biobank.StatusActive,
	}
}

func TestOnlySentColumnsAreMerged(t *testing.T) {
	b := mustBind(t, "specimen", []string{
		"Specimen Label", "Barcode", "Available Quantity", "Concentration", "Biohazard#1", "Biohazard#2", "External IDs#1#Name",
		"External IDs#1#Value", "Collection Event#Procedure", "Collection Event#Comments", "Received Event#Quality",
		"Comments", "Image ID",
	}, Options{Op: biobank.Update})
	d := mustDraft[*biobank.SpecimenDraft](t, b, " S1 ", setToBlank, "0.25", "", " "+setToBlank+" ", "HIV", "lims", "12",
		"Autopsy", setToBlank, "", "", setToBlank)
	stored := fullSpecimen()
	d.Merge(&stored)
	want := fullSpecimen()
	want.Barcode = ""
	q := biobank.Quantity(250_000)
	want.AvailableQty = &q
	want.Biohazards = nil
	want.ExternalIDs = []biobank.ExternalID{{Name: "lims", Value: "12"}}
	want.Collection.Procedure, want.Collection.Comments = "Autopsy", ""
	want.ImageID = ""
	if diff := cmp.Diff(want, stored); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Clearing part of an event that there is not does not make one; sending part of it does.
func TestEventsComeIntoBeing(t *testing.T) {
	b := mustBind(t, "specimen", []string{"Barcode", "Collection Event#Procedure", "Received Event#Quality"},
		Options{Op: biobank.Update})
	d := mustDraft[*biobank.SpecimenDraft](t, b, "B", setToBlank, "Clotted")
	stored := biobank.SpecimenDoc{}
	d.Merge(&stored)
	want := biobank.SpecimenDoc{Barcode: "B", Received: &biobank.ReceivedEvent{Quality: "Clotted"}}
	if diff := cmp.Diff(want, stored); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLists(t *testing.T) {
	was := []string{"Asian", "White"}
	tests := []struct {
		name       string
		r1, r2, r3 string
		want       []string
	}{
		{"not sent", "", "", "", was},
		{"a gap ends the list", "", "Other", "", was},
		{"up to the gap", "Other", "", "Asian", []string{"Other"}},
		{"all", "Other", "Unknown", "Asian", []string{"Other", "Unknown", "Asian"}},
		{"cleared by the first", setToBlank, "Other", "", nil},
		{"cleared by a later one", "Other", setToBlank, "Asian", nil},
		{"a gap before the clearing", "", setToBlank, "", was},
	}
	b := mustBind(t, "cpr", []string{"Race#3", "race#2", "RACE#1", "PPID"}, Options{Op: biobank.Update, ProtocolID: 1})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := mustDraft[*biobank.RegistrationDraft](t, b, test.r3, test.r2, test.r1, "P")
			stored := biobank.RegistrationDoc{Participant: biobank.ParticipantDoc{Races: was}}
			d.Merge(&stored)
			if diff := cmp.Diff(test.want, stored.Participant.Races); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestRecords(t *testing.T) {
	tests := []struct {
		name string
		row  []string // site 1, MRN 1, site 2, MRN 2
		want []biobank.PMIRef
	}{
		{"not sent", []string{"", "", "", ""}, nil},
		{"a gap ends the list", []string{"", "", "North", "12"}, nil},
		{"both", []string{"South", "11", "North", "12"}, []biobank.PMIRef{{Site: "South", MRN: "11"}, {Site: "North", MRN: "12"}}},
		{"half a pair is for the registry to refuse", []string{"South", "", "", "12"}, []biobank.PMIRef{{Site: "South"}, {MRN: "12"}}},
		{"cleared", []string{setToBlank, "", "", ""}, []biobank.PMIRef{}},
		{"the first cleared", []string{setToBlank, setToBlank, "North", "12"}, []biobank.PMIRef{{Site: "North", MRN: "12"}}},
	}
	b := mustBind(t, "cpr", []string{"PMI#1#Site Name", "PMI#1#MRN", "PMI#2#Site Name", "PMI#2#MRN", "PPID"},
		Options{Op: biobank.Update, ProtocolID: 1})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := mustDraft[*biobank.RegistrationDraft](t, b, append(test.row, "P")...)
			if diff := cmp.Diff(test.want, d.PMIs); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestOlderCaptions(t *testing.T) {
	b := mustBind(t, "cpr", []string{"CP Short Title", "PPID", "Registration Date", "Ethnicity", "Race", "SSN"},
		Options{Op: biobank.Create, DateFormat: "M/d/yyyy"})
	d := mustDraft[*biobank.RegistrationDraft](t, b, "LUNG", "P1", "1/2/2024", "Unknown", "White", "123-45")
	want := &biobank.RegistrationDraft{
		Protocol: biobank.ProtocolRef{ShortTitle: "LUNG"}, Force: true,
		Doc: biobank.RegistrationDoc{PPID: "P1", RegistrationDate: "2024-01-02", Participant: biobank.ParticipantDoc{
			Races: []string{"White"}, Ethnicities: []string{"Unknown"}, UID: "123-45",
		}},
	}
	if diff := cmp.Diff(want, d, cmpopts.IgnoreUnexported(biobank.SpecimenDraft{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestVisitDraft(t *testing.T) {
	b := mustBind(t, "visit", []string{
		"Identifier", "Visit Date", "Visit Site", "Missed/Not Collected By#Email Address", "Clinical Diagnosis#1", "Reason",
		"Name", "PPID", "Event Label",
	}, Options{Op: biobank.Upsert, Location: mustZone(t, "Europe/Berlin"), ProtocolID: 9})
	row := cells("17", "31-03-2024", setToBlank, setToBlank, "Asthma", " typo ", "V1", "P1", "Baseline")
	d, err := b.Draft(row)
	if err != nil {
		t.Fatal(err)
	}
	got := d.(*biobank.VisitDraft)
	if got.Merge == nil {
		t.Error("an upsert has no merge")
	}
	got.Merge = nil
	want := &biobank.VisitDraft{
		ID: 17, Protocol: biobank.ProtocolRef{ID: 9}, PPID: "P1", EventLabel: "Baseline", Site: new(string),
		MissedBy: biobank.UserRef{Clear: true}, Force: true,
		Doc: biobank.VisitDoc{
			Name: "V1", ClinicalDiagnoses: []string{"Asthma"},
			VisitDate: time.Date(2024, 3, 30, 23, 0, 0, 0, time.UTC).UnixMilli(),
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(biobank.SpecimenDraft{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if reason := b.Reason(row); reason != "typo" {
		t.Errorf("reason %q", reason)
	}
}

func TestMomentForms(t *testing.T) {
	berlin := mustZone(t, "Europe/Berlin")
	b := mustBind(t, "specimen", []string{"Barcode", "Created On"},
		Options{Op: biobank.Update, Location: berlin, DateFormat: "yyyy-MM-dd", TimeFormat: "hh:mm a"})
	for text, want := range map[string]time.Time{
		"2024-07-01 01:30 PM":  time.Date(2024, 7, 1, 13, 30, 0, 0, berlin),
		"2024-07-01":           time.Date(2024, 7, 1, 0, 0, 0, 0, berlin),
		"2024-07-01T01:30:15Z": time.Date(2024, 7, 1, 1, 30, 15, 0, time.UTC),
	} {
		d := mustDraft[*biobank.SpecimenDraft](t, b, "B", text)
		if d.Doc.CreatedOn != want.UnixMilli() {
			t.Errorf("%s: got %v, want %v", text, time.UnixMilli(d.Doc.CreatedOn), want)
		}
	}
}

func TestMasterDraft(t *testing.T) {
	b := mustBind(t, "masterSpecimen", []string{
		"CP Short Title", "PPID", "Registration Date", "PMI#1#Site Name", "PMI#1#MRN", "Event Label", "Visit Name",
		"Collection Site", "Visit Comments", "Specimen Label", "Type", "Quantity", "Comments", "Collection Date", "Collector",
		"Received Quality", "Container",
	}, Options{Op: biobank.Create})
	d := mustDraft[*biobank.MasterDraft](t, b, "LUNG", "P1", "01-02-2024", "North", "12", "Baseline", "V1", "South", "vc",
		"S1", "Plasma", "2.5", "sc", "01-02-2024 10:00", "pat@example.org", "Clotted", "Box 1")
	if d.Registration.Merge == nil || d.Visit.Merge == nil || d.Specimen.Merge == nil {
		t.Error("a master row may update, but has no merge")
	}
	stored := biobank.VisitDoc{Name: "V0", Comments: "old", Cohort: "Case"}
	d.Visit.Merge(&stored)
	if diff := cmp.Diff(biobank.VisitDoc{Name: "V1", Comments: "vc", Cohort: "Case"}, stored); diff != "" {
		t.Errorf("visit (-want +got):\n%s", diff)
	}
	d.Registration.Merge, d.Visit.Merge, d.Specimen.Merge = nil, nil, nil
	cp, south, qty := biobank.ProtocolRef{ShortTitle: "LUNG"}, "South", biobank.Quantity(2_500_000)
	want := &biobank.MasterDraft{
		Registration: biobank.RegistrationDraft{
			Protocol: cp, PMIs: []biobank.PMIRef{{Site: "North", MRN: "12"}},
			Doc: biobank.RegistrationDoc{PPID: "P1", RegistrationDate: "2024-02-01"},
		},
		Visit: biobank.VisitDraft{
			Protocol: cp, PPID: "P1", EventLabel: "Baseline", Site: &south, Doc: biobank.VisitDoc{Name: "V1", Comments: "vc"},
		},
		Specimen: biobank.SpecimenDraft{
			Protocol: cp, VisitName: "V1", Collector: biobank.UserRef{Email: "pat@example.org"}, Location: &biobank.LocationRef{Name: "Box 1"},
			Doc: biobank.SpecimenDoc{
				Label: "S1", Type: "Plasma", InitialQty: &qty, Comments: "sc",
				Collection: &biobank.CollectionEvent{Time: time.Date(2024, 2, 1, 10, 0, 0, 0, time.UTC).UnixMilli()},
				Received:   &biobank.ReceivedEvent{Quality: "Clotted"},
			},
		},
	}
	if diff := cmp.Diff(want, d, cmpopts.IgnoreUnexported(biobank.SpecimenDraft{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestProtocolDraft(t *testing.T) {
	b := mustBind(t, "cp", []string{
		"Sites#1#Name", "Sites#1#Code", "Sites#2#Name", "Title", "Short Title", "PI#PI Email", "Coordinator#1#Coordinator Email",
		"Start Date", "IRB ID", "Specimen Centric", "Label Print Setting#1#Lineage", "Label Print Setting#1#Copies",
		"Distribution Protocols#1#Short Title", "Anticipated Participants Count", "User inputs PPID",
	}, Options{Op: biobank.Create})
	d := mustDraft[*biobank.ProtocolDraft](t, b, "North", "N", "South", "Lung study", "LUNG", "pi@example.org",
		"co@example.org", "05-06-2024", "E-7", "No", "Aliquot", "2", "DP1", "250", "TRUE")
	want := &biobank.ProtocolDraft{
		PI: biobank.UserRef{Email: "pi@example.org"}, Coordinators: []biobank.UserRef{{Email: "co@example.org"}},
		Sites: []biobank.SiteRef{{Name: "North", Code: "N"}, {Name: "South"}},
		Doc: biobank.ProtocolDoc{
			Title: "Lung study", ShortTitle: "LUNG", StartDate: "2024-06-05", IrbID: "E-7", AnticipatedParticipants: 250,
			LabelPrintSettings:    []biobank.PrintSetting{{Lineage: "Aliquot", Copies: 2}},
			DistributionProtocols: []string{"DP1"}, ManualPpid: true,
		},
	}
	if diff := cmp.Diff(want, d, cmpopts.IgnoreUnexported(biobank.SpecimenDraft{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSiteAndInstituteDrafts(t *testing.T) {
	b := mustBind(t, "site", []string{"Name", "Institute Name", "Type", "Coordinators#1#Email Address", "Code"},
		Options{Op: biobank.Update})
	d := mustDraft[*biobank.SiteDraft](t, b, "North", "Centre", "", setToBlank, setToBlank)
	if d.Institute != "Centre" || d.Coordinators == nil || len(d.Coordinators) != 0 {
		t.Errorf("got %+v", d)
	}
	stored := biobank.SiteDoc{Name: "north", Code: "N", Type: "Repository"}
	d.Merge(&stored)
	if diff := cmp.Diff(biobank.SiteDoc{Name: "North", Type: "Repository"}, stored); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	i := mustDraft[*biobank.InstituteDraft](t, mustBind(t, "institute", []string{"Name"}, Options{Op: biobank.Create}), "Centre")
	if diff := cmp.Diff(&biobank.InstituteDraft{Doc: biobank.InstituteDoc{Name: "Centre"}}, i); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A draft keeps nothing of the row: the reader uses its buffer again.
func TestDraftOutlivesTheRow(t *testing.T) {
	b := mustBind(t, "specimen", benchCaptions, Options{Op: biobank.Create})
	row := make([][]byte, len(benchRow))
	for i := range row {
		row[i] = append([]byte(nil), benchRow[i]...)
	}
	got, err := b.Draft(row)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range row {
		for i := range c {
			c[i] = '!'
		}
	}
	want, err := b.Draft(benchRow)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(biobank.SpecimenDraft{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func mustDraft[D biobank.Draft](t *testing.T, b *Binding, texts ...string) D {
	t.Helper()
	d, err := b.Draft(cells(texts...))
	if err != nil {
		t.Fatal(err)
	}
	return d.(D)
}

func identity(b *Binding, texts ...string) Identity {
	var ids Identity
	b.Identity(cells(texts...), &ids)
	return ids
}

// Plans are stored and chunks run elsewhere, so the hashes are part of a format. A change here strands running jobs.
func TestIdentityIsStable(t *testing.T) {
	b := mustBind(t, "specimen", []string{"Visit Name", "Specimen Label", "Parent Specimen Label"}, Options{Op: biobank.Create})
	got := identity(b, "V1", "S1", "S0")
	want := Identity{Own: []uint64{12730624699235505902}, Refs: []uint64{876778854329251339}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(biobank.SpecimenDraft{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestIdentity(t *testing.T) {
	specimens := mustBind(t, "specimen", []string{
		"Identifier", "CP Short Title", "Visit Name", "Specimen Label", "Barcode", "Parent Specimen Label",
	}, Options{Op: biobank.Upsert})
	parent := identity(specimens, "", "", "", "S1", "", "")
	child := identity(specimens, "", "", "", "S1_1", "", " s1 ")
	if len(parent.Own) != 1 || len(child.Refs) != 1 || parent.Own[0] != child.Refs[0] {
		t.Errorf("a child does not refer to its parent: %v, %v", parent, child)
	}
	if a, b := identity(specimens, "", "", "", "X", "", ""), identity(specimens, "", "", "", "", "X", ""); a.Own[0] == b.Own[0] {
		t.Error("a label and a barcode of one text are one thing")
	}
	if got := identity(specimens, "", "LUNG", "", "", "", ""); got.Own != nil || got.Refs != nil {
		t.Errorf("a row that names nothing is about %v", got)
	}
	// The specimens of a visit are independent of each other, unless their names are counted below it.
	if got := identity(specimens, "", "", "V", "S1", "", ""); len(got.Own) != 1 || got.Refs != nil {
		t.Errorf("a specimen with a label: %v", got)
	}
	if got := identity(specimens, "5", "", "V", setToBlank, "", ""); len(got.Own) != 2 || got.Refs != nil {
		t.Errorf("identifier and visit: %v", got)
	}
	if got := identity(specimens, "5"); len(got.Own) != 1 {
		t.Errorf("a short row: %v", got)
	}

	// What a row of aliquots makes, another may make, too, or make more of.
	aliquots := mustBind(t, "specimenAliquot", []string{"Parent Specimen Label", "Specimen Labels", "Specimen Barcodes"}, Options{Op: biobank.Create})
	made := identity(aliquots, "S", "S_1, s_2", "B,S_1")
	if next := identity(aliquots, "S_2", "", ""); len(made.Own) != 5 || len(next.Own) != 1 || made.Own[2] != next.Own[0] {
		t.Errorf("aliquots of an aliquot are apart from the row that makes it: %v, %v", made, next)
	}
	if again := identity(aliquots, "T", "S_1", "b"); len(again.Own) != 3 || again.Own[1] != made.Own[1] || again.Own[2] != made.Own[3] {
		t.Errorf("rows that give one label and one barcode are apart: %v, %v", made, again)
	}

	// On CREATE the identifier says nothing.
	create := mustBind(t, "specimen", []string{"Identifier", "Visit Name"}, Options{Op: biobank.Create})
	if got := identity(create, "5", ""); got.Own != nil {
		t.Errorf("identifier on create: %v", got)
	}

	// A PPID is one person's only within a protocol.
	regs := mustBind(t, "cpr", []string{"CP Short Title", "PPID", "SSN", "eMPI", "PMI#1#Site Name", "PMI#1#MRN", "Identifier"},
		Options{Op: biobank.Update})
	visits := mustBind(t, "visit", []string{"CP Short Title", "PPID", "Name"}, Options{Op: biobank.Update})
	person := identity(regs, "LUNG", "P1", "", "", "", "", "")
	if a, b := identity(visits, "lung ", "p1", ""), identity(visits, "LUNG", "P1", ""); len(a.Own) != 1 || a.Own[0] != b.Own[0] {
		t.Error("visits whose names are counted below one participant are apart")
	}
	if visit := identity(visits, "LUNG", "P1", "V1"); len(visit.Own) != 1 || visit.Refs != nil {
		t.Errorf("a visit with a name: %v", visit) // no row of a visit file makes its participant
	}
	if other := identity(regs, "SKIN", "P1", "", "", "", "", ""); other.Own[0] == person.Own[0] {
		t.Error("one PPID in two protocols is one person")
	}
	if got := identity(regs, "LUNG", "P1", "U", "E", "North", "12", "3"); len(got.Own) != 5 {
		t.Errorf("five ways to know a person give %d hashes", len(got.Own))
	}
	if a, b := identity(regs, "", "", "", "", "A", "BC", ""), identity(regs, "", "", "", "", "AB", "C", ""); a.Own[0] == b.Own[0] {
		t.Error("site and number run together")
	}

	// In a protocol's own job the column is as good as absent.
	in := mustBind(t, "cpr", []string{"CP Short Title", "PPID"}, Options{Op: biobank.Update, ProtocolID: 4})
	if a, b := identity(in, "LUNG", "P1"), identity(in, "", "P1"); a.Own[0] != b.Own[0] {
		t.Error("rows of one job differ by a blank protocol")
	}
}

func TestMasterIdentity(t *testing.T) {
	b := mustBind(t, "masterSpecimen", []string{
		"CP Short Title", "PPID", "PMI#1#Site Name", "PMI#1#MRN", "PMI#2#Site Name", "PMI#2#MRN", "Visit Name", "Specimen Label",
		"Lineage", "Parent Specimen Label",
	}, Options{Op: biobank.Create})
	primary := identity(b, "LUNG", "P1", "North", "1", "South", "2", "V1", "S1", "", "")
	if len(primary.Own) != 5 || primary.Refs != nil {
		t.Errorf("person, two numbers, visit, specimen: got %v", primary)
	}
	if got := identity(b, "LUNG", "P1", "North", "1", "South", "2", "V1", "S1", " new", ""); !cmp.Equal(got, primary) {
		t.Errorf("lineage New is not like blank: %v, %v", got, primary)
	}
	child := identity(b, "LUNG", "P1", "North", "1", "", "", "V1", "S2", "Aliquot", "S1")
	if len(child.Own) != 1 || len(child.Refs) != 1 || child.Refs[0] != primary.Own[4] {
		t.Errorf("a child is about itself and its parent: got %v", child)
	}
}

func TestIdentityCostsNothing(t *testing.T) {
	b := mustBind(t, "specimen", benchCaptions, Options{Op: biobank.Create})
	ids := Identity{Own: make([]uint64, 0, 8), Refs: make([]uint64, 0, 8)}
	if n := testing.AllocsPerRun(100, func() {
		ids.Own, ids.Refs = ids.Own[:0], ids.Refs[:0]
		b.Identity(benchRow, &ids)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// One for the draft, one for its texts, one for the row, and one for each amount and event.
func TestDraftAllocatesLittle(t *testing.T) {
	b := mustBind(t, "specimen", benchCaptions, Options{Op: biobank.Create, Location: mustZone(t, "Europe/Berlin")})
	if n := testing.AllocsPerRun(100, func() {
		if _, err := b.Draft(benchRow); err != nil {
			t.Fatal(err)
		}
	}); n > 6 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzDraft(f *testing.F) {
	f.Add("S1", "1.5", "31-01-2024 10:00", "yes", "HIV", setToBlank)
	f.Add("", "1,5", "2024-01-01T00:00:00Z", "", setToBlank, "x")
	f.Add("\xff", "-", "Z", "\x00", " ", "##set_to_blank## ")
	captions := []string{"Specimen Label", "Quantity", "Created On", "Checkout", "Biohazard#1", "External IDs#1#Name"}
	b, err := SchemaFor("specimen").Bind(captions, Options{Op: biobank.Update})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, label, qty, created, checkout, hazard, external string) {
		row := cells(label, qty, created, checkout, hazard, external)
		var ids Identity
		b.Identity(row, &ids)
		d, err := b.Draft(row)
		if err != nil {
			if len(fault.All(err)) == 0 || d != nil {
				t.Errorf("%v is no fault", err)
			}
			return
		}
		s := d.(*biobank.SpecimenDraft)
		if want := strings.TrimSpace(label); want != setToBlank && s.Doc.Label != want {
			t.Errorf("label %q, want %q", s.Doc.Label, want)
		}
		s.Merge(&biobank.SpecimenDoc{})
	})
}

// The usual file: fifteen columns of a specimen.
var (
	benchCaptions = []string{
		"CP Short Title", "Visit Name", "Specimen Label", "Barcode", "Class", "Type", "Lineage", "Anatomic Site", "Laterality",
		"Pathological Status", "Collection Status", "Initial Quantity", "Available Quantity", "Created On",
		"Collection Event#Date and Time",
	}
	benchRow = cells("LUNG-2", "LUNG-2_0000123_V1", "LUNG-2_0000123_S01", "70012345", "Fluid", "Plasma", "New",
		"Anal canal", "Left", "Non-Malignant", "Collected", "1.5", "0.75", "17-03-2024 09:41", "17-03-2024 09:30")
)

func BenchmarkDraft(b *testing.B) {
	for _, op := range []biobank.Op{biobank.Create, biobank.Update} {
		for _, zone := range []string{"UTC", "Europe/Berlin"} {
			b.Run(string(op)+"/"+zone, func(b *testing.B) {
				bind := mustBind(b, "specimen", benchCaptions, Options{Op: op, Location: mustZone(b, zone)})
				b.ReportAllocs()
				for b.Loop() {
					if _, err := bind.Draft(benchRow); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkIdentity(b *testing.B) {
	bind := mustBind(b, "specimen", benchCaptions, Options{Op: biobank.Create})
	var ids Identity
	b.ReportAllocs()
	for b.Loop() {
		ids.Own, ids.Refs = ids.Own[:0], ids.Refs[:0]
		bind.Identity(benchRow, &ids)
	}
}

func mustZone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func mustBind(t testing.TB, objectType string, captions []string, o Options) *Binding {
	t.Helper()
	b, err := SchemaFor(objectType).Bind(captions, o)
	if err != nil {
		t.Fatalf("bind %s: %v", objectType, err)
	}
	return b
}

// wantFault checks that err is one fault with that code and part of its text.
func wantFault(t *testing.T, err error, code, text string) {
	t.Helper()
	all := fault.All(err)
	if len(all) != 1 || all[0].Code != code || !strings.Contains(all[0].Message, text) {
		t.Errorf("got %v, want %s: ...%s...", err, code, text)
	}
}
