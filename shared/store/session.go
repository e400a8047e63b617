package store

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"aliquot/shared/auth"
	"aliquot/shared/biobank"
)

// Sessions keeps sessions and logins in the sessions table: pk, version, doc, and expires in epoch seconds, by which
// DynamoDB drops items some time after.
type Sessions struct {
	db             *dynamodb.Client
	table, records string
}

// NewSessions makes the store over t.Sessions; Look needs t.Records, too.
func NewSessions(db *dynamodb.Client, t Tables) *Sessions {
	return &Sessions{db: db, table: t.Sessions, records: t.Records}
}

var _ auth.Store = (*Sessions)(nil)

// Get implements auth.Store.
func (s *Sessions) Get(ctx context.Context, key string) (*auth.Item, error) {
	out, err := s.db.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &s.table, Key: sessionKey(key), ConsistentRead: aws.Bool(true),
	})
	if err != nil || out.Item == nil {
		return nil, err
	}
	return sessionItem(out.Item), nil
}

// Look implements auth.Store. What the request expects to read (biobank.Expect) comes along.
func (s *Sessions) Look(ctx context.Context, keys []string, user int64) (map[string]*auth.Item, *biobank.Record, error) {
	var asked []map[string]types.AttributeValue
	for _, key := range keys {
		asked = append(asked, sessionKey(key))
	}
	at := biobank.SetKey(biobank.User, user)
	beside := []map[string]types.AttributeValue{keyOf(at.Part, at.Sort)}
	ahead := biobank.Expected(ctx)
	for _, name := range ahead.Marks {
		beside = append(beside, keyOf(markKey(name)))
	}
	for _, k := range ahead.Keys {
		if k != at {
			beside = append(beside, keyOf(k.Part, k.Sort))
		}
	}
	ask := map[string]types.KeysAndAttributes{
		s.table:   {Keys: asked, ConsistentRead: aws.Bool(true)},
		s.records: {Keys: beside, ConsistentRead: aws.Bool(true)},
	}
	items := map[string]*auth.Item{}
	marks, recs := map[string]biobank.Mark{}, map[biobank.Key]*biobank.Record{}
	for try := 0; len(ask) > 0; try++ {
		if err := pause(ctx, try); err != nil {
			return nil, nil, err
		}
		out, err := s.db.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: ask})
		if err != nil {
			return nil, nil, err
		}
		for _, item := range out.Responses[s.table] {
			found := sessionItem(item)
			items[found.Key] = found
		}
		for _, item := range out.Responses[s.records] {
			if _, ok := item["tgt"]; ok {
				m := mark(item)
				marks[m.Name] = m
			} else {
				rec := record(item)
				recs[rec.Key] = rec
			}
		}
		ask = out.UnprocessedKeys
	}
	biobank.Learn(ctx, ahead, marks, recs)
	return items, recs[at], nil
}

func sessionItem(attributes map[string]types.AttributeValue) *auth.Item {
	item := &auth.Item{
		Key: text(attributes["pk"]), Version: number(attributes["version"]), Doc: []byte(text(attributes["doc"])),
	}
	if expires := number(attributes["expires"]); expires != 0 {
		item.Expires = time.Unix(expires, 0).UTC()
	}
	return item
}

// Put implements auth.Store.
func (s *Sessions) Put(ctx context.Context, item *auth.Item) error {
	in := &dynamodb.PutItemInput{
		TableName: &s.table,
		Item: map[string]types.AttributeValue{
			"pk": str(item.Key), "version": num(item.Version + 1), "doc": str(string(item.Doc)),
		},
		ConditionExpression: aws.String("attribute_not_exists(pk)"),
	}
	if !item.Expires.IsZero() {
		// Upwards: it must not vanish before its time.
		in.Item["expires"] = num(item.Expires.Unix() + 1)
	}
	if item.Version != 0 {
		in.ConditionExpression = aws.String("version = :was")
		in.ExpressionAttributeValues = map[string]types.AttributeValue{":was": num(item.Version)}
	}
	_, err := s.db.PutItem(ctx, in)
	var failed *types.ConditionalCheckFailedException
	if errors.As(err, &failed) {
		return auth.ErrChanged
	}
	return err
}

// Delete implements auth.Store.
func (s *Sessions) Delete(ctx context.Context, key string) error {
	_, err := s.db.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &s.table, Key: sessionKey(key)})
	return err
}

func sessionKey(key string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"pk": str(key)}
}
