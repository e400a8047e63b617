package api

import (
	"encoding/json"
	"errors"
	"html"
	"net/http"
	"strconv"

	"aliquot/shared/fault"
)

// What a fault is on the wire (reference openspecimen-rest.md section 3): an array of codes and messages. Everything the
// caller can mend is 400, also what is not found or not allowed.

// errTooLarge marks the fault of a body over the limit, errNoRoute that of an unknown path, errNoVerb that of a known path
// with another verb.
var (
	errTooLarge = errors.New("body too large")
	errNoRoute  = errors.New("no such route")
	errNoVerb   = errors.New("no such verb")
)

type problem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func bodyTooLarge(hint string) *fault.Fault {
	msg := "The body is larger than 4 MB."
	if hint != "" {
		msg += " " + hint
	}
	return fault.New("COMMON_INVALID_INPUT", "%s", msg).Wrap(errTooLarge)
}

func noRoute(status int) *fault.Fault {
	if status == http.StatusMethodNotAllowed {
		return fault.New("COMMON_INVALID_REQUEST", "This path does not serve this verb.").Wrap(errNoVerb)
	}
	return fault.New("COMMON_INVALID_REQUEST", "There is nothing at this path.").Wrap(errNoRoute)
}

// statusOf is the HTTP status of a fault.
func statusOf(err error) int {
	all := fault.All(err)
	switch {
	case len(all) == 0:
		return http.StatusInternalServerError
	case all[0].Kind == fault.SignIn:
		return http.StatusUnauthorized
	case all[0].Kind == fault.Busy:
		return http.StatusServiceUnavailable
	case all[0].Kind == fault.TooMany:
		return http.StatusTooManyRequests
	case errors.Is(err, errTooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, errNoRoute):
		return http.StatusNotFound
	case errors.Is(err, errNoVerb):
		return http.StatusMethodNotAllowed
	}
	return http.StatusBadRequest
}

// fail answers with faults and returns the status. Of an internal fault nothing is told but the id to look for in the log.
// Messages repeat what was sent and what is stored, and clients put them into their pages: they are escaped for HTML, as the
// reference has them. What is in reports, files and logs is not.
func (c *call) fail(err error) int {
	status := statusOf(err)
	var problems []problem
	for _, f := range fault.All(err) {
		problems = append(problems, problem{f.Code, html.EscapeString(f.Message)})
	}
	if len(problems) == 0 {
		problems = []problem{{"internal_error", "The request could not be served. Its id in the log is " + c.id + "."}}
	}
	switch status {
	case http.StatusUnauthorized:
		c.clearCookies()
		if c.Header.Get("X-OS-API-CLIENT") != "webui" && errors.Is(err, errNoCredentials) {
			c.w.Header().Set("WWW-Authenticate", `Basic realm="OpenSpecimen"`)
		}
	case http.StatusServiceUnavailable:
		c.w.Header().Set("Retry-After", "1")
	case http.StatusTooManyRequests:
		c.w.Header().Set("Retry-After", "60")
	}
	body, merr := json.Marshal(problems)
	if merr != nil { // texts cannot fail
		body = []byte("[]")
	}
	c.w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(body) // the caller may have hung up; there is nobody left to tell
	return status
}

func parseID(name, text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 0 {
		return 0, invalid("%s must be a number.", name)
	}
	return id, nil
}
