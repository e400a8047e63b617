package local

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// eventBus takes the object events of S3, brings them into the shape that EventBridge gives them, and sends them to the
// queues of the rules that match.
type eventBus struct {
	queues  *queueServer
	objects func() *s3.Client // for what the events of S3 lack
	warn    io.Writer

	mu        sync.Mutex
	rules     []*Rule
	buckets   map[string]bool // those whose events go to EventBridge
	sequencer uint64
}

func (b *eventBus) add(t *Template) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rules = append(b.rules, t.Rules...)
	for _, bucket := range t.Buckets {
		if bucket.NotificationConfiguration.EventBridgeConfiguration.EventBridgeEnabled {
			b.buckets[bucket.Name] = true
		}
	}
}

// webhookPath is where the bus takes the events of S3.
const webhookPath = "/-events"

// s3Event is what versitygw sends to its webhook.
type s3Event struct {
	Records []struct {
		EventTime         time.Time
		EventName         string // s3:ObjectCreated:Put
		RequestParameters struct{ SourceIPAddress string }
		S3                struct {
			Bucket struct{ Name string }
			Object struct {
				Key       string
				Size      int64
				ETag      string
				VersionID string `json:"versionId"`
			}
		}
	}
}

// reasons are EventBridge's words for the ways an object is made.
var reasons = map[string]string{
	"Put": "PutObject", "Post": "POST Object", "Copy": "CopyObject", "CompleteMultipartUpload": "CompleteMultipartUpload",
}

// ServeHTTP is the webhook. S3 tells every event once and does not wait for the answer, so it is taken before anything
// else is asked of S3.
func (b *eventBus) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var e s3Event
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&e)
	w.WriteHeader(http.StatusOK)
	if err != nil {
		fmt.Fprintf(b.warn, "an event of S3 is not readable: %v\n", err)
		return
	}
	for _, record := range e.Records {
		how, created := strings.CutPrefix(record.EventName, "s3:ObjectCreated:")
		b.mu.Lock()
		wanted := created && b.buckets[record.S3.Bucket.Name]
		b.sequencer++
		sequencer := fmt.Sprintf("%016X%08X", record.EventTime.UnixNano(), b.sequencer)
		b.mu.Unlock()
		if !wanted {
			continue
		}
		object := map[string]any{
			"key": record.S3.Object.Key, "size": record.S3.Object.Size,
			"etag": strings.Trim(record.S3.Object.ETag, `"`), "sequencer": sequencer,
		}
		if v := record.S3.Object.VersionID; v != "" {
			object["version-id"] = v
		} else {
			b.complete(record.S3.Bucket.Name, object)
		}
		b.publish(map[string]any{
			"version": "0", "id": newUUID(), "detail-type": "Object Created", "source": "aws.s3",
			"account": account, "time": record.EventTime.UTC().Format(time.RFC3339), "region": region,
			"resources": []any{"arn:aws:s3:::" + record.S3.Bucket.Name},
			"detail": map[string]any{
				"version": "0", "bucket": map[string]any{"name": record.S3.Bucket.Name}, "object": object,
				"request-id": newUUID(), "requester": account,
				"source-ip-address": record.RequestParameters.SourceIPAddress, "reason": reasons[how],
			},
		})
	}
}

// complete adds the version, and the size where it is missing, of an object as it is now. An object that is gone, or that
// another has replaced meanwhile, is told as S3 told it.
func (b *eventBus) complete(bucket string, object map[string]any) {
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	head, err := b.objects().HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: aws.String(object["key"].(string))})
	if err != nil || strings.Trim(aws.ToString(head.ETag), `"`) != object["etag"] {
		return
	}
	object["size"] = aws.ToInt64(head.ContentLength)
	if v := aws.ToString(head.VersionId); v != "" && v != "null" {
		object["version-id"] = v
	}
}

// publish sends an event to the targets of every rule that matches it.
func (b *eventBus) publish(event map[string]any) {
	b.mu.Lock()
	rules := slices.Clone(b.rules)
	b.mu.Unlock()
	body, err := json.Marshal(event)
	if err != nil {
		fmt.Fprintf(b.warn, "an event is not sent: %v\n", err)
		return
	}
	for _, r := range rules {
		if r.State == "DISABLED" || !matches(r.EventPattern, event) {
			continue
		}
		for _, target := range r.Targets {
			if _, err := b.queues.byARN(target.Arn).send(string(body), "", -1); err != nil {
				fmt.Fprintf(b.warn, "rule %s: an event is not sent: %v\n", r.ID, err)
			}
		}
	}
}

// matches tells whether an event matches a pattern of EventBridge: every field of the pattern is there and one of its
// alternatives holds.
func matches(pattern map[string]any, event any) bool {
	fields, _ := event.(map[string]any)
	for name, want := range pattern {
		value, there := fields[name]
		if nested, ok := want.(map[string]any); ok {
			if !matches(nested, value) {
				return false
			}
			continue
		}
		holds := func(alternative any) bool { return matchesValue(alternative, value, there) }
		if !slices.ContainsFunc(want.([]any), holds) {
			return false
		}
	}
	return true
}

func matchesValue(want, value any, there bool) bool {
	filter, ok := want.(map[string]any)
	if !ok {
		return there && want == value
	}
	text, isText := value.(string)
	for name, arg := range filter {
		switch name {
		case "prefix":
			return isText && strings.HasPrefix(text, arg.(string))
		case "suffix":
			return isText && strings.HasSuffix(text, arg.(string))
		case "wildcard":
			return isText && slices.ContainsFunc(wanted(arg), func(p string) bool { return wildcard(p, text) })
		case "exists":
			return there == arg.(bool)
		case "anything-but":
			list, ok := arg.([]any)
			if !ok {
				list = []any{arg}
			}
			return there && !slices.ContainsFunc(list, func(a any) bool { return matchesValue(a, value, there) })
		}
	}
	return false
}

// checkPattern refuses what matches does not know.
func checkPattern(pattern map[string]any, path string) error {
	if len(pattern) == 0 {
		return fmt.Errorf("%s: is empty", path)
	}
	for name, want := range pattern {
		path := join(path, name)
		switch want := want.(type) {
		case map[string]any:
			if err := checkPattern(want, path); err != nil {
				return err
			}
		case []any:
			for i, alternative := range want {
				if err := checkAlternative(alternative, fmt.Sprintf("%s[%d]", path, i)); err != nil {
					return err
				}
			}
		default:
			return fmt.Errorf("%s: wants a list of alternatives", path)
		}
	}
	return nil
}

func checkAlternative(v any, path string) error {
	filter, ok := v.(map[string]any)
	if !ok {
		if _, ok := v.(string); !ok {
			return fmt.Errorf("%s: only text and filters are known", path)
		}
		return nil
	}
	if len(filter) != 1 {
		return fmt.Errorf("%s: wants one filter", path)
	}
	for name, arg := range filter {
		_, isText := arg.(string)
		_, isBool := arg.(bool)
		list, isList := arg.([]any)
		nested, isFilter := arg.(map[string]any)
		switch {
		case (name == "prefix" || name == "suffix" || name == "wildcard") && isText, name == "exists" && isBool, name == "anything-but" && isText:
			return nil
		case name == "anything-but" && isList:
			for _, a := range list {
				if _, ok := a.(string); !ok {
					return fmt.Errorf("%s.anything-but: only text is known", path)
				}
			}
			return nil
		case name == "anything-but" && isFilter && len(nested) == 1 && len(wanted(nested["wildcard"])) > 0:
			return nil
		case name == "anything-but" && isFilter && len(nested) == 1 && (nested["prefix"] != nil || nested["suffix"] != nil):
			return checkAlternative(nested, path+".anything-but")
		}
		return fmt.Errorf("%s: filter %s is not known in this form", path, name)
	}
	return nil
}

// wanted are a filter's texts: one or a list of them.
func wanted(arg any) (all []string) {
	list, ok := arg.([]any)
	if !ok {
		list = []any{arg}
	}
	for _, a := range list {
		if text, ok := a.(string); ok {
			all = append(all, text)
		}
	}
	return all
}

// wildcard tells whether a text matches a pattern in which * stands for any text.
func wildcard(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	first, last := parts[0], parts[len(parts)-1]
	if len(parts) == 1 {
		return text == pattern
	}
	if !strings.HasPrefix(text, first) || len(text) < len(first)+len(last) || !strings.HasSuffix(text, last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		_, after, found := strings.Cut(text, part)
		if !found {
			return false
		}
		text = after
	}
	return true
}
