package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	smithy "github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// sender sends requests whose bodies were made by hand. Endpoint, credentials, signature, connections and the judgement of
// what may be tried again are the SDK's; its chain of middleware, which costs as much as the rest of an import, is left out.
type sender struct {
	o        dynamodb.Options
	signer   *v4.Signer
	endpoint func() (string, error)
}

func newSender(db *dynamodb.Client) *sender {
	o := db.Options()
	return &sender{o: o, signer: v4.NewSigner(), endpoint: sync.OnceValues(func() (string, error) {
		at, err := o.EndpointResolverV2.ResolveEndpoint(context.Background(), dynamodb.EndpointParameters{
			Region: &o.Region, Endpoint: o.BaseEndpoint,
			UseFIPS:      aws.Bool(o.EndpointOptions.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled),
			UseDualStack: aws.Bool(o.EndpointOptions.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled),
		})
		if err != nil {
			return "", fmt.Errorf("find DynamoDB: %w", err)
		}
		return (&url.URL{Scheme: at.URI.Scheme, Host: at.URI.Host, Path: "/"}).String(), nil
	})}
}

// serviceFault is a failure that the service told. Its text may repeat values and is left out.
type serviceFault struct {
	code string
	body []byte
}

func (f *serviceFault) Error() string                 { return "dynamodb: " + f.code }
func (f *serviceFault) ErrorCode() string             { return f.code }
func (f *serviceFault) ErrorMessage() string          { return "" }
func (f *serviceFault) ErrorFault() smithy.ErrorFault { return smithy.FaultUnknown }

// send calls an operation and returns the body of its answer. What may succeed next time is tried again, as by the SDK's
// own calls. The transport may still be reading body after a failure.
func (s *sender) send(ctx context.Context, operation string, body []byte) ([]byte, error) {
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	for attempt := 1; ; attempt++ {
		answer, err := s.once(ctx, operation, body, hash)
		if err == nil || ctx.Err() != nil || !s.o.Retryer.IsErrorRetryable(err) || attempt >= s.o.Retryer.MaxAttempts() {
			return answer, err
		}
		wait, err := s.o.Retryer.RetryDelay(attempt, err)
		if err != nil {
			return nil, err
		}
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// once sends the request one time.
func (s *sender) once(ctx context.Context, operation string, body []byte, hash string) ([]byte, error) {
	endpoint, err := s.endpoint()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	req.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	req.Header.Set("Accept-Encoding", "identity")
	keys, err := s.o.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, fmt.Errorf("get credentials: %w", err)
	}
	if err := s.signer.SignHTTP(ctx, keys, req, hash, "dynamodb", s.o.Region, time.Now().UTC()); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	resp, err := s.o.HTTPClient.Do(req)
	if err != nil {
		return nil, &smithyhttp.RequestSendError{Err: err}
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err = errors.Join(err, resp.Body.Close()); err == nil {
		err = intact(resp, answer)
	}
	if err != nil {
		return nil, &smithyhttp.RequestSendError{Err: fmt.Errorf("read answer: %w", err)}
	}
	if resp.StatusCode == http.StatusOK {
		return answer, nil
	}
	return nil, &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: resp}, Err: told(resp, answer)}
}

// maxAnswer is more than DynamoDB ever answers.
const maxAnswer = 16 << 20

// intact checks an answer against the checksum that the service sends with it.
func intact(resp *http.Response, body []byte) error {
	want := resp.Header.Get("X-Amz-Crc32")
	if want == "" {
		return nil
	}
	if n, err := strconv.ParseUint(want, 10, 32); err != nil || uint32(n) != crc32.ChecksumIEEE(body) {
		return errors.New("the answer does not have its checksum")
	}
	return nil
}

// told is the failure that an answer tells.
func told(resp *http.Response, body []byte) error {
	var t struct {
		Type string `json:"__type"`
	}
	if err := json.Unmarshal(body, &t); err != nil || t.Type == "" {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return &serviceFault{code: t.Type[strings.LastIndexByte(t.Type, '#')+1:], body: body}
}
