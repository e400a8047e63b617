package api_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// An answer over 4 MB, here the audit of a site that moves a lot, comes from S3.
func TestAnswersOverTheLimitComeFromElsewhere(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	c.must("POST", "/sites", `{"name":"Here and there","instituteName":"Default Institute","type":"Laboratory"}`)
	const moves = 20
	for i := range moves {
		address := strings.Repeat(fmt.Sprint(i%10), 120_000)
		c.must("PATCH", "/sites/1", fmt.Sprintf(`{"address":%q}`, address))
	}
	a := c.do("GET", "/sites/1/audit", "")
	var v struct{ URL string }
	if err := json.Unmarshal([]byte(a.body), &v); err != nil || a.status != http.StatusSeeOther {
		t.Fatalf("%d %.300s", a.status, a.body)
	}
	if a.header.Get("Location") != v.URL || a.header.Get("Content-Type") != "application/json;charset=UTF-8" {
		t.Errorf("headers %v", a.header)
	}
	resp, err := http.Get(v.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var audit struct {
		Verified bool
		Entries  []any
	}
	if err := json.Unmarshal(body, &audit); err != nil || !audit.Verified || len(audit.Entries) != moves+1 || len(body) <= 4<<20 {
		t.Errorf("%d bytes at the link, with %d entries, verified %v: %v", len(body), len(audit.Entries), audit.Verified, err)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/json;charset=UTF-8" {
		t.Errorf("content type %q", got)
	}

	head := c.do("HEAD", "/sites/1/audit", "")
	if head.status != http.StatusSeeOther || head.header.Get("Location") == "" || head.body != "" {
		t.Errorf("HEAD: %d %v %.100q", head.status, head.header, head.body)
	}
	if !strings.Contains(w.logged(), `"status":303`) {
		t.Error("the log has no 303")
	}
}
