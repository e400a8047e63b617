package clinical

import (
	"context"
	"fmt"

	"aliquot/shared/biobank"
)

// The ids of notes are unique in a study. Imports bring ids of their own, which may look like those that are drawn here; so
// each id that a note has, wherever it came from, has a mark.

// NoteMark makes the id of a note unique in its study.
func NoteMark(study int64, id string) string { return fmt.Sprintf("note.id#%d#%s", study, id) }

// The ids of a thread and of a child, by number.
func threadID(n int64) string { return fmt.Sprintf("DN_%d", n) }
func childID(n int64) string  { return fmt.Sprintf("CDN_%d", n) }

// freeNotes draws numbers that no note of a study has in its id: one at least, and most at the most. Where all of a draw are
// taken the next one is further away, so that a thousand that imports have taken are passed in five.
func freeNotes(ctx context.Context, s biobank.Store, study, most int64) (free []int64, err error) {
	const longest = 1 << 40
	for step := most; step < longest; step *= 4 {
		first, err := s.Reserve(ctx, "note", step)
		if err != nil {
			return nil, fmt.Errorf("draw the ids of notes: %w", err)
		}
		var names []string
		for n := first + step - most; n < first+step; n++ {
			names = append(names, NoteMark(study, threadID(n)), NoteMark(study, childID(n)))
		}
		marks, err := s.Marks(ctx, names, true)
		if err != nil {
			return nil, fmt.Errorf("look up the ids of notes: %w", err)
		}
		for i := range most {
			if marks[names[2*i]].IsZero() && marks[names[2*i+1]].IsZero() {
				free = append(free, first+step-most+i)
			}
		}
		if len(free) > 0 {
			return free, nil
		}
	}
	return nil, busy()
}

// maxDrawn is how many numbers an import draws at once when it needs many.
const maxDrawn = 32

// drawNote gives a number for the ids of a note; each time more are drawn at once, so that an import with few notes leaves few
// gaps and one with many asks seldom. Whoever takes another import's number meanwhile is found out when the plan is written.
func (p *Planner) drawNote(ctx context.Context) (n int64, err error) {
	for {
		if len(p.free) == 0 {
			p.drawn = min(max(1, 2*p.drawn), maxDrawn)
			if p.free, err = freeNotes(ctx, p.Store, p.Study.ID, p.drawn); err != nil {
				return 0, err
			}
		}
		n, p.free = p.free[0], p.free[1:]
		if !p.marks[NoteMark(p.Study.ID, threadID(n))] && !p.marks[NoteMark(p.Study.ID, childID(n))] {
			return n, nil
		}
	}
}

// markNotes has the plan claim the ids of notes.
func (p *Planner) markNotes(ids ...string) {
	if p.marks == nil {
		p.marks = map[string]bool{}
	}
	for _, id := range ids {
		p.marks[NoteMark(p.Study.ID, id)] = true
	}
}

// markNote keeps the id of a note from being taken twice.
func (b By) markNote(study int64, id string) biobank.Write {
	return biobank.Write{Kind: biobank.InsertMark, Mark: biobank.Mark{Name: NoteMark(study, id), Source: b.ID}}
}
