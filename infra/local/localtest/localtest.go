// Package localtest gives tests a stack.
package localtest

import (
	"context"
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
