// Package localtest gives tests a stack.
package localtest

import (
	"context"
	"os"
	"sync"
	"testing"

	"aliquot/infra/local"
)

// shared starts the one stack of this test binary. It ends with the binary.
var shared = sync.OnceValues(func() (*local.Stack, error) {
	return local.Start(context.Background(), local.Options{})
})

// Data returns fresh, empty tables and buckets on a DynamoDB and an S3 that the tests of one binary share. Tests that run
// in parallel do not see each other's.
func Data(t testing.TB) *local.Stack {
	t.Helper()
	base, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	s, err := base.Fresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Full returns a stack of its own with the functions running, wired by the template with the given parameters. It ends
// with the test.
func Full(t testing.TB, params map[string]string) *local.Stack {
	t.Helper()
	s, err := local.Start(t.Context(), local.Options{Functions: true, Params: params})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// OnBinaries is whether the tests of the APIs run on the functions as they are deployed, behind the HTTP API, with their
// roles and the template's settings, and not on their handlers. ALIQUOT_BINARIES sets it, as CI does: the processes of a
// stack for each test take their time.
func OnBinaries() bool { return os.Getenv("ALIQUOT_BINARIES") != "" }

// HandlerOnly ends a test, or a part of one, that looks into a handler or changes what it stands on, when the tests run
// on binaries.
func HandlerOnly(t testing.TB) {
	t.Helper()
	if OnBinaries() {
		t.Skip("not on the binaries")
	}
}

// Served is Data for the tests of an API. On binaries it has the functions too, with the given parameters, and nothing
// comes out of its queues.
func Served(t testing.TB, params map[string]string) *local.Stack {
	t.Helper()
	if !OnBinaries() {
		return Data(t)
	}
	s, err := local.Start(t.Context(), local.Options{Functions: true, Idle: true, Params: params})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}
