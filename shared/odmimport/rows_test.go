package odmimport

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/biobank"
	"aliquot/shared/clinical"
	"aliquot/shared/fault"
	"aliquot/shared/jobs"
)

// port is a site that takes data.
func port() *clinical.Place {
	study := &clinical.Held{ID: 10, Study: clinical.Study{OID: "S_A", Status: clinical.Available}}
	return &clinical.Place{Study: study, Site: &clinical.Held{ID: 11, Study: clinical.Study{OID: "S_B", Status: clinical.Available, Parent: 10}}}
}

// calls are the events of the study.
func calls() *clinical.Metadata {
	return clinical.NewMetadata("S_A", []*clinical.EventDef{
		{OID: "SE_FIRST"}, {OID: "SE_CALL", Repeating: true}, {OID: "SE_LOG", Repeating: true, Common: true},
	}, nil, nil, nil, nil)
}

// newTable is a world with a job that takes a CSV file, and a participant B-1 of the site.
func newTable(t *testing.T, jobType, text string) (*world, *Importer) {
	t.Helper()
	w := newWorld(t, text, nil)
	w.job.ObjectType = jobType
	planners := &Planners{Studies: &clinical.Registry{Store: w, Random: rand.Reader}}
	actor := &clinical.Actor{Actor: &biobank.Actor{ID: 7, User: biobank.UserDoc{Type: biobank.UserSuper}}}
	by := clinical.By{Actor: actor, At: w.now, ID: "before"}
	if _, err := w.Reserve(t.Context(), string(clinical.SubjectType), 3); err != nil { // those of every world
		t.Fatal(err)
	}
	if _, err := planners.Studies.AddParticipant(t.Context(), by, port(), clinical.SubjectDraft{Label: "B-1", FirstName: "Bea", Phone: "1"}); err != nil {
		t.Fatal(err)
	}
	im := w.importer(4)
	im.Rows = func(_ context.Context, j *jobs.Job) (RowWriter, clinical.By, error) {
		if j.ObjectType == TypeParticipants {
			return planners.participantRows(port()), by, nil
		}
		return planners.eventRows(port(), calls()), by, nil
	}
	w.left = 0
	return w, im
}

const people = "sep=;\n" + `emailAddress;PARTICIPANTID;firstName;lastName;mobileNumber;shoes
b2@example.org; B-2 ;Ben;Bell;+1 2;43
;B-1;;Bell;;
;;Nobody;;;

x;B-3
;Much-too-long-for-an-identifier;;;;
;B-4;` + "01234567890123456789012345678901234567" + `;;;
;"B,5";;;;
;B-2;Benny;;;
;B-2;;;+3;
`

const peopleLog = `Row,ParticipantID,Participant OID,Participate Status,Status,Message,
1,B-2,SS_B2,,Success,,
2,B-1,SS_B1,,Success,,
3,,,,Failed,errorCode.missingParticipantID,
5,B-3,,,Failed,"line 7: the row has 2 cells, the header row has 6",
6,Much-too-long-for-an-identifier,,,Failed,errorCode.participantIdTooLong,
7,B-4,,,Failed,errorCode.firstNameTooLong,
8,"B,5",SS_B5,,Success,,
9,B-2,SS_B2,,Success,,
10,B-2,SS_B2,,Success,,
`

const visits = `ParticipantID,StudyEventOID,StudyEventRepeatKey,StartDate,EndDate,StudyEventStatus
B-1,se_call,,2026-03-01,,completed
B-1,SE_CALL,,2026-03-02,2026-03-03,
B-1,SE_CALL,2,,,completed
B-1,SE_CALL,2,,2026-03-04,data entry started
B-1,SE_CALL,2,,,completed
B-1,SE_CALL,2,,,started
B-1,SE_CALL,2,,,skipped
B-1,SE_CALL,3,,,
B-1,SE_CALL,x,,,
B-1,SE_FIRST,,2026-03-01,,
B-1,SE_FIRST,,2026-03-01,,
B-1,SE_LOG,,2026-03-01,,
B-1,SE_NONE,,2026-03-01,,
B-1,SE_CALL,,,,
B-1,SE_CALL,,1.3.2026,,
B-1,SE_CALL,,2026-03-02,2026-03-01,
B-9,SE_CALL,,2026-03-01,,
,SE_CALL,,2026-03-01,,
`

const visitsLog = `Row #,ParticipantID,StudyEventOID,StudyEventRepeatKey,Status,Message
1,B-1,SE_CALL,1,Created,
2,B-1,SE_CALL,2,Created,
3,B-1,SE_CALL,2,Failed,errorCode.invalidEventTransitionStatus
4,B-1,SE_CALL,2,Updated,
5,B-1,SE_CALL,2,Updated,
6,B-1,SE_CALL,2,Failed,errorCode.invalidEventStatus
7,B-1,SE_CALL,2,Failed,errorCode.invalidEventTransitionStatus
8,B-1,SE_CALL,3,Failed,errorCode.studyEventRepeatNotFound
9,B-1,SE_CALL,x,Failed,errorCode.invalidStudyEventRepeatKey
10,B-1,SE_FIRST,1,Created,
11,B-1,SE_FIRST,,Failed,errorCode.eventAlreadyExists
12,B-1,SE_LOG,,Failed,errorCode.commonEventsCannotBeScheduled
13,B-1,SE_NONE,,Failed,errorCode.eventOIDNotAvailableInThisStudy
14,B-1,SE_CALL,,Failed,errorCode.missingStartDate
15,B-1,SE_CALL,,Failed,errorCode.invalidStartDate
16,B-1,SE_CALL,,Failed,errorCode.endDateBeforeStartDate
17,B-9,SE_CALL,,Failed,errorCode.participantNotFound
18,,SE_CALL,,Failed,errorCode.missingParticipantID
`

// kept are the participants and their events, without times.
func kept(w *world) map[string]string {
	w.t.Helper()
	out := map[string]string{}
	for key, rec := range w.AllRecords() {
		switch rec.Type {
		case clinical.SubjectType:
			s, err := biobank.Decode[clinical.Subject](rec)
			if err != nil {
				w.t.Fatal(err)
			}
			out[s.OID] = fmt.Sprintf("%s at %d, %s %s %s %s, %d entries", s.Label, s.Site, s.FirstName, s.LastName, s.Email, s.Phone, s.Entries)
		case clinical.EventType:
			e, err := biobank.Decode[clinical.Event](rec)
			if err != nil {
				w.t.Fatal(err)
			}
			out[key.Sort] = fmt.Sprintf("%s %d, %s to %s, %s", e.OID, e.Key, e.StartDate, e.EndDate, e.Status)
		}
	}
	return out
}

// The outcome of a CSV file is the same wherever a call broke, before or after it was done: what is stored, and the log.
func TestTables(t *testing.T) {
	for _, test := range []struct {
		jobType, text, log string
		kept               map[string]string
		failed             int64
	}{
		{TypeParticipants, people, peopleLog, map[string]string{
			"SS_B1": "B-1 at 11, Bea Bell  1, 1 entries", "SS_B2": "B-2 at 11, Benny Bell b2@example.org +3, 2 entries",
			"SS_B5": "B,5 at 11,    , 0 entries",
		}, 4},
		{TypeEvents, visits, visitsLog, map[string]string{
			"SS_B1": "B-1 at 11, Bea   1, 2 entries", "a/SE_CALL/000001": "SE_CALL 1, 2026-03-01 to , scheduled",
			"a/SE_CALL/000002": "SE_CALL 2, 2026-03-02 to 2026-03-04, completed", "a/SE_FIRST/000001": "SE_FIRST 1, 2026-03-01 to , scheduled",
		}, 13},
	} {
		check := func(name string, w *world) {
			t.Helper()
			j := w.job
			total := int64(strings.Count(test.log, "\n") - 1)
			if j.Status != jobs.Completed || j.Total != total || j.FailedRows != test.failed || j.Done != total-test.failed {
				t.Fatalf("%s, %s: job %+v", test.jobType, name, j)
			}
			if d := cmp.Diff(test.log, string(w.objects["results/"+LogKey(j, false)])); d != "" {
				t.Fatalf("%s, %s: log (-want +got):\n%s", test.jobType, name, d)
			}
			if _, ok := w.objects["results/"+LogKey(j, true)]; ok {
				t.Errorf("%s, %s: there is a second log", test.jobType, name)
			}
			got := kept(w)
			for id := 1; id <= 3; id++ { // of every world
				delete(got, fmt.Sprintf("SS_%d", id))
			}
			if d := cmp.Diff(test.kept, got); d != "" {
				t.Fatalf("%s, %s: data (-want +got):\n%s", test.jobType, name, d)
			}
		}
		plain, im := newTable(t, test.jobType, test.text)
		plain.left = 1 << 30
		plain.run(im)
		calls := 1<<30 - plain.left
		check("undisturbed", plain)
		for _, after := range []bool{false, true} {
			for n := 1; n <= calls; n++ {
				w, im := newTable(t, test.jobType, test.text)
				w.left, w.after = n, after
				w.run(im)
				check(fmt.Sprintf("call %d of %d broken, after %t", n, calls, after), w)
			}
		}
	}
}

func TestStoppedTable(t *testing.T) {
	w, im := newTable(t, TypeParticipants, people)
	w.job.Stop = true
	w.run(im)
	if w.job.Status != jobs.Stopped || w.job.Total > maxUnnoted || len(w.objects["results/"+LogKey(w.job, false)]) == 0 {
		t.Errorf("job %+v", w.job)
	}
}

// A file that ends in the middle keeps what was done and says why.
func TestTableThatCannotBeReadOn(t *testing.T) {
	w, im := newTable(t, TypeParticipants, "ParticipantID\nB-2\nB-3\xff\nB-4\n")
	w.run(im)
	log := string(w.objects["results/"+LogKey(w.job, false)])
	if w.job.Status != jobs.Completed || w.job.FailedRows != 1 || !strings.Contains(log, "1,B-2,SS_B2,,Success,,\n2,") || !strings.Contains(log, "3,B-4,SS_B4,,Success,,\n") {
		t.Errorf("job %+v\n%s", w.job, log)
	}
	w, im = newTable(t, TypeParticipants, "")
	w.run(im)
	if w.job.Status != jobs.Failed || w.job.Reason == "" || string(w.objects["results/"+LogKey(w.job, false)]) != strings.SplitAfter(peopleLog, "\n")[0] {
		t.Errorf("an empty file: %+v", w.job)
	}
}

// While an import changes a participant, a row about it waits.
func TestTableWaitsForAnImport(t *testing.T) {
	w, im := newTable(t, TypeParticipants, "ParticipantID\nB-1\n")
	busy := true
	im.Rows = func(context.Context, *jobs.Job) (RowWriter, clinical.By, error) {
		return func(context.Context, clinical.By, map[string]string) ([]string, error) {
			if busy {
				return nil, fault.New("COMMON_INVALID_REQUEST", "Try again.").WithKind(fault.Busy)
			}
			return []string{"B-1"}, nil
		}, clinical.By{}, nil
	}
	for range 5 {
		var later *jobs.Later
		if err := im.Handle(t.Context(), Message(4)); !errors.As(err, &later) || w.job.Status.Final() {
			t.Fatalf("%v, job %+v", err, w.job)
		}
		w.now = w.now.Add(time.Minute)
	}
	busy = false
	w.run(im)
	if w.job.Status != jobs.Completed || w.job.FailedRows != 0 || w.job.Total != 1 {
		t.Errorf("job %+v", w.job)
	}
}

func TestOpenTable(t *testing.T) {
	for _, test := range []struct{ name, jobType, text, want string }{
		{"empty", TypeParticipants, "", "line 1: the file is empty"},
		{"blank", TypeParticipants, "\n\n", "no header row"},
		{"no such column", TypeParticipants, "Participant,x\n", "The file has no column ParticipantID."},
		{"one is missing", TypeEvents, "ParticipantID,EventOID\n", "The file has no column StudyEventOID."},
		{"twice", TypeParticipants, "ParticipantID,participantid\n", "the same caption"},
		{"a workbook", TypeParticipants, "PK\x03\x04....", "not a CSV"},
		{"NUL", TypeParticipants, "Partici\x00pantID\nB-1\n", "line 1"},
		{"UTF-16", TypeParticipants, "\xff\xfeP\x00a\x00r\x00t\x00i\x00c\x00i\x00p\x00a\x00n\x00t\x00I\x00D\x00\n\x00", ""},
		{"byte order mark", TypeParticipants, "\xef\xbb\xbfParticipantID\n", ""},
		{"tabs", TypeEvents, "ParticipantID\tStudyEventOID\nB-1\tSE\n", ""},
	} {
		_, err := OpenTable(strings.NewReader(test.text), test.jobType)
		all := fault.All(err)
		switch {
		case test.want == "" && err != nil, test.want != "" && (len(all) == 0 || !strings.Contains(all[0].Message, test.want)):
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
	if _, err := OpenTable(io.MultiReader(strings.NewReader("Par"), broken{}), TypeParticipants); !errors.Is(err, errBroken) {
		t.Errorf("a file that could not be read: %v", err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBroken }
