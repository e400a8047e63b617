package csvimport

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"aliquot/shared/csvfile"
)

// The columns that a report has after those of the file (reference openspecimen-import-query.md 3.7).
const (
	columnStatus  = "OS_IMPORT_STATUS"
	columnMessage = "OS_ERROR_MESSAGE"

	statusSuccess = "SUCCESS"
	statusFail    = "FAIL"
)

func jobPrefix(job int64) string { return fmt.Sprintf("jobs/%d/", job) }

// Keys in the results bucket carry the fence of whoever wrote them, so that a worker who lost the lease overwrites nothing.
func planKey(job, fence int64) string { return fmt.Sprintf("%splan-%d.json", jobPrefix(job), fence) }

func rowsKey(job, fence int64) string { return fmt.Sprintf("%splan-%d.rows", jobPrefix(job), fence) }

func inputKey(job, fence int64) string { return fmt.Sprintf("%sinput-%d.csv", jobPrefix(job), fence) }

func reportKey(job, fence int64) string { return fmt.Sprintf("%soutput-%d.csv", jobPrefix(job), fence) }

func failedKey(job, fence int64) string {
	return fmt.Sprintf("%sfailed-rows-%d.csv", jobPrefix(job), fence)
}

// partKey names a part of the report: chunk, fence, and the first row in it, by which parts are put in order.
func partKey(job int64, chunk int, fence, firstRow int64) string {
	return fmt.Sprintf("%sparts/%06d-%d-%012d", jobPrefix(job), chunk, fence, firstRow)
}

// firstRowOf reads the first row out of a part's key.
func firstRowOf(key string) (int64, error) {
	var row int64
	i := bytes.LastIndexByte([]byte(key), '-')
	_, err := fmt.Sscanf(key[i+1:], "%d", &row)
	return row, err
}

// line is a row's place in a report part.
type line struct {
	row    int64
	failed bool
	lost   bool   // failed, and it is not known whether the row was saved
	text   []byte // the line of the report
	raw    []byte // of a failed row: the row as it was in the file
}

// appendLine writes a line into a part: row, flag, and the two texts with their lengths.
func appendLine(b []byte, l *line) []byte {
	b = binary.AppendUvarint(b, uint64(l.row))
	flag := byte(0)
	if l.lost {
		flag |= 2
	}
	if l.failed {
		flag |= 1
	}
	b = append(b, flag)
	b = binary.AppendUvarint(b, uint64(len(l.text)))
	b = append(b, l.text...)
	if l.failed {
		b = binary.AppendUvarint(b, uint64(len(l.raw)))
		b = append(b, l.raw...)
	}
	return b
}

// readLine reads what appendLine wrote, into l's buffers; io.EOF at the end.
func readLine(r *bufio.Reader, l *line) error {
	row, err := binary.ReadUvarint(r)
	if err != nil {
		return err
	}
	flag, err := r.ReadByte()
	if err != nil {
		return cut(err)
	}
	l.row, l.failed, l.lost, l.raw = int64(row), flag&1 != 0, flag&2 != 0, l.raw[:0]
	if l.text, err = readText(r, l.text); err != nil || !l.failed {
		return cut(err)
	}
	l.raw, err = readText(r, l.raw)
	return cut(err)
}

func readText(r *bufio.Reader, buf []byte) ([]byte, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return buf, err
	}
	if n > 64<<20 {
		return buf, errors.New("a report part is damaged")
	}
	if uint64(cap(buf)) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	_, err = io.ReadFull(r, buf)
	return buf, err
}

// cut is the error of a part that ends in the middle of a line.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// appendEcho begins a row's line with its cells as uploaded. Cells that are no text (not UTF-8, or over a limit) stay out:
// the message names them, and the file of failed rows has them as they were. A guard against formulas is taken off and
// put on again, so that it does not become two.
func appendEcho(b []byte, comma byte, columns int, rec *csvfile.Record) []byte {
	n := len(rec.Fields)
	if rec.Err != nil && rec.Raw == nil {
		n = 0
	}
	for i := range columns {
		if i > 0 {
			b = append(b, comma)
		}
		var cell []byte
		if i < n {
			cell = rec.Fields[i]
		}
		if rec.Err != nil {
			cell = bytes.ToValidUTF8(bytes.ReplaceAll(cell, []byte{0}, nil), []byte("\uFFFD"))
		}
		b = csvfile.AppendCell(b, csvfile.Unguard(bytes.TrimSpace(cell)))
	}
	return b
}

// appendOutcome ends a row's line: status, message and generated names.
func appendOutcome(b []byte, comma byte, message string, generated []string, values [4]string) []byte {
	b = append(b, comma)
	if message == "" {
		b = append(b, `"`+statusSuccess+`"`...)
	} else {
		b = append(b, `"`+statusFail+`"`...)
	}
	b = append(b, comma)
	b = csvfile.AppendCell(b, []byte(message))
	for i := range generated {
		b = append(b, comma)
		b = csvfile.AppendCell(b, []byte(values[i]))
	}
	return append(b, '\n')
}

// reportHeader is the header of a report.
func reportHeader(comma byte, captions, generated []string) []byte {
	all := append(append([]string{}, captions...), columnStatus, columnMessage)
	return csvfile.AppendStrings(nil, comma, append(all, generated...)...)
}

// faultReport is the report of a job whose file could not be read at all.
func faultReport(reason string) []byte {
	b := csvfile.AppendStrings(nil, ',', columnStatus, columnMessage)
	return csvfile.AppendStrings(b, ',', statusFail, reason)
}
