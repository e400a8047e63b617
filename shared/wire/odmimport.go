package wire

import (
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"time"

	"github.com/caarlos0/env/v11"

	"aliquot/shared/biobank"
	"aliquot/shared/blob"
	"aliquot/shared/clinical"
	"aliquot/shared/jobs"
	"aliquot/shared/odmimport"
	"aliquot/shared/queue"
	"aliquot/shared/store"
)

// OdmImportSettings are the settings of odmimport, and of sweep for its jobs.
type OdmImportSettings struct {
	Records     string `env:"ALIQUOT_RECORDS_TABLE,required"`
	Audit       string `env:"ALIQUOT_AUDIT_TABLE,required"`
	Jobs        string `env:"ALIQUOT_JOBS_TABLE,required"`
	Results     string `env:"ALIQUOT_RESULTS_BUCKET,required"`
	Queue       string `env:"ALIQUOT_ODM_QUEUE_URL,required"`
	Lease       int    `env:"ALIQUOT_LEASE_SECONDS" envDefault:"60"`
	DropWait    int    `env:"ALIQUOT_DROP_WAIT_SECONDS" envDefault:"10"`
	PartRows    int    `env:"ALIQUOT_ODM_PART_ROWS" envDefault:"2000"`
	MaxAttempts int    `env:"ALIQUOT_MAX_ATTEMPTS" envDefault:"5"`
}

// OdmImporter assembles the importer of odmimport and sweep, and the queue it listens to.
func OdmImporter(ctx context.Context) (*odmimport.Importer, *queue.Queue, error) {
	var s OdmImportSettings
	if err := env.Parse(&s); err != nil {
		return nil, nil, err
	}
	cfg, err := environment()
	if err != nil {
		return nil, nil, err
	}
	tables := store.Tables{Records: s.Records, Audit: s.Audit, Jobs: s.Jobs}
	db := store.NewClient(cfg)
	records := store.NewRecords(db, tables)
	blobs := blob.New(cfg)
	q := queue.New(cfg, s.Queue)
	users := &biobank.Registry{Store: records}
	now := func() time.Time { return time.Now().UTC() }
	planners := &odmimport.Planners{
		Studies: &clinical.Registry{Store: records, Objects: objects{blobs, s.Results}, Random: rand.Reader}, Users: users, Now: now,
	}
	return &odmimport.Importer{
		Config: odmimport.Config{
			Results: s.Results, DropWait: time.Duration(s.DropWait) * time.Second, Lease: time.Duration(s.Lease) * time.Second,
			PartRows: s.PartRows, MaxAttempts: s.MaxAttempts,
		},
		Jobs: store.NewJobs(db, tables).Space(odmSpace), Files: odmFiles{files{blobs}}, Queue: q, Store: records,
		Planner: planners.Make, Document: planners.Document, Rows: planners.Rows, DropOwner: users.DropOwner, Place: planners.Studies.Place,
		Now: now, Random: rand.Reader, Log: slog.New(slog.NewJSONHandler(os.Stderr, nil)),
	}, q, nil
}

// odmFiles are files of any type.
type odmFiles struct{ files }

func (f odmFiles) Create(ctx context.Context, bucket, key, contentType string) jobs.Writer {
	return f.Store.Create(ctx, bucket, key, contentType)
}
