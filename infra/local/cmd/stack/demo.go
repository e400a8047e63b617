package main

import (
	"context"
	"errors"
)

// demo is to show an import from a dropped file to its report.
func demo(_ context.Context, args []string) error {
	flags, _ := newFlags("demo")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return errors.New("the demonstration needs functions/api and functions/csvimport, and they are not there yet")
}
