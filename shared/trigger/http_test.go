package trigger_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"aliquot/shared/trigger"
)

// seen is what a handler sees of an event.
type seen struct {
	Method, Path, Query, Host, Body, From, Accept, Cookie string
}

func TestRequestsReachTheHandler(t *testing.T) {
	tests := map[string]struct {
		event events.APIGatewayV2HTTPRequest
		want  seen
	}{
		"as recorded": {
			mustEvent(t, "sign-in.json"),
			seen{
				Method: "POST", Path: "/openspecimen/rest/ng/sessions", Host: "api.example.org", From: "203.0.113.7",
				Body: `{"loginName":"admin","password":"Invented-1"}`, Accept: "application/json",
			},
		},
		"base64, cookies, escapes, a spoofed address": {
			events.APIGatewayV2HTTPRequest{
				RawPath: "/rest/ng/sites/a%20b", RawQueryString: "name=&x=1&", IsBase64Encoded: true,
				Body:    base64.StdEncoding.EncodeToString([]byte("\x00\xff")),
				Cookies: []string{"a=1", "osAuthToken=t"},
				Headers: map[string]string{"x-forwarded-for": "198.51.100.1", "accept": "*/*"},
				RequestContext: events.APIGatewayV2HTTPRequestContext{
					DomainName: "h", HTTP: events.APIGatewayV2HTTPRequestContextHTTPDescription{Method: "PUT", SourceIP: "203.0.113.9"},
				},
			},
			seen{
				Method: "PUT", Path: "/rest/ng/sites/a b", Query: "name=&x=1&", Host: "h", Body: "\x00\xff", From: "203.0.113.9",
				Accept: "*/*", Cookie: "t",
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got seen
			h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				got = seen{
					Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Host: r.Host, Body: string(body),
					From: r.RemoteAddr, Accept: r.Header.Get("Accept"),
				}
				if c, err := r.Cookie("osAuthToken"); err == nil {
					got.Cookie = c.Value
				}
			})
			if _, err := trigger.HTTP(h)(t.Context(), tt.event); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBodyThatIsNotBase64(t *testing.T) {
	event := events.APIGatewayV2HTTPRequest{IsBase64Encoded: true, Body: "%%%"}
	if _, err := trigger.HTTP(http.NotFoundHandler())(t.Context(), event); err == nil {
		t.Error("accepted")
	}
}

func TestAnswers(t *testing.T) {
	tests := map[string]struct {
		method string
		write  func(w http.ResponseWriter)
		want   events.APIGatewayV2HTTPResponse
	}{
		"nothing": {"GET", func(http.ResponseWriter) {}, events.APIGatewayV2HTTPResponse{StatusCode: 200, Headers: map[string]string{}}},
		"text": {"GET", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Add("Vary", "A")
			w.Header().Add("Vary", "B")
			w.Header().Add("Set-Cookie", "a=1")
			w.Header().Add("Set-Cookie", "b=2")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, "[ä]")
		}, events.APIGatewayV2HTTPResponse{
			StatusCode: 400, Headers: map[string]string{"Content-Type": "application/json", "Vary": "A, B"},
			Cookies: []string{"a=1", "b=2"}, Body: "[ä]",
		}},
		"bytes": {"GET", func(w http.ResponseWriter) { _, _ = w.Write([]byte{0xff}) }, events.APIGatewayV2HTTPResponse{
			StatusCode: 200, Headers: map[string]string{}, Body: "/w==", IsBase64Encoded: true,
		}},
		"much text": {"GET", func(w http.ResponseWriter) { _, _ = io.WriteString(w, strings.Repeat("<", 1<<20+2)) }, events.APIGatewayV2HTTPResponse{
			StatusCode: 200, Headers: map[string]string{}, Body: strings.Repeat("PDw8", (1<<20+2)/3), IsBase64Encoded: true,
		}},
		"head": {"HEAD", func(w http.ResponseWriter) { _, _ = io.WriteString(w, "x") }, events.APIGatewayV2HTTPResponse{
			StatusCode: 200, Headers: map[string]string{},
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var event events.APIGatewayV2HTTPRequest
			event.RequestContext.HTTP.Method = tt.method
			got, err := trigger.HTTP(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { tt.write(w) }))(t.Context(), event)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

func mustEvent(t *testing.T, name string) events.APIGatewayV2HTTPRequest {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "events", "api", name))
	if err != nil {
		t.Fatal(err)
	}
	var event events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal(text, &event); err != nil {
		t.Fatal(err)
	}
	return event
}
