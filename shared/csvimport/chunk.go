package csvimport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"aliquot/shared/biobank"
	"aliquot/shared/csvfile"
	"aliquot/shared/fault"
	"aliquot/shared/jobs"
)

// window is how many rows are looked up together.
const window = 4 * biobank.MaxBatch

// codePanic is the fault of a row that met a fault of the program's. The registry has the same.
const codePanic = "COMMON_SERVER_ERROR"

// errOutOfTime means that the function's time is nearly over.
var errOutOfTime = errors.New("out of time")

// chunk imports the rows of a chunk.
func (im *Importer) chunk(ctx context.Context, id int64, n int) error {
	c, err := im.Jobs.LeaseChunk(ctx, id, n, im.Now(), im.Config.Lease)
	switch {
	case errors.Is(err, jobs.ErrEnded):
		return im.finishIfLast(ctx, id, n)
	case errors.Is(err, jobs.ErrLeased):
		return im.wait(c.LeasedTo)
	case err != nil:
		return err
	}
	// Read after the lease was taken: whoever asks the job to stop flags it first and then the leased chunks.
	j, err := im.Jobs.Get(ctx, id)
	if err != nil {
		return err
	}
	if j == nil || j.Status.Final() {
		return nil
	}
	w := &worker{im: im, job: j, chunk: c, done: map[int64]bool{}}
	err = w.prepare(ctx)
	if err == nil && !j.Stop && !c.Stop {
		err = w.run(ctx)
	}
	again := false
	switch {
	case errors.Is(err, jobs.ErrLeaseLost):
		im.Log.WarnContext(ctx, "lease lost", "job", id, "chunk", n, "fence", c.Fence)
		return nil
	case errors.As(err, new(*jobs.Later)):
		return err
	case errors.Is(err, errOutOfTime):
		again = true
	case err != nil && c.Attempts > im.Config.MaxAttempts:
		// Not even its rows can be read. The job ends without them, and says so.
		im.Log.ErrorContext(ctx, "chunk lost", "job", id, "chunk", n, "attempts", c.Attempts, "code", fault.Codes(err))
		w.batch = nil
	case err != nil && !errors.Is(err, jobs.ErrStopped):
		err = fmt.Errorf("job %d chunk %d: %w", id, n, err)
		if temporary(err) {
			// It was not the rows' fault: what was finished is kept, and the attempt does not count.
			return errors.Join(err, leaseGone(w.save(ctx, true)))
		}
		return err
	}
	if err := w.save(ctx, again); err != nil {
		return leaseGone(err)
	}
	if again {
		im.Log.InfoContext(ctx, "chunk goes on later", "job", id, "chunk", n, "rows", c.Done)
		return im.send(ctx, Message{Job: id, Step: stepChunk, Chunk: n}, 0)
	}
	return im.finishIfLast(ctx, id, n)
}

// worker does the rows of one chunk.
type worker struct {
	im    *Importer
	job   *jobs.Job
	chunk *jobs.Chunk

	head    head
	span    span
	schema  *Schema
	header  *csvfile.Header
	binding *Binding
	batch   *biobank.Batch
	actor   error // why the owner may not import, nil when he may
	stopAt  time.Time

	done map[int64]bool // rows finished in earlier turns
	kin  map[string]int64
	uids map[string]calledRow // the rows of the chunk, by what the file calls them

	slots   []slot
	cells   [][]byte
	changes []biobank.Change
	at      []int // the slot of each change

	lines  []placed // of this turn
	text   []byte
	stored int // how many of the lines are in parts
	parts  int // in how many
	count  struct{ done, failed int64 }
}

// calledRow is a row that others of the file name.
type calledRow struct {
	row   int64
	draft *biobank.RequirementDraft
}

// placed is a finished row's line within worker.text.
type placed struct {
	row      int64
	from, to int
}

// slot is a row on its way.
type slot struct {
	row   int64
	kin   int64
	echo  []byte
	raw   []byte
	draft biobank.Draft
	why   string
	err   error
	lost  bool // see line
}

// run imports the rows that no earlier turn has finished. Whatever it returns, the lines of finished rows are kept.
func (w *worker) run(ctx context.Context) error {
	if w.chunk.Attempts > w.im.Config.MaxAttempts {
		return w.giveUp(ctx)
	}
	if w.span.Linked {
		return w.linked(ctx)
	}
	return w.stream(ctx)
}

// prepare reads the plan and what earlier turns have done, and sets up the batch.
func (w *worker) prepare(ctx context.Context) error {
	im, id := w.im, w.job.ID
	if err := im.readHead(ctx, w.job, &w.head); err != nil {
		return err
	}
	if w.chunk.N >= len(w.head.Index) {
		return fmt.Errorf("the plan has %d chunks", len(w.head.Index))
	}
	from := int64(0)
	if w.chunk.N > 0 {
		from = w.head.Index[w.chunk.N-1]
	}
	doc, err := im.get(ctx, im.Config.Results, rowsKey(id, w.job.Plan), from, w.head.Index[w.chunk.N])
	if err != nil {
		return err
	}
	if err := json.Unmarshal(doc, &w.span); err != nil {
		return fmt.Errorf("read plan of chunk: %w", err)
	}
	if w.schema, err = SchemaOf(ctx, im.Registry, w.job.ObjectType, w.job.Params); err != nil {
		return err
	}
	o, err := options(w.job)
	if err != nil {
		return err
	}
	w.header = &csvfile.Header{Captions: w.head.Captions}
	if w.binding, err = w.schema.Bind(w.head.Captions, o); err != nil {
		return err
	}
	// What the chunk shows as done may come from a worker who died; what counts is what earlier turns have stored.
	shown, shownFailed := w.chunk.Done, w.chunk.Failed
	w.chunk.Done, w.chunk.Failed = 0, 0
	for _, key := range w.chunk.Parts {
		if err := w.readPart(ctx, key); err != nil {
			return err
		}
	}
	actor, err := im.actor(ctx, w.job)
	if fault.All(err) != nil {
		w.actor = err
	} else if err != nil {
		return err
	}
	progress := func() (int64, int64) { // it never goes down
		return max(shown, w.chunk.Done+w.count.done), max(shownFailed, w.chunk.Failed+w.count.failed)
	}
	w.batch = im.Under(w.chunk, im.until, progress).Import(actor, w.job.CreatedAt, o.Location, w.chunk.Fence > 1)
	w.kin, w.uids = map[string]int64{}, map[string]calledRow{}
	if deadline, ok := ctx.Deadline(); ok {
		left := deadline.Sub(im.Now())
		w.stopAt = deadline.Add(-min(20*time.Second, left/5))
	}
	return nil
}

// lanePull is the largest gap between rows of a lane that is read over rather than asked for anew.
const lanePull = 256 << 10

// stream imports rows that do not depend on each other, as they come.
func (w *worker) stream(ctx context.Context) error {
	w.slots = make([]slot, window)
	n := 0
	err := w.each(ctx, func(row int64, rec *csvfile.Record) error {
		w.parse(&w.slots[n], row, rec)
		if w.done[row] {
			return nil
		}
		if n++; n < window {
			return nil
		}
		n = 0
		return w.apply(ctx, w.slots)
	})
	if err != nil {
		return err
	}
	return w.apply(ctx, w.slots[:n])
}

// linked imports rows of which some depend on others, in waves. Rows that an earlier turn has finished keep their place in
// the order, so that the others find theirs.
func (w *worker) linked(ctx context.Context) error {
	var own, refs [][]uint64
	var lanes []uint64
	err := w.each(ctx, func(row int64, rec *csvfile.Record) error {
		w.slots = append(w.slots, slot{})
		s := &w.slots[len(w.slots)-1]
		w.parse(s, row, rec)
		var ids Identity
		if s.err == nil {
			w.binding.Identity(w.cells, &ids)
		}
		if w.head.Mixed {
			ids.Own = append(ids.Own, mixedKey)
		}
		own, refs, lanes = append(own, ids.Own), append(refs, ids.Refs), append(lanes, ids.Lane)
		if w.done[row] {
			*s = slot{row: row}
		}
		return nil
	})
	if err != nil {
		return err
	}
	turn := make([]slot, 0, window)
	for _, wave := range order(own, refs, lanes, operation(w.job) != biobank.Update) {
		rows := wave.rows[:0]
		for _, i := range wave.rows {
			if !w.done[w.slots[i].row] {
				rows = append(rows, i)
			}
		}
		if len(rows) == 0 {
			continue
		}
		if w.count.failed > 0 && (operation(w.job) != biobank.Create || w.schema.looks) {
			// What made a row fail may be gone once the rows behind it are done. It must not succeed when the chunk is
			// tried again.
			if err := w.checkpoint(ctx); err != nil {
				return err
			}
		}
		if wave.settled {
			if err := w.settle(ctx); err != nil {
				return err
			}
		}
		for from := 0; from < len(rows); from += window {
			turn = turn[:0]
			for _, i := range rows[from:min(len(rows), from+window)] {
				turn = append(turn, w.slots[i])
			}
			if err := w.apply(ctx, turn); err != nil {
				return err
			}
		}
	}
	return nil
}

// parse makes a row's draft and the beginning of its line.
func (w *worker) parse(s *slot, row int64, rec *csvfile.Record) {
	s.row, s.kin, s.draft, s.why, s.err = row, 0, nil, "", nil
	s.echo = appendEcho(s.echo[:0], w.head.Comma, len(w.head.Captions), rec)
	s.raw = append(s.raw[:0], rec.Raw...)
	bad := rec.Err
	if bad == nil {
		bad = w.header.Check(rec)
	}
	if bad != nil {
		s.err = fault.New(codeParse, "The row could not be read: %s.", bad.Error()).Wrap(bad)
		return
	}
	w.cells = clean(w.cells, rec.Fields)
	if s.draft, s.err = w.draft(w.cells); s.err != nil {
		return
	}
	s.why = w.binding.Reason(w.cells)
	if q, ok := s.draft.(*biobank.RequirementDraft); ok && q.UID != "" && operation(w.job) != biobank.Update {
		if before, twice := w.uids[q.UID]; twice {
			s.err = fault.New(codeParse, "Unique ID %q is that of data row %d already.", q.UID, before.row)
			return
		}
		w.uids[q.UID] = calledRow{row, q}
	}
	if parent := biobank.CountedBelow(s.draft); parent != "" {
		s.kin = w.kin[parent]
		w.kin[parent]++
	}
}

// draft reads a row's cells; a row that makes a column's code panic fails alone.
func (w *worker) draft(cells [][]byte) (d biobank.Draft, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(codePanic, "The row could not be read because of a fault in the program; the other rows are not affected.").
				Wrap(fmt.Errorf("panic: %T", p))
		}
	}()
	return w.binding.Draft(cells)
}

// apply has the registry do the rows, and writes their lines. An error leaves the rows unfinished.
func (w *worker) apply(ctx context.Context, slots []slot) error {
	if len(slots) == 0 {
		return nil
	}
	// However short the time, a turn gets something done, so that the turns come to an end.
	if w.count.done > 0 && !w.stopAt.IsZero() && w.im.Now().After(w.stopAt) {
		return errOutOfTime
	}
	w.changes, w.at = w.changes[:0], w.at[:0]
	prefix := strconv.FormatInt(w.job.ID, 10) + "#"
	for i := range slots {
		s := &slots[i]
		if s.err == nil {
			s.err = w.actor
		}
		if s.err != nil {
			continue
		}
		w.tie(s.draft)
		source := prefix + strconv.FormatInt(s.row, 10)
		w.changes = append(w.changes, biobank.Change{
			Op: operation(w.job), Draft: s.draft, Source: source, ID: source, Reason: s.why,
			Reserved: w.head.Reserved, Row: (s.row-1)*max(w.head.Each, 1) + 1, Each: w.head.Each, Kin: s.kin, Shared: w.span.Linked,
		})
		w.at = append(w.at, i)
	}
	outcomes, err := w.batch.Apply(ctx, w.changes)
	n := 0
	for i := range slots {
		s := &slots[i]
		var o biobank.Outcome
		if n < len(w.at) && w.at[n] == i {
			if n >= len(outcomes) {
				break // not done: the batch was cut short
			}
			o = outcomes[n]
			n++
		} else {
			o.Err = s.err
		}
		w.finish(s, &o)
	}
	return err
}

// tie names the row that a requirement is made from, where the file calls it by a name of its own: rows that hang together
// are in one chunk, and the id of what a row makes is known before it is made.
func (w *worker) tie(d biobank.Draft) {
	if q, ok := d.(*biobank.RequirementDraft); ok && q.ParentUID != "" {
		up := w.uids[q.ParentUID]
		q.Tie(up.draft, w.head.Reserved[string(biobank.Requirement)]+up.row)
	}
}

// finish writes the line of a row with an outcome.
func (w *worker) finish(s *slot, o *biobank.Outcome) {
	message := ""
	var values [4]string
	if o.Err != nil {
		message = fault.Row(o.Err)
		for _, f := range fault.All(o.Err) {
			if f.Code == codePanic {
				w.im.Log.Error("row not processed because of a fault in the program", "job", w.job.ID, "row", s.row, "cause", fmt.Sprint(f.Unwrap()))
			}
		}
	} else if o.Record != nil {
		values[0] = strconv.FormatInt(o.Record.ID, 10)
		next := values[1:1]
		for _, caption := range w.schema.Generated()[1:] {
			switch caption {
			case "OS_PPID":
				next = append(next, o.PPID)
			case "OS_VISIT_NAME":
				next = append(next, o.VisitName)
			default:
				next = append(next, o.Label)
			}
		}
	}
	s.echo = appendOutcome(s.echo, w.head.Comma, message, w.schema.Generated(), values)
	from := len(w.text)
	w.text = appendLine(w.text, &line{row: s.row, failed: o.Err != nil, lost: s.lost, text: s.echo, raw: s.raw})
	w.lines = append(w.lines, placed{s.row, from, len(w.text)})
	w.count.done++
	if o.Err != nil {
		w.count.failed++
	}
}

// turnParts is the most report parts of one turn; then they become one, so that the list of a chunk's parts stays short
// however often it stores how far it is.
const turnParts = 50

// storeLines stores the lines since the last checkpoint as a part of the report.
func (w *worker) storeLines(ctx context.Context) error {
	if len(w.lines) == w.stored {
		return nil
	}
	from, keep := w.stored, len(w.chunk.Parts)
	if w.parts == turnParts {
		from, keep, w.parts = 0, keep-w.parts, 0
	}
	lines := slices.SortedFunc(slices.Values(w.lines[from:]), func(a, b placed) int { return int(a.row - b.row) })
	var part []byte
	for _, l := range lines {
		part = append(part, w.text[l.from:l.to]...)
	}
	key := partKey(w.job.ID, w.chunk.N, w.chunk.Fence, lines[0].row)
	if err := w.im.Files.Put(ctx, w.im.Config.Results, key, part); err != nil {
		return fmt.Errorf("store report part: %w", err)
	}
	w.chunk.Parts = append(w.chunk.Parts[:keep], key)
	w.parts++
	w.stored = len(w.lines)
	return nil
}

// giveUp fails the rows of a chunk that was tried too often: the file's other chunks are not held up.
func (w *worker) giveUp(ctx context.Context) error {
	w.im.Log.ErrorContext(ctx, "chunk given up", "job", w.job.ID, "chunk", w.chunk.N, "attempts", w.chunk.Attempts)
	reason := fault.New("IMPORT_JOB_FAIL", "Processing of this part of the file broke off %d times, so it is not known whether the row was saved. Drop it again.", w.im.Config.MaxAttempts)
	return w.each(ctx, func(row int64, rec *csvfile.Record) error {
		if w.done[row] {
			return nil
		}
		var s slot
		s.row, s.lost = row, true
		s.echo = appendEcho(nil, w.head.Comma, len(w.head.Captions), rec)
		s.raw = bytes.Clone(rec.Raw)
		w.finish(&s, &biobank.Outcome{Err: reason})
		return nil
	})
}

// save stores what was finished: parents lowered by their children, the part of the report, and last how far the chunk is.
func (w *worker) save(ctx context.Context, open bool) error {
	if w.batch != nil {
		if err := w.settle(ctx); err != nil {
			return err
		}
	}
	if err := w.storeLines(ctx); err != nil {
		return err
	}
	w.chunk.Open = open
	w.chunk.Done += w.count.done
	w.chunk.Failed += w.count.failed
	w.chunk.Next = w.chunk.Done
	return w.im.Jobs.SaveChunk(ctx, w.chunk)
}

// checkpoint stores what was finished and goes on under a new lease.
func (w *worker) checkpoint(ctx context.Context) error {
	for _, l := range w.lines[w.stored:] {
		w.done[l.row] = true
	}
	if err := w.save(ctx, true); err != nil {
		return err
	}
	w.count.done, w.count.failed = 0, 0
	c, err := w.im.Jobs.LeaseChunk(ctx, w.job.ID, w.chunk.N, w.im.Now(), w.im.Config.Lease)
	switch {
	case errors.Is(err, jobs.ErrLeased):
		return w.im.wait(c.LeasedTo) // another worker's, or our own, of which the answer was lost
	case errors.Is(err, jobs.ErrEnded):
		return jobs.ErrLeaseLost
	case err != nil:
		return err
	}
	*w.chunk = *c // the store looks at it for the fence
	if c.Stop {
		return jobs.ErrStopped
	}
	return nil
}

// settle lowers parents by what the chunk's rows have taken so far.
func (w *worker) settle(ctx context.Context) error {
	return w.batch.Settle(ctx, fmt.Sprintf("%d#c%d", w.job.ID, w.chunk.N), w.mine)
}

// mine tells whether a source is a row of this chunk.
func (w *worker) mine(source string) bool {
	job, rest, ok := strings.Cut(source, "#")
	if !ok || job != strconv.FormatInt(w.job.ID, 10) {
		return false
	}
	row, err := strconv.ParseInt(rest, 10, 64)
	if err != nil {
		return false
	}
	if w.span.Lane != nil {
		_, found := slices.BinarySearchFunc(w.span.Lane, row, func(l laneRow, row int64) int { return int(l.Row - row) })
		return found
	}
	n := row - w.span.First
	if n < 0 || n >= w.span.Rows {
		return false
	}
	_, skipped := slices.BinarySearch(w.span.Skip, uint32(n))
	return !skipped
}
