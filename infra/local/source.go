package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"
)

// defaultPollers is how many batches of a queue are worked on at once when the template does not say.
const defaultPollers = 10

// poll delivers the messages of a queue to a function, as an event source mapping does: each batch is invisible for the
// queue's visibility timeout; what succeeded is deleted; what failed becomes visible when its time is over, or when the
// function has set another. It returns when ctx is done and its invocations have ended.
func poll(ctx context.Context, f *function, s Source, q *messageQueue, warn io.Writer) {
	pollers := s.ScalingConfig.MaximumConcurrency
	if pollers == 0 {
		pollers = defaultPollers
	}
	window := time.Duration(s.MaximumBatchingWindowInSeconds) * time.Second
	var wg sync.WaitGroup
	for range pollers {
		wg.Go(func() {
			for ctx.Err() == nil {
				batch := q.receive(ctx, s.BatchSize, q.visibility)
				if more := s.BatchSize - len(batch); len(batch) > 0 && more > 0 && window > 0 {
					wait, stop := context.WithTimeout(ctx, window)
					batch = append(batch, q.receive(wait, more, q.visibility)...)
					stop()
				}
				if len(batch) > 0 {
					deliver(ctx, f, s, q, batch, warn)
				}
			}
		})
	}
	wg.Wait()
}

// deliver sends one batch through the function and deletes what succeeded.
func deliver(ctx context.Context, f *function, s Source, q *messageQueue, batch []received, warn io.Writer) {
	payload, err := json.Marshal(sqsEvent(q, batch))
	if err != nil {
		fmt.Fprintf(warn, "%s: %v\n", q.name, err)
		return
	}
	answer, err := f.invoke(ctx, payload)
	if ctx.Err() != nil && err != nil {
		return // the stack ends; the messages stay
	}
	if err != nil {
		fmt.Fprintf(warn, "%s: %v\n", f.Name, err)
		return
	}
	var failed map[string]bool
	if len(s.FunctionResponseTypes) > 0 {
		if failed, err = failures(answer, batch); err != nil {
			fmt.Fprintf(warn, "%s: its answer counts as a failure of the whole batch: %v\n", f.Name, err)
			return
		}
	}
	for _, m := range batch {
		if !failed[m.ID] {
			q.delete(m.Receipt)
		}
	}
}

// sqsEvent is the event that Lambda makes of messages.
func sqsEvent(q *messageQueue, batch []received) events.SQSEvent {
	var e events.SQSEvent
	for _, m := range batch {
		e.Records = append(e.Records, events.SQSMessage{
			MessageId: m.ID, ReceiptHandle: m.Receipt, Body: m.Body, Md5OfBody: md5Hex(m.Body),
			Attributes:        systemAttributes(m),
			MessageAttributes: map[string]events.SQSMessageAttribute{},
			EventSourceARN:    q.arn, EventSource: "aws:sqs", AWSRegion: region,
		})
	}
	return e
}

// failures reads which messages of a batch failed. Nothing, null and an empty list mean that none did; anything that
// Lambda does not understand means that all did.
func failures(answer []byte, batch []received) (map[string]bool, error) {
	if len(answer) == 0 {
		return nil, nil
	}
	var response struct {
		BatchItemFailures []struct{ ItemIdentifier string }
	}
	if err := json.Unmarshal(answer, &response); err != nil {
		return nil, err
	}
	sent := map[string]bool{}
	for _, m := range batch {
		sent[m.ID] = true
	}
	failed := map[string]bool{}
	for _, item := range response.BatchItemFailures {
		if !sent[item.ItemIdentifier] {
			return nil, errors.New("it names a message that is not of the batch")
		}
		failed[item.ItemIdentifier] = true
	}
	return failed, nil
}
