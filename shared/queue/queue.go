// Package queue puts messages on an SQS queue. A standard queue: at least once, in any order. The group of a message is
// its tenant: SQS keeps a busy group from holding up the others (fair queues).
package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// MaxDelay is the longest a message can be held back.
const MaxDelay = 15 * time.Minute

// maxBatch and maxBytes are the most SQS takes in one request.
const (
	maxBatch = 10
	maxBytes = 1 << 20
)

// tries is how often the messages that SQS refused for a cause of its own are sent again.
const tries = 5

// Queue is one queue. It is safe for concurrent use.
type Queue struct {
	url    string
	client func() *sqs.Client
}

// New makes a Queue of its URL.
func New(cfg aws.Config, url string) *Queue {
	return &Queue{url: url, client: sync.OnceValue(func() *sqs.Client { return sqs.NewFromConfig(cfg) })}
}

// Message is what SendAll sends.
type Message struct {
	Body  []byte
	Group string
	Delay time.Duration
}

// Send puts one message on the queue. A group of "" means none; a delay over MaxDelay is cut to it. The body is text of
// at most 1 MiB.
func (q *Queue) Send(ctx context.Context, body []byte, group string, delay time.Duration) error {
	_, err := q.client().SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl: &q.url, MessageBody: aws.String(string(body)), MessageGroupId: nonEmpty(group), DelaySeconds: seconds(delay),
	})
	if err != nil {
		return fmt.Errorf("send message: %w", err)
	}
	return nil
}

// SendAll puts the messages on the queue, ten a request. Those that SQS could not take are sent again; an error means
// that some were not sent, or that some may have been sent twice. Sending all of them again is then right.
func (q *Queue) SendAll(ctx context.Context, messages []Message) error {
	for len(messages) > 0 {
		n, size := 0, 0
		for n < min(maxBatch, len(messages)) && (n == 0 || size+len(messages[n].Body) <= maxBytes) {
			size += len(messages[n].Body)
			n++
		}
		if err := q.sendBatch(ctx, messages[:n]); err != nil {
			return err
		}
		messages = messages[n:]
	}
	return nil
}

func (q *Queue) sendBatch(ctx context.Context, messages []Message) error {
	entries := make([]types.SendMessageBatchRequestEntry, len(messages))
	for i, m := range messages {
		entries[i] = types.SendMessageBatchRequestEntry{
			Id:             aws.String(strconv.Itoa(i)),
			MessageBody:    aws.String(string(m.Body)),
			MessageGroupId: nonEmpty(m.Group),
			DelaySeconds:   seconds(m.Delay),
		}
	}
	for try := 1; ; try++ {
		out, err := q.client().SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: &q.url, Entries: entries})
		if err != nil {
			return fmt.Errorf("send messages: %w", err)
		}
		if len(out.Failed) == 0 {
			return nil
		}
		var again []types.SendMessageBatchRequestEntry
		for _, f := range out.Failed {
			if f.SenderFault || try == tries {
				return fmt.Errorf("send messages: %d refused, code %s", len(out.Failed), aws.ToString(f.Code))
			}
			for _, e := range entries {
				if *e.Id == aws.ToString(f.Id) {
					again = append(again, e)
				}
			}
		}
		if len(again) == 0 {
			return errors.New("send messages: refused messages that were not sent")
		}
		entries = again
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(try*try) * 50 * time.Millisecond):
		}
	}
}

// Extend keeps a received message invisible for d from now on; 0 puts it back at once. It fails for a message that was
// deleted or is visible again.
func (q *Queue) Extend(ctx context.Context, receiptHandle string, d time.Duration) error {
	_, err := q.client().ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{
		QueueUrl: &q.url, ReceiptHandle: &receiptHandle, VisibilityTimeout: int32(d / time.Second),
	})
	if err != nil {
		return fmt.Errorf("extend message: %w", err)
	}
	return nil
}

func seconds(d time.Duration) int32 {
	// Upwards: a message must not come before its time.
	return int32((min(max(d, 0), MaxDelay) + time.Second - 1) / time.Second)
}

func nonEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
