package store

import (
	"context"
	"fmt"

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

// Delete hides a job from its owner: lists leave it out from now on. One that has not ended is asked to stop.
func (s *Jobs) Delete(ctx context.Context, id int64) error {
	_, err := s.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.table, Key: s.jobKey(id),
		UpdateExpression:          aws.String("SET gone = :yes, halt = :yes"),
		ConditionExpression:       aws.String("attribute_exists(pk)"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":yes": &types.AttributeValueMemberBOOL{Value: true}},
	})
	if err != nil {
		return fmt.Errorf("delete job %d: %w", id, err)
	}
	return nil
}
