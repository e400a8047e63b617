package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"aliquot/shared/biobank"
	"aliquot/shared/jobs"
)

// Space is the store for another kind of jobs.
func (s *Jobs) Space(name string) *Jobs { return &Jobs{db: s.db, table: s.table, space: name + "."} }

func (s *Jobs) jobKey(id int64) map[string]types.AttributeValue {
	return keyOf(s.space+"jobs", biobank.PadID(id))
}

func (s *Jobs) openKey(id int64) map[string]types.AttributeValue {
	return keyOf(s.space+"open", biobank.PadID(id))
}

func (s *Jobs) uuidKey(uuid string) map[string]types.AttributeValue {
	return keyOf(s.space+"uuid#"+uuid, markSort)
}

// ByUUID reads a job by its UUID, strongly; nil when there is none.
func (s *Jobs) ByUUID(ctx context.Context, uuid string) (*jobs.Job, error) {
	return s.named(ctx, s.uuidKey(uuid))
}

// named reads the job that an item names, nil when there is none.
func (s *Jobs) named(ctx context.Context, key map[string]types.AttributeValue) (*jobs.Job, error) {
	out, err := s.db.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.table, Key: key, ConsistentRead: aws.Bool(true)})
	if err != nil || out.Item == nil {
		return nil, err
	}
	id := number(out.Item["num"])
	got, err := s.Get(ctx, id)
	if err == nil && got == nil {
		err = fmt.Errorf("job %d is missing", id)
	}
	return got, err
}

func (s *Jobs) listPart(list string) string { return s.space + "list#" + list }

// Listed returns the jobs of a list (jobs.Job.Lists), strongly and newest first: those older than the job with the id before
// (0: all), at most limit (0: all). Of deleted jobs there are none. A page of up to 100 costs two calls.
func (s *Jobs) Listed(ctx context.Context, list string, before int64, limit int) ([]*jobs.Job, error) {
	in := &dynamodb.QueryInput{
		TableName: &s.table, ConsistentRead: aws.Bool(true), ScanIndexForward: aws.Bool(false),
		KeyConditionExpression:    aws.String("pk = :p"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":p": str(s.listPart(list))},
	}
	if before > 0 {
		in.KeyConditionExpression = aws.String("pk = :p AND sk < :s")
		in.ExpressionAttributeValues[":s"] = str(biobank.PadID(before))
	}
	var out []*jobs.Job
	for {
		if limit > 0 {
			in.Limit = aws.Int32(int32(limit - len(out)))
		}
		page, err := s.db.Query(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("list jobs: %w", err)
		}
		some, err := s.several(ctx, page.Items)
		if err != nil {
			return nil, err
		}
		// A job that was deleted is on its lists for a moment longer.
		out = append(out, slices.DeleteFunc(some, func(j *jobs.Job) bool { return j.Deleted })...)
		if page.LastEvaluatedKey == nil || limit > 0 && len(out) >= limit {
			return out, nil
		}
		in.ExclusiveStartKey = page.LastEvaluatedKey
	}
}

// several reads the jobs that items name, in their order.
func (s *Jobs) several(ctx context.Context, named []map[string]types.AttributeValue) ([]*jobs.Job, error) {
	found := make(map[int64]*jobs.Job, len(named))
	key := func(i int) (string, string) { return s.space + "jobs", biobank.PadID(number(named[i]["num"])) }
	err := batchGet(ctx, s.db, s.table, len(named), true, key, func(item map[string]types.AttributeValue) error {
		j, err := decodeJob(item)
		if err != nil {
			return err
		}
		found[j.ID] = j
		return s.count(ctx, j)
	})
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	out := make([]*jobs.Job, len(named))
	for i, item := range named {
		id := number(item["num"])
		if out[i] = found[id]; out[i] == nil {
			return nil, fmt.Errorf("job %d is missing", id)
		}
	}
	return out, nil
}

// Delete hides a job from its owner: its lists leave it out from now on. One that has not ended is asked to stop.
func (s *Jobs) Delete(ctx context.Context, j *jobs.Job) error {
	_, err := s.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.table, Key: s.jobKey(j.ID),
		UpdateExpression:          aws.String("SET gone = :yes, halt = :yes"),
		ConditionExpression:       aws.String("attribute_exists(pk)"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":yes": &types.AttributeValueMemberBOOL{Value: true}},
	})
	if err != nil {
		return fmt.Errorf("delete job %d: %w", j.ID, err)
	}
	for _, list := range j.Lists {
		key := keyOf(s.listPart(list), biobank.PadID(j.ID))
		if _, err := s.db.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &s.table, Key: key}); err != nil {
			return fmt.Errorf("take job %d off a list: %w", j.ID, err)
		}
	}
	return nil
}
