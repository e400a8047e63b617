package biobank_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"aliquot/infra/local/localtest"
	"aliquot/shared/biobank"
	"aliquot/shared/biobank/biobanktest"
	"aliquot/shared/fault"
	"aliquot/shared/jobs"
	"aliquot/shared/store"
)

// importOne imports one row of a job.
func importOne(t *testing.T, s biobank.Store, a *biobank.Actor, op biobank.Op, job, row int64, d biobank.Draft) biobank.Outcome {
	t.Helper()
	reserved := map[string]int64{"specimen": 1000 * job, "visit": 1000 * job, "cpr": 1000 * job, "participant": 1000 * job}
	out, err := (&biobank.Registry{Store: s}).Import(a, now, time.UTC, false).Apply(t.Context(), rows(op, job, row, reserved, d))
	if err != nil {
		t.Fatal(err)
	}
	return out[0]
}

// TestANameWithoutItsRecord: a mark counts while its owner holds the value or may still come to; otherwise it is a
// leftover and is taken over.
func TestANameWithoutItsRecord(t *testing.T) {
	base, admin := settled(t)
	leftover := func(source string, to biobank.Key) biobank.Write {
		return biobank.Write{Kind: biobank.InsertMark, Mark: biobank.Mark{Name: "specimen.label#wanted", To: to, ID: 99, Source: source}}
	}
	nowhere := biobank.Key{Part: "cp#1#4", Sort: "0000000001/0000000001/0000000099"}
	var other biobank.Key // a specimen with another label
	for k, r := range base.AllRecords() {
		if r.Type == biobank.Specimen && strings.Contains(string(r.Doc), `"SP-5"`) {
			other = k
		}
	}
	for _, c := range []struct {
		name   string
		mark   biobank.Write
		ended  bool
		refuse bool
	}{
		{"of a job that still runs", leftover("5#1", nowhere), false, true},
		{"of a job that ended", leftover("5#1", nowhere), true, false},
		{"of an earlier row of the same job", leftover("6#1", nowhere), false, false},
		{"of nobody", leftover("", nowhere), false, false},
		{"whose owner has another label now", leftover("5#1", other), false, false},
	} {
		for _, door := range []string{"a job", "a person"} {
			if door == "a person" && strings.HasPrefix(c.mark.Mark.Source, "6#") {
				continue
			}
			t.Run(c.name+", wanted by "+door, func(t *testing.T) {
				m := base.Clone()
				if _, err := m.Write(t.Context(), false, []biobank.Write{c.mark}); err != nil {
					t.Fatal(err)
				}
				if c.ended {
					m.EndJob("5", false)
				}
				var o biobank.Outcome
				if door == "a job" {
					o = importOne(t, m, admin, biobank.Create, 6, 2, primary("VP-0", "wanted", 1))
				} else {
					out, err := (&biobank.Registry{Store: m}).Apply(t.Context(), admin, now, []biobank.Change{{Op: biobank.Create, ID: "r", Draft: primary("VP-0", "wanted", 1)}})
					if err != nil {
						t.Fatal(err)
					}
					o = out[0]
				}
				if c.refuse {
					if !fault.Is(o.Err, "SPECIMEN_DUP_LABEL") {
						t.Fatalf("outcome %v", o.Err)
					}
					if got := m.AllMarks()["specimen.label#wanted"]; got != c.mark.Mark {
						t.Errorf("the mark is now %+v", got)
					}
					return
				}
				if o.Err != nil {
					t.Fatal(o.Err)
				}
				if got := m.AllMarks()["specimen.label#wanted"]; got.To != o.Record.Key || got.ID != o.Record.ID {
					t.Errorf("the mark leads to %v", got)
				}
			})
		}
	}
}

// TestAFailedRowGivesItsNamesBack so that a later row may have them.
func TestAFailedRowGivesItsNamesBack(t *testing.T) {
	m, admin := settled(t)
	d := primary("VP-0", "mine", 1)
	d.Doc.Barcode = "code"
	if o := importOne(t, m, admin, biobank.Create, 6, 1, d); o.Err != nil {
		t.Fatal(o.Err)
	}
	d = primary("VP-0", "free again", 1)
	d.Doc.Barcode = "code"
	if o := importOne(t, m, admin, biobank.Create, 6, 2, d); !fault.Is(o.Err, "SPECIMEN_DUP_BARCODE") {
		t.Fatalf("outcome %v", o.Err)
	}
	if mark, ok := m.AllMarks()["specimen.label#free again"]; ok {
		t.Errorf("the failed row left %+v", mark)
	}
	if o := importOne(t, m, admin, biobank.Create, 7, 1, primary("VP-0", "free again", 1)); o.Err != nil {
		t.Error(o.Err)
	}
}

// TestTwoRowsOfOneGroupWithOneName: exactly one gets it.
func TestTwoRowsOfOneGroupWithOneName(t *testing.T) {
	m, admin := settled(t)
	one, two := primary("VP-0", "one", 1), primary("VP-0", "two", 1)
	one.Doc.AdditionalLabel, two.Doc.AdditionalLabel = "both", "both"
	out, err := (&biobank.Registry{Store: m}).Import(admin, now, time.UTC, false).Apply(t.Context(), rows(biobank.Create, 6, 1, nil, one, two))
	if err != nil {
		t.Fatal(err)
	}
	if out[0].Err != nil || !fault.Is(out[1].Err, "SPECIMEN_DUP_ADDL_LABEL") {
		t.Errorf("outcomes %v and %v", out[0].Err, out[1].Err)
	}
}

// TestSpecimensAreNotPutBelowAVisitThatIsNotThere: a visit's name may outlive its visit where a job was cut off.
func TestSpecimensAreNotPutBelowAVisitThatIsNotThere(t *testing.T) {
	base, admin := settled(t)
	for _, c := range []struct {
		name string
		do   func(m *biobanktest.Memory) *biobanktest.Memory
		code string
	}{
		{"a mark without a record, its job cut off", func(m *biobanktest.Memory) *biobanktest.Memory {
			m.EndJob("5", false)
			_, err := m.Write(t.Context(), false, []biobank.Write{{Kind: biobank.InsertMark, Mark: biobank.Mark{
				Name: "visit.name#ghost", To: biobank.Key{Part: "cp#1#4", Sort: "0000000001/0000000099"}, ID: 99, Source: "5#1",
			}}})
			if err != nil {
				t.Fatal(err)
			}
			return m
		}, "VISIT_NOT_FOUND"},
		{"a visit that a job deleted", func(m *biobanktest.Memory) *biobanktest.Memory {
			if o := importOne(t, m, admin, biobank.Create, 5, 1, visit("P-0", "ghost")); o.Err != nil {
				t.Fatal(o.Err)
			}
			m.EndJob("5", true)
			gone := &biobank.VisitDraft{Doc: biobank.VisitDoc{Name: "ghost"}, Merge: func(v *biobank.VisitDoc) { v.ActivityStatus = "Disabled" }}
			if o := importOne(t, m, admin, biobank.Update, 6, 1, gone); o.Err != nil {
				t.Fatal(o.Err)
			}
			return m
		}, "VISIT_NOT_FOUND"},
		{"the old name of a visit that a job renamed", func(m *biobanktest.Memory) *biobanktest.Memory {
			o := importOne(t, m, admin, biobank.Create, 5, 1, visit("P-0", "ghost"))
			if o.Err != nil {
				t.Fatal(o.Err)
			}
			m.EndJob("5", true)
			rename := &biobank.VisitDraft{ID: o.Record.ID, Doc: biobank.VisitDoc{Name: "new"}, Merge: func(v *biobank.VisitDoc) { v.Name = "new" }}
			if o := importOne(t, m, admin, biobank.Update, 6, 1, rename); o.Err != nil {
				t.Fatal(o.Err)
			}
			return m
		}, "VISIT_NOT_FOUND"},
		{"a visit whose status a job was changing when it was cut off", func(m *biobanktest.Memory) *biobanktest.Memory {
			if o := importOne(t, m, admin, biobank.Create, 5, 1, visit("P-0", "ghost")); o.Err != nil {
				t.Fatal(o.Err)
			}
			m.EndJob("5", true)
			missed := &biobank.VisitDraft{Doc: biobank.VisitDoc{Name: "ghost"}, Merge: func(v *biobank.VisitDoc) { v.Status = biobank.VisitMissed }}
			for at := 1; ; at++ { // it is cut off after the record changed, before the mark tells
				c := m.Clone()
				f := &faulty{Store: c, at: at, kind: failAfter}
				_, err := (&biobank.Registry{Store: f}).Import(admin, now, time.UTC, false).Apply(t.Context(), rows(biobank.Update, 6, 1, nil, missed))
				if err == nil {
					t.Fatal("no call changes the record")
				}
				recs, err := c.Records(t.Context(), []biobank.Key{c.AllMarks()["visit.name#ghost"].To}, true)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range recs {
					if r.Version == 2 {
						c.EndJob("6", false)
						return c
					}
				}
			}
		}, "VISIT_COMPL_VISIT_REQ"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := c.do(base.Clone())
			if o := importOne(t, m, admin, biobank.Create, 8, 1, primary("ghost", "lost", 1)); !fault.Is(o.Err, c.code) {
				t.Errorf("by a job: %v, want %s", o.Err, c.code)
			}
			out, err := (&biobank.Registry{Store: m}).Apply(t.Context(), admin, now, []biobank.Change{{Op: biobank.Create, ID: "r", Draft: primary("ghost", "lost", 1)}})
			if err != nil || !fault.Is(out[0].Err, c.code) {
				t.Errorf("by a person: %v, %v, want %s", out, err, c.code)
			}
		})
	}
}

// TestOneWinnerOfARace: the same new label, PPID and address by two jobs and two people at once, on the real database
//
func TestOneWinnerOfARace(t *testing.T) {
	local := localtest.Data(t)
	client := store.NewClient(local.AWSConfig())
	tables := tablesOf(local.Tables)
	r := &biobank.Registry{Store: store.NewRecords(client, tables)}
	admin := newWorld(t, r)
	mustApply(t, r, admin, registration("P-0"), visit("P-0", "VP-0"))
	running := []*jobs.Job{{OwnerID: 2}, {OwnerID: 2}}
	for _, j := range running {
		if err := store.NewJobs(client, tables).Create(t.Context(), j); err != nil {
			t.Fatal(err)
		}
	}
	for round := range 12 {
		name := fmt.Sprintf("contested-%d", round)
		drafts := []func() biobank.Draft{
			func() biobank.Draft { return primary("VP-0", name, 1) },
			func() biobank.Draft { return registration(name) },
			func() biobank.Draft {
				return &biobank.UserDraft{Institute: "Institute of Invention", Doc: biobank.UserDoc{
					FirstName: "A", LastName: "B", DomainName: biobank.Domain, LoginName: name, EmailAddress: name + "@example.org",
				}}
			},
		}
		draft := drafts[round%len(drafts)]
		var mu sync.Mutex
		var group sync.WaitGroup
		var errs []error
		note := func(out []biobank.Outcome, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
				return
			}
			errs = append(errs, out[0].Err)
		}
		for i := range 4 {
			group.Go(func() {
				if i%2 == 0 {
					note(r.Apply(t.Context(), admin, now, []biobank.Change{{Op: biobank.Create, ID: fmt.Sprint(name, i), Draft: draft()}}))
					return
				}
				changes := rows(biobank.Create, running[i/2].ID, int64(round), nil, draft())
				note(r.Import(admin, now, time.UTC, false).Apply(t.Context(), changes))
			})
		}
		group.Wait()
		won := 0
		for _, err := range errs {
			switch {
			case err == nil:
				won++
			case !fault.Is(err, "SPECIMEN_DUP_LABEL") && !fault.Is(err, "CPR_DUP_PPID") && !fault.Is(err, "USER_DUP_EMAIL") && !fault.Is(err, "USER_DUP_LOGIN_NAME"):
				t.Error(err)
			}
		}
		if won != 1 {
			t.Errorf("round %d: %d winners", round, won)
		}
	}
}

// counting counts the requests that a store would send.
type counting struct {
	biobank.Store
	writes, reads, others int
}

func (c *counting) Marks(ctx context.Context, names []string, strong bool) (map[string]biobank.Mark, error) {
	c.reads += (len(names) + 99) / 100
	return c.Store.Marks(ctx, names, strong)
}

func (c *counting) Records(ctx context.Context, keys []biobank.Key, strong bool) (map[biobank.Key]*biobank.Record, error) {
	c.reads += (len(keys) + 99) / 100
	return c.Store.Records(ctx, keys, strong)
}

func (c *counting) List(ctx context.Context, part, prefix, after string, limit int) ([]*biobank.Record, error) {
	c.others++
	return c.Store.List(ctx, part, prefix, after, limit)
}

func (c *counting) Write(ctx context.Context, opening bool, writes []biobank.Write) ([]biobank.Result, error) {
	c.writes++
	return c.Store.Write(ctx, opening, writes)
}

func (c *counting) Reserve(ctx context.Context, counter string, n int64) (int64, error) {
	c.others++
	return c.Store.Reserve(ctx, counter, n)
}

func (c *counting) Whole(ctx context.Context, source string) (bool, error) {
	c.others++
	return c.Store.Whole(ctx, source)
}

// TestRequests holds imports to their budget (design, 9).
func TestRequests(t *testing.T) {
	base, admin := settled(t)
	reserved := map[string]int64{"specimen": 1000}
	count := &counting{Store: base}
	b := (&biobank.Registry{Store: count}).Import(admin, now, time.UTC, false)
	window := func(first int64, op biobank.Op, draft func(i int64) biobank.Draft) {
		t.Helper()
		var drafts []biobank.Draft
		for i := range int64(96) {
			drafts = append(drafts, draft(first+i))
		}
		out, err := b.Apply(t.Context(), rows(op, 7, first, reserved, drafts...))
		if err != nil {
			t.Fatal(err)
		}
		for i, o := range out {
			if o.Err != nil {
				t.Fatalf("row %d: %v", i, o.Err)
			}
		}
	}
	create := func(i int64) biobank.Draft { return primary(fmt.Sprintf("VP-%d", i%6), fmt.Sprintf("N-%d", i), 5) }
	window(1, biobank.Create, create) // also reads the protocol, once for the chunk
	*count = counting{Store: base}
	visits := func(i int64) biobank.Draft { return visit("P-0", fmt.Sprintf("W-%d", i)) }
	for i := range int64(10) {
		if o := importOne(t, base, admin, biobank.Create, 5, i+1, visits(i)); o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	base.EndJob("5", true)
	window(97, biobank.Create, func(i int64) biobank.Draft {
		return primary(fmt.Sprintf("W-%d", i%10), fmt.Sprintf("N-%d", i), 5)
	})
	if count.writes != 12 || count.reads > 2 || count.others > 1 {
		t.Errorf("96 new specimens of 10 visits: %d writes, %d reads, %d others; want 12 (3 for 24 rows), 2, 1", count.writes, count.reads, count.others)
	}
	*count = counting{Store: base}
	b = (&biobank.Registry{Store: count}).Import(admin, now, time.UTC, false)
	update := func(i int64) biobank.Draft {
		return changeSpecimen(fmt.Sprintf("N-%d", i), func(s *biobank.SpecimenDoc) { s.Comments = fmt.Sprint("note ", i) })
	}
	window(1, biobank.Update, update) // reads the protocol
	*count = counting{Store: base}
	window(97, biobank.Update, update)
	if n := count.writes + count.reads + count.others; n > 96/5 {
		t.Errorf("96 updates took %d requests: %d writes, %d reads, %d others", n, count.writes, count.reads, count.others)
	}
	*count = counting{Store: base}
	window(1, biobank.Update, update) // what stays as it is
	if count.writes > 0 {
		t.Errorf("96 updates that change nothing wrote %d times", count.writes)
	}
}
