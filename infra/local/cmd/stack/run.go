package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"aliquot/infra/local"
)

// run keeps a stack up until a signal comes. Its last line before it waits is "aliquot ready <address>".
func run(ctx context.Context, args []string) error {
	flags, p := newFlags("run")
	if err := flags.Parse(args); err != nil {
		return err
	}
	port, err := strconv.ParseUint(cmp.Or(os.Getenv("ALIQUOT_PORT"), "8080"), 10, 16)
	if err != nil {
		return fmt.Errorf("ALIQUOT_PORT: %q is not a port", os.Getenv("ALIQUOT_PORT"))
	}
	dir := cmp.Or(os.Getenv("ALIQUOT_DATA"), ".local")
	fmt.Fprintln(os.Stderr, "starting; the first start fetches and builds its parts, which takes some minutes")
	s, err := local.Start(ctx, local.Options{
		Dir: dir, Params: p, Functions: true, Addr: "127.0.0.1:" + strconv.FormatUint(port, 10), Warn: os.Stderr,
	})
	if err != nil {
		return err
	}
	defer s.Close()
	file := filepath.Join(s.Dir, "stack.json")
	if err := writeAddresses(file, s); err != nil {
		return err
	}
	defer os.Remove(file)
	if err := setUp(ctx, s); err != nil {
		return err
	}
	fmt.Printf("data        %s\n", s.Dir)
	fmt.Printf("S3          %s, region %s\n", s.S3Endpoint, s.Region)
	fmt.Printf("keys        AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY=%s\n", s.AccessKey, s.SecretKey)
	fmt.Printf("drop folder s3://%s/<login name>/\n", s.Buckets["intake"])
	fmt.Printf("DynamoDB    %s\n", s.DynamoDBEndpoint)
	fmt.Printf("aliquot ready %s\n", s.API)
	return s.Wait(ctx)
}

// writeAddresses writes stack.json, by which other programs find the stack. It holds the keys, so it is for its owner
// alone.
func writeAddresses(path string, s *local.Stack) error {
	text, err := json.MarshalIndent(map[string]any{
		"api": s.API,
		"s3": map[string]string{
			"endpoint": s.S3Endpoint, "region": s.Region, "accessKey": s.AccessKey, "secretKey": s.SecretKey,
		},
		"dynamodb": s.DynamoDBEndpoint,
		"sqs":      s.SQSEndpoint,
		"buckets":  s.Buckets,
		"tables":   s.Tables,
		"queues":   s.Queues,
	}, "", "  ")
	if err != nil {
		return err
	}
	half := path + ".half"
	if err := os.WriteFile(half, append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(half, path)
}
