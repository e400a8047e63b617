package local

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// process is a child in a process group of its own, so that a Ctrl-C at the terminal reaches only this process, which
// then ends the children in order.
type process struct {
	name  string
	log   string // file with what it prints
	cmd   *exec.Cmd
	stdin io.WriteCloser // open until the process is to end
	done  chan struct{}  // closed when it has ended
}

// startProcess starts a child that prints to log. It gets env alone: what is set on this machine must not change what
// the child does. first, if any, is written to its standard input, which then stays open.
func startProcess(name, log, path string, args, env []string, first []byte) (*process, error) {
	if err := os.MkdirAll(filepath.Dir(log), 0o755); err != nil {
		return nil, err
	}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p := &process{name: name, log: log, cmd: exec.Command(path, args...), done: make(chan struct{})}
	p.cmd.Env = env
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = childAttributes(first == nil)
	if first != nil {
		if p.stdin, err = p.cmd.StdinPipe(); err != nil {
			return nil, err
		}
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in ProcessState
		close(p.done)
	}()
	if first != nil {
		if _, err := p.stdin.Write(first); err != nil {
			p.kill()
			return nil, fmt.Errorf("start %s: %w", name, err)
		}
	}
	return p, nil
}

// kill ends the child and what it started, at once, and waits for its end.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // the group may be gone already
	<-p.done
}

// stop closes the child's standard input, which asks for its end, and kills it when it takes more than a moment.
func (p *process) stop() {
	_ = p.stdin.Close()
	select {
	case <-p.done:
	case <-time.After(3 * time.Second):
	}
	p.kill()
}

func (p *process) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// waitFor returns when something listens on addr, and fails when the child ends first.
func (p *process) waitFor(ctx context.Context, addr string) error {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.done:
			return p.ended()
		case <-time.After(time.Millisecond):
		}
	}
	return fmt.Errorf("%s does not listen on %s after 20 s", p.name, addr)
}

// ended tells how the child ended, with the last it printed.
func (p *process) ended() error {
	text, _ := os.ReadFile(p.log)
	const most = 2000
	if len(text) > most {
		text = text[len(text)-most:]
	}
	return fmt.Errorf("%s ended: %s\n%s", p.name, p.cmd.ProcessState, bytes.TrimSpace(text))
}

// freeAddress returns a loopback address that nothing listens on. Another process may take it before it is used, so
// whoever uses it tries again with another.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
