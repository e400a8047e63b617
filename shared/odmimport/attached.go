package odmimport

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"aliquot/shared/archive"
	"aliquot/shared/clinical"
	"aliquot/shared/fault"
	"aliquot/shared/jobs"
)

// attached are the files that came along with an import, by base name (section 2.2). They are read out of the archive as
// it lies, and never unpacked. It implements clinical.Attachments.
type attached struct {
	im    *Importer
	files Named
	// below is what the keys of the files begin with; kept are those that were stored, or found to be damaged.
	below string
	kept  map[string]bool
}

// attached opens the archive of a job, in the version that was there when the job began; a job without one has no files.
func (im *Importer) attached(ctx context.Context, j *jobs.Job, study int64) (*attached, error) {
	a := &attached{im: im, below: fmt.Sprintf("attached/%d/%s/", study, j.UUID), kept: map[string]bool{}}
	if j.Attached == "" {
		return a, nil
	}
	size, err := im.Files.Size(ctx, j.Bucket, j.Attached, j.AttachedVersion)
	if err != nil {
		return nil, err
	}
	z, err := archive.Open(&archive.Ranged{Size: size, Open: func(from, to int64) (io.ReadCloser, error) {
		return im.Files.Open(ctx, j.Bucket, j.Attached, j.AttachedVersion, from, to)
	}}, size)
	if err != nil {
		return nil, refusedZip(err)
	}
	a.files, err = ByBaseName(z)
	return a, err
}

// Named are the files of an archive by their names without folders.
type Named map[string]*zip.File

// File is the file of a name, nil for none.
func (n Named) File(name string) *zip.File { return n[archive.Composed(name)] }

// ByBaseName finds the files of an archive. Two of one name are a fault.
func ByBaseName(z *zip.Reader) (Named, error) {
	files := Named{}
	for _, f := range z.File {
		base := archive.Composed(path.Base(f.Name))
		if strings.HasSuffix(f.Name, "/") || strings.HasPrefix(f.Name, "__MACOSX/") || strings.HasPrefix(base, ".") {
			continue // folders, and what macOS adds
		}
		if files[base] != nil {
			return nil, fault.New(clinical.FileFormatNotSupported.Wire(), "Two of the attached files have one name. Give each file its own name.")
		}
		files[base] = f
	}
	return files, nil
}

// refusedZip makes what is wrong with an archive a fault of the job's.
func refusedZip(err error) error {
	var r *archive.Refused
	if errors.As(err, &r) {
		return fault.New(clinical.FileFormatNotSupported.Wire(), "The ZIP of attached files cannot be read: %s", r.Reason)
	}
	return err
}

// Key implements clinical.Attachments. Files are told apart by name, size and checksum, as the archive's directory has them
// and unpacking proves them; each lies once for a job, whoever's values name it. No name is part of a key. The reference would
// have another place (section 3.7); infra/decisions/attached-files.md has the reasons.
func (a *attached) Key(name string) string {
	f := a.files.File(name)
	if f == nil {
		return ""
	}
	sum := sha256.Sum256([]byte(archive.Composed(name)))
	return fmt.Sprintf("%s%x-%d-%08x", a.below, sum[:16], f.UncompressedSize64, f.CRC32)
}

// copyRate is how many bytes of a file a second are copied at the least.
const copyRate = 8 << 20

// Keep implements clinical.Attachments. A file for which the function's time is too short is left to the next one.
func (a *attached) Keep(ctx context.Context, name string) (whole bool, err error) {
	if whole, known := a.kept[name]; known {
		return whole, nil
	}
	f, key := a.files.File(name), a.Key(name)
	_, err = a.im.Files.Size(ctx, a.im.Config.Results, key, "")
	switch {
	case err == nil:
		whole = true // an earlier worker has stored it
	case !errors.Is(err, jobs.ErrNoFile):
		return false, err
	default:
		if whole, err = a.copy(ctx, f, key); err != nil {
			return false, err
		}
	}
	a.kept[name] = whole
	return whole, nil
}

func (a *attached) copy(ctx context.Context, f *zip.File, key string) (whole bool, err error) {
	takes := margin + time.Duration(f.UncompressedSize64/copyRate)*time.Second
	if until, ok := ctx.Deadline(); ok && until.Sub(a.im.Now()) < takes {
		return false, errMoreTime
	}
	out := a.im.Files.Create(ctx, a.im.Config.Results, key, "application/octet-stream")
	in, err := archive.Entry(f)
	if err == nil {
		_, err = io.Copy(out, in)
		err = errors.Join(err, in.Close())
	}
	var damaged *archive.Refused
	if errors.As(err, &damaged) {
		return false, out.Abort()
	}
	if err != nil {
		return false, errors.Join(err, out.Abort())
	}
	return true, out.Close()
}
