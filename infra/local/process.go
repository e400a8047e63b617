package local

import (
	"bytes"
	"context"
	"errors"
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

// command says what startProcess starts.
type command struct {
	name string
	path string
	args []string
	env  []string // all of it: what is set on this machine must not change what the child does
	// log is the file that gets what the child prints.
	log string
	// warn, if any, gets a copy of the lines that are not log lines of level INFO or DEBUG.
	warn io.Writer
	// input, if any, is written to the child's standard input, which stays open until the child is to end.
	input []byte
}

func startProcess(c command) (*process, error) {
	if err := os.MkdirAll(filepath.Dir(c.log), 0o755); err != nil {
		return nil, err
	}
	out, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	p := &process{name: c.name, log: c.log, cmd: exec.Command(c.path, c.args...), done: make(chan struct{})}
	p.cmd.Env = c.env
	if p.cmd.Env == nil {
		p.cmd.Env = []string{} // nil would mean this process's own
	}
	if c.warn == nil {
		p.cmd.Stdout = out
	} else {
		p.cmd.Stdout = &warnings{all: out, warn: c.warn}
	}
	p.cmd.Stderr = p.cmd.Stdout
	p.cmd.SysProcAttr = childAttributes(c.input == nil)
	if c.input != nil {
		if p.stdin, err = p.cmd.StdinPipe(); err != nil {
			return nil, errors.Join(err, out.Close())
		}
	}
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", c.name, err), out.Close())
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in ProcessState
		_ = out.Close()
		close(p.done)
	}()
	if c.input != nil {
		if _, err := p.stdin.Write(c.input); err != nil {
			p.kill()
			return nil, fmt.Errorf("start %s: %w", c.name, err)
		}
	}
	return p, nil
}

// warnings writes everything to all and copies to warn the lines that are worth a look.
type warnings struct {
	all, warn io.Writer
	line      []byte // begun and not ended
}

func (w *warnings) Write(b []byte) (int, error) {
	w.line = append(w.line, b...)
	for {
		i := bytes.IndexByte(w.line, '\n')
		if i < 0 {
			break
		}
		line := w.line[:i+1]
		if !bytes.Contains(line, []byte(`"level":"INFO"`)) && !bytes.Contains(line, []byte(`"level":"DEBUG"`)) {
			_, _ = w.warn.Write(line) // the log file has it too
		}
		w.line = w.line[i+1:]
	}
	return w.all.Write(b)
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
			// While nothing listens on a port of the ephemeral range, a connection to it may be one with itself.
			itself := conn.LocalAddr().String() == addr
			if err := conn.Close(); err != nil || !itself {
				return err
			}
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

// freeAddress returns a loopback address that nothing listens on: the preferred one, unless it is empty or taken.
// Another process may take it before it is used, so whoever uses it tries again with another.
func freeAddress(preferred string) (string, error) {
	if preferred == "" {
		preferred = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", preferred)
	if err != nil {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
