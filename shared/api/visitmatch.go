package api

import (
	"strings"

	"aliquot/shared/biobank"
)

// POST /visits/match: who may be meant by an accession number, or by an eMPI or medical record number. The reference names
// the call only; the body {cpId, attr, value} with attr ACCESSION_NO or EMPI_MRN, and the answer, are those of its server.

type visitMatch struct {
	Cpr    any   `json:"cpr"`
	Visits []any `json:"visits"`
}

func matchVisits(c *call) (any, error) {
	in, err := c.body()
	if err != nil {
		return nil, err
	}
	cp, attr, value := in.number("cpId"), strings.ToUpper(in.text("attr")), in.text("value")
	if err := in.err(); err != nil {
		return nil, err
	}
	if value == "" {
		return nil, invalid("Give the value to look for.")
	}
	reg := c.api.Registry
	groups := map[biobank.Key][]*biobank.Record{}
	var order []biobank.Key
	add := func(key biobank.Key, visits ...*biobank.Record) {
		if cp != 0 && key.Protocol() != cp {
			return
		}
		if _, known := groups[key]; !known {
			order = append(order, key)
		}
		groups[key] = append(groups[key], visits...)
	}
	switch attr {
	case "ACCESSION_NO":
		recs, err := reg.ByReportNumber(c.Context(), c.actor, value)
		if err != nil {
			return nil, err
		}
		for _, rec := range recs {
			add(rec.Key.Above(1), rec)
		}
	case "EMPI_MRN":
		recs, err := reg.ByNumber(c.Context(), c.actor, value)
		if err != nil {
			return nil, err
		}
		for _, rec := range recs {
			below, err := reg.Below(c.Context(), c.actor, rec.Key)
			if err != nil {
				return nil, err
			}
			add(rec.Key)
			for _, one := range below {
				if one.Type == biobank.Visit {
					add(rec.Key, one)
				}
			}
		}
	default:
		return nil, invalid("attr must be ACCESSION_NO or EMPI_MRN.")
	}
	found := []visitMatch{}
	if len(order) == 0 {
		return found, nil
	}
	regs, err := reg.Fetch(c.Context(), order...)
	if err != nil {
		return nil, err
	}
	for _, key := range order {
		shown, err := c.showOne(registrations(), regs[key])
		if err != nil {
			return nil, err
		}
		visits, err := c.show(visits(), groups[key]...)
		if err != nil {
			return nil, err
		}
		found = append(found, visitMatch{shown, visits})
	}
	return found, nil
}
