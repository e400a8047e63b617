package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const region = "us-east-1"

// Options say what Start starts.
type Options struct {
	// Root is the folder of template.yaml and functions/; empty for the module's own.
	Root string
	// Dir keeps the data between starts. Empty: a temporary folder, in memory where the system has /dev/shm, which is
	// removed with the stack.
	Dir string
	// Params replaces defaults of the template's parameters.
	Params map[string]string
	// Functions starts the functions with their routes, queues and schedules. Without it a stack has tables, buckets and
	// queues only, and what is sent to a queue stays there.
	Functions bool
	// Idle functions answer Invoke and requests, but neither queues nor schedules wake them.
	Idle bool
	// Faults are made between the functions and the services.
	Faults Faults
	// Addr is where the HTTP API listens; empty for a free port of the loopback address.
	Addr string
	// Warn gets faults of the functions and their log lines of level WARN and above; nil for nobody.
	Warn io.Writer
}

// Stack is a running stack. Its methods may be called from several goroutines.
type Stack struct {
	// Dir is the data folder. Below it, logs/ has a file for every process.
	Dir string
	// API is the address of the HTTP API, empty without functions.
	API string
	// Addresses of the services, as the functions see them.
	DynamoDBEndpoint, S3Endpoint, SQSEndpoint string
	// Region and the keys that every client of the stack uses.
	Region, AccessKey, SecretKey string
	// Tables, Buckets and Queues give the physical name, of a queue its address, for the logical name: records, audit,
	// jobs, sessions; intake, results; import, importdeadletters.
	Tables, Buckets, Queues map[string]string
	// Template is what the stack was wired from.
	Template *Template

	opts     Options
	root     string // of the module
	names    names
	services *services
	owner    bool // whether Close ends the services

	functions map[string]*function // by name
	guards    []*http.Server       // between the functions and the services
	api       *http.Server
	stop      context.CancelFunc // ends pollers and schedules
	running   sync.WaitGroup     // pollers and schedules
	closeOnce sync.Once
}

// Start starts a stack and returns when it can be used. ctx bounds the start alone; the stack runs until Close. After an
// error nothing is left running.
func Start(ctx context.Context, opts Options) (*Stack, error) {
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	if opts.Root == "" {
		opts.Root = root
	}
	if opts.Warn == nil {
		opts.Warn = io.Discard
	}
	// A fault of the template is better told before the parts are fetched and built than after.
	t, err := readTemplate(opts.Root, opts.Params, names{prefix: "aliquot", region: region})
	if err != nil {
		return nil, err
	}
	if opts.Functions {
		if err := t.checkFolders(opts.Root); err != nil {
			return nil, err
		}
	}
	sv, err := startServices(ctx, root, opts)
	if err != nil {
		return nil, err
	}
	s, err := newStack(ctx, opts, root, sv, sv.id.Prefix)
	if err != nil {
		sv.close()
		return nil, err
	}
	s.owner = true
	return s, nil
}

// Fresh makes a second set of tables, buckets and queues on the same services, without functions. It ends with the stack
// that Start returned.
func (s *Stack) Fresh(ctx context.Context) (*Stack, error) {
	opts := s.opts
	opts.Functions = false
	return newStack(ctx, opts, s.root, s.services, "aliquot-"+randomName())
}

// Close ends every process of the stack and removes a temporary data folder. A second Close does nothing.
func (s *Stack) Close() {
	if s.owner {
		s.closeOnce.Do(func() {
			s.stopFunctions()
			s.services.close()
		})
	}
}

func newStack(ctx context.Context, opts Options, root string, sv *services, prefix string) (_ *Stack, err error) {
	s := &Stack{
		Dir:              sv.dir,
		DynamoDBEndpoint: sv.dynamodbEndpoint,
		S3Endpoint:       sv.s3Endpoint,
		SQSEndpoint:      "http://" + sv.addr,
		Region:           region,
		AccessKey:        sv.id.AccessKey,
		SecretKey:        sv.id.SecretKey,
		Tables:           map[string]string{},
		Buckets:          map[string]string{},
		Queues:           map[string]string{},
		opts:             opts,
		root:             root,
		services:         sv,
		functions:        map[string]*function{},
	}
	s.names = names{prefix: prefix, region: region, queueURL: s.SQSEndpoint}
	if s.Template, err = readTemplate(opts.Root, opts.Params, s.names); err != nil {
		return nil, err
	}
	for _, t := range s.Template.Tables {
		s.Tables[strings.ToLower(strings.TrimSuffix(t.ID, "Table"))] = t.Name
	}
	for _, b := range s.Template.Buckets {
		s.Buckets[strings.ToLower(strings.TrimSuffix(b.ID, "Bucket"))] = b.Name
	}
	for _, q := range s.Template.Queues {
		s.Queues[strings.ToLower(strings.TrimSuffix(q.ID, "Queue"))] = s.names.ref("AWS::SQS::Queue", q.ID)
	}
	files := ""
	if !sv.temporary {
		files = filepath.Join(sv.dir, "queues")
	}
	if err := sv.queues.add(s.Template, s.names, files); err != nil {
		return nil, err
	}
	if err := createData(ctx, s.AWSConfig(), s.Template); err != nil {
		return nil, errors.Join(err, sv.check())
	}
	sv.bus.add(s.Template)
	if err := sv.check(); err != nil {
		return nil, err
	}
	if opts.Functions {
		if err := s.startFunctions(ctx); err != nil {
			s.stopFunctions()
			return nil, err
		}
	}
	return s, nil
}

// startFunctions builds the functions and lets events come to them.
func (s *Stack) startFunctions(ctx context.Context) error {
	if err := buildFunctions(ctx, s.opts.Root, s.services.bin, s.Template.Functions); err != nil {
		return err
	}
	running, stop := context.WithCancel(context.Background())
	s.stop = stop
	gateway := &httpAPI{warn: s.opts.Warn}
	for _, f := range s.Template.Functions {
		env, err := s.environment(f)
		if err != nil {
			return err
		}
		fn := newFunction(f, filepath.Join(s.services.bin, f.Name), filepath.Join(s.Dir, "logs"), s.services.addr,
			env, s.names, s.opts.Warn)
		s.functions[f.Name] = fn
		s.services.runtime.add(fn)
		for _, r := range f.Routes {
			gateway.routes = append(gateway.routes, boundRoute{r, fn})
		}
		for _, source := range f.Sources {
			if !s.opts.Idle && (source.Enabled == nil || *source.Enabled) {
				s.running.Go(func() { poll(running, fn, source, s.services.queues.byARN(source.Queue), s.opts.Warn) })
			}
		}
		for _, every := range f.Schedules {
			if s.opts.Idle {
				break
			}
			s.running.Go(func() { tick(running, fn, every, s.names, s.opts.Warn) })
		}
	}
	addr := s.opts.Addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	s.API = "http://" + l.Addr().String()
	s.api = &http.Server{Handler: gateway, ReadHeaderTimeout: 30 * time.Second}
	s.running.Go(func() { _ = s.api.Serve(l) }) // it ends by Close
	return nil
}

func (s *Stack) stopFunctions() {
	if s.stop != nil {
		s.stop()
	}
	if s.api != nil {
		_ = s.api.Close() // connections under way are cut
	}
	for _, f := range s.functions {
		f.close()
	}
	for _, g := range s.guards {
		_ = g.Close() // connections under way are cut
	}
	s.running.Wait()
}

// environment is what a function finds in its environment besides the template's variables. A function with a role
// reaches the services through guards, which hold its requests against the role.
func (s *Stack) environment(f *Function) ([]string, error) {
	env := []string{
		"AWS_REGION=" + s.Region,
		"AWS_DEFAULT_REGION=" + s.Region,
		"AWS_ACCESS_KEY_ID=" + s.AccessKey,
		"AWS_SECRET_ACCESS_KEY=" + s.SecretKey,
	}
	for _, service := range []struct {
		name, target string
		guarded
	}{
		{"DYNAMODB", s.DynamoDBEndpoint, guardedDynamoDB},
		{"S3", s.S3Endpoint, guardedS3},
		{"SQS", s.SQSEndpoint, guardedSQS},
	} {
		addr := service.target
		if f.Role != "" {
			rights, err := s.Template.readRole(f.Role[strings.LastIndexByte(f.Role, '/')+len(s.names.prefix)+2:])
			if err != nil {
				return nil, err
			}
			server, guard, err := startGuard(f, rights, service.guarded, service.target, s.names, s.opts)
			if err != nil {
				return nil, err
			}
			s.guards, addr = append(s.guards, server), guard
		}
		env = append(env, "AWS_ENDPOINT_URL_"+service.name+"="+addr)
	}
	return env, nil
}

// Env is the environment that the template gives a function: what its configuration is read from.
func (s *Stack) Env(function string) map[string]string {
	for _, f := range s.Template.Functions {
		if f.Name == function {
			return maps.Clone(f.Environment.Variables)
		}
	}
	return nil
}

// Invoke sends a payload through a function's binary and returns its answer. The error is a *FunctionFault when the
// function answered with one, ended or ran out of time.
func (s *Stack) Invoke(ctx context.Context, function string, payload []byte) ([]byte, error) {
	f, ok := s.functions[function]
	if !ok {
		return nil, fmt.Errorf("there is no function %s", function)
	}
	return f.invoke(ctx, payload)
}

// KillFunction ends, with SIGKILL, the processes of a function that work on an event, and returns how many they were.
// What becomes of their events is decided as on AWS: a queue's message comes again when its visibility times out.
func (s *Stack) KillFunction(function string) int {
	f, ok := s.functions[function]
	if !ok {
		return 0
	}
	return f.kill()
}

// Publish sends an event to the targets of the template's rules that match it, as EventBridge does: to deliver an object's
// event twice, or one that S3 did not tell.
func (s *Stack) Publish(event []byte) error {
	var e map[string]any
	if err := json.Unmarshal(event, &e); err != nil {
		return err
	}
	s.services.bus.publish(e)
	return nil
}

// Redeliver delivers every message of a queue that is being worked on a second time, as SQS may, and returns how many
// they were.
func (s *Stack) Redeliver(queue string) int { return s.queue(queue).redeliver() }

// QueueCounts tells how many messages of a queue, by its logical name, are visible, in flight, and delayed.
func (s *Stack) QueueCounts(queue string) (visible, flying, delayed int) {
	return s.queue(queue).count()
}

func (s *Stack) queue(name string) *messageQueue {
	url := s.Queues[name]
	return s.services.queues.byName(url[strings.LastIndexByte(url, '/')+1:])
}

// AWSConfig is a configuration for clients of the stack's services.
func (s *Stack) AWSConfig() aws.Config { return s.services.awsConfig() }

// Wait returns nil when ctx is done, and how the first service ended that did so before.
func (s *Stack) Wait(ctx context.Context) error {
	dynamodb := s.services.s3 // stands in for a DynamoDB that is not ours
	if s.services.dynamodb != nil {
		dynamodb = s.services.dynamodb
	}
	select {
	case <-ctx.Done():
		return nil
	case <-dynamodb.done:
		return dynamodb.ended()
	case <-s.services.s3.done:
		return s.services.s3.ended()
	}
}
