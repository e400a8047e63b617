package auth_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// Sessions that began while their number was not limited end when as many as there may be have begun after them.
func TestLimitReachesSessionsFromBefore(t *testing.T) {
	g, _ := newGuard(t)
	user := newUser(t, 3, "Active", "NONE")
	mustSet(t, g, 3)
	at := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }
	var before []string
	for n := range 3 {
		before = append(before, mustSignIn(t, g, at(n), user))
	}
	acting, err := g.ActAs(t.Context(), at(0), 2, user)
	if err != nil {
		t.Fatal(err)
	}
	limited := *g
	limited.MaxSessions = 2
	one := mustSignIn(t, &limited, at(3), user)
	for _, token := range append(before, one) {
		wantUser(t, &limited, at(4), token)
	}
	two := mustSignIn(t, &limited, at(5), user)
	for _, token := range before {
		wantNobody(t, &limited, at(6), token, "AUTH_INVALID_TOKEN")
		wantNobody(t, g, at(6), token, "AUTH_INVALID_TOKEN")
	}
	free := mustSignIn(t, g, at(7), user) // without a limit again
	for _, token := range []string{one, two, free} {
		wantUser(t, g, at(8), token)
	}
	if _, err := g.Acting(t.Context(), at(8), 2, acting); err != nil {
		t.Errorf("who acts as the user: %v", err)
	}
}

// Of sessions that begin at once as many live as may, whichever is noted first.
func TestSessionsThatBeginAtOnce(t *testing.T) {
	g, _ := newGuard(t)
	user := newUser(t, 3, "Active", "NONE")
	mustSet(t, g, 3)
	g.MaxSessions = 1
	newer := mustSignIn(t, g, noon.Add(time.Second), user)
	older := mustSignIn(t, g, noon, user) // began before it, and is noted after it
	wantUser(t, g, noon.Add(time.Minute), newer)
	wantNobody(t, g, noon.Add(time.Minute), older, "AUTH_INVALID_TOKEN")
}

// A session that was stored before sessions had rules of their own lives by the Guard's.
func TestSessionsFromBeforeTheirRules(t *testing.T) {
	g, _ := newGuard(t)
	user := newUser(t, 3, "Active", "NONE")
	mustSet(t, g, 3)
	bare := *g
	bare.Idle = 0
	token := mustSignIn(t, &bare, noon, user)
	wantUser(t, g, noon.Add(time.Minute), token)
	wantNobody(t, g, noon.Add(2*time.Hour), token, "AUTH_TOKEN_EXPIRED")
}

// A user may have more sessions than are read in one call.
func TestManySessionsAreCounted(t *testing.T) {
	g, _ := newGuard(t)
	user := newUser(t, 3, "Active", "NONE")
	mustSet(t, g, 3)
	g.MaxSessions = 1000
	first := mustSignIn(t, g, noon, user)
	item, err := g.Store.Get(t.Context(), "login#3")
	if err != nil {
		t.Fatal(err)
	}
	var login map[string]any
	if err := json.Unmarshal(item.Doc, &login); err != nil {
		t.Fatal(err)
	}
	for n := range 250 {
		login["open"] = append(login["open"].([]any), fmt.Sprintf("token#%064d", n))
	}
	if item.Doc, err = json.Marshal(login); err != nil {
		t.Fatal(err)
	}
	if err := g.Store.Put(t.Context(), item); err != nil {
		t.Fatal(err)
	}
	wantUser(t, g, noon, mustSignIn(t, g, noon, user))
	wantUser(t, g, noon, first)
}
