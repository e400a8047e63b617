package store

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"aliquot/shared/auth"
)

// Sessions keeps sessions and logins in the sessions table: pk, version, doc, and expires in epoch seconds, by which
// DynamoDB drops items some time after.
type Sessions struct {
	DB    *dynamodb.Client
	Table string
}

// Get implements auth.Store.
func (s *Sessions) Get(ctx context.Context, key string) (*auth.Item, error) {
	out, err := s.DB.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &s.Table, Key: sessionKey(key), ConsistentRead: aws.Bool(true),
	})
	if err != nil || out.Item == nil {
		return nil, err
	}
	item := &auth.Item{Key: key}
	if doc, ok := out.Item["doc"].(*types.AttributeValueMemberS); ok {
		item.Doc = []byte(doc.Value)
	}
	if item.Version, err = number(out.Item["version"]); err != nil {
		return nil, err
	}
	expires, err := number(out.Item["expires"])
	if err != nil {
		return nil, err
	}
	if expires != 0 {
		item.Expires = time.Unix(expires, 0).UTC()
	}
	return item, nil
}

// Put implements auth.Store.
func (s *Sessions) Put(ctx context.Context, item *auth.Item) error {
	in := &dynamodb.PutItemInput{
		TableName: &s.Table,
		Item: map[string]types.AttributeValue{
			"pk":      &types.AttributeValueMemberS{Value: item.Key},
			"version": &types.AttributeValueMemberN{Value: strconv.FormatInt(item.Version+1, 10)},
			"doc":     &types.AttributeValueMemberS{Value: string(item.Doc)},
		},
		ConditionExpression: aws.String("attribute_not_exists(pk)"),
	}
	if !item.Expires.IsZero() {
		// Upwards: it must not vanish before its time.
		in.Item["expires"] = &types.AttributeValueMemberN{Value: strconv.FormatInt(item.Expires.Unix()+1, 10)}
	}
	if item.Version != 0 {
		in.ConditionExpression = aws.String("version = :was")
		in.ExpressionAttributeValues = map[string]types.AttributeValue{
			":was": &types.AttributeValueMemberN{Value: strconv.FormatInt(item.Version, 10)},
		}
	}
	_, err := s.DB.PutItem(ctx, in)
	var failed *types.ConditionalCheckFailedException
	if errors.As(err, &failed) {
		return auth.ErrChanged
	}
	return err
}

// Delete implements auth.Store.
func (s *Sessions) Delete(ctx context.Context, key string) error {
	_, err := s.DB.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &s.Table, Key: sessionKey(key)})
	return err
}

func sessionKey(key string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: key}}
}

// number reads a number attribute; a missing one is 0.
func number(v types.AttributeValue) (int64, error) {
	n, ok := v.(*types.AttributeValueMemberN)
	if !ok {
		return 0, nil
	}
	return strconv.ParseInt(n.Value, 10, 64)
}
