package biobank_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/biobank"
	"aliquot/shared/biobank/biobanktest"
	"aliquot/shared/fault"
)

// door is a way in: a person's request, or a row of a job of its own.
type door struct {
	name string
	do   func(t *testing.T, m *biobanktest.Memory, a *biobank.Actor, op biobank.Op, d biobank.Draft) biobank.Outcome
}

func doors() []door {
	row := int64(0)
	return []door{
		{"a person", func(t *testing.T, m *biobanktest.Memory, a *biobank.Actor, op biobank.Op, d biobank.Draft) biobank.Outcome {
			t.Helper()
			row++
			out, err := (&biobank.Registry{Store: m}).Apply(t.Context(), a, now, []biobank.Change{{Op: op, ID: fmt.Sprint("request ", row), Draft: d}})
			if err != nil {
				t.Fatal(err)
			}
			return out[0]
		}},
		{"a job", func(t *testing.T, m *biobanktest.Memory, a *biobank.Actor, op biobank.Op, d biobank.Draft) biobank.Outcome {
			t.Helper()
			row++
			return importOne(t, m, a, op, 100+row, 1, d)
		}},
	}
}

func (d door) must(t *testing.T, m *biobanktest.Memory, a *biobank.Actor, op biobank.Op, draft biobank.Draft) biobank.Outcome {
	t.Helper()
	o := d.do(t, m, a, op, draft)
	if o.Err != nil {
		t.Fatalf("%s: %v", d.name, o.Err)
	}
	return o
}

// stored reads a specimen by label, nil when there is none.
func stored(t *testing.T, m *biobanktest.Memory, label string) (*biobank.Record, *biobank.SpecimenDoc) {
	t.Helper()
	for _, r := range m.AllRecords() {
		if r.Type != biobank.Specimen {
			continue
		}
		doc, err := biobank.Decode[biobank.SpecimenDoc](r)
		if err != nil {
			t.Fatal(err)
		}
		if doc.Label == label {
			return r, &doc
		}
	}
	return nil, nil
}

func TestChangeKeepsWhatWasNotSent(t *testing.T) {
	base, admin := settled(t)
	for _, d := range doors() {
		m := base.Clone()
		_, was := stored(t, m, "SP-0")
		d.must(t, m, admin, biobank.Update, changeSpecimen("SP-0", func(s *biobank.SpecimenDoc) { s.Comments = "only this" }))
		want := *was
		want.Comments = "only this"
		rec, got := stored(t, m, "SP-0")
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", d.name, diff)
		}
		o := d.must(t, m, admin, biobank.Update, changeSpecimen("SP-0", func(s *biobank.SpecimenDoc) { s.Comments = "only this" }))
		if again, _ := stored(t, m, "SP-0"); o.Changed || again.Version != rec.Version {
			t.Errorf("%s: a change of nothing made version %d of %d", d.name, again.Version, rec.Version)
		}
	}
}

func TestRenameFreesTheOldName(t *testing.T) {
	base, admin := settled(t)
	for _, d := range doors() {
		t.Run(d.name, func(t *testing.T) {
			m := base.Clone()
			rec, _ := stored(t, m, "SP-0")
			rename := func(to string) *biobank.SpecimenDraft {
				return &biobank.SpecimenDraft{ID: rec.ID, Doc: biobank.SpecimenDoc{Label: to}, Merge: func(s *biobank.SpecimenDoc) { s.Label = to }}
			}
			if o := d.must(t, m, admin, biobank.Update, rename("renamed")); o.Label != "renamed" {
				t.Errorf("the outcome names %q", o.Label)
			}
			if o := d.do(t, m, admin, biobank.Create, primary("VP-0", "renamed", 1)); !fault.Is(o.Err, "SPECIMEN_DUP_LABEL") {
				t.Errorf("the new name is free: %v", o.Err)
			}
			if o := d.do(t, m, admin, biobank.Update, changeSpecimen("SP-0", func(s *biobank.SpecimenDoc) { s.Comments = "x" })); !fault.Is(o.Err, "SPECIMEN_NOT_FOUND") {
				t.Errorf("the old name still finds it: %v", o.Err)
			}
			d.must(t, m, admin, biobank.Update, rename("SP-0")) // back again
			d.must(t, m, admin, biobank.Create, primary("VP-0", "renamed", 1))
			if o := d.do(t, m, admin, biobank.Create, primary("VP-0", "SP-0", 1)); !fault.Is(o.Err, "SPECIMEN_DUP_LABEL") {
				t.Errorf("its name of before is free: %v", o.Err)
			}
		})
	}
}

func TestRenameOfAProtocolOrSite(t *testing.T) {
	base, admin := settled(t)
	for _, d := range doors() {
		t.Run(d.name, func(t *testing.T) {
			m := base.Clone()
			d.must(t, m, admin, biobank.Update, &biobank.ProtocolDraft{ID: 1, Doc: biobank.ProtocolDoc{ShortTitle: "Serum"}, Merge: func(p *biobank.ProtocolDoc) { p.ShortTitle = "Serum" }})
			d.must(t, m, admin, biobank.Update, &biobank.SiteDraft{ID: 1, Doc: biobank.SiteDoc{Name: "South Clinic"}, Merge: func(s *biobank.SiteDoc) { s.Name = "South Clinic" }})
			if o := d.do(t, m, admin, biobank.Create, registration("P-50")); !fault.Is(o.Err, "CP_NOT_FOUND") {
				t.Errorf("the old title still finds the protocol: %v", o.Err)
			}
			anew := registration("P-50")
			anew.Protocol, anew.Site = protocolRef("serum"), ptr("North Clinic")
			if o := d.do(t, m, admin, biobank.Create, anew); !fault.Is(o.Err, "SITE_NOT_FOUND") {
				t.Errorf("the old name still finds the site: %v", o.Err)
			}
			anew = registration("P-50")
			anew.Protocol, anew.Site = protocolRef("serum"), ptr("south clinic")
			d.must(t, m, admin, biobank.Create, anew)
			d.must(t, m, admin, biobank.Create, &biobank.SiteDraft{Institute: "Institute of Invention", Doc: biobank.SiteDoc{Name: "North Clinic", Type: "Laboratory"}})
		})
	}
}

func TestDeletionFreesTheNames(t *testing.T) {
	base, admin := settled(t)
	for _, d := range doors() {
		t.Run(d.name, func(t *testing.T) {
			m := base.Clone()
			rec, _ := stored(t, m, "AP-0")
			gone := func(r *biobank.RegistrationDoc) { r.ActivityStatus = "Disabled" }
			draft := &biobank.RegistrationDraft{Protocol: blood(), Doc: biobank.RegistrationDoc{PPID: "P-0"}, Merge: gone}
			if o := d.do(t, m, admin, biobank.Update, draft); !fault.Is(o.Err, "PARTICIPANT_REF_ENTITY_FOUND") {
				t.Fatalf("deleted without force: %v", o.Err)
			}
			draft.Force = true
			d.must(t, m, admin, biobank.Update, draft)
			r := &biobank.Registry{Store: m}
			for typ, code := range map[biobank.Type]string{biobank.Registration: "CPR_M_NOT_FOUND", biobank.Visit: "VISIT_NOT_FOUND"} {
				if _, err := r.Get(t.Context(), admin, typ, 1); !fault.Is(err, code) {
					t.Errorf("%s 1: %v", typ, err)
				}
			}
			if _, err := r.Get(t.Context(), admin, biobank.Specimen, rec.ID); !fault.Is(err, "SPECIMEN_NOT_FOUND") {
				t.Errorf("the aliquot: %v", err)
			}
			if o := d.do(t, m, admin, biobank.Create, primary("VP-0", "lost", 1)); !fault.Is(o.Err, "VISIT_NOT_FOUND") {
				t.Errorf("a specimen of the deleted visit: %v", o.Err)
			}
			if o := d.do(t, m, admin, biobank.Create, child(biobank.LineageAliquot, "SP-0", "lost", 1)); !fault.Is(o.Err, "SPECIMEN_NOT_FOUND") {
				t.Errorf("an aliquot of the deleted specimen: %v", o.Err)
			}
			d.must(t, m, admin, biobank.Create, registration("P-0"))
			d.must(t, m, admin, biobank.Create, visit("P-0", "VP-0"))
			d.must(t, m, admin, biobank.Create, primary("VP-0", "SP-0", 1))
			for _, old := range []string{"SP-0", "DP-0", "AP-0"} {
				if _, doc := stored(t, m, old+fmt.Sprintf("_%d", now.UnixMilli())); doc == nil || doc.ActivityStatus != "Disabled" {
					t.Errorf("the deleted %s is %+v", old, doc)
				}
			}
			imageOf(t, m) // verifies the chains
		})
	}
}

func available(t *testing.T, m *biobanktest.Memory, label string) string {
	t.Helper()
	_, doc := stored(t, m, label)
	if doc == nil || doc.AvailableQty == nil {
		return "none"
	}
	return doc.AvailableQty.String() + " " + doc.ActivityStatus
}

func TestAliquotsLowerTheirParent(t *testing.T) {
	base, admin := settled(t)
	// A person's at once, never below nothing; what derivatives take is not known.
	m := base.Clone()
	r := &biobank.Registry{Store: m}
	mustApply(t, r, admin, child(biobank.LineageAliquot, "SP-0", "A-1", 60), child(biobank.LineageDerived, "SP-0", "D-1", 60))
	if got := available(t, m, "SP-0"); got != "30 Active" {
		t.Errorf("after 60 of 90: %s", got)
	}
	mustApply(t, r, admin, child(biobank.LineageAliquot, "SP-0", "A-2", 60))
	if got := available(t, m, "SP-0"); got != "0 Active" {
		t.Errorf("after 60 of 30: %s", got)
	}
	// A job's once per chunk, however often it is settled, and on from there when the chunk goes on.
	m = base.Clone()
	r = &biobank.Registry{Store: m}
	mine := func(source string) bool { return strings.HasPrefix(source, "7#") }
	b := r.Import(admin, now, time.UTC, false)
	add := func(b *biobank.Batch, row int64, drafts ...biobank.Draft) {
		t.Helper()
		out, err := b.Apply(t.Context(), rows(biobank.Create, 7, row, map[string]int64{"specimen": 500}, drafts...))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range out {
			if o.Err != nil {
				t.Fatal(o.Err)
			}
		}
	}
	settle := func(b *biobank.Batch, want string) {
		t.Helper()
		if err := b.Settle(t.Context(), "7#c0", mine); err != nil {
			t.Fatal(err)
		}
		if got := available(t, m, "SP-0"); got != want {
			t.Errorf("settled: %s, want %s", got, want)
		}
	}
	add(b, 1, child(biobank.LineageAliquot, "SP-0", "J-1", 20), child(biobank.LineageAliquot, "SP-0", "J-2", 5), child(biobank.LineageDerived, "SP-0", "J-3", 5))
	if got := available(t, m, "SP-0"); got != "90 Active" {
		t.Errorf("before it is settled: %s", got)
	}
	settle(b, "65 Active")
	settle(b, "65 Active")
	retry := r.Import(admin, now, time.UTC, true)
	add(retry, 1, child(biobank.LineageAliquot, "SP-0", "J-1", 20), child(biobank.LineageAliquot, "SP-0", "J-2", 5), child(biobank.LineageDerived, "SP-0", "J-3", 5))
	settle(retry, "65 Active")
	mustApply(t, r, admin, child(biobank.LineageAliquot, "SP-0", "by hand", 1)) // somebody takes some meanwhile
	next := r.Import(admin, now, time.UTC, false)
	add(next, 4, child(biobank.LineageAliquot, "SP-0", "J-4", 10))
	settle(next, "54 Active")
	imageOf(t, m)
}

func TestProtocolThatClosesParents(t *testing.T) {
	base, admin := settled(t)
	for _, d := range doors() {
		m := base.Clone()
		r := &biobank.Registry{Store: m}
		d.must(t, m, admin, biobank.Update, &biobank.ProtocolDraft{ID: 1, Merge: func(p *biobank.ProtocolDoc) { p.CloseParentSpecimens, p.SetQtyToZero = true, true }})
		if d.name == "a person" {
			mustApply(t, r, admin, child(biobank.LineageDerived, "SP-0", "D-1", 1))
		} else {
			b := r.Import(admin, now, time.UTC, false)
			out, err := b.Apply(t.Context(), rows(biobank.Create, 7, 1, nil, child(biobank.LineageDerived, "SP-0", "D-1", 1)))
			if err != nil || out[0].Err != nil {
				t.Fatal(err, out)
			}
			if err := b.Settle(t.Context(), "7#c0", func(s string) bool { return strings.HasPrefix(s, "7#") }); err != nil {
				t.Fatal(err)
			}
		}
		if got := available(t, m, "SP-0"); got != "90 Closed" {
			t.Errorf("%s: the parent has %s", d.name, got)
		}
		if o := d.do(t, m, admin, biobank.Create, child(biobank.LineageDerived, "SP-0", "D-2", 1)); !fault.Is(o.Err, "SPECIMEN_PROC_NOT_ALLOWED") {
			t.Errorf("%s: another child: %v", d.name, o.Err)
		}
		d.must(t, m, admin, biobank.Update, changeSpecimen("SP-1", func(s *biobank.SpecimenDoc) { s.ActivityStatus = "closed" }))
		if got := available(t, m, "SP-1"); got != "0 Closed" {
			t.Errorf("%s: a specimen that is closed has %s", d.name, got)
		}
	}
}

func TestMissedVisitTakesItsSpecimensAlong(t *testing.T) {
	base, admin := settled(t)
	for _, d := range doors() {
		m := base.Clone()
		d.must(t, m, admin, biobank.Update, &biobank.VisitDraft{Doc: biobank.VisitDoc{Name: "VP-0"}, Merge: func(v *biobank.VisitDoc) { v.Status = "Missed Collection" }})
		for _, label := range []string{"SP-0", "DP-0", "AP-0"} {
			if _, doc := stored(t, m, label); doc.Status != biobank.CollectMissed {
				t.Errorf("%s: %s is %s", d.name, label, doc.Status)
			}
		}
		if o := d.do(t, m, admin, biobank.Create, primary("VP-0", "late", 1)); !fault.Is(o.Err, "VISIT_COMPL_VISIT_REQ") {
			t.Errorf("%s: a specimen of the missed visit: %v", d.name, o.Err)
		}
		d.must(t, m, admin, biobank.Update, &biobank.VisitDraft{Doc: biobank.VisitDoc{Name: "VP-0"}, Merge: func(v *biobank.VisitDoc) { v.Status = "Complete" }})
		d.must(t, m, admin, biobank.Create, primary("VP-0", "late", 1))
	}
}

func TestPendingSpecimenGetsItsLabelWhenItIsCollected(t *testing.T) {
	base, admin := settled(t)
	for _, d := range doors() {
		m := base.Clone()
		reg := d.must(t, m, admin, biobank.Create, &biobank.RegistrationDraft{Protocol: made(), Doc: biobank.RegistrationDoc{RegistrationDate: "2026-01-02"}})
		v := d.must(t, m, admin, biobank.Create, &biobank.VisitDraft{RegistrationID: reg.Record.ID, EventLabel: "Baseline"})
		if v.VisitName != reg.PPID+"-1" {
			t.Errorf("%s: the visit is %q", d.name, v.VisitName)
		}
		pending := primary(v.VisitName, "", 4)
		pending.Doc.Status = "Pending"
		p := d.must(t, m, admin, biobank.Create, pending)
		if p.Label != "" {
			t.Errorf("%s: a pending specimen has the label %q", d.name, p.Label)
		}
		got := d.must(t, m, admin, biobank.Update, &biobank.SpecimenDraft{ID: p.Record.ID, Merge: func(s *biobank.SpecimenDoc) { s.Status = "Collected" }})
		if got.Label != v.VisitName+"/1" {
			t.Errorf("%s: the collected specimen has the label %q", d.name, got.Label)
		}
		next := d.must(t, m, admin, biobank.Create, primary(v.VisitName, "", 4))
		if next.Label != v.VisitName+"/2" {
			t.Errorf("%s: the next specimen has the label %q", d.name, next.Label)
		}
		a := d.must(t, m, admin, biobank.Create, child(biobank.LineageAliquot, next.Label, "", 1))
		if a.Label != next.Label+"_1" {
			t.Errorf("%s: its aliquot has the label %q", d.name, a.Label)
		}
	}
}

// TestRights: the same rights at both doors, as of the user who asked.
func TestRights(t *testing.T) {
	base, admin := crowded(t)
	r := &biobank.Registry{Store: base}
	mustApply(
		t, r, admin,
		&biobank.RoleDraft{Doc: biobank.RoleDoc{Name: "Masked", Rights: map[biobank.Resource][]biobank.Operation{
			biobank.ResParticipantDeid: {biobank.OpCreate, biobank.OpRead, biobank.OpUpdate},
		}}},
		&biobank.RoleDraft{Doc: biobank.RoleDoc{Name: "Primary", Rights: map[biobank.Resource][]biobank.Operation{
			biobank.ResPrimarySpecimen: {biobank.OpCreate, biobank.OpRead, biobank.OpUpdate},
		}}},
	)
	user := func(login, institute, kind string, grants ...biobank.Grant) *biobank.Actor {
		t.Helper()
		out := mustApply(t, r, admin, &biobank.UserDraft{Institute: institute, Doc: biobank.UserDoc{
			FirstName: login, LastName: "L", EmailAddress: login + "@example.org", DomainName: biobank.Domain, LoginName: login, Type: kind, Roles: grants,
		}})
		a, err := r.Actor(t.Context(), out[0].Record.ID)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	const home = "Institute of Invention"
	actors := map[string]*biobank.Actor{
		"nobody":      user("nobody", home, "NONE"),
		"technician":  user("technician", home, "NONE", biobank.Grant{ID: 1, Role: "Technician"}),
		"elsewhere":   user("elsewhere", "Elsewhere", "NONE", biobank.Grant{ID: 1, Role: "Coordinator"}),
		"coordinator": user("coordinator", home, "NONE", biobank.Grant{ID: 1, Role: "Coordinator", ProtocolID: 1}),
		"atSite":      user("atsite", home, "NONE", biobank.Grant{ID: 1, Role: "Coordinator", SiteID: 1}),
		"masked":      user("masked", home, "NONE", biobank.Grant{ID: 1, Role: "Masked"}),
		"primary":     user("primary", home, "NONE", biobank.Grant{ID: 1, Role: "Primary"}),
		"institute":   user("institute", home, "INSTITUTE"),
		"farAdmin":    user("faradmin", "Elsewhere", "INSTITUTE"),
		"super":       user("super", "Elsewhere", "SUPER"),
	}
	const refused = "RBAC_ACCESS_DENIED"
	withPHI := func() biobank.Draft {
		d := registration("phi")
		d.Doc.Participant.LastName = "Invented"
		return d
	}
	cases := []struct {
		name  string
		op    biobank.Op
		draft func() biobank.Draft
		want  map[string]string // by actor; "" is allowed
	}{
		{
			"registering a person", biobank.Create, withPHI,
			map[string]string{
				"nobody": refused, "technician": refused, "elsewhere": refused, "coordinator": "", "atSite": "", "primary": refused,
				"masked": "PARTICIPANT_CANNOT_UPDATE_PHI", "institute": "", "farAdmin": refused, "super": "",
			},
		},
		{
			"registering without a name", biobank.Create, func() biobank.Draft { return registration("none") },
			map[string]string{"nobody": refused, "technician": refused, "coordinator": "", "masked": "", "super": ""},
		},
		{
			"changing a name", biobank.Update, func() biobank.Draft {
				return &biobank.RegistrationDraft{Protocol: blood(), Doc: biobank.RegistrationDoc{PPID: "P-9"}, Merge: func(d *biobank.RegistrationDoc) { d.Participant.LastName = "Other" }}
			},
			map[string]string{"nobody": refused, "technician": refused, "coordinator": "", "masked": "PARTICIPANT_CANNOT_UPDATE_PHI", "institute": "", "farAdmin": refused},
		},
		{
			"changing a gender", biobank.Update, func() biobank.Draft {
				return &biobank.RegistrationDraft{Protocol: blood(), Doc: biobank.RegistrationDoc{PPID: "P-9"}, Merge: func(d *biobank.RegistrationDoc) { d.Participant.Gender = "Male" }}
			},
			map[string]string{"technician": refused, "masked": "", "coordinator": ""},
		},
		{
			"deleting a registration", biobank.Update, func() biobank.Draft {
				return &biobank.RegistrationDraft{Protocol: blood(), Doc: biobank.RegistrationDoc{PPID: "P-9"}, Merge: func(d *biobank.RegistrationDoc) { d.ActivityStatus = "disabled" }}
			},
			map[string]string{"technician": refused, "masked": refused, "coordinator": ""},
		},
		{
			"a registration in another protocol", biobank.Create, func() biobank.Draft {
				return &biobank.RegistrationDraft{Protocol: made(), Doc: biobank.RegistrationDoc{RegistrationDate: "2026-01-01"}}
			},
			map[string]string{"coordinator": refused, "atSite": "", "elsewhere": refused},
		},
		{
			"a visit", biobank.Create, func() biobank.Draft { return visit("P-0", "new") },
			map[string]string{"nobody": refused, "technician": "", "masked": refused, "elsewhere": refused, "institute": "", "farAdmin": refused},
		},
		{
			"a primary specimen", biobank.Create, func() biobank.Draft { return primary("VP-0", "new", 1) },
			map[string]string{"nobody": "VISIT_NOT_FOUND", "technician": "", "primary": "", "masked": refused, "elsewhere": "VISIT_NOT_FOUND", "coordinator": ""},
		},
		{
			"an aliquot", biobank.Create, func() biobank.Draft { return child(biobank.LineageAliquot, "SP-0", "new", 1) },
			map[string]string{"technician": "", "primary": refused, "nobody": "SPECIMEN_NOT_FOUND"},
		},
		{
			"changing a specimen", biobank.Update, func() biobank.Draft {
				return changeSpecimen("SP-0", func(s *biobank.SpecimenDoc) { s.Comments = "x" })
			},
			map[string]string{"technician": "", "primary": "", "nobody": refused, "farAdmin": refused},
		},
		{
			"deleting a specimen", biobank.Update, func() biobank.Draft {
				return changeSpecimen("AP-0", func(s *biobank.SpecimenDoc) { s.ActivityStatus = "DISABLED" })
			},
			map[string]string{"technician": "", "primary": refused, "nobody": refused},
		},
		{
			"a master row", biobank.Create, func() biobank.Draft {
				return &biobank.MasterDraft{
					Registration: *registration("master"), Visit: biobank.VisitDraft{Site: ptr("North Clinic"), Doc: biobank.VisitDoc{Name: "master"}},
					Specimen: *collected(primary("", "master", 1)),
				}
			},
			map[string]string{"technician": refused, "masked": refused, "coordinator": "", "farAdmin": refused},
		},
		{
			"an institute", biobank.Create, func() biobank.Draft { return &biobank.InstituteDraft{Doc: biobank.InstituteDoc{Name: "New"}} },
			map[string]string{"nobody": "RBAC_ADMIN_RIGHTS_REQUIRED", "institute": "RBAC_ADMIN_RIGHTS_REQUIRED", "super": ""},
		},
		{
			"a site of the institute", biobank.Create, func() biobank.Draft {
				return &biobank.SiteDraft{Institute: home, Doc: biobank.SiteDoc{Name: "New", Type: "Laboratory"}}
			},
			map[string]string{"coordinator": "RBAC_ADMIN_RIGHTS_REQUIRED", "institute": "", "farAdmin": "RBAC_ADMIN_RIGHTS_REQUIRED", "super": ""},
		},
		{
			"a protocol", biobank.Create, func() biobank.Draft {
				return &biobank.ProtocolDraft{PI: biobank.UserRef{ID: 2}, Sites: []biobank.SiteRef{{Name: "North Clinic"}}, Doc: biobank.ProtocolDoc{ShortTitle: "New", Title: "New"}}
			},
			map[string]string{"coordinator": "CP_CREATOR_DOES_NOT_BELONG_CP_REPOS", "institute": "", "farAdmin": "CP_CREATOR_DOES_NOT_BELONG_CP_REPOS", "super": ""},
		},
		{
			"an event", biobank.Create, func() biobank.Draft {
				return &biobank.EventDraft{Protocol: blood(), Doc: biobank.EventDoc{Label: "New"}}
			},
			map[string]string{"coordinator": refused, "institute": "", "farAdmin": refused},
		},
		{
			"a super administrator", biobank.Create, func() biobank.Draft {
				return &biobank.UserDraft{Institute: home, Doc: biobank.UserDoc{FirstName: "A", LastName: "B", EmailAddress: "new@example.org", DomainName: biobank.Domain, LoginName: "new", Type: "SUPER"}}
			},
			map[string]string{"nobody": "RBAC_ADMIN_RIGHTS_REQUIRED", "institute": "RBAC_ADMIN_RIGHTS_REQUIRED", "super": ""},
		},
	}
	for _, c := range cases {
		for who, want := range c.want {
			for _, d := range doors() {
				if got := codesOf(d.do(t, base.Clone(), actors[who], c.op, c.draft()).Err, false); got != want {
					t.Errorf("%s by %s, through %s: %q, want %q", c.name, who, d.name, got, want)
				}
			}
		}
	}
	for who, want := range map[string]string{"nobody": refused, "technician": "", "elsewhere": refused, "primary": "", "masked": refused, "farAdmin": refused, "super": ""} {
		rec, _ := stored(t, base, "SP-0")
		if _, err := r.Get(t.Context(), actors[who], biobank.Specimen, rec.ID); codesOf(err, false) != want {
			t.Errorf("reading a specimen by %s: %v, want %q", who, err, want)
		}
	}
	for who, want := range map[string]bool{"technician": false, "masked": false, "coordinator": true, "super": true, "elsewhere": false} {
		if got, err := r.SeesPHI(t.Context(), actors[who], 1); got != want || err != nil {
			t.Errorf("%s sees identifying values: %t, %v", who, got, err)
		}
	}
}
