// Command csvimport imports CSV files.
//
//	Woken by   the import queue: files dropped in the intake bucket (EventBridge), and the steps of jobs
//	Reads      the file, users, protocols and whatever rows name
//	Writes     records and their audit, jobs and chunks, plan and report in the results bucket
//	On fault   the message comes again; work that was done finds itself done. What fails for ever ends as a failed row, or
//	           as a failed job with its reason; a message that nothing can be made of goes to the dead letters.
package main

import (
	"context"
	"log"

	"github.com/aws/aws-lambda-go/lambda"

	"aliquot/shared/trigger"
	"aliquot/shared/wire"
)

func main() {
	im, queue, err := wire.Importer(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	lambda.Start(trigger.Queue(im.Handle, queue, im.Config.Lease, im.Log))
}
