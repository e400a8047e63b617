package biobank

import (
	"context"
	"slices"
	"time"

	"aliquot/shared/fault"
)

// ContainersDraft is new containers that are made together, all or none, some of them in others of them.
type ContainersDraft struct{ Nodes []*ContainerNode }

// ContainerNode is one of them. One with a parent lies in that, whatever its draft says; the parent comes before it.
type ContainerNode struct {
	Draft  *ContainerDraft
	Parent *ContainerNode
	// OfType has it lie only in a container whose type holds its own, where that holds a certain one.
	OfType bool
	// Record is what became of it.
	Record *Record
	branch *Branch // while it is planned
}

func (*ContainersDraft) recordType() Type { return Container }

func (d *ContainersDraft) want(ctx context.Context, b *Batch, c *Change) error {
	for _, n := range d.Nodes {
		if err := n.Draft.want(ctx, b, c); err != nil {
			return err
		}
		if n.Parent != nil && n.Parent.Record != nil {
			b.wantRec(n.Parent.Record.Key)
		}
	}
	return nil
}

func (d *ContainersDraft) read(ctx context.Context, b *Batch, c *Change) error {
	for _, n := range d.Nodes {
		if err := n.Draft.read(ctx, b, c); err != nil {
			return err
		}
	}
	return nil
}

func (d *ContainersDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	for _, n := range d.Nodes {
		n.branch = nil
	}
	for _, n := range d.Nodes {
		var into *Branch
		if n.Parent != nil {
			if into = n.Parent.branch; into == nil { // made before
				var err error
				if into, err = b.branch(ctx, n.Parent.Record); err != nil {
					return err
				}
			}
		}
		made := &Outcome{}
		draft := *n.Draft // its lists are brought into canonical form
		br, err := draft.save(ctx, b, c, made, into)
		if err != nil {
			return err
		}
		if err := n.typed(ctx, b, br); err != nil {
			return err
		}
		n.branch, n.Record = br, made.Record
		b.stocks[br.ID()] = &stock{marks: map[Location]Mark{}, sure: true}
		o.Record, o.Changed = made.Record, true
	}
	return nil
}

func (n *ContainerNode) typed(ctx context.Context, b *Batch, br *Branch) error {
	if !n.OfType || len(br.Docs) < 2 {
		return nil
	}
	kind, err := b.rec(ctx, setKeyOrNone(ContainerType, br.Docs[1].TypeID))
	if err != nil {
		return err
	}
	doc, err := Decode[ContainerTypeDoc](kind)
	if err == nil && doc.CanHold != 0 && doc.CanHold != br.Doc().TypeID {
		err = fault.New("CONTAINER_TYPE_CANNOT_HOLD_CONTAINER", "Containers of type %q hold another type.", doc.Name)
	}
	return err
}

// CreateContainers makes containers, up to 16 of them all or none. More are made 16 at a time, after all of them were
// checked: a fault of one means that none was begun. What others do meanwhile can still stop it half-way.
func (r *Registry) CreateContainers(ctx context.Context, a *Actor, at time.Time, c Change, nodes []*ContainerNode) ([]*Record, error) {
	const together = 16 // each is four items of a transaction, and up to two that it stands on
	c.Op = Create
	if len(nodes) > together {
		var groups []Change
		for some := range slices.Chunk(nodes, together) {
			one := c
			one.Draft = &ContainersDraft{Nodes: some}
			groups = append(groups, one)
		}
		if err := r.Check(ctx, a, at, groups); err != nil {
			return nil, err
		}
		for _, n := range nodes {
			n.branch, n.Record = nil, nil
		}
	}
	for from := 0; from < len(nodes); from += together {
		some := nodes[from:min(from+together, len(nodes))]
		one := c
		one.Draft = &ContainersDraft{Nodes: some}
		if _, err := r.one(ctx, a, at, one); err != nil {
			return nil, err
		}
		for _, n := range some {
			n.branch = nil // of the next ones it is read
		}
	}
	recs := make([]*Record, len(nodes))
	for i, n := range nodes {
		recs[i] = n.Record
	}
	return recs, nil
}
