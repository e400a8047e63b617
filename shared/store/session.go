package store

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"aliquot/shared/auth"
)

// Sessions keeps sessions and logins in the sessions table: pk, version, doc, and expires in epoch seconds, by which
// DynamoDB drops items some time after.
type Sessions struct {
	db    *dynamodb.Client
	table string
}

// NewSessions makes the store over t.Sessions.
func NewSessions(db *dynamodb.Client, t Tables) *Sessions {
	return &Sessions{db: db, table: t.Sessions}
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
	item := &auth.Item{Key: key, Version: number(out.Item["version"]), Doc: []byte(text(out.Item["doc"]))}
	if expires := number(out.Item["expires"]); expires != 0 {
		item.Expires = time.Unix(expires, 0).UTC()
	}
	return item, nil
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
