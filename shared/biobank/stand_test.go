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

// interrupted is a store in which something happens just before a transaction.
type interrupted struct {
	*biobanktest.Memory
	first func()
}

func (s *interrupted) Transact(ctx context.Context, writes []biobank.Write) ([]biobank.Result, error) {
	if first := s.first; first != nil {
		s.first = nil
		first()
	}
	return s.Memory.Transact(ctx, writes)
}

// What is deleted after an object that begins to name it was planned, and before that is saved, keeps it from being saved.
func TestWhatIsNamedIsNotDeletedMeanwhile(t *testing.T) {
	m := biobanktest.NewMemory()
	plain := &biobank.Registry{Store: m}
	admin := newWorld(t, plain)
	lone := mustApply(t, plain, admin, &biobank.SiteDraft{Institute: "Institute of Invention", Doc: biobank.SiteDoc{Name: "Lone", Type: "Repository"}})[0].Record.ID
	const institute = "Institute of Invention"
	bob, south := biobank.UserRef{Email: "bob@example.org"}, "South Clinic"
	grid := biobank.Grid{Rows: 2, Columns: 2}
	named := map[biobank.Type]biobank.Draft{
		biobank.Institute: &biobank.InstituteDraft{Doc: biobank.InstituteDoc{Name: "Elsewhere"}},
		biobank.Site:      &biobank.SiteDraft{Institute: institute, Doc: biobank.SiteDoc{Name: south, Type: "Collection Site"}},
		biobank.User: &biobank.UserDraft{Institute: institute, Doc: biobank.UserDoc{
			FirstName: "Bob", LastName: "B", EmailAddress: bob.Email, DomainName: biobank.Domain, LoginName: "bob", Type: biobank.UserNone,
		}},
		biobank.RoleType:         &biobank.RoleDraft{Doc: biobank.RoleDoc{Name: "Helper"}},
		biobank.ConsentStatement: &biobank.StatementDraft{Doc: biobank.StatementDoc{Code: "C", Statement: "I agree."}},
		biobank.ContainerType:    &biobank.ContainerTypeDraft{Doc: biobank.ContainerTypeDoc{Name: "Shelf", NameFormat: "S%SITE_UID%", Grid: grid}},
	}
	user := func(d biobank.UserDraft) *biobank.UserDraft {
		d.Institute, d.Doc = institute, biobank.UserDoc{
			FirstName: "Eve", LastName: "E", EmailAddress: "eve@example.org", DomainName: biobank.Domain, LoginName: "eve", Type: biobank.UserNone,
		}
		return &d
	}
	protocol := func(d biobank.ProtocolDraft) *biobank.ProtocolDraft {
		d.Doc, d.Sites = biobank.ProtocolDoc{ShortTitle: "New", Title: "New"}, []biobank.SiteRef{{Name: "North Clinic"}}
		if !d.PI.Sent() {
			d.PI = biobank.UserRef{Login: "admin"}
		}
		return &d
	}
	for i, tt := range []struct {
		gone biobank.Type
		by   biobank.Draft
	}{
		{biobank.Institute, &biobank.SiteDraft{ID: lone, Institute: "Elsewhere", Merge: func(*biobank.SiteDoc) {}}},
		{biobank.User, protocol(biobank.ProtocolDraft{PI: bob})},
		{biobank.User, protocol(biobank.ProtocolDraft{Coordinators: []biobank.UserRef{bob}})},
		{biobank.User, &biobank.SiteDraft{Institute: institute, Coordinators: []biobank.UserRef{bob}, Doc: biobank.SiteDoc{Name: "East", Type: "Repository"}}},
		{biobank.User, &biobank.RequirementDraft{Protocol: blood(), EventLabel: "Baseline", Collector: bob, Doc: biobank.RequirementDoc{
			Code: "N", Class: "Fluid", Type: "Whole Blood", AnatomicSite: "Not Specified", Laterality: "Not Specified", Pathology: "Not Specified",
			StorageType: "Manual", CollectionProcedure: "Not Specified", CollectionContainer: "Not Specified",
		}}},
		{biobank.User, &biobank.DistributionDraft{
			Institute: ptr(institute), PI: bob, Sites: map[string][]string{institute: {"North Clinic"}},
			Doc: biobank.DistributionDoc{Title: "Out", ShortTitle: "OUT"},
		}},
		{biobank.Site, &biobank.DistributionDraft{
			Institute: ptr(institute), PI: biobank.UserRef{Login: "admin"}, Sites: map[string][]string{institute: {south}},
			Doc: biobank.DistributionDoc{Title: "Out", ShortTitle: "OUT"},
		}},
		{biobank.Site, user(biobank.UserDraft{PrimarySite: south})},
		{biobank.Site, user(biobank.UserDraft{Grants: []biobank.GrantRef{{Role: "Technician", Site: south}}})},
		{biobank.RoleType, user(biobank.UserDraft{Grants: []biobank.GrantRef{{Role: "Helper"}}})},
		{biobank.RoleType, &biobank.RoleDraft{Parent: "Helper", Doc: biobank.RoleDoc{Name: "Below"}}},
		{biobank.ConsentStatement, protocol(biobank.ProtocolDraft{Consents: []biobank.StatementRef{{Code: "C"}}})},
		{biobank.ContainerType, &biobank.ContainerTypeDraft{CanHold: &biobank.TypeRef{Name: "Shelf"}, Doc: biobank.ContainerTypeDoc{Name: "Rack", NameFormat: "R%SITE_UID%", Grid: grid}}},
	} {
		for _, meanwhile := range []bool{true, false} {
			m := m.Clone()
			plain := &biobank.Registry{Store: m}
			id := mustApply(t, plain, admin, named[tt.gone])[0].Record.ID
			s := &interrupted{Memory: m}
			if meanwhile {
				s.first = func() { mustRemove(t, plain, admin, tt.gone, id) }
			}
			op := biobank.Create
			if d, ok := tt.by.(*biobank.SiteDraft); ok && d.ID == lone {
				op = biobank.Update
			}
			out, err := (&biobank.Registry{Store: s}).Apply(t.Context(), admin, now, []biobank.Change{{Op: op, ID: "naming", Draft: tt.by}})
			if err != nil {
				t.Fatal(err)
			}
			if (out[0].Err != nil) != meanwhile {
				t.Errorf("%d: %T that names a %s, which was deleted meanwhile (%t): %v", i, tt.by, tt.gone, meanwhile, out[0].Err)
			}
		}
	}
}
