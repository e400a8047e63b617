package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	smithy "github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"aliquot/shared/biobank"
)

// Imports write through BatchExecuteStatement: insert-if-absent at one write unit an item, 25 independent statements a
// request, without a read and without a transaction. Building such a request from the SDK's types costs more than
// everything else an import does, so its body is written here by hand; the SDK still signs, sends, retries and reads the
// failures. A person's changes are the same statements in an ExecuteTransaction: so an item looks the same whichever way
// it was written, and a function needs no more than dynamodb:PartiQLInsert to append to the audit table.

// statements are the texts of the statements, quoted for JSON.
type statements struct {
	insertMark, insertMarkInfo string
	takeMark, dropMark         string
	insertRecord               string
	insertRecordWhy            string
	updateRecord               string
	insertEntry                string
	renewLease                 string
}

func newStatements(t Tables) statements {
	q := func(format, table string) string {
		return strconv.Quote(fmt.Sprintf(format, `"`+table+`"`))
	}
	return statements{
		insertMark:      q(`INSERT INTO %s VALUE {'pk':?,'sk':'=','tgt':?,'num':?,'src':?}`, t.Records),
		insertMarkInfo:  q(`INSERT INTO %s VALUE {'pk':?,'sk':'=','tgt':?,'num':?,'src':?,'inf':?}`, t.Records),
		takeMark:        q(`UPDATE %s SET tgt=?, num=?, src=?, inf=? WHERE pk=? AND sk='=' AND src=? AND tgt=?`, t.Records),
		dropMark:        q(`DELETE FROM %s WHERE pk=? AND sk='=' AND src=? AND tgt=?`, t.Records),
		insertRecord:    q(`INSERT INTO %s VALUE {'pk':?,'sk':?,'kind':?,'num':?,'ver':?,'src':?,'usr':?,'made':?,'doc':?}`, t.Records),
		insertRecordWhy: q(`INSERT INTO %s VALUE {'pk':?,'sk':?,'kind':?,'num':?,'ver':?,'src':?,'usr':?,'made':?,'doc':?,'why':?}`, t.Records),
		updateRecord:    q(`UPDATE %s SET doc=?, ver=?, chg=?, head=? WHERE pk=? AND sk=? AND ver=?`, t.Records),
		insertEntry:     q(`INSERT INTO %s VALUE {'pk':?,'sk':?,'doc':?}`, t.Audit),
		renewLease:      q(`UPDATE %s SET lease=?, done=?, bad=? WHERE pk=? AND sk=? AND fence=? AND halt=?`, t.Jobs),
	}
}

// Write implements biobank.Store. Statements that were throttled are sent again until they are through.
func (s *Records) Write(ctx context.Context, opening bool, writes []biobank.Write) ([]biobank.Result, error) {
	guarded := opening && s.guard != nil
	results := make([]biobank.Result, len(writes))
	pending := make([]int, len(writes))
	for i := range pending {
		pending[i] = i
	}
	buf := bodies.Get().(*[]byte)
	for try := 0; len(pending) > 0 || guarded; try++ {
		if err := pause(ctx, try); err != nil {
			return nil, err
		}
		body := append((*buf)[:0], `{"Statements":[`...)
		for n, i := range pending {
			if n > 0 {
				body = append(body, ',')
			}
			body = s.text.append(body, &writes[i])
		}
		if guarded {
			if len(pending) > 0 {
				body = append(body, ',')
			}
			body = s.guard.append(body, s.text.renewLease)
		}
		body = append(body, `]}`...)
		*buf = body
		codes, err := s.execute(ctx, body, len(pending)+boolInt(guarded))
		if err != nil {
			return nil, err
		}
		if guarded {
			switch code := codes[len(pending)]; {
			case code == "ConditionalCheckFailed":
				return nil, NewJobs(s.db, s.tables).lostLease(ctx, s.guard)
			case retryable(code):
			case code != "":
				return nil, fmt.Errorf("renew lease: %s", code)
			default:
				guarded = false
			}
		}
		left := pending[:0]
		for n, i := range pending {
			switch code := codes[n]; {
			case code == "":
				results[i] = biobank.Written
			case code == "DuplicateItem":
				results[i] = biobank.Exists
			case code == "ConditionalCheckFailed":
				results[i] = biobank.Conflict
			case retryable(code):
				left = append(left, i)
			default:
				return nil, fmt.Errorf("write %d of %d: %s", i+1, len(writes), code)
			}
		}
		pending = left
	}
	// Only now: after a failure the transport may still be reading the body.
	bodies.Put(buf)
	return results, nil
}

// Transact implements biobank.Store. A transaction that met another one, or was throttled, is tried again.
func (s *Records) Transact(ctx context.Context, writes []biobank.Write) ([]biobank.Result, error) {
	body := []byte(`{"TransactStatements":[`)
	for i := range writes {
		if i > 0 {
			body = append(body, ',')
		}
		body = s.text.append(body, &writes[i])
	}
	body = append(body, ']')
	for try := 0; ; try++ {
		if err := pause(ctx, try); err != nil {
			return nil, err
		}
		request := &rawRequest{target: "ExecuteTransaction", body: body}
		_, err := s.db.ExecuteTransaction(ctx, &dynamodb.ExecuteTransactionInput{TransactStatements: noTransaction}, request.option)
		if err == nil {
			return nil, nil
		}
		var cancelled *types.TransactionCanceledException
		if !errors.As(err, &cancelled) {
			return nil, err
		}
		if len(cancelled.CancellationReasons) != len(writes) {
			return nil, fmt.Errorf("a transaction of %d writes was cancelled for %d reasons", len(writes), len(cancelled.CancellationReasons))
		}
		results := make([]biobank.Result, len(writes))
		failed := false
		for i, r := range cancelled.CancellationReasons {
			switch code := aws.ToString(r.Code); {
			case code == "" || code == "None" || retryable(code):
				results[i] = biobank.Written
			case code == "DuplicateItem":
				failed, results[i] = true, biobank.Exists
			case code == "ConditionalCheckFailed":
				failed, results[i] = true, biobank.Conflict
			default:
				return nil, fmt.Errorf("write %d of %d: %s", i+1, len(writes), code)
			}
		}
		if failed {
			return results, biobank.ErrTransaction
		}
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// retryable tells whether a statement that got this code may succeed next time.
func retryable(code string) bool {
	switch code {
	case "ProvisionedThroughputExceeded", "ThrottlingError", "RequestLimitExceeded", "InternalServerError", "TransactionConflict":
		return true
	}
	return false
}

// bodies are buffers for request bodies. A pool is the one mutable thing of the package; it holds no state.
var bodies = sync.Pool{New: func() any { b := make([]byte, 0, 32<<10); return &b }}

func (t *statements) append(b []byte, w *biobank.Write) []byte {
	switch w.Kind {
	case biobank.InsertMark:
		m := &w.Mark
		if m.Info != "" {
			b = begin(b, t.insertMarkInfo)
		} else {
			b = begin(b, t.insertMark)
		}
		b = paramS(b, m.Name)
		b = paramKey(b, m.To)
		b = paramN(b, m.ID)
		b = paramS(b, m.Source)
		if m.Info != "" {
			b = paramS(b, m.Info)
		}
	case biobank.TakeMark:
		m := &w.Mark
		b = begin(b, t.takeMark)
		b = paramKey(b, m.To)
		b = paramN(b, m.ID)
		b = paramS(b, m.Source)
		b = paramS(b, m.Info)
		b = paramS(b, m.Name)
		b = paramS(b, w.WasSource)
		b = paramKey(b, w.WasTo)
	case biobank.DropMark:
		b = begin(b, t.dropMark)
		b = paramS(b, w.Mark.Name)
		b = paramS(b, w.WasSource)
		b = paramKey(b, w.WasTo)
	case biobank.InsertRecord:
		r := w.Record
		if r.Reason != "" {
			b = begin(b, t.insertRecordWhy)
		} else {
			b = begin(b, t.insertRecord)
		}
		b = paramS(b, r.Key.Part)
		b = paramS(b, r.Key.Sort)
		b = paramS(b, string(r.Type))
		b = paramN(b, r.ID)
		b = paramN(b, r.Version)
		b = paramS(b, r.Source)
		b = paramN(b, r.CreatedBy)
		b = paramN(b, r.CreatedAt)
		b = paramB(b, r.Doc)
		if r.Reason != "" {
			b = paramS(b, r.Reason)
		}
	case biobank.UpdateRecord:
		r := w.Record
		b = begin(b, t.updateRecord)
		b = paramB(b, r.Doc)
		b = paramN(b, r.Version)
		b = paramS(b, strings.Join(r.Changes, " "))
		b = paramS(b, r.Head)
		b = paramS(b, r.Key.Part)
		b = paramS(b, r.Key.Sort)
		b = paramN(b, r.Version-1)
	case biobank.InsertEntry:
		key := w.Entry.AuditKey()
		b = begin(b, t.insertEntry)
		b = paramS(b, key.Part)
		b = paramS(b, key.Sort)
		b = paramS(b, entryDoc(w.Entry))
	}
	return end(b)
}

func begin(b []byte, statement string) []byte {
	b = append(b, `{"Statement":`...)
	b = append(b, statement...)
	return append(b, `,"Parameters":[`...)
}

// end closes the parameters, taking back the last one's comma.
func end(b []byte) []byte { return append(b[:len(b)-1], `]}`...) }

func paramS(b []byte, s string) []byte {
	b = append(b, `{"S":`...)
	b = appendQuoted(b, s)
	return append(b, `},`...)
}

func paramB(b []byte, s []byte) []byte {
	b = append(b, `{"S":`...)
	b = appendQuoted(b, s)
	return append(b, `},`...)
}

func paramN(b []byte, n int64) []byte {
	b = append(b, `{"N":"`...)
	b = strconv.AppendInt(b, n, 10)
	return append(b, `"},`...)
}

func paramKey(b []byte, k biobank.Key) []byte {
	b = append(b, `{"S":"`...)
	b = append(b, k.Part...) // keys are made of letters, digits, # and /
	b = append(b, '|')
	b = append(b, k.Sort...)
	return append(b, `"},`...)
}

// appendQuoted writes s as a JSON string. Bytes that are not UTF-8 become the replacement character, as in encoding/json.
func appendQuoted[T string | []byte](b []byte, s T) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(string(s[i:min(len(s), i+utf8.UTFMax)]))
			if r == utf8.RuneError && size == 1 {
				b = append(b, s[from:i]...)
				b = append(b, "\uFFFD"...)
				i++
				from = i
				continue
			}
			i += size
			continue
		}
		b = append(b, s[from:i]...)
		if c == '"' || c == '\\' {
			b = append(b, '\\', c)
		} else {
			b = append(b, `\u00`...)
			b = append(b, hex[c>>4], hex[c&15])
		}
		i++
		from = i
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}

// execute sends the statements of body and returns each one's code, "" for success.
func (s *Records) execute(ctx context.Context, body []byte, n int) ([]string, error) {
	var answer rawAnswer
	request := &rawRequest{target: "BatchExecuteStatement", body: body}
	_, err := s.db.BatchExecuteStatement(ctx, &dynamodb.BatchExecuteStatementInput{Statements: noStatements}, request.option, answer.option)
	if err != nil {
		return nil, err
	}
	var told struct {
		Responses []struct {
			Error *struct{ Code, Message string }
		}
	}
	if err := json.Unmarshal(answer.body, &told); err != nil {
		return nil, fmt.Errorf("read the answer to a batch: %w", err)
	}
	if len(told.Responses) != n {
		return nil, fmt.Errorf("a batch of %d statements got %d answers", n, len(told.Responses))
	}
	codes := make([]string, n)
	for i, r := range told.Responses {
		if r.Error != nil {
			codes[i] = r.Error.Code
			if codes[i] == "" {
				codes[i] = "failed without a code"
			}
		}
	}
	return codes, nil
}

// They satisfy the SDK's checks; the real statements are in the body.
var (
	noStatements  = []types.BatchStatementRequest{{Statement: aws.String("-")}}
	noTransaction = []types.ParameterizedStatement{{Statement: aws.String("-")}}
)

// rawRequest sends a request body as it is, in place of the SDK's serializer.
type rawRequest struct {
	target string
	body   []byte
}

func (x *rawRequest) option(o *dynamodb.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		_, err := stack.Serialize.Swap("OperationSerializer", x)
		return err
	})
}

// ID implements middleware.SerializeMiddleware.
func (*rawRequest) ID() string { return "OperationSerializer" }

// HandleSerialize implements middleware.SerializeMiddleware.
func (x *rawRequest) HandleSerialize(ctx context.Context, in middleware.SerializeInput, next middleware.SerializeHandler) (middleware.SerializeOutput, middleware.Metadata, error) {
	req, ok := in.Request.(*smithyhttp.Request)
	if !ok {
		return middleware.SerializeOutput{}, middleware.Metadata{}, fmt.Errorf("unexpected transport %T", in.Request)
	}
	body := x.body
	if tx, ok := in.Parameters.(*dynamodb.ExecuteTransactionInput); ok {
		// The SDK has made the token that lets it send a transaction again whose answer was lost.
		body = append(body, `,"ClientRequestToken":`...)
		body = append(appendQuoted(body, aws.ToString(tx.ClientRequestToken)), '}')
	}
	req.Method = http.MethodPost
	req.URL.Path = "/"
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	req.Header.Set("X-Amz-Target", "DynamoDB_20120810."+x.target)
	req, err := req.SetStream(bytes.NewReader(body))
	if err != nil {
		return middleware.SerializeOutput{}, middleware.Metadata{}, err
	}
	in.Request = req
	return next.HandleSerialize(ctx, in)
}

// rawAnswer keeps the body of a good answer, in place of the SDK's deserializer, and has the SDK's kind of failure for the
// others.
type rawAnswer struct{ body []byte }

func (a *rawAnswer) option(o *dynamodb.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		_, err := stack.Deserialize.Swap("OperationDeserializer", a)
		return err
	})
}

// ID implements middleware.DeserializeMiddleware.
func (*rawAnswer) ID() string { return "OperationDeserializer" }

// HandleDeserialize implements middleware.DeserializeMiddleware.
func (a *rawAnswer) HandleDeserialize(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
	out, meta, err := next.HandleDeserialize(ctx, in)
	if err != nil {
		return out, meta, err
	}
	resp, ok := out.RawResponse.(*smithyhttp.Response)
	if !ok {
		return out, meta, fmt.Errorf("unexpected transport %T", out.RawResponse)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return out, meta, &smithyhttp.ResponseError{Response: resp, Err: fmt.Errorf("read answer: %w", err)}
	}
	if resp.StatusCode != http.StatusOK {
		return out, meta, &smithyhttp.ResponseError{Response: resp, Err: serviceFault(resp, body)}
	}
	a.body = body
	out.Result = &dynamodb.BatchExecuteStatementOutput{}
	return out, meta, nil
}

// serviceFault is the failure that an answer tells, with the code by which the SDK decides on another try.
func serviceFault(resp *smithyhttp.Response, body []byte) error {
	var told struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(body, &told); err != nil || told.Type == "" {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	code := told.Type[strings.LastIndexByte(told.Type, '#')+1:]
	return &smithy.GenericAPIError{Code: code} // the service's text may repeat values and is left out
}

// IsThrottled tells whether err says that the service was asked too much: try again later.
func IsThrottled(err error) bool {
	var coded interface{ ErrorCode() string }
	if !errors.As(err, &coded) {
		return false
	}
	switch coded.ErrorCode() {
	case "ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded", "InternalServerError", "ServiceUnavailable":
		return true
	}
	return false
}
