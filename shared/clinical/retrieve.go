package clinical

import (
	"context"
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
// one participant's events and one form's values, or those of a small participant, is in memory.
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
	// Scopes are the ids of the study and the sites that have participants who are given out, Last is the newest of them:
	// whoever came later is left out.
	Scopes []int64 `json:"scopes"`
	Last   int64   `json:"last"`
	// Scope and Subject are those of the last participant given out.
	Scope   int64 `json:"scope"`
	Subject int64 `json:"subject"`
}

// listPage is how many participants are read at once.
const listPage = 500

// errOthers means that a retrieval cannot go on where another one ended.
var errOthers = fault.New("COMMON_INVALID_REQUEST", "What you may see has changed while the data were collected. Ask for them again.")

// Find finds the participants, for a retrieval that begins (nil) or goes on from where another one has come. It tells how
// many ClinicalData the document has. What is gone since, or may not be seen any more, is a fault.
func (r *Retrieval) Find(ctx context.Context, from *Reached) (int, error) {
	if from != nil {
		r.at.Last = from.Last
	}
	var err error
	if r.found, err = r.participants(ctx); err != nil {
		return 0, err
	}
	for _, s := range r.Scopes {
		if len(r.found[s.ID]) > 0 {
			r.at.Scopes = append(r.at.Scopes, s.ID)
		}
	}
	if from != nil {
		if !slices.Equal(from.Scopes, r.at.Scopes) || !slices.Contains(r.found[from.Scope], from.Subject) {
			return 0, errOthers
		}
		r.at = *from
	}
	return len(r.at.Scopes), nil
}

// Resume emits the skeleton of what the retrieval before has emitted, for a writer whose output so far goes nowhere: it is
// then where that retrieval's was.
func (r *Retrieval) Resume(emit func(odm.Part) error) error {
	for _, s := range r.Scopes {
		if len(r.found[s.ID]) == 0 {
			continue
		}
		parts := []odm.Part{&odm.ClinicalData{StudyOID: s.OID}}
		if s.ID == r.at.Scope {
			for range 2 { // so that it is certain that there are several
				parts = append(parts, &odm.SubjectData{SubjectKey: "-"}, odm.EndSubjectData)
			}
		} else {
			parts = append(parts, odm.EndClinicalData)
		}
		for _, p := range parts {
			if err := emit(p); err != nil {
				return err
			}
		}
		if s.ID == r.at.Scope {
			break
		}
	}
	return nil
}

// Data emits a ClinicalData for each scope in which Find has found participants, or what is left of them. After each
// participant but the last of a scope done is called, unless it is nil; what it returns ends Data. The error is that of the store, of
// emit, or of done.
func (r *Retrieval) Data(ctx context.Context, emit func(odm.Part) error, done func(Reached) error) error {
	for _, s := range r.Scopes {
		left := r.found[s.ID]
		if len(left) == 0 || slices.Index(r.at.Scopes, s.ID) < slices.Index(r.at.Scopes, r.at.Scope) {
			continue
		}
		if s.ID == r.at.Scope {
			left = left[slices.Index(left, r.at.Subject)+1:]
		} else if err := emit(&odm.ClinicalData{StudyOID: s.OID, MetaDataVersionOID: "null"}); err != nil {
			return err
		}
		for i, id := range left {
			if err := r.subject(ctx, s.Meta, id, emit); err != nil {
				return err
			}
			r.at.Scope, r.at.Subject = s.ID, id
			if done == nil || i == len(left)-1 {
				continue
			}
			if err := done(r.at); err != nil {
				return err
			}
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
