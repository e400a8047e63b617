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
	drawn, err := ensure(ctx, s, os.Getenv("ALIQUOT_ADMIN_PASSWORD"))
	if drawn != "" {
		fmt.Printf("sign in     admin (domain %s), password %s\n", biobank.Domain, drawn)
	}
	return err
}

// ensure sets up the administrator with a password, and returns it where it was drawn for want of one.
func ensure(ctx context.Context, s *local.Stack, password string) (drawn string, err error) {
	db := store.NewClient(s.AWSConfig())
	r := &biobank.Registry{Store: store.NewRecords(db, tables(s))}
	guard := &auth.Guard{Store: store.NewSessions(db, tables(s)), Random: rand.Reader}
	if drawn, err = admin.Ensure(ctx, r, guard, time.Now().UTC(), password); err != nil {
		return "", fmt.Errorf("set up the administrator: %w", err)
	}
	return drawn, nil
}

func tables(s *local.Stack) store.Tables {
	return store.Tables{
		Records: s.Tables["records"], Audit: s.Tables["audit"], Jobs: s.Tables["jobs"], Sessions: s.Tables["sessions"],
	}
}
