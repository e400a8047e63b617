package biobank

import (
	"context"

	"aliquot/shared/fault"
)

// ContainerRef asks for a container that is made together with what is stored in it (reference openspecimen-rest.md 15.2):
// of a type, at a place in another container.
type ContainerRef struct {
	Kind     TypeRef
	Location LocationRef
}

// sent tells whether a container was asked for at all.
func (r *ContainerRef) sent() bool { return r != nil && (r.Kind != TypeRef{} || !r.Location.None()) }

// into finds the container that a specimen is to be stored in. Where the draft tells how to make one, and there is none of
// the name, it is made: by the name that the storage location has, or else the one that its type makes. Specimens of one
// request that name the same new container share it.
func (d *SpecimenDraft) into(ctx context.Context, b *Batch, c *Change, where LocationRef, cp *protocolInfo, doc *SpecimenDoc) (*Branch, error) {
	if !d.NewContainer.sent() {
		return b.storageFor(ctx, where, cp, doc)
	}
	if made := b.made[Fold(where.Name)]; made != nil && where.Name != "" {
		return b.admitting(made, cp, doc)
	}
	if !where.None() {
		found, err := b.containersNamed(ctx, []LocationRef{where})
		if err != nil {
			return nil, err
		}
		if found[0] != nil || where.Name == "" {
			return b.storageFor(ctx, where, cp, doc)
		}
	}
	switch {
	case d.NewContainer.Location.None():
		return nil, fault.New("SPECIMEN_PARENT_CONTAINER_REQ", "Give the containerLocation of the container that is to be made.")
	case d.NewContainer.Kind == TypeRef{}:
		return nil, fault.New("SPECIMEN_CONTAINER_TYPE_REQ", "Give the containerTypeId or containerTypeName of the container that is to be made.")
	}
	box := &ContainerDraft{Kind: &d.NewContainer.Kind, Location: &d.NewContainer.Location, Doc: ContainerDoc{Name: where.Name, Barcode: where.Barcode}}
	br, err := box.save(ctx, b, as(c, 0), &Outcome{}, nil)
	if err != nil {
		return nil, err
	}
	if b.made == nil {
		b.made = map[string]*Branch{}
	}
	b.made[Fold(br.Doc().Name)] = br
	b.stocks[br.ID()] = &stock{marks: map[Location]Mark{}, sure: true}
	return b.admitting(br, cp, doc)
}
