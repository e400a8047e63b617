package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"time"

	"aliquot/infra/admin"
	"aliquot/infra/local"
	"aliquot/shared/auth"
	"aliquot/shared/biobank"
	"aliquot/shared/store"
)

// setUp makes the first institute and users where they are missing, and gives the super administrator the password of
// ALIQUOT_ADMIN_PASSWORD, or a drawn one that it prints, unless there is one already.
func setUp(ctx context.Context, s *local.Stack) error {
	db := store.NewClient(s.AWSConfig())
	tables := store.Tables{
		Records: s.Tables["records"], Audit: s.Tables["audit"], Jobs: s.Tables["jobs"], Sessions: s.Tables["sessions"],
	}
	registry := &biobank.Registry{Store: store.NewRecords(db, tables)}
	guard := &auth.Guard{Store: store.NewSessions(db, tables), Random: rand.Reader}
	drawn, err := admin.Ensure(ctx, registry, guard, time.Now().UTC(), os.Getenv("ALIQUOT_ADMIN_PASSWORD"))
	if err != nil {
		return fmt.Errorf("set up the administrator: %w", err)
	}
	if drawn != "" {
		fmt.Printf("sign in     admin (domain %s), password %s\n", biobank.Domain, drawn)
	}
	return nil
}
