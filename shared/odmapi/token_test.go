package odmapi_test

import (
	"strings"
	"testing"
	"time"

	"aliquot/infra/local/localtest"
)

func TestToken(t *testing.T) {
	w := newWorld(t)
	for name, tt := range map[string]struct {
		body   string
		status int
		told   string
	}{
		"wrong password": {`{"username":"admin","password":"Invented-2"}`, 401, "AUTH_INVALID_CREDENTIALS"},
		"unknown":        {`{"username":"nobody","password":"Invented-1"}`, 401, "AUTH_INVALID_CREDENTIALS"},
		"nothing":        {``, 401, "AUTH_INVALID_CREDENTIALS"},
		"no JSON":        {`username=admin`, 400, "COMMON_INVALID_INPUT"},
		"a list":         {`[]`, 400, "COMMON_INVALID_INPUT"},
	} {
		t.Run(name, func(t *testing.T) { w.request("POST", tokenURL, tt.body).refused(t, tt.status, tt.told) })
	}
	a := w.request("POST", "/OpenClinica"+tokenURL, `{"username":"ADMIN","password":"Invented-1"}`)
	if a.status != 200 || len(a.body) != 54 {
		t.Fatalf("below the other name: %d %s", a.status, a.body)
	}
	other := "x" + a.body[1:]
	if other == a.body {
		other = "y" + a.body[1:]
	}
	for name, tt := range map[string]struct {
		header string
		status int
	}{
		"as documented":  {"Authorization: Bearer " + a.body, 200},
		"as curl has it": {"Authorization: bearer " + a.body, 200},
		"shouted":        {"Authorization: BEARER   " + a.body, 200},
		"another scheme": {"Authorization: Basic " + a.body, 401},
		"no scheme":      {"Authorization: " + a.body, 401},
		"a wrong token":  {"Authorization: Bearer " + other, 401},
		"no header":      {"X-Nothing: x", 401},
		"an empty token": {"Authorization: Bearer ", 401},
	} {
		t.Run(name, func(t *testing.T) {
			for _, prefix := range []string{base, "/pages/auth/api"} {
				if got := w.request("GET", prefix+"/studies", "", tt.header); got.status != tt.status {
					t.Errorf("got %d %s, want %d", got.status, got.body, tt.status)
				}
			}
		})
	}
	t.Run("it lives for four hours", func(t *testing.T) {
		localtest.HandlerOnly(t)
		w.wait(4*time.Hour - time.Second)
		if got := w.request("GET", base+"/studies", "", "Authorization: Bearer "+a.body); got.status != 200 {
			t.Errorf("got %d %s", got.status, got.body)
		}
		w.wait(time.Second)
		w.request("GET", base+"/studies", "", "Authorization: Bearer "+a.body).refused(t, 401, "AUTH_TOKEN_EXPIRED")
	})
}

func TestTokensAMinute(t *testing.T) {
	w := newWorld(t)
	localtest.HandlerOnly(t)
	w.api.TokenCalls = 2
	w.wait(time.Minute)
	ask := func() answer {
		return w.request("POST", tokenURL, `{"username":"admin","password":"Invented-1"}`)
	}
	for range 2 {
		if a := ask(); a.status != 200 {
			t.Fatalf("got %d %s", a.status, a.body)
		}
	}
	a := ask()
	a.refused(t, 429, "AUTH_TOO_MANY_CALLS")
	if a.header.Get("Retry-After") == "" {
		t.Error("it is not told how long to wait")
	}
	w.wait(time.Minute)
	if a := ask(); a.status != 200 {
		t.Errorf("a minute later: %d %s", a.status, a.body)
	}
}

func TestPaths(t *testing.T) {
	w := newWorld(t)
	for path, status := range map[string]int{
		"/OpenClinica/pages/auth/api/studies":      200,
		"/pages/auth/api/studies/":                 200,
		"//pages//auth/api//studies":               200,
		"/pages/auth/api/nothing":                  404,
		"/pages/auth/api":                          404,
		"/other/pages/auth/api/studies":            404,
		"/pages/auth/api/../api/studies":           404,
		"/":                                        404,
		"/pages/auth/api/studies/S_NONE":           404,
		"/pages/auth/api/studies/S_DEMO%28TEST%29": 404,
		"/pages/auth/api/studies/%00":              404,
		"/pages/auth/api/studies/%FF":              404,
		"/pages/auth/api/jobs/x/downloadFile":      404,
		"/pages/auth/api/studies/S_NONE/metadata":  405,
		"/pages/auth/api/clinicaldata/import/xml":  405,
	} {
		if localtest.OnBinaries() && strings.HasPrefix(path, "//") {
			continue // another function's, to the gateway
		}
		if got := w.request("GET", path, "", "Authorization: Bearer "+w.fallback.token); got.status != status {
			t.Errorf("%s: %d %s, want %d", path, got.status, got.body, status)
		}
	}
}
