package odmimport

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"aliquot/shared/jobs"
)

// versions are files of which each has been replaced since version 1 by something that cannot be read.
type versions struct {
	files
	first map[string][]byte // by key
}

func (v versions) Version(_ context.Context, _, key string) (string, error) {
	if v.first[key] == nil {
		return "", jobs.ErrNoFile
	}
	return "1", nil
}

func (v versions) Size(ctx context.Context, bucket, key, version string) (int64, error) {
	if version == "1" && v.first[key] != nil {
		return int64(len(v.first[key])), nil
	}
	return v.files.Size(ctx, bucket, key, version)
}

func (v versions) Open(ctx context.Context, bucket, key, version string, from, to int64) (io.ReadCloser, error) {
	if version == "1" {
		if to < 0 {
			to = int64(len(v.first[key]))
		}
		return io.NopCloser(strings.NewReader(string(v.first[key][from:to]))), nil
	}
	return v.files.Open(ctx, bucket, key, version, from, to)
}

// What is put in the place of a document, or of the ZIP beside it, while its job is running is not what the job imports.
func TestReplacedMeanwhile(t *testing.T) {
	w := newWorld(t, numbers(), map[string]string{"scan.pdf": "a scan"})
	const doc, zip = "lab/odm/S_A/march.xml", "lab/odm/S_A/march.zip"
	im := w.importer(7)
	im.Files = versions{files{w}, map[string][]byte{doc: w.objects["intake/odm/u-4/file.xml"], zip: w.objects["intake/odm/u-4/attached.zip"]}}
	w.objects["intake/"+doc], w.objects["intake/"+zip] = []byte("<html/>"), []byte("no ZIP")
	event := fmt.Sprintf(`{"source":"aws.s3","detail-type":"Object Created","detail":{"bucket":{"name":"intake"},"object":{"key":%q,"version-id":"1"}}}`, doc)
	if err := im.Handle(t.Context(), []byte(event)); err != nil {
		t.Fatal(err)
	}
	w.left = 40 // a call breaks, so that another worker goes on
	w.run(im)
	if w.job.Status != jobs.Completed || w.job.AttachedVersion != "1" || w.left > 0 {
		t.Errorf("job %+v, %d calls left", w.job, w.left)
	}
	w.settled("replaced", jobs.Completed)
}
