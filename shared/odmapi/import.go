package odmapi

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"aliquot/shared/archive"
	"aliquot/shared/blob"
	"aliquot/shared/clinical"
	"aliquot/shared/fault"
	"aliquot/shared/odm"
	"aliquot/shared/odmimport"
)

// The import (sections 2.1 to 2.3): a document, and perhaps a ZIP with the files that it names, are checked as far as a
// request can, stored, and made a job.

func importRoutes() []route {
	return []route{
		{pattern: "POST /clinicaldata", tell: asText, serve: importDocument},
		{pattern: "POST /clinicaldata/import", tell: asText, serve: importDocument},
		{pattern: "POST /clinicaldata/import/xml", tell: asText, serve: importDocument},
		{pattern: "POST /clinicaldata/import/upload-url", serve: importURL},
		{pattern: "POST /clinicaldata/import/{uuid}", tell: asText, serve: importUpload},
	}
}

// importDocument takes a document with the request, and answers with the job's UUID. A request with an Idempotency-Key makes
// one job, however often it is sent.
func importDocument(c *call) (any, error) {
	in, err := c.parts("Ask POST /clinicaldata/import/upload-url for a URL and send larger files there.")
	if err != nil {
		return nil, err
	}
	if !isXML(in.name) {
		return nil, clinical.FileFormatNotSupported
	}
	study, err := studyOf(bytes.NewReader(in.document), true)
	if err != nil {
		return nil, err
	}
	id, answer, err := c.once(odmimport.TypeImport, study, in)
	if answer != nil || err != nil {
		return answer, err
	}
	p, err := c.target(study)
	if err != nil {
		return nil, err
	}
	files, err := attachedFiles(in.zips)
	if err != nil {
		return nil, err
	}
	if err := c.complete(p, in.document, files); err != nil {
		return nil, err
	}
	file := blob.Object{Bucket: c.api.Intake, Key: documentKey(id.uuid)}
	info, err := c.api.Blobs.Put(c.Context(), file.Bucket, file.Key, "application/xml", in.document)
	if err != nil {
		return nil, err
	}
	file.Version = info.Version
	var attached blob.Object
	if len(in.zips) > 0 {
		attached = blob.Object{Bucket: file.Bucket, Key: attachedKey(id.uuid)}
		info, err := c.api.Blobs.Put(c.Context(), attached.Bucket, attached.Key, "application/zip", in.zips[0])
		if err != nil {
			return nil, err
		}
		attached.Version = info.Version
	}
	return c.newJob(odmimport.TypeImport, p, id, in.name, file, attached)
}

// maxHead is how much of a large document is looked at for its first ClinicalData. Metadata stand before it, of which a study
// can have 64 MB.
const maxHead = maxMetadata

// errHead refuses a document whose first ClinicalData does not begin in time: reading on could take longer than an answer may.
var errHead error = &odm.Fault{Kind: odm.TooLarge, Line: 1, Byte: maxHead, Reason: "the first ClinicalData does not begin within 64 MB"}

// head is the beginning of a document, behind which it refuses to be read.
type head struct {
	in   io.Reader
	left int
}

// Read implements io.Reader.
func (h *head) Read(p []byte) (int, error) {
	if h.left == 0 {
		return 0, errHead
	}
	n, err := h.in.Read(p[:min(len(p), h.left)])
	h.left -= n
	return n, err
}

// studyOf is the OID of a document's first ClinicalData. With whole the rest of the document is read, too, to see that it is
// one; otherwise no more than 64 MB are.
func studyOf(document io.Reader, whole bool) (string, error) {
	if !whole {
		document = &head{document, maxHead}
	}
	in := odm.NewReader(document)
	study := ""
	for first := true; ; {
		part, err := in.Next()
		switch {
		case errors.Is(err, io.EOF):
			if clinical.Fold(study) == "" {
				return "", clinical.MissingStudyOID
			}
			return study, nil
		case err != nil:
			return "", clinical.NotReadable(err)
		}
		if data, is := part.(*odm.ClinicalData); is && first {
			study, first = data.StudyOID, false
			if !whole {
				if clinical.Fold(study) == "" {
					return "", clinical.MissingStudyOID
				}
				return study, nil
			}
		}
	}
}

// target is the study or site that data are for, in the order of the checks of section 2.3. A study without metadata takes
// no data, so it is not available.
func (c *call) target(oid string) (*clinical.Place, error) {
	p, err := c.api.Registry.Place(c.Context(), oid)
	if err != nil {
		return nil, err
	}
	if err := p.Open(); err != nil {
		return nil, err
	}
	if p.Study.Version == 0 {
		return nil, clinical.StudyOIDNotAvailable
	}
	return p, c.actor.MayChange(p)
}

// attachedFiles reads the directory of the ZIP that came along, nil for none.
func attachedFiles(zips [][]byte) (odmimport.Named, error) {
	switch len(zips) {
	case 0:
		return nil, nil
	case 1:
		return directory(bytes.NewReader(zips[0]), int64(len(zips[0])))
	}
	return nil, clinical.MultipleFiles
}

// directory finds the files of a ZIP by their base names. One that cannot be read is told as a file of a wrong format, with
// the reason; the reference does not say how.
func directory(in io.ReaderAt, size int64) (odmimport.Named, error) {
	z, err := archive.Open(in, size)
	var refused *archive.Refused
	if errors.As(err, &refused) {
		return nil, named{clinical.FileFormatNotSupported, "\nThe ZIP of attached files cannot be read: " + refused.Reason}
	}
	if err != nil {
		return nil, err
	}
	files, err := odmimport.ByBaseName(z)
	if all := fault.All(err); len(all) > 0 {
		return nil, named{clinical.FileFormatNotSupported, "\n" + all[0].Message}
	}
	return files, err
}

// maxLooked is how many participants are looked at for files that they have already. What is over it is left to the rows.
const maxLooked = 20

// complete tells whether every file that a document names came along with it, or is what the item has already, as when
// something is imported again.
func (c *call) complete(p *clinical.Place, document []byte, files odmimport.Named) error {
	meta, err := c.api.Registry.Metadata(c.Context(), p.Study)
	if err != nil {
		return err
	}
	if !meta.Study.HasFiles() {
		return nil
	}
	stored := map[string]map[clinical.Stored]bool{}
	var subject odm.SubjectData
	for in := odm.NewReader(bytes.NewReader(document)); ; {
		part, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return clinical.NotReadable(err)
		}
		if s, is := part.(*odm.SubjectData); is {
			subject = *s
		}
		g, is := part.(*odm.ItemGroupData)
		if !is {
			continue
		}
		for i := range g.ItemData {
			d := &g.ItemData[i]
			item := meta.Study.Items[clinical.Fold(d.ItemOID)]
			if item == nil || !item.File || d.NoValue || d.Value == "" || files.File(d.Value) != nil {
				continue
			}
			who := subject.SubjectKey + "/" + subject.StudySubjectID
			if stored[who] == nil {
				if len(stored) == maxLooked {
					return nil
				}
				if stored[who], err = c.api.Registry.StoredFiles(c.Context(), c.actor, p, subject.SubjectKey, subject.StudySubjectID); err != nil {
					return err
				}
			}
			if !stored[who][clinical.Stored{Item: item.OID, Value: d.Value}] {
				return named{clinical.MissingItemFile, "." + oneLine(d.Value)}
			}
		}
	}
}

// oneLine keeps a value from looking like more than the one line that the answer is.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, s)
}
