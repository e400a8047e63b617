package biobank

import (
	"context"
	"encoding/json"
	"fmt"

	"aliquot/shared/fault"
)

// Workflows is the type of the record with a protocol's workflow settings: one for each protocol, under its id.
const Workflows Type = "cp.workflows"

// Workflow is a named setting of how clients work with a protocol. Its data is the client's own: it is kept as it was sent.
type Workflow struct {
	Name string          `json:"name"`
	Data json.RawMessage `json:"data"`
}

// WorkflowsDoc is the workflow settings of a protocol (reference openspecimen-rest.md section 9), by name.
type WorkflowsDoc struct {
	Workflows map[string]json.RawMessage `json:"workflows"`
}

// put sets workflows by name.
func (d *WorkflowsDoc) put(l *fault.List, list []Workflow) {
	if d.Workflows == nil {
		d.Workflows = map[string]json.RawMessage{}
	}
	for _, w := range list {
		if w.Name == "" {
			l.Add("COMMON_INVALID_INPUT", "Give the name of each workflow.")
			continue
		}
		tooLong(l, "The name of a workflow", w.Name, 255)
		d.Workflows[w.Name] = w.Data
	}
}

// WorkflowsDraft sets the workflows of the protocol with this id: the whole set, or, with Patch, those that are given.
type WorkflowsDraft struct {
	ProtocolID int64
	Workflows  []Workflow
	Patch      bool
}

func workflowsKey(cp int64) Key { return Key{ProtocolPart(cp), "workflows"} }

func (*WorkflowsDraft) recordType() Type { return Workflows }

func (d *WorkflowsDraft) want(context.Context, *Batch, *Change) error { return nil }

func (d *WorkflowsDraft) read(_ context.Context, b *Batch, _ *Change) error {
	b.wantRec(SetKey(Protocol, d.ProtocolID))
	b.wantRec(workflowsKey(d.ProtocolID))
	return nil
}

func (d *WorkflowsDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	cp, err := b.protocol(ctx, ProtocolRef{ID: d.ProtocolID})
	if err != nil {
		return err
	}
	if !b.can(ResProtocol, OpUpdate, cp) {
		return denied("change the workflows of collection protocol " + b.actor.calls(cp))
	}
	rec, err := b.rec(ctx, workflowsKey(cp.id))
	if err != nil {
		return err
	}
	var is WorkflowsDoc
	if d.Patch {
		if is, err = Decode[WorkflowsDoc](rec); err != nil {
			return err
		}
	}
	var l fault.List
	is.put(&l, d.Workflows)
	if len(l) > 0 {
		return l
	}
	if rec == nil {
		return b.insert(c, Workflows, workflowsKey(cp.id), cp.id, &is, o)
	}
	return b.change(c, rec, &is, o)
}

// WorkflowsOf reads the workflow settings of a protocol that the actor may see; none were set is an empty map.
func (r *Registry) WorkflowsOf(ctx context.Context, a *Actor, cp int64) (*Record, map[string]json.RawMessage, error) {
	rec, err := r.Get(ctx, a, Protocol, cp)
	if err != nil {
		return nil, nil, err
	}
	key := workflowsKey(cp)
	recs, err := r.Store.Records(ctx, []Key{key}, true)
	if err != nil {
		return nil, nil, fmt.Errorf("read the workflows of protocol %d: %w", cp, err)
	}
	doc, err := Decode[WorkflowsDoc](recs[key])
	if doc.Workflows == nil {
		doc.Workflows = map[string]json.RawMessage{}
	}
	return rec, doc.Workflows, err
}
