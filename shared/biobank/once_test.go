package biobank_test

import (
	"context"
	"testing"

	"aliquot/shared/biobank"
	"aliquot/shared/biobank/biobanktest"
)

// counted counts reads of marks and records.
type counted struct {
	biobank.Store
	reads int
}

func (c *counted) Marks(ctx context.Context, names []string, strong bool) (map[string]biobank.Mark, error) {
	c.reads++
	return c.Store.Marks(ctx, names, strong)
}

func (c *counted) Records(ctx context.Context, keys []biobank.Key, strong bool) (map[biobank.Key]*biobank.Record, error) {
	c.reads++
	return c.Store.Records(ctx, keys, strong)
}

// aSpecimen is some specimen of a store, with its mark.
func aSpecimen(t *testing.T, m *biobanktest.Memory) (*biobank.Record, biobank.Mark) {
	t.Helper()
	for _, rec := range m.AllRecords() {
		if rec.Type == biobank.Specimen && rec.Key.ParentSpecimen() == 0 {
			return rec, m.AllMarks()[biobank.IDMark(rec.Type, rec.ID)]
		}
	}
	t.Fatal("there is no specimen")
	return nil, biobank.Mark{}
}

func TestWhatWasExpectedIsReadOnce(t *testing.T) {
	m, admin := twins(t)
	rec, mark := aSpecimen(t, m)
	s := &counted{Store: m}
	r := &biobank.Registry{Store: biobank.Once(s)}
	ctx := biobank.Remembering(t.Context())
	biobank.Expect(ctx, biobank.Specimen, rec.ID)
	ahead := biobank.Expected(ctx)
	if len(ahead.Marks) != 1 || ahead.Marks[0] != mark.Name || len(biobank.Expected(ctx).Marks) != 0 {
		t.Fatalf("expected are %v", ahead)
	}
	biobank.Learn(ctx, ahead, map[string]biobank.Mark{mark.Name: mark}, nil)
	for range 2 {
		if got, err := r.Get(ctx, admin, biobank.Specimen, rec.ID); err != nil || got.Key != rec.Key {
			t.Fatal(got, err)
		}
	}
	if s.reads != 1 {
		t.Errorf("a record whose mark is known was read by %d calls, want 1", s.reads)
	}
}

// TestAMarkThatIsOutdatedIsReadAnew: what moves between the look-up of the session and its own is found all the same.
func TestAMarkThatIsOutdatedIsReadAnew(t *testing.T) {
	m, admin := twins(t)
	rec, mark := aSpecimen(t, m)
	r := &biobank.Registry{Store: biobank.Once(m)}
	ctx := biobank.Remembering(t.Context())
	biobank.Learn(ctx, biobank.Ahead{Marks: []string{mark.Name}}, map[string]biobank.Mark{mark.Name: mark}, nil)

	moved, to := *rec, mark
	moved.Key = rec.Key.Above(1).Child(rec.ID + 1_000)
	to.To = moved.Key
	for _, w := range []biobank.Write{
		{Kind: biobank.InsertRecord, Record: &moved},
		{Kind: biobank.TakeMark, Mark: to, WasSource: mark.Source, WasTo: mark.To},
		{Kind: biobank.DropRecord, Record: rec},
	} {
		if got, err := m.Write(t.Context(), false, []biobank.Write{w}); err != nil || got[0] != biobank.Written {
			t.Fatal(got, err)
		}
	}
	if got, err := r.Get(ctx, admin, biobank.Specimen, rec.ID); err != nil || got.Key != moved.Key {
		t.Errorf("got %v, %v", got, err)
	}
}
