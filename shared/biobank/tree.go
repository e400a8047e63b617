package biobank

import (
	"context"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"aliquot/shared/fault"
)

// debt is what a parent owes its children of this batch.
type debt struct {
	parent   Key
	quantity Quantity
	thaws    int64
	close    bool
}

// taken notes that a child was made from a parent: an aliquot lowers the parent's available quantity, and the protocol or
// the draft may have the parent closed afterwards. A person's change settles it in the same transaction; a job's once per
// chunk, by Settle.
func (s *SpecimenDraft) taken(ctx context.Context, b *Batch, c *Change, cp *protocolInfo, parent *Record, child *SpecimenDoc) error {
	d := debt{parent: parent.Key, close: (cp.doc.CloseParentSpecimens || s.CloseParent) && !s.OpenParent, thaws: s.ThawParent}
	if child.Lineage == LineageAliquot && child.InitialQty != nil {
		d.quantity = *child.InitialQty
	}
	if d.quantity == 0 && !d.close && d.thaws == 0 {
		return nil
	}
	if b.family != nil {
		b.owing(d)
		return nil
	}
	if !b.bulk {
		return b.pay(ctx, c, c.Source, parent, &d)
	}
	// The sum is made from what was really written, when the chunk is done.
	b.debts[parent.Key] = &d
	return nil
}

// pay plans the parent's change: lower by what its children took, not below zero.
func (b *Batch) pay(ctx context.Context, c *Change, source string, parent *Record, d *debt) error {
	doc, err := Decode[SpecimenDoc](parent)
	if err != nil {
		return err
	}
	if d.settle(b, &doc); doc.ActivityStatus == StatusClosed {
		if err := b.unstore(ctx, parent, &doc); err != nil {
			return err
		}
	}
	return b.changeAs(c, source, parent, &doc, &Outcome{})
}

// settle takes what the children took off the parent's available quantity, and closes it where that was asked for.
func (d *debt) settle(b *Batch, doc *SpecimenDoc) {
	doc.FreezeThawCycles += d.thaws
	if doc.AvailableQty != nil {
		left := max(0, *doc.AvailableQty-d.quantity)
		doc.AvailableQty = &left
	}
	if d.close && doc.ActivityStatus == StatusActive {
		doc.ActivityStatus = StatusClosed
		doc.Disposal = &DisposalEvent{Time: b.at, UserID: b.actor.ID}
	}
}

// owing adds to what a parent owes the children that are made in the same change.
func (b *Batch) owing(d debt) {
	if sum := b.family[d.parent]; sum != nil {
		sum.quantity += d.quantity
		sum.thaws = max(sum.thaws, d.thaws) // they are made of one thawing
		sum.close = sum.close || d.close
		return
	}
	b.family[d.parent] = &d
}

// Settle changes the parents of the specimens that the batch created, once each: lowered by the children that mine says
// are the batch's own, known by their source. The change carries the given source with the sum so far, so that a repeat
// changes nothing, and a chunk that goes on later takes off only what came since.
func (b *Batch) Settle(ctx context.Context, source string, mine func(source string) bool) error {
	parents := make([]Key, 0, len(b.debts))
	for k := range b.debts {
		parents = append(parents, k)
	}
	sort.Slice(parents, func(i, j int) bool {
		if parents[i].Part != parents[j].Part {
			return parents[i].Part < parents[j].Part
		}
		return parents[i].Sort < parents[j].Sort
	})
	opening := false // what was made is paid for after a stop too; a repeat by another worker changes nothing
	for len(parents) > 0 {
		n := min(len(parents), MaxBatch)
		if err := b.settleGroup(ctx, parents[:n], source, mine, &opening); err != nil {
			return err
		}
		for _, key := range parents[:n] {
			delete(b.recs, key) // it has changed
		}
		parents = parents[n:]
	}
	clear(b.debts)
	return nil
}

func (b *Batch) settleGroup(ctx context.Context, parents []Key, source string, mine func(string) bool, opening *bool) error {
	b.again = resized(b.again, len(parents))
	for i := range b.again {
		b.again[i] = true
	}
	for range tries {
		for i := range b.writes {
			b.writes[i] = b.writes[i][:0]
		}
		b.failed = resized(b.failed, len(parents))
		for i, key := range parents {
			if !b.again[i] {
				continue
			}
			b.again[i] = false
			b.row, b.recordRound = i, roundRecords
			if err := b.owe(ctx, key, source, mine); err != nil {
				return err
			}
		}
		if err := b.write(ctx, opening); err != nil {
			return err
		}
		redo := false
		for i := range parents {
			redo = redo || b.again[i]
		}
		if !redo {
			return nil
		}
	}
	return fmt.Errorf("parent specimens were changed by others %d times in a row", tries)
}

func (b *Batch) owe(ctx context.Context, key Key, source string, mine func(string) bool) error {
	parent, err := b.fresh(ctx, key)
	if err != nil {
		return err
	}
	if parent == nil {
		return nil
	}
	children, err := b.children(ctx, key)
	if err != nil {
		return err
	}
	d := debt{parent: key, close: b.debts[key].close}
	for _, r := range children {
		if !mine(r.Source) {
			continue
		}
		doc, err := Decode[SpecimenDoc](r)
		if err != nil {
			return err
		}
		if doc.Lineage == LineageAliquot && doc.Status == Collected && doc.InitialQty != nil {
			d.quantity += *doc.InitialQty
		}
	}
	total := d.quantity
	for _, change := range parent.Changes {
		if paid, ok := strings.CutPrefix(change, source+"="); ok {
			n, err := strconv.ParseInt(paid, 10, 64)
			if err != nil {
				return fmt.Errorf("source of a settled parent: %w", err)
			}
			d.quantity = total - Quantity(n)
			if d.quantity == 0 {
				return nil
			}
		}
	}
	source += "=" + strconv.FormatInt(int64(total), 10)
	return b.pay(ctx, &Change{Source: source}, source, parent, &d)
}

// Owes makes the batch settle a parent: for a row that an earlier try has finished.
func (b *Batch) owes(ctx context.Context, rec *Record) error {
	if rec.Type != Specimen || rec.Key.ParentSpecimen() == 0 {
		return nil
	}
	doc, err := Decode[SpecimenDoc](rec)
	if err != nil || doc.Status != Collected {
		return err
	}
	cp, err := b.protocolAt(ctx, rec.Key)
	if err != nil {
		return err
	}
	if cp.doc.CloseParentSpecimens || doc.Lineage == LineageAliquot && doc.InitialQty != nil && *doc.InitialQty != 0 {
		key := rec.Key.Above(1)
		b.debts[key] = &debt{parent: key, close: cp.doc.CloseParentSpecimens}
	}
	return nil
}

// children are the records one level below key.
func (b *Batch) children(ctx context.Context, key Key) ([]*Record, error) {
	all, err := b.store.List(ctx, key.Part, key.Sort+"/", "", 0)
	if err != nil {
		return nil, fmt.Errorf("read the children of a record: %w", err)
	}
	out := all[:0]
	for _, r := range all {
		if strings.Count(r.Key.Sort, "/") == strings.Count(key.Sort, "/")+1 {
			out = append(out, r)
		}
	}
	return out, nil
}

// noKin is the place of a row that was not counted: what it names was stored before, without a name.
const noKin = -1

// serial is the number that a format counts under a parent: one past the highest among its children that this job did not
// make, plus the row's place among the job's own. So it is the same however often the row is tried.
func (b *Batch) serial(ctx context.Context, c *Change, parent Key) (int64, error) {
	counted := b.serials
	if c.Kin == noKin {
		counted = b.late
	}
	highest, ok := counted[parent]
	if !ok {
		kids, err := b.children(ctx, parent)
		if err != nil {
			return 0, err
		}
		for _, r := range kids {
			if sameJob(r.Source, c.Source) && c.Kin != noKin {
				continue
			}
			doc, err := Decode[struct {
				Serial int64 `json:"serial"`
			}](r)
			if err != nil {
				return 0, err
			}
			highest = max(highest, doc.Serial)
		}
	}
	n := highest + c.Kin + 1
	if c.Kin == noKin {
		n = highest + 1
		highest = n // the next one is not counted either
	}
	if b.bulk {
		counted[parent] = highest
	}
	return n, nil
}

// remove deletes a record softly: it is Disabled, its names get a suffix and are free again, and the same happens to
// what lies below it when forced (reference openspecimen-rest.md 4.2).
func (b *Batch) remove(ctx context.Context, c *Change, o *Outcome, rec *Record, force bool) error {
	live, err := b.removable(ctx, rec, force)
	if err != nil {
		return err
	}
	// What was added before the seals is found now; that may have something added to it in turn.
	for {
		more, err := b.seal(ctx, c, append(live, rec)...)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if err := b.look(ctx, func(ctx context.Context) (err error) {
			live, err = b.removable(ctx, rec, force)
			return err
		}); err != nil {
			return err
		}
	}
	suffix := b.suffix()
	round := b.recordRound
	b.recordRound = roundBelow
	for _, r := range live {
		if err := b.disable(ctx, c, r, suffix, &Outcome{}); err != nil {
			return err
		}
	}
	b.recordRound = round
	return b.disable(ctx, c, rec, suffix, o)
}

// removable lists what goes with a record that is deleted, or says why it cannot be.
func (b *Batch) removable(ctx context.Context, rec *Record, force bool) ([]*Record, error) {
	below, err := b.store.List(ctx, rec.Key.Part, rec.Key.Sort+"/", "", 0)
	if err != nil {
		return nil, fmt.Errorf("read what lies below a record: %w", err)
	}
	live, hindering := below[:0], 0
	for _, r := range below {
		if statusOf(r) == StatusDisabled {
			continue
		}
		live = append(live, r)
		hinders, err := hinders(rec.Type, r)
		if err != nil {
			return nil, err
		}
		if hinders {
			hindering++
		}
	}
	if hindering > 0 && !force {
		codes := map[Type]string{Registration: "PARTICIPANT_REF_ENTITY_FOUND", Visit: "SPECIMEN_REF_ENTITY_FOUND", Specimen: "SPECIMEN_REF_ENTITY_FOUND"}
		return nil, fault.New(codes[rec.Type], "The %s still has %d dependent records; delete them first or force the deletion.", strings.ToLower(notFound[rec.Type].noun), hindering)
	}
	cp, err := b.protocolAt(ctx, rec.Key)
	if err != nil {
		return nil, err
	}
	return live, (&Registry{Store: b.store}).mayRemove(ctx, b.actor, live, cp.id, cp.doc)
}

// suffix makes the names of what is deleted free again.
func (b *Batch) suffix() string { return "_" + strconv.FormatInt(b.at, 10) }

// nameBefore is the name that an object had when a row that is done began; of a long one that the row deleted, what was left when
// it was cut.
func (b *Batch) nameBefore(name, status string) string {
	if status != StatusDisabled {
		return name
	}
	return strings.TrimSuffix(name, b.suffix())
}

// changeBelow plans a change that follows from one further up, to be done before that one.
func (b *Batch) changeBelow(c *Change, rec *Record, doc any) error {
	round := b.recordRound
	b.recordRound = roundBelow
	err := b.change(c, rec, doc, &Outcome{})
	b.recordRound = round
	return err
}

// disable plans one record's soft deletion with the release of its names.
func (b *Batch) disable(ctx context.Context, c *Change, rec *Record, suffix string, o *Outcome) error {
	if is, err := b.done(ctx, rec, c); is || err != nil {
		return err
	}
	var free []string
	rename := func(v *string, mark func(string) string) {
		if *v != "" {
			free = append(free, mark(*v))
			*v = suffixed(*v, suffix, 255)
		}
	}
	var doc any
	switch rec.Type {
	case Specimen:
		s, err := Decode[SpecimenDoc](rec)
		if err != nil {
			return err
		}
		rename(&s.Label, labelMark)
		rename(&s.Barcode, barcodeMark)
		rename(&s.AdditionalLabel, addlLabelMark)
		s.ActivityStatus = StatusDisabled
		if err := b.unstore(ctx, rec, &s); err != nil {
			return err
		}
		doc = &s
	case Visit:
		v, err := Decode[VisitDoc](rec)
		if err != nil {
			return err
		}
		if err := b.renumber(ctx, c, v.SurgicalPathologyNumber, "", rec.Key, rec.ID); err != nil {
			return err
		}
		if v.SurgicalPathologyNumber != "" {
			v.SurgicalPathologyNumber = suffixed(v.SurgicalPathologyNumber, suffix, 255)
		}
		if b.bulk {
			if err := b.doubt(ctx, rec, &v); err != nil {
				return err
			}
		}
		rename(&v.Name, visitMark)
		v.ActivityStatus = StatusDisabled
		doc = &v
	case Registration:
		g, err := Decode[RegistrationDoc](rec)
		if err != nil {
			return err
		}
		rename(&g.PPID, func(s string) string { return ppidMark(rec.Key.Protocol(), s) })
		rename(&g.Barcode, cprBarcodeMark)
		if g.ExternalSubjectID != "" {
			g.ExternalSubjectID = suffixed(g.ExternalSubjectID, suffix, 255)
		}
		if err := b.leave(ctx, c, rec, &g); err != nil {
			return err
		}
		if len(g.Others) > 0 {
			b.noteDeleted(rec, g.Participant.ID)
		}
		if err := b.enlist(ctx, c, rec.Key, []entry{dayEntry(rec.Key, g.RegistrationDate)}, nil); err != nil {
			return err
		}
		g.ActivityStatus = StatusDisabled
		doc = &g
	default:
		return fmt.Errorf("a %s cannot be deleted this way", rec.Type)
	}
	if err := b.change(c, rec, doc, o); err != nil {
		return err
	}
	for _, name := range free {
		if err := b.release(ctx, name, rec.Key); err != nil {
			return err
		}
	}
	return nil
}
