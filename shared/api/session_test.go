package api_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"aliquot/infra/local/localtest"
	"aliquot/shared/auth"
	"aliquot/shared/biobank"
)

func TestSignInIsRefused(t *testing.T) {
	w := newWorld(t)
	tests := map[string]struct{ body, code string }{
		"nothing":        {``, "INVALID_REQUEST"},
		"no names":       {`{}`, "AUTH_INVALID_CREDENTIALS"},
		"unknown":        {`{"loginName":"nobody","password":"Invented-1"}`, "AUTH_INVALID_CREDENTIALS"},
		"wrong password": {`{"loginName":"admin","password":"Invented-2"}`, "AUTH_INVALID_CREDENTIALS"},
		"another case":   {`{"loginName":"admin","password":"invented-1"}`, "AUTH_INVALID_CREDENTIALS"},
		"other domain":   {`{"loginName":"admin","password":"Invented-1","domainName":"elsewhere"}`, "AUTH_INVALID_CREDENTIALS"},
		"the system":     {`{"loginName":"","password":"Invented-1"}`, "AUTH_INVALID_CREDENTIALS"},
		"a number":       {`{"loginName":"admin","password":1}`, "INVALID_REQUEST"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := w.request("POST", base+"/sessions", tt.body)
			a.refused(t, http.StatusBadRequest, tt.code)
			if cookie := a.header.Get("Set-Cookie"); !strings.Contains(cookie, "osAuthToken=;") {
				t.Errorf("the cookie is not cleared: %q", cookie)
			}
		})
	}
}

func TestSignIn(t *testing.T) {
	w := newWorld(t)
	for name, body := range map[string]string{
		"no domain":      `{"loginName":"admin","password":"Invented-1"}`,
		"null domain":    `{"loginName":"admin","password":"Invented-1","domainName":null}`,
		"domain's case":  `{"loginName":"Admin","password":"Invented-1","domainName":"openSpecimen"}`,
		"further fields": `{"loginName":"admin","password":"Invented-1","props":{"otp":1}}`,
	} {
		t.Run(name, func(t *testing.T) {
			a := w.request("POST", base+"/sessions", body, "X-Forwarded-Proto: https")
			if a.status != http.StatusOK {
				t.Fatalf("%d %s", a.status, a.body)
			}
			token := regexp.MustCompile(`"token":"([\w-]{54})"`)
			if !token.MatchString(a.body) {
				t.Fatalf("no token in %s", a.body)
			}
			golden(t, "session", token.ReplaceAllString(a.body, `"token":"..."`))
			cookie := a.header.Get("Set-Cookie")
			want := "osAuthToken=" + token.FindStringSubmatch(a.body)[1] + "; Path=/openspecimen; HttpOnly; Secure; SameSite=Strict"
			if localtest.OnBinaries() {
				want = strings.Replace(want, " Secure;", "", 1) // the gateway of one machine has no TLS, and says so
			}
			if cookie != want {
				t.Errorf("cookie %q, want %q", cookie, want)
			}
		})
	}
}

// E-mail addresses sign in, too (section 2.1), and count failures as login names do.
func TestSigningInByEmail(t *testing.T) {
	w := newWorld(t)
	w.newUser("mail", "NONE")
	sign := func(email, pass string) answer {
		return w.request("POST", base+"/sessions", fmt.Sprintf(`{"emailAddress":%q,"password":%q}`, email, pass))
	}
	if a := sign("Mail@Example.org", password); a.status != 200 || !strings.Contains(a.body, `"loginName":"mail"`) {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	for range auth.MaxFailures {
		sign("mail@example.org", "Wrong-1").refused(t, 400, "AUTH_INVALID_CREDENTIALS")
		sign("nobody@example.org", "Wrong-1").refused(t, 400, "AUTH_INVALID_CREDENTIALS")
	}
	for _, email := range []string{"mail@example.org", "nobody@example.org"} {
		sign(email, password).refused(t, 400, "AUTH_USER_LOCKED")
	}
	w.request("POST", base+"/sessions", fmt.Sprintf(`{"loginName":"mail","password":%q}`, password)).refused(t, 400, "AUTH_USER_LOCKED")
}

// Whoever tries one password at all names, or wants them all locked, is not listened to for a while.
func TestManyWrongPasswordsFromOneAddress(t *testing.T) {
	w := newWorld(t)
	localtest.HandlerOnly(t)
	c := w.signIn("admin", password)
	w.wait(time.Minute)
	w.api.Guard.WrongPerMinute = 3
	try := func(login, pass string) answer {
		return w.request("POST", base+"/sessions", fmt.Sprintf(`{"loginName":%q,"password":%q}`, login, pass))
	}
	for _, login := range []string{"admin", "nobody", "nobody.else"} {
		try(login, "Guess-1").refused(t, 400, "AUTH_INVALID_CREDENTIALS")
	}
	for _, login := range []string{"admin", "nobody"} {
		a := try(login, password)
		a.refused(t, 429, "AUTH_TOO_MANY_CALLS")
		if a.header.Get("Retry-After") == "" {
			t.Error("it is not told how long to wait")
		}
	}
	w.request("GET", base+"/users/current-user", "", "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("admin:"+password))).refused(t, 429, "AUTH_TOO_MANY_CALLS")
	c.must("GET", "/users/current-user", "")
	w.wait(time.Minute)
	if a := try("admin", password); a.status != 200 {
		t.Errorf("a minute later: %d %s", a.status, a.body)
	}
}

func TestCredentials(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	basic := func(s string) string { return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	tests := map[string]struct {
		headers   []string
		status    int
		challenge bool
	}{
		"token":                          {[]string{"X-OS-API-TOKEN: " + c.token}, 200, false},
		"cookie":                         {[]string{"Cookie: osAuthToken=" + c.token}, 200, false},
		"basic":                          {[]string{basic("admin:" + password)}, 200, false},
		"a good token beside bad basic":  {[]string{"X-OS-API-TOKEN: " + c.token, basic("admin:x")}, 200, false},
		"none":                           {nil, 401, true},
		"none, from a browser":           {[]string{"X-OS-API-CLIENT: webui"}, 401, false},
		"a bad token beside good basic":  {[]string{"X-OS-API-TOKEN: x", basic("admin:" + password)}, 401, false},
		"a bad token beside good cookie": {[]string{"X-OS-API-TOKEN: x", "Cookie: osAuthToken=" + c.token}, 401, false},
		"wrong basic":                    {[]string{basic("admin:Invented-2")}, 401, false},
		"basic of nobody":                {[]string{basic("nobody:" + password)}, 401, false},
		"basic without a colon":          {[]string{basic("admin")}, 401, true},
		"bearer":                         {[]string{"Authorization: Bearer " + c.token}, 401, true},
		"acting as another":              {[]string{"X-OS-API-TOKEN: " + c.token, "X-OS-IMPERSONATE-USER: x"}, 400, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := w.request("GET", base+"/users/current-user", "", tt.headers...)
			if a.status != tt.status {
				t.Fatalf("%d %s, want %d", a.status, a.body, tt.status)
			}
			if got := a.header.Get("WWW-Authenticate"); (got == `Basic realm="OpenSpecimen"`) != tt.challenge {
				t.Errorf("challenge %q, want one: %v", got, tt.challenge)
			}
			if tt.status == http.StatusUnauthorized {
				a.codes(t)
				if !strings.Contains(a.header.Get("Set-Cookie"), "osAuthToken=;") {
					t.Error("the cookie is not cleared")
				}
			}
		})
	}
}

func TestTokenIsDeadAfter(t *testing.T) {
	w := newWorld(t)
	alive := func(t *testing.T, c caller, want bool) {
		t.Helper()
		if a := c.do("GET", "/users/current-user", ""); (a.status == http.StatusOK) != want || !want && a.status != 401 {
			t.Fatalf("%d %s, want alive: %v", a.status, a.body, want)
		}
	}
	t.Run("signing out", func(t *testing.T) {
		c, other := w.newUser("one", "NONE"), w.signIn("one", password)
		alive(t, c, true)
		a := c.do("DELETE", "/sessions", "")
		if a.status != http.StatusOK || a.body != `{"Status":"Success"}` {
			t.Fatalf("%d %s", a.status, a.body)
		}
		alive(t, c, false)
		alive(t, other, true)
		c.do("DELETE", "/sessions", "").refused(t, 401, "AUTH_INVALID_TOKEN")
	})
	t.Run("closing the user", func(t *testing.T) {
		c := w.newUser("two", "NONE")
		setStatus(w, "two@example.org", biobank.StatusClosed)
		alive(t, c, false)
	})
	t.Run("locking the user", func(t *testing.T) {
		c := w.newUser("three", "NONE")
		setStatus(w, "three@example.org", "Locked")
		alive(t, c, false)
		w.request("POST", base+"/sessions", `{"loginName":"three","password":"Invented-1"}`).refused(t, 400, "AUTH_USER_LOCKED")
	})
	t.Run("a change of the password", func(t *testing.T) {
		c := w.newUser("four", "NONE")
		a := c.do("PUT", "/users/password", `{"oldPassword":"Invented-1","newPassword":"Invented-2"}`)
		if a.status != http.StatusOK || a.body != "true" {
			t.Fatalf("%d %s", a.status, a.body)
		}
		alive(t, c, false)
		alive(t, w.signIn("four", "Invented-2"), true)
	})
	t.Run("an hour without use", func(t *testing.T) {
		c := w.newUser("five", "NONE")
		localtest.HandlerOnly(t)
		w.wait(59 * time.Minute)
		alive(t, c, true)
		w.wait(time.Hour)
		c.do("GET", "/users/current-user", "").refused(t, 401, "AUTH_TOKEN_EXPIRED")
	})
}

func TestUnknownAndKnownNamesLookAlike(t *testing.T) {
	w := newWorld(t)
	var answers [2][]string
	for i, login := range []string{"admin", "nobody"} {
		for range auth.MaxFailures + 1 {
			a := w.request("POST", base+"/sessions", `{"loginName":"`+login+`","password":"Invented-2"}`)
			answers[i] = append(answers[i], a.body)
		}
	}
	if strings.Join(answers[0], "\n") != strings.Join(answers[1], "\n") {
		t.Errorf("the answers differ: %q", answers)
	}
	if !strings.Contains(answers[1][auth.MaxFailures], "AUTH_USER_LOCKED") {
		t.Errorf("no lock after %d failures: %s", auth.MaxFailures, answers[1])
	}
	localtest.HandlerOnly(t)
	w.wait(auth.LockFor)
	w.signIn("admin", password)
}

// Neither do the calls of the database tell a name that exists, attempt by attempt.
func TestUnknownAndKnownNamesCostTheSame(t *testing.T) {
	localtest.HandlerOnly(t)
	w := newWorld(t)
	h := w.api.Handler()
	count := func(login string) (calls []int64) {
		for range auth.MaxFailures + 1 {
			one := &tally{}
			r := httptest.NewRequestWithContext(context.WithValue(t.Context(), tallyKey{}, one), "POST", base+"/sessions",
				strings.NewReader(`{"loginName":"`+login+`","password":"Invented-2"}`))
			h.ServeHTTP(httptest.NewRecorder(), r)
			calls = append(calls, one.calls.Load())
		}
		return calls
	}
	if known, unknown := count("admin"), count("nobody"); !slices.Equal(known, unknown) || known[0] == 0 {
		t.Errorf("calls for a known name %v, for an unknown one %v", known, unknown)
	}
}

func setStatus(w *world, email, status string) {
	w.t.Helper()
	w.mustApply(biobank.Update, &biobank.UserDraft{
		Doc:   biobank.UserDoc{EmailAddress: email},
		Merge: func(doc *biobank.UserDoc) { doc.ActivityStatus = status },
	})
}

func TestRefreshCookie(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	a := c.do("POST", "/sessions/refresh-cookie", "")
	if a.body != `{"Status":"Success"}` || !strings.HasPrefix(a.header.Get("Set-Cookie"), "osAuthToken="+c.token+";") {
		t.Errorf("%s, cookie %q", a.body, a.header.Get("Set-Cookie"))
	}
	basic := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("admin:"+password))
	w.request("POST", base+"/sessions/refresh-cookie", "", basic).refused(t, http.StatusBadRequest, "AUTH_INVALID_TOKEN")
}

func TestActingAsAnother(t *testing.T) {
	w := newWorld(t)
	super, plain := w.signIn("admin", password), w.newUser("plain", "NONE")
	ids := map[string]any{}
	for _, u := range super.list("GET", "/users", "") {
		ids[u["loginName"].(string)] = u["id"]
	}
	session := super.must("POST", "/sessions/impersonate", `{"loginName":"plain"}`)
	token := session["token"].(string)
	acting := "X-OS-IMPERSONATE-USER: " + token

	t.Run("the other's rights count", func(t *testing.T) {
		super.do("POST", "/institutes", `{"name":"Mine"}`, acting).refused(t, http.StatusBadRequest, "RBAC_ADMIN_RIGHTS_REQUIRED")
	})
	t.Run("it shows who acts", func(t *testing.T) {
		var me map[string]any
		mustDecode(t, super.do("GET", "/users/current-user", "", acting), &me)
		if me["loginName"] != "plain" {
			t.Errorf("acts as %v", me["loginName"])
		}
		mustDecode(t, super.do("GET", "/users/current-user", "", "Cookie: osImpersonateUser="+token), &me)
		if me["loginName"] != "plain" {
			t.Errorf("acts by cookie as %v", me["loginName"])
		}
	})
	t.Run("the audit names both", func(t *testing.T) {
		boss := w.newUser("boss", "INSTITUTE")
		as := super.must("POST", "/sessions/impersonate", `{"user":{"loginName":"boss"}}`)["token"].(string)
		path := fmt.Sprintf("/users/%v", ids["plain"])
		if a := super.do("PATCH", path, `{"address":"x","opComments":"moved"}`, "X-OS-IMPERSONATE-USER: "+as); a.status != http.StatusOK {
			t.Fatal(a.body)
		}
		site := super.do("POST", "/sites", `{"name":"Dock","instituteName":"Default Institute","type":"Laboratory"}`, "X-OS-IMPERSONATE-USER: "+as)
		var made map[string]any
		mustDecode(t, site, &made)
		for path, reason := range map[string]string{path: "By user 2 as user 4: moved", fmt.Sprintf("/sites/%v", made["id"]): "By user 2 as user 4"} {
			entries := boss.must("GET", path+"/audit", "")["entries"].([]any)
			last := entries[len(entries)-1].(map[string]any)
			if last["reason"] != reason || last["user"].(map[string]any)["loginName"] != "boss" {
				t.Errorf("%s: reason %v, user %v, want %q", path, last["reason"], last["user"], reason)
			}
		}
	})
	t.Run("nobody else may", func(t *testing.T) {
		plain.do("POST", "/sessions/impersonate", `{"id":2}`).refused(t, http.StatusBadRequest, "RBAC_ADMIN_RIGHTS_REQUIRED")
		plain.do("GET", "/users/current-user", "", acting).refused(t, http.StatusBadRequest, "AUTH_IMP_TOKEN_INV")
		super.do("POST", "/sessions/impersonate", `{"loginName":"nobody"}`).refused(t, http.StatusBadRequest, "USER_NOT_FOUND")
		super.do("POST", "/sessions/impersonate", `{"id":1}`).refused(t, http.StatusBadRequest, "USER_INACTIVE")
		super.do("POST", "/sessions/impersonate", `{"id":2}`, acting).refused(t, http.StatusBadRequest, "RBAC_ADMIN_RIGHTS_REQUIRED")
	})
	t.Run("the token is none of its own", func(t *testing.T) {
		w.request("GET", base+"/users/current-user", "", "X-OS-API-TOKEN: "+token).refused(t, http.StatusUnauthorized, "AUTH_INVALID_TOKEN")
	})
	t.Run("it ends", func(t *testing.T) {
		a := super.do("DELETE", "/sessions/impersonate", "", acting)
		if a.body != `{"Status":"Success"}` || !strings.Contains(a.header.Get("Set-Cookie"), "osImpersonateUser=;") {
			t.Errorf("%s, cookie %q", a.body, a.header.Get("Set-Cookie"))
		}
		super.do("GET", "/users/current-user", "", acting).refused(t, http.StatusBadRequest, "AUTH_IMP_TOKEN_INV")
		later := "X-OS-IMPERSONATE-USER: " + super.must("POST", "/sessions/impersonate", `{"emailAddress":"plain@example.org"}`)["token"].(string)
		localtest.HandlerOnly(t)
		w.wait(59 * time.Minute)
		if a := super.do("GET", "/users/current-user", "", later); a.status != http.StatusOK {
			t.Error(a.body)
		}
		w.wait(time.Minute)
		super.do("GET", "/users/current-user", "", later).refused(t, http.StatusBadRequest, "AUTH_IMP_TOKEN_EXP")
		// The cookie is taken back, and one may end what has ended, and sign out.
		cookie := "Cookie: osImpersonateUser=" + strings.TrimPrefix(later, "X-OS-IMPERSONATE-USER: ")
		a = super.do("GET", "/users/current-user", "", cookie)
		if a.refused(t, http.StatusBadRequest, "AUTH_IMP_TOKEN_EXP"); !strings.Contains(a.header.Get("Set-Cookie"), "osImpersonateUser=;") {
			t.Errorf("cookie %q", a.header.Get("Set-Cookie"))
		}
		for _, path := range []string{"/sessions/impersonate", "/sessions/"} {
			if a := super.do("DELETE", path, "", cookie); a.body != `{"Status":"Success"}` {
				t.Errorf("%s: %d %s", path, a.status, a.body)
			}
		}
	})
}
