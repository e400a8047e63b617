package odmapi

import (
	"fmt"
	"net"
	"strings"
	"time"

	"aliquot/shared/auth"
	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// Access (section 1.1): users, passwords and sessions are those of the REST API, and a token of either serves both.

// tokenLife is how long a token of this API lives, used or not.
const tokenLife = 4 * time.Hour

func tokenRoutes() []route {
	return []route{{pattern: "POST /user-service/api/oauth/token", public: true, serve: token}}
}

// token signs in and answers with the bare token. Who calls more than twice a minute from one address is told to wait. The
// reference does not tell how a wrong password is answered: 401, with the codes of the REST API.
func token(c *call) (any, error) {
	address := c.from()
	if most := c.api.TokenCalls; most > 0 {
		if err := c.atMost(most, "token "+address, "At most %d tokens a minute can be asked for from one address. Wait a minute."); err != nil {
			return nil, err
		}
	}
	var in struct{ Username, Password string }
	if err := c.read(&in); err != nil {
		return nil, err
	}
	user, err := c.api.Users.UserByLogin(c.Context(), biobank.Domain, in.Username)
	if err != nil {
		return nil, err
	}
	if user == nil { // as many reads as for a name that is known
		if _, err := c.api.Users.Fetch(c.Context(), biobank.SetKey(biobank.User, 0)); err != nil {
			return nil, err
		}
	}
	who := auth.Candidate{Domain: biobank.Domain, Login: in.Username, User: user, From: address}
	settings, err := c.api.Users.Settings(c.Context())
	if err != nil {
		return nil, err
	}
	token, err := c.api.Guard.Under(settings.SignIn()).SignInFor(c.Context(), c.at, who, in.Password, tokenLife)
	return text(token), asSignIn(err)
}

// atMost refuses, with a sentence that tells most, who asks for what more often than that in a minute.
func (c *call) atMost(most int, what, sentence string) error {
	ok, err := c.api.Guard.Allow(c.Context(), c.at, what, most)
	if err != nil || ok {
		return err
	}
	return fault.New("AUTH_TOO_MANY_CALLS", sentence, most).WithKind(fault.TooMany)
}

// identify finds out who calls, and which roles that user has.
func (c *call) identify() error {
	scheme, token, _ := strings.Cut(strings.TrimSpace(c.Header.Get("Authorization")), " ")
	if token = strings.TrimSpace(token); token == "" || !strings.EqualFold(scheme, "Bearer") {
		return fault.New("AUTH_INVALID_TOKEN", "Nobody is signed in. Send a token as Authorization: Bearer.").WithKind(fault.SignIn)
	}
	who, err := c.api.Guard.User(c.Context(), c.at, token, c.from())
	if err != nil {
		return err
	}
	user, err := c.api.Users.ActorOf(c.Context(), who.ID, who.User)
	if err != nil {
		return asSignIn(err) // closed, locked or deleted since the session began
	}
	user.From = c.from()
	if c.actor, err = c.api.Registry.Actor(c.Context(), user); err != nil {
		return fmt.Errorf("read the roles of user %d: %w", who.ID, err)
	}
	return nil
}

// from is the caller's address; the gateway gives no port.
func (c *call) from() string {
	if address, _, err := net.SplitHostPort(c.RemoteAddr); err == nil {
		return address
	}
	return c.RemoteAddr
}

// asSignIn makes a fault of the user's one of signing in.
func asSignIn(err error) error {
	if all := fault.All(err); len(all) > 0 && all[0].Kind == fault.User {
		return all[0].WithKind(fault.SignIn)
	}
	return err
}
