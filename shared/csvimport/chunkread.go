package csvimport

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"aliquot/shared/csvfile"
	"aliquot/shared/jobs"
)

// readHead reads what every chunk needs of a job's plan.
func (im *Importer) readHead(ctx context.Context, j *jobs.Job, h *head) error {
	doc, err := im.get(ctx, im.Config.Results, planKey(j.ID, j.Plan), 0, -1)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(doc, h); err != nil {
		return fmt.Errorf("read plan: %w", err)
	}
	return nil
}

// readPart notes and counts the rows that an earlier turn has finished.
func (w *worker) readPart(ctx context.Context, key string) error {
	in, err := w.im.Files.Open(ctx, w.im.Config.Results, key, "", 0, -1)
	if err != nil {
		return fmt.Errorf("open report part: %w", err)
	}
	defer in.Close()
	r := bufio.NewReader(in)
	var l line
	for {
		err := readLine(r, &l)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read report part: %w", err)
		}
		w.done[l.row] = true
		w.chunk.Done++
		if l.failed {
			w.chunk.Failed++
		}
	}
}

// get reads a small object.
func (im *Importer) get(ctx context.Context, bucket, key string, from, to int64) ([]byte, error) {
	in, err := im.Files.Open(ctx, bucket, key, "", from, to)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", key, err)
	}
	defer in.Close()
	b, err := io.ReadAll(in)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	return b, nil
}

// each reads the rows of the chunk, those that an earlier turn has finished included: the numbers of later rows may be
// counted from them. The record is valid until the function returns.
func (w *worker) each(ctx context.Context, do func(row int64, rec *csvfile.Record) error) error {
	if w.span.Lane != nil {
		return w.eachOfLane(ctx, do)
	}
	skip := w.span.Skip
	n := int64(-1)
	return w.records(ctx, csvfile.Position{Offset: w.span.Offset, Line: w.span.Line}, w.span.End, func(rec *csvfile.Record) error {
		n++
		if len(skip) > 0 && int64(skip[0]) == n {
			skip = skip[1:]
			return nil
		}
		return do(w.span.First+n, rec)
	})
}

func (w *worker) eachOfLane(ctx context.Context, do func(int64, *csvfile.Record) error) error {
	lane := w.span.Lane
	for len(lane) > 0 {
		n := 1
		for n < len(lane) && lane[n].Offset-lane[n-1].End < lanePull {
			n++
		}
		run := lane[:n]
		lane = lane[n:]
		start := csvfile.Position{Offset: run[0].Offset, Line: run[0].Line}
		err := w.records(ctx, start, run[n-1].End, func(rec *csvfile.Record) error {
			if len(run) == 0 || rec.Offset != run[0].Offset {
				return nil
			}
			row := run[0].Row
			run = run[1:]
			return do(row, rec)
		})
		if err != nil {
			return err
		}
		if len(run) > 0 {
			return fmt.Errorf("row %d is not where the plan saw it", run[0].Row)
		}
	}
	return nil
}

// records reads the rows between two places of the file.
func (w *worker) records(ctx context.Context, start csvfile.Position, end int64, do func(*csvfile.Record) error) error {
	in, err := w.im.Files.Open(ctx, w.head.Bucket, w.head.Key, w.head.Version, start.Offset, end)
	if err != nil {
		return fmt.Errorf("open the file: %w", err)
	}
	defer in.Close()
	r := csvfile.NewReader(in, w.head.Comma, start)
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
		if err := do(rec); err != nil {
			return err
		}
	}
}
