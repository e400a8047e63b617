package api

import (
	"errors"
	"net/http"
	"strings"

	"aliquot/shared/auth"
	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// Sessions (reference openspecimen-rest.md section 2).

const (
	tokenHeader = "X-OS-API-TOKEN"
	tokenCookie = "osAuthToken"
)

// errNoCredentials marks the fault of a request without any.
var errNoCredentials = errors.New("no credentials")

func sessionRoutes() []route {
	return []route{
		{pattern: "POST /sessions", public: true, summary: "Sign in", answers: sessionView{}, serve: signIn},
		{pattern: "DELETE /sessions", summary: "Sign out", answers: statusView{}, serve: signOut},
	}
}

type sessionView struct {
	ID             int64  `json:"id"`
	FirstName      string `json:"firstName"`
	LastName       string `json:"lastName"`
	LoginName      string `json:"loginName"`
	Token          string `json:"token"`
	Admin          bool   `json:"admin"`
	InstituteAdmin bool   `json:"instituteAdmin"`
}

func signIn(c *call) (any, error) {
	c.clearCookie() // unless it succeeds
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	domain, login, password := in.text("domainName"), in.text("loginName"), in.secret("password")
	if err := in.err(); err != nil {
		return nil, err
	}
	who, err := c.candidate(domain, login)
	if err != nil {
		return nil, err
	}
	token, err := c.api.Guard.SignIn(c.Context(), c.at, who, password)
	if err != nil {
		return nil, err
	}
	user, err := biobank.Decode[biobank.UserDoc](who.User)
	if err != nil {
		return nil, err
	}
	c.setCookie(token)
	return sessionView{
		ID: who.User.ID, FirstName: user.FirstName, LastName: user.LastName, LoginName: user.LoginName, Token: token,
		Admin: user.Type == biobank.UserSuper, InstituteAdmin: user.Type == biobank.UserInstitute,
	}, nil
}

func signOut(c *call) (any, error) {
	c.clearCookie()
	if c.token != "" {
		if err := c.api.Guard.SignOut(c.Context(), c.token); err != nil {
			return nil, err
		}
	}
	return statusView{"Success"}, nil
}

type statusView struct{ Status string }

// candidate looks up who wants to sign in. It costs as many reads for an unknown name as for a known one.
func (c *call) candidate(domain, login string) (auth.Candidate, error) {
	if domain == "" {
		domain = biobank.Domain
	}
	user, err := c.api.Registry.UserByLogin(c.Context(), domain, login)
	if err != nil {
		return auth.Candidate{}, err
	}
	if user == nil {
		if _, err := c.api.Registry.Fetch(c.Context(), biobank.SetKey(biobank.User, 0)); err != nil {
			return auth.Candidate{}, err
		}
	}
	return auth.Candidate{Domain: domain, Login: login, User: user}, nil
}

// identify finds out who calls: by the token's header, else its cookie, else Basic credentials (section 2.2).
func (c *call) identify() error {
	var user int64
	var err error
	token := c.Header.Get(tokenHeader)
	if cookie, cerr := c.Cookie(tokenCookie); token == "" && cerr == nil {
		token = cookie.Value
	}
	if token != "" {
		c.token = token
		user, err = c.api.Guard.User(c.Context(), c.at, token)
	} else {
		user, err = c.basic()
	}
	if err != nil {
		return err
	}
	c.actor, err = c.api.Registry.Actor(c.Context(), user)
	if all := fault.All(err); len(all) > 0 && all[0].Kind == fault.User {
		// Closed, locked or deleted since the session began.
		return all[0].WithKind(fault.SignIn)
	}
	if err != nil {
		return err
	}
	c.actor.From = c.RemoteAddr
	if c.Header.Get("X-OS-IMPERSONATE-USER") != "" {
		return fault.New("AUTH_IMP_TOKEN_INV", "Acting as another user is not supported. Send the request without X-OS-IMPERSONATE-USER.")
	}
	return nil
}

// basic checks Basic credentials. No session is begun.
func (c *call) basic() (int64, error) {
	login, password, ok := c.BasicAuth()
	if !ok {
		f := fault.New("AUTH_INVALID_TOKEN", "Nobody is signed in.").WithKind(fault.SignIn)
		return 0, f.Wrap(errNoCredentials)
	}
	who, err := c.candidate(biobank.Domain, login)
	if err != nil {
		return 0, err
	}
	_, err = c.api.Guard.Check(c.Context(), c.at, who, password)
	if all := fault.All(err); len(all) > 0 && all[0].Kind == fault.User {
		return 0, all[0].WithKind(fault.SignIn)
	}
	if err != nil {
		return 0, err
	}
	return who.User.ID, nil
}

func (c *call) setCookie(token string) {
	c.w.Header().Del("Set-Cookie")
	http.SetCookie(c.w, c.cookie(token))
}

func (c *call) clearCookie() {
	c.w.Header().Del("Set-Cookie")
	cookie := c.cookie("")
	cookie.MaxAge = -1
	http.SetCookie(c.w, cookie)
}

// cookie belongs to the application's path and, over https, to https.
func (c *call) cookie(token string) *http.Cookie {
	path := c.app
	if path == "" {
		path = "/"
	}
	return &http.Cookie{
		Name: tokenCookie, Value: token, Path: path, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: strings.EqualFold(c.Header.Get("X-Forwarded-Proto"), "https"),
	}
}
