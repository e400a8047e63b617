package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"aliquot/shared/jobs"
)

func chunkPart(job int64) string { return "job#" + strconv.FormatInt(job, 10) }

func chunkSort(n int) string { return fmt.Sprintf("chunk#%06d", n) }

func decodeChunk(job int64, item map[string]types.AttributeValue) (*jobs.Chunk, error) {
	n, err := strconv.Atoi(strings.TrimPrefix(text(item["sk"]), "chunk#"))
	if err != nil {
		return nil, fmt.Errorf("chunk of job %d: %w", job, err)
	}
	c := &jobs.Chunk{
		JobID: job, N: n, Open: flag(item["opened"]), Next: number(item["next"]), Done: number(item["done"]), Failed: number(item["bad"]),
		Stop: flag(item["halt"]), Fence: number(item["fence"]), Attempts: int(number(item["tries"])),
		LeasedTo: time.UnixMilli(number(item["lease"])).UTC(),
	}
	if parts := text(item["parts"]); parts != "" {
		c.Parts = strings.Split(parts, " ")
	}
	return c, nil
}

// Chunks returns the chunks of a job in order, after chunk number after, at most limit (0: all).
func (s *Jobs) Chunks(ctx context.Context, job int64, after, limit int) ([]*jobs.Chunk, error) {
	in := &dynamodb.QueryInput{
		TableName: &s.table, ConsistentRead: aws.Bool(true),
		KeyConditionExpression:    aws.String("pk = :p AND sk > :s"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":p": str(chunkPart(job)), ":s": str("chunk#")},
	}
	if after >= 0 {
		in.ExpressionAttributeValues[":s"] = str(chunkSort(after))
	}
	var out []*jobs.Chunk
	for {
		if limit > 0 {
			in.Limit = aws.Int32(int32(limit - len(out)))
		}
		page, err := s.db.Query(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("read the chunks of job %d: %w", job, err)
		}
		for _, item := range page.Items {
			c, err := decodeChunk(job, item)
			if err != nil {
				return nil, err
			}
			out = append(out, c)
		}
		if page.LastEvaluatedKey == nil || limit > 0 && len(out) >= limit {
			return out, nil
		}
		in.ExclusiveStartKey = page.LastEvaluatedKey
	}
}

// AddChunks stores n open chunks. Nobody works on them before the job is saved with their number, so that planning again
// may put them again.
func (s *Jobs) AddChunks(ctx context.Context, job int64, n int) error {
	const most = 25
	for from := 0; from < n; from += most {
		var puts []types.WriteRequest
		for i := from; i < min(n, from+most); i++ {
			item := keyOf(chunkPart(job), chunkSort(i))
			for _, name := range []string{"next", "done", "bad", "fence", "lease", "tries"} {
				item[name] = num(0)
			}
			item["opened"] = &types.AttributeValueMemberBOOL{Value: true}
			item["halt"] = &types.AttributeValueMemberBOOL{Value: false}
			puts = append(puts, types.WriteRequest{PutRequest: &types.PutRequest{Item: item}})
		}
		ask := map[string][]types.WriteRequest{s.table: puts}
		for try := 0; len(ask) > 0; try++ {
			if err := pause(ctx, try); err != nil {
				return err
			}
			out, err := s.db.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: ask})
			if err != nil {
				return fmt.Errorf("store the chunks of job %d: %w", job, err)
			}
			ask = out.UnprocessedItems
		}
	}
	return nil
}

// LeaseChunk takes a chunk for work. jobs.ErrLeased: another worker has it; jobs.ErrEnded: it is done.
func (s *Jobs) LeaseChunk(ctx context.Context, job int64, n int, now time.Time, d time.Duration) (*jobs.Chunk, error) {
	key := keyOf(chunkPart(job), chunkSort(n))
	out, err := s.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.table, Key: key,
		UpdateExpression:    aws.String("SET lease = :to ADD fence :one, tries :one"),
		ConditionExpression: aws.String("lease < :now AND opened = :yes"),
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":to": num(now.Add(d).UnixMilli()), ":now": num(now.UnixMilli()), ":one": num(1),
			":yes": &types.AttributeValueMemberBOOL{Value: true},
		},
		ReturnValues: types.ReturnValueAllNew,
	})
	var failed *types.ConditionalCheckFailedException
	if errors.As(err, &failed) {
		got, err := s.db.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.table, Key: key, ConsistentRead: aws.Bool(true)})
		if err != nil {
			return nil, err
		}
		if got.Item == nil || !flag(got.Item["opened"]) {
			return nil, jobs.ErrEnded
		}
		c, err := decodeChunk(job, got.Item)
		if err != nil {
			return nil, err
		}
		return c, jobs.ErrLeased
	}
	if err != nil {
		return nil, fmt.Errorf("lease chunk %d of job %d: %w", n, job, err)
	}
	return decodeChunk(job, out.Attributes)
}

// SaveChunk stores, under the lease, how far the chunk is, and gives the lease back. With Open false the chunk is done.
// Progress clears the count of attempts.
func (s *Jobs) SaveChunk(ctx context.Context, c *jobs.Chunk) error {
	_, err := s.db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &s.table, Key: keyOf(chunkPart(c.JobID), chunkSort(c.N)),
		UpdateExpression:    aws.String("SET opened = :o, #next = :n, parts = :p, done = :d, bad = :b, lease = :zero, tries = :zero"),
		ConditionExpression: aws.String("fence = :f"),
		ExpressionAttributeNames: map[string]string{
			"#next": "next",
		},
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":o": &types.AttributeValueMemberBOOL{Value: c.Open}, ":n": num(c.Next), ":p": str(strings.Join(c.Parts, " ")),
			":d": num(c.Done), ":b": num(c.Failed), ":zero": num(0), ":f": num(c.Fence),
		},
	})
	return fenced(err)
}
