package local_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"

	"aliquot/infra/local"
)

// newStack starts the stack of testdata.
func newStack(t *testing.T) *local.Stack {
	t.Helper()
	root, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	s, err := local.Start(t.Context(), local.Options{Root: root, Functions: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func invoke(t *testing.T, s *local.Stack, do string) ([]byte, error) {
	t.Helper()
	return s.Invoke(t.Context(), "probe", fmt.Appendf(nil, `{"do":%q}`, do))
}

func send(t *testing.T, s *local.Stack, queue, body string) {
	t.Helper()
	_, err := sqs.NewFromConfig(s.AWSConfig()).SendMessage(t.Context(), &sqs.SendMessageInput{
		QueueUrl: aws.String(s.Queues[queue]), MessageBody: aws.String(body),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// seen returns what the probe noted of messages, without the part that all share.
func seen(t *testing.T, s *local.Stack) []string {
	t.Helper()
	out, err := s3.NewFromConfig(s.AWSConfig()).ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{
		Bucket: aws.String(s.Buckets["results"]), Prefix: aws.String("seen/"),
	})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, o := range out.Contents {
		keys = append(keys, strings.TrimPrefix(*o.Key, "seen/"))
	}
	return keys
}

func waitFor(t *testing.T, what string, limit time.Duration, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("%s did not come to be within %s", what, limit)
}

func TestFunctionHasTheTemplatesEnvironmentAndNothingOfThisMachines(t *testing.T) {
	t.Setenv("AWS_CA_BUNDLE", "/not/there")
	t.Setenv("ALIQUOT_FROM_OUTSIDE", "1")
	s := newStack(t)
	out, err := invoke(t, s, "environment")
	if err != nil {
		t.Fatal(err)
	}
	var env []string
	if err := json.Unmarshal(out, &env); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(env, "GREETING=hello from us-east-1") {
		t.Errorf("the template's variable is missing in %q", env)
	}
	for _, e := range env {
		if strings.HasPrefix(e, "AWS_CA_BUNDLE=") || strings.HasPrefix(e, "ALIQUOT_") || strings.HasPrefix(e, "HOME=") {
			t.Errorf("the function sees %s", e)
		}
	}
}

func TestInvocationsThatFail(t *testing.T) {
	s := newStack(t)
	tests := []struct {
		name, do, wantType string
		timedOut           bool
	}{
		{"an error", "fail", "errorString", false},
		{"a panic", "panic", "string", false},
		{"an end of the process", "exit", "Runtime.ExitError", false},
		{"more than the timeout", "sleep 10s", "Sandbox.Timedout", true},
		{"an answer over 6 MB", "large", "Function.ResponseSizeTooLarge", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := invoke(t, s, test.do)
			var fault *local.FunctionFault
			if !errors.As(err, &fault) {
				t.Fatalf("answered %v", err)
			}
			if fault.Type != test.wantType || fault.TimedOut != test.timedOut {
				t.Errorf("fault %+v, want type %s", fault, test.wantType)
			}
			if out, err := invoke(t, s, "again"); err != nil || string(out) != `"again"` {
				t.Errorf("the next invocation answered %s, %v", out, err)
			}
		})
	}
}

func TestEnvironmentIsUsedAgainAndKnowsItsDeadline(t *testing.T) {
	s := newStack(t)
	first, err := invoke(t, s, "process")
	if err != nil {
		t.Fatal(err)
	}
	second, err := invoke(t, s, "process")
	if err != nil {
		t.Fatal(err)
	}
	if string(first) != string(second) {
		t.Errorf("two invocations in turn ran in processes %s and %s", first, second)
	}
	out, err := invoke(t, s, "deadline")
	if err != nil {
		t.Fatal(err)
	}
	var left float64
	if err := json.Unmarshal(out, &left); err != nil || left <= 1 || left > 2 {
		t.Errorf("%s seconds are left of 2", out)
	}
}

func TestKilledFunctionsMessageComesAgain(t *testing.T) {
	s := newStack(t)
	send(t, s, "work", "sleep 1s")
	waitFor(t, "the first receipt", 2*time.Second, func() bool { return len(seen(t, s)) == 1 })
	if n := s.KillFunction("probe"); n != 1 {
		t.Fatalf("killed %d processes", n)
	}
	waitFor(t, "an empty queue", 10*time.Second, func() bool {
		visible, flying, delayed := s.QueueCounts("work")
		return visible+flying+delayed == 0
	})
	if diff := cmp.Diff([]string{"sleep 1s/1", "sleep 1s/2"}, seen(t, s)); diff != "" {
		t.Errorf("receipts (-want +got):\n%s", diff)
	}
}

func TestMessageThatFailsAlwaysGoesToTheDeadLetters(t *testing.T) {
	s := newStack(t)
	send(t, s, "work", "fail")
	send(t, s, "work", "succeed")
	waitFor(t, "a dead letter", 15*time.Second, func() bool {
		visible, _, _ := s.QueueCounts("dead")
		return visible == 1
	})
	if diff := cmp.Diff([]string{"fail/1", "fail/2", "succeed/1"}, seen(t, s)); diff != "" {
		t.Errorf("receipts (-want +got):\n%s", diff)
	}
	out, err := sqs.NewFromConfig(s.AWSConfig()).ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: aws.String(s.Queues["dead"])})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Messages) != 1 || *out.Messages[0].Body != "fail" {
		t.Errorf("the dead letters hold %+v", out.Messages)
	}
}

func TestOnlyTheFailedMessagesOfABatchComeAgain(t *testing.T) {
	s := newStack(t)
	client := sqs.NewFromConfig(s.AWSConfig())
	var entries []types.SendMessageBatchRequestEntry
	for i, body := range []string{"a", "fail", "b"} {
		entries = append(entries, types.SendMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), MessageBody: aws.String(body)})
	}
	out, err := client.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{QueueUrl: aws.String(s.Queues["batch"]), Entries: entries})
	if err != nil || len(out.Failed) > 0 {
		t.Fatal(err, out)
	}
	waitFor(t, "the second receipt", 10*time.Second, func() bool { return slices.Contains(seen(t, s), "fail/2") })
	if diff := cmp.Diff([]string{"a/1", "b/1", "fail/1", "fail/2"}, seen(t, s)); diff != "" {
		t.Errorf("receipts (-want +got):\n%s", diff)
	}
}

func TestDroppedObjectReachesTheQueueInTheShapeOfEventBridge(t *testing.T) {
	s := newStack(t)
	client := s3.NewFromConfig(s.AWSConfig())
	const key = "owner/a file+with 100%ä.csv"
	put := func(key string) string {
		out, err := client.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: aws.String(s.Buckets["intake"]), Key: aws.String(key), Body: strings.NewReader("text"),
		})
		if err != nil {
			t.Fatal(err)
		}
		return aws.ToString(out.VersionId)
	}
	put("_uploads/1")
	version := put(key)
	waitFor(t, "the event", 5*time.Second, func() bool { return len(seen(t, s)) > 0 })
	time.Sleep(100 * time.Millisecond) // for the event that must not come
	if diff := cmp.Diff([]string{"event/1"}, seen(t, s)); diff != "" {
		t.Fatalf("receipts (-want +got):\n%s", diff)
	}
	out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(s.Buckets["results"]), Key: aws.String("seen/event/1")})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	var e struct {
		Source     string
		DetailType string `json:"detail-type"`
		Detail     struct {
			Bucket struct{ Name string }
			Object struct {
				Key, ETag, Sequencer string
				Size                 int64
				Version              string `json:"version-id"`
			}
			Reason string
		}
	}
	if err := json.NewDecoder(out.Body).Decode(&e); err != nil {
		t.Fatal(err)
	}
	got := e.Detail
	if got.Object.Sequencer == "" {
		t.Error("no sequencer")
	}
	if e.Source != "aws.s3" || e.DetailType != "Object Created" || got.Bucket.Name != s.Buckets["intake"] || got.Object.Key != key ||
		got.Object.Size != 4 || got.Object.Version != version || version == "" || got.Object.ETag != "1cb251ec0d568de6a929b520c4aed8d1" ||
		got.Reason != "PutObject" {
		t.Errorf("event %+v, want version %q", e, version)
	}
}

func TestRequestBecomesAnEventOfFormat2(t *testing.T) {
	s := newStack(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.API+"/rest/a%20b/c?x=1&x=2&y=%20z", strings.NewReader(`{"k":1}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Add("X-Twice", "1")
	req.Header.Add("X-Twice", "2")
	req.Header.Set("Cookie", "token=t; other=o")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 201 || len(res.Cookies()) != 2 || res.Header.Get("Content-Type") != "application/json" {
		t.Errorf("status %d, headers %v", res.StatusCode, res.Header)
	}
	var e events.APIGatewayV2HTTPRequest
	if err := json.NewDecoder(res.Body).Decode(&e); err != nil {
		t.Fatal(err)
	}
	if e.RawPath != "/rest/a b/c" || e.RawQueryString != "x=1&x=2&y=%20z" || e.RouteKey != "ANY /rest/{proxy+}" || e.Body != `{"k":1}` || e.IsBase64Encoded {
		t.Errorf("event %+v", e)
	}
	if diff := cmp.Diff(map[string]string{"proxy": "a b/c"}, e.PathParameters); diff != "" {
		t.Errorf("path parameters (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"x": "1,2", "y": " z"}, e.QueryStringParameters); diff != "" {
		t.Errorf("query (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"token=t", "other=o"}, e.Cookies); diff != "" {
		t.Errorf("cookies (-want +got):\n%s", diff)
	}
	if e.Headers["x-twice"] != "1,2" || e.Headers["cookie"] != "" || e.RequestContext.HTTP.SourceIP != "127.0.0.1" {
		t.Errorf("headers %v, context %+v", e.Headers, e.RequestContext)
	}
}

func TestFunctionHasTheRightsOfItsRoleOnly(t *testing.T) {
	s := newStack(t)
	tests := []struct{ request, want string }{
		{"put seen/a", "done"},
		{"put other/a", "AccessDenied"},
		{"get seen/a", "AccessDenied"},
		{"get missing", "AccessDenied"}, // 404 would tell more than the role may know
		{"list", "AccessDenied"},
		{"insert", "done"},
		{"item", "done"},
		{"update", "AccessDeniedException"},
		{"delete", "AccessDeniedException"},
		{"send", "AccessDeniedException"},
	}
	for _, test := range tests {
		got, err := invoke(t, s, "request "+test.request)
		if err != nil || string(got) != `"`+test.want+`"` {
			t.Errorf("%s answered %s, %v, want %s", test.request, got, err, test.want)
		}
	}
}

func TestFaultsAreMade(t *testing.T) {
	root, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	start := func(faults local.Faults) *local.Stack {
		s, err := local.Start(t.Context(), local.Options{Root: root, Functions: true, Faults: faults, Params: map[string]string{"Timeout": "20", "Visibility": "20"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		return s
	}
	throttled := start(local.Faults{Throttle: 1})
	for request, want := range map[string]string{
		"item": "ProvisionedThroughputExceededException", "put seen/a": "SlowDown",
	} {
		if got, err := invoke(t, throttled, "request "+request); err != nil || string(got) != `"`+want+`"` {
			t.Errorf("%s answered %s, %v, want %s", request, got, err, want)
		}
	}
	lossy := start(local.Faults{Lose: 1})
	var fault *local.FunctionFault
	if got, err := invoke(t, lossy, "request insert"); !errors.As(err, &fault) {
		t.Errorf("a request whose answer is lost answered %s, %v", got, err)
	}
	out, err := dynamodb.NewFromConfig(lossy.AWSConfig()).Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String(lossy.Tables["records"])})
	if err != nil || out.Count != 1 {
		t.Errorf("the request was not carried out: %v, %v", out, err)
	}
}

func TestGatewayAnswers(t *testing.T) {
	s := newStack(t)
	tests := []struct {
		name, path string
		body       io.Reader
		status     int
		want       string
	}{
		{"no route", "/other", nil, 404, `{"message":"Not Found"}`},
		{"nothing for the greedy parameter", "/rest/", nil, 404, `{"message":"Not Found"}`},
		{"an answer without status", "/rest/plain", nil, 200, `{"without":"status"}`},
		{"a failed function", "/rest/fail", nil, 500, `{"message":"Internal Server Error"}`},
		{"a function over its timeout", "/rest/slow", nil, 503, `{"message":"Service Unavailable"}`},
		{"a body over 10 MB", "/rest/x", strings.NewReader(strings.Repeat("x", 11<<20)), 413, `{"message":"Request Entity Too Large"}`},
		{"a body over 6 MB as an event", "/rest/x", strings.NewReader(strings.Repeat("x", 5<<20)), 413, `{"message":"Request Entity Too Large"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			res, err := http.Post(s.API+test.path, "application/octet-stream", test.body)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			text, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != test.status || string(text) != test.want {
				t.Errorf("answered %d %s", res.StatusCode, text)
			}
		})
	}
}

func TestConcurrentInvocationsRunSideBySide(t *testing.T) {
	s := newStack(t)
	if _, err := invoke(t, s, "warm"); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := s.Invoke(t.Context(), "probe", []byte(`{"do":"sleep 500ms"}`)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(start); took > 1500*time.Millisecond {
		t.Errorf("four invocations of 0.5 s took %s", took)
	}
}

func TestKeptStackFindsItsDataAndMessagesAgain(t *testing.T) {
	dir := t.TempDir()
	root, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	start := func() *local.Stack {
		s, err := local.Start(t.Context(), local.Options{Root: root, Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		return s
	}
	one := start()
	send(t, one, "work", "kept")
	_, err = s3.NewFromConfig(one.AWSConfig()).PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String(one.Buckets["results"]), Key: aws.String("kept"), Body: strings.NewReader("kept"),
	})
	if err != nil {
		t.Fatal(err)
	}
	one.Close()
	two := start()
	if _, err := s3.NewFromConfig(two.AWSConfig()).HeadObject(t.Context(), &s3.HeadObjectInput{
		Bucket: aws.String(two.Buckets["results"]), Key: aws.String("kept"),
	}); err != nil {
		t.Errorf("the object is gone: %v", err)
	}
	out, err := sqs.NewFromConfig(two.AWSConfig()).ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: aws.String(two.Queues["work"])})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Messages) != 1 || *out.Messages[0].Body != "kept" {
		t.Errorf("the queue holds %+v", out.Messages)
	}
}

func TestCloseLeavesNothingBehind(t *testing.T) {
	s := newStack(t)
	if _, err := invoke(t, s, "warm"); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := os.Stat(s.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary folder is still there: %v", err)
	}
	for _, url := range []string{s.API, s.DynamoDBEndpoint, s.S3Endpoint, s.SQSEndpoint} {
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			res.Body.Close()
			t.Errorf("%s still answers", url)
		}
		stop()
	}
	if _, err := invoke(t, s, "late"); err == nil {
		t.Error("a closed stack runs a function")
	}
}
