package auth_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aliquot/shared/auth"
)

func TestTokenOfAFixedLife(t *testing.T) {
	g, _ := newGuard(t)
	user := newUser(t, 3, "Active", "NONE")
	mustSet(t, g, 3)
	token, err := g.SignInFor(t.Context(), noon, auth.Candidate{Login: "three", User: user}, password, 4*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	wantUser(t, g, noon.Add(4*time.Hour-time.Second), token) // unused for longer than the idle limit
	wantNobody(t, g, noon.Add(4*time.Hour), token, "AUTH_TOKEN_EXPIRED")
	mustSet(t, g, 3)
	wantNobody(t, g, noon.Add(time.Minute), token, "AUTH_INVALID_TOKEN")
}

func TestCallsAMinute(t *testing.T) {
	g, _ := newGuard(t)
	for _, call := range []struct {
		what string
		at   time.Duration
		want bool
	}{
		{"a", 0, true},
		{"a", 10 * time.Second, true},
		{"a", 59 * time.Second, false},
		{"b", 59 * time.Second, true},
		{"a", time.Minute, true},
	} {
		got, err := g.Allow(t.Context(), noon.Add(call.at), call.what, 2)
		if err != nil || got != call.want {
			t.Errorf("%s after %v: %v, %v, want %v", call.what, call.at, got, err, call.want)
		}
	}
}

func TestCallsAtOnceAreAllCounted(t *testing.T) {
	g, _ := newGuard(t)
	var allowed atomic.Int32
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			ok, err := g.Allow(t.Context(), noon, "a", 2)
			if err != nil {
				t.Error(err)
			}
			if ok {
				allowed.Add(1)
			}
		})
	}
	wg.Wait()
	if allowed.Load() != 2 {
		t.Errorf("%d of 10 were allowed, want 2", allowed.Load())
	}
}
