package auth_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"aliquot/infra/local/localtest"
	"aliquot/shared/auth"
	"aliquot/shared/biobank"
	"aliquot/shared/fault"
	"aliquot/shared/store"
)

const (
	home     = "192.0.2.7"
	password = "Invented-1"
	wrong    = "Invented-2"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestSignInFaults(t *testing.T) {
	g, _ := newGuard(t)
	tests := map[string]struct {
		user     *biobank.Record
		password string
		set      bool
		want     string
	}{
		"right":                        {newUser(t, 3, "Active", "NONE"), password, true, ""},
		"wrong password":               {newUser(t, 4, "Active", "NONE"), wrong, true, "AUTH_INVALID_CREDENTIALS"},
		"no password":                  {newUser(t, 5, "Active", "NONE"), "", true, "AUTH_INVALID_CREDENTIALS"},
		"no password was ever set":     {newUser(t, 6, "Active", "NONE"), "", false, "AUTH_INVALID_CREDENTIALS"},
		"unknown":                      {nil, password, false, "AUTH_INVALID_CREDENTIALS"},
		"locked, right password":       {newUser(t, 7, "Locked", "NONE"), password, true, "AUTH_USER_LOCKED"},
		"locked, wrong password":       {newUser(t, 8, "Locked", "NONE"), wrong, true, "AUTH_INVALID_CREDENTIALS"},
		"expired":                      {newUser(t, 9, "Expired", "NONE"), password, true, "AUTH_PASSWD_EXPIRED"},
		"closed":                       {newUser(t, 10, "Closed", "NONE"), password, true, "AUTH_INVALID_CREDENTIALS"},
		"contact":                      {newUser(t, 11, "Active", "CONTACT"), password, true, "AUTH_INVALID_CREDENTIALS"},
		"a password as long as a book": {newUser(t, 12, "Active", "NONE"), strings.Repeat("Aa1", 1_000_000), true, "AUTH_INVALID_CREDENTIALS"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.set {
				mustSet(t, g, tt.user.ID)
			}
			token, err := g.SignIn(t.Context(), noon, auth.Candidate{Login: name, User: tt.user}, tt.password)
			if got := codes(err); got != tt.want {
				t.Fatalf("got %q, %v, want %q", got, err, tt.want)
			}
			if (token != "") != (tt.want == "") {
				t.Errorf("token %q", token)
			}
		})
	}
}

func TestTokenLivesUntil(t *testing.T) {
	g, table := newGuard(t)
	user := newUser(t, 3, "Active", "NONE")
	mustSet(t, g, 3)
	at := func(d time.Duration) time.Time { return noon.Add(d) }

	t.Run("it is unused for too long", func(t *testing.T) {
		token := mustSignIn(t, g, noon, user)
		wantUser(t, g, at(59*time.Minute), token)
		wantUser(t, g, at(118*time.Minute), token)
		wantNobody(t, g, at(178*time.Minute), token, "AUTH_TOKEN_EXPIRED")
	})
	t.Run("it is too old, though used", func(t *testing.T) {
		token := mustSignIn(t, g, noon, user)
		for d := time.Duration(0); d < 24*time.Hour; d += 50 * time.Minute {
			wantUser(t, g, at(d), token)
		}
		wantNobody(t, g, at(24*time.Hour), token, "AUTH_TOKEN_EXPIRED")
	})
	t.Run("signing out", func(t *testing.T) {
		token, other := mustSignIn(t, g, noon, user), mustSignIn(t, g, noon, user)
		if err := g.SignOut(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		wantNobody(t, g, noon, token, "AUTH_INVALID_TOKEN")
		wantUser(t, g, noon, other)
		if err := g.SignOut(t.Context(), token); err != nil {
			t.Errorf("a second time: %v", err)
		}
	})
	t.Run("the password changes", func(t *testing.T) {
		token := mustSignIn(t, g, noon, user)
		mustSet(t, g, 3)
		wantNobody(t, g, noon, token, "AUTH_INVALID_TOKEN")
		wantUser(t, g, noon, mustSignIn(t, g, noon, user))
	})
	t.Run("the use of a session that was ended meanwhile does not bring it back", func(t *testing.T) {
		token := mustSignIn(t, g, noon, user)
		late := *g
		late.Store = endedBeforePut{g.Store, g, token}
		if _, err := late.User(t.Context(), at(30*time.Minute), token, home); err != nil {
			t.Fatal(err)
		}
		wantNobody(t, g, at(31*time.Minute), token, "AUTH_INVALID_TOKEN")
	})
	t.Run("nobody finds it in the store", func(t *testing.T) {
		token := mustSignIn(t, g, noon, user)
		all := dump(t, table)
		if strings.Contains(all, token) || strings.Contains(all, password) {
			t.Error("the store holds a token or a password")
		}
	})
}

// endedBeforePut signs out just before a use is noted.
type endedBeforePut struct {
	auth.Store
	guard *auth.Guard
	token string
}

func (s endedBeforePut) Put(ctx context.Context, item *auth.Item) error {
	if err := s.guard.SignOut(ctx, s.token); err != nil {
		return err
	}
	return s.Store.Put(ctx, item)
}

func TestTokensThatAreNone(t *testing.T) {
	g, _ := newGuard(t)
	mustSet(t, g, 3)
	token := mustSignIn(t, g, noon, newUser(t, 3, "Active", "NONE"))
	last := token[len(token)-1]
	variant := token[:len(token)-1] + string(last+1) // the same bytes, were the padding bits ignored
	for name, bad := range map[string]string{
		"empty": "", "short": "abc", "another case": strings.ToLower(token), "padded": token + "=", "variant": variant,
		"random": rand.Text() + rand.Text()[:17], "huge": strings.Repeat("A", 1_000_000), "space": " " + token,
	} {
		t.Run(name, func(t *testing.T) { wantNobody(t, g, noon, bad, "AUTH_INVALID_TOKEN") })
	}
}

func TestLocking(t *testing.T) {
	g, _ := newGuard(t)
	known := auth.Candidate{Domain: "openspecimen", Login: "known", User: newUser(t, 3, "Active", "NONE")}
	mustSet(t, g, 3)
	unknown := auth.Candidate{Domain: "openspecimen", Login: "unknown"}
	try := func(t *testing.T, at time.Time, c auth.Candidate, password, want string) {
		t.Helper()
		if _, err := g.Check(t.Context(), at, c, password); codes(err) != want {
			t.Fatalf("at %v: got %q, want %q", at.Sub(noon), codes(err), want)
		}
	}

	// Guessing at a name tells nothing about whether it exists.
	for _, c := range []auth.Candidate{known, unknown} {
		t.Run(c.Login, func(t *testing.T) {
			for range auth.MaxFailures {
				try(t, noon, c, wrong, "AUTH_INVALID_CREDENTIALS")
			}
			try(t, noon, c, wrong, "AUTH_USER_LOCKED")
			try(t, noon, c, password, "AUTH_USER_LOCKED")
			try(t, noon.Add(auth.LockFor-time.Second), c, password, "AUTH_USER_LOCKED")
			try(t, noon.Add(auth.LockFor), c, wrong, "AUTH_INVALID_CREDENTIALS")
		})
	}
	t.Run("the case of a name makes no other", func(t *testing.T) {
		loud := auth.Candidate{Domain: "OpenSpecimen", Login: "UNKNOWN"}
		for range auth.MaxFailures - 1 {
			try(t, noon.Add(auth.LockFor), loud, wrong, "AUTH_INVALID_CREDENTIALS")
		}
		try(t, noon.Add(auth.LockFor), unknown, wrong, "AUTH_USER_LOCKED")
	})
	t.Run("after the lock the right password enters and the count begins anew", func(t *testing.T) {
		later := noon.Add(2 * auth.LockFor)
		try(t, later, known, password, "")
		for range auth.MaxFailures - 1 {
			try(t, later, known, wrong, "AUTH_INVALID_CREDENTIALS")
		}
		try(t, later, known, password, "")
		try(t, later, known, wrong, "AUTH_INVALID_CREDENTIALS")
	})
	t.Run("a new password takes the lock away", func(t *testing.T) {
		later := noon.Add(4 * auth.LockFor)
		for range auth.MaxFailures {
			_, err := g.Check(t.Context(), later, known, wrong)
			if err == nil {
				t.Fatal("entered with a wrong password")
			}
		}
		mustSet(t, g, 3)
		try(t, later, known, password, "")
	})
	t.Run("who is signed in stays so", func(t *testing.T) {
		later := noon.Add(6 * auth.LockFor)
		token := mustSignIn(t, g, later, known.User)
		for range auth.MaxFailures {
			_, err := g.Check(t.Context(), later, known, wrong)
			if err == nil {
				t.Fatal("entered with a wrong password")
			}
		}
		wantUser(t, g, later, token)
	})
}

func TestGuessingInParallelIsCounted(t *testing.T) {
	g, _ := newGuard(t)
	mustSet(t, g, 3)
	c := auth.Candidate{User: newUser(t, 3, "Active", "NONE")}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := g.Check(t.Context(), noon, c, wrong); err == nil {
				t.Error("entered with a wrong password")
			}
		})
	}
	wg.Wait()
	if _, err := g.Check(t.Context(), noon, c, password); codes(err) != "AUTH_USER_LOCKED" {
		t.Errorf("got %v, want AUTH_USER_LOCKED", err)
	}
}

func TestStrength(t *testing.T) {
	tests := map[string]bool{
		"Invented-1": true, "Ünvented1": true, "Login@123": true, "correct Horse": true,
		"": false, "Short-1": false, "invented-1": false, "INVENTED-1": false, "InventedOne": false,
		"Has-Someone-1": false, "Control\x00-1": false, "Bad\xff-Bytes1": false, strings.Repeat("Aa1", 50): false,
	}
	for text, want := range tests {
		t.Run(fmt.Sprintf("%.20q", text), func(t *testing.T) {
			err := auth.CheckStrength("someone", text)
			if want && err != nil || !want && codes(err) != "USER_PASSWD_VIOLATES_RULES" {
				t.Errorf("got %v, want good: %v", err, want)
			}
		})
	}
}

func TestBrokenRandomnessMakesNoToken(t *testing.T) {
	g, _ := newGuard(t)
	mustSet(t, g, 3)
	g.Random = bytes.NewReader(nil)
	if token, err := g.SignIn(t.Context(), noon, auth.Candidate{User: newUser(t, 3, "Active", "NONE")}, password); err == nil {
		t.Errorf("made token %q", token)
	}
	if err := g.SetPassword(t.Context(), 3, "", password); err == nil {
		t.Error("made a hash without a salt")
	}
}

func TestSessionsExpireInTheStore(t *testing.T) {
	g, table := newGuard(t)
	mustSet(t, g, 3)
	mustSignIn(t, g, noon, newUser(t, 3, "Active", "NONE"))
	if all := dump(t, table); !strings.Contains(all, fmt.Sprint(noon.Add(time.Hour).Unix()+1)) {
		t.Errorf("no item expires after an hour: %s", all)
	}
}

func TestPutOfAnOldVersion(t *testing.T) {
	g, _ := newGuard(t)
	ctx := t.Context()
	for _, step := range []struct {
		version int64
		want    error
	}{{0, nil}, {0, auth.ErrChanged}, {1, nil}, {1, auth.ErrChanged}, {7, auth.ErrChanged}, {2, nil}} {
		err := g.Store.Put(ctx, &auth.Item{Key: "k", Version: step.version, Doc: []byte("{}")})
		if !errors.Is(err, step.want) {
			t.Errorf("put on version %d: got %v, want %v", step.version, err, step.want)
		}
	}
}

type sessionsTable struct {
	db   *dynamodb.Client
	name string
}

func newGuard(t *testing.T) (*auth.Guard, sessionsTable) {
	t.Helper()
	stack := localtest.Data(t)
	table := sessionsTable{dynamodb.NewFromConfig(stack.AWSConfig()), stack.Tables["sessions"]}
	return &auth.Guard{
		Store: store.NewSessions(table.db, store.Tables{Sessions: table.name, Records: stack.Tables["records"]}), Idle: time.Hour, Max: 24 * time.Hour, Random: rand.Reader,
	}, table
}

func dump(t *testing.T, table sessionsTable) string {
	t.Helper()
	out, err := table.db.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String(table.name)})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(out.Items)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func newUser(t *testing.T, id int64, status, kind string) *biobank.Record {
	t.Helper()
	doc, err := json.Marshal(biobank.UserDoc{LoginName: "someone", ActivityStatus: status, Type: kind})
	if err != nil {
		t.Fatal(err)
	}
	return &biobank.Record{Type: biobank.User, ID: id, Doc: doc}
}

func mustSet(t *testing.T, g *auth.Guard, user int64) {
	t.Helper()
	if err := g.SetPassword(t.Context(), user, "someone", password); err != nil {
		t.Fatal(err)
	}
}

func mustSignIn(t *testing.T, g *auth.Guard, at time.Time, user *biobank.Record) string {
	t.Helper()
	token, err := g.SignIn(t.Context(), at, auth.Candidate{User: user, From: home}, password)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func wantUser(t *testing.T, g *auth.Guard, at time.Time, token string) {
	t.Helper()
	if got, err := g.User(t.Context(), at, token, home); got.ID != 3 || err != nil {
		t.Fatalf("at %v: user %d, %v, want 3", at.Sub(noon), got.ID, err)
	}
}

func wantNobody(t *testing.T, g *auth.Guard, at time.Time, token, code string) {
	t.Helper()
	got, err := g.User(t.Context(), at, token, home)
	if got.ID != 0 || codes(err) != code {
		t.Fatalf("at %v: user %d, %v, want %s", at.Sub(noon), got.ID, err, code)
	}
	if fault.All(err)[0].Kind != fault.SignIn {
		t.Error("the fault does not ask to sign in")
	}
}

// codes are the codes of err, "" for nil.
func codes(err error) string {
	if err == nil {
		return ""
	}
	return fault.Codes(err)
}
