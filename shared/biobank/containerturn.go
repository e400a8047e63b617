package biobank

import (
	"context"
	"maps"
	"strings"
)

// Containers that people move into others take turns. Whether a move closes a circle is read from what the goal lies in, so
// two opposite moves at once, each right by itself, could make one. Each therefore changes hands of one mark, on condition
// that nobody did since it was read, which is before anything else of the move is: of two at once the later one is planned
// again, on what the other one wrote, and refused. (Moves are rare, and a turn costs a write unit; jobs write in rounds, not
// in transactions, and take none.)

// turnMark is the mark that a move takes.
const turnMark = "container.moves"

// takeTurn plans that the change moves a container into another, once for all that it moves. The mark must have been read
// before the containers were.
func (b *Batch) takeTurn(ctx context.Context, c *Change, rec *Record) error {
	if b.bulk {
		return nil
	}
	for _, w := range b.writes[roundNames] {
		if w.row == b.row && w.Mark.Name == turnMark {
			return nil
		}
	}
	was, err := b.mark(ctx, turnMark)
	if err != nil {
		return err
	}
	w := Write{Kind: InsertMark, Mark: Mark{Name: turnMark, To: rec.Key, ID: rec.ID, Source: c.ID}}
	if !was.IsZero() {
		w.Kind, w.WasSource, w.WasTo = TakeMark, was.Source, was.To
	}
	b.writes[roundNames] = append(b.writes[roundNames], rowWrite{row: b.row, stale: b.missTurn, Write: w})
	return nil
}

// missTurn forgets the containers, so that the move is planned on them as they are now.
func (b *Batch) missTurn() {
	maps.DeleteFunc(b.recs, func(k Key, _ *Record) bool { return strings.HasPrefix(k.Part, string(Container)+"#") })
}
