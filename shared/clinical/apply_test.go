package clinical

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/biobank"
	"aliquot/shared/odm"
)

// rich is a document with everything that has effects beyond its values.
func rich(sex string) string {
	return document(`<SubjectData SubjectKey="SS_ANN">
<StudyEventData StudyEventOID="SE_FIRST" OpenClinica:StartDate="2026-03-01" OpenClinica:Signed="Yes">
	<Signature Attestation="I have seen it"/>
	<FormData FormOID="F_VITALS" OpenClinica:Status="complete" OpenClinica:SdvStatus="Verified">
		<ItemGroupData ItemGroupOID="IG_MAIN"><ItemData ItemOID="I_SEX" Value="` + sex + `"><OpenClinica:DiscrepancyNotes>
			<OpenClinica:DiscrepancyNote ID="Q1" NoteType="Query">
				<OpenClinica:ChildNote ID="Q1a" Status="New" UserName="dora"><OpenClinica:DetailedNote>Is that so?</OpenClinica:DetailedNote><UserRef OpenClinica:UserName="max"/></OpenClinica:ChildNote>
				<OpenClinica:ChildNote ID="Q1b" Status="Closed" UserName="max"><OpenClinica:DetailedNote>It is.</OpenClinica:DetailedNote></OpenClinica:ChildNote>
			</OpenClinica:DiscrepancyNote>
			<OpenClinica:DiscrepancyNote NoteType="Query"><OpenClinica:ChildNote Status="Closed" UserName="dora"><OpenClinica:DetailedNote>x</OpenClinica:DetailedNote></OpenClinica:ChildNote></OpenClinica:DiscrepancyNote>
		</OpenClinica:DiscrepancyNotes></ItemData><ItemData ItemOID="I_AGE" Value="40"/></ItemGroupData>
		<ItemGroupData ItemGroupOID="IG_ROWS" ItemGroupRepeatKey="1"><ItemData ItemOID="I_ROW" Value="1.5"/></ItemGroupData>
	</FormData>
</StudyEventData>
<StudyEventData StudyEventOID="SE_ILLS" StudyEventRepeatKey="1"><FormData FormOID="F_ILLS"><ItemGroupData ItemGroupOID="IG_ILLS" ItemGroupRepeatKey="1"><ItemData ItemOID="I_ILL" Value="Cough"/></ItemGroupData></FormData></StudyEventData>
</SubjectData><SubjectData OpenClinica:StudySubjectID="Ben"><StudyEventData StudyEventOID="SE_DIARY">
<FormData FormOID="F_ILLS"><ItemGroupData ItemGroupOID="IG_ILLS"><ItemData ItemOID="I_ILL" Value="Cold"/></ItemGroupData></FormData>
</StudyEventData></SubjectData>`)
}

func TestEffects(t *testing.T) {
	b := newBank(t)
	want := []string{
		"SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_MAIN,1,I_SEX Inserted",
		"SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_MAIN,1,I_SEX Inserted", // the query
		"SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_MAIN,1,I_SEX Failed queryStatusNotApplicable",
		"SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_MAIN,1,I_AGE Inserted",
		"SS_ANN,Ann,SE_FIRST,1,F_VITALS,IG_ROWS,1,I_ROW Inserted",
		"SS_ANN,Ann,SE_FIRST,1,F_VITALS Updated", // verified
		"SS_ANN,Ann,SE_FIRST,1 Attestations Imported",
		"SS_ANN,Ann,SE_FIRST,1 Event is Signed",
		"SS_ANN,Ann,SE_ILLS,1,F_ILLS,IG_ILLS,1,I_ILL Inserted",
		"SS_BEN,Ben,SE_DIARY,1,F_ILLS,IG_ILLS,1,I_ILL Inserted",
	}
	if d := cmp.Diff(want, b.log(b.planner("o1", 1), rich("F"))); d != "" {
		t.Errorf("log (-want +got):\n%s", d)
	}
	event := func() Event { return decode[Event](t, b, EventKey(1, "SE_FIRST", 1)) }
	e := event()
	f := e.Forms["F_VITALS"]
	if e.Status != EventCompleted || !e.Signed || f.Status != FormComplete || f.SDV != SDVVerified || f.CompletedAt == 0 {
		t.Errorf("event %+v, form %+v", e, f)
	}

	// What is there already changes nothing.
	unchanged := b.AllRecords()
	for _, line := range b.log(b.planner("o2", 2), rich("F")) {
		if !strings.HasSuffix(line, " No Change") && !strings.HasPrefix(line, "SS_BEN") &&
			!strings.HasSuffix(line, "queryStatusNotApplicable") && !strings.HasSuffix(line, "already exists in event") {
			t.Errorf("the second time: %s", line)
		}
	}
	if e := event(); !e.Signed {
		t.Error("an import that changes nothing withdrew the signature")
	}
	if d := cmp.Diff(unchanged[GroupKey(1, Path{Event: "SE_FIRST", EventKey: 1, Form: "F_VITALS", Group: "IG_MAIN", GroupKey: 1})],
		b.AllRecords()[GroupKey(1, Path{Event: "SE_FIRST", EventKey: 1, Form: "F_VITALS", Group: "IG_MAIN", GroupKey: 1})]); d != "" {
		t.Errorf("a group that was not changed (-before +after):\n%s", d)
	}

	// A changed value is told of: in the queries that were closed, by a reason, in the states.
	b.log(b.planner("o3", 3), document(`<SubjectData SubjectKey="SS_ANN"><StudyEventData StudyEventOID="SE_FIRST"><FormData FormOID="F_VITALS" OpenClinica:ReasonForChangeForCompleteForms="Typing">
		<ItemGroupData ItemGroupOID="IG_MAIN"><ItemData ItemOID="I_SEX" Value="M"/></ItemGroupData></FormData></StudyEventData></SubjectData>`))
	e = event()
	f = e.Forms["F_VITALS"]
	if e.Signed || f.SDV != SDVChanged || f.Status != FormComplete {
		t.Errorf("event %+v, form %+v", e, f)
	}
	var said, signed []string
	for _, line := range b.log(b.planner("o4", 4), document(`<SubjectData SubjectKey="SS_ANN"><StudyEventData StudyEventOID="SE_FIRST" OpenClinica:Signed="Yes"><Signature Attestation="I have seen it"/>`+
		`<FormData FormOID="F_VITALS"><ItemGroupData ItemGroupOID="IG_MAIN"><ItemData ItemOID="I_SEX" Value="M"/></ItemGroupData></FormData></StudyEventData></SubjectData>`)) {
		signed = append(signed, strings.TrimPrefix(line, "SS_ANN,Ann,SE_FIRST,1"))
	}
	wantSigned := []string{",F_VITALS,IG_MAIN,1,I_SEX No Change", " Skipped Attestation already exists in event", " Event is Signed"}
	if d := cmp.Diff(wantSigned, signed); d != "" || !event().Signed {
		t.Errorf("signed again (-want +got):\n%s", d)
	}
	for _, rec := range list(t, b, 1, NotePrefix("SE_FIRST", 1, "F_VITALS")) {
		n := decode[Thread](t, b, rec.Key)
		for _, c := range n.Children {
			said = append(said, n.Kind+" "+c.Status+" "+c.Text)
		}
	}
	wantSaid := []string{
		"Reason for Change Not Applicable Typing",
		"Query New Is that so?", "Query Closed It is.", "Query Closed-Modified The value was changed by an import.",
	}
	if d := cmp.Diff(wantSaid, said); d != "" {
		t.Errorf("notes (-want +got):\n%s", d)
	}
	b.wantChain(1)
}

func decode[T any](t *testing.T, s biobank.Store, key biobank.Key) T {
	t.Helper()
	recs, err := s.Records(t.Context(), []biobank.Key{key}, true)
	if err != nil {
		t.Fatal(err)
	}
	if recs[key] == nil {
		t.Fatalf("there is nothing at %s", key)
	}
	doc, err := biobank.Decode[T](recs[key])
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func list(t *testing.T, s biobank.Store, subject int64, prefix string) []*biobank.Record {
	t.Helper()
	recs, err := s.List(t.Context(), subjectPart(subject), prefix, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	return recs
}

// wantChain follows the audit of a participant: every entry is there, as it was written, and none besides.
func (b *bank) wantChain(subject int64) {
	b.t.Helper()
	head := list(b.t, b, subject, "a")[0]
	trail, err := b.Trail(b.t.Context(), SubjectType, subject)
	if err != nil {
		b.t.Fatal(err)
	}
	chain, err := biobank.VerifyChain(head, trail)
	if err != nil {
		b.t.Fatal(err)
	}
	if len(chain) == 0 || len(chain) != len(trail) {
		b.t.Errorf("the chain has %d entries, the trail %d", len(chain), len(trail))
	}
}

// crashing is a store that stops answering after some writes, of which the last may be half done.
type crashing struct {
	*bank
	left int
	half bool
}

var errCrash = errors.New("crash")

func (c *crashing) Write(ctx context.Context, opening bool, writes []biobank.Write) ([]biobank.Result, error) {
	if c.left--; c.left < 0 {
		if c.half && len(writes) > 1 {
			if _, err := c.bank.Write(ctx, opening, writes[:len(writes)/2]); err != nil {
				return nil, err
			}
		}
		return nil, errCrash
	}
	return c.bank.Write(ctx, opening, writes)
}

// worker is what a worker does: plans are kept before they are written, and whoever goes on begins with the last one kept.
type worker struct {
	kept *Plan
	rows []string
}

func (w *worker) run(t *testing.T, s biobank.Store, p *Planner, doc string, most int) error {
	t.Helper()
	if w.kept != nil {
		if err := Apply(t.Context(), s, w.kept); err != nil {
			return err
		}
		p.Cursor = w.kept.Cursor
		if w.kept.Mark == nil {
			return nil
		}
	}
	r := odm.NewReader(strings.NewReader(doc))
	if w.kept != nil {
		r = odm.Resume(strings.NewReader(doc[w.kept.Mark.Offset:]), *w.kept.Mark)
	}
	cut := func(mark *odm.Mark) error {
		plan, err := p.Cut()
		if err != nil {
			t.Fatal(err)
		}
		plan.Mark = mark
		text, err := json.Marshal(plan)
		if err != nil {
			t.Fatal(err)
		}
		w.kept = &Plan{}
		if err := json.Unmarshal(text, w.kept); err != nil {
			t.Fatal(err)
		}
		w.rows = append(w.rows, short(w.kept.Rows)...)
		return Apply(t.Context(), s, w.kept)
	}
	for {
		part, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Take(t.Context(), part); err != nil {
			t.Fatal(err)
		}
		if p.Size() >= most {
			mark := r.Mark()
			if err := cut(&mark); err != nil {
				return err
			}
		}
	}
	p.End()
	return cut(nil)
}

// However often and wherever an import is cut off, it ends with the same data and the same log.
func TestCrashAnywhere(t *testing.T) {
	for _, most := range []int{1, 3, 1000} {
		for _, half := range []bool{false, true} {
			plain := newBank(t)
			var want worker
			if err := want.run(t, plain, plain.planner("o1", 1), rich("F"), most); err != nil {
				t.Fatal(err)
			}
			crashes := 0
			for left := 0; ; left++ {
				crashed := crashes
				b := newBank(t)
				var got worker
				for tries := 0; ; tries++ {
					s := &crashing{bank: b, left: left + tries, half: half} // the same number each time would get nowhere
					p := b.planner("o1", 1)
					p.Store = s
					err := got.run(t, s, p, rich("F"), most)
					if err == nil {
						break
					}
					if !errors.Is(err, errCrash) || tries > 100 {
						t.Fatal(err)
					}
					crashes++
				}
				name := fmt.Sprintf("cut at %d rows, crash after %d writes, half %t", most, left, half)
				if d := cmp.Diff(want.rows, got.rows); d != "" {
					t.Fatalf("%s: log (-want +got):\n%s", name, d)
				}
				if d := cmp.Diff(plain.AllRecords(), b.AllRecords()); d != "" {
					t.Fatalf("%s: data (-want +got):\n%s", name, d)
				}
				if most < 1000 { // in one plan nothing changes that was stored before
					b.wantChain(1)
				}
				if crashed == crashes {
					break
				}
			}
			if crashes < 5 {
				t.Errorf("only %d crashes", crashes)
			}
		}
	}
}

// Two imports of one participant do not mix.
func TestOthersChange(t *testing.T) {
	b := newBank(t)
	doc := func(age string) string {
		return document(`<SubjectData SubjectKey="SS_ANN"><StudyEventData StudyEventOID="SE_FIRST" OpenClinica:StartDate="2026-03-01"><FormData FormOID="F_VITALS">
			<ItemGroupData ItemGroupOID="IG_MAIN"><ItemData ItemOID="I_AGE" Value="` + age + `"/></ItemGroupData></FormData></StudyEventData></SubjectData>`)
	}
	planned := func(job, age string) (plan *Plan) {
		take(t, b.planner(job, 1), doc(age), func(one *Plan) {
			if len(one.Subjects) > 0 {
				plan = one
			}
		})
		return plan
	}
	one, two := planned("o1", "40"), planned("o2", "41")
	if err := Apply(t.Context(), b, one); err != nil {
		t.Fatal(err)
	}
	before := b.AllRecords()
	if err := Apply(t.Context(), b, two); !errors.Is(err, ErrMoved) {
		t.Errorf("a plan of what has changed since: %v", err)
	}
	if d := cmp.Diff(before, b.AllRecords()); d != "" {
		t.Errorf("a plan that was not done wrote (-before +after):\n%s", d)
	}
	// Planned anew it goes through; while its writes are under way nobody else plans.
	again := planned("o2", "42")
	if err := Apply(t.Context(), &crashing{bank: b, left: 1}, again); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	p := b.planner("o3", 1)
	r := odm.NewReader(strings.NewReader(doc("43")))
	var err error
	for err == nil {
		var part odm.Part
		if part, err = r.Next(); err == nil {
			err = p.Take(t.Context(), part)
		}
	}
	if !errors.Is(err, ErrPending) {
		t.Errorf("planning while another plan is under way: %v", err)
	}
	if err := Apply(t.Context(), b, again); err != nil {
		t.Fatal(err)
	}
	g := decode[Group](t, b, GroupKey(1, Path{Event: "SE_FIRST", EventKey: 1, Form: "F_VITALS", Group: "IG_MAIN", GroupKey: 1}))
	if g.Values["I_AGE"] != "42" {
		t.Errorf("the value is %q", g.Values["I_AGE"])
	}
	b.wantChain(1)
}

// A plan that was done is done, however many others have changed its participant since: more than a record remembers.
func TestDoneStaysDone(t *testing.T) {
	b := newBank(t)
	age := func(n int) string {
		return document(fmt.Sprintf(`<SubjectData SubjectKey="SS_ANN"><StudyEventData StudyEventOID="SE_FIRST" OpenClinica:StartDate="2026-03-01"><FormData FormOID="F_VITALS">
			<ItemGroupData ItemGroupOID="IG_MAIN"><ItemData ItemOID="I_AGE" Value="%d"/></ItemGroupData></FormData></StudyEventData></SubjectData>`, n))
	}
	var plans []*Plan
	apply := func(job string, n int) {
		take(t, b.planner(job, 1), age(n), func(one *Plan) {
			if len(one.Subjects) == 0 {
				return
			}
			plans = append(plans, one)
			if err := Apply(t.Context(), b, one); err != nil {
				t.Fatal(err)
			}
		})
	}
	apply("o1", 40) // makes the group
	apply("o2", 41) // changes it
	for n := range 12 {
		apply(fmt.Sprintf("o%d", n+3), 50+n)
	}
	before := b.AllRecords()
	for _, plan := range plans {
		if err := Apply(t.Context(), b, plan); err != nil {
			t.Errorf("%s done again: %v", plan.Source, err)
		}
		if back, err := TakeBack(t.Context(), b, plan); back || err != nil {
			t.Errorf("%s is taken back: %t, %v", plan.Source, back, err)
		}
	}
	if d := cmp.Diff(before, b.AllRecords()); d != "" {
		t.Errorf("doing it again changed what is stored (-before +after):\n%s", d)
	}
	b.wantChain(1)
}
