package odmimport

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// keptKeys are the keys of what is kept of the job.
func (w *world) keptKeys() (keys []string) {
	for key := range w.objects {
		if strings.HasPrefix(key, "results/"+keptOf(w.job)) {
			keys = append(keys, key)
		}
	}
	return keys
}

// Whenever a job is deleted, before it begins, between any two calls, or when it has ended, nothing is kept of it in the end:
// neither the log, nor the plans with the values.
func TestDeletedJobs(t *testing.T) {
	for calls := 1; ; calls++ {
		w := newWorld(t, numbers(), nil)
		im := w.importer(7)
		w.left = calls
		broke := im.Handle(t.Context(), Message(w.job.ID))
		if broke != nil && !errors.Is(broke, errBroken) {
			t.Fatal(broke)
		}
		w.job.Stop, w.job.Deleted = true, true
		w.now = w.now.Add(2 * time.Minute)
		w.run(im)
		if broke != nil && len(w.keptKeys()) > 0 {
			t.Errorf("deleted after %d calls: the worker leaves %v", calls, w.keptKeys())
		}
		w.objects["results/"+LogKey(w.job, false)] = []byte("a log") // of a worker who did not know yet
		w.left = 2
		if err := im.Handle(t.Context(), Message(w.job.ID)); !errors.Is(err, errBroken) {
			t.Errorf("deleted after %d calls: what cannot be removed is passed over: %v", calls, err)
		}
		if err := im.Handle(t.Context(), Message(w.job.ID)); err != nil || len(w.keptKeys()) > 0 {
			t.Errorf("deleted after %d calls: left %v, %v", calls, w.keptKeys(), err)
		}
		if broke == nil {
			if calls < 20 {
				t.Errorf("the whole job makes %d calls", calls-1)
			}
			return
		}
	}
}
