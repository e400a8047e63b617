package csvimport_test

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/biobank"
	"aliquot/shared/csvimport"
	"aliquot/shared/jobs"
)

// breaker breaks the calls that an importer makes to what it works on.
type breaker struct {
	mu     sync.Mutex
	calls  int
	faults map[int]faultKind // by call
}

// faultKind is how a call breaks.
type faultKind string

const (
	failBefore faultKind = "fails"
	failAfter  faultKind = "takes effect, but the answer is lost"
	dieBefore  faultKind = "dies before it"
	dieHalf    faultKind = "dies in the middle of it"
	dieAfter   faultKind = "dies after it"
)

var faultKinds = []faultKind{failBefore, failAfter, dieBefore, dieHalf, dieAfter}

var errBroken = errors.New("the service cannot be reached")

// call does a call, or breaks it. Death ends the goroutine, which no recover in the code under test can stop.
func (b *breaker) call(effect func() error) error {
	b.mu.Lock()
	b.calls++
	kind := b.faults[b.calls]
	b.mu.Unlock()
	switch kind {
	case failBefore:
		return errBroken
	case failAfter:
		_ = effect() // nobody hears of it
		return errBroken
	case dieBefore, dieHalf:
		runtime.Goexit()
	case dieAfter:
		_ = effect()
		runtime.Goexit()
	}
	return effect()
}

// ask is call for a call with an answer.
func ask[T any](b *breaker, effect func() (T, error)) (out T, err error) {
	err = b.call(func() error {
		var err error
		out, err = effect()
		return err
	})
	if errors.Is(err, errBroken) {
		out = *new(T)
	}
	return out, err
}

// shaky puts a breaker between the rig's importer and everything else.
func (r *rig) shaky(b *breaker) {
	r.im.Jobs = shakyJobs{r.im.Jobs, b}
	r.im.Files = shakyFiles{r.im.Files, b}
	r.im.Queue = shakyQueue{r.im.Queue, b}
	r.im.Registry = &biobank.Registry{Store: shakyStore{r.im.Registry.Store, b}}
	under := r.im.Under
	r.im.Under = func(c *jobs.Chunk, until func() time.Time, progress func() (int64, int64)) *biobank.Registry {
		return &biobank.Registry{Store: shakyStore{under(c, until, progress).Store, b}}
	}
}

type shakyQueue struct {
	csvimport.Queue
	*breaker
}

func (q shakyQueue) Send(ctx context.Context, body []byte, group string, delay time.Duration) error {
	return q.call(func() error { return q.Queue.Send(ctx, body, group, delay) })
}

type shakyFiles struct {
	csvimport.Files
	*breaker
}

func (f shakyFiles) Open(ctx context.Context, bucket, key, version string, from, to int64) (io.ReadCloser, error) {
	return ask(f.breaker, func() (io.ReadCloser, error) { return f.Files.Open(ctx, bucket, key, version, from, to) })
}

func (f shakyFiles) Put(ctx context.Context, bucket, key string, body []byte) error {
	return f.call(func() error { return f.Files.Put(ctx, bucket, key, body) })
}

func (f shakyFiles) Create(ctx context.Context, bucket, key string) jobs.Writer {
	return shakyWriter{f.Files.Create(ctx, bucket, key), f.breaker}
}

type shakyWriter struct {
	jobs.Writer
	*breaker
}

func (w shakyWriter) Close() error { return w.call(w.Writer.Close) }

type shakyStore struct {
	biobank.Store
	*breaker
}

func (s shakyStore) Marks(ctx context.Context, names []string, strong bool) (map[string]biobank.Mark, error) {
	return ask(s.breaker, func() (map[string]biobank.Mark, error) { return s.Store.Marks(ctx, names, strong) })
}

func (s shakyStore) Records(ctx context.Context, keys []biobank.Key, strong bool) (map[biobank.Key]*biobank.Record, error) {
	return ask(s.breaker, func() (map[biobank.Key]*biobank.Record, error) { return s.Store.Records(ctx, keys, strong) })
}

func (s shakyStore) List(ctx context.Context, part, prefix, after string, limit int) ([]*biobank.Record, error) {
	return ask(s.breaker, func() ([]*biobank.Record, error) { return s.Store.List(ctx, part, prefix, after, limit) })
}

func (s shakyStore) MarksIn(ctx context.Context, set, prefix, after string, limit int) ([]biobank.Mark, error) {
	return ask(s.breaker, func() ([]biobank.Mark, error) { return s.Store.MarksIn(ctx, set, prefix, after, limit) })
}

func (s shakyStore) Write(ctx context.Context, opening bool, writes []biobank.Write) ([]biobank.Result, error) {
	s.mu.Lock()
	half := s.faults[s.calls+1] == dieHalf
	s.mu.Unlock()
	if half {
		_, _ = s.Store.Write(ctx, opening, writes[:len(writes)/2])
	}
	return ask(s.breaker, func() ([]biobank.Result, error) { return s.Store.Write(ctx, opening, writes) })
}

func (s shakyStore) Reserve(ctx context.Context, counter string, n int64) (int64, error) {
	return ask(s.breaker, func() (int64, error) { return s.Store.Reserve(ctx, counter, n) })
}

type shakyJobs struct {
	csvimport.JobStore
	*breaker
}

func (s shakyJobs) Create(ctx context.Context, j *jobs.Job) error {
	return s.call(func() error { return s.JobStore.Create(ctx, j) })
}

func (s shakyJobs) Get(ctx context.Context, id int64) (*jobs.Job, error) {
	return ask(s.breaker, func() (*jobs.Job, error) { return s.JobStore.Get(ctx, id) })
}

func (s shakyJobs) Lease(ctx context.Context, id int64, now time.Time, d time.Duration) (*jobs.Job, error) {
	return ask(s.breaker, func() (*jobs.Job, error) { return s.JobStore.Lease(ctx, id, now, d) })
}

func (s shakyJobs) Renew(ctx context.Context, j *jobs.Job, to time.Time) error {
	return s.call(func() error { return s.JobStore.Renew(ctx, j, to) })
}

func (s shakyJobs) Save(ctx context.Context, j *jobs.Job) error {
	return s.call(func() error { return s.JobStore.Save(ctx, j) })
}

func (s shakyJobs) End(ctx context.Context, j *jobs.Job) error {
	return s.call(func() error { return s.JobStore.End(ctx, j) })
}

func (s shakyJobs) AddChunks(ctx context.Context, job int64, n int) error {
	return s.call(func() error { return s.JobStore.AddChunks(ctx, job, n) })
}

func (s shakyJobs) Chunks(ctx context.Context, job int64, after, limit int) ([]*jobs.Chunk, error) {
	return ask(s.breaker, func() ([]*jobs.Chunk, error) { return s.JobStore.Chunks(ctx, job, after, limit) })
}

func (s shakyJobs) LeaseChunk(ctx context.Context, job int64, n int, now time.Time, d time.Duration) (*jobs.Chunk, error) {
	return ask(s.breaker, func() (*jobs.Chunk, error) { return s.JobStore.LeaseChunk(ctx, job, n, now, d) })
}

func (s shakyJobs) SaveChunk(ctx context.Context, c *jobs.Chunk) error {
	return s.call(func() error { return s.JobStore.SaveChunk(ctx, c) })
}

func (s shakyJobs) Turn(ctx context.Context, j *jobs.Job) (bool, error) {
	return ask(s.breaker, func() (bool, error) { return s.JobStore.Turn(ctx, j) })
}

func (s shakyJobs) NextDrop(ctx context.Context, owner string) (int64, error) {
	return ask(s.breaker, func() (int64, error) { return s.JobStore.NextDrop(ctx, owner) })
}

// survive delivers messages until none is left and every job has ended. A message whose worker failed or died comes again
// when its lease is over; where the queue has nothing left to say, the sweep has.
func (r *rig) survive(first ...[]byte) {
	r.t.Helper()
	r.send(first...)
	for range 2000 {
		m, ok := r.queue.next()
		if !ok {
			if r.ended() {
				return
			}
			r.clock.pass(config.Lease + config.DropWait + time.Minute)
			if err := r.attempt(func() error { return r.im.Sweep(r.t.Context()) }); err != nil && !errors.Is(err, errBroken) {
				r.t.Fatalf("sweep: %v", err)
			}
			continue
		}
		var later *jobs.Later
		switch err := r.attempt(func() error { return r.im.Handle(r.t.Context(), m.body) }); {
		case errors.As(err, &later):
			r.queue.back(m, later.After)
		case err != nil:
			r.queue.back(m, config.Lease+time.Second)
		}
	}
	r.t.Fatal("the job never ends")
}

var errDead = errors.New("the worker died")

// attempt runs a step in a worker that may die.
func (r *rig) attempt(step func() error) error {
	err := errDead
	var wg sync.WaitGroup
	wg.Go(func() { err = step() })
	wg.Wait()
	return err
}

func (r *rig) ended() bool {
	for _, j := range r.all() {
		if !j.Status.Final() {
			return false
		}
	}
	return true
}

// natural is state and outcome without what a fault may change: ids, of which it may lose some, and the time of the job,
// which is that of a collection where the file gives none. Participants, visits and specimens go by name.
func (r *rig) natural() string {
	suffix := regexp.MustCompile(`_17\d{11}\b`) // of the names of what was deleted
	var all []string
	names := map[biobank.Key]string{}
	parts := append(biobank.TreeParts(1), biobank.SetParts(biobank.Container)...)
	for _, part := range append(parts, "user", "dp", biobank.ProtocolPart(1)) {
		records, err := r.store.List(r.t.Context(), part, "", "", 0)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, rec := range records {
			doc, err := biobank.Decode[struct{ PPID, Name, Label string }](rec)
			if err != nil {
				r.t.Fatal(err)
			}
			names[rec.Key] = names[rec.Key.Above(1)] + "/" + doc.PPID + doc.Name + doc.Label
			trail, err := r.store.Trail(r.t.Context(), rec.Type, rec.ID)
			if err != nil {
				r.t.Fatal(err)
			}
			chain, err := biobank.VerifyChain(rec, trail)
			if err != nil {
				r.t.Error(err)
			}
			text := fmt.Sprintf("%s v%d by %d from %s, then %v why %q: %s\n", names[rec.Key], rec.Version, rec.CreatedBy, rec.Source, rec.Changes, rec.Reason, rec.Doc)
			for _, e := range chain {
				text += fmt.Sprintf("  v%d %s by %d why %q: %s -> %s\n", e.Version, e.Change, e.By, e.Reason, e.Before, e.After)
			}
			all = append(all, regexp.MustCompile(`"(id|parentId|time|container)":\d+|"path":\[[\d,]+\]`).ReplaceAllString(suffix.ReplaceAllString(text, "_"), `"$1":_`))
		}
	}
	for id := int64(1); id < 30; id++ {
		at, err := r.reg.Occupants(r.t.Context(), r.clock.now(), id)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, o := range at[id] {
			all = append(all, fmt.Sprintf("cell %d/%d kept %v: %s\n", o.At.Row, o.At.Column, o.Kept, names[o.Record.Key]))
		}
	}
	slices.Sort(all)
	for _, j := range r.all() {
		rows, err := csv.NewReader(strings.NewReader(r.object(j.Report))).ReadAll()
		if err != nil {
			r.t.Fatal(err)
		}
		if id := slices.Index(rows[0], "OS_IDENTIFIER"); id >= 0 {
			for _, row := range rows[1:] {
				if row[id] != "" {
					row[id] = "_"
				}
			}
		}
		all = append(all, fmt.Sprintf("%s %s %s %v: %d rows, %d done, %d failed\n%v\n%s", j.FileName, j.Status, j.Reason, j.Warnings, j.Total, j.Done, j.FailedRows, rows, r.object(j.FailedReport)))
	}
	return strings.Join(all, "")
}

type flow struct{ name, file, content string }

// flows are small jobs of every kind, of four rows a chunk: three chunks or more and a lane.
var flows = []flow{
	{"create", "specimen_create_20260301080000000.csv", "CP Short Title,Visit Name,Specimen Label,Barcode,Type,Lineage,Parent Specimen Label,Initial Quantity,Created On,Shoe Size\n" +
		"LAKE,V-1,S-1,B-1,Plasma,New,,10,03-02-2026,\n" +
		"LAKE,,S-1.1,,,Aliquot,S-1,1,03-02-2026,\n" +
		"LAKE,V-1,S-2,B-1,Plasma,New,,10,03-02-2026,\n" + // barcode taken
		"LAKE,,U-1.1,,,Aliquot,U-1,2,03-02-2026,\n" +
		"LAKE,V-2,S-3,,Gold,New,,10,03-02-2026,\n" + // not valid
		"LAKE,,S-4.1,,,Aliquot,S-4,1.5,03-02-2026,\n" + // before its parent
		"LAKE,V-2,S-4,,Plasma,New,,10,03-02-2026,\n" +
		"LAKE,,U-3.1,,,Aliquot,U-3,3,03-02-2026,\n" +
		"LAKE,V-2,S-5,,Plasma,New,,10,03-02-2026,\n" +
		"LAKE,,S-4.2,,,Aliquot,S-4,1.5,03-02-2026,\n" +
		"LAKE,V-3,S-1,,Plasma,New,,10,03-02-2026,\n" + // label taken
		"LAKE,V-3,S-6\n" +
		"LAKE,,S-7,,Plasma,Derived,U-2,,03-02-2026,\n"},
	{"update", "specimen_update_20260301080000000.csv", "Specimen Label,Comments,Barcode,Initial Quantity,Reason\n" +
		"U-1,first,,,\nU-2,a,B-2,,because\nU-3,a,B-3,,\nU-4,,,,\nU-1,second,,,\nU-5,a,B-2,,\nU-6,a,,5,\nU-2,b,B-9,,\nU-9,a,,,\nU-1,second,,,\nU-3,a,B-3,,\nU-6,a,,x,\n"},
	{"upsert", "specimen_upsert_20260301080000000.csv", "Visit Name,Specimen Label,Type,Lineage,Parent Specimen Label,Initial Quantity,Comments,Created On\n" +
		"V-1,S-1,Plasma,,,10,new,03-02-2026\n,U-1.1,,Aliquot,U-1,1,,03-02-2026\nV-1,S-2,Plasma,,,10,new,03-02-2026\nV-1,S-3,Plasma,,,10,new,03-02-2026\n" +
		"V-1,U-1,Plasma,,,90,changed,\nV-1,S-1,Plasma,,,10,changed,\nV-2,S-2,Plasma,,,10,,\nV-1,U-2,Plasma,,,,changed,\nV-2,S-4,Plasma,,,1,,03-02-2026\n"},
	{"master", "masterSpecimen_create_20260301080000000.csv", "CP Short Title,PPID,First Name,eMPI,Event Label,Visit Name,Visit Date,Collection Site,Specimen Label,Type,Lineage,Parent Specimen Label,Initial Quantity,Collection Date,Created On\n" +
		"LAKE,R-1,Mira,E-1,Baseline,R-1.1,03-02-2026,Lakeside Biobank,M-1,Plasma,New,,10,03-02-2026,03-02-2026\n" +
		"LAKE,R-2,Tomo,E-1,Baseline,R-2.1,03-02-2026,Lakeside Biobank,M-2,Plasma,New,,10,03-02-2026,03-02-2026\n" + // eMPI taken
		"LAKE,R-3,Ulla,,Baseline,R-3.1,03-02-2026,Lakeside Biobank,M-3,Plasma,New,,10,03-02-2026,03-02-2026\n" +
		"LAKE,,,,,,,,M-1.1,,Aliquot,M-1,1,,03-02-2026\n" +
		"LAKE,R-3,Ulla-Lou,,Baseline,R-3.1,03-02-2026,Lakeside Biobank,M-4,Plasma,New,,10,03-02-2026,03-02-2026\n" +
		"LAKE,P-1,Old,,Baseline,V-1,,,M-5,Plasma,New,,10,03-02-2026,03-02-2026\n" +
		"LAKE,R-1,,,Baseline,R-1.2,04-02-2026,Lakeside Biobank,M-6,Plasma,New,,10,04-02-2026,04-02-2026\n" +
		"LAKE,R-4,Nils,,Autumn,R-4.1,03-02-2026,Lakeside Biobank,M-7,Plasma,New,,10,03-02-2026,03-02-2026\n" + // no such event
		"LAKE,R-1,,,Baseline,R-1.1,03-02-2026,Lakeside Biobank,M-1,Plasma,New,,20,03-02-2026,03-02-2026\n"},
	{"storage", "specimen_create_20260301080000000.csv", "Visit Name,Specimen Label,Type,Initial Quantity,Created On,Lineage,Parent Specimen Label,Location#Container,Location#Row,Location#Column,Location#Position\n" +
		"V-1,S-1,Plasma,10,03-02-2026,,,Box,,,\n" +
		"V-1,S-2,Plasma,10,03-02-2026,,,Box,1,2,\n" +
		"V-1,S-1,Plasma,10,03-02-2026,,,Box,,,\n" + // label taken: takes no cell
		"V-1,S-3,Plasma,10,03-02-2026,,,Tank,,,\n" +
		",S-1.1,,1,03-02-2026,Aliquot,S-1,Box,,,\n" +
		"V-2,S-4,Plasma,10,03-02-2026,,,Box,1,2,\n" + // cell taken
		"V-2,S-5,Plasma,10,03-02-2026,,,Tank,,,\n" +
		"V-2,S-6,Plasma,10,03-02-2026,,,Box,,,\n" +
		"V-2,S-7,Plasma,10,03-02-2026,,,Nowhere,,,\n" +
		"V-3,S-8,Plasma,10,03-02-2026,,,Box,,,5\n" +
		"V-3,S-9,Plasma,10,03-02-2026,,,Box,,,\n" +
		"V-3,S-10,Plasma,10,03-02-2026,,,Box,,,\n" +
		"V-3,S-11,Plasma,10,03-02-2026,,,Box,,,\n"}, // full
	{"moves", "specimen_update_20260301080000000.csv", "Specimen Label,Comments,Barcode,Location#Container,Location#Position,Transfer Time,Checkout,Activity Status\n" +
		"U-1,a,,Box,,03-02-2026,,\nU-2,,,Box,3,,,\nU-3,,,Box,,,,\nU-1,,,Box,6,,,\nU-2,,,##set_to_blank##,,,,\nU-3,,,,,,yes,\nU-4,,B-9,Box,,,,\nU-5,,B-9,Box,,,,\n" +
		"U-4,,,,,,,Closed\nU-6,,,Tank,,,,\nU-6,,,Box,,,,\n"},
	{"containers", "storageContainer_create_20260301080000000.csv", "Name,Site Name,Storage Location#Parent Container Name,Storage Location#Row,Storage Location#Column,No. of Rows,No. of Columns,Stores Specimen\n" +
		"Shelf,Lakeside Biobank,,,,2,2,\nR-1,,Shelf,,,2,2,\nR-2,,Shelf,1,1,2,2,\nR-3,,Late,,,,,\nR-1,,Shelf,,,2,2,\nLate,Lakeside Biobank,,,,,,\nR-4,,Shelf,,,3,3,yes\nR-5,,Shelf,,,3,,yes\nR-6,,Shelf,,,3,3,yes\nR-7,,Shelf,,,3,3,yes\n"},
	{"participants", "cpr_create_20260301080000000.csv", "CP Short Title,PPID,Registration Date,First Name,PMI#1#Site Name,PMI#1#MRN\n" +
		"LAKE,Q-1,01-02-2026,Mira,Lakeside Biobank,11\nLAKE,Q-2,01-02-2026,Tomo,Lakeside Biobank,12\nLAKE,Q-1,01-02-2026,Ulla,,\nLAKE,Q-3,01-02-2026,Nils,,\nLAKE,Q-4,01-02-2026,Ole,Lakeside Biobank,11\nLAKE,Q-5,01-02-2026,Ada,,\n"},
}

// otherFlows are those of the types of which a file has few rows.
var otherFlows = []flow{
	{"aliquots", "specimenAliquot_create_20260301080000000.csv", "CP Short Title,Parent Specimen Label,Specimen Labels,Number of Aliquots,Quantity per Aliquot,Container,Start Position,Created On,Increment Parent Freeze/Thaw Cycles,Close Parent\n" +
		"LAKE,U-9,,2,1,,,03-02-2026,,\n" + // no such parent
		"GEN,U-1,,2,1,,,03-02-2026,,\n" + // of another protocol
		"LAKE,U-1,\"A-1,A-2\",3,10,,,03-02-2026,,\n" + // two labels for three
		"LAKE,U-1,,101,0.1,,,03-02-2026,,\n" + // too many
		"LAKE,U-1,,x,1,,,03-02-2026,,\n" +
		"LAKE,U-1,\"A-1,A-2,A-3\",,10,Box,,03-02-2026,1,\n" +
		"LAKE,U-1,\"A-4,A-1\",2,10,Box,,03-02-2026,,\n" + // a label is taken: neither is made
		"LAKE,U-1,\"A-5,A-6\",2,10,Box,6,03-02-2026,,\n" + // the box ends
		"LAKE,U-2,\"B-1,B-2\",2,,,,03-02-2026,,\n" + // halves
		"LAKE,U-2,B-3,,,,,03-02-2026,,\n" + // nothing is left
		"LAKE,U-3,,,40,Box,4,03-02-2026,2,yes\n" + // two of 40, with the usual labels
		"LAKE,U-3,,1,1,,,03-02-2026,,\n" + // closed
		"LAKE,U-4,,2,5,,,03-02-2026,,\nLAKE,U-5,C-1,,1,,,03-02-2026,,\nLAKE,U-4,,1,5,,,03-02-2026,,\n"},
	{"derivatives", "specimenDerivative_create_20260301080000000.csv", "CP Short Title,Parent Specimen Label,Specimen Label,Barcode,Type,Initial Quantity,Created On,Close Parent,Increment Parent Freeze/Thaw Cycles,Location#Container\n" +
		"LAKE,,D-1,,Serum,1,03-02-2026,,,\nLAKE,U-1,D-1,,Gold,1,03-02-2026,,,\nLAKE,U-1,D-1,,,1,03-02-2026,,,\nLAKE,U-1,,,Serum,1,03-02-2026,,,\n" +
		"LAKE,U-1,D-1,B-1,Serum,1,03-02-2026,,1,Box\nLAKE,U-1,D-2,B-1,Serum,1,03-02-2026,,1,\nLAKE,U-1,D-3,,Serum,1,03-02-2026,yes,,Box\nLAKE,U-1,D-4,,Serum,1,03-02-2026,,,\n" +
		"LAKE,D-1,D-5,,Serum,,03-02-2026,,3,\nLAKE,U-2,D-6,,Serum,2,03-02-2026,maybe,,\n"},
	{"disposals", "specimenDisposal_update_20260301080000000.csv", "CP Short Title,Specimen Label,Activity Status,Disposal Date,Disposal Reason,Comments,User#Email Address\n" +
		"LAKE,U-9,Closed,,,,\nLAKE,U-1,Active,,,,\nLAKE,U-1,,,,,\nGEN,U-1,Closed,,,,\nLAKE,U-1,Closed,03-13-2026,,,\nLAKE,U-1,Closed,,,,nobody@example.org\n" +
		"LAKE,U-1,closed,03-02-2026 10:00,Lost,on the way,ada@example.org\nLAKE,U-2,Disabled,,,,\nLAKE,U-2,Closed,,,,\nLAKE,U-3,Closed,,Empty,,\n"},
	{"positions", "containerSpecimen_update_20260301080000000.csv", "Location#Container Name,Location#Container Barcode,Location#Row,Location#Column,Location#Position,Specimen#Barcode\n" +
		",,1,1,,N-1\nRack,,,,,N-1\nNowhere,,1,1,,N-1\nTank,,,,1,N-1\nRack,,1,99,,N-1\nRack,,9,9,,N-1\nRack,,1,1,,\nRack,,x,1,,N-1\nRack,,,,one,N-1\n" +
		"Rack,,,,1,N-1\nRack,,,,2,N-1\nRack,,,,2,N-2\nRack,,,,1,##set_to_blank##\nRack,,,,2,N-1\n"},
	{"consents", "consent_create_20260301080000000_m.csv", "CP Short Title,PPID,Consent Date,Consent Witness#Email Address,Consent Comments,Consent Statement,Consent Statement Code,Consent Response,Signed Consent Form\n" +
		"LAKE,P-9,,,,,STORE,Yes,\nLAKE,P-1,,,,,NONE,Yes,\nLAKE,P-1,,,,,STORE,Perhaps,\nLAKE,P-1,,nobody@example.org,,,STORE,Yes,\nLAKE,P-1,,,,,STORE,Yes,form.pdf\nLAKE,P-1,01-01-2030,,,,STORE,Yes,\n" +
		"LAKE,P-1,01-02-2026,ada@example.org,by phone,,STORE,Yes,\nLAKE,P-1,,,,You may SHARE,,No,\nLAKE,P-1,,,,,store,No,\nGEN,G-1,,,,,STORE,Yes,\nLAKE,P-2,03-02-2026,,,,,,\n"},
	{"events", "cpe_create_20260301080000000.csv", "CP Short Title,Event Label,Event Code,Event Point,Event Point Unit,Default Site,Activity Status\n" +
		"NONE,Week 1,,,,,\nLAKE,,W0,,,,\nLAKE,Week 1,W1,1,,,\nLAKE,Week 1,W1,one,DAYS,,\nLAKE,Week 1,W1,7,DAYS,Nowhere,\nLAKE,Baseline,,,,,\n" +
		"LAKE,Week 1,W1,7,DAYS,Lakeside Biobank,\nLAKE,week 1,,,,,\nLAKE,Week 2,W1,14,DAYS,,\nLAKE,Before,,-7,DAYS,,\nLAKE,Week 3,,,,,Disabled\nLAKE,Week 4,W4,28,DAYS,,\n"},
	{"event changes", "cpe_upsert_20260301080000000.csv", "CP Short Title,Event Label,Event Code,Event Point,Event Point Unit,Activity Status\n" +
		"LAKE,Baseline,,0,DAYS,\nLAKE,Later,L,9,DAYS,\nLAKE,,L,10,,\nLAKE,Later,,,,Disabled\nLAKE,Later,,,,\nLAKE,Baseline,,0,YEARLY,\nLAKE,Baseline,,0,DAYS,\n"},
	{"requirements", "sr_create_20260301080000000.csv", "CP Short Title,Event Label,Unique ID,Parent UID,Parent Code,Name,Code,Lineage,Specimen Class,Specimen Type,Anatomic Site,Laterality,Pathology,Storage Type,Initial Quantity,Collection Container,Collection Procedure,Collector#Email Address,Default Custom Field Values\n" +
		"LAKE,Nowhere,,,,,X,New,Fluid,Plasma,Not Specified,Not Specified,Not Specified,Virtual,1,Not Specified,Not Specified,,\n" +
		"LAKE,Baseline,,none,,,X,Aliquot,Fluid,Plasma,Not Specified,Not Specified,Not Specified,Virtual,1,,,,\n" +
		"LAKE,Baseline,,,NO,,X,Aliquot,Fluid,Plasma,Not Specified,Not Specified,Not Specified,Virtual,1,,,,\n" +
		"LAKE,Baseline,,,,,X,New,Fluid,Plasma,Not Specified,Not Specified,Not Specified,Virtual,a lot,Not Specified,Not Specified,,\n" +
		"LAKE,Baseline,,,,,X,New,Fluid,Plasma,Not Specified,Not Specified,Not Specified,Virtual,1,Not Specified,Not Specified,nobody@example.org,\n" +
		"LAKE,Baseline,,,,,X,New,Fluid,Plasma,Not Specified,Not Specified,Not Specified,Virtual,1,Not Specified,Not Specified,,[1]\n" +
		"LAKE,Baseline,sr_3,sr_1,,,A2,Aliquot,Fluid,Plasma,Not Specified,Not Specified,Not Specified,Virtual,2,,,,\n" + // before its parent
		"LAKE,Baseline,sr_1,,,Blood,P,New,Fluid,Plasma,Not Specified,Not Specified,Not Specified,Virtual,9,Not Specified,Not Specified,ada@example.org,\"{\"\"a\"\":1}\"\n" +
		"LAKE,Baseline,sr_4,,P,,A3,Aliquot,Fluid,Plasma,Not Specified,Not Specified,Not Specified,Virtual,8,,,,\n" + // more than there is
		"LAKE,Baseline,sr_5,,P,,A3,Aliquot,Fluid,Plasma,Not Specified,Not Specified,Not Specified,Virtual,7,,,,\n" +
		"LAKE,Baseline,,,,,p,New,Fluid,Plasma,Not Specified,Not Specified,Not Specified,Virtual,1,Not Specified,Not Specified,,\n" + // code taken
		"LAKE,Baseline,,sr_5,,,D,Derived,Molecular,DNA,Not Specified,Not Specified,Not Specified,Virtual,1,,,,\n"},
	{"users", "user_upsert_20260301080000000.csv", "First Name,Last Name,Email Address,Login Name,Domain Name,Institute,Primary Site,Type,Activity Status,Manage Workflows\n" +
		"Mira,,mira@example.org,mira,openspecimen,Lakeside Institute,,NONE,,\nMira,Moss,mira,mira,openspecimen,Lakeside Institute,,NONE,,\nMira,Moss,mira@example.org,mira,openspecimen,Nowhere,,NONE,,\nMira,Moss,mira@example.org,mira,openspecimen,Lakeside Institute,,NONE,,yes\nMira,Moss,mira@example.org,lab,openspecimen,Lakeside Institute,,NONE,,\n" +
		"Mira,Moss,mira@example.org,mira,openspecimen,Lakeside Institute,Lakeside Biobank,NONE,,no\nMira,Moss-Hill,MIRA@example.org,,,,,,,\nSuper,User,super@example.org,super,openspecimen,Lakeside Institute,,SUPER,,\nTomo,Tarn,tomo@example.org,tomo,openspecimen,Lakeside Institute,,CONTACT,,\n,,tomo@example.org,,,,,,Disabled,\n"},
	{"roles", "userRoles_update_20260301080000000.csv", "Email Address,Role#1#Name,Role#1#Site Name,Role#1#CP Short Title,Role#2#Name,Role#2#Site Name\n" +
		"nobody@example.org,Coordinator,,,,\nlab@example.org,Nonesuch,,,,\nlab@example.org,Coordinator,Nowhere,,,\nlab@example.org,Coordinator,,NONE,,\nlab@example.org,,Lakeside Biobank,,,\nlab@example.org,Coordinator,,,coordinator,\n" +
		"lab@example.org,Coordinator,Lakeside Biobank,LAKE,Technician,\nlab@example.org,Technician,,,Researcher,Lakeside Biobank\nada@example.org,Technician,,,,\n"},
	{"distributions", "distributionProtocol_upsert_20260301080000000.csv", "Title,Short Title,Receiving Institute,Receiving Site,PI#Email,Start Date,Distributing Sites#1#Institute,Distributing Sites#1#Site#1,Distributing Sites#2#Institute,Activity Status\n" +
		"Give,G,Nowhere,,ada@example.org,,Lakeside Institute,,,\nGive,G,Lakeside Institute,,nobody@example.org,,Lakeside Institute,,,\nGive,G,Lakeside Institute,,ada@example.org,,,,,\nGive,G,Lakeside Institute,,ada@example.org,2026,Lakeside Institute,,,\nGive,G,Lakeside Institute,,ada@example.org,,Lakeside Institute,Nowhere,,\nGive,G,Lakeside Institute,,ada@example.org,,Lakeside Institute,,Lakeside Institute,\n" +
		"Give,G,Lakeside Institute,Lakeside Biobank,ada@example.org,01-02-2026,Lakeside Institute,Lakeside Biobank,,\nGive more,g,,,,,,,,\nOther,H,Lakeside Institute,,lab@example.org,,Lakeside Institute,,,\nGive more,I,Lakeside Institute,,lab@example.org,,Lakeside Institute,,,\n,H,,,,,,,,Disabled\n"},
}

// Whatever call of a job breaks, and however, the job ends with the records, the audit and the report of a job of which
// nothing broke.
func TestEveryCallBreaks(t *testing.T) {
	base := newRig(t)
	base.crowd()
	for _, flow := range append(flows, otherFlows...) {
		t.Run(flow.name, func(t *testing.T) {
			t.Parallel()
			run := func(faults map[int]faultKind) (*rig, int) {
				r := rigOver(t, base.copy())
				r.im.Config.ChunkRows = 4
				b := &breaker{faults: faults}
				r.shaky(b)
				r.survive(r.drop("lab/"+flow.file, flow.content))
				return r, b.calls
			}
			sound, calls := run(nil)
			want := sound.natural()
			if j := sound.all()[0]; j.Chunks < 2 || j.Done != j.Total {
				t.Fatalf("job %+v", j)
			}
			check := func(faults map[int]faultKind) {
				r, _ := run(faults)
				if diff := cmp.Diff(want, r.natural()); diff != "" {
					t.Fatalf("faults %v of %d calls (-want +got):\n%s", faults, calls, diff)
				}
				if len(r.queue.dead) > 0 {
					t.Fatalf("faults %v: message %s came too often", faults, r.queue.dead[0].body)
				}
			}
			// Half of the kinds at each call, the other half at the next: calls come in rows of the same kind.
			every := 2
			if testing.Short() {
				every = 10
			}
			for k := 1; k <= calls; k++ {
				for i, kind := range faultKinds {
					if (k+i)%every == 0 {
						check(map[int]faultKind{k: kind})
					}
				}
			}
			// The second fault strikes while the first is mended.
			rng := rand.New(rand.NewPCG(*seed, 0))
			for range 300 / every {
				faults := map[int]faultKind{}
				for range 2 + rng.IntN(3) {
					faults[1+rng.IntN(calls+20)] = faultKinds[rng.IntN(len(faultKinds))]
				}
				check(faults)
			}
		})
	}
}

// brokenJobs does not know of one file.
type brokenJobs struct{ csvimport.JobStore }

func (b brokenJobs) Dropped(ctx context.Context, bucket, key, version string) (bool, error) {
	if key == "lab/a.csv" {
		return false, errBroken
	}
	return b.JobStore.Dropped(ctx, bucket, key, version)
}

// dyingJobs dies once, before a call.
type dyingJobs struct {
	csvimport.JobStore
	at   string
	dead *bool
}

func (d *dyingJobs) die(at string) {
	if at == d.at && !*d.dead {
		*d.dead = true
		runtime.Goexit()
	}
}

func (d *dyingJobs) AddChunks(ctx context.Context, job int64, n int) error {
	d.die("AddChunks")
	return d.JobStore.AddChunks(ctx, job, n)
}

func (d *dyingJobs) SaveChunk(ctx context.Context, c *jobs.Chunk) error {
	d.die("SaveChunk")
	return d.JobStore.SaveChunk(ctx, c)
}

func (d *dyingJobs) End(ctx context.Context, j *jobs.Job) error {
	d.die("End")
	return d.JobStore.End(ctx, j)
}
