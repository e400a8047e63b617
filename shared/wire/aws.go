package wire

import (
	"cmp"
	"context"
	"errors"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// environment is the configuration that Lambda gives a function: region and keys. The SDK's own loader would look further,
// in files, at sign-in services and at instance metadata, and brings the clients of all these along, which every start
// of a function pays for.
func environment() (aws.Config, error) {
	region := os.Getenv("AWS_REGION")
	if region == "" {
		return aws.Config{}, errors.New("AWS_REGION is not set")
	}
	return aws.Config{
		Region: region,
		Credentials: credentials.NewStaticCredentialsProvider(
			os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN")),
		ConfigSources: []any{endpoints{}},
	}, nil
}

// endpoints tells clients of addresses that the environment sets in place of AWS's, by the variables that all SDKs share.
type endpoints struct{}

// GetServiceBaseEndpoint is asked by the SDK's clients.
func (endpoints) GetServiceBaseEndpoint(_ context.Context, service string) (string, bool, error) {
	name := "AWS_ENDPOINT_URL_" + strings.ToUpper(strings.ReplaceAll(service, " ", "_"))
	at := cmp.Or(os.Getenv(name), os.Getenv("AWS_ENDPOINT_URL"))
	return at, at != "", nil
}
