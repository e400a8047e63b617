package csvimport

import (
	"archive/zip"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"aliquot/shared/archive"
	"aliquot/shared/biobank"
	"aliquot/shared/csvfile"
	"aliquot/shared/fault"
	"aliquot/shared/jobs"
)

// A dropped ZIP is a job of its own, which makes a job of each file in it; those then run in the order of their stamps and
// names, as if they had been dropped. The archive is read by range and never as a whole; an entry is streamed into the
// job's own copy of its input. Names of entries are for looking up and for showing: no path or key is made of them.

// typeArchive is the object type of the job of a ZIP.
const typeArchive = "zip"

func isArchive(name string) bool { return strings.EqualFold(path.Ext(name), ".zip") }

func badArchive(format string, args ...any) error {
	return fault.New("IMPORT_JOB_INV_FILE", "The ZIP archive cannot be read: "+format+" Unpack it and drop the CSV files in it.", args...)
}

// unpack makes the jobs of the files in an archive, and ends the archive's own. Until then, being the first of the owner's
// files, it holds all others up.
func (im *Importer) unpack(ctx context.Context, j *jobs.Job) error {
	entries, err := im.entries(ctx, j)
	switch {
	case errors.Is(err, jobs.ErrNoFile):
		err = errFileGone
		fallthrough
	case fault.All(err) != nil:
		return im.failJob(ctx, j, fault.Row(err))
	case err != nil:
		return fmt.Errorf("unpack job %d: %w", j.ID, err)
	}
	report := csvfile.AppendStrings(nil, ',', "FILE", "JOB", columnStatus, columnMessage)
	held := &hold{im: im, job: j, renewed: im.Now()}
	j.Total, j.Done, j.FailedRows = int64(len(entries)), int64(len(entries)), 0
	for _, e := range entries {
		if err := im.Jobs.Create(ctx, e); err != nil && !errors.Is(err, jobs.ErrEnded) {
			return fmt.Errorf("create job of an entry: %w", err)
		}
		status := statusSuccess
		if e.Reason != "" && e.ObjectType == typeUnknown {
			status = statusFail
			j.FailedRows++
		}
		report = csvfile.AppendStrings(report, ',', e.FileName, strconv.FormatInt(e.ID, 10), status, e.Reason)
		if err := held.renew(ctx); err != nil {
			return leaseGone(err)
		}
	}
	j.Report = reportKey(j.ID, j.Fence)
	if err := im.Files.Put(ctx, im.Config.Results, j.Report, report); err != nil {
		return fmt.Errorf("store report of job %d: %w", j.ID, err)
	}
	j.Status, j.EndedAt = jobs.Completed, im.Now()
	if j.FailedRows > 0 {
		j.Status = jobs.Failed
	}
	return leaseGone(im.end(ctx, j))
}

// entries are the jobs of the files in an archive, in their order. A name that is not valid makes a job that is refused.
func (im *Importer) entries(ctx context.Context, j *jobs.Job) ([]*jobs.Job, error) {
	z, err := im.openArchive(ctx, j)
	if err != nil {
		return nil, err
	}
	var out []*jobs.Job
	for _, f := range z.File {
		base := path.Base(f.Name)
		if strings.HasSuffix(f.Name, "/") || strings.HasPrefix(f.Name, "__MACOSX/") || strings.HasPrefix(base, ".") {
			continue // folders, and what macOS adds
		}
		e := &jobs.Job{
			ObjectType: typeUnknown, ImportType: string(biobank.Create), CSVType: j.CSVType, Total: -1,
			Owner: j.Owner, OwnerID: j.OwnerID, CreatedAt: j.CreatedAt, Params: map[string]string{},
			Bucket: j.Bucket, Key: j.Key, Version: j.Version, Entry: f.Name, FileName: short(f.Name), Drop: true, Stamp: refusedStamp,
		}
		if d, err := ParseFileName(base); err != nil {
			e.Reason = fault.Row(err)
		} else {
			e.ObjectType, e.ImportType, e.Stamp, e.Params = d.ObjectType, string(d.Op), d.Stamp, d.Params
		}
		out = append(out, e)
	}
	if len(out) == 0 {
		return nil, badArchive("there is no file in it.")
	}
	slices.SortFunc(out, func(a, b *jobs.Job) int {
		return cmp.Or(strings.Compare(a.Stamp, b.Stamp), strings.Compare(a.FileName, b.FileName))
	})
	return out, nil
}

// openArchive reads an archive's directory and refuses one that is over a limit, or not what it seems.
func (im *Importer) openArchive(ctx context.Context, j *jobs.Job) (*zip.Reader, error) {
	size, err := im.Files.Size(ctx, j.Bucket, j.Key, j.Version)
	if err != nil {
		return nil, err
	}
	z, err := archive.Open(&archive.Ranged{Size: size, Open: func(from, to int64) (io.ReadCloser, error) {
		return im.Files.Open(ctx, j.Bucket, j.Key, j.Version, from, to)
	}}, size)
	return z, tellArchive(err)
}

// openEntry streams a file out of its archive.
func (im *Importer) openEntry(ctx context.Context, j *jobs.Job) (io.ReadCloser, error) {
	z, err := im.openArchive(ctx, j)
	if err != nil {
		return nil, err
	}
	for _, f := range z.File {
		if f.Name == j.Entry {
			in, err := archive.Entry(f)
			if err != nil {
				return nil, tellArchive(err)
			}
			return entryReader{in}, nil
		}
	}
	return nil, badArchive("entry %q is not in it.", short(j.Entry))
}

// entryReader tells what is wrong with an entry as a fault of the job's.
type entryReader struct{ io.ReadCloser }

func (r entryReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	return n, tellArchive(err)
}

// tellArchive makes what is wrong with an archive a fault of the job's.
func tellArchive(err error) error {
	var r *archive.Refused
	if errors.As(err, &r) {
		return badArchive("%s", r.Reason)
	}
	return err
}
