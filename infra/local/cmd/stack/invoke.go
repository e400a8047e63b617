package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"aliquot/infra/local"
)

// invoke sends events/<function>/<event>.json through the function's binary, on a stack of its own in which nothing else
// wakes a function, and prints the answer. What lies in events/<function>/intake is put in the intake bucket before.
func invoke(ctx context.Context, args []string) error {
	flags, p := newFlags("invoke")
	function := flags.String("fn", "", "the function's folder, such as csvimport")
	event := flags.String("event", "", "the event's file in events/<fn>/, without .json")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *function == "" || *event == "" {
		return errors.New("wants -fn and -event, such as -fn csvimport -event object-created; events/README.md lists them")
	}
	dir := filepath.Join("events", *function)
	payload, err := os.ReadFile(filepath.Join(dir, *event+".json"))
	if err != nil {
		return err
	}
	s, err := local.Start(ctx, local.Options{Params: p, Functions: true, Idle: true})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := upload(ctx, s, filepath.Join(dir, "intake")); err != nil {
		return err
	}
	answer, err := s.Invoke(ctx, *function, payload)
	if log, e := os.ReadFile(filepath.Join(s.Dir, "logs", *function+".log")); e == nil {
		fmt.Fprintf(os.Stderr, "%s", log)
	}
	if err != nil {
		return err
	}
	fmt.Println(strings.TrimSpace(string(answer)))
	return nil
}

// upload puts the files below dir in the intake bucket, by their path as key. There may be none.
func upload(ctx context.Context, s *local.Stack, dir string) error {
	client := s3.NewFromConfig(s.AWSConfig())
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(filepath.Join(dir, path))
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = client.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(s.Buckets["intake"]), Key: aws.String(path), Body: f})
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
