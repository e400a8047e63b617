package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// sqsFault is an answer that the SDK turns into a typed error by its code.
type sqsFault struct{ code, text string }

func (f sqsFault) Error() string { return f.code + ": " + f.text }

// sqsOperations are the operations of SQS that the product uses; any other is refused by name.
var sqsOperations = map[string]func(*queueServer, *http.Request, *json.Decoder) (any, error){
	"SendMessage":             sendMessage,
	"SendMessageBatch":        sendMessageBatch,
	"ReceiveMessage":          receiveMessage,
	"DeleteMessage":           deleteMessage,
	"ChangeMessageVisibility": changeMessageVisibility,
	"GetQueueAttributes":      getQueueAttributes,
}

// ServeHTTP speaks AWS JSON 1.0. A member of a request that is not known here is refused rather than ignored.
func (s *queueServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.Header().Set("X-Amzn-Requestid", newUUID())
	name, _ := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "AmazonSQS.")
	answer, err := any(nil), error(sqsFault{"UnsupportedOperation", "the local stack does not know " + name})
	if operation, ok := sqsOperations[name]; ok {
		dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4*maxMessage))
		dec.DisallowUnknownFields()
		answer, err = operation(s, r, dec)
	}
	if err != nil {
		var f sqsFault
		if !errors.As(err, &f) {
			f = sqsFault{"InvalidParameterValue", err.Error()}
		}
		w.Header().Set("X-Amzn-Query-Error", f.code+";Sender")
		w.WriteHeader(http.StatusBadRequest)
		answer = map[string]string{"__type": "com.amazonaws.sqs#" + f.code, "message": f.text}
	}
	_ = json.NewEncoder(w).Encode(answer) // the client has gone if this fails
}

// queue finds a queue by its address.
func (s *queueServer) queue(url string) (*messageQueue, error) {
	if q := s.byName(url[strings.LastIndexByte(url, '/')+1:]); q != nil {
		return q, nil
	}
	return nil, sqsFault{"QueueDoesNotExist", "The specified queue does not exist."}
}

// entry is a message to send, alone or in a batch.
type entry struct {
	Id             string //nolint:revive // the member's name
	MessageBody    string
	MessageGroupId string //nolint:revive // the member's name
	DelaySeconds   *int
}

func (e entry) check() error {
	if e.MessageBody == "" {
		return sqsFault{"MissingParameter", "The request must contain the parameter MessageBody."}
	}
	if len(e.MessageBody) > maxMessage {
		return sqsFault{"InvalidParameterValue", fmt.Sprintf("a message is at most %d bytes long", maxMessage)}
	}
	if !utf8.ValidString(e.MessageBody) || strings.ContainsFunc(e.MessageBody, notXML) {
		return sqsFault{"InvalidMessageContents", "a message holds the characters of XML 1.0 only"}
	}
	if d := e.DelaySeconds; d != nil && (*d < 0 || *d > maxDelay) {
		return sqsFault{"InvalidParameterValue", fmt.Sprintf("DelaySeconds %d is not between 0 and %d", *d, maxDelay)}
	}
	if len(e.MessageGroupId) > 128 {
		return sqsFault{"InvalidParameterValue", "MessageGroupId is at most 128 characters long"}
	}
	return nil
}

func notXML(r rune) bool {
	return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff
}

func (e entry) send(q *messageQueue) (*message, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	delay := time.Duration(-1)
	if e.DelaySeconds != nil {
		delay = time.Duration(*e.DelaySeconds) * time.Second
	}
	return q.send(e.MessageBody, e.MessageGroupId, delay)
}

func sendMessage(s *queueServer, _ *http.Request, dec *json.Decoder) (any, error) {
	var in struct {
		QueueUrl string //nolint:revive // the member's name
		entry
	}
	if err := dec.Decode(&in); err != nil {
		return nil, err
	}
	q, err := s.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	m, err := in.send(q)
	if err != nil {
		return nil, err
	}
	return map[string]string{"MessageId": m.ID, "MD5OfMessageBody": md5Hex(m.Body)}, nil
}

func sendMessageBatch(s *queueServer, _ *http.Request, dec *json.Decoder) (any, error) {
	var in struct {
		QueueUrl string //nolint:revive // the member's name
		Entries  []entry
	}
	if err := dec.Decode(&in); err != nil {
		return nil, err
	}
	q, err := s.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	if len(in.Entries) == 0 {
		return nil, sqsFault{"EmptyBatchRequest", "There should be at least one SendMessageBatchRequestEntry in the request."}
	}
	if len(in.Entries) > maxBatch {
		return nil, sqsFault{"TooManyEntriesInBatchRequest", fmt.Sprintf("a batch has at most %d entries", maxBatch)}
	}
	size, ids := 0, map[string]bool{}
	for _, e := range in.Entries {
		size += len(e.MessageBody)
		if ids[e.Id] {
			return nil, sqsFault{"BatchEntryIdsNotDistinct", "Id " + e.Id + " repeated."}
		}
		ids[e.Id] = true
	}
	if size > maxMessage {
		return nil, sqsFault{"BatchRequestTooLong", fmt.Sprintf("the messages of a batch have at most %d bytes", maxMessage)}
	}
	var out struct {
		Successful []map[string]string
		Failed     []map[string]any
	}
	for _, e := range in.Entries {
		m, err := e.send(q)
		var f sqsFault
		switch {
		case errors.As(err, &f):
			out.Failed = append(out.Failed, map[string]any{"Id": e.Id, "Code": f.code, "Message": f.text, "SenderFault": true})
		case err != nil:
			out.Failed = append(out.Failed, map[string]any{"Id": e.Id, "Code": "InternalError", "Message": "", "SenderFault": false})
		default:
			out.Successful = append(out.Successful, map[string]string{"Id": e.Id, "MessageId": m.ID, "MD5OfMessageBody": md5Hex(m.Body)})
		}
	}
	return out, nil
}

func receiveMessage(s *queueServer, r *http.Request, dec *json.Decoder) (any, error) {
	var in struct {
		QueueUrl                    string //nolint:revive // the member's name
		MaxNumberOfMessages         int
		VisibilityTimeout           *int
		WaitTimeSeconds             int
		AttributeNames              []string
		MessageSystemAttributeNames []string
		MessageAttributeNames       []string
	}
	if err := dec.Decode(&in); err != nil {
		return nil, err
	}
	q, err := s.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	most := max(in.MaxNumberOfMessages, 1)
	if most > maxReceive || in.WaitTimeSeconds < 0 || in.WaitTimeSeconds > 20 {
		return nil, sqsFault{"InvalidParameterValue", "at most 10 messages and 20 seconds of waiting"}
	}
	visibility := q.visibility
	if in.VisibilityTimeout != nil {
		visibility = time.Duration(*in.VisibilityTimeout) * time.Second
	}
	ctx, stop := context.WithTimeout(r.Context(), time.Duration(in.WaitTimeSeconds)*time.Second)
	defer stop()
	messages := []map[string]any{}
	for _, m := range q.receive(ctx, most, visibility) {
		messages = append(messages, map[string]any{
			"MessageId": m.ID, "ReceiptHandle": m.Receipt, "Body": m.Body, "MD5OfBody": md5Hex(m.Body),
			"Attributes": systemAttributes(m),
		})
	}
	return map[string]any{"Messages": messages}, nil
}

// systemAttributes are what SQS tells of a message; a function's event has the same.
func systemAttributes(m received) map[string]string {
	a := map[string]string{
		"ApproximateReceiveCount":          strconv.Itoa(m.Count),
		"SentTimestamp":                    strconv.FormatInt(m.SentAt.UnixMilli(), 10),
		"SenderId":                         account,
		"ApproximateFirstReceiveTimestamp": strconv.FormatInt(m.First.UnixMilli(), 10),
	}
	if m.Group != "" {
		a["MessageGroupId"] = m.Group
	}
	return a
}

func deleteMessage(s *queueServer, _ *http.Request, dec *json.Decoder) (any, error) {
	var in struct{ QueueUrl, ReceiptHandle string } //nolint:revive // the members' names
	if err := dec.Decode(&in); err != nil {
		return nil, err
	}
	q, err := s.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	q.delete(in.ReceiptHandle)
	return struct{}{}, nil
}

func changeMessageVisibility(s *queueServer, _ *http.Request, dec *json.Decoder) (any, error) {
	var in struct {
		QueueUrl, ReceiptHandle string //nolint:revive // the members' names
		VisibilityTimeout       int
	}
	if err := dec.Decode(&in); err != nil {
		return nil, err
	}
	q, err := s.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	if in.VisibilityTimeout < 0 || in.VisibilityTimeout > maxHidden {
		return nil, sqsFault{"InvalidParameterValue", fmt.Sprintf("VisibilityTimeout is between 0 and %d", maxHidden)}
	}
	err = q.hide(in.ReceiptHandle, time.Duration(in.VisibilityTimeout)*time.Second)
	switch {
	case errors.Is(err, errNoReceipt):
		return nil, sqsFault{"ReceiptHandleIsInvalid", "The input receipt handle is invalid."}
	case errors.Is(err, errNotFlying):
		return nil, sqsFault{"MessageNotInflight", "The message is visible again."}
	}
	return struct{}{}, err
}

func getQueueAttributes(s *queueServer, _ *http.Request, dec *json.Decoder) (any, error) {
	var in struct {
		QueueUrl       string //nolint:revive // the member's name
		AttributeNames []string
	}
	if err := dec.Decode(&in); err != nil {
		return nil, err
	}
	q, err := s.queue(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	visible, flying, delayed := q.count()
	all := map[string]string{
		"QueueArn":                              q.arn,
		"VisibilityTimeout":                     strconv.Itoa(int(q.visibility.Seconds())),
		"DelaySeconds":                          strconv.Itoa(int(q.delay.Seconds())),
		"MessageRetentionPeriod":                strconv.Itoa(int(q.retention.Seconds())),
		"ApproximateNumberOfMessages":           strconv.Itoa(visible),
		"ApproximateNumberOfMessagesNotVisible": strconv.Itoa(flying),
		"ApproximateNumberOfMessagesDelayed":    strconv.Itoa(delayed),
	}
	out := map[string]string{}
	for _, name := range in.AttributeNames {
		if name == "All" {
			out = all
			break
		}
		v, ok := all[name]
		if !ok {
			return nil, sqsFault{"InvalidAttributeName", "the local stack does not know " + name}
		}
		out[name] = v
	}
	return map[string]any{"Attributes": out}, nil
}
