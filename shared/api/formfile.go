package api

import (
	"mime"
	"net/http"

	"aliquot/shared/biobank"
	"aliquot/shared/blob"
	"aliquot/shared/fault"
)

// Files of forms (reference openspecimen-rest.md 18.4 has their values, and leaves open how they get there). A file is
// uploaded first, which gives {filename, fileId, contentType}, and then sent as the value of a field.
//
// It lies at form-files/<fileId>/<its name> in the results bucket, where nothing expires. The id is 128 random bits and
// the only way to name the file: whoever may see the record knows it.

const formFilePrefix = "form-files/"

func formFileRoutes() []route {
	return []route{
		{pattern: "POST /form-files", summary: "Upload a file for a field of a form", answers: biobank.FormFile{}, serve: uploadFormFile},
		{pattern: "POST /form-files/upload-url", summary: "Ask for a URL that takes a file for a field of a form, of up to 5 GB", answers: formFileLink{}, serve: formFileURL},
		{pattern: "GET /form-files", summary: "Download a file of a form", answers: file("application/octet-stream"), serve: func(c *call) (any, error) { return c.formFile(c.query().text("fileId")) }},
		{pattern: "GET /form-files/{fileId}", summary: "Download a file of a form", answers: file("application/octet-stream"), serve: func(c *call) (any, error) { return c.formFile(c.PathValue("fileId")) }},
	}
}

// newFormFile draws the id of a file and says where it lies. Which record it is for is told later; who may change none has
// no use for one.
func (c *call) newFormFile(name string) (biobank.FormFile, string, error) {
	if !c.actor.CanWrite() {
		return biobank.FormFile{}, "", fault.New("RBAC_ACCESS_DENIED", "You do not have the right to upload files for records.")
	}
	id, err := c.fileID()
	return biobank.FormFile{Filename: name, FileID: id}, formFilePrefix + id + "/" + name, err
}

func uploadFormFile(c *call) (any, error) {
	c.Body = http.MaxBytesReader(c.w, c.Body, maxBody)
	name, part, err := c.filePart()
	if err != nil {
		return nil, err
	}
	f, key, err := c.newFormFile(name)
	if err != nil {
		return nil, err
	}
	return f, c.receive(c.api.Results, key, "application/octet-stream", part, "/form-files/upload-url")
}

// formFileLink has the URL beside what a field takes as its value.
type formFileLink struct {
	biobank.FormFile
	signedPut
}

func formFileURL(c *call) (any, error) {
	name, err := c.sentFileName()
	if err != nil {
		return nil, err
	}
	f, key, err := c.newFormFile(name)
	if err != nil {
		return nil, err
	}
	put, err := c.presign(c.api.Results, key, "application/octet-stream")
	if err != nil {
		return nil, err
	}
	return formFileLink{f, put}, nil
}

// findFormFile finds an uploaded file.
func (c *call) findFormFile(id string) (blob.Object, error) {
	missing := fault.New("FORMS_FILE_NOT_FOUND", "There is no uploaded file with that fileId.")
	if !isFileID(id) {
		return blob.Object{}, missing
	}
	list, err := c.api.Blobs.List(c.Context(), c.api.Results, formFilePrefix+id+"/", "", 1)
	if err != nil {
		return blob.Object{}, err
	}
	if len(list) == 0 {
		return blob.Object{}, missing
	}
	return blob.Object{Bucket: c.api.Results, Key: list[0].Key}, nil
}

// formFile answers with a file, or, over 4 MB, with where to get it.
func (c *call) formFile(id string) (any, error) {
	f, err := c.findFormFile(id)
	if err != nil {
		return nil, err
	}
	info, err := c.api.Blobs.Head(c.Context(), f)
	if err != nil {
		return nil, err
	}
	name := uploadName(f.Key)
	return c.hand(f, info.Size, name, func(body []byte) any { return download{name, body} })
}

// download is a file that a browser saves and never shows: what somebody uploaded must not run where the API does.
type download struct {
	name string
	body []byte
}

func (d download) write(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": d.name}))
	_, _ = w.Write(d.body) // the caller may have hung up
	return nil
}

// filesOf checks that the files that are sent as values were uploaded, those in sub-forms, too.
func (c *call) filesOf(controls []*biobank.Control, values map[string]any) error {
	for _, ctl := range controls {
		for _, name := range []string{ctl.Name, ctl.UDN} {
			switch v := values[name].(type) {
			case map[string]any:
				if id, ok := v["fileId"].(string); ok && ctl.Kind == biobank.KindFile {
					if _, err := c.findFormFile(id); err != nil {
						return err
					}
				}
			case []any:
				for _, row := range v {
					if row, ok := row.(map[string]any); ok {
						if err := c.filesOf(ctl.Controls, row); err != nil {
							return err
						}
					}
				}
			}
		}
	}
	return nil
}
