package blob

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// partSize is the size of the parts of a large object; 10,000 of them, the most S3 takes, make 80 GB.
const partSize = 8 << 20

// Writer writes one object as a stream. It holds one part in memory. Nothing is visible before Close has succeeded; a
// Writer that is given up must be aborted. It is not safe for concurrent use.
type Writer struct {
	ctx         context.Context
	store       *Store
	object      Object
	contentType string
	buf         []byte
	size        int64
	upload      *string // of a multipart upload, nil while one part has sufficed
	parts       []types.CompletedPart
	err         error // the first fault; the writer is done then
	closed      bool
	info        Info
}

var errClosed = errors.New("the writer is closed")

// Create begins to write an object. ctx must live until Close.
func (s *Store) Create(ctx context.Context, bucket, key, contentType string) *Writer {
	return &Writer{ctx: ctx, store: s, object: Object{Bucket: bucket, Key: key}, contentType: contentType}
}

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	if w.closed {
		return 0, errClosed
	}
	n := 0
	for len(p) > 0 {
		if w.err != nil {
			return n, w.err
		}
		if len(w.buf) == partSize {
			if w.err = w.send(); w.err != nil {
				return n, w.err
			}
		}
		k := min(len(p), partSize-len(w.buf))
		w.buf = append(w.buf, p[:k]...)
		p = p[k:]
		n += k
	}
	return n, nil
}

// send uploads the buffer as a part.
func (w *Writer) send() error {
	client := w.store.client()
	if w.upload == nil {
		out, err := client.CreateMultipartUpload(w.ctx, &s3.CreateMultipartUploadInput{
			Bucket: &w.object.Bucket, Key: &w.object.Key, ContentType: &w.contentType,
			ChecksumAlgorithm: types.ChecksumAlgorithmCrc32,
		})
		if err != nil {
			return wrap("begin upload", w.object, err)
		}
		w.upload = out.UploadId
	}
	number := aws.Int32(int32(len(w.parts) + 1))
	out, err := client.UploadPart(w.ctx, &s3.UploadPartInput{
		Bucket: &w.object.Bucket, Key: &w.object.Key, UploadId: w.upload, PartNumber: number,
		Body: bytes.NewReader(w.buf), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32,
	})
	if err != nil {
		return wrap("upload part", w.object, err)
	}
	w.parts = append(w.parts, types.CompletedPart{ETag: out.ETag, PartNumber: number, ChecksumCRC32: out.ChecksumCRC32})
	w.size += int64(len(w.buf))
	w.buf = w.buf[:0]
	return nil
}

// Close makes the object visible. After a fault of Write or its own it drops what was uploaded and returns the fault. A
// second Close returns what the first did.
func (w *Writer) Close() error {
	if w.closed {
		return w.err
	}
	if w.err == nil {
		w.err = w.finish()
	}
	if w.err != nil {
		return errors.Join(w.err, w.Abort())
	}
	w.closed, w.buf = true, nil
	return nil
}

func (w *Writer) finish() error {
	if w.upload == nil {
		info, err := w.store.Put(w.ctx, w.object.Bucket, w.object.Key, w.contentType, w.buf)
		w.info = info
		return err
	}
	if err := w.send(); err != nil {
		return err
	}
	out, err := w.store.client().CompleteMultipartUpload(w.ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &w.object.Bucket, Key: &w.object.Key, UploadId: w.upload,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: w.parts},
	})
	if err != nil {
		return wrap("finish upload", w.object, err)
	}
	w.info = Info{Size: w.size, ETag: aws.ToString(out.ETag), Version: aws.ToString(out.VersionId)}
	return nil
}

// Info describes the object after Close has succeeded.
func (w *Writer) Info() Info { return w.info }

// Abort drops what was written. After Close it does nothing, so it may be deferred. What it cannot drop, because the
// network is gone, AbortUploads does later.
func (w *Writer) Abort() error {
	if w.closed {
		return nil
	}
	w.closed, w.buf = true, nil
	if w.err == nil {
		w.err = errClosed
	}
	if w.upload == nil {
		return nil
	}
	// The caller's context may be the reason for giving up.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), 10*time.Second)
	defer cancel()
	_, err := w.store.client().AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket: &w.object.Bucket, Key: &w.object.Key, UploadId: w.upload,
	})
	if err = wrap("abort upload", w.object, err); errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
