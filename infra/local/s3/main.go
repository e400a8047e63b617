// Command s3 is the S3 of a stack on one machine: versitygw over a folder, bound to loopback.
//
// It is a process of its own because versitygw changes its working directory and allows one gateway a process, and a
// module of its own so that what it depends on stays out of the functions' module.
//
// The first line of its standard input is its configuration as JSON. The end of its standard input is the end of its
// parent, however that came about: the gateway then stops and, then removes the folders that the configuration names. So a test binary that is killed leaves neither a process nor its files behind.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

// maxObject is what CopyObject and UploadPartCopy take, as on S3; versitygw refuses every copy when it is 0.
const maxObject = 5 << 30

// config is written by package local, which has the same struct.
type config struct {
	Addr      string // host:port to listen on
	Region    string
	AccessKey string
	SecretKey string
	Dir       string   // absolute; made when missing. Below it: data, versions, meta
	Webhook   string   // URL that gets the bucket events
	Remove    []string // folders to remove when the parent is gone
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "s3:", err)
		os.Exit(1)
	}
}

func run() error {
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	var cfg config
	if err := json.Unmarshal(line, &cfg); err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	go func() {
		_, _ = io.Copy(io.Discard, in) // any fault of the pipe means the same as its end
		// Requests under way are cut: an object appears whole or not at all, and whoever asked is gone.
		for _, dir := range cfg.Remove {
			_ = os.RemoveAll(dir)
		}
		os.Exit(0)
	}()
	be, err := backend(cfg.Dir)
	if err != nil {
		return err
	}
	return embedgw.RunVersityGW(context.Background(), be, &embedgw.Config{
		RootUserAccess:    cfg.AccessKey,
		RootUserSecret:    cfg.SecretKey,
		Region:            cfg.Region,
		Ports:             []string{cfg.Addr},
		MaxConnections:    4096,
		MaxRequests:       4096,
		MultipartMaxParts: 10000,
		KeepAlive:         true,
		Quiet:             true,
		HealthPath:        "/-health",
		EventWebhookURL:   cfg.Webhook,
	})
}

// backend keeps the objects in dir/data and their older versions in dir/versions. Metadata goes into extended
// attributes, or into dir/meta on a file system without them.
func backend(dir string) (*posix.Posix, error) {
	data, versions, side := filepath.Join(dir, "data"), filepath.Join(dir, "versions"), filepath.Join(dir, "meta")
	for _, d := range []string{data, versions} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	opts := posix.PosixOpts{
		NewDirPerm:          0o755,
		VersioningDir:       versions,
		CopyObjectThreshold: maxObject,
		Concurrency:         5000,
	}
	if attributes(data) {
		return posix.New(data, meta.XattrMeta{}, opts)
	}
	if err := os.MkdirAll(side, 0o755); err != nil {
		return nil, err
	}
	opts.SideCarDir = side
	store, err := meta.NewSideCar(side)
	if err != nil {
		return nil, err
	}
	return posix.New(data, store, opts)
}

// attributes reports whether files below dir can carry extended attributes, by writing one.
func attributes(dir string) bool {
	f, err := os.CreateTemp(filepath.Dir(dir), "attributes")
	if err != nil {
		return false
	}
	defer os.Remove(f.Name())
	defer f.Close()
	return meta.XattrMeta{}.StoreAttribute(f, "", "", "test", []byte("1")) == nil
}
