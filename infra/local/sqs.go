package local

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Limits of SQS.
const (
	maxMessage = 1 << 20 // bytes of one message, and of one batch
	maxReceive = 10
	maxBatch   = 10
	maxDelay   = 900   // seconds
	maxHidden  = 43200 // seconds that a message may stay invisible
)

// message is one message of a queue. Its queue's lock guards it.
type message struct {
	ID        string    `json:"id"`
	Body      string    `json:"body"`
	Group     string    `json:"group,omitempty"`
	SentAt    time.Time `json:"sentAt"`
	VisibleAt time.Time `json:"visibleAt"`

	received      int       // how often
	firstReceived time.Time // zero until it was
	receipt       string    // of the latest receive; older receipts are worth nothing
}

// flying tells whether the message was received and is neither deleted nor visible again.
func (m *message) flying(now time.Time) bool { return m.receipt != "" && m.VisibleAt.After(now) }

// messageQueue is a standard queue: messages come at least once and in no promised order. A message that is received
// stays invisible until its visibility timeout; who received it deletes it before that, or it comes again.
//
// Messages of a kept stack lie in files, one each, so that they outlive the process.
type messageQueue struct {
	name, arn  string
	visibility time.Duration
	delay      time.Duration
	retention  time.Duration
	dir        string        // of the files, or empty
	dead       *messageQueue // where messages go that were received more than maxReceives times, or nil
	maxReceive int

	mu       sync.Mutex
	messages []*message    // oldest first
	changed  chan struct{} // closed and replaced when a waiting receive should look again
}

func newMessageQueue(q *Queue, arn, dir string) (*messageQueue, error) {
	mq := &messageQueue{
		name: q.Name, arn: arn, dir: dir,
		visibility: time.Duration(q.VisibilityTimeout) * time.Second,
		delay:      time.Duration(q.DelaySeconds) * time.Second,
		retention:  time.Duration(q.MessageRetentionPeriod) * time.Second,
		maxReceive: q.RedrivePolicy.MaxReceiveCount,
		changed:    make(chan struct{}),
	}
	return mq, mq.load()
}

// load reads the messages that an earlier start left.
func (q *messageQueue) load() error {
	if q.dir == "" {
		return nil
	}
	if err := os.MkdirAll(q.dir, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(q.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(q.dir, e.Name()))
		if err != nil {
			return err
		}
		var m message
		if err := json.Unmarshal(text, &m); err != nil {
			// The process ended while it wrote the message, so its sender never heard that it was taken.
			if err := os.Remove(filepath.Join(q.dir, e.Name())); err != nil {
				return err
			}
			continue
		}
		q.messages = append(q.messages, &m)
	}
	slices.SortFunc(q.messages, func(a, b *message) int { return a.SentAt.Compare(b.SentAt) })
	return nil
}

func (q *messageQueue) file(m *message) string { return filepath.Join(q.dir, m.ID+".json") }

// send puts a message on the queue, to be seen after delay. A negative delay stands for the queue's own.
func (q *messageQueue) send(body, group string, delay time.Duration) (*message, error) {
	if delay < 0 {
		delay = q.delay
	}
	now := time.Now()
	m := &message{ID: newUUID(), Body: body, Group: group, SentAt: now, VisibleAt: now.Add(delay)}
	return m, q.add(m)
}

func (q *messageQueue) add(m *message) error {
	if q.dir != "" {
		text, err := json.Marshal(m)
		if err != nil {
			return err
		}
		if err := os.WriteFile(q.file(m), text, 0o600); err != nil {
			return err
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.messages = append(q.messages, m)
	q.wake()
	return nil
}

// wake has waiting receives look again. The lock is held.
func (q *messageQueue) wake() {
	close(q.changed)
	q.changed = make(chan struct{})
}

// received is a message as one receive got it.
type received struct {
	message
	Receipt string
	Count   int
	First   time.Time
}

// receive returns up to most messages, each invisible for the given time from now on. It waits for the first one until
// ctx is done, and then returns none.
func (q *messageQueue) receive(ctx context.Context, most int, visibility time.Duration) []received {
	for {
		q.mu.Lock()
		got, next := q.take(most, visibility)
		changed := q.changed
		q.mu.Unlock()
		if len(got) > 0 {
			return got
		}
		timer := time.NewTimer(time.Until(next))
		if next.IsZero() {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-changed:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// take takes what is visible. With nothing visible, next is when a message will be, or zero. The lock is held.
func (q *messageQueue) take(most int, visibility time.Duration) (got []received, next time.Time) {
	now := time.Now()
	q.expire(now)
	for len(got) < most {
		m := q.fairest(now)
		if m == nil {
			break
		}
		if q.dead != nil && m.received >= q.maxReceive {
			q.bury(m)
			continue
		}
		m.received++
		if m.firstReceived.IsZero() {
			m.firstReceived = now
		}
		m.receipt = rand.Text()
		m.VisibleAt = now.Add(visibility)
		got = append(got, received{message: *m, Receipt: m.receipt, Count: m.received, First: m.firstReceived})
	}
	for _, m := range q.messages {
		if next.IsZero() || m.VisibleAt.Before(next) {
			next = m.VisibleAt
		}
	}
	return got, next
}

// fairest returns the oldest visible message of the group with the fewest messages in flight, as SQS does for a standard
// queue whose messages have groups: a busy group does not hold up the others.
func (q *messageQueue) fairest(now time.Time) *message {
	flying := map[string]int{}
	for _, m := range q.messages {
		if m.flying(now) && m.Group != "" {
			flying[m.Group]++
		}
	}
	var best *message
	for _, m := range q.messages {
		if !m.VisibleAt.After(now) && (best == nil || flying[m.Group] < flying[best.Group]) {
			best = m
		}
	}
	return best
}

// expire drops messages older than the queue keeps them.
func (q *messageQueue) expire(now time.Time) {
	for _, m := range slices.Clone(q.messages) {
		if now.Sub(m.SentAt) > q.retention {
			q.drop(m)
		}
	}
}

// bury moves a message to the dead letters. It keeps its id and, as on SQS, its age.
func (q *messageQueue) bury(m *message) {
	copied := &message{ID: m.ID, Body: m.Body, Group: m.Group, SentAt: m.SentAt}
	if err := q.dead.add(copied); err != nil {
		m.VisibleAt = time.Now().Add(time.Second) // it could not be stored there, so it stays here for now
		return
	}
	q.drop(m)
}

func (q *messageQueue) drop(m *message) {
	q.messages = slices.DeleteFunc(q.messages, func(o *message) bool { return o == m })
	if q.dir != "" {
		// A file that stays comes back with the next start, as a message that is delivered twice.
		_ = os.Remove(q.file(m))
	}
}

var (
	errNoReceipt = errors.New("ReceiptHandleIsInvalid")
	errNotFlying = errors.New("MessageNotInflight")
)

// delete removes the message of a receipt. As on SQS a receipt that is not the latest one deletes nothing, without a word.
func (q *messageQueue) delete(receipt string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if m := q.find(receipt); m != nil {
		q.drop(m)
	}
}

func (q *messageQueue) find(receipt string) *message {
	i := slices.IndexFunc(q.messages, func(m *message) bool { return m.receipt == receipt && receipt != "" })
	if i < 0 {
		return nil
	}
	return q.messages[i]
}

// hide sets how long from now a received message stays invisible; 0 shows it at once.
func (q *messageQueue) hide(receipt string, d time.Duration) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	m := q.find(receipt)
	if m == nil {
		return errNoReceipt
	}
	if !m.flying(now) {
		return errNotFlying
	}
	m.VisibleAt = now.Add(d)
	q.wake()
	return nil
}

// redeliver shows every message in flight at once, so that it comes a second time while the first is worked on.
func (q *messageQueue) redeliver() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	now, n := time.Now(), 0
	for _, m := range q.messages {
		if m.flying(now) {
			m.VisibleAt = now
			n++
		}
	}
	q.wake()
	return n
}

// count returns how many messages are visible, in flight, and delayed.
func (q *messageQueue) count() (visible, flying, delayed int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	for _, m := range q.messages {
		switch {
		case !m.VisibleAt.After(now):
			visible++
		case m.receipt != "":
			flying++
		default:
			delayed++
		}
	}
	return visible, flying, delayed
}

// newUUID returns a random UUID of version 4.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

func md5Hex(s string) string {
	sum := md5.Sum([]byte(s)) // what SQS answers and its clients check
	return hex.EncodeToString(sum[:])
}

// queueServer holds the queues of all stacks of one process, by name.
type queueServer struct {
	mu     sync.Mutex
	queues map[string]*messageQueue
}

// add makes the queues of a template. dir, if not empty, keeps their messages.
func (s *queueServer) add(t *Template, n names, dir string) error {
	made := map[string]*messageQueue{}
	for _, q := range t.Queues {
		files := ""
		if dir != "" {
			files = filepath.Join(dir, q.ID)
		}
		arn := n.arn("AWS::SQS::Queue", q.ID)
		mq, err := newMessageQueue(q, arn, files)
		if err != nil {
			return fmt.Errorf("queue %s: %w", q.ID, err)
		}
		made[arn] = mq
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range t.Queues {
		mq := made[n.arn("AWS::SQS::Queue", q.ID)]
		mq.dead = made[q.RedrivePolicy.DeadLetterTargetArn]
		s.queues[mq.name] = mq
	}
	return nil
}

// byARN returns a queue, which the template's check has made sure of.
func (s *queueServer) byARN(arn string) *messageQueue {
	return s.byName(arn[strings.LastIndexByte(arn, ':')+1:])
}

// byName returns the queue of that name, or nil.
func (s *queueServer) byName(name string) *messageQueue {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queues[name]
}
