package biobanktest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/biobank"
)

// Conform holds a store to what biobank.Store promises. newStore gives an empty one.
func Conform(t *testing.T, newStore func(t *testing.T) biobank.Store) {
	t.Run("writes", func(t *testing.T) { conformWrites(t, newStore(t)) })
	t.Run("transactions", func(t *testing.T) { conformTransactions(t, newStore(t)) })
	t.Run("seals", func(t *testing.T) { conformSeals(t, newStore(t)) })
	t.Run("texts", func(t *testing.T) { conformTexts(t, newStore(t)) })
	t.Run("lists", func(t *testing.T) { conformLists(t, newStore(t)) })
	t.Run("sets", func(t *testing.T) { conformSets(t, newStore(t)) })
	t.Run("reads", func(t *testing.T) { conformReads(t, newStore(t)) })
	t.Run("counters", func(t *testing.T) { conformCounters(t, newStore(t)) })
	t.Run("races", func(t *testing.T) { conformRaces(t, newStore(t)) })
}

func aMark(name, to, source, info string) biobank.Mark {
	return biobank.Mark{Name: name, To: biobank.Key{Part: "cp#1#2", Sort: to}, ID: 7, Source: source, Info: info}
}

func aRecord(sort string, version int64, doc string) *biobank.Record {
	return &biobank.Record{
		Key: biobank.Key{Part: "cp#1#2", Sort: sort}, Type: biobank.Specimen, ID: 7, Version: version, Source: "3#4",
		CreatedBy: 2, CreatedAt: 1_700_000_000_000, Head: "new|1", Doc: []byte(doc),
	}
}

func anEntry(id, version int64, change string) *biobank.Entry {
	return &biobank.Entry{
		Type: biobank.Specimen, ID: id, Version: version, Change: change, At: 1_700_000_000_000, By: 2, Reason: "because",
		Before: []byte(`{"a":1}`), After: []byte(`{"a":2}`), Prev: "x|y",
	}
}

func insertMark(m biobank.Mark) biobank.Write {
	return biobank.Write{Kind: biobank.InsertMark, Mark: m}
}

func insertRecord(r *biobank.Record) biobank.Write {
	return biobank.Write{Kind: biobank.InsertRecord, Record: r}
}

func mustWrite(t *testing.T, s biobank.Store, writes ...biobank.Write) []biobank.Result {
	t.Helper()
	res, err := s.Write(t.Context(), false, writes)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// conformWrites goes through every kind of write: done, and refused.
func conformWrites(t *testing.T, s biobank.Store) {
	held := aMark("specimen.label#held", "1", "3#4", "")
	told := aMark("visit.name#told", "1/2", "3#5", "Pending")
	bare := biobank.Mark{Name: "note.id#bare", Source: "3#4"}
	stored := aRecord("1", 1, `{"label":"one"}`)
	stored.Reason, stored.From, stored.Request = "a reason", "192.0.2.7", "a request"
	plain := aRecord("2", 1, `{}`)
	gone := aRecord("5", 1, `{}`)
	moved := aRecord("4", 6, `{"label":"moved"}`)
	moved.Changes, moved.Head = []string{"3#9"}, "head|hash"
	mustWrite(
		t, s, insertMark(held), insertMark(told), insertMark(bare), insertRecord(stored), insertRecord(plain), insertRecord(gone),
		biobank.Write{Kind: biobank.InsertEntry, Entry: anEntry(7, 2, "3#9")},
	)
	changed := aRecord("1", 2, `{"label":"two"}`)
	changed.Changes, changed.Head = []string{"3#9", "4#1"}, "head|hash"
	changed.Reason, changed.From, changed.Request = stored.Reason, stored.From, stored.Request
	take := func(name, wasSource, wasTo string) biobank.Write {
		return biobank.Write{
			Kind: biobank.TakeMark, Mark: aMark(name, "9", "5#1", "Missed Collection"), WasSource: wasSource,
			WasTo: biobank.Key{Part: "cp#1#2", Sort: wasTo},
		}
	}
	drop := func(name, wasSource, wasTo string) biobank.Write {
		w := take(name, wasSource, wasTo)
		w.Kind = biobank.DropMark
		return w
	}
	for _, step := range []struct {
		name  string
		write biobank.Write
		want  biobank.Result
	}{
		{"a mark whose name is taken", insertMark(aMark(held.Name, "5", "8#8", "")), biobank.Exists},
		{"a mark put twice by one source", insertMark(held), biobank.Exists},
		{"a record whose key is taken", insertRecord(aRecord("1", 1, `{"label":"other"}`)), biobank.Exists},
		{"an entry whose key is taken", biobank.Write{Kind: biobank.InsertEntry, Entry: anEntry(7, 2, "3#9")}, biobank.Exists},
		{"an update of a record that is not there", biobank.Write{Kind: biobank.UpdateRecord, Record: aRecord("3", 2, `{}`)}, biobank.Conflict},
		{"an update that skips a version", biobank.Write{Kind: biobank.UpdateRecord, Record: aRecord("1", 3, `{}`)}, biobank.Conflict},
		{"an update", biobank.Write{Kind: biobank.UpdateRecord, Record: changed}, biobank.Written},
		{"the same update again", biobank.Write{Kind: biobank.UpdateRecord, Record: changed}, biobank.Conflict},
		{"taking a mark of another source", take(held.Name, "8#8", "1"), biobank.Conflict},
		{"taking a mark of another owner", take(held.Name, "3#4", "2"), biobank.Conflict},
		{"taking a mark that is not there", take("specimen.label#none", "3#4", "1"), biobank.Conflict},
		{"dropping a mark of another source", drop(told.Name, "8#8", "1/2"), biobank.Conflict},
		{"dropping a mark of another owner", drop(told.Name, "3#5", "1"), biobank.Conflict},
		{"taking a mark", take(held.Name, "3#4", "1"), biobank.Written},
		{"taking it again", take(held.Name, "3#4", "1"), biobank.Conflict},
		{"a record with a history", insertRecord(moved), biobank.Written},
		{"dropping a record of another version", biobank.Write{Kind: biobank.DropRecord, Record: aRecord("2", 2, `{}`)}, biobank.Conflict},
		{"dropping a record", biobank.Write{Kind: biobank.DropRecord, Record: gone}, biobank.Written},
		{"dropping it again", biobank.Write{Kind: biobank.DropRecord, Record: gone}, biobank.Written},
		{"dropping a mark", drop(told.Name, "3#5", "1/2"), biobank.Written},
		{"dropping a mark of nobody by another source", biobank.Write{Kind: biobank.DropMark, Mark: bare, WasSource: "3#5"}, biobank.Conflict},
		{"dropping a mark of nobody", biobank.Write{Kind: biobank.DropMark, Mark: bare, WasSource: "3#4"}, biobank.Written},
	} {
		if got := mustWrite(t, s, step.write)[0]; got != step.want {
			t.Errorf("%s: result %d, want %d", step.name, got, step.want)
		}
	}
	marks, err := s.Marks(t.Context(), []string{held.Name, told.Name, bare.Name, "specimen.label#none"}, true)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]biobank.Mark{held.Name: aMark(held.Name, "9", "5#1", "Missed Collection")}
	if d := cmp.Diff(want, marks); d != "" {
		t.Errorf("marks (-want +got):\n%s", d)
	}
	records, err := s.Records(t.Context(), []biobank.Key{stored.Key, plain.Key, moved.Key, gone.Key, {Part: "cp#1#2", Sort: "3"}}, true)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[biobank.Key]*biobank.Record{stored.Key: changed, plain.Key: plain, moved.Key: moved}, records); d != "" {
		t.Errorf("records (-want +got):\n%s", d)
	}
	trail, err := s.Trail(t.Context(), biobank.Specimen, 7)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]*biobank.Entry{anEntry(7, 2, "3#9")}, trail); d != "" {
		t.Errorf("trail (-want +got):\n%s", d)
	}
	mustWrite(t, s, biobank.Write{Kind: biobank.InsertEntry, Entry: anEntry(7, 3, "3#9")}, biobank.Write{Kind: biobank.InsertEntry, Entry: anEntry(7, 4, "3#9")})
	back, err := s.TrailBefore(t.Context(), biobank.Specimen, 7, anEntry(7, 4, "3#9").AuditKey().Sort, 2)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]*biobank.Entry{anEntry(7, 3, "3#9"), anEntry(7, 2, "3#9")}, back); d != "" {
		t.Errorf("trail, newest first (-want +got):\n%s", d)
	}
	if back, err = s.TrailBefore(t.Context(), biobank.Specimen, 7, "~", 1); err != nil || len(back) != 1 || back[0].Version != 4 {
		t.Errorf("the newest entry: %v, %v", back, err)
	}
	if len(trail) == 1 && trail[0].Head() != anEntry(7, 2, "3#9").Head() {
		t.Error("an entry that was read has another hash than the one written")
	}
}

// conformTransactions: all or nothing, with the result of each.
func conformTransactions(t *testing.T, s biobank.Store) {
	one := aRecord("1", 1, `{"n":1}`)
	if res, err := s.Transact(t.Context(), []biobank.Write{insertMark(aMark("a", "1", "", "")), insertRecord(one)}); err != nil {
		t.Fatal(res, err)
	}
	later := aRecord("1", 2, `{"n":2}`)
	_, err := s.Transact(t.Context(), []biobank.Write{
		insertMark(aMark("b", "1", "", "Pending")),
		insertMark(aMark("a", "2", "", "")),
		insertRecord(aRecord("2", 1, `{}`)),
		{Kind: biobank.UpdateRecord, Record: aRecord("1", 3, `{"n":3}`)},
		{Kind: biobank.InsertEntry, Entry: anEntry(7, 3, "r-1")},
		{Kind: biobank.TakeMark, Mark: aMark("c", "2", "", ""), WasSource: "x"},
	})
	if !errors.Is(err, biobank.ErrTransaction) {
		t.Fatalf("a transaction with failed conditions answered %v", err)
	}
	res, _ := s.Transact(t.Context(), []biobank.Write{
		insertMark(aMark("b", "1", "", "Pending")), insertMark(aMark("a", "2", "", "")),
		{Kind: biobank.UpdateRecord, Record: aRecord("1", 3, `{"n":3}`)},
	})
	// It need not tell more than one of those that failed.
	for i, want := range []biobank.Result{biobank.Written, biobank.Exists, biobank.Conflict} {
		if len(res) != 3 || res[i] != want && (res[i] != biobank.Written || i == 1) {
			t.Errorf("results %v, want one that failed, at its place", res)
			break
		}
	}
	if marks, err := s.Marks(t.Context(), []string{"b"}, true); err != nil || len(marks) != 0 {
		t.Errorf("a refused transaction left %v, %v", marks, err)
	}
	later.Head = "h|h"
	if _, err := s.Transact(t.Context(), []biobank.Write{
		insertMark(aMark("b", "1", "", "Pending")),
		{Kind: biobank.TakeMark, Mark: aMark("a", "9", "", ""), WasSource: "", WasTo: one.Key},
		{Kind: biobank.UpdateRecord, Record: later},
		{Kind: biobank.InsertEntry, Entry: anEntry(7, 2, "r-1")},
		{Kind: biobank.DropMark, Mark: aMark("none", "9", "", ""), WasTo: one.Key},
	}); err != nil {
		t.Fatal(err)
	}
	got, err := s.Records(t.Context(), []biobank.Key{one.Key}, true)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(later, got[one.Key]); d != "" {
		t.Errorf("record (-want +got):\n%s", d)
	}
}

// conformSeals: what stands on a record meets who deletes it, whichever comes first.
func conformSeals(t *testing.T, s biobank.Store) {
	one := aRecord("1", 1, `{"n":1}`)
	mustWrite(t, s, insertRecord(one))
	next := aRecord("1", 2, `{"n":2}`)
	next.Head = "h|h"
	seal := func(r *biobank.Record, seal string) biobank.Write {
		return biobank.Write{Kind: biobank.SealRecord, Record: r, Seal: seal}
	}
	stand := func(r *biobank.Record, now string) biobank.Write {
		return biobank.Write{Kind: biobank.StandOn, Record: r, Now: now}
	}
	unseal := func(seal string) biobank.Write {
		return biobank.Write{Kind: biobank.UnsealRecord, Record: one, Seal: seal}
	}
	update := func(seal string) biobank.Write {
		return biobank.Write{Kind: biobank.UpdateRecord, Record: next, Seal: seal}
	}
	for _, step := range []struct {
		name  string
		write biobank.Write
		want  biobank.Result
	}{
		{"standing on a record", stand(one, "1700"), biobank.Written},
		{"standing on one of another version", stand(next, "1700"), biobank.Conflict},
		{"standing on one that is not there", stand(aRecord("2", 1, `{}`), "1700"), biobank.Conflict},
		{"sealing one that is not there", seal(aRecord("2", 1, `{}`), "1760/a"), biobank.Conflict},
		{"sealing one of another version", seal(next, "1760/a"), biobank.Conflict},
		{"an update by a seal that is not on it", update("1760/a"), biobank.Conflict},
		{"sealing", seal(one, "1760/a"), biobank.Written},
		{"standing on what is sealed", stand(one, "1705"), biobank.Conflict},
		{"sealing what others have sealed", seal(one, "1763/o"), biobank.Written},
		{"unsealing what others have sealed meanwhile", unseal("1760/a"), biobank.Conflict},
		{"an update by a seal that others have taken off", update("1760/a"), biobank.Conflict},
		{"sealing in turn", seal(one, "1760/a"), biobank.Written},
		{"unsealing what others have sealed", unseal("1765/b"), biobank.Conflict},
		{"unsealing", unseal("1760/a"), biobank.Written},
		{"standing on what was sealed", stand(one, "1705"), biobank.Written},
		{"sealing again", seal(one, "1765/b"), biobank.Written},
		{"standing on it when the seal is over", stand(one, "1766"), biobank.Written},
		{"an update by the seal that was over", update("1765/b"), biobank.Conflict},
		{"sealing once more", seal(one, "1826/c"), biobank.Written},
		{"sealing over one that is over", seal(one, "1887/d"), biobank.Written},
		{"an update by the seal of others", update("1826/c"), biobank.Conflict},
		{"an update by the seal", update("1887/d"), biobank.Written},
		{"standing on what it made", stand(next, "1827"), biobank.Written},
	} {
		if got := mustWrite(t, s, step.write)[0]; got != step.want {
			t.Errorf("%s: result %d, want %d", step.name, got, step.want)
		}
	}
	res, err := s.Transact(t.Context(), []biobank.Write{insertRecord(aRecord("2", 1, `{}`)), stand(one, "1827")})
	if !errors.Is(err, biobank.ErrTransaction) || len(res) != 2 || res[1] != biobank.Conflict {
		t.Errorf("a transaction that stands on what has changed: %v, %v", res, err)
	}
	got, err := s.Records(t.Context(), []biobank.Key{one.Key, {Part: "cp#1#2", Sort: "2"}}, true)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[biobank.Key]*biobank.Record{one.Key: next}, got); d != "" {
		t.Errorf("records (-want +got):\n%s", d)
	}
}

// conformTexts: what people write comes back as it was.
func conformTexts(t *testing.T, s biobank.Store) {
	for i, text := range []string{
		`plain`, `quote " and 'single' and back\slash`, "line\nbreak\ttab\r", "control \x00\x01\x1f\x7f", "ümläut é 血液 🩸",
		"<script>&amp;</script>", "\u2028\u2029", `%s ? {'pk':?}`, strings.Repeat("long ", 20_000),
	} {
		name := fmt.Sprintf("text#%d#%.200s", i, text)
		r := aRecord(fmt.Sprintf("text/%d", i), 1, text)
		r.Reason = text
		mustWrite(t, s, insertMark(aMark(name, "1", "3#4", text)), insertRecord(r))
		marks, err := s.Marks(t.Context(), []string{name}, true)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(aMark(name, "1", "3#4", text), marks[name]); d != "" {
			t.Errorf("mark of %.40q (-want +got):\n%.500s", text, d)
		}
		got, err := s.Records(t.Context(), []biobank.Key{r.Key}, true)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(r, got[r.Key]); d != "" {
			t.Errorf("record of %.40q (-want +got):\n%.500s", text, d)
		}
	}
}

// conformLists: in order, by prefix, from a place on, up to a limit, however much it is.
func conformLists(t *testing.T, s biobank.Store) {
	var want []string
	text := strings.Repeat("x", 30_000)
	var writes []biobank.Write
	flush := func() {
		if len(writes) > 0 {
			mustWrite(t, s, writes...)
			writes = writes[:0]
		}
	}
	for i := range 60 { // 1.8 MB: more than a page
		sort := biobank.PadID(int64(i / 3))
		for range i % 3 {
			sort += "/" + biobank.PadID(int64(i))
		}
		want = append(want, sort)
		if writes = append(writes, insertRecord(aRecord(sort, 1, text))); len(writes) == biobank.MaxBatch {
			flush()
		}
	}
	flush()
	slices.Sort(want)
	under := func(prefix, after string, limit int) []string {
		var out []string
		for _, k := range want {
			if strings.HasPrefix(k, prefix) && k > after && (limit == 0 || len(out) < limit) {
				out = append(out, k)
			}
		}
		return out
	}
	for _, c := range []struct {
		prefix, after string
		limit         int
	}{
		{"", "", 0},
		{"", "", 50},
		{"", want[10], 0},
		{"", want[10], 45},
		{"", want[len(want)-1], 0},
		{want[0] + "/", "", 0},
		{want[30] + "/", want[30], 0},
		{want[30] + "/", want[30] + "/", 1},
		{want[30] + "/", want[31], 0},
		{want[30] + "/", want[0], 0},
		{want[30] + "/", want[40], 0},
		{"none", "", 0},
		{"none", want[3], 0},
	} {
		got, err := s.List(t.Context(), "cp#1#2", c.prefix, c.after, c.limit)
		if err != nil {
			t.Fatalf("list %+v: %v", c, err)
		}
		var sorts []string
		for _, r := range got {
			sorts = append(sorts, r.Key.Sort)
			if len(r.Doc) != len(text) {
				t.Errorf("record %s has %d bytes", r.Key.Sort, len(r.Doc))
			}
		}
		if d := cmp.Diff(under(c.prefix, c.after, c.limit), sorts); d != "" {
			t.Errorf("list %+v (-want +got):\n%s", c, d)
		}
	}
	if got, err := s.List(t.Context(), "cp#1#3", "", "", 0); err != nil || len(got) != 0 {
		t.Errorf("another partition has %d records, %v", len(got), err)
	}
}

// conformSets: marks of a set are unique like any, listed in the order of their places, and no other mark is among them.
func conformSets(t *testing.T, s biobank.Store) {
	name := func(place string) string { return biobank.SetMark("cell#7", place) }
	full := aMark(name("00001/00002"), "1", "3#4", "full")
	bare := aMark(name("00001/00010"), "2", "", "")
	late := aMark(name("00002/00001"), "3", "3#5", "")
	mustWrite(t, s, insertMark(late), insertMark(bare), insertMark(full),
		insertMark(aMark(biobank.SetMark("cell#70", "00001/00002"), "4", "", "")),
		insertMark(aMark("specimen.label#cell#7|00001/00002", "5", "", "")))
	if got := mustWrite(t, s, insertMark(aMark(full.Name, "9", "8#8", "")))[0]; got != biobank.Exists {
		t.Errorf("a place that is taken: result %d", got)
	}
	list := func(prefix, after string, limit int, want ...biobank.Mark) {
		t.Helper()
		got, err := s.MarksIn(t.Context(), "cell#7", prefix, after, limit)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("marks below %q after %q (-want +got):\n%s", prefix, after, d)
		}
	}
	list("", "", 0, full, bare, late)
	list("00001/", "", 0, full, bare)
	list("", "00001/00002", 1, bare)
	list("9", "", 0)
	got, err := s.Marks(t.Context(), []string{full.Name, name("7"), "specimen.label#cell#7|00001/00002"}, true)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[full.Name] != full {
		t.Errorf("by name: %v", got)
	}
	taken := aMark(bare.Name, "9", "5#1", "")
	steps := []biobank.Write{
		{Kind: biobank.TakeMark, Mark: taken, WasSource: "", WasTo: bare.To},
		{Kind: biobank.DropMark, Mark: late, WasSource: "8#8", WasTo: late.To},
		{Kind: biobank.DropMark, Mark: full, WasSource: full.Source, WasTo: full.To},
	}
	for i, want := range []biobank.Result{biobank.Written, biobank.Conflict, biobank.Written} {
		if got := mustWrite(t, s, steps[i])[0]; got != want {
			t.Errorf("step %d: result %d, want %d", i, got, want)
		}
	}
	list("", "", 0, taken, late)
}

// conformReads: more than one request holds.
func conformReads(t *testing.T, s biobank.Store) {
	const n = 230
	var names []string
	var keys []biobank.Key
	for from := 0; from < n; from += biobank.MaxBatch / 2 {
		var writes []biobank.Write
		for i := from; i < min(n, from+biobank.MaxBatch/2); i++ {
			m, r := aMark(fmt.Sprintf("many#%d", i), "1", "3#4", ""), aRecord(fmt.Sprintf("many/%d", i), 1, `{}`)
			names, keys = append(names, m.Name), append(keys, r.Key)
			writes = append(writes, insertMark(m), insertRecord(r))
		}
		mustWrite(t, s, writes...)
	}
	for _, strong := range []bool{false, true} {
		marks, err := s.Marks(t.Context(), append([]string{"many#none"}, names...), strong)
		if err != nil || len(marks) != n {
			t.Errorf("read %d marks of %d, %v", len(marks), n, err)
		}
		records, err := s.Records(t.Context(), append([]biobank.Key{{Part: "none", Sort: "none"}}, keys...), strong)
		if err != nil || len(records) != n {
			t.Errorf("read %d records of %d, %v", len(records), n, err)
		}
	}
	if marks, err := s.Marks(t.Context(), nil, true); err != nil || len(marks) != 0 {
		t.Errorf("reading nothing gave %v, %v", marks, err)
	}
}

// conformCounters: each number once, from 1.
func conformCounters(t *testing.T, s biobank.Store) {
	var mu sync.Mutex
	var group sync.WaitGroup
	seen := map[int64]bool{}
	for range 8 {
		group.Go(func() {
			for n := int64(1); n <= 5; n++ {
				first, err := s.Reserve(t.Context(), "specimen", n)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for i := first; i < first+n; i++ {
					if seen[i] {
						t.Errorf("number %d was given twice", i)
					}
					seen[i] = true
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if len(seen) != 8*15 || !seen[1] || !seen[8*15] {
		t.Errorf("%d numbers were given, 1: %t, %d: %t", len(seen), seen[1], 8*15, seen[8*15])
	}
	if first, err := s.Reserve(t.Context(), "visit", 1); err != nil || first != 1 {
		t.Errorf("a new counter begins at %d, %v", first, err)
	}
}

// conformRaces: of many who want one name, one gets it, whichever way they ask.
func conformRaces(t *testing.T, s biobank.Store) {
	for round := range 10 {
		name := fmt.Sprintf("race#%d", round)
		var mu sync.Mutex
		var group sync.WaitGroup
		winners := 0
		for i := range 6 {
			group.Go(func() {
				w := insertMark(aMark(name, fmt.Sprint(i), fmt.Sprint(i), ""))
				won := false
				if i%2 == 0 {
					_, err := s.Transact(t.Context(), []biobank.Write{w})
					if won = err == nil; !won && !errors.Is(err, biobank.ErrTransaction) {
						t.Error(err)
					}
				} else {
					res, err := s.Write(t.Context(), false, []biobank.Write{w})
					if err != nil {
						t.Error(err)
						return
					}
					won = res[0] == biobank.Written
				}
				if won {
					mu.Lock()
					winners++
					mu.Unlock()
				}
			})
		}
		group.Wait()
		if winners != 1 {
			t.Errorf("%d got the name %s", winners, name)
		}
	}
}
