package odmimport

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"aliquot/shared/clinical"
	"aliquot/shared/fault"
	"aliquot/shared/jobs"
)

// A CSV file is worked on row by row, in order, under the job's lease. The lines of the log are kept in parts. A part that
// grows is kept again under its name; that a row is done is noted in the job once its line is kept. Whoever takes over does
// the rows again that were not noted. Among these no two are about one participant, so each of them meets the participant
// as it was before the row or as the row left it, and comes to the same.

// rowPart is a part of the log.
type rowPart struct {
	// First is the number of the first row that it tells of. Rows that it has beyond the first of the next part were kept by a
	// worker who lost the lease before it could note them.
	First int64     `json:"first"`
	Lines []rowLine `json:"lines"`
}

type rowLine struct {
	Row    int64  `json:"row"`
	Text   string `json:"text"`
	Failed bool   `json:"failed,omitempty"`
}

// maxUnnoted is how many rows are done before they are noted.
const maxUnnoted = 50

// table is the work on a CSV file by one worker.
type table struct {
	im  *Importer
	job *jobs.Job
	do  RowWriter
	by  clinical.By
	// part is the one that grows, nil while there is none of this worker's, and kept tells whether it was kept before.
	part *rowPart
	kept bool
	// done is the number of the last row that was done, and named are the participants of those that are not noted.
	done  int64
	named map[string]bool
}

// rows does what is left of a job's rows and ends the job.
func (im *Importer) rows(ctx context.Context, j *jobs.Job) error {
	t := &table{im: im, job: j, done: j.Done, named: map[string]bool{}}
	var err error
	if t.do, t.by, err = im.Rows(ctx, j); err != nil {
		return err
	}
	in, err := im.Files.Open(ctx, j.Bucket, j.Key, j.Version, 0, -1)
	if err != nil {
		return err
	}
	defer in.Close()
	file, err := OpenTable(in, j.ObjectType)
	if err != nil {
		return err
	}
	err = t.takeAll(ctx, file)
	if noted := t.note(ctx); err == nil { // whatever ended the work, what was done is told
		err = noted
	}
	if err != nil {
		return err
	}
	status := jobs.Completed
	if j.Stop {
		status = jobs.Stopped
	}
	return im.end(ctx, j, status, "")
}

// takeAll does the rows that are not done until the file ends or the job is to stop.
func (t *table) takeAll(ctx context.Context, file *Table) error {
	for n := int64(1); !t.job.Stop; n++ {
		row, err := file.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if n <= t.done {
			continue
		}
		if err := t.take(ctx, n, row); err != nil {
			return err
		}
		if until, ok := ctx.Deadline(); ok && until.Sub(t.im.Now()) < margin {
			return errMoreTime
		}
	}
	return nil
}

// take does a row; nil is a blank one, of which nothing is told.
func (t *table) take(ctx context.Context, n int64, row *tableRow) error {
	if row == nil {
		t.done = n
		return nil
	}
	who := row.cells[colParticipant]
	full := t.part != nil && len(t.part.Lines) >= t.im.Config.PartRows
	if full || t.named[who] || t.done-t.job.Done >= maxUnnoted {
		if err := t.note(ctx); err != nil || t.job.Stop {
			return err
		}
	}
	if full {
		t.part = nil
	}
	cells, failed, err := t.outcome(ctx, n, row)
	if err != nil {
		return err
	}
	if t.part == nil {
		t.part, t.kept = &rowPart{First: n}, false
	}
	t.part.Lines = append(t.part.Lines, rowLine{Row: n, Text: csvLine(append([]string{strconv.FormatInt(n, 10)}, cells...)), Failed: failed})
	t.done, t.named[who] = n, who != ""
	return nil
}

// outcome writes what a row asks for and tells the cells of its line.
func (t *table) outcome(ctx context.Context, n int64, row *tableRow) (cells []string, failed bool, err error) {
	refused := func(message string) ([]string, bool, error) {
		return failedLine(t.job.ObjectType, row.cells, message), true, nil
	}
	if row.bad != "" {
		return refused(row.bad)
	}
	by := t.by
	by.At, by.ID = t.im.Now(), rowName(t.job, n)
	cells, err = t.do(ctx, by, row.cells)
	var code clinical.Code
	all := fault.All(err)
	switch {
	case err == nil:
		return cells, false, nil
	case errors.As(err, &code):
		return refused(code.Wire())
	case len(all) > 0 && all[0].Kind == fault.Busy:
		return nil, false, clinical.ErrPending // the participant is being changed by an import, or by many
	case len(all) > 0:
		return refused(all[0].Message)
	}
	return nil, false, err
}

// note keeps the part that grows, and notes in the job how far it is. It tells the job whether to stop.
func (t *table) note(ctx context.Context) error {
	if t.done == t.job.Done {
		return nil
	}
	if t.part != nil {
		text, err := json.Marshal(t.part)
		if err != nil {
			return fmt.Errorf("encode lines of a log: %w", err)
		}
		number := t.job.Parts()
		if !t.kept {
			number++
		}
		key := partKey(t.job, number, t.job.Fence)
		if err := t.im.Files.Put(ctx, t.im.Config.Results, key, text); err != nil {
			return fmt.Errorf("keep %s: %w", key, err)
		}
		if !t.kept {
			t.job.AddPart()
			t.kept = true
		}
	}
	t.job.Done, t.job.Status, t.job.Attempts = t.done, jobs.InProgress, 0
	var err error
	if t.job.Stop, err = t.im.Jobs.Checkpoint(ctx, t.job, t.im.until()); err != nil {
		return err
	}
	clear(t.named)
	return nil
}

// joinRows copies the lines of all parts of a job that takes a CSV file, in order.
func (im *Importer) joinRows(ctx context.Context, out io.Writer, j *jobs.Job) (total, failed int64, err error) {
	w := bufio.NewWriterSize(out, 64<<10)
	if _, err := w.WriteString(csvLine(logHeaders[j.ObjectType])); err != nil {
		return 0, 0, err
	}
	next := &rowPart{}
	for n := 0; n <= j.Parts(); n++ {
		part, last := next, j.Done
		if n < j.Parts() {
			if next, err = im.rowPart(ctx, j, n+1); err != nil {
				return 0, 0, err
			}
			last = next.First - 1
		}
		for _, line := range part.Lines {
			if line.Row > last {
				break
			}
			total++
			if line.Failed {
				failed++
			}
			if _, err := w.WriteString(line.Text); err != nil {
				return 0, 0, err
			}
		}
	}
	return total, failed, w.Flush()
}

func (im *Importer) rowPart(ctx context.Context, j *jobs.Job, n int) (*rowPart, error) {
	key := partKey(j, n, j.PartFence(n))
	in, err := im.Files.Open(ctx, im.Config.Results, key, "", 0, -1)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	defer in.Close()
	var part rowPart
	if err := json.NewDecoder(in).Decode(&part); err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	return &part, nil
}
