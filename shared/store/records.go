// Package store keeps records, audit entries, jobs and sessions in DynamoDB. It is one of the few packages that know AWS.
//
// What an import does by the million goes out as PartiQL statements, 25 a request (partiql.go); everything else uses the
// SDK's own calls. Throttling is waited out here and is never seen above as a failure of a row.
package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"aliquot/shared/biobank"
	"aliquot/shared/jobs"
)

// Tables names the tables. A function needs to name only those that it uses.
type Tables struct {
	Records, Audit, Jobs, Sessions string
}

// NewClient makes a DynamoDB client that waits throttling out for a minute or more, unless its caller's context ends
// before, rather than giving up after a few tries.
func NewClient(cfg aws.Config) *dynamodb.Client {
	return dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) {
		if c, ok := o.HTTPClient.(*awshttp.BuildableClient); ok {
			o.HTTPClient = c.WithTransportOptions(func(t *http.Transport) {
				t.WriteBufferSize = 64 << 10 // a batch of 25 statements in one go
			})
		}
		o.Retryer = retry.NewStandard(func(so *retry.StandardOptions) {
			so.MaxAttempts = 40
			so.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) { return delay(attempt), nil })
			so.RateLimiter = ratelimit.None
		})
	})
}

// The attributes of items. Names are short, since each is paid for with every item, and none is a reserved word.
//
//	record  pk, sk, kind, num (id), ver (version), src, usr (created by), made (created at), why, frm (from what
//	        address), req (by what request), doc, chg (the last changes' sources, joined by spaces), head (newest audit entry,
//	        or the hash of the creation)
//	mark    pk (the name), sk "=", or of a set: pk (the set), sk (the place); tgt (the owner's key), num, src, inf
//	entry   pk, sk, doc
//	counter pk "counter", sk (the name), num (the last number taken)
//	reserve pk "reserved#<job>", sk (the counter's name), num (the first of the job's numbers), cnt (how many)
const markSort = "="

// Records is biobank.Store over DynamoDB. It may be used by several goroutines.
type Records struct {
	db     *dynamodb.Client
	tables Tables
	text   statements
	send   *sender
	// guard, when set, is renewed with the opening request of each group of rows.
	guard *Guard
}

// NewRecords makes a store over the tables.
func NewRecords(db *dynamodb.Client, t Tables) *Records {
	return &Records{db: db, tables: t, text: newStatements(t), send: newSender(db)}
}

// Leased returns the store writing under a chunk's lease.
func (s *Records) Leased(g *Guard) *Records {
	c := *s
	c.guard = g
	return &c
}

var _ biobank.Store = (*Records)(nil)

func str(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func num(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func keyOf(pk, sk string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"pk": str(pk), "sk": str(sk)}
}

func text(v types.AttributeValue) string {
	if s, ok := v.(*types.AttributeValueMemberS); ok {
		return s.Value
	}
	return ""
}

func number(v types.AttributeValue) int64 {
	if n, ok := v.(*types.AttributeValueMemberN); ok {
		i, err := strconv.ParseInt(n.Value, 10, 64)
		if err == nil {
			return i
		}
	}
	return 0
}

// Marks implements biobank.Store.
func (s *Records) Marks(ctx context.Context, names []string, strong bool) (map[string]biobank.Mark, error) {
	out := make(map[string]biobank.Mark, len(names))
	err := batchGet(ctx, s.db, s.tables.Records, len(names), strong, func(i int) (pk, sk string) { return markKey(names[i]) },
		func(item map[string]types.AttributeValue) error {
			m := mark(item)
			out[m.Name] = m
			return nil
		})
	return out, err
}

// MarksIn implements biobank.Store.
func (s *Records) MarksIn(ctx context.Context, set, prefix, after string, limit int) ([]biobank.Mark, error) {
	var out []biobank.Mark
	err := s.query(ctx, set, prefix, after, limit, func(item map[string]types.AttributeValue) { out = append(out, mark(item)) })
	return out, err
}

// markKey is where a mark lies.
func markKey(name string) (pk, sk string) {
	if set, place, ok := biobank.SplitMark(name); ok {
		return set, place
	}
	return name, markSort
}

func mark(item map[string]types.AttributeValue) biobank.Mark {
	name := text(item["pk"])
	if place := text(item["sk"]); place != markSort {
		name = biobank.SetMark(name, place)
	}
	return biobank.Mark{
		Name: name, To: biobank.ParseKey(text(item["tgt"])), ID: number(item["num"]),
		Source: text(item["src"]), Info: text(item["inf"]),
	}
}

// Records implements biobank.Store.
func (s *Records) Records(ctx context.Context, keys []biobank.Key, strong bool) (map[biobank.Key]*biobank.Record, error) {
	out := make(map[biobank.Key]*biobank.Record, len(keys))
	err := batchGet(ctx, s.db, s.tables.Records, len(keys), strong, func(i int) (pk, sk string) { return keys[i].Part, keys[i].Sort },
		func(item map[string]types.AttributeValue) error {
			r := record(item)
			out[r.Key] = r
			return nil
		})
	return out, err
}

func record(item map[string]types.AttributeValue) *biobank.Record {
	r := &biobank.Record{
		Key:  biobank.Key{Part: text(item["pk"]), Sort: text(item["sk"])},
		Type: biobank.Type(text(item["kind"])), ID: number(item["num"]), Version: number(item["ver"]),
		Source: text(item["src"]), CreatedBy: number(item["usr"]), CreatedAt: number(item["made"]),
		Reason: text(item["why"]), From: text(item["frm"]), Request: text(item["req"]), Head: text(item["head"]), Doc: []byte(text(item["doc"])),
	}
	if chg := text(item["chg"]); chg != "" {
		r.Changes = strings.Split(chg, " ")
	}
	return r
}

// maxGet is the most items of one BatchGetItem.
const maxGet = 100

// batchGet reads the items of n keys in no order, and leaves out those that are not there.
func batchGet(ctx context.Context, db *dynamodb.Client, table string, n int, strong bool, key func(int) (string, string), each func(map[string]types.AttributeValue) error) error {
	for from := 0; from < n; from += maxGet {
		to := min(n, from+maxGet)
		keys := make([]map[string]types.AttributeValue, 0, to-from)
		for i := from; i < to; i++ {
			keys = append(keys, keyOf(key(i)))
		}
		ask := map[string]types.KeysAndAttributes{table: {Keys: keys, ConsistentRead: aws.Bool(strong)}}
		for try := 0; len(ask) > 0; try++ {
			if err := pause(ctx, try); err != nil {
				return err
			}
			out, err := db.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: ask})
			if err != nil {
				return err
			}
			for _, item := range out.Responses[table] {
				if err := each(item); err != nil {
					return err
				}
			}
			ask = out.UnprocessedKeys
		}
	}
	return nil
}

// List implements biobank.Store.
func (s *Records) List(ctx context.Context, part, prefix, after string, limit int) ([]*biobank.Record, error) {
	var out []*biobank.Record
	err := s.query(ctx, part, prefix, after, limit, func(item map[string]types.AttributeValue) { out = append(out, record(item)) })
	return out, err
}

// query reads a partition in order, strongly: the items whose sort key begins with prefix and lies after after, at most
// limit (0: all).
func (s *Records) query(ctx context.Context, part, prefix, after string, limit int, each func(map[string]types.AttributeValue)) error {
	in := &dynamodb.QueryInput{
		TableName:                 &s.tables.Records,
		ConsistentRead:            aws.Bool(true),
		KeyConditionExpression:    aws.String("pk = :p"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":p": str(part)},
	}
	switch {
	case after != "" && after >= prefix:
		// The lowest text above after, and the highest with the prefix: sort keys hold nothing above '~'.
		in.KeyConditionExpression = aws.String("pk = :p AND sk BETWEEN :lo AND :hi")
		in.ExpressionAttributeValues[":lo"] = str(after + "\x00")
		in.ExpressionAttributeValues[":hi"] = str(prefix + "~")
		if after > prefix+"~" {
			return nil
		}
	case prefix != "":
		in.KeyConditionExpression = aws.String("pk = :p AND begins_with(sk, :s)")
		in.ExpressionAttributeValues[":s"] = str(prefix)
	}
	n := 0
	for {
		if limit > 0 {
			in.Limit = aws.Int32(int32(limit - n))
		}
		page, err := s.db.Query(ctx, in)
		if err != nil {
			return err
		}
		for _, item := range page.Items {
			each(item)
		}
		n += len(page.Items)
		if page.LastEvaluatedKey == nil || limit > 0 && n >= limit {
			return nil
		}
		in.ExclusiveStartKey = page.LastEvaluatedKey
	}
}

// Reserve implements biobank.Store.
func (s *Records) Reserve(ctx context.Context, counter string, n int64) (int64, error) {
	return reserve(ctx, s.db, s.tables.Records, counter, n)
}

// ReserveFor implements biobank.Store. The numbers and the note of whose they are come in one transaction.
func (s *Records) ReserveFor(ctx context.Context, owner, counter string, n int64) (first, kept int64, err error) {
	read := func(pk string) (map[string]types.AttributeValue, error) {
		out, err := s.db.GetItem(ctx, &dynamodb.GetItemInput{
			TableName: &s.tables.Records, Key: keyOf(pk, counter), ConsistentRead: aws.Bool(true),
		})
		if err != nil {
			return nil, fmt.Errorf("read counter %s: %w", counter, err)
		}
		return out.Item, nil
	}
	for try := 0; ; try++ {
		if err := pause(ctx, try); err != nil {
			return 0, 0, err
		}
		if note, err := read("reserved#" + owner); n == 0 || note != nil || err != nil {
			return number(note["num"]), number(note["cnt"]), err
		}
		counted, err := read("counter")
		if err != nil {
			return 0, 0, err
		}
		last := number(counted["num"])
		err = s.transaction(ctx, s.text.reservation(nil, "reserved#"+owner, counter, last, n, counted != nil))
		var f *serviceFault
		switch {
		case err == nil:
			return last + 1, n, nil
		case !errors.As(err, &f) || f.code != "TransactionCanceledException":
			return 0, 0, fmt.Errorf("reserve from counter %s: %w", counter, err)
		}
		// Somebody drew from the counter meanwhile, or our own lost answer did.
	}
}

func reserve(ctx context.Context, db *dynamodb.Client, table, counter string, n int64) (int64, error) {
	out, err := db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &table, Key: keyOf("counter", counter),
		UpdateExpression:          aws.String("ADD num :n"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":n": num(n)},
		ReturnValues:              types.ReturnValueUpdatedNew,
	})
	if err != nil {
		return 0, err
	}
	return number(out.Attributes["num"]) - n + 1, nil
}

// Alive implements biobank.Store: an import's source is alive while its job has not ended.
func (s *Records) Alive(ctx context.Context, source string) (bool, error) {
	item, err := s.jobOf(ctx, source)
	status := jobs.Status(text(item["stat"]))
	return status != "" && !status.Final(), err
}

// Whole implements biobank.Store: what people wrote, and what a job wrote of which every row was saved or left nothing.
func (s *Records) Whole(ctx context.Context, source string) (bool, error) {
	if source == "" {
		return true, nil
	}
	item, err := s.jobOf(ctx, source)
	return flag(item["whole"]), err
}

// jobOf reads the state of the job that a source belongs to, nothing where there is none.
func (s *Records) jobOf(ctx context.Context, source string) (map[string]types.AttributeValue, error) {
	job, _, ok := strings.Cut(source, "#")
	id, err := strconv.ParseInt(job, 10, 64)
	if !ok || err != nil {
		return nil, nil
	}
	out, err := s.db.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &s.tables.Jobs, Key: jobKey(id), ConsistentRead: aws.Bool(true), ProjectionExpression: aws.String("stat, whole"),
	})
	if err != nil {
		return nil, fmt.Errorf("read the state of job %d: %w", id, err)
	}
	return out.Item, nil
}

// Trail implements biobank.Store.
func (s *Records) Trail(ctx context.Context, t biobank.Type, id int64) ([]*biobank.Entry, error) {
	return s.entries(ctx, t, id, 0, &dynamodb.QueryInput{
		KeyConditionExpression:    aws.String("pk = :p"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":p": str(biobank.IDMark(t, id))},
	})
}

// TrailBefore implements biobank.Store.
func (s *Records) TrailBefore(ctx context.Context, t biobank.Type, id int64, before string, limit int) ([]*biobank.Entry, error) {
	return s.entries(ctx, t, id, limit, &dynamodb.QueryInput{
		ScanIndexForward: aws.Bool(false), Limit: aws.Int32(int32(limit)),
		KeyConditionExpression:    aws.String("pk = :p AND sk < :b"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":p": str(biobank.IDMark(t, id)), ":b": str(before)},
	})
}

// entries reads audit entries of an object, strongly, at most limit (0: all).
func (s *Records) entries(ctx context.Context, t biobank.Type, id int64, limit int, in *dynamodb.QueryInput) ([]*biobank.Entry, error) {
	in.TableName, in.ConsistentRead = &s.tables.Audit, aws.Bool(true)
	var out []*biobank.Entry
	for {
		page, err := s.db.Query(ctx, in)
		if err != nil {
			return nil, err
		}
		for _, item := range page.Items {
			var e biobank.Entry
			if err := json.Unmarshal([]byte(text(item["doc"])), &e); err != nil {
				return nil, fmt.Errorf("audit entry of %s %d: %w", t, id, err)
			}
			out = append(out, &e)
			if limit > 0 && len(out) == limit {
				return out, nil
			}
		}
		if page.LastEvaluatedKey == nil {
			return out, nil
		}
		in.ExclusiveStartKey = page.LastEvaluatedKey
	}
}

// delay is how long to wait before the n-th repeat of something that was throttled: longer each time, up to 5 s, and never
// in step with others.
func delay(n int) time.Duration {
	return rand.N(min(5*time.Second, 20*time.Millisecond<<min(n, 10)))
}

// pause waits before the n-th repeat, 0 for the first try.
func pause(ctx context.Context, n int) error {
	if n == 0 {
		return ctx.Err()
	}
	t := time.NewTimer(delay(n))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func entryDoc(e *biobank.Entry) string {
	doc, err := json.Marshal(e)
	if err != nil {
		panic(fmt.Sprintf("audit entry: %v", err)) // an Entry holds nothing that cannot be marshalled
	}
	return string(doc)
}
