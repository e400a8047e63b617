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
