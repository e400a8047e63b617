package odmapi

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"aliquot/shared/blob"
	"aliquot/shared/clinical"
	"aliquot/shared/jobs"
	"aliquot/shared/odmimport"
)

// Jobs: their lists, logs and end (sections 2.4 and 2.5).

// noLogFileFound has no errorCode. before it.
const noLogFileFound clinical.Code = "error.noLogFileFound"

func jobRoutes() []route {
	return []route{
		{pattern: "GET /jobs", tell: asHeaders, serve: listOwnJobs},
		{pattern: "GET /studies/{study}/jobs", tell: asHeaders, serve: listJobs},
		{pattern: "GET /studies/{study}/sites/{site}/jobs", tell: asHeaders, serve: listJobs},
		{pattern: "GET /jobs/{uuid}/downloadFile", tell: asText, serve: downloadLog},
		{pattern: "DELETE /jobs/{uuid}", tell: asHeaders, serve: deleteJob},
	}
}

type jobView struct {
	UUID           string `json:"uuid"`
	Type           string `json:"type"`
	Status         string `json:"status"`
	StudyOID       string `json:"studyOid"`
	SiteOID        string `json:"siteOid"`
	CreatedBy      string `json:"createdByUsername"`
	UpdatedBy      string `json:"updatedByUsername"`
	DateCreated    string `json:"dateCreated"`
	DateUpdated    string `json:"dateUpdated"`
	DateCompleted  string `json:"dateCompleted"`
	SourceFileName string `json:"sourceFileName"`
	// LogFileName and Message are ours; Message says why a job failed.
	LogFileName string `json:"logFileName,omitempty"`
	Message     string `json:"message,omitempty"`
}

// wireStatus is a job's state on the wire. One that was stopped did not do all it was asked to.
func wireStatus(s jobs.Status) string {
	switch s {
	case jobs.Queued:
		return "IN_QUEUE"
	case jobs.InProgress:
		return "IN_PROGRESS"
	case jobs.Completed:
		return "COMPLETED"
	}
	return "FAILED"
}

func showJob(j *jobs.Job) jobView {
	updated := j.CreatedAt
	if j.Status.Final() {
		updated = j.EndedAt
	}
	v := jobView{
		UUID: j.UUID, Type: j.ObjectType, Status: wireStatus(j.Status), StudyOID: j.Params[odmimport.ParamStudy], SiteOID: j.Params[odmimport.ParamSite],
		CreatedBy: j.Owner, UpdatedBy: j.Owner, DateCreated: timestamp(j.CreatedAt), DateUpdated: timestamp(updated),
		DateCompleted: timestamp(j.EndedAt), SourceFileName: j.FileName, Message: j.Reason,
	}
	if j.Report != "" {
		v.LogFileName = j.Params[odmimport.ParamLog]
	}
	return v
}

// listJobs answers with the caller's own jobs of a study, or of a site, newest first.
func listJobs(c *call) (any, error) {
	p, err := c.jobPlace()
	if err != nil {
		return nil, err
	}
	if err := c.actor.MayRead(p); err != nil {
		return nil, err
	}
	return c.jobList(odmimport.PlaceList(c.actor.ID, p))
}

// listOwnJobs answers with all jobs of the caller, newest first. It is ours: a document that was dropped for a study that
// does not exist is on no study's list.
func listOwnJobs(c *call) (any, error) { return c.jobList(odmimport.OwnList(c.actor.ID)) }

// maxJobs is the most jobs of a page.
const maxJobs = 100

// jobList answers with the jobs of a list. Without parameters it is all of them, as in the reference; maxResults, and after
// with the UUID of the last job of the page before, ask for a page (ours).
func (c *call) jobList(of string) (any, error) {
	limit, err := c.limit(maxJobs)
	if err != nil {
		return nil, err
	}
	before := int64(0)
	if uuid := c.URL.Query().Get("after"); uuid != "" {
		last, err := c.jobOf(uuid)
		switch {
		case err != nil:
			return nil, err
		case last == nil || last.OwnerID != c.actor.ID:
			return nil, headed("error.invalidUuid")
		}
		before = last.ID
	}
	return list(c, "", func() (page []jobView, more bool, err error) {
		some, err := c.api.Jobs.Listed(c.Context(), of, before, cmp.Or(limit, maxJobs))
		if err != nil || len(some) == 0 {
			return nil, false, err
		}
		before = some[len(some)-1].ID
		for _, j := range some {
			page = append(page, showJob(j))
		}
		return page, limit == 0 && len(some) == maxJobs, nil
	}, "")
}

// jobPlace finds the study, or the site, of a list of jobs. What is wrong with the OIDs is told in the header's own names.
func (c *call) jobPlace() (*clinical.Place, error) {
	study, err := c.api.Registry.Place(c.Context(), c.PathValue("study"))
	switch {
	case errors.Is(err, clinical.StudyOIDNotFound):
		return nil, headed("error.incorrectStudyOid")
	case err != nil:
		return nil, err
	case study.IsSite():
		return nil, headed("error.invalidStudyOidAsStudy")
	}
	oid := c.PathValue("site")
	if oid == "" {
		return study, nil
	}
	site, err := c.api.Registry.Place(c.Context(), oid)
	switch {
	case errors.Is(err, clinical.StudyOIDNotFound):
		return nil, headed("error.incorrectSiteOid")
	case err != nil:
		return nil, err
	case !site.IsSite():
		return nil, headed("error.invalidSiteOidAsSite")
	case site.Study.ID != study.Study.ID:
		return nil, headed("error.mismatchStudyOidAndSiteOid")
	}
	return site, nil
}

// jobOf finds a job by a UUID that a client names, in any case; nil for one that is unknown, or is none.
func (c *call) jobOf(uuid string) (*jobs.Job, error) {
	if uuid = strings.ToLower(uuid); !isUUID(uuid) {
		return nil, nil
	}
	return c.api.Jobs.ByUUID(c.Context(), uuid)
}

// job finds the job of the path, nil for one that is unknown, of none of the types, or deleted.
func (c *call) job(types ...string) (*jobs.Job, error) {
	j, err := c.jobOf(c.PathValue("uuid"))
	if err != nil || j == nil || j.Deleted || !slices.Contains(types, j.ObjectType) {
		return nil, err
	}
	return j, nil
}

// imports are the types of jobs that have logs.
var imports = []string{odmimport.TypeImport, odmimport.TypeParticipants, odmimport.TypeEvents}

// imported is job for those that have logs.
func (c *call) imported() (*jobs.Job, error) { return c.job(imports...) }

// readable is nil while the caller may read where the job's data are: a role may have been taken away since. A job of a study
// that does not exist was refused, and tells nothing of any.
func (c *call) readable(j *jobs.Job) error {
	oid := cmp.Or(j.Params[odmimport.ParamSite], j.Params[odmimport.ParamStudy])
	if j.Params[odmimport.ParamBeyond] != "" {
		oid = j.Params[odmimport.ParamStudy]
	}
	p, err := c.api.Registry.Place(c.Context(), oid)
	if errors.Is(err, clinical.StudyOIDNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if c.actor.Role(p) == "" { // a role at one site does not do for a log about all of them
		return clinical.NoSufficientPrivileges
	}
	return nil
}

// downloadLog answers with the log of a job to whoever started it, and may still read there; open=true shows it in the browser. format=v2 has the
// column Type as well (section 2.6); other jobs have one form. One over 4 MB is fetched from where the answer says.
func downloadLog(c *call) (any, error) {
	j, err := c.imported()
	switch {
	case err != nil:
		return nil, err
	case j == nil:
		return nil, clinical.InvalidUUID
	case j.OwnerID != c.actor.ID:
		return nil, clinical.NoSufficientPrivileges
	}
	if err := c.readable(j); err != nil {
		return nil, err
	}
	switch {
	case !j.Status.Final():
		return nil, clinical.JobInProgress
	case j.Report == "":
		return nil, noLogFileFound
	}
	file := blob.Object{Bucket: c.api.Results, Key: j.Report}
	if j.ObjectType == odmimport.TypeImport && strings.EqualFold(c.URL.Query().Get("format"), "v2") {
		file.Key = odmimport.LogKey(j, true)
	}
	info, err := c.api.Blobs.Head(c.Context(), file)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, noLogFileFound
	}
	if err != nil {
		return nil, err
	}
	as := blob.Download{
		Name: j.Params[odmimport.ParamLog], Inline: strings.EqualFold(c.URL.Query().Get("open"), "true"), ContentType: "application/force-download",
	}
	if info.Size > maxBody {
		link, err := c.api.Blobs.PresignGet(c.Context(), file, as, linkFor)
		return elsewhere(link.URL), err
	}
	body, err := c.api.Blobs.Get(c.Context(), file, maxBody)
	if err != nil {
		return nil, err
	}
	return logAnswer{as, body}, nil
}

type logAnswer struct {
	as   blob.Download
	body []byte
}

func (a logAnswer) write(w http.ResponseWriter) (status int) {
	w.Header().Set("Content-Type", a.as.ContentType)
	w.Header().Set("Content-Disposition", a.as.Disposition())
	_, _ = w.Write(a.body) // the caller may have hung up
	return http.StatusOK
}

// deleteJob takes a job away from the lists of whoever started it, with its log; one that runs is stopped, and the importer is
// woken to remove what else is kept of it. The owner may ask again, so that a request that broke off is finished.
func deleteJob(c *call) (any, error) {
	j, err := c.jobOf(c.PathValue("uuid"))
	switch {
	case err != nil:
		return nil, err
	case j == nil || !slices.Contains(imports, j.ObjectType) || j.Deleted && j.OwnerID != c.actor.ID:
		return nil, headed("error.invalidUuid")
	case j.OwnerID != c.actor.ID:
		return nil, headed("error.incorrectUser")
	}
	if err := c.api.Jobs.Delete(c.Context(), j); err != nil {
		return nil, err
	}
	for _, typed := range []bool{false, true} {
		if err := c.api.Blobs.Delete(c.Context(), blob.Object{Bucket: c.api.Results, Key: odmimport.LogKey(j, typed)}); err != nil {
			return nil, err
		}
	}
	return deleted(j.UUID), c.wake(j)
}

// deleted is the UUID of a job that was deleted.
type deleted string

func (d deleted) write(w http.ResponseWriter) (status int) {
	w.Header().Set("X-studyServiceApp-alert", "studyServiceApp.job.deleted")
	w.Header().Set("X-studyServiceApp-params", string(d))
	w.WriteHeader(http.StatusOK)
	return http.StatusOK
}

// newJob makes the job of a document, or a CSV file, that lies in the intake bucket, and wakes the importer. A UUID makes one
// job only.
func (c *call) newJob(jobType string, p *clinical.Place, id identity, name string, file, attached blob.Object) (any, error) {
	j := odmimport.NewJob(jobType, p, c.actor.ID, c.actor.User.LoginName, id.uuid, name, c.at)
	j.Bucket, j.Key, j.Version = file.Bucket, file.Key, file.Version
	j.Attached, j.AttachedVersion = attached.Key, attached.Version
	if id.body != "" {
		j.Params[paramBody] = id.body
	}
	if p.IsSite() && c.actor.Role(&clinical.Place{Study: p.Study, Site: p.Study}) != "" {
		j.Params[odmimport.ParamBeyond] = "yes"
	}
	if err := c.start(j); err != nil {
		return nil, err
	}
	return id.answer(j)
}

// start stores a job, or finds the one that its UUID has already, and wakes the importer.
func (c *call) start(j *jobs.Job) error {
	if err := c.api.Jobs.Create(c.Context(), j); err != nil && !errors.Is(err, jobs.ErrEnded) {
		return fmt.Errorf("create a job: %w", err)
	}
	if j.OwnerID != c.actor.ID {
		return clinical.InvalidUUID
	}
	// Where the message is lost the job stands all the same, and the sweep sends it again.
	if err := c.wake(j); err != nil {
		c.api.Log.WarnContext(c.Context(), "wake", "function", "clinicaldata", "request", c.id, "job", j.ID, "cause", err.Error())
	}
	return nil
}

// wake tells the importer that there is something to do about a job.
func (c *call) wake(j *jobs.Job) error {
	return c.api.Queue.Send(c.Context(), odmimport.Message(j.ID), odmimport.Group(j), 0)
}
