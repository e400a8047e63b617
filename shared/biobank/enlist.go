package biobank

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
)

// Entries of lists: marks in sets, for orders that the tree does not have (infra/decisions/newest-first.md). Like any mark,
// an entry counts only while what it leads to says the same.
//
//	cp#<id>#<shard>#days             <date, inverted>/<registration>  registrations, the newest registration date first
//	participant.name#<last>#<birth>  <participant>                    people by last name and day of birth

// entry is one of them, with what it leads to; its name is "" where there is none.
type entry struct {
	name string
	id   int64
}

// dayEntry is the place of a registration in its protocol's list.
func dayEntry(reg Key, date string) entry {
	return entry{SetMark(reg.Part+daysSet, inverted(date)+"/"+reg.Sort), reg.Registration()}
}

const daysSet = "#days"

// inverted sorts days the newest first.
func inverted(date string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return '0' + '9' - r
		}
		return r
	}, date)
}

// nameEntry is the place of a person among those of that name and day of birth.
func nameEntry(p *ParticipantDoc) entry {
	set := nameSet(p)
	if set == "" {
		return entry{}
	}
	return entry{SetMark(set, PadID(p.ID)), p.ID}
}

// nameSet is where people of a name and day of birth are found, "" where either is not known.
func nameSet(p *ParticipantDoc) string {
	last := strings.ReplaceAll(Fold(p.LastName), "|", " ") // a bar ends the name of a set
	if last == "" || p.BirthDate == "" || len(last) > maxMark {
		return ""
	}
	return "participant.name#" + last + "#" + p.BirthDate
}

// enlist plans the entries of a registration that a change writes: those that are new, and then that those it had are
// dropped. Nothing follows where an entry is there already, or gone.
func (b *Batch) enlist(ctx context.Context, c *Change, reg Key, was, is []entry) error {
	plan := func(round int, w Write) {
		b.writes[round] = append(b.writes[round], rowWrite{row: b.row, lax: true, Write: w})
	}
	for _, e := range is {
		if e.name != "" && !slices.Contains(was, e) {
			plan(roundEntries, Write{Kind: InsertMark, Mark: Mark{Name: e.name, To: reg, ID: e.id, Source: c.Source}})
		}
	}
	for _, e := range was {
		if e.name == "" || slices.Contains(is, e) {
			continue
		}
		m, err := b.mark(ctx, e.name)
		if err != nil {
			return err
		}
		if !m.IsZero() {
			plan(roundRelease, Write{Kind: DropMark, Mark: m, WasSource: m.Source, WasTo: m.To})
		}
	}
	return nil
}

// enlisted plans the entries of a registration and its person.
func (b *Batch) enlisted(ctx context.Context, c *Change, key Key, was, is *RegistrationDoc) error {
	var had []entry
	if was.RegistrationDate != "" {
		had = append(had, dayEntry(key, was.RegistrationDate))
	}
	if was.Participant.ID == is.Participant.ID {
		had = append(had, nameEntry(&was.Participant))
	}
	return b.enlist(ctx, c, key, had, []entry{dayEntry(key, is.RegistrationDate), nameEntry(&is.Participant)})
}

// unlist drops, for a row that is tried again and was done but for its last round, the entries that it had to drop.
func (b *Batch) unlist(ctx context.Context, c *Change, rec *Record, is *RegistrationDoc) error {
	if !b.retry {
		return nil
	}
	trail, err := b.store.Trail(ctx, rec.Type, rec.ID)
	if err != nil {
		return fmt.Errorf("read the audit of %s %d: %w", rec.Type, rec.ID, err)
	}
	for _, e := range trail {
		if strings.TrimRight(e.Change, again) != c.Source || len(e.Before) == 0 {
			continue
		}
		was := *is
		if err := json.Unmarshal(e.Before, &was); err != nil {
			return fmt.Errorf("decode an audit entry of %s %d: %w", rec.Type, rec.ID, err)
		}
		had := []entry{dayEntry(rec.Key, was.RegistrationDate), nameEntry(&was.Participant)}
		has := []entry{dayEntry(rec.Key, is.RegistrationDate), nameEntry(&is.Participant)}
		if is.ActivityStatus == StatusDisabled {
			has = nil
			if len(is.Others) > 0 {
				had = had[:1]
			}
		}
		if err := b.enlist(ctx, c, rec.Key, had, has); err != nil {
			return err
		}
	}
	return nil
}

// listPage is how many entries of a shard are read at once, at least.
const listPage = 100

// Newest gives the registrations of protocols, the newest registration date first and by id within a day, but for the
// first skip; with a day only those of that day. It reads entries, a request for each shard where enough entries fit into
// one, and then a hundred registrations a request. An entry that a job has left is not given, but counts among the first
// skip until the job drops it: what it leads to is not read there. It checks no rights.
func (r *Registry) Newest(ctx context.Context, cps []int64, day string, skip, enough int) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		if err := r.newest(ctx, cps, day, skip, enough, yield); err != nil {
			yield(nil, err)
		}
	}
}

// cursor reads the entries of one shard.
type cursor struct {
	set  string
	page []Mark
	last bool
}

func (r *Registry) newest(ctx context.Context, cps []int64, day string, skip, enough int, yield func(*Record, error) bool) error {
	ctx = Forgetful(ctx)
	cursors := r.cursors(cps)
	size := max(listPage, min(skip+enough, walkPage*4))
	if err := r.eachCursor(cursors, func(c *cursor) error { return r.turn(ctx, c, day, "", size) }); err != nil {
		return err
	}
	given := 0
	var entries []Mark
	flush := func() (on bool, err error) {
		var keys []Key
		for _, e := range entries {
			keys = append(keys, e.To)
		}
		recs, err := r.Store.Records(ctx, dedupe(keys), true)
		if err != nil {
			return false, fmt.Errorf("read registrations: %w", err)
		}
		for _, e := range entries {
			rec := recs[e.To]
			doc, err := Decode[RegistrationDoc](rec)
			if err != nil {
				return false, err
			}
			if rec == nil || doc.ActivityStatus == StatusDisabled || dayEntry(rec.Key, doc.RegistrationDate).name != e.Name {
				continue
			}
			given++
			if !yield(rec, nil) {
				return false, nil
			}
		}
		entries = entries[:0]
		return true, nil
	}
	for {
		cursors = slices.DeleteFunc(cursors, func(c *cursor) bool { return len(c.page) == 0 })
		if len(cursors) == 0 {
			_, err := flush()
			return err
		}
		next := slices.MinFunc(cursors, func(a, b *cursor) int { return cmp.Compare(a.page[0].place(), b.page[0].place()) })
		at := next.page[0]
		if next.page = next.page[1:]; len(next.page) == 0 && !next.last {
			if err := r.turn(ctx, next, day, at.place(), size); err != nil {
				return err
			}
		}
		if skip > 0 {
			skip--
			continue
		}
		if entries = append(entries, at); len(entries) >= min(enough-given, listPage) {
			if on, err := flush(); !on || err != nil {
				return err
			}
		}
	}
}

func (r *Registry) cursors(cps []int64) []*cursor {
	var all []*cursor
	for _, cp := range cps {
		for _, part := range TreeParts(cp) {
			all = append(all, &cursor{set: part + daysSet})
		}
	}
	return all
}

// turn reads the next page of a shard.
func (r *Registry) turn(ctx context.Context, c *cursor, day, after string, size int) error {
	page, err := r.Store.MarksIn(ctx, c.set, inverted(day), after, size)
	if err != nil {
		return fmt.Errorf("list registrations: %w", err)
	}
	c.page, c.last = page, len(page) < size
	return nil
}

// place is where a mark lies in its set.
func (m Mark) place() string {
	_, place, _ := SplitMark(m.Name)
	return place
}

// readers is how many partitions are read at once.
const readers = 16

func (r *Registry) eachCursor(all []*cursor, read func(*cursor) error) error {
	errs := make([]error, len(all))
	var group sync.WaitGroup
	slots := make(chan struct{}, readers)
	for i, c := range all {
		slots <- struct{}{}
		group.Go(func() {
			errs[i] = read(c)
			<-slots
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// CountNewest counts what Newest gives, by the entries alone: for as long as a job has left one, by that one more.
func (r *Registry) CountNewest(ctx context.Context, cps []int64, day string) (int, error) {
	cursors := r.cursors(cps)
	if err := r.eachCursor(cursors, func(c *cursor) error { return r.turn(ctx, c, day, "", 0) }); err != nil {
		return 0, err
	}
	n := 0
	for _, c := range cursors {
		n += len(c.page)
	}
	return n, nil
}
