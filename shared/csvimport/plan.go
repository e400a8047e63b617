package csvimport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"aliquot/shared/biobank"
	"aliquot/shared/csvfile"
	"aliquot/shared/fault"
	"aliquot/shared/jobs"
)

// head is the part of a plan that every chunk needs.
type head struct {
	// The file as UTF-8: the one dropped, or our own copy of one in another encoding.
	Bucket, Key, Version string
	Comma                byte
	Captions             []string
	RawHeader            []byte // the header line as in the file
	Rows                 int64
	// Mixed tells that rows find their records in different ways, so that all of them are done in order.
	Mixed bool `json:",omitempty"`
	// Reserved holds the first number of each reserved range, by counter: row n takes first + n, or Each numbers from there on
	// where rows make several objects.
	Reserved map[string]int64
	Each     int64 `json:",omitempty"`
	// Index holds where each chunk's description ends in the plan's second object.
	Index []int64
}

// span describes a chunk: consecutive rows of the file, less those that lanes took, or the rows of lanes.
type span struct {
	First  int64 // number of the first row, from 1
	Rows   int64
	Offset int64
	End    int64
	Line   int64 // of the first row in the file
	// Skip are the rows taken out, as numbers within the chunk, from 0.
	Skip []uint32 `json:",omitempty"`
	// Linked tells that rows of the chunk depend on one another.
	Linked bool `json:",omitempty"`
	// Lane lists the rows of a lane chunk, in file order.
	Lane []laneRow `json:",omitempty"`
}

type laneRow struct{ Row, Offset, End, Line int64 }

// chunkBytes bounds what a chunk reads, besides its number of rows.
const chunkBytes = 4 << 20

// plan reads a job's file and cuts it into chunks.
func (im *Importer) plan(ctx context.Context, id int64) error {
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
	switch {
	case j.Chunks > 0:
		return im.resume(ctx, j)
	case j.Reason != "":
		return im.failJob(ctx, j, j.Reason)
	case j.Stop:
		j.Status, j.EndedAt = jobs.Stopped, im.Now()
		j.Reason = "The import was stopped before any row was read."
		j.Total = max(j.Total, 0)
		return leaseGone(im.end(ctx, j))
	case j.Attempts > im.Config.MaxAttempts:
		return im.failJob(ctx, j, fault.Row(fault.New("IMPORT_JOB_FAIL",
			"The file could not be read in %d tries. Check that it can be opened, or split it, and drop it again.", im.Config.MaxAttempts)))
	}
	if j.ObjectType == typeArchive {
		return im.unpack(ctx, j)
	}
	if early := j.CreatedAt.Add(im.Config.DropWait).Sub(im.Now()); j.Drop && early > 0 {
		// The end of another file has woken this one before files with an earlier stamp had time to arrive.
		j.Attempts = 0
		if err := im.Jobs.Save(ctx, j); err != nil {
			return leaseGone(err)
		}
		return &jobs.Later{After: early}
	}
	turn := true
	if j.Drop { // uploads of the API do not wait
		if turn, err = im.Jobs.Turn(ctx, j); err != nil {
			return err
		}
	}
	if !turn {
		j.Attempts = 0
		return leaseGone(im.Jobs.Save(ctx, j)) // whoever ends before it wakes it
	}
	j.Status = jobs.InProgress
	if err := im.Jobs.Renew(ctx, j, im.until()); err != nil {
		return leaseGone(err)
	}
	if err := im.makePlan(ctx, j); err != nil {
		switch {
		case errors.Is(err, jobs.ErrLeaseLost):
			return nil
		case errors.Is(err, jobs.ErrNoFile):
			err = errFileGone
		}
		if fault.All(err) != nil {
			return im.failJob(ctx, j, fault.Row(err))
		}
		return fmt.Errorf("plan job %d: %w", id, err)
	}
	if err := im.Jobs.Save(ctx, j); err != nil {
		return leaseGone(err)
	}
	im.Log.InfoContext(ctx, "job planned", "job", id, "rows", j.Total, "chunks", j.Chunks)
	return im.sendChunks(ctx, j, 0)
}

var errFileGone = fault.New("COMMON_FILE_NOT_FOUND", "The file was deleted before it could be read. Drop it again.")

// leaseGone makes the loss of a lease the end of this worker's part: whoever has it now goes on.
func leaseGone(err error) error {
	if errors.Is(err, jobs.ErrLeaseLost) {
		return nil
	}
	return err
}

// resume goes on with a job that was planned before: what is open is sent again, and what is done is finished.
func (im *Importer) resume(ctx context.Context, j *jobs.Job) error {
	j.Attempts = 0
	if err := im.Jobs.Save(ctx, j); err != nil {
		return leaseGone(err)
	}
	if err := im.sendChunks(ctx, j, im.Now().UnixMilli()); err != nil {
		return err
	}
	return im.send(ctx, Message{Job: j.ID, Step: stepFinish}, 0)
}

// sendChunks asks for the open chunks that nobody holds a lease on.
func (im *Importer) sendChunks(ctx context.Context, j *jobs.Job, now int64) error {
	chunks, err := im.Jobs.Chunks(ctx, j.ID, -1, 0)
	if err != nil {
		return err
	}
	for _, c := range chunks {
		if c.Open && c.LeasedTo.UnixMilli() <= now {
			if err := im.send(ctx, Message{Job: j.ID, Step: stepChunk, Chunk: c.N}, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// options are what the job says about reading its rows.
func options(j *jobs.Job) (Options, error) {
	o := Options{Op: operation(j), DateFormat: j.DateFormat, TimeFormat: j.TimeFormat, Location: time.UTC}
	if j.TimeZone != "" {
		loc, err := time.LoadLocation(j.TimeZone)
		if err != nil {
			return o, fault.New("COMMON_INVALID_TZ", "Time zone %q is not known.", j.TimeZone)
		}
		o.Location = loc
	}
	if cp := strings.TrimSpace(j.Params["cpId"]); cp != "" {
		id, err := strconv.ParseInt(cp, 10, 64)
		if err != nil {
			return o, fault.New("COMMON_INVALID_INPUT", "cpId %q is not a number.", short(cp))
		}
		o.ProtocolID = id
	}
	return o, nil
}

// makePlan reads the file and stores plan and chunks; j is filled in.
func (im *Importer) makePlan(ctx context.Context, j *jobs.Job) error {
	schema, err := SchemaOf(ctx, im.Registry, j.ObjectType, j.Params)
	if err != nil {
		return err
	}
	if schema == nil {
		return fault.New("IMPORT_JOB_OBJ_SCHEMA_NOT_FOUND", "Records of type %q cannot be imported.", short(j.ObjectType))
	}
	actor, err := im.actor(ctx, j)
	if err != nil {
		return err
	}
	h := &head{Bucket: j.Bucket, Key: j.Key, Version: j.Version}
	s := &scan{hold: hold{im: im, job: j, renewed: im.Now()}, head: h}
	if err := s.decode(ctx); err != nil {
		return err
	}
	if err := s.rows(ctx, schema); err != nil {
		return tellFile(err)
	}
	if h.Rows == 0 {
		return fault.New("IMPORT_JOB_RECORD_PARSE_ERROR", "The file has a header line but no rows. Add the rows below the header and drop it again.")
	}
	if err := s.open(ctx, actor); err != nil {
		return err
	}
	if err := s.link(); err != nil {
		return err
	}
	if err := s.locate(ctx); err != nil {
		return tellFile(err)
	}
	h.Each = s.each()
	if err := im.reserve(ctx, j, h, schema, s.protocols); err != nil {
		return err
	}
	if err := im.store(ctx, j, h, s.spans); err != nil {
		return err
	}
	if unknown := s.binding.Unknown(); len(unknown) > 0 {
		j.Warnings = append(j.Warnings, "These columns are not known and were not read: "+fewNames(unknown)+".")
		nested := slices.ContainsFunc(unknown, func(c string) bool { return strings.Contains(c, "#") })
		if cp := strings.TrimSpace(j.Params["cpId"]); nested && slices.ContainsFunc(schema.levels, biobank.Level.InProtocol) && (cp == "" || cp == "-1") {
			j.Warnings = append(j.Warnings, "Custom fields are read by imports into one collection protocol: give it as cpId.")
		}
	}
	j.Total, j.Chunks, j.Plan, j.Attempts = h.Rows, len(s.spans), j.Fence, 0
	return nil
}

// fewNames lists names, of many the first ones, each cut to a length that a reader takes in.
func fewNames(names []string) string {
	const most = 50
	few := make([]string, 0, most)
	for _, n := range names[:min(most, len(names))] {
		few = append(few, short(n))
	}
	list := strings.Join(few, ", ")
	if more := len(names) - len(few); more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return list
}

// tellFile makes what is wrong with the file a fault of the job's.
func tellFile(err error) error {
	var f *csvfile.FileError
	if errors.As(err, &f) {
		return fault.New(codeParse, "The file could not be read: %s. Mend it and drop it again.", f.Error()).Wrap(err)
	}
	return err
}

// decode finds out how the file is written. One that is not UTF-8, or lies in an archive, is copied as UTF-8, so that
// chunks can be read by range.
func (s *scan) decode(ctx context.Context) error {
	im, j, h := s.im, s.job, s.head
	var in io.ReadCloser
	var err error
	if j.Entry != "" {
		in, err = im.openEntry(ctx, j)
	} else {
		in, err = im.Files.Open(ctx, h.Bucket, h.Key, h.Version, 0, -1)
	}
	if err != nil {
		return err
	}
	defer in.Close()
	start := make([]byte, csvfile.HeadSize)
	n, err := io.ReadFull(in, start)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read %s: %w", h.Key, err)
	}
	separator := byte(0)
	if j.FieldSeparator != "" {
		separator = j.FieldSeparator[0]
	}
	d, err := csvfile.Detect(start[:n], separator)
	if err != nil {
		return tellFile(err)
	}
	h.Comma = d.Comma
	if d.Encoding == csvfile.EncodingUTF8 && j.Entry == "" {
		return nil
	}
	out := im.Files.Create(ctx, im.Config.Results, inputKey(j.ID, j.Fence))
	defer out.Abort() //nolint:errcheck // after Close there is nothing to drop, and before it the caller hears of the cause
	text := csvfile.UTF8(io.MultiReader(bytes.NewReader(start[:n]), in), d)
	if _, err := io.Copy(out, heldReader{text, func() error { return s.renew(ctx) }}); err != nil {
		return tellFile(err)
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("copy the file as UTF-8: %w", err)
	}
	h.Bucket, h.Key, h.Version = im.Config.Results, inputKey(j.ID, j.Fence), ""
	return nil
}

// heldReader renews a lease while it is read.
type heldReader struct {
	io.Reader
	renew func() error
}

func (r heldReader) Read(p []byte) (int, error) {
	if err := r.renew(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// scan is one reading of the file.
type scan struct {
	hold
	head    *head
	binding *Binding
	spans   []*span
	keys    []rowKey
	// protocols are the protocols that rows name, as long as they are few.
	protocols map[string]bool
	// takers are the containers in which rows take the next free cell, by hash, as long as they are few.
	takers map[uint64]string
	// makers is how many rows make so many specimens, where rows may make several.
	makers map[int64]int64
	lane   []uint32 // the rows, from 0, that lanes take
	lanes  [][]uint32
}

// maxProtocols is the most protocols that a file may name and still have numbers reserved from their own counters; the
// rows of further ones draw them one by one.
const maxProtocols = 200

// maxTakers is the most containers of a file that are looked at before their rows become a lane.
const maxTakers = 10_000

// open drops the lanes of containers that have no cells: there is nothing to take in them, and no order to keep.
func (s *scan) open(ctx context.Context, a *biobank.Actor) error {
	names := slices.Sorted(maps.Values(s.takers))
	none, err := s.im.Registry.Import(a, s.im.Now(), time.UTC, false).Dimensionless(ctx, names)
	if err != nil || len(none) == 0 {
		return err
	}
	s.keys = slices.DeleteFunc(s.keys, func(k rowKey) bool { return none[s.takers[k.hash()]] })
	return nil
}

// rows reads the file: header, rows, chunks and the hashes of what rows are about.
func (s *scan) rows(ctx context.Context, schema *Schema) error {
	o, err := options(s.job)
	if err != nil {
		return err
	}
	return s.read(ctx, func(r *csvfile.Reader, h *csvfile.Header) error {
		s.head.Captions, s.head.RawHeader = h.Captions, slices.Clone(h.Record.Raw)
		if s.binding, err = schema.Bind(h.Captions, o); err != nil {
			return err
		}
		s.protocols, s.takers, s.makers = map[string]bool{}, map[uint64]string{}, map[int64]int64{}
		cp := slices.IndexFunc(h.Captions, func(c string) bool { return strings.EqualFold(c, captionProtocol) })
		var ids Identity
		var cells [][]byte
		var now *span
		found := -1 // the way in which rows find their records
		for {
			rec, err := r.Read()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if rec.Blank() && rec.Err == nil {
				continue
			}
			if s.head.Rows >= 1<<31-1 {
				return fault.New(codeParse, "The file has more than %d rows. Split it.", 1<<31-1)
			}
			if now == nil || now.Rows >= int64(s.im.Config.ChunkRows) || rec.End-now.Offset > chunkBytes {
				now = &span{First: s.head.Rows + 1, Offset: rec.Offset, Line: rec.Line}
				s.spans = append(s.spans, now)
				if err := s.renew(ctx); err != nil {
					return err
				}
			}
			row := uint32(s.head.Rows)
			s.head.Rows++
			now.Rows++
			now.End = rec.End
			if rec.Err != nil || h.Check(rec) != nil {
				continue
			}
			cells = clean(cells, rec.Fields)
			if by := s.binding.finder(cells); by > 0 {
				s.head.Mixed = s.head.Mixed || found > 0 && by != found
				found = by
			}
			if s.binding.makes != nil {
				if n := s.binding.makes(cells); n > 0 && n <= biobank.MaxChildren {
					s.makers[n]++
				}
			}
			ids.Own, ids.Refs = ids.Own[:0], ids.Refs[:0]
			s.binding.Identity(cells, &ids)
			for _, h := range ids.Own {
				s.keys = append(s.keys, newRowKey(h, row, true))
			}
			for _, h := range ids.Refs {
				s.keys = append(s.keys, newRowKey(h, row, false))
			}
			for _, h := range ids.Joins {
				s.keys = append(s.keys, newRowKey(h, row, true))
			}
			if ids.Lane != 0 {
				s.keys = append(s.keys, newRowKey(ids.Lane, row, ids.Open))
				if ids.Open && len(s.takers) < maxTakers && s.takers[ids.Lane] == "" {
					s.takers[ids.Lane] = string(ids.Taker)
				}
			}
			if cp >= 0 && len(s.protocols) < maxProtocols && !s.protocols[string(cells[cp])] {
				s.protocols[string(cells[cp])] = true
			}
		}
	})
}

// clean takes what spreadsheets put around values off the cells: spaces, and the apostrophe of the formula guard.
func clean(into, cells [][]byte) [][]byte {
	into = into[:0]
	for _, c := range cells {
		into = append(into, csvfile.Unguard(bytes.TrimSpace(c)))
	}
	return into
}

// read opens the file and hands its reader over behind the header.
func (s *scan) read(ctx context.Context, each func(*csvfile.Reader, *csvfile.Header) error) error {
	in, err := s.im.Files.Open(ctx, s.head.Bucket, s.head.Key, s.head.Version, 0, -1)
	if err != nil {
		return err
	}
	defer in.Close()
	r := csvfile.NewReader(in, s.head.Comma, csvfile.Position{})
	h, err := r.Header()
	if err != nil {
		return err
	}
	return each(r, h)
}

// hold keeps the lease of a job during long work.
type hold struct {
	im      *Importer
	job     *jobs.Job
	renewed time.Time
}

func (h *hold) renew(ctx context.Context) error {
	if now := h.im.Now(); now.Sub(h.renewed) > h.im.Config.Lease/4 {
		h.renewed = now
		return h.im.Jobs.Renew(ctx, h.job, h.im.until())
	}
	return nil
}

// locate reads the file once more for the places of the rows that lanes took, and describes the lanes' chunks.
func (s *scan) locate(ctx context.Context) error {
	if len(s.lane) == 0 {
		return nil
	}
	taken := s.lane // in file order
	places := make([]laneRow, len(taken))
	row, next := uint32(0), 0
	err := s.read(ctx, func(r *csvfile.Reader, _ *csvfile.Header) error {
		for next < len(taken) {
			rec, err := r.Read()
			if err != nil {
				return err
			}
			if rec.Blank() && rec.Err == nil {
				continue
			}
			if row == taken[next] {
				places[next] = laneRow{Row: int64(row) + 1, Offset: rec.Offset, End: rec.End, Line: rec.Line}
				next++
			}
			if row++; row%(1<<16) == 0 {
				if err := s.renew(ctx); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	at := 0
	for _, c := range s.spans {
		first := uint32(c.First - 1)
		for ; at < len(taken) && taken[at] < first+uint32(c.Rows); at++ {
			c.Skip = append(c.Skip, taken[at]-first)
		}
	}
	for _, rows := range s.lanes {
		slices.Sort(rows)
		c := &span{Linked: true, Rows: int64(len(rows))}
		for _, row := range rows {
			place, _ := slices.BinarySearch(taken, row)
			c.Lane = append(c.Lane, places[place])
		}
		c.First = c.Lane[0].Row
		s.spans = append(s.spans, c)
	}
	return nil
}

// store keeps the plan: the chunks' descriptions one after another, and the head with an index of them.
func (im *Importer) store(ctx context.Context, j *jobs.Job, h *head, spans []*span) error {
	out := im.Files.Create(ctx, im.Config.Results, rowsKey(j.ID, j.Fence))
	defer out.Abort() //nolint:errcheck // after Close there is nothing to drop, and before it the caller hears of the cause
	at := int64(0)
	for _, c := range spans {
		doc, err := json.Marshal(c)
		if err != nil {
			return fmt.Errorf("encode a chunk: %w", err)
		}
		if _, err := out.Write(doc); err != nil {
			return err
		}
		at += int64(len(doc))
		h.Index = append(h.Index, at)
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("store the plan: %w", err)
	}
	doc, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("encode the plan: %w", err)
	}
	if err := im.Files.Put(ctx, im.Config.Results, planKey(j.ID, j.Fence), doc); err != nil {
		return fmt.Errorf("store the plan: %w", err)
	}
	return im.Jobs.AddChunks(ctx, j.ID, len(spans))
}
