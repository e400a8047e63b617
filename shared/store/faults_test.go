package store_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"aliquot/infra/local"
	"aliquot/infra/local/localtest"
	"aliquot/shared/biobank"
	"aliquot/shared/biobank/biobanktest"
	"aliquot/shared/jobs"
	"aliquot/shared/store"
)

// unkind stands in front of the database and makes what a kind one never does: throttling, statements and items that were
// not processed, lost answers.
type unkind struct {
	target  string
	calls   atomic.Int64
	trouble func(call int64, op string) trouble
}

type trouble int

const (
	none     trouble = iota
	throttle         // the whole request is refused
	partly           // every other statement, key or item is not processed
	lost             // all is done, and the connection breaks before the answer
	broken           // a server fault after all was done
	garbled          // an answer that is none
)

// codes are what statements that were not processed get, in turn.
var codes = []string{"ThrottlingError", "ProvisionedThroughputExceeded", "TransactionConflict", "InternalServerError", "RequestLimitExceeded"}

func (u *unkind) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := u.calls.Add(1)
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	switch u.trouble(call, op) {
	case none:
		answer(w, u.forward(r, body))
	case throttle:
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"slow down"}`)
	case partly:
		u.part(w, r, op, body)
	case lost:
		u.forward(r, body)
		panic(http.ErrAbortHandler)
	case broken:
		u.forward(r, body)
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, `{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"oops"}`)
	case garbled:
		u.forward(r, body)
		w.WriteHeader(http.StatusOK)
		fmt.Fprint(w, `<html>Welcome</html>`)
	}
}

type forwarded struct {
	status int
	header http.Header
	body   []byte
}

func (u *unkind) forward(r *http.Request, body []byte) forwarded {
	out, err := http.NewRequestWithContext(r.Context(), r.Method, u.target+r.URL.Path, bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	out.Header = r.Header.Clone()
	resp, err := http.DefaultClient.Do(out)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return forwarded{resp.StatusCode, resp.Header, b}
}

func answer(w http.ResponseWriter, f forwarded) {
	maps.Copy(w.Header(), f.header)
	w.WriteHeader(f.status)
	_, _ = w.Write(f.body) // the client may be gone
}

// part does every other part of a request and says of the others that they were not done.
func (u *unkind) part(w http.ResponseWriter, r *http.Request, op string, body []byte) {
	var request map[string]json.RawMessage
	must(json.Unmarshal(body, &request))
	var reply []byte
	switch op {
	case "BatchExecuteStatement":
		var all, some, told []json.RawMessage
		must(json.Unmarshal(request["Statements"], &all))
		for i := range all {
			if i%2 == 1 {
				some = append(some, all[i])
			}
		}
		if len(some) > 0 {
			request["Statements"] = mustJSON(some)
			var done struct{ Responses []json.RawMessage }
			must(json.Unmarshal(u.forward(r, mustJSON(request)).body, &done))
			told = done.Responses
		}
		var responses []json.RawMessage
		for i := range all {
			if i%2 == 1 {
				responses = append(responses, told[i/2])
			} else {
				responses = append(responses, mustJSON(map[string]any{"Error": map[string]string{"Code": codes[i/2%len(codes)], "Message": "not now"}}))
			}
		}
		reply = mustJSON(map[string]any{"Responses": responses})
	case "BatchGetItem":
		var tables map[string]map[string]json.RawMessage
		must(json.Unmarshal(request["RequestItems"], &tables))
		left := map[string]any{}
		for name, table := range tables {
			var all, some, rest []json.RawMessage
			must(json.Unmarshal(table["Keys"], &all))
			for i := range all {
				if i%2 == 0 {
					some = append(some, all[i])
				} else {
					rest = append(rest, all[i])
				}
			}
			if len(rest) > 0 {
				later := maps.Clone(table)
				later["Keys"] = mustJSON(rest)
				left[name] = later
			}
			table["Keys"] = mustJSON(some)
		}
		request["RequestItems"] = mustJSON(tables)
		var done map[string]any
		must(json.Unmarshal(u.forward(r, mustJSON(request)).body, &done))
		done["UnprocessedKeys"] = left
		reply = mustJSON(done)
	case "BatchWriteItem":
		var tables map[string][]json.RawMessage
		must(json.Unmarshal(request["RequestItems"], &tables))
		left := map[string]any{}
		for name, all := range tables {
			if n := len(all) / 2; n > 0 {
				tables[name], left[name] = all[:n], all[n:]
			}
		}
		request["RequestItems"] = mustJSON(tables)
		var done map[string]any
		must(json.Unmarshal(u.forward(r, mustJSON(request)).body, &done))
		done["UnprocessedItems"] = left
		reply = mustJSON(done)
	case "ExecuteTransaction", "TransactWriteItems":
		w.WriteHeader(http.StatusBadRequest)
		n := bytes.Count(body, []byte(`"Statement":`)) + bytes.Count(body, []byte(`"Put":`)) + bytes.Count(body, []byte(`"Update":`)) + bytes.Count(body, []byte(`"Delete":`))
		reasons := make([]map[string]string, n)
		for i := range reasons {
			reasons[i] = map[string]string{"Code": "None"}
		}
		reasons[n-1] = map[string]string{"Code": "TransactionConflict", "Message": "not now"}
		fmt.Fprintf(w, `{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","Message":"cancelled","CancellationReasons":%s}`, mustJSON(reasons))
		return
	default:
		answer(w, u.forward(r, body))
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	_, _ = w.Write(reply) // the client may be gone
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	must(err)
	return b
}

// through makes a configuration whose clients reach the stack through trouble.
func through(t *testing.T, s *local.Stack, trouble func(call int64, op string) trouble) aws.Config {
	t.Helper()
	u := &unkind{target: s.DynamoDBEndpoint, trouble: trouble}
	server := httptest.NewServer(u)
	t.Cleanup(server.Close)
	cfg := s.AWSConfig()
	cfg.ConfigSources, cfg.BaseEndpoint = nil, aws.String(server.URL)
	return cfg
}

// TestRecordsConformInTrouble: whatever happens on the way, nothing is lost and nothing is done twice.
func TestRecordsConformInTrouble(t *testing.T) {
	for name, trouble := range map[string]func(call int64, op string) trouble{
		"throttled":           func(call int64, _ string) trouble { return []trouble{throttle, none}[call%2] },
		"partly":              func(call int64, _ string) trouble { return []trouble{partly, none, partly}[call%3] },
		"partly and throttle": func(call int64, _ string) trouble { return []trouble{partly, throttle, none}[call%3] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			biobanktest.Conform(t, func(t *testing.T) biobank.Store {
				s := localtest.Data(t)
				return store.NewRecords(store.NewClient(through(t, s, trouble)), tablesOf(s.Tables))
			})
		})
	}
}

// TestWritesWhoseAnswerWasLost are found done when they are tried again: an insert exists, an update conflicts, and what is
// stored is stored once. A transaction is known by its token and succeeds.
func TestWritesWhoseAnswerWasLost(t *testing.T) {
	for name, kind := range map[string]trouble{"lost": lost, "broken": broken} {
		t.Run(name, func(t *testing.T) {
			local := localtest.Data(t)
			s := store.NewRecords(store.NewClient(through(t, local, func(call int64, _ string) trouble {
				if call%2 == 1 {
					return kind
				}
				return none
			})), tablesOf(local.Tables))
			rec := &biobank.Record{Key: biobank.Key{Part: "cp#1#2", Sort: "1"}, Type: biobank.Visit, ID: 1, Version: 1, Source: "1#1", Doc: []byte(`{}`)}
			mark := biobank.Write{Kind: biobank.InsertMark, Mark: biobank.Mark{Name: "visit#1", To: rec.Key, ID: 1, Source: "1#1"}}
			res, err := s.Write(t.Context(), false, []biobank.Write{mark, {Kind: biobank.InsertRecord, Record: rec}})
			if err != nil || !slices.Equal(res, []biobank.Result{biobank.Exists, biobank.Exists}) {
				t.Errorf("inserts: %v, %v", res, err)
			}
			next := *rec
			next.Version, next.Doc = 2, []byte(`{"n":2}`)
			if res, err = s.Write(t.Context(), false, []biobank.Write{{Kind: biobank.UpdateRecord, Record: &next}}); err != nil || res[0] != biobank.Conflict {
				t.Errorf("update: %v, %v", res, err)
			}
			last := next
			last.Version, last.Doc = 3, []byte(`{"n":3}`)
			if res, err := s.Transact(t.Context(), []biobank.Write{{Kind: biobank.UpdateRecord, Record: &last}}); err != nil {
				t.Errorf("transaction: %v, %v", res, err)
			}
			got, err := s.Records(t.Context(), []biobank.Key{rec.Key}, true)
			if err != nil || got[rec.Key] == nil || got[rec.Key].Version != 3 || string(got[rec.Key].Doc) != `{"n":3}` {
				t.Errorf("record: %+v, %v", got[rec.Key], err)
			}
		})
	}
}

// TestAnswerThatIsNone is not taken for success.
func TestAnswerThatIsNone(t *testing.T) {
	local := localtest.Data(t)
	s := store.NewRecords(store.NewClient(through(t, local, func(int64, string) trouble { return garbled })), tablesOf(local.Tables))
	if res, err := s.Write(t.Context(), false, []biobank.Write{{Kind: biobank.InsertMark, Mark: biobank.Mark{Name: "visit#1", Source: "1#1"}}}); err == nil {
		t.Errorf("the write is told done: %v", res)
	}
}

// TestThrottlingIsWaitedOutUntilTheCallerGivesUp: it ends with the caller's patience, and says what it was.
func TestThrottlingIsWaitedOutUntilTheCallerGivesUp(t *testing.T) {
	local := localtest.Data(t)
	cfg := through(t, local, func(_ int64, op string) trouble {
		if op == "BatchGetItem" {
			return throttle
		}
		return none
	})
	s := store.NewRecords(store.NewClient(cfg), tablesOf(local.Tables))
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := s.Marks(short, []string{"visit#1"}, true)
	if err == nil || short.Err() == nil {
		t.Errorf("gave up early: %v", err)
	}
}

// TestFaultsTellNoValues: what a person's data holds never gets into the text of an error (people's data).
func TestFaultsTellNoValues(t *testing.T) {
	local := localtest.Data(t)
	tables := tablesOf(local.Tables)
	client := store.NewClient(local.AWSConfig())
	const secret = "Mustermann"
	huge := strings.Repeat(secret, 60_000) // more than an item holds
	rec := &biobank.Record{Key: biobank.Key{Part: "cp#1#2", Sort: "1"}, Type: biobank.Visit, ID: 1, Version: 1, Source: "1#1", Doc: []byte(huge)}
	long := strings.Repeat(secret, 500) // more than a key holds
	missing := tables
	missing.Records = "not-there"
	for name, s := range map[string]*store.Records{"limits": store.NewRecords(client, tables), "no table": store.NewRecords(client, missing)} {
		ctx := t.Context()
		_, record := s.Write(ctx, false, []biobank.Write{{Kind: biobank.InsertRecord, Record: rec}})
		_, mark := s.Write(ctx, false, []biobank.Write{{Kind: biobank.InsertMark, Mark: biobank.Mark{Name: long, Source: "1#1"}}})
		_, transaction := s.Transact(ctx, []biobank.Write{{Kind: biobank.InsertRecord, Record: rec}})
		_, marks := s.Marks(ctx, []string{long}, true)
		for what, err := range map[string]error{"record": record, "mark": mark, "transaction": transaction, "marks": marks} {
			if err == nil {
				t.Errorf("%s: the %s was taken", name, what)
			} else if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error of the %s holds the value: %.300s", name, what, err)
			}
		}
	}
}

// TestJobsInTrouble: chunks are all made, and a job is made once and ended once.
func TestJobsInTrouble(t *testing.T) {
	for name, kind := range map[string]trouble{"partly": partly, "throttled": throttle, "lost": lost} {
		t.Run(name, func(t *testing.T) {
			local := localtest.Data(t)
			s := store.NewJobs(store.NewClient(through(t, local, func(call int64, op string) trouble {
				if op == "UpdateItem" && kind == lost { // a lease whose answer was lost runs out
					return none
				}
				return []trouble{none, none, kind}[call%3]
			})), tablesOf(local.Tables))
			j := mustLease(t, s, mustCreate(t, s, drop("ada", "1", "a.csv")).ID, now)
			if err := s.AddChunks(t.Context(), j.ID, 60); err != nil {
				t.Fatal(err)
			}
			if chunks, err := s.Chunks(t.Context(), j.ID, -1, 0); err != nil || len(chunks) != 60 {
				t.Errorf("%d chunks, %v", len(chunks), err)
			}
			j.Status = jobs.Stopped
			if err := s.End(t.Context(), j); err != nil {
				t.Errorf("end: %v", err)
			}
			all, err := s.List(t.Context(), jobs.Filter{})
			open, err2 := s.Open(t.Context())
			waiting, err3 := s.Drops(t.Context(), "ada")
			if len(all) != 1 || all[0].Status != jobs.Stopped || len(open) > 0 || len(waiting) > 0 || errors.Join(err, err2, err3) != nil {
				t.Errorf("jobs %v, open %v, waiting %v, %v %v %v", all, open, waiting, err, err2, err3)
			}
		})
	}
}
