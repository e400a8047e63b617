package queue_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"aliquot/shared/queue"
)

// sqs is as much of SQS as a Queue uses. It refuses, for a cause of its own, the messages whose body says so, as often as
// the number in refuse says.
type sqs struct {
	mu       sync.Mutex
	refuse   map[string]int
	blame    bool // refuses as the sender's fault
	received []string
	requests []int // batch sizes
	calls    []string
}

type entry struct {
	ID                string `json:"Id"`
	MessageBody       string
	MessageGroupID    string `json:"MessageGroupId"`
	DelaySeconds      int
	ReceiptHandle     string
	VisibilityTimeout int
	Entries           []entry
}

func (s *sqs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var in entry
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	action := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "AmazonSQS.")
	s.calls = append(s.calls, fmt.Sprintf("%s %s %s %d %s %d", action, in.MessageBody, in.MessageGroupID, in.DelaySeconds, in.ReceiptHandle, in.VisibilityTimeout))
	s.requests = append(s.requests, len(in.Entries))
	type failed struct {
		ID          string `json:"Id"`
		Code        string
		SenderFault bool
	}
	out := struct {
		Successful []entry  `json:",omitempty"`
		Failed     []failed `json:",omitempty"`
	}{}
	for _, e := range in.Entries {
		if s.refuse[e.MessageBody] > 0 {
			s.refuse[e.MessageBody]--
			out.Failed = append(out.Failed, failed{e.ID, "InternalError", s.blame})
			continue
		}
		s.received = append(s.received, e.MessageBody)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	_ = json.NewEncoder(w).Encode(out)
}

func newQueue(t *testing.T, s *sqs) *queue.Queue {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	cfg := aws.Config{
		Region: "local", BaseEndpoint: aws.String(server.URL), Credentials: aws.AnonymousCredentials{}, RetryMaxAttempts: 1,
	}
	return queue.New(cfg, server.URL+"/queue")
}

func messages(n int) []queue.Message {
	list := make([]queue.Message, n)
	for i := range list {
		list[i] = queue.Message{Body: fmt.Appendf(nil, "m%02d", i), Group: "g"}
	}
	return list
}

func TestSendAllRepeatsOnlyWhatWasRefused(t *testing.T) {
	s := &sqs{refuse: map[string]int{"m03": 2, "m11": 1}}
	if err := newQueue(t, s).SendAll(t.Context(), messages(12)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{10, 1, 1, 2, 1}, s.requests); diff != "" {
		t.Errorf("sizes of the requests (-want +got):\n%s", diff)
	}
	if len(s.received) != 12 {
		t.Errorf("received %d messages, want 12", len(s.received))
	}
}

func TestSendAllGivesUp(t *testing.T) {
	tests := map[string]struct {
		sqs      *sqs
		requests int
	}{
		"refused for good":      {&sqs{refuse: map[string]int{"m00": 1000}}, 5},
		"the sender's fault":    {&sqs{refuse: map[string]int{"m00": 1000}, blame: true}, 1},
		"of many messages, one": {&sqs{refuse: map[string]int{"m01": 1000}}, 5},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if err := newQueue(t, tt.sqs).SendAll(t.Context(), messages(2)); err == nil {
				t.Error("no fault for a message that was never taken")
			}
			if len(tt.sqs.requests) != tt.requests {
				t.Errorf("%d requests, want %d", len(tt.sqs.requests), tt.requests)
			}
		})
	}
}

func TestSendAllKeepsRequestsBelowTheLimit(t *testing.T) {
	s := &sqs{}
	big := []byte(strings.Repeat("x", 400<<10))
	if err := newQueue(t, s).SendAll(t.Context(), []queue.Message{{Body: big}, {Body: big}, {Body: big}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{2, 1}, s.requests); diff != "" {
		t.Errorf("sizes of the requests (-want +got):\n%s", diff)
	}
}

func TestRequests(t *testing.T) {
	s := &sqs{}
	q := newQueue(t, s)
	for _, err := range []error{
		q.Send(t.Context(), []byte("one"), "group", 1500*time.Millisecond),
		q.Send(t.Context(), []byte("two"), "", time.Hour),
		q.Extend(t.Context(), "receipt", time.Minute),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	want := []string{
		"SendMessage one group 2  0",
		"SendMessage two  900  0",
		"ChangeMessageVisibility   0 receipt 60",
	}
	if diff := cmp.Diff(want, s.calls); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}
