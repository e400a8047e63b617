package biobank_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/biobank"
	"aliquot/shared/biobank/biobanktest"
	"aliquot/shared/fault"
)

// twins is a base with protocol Other, formatted like Blood, in which P-1 of Blood is registered too, and a visit of P-2
// that more specimens lie below than one transaction holds.
func twins(t *testing.T) (*biobanktest.Memory, *biobank.Actor) {
	t.Helper()
	m, admin := settled(t)
	r := &biobank.Registry{Store: m}
	other := biobank.ProtocolRef{ShortTitle: "Other"}
	mustApply(
		t, r, admin,
		&biobank.ProtocolDraft{PI: biobank.UserRef{Login: "admin"}, Sites: []biobank.SiteRef{{Name: "North Clinic"}}, Doc: biobank.ProtocolDoc{ShortTitle: "Other", Title: "Another"}},
		&biobank.EventDraft{Protocol: other, Doc: biobank.EventDoc{Label: "baseline"}},
	)
	one, err := r.ByPPID(t.Context(), admin, []int64{1}, "P-1")
	if err != nil || len(one) != 1 {
		t.Fatal(one, err)
	}
	doc, err := biobank.Decode[biobank.RegistrationDoc](one[0])
	if err != nil {
		t.Fatal(err)
	}
	mustApply(t, r, admin, &biobank.RegistrationDraft{Protocol: other, ParticipantID: doc.Participant.ID, Doc: biobank.RegistrationDoc{PPID: "O-1", RegistrationDate: "2026-01-02"}})
	for i := range 10 {
		mustApply(t, r, admin, child(biobank.LineageAliquot, "DP-2", fmt.Sprintf("DA%d", i), 0), child(biobank.LineageDerived, "SP-2", fmt.Sprintf("DD%d", i), 1))
	}
	return m, admin
}

// TestAMergeThatIsCutShortGoesOn kills a merge at every call of the store and asks for it again: what is there then is what
// one request leaves, every chain holds, and on the way every specimen is in one place only, below a visit.
func TestAMergeThatIsCutShortGoesOn(t *testing.T) {
	base, admin := twins(t)
	merge := func(s biobank.Store) error {
		r := &biobank.Registry{Store: s}
		done, err := r.Merge(t.Context(), admin, now, now.Add(time.Minute), func() time.Time { return now }, biobank.Change{ID: "a request"}, "Blood", "Other")
		if err == nil && !done {
			t.Error("a merge with time left is not done")
		}
		return err
	}
	whole := &faulty{Store: base.Clone()}
	if err := merge(whole); err != nil {
		t.Fatal(err)
	}
	want := imageOf(t, whole.Store.(*biobanktest.Memory))
	for _, kind := range []int{failBefore, failAfter} {
		for at := 1; at <= int(whole.calls.Load()); at++ {
			m := base.Clone()
			if err := merge(&faulty{Store: m, at: at, kind: kind}); !errors.Is(err, errCrash) {
				t.Fatalf("call %d of %d: %v", at, int(whole.calls.Load()), err)
			}
			inOnePlace(t, m)
			// What was done but for the answer is told as done: the source is gone.
			if err := merge(m); err != nil && at < int(whole.calls.Load()) {
				t.Fatalf("asked again after call %d: %v", at, err)
			}
			if d := cmp.Diff(want, imageOf(t, m)); d != "" {
				t.Fatalf("cut short at call %d of %d (-want +got):\n%s", at, int(whole.calls.Load()), d)
			}
		}
	}
}

// inOnePlace checks that the mark of every specimen and visit leads to its record, and that what is above it is there.
func inOnePlace(t *testing.T, m *biobanktest.Memory) {
	t.Helper()
	records := m.AllRecords()
	marks := m.AllMarks()
	for _, rec := range records {
		if rec.Type != biobank.Specimen && rec.Type != biobank.Visit {
			continue
		}
		to := marks[biobank.IDMark(rec.Type, rec.ID)].To
		if records[to] == nil || records[to.Above(1)] == nil {
			t.Fatalf("%s %d leads to %s, where something is missing", rec.Type, rec.ID, to)
		}
		doc, err := biobank.Decode[biobank.SpecimenDoc](rec)
		if err != nil {
			t.Fatal(err)
		}
		if to != rec.Key && doc.ActivityStatus != biobank.StatusDisabled {
			t.Fatalf("%s %d lives at %s and %s", rec.Type, rec.ID, rec.Key, to)
		}
	}
}

// overtaken is a store in which somebody else does something once a tree was read.
type overtaken struct {
	biobank.Store
	tree  string
	other func()
}

func (o *overtaken) List(ctx context.Context, part, prefix, after string, limit int) ([]*biobank.Record, error) {
	found, err := o.Store.List(ctx, part, prefix, after, limit)
	if other := o.other; other != nil && prefix == o.tree {
		o.other = nil
		other()
	}
	return found, err
}

// TestAMoveThatIsOvertaken: who has read where a visit's specimens lie, and moves them after somebody else has, moves them
// from there.
func TestAMoveThatIsOvertaken(t *testing.T) {
	m, admin := twins(t)
	recs, err := (&biobank.Registry{Store: m}).ByName(t.Context(), admin, biobank.Visit, []string{"VP-3"})
	if err != nil || len(recs) != 1 {
		t.Fatal(recs, err)
	}
	move := func(s biobank.Store, ppid string) error {
		d := &biobank.VisitDraft{ID: recs[0].ID, Moves: true, Protocol: blood(), PPID: ppid, Merge: func(*biobank.VisitDoc) {}}
		_, _, err := (&biobank.Registry{Store: s}).ChangeVisit(t.Context(), admin, now, now.Add(time.Minute), time.Now, biobank.Change{Op: biobank.Update, ByID: true, ID: ppid}, d)
		return err
	}
	err = move(&overtaken{Store: m, tree: recs[0].Key.Sort + "/", other: func() {
		if err := move(m, "P-4"); err != nil {
			t.Error(err)
		}
	}}, "P-5")
	if err != nil {
		t.Error(err)
	}
	inOnePlace(t, m)
	places := 0
	for k, r := range m.AllRecords() {
		if (r.Type == biobank.Visit || r.Type == biobank.Specimen) && k.Visit() == recs[0].ID {
			places++
		}
	}
	if places != 4 {
		t.Errorf("the visit and its three specimens lie in %d places", places)
	}
}

// TestTwoMoveOneVisit: of two who give a visit to different participants at once, who comes too late may be told so, and the
// visit is in one place.
func TestTwoMoveOneVisit(t *testing.T) {
	m, admin := twins(t)
	r := &biobank.Registry{Store: m}
	recs, err := r.ByName(t.Context(), admin, biobank.Visit, []string{"VP-3"})
	if err != nil || len(recs) != 1 {
		t.Fatal(recs, err)
	}
	errs := make(chan error)
	for _, ppid := range []string{"P-4", "P-5"} {
		go func() {
			d := &biobank.VisitDraft{ID: recs[0].ID, Moves: true, Protocol: blood(), PPID: ppid, Merge: func(*biobank.VisitDoc) {}}
			_, _, err := r.ChangeVisit(t.Context(), admin, now, now.Add(time.Minute), time.Now, biobank.Change{Op: biobank.Update, ByID: true, ID: ppid}, d)
			errs <- err
		}()
	}
	late := 0
	for range 2 {
		if err := <-errs; fault.All(err) != nil {
			late++
		} else if err != nil {
			t.Error(err)
		}
	}
	if late == 2 {
		t.Error("nobody has moved it")
	}
	inOnePlace(t, m)
	img := imageOf(t, m)
	var names []string
	for k, text := range img.Records {
		if biobank.ParseKey(k).Visit() == recs[0].ID {
			names = append(names, text)
		}
	}
	if slices.Sort(names); len(names) != 4 {
		t.Errorf("the visit and its specimens are %d records, want 4:\n%q", len(names), names)
	}
}
