package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// startTurns is how often each binary is started.
const startTurns = 15

// moduleRoot is the folder of the module that the bench was started in.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// build builds a command for this machine, stripped as the functions are.
func build(ctx context.Context, root, pkg, path string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-tags", "lambda.norpc", "-o", path, pkg)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// functions lists the functions by their folders.
func functions(root string) ([]string, error) {
	mains, err := filepath.Glob(filepath.Join(root, "functions", "*", "main.go"))
	if err != nil {
		return nil, err
	}
	if len(mains) == 0 {
		return nil, errors.New("there are no functions")
	}
	var names []string
	for _, m := range mains {
		names = append(names, filepath.Base(filepath.Dir(m)))
	}
	return names, nil
}

// binaries measures the largest binary that is deployed.
func (b *bench) binaries(ctx context.Context) error {
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	names, err := functions(root)
	if err != nil || !b.wants("binary.max_mb") {
		return err
	}
	f := figure{Figure: "binary.max_mb", Unit: "MB"}
	for _, name := range names {
		cmd := exec.CommandContext(ctx, "make", "-s", "build-"+name)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
		info, err := os.Stat(filepath.Join(root, "build", name, "bootstrap"))
		if err != nil {
			return err
		}
		if mb := float64(info.Size()) / 1e6; mb > f.Value {
			f.Value, f.Note = mb, name
		}
	}
	return b.report(f)
}

// starts measures, by turns, how long each function and the hello function take from exec to their first poll for an
// event.
func (b *bench) starts(ctx context.Context) error {
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	names, err := functions(root)
	if err != nil {
		return err
	}
	paths := map[string]string{}
	for _, name := range append(names, "hello") {
		pkg := "./functions/" + name
		if name == "hello" {
			pkg = "./infra/bench/hello"
		}
		paths[name] = filepath.Join(b.work, "local-"+name)
		if err := build(ctx, root, pkg, paths[name]); err != nil {
			return err
		}
	}
	polls := make(chan struct{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/2018-06-01/runtime/invocation/next" {
			http.NotFound(w, r)
			return
		}
		select {
		case polls <- struct{}{}:
		case <-r.Context().Done():
			return
		}
		<-r.Context().Done() // no event comes
	})}
	go func() { _ = server.Serve(l) }() // it ends by Close
	defer server.Close()
	times := map[string][]float64{}
	for range startTurns {
		for name, path := range paths {
			env := []string{
				"AWS_LAMBDA_RUNTIME_API=" + l.Addr().String(), "AWS_REGION=" + b.stack.Region, "AWS_ACCESS_KEY_ID=" + b.stack.AccessKey,
				"AWS_SECRET_ACCESS_KEY=" + b.stack.SecretKey, "AWS_LAMBDA_FUNCTION_NAME=" + name, "_HANDLER=bootstrap",
				"AWS_ENDPOINT_URL_DYNAMODB=" + b.stack.DynamoDBEndpoint, "AWS_ENDPOINT_URL_S3=" + b.stack.S3Endpoint,
				"AWS_ENDPOINT_URL_SQS=" + b.stack.SQSEndpoint,
			}
			for k, v := range b.stack.Env(name) {
				env = append(env, k+"="+v)
			}
			ms, err := startOnce(ctx, path, env, polls)
			if err != nil {
				return fmt.Errorf("start %s: %w", name, err)
			}
			times[name] = append(times[name], ms)
		}
	}
	hello := median(times["hello"])
	f := figure{Figure: "start.vs_hello", Unit: "x"}
	for _, name := range names {
		ratio := median(times[name]) / hello
		fmt.Fprintf(os.Stderr, "%s starts in %.1f ms, hello in %.1f ms\n", name, median(times[name]), hello)
		if ratio > f.Value {
			f.Value, f.Note = ratio, fmt.Sprintf("%s %.1f ms, hello %.1f ms", name, median(times[name]), hello)
		}
	}
	return b.report(f)
}

// startOnce starts a function and returns the milliseconds until it asks for its first event.
func startOnce(ctx context.Context, path string, env []string, polls <-chan struct{}) (float64, error) {
	cmd := exec.CommandContext(ctx, path)
	cmd.Env, cmd.Stderr = env, os.Stderr
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	}()
	select {
	case <-polls:
		return float64(time.Since(begin).Microseconds()) / 1000, nil
	case <-time.After(10 * time.Second):
		return 0, errors.New("it did not ask for an event within 10 s")
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
