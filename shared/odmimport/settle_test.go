package odmimport

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/biobank"
	"aliquot/shared/clinical"
	"aliquot/shared/fault"
	"aliquot/shared/jobs"
)

// A job that ends early holds no participant, and its log says what is stored, wherever it was interrupted.

// interrupted is a store that does some writes and refuses the others.
type interrupted struct {
	*world
	do func(n int, writes []biobank.Write) error
	n  int
}

func (s *interrupted) Write(ctx context.Context, opening bool, writes []biobank.Write) ([]biobank.Result, error) {
	s.n++
	if err := s.do(s.n, writes); err != nil {
		return nil, err
	}
	return s.world.Write(ctx, opening, writes)
}

// deliver brings the message a few times, as the queue does when it failed.
func (w *world) deliver(im *Importer, times int) {
	w.t.Helper()
	for range times {
		_ = im.Handle(w.t.Context(), Message(w.job.ID)) // what comes of it is seen in the job
		w.now = w.now.Add(5 * time.Minute)
	}
}

// told are the values of the log's lines that say that they are stored, stored those that are.
func (w *world) told() (n int) {
	return strings.Count(string(w.objects["results/"+LogKey(w.job, false)]), ",Inserted,")
}

func (w *world) stored() (n int, pending []string) {
	w.t.Helper()
	for key, rec := range w.AllRecords() {
		switch rec.Type {
		case clinical.GroupType:
			g, err := biobank.Decode[clinical.Group](rec)
			if err != nil {
				w.t.Fatal(err)
			}
			n += len(g.Values)
		case clinical.SubjectType:
			s, err := biobank.Decode[clinical.Subject](rec)
			if err != nil {
				w.t.Fatal(err)
			}
			if s.Pending != "" {
				pending = append(pending, key.Part)
			}
		}
	}
	return n, pending
}

// settled checks the end of a job.
func (w *world) settled(name string, status jobs.Status) {
	w.t.Helper()
	stored, pending := w.stored()
	if w.job.Status != status || len(pending) > 0 || w.told() != stored || w.job.Done < int64(stored) {
		w.t.Errorf("%s: job %s (%s), pending %v, the log tells of %d values, %d are stored, %d rows are done",
			name, w.job.Status, w.job.Reason, pending, w.told(), stored, w.job.Done)
	}
}

// Whatever is refused while the writes of a plan were interrupted at any call: none or all of the plan is there.
func TestRefusedInTheMiddleOfAPlan(t *testing.T) {
	attached := map[string]string{"scan.pdf": "a scan"}
	for n := 1; ; n++ {
		w := newWorld(t, numbers(), attached)
		im := w.importer(25)
		calls := &interrupted{world: w, do: func(call int, _ []biobank.Write) error {
			if call >= n {
				return errBroken
			}
			return nil
		}}
		im.Store = calls
		w.deliver(im, 1)
		if w.job.Status.Final() {
			if n < 8 {
				t.Errorf("the import makes %d calls only", n)
			}
			break
		}
		im.Planner = func(context.Context, *jobs.Job) (*clinical.Planner, error) {
			return nil, fault.New("studyOIDNotAvailable", "The study is locked.")
		}
		w.deliver(im, 1)
		if w.job.Status.Final() && n > 1 {
			if _, pending := w.stored(); len(pending) > 0 {
				t.Errorf("call %d: the job has ended and holds %v", n, pending)
			}
		}
		im.Store = w
		w.deliver(im, 1)
		w.settled(fmt.Sprintf("call %d", n), jobs.Failed)
	}
}

// A job whose writes never succeed ends without a word of what is not stored.
func TestNoWriteSucceeds(t *testing.T) {
	for _, part := range []int{10, 1000} {
		w := newWorld(t, numbers(), map[string]string{"scan.pdf": "a scan"})
		im := w.importer(part)
		im.Store = &interrupted{world: w, do: func(int, []biobank.Write) error { return errors.New("item too large") }}
		w.deliver(im, 8)
		w.settled(fmt.Sprint(part, " rows a part"), jobs.Failed)
	}
}

// One whose plan is half written does not end before the rest can be written: it would hold its participants for ever.
func TestHalfWritten(t *testing.T) {
	w := newWorld(t, numbers(), nil)
	im := w.importer(1000)
	groups := 0
	im.Store = &interrupted{world: w, do: func(_ int, writes []biobank.Write) error {
		for _, one := range writes {
			if one.Record != nil && one.Record.Type == clinical.GroupType {
				if groups++; groups > 25 {
					return errBroken
				}
			}
		}
		return nil
	}}
	w.deliver(im, 8)
	if w.job.Status.Final() {
		t.Fatalf("the job has ended: %s", w.job.Reason)
	}
	im.Store = w
	w.deliver(im, 1)
	w.settled("at last", jobs.Completed)
}

// A stop before the first row, and before a plan is written: nothing more is.
func TestStopBeforeAPlan(t *testing.T) {
	w := newWorld(t, numbers(), nil)
	w.job.Stop = true
	w.deliver(w.importer(2000), 1)
	w.settled("queued", jobs.Stopped)
	if n, _ := w.stored(); n != 0 {
		t.Errorf("%d values were stored after the stop", n)
	}

	w = newWorld(t, numbers(), nil)
	im := w.importer(5)
	im.Store = &interrupted{world: w, do: func(call int, _ []biobank.Write) error { w.job.Stop = true; return nil }}
	w.deliver(im, 1)
	w.settled("while the first plan is written", jobs.Stopped)
	if n, _ := w.stored(); n == 0 || n > 6 {
		t.Errorf("%d values are stored, want those of the first plan", n)
	}

	// A stop after a worker died with a plan that is kept and not begun.
	w = newWorld(t, numbers(), nil)
	im = w.importer(5)
	im.Store = &interrupted{world: w, do: func(int, []biobank.Write) error { return errBroken }}
	w.deliver(im, 1)
	w.job.Stop = true
	im.Store = w
	w.deliver(im, 1)
	w.settled("kept and not begun", jobs.Stopped)
	if n, _ := w.stored(); n != 0 {
		t.Errorf("%d values were stored after the stop", n)
	}
}

// A file that is damaged fails its row; the others go on.
func TestDamagedFile(t *testing.T) {
	w := newWorld(t, numbers(), map[string]string{"scan.pdf": strings.Repeat("a scan ", 100)})
	z := w.objects["intake/"+w.job.Attached]
	z[60] ^= 0xff
	w.deliver(w.importer(1000), 1)
	w.settled("damaged", jobs.Completed)
	log := string(w.objects["results/"+LogKey(w.job, false)])
	if n := strings.Count(log, ",I_F,Failed,,errorCode.missingItemFile.scan.pdf\n"); n != 3 {
		t.Errorf("%d rows tell of the damaged file:\n%s", n, log)
	}
	for key := range w.objects {
		if strings.Contains(key, "attached/1") {
			t.Errorf("%s was stored", key)
		}
	}
}

// What was not looked at before there was a job, since it was dropped or is large, ends the job at once with the code that a
// request is answered with, and leaves nothing. The names begin with the ids of the attacks.
func TestHostileDocuments(t *testing.T) {
	const xml, zip = "The document cannot be read: line ", "The ZIP of attached files cannot be read: "
	good := query("SS_1", "1")
	value := func(v string) string { return query("SS_1", v) }
	for name, tt := range map[string]struct {
		doc      string
		attached map[string]string
		reason   string
	}{
		"S-01 a thousand to one":        {good, map[string]string{"zeros": strings.Repeat("\x00", 32<<20)}, zip},
		"S-01 an archive in an archive": {good, map[string]string{"in.zip": "x"}, zip},
		"S-02 up":                       {good, map[string]string{"../scan.pdf": "x"}, zip},
		"S-02 twins but for form":       {good, map[string]string{"\u00e9.pdf": "x", "e\u0301.pdf": "x"}, zip},
		"S-02 twins in two folders":     {good, map[string]string{"a/scan.pdf": "x", "b/scan.pdf": "x"}, "Two of the attached files have one name."},
		"S-05 an entity bomb":           {`<!DOCTYPE ODM [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>` + value("&b;"), nil, xml},
		"S-05 an external file":         {`<!DOCTYPE ODM [<!ENTITY x SYSTEM "file:///etc/passwd">]>` + value("&x;"), nil, xml},
		"S-06 a million deep":           {"<ODM>" + strings.Repeat("<a>", 1_000_000), nil, xml},
		"S-06 a long attribute":         {value(strings.Repeat("x", 50<<20)), nil, xml},
		"S-06 many elements":            {"<ODM>" + strings.Repeat("<a/>", 5_000_000) + "<", nil, xml},
		"S-08 UTF-16":                   {"\xff\xfe<\x00O\x00", nil, xml},
		"R-20 not UTF-8":                {value("M\xfcller"), nil, xml},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, tt.doc, tt.attached)
			began := time.Now()
			w.deliver(w.importer(1000), 1)
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
			w.settled("hostile", jobs.Failed)
			if n, _ := w.stored(); n != 0 || !strings.HasPrefix(w.job.Reason, tt.reason) {
				t.Errorf("%d values are stored; reason %q, want %q", n, w.job.Reason, tt.reason)
			}
			for key := range w.objects {
				if strings.HasPrefix(key, "results/attached/") {
					t.Errorf("left %s", key)
				}
			}
		})
	}
}

// However often a file is named, it is copied once.
func TestCopies(t *testing.T) {
	var doc strings.Builder
	doc.WriteString(`<ODM><ClinicalData StudyOID="S_A">`)
	for s := range 3 {
		fmt.Fprintf(&doc, `<SubjectData SubjectKey="SS_%d"><StudyEventData StudyEventOID="SE_LOG"><FormData FormOID="F_LOG">`, s+1)
		for range 10 {
			doc.WriteString(`<ItemGroupData ItemGroupOID="IG_LOG"><ItemData ItemOID="I_F" Value="scan.pdf"/></ItemGroupData>`)
		}
		doc.WriteString(`</FormData></StudyEventData></SubjectData>`)
	}
	doc.WriteString(`</ClinicalData></ODM>`)
	w := newWorld(t, doc.String(), map[string]string{"scan.pdf": "a scan"})
	im := w.importer(4)
	files := &copies{files: files{w}}
	im.Files = files
	w.deliver(im, 1)
	w.settled("copies", jobs.Completed)
	if files.n != 1 {
		t.Errorf("the file was copied %d times", files.n)
	}
}

// A file is found by its name in whatever form the system that packed it has written accents, and copied once for both.
func TestNamesOfOtherSystems(t *testing.T) {
	doc := `<ODM><ClinicalData StudyOID="S_A"><SubjectData SubjectKey="SS_1"><StudyEventData StudyEventOID="SE_LOG"><FormData FormOID="F_LOG">` +
		`<ItemGroupData ItemGroupOID="IG_LOG"><ItemData ItemOID="I_F" Value="scan&#xe9;.pdf"/></ItemGroupData>` +
		`<ItemGroupData ItemGroupOID="IG_LOG"><ItemData ItemOID="I_F" Value="scane&#x301;.pdf"/></ItemGroupData></FormData></StudyEventData></SubjectData></ClinicalData></ODM>`
	for _, packed := range []string{"scan\u00e9.pdf", "scane\u0301.pdf"} {
		w := newWorld(t, doc, map[string]string{packed: "a scan"})
		w.deliver(w.importer(1000), 1)
		w.settled(packed, jobs.Completed)
		copied := 0
		for key := range w.objects {
			if strings.HasPrefix(key, "results/attached/") {
				copied++
			}
		}
		if w.told() != 2 || copied != 1 {
			t.Errorf("%q: %d values are stored, %d files", packed, w.told(), copied)
		}
	}
}

type copies struct {
	files
	n int
}

func (c *copies) Create(ctx context.Context, bucket, key, contentType string) jobs.Writer {
	if strings.HasPrefix(key, "attached/") {
		c.n++
	}
	return c.files.Create(ctx, bucket, key, contentType)
}

// Wherever a document is cut, also behind elements in one tag without white space between them, it comes to the same.
func TestEveryCut(t *testing.T) {
	doc := `<ODM><ClinicalData StudyOID="S_A"><SubjectData SubjectKey="SS_1"/><SubjectData SubjectKey="SS_2"><StudyEventData StudyEventOID="SE_LOG"/>` +
		`<StudyEventData StudyEventOID="SE_LOG"><FormData FormOID="F_NONE"/><FormData FormOID="F_LOG"/></StudyEventData><StudyEventData StudyEventOID="SE_LOG"><FormData FormOID="F_LOG">` +
		`<ItemGroupData ItemGroupOID="IG_LOG"/><ItemGroupData ItemGroupOID="IG_LOG"><ItemData ItemOID="I_N" Value="1"/></ItemGroupData></FormData></StudyEventData></SubjectData>` +
		`<SubjectData SubjectKey="SS_9"/><SubjectData SubjectKey="SS_3"><StudyEventData StudyEventOID="SE_LOG"><FormData FormOID="F_LOG"><ItemGroupData ItemGroupOID="IG_LOG">` +
		`<ItemData ItemOID="I_N" Value="2"/><ItemData ItemOID="I_N" Value="x"/></ItemGroupData></FormData></StudyEventData></SubjectData></ClinicalData></ODM>`
	plain := newWorld(t, doc, nil)
	plain.run(plain.importer(1000))
	want := timeless(plain.objects["results/"+LogKey(plain.job, true)])
	if len(want) < 9 || len(values(plain)) != 5 {
		t.Fatalf("%d lines, %v", len(want), values(plain))
	}
	for rows := 1; rows < len(want); rows++ {
		w := newWorld(t, doc, nil)
		w.run(w.importer(rows))
		if d := cmp.Diff(want, timeless(w.objects["results/"+LogKey(w.job, true)])); d != "" {
			t.Errorf("%d rows a part: log (-want +got):\n%s", rows, d)
		}
		if d := cmp.Diff(values(plain), values(w)); d != "" {
			t.Errorf("%d rows a part: data (-want +got):\n%s", rows, d)
		}
	}
}

// query is a document with a query of one participant.
func query(subject, value string) string {
	return `<ODM xmlns:OpenClinica="http://www.openclinica.org/ns/odm_ext_v130/v3.1"><ClinicalData StudyOID="S_A"><SubjectData SubjectKey="` + subject + `"><StudyEventData StudyEventOID="SE_LOG"><FormData FormOID="F_LOG">` +
		`<ItemGroupData ItemGroupOID="IG_LOG"><ItemData ItemOID="I_N" Value="` + value + `"><OpenClinica:DiscrepancyNotes><OpenClinica:DiscrepancyNote ID="Q1" NoteType="Query"><OpenClinica:ChildNote ID="Q1a" Status="New" UserName="dora">` +
		`<OpenClinica:DetailedNote>Is that so?</OpenClinica:DetailedNote></OpenClinica:ChildNote></OpenClinica:DiscrepancyNote></OpenClinica:DiscrepancyNotes></ItemData></ItemGroupData></FormData></StudyEventData></SubjectData></ClinicalData></ODM>`
}

// A plan that is made anew, since somebody changed the participant meanwhile, keeps its notes.
func TestNotesOfAPlanMadeAnew(t *testing.T) {
	w := newWorld(t, query("SS_1", "1"), nil)
	im := w.importer(1000)
	im.Store = &interrupted{world: w, do: func(n int, _ []biobank.Write) error {
		if n > 1 {
			return nil
		}
		recs, err := w.Records(t.Context(), []biobank.Key{clinical.SubjectKey(1)}, true)
		if err != nil {
			return err
		}
		rec := *recs[clinical.SubjectKey(1)]
		rec.Version++
		_, err = w.Memory.Write(t.Context(), false, []biobank.Write{{Kind: biobank.UpdateRecord, Record: &rec}})
		return err
	}}
	w.deliver(im, 1)
	w.settled("made anew", jobs.Completed)
	if n := len(w.threads()); n != 1 || w.job.FailedRows != 0 {
		t.Errorf("%d notes are stored, log:\n%s", n, w.objects["results/"+LogKey(w.job, true)])
	}
}

func (w *world) threads() []string {
	var all []string
	for key, rec := range w.AllRecords() {
		if rec.Type == clinical.NoteType {
			all = append(all, key.Part)
		}
	}
	return all
}

// Of two jobs that bring one note's id at once, the later is refused it.
func TestNoteIDTakenMeanwhile(t *testing.T) {
	w := newWorld(t, query("SS_1", "1"), nil)
	im := w.importer(1000)
	marks := []string{clinical.NoteMark(10, "Q1"), clinical.NoteMark(10, "Q1a")}
	im.Store = &interrupted{world: w, do: func(n int, _ []biobank.Write) error {
		if n > 1 {
			return nil
		}
		_, err := w.Memory.Write(t.Context(), false, []biobank.Write{{Kind: biobank.InsertMark, Mark: biobank.Mark{Name: marks[1], Source: "o9#1"}}})
		return err
	}}
	w.deliver(im, 1)
	if log := string(w.objects["results/"+LogKey(w.job, true)]); !strings.Contains(log, "Q1a:errorCode.noteIdAlreadyInUse") || len(w.threads()) != 0 {
		t.Errorf("log:\n%s", log)
	}
	w.settled("taken meanwhile", jobs.Completed)
	left, err := w.Marks(t.Context(), marks, true)
	if err != nil || len(left) != 1 || left[marks[1]].Source != "o9#1" {
		t.Errorf("marks %v, %v", slices.Collect(maps.Keys(left)), err)
	}
}

// A panic is a failed try: the job ends with a reason, and the function goes on.
func TestPanic(t *testing.T) {
	w := newWorld(t, numbers(), nil)
	im := w.importer(10)
	im.Store = &interrupted{world: w, do: func(n int, _ []biobank.Write) error {
		if n > 5 {
			panic("out of order")
		}
		return nil
	}}
	w.deliver(im, 8)
	if w.job.Status.Final() {
		t.Fatalf("the job ended with a plan half written: %s", w.job.Reason)
	}
	im.Store = w
	im.Planner = func(context.Context, *jobs.Job) (*clinical.Planner, error) { panic("no planner") }
	w.deliver(im, 1)
	w.settled("panic", jobs.Failed)
}
