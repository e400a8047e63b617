package odmapi

import (
	"errors"

	"aliquot/shared/blob"
	"aliquot/shared/clinical"
)

// Files that values of items name. They come with imports (section 3.7); the reference has no call that gives one back, so
// these are ours.

func fileRoutes() []route {
	const study, site = "/clinicaldata/studies/{study}/files", "/clinicaldata/studies/{study}/sites/{site}/files"
	return []route{
		{pattern: "GET " + study, tell: asOwnMessage, serve: showFile},
		{pattern: "GET " + site, tell: asOwnMessage, serve: showFile},
	}
}

// showFile sends whoever may read there to the file of an item, which is named by the parameters subjectKey, studyEventOID,
// studyEventRepeatKey, formOID, itemGroupOID, itemGroupRepeatKey and itemOID; repeat keys are 1 unless given. The file comes
// from another host, as an attachment of no particular type, whatever is in it: so that no browser shows it as a page of ours.
func showFile(c *call) (any, error) {
	p, err := c.sitePlace()
	if err != nil {
		return nil, err
	}
	if err := c.actor.MayRead(p); err != nil {
		return nil, err
	}
	meta, err := c.api.Registry.Metadata(c.Context(), p.Study)
	if err != nil {
		return nil, err
	}
	q := c.URL.Query()
	f, err := c.api.Registry.File(c.Context(), c.actor, p, meta, clinical.ItemPath{
		Label: q.Get("subjectKey"), Event: q.Get("studyEventOID"), EventKey: q.Get("studyEventRepeatKey"), Form: q.Get("formOID"),
		Group: q.Get("itemGroupOID"), GroupKey: q.Get("itemGroupRepeatKey"), Item: q.Get("itemOID"),
	})
	if err != nil {
		return nil, err
	}
	at := blob.Object{Bucket: c.api.Results, Key: f.Key}
	if _, err := c.api.Blobs.Head(c.Context(), at); errors.Is(err, blob.ErrNotFound) {
		return nil, clinical.FileNotFound
	} else if err != nil {
		return nil, err
	}
	link, err := c.api.Blobs.PresignGet(c.Context(), at, blob.Download{Name: f.Name}, linkFor)
	return elsewhere(link.URL), err
}
