package odmimport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"aliquot/shared/clinical"
	"aliquot/shared/fault"
	"aliquot/shared/jobs"
)

// Dropped is the key of a document in a drop folder: <login name>/odm/<study OID>/<name>.xml, with the files that it names
// in <name>.zip beside it, which must be there first (design.md section 5).
// Study is empty for a file that lies elsewhere below <login name>/odm/, or that is no .xml.
type Dropped struct{ Owner, Study, Name string }

// ParseKey reads such a key; ok is false for one that is about no document: the ZIP beside one, a folder that some S3 client
// made, and what the API stores below names with a low line in front, which no user has.
func ParseKey(key string) (d Dropped, ok bool) {
	parts := strings.Split(key, "/")
	last := len(parts) - 1
	if last < 2 || strings.HasPrefix(key, "_") || parts[0] == "" || parts[1] != "odm" || parts[last] == "" || strings.EqualFold(path.Ext(key), ".zip") {
		return Dropped{}, false
	}
	d = Dropped{Owner: strings.ToLower(parts[0]), Name: parts[last]}
	if last == 3 && strings.EqualFold(path.Ext(key), ".xml") {
		d.Study = parts[2]
	}
	return d, true
}

// errMisplaced refuses a file from which nobody could tell the study.
var errMisplaced = fault.New("COMMON_INVALID_INPUT", "The file cannot be imported: put documents as .xml into a folder with the OID of the study, <login name>/odm/<study OID>/<name>.xml.")

// attachedTo is the key of the ZIP beside a document.
func attachedTo(key string) string { return strings.TrimSuffix(key, path.Ext(key)) + ".zip" }

// Drop makes the job of a document in a drop folder, or finds it, and starts it when what belongs to it had time to arrive.
// What is wrong with the folder ends in a failed job, never in silence.
func (im *Importer) Drop(ctx context.Context, bucket, key, version string) error {
	d, ok := ParseKey(key)
	if !ok {
		return nil
	}
	uuid, err := NewUUID(im.Random)
	if err != nil {
		return err
	}
	j, err := im.dropped(ctx, d, uuid)
	if err != nil {
		return err
	}
	j.Bucket, j.Key, j.Version, j.Drop = bucket, key, version, true
	refused := j.Status.Final()
	err = im.Jobs.Create(ctx, j)
	switch {
	case errors.Is(err, jobs.ErrEnded):
		return nil // it was imported before
	case err != nil:
		return fmt.Errorf("create a job: %w", err)
	case refused:
		im.Log.WarnContext(ctx, "document refused", "job", j.ID)
		return nil
	}
	return im.Queue.Send(ctx, Message(j.ID), Group(j), im.Config.DropWait)
}

// dropped is the job of a document in a drop folder. Where the folder is nobody's, or of no study, it has failed.
func (im *Importer) dropped(ctx context.Context, d Dropped, uuid string) (*jobs.Job, error) {
	owner, err := im.DropOwner(ctx, d.Owner)
	var place *clinical.Place
	switch {
	case err == nil && d.Study == "":
		err = errMisplaced
	case err == nil:
		place, err = im.Place(ctx, d.Study)
		err = refusal(err)
	}
	switch {
	case err == nil:
		return NewJob(TypeImport, place, owner, d.Owner, uuid, d.Name, im.Now()), nil
	case len(fault.All(err)) == 0:
		return nil, err
	}
	j := &jobs.Job{
		ObjectType: TypeImport, UUID: uuid, Status: jobs.Failed, Reason: fault.Row(err), Total: -1, OwnerID: owner, Owner: d.Owner,
		CreatedAt: im.Now(), EndedAt: im.Now(), FileName: d.Name, Params: map[string]string{ParamStudy: d.Study},
	}
	if owner != 0 {
		j.Lists = []string{OwnList(owner)}
	}
	return j, nil
}

// Missed makes the job of a dropped document that has none: its event was lost.
func (im *Importer) Missed(ctx context.Context, bucket, key, version string) error {
	if _, ok := ParseKey(key); !ok {
		return nil
	}
	known, err := im.Jobs.Dropped(ctx, bucket, key, version)
	if err != nil || known {
		return err
	}
	return im.Drop(ctx, bucket, key, version)
}

// beside finds the ZIP beside a dropped document, when the job is begun. The job keeps to that version of it.
func (im *Importer) beside(ctx context.Context, j *jobs.Job) error {
	if !j.Drop || j.Attached != "" || j.Parts() > 0 {
		return nil
	}
	key := attachedTo(j.Key)
	version, err := im.Files.Version(ctx, j.Bucket, key)
	if errors.Is(err, jobs.ErrNoFile) {
		return nil
	}
	if err == nil {
		j.Attached, j.AttachedVersion = key, version
	}
	return err
}

// NewUUID draws a random UUID (version 4).
func NewUUID(random io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("draw a UUID: %w", err)
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}
