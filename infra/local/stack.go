package local

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"golang.org/x/sync/errgroup"
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
}

// Stack is a running stack. Its methods may be called from several goroutines.
type Stack struct {
	// Dir is the data folder.
	Dir string
	// Addresses of the services, as the functions see them.
	DynamoDBEndpoint, S3Endpoint string
	// Region and the keys that every client of the stack uses.
	Region, AccessKey, SecretKey string
	// Tables and Buckets give the physical name for the logical one: records, audit, jobs, sessions; intake, results.
	Tables, Buckets map[string]string
	// Template is what the stack was wired from.
	Template *Template

	opts     Options
	root     string // of the module
	services *services
	owner    bool // whether Close ends the services
}

// services are the processes that stacks share.
type services struct {
	id               identity
	dir              string
	temporary        bool
	dynamodb, s3     *process // dynamodb is nil when another one is used
	dynamodbEndpoint string
	s3Endpoint       string
	closeOnce        sync.Once
}

// identity is what a data folder keeps, so that the next start finds its tables again and clients keep their keys.
type identity struct {
	Prefix    string
	AccessKey string
	SecretKey string
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
	sv, err := startServices(ctx, root, opts.Dir)
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

// Fresh makes a second set of tables and buckets on the same services, which end with the stack that Start returned.
func (s *Stack) Fresh(ctx context.Context) (*Stack, error) {
	return newStack(ctx, s.opts, s.root, s.services, "aliquot-"+randomName())
}

// Close ends every process of the stack and removes a temporary data folder. A second Close does nothing.
func (s *Stack) Close() {
	if s.owner {
		s.services.close()
	}
}

func newStack(ctx context.Context, opts Options, root string, sv *services, prefix string) (*Stack, error) {
	s := &Stack{
		Dir:              sv.dir,
		DynamoDBEndpoint: sv.dynamodbEndpoint,
		S3Endpoint:       sv.s3Endpoint,
		Region:           region,
		AccessKey:        sv.id.AccessKey,
		SecretKey:        sv.id.SecretKey,
		Tables:           map[string]string{},
		Buckets:          map[string]string{},
		opts:             opts,
		root:             root,
		services:         sv,
	}
	var err error
	s.Template, err = readTemplate(opts.Root, opts.Params, names{prefix: prefix, region: region})
	if err != nil {
		return nil, err
	}
	for _, t := range s.Template.Tables {
		s.Tables[strings.ToLower(strings.TrimSuffix(t.ID, "Table"))] = t.Name
	}
	for _, b := range s.Template.Buckets {
		s.Buckets[strings.ToLower(strings.TrimSuffix(b.ID, "Bucket"))] = b.Name
	}
	if err := createData(ctx, s.AWSConfig(), s.Template); err != nil {
		return nil, err
	}
	if err := sv.check(); err != nil {
		return nil, err
	}
	return s, nil
}

// AWSConfig is a configuration for clients of the stack's services.
func (s *Stack) AWSConfig() aws.Config {
	return aws.Config{
		Region: s.Region,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: s.AccessKey, SecretAccessKey: s.SecretKey}, nil
		}),
		ConfigSources: []any{endpoints{"DynamoDB": s.DynamoDBEndpoint, "S3": s.S3Endpoint}},
	}
}

// endpoints gives the SDK's clients, by their service ids, the addresses that AWS_ENDPOINT_URL_... gives the functions.
type endpoints map[string]string

// GetServiceBaseEndpoint is the method by which the SDK asks.
func (e endpoints) GetServiceBaseEndpoint(_ context.Context, service string) (string, bool, error) {
	url, ok := e[service]
	return url, ok, nil
}

func startServices(ctx context.Context, root, dir string) (_ *services, err error) {
	sv := &services{dir: dir, temporary: dir == ""}
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
	if sv.id, err = loadIdentity(sv.dir); err != nil {
		return nil, err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return retry(func() error { return sv.startDynamoDB(ctx) }) })
	g.Go(func() error { return retry(func() error { return sv.startS3(ctx, root) }) })
	return sv, g.Wait()
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

// loadIdentity reads the identity of a data folder, or makes one.
func loadIdentity(dir string) (identity, error) {
	path := filepath.Join(dir, "identity.json")
	var id identity
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &id)
		return id, err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return id, err
	}
	id = identity{Prefix: "aliquot-" + randomName(), AccessKey: "AK" + strings.ToUpper(rand.Text()[:18]), SecretKey: rand.Text() + rand.Text()}
	text, err = json.Marshal(id)
	if err != nil {
		return id, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return id, err
	}
	return id, os.WriteFile(path, text, 0o600)
}

func randomName() string { return strings.ToLower(rand.Text()[:8]) }

func (sv *services) startDynamoDB(ctx context.Context) error {
	if sv.dynamodbEndpoint = os.Getenv("ALIQUOT_DYNAMODB_ENDPOINT"); sv.dynamodbEndpoint != "" {
		return nil
	}
	path, err := dynoxide(ctx)
	if err != nil {
		return err
	}
	addr, err := freeAddress()
	if err != nil {
		return err
	}
	host, port, _ := strings.Cut(addr, ":")
	args := []string{"--host", host, "--port", port, "--db-path", filepath.Join(sv.dir, "dynamodb.db")}
	p, err := startProcess("dynamodb", filepath.Join(sv.dir, "logs", "dynamodb.log"), path, args, []string{}, nil)
	if err != nil {
		return err
	}
	if err := p.waitFor(ctx, addr); err != nil {
		p.kill()
		return err
	}
	sv.dynamodb, sv.dynamodbEndpoint = p, "http://"+addr
	return nil
}

// s3Config is the configuration that command s3 reads from its standard input.
type s3Config struct {
	Addr, Region, AccessKey, SecretKey, Dir, Webhook, Remove string
}

func (sv *services) startS3(ctx context.Context, root string) error {
	path, err := gateway(ctx, root)
	if err != nil {
		return err
	}
	addr, err := freeAddress()
	if err != nil {
		return err
	}
	cfg := s3Config{
		Addr: addr, Region: region, AccessKey: sv.id.AccessKey, SecretKey: sv.id.SecretKey,
		Dir: filepath.Join(sv.dir, "s3"),
	}
	if sv.temporary {
		cfg.Remove = sv.dir
	}
	line, err := json.Marshal(cfg)
	if err != nil {
		return err
	}
	p, err := startProcess("s3", filepath.Join(sv.dir, "logs", "s3.log"), path, nil, []string{}, append(line, '\n'))
	if err != nil {
		return err
	}
	if err := p.waitFor(ctx, addr); err != nil {
		p.kill()
		return err
	}
	sv.s3, sv.s3Endpoint = p, "http://"+addr
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

func (sv *services) close() {
	sv.closeOnce.Do(func() {
		if sv.dynamodb != nil {
			sv.dynamodb.kill()
		}
		if sv.s3 != nil {
			sv.s3.stop()
		}
		if sv.temporary && sv.dir != "" {
			_ = os.RemoveAll(sv.dir) // the S3 process has removed it already, unless it could not start
		}
	})
}
