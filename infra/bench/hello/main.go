// Command hello is the least that can be a function: what start.vs_hello compares the functions' start with.
package main

import (
	"context"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	lambda.Start(func(context.Context) error { return nil })
}
