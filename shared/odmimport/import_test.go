package odmimport

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/biobank"
	"aliquot/shared/biobank/biobanktest"
	"aliquot/shared/clinical"
	"aliquot/shared/fault"
	"aliquot/shared/jobs"
)

// world is an installation in memory whose services can break.
type world struct {
	*biobanktest.Memory
	t       *testing.T
	mu      sync.Mutex
	job     *jobs.Job
	objects map[string][]byte
	sent    int
	now     time.Time
	// left is how many calls are answered before one is not; after then tells that what it asks for is done all the same.
	left  int
	after bool
}

var errBroken = errors.New("the connection broke")

// call counts a call and does it, unless it is the one that breaks.
func (w *world) call(do func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left--
	if w.left == 0 && !w.after {
		return errBroken
	}
	err := do()
	if w.left == 0 {
		return errBroken
	}
	return err
}

// Write is biobank.Store's, which can break.
func (w *world) Write(ctx context.Context, opening bool, writes []biobank.Write) (out []biobank.Result, err error) {
	err = w.call(func() error { out, err = w.Memory.Write(ctx, opening, writes); return err })
	return out, err
}

// Transact is biobank.Store's, which can break.
func (w *world) Transact(ctx context.Context, writes []biobank.Write) (out []biobank.Result, err error) {
	err = w.call(func() error { out, err = w.Memory.Transact(ctx, writes); return err })
	return out, err
}

// store is the job store: one job, under the rules of store.Jobs.
type store struct{ *world }

func (s store) copy() *jobs.Job {
	doc, err := json.Marshal(s.job)
	if err != nil {
		s.t.Fatal(err)
	}
	var j jobs.Job
	if err := json.Unmarshal(doc, &j); err != nil {
		s.t.Fatal(err)
	}
	j.ID, j.Status, j.Stop, j.Fence, j.LeasedTo, j.Attempts = s.job.ID, s.job.Status, s.job.Stop, s.job.Fence, s.job.LeasedTo, s.job.Attempts
	j.Deleted = s.job.Deleted
	return &j
}

func (s store) Create(_ context.Context, j *jobs.Job) error {
	return s.call(func() error {
		if s.job.Key == j.Key && s.job.Drop {
			*j = *s.copy()
			if j.Status.Final() {
				return jobs.ErrEnded
			}
			return nil
		}
		j.ID = s.job.ID + 1
		c := *j
		s.job = &c
		return nil
	})
}

func (s store) Dropped(_ context.Context, _, key, _ string) (bool, error) {
	return s.job.Drop && s.job.Key == key, nil
}

func (s store) Get(context.Context, int64) (*jobs.Job, error) { return s.copy(), nil }

func (s store) Open(context.Context) ([]int64, error) { return []int64{s.job.ID}, nil }

func (s store) Lease(_ context.Context, _ int64, now time.Time, d time.Duration) (j *jobs.Job, err error) {
	err = s.call(func() error {
		switch {
		case s.job.Status.Final():
			return jobs.ErrEnded
		case s.job.LeasedTo.After(now):
			j = s.copy()
			return jobs.ErrLeased
		}
		s.job.Fence++
		s.job.Attempts++
		s.job.LeasedTo = now.Add(d)
		j = s.copy()
		return nil
	})
	return j, err
}

func (s store) put(j *jobs.Job, to time.Time) error {
	if j.Fence != s.job.Fence {
		return jobs.ErrLeaseLost
	}
	stop, deleted := s.job.Stop, s.job.Deleted
	c := *j
	s.job = &c
	s.job = s.copy()
	s.job.Deleted = deleted
	s.job.Stop, s.job.LeasedTo, s.job.Attempts = stop, to, j.Attempts
	return nil
}

func (s store) Renew(_ context.Context, j *jobs.Job, to time.Time) error { return nil }

func (s store) Checkpoint(_ context.Context, j *jobs.Job, to time.Time) (stop bool, err error) {
	err = s.call(func() error { stop = s.job.Stop; return s.put(j, to) })
	return stop, err
}

func (s store) Save(_ context.Context, j *jobs.Job) error {
	return s.call(func() error { return s.put(j, time.Time{}) })
}

func (s store) End(_ context.Context, j *jobs.Job) error {
	return s.call(func() error { return s.put(j, time.Time{}) })
}

// files keeps objects.
type files struct{ *world }

func (f files) Open(_ context.Context, bucket, key, _ string, from, to int64) (in io.ReadCloser, err error) {
	err = f.call(func() error {
		body, ok := f.objects[bucket+"/"+key]
		if !ok {
			return fmt.Errorf("%s is not there", key)
		}
		if to < 0 {
			to = int64(len(body))
		}
		in = io.NopCloser(bytes.NewReader(body[from:to]))
		return nil
	})
	return in, err
}

func (f files) Size(_ context.Context, bucket, key, _ string) (int64, error) {
	body, ok := f.objects[bucket+"/"+key]
	if !ok {
		return 0, jobs.ErrNoFile
	}
	return int64(len(body)), nil
}

func (f files) Version(ctx context.Context, bucket, key string) (string, error) {
	_, err := f.Size(ctx, bucket, key, "")
	return "", err
}

func (f files) Put(_ context.Context, bucket, key string, body []byte) error {
	return f.call(func() error { f.objects[bucket+"/"+key] = bytes.Clone(body); return nil })
}

func (f files) Create(_ context.Context, bucket, key, _ string) jobs.Writer {
	return &object{files: f, key: bucket + "/" + key}
}

func (f files) RemoveBelow(_ context.Context, bucket, prefix string) error {
	return f.call(func() error {
		maps.DeleteFunc(f.objects, func(key string, _ []byte) bool { return strings.HasPrefix(key, bucket+"/"+prefix) })
		return nil
	})
}

type object struct {
	files
	bytes.Buffer
	key string
}

func (o *object) Abort() error { return nil }

func (o *object) Close() error {
	return o.call(func() error { o.objects[o.key] = bytes.Clone(o.Bytes()); return nil })
}

func (w *world) Send(context.Context, []byte, string, time.Duration) error {
	return w.call(func() error { w.sent++; return nil })
}

// newWorld has a study with a form that takes numbers and files, three participants, and a job to import a document.
func newWorld(t *testing.T, doc string, attached map[string]string) *world {
	t.Helper()
	w := &world{
		Memory: biobanktest.NewMemory(), t: t, objects: map[string][]byte{}, now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC),
		job: &jobs.Job{ID: 4, ObjectType: TypeImport, UUID: "u-4", Bucket: "intake", Key: "odm/u-4/file.xml", Status: jobs.Queued, OwnerID: 7},
	}
	w.job.CreatedAt = w.now
	w.objects["intake/odm/u-4/file.xml"] = []byte(doc)
	if attached != nil {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for name, text := range attached {
			f, err := z.Create(name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(f, text); err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		w.job.Attached = "odm/u-4/attached.zip"
		w.objects["intake/"+w.job.Attached] = b.Bytes()
	}
	for id := int64(1); id <= 3; id++ {
		doc, err := json.Marshal(clinical.Subject{OID: fmt.Sprintf("SS_%d", id), Label: fmt.Sprint("P", id), Study: 10, Site: 10})
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.Transact(t.Context(), []biobank.Write{
			{Kind: biobank.InsertRecord, Record: &biobank.Record{Key: clinical.SubjectKey(id), Type: clinical.SubjectType, ID: id, Version: 1, Doc: doc}},
			{Kind: biobank.InsertMark, Mark: biobank.Mark{Name: clinical.SubjectMark(10, fmt.Sprintf("SS_%d", id)), To: clinical.SubjectKey(id), ID: id}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *world) importer(rows int) *Importer {
	return &Importer{
		Config: Config{Results: "results", Lease: time.Minute, PartRows: rows, MaxAttempts: 3},
		Jobs:   store{w}, Files: files{w}, Queue: w, Store: w,
		Planner: func(_ context.Context, j *jobs.Job) (*clinical.Planner, error) {
			return &clinical.Planner{
				Store: w, Job: fmt.Sprint("o", j.ID), By: j.OwnerID, Study: clinical.Scope{ID: 10, OID: "S_A", Meta: study()},
				Now:    func() time.Time { return w.now },
				Author: func(context.Context, string) (int64, error) { return 7, nil },
			}, nil
		},
		DropOwner: func(_ context.Context, login string) (int64, error) {
			if login != "lab" {
				return 0, fault.New("USER_NOT_FOUND", "No user has the login name %q of the drop folder.", login)
			}
			return 7, nil
		},
		Place: func(_ context.Context, oid string) (*clinical.Place, error) {
			study := &clinical.Held{ID: 10, Study: clinical.Study{OID: "S_A", Unique: "A-1"}}
			switch clinical.Fold(oid) {
			case "S_A":
				return &clinical.Place{Study: study, Site: study}, nil
			case "S_B":
				return &clinical.Place{Study: study, Site: &clinical.Held{ID: 11, Study: clinical.Study{OID: "S_B", Unique: "A-1-B", Parent: 10}}}, nil
			}
			return nil, clinical.StudyOIDNotFound
		},
		Now: func() time.Time { return w.now }, Random: rand.Reader, Log: slog.New(slog.DiscardHandler),
	}
}

// run does what the queue does: the message comes again until the job has ended.
func (w *world) run(im *Importer) {
	w.t.Helper()
	for try := 0; !w.job.Status.Final(); try++ {
		if try > 20 {
			w.t.Fatal("the job does not end")
		}
		err := im.Handle(w.t.Context(), Message(w.job.ID))
		if err != nil && !errors.Is(err, errBroken) {
			var later *jobs.Later
			if !errors.As(err, &later) {
				w.t.Fatal(err)
			}
			w.now = w.now.Add(later.After)
		}
		if errors.Is(err, errBroken) {
			w.now = w.now.Add(2 * time.Minute) // its lease ends
		}
	}
}

// study collects numbers and files in a log.
func study() *clinical.Metadata {
	return clinical.NewMetadata("S_A",
		[]*clinical.EventDef{{OID: "SE_LOG", Repeating: true, Common: true, Forms: []clinical.FormRef{{Form: "F_LOG", Default: "1"}}}},
		[]*clinical.FormDef{{OID: "F_LOG", Layouts: []clinical.Layout{{Name: "1"}}, Groups: []string{"IG_LOG"}}},
		[]*clinical.GroupDef{{OID: "IG_LOG", Repeating: true, Items: []string{"I_N", "I_F"}}},
		[]*clinical.ItemDef{{OID: "I_N", Type: clinical.Integer}, {OID: "I_F", File: true}}, nil)
}

const rowCount = 30

func numbers() string {
	var b strings.Builder
	b.WriteString(`<ODM><ClinicalData StudyOID="S_A">`)
	for s := 1; s <= 3; s++ {
		fmt.Fprintf(&b, `<SubjectData SubjectKey="SS_%d"><StudyEventData StudyEventOID="SE_LOG"><FormData FormOID="F_LOG">`, s)
		for i := range rowCount / 3 {
			fmt.Fprintf(&b, `<ItemGroupData ItemGroupOID="IG_LOG"><ItemData ItemOID="I_N" Value="%d"/></ItemGroupData>`, i)
		}
		b.WriteString(`<ItemGroupData ItemGroupOID="IG_LOG"><ItemData ItemOID="I_N" Value="many"/><ItemData ItemOID="I_F" Value="scan.pdf"/></ItemGroupData>`)
		b.WriteString(`</FormData></StudyEventData></SubjectData>`)
	}
	b.WriteString(`</ClinicalData></ODM>`)
	return b.String()
}

func TestImport(t *testing.T) {
	w := newWorld(t, numbers(), map[string]string{"folder/scan.pdf": "a scan", "other.txt": "not named"})
	w.run(w.importer(7))
	if w.job.Status != jobs.Completed || w.job.Total != rowCount+6 || w.job.FailedRows != 3 {
		t.Errorf("job %+v", w.job)
	}
	log := string(w.objects["results/"+LogKey(w.job, false)])
	lines := strings.Split(log, "\n")
	want := []string{
		"SubjectKey,ParticipantID,StudyEventOID,StudyEventRepeatKey,FormOID,ItemGroupOID,ItemGroupRepeatKey,ItemOID,Status,Timestamp,Message",
		"SS_1,P1,SE_LOG,1,F_LOG,IG_LOG,1,I_N,Inserted,2026-03-02T09:00:00.000Z,",
	}
	if d := cmp.Diff(want, lines[:2]); d != "" {
		t.Errorf("log (-want +got):\n%s", d)
	}
	if !strings.HasSuffix(log, "SS_3,P3,SE_LOG,1,F_LOG,IG_LOG,11,I_N,Failed,,errorCode.valueTypeMismatch\nSS_3,P3,SE_LOG,1,F_LOG,IG_LOG,11,I_F,Inserted,2026-03-02T09:00:00.000Z,\n\n") {
		t.Errorf("the log ends with %q", log[max(0, len(log)-300):])
	}
	if len(lines) != 1+rowCount+6+2 {
		t.Errorf("the log has %d lines", len(lines))
	}
	if typed := string(w.objects["results/"+LogKey(w.job, true)]); !strings.Contains(typed, ",I_N,Item Data,Inserted,") {
		t.Errorf("the log with types begins with %.300s", typed)
	}
	found := 0
	for key, body := range w.objects {
		if strings.HasPrefix(key, "results/attached/10/") && string(body) == "a scan" {
			found++
		}
		if strings.Contains(key, "scan") {
			t.Errorf("an object has the file's name: %s", key)
		}
	}
	if found != 1 {
		t.Errorf("the attached file is stored %d times, want once", found)
	}
}

// Wherever a call breaks, before or after it was done, the job ends with the same data, log and files.
func TestEveryCallBroken(t *testing.T) {
	attached := map[string]string{"scan.pdf": "a scan"}
	for _, rows := range []int{7, 1000} {
		plain := newWorld(t, numbers(), attached)
		plain.left = 1 << 30
		plain.run(plain.importer(rows))
		calls := 1<<30 - plain.left
		for _, after := range []bool{false, true} {
			for n := 1; n <= calls; n++ {
				w := newWorld(t, numbers(), attached)
				w.left, w.after = n, after
				w.run(w.importer(rows))
				name := fmt.Sprintf("%d rows a part, call %d broken, after %t", rows, n, after)
				if w.job.Status != jobs.Completed || w.job.Total != plain.job.Total || w.job.FailedRows != plain.job.FailedRows {
					t.Fatalf("%s: job %+v", name, w.job)
				}
				for _, typed := range []bool{false, true} {
					if d := cmp.Diff(timeless(plain.objects["results/"+LogKey(plain.job, typed)]), timeless(w.objects["results/"+LogKey(w.job, typed)])); d != "" {
						t.Fatalf("%s: log (-want +got):\n%s", name, d)
					}
				}
				if d := cmp.Diff(values(plain), values(w)); d != "" {
					t.Fatalf("%s: data (-want +got):\n%s", name, d)
				}
			}
		}
		if calls < 8 {
			t.Errorf("only %d calls", calls)
		}
	}
}

// timeless is a log without its time stamps.
func timeless(log []byte) []string {
	var out []string
	for line := range strings.SplitSeq(string(log), "\n") {
		cells := strings.Split(line, ",")
		if len(cells) > 10 {
			cells[len(cells)-2] = ""
		}
		out = append(out, strings.Join(cells, ","))
	}
	return out
}

// values are the values by key.
func values(w *world) map[string]map[string]string {
	out := map[string]map[string]string{}
	for key, rec := range w.AllRecords() {
		if rec.Type == clinical.GroupType {
			g, err := biobank.Decode[clinical.Group](rec)
			if err != nil {
				w.t.Fatal(err)
			}
			out[key.String()] = maps.Clone(g.Values)
		}
		if rec.Type == clinical.SubjectType {
			s, err := biobank.Decode[clinical.Subject](rec)
			if err != nil {
				w.t.Fatal(err)
			}
			out[key.String()] = map[string]string{"pending": s.Pending}
		}
	}
	return out
}

func TestDocumentsThatEnd(t *testing.T) {
	w := newWorld(t, strings.TrimSuffix(numbers(), `</ClinicalData></ODM>`), nil)
	w.run(w.importer(7))
	if w.job.Status != jobs.Failed || !strings.Contains(w.job.Reason, "errorCode.invalidXMLFile") {
		t.Errorf("job %+v", w.job)
	}
	if log := string(w.objects["results/"+LogKey(w.job, false)]); !strings.Contains(log, "SS_1") {
		t.Error("the log does not tell what was done")
	}
}

func TestGivenUp(t *testing.T) {
	w := newWorld(t, numbers(), nil)
	delete(w.objects, "intake/odm/u-4/file.xml")
	im := w.importer(7)
	for range 5 {
		_ = im.Handle(t.Context(), Message(4)) // its document is gone: each try fails
	}
	if w.job.Status != jobs.Failed || w.job.Reason == "" {
		t.Errorf("job %+v", w.job)
	}
}

func TestSweep(t *testing.T) {
	w := newWorld(t, numbers(), nil)
	im := w.importer(7)
	if err := im.Sweep(t.Context()); err != nil || w.sent != 0 {
		t.Errorf("a new job was sent again: %d, %v", w.sent, err)
	}
	w.now = w.now.Add(2 * time.Minute)
	if err := im.Sweep(t.Context()); err != nil || w.sent != 1 {
		t.Errorf("a job that was left lying was sent %d times, %v", w.sent, err)
	}
}

func TestDrop(t *testing.T) {
	event := func(key string) []byte {
		return fmt.Appendf(nil, `{"source":"aws.s3","detail-type":"Object Created","detail":{"bucket":{"name":"intake"},"object":{"key":%q,"version-id":"v"}}}`, key)
	}
	w := newWorld(t, numbers(), map[string]string{"scan.pdf": "a scan"})
	w.objects["intake/Lab/odm/S_A/march.xml"] = w.objects["intake/odm/u-4/file.xml"]
	w.objects["intake/Lab/odm/S_A/march.zip"] = w.objects["intake/odm/u-4/attached.zip"]
	im := w.importer(7)
	for _, key := range []string{"Lab/odm/S_A/march.zip", "Lab/odm/S_A/march.xml", "Lab/odm/S_A/march.xml"} {
		if err := im.Handle(t.Context(), event(key)); err != nil {
			t.Fatal(err)
		}
	}
	if w.job.ID != 5 || w.sent != 2 || w.job.UUID == "" || w.job.Params[ParamStudy] != "S_A" {
		t.Fatalf("%d messages, job %+v", w.sent, w.job)
	}
	for _, key := range []string{"Lab/odm/S_A/march.zip", "Lab/odm/S_A/march.xml"} {
		if err := im.Missed(t.Context(), "intake", key, "v"); err != nil || w.sent != 2 {
			t.Errorf("the sweep sent %s again: %v", key, err)
		}
	}
	w.run(im)
	if w.job.Status != jobs.Completed || w.job.Total != rowCount+6 || w.job.FailedRows != 3 {
		t.Errorf("job %+v", w.job)
	}
	if err := im.Handle(t.Context(), event("nobody/odm/S_A/april.xml")); err != nil {
		t.Fatal(err)
	}
	if w.job.ID != 6 || w.job.Status != jobs.Failed || !strings.Contains(w.job.Reason, "nobody") || w.sent != 2 || w.job.Lists != nil {
		t.Errorf("%d messages, job %+v", w.sent, w.job)
	}
}

// A dropped document's job says what one that came by request does, whatever the spelling of its folder.
func TestJobOfADroppedDocument(t *testing.T) {
	w := newWorld(t, numbers(), nil)
	w.now = time.Date(2026, 3, 2, 10, 15, 30, 45e6, time.UTC)
	im := w.importer(7)
	for _, test := range []struct {
		folder string
		params map[string]string
		lists  []string
		status jobs.Status
		reason string
	}{
		{"s_a", map[string]string{"study": "S_A", "site": "", "log": "A-1-TEST_XML_IMPORT_2026-03-02-101530045+0000.csv"}, []string{"7", "7#10"}, jobs.Queued, ""},
		{"S_b", map[string]string{"study": "S_A", "site": "S_B", "log": "A-1-B-TEST_XML_IMPORT_2026-03-02-101530045+0000.csv"}, []string{"7", "7#11"}, jobs.Queued, ""},
		{"S_C", map[string]string{"study": "S_C"}, []string{"7"}, jobs.Failed, "There is no study or site with this OID in which you have a role. (errorCode.studyOIDNotFound)"},
	} {
		key := "lab/odm/" + test.folder + "/april.xml"
		if err := im.Drop(t.Context(), "intake", key, "v1"); err != nil {
			t.Fatal(err)
		}
		j := w.job
		got := []any{j.Params, j.Lists, j.Status, j.Reason, j.FileName, j.Key, j.Version, j.Drop, j.OwnerID}
		want := []any{test.params, test.lists, test.status, test.reason, "april.xml", key, "v1", true, int64(7)}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", test.folder, d)
		}
	}
	if err := im.Drop(t.Context(), "intake", "lab/odm/march.xml", "v1"); err != nil || w.job.Status != jobs.Failed || w.job.OwnerID != 7 || !strings.Contains(w.job.Reason, "OID of the study") {
		t.Errorf("without a folder: %v, job %+v", err, w.job)
	}
	im.Place = func(context.Context, string) (*clinical.Place, error) { return nil, errBroken }
	before := w.job.ID
	if err := im.Drop(t.Context(), "intake", "lab/odm/S_A/may.xml", "v1"); !errors.Is(err, errBroken) || w.job.ID != before {
		t.Errorf("a study that could not be looked up: %v, job %d after %d", err, w.job.ID, before)
	}
}

func TestParseKey(t *testing.T) {
	for key, want := range map[string]Dropped{
		"lab/odm/S_A/a.xml": {"lab", "S_A", "a.xml"}, "LAB/odm/S A(TEST)/a b.XML": {"lab", "S A(TEST)", "a b.XML"},
		"lab/odm/a.xml": {"lab", "", "a.xml"}, "lab/odm/S/x/a.xml": {"lab", "", "a.xml"}, "lab/odm/S_A/a.xml.gz": {"lab", "", "a.xml.gz"},
		"lab/odm/": {}, "lab/odm": {}, "odm/S/a.xml": {}, "_uploads/odm/u/a.xml": {}, "lab/ODM/S/a.xml": {}, "lab/odm/S/a.zip": {}, "lab/odm/S/": {}, "": {},
	} {
		if got, ok := ParseKey(key); got != want || ok != (want != Dropped{}) {
			t.Errorf("%q: %+v, %t", key, got, ok)
		}
	}
}
