package zipfile

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// Ranges reads an object at any place, a block ahead, so that reading on costs a request for each block. It is for one
// goroutine.
type Ranges struct {
	// Open streams the bytes [from, to) of the object.
	Open func(from, to int64) (io.ReadCloser, error)
	Size int64

	at    int64
	block []byte
}

const blockSize = 4 << 20

// ReadAt implements io.ReaderAt.
func (r *Ranges) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		at := off + int64(n)
		if at >= r.Size {
			return n, io.EOF
		}
		if at < r.at || at >= r.at+int64(len(r.block)) {
			if err := r.load(at); err != nil {
				return n, err
			}
		}
		n += copy(p[n:], r.block[at-r.at:])
	}
	return n, nil
}

func (r *Ranges) load(at int64) error {
	in, err := r.Open(at, min(r.Size, at+blockSize))
	if err != nil {
		return err
	}
	defer in.Close()
	r.at, r.block = at, slices.Grow(r.block[:0], int(min(blockSize, r.Size-at)))
	r.block = r.block[:min(blockSize, r.Size-at)]
	if _, err := io.ReadFull(in, r.block); err != nil {
		r.block = r.block[:0]
		return fmt.Errorf("read an archive at byte %d: %w", at, noCut(err))
	}
	return nil
}

// noCut keeps a broken connection from being taken for a damaged archive.
func noCut(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errors.New("the object is shorter than it was")
	}
	return err
}
