package archive

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

// packed is an archive of empty files.
func packed(t *testing.T, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := range n {
		if _, err := z.Create(fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// lying is an archive of n headers whose end says other numbers, with an end of the form zip64 before it or not.
func lying(n int, long bool, count uint16, index, start uint32) []byte {
	var b bytes.Buffer
	b.WriteString("PK\x03\x04")
	dir := b.Len()
	header := make([]byte, 46+1)
	copy(header, "PK\x01\x02")
	binary.LittleEndian.PutUint16(header[28:], 1)
	header[46] = 'a'
	b.Write(bytes.Repeat(header, n))
	at := b.Len()
	if long {
		end := make([]byte, 56+20)
		copy(end, "PK\x06\x06")
		binary.LittleEndian.PutUint64(end[4:], 44)
		binary.LittleEndian.PutUint64(end[24:], uint64(n))
		binary.LittleEndian.PutUint64(end[32:], uint64(n))
		binary.LittleEndian.PutUint64(end[40:], uint64(at-dir))
		binary.LittleEndian.PutUint64(end[48:], uint64(dir))
		copy(end[56:], "PK\x06\x07")
		binary.LittleEndian.PutUint64(end[64:], uint64(at))
		binary.LittleEndian.PutUint32(end[72:], 1)
		b.Write(end)
	}
	if start == 0 {
		start = uint32(dir)
	}
	if index == 0 {
		index = uint32(at - dir)
	}
	end := make([]byte, 22)
	copy(end, "PK\x05\x06")
	binary.LittleEndian.PutUint16(end[8:], count)
	binary.LittleEndian.PutUint16(end[10:], count)
	binary.LittleEndian.PutUint32(end[12:], index)
	binary.LittleEndian.PutUint32(end[16:], start)
	b.Write(end)
	return b.Bytes()
}

// An archive with too many entries is refused before they cost memory, whatever its end says.
func TestTooManyEntries(t *testing.T) {
	const many = 300_000 // some 14 MB of directory
	for name, body := range map[string][]byte{
		"zip64 by the size of the directory": lying(many, true, 1, 0xFFFF, many*47),
		"zip64 by the count":                 lying(many, true, 0xFFFF, 0, 0),
		"zip64 by the offset":                lying(many, true, 1, 0, 0xFFFFFFFF),
		"zip64 besides":                      lying(3, true, 3, 0, 0),
		"a count modulo 65,536":              lying(many, false, 1, 0, 0),
		"a directory said to be short":       lying(many, false, 1, 47, 0),
		"a directory said to be elsewhere":   lying(many, false, 1, 47, 4+47),
		"honest":                             packed(t, MaxEntries+1),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Open(bytes.NewReader(body), int64(len(body)))
		runtime.ReadMemStats(&after)
		var refused *Refused
		if !errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		}
		if mb := (after.TotalAlloc - before.TotalAlloc) >> 20; mb > 8 {
			t.Errorf("%s: %d MB were allocated", name, mb)
		}
	}
}

func TestPlainArchives(t *testing.T) {
	for _, n := range []int{0, 1, 300, MaxEntries} {
		body := packed(t, n)
		z, err := Open(bytes.NewReader(body), int64(len(body)))
		if err != nil || len(z.File) != n {
			t.Errorf("%d entries: %v", n, err)
		}
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	f, err := z.Create("folder/a file")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, strings.Repeat("text ", 100)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(z.SetComment(strings.Repeat("a comment ", 600)), z.Close()); err != nil {
		t.Fatal(err)
	}
	r, err := Open(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil || len(r.File) != 1 {
		t.Fatal(err)
	}
	in, err := Entry(r.File[0])
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(in); err != nil || len(text) != 500 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}
