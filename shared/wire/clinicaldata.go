package wire

import (
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"time"

	"github.com/caarlos0/env/v11"

	"aliquot/shared/auth"
	"aliquot/shared/biobank"
	"aliquot/shared/blob"
	"aliquot/shared/clinical"
	"aliquot/shared/odmapi"
	"aliquot/shared/queue"
	"aliquot/shared/store"
)

// odmSpace is where the jobs of ODM lie, apart from those of CSV.
const odmSpace = "odm"

// ClinicalDataSettings are the settings of clinicaldata.
type ClinicalDataSettings struct {
	Records          string `env:"ALIQUOT_RECORDS_TABLE,required"`
	Audit            string `env:"ALIQUOT_AUDIT_TABLE,required"`
	Jobs             string `env:"ALIQUOT_JOBS_TABLE,required"`
	Sessions         string `env:"ALIQUOT_SESSIONS_TABLE,required"`
	Intake           string `env:"ALIQUOT_INTAKE_BUCKET,required"`
	Results          string `env:"ALIQUOT_RESULTS_BUCKET,required"`
	Queue            string `env:"ALIQUOT_ODM_QUEUE_URL,required"`
	TokenIdleMinutes int    `env:"ALIQUOT_TOKEN_IDLE_MINUTES" envDefault:"60"`
	TokenMaxHours    int    `env:"ALIQUOT_TOKEN_MAX_HOURS" envDefault:"24"`
	TokenCalls       int    `env:"ALIQUOT_TOKEN_CALLS_PER_MINUTE" envDefault:"2"`
	Patience         int    `env:"ALIQUOT_RETRIEVAL_SECONDS" envDefault:"22"`
	LegacyCodes      bool   `env:"ALIQUOT_LEGACY_CODES" envDefault:"false"`
	NamespaceKeys    bool   `env:"ALIQUOT_LEGACY_NAMESPACE_KEYS" envDefault:"false"`
	Lockdown         bool   `env:"ALIQUOT_SYSTEM_LOCKDOWN"`
	MaxSessions      int    `env:"ALIQUOT_MAX_LOGIN_SESSIONS"`
	SameAddress      bool   `env:"ALIQUOT_VERIFY_TOKEN_ADDRESS"`
	WrongPerMinute   int    `env:"ALIQUOT_WRONG_PASSWORDS_PER_MINUTE" envDefault:"30"`
}

// ClinicalData assembles the Clinicaldata API.
func ClinicalData(ctx context.Context) (*odmapi.API, error) {
	var s ClinicalDataSettings
	if err := env.Parse(&s); err != nil {
		return nil, err
	}
	cfg, err := environment()
	if err != nil {
		return nil, err
	}
	tables := store.Tables{Records: s.Records, Audit: s.Audit, Jobs: s.Jobs, Sessions: s.Sessions}
	db := store.NewClient(cfg)
	records, blobs := store.NewRecords(db, tables), blob.New(cfg)
	return &odmapi.API{
		Registry: &clinical.Registry{Store: records, Objects: objects{blobs, s.Results}, Random: rand.Reader},
		Users:    &biobank.Registry{Store: records},
		Guard: &auth.Guard{
			Store: store.NewSessions(db, tables), Random: rand.Reader,
			Idle: time.Duration(s.TokenIdleMinutes) * time.Minute, Max: time.Duration(s.TokenMaxHours) * time.Hour,
			Rules: auth.Rules{Lockdown: s.Lockdown, MaxSessions: s.MaxSessions, SameAddress: s.SameAddress, WrongPerMinute: s.WrongPerMinute},
		},
		Jobs: store.NewJobs(db, tables).Space(odmSpace), Blobs: blobs, Queue: queue.New(cfg, s.Queue),
		Intake: s.Intake, Results: s.Results, LegacyCodes: s.LegacyCodes, NamespaceKeys: s.NamespaceKeys, TokenCalls: s.TokenCalls, Patience: time.Duration(s.Patience) * time.Second,
		Now: time.Now, Random: rand.Reader, Log: slog.New(slog.NewJSONHandler(os.Stderr, nil)),
	}, nil
}

// objects is a bucket in the words of clinical.
type objects struct {
	blobs  *blob.Store
	bucket string
}

// maxObject is more than any object of metadata has.
const maxObject = 128 << 20

func (o objects) Get(ctx context.Context, key string) ([]byte, error) {
	return o.blobs.Get(ctx, blob.Object{Bucket: o.bucket, Key: key}, maxObject)
}

func (o objects) Put(ctx context.Context, key string, body []byte) error {
	_, err := o.blobs.Put(ctx, o.bucket, key, "application/octet-stream", body)
	return err
}
