package odmapi

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"path"
	"strings"

	"aliquot/shared/clinical"
)

// parts are what an import's body holds (section 2.2). A body that is not multipart is the document itself.
type parts struct {
	name     string // of the document's file
	document []byte
	zips     [][]byte
}

// maxFileName bounds a file's name, in bytes.
const maxFileName = 200

// parts reads a body of up to 4 MB. A multipart body without a part named file gives parts without a name.
// hint tells what to do with a larger one. One that is not whole is refused as a file of a wrong format, with the reason; the
// reference does not say how.
func (c *call) parts(hint string) (*parts, error) {
	body, err := c.body(hint)
	if err != nil {
		return nil, err
	}
	contentType := c.Header.Get("Content-Type")
	kind, _, _ := strings.Cut(contentType, ";")
	if !strings.EqualFold(strings.TrimSpace(kind), "multipart/form-data") {
		return &parts{name: unnamed, document: body}, nil
	}
	between := boundary(contentType, body)
	if !bytes.Contains(body, []byte("--"+between+"--")) {
		return nil, notWhole() // Go's reader takes some ends within a part for the end of all
	}
	p := &parts{}
	for r := multipart.NewReader(bytes.NewReader(body), between); ; {
		part, err := r.NextPart()
		if errors.Is(err, io.EOF) {
			return p, nil
		}
		if err != nil {
			return nil, notWhole()
		}
		content, err := io.ReadAll(part)
		if err != nil {
			return nil, notWhole()
		}
		if part.FileName() == "" && len(content) == 0 {
			continue // a form's field for a file that nobody chose
		}
		switch part.FormName() {
		case "file":
			if p.name == "" {
				p.name, p.document = fileName(part.FileName()), content
			}
		case "attachedFilesZip":
			p.zips = append(p.zips, content)
		}
	}
}

func notWhole() error {
	return named{clinical.FileFormatNotSupported, "\nThe multipart body is not whole."}
}

// boundary is what parts a body. A line of the vendor's documentation makes curl send two boundaries, of which the last is
// the true one (section 2.2); Go's parser refuses such a header. Where the body does not hold it, its first line tells.
func boundary(contentType string, body []byte) string {
	found := ""
	for _, param := range strings.Split(contentType, ";")[1:] {
		name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		if strings.EqualFold(strings.TrimSpace(name), "boundary") {
			found = strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	if found != "" && bytes.Contains(body, []byte("--"+found)) {
		return found
	}
	line, _, _ := bytes.Cut(body, []byte("\n"))
	if first, is := bytes.CutPrefix(bytes.TrimRight(line, "\r"), []byte("--")); is {
		return string(first)
	}
	return found
}

// fileName is the last part of a name that a client gave, safe in a key and a header.
func fileName(name string) string {
	name = path.Base(strings.ReplaceAll(name, `\`, "/"))
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' || strings.ContainsRune(`"%;<>`, r) {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(name, "_"))
	if len(name) > maxFileName { // the end, since it holds the extension
		name = strings.ToValidUTF8(name[len(name)-maxFileName:], "")
	}
	return name
}

// isXML tells whether a file's name says that it is XML, in whatever case.
func isXML(name string) bool { return strings.EqualFold(path.Ext(name), ".xml") }
