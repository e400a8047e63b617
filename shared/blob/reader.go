package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// resumes is how often in a row a read is taken up again without a byte in between.
const resumes = 4

// Open streams the bytes [from, to) of an object, to its end for to < 0. Bytes that the object does not have are left
// out, so the stream may be shorter, or empty. A stream that breaks goes on where it broke, in the same version of the
// object; a read gives an error when that does not succeed after a few tries, or when the object was replaced meanwhile.
// It returns ErrNotFound for a missing object. The caller closes the stream; ctx must live as long.
func (s *Store) Open(ctx context.Context, o Object, from, to int64) (io.ReadCloser, error) {
	r := &reader{ctx: ctx, store: s, object: o, next: from, end: to}
	if to >= 0 && to <= from {
		return http.NoBody, nil
	}
	if err := r.open(); err != nil {
		return nil, err
	}
	return r, nil
}

type reader struct {
	ctx    context.Context
	store  *Store
	object Object
	etag   *string
	body   io.ReadCloser
	next   int64 // position of the next byte to be read
	end    int64 // position after the last; -1 until known
	broken int   // breaks since the last byte
}

func (r *reader) open() error {
	in := &s3.GetObjectInput{
		Bucket: &r.object.Bucket, Key: &r.object.Key, VersionId: r.object.version(), IfMatch: r.etag,
	}
	switch {
	case r.end >= 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", r.next, r.end-1))
	case r.next > 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", r.next))
	}
	out, err := r.store.client().GetObject(r.ctx, in)
	var resp *smithyhttp.ResponseError
	if errors.As(err, &resp) && resp.HTTPStatusCode() == http.StatusRequestedRangeNotSatisfiable {
		r.body, r.end = http.NoBody, r.next
		return nil
	}
	if err != nil {
		return wrap("read", r.object, err)
	}
	r.body, r.etag = out.Body, out.ETag
	if out.ContentLength != nil {
		r.end = r.next + *out.ContentLength
	}
	return nil
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	for {
		n, err := r.body.Read(p)
		r.next += int64(n)
		if n > 0 {
			r.broken = 0
		}
		switch {
		case err == nil, err == io.EOF && (r.end < 0 || r.next >= r.end):
			return n, err
		case r.end >= 0 && r.next >= r.end: // all is there, but its checksum does not fit
			return n, fmt.Errorf("read %v: %w", r.object, err)
		case n > 0:
			// What has come is good; the break shows again at the next read.
			return n, nil
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err := r.resume(err); err != nil {
			return 0, err
		}
	}
}

// resume opens the rest of the object after the break that cause tells of.
func (r *reader) resume(cause error) error {
	for r.broken < resumes && r.ctx.Err() == nil {
		r.body.Close()
		wait := time.Duration(r.broken*r.broken) * 100 * time.Millisecond
		r.broken++
		select {
		case <-r.ctx.Done():
			return r.ctx.Err()
		case <-time.After(wait):
		}
		cause = r.open()
		if cause == nil {
			return nil
		}
		r.body = http.NoBody
		var resp *smithyhttp.ResponseError
		if errors.As(cause, &resp) && resp.HTTPStatusCode()/100 == 4 || errors.Is(cause, ErrNotFound) {
			break // deleted, or replaced by another
		}
	}
	if err := r.ctx.Err(); err != nil {
		return err
	}
	return fmt.Errorf("read %v from byte %d on: %w", r.object, r.next, cause)
}

// Close implements io.Closer.
func (r *reader) Close() error { return r.body.Close() }
