package clinical

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"

	"aliquot/shared/biobank"
	"aliquot/shared/odm"
)

// history is the audit of a participant, ordered by what it is about (section 6.6).
type history struct {
	changes map[string][]change
}

// change is one property that changed: of an item group the item, of an event, a form or the participant a state.
type change struct {
	entry    *biobank.Entry
	property string
	old, new string
	inserted bool // there was no value before
}

// The places of changes besides sort keys.
const (
	subjectLevel = "a"
	formLevel    = "/form/"
)

// readHistory reads the entries that the chain of the participant leads to; others are void.
func readHistory(ctx context.Context, s biobank.Store, w *work) (*history, error) {
	trail, err := s.Trail(ctx, SubjectType, w.id)
	if err != nil {
		return nil, fmt.Errorf("read the audit of participant %d: %w", w.id, err)
	}
	chain, err := biobank.VerifyChain(w.head.rec, trail)
	if err != nil {
		return nil, err
	}
	h := &history{changes: map[string][]change{}}
	for _, e := range chain {
		var was, is map[string]map[string]any
		if err := json.Unmarshal(e.Before, &was); err != nil {
			return nil, fmt.Errorf("audit of participant %d: %w", w.id, err)
		}
		if err := json.Unmarshal(e.After, &is); err != nil {
			return nil, fmt.Errorf("audit of participant %d: %w", w.id, err)
		}
		for sort := range was {
			h.add(e, sort, was[sort], is[sort])
		}
	}
	for _, all := range h.changes {
		slices.SortStableFunc(all, func(a, b change) int {
			return cmp.Or(cmp.Compare(a.entry.Version, b.entry.Version), cmp.Compare(a.property, b.property))
		})
	}
	return h, nil
}

func (h *history) add(e *biobank.Entry, sort string, was, is map[string]any) {
	compare := func(place string, a, b map[string]any) {
		names := map[string]bool{}
		for n := range a {
			names[n] = true
		}
		for n := range b {
			names[n] = true
		}
		for n := range names {
			_, had := a[n]
			h.changes[place] = append(h.changes[place], change{entry: e, property: n, old: plain(a[n]), new: plain(b[n]), inserted: !had})
		}
	}
	inner := func(m map[string]any, name string) map[string]any {
		v, _ := m[name].(map[string]any)
		return v
	}
	if sort[0] == 'g' {
		compare(sort, inner(was, "values"), inner(is, "values"))
		return
	}
	before, after := inner(was, "forms"), inner(is, "forms")
	for oid := range after {
		if f := inner(before, oid); f != nil { // a form that began tells so itself
			compare(sort+formLevel+oid, f, inner(after, oid))
		}
	}
	delete(was, "forms")
	delete(is, "forms")
	compare(sort, was, is)
}

// plain is a value as a text.
func plain(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return yesNo(v)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(text)
}

// auditTypes are the changes of states that are told of, with the words for them; other properties follow from values.
var auditTypes = map[string]map[string]string{
	"event": {
		"status": "Study Event workflow status changed", "startDate": "Study Event start date changed",
		"endDate": "Study Event end date changed", "signed": "Study Event signed status changed",
		"locked": "Study Event locked status changed", "removed": "Study Event removed status changed",
		"archived": "Study Event archived status changed",
	},
	"form": {
		"status": "Event CRF workflow status changed", "sdv": "Event CRF SDV Status updated",
		"removed": "Event CRF removed status changed", "archived": "Event CRF archived status changed",
	},
	"subject": {"removed": "Participant status changed", "signed": "Participant status changed", "site": "Participant Site Assignment"},
}

// audits emits the changes of states at a place: a sort key, with formLevel and an OID for a form in an event.
func (g *given) audits(ctx context.Context, place string) error {
	if g.logs == nil {
		return nil
	}
	kind := "event"
	switch {
	case place == subjectLevel:
		kind = "subject"
	case g.isForm(place):
		kind = "form"
	}
	var out odm.AuditLogs
	for _, c := range g.logs.changes[place] {
		what := auditTypes[kind][c.property]
		if what == "" {
			continue
		}
		log, err := g.log(ctx, c.entry.By, c.entry.At, place, c.property, c.entry.Version)
		if err != nil {
			return err
		}
		log.AuditType, log.OldValue, log.NewValue, log.ValueType = what, c.old, c.new, c.property
		out.AuditLog = append(out.AuditLog, log)
	}
	if len(out.AuditLog) == 0 {
		return nil
	}
	return g.emit(&out)
}

func (g *given) isForm(place string) bool {
	_, isEvent := g.w.events[place]
	return !isEvent
}

// itemLogs are the changes of an item. That it was stored with the form it is in is told by the form; it is told of here
// where it came later, or was changed since.
func (g *given) itemLogs(ctx context.Context, h *held[Group], f *Form, group *GroupDef, oid, name string) ([]odm.AuditLog, error) {
	const updated = "Item data value updated"
	var changes []change
	for _, c := range g.logs.changes[h.rec.Key.Sort] {
		if c.property == oid {
			changes = append(changes, c)
		}
	}
	var out []odm.AuditLog
	first := updated
	if group != nil && group.Repeating {
		first = "Item data inserted for repeating row"
	}
	late := h.rec.CreatedAt != f.CreatedAt || h.rec.CreatedBy != f.CreatedBy
	if len(changes) == 0 && !late {
		return nil, nil
	}
	if len(changes) == 0 || !changes[0].inserted {
		value := h.doc.Values[oid]
		if len(changes) > 0 {
			value = changes[0].old
		}
		log, err := g.log(ctx, h.rec.CreatedBy, h.rec.CreatedAt, h.rec.Key.Sort, oid, 0)
		if err != nil {
			return nil, err
		}
		log.AuditType, log.NewValue, log.ValueType = first, value, name
		out = append(out, log)
	}
	for _, c := range changes {
		log, err := g.log(ctx, c.entry.By, c.entry.At, h.rec.Key.Sort, oid, c.entry.Version)
		if err != nil {
			return nil, err
		}
		log.AuditType, log.OldValue, log.NewValue, log.ValueType = updated, c.old, c.new, name
		if c.inserted {
			log.AuditType = first
		}
		out = append(out, log)
	}
	return slices.DeleteFunc(out, func(l odm.AuditLog) bool { return l.OldValue == "" && l.NewValue == "" }), nil
}

// log is an entry with a number that stays the same.
func (g *given) log(ctx context.Context, by, at int64, place, property string, version int64) (odm.AuditLog, error) {
	who, err := g.User(ctx, by)
	if err != nil {
		return odm.AuditLog{}, err
	}
	sum := fnv.New64a()
	fmt.Fprintf(sum, "%d %s %s %d", g.w.id, place, property, version)
	return odm.AuditLog{
		ID: fmt.Sprintf("AL_%d", sum.Sum64()>>16), UserID: UserOID(who.ID), UserName: who.Login, Name: who.Name, DateTimeStamp: moment(at),
	}, nil
}
