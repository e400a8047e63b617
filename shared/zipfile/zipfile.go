// Package zipfile opens ZIP archives that strangers send: by range, so that nothing is unpacked to look at one, and within
// limits that are checked before anything of it is.
//
// Names of entries are for looking up and for showing: no path or key is made of them.
package zipfile

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// The limits of an archive (design.md section 8).
const (
	MaxSize    = 2 << 30 // bytes, packed, and unpacked in all
	MaxRatio   = 100     // of an entry's size to its packed size, for entries over ratioFrom
	MaxEntries = 10_000

	ratioFrom = 1 << 20
	maxIndex  = 16 << 20 // bytes of the directory at the end
	maxName   = 255      // bytes of an entry's name
)

// Refusal is why an archive is not taken: a sentence without its subject, such as "it is no ZIP, or its end is missing.",
// which may name an entry.
type Refusal struct{ Reason string }

// Error is the reason.
func (r *Refusal) Error() string { return r.Reason }

// ErrDamaged means that an archive, or an entry, is not what its directory says.
var ErrDamaged = errors.New("the ZIP archive is damaged")

func refuse(format string, args ...any) error { return &Refusal{fmt.Sprintf(format, args...)} }

// Open reads the directory of an archive of the given size. It returns a *Refusal for one that is over a limit or not what
// it seems: with names that are no plain paths, two of one name in whatever case, or what is encrypted; ErrDamaged for one
// that cannot be read; and the errors of in.
func Open(in io.ReaderAt, size int64) (*zip.Reader, error) {
	if size > MaxSize {
		return nil, refuse("it is larger than 2 GB (2,147,483,648 bytes).")
	}
	if err := checkIndex(in, size); err != nil {
		return nil, err
	}
	z, err := zip.NewReader(in, size)
	if err != nil {
		return nil, damaged(err)
	}
	if len(z.File) > MaxEntries {
		return nil, refuse("it has more than 10,000 entries.")
	}
	var packed, unpacked uint64
	names := map[string]bool{}
	for _, f := range z.File {
		packed += f.CompressedSize64
		unpacked += f.UncompressedSize64
		folded := strings.ToLower(f.Name)
		switch {
		case !plainName(f.Name) || f.Mode()&^0o777 != 0 && !f.Mode().IsDir():
			return nil, refuse("entry %q is no plain file with a plain name.", Short(f.Name))
		case names[folded]:
			return nil, refuse("two entries have the name %q.", Short(f.Name))
		case f.Flags&1 != 0:
			return nil, refuse("entry %q is encrypted.", Short(f.Name))
		case f.Method != zip.Store && f.Method != zip.Deflate:
			return nil, refuse("entry %q is packed by a method that is not known.", Short(f.Name))
		case f.UncompressedSize64 > MaxSize || unpacked > MaxSize:
			return nil, refuse("its files are larger than 2 GB (2,147,483,648 bytes) together.")
		case f.UncompressedSize64 > ratioFrom && f.UncompressedSize64 > MaxRatio*f.CompressedSize64:
			return nil, refuse("entry %q is more than %d times as large as it is packed.", Short(f.Name), MaxRatio)
		case packed > uint64(size):
			return nil, refuse("its entries overlap.")
		}
		names[folded] = true
	}
	return z, nil
}

// Ignored tells of entries that are no files of the sender's: folders, and what macOS adds.
func Ignored(f *zip.File) bool {
	return strings.HasSuffix(f.Name, "/") || strings.HasPrefix(f.Name, "__MACOSX/") || strings.HasPrefix(path.Base(f.Name), ".")
}

// Short is an entry's name for showing.
func Short(name string) string {
	if len(name) > maxName {
		return strings.ToValidUTF8(name[:maxName], "")
	}
	return name
}

// plainName tells whether an entry's name is a path below the archive's root, as every system writes it.
func plainName(name string) bool {
	clean := strings.TrimSuffix(name, "/")
	return clean != "" && len(name) <= maxName && clean == path.Clean(clean) && !path.IsAbs(clean) && clean != ".." &&
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
		return refuse("it is no ZIP, or its end is missing.")
	}
	end := tail[at:]
	count, index, start := binary.LittleEndian.Uint16(end[10:]), binary.LittleEndian.Uint32(end[12:]), binary.LittleEndian.Uint32(end[16:])
	switch {
	case count > MaxEntries:
		return refuse("it has more than 10,000 entries.")
	case index > maxIndex || size-int64(start) > maxIndex+int64(len(tail)) || int64(start) > size:
		return refuse("its directory is not valid.")
	}
	return nil
}

// OpenEntry streams an entry. Reading gives a *Refusal for one that is larger than the directory says, ErrDamaged for one
// that is not whole.
func OpenEntry(f *zip.File) (io.ReadCloser, error) {
	in, err := f.Open()
	if err != nil {
		return nil, damaged(err)
	}
	return entryReader{in, &io.LimitedReader{R: in, N: int64(f.UncompressedSize64) + 1}}, nil
}

// entryReader reads no more of an entry than its directory promises.
type entryReader struct {
	io.Closer
	in *io.LimitedReader
}

func (r entryReader) Read(p []byte) (int, error) {
	n, err := r.in.Read(p)
	if r.in.N == 0 {
		return 0, refuse("an entry is larger than the directory says.")
	}
	return n, damaged(err)
}

// damaged is ErrDamaged for what zip finds wrong with an archive.
func damaged(err error) error {
	var corrupt flate.CorruptInputError
	if errors.Is(err, zip.ErrFormat) || errors.Is(err, zip.ErrChecksum) || errors.Is(err, zip.ErrAlgorithm) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &corrupt) {
		// Not wrapped: the end of a file that is cut off must not be taken for that of a short one.
		return ErrDamaged
	}
	return err
}
