package odmimport

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"aliquot/shared/clinical"
	"aliquot/shared/jobs"
)

// keptOf is what the keys of all that is kept of a job begin with.
func keptOf(j *jobs.Job) string { return fmt.Sprintf("odm/%s/", j.UUID) }

// LogKey is the key of a job's log in the results bucket; typed is the form with a column for the type of a line.
func LogKey(j *jobs.Job, typed bool) string {
	if typed {
		return keptOf(j) + "log-v2.csv"
	}
	return keptOf(j) + "log.csv"
}

// end ends a job: an import with the log of what was done. The error of one that cannot be ended as it is, because a plan of it
// is half written, is that of the store: it must be tried again.
func (im *Importer) end(ctx context.Context, j *jobs.Job, status jobs.Status, reason string) error {
	if j.ObjectType == TypeImport && status != jobs.Completed {
		if err := im.settle(ctx, j); err != nil {
			return fmt.Errorf("settle job %d: %w", j.ID, err)
		}
	}
	ended := *j // a job that could not be ended goes on as it was
	if j.ObjectType != TypeRetrieval {
		if err := im.writeLog(ctx, &ended); err != nil {
			return err
		}
	}
	ended.Status, ended.Reason, ended.EndedAt = status, reason, im.Now()
	return im.Jobs.End(ctx, &ended)
}

// writeLog writes the log of an import in both forms.
func (im *Importer) writeLog(ctx context.Context, j *jobs.Job) error {
	var total, failed int64
	for _, typed := range []bool{false, true} {
		if typed && isTable(j) {
			continue // it has one log
		}
		out := im.Files.Create(ctx, im.Config.Results, LogKey(j, typed), "text/csv")
		t, f, err := im.join(ctx, out, j, typed)
		if err != nil {
			return fmt.Errorf("write the log of job %d: %w", j.ID, errors.Join(err, out.Abort()))
		}
		if err := out.Close(); err != nil {
			return fmt.Errorf("store the log of job %d: %w", j.ID, err)
		}
		total, failed = t, f
	}
	j.Report = LogKey(j, false)
	j.Total, j.Done, j.FailedRows = total, total-failed, failed
	return nil
}

// join copies the rows of all plans of a job, in order.
func (im *Importer) join(ctx context.Context, out io.Writer, j *jobs.Job, typed bool) (total, failed int64, err error) {
	if isTable(j) {
		return im.joinRows(ctx, out, j)
	}
	w := bufio.NewWriterSize(out, 64<<10)
	if _, err := w.WriteString(header(typed)); err != nil {
		return 0, 0, err
	}
	for n := 1; n <= j.Parts(); n++ {
		plan, err := im.part(ctx, j, n)
		if err != nil {
			return 0, 0, err
		}
		for i := range plan.Rows {
			row := &plan.Rows[i]
			if !typed && row.Detail() {
				continue
			}
			total++
			if row.Status == clinical.RowFailed {
				failed++
			}
			if _, err := w.WriteString(line(row, typed)); err != nil {
				return 0, 0, err
			}
		}
	}
	// An empty line ends the log (section 2.6).
	if _, err := w.WriteString("\n"); err != nil {
		return 0, 0, err
	}
	return total, failed, w.Flush()
}

func header(typed bool) string {
	const before = "SubjectKey,ParticipantID,StudyEventOID,StudyEventRepeatKey,FormOID,ItemGroupOID,ItemGroupRepeatKey,ItemOID,"
	if typed {
		return before + "Type,Status,Timestamp,Message\n"
	}
	return before + "Status,Timestamp,Message\n"
}

// line is a row as the log has it.
func line(r *clinical.Row, typed bool) string {
	at := ""
	if r.At != 0 {
		at = time.UnixMilli(r.At).UTC().Format("2006-01-02T15:04:05.000Z")
	}
	cells := []string{r.SubjectKey, r.ParticipantID, r.EventOID, r.EventKey, r.FormOID, r.GroupOID, r.GroupKey, r.ItemOID}
	if typed {
		cells = append(cells, r.Type)
	}
	return csvLine(append(cells, r.Status, at, r.Message))
}

// csvLine is a line of a log: cells are in quotes only where they have to be (section 2.6).
func csvLine(cells []string) string {
	cells = slices.Clone(cells)
	for i, c := range cells {
		if strings.ContainsAny(c, ",\"\n\r") {
			cells[i] = `"` + strings.ReplaceAll(c, `"`, `""`) + `"`
		}
	}
	return strings.Join(cells, ",") + "\n"
}
