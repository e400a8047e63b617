package api_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"aliquot/shared/biobank"
)

func TestEventsWithManyRequirements(t *testing.T) {
	w := newWorld(t)
	w.outsize = true
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	event := idOf(c.must("POST", "/collection-protocol-events", `{"eventLabel":"Large","cpShortTitle":"INV"}`))
	for range 60 {
		c.must("POST", "/specimen-requirements", fmt.Sprintf(`{"eventId":%d,"specimenClass":"Fluid","type":"Plasma",%s}`, event, primary))
	}
	visit := c.must("POST", "/visits", fmt.Sprintf(`{"cprId":%d,"eventId":%d,"name":"INV-1..2","status":"Missed Collection"}`, s.registration, event))
	if got := c.list("GET", fmt.Sprintf("/specimens?cprId=%d&visitId=%v", s.registration, visit["id"]), ""); len(got) != 60 || got[0]["status"] != "Missed Collection" {
		t.Errorf("a missed visit has %d specimens", len(got))
	}
	path := fmt.Sprintf("/collection-protocol-events/%d", event)
	c.must("PUT", path, `{"eventLabel":"Large","activityStatus":"Closed"}`)
	reqs := c.list("GET", fmt.Sprintf("/specimen-requirements?eventId=%d", event), "")
	for _, q := range reqs {
		if q["activityStatus"] != "Closed" {
			t.Fatalf("requirement %v is %v", q["id"], q["activityStatus"])
		}
	}
	if audit := c.must("GET", fmt.Sprintf("/specimen-requirements/%v/audit", reqs[0]["id"]), ""); audit["verified"] != true || len(audit["entries"].([]any)) != 2 {
		t.Errorf("the audit of a requirement is %v", audit)
	}
	c.must("DELETE", fmt.Sprintf("/visits/%v?forceDelete=true", visit["id"]), "")
	c.must("DELETE", path, "")
	c.do("GET", fmt.Sprintf("/specimen-requirements/%v", reqs[0]["id"]), "").refused(t, 400, "SR_NOT_FOUND")
}

func TestVisitsWithManySpecimens(t *testing.T) {
	w := newWorld(t)
	w.outsize = true
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	var changes []biobank.Change
	for i := range 110 {
		changes = append(changes, biobank.Change{Op: biobank.Create, ID: "test", Draft: &biobank.SpecimenDraft{
			VisitID: s.visit, Doc: biobank.SpecimenDoc{Label: fmt.Sprintf("V-%03d", i), Type: "Plasma", Lineage: biobank.LineageNew},
		}})
	}
	actor, err := w.registry.Actor(t.Context(), biobank.AdminUserID)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range changes {
		if out, err := w.registry.Apply(t.Context(), actor, w.clock(), []biobank.Change{change}); err != nil || out[0].Err != nil {
			t.Fatal(err, out)
		}
	}
	path := fmt.Sprintf("/visits/%d", s.visit)
	if got := c.must("PUT", path, fmt.Sprintf(`{"eventId":%d,"status":"Missed Collection"}`, s.event)); got["status"] != "Missed Collection" {
		t.Errorf("the visit is %v", got["status"])
	}
	missed := 0
	for _, v := range c.list("GET", fmt.Sprintf("/specimens?cprId=%d&visitId=%d", s.registration, s.visit), "") {
		if v["status"] == "Missed Collection" {
			missed++
		}
	}
	if missed != 111 { // and the one of the study, whose aliquot lies below it
		t.Errorf("%d specimens were missed", missed)
	}
	// One that is refused for what comes last has not begun.
	c.must("PUT", path, fmt.Sprintf(`{"eventId":%d,"status":"Complete"}`, s.event))
	c.must("POST", "/visits", fmt.Sprintf(`{"cprId":%d,"name":"TAKEN.B.2"}`, s.registration))
	c.do("PUT", path, fmt.Sprintf(`{"eventId":%d,"status":"Not Collected","name":"TAKEN.B.2"}`, s.event)).refused(t, 400, "VISIT_DUP_NAME")
	if got := c.specimen("V-000")["status"]; got != "Missed Collection" {
		t.Errorf("a change that was refused made a specimen %v", got)
	}
}

func TestFormsWithManyAssociations(t *testing.T) {
	w := newWorld(t)
	w.outsize = true
	c := w.signIn("admin", password)
	w.newStudy(c)
	form := c.newForm("spread", smoking)
	for i := range 40 {
		short := fmt.Sprintf("CP-%02d", i)
		cp := idOf(c.must("POST", "/collection-protocols", fmt.Sprintf(`{"shortTitle":%q,"title":%q,"principalInvestigator":{"id":2},"cpSites":[{"siteName":"North Biobank"}]}`, short, short)))
		c.associate(form, "Specimen", cp, "")
	}
	if a := c.do("DELETE", fmt.Sprintf("/forms/%d", form), ""); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestManyAliquotsAtOnce(t *testing.T) {
	w := newWorld(t)
	w.outsize = true
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	kids := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`{"lineage":"Aliquot","label":"K-%d-%d","initialQty":0.1}`, n, i))
		}
		return fmt.Sprintf(`[{"id":%d,"children":[%s]}]`, s.specimen, strings.Join(list, ","))
	}
	was := c.must("GET", fmt.Sprintf("/specimens/%d", s.specimen), "")["availableQty"].(float64)
	if got := c.list("POST", "/specimens/collect", kids(45)); len(got[0]["children"].([]any)) != 45 || got[0]["availableQty"] != was-4.5 {
		t.Errorf("left are %v of %v", got[0]["availableQty"], was)
	}
	c.do("POST", "/specimens/collect", kids(101)).refused(t, 400, "SPECIMEN_CHILDREN_LIMIT_MAXED")

	// 100 of one parent, which is closed with the last of them, and as many more below a new one with a visit.
	many := func(n int, label, more string) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`{"lineage":"Aliquot","label":"%s-%d","barcode":"b%s-%d","initialQty":0.01%s}`, label, i, label, i, more))
		}
		return strings.Join(list, ",")
	}
	visit := func(name, label, more, last string) string {
		return fmt.Sprintf(`{"visit":{"cprId":%d,"name":%q,"eventId":%d,"site":"North Biobank"},"specimens":[
			{"label":"%s","reqId":%d,"initialQty":10,"closeAfterChildrenCreation":true,"opComments":"first day","children":[%s%s]},{"label":"%s-B","type":"Plasma"}]}`,
			s.registration, name, s.event, label, s.requirement, many(100-strings.Count(last, "label"), label, more), last, label)
	}
	got := c.must("POST", "/visits/collect", visit("INV-1.B.8", "M", "", ""))
	root, second := got["specimens"].([]any)[0].(map[string]any), got["specimens"].([]any)[1].(map[string]any)
	if kids := root["children"].([]any); len(kids) != 100 || root["availableQty"] != 9.0 || root["activityStatus"] != "Closed" || kids[99].(map[string]any)["parentLabel"] != "M" {
		t.Errorf("%d children, %v left, %v", len(kids), root["availableQty"], root["activityStatus"])
	}
	if second["visitName"] != "INV-1.B.8" {
		t.Errorf("the second specimen is of visit %v", second["visitName"])
	}
	if entries := c.must("GET", fmt.Sprintf("/specimens/%v/audit", root["id"]), "")["entries"].([]any); entries[len(entries)-1].(map[string]any)["reason"] != "first day" {
		t.Errorf("the audit says %v", entries)
	}
	// What is refused for the last of them has not begun.
	for last, code := range map[string]string{
		`,{"label":"M-7","lineage":"Aliquot","initialQty":1}`: "SPECIMEN_DUP_LABEL", `,{"label":"R-7","lineage":"Aliquot","initialQty":1}`: "SPECIMEN_DUP_LABEL",
		`,{"label":"R-x","lineage":"Aliquot"}`: "SPECIMEN_ALIQUOT_QTY_REQ",
	} {
		c.do("POST", "/visits/collect", visit("INV-1.B.9", "R", "", last)).refused(t, 400, code)
	}
	if a := c.do("GET", "/visits/list?name=INV-1.B.9", ""); a.body != "[]" {
		t.Errorf("a refused collection left %s", a.body)
	}
	if a := c.do("HEAD", "/specimens?label=R-0", ""); a.status != 400 {
		t.Error("a refused collection left an aliquot")
	}
	var roots []string
	for i := range 60 {
		roots = append(roots, fmt.Sprintf(`{"visitId":%d,"label":"Root-%d","type":"Whole Blood","initialQty":1}`, s.visit, i))
	}
	if list := c.list("POST", "/specimens/collect", "["+strings.Join(roots, ",")+"]"); len(list) != 60 {
		t.Errorf("%d roots", len(list))
	}
}

// What is done to a parent is done once, in however many transactions its children are made.
func TestManyAliquotsChangeTheirParentOnce(t *testing.T) {
	w := newWorld(t)
	w.outsize = true
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	made := 0
	parent := func() int64 {
		made++
		return idOf(c.must("POST", "/specimens", fmt.Sprintf(`{"visitId":%d,"label":"Once-%d","type":"Plasma","initialQty":10}`, s.visit, made)))
	}
	kids := func(n int, more func(i int) string) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`{"lineage":"Aliquot","label":"Once-%d-%d","initialQty":0.01%s}`, made, i, more(i)))
		}
		return strings.Join(list, ",")
	}
	is := func(id int64) string {
		got := c.must("GET", fmt.Sprintf("/specimens/%d", id), "")
		return fmt.Sprintf("%v %v %v", got["freezeThawCycles"], got["availableQty"], got["activityStatus"])
	}

	up := parent()
	c.list("POST", "/specimens/collect", fmt.Sprintf(`[{"id":%d,"children":[%s]}]`, up, kids(41, func(i int) string {
		return fmt.Sprintf(`,"incrParentFreezeThaw":1,"closeParent":%t`, i == 3)
	})))
	if got := is(up); got != "1 9.59 Closed" {
		t.Errorf("the parent of a tree: %s", got)
	}
	// It is closed for what was not collected, too, with the last of them.
	for n, pending := range map[int]func(i int) bool{
		4: func(int) bool { return true }, 43: func(int) bool { return true },
		51: func(i int) bool { return i > 20 }, 52: func(i int) bool { return i < 20 },
	} {
		up = parent()
		list := kids(n, func(i int) string {
			if pending(i) {
				return `,"status":"Pending"`
			}
			return `,"incrParentFreezeThaw":1`
		})
		took, thawed := 0, 0
		for i := range n {
			if !pending(i) {
				took, thawed = took+1, 1
			}
		}
		c.list("POST", "/specimens/collect", fmt.Sprintf(`[{"id":%d,"closeAfterChildrenCreation":true,"children":[%s]}]`, up, list))
		if got, want := is(up), fmt.Sprintf("%d %v Closed", thawed, float64(1000-took)/100); got != want {
			t.Errorf("the parent of %d, some of them pending: %s, not %s", n, got, want)
		}
	}
	made++
	trees := c.list("POST", "/specimens/collect", fmt.Sprintf(`[{"visitId":%d,"label":"Once-%d","type":"Plasma","initialQty":10,"closeAfterChildrenCreation":true,"children":[%s]}]`,
		s.visit, made, kids(70, func(int) string { return `,"status":"Pending"` })))
	if got := is(idOf(trees[0])); got != "0 10 Closed" || trees[0]["activityStatus"] != "Closed" {
		t.Errorf("a new parent of what is pending: %s, answered %v", got, trees[0]["activityStatus"])
	}
	// Roots may name the parent, by its id or by its label.
	up = parent()
	roots := func(n int) string {
		return "[" + kids(n, func(i int) string {
			named := fmt.Sprintf(`"parentId":%d`, up)
			if i%2 == 1 {
				named = fmt.Sprintf(`"parentLabel":"Once-%d"`, made)
			}
			return fmt.Sprintf(`,%s,"incrParentFreezeThaw":2,"closeParent":true`, named)
		}) + "]"
	}
	c.do("POST", "/specimens/collect", roots(101)).refused(t, 400, "SPECIMEN_CHILDREN_LIMIT_MAXED")
	c.list("POST", "/specimens/collect", roots(60))
	if got := is(up); got != "2 9.4 Closed" {
		t.Errorf("the parent that roots name: %s", got)
	}
}

// transacting notes how many items transactions had.
type transacting struct {
	biobank.Store
	items []int
}

func (d *transacting) Transact(ctx context.Context, writes []biobank.Write) ([]biobank.Result, error) {
	d.items = append(d.items, len(writes))
	return d.Store.Transact(ctx, writes)
}

// newRoots are labelled specimens of a visit.
func newRoots(visit int64, n int, label string) (nodes []*biobank.SpecimenNode) {
	for i := range n {
		nodes = append(nodes, &biobank.SpecimenNode{Draft: &biobank.SpecimenDraft{
			VisitID: visit, Doc: biobank.SpecimenDoc{Label: fmt.Sprintf("%s-%d", label, i), Type: "Plasma", Lineage: biobank.LineageNew, InitialQty: biobank.Q(1)},
		}})
	}
	return nodes
}

// What one transaction holds is collected all or none; more goes into transactions by the items that they really touch.
func TestLargeCollectionsFillTransactions(t *testing.T) {
	w := newWorld(t)
	w.outsize = true
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	actor, err := w.registry.Actor(t.Context(), biobank.AdminUserID)
	if err != nil {
		t.Fatal(err)
	}
	collect := func(nodes []*biobank.SpecimenNode) []int {
		t.Helper()
		store := &transacting{Store: w.registry.Store}
		counted := *w.registry
		counted.Store = store
		err := counted.Collect(t.Context(), actor, w.clock(), w.clock().Add(time.Minute), w.clock, biobank.Change{ID: "test"}, &biobank.CollectDraft{Specimens: nodes})
		if err != nil {
			t.Error(err)
		}
		return store.items
	}
	if got := collect(newRoots(s.visit, 48, "Whole")); len(got) != 1 {
		t.Errorf("48 specimens took %v", got)
	}
	if got := collect(newRoots(s.visit, 100, "Light")); len(got) != 4 || got[0] < 90 {
		t.Errorf("100 labelled specimens took %v", got)
	}
	// Each made from another parent and put into another box, with all the names that there are.
	parents := newRoots(s.visit, 40, "Apart")
	collect(parents)
	var heavy []*biobank.SpecimenNode
	for i, parent := range parents {
		box := idOf(c.must("POST", "/storage-containers", fmt.Sprintf(`{"name":"Apart %d","siteName":"North Biobank","noOfRows":1,"noOfColumns":1,"storeSpecimensEnabled":true}`, i)))
		name := fmt.Sprintf("Heavy-%d", i)
		heavy = append(heavy, &biobank.SpecimenNode{Draft: &biobank.SpecimenDraft{
			ParentID: parent.Record.ID, Location: &biobank.LocationRef{ContainerID: box},
			Doc: biobank.SpecimenDoc{Label: name, Barcode: name, AdditionalLabel: name, Lineage: biobank.LineageAliquot, InitialQty: biobank.Q(1)},
		}})
	}
	if got := collect(heavy); len(got) > 5 {
		t.Errorf("40 specimens of all kinds took %v", got)
	}
	for i := range heavy {
		if left := c.specimen(fmt.Sprintf("Apart-%d", i))["availableQty"]; left != 0.0 {
			t.Fatalf("parent %d has %v left", i, left)
		}
		if got := at(c.specimen(fmt.Sprintf("Heavy-%d", i))); got != fmt.Sprintf("Apart %d 11", i) {
			t.Fatalf("aliquot %d is in %s", i, got)
		}
	}
}

// As many as a request may collect take few calls, and are not begun where they would not be done in time.
func TestLargeCollectionsEndInTime(t *testing.T) {
	w := newWorld(t)
	w.outsize = true
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	actor, err := w.registry.Actor(t.Context(), biobank.AdminUserID)
	if err != nil {
		t.Fatal(err)
	}
	collect := func(n int, label string, now func() time.Time) (calls int64, saved int, refused error) {
		count := &tally{}
		ctx := context.WithValue(biobank.Remembering(t.Context()), tallyKey{}, count)
		nodes := newRoots(s.visit, n, label)
		refused = w.registry.Collect(ctx, actor, w.clock(), w.clock().Add(20*time.Second), now, biobank.Change{ID: "test"}, &biobank.CollectDraft{Specimens: nodes})
		var names []string
		for _, n := range nodes {
			names = append(names, "specimen.label#"+n.Draft.Doc.Label)
		}
		found, err := w.registry.Store.Marks(t.Context(), names, true)
		if err != nil {
			t.Fatal(err)
		}
		return count.calls.Load(), len(found), refused
	}
	if calls, saved, err := collect(1000, "Most", w.clock); err != nil || calls > 130 || saved != 1000 {
		t.Errorf("1,000 specimens took %d calls, and then there were %d: %v", calls, saved, err)
	}
	// Time that passes while the whole is planned, and while the groups are saved.
	for slow, want := range map[int]int{1: 0, 3: 31} {
		asked := 0
		_, got, err := collect(100, fmt.Sprintf("Slow%d", slow), func() time.Time {
			if asked++; asked > slow {
				return w.clock().Add(30 * time.Second)
			}
			return w.clock()
		})
		if err == nil || got != want || got > 0 && !strings.Contains(err.Error(), fmt.Sprintf("%d of the 100", got)) {
			t.Errorf("slow after %d, %d specimens were saved: %v", slow, got, err)
		}
	}
}

// drawing counts how often numbers are drawn.
type drawing struct {
	biobank.Store
	calls int
}

func (d *drawing) Reserve(ctx context.Context, counter string, n int64) (int64, error) {
	d.calls++
	return d.Store.Reserve(ctx, counter, n)
}

// Large collections draw their numbers together, and those of the plan of the whole are not lost.
func TestLargeCollectionsDrawNumbersTogether(t *testing.T) {
	w := newWorld(t)
	w.outsize = true
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	one := fmt.Sprintf(`{"visitId":%d,"label":"%%s","type":"Plasma"}`, s.visit)
	before := idOf(c.must("POST", "/specimens", fmt.Sprintf(one, "Before")))
	var drafts []*biobank.SpecimenNode
	for i := range 70 {
		drafts = append(drafts, &biobank.SpecimenNode{Draft: &biobank.SpecimenDraft{
			VisitID: s.visit, Doc: biobank.SpecimenDoc{Label: fmt.Sprintf("Run-%d", i), Type: "Plasma", Lineage: biobank.LineageNew},
		}})
	}
	actor, err := w.registry.Actor(t.Context(), biobank.AdminUserID)
	if err != nil {
		t.Fatal(err)
	}
	store := &drawing{Store: w.registry.Store}
	counted := *w.registry
	counted.Store = store
	if err := counted.Collect(t.Context(), actor, w.clock(), w.clock().Add(time.Minute), w.clock, biobank.Change{ID: "test"}, &biobank.CollectDraft{Specimens: drafts}); err != nil {
		t.Fatal(err)
	}
	if store.calls != 2 { // of at most 50
		t.Errorf("numbers were drawn %d times", store.calls)
	}
	for i, n := range drafts {
		if n.Record.ID != before+int64(i)+1 {
			t.Fatalf("specimen %d has the id %d, after %d", i, n.Record.ID, before)
		}
	}
	if next := idOf(c.must("POST", "/specimens", fmt.Sprintf(one, "After"))); next != before+71 {
		t.Errorf("the next one has the id %d, after %d", next, before)
	}
}

func TestOneOfSeveralGetsACode(t *testing.T) {
	w := newWorld(t)
	c := w.signIn("admin", password)
	s := w.newStudy(c)
	race := func(path, code string, body func(i int) string) {
		t.Helper()
		answers := make([]answer, 6)
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() { answers[i] = c.do("POST", path, body(i)) })
		}
		all.Wait()
		made := 0
		for _, a := range answers {
			if a.status == 200 {
				made++
			} else {
				a.refused(t, 400, code)
			}
		}
		if made != 1 {
			t.Errorf("%s made %d with one code", path, made)
		}
	}
	race("/collection-protocol-events", "CPE_DUP_CODE", func(i int) string {
		return fmt.Sprintf(`{"eventLabel":"E%d","code":"RACE","cpShortTitle":"INV"}`, i)
	})
	race("/specimen-requirements", "SR_DUP_CODE", func(int) string {
		return fmt.Sprintf(`{"eventId":%d,"code":"RACE","specimenClass":"Fluid","type":"Plasma",%s}`, s.event, primary)
	})
	// A code that was given up is free again.
	req := c.list("GET", fmt.Sprintf("/specimen-requirements?eventId=%d", s.event), "")
	for _, q := range req {
		if q["code"] == "RACE" {
			c.must("DELETE", fmt.Sprintf("/specimen-requirements/%v", q["id"]), "")
		}
	}
	c.must("POST", "/specimen-requirements", fmt.Sprintf(`{"eventId":%d,"code":"race","specimenClass":"Fluid","type":"Plasma",%s}`, s.event, primary))
}
