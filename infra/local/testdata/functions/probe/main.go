// Command probe is the function of the local stack's own tests: it does what its event says.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"
)

func main() { lambda.Start(handle) }

func handle(ctx context.Context, payload json.RawMessage) (any, error) {
	var e struct {
		Do             string `json:"do"`
		RequestContext *struct{}
		Records        []events.SQSMessage
	}
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, err
	}
	switch {
	case e.RequestContext != nil:
		return answer(payload)
	case e.Records != nil:
		return consume(ctx, e.Records)
	}
	if request, ok := strings.CutPrefix(e.Do, "request "); ok {
		return ask(ctx, request)
	}
	return do(ctx, e.Do)
}

// ask sends one request to a service and answers with "done" or the code of its refusal.
func ask(ctx context.Context, request string) (string, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return "", err
	}
	objects, db, messages := s3.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg), sqs.NewFromConfig(cfg)
	bucket, table, queue := aws.String(os.Getenv("RESULTS")), os.Getenv("RECORDS"), aws.String(os.Getenv("WORK"))
	key := map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: "a"}}
	verb, name, _ := strings.Cut(request, " ")
	switch verb {
	case "put":
		_, err = objects.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: &name, Body: strings.NewReader("x")})
	case "get":
		_, err = objects.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: &name})
	case "list":
		_, err = objects.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: bucket})
	case "insert":
		_, err = db.ExecuteStatement(ctx, &dynamodb.ExecuteStatementInput{Statement: aws.String(fmt.Sprintf(`INSERT INTO "%s" VALUE {'pk':'a'}`, table))})
	case "update":
		_, err = db.ExecuteStatement(ctx, &dynamodb.ExecuteStatementInput{Statement: aws.String(fmt.Sprintf(`UPDATE "%s" SET x=1 WHERE pk='a'`, table))})
	case "item":
		_, err = db.GetItem(ctx, &dynamodb.GetItemInput{TableName: &table, Key: key})
	case "delete":
		_, err = db.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{{Delete: &types.Delete{TableName: &table, Key: key}}}})
	case "send":
		_, err = messages.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: queue, MessageBody: aws.String("x")})
	}
	var refused smithy.APIError
	if errors.As(err, &refused) {
		return refused.ErrorCode(), nil
	}
	return "done", err
}

func do(ctx context.Context, what string) (any, error) {
	what, arg, _ := strings.Cut(what, " ")
	switch what {
	case "environment":
		return os.Environ(), nil
	case "process":
		return os.Getpid(), nil
	case "fail":
		return nil, errors.New("told to fail")
	case "panic":
		panic("told to panic")
	case "exit":
		os.Exit(3)
	case "sleep":
		d, err := time.ParseDuration(arg)
		if err != nil {
			return nil, err
		}
		time.Sleep(d)
	case "large":
		return strings.Repeat("x", 7<<20), nil
	case "deadline":
		at, _ := ctx.Deadline()
		return time.Until(at).Seconds(), nil
	}
	return what, nil
}

// answer sends the event of a request back, in the way its path asks for.
func answer(payload json.RawMessage) (any, error) {
	var r events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal(payload, &r); err != nil {
		return nil, err
	}
	switch r.PathParameters["proxy"] {
	case "plain":
		return map[string]string{"without": "status"}, nil
	case "fail":
		return nil, errors.New("told to fail")
	case "slow":
		time.Sleep(time.Minute)
	}
	return events.APIGatewayV2HTTPResponse{
		StatusCode: 201, Headers: map[string]string{"Content-Type": "application/json"},
		Cookies: []string{"a=1; HttpOnly", "b=2"}, Body: string(payload),
	}, nil
}

// consume does what each message says and notes every receipt as an object: seen/<body>/<receive count>.
func consume(ctx context.Context, messages []events.SQSMessage) (any, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, err
	}
	client := s3.NewFromConfig(cfg)
	var out events.SQSEventResponse
	for _, m := range messages {
		name, body := m.Body, []byte(m.Body)
		if strings.HasPrefix(name, "{") {
			name = "event"
		}
		_, err := client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: aws.String(os.Getenv("RESULTS")), Body: bytes.NewReader(body),
			Key: aws.String(fmt.Sprintf("seen/%s/%s", name, m.Attributes["ApproximateReceiveCount"])),
		})
		if err != nil {
			return nil, err
		}
		if name == "event" {
			continue
		}
		if _, err := do(ctx, m.Body); err != nil {
			out.BatchItemFailures = append(out.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.MessageId})
		}
	}
	return out, nil
}
