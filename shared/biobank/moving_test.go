package biobank_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"aliquot/shared/biobank"
	"aliquot/shared/biobank/biobanktest"
)

// moving is a store in which something moves as soon as a mark was read.
type moving struct {
	*biobanktest.Memory
	mark string
	move func()
}

func (s *moving) Marks(ctx context.Context, names []string, strong bool) (map[string]biobank.Mark, error) {
	marks, err := s.Memory.Marks(ctx, names, strong)
	if move := s.move; move != nil && slices.Contains(names, s.mark) {
		s.move = nil
		move()
	}
	return marks, err
}

// What moves between the look at its mark and that at its record is found at its new place.
func TestFoundWhileItMoves(t *testing.T) {
	m := biobanktest.NewMemory()
	plain := &biobank.Registry{Store: m}
	admin := newWorld(t, plain)
	out := mustApply(t, plain, admin, registration("P-1"), registration("P-2"), visit("P-1", "V"), primary("V", "S", 5))
	homes, moved, specimen := []int64{out[0].Record.ID, out[1].Record.ID}, out[2].Record.ID, out[3].Record.ID
	at := 0
	for name, look := range map[string]func(r *biobank.Registry) error{
		biobank.IDMark(biobank.Visit, moved): func(r *biobank.Registry) error {
			_, err := r.Get(t.Context(), admin, biobank.Visit, moved)
			return err
		},
		biobank.IDMark(biobank.Specimen, specimen): func(r *biobank.Registry) error {
			out, err := r.Apply(t.Context(), admin, now, []biobank.Change{{Op: biobank.Update, ID: "look", Draft: &biobank.SpecimenDraft{
				ID: specimen, Merge: func(d *biobank.SpecimenDoc) { d.Comments += "seen" },
			}}})
			if err == nil {
				err = out[0].Err
			}
			return err
		},
		"visit.name#V": func(r *biobank.Registry) error {
			b := r.Import(admin, now, time.UTC, false)
			out, err := b.Apply(t.Context(), rows(biobank.Update, 7, 1, nil, &biobank.VisitDraft{
				Doc: biobank.VisitDoc{Name: "V"}, Merge: func(d *biobank.VisitDoc) { d.Comments += "seen" },
			}))
			if err == nil {
				err = out[0].Err
			}
			return err
		},
		"specimen.label#S": func(r *biobank.Registry) error {
			out, err := r.Apply(t.Context(), admin, now, []biobank.Change{{Op: biobank.Create, ID: "look", Draft: child(biobank.LineageDerived, "S", "K", 1)}})
			if err == nil {
				err = out[0].Err
			}
			return err
		},
	} {
		s := &moving{Memory: m, mark: name, move: func() {
			at = 1 - at
			_, done, err := plain.ChangeVisit(t.Context(), admin, now, now.Add(time.Minute), func() time.Time { return now }, biobank.Change{Op: biobank.Update, ID: "move", ByID: true},
				&biobank.VisitDraft{ID: moved, RegistrationID: homes[at], Moves: true, Merge: func(*biobank.VisitDoc) {}})
			if err != nil || !done {
				t.Fatalf("the visit did not move: %v", err)
			}
		}}
		if err := look(&biobank.Registry{Store: s}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if s.move != nil {
			t.Errorf("nobody looked at %s", name)
		}
	}
}
