package api

import (
	"errors"
	"net/http"
	"path"
	"strconv"

	"aliquot/shared/biobank"
	"aliquot/shared/blob"
	"aliquot/shared/fault"
)

// Signed consent forms. A file lies at consent-forms/<registration>/<fileId>/<its name> in the results bucket; the
// registration names the one that counts. One that is replaced or deleted stays in the bucket, where no call of
// the API leads to it any more: it was signed, and the audit names it.

const consentFormPrefix = "consent-forms/"

func consentFormRoutes() []route {
	path := registrations().path + "/{id}/consent-form"
	return []route{
		{pattern: "GET " + path, summary: "Download the signed consent form", answers: file("application/octet-stream"), serve: getConsentForm},
		{pattern: "POST " + path, summary: "Store the signed consent form", answers: "", serve: sendConsentForm},
		{pattern: "PUT " + path, summary: "Name as the signed consent form a file that was sent to the URL of upload-url", answers: "", serve: takeConsentForm},
		{pattern: "POST " + path + "/upload-url", summary: "Ask for a URL that takes a signed consent form of up to 5 GB", answers: uploadURLView{}, serve: consentFormURL},
		{pattern: "DELETE " + path, summary: "Delete the signed consent form", answers: true, serve: deleteConsentForm},
	}
}

func formFolder(reg int64, fileID string) string {
	return consentFormPrefix + strconv.FormatInt(reg, 10) + "/" + fileID + "/"
}

// toConsent is consented for a form that is about to be stored.
func (c *call) toConsent() (*biobank.Record, error) {
	rec, _, protocol, err := c.consented(biobank.OpUpdate)
	if err == nil && protocol.ConsentsWaived {
		err = fault.New("CP_CONSENTS_WAIVED", "Consents are waived in collection protocol %q.", protocol.ShortTitle)
	}
	return rec, err
}

// sendConsentForm stores the part "file" of a multipart body and answers with its name.
func sendConsentForm(c *call) (any, error) {
	c.Body = http.MaxBytesReader(c.w, c.Body, maxBody)
	name, part, err := c.filePart()
	if err != nil {
		return nil, err
	}
	rec, err := c.toConsent()
	if err != nil {
		return nil, err
	}
	id, err := c.fileID()
	if err != nil {
		return nil, err
	}
	form := &biobank.ConsentForm{Name: name, Key: formFolder(rec.ID, id) + name}
	twin := registrations().path + "/{id}/consent-form/upload-url"
	if err := c.receive(c.api.Results, form.Key, "application/octet-stream", part, twin); err != nil {
		return nil, err
	}
	return name, c.setForm(rec.ID, form)
}

// takeConsentForm has the registration name a file that was sent to the URL of upload-url, and answers with its name.
func takeConsentForm(c *call) (any, error) {
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	id := in.text("fileId")
	if err := in.err(); err != nil {
		return nil, err
	}
	rec, err := c.toConsent()
	if err != nil {
		return nil, err
	}
	form, err := c.uploadedForm(rec.ID, id)
	if err != nil {
		return nil, err
	}
	return form.Name, c.setForm(rec.ID, form)
}

// uploadedForm finds a file that was sent to a URL for this registration.
func (c *call) uploadedForm(reg int64, id string) (*biobank.ConsentForm, error) {
	missing := fault.New("COMMON_FILE_NOT_FOUND", "There is no uploaded consent form with the fileId %q.", id)
	if !isFileID(id) {
		return nil, missing
	}
	list, err := c.api.Blobs.List(c.Context(), c.api.Results, formFolder(reg, id), "", 1)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, missing
	}
	return &biobank.ConsentForm{Name: path.Base(list[0].Key), Key: list[0].Key}, nil
}

func consentFormURL(c *call) (any, error) {
	name, err := c.sentFileName()
	if err != nil {
		return nil, err
	}
	rec, err := c.toConsent()
	if err != nil {
		return nil, err
	}
	id, err := c.fileID()
	if err != nil {
		return nil, err
	}
	put, err := c.presign(c.api.Results, formFolder(rec.ID, id)+name, "application/octet-stream")
	if err != nil {
		return nil, err
	}
	return uploadURLView{uploadView{id, name}, put}, nil
}

// getConsentForm answers with the file, or, over 4 MB, with a URL for it.
func getConsentForm(c *call) (any, error) {
	_, doc, _, err := c.consented(biobank.OpRead)
	if err != nil {
		return nil, err
	}
	missing := fault.New("CPR_CONSENT_FORM_NOT_FOUND", "The registration has no signed consent form.")
	if doc.Consents == nil || doc.Consents.Form == nil {
		return nil, missing
	}
	form := doc.Consents.Form
	object := blob.Object{Bucket: c.api.Results, Key: form.Key}
	info, err := c.api.Blobs.Head(c.Context(), object)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, missing
	} else if err != nil {
		return nil, err
	}
	return c.hand(object, info.Size, form.Name, func(body []byte) any {
		return attachment{name: form.Name, contentType: "application/octet-stream", body: body}
	})
}

func deleteConsentForm(c *call) (any, error) {
	rec, _, _, err := c.consented(biobank.OpUpdate)
	if err != nil {
		return nil, err
	}
	return true, c.setForm(rec.ID, &biobank.ConsentForm{})
}

// setForm has the registration name a form. The one that it named before stays where it is: it was signed, and the audit
// names it.
func (c *call) setForm(reg int64, form *biobank.ConsentForm) error {
	d := &biobank.ConsentDraft{Registration: biobank.RegistrationDraft{ID: reg}, Form: form}
	_, err := c.apply(biobank.Change{Op: biobank.Update, ByID: true, Draft: d})
	return err
}
