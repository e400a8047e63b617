package biobank_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"aliquot/shared/biobank"
	"aliquot/shared/biobank/biobanktest"
)

// looked is a store that counts what is read of the trees of protocols and of the cells of containers.
type looked struct {
	*biobanktest.Memory
	mu           sync.Mutex
	lists, cells int
	whole        []string // partitions that were read whole at once
}

func (s *looked) List(ctx context.Context, part, prefix, after string, limit int) ([]*biobank.Record, error) {
	s.mu.Lock()
	if strings.Count(part, "#") == 2 {
		s.lists++
		if prefix == "" && limit == 0 {
			s.whole = append(s.whole, part)
		}
	}
	s.mu.Unlock()
	return s.Memory.List(ctx, part, prefix, after, limit)
}

func (s *looked) MarksIn(ctx context.Context, set, prefix, after string, limit int) ([]biobank.Mark, error) {
	s.mu.Lock()
	s.cells++
	s.mu.Unlock()
	return s.Memory.MarksIn(ctx, set, prefix, after, limit)
}

// inhabited is a store with a protocol of participants, each with two visits of specimens.
func inhabited(t *testing.T, participants, specimens int) (*looked, *biobank.Registry, *biobank.Actor) {
	t.Helper()
	s := &looked{Memory: biobanktest.NewMemory()}
	r := &biobank.Registry{Store: s}
	admin := newWorld(t, r)
	var drafts []biobank.Draft
	for p := range participants {
		ppid := fmt.Sprintf("P-%03d", p)
		drafts = append(drafts, registration(ppid))
		for v := range 2 {
			name := fmt.Sprintf("%s.%d", ppid, v)
			drafts = append(drafts, visit(ppid, name))
			for n := range specimens {
				drafts = append(drafts, primary(name, fmt.Sprintf("%s.%d", name, n), 1))
			}
		}
	}
	mustApply(t, r, admin, drafts...)
	s.lists, s.cells, s.whole = 0, 0, nil
	return s, r, admin
}

// A forced deletion of a protocol reads it page by page, and goes on where it was cut short.
func TestALargeProtocolIsDeletedInSeveralRequests(t *testing.T) {
	s, r, admin := inhabited(t, 30, 10)
	change := biobank.Change{ID: "removal"}
	rounds := 0
	for complete := false; !complete; rounds++ {
		if rounds > 500 {
			t.Fatal("the deletion does not come to an end")
		}
		// Each look at the clock takes a second.
		var mu sync.Mutex
		clock := now
		var err error
		_, complete, err = r.Remove(t.Context(), admin, now.Add(time.Duration(rounds)*time.Minute), now.Add(40*time.Second), func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			clock = clock.Add(time.Second)
			return clock
		}, change, biobank.Protocol, 1, true)
		if err != nil {
			t.Fatal(err)
		}
	}
	if rounds < 5 {
		t.Errorf("%d requests deleted all", rounds)
	}
	if s.whole != nil {
		t.Errorf("read whole at once: %v", s.whole)
	}
	for key, rec := range s.AllRecords() {
		if key.Protocol() != 1 || rec.Type == biobank.Event || rec.Type == biobank.Requirement {
			continue
		}
		status, err := biobank.Decode[struct{ ActivityStatus string }](rec)
		if err != nil {
			t.Fatal(err)
		}
		if status.ActivityStatus != biobank.StatusDisabled || rec.Version != 2 {
			t.Errorf("%s %d is %s, version %d", rec.Type, rec.ID, status.ActivityStatus, rec.Version)
		}
	}
	if _, err := r.Get(t.Context(), admin, biobank.Protocol, 1); err == nil {
		t.Error("the protocol is still there")
	}
}

// Who asks whether there is anything gets the answer of the first that is found.
func TestNothingIsReadBehindTheFirst(t *testing.T) {
	s, r, _ := inhabited(t, 60, 20)
	pages := func(wanted func(*biobank.Record) bool) (bool, int) {
		s.lists = 0
		found, err := r.Any(t.Context(), 1, biobank.Everything, func(rec *biobank.Record) (bool, error) { return wanted(rec), nil })
		if err != nil {
			t.Fatal(err)
		}
		return found, s.lists
	}
	if found, n := pages(func(rec *biobank.Record) bool { return rec.Type == biobank.Visit }); !found || n > biobank.Shards {
		t.Errorf("found %v in %d pages", found, n)
	}
	if found, n := pages(func(*biobank.Record) bool { return false }); found || n <= biobank.Shards {
		t.Errorf("found %v in %d pages of nothing", found, n)
	}
}

// Free containers are looked for from the top of the list until there are enough.
func TestFreeContainersAreLookedForUntilThereAreEnough(t *testing.T) {
	s, r, admin := inhabited(t, 1, 3)
	var all []*biobank.Branch
	for i := range 70 {
		d := &biobank.ContainerDraft{Site: ptr("North Clinic"), Doc: biobank.ContainerDoc{Name: fmt.Sprintf("Box %02d", i), StoreSpecimens: true}}
		d.Doc.Rows, d.Doc.Columns = 1, 1
		rec := mustApply(t, r, admin, d)[0].Record
		branches, err := r.Branches(t.Context(), []*biobank.Record{rec})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, branches[rec.ID])
	}
	for i, label := range []string{"P-000.0.0", "P-000.0.1", "P-000.0.2"} {
		full := all[i*2].ID() // the first, third and fifth are full
		out, err := r.Apply(t.Context(), admin, now, []biobank.Change{{Op: biobank.Update, ID: "fill", Draft: &biobank.SpecimenDraft{
			Doc: biobank.SpecimenDoc{Label: label}, Merge: func(*biobank.SpecimenDoc) {}, Location: &biobank.LocationRef{ContainerID: full},
		}}})
		if err != nil || out[0].Err != nil {
			t.Fatal(err, out)
		}
	}
	for _, c := range []struct{ enough, found, first, looks int }{{3, 3, 1, 40}, {0, 67, 1, 80}} {
		s.cells = 0
		free, err := r.WithSpace(t.Context(), now, all, c.enough)
		if err != nil {
			t.Fatal(err)
		}
		if len(free) != c.found || free[0] != all[c.first] || free[1] != all[3] || s.cells > c.looks {
			t.Errorf("of %d that are wanted %d were found in %d looks", c.enough, len(free), s.cells)
		}
	}
}
