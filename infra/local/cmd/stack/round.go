package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// round shows the life of a record through the API, as the lines of curl that do the same and what they print: it is
// created, read, changed and deleted, and then not found.
func (c *client) round(ctx context.Context) error {
	fmt.Printf("\nA record from its creation to its end:\n  export API=%s/rest/ng TOKEN=...  # of POST /sessions\n", c.api)
	const site = `{"name": "Harbour Clinic", "instituteName": "Harbour Institute", "type": "Collection Site"}`
	var made struct{ ID int64 }
	if err := c.curl(ctx, http.MethodPost, "/sites", site, &made); err != nil {
		return err
	}
	at := fmt.Sprintf("/sites/%d", made.ID)
	if err := c.curl(ctx, http.MethodGet, at, "", nil); err != nil {
		return err
	}
	if err := c.curl(ctx, http.MethodPatch, at, `{"address": "Pier 4"}`, nil); err != nil {
		return err
	}
	if err := c.curl(ctx, http.MethodDelete, at, "", nil); err != nil {
		return err
	}
	fmt.Printf("%s $API%s\n", signed, at)
	_, err := c.send(ctx, http.MethodGet, at, nil)
	if err == nil || !strings.Contains(err.Error(), "SITE_NOT_FOUND") {
		return fmt.Errorf("%s is deleted, and yet: %v", at, err)
	}
	_, told, _ := strings.Cut(err.Error(), "status ")
	fmt.Println("  " + told)
	return nil
}

// signed begins every line of curl.
const signed = "\n  $ curl -H \"X-OS-API-TOKEN: $TOKEN\""

// curl sends a request, printed as the line of curl that would send it, and prints the answer.
func (c *client) curl(ctx context.Context, method, path, body string, answer any) error {
	line := signed
	if method != http.MethodGet {
		line += " -X " + method
	}
	var send any
	if body != "" {
		line += " -H 'Content-Type: application/json' -d '" + body + "'"
		send = json.RawMessage(body)
	}
	fmt.Printf("%s $API%s\n", line, path)
	out, err := c.send(ctx, method, path, send)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := json.Indent(&text, out, "  ", "  "); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	fmt.Println("  " + text.String())
	if answer == nil {
		return nil
	}
	return json.Unmarshal(out, answer)
}
