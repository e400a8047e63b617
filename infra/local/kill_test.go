package local_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"aliquot/infra/local"
	"aliquot/shared/biobank"
	"aliquot/shared/blob"
	"aliquot/shared/jobs"
	"aliquot/shared/store"
)

// lab is a stack with a study, and a user whose drop folder the tests use.
type lab struct {
	*testing.T
	stack   *local.Stack
	objects *blob.Store
	jobs    *store.Jobs
}

func newLab(t *testing.T, faults local.Faults) *lab {
	t.Helper()
	// Short leases, so that what a killed worker held is soon free; many chunks, so that many workers can be killed.
	s, err := local.Start(t.Context(), local.Options{Functions: true, Faults: faults, Params: map[string]string{
		"LeaseSeconds": "2", "DropWaitSeconds": "1", "ChunkRows": "40", "MaxAttempts": "20",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	db := store.NewClient(s.AWSConfig())
	tables := store.Tables{Records: s.Tables["records"], Audit: s.Tables["audit"], Jobs: s.Tables["jobs"], Sessions: s.Tables["sessions"]}
	l := &lab{T: t, stack: s, objects: blob.New(s.AWSConfig()), jobs: store.NewJobs(db, tables)}
	registry := &biobank.Registry{Store: store.NewRecords(db, tables)}
	yes := true
	for _, d := range []biobank.Draft{
		&biobank.InstituteDraft{Doc: biobank.InstituteDoc{Name: "Lakeside Institute"}},
		&biobank.SiteDraft{Institute: "Lakeside Institute", Doc: biobank.SiteDoc{Name: "Lakeside Biobank", Type: "Repository"}},
		&biobank.UserDraft{Institute: "Lakeside Institute", Doc: biobank.UserDoc{
			FirstName: "Lena", LastName: "Lab", EmailAddress: "lab@example.org", LoginName: "lab", DomainName: biobank.Domain,
			Type: biobank.UserInstitute, DropFolder: &yes, ActivityStatus: biobank.StatusActive,
		}},
		&biobank.ProtocolDraft{
			PI: biobank.UserRef{Email: "lab@example.org"}, Sites: []biobank.SiteRef{{Name: "Lakeside Biobank"}},
			Doc: biobank.ProtocolDoc{ShortTitle: "LAKE", Title: "Lake Study"},
		},
		&biobank.EventDraft{Protocol: biobank.ProtocolRef{ShortTitle: "LAKE"}, Doc: biobank.EventDoc{Label: "Baseline"}},
	} {
		system := &biobank.Actor{ID: biobank.SystemUserID, User: biobank.UserDoc{Type: biobank.UserSuper}}
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		out, err := registry.Apply(t.Context(), system, at, []biobank.Change{{Op: biobank.Create, Draft: d, ID: "test"}})
		if err == nil {
			err = out[0].Err
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// files are participants, visits and specimens with their children, of invented people; some rows cannot be saved.
func files(n int) map[string]string {
	cpr, visit, specimen := new(bytes.Buffer), new(bytes.Buffer), new(bytes.Buffer)
	fmt.Fprintln(cpr, "CP Short Title,PPID,Registration Date,First Name,Last Name")
	fmt.Fprintln(visit, "CP Short Title,PPID,Event Label,Name,Visit Date,Visit Site")
	fmt.Fprintln(specimen, "Visit Name,Specimen Label,Class,Type,Lineage,Parent Specimen Label,Initial Quantity")
	for i := range n {
		day := "01-02-2026"
		if i%10 == 9 {
			day = "31-02-2026" // a day that is not
		}
		fmt.Fprintf(cpr, "LAKE,P-%d,%s,Mira,Sand\n", i, day)
		fmt.Fprintf(visit, "LAKE,P-%d,Baseline,V-%d,03-02-2026,Lakeside Biobank\n", i, i)
		fmt.Fprintf(specimen, "V-%d,S-%d,Fluid,Whole Blood,New,,10\n", i, i)
		fmt.Fprintf(specimen, ",S-%d.1,Fluid,Plasma,Derived,S-%d,4\n", i, i)
		fmt.Fprintf(specimen, ",S-%d.2,,,Aliquot,S-%d.1,1\n", i, i)
	}
	return map[string]string{
		"lab/cpr_create_20260301080000000.csv":      cpr.String(),
		"lab/visit_create_20260301080100000.csv":    visit.String(),
		"lab/specimen_create_20260301080200000.csv": specimen.String(),
	}
}

func (l *lab) drop(all map[string]string) {
	l.Helper()
	for key, text := range all {
		if _, err := l.objects.Put(l.Context(), l.stack.Buckets["intake"], key, "text/csv", []byte(text)); err != nil {
			l.Fatal(err)
		}
	}
}

// ended returns the jobs, by file name, once there are n and all have ended; before that, nil.
func (l *lab) ended(n int) map[string]*jobs.Job {
	l.Helper()
	list, err := l.jobs.List(l.Context(), jobs.Filter{Max: 100})
	if err != nil {
		l.Fatal(err)
	}
	if len(list) > n {
		l.Fatalf("%d files made %d jobs", n, len(list))
	}
	all := map[string]*jobs.Job{}
	for _, j := range list {
		if j.Status.Final() {
			all[j.FileName] = j
		}
	}
	if len(all) < n {
		return nil
	}
	return all
}

// outcome is everything that an import leaves behind and that must not depend on what happened on the way.
type outcome struct {
	Jobs    map[string]string // by file name: state and counts
	Reports map[string]string
	Failed  map[string]string
	Records []string
}

func (l *lab) outcome(all map[string]*jobs.Job) outcome {
	l.Helper()
	o := outcome{Jobs: map[string]string{}, Reports: map[string]string{}, Failed: map[string]string{}, Records: l.records(all)}
	for name, j := range all {
		o.Jobs[name] = fmt.Sprintf("%s %s, %d rows, %d done, %d failed", j.Status, j.Reason, j.Total, j.Done, j.FailedRows)
		o.Reports[name] = l.object(j.Report)
		o.Failed[name] = l.object(j.FailedReport)
	}
	return o
}

func (l *lab) object(key string) string {
	l.Helper()
	if key == "" {
		return ""
	}
	text, err := l.objects.Get(l.Context(), blob.Object{Bucket: l.stack.Buckets["results"], Key: key}, 10<<20)
	if err != nil {
		l.Fatal(err)
	}
	return string(text)
}

// records lists the items of the records table without their times, and with file names in place of job numbers, which
// depend on the order in which the events came.
func (l *lab) records(all map[string]*jobs.Job) []string {
	l.Helper()
	db := dynamodb.NewFromConfig(l.stack.AWSConfig())
	var lines []string
	pages := dynamodb.NewScanPaginator(db, &dynamodb.ScanInput{TableName: aws.String(l.stack.Tables["records"])})
	for pages.HasMorePages() {
		page, err := pages.NextPage(l.Context())
		if err != nil {
			l.Fatal(err)
		}
		for _, item := range page.Items {
			delete(item, "made")
			delete(item, "head") // the hash of an audit entry, which has a time
			line := moment.ReplaceAllString(fmt.Sprint(plain(item)), "<time>")
			for name, j := range all {
				for _, before := range []string{"src:", "chg:"} {
					line = strings.ReplaceAll(line, fmt.Sprintf("%s%d#", before, j.ID), before+name+"#")
				}
				line = strings.ReplaceAll(line, fmt.Sprintf("pk:reserved#%d ", j.ID), "pk:reserved#"+name+" ")
			}
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return lines
}

// moment matches a time in milliseconds, which an import gives to what has none of its own.
var moment = regexp.MustCompile(`\b1[0-9]{12}\b`)

// plain makes text of an item's values.
func plain(item map[string]types.AttributeValue) map[string]string {
	out := map[string]string{}
	for name, v := range item {
		switch v := v.(type) {
		case *types.AttributeValueMemberS:
			out[name] = v.Value
		case *types.AttributeValueMemberN:
			out[name] = v.Value
		default:
			text, err := json.Marshal(v)
			if err != nil {
				panic(err)
			}
			out[name] = string(text)
		}
	}
	return out
}

// kills is how many processes TestKilledImportEndsAsIfNothingHappened kills: ALIQUOT_KILLS, or 50.
func kills(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv("ALIQUOT_KILLS"))
	if err != nil {
		return 50
	}
	return n
}

// TestKilledImportEndsAsIfNothingHappened kills the importer's processes at random times, delivers messages twice, and
// every file's event ten times at once. What the import leaves behind is that of a run without faults.
func TestKilledImportEndsAsIfNothingHappened(t *testing.T) {
	const rows = 200
	calm := newLab(t, local.Faults{})
	calm.drop(files(rows))
	var want, got map[string]*jobs.Job
	waitFor(t, "the end of the calm import", time.Minute, func() bool { want = calm.ended(3); return want != nil })

	wild := newLab(t, local.Faults{})
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	wild.drop(files(rows))
	for key := range files(rows) {
		event := fmt.Appendf(nil, `{"version":"0","id":"1","detail-type":"Object Created","source":"aws.s3","detail":{"bucket":{"name":%q},"object":%s}}`,
			wild.stack.Buckets["intake"], wild.describe(key))
		for range 10 {
			if err := wild.stack.Publish(event); err != nil {
				t.Fatal(err)
			}
		}
	}
	most, killed, redelivered := kills(t), 0, 0
	for end := time.Now().Add(5 * time.Minute); killed < most && got == nil && time.Now().Before(end); got = wild.ended(3) {
		time.Sleep(time.Duration(random.IntN(150)) * time.Millisecond)
		if random.IntN(3) == 0 {
			redelivered += wild.stack.Redeliver("import")
		} else {
			killed += wild.stack.KillFunction("csvimport")
		}
	}
	t.Logf("killed %d processes, delivered %d messages again", killed, redelivered)
	if killed < most/2 {
		t.Errorf("the import ended when only %d processes were killed", killed)
	}
	waitFor(t, "the end of the import", 3*time.Minute, func() bool { got = wild.ended(3); return got != nil })
	mustBeSame(t, calm.outcome(want), wild.outcome(got))
}

func mustBeSame(t *testing.T, calm, wild outcome) {
	t.Helper()
	if diff := cmp.Diff(calm, wild); diff != "" {
		t.Errorf("outcome (-calm +wild):\n%s", diff[:min(len(diff), 4000)])
	}
}

// TestImportOverFaultyServicesEndsAsIfNothingHappened refuses requests as too many, and loses the answers of others that
// were carried out.
func TestImportOverFaultyServicesEndsAsIfNothingHappened(t *testing.T) {
	const rows = 60
	outcomeWith := func(faults local.Faults) outcome {
		l := newLab(t, faults)
		l.drop(files(rows))
		var all map[string]*jobs.Job
		waitFor(t, "the end of the import", 4*time.Minute, func() bool { all = l.ended(3); return all != nil })
		return l.outcome(all)
	}
	mustBeSame(t, outcomeWith(local.Faults{}), outcomeWith(local.Faults{Throttle: 13, Lose: 17}))
}

// describe is the object's part of its event.
func (l *lab) describe(key string) []byte {
	l.Helper()
	info, err := l.objects.Head(l.Context(), blob.Object{Bucket: l.stack.Buckets["intake"], Key: key})
	if err != nil {
		l.Fatal(err)
	}
	text, err := json.Marshal(map[string]any{
		"key": key, "size": info.Size, "etag": strings.Trim(info.ETag, `"`), "version-id": info.Version, "sequencer": "1",
	})
	if err != nil {
		l.Fatal(err)
	}
	return text
}
