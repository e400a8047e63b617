package docs_test

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The lines of the README's five minutes, pasted in a shell beside the running copy that it tells to start, give what it
// says they give.
func TestFiveMinutes(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the whole stack")
	}
	if help, err := exec.Command("curl", "--help", "all").Output(); err != nil || !bytes.Contains(help, []byte("--aws-sigv4")) {
		t.Skip("needs curl 7.75 or newer")
	}
	_, section, ok := strings.Cut(mustRead(t, "README.md"), "\n## Five minutes to a running copy\n")
	section, _, more := strings.Cut(section, "\n## ")
	if !ok || !more {
		t.Fatal("the README has no section of the five minutes")
	}
	blocks := regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$").FindAllStringSubmatch(section, -1)
	if len(blocks) < 2 || !strings.HasSuffix(blocks[0][2], "make run\n") {
		t.Fatal("the first block does not start the copy")
	}
	var script, want strings.Builder
	for _, b := range blocks[1:] {
		switch b[1] {
		case "sh":
			script.WriteString(b[2])
		case "csv":
			want.WriteString(b[2])
		default:
			t.Errorf("a block of %s is neither pasted nor compared", b[1])
		}
	}
	const stated = "http://127.0.0.1:8080"
	if strings.Count(script.String(), stated) != 1 {
		t.Fatalf("the lines name %s %d times, want once", stated, strings.Count(script.String(), stated))
	}

	dir := t.TempDir()
	password, _, _ := strings.Cut(blocks[0][2], " ")
	address := startCopy(t, dir, password)

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-e", "-o", "pipefail")
	shell.Dir = dir
	shell.Stdin = strings.NewReader(strings.Replace(script.String(), stated, address, 1))
	shell.WaitDelay = time.Second
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Errorf("the lines failed: %v", err)
	}
	for line := range strings.Lines(want.String()) {
		if !strings.Contains(string(out), line) {
			t.Errorf("the lines did not print %s", line)
		}
	}
	for _, text := range []string{
		`"address":"Pier 4"`, `"activityStatus":"Disabled"`, `"code":"SITE_NOT_FOUND"`,
		`"loginName":"admin"`, `"shortTitle":"RIVER"`, `"eventLabel":"Day 0"`,
		`"status":"FAILED"`, `"status":"COMPLETED"`, `"label":"R00001-1-1"`,
	} {
		if !strings.Contains(string(out), text) {
			t.Errorf("the lines did not print %s", text)
		}
	}
	if t.Failed() {
		t.Logf("printed:\n%s", out)
	}
}

// startCopy does what `make run` does, with its data in dir, on a port that is free and without the long wait for earlier
// files, and returns the address of the API. The copy ends with the test.
func startCopy(t *testing.T, dir, password string) (address string) {
	t.Helper()
	program := filepath.Join(dir, "stack")
	build := exec.Command("go", "build", "-o", program, "./infra/local/cmd/stack")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the stack: %v\n%s", err, out)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(free.Addr().String())
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	run := exec.Command(program, "run", "-param", "DropWaitSeconds=1")
	run.Dir = root
	run.Env = append(os.Environ(), password, "ALIQUOT_PORT="+port, "ALIQUOT_DATA="+filepath.Join(dir, ".local"))
	var stderr bytes.Buffer
	run.Stderr = &stderr
	out, err := run.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := run.Process.Signal(os.Interrupt); err != nil {
			t.Errorf("end the copy: %v", err)
		}
		if err := run.Wait(); err != nil {
			t.Errorf("the copy did not end well: %v", err)
		}
		if t.Failed() {
			t.Logf("the copy complained:\n%s", stderr.Bytes())
		}
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if address, ok := strings.CutPrefix(lines.Text(), "aliquot ready "); ok {
			return address
		}
	}
	t.Fatalf("the copy did not start:\n%s", stderr.Bytes())
	return ""
}
