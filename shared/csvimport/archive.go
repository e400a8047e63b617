package csvimport

import (
	"archive/zip"
	"bytes"
	"cmp"
	"compress/flate"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

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

// The limits of an archive (design.md section 8). They are checked before anything is unpacked.
const (
	maxArchive      = 2 << 30 // bytes, packed, and unpacked in all
	maxRatio        = 100     // of an entry's size to its packed size, for entries over ratioFrom
	ratioFrom       = 1 << 20
	maxEntries      = 10_000
	maxArchiveIndex = 16 << 20 // bytes of the directory at the end
)

func isArchive(name string) bool { return strings.EqualFold(path.Ext(name), ".zip") }

func badArchive(format string, args ...any) error {
	return fault.New("IMPORT_JOB_INV_FILE", "The ZIP archive cannot be read: "+format+" Unpack it and drop the CSV files in it.", args...)
}

// unpack makes the jobs of the files in an archive, and ends the archive's own. Until then, being the first of the owner's
// files, it holds all others up.
func (im *Importer) unpack(ctx context.Context, j *jobs.Job) error {
	entries, err := im.entries(ctx, j)
	switch {
	case errors.Is(err, ErrNoFile):
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
	if size > maxArchive {
		return nil, badArchive("it is larger than 2 GB (2,147,483,648 bytes).")
	}
	in := &rangeReader{ctx: ctx, files: im.Files, bucket: j.Bucket, key: j.Key, version: j.Version, size: size}
	if err := checkIndex(in, size); err != nil {
		return nil, err
	}
	z, err := zip.NewReader(in, size)
	if err != nil {
		return nil, tellArchive(err)
	}
	if len(z.File) > maxEntries {
		return nil, badArchive("it has more than 10,000 entries.")
	}
	var packed, unpacked uint64
	names := map[string]bool{}
	for _, f := range z.File {
		packed += f.CompressedSize64
		unpacked += f.UncompressedSize64
		folded := strings.ToLower(f.Name)
		switch {
		case !plainName(f.Name) || f.Mode()&^0o777 != 0 && !f.Mode().IsDir():
			return nil, badArchive("entry %q is no plain file with a plain name.", short(f.Name))
		case names[folded]:
			return nil, badArchive("two entries have the name %q.", short(f.Name))
		case isArchive(f.Name):
			return nil, badArchive("entry %q is an archive itself.", short(f.Name))
		case f.Flags&1 != 0:
			return nil, badArchive("entry %q is encrypted.", short(f.Name))
		case f.Method != zip.Store && f.Method != zip.Deflate:
			return nil, badArchive("entry %q is packed by a method that is not known.", short(f.Name))
		case f.UncompressedSize64 > maxArchive || unpacked > maxArchive:
			return nil, badArchive("its files are larger than 2 GB (2,147,483,648 bytes) together.")
		case f.UncompressedSize64 > ratioFrom && f.UncompressedSize64 > maxRatio*f.CompressedSize64:
			return nil, badArchive("entry %q is more than %d times as large as it is packed.", short(f.Name), maxRatio)
		case packed > uint64(size):
			return nil, badArchive("its entries overlap.")
		}
		names[folded] = true
	}
	return z, nil
}

// plainName tells whether an entry's name is a path below the archive's root, as every system writes it.
func plainName(name string) bool {
	clean := strings.TrimSuffix(name, "/")
	return clean != "" && len(name) <= maxFileName && clean == path.Clean(clean) && !path.IsAbs(clean) && clean != ".." &&
		!strings.HasPrefix(clean, "../") && !strings.ContainsAny(name, `\:`) &&
		!strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' })
}

// checkIndex looks at the end of an archive before its directory is read, which costs memory for each entry.
func checkIndex(in io.ReaderAt, size int64) error {
	const length = 22
	tail := make([]byte, min(size, 64<<10+length))
	if _, err := in.ReadAt(tail, size-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	at := bytes.LastIndex(tail, []byte("PK\x05\x06"))
	if at < 0 || len(tail)-at < length {
		return badArchive("it is no ZIP, or its end is missing.")
	}
	end := tail[at:]
	count, index, start := binary.LittleEndian.Uint16(end[10:]), binary.LittleEndian.Uint32(end[12:]), binary.LittleEndian.Uint32(end[16:])
	switch {
	case count > maxEntries:
		return badArchive("it has more than 10,000 entries.")
	case index > maxArchiveIndex || size-int64(start) > maxArchiveIndex+int64(len(tail)) || int64(start) > size:
		return badArchive("its directory is not valid.")
	}
	return nil
}

// openEntry streams a file out of its archive.
func (im *Importer) openEntry(ctx context.Context, j *jobs.Job) (io.ReadCloser, error) {
	z, err := im.openArchive(ctx, j)
	if err != nil {
		return nil, err
	}
	for _, f := range z.File {
		if f.Name == j.Entry {
			in, err := f.Open()
			if err != nil {
				return nil, tellArchive(err)
			}
			return entryReader{in, &io.LimitedReader{R: in, N: int64(f.UncompressedSize64) + 1}}, nil
		}
	}
	return nil, badArchive("entry %q is not in it.", short(j.Entry))
}

// entryReader reads no more of an entry than its directory promises.
type entryReader struct {
	io.Closer
	in *io.LimitedReader
}

func (r entryReader) Read(p []byte) (int, error) {
	n, err := r.in.Read(p)
	if r.in.N == 0 {
		return 0, badArchive("an entry is larger than the directory says.")
	}
	return n, tellArchive(err)
}

// tellArchive makes what is wrong with an archive a fault of the job's.
func tellArchive(err error) error {
	var damaged flate.CorruptInputError
	if errors.Is(err, zip.ErrFormat) || errors.Is(err, zip.ErrChecksum) || errors.Is(err, zip.ErrAlgorithm) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &damaged) {
		// Not wrapped: the end of a file that is cut off must not be taken for that of a short one.
		return fault.New("IMPORT_JOB_INV_FILE", "The ZIP archive is damaged. Drop it again, or unpack it and drop the CSV files in it.")
	}
	return err
}

// rangeReader reads an object at any place, a block ahead, so that reading on costs a request for each block.
type rangeReader struct {
	ctx                  context.Context
	files                Files
	bucket, key, version string
	size                 int64

	at    int64
	block []byte
}

const archiveBlock = 4 << 20

// ReadAt implements io.ReaderAt, for one goroutine.
func (r *rangeReader) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		at := off + int64(n)
		if at >= r.size {
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

func (r *rangeReader) load(at int64) error {
	in, err := r.files.Open(r.ctx, r.bucket, r.key, r.version, at, min(r.size, at+archiveBlock))
	if err != nil {
		return err
	}
	defer in.Close()
	r.at, r.block = at, slices.Grow(r.block[:0], int(min(archiveBlock, r.size-at)))
	r.block = r.block[:min(archiveBlock, r.size-at)]
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
