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
