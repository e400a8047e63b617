package csvimport

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"aliquot/shared/biobank"
	"aliquot/shared/jobs"
)

// each is how many numbers the plan sets aside for each row that may make several specimens: as many as most rows say that
// they make, 0 where they differ. Rows that make more, or do not say how many, take their own, and leave those of the plan out.
func (s *scan) each() (n int64) {
	for made, rows := range s.makers {
		if rows*2 > s.head.Rows {
			n = made
		}
	}
	return n
}

// reserve sets numbers aside for the job's rows, so that row n gets the same ones however often it is tried.
func (im *Importer) reserve(ctx context.Context, j *jobs.Job, h *head, schema *Schema, named map[string]bool) error {
	h.Reserved = map[string]int64{}
	if schema.makes != nil && h.Each == 0 || operation(j) == biobank.Update && j.ObjectType != "masterSpecimen" {
		return nil
	}
	a, err := im.actor(ctx, j)
	if err != nil {
		return err
	}
	o, err := options(j)
	if err != nil {
		return err
	}
	refs := []biobank.ProtocolRef{{ID: max(o.ProtocolID, 0)}}
	for title := range named {
		if title != "" {
			refs = append(refs, biobank.ProtocolRef{ShortTitle: title})
		}
	}
	b := im.Registry.Import(a, im.Now(), time.UTC, false)
	for _, ref := range refs {
		counters, err := b.Counters(ctx, schema.recordType(), j.ObjectType == "masterSpecimen", ref)
		if err != nil {
			return err
		}
		for _, name := range counters {
			if _, ok := h.Reserved[name]; ok {
				continue
			}
			first, _, err := im.Registry.Store.ReserveFor(ctx, strconv.FormatInt(j.ID, 10), name, h.Rows*max(h.Each, 1))
			if err != nil {
				return fmt.Errorf("reserve numbers: %w", err)
			}
			h.Reserved[name] = first - 1 // rows count from 1
		}
	}
	return nil
}

// recordType is what the schema's rows make.
func (s *Schema) recordType() biobank.Type {
	switch s.objectType {
	case "masterSpecimen", "specimenAliquot", "specimenDerivative":
		return biobank.Specimen
	case "cpe":
		return biobank.Event
	case "distributionProtocol":
		return biobank.DistributionProtocol
	case "storageContainer":
		return biobank.Container
	case "storageContainerType":
		return biobank.ContainerType
	case typeExtensions, typeUserExtensions:
		return biobank.FormRecordType
	}
	return biobank.Type(s.objectType)
}
