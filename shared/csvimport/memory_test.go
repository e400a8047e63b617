package csvimport_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"aliquot/shared/biobank"
	"aliquot/shared/biobank/biobanktest"
	"aliquot/shared/csvimport"
	"aliquot/shared/jobs"
)

// Stores in memory, which behave as the real ones do. They make it possible to break a job at each of its calls; what
// they are taken for is held against the real ones by the tests that run on both.

// memJobs is csvimport.JobStore in memory.
type memJobs struct {
	mu     sync.Mutex
	jobs   map[int64]jobs.Job
	chunks map[int64][]jobs.Chunk
	drops  map[string]int64 // by bucket, key and version
	turns  map[string]int64 // by owner
	last   int64
}

func newMemJobs() *memJobs {
	return &memJobs{jobs: map[int64]jobs.Job{}, chunks: map[int64][]jobs.Chunk{}, drops: map[string]int64{}, turns: map[string]int64{}}
}

func dropName(j *jobs.Job) string {
	return j.Bucket + "\x00" + j.Key + "\x00" + j.Version + "\x00" + j.Entry
}

func cloneJob(j jobs.Job) *jobs.Job {
	j.Warnings = slices.Clone(j.Warnings)
	params := map[string]string{}
	for k, v := range j.Params {
		params[k] = v
	}
	j.Params = params
	return &j
}

func cloneChunk(c jobs.Chunk) *jobs.Chunk {
	c.Parts = slices.Clone(c.Parts)
	return &c
}

func (m *memJobs) Create(ctx context.Context, j *jobs.Job) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if j.Drop {
		if id, ok := m.drops[dropName(j)]; ok {
			*j = *cloneJob(m.jobs[id])
			if j.Status.Final() {
				return jobs.ErrEnded
			}
			return nil
		}
	}
	m.last++
	j.ID, j.Fence = m.last, 0
	if j.Status == "" {
		j.Status = jobs.Queued
	}
	m.jobs[j.ID] = *cloneJob(*j)
	if j.Drop {
		m.drops[dropName(j)] = j.ID
	}
	return nil
}

func (m *memJobs) get(id int64) *jobs.Job {
	j, ok := m.jobs[id]
	if !ok {
		return nil
	}
	c := cloneJob(j)
	if c.Status == jobs.InProgress && c.Chunks > 0 {
		c.Done, c.FailedRows = 0, 0
		for _, k := range m.chunks[id] {
			c.Done += k.Done
			c.FailedRows += k.Failed
		}
	}
	return c
}

func (m *memJobs) Get(ctx context.Context, id int64) (*jobs.Job, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.get(id), ctx.Err()
}

func (m *memJobs) List(_ context.Context, f jobs.Filter) ([]*jobs.Job, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []*jobs.Job
	for id := m.last; id > 0; id-- {
		if j := m.get(id); j != nil && f.Matches(j) {
			out = append(out, j)
		}
	}
	return out, nil
}

func (m *memJobs) Lease(ctx context.Context, id int64, now time.Time, d time.Duration) (*jobs.Job, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	j, ok := m.jobs[id]
	switch {
	case !ok:
		return nil, jobs.ErrEnded
	case j.Status.Final():
		return m.get(id), jobs.ErrEnded
	case !j.LeasedTo.Before(now):
		return m.get(id), jobs.ErrLeased
	}
	j.LeasedTo = now.Add(d)
	j.Fence++
	j.Attempts++
	m.jobs[id] = j
	return cloneJob(j), nil
}

func (m *memJobs) held(j *jobs.Job) (jobs.Job, error) {
	now, ok := m.jobs[j.ID]
	if !ok || now.Fence != j.Fence {
		return now, jobs.ErrLeaseLost
	}
	return now, nil
}

func (m *memJobs) Renew(ctx context.Context, j *jobs.Job, to time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, err := m.held(j)
	if err != nil || ctx.Err() != nil {
		return cmpErr(err, ctx.Err())
	}
	now.LeasedTo, now.Status = to, j.Status
	m.jobs[j.ID] = now
	return nil
}

func cmpErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *memJobs) Save(ctx context.Context, j *jobs.Job) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, err := m.held(j)
	if err != nil || ctx.Err() != nil {
		return cmpErr(err, ctx.Err())
	}
	c := cloneJob(*j)
	c.Stop, c.LeasedTo = now.Stop, time.Time{}
	m.jobs[j.ID] = *c
	return nil
}

func (m *memJobs) End(ctx context.Context, j *jobs.Job) error { return m.Save(ctx, j) }

// RequestStop does as store.Jobs does.
func (m *memJobs) RequestStop(_ context.Context, id int64) (*jobs.Job, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	j, ok := m.jobs[id]
	if !ok || j.Status.Final() {
		return m.get(id), jobs.ErrEnded
	}
	j.Stop = true
	m.jobs[id] = j
	for i := range m.chunks[id] {
		if c := &m.chunks[id][i]; c.Open && !c.LeasedTo.IsZero() {
			c.Stop = true
		}
	}
	return m.get(id), nil
}

func (m *memJobs) AddChunks(ctx context.Context, job int64, n int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]jobs.Chunk, max(n, len(m.chunks[job])))
	copy(all, m.chunks[job])
	for i := range n {
		all[i] = jobs.Chunk{JobID: job, N: i, Open: true}
	}
	m.chunks[job] = all
	return ctx.Err()
}

func (m *memJobs) Chunks(ctx context.Context, job int64, after, limit int) ([]*jobs.Chunk, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []*jobs.Chunk
	for _, c := range m.chunks[job] {
		if c.N > after && (limit == 0 || len(out) < limit) {
			out = append(out, cloneChunk(c))
		}
	}
	return out, ctx.Err()
}

func (m *memJobs) LeaseChunk(ctx context.Context, job int64, n int, now time.Time, d time.Duration) (*jobs.Chunk, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if n >= len(m.chunks[job]) || !m.chunks[job][n].Open {
		return nil, jobs.ErrEnded
	}
	c := &m.chunks[job][n]
	if !c.LeasedTo.Before(now) {
		return cloneChunk(*c), jobs.ErrLeased
	}
	c.LeasedTo = now.Add(d)
	c.Fence++
	c.Attempts++
	return cloneChunk(*c), nil
}

func (m *memJobs) SaveChunk(ctx context.Context, c *jobs.Chunk) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := &m.chunks[c.JobID][c.N]
	if now.Fence != c.Fence || ctx.Err() != nil {
		return cmpErr(ctx.Err(), jobs.ErrLeaseLost)
	}
	kept := cloneChunk(*c)
	kept.Stop, kept.LeasedTo, kept.Attempts = now.Stop, time.Time{}, 0
	*now = *kept
	return nil
}

func (m *memJobs) nextDrop(owner string) int64 {
	first, place := int64(0), ""
	for id, j := range m.jobs {
		if p := j.Stamp + "#" + j.FileName + "#" + biobank.PadID(id); j.Drop && j.Owner == owner && !j.Status.Final() && (first == 0 || p < place) {
			first, place = id, p
		}
	}
	return first
}

func (m *memJobs) NextDrop(ctx context.Context, owner string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.nextDrop(owner), ctx.Err()
}

func (m *memJobs) Turn(ctx context.Context, j *jobs.Job) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch holder := m.turns[j.Owner]; {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case holder == j.ID:
		return true, nil
	case m.nextDrop(j.Owner) != j.ID, holder != 0 && !m.jobs[holder].Status.Final():
		return false, nil
	}
	m.turns[j.Owner] = j.ID
	return true, nil
}

func (m *memJobs) Open(ctx context.Context) ([]int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ids []int64
	for id, j := range m.jobs {
		if !j.Status.Final() {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, ctx.Err()
}

func (m *memJobs) Dropped(ctx context.Context, bucket, key, version string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.drops[dropName(&jobs.Job{Bucket: bucket, Key: key, Version: version})]
	return ok, ctx.Err()
}

// memRecords is biobank.Store in memory, of which sources are alive as long as their jobs run.
type memRecords struct {
	*biobanktest.Memory
	jobs *memJobs
	// Of a store that writes under a lease.
	chunk    *jobs.Chunk
	until    func() time.Time
	progress func() (int64, int64)
}

func (m *memRecords) status(source string) jobs.Status {
	var id int64
	if _, err := fmt.Sscanf(source, "%d#", &id); err != nil {
		return ""
	}
	m.jobs.mu.Lock()
	defer m.jobs.mu.Unlock()
	return m.jobs.jobs[id].Status
}

func (m *memRecords) Alive(ctx context.Context, source string) (bool, error) {
	s := m.status(source)
	return s != "" && !s.Final(), ctx.Err()
}

func (m *memRecords) Whole(ctx context.Context, source string) (bool, error) {
	return source == "" || m.status(source) == jobs.Completed, ctx.Err()
}

// Write renews the lease beside the writes. As in a batch of statements, they take effect whether the renewal does or not.
func (m *memRecords) Write(ctx context.Context, opening bool, writes []biobank.Write) ([]biobank.Result, error) {
	results, err := m.Memory.Write(ctx, opening, writes)
	if err != nil || !opening || m.chunk == nil {
		return results, err
	}
	m.jobs.mu.Lock()
	defer m.jobs.mu.Unlock()
	c := &m.jobs.chunks[m.chunk.JobID][m.chunk.N]
	switch {
	case c.Fence != m.chunk.Fence:
		return nil, jobs.ErrLeaseLost
	case c.Stop:
		return nil, jobs.ErrStopped
	}
	c.LeasedTo = m.until()
	c.Done, c.Failed = m.progress()
	return results, nil
}

// memFiles is csvimport.Files in memory.
type memFiles struct {
	mu      sync.Mutex
	now     func() time.Time
	objects map[string][]memObject // by bucket and key, oldest version first
	version int
	page    int // objects in a list
}

type memObject struct {
	version  string
	body     []byte
	modified time.Time
	deleted  bool
}

func newMemFiles(now func() time.Time) *memFiles {
	return &memFiles{now: now, objects: map[string][]memObject{}, page: 1000}
}

func (m *memFiles) find(bucket, key, version string) (memObject, error) {
	all := m.objects[bucket+"/"+key]
	for _, o := range slices.Backward(all) {
		if (version == "" || o.version == version) && !o.deleted {
			return o, nil
		}
		if version == "" {
			break
		}
	}
	return memObject{}, fmt.Errorf("%s: %w", key, jobs.ErrNoFile)
}

func (m *memFiles) Open(ctx context.Context, bucket, key, version string, from, to int64) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, err := m.find(bucket, key, version)
	if err != nil || ctx.Err() != nil {
		return nil, cmpErr(err, ctx.Err())
	}
	size := int64(len(o.body))
	if to < 0 || to > size {
		to = size
	}
	return io.NopCloser(bytes.NewReader(o.body[min(from, size):max(to, min(from, size))])), nil
}

func (m *memFiles) Put(ctx context.Context, bucket, key string, body []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	m.version++
	name := bucket + "/" + key
	m.objects[name] = append(slices.Clip(m.objects[name]), memObject{
		version: fmt.Sprintf("v%d", m.version), body: bytes.Clone(body), modified: m.now(),
	})
	return nil
}

// forget deletes every version of an object.
func (m *memFiles) forget(bucket, key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, bucket+"/"+key)
}

func (m *memFiles) Create(ctx context.Context, bucket, key string) jobs.Writer {
	return &memWriter{ctx: ctx, files: m, bucket: bucket, key: key}
}

type memWriter struct {
	bytes.Buffer
	ctx         context.Context
	files       *memFiles
	bucket, key string
	over        bool
}

func (w *memWriter) Close() error {
	if w.over {
		return nil
	}
	w.over = true
	return w.files.Put(w.ctx, w.bucket, w.key, w.Bytes())
}

func (w *memWriter) Abort() error { w.over = true; return nil }

func (m *memFiles) List(ctx context.Context, bucket, after string) ([]csvimport.Listed, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []csvimport.Listed
	for name, all := range m.objects {
		key, ok := strings.CutPrefix(name, bucket+"/")
		if newest := all[len(all)-1]; ok && key > after && !newest.deleted {
			out = append(out, csvimport.Listed{Key: key, Modified: newest.modified})
		}
	}
	slices.SortFunc(out, func(a, b csvimport.Listed) int { return strings.Compare(a.Key, b.Key) })
	return out[:min(len(out), m.page)], ctx.Err()
}

func (m *memFiles) Version(ctx context.Context, bucket, key string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, err := m.find(bucket, key, "")
	return o.version, cmpErr(err, ctx.Err())
}

func (m *memFiles) Size(ctx context.Context, bucket, key, version string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, err := m.find(bucket, key, version)
	return int64(len(o.body)), cmpErr(err, ctx.Err())
}

func (m *memFiles) AbortUploads(ctx context.Context, _ string, _ time.Time) error { return ctx.Err() }
