package api

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"

	"aliquot/shared/biobank"
	"aliquot/shared/blob"
	"aliquot/shared/fault"
)

// Path reports of visits (reference openspecimen-rest.md section 14).
//
// A report lies at visit-files/<fileId>/<its name> in the results bucket, where nothing below that prefix expires. Up to
// 4 MB are sent inline; larger ones go to a URL that POST .../spr-file/upload-url gives, and are then attached by sending
// their fileId to POST .../spr-file. A report is served as it was uploaded: one that is no PDF is not made one, whatever
// type asks for.

const visitFilePrefix = "visit-files/"

// maxReportText bounds the text of a report that is shown or sent as text.
const maxReportText = 1 << 20

func reportRoutes() []route {
	path := visits().path + "/{id}"
	return []route{
		{pattern: "GET " + path + "/spr-file", summary: "Download the path report of a visit", answers: file("application/octet-stream"), serve: downloadReport},
		{pattern: "POST " + path + "/spr-file", summary: "Upload the path report of a visit, or attach one that was sent to an upload URL", answers: "", serve: uploadReport},
		{pattern: "POST " + path + "/spr-file/upload-url", summary: "Ask where to upload a path report of up to 5 GB", answers: uploadURLView{}, serve: reportURL},
		{pattern: "DELETE " + path + "/spr-file", summary: "Take the path report from a visit", answers: true, serve: deleteReport},
		{pattern: "GET " + path + "/spr-text", summary: "Read the text of a path report", answers: "", serve: reportText},
		{pattern: "PUT " + path + "/spr-text", summary: "Replace the text of a path report", answers: "", serve: setReportText},
		{pattern: "PUT " + path + "/spr-lock", summary: "Lock or unlock a path report", answers: reportLockView{}, serve: lockReport},
	}
}

// stored finds the file of a report, which must be there.
func (c *call) stored(report *biobank.ReportFile) (blob.Object, blob.Info, error) {
	file := blob.Object{Bucket: c.api.Results, Key: visitFilePrefix + report.FileID + "/" + report.Name}
	info, err := c.api.Blobs.Head(c.Context(), file)
	if errors.Is(err, blob.ErrNotFound) {
		err = fault.New("VISIT_UNABLE_TO_LOCATE_SPR", "The file of the path report is not there any more.")
	}
	return file, info, err
}

func downloadReport(c *call) (any, error) {
	c.query().text("type")
	id, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	report, err := c.api.Registry.Report(c.Context(), c.actor, id)
	if err != nil {
		return nil, err
	}
	file, info, err := c.stored(report)
	if err != nil {
		return nil, err
	}
	return c.hand(file, info.Size, report.Name, func(body []byte) any { return download{report.Name, body} })
}

// uploadReport serves POST /{id}/spr-file: the part "file" of a multipart body, or {"fileId", "filename"} of a file that was
// sent to an upload URL. It answers with the name.
func uploadReport(c *call) (any, error) {
	if !strings.HasPrefix(c.Header.Get("Content-Type"), "multipart/") {
		return attachReport(c)
	}
	id, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	if _, err := c.api.Registry.MayUpload(c.Context(), c.actor, id); err != nil {
		return nil, err
	}
	c.Body = http.MaxBytesReader(c.w, c.Body, maxBody)
	name, part, err := c.filePart()
	if err != nil {
		return nil, err
	}
	return c.saveReport(id, name, part)
}

// saveReport stores a report and makes it the visit's.
func (c *call) saveReport(visit int64, name string, body io.Reader) (any, error) {
	report, key, err := c.newReport(name)
	if err != nil {
		return nil, err
	}
	if err := c.receive(c.api.Results, key, "application/octet-stream", body, "/visits/{id}/spr-file/upload-url"); err != nil {
		return nil, err
	}
	_, err = c.apply(biobank.Change{Op: biobank.Update, Draft: &biobank.ReportDraft{VisitID: visit, File: report}})
	return report.Name, err
}

// newReport draws the id of a file.
func (c *call) newReport(name string) (*biobank.ReportFile, string, error) {
	id, err := c.fileID()
	return &biobank.ReportFile{Name: name, FileID: id}, visitFilePrefix + id + "/" + name, err
}

func reportURL(c *call) (any, error) {
	name, err := c.sentFileName()
	if err != nil {
		return nil, err
	}
	id, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	if _, err := c.api.Registry.MayUpload(c.Context(), c.actor, id); err != nil {
		return nil, err
	}
	report, key, err := c.newReport(name)
	if err != nil {
		return nil, err
	}
	put, err := c.presign(c.api.Results, key, "application/octet-stream")
	if err != nil {
		return nil, err
	}
	return uploadURLView{uploadView{report.FileID, name}, put}, nil
}

// attachReport makes a file that was sent to an upload URL the visit's report.
func attachReport(c *call) (any, error) {
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	report := &biobank.ReportFile{FileID: in.text("fileId"), Name: fileName(in.text("filename"))}
	if err := in.err(); err != nil {
		return nil, err
	}
	if raw, err := hex.DecodeString(report.FileID); err != nil || len(raw) != fileIDLen/2 {
		return nil, invalid("Send the report as the part file of a multipart/form-data body, or the fileId of an uploaded one.")
	}
	id, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	if _, err := c.api.Registry.MayUpload(c.Context(), c.actor, id); err != nil {
		return nil, err
	}
	if _, _, err := c.stored(report); err != nil {
		return nil, err
	}
	_, err = c.apply(biobank.Change{Op: biobank.Update, Draft: &biobank.ReportDraft{VisitID: id, File: report}})
	return report.Name, err
}

func deleteReport(c *call) (any, error) {
	id, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	_, err = c.apply(biobank.Change{Op: biobank.Update, Draft: &biobank.ReportDraft{VisitID: id, Remove: true}})
	return err == nil, err
}

// reportText serves the text of a report that is a text.
func reportText(c *call) (any, error) {
	id, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	report, err := c.api.Registry.Report(c.Context(), c.actor, id)
	if err != nil {
		return nil, err
	}
	body, err := c.textOf(report)
	return string(body), err
}

func (c *call) textOf(report *biobank.ReportFile) ([]byte, error) {
	file, info, err := c.stored(report)
	if err != nil {
		return nil, err
	}
	noText := fault.New("VISIT_NON_TEXT_SPR", "The path report is no text of up to 1 MB.")
	if info.Size > maxReportText {
		return nil, noText
	}
	body, err := c.api.Blobs.Get(c.Context(), file, maxReportText)
	if err == nil && !strings.HasPrefix(http.DetectContentType(body), "text/") {
		err = noText
	}
	return body, err
}

// setReportText serves PUT /{id}/spr-text {sprText}: the text in place of that of the report, or as the first report.
func setReportText(c *call) (any, error) {
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	text := in.secret("sprText")
	if err := in.err(); err != nil {
		return nil, err
	}
	if strings.TrimSpace(text) == "" || len(text) > maxReportText {
		return nil, fault.New("COMMON_INVALID_INPUT", "Give the sprText, of up to 1 MB.")
	}
	id, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	report, err := c.api.Registry.MayUpload(c.Context(), c.actor, id)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("spr_%d.txt", id)
	if report != nil {
		if _, err := c.textOf(report); err != nil {
			return nil, err
		}
		name = strings.TrimSuffix(report.Name, path.Ext(report.Name)) + ".txt"
	}
	if _, err := c.saveReport(id, name, strings.NewReader(text)); err != nil {
		return nil, err
	}
	return text, nil
}

type reportLockView struct {
	VisitID int64 `json:"visitId"`
	Locked  bool  `json:"locked"`
}

// lockReport serves PUT /{id}/spr-lock {locked}.
func lockReport(c *call) (any, error) {
	id, in, err := c.idAndBody()
	if err != nil {
		return nil, err
	}
	lock := in.maybeFlag("locked")
	if err := in.err(); err != nil {
		return nil, err
	}
	if lock == nil {
		return nil, invalid("Give locked as true or false.")
	}
	_, err = c.apply(biobank.Change{Op: biobank.Update, Draft: &biobank.ReportDraft{VisitID: id, Lock: lock}})
	return reportLockView{id, *lock}, err
}
