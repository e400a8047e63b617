package local

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func newQueue(t *testing.T, dir string) *messageQueue {
	t.Helper()
	q, err := newMessageQueue(&Queue{ID: "Q", Name: "q", VisibilityTimeout: 30, MessageRetentionPeriod: 3600}, "arn", dir)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func mustSend(t *testing.T, q *messageQueue, body, group string, delay time.Duration) {
	t.Helper()
	if _, err := q.send(body, group, delay); err != nil {
		t.Fatal(err)
	}
}

// receiveFor waits as long as d for a message, and returns its body and receipt, or nothing.
func receiveFor(q *messageQueue, d time.Duration) (body, receipt string) {
	ctx, stop := context.WithTimeout(context.Background(), d)
	defer stop()
	for _, m := range q.receive(ctx, 1, q.visibility) {
		return m.Body, m.Receipt
	}
	return "", ""
}

func TestReceivedMessageComesAgainAfterItsVisibilityTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, "")
		mustSend(t, q, "a", "", 0)
		_, first := receiveFor(q, 0)
		if body, _ := receiveFor(q, 29*time.Second); body != "" {
			t.Errorf("%q came before its time", body)
		}
		if err := q.hide(first, 100*time.Second); err != nil {
			t.Fatal(err)
		}
		if body, _ := receiveFor(q, 99*time.Second); body != "" {
			t.Errorf("%q came before its new time", body)
		}
		body, second := receiveFor(q, 2*time.Second)
		if body != "a" || second == first {
			t.Fatalf("received %q with receipt %q", body, second)
		}
		q.delete(first) // no longer the latest receipt
		if visible, flying, _ := q.count(); visible+flying != 1 {
			t.Error("an old receipt deleted the message")
		}
		if err := q.hide(first, time.Second); err != errNoReceipt {
			t.Errorf("an old receipt: %v", err)
		}
		if err := q.hide(second, 0); err != nil {
			t.Fatal(err)
		}
		if err := q.hide(second, time.Second); err != errNotFlying {
			t.Errorf("a visible message: %v", err)
		}
		q.delete(second)
		if body, _ := receiveFor(q, time.Hour); body != "" {
			t.Errorf("%q came after it was deleted", body)
		}
	})
}

func TestDelayedMessageIsNotSeenBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, "")
		start := time.Now()
		mustSend(t, q, "late", "", 10*time.Second)
		mustSend(t, q, "soon", "", 0)
		var order []string
		for range 2 {
			body, receipt := receiveFor(q, time.Minute)
			q.delete(receipt)
			order = append(order, fmt.Sprintf("%s %.0fs", body, time.Since(start).Seconds()))
		}
		if diff := cmp.Diff([]string{"soon 0s", "late 10s"}, order); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})
}

func TestBusyGroupDoesNotHoldUpAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, "")
		for i := range 5 {
			mustSend(t, q, fmt.Sprint("busy", i), "busy", 0)
		}
		mustSend(t, q, "small", "small", 0)
		var order []string
		for range 3 {
			body, _ := receiveFor(q, 0)
			order = append(order, body)
		}
		if diff := cmp.Diff([]string{"busy0", "small", "busy1"}, order); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})
}

func TestMessageReceivedTooOftenGoesToTheDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, dead := newQueue(t, ""), newQueue(t, "")
		q.dead, q.maxReceive = dead, 3
		mustSend(t, q, "poison", "g", 0)
		n := 0
		for {
			body, _ := receiveFor(q, time.Minute)
			if body == "" {
				break
			}
			n++
		}
		if n != 3 {
			t.Errorf("received %d times", n)
		}
		if body, _ := receiveFor(dead, 0); body != "poison" {
			t.Errorf("the dead letters hold %q", body)
		}
	})
}

func TestMessagesAreDroppedWhenTheyAreTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, "")
		mustSend(t, q, "old", "", 0)
		time.Sleep(q.retention + time.Second)
		if body, _ := receiveFor(q, 0); body != "" {
			t.Errorf("received %q", body)
		}
	})
}

func TestRedeliveredMessageIsWorkedOnTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, "")
		mustSend(t, q, "a", "", 0)
		_, first := receiveFor(q, 0)
		if n := q.redeliver(); n != 1 {
			t.Errorf("redelivered %d", n)
		}
		body, second := receiveFor(q, 0)
		if body != "a" || first == second {
			t.Errorf("received %q", body)
		}
	})
}

func TestQueueFindsItsMessagesAgain(t *testing.T) {
	dir := t.TempDir()
	q := newQueue(t, dir)
	for _, body := range []string{"first", "second", "third"} {
		mustSend(t, q, body, "g", 0)
		time.Sleep(time.Millisecond) // so that their order is known
	}
	_, receipt := receiveFor(q, 0)
	q.delete(receipt)
	receiveFor(q, 0) // and not deleted
	again := newQueue(t, dir)
	var got []string
	for {
		body, _ := receiveFor(again, 0)
		if body == "" {
			break
		}
		got = append(got, body)
	}
	if diff := cmp.Diff([]string{"second", "third"}, got); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}
