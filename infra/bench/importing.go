package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"

	"aliquot/shared/csvimport"
	"aliquot/shared/jobs"
	"aliquot/shared/wire"
)

// importSpec is what a process that plans or imports a job is told. Everything else is in its environment, as for the
// function.
type importSpec struct {
	Job    int64
	Chunks int    // 0: plan the job
	Files  string // the folder that stands for S3
	// Profile names a file for a CPU profile of the work.
	Profile string
}

// measured is what such a process says of itself.
type measured struct {
	CPU     time.Duration // user and system
	PeakRSS int64         // bytes
}

// runImport does a job's plan, or its chunks one after the other as a warm function would, and prints what it took.
func runImport(ctx context.Context, doc []byte) error {
	var spec importSpec
	if err := json.Unmarshal(doc, &spec); err != nil {
		return err
	}
	im, _, err := wire.Importer(ctx)
	if err != nil {
		return err
	}
	im.Files = folder(spec.Files)
	im.Queue = noQueue{}
	im.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if spec.Profile != "" {
		f, err := os.Create(spec.Profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	return measure(func() error {
		if spec.Chunks == 0 {
			return im.Handle(ctx, csvimport.PlanMessage(spec.Job))
		}
		for n := range spec.Chunks {
			if err := im.Handle(ctx, fmt.Appendf(nil, `{"job":%d,"step":"chunk","chunk":%d}`, spec.Job, n)); err != nil {
				return err
			}
		}
		return nil
	})
}

// measure does the work and prints what it took.
func measure(work func() error) error {
	m, err := taken(work)
	if err != nil {
		return err
	}
	return printed(m)
}

// taken does the work and tells what it took.
func taken(work func() error) (m measured, err error) {
	runtime.GC() // what was made before is not paid for by the work
	before, err := cpuTime()
	if err != nil {
		return m, err
	}
	if err := work(); err != nil {
		return m, err
	}
	after, err := cpuTime()
	if err != nil {
		return m, err
	}
	m.CPU = after - before
	m.PeakRSS, err = peakRSS()
	return m, err
}

// printed tells the process that started this one.
func printed(v any) error { return json.NewEncoder(os.Stdout).Encode(v) }

func cpuTime() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, err
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

// peakRSS is the most memory that the process has had. The kernel's rusage counts what the parent had when it started the
// process, so /proc is asked where it is.
func peakRSS() (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if errors.Is(err, fs.ErrNotExist) {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			return 0, err
		}
		return u.Maxrss, nil // bytes, on the systems without /proc
	}
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kb int64
	if _, err := fmt.Sscanf(rest, "%d kB", &kb); err != nil {
		return 0, fmt.Errorf("read the peak memory: %w", err)
	}
	return kb << 10, nil
}

// noQueue drops messages: the bench says itself what comes next.
type noQueue struct{}

func (noQueue) Send(context.Context, []byte, string, time.Duration) error { return nil }

// folder is a folder that stands for S3, with a subfolder a bucket.
type folder string

func (d folder) path(bucket, key string) string {
	return filepath.Join(string(d), bucket, filepath.FromSlash(key))
}

func (d folder) Open(_ context.Context, bucket, key, _ string, from, to int64) (io.ReadCloser, error) {
	f, err := os.Open(d.path(bucket, key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, jobs.ErrNoFile
	}
	if err != nil {
		return nil, err
	}
	if to < 0 {
		to = 1 << 62
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, from, to-from), f}, nil
}

func (d folder) Put(ctx context.Context, bucket, key string, body []byte) error {
	w := d.Create(ctx, bucket, key)
	if _, err := io.Copy(w, bytes.NewReader(body)); err != nil {
		return errors.Join(err, w.Abort())
	}
	return w.Close()
}

func (d folder) Create(_ context.Context, bucket, key string) jobs.Writer {
	path := d.path(bucket, key)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return &fileWriter{err: err}
	}
	f, err := os.Create(path + ".part")
	return &fileWriter{File: f, err: err, path: path}
}

func (folder) List(context.Context, string, string) ([]csvimport.Listed, error) {
	return nil, errors.ErrUnsupported
}

func (folder) Version(context.Context, string, string) (string, error) {
	return "", errors.ErrUnsupported
}

func (folder) Size(context.Context, string, string, string) (int64, error) {
	return 0, errors.ErrUnsupported
}

func (folder) AbortUploads(context.Context, string, time.Time) error { return errors.ErrUnsupported }

// fileWriter is a file that gets its name when it is closed.
type fileWriter struct {
	*os.File
	path   string
	err    error
	closed bool
}

func (w *fileWriter) Write(b []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	return w.File.Write(b)
}

func (w *fileWriter) Close() error {
	if w.err != nil || w.closed {
		return w.err
	}
	w.closed = true
	if err := w.File.Close(); err != nil {
		return err
	}
	return os.Rename(w.path+".part", w.path)
}

func (w *fileWriter) Abort() error {
	if w.err != nil || w.closed {
		return nil
	}
	w.closed = true
	return errors.Join(w.File.Close(), os.Remove(w.path+".part"))
}
