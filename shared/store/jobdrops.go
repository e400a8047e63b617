package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"aliquot/shared/biobank"
	"aliquot/shared/jobs"
)

func dropKey(j *jobs.Job) map[string]types.AttributeValue {
	name := j.Bucket + "\x00" + j.Key + "\x00" + j.Version
	if j.Entry != "" {
		name += "\x00" + j.Entry
	}
	sum := sha256.Sum256([]byte(name))
	return keyOf("drop#"+hex.EncodeToString(sum[:16]), markSort)
}

func queueKey(j *jobs.Job) map[string]types.AttributeValue {
	const most = 900 // a sort key has at most 1,024 bytes
	return keyOf("drops#"+j.Owner, j.Stamp+"#"+j.FileName[:min(most, len(j.FileName))]+"#"+biobank.PadID(j.ID))
}

// Dropped tells which of the objects of a bucket have a job; all are given by key and version.
func (s *Jobs) Dropped(ctx context.Context, bucket, key, version string) (bool, error) {
	out, err := s.db.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &s.table, Key: dropKey(&jobs.Job{Bucket: bucket, Key: key, Version: version}), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return false, err
	}
	return out.Item != nil, nil
}

// Open lists the ids of the jobs that have not ended, oldest first.
func (s *Jobs) Open(ctx context.Context) ([]int64, error) { return s.ids(ctx, s.space+"open", 0) }

// Drops lists the ids of an owner's dropped jobs that have not ended, in the order in which they run.
func (s *Jobs) Drops(ctx context.Context, owner string) ([]int64, error) {
	return s.ids(ctx, "drops#"+owner, 0)
}

// NextDrop is the first of them, 0 when there is none.
func (s *Jobs) NextDrop(ctx context.Context, owner string) (int64, error) {
	ids, err := s.ids(ctx, "drops#"+owner, 1)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	return ids[0], nil
}

// Turn tells whether a dropped job may run: where it is the first of its owner's and none of them runs, it has the turn,
// and keeps it until it ends.
func (s *Jobs) Turn(ctx context.Context, j *jobs.Job) (bool, error) {
	key := keyOf("turn#"+j.Owner, markSort)
	out, err := s.db.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.table, Key: key, ConsistentRead: aws.Bool(true)})
	if err != nil {
		return false, fmt.Errorf("read whose turn it is: %w", err)
	}
	holder := number(out.Item["num"])
	if holder == j.ID {
		return true, nil
	}
	if first, err := s.NextDrop(ctx, j.Owner); err != nil || first != j.ID {
		return false, err
	}
	if holder != 0 {
		if other, err := s.Get(ctx, holder); err != nil || other != nil && !other.Status.Final() {
			return false, err
		}
	}
	_, err = s.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.table, Key: key,
		UpdateExpression:          aws.String("SET num = :me"),
		ConditionExpression:       aws.String("attribute_not_exists(pk) OR num = :was"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":me": num(j.ID), ":was": num(holder)},
	})
	var failed *types.ConditionalCheckFailedException
	if errors.As(err, &failed) {
		return false, nil // another took it meanwhile
	}
	return err == nil, err
}

// ids lists the jobs of a partition, at most limit (0: all).
func (s *Jobs) ids(ctx context.Context, pk string, limit int32) ([]int64, error) {
	in := &dynamodb.QueryInput{
		TableName: &s.table, ConsistentRead: aws.Bool(true),
		KeyConditionExpression:    aws.String("pk = :p"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":p": str(pk)},
	}
	if limit > 0 {
		in.Limit = &limit
	}
	var out []int64
	for {
		page, err := s.db.Query(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", pk, err)
		}
		for _, item := range page.Items {
			out = append(out, number(item["num"]))
		}
		if page.LastEvaluatedKey == nil || limit > 0 && len(out) >= int(limit) {
			return out, nil
		}
		in.ExclusiveStartKey = page.LastEvaluatedKey
	}
}
