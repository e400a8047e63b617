// Package odmapi is the Clinicaldata API, on the wire as OpenClinica's clients know it (reference
// openclinica-clinicaldata.md), with what the product needs besides: studies, their metadata, and who does what in them.
// Those endpoints are ours; their doc comments say so.
//
// A request takes this way: its path is brought into the one form the routes know, from below /pages/auth/api or
// /user-service/api with OpenClinica's name before it or without; the caller is found by the bearer token; a handler
// decodes, calls clinical.Registry or the stores, and returns what to answer. What is refused is told in the form that the
// route's clients read (fault.go): bare text, a message with parameters, headers, or the list of the REST API. A handler
// holds no rule of the domain.
package odmapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"aliquot/shared/auth"
	"aliquot/shared/biobank"
	"aliquot/shared/blob"
	"aliquot/shared/clinical"
	"aliquot/shared/fault"
	"aliquot/shared/router"
	"aliquot/shared/store"
)

// maxBody is the largest body of a request, and the largest answer given inline.
const maxBody = 4 << 20

// linkFor is how long a presigned URL lives.
const linkFor = 15 * time.Minute

// Sender puts a message on the queue of ODM imports.
type Sender interface {
	Send(ctx context.Context, body []byte, group string, delay time.Duration) error
}

// API answers requests. Its fields are set before Handler is called.
type API struct {
	Registry *clinical.Registry
	// Users finds who calls.
	Users *biobank.Registry
	Guard *auth.Guard
	// Jobs are those of ODM.
	Jobs  *store.Jobs
	Blobs *blob.Store
	Queue Sender
	// Intake and Results are the buckets of uploads and of logs.
	Intake, Results string
	// LegacyCodes answers refusals with the names and statuses of 4.13 (section 2.3).
	LegacyCodes bool
	// NamespaceKeys gives data in JSON the keys of namespaces that OpenClinica's have (section 7.1, rule 15), unless a request
	// says otherwise.
	NamespaceKeys bool
	// TokenCalls is how many tokens an address may ask for in a minute, 0 for any number.
	TokenCalls int
	// Patience is how long a caller is kept waiting for data; what takes longer goes on as a job.
	Patience time.Duration
	Now      func() time.Time
	// Random gives request ids and UUIDs: crypto/rand.Reader.
	Random io.Reader
	Log    *slog.Logger
}

// call is one request on its way.
type call struct {
	*http.Request
	api *API
	w   http.ResponseWriter
	// id names the request, in the log and in the audit of what it changes.
	id string
	at time.Time
	// prefix is what the path had before the route's pattern.
	prefix string
	// actor is who calls, nil for a public route.
	actor *clinical.Actor
	tell  form
	// sent is the body that read has decoded.
	sent []byte
}

// by is who changes something with this request.
func (c *call) by() clinical.By { return clinical.By{Actor: c.actor, At: c.at, ID: c.id} }

// route is one thing that can be asked for.
type route struct {
	// pattern is one of net/http.ServeMux, below the prefix.
	pattern string
	// public routes are served to anybody.
	public bool
	// tell is the form of refusals.
	tell form
	// serve returns what to answer: text goes out as it is, a writer writes itself, anything else is JSON.
	serve func(*call) (any, error)
}

// text is an answer in plain words.
type text string

// writer is an answer that is neither text nor JSON, or not 200. It tells the status.
type writer interface {
	write(w http.ResponseWriter) (status int)
}

// Routes lists what the API serves, as "<verb> <path>" below its prefixes, sorted.
func Routes() []string {
	var all []string
	for _, r := range routes() {
		all = append(all, r.pattern)
	}
	slices.Sort(all)
	return all
}

func routes() []route {
	return slices.Concat(
		tokenRoutes(), studyRoutes(), metadataRoutes(), roleRoutes(), participantRoutes(), eventRoutes(), formRoutes(), fileRoutes(), bulkRoutes(), noteRoutes(), importRoutes(), jobRoutes(),
		retrieveRoutes(),
	)
}

// Handler serves the API.
func (a *API) Handler() http.Handler {
	finder := router.New(routes, func(r route) string { return r.pattern })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := a.Now()
		c := &call{Request: r, api: a, w: w, at: began.UTC(), tell: asFaults}
		pattern, status, err := a.serve(c, finder)
		a.log(c, pattern, status, err, a.Now().Sub(began))
	})
}

// serve answers a request and tells, for the log, which route it took, the status and what was wrong.
func (a *API) serve(c *call, finder *router.Router[route]) (pattern string, status int, err error) {
	h := c.w.Header()
	h.Set("Cache-Control", "no-cache, no-store, must-revalidate")
	h.Set("X-Content-Type-Options", "nosniff")
	if c.id, err = router.RequestID(a.Random); err != nil {
		return "", c.fail(err), err
	}
	prefix, below, ok := below(c.URL.Path)
	if !ok {
		return "", c.fail(errNoRoute), errNoRoute
	}
	c.Request, c.prefix = c.Request.Clone(c.Context()), prefix
	c.URL.Path, c.URL.RawPath = below, ""
	r, miss := finder.Find(c.Request)
	if miss != nil {
		err := errNoRoute
		if miss.Status == http.StatusMethodNotAllowed {
			h.Set("Allow", miss.Allow)
			err = errNoVerb
		}
		return "", c.fail(err), err
	}
	pattern, c.tell = r.pattern, r.tell
	answer, err := c.answer(r)
	if err != nil {
		return pattern, c.fail(err), err
	}
	status, err = c.give(answer)
	return pattern, status, err
}

// answer runs a route for whoever calls.
func (c *call) answer(r route) (answer any, err error) {
	defer func() {
		if p := recover(); p != nil {
			answer, err = nil, fault.Panicked(p)
		}
	}()
	if !r.public {
		if err := c.identify(); err != nil {
			return nil, err
		}
	}
	return r.serve(c)
}

// give sends an answer and tells the status. JSON over 4 MB is stored, and the caller sent there.
func (c *call) give(answer any) (status int, err error) {
	switch v := answer.(type) {
	case writer:
		return v.write(c.w), nil
	case text:
		c.w.Header().Set("Content-Type", "text/plain;charset=UTF-8")
		_, _ = io.WriteString(c.w, string(v)) // the caller may have hung up; there is nobody left to tell
		return http.StatusOK, nil
	}
	body, err := json.Marshal(answer)
	out := c.spill("application/json", "answer.json")
	if err == nil {
		if _, err = out.Write(body); err != nil {
			err = errors.Join(err, out.abort())
		}
	}
	var whole writer
	if err == nil {
		whole, err = out.answer()
	}
	if err != nil {
		err = fmt.Errorf("encode an answer: %w", err)
		return c.fail(err), err
	}
	return whole.write(c.w), nil
}

// elsewhere sends the caller to a URL; the body repeats it for clients that do not follow.
type elsewhere string

func (e elsewhere) write(w http.ResponseWriter) (status int) {
	w.Header().Set("Location", string(e))
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(http.StatusSeeOther)
	body, err := json.Marshal(map[string]string{"url": string(e)})
	if err != nil { // a string cannot fail
		panic(err)
	}
	_, _ = w.Write(body)
	return http.StatusSeeOther
}

// below is the path below the prefixes, without doubled and trailing slashes, and which of them it has. The token's path is
// kept whole.
func below(whole string) (prefix, below string, ok bool) {
	clean := path.Clean("/" + whole)
	if strings.Contains(whole, "/.") && clean != "/"+strings.Trim(whole, "/") {
		return "", "", false // dots lead nowhere
	}
	short := strings.TrimPrefix(clean, "/OpenClinica")
	if strings.HasPrefix(short, "/user-service/api/") {
		return "", short, true
	}
	below, ok = strings.CutPrefix(short, "/pages/auth/api/")
	return strings.TrimSuffix(clean, "/"+below), "/" + below, ok
}

// body reads a request's body of up to 4 MB. hint tells where to send a larger one.
func (c *call) body(hint string) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, fault.New("COMMON_INVALID_INPUT", "The body is larger than 4 MB. %s", hint).Wrap(errTooLarge)
	}
	if err != nil {
		return nil, fault.New("COMMON_INVALID_INPUT", "The body could not be read.").Wrap(err)
	}
	return body, nil
}

// read decodes a request's JSON object; an empty body is an empty object. Members that are not known are ignored, since
// clients send more than is used.
func (c *call) read(v any) error {
	var err error
	if c.sent, err = c.body(""); err != nil || len(c.sent) == 0 {
		return err
	}
	if err := json.Unmarshal(c.sent, v); err != nil {
		return fault.New("COMMON_INVALID_INPUT", "The body is not the JSON object that is wanted here.").Wrap(err)
	}
	return nil
}

// timestamp is how times are shown (section 2.4).
func timestamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// log writes one line per request: ids, the route's pattern and codes, never a value of the request.
func (a *API) log(c *call, pattern string, status int, err error, took time.Duration) {
	attrs := []slog.Attr{
		slog.String("function", "clinicaldata"), slog.String("request", c.id), slog.String("route", pattern),
		slog.String("method", c.Method), slog.Int("status", status), slog.Int64("ms", took.Milliseconds()),
	}
	if c.actor != nil {
		attrs = append(attrs, slog.Int64("user", c.actor.ID))
	}
	level := slog.LevelInfo
	if err != nil {
		codes, internal := codesOf(err)
		attrs = append(attrs, slog.String("codes", codes))
		if internal {
			level = slog.LevelError
			attrs = append(attrs, slog.String("cause", err.Error()))
		}
	}
	a.Log.LogAttrs(c.Context(), level, "request", attrs...)
}

// limit is how many objects of a list maxResults asks for, from 1 to most; 0 where it does not.
func (c *call) limit(most int) (int, error) {
	sent := c.URL.Query().Get("maxResults")
	if sent == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(sent)
	if err != nil || n < 1 || n > most {
		return 0, fault.New("COMMON_INVALID_INPUT", "maxResults must be a number from 1 to %d.", most)
	}
	return n, nil
}

// isYes tells whether a parameter says yes.
func isYes(s string) bool { return strings.EqualFold(s, "y") || strings.EqualFold(s, "yes") }
