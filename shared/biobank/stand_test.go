package biobank_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aliquot/shared/biobank"
	"aliquot/shared/biobank/biobanktest"
	"aliquot/shared/fault"
)

// sealing is a store that counts the seals put on records and, where slow is set, reads trees no more once there is one.
type sealing struct {
	*biobanktest.Memory
	seals int
	slow  bool
}

func (s *sealing) Write(ctx context.Context, opening bool, writes []biobank.Write) ([]biobank.Result, error) {
	for _, w := range writes {
		if w.Kind == biobank.SealRecord {
			s.seals++
		}
	}
	return s.Memory.Write(ctx, opening, writes)
}

func (s *sealing) List(ctx context.Context, part, prefix, after string, limit int) ([]*biobank.Record, error) {
	if s.slow && s.seals > 0 && strings.Count(part, "#") > 1 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.Memory.List(ctx, part, prefix, after, limit)
}

// deletion deletes an object as a request does, and tells what is said against it.
func deletion(ctx context.Context, r *biobank.Registry, a *biobank.Actor, typ biobank.Type, id int64) error {
	_, _, err := r.Remove(ctx, a, now, now.Add(time.Minute), func() time.Time { return now }, biobank.Change{ID: "deletion"}, typ, id, false)
	return err
}

// A deletion that is refused has sealed nothing, so that it was in nobody's way; one that is made has.
func TestRefusedDeletionSealsNothing(t *testing.T) {
	m, admin := settled(t)
	s := &sealing{Memory: m}
	r := &biobank.Registry{Store: s}
	required := primary("VP-1", "WB-1", 5)
	required.RequirementCode = "WB"
	mustApply(t, r, admin, required)
	ids := map[biobank.Type]int64{}
	for _, rec := range m.AllRecords() {
		ids[rec.Type] = min(cmp.Or(ids[rec.Type], rec.ID), rec.ID) // of each type the first
	}
	types := []biobank.Type{biobank.Institute, biobank.Site, biobank.User, biobank.Protocol, biobank.Event, biobank.Requirement}
	for _, typ := range types {
		err := deletion(t.Context(), r, system(), typ, ids[typ])
		if fault.All(err) == nil || !strings.Contains(err.Error(), "still in use") {
			t.Errorf("deleting a %s that is used: %v", typ, err)
		}
	}
	if s.seals > 0 {
		t.Errorf("deletions that were refused have put on %d seals", s.seals)
	}
	unused := mustApply(t, r, admin, &biobank.EventDraft{Protocol: blood(), Doc: biobank.EventDoc{Label: "Unused"}})[0].Record
	if err := deletion(t.Context(), r, admin, biobank.Event, unused.ID); err != nil || s.seals != 1 {
		t.Errorf("a deletion ended with %v and %d seals, want one", err, s.seals)
	}
}

// A deletion that looks too long, or whose request ends, takes its seals off: what is below the object can be added to at once.
func TestSealsEndWithTheirLook(t *testing.T) {
	deadline := func(d time.Duration) func(context.Context) (context.Context, context.CancelFunc) {
		return func(ctx context.Context) (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, d) }
	}
	for name, test := range map[string]struct {
		under func(context.Context) (context.Context, context.CancelFunc)
		takes time.Duration
		busy  bool
	}{
		"a look of any length":             {context.WithCancel, 10 * time.Second, true},
		"a function that ends soon":        {deadline(8 * time.Second), 5 * time.Second, true},
		"a function that has ended by now": {deadline(time.Second), 0, true},
		"a request that is given up meanwhile": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		}, time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := biobanktest.NewMemory()
				s := &sealing{Memory: m, slow: true}
				r := &biobank.Registry{Store: s}
				admin := newWorld(t, r)
				mustApply(t, r, admin, registration("P-1"))
				var event *biobank.Record
				for _, rec := range m.AllRecords() {
					if rec.Type == biobank.Event {
						event = rec
					}
				}
				ctx, cancel := test.under(t.Context())
				defer cancel()
				begun := time.Now()
				err := deletion(ctx, r, admin, biobank.Event, event.ID)
				if took := time.Since(begun); took != test.takes {
					t.Errorf("it looked for %s, want %s", took, test.takes)
				}
				busy := slices.ContainsFunc(fault.All(err), func(f *fault.Fault) bool { return f.Kind == fault.Busy })
				if busy != test.busy || !busy && !errors.Is(err, context.Canceled) {
					t.Errorf("it ended with %v", err)
				}
				begun = time.Now()
				mustApply(t, r, admin, visit("P-1", "V"))
				if took := time.Since(begun); took > 0 {
					t.Errorf("a visit of the event had to wait for %s", took)
				}
			})
		})
	}
}
