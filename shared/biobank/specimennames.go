package biobank

import (
	"context"

	"aliquot/shared/fault"
)

// The names of a specimen: its label, its additional label and its barcode (reference openspecimen-rest.md 15.2 and 15.3).
// Where the protocol has a format for one, it is made when the specimen is collected.
//
// The reference tells little of the two that are not the label. Here an additional label follows the rules of labels, but
// that it may be left out by who gives them by hand: then it is made, too. Barcodes are made in protocols with
// barcodingEnabled and a format, and by hand in all others; a tube of which the specimen or its requirement says that it has its
// barcode already (preBarcodedTube) comes with its own, or without any.

// DefaultAliquotFormat makes the labels of aliquots that come without one, where the protocol has no format for them. It
// refuses no label that is sent.
const DefaultAliquotFormat = "%PSPEC_LABEL%_%PSPEC_UID%"

// givesBarcodes tells whether the barcodes of the protocol's specimens are made.
func (d *ProtocolDoc) givesBarcodes() bool { return d.BarcodingEnabled && d.SpecimenBarcodeFmt != "" }

// names decides all names of a specimen that is new, or is collected now; of a new one was is empty.
func (d *SpecimenDraft) names(ctx context.Context, b *Batch, c *Change, l *fault.List, cp *protocolInfo, was, doc *SpecimenDoc, at *below, req *requirementInfo) error {
	if was.Label == "" {
		if err := d.label(ctx, b, c, l, cp, doc, at, req); err != nil {
			return err
		}
	}
	ownNames(l, cp, was, doc, req)
	if doc.Status != Collected || was.Status == Collected || len(*l) > 0 {
		return nil
	}
	for _, made := range []struct {
		name, noun, what string
		format           *Format
		into             *string
	}{
		{doc.AdditionalLabel, "additional label", namesTag, cp.additional, &doc.AdditionalLabel},
		{doc.Barcode, "barcode", namesCode, cp.barcodeOf(doc, req), &doc.Barcode},
	} {
		if made.name != "" || made.format == nil {
			continue
		}
		name, _, err := b.generate(ctx, c, made.format, made.what, cp, at, doc)
		if err != nil {
			return err
		}
		*made.into = name
		tooLong(l, "The "+made.noun+" that the format of the collection protocol makes", name, 255)
	}
	return nil
}

// barcodeOf is the format of the barcode of a specimen, nil where it brings its own.
func (p *protocolInfo) barcodeOf(doc *SpecimenDoc, req *requirementInfo) *Format {
	has := req != nil && req.doc.PreBarcoded
	if doc.PreBarcoded != nil {
		has = *doc.PreBarcoded
	}
	if has {
		return nil
	}
	return p.barcode
}

// ownNames checks the additional label and the barcode that were sent.
func ownNames(l *fault.List, cp *protocolInfo, was, is *SpecimenDoc, req *requirementInfo) {
	if is.AdditionalLabel != was.AdditionalLabel && cp.additional != nil {
		switch {
		case !cp.doc.ManualSpecimenLabel:
			l.Add("SPECIMEN_MANUAL_LABEL_NOT_ALLOWED", "Additional labels of collection protocol %q are generated; leave Additional Label as it is.", cp.doc.ShortTitle)
		case is.AdditionalLabel != "" && !cp.additional.Matches(is.AdditionalLabel):
			l.Add("SPECIMEN_INVALID_LABEL", "Additional Label %q does not fit the format of the collection protocol.", is.AdditionalLabel)
		}
	}
	if is.Barcode != was.Barcode && cp.barcodeOf(is, req) != nil {
		l.Add("SPECIMEN_MANUAL_BARCODE_NOT_ALLOWED", "Barcodes of collection protocol %q are generated; leave Barcode as it is.", cp.doc.ShortTitle)
	}
}

// labelFormat is the format of a specimen's label, nil for none: its requirement's, else that of the protocol for its lineage.
func labelFormat(cp *protocolInfo, doc *SpecimenDoc, req *requirementInfo) (*Format, error) {
	if req == nil || req.doc.LabelFmt == "" {
		return cp.labels[doc.Lineage], nil
	}
	f, err := ParseFormat(labelKind(doc.Lineage), req.doc.LabelFmt)
	if err != nil {
		return nil, fault.New("SR_INVALID_LABEL_FMT", "The label format of requirement %q is not valid: %s.", req.doc.Code, err)
	}
	return f, nil
}

// ownLabel checks a label that was sent against the format for it, nil for none.
func ownLabel(l *fault.List, cp *protocolInfo, format *Format, label string) {
	switch {
	case format == nil:
	case !cp.doc.ManualSpecimenLabel:
		l.Add("SPECIMEN_MANUAL_LABEL_NOT_ALLOWED", "Labels of collection protocol %q are generated; none can be given or changed.", cp.doc.ShortTitle)
	case label != "" && !format.Matches(label):
		l.Add("SPECIMEN_INVALID_LABEL", "Specimen Label %q does not fit the format of the collection protocol.", label)
	}
}

// relabelled checks a change of a stored specimen's label.
func relabelled(l *fault.List, cp *protocolInfo, was, is *SpecimenDoc) error {
	if is.Label == was.Label {
		return nil
	}
	format, err := labelFormat(cp, is, cp.requirement(0, is.RequirementID, ""))
	if err == nil {
		ownLabel(l, cp, format, is.Label)
	}
	return told(l, err)
}

// label decides the specimen's label (15.3).
func (d *SpecimenDraft) label(ctx context.Context, b *Batch, c *Change, l *fault.List, cp *protocolInfo, doc *SpecimenDoc, at *below, req *requirementInfo) error {
	format, err := labelFormat(cp, doc, req)
	if err != nil {
		return told(l, err)
	}
	if format == nil && doc.Label == "" && doc.Lineage == LineageAliquot && at.parentDoc.Label != "" {
		if format, err = ParseFormat(LabelFormat, DefaultAliquotFormat); err != nil {
			return err
		}
	}
	switch {
	case doc.Label != "":
		ownLabel(l, cp, format, doc.Label)
	case doc.Status == Collected && (format == nil || cp.doc.ManualSpecimenLabel):
		l.Add("SPECIMEN_LABEL_REQUIRED", "Give the Specimen Label of a collected specimen.")
	case doc.Status == Collected && len(*l) == 0:
		made, serial, err := b.generate(ctx, c, format, namesLabel, cp, at, doc)
		if err != nil {
			return err
		}
		doc.Label, doc.Serial = made, serial
		tooLong(l, "The label that the format of the collection protocol makes", made, 255)
	}
	return nil
}
