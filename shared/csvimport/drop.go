package csvimport

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
	"aliquot/shared/jobs"
)

// fileName is the grammar of a dropped file's name (reference openspecimen-import-query.md 3.9):
// <objectType>_<create|update|upsert>_<yyyyMMddHHmmssSSS>[_m][_<param>_<value>]*.csv
var fileName = regexp.MustCompile(`^([A-Za-z]+)_(create|update|upsert)_(\d{17})(_m)?((?:_[^_]+_[^_]+)*)\.csv$`)

// formFileName is that of a form's records: extensions_<entityType>_<formName>_<operation>_<stamp>.csv.
var formFileName = regexp.MustCompile(`^extensions_([A-Za-z]+)_(.+)_((?:create|update|upsert)_\d{17}.*)$`)

// Dropped is what a file's name says.
type Dropped struct {
	ObjectType string
	Op         biobank.Op
	Stamp      string // yyyyMMddHHmmssSSS
	Multiple   bool
	Params     map[string]string
}

// maxFileName bounds a dropped file's name, in bytes.
const maxFileName = 255

// ParseFileName reads the name of a dropped file, without its folder. The fault tells what is wrong with it.
func ParseFileName(name string) (Dropped, error) {
	full := name
	bad := func(format string, args ...any) (Dropped, error) {
		return Dropped{}, fault.New("IMPORT_JOB_INV_FILENAME", "File name %q is not valid: "+format+
			" It must be <objectType>_<create|update|upsert>_<yyyyMMddHHmmssSSS>.csv, for example cpr_create_20240131093000000.csv.",
			append([]any{short(full)}, args...)...)
	}
	if len(name) > maxFileName {
		return bad("it is longer than %d bytes.", maxFileName)
	}
	if !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return bad("it holds control characters.")
	}
	form := formFileName.FindStringSubmatch(name)
	if form != nil {
		name = typeExtensions + "_" + form[3]
	}
	m := fileName.FindStringSubmatch(name)
	if m == nil {
		return bad("it does not have that form.")
	}
	if _, err := time.Parse("20060102150405.000", m[3][:14]+"."+m[3][14:]); err != nil {
		return bad("%s is no time stamp.", m[3])
	}
	d := Dropped{ObjectType: m[1], Op: biobank.Op(strings.ToUpper(m[2])), Stamp: m[3], Multiple: m[4] != "", Params: map[string]string{}}
	if parts := strings.Split(strings.TrimPrefix(m[5], "_"), "_"); m[5] != "" {
		for i := 0; i+1 < len(parts); i += 2 {
			d.Params[parts[i]] = parts[i+1]
		}
	}
	if form != nil {
		d.Params["entityType"], d.Params["formName"] = form[1], form[2]
	}
	s := SchemaFor(d.ObjectType)
	if s == nil {
		return bad("%q is no record type that can be imported.", d.ObjectType)
	}
	if d.Multiple && !s.several {
		return bad("records of type %s have one row each; leave _m out.", d.ObjectType)
	}
	return d, nil
}

func short(s string) string {
	if r := []rune(s); len(r) > 100 {
		return string(r[:100]) + "..."
	}
	return s
}

// odmPrefix is what the names of clinical data begin with below a drop folder; they are imported elsewhere.
const odmPrefix = "odm/"

// Drop makes the job of a file in the drop folder, or finds it, and sees that it is planned once files with an earlier
// stamp had time to arrive. What is wrong with name or owner ends in a failed job, never in silence.
func (im *Importer) Drop(ctx context.Context, bucket, key, version string) error {
	owner, name, nested := strings.Cut(key, "/")
	if strings.HasPrefix(key, UploadPrefix) || strings.HasSuffix(key, "/") || strings.HasPrefix(name, odmPrefix) {
		return nil // an upload of the API, a folder that some S3 client made, clinical data
	}
	if !nested {
		owner, name = "", key
	}
	j := &jobs.Job{
		ObjectType: typeUnknown, ImportType: string(biobank.Create), CSVType: "SINGLE_ROW_PER_OBJ",
		Total: -1, Owner: strings.ToLower(owner), CreatedAt: im.Now(), Params: map[string]string{},
		Bucket: bucket, Key: key, Version: version, FileName: name, Drop: true, Stamp: refusedStamp,
	}
	refusal := im.describe(ctx, j, owner, name)
	if refusal != nil {
		if fault.All(refusal) == nil {
			return refusal
		}
		j.FileName, j.Reason = short(name), fault.Row(refusal)
	}
	err := im.Jobs.Create(ctx, j)
	switch {
	case errors.Is(err, jobs.ErrEnded):
		im.Log.InfoContext(ctx, "file was imported before", "job", j.ID)
		return nil
	case err != nil:
		return fmt.Errorf("create job: %w", err)
	}
	if refusal != nil {
		im.Log.WarnContext(ctx, "file refused", "job", j.ID, "code", fault.Codes(refusal))
		return im.send(ctx, Message{Job: j.ID, Step: stepPlan}, 0)
	}
	im.Log.InfoContext(ctx, "file dropped", "job", j.ID, "type", j.ObjectType)
	return im.send(ctx, Message{Job: j.ID, Step: stepPlan}, im.Config.DropWait)
}

// refusedStamp puts a file that is refused, or is an archive, before the owner's others; typeUnknown is the record type of
// a file whose name does not tell it.
const (
	refusedStamp = "-"
	typeUnknown  = "unknown"
)

// describe fills in what owner and name say. The fault, if any, is the reason why the file cannot be imported.
func (im *Importer) describe(ctx context.Context, j *jobs.Job, owner, name string) error {
	if owner == "" {
		return fault.New("IMPORT_JOB_INV_FILENAME",
			"File %q lies outside any drop folder. Put it below the login name of the user as whom it is imported: <login name>/<file name>.", short(name))
	}
	var err error
	if j.OwnerID, err = im.Registry.DropOwner(ctx, owner); err != nil {
		return err
	}
	if isArchive(name) {
		j.ObjectType, j.FileName = typeArchive, short(name)
		return nil
	}
	d, err := ParseFileName(name)
	if err != nil {
		return err
	}
	j.ObjectType, j.ImportType, j.Stamp, j.Params = d.ObjectType, string(d.Op), d.Stamp, d.Params
	return nil
}
