package local_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"aliquot/infra/local"
)

// helperVariable makes the test binary a stack of its own, for the tests that kill one.
const helperVariable = "ALIQUOT_TEST_HELPER"

func TestMain(m *testing.M) {
	if os.Getenv(helperVariable) != "" {
		if err := helper(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func helper() error {
	root, err := filepath.Abs("testdata")
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s, err := local.Start(ctx, local.Options{Root: root, Functions: true})
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err := s.Invoke(ctx, "probe", []byte(`{"do":"warm"}`)); err != nil {
		return err
	}
	fmt.Println(s.Dir, s.API, s.S3Endpoint, s.DynamoDBEndpoint)
	return s.Wait(ctx)
}

func TestDeathOfAStackLeavesNothingBehind(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends a child with its parent")
	}
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), helperVariable+"=1")
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			fields := strings.Fields(line)
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // it was killed
			for _, url := range fields[1:] {
				mustNotListen(t, strings.TrimPrefix(url, "http://"))
			}
			waitFor(t, "the end of the data folder", 5*time.Second, func() bool {
				_, err := os.Stat(fields[0])
				return os.IsNotExist(err)
			})
		})
	}
}

func mustNotListen(t *testing.T, addr string) {
	t.Helper()
	waitFor(t, "silence of "+addr, 5*time.Second, func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
}

func TestStartThatFailsHalfWayLeavesNothingBehind(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	root, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	opts := local.Options{Root: root, Dir: t.TempDir(), Functions: true, Addr: taken.Addr().String()}
	if s, err := local.Start(t.Context(), opts); err == nil {
		s.Close()
		t.Fatal("started on a port that is taken")
	}
	text, err := os.ReadFile(filepath.Join(opts.Dir, "identity.json"))
	if err != nil {
		t.Fatal(err)
	}
	var addrs struct{ S3Addr, DynamoDBAddr string }
	if err := json.Unmarshal(text, &addrs); err != nil {
		t.Fatal(err)
	}
	mustNotListen(t, addrs.S3Addr)
	mustNotListen(t, addrs.DynamoDBAddr)
}

func TestSecondStackInOneFolderIsRefused(t *testing.T) {
	root, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	opts := local.Options{Root: root, Dir: t.TempDir()}
	one, err := local.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	if two, err := local.Start(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "is running") {
		if two != nil {
			two.Close()
		}
		t.Errorf("answered %v", err)
	}
}
