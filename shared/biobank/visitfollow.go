package biobank

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"strconv"
)

// What follows from a visit for what lies around it (reference openspecimen-rest.md section 14).

// usualSite is where a visit takes place when that was not said: at the event's site, else where the participant's last
// visit was, else at the site of the first medical record number; 0 for none. self is the visit's own key, if it has one.
// Visits that the same job made do not count: how far it came when a row is tried must not show.
func (b *Batch) usualSite(ctx context.Context, c *Change, reg, self Key, event *eventInfo) (int64, error) {
	if event != nil && event.doc.DefaultSiteID != 0 {
		return event.doc.DefaultSiteID, nil
	}
	rec, err := b.rec(ctx, reg)
	if err != nil || rec == nil { // it is made by the same change
		return 0, err
	}
	visits, err := b.children(ctx, reg)
	if err != nil {
		return 0, err
	}
	var site, last int64
	for _, v := range visits {
		doc, err := Decode[VisitDoc](v)
		if err != nil {
			return 0, err
		}
		if v.Type == Visit && v.Key != self && !sameJob(v.Source, c.Source) && doc.ActivityStatus != StatusDisabled &&
			doc.SiteID != 0 && doc.VisitDate >= last {
			site, last = doc.SiteID, doc.VisitDate
		}
	}
	if site != 0 {
		return site, nil
	}
	doc, err := Decode[RegistrationDoc](rec)
	if err != nil || len(doc.Participant.PMIs) == 0 {
		return 0, err
	}
	return doc.Participant.PMIs[0].SiteID, nil
}

// missed plans the specimens that a missed visit did not bring: one with the visit's status for each open requirement of
// its event that no specimen fills. Who may not create specimens is refused.
func (d *VisitDraft) missed(ctx context.Context, b *Batch, c *Change, cp *protocolInfo, event *eventInfo, visit Key, is *VisitDoc, specimens []*Record) error {
	if event == nil || is.Status != VisitMissed && is.Status != VisitNotCollected {
		return nil
	}
	filled := map[int64]bool{}
	for _, id := range d.Fills {
		filled[id] = true
	}
	for _, rec := range specimens {
		doc, err := Decode[SpecimenDoc](rec)
		if err != nil {
			return err
		}
		// What an earlier try of the row made is made again, under the same ids.
		if doc.ActivityStatus != StatusDisabled && (c.Source == "" || rec.Source != c.Source) {
			filled[doc.RequirementID] = true
		}
	}
	var wanted []*requirementInfo
	for _, q := range event.reqs {
		if q.doc.ParentID == 0 && q.doc.PoolID == 0 && q.doc.ActivityStatus == StatusActive && !filled[q.id] {
			wanted = append(wanted, q)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	if err := b.mayHandle(ctx, OpCreate, cp, &SpecimenDoc{Lineage: LineageNew}, "note which specimens the visit did not bring"); err != nil {
		return err
	}
	ids, err := b.ownNumbers(ctx, c, Specimen, int64(len(wanted)))
	if err != nil {
		return err
	}
	round := b.recordRound
	b.recordRound = roundBelow // the visit comes last, as it tells that the row is done
	defer func() { b.recordRound = round }()
	for i, q := range wanted {
		doc := &SpecimenDoc{
			RequirementID: q.id, Class: q.doc.Class, Type: q.doc.Type, Lineage: LineageNew, AnatomicSite: q.doc.AnatomicSite,
			Laterality: q.doc.Laterality, Pathology: q.doc.Pathology, Status: is.Status, InitialQty: q.doc.InitialQty,
			ActivityStatus: StatusActive,
		}
		id := ids[i]
		if err := b.insert(c, Specimen, visit.Child(id), id, doc, &Outcome{}); err != nil {
			return err
		}
	}
	return nil
}

// ownNumbers draws n ids, the same ones for a row of a job however often it is tried. A row that needs more of them than at its
// first try, since what it is about has changed, gets further ones.
func (b *Batch) ownNumbers(ctx context.Context, c *Change, t Type, n int64) (ids []int64, err error) {
	for left := n; left > 0; {
		first, some := int64(0), left
		if c.Source == "" {
			first, err = b.store.Reserve(ctx, string(t), left)
		} else {
			source := c.Source + "/" + string(t)
			if len(ids) > 0 {
				source += "/" + strconv.Itoa(len(ids))
			}
			first, some, err = b.reserveFor(ctx, source, string(t), left)
		}
		if err != nil {
			return nil, fmt.Errorf("draw from counter %s: %w", t, err)
		}
		for id := first; id < first+min(some, left); id++ {
			ids = append(ids, id)
		}
		left = n - int64(len(ids))
	}
	return ids, nil
}

// reserveFor is ReserveFor of the store for n numbers or more. A note of the version before does not say how many they were: as
// many as are asked for.
func (b *Batch) reserveFor(ctx context.Context, owner, counter string, n int64) (first, kept int64, err error) {
	first, kept, err = b.store.ReserveFor(ctx, owner, counter, n)
	return first, cmp.Or(kept, n), err
}

// follow changes the specimens of a visit that got another status or event: they were missed or are pending with it, and
// belong to the requirements of the new event that equal those of the old one; where none does, to none. Who may not change
// each of them is refused.
func (d *VisitDraft) follow(ctx context.Context, b *Batch, c *Change, cp *protocolInfo, rec *Record, was, is *VisitDoc) error {
	status := ""
	if is.Status != was.Status && is.Status != VisitComplete {
		status = is.Status
	}
	moved := is.EventID != was.EventID
	if status == "" && !moved {
		return nil
	}
	below, err := b.store.List(ctx, rec.Key.Part, rec.Key.Sort+"/", "", 0)
	if err != nil {
		return fmt.Errorf("read what lies below a record: %w", err)
	}
	var reqs map[int64]int64
	if moved {
		reqs = equals(cp.event(was.EventID), cp.event(is.EventID))
	}
	var specimens []*Record
	for _, r := range below {
		if r.Type != Specimen {
			continue
		}
		doc, err := Decode[SpecimenDoc](r)
		if err != nil {
			return err
		}
		done, err := b.done(ctx, r, c)
		if err != nil {
			return err
		}
		required := doc.RequirementID
		if moved && !done {
			doc.RequirementID = reqs[doc.RequirementID]
		}
		seen := *r
		if seen.Doc, err = encoded(&doc); err != nil {
			return err
		}
		specimens = append(specimens, &seen)
		if done || doc.ActivityStatus == StatusDisabled {
			continue
		}
		if doc.RequirementID == required && (status == "" || doc.Status == status && doc.Location == nil && doc.CheckedOut == nil) {
			continue
		}
		if err := b.mayHandle(ctx, OpUpdate, cp, &doc, "change the specimens of the visit"); err != nil {
			return err
		}
		if status != "" {
			doc.Status = status
			if err := b.unstore(ctx, r, &doc); err != nil {
				return err
			}
		}
		if err := b.changeBelow(c, r, &doc); err != nil {
			return err
		}
	}
	if status == "" && is.Status != VisitComplete && moved {
		status = is.Status
	}
	return d.missed(ctx, b, c, cp, cp.event(is.EventID), rec.Key, &VisitDoc{Status: status}, specimens)
}

// equals leads from the requirements of one event to the equal ones of another: of the same kind, made from equal ones, and
// each used once; one with the same code comes before others.
func equals(from, to *eventInfo) map[int64]int64 {
	pairs := map[int64]int64{}
	if from == nil || to == nil {
		return pairs
	}
	used := map[int64]bool{}
	like := func(a, b *RequirementDoc) bool {
		return a.Lineage == b.Lineage && a.Class == b.Class && a.Type == b.Type && a.AnatomicSite == b.AnatomicSite &&
			a.Laterality == b.Laterality && a.Pathology == b.Pathology && pairs[a.ParentID] == b.ParentID && pairs[a.PoolID] == b.PoolID
	}
	for _, a := range from.reqs { // by id: a parent comes before what is made from it
		if a.doc.ActivityStatus == StatusDisabled {
			continue
		}
		var best *requirementInfo
		for _, q := range to.reqs {
			if q.doc.ActivityStatus == StatusDisabled || used[q.id] || !like(&a.doc, &q.doc) {
				continue
			}
			if best == nil || Fold(q.doc.Code) == Fold(a.doc.Code) && Fold(best.doc.Code) != Fold(a.doc.Code) {
				best = q
			}
		}
		if best != nil {
			pairs[a.id] = best.id
			used[best.id] = true
		}
	}
	return pairs
}

// reportSet is the set of the marks that lead from a path report number to its visits: several may have one number.
func reportSet(number string) string { return "visit.spr#" + url.QueryEscape(number) }

func reportMark(number string, visit int64) string {
	return SetMark(reportSet(number), strconv.FormatInt(visit, 10))
}

// renumber plans that a visit is found by its path report number.
func (b *Batch) renumber(ctx context.Context, c *Change, was, is string, visit Key, id int64) error {
	if was == is {
		return nil
	}
	if was != "" {
		if err := b.release(ctx, reportMark(was, id), visit); err != nil {
			return err
		}
	}
	if is != "" && len(reportMark(is, id)) <= maxMark {
		w := Write{Kind: InsertMark, Mark: Mark{Name: reportMark(is, id), To: visit, ID: id, Source: c.Source}}
		b.writes[roundNames] = append(b.writes[roundNames], rowWrite{row: b.row, Write: w, lax: true}) // it is the visit's own
	}
	return nil
}

// ByReportNumber reads the visits with a path report number, in the order of their ids; none in protocols whose identifying
// data the actor may not see.
func (r *Registry) ByReportNumber(ctx context.Context, a *Actor, number string) ([]*Record, error) {
	if number == "" || len(reportMark(number, 1<<62)) > maxMark {
		return nil, nil
	}
	marks, err := r.Store.MarksIn(ctx, reportSet(number), "", "", 1000)
	if err != nil {
		return nil, fmt.Errorf("look up a report number: %w", err)
	}
	ids := make([]int64, len(marks))
	for i, m := range marks {
		ids[i] = m.ID
	}
	recs, err := r.ByIDs(ctx, a, Visit, ids)
	if err != nil {
		return nil, err
	}
	var out []*Record
	for _, rec := range recs {
		doc, err := Decode[VisitDoc](rec)
		if err != nil {
			return nil, err
		}
		if doc.SurgicalPathologyNumber != number {
			continue // left by a job
		}
		phi, err := r.SeesPHI(ctx, a, rec.Key.Protocol())
		if err != nil {
			return nil, err
		}
		if phi {
			out = append(out, rec)
		}
	}
	return out, nil
}
