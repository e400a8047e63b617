// Command clinicaldata answers the Clinicaldata API.
//
//	Woken by   the HTTP API, below /pages/auth/api and /user-service/api, with /OpenClinica before them or without
//	Reads      sessions, users, studies and their metadata, participants, jobs, uploaded documents, files of items, logs
//	Writes     sessions, studies, participants, events and their audit, jobs, uploaded documents; answers that are not
//	           given inline; messages to the queue of ODM imports
//	On fault   the caller gets the code or sentences for what can be mended, else the id of the request in the log. A job
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
	api, err := wire.ClinicalData(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	lambda.Start(trigger.HTTP(api.Handler()))
}
