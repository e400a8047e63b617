package odm

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func seeds(f *testing.F) {
	study, err := os.ReadFile(filepath.Join("testdata", "study.xml"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(study)
	for _, doc := range []string{
		"", "<ODM/>", "\ufeff<?xml version=\"1.0\"?>\n<ODM></ODM>\n", `<!DOCTYPE ODM><ODM/>`, `<ODM xmlns="urn:x"/>`,
		within(`<ItemData ItemOID="I" Value="a&amp;b"/><ItemDataString ItemOID="J">x<![CDATA[y]]>z</ItemDataString>`),
		within(`<ItemData ItemOID='I' OpenClinica:Value="1&#10;"><OpenClinica:AuditLogs><AuditLog ID="1"/></OpenClinica:AuditLogs></ItemData>`),
		`<a:ODM xmlns:a="http://www.cdisc.org/ns/odm/v1.3"><a:Study OID="S"><!-- c --><a:MetaDataVersion/></a:Study></a:ODM>`,
		`<ODM><Study><MetaDataVersion><StudyDetails a="1"><b>c</b><d/><b/></StudyDetails></MetaDataVersion></Study></ODM>`,
		"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><ODM Description=\"\xe9\"/>", "<ODM>\r\n&#13;]</ODM>",
	} {
		f.Add([]byte(doc))
	}
}

// FuzzReadWrite holds reader and writers to their promises, whatever the bytes: a document is read or is a Fault; how the
// source is cut does not show; what can be written in its order reads again the same; and JSON agrees with the mapping.
func FuzzReadWrite(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, doc []byte) {
		parts, err := readAll(bytes.NewReader(doc))
		slowly, slowErr := readAll(iotest.OneByteReader(bytes.NewReader(doc)))
		if diff := cmp.Diff(parts, slowly); diff != "" || !cmp.Equal(err, slowErr, cmpopts.EquateErrors()) && err.Error() != slowErr.Error() {
			t.Fatalf("byte by byte %v, at once %v (-at once +byte by byte):\n%s", slowErr, err, diff)
		}
		if err != nil {
			if fault := new(Fault); !errors.As(err, &fault) {
				t.Fatal(err)
			}
			return
		}
		var written bytes.Buffer
		w := NewXMLWriter(&written)
		for _, p := range parts {
			if w.Write(p) != nil {
				return // it is read in any order, and written only in its own
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		again, err := readAll(bytes.NewReader(written.Bytes()))
		if fault := new(Fault); errors.As(err, &fault) && fault.Kind == TooLarge {
			return // escapes make a text longer
		}
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if diff := cmp.Diff(parts, again, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("(-read +written and read):\n%s", diff)
		}
		same(t, parse(t, written.String()).toJSON(""), mustWrite(t, asJSON(JSON{}), parts))
	})
}

// FuzzScanner compares the scanner with encoding/xml: what it takes, encoding/xml takes, and finds the same in.
func FuzzScanner(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, doc []byte) {
		if !bytes.HasPrefix(doc, []byte("<")) || bytes.HasPrefix(doc, []byte("<?xml")) {
			return // encodings and versions are where they differ
		}
		ours, err := scanned(doc)
		if err != nil {
			return
		}
		theirs, err := standard(doc)
		if err != nil {
			// encoding/xml knows which letters beyond ASCII may be in a name, and is strict about instructions.
			if strings.Contains(err.Error(), "invalid XML name") || strings.Contains(err.Error(), "<?") {
				return
			}
			t.Fatalf("encoding/xml refuses it: %v", err)
		}
		if diff := cmp.Diff(theirs, ours); diff != "" {
			t.Fatalf("(-encoding/xml +ours):\n%s", diff)
		}
	})
}

// lines makes of text what both make of it: encoding/xml leaves white space in values as it is.
var lines = strings.NewReplacer("\r\n", " ", "\r", " ", "\n", " ", "\t", " ")

func scanned(doc []byte) (found []string, err error) {
	s := newScanner(bytes.NewReader(doc))
	text := ""
	for {
		token, err := s.next()
		if err != nil {
			return nil, err
		}
		if token == tokenText {
			text += string(s.text)
			continue
		}
		found = append(found, lines.Replace(text))
		text = ""
		switch token {
		case tokenEOF:
			return found, nil
		case tokenEnd:
			found = append(found, "end")
		case tokenStart:
			found = append(found, "start "+string(s.name))
			for _, a := range s.attrs {
				found = append(found, string(a.name)+"="+lines.Replace(string(a.value)))
			}
		}
	}
}

func standard(doc []byte) (found []string, err error) {
	d := xml.NewDecoder(bytes.NewReader(doc))
	text, depth := "", 0
	for {
		token, err := d.Token()
		if err != nil && err != io.EOF {
			return nil, err
		}
		if chars, is := token.(xml.CharData); is {
			if depth > 0 {
				text += string(chars)
			}
			continue
		}
		switch token := token.(type) {
		case nil:
			return append(found, lines.Replace(text)), nil
		case xml.StartElement:
			depth++
			found = append(found, lines.Replace(text), "start "+token.Name.Local)
			for _, a := range token.Attr {
				if a.Name.Space != "xmlns" && (a.Name.Space != "" || a.Name.Local != "xmlns") {
					found = append(found, a.Name.Local+"="+lines.Replace(a.Value))
				}
			}
		case xml.EndElement:
			depth--
			found = append(found, lines.Replace(text), "end")
		default:
			continue
		}
		text = ""
	}
}
