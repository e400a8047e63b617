package biobank

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"aliquot/shared/fault"
)

func (d *SpecimenDraft) lineage(l *fault.List, doc *SpecimenDoc) bool {
	switch Fold(doc.Lineage) {
	case "new":
		doc.Lineage = LineageNew
	case "derived", "derivative":
		doc.Lineage = LineageDerived
	case "aliquot":
		doc.Lineage = LineageAliquot
	default:
		l.Add("SPECIMEN_INVALID_LINEAGE", "Lineage %q is not valid. It is New, Derived or Aliquot.", doc.Lineage)
		return false
	}
	return true
}

// likeParent checks what a specimen must have in common with its parent.
func (d *SpecimenDraft) likeParent(l *fault.List, doc, p *SpecimenDoc) {
	same := func(noun, v, parent string) {
		if parent != "" && Fold(v) != Fold(parent) {
			l.Add("SPECIMEN_ANATOMIC_SITE_NOT_SAME_AS_PARENT", "%s is %q, but the parent specimen's is %q. Leave it blank or give the same.", noun, v, parent)
		}
	}
	same("Anatomic Site", doc.AnatomicSite, p.AnatomicSite)
	same("Laterality", doc.Laterality, p.Laterality)
	if doc.Lineage != LineageAliquot {
		return
	}
	if Fold(doc.Type) != Fold(p.Type) {
		l.Add("SPECIMEN_INVALID_SPECIMEN_TYPE", "An aliquot has the type of its parent: %q, not %q.", p.Type, doc.Type)
	}
}

// quantified tells where an aliquot has no quantity and must.
func (b *Batch) quantified(ctx context.Context, l *fault.List, doc *SpecimenDoc) error {
	if doc.Lineage != LineageAliquot || doc.InitialQty != nil {
		return nil
	}
	set, err := b.settings(ctx)
	if err == nil && set.flag(&settingAliquotsQty) {
		l.Add("SPECIMEN_ALIQUOT_QTY_REQ", "Give the Initial Quantity of an aliquot.")
	}
	return err
}

// check holds the rules that a specimen's own values must keep, new or changed.
func (d *SpecimenDraft) check(l *fault.List, doc *SpecimenDoc) {
	if doc.Type == "" {
		l.Add("SPECIMEN_TYPE_REQUIRED", "Give the Type of the specimen.")
	} else if class, typ, ok := ClassOf(doc.Type); !ok {
		l.Add("SPECIMEN_INVALID_SPECIMEN_TYPE", "Type %q is not in the list of permissible values.", doc.Type)
	} else {
		if in, _, ok := TypeIn(doc.Class, typ); ok {
			class = in
		} else if doc.Class != "" {
			l.Add("SPECIMEN_INVALID_SPECIMEN_CLASS", "Class %q does not have the type %q; its class is %q.", doc.Class, typ, class)
		}
		doc.Class, doc.Type = class, typ
	}
	value(l, "anatomic_site", "SPECIMEN_INVALID_ANATOMIC_SITE", "Anatomic Site", &doc.AnatomicSite)
	value(l, "laterality", "SPECIMEN_INVALID_LATERALITY", "Laterality", &doc.Laterality)
	value(l, "pathology_status", "SPECIMEN_INVALID_PATHOLOGY", "Pathological Status", &doc.Pathology)
	values(l, "specimen_biohazard", "SPECIMEN_INVALID_BIOHAZARDS", "Biohazard", doc.Biohazards)
	switch Fold(doc.Status) {
	case "", "collected":
		doc.Status = Collected
	case "pending":
		doc.Status = CollectPending
	case "missed collection":
		doc.Status = CollectMissed
	case "not collected":
		doc.Status = NotCollected
	default:
		l.Add("SPECIMEN_INVALID_COLL_STATUS", "Collection Status %q is not valid. It is Collected, Pending, Missed Collection or Not Collected.", doc.Status)
	}
	status(l, &doc.ActivityStatus)
	amount := func(noun string, q *Quantity) {
		if q != nil && *q < 0 {
			l.Add("SPECIMEN_INVALID_QTY", "%s is %s; it cannot be negative.", noun, q)
		}
	}
	amount("Initial Quantity", doc.InitialQty)
	amount("Available Quantity", doc.AvailableQty)
	amount("Concentration", doc.Concentration)
	if doc.AvailableQty == nil && doc.Status == Collected {
		doc.AvailableQty = doc.InitialQty
	}
	if doc.InitialQty != nil && doc.AvailableQty != nil && *doc.AvailableQty > *doc.InitialQty {
		l.Add("SPECIMEN_AVBL_QTY_GT_INIT_QTY", "Available Quantity %s is more than Initial Quantity %s.", doc.AvailableQty, doc.InitialQty)
	}
	if doc.FreezeThawCycles < 0 {
		l.Add("SPECIMEN_INVALID_FREEZE_THAW_CYCLES", "Freeze/Thaw Cycles is %d; it cannot be negative.", doc.FreezeThawCycles)
	}
	for i, x := range doc.ExternalIDs {
		if x.Name == "" || x.Value == "" {
			l.Add("SPECIMEN_EXT_ID_NO_NAME_VALUE", "External ID %d has only one of name and value; give both.", i+1)
		}
		for _, y := range doc.ExternalIDs[:i] {
			if x.Name == y.Name {
				l.Add("SPECIMEN_EXT_ID_DUP_NAME", "External ID name %q is given twice.", x.Name)
			}
		}
	}
	tooLong(l, "Specimen Label", doc.Label, 255)
	tooLong(l, "Barcode", doc.Barcode, 255)
	tooLong(l, "Additional Label", doc.AdditionalLabel, 255)
	tooLong(l, "Storage type", doc.StorageType, 255)
	oneOf(l, &doc.LabelPrintMode, "", "CP_INVALID_SPMN_LABEL_PRINT_MODE", "Label print mode", labelPrintModes...)
	tooLong(l, "Comments", doc.Comments, 4000)
}

// mayHave checks a collection status against the visit's and the parent's (15.5).
func (d *SpecimenDraft) mayHave(l *fault.List, c *Change, status string, at *below) {
	if at.parent == nil {
		if code, visit := visitRule(status); at.visitStatus != VisitComplete && at.visitStatus != visit {
			l.Add(code, "A specimen with Collection Status %s cannot belong to a visit that is %s.", status, at.visitStatus)
		}
		return
	}
	p := &at.parentDoc
	if p.ActivityStatus == StatusClosed && !settledBy(at.parent, c.Source) {
		l.Add("SPECIMEN_PROC_NOT_ALLOWED", "Parent specimen %q is closed; nothing can be made from it.", p.Label)
	}
	reserved(l, p)
	if p.Status != Collected && (status == Collected || p.Status != status) {
		l.Add(parentRule(status), "A specimen with Collection Status %s cannot have a parent that is %s.", status, p.Status)
	}
}

// settledBy tells whether the job of a source has settled the parent. Where the protocol closes parents after their
// children were made, one chunk of a job closes them before another one has made its own.
func settledBy(parent *Record, source string) bool {
	job, _, ok := strings.Cut(source, "#")
	return ok && slices.ContainsFunc(parent.Changes, func(change string) bool { return strings.HasPrefix(change, job+"#c") })
}

// visitRule is the code, and the visit status that a collection status goes with besides Complete.
func visitRule(status string) (code, visit string) {
	switch status {
	case CollectPending:
		return "VISIT_COMPL_OR_PENDING_VISIT_REQ", VisitPending
	case CollectMissed:
		return "VISIT_COMPL_OR_MISSED_VISIT_REQ", VisitMissed
	case NotCollected:
		return "VISIT_COMPL_OR_NC_VISIT_REQ", VisitNotCollected
	}
	return "VISIT_COMPL_VISIT_REQ", VisitComplete
}

func parentRule(status string) string {
	switch status {
	case CollectPending:
		return "SPECIMEN_COLL_OR_PENDING_PARENT_REQ"
	case CollectMissed:
		return "SPECIMEN_COLL_OR_MISSED_PARENT_REQ"
	case NotCollected:
		return "SPECIMEN_COLL_OR_NC_PARENT_REQ"
	}
	return "SPECIMEN_COLL_PARENT_REQ"
}

// events fills in who made, collected and received the specimen. What a primary specimen does not say of that is as its
// requirement (nil: it has none) says, else the caller's and Not Specified (reference openspecimen-rest.md 15.2).
func (d *SpecimenDraft) events(ctx context.Context, b *Batch, l *fault.List, doc *SpecimenDoc, req *requirementInfo) error {
	who := func(u UserRef, into *int64) error {
		if !u.Sent() {
			return nil
		}
		id, err := b.userID(ctx, u, "USER_NOT_FOUND")
		if fault.All(err) != nil {
			l.Append(err)
			return nil
		}
		*into = id
		return err
	}
	if err := who(d.CreatedBy, &doc.CreatedBy); err != nil {
		return err
	}
	primary := doc.Lineage == LineageNew && doc.Status == Collected
	if primary || doc.Collection != nil || doc.Received != nil || d.Collector.Sent() || d.Receiver.Sent() {
		if doc.Lineage != LineageNew {
			l.Add("SPECIMEN_INVALID_LINEAGE", "Only a primary specimen has its own collection and received events; leave those columns blank.")
			return nil
		}
		var col CollectionEvent
		var rcv ReceivedEvent
		if doc.Collection != nil {
			col = *doc.Collection
		}
		if doc.Received != nil {
			rcv = *doc.Received
		}
		if err := errors.Join(who(d.Collector, &col.UserID), who(d.Receiver, &rcv.UserID)); err != nil {
			return err
		}
		if primary {
			var usual RequirementDoc
			if req != nil {
				usual = req.doc
			}
			col.UserID = cmp.Or(col.UserID, usual.CollectorID, b.actor.ID)
			rcv.UserID = cmp.Or(rcv.UserID, usual.ReceiverID, b.actor.ID)
			col.Procedure = cmp.Or(col.Procedure, usual.CollectionProcedure, NotSpecified)
			col.Container = cmp.Or(col.Container, usual.CollectionContainer, NotSpecified)
			rcv.Quality = cmp.Or(rcv.Quality, NotSpecified)
			if col.Time == 0 {
				col.Time = b.at
			}
			if rcv.Time == 0 {
				rcv.Time = col.Time
			}
		}
		value(l, "collection_procedure", "SPECIMEN_INVALID_COLL_PROC", "Collection Procedure", &col.Procedure)
		value(l, "collection_container", "SPECIMEN_INVALID_COLL_CONTAINER", "Collection Container", &col.Container)
		value(l, "receive_quality", "SPECIMEN_INVALID_RECV_QUALITY", "Received Quality", &rcv.Quality)
		doc.Collection, doc.Received = &col, &rcv
	}
	if doc.CreatedOn == 0 && doc.Status == Collected {
		doc.CreatedOn = b.at
		if doc.Received != nil && doc.Received.Time != 0 {
			doc.CreatedOn = doc.Received.Time
		}
	}
	if doc.CreatedOn > b.at+day {
		l.Add("SPECIMEN_INVALID_CREATION_DATE", "Created On lies in the future.")
	}
	return nil
}

// day is a day in milliseconds, the slack for clocks and zones where a time must not lie in the future.
const day = 24 * 60 * 60 * 1000
