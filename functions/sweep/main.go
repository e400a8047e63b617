// Command sweep sets going again what was left lying.
//
//	Woken by   a schedule, every minute
//	Reads      open jobs and their leases, the objects in the intake bucket
//	Writes     messages to the import queue and the ODM queue; jobs for CSV files whose event was lost; ends unfinished uploads
//	On fault   the next minute's run does it
package main

import (
	"context"
	"log"

	"github.com/aws/aws-lambda-go/lambda"

	"aliquot/shared/wire"
)

func main() {
	sweep, err := wire.Sweep(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	lambda.Start(sweep)
}
