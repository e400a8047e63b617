// Command odmimport imports ODM documents into clinical data, and collects those that take long to be given out.
//
//	Woken by   the ODM queue: jobs to begin or to go on with
//	Reads      the document and the files that came along, the study, users and their roles, participants with
//	           their audit
//	Writes     clinical data and their audit, the job; plans, logs, attached files and answers in the results bucket
//	On fault   the message comes again; what was planned is finished as it was planned. What fails for ever ends as a failed
//	           row, or as a failed job with its reason.
package main

import (
	"context"
	"log"

	"github.com/aws/aws-lambda-go/lambda"

	"aliquot/shared/trigger"
	"aliquot/shared/wire"
)

func main() {
	im, queue, err := wire.OdmImporter(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	lambda.Start(trigger.Queue(im.Handle, queue, im.Config.Lease, im.Log))
}
