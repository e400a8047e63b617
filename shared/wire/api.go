package wire

import (
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"time"

	"github.com/caarlos0/env/v11"

	"aliquot/shared/api"
	"aliquot/shared/auth"
	"aliquot/shared/biobank"
	"aliquot/shared/blob"
	"aliquot/shared/queue"
	"aliquot/shared/store"
)

// APISettings are the settings of api.
type APISettings struct {
	Records          string `env:"ALIQUOT_RECORDS_TABLE,required"`
	Audit            string `env:"ALIQUOT_AUDIT_TABLE,required"`
	Jobs             string `env:"ALIQUOT_JOBS_TABLE,required"`
	Sessions         string `env:"ALIQUOT_SESSIONS_TABLE,required"`
	Intake           string `env:"ALIQUOT_INTAKE_BUCKET,required"`
	Results          string `env:"ALIQUOT_RESULTS_BUCKET,required"`
	Queue            string `env:"ALIQUOT_IMPORT_QUEUE_URL,required"`
	TokenIdleMinutes int    `env:"ALIQUOT_TOKEN_IDLE_MINUTES" envDefault:"60"`
	TokenMaxHours    int    `env:"ALIQUOT_TOKEN_MAX_HOURS" envDefault:"24"`
}

// API assembles the REST API.
func API(ctx context.Context) (*api.API, error) {
	var s APISettings
	if err := env.Parse(&s); err != nil {
		return nil, err
	}
	cfg, err := environment()
	if err != nil {
		return nil, err
	}
	tables := store.Tables{Records: s.Records, Audit: s.Audit, Jobs: s.Jobs, Sessions: s.Sessions}
	db := store.NewClient(cfg)
	return &api.API{
		Registry: &biobank.Registry{Store: biobank.Once(store.NewRecords(db, tables))},
		Guard: &auth.Guard{
			Store: store.NewSessions(db, tables), Random: rand.Reader,
			Idle: time.Duration(s.TokenIdleMinutes) * time.Minute, Max: time.Duration(s.TokenMaxHours) * time.Hour,
		},
		Jobs: store.NewJobs(db, tables), Blobs: blob.New(cfg), Queue: queue.New(cfg, s.Queue),
		Intake: s.Intake, Results: s.Results, Now: time.Now, Random: rand.Reader,
		Log: slog.New(slog.NewJSONHandler(os.Stderr, nil)),
	}, nil
}
