package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// bareSpec is what the bare loop is told.
type bareSpec struct {
	Captured string // the file of batches that an import sent
	Requests int
}

// runBare is what an import is compared with: a loop that sends, by the SDK's own types, batches of statements that are
// ready before the clock starts.
//
// It does: dynamodb.Client.BatchExecuteStatement, one after the other, on a client made with dynamodb.NewFromConfig and
// no options, of the very statements and parameters that an import sent (the renewal of the lease included), 25 in most
// requests, as often as the import sent one; and it looks at each answer for statements that failed.
//
// It does not: read a file, parse, check, or build anything; look anything up (so it sends no BatchGetItem, where the
// import sends one for 96 rows); lease and save chunks; write a report. It sends the captured batches over and over, a few
// hundred different ones, which stay in the processor's caches better than a whole file's would.
func runBare(ctx context.Context, doc []byte) error {
	var spec bareSpec
	if err := json.Unmarshal(doc, &spec); err != nil {
		return err
	}
	batches, err := readBatches(spec.Captured)
	if err != nil {
		return err
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	db := dynamodb.NewFromConfig(cfg)
	return measure(func() error {
		for n := range spec.Requests {
			out, err := db.BatchExecuteStatement(ctx, &dynamodb.BatchExecuteStatementInput{Statements: batches[n%len(batches)]})
			if err != nil {
				return err
			}
			for i := range out.Responses {
				if out.Responses[i].Error != nil {
					return fmt.Errorf("statement %d of request %d failed", i, n)
				}
			}
		}
		return nil
	})
}

func readBatches(path string) ([][]types.BatchStatementRequest, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var batches [][]types.BatchStatementRequest
	for r := bufio.NewReader(f); ; {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		var in struct {
			Statements []struct {
				Statement  string
				Parameters []value
			}
		}
		if err := json.NewDecoder(bytes.NewReader(line)).Decode(&in); err != nil {
			return nil, err
		}
		var batch []types.BatchStatementRequest
		for _, s := range in.Statements {
			one := types.BatchStatementRequest{Statement: &s.Statement}
			for _, p := range s.Parameters {
				one.Parameters = append(one.Parameters, p.typed())
			}
			batch = append(batch, one)
		}
		batches = append(batches, batch)
	}
	if len(batches) == 0 {
		return nil, errors.New("no batch was captured")
	}
	return batches, nil
}

func (v value) typed() types.AttributeValue {
	switch {
	case v.S != nil:
		return &types.AttributeValueMemberS{Value: *v.S}
	case v.N != nil:
		return &types.AttributeValueMemberN{Value: *v.N}
	default:
		return &types.AttributeValueMemberBOOL{Value: *v.BOOL}
	}
}
