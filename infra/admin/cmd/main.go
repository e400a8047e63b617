// Command admin sets up a deployed stack: institute 1, users 1 and 2, and the administrator's first password, which is
// that of ALIQUOT_ADMIN_PASSWORD or, without it, drawn and printed once. Doing it again changes nothing.
//
// The tables are named by the variables that the functions have, ALIQUOT_RECORDS_TABLE, ALIQUOT_AUDIT_TABLE,
// ALIQUOT_JOBS_TABLE and ALIQUOT_SESSIONS_TABLE; `make admin STACK=<name>` takes them from the stack. The credentials are
// those of the AWS SDK's usual places, and need the rights of the API function's role.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"

	"aliquot/infra/admin"
	"aliquot/shared/auth"
	"aliquot/shared/biobank"
	"aliquot/shared/store"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "admin:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var tables store.Tables
	for name, field := range map[string]*string{
		"ALIQUOT_RECORDS_TABLE": &tables.Records, "ALIQUOT_AUDIT_TABLE": &tables.Audit,
		"ALIQUOT_JOBS_TABLE": &tables.Jobs, "ALIQUOT_SESSIONS_TABLE": &tables.Sessions,
	} {
		if *field = os.Getenv(name); *field == "" {
			return fmt.Errorf("%s is not set", name)
		}
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	db := store.NewClient(cfg)
	registry := &biobank.Registry{Store: store.NewRecords(db, tables)}
	guard := &auth.Guard{Store: store.NewSessions(db, tables), Random: rand.Reader}
	drawn, err := admin.Ensure(ctx, registry, guard, time.Now().UTC(), os.Getenv("ALIQUOT_ADMIN_PASSWORD"))
	if err != nil {
		return err
	}
	if drawn != "" {
		fmt.Println("The password of admin is", drawn)
	} else {
		fmt.Println("The stack is set up.")
	}
	return nil
}
