package odmimport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"aliquot/shared/clinical"
	"aliquot/shared/jobs"
	"aliquot/shared/odmexport"
)

// Retrievals that take longer than a caller can wait are jobs, too. A worker writes the document into a part until it is whole
// or the function's time is nearly over; then the part is kept with how far it goes, and the next worker begins there.
// Several parts are joined in the end. The objects lie below answers/, where they stay for a day.

// TypeRetrieval is the object type of such jobs, and ParamRequest the parameter that has what is asked for.
const (
	TypeRetrieval = "XML_RETRIEVAL"
	ParamRequest  = "request"
	paramReached  = "reached"
	paramSees     = "sees"
)

// Sees are the ids of the study and the sites that a collected document is about.
func Sees(j *jobs.Job) (ids []int64, err error) {
	if text := j.Params[paramSees]; text != "" {
		err = json.Unmarshal([]byte(text), &ids)
	}
	if err != nil {
		err = fmt.Errorf("what job %d is about: %w", j.ID, err)
	}
	return ids, err
}

// RequestOf is what a retrieval is asked for.
func RequestOf(j *jobs.Job) (*odmexport.Request, error) {
	var r odmexport.Request
	if err := json.Unmarshal([]byte(j.Params[ParamRequest]), &r); err != nil {
		return nil, fmt.Errorf("what job %d is asked for: %w", j.ID, err)
	}
	return &r, nil
}

// Document opens the document of a retrieval: with the data as they are now, and what its user may see of them now.
func (m *Planners) Document(ctx context.Context, j *jobs.Job) (*odmexport.Document, error) {
	ask, err := RequestOf(j)
	if err != nil {
		return nil, err
	}
	actor, err := m.actor(ctx, j)
	if err != nil {
		return nil, err
	}
	c := &odmexport.Collector{Studies: m.Studies, Users: m.Users}
	doc, err := c.Open(ctx, actor, *ask, j.CreatedAt)
	return doc, refusal(err)
}

// answerKey is the key of a part of a document, 0 for all of it. The fence is that of the worker who wrote it.
func answerKey(j *jobs.Job, n int, fence int64) string {
	return fmt.Sprintf("answers/%s/%06d-%d", j.UUID, n, fence)
}

// collect writes what is left of a retrieval's document and ends the job.
func (im *Importer) collect(ctx context.Context, j *jobs.Job) error {
	ask, err := RequestOf(j)
	if err != nil {
		return err
	}
	if j.Params[paramReached] != "" || j.Parts() == 0 {
		if err := im.collectPart(ctx, j, ask.ContentType()); err != nil {
			return err
		}
	}
	key := answerKey(j, 1, j.PartFence(1))
	if j.Parts() > 1 {
		key = answerKey(j, 0, j.Fence)
		if err := im.joinParts(ctx, j, key, ask.ContentType()); err != nil {
			return err
		}
	}
	j.Report = key
	return im.end(ctx, j, jobs.Completed, "")
}

// collectPart writes the next part of a document and keeps it. The error is errMoreTime where it is not the last one.
func (im *Importer) collectPart(ctx context.Context, j *jobs.Job, contentType string) error {
	doc, err := im.Document(ctx, j)
	if err != nil {
		return err
	}
	var from *clinical.Reached
	if text := j.Params[paramReached]; text != "" {
		if err := json.Unmarshal([]byte(text), &from); err != nil {
			return fmt.Errorf("how far job %d is: %w", j.ID, err)
		}
	}
	pause := func() bool {
		until, ok := ctx.Deadline()
		return ok && until.Sub(im.Now()) < margin
	}
	out := im.Files.Create(ctx, im.Config.Results, answerKey(j, j.Parts()+1, j.Fence), contentType)
	reached, err := doc.Write(ctx, out, from, pause)
	if err != nil {
		return errors.Join(err, out.Abort())
	}
	if err := out.Close(); err != nil {
		return err
	}
	sees, err := json.Marshal(doc.Sees())
	if err != nil {
		return fmt.Errorf("encode what job %d is about: %w", j.ID, err)
	}
	j.Params[paramSees] = string(sees)
	j.AddPart()
	j.Status, j.Attempts = jobs.InProgress, 0
	delete(j.Params, paramReached)
	if reached != nil {
		text, err := json.Marshal(reached)
		if err != nil {
			return fmt.Errorf("encode how far job %d is: %w", j.ID, err)
		}
		j.Params[paramReached] = string(text)
	}
	if _, err := im.Jobs.Checkpoint(ctx, j, im.until()); err != nil {
		return err
	}
	if reached != nil {
		return errMoreTime
	}
	return nil
}

// joinParts writes the parts of a document one after the other.
func (im *Importer) joinParts(ctx context.Context, j *jobs.Job, key, contentType string) error {
	out := im.Files.Create(ctx, im.Config.Results, key, contentType)
	for n := 1; n <= j.Parts(); n++ {
		if err := im.copyPart(ctx, out, answerKey(j, n, j.PartFence(n))); err != nil {
			return errors.Join(err, out.Abort())
		}
	}
	return out.Close()
}

func (im *Importer) copyPart(ctx context.Context, out io.Writer, key string) error {
	in, err := im.Files.Open(ctx, im.Config.Results, key, "", 0, -1)
	if err != nil {
		return fmt.Errorf("read %s: %w", key, err)
	}
	defer in.Close()
	_, err = io.Copy(out, in)
	return err
}
