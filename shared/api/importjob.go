package api

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"aliquot/shared/biobank"
	"aliquot/shared/blob"
	"aliquot/shared/csvfile"
	"aliquot/shared/csvimport"
	"aliquot/shared/fault"
	"aliquot/shared/jobs"
)

// Import jobs (reference openspecimen-import-query.md section 3).

// linkFor is how long a presigned URL lives.
const linkFor = 15 * time.Minute

func importRoutes() []route {
	return []route{
		{pattern: "GET /import-jobs/input-file-template", summary: "The header row of a type of records", answers: file("application/csv"), serve: template},
		{pattern: "POST /import-jobs", summary: "Import an uploaded file", answers: either{jobView{}, tooManyRows{}}, serve: createJob},
		{pattern: "GET /import-jobs", summary: "List import jobs, the newest first", answers: []jobView{}, serve: listJobs},
		{pattern: "GET /import-jobs/{id}", summary: "Read an import job", answers: jobView{}, serve: getJob},
		{pattern: "PUT /import-jobs/{id}/stop", summary: "Stop an import job", answers: jobView{}, serve: stopJob},
		{pattern: "GET /import-jobs/{id}/output", summary: "The report of an import job", answers: file("application/csv"), serve: jobOutput},
		{pattern: "GET /import-jobs/{id}/failed-rows", summary: "The rows of an import job that failed, as they came", answers: file("application/csv"), serve: jobFailedRows},
	}
}

// jobView has its nulls. Reason and warnings are ours.
type jobView struct {
	ID             int64             `json:"id"`
	Name           string            `json:"name"`
	Type           string            `json:"type"`
	Status         jobs.Status       `json:"status"`
	TotalRecords   *int64            `json:"totalRecords"`
	FailedRecords  *int64            `json:"failedRecords"`
	Processed      *int64            `json:"processedRecords"` // ours: rows with an outcome so far
	CreatedBy      *userSummary      `json:"createdBy"`
	ActedBy        *userSummary      `json:"actedBy,omitempty"` // ours: who acted as that user
	CreationTime   int64             `json:"creationTime"`
	EndTime        *int64            `json:"endTime"`
	Params         map[string]string `json:"params"`
	DisplayName    string            `json:"displayName"`
	DateFormat     *string           `json:"dateFormat"`
	TimeFormat     *string           `json:"timeFormat"`
	FieldSeparator *string           `json:"fieldSeparator"`
	Reason         *string           `json:"reason"`
	Warnings       []string          `json:"warnings"`
}

// tooManyRows answers who asks for all rows or none.
type tooManyRows struct {
	Status       jobs.Status `json:"status"`
	TotalRecords int64       `json:"totalRecords"`
}

func showJobs(c *call, list []*jobs.Job) ([]jobView, error) {
	r := c.related()
	owners := make([]int64, len(list))
	for i, j := range list {
		owners[i] = j.OwnerID
		owners = append(owners, j.By)
	}
	if err := r.fetchUsers(owners...); err != nil {
		return nil, err
	}
	views := []jobView{}
	for _, j := range list {
		v := jobView{
			ID: j.ID, Name: j.ObjectType, Type: j.ImportType, Status: j.Status, CreationTime: j.CreatedAt.UnixMilli(),
			Params: j.Params, DisplayName: displayName(j), DateFormat: orNull(j.DateFormat), TimeFormat: orNull(j.TimeFormat),
			FieldSeparator: orNull(j.FieldSeparator), Reason: orNull(j.Reason), Warnings: orEmpty(j.Warnings),
		}
		if v.Params == nil {
			v.Params = map[string]string{}
		}
		if j.Total >= 0 {
			v.TotalRecords, v.FailedRecords, v.Processed = &j.Total, &j.FailedRows, &j.Done
		}
		if !j.EndedAt.IsZero() {
			v.EndTime = orNull(j.EndedAt.UnixMilli())
		}
		var err error
		if v.CreatedBy, err = r.summary(j.OwnerID); err != nil {
			return nil, err
		}
		if v.ActedBy, err = r.summary(j.By); err != nil {
			return nil, err
		}
		views = append(views, v)
	}
	return views, nil
}

func showJob(c *call, j *jobs.Job) (any, error) {
	views, err := showJobs(c, []*jobs.Job{j})
	if err != nil {
		return nil, err
	}
	return views[0], nil
}

// displayName is like "#41 Create Specimens".
func displayName(j *jobs.Job) string {
	op := map[string]string{
		string(biobank.Create): "Create", string(biobank.Update): "Update", string(biobank.Upsert): "Update Else Create",
	}[j.ImportType]
	label := j.ObjectType
	if s := csvimport.SchemaFor(j.ObjectType); s != nil {
		label = s.Label()
	}
	if form, level := j.Params["formName"], j.Params["entityType"]; form != "" {
		label = form + " (" + level + ")"
	}
	return fmt.Sprintf("#%d %s %s", j.ID, op, label)
}

// mayImport is the check of uploads and of jobs (3.8).
func (c *call) mayImport() error {
	if !c.actor.CanImport() {
		return fault.New("RBAC_ACCESS_DENIED", "You do not have the right to import records.")
	}
	return nil
}

// createJob makes a job of an uploaded file and wakes the importer. "atomic" asks for all rows or none, which is not
// offered: as where it is switched off in the reference, the answer is TXN_SIZE_EXCEEDED with the number of rows (see
// countRows), and the client asks again without (3.4).
func createJob(c *call) (any, error) {
	if err := c.mayImport(); err != nil {
		return nil, err
	}
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	fileID, atomic := in.text("inputFileId"), in.flag("atomic")
	j := &jobs.Job{
		ObjectType: in.text("objectType"), ImportType: cmp.Or(in.text("importType"), string(biobank.Create)),
		CSVType:    cmp.Or(in.text("csvType"), "SINGLE_ROW_PER_OBJ"),
		DateFormat: in.text("dateFormat"), TimeFormat: in.text("timeFormat"),
		TimeZone:       cmp.Or(in.text("timeZone"), c.actor.User.TimeZone),
		FieldSeparator: in.secret("fieldSeparator"), // a tab is no space to be trimmed
		Params:         in.textMap("objectParams"),
		Status:         jobs.Queued, Total: -1, OwnerID: c.actor.ID, Owner: c.actor.User.LoginName, By: c.actor.By, CreatedAt: c.at,
		Bucket: c.api.Intake,
	}
	if err := in.err(); err != nil {
		return nil, err
	}
	if err := c.checkJob(j); err != nil {
		return nil, err
	}
	file, err := c.upload(fileID)
	if err != nil {
		return nil, err
	}
	j.Key, j.Version, j.FileName = file.Key, file.Version, uploadName(file.Key)
	if atomic {
		n, err := c.countRows(file, j.FieldSeparator)
		if err != nil {
			return nil, err
		}
		return tooManyRows{jobs.TxnSizeExceeded, n}, nil
	}
	if err := c.api.Jobs.Create(c.Context(), j); err != nil {
		return nil, fmt.Errorf("create a job: %w", err)
	}
	c.wake(j)
	return showJob(c, j)
}

// wake sends the job's message. Where that fails the job stands all the same, and the sweep sends the message within a
// minute: to refuse now would only make the caller ask for a second job.
func (c *call) wake(j *jobs.Job) {
	if err := c.api.Queue.Send(c.Context(), csvimport.PlanMessage(j.ID), fmt.Sprintf("job-%d", j.ID), 0); err != nil {
		c.api.Log.WarnContext(c.Context(), "wake", "function", "api", "request", c.id, "job", j.ID, "cause", err.Error())
	}
}

// maxParams and maxParam bound the objectParams of a job, which lie in its item: their number, and the bytes of one.
const (
	maxParams = 50
	maxParam  = 1000
)

// checkJob returns a fault for what the importer could only fail on.
func (c *call) checkJob(j *jobs.Job) error {
	schema, err := csvimport.SchemaOf(c.Context(), c.api.Registry, j.ObjectType, j.Params)
	if err != nil {
		return err
	}
	if schema == nil {
		return noSchema(j.ObjectType)
	}
	var l fault.List
	if len(j.Params) > maxParams {
		l.Add("COMMON_INVALID_INPUT", "objectParams has %d members; at most %d are possible.", len(j.Params), maxParams)
	}
	for name, value := range j.Params {
		if len(name)+len(value) > maxParam {
			l.Add("COMMON_INVALID_INPUT", "A member of objectParams is longer than %d bytes.", maxParam)
			break
		}
	}
	for name, value := range map[string]string{"dateFormat": j.DateFormat, "timeFormat": j.TimeFormat, "fieldSeparator": j.FieldSeparator} {
		if len(value) > maxParam {
			l.Add("COMMON_INVALID_INPUT", "%s is longer than %d bytes.", name, maxParam)
		}
	}
	switch biobank.Op(j.ImportType) {
	case biobank.Create, biobank.Update, biobank.Upsert:
	default:
		l.Add("COMMON_INVALID_INPUT", "importType %q is not valid. It is CREATE, UPDATE or UPSERT.", j.ImportType)
	}
	switch j.CSVType {
	case "SINGLE_ROW_PER_OBJ", "MULTIPLE_ROWS_PER_OBJ":
	default:
		l.Add("COMMON_INVALID_INPUT", "csvType %q is not valid. It is SINGLE_ROW_PER_OBJ or MULTIPLE_ROWS_PER_OBJ.", j.CSVType)
	}
	if _, err := time.LoadLocation(j.TimeZone); err != nil || j.TimeZone == "Local" {
		l.Add("COMMON_INVALID_TZ", "Time zone %q is not known.", j.TimeZone)
	}
	// The template has every column, so that nothing but the formats can be wrong with it.
	_, err = schema.Bind(schema.Template(), csvimport.Options{Op: biobank.Create, DateFormat: j.DateFormat, TimeFormat: j.TimeFormat})
	if err != nil {
		if fault.All(err) == nil {
			return err
		}
		l.Append(err)
	}
	return l.Err()
}

// maxCounted is how much of a file is read within the request that asks for all rows or none: the records of 16 MiB are more
// than any server takes in one transaction, and the file may have 5 GB.
const maxCounted = 16 << 20

// countRows counts the records of an uploaded file that end within its first maxCounted bytes: of a longer file the number
// is the least that it has.
func (c *call) countRows(file blob.Object, separator string) (int64, error) {
	file.Version = "" // the newest will do, and asks for no further right
	body, err := c.api.Blobs.Open(c.Context(), file, 0, -1)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	head := make([]byte, csvfile.HeadSize)
	n, err := io.ReadFull(body, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return 0, err
	}
	var comma byte
	if separator != "" {
		comma = separator[0]
	}
	dialect, err := csvfile.Detect(head[:n], comma)
	if err != nil {
		return 0, notParsed(err)
	}
	r := csvfile.NewReader(csvfile.UTF8(io.MultiReader(bytes.NewReader(head[:n]), body), dialect), dialect.Comma, csvfile.Position{})
	if _, err := r.Header(); err != nil {
		return 0, notParsed(err)
	}
	for rows := int64(0); ; {
		rec, err := r.Read()
		if err == io.EOF {
			return rows, nil
		}
		if err != nil {
			return 0, notParsed(err)
		}
		if rec.End > maxCounted {
			return rows, nil
		}
		if !rec.Blank() {
			rows++
		}
	}
}

// notParsed tells what is wrong with a file as a whole.
func notParsed(err error) error {
	var file *csvfile.FileError
	if errors.As(err, &file) {
		return fault.New("IMPORT_JOB_RECORD_PARSE_ERROR", "The file could not be read: %s.", strings.TrimSuffix(file.Error(), "."))
	}
	return err
}

// listJobs answers with the jobs that the caller may see: a super administrator all, an institute administrator those of
// the institute's users, others their own. Query parameters that are not known are filters on the jobs' parameters.
func listJobs(c *call) (any, error) {
	f := jobs.Filter{Params: map[string][]string{}}
	q := c.query()
	start, err := queryNumber(q.text("startAt"), "startAt", 0)
	if err != nil {
		return nil, err
	}
	limit, err := queryNumber(q.text("maxResults"), "maxResults", 25)
	if err != nil {
		return nil, err
	}
	const most = 100
	if limit <= 0 || limit > most {
		limit = most
	}
	f.StartAt, f.Max = max(start, 0), limit
	f.ObjectTypes = q.texts("objectType")
	for name, values := range q.values {
		values = slices.DeleteFunc(strings.Split(strings.Join(values, ","), ","), func(v string) bool { return v == "" })
		switch {
		case name == "startAt" || name == "maxResults" || name == "objectType" || len(values) == 0:
		default:
			f.Params[name] = values
		}
	}
	if !c.actor.Super() {
		f.OwnerIDs = []int64{c.actor.ID}
	}
	if c.actor.InstituteAdmin() {
		colleagues, err := c.colleagues()
		if err != nil {
			return nil, err
		}
		f.OwnerIDs = append(f.OwnerIDs, colleagues...)
	}
	list, err := c.api.Jobs.List(c.Context(), f)
	if err != nil {
		return nil, err
	}
	return showJobs(c, list)
}

func queryNumber(text, name string, otherwise int) (int, error) {
	if text == "" {
		return otherwise, nil
	}
	in := input{members: map[string]any{name: text}, wrong: new(error)}
	n := in.number(name)
	return int(min(n, 1<<31)), in.err()
}

// colleagues are the users of the caller's institute.
func (c *call) colleagues() ([]int64, error) {
	users, err := c.api.Registry.Store.List(c.Context(), string(biobank.User), "", "", 0)
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	var ids []int64
	for _, u := range users {
		doc, err := biobank.Decode[biobank.UserDoc](u)
		if err != nil {
			return nil, err
		}
		if doc.InstituteID == c.actor.User.InstituteID {
			ids = append(ids, u.ID)
		}
	}
	return ids, nil
}

// job is the job of the path, for its owner or a super administrator.
func (c *call) job() (*jobs.Job, error) {
	id, err := c.pathID("id")
	if err != nil {
		return nil, err
	}
	j, err := c.api.Jobs.Get(c.Context(), id)
	switch {
	case err != nil:
		return nil, err
	case j == nil:
		return nil, fault.New("IMPORT_JOB_NOT_FOUND", "Import job %d was not found.", id)
	case j.OwnerID != c.actor.ID && !c.actor.Super():
		return nil, fault.New("IMPORT_JOB_ACCESS_DENIED", "Import job %d belongs to another user.", id)
	}
	return j, nil
}

func getJob(c *call) (any, error) {
	j, err := c.job()
	if err != nil {
		return nil, err
	}
	return showJob(c, j)
}

func stopJob(c *call) (any, error) {
	j, err := c.job()
	if err != nil {
		return nil, err
	}
	j, err = c.api.Jobs.RequestStop(c.Context(), j.ID)
	if errors.Is(err, jobs.ErrEnded) {
		return nil, fault.New("IMPORT_JOB_NOT_IN_PROGRESS", "The import job has ended and cannot be stopped.")
	}
	if err != nil {
		return nil, err
	}
	c.wake(j)
	return showJob(c, j)
}

func jobOutput(c *call) (any, error) {
	j, err := c.job()
	if err != nil {
		return nil, err
	}
	return c.report(j.Report, fmt.Sprintf("BulkImportJob_%d.csv", j.ID))
}

// jobFailedRows answers with the failed rows alone, in the form of the input: mend them and drop them again.
func jobFailedRows(c *call) (any, error) {
	j, err := c.job()
	if err != nil {
		return nil, err
	}
	return c.report(j.FailedReport, fmt.Sprintf("BulkImportJob_%d_failed.csv", j.ID))
}

// report answers with a file of the results bucket, or, over 4 MB, with where to get it.
func (c *call) report(key, name string) (any, error) {
	notYet := fault.New("IMPORT_JOB_OUTPUT_FILE_NOT_CREATED", "The report is not there yet, or there is none.")
	if key == "" {
		return nil, notYet
	}
	file := blob.Object{Bucket: c.api.Results, Key: key}
	info, err := c.api.Blobs.Head(c.Context(), file)
	if errors.Is(err, blob.ErrNotFound) { // expired
		return nil, notYet
	}
	if err != nil {
		return nil, err
	}
	return c.hand(file, info.Size, name, func(body []byte) any { return csvAnswer{name, body} })
}

// elsewhere sends the caller to a URL; the body repeats it for clients that do not follow.
type elsewhere struct {
	URL string `json:"url"`
}

func (e elsewhere) write(w http.ResponseWriter) error {
	w.Header().Set("Location", e.URL)
	w.Header().Set("Content-Type", mime.FormatMediaType("application/json", map[string]string{"charset": "UTF-8"}))
	w.WriteHeader(http.StatusSeeOther)
	return writeJSON(w, struct {
		URL string `json:"url"`
	}(e))
}
