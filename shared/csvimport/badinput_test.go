package csvimport_test

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf16"

	"aliquot/shared/biobank"
	"aliquot/shared/csvimport"
	"aliquot/shared/jobs"
)

// outcome is all that the user is told of a job.
func (r *rig) outcome(j *jobs.Job) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s, %d rows, %d failed\n", j.FileName, j.Status, j.Total, j.FailedRows)
	if j.Reason != "" {
		fmt.Fprintf(&b, "reason: %s\n", j.Reason)
	}
	for _, w := range j.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", w)
	}
	fmt.Fprintf(&b, "--- report\n%s", cutLong(r.object(j.Report)))
	if j.FailedReport != "" {
		fmt.Fprintf(&b, "--- failed rows\n%s", cutLong(r.object(j.FailedReport)))
	}
	return b.String()
}

// cutLong shortens long runs of one letter.
func cutLong(s string) string {
	return regexp.MustCompile(`x{40,}`).ReplaceAllStringFunc(s, func(run string) string { return fmt.Sprintf("<%d x>", len(run)) })
}

// forbidden are the words that clients take for a crash (reference openspecimen-rest.md 23.1).
var forbidden = regexp.MustCompile(`(?i)\b(error|exception|sql|stack trace|panic)\b`)

func utf16Text(order binary.AppendByteOrder, bom bool, s string) string {
	var b []byte
	if bom {
		b = order.AppendUint16(b, 0xFEFF)
	}
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return string(b)
}

const participants = "CP Short Title,PPID,Registration Date,First Name\n"

// Whatever is wrong with a file ends in a job, or in a row, that says so; the neighbours are imported.
func TestBadInput(t *testing.T) {
	wide := func(n int) string {
		var captions, cells strings.Builder
		for i := range n {
			fmt.Fprintf(&captions, ",Extra %d", i)
			cells.WriteString(",")
		}
		return "CP Short Title,PPID,Registration Date" + captions.String() + "\nLAKE,P-1,01-02-2026" + cells.String() + "\n"
	}
	for _, tt := range []struct{ name, key, content string }{
		{"empty", "lab/" + cprFile, ""},
		{"header only", "lab/" + cprFile, participants},
		{"header and blank lines", "lab/" + cprFile, participants + "\n,,,\n"},
		{"missing required column", "lab/" + cprFile, "CP Short Title,Registration Date\nLAKE,01-02-2026\n"},
		{"missing columns of an update", "lab/visit_update_20260301080000000.csv", "Comments,Visit Date\nx,01-02-2026\n"},
		{"ragged rows", "lab/" + cprFile, participants + "LAKE,P-1,01-02-2026,Mira\nLAKE,P-2\nLAKE,P-3,01-02-2026,Mira,more,and more\nLAKE,P-4,01-02-2026,Ulla\n"},
		{"unclosed quote", "lab/" + cprFile, participants + "LAKE,P-1,01-02-2026,Mira\nLAKE,P-2,01-02-2026,\"Tomo\nLAKE,P-3,01-02-2026,Ulla\n"},
		{"text after a quote", "lab/" + cprFile, participants + "LAKE,P-1,01-02-2026,\"Mi\"ra\nLAKE,P-3,01-02-2026,Ulla\n"},
		{"byte order mark", "lab/" + cprFile, "\uFEFF" + participants + "LAKE,P-1,01-02-2026,Mira\n"},
		{"UTF-16 little endian", "lab/" + cprFile, utf16Text(binary.LittleEndian, true, participants+"LAKE,P-1,01-02-2026,Zoë 😀\n")},
		{"UTF-16 big endian", "lab/" + cprFile, utf16Text(binary.BigEndian, true, participants+"LAKE,P-1,01-02-2026,Zoë 😀\n")},
		{"UTF-16 without mark", "lab/" + cprFile, utf16Text(binary.LittleEndian, false, participants+"LAKE,P-1,01-02-2026,Mira\n")},
		{"UTF-16 cut in a character", "lab/" + cprFile, utf16Text(binary.LittleEndian, true, participants+"LAKE,P-1,01-02-2026,Mira\n") + "x"},
		{"Windows-1252", "lab/" + cprFile, participants + "LAKE,P-1,01-02-2026,Zo\xeb\nLAKE,P-2,01-02-2026,Mira\n"},
		{"Windows-1252 in the header", "lab/" + cprFile, "CP Short Title,PPID,Registration Date,Pr\xe9nom\nLAKE,P-1,01-02-2026,Zo\n"},
		{"NUL", "lab/" + cprFile, participants + "LAKE,P-1,01-02-2026,Mi\x00ra\nLAKE,P-2,01-02-2026,Mira\n"},
		{"10 MB cell", "lab/" + cprFile, participants + "LAKE,P-1,01-02-2026," + strings.Repeat("x", 10<<20) + "\nLAKE,P-2,01-02-2026,Mira\n"},
		{"1 MB cell", "lab/" + cprFile, participants + "LAKE,P-1,01-02-2026," + strings.Repeat("x", 1<<20) + "\nLAKE,P-2,01-02-2026,Mira\n"},
		{"long key", "lab/" + cprFile, participants + "LAKE," + strings.Repeat("x", 3000) + ",01-02-2026,Mira\nLAKE,P-2,01-02-2026,Mira\n"},
		{"long reference", "lab/" + visitFile, "CP Short Title,PPID,Name,Visit Site\n" + strings.Repeat("x", 3000) + ",P-1,V-1,S\nLAKE," + strings.Repeat("x", 3000) + ",V-2,Lakeside Biobank\n"},
		{"3,000 columns", "lab/" + cprFile, wide(3000)},
		{"one caption twice", "lab/" + cprFile, "CP Short Title,PPID,Registration Date,ppid\nLAKE,P-1,01-02-2026,P-1\n"},
		{"one column under two captions", "lab/" + specimenFile, "Visit Name,Specimen Label,Initial Quantity,Quantity\nV,S,1,1\n"},
		{"blank caption", "lab/" + cprFile, "CP Short Title,,PPID,Registration Date\nLAKE,x,P-1,01-02-2026\n"},
		{"unknown caption", "lab/" + cprFile, "CP Short Title,PPID,Registration Date,Shoe Size\nLAKE,P-1,01-02-2026,44\n"},
		{"unknown record type", "lab/shipment_create_20260301080000000.csv", "Name\nx\n"},
		{"unknown operation", "lab/cpr_delete_20260301080000000.csv", participants},
		{"no stamp", "lab/cpr_create.csv", participants},
		{"stamp that is no time", "lab/cpr_create_20261301080000000.csv", participants},
		{"many rows for one object", "lab/cpr_create_20260301080000000_m.csv", participants},
		{"other extension", "lab/cpr_create_20260301080000000.xlsx", "PK"},
		{"archive that is none", "lab/monday.ZIP", "PK\x03\x04"},
		{"workbook under the name of a CSV", "lab/" + cprFile, "PK\x03\x04 and more"},
		{"outside any folder", cprFile, participants},
		{"no name", "lab/", ""},
		{"key with space, plus, percent and letters", "lab/a file+with 100%25 ä,ö/../x.csv", "x"},
		{"control characters in the name", "lab/cpr\n_create_\x7f.csv", "x"},
		{"long name", "lab/" + strings.Repeat("x", 1000) + ".csv", "x"},
		{"unknown owner", "nobody/" + cprFile, participants},
		{"closed owner", "gone/" + cprFile, participants},
		{"drop folder not switched on", "ada/" + cprFile, participants},
		{"no right", "guest/" + cprFile, participants + "LAKE,P-1,01-02-2026,Mira\n"},
		{"owner in capitals", "LAB/" + cprFile, participants + "LAKE,P-1,01-02-2026,Mira\n"},
		{"parameters in the name", "lab/cpr_create_20260301080000000_cpId_1.csv", "PPID,Registration Date\nP-1,01-02-2026\n"},
		{"parameter that is not valid", "lab/cpr_create_20260301080000000_cpId_one.csv", "PPID,Registration Date\nP-1,01-02-2026\n"},
		{"unknown protocol", "lab/" + cprFile, participants + "POND,P-1,01-02-2026,Mira\nLAKE,P-2,01-02-2026,Mira\n,P-3,01-02-2026,Mira\n"},
		{"semicolons", "lab/" + cprFile, "CP Short Title;PPID;Registration Date;First Name\nLAKE;P-1;01-02-2026;Mira, Lou\n"},
		{"tabs", "lab/" + cprFile, "CP Short Title\tPPID\tRegistration Date\nLAKE\tP-1\t01-02-2026\n"},
		{"separator line", "lab/" + cprFile, "sep=;\nCP Short Title;PPID;Registration Date\nLAKE;P-1;01-02-2026\nLAKE;P-1;01-02-2026\n"},
		{"comments and blank lines", "lab/" + cprFile, "# from the lake\n\n" + participants + "\nLAKE,P-1,01-02-2026,Mira\n,,,\n\nLAKE,P-2,01-02-2026,\"two\nlines\"\n"},
		{"old line ends", "lab/" + cprFile, "CP Short Title,PPID,Registration Date\rLAKE,P-1,01-02-2026\r\nLAKE,P-2,01-02-2026"},
		{"columns in another order and case", "lab/" + cprFile, "first name, ppid ,REGISTRATION DATE,cp short title\nMira, P-1 ,01-02-2026,lake\n"},
		{"strict dates", "lab/" + cprFile, "CP Short Title,PPID,Registration Date,Date Of Birth\nLAKE,P-1,1-2-2026,\nLAKE,P-2,2026-02-01,\nLAKE,P-3,01/02/2026,\nLAKE,P-4,29-02-2025,\nLAKE,P-5,01-02-2026,31-04-1970\nLAKE,P-6,01-02-2026,30-04-1970\nLAKE,P-7,01-02-26,\nLAKE,P-8,,\n"},
		{"lists", "lab/" + cprFile, "CP Short Title,PPID,Registration Date,Race#1,Race#2,Race#3,PMI#1#Site Name,PMI#1#MRN\nLAKE,P-1,01-02-2026,Asian,White,,Lakeside Biobank,M-1\nLAKE,P-2,01-02-2026,Asian,,Black or African American,,\nLAKE,P-3,01-02-2026,Asian,Purple,,,\nLAKE,P-4,01-02-2026,,,,Hill Biobank,M-2\nLAKE,P-5,01-02-2026,,,,Lakeside Biobank,M-1\nLAKE,P-6,01-02-2026,,,,,M-3\n"},
		{"formula guard", "lab/" + cprFile, participants + "LAKE,P-1,01-02-2026,=1+1\nLAKE,P-2,01-02-2026,'=1+1\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			r.user("guest", biobank.UserNone, biobank.StatusActive)
			r.user("gone", biobank.UserInstitute, biobank.StatusClosed)
			before := r.state()
			r.run(r.drop(tt.key, tt.content))
			all := r.all()
			if tt.name == "no name" {
				if len(all) != 0 {
					t.Fatalf("a folder made %d jobs", len(all))
				}
				return
			}
			if len(all) != 1 || !all[0].Status.Final() {
				t.Fatalf("jobs: %+v", all)
			}
			told := r.outcome(all[0])
			golden(t, "bad/"+fileName(tt.name), told)
			if word := forbidden.FindString(strings.ReplaceAll(told, "OS_ERROR_MESSAGE", "")); word != "" {
				t.Errorf("the word %q is told to the user", word)
			}
			if all[0].Total == all[0].FailedRows && r.state() != before {
				t.Error("something was written")
			}
			// The next file of lab's is imported whatever became of this one.
			if _, report := r.importFile("cpr_create_20260301090000000.csv", participants+"LAKE,NEXT,01-02-2026,Mira\n"); !strings.Contains(report, "SUCCESS") {
				t.Errorf("the next file: %s", report)
			}
		})
	}
}

func TestClearedValues(t *testing.T) {
	r := newRig(t)
	r.mustImport(cprFile, "CP Short Title,PPID,Registration Date,First Name,Race#1,Race#2,External Subject ID\nLAKE,P-1,01-02-2026,Mira,Asian,White,X-1\n")
	j, _ := r.importFile("cpr_update_20260301080100000.csv", lines(
		"CP Short Title,PPID,First Name,Race#1,External Subject ID,Registration Date",
		"LAKE,P-1,##set_to_blank##,##set_to_blank##,,##set_to_blank##",
		"##set_to_blank##,P-1,,,,",
	))
	golden(t, "cleared", r.outcome(j))
	r.mustImport("cpr_update_20260301080200000.csv", lines(
		"CP Short Title,PPID,First Name,Race#1,External Subject ID",
		"LAKE,P-1,##set_to_blank##,##set_to_blank##,",
	))
	golden(t, "cleared-state", r.state())
}

func TestFileThatIsGoneBeforeItIsRead(t *testing.T) {
	r := newRig(t)
	m := r.drop("lab/"+cprFile, participants+"LAKE,P-1,01-02-2026,Mira\n")
	r.files.(*memFiles).forget("intake", "lab/"+cprFile)
	r.run(m)
	golden(t, "bad/gone", r.outcome(r.all()[0]))
}

func TestMessagesThatAreNoWork(t *testing.T) {
	r := newRig(t)
	for _, m := range []string{
		`{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"intake"}`,
		string(event("intake", "_uploads/1/input.csv", "v1")),
		string(event("intake", "lab/", "v1")),
		`{"job":99,"step":"plan"}`,
		`{"job":99,"step":"chunk","chunk":3}`,
		`{"job":99,"step":"finish"}`,
	} {
		if err := r.im.Handle(t.Context(), []byte(m)); err != nil {
			t.Errorf("%s: %v", m, err)
		}
	}
	for _, m := range []string{``, `[]`, `this is not JSON`, `{}`, `{"job":1}`, `{"job":1,"step":"dance"}`, `{"source":"aws.ec2"}`} {
		if err := r.im.Handle(t.Context(), []byte(m)); err == nil {
			t.Errorf("%q was handled", m)
		}
	}
	if all := r.all(); len(all) != 0 {
		t.Errorf("%d jobs were made", len(all))
	}
	if r.queue.len() != 0 {
		t.Error("messages were sent")
	}
}

// A row that makes the program panic fails alone, and the log tells where but not what.
func TestPoisonRow(t *testing.T) {
	csvimport.PoisonSchema(t)
	r := newRig(t)
	r.specimens("S-1", "RULE")
	j, _ := r.importFile("poison_upsert_20260301080300000.csv", lines(
		"Visit Name,Specimen Label,Type,Comments",
		"V-1,S-1,Plasma,first",
		"V-1,READ,Plasma,second",
		"V-1,RULE,Plasma,third",
		"V-1,S-4,Plasma,fourth",
	))
	golden(t, "bad/poison", r.outcome(j))
	if log := r.log.String(); strings.Contains(log, "Mira") || strings.Count(log, "fault in the program") != 2 {
		t.Errorf("log:\n%s", log)
	}
}

// specimens makes the visit V-1 of a participant with primary specimens of 10.
func (r *rig) specimens(labels ...string) {
	r.t.Helper()
	r.mustImport("cpr_create_20260301070000000.csv", participants+"LAKE,P-1,01-02-2026,Mira\n")
	r.mustImport("visit_create_20260301070000000.csv", "CP Short Title,PPID,Name,Visit Date,Visit Site\nLAKE,P-1,V-1,03-02-2026,Lakeside Biobank\n")
	rows := "Visit Name,Specimen Label,Type,Initial Quantity,Created On\n"
	for _, l := range labels {
		rows += "V-1," + l + ",Plasma,10,03-02-2026\n"
	}
	r.mustImport("specimen_create_20260301070000000.csv", rows)
}
