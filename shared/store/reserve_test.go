package store_test

import (
	"sync"
	"testing"

	"aliquot/infra/local/localtest"
	"aliquot/shared/store"
)

// A job that is planned again after a crash gets the numbers of its first plan, whatever was drawn meanwhile.
func TestReserveForGivesTheSameNumbersAgain(t *testing.T) {
	local := localtest.Data(t)
	s := store.NewRecords(store.NewClient(local.AWSConfig()), tablesOf(local.Tables))
	draw := func(owner string, n int64) int64 {
		t.Helper()
		first, kept, err := s.ReserveFor(t.Context(), owner, "specimen", n)
		if err != nil || kept != n {
			t.Fatalf("%d numbers: %v", kept, err)
		}
		return first
	}
	none := func(owner string) {
		t.Helper()
		if first, kept, err := s.ReserveFor(t.Context(), owner, "specimen", 0); first != 0 || kept != 0 || err != nil {
			t.Errorf("owner %s, who asked for none, has %d from %d, %v", owner, kept, first, err)
		}
	}
	none("1")
	if got := draw("1", 100); got != 1 {
		t.Errorf("the first job's numbers begin at %d", got)
	}
	if got, err := s.Reserve(t.Context(), "specimen", 5); err != nil || got != 101 {
		t.Errorf("numbers after the first job's begin at %d, %v", got, err)
	}
	if got := draw("2", 10); got != 106 {
		t.Errorf("the second job's numbers begin at %d", got)
	}
	if got := draw("1", 100); got != 1 {
		t.Errorf("the first job's numbers begin at %d when it asks again", got)
	}
	for _, n := range []int64{0, 7, 101} { // whatever is asked for then
		if first, kept, err := s.ReserveFor(t.Context(), "2", "specimen", n); first != 106 || kept != 10 || err != nil {
			t.Errorf("the second job asks for %d: %d from %d, %v", n, kept, first, err)
		}
	}
	var wg sync.WaitGroup
	firsts := make([]int64, 8)
	for i := range firsts {
		wg.Go(func() {
			first, _, err := s.ReserveFor(t.Context(), "3", "specimen", 10)
			if err != nil {
				t.Error(err)
			}
			firsts[i] = first
		})
	}
	wg.Wait()
	for _, first := range firsts {
		if first != 116 {
			t.Errorf("one job at eight workers at once: %v", firsts)
			break
		}
	}
}
