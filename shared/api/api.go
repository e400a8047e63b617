// Package api is the REST API, on the wire as OpenSpecimen's clients know it (reference openspecimen-rest.md).
//
// A request takes this way: its path is brought into the one form the routes know, from below either prefix; the caller is
// found by token, cookie or Basic credentials; a handler decodes, calls the registry or the stores, and returns what to
// answer; and what it returns, an object or faults, is written in one place (fault.go knows the statuses and bodies). A
// handler holds no rule of the domain: the registry does, for every door alike.
//
// One file per noun: how it is decoded, how it is shown, what its routes are.
package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"aliquot/shared/auth"
	"aliquot/shared/biobank"
	"aliquot/shared/blob"
	"aliquot/shared/fault"
	"aliquot/shared/router"
	"aliquot/shared/store"
)

// maxBody is the largest body of a request, and the largest answer given inline.
const maxBody = 4 << 20

// Sender puts a message on the import queue.
type Sender interface {
	Send(ctx context.Context, body []byte, group string, delay time.Duration) error
}

// API answers requests. Its fields are set before Handler is called.
type API struct {
	Registry *biobank.Registry
	Guard    *auth.Guard
	Jobs     *store.Jobs
	Blobs    *blob.Store
	Queue    Sender
	// Intake and Results are the buckets of uploads and of reports.
	Intake, Results string
	Now             func() time.Time
	// Origins are the only ones that browsers may call from; none for any.
	Origins []string
	// SignUp lets anybody ask for an account.
	SignUp bool
	// Random gives request and file ids: crypto/rand.Reader.
	Random io.Reader
	Log    *slog.Logger

	// document makes the document of the API, once.
	document func() (json.RawMessage, error)
	watch    watcher
}

// watcher is told what becomes of requests, where a test wants to know.
type watcher interface {
	// identified is called when the caller is known.
	identified(context.Context)
	// served is called at the end, with what the request was asked for.
	served(ctx context.Context, pattern string, status int, seen *reads)
}

// call is one request on its way.
type call struct {
	*http.Request
	api *API
	w   http.ResponseWriter
	// id names the request, in the log and in the audit of what it changes.
	id string
	at time.Time
	// app is what the path has before /rest/ng.
	app string
	// actor is who calls, nil for a public route; token is what told so, empty for Basic credentials.
	actor *biobank.Actor
	token string
	// stats tells that the answer is to have counts.
	stats bool
	// reads notes what the request is asked for; nil for nothing is noted.
	reads *reads
}

// route is one thing that can be asked for.
type route struct {
	// pattern is one of net/http.ServeMux, below the prefix.
	pattern string
	// public routes are served to anybody.
	public bool
	// finds is the parameter by whose value an object is found, as its name; empty for none.
	finds string
	// about is the type of the object that finds, or else {id} in the path, names; empty for none (aboutNouns).
	about biobank.Type
	// serve returns what to answer: a writer writes itself, anything else goes out as JSON.
	serve func(*call) (any, error)
	// summary says in a few words what the route is for, and answers is a value of what serve returns: for the document
	// of the API (openapi.go), which finds the rest by itself.
	summary string
	answers any
}

// writer is an answer that is not JSON, or not 200.
type writer interface {
	write(w http.ResponseWriter) error
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
	var all []route
	for _, some := range [][]route{
		sessionRoutes(), userRoutes(), accountRoutes(), roleRoutes(), instituteRoutes(), siteRoutes(), protocolRoutes(), eventRoutes(),
		formRoutes(), formContextRoutes(), formRecordRoutes(), formFileRoutes(), extensionRoutes(),
		requirementRoutes(), registrationRoutes(), participantRoutes(), visitRoutes(), specimenRoutes(), valueRoutes(), documentRoutes(),
		consentRoutes(), statementRoutes(), protocolConsentRoutes(),
		importRoutes(), uploadRoutes(), scheduleRoutes(), workflowRoutes(),
		distributionRoutes(),
		orderRoutes(),
		cartRoutes(), shipmentRoutes(), containerTypeRoutes(), containerRoutes(), listViewRoutes(), protocolListRoutes(), settingRoutes(),
	} {
		all = append(all, some...)
	}
	aboutNouns(all)
	return all
}

// aboutNouns notes in each route which noun's object it is about.
func aboutNouns(all []route) {
	for i := range all {
		r := &all[i]
		_, path, _ := strings.Cut(r.pattern, " ")
		for _, n := range nouns() {
			rest, ok := strings.CutPrefix(path, n.path)
			if ok && (strings.HasPrefix(rest, "/{id}") || r.finds != "" && (rest == "" || rest[0] == '/')) {
				r.about = n.typ
			}
		}
	}
}

// Handler serves the API below /rest/ng and /openspecimen/rest/ng.
func (a *API) Handler() http.Handler {
	finder := router.New(routes, func(r route) string { return r.pattern })
	a.document = sync.OnceValues(func() (json.RawMessage, error) { return json.Marshal(document(routes())) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := a.Now()
		c := &call{Request: r, api: a, w: w, at: began.UTC()}
		if a.watch != nil {
			c.reads = &reads{query: map[string]string{}}
		}
		pattern, status, err := a.serve(c, finder)
		if a.watch != nil {
			a.watch.served(r.Context(), pattern, status, c.reads)
		}
		a.log(c, pattern, status, err, a.Now().Sub(began))
	})
}

// serve answers a request and tells, for the log, which route it took, the status and the faults.
func (a *API) serve(c *call, finder *router.Router[route]) (pattern string, status int, err error) {
	origin := c.Header.Get("Origin")
	if origin != "" && len(a.Origins) > 0 && !slices.Contains(a.Origins, "*") && !slices.Contains(a.Origins, origin) {
		setHeaders(c.w.Header(), "")
		err := fault.New("COMMON_INVALID_REQUEST", "Requests from this origin are not allowed.").Wrap(errNoVerb)
		return "", c.fail(err), err
	}
	setHeaders(c.w.Header(), origin)
	if c.Method == http.MethodOptions {
		c.w.WriteHeader(http.StatusOK)
		return "OPTIONS", http.StatusOK, nil
	}
	if c.id, err = router.RequestID(a.Random); err != nil {
		return "", c.fail(err), err
	}
	below, ok := c.below()
	if !ok {
		err := noRoute(http.StatusNotFound)
		return "", c.fail(err), err
	}
	c.Request = c.Request.Clone(biobank.Remembering(c.Context()))
	c.URL.Path, c.URL.RawPath = below, ""
	r, miss := finder.Find(c.Request)
	if miss != nil {
		if miss.Allow != "" {
			c.w.Header().Set("Allow", miss.Allow)
		}
		err := noRoute(miss.Status)
		return "", c.fail(err), err
	}
	pattern = r.pattern
	answer, err := c.answer(r)
	if err != nil {
		return pattern, c.fail(err), err
	}
	if status, err = c.write(answer); err != nil {
		return pattern, c.fail(err), err
	}
	return pattern, status, nil
}

// answer runs a route for whoever calls.
func (c *call) answer(r route) (answer any, err error) {
	defer func() {
		if p := recover(); p != nil {
			answer, err = nil, fault.Panicked(p)
		}
	}()
	if !r.public {
		c.expect(r)
		if err := c.identify(); err != nil {
			return nil, err
		}
	}
	if c.api.watch != nil {
		c.api.watch.identified(c.Context())
	}
	if _, err := url.ParseQuery(c.URL.RawQuery); err != nil { // what cannot be read would be left out without a word
		return nil, invalid("The parameters behind the ? could not be read: a %% must be followed by two hexadecimal digits, and a ; be written as %%3B.")
	}
	return r.serve(c)
}

// expect has what the path or a parameter names read along with the session.
func (c *call) expect(r route) {
	if r.finds != "" {
		biobank.ExpectNamed(c.Context(), r.about, c.URL.Query().Get(r.finds))
	} else if id, err := c.pathID("id"); r.about != "" && err == nil {
		biobank.Expect(c.Context(), r.about, id)
	}
}

// below returns the path below the prefix, without doubled and trailing slashes, and notes what came before /rest/ng. The
// document of the API stands at the root, too.
func (c *call) below() (below string, ok bool) {
	clean := path.Clean("/" + c.URL.Path)
	if clean == documentPath {
		return clean, true
	}
	if strings.Contains(c.URL.Path, "/.") && clean != "/"+strings.Trim(c.URL.Path, "/") {
		return "", false // dots lead nowhere
	}
	for _, app := range []string{"/openspecimen", ""} {
		if below, ok := strings.CutPrefix(clean, app+"/rest/ng/"); ok {
			c.app = app
			return "/" + strings.Replace(below, "/byid/", "/", 1), true // another name for the same
		}
	}
	return "", false
}

// setHeaders sets what every answer carries (section 1, Caching headers and CORS).
func setHeaders(h http.Header, origin string) {
	h.Set("Cache-Control", "no-cache, no-store, must-revalidate")
	h.Set("Pragma", "no-cache")
	h.Set("Expires", "0")
	h.Set("X-Content-Type-Options", "nosniff")
	if origin == "" {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Vary", "Origin")
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Set("Access-Control-Allow-Methods", "POST, GET, PUT, DELETE, PATCH, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "Origin, Accept, Content-Type, X-OS-API-TOKEN, X-OS-API-CLIENT, "+
		"X-OS-IMPERSONATE-USER, X-OS-CLIENT-TZ, X-OS-SURVEY-TOKEN")
	h.Set("Access-Control-Expose-Headers", "Content-Disposition, Content-Length, Content-Type")
}

// write answers, inline or, where the answer is over 4 MB, with where it was put (design.md section 6), and returns the
// status.
func (c *call) write(answer any) (status int, err error) {
	w := &held{header: http.Header{}, status: http.StatusOK}
	if own, ok := answer.(writer); ok {
		err = own.write(w)
	} else {
		err = writeJSON(w, answer)
	}
	if err == nil && w.body.Len() > maxBody {
		w, err = c.putAside(w)
	}
	if err != nil {
		return 0, err
	}
	maps.Copy(c.w.Header(), w.header)
	c.w.WriteHeader(w.status)
	_, _ = c.w.Write(w.body.Bytes()) // the caller may have hung up; there is nobody left to tell
	return w.status, nil
}

func writeJSON(w http.ResponseWriter, answer any) error {
	body, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("encode an answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	_, err = w.Write(body)
	return err
}

// putAside stores an answer and answers with a link to it.
func (c *call) putAside(w *held) (*held, error) {
	name := "answer.json"
	if _, params, err := mime.ParseMediaType(w.header.Get("Content-Disposition")); err == nil && params["filename"] != "" {
		name = params["filename"]
	}
	file := blob.Object{Bucket: c.api.Results, Key: "answers/" + c.id + "/" + name}
	if _, err := c.api.Blobs.Put(c.Context(), file.Bucket, file.Key, w.header.Get("Content-Type"), w.body.Bytes()); err != nil {
		return nil, err
	}
	link, err := c.api.Blobs.PresignGet(c.Context(), file, blob.Download{Name: name}, linkFor)
	if err != nil {
		return nil, err
	}
	w = &held{header: http.Header{}}
	return w, elsewhere{link.URL}.write(w)
}

// held is an answer that is not sent yet.
type held struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *held) Header() http.Header         { return w.header }
func (w *held) WriteHeader(status int)      { w.status = status }
func (w *held) Write(p []byte) (int, error) { return w.body.Write(p) }

// body reads a request's JSON object.
func (c *call) body() (*input, error) {
	shape := c.reads.noteBody(anObject)
	if shape != nil && c.reads.samples {
		return &input{members: map[string]any{}, wrong: new(error), shape: shape}, nil
	}
	text, err := c.text()
	if err != nil {
		return nil, err
	}
	in, err := decode(text)
	if err != nil {
		return nil, err
	}
	in.shape = shape
	return in, nil
}

// text reads a request's body as it is.
func (c *call) text() ([]byte, error) {
	if c.reads.noteBody(something) != nil && c.reads.samples {
		return []byte("{}"), nil
	}
	text, err := io.ReadAll(http.MaxBytesReader(c.w, c.Body, maxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, bodyTooLarge("")
	}
	if err != nil {
		return nil, invalid("The body could not be read.").Wrap(err)
	}
	return text, nil
}

// bodies reads a request's JSON array of objects.
func (c *call) bodies() ([]*input, error) {
	shape := c.reads.noteBody(aList)
	in := &input{members: map[string]any{}, wrong: new(error), shape: shape}
	if shape == nil || !c.reads.samples {
		text, err := c.text()
		if err != nil {
			return nil, err
		}
		v, err := parseJSON(text)
		if err != nil {
			return nil, err
		}
		if _, ok := v.([]any); !ok {
			return nil, invalid("The body must be an array of objects.")
		}
		in.members["body"] = v
	}
	list := in.objects("body")
	return list, in.err()
}

// pathID reads a numeric part of the path.
func (c *call) pathID(name string) (int64, error) { return parseID(name, c.PathValue(name)) }

// idAndBody reads the id in the path, and the request's JSON object.
func (c *call) idAndBody() (int64, *input, error) {
	id, err := c.pathID("id")
	if err != nil {
		return 0, nil, err
	}
	in, err := c.body()
	return id, in, err
}

// log writes one line per request: ids, the route's pattern and codes, never a value of the request.
func (a *API) log(c *call, pattern string, status int, err error, took time.Duration) {
	attrs := []slog.Attr{
		slog.String("function", "api"), slog.String("request", c.id), slog.String("route", pattern),
		slog.String("method", c.Method), slog.Int("status", status), slog.Int64("ms", took.Milliseconds()),
	}
	if c.actor != nil {
		attrs = append(attrs, slog.Int64("user", c.actor.ID))
	}
	level := slog.LevelInfo
	if err != nil {
		attrs = append(attrs, slog.String("codes", fault.Codes(err)))
		if len(fault.All(err)) == 0 {
			level = slog.LevelError
			attrs = append(attrs, slog.String("cause", err.Error()))
		}
	}
	a.Log.LogAttrs(c.Context(), level, "request", attrs...)
}
