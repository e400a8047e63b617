package odmapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"aliquot/shared/clinical"
	"aliquot/shared/fault"
)

// What is refused, on the wire. What the reference has a code for is a clinical.Code; what it has none for is a fault with a
// sentence.

// form is how a route's clients read refusals.
type form uint8

const (
	// asFaults is the list of codes and messages of the REST API: our own endpoints.
	asFaults form = iota
	// asText is the code alone: the import and the download of logs (section 2.3).
	asText
	// asMessage is {"message":code,"params":{...}}: participants and events (section 9).
	asMessage
	// asHeaders is in X-runtimeApp-error, without a body: jobs (section 2.5).
	asHeaders
	// asOwnMessage is asMessage for endpoints that are ours.
	asOwnMessage
)

// hidden is what is told of a refusal. On our own endpoints studies and sites that are unknown and those in which the caller
// has no role look alike, so that nobody learns which there are; the reference has names for both.
func (c *call) hidden(err error) error {
	if c.tell != asFaults && c.tell != asOwnMessage {
		return err
	}
	switch {
	case !errors.Is(err, clinical.NoRoleSetUp) && !errors.Is(err, clinical.StudyOIDNotFound) && !errors.Is(err, clinical.SiteNotFound):
		return err
	case c.PathValue("site") != "":
		return clinical.SiteNotFound
	}
	return clinical.StudyOIDNotFound
}

var (
	errTooLarge = errors.New("body too large")
	errNoRoute  = errors.New("no such route")
	// errNotAcceptable means that the answer is in none of the forms that the caller takes.
	errNotAcceptable = errors.New("neither XML nor JSON is accepted")
	errNoVerb        = errors.New("no such verb")
)

// named is a code with what follows it on the wire, such as the name of a file.
type named struct {
	clinical.Code
	more string
}

// Error is the code with what follows it.
func (n named) Error() string { return n.Wire() + n.more }

// Unwrap gives the code.
func (n named) Unwrap() error { return n.Code }

// headed is a refusal that has its own name in a header, with a status of 400.
type headed string

// Error is the name.
func (h headed) Error() string { return string(h) }

// legacy is what 4.13 has for a code: another name where there is one, another status (sections 2.3 and 2.5).
type legacy struct {
	name   string
	status int
}

// statuses are those of codes that are not 400.
var statuses = map[clinical.Code]int{
	clinical.FileFormatNotSupported: http.StatusUnsupportedMediaType,
	clinical.InvalidXMLFile:         http.StatusUnsupportedMediaType,
	clinical.MissingStudyOID:        http.StatusNotFound,
	clinical.StudyOIDNotFound:       http.StatusNotFound,
	clinical.SiteNotFound:           http.StatusNotFound,
	clinical.NoRoleSetUp:            http.StatusForbidden,
	clinical.NoSufficientPrivileges: http.StatusForbidden,
	clinical.InvalidUUID:            http.StatusNotFound,
	clinical.FileNotFound:           http.StatusNotFound,
	clinical.JobInProgress:          http.StatusOK,
	noLogFileFound:                  http.StatusNotFound,
	clinical.KeyUsed:                http.StatusUnprocessableEntity,
}

var legacies = map[clinical.Code]legacy{
	clinical.MissingStudyOID:        {"errorCode.studyOidMissing", http.StatusNotFound},
	clinical.StudyOIDNotFound:       {"errorCode.studyNotExist", http.StatusNotFound},
	clinical.StudyOIDNotAvailable:   {"errorCode.studyNotAvailable", http.StatusOK},
	clinical.SiteNotAvailable:       {"", http.StatusOK},
	clinical.NoRoleSetUp:            {"", http.StatusOK},
	clinical.NoSufficientPrivileges: {"", http.StatusOK},
	clinical.InvalidUUID:            {"error.invalidUuid", http.StatusNotFound},
	clinical.JobInProgress:          {"error.jobInProgress", http.StatusOK},
	noLogFileFound:                  {"", http.StatusOK},
}

// statusOf is the HTTP status of a refusal.
func (c *call) statusOf(err error) int {
	var code clinical.Code
	var h headed
	all := fault.All(err)
	switch {
	case errors.Is(err, errTooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, errNoRoute):
		return http.StatusNotFound
	case errors.Is(err, errNoVerb):
		return http.StatusMethodNotAllowed
	case errors.Is(err, errNotAcceptable):
		return http.StatusNotAcceptable
	case errors.As(err, &h):
		return http.StatusBadRequest
	case errors.As(err, &code):
		if old, ok := legacies[code]; ok && c.old() {
			return old.status
		}
		if status, ok := statuses[code]; ok {
			return status
		}
		return http.StatusBadRequest
	case len(all) == 0:
		return http.StatusInternalServerError
	case all[0].Kind == fault.SignIn:
		return http.StatusUnauthorized
	case all[0].Kind == fault.TooMany:
		return http.StatusTooManyRequests
	case all[0].Kind == fault.Busy:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// old tells whether to answer as 4.13 does.
func (c *call) old() bool { return c.api.LegacyCodes && c.tell == asText }

// wire is a code as it is sent.
func (c *call) wire(err error) string {
	var code clinical.Code
	var n named
	if !errors.As(err, &code) {
		return err.Error()
	}
	if old := legacies[code]; c.old() && old.name != "" {
		return old.name
	}
	if code == noLogFileFound {
		return string(code)
	}
	if errors.As(err, &n) || errors.Is(err, clinical.InvalidXMLFile) {
		return err.Error()
	}
	return code.Wire()
}

// fail answers with a refusal and returns the status. Of an internal fault nothing is told but the id to look for in the log.
func (c *call) fail(err error) int {
	err = c.hidden(err)
	status := c.statusOf(err)
	h := c.w.Header()
	switch status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Bearer")
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "1")
	case http.StatusTooManyRequests:
		h.Set("Retry-After", "60")
	}
	var code clinical.Code
	var head headed
	isCode := errors.As(err, &code)
	switch {
	case errors.As(err, &head):
		h.Set("X-runtimeApp-error", string(head))
		h.Set("X-runtimeApp-params", "")
		c.w.WriteHeader(status)
	case isCode && c.tell == asText:
		h.Set("Content-Type", "text/plain;charset=UTF-8")
		c.w.WriteHeader(status)
		_, _ = io.WriteString(c.w, c.wire(err)) // the caller may have hung up; there is nobody left to tell
	case isCode && (c.tell == asMessage || c.tell == asOwnMessage):
		c.json(status, map[string]any{
			"message": c.wire(err), "params": map[string]string{"studyOid": c.PathValue("study"), "siteOid": c.PathValue("site")},
		})
	default:
		c.json(status, c.problems(err))
	}
	return status
}

type problem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (c *call) problems(err error) []problem {
	var code clinical.Code
	if errors.As(err, &code) {
		message := code.Sentence()
		if more := strings.TrimPrefix(err.Error(), code.Wire()); more != "" {
			message += " " + strings.TrimSpace(more)
		}
		return []problem{{code.Wire(), message}}
	}
	switch {
	case errors.Is(err, errNoRoute):
		return []problem{{"COMMON_INVALID_REQUEST", "There is nothing at this path."}}
	case errors.Is(err, errNotAcceptable):
		return []problem{{"COMMON_INVALID_REQUEST", "The answer is application/xml or application/json."}}
	case errors.Is(err, errNoVerb):
		return []problem{{"COMMON_INVALID_REQUEST", "This path does not serve this verb."}}
	}
	var all []problem
	for _, f := range fault.All(err) {
		all = append(all, problem{f.Code, f.Message})
	}
	if all == nil {
		all = []problem{{"internal_fault", "The request could not be served. Its id in the log is " + c.id + "."}}
	}
	return all
}

func (c *call) json(status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode a refusal: %v", err)) // texts cannot fail
	}
	c.w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(body)
}

// codesOf is what the log tells of a refusal; internal tells that it is none.
func codesOf(err error) (codes string, internal bool) {
	var code clinical.Code
	var h headed
	switch {
	case errors.As(err, &code):
		return string(code), false
	case errors.As(err, &h):
		return string(h), false
	case errors.Is(err, errNoRoute), errors.Is(err, errNoVerb), errors.Is(err, errNotAcceptable):
		return "COMMON_INVALID_REQUEST", false
	}
	codes = fault.Codes(err)
	return codes, len(fault.All(err)) == 0
}
