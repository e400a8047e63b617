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

	// Settings of the reference (openspecimen-rest.md 2.4).
	Lockdown           bool     `env:"ALIQUOT_SYSTEM_LOCKDOWN"`
	MaxSessions        int      `env:"ALIQUOT_MAX_LOGIN_SESSIONS"`
	SameAddress        bool     `env:"ALIQUOT_VERIFY_TOKEN_ADDRESS"`
	WrongPerMinute     int      `env:"ALIQUOT_WRONG_PASSWORDS_PER_MINUTE" envDefault:"30"`
	PasswordsToExamine int      `env:"ALIQUOT_PASSWORDS_TO_EXAMINE"`
	Origins            []string `env:"ALIQUOT_ALLOWED_ORIGINS"`
	SignUp             bool     `env:"ALIQUOT_SIGN_UP"`
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
			Rules: auth.Rules{
				Lockdown: s.Lockdown, MaxSessions: s.MaxSessions, SameAddress: s.SameAddress, PasswordsToExamine: s.PasswordsToExamine, WrongPerMinute: s.WrongPerMinute,
			},
		},
		Jobs: store.NewJobs(db, tables), Blobs: blob.New(cfg), Queue: queue.New(cfg, s.Queue),
		Intake: s.Intake, Results: s.Results, Origins: s.Origins, SignUp: s.SignUp, Now: time.Now, Random: rand.Reader,
		Log: slog.New(slog.NewJSONHandler(os.Stderr, nil)),
	}, nil
}
