// Package e2e_test runs imports on the real binaries, from a file in the bucket to its report.
package e2e_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"aliquot/infra/local"
	"aliquot/infra/local/localtest"
	"aliquot/shared/biobank"
	"aliquot/shared/blob"
	"aliquot/shared/jobs"
	"aliquot/shared/store"
)

// lab is a running stack with a study in it and a user "lab" who drops files.
type lab struct {
	t       *testing.T
	stack   *local.Stack
	records *store.Records
	jobs    *store.Jobs
	blobs   *blob.Store
}

func newLab(t *testing.T, s *local.Stack) *lab {
	t.Helper()
	tables := store.Tables{Records: s.Tables["records"], Audit: s.Tables["audit"], Jobs: s.Tables["jobs"]}
	db := store.NewClient(s.AWSConfig())
	l := &lab{t: t, stack: s, records: store.NewRecords(db, tables), jobs: store.NewJobs(db, tables), blobs: blob.New(s.AWSConfig())}
	reg := &biobank.Registry{Store: l.records}
	system := &biobank.Actor{ID: biobank.SystemUserID, User: biobank.UserDoc{Type: biobank.UserSuper}}
	for _, d := range []biobank.Draft{
		&biobank.InstituteDraft{Doc: biobank.InstituteDoc{Name: "Lakeside Institute"}},
		&biobank.SiteDraft{Institute: "Lakeside Institute", Doc: biobank.SiteDoc{Name: "Lakeside Biobank", Type: "Repository"}},
		&biobank.UserDraft{Institute: "Lakeside Institute", Doc: biobank.UserDoc{
			FirstName: "Lena", LastName: "Lab", EmailAddress: "lab@example.org", LoginName: "lab", DomainName: biobank.Domain,
			Type: biobank.UserInstitute, ActivityStatus: biobank.StatusActive,
		}},
		&biobank.ProtocolDraft{
			PI: biobank.UserRef{Email: "lab@example.org"}, Sites: []biobank.SiteRef{{Name: "Lakeside Biobank"}},
			Doc: biobank.ProtocolDoc{ShortTitle: "LAKE", Title: "Lake Study"},
		},
		&biobank.EventDraft{Protocol: biobank.ProtocolRef{ShortTitle: "LAKE"}, Doc: biobank.EventDoc{Label: "Baseline"}},
	} {
		out, err := reg.Apply(t.Context(), system, time.Now().UTC(), []biobank.Change{{Op: biobank.Create, Draft: d, ID: "test"}})
		if err != nil {
			t.Fatal(err)
		}
		if out[0].Err != nil {
			t.Fatal(out[0].Err)
		}
	}
	return l
}

func (l *lab) drop(name, content string) {
	l.t.Helper()
	if _, err := l.blobs.Put(l.t.Context(), l.stack.Buckets["intake"], "lab/"+name, "text/csv", []byte(content)); err != nil {
		l.t.Fatal(err)
	}
}

// await waits until a file's job has ended.
func (l *lab) await(name string, limit time.Duration) *jobs.Job {
	l.t.Helper()
	var last *jobs.Job
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if last = l.job(name); last != nil && last.Status.Final() {
			return last
		}
	}
	l.t.Fatalf("the job of %s has not ended: %+v", name, last)
	return nil
}

// job is the newest job of a file, nil when there is none.
func (l *lab) job(name string) *jobs.Job {
	l.t.Helper()
	all, err := l.jobs.List(l.t.Context(), jobs.Filter{})
	if err != nil {
		l.t.Fatal(err)
	}
	for _, j := range all {
		if j.FileName == name {
			return j
		}
	}
	return nil
}

func (l *lab) object(key string) string {
	l.t.Helper()
	b, err := l.blobs.Get(l.t.Context(), blob.Object{Bucket: l.stack.Buckets["results"], Key: key}, 1<<30)
	if err != nil {
		l.t.Fatal(err)
	}
	return string(b)
}

// names is what is stored of participants, visits and specimens, by name and without ids, in which there may be gaps.
func (l *lab) names() string {
	l.t.Helper()
	names := map[biobank.Key]string{}
	var all []string
	for _, part := range biobank.TreeParts(1) {
		records, err := l.records.List(l.t.Context(), part, "", "", 0)
		if err != nil {
			l.t.Fatal(err)
		}
		for _, rec := range records {
			doc, err := biobank.Decode[struct{ PPID, Name, Label string }](rec)
			if err != nil {
				l.t.Fatal(err)
			}
			trail, err := l.records.Trail(l.t.Context(), rec.Type, rec.ID)
			if err != nil {
				l.t.Fatal(err)
			}
			chain, err := biobank.VerifyChain(rec, trail)
			if err != nil {
				l.t.Error(err)
			}
			names[rec.Key] = names[rec.Key.Above(1)] + "/" + doc.PPID + doc.Name + doc.Label
			_, row, _ := strings.Cut(rec.Source, "#") // which of two files has the lower job depends on their events
			text := fmt.Sprintf("%s v%d from row %s, %d entries: %s\n", names[rec.Key], rec.Version, row, len(chain), rec.Doc)
			all = append(all, regexp.MustCompile(`"id":\d+`).ReplaceAllString(text, `"id":_`))
		}
	}
	slices.Sort(all)
	return strings.Join(all, "")
}

// report is a report without ids.
func (l *lab) report(j *jobs.Job) [][]string {
	l.t.Helper()
	rows, err := csv.NewReader(strings.NewReader(l.object(j.Report))).ReadAll()
	if err != nil {
		l.t.Fatal(err)
	}
	id := slices.Index(rows[0], "OS_IDENTIFIER")
	for _, row := range rows[1:] {
		if row[id] != "" {
			row[id] = "_"
		}
	}
	return rows
}

const (
	cprFile      = "cpr_create_20260301080000000.csv"
	visitFile    = "visit_create_20260301080100000.csv"
	specimenFile = "specimen_create_20260301080200000.csv"

	cprRows   = "CP Short Title,PPID,Registration Date,First Name,Last Name,Date Of Birth,National ID,eMPI,Email Address,External Subject ID,Reason\n"
	visitRows = "CP Short Title,PPID,Event Label,Name,Visit Date,Visit Site,Comments,Path. Number\n"
)

// specimens is n rows: primary specimens, an aliquot of each fifth, which lies behind all of them, and rows that fail.
func specimens(n int) string {
	var b strings.Builder
	b.WriteString("Visit Name,Specimen Label,Type,Lineage,Parent Specimen Label,Initial Quantity,Created On,Collection Event#Date and Time\n")
	rows := 1
	for i := 1; rows < n*4/5; i, rows = i+1, rows+1 {
		kind := "Plasma"
		if i%97 == 0 {
			kind = "Gold"
		}
		fmt.Fprintf(&b, "V-%d,S-%05d,%s,New,,10,03-02-2026 10:00,03-02-2026 10:00\n", 1+i%2, i, kind)
	}
	for i := 5; rows < n; i, rows = i+5, rows+1 {
		fmt.Fprintf(&b, ",S-%05d.1,,Aliquot,S-%05d,2.5,03-02-2026 10:00,\n", i, i)
	}
	b.WriteString("V-1,S-00001,Plasma,New,,10,03-02-2026 10:00,03-02-2026 10:00\n")
	return b.String()
}

func (l *lab) study() {
	l.t.Helper()
	l.drop(cprFile, cprRows+"LAKE,P-1,01-02-2026,Mira,Sand,,,,,,\nLAKE,P-2,01-02-2026,Tomo,Reed,,,,,,\n")
	l.drop(visitFile, visitRows+"LAKE,P-1,Baseline,V-1,03-02-2026,Lakeside Biobank,,\nLAKE,P-2,Baseline,V-2,03-02-2026,Lakeside Biobank,,\n")
	for _, name := range []string{cprFile, visitFile} {
		if j := l.await(name, 30*time.Second); j.Status != jobs.Completed {
			l.t.Fatalf("%s: %s %s\n%s", name, j.Status, j.Reason, l.object(j.Report))
		}
	}
}

// Files go in, records and reports come out, and no value of a person comes into a log, whatever becomes of its row.
func TestDropToReport(t *testing.T) {
	s := localtest.Full(t, map[string]string{"ChunkRows": "40", "LeaseSeconds": "5", "DropWaitSeconds": "1"})
	l := newLab(t, s)
	canary := regexp.MustCompile(`(?i)zyx[a-z]+`)
	l.drop(cprFile, cprRows+
		"LAKE,P-1,01-02-2026,Zyxfirst,Zyxlast,03-04-1970,Zyxnational,Zyxempi,zyxmail@example.org,Zyxsubject,Zyxreason\n"+
		"LAKE,P-2,01-02-2026,Zyxtwo,Zyxlasttwo,03-04-1970,,Zyxempi,,,\n"+ // eMPI taken
		"LAKE,P-3,Zyxdate,Zyxthree,,Zyxbirth,,,Zyxmail,,\n"+
		"Zyxprotocol,P-4,01-02-2026,Zyxfour,,,,,,,\n"+
		"LAKE,P-5,01-02-2026,\"Zyxquote,,,,,,,\n"+
		"LAKE,P-6,01-02-2026,Zyx\x00nul,,,,,,,\n"+
		"LAKE,P-7,01-02-2026,Zyxseven,,,,,,,\n")
	l.drop(visitFile, visitRows+"LAKE,P-1,Baseline,Zyxvisit,03-02-2026,Lakeside Biobank,Zyxcomment,Zyxpath\nLAKE,Zyxppid,Zyxevent,Zyxvisitb,Zyxvdate,Zyxsite,,\n")
	l.drop(specimenFile, "Visit Name,Specimen Label,Type,Comments,Barcode\nZyxvisit,Zyxlabel,Plasma,Zyxnote,Zyxcode\nZyxvisit,Zyxlabel,Zyxtype,Zyxnote,Zyxcode\nZyxnovisit,Zyxb,Plasma,,\n")
	l.drop("a file+with 100%25 ä,ö.csv", "x")
	for _, want := range []struct {
		file         string
		done, failed int64
	}{{cprFile, 7, 5}, {visitFile, 2, 1}, {specimenFile, 3, 2}, {"a file+with 100%25 ä,ö.csv", 0, 0}} {
		j := l.await(want.file, time.Minute)
		if j.Done != want.done || j.FailedRows != want.failed || j.Report == "" || (j.Reason != "") != (want.done == 0) {
			t.Errorf("%s: %+v\n%s", want.file, j, l.object(j.Report))
		}
	}
	if stored := l.names(); !strings.Contains(stored, "/P-1/Zyxvisit/Zyxlabel ") || !strings.Contains(stored, "/P-7 ") {
		t.Errorf("records:\n%s", stored)
	}
	logs := 0
	err := filepath.WalkDir(filepath.Join(s.Dir, "logs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if found := canary.Find(text); found != nil {
			t.Errorf("%s holds %q", d.Name(), found)
		}
		logs++
		return err
	})
	if err != nil || logs < 3 {
		t.Errorf("%d logs were read: %v", logs, err)
	}
}

// What events/csvimport holds is understood by the binary.
func TestEvents(t *testing.T) {
	s, err := local.Start(t.Context(), local.Options{Functions: true, Idle: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	l := newLab(t, s)
	folder := filepath.Join("..", "..", "events", "csvimport")
	files, err := filepath.Glob(filepath.Join(folder, "intake", "lab", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("files to import: %v, %v", files, err)
	}
	for _, f := range files {
		content, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		l.drop(filepath.Base(f), string(content))
	}
	for _, want := range []struct {
		file   string
		failed int // messages that come again
		jobs   int // in all
	}{
		{"object-created", 0, 1},
		{"object-created-again", 0, 1},
		{"odd-key", 0, 2},
		{"no-such-object", 0, 3},
		{"test-event", 0, 3},
		{"unreadable", 1, 3},
	} {
		payload, err := os.ReadFile(filepath.Join(folder, want.file+".json"))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := s.Invoke(t.Context(), "csvimport", []byte(strings.ReplaceAll(string(payload), "aliquot-intakebucket", s.Buckets["intake"])))
		if err != nil {
			t.Fatalf("%s: %v", want.file, err)
		}
		var told events.SQSEventResponse
		if err := json.Unmarshal(answer, &told); err != nil {
			t.Fatal(err)
		}
		all, err := l.jobs.List(t.Context(), jobs.Filter{})
		if err != nil || len(told.BatchItemFailures) != want.failed || len(all) != want.jobs {
			t.Errorf("%s: %d messages come again, %d jobs, %v", want.file, len(told.BatchItemFailures), len(all), err)
		}
	}
	minute, err := os.ReadFile(filepath.Join("..", "..", "events", "sweep", "minute.json"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Invoke(t.Context(), "sweep", minute); err != nil {
		t.Error(err)
	}
}

// The importer's processes are killed fifty times while they import a file. Records and report are those of a run in
// which nobody was killed.
func TestKilledFiftyTimes(t *testing.T) {
	kills, rows := 50, 3000
	if testing.Short() {
		kills, rows = 5, 1000
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	content := specimens(rows)
	params := map[string]string{"ChunkRows": "50", "LeaseSeconds": "2", "DropWaitSeconds": "1", "MaxAttempts": "20", "ImportConcurrency": "5"}

	sound := newLab(t, localtest.Full(t, params))
	sound.study()
	sound.drop(specimenFile, content)
	want := sound.await(specimenFile, 2*time.Minute)
	wantReport, wantNames := sound.report(want), sound.names()
	sound.stack.Close()
	if want.Done != int64(rows) || want.FailedRows < 2 || want.FailedRows > int64(rows/10) || want.Chunks < 10 {
		t.Fatalf("the run without kills: %+v", want)
	}

	l := newLab(t, localtest.Full(t, params))
	l.study()
	l.drop(specimenFile, content)
	killed := 0
	for killed < kills {
		time.Sleep(time.Duration(10+rng.IntN(400)) * time.Millisecond)
		killed += l.stack.KillFunction("csvimport")
		if j := l.job(specimenFile); j != nil && j.Status.Final() {
			break
		}
	}
	if killed < kills {
		t.Errorf("the job was over after %d kills: it needs more rows", killed)
	}
	got := l.await(specimenFile, 2*time.Minute)
	if got.Status != want.Status || got.Done != want.Done || got.FailedRows != want.FailedRows {
		t.Errorf("job %+v, want %+v", got, want)
	}
	if diff := cmp.Diff(wantReport, l.report(got)); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(wantNames, l.names()); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}
