package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// endpointSpec is what the counting endpoint is told.
type endpointSpec struct {
	// DynamoDB is the address of the local DynamoDB.
	DynamoDB string
	Jobs     string // the name of the jobs table
	// StandIn answers what is asked once a row or once a few rows: batches of statements, and look-ups of the visits and
	// specimens that rows name. Without it every request goes to the local DynamoDB.
	StandIn bool
	Delay   time.Duration // waited before each answer
	// Capture names a file that gets the first Keep batches of statements that the stand-in answers, a line each.
	Capture string
	Keep    int
	// Mark, Label and Specimen are items of the local DynamoDB: the mark of visit 1's name, that of specimen 1's label, and
	// specimen 1. The stand-in makes the others after them.
	Mark, Label, Specimen item
}

// soonest is the least wait before an answer. When an answer begins before the SDK's HTTP client has seen the end of the
// request's body, which the SDK then closes, the client takes that for a fault and drops the connection, with what it has
// not read yet of the answer. No real service answers that fast; on a busy machine it happens all the same, and is told.
const soonest = 300 * time.Microsecond

// counts is what the endpoint has seen.
type counts struct {
	Requests    int
	ByOperation map[string]int
	Connections int
	WriteUnits  float64
	ReadUnits   float64
	// ParentReadUnits is the part of ReadUnits that look-ups of visits by their names took, and RecordBytes and Records tell
	// the size of the specimens written. The stand-in alone counts them.
	ParentReadUnits      float64
	RecordBytes, Records int
}

// endpoint counts requests and the units they use, and answers them itself or has the local DynamoDB do it.
type endpoint struct {
	endpointSpec
	mu      sync.Mutex
	counts  counts
	texts   map[string]*statement
	capture *os.File
	failed  error // the first request that was not understood
}

// runEndpoint serves until the standard input ends. It prints its address first.
func runEndpoint(_ context.Context, doc []byte) error {
	e := &endpoint{texts: map[string]*statement{}}
	if err := json.Unmarshal(doc, &e.endpointSpec); err != nil {
		return err
	}
	e.reset()
	if e.Capture != "" {
		f, err := os.Create(e.Capture)
		if err != nil {
			return err
		}
		defer f.Close()
		e.capture = f
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("%q\n", "http://"+l.Addr().String())
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{$}", e.serve)
	mux.HandleFunc("GET /counts", func(w http.ResponseWriter, _ *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.failed != nil {
			http.Error(w, e.failed.Error(), http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(e.counts) // the parent notices
		e.reset()
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute, ConnState: func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			e.mu.Lock()
			e.counts.Connections++
			e.mu.Unlock()
		}
	}}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // it ends with the parent, however that ends
		_ = server.Close()                   // connections under way are cut
	}()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (e *endpoint) reset() { e.counts = counts{ByOperation: map[string]int{}} }

func (e *endpoint) serve(w http.ResponseWriter, r *http.Request) {
	var body bytes.Buffer
	body.Grow(int(max(r.ContentLength, 0)))
	if _, err := body.ReadFrom(r.Body); err != nil {
		http.Error(w, "the body could not be read", http.StatusBadRequest)
		return
	}
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	e.mu.Lock()
	e.counts.Requests++
	e.counts.ByOperation[operation]++
	e.mu.Unlock()
	var answer []byte
	var err error
	status := http.StatusOK
	switch {
	case e.StandIn && operation == "BatchExecuteStatement":
		answer, err = e.statements(body.Bytes())
	case e.StandIn && operation == "BatchGetItem":
		answer, err = e.batchGet(r, body.Bytes())
	default:
		answer, status, err = e.forward(r, operation, body.Bytes())
	}
	if err != nil {
		e.mu.Lock()
		e.failed = errors.Join(e.failed, fmt.Errorf("%s: %w", operation, err))
		e.mu.Unlock()
		answer, status = []byte(`{"__type":"com.amazonaws.dynamodb.v20120810#ValidationException","message":"not understood"}`), http.StatusBadRequest
	}
	time.Sleep(max(e.Delay, soonest))
	h := w.Header()
	h.Set("Content-Type", "application/x-amz-json-1.0")
	h.Set("Content-Length", strconv.Itoa(len(answer)))
	h.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(answer)), 10)) // as DynamoDB does; the SDK checks it
	h.Set("X-Amzn-Requestid", "BENCH")
	w.WriteHeader(status)
	_, _ = w.Write(answer) // a client that has gone is noticed by the parent
}

// forward has the local DynamoDB answer, and sums what it says that the request used.
func (e *endpoint) forward(r *http.Request, operation string, body []byte) ([]byte, int, error) {
	const ask = `{"ReturnConsumedCapacity":"TOTAL",`
	body = bytes.TrimSpace(body)
	if len(body) < 2 || body[0] != '{' {
		return nil, 0, errors.New("the body is not an object")
	}
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, e.DynamoDB+"/", bytes.NewReader(append([]byte(ask), body[1:]...)))
	if err != nil {
		return nil, 0, err
	}
	for _, name := range []string{"Authorization", "X-Amz-Date", "X-Amz-Target", "Content-Type"} {
		req.Header.Set(name, r.Header.Get(name))
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, 0, err
	}
	if resp.StatusCode != http.StatusOK {
		return answer, resp.StatusCode, nil // a condition that failed, perhaps
	}
	units, err := consumed(answer)
	if err != nil {
		return nil, 0, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch operation {
	case "BatchGetItem", "GetItem", "Query":
		e.counts.ReadUnits += units
	case "BatchExecuteStatement", "ExecuteTransaction", "UpdateItem", "PutItem", "BatchWriteItem", "TransactWriteItems":
		e.counts.WriteUnits += units
	default:
		return nil, 0, errors.New("it is not known whether it reads or writes")
	}
	return answer, resp.StatusCode, nil
}

// consumed sums the units that an answer tells.
func consumed(answer []byte) (float64, error) {
	var told struct{ ConsumedCapacity json.RawMessage }
	if err := json.Unmarshal(answer, &told); err != nil {
		return 0, err
	}
	type capacity struct{ CapacityUnits float64 }
	var all []capacity
	if len(told.ConsumedCapacity) > 0 && told.ConsumedCapacity[0] == '{' {
		all = make([]capacity, 1)
		if err := json.Unmarshal(told.ConsumedCapacity, &all[0]); err != nil {
			return 0, err
		}
	} else if err := json.Unmarshal(told.ConsumedCapacity, &all); err != nil {
		return 0, fmt.Errorf("the local DynamoDB does not tell what it used: %w", err)
	}
	sum := 0.0
	for _, c := range all {
		sum += c.CapacityUnits
	}
	return sum, nil
}

// statement is a PartiQL statement, taken apart.
type statement struct {
	insert bool
	table  string
	// parts are the names in the order of the parameters, and literal values with their names.
	params   []string
	literals item
	set      int // of an update: how many parameters are set; the others are the condition
}

var (
	insertText  = regexp.MustCompile(`^INSERT INTO "([^"]+)" VALUE \{(.*)\}$`)
	updateText  = regexp.MustCompile(`^UPDATE "([^"]+)" SET (.*) WHERE (.*)$`)
	memberText  = regexp.MustCompile(`'(\w+)':(?:\?|'([^']*)')`)
	operandText = regexp.MustCompile(`(\w+)=(?:\?|'([^']*)')`)
)

func parseStatement(text string) (*statement, error) {
	s := &statement{literals: item{}}
	add := func(re *regexp.Regexp, list string) {
		for _, m := range re.FindAllStringSubmatch(list, -1) {
			if strings.HasSuffix(m[0], "?") {
				s.params = append(s.params, m[1])
			} else {
				s.literals[m[1]] = value{S: &m[2]}
			}
		}
	}
	if m := insertText.FindStringSubmatch(text); m != nil {
		s.insert, s.table = true, m[1]
		add(memberText, m[2])
		return s, nil
	}
	if m := updateText.FindStringSubmatch(text); m != nil {
		s.table = m[1]
		add(operandText, m[2])
		s.set = len(s.params)
		add(operandText, m[3])
		return s, nil
	}
	return nil, fmt.Errorf("a statement that the stand-in does not know: %s", text)
}

// statements answers a batch of statements, every one of which succeeds.
func (e *endpoint) statements(body []byte) ([]byte, error) {
	var in struct {
		Statements []struct {
			Statement  string
			Parameters []value
		}
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	answer := []byte(`{"Responses":[`)
	for i, one := range in.Statements {
		s := e.texts[one.Statement]
		if s == nil {
			var err error
			if s, err = parseStatement(one.Statement); err != nil {
				return nil, err
			}
			e.texts[one.Statement] = s
		}
		if len(one.Parameters) != len(s.params) {
			return nil, fmt.Errorf("%d parameters for %d places", len(one.Parameters), len(s.params))
		}
		size, err := e.written(s, one.Parameters)
		if err != nil {
			return nil, err
		}
		e.counts.WriteUnits += writeUnits(size)
		if i > 0 {
			answer = append(answer, ',')
		}
		answer = append(answer, `{"TableName":"`...)
		answer = append(answer, s.table...)
		answer = append(answer, `"}`...)
	}
	if e.capture != nil && e.Keep > 0 {
		e.Keep--
		if _, err := e.capture.Write(append(body[:len(body):len(body)], '\n')); err != nil {
			return nil, err
		}
	}
	return append(answer, `]}`...), nil
}

// written is the size by which a write is paid: of an update, the larger of the item before and after.
func (e *endpoint) written(s *statement, params []value) (int, error) {
	if s.table == e.Jobs {
		return 1, nil // the lease is renewed in an item of a fraction of a KB
	}
	if s.insert {
		size, err := s.literals.size()
		record := false
		for i, name := range s.params {
			n, err := params[i].size()
			if err != nil {
				return 0, err
			}
			size += len(name) + n
			record = record || name == "made"
		}
		if record {
			e.counts.Records++
			e.counts.RecordBytes += size
		}
		return size, err
	}
	var pk, sk string
	for i := s.set; i < len(s.params); i++ {
		switch s.params[i] {
		case "pk":
			pk = *params[i].S
		case "sk":
			sk = *params[i].S
		}
	}
	stored := e.made(pk, sk)
	if stored == nil {
		return 0, fmt.Errorf("an update of an item that is not there")
	}
	before, err := stored.size()
	if err != nil {
		return 0, err
	}
	for i, name := range s.params[:s.set] {
		stored[name] = params[i]
	}
	after, err := stored.size()
	return max(before, after), err
}

// batchGet answers a look-up of visits and specimens that rows name, and has the local DynamoDB answer what else is asked.
func (e *endpoint) batchGet(r *http.Request, body []byte) ([]byte, error) {
	type asked struct {
		Keys           []map[string]value
		ConsistentRead bool
	}
	var in struct{ RequestItems map[string]asked }
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	out := struct {
		Responses       map[string][]item
		UnprocessedKeys map[string]asked
	}{map[string][]item{}, map[string]asked{}}
	rest := map[string]asked{}
	for table, ask := range in.RequestItems {
		out.Responses[table] = []item{}
		var others []map[string]value
		for _, k := range ask.Keys {
			pk, sk := *k["pk"].S, *k["sk"].S
			it := e.made(pk, sk)
			if it == nil {
				others = append(others, k)
				continue
			}
			size, err := it.size()
			if err != nil {
				return nil, err
			}
			units := readUnits(size, ask.ConsistentRead)
			e.mu.Lock()
			e.counts.ReadUnits += units
			if strings.HasPrefix(pk, "visit.name#") {
				e.counts.ParentReadUnits += units
			}
			e.mu.Unlock()
			out.Responses[table] = append(out.Responses[table], it)
		}
		if others != nil {
			rest[table] = asked{others, ask.ConsistentRead}
		}
	}
	if len(rest) > 0 {
		doc, err := json.Marshal(map[string]any{"RequestItems": rest})
		if err != nil {
			return nil, err
		}
		answer, status, err := e.forward(r, "BatchGetItem", doc)
		if err != nil {
			return nil, err
		}
		if status != http.StatusOK {
			return nil, fmt.Errorf("the local DynamoDB answered %d", status)
		}
		var more struct{ Responses map[string][]item }
		if err := json.Unmarshal(answer, &more); err != nil {
			return nil, err
		}
		for table, items := range more.Responses {
			out.Responses[table] = append(out.Responses[table], items...)
		}
	}
	return json.Marshal(out)
}

// made is the item of a visit's or a specimen's name, or a specimen, made after the template; nil for any other key.
func (e *endpoint) made(pk, sk string) item {
	switch {
	case strings.HasPrefix(pk, "visit.name#"+visitPrefix):
		return numbered(e.Mark, pk, sk, pk[len("visit.name#"+visitPrefix):])
	case strings.HasPrefix(pk, "specimen.label#"+labelPrefix):
		return numbered(e.Label, pk, sk, pk[len("specimen.label#"+labelPrefix):])
	case e.Specimen != nil && pk == *e.Specimen["pk"].S && strings.Count(sk, "/") == 2:
		n, err := strconv.Atoi(sk[strings.LastIndexByte(sk, '/')+1:])
		if err != nil {
			return nil
		}
		it := numbered(e.Specimen, pk, sk, strconv.Itoa(n))
		doc := strings.Replace(*it["doc"].S, label(1), label(n), 1)
		it["doc"] = value{S: &doc}
		return it
	}
	return nil
}

// numbered is a copy of a template with another key and number. What a mark points at has the number at its end.
func numbered(t item, pk, sk, number string) item {
	n, err := strconv.Atoi(number)
	if err != nil {
		return nil
	}
	it := make(item, len(t))
	for name, v := range t {
		it[name] = v
	}
	digits := strconv.Itoa(n)
	it["pk"], it["sk"], it["num"] = value{S: &pk}, value{S: &sk}, value{N: &digits}
	if to := it["tgt"].S; to != nil {
		target := (*to)[:strings.LastIndexByte(*to, '/')+1] + fmt.Sprintf("%010d", n)
		it["tgt"] = value{S: &target}
	}
	return it
}
