package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
)

// child runs a process of this program and reads what it prints.
func child(ctx context.Context, name string, spec any, env []string, out any) error {
	cmd, err := childCommand(ctx, name, spec, env)
	if err != nil {
		return err
	}
	var answer bytes.Buffer
	cmd.Stdout, cmd.Stderr = &answer, os.Stderr
	if err := cmd.Run(); err != nil {
		return err
	}
	return json.Unmarshal(answer.Bytes(), out)
}

func childCommand(ctx context.Context, name string, spec any, env []string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	doc, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "child", name, string(doc))
	cmd.Env = env
	return cmd, nil
}

// counter is a running endpoint.
type counter struct {
	url string
	cmd *exec.Cmd
	end io.Closer
}

func startEndpoint(ctx context.Context, spec endpointSpec) (*counter, error) {
	cmd, err := childCommand(ctx, "endpoint", spec, os.Environ())
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c := &counter{cmd: cmd}
	if c.end, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if err := json.NewDecoder(out).Decode(&c.url); err != nil {
		c.stop()
		return nil, fmt.Errorf("start the endpoint: %w", err)
	}
	return c, nil
}

// counts tells what was counted since it was last asked.
func (c *counter) counts(ctx context.Context) (counts, error) {
	var n counts
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/counts", nil)
	if err != nil {
		return n, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return n, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, err := io.ReadAll(resp.Body)
		return n, errors.Join(fmt.Errorf("the endpoint did not understand a request: %s", text), err)
	}
	return n, json.NewDecoder(resp.Body).Decode(&n)
}

func (c *counter) stop() {
	if c != nil {
		_ = c.end.Close()
		_ = c.cmd.Wait() // how it ended does not matter any more
	}
}
