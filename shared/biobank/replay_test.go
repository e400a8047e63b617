package biobank_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/biobank"
	"aliquot/shared/biobank/biobanktest"
)

// How a store call fails.
const (
	failBefore = iota // nothing happened
	failHalf          // half of a request's writes happened
	failAfter         // all happened, the answer was lost
	failKinds
)

var errCrash = errors.New("the machine is gone")

// faulty fails at one call, and at every later one: the process is dead.
type faulty struct {
	biobank.Store
	at, kind int          // at 0: never
	calls    atomic.Int64 // some come at once
}

func (f *faulty) dead() bool {
	n := f.calls.Add(1)
	return f.at > 0 && n >= int64(f.at)
}

func (f *faulty) after() bool { return f.calls.Load() == int64(f.at) && f.kind != failBefore }

func (f *faulty) Marks(ctx context.Context, names []string, strong bool) (map[string]biobank.Mark, error) {
	if f.dead() {
		return nil, errCrash
	}
	return f.Store.Marks(ctx, names, strong)
}

func (f *faulty) Records(ctx context.Context, keys []biobank.Key, strong bool) (map[biobank.Key]*biobank.Record, error) {
	if f.dead() {
		return nil, errCrash
	}
	return f.Store.Records(ctx, keys, strong)
}

func (f *faulty) List(ctx context.Context, part, prefix, after string, limit int) ([]*biobank.Record, error) {
	if f.dead() {
		return nil, errCrash
	}
	return f.Store.List(ctx, part, prefix, after, limit)
}

func (f *faulty) Write(ctx context.Context, opening bool, writes []biobank.Write) ([]biobank.Result, error) {
	if !f.dead() {
		return f.Store.Write(ctx, opening, writes)
	}
	if f.after() {
		if f.kind == failHalf {
			writes = writes[:len(writes)/2]
		}
		if _, err := f.Store.Write(ctx, opening, writes); err != nil {
			return nil, err
		}
	}
	return nil, errCrash
}

func (f *faulty) Transact(ctx context.Context, writes []biobank.Write) ([]biobank.Result, error) {
	if !f.dead() {
		return f.Store.Transact(ctx, writes)
	}
	if f.after() {
		if _, err := f.Store.Transact(ctx, writes); err != nil {
			return nil, err
		}
	}
	return nil, errCrash
}

func (f *faulty) Reserve(ctx context.Context, counter string, n int64) (int64, error) {
	if !f.dead() {
		return f.Store.Reserve(ctx, counter, n)
	}
	if f.after() {
		if _, err := f.Store.Reserve(ctx, counter, n); err != nil {
			return 0, err
		}
	}
	return 0, errCrash
}

func (f *faulty) Alive(ctx context.Context, source string) (bool, error) {
	if f.dead() {
		return false, errCrash
	}
	return f.Store.Alive(ctx, source)
}

func (f *faulty) Whole(ctx context.Context, source string) (bool, error) {
	if f.dead() {
		return false, errCrash
	}
	return f.Store.Whole(ctx, source)
}

func (f *faulty) Trail(ctx context.Context, t biobank.Type, id int64) ([]*biobank.Entry, error) {
	if f.dead() {
		return nil, errCrash
	}
	return f.Store.Trail(ctx, t, id)
}

// job is an import: waves of rows, of which the rows of one do not depend on each other.
type job struct {
	name    string
	deletes bool // what it deletes gets the job's time into its name
	waves   func() [][]biobank.Change
}

// play does a job from its beginning, as a chunk's worker does.
func (j *job) play(ctx context.Context, s biobank.Store, actor *biobank.Actor, at time.Time, retry bool) ([]biobank.Outcome, error) {
	b := (&biobank.Registry{Store: s}).Import(actor, at, time.UTC, retry)
	var all []biobank.Outcome
	for _, wave := range j.waves() {
		out, err := b.Apply(ctx, wave)
		all = append(all, out...)
		if err != nil {
			return all, err
		}
	}
	return all, b.Settle(ctx, "7#c0", func(source string) bool { return strings.HasPrefix(source, "7#") })
}

// image is what a store holds, without what may differ between a run and its repeat: times (and so which of two entries of
// one change counts), and marks and audit entries that nothing leads to.
type image struct {
	Records map[string]string
	Marks   map[string]biobank.Mark
	Chains  map[string][]string
}

// deletedAt is the suffix of the names of what was deleted.
var deletedAt = regexp.MustCompile(`_1[0-9]{12}"`)

func imageOf(t *testing.T, m *biobanktest.Memory) image {
	t.Helper()
	img := image{map[string]string{}, map[string]biobank.Mark{}, map[string][]string{}}
	records := m.AllRecords()
	for k, r := range records {
		trail, err := m.Trail(t.Context(), r.Type, r.ID)
		if err != nil {
			t.Fatal(err)
		}
		chain, err := biobank.VerifyChain(r, trail)
		if err != nil {
			t.Error(err)
		}
		if int64(len(chain)) != r.Version-1 {
			t.Errorf("%s %d has version %d after %d changes", r.Type, r.ID, r.Version, len(chain))
		}
		for _, e := range chain {
			img.Chains[k.String()] = append(img.Chains[k.String()], deletedAt.ReplaceAllString(
				fmt.Sprintf("%d %s by %d because %q: %s -> %s", e.Version, strings.TrimRight(e.Change, "'"), e.By, e.Reason, e.Before, e.After), `_deleted"`))
		}
		r.CreatedAt, r.Head = 0, ""
		img.Records[k.String()] = deletedAt.ReplaceAllString(fmt.Sprintf("%s %d v%d %s %v %d %q %s", r.Type, r.ID, r.Version, r.Source, r.Changes, r.CreatedBy, r.Reason, r.Doc), `_deleted"`)
	}
	for name, mark := range m.AllMarks() {
		if counts(mark, records[mark.To]) {
			img.Marks[name] = mark
		}
	}
	return img
}

// counts tells whether a mark counts: its owner exists, is not deleted and holds the value.
func counts(m biobank.Mark, owner *biobank.Record) bool {
	if owner == nil {
		return false
	}
	what, value, _ := strings.Cut(m.Name, "#")
	if !strings.Contains(what, ".") {
		return true // an id
	}
	if i := strings.LastIndexByte(value, '#'); i >= 0 {
		value = value[i+1:]
	}
	if i := strings.LastIndexByte(value, '/'); i >= 0 {
		value = value[i+1:]
	}
	doc := strings.ToLower(string(owner.Doc))
	return strings.Contains(doc, fmt.Sprintf("%q", strings.ToLower(value))) && !strings.Contains(doc, `"activitystatus":"disabled"`)
}

// told is an outcome as a report tells it.
func told(o biobank.Outcome) string {
	if o.Err != nil {
		return "failed: " + o.Err.Error()
	}
	return fmt.Sprintf("%s %d changed %t %q %q %q", o.Record.Type, o.Record.ID, o.Changed, o.PPID, o.VisitName, o.Label)
}

func allTold(out []biobank.Outcome) []string {
	lines := make([]string, len(out))
	for i, o := range out {
		lines[i] = told(o)
	}
	return lines
}

// reserved are the numbers that every job of the test has set aside.
func reserved(protocols ...int64) map[string]int64 {
	out := map[string]int64{"specimen": 1000, "visit": 1000, "cpr": 1000, "participant": 1000, "site": 1000, "institute": 1000, "user": 1000, "cp": 1000}
	for _, cp := range protocols {
		out[fmt.Sprintf("specimen.label#%d", cp)] = 500
		out[fmt.Sprintf("visit.name#%d", cp)] = 500
		out[fmt.Sprintf("ppid#%d", cp)] = 500
	}
	return out
}

// wave numbers changes from row on.
func wave(op biobank.Op, row *int64, drafts ...biobank.Draft) []biobank.Change {
	out := rows(op, 7, *row, reserved(1, 2), drafts...)
	for i := range out {
		out[i].Shared = true
		out[i].Reason = "import"
	}
	*row += int64(len(drafts))
	return out
}

// settled is a base on which jobs run: protocol Blood (1), whose names people give, with participants, visits, specimens,
// and protocol Made (2), whose names are generated.
func settled(t *testing.T) (*biobanktest.Memory, *biobank.Actor) {
	t.Helper()
	m := biobanktest.NewMemory()
	r := &biobank.Registry{Store: m}
	admin := newWorld(t, r)
	mustApply(t, r, admin, &biobank.ProtocolDraft{
		PI: biobank.UserRef{Login: "admin"}, Sites: []biobank.SiteRef{{Name: "North Clinic"}},
		Doc: biobank.ProtocolDoc{
			ShortTitle: "Made", Title: "Made names", PpidFmt: "M-%04d", VisitNameFmt: "%PPI%-%PPI_UID%",
			SpecimenLabelFmt: "%VISIT_NAME%/%VISIT_UID%", AliquotLabelFmt: "%PSPEC_LABEL%_%PSPEC_UID%", DerivativeLabelFmt: "D%CP_UID%",
		},
	})
	mustApply(t, r, admin, &biobank.EventDraft{
		Protocol: made(), DefaultSite: ptr("North Clinic"), Doc: biobank.EventDoc{Label: "Baseline"},
	})
	for i := range 6 {
		ppid := fmt.Sprintf("P-%d", i)
		mustApply(t, r, admin, registration(ppid), visit(ppid, "V"+ppid), primary("V"+ppid, "S"+ppid, 100))
		mustApply(t, r, admin, child(biobank.LineageDerived, "S"+ppid, "D"+ppid, 10), child(biobank.LineageAliquot, "S"+ppid, "A"+ppid, 10))
	}
	return m, admin
}

func made() biobank.ProtocolRef { return biobank.ProtocolRef{ShortTitle: "Made"} }

func changeSpecimen(label string, merge func(*biobank.SpecimenDoc)) *biobank.SpecimenDraft {
	return &biobank.SpecimenDraft{Doc: biobank.SpecimenDoc{Label: label}, Merge: merge, Force: true}
}

func collected(d *biobank.SpecimenDraft) *biobank.SpecimenDraft {
	d.Doc.Collection = &biobank.CollectionEvent{Time: now.UnixMilli()}
	d.Doc.CreatedOn = now.UnixMilli()
	return d
}

func created(d *biobank.SpecimenDraft) *biobank.SpecimenDraft {
	d.Doc.CreatedOn = now.UnixMilli()
	return d
}

func replayJobs() []job {
	return []job{
		{"creating specimen-centric protocols", false, func() [][]biobank.Change {
			var row int64 = 1
			bank := func(title string) biobank.Draft {
				return &biobank.ProtocolDraft{
					PI: biobank.UserRef{Login: "admin"}, Sites: []biobank.SiteRef{{Name: "North Clinic"}},
					Doc: biobank.ProtocolDoc{ShortTitle: title, Title: title, SpecimenCentric: true},
				}
			}
			specimen := func(title, label string) biobank.Draft {
				return collected(created(&biobank.SpecimenDraft{
					Protocol: biobank.ProtocolRef{ShortTitle: title}, Doc: biobank.SpecimenDoc{Label: label, Type: "Plasma"},
				}))
			}
			return [][]biobank.Change{
				wave(biobank.Create, &row, bank("Bank A"), bank("Bank B"), bank("made")),
				wave(biobank.Create, &row, specimen("Bank A", "BA-1"), specimen("Bank B", "BB-1"), specimen("Bank A", "BA-2"), specimen("Made", "x")),
			}
		}},
		{"creating registrations", false, func() [][]biobank.Change {
			var row int64 = 1
			var drafts []biobank.Draft
			for i := range 28 {
				d := registration(fmt.Sprintf("N-%d", i))
				d.Doc.Participant = biobank.ParticipantDoc{LastName: "Invented", EMPI: fmt.Sprintf("E-%d", i), Gender: "female"}
				d.PMIs = []biobank.PMIRef{{Site: "North Clinic", MRN: fmt.Sprintf("M-%d", i)}}
				switch i {
				case 3:
					d.Doc.PPID = "P-3" // taken
				case 4:
					d.Doc.RegistrationDate = ""
				}
				drafts = append(drafts, d)
			}
			d := registration("N-40")
			d.Doc.Participant.EMPI = "E-7" // taken by an earlier row, after the PPID was claimed
			return [][]biobank.Change{wave(biobank.Create, &row, drafts...), wave(biobank.Create, &row, d), wave(biobank.Create, &row, registration("N-40"))}
		}},
		{"creating generated names", false, func() [][]biobank.Change {
			var row int64 = 1
			var regs []biobank.Draft
			for range 3 {
				regs = append(regs, &biobank.RegistrationDraft{Protocol: made(), Doc: biobank.RegistrationDoc{RegistrationDate: "2026-01-02"}})
			}
			first := wave(biobank.Create, &row, regs...)
			ppid := func(i int) string { return fmt.Sprintf("M-%04d", 501+i) }
			var visits, specimens, children []biobank.Draft
			for i := range 3 {
				for range 2 {
					visits = append(visits, &biobank.VisitDraft{Protocol: made(), PPID: ppid(i), EventLabel: "Baseline", Doc: biobank.VisitDoc{VisitDate: now.UnixMilli()}})
				}
			}
			second := wave(biobank.Create, &row, visits...)
			for i := range second {
				second[i].Kin = int64(i % 2)
			}
			for i := range 3 {
				for k := range 2 {
					for range 3 {
						specimens = append(specimens, collected(primary(fmt.Sprintf("%s-%d", ppid(i), k+1), "", 50)))
					}
				}
			}
			third := wave(biobank.Create, &row, specimens...)
			for i := range third {
				third[i].Kin = int64(i % 3)
			}
			for i := range 8 {
				lineage := biobank.LineageAliquot
				if i%4 == 3 {
					lineage = biobank.LineageDerived
				}
				children = append(children, created(child(lineage, fmt.Sprintf("%s-1/%d", ppid(0), i/4+1), "", 5)))
			}
			fourth := wave(biobank.Create, &row, children...)
			for i := range fourth {
				fourth[i].Kin = int64(i % 4)
			}
			return [][]biobank.Change{first, second, third, fourth}
		}},
		{"creating specimens", false, func() [][]biobank.Change {
			var row int64 = 1
			var one, two []biobank.Draft
			for i := range 40 {
				d := collected(primary(fmt.Sprintf("VP-%d", i%6), fmt.Sprintf("New-%d", i), 30))
				d.Doc.Barcode = fmt.Sprintf("B-%d", i)
				switch i {
				case 5:
					d.Doc.Label = "SP-1" // taken
				case 6:
					d.VisitName = "nowhere"
				case 7:
					d.Doc.Type = "Gold"
				}
				one = append(one, d)
			}
			for i := range 30 {
				lineage := biobank.LineageAliquot
				if i%5 == 0 {
					lineage = biobank.LineageDerived
				}
				two = append(two, created(child(lineage, fmt.Sprintf("New-%d", i%9), fmt.Sprintf("Child-%d", i), 2)))
			}
			two = append(two, created(child(biobank.LineageAliquot, "SP-0", "Child-of-old", 3)))
			return [][]biobank.Change{wave(biobank.Create, &row, one...), wave(biobank.Create, &row, two...)}
		}},
		{"changing specimens", true, func() [][]biobank.Change {
			var row int64 = 1
			var drafts []biobank.Draft
			for i := range 6 {
				drafts = append(drafts, changeSpecimen(fmt.Sprintf("DP-%d", i), func(s *biobank.SpecimenDoc) { s.Comments = fmt.Sprint("note ", i) }))
			}
			rename := changeSpecimen("AP-0b", func(s *biobank.SpecimenDoc) { s.Label, s.Barcode = "AP-0b", "AP-0-code" })
			rename.ID = 3 // AP-0
			drafts = append(
				drafts, rename,
				changeSpecimen("AP-1", func(s *biobank.SpecimenDoc) { s.Status = biobank.Collected }), // as it is
				changeSpecimen("nobody", func(s *biobank.SpecimenDoc) { s.Comments = "x" }),
				changeSpecimen("SP-2", func(s *biobank.SpecimenDoc) { s.Status = biobank.NotCollected }), // with its children
				changeSpecimen("SP-3", func(s *biobank.SpecimenDoc) { s.ActivityStatus = biobank.StatusDisabled }),
				changeSpecimen("AP-4", func(s *biobank.SpecimenDoc) { s.ActivityStatus = biobank.StatusClosed }),
				changeSpecimen("AP-5", func(s *biobank.SpecimenDoc) { s.Barcode = "AP-0-code2" }),
			)
			taken := changeSpecimen("SP-1", func(s *biobank.SpecimenDoc) { s.Label, s.Barcode = "SP-1", "free"; s.AdditionalLabel = "free too" })
			taken.ID = 17 // SP-3's neighbour: its new label is taken, its new barcode is given back
			return [][]biobank.Change{
				wave(biobank.Update, &row, drafts...),
				wave(biobank.Update, &row, taken, changeSpecimen("SP-0", func(s *biobank.SpecimenDoc) { s.Barcode = "free" })),
				// The freed names are taken by others.
				wave(biobank.Update, &row, changeSpecimen("DP-5", func(s *biobank.SpecimenDoc) { s.Comments = "second change" })),
			}
		}},
		{"upserting specimens", true, func() [][]biobank.Change {
			var row int64 = 1
			var drafts []biobank.Draft
			for i := range 8 {
				d := collected(primary(fmt.Sprintf("VP-%d", i%6), fmt.Sprintf("SP-%d", i), 100))
				d.Merge = func(s *biobank.SpecimenDoc) { s.Comments = "upserted" }
				drafts = append(drafts, d)
			}
			gone := changeSpecimen("AP-2", func(s *biobank.SpecimenDoc) { s.ActivityStatus = biobank.StatusDisabled })
			gone.Doc.ActivityStatus = biobank.StatusDisabled
			return [][]biobank.Change{wave(biobank.Upsert, &row, append(drafts, gone)...)}
		}},
		{"changing visits", true, func() [][]biobank.Change {
			var row int64 = 1
			change := func(name string, merge func(*biobank.VisitDoc)) *biobank.VisitDraft {
				return &biobank.VisitDraft{Doc: biobank.VisitDoc{Name: name}, Merge: merge, Force: true}
			}
			rename := change("Renamed", func(v *biobank.VisitDoc) { v.Name = "Renamed" })
			rename.ID = 3
			both := change("Both", func(v *biobank.VisitDoc) { v.Name, v.Status = "Both", biobank.VisitPending })
			both.ID = 4
			return [][]biobank.Change{
				wave(
					biobank.Update, &row,
					change("VP-0", func(v *biobank.VisitDoc) { v.Status = biobank.VisitMissed }),
					change("VP-1", func(v *biobank.VisitDoc) { v.Comments = "noted" }),
					rename, both,
					change("VP-4", func(v *biobank.VisitDoc) { v.ActivityStatus = biobank.StatusDisabled }),
				),
				wave(biobank.Create, &row, visit("P-0", "VP-9"), visit("P-0", "VP-2"), visit("P-1", "VP-1")),
			}
		}},
		{"upserting registrations", true, func() [][]biobank.Change {
			var row int64 = 1
			var drafts []biobank.Draft
			for i := range 8 {
				d := registration(fmt.Sprintf("P-%d", i))
				d.Doc.Participant.LastName = "Upserted"
				d.Merge = func(r *biobank.RegistrationDoc) { r.Participant.LastName = "Upserted" }
				d.PMIs = []biobank.PMIRef{{Site: "North Clinic", MRN: fmt.Sprintf("U-%d", i)}}
				if i == 2 {
					d.Force = true
					d.Merge = func(r *biobank.RegistrationDoc) { r.ActivityStatus = biobank.StatusDisabled }
					d.PMIs = nil
				}
				drafts = append(drafts, d)
			}
			return [][]biobank.Change{wave(biobank.Upsert, &row, drafts...), wave(biobank.Upsert, &row, registration("P-20"))}
		}},
		{"master rows", false, func() [][]biobank.Change {
			var row int64 = 1
			master := func(ppid, visitName, label string) *biobank.MasterDraft {
				d := &biobank.MasterDraft{
					Registration: *registration(ppid),
					Visit:        biobank.VisitDraft{EventLabel: "Baseline", Site: ptr("North Clinic"), Doc: biobank.VisitDoc{Name: visitName}},
					Specimen:     *collected(primary("", label, 20)),
				}
				d.Registration.Merge = func(r *biobank.RegistrationDoc) {}
				d.Visit.Merge = func(v *biobank.VisitDoc) {}
				d.Specimen.Merge = func(s *biobank.SpecimenDoc) { s.Comments = "from a master row" }
				return d
			}
			rename := master("P-1", "VP-1", "SP-1")
			rename.Registration.Merge = func(r *biobank.RegistrationDoc) { r.Participant.LastName = "Mastered" }
			rename.Visit.Merge = func(v *biobank.VisitDoc) { v.Comments = "mastered" }
			bad := master("Q-9", "VQ-9", "SP-0") // the specimen is another participant's
			aliquot := &biobank.MasterDraft{Specimen: *created(child(biobank.LineageAliquot, "Q-0-s", "Q-0-a", 2))}
			aliquot.Registration.Protocol = blood()
			return [][]biobank.Change{
				wave(biobank.Create, &row, master("Q-0", "VQ-0", "Q-0-s"), master("Q-1", "VQ-1", "Q-1-s"), rename, bad, master("P-2", "VP-2", "P-2-new")),
				wave(biobank.Create, &row, master("Q-0", "VQ-0", "Q-0-t"), master("Q-1", "", "Q-1-t")),
				wave(biobank.Create, &row, aliquot),
			}
		}},
		{"people in two protocols", true, func() [][]biobank.Change {
			var row int64 = 1
			in := func(p biobank.ProtocolRef, ppid, empi string, more func(*biobank.ParticipantDoc)) *biobank.RegistrationDraft {
				d := &biobank.RegistrationDraft{Protocol: p, Doc: biobank.RegistrationDoc{PPID: ppid, RegistrationDate: "2026-01-02"}}
				d.Doc.Participant.EMPI = empi
				if more != nil {
					more(&d.Doc.Participant)
				}
				return d
			}
			named := func(p *biobank.ParticipantDoc) { p.LastName, p.BirthDate = "Invented", "1970-01-01" }
			change := func(p biobank.ProtocolRef, ppid string, merge func(*biobank.RegistrationDoc)) *biobank.RegistrationDraft {
				return &biobank.RegistrationDraft{Protocol: p, Doc: biobank.RegistrationDoc{PPID: ppid}, Merge: merge, Force: true}
			}
			disable := func(d *biobank.RegistrationDoc) { d.ActivityStatus = biobank.StatusDisabled }
			known := func(i int, p biobank.ParticipantDoc) *biobank.RegistrationDraft {
				return change(blood(), fmt.Sprintf("P-%d", i), func(d *biobank.RegistrationDoc) {
					p.ID = d.Participant.ID
					d.Participant = p
				})
			}
			waves := [][]biobank.Change{
				wave(biobank.Update, &row,
					known(0, biobank.ParticipantDoc{EMPI: "E-0", LastName: "Invented", BirthDate: "1970-01-01"}),
					known(1, biobank.ParticipantDoc{EMPI: "E-1"}),
					known(2, biobank.ParticipantDoc{EMPI: "E-2", LastName: "Invented", BirthDate: "1970-01-01"}),
					known(3, biobank.ParticipantDoc{EMPI: "E-3"}),
					known(4, biobank.ParticipantDoc{EMPI: "E-4", LastName: "Alone", BirthDate: "1970-01-01"})),
				wave(biobank.Create, &row, // from row 6
					in(made(), "", "E-0", nil),
					in(made(), "", "E-1", func(p *biobank.ParticipantDoc) { p.UID, p.LastName, p.BirthDate = "U-1", "Late", "1980-02-02" }),
					in(made(), "", "E-2", named),
					in(made(), "", "E-3", nil)),
				wave(biobank.Create, &row, in(made(), "", "E-3", nil), in(blood(), "N-3", "E-3", nil), in(blood(), "P-5", "E-9", nil)),
				wave(biobank.Update, &row,
					change(blood(), "P-0", func(d *biobank.RegistrationDoc) {
						d.RegistrationDate, d.Participant.EMPI, d.Participant.LastName = "2026-01-05", "E-10", "Changed"
					}),
					change(made(), "M-0507", func(d *biobank.RegistrationDoc) { d.Participant.BirthDate = "1980-03-03" })),
				wave(biobank.Update, &row,
					change(made(), "M-0506", func(d *biobank.RegistrationDoc) { d.Participant.FirstName = "Ann" }),
					change(blood(), "P-2", disable)),
				wave(biobank.Update, &row,
					change(blood(), "P-4", disable),
					change(made(), "M-0508", func(d *biobank.RegistrationDoc) { d.Participant.EMPI = "E-12" })),
				wave(biobank.Create, &row, in(blood(), "N-2", "E-12", nil)),
			}
			return waves
		}},
		{"changing one specimen often", false, func() [][]biobank.Change {
			var row int64 = 1
			var waves [][]biobank.Change
			for i := range 12 {
				waves = append(waves, wave(biobank.Update, &row, changeSpecimen("SP-0", func(s *biobank.SpecimenDoc) { s.Comments = fmt.Sprint("note ", i) })))
			}
			return waves
		}},
		{"small sets", false, func() [][]biobank.Change {
			var row int64 = 1
			sites := []biobank.Draft{
				&biobank.SiteDraft{Institute: "Institute of Invention", Doc: biobank.SiteDoc{Name: "South Clinic", Type: "Laboratory", Code: "SC"}},
				&biobank.SiteDraft{Institute: "Institute of Invention", Doc: biobank.SiteDoc{Name: "north clinic", Type: "Laboratory"}, Merge: func(s *biobank.SiteDoc) { s.Address = "Main Road" }},
				&biobank.SiteDraft{ID: 1, Doc: biobank.SiteDoc{Name: "Northern Clinic"}, Merge: func(s *biobank.SiteDoc) { s.Name = "Northern Clinic" }},
				&biobank.InstituteDraft{Doc: biobank.InstituteDoc{Name: "Second Institute"}, Merge: func(*biobank.InstituteDoc) {}},
				&biobank.ProtocolDraft{Doc: biobank.ProtocolDoc{ShortTitle: "Blood"}, Merge: func(p *biobank.ProtocolDoc) { p.Code = "BL" }},
				&biobank.UserDraft{
					Institute: "Institute of Invention", Doc: biobank.UserDoc{FirstName: "Tom", LastName: "Tech", EmailAddress: "tom@example.org", DomainName: "openspecimen", LoginName: "tom"},
					Merge: func(*biobank.UserDoc) {},
				},
			}
			return [][]biobank.Change{wave(biobank.Upsert, &row, sites[:2]...), wave(biobank.Upsert, &row, sites[2:]...)}
		}},
	}
}

// TestAJobKilledAnywhereAndDoneAgainLeavesWhatOneRunLeaves is the property that imports rest on (design, rules 1 to 3).
func TestAJobKilledAnywhereAndDoneAgainLeavesWhatOneRunLeaves(t *testing.T) {
	base, admin := settled(t)
	points := 0
	for _, j := range replayJobs() {
		t.Run(j.name, func(t *testing.T) {
			whole := base.Clone()
			count := &faulty{Store: whole}
			want, err := j.play(t.Context(), count, admin, now, false)
			if err != nil {
				t.Fatal(err)
			}
			wantImage := imageOf(t, whole)
			for _, line := range allTold(want) {
				t.Log(line)
			}
			for at := 1; at <= int(count.calls.Load()); at++ {
				for kind := range failKinds {
					points++
					broken := base.Clone()
					if _, err := j.play(t.Context(), &faulty{Store: broken, at: at, kind: kind}, admin, now, false); !errors.Is(err, errCrash) {
						t.Fatalf("call %d, kind %d: %v", at, kind, err)
					}
					later := now
					if !j.deletes {
						later = now.Add(time.Hour)
					}
					got, err := j.play(t.Context(), broken, admin, later, true)
					if err != nil {
						t.Errorf("call %d, kind %d: the repeat: %v", at, kind, err)
						continue
					}
					if d := cmp.Diff(allTold(want), allTold(got)); d != "" {
						t.Errorf("call %d, kind %d: outcomes (-once +repeated):\n%s", at, kind, d)
					}
					if img := imageOf(t, broken); !reflect.DeepEqual(wantImage, img) {
						t.Errorf("call %d, kind %d: content (-once +repeated):\n%s", at, kind, cmp.Diff(wantImage, img))
					}
					if t.Failed() {
						t.FailNow()
					}
				}
			}
		})
	}
	t.Logf("%d crash points", points)
}

// TestAJobKilledTwice: a crash while an earlier one is being mended, a sample of all pairs.
func TestAJobKilledTwice(t *testing.T) {
	base, admin := settled(t)
	for _, j := range replayJobs() {
		t.Run(j.name, func(t *testing.T) {
			whole := base.Clone()
			count := &faulty{Store: whole}
			want, err := j.play(t.Context(), count, admin, now, false)
			if err != nil {
				t.Fatal(err)
			}
			wantImage := imageOf(t, whole)
			random := rand.New(rand.NewPCG(1, 2))
			for range 40 {
				first := &faulty{at: 1 + random.IntN(int(count.calls.Load())), kind: random.IntN(failKinds)}
				broken := base.Clone()
				first.Store = broken
				if _, err := j.play(t.Context(), first, admin, now, false); !errors.Is(err, errCrash) {
					t.Fatal(err)
				}
				second := &faulty{Store: broken, at: 1 + random.IntN(int(count.calls.Load())), kind: random.IntN(failKinds)}
				if _, err := j.play(t.Context(), second, admin, now, true); err != nil && !errors.Is(err, errCrash) {
					t.Fatal(err)
				}
				got, err := j.play(t.Context(), broken, admin, now, true)
				if err != nil {
					t.Fatal(err)
				}
				if img := imageOf(t, broken); !reflect.DeepEqual(wantImage, img) || !slices.Equal(allTold(want), allTold(got)) {
					t.Fatalf("call %d kind %d, then call %d kind %d (-once +repeated):\n%s\n%s", first.at, first.kind, second.at, second.kind,
						cmp.Diff(allTold(want), allTold(got)), cmp.Diff(wantImage, img))
				}
			}
		})
	}
}

// amnesia hides from its readers who wrote what.
type amnesia struct{ *biobanktest.Memory }

func (s amnesia) Records(ctx context.Context, keys []biobank.Key, strong bool) (map[biobank.Key]*biobank.Record, error) {
	recs, err := s.Memory.Records(ctx, keys, strong)
	for _, r := range recs {
		r.Source, r.Changes = "", nil
	}
	return recs, err
}

// TestReplayNoticesWhatIsDoneTwice shows that the comparison above can fail: without the sources that rows leave, a repeat
// changes what is there.
func TestReplayNoticesWhatIsDoneTwice(t *testing.T) {
	base, admin := settled(t)
	for _, j := range replayJobs() {
		if j.name != "changing specimens" && j.name != "creating specimens" {
			continue
		}
		whole := base.Clone()
		want, err := j.play(t.Context(), whole, admin, now, false)
		if err != nil {
			t.Fatal(err)
		}
		wantImage := imageOf(t, whole)
		got, err := j.play(t.Context(), amnesia{whole}, admin, now, true)
		if err == nil && slices.Equal(allTold(want), allTold(got)) && reflect.DeepEqual(wantImage, imageOf(t, whole)) {
			t.Errorf("%s: a repeat that does everything again looks like one that does not", j.name)
		}
	}
}

// TestAPersonsChangeIsNotUndone: whatever a person does to the job's records between a crash and the repeat stays, if the
// row had been done; each row counts once.
func TestAPersonsChangeIsNotUndone(t *testing.T) {
	base, admin := settled(t)
	j := job{waves: func() [][]biobank.Change {
		var row int64 = 1
		var drafts []biobank.Draft
		for i := range 30 {
			d := collected(primary("VP-0", fmt.Sprintf("New-%d", i), 10))
			d.Merge = func(s *biobank.SpecimenDoc) { s.Comments = "by the job" }
			if i%2 == 0 && i < 12 {
				d.VisitName, d.Doc.Label = fmt.Sprintf("VP-%d", i/2), fmt.Sprintf("SP-%d", i/2)
			}
			drafts = append(drafts, d)
		}
		return [][]biobank.Change{wave(biobank.Upsert, &row, drafts...)}
	}}
	count := &faulty{Store: base.Clone()}
	if _, err := j.play(t.Context(), count, admin, now, false); err != nil {
		t.Fatal(err)
	}
	for at := 1; at <= int(count.calls.Load()); at++ {
		for kind := range failKinds {
			m := base.Clone()
			if _, err := j.play(t.Context(), &faulty{Store: m, at: at, kind: kind}, admin, now, false); !errors.Is(err, errCrash) {
				t.Fatal(err)
			}
			r := &biobank.Registry{Store: m}
			done := map[string]bool{}
			for _, rec := range m.AllRecords() {
				if rec.Type != biobank.Specimen {
					continue
				}
				doc, err := biobank.Decode[biobank.SpecimenDoc](rec)
				if err != nil {
					t.Fatal(err)
				}
				done[doc.Label] = doc.Comments == "by the job" || strings.HasPrefix(rec.Source, "7#")
				out, err := r.Apply(t.Context(), admin, now, []biobank.Change{{
					Op: biobank.Update, ID: "request-" + doc.Label, Draft: changeSpecimen(doc.Label, func(s *biobank.SpecimenDoc) { s.Comments = "by hand" }),
				}})
				if err != nil || out[0].Err != nil {
					t.Fatal(err, out)
				}
			}
			out, err := j.play(t.Context(), m, admin, now, true)
			if err != nil {
				t.Fatal(err)
			}
			for i, o := range out {
				if o.Err != nil {
					t.Fatalf("call %d, kind %d: row %d: %v", at, kind, i+1, o.Err)
				}
			}
			imageOf(t, m) // verifies the chains
			for _, rec := range m.AllRecords() {
				if rec.Type != biobank.Specimen {
					continue
				}
				doc, err := biobank.Decode[biobank.SpecimenDoc](rec)
				if err != nil {
					t.Fatal(err)
				}
				if want := "by hand"; done[doc.Label] && doc.Comments != want {
					t.Errorf("call %d, kind %d: %s is %q, want %q", at, kind, doc.Label, doc.Comments, want)
				}
			}
		}
	}
}

// TestARowThatDeletesAndALaterOneThatMakesAnew: done again, the first does not delete what the second has made.
func TestARowThatDeletesAndALaterOneThatMakesAnew(t *testing.T) {
	base, admin := settled(t)
	j := job{waves: func() [][]biobank.Change {
		var row int64 = 1
		gone := changeSpecimen("DP-0", func(s *biobank.SpecimenDoc) { s.ActivityStatus = biobank.StatusDisabled })
		anew := collected(primary("VP-1", "DP-0", 5))
		anew.Merge = func(s *biobank.SpecimenDoc) { s.Comments = "anew" }
		return [][]biobank.Change{wave(biobank.Upsert, &row, gone), wave(biobank.Upsert, &row, anew)}
	}}
	if _, err := j.play(t.Context(), base, admin, now, false); err != nil {
		t.Fatal(err)
	}
	want := imageOf(t, base)
	if _, err := j.play(t.Context(), base, admin, now, true); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, imageOf(t, base)); d != "" {
		t.Errorf("(-once +repeated):\n%s", d)
	}
}
