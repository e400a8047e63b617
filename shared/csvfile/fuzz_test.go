package csvfile

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"reflect"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// FuzzReader holds a Reader to what every reader of an import relies on, whatever the bytes: the records cover the file
// without gap or overlap, each can be read again from its own offset, any range of them can be read apart, and neither
// the size of the buffer nor that of the reads shows. With small limits, so that small inputs pass them.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		"", "\n", "a", "a,b\n1,2\n", "a;b\r\n1;2\r\n", "a\rb\rc", "a\r\n\r\n\rb",
		`"a"`, `"a""b",c` + "\n", `"a\"b",c` + "\n", `"a\",c` + "\n", `"a\"",c"` + "\n", `a"b,c` + "\n", `"a"b,c` + "\n",
		"1,\"x\ny\",2\n", "1,\"x\r\ny\"\r\n", "1,\"x\n2,y\n3,\"z\",q\n", "\"\n\"\n", "\"a\nb\nc\nd",
		"0123456789abcdef,1\n2,3\n", "\"0123456789abcdef\",1\n2,3\n", "\"0123456789\nabcdef\",1\n2,3\n",
		"\"a\",\"b\nc\",\"d\ne\",\"f\ng\",\"h\ni\",\"j\nk\",\"l\nm\",\"n\no\"\n1,2\n", "a\x00b\n", "a,\xff\nb\n",
		"\xEF\xBB\xBFa,b\n", "a\n\"\"\"\"\"\n\"\"\"\n\"\\\",\"\n", "\"x\"0123456789abcdef,\"y\nz\"\n",
		"01234567,01234567,01234567,01234567,01234567,\"01234567\n", "\"01234567890\\\"a\r\nb\",\"c\r\n",
	} {
		f.Add([]byte(seed), byte(','))
	}
	f.Fuzz(checkReader)
}

func checkReader(t *testing.T, file []byte, comma byte) {
	if !separates(comma) {
		return
	}
	const maxCell, maxRecord = 8, 40
	read := func(start, end int64, line int64, buffer int) []record {
		r := newReader(bytes.NewReader(file[start:end]), comma, Position{start, line}, buffer, maxCell, maxRecord)
		return readAll(t, r)
	}
	want := read(0, int64(len(file)), 1, 4096)
	checkCover(t, file, want)
	for _, buffer := range []int{4, 7, 50} {
		same(t, fmt.Sprintf("buffer of %d bytes", buffer), want, read(0, int64(len(file)), 1, buffer))
	}
	for i, from := range want {
		same(t, fmt.Sprintf("from record %d", i), want[i:], read(from.Offset, int64(len(file)), from.Line, 16))
		for j := i; j < len(want); j++ {
			same(t, fmt.Sprintf("records %d to %d apart", i, j), want[i:j+1], read(from.Offset, want[j].End, from.Line, 16))
		}
	}
}

// FuzzAgainstStandard compares with encoding/csv on what it accepts. It knows no lone CR, drops empty lines and makes a
// CRLF within quotes an LF; bytes that are not text are good enough for it, and it has no limit of columns.
func FuzzAgainstStandard(f *testing.F) {
	for _, seed := range []string{
		"a,b\n1,2", "\"a\"\"b\",\"c\nd\"\r\n", "\"\\\"\"\",x\n", "\"\\\",x\n", "\"a\\\"\",\"b\"\n", " \"a\n", ",,\n,\n", "\n\n",
	} {
		f.Add([]byte(seed), byte(','))
		f.Add([]byte(seed), byte(';'))
	}
	f.Fuzz(checkAgainstStandard)
}

func checkAgainstStandard(t *testing.T, file []byte, comma byte) {
	withoutCRLF := bytes.ReplaceAll(file, []byte("\r\n"), nil)
	if !separates(comma) || !utf8.Valid(file) || bytes.IndexByte(file, 0) >= 0 || bytes.IndexByte(withoutCRLF, '\r') >= 0 {
		return
	}
	standard := csv.NewReader(bytes.NewReader(file))
	standard.Comma = rune(comma)
	standard.FieldsPerRecord = -1
	want, err := standard.ReadAll()
	if err != nil || bytes.HasPrefix(file, bomUTF8) {
		return
	}
	var got [][]string
	for _, rec := range readAll(t, newReader(bytes.NewReader(file), comma, Position{}, 16, MaxCell, MaxRecord)) {
		if rec.Err != nil && rec.Err.Column <= MaxColumns {
			t.Fatalf("%v, which encoding/csv reads", rec.Err)
		}
		if len(rec.Raw) == 0 {
			continue
		}
		if w := len(got); w < len(want) && len(want[w]) > MaxColumns {
			want[w] = want[w][:MaxColumns]
		}
		for i, cell := range rec.Fields {
			rec.Fields[i] = string(bytes.ReplaceAll([]byte(cell), []byte("\r\n"), []byte("\n")))
		}
		got = append(got, rec.Fields)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("encoding/csv and Reader differ (-want +got):\n%s", diff)
	}
}

// FuzzRoundTrip writes two cells and reads them back.
func FuzzRoundTrip(f *testing.F) {
	for _, seed := range []string{"", "a", `a"b`, `\`, `\"`, `a\"b`, "=1+1", "-5", "-5a", "'-5", "'=1", "''=1", "'", " '=x", "＝1", "'＝1", "a\r\nb", "'\t="} {
		f.Add([]byte(seed), []byte("x"), byte(','))
		f.Add([]byte("x"), []byte(seed), byte(';'))
	}
	f.Fuzz(checkRoundTrip)
}

func checkRoundTrip(t *testing.T, a, b []byte, comma byte) {
	if !separates(comma) || !utf8.Valid(a) || !utf8.Valid(b) || bytes.IndexByte(a, 0) >= 0 || bytes.IndexByte(b, 0) >= 0 {
		return
	}
	line := AppendRecord(nil, comma, a, b)
	records := readAll(t, newReader(bytes.NewReader(line), comma, Position{}, 64, MaxCell, MaxRecord))
	if len(records) != 1 || records[0].Err != nil || len(records[0].Fields) != 2 {
		t.Fatalf("%q reads as %+v", line, records)
	}
	for i, want := range [][]byte{a, b} {
		cell := []byte(records[0].Fields[i])
		if formula(cell) {
			t.Errorf("cell %q is written as %q, a formula", want, cell)
		}
		if got := Unguard(cell); !bytes.Equal(got, bytes.TrimSpace(want)) {
			t.Errorf("cell %q is read back as %q", want, got)
		}
	}
}

// TestSmallFiles holds every file of up to 6 bytes of those that mean something, and many of up to 40, to what the fuzz
// tests hold any file to.
func TestSmallFiles(t *testing.T) {
	const alphabet = "a,\"\\\n\r"
	for file := range words(alphabet, 6) {
		checkAgainstStandard(t, file, ',')
	}
	for file := range words(alphabet, 4) {
		checkReader(t, file, ',')
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		file := make([]byte, 1+random.IntN(40))
		for i := range file {
			file[i] = alphabet[random.IntN(len(alphabet))]
		}
		checkReader(t, file, ',')
		checkAgainstStandard(t, file, ',')
	}
}

// TestSmallCells writes and reads every cell of up to 5 bytes of those that mean something.
func TestSmallCells(t *testing.T) {
	for cell := range words("'=+-5.\"\\ \ta", 5) {
		checkRoundTrip(t, cell, []byte("x"), ',')
	}
}

// words gives all words of up to n bytes.
func words(alphabet string, n int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		var extend func(word []byte) bool
		extend = func(word []byte) bool {
			if !yield(word) {
				return false
			}
			for i := 0; len(word) < n && i < len(alphabet); i++ {
				if !extend(append(word, alphabet[i])) {
					return false
				}
			}
			return true
		}
		extend(make([]byte, 0, n))
	}
}

// FuzzUTF8 compares with a decoding of the whole text at once.
func FuzzUTF8(f *testing.F) {
	f.Add("Name,Größe\n\U0001F9EA,1\n", true, 3)
	f.Add("", false, 1)
	f.Fuzz(func(t *testing.T, text string, little bool, chunk int) {
		if !utf8.ValidString(text) || bytes.HasPrefix([]byte(text), bomUTF8) || chunk < 1 || chunk > 100 {
			return
		}
		d := Dialect{Encoding: EncodingUTF16BE}
		if little {
			d.Encoding = EncodingUTF16LE
		}
		got, err := io.ReadAll(UTF8(&slowReader{encodeUTF16("\uFEFF"+text, d.Encoding), chunk}, d))
		if err != nil || string(got) != text {
			t.Fatalf("UTF8 gives %q, %v, want %q", got, err, text)
		}
	})
}

// record is a Record that stays valid.
type record struct {
	Fields      []string
	Line        int64
	Offset, End int64
	Raw         []byte
	Err         *RowError
}

func readAll(t *testing.T, r *Reader) []record {
	t.Helper()
	var records []record
	for {
		rec, err := r.Read()
		if err == io.EOF {
			if _, err = r.Read(); err != io.EOF {
				t.Fatalf("Read after io.EOF: %v", err)
			}
			return records
		}
		if err != nil {
			t.Fatal(err)
		}
		kept := record{Line: rec.Line, Offset: rec.Offset, End: rec.End, Raw: bytes.Clone(rec.Raw), Err: rec.Err}
		for _, cell := range rec.Fields {
			kept.Fields = append(kept.Fields, string(cell))
		}
		records = append(records, kept)
	}
}

func same(t *testing.T, what string, want, got []record) {
	t.Helper()
	if !reflect.DeepEqual(want, got) {
		t.Fatalf("%s (-want +got):\n%s", what, cmp.Diff(want, got))
	}
}

// checkCover checks the places of the records of a file.
func checkCover(t *testing.T, file []byte, records []record) {
	t.Helper()
	end := int64(0)
	if bytes.HasPrefix(file, bomUTF8) {
		end = 3
	}
	line := int64(1)
	for i, rec := range records {
		if rec.Offset != end || rec.Line != line || rec.End <= rec.Offset {
			t.Fatalf("record %d is in line %d at [%d, %d), want line %d at %d", i, rec.Line, rec.Offset, rec.End, line, end)
		}
		text := file[rec.Offset:rec.End]
		if rec.Raw != nil && !bytes.Equal(rec.Raw, trimBreak(text)) {
			t.Fatalf("record %d has Raw %q, want %q", i, rec.Raw, trimBreak(text))
		}
		if rec.Err != nil && (rec.Err.Line != line || rec.Err.Byte < rec.Offset || rec.Err.Byte >= rec.End) {
			t.Fatalf("record %d at [%d, %d), line %d: %v", i, rec.Offset, rec.End, line, rec.Err)
		}
		line += countBreaks(text)
		end = rec.End
	}
	if end != int64(len(file)) {
		t.Fatalf("the records end at %d, the file at %d", end, len(file))
	}
}

// slowReader gives few bytes at a time.
type slowReader struct {
	text  []byte
	chunk int
}

func (s *slowReader) Read(p []byte) (int, error) {
	if len(s.text) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.chunk)], s.text)
	s.text = s.text[n:]
	return n, nil
}
