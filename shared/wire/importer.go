// Package wire assembles functions from their parts. It is the one place that knows which part is made of which.
package wire

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/caarlos0/env/v11"

	"aliquot/shared/biobank"
	"aliquot/shared/blob"
	"aliquot/shared/csvimport"
	"aliquot/shared/jobs"
	"aliquot/shared/queue"
	"aliquot/shared/store"
)

// ImportSettings are the settings of csvimport and sweep.
type ImportSettings struct {
	Records     string `env:"ALIQUOT_RECORDS_TABLE,required"`
	Audit       string `env:"ALIQUOT_AUDIT_TABLE,required"`
	Jobs        string `env:"ALIQUOT_JOBS_TABLE,required"`
	Intake      string `env:"ALIQUOT_INTAKE_BUCKET,required"`
	Results     string `env:"ALIQUOT_RESULTS_BUCKET,required"`
	Queue       string `env:"ALIQUOT_IMPORT_QUEUE_URL,required"`
	Lease       int    `env:"ALIQUOT_LEASE_SECONDS" envDefault:"60"`
	DropWait    int    `env:"ALIQUOT_DROP_WAIT_SECONDS" envDefault:"10"`
	ChunkRows   int    `env:"ALIQUOT_CHUNK_ROWS" envDefault:"5000"`
	MaxAttempts int    `env:"ALIQUOT_MAX_ATTEMPTS" envDefault:"5"`
}

// Importer assembles the importer of csvimport and sweep, and the queue it listens to.
func Importer(ctx context.Context) (*csvimport.Importer, *queue.Queue, error) {
	var s ImportSettings
	if err := env.Parse(&s); err != nil {
		return nil, nil, err
	}
	cfg, err := environment()
	if err != nil {
		return nil, nil, err
	}
	q := queue.New(cfg, s.Queue)
	return NewImporter(cfg, s, q), q, nil
}

// NewImporter assembles an importer over the given clients.
func NewImporter(cfg aws.Config, s ImportSettings, q csvimport.Queue) *csvimport.Importer {
	tables := store.Tables{Records: s.Records, Audit: s.Audit, Jobs: s.Jobs}
	db := store.NewClient(cfg)
	records := store.NewRecords(db, tables)
	return &csvimport.Importer{
		Config: csvimport.Config{
			Intake: s.Intake, Results: s.Results,
			Lease: time.Duration(s.Lease) * time.Second, DropWait: time.Duration(s.DropWait) * time.Second,
			ChunkRows: s.ChunkRows, MaxAttempts: s.MaxAttempts,
		},
		Jobs:  store.NewJobs(db, tables),
		Files: files{blob.New(cfg)},
		Queue: q,
		Under: func(c *jobs.Chunk, until func() time.Time, progress func() (int64, int64)) *biobank.Registry {
			return &biobank.Registry{Store: records.Leased(&store.Guard{Chunk: c, Until: until, Progress: progress})}
		},
		Registry: &biobank.Registry{Store: records},
		Now:      func() time.Time { return time.Now().UTC() },
		Log:      slog.New(slog.NewJSONHandler(os.Stderr, nil)),
	}
}

// files is blob.Store in the importers' words.
type files struct{ *blob.Store }

func (f files) Open(ctx context.Context, bucket, key, version string, from, to int64) (io.ReadCloser, error) {
	in, err := f.Store.Open(ctx, blob.Object{Bucket: bucket, Key: key, Version: version}, from, to)
	return in, noFile(err)
}

func noFile(err error) error {
	if errors.Is(err, blob.ErrNotFound) {
		return errors.Join(jobs.ErrNoFile, err)
	}
	return err
}

func (f files) Put(ctx context.Context, bucket, key string, body []byte) error {
	_, err := f.Store.Put(ctx, bucket, key, "application/octet-stream", body)
	return err
}

func (f files) Create(ctx context.Context, bucket, key string) jobs.Writer {
	return f.Store.Create(ctx, bucket, key, "text/csv; charset=utf-8")
}

func (f files) List(ctx context.Context, bucket, after string) ([]csvimport.Listed, error) {
	page, err := f.Store.List(ctx, bucket, "", after, 1000)
	out := make([]csvimport.Listed, len(page))
	for i, o := range page {
		out[i] = csvimport.Listed{Key: o.Key, Modified: o.Modified}
	}
	return out, err
}

func (f files) Version(ctx context.Context, bucket, key string) (string, error) {
	info, err := f.Head(ctx, blob.Object{Bucket: bucket, Key: key})
	return info.Version, noFile(err)
}

func (f files) Size(ctx context.Context, bucket, key, version string) (int64, error) {
	info, err := f.Head(ctx, blob.Object{Bucket: bucket, Key: key, Version: version})
	return info.Size, noFile(err)
}

func (f files) AbortUploads(ctx context.Context, bucket string, olderThan time.Time) error {
	_, err := f.Store.AbortUploads(ctx, bucket, "", olderThan)
	return err
}
