package local

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
)

// maxBody is the most that an HTTP API takes.
const maxBody = 10 << 20

// httpAPI is the HTTP API: a request becomes an event of payload format 2.0, the function's answer a response.
type httpAPI struct {
	routes []boundRoute
	warn   io.Writer
}

type boundRoute struct {
	Route
	function *function
}

// match returns the values of the path's parameters, and whether the request is the route's. A {name} stands for one
// segment, {name+} for one or more at the end.
func (r Route) match(method, path string) (map[string]string, bool) {
	if r.Method != "ANY" && !strings.EqualFold(r.Method, method) {
		return nil, false
	}
	params := map[string]string{}
	for pattern := r.Path; ; {
		if pattern == "" || path == "" {
			return params, pattern == path
		}
		var want, got string
		want, pattern, _ = strings.Cut(pattern[1:], "/")
		if pattern != "" {
			pattern = "/" + pattern
		}
		if name, greedy := strings.CutSuffix(want, "+}"); greedy {
			params[name[1:]] = path[1:]
			return params, len(path) > 1
		}
		got, path, _ = strings.Cut(path[1:], "/")
		if path != "" {
			path = "/" + path
		}
		if name, ok := strings.CutPrefix(want, "{"); ok && got != "" {
			params[strings.TrimSuffix(name, "}")] = got
		} else if want != got {
			return nil, false
		}
	}
}

func (a *httpAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var route *boundRoute
	var params map[string]string
	for i := range a.routes {
		// The longest path is the most specific of those that match.
		if p, ok := a.routes[i].match(r.Method, r.URL.Path); ok && (route == nil || len(a.routes[i].Path) > len(route.Path)) {
			route, params = &a.routes[i], p
		}
	}
	if route == nil {
		answerMessage(w, http.StatusNotFound, "Not Found")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		answerMessage(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	}
	payload, err := json.Marshal(httpEvent(r, route.Route, params, body))
	if err != nil {
		answerMessage(w, http.StatusInternalServerError, "Internal Server Error")
		return
	}
	answer, err := route.function.invoke(r.Context(), payload)
	var fault *FunctionFault
	switch {
	case errors.Is(err, errTooLarge):
		answerMessage(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
	case errors.As(err, &fault) && fault.TimedOut:
		fmt.Fprintf(a.warn, "%s: %v\n", route.function.Name, err)
		answerMessage(w, http.StatusServiceUnavailable, "Service Unavailable")
	case err != nil:
		fmt.Fprintf(a.warn, "%s: %v\n", route.function.Name, err)
		answerMessage(w, http.StatusInternalServerError, "Internal Server Error")
	default:
		if err := writeAnswer(w, answer); err != nil {
			fmt.Fprintf(a.warn, "%s: its answer is not one for an HTTP API: %v\n", route.function.Name, err)
			answerMessage(w, http.StatusInternalServerError, "Internal Server Error")
		}
	}
}

// answerMessage answers in the words of the gateway itself.
func answerMessage(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"message":%q}`, text) // the client has gone if this fails
}

// httpEvent makes the event of a request. As API Gateway does, it gives the path decoded and the query as it came; cookies
// leave the headers; several values of a header or parameter are joined with commas.
func httpEvent(r *http.Request, route Route, params map[string]string, body []byte) events.APIGatewayV2HTTPRequest {
	now := time.Now().UTC()
	ip, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		ip = r.RemoteAddr
	}
	key := strings.ToUpper(route.Method) + " " + route.Path
	e := events.APIGatewayV2HTTPRequest{
		Version: "2.0", RouteKey: key, RawPath: r.URL.Path, RawQueryString: r.URL.RawQuery,
		Headers: map[string]string{}, PathParameters: params,
		RequestContext: events.APIGatewayV2HTTPRequestContext{
			RouteKey: key, AccountID: account, APIID: "local", Stage: "$default", RequestID: newUUID(),
			DomainName: r.Host, DomainPrefix: "local",
			Time: now.Format("02/Jan/2006:15:04:05 -0700"), TimeEpoch: now.UnixMilli(),
			HTTP: events.APIGatewayV2HTTPRequestContextHTTPDescription{
				Method: r.Method, Path: r.URL.Path, Protocol: r.Proto, SourceIP: ip, UserAgent: r.UserAgent(),
			},
		},
	}
	for name, values := range r.Header {
		if name == "Cookie" {
			for _, v := range values {
				for c := range strings.SplitSeq(v, ";") {
					e.Cookies = append(e.Cookies, strings.TrimSpace(c))
				}
			}
			continue
		}
		e.Headers[strings.ToLower(name)] = strings.Join(values, ",")
	}
	e.Headers["host"] = r.Host
	e.Headers["x-forwarded-for"] = ip
	e.Headers["x-forwarded-proto"] = "http"
	if _, port, err := net.SplitHostPort(r.Host); err == nil {
		e.Headers["x-forwarded-port"] = port
	}
	if len(body) > 0 {
		e.Headers["content-length"] = fmt.Sprint(len(body))
	}
	if query := r.URL.Query(); len(query) > 0 {
		e.QueryStringParameters = map[string]string{}
		for name, values := range query {
			e.QueryStringParameters[name] = strings.Join(values, ",")
		}
	}
	if isText(r.Header.Get("Content-Type"), r.Header.Get("Content-Encoding")) {
		e.Body = string(body)
	} else if len(body) > 0 {
		e.Body, e.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
	}
	return e
}

// isText tells whether the gateway gives a body of that type as text; any other comes in base64.
func isText(contentType, encoding string) bool {
	if encoding != "" {
		return false
	}
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	switch kind {
	case "application/json", "application/xml", "application/javascript":
		return true
	}
	return strings.HasPrefix(kind, "text/")
}

// writeAnswer writes a function's answer. An answer without a status code is a JSON body with status 200, as in payload
// format 2.0.
func writeAnswer(w http.ResponseWriter, answer []byte) error {
	var given map[string]json.RawMessage
	if err := json.Unmarshal(answer, &given); err != nil || given["statusCode"] == nil {
		if !json.Valid(answer) {
			return errors.New("not JSON")
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer) // the client has gone if this fails
		return nil
	}
	var response events.APIGatewayV2HTTPResponse
	if err := json.Unmarshal(answer, &response); err != nil {
		return err
	}
	if response.StatusCode < 100 || response.StatusCode > 599 {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	body := []byte(response.Body)
	if response.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(response.Body); err != nil {
			return err
		}
	}
	h := w.Header()
	for name, value := range response.Headers {
		h.Set(name, value)
	}
	for name, values := range response.MultiValueHeaders {
		for _, v := range values {
			h.Add(name, v)
		}
	}
	for _, c := range response.Cookies {
		h.Add("Set-Cookie", c)
	}
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "text/plain;charset=UTF-8")
	}
	h.Del("Content-Length") // net/http knows it
	w.WriteHeader(response.StatusCode)
	_, _ = w.Write(body) // the client has gone if this fails
	return nil
}
