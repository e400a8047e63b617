package biobank_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/biobank"
	"aliquot/shared/biobank/biobanktest"
)

// A chain is followed from its head, whole or in pages, past what is void; a link that does not hold is named.
func TestChain(t *testing.T) {
	const changes = 1203 // some pages
	for name, tt := range map[string]struct {
		spoil func(chain []*biobank.Entry) []*biobank.Entry
		want  string // what is told, empty where the chain holds
	}{
		"whole": {func(c []*biobank.Entry) []*biobank.Entry { return c }, ""},
		"with what is void": {func(c []*biobank.Entry) []*biobank.Entry {
			for _, version := range []int64{2, 3, 700, changes + 1, changes + 2} {
				for _, change := range []string{"a", "z"} {
					c = append(c, &biobank.Entry{Type: biobank.Specimen, ID: 7, Version: version, Change: change})
				}
			}
			return c
		}, ""},
		"changed": {func(c []*biobank.Entry) []*biobank.Entry {
			other := *c[400]
			other.By = 9
			c[400] = &other
			return c
		}, "000402#m was changed"},
		"without the newest": {func(c []*biobank.Entry) []*biobank.Entry { return c[:changes-1] }, "1204#m is missing"},
		"without the oldest": {func(c []*biobank.Entry) []*biobank.Entry { return c[1:] }, "002#m is missing"},
		"without one":        {func(c []*biobank.Entry) []*biobank.Entry { return slices.Delete(c, 600, 601) }, "602#m is missing"},
		"nothing":            {func([]*biobank.Entry) []*biobank.Entry { return nil }, "1204#m is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &biobank.Record{Type: biobank.Specimen, ID: 7}
			var chain []*biobank.Entry
			for i := range int64(changes) {
				e := &biobank.Entry{Type: r.Type, ID: r.ID, Version: i + 2, Change: "m", Prev: r.Head, After: json.RawMessage(fmt.Sprintf(`{"n":%d}`, i))}
				chain = append(chain, e)
				r.Head = e.Head()
			}
			want := slices.Clone(chain)
			trail := tt.spoil(chain)
			s := biobanktest.NewMemory()
			for some := range slices.Chunk(trail, biobank.MaxBatch) {
				var writes []biobank.Write
				for _, e := range some {
					writes = append(writes, biobank.Write{Kind: biobank.InsertEntry, Entry: e})
				}
				if _, err := s.Write(t.Context(), false, writes); err != nil {
					t.Fatal(err)
				}
			}
			got, err := biobank.VerifyChain(r, trail)
			var walked []*biobank.Entry
			walkErr := biobank.WalkChain(t.Context(), s, r, func(e *biobank.Entry) error { walked = append(walked, e); return nil })
			for how, err := range map[string]error{"whole": err, "walked": walkErr} {
				if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.HasSuffix(err.Error(), tt.want)) {
					t.Errorf("%s: %v, want %q", how, err, tt.want)
				}
			}
			if tt.want != "" {
				return
			}
			slices.Reverse(walked)
			if d := cmp.Diff(want, got) + cmp.Diff(want, walked); d != "" {
				t.Errorf("chain (-want +got):\n%s", d)
			}
		})
	}
	if err := biobank.WalkChain(t.Context(), biobanktest.NewMemory(), &biobank.Record{}, nil); err != nil {
		t.Errorf("a record that was never changed: %v", err)
	}
}

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
