package odmapi

import (
	"aliquot/shared/clinical"
)

// The metadata of studies (section 8.2). The endpoints are ours.

func metadataRoutes() []route {
	return []route{
		{pattern: "PUT /studies/{study}/metadata", serve: putMetadata},
		{pattern: "POST /studies/{study}/metadata/upload-url", serve: metadataURL},
	}
}

type metadataView struct {
	studyView
	Events   int      `json:"events"`
	Forms    int      `json:"forms"`
	Items    int      `json:"items"`
	Warnings []string `json:"warnings"`
}

// putMetadata makes an ODM document the next version of a study's metadata: the body, the part "file" of a multipart body,
// or the upload whose UUID is given as ?upload. Counts are of all that is known, with what is archived.
func putMetadata(c *call) (any, error) {
	p, err := c.api.Registry.PlaceOf(c.Context(), c.PathValue("study"), "")
	if err != nil {
		return nil, err
	}
	if err := c.actor.MayManage(p); err != nil { // before a large body is looked at
		return nil, err
	}
	var document []byte
	if uuid := c.URL.Query().Get("upload"); uuid != "" {
		document, err = c.uploadedMetadata(uuid)
	} else {
		var in *parts
		if in, err = c.parts("POST /studies/{oid}/metadata/upload-url"); err == nil && !isXML(in.name) {
			err = clinical.FileFormatNotSupported
		}
		if err == nil {
			document = in.document
		}
	}
	if err != nil {
		return nil, err
	}
	p, meta, err := c.api.Registry.PutMetadata(c.Context(), c.by(), c.PathValue("study"), document)
	if err != nil {
		return nil, err
	}
	v := metadataView{
		studyView: c.showPlace(p), Events: len(meta.Study.Events), Forms: len(meta.Study.Forms), Items: len(meta.Study.Items),
		Warnings: meta.Warnings,
	}
	if v.Warnings == nil {
		v.Warnings = []string{}
	}
	return v, nil
}

// metadataURL answers {"filename"} with where to put a document of up to 64 MB, of which a Study may take 16 MB in memory.
func metadataURL(c *call) (any, error) {
	p, err := c.api.Registry.PlaceOf(c.Context(), c.PathValue("study"), "")
	if err != nil {
		return nil, err
	}
	if err := c.actor.MayManage(p); err != nil {
		return nil, err
	}
	var in struct{ Filename string }
	if err := c.read(&in); err != nil {
		return nil, err
	}
	return c.upload(in.Filename, false)
}
