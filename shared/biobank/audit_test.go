package biobank_test

import (
	"strings"
	"testing"

	"aliquot/shared/biobank"
	"aliquot/shared/biobank/biobanktest"
)

// What is stored must be what the chain says, from the creation on.
func TestChainHoldsTheRecord(t *testing.T) {
	s := biobanktest.NewMemory()
	r := &biobank.Registry{Store: s}
	admin := newWorld(t, r)
	made := mustApply(t, r, admin, &biobank.InstituteDraft{Doc: biobank.InstituteDoc{Name: "One"}})[0].Record
	changed := made
	for _, name := range []string{"Two", "Three"} {
		out, err := r.Apply(t.Context(), admin, now, []biobank.Change{{
			Op: biobank.Update, ByID: true, ID: name, Draft: &biobank.InstituteDraft{ID: made.ID, Doc: biobank.InstituteDoc{Name: name}},
		}})
		if err != nil || out[0].Err != nil {
			t.Fatal(err, out)
		}
		changed = out[0].Record
	}
	trail, err := s.Trail(t.Context(), biobank.Institute, made.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range []*biobank.Record{made, changed} {
		if _, err := biobank.VerifyChain(rec, trail); err != nil {
			t.Errorf("version %d: %v", rec.Version, err)
		}
	}
	for name, forge := range map[string]func(*biobank.Record){
		"a value":           func(r *biobank.Record) { r.Doc = []byte(strings.ReplaceAll(string(r.Doc), "e", "3")) },
		"who created it":    func(r *biobank.Record) { r.CreatedBy++ },
		"when":              func(r *biobank.Record) { r.CreatedAt++ },
		"why":               func(r *biobank.Record) { r.Reason += "x" },
		"from where":        func(r *biobank.Record) { r.From += "x" },
		"by what request":   func(r *biobank.Record) { r.Request += "x" },
		"by what import":    func(r *biobank.Record) { r.Source += "1#1" },
		"the version":       func(r *biobank.Record) { r.Version++ },
		"a change taken":    func(r *biobank.Record) { r.Head = trail[0].Head() },
		"no head any more":  func(r *biobank.Record) { r.Head, r.Version = "", 2 },
		"another's head":    func(r *biobank.Record) { r.ID++ },
		"a head of nothing": func(r *biobank.Record) { r.Head = "0000000009#x|00" },
	} {
		for _, rec := range []*biobank.Record{made, changed} {
			forged := *rec
			forge(&forged)
			if _, err := biobank.VerifyChain(&forged, trail); err == nil {
				t.Errorf("version %d, forged: %s: nothing shows", rec.Version, name)
			}
		}
	}
}
