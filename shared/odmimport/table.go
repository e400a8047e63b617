package odmimport

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"aliquot/shared/clinical"
	"aliquot/shared/csvfile"
	"aliquot/shared/fault"
	"aliquot/shared/jobs"
)

// The jobs that take a CSV file, by the reference's names (sections 2.4 and 9).
const (
	TypeParticipants = "BULK_ADD_PARTICIPANTS"
	TypeEvents       = "SCHEDULE_EVENT"
)

// The columns of the files, in any order and case; others are passed over. The reference has the columns of the logs; those
// of the files are the ones that OpenClinica's clients send: the names of the JSON members, phones by either name.
const (
	colParticipant = "participantid"
	colEvent       = "studyeventoid"
	colEventKey    = "studyeventrepeatkey"
	colStart       = "startdate"
	colEnd         = "enddate"
	colStatus      = "studyeventstatus"
	colFirstName   = "firstname"
	colLastName    = "lastname"
	colEmail       = "emailaddress"
	colPhone       = "phonenumber"
	colMobile      = "mobilenumber"
)

// What becomes of a row, in its log. The words are those of 4.13.
const (
	rowSuccess = "Success"
	rowCreated = "Created"
	rowUpdated = "Updated"
)

// logHeaders are the first lines of the logs (section 9). That of participants ends with a comma, as do its rows.
var logHeaders = map[string][]string{
	TypeParticipants: {"Row", "ParticipantID", "Participant OID", "Participate Status", "Status", "Message", ""},
	TypeEvents:       {"Row #", "ParticipantID", "StudyEventOID", "StudyEventRepeatKey", "Status", "Message"},
}

// required are the columns without which a file cannot be taken, by the job's type.
var required = map[string][]string{
	TypeParticipants: {"ParticipantID"}, TypeEvents: {"ParticipantID", "StudyEventOID"},
}

// Table reads the rows of a CSV file.
type Table struct {
	r      *csvfile.Reader
	header *csvfile.Header
	column map[string]int // by folded caption
}

// OpenTable begins to read the file of a job of a type. A file that cannot be taken is a fault.
func OpenTable(in io.Reader, jobType string) (*Table, error) {
	head := make([]byte, csvfile.HeadSize)
	n, err := io.ReadFull(in, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	d, err := csvfile.Detect(head[:n], 0)
	if err != nil {
		return nil, notCSV(err)
	}
	t := &Table{column: map[string]int{}}
	t.r = csvfile.NewReader(csvfile.UTF8(io.MultiReader(bytes.NewReader(head[:n]), in), d), d.Comma, csvfile.Position{})
	if t.header, err = t.r.Header(); err != nil {
		return nil, notCSV(err)
	}
	for i, caption := range t.header.Captions {
		t.column[strings.ToLower(caption)] = i
	}
	for _, caption := range required[jobType] {
		if _, ok := t.column[strings.ToLower(caption)]; !ok {
			return nil, fault.New("COMMON_INVALID_INPUT", "The file has no column %s.", caption)
		}
	}
	return t, nil
}

// notCSV makes what is wrong with a file a fault.
func notCSV(err error) error {
	var f *csvfile.FileError
	if errors.As(err, &f) {
		return fault.New("COMMON_INVALID_INPUT", "The file is not a CSV that can be read: line %d: %s.", f.Line, f.Reason)
	}
	return err
}

// tableRow is a row of a table: its cells by folded caption, or why it is not valid.
type tableRow struct {
	cells map[string]string
	bad   string
}

// next reads a row: nil for a blank one. io.EOF ends the table.
func (t *Table) next() (*tableRow, error) {
	rec, err := t.r.Read()
	switch {
	case err != nil:
		return nil, notCSV(err)
	case rec.Blank():
		return nil, nil
	}
	row := &tableRow{cells: map[string]string{}}
	for caption, i := range t.column {
		if i < len(rec.Fields) {
			row.cells[caption] = strings.TrimSpace(string(csvfile.Unguard(bytes.TrimSpace(rec.Fields[i]))))
		}
	}
	if bad := t.header.Check(rec); bad != nil {
		row.bad = "line " + strconv.FormatInt(bad.Line, 10) + ": " + bad.Reason
	}
	return row, nil
}

// RowWriter does what the rows of a job ask for. by names the row; done again under the same name, a row changes nothing
// and comes to the same. line are the cells of its line in the log, without the row's number. A refusal is a code or a
// fault.
type RowWriter func(ctx context.Context, by clinical.By, cells map[string]string) (line []string, err error)

// Rows makes the writer of a job's rows, with what its user may do now. The fault ends the job.
func (m *Planners) Rows(ctx context.Context, j *jobs.Job) (RowWriter, clinical.By, error) {
	var by clinical.By
	var err error
	if by.Actor, err = m.actor(ctx, j); err != nil {
		return nil, by, err
	}
	place, err := m.Studies.Place(ctx, cmp.Or(j.Params[ParamSite], j.Params[ParamStudy]))
	if err != nil {
		return nil, by, refusal(err)
	}
	if err := cmp.Or(by.MayChange(place), place.Open()); err != nil {
		return nil, by, refusal(err)
	}
	if j.ObjectType == TypeParticipants {
		return m.participantRows(place), by, nil
	}
	meta, err := m.Studies.Metadata(ctx, place.Study)
	if err != nil {
		return nil, by, err
	}
	return m.eventRows(place, meta.For(place.Site.OID)), by, nil
}

// participantRows makes participants, or changes the contact data of those that are there.
func (m *Planners) participantRows(place *clinical.Place) RowWriter {
	return func(ctx context.Context, by clinical.By, cells map[string]string) ([]string, error) {
		p, err := m.Studies.PutParticipant(ctx, by, place, clinical.SubjectDraft{
			Label: cells[colParticipant], FirstName: cells[colFirstName], LastName: cells[colLastName],
			Email: cells[colEmail], Phone: cmp.Or(cells[colPhone], cells[colMobile]),
		})
		if err != nil {
			return nil, err
		}
		return []string{p.Label, p.OID, "", rowSuccess, "", ""}, nil
	}
}

// eventRows schedules events where no repeat key is given, and changes them where one is.
func (m *Planners) eventRows(place *clinical.Place, meta *clinical.Metadata) RowWriter {
	return func(ctx context.Context, by clinical.By, cells map[string]string) ([]string, error) {
		d := clinical.EventDraft{
			Label: cells[colParticipant], OID: cells[colEvent], Key: cells[colEventKey], StartDate: cells[colStart], EndDate: cells[colEnd],
		}
		change, status := m.Studies.ScheduleEvent, rowCreated
		if d.Key != "" {
			// The state is not used where an event is made.
			change, status, d.Status = m.Studies.UpdateEvent, rowUpdated, cells[colStatus]
		}
		e, err := change(ctx, by, place, meta, d)
		if err != nil {
			return nil, err
		}
		return []string{d.Label, e.OID, strconv.Itoa(e.Key), status, ""}, nil
	}
}

// failedLine is the line of a row that was refused.
func failedLine(jobType string, cells map[string]string, message string) []string {
	if jobType == TypeParticipants {
		return []string{cells[colParticipant], "", "", clinical.RowFailed, message, ""}
	}
	return []string{cells[colParticipant], cells[colEvent], cells[colEventKey], clinical.RowFailed, message}
}

// isTable tells whether a job takes a CSV file.
func isTable(j *jobs.Job) bool {
	return slices.Contains([]string{TypeParticipants, TypeEvents}, j.ObjectType)
}

// rowName is what a row's changes carry.
func rowName(j *jobs.Job, row int64) string { return fmt.Sprintf("odm%d#%d", j.ID, row) }
