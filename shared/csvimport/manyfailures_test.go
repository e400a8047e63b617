package csvimport_test

import (
	"fmt"
	"strings"
	"testing"

	"aliquot/shared/jobs"
)

// A row that fails in a chunk of updates is stored before the rows behind it are tried. A file of nothing but such rows
// must not fill the chunk's item with the names of their parts.
func TestUpdatesOfOneMissingSpecimen(t *testing.T) {
	r := newRig(t)
	r.im.Config.ChunkRows = 1000
	var b strings.Builder
	b.WriteString("Specimen Label,Comments\n")
	const rows = 260
	for i := range rows {
		fmt.Fprintf(&b, "MISTYPED,comment %d\n", i)
	}
	j, report := r.importFile("specimen_update_20260301080000000.csv", b.String())
	if j.Status != jobs.Failed || j.Done != rows || j.FailedRows != rows {
		t.Errorf("job %+v", j)
	}
	if got := strings.Count(report, "SPECIMEN_NOT_FOUND"); got != rows {
		t.Errorf("%d of %d rows were told", got, rows)
	}
	chunks, err := r.jobs.Chunks(t.Context(), j.ID, -1, 0)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(chunks[0].Parts); n > 60 {
		t.Errorf("the chunk lists %d parts", n)
	}
}

// One barcode in every row ties the whole file together; no worker could hold it.
func TestTooManyRowsHangTogether(t *testing.T) {
	r := newRig(t)
	var b strings.Builder
	b.WriteString("Visit Name,Specimen Label,Type,Barcode\n")
	for i := range 30_001 {
		fmt.Fprintf(&b, "V-1,S-%d,Plasma,N/A\n", i)
	}
	j, report := r.importFile("specimen_create_20260301080000000.csv", b.String())
	if j.Status != jobs.Failed || !strings.Contains(j.Reason, "hang together with data row 1") {
		t.Errorf("job %+v, report %s", j, report)
	}
}
