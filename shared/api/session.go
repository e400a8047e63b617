package api

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"aliquot/shared/auth"
	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// Sessions (reference openspecimen-rest.md section 2).

const (
	tokenHeader = "X-OS-API-TOKEN"
	tokenCookie = "osAuthToken"
	// The token of acting as another user.
	actingHeader = "X-OS-IMPERSONATE-USER"
	actingCookie = "osImpersonateUser"
)

// errNoCredentials marks the fault of a request without any.
var errNoCredentials = errors.New("no credentials")

func sessionRoutes() []route {
	return []route{
		{pattern: "POST /sessions", public: true, summary: "Sign in", answers: sessionView{}, serve: signIn},
		{pattern: "DELETE /sessions", summary: "Sign out", answers: statusView{}, serve: signOut},
		{pattern: "POST /sessions/refresh-cookie", summary: "Set the session's cookie anew", answers: statusView{}, serve: refreshCookie},
		{pattern: "POST /sessions/impersonate", summary: "Act as another user for an hour", answers: sessionView{}, serve: actAs},
		{pattern: "DELETE /sessions/impersonate", summary: "Act as oneself again", answers: statusView{}, serve: stopActing},
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
	c.clearCookies() // unless it succeeds
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	domain, login, email, password := in.text("domainName"), in.text("loginName"), in.text("emailAddress"), in.secret("password")
	if err := in.err(); err != nil {
		return nil, err
	}
	find, name := c.candidate, login
	if login == "" && email != "" {
		find, name = c.candidateByEmail, email
	}
	who, err := find(domain, name)
	if err != nil {
		return nil, err
	}
	guard, err := c.guard()
	if err != nil {
		return nil, err
	}
	token, err := guard.SignIn(c.Context(), c.at, who, password)
	if err != nil {
		return nil, err
	}
	user, err := biobank.Decode[biobank.UserDoc](who.User)
	if err != nil {
		return nil, err
	}
	c.setCookie(tokenCookie, token)
	return showSession(who.User.ID, user, token), nil
}

func showSession(id int64, user biobank.UserDoc, token string) sessionView {
	return sessionView{
		ID: id, FirstName: user.FirstName, LastName: user.LastName, LoginName: user.LoginName, Token: token,
		Admin: user.Type == biobank.UserSuper, InstituteAdmin: user.Type == biobank.UserInstitute,
	}
}

// refreshCookie serves POST /sessions/refresh-cookie: the cookie anew, for the token in use.
func refreshCookie(c *call) (any, error) {
	if c.token == "" {
		return nil, fault.New("AUTH_INVALID_TOKEN", "There is no session whose cookie could be set: the request has Basic credentials.")
	}
	c.setCookie(tokenCookie, c.token)
	return statusView{"Success"}, nil
}

// actAs serves POST /sessions/impersonate: a super administrator gets a token with which to act as another user for an
// hour, beside the own credentials, as header X-OS-IMPERSONATE-USER or as the cookie that comes with it. The reference
// leaves the body open: the user is named as users are named elsewhere (section 4.4), and the answer is that of signing in,
// with the token of acting.
func actAs(c *call) (any, error) {
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	ref := in.asUserRef()
	if inner := in.object("user"); inner != nil {
		ref = inner.asUserRef()
	}
	if err := in.err(); err != nil {
		return nil, err
	}
	if !c.actor.Super() || c.actor.By != 0 {
		return nil, fault.New("RBAC_ADMIN_RIGHTS_REQUIRED", "Only a super administrator may act as another user.")
	}
	user, err := c.api.Registry.UserOf(c.Context(), ref)
	if err != nil {
		return nil, err
	}
	doc, err := biobank.Decode[biobank.UserDoc](user)
	if err != nil {
		return nil, err
	}
	if user.ID == biobank.SystemUserID || doc.Type == biobank.UserContact || doc.ActivityStatus != biobank.StatusActive {
		return nil, fault.New("USER_INACTIVE", "User %d is not one who may sign in.", user.ID)
	}
	if err := c.tell(user.ID, biobank.ActingBegun); err != nil {
		return nil, err
	}
	token, err := c.api.Guard.ActAs(c.Context(), c.at, c.actor.ID, user)
	if err != nil {
		return nil, err
	}
	c.setCookie(actingCookie, token)
	return showSession(user.ID, doc, token), nil
}

// stopActing serves DELETE /sessions/impersonate: the token of acting is no longer good.
func stopActing(c *call) (any, error) {
	token := c.Header.Get(actingHeader)
	if token == "" {
		token = c.cookieValue(actingCookie)
	}
	c.clearCookie(actingCookie)
	if token == "" {
		return statusView{"Success"}, nil
	}
	if _, err := c.api.Guard.Acting(c.Context(), c.at, c.actor.ID, token); fault.Is(err, "AUTH_IMP_TOKEN_EXP") {
		return statusView{"Success"}, nil // it has ended already
	} else if err != nil {
		return nil, err
	}
	if err := c.api.Guard.SignOut(c.Context(), token); err != nil {
		return nil, err
	}
	return statusView{"Success"}, nil
}

func signOut(c *call) (any, error) {
	c.clearCookies()
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
	return c.candidateOf(domain, login, user)
}

// candidateByEmail is who wants to sign in by an e-mail address.
func (c *call) candidateByEmail(domain, email string) (auth.Candidate, error) {
	user, err := c.api.Registry.UserByEmail(c.Context(), email)
	if err != nil {
		return auth.Candidate{}, err
	}
	return c.candidateOf(domain, email, user)
}

// candidateOf is who wants to sign in by a name, and the user who was found by it, nil for none.
func (c *call) candidateOf(domain, login string, user *biobank.Record) (auth.Candidate, error) {
	if user == nil {
		if _, err := c.api.Registry.Fetch(c.Context(), biobank.SetKey(biobank.User, 0)); err != nil {
			return auth.Candidate{}, err
		}
	}
	return auth.Candidate{Domain: domain, Login: login, User: user, From: c.from()}, nil
}

// identify finds out who calls: by the token's header, else its cookie, else Basic credentials (section 2.2); and as whom,
// where a super administrator acts as somebody else.
func (c *call) identify() error {
	var who auth.Caller
	var err error
	if c.token = c.Header.Get(tokenHeader); c.token == "" {
		c.token = c.cookieValue(tokenCookie)
	}
	if c.token != "" {
		who, err = c.api.Guard.User(c.Context(), c.at, c.token, c.from())
	} else {
		who, err = c.basic()
	}
	if err != nil {
		return err
	}
	biobank.Note(c.Context(), who.User)
	if c.actor, err = c.actorOf(who); err != nil {
		return err
	}
	as := c.Header.Get(actingHeader)
	if as == "" {
		as = c.cookieValue(actingCookie)
	}
	if path := strings.TrimRight(c.URL.Path, "/"); as == "" ||
		c.Method == http.MethodDelete && (strings.HasSuffix(path, "/sessions") || strings.HasSuffix(path, "/sessions/impersonate")) {
		return nil // who ends it is oneself
	}
	by := c.actor.ID
	if !c.actor.Super() {
		err = fault.New("AUTH_IMP_TOKEN_INV", "Only a super administrator may act as another user.")
	} else {
		who, err = c.api.Guard.Acting(c.Context(), c.at, by, as)
	}
	if err != nil {
		if fault.All(err) != nil && c.cookieValue(actingCookie) != "" {
			c.clearCookie(actingCookie) // or each request would be refused from now on
		}
		return err
	}
	if c.actor, err = c.api.Registry.ActorOf(c.Context(), who.ID, who.User); err != nil {
		return err
	}
	c.actor.From, c.actor.By = c.from(), by
	return nil
}

// actorOf is the actor for a user; one who was closed, locked or deleted since the session began must sign in.
func (c *call) actorOf(who auth.Caller) (*biobank.Actor, error) {
	actor, err := c.api.Registry.ActorOf(c.Context(), who.ID, who.User)
	if all := fault.All(err); len(all) > 0 && all[0].Kind == fault.User {
		return nil, all[0].WithKind(fault.SignIn)
	}
	if err != nil {
		return nil, err
	}
	actor.From = c.from()
	return actor, nil
}

// from is the caller's address.
func (c *call) from() string {
	if at, err := netip.ParseAddrPort(c.RemoteAddr); err == nil {
		return at.Addr().Unmap().String()
	}
	return c.RemoteAddr
}

func (c *call) cookieValue(name string) string {
	cookie, err := c.Cookie(name)
	if err != nil {
		return ""
	}
	return cookie.Value
}

// basic checks Basic credentials. No session is begun.
func (c *call) basic() (auth.Caller, error) {
	login, password, ok := c.BasicAuth()
	if !ok {
		f := fault.New("AUTH_INVALID_TOKEN", "Nobody is signed in.").WithKind(fault.SignIn)
		return auth.Caller{}, f.Wrap(errNoCredentials)
	}
	who, err := c.candidate(biobank.Domain, login)
	if err != nil {
		return auth.Caller{}, err
	}
	guard, err := c.guard()
	if err != nil {
		return auth.Caller{}, err
	}
	_, err = guard.Check(c.Context(), c.at, who, password)
	if all := fault.All(err); len(all) > 0 && all[0].Kind == fault.User {
		return auth.Caller{}, all[0].WithKind(fault.SignIn)
	}
	if err != nil {
		return auth.Caller{}, err
	}
	return auth.Caller{ID: who.User.ID, User: who.User}, nil
}

func (c *call) setCookie(name, token string) {
	c.dropCookie(name)
	http.SetCookie(c.w, c.cookie(name, token))
}

// clearCookies ends what the browser knows of the session.
func (c *call) clearCookies() {
	c.w.Header().Del("Set-Cookie")
	c.clearCookie(tokenCookie)
	if c.cookieValue(actingCookie) != "" {
		c.clearCookie(actingCookie)
	}
}

func (c *call) clearCookie(name string) {
	c.dropCookie(name)
	cookie := c.cookie(name, "")
	cookie.MaxAge = -1
	http.SetCookie(c.w, cookie)
}

// dropCookie takes back what the answer says of a cookie so far.
func (c *call) dropCookie(name string) {
	h := c.w.Header()
	h["Set-Cookie"] = slices.DeleteFunc(h["Set-Cookie"], func(v string) bool { return strings.HasPrefix(v, name+"=") })
	if len(h["Set-Cookie"]) == 0 {
		h.Del("Set-Cookie")
	}
}

// cookie belongs to the application's path and, over https, to https.
func (c *call) cookie(name, token string) *http.Cookie {
	path := c.app
	if path == "" {
		path = "/"
	}
	return &http.Cookie{
		Name: name, Value: token, Path: path, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: strings.EqualFold(c.Header.Get("X-Forwarded-Proto"), "https"),
	}
}
