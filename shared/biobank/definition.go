package biobank

import (
	"context"
	"fmt"

	"aliquot/shared/fault"
)

// DefinitionDraft is a new protocol with its events, their requirements and its workflows (reference openspecimen-rest.md
// section 9, definition and copy): all of it is saved or none.
//
// What one transaction holds is saved in one. Of a larger definition the events and requirements are written first, below
// an id that no protocol has yet, and the protocol comes last, with its names and in one transaction. So nobody ever sees
// half of it: where it is cut short, items are left that nothing leads to, and it is asked for again.
type DefinitionDraft struct {
	Protocol  *ProtocolDraft
	Events    []*EventNode
	Workflows []Workflow
}

// EventNode is a new event with its requirements. It is a draft of its own, for a protocol that is there.
type EventNode struct {
	Draft        *EventDraft
	Requirements []*RequirementNode
}

func (*DefinitionDraft) recordType() Type { return Protocol }
func (*EventNode) recordType() Type       { return Event }

func (d *DefinitionDraft) want(ctx context.Context, b *Batch, c *Change) error {
	return d.Protocol.want(ctx, b, c)
}

func (d *DefinitionDraft) read(ctx context.Context, b *Batch, c *Change) error {
	return d.Protocol.read(ctx, b, c)
}

func (d *DefinitionDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	if err := d.Protocol.plan(ctx, b, c, o); err != nil {
		return err
	}
	cp := &protocolInfo{rec: o.Record, id: o.Record.ID}
	var err error
	if cp.doc, err = Decode[ProtocolDoc](o.Record); err != nil {
		return err
	}
	ids, err := b.definitionIDs(ctx, c, d.Events)
	if err != nil {
		return err
	}
	var l fault.List
	if cp.doc.SpecimenCentric {
		err = d.layHidden(ctx, b, c, &l, cp, ids)
	} else {
		err = d.lay(ctx, b, c, &l, cp, ids)
	}
	if err != nil {
		return err
	}
	if err := d.workflows(b, c, &l, cp.id); err != nil {
		return err
	}
	if len(l) > 0 {
		return l
	}
	return b.ahead(ctx, o.Record.Key)
}

// lay plans the events.
func (d *DefinitionDraft) lay(ctx context.Context, b *Batch, c *Change, l *fault.List, cp *protocolInfo, ids *idBlock) error {
	for _, e := range d.Events {
		if _, err := e.lay(ctx, b, c, l, cp, ids); err != nil {
			return err
		}
	}
	return nil
}

// layHidden plans the requirements of a specimen-centric protocol, which belong to its hidden event whatever the event is
// called that they come with.
func (d *DefinitionDraft) layHidden(ctx context.Context, b *Batch, c *Change, l *fault.List, cp *protocolInfo, ids *idBlock) error {
	event := &eventInfo{id: cp.doc.Hidden.EventID, doc: EventDoc{Label: hiddenName("event", cp.id), ActivityStatus: StatusActive}}
	cp.events = []*eventInfo{event}
	for _, e := range d.Events {
		if err := b.layAll(ctx, c, l, cp, event, nil, false, e.Requirements, ids); err != nil {
			return err
		}
	}
	return nil
}

func (d *DefinitionDraft) workflows(b *Batch, c *Change, l *fault.List, cp int64) error {
	if len(d.Workflows) == 0 {
		return nil
	}
	var doc WorkflowsDoc
	doc.put(l, d.Workflows)
	return b.insert(c, Workflows, workflowsKey(cp), cp, &doc, &Outcome{})
}

func (n *EventNode) want(context.Context, *Batch, *Change) error { return nil }
func (n *EventNode) read(context.Context, *Batch, *Change) error { return nil }

func (n *EventNode) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	cp, err := n.Draft.protocol(ctx, b)
	if err != nil {
		return err
	}
	delete(b.protocols, cp.id)
	ids, err := b.definitionIDs(ctx, c, []*EventNode{n})
	if err != nil {
		return err
	}
	var l fault.List
	if o.Record, err = n.lay(ctx, b, c, &l, cp, ids); err != nil {
		return err
	}
	if len(l) > 0 {
		return l
	}
	o.Changed = true
	return b.ahead(ctx, o.Record.Key)
}

// lay plans an event and what lies below it, and adds it to the protocol's, by which later ones are checked.
func (n *EventNode) lay(ctx context.Context, b *Batch, c *Change, l *fault.List, cp *protocolInfo, ids *idBlock) (*Record, error) {
	is := n.Draft.Doc
	cannotBegin(l, is.ActivityStatus)
	if err := n.Draft.check(ctx, b, l, cp, &is, 0); err != nil {
		return nil, err
	}
	event := &eventInfo{id: ids.next(Event), doc: is}
	cp.events = append(cp.events, event)
	key := EventKey(cp.id, event.id)
	b.claim(c, uniqueEvent, is.Label, cp.eventMark(is.Label), key, event.id, "")
	if is.Code != "" {
		b.claim(c, uniqueEventCode, is.Code, cp.eventCodeMark(is.Code), key, event.id, "")
	}
	o := &Outcome{}
	if err := b.standOn(ctx, SetKey(Protocol, cp.id)); err != nil {
		return nil, err
	}
	if err := b.insert(c, Event, key, event.id, &is, o); err != nil {
		return nil, err
	}
	event.rec = o.Record
	return event.rec, b.layAll(ctx, c, l, cp, event, nil, false, n.Requirements, ids)
}

// idBlock is a run of ids for each type, drawn at once.
type idBlock struct{ at map[Type]int64 }

func (i *idBlock) next(t Type) int64 {
	i.at[t]++
	return i.at[t] - 1
}

// idBlock draws ids for n records of each type. The row of a job that makes one takes that which is set aside for it.
func (b *Batch) idBlock(ctx context.Context, c *Change, n map[Type]int64) (*idBlock, error) {
	ids := &idBlock{at: map[Type]int64{}}
	for t, count := range n {
		if count == 0 {
			continue
		}
		if set, ok := c.Reserved[string(t)]; ok && count == 1 {
			ids.at[t] = set + c.Row
			continue
		}
		first, err := b.store.Reserve(ctx, string(t), count)
		if err != nil {
			return nil, fmt.Errorf("draw from counter %s: %w", t, err)
		}
		ids.at[t] = first
	}
	return ids, nil
}

func (b *Batch) definitionIDs(ctx context.Context, c *Change, events []*EventNode) (*idBlock, error) {
	var reqs int64
	for _, e := range events {
		reqs += countNodes(e.Requirements)
	}
	return b.idBlock(ctx, c, map[Type]int64{Event: int64(len(events)), Requirement: reqs})
}

// ahead writes what lies below a new record before that record, where one transaction does not hold it all: nothing leads
// to it until the record is there. The names of the record are looked at before, so that a name that is taken is told
// while nothing has been written.
func (b *Batch) ahead(ctx context.Context, root Key) error {
	total := 0
	for _, round := range b.writes {
		total += len(round)
	}
	if total <= maxTransaction || b.bulk {
		return nil
	}
	opening := false
	for i := range b.writes[roundNames] {
		w := &b.writes[roundNames][i]
		if w.unique == nil || w.Mark.To != root {
			continue
		}
		if err := b.settleMark(ctx, w, &opening); err != nil {
			return err
		}
		if err := b.failed[w.row]; err != nil {
			b.failed[w.row] = nil
			return err
		}
	}
	for round := range b.writes {
		kept := b.writes[round][:0]
		b.bufs = b.bufs[:0]
		flush := func() error {
			if len(b.bufs) == 0 {
				return nil
			}
			// Their ids were drawn for them alone: what exists was written by an earlier try of the same request.
			_, err := b.store.Write(ctx, false, b.bufs)
			b.bufs = b.bufs[:0]
			return err
		}
		for _, w := range b.writes[round] {
			if w.Record != nil && w.Record.Key == root || w.Record == nil && w.Mark.To == root {
				kept = append(kept, w)
				continue
			}
			if b.bufs = append(b.bufs, w.Write); len(b.bufs) == MaxBatch {
				if err := flush(); err != nil {
					return err
				}
			}
		}
		if err := flush(); err != nil {
			return err
		}
		b.writes[round] = kept
	}
	return nil
}
