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
		first, err := s.ReserveFor(t.Context(), owner, "specimen", n)
		if err != nil {
			t.Fatal(err)
		}
		return first
	}
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
	var wg sync.WaitGroup
	firsts := make([]int64, 8)
	for i := range firsts {
		wg.Go(func() {
			first, err := s.ReserveFor(t.Context(), "3", "specimen", 10)
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
