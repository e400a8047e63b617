package biobank_test

import (
	"fmt"
	"testing"
	"time"

	"aliquot/shared/biobank"
	"aliquot/shared/biobank/biobanktest"
)

// dependents tells what names an object.
func dependents(t *testing.T, r *biobank.Registry, a *biobank.Actor, typ biobank.Type, id int64) string {
	t.Helper()
	all, err := r.Dependents(t.Context(), a, typ, id)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(all)
}

// TestWhomAJobNames: rows of a job mark whom they name like a person's changes, also where two rows of one request do; and
// what moves to another protocol is found there.
func TestWhomAJobNames(t *testing.T) {
	m, admin := twins(t)
	r := &biobank.Registry{Store: m}
	out := mustApply(
		t, r, admin,
		&biobank.SiteDraft{Institute: "Institute of Invention", Doc: biobank.SiteDoc{Name: "Far Clinic", Type: "Laboratory"}},
		&biobank.UserDraft{Institute: "Institute of Invention", Doc: biobank.UserDoc{FirstName: "Nia", LastName: "Nurse", EmailAddress: "nia@example.org", DomainName: biobank.Domain, LoginName: "nia"}},
	)
	site, nurse := out[0].Record.ID, out[1].Record.ID
	var drafts []biobank.Draft
	for i := range 2 {
		far := visit("P-3", fmt.Sprintf("far %d", i))
		far.Site = ptr("Far Clinic")
		drafts = append(drafts, far)
	}
	drawn := primary("VP-3", "drawn", 1)
	drawn.Collector = biobank.UserRef{Login: "nia"}
	drafts = append(drafts, drawn)
	b := r.Import(admin, now, time.UTC, false)
	done, err := b.Apply(t.Context(), rows(biobank.Create, 9, 1, reserved(1), drafts...))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range done {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	for range 2 { // in Blood, and, when that was merged, in Other
		if got := dependents(t, r, admin, biobank.Site, site); got != "[{visit 2}]" {
			t.Errorf("the site is named by %s", got)
		}
		if got := dependents(t, r, admin, biobank.User, nurse); got != "[{specimen 1}]" {
			t.Errorf("the user is named by %s", got)
		}
		_, err := r.Merge(t.Context(), admin, now, now.Add(time.Minute), func() time.Time { return now }, biobank.Change{ID: "merge"}, "Blood", "Other")
		if err != nil && codesOf(err, false) != "CP_NOT_FOUND" {
			t.Fatal(err)
		}
	}
}

// TestASiteThatAProtocolGivesUp is still kept by the record numbers of its participants.
func TestASiteThatAProtocolGivesUp(t *testing.T) {
	m := biobanktest.NewMemory()
	r := &biobank.Registry{Store: m}
	admin := newWorld(t, r)
	mustApply(t, r, admin, &biobank.SiteDraft{Institute: "Institute of Invention", Doc: biobank.SiteDoc{Name: "South Clinic", Type: "Laboratory"}})
	d := registration("P-1")
	d.PMIs = []biobank.PMIRef{{Site: "North Clinic", MRN: "M-1"}}
	mustApply(t, r, admin, d)
	out, err := r.Apply(t.Context(), admin, now, []biobank.Change{{Op: biobank.Update, ID: "sites", Draft: &biobank.ProtocolDraft{
		ID: 1, Sites: []biobank.SiteRef{{Name: "South Clinic"}}, Merge: func(*biobank.ProtocolDoc) {},
	}}})
	if err != nil || out[0].Err != nil {
		t.Fatal(err, out)
	}
	if got := dependents(t, r, admin, biobank.Site, 1); got != "[{collection_protocol_event 1} {participant_medical_identifier 1}]" {
		t.Errorf("the site is named by %s", got)
	}
}
