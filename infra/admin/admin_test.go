package admin_test

import (
	"crypto/rand"
	"testing"
	"time"

	"aliquot/infra/admin"
	"aliquot/infra/local/localtest"
	"aliquot/shared/auth"
	"aliquot/shared/biobank"
	"aliquot/shared/fault"
	"aliquot/shared/store"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestEnsureSetsUpOnce(t *testing.T) {
	r, g := newSystem(t)
	drawn, err := admin.Ensure(t.Context(), r, g, noon, "")
	if err != nil || drawn == "" {
		t.Fatalf("drawn %q, %v", drawn, err)
	}
	for range 2 {
		again, err := admin.Ensure(t.Context(), r, g, noon, "Another-1")
		if err != nil || again != "" {
			t.Fatalf("again: drawn %q, %v", again, err)
		}
	}
	user, err := r.UserByLogin(t.Context(), "OpenSpecimen", "ADMIN")
	if err != nil || user == nil || user.ID != biobank.AdminUserID {
		t.Fatalf("admin is %v, %v", user, err)
	}
	who := auth.Candidate{Domain: biobank.Domain, Login: "admin", User: user}
	if _, err := g.SignIn(t.Context(), noon, who, drawn); err != nil {
		t.Errorf("the drawn password: %v", err)
	}
	if _, err := g.SignIn(t.Context(), noon, who, "Another-1"); !fault.Is(err, "AUTH_INVALID_CREDENTIALS") {
		t.Errorf("a later password: %v", err)
	}
	actor, err := r.Actor(t.Context(), biobank.AdminUserID)
	if err != nil || !actor.Super() {
		t.Fatalf("actor %v, %v", actor, err)
	}
	if _, err := r.Actor(t.Context(), biobank.SystemUserID); !fault.Is(err, "USER_INACTIVE") {
		t.Errorf("the system user may act: %v", err)
	}
	institute, err := r.Get(t.Context(), actor, biobank.Institute, 1)
	if err != nil || institute == nil {
		t.Errorf("institute 1: %v", err)
	}
	out, err := r.Apply(t.Context(), actor, noon, []biobank.Change{{
		Op: biobank.Create, ID: "test", Draft: &biobank.InstituteDraft{Doc: biobank.InstituteDoc{Name: "Next"}},
	}})
	if err != nil || out[0].Err != nil || out[0].Record.ID != 2 {
		t.Errorf("the next institute is %+v, %v", out, err)
	}
}

func TestEnsureRefusesAWeakPassword(t *testing.T) {
	r, g := newSystem(t)
	if _, err := admin.Ensure(t.Context(), r, g, noon, "weak"); !fault.Is(err, "USER_PASSWD_VIOLATES_RULES") {
		t.Fatalf("got %v", err)
	}
	if _, err := admin.Ensure(t.Context(), r, g, noon, "Invented-1"); err != nil {
		t.Errorf("a second try: %v", err)
	}
}

func newSystem(t *testing.T) (*biobank.Registry, *auth.Guard) {
	t.Helper()
	stack := localtest.Data(t)
	db := store.NewClient(stack.AWSConfig())
	tables := store.Tables{
		Records: stack.Tables["records"], Audit: stack.Tables["audit"], Jobs: stack.Tables["jobs"],
		Sessions: stack.Tables["sessions"],
	}
	return &biobank.Registry{Store: store.NewRecords(db, tables)},
		&auth.Guard{Store: store.NewSessions(db, tables), Idle: time.Hour, Max: time.Hour, Random: rand.Reader}
}
