package biobank_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"aliquot/shared/biobank"
	"aliquot/shared/biobank/biobanktest"
)

// madeBy are the specimens that a row of the test's job made.
func madeBy(m *biobanktest.Memory, row int) (ours []*biobank.Record) {
	for _, rec := range m.AllRecords() {
		if rec.Type == biobank.Specimen && rec.Source == fmt.Sprintf("7#%d", row) {
			ours = append(ours, rec)
		}
	}
	return ours
}

func specimenDoc(t *testing.T, rec *biobank.Record) biobank.SpecimenDoc {
	t.Helper()
	doc, err := biobank.Decode[biobank.SpecimenDoc](rec)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// A row that makes children of a specimen, and was begun before a crash, is done to its end and takes its due of the parent
// once, whatever people did meanwhile: gave the parent another label and quantity, closed it and its protocol, changed the
// children that were there. One that was not begun is as if it came now.
func TestChildrenOfARowAreThoseThatWereBegun(t *testing.T) {
	t.Run("with numbers of their own", func(t *testing.T) { testChildrenBegun(t, 0) })
	t.Run("with those of the plan", func(t *testing.T) { testChildrenBegun(t, 30) })
}

// countless does not say how many numbers were kept, as notes of the version before do not.
type countless struct{ biobank.Store }

func (s countless) ReserveFor(ctx context.Context, owner, counter string, n int64) (first, kept int64, err error) {
	first, _, err = s.Store.ReserveFor(ctx, owner, counter, n)
	return first, 0, err
}

// A row that took its numbers before an update, which began to say how many they are, makes as many children as it says.
func TestChildrenOfARowWhoseNumbersAreNotCounted(t *testing.T) {
	m, admin := settled(t)
	const n = 5
	if _, _, err := m.ReserveFor(t.Context(), "7#1", string(biobank.Specimen), n); err != nil {
		t.Fatal(err)
	}
	j := job{waves: func() [][]biobank.Change {
		var row int64 = 1
		made := wave(biobank.Create, &row, &biobank.ChildrenDraft{Number: n, Quantity: biobank.Q(1), Child: biobank.SpecimenDraft{
			ParentLabel: "SP-1", Doc: biobank.SpecimenDoc{Lineage: biobank.LineageAliquot, CreatedOn: now.UnixMilli()},
		}})
		made[0].Reserved = nil
		return [][]biobank.Change{made}
	}}
	if _, err := j.play(t.Context(), countless{m}, admin, now, true); err != nil {
		t.Fatal(err)
	}
	if made := madeBy(m, 1); len(made) != n {
		t.Errorf("%d aliquots, want %d", len(made), n)
	}
}

// testChildrenBegun is that with a plan that has set aside so many numbers for each row.
func testChildrenBegun(t *testing.T, each int64) {
	base, admin := settled(t)
	mustApply(t, &biobank.Registry{Store: base}, admin, &biobank.SpecimenDraft{
		VisitName: "VP-3", Doc: biobank.SpecimenDoc{Label: "Unmeasured", Type: "Whole Blood"},
	})
	aliquots := func(parent string, n, each int64) *biobank.ChildrenDraft {
		return &biobank.ChildrenDraft{Number: n, Quantity: biobank.Q(each), Child: biobank.SpecimenDraft{
			ParentLabel: parent, Doc: biobank.SpecimenDoc{Lineage: biobank.LineageAliquot, CreatedOn: now.UnixMilli()},
		}}
	}
	derivative := func(parent, label string, thaws int64) *biobank.ChildrenDraft {
		return &biobank.ChildrenDraft{Child: biobank.SpecimenDraft{
			ParentLabel: parent, ThawParent: thaws,
			Doc: biobank.SpecimenDoc{Label: label, Type: "Plasma", Lineage: biobank.LineageDerived, InitialQty: biobank.Q(5), CreatedOn: now.UnixMilli()},
		}}
	}
	wants := []struct {
		parent            string
		children          int
		takes, each, thaw int64
		has               int64 // what people give the parent
	}{
		{"SP-0", 3, 90, 30, 0, 20}, // as many as there was enough for
		{"SP-1", 1, 0, 5, 0, 1000},
		{"SP-2", 1, 0, 5, 2, 1000},
		{"Unmeasured", 2, 20, 10, 0, 1000},
		{"SP-4", 30, 30, 1, 0, 1000}, // more than one request writes
	}
	j := job{waves: func() [][]biobank.Change {
		var row int64 = 1
		made := wave(biobank.Create, &row, aliquots("SP-0", 0, 30), derivative("SP-1", "New-1", 0), derivative("SP-2", "New-2", 2),
			aliquots("Unmeasured", 2, 10), aliquots("SP-4", 30, 1))
		for i := range made {
			if made[i].Each, made[i].Row = each, int64(i)*each+1; each == 0 {
				made[i].Reserved = nil
			}
		}
		return [][]biobank.Change{made}
	}}
	count := &faulty{Store: base.Clone()}
	if _, err := j.play(t.Context(), count, admin, now, false); err != nil {
		t.Fatal(err)
	}
	calls := int(count.calls.Load())
	for at := 1; at <= calls+1; at++ { // the last crash is after all was done
		for kind := range failKinds {
			m := base.Clone()
			if _, err := j.play(t.Context(), &faulty{Store: m, at: at, kind: kind}, admin, now, false); at <= calls && !errors.Is(err, errCrash) {
				t.Fatal(err)
			}
			r := &biobank.Registry{Store: m}
			people := func(d biobank.Draft) {
				t.Helper()
				out, err := r.Apply(t.Context(), admin, now, []biobank.Change{{Op: biobank.Update, ID: "people", Draft: d}})
				if err != nil || out[0].Err != nil {
					t.Fatal(err, out)
				}
			}
			begun, paid, parents := map[int]bool{}, map[int]bool{}, map[int]int64{}
			for _, rec := range m.AllRecords() {
				if rec.Type != biobank.Specimen {
					continue
				}
				doc := specimenDoc(t, rec)
				for i, want := range wants {
					source := fmt.Sprintf("7#%d", i+1)
					if rec.Source == source {
						begun[i] = true
						people(changeSpecimen(doc.Label, func(s *biobank.SpecimenDoc) { s.Label, s.Comments = "Ours-"+s.Label, "by hand" }))
						mustApply(t, r, admin, primary("VP-5", doc.Label, 1)) // under the label that is free now
					}
					if doc.Label == want.parent {
						parents[i], paid[i] = rec.ID, at > calls || rec.Done(source)
						people(changeSpecimen(doc.Label, func(s *biobank.SpecimenDoc) {
							s.Label, s.InitialQty, s.AvailableQty, s.FreezeThawCycles = "Now-"+s.Label, biobank.Q(1000), biobank.Q(want.has), 10
							s.ActivityStatus = biobank.StatusClosed
						}))
					}
				}
			}
			people(&biobank.ProtocolDraft{Doc: biobank.ProtocolDoc{ShortTitle: "Blood"}, Merge: func(p *biobank.ProtocolDoc) {
				p.ActivityStatus = biobank.StatusClosed
			}})
			out, err := j.play(t.Context(), m, admin, now, true)
			if err != nil {
				t.Fatalf("call %d, kind %d: the repeat: %v", at, kind, err)
			}
			imageOf(t, m) // verifies the chains
			for i, want := range wants {
				tell := func(format string, args ...any) {
					t.Helper()
					t.Errorf("call %d, kind %d, row %d: %s", at, kind, i+1, fmt.Sprintf(format, args...))
				}
				ours := madeBy(m, i+1)
				parent, err := r.Get(t.Context(), admin, biobank.Specimen, parents[i])
				if err != nil {
					t.Fatal(err)
				}
				doc := specimenDoc(t, parent)
				left, thaws := *doc.AvailableQty, doc.FreezeThawCycles
				if !begun[i] {
					if out[i].Err == nil || len(ours) > 0 || left != *biobank.Q(want.has) {
						tell("not begun, and then %d children and %v", len(ours), out[i].Err)
					}
					continue
				}
				if out[i].Err != nil {
					tell("begun, and then %v", out[i].Err)
				}
				if len(ours) != want.children {
					tell("%d children", len(ours))
				}
				for _, kid := range ours {
					if doc := specimenDoc(t, kid); *doc.InitialQty != *biobank.Q(want.each) || kid.Version > 1 && doc.Comments != "by hand" {
						tell("child %+v", doc)
					}
				}
				if paid[i] { // before people looked
					want.takes, want.thaw = 0, 0
				}
				if left != *biobank.Q(max(0, want.has-want.takes)) || thaws != 10+want.thaw {
					tell("%s left, thawed %d times", left, thaws)
				}
			}
			if t.Failed() {
				t.FailNow()
			}
		}
	}
}
