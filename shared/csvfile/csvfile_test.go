package csvfile

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
)

func TestRead(t *testing.T) {
	for _, test := range []struct {
		name, file string
		want       [][]string
	}{
		{"no bytes", "", nil},
		{"byte order mark alone", "\xEF\xBB\xBF", nil},
		{"no line break at the end", "a,b\n1,2", [][]string{{"a", "b"}, {"1", "2"}}},
		{"LF", "a,b\n1,2\n", [][]string{{"a", "b"}, {"1", "2"}}},
		{"CRLF", "a,b\r\n1,2\r\n", [][]string{{"a", "b"}, {"1", "2"}}},
		{"lone CR", "a,b\r1,2\r", [][]string{{"a", "b"}, {"1", "2"}}},
		{"mixed line ends", "a\rb\r\nc\nd", [][]string{{"a"}, {"b"}, {"c"}, {"d"}}},
		{"LF CR is two", "a\n\rb", [][]string{{"a"}, {""}, {"b"}}},
		{"empty lines are records", "a\n\n\nb\n", [][]string{{"a"}, {""}, {""}, {"b"}}},
		{"empty cells", ",\n,,", [][]string{{"", ""}, {"", "", ""}}},
		{"byte order mark is no text", "\xEF\xBB\xBFa\n\xEF\xBB\xBFb\n", [][]string{{"a"}, {"\uFEFFb"}}},
		{"not trimmed", " a ,\tb\t\n", [][]string{{" a ", "\tb\t"}}},
		{"quoted", "\"a\",\"\",\"b\"\n", [][]string{{"a", "", "b"}}},
		{"separator in quotes", "\"a,b\",c\n", [][]string{{"a,b", "c"}}},
		{"doubled quote", `"a""b","""",""""""`, [][]string{{`a"b`, `"`, `""`}}},
		{"line breaks in quotes", "\"a\nb\r\nc\rd\",e\r\nf", [][]string{{"a\nb\r\nc\rd", "e"}, {"f"}}},
		{"quotes in unquoted cells", "5\" pipe,a\"\"b, \"c\"\n", [][]string{{`5" pipe`, `a""b`, ` "c"`}}},
		{"backslash", `\,a\b,"c\d","\"` + "\n", [][]string{{`\`, `a\b`, `c\d`, `\`}}},
		{"backslash before a quote", `"a\"b","\"c","d\\"e"`, [][]string{{`a"b`, `"c`, `d\"e`}}},
		{"backslash before a doubled quote", `"a\""b","\"""` + "\n", [][]string{{`a\"b`, `\"`}}},
		{"backslash before the closing quote", "\"a\\\"\n\"b\\\",c\n\"d\\\"\r\"e\\\"", [][]string{{`a\`}, {`b\`, "c"}, {`d\`}, {`e\`}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got [][]string
			for _, rec := range readAll(t, NewReader(strings.NewReader(test.file), ',', Position{})) {
				if rec.Err != nil {
					t.Error(rec.Err)
				}
				got = append(got, rec.Fields)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadPlaces(t *testing.T) {
	file := "\xEF\xBB\xBFa,b\r\n\r\"x\ny\r\nz\",1\n\n2,3"
	want := []record{
		{Fields: []string{"a", "b"}, Line: 1, Offset: 3, End: 8, Raw: []byte("a,b")},
		{Fields: []string{""}, Line: 2, Offset: 8, End: 9, Raw: []byte("")},
		{Fields: []string{"x\ny\r\nz", "1"}, Line: 3, Offset: 9, End: 20, Raw: []byte("\"x\ny\r\nz\",1")},
		{Fields: []string{""}, Line: 6, Offset: 20, End: 21, Raw: []byte("")},
		{Fields: []string{"2", "3"}, Line: 7, Offset: 21, End: 24, Raw: []byte("2,3")},
	}
	if diff := cmp.Diff(want, readAll(t, NewReader(strings.NewReader(file), ',', Position{}))); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	part := NewReader(strings.NewReader(file[9:21]), ',', Position{Offset: 9, Line: 3})
	if diff := cmp.Diff(want[2:4], readAll(t, part)); diff != "" {
		t.Errorf("records of a range (-want +got):\n%s", diff)
	}
}

func TestReadBadRow(t *testing.T) {
	const unclosed = "that is not closed, or not within 1 MB (1,048,576 bytes)"
	long := strings.Repeat("x", MaxCell)
	wide := strings.Repeat(",", MaxColumns)
	for _, test := range []struct {
		name, file string
		good       string // the cells of the good rows
		want       RowError
	}{
		{
			"text after a quote", "a,b\n1,\"2\"3,\"4\n5\"\n6,7\n", "a|b 6|7",
			RowError{2, 6, 2, "cell 2 has text after its closing quote; a quote inside a quoted cell is written twice"},
		},
		{
			"unclosed in the last row", "a,b\n1,\"2", "a|b",
			RowError{2, 6, 2, "the row that starts in line 2 opens a quote in cell 2 " + unclosed},
		},
		{
			"unclosed before the last row", "a,b\n1,\"2\n3,4\n5,6\n", "a|b 3|4 5|6",
			RowError{2, 6, 2, "the row that starts in line 2 opens a quote in cell 2 " + unclosed},
		},
		{
			"unclosed up to the next quote", "a,b\n1,\"2\r\n3,\"4\"\r\n5,6\n", "a|b 3|4 5|6",
			RowError{2, 6, 2, "the row that starts in line 2 opens a quote in cell 2 " + unclosed},
		},
		{
			"unclosed after a cell of two lines", "\"1\n2\",\"3\n4,5\n", "4|5",
			RowError{1, 6, 2, "the row that starts in line 1 opens a quote in cell 2 " + unclosed},
		},
		{
			"unclosed for more than a cell", "a,b\n1,\"2\n" + strings.Repeat("3,4\n", MaxCell/4) + "5,6\n", "a|b" + strings.Repeat(" 3|4", MaxCell/4) + " 5|6",
			RowError{2, 6, 2, "the row that starts in line 2 opens a quote in cell 2 " + unclosed},
		},
		{"cell at the limit", long + ",\"" + long + "\"\n1,\xFF\n", long + "|" + long, RowError{2, 2*MaxCell + 6, 2, fmt.Sprintf("cell 2 holds bytes that are not UTF-8 (byte %d); save the file as CSV UTF-8", 2*MaxCell+6)}},
		{"long cell", "a,b\n1," + long + "x,\"y\nz\"\n3,4\n", "a|b 3|4", RowError{2, 6, 2, "cell 2 is longer than 1 MB (1,048,576 bytes)"}},
		{"long last cell", "a,b\n1," + long + "x", "a|b", RowError{2, 6, 2, "cell 2 is longer than 1 MB (1,048,576 bytes)"}},
		{"cell of 20 MB", "a,b\r\n1," + strings.Repeat(long, 20) + ",\"y\nz\"\r\n3,4\n", "a|b 3|4", RowError{2, 7, 2, "cell 2 is longer than 1 MB (1,048,576 bytes)"}},
		{"quoted cell of 20 MB", "a,b\n\"" + strings.Repeat(long+`""\"x`, 20) + "\",\"y\nz\"\n3,4\n", "a|b 3|4", RowError{2, 4, 1, "cell 1 is longer than 1 MB (1,048,576 bytes)"}},
		{"quoted cell of 20 MB, unclosed", "a,b\n\"" + strings.Repeat(long, 20) + "\n3,4\n", "a|b 3|4", RowError{2, 4, 1, "cell 1 is longer than 1 MB (1,048,576 bytes)"}},
		{"quoted cell of 20 MB, text after", "a,b\n\"" + strings.Repeat(long, 20) + "\"x,\"\n\"\n3,4\n", "a|b 3|4", RowError{2, 4, 1, "cell 1 is longer than 1 MB (1,048,576 bytes)"}},
		{"long row", "a,b\n" + strings.Repeat(long+",", 7) + long + "\n3,4\n", "a|b 3|4", RowError{2, 4, 0, "the row is longer than 8 MB (8,388,608 bytes)"}},
		{"row of 20 MB", "a,b\n" + strings.Repeat("\""+long+"\",\"\n\",", 20) + "\n3,4\n", "a|b 3|4", RowError{2, 4, 0, "the row is longer than 8 MB (8,388,608 bytes)"}},
		{"value beyond the last column", wide + "\n" + wide + " \n" + wide + "x\n", strings.Repeat("|", MaxColumns-1) + " " + strings.Repeat("|", MaxColumns-1), RowError{3, 2*MaxColumns + 3 + MaxColumns, MaxColumns + 1, "the row has a value beyond column 2,000, which is the limit"}},
		{"not UTF-8", "a,b\n1,M\xFCller\n3,4\n", "a|b 3|4", RowError{2, 7, 2, "cell 2 holds bytes that are not UTF-8 (byte 7); save the file as CSV UTF-8"}},
		{"not UTF-8 in quotes", "a,b\n\"x\"\"\n\",\"\xFC\",2\n3,4\n", "a|b 3|4", RowError{2, 12, 2, "cell 2 holds bytes that are not UTF-8 (byte 12); save the file as CSV UTF-8"}},
		{"NUL", "a,b\n\x00,2\n3,4\n", "a|b 3|4", RowError{2, 4, 1, "cell 1 holds a NUL character (byte 4), which no text has"}},
		{"replacement character is text", "a,\uFFFD\n1,\x00\n", "a|\uFFFD", RowError{2, 8, 2, "cell 2 holds a NUL character (byte 8), which no text has"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var good []string
			var bad []RowError
			r := NewReader(strings.NewReader(test.file), ',', Position{})
			records := readAll(t, r)
			checkCover(t, []byte(test.file), records)
			for _, rec := range records {
				if rec.Err != nil {
					bad = append(bad, *rec.Err)
				} else {
					good = append(good, strings.Join(rec.Fields, "|"))
				}
			}
			if diff := cmp.Diff([]RowError{test.want}, bad); diff != "" {
				t.Errorf("bad rows (-want +got):\n%s", diff)
			}
			if got := strings.Join(good, " "); got != test.good {
				t.Errorf("good rows are %.200q, want %.200q", got, test.good)
			}
			if len(r.buf) > MaxRecord+MaxCell+8 {
				t.Errorf("the buffer has grown to %d bytes", len(r.buf))
			}
		})
	}
}

// TestReadBadRowCells is what a report can show of a bad row.
func TestReadBadRowCells(t *testing.T) {
	for _, test := range []struct {
		file   string
		fields []string
		raw    string
	}{
		{"1,\"2\"3,4\n", []string{"1", "\"2\"3", "4"}, "1,\"2\"3,4"},
		{"1,\"2,3\n4\n", []string{"1", "\"2,3"}, "1,\"2,3"},
		{"1,\xFF,3\n", []string{"1", "\xFF", "3"}, "1,\xFF,3"},
		{"1,123456789,3\n", []string{"1"}, ""},
		{"1,\"123456789\",3\n", []string{"1"}, ""},
		{"1,\"2\",1234567,1234567,1234567,1234567,1234567\n", []string{"1", "2", "1234567", "1234567", "1234567", "1234567"}, ""},
	} {
		records := readAll(t, newReader(strings.NewReader(test.file), ',', Position{}, 16, 8, 40))
		if records[0].Err == nil {
			t.Errorf("%q is a good row", test.file)
		}
		if diff := cmp.Diff(test.fields, records[0].Fields); diff != "" {
			t.Errorf("cells of %q (-want +got):\n%s", test.file, diff)
		}
		if string(records[0].Raw) != test.raw {
			t.Errorf("Raw of %q is %q, want %q", test.file, records[0].Raw, test.raw)
		}
	}
}

// TestReadTimeIsLinear reads files that would make a reader that goes back after a fault read up to a cell's limit again
// for each of a million lines. That takes hours; reading them once takes a moment.
func TestReadTimeIsLinear(t *testing.T) {
	for _, line := range []string{"\"\n", "x\",\"y\n", "\"a\"b,\"\n", "\"\"\"\n", "\\\"\n", "\",\"\r", "a,\"\\\"\n", "\"\",\"\n"} {
		r := NewReader(strings.NewReader(strings.Repeat(line, (4<<20)/len(line))), ',', Position{})
		for start := time.Now(); ; {
			if _, err := r.Read(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if time.Since(start) > 20*time.Second {
				t.Errorf("lines %q: %d bytes took %v", line, r.base, time.Since(start))
				break
			}
		}
	}
}

func TestReadFromABrokenSource(t *testing.T) {
	broken := errors.New("connection reset")
	r := NewReader(io.MultiReader(strings.NewReader("a,b\n1,2\n3,"), iotest.ErrReader(broken)), ',', Position{})
	for _, want := range []string{"a,b", "1,2"} {
		if rec, err := r.Read(); err != nil || string(rec.Raw) != want {
			t.Fatalf("Read: %v, %v, want %s", rec, err, want)
		}
	}
	for range 2 {
		if rec, err := r.Read(); !errors.Is(err, broken) {
			t.Fatalf("Read of a cut off row: %v, %v, want %v", rec, err, broken)
		}
	}
}

func TestReadDoesNotAllocate(t *testing.T) {
	file := benchmarkFile(5000)
	r := NewReader(bytes.NewReader(file), ',', Position{})
	for range 1000 {
		if _, err := r.Read(); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(3000, func() {
		if rec, err := r.Read(); err != nil || len(rec.Fields) != 15 {
			t.Fatal(rec, err)
		}
	}); n != 0 {
		t.Errorf("a row costs %v allocations", n)
	}
}

func TestBlank(t *testing.T) {
	for file, want := range map[string]bool{"\n": true, ",,\n": true, " ,\"\t\",\u00A0\n": true, ",a\n": false, "\"\n": false} {
		rec, err := NewReader(strings.NewReader(file), ',', Position{}).Read()
		if err != nil {
			t.Fatal(err)
		}
		if got := rec.Blank(); got != want {
			t.Errorf("Blank of %q is %v", file, got)
		}
	}
}

func TestHeader(t *testing.T) {
	many := make([]string, MaxColumns+1)
	for i := range many {
		many[i] = fmt.Sprint("C", i)
	}
	const bom = "\xEF\xBB\xBF"
	for _, test := range []struct {
		name, file string
		captions   []string
		next       string // the row after it
		refused    string // or why there is none
	}{
		{name: "plain", file: "PPID,First Name\n1,2\n", captions: []string{"PPID", "First Name"}, next: "1,2"},
		{name: "header alone", file: "PPID", captions: []string{"PPID"}},
		{name: "trimmed", file: bom + " PPID ,\"First Name \"\n1,2\n", captions: []string{"PPID", "First Name"}, next: "1,2"},
		{name: "comments and blank rows", file: "\n# from \"the\" lab, 2024\n , \n\"#x\",y\nPPID,#\n#1,2\n", captions: []string{"PPID", "#"}, next: "#1,2"},
		{name: "sep line", file: bom + "sep=,\r\n\r\nPPID,B\r\n1,2\r\n", captions: []string{"PPID", "B"}, next: "1,2"},
		{name: "sep line later is a row", file: "\nsep=,\n1,2\n", captions: []string{"sep="}, next: "1,2"},
		{name: "blank at the end", file: "A,B,, ,\n1,2,,,\n", captions: []string{"A", "B"}, next: "1,2,,,"},
		{name: "blank within", file: "A,,B\n", refused: "column 2 of the header row has no caption"},
		{name: "twice", file: "A,B, a\n", refused: "columns 1 and 3 of the header row have the same caption"},
		{name: "twice, not ASCII", file: "Größe,GRÖßE\n", refused: "columns 1 and 2 of the header row have the same caption"},
		{name: "most columns", file: strings.Join(many[:MaxColumns], ",") + ",,,\n1", captions: many[:MaxColumns], next: "1"},
		{name: "too many columns", file: strings.Join(many, ",") + "\n", refused: "the header row is not valid: the row has a value beyond column 2,000, which is the limit"},
		{name: "Windows-1252", file: "A,Gr\xF6\xDFe\n1,2\n", refused: "the header row is not valid: cell 2 holds bytes that are not UTF-8 (byte 4); save the file as CSV UTF-8"},
		{name: "unclosed", file: "A,\"B\n1,2\n", refused: "the header row is not valid: the row that starts in line 1 opens a quote in cell 2 that is not closed, or not within 1 MB (1,048,576 bytes)"},
		{name: "empty", file: "", refused: "the file is empty"},
		{name: "comments alone", file: "# a\n\n", refused: "the file has no header row"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := NewReader(strings.NewReader(test.file), ',', Position{})
			h, err := r.Header()
			if test.refused != "" {
				var fileErr *FileError
				if !errors.As(err, &fileErr) || fileErr.Reason != test.refused {
					t.Fatalf("Header: %v, want %s", err, test.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.captions, h.Captions); diff != "" {
				t.Errorf("captions (-want +got):\n%s", diff)
			}
			raw := string(h.Record.Raw)
			rec, err := r.Read()
			switch {
			case test.next == "" && err == io.EOF:
			case err != nil || string(rec.Raw) != test.next:
				t.Errorf("row after the header: %v, %v, want %s", rec, err, test.next)
			case rec.Offset != h.Record.End:
				t.Errorf("row after the header at %d, want %d", rec.Offset, h.Record.End)
			}
			if string(h.Record.Raw) != raw {
				t.Errorf("the header row changed to %q, it was %q", h.Record.Raw, raw)
			}
		})
	}
}

func TestHeaderPlace(t *testing.T) {
	_, err := NewReader(strings.NewReader("# x\r\n\r\nA,a\r\n"), ',', Position{}).Header()
	want := &FileError{Line: 3, Byte: 7, Reason: "columns 1 and 2 of the header row have the same caption"}
	if diff := cmp.Diff(error(want), err); diff != "" {
		t.Errorf("Header (-want +got):\n%s", diff)
	}
}

func TestCheck(t *testing.T) {
	r := NewReader(strings.NewReader("A,B,C,\n1,2,3\n1,2,3,4,5\n1,2\n1,\"2\"x,3\n"), ',', Position{})
	h, err := r.Header()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []*RowError{
		nil,
		nil,
		{Line: 4, Byte: 23, Column: 3, Reason: "the row has 2 cells, the header row has 3"},
		{Line: 5, Byte: 29, Column: 2, Reason: "cell 2 has text after its closing quote; a quote inside a quoted cell is written twice"},
	} {
		rec, err := r.Read()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, h.Check(rec)); diff != "" {
			t.Errorf("Check of %q (-want +got):\n%s", rec.Raw, diff)
		}
	}
}

func TestMessagesHoldNoCell(t *testing.T) {
	const canary = "Kanarienvogel"
	for _, file := range []string{
		canary + "," + canary + "\n", canary + ",,b\n", "\"" + canary + "\"" + canary + ",b\n", canary + "\xFF\n", "\"" + canary,
	} {
		_, err := NewReader(strings.NewReader(file), ',', Position{}).Header()
		if err == nil || strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), "error") {
			t.Errorf("Header of %q: %v", file, err)
		}
		rec, err := NewReader(strings.NewReader(file), ',', Position{}).Read()
		if err != nil {
			t.Fatal(err)
		}
		if rec.Err != nil && (strings.Contains(rec.Err.Error(), canary) || strings.Contains(rec.Err.Error(), "error")) {
			t.Errorf("row %q: %v", file, rec.Err)
		}
	}
}

func TestDetect(t *testing.T) {
	le := func(s string) string { return string(encodeUTF16(s, EncodingUTF16LE)) }
	be := func(s string) string { return string(encodeUTF16(s, EncodingUTF16BE)) }
	utf8With := func(comma byte) Dialect { return Dialect{Comma: comma, Encoding: EncodingUTF8} }
	for _, test := range []struct {
		name, head string
		separator  byte
		want       Dialect
		refused    string
	}{
		{name: "comma", head: "a,b\n1,2\n", want: utf8With(',')},
		{name: "semicolon", head: "a;b\n1;2\n", want: utf8With(';')},
		{name: "tab", head: "a\tb\n1\t2\n", want: utf8With('\t')},
		{name: "header alone", head: "a;b", want: utf8With(';')},
		{name: "one column", head: "PPID\n1\n", want: utf8With(',')},
		{name: "one column, blanks in the rows", head: "Note\na; b\n", want: utf8With(',')},
		{name: "lone CR", head: "a;b\r1,5;2\r", want: utf8With(';')},
		{name: "quoted separators", head: "\"a,b,c,d\";\"e\nf,,,\"\n1;2\n", want: utf8With(';')},
		{name: "commas in a caption", head: "Race, Ethnicity, Other;PPID\nx;1\n", want: utf8With(';')},
		{name: "semicolons in a caption", head: "Kit (a; b; c; d),PPID\nx,1\n", want: utf8With(',')},
		{name: "decimal comma", head: "Label;Quantity, ml\n1;0,5\n2;1,5\n", want: utf8With(';')},
		{name: "lists in cells", head: "Label,\"Race\"\n1,a;b\n2,c;d\n", want: utf8With(',')},
		{name: "comma in a semicolon header, no rows", head: "Label;Quantity, ml\n", want: utf8With(';')},
		{name: "comments first", head: "# a;b;c\n\nx,y\n1,2\n", want: utf8With(',')},
		{name: "sep line", head: "sep=;\na,b,c\n1,2,3\n", want: utf8With(';')},
		{name: "sep line, quoted", head: "\"sep=|\"\r\na|b\r\n", want: utf8With('|')},
		{name: "sep line of a tab", head: "SEP=\t\r\na\tb\r\n", want: utf8With('\t')},
		{name: "separator given", head: "sep=,\na;b|c\n", separator: '|', want: utf8With('|')},
		{name: "ragged rows", head: "a,b,c\n1,2\n1,2,3\n,\n", want: utf8With(',')},
		{name: "blank at the end", head: "a;b;;;\n1;2;;;\n", want: utf8With(';')},
		{name: "UTF-8 with mark", head: "\xEF\xBB\xBFa;b\n", want: Dialect{';', EncodingUTF8, 3}},
		{name: "UTF-8 with mark and sep line", head: "\xEF\xBB\xBFsep=\t\na\tb\n", want: Dialect{'\t', EncodingUTF8, 3}},
		{name: "UTF-16 little-endian", head: "\xFF\xFE" + le("Größe\tPPID\r\n1\t2"), want: Dialect{'\t', EncodingUTF16LE, 2}},
		{name: "UTF-16 big-endian", head: "\xFE\xFF" + be("a;b\n"), want: Dialect{';', EncodingUTF16BE, 2}},
		{name: "UTF-16 cut within a character", head: "\xFF\xFE" + le("a;b\n") + "\x3D", want: Dialect{';', EncodingUTF16LE, 2}},
		{name: "UTF-16 little-endian, no mark", head: le("PPID,Größe\n1,2\n"), want: Dialect{',', EncodingUTF16LE, 0}},
		{name: "UTF-16 big-endian, no mark", head: be("PPID,Größe\n1,2\n"), want: Dialect{',', EncodingUTF16BE, 0}},
		{name: "UTF-16 with mark and sep line", head: "\xFF\xFE" + le("sep=;\na,b;c\n"), want: Dialect{';', EncodingUTF16LE, 2}},
		{name: "one NUL", head: "a;b\n1;\x00\n", want: utf8With(';')},
		{name: "head cut within a row", head: "a;b,c\n" + strings.Repeat("1;2\n", HeadSize/4), want: utf8With(';')},
		{name: "empty", head: "", refused: "the file is empty"},
		{name: "mark alone", head: "\xEF\xBB\xBF", refused: "the file is empty"},
		{name: "UTF-16 mark alone", head: "\xFF\xFE", refused: "the file is empty"},
		{name: "workbook", head: "PK\x03\x04\x14", refused: "the file is an Excel workbook or a ZIP archive and not a CSV; save it as CSV UTF-8"},
		{name: "old workbook", head: "\xD0\xCF\x11\xE0\xA1\xB1", refused: "the file is an Excel workbook and not a CSV; save it as CSV UTF-8"},
		{name: "UTF-32", head: "\xFF\xFE\x00\x00a\x00\x00\x00", refused: "the file is UTF-32 text and not a CSV; save it as CSV UTF-8"},
		{name: "separator not valid", head: "a,b\n", separator: '"', refused: "the field separator is not valid; use a comma, a semicolon, a tab or another sign of ASCII"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := Detect([]byte(test.head)[:min(len(test.head), HeadSize)], test.separator)
			if test.refused != "" {
				want := &FileError{Line: 1, Reason: test.refused}
				if diff := cmp.Diff(error(want), err); diff != "" {
					t.Errorf("Detect (-want +got):\n%s", diff)
				}
				return
			}
			if err != nil || got != test.want {
				t.Fatalf("Detect: %+v, %v, want %+v", got, err, test.want)
			}
			if explicit, err := Detect([]byte(test.head)[:min(len(test.head), HeadSize)], got.Comma); err != nil || explicit != got {
				t.Errorf("Detect with the separator given: %+v, %v, want %+v", explicit, err, got)
			}
		})
	}
}

func TestDialectJSON(t *testing.T) {
	want := Dialect{Comma: '\t', Encoding: EncodingUTF16LE, BOM: 2}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Dialect
	if err := json.Unmarshal(text, &got); err != nil || got != want {
		t.Errorf("%s gives %+v, %v", text, got, err)
	}
}

func TestUTF8(t *testing.T) {
	const text = "Größe,\U0001F9EA\r\n1,\u0000\n"
	long := strings.Repeat("a,\U0001F9EA\n", 10_000)
	for _, encoding := range []Encoding{EncodingUTF16LE, EncodingUTF16BE} {
		for _, text := range []string{"", text, long} {
			for _, mark := range []string{"", "\uFEFF"} {
				file := encodeUTF16(mark+text, encoding)
				got, err := io.ReadAll(UTF8(iotest.HalfReader(bytes.NewReader(file)), Dialect{Encoding: encoding}))
				if err != nil || string(got) != text {
					t.Errorf("%s of %.20q: %.20q, %v", encoding, mark+text, got, err)
				}
			}
		}
	}
	plain := strings.NewReader(text)
	if got := UTF8(plain, Dialect{Encoding: EncodingUTF8}); got != io.Reader(plain) {
		t.Errorf("UTF-8 is not read as it is")
	}
}

func TestUTF8NotValid(t *testing.T) {
	const half = "the file is not valid UTF-16 (half a character); save it as CSV UTF-8"
	const cut = "the file is not valid UTF-16 (it ends within a character); send it again or save it as CSV UTF-8"
	for _, test := range []struct {
		name, file string
		text       string
		want       FileError
	}{
		{"odd byte", "a\x00\n\x00b", "a\n", FileError{2, 4, cut}},
		{"high surrogate alone", "a\x00\x3D\xD8b\x00", "a", FileError{1, 2, half}},
		{"low surrogate alone", "a\x00\r\x00\n\x00\x00\xDCb\x00", "a\r\n", FileError{2, 6, half}},
		{"high surrogate at the end", "\xFF\xFEa\x00\x3D\xD8", "a", FileError{1, 4, half}},
		{"half a surrogate at the end", "\xFF\xFEa\x00\x3D\xD8\x00", "a", FileError{1, 4, half}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(test.file), iotest.OneByteReader(strings.NewReader(test.file)), iotest.DataErrReader(strings.NewReader(test.file))} {
				text, err := io.ReadAll(UTF8(r, Dialect{Encoding: EncodingUTF16LE}))
				if string(text) != test.text {
					t.Errorf("text is %q, want %q", text, test.text)
				}
				if diff := cmp.Diff(error(&test.want), err); diff != "" {
					t.Errorf("UTF8 (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestReadNotValidUTF16 is the way a *FileError takes through a Reader: after the rows before it.
func TestReadNotValidUTF16(t *testing.T) {
	file := append(encodeUTF16("a,b\n1,2\n3", EncodingUTF16LE), 0)
	r := NewReader(UTF8(bytes.NewReader(file), Dialect{Encoding: EncodingUTF16LE}), ',', Position{})
	for range 2 {
		if _, err := r.Read(); err != nil {
			t.Fatal(err)
		}
	}
	var fileErr *FileError
	if _, err := r.Read(); !errors.As(err, &fileErr) || fileErr.Line != 3 || fileErr.Byte != 18 {
		t.Errorf("Read: %v", err)
	}
}

func TestAppendCell(t *testing.T) {
	for _, test := range []struct{ cell, want string }{
		{"", `""`},
		{" a ", `"a"`},
		{"a\nb", "\"a\nb\""},
		{`a"b`, `"a""b"`},
		{`"`, `""""`},
		{`a\"b\`, `"a\""b\"`},
		{"=1+1", `"'=1+1"`},
		{";=1", `"';=1"`},
		{"@SUM(1)", `"'@SUM(1)"`},
		{"\t=1", `"'=1"`},
		{"'\t=1", "\"''\t=1\""},
		{"＝1", `"'＝1"`},
		{"＋1", `"'＋1"`},
		{"－1", `"'－1"`},
		{"＠1", `"'＠1"`},
		{"-5", `"-5"`},
		{"+4.25", `"+4.25"`},
		{"-1,5", `"-1,5"`},
		{"-.5", `"-.5"`},
		{"+1e-9", `"+1e-9"`},
		{"-5.", `"-5."`},
		{"-", `"'-"`},
		{"+-5", `"'+-5"`},
		{"-5+2", `"'-5+2"`},
		{"-1e", `"'-1e"`},
		{"-1.2.3", `"'-1.2.3"`},
		{"-2+3+cmd|' /C calc'!A0", `"'-2+3+cmd|' /C calc'!A0"`},
		{"+49 30 1", `"'+49 30 1"`},
		{"'=1", `"''=1"`},
		{"''=1", `"'''=1"`},
		{"'-5", `"'-5"`},
		{"'tis", `"'tis"`},
		{"'", `"'"`},
		{"a=1", `"a=1"`},
	} {
		got := AppendCell([]byte("x"), []byte(test.cell))
		if string(got) != "x"+test.want {
			t.Errorf("AppendCell of %q: %s, want x%s", test.cell, got, test.want)
		}
	}
}

func TestUnguard(t *testing.T) {
	for cell, want := range map[string]string{
		"'=1": "=1", "''=1": "'=1", "'\t1": "\t1", "'\r1": "\r1", "';": ";", "'＋1": "＋1", "'-a": "-a", "'@": "@",
		"": "", "'": "'", "''": "''", "'-5": "'-5", "'tis": "'tis", "' =1": "' =1", "=1": "=1", "-5": "-5",
	} {
		if got := Unguard([]byte(cell)); string(got) != want {
			t.Errorf("Unguard of %q: %q, want %q", cell, got, want)
		}
	}
}

func ExampleAppendStrings() {
	var file []byte
	file = AppendStrings(file, ',', "PPID", "Comments", "Quantity")
	file = AppendStrings(file, ',', "P-1", `said "none"`, "-5")
	file = AppendStrings(file, ',', "P-2", "=1+1", "")
	fmt.Printf("%s", file)
	// Output:
	// "PPID","Comments","Quantity"
	// "P-1","said ""none""","-5"
	// "P-2","'=1+1",""
}

func ExampleReader() {
	file := "PPID;Comments\r\nP-1;\"two\nlines\"\r\nP-2;\"half\r\nP-3;none\r\n"
	dialect, err := Detect([]byte(file), 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	r := NewReader(UTF8(strings.NewReader(file), dialect), dialect.Comma, Position{})
	header, err := r.Header()
	for err == nil {
		var rec *Record
		if rec, err = r.Read(); err != nil {
			break
		}
		if bad := header.Check(rec); bad != nil {
			fmt.Println(bad)
			continue
		}
		fmt.Printf("line %d, bytes %d to %d: %q\n", rec.Line, rec.Offset, rec.End, rec.Fields)
	}
	if err != io.EOF {
		fmt.Println(err)
	}
	// Output:
	// line 2, bytes 15 to 32: ["P-1" "two\nlines"]
	// line 4, byte 36: the row that starts in line 4 opens a quote in cell 2 that is not closed, or not within 1 MB (1,048,576 bytes)
	// line 5, bytes 43 to 53: ["P-3" "none"]
}

// formula is the rule of a spreadsheet, told apart from needsGuard.
func formula(cell []byte) bool {
	text := []rune(string(cell))
	if len(text) == 0 {
		return false
	}
	switch text[0] {
	case '=', '@', ';', '\t', '\r', '＝', '＋', '－', '＠':
		return true
	case '+', '-':
		return len(text) == 1 || strings.Trim(string(text[1:]), "0123456789.,eE+-") != ""
	}
	return false
}

func encodeUTF16(text string, encoding Encoding) []byte {
	var out []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		if encoding == EncodingUTF16LE {
			out = binary.LittleEndian.AppendUint16(out, unit)
		} else {
			out = binary.BigEndian.AppendUint16(out, unit)
		}
	}
	return out
}
