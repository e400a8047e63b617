// Package trigger turns the events that wake a function into calls, and the answers into what the service expects.
package trigger

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
)

// inlineText is the largest answer sent as text. Escaping can make text six times as long, base64 a third: so 4 MB always
// pass the 6 MB that a function may answer.
const inlineText = 1 << 20

// HTTP serves the requests of an HTTP API (payload format 2.0) with h. The request's RemoteAddr is the caller's address
// as the gateway saw it, whatever X-Forwarded-For says.
func HTTP(h http.Handler) func(context.Context, events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	return func(ctx context.Context, event events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
		r, err := request(ctx, event)
		if err != nil {
			return events.APIGatewayV2HTTPResponse{}, err
		}
		w := &response{header: http.Header{}, status: http.StatusOK}
		h.ServeHTTP(w, r)
		return w.event(r.Method == http.MethodHead), nil
	}
}

func request(ctx context.Context, event events.APIGatewayV2HTTPRequest) (*http.Request, error) {
	body := []byte(event.Body)
	if event.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(event.Body); err != nil {
			return nil, fmt.Errorf("decode the body of an event: %w", err)
		}
	}
	path, err := url.PathUnescape(event.RawPath)
	if err != nil {
		path = event.RawPath
	}
	target := &url.URL{Scheme: "https", Host: event.RequestContext.DomainName, Path: path, RawQuery: event.RawQueryString}
	r, err := http.NewRequestWithContext(ctx, event.RequestContext.HTTP.Method, "/", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make a request of an event: %w", err)
	}
	r.URL, r.Host = target, target.Host
	for name, value := range event.Headers {
		r.Header.Set(name, value)
	}
	if len(event.Cookies) > 0 { // the gateway takes them out of the headers
		r.Header.Set("Cookie", strings.Join(event.Cookies, "; "))
	}
	r.RemoteAddr = event.RequestContext.HTTP.SourceIP
	return r, nil
}

// response is an http.ResponseWriter that keeps the answer.
type response struct {
	header  http.Header
	status  int
	written bool
	body    bytes.Buffer
}

// Header implements http.ResponseWriter.
func (w *response) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *response) WriteHeader(status int) {
	if !w.written {
		w.status, w.written = status, true
	}
}

// Write implements http.ResponseWriter.
func (w *response) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

func (w *response) event(head bool) events.APIGatewayV2HTTPResponse {
	out := events.APIGatewayV2HTTPResponse{
		StatusCode: w.status, Headers: map[string]string{}, Cookies: w.header.Values("Set-Cookie"),
	}
	for name, values := range w.header {
		if name != "Set-Cookie" {
			out.Headers[name] = strings.Join(values, ", ")
		}
	}
	switch {
	case head:
	case utf8.Valid(w.body.Bytes()) && w.body.Len() <= inlineText:
		out.Body = w.body.String()
	default:
		out.Body, out.IsBase64Encoded = base64.StdEncoding.EncodeToString(w.body.Bytes()), true
	}
	return out
}
