package api

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"unicode"

	"aliquot/shared/blob"
	"aliquot/shared/fault"
)

// Uploads: the input files of import jobs (reference openspecimen-import-query.md 3.1, design.md section 6).
//
// A file lies at _uploads/<fileId>/<its name> in the intake bucket. The id is 128 random bits and the only way to name
// the file. It starts nothing until a job is made of it, and may be used again.

const (
	uploadPrefix  = "_uploads/"
	fileIDLen     = 32 // hex digits
	maxUploadName = 200
)

func uploadRoutes() []route {
	return []route{
		{pattern: "POST /import-jobs/input-file", summary: "Upload a file to import", answers: uploadView{}, serve: uploadFile},
		{pattern: "POST /import-jobs/input-file/upload-url", summary: "Ask where to upload a file of up to 5 GB", answers: uploadURLView{}, serve: uploadURL},
	}
}

type uploadView struct {
	FileID   string `json:"fileId"`
	Filename string `json:"filename"`
}

// uploadFile stores the part "file" of a multipart body.
func uploadFile(c *call) (any, error) {
	if err := c.mayImport(); err != nil {
		return nil, err
	}
	c.Body = http.MaxBytesReader(c.w, c.Body, maxBody)
	name, part, err := c.filePart()
	if err != nil {
		return nil, err
	}
	id, key, err := c.newUpload(name)
	if err != nil {
		return nil, err
	}
	if err := c.receive(c.api.Intake, key, "text/csv", part, inputTwin); err != nil {
		return nil, err
	}
	return uploadView{id, name}, nil
}

// filePart finds the part "file" of a multipart body.
func (c *call) filePart() (name string, body io.Reader, err error) {
	c.reads.noteBody(aFile)
	parts, err := c.MultipartReader()
	if err != nil {
		return "", nil, invalid("The body must be multipart/form-data with a part named file.")
	}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return "", nil, invalid("The body has no part named file.")
		}
		if err != nil {
			return "", nil, uploadBroke(err)
		}
		if part.FormName() == "file" {
			return fileName(part.FileName()), part, nil
		}
	}
}

// uploadBroke tells a body over the limit, or one that is not whole, from a fault of ours.
func uploadBroke(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return bodyTooLarge("Ask POST " + inputTwin + " for a URL and send larger files there.")
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || strings.HasPrefix(err.Error(), "multipart: ") {
		return invalid("The multipart body is not whole.").Wrap(err)
	}
	return err
}

// uploadURL answers with a URL that takes a file of up to 5 GB.
func uploadURL(c *call) (any, error) {
	if err := c.mayImport(); err != nil {
		return nil, err
	}
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	name := fileName(in.secret("filename")) // as sent: what a name cannot hold is replaced
	if err := in.err(); err != nil {
		return nil, err
	}
	id, key, err := c.newUpload(name)
	if err != nil {
		return nil, err
	}
	put, err := c.presign(c.api.Intake, key, "text/csv")
	if err != nil {
		return nil, err
	}
	return uploadURLView{uploadView{id, name}, put}, nil
}

// inputTwin is the path that gives a URL for input files over 4 MB.
const inputTwin = "/import-jobs/input-file/upload-url"

// uploadURLView names a file and says how to send it.
type uploadURLView struct {
	uploadView
	signedPut
}

// newUpload draws a file id.
func (c *call) newUpload(name string) (id, key string, err error) {
	id, err = c.fileID()
	return id, uploadPrefix + id + "/" + name, err
}

func (c *call) fileID() (string, error) {
	raw := make([]byte, fileIDLen/2)
	if _, err := io.ReadFull(c.api.Random, raw); err != nil {
		return "", fmt.Errorf("draw a file id: %w", err)
	}
	return hex.EncodeToString(raw), nil
}

func isFileID(id string) bool {
	raw, err := hex.DecodeString(id)
	return err == nil && len(raw) == fileIDLen/2 && id == strings.ToLower(id)
}

// upload finds an uploaded file, in its newest version.
func (c *call) upload(id string) (blob.Object, error) {
	missing := fault.New("COMMON_FILE_NOT_FOUND", "There is no uploaded file with the inputFileId %q.", id)
	if !isFileID(id) {
		return blob.Object{}, missing
	}
	list, err := c.api.Blobs.List(c.Context(), c.api.Intake, uploadPrefix+id+"/", "", 1)
	if err != nil {
		return blob.Object{}, err
	}
	if len(list) == 0 {
		return blob.Object{}, missing
	}
	file := blob.Object{Bucket: c.api.Intake, Key: list[0].Key}
	info, err := c.api.Blobs.Head(c.Context(), file)
	if errors.Is(err, blob.ErrNotFound) {
		return blob.Object{}, missing
	}
	file.Version = info.Version
	return file, err
}

// uploadName is the file name in the key of an upload.
func uploadName(key string) string { return path.Base(key) }

// fileName brings a name that a client gave into a form that is safe in a key, a header and a report: its last part,
// without control characters, of at most 200 bytes.
func fileName(name string) string {
	name = path.Base(strings.ReplaceAll(name, `\`, "/"))
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar || strings.ContainsRune(`"%;<>`, r) {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(name, "_"))
	if len(name) > maxUploadName { // the end, since it holds the extension
		name = strings.ToValidUTF8(name[len(name)-maxUploadName:], "")
	}
	if name == "." || name == "/" || name == ".." || name == "" {
		return "input.csv"
	}
	return name
}
