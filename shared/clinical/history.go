package clinical

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"

	"aliquot/shared/biobank"
	"aliquot/shared/odm"
)

// history is the audit of a participant, by what it is about (section 6.6). States are few and all in memory. Values are, too,
// where they are small enough together; else they are read anew for some forms at a time, in the order in which forms are
// given out, so that memory does not grow with what has happened.
type history struct {
	store biobank.Store
	head  *biobank.Record
	most  int // bytes of values in memory, but for those of one form

	states map[string][]change // by sort key, with formLevel and an OID for a form
	values map[string][]change // by the sort key of the item group
	sizes  map[string]int      // of the values, by the prefix of the form
	whole  bool                // all values are in memory
	read   map[string]bool     // the forms of which they are
}

// change is one property that changed: of an item group the item, of an event, a form or the participant a state.
type change struct {
	by, at, version int64
	property        string
	old, new        string
	inserted        bool   // there was no value before
	reason          string // as it was told
	removal         bool   // of the repeat with all its values; it comes after what else was changed with it
	attested        []string
}

// attestations is the property of an event that tells what was said of its signatures.
const attestations = "attestations"

// size is about how many bytes a change takes.
func (c *change) size() int { return 100 + len(c.property) + len(c.old) + len(c.new) }

// The places of changes besides sort keys.
const (
	subjectLevel = "a"
	formLevel    = "/form/"
)

// heldAudits is how many bytes of changed values are in memory at once.
const heldAudits = 16 << 20

// readHistory reads the entries that the chain of the participant leads to; others are void.
func readHistory(ctx context.Context, s biobank.Store, w *work, most int) (*history, error) {
	h := &history{
		store: s, head: w.head.rec, most: most, states: map[string][]change{}, values: map[string][]change{}, sizes: map[string]int{},
		whole: true,
	}
	if w.head.rec.Head == "" && w.head.doc.Entries == 0 {
		return h, nil // what came new needs no entry, and the participant's version counts it all the same
	}
	held := 0
	err := h.walk(ctx, func(sort string, c change) {
		if sort[0] != 'g' {
			h.states[sort] = append(h.states[sort], c)
			return
		}
		h.sizes[formOf(sort)] += c.size()
		if held += c.size(); held > h.most {
			h.whole, h.values = false, nil
		}
		if h.whole {
			h.values[sort] = append(h.values[sort], c)
		}
	})
	order(h.states)
	order(h.values)
	return h, err
}

// formOf is the prefix of the form that an item group is in.
func formOf(group string) string {
	at := 0
	for range 4 {
		at += strings.IndexByte(group[at:], '/') + 1
	}
	return group[:at]
}

// need sees to it that the values of the first of some forms are in memory, and those of as many of the next ones as there
// is room for.
func (h *history) need(ctx context.Context, forms []string) error {
	if h.whole || h.read[forms[0]] || h.sizes[forms[0]] == 0 {
		return nil
	}
	h.values, h.read = map[string][]change{}, map[string]bool{}
	room := h.most
	for _, f := range forms {
		if room -= h.sizes[f]; room < 0 && len(h.read) > 0 {
			break
		}
		h.read[f] = true
	}
	err := h.walk(ctx, func(sort string, c change) {
		if sort[0] == 'g' && h.read[formOf(sort)] {
			h.values[sort] = append(h.values[sort], c)
		}
	})
	order(h.values)
	return err
}

// order puts changes that were read newest first into the order in which they are told.
func order(changes map[string][]change) {
	for _, all := range changes {
		slices.SortStableFunc(all, func(a, b change) int {
			return cmp.Or(cmp.Compare(a.version, b.version), strings.Compare(YesNo(a.removal), YesNo(b.removal)), cmp.Compare(a.property, b.property))
		})
	}
}

// walk gives what has changed to take, with its place: values, and the states that are told of.
func (h *history) walk(ctx context.Context, take func(sort string, c change)) error {
	return biobank.WalkChain(ctx, h.store, h.head, func(e *biobank.Entry) error {
		var was, is map[string]map[string]any
		if err := json.Unmarshal(e.Before, &was); err != nil {
			return fmt.Errorf("audit of participant %d: %w", e.ID, err)
		}
		if err := json.Unmarshal(e.After, &is); err != nil {
			return fmt.Errorf("audit of participant %d: %w", e.ID, err)
		}
		for sort := range was {
			changes(e, sort, was[sort], is[sort], take)
		}
		return nil
	})
}

// changes gives to take what an entry tells of one record.
func changes(e *biobank.Entry, sort string, was, is map[string]any, take func(string, change)) {
	reason := e.Reason
	if reason == byImport { // which is none
		reason = ""
	}
	compare := func(place string, a, b map[string]any, told audited) {
		names := maps.Clone(a)
		if names == nil {
			names = map[string]any{}
		}
		maps.Copy(names, b)
		for n := range names {
			if told != nil && told.property(n) == nil {
				continue
			}
			_, had := a[n]
			take(place, change{by: e.By, at: e.At, version: e.Version, property: n, old: plain(a[n], b[n]), new: plain(b[n], a[n]), inserted: !had, reason: reason})
		}
	}
	inner := func(m map[string]any, name string) map[string]any {
		v, _ := m[name].(map[string]any)
		return v
	}
	switch {
	case sort[0] == 'g':
		compare(sort, inner(was, "values"), inner(is, "values"), nil)
		if is["removed"] == true {
			take(sort, change{by: e.By, at: e.At, version: e.Version, reason: reason, removal: true})
		}
	case sort == subjectLevel:
		compare(sort, was, is, auditedSubject)
	case sort[0] == 'a':
		before, after := inner(was, "forms"), inner(is, "forms")
		for oid := range after {
			if f := inner(before, oid); f != nil { // a form that began tells so itself
				compare(sort+formLevel+oid, f, inner(after, oid), auditedForm)
			}
		}
		compare(sort, was, is, auditedEvent)
		if added := textsOf(is[attestations])[len(textsOf(was[attestations])):]; len(added) > 0 { // there are never fewer
			take(sort, change{by: e.By, at: e.At, version: e.Version, property: attestations, reason: reason, attested: added})
		}
	}
}

func textsOf(v any) (texts []string) {
	list, _ := v.([]any)
	for _, one := range list {
		text, _ := one.(string)
		texts = append(texts, text)
	}
	return texts
}

// plain is a value as a text. A flag that is not there beside one that is, is off.
func plain(v, other any) string {
	switch v := v.(type) {
	case nil:
		if _, flag := other.(bool); flag {
			return YesNo(false)
		}
		return ""
	case string:
		return v
	case bool:
		return YesNo(v)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(text)
}

// itemLogs are the changes of an item. That it was stored with the form it is in is told by the form; it is told of here
// where it came later, or was changed since. The reason of a change is what its note says.
func (g *given) itemLogs(ctx context.Context, h *held[Group], f *Form, group *GroupDef, oid, name string, notes []*Thread) ([]odm.AuditLog, error) {
	const updated = "Item data value updated"
	var changes []change
	for _, c := range g.logs.values[h.rec.Key.Sort] {
		if c.property == oid || c.removal {
			changes = append(changes, c)
		}
	}
	var out []odm.AuditLog
	first := updated
	if group != nil && group.Repeating {
		first = "Item data inserted for repeating row"
	}
	late := h.rec.CreatedBy != f.CreatedBy || h.rec.CreatedAt != f.CreatedAt && importOf(h.rec.Source) != f.Import
	if len(changes) == 0 && !late {
		return nil, nil
	}
	if len(changes) == 0 || !changes[0].inserted {
		value := h.doc.Values[oid]
		if len(changes) > 0 && !changes[0].removal {
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
		if c.removal { // of the repeat, whose values stay as they were
			log, err := g.log(ctx, c.by, c.at, h.rec.Key.Sort, oid+" removed", c.version)
			if err != nil {
				return nil, err
			}
			log.AuditType, log.OldValue, log.ValueType = "Item data deleted", h.doc.Values[oid], name
			out = append(out, log)
			continue
		}
		log, err := g.log(ctx, c.by, c.at, h.rec.Key.Sort, oid, c.version)
		if err != nil {
			return nil, err
		}
		log.AuditType, log.OldValue, log.NewValue, log.ValueType = updated, c.old, c.new, name
		if c.inserted {
			log.AuditType = first
		}
		log.ReasonForChange = reasonFor(notes, c)
		out = append(out, log)
	}
	return slices.DeleteFunc(out, func(l odm.AuditLog) bool { return l.OldValue == "" && l.NewValue == "" }), nil
}

// importOf is the job of a plan's source.
func importOf(source string) string {
	job, _, _ := strings.Cut(source, "#")
	return job
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
