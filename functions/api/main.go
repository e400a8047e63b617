// Command api answers the REST API.
//
//	Woken by   the HTTP API, below /rest/ng and /openspecimen/rest/ng
//	Reads      sessions, users, records, jobs, uploaded files, reports
//	Writes     sessions, records and their audit, jobs, uploaded files; messages to the import queue
//	On fault   the caller gets codes and sentences for what can be mended, else the id of the request in the log. A job
//	           whose message was lost is set going by the sweep
package main

import (
	"context"
	"log"

	"github.com/aws/aws-lambda-go/lambda"

	"aliquot/shared/trigger"
	"aliquot/shared/wire"
)

func main() {
	api, err := wire.API(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	lambda.Start(trigger.HTTP(api.Handler()))
}
