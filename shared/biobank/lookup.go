package biobank

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"aliquot/shared/fault"
)

// protocolInfo is a protocol with its events and requirements, read once per batch.
type protocolInfo struct {
	rec    *Record
	id     int64
	doc    ProtocolDoc
	events []*eventInfo
	ppid   *Format
	visit  *Format
	labels map[string]*Format // by lineage
	// additional makes additional labels and barcode barcodes, nil where people give them.
	additional, barcode *Format
}

type eventInfo struct {
	id   int64
	rec  *Record
	doc  EventDoc
	reqs []*requirementInfo
}

type requirementInfo struct {
	id  int64
	rec *Record
	doc RequirementDoc
}

// The marks of natural keys.
func shortTitleMark(s string) string { return "cp.shortTitle#" + Fold(s) }
func titleMark(s string) string      { return "cp.title#" + Fold(s) }
func cpCodeMark(s string) string     { return "cp.code#" + Fold(s) }
func instituteMark(s string) string  { return "institute.name#" + Fold(s) }
func siteMark(s string) string       { return "site.name#" + Fold(s) }
func siteCodeMark(s string) string   { return "site.code#" + Fold(s) }
func emailMark(s string) string      { return "user.email#" + Fold(s) }
func loginMark(domain, login string) string {
	return "user.login#" + Fold(domain) + "/" + Fold(login)
}

func ppidMark(cp int64, ppid string) string {
	return "cpr.ppid#" + strconv.FormatInt(cp, 10) + "#" + ppid
}
func visitMark(name string) string   { return "visit.name#" + name }
func labelMark(label string) string  { return "specimen.label#" + label }
func barcodeMark(code string) string { return "specimen.barcode#" + code }
func addlLabelMark(s string) string  { return "specimen.additionalLabel#" + s }
func empiMark(s string) string       { return "participant.empi#" + s }
func uidMark(s string) string        { return "participant.uid#" + s }
func cprBarcodeMark(s string) string { return "cpr.barcode#" + s }
func mrnMark(site int64, mrn string) string {
	return "participant.mrn#" + strconv.FormatInt(site, 10) + "#" + mrn
}

// nameMark is the mark of an object's name, or of what stands for it: a protocol's short title, a specimen's label.
func nameMark(t Type, name string) string {
	switch t {
	case Site:
		return siteMark(name)
	case Protocol:
		return shortTitleMark(name)
	case DistributionProtocol:
		return dpShortTitleMark(name)
	case ContainerType:
		return containerTypeMark(name)
	case Container:
		return containerMark(name)
	case Visit:
		return visitMark(name)
	case Specimen:
		return labelMark(name)
	}
	return instituteMark(name)
}

// protocol finds a protocol by id, else title, else short title. The fault for an unknown one is remembered, since a
// file names the same protocol in every row.
func (b *Batch) protocol(ctx context.Context, ref ProtocolRef) (*protocolInfo, error) {
	id := ref.ID
	if id == 0 {
		name, told, unique := shortTitleMark(ref.ShortTitle), ref.ShortTitle, uniqueShortTitle
		if ref.Title != "" {
			name, told, unique = titleMark(ref.Title), ref.Title, uniqueTitle
		}
		if known, ok := b.cpNames[name]; ok {
			id = known
		} else {
			if err, ok := b.cpFaults[name]; ok {
				return nil, err
			}
			known, err := b.setID(ctx, name, unique, told)
			if err != nil {
				return nil, err
			}
			if known == 0 {
				b.cpFaults[name] = missing(Protocol, strconv.Quote(told))
				return nil, b.cpFaults[name]
			}
			id = known
			b.cpNames[name] = id
		}
	}
	if p, ok := b.protocols[id]; ok {
		return p, nil
	}
	p, err := b.loadProtocol(ctx, id)
	if err != nil {
		return nil, err
	}
	b.protocols[id] = p
	return p, nil
}

func (b *Batch) loadProtocol(ctx context.Context, id int64) (*protocolInfo, error) {
	rec, err := b.rec(ctx, SetKey(Protocol, id))
	if err != nil {
		return nil, err
	}
	if rec == nil {
		return nil, missing(Protocol, id)
	}
	p := &protocolInfo{rec: rec, id: id, labels: map[string]*Format{}}
	if p.doc, err = Decode[ProtocolDoc](rec); err != nil {
		return nil, err
	}
	if p.doc.ActivityStatus == StatusDisabled {
		return nil, missing(Protocol, strconv.Quote(p.doc.ShortTitle))
	}
	below, err := b.store.List(ctx, ProtocolPart(id), "event/", "", 0)
	if err != nil {
		return nil, fmt.Errorf("read the events of protocol %d: %w", id, err)
	}
	for _, r := range below {
		switch r.Type {
		case Event:
			e := &eventInfo{id: r.ID, rec: r}
			if e.doc, err = Decode[EventDoc](r); err != nil {
				return nil, err
			}
			p.events = append(p.events, e)
		case Requirement:
			q := &requirementInfo{id: r.ID, rec: r}
			if q.doc, err = Decode[RequirementDoc](r); err != nil {
				return nil, err
			}
			// Sorted: an event comes before what lies below it. Below no event lies what was left of a copy that was cut short.
			if n := len(p.events); n > 0 && p.events[n-1].rec.Key == r.Key.Above(1) {
				p.events[n-1].reqs = append(p.events[n-1].reqs, q)
			}
		}
	}
	parse := func(kind FormatKind, text string) (*Format, error) {
		if text == "" {
			return nil, nil
		}
		f, err := ParseFormat(kind, text)
		if err != nil {
			return nil, fmt.Errorf("stored format of protocol %d: %w", id, err)
		}
		return f, nil
	}
	var errs [7]error
	p.ppid, errs[0] = parse(PPIDFormat, p.doc.PpidFmt)
	p.visit, errs[1] = parse(VisitNameFormat, p.doc.VisitNameFmt)
	p.labels[LineageNew], errs[2] = parse(PrimaryLabelFormat, p.doc.SpecimenLabelFmt)
	p.labels[LineageDerived], errs[3] = parse(LabelFormat, p.doc.DerivativeLabelFmt)
	p.labels[LineageAliquot], errs[4] = parse(LabelFormat, p.doc.AliquotLabelFmt)
	p.additional, errs[5] = parse(TagFormat, p.doc.AdditionalLabelFmt)
	if p.doc.givesBarcodes() {
		p.barcode, errs[6] = parse(TagFormat, p.doc.SpecimenBarcodeFmt)
	}
	return p, errors.Join(errs[:]...)
}

// protocolAt finds the protocol a tree key belongs to.
func (b *Batch) protocolAt(ctx context.Context, k Key) (*protocolInfo, error) {
	return b.protocol(ctx, ProtocolRef{ID: k.Protocol()})
}

func (p *protocolInfo) event(id int64) *eventInfo {
	for _, e := range p.events {
		if e.id == id && e.doc.ActivityStatus != StatusDisabled {
			return e
		}
	}
	return nil
}

func (p *protocolInfo) eventByLabel(label string) *eventInfo {
	want := Fold(label)
	for _, e := range p.events {
		if Fold(e.doc.Label) == want && e.doc.ActivityStatus != StatusDisabled {
			return e
		}
	}
	return nil
}

// requirement finds an open requirement by id, else by code, in one event (0: any).
func (p *protocolInfo) requirement(event, id int64, code string) *requirementInfo {
	for _, e := range p.events {
		if event != 0 && e.id != event {
			continue
		}
		for _, q := range e.reqs {
			if q.doc.ActivityStatus == StatusDisabled {
				continue
			}
			if id != 0 && q.id == id || id == 0 && code != "" && Fold(q.doc.Code) == Fold(code) {
				return q
			}
		}
	}
	return nil
}

func (p *protocolInfo) hasSite(id int64) bool {
	return slices.ContainsFunc(p.doc.Sites, func(s ProtocolSite) bool { return s.SiteID == id })
}

// can tells whether the batch's actor holds a right in the protocol.
func (b *Batch) can(res Resource, op Operation, p *protocolInfo) bool {
	return b.actor.Can(res, op, p.id, p.doc.Sites)
}

// worksIn tells whether the batch's actor may see, make or change participants, visits or specimens of the protocol. To anybody
// else a PPID or a visit name is nobody's: it may be the number by which a hospital knows the patient.
func (b *Batch) worksIn(p *protocolInfo) bool {
	for _, res := range []Resource{ResParticipantDeid, ResParticipantPhi, ResVisit, ResSpecimen, ResPrimarySpecimen} {
		for _, op := range []Operation{OpRead, OpCreate, OpUpdate} {
			if b.can(res, op, p) {
				return true
			}
		}
	}
	return false
}

// worksAt is worksIn for the protocol that a key of its tree belongs to; false for no key.
func (b *Batch) worksAt(ctx context.Context, key Key) (bool, error) {
	if key.IsZero() {
		return false, nil
	}
	cp, err := b.protocolAt(ctx, key)
	return err == nil && b.worksIn(cp), err
}

// siteID finds a site by name; "" gives 0.
func (b *Batch) siteID(ctx context.Context, name string) (int64, error) {
	if name == "" {
		return 0, nil
	}
	id, err := b.setID(ctx, siteMark(name), uniqueSite, name)
	if err == nil && id == 0 {
		return 0, missing(Site, strconv.Quote(name))
	}
	return id, err
}

// siteDoc is a site by id, empty for none.
func (b *Batch) siteDoc(ctx context.Context, id int64) (SiteDoc, error) {
	rec, err := b.rec(ctx, SetKey(Site, id))
	if err != nil {
		return SiteDoc{}, err
	}
	return Decode[SiteDoc](rec)
}

// instituteID finds an institute by name.
func (b *Batch) instituteID(ctx context.Context, name string) (int64, error) {
	id, err := b.setID(ctx, instituteMark(name), uniqueInstitute, name)
	if err == nil && id == 0 {
		return 0, missing(Institute, strconv.Quote(name))
	}
	return id, err
}

// open tells in l where an object begins to name a site or an institute that is closed. What is archived keeps what it has,
// and what names it may be changed in other ways; nothing new comes to it. Participants, visits and events are not held to
// that: they are at the sites that their protocol has.
func (b *Batch) open(ctx context.Context, l *fault.List, t Type, was, is int64) error {
	if is == was || is == 0 {
		return nil
	}
	rec, err := b.rec(ctx, SetKey(t, is))
	if err == nil && rec != nil && statusOf(rec) == StatusClosed {
		l.Add("ACTIVITY_STATUS_INVALID", "%s %d is closed: nothing new can belong to it.", notFound[t].noun, is)
	}
	return err
}

// setID finds a member of a small set by the mark of its name, 0 when there is none: it is deleted or has another name.
func (b *Batch) setID(ctx context.Context, mark string, u *unique, name string) (int64, error) {
	m, err := b.mark(ctx, mark)
	if err != nil {
		return 0, err
	}
	rec, err := b.rec(ctx, m.To)
	if err != nil || rec == nil {
		return 0, err
	}
	if b.holder[mark] == rec {
		return rec.ID, nil // looked into before: a file names the same few users and sites in every row
	}
	if holds, err := u.holds(rec, name); !holds || err != nil {
		return 0, err
	}
	b.holder[mark] = rec
	return rec.ID, nil
}

// Named finds a live member of a small set by its name (a protocol by its short title), strongly and without a look at
// rights: its id, 0 for none.
func (r *Registry) Named(ctx context.Context, t Type, name string) (int64, error) {
	if Fold(name) == "" {
		return 0, nil
	}
	u := uniqueInstitute
	switch t {
	case Site:
		u = uniqueSite
	case Protocol:
		u = uniqueShortTitle
	case DistributionProtocol:
		u = uniqueDPShortTitle
	case ContainerType:
		u = uniqueContainerType
	}
	return r.newBatch(nil, time.Time{}).setID(ctx, nameMark(t, name), u, name)
}

// ProtocolOf finds the protocol that a reference names: by id, else title, else short title. One that the actor may not
// read is CP_NOT_FOUND, just as one that does not exist.
func (r *Registry) ProtocolOf(ctx context.Context, a *Actor, ref ProtocolRef) (int64, error) {
	b := r.newBatch(a, time.Time{})
	id, told, err := ref.ID, strconv.FormatInt(ref.ID, 10), error(nil)
	switch {
	case id != 0:
	case ref.Title != "":
		told = strconv.Quote(ref.Title)
		id, err = b.setID(ctx, titleMark(ref.Title), uniqueTitle, ref.Title)
	default:
		told = strconv.Quote(ref.ShortTitle)
		id, err = b.setID(ctx, shortTitleMark(ref.ShortTitle), uniqueShortTitle, ref.ShortTitle)
	}
	if err != nil {
		return 0, err
	}
	rec, err := b.rec(ctx, SetKey(Protocol, id))
	if err != nil {
		return 0, err
	}
	doc, err := Decode[ProtocolDoc](rec)
	if err != nil {
		return 0, err
	}
	if rec == nil || doc.ActivityStatus == StatusDisabled || !a.Can(ResProtocol, OpRead, id, doc.Sites) {
		return 0, missing(Protocol, told)
	}
	return id, nil
}

// userID finds a user; a reference that was not sent, or asks for none, gives 0. The code is the fault for an unknown one.
func (b *Batch) userID(ctx context.Context, u UserRef, code string) (int64, error) {
	told := u.Email
	id := u.ID
	var err error
	switch {
	case !u.Sent() || u.Clear:
		return 0, nil
	case u.ID != 0:
		told = strconv.FormatInt(u.ID, 10)
		var rec *Record
		if rec, err = b.rec(ctx, SetKey(User, u.ID)); rec == nil || statusOf(rec) == StatusDisabled {
			id = 0
		}
	case u.Email != "":
		id, err = b.setID(ctx, emailMark(u.Email), uniqueEmail, u.Email)
	default:
		told = u.Login
		domain := u.Domain
		if domain == "" {
			domain = Domain
		}
		id, err = b.setID(ctx, loginMark(domain, u.Login), uniqueLogin, u.Login)
	}
	if err != nil {
		return 0, err
	}
	if id == 0 {
		return 0, fault.New(code, "User %q was not found. Users are named by their e-mail address.", told)
	}
	return id, nil
}

// labelKind is the kind of the label formats of a lineage.
func labelKind(lineage string) FormatKind {
	if lineage == LineageNew {
		return PrimaryLabelFormat
	}
	return LabelFormat
}

// value brings a permissible value into its canonical form; blank stays blank.
func value(l *fault.List, attribute, code, noun string, v *string) {
	if *v == "" {
		return
	}
	if canonical, ok := Canonical(attribute, *v); ok {
		*v = canonical
		return
	}
	l.Add(code, "%s %q is not in the list of permissible values.", noun, *v)
}

func values(l *fault.List, attribute, code, noun string, vs []string) {
	for i := range vs {
		value(l, attribute, code, noun, &vs[i])
	}
}

// status checks an activity status; blank becomes Active.
func status(l *fault.List, s *string) {
	switch Fold(*s) {
	case "", "active":
		*s = StatusActive
	case "closed":
		*s = StatusClosed
	case "disabled":
		*s = StatusDisabled
	default:
		l.Add("ACTIVITY_STATUS_INVALID", "Activity Status %q is not valid. It is Active, Closed or Disabled.", *s)
	}
}

// tooLong checks a text's length in characters.
func tooLong(l *fault.List, noun, s string, limit int) {
	if len(s) > limit && len([]rune(s)) > limit {
		l.Add("COMMON_INVALID_INPUT", "%s is longer than %d characters.", noun, limit)
	}
}
