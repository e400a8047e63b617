package trigger

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"aliquot/shared/fault"
	"aliquot/shared/jobs"
)

// Extender sets when a message that is being worked on comes again.
type Extender interface {
	Extend(ctx context.Context, receiptHandle string, d time.Duration) error
}

// Queue makes a handler of SQS batches. While a message is worked on it stays invisible for the length of a lease, renewed
// every third of it, so that the message of a worker who died comes again when the lease is over. Messages that failed, or
// must come later, are answered one by one.
func Queue(handle func(context.Context, []byte) error, queue Extender, lease time.Duration, log *slog.Logger) func(context.Context, events.SQSEvent) (events.SQSEventResponse, error) {
	return func(ctx context.Context, e events.SQSEvent) (events.SQSEventResponse, error) {
		var out events.SQSEventResponse
		for _, m := range e.Records {
			err := holding(ctx, queue, m.ReceiptHandle, lease, log, func() error { return handle(ctx, []byte(m.Body)) })
			if err == nil {
				continue
			}
			out.BatchItemFailures = append(out.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.MessageId})
			var later *jobs.Later
			if errors.As(err, &later) {
				if err := queue.Extend(ctx, m.ReceiptHandle, later.After); err != nil {
					log.WarnContext(ctx, "message not put off", "message", m.MessageId, "cause", err.Error())
				}
				continue
			}
			cause := ""
			if len(fault.All(err)) == 0 { // a fault's text is for its causer: it may repeat what a file holds
				cause = err.Error()
			}
			log.ErrorContext(ctx, "message failed", "message", m.MessageId, "code", fault.Codes(err), "cause", cause)
		}
		return out, nil
	}
}

// holding does work while the message stays invisible to others.
func holding(ctx context.Context, queue Extender, handle string, lease time.Duration, log *slog.Logger, work func() error) error {
	ctx, stop := context.WithCancel(ctx)
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		every := time.NewTicker(lease / 3)
		defer every.Stop()
		for {
			if err := queue.Extend(ctx, handle, lease); err != nil && ctx.Err() == nil {
				log.WarnContext(ctx, "message not held", "cause", err.Error())
			}
			select {
			case <-ctx.Done():
				return
			case <-every.C:
			}
		}
	}()
	defer func() { stop(); <-idle }()
	return work()
}
