package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxPayload is the most a synchronous invocation takes and answers: 6 MiB and, as on Lambda, a little for wrapping.
const maxPayload = 6<<20 + 100

// defaultConcurrency bounds the environments of a function that has no bound of its own.
const defaultConcurrency = 50

// A FunctionFault is how an invocation failed: the function answered with an error, ended, or ran out of time.
type FunctionFault struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`

	TimedOut bool `json:"-"`
}

func (f *FunctionFault) Error() string { return f.Type + ": " + f.Message }

// function runs the binary of one function in environments: processes that ask for one invocation after the other. An
// environment has one invocation at a time; as many run side by side as there are invocations, up to a bound.
type function struct {
	*Function
	binary string
	env    []string // without AWS_LAMBDA_RUNTIME_API
	arn    string
	log    string
	warn   io.Writer // gets a copy of the function's log lines of level WARN and above
	api    string    // host:port of the Runtime API
	slots  chan struct{}

	mu           sync.Mutex
	environments map[string]*environment // by id; those whose process runs
	closed       bool
}

// environment is one process of a function.
type environment struct {
	id      string
	process *process
	next    chan *invocation // the invocation it gets
	initial chan struct{}    // closed when it asks for its first invocation

	// The function's lock guards what follows.
	ready   bool           // initial is closed
	idle    bool           // it asks for an invocation and none is meant for it
	current *invocation    // what it works on
	fault   *FunctionFault // how its start failed, by its own word
}

// invocation is one event on its way through a function. The function's lock guards the answer until done is closed.
type invocation struct {
	id       string
	payload  []byte
	deadline time.Time
	answered bool // the first answer counts
	answer   []byte
	fault    *FunctionFault
	done     chan struct{} // closed when the environment asks for its next one: as on Lambda, the answer alone is not the end
}

func (i *invocation) settle(answer []byte, fault *FunctionFault) {
	if !i.answered {
		i.answered, i.answer, i.fault = true, answer, fault
	}
}

// newFunction prepares a function; nothing runs before its first invocation.
func newFunction(f *Function, binary, logDir, api string, env []string, n names, warn io.Writer) *function {
	most := defaultConcurrency
	if r := f.ReservedConcurrentExecutions; r != nil {
		most = *r
	}
	fn := &function{
		Function: f, binary: binary, api: api, warn: warn,
		arn:          n.arn("AWS::Serverless::Function", f.ID),
		log:          filepath.Join(logDir, f.Name+".log"),
		slots:        make(chan struct{}, most),
		environments: map[string]*environment{},
	}
	name := n.physical("AWS::Serverless::Function", f.ID)
	fn.env = append(env,
		"AWS_LAMBDA_FUNCTION_NAME="+name,
		"AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE="+strconv.Itoa(f.MemorySize),
		"AWS_LAMBDA_INITIALIZATION_TYPE=on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME="+f.LoggingConfig.LogGroup,
		"AWS_LAMBDA_LOG_STREAM_NAME=local",
		"_HANDLER="+f.Handler,
		"TZ=:UTC", "LANG=en_US.UTF-8", "PATH=/usr/local/bin:/usr/bin:/bin",
	)
	for key, value := range f.Environment.Variables {
		fn.env = append(fn.env, key+"="+value)
	}
	return fn
}

// invoke sends payload through the function and returns its answer. The error is a *FunctionFault when the function
// failed, else it tells why it was not tried: ctx ended before an environment was free, the payload is too large, or the
// binary could not be started.
func (f *function) invoke(ctx context.Context, payload []byte) ([]byte, error) {
	if len(payload) > maxPayload {
		return nil, errTooLarge
	}
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	env, err := f.acquire()
	if err != nil {
		return nil, err
	}
	inv := &invocation{id: newUUID(), payload: payload, done: make(chan struct{})}
	if err := f.run(env, inv); err != nil {
		return nil, err
	}
	if inv.fault != nil {
		return nil, inv.fault
	}
	return inv.answer, nil
}

var errTooLarge = fmt.Errorf("the payload is larger than %d bytes", maxPayload)

// run hands an invocation to an environment and waits for its end, which is its timeout at the latest.
func (f *function) run(env *environment, inv *invocation) error {
	limit := time.Duration(f.Timeout) * time.Second
	// Starting counts separately, with 10 seconds, as on Lambda.
	select {
	case <-env.initial:
	case <-env.process.done:
		return f.startFault(env)
	case <-time.After(10 * time.Second):
		env.process.kill()
		return &FunctionFault{Type: "Sandbox.Timedout", Message: "the function did not ask for its first event within 10 s", TimedOut: true}
	}
	inv.deadline = time.Now().Add(limit)
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case env.next <- inv:
	case <-env.process.done:
		return &FunctionFault{Type: "Runtime.ExitError", Message: "the function ended while it waited for an event"}
	}
	select {
	case <-inv.done:
		return nil
	case <-env.process.done:
		f.mu.Lock()
		defer f.mu.Unlock()
		inv.settle(nil, &FunctionFault{Type: "Runtime.ExitError", Message: fmt.Sprintf("the function ended: %s", env.process.cmd.ProcessState)})
		return nil
	case <-timer.C:
		env.process.kill()
		f.mu.Lock()
		defer f.mu.Unlock()
		inv.settle(nil, &FunctionFault{
			Type: "Sandbox.Timedout", Message: fmt.Sprintf("the function ran longer than %d s", f.Timeout), TimedOut: true,
		})
		return nil
	}
}

func (f *function) startFault(env *environment) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if env.fault != nil {
		return env.fault
	}
	return &FunctionFault{Type: "Runtime.ExitError", Message: env.process.ended().Error()}
}

// acquire returns an environment for one invocation: one that waits for work, or a new one.
func (f *function) acquire() (*environment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, errors.New("the stack is closed")
	}
	for _, env := range f.environments {
		if env.idle && env.process.alive() {
			env.idle = false
			return env, nil
		}
	}
	env := &environment{id: newUUID(), next: make(chan *invocation), initial: make(chan struct{})}
	p, err := startProcess(command{
		name: f.Name, log: f.log, warn: f.warn, path: f.binary,
		env: append(f.env[:len(f.env):len(f.env)], "AWS_LAMBDA_RUNTIME_API="+f.api+"/"+env.id),
	})
	if err != nil {
		return nil, err
	}
	env.process = p
	f.environments[env.id] = env
	go func() {
		<-p.done
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.environments, env.id)
	}()
	return env, nil
}

// kill ends, with SIGKILL, the environments that work on an invocation, and tells how many they were.
func (f *function) kill() int {
	f.mu.Lock()
	var busy []*process
	for _, env := range f.environments {
		if env.current != nil {
			busy = append(busy, env.process)
		}
	}
	f.mu.Unlock()
	for _, p := range busy {
		p.kill()
	}
	return len(busy)
}

// close ends every environment. Invocations under way fail.
func (f *function) close() {
	f.mu.Lock()
	f.closed = true
	var all []*process
	for _, env := range f.environments {
		all = append(all, env.process)
	}
	f.mu.Unlock()
	for _, p := range all {
		p.kill()
	}
}

// runtimeAPI is the Lambda Runtime API: /<environment>/2018-06-01/runtime/...
type runtimeAPI struct {
	mu        sync.Mutex
	functions []*function
}

func (a *runtimeAPI) add(f *function) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.functions = append(a.functions, f)
}

func (a *runtimeAPI) find(id string) (*function, *environment) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range a.functions {
		f.mu.Lock()
		env := f.environments[id]
		f.mu.Unlock()
		if env != nil {
			return f, env
		}
	}
	return nil, nil
}

func (a *runtimeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, call, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/2018-06-01/runtime/")
	f, env := a.find(id)
	if f == nil {
		http.NotFound(w, r)
		return
	}
	if r.Method == http.MethodGet && call == "invocation/next" {
		f.serveNext(w, r, env)
		return
	}
	if r.Method != http.MethodPost {
		http.NotFound(w, r)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPayload))
	if err != nil {
		f.refuse(w, env)
		return
	}
	request, kind, _ := strings.Cut(strings.TrimPrefix(call, "invocation/"), "/")
	f.mu.Lock()
	defer f.mu.Unlock()
	switch inv := env.current; {
	case call == "init/error":
		env.fault = readFault(body)
	case inv == nil || inv.id != request:
		http.Error(w, `{"errorType":"InvalidRequestID","errorMessage":"not the invocation of this environment"}`, http.StatusBadRequest)
		return
	case kind == "response":
		inv.settle(body, nil)
	case kind == "error":
		inv.settle(nil, readFault(body))
	default:
		http.NotFound(w, r)
		return
	}
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`) // the process has gone if this fails
}

// refuse answers a response that is over Lambda's limit. The invocation has failed.
func (f *function) refuse(w http.ResponseWriter, env *environment) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if env.current != nil {
		env.current.settle(nil, &FunctionFault{
			Type: "Function.ResponseSizeTooLarge", Message: fmt.Sprintf("the answer is larger than %d bytes", maxPayload),
		})
	}
	http.Error(w, `{"errorType":"RequestEntityTooLarge","errorMessage":"the answer is too large"}`, http.StatusRequestEntityTooLarge)
}

func readFault(body []byte) *FunctionFault {
	f := new(FunctionFault)
	if err := json.Unmarshal(body, f); err != nil {
		return &FunctionFault{Type: "Unknown", Message: string(bytes.TrimSpace(body))}
	}
	return f
}

// serveNext gives an environment its next invocation, as soon as there is one.
func (f *function) serveNext(w http.ResponseWriter, r *http.Request, env *environment) {
	f.mu.Lock()
	if env.ready {
		env.idle = true
	} else { // it was started for an invocation, which comes now
		env.ready = true
		close(env.initial)
	}
	if inv := env.current; inv != nil {
		env.current = nil
		inv.settle(nil, &FunctionFault{Type: "Runtime.NoAnswer", Message: "the function asked for its next event without an answer to the last"})
		close(inv.done)
	}
	f.mu.Unlock()
	select {
	case <-r.Context().Done():
		return // the process has ended
	case inv := <-env.next:
		f.mu.Lock()
		env.current = inv
		f.mu.Unlock()
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.deadline.UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", f.arn)
		h.Set("Lambda-Runtime-Trace-Id", "Root=1-"+strconv.FormatInt(time.Now().Unix(), 16)+"-"+strings.ReplaceAll(inv.id, "-", "")[:24]+";Sampled=0")
		_, _ = w.Write(inv.payload) // a process that has gone is noticed by its end
	}
}
