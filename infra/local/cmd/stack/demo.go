package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"aliquot/infra/local"
	"aliquot/shared/blob"
)

// The demonstration's files, of invented people. The specimens are made up by demoSpecimens.
var (
	//go:embed sample/cpr.csv
	demoParticipants []byte
	//go:embed sample/visit.csv
	demoVisits []byte
)

// demoSpecimens is a file of n primary specimens and an aliquot of each fifth, and one row that cannot be saved.
func demoSpecimens(n int) []byte {
	var b bytes.Buffer
	b.WriteString("Visit Name,Specimen Label,Class,Type,Lineage,Parent Specimen Label,Anatomic Site,Collection Status,Initial Quantity,Collection Event#Date and Time,Collection Event#Procedure,Received Event#Quality\n")
	for i := range n {
		fmt.Fprintf(&b, "HB-00%d-V1,HB-S%05d,Fluid,Whole Blood,New,,Blood,Collected,10,19-01-2026 09:30,Venipuncture,Acceptable\n", 1+i%4, i+1)
		if i%5 == 0 {
			fmt.Fprintf(&b, ",HB-S%05d.1,Fluid,Whole Blood,Aliquot,HB-S%05d,,Collected,2,,,\n", i+1, i+1)
		}
	}
	b.WriteString("HB-009-V1,HB-S99999,Fluid,Whole Blood,New,,Blood,Collected,10,19-01-2026 09:30,Venipuncture,Acceptable\n")
	return b.Bytes()
}

// demo shows an import from a dropped file to its report, on a stack that ends with it.
func demo(ctx context.Context, args []string) error {
	flags, p := newFlags("demo")
	rows := flags.Int("rows", 1000, "primary specimens in the sample")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if _, set := p["DropWaitSeconds"]; !set {
		p["DropWaitSeconds"] = "1" // nobody else drops files here
	}
	began := time.Now()
	fmt.Println("Starting the stack; the first time this fetches and builds its parts, which takes some minutes.")
	s, err := local.Start(ctx, local.Options{Params: p, Functions: true, Warn: os.Stderr})
	if err != nil {
		return err
	}
	defer s.Close()
	password, err := ensure(ctx, s, "")
	if err != nil {
		return err
	}
	fmt.Printf("Up after %.1f s: API %s, S3 %s\n\n", time.Since(began).Seconds(), s.API, s.S3Endpoint)

	c := &client{api: s.API}
	if err := c.study(ctx, password); err != nil {
		return err
	}
	if err := c.round(ctx); err != nil {
		return err
	}
	fmt.Printf("\nDropping three files into s3://%s/lab/\n", s.Buckets["intake"])
	bucket := blob.New(s.AWSConfig())
	stamp := time.Now().UTC().Format("20060102150405")
	files := []struct {
		objectType string
		content    []byte
		failed     int64 // rows of the sample that cannot be saved
	}{{"cpr", demoParticipants, 2}, {"visit", demoVisits, 0}, {"specimen", demoSpecimens(*rows), 1}}
	for i, f := range files {
		key := fmt.Sprintf("lab/%s_create_%s00%d.csv", f.objectType, stamp, i)
		if _, err := bucket.Put(ctx, s.Buckets["intake"], key, "text/csv", f.content); err != nil {
			return err
		}
		fmt.Println("  " + key)
	}
	for i, f := range files {
		if err := c.follow(ctx, f.objectType, f.failed); err != nil {
			return fmt.Errorf("file %d: %w", i+1, err)
		}
	}
	fmt.Printf("\nDone in %.1f s.\n", time.Since(began).Seconds())
	return nil
}

// client is a program that uses the REST API.
type client struct{ api, token string }

// study makes what the sample files name: institute, site, the user whose drop folder they lie in, protocol and event.
func (c *client) study(ctx context.Context, password string) error {
	var session struct{ Token string }
	if err := c.call(ctx, http.MethodPost, "/sessions", map[string]any{"loginName": "admin", "password": password}, &session); err != nil {
		return err
	}
	c.token = session.Token
	fmt.Println("Signed in as admin; making a study:")
	for _, o := range []struct {
		path string
		body map[string]any
	}{
		{"/institutes", map[string]any{"name": "Harbour Institute"}},
		{"/sites", map[string]any{"name": "Harbour Biobank", "instituteName": "Harbour Institute", "type": "Repository"}},
		{"/users", map[string]any{
			"firstName": "Lena", "lastName": "Brandt", "emailAddress": "lab@harbour.example", "loginName": "lab",
			"domainName": "openspecimen", "instituteName": "Harbour Institute", "type": "INSTITUTE",
		}},
		{"/collection-protocols", map[string]any{
			"shortTitle": "HARBOUR", "title": "Harbour tissue study", "cpSites": []any{map[string]any{"siteName": "Harbour Biobank"}},
			"principalInvestigator": map[string]any{"emailAddress": "lab@harbour.example"},
		}},
		{"/collection-protocol-events", map[string]any{
			"eventLabel": "Surgery", "cpShortTitle": "HARBOUR", "eventPoint": 0, "eventPointUnit": "DAYS", "defaultSite": "Harbour Biobank",
		}},
	} {
		var made struct{ ID int64 }
		if err := c.call(ctx, http.MethodPost, o.path, o.body, &made); err != nil {
			return err
		}
		fmt.Printf("  POST %-29s id %d\n", o.path, made.ID)
	}
	return nil
}

// call sends a request and reads the answer; anything but 200 is an error that tells why.
func (c *client) call(ctx context.Context, method, path string, body, answer any) error {
	out, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(out, answer); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

func (c *client) send(ctx context.Context, method, path string, body any) ([]byte, error) {
	var in io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.api+"/rest/ng"+path, in)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-OS-API-TOKEN", c.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s: status %d: %s", method, path, resp.StatusCode, out)
	}
	return out, nil
}

// job is an import as the API shows it.
type job struct {
	ID                                            int64
	DisplayName, Status, Reason                   string
	TotalRecords, FailedRecords, ProcessedRecords *int64
}

// follow shows an import's progress until it ends, its counts, and the first lines of its report.
func (c *client) follow(ctx context.Context, objectType string, wantFailed int64) error {
	var bar *progressbar.ProgressBar
	deadline := time.Now().Add(2 * time.Minute)
	for {
		var list []job
		if err := c.call(ctx, http.MethodGet, "/import-jobs?objectType="+objectType, nil, &list); err != nil {
			return err
		}
		if len(list) > 0 && list[0].TotalRecords != nil {
			j := list[0]
			if bar == nil {
				fmt.Println()
				bar = newBar(j.DisplayName, *j.TotalRecords)
			}
			if j.ProcessedRecords != nil {
				if err := bar.Set64(*j.ProcessedRecords); err != nil {
					return err
				}
			}
			if j.Status != "QUEUED" && j.Status != "IN_PROGRESS" {
				if err := bar.Finish(); err != nil {
					return err
				}
				return c.report(ctx, j, wantFailed)
			}
		}
		if time.Now().After(deadline) {
			return errors.New("the import did not end within two minutes")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func newBar(name string, total int64) *progressbar.ProgressBar {
	return progressbar.NewOptions64(total, progressbar.OptionSetDescription(name), progressbar.OptionSetWidth(30),
		progressbar.OptionShowCount(), progressbar.OptionSetWriter(os.Stdout), progressbar.OptionOnCompletion(func() { fmt.Println() }))
}

// report prints what became of a job, and fails when that is not what the sample makes.
func (c *client) report(ctx context.Context, j job, wantFailed int64) error {
	failed := int64(0)
	if j.FailedRecords != nil {
		failed = *j.FailedRecords
	}
	fmt.Printf("job %d: %s, %d rows, %d failed\n", j.ID, j.Status, *j.TotalRecords, failed)
	out, err := c.send(ctx, http.MethodGet, fmt.Sprintf("/import-jobs/%d/output", j.ID), nil)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for n := 0; lines.Scan(); n++ {
		line := lines.Text()
		if n < 4 || strings.Contains(line, `"FAIL"`) {
			fmt.Println("  " + line)
		}
		if n == 4 {
			fmt.Println("  ...")
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if failed != wantFailed {
		return fmt.Errorf("job %d: %d rows failed, and %d were meant to: %s", j.ID, failed, wantFailed, j.Reason)
	}
	return nil
}
