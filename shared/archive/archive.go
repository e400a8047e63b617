// Package archive reads ZIP archives that lie in object storage: by range and never as a whole, and not before they are
// checked against limits (design.md section 8). Names of entries are for looking up and for showing: no path or key is made
// of them.
package archive

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// The limits of an archive. They are checked before anything is unpacked.
const (
	MaxSize    = 2 << 30 // bytes, packed, and unpacked in all
	MaxEntries = 10_000
	maxRatio   = 100 // of an entry's size to its packed size, for entries over ratioFrom
	ratioFrom  = 1 << 20
	maxIndex   = 16 << 20 // bytes of the directory at the end
	maxName    = 255      // bytes of an entry's name
)

// Refused says why an archive is not read: it is damaged, over a limit, or not what it seems. The reason is a part of a
// sentence about the archive for the one who sent it; it may repeat names of entries.
type Refused struct{ Reason string }

// Error is the reason.
func (r *Refused) Error() string { return "the archive is refused: " + r.Reason }

func refused(format string, args ...any) error { return &Refused{fmt.Sprintf(format, args...)} }

// Open reads an archive's directory. The error is *Refused, or that of in.
func Open(in io.ReaderAt, size int64) (*zip.Reader, error) {
	if size > MaxSize {
		return nil, refused("it is larger than 2 GB (2,147,483,648 bytes).")
	}
	if err := checkIndex(in, size); err != nil {
		return nil, err
	}
	z, err := zip.NewReader(within{in}, size)
	if err != nil {
		return nil, begun(err)
	}
	if len(z.File) > MaxEntries {
		return nil, refused("it has more than 10,000 entries.")
	}
	var packed, unpacked uint64
	names := map[string]bool{}
	for _, f := range z.File {
		packed += f.CompressedSize64
		unpacked += f.UncompressedSize64
		folded := strings.ToLower(Composed(f.Name))
		switch {
		case !plainName(f.Name) || f.Mode()&^0o777 != 0 && !f.Mode().IsDir():
			return nil, refused("entry %q is no plain file with a plain name.", short(f.Name))
		case names[folded]:
			return nil, refused("two entries have the name %q.", short(f.Name))
		case strings.EqualFold(path.Ext(f.Name), ".zip"):
			return nil, refused("entry %q is an archive itself.", short(f.Name))
		case f.Flags&1 != 0:
			return nil, refused("entry %q is encrypted.", short(f.Name))
		case f.Method != zip.Store && f.Method != zip.Deflate:
			return nil, refused("entry %q is packed by a method that is not known.", short(f.Name))
		case f.UncompressedSize64 > MaxSize || unpacked > MaxSize:
			return nil, refused("its files are larger than 2 GB (2,147,483,648 bytes) together.")
		case f.UncompressedSize64 > ratioFrom && f.UncompressedSize64 > maxRatio*f.CompressedSize64:
			return nil, refused("entry %q is more than %d times as large as it is packed.", short(f.Name), maxRatio)
		case packed > uint64(size):
			return nil, refused("its entries overlap.")
		}
		names[folded] = true
	}
	return z, nil
}

// Composed is the form in which names of files are compared: macOS writes letters and their accents apart (NFD), other
// systems write them as one (NFC).
func Composed(name string) string { return norm.NFC.String(name) }

// plainName tells whether an entry's name is a path below the archive's root, as every system writes it.
func plainName(name string) bool {
	clean := strings.TrimSuffix(name, "/")
	return clean != "" && clean != "." && len(name) <= maxName && clean == path.Clean(clean) && !path.IsAbs(clean) && clean != ".." &&
		!strings.HasPrefix(clean, "../") && !strings.ContainsAny(name, `\:`) &&
		!strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' })
}

// checkIndex looks at the end of an archive before its directory is read, which costs memory for each entry.
func checkIndex(in io.ReaderAt, size int64) error {
	const length, locator = 22, 20
	tail := make([]byte, min(size, 64<<10+length))
	if _, err := in.ReadAt(tail, size-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	at := bytes.LastIndex(tail, []byte("PK\x05\x06"))
	if at < 0 || len(tail)-at < length {
		return refused("it is no ZIP, or its end is missing.")
	}
	end := tail[at:]
	count, index, start := binary.LittleEndian.Uint16(end[10:]), binary.LittleEndian.Uint32(end[12:]), binary.LittleEndian.Uint32(end[16:])
	switch {
	case count > MaxEntries:
		return refused("it has more than 10,000 entries.")
	case index == 0xFFFF || count == 0xFFFF || start == 0xFFFFFFFF || at >= locator && string(tail[at-locator:][:4]) == "PK\x06\x07":
		// Such an end may point to a longer one, which has numbers of its own. Nothing that is small enough needs it.
		return refused("it is of the form zip64; pack it as a plain ZIP.")
	case index > maxIndex || int64(start)+int64(index) != size-int64(len(tail)-at):
		return refused("its directory is not valid.")
	}
	return countEntries(in, int64(start), int64(index))
}

// countEntries walks over the headers of a directory: the number that the end has is only the rest of one by 65,536.
func countEntries(in io.ReaderAt, at, index int64) error {
	const length = 46
	src := bufio.NewReaderSize(io.NewSectionReader(in, at, index), 64<<10)
	for n := 0; ; n++ {
		head, err := src.Peek(length)
		if errors.Is(err, io.EOF) || err == nil && string(head[:4]) != "PK\x01\x02" {
			return nil // what is wrong with the directory is told when it is read
		}
		if err != nil {
			return err
		}
		if n == MaxEntries {
			return refused("it has more than 10,000 entries.")
		}
		u16 := func(at int) int { return int(binary.LittleEndian.Uint16(head[at:])) }
		if _, err := src.Discard(length + u16(28) + u16(30) + u16(32)); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
}

// Entry streams a file out of its archive.
func Entry(f *zip.File) (io.ReadCloser, error) {
	in, err := f.Open()
	if err != nil {
		return nil, begun(err)
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
		return 0, refused("an entry is larger than the directory says.")
	}
	return n, tell(err)
}

// within is a file that has nothing before its beginning, where the entries of a damaged archive can lie.
type within struct{ io.ReaderAt }

// ReadAt implements io.ReaderAt.
func (w within) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, zip.ErrFormat
	}
	return w.ReaderAt.ReadAt(p, off)
}

// begun is tell where the end of the file is no end that is due: a place that the archive names lies behind it.
func begun(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return tell(err)
}

// tell makes what is wrong with an archive a *Refused.
func tell(err error) error {
	var damaged flate.CorruptInputError
	if errors.Is(err, zip.ErrFormat) || errors.Is(err, zip.ErrChecksum) || errors.Is(err, zip.ErrAlgorithm) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &damaged) {
		// Not wrapped: the end of a file that is cut off must not be taken for that of a short one.
		return refused("it is damaged.")
	}
	return err
}

// Ranged reads an object at any place, a block ahead, so that reading on costs a request for each block.
type Ranged struct {
	Size int64
	// Open reads the bytes [from, to) of the object.
	Open func(from, to int64) (io.ReadCloser, error)

	at    int64
	block []byte
}

const blockSize = 4 << 20

// ReadAt implements io.ReaderAt, for one goroutine.
func (r *Ranged) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		at := off + int64(n)
		if at >= r.Size {
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

func (r *Ranged) load(at int64) error {
	in, err := r.Open(at, min(r.Size, at+blockSize))
	if err != nil {
		return err
	}
	defer in.Close()
	r.at, r.block = at, slices.Grow(r.block[:0], int(min(blockSize, r.Size-at)))
	r.block = r.block[:min(blockSize, r.Size-at)]
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

// short is a name as it is shown.
func short(name string) string {
	const most = 100
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "..."
}
