package csvimport_test

import (
	"context"
	"encoding/csv"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/biobank"
	"aliquot/shared/jobs"
)

// reserving notes for whom numbers are reserved.
type reserving struct {
	biobank.Store
	owners *[]string
}

func (s reserving) ReserveFor(ctx context.Context, owner, counter string, n int64) (first, kept int64, err error) {
	*s.owners = append(*s.owners, owner)
	return s.Store.ReserveFor(ctx, owner, counter, n)
}

// The plan sets the numbers aside for rows that say how many specimens they make, as most of the file do. The others take their
// own.
func TestChildrenGetNumbersFromThePlan(t *testing.T) {
	for _, test := range []struct {
		name, file string
		rows       []string // after the parent's label
		own        []string // the rows that take numbers of their own
		made       []int
	}{
		{"derivatives", "specimenDerivative_create_20260301080000000.csv", []string{"Specimen Label,Type", "D-1,Serum", "D-2,Serum", "D-3,Serum"}, nil, []int{1, 1, 1}},
		{
			"aliquots", "specimenAliquot_create_20260301080000000.csv",
			[]string{
				"Specimen Labels,Number of Aliquots,Quantity per Aliquot", `"A-1,A-2",,1`, ",2,1", "A-3,,1", `"A-4,A-5,A-6",3,1`, ",2,2", ",,30", ",2,1",
			},
			[]string{"4", "6"},
			[]int{2, 2, 1, 3, 2, 3, 2},
		},
		{
			"aliquots of all numbers", "specimenAliquot_create_20260301080000000.csv",
			[]string{"Number of Aliquots,Quantity per Aliquot", "1,1", "2,1", "3,1", ",1"},
			[]string{"1", "2", "3", "4"},
			[]int{1, 2, 3, 100},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t)
			r.crowd()
			var owners []string
			r.im.Registry = &biobank.Registry{Store: reserving{r.im.Registry.Store, &owners}}
			under := r.im.Under
			r.im.Under = func(c *jobs.Chunk, until func() time.Time, progress func() (int64, int64)) *biobank.Registry {
				return &biobank.Registry{Store: reserving{under(c, until, progress).Store, &owners}}
			}
			content := "CP Short Title,Parent Specimen Label," + test.rows[0] + "\n"
			for i, row := range test.rows[1:] {
				content += "LAKE," + []string{"U-1", "U-2", "U-3", "U-4", "U-5", "U-6", "R-1"}[i] + "," + row + "\n"
			}
			j, report := r.importFile(test.file, content)
			if j.Status != jobs.Completed {
				t.Fatalf("%+v\n%s", j, report)
			}
			var want []string
			job := strconv.FormatInt(j.ID, 10)
			if len(test.own) < len(test.made) {
				want = append(want, job)
			}
			for _, row := range test.own {
				want = append(want, job+"#"+row)
			}
			slices.Sort(owners)
			if diff := cmp.Diff(want, slices.Compact(owners)); diff != "" {
				t.Errorf("numbers were reserved for (-want +got):\n%s", diff)
			}
			rows, err := csv.NewReader(strings.NewReader(report)).ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			at := slices.Index(rows[0], "OS_IDENTIFIER")
			for i, n := range test.made {
				first, err := strconv.ParseInt(rows[i+1][at], 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				for id := first; id < first+int64(n); id++ {
					rec, err := r.reg.Get(t.Context(), r.admin, biobank.Specimen, id)
					if err != nil || rec.Source != job+"#"+strconv.Itoa(i+1) {
						t.Errorf("specimen %d of row %d: %v", id, i+1, err)
					}
				}
			}
		})
	}
}
