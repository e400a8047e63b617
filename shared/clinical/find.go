package clinical

import (
	"context"
	"fmt"

	"aliquot/shared/biobank"
)

// FindSubject finds the participant of a study with an OID, nil for none, and those with an ID, of which each site may
// have one. What is empty is not looked for.
func FindSubject(ctx context.Context, s biobank.Store, study int64, oid, label string) (*Listed, []Listed, error) {
	var byOID *Listed
	if oid != "" && len(oid) <= maxOID {
		name := SubjectMark(study, oid)
		marks, err := s.Marks(ctx, []string{name}, true)
		if err != nil {
			return nil, nil, fmt.Errorf("look up a participant: %w", err)
		}
		if m := marks[name]; !m.IsZero() {
			recs, err := s.Records(ctx, []biobank.Key{SubjectKey(m.ID)}, true)
			if err != nil {
				return nil, nil, fmt.Errorf("read participant %d: %w", m.ID, err)
			}
			doc, err := biobank.Decode[Subject](recs[SubjectKey(m.ID)])
			if err != nil {
				return nil, nil, err
			}
			if Fold(doc.OID) == Fold(oid) {
				byOID = &Listed{OID: doc.OID, Label: doc.Label, Site: doc.Site, ID: m.ID}
			}
		}
	}
	if label == "" || len(label) > maxOID {
		return byOID, nil, nil
	}
	recs, err := s.List(ctx, LabelKey(study, label, 0).Part, "", "", 0)
	if err != nil {
		return nil, nil, fmt.Errorf("look up a participant: %w", err)
	}
	var byLabel []Listed
	for _, rec := range recs {
		doc, err := biobank.Decode[Listed](rec)
		if err != nil {
			return nil, nil, err
		}
		byLabel = append(byLabel, doc)
	}
	return byOID, byLabel, nil
}
