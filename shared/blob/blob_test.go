package blob_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"aliquot/infra/local/localtest"
	"aliquot/shared/blob"
)

func TestReadMissing(t *testing.T) {
	store, bucket := newStore(t)
	ctx := t.Context()
	missing := blob.Object{Bucket: bucket, Key: "missing"}
	info := mustPut(t, store, bucket, "there", []byte("x"))

	tests := map[string]func() error{
		"head":       func() error { _, err := store.Head(ctx, missing); return err },
		"open":       func() error { _, err := store.Open(ctx, missing, 0, -1); return err },
		"open range": func() error { _, err := store.Open(ctx, missing, 5, 9); return err },
		"get":        func() error { _, err := store.Get(ctx, missing, 10); return err },
		"old version": func() error {
			_, err := store.Head(ctx, blob.Object{Bucket: bucket, Key: "there", Version: "01JZZZZZZZZZZZZZZZZZZZZZZZ"})
			return err
		},
	}
	for name, read := range tests {
		t.Run(name, func(t *testing.T) {
			if err := read(); !errors.Is(err, blob.ErrNotFound) {
				t.Errorf("got %v, want ErrNotFound", err)
			}
		})
	}
	if _, err := store.Head(ctx, blob.Object{Bucket: bucket, Key: "there", Version: info.Version}); err != nil {
		t.Errorf("its own version: %v", err)
	}
	if _, err := store.Get(ctx, blob.Object{Bucket: "no-such-bucket-here", Key: "k"}, 10); err == nil || errors.Is(err, blob.ErrNotFound) {
		t.Errorf("missing bucket: got %v, want a fault that is not ErrNotFound", err)
	}
	if err := store.Delete(ctx, missing); err != nil {
		t.Errorf("delete of a missing object: %v", err)
	}
}

func TestReadRanges(t *testing.T) {
	store, bucket := newStore(t)
	mustPut(t, store, bucket, "ten", []byte("0123456789"))
	mustPut(t, store, bucket, "empty", nil)

	tests := []struct {
		key      string
		from, to int64
		want     string
	}{
		{"ten", 0, -1, "0123456789"},
		{"ten", 3, -1, "3456789"},
		{"ten", 3, 5, "34"},
		{"ten", 8, 100, "89"},
		{"ten", 5, 5, ""},
		{"ten", 10, -1, ""},
		{"ten", 50, 60, ""},
		{"empty", 0, -1, ""},
		{"empty", 0, 10, ""},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s %d-%d", tt.key, tt.from, tt.to), func(t *testing.T) {
			if got := mustRead(t, store, blob.Object{Bucket: bucket, Key: tt.key}, tt.from, tt.to); string(got) != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestGetOverTheLimit(t *testing.T) {
	store, bucket := newStore(t)
	mustPut(t, store, bucket, "ten", []byte("0123456789"))
	if _, err := store.Get(t.Context(), blob.Object{Bucket: bucket, Key: "ten"}, 9); !errors.Is(err, blob.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	if got, err := store.Get(t.Context(), blob.Object{Bucket: bucket, Key: "ten"}, 10); err != nil || string(got) != "0123456789" {
		t.Errorf("at the limit: %q, %v", got, err)
	}
}

func TestOldVersionStaysReadable(t *testing.T) {
	store, bucket := newStore(t)
	first := mustPut(t, store, bucket, "v", []byte("first"))
	mustPut(t, store, bucket, "v", []byte("second"))
	if got := mustRead(t, store, blob.Object{Bucket: bucket, Key: "v", Version: first.Version}, 0, -1); string(got) != "first" {
		t.Errorf("got %q, want the first version", got)
	}
}

func TestWriteStream(t *testing.T) {
	store, bucket := newStore(t)
	for _, size := range []int{0, 1, 8 << 20, 8<<20 + 1, 20 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			body := randomBytes(size)
			key := fmt.Sprintf("stream/%d", size)
			w := store.Create(t.Context(), bucket, key, "text/csv")
			if _, err := io.Copy(w, bytes.NewReader(body)); err != nil {
				t.Fatal(err)
			}
			if _, err := store.Head(t.Context(), blob.Object{Bucket: bucket, Key: key}); !errors.Is(err, blob.ErrNotFound) {
				t.Errorf("before Close: got %v, want ErrNotFound", err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if w.Info().Size != int64(size) {
				t.Errorf("size %d, want %d", w.Info().Size, size)
			}
			if got := mustRead(t, store, blob.Object{Bucket: bucket, Key: key}, 0, -1); !bytes.Equal(got, body) {
				t.Errorf("read back %d bytes that differ", len(got))
			}
			if err := w.Close(); err != nil {
				t.Errorf("second Close: %v", err)
			}
			if _, err := w.Write([]byte("late")); err == nil {
				t.Error("a write after Close succeeded")
			}
		})
	}
}

func TestAbortedStreamLeavesNothing(t *testing.T) {
	store, bucket := newStore(t)
	w := store.Create(t.Context(), bucket, "aborted", "text/csv")
	if _, err := w.Write(randomBytes(9 << 20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Abort(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err == nil {
		t.Error("Close after Abort succeeded")
	}
	if _, err := store.Head(t.Context(), blob.Object{Bucket: bucket, Key: "aborted"}); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	if n, err := store.AbortUploads(t.Context(), bucket, "", time.Now().Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("left %d uploads behind, %v", n, err)
	}
}

func TestForgottenUploadsAreAborted(t *testing.T) {
	store, bucket := newStore(t)
	w := store.Create(t.Context(), bucket, "jobs/forgotten", "text/csv")
	if _, err := w.Write(randomBytes(9 << 20)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, prefix string
		olderThan    time.Time
		want         int
	}{
		{"too young", "jobs/", time.Now().Add(-time.Hour), 0},
		{"elsewhere", "other/", time.Now().Add(time.Hour), 0},
		{"old", "jobs/", time.Now().Add(time.Hour), 1},
		{"gone", "jobs/", time.Now().Add(time.Hour), 0},
	} {
		if n, err := store.AbortUploads(t.Context(), bucket, tt.prefix, tt.olderThan); n != tt.want || err != nil {
			t.Errorf("%s: aborted %d, %v, want %d", tt.name, n, err, tt.want)
		}
	}
	if err := w.Close(); err == nil {
		t.Error("Close of an aborted upload succeeded")
	}
}

func TestList(t *testing.T) {
	store, bucket := newStore(t)
	for _, key := range []string{"a/1", "a/2", "a/3", "b/1"} {
		mustPut(t, store, bucket, key, []byte(key))
	}
	tests := []struct {
		name, prefix, after string
		limit               int32
		want                string
	}{
		{"all", "", "", 1000, "a/1 a/2 a/3 b/1"},
		{"prefix", "a/", "", 1000, "a/1 a/2 a/3"},
		{"after", "a/", "a/1", 1000, "a/2 a/3"},
		{"limit", "a/", "a/1", 1, "a/2"},
		{"nothing", "c/", "", 10, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list, err := store.List(t.Context(), bucket, tt.prefix, tt.after, tt.limit)
			if err != nil {
				t.Fatal(err)
			}
			var keys []string
			for _, l := range list {
				if l.Size != 3 || l.Modified.IsZero() {
					t.Errorf("%+v: want size 3 and a time", l)
				}
				keys = append(keys, l.Key)
			}
			if got := strings.Join(keys, " "); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestRemoveBelow(t *testing.T) {
	store, bucket := newStore(t)
	for _, key := range []string{"a/1", "a/2/3", "ab", "b/1"} {
		mustPut(t, store, bucket, key, []byte(key))
	}
	for range 2 { // the second time there is nothing
		if err := store.RemoveBelow(t.Context(), bucket, "a/"); err != nil {
			t.Fatal(err)
		}
	}
	list, err := store.List(t.Context(), bucket, "", "", 1000)
	if err != nil || len(list) != 2 || list[0].Key != "ab" || list[1].Key != "b/1" {
		t.Errorf("left %v, %v", list, err)
	}
}

func TestPresigned(t *testing.T) {
	store, bucket := newStore(t)
	put, err := store.PresignPut(t.Context(), bucket, "p/up load.csv", "text/csv", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if code, body, _ := send(t, put, "a,b\n"); code != http.StatusOK {
		t.Fatalf("upload: %d %s", code, body)
	}
	for _, tt := range []struct {
		as                       blob.Download
		disposition, contentType string
	}{
		{blob.Download{Name: "BulkImportJob_1.csv"}, "attachment; filename=BulkImportJob_1.csv", "text/csv"},
		{blob.Download{Name: "log.csv", Inline: true, ContentType: "application/x-log"}, "inline; filename=log.csv", "application/x-log"},
	} {
		get, err := store.PresignGet(t.Context(), blob.Object{Bucket: bucket, Key: "p/up load.csv"}, tt.as, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		code, body, header := send(t, get, "")
		if code != http.StatusOK || body != "a,b\n" {
			t.Errorf("download: %d %q", code, body)
		}
		if got := header.Get("Content-Disposition"); got != tt.disposition {
			t.Errorf("disposition %q, want %q", got, tt.disposition)
		}
		if got := header.Get("Content-Type"); got != tt.contentType {
			t.Errorf("type %q, want %q", got, tt.contentType)
		}
	}
	other := put
	other.URL = strings.Replace(put.URL, "load.csv", "else.csv", 1)
	if code, _, _ := send(t, other, "x"); code != http.StatusForbidden {
		t.Errorf("the signature of one key served another: %d", code)
	}
}

// TestBrokenReadGoesOn reads through a proxy that cuts connections in the middle of bodies.
func TestBrokenReadGoesOn(t *testing.T) {
	store, bucket := newStore(t)
	body := randomBytes(300_000)
	info := mustPut(t, store, bucket, "long", body)

	for _, tt := range []struct {
		name     string
		from, to int64
		want     []byte
	}{
		{"whole", 0, -1, body},
		{"range", 1_000, 250_000, body[1_000:250_000]},
		{"from", 200_000, -1, body[200_000:]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cutter := &cutter{after: 40_000}
			r, err := cut(t, cutter).Open(t.Context(), blob.Object{Bucket: bucket, Key: "long", Version: info.Version}, tt.from, tt.to)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, tt.want) {
				t.Errorf("read %d of %d bytes, equal: %v, %v", len(got), len(tt.want), bytes.Equal(got, tt.want), err)
			}
			if cutter.cuts.Load() < 2 {
				t.Errorf("only %d cuts", cutter.cuts.Load())
			}
		})
	}

	t.Run("replaced meanwhile", func(t *testing.T) {
		r, err := cut(t, &cutter{after: 40_000}).Open(t.Context(), blob.Object{Bucket: bucket, Key: "long"}, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		mustPut(t, store, bucket, "long", randomBytes(300_001))
		if got, err := io.ReadAll(r); err == nil {
			t.Errorf("read %d bytes of two objects as one", len(got))
		}
	})

	t.Run("never heals", func(t *testing.T) {
		r, err := cut(t, &cutter{after: 40_000, forGood: true}).Open(t.Context(), blob.Object{Bucket: bucket, Key: "long"}, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if got, err := io.ReadAll(r); err == nil || len(got) != 40_000 {
			t.Errorf("read %d bytes, %v; want 40000 and a fault", len(got), err)
		}
	})
}

// Messages do not tell how somebody named a file, for names may be those of people: neither those of S3's answers nor those of
// a network that is gone, which tell the URL.
func TestMessagesHaveNoNames(t *testing.T) {
	store, bucket := newStore(t)
	gone := localtest.Data(t).AWSConfig()
	gone.ConfigSources, gone.BaseEndpoint, gone.RetryMaxAttempts = nil, aws.String("http://127.0.0.1:1"), 1
	const name = "Invented-Name 1.xml"
	o := blob.Object{Bucket: bucket, Key: "owner/odm/S_RIVER/" + name}
	for what, store := range map[string]*blob.Store{"no object": store, "no network": blob.New(gone)} {
		_, err := store.Head(t.Context(), o)
		_, getErr := store.Get(t.Context(), o, 1)
		_, putErr := store.Put(t.Context(), o.Bucket+what, o.Key, "text/xml", nil)
		w := store.Create(t.Context(), o.Bucket+what, o.Key, "text/xml")
		_, writeErr := w.Write(make([]byte, 20<<20))
		for act, err := range map[string]error{"head": err, "get": getErr, "put": putErr, "write": writeErr} {
			if err == nil || strings.Contains(err.Error(), "Invented") || !strings.Contains(err.Error(), "/owner/odm/S_RIVER/") {
				t.Errorf("%s, %s: %v", what, act, err)
			}
			if missing := errors.Is(err, blob.ErrNotFound); missing != (what == "no object" && (act == "head" || act == "get")) {
				t.Errorf("%s, %s: missing %v: %v", what, act, missing, err)
			}
		}
	}
}

// cutter is a round tripper that ends every body of an object after some bytes, as a lost connection does.
type cutter struct {
	after   int
	forGood bool // nothing comes after the first cut
	cuts    atomic.Int32
}

func (c *cutter) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil || req.Method != http.MethodGet {
		return resp, err
	}
	n := c.after
	if c.forGood && c.cuts.Load() > 0 {
		n = 0
	}
	resp.Body = &cutBody{ReadCloser: resp.Body, left: n, cutter: c}
	return resp, nil
}

type cutBody struct {
	io.ReadCloser
	left   int
	cutter *cutter
}

func (b *cutBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		b.cutter.cuts.Add(1)
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// cut is a store behind a reverse proxy that uses c. The proxy keeps the Host, which is signed.
func cut(t *testing.T, c *cutter) *blob.Store {
	t.Helper()
	stack := localtest.Data(t)
	cfg := stack.AWSConfig()
	target, err := url.Parse(stack.S3Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
		},
		Transport: c,
		ErrorLog:  log.New(io.Discard, "", 0),
	})
	t.Cleanup(proxy.Close)
	cfg.ConfigSources = nil
	cfg.BaseEndpoint = aws.String(proxy.URL)
	cfg.RetryMaxAttempts = 1
	return blob.New(cfg)
}

func newStore(t *testing.T) (store *blob.Store, bucket string) {
	t.Helper()
	stack := localtest.Data(t)
	return blob.New(stack.AWSConfig()), stack.Buckets["intake"]
}

func mustPut(t *testing.T, s *blob.Store, bucket, key string, body []byte) blob.Info {
	t.Helper()
	info, err := s.Put(t.Context(), bucket, key, "text/csv", body)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func mustRead(t *testing.T, s *blob.Store, o blob.Object, from, to int64) []byte {
	t.Helper()
	r, err := s.Open(t.Context(), o, from, to)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func send(t *testing.T, p blob.Presigned, body string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), p.Method, p.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range p.Header {
		req.Header[name] = values
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer), resp.Header
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	src := rand.New(rand.NewPCG(1, uint64(n)))
	for i := range b {
		b[i] = byte(src.Uint32())
	}
	return b
}
