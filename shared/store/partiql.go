package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"aliquot/shared/biobank"
)

// Imports write through BatchExecuteStatement: insert-if-absent at one write unit an item, 25 independent statements a
// request, without a read and without a transaction. Building such a request from the SDK's types costs more than
// everything else an import does, so its body is written here by hand, and sent as send.go tells. A person's changes are the same statements in an ExecuteTransaction: so an item looks the same whichever way
// it was written, and a function needs no more than dynamodb:PartiQLInsert to append to the audit table.

// statements are the texts of the statements, quoted for JSON.
type statements struct {
	insertMark, insertMarkInfo string
	takeMark, dropMark         string
	insertSetMark              string
	insertRecord               string
	insertRecordBy             string
	insertRecordPast           string
	dropRecord                 string
	updateRecord               string
	updateSealed               string
	sealRecord, unsealRecord   string
	standOn                    string
	insertEntry                string
	renewLease                 string
	insertNumber, drawNumber   string
	insertKept                 string
}

func newStatements(t Tables) statements {
	q := func(format, table string) string {
		return strconv.Quote(fmt.Sprintf(format, `"`+table+`"`))
	}
	return statements{
		insertMark:       q(`INSERT INTO %s VALUE {'pk':?,'sk':'=','tgt':?,'num':?,'src':?}`, t.Records),
		insertMarkInfo:   q(`INSERT INTO %s VALUE {'pk':?,'sk':'=','tgt':?,'num':?,'src':?,'inf':?}`, t.Records),
		insertSetMark:    q(`INSERT INTO %s VALUE {'pk':?,'sk':?,'tgt':?,'num':?,'src':?,'inf':?}`, t.Records),
		takeMark:         q(`UPDATE %s SET tgt=?, num=?, src=?, inf=? WHERE pk=? AND sk=? AND src=? AND tgt=?`, t.Records),
		dropMark:         q(`DELETE FROM %s WHERE pk=? AND sk=? AND src=? AND tgt=?`, t.Records),
		insertRecord:     q(`INSERT INTO %s VALUE {'pk':?,'sk':?,'kind':?,'num':?,'ver':?,'src':?,'usr':?,'made':?,'doc':?,'head':?}`, t.Records),
		insertRecordBy:   q(`INSERT INTO %s VALUE {'pk':?,'sk':?,'kind':?,'num':?,'ver':?,'src':?,'usr':?,'made':?,'doc':?,'head':?,'why':?,'frm':?,'req':?}`, t.Records),
		insertRecordPast: q(`INSERT INTO %s VALUE {'pk':?,'sk':?,'kind':?,'num':?,'ver':?,'src':?,'usr':?,'made':?,'doc':?,'head':?,'why':?,'frm':?,'req':?,'chg':?}`, t.Records),
		dropRecord:       q(`DELETE FROM %s WHERE pk=? AND sk=? AND ver=?`, t.Records),
		updateRecord:     q(`UPDATE %s SET doc=?, ver=?, chg=?, head=? WHERE pk=? AND sk=? AND ver=?`, t.Records),
		updateSealed:     q(`UPDATE %s SET doc=?, ver=?, chg=?, head=? REMOVE seal WHERE pk=? AND sk=? AND ver=? AND seal=?`, t.Records),
		sealRecord:       q(`UPDATE %s SET seal=? WHERE pk=? AND sk=? AND ver=?`, t.Records),
		unsealRecord:     q(`UPDATE %s REMOVE seal WHERE pk=? AND sk=? AND seal=?`, t.Records),
		standOn:          q(`UPDATE %s REMOVE seal WHERE pk=? AND sk=? AND ver=? AND (seal IS MISSING OR seal<?)`, t.Records),
		insertEntry:      q(`INSERT INTO %s VALUE {'pk':?,'sk':?,'doc':?}`, t.Audit),
		insertNumber:     q(`INSERT INTO %s VALUE {'pk':?,'sk':?,'num':?}`, t.Records),
		insertKept:       q(`INSERT INTO %s VALUE {'pk':?,'sk':?,'num':?,'cnt':?}`, t.Records),
		drawNumber:       q(`UPDATE %s SET num=? WHERE pk='counter' AND sk=? AND num=?`, t.Records),
		renewLease:       q(`UPDATE %s SET lease=?, done=?, bad=? WHERE pk=? AND sk=? AND fence=? AND halt=?`, t.Jobs),
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
	var body []byte
	for i := range writes {
		if i > 0 {
			body = append(body, ',')
		}
		body = s.text.append(body, &writes[i])
	}
	for try := 0; ; try++ {
		if err := pause(ctx, try); err != nil {
			return nil, err
		}
		err := s.transaction(ctx, body)
		if err == nil {
			return nil, nil
		}
		var f *serviceFault
		if !errors.As(err, &f) || f.code != "TransactionCanceledException" {
			return nil, err
		}
		var cancelled struct {
			CancellationReasons []struct{ Code string }
		}
		if err := json.Unmarshal(f.body, &cancelled); err != nil {
			return nil, fmt.Errorf("read why a transaction was cancelled: %w", err)
		}
		if len(cancelled.CancellationReasons) != len(writes) {
			return nil, fmt.Errorf("a transaction of %d writes was cancelled for %d reasons", len(writes), len(cancelled.CancellationReasons))
		}
		results := make([]biobank.Result, len(writes))
		failed := false
		for i, r := range cancelled.CancellationReasons {
			switch code := r.Code; {
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

// transaction does statements, joined by commas, all or none. The token is its own for each call: the service answers one
// that it knows as it did before, which is meant for a lost answer only.
func (s *Records) transaction(ctx context.Context, list []byte) error {
	body := append([]byte(`{"TransactStatements":[`), list...)
	body = append(body, `],"ClientRequestToken":"`+rand.Text()+`"}`...)
	_, err := s.send.send(ctx, "ExecuteTransaction", body)
	return err
}

// reservation draws n numbers after last from a counter, which is there or not, and notes the first, and n, under a key.
func (t *statements) reservation(b []byte, key, counter string, last, n int64, there bool) []byte {
	b = begin(b, t.insertKept)
	b = paramS(b, key)
	b = paramS(b, counter)
	b = paramN(b, last+1)
	b = append(end(paramN(b, n)), ',')
	if !there {
		b = begin(b, t.insertNumber)
		b = paramS(b, "counter")
		b = paramS(b, counter)
		return end(paramN(b, n))
	}
	b = begin(b, t.drawNumber)
	b = paramN(b, last+n)
	b = paramS(b, counter)
	return end(paramN(b, last))
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
		set, place, inSet := biobank.SplitMark(m.Name)
		switch {
		case inSet:
			b = begin(b, t.insertSetMark)
			b = paramS(b, set)
			b = paramS(b, place)
		case m.Info != "":
			b = begin(b, t.insertMarkInfo)
			b = paramS(b, m.Name)
		default:
			b = begin(b, t.insertMark)
			b = paramS(b, m.Name)
		}
		b = paramKey(b, m.To)
		b = paramN(b, m.ID)
		b = paramS(b, m.Source)
		if m.Info != "" || inSet {
			b = paramS(b, m.Info)
		}
	case biobank.TakeMark:
		m := &w.Mark
		b = begin(b, t.takeMark)
		b = paramKey(b, m.To)
		b = paramN(b, m.ID)
		b = paramS(b, m.Source)
		b = paramS(b, m.Info)
		b = paramMark(b, m.Name)
		b = paramS(b, w.WasSource)
		b = paramKey(b, w.WasTo)
	case biobank.DropMark:
		b = begin(b, t.dropMark)
		b = paramMark(b, w.Mark.Name)
		b = paramS(b, w.WasSource)
		b = paramKey(b, w.WasTo)
	case biobank.InsertRecord:
		r := w.Record
		past := len(r.Changes) > 0
		by := past || r.Reason != "" || r.From != "" || r.Request != ""
		switch {
		case past:
			b = begin(b, t.insertRecordPast)
		case by:
			b = begin(b, t.insertRecordBy)
		default:
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
		b = paramS(b, r.Head)
		if by {
			b = paramS(b, r.Reason)
			b = paramS(b, r.From)
			b = paramS(b, r.Request)
		}
		if past {
			b = paramS(b, strings.Join(r.Changes, " "))
		}
	case biobank.UpdateRecord:
		r := w.Record
		if w.Seal == "" {
			b = begin(b, t.updateRecord)
		} else {
			b = begin(b, t.updateSealed)
		}
		b = paramB(b, r.Doc)
		b = paramN(b, r.Version)
		b = paramS(b, strings.Join(r.Changes, " "))
		b = paramS(b, r.Head)
		b = paramS(b, r.Key.Part)
		b = paramS(b, r.Key.Sort)
		b = paramN(b, r.Version-1)
		if w.Seal != "" {
			b = paramS(b, w.Seal)
		}
	case biobank.SealRecord:
		b = begin(b, t.sealRecord)
		b = paramS(b, w.Seal)
		b = paramVersion(b, w.Record)
	case biobank.UnsealRecord:
		b = begin(b, t.unsealRecord)
		b = paramS(b, w.Record.Key.Part)
		b = paramS(b, w.Record.Key.Sort)
		b = paramS(b, w.Seal)
	case biobank.StandOn:
		b = begin(b, t.standOn)
		b = paramVersion(b, w.Record)
		b = paramS(b, w.Now)
	case biobank.DropRecord:
		b = begin(b, t.dropRecord)
		b = paramVersion(b, w.Record)
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

// paramVersion is where a record lies, and its version.
func paramVersion(b []byte, r *biobank.Record) []byte {
	b = paramS(b, r.Key.Part)
	b = paramS(b, r.Key.Sort)
	return paramN(b, r.Version)
}

func paramB(b []byte, s []byte) []byte {
	b = append(b, `{"S":`...)
	b = appendQuoted(b, s)
	return append(b, `},`...)
}

// paramMark writes the two parts of a mark's key.
func paramMark(b []byte, name string) []byte {
	pk, sk := markKey(name)
	return paramS(paramS(b, pk), sk)
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
	answer, err := s.send.send(ctx, "BatchExecuteStatement", body)
	if err != nil {
		return nil, err
	}
	codes := make([]string, n)
	if bytes.HasPrefix(answer, []byte(`{"Responses":`)) && !bytes.Contains(answer, []byte(`"Error"`)) && bytes.Count(answer, []byte{'{'}) == n+1 {
		return codes, nil // an answer to each statement, and none holds anything: the usual case
	}
	var told struct {
		Responses []struct {
			Error *struct{ Code, Message string }
		}
	}
	if err := json.Unmarshal(answer, &told); err != nil {
		return nil, fmt.Errorf("read the answer to a batch: %w", err)
	}
	if len(told.Responses) != n {
		return nil, fmt.Errorf("a batch of %d statements got %d answers", n, len(told.Responses))
	}
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
