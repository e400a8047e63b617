package odmexport

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	mathrand "math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/biobank"
	"aliquot/shared/biobank/biobanktest"
	"aliquot/shared/clinical"
	"aliquot/shared/odm"
)

// land is a system with a study, two sites of it, a participant at each of the three, and a user.
type land struct {
	*testing.T
	studies *clinical.Registry
	users   *biobank.Registry
	store   *biobanktest.Memory
	by      clinical.By
	calls   int
}

type objects map[string][]byte

func (o objects) Get(_ context.Context, key string) ([]byte, error) { return o[key], nil }

func (o objects) Put(_ context.Context, key string, body []byte) error {
	o[key] = bytes.Clone(body)
	return nil
}

const ada = 7

func newLand(t *testing.T, definitions string) *land {
	t.Helper()
	store := biobanktest.NewMemory()
	l := &land{T: t, store: store, studies: &clinical.Registry{Store: store, Objects: objects{}, Random: rand.Reader}, users: &biobank.Registry{Store: store}}
	user := biobank.UserDoc{FirstName: "Ada", LastName: "Invented", LoginName: "ada", Type: biobank.UserSuper, ActivityStatus: biobank.StatusActive}
	doc, err := json.Marshal(user)
	l.must(err)
	_, err = store.Transact(t.Context(), []biobank.Write{{Kind: biobank.InsertRecord, Record: &biobank.Record{
		Key: biobank.SetKey(biobank.User, ada), Type: biobank.User, ID: ada, Version: 1, Doc: doc,
	}}})
	l.must(err)
	l.by = clinical.By{Actor: &clinical.Actor{Actor: &biobank.Actor{ID: ada, User: user}}, At: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	_, err = l.studies.PutStudy(t.Context(), l.next(), clinical.StudyDraft{OID: "S_GEN", Name: "Study", Unique: "STUDY"})
	l.must(err)
	l.define(definitions)
	if _, err := l.studies.PlaceOf(t.Context(), "S_GEN", "S_GEN_B"); err != nil {
		_, err = l.studies.PutStudy(t.Context(), l.next(), clinical.StudyDraft{OID: "S_GEN_B", Name: "Site", Unique: "SITE", Parent: "S_GEN"})
		l.must(err)
	}
	for i, site := range []string{"", "S_GEN_A", "S_GEN_B"} {
		p, err := l.studies.PlaceOf(t.Context(), "S_GEN", site)
		l.must(err)
		_, err = l.studies.AddParticipant(t.Context(), l.next(), p, clinical.SubjectDraft{Label: fmt.Sprint("P", i), OID: fmt.Sprint("SS_AT", i)})
		l.must(err)
	}
	return l
}

func (l *land) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// next is by with an id of its own.
func (l *land) next() clinical.By {
	l.calls++
	by := l.by
	by.ID = fmt.Sprint("call", l.calls)
	return by
}

// define uploads definitions, and tells what they mean, without the sites that do nothing otherwise.
func (l *land) define(doc string) *clinical.Compiled {
	l.Helper()
	_, meta, err := l.studies.PutMetadata(l.Context(), l.next(), "S_GEN", []byte(doc))
	l.must(err)
	meta.Version = 0
	maps.DeleteFunc(meta.Sites, func(_ string, o []clinical.Override) bool { return len(o) == 0 })
	return meta
}

// take imports a document, and tells what the log tells: how many rows of each outcome there are.
func (l *land) take(job, doc string) map[string]int {
	l.Helper()
	place, err := l.studies.Place(l.Context(), "S_GEN")
	l.must(err)
	meta, err := l.studies.Metadata(l.Context(), place.Study)
	l.must(err)
	sites, err := l.studies.Sites(l.Context(), place.Study.ID)
	l.must(err)
	p := &clinical.Planner{
		Store: l.store, Job: job, By: ada, Now: func() time.Time { return l.by.At },
		Study: clinical.Scope{ID: place.Study.ID, OID: "S_GEN", Meta: meta.Study},
		Author: func(_ context.Context, login string) (int64, error) {
			return map[string]int64{"ada": ada}[login], nil
		},
	}
	for _, s := range sites {
		p.Sites = append(p.Sites, clinical.Scope{ID: s.ID, OID: s.OID, Meta: meta.For(s.OID)})
	}
	for in := odm.NewReader(strings.NewReader(doc)); ; {
		part, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		l.must(err)
		l.must(p.Take(l.Context(), part))
	}
	plan, err := p.Cut()
	l.must(err)
	l.must(clinical.Apply(l.Context(), l.store, plan))
	rows := map[string]int{}
	for _, r := range plan.Rows {
		rows[strings.TrimSpace(string(r.Status)+" "+r.Message)]++
	}
	return rows
}

// give is all that there is of the study.
func (l *land) give() string {
	l.Helper()
	c := &Collector{Studies: l.studies, Users: l.users}
	d, err := c.Open(l.Context(), l.by.Actor, Request{Study: "S_GEN", Metadata: true, Data: true, Notes: true, Archived: true}, l.by.At)
	l.must(err)
	var out bytes.Buffer
	_, err = d.Write(l.Context(), &out, nil, nil)
	l.must(err)
	return out.String()
}

// A list of events that names none is no wish for all.
func TestOccurrences(t *testing.T) {
	for list, want := range map[string][]clinical.Occurrence{
		"": nil, ",": {{}, {}}, "SE_A,": {{Event: "SE_A"}, {}}, "SE_A[2]": {{Event: "SE_A", Key: 2}}, "SE_A[x]": {{Event: "SE_A", Key: -1}},
	} {
		if d := cmp.Diff(want, occurrences(list)); d != "" {
			t.Errorf("%q (-want +got):\n%s", list, d)
		}
	}
	a := &author{Rand: mathrand.New(mathrand.NewPCG(2, 1))}
	l := newLand(t, a.study())
	l.take("o1", a.data())
	for events, want := range map[string]bool{"": true, ",": false, "SE_0,": true} {
		c := &Collector{Studies: l.studies, Users: l.users}
		d, err := c.Open(t.Context(), l.by.Actor, Request{Study: "S_GEN", Events: events, Data: true}, l.by.At)
		l.must(err)
		var out bytes.Buffer
		_, err = d.Write(t.Context(), &out, nil, nil)
		l.must(err)
		if got := strings.Contains(out.String(), "<StudyEventData"); got != want {
			t.Errorf("of the events %q some are given out: %t", events, got)
		}
	}
}

// What is given out of a study that was made at random, with its sites, queries, annotations, verified forms and removed
// repeats, changes nothing where it came from, neither its definitions nor its data, and makes the same where there is nothing.
func TestOutAndInAgain(t *testing.T) {
	var all strings.Builder
	for seed := range uint64(60) {
		a := &author{Rand: mathrand.New(mathrand.NewPCG(seed, 1))}
		definitions := a.study()
		here := newLand(t, definitions)
		defined := here.define(definitions)
		here.take("o1", a.data())
		out := here.give()
		all.WriteString(out)

		if d := cmp.Diff(defined, here.define(out), cmp.AllowUnexported(clinical.Metadata{})); d != "" {
			t.Fatalf("seed %d: defined again (-before +after):\n%s", seed, d)
		}
		before := here.store.AllRecords()
		for row, n := range here.take("o2", out) {
			switch row {
			case "No Change", "Failed errorCode.itemGroupIsAlreadyRemoved":
			default:
				t.Errorf("seed %d: taken again: %d times %s", seed, n, row)
			}
		}
		if d := cmp.Diff(before, here.store.AllRecords()); d != "" {
			t.Fatalf("seed %d: taken again (-before +after):\n%s", seed, d)
		}

		there := newLand(t, out)
		there.take("o1", out)
		if d := cmp.Diff(out, there.give()); d != "" {
			t.Fatalf("seed %d: taken elsewhere (-here +there):\n%s", seed, d)
		}
	}
	for _, some := range []string{`OpenClinica:SdvStatus="Verified"`, `OpenClinica:Removed="Yes" TransactionType`, `NoteType="Annotation"`, `Status="Closed Modified"`, `StudyOID="S_GEN_B"`} {
		if !strings.Contains(all.String(), some) {
			t.Errorf("nothing that was given out has %s", some)
		}
	}
}
