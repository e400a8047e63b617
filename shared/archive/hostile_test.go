package archive_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"strings"
	"testing"
	"time"

	"aliquot/shared/archive"
)

// file is an entry of an archive.
type file struct {
	name, text string
	mode       fs.FileMode
	method     uint16
}

func pack(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range files {
		h := &zip.FileHeader{Name: f.name, Method: f.method}
		if f.mode != 0 {
			h.SetMode(f.mode)
		}
		w, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.text); err != nil && !strings.HasSuffix(f.name, "/") {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// changed is an archive with numbers of its directory's first entry, or of its end, overwritten.
func changed(b []byte, signature string, at int, number any) []byte {
	b = bytes.Clone(b)
	_, err := binary.Encode(b[bytes.LastIndex(b, []byte(signature))+at:], binary.LittleEndian, number)
	if err != nil {
		panic(err)
	}
	return b
}

const entry, end = "PK\x01\x02", "PK\x05\x06"

// zip64 is an archive whose end sends the reader to another one, with numbers of 64 bits.
func zip64(b []byte) []byte {
	at := bytes.LastIndex(b, []byte(end))
	tail := bytes.Clone(b[at:])
	binary.LittleEndian.PutUint16(tail[12:], 0xffff) // the low half of the directory's size
	binary.LittleEndian.PutUint16(tail[14:], 0)
	record := make([]byte, 56)
	copy(record, "PK\x06\x06")
	binary.LittleEndian.PutUint64(record[4:], 44)
	binary.LittleEndian.PutUint64(record[24:], 1<<40)
	binary.LittleEndian.PutUint64(record[32:], 1<<40)
	binary.LittleEndian.PutUint64(record[40:], uint64(at))
	locator := make([]byte, 20)
	copy(locator, "PK\x06\x07")
	binary.LittleEndian.PutUint64(locator[8:], uint64(at))
	binary.LittleEndian.PutUint32(locator[16:], 1)
	return bytes.Join([][]byte{b[:at], record, locator, tail}, nil)
}

// What is not an archive of plain files is refused before anything of it is unpacked, soon and in little memory.
func TestHostileArchives(t *testing.T) {
	plain := pack(t, file{name: "a.txt", text: "some text", method: zip.Deflate})
	many := make([]file, archive.MaxEntries+1)
	for i := range many {
		many[i].name = fmt.Sprint(i)
	}
	crowd := pack(t, many...)
	name := func(names ...string) []byte {
		var files []file
		for _, n := range names {
			files = append(files, file{name: n, text: "x"})
		}
		return pack(t, files...)
	}
	zeros := pack(t, file{name: "zeros", text: strings.Repeat("\x00", 8<<20), method: zip.Deflate})
	for what, test := range map[string]struct {
		zip  []byte
		want string
	}{
		"nothing":                    {nil, "no ZIP"},
		"no archive":                 {[]byte("<ODM/>"), "no ZIP"},
		"cut off":                    {plain[:len(plain)-1], "no ZIP"},
		"without its directory":      {plain[bytes.LastIndex(plain, []byte(end)):], "directory"},
		"a thousand to one":          {zeros, "more than 100 times"},
		"too many entries":           {crowd, "more than 10,000"},
		"lies about entries":         {changed(crowd, end, 10, uint16(1)), "more than 10,000"},
		"another archive":            {pack(t, file{name: "in/more.ZIP", text: "x"}), "archive itself"},
		"lies about the directory":   {changed(plain, end, 12, uint32(64<<20)), "directory"},
		"directory beyond the end":   {changed(plain, end, 16, uint32(1<<30)), "directory"},
		"2 GB by its word":           {changed(plain, entry, 24, uint32(1<<31+1)), "larger than 2 GB"},
		"larger than it is, packed":  {changed(plain, entry, 20, uint32(1<<30)), "overlap"},
		"directory of 64 bits":       {zip64(plain), "zip64"},
		"encrypted":                  {changed(plain, entry, 8, uint16(1)), "encrypted"},
		"an unknown method":          {changed(plain, entry, 10, uint16(12)), "method"},
		"up":                         {name("../a.txt"), "plain name"},
		"up and down":                {name("a/../../b.txt"), "plain name"},
		"absolute":                   {name("/etc/passwd"), "plain name"},
		"a drive":                    {name(`C:\a.txt`), "plain name"},
		"a stream":                   {name("a.txt:b"), "plain name"},
		"backslash":                  {name(`a\b.txt`), "plain name"},
		"doubled slash":              {name("a//b.txt"), "plain name"},
		"itself":                     {name("."), "plain name"},
		"no name":                    {name(""), "plain name"},
		"NUL":                        {name("a\x00.txt"), "plain name"},
		"line break":                 {name("a\n.txt"), "plain name"},
		"not UTF-8 by its word":      {name("a\uFFFD.txt"), "plain name"},
		"a long name":                {name(strings.Repeat("x", 256)), "plain name"},
		"a link":                     {pack(t, file{name: "a", text: "/etc/passwd", mode: fs.ModeSymlink | 0o777}), "no plain file"},
		"a device":                   {pack(t, file{name: "a", mode: fs.ModeDevice | 0o666}), "no plain file"},
		"a pipe":                     {pack(t, file{name: "a", mode: fs.ModeNamedPipe | 0o666}), "no plain file"},
		"set user id":                {pack(t, file{name: "a", mode: fs.ModeSetuid | 0o755}), "no plain file"},
		"two of a name":              {name("a", "b", "a"), "two entries"},
		"two of a name but for case": {name("Scan.pdf", "scan.PDF"), "two entries"},
		"two of a name but for form": {name("scan\u00e9.pdf", "scane\u0301.pdf"), "two entries"},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		_, err := archive.Open(bytes.NewReader(test.zip), int64(len(test.zip)))
		took := time.Since(began)
		runtime.ReadMemStats(&after)
		var refused *archive.Refused
		if !errors.As(err, &refused) || !strings.Contains(refused.Reason, test.want) {
			t.Errorf("%s: %v, want %q", what, err, test.want)
		}
		if got := after.TotalAlloc - before.TotalAlloc; took > 2*time.Second || got > 64<<20 {
			t.Errorf("%s: %v, %d MiB", what, took, got>>20)
		}
	}
	if _, err := archive.Open(bytes.NewReader(plain), archive.MaxSize+1); err == nil || !strings.Contains(err.Error(), "larger than 2 GB") {
		t.Errorf("a large one: %v", err)
	}
}

func TestEntriesOfPlainArchives(t *testing.T) {
	var b strings.Builder
	for i := range 300_000 {
		fmt.Fprint(&b, i)
	}
	long := b.String()
	packed := pack(t, file{name: "folder/"}, file{name: "folder/ä b.txt", text: "stored"}, file{name: "c.bin", text: long, method: zip.Deflate}, file{name: "..data"})
	z, err := archive.Open(bytes.NewReader(packed), int64(len(packed)))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range z.File {
		in, err := archive.Entry(f)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err := errors.Join(err, in.Close()); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
		got[f.Name] = string(text)
	}
	if len(got) != 4 || got["folder/ä b.txt"] != "stored" || got["c.bin"] != long || got["..data"] != "" {
		t.Errorf("%d entries", len(got))
	}
}

// An entry that is not what the directory says is refused while it is read, and never taken for a shorter one.
func TestEntriesThatAreNotAsTheySeem(t *testing.T) {
	text := strings.Repeat("some text, ", 1000)
	whole := pack(t, file{name: "a", text: text, method: zip.Deflate})
	stored := pack(t, file{name: "a", text: text})
	body := bytes.Index(whole, []byte("a")) + 1
	damaged := bytes.Clone(whole)
	copy(damaged[body:], "\xff\xff\xff\xff")
	turned := bytes.Clone(stored)
	turned[body+500] ^= 1
	for what, b := range map[string][]byte{
		"larger than it says":  changed(whole, entry, 24, uint32(len(text)-1)),
		"smaller than it says": changed(whole, entry, 24, uint32(len(text)+1)),
		"no flate":             damaged,
		"another text":         turned,
		"another checksum":     changed(whole, entry, 16, uint32(7)),
		"elsewhere":            changed(whole, entry, 42, uint32(5)),
	} {
		z, err := archive.Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		in, err := archive.Entry(z.File[0])
		if err == nil {
			_, err = io.Copy(io.Discard, in)
		}
		var refused *archive.Refused
		if !errors.As(err, &refused) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

var errBroken = errors.New("the connection broke")

// A service that fails is no damaged archive: what it says comes through, and reading can be tried again.
func TestRanged(t *testing.T) {
	b := pack(t, file{name: "a", text: strings.Repeat("x", 9<<20)}, file{name: "b", text: "y"})
	calls, fail := 0, 0
	short := false
	in := &archive.Ranged{Size: int64(len(b)), Open: func(from, to int64) (io.ReadCloser, error) {
		calls++
		if calls == fail {
			return nil, errBroken
		}
		if short {
			to--
		}
		return io.NopCloser(bytes.NewReader(b[from:to])), nil
	}}
	z, err := archive.Open(in, in.Size)
	if err != nil {
		t.Fatal(err)
	}
	read := func() (int64, error) {
		f, err := archive.Entry(z.File[0])
		if err != nil {
			return 0, err
		}
		return io.Copy(io.Discard, f)
	}
	calls = 0
	if n, err := read(); n != 9<<20 || err != nil || calls > 4 {
		t.Errorf("%d bytes in %d calls, %v", n, calls, err)
	}
	var refused *archive.Refused
	calls, fail = 0, 2
	if _, err := read(); !errors.Is(err, errBroken) || errors.As(err, &refused) {
		t.Errorf("a call that failed: %v", err)
	}
	calls, fail, short = 0, 0, true
	if _, err := read(); err == nil || errors.As(err, &refused) {
		t.Errorf("an object that became shorter: %v", err)
	}
	short = false
	if n, err := read(); n != 9<<20 || err != nil {
		t.Errorf("tried again: %d bytes, %v", n, err)
	}
}

// FuzzOpen: whatever the bytes, an archive is refused or gives plain names and no more than it promises, and nothing panics.
func FuzzOpen(f *testing.F) {
	plain := pack(f, file{name: "folder/a.txt", text: "some text", method: zip.Deflate}, file{name: "b", text: "x"})
	f.Add(plain)
	f.Add(zip64(plain))
	f.Add(changed(plain, entry, 24, uint32(1<<30)))
	f.Add(plain[:len(plain)/2])
	f.Fuzz(func(t *testing.T, b []byte) {
		z, err := archive.Open(bytes.NewReader(b), int64(len(b)))
		var refused *archive.Refused
		if err != nil {
			if !errors.As(err, &refused) {
				t.Fatalf("not refused: %v", err)
			}
			return
		}
		seen := map[string]bool{}
		for _, e := range z.File {
			folded := strings.ToLower(e.Name)
			if !fs.ValidPath(strings.TrimSuffix(e.Name, "/")) || seen[folded] {
				t.Fatalf("taken: %q", e.Name)
			}
			seen[folded] = true
			in, err := archive.Entry(e)
			n := int64(0)
			if err == nil {
				n, err = io.Copy(io.Discard, in)
			}
			if err != nil && !errors.As(err, &refused) || uint64(n) > e.UncompressedSize64 {
				t.Fatalf("%q: %d bytes, %v", e.Name, n, err)
			}
		}
	})
}
