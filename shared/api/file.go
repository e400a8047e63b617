package api

import (
	"errors"
	"io"
	"net/http"

	"aliquot/shared/blob"
)

// What the uploads and downloads of files have in common, whatever the file is.

// signedPut says how to send a file to a bucket: the method, the URL, and headers that must come with it.
type signedPut struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
}

// presign makes a URL that takes a file of up to 5 GB.
func (c *call) presign(bucket, key, contentType string) (signedPut, error) {
	put, err := c.api.Blobs.PresignPut(c.Context(), bucket, key, contentType, linkFor)
	return signedPut{put.Method, put.URL, signedHeaders(put.Header)}, err
}

// signedHeaders are the headers that must come with a file, as its URL was signed with them.
func signedHeaders(h http.Header) map[string]string {
	headers := map[string]string{}
	for name := range h {
		if name != "Content-Length" {
			headers[name] = h.Get(name)
		}
	}
	return headers
}

// receive stores a file that comes with the request; twin is the path that gives a URL for larger ones.
func (c *call) receive(bucket, key, contentType string, file io.Reader, twin string) error {
	w := c.api.Blobs.Create(c.Context(), bucket, key, contentType)
	defer w.Abort()
	if _, err := io.Copy(w, file); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return bodyTooLarge("Ask POST " + twin + " for a URL and send larger files there.")
		}
		return uploadBroke(err)
	}
	return w.Close()
}

// hand answers with a file as inline makes it, or, over 4 MB, with where to get it.
func (c *call) hand(file blob.Object, size int64, name string, inline func(body []byte) any) (any, error) {
	if size > maxBody {
		link, err := c.api.Blobs.PresignGet(c.Context(), file, blob.Download{Name: name}, linkFor)
		return elsewhere{link.URL}, err
	}
	body, err := c.api.Blobs.Get(c.Context(), file, maxBody)
	if err != nil {
		return nil, err
	}
	return inline(body), nil
}

// sentFileName reads the body of a request for a URL to send a file to: {filename}.
func (c *call) sentFileName() (string, error) {
	in, err := c.body()
	if err != nil {
		return "", err
	}
	name := fileName(in.text("filename"))
	return name, in.err()
}
