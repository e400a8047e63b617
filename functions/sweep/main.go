// Command sweep sets going again what was left lying.
//
//	Woken by   a schedule, every minute
//	Reads      open jobs and their leases, the objects in the intake bucket
//	Writes     messages to the import queue; jobs for files whose event was lost; ends unfinished uploads
//	On fault   the next minute's run does it
package main

import (
	"context"
	"log"

	"github.com/aws/aws-lambda-go/lambda"

	"aliquot/shared/wire"
)

func main() {
	im, _, err := wire.Importer(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	lambda.Start(im.Sweep)
}
