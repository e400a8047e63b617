package biobank

import (
	"context"
	"strconv"
	"time"

	"aliquot/shared/fault"
)

// VisitDoc is a visit of a registration (section 14).
type VisitDoc struct {
	EventID                 int64    `json:"eventId,omitempty"` // 0: unplanned
	Name                    string   `json:"name"`
	Status                  string   `json:"status"`
	VisitDate               int64    `json:"visitDate"` // epoch ms
	SiteID                  int64    `json:"siteId,omitempty"`
	ClinicalDiagnoses       []string `json:"clinicalDiagnoses,omitempty"`
	ClinicalStatus          string   `json:"clinicalStatus,omitempty"`
	Cohort                  string   `json:"cohort,omitempty"`
	SurgicalPathologyNumber string   `json:"surgicalPathologyNumber,omitempty"`
	MissedBy                int64    `json:"missedBy,omitempty"`
	MissedReason            string   `json:"missedReason,omitempty"`
	Comments                string   `json:"comments,omitempty"`
	// Report is the path report, nil for none.
	Report *ReportFile `json:"report,omitempty"`
	// Serial is the number that %PPI_UID% gave the visit among its participant's.
	Serial         int64      `json:"serial,omitempty"`
	ActivityStatus string     `json:"activityStatus"`
	Extension      *Extension `json:"extension,omitempty"`
}

// The visit states.
const (
	VisitComplete     = "Complete"
	VisitPending      = "Pending"
	VisitMissed       = "Missed Collection"
	VisitNotCollected = "Not Collected"
)

var uniqueVisitName = &unique{"VISIT_DUP_NAME", "Visit name %q is already used by another visit.", func(r *Record, v string) (bool, error) {
	d, err := Decode[VisitDoc](r)
	return d.Name == v && d.ActivityStatus != StatusDisabled, err
}}

func (d *VisitDraft) want(ctx context.Context, b *Batch, c *Change) error {
	if c.Op != Create {
		if d.ID != 0 {
			b.wantMark(IDMark(Visit, d.ID))
		}
		if d.Doc.Name != "" {
			b.wantMark(visitMark(d.Doc.Name))
		}
	}
	if d.RegistrationID != 0 {
		b.wantMark(IDMark(Registration, d.RegistrationID))
	}
	if !d.Protocol.Sent() {
		return nil
	}
	cp, err := b.protocol(ctx, d.Protocol)
	if err != nil {
		return err
	}
	if d.PPID != "" {
		b.wantMark(ppidMark(cp.id, d.PPID))
	}
	return nil
}

func (d *VisitDraft) read(ctx context.Context, b *Batch, c *Change) error {
	if c.Op != Create {
		if d.ID != 0 {
			b.wantRec(b.marks[IDMark(Visit, d.ID)].To)
		}
		if d.Doc.Name != "" {
			b.wantRec(b.marks[visitMark(d.Doc.Name)].To)
		}
	}
	if d.RegistrationID != 0 {
		b.wantRec(b.marks[IDMark(Registration, d.RegistrationID)].To)
		return nil
	}
	if d.Protocol.Sent() && d.PPID != "" {
		cp, err := b.protocol(ctx, d.Protocol)
		if err != nil {
			return err
		}
		b.wantRec(b.marks[ppidMark(cp.id, d.PPID)].To)
	}
	return nil
}

// find returns the stored visit that the draft means by Identifier, else by name.
func (d *VisitDraft) find(ctx context.Context, b *Batch, c *Change) (*Record, VisitDoc, error) {
	var none VisitDoc
	for _, name := range []string{IDMark(Visit, d.ID), visitMark(d.Doc.Name)} {
		byID := name == IDMark(Visit, d.ID)
		if byID && d.ID == 0 || !byID && (d.Doc.Name == "" || c.ByID) {
			continue
		}
		rec, err := b.led(ctx, name)
		if err != nil {
			return nil, none, err
		}
		doc, err := Decode[VisitDoc](rec)
		if err != nil {
			return nil, none, err
		}
		if rec != nil && doc.ActivityStatus != StatusDisabled && (byID || doc.Name == d.Doc.Name) {
			return rec, doc, nil
		}
		if is, err := b.done(ctx, rec, c); is || err != nil {
			return rec, doc, err // deleted or renamed by an earlier try
		}
	}
	return nil, none, nil
}

func (d *VisitDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	if c.Op != Create {
		rec, doc, err := d.find(ctx, b, c)
		if err != nil {
			return err
		}
		if rec != nil {
			return d.update(ctx, b, c, o, rec, doc)
		}
		if c.Op == Update {
			if d.Doc.Name != "" && !c.ByID {
				return missing(Visit, strconv.Quote(d.Doc.Name))
			}
			if d.ID != 0 {
				return missing(Visit, d.ID)
			}
			return fault.New("VISIT_NAME_REQUIRED", "Give Identifier or Name to say which visit to update.")
		}
	}
	reg, doc, err := d.registration(ctx, b)
	if err != nil {
		return err
	}
	_, _, err = d.create(ctx, b, c, o, reg.Key, doc.PPID)
	return err
}

// registration finds whose visit it is. Only who works with the people of the protocol learns which PPIDs it has.
func (d *VisitDraft) registration(ctx context.Context, b *Batch) (*Record, RegistrationDoc, error) {
	var none RegistrationDoc
	name, told := "", error(nil)
	switch {
	case d.RegistrationID != 0:
		name, told = IDMark(Registration, d.RegistrationID), missing(Registration, d.RegistrationID)
	case !d.Protocol.Sent():
		return nil, none, fault.New("CPR_CP_REQUIRED", "Give the CP Short Title.")
	case d.PPID == "":
		return nil, none, fault.New("CPR_PPID_REQUIRED", "Give the PPID of the participant.")
	default:
		cp, err := b.protocol(ctx, d.Protocol)
		if err != nil {
			return nil, none, err
		}
		if !b.worksIn(cp) {
			return nil, none, denied("create visits in collection protocol " + b.actor.calls(cp))
		}
		if err := b.peopled(cp); err != nil {
			return nil, none, err
		}
		name = ppidMark(cp.id, d.PPID)
		told = fault.New("CPR_INVALID_CP_AND_PPID", "PPID %q was not found in collection protocol %s.", d.PPID, b.actor.calls(cp))
	}
	m, err := b.mark(ctx, name)
	if err != nil {
		return nil, none, err
	}
	rec, doc, err := b.registration(ctx, m)
	if err == nil && (rec == nil || d.RegistrationID == 0 && doc.PPID != d.PPID) {
		return nil, none, told
	}
	return rec, doc, err
}

// create plans a new visit below a registration and returns its key and document.
func (d *VisitDraft) create(ctx context.Context, b *Batch, c *Change, o *Outcome, reg Key, ppid string) (Key, *VisitDoc, error) {
	cp, err := b.protocolAt(ctx, reg)
	if err != nil {
		return Key{}, nil, err
	}
	if !b.can(ResVisit, OpCreate, cp) {
		return Key{}, nil, denied("create visits in collection protocol " + b.actor.calls(cp))
	}
	if err := b.peopled(cp); err != nil {
		return Key{}, nil, err
	}
	doc := d.Doc
	var l fault.List
	if cp.doc.ActivityStatus == StatusClosed {
		l.Add("CPR_CP_CLOSED", "Collection protocol %q is closed.", cp.doc.ShortTitle)
	}
	if gone(doc.ActivityStatus) {
		l.Add("VISIT_CREATE_DISABLED_NA", "A visit cannot be created as Disabled.")
	}
	if doc.VisitDate == 0 {
		doc.VisitDate = b.at
	}
	event, err := d.references(ctx, b, &l, cp, &doc)
	if err != nil {
		return Key{}, nil, err
	}
	if event != nil && event.doc.ActivityStatus == StatusClosed {
		l.Add("CPE_CLOSED", "Event %q is closed.", event.doc.Label)
	}
	if doc.SiteID == 0 && d.Site == nil {
		if doc.SiteID, err = b.usualSite(ctx, c, reg, Key{}, event); err != nil {
			return Key{}, nil, err
		}
	}
	d.check(b, &l, &doc)
	if err := b.extend(ctx, &l, VisitFields, cp, nil, &doc.Extension, d.Extension, b.can(ResParticipantPhi, OpRead, cp)); err != nil {
		return Key{}, nil, err
	}
	switch {
	case doc.Name == "" && cp.doc.ManualVisitName && doc.Status == VisitComplete:
		l.Add("VISIT_NAME_REQUIRED", "Give the Name of a completed visit.")
	case doc.Name == "" && cp.visit == nil:
		l.Add("VISIT_NAME_FMT_NOT_SPECIFIED", "Give the visit a Name: collection protocol %q has no visit name format.", cp.doc.ShortTitle)
	case doc.Name != "" && cp.visit != nil && !cp.doc.ManualVisitName:
		l.Add("VISIT_MANUAL_NAME_NOT_ALLOWED", "Visit names of collection protocol %q are generated; leave the name blank.", cp.doc.ShortTitle)
	case doc.Name != "" && cp.visit != nil && !cp.visit.Matches(doc.Name):
		l.Add("VISIT_INVALID_NAME", "Visit name %q does not fit the format of the collection protocol.", doc.Name)
	}
	if len(l) > 0 {
		return Key{}, nil, l
	}
	id, err := b.number(ctx, c, string(Visit))
	if err != nil {
		return Key{}, nil, err
	}
	if doc.Name == "" {
		v := FormatValues{ShortTitle: cp.doc.ShortTitle, ProtocolCode: cp.doc.Code, PPID: ppid}
		if event != nil {
			v.EventCode, v.EventLabel = event.doc.Code, event.doc.Label
		}
		if doc.Serial, err = b.numbers(ctx, c, cp.visit, namesVisit, cp.id, reg, &v); err != nil {
			return Key{}, nil, err
		}
		doc.Name = cp.visit.Make(&v)
		if tooLong(&l, "The name that the format of the collection protocol makes", doc.Name, 255); len(l) > 0 {
			return Key{}, nil, l
		}
	}
	key := reg.Child(id)
	b.claim(c, uniqueVisitName, doc.Name, visitMark(doc.Name), key, id, doc.info())
	if err := b.renumber(ctx, c, "", doc.SurgicalPathologyNumber, key, id); err != nil {
		return Key{}, nil, err
	}
	if err := d.missed(ctx, b, c, cp, event, key, &doc, nil); err != nil {
		return Key{}, nil, err
	}
	if err := b.standOn(ctx, reg); err != nil {
		return Key{}, nil, err
	}
	if event != nil {
		if err := b.standOn(ctx, event.rec.Key); err != nil {
			return Key{}, nil, err
		}
	}
	if err := b.insert(c, Visit, key, id, &doc, o); err != nil {
		return Key{}, nil, err
	}
	o.PPID, o.VisitName = ppid, doc.Name
	return key, &doc, nil
}

// references resolves event, site and user that the draft names.
func (d *VisitDraft) references(ctx context.Context, b *Batch, l *fault.List, cp *protocolInfo, doc *VisitDoc) (*eventInfo, error) {
	var event *eventInfo
	switch {
	case d.EventID != 0:
		if event = cp.event(d.EventID); event == nil {
			m, err := b.mark(ctx, IDMark(Event, d.EventID))
			if err != nil {
				return nil, err
			}
			code := "CPE_NOT_FOUND"
			if !m.IsZero() && m.To.Protocol() != cp.id {
				code = "CPR_INVALID_CPE"
			}
			l.Add(code, "Event %d was not found in collection protocol %q.", d.EventID, cp.doc.ShortTitle)
		}
	case d.EventLabel != "":
		if event = cp.eventByLabel(d.EventLabel); event == nil {
			l.Add("CPE_NOT_FOUND", "Event %q was not found in collection protocol %q.", d.EventLabel, cp.doc.ShortTitle)
		}
	}
	if event != nil {
		doc.EventID = event.id
	}
	if d.Site != nil {
		id, err := b.siteID(ctx, *d.Site)
		if fault.All(err) != nil {
			l.Append(err)
		} else if err != nil {
			return nil, err
		}
		doc.SiteID = id
	}
	if d.MissedBy.Sent() {
		id, err := b.userID(ctx, d.MissedBy, "VISIT_INVALID_MISSED_USER")
		if fault.All(err) != nil {
			l.Append(err)
		} else if err != nil {
			return nil, err
		}
		doc.MissedBy = id
	}
	return event, nil
}

// check holds the rules that a visit's own values must keep, new or changed (section 14).
func (d *VisitDraft) check(b *Batch, l *fault.List, doc *VisitDoc) {
	switch Fold(doc.Status) {
	case "", "complete":
		doc.Status = VisitComplete
	case "pending":
		doc.Status = VisitPending
	case "missed collection", "missed":
		doc.Status = VisitMissed
	case "not collected":
		doc.Status = VisitNotCollected
	default:
		l.Add("VISIT_INVALID_STATUS", "Visit Status %q is not valid. It is Complete, Pending, Missed Collection or Not Collected.", doc.Status)
	}
	status(l, &doc.ActivityStatus)
	values(l, "clinical_diagnosis", "VISIT_INVALID_CLINICAL_DIAGNOSIS", "Clinical Diagnosis", doc.ClinicalDiagnoses)
	value(l, "clinical_status", "VISIT_INVALID_CLINICAL_STATUS", "Clinical Status", &doc.ClinicalStatus)
	value(l, "cohort", "VISIT_INVALID_COHORT", "Cohort", &doc.Cohort)
	value(l, "missed_visit_reason", "VISIT_INVALID_MISSED_REASON", "Missed/Not Collected Reason", &doc.MissedReason)
	if doc.Status != VisitMissed && doc.Status != VisitNotCollected {
		doc.MissedReason, doc.MissedBy = "", 0
	}
	if doc.Status == VisitComplete && doc.SiteID == 0 {
		l.Add("VISIT_SITE_REQUIRED", "Give the site of a completed visit.")
	}
	if doc.Status == VisitComplete && doc.VisitDate > b.at+day {
		l.Add("COMMON_DATE_GT_TODAY", "Visit Date %s lies in the future.", time.UnixMilli(doc.VisitDate).UTC().Format(time.DateOnly))
	}
	tooLong(l, "Visit name", doc.Name, 255)
	tooLong(l, "Comments", doc.Comments, 4000)
}

func (d *VisitDraft) update(ctx context.Context, b *Batch, c *Change, o *Outcome, rec *Record, was VisitDoc) error {
	o.VisitName = b.nameBefore(was.Name, was.ActivityStatus)
	if is, err := b.done(ctx, rec, c); err != nil {
		return err
	} else if is {
		return done(o, rec, b.tellAgain(ctx, rec, &was))
	}
	_, err := d.patch(ctx, b, c, o, rec, was)
	return err
}

// patch plans a change of a stored visit and returns the new document.
func (d *VisitDraft) patch(ctx context.Context, b *Batch, c *Change, o *Outcome, rec *Record, was VisitDoc) (*VisitDoc, error) {
	o.VisitName = was.Name
	cp, err := b.protocolAt(ctx, rec.Key)
	if err != nil {
		return nil, err
	}
	is, err := Decode[VisitDoc](rec)
	if err != nil {
		return nil, err
	}
	if d.Merge != nil {
		d.Merge(&is)
	} else {
		is = d.Doc
	}
	is.Report = was.Report // it has calls of its own
	op := OpUpdate
	if gone(is.ActivityStatus) {
		op = OpDelete
	}
	if !b.can(ResVisit, op, cp) {
		if d.ID == 0 && !b.worksIn(cp) {
			return nil, missing(Visit, strconv.Quote(d.Doc.Name)) // who is told of a right that is missing learns that there is one
		}
		return nil, denied("change visits of collection protocol " + b.actor.calls(cp))
	}
	if err := b.peopled(cp); err != nil {
		return nil, err
	}
	var l fault.List
	if !b.can(ResParticipantPhi, OpRead, cp) {
		d.keepHidden(&l, &was, &is)
	}
	to, from := rec.Key, cp
	if d.Moves && op == OpUpdate {
		if to, cp, err = d.goal(ctx, b, &l, rec, cp); err != nil {
			return nil, err
		}
	} else if err := d.stays(ctx, b, &l, rec, &was, cp); err != nil {
		return nil, err
	}
	event, err := d.eventLike(from, cp, &was).references(ctx, b, &l, cp, &is)
	if err != nil {
		return nil, err
	}
	if is.SiteID == 0 && d.Site == nil {
		if is.SiteID, err = b.usualSite(ctx, c, to.Above(1), rec.Key, event); err != nil {
			return nil, err
		}
	}
	if is.Name == "" {
		is.Name = was.Name
	}
	if is.VisitDate == 0 {
		is.VisitDate = b.at
	}
	d.check(b, &l, &is)
	if err := b.extend(ctx, &l, VisitFields, cp, was.Extension, &is.Extension, d.Extension, b.can(ResParticipantPhi, OpRead, cp)); err != nil {
		return nil, err
	}
	switch {
	case is.Name == was.Name || cp.visit == nil:
	case !cp.doc.ManualVisitName:
		l.Add("VISIT_MANUAL_NAME_NOT_ALLOWED", "Visit names of collection protocol %q are generated and cannot be changed.", cp.doc.ShortTitle)
	case !cp.visit.Matches(is.Name):
		l.Add("VISIT_INVALID_NAME", "Visit name %q does not fit the format of the collection protocol.", is.Name)
	}
	held := is.EventID != was.EventID || is.Status == VisitComplete && was.Status != VisitComplete
	if e := cp.event(is.EventID); e != nil && e.doc.ActivityStatus == StatusClosed && held {
		l.Add("CPE_CLOSED", "Event %q is closed.", e.doc.Label)
	}
	if len(l) > 0 {
		return nil, l
	}
	if is.ActivityStatus == StatusDisabled {
		return &is, b.remove(ctx, c, o, rec, d.Force)
	}
	o.VisitName = is.Name
	if to != rec.Key {
		return &is, d.transfer(ctx, b, c, from, cp, rec, to, &was, &is, o)
	}
	switch {
	case is.Name != was.Name:
		info := is.info()
		if b.bulk {
			info = seeRecord
			b.inform(roundRelease, Mark{Name: visitMark(is.Name), To: rec.Key, ID: rec.ID, Source: c.Source}, is.info())
		}
		b.claim(c, uniqueVisitName, is.Name, visitMark(is.Name), rec.Key, rec.ID, info)
		if b.bulk {
			if err := b.doubt(ctx, rec, &was); err != nil {
				return nil, err
			}
		}
		if err := b.release(ctx, visitMark(was.Name), rec.Key); err != nil {
			return nil, err
		}
	case is.info() != was.info():
		if b.bulk {
			if err := b.doubt(ctx, rec, &was); err != nil {
				return nil, err
			}
		}
		if err := b.tell(ctx, rec, &is); err != nil {
			return nil, err
		}
	}
	if err := b.renumber(ctx, c, was.SurgicalPathologyNumber, is.SurgicalPathologyNumber, rec.Key, rec.ID); err != nil {
		return nil, err
	}
	if err := b.change(c, rec, &is, o); err != nil {
		return nil, err
	}
	return &is, d.follow(ctx, b, c, cp, rec, &was, &is)
}

// keepHidden keeps what may identify the participant for who may not see it: the mask, or nothing at all, is sent back as it was
// shown. Another text in its place is refused, whatever it is: so that nobody learns by guessing what is there. Where nothing is
// yet it may be given, as with a new visit.
func (d *VisitDraft) keepHidden(l *fault.List, was, is *VisitDoc) {
	for _, t := range []struct {
		noun, sent, was string
		is              *string
	}{
		{"comment", d.Doc.Comments, was.Comments, &is.Comments},
		{"surgical pathology number", d.Doc.SurgicalPathologyNumber, was.SurgicalPathologyNumber, &is.SurgicalPathologyNumber},
	} {
		switch {
		case t.was == "":
		case t.sent == "" || t.sent == Masked:
			*t.is = t.was
		default:
			l.Add("PARTICIPANT_CANNOT_UPDATE_PHI", "You may not see the %s of this visit, and so not change it. Leave it out.", t.noun)
		}
	}
}
