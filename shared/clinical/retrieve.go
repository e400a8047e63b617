package clinical

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
	"aliquot/shared/odm"
)

// Person is a user as documents show one.
type Person struct {
	ID          int64
	Login, Name string
}

// Retrieval gives out clinical data as parts of an ODM document (section 6), participant by participant; of no more than
// one participant's events and a page of a form's item groups, or those of a small participant, is in memory. Who has nothing
// of the events and the form that are asked for is not in it.
type Retrieval struct {
	Store biobank.Store
	// Scopes are the study and the sites whose participants are given out, in that order: those that were asked for and that
	// the user may see.
	Scopes []Scope
	// Study is the id of the study.
	Study int64
	// Participant is an OID or an ID, Form the OID of a form or of a version; empty for all.
	Participant string
	Events      []Occurrence // none: all
	Form        string
	// Audits, Notes and Archived tell what is given out besides.
	Audits, Notes, Archived bool
	// User finds who did something.
	User func(ctx context.Context, id int64) (Person, error)

	found map[int64][]int64 // participants by site
	at    Reached
	// auditsHeld is how many bytes of changed values are in memory at once, 0 for the usual.
	auditsHeld int
}

// Occurrence selects an event, or one of its repeats.
type Occurrence struct {
	Event string
	Key   int // 0: all
}

// Reached tells how far a retrieval has come, so that another one can go on where it ended.
type Reached struct {
	// Scopes are the ids of the study and the sites that have participants who may be given out, Last is the newest of them:
	// whoever came later is left out.
	Scopes []int64 `json:"scopes"`
	Last   int64   `json:"last"`
	// Counts are how many participants of each scope are given out, as far as was told: 0, 1, or 2 for several.
	Counts []int `json:"counts"`
	// Scope and Subject are those of the last participant given out, Given is how many there were of its scope.
	Scope   int64 `json:"scope"`
	Subject int64 `json:"subject"`
	Given   int   `json:"given"`
}

const (
	// listPage is how many participants are read at once.
	listPage = 500
	// sought is of how many participants it is looked up at once whether they have what is asked for.
	sought = 100
)

// errOthers means that a retrieval cannot go on where another one ended.
var errOthers = fault.New("COMMON_INVALID_REQUEST", "What you may see has changed while the data were collected. Ask for them again.").WithKind(fault.Busy)

// Find finds the participants, for a retrieval that begins (nil) or goes on from where another one has come. What is gone
// since, or may not be seen any more, is a fault. Where events or a form are asked for it looks for the first two participants
// of each scope who have some, since documents tell that before: until they are found, it costs a read for every 100
// participants and one for each who has the event.
func (r *Retrieval) Find(ctx context.Context, from *Reached) error {
	if from != nil {
		r.at.Last = from.Last
	}
	var err error
	if r.found, err = r.participants(ctx); err != nil {
		return err
	}
	for _, s := range r.Scopes {
		if len(r.found[s.ID]) > 0 {
			r.at.Scopes = append(r.at.Scopes, s.ID)
		}
	}
	if from != nil {
		if !slices.Equal(from.Scopes, r.at.Scopes) || len(from.Counts) != len(from.Scopes) || !slices.Contains(r.found[from.Scope], from.Subject) {
			return errOthers
		}
		r.at = *from
		return nil
	}
	for _, s := range r.Scopes {
		if len(r.found[s.ID]) > 0 {
			n, err := r.count(ctx, s)
			if err != nil {
				return err
			}
			r.at.Counts = append(r.at.Counts, n)
		}
	}
	return nil
}

// count tells how many participants of a scope are given out: 0, 1, or 2 for several.
func (r *Retrieval) count(ctx context.Context, s Scope) (n int, err error) {
	if !r.narrowed() {
		return min(len(r.found[s.ID]), 2), nil
	}
	err = r.each(ctx, s, r.found[s.ID], func(id int64) (goOn bool, err error) {
		w, err := open(ctx, r.Store, id)
		if err != nil || w == nil {
			return true, err
		}
		if g := (given{Retrieval: r, w: w, meta: s.Meta}); len(g.shown()) > 0 {
			n++
		}
		return n < 2, nil
	})
	return n, err
}

// narrowed tells whether only those are given out who have some event or form.
func (r *Retrieval) narrowed() bool { return len(r.Events) > 0 || r.Form != "" }

// each calls do with those of some participants who may have what is asked for, in order, until it has enough.
func (r *Retrieval) each(ctx context.Context, s Scope, ids []int64, do func(id int64) (goOn bool, err error)) error {
	wanted := r.wanted(s.Meta)
	if r.narrowed() && len(wanted) == 0 {
		return nil
	}
	for some := range slices.Chunk(ids, sought) {
		var keys []biobank.Key
		for _, id := range some {
			for _, o := range wanted {
				keys = append(keys, EventKey(id, Fold(o.Event), o.Key))
			}
		}
		var recs map[biobank.Key]*biobank.Record
		if len(keys) > 0 {
			var err error
			if recs, err = r.Store.Records(ctx, keys, true); err != nil {
				return fmt.Errorf("look for events: %w", err)
			}
		}
		for i, id := range some {
			own := keys[i*len(wanted) : (i+1)*len(wanted)]
			if r.narrowed() && !slices.ContainsFunc(own, func(k biobank.Key) bool { return recs[k] != nil }) {
				continue
			}
			if goOn, err := do(id); err != nil || !goOn {
				return err
			}
		}
	}
	return nil
}

// wanted are occurrences of which whoever has what is asked for has one: those asked for, and the first one where all are,
// since they are numbered from 1 without gaps. It is empty where the study has no such event or form, or all are asked for.
func (r *Retrieval) wanted(meta *Metadata) (all []Occurrence) {
	if !r.narrowed() {
		return nil
	}
	for _, def := range meta.Events {
		if form := meta.Form(r.Form); r.Form != "" && (form == nil || def.Ref(form) == nil) {
			continue
		}
		asked := r.Events
		if len(asked) == 0 {
			asked = []Occurrence{{Event: def.OID}}
		}
		for _, o := range asked {
			if one := (Occurrence{def.OID, max(o.Key, 1)}); Fold(o.Event) == Fold(def.OID) && o.Key >= 0 && !slices.Contains(all, one) {
				all = append(all, one)
			}
		}
	}
	return all
}

// told is how many ClinicalData the document has.
func (r *Retrieval) told() odm.Coming {
	n := odm.Coming(0)
	for _, count := range r.at.Counts {
		if count > 0 {
			n++
		}
	}
	return n
}

// of is how many participants of a scope are given out.
func (r *Retrieval) of(s Scope) int {
	if i := slices.Index(r.at.Scopes, s.ID); i >= 0 {
		return r.at.Counts[i]
	}
	return 0
}

// Resume emits the skeleton of what the retrieval before has emitted, for a writer whose output so far goes nowhere: it is
// then where that retrieval's was.
func (r *Retrieval) Resume(emit func(odm.Part) error) error {
	parts := []odm.Part{r.told()}
	for _, s := range r.Scopes {
		n := r.of(s)
		if n == 0 {
			continue
		}
		parts = append(parts, &odm.ClinicalData{StudyOID: s.OID}, odm.Coming(n))
		for range n {
			parts = append(parts, &odm.SubjectData{SubjectKey: "-"}, odm.EndSubjectData)
		}
		if s.ID == r.at.Scope {
			break
		}
		parts = append(parts, odm.EndClinicalData)
	}
	for _, p := range parts {
		if err := emit(p); err != nil {
			return err
		}
	}
	return nil
}

// Data emits a ClinicalData for each scope in which Find has found participants, or what is left of them. After each
// participant but the last of a scope done is called, unless it is nil; what it returns ends Data. The error is that of the
// store, of emit, or of done.
func (r *Retrieval) Data(ctx context.Context, emit func(odm.Part) error, done func(Reached) error) error {
	begun := slices.Index(r.at.Scopes, r.at.Scope)
	if begun < 0 {
		if err := emit(r.told()); err != nil {
			return err
		}
	}
	for _, s := range r.Scopes {
		n, at := r.of(s), slices.Index(r.at.Scopes, s.ID)
		if n == 0 || at < begun {
			continue
		}
		left := r.found[s.ID]
		if at == begun {
			left = left[slices.Index(left, r.at.Subject)+1:]
		} else {
			r.at.Scope, r.at.Given = s.ID, 0
			if err := errors.Join(emit(&odm.ClinicalData{StudyOID: s.OID, MetaDataVersionOID: "null"}), emit(odm.Coming(n))); err != nil {
				return err
			}
		}
		if n == 1 && r.at.Given == 1 {
			left = nil // who comes to have it by now was not told of
		}
		err := r.each(ctx, s, left, func(id int64) (goOn bool, err error) {
			is, err := r.subject(ctx, s.Meta, id, emit)
			if err != nil || !is {
				return true, err
			}
			r.at.Subject, r.at.Given = id, r.at.Given+1
			if n == 1 {
				return false, nil
			}
			if done != nil && id != left[len(left)-1] {
				err = done(r.at)
			}
			return true, err
		})
		switch {
		case err != nil:
			return err
		case r.at.Given < n:
			return errOthers // some have been archived since they were found
		}
		if err := emit(odm.EndClinicalData); err != nil {
			return err
		}
	}
	return nil
}

// participants are the ids of those asked for, by site, in the order in which they came: 8 bytes for each are in memory.
func (r *Retrieval) participants(ctx context.Context) (map[int64][]int64, error) {
	out := map[int64][]int64{}
	if r.Participant != "" {
		byOID, byLabel, err := FindSubject(ctx, r.Store, r.Study, r.Participant, r.Participant)
		if byOID != nil {
			byLabel = []Listed{*byOID}
		}
		for _, l := range byLabel {
			out[l.Site] = append(out[l.Site], l.ID)
		}
		return out, err
	}
	part, after, goesOn := ListKey(r.Study, 0).Part, "", r.at.Last > 0
	for {
		recs, err := r.Store.List(ctx, part, "", after, listPage)
		if err != nil {
			return nil, fmt.Errorf("list participants: %w", err)
		}
		for _, rec := range recs {
			l, err := biobank.Decode[Listed](rec)
			if err != nil {
				return nil, err
			}
			if after = rec.Key.Sort; goesOn && l.ID > r.at.Last {
				return out, nil
			}
			out[l.Site] = append(out[l.Site], l.ID)
			r.at.Last = max(r.at.Last, l.ID)
		}
		if len(recs) < listPage {
			return out, nil
		}
	}
}
