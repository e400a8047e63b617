package csvimport

import (
	"bufio"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"aliquot/shared/fault"
	"aliquot/shared/jobs"
)

// finishIfLast finishes the job if no chunk is open. It looks first at the chunks after the one just done, of which one is
// nearly always open, so that a job of many chunks does not read them all after each.
func (im *Importer) finishIfLast(ctx context.Context, id int64, n int) error {
	open, err := im.anyOpen(ctx, id, n)
	if err != nil || open {
		return err
	}
	return im.finish(ctx, id)
}

func (im *Importer) anyOpen(ctx context.Context, id int64, from int) (bool, error) {
	const page = 25
	for _, after := range []int{from, -1} {
		for {
			chunks, err := im.Jobs.Chunks(ctx, id, after, page)
			if err != nil {
				return false, err
			}
			for _, c := range chunks {
				if c.Open {
					return true, nil
				}
			}
			if len(chunks) < page || after < from && chunks[page-1].N >= from {
				break
			}
			after = chunks[page-1].N
		}
		if from < 0 {
			break
		}
	}
	return false, nil
}

// finish joins the parts of a job whose chunks are done, and ends it.
func (im *Importer) finish(ctx context.Context, id int64) error {
	j, err := im.Jobs.Lease(ctx, id, im.Now(), im.Config.Lease)
	switch {
	case errors.Is(err, jobs.ErrEnded):
		if j != nil {
			return im.wakeNext(ctx, j)
		}
		return nil
	case errors.Is(err, jobs.ErrLeased):
		return im.wait(j.LeasedTo)
	case err != nil:
		return err
	}
	if j.Chunks == 0 {
		if err := im.Jobs.Save(ctx, j); err != nil {
			return leaseGone(err)
		}
		return im.plan(ctx, id)
	}
	chunks, err := im.Jobs.Chunks(ctx, id, -1, 0)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(chunks, func(c *jobs.Chunk) bool { return c.Open }) {
		j.Attempts = 0
		return leaseGone(im.Jobs.Save(ctx, j))
	}
	if j.Attempts > im.Config.MaxAttempts {
		return im.failJob(ctx, j, fault.Row(fault.New("IMPORT_JOB_FAIL",
			"The rows were processed, but the report could not be made in %d tries. Look the records up, or drop the file again.", im.Config.MaxAttempts)))
	}
	if err := im.join(ctx, j, chunks); err != nil {
		if errors.Is(err, jobs.ErrLeaseLost) {
			return nil
		}
		return fmt.Errorf("join the report of job %d: %w", id, err)
	}
	switch {
	case j.Done < j.Total && j.Stop:
		j.Status = jobs.Stopped
		j.Reason = fmt.Sprintf("The import was stopped after %d of %d rows. Rows that were saved stay saved.", j.Done, j.Total)
	case j.Done < j.Total:
		j.Status = jobs.Failed
		j.Reason = fault.Row(fault.New("IMPORT_JOB_FAIL",
			"Only %d of %d rows could be processed. Drop those that the report lacks again.", j.Done, j.Total))
	case j.FailedRows > 0:
		j.Status = jobs.Failed
	default:
		j.Status = jobs.Completed
	}
	j.EndedAt = im.Now()
	return leaseGone(im.end(ctx, j))
}

// join writes the report and the file of failed rows from the parts, in the order of the rows, and counts them.
func (im *Importer) join(ctx context.Context, j *jobs.Job, chunks []*jobs.Chunk) error {
	var h head
	if err := im.readHead(ctx, j, &h); err != nil {
		return err
	}
	schema := SchemaFor(j.ObjectType)
	m := &merge{ctx: ctx, im: im}
	for _, c := range chunks {
		for _, key := range c.Parts {
			first, err := firstRowOf(key)
			if err != nil {
				return fmt.Errorf("name of a report part: %w", err)
			}
			m.parts = append(m.parts, &part{key: key, first: first})
		}
	}
	slices.SortFunc(m.parts, func(a, b *part) int { return int(a.first - b.first) })
	defer m.close()

	report := im.Files.Create(ctx, im.Config.Results, reportKey(j.ID, j.Fence))
	defer report.Abort() //nolint:errcheck // after Close there is nothing to drop, and before it the caller hears of the cause
	failed := im.Files.Create(ctx, im.Config.Results, failedKey(j.ID, j.Fence))
	defer failed.Abort() //nolint:errcheck // likewise
	if _, err := report.Write(reportHeader(h.Comma, h.Captions, schema.Generated())); err != nil {
		return err
	}
	if _, err := failed.Write(append(h.RawHeader, '\n')); err != nil {
		return err
	}
	j.Done, j.FailedRows, j.Lost = 0, 0, 0
	renewed := im.Now()
	for {
		l, err := m.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if _, err := report.Write(l.text); err != nil {
			return err
		}
		j.Done++
		if l.failed {
			j.FailedRows++
			if l.lost {
				j.Lost++
			}
			if len(l.raw) > 0 { // not of a row over a limit
				if _, err := failed.Write(append(l.raw, '\n')); err != nil {
					return err
				}
			}
		}
		if now := im.Now(); j.Done%4096 == 0 && now.Sub(renewed) > im.Config.Lease/4 {
			renewed = now
			if err := im.Jobs.Renew(ctx, j, im.until()); err != nil {
				return err
			}
		}
	}
	if err := report.Close(); err != nil {
		return fmt.Errorf("store the report: %w", err)
	}
	j.Report = reportKey(j.ID, j.Fence)
	if j.FailedRows == 0 {
		return nil
	}
	if err := failed.Close(); err != nil {
		return fmt.Errorf("store the failed rows: %w", err)
	}
	j.FailedReport = failedKey(j.ID, j.Fence)
	return nil
}

// part is a report part being read.
type part struct {
	key   string
	first int64
	in    io.ReadCloser
	r     *bufio.Reader
	line  line
}

// merge gives the lines of all parts in the order of their rows. A part is opened when its first row comes up, so that
// few are open at a time, however many there are.
type merge struct {
	ctx   context.Context
	im    *Importer
	parts []*part // not yet opened, by first row
	open  partHeap
	last  *part // the one whose line was given out
}

func (m *merge) next() (*line, error) {
	if p := m.last; p != nil {
		m.last = nil
		err := readLine(p.r, &p.line)
		switch {
		case errors.Is(err, io.EOF):
			if err := p.in.Close(); err != nil {
				return nil, err
			}
		case err != nil:
			return nil, fmt.Errorf("read report part: %w", err)
		default:
			heap.Push(&m.open, p)
		}
	}
	for len(m.parts) > 0 && (len(m.open) == 0 || m.parts[0].first <= m.open[0].line.row) {
		p := m.parts[0]
		m.parts = m.parts[1:]
		in, err := m.im.Files.Open(m.ctx, m.im.Config.Results, p.key, "", 0, -1)
		if err != nil {
			return nil, fmt.Errorf("open report part: %w", err)
		}
		p.in, p.r = in, bufio.NewReaderSize(in, 32<<10)
		if err := readLine(p.r, &p.line); err != nil {
			return nil, errors.Join(fmt.Errorf("read report part: %w", err), in.Close())
		}
		heap.Push(&m.open, p)
	}
	if len(m.open) == 0 {
		return nil, io.EOF
	}
	m.last = heap.Pop(&m.open).(*part)
	return &m.last.line, nil
}

func (m *merge) close() {
	if m.last != nil {
		m.open = append(m.open, m.last)
	}
	for _, p := range m.open {
		p.in.Close() //nolint:errcheck // it was only read
	}
}

type partHeap []*part

func (h partHeap) Len() int           { return len(h) }
func (h partHeap) Less(i, j int) bool { return h[i].line.row < h[j].line.row }
func (h partHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *partHeap) Push(x any)        { *h = append(*h, x.(*part)) }
func (h *partHeap) Pop() any {
	old := *h
	p := old[len(old)-1]
	*h = old[:len(old)-1]
	return p
}
