package csvimport_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/jobs"
)

// entry is a file in an archive.
type entry struct {
	name, content string
	header        func(*zip.FileHeader)
}

func archive(t *testing.T, entries ...entry) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	w.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) { return flate.NewWriter(out, flate.BestSpeed) })
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		if e.header != nil {
			e.header(h)
		}
		f, err := w.CreateHeader(h)
		if err == nil {
			_, err = io.WriteString(f, e.content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// studyArchive holds participants, their visits and specimens, two files with one stamp, one in UTF-16, and one that is
// no file of ours.
func studyArchive(t *testing.T) string {
	return archive(t,
		entry{name: "specimen_create_20260301080000002.csv", content: "Visit Name,Specimen Label,Type,Created On\nV-1,S-1,Plasma,03-02-2026\n"},
		entry{name: "day one/", content: ""},
		entry{name: "day one/visit_create_20260301080000001.csv", content: "CP Short Title,PPID,Name,Visit Date,Visit Site\nLAKE,P-1,V-1,03-02-2026,Lakeside Biobank\n"},
		entry{name: "day one/cpr_create_20260301080000000.csv", content: participants + "LAKE,P-1,01-02-2026,Mira\n"},
		entry{name: "day two/cpr_create_20260301080000000.csv", content: utf16Text(binary.LittleEndian, true, participants+"LAKE,P-2,01-02-2026,Zoë\n")},
		entry{name: "__MACOSX/._notes.txt", content: "x"},
		entry{name: "notes.txt", content: "x"},
	)
}

// Each file of an archive becomes a job, in the order of their stamps and names; files dropped beside it take their place
// among them.
func TestArchive(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rig) {
		beside := r.drop("lab/specimen_update_20260301080000003.csv", "Specimen Label,Comments\nS-1,changed\n")
		m := r.drop("lab/monday.zip", studyArchive(t))
		r.run(m, beside, m)
		r.run(m)
		var told strings.Builder
		for _, j := range r.all() {
			fmt.Fprintf(&told, "#### job %d\n%s", j.ID, r.outcome(j))
		}
		golden(t, "archive", told.String())
		if state := r.state(); !strings.Contains(state, `"comments":"changed"`) || !strings.Contains(state, "Zoë") {
			t.Errorf("records:\n%s", state)
		}
		r.clock.pass(soon)
		if err := r.im.Sweep(t.Context()); err != nil || r.queue.len() > 0 {
			t.Errorf("the sweep sends something: %v", err)
		}
	})
}

func TestArchiveThatIsRefused(t *testing.T) {
	good := entry{name: "cpr_create_20260301080000000.csv", content: participants + "LAKE,P-1,01-02-2026,Mira\n"}
	named := func(name string) string { return archive(t, good, entry{name: name, content: "x"}) }
	many := make([]entry, 10_001)
	for i := range many {
		many[i] = entry{name: fmt.Sprintf("%d.csv", i), header: func(h *zip.FileHeader) { h.Method = zip.Store }}
	}
	// The directory says less than there is, or more.
	lies := func(size uint32) string {
		s := []byte(archive(t, good))
		at := bytes.LastIndex(s, []byte("PK\x01\x02"))
		binary.LittleEndian.PutUint32(s[at+24:], size)
		return string(s)
	}
	sound := archive(t, good)
	for _, tt := range []struct{ name, content string }{
		{"empty", ""},
		{"no archive", "CP Short Title,PPID\n"},
		{"cut off", sound[:len(sound)-30]},
		{"no entries", archive(t)},
		{"damaged", strings.Replace(sound, "PK\x01\x02", "PK\x01\x00", 1)},
		{"only folders", archive(t, entry{name: "a/"})},
		{"zip bomb", archive(t, good, entry{name: "visit_create_20260301080000000.csv", content: strings.Repeat("\x00", 20<<20)})},
		{"too many entries", archive(t, many...)},
		{"one name twice", archive(t, good, good)},
		{"one name in two cases", archive(t, good, entry{name: strings.ToUpper(good.name), content: "x"})},
		{"nested", named("more.zip")},
		{"outside", named("../x.csv")},
		{"absolute", named("/etc/x.csv")},
		{"drive", named("C:x.csv")},
		{"backslash", named(`a\x.csv`)},
		{"dots inside", named("a/../x.csv")},
		{"control character", named("a\nx.csv")},
		{"long name", named(strings.Repeat("x", 300))},
		{"link", archive(t, good, entry{name: "x.csv", content: "/etc/passwd", header: func(h *zip.FileHeader) { h.SetMode(fs.ModeSymlink | 0o777) }})},
		{"device", archive(t, good, entry{name: "x.csv", header: func(h *zip.FileHeader) { h.SetMode(fs.ModeDevice | 0o666) }})},
		{"encrypted", archive(t, good, entry{name: "x.csv", content: "x", header: func(h *zip.FileHeader) { h.Flags |= 1 }})},
		{"size of 3 GB", lies(3 << 30)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			j, report := r.importFile("monday.zip", tt.content)
			if j.Status != jobs.Failed || !strings.Contains(j.Reason, "nzip") && !strings.Contains(j.Reason, "npack") || !strings.Contains(report, "FAIL") {
				t.Errorf("job %+v, report %s", j, report)
			}
			t.Log(j.Reason)
			if word := forbidden.FindString(j.Reason); word != "" {
				t.Errorf("the word %q is told to the user", word)
			}
		})
	}
	// An entry that is not what the directory says fails alone.
	for _, size := range []uint32{10, 1000} {
		r := newRig(t)
		r.run(r.drop("lab/monday.zip", lies(size)))
		if all := r.all(); len(all) != 2 || all[0].Status != jobs.Failed || !strings.Contains(all[0].Reason, "ZIP") || all[1].Status != jobs.Completed {
			t.Errorf("an entry of %d bytes: %+v", size, all)
		}
	}
}

// An archive that breaks at any call is unpacked once.
func TestArchiveBreaks(t *testing.T) {
	base := newRig(t)
	content := studyArchive(t)
	run := func(faults map[int]faultKind) (*rig, int) {
		r := rigOver(t, base.copy())
		b := &breaker{faults: faults}
		r.shaky(b)
		r.survive(r.drop("lab/monday.zip", content))
		return r, b.calls
	}
	sound, calls := run(nil)
	want := sound.natural()
	for k := 1; k <= calls; k++ {
		kind := faultKinds[k%len(faultKinds)]
		r, _ := run(map[int]faultKind{k: kind})
		if diff := cmp.Diff(want, r.natural()); diff != "" {
			t.Fatalf("call %d %s (-want +got):\n%s", k, kind, diff)
		}
	}
}
