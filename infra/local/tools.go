package local

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// dynoxideVersion is the version of every platform's package.
const dynoxideVersion = "1.2.1"

// dynoxidePackages lists, by Go's platform name, the npm package that holds the binary, and its integrity. A platform
// without an integrity has a package upstream that not every registry mirror carries; it is fetched by version alone.
var dynoxidePackages = map[string]struct{ name, integrity string }{
	"linux/amd64": {
		"@dynoxide/linux-x64",
		"sha512-sBHqlxJ9ANkLluFkYRfd5r8Y0ApFew4FhOrlhgRAgD4XzEoFOukEo1nuBTQ1+jTtofqwn4NWQ2k0Tn5mNTjgUg==",
	},
	"linux/arm64":  {name: "@dynoxide/linux-arm64"},
	"darwin/arm64": {name: "@dynoxide/darwin-arm64"},
	"darwin/amd64": {name: "@dynoxide/darwin-x64"},
}

// cacheDir is where fetched and built tools are kept: ALIQUOT_CACHE, or aliquot in the user's cache folder.
func cacheDir() (string, error) {
	dir := os.Getenv("ALIQUOT_CACHE")
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("set ALIQUOT_CACHE to a folder for fetched tools: %w", err)
		}
		dir = filepath.Join(user, "aliquot")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o755)
}

// once makes the cache's file name with the given function unless it is there. Processes that want the same file at the
// same time wait for the first. make writes to a path that becomes the file when it returns without an error.
func once(name string, make func(path string) error) (string, error) {
	dir, err := cacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	unlock, err := lock(path+".lock", syscall.LOCK_EX)
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	half := path + ".half"
	if err := make(half); err != nil {
		return "", errors.Join(err, os.RemoveAll(half))
	}
	return path, os.Rename(half, path)
}

// lock takes the lock that a file stands for, as how says: to wait for it, or not to. The end of the process frees it too.
func lock(path string, how int) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), how); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// dynoxide returns the path of the DynamoDB binary, fetching it when the cache does not have it.
func dynoxide(ctx context.Context) (string, error) {
	platform := runtime.GOOS + "/" + runtime.GOARCH
	pkg, ok := dynoxidePackages[platform]
	if !ok {
		return "", fmt.Errorf("there is no local DynamoDB for %s: set ALIQUOT_DYNAMODB_ENDPOINT to the address of one", platform)
	}
	return once("dynoxide-"+dynoxideVersion, func(path string) error {
		archive, err := npmPack(ctx, pkg.name+"@"+dynoxideVersion)
		if err != nil {
			return fmt.Errorf("%w\nset ALIQUOT_DYNAMODB_ENDPOINT to use another DynamoDB", err)
		}
		if sum := integrity(archive); pkg.integrity != "" && sum != pkg.integrity {
			return fmt.Errorf("%s@%s has integrity %s, want %s", pkg.name, dynoxideVersion, sum, pkg.integrity)
		}
		return extract(archive, "package/dynoxide", path)
	})
}

// npmPack fetches a package, by the user's npm settings, and returns its archive.
func npmPack(ctx context.Context, spec string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "aliquot-npm")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cmd := exec.CommandContext(ctx, "npm", "pack", "--json", "--ignore-scripts", spec)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, fmt.Errorf("npm is needed to fetch %s: install Node", spec)
	}
	if err != nil {
		return nil, fmt.Errorf("npm pack %s: %w\n%s", spec, err, bytes.TrimSpace(stderr.Bytes()))
	}
	var packed []struct{ Filename string }
	if err := json.Unmarshal(out, &packed); err != nil || len(packed) != 1 {
		return nil, fmt.Errorf("npm pack %s: answered %q", spec, out)
	}
	return os.ReadFile(filepath.Join(dir, filepath.Base(packed[0].Filename)))
}

func integrity(archive []byte) string {
	sum := sha512.Sum512(archive)
	return "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
}

// extract writes one member of a .tgz to path, executable.
func extract(archive []byte, member, path string) error {
	zr, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return err
	}
	for tr := tar.NewReader(zr); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return fmt.Errorf("there is no %s in the package", member)
		}
		if err != nil {
			return err
		}
		if h.Name != member {
			continue
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, tr)
		return errors.Join(err, f.Close())
	}
}

// moduleRoot is the folder of this module, at or above the working directory.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module aliquot\n") {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("run this inside the module aliquot")
		}
		dir = up
	}
}

// gateway returns the path of the S3 binary, built from the nested module when the cache has none of these sources. The
// first build takes a minute or two.
func gateway(ctx context.Context, root string) (string, error) {
	src := filepath.Join(root, "infra", "local", "s3")
	sum := sha256.New()
	fmt.Fprintln(sum, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, name := range []string{"go.mod", "go.sum", "main.go"} {
		text, err := os.ReadFile(filepath.Join(src, name))
		if err != nil {
			return "", err
		}
		fmt.Fprintln(sum, name, len(text))
		sum.Write(text)
	}
	return once("s3-"+hex.EncodeToString(sum.Sum(nil)[:8]), func(path string) error {
		return goBuild(ctx, src, path, ".")
	})
}

// buildFunctions builds the functions below root for this machine and puts each, under its name, in dir.
func buildFunctions(ctx context.Context, root, dir string, functions []*Function) error {
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	// Go leaves a binary alone that is up to date, so they are built in a place that stays. A stack runs links of its own,
	// which a later build does not change.
	sum := sha256.Sum256([]byte(root))
	built := filepath.Join(cache, "functions-"+hex.EncodeToString(sum[:8]))
	unlock, err := lock(built+".lock", syscall.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	packages := make([]string, 0, len(functions))
	for _, f := range functions {
		packages = append(packages, "./functions/"+f.Name)
	}
	if err := goBuild(ctx, root, built+"/", packages...); err != nil {
		return err
	}
	for _, f := range functions {
		if err := os.Link(filepath.Join(built, f.Name), filepath.Join(dir, f.Name)); err != nil {
			return err
		}
	}
	return nil
}

// goBuild builds packages stripped, as they are deployed.
func goBuild(ctx context.Context, dir, out string, packages ...string) error {
	args := append([]string{"build", "-trimpath", "-ldflags", "-s -w", "-tags", "lambda.norpc", "-o", out}, packages...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", strings.Join(packages, " "), err, bytes.TrimSpace(text))
	}
	return nil
}
