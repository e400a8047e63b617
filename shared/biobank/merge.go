package biobank

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"aliquot/shared/fault"
)

// Merging protocols (reference openspecimen-rest.md section 9; infra/decisions/moves.md).

// Merge moves the participants of a protocol, with all that lies below them, into another one and then deletes it. It is
// complete unless until came first; asked for again it goes on, as what has been moved is not in the source any more. Only
// super administrators may. Nothing is moved where anything speaks against it: formats that differ
// (CP_CANNOT_MERGE_FMT_DIFFERS), a target that is closed, PPIDs that others have there, sites that are not the target's,
// containers that are kept for the source.
//
// Who is registered in both keeps the registration of the target, to which the visits go; the source's is deleted. Visits
// belong to the target's event with the same label and specimens to its equal requirement; where there is none they are
// unplanned. Custom fields stay as they are.
func (r *Registry) Merge(ctx context.Context, a *Actor, at, until time.Time, now func() time.Time, c Change, source, target string) (complete bool, err error) {
	if !a.Super() {
		return false, fault.New("RBAC_ADMIN_RIGHTS_REQUIRED", "Only super administrators may merge collection protocols.")
	}
	m := &merge{Registry: r, actor: a, at: at, until: until, now: now, change: c}
	b := r.newBatch(a, at)
	if m.from, err = b.protocol(ctx, ProtocolRef{ShortTitle: source}); err != nil {
		return false, err
	}
	if m.to, err = b.protocol(ctx, ProtocolRef{ShortTitle: target}); err != nil {
		return false, err
	}
	all, err := r.Walk(ctx, m.from.id, Registrations, func(rec *Record) (bool, error) { return statusOf(rec) != StatusDisabled, nil })
	if err != nil {
		return false, err
	}
	if err := m.check(ctx, all); err != nil {
		return false, err
	}
	m.likes()
	slices.SortFunc(all, func(x, y *Record) int { return cmp.Compare(x.ID, y.ID) })
	for _, rec := range all {
		if done, err := m.registration(ctx, rec); !done || err != nil {
			return false, err
		}
	}
	if err := m.countOn(ctx); err != nil {
		return false, err
	}
	c.Op, c.ByID, c.Draft = Update, true, Removal(Protocol, m.from.id, StatusDisabled, false)
	_, err = r.one(ctx, a, at, c)
	return err == nil, err
}

// merge is one at work.
type merge struct {
	*Registry
	actor        *Actor
	at, until    time.Time
	now          func() time.Time
	change       Change
	from, to     *protocolInfo
	events, reqs map[int64]int64
}

// check refuses a merge before anything of it is done.
func (m *merge) check(ctx context.Context, regs []*Record) error {
	var l fault.List
	from, to := &m.from.doc, &m.to.doc
	if m.from.id == m.to.id {
		return fault.New("COMMON_INVALID_INPUT", "Collection protocol %q cannot be merged with itself.", from.ShortTitle)
	}
	for _, f := range []struct{ what, from, to string }{
		{"PPIDs", from.PpidFmt, to.PpidFmt},
		{"visit names", from.VisitNameFmt, to.VisitNameFmt},
		{"specimen labels", from.SpecimenLabelFmt, to.SpecimenLabelFmt},
		{"derivative labels", from.DerivativeLabelFmt, to.DerivativeLabelFmt},
		{"aliquot labels", from.AliquotLabelFmt, to.AliquotLabelFmt},
		{"additional labels", from.AdditionalLabelFmt, to.AdditionalLabelFmt},
		{"barcodes", from.SpecimenBarcodeFmt, to.SpecimenBarcodeFmt},
	} {
		if f.from != f.to {
			l.Add("CP_CANNOT_MERGE_FMT_DIFFERS", "The formats of %s differ: %q and %q.", f.what, f.from, f.to)
		}
	}
	for _, doc := range []*ProtocolDoc{from, to} {
		if doc.SpecimenCentric {
			l.Add("CP_OP_NOT_ALLOWED_SC", "Collection protocol %q is specimen-centric; it has no participants.", doc.ShortTitle)
		}
	}
	if to.ActivityStatus == StatusClosed {
		l.Add("CPR_CP_CLOSED", "Collection protocol %q is closed.", to.ShortTitle)
	}
	kept := tally{}
	if err := m.restricted(ctx, m.from.id, kept); err != nil {
		return err
	}
	if n := kept["storage_container"]; n > 0 {
		l.Add("CP_REF_ENTITY_FOUND", "The collection protocol is still in use (storage container: %d).", n)
	}
	if err := m.registrable(ctx, &l, regs); err != nil {
		return err
	}
	return l.Err()
}

// named is how many of a kind a refusal names.
const named = 10

// registrable refuses registrations that the target cannot take.
func (m *merge) registrable(ctx context.Context, l *fault.List, regs []*Record) error {
	var ppids, sites []string
	for part := range slices.Chunk(regs, readAhead) {
		docs, names := make([]RegistrationDoc, len(part)), make([]string, len(part))
		for i, rec := range part {
			var err error
			if docs[i], err = Decode[RegistrationDoc](rec); err != nil {
				return err
			}
			names[i] = ppidMark(m.to.id, docs[i].PPID)
		}
		taken, err := m.marked(ctx, names, func(i int, rec *Record) (bool, error) { return uniquePPID.holds(rec, docs[i].PPID) })
		if err != nil {
			return err
		}
		holders := map[string]int64{}
		for _, rec := range taken {
			doc, err := Decode[RegistrationDoc](rec)
			if err != nil {
				return err
			}
			holders[doc.PPID] = doc.Participant.ID
		}
		for i := range docs {
			if holder, ok := holders[docs[i].PPID]; ok && holder != docs[i].Participant.ID {
				ppids = append(ppids, docs[i].PPID)
			}
			if site := docs[i].SiteID; site != 0 && !m.to.hasSite(site) {
				sites = append(sites, docs[i].PPID)
			}
		}
	}
	tell := func(all []string) string {
		return strings.Join(all[:min(named, len(all))], ", ")
	}
	if len(ppids) > 0 {
		l.Add("CPR_DUP_PPID", "%d PPIDs are those of other participants in collection protocol %q: %s", len(ppids), m.to.doc.ShortTitle, tell(ppids))
	}
	if len(sites) > 0 {
		l.Add("CPR_NOT_CP_SITE", "%d participants are registered at sites that are not those of collection protocol %q: %s", len(sites), m.to.doc.ShortTitle, tell(sites))
	}
	return nil
}

// likes leads from what the source defines to the like of it in the target.
func (m *merge) likes() {
	m.events, m.reqs = map[int64]int64{}, map[int64]int64{}
	for _, e := range m.from.events {
		like := m.to.eventByLabel(e.doc.Label)
		if like == nil {
			continue
		}
		m.events[e.id] = like.id
		for req, equal := range equals(e, like) {
			m.reqs[req] = equal
		}
	}
}

// registration moves a registration, or, where its person has one in the target, what lies below it.
func (m *merge) registration(ctx context.Context, rec *Record) (done bool, err error) {
	doc, err := Decode[RegistrationDoc](rec)
	if err != nil {
		return false, err
	}
	there := Key{}
	for _, e := range doc.Others {
		if e.Protocol == m.to.id {
			there = e.Key()
		}
	}
	c := m.change
	c.Op, c.ByID = Update, true
	if there.IsZero() {
		way := &move{from: rec.Key, to: RegistrationKey(m.to.id, rec.ID), events: m.events, reqs: m.reqs}
		if done, err := m.moveAhead(ctx, m.actor, m.at, m.until, m.now, c, way, false); !done || err != nil {
			return false, err
		}
		c.Draft = &registrationMove{way}
		_, err = m.one(ctx, m.actor, m.at, c)
		return err == nil, err
	}
	// Visit by visit, so that each is in the one place or the other as a whole.
	visits, err := m.Store.List(ctx, rec.Key.Part, rec.Key.Sort+"/", "", 0)
	if err != nil {
		return false, fmt.Errorf("list the visits of a registration: %w", err)
	}
	for _, v := range visits {
		if v.Type != Visit {
			continue
		}
		way := &move{from: v.Key, to: there.Child(v.ID), events: m.events, reqs: m.reqs}
		if done, err := m.moveAhead(ctx, m.actor, m.at, m.until, m.now, c, way, true); !done || err != nil {
			return false, err
		}
	}
	way := &move{from: rec.Key, to: there, events: m.events, reqs: m.reqs}
	if done, err := m.moveAhead(ctx, m.actor, m.at, m.until, m.now, c, way, false); !done || err != nil {
		return false, err
	}
	c.Draft = Removal(Registration, rec.ID, StatusDisabled, true)
	_, err = m.one(ctx, m.actor, m.at, c)
	return err == nil, err
}

// countOn has the counters of the target's formats go on behind those of the source, whose names are the target's now.
func (m *merge) countOn(ctx context.Context) error {
	for _, what := range []string{namesPPID, namesVisit, namesLabel} {
		was, err := m.Store.Reserve(ctx, counterName(what, PerProtocol, m.from.id), 1)
		if err != nil {
			return fmt.Errorf("read a counter: %w", err)
		}
		is, err := m.Store.Reserve(ctx, counterName(what, PerProtocol, m.to.id), 1)
		if err == nil && was > is {
			_, err = m.Store.Reserve(ctx, counterName(what, PerProtocol, m.to.id), was-is)
		}
		if err != nil {
			return fmt.Errorf("go on with a counter: %w", err)
		}
	}
	return nil
}

// registrationMove moves a registration into another protocol, when what lies below it is there.
type registrationMove struct{ way *move }

func (*registrationMove) recordType() Type { return Registration }

func (*registrationMove) want(context.Context, *Batch, *Change) error { return nil }

func (d *registrationMove) read(_ context.Context, b *Batch, _ *Change) error {
	b.wantRec(d.way.from)
	b.wantRec(d.way.to)
	return nil
}

func (d *registrationMove) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	from, to := d.way.from, d.way.to
	rec, doc, err := b.registration(ctx, Mark{Name: "-", To: from})
	if err != nil || rec == nil {
		return err // moved, or deleted, meanwhile
	}
	p, err := b.person(ctx, rec, &doc)
	if err != nil {
		return err
	}
	moved := func(one Key) []Enrolment {
		all := p.enrolments(one)
		for i := range all {
			if all[i].Key() == from {
				all[i] = enrolment(to)
			}
		}
		return all
	}
	if err := b.spread(c, p, from, &doc.Participant, moved); err != nil {
		return err
	}
	b.claim(c, uniquePPID, doc.PPID, ppidMark(to.Protocol(), doc.PPID), to, rec.ID, "")
	if err := b.release(ctx, ppidMark(from.Protocol(), doc.PPID), from); err != nil {
		return err
	}
	if err := b.enlist(ctx, c, to, []entry{dayEntry(from, doc.RegistrationDate)}, []entry{dayEntry(to, doc.RegistrationDate)}); err != nil {
		return err
	}
	marks := append(personMarks(&doc.Participant), IDMark(Registration, rec.ID), IDMark(Participant, doc.Participant.ID))
	if doc.Barcode != "" {
		marks = append(marks, cprBarcodeMark(doc.Barcode))
	}
	if e := nameEntry(&doc.Participant); e.name != "" {
		marks = append(marks, e.name)
	}
	return b.relocate(ctx, c, rec, to, &doc, marks, o)
}
