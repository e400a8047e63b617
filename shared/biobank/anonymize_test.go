package biobank_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"aliquot/shared/biobank"
	"aliquot/shared/biobank/biobanktest"
)

// Anonymizing reaches what was deleted: visits, registrations with their visits, and those in a protocol that was deleted.
func TestAnonymizeReachesWhatWasDeleted(t *testing.T) {
	m := biobanktest.NewMemory()
	r := &biobank.Registry{Store: m}
	admin := newWorld(t, r)
	regs := map[string]int64{}
	protocols := map[string]int64{}
	for _, title := range []string{"Blood", "Closed down", "Left"} {
		cp := biobank.ProtocolRef{ShortTitle: title}
		if title != "Blood" {
			protocols[title] = mustApply(t, r, admin, &biobank.ProtocolDraft{
				PI: biobank.UserRef{Login: "admin"}, Sites: []biobank.SiteRef{{Name: "North Clinic"}}, Doc: biobank.ProtocolDoc{ShortTitle: title, Title: title},
			})[0].Record.ID
		}
		regs[title] = mustApply(t, r, admin, &biobank.RegistrationDraft{Protocol: cp, Doc: biobank.RegistrationDoc{
			PPID: "P-1", RegistrationDate: "2026-01-02", ExternalSubjectID: "Canary 1", Participant: biobank.ParticipantDoc{LastName: "Canary", UID: "Canary 2"},
		}})[0].Record.ID
		for n := range 2 {
			v := mustApply(t, r, admin, &biobank.VisitDraft{Protocol: cp, PPID: "P-1", Site: ptr("North Clinic"), Doc: biobank.VisitDoc{
				Name: fmt.Sprint(title, n), VisitDate: now.UnixMilli(), Comments: "came with Canary", SurgicalPathologyNumber: "Canary 3",
			}})[0].Record
			if n == 0 {
				mustRemove(t, r, admin, biobank.Visit, v.ID)
			}
		}
	}
	mustRemove(t, r, admin, biobank.Registration, regs["Left"])
	mustRemove(t, r, admin, biobank.Protocol, protocols["Closed down"])
	for range 2 { // once more changes nothing more
		if _, err := r.Anonymize(t.Context(), admin, now, biobank.Change{ID: "anonymization"}, regs["Blood"]); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[biobank.Type]int{}
	for _, rec := range m.AllRecords() {
		if seen[rec.Type]++; bytes.Contains(rec.Doc, []byte("Canary")) {
			t.Errorf("%s %d says %s", rec.Type, rec.ID, rec.Doc)
		}
	}
	if seen[biobank.Registration] != 3 || seen[biobank.Visit] != 6 {
		t.Errorf("there are %v", seen)
	}
}

// mustRemove deletes an object with all that lies below it.
func mustRemove(t *testing.T, r *biobank.Registry, a *biobank.Actor, typ biobank.Type, id int64) {
	t.Helper()
	if _, done, err := r.Remove(t.Context(), a, now, now.Add(time.Minute), func() time.Time { return now }, biobank.Change{ID: fmt.Sprint("removal of ", typ, id)}, typ, id, true); err != nil || !done {
		t.Fatalf("deleting %s %d: %v", typ, id, err)
	}
}
