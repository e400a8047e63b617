package biobank_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aliquot/infra/local/localtest"
	"aliquot/shared/biobank"
	"aliquot/shared/store"
)

// now is the time of every test.
var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func tablesOf(names map[string]string) store.Tables {
	return store.Tables{Records: names["records"], Audit: names["audit"], Jobs: names["jobs"], Sessions: names["sessions"]}
}

func newDynamo(t *testing.T) *store.Records {
	t.Helper()
	s := localtest.Data(t)
	return store.NewRecords(store.NewClient(s.AWSConfig()), tablesOf(s.Tables))
}

// system is user 1, who sets an empty system up.
func system() *biobank.Actor {
	return &biobank.Actor{ID: biobank.SystemUserID, User: biobank.UserDoc{Type: biobank.UserSuper}}
}

func mustApply(t *testing.T, r *biobank.Registry, a *biobank.Actor, drafts ...biobank.Draft) []biobank.Outcome {
	t.Helper()
	changes := make([]biobank.Change, len(drafts))
	for i, d := range drafts {
		changes[i] = biobank.Change{Op: biobank.Create, Draft: d, ID: fmt.Sprintf("%s-%d", t.Name(), i)}
	}
	out, err := r.Apply(t.Context(), a, now, changes)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range out {
		if o.Err != nil {
			t.Fatalf("change %d (%T): %v", i, drafts[i], o.Err)
		}
	}
	return out
}

// newWorld sets up an administrator, an institute, a site, a protocol "Blood" with an event and a requirement.
func newWorld(t *testing.T, r *biobank.Registry) *biobank.Actor {
	t.Helper()
	// Nobody else is given the ids of the records that everything begins with.
	for noun, last := range map[biobank.Type]int64{biobank.Institute: 1, biobank.User: biobank.AdminUserID} {
		if _, err := r.Store.Reserve(t.Context(), biobank.SetKey(noun, last).Part, last); err != nil {
			t.Fatal(err)
		}
	}
	out, err := r.Apply(t.Context(), system(), now, []biobank.Change{
		{Op: biobank.Create, ID: biobank.SeedChange, Draft: &biobank.InstituteDraft{ID: 1, Doc: biobank.InstituteDoc{Name: "Institute of Invention"}}},
		{Op: biobank.Create, ID: biobank.SeedChange, Draft: &biobank.UserDraft{ID: biobank.AdminUserID, Institute: "Institute of Invention", Doc: biobank.UserDoc{
			FirstName: "Ada", LastName: "Admin", EmailAddress: "ada@example.org", DomainName: biobank.Domain, LoginName: "admin", Type: biobank.UserSuper,
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range out {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	admin, err := r.Actor(t.Context(), biobank.AdminUserID)
	if err != nil {
		t.Fatal(err)
	}
	mustApply(
		t, r, admin,
		&biobank.SiteDraft{Institute: "Institute of Invention", Doc: biobank.SiteDoc{Name: "North Clinic", Type: "Collection Site"}},
		&biobank.ProtocolDraft{
			PI: biobank.UserRef{Login: "admin"}, Sites: []biobank.SiteRef{{Name: "North Clinic"}},
			Doc: biobank.ProtocolDoc{ShortTitle: "Blood", Title: "Blood and more"},
		},
		&biobank.EventDraft{
			Protocol: biobank.ProtocolRef{ShortTitle: "Blood"}, DefaultSite: ptr("North Clinic"),
			Doc: biobank.EventDoc{Label: "Baseline", Point: ptr(int64(0)), PointUnit: "DAYS"},
		},
		&biobank.RequirementDraft{Protocol: biobank.ProtocolRef{ShortTitle: "Blood"}, EventLabel: "Baseline", Doc: biobank.RequirementDoc{
			Code: "WB", Class: "Fluid", Type: "Whole Blood", AnatomicSite: "Not Specified", Laterality: "Not Specified", Pathology: "Not Specified",
			StorageType: "Manual", CollectionProcedure: "Not Specified", CollectionContainer: "Not Specified", InitialQty: biobank.Q(10),
		}},
	)
	return admin
}

func ptr[T any](v T) *T { return &v }

func blood() biobank.ProtocolRef { return biobank.ProtocolRef{ShortTitle: "Blood"} }

func registration(ppid string) *biobank.RegistrationDraft {
	return &biobank.RegistrationDraft{Protocol: blood(), Doc: biobank.RegistrationDoc{PPID: ppid, RegistrationDate: "2026-01-02"}}
}

func visit(ppid, name string) *biobank.VisitDraft {
	return &biobank.VisitDraft{Protocol: blood(), PPID: ppid, EventLabel: "Baseline", Doc: biobank.VisitDoc{Name: name, VisitDate: now.UnixMilli()}}
}

func primary(visit, label string, qty int64) *biobank.SpecimenDraft {
	return &biobank.SpecimenDraft{VisitName: visit, Doc: biobank.SpecimenDoc{Label: label, Type: "Whole Blood", InitialQty: biobank.Q(qty)}}
}

func child(lineage, parent, label string, qty int64) *biobank.SpecimenDraft {
	d := &biobank.SpecimenDraft{ParentLabel: parent, Doc: biobank.SpecimenDoc{Label: label, Lineage: lineage, InitialQty: biobank.Q(qty)}}
	if lineage == biobank.LineageDerived {
		d.Doc.Type = "Plasma"
	}
	return d
}

// rows makes an import's changes, one after the other, of a job that has reserved the numbers from first on.
func rows(op biobank.Op, job int64, from int64, reserved map[string]int64, drafts ...biobank.Draft) []biobank.Change {
	out := make([]biobank.Change, len(drafts))
	for i, d := range drafts {
		row := from + int64(i)
		source := fmt.Sprintf("%d#%d", job, row)
		out[i] = biobank.Change{Op: op, Draft: d, Source: source, ID: source, Reserved: reserved, Row: row}
	}
	return out
}

func TestWhatIsWrittenByTransactionAndByBatchIsReadBack(t *testing.T) {
	s := newDynamo(t)
	r := &biobank.Registry{Store: s}
	admin := newWorld(t, r)
	one := mustApply(
		t, r, admin,
		registration("P-1"), visit("P-1", "V-1"), primary("V-1", "S-1", 10),
		child(biobank.LineageDerived, "S-1", "D-1", 4), child(biobank.LineageAliquot, "S-1", "A-1", 3),
	)
	batch := r.Import(admin, now, time.UTC, false)
	var two []biobank.Outcome
	for i, d := range []biobank.Draft{
		registration("P-2"), visit("P-2", "V-2"), primary("V-2", "S-2", 10),
		child(biobank.LineageDerived, "S-2", "D-2", 4), child(biobank.LineageAliquot, "S-2", "A-2", 3),
	} {
		changes := rows(biobank.Create, 7, int64(i), nil, d)
		changes[0].Reason = "first import"
		changes[0].Shared = true
		out, err := batch.Apply(t.Context(), changes)
		if err != nil {
			t.Fatal(err)
		}
		if out[0].Err != nil {
			t.Fatalf("%T: %v", d, out[0].Err)
		}
		two = append(two, out...)
	}
	if err := batch.Settle(t.Context(), "7#c0", func(string) bool { return true }); err != nil {
		t.Fatal(err)
	}
	for _, outcomes := range [][]biobank.Outcome{one, two} {
		for _, o := range outcomes {
			got, err := r.Get(t.Context(), admin, o.Record.Type, o.Record.ID)
			if err != nil {
				t.Fatalf("%s %d: %v", o.Record.Type, o.Record.ID, err)
			}
			if o.Label == "S-1" || o.Label == "S-2" { // lowered by its aliquot since
				doc, err := biobank.Decode[biobank.SpecimenDoc](got)
				if err != nil {
					t.Fatal(err)
				}
				if doc.AvailableQty == nil || *doc.AvailableQty != *biobank.Q(7) {
					t.Errorf("%s has %v available, want 7", o.Label, doc.AvailableQty)
				}
				trail, err := s.Trail(t.Context(), got.Type, got.ID)
				if err != nil {
					t.Fatal(err)
				}
				if chain, err := biobank.VerifyChain(got, trail); err != nil || len(chain) != 1 {
					t.Errorf("%s has a chain of %d, %v", o.Label, len(chain), err)
				}
				continue
			}
			if diff := cmp.Diff(o.Record, got); diff != "" {
				t.Errorf("%s %d (-written +read):\n%s", o.Record.Type, o.Record.ID, diff)
			}
		}
	}
}
