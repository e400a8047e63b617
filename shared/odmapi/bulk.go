package odmapi

import (
	"bytes"
	"path"
	"strings"

	"aliquot/shared/blob"
	"aliquot/shared/clinical"
	"aliquot/shared/fault"
	"aliquot/shared/odmimport"
)

// Participants and events in CSV files (section 9), imported as jobs. A file is checked as far as its header and stored;
// what is wrong with a row is told in the log.

func bulkRoutes() []route {
	const site = "/clinicaldata/studies/{study}/sites/{site}"
	return []route{
		{pattern: "POST " + site + "/participants/bulk", tell: asMessage, serve: bulkParticipants},
		{pattern: "POST " + site + "/events/bulk", tell: asMessage, serve: bulkEvents},
	}
}

// bulkParticipants makes participants of a site, or changes their contact data, from a file with the columns ParticipantID,
// firstName, lastName, emailAddress and phoneNumber, of which the first must be there.
func bulkParticipants(c *call) (any, error) {
	return c.bulk(odmimport.TypeParticipants)
}

// bulkEvents schedules events of a site's participants, or changes them where a repeat key is given, from a file with the
// columns ParticipantID, StudyEventOID, StudyEventRepeatKey, StartDate, EndDate and StudyEventStatus, of which the first two
// must be there.
func bulkEvents(c *call) (any, error) { return c.bulk(odmimport.TypeEvents) }

// bulk makes the job of a file that came with the request, and answers with its UUID. A request with an Idempotency-Key makes
// one job, however often it is sent.
func (c *call) bulk(jobType string) (any, error) {
	p, err := c.sitePlace()
	if err != nil {
		return nil, err
	}
	if err := c.actor.MayChange(p); err != nil {
		return nil, err
	}
	if err := p.Open(); err != nil {
		return nil, err
	}
	switch {
	case jobType == odmimport.TypeEvents && p.Study.Version == 0:
		return nil, clinical.StudyOIDNotAvailable
	case jobType == odmimport.TypeParticipants && isYes(c.URL.Query().Get("register")):
		return nil, clinical.ParticipateInActive // as for a single one
	}
	in, err := c.parts("Send it in several files.")
	if err != nil {
		return nil, err
	}
	if !strings.EqualFold(path.Ext(in.name), ".csv") {
		return nil, clinical.FileFormatNotSupported
	}
	if len(in.zips) > 0 {
		return nil, fault.New("COMMON_INVALID_INPUT", "No ZIP belongs to this file.")
	}
	if _, err := odmimport.OpenTable(bytes.NewReader(in.document), jobType); err != nil {
		return nil, err
	}
	id, answer, err := c.once(jobType, p.Site.OID, in)
	if answer != nil || err != nil {
		return answer, err
	}
	file := blob.Object{Bucket: c.api.Intake, Key: tableKey(id.uuid)}
	info, err := c.api.Blobs.Put(c.Context(), file.Bucket, file.Key, "text/csv", in.document)
	if err != nil {
		return nil, err
	}
	file.Version = info.Version
	return c.newJob(jobType, p, id, in.name, file, blob.Object{})
}
