package csvimport_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"aliquot/shared/biobank"
	"aliquot/shared/csvimport"
	"aliquot/shared/fault"
	"aliquot/shared/jobs"
)

// sequential imports a file as the design says that it is: row by row, in the order of the file, but for rows that name
// what only a later row creates, which follow that row. It knows nothing of chunks, lanes, waves and parts. It returns
// the report.
func (r *rig) sequential(name, content string) string {
	r.t.Helper()
	ctx := r.t.Context()
	d, err := csvimport.ParseFileName(name)
	if err != nil {
		r.t.Fatal(err)
	}
	j := &jobs.Job{ObjectType: d.ObjectType, ImportType: string(d.Op), CreatedAt: r.clock.now()}
	if err := r.jobs.Create(ctx, j); err != nil {
		r.t.Fatal(err)
	}
	all, err := csv.NewReader(strings.NewReader(content)).ReadAll()
	if err != nil {
		r.t.Fatal(err)
	}
	captions, rows := all[0], all[1:]
	schema := csvimport.SchemaFor(d.ObjectType)
	binding, err := schema.Bind(captions, csvimport.Options{Op: d.Op})
	if err != nil {
		r.t.Fatal(err)
	}
	column := func(row int, caption string) string {
		if i := slices.Index(captions, caption); i >= 0 {
			return rows[row][i]
		}
		return ""
	}
	recordType := biobank.Type(d.ObjectType)
	if d.ObjectType == "masterSpecimen" {
		recordType = biobank.Specimen
	}
	reserved := map[string]int64{}
	if d.Op != biobank.Update {
		titles := []string{""}
		for i := range rows {
			titles = append(titles, column(i, "CP Short Title"))
		}
		for _, title := range titles {
			b := r.reg.Import(r.lab, j.CreatedAt, time.UTC, false)
			counters, err := b.Counters(ctx, recordType, d.ObjectType == "masterSpecimen", biobank.ProtocolRef{ShortTitle: title})
			if err != nil {
				r.t.Fatal(err)
			}
			for _, c := range counters {
				if _, ok := reserved[c]; !ok {
					first, err := r.store.Reserve(ctx, c, int64(len(rows)))
					if err != nil {
						r.t.Fatal(err)
					}
					reserved[c] = first - 1
				}
			}
		}
	}

	kin := map[string]int64{}
	changes := make([]biobank.Change, len(rows))
	errs := make([]error, len(rows))
	for i := range rows {
		cells := make([][]byte, len(rows[i]))
		for k, c := range rows[i] {
			cells[k] = []byte(c)
		}
		draft, err := binding.Draft(cells)
		if errs[i] = err; err != nil {
			continue
		}
		source := fmt.Sprintf("%d#%d", j.ID, i+1)
		changes[i] = biobank.Change{
			Op: d.Op, Draft: draft, Source: source, ID: source, Reason: binding.Reason(cells), Reserved: reserved, Row: int64(i + 1),
		}
		if parent := biobank.CountedBelow(draft); parent != "" {
			changes[i].Kin = kin[parent]
			kin[parent]++
		}
	}

	// The order: what each row that can be read creates or changes, and what it names, by the columns that this test uses.
	names := func(row int) (own, refs []string) {
		if errs[row] != nil {
			return nil, nil
		}
		for _, c := range []string{"Specimen Label", "Barcode", "Name", "Visit Name", "PPID", "eMPI"} {
			// Of a row that creates no participant or visit, these columns are references to what no row of the file makes.
			isParent := d.ObjectType == "cpr" || d.ObjectType == "masterSpecimen" && column(row, "Lineage") == "New"
			if v := column(row, c); v != "" && (isParent || c != "Visit Name" && c != "PPID") {
				own = append(own, c+"="+v)
			}
		}
		if v := column(row, "Parent Specimen Label"); v != "" {
			refs = append(refs, "Specimen Label="+v)
		}
		return own, refs
	}
	owners := map[string][]int{}
	group := make([]int, len(rows)) // rows with one number change the same things, directly or by way of others
	for i := range rows {
		group[i] = i
		own, _ := names(i)
		for _, n := range own {
			owners[n] = append(owners[n], i)
			if was, is := group[owners[n][0]], group[i]; was != is {
				for k := range group[:i+1] {
					if group[k] == is {
						group[k] = was
					}
				}
			}
		}
	}
	var order []int
	begun := map[int]bool{}
	var visit func(i int)
	visit = func(i int) {
		if begun[i] {
			return
		}
		begun[i] = true
		for k := range i {
			if group[k] == group[i] {
				visit(k)
			}
		}
		_, refs := names(i)
		for _, n := range refs {
			if l := owners[n]; d.Op != biobank.Update && len(l) > 0 && l[0] > i {
				visit(l[0])
			}
		}
		order = append(order, i)
	}
	for i := range rows {
		visit(i)
	}
	told := make([][]string, len(rows))
	for _, i := range order {
		var o biobank.Outcome
		if o.Err = errs[i]; o.Err == nil {
			b := r.reg.Import(r.lab, j.CreatedAt, time.UTC, false)
			out, err := b.Apply(ctx, changes[i:i+1])
			if err == nil {
				err = b.Settle(ctx, changes[i].Source+"s", func(s string) bool { return s == changes[i].Source })
			}
			if err != nil {
				r.t.Fatal(err)
			}
			o = out[0]
		}
		line := slices.Clone(rows[i])
		values := map[string]string{"OS_PPID": o.PPID, "OS_VISIT_NAME": o.VisitName, "OS_SPECIMEN_LABEL": o.Label}
		if o.Err != nil {
			line, values = append(line, "FAIL", fault.Row(o.Err)), nil
		} else {
			line = append(line, "SUCCESS", "")
			values["OS_IDENTIFIER"] = strconv.FormatInt(o.Record.ID, 10)
		}
		for _, c := range schema.Generated() {
			line = append(line, values[c])
		}
		told[i] = line
	}
	var b strings.Builder
	for _, line := range append([][]string{append(append(slices.Clone(captions), "OS_IMPORT_STATUS", "OS_ERROR_MESSAGE"), schema.Generated()...)}, told...) {
		for i, c := range line {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(`"` + strings.ReplaceAll(c, `"`, `""`) + `"`)
		}
		b.WriteByte('\n')
	}
	j.Status = jobs.Completed
	if err := r.jobs.End(ctx, j); err != nil {
		r.t.Fatal(err)
	}
	return b.String()
}

// content is what is stored of a protocol's participants, without what depends on how children were put together to
// change their parent: a line for each record, and one for each change that a row made to it.
func (r *rig) content() string {
	var b strings.Builder
	for cp := int64(1); cp <= 2; cp++ {
		for _, part := range biobank.TreeParts(cp) {
			records, err := r.store.List(r.t.Context(), part, "", "", 0)
			if err != nil {
				r.t.Fatal(err)
			}
			for _, rec := range records {
				fmt.Fprintf(&b, "%s from %q why %q: %s\n", rec.Key, rec.Source, rec.Reason, rec.Doc)
				trail, err := r.store.Trail(r.t.Context(), rec.Type, rec.ID)
				if err != nil {
					r.t.Fatal(err)
				}
				chain, err := biobank.VerifyChain(rec, trail)
				if err != nil {
					r.t.Error(err)
				}
				for _, e := range chain {
					if _, row, _ := strings.Cut(e.Change, "#"); !strings.ContainsAny(row, "cs") {
						fmt.Fprintf(&b, "  %s\n", e.Change)
					}
				}
			}
		}
	}
	return b.String()
}

// randomFile makes a file of which many rows are about the same few things.
func randomFile(rng *rand.Rand) (name, content string) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	row := func(cells ...string) {
		if err := w.Write(cells); err != nil {
			panic(err)
		}
	}
	pick := func(options ...string) string { return options[rng.IntN(len(options))] }
	one := func(prefix string, of int) string { return prefix + strconv.Itoa(1+rng.IntN(of)) }
	rows := 5 + rng.IntN(90)
	few := 3 + rng.IntN(rows)
	switch kind := rng.IntN(6); kind {
	case 0, 1: // specimens: duplicates, children before and after their parents, generated labels
		name = pick("specimen_create", "specimen_upsert")
		row("CP Short Title", "Visit Name", "Specimen Label", "Barcode", "Type", "Lineage", "Parent Specimen Label", "Initial Quantity", "Created On", "Comments", "Reason")
		for range rows {
			cp := pick("LAKE", "LAKE", "LAKE", "GEN", "POND")
			visit := map[string]string{"LAKE": "V-" + strconv.Itoa(1+rng.IntN(3)), "GEN": "W-" + strconv.Itoa(1+rng.IntN(3)), "POND": "V-1"}[cp]
			label, parent := one("S-", few), ""
			lineage := pick("New", "New", "Derived", "Aliquot", "")
			switch {
			case lineage == "Derived" || lineage == "Aliquot":
				visit, parent = "", one("S-", few)
				if cp == "GEN" {
					parent = pick("GS-1", "GS-2")
				}
			}
			if cp == "GEN" {
				label = ""
			}
			row(cp, visit, label, pick("", "", "", "", one("B-", 9)), pick("Plasma", "Plasma", "Plasma", "Plasma", "Gold"), lineage, parent,
				pick("1", "2", "1.5", "x"), "03-02-2026", pick("", one("note ", 5)), pick("", "because"))
		}
	case 2: // updates of a few specimens
		name = "specimen_update"
		row("Specimen Label", "Barcode", "Comments", "Pathological Status", "Activity Status", "Parent Specimen Label")
		for range rows {
			row(pick("GS-1", "GS-2", "U-1", "U-2", "U-3", "U-4", "U-5", "U-6"), pick("", "", one("B-", 5)),
				pick("", "##set_to_blank##", one("note ", 9)), pick("", "Malignant", "Green"), pick("", "", "", "", "Closed"), "")
		}
	case 3: // participants: duplicates by PPID and by eMPI
		name = pick("cpr_create", "cpr_upsert")
		row("CP Short Title", "PPID", "Registration Date", "eMPI", "First Name", "Race#1", "Race#2")
		for range rows {
			row(pick("LAKE", "LAKE", "GEN"), one("Q-", few), pick("01-02-2026", "01-02-2026", "2026"), pick("", "", one("E-", few)), one("N", 9), pick("", "Asian"), pick("", "White"))
		}
	case 4: // visits, of which some have generated names
		name = "visit_create"
		row("CP Short Title", "PPID", "Event Label", "Name", "Visit Date", "Visit Site")
		for range rows {
			cp := pick("LAKE", "GEN")
			label := one("VV-", few)
			if cp == "GEN" {
				label = ""
			}
			row(cp, map[string]string{"LAKE": one("P-", 4), "GEN": one("G-", 4)}[cp], pick("Baseline", "Baseline", "Autumn"), label, "05-02-2026", "Lakeside Biobank")
		}
	case 5: // participants, visits and specimens in one row
		name = "masterSpecimen_create"
		row("CP Short Title", "PPID", "First Name", "Event Label", "Visit Name", "Visit Date", "Collection Site", "Specimen Label", "Type", "Lineage",
			"Parent Specimen Label", "Initial Quantity", "Collection Date", "Created On", "Comments")
		for range rows {
			p := 1 + rng.IntN(8)
			lineage, parent := "New", ""
			if rng.IntN(3) == 0 {
				lineage, parent = pick("Derived", "Aliquot"), one("M-", few)
			}
			row("LAKE", fmt.Sprintf("R-%d", p), pick("", one("N", 9)), "Baseline", fmt.Sprintf("R-%d.%d", p, 1+rng.IntN(2)), "03-02-2026", "Lakeside Biobank",
				one("M-", few), pick("Plasma", "Plasma", "Plasma", "Gold"), lineage, parent, pick("", "2"), map[bool]string{true: "03-02-2026"}[parent == ""], "03-02-2026", pick("", one("note ", 9)))
		}
	}
	w.Flush()
	return name + "_20260301080000000.csv", b.String()
}

// storedFile makes a file of specimens that go into a few containers: into the next free cell, one that is named, one that
// is taken. A parent that stands further down would bring its own cell along, so parents are stored before.
func storedFile(rng *rand.Rand) (name, content string) {
	var b strings.Builder
	pick := func(options ...string) string { return options[rng.IntN(len(options))] }
	one := func(prefix string, of int) string { return prefix + strconv.Itoa(1+rng.IntN(of)) }
	rows := 5 + rng.IntN(90)
	few := 3 + rng.IntN(rows)
	b.WriteString("CP Short Title,Visit Name,Specimen Label,Barcode,Type,Lineage,Parent Specimen Label,Initial Quantity,Created On,Location#Container,Location#Row,Location#Column,Location#Position\n")
	for range rows {
		lineage, visit, parent := "New", one("V-", 3), ""
		if rng.IntN(4) == 0 {
			lineage, visit, parent = "Aliquot", "", one("U-", 6)
		}
		container, row, column, position := pick("Rack", "Rack", "Rack", "Tank", "Box", "", "rack", "None"), "", "", ""
		switch rng.IntN(6) {
		case 0:
			row, column = one("", 10), one("", 9)
		case 1:
			position = one("", 85)
		}
		fmt.Fprintf(&b, "LAKE,%s,%s,%s,%s,%s,%s,%s,03-02-2026,%s,%s,%s,%s\n", visit, one("S-", few), pick("", "", "", "", one("B-", 9)),
			pick("Plasma", "Plasma", "Plasma", "Plasma", "Gold"), lineage, parent, pick("1", "2", "x"), container, row, column, position)
	}
	return "specimen_create_20260301080000000.csv", b.String()
}

// crowd sets up participants, visits and specimens that random files are about, and a protocol that makes names.
func (r *rig) crowd() {
	r.t.Helper()
	r.protocol(biobank.ProtocolDoc{
		ShortTitle: "GEN", Title: "Generated Names", VisitNameFmt: "%PPI%.v%PPI_UID%", ManualVisitName: false,
		SpecimenLabelFmt: "%VISIT_NAME%.s%VISIT_UID%", DerivativeLabelFmt: "%PSPEC_LABEL%.d%PSPEC_UID%", AliquotLabelFmt: "%PSPEC_LABEL%_%PSPEC_UID%.%SYS_UID%",
	})
	cp := func(title string) biobank.ProtocolRef { return biobank.ProtocolRef{ShortTitle: title} }
	site := "Lakeside Biobank"
	for i := range 4 {
		r.apply(r.admin, &biobank.RegistrationDraft{Protocol: cp("LAKE"), Doc: biobank.RegistrationDoc{PPID: fmt.Sprintf("P-%d", i+1), RegistrationDate: "2026-01-02"}})
		r.apply(r.admin, &biobank.RegistrationDraft{Protocol: cp("GEN"), Doc: biobank.RegistrationDoc{PPID: fmt.Sprintf("G-%d", i+1), RegistrationDate: "2026-01-02"}})
	}
	day := start.Add(-240 * time.Hour).UnixMilli()
	for i := range 3 {
		r.apply(r.admin, &biobank.VisitDraft{Protocol: cp("LAKE"), PPID: fmt.Sprintf("P-%d", i+1), Site: &site, Doc: biobank.VisitDoc{Name: fmt.Sprintf("V-%d", i+1), VisitDate: day}})
	}
	r.apply(r.admin, &biobank.ContainerDraft{Site: &site, Doc: biobank.ContainerDoc{Name: "Box", Grid: biobank.Grid{Rows: 2, Columns: 3}, StoreSpecimens: true}})
	r.apply(r.admin, &biobank.ContainerDraft{Site: &site, Doc: biobank.ContainerDoc{Name: "Tank", StoreSpecimens: true}})
	r.apply(r.admin, &biobank.ContainerDraft{Site: &site, Doc: biobank.ContainerDoc{Name: "Rack", Grid: biobank.Grid{Rows: 9, Columns: 9, Assignment: "VT_BOTTOM_UP_LEFT_RIGHT"}, StoreSpecimens: true}})
	for _, code := range []string{"STORE", "SHARE"} {
		r.apply(r.admin, &biobank.StatementDraft{Doc: biobank.StatementDoc{Code: code, Statement: "You may " + code}})
		r.apply(r.admin, &biobank.ProtocolConsentsDraft{ProtocolID: 1, Statement: biobank.StatementRef{Code: code}})
	}
	q := biobank.Quantity(100_000_000)
	for i := range 6 {
		r.apply(r.admin, &biobank.SpecimenDraft{VisitName: "V-1", Doc: biobank.SpecimenDoc{Label: fmt.Sprintf("U-%d", i+1), Type: "Plasma", InitialQty: &q, CreatedOn: day}})
	}
	for i := range 2 {
		at := &biobank.LocationRef{Name: "Rack", Position: int64(i + 1)}
		r.apply(r.admin, &biobank.SpecimenDraft{VisitName: "V-2", Location: at, Doc: biobank.SpecimenDoc{Label: fmt.Sprintf("R-%d", i+1), Type: "Plasma", InitialQty: &q, CreatedOn: day}})
	}
}

// However a file is cut, and in whatever order its messages come, records and report are those of its rows done one after
// the other.
func TestLikeRowByRow(t *testing.T) { likeRowByRow(t, randomFile) }

// So it is with the cells that specimens get.
func TestCellsLikeRowByRow(t *testing.T) { likeRowByRow(t, storedFile) }

// So it is with rows that find one record in different ways, and give it other names.
func TestMixedNamesLikeRowByRow(t *testing.T) {
	likeRowByRow(t, func(rng *rand.Rand) (name, content string) {
		var b strings.Builder
		b.WriteString("Identifier,Specimen Label,Barcode,Comments\n")
		for i := range 5 + rng.IntN(60) {
			n, to := 1+rng.IntN(6), 1+rng.IntN(6)
			switch rng.IntN(6) {
			case 0:
				fmt.Fprintf(&b, "%d,,,by id %d\n", n, i)
			case 1:
				fmt.Fprintf(&b, "%d,U-%d%s,,\n", n, n, strings.Repeat("b", rng.IntN(2)))
			case 2:
				fmt.Fprintf(&b, "%d,,B-%d,\n", n, to)
			case 3:
				fmt.Fprintf(&b, ",,B-%d,by barcode %d\n", to, i)
			default:
				fmt.Fprintf(&b, ",U-%d%s,,by label %d\n", n, strings.Repeat("b", rng.IntN(2)), i)
			}
		}
		return "specimen_update_20260301080000000.csv", b.String()
	})
}

func likeRowByRow(t *testing.T, file func(*rand.Rand) (name, content string)) {
	t.Helper()
	base := newRig(t)
	base.crowd()
	seeds := 300
	if testing.Short() {
		seeds = 60
	}
	for s := *seed; s < *seed+uint64(seeds); s++ {
		rng := rand.New(rand.NewPCG(s, 0))
		name, content := file(rng)
		one := rigOver(t, base.copy())
		one.actors()
		wantReport := one.sequential(name, content)

		other := rigOver(t, base.copy())
		other.im.Config.ChunkRows = 3 + rng.IntN(48)
		other.queue.random = rng
		j, report := other.importFile(name, content)
		if !j.Status.Final() || j.Done != j.Total {
			t.Errorf("job: %+v", j)
		}
		if diff := cmp.Diff(wantReport, report); diff != "" {
			t.Errorf("%s: report (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(one.content(), other.content()); diff != "" {
			t.Errorf("%s: records (-want +got):\n%s", name, diff)
		}
		other.state() // holds the audit chains
		if t.Failed() {
			t.Fatalf("seed %d, chunks of %d rows:\n%s", s, other.im.Config.ChunkRows, content)
		}
	}
}

// copy is a world with the same content as the rig's.
func (r *rig) copy() *world {
	r.t.Helper()
	records, ok := r.store.(*memRecords)
	if !ok {
		r.t.Fatal("only a rig in memory can be copied")
	}
	j, f := r.jobs.(*memJobs), r.files.(*memFiles)
	w := &world{records: records.Clone(), jobs: newMemJobs(), files: newMemFiles(nil)}
	maps.Copy(w.jobs.jobs, j.jobs)
	for id, chunks := range j.chunks {
		w.jobs.chunks[id] = slices.Clone(chunks)
	}
	maps.Copy(w.jobs.drops, j.drops)
	maps.Copy(w.jobs.turns, j.turns)
	w.jobs.last = j.last
	maps.Copy(w.files.objects, f.objects)
	w.files.version = f.version
	return w
}

// What belongs together and lies in different chunks, with three rows in a chunk.
func TestRowsThatBelongTogether(t *testing.T) {
	header := "Visit Name,Specimen Label,Type,Lineage,Parent Specimen Label,Initial Quantity,Created On\n"
	filler := func(n, rows int) string {
		var b strings.Builder
		for i := range rows {
			fmt.Fprintf(&b, "V-1,F-%d.%d,Plasma,New,,1,03-02-2026\n", n, i)
		}
		return b.String()
	}
	children := ""
	for i := range 9 {
		children += fmt.Sprintf(",C-%d,,Aliquot,U-%d,1,03-02-2026\n", i, 7+i%3)
	}
	const master = "CP Short Title,PPID,First Name,Event Label,Visit Name,Visit Date,Collection Site,Specimen Label,Type,Lineage,Initial Quantity,Collection Date,Created On\n"
	for _, tt := range []struct{ name, file, content string }{
		{"one label twice in a chunk", "specimen_create", header + "V-1,S-1,Plasma,New,,1,03-02-2026\nV-2,S-1,Plasma,New,,2,03-02-2026\n"},
		{"one label twice across chunks", "specimen_create", header + "V-1,S-1,Plasma,New,,1,03-02-2026\n" + filler(1, 5) + "V-2,S-1,Plasma,New,,2,03-02-2026\n"},
		{"one label in two cases", "specimen_create", header + "V-1,S-1,Plasma,New,,1,03-02-2026\n" + filler(1, 5) + "V-2,s-1,Plasma,New,,2,03-02-2026\n"},
		{"one label twice, the first not valid", "specimen_create", header + "V-1,S-1,Gold,New,,1,03-02-2026\n" + filler(1, 5) + "V-2,S-1,Plasma,New,,2,03-02-2026\n"},
		{"children before their parents", "specimen_create", header + ",S-3,,Aliquot,S-2,1,03-02-2026\n,S-2,Plasma,Derived,S-1,4,03-02-2026\n" + filler(1, 5) + "V-1,S-1,Plasma,New,,10,03-02-2026\n"},
		{"parents in the first chunk, children in the last", "specimen_create", header +
			"V-1,U-7,Plasma,New,,10,03-02-2026\nV-1,U-8,Plasma,New,,10,03-02-2026\nV-1,U-9,Plasma,New,,10,03-02-2026\n" + filler(1, 21) + children},
		{"updates of one specimen", "specimen_update", "Specimen Label,Comments,Pathological Status\nU-1,first,\nU-2,a,\nU-3,a,\nU-4,a,\nU-5,a,\nU-1,,Malignant\nU-1,second,\nU-6,a,\nU-1,second,\n"},
		{"one participant in many rows", "masterSpecimen_create", master +
			"LAKE,R-1,Mira,Baseline,R-1.1,03-02-2026,Lakeside Biobank,M-1,Plasma,New,1,03-02-2026,03-02-2026\n" +
			"LAKE,R-2,Tomo,Baseline,R-2.1,03-02-2026,Lakeside Biobank,M-2,Plasma,New,1,03-02-2026,03-02-2026\n" +
			"LAKE,R-1,,Baseline,R-1.1,03-02-2026,Lakeside Biobank,M-3,Plasma,New,1,03-02-2026,03-02-2026\n" +
			"LAKE,R-3,Ulla,Baseline,R-3.1,03-02-2026,Lakeside Biobank,M-4,Plasma,New,1,03-02-2026,03-02-2026\n" +
			"LAKE,R-1,Mira-Lou,Baseline,R-1.2,04-02-2026,Lakeside Biobank,M-5,Plasma,New,1,04-02-2026,04-02-2026\n"},
		{"labels counted below a parent", "specimen_create", "CP Short Title,Visit Name,Specimen Label,Type,Lineage,Parent Specimen Label,Initial Quantity,Created On\n" +
			"GEN,,,,Aliquot,G-1.v1.s1,1,03-02-2026\n" + strings.ReplaceAll(filler(1, 4), "V-1,", "LAKE,V-1,") + "GEN,,,,Aliquot,G-1.v1.s1,1,03-02-2026\nGEN,,,Gold,Aliquot,G-1.v1.s1,1,03-02-2026\nGEN,,,,Aliquot,G-1.v1.s1,1,03-02-2026\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			r.crowd()
			r.mustImport("visit_create_20260301070000000.csv", "CP Short Title,PPID,Name,Visit Date,Visit Site\nGEN,G-1,,03-02-2026,Lakeside Biobank\n")
			r.mustImport("specimen_create_20260301070000000.csv", "CP Short Title,Visit Name,Type,Initial Quantity,Created On\nGEN,G-1.v1,Plasma,10,03-02-2026\n")
			r.im.Config.ChunkRows = 3
			j, _ := r.importFile(tt.file+"_20260301080000000.csv", tt.content)
			golden(t, "lanes/"+fileName(tt.name), r.outcome(j))
			r.state()
		})
	}
}
