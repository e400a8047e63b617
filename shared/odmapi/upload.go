package odmapi

import (
	"cmp"
	"errors"
	"io"
	"net/http"
	"strings"

	"aliquot/shared/archive"
	"aliquot/shared/blob"
	"aliquot/shared/clinical"
	"aliquot/shared/fault"
	"aliquot/shared/odmimport"
)

// Uploads past the gateway, for what is over 4 MB (design.md section 6). The endpoints are ours.
//
// A document lies at _uploads/odm/<uuid>/document.xml in the intake bucket, its ZIP beside it: below _uploads nothing is taken
// for a dropped file. The UUID is 122 random bits and the only way to name the upload. What the client calls the document may
// name a person, so it is in no key; until there is a job to keep it, it lies there, too.

const uploadPrefix = "_uploads/odm/"

func documentKey(uuid string) string { return uploadPrefix + uuid + "/document.xml" }

func nameKey(uuid string) string { return uploadPrefix + uuid + "/name.txt" }

// unnamed is what a document is called that came without a name.
const unnamed = "import.xml"

func tableKey(uuid string) string { return uploadPrefix + uuid + "/table.csv" }

func attachedKey(uuid string) string { return uploadPrefix + uuid + "/attached.zip" }

type putView struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
}

// presign is a URL that takes an object of up to 5 GB.
func (c *call) presign(key, contentType string) (*putView, error) {
	put, err := c.api.Blobs.PresignPut(c.Context(), c.api.Intake, key, contentType, linkFor)
	if err != nil {
		return nil, err
	}
	v := &putView{put.Method, put.URL, map[string]string{}}
	for name := range put.Header {
		if http.CanonicalHeaderKey(name) != "Content-Length" {
			v.Headers[name] = put.Header.Get(name)
		}
	}
	return v, nil
}

type uploadView struct {
	UUID     string   `json:"uuid"`
	File     *putView `json:"file"`
	Attached *putView `json:"attachedFilesZip,omitempty"`
}

// upload draws a UUID with URLs for a document and, if wanted, its ZIP.
func (c *call) upload(name string, attached bool) (*uploadView, error) {
	name = fileName(cmp.Or(name, unnamed))
	if !isXML(name) {
		return nil, clinical.FileFormatNotSupported
	}
	uuid, err := odmimport.NewUUID(c.api.Random)
	if err != nil {
		return nil, err
	}
	v := &uploadView{UUID: uuid}
	if v.File, err = c.presign(documentKey(uuid), "application/xml"); err != nil {
		return nil, err
	}
	if _, err := c.api.Blobs.Put(c.Context(), c.api.Intake, nameKey(uuid), "text/plain", []byte(name)); err != nil {
		return nil, err
	}
	if attached {
		v.Attached, err = c.presign(attachedKey(uuid), "application/zip")
	}
	return v, err
}

// importURL answers {"filename","attachedFilesZip":true} with where to put the document and the ZIP, for whoever may import
// anywhere. Then POST /clinicaldata/import/{uuid} starts the import.
func importURL(c *call) (any, error) {
	if !c.actor.Imports() {
		return nil, clinical.NoSufficientPrivileges
	}
	var in struct {
		Filename         string
		AttachedFilesZip bool
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	return c.upload(in.Filename, in.AttachedFilesZip)
}

// uploaded is an upload as it lies, in the versions that were there when it was looked at.
type uploaded struct {
	document blob.Object
	name     string
	size     int64
	attached blob.Object // without a key where there is none
	zipSize  int64
}

// uploaded finds an upload by its UUID. The refusal is InvalidUUID for one that is unknown or has no document yet.
func (c *call) uploaded(uuid string) (*uploaded, error) {
	uuid = strings.ToLower(uuid)
	if !isUUID(uuid) {
		return nil, clinical.InvalidUUID
	}
	const more = 8 // there are three
	list, err := c.api.Blobs.List(c.Context(), c.api.Intake, uploadPrefix+uuid+"/", "", more)
	if err != nil {
		return nil, err
	}
	up := &uploaded{}
	for _, o := range list {
		switch o.Key {
		case documentKey(uuid):
			up.document.Key = o.Key
		case attachedKey(uuid):
			up.attached.Key = o.Key
		}
	}
	if up.document.Key == "" {
		return nil, clinical.InvalidUUID
	}
	name, err := c.api.Blobs.Get(c.Context(), blob.Object{Bucket: c.api.Intake, Key: nameKey(uuid)}, maxFileName)
	switch {
	case errors.Is(err, blob.ErrNotFound): // it came with an import, or its name, which is older, is gone
		name = []byte(unnamed)
	case err != nil:
		return nil, err
	}
	up.name = string(name)
	if up.size, err = c.pin(&up.document); err == nil && up.attached.Key != "" {
		up.zipSize, err = c.pin(&up.attached)
	}
	return up, err
}

// pin makes an object of the intake bucket the version that is there now, and tells its size. The URL of an upload is good
// for another one: what is checked must be what is imported.
func (c *call) pin(o *blob.Object) (size int64, err error) {
	o.Bucket = c.api.Intake
	info, err := c.api.Blobs.Head(c.Context(), *o)
	o.Version = info.Version
	return info.Size, err
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case (c < '0' || c > '9') && (c < 'a' || c > 'f'):
			return false
		}
	}
	return true
}

// importUpload starts the import of an upload, once: asked again, it answers with the same job. Of a large document only the
// beginning is read here, up to its first ClinicalData; what is wrong further on ends the job, and a file that is missing
// is told in its row.
func importUpload(c *call) (any, error) {
	if known, err := c.jobOf(c.PathValue("uuid")); err != nil {
		return nil, err
	} else if known != nil {
		if known.OwnerID != c.actor.ID || known.Deleted {
			return nil, clinical.InvalidUUID
		}
		return text("job uuid: " + known.UUID), nil
	}
	up, err := c.uploaded(c.PathValue("uuid"))
	if err != nil {
		return nil, err
	}
	in, err := c.api.Blobs.Open(c.Context(), up.document, 0, -1)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	small := up.size <= maxBody
	study, err := studyOf(in, small)
	if err != nil {
		return nil, err
	}
	p, err := c.target(study)
	if err != nil {
		return nil, err
	}
	var files odmimport.Named
	if up.attached.Key != "" {
		open := func(from, to int64) (io.ReadCloser, error) {
			return c.api.Blobs.Open(c.Context(), up.attached, from, to)
		}
		if files, err = directory(&archive.Ranged{Size: up.zipSize, Open: open}, up.zipSize); err != nil {
			return nil, err
		}
	}
	if small {
		document, err := c.api.Blobs.Get(c.Context(), up.document, maxBody)
		if err != nil {
			return nil, err
		}
		if err := c.complete(p, document, files); err != nil {
			return nil, err
		}
	}
	return c.newJob(odmimport.TypeImport, p, identity{uuid: strings.ToLower(c.PathValue("uuid"))}, up.name, up.document, up.attached)
}

// maxMetadata is the largest document of metadata that is read from an upload.
const maxMetadata = 64 << 20

// uploadedMetadata reads the document of an upload.
func (c *call) uploadedMetadata(uuid string) ([]byte, error) {
	up, err := c.uploaded(uuid)
	if err != nil {
		return nil, err
	}
	if up.size > maxMetadata {
		return nil, fault.New("COMMON_INVALID_INPUT", "A document of metadata has at most %d MB.", maxMetadata>>20)
	}
	return c.api.Blobs.Get(c.Context(), up.document, maxMetadata)
}
