package biobank

import (
	"context"

	"aliquot/shared/fault"
)

// ReportFile is a visit's path report (reference openspecimen-rest.md section 14): its name, the id of the stored file, and
// whether it is locked against change.
type ReportFile struct {
	Name   string `json:"name"`
	FileID string `json:"fileId"`
	Locked bool   `json:"locked,omitempty"`
}

// ReportDraft changes the path report of a visit: File replaces it, or removes it with Remove, Lock locks or unlocks it. The
// files of reports that were replaced stay where they are, since the audit names them.
type ReportDraft struct {
	VisitID int64
	File    *ReportFile
	Remove  bool
	Lock    *bool
}

func (*ReportDraft) recordType() Type { return Visit }

func (d *ReportDraft) want(_ context.Context, b *Batch, _ *Change) error {
	b.wantMark(IDMark(Visit, d.VisitID))
	return nil
}

func (d *ReportDraft) read(_ context.Context, b *Batch, _ *Change) error {
	b.wantRec(b.marks[IDMark(Visit, d.VisitID)].To)
	return nil
}

func (d *ReportDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	v := &VisitDraft{ID: d.VisitID}
	rec, doc, err := v.find(ctx, b, &Change{Op: Update, ByID: true})
	if err != nil {
		return err
	}
	if rec == nil {
		return missing(Visit, d.VisitID)
	}
	cp, err := b.protocolAt(ctx, rec.Key)
	if err != nil {
		return err
	}
	op := OpUpdate
	switch {
	case d.Lock != nil && *d.Lock:
		op = OpLock
	case d.Lock != nil:
		op = OpUnlock
	case d.Remove:
		op = OpDelete
	case doc.Report == nil:
		op = OpCreate
	}
	if !b.actor.mayReport(op, cp.id, cp.doc.Sites) {
		return denied("change the path report of this visit")
	}
	if doc.Report == nil && d.File == nil {
		return noReport(d.VisitID)
	}
	if doc.Report != nil && doc.Report.Locked && d.Lock == nil {
		return lockedReport(d.VisitID)
	}
	switch {
	case d.Lock != nil:
		report := *doc.Report
		report.Locked = *d.Lock
		doc.Report = &report
	case d.Remove:
		doc.Report = nil
	default:
		doc.Report = d.File
	}
	return b.change(c, rec, &doc, o)
}

// noReport is the answer where a visit has no path report.
func noReport(visit int64) *fault.Fault {
	return fault.New("VISIT_NO_SPR_UPLOADED", "Visit %d has no path report.", visit)
}

// mayReport tells whether the actor may do something to path reports of a protocol. They tell who they are about: whoever
// may not see identifying data sees no report.
func (a *Actor) mayReport(op Operation, cp int64, sites []ProtocolSite) bool {
	return a.Can(ResReport, op, cp, sites) && a.Can(ResParticipantPhi, OpRead, cp, sites)
}

// Report reads the path report of a visit for someone who may read it; without one it is VISIT_NO_SPR_UPLOADED.
func (r *Registry) Report(ctx context.Context, a *Actor, visit int64) (*ReportFile, error) {
	report, sites, cp, err := r.report(ctx, a, visit)
	switch {
	case err != nil:
		return nil, err
	case !a.mayReport(OpRead, cp, sites):
		return nil, denied("see the path report of this visit")
	case report == nil:
		return nil, noReport(visit)
	}
	return report, nil
}

// MayUpload is nil where the actor may send a path report for the visit, before it is stored, and tells the one that is
// there, nil for none.
func (r *Registry) MayUpload(ctx context.Context, a *Actor, visit int64) (*ReportFile, error) {
	report, sites, cp, err := r.report(ctx, a, visit)
	op := OpUpdate
	if report == nil {
		op = OpCreate
	}
	switch {
	case err != nil:
		return nil, err
	case !a.mayReport(op, cp, sites):
		return nil, denied("change the path report of this visit")
	case report != nil && report.Locked:
		return nil, lockedReport(visit)
	}
	return report, nil
}

func (r *Registry) report(ctx context.Context, a *Actor, visit int64) (*ReportFile, []ProtocolSite, int64, error) {
	rec, err := r.Get(ctx, a, Visit, visit)
	if err != nil {
		return nil, nil, 0, err
	}
	doc, err := Decode[VisitDoc](rec)
	if err != nil {
		return nil, nil, 0, err
	}
	sites, err := r.protocolSites(ctx, rec.Key.Protocol())
	return doc.Report, sites, rec.Key.Protocol(), err
}

func lockedReport(visit int64) *fault.Fault {
	return fault.New("VISIT_LOCKED_SPR", "The path report of visit %d is locked.", visit)
}
