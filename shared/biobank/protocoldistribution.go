package biobank

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"aliquot/shared/fault"
)

// distributions resolves the distribution protocols that the draft names. One that the actor may not see is none, unless the
// protocol has it already, and stays with it: who was not shown it does not send it back. What is not sent is kept, also by a
// whole object.
func (d *ProtocolDraft) distributions(ctx context.Context, b *Batch, l *fault.List, was []int64, is *ProtocolDoc) error {
	is.DistributionIDs = was
	refs := d.Distributions
	if refs == nil && is.DistributionProtocols != nil {
		refs = []DistributionRef{}
		for _, title := range is.DistributionProtocols {
			refs = append(refs, DistributionRef{ShortTitle: title})
		}
	}
	if refs == nil {
		return nil
	}
	var ids []int64
	for _, ref := range refs {
		rec, doc, err := b.distribution(ctx, ref)
		if fault.All(err) != nil || err == nil && !slices.Contains(was, rec.ID) && !b.actor.distributes(ResDistribution, OpRead, &doc) {
			l.Add("DP_NOT_FOUND", "Distribution protocol %s was not found.", cmp.Or(ref.ShortTitle, ref.Title, strconv.FormatInt(ref.ID, 10)))
			continue
		}
		if err != nil {
			return err
		}
		ids = append(ids, rec.ID)
	}
	for _, id := range was {
		if slices.Contains(ids, id) {
			continue
		}
		_, doc, err := b.distribution(ctx, DistributionRef{ID: id})
		if err != nil && fault.All(err) == nil {
			return err
		}
		if err == nil && !b.actor.distributes(ResDistribution, OpRead, &doc) {
			ids = append(ids, id)
		}
	}
	is.DistributionIDs = dedupe(ids)
	return nil
}
