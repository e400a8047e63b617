package trigger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"aliquot/shared/fault"
	"aliquot/shared/jobs"
	"aliquot/shared/trigger"
)

// extensions notes for how long messages were put off.
type extensions struct {
	mu    sync.Mutex
	after map[string][]time.Duration
	fail  bool
}

func (e *extensions) Extend(_ context.Context, handle string, d time.Duration) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fail {
		return errors.New("no queue")
	}
	e.after[handle] = append(e.after[handle], d)
	return nil
}

func TestQueueAnswersEachMessage(t *testing.T) {
	const lease = time.Minute
	handle := func(_ context.Context, body []byte) error {
		switch string(body) {
		case "later":
			return fmt.Errorf("wrapped: %w", &jobs.Later{After: 7 * time.Second})
		case "broken":
			return errors.New("the table is gone")
		case "refused":
			return fault.New("CPR_DUP_PPID", "PPID %q is taken.", "Zyxppid")
		}
		return nil
	}
	var e events.SQSEvent
	for i, body := range []string{"fine", "later", "broken", "refused", "fine"} {
		e.Records = append(e.Records, events.SQSMessage{MessageId: fmt.Sprint("m", i), ReceiptHandle: fmt.Sprint("h", i), Body: body})
	}
	for _, fail := range []bool{false, true} {
		queue := &extensions{after: map[string][]time.Duration{}, fail: fail}
		var log bytes.Buffer
		out, err := trigger.Queue(handle, queue, lease, slog.New(slog.NewJSONHandler(&log, nil)))(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		var again []string
		for _, f := range out.BatchItemFailures {
			again = append(again, f.ItemIdentifier)
		}
		if diff := cmp.Diff([]string{"m1", "m2", "m3"}, again); diff != "" {
			t.Errorf("messages that come again (-want +got):\n%s", diff)
		}
		if fail {
			if !bytes.Contains(log.Bytes(), []byte("message not put off")) {
				t.Errorf("log:\n%s", &log)
			}
			continue
		}
		want := map[string][]time.Duration{"h0": {lease}, "h1": {lease, 7 * time.Second}, "h2": {lease}, "h3": {lease}, "h4": {lease}}
		if diff := cmp.Diff(want, queue.after); diff != "" {
			t.Errorf("extensions (-want +got):\n%s", diff)
		}
		if bytes.Contains(log.Bytes(), []byte("Zyxppid")) {
			t.Errorf("a value is in the log:\n%s", &log)
		}
	}
}

// A message stays out of sight for as long as it is worked on.
func TestQueueHoldsAMessage(t *testing.T) {
	queue := &extensions{after: map[string][]time.Duration{}}
	held := make(chan struct{})
	handle := func(ctx context.Context, _ []byte) error {
		for {
			queue.mu.Lock()
			n := len(queue.after["h"])
			queue.mu.Unlock()
			if n >= 3 {
				close(held)
				return nil
			}
			time.Sleep(time.Millisecond)
		}
	}
	e := events.SQSEvent{Records: []events.SQSMessage{{MessageId: "m", ReceiptHandle: "h"}}}
	out, err := trigger.Queue(handle, queue, 30*time.Millisecond, slog.New(slog.DiscardHandler))(t.Context(), e)
	if err != nil || len(out.BatchItemFailures) != 0 {
		t.Fatal(out, err)
	}
	<-held
	queue.mu.Lock()
	n := len(queue.after["h"])
	queue.mu.Unlock()
	time.Sleep(40 * time.Millisecond)
	queue.mu.Lock()
	defer queue.mu.Unlock()
	if len(queue.after["h"]) != n {
		t.Error("a message is held after its work is done")
	}
}
