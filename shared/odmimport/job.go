package odmimport

import (
	"fmt"
	"time"

	"aliquot/shared/clinical"
	"aliquot/shared/jobs"
)

// TypeImport is the type of the jobs that import a document.
const TypeImport = "XML_IMPORT"

// The parameters of a job: the OIDs of the study and, where the import is for one, of the site, the name under which its log
// is downloaded, and whether its user could change more than that site, so that the log may be about others, too.
const (
	ParamStudy  = "study"
	ParamSite   = "site"
	ParamLog    = "log"
	ParamBeyond = "beyond"
)

// NewJob is a job of a user, by id and login name, that imports a document, or what else the type says, with a name for a
// place. Where it lies is for the caller to add.
func NewJob(jobType string, p *clinical.Place, owner int64, login, uuid, name string, at time.Time) *jobs.Job {
	site := ""
	if p.IsSite() {
		site = p.Site.OID
	}
	return &jobs.Job{
		ObjectType: jobType, UUID: uuid, Status: jobs.Queued, Total: -1, OwnerID: owner, Owner: login, CreatedAt: at, FileName: name,
		Params: map[string]string{ParamStudy: p.Study.OID, ParamSite: site, ParamLog: logName(jobType, p, at)},
		Lists:  []string{OwnList(owner), PlaceList(owner, p)},
	}
}

// OwnList names the list of all jobs of a user, PlaceList that of those for a study, or for a site.
func OwnList(owner int64) string { return fmt.Sprint(owner) }

// PlaceList is described at OwnList.
func PlaceList(owner int64, p *clinical.Place) string { return fmt.Sprintf("%d#%d", owner, p.Site.ID) }

// logName is the name under which a log is downloaded (section 2.4).
func logName(jobType string, p *clinical.Place, at time.Time) string {
	at = at.UTC()
	return fmt.Sprintf("%s-%s_%s_%s.csv", p.Site.Unique, p.Environment(), jobType, at.Format("2006-01-02-150405")+at.Format(".000")[1:]+"+0000")
}
