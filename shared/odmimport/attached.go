package odmimport

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"aliquot/shared/archive"
	"aliquot/shared/fault"
	"aliquot/shared/jobs"
)

// attached are the files that came along with an import, by base name (section 2.2). They are read out of the archive as
// it lies, and never unpacked.
type attached struct {
	im    *Importer
	files map[string]*zip.File
}

// attached opens the archive of a job; a job without one has no files.
func (im *Importer) attached(ctx context.Context, j *jobs.Job) (*attached, error) {
	a := &attached{im: im}
	if j.Attached == "" {
		return a, nil
	}
	size, err := im.Files.Size(ctx, j.Bucket, j.Attached, "")
	if err != nil {
		return nil, err
	}
	z, err := archive.Open(&archive.Ranged{Size: size, Open: func(from, to int64) (io.ReadCloser, error) {
		return im.Files.Open(ctx, j.Bucket, j.Attached, "", from, to)
	}}, size)
	if err != nil {
		return nil, refusedZip(err)
	}
	a.files, err = ByBaseName(z)
	return a, err
}

// ByBaseName finds the files of an archive by their names without folders. Two of one name are a fault.
func ByBaseName(z *zip.Reader) (map[string]*zip.File, error) {
	files := map[string]*zip.File{}
	for _, f := range z.File {
		base := path.Base(f.Name)
		if strings.HasSuffix(f.Name, "/") || strings.HasPrefix(f.Name, "__MACOSX/") || strings.HasPrefix(base, ".") {
			continue // folders, and what macOS adds
		}
		if files[base] != nil {
			return nil, fault.New("fileFormatNotSupported", "Two of the attached files have one name. Give each file its own name.")
		}
		files[base] = f
	}
	return files, nil
}

// refusedZip makes what is wrong with an archive a fault of the job's.
func refusedZip(err error) error {
	var r *archive.Refused
	if errors.As(err, &r) {
		return fault.New("fileFormatNotSupported", "The ZIP of attached files cannot be read: %s", r.Reason)
	}
	return err
}

func (a *attached) has(name string) bool { return a.files[name] != nil }

// store copies a file to where the item's value will find it. Done again it stores the same.
func (a *attached) store(ctx context.Context, name, key string) error {
	f := a.files[name]
	if f == nil {
		return fmt.Errorf("an attached file is gone from its archive")
	}
	in, err := archive.Entry(f)
	if err != nil {
		return refusedZip(err)
	}
	defer in.Close()
	out := a.im.Files.Create(ctx, a.im.Config.Results, key, "application/octet-stream")
	if _, err := io.Copy(out, in); err != nil {
		return refusedZip(errors.Join(err, out.Abort()))
	}
	return out.Close()
}
