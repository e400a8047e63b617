// Package blob keeps objects in S3.
//
// What it promises beyond the SDK: a read that breaks in the middle goes on where it broke, in the same version of the
// object; what is written becomes visible whole or not at all; and neither holds more than one part in memory.
package blob

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// ErrNotFound means that the object, or that version of it, does not exist.
var ErrNotFound = errors.New("no such object")

// ErrTooLarge means that Get met an object over its limit.
var ErrTooLarge = errors.New("object over the limit")

// Object names an object. Version "" means the newest.
type Object struct{ Bucket, Key, Version string }

// String is for messages: s3://bucket/folder/. The rest of a key may be the name that somebody gave a file, which may be a
// person's.
func (o Object) String() string {
	folder, _ := path.Split(o.Key)
	return "s3://" + o.Bucket + "/" + folder
}

func (o Object) version() *string {
	if o.Version == "" {
		return nil
	}
	return &o.Version
}

// Info is what is known of an object without reading it.
type Info struct {
	Size int64
	// ETag is in quotes, as S3 gives it.
	ETag string
	// Version is empty in a bucket without versions.
	Version  string
	Modified time.Time
}

// Listed is an object of a listing.
type Listed struct {
	Key      string
	Size     int64
	Modified time.Time
}

// Store reads and writes objects. It is safe for concurrent use.
type Store struct {
	// The client is made at its first use: its endpoint rules cost a function's start time.
	client  func() *s3.Client
	presign func() *s3.PresignClient
}

// New makes a Store. An endpoint of cfg that is an IP address is used with bucket names in the path.
func New(cfg aws.Config) *Store {
	client := sync.OnceValue(func() *s3.Client {
		return s3.NewFromConfig(cfg, func(o *s3.Options) {
			// Multipart objects and ranges have no checksum that the SDK could check; it need not say so each time.
			o.DisableLogOutputChecksumValidationSkipped = true
		})
	})
	return &Store{
		client: client,
		presign: sync.OnceValue(func() *s3.PresignClient {
			return s3.NewPresignClient(client(), s3.WithPresignClientFromClientOptions(func(o *s3.Options) {
				// The body is not known yet, so its checksum cannot be signed.
				o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
			}))
		}),
	}
}

// Head describes an object. It returns ErrNotFound for a missing one.
func (s *Store) Head(ctx context.Context, o Object) (Info, error) {
	out, err := s.client().HeadObject(ctx, &s3.HeadObjectInput{Bucket: &o.Bucket, Key: &o.Key, VersionId: o.version()})
	if err != nil {
		return Info{}, wrap("describe", o, err)
	}
	return Info{
		Size:     aws.ToInt64(out.ContentLength),
		ETag:     aws.ToString(out.ETag),
		Version:  aws.ToString(out.VersionId),
		Modified: aws.ToTime(out.LastModified).UTC(),
	}, nil
}

// Get reads a whole object of at most limit bytes. It returns ErrNotFound for a missing one, ErrTooLarge for one over the
// limit.
func (s *Store) Get(ctx context.Context, o Object, limit int64) ([]byte, error) {
	r, err := s.Open(ctx, o, 0, -1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("read %v: %w of %d bytes", o, ErrTooLarge, limit)
	}
	return body, nil
}

// Put stores a small object in one request; it becomes visible whole. A repeat replaces it.
func (s *Store) Put(ctx context.Context, bucket, key, contentType string, body []byte) (Info, error) {
	out, err := s.client().PutObject(ctx, &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, ContentType: &contentType, Body: bytes.NewReader(body),
	})
	if err != nil {
		return Info{}, wrap("write", Object{Bucket: bucket, Key: key}, err)
	}
	return Info{Size: int64(len(body)), ETag: aws.ToString(out.ETag), Version: aws.ToString(out.VersionId)}, nil
}

// Delete removes an object, or one version of it. A missing one is no fault.
func (s *Store) Delete(ctx context.Context, o Object) error {
	_, err := s.client().DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &o.Bucket, Key: &o.Key, VersionId: o.version()})
	if err != nil {
		return wrap("delete", o, err)
	}
	return nil
}

// List returns the objects whose keys begin with prefix and lie after the key after, in the order of their keys, at most
// limit and at most 1,000 (S3's page). Fewer than that means that there are no more.
func (s *Store) List(ctx context.Context, bucket, prefix, after string, limit int32) ([]Listed, error) {
	out, err := s.client().ListObjectsV2(ctx, &s3.ListObjectsV2Input{
		Bucket: &bucket, Prefix: &prefix, StartAfter: nonEmpty(after), MaxKeys: &limit,
	})
	if err != nil {
		return nil, wrap("list", Object{Bucket: bucket, Key: prefix}, err)
	}
	list := make([]Listed, len(out.Contents))
	for i, c := range out.Contents {
		list[i] = Listed{aws.ToString(c.Key), aws.ToInt64(c.Size), aws.ToTime(c.LastModified).UTC()}
	}
	return list, nil
}

// RemoveBelow removes all objects whose keys begin with prefix, one after another. That there are none is no fault.
func (s *Store) RemoveBelow(ctx context.Context, bucket, prefix string) error {
	const page = 1000
	for {
		list, err := s.List(ctx, bucket, prefix, "", page)
		if err != nil {
			return err
		}
		for _, o := range list {
			if err := s.Delete(ctx, Object{Bucket: bucket, Key: o.Key}); err != nil {
				return err
			}
		}
		if len(list) < page {
			return nil
		}
	}
}

// AbortUploads drops the multipart uploads below prefix that were begun before olderThan and never finished, and returns
// how many.
func (s *Store) AbortUploads(ctx context.Context, bucket, prefix string, olderThan time.Time) (int, error) {
	n := 0
	pages := s3.NewListMultipartUploadsPaginator(s.client(), &s3.ListMultipartUploadsInput{
		Bucket: &bucket, Prefix: nonEmpty(prefix),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return n, wrap("list uploads", Object{Bucket: bucket, Key: prefix}, err)
		}
		for _, u := range page.Uploads {
			if !aws.ToTime(u.Initiated).Before(olderThan) {
				continue
			}
			_, err := s.client().AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
				Bucket: &bucket, Key: u.Key, UploadId: u.UploadId,
			})
			err = wrap("abort upload", Object{Bucket: bucket, Key: aws.ToString(u.Key)}, err)
			if err != nil && !errors.Is(err, ErrNotFound) { // not found: it was finished or dropped meanwhile
				return n, err
			}
			n++
		}
	}
	return n, nil
}

// Presigned is a request that anybody may send until it expires. The headers belong to the signature.
type Presigned struct {
	Method string
	URL    string
	Header http.Header
}

// PresignPut signs the upload of one object of up to 5 GB.
func (s *Store) PresignPut(ctx context.Context, bucket, key, contentType string, ttl time.Duration) (Presigned, error) {
	req, err := s.presign().PresignPutObject(ctx, &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, ContentType: nonEmpty(contentType),
	}, s3.WithPresignExpires(ttl))
	if err != nil {
		return Presigned{}, wrap("sign upload", Object{Bucket: bucket, Key: key}, err)
	}
	req.SignedHeader.Del("Host")
	return Presigned{req.Method, req.URL, req.SignedHeader}, nil
}

// Download is how a browser is told to take an object.
type Download struct {
	Name string // of the file
	// Inline shows what is otherwise saved.
	Inline bool
	// ContentType is told in place of the object's own, unless it is empty.
	ContentType string
}

// Disposition is the header that tells it.
func (d *Download) Disposition() string {
	how := "attachment"
	if d.Inline {
		how = "inline"
	}
	return cmp.Or(mime.FormatMediaType(how, map[string]string{"filename": d.Name}), how)
}

// PresignGet signs the download of an object.
func (s *Store) PresignGet(ctx context.Context, o Object, as Download, ttl time.Duration) (Presigned, error) {
	req, err := s.presign().PresignGetObject(ctx, &s3.GetObjectInput{
		Bucket: &o.Bucket, Key: &o.Key, VersionId: o.version(), ResponseContentDisposition: aws.String(as.Disposition()),
		ResponseContentType: nonEmpty(as.ContentType),
	}, s3.WithPresignExpires(ttl))
	if err != nil {
		return Presigned{}, wrap("sign download", o, err)
	}
	req.SignedHeader.Del("Host")
	return Presigned{req.Method, req.URL, req.SignedHeader}, nil
}

func nonEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// wrap names the act and the object and tells a missing object apart.
func wrap(act string, o Object, err error) error {
	if err == nil {
		return nil
	}
	if isMissing(err) {
		return fmt.Errorf("%s %v: %w", act, o, ErrNotFound)
	}
	var sent *url.Error
	if errors.As(err, &sent) {
		err = fmt.Errorf("%s: %w", sent.Op, sent.Err) // its URL has the key
	}
	return fmt.Errorf("%s %v: %w", act, o, err)
}

func isMissing(err error) bool {
	var noBucket *types.NoSuchBucket
	if errors.As(err, &noBucket) {
		return false // a wrong configuration, not a missing object
	}
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorCode() == "NoSuchBucket" {
		return false
	}
	var resp *smithyhttp.ResponseError
	// 405 answers a read of a version that marks a deletion.
	return errors.As(err, &resp) && (resp.HTTPStatusCode() == http.StatusNotFound ||
		resp.HTTPStatusCode() == http.StatusMethodNotAllowed)
}
