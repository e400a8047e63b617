package local

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"
)

// services are the processes and servers that the stacks of one Start share.
type services struct {
	id               identity
	dir              string
	temporary        bool
	bin              string   // folder with the functions' binaries, removed at the end; or empty
	dynamodb, s3     *process // dynamodb is nil when another one is used
	dynamodbEndpoint string
	s3Endpoint       string
	warn             io.Writer
	unlock           func() // frees the data folder; nil until it is locked

	addr    string // of the server of queues, runtime API and S3's webhook
	server  *http.Server
	queues  *queueServer
	runtime *runtimeAPI
	bus     *eventBus
}

func (sv *services) awsConfig() aws.Config {
	return aws.Config{
		Region: region,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: sv.id.AccessKey, SecretAccessKey: sv.id.SecretKey}, nil
		}),
		ConfigSources: []any{endpoints{"DynamoDB": sv.dynamodbEndpoint, "S3": sv.s3Endpoint, "SQS": "http://" + sv.addr}},
	}
}

// endpoints gives the SDK's clients, by their service ids, the addresses that AWS_ENDPOINT_URL_... gives the functions.
type endpoints map[string]string

// GetServiceBaseEndpoint is the method by which the SDK asks.
func (e endpoints) GetServiceBaseEndpoint(_ context.Context, service string) (string, bool, error) {
	url, ok := e[service]
	return url, ok, nil
}

func startServices(ctx context.Context, root string, opts Options) (_ *services, err error) {
	sv := &services{
		dir: opts.Dir, temporary: opts.Dir == "", warn: opts.Warn,
		queues: &queueServer{queues: map[string]*messageQueue{}}, runtime: &runtimeAPI{},
	}
	sv.bus = &eventBus{
		queues: sv.queues, warn: opts.Warn, buckets: map[string]bool{},
		objects: sync.OnceValue(func() *s3.Client { return s3.NewFromConfig(sv.awsConfig()) }),
	}
	defer func() {
		if err != nil {
			sv.close()
		}
	}()
	if sv.temporary {
		if sv.dir, err = os.MkdirTemp(memoryDir(), "aliquot-"); err != nil {
			return nil, err
		}
	}
	if sv.dir, err = filepath.Abs(sv.dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(sv.dir, 0o755); err != nil {
		return nil, err
	}
	if sv.unlock, err = lockFolder(sv.dir); err != nil {
		return nil, err
	}
	if sv.id, err = loadIdentity(sv.dir, sv.temporary); err != nil {
		return nil, err
	}
	if opts.Functions {
		cache, err := cacheDir()
		if err != nil {
			return nil, err
		}
		if sv.bin, err = os.MkdirTemp(cache, "run-"); err != nil {
			return nil, err
		}
	}
	// S3 sends its webhook a test event before it listens.
	if err := sv.serve(); err != nil {
		return nil, err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return retry(func() error { return sv.startDynamoDB(ctx) }) })
	g.Go(func() error { return retry(func() error { return sv.startS3(ctx, root) }) })
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return sv, sv.id.save(sv.dir)
}

// serve starts the server of what runs in this process: SQS at its root, S3's webhook, and the Runtime API below the ids
// of the environments.
func (sv *services) serve() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	sv.addr = l.Addr().String()
	mux := http.NewServeMux()
	mux.Handle("POST /{$}", sv.queues)
	mux.Handle("POST "+webhookPath, sv.bus)
	mux.Handle("/", sv.runtime)
	sv.server = &http.Server{Handler: mux, ReadHeaderTimeout: 30 * time.Second}
	go func() { _ = sv.server.Serve(l) }() // it ends by Close
	return nil
}

// memoryDir is a folder in memory, or empty for the system's folder of temporary files.
func memoryDir() string {
	const shm = "/dev/shm"
	if info, err := os.Stat(shm); err == nil && info.IsDir() {
		return shm
	}
	return ""
}

// retry tries thrice, since the port that a child was to listen on may have been taken meanwhile.
func retry(start func() error) error {
	var err error
	for range 3 {
		if err = start(); err == nil {
			return nil
		}
	}
	return err
}

// dynamodbVariable names the environment variable with the address of a DynamoDB to use in place of dynoxide.
const dynamodbVariable = "ALIQUOT_DYNAMODB_ENDPOINT"

func randomName() string { return strings.ToLower(rand.Text()[:8]) }

func (sv *services) startDynamoDB(ctx context.Context) error {
	if sv.dynamodbEndpoint = os.Getenv(dynamodbVariable); sv.dynamodbEndpoint != "" {
		return nil
	}
	path, err := dynoxide(ctx)
	if err != nil {
		return err
	}
	addr, err := freeAddress(sv.id.DynamoDBAddr)
	if err != nil {
		return err
	}
	host, port, _ := strings.Cut(addr, ":")
	args := []string{"--host", host, "--port", port, "--db-path", filepath.Join(sv.dir, "dynamodb.db")}
	p, err := startProcess(command{
		name: "dynamodb", path: path, args: args, log: filepath.Join(sv.dir, "logs", "dynamodb.log"),
	})
	if err != nil {
		return err
	}
	if err := p.waitFor(ctx, addr); err != nil {
		p.kill()
		return err
	}
	sv.dynamodb, sv.dynamodbEndpoint, sv.id.DynamoDBAddr = p, "http://"+addr, addr
	return nil
}

// s3Config is the configuration that command s3 reads from its standard input.
type s3Config struct {
	Addr, Region, AccessKey, SecretKey, Dir, Webhook string
	Remove                                           []string
}

func (sv *services) startS3(ctx context.Context, root string) error {
	path, err := gateway(ctx, root)
	if err != nil {
		return err
	}
	addr, err := freeAddress(sv.id.S3Addr)
	if err != nil {
		return err
	}
	cfg := s3Config{
		Addr: addr, Region: region, AccessKey: sv.id.AccessKey, SecretKey: sv.id.SecretKey,
		Dir: filepath.Join(sv.dir, "s3"), Webhook: "http://" + sv.addr + webhookPath,
		Remove: sv.leftovers(),
	}
	line, err := json.Marshal(cfg)
	if err != nil {
		return err
	}
	p, err := startProcess(command{
		name: "s3", path: path, log: filepath.Join(sv.dir, "logs", "s3.log"), input: append(line, '\n'),
	})
	if err != nil {
		return err
	}
	if err := p.waitFor(ctx, addr); err != nil {
		p.kill()
		return err
	}
	sv.s3, sv.s3Endpoint, sv.id.S3Addr = p, "http://"+addr, addr
	return nil
}

// check fails when a service has ended.
func (sv *services) check() error {
	for _, p := range []*process{sv.dynamodb, sv.s3} {
		if p != nil && !p.alive() {
			return p.ended()
		}
	}
	return nil
}

// leftovers are the folders that do not outlive the stack.
func (sv *services) leftovers() []string {
	var dirs []string
	if sv.temporary && sv.dir != "" {
		dirs = append(dirs, sv.dir)
	}
	if sv.bin != "" {
		dirs = append(dirs, sv.bin)
	}
	return dirs
}

func (sv *services) close() {
	if sv.dynamodb != nil {
		sv.dynamodb.kill()
	}
	if sv.s3 != nil {
		sv.s3.stop()
	}
	if sv.server != nil {
		_ = sv.server.Close() // connections under way are cut
	}
	if sv.unlock != nil {
		sv.unlock()
	}
	for _, dir := range sv.leftovers() {
		_ = os.RemoveAll(dir) // the S3 process has removed it already, unless it could not start
	}
}
