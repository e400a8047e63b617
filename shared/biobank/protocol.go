package biobank

import (
	"context"
	"slices"

	"aliquot/shared/fault"
)

// ProtocolDoc is a collection protocol (reference openspecimen-rest.md section 9, CSV columns of
// openspecimen-import-query.md 2.10).
type ProtocolDoc struct {
	ShortTitle              string         `json:"shortTitle"`
	Title                   string         `json:"title"`
	Code                    string         `json:"code,omitempty"`
	PI                      int64          `json:"principalInvestigator"`
	Coordinators            []int64        `json:"coordinators,omitempty"`
	Sites                   []ProtocolSite `json:"cpSites"`
	StartDate               string         `json:"startDate,omitempty"`
	EndDate                 string         `json:"endDate,omitempty"`
	IrbID                   string         `json:"irbId,omitempty"`
	DescriptionURL          string         `json:"descriptionUrl,omitempty"`
	SopDocumentURL          string         `json:"sopDocumentUrl,omitempty"`
	SopDocumentName         string         `json:"sopDocumentName,omitempty"`
	AnticipatedParticipants int64          `json:"anticipatedParticipantsCount,omitempty"`
	PpidFmt                 string         `json:"ppidFmt,omitempty"`
	ManualPpid              bool           `json:"manualPpidEnabled,omitempty"`
	VisitNameFmt            string         `json:"visitNameFmt,omitempty"`
	ManualVisitName         bool           `json:"manualVisitNameEnabled,omitempty"`
	SpecimenLabelFmt        string         `json:"specimenLabelFmt,omitempty"`
	DerivativeLabelFmt      string         `json:"derivativeLabelFmt,omitempty"`
	AliquotLabelFmt         string         `json:"aliquotLabelFmt,omitempty"`
	AdditionalLabelFmt      string         `json:"additionalLabelFmt,omitempty"`
	ManualSpecimenLabel     bool           `json:"manualSpecLabelEnabled,omitempty"`
	SpecimenBarcodeFmt      string         `json:"specimenBarcodeFmt,omitempty"`
	BarcodingEnabled        bool           `json:"barcodingEnabled,omitempty"`
	LabelSequenceKey        string         `json:"labelSequenceKey,omitempty"`
	VisitCollectionMode     string         `json:"visitCollectionMode"`
	VisitNamePrintMode      string         `json:"visitNamePrintMode"`
	VisitNamePrintCopies    int64          `json:"visitNamePrintCopies,omitempty"`
	LabelPrePrintMode       string         `json:"spmnLabelPrePrintMode"`
	LabelPrintSettings      []PrintSetting `json:"spmnLabelPrintSettings,omitempty"`
	SpecimenCentric         bool           `json:"specimenCentric,omitempty"`
	Hidden                  *Hidden        `json:"hidden,omitempty"`
	ConsentsWaived          bool           `json:"consentsWaived,omitempty"`
	VisitLevelConsents      bool           `json:"visitLevelConsents,omitempty"`
	// Consents are the protocol's own consent tiers, ConsentsSource the protocol whose tiers count instead.
	Consents                []ProtocolConsent `json:"consents,omitempty"`
	ConsentsSource          int64             `json:"consentsSource,omitempty"`
	CloseParentSpecimens    bool              `json:"closeParentSpecimens,omitempty"`
	SetQtyToZero            bool              `json:"setQtyToZero,omitempty"`
	ContainerSelection      string            `json:"containerSelectionStrategy,omitempty"`
	AliquotsInSameContainer bool              `json:"aliquotsInSameContainer,omitempty"`
	StorageSiteBasedAccess  bool              `json:"storageSiteBasedAccess,omitempty"`
	StoreSpr                bool              `json:"storeSprEnabled,omitempty"`
	ExtractSprText          bool              `json:"extractSprText,omitempty"`
	KitLabels               bool              `json:"kitLabelsEnabled,omitempty"`
	DraftDataEntry          bool              `json:"draftDataEntry,omitempty"`
	BulkRegistration        bool              `json:"bulkPartRegEnabled,omitempty"`
	// DistributionIDs are the distribution protocols that its specimens go out by. DistributionProtocols are their short titles as
	// a file gives them; nil: not sent.
	DistributionIDs       []int64  `json:"distributionIds,omitempty"`
	DistributionProtocols []string `json:"-"`
	// Units are what its specimens are measured in where that is not what is usual; nil: not sent.
	Units          []Unit     `json:"units,omitempty"`
	ActivityStatus string     `json:"activityStatus"`
	Extension      *Extension `json:"extension,omitempty"`
}

// ProtocolSite is a site where a protocol collects.
type ProtocolSite struct {
	SiteID int64  `json:"siteId"`
	Code   string `json:"code,omitempty"`
}

// PrintSetting tells when labels of a lineage are printed.
type PrintSetting struct {
	Lineage   string `json:"lineage"`
	PrintMode string `json:"printMode,omitempty"`
	Copies    int64  `json:"copies,omitempty"`
}

var (
	uniqueShortTitle = &unique{"CP_DUP_SHORT_TITLE", "A collection protocol with the same short title, %q, exists already.", func(r *Record, v string) (bool, error) {
		d, err := Decode[ProtocolDoc](r)
		return Fold(d.ShortTitle) == Fold(v) && d.ActivityStatus != StatusDisabled, err
	}}
	uniqueTitle = &unique{"CP_DUP_TITLE", "A collection protocol with the same title, %q, exists already.", func(r *Record, v string) (bool, error) {
		d, err := Decode[ProtocolDoc](r)
		return Fold(d.Title) == Fold(v) && d.ActivityStatus != StatusDisabled, err
	}}
	uniqueCpCode = &unique{"CP_DUP_CODE", "A collection protocol with the same code, %q, exists already.", func(r *Record, v string) (bool, error) {
		d, err := Decode[ProtocolDoc](r)
		return Fold(d.Code) == Fold(v) && d.ActivityStatus != StatusDisabled, err
	}}
)

func (d *ProtocolDraft) want(_ context.Context, b *Batch, c *Change) error {
	b.wantMember(c, Protocol, d.ID, d.Doc.ShortTitle, shortTitleMark)
	return nil
}

func (d *ProtocolDraft) read(_ context.Context, b *Batch, c *Change) error {
	b.wantMemberRec(c, d.Doc.ShortTitle, shortTitleMark)
	return nil
}

func (d *ProtocolDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	rec, was, is, err := begin(ctx, b, c, o, sought{Protocol, d.ID, d.Doc.ShortTitle, shortTitleMark, uniqueShortTitle}, &d.Doc, d.Merge)
	if is == nil || err != nil {
		return err
	}
	if rec != nil && gone(is.ActivityStatus) {
		return d.remove(ctx, b, c, o, rec, &was)
	}
	if rec != nil && !b.actor.Can(ResProtocol, OpUpdate, rec.ID, was.Sites) { // before a refusal can tell of the protocol
		return denied("change collection protocol " + b.actor.callsProtocol(rec.ID, &was))
	}
	var l fault.List
	cannotBegin(&l, is.ActivityStatus)
	is.PI, is.Coordinators, is.Sites = was.PI, was.Coordinators, was.Sites
	if rec != nil { // what no change of it changes, whatever is sent
		is.SpecimenCentric, is.Hidden = was.SpecimenCentric, was.Hidden
		is.ConsentsWaived, is.VisitLevelConsents = was.ConsentsWaived, was.VisitLevelConsents
		is.Consents, is.ConsentsSource = was.Consents, was.ConsentsSource
	}
	if err := d.references(ctx, b, &l, is); err != nil {
		return err
	}
	if err := d.distributions(ctx, b, &l, was.DistributionIDs, is); err != nil {
		return err
	}
	d.check(&l, is)
	checkUnits(&l, is.Units)
	if err := b.belong(ctx, &l, &was, is); err != nil {
		return err
	}
	if err := b.extend(ctx, &l, ProtocolFields, nil, was.Extension, &is.Extension, d.Extension, true); err != nil {
		return err
	}
	if rec != nil {
		if is.givesBarcodes() && !was.givesBarcodes() {
			if err := b.allBarcoded(ctx, &l, rec); err != nil {
				return err
			}
		}
		if is.Units == nil {
			is.Units = was.Units
		}
	}
	if len(l) > 0 {
		return l
	}
	if rec == nil {
		return d.create(ctx, b, c, o, is)
	}
	if !b.actor.Can(ResProtocol, OpUpdate, rec.ID, is.Sites) {
		return denied("change collection protocol " + b.actor.callsProtocol(rec.ID, &was))
	}
	for _, s := range slices.Concat(is.Sites, was.Sites) {
		same := func(o ProtocolSite) bool { return o.SiteID == s.SiteID }
		if slices.ContainsFunc(is.Sites, same) && slices.ContainsFunc(was.Sites, same) {
			continue
		}
		if !b.actor.Can(ResProtocol, OpUpdate, rec.ID, []ProtocolSite{s}) {
			return fault.New("CP_CREATOR_DOES_NOT_BELONG_CP_REPOS", "You may add sites to a collection protocol, and take them from it, only where you have the right to change it.")
		}
	}
	if err := b.sitesInUse(ctx, rec, was.Sites, is.Sites); err != nil {
		return err
	}
	for _, u := range []struct {
		u       *unique
		was, is string
		mark    func(string) string
	}{
		{uniqueShortTitle, was.ShortTitle, is.ShortTitle, shortTitleMark},
		{uniqueTitle, was.Title, is.Title, titleMark},
		{uniqueCpCode, was.Code, is.Code, cpCodeMark},
	} {
		if err := b.reclaim(ctx, c, u.u, u.was, u.is, u.mark, rec); err != nil {
			return err
		}
	}
	delete(b.protocols, rec.ID) // read anew by whoever needs it next
	return b.change(c, rec, is, o)
}

// remove plans the deletion of a protocol without registrations. Its events and requirements are deleted with it: nothing
// of a deleted protocol is found.
func (d *ProtocolDraft) remove(ctx context.Context, b *Batch, c *Change, o *Outcome, rec *Record, is *ProtocolDoc) error {
	if !b.actor.Can(ResProtocol, OpDelete, rec.ID, is.Sites) {
		return denied("delete collection protocol " + b.actor.callsProtocol(rec.ID, is))
	}
	if err := b.unreferenced(ctx, c, rec, "CP_REF_ENTITY_FOUND"); err != nil {
		return err
	}
	delete(b.protocols, rec.ID)
	return b.retire(ctx, c, o, rec, is, &is.ActivityStatus, freed{&is.ShortTitle, 50, shortTitleMark},
		freed{&is.Title, 255, titleMark}, freed{&is.Code, 32, cpCodeMark})
}

// sitesInUse refuses to take a site from a protocol whose registrations or visits name it.
func (b *Batch) sitesInUse(ctx context.Context, rec *Record, was, is []ProtocolSite) error {
	dropped := map[int64]bool{}
	for _, s := range was {
		dropped[s.SiteID] = true
	}
	for _, s := range is {
		delete(dropped, s.SiteID)
	}
	if len(dropped) == 0 {
		return nil
	}
	kept := 0
	reg := &Registry{Store: b.store}
	if err := eachContainer(ctx, reg, func(d *ContainerDoc) {
		if dropped[d.SiteID] && slices.Contains(d.Protocols, rec.ID) {
			kept++
		}
	}); err != nil {
		return err
	}
	if kept > 0 {
		return fault.New("CP_USED_CONT_RESTRICTION", "%d containers of a site that is to be taken from the collection protocol are kept for it.", kept)
	}
	used, err := reg.Any(ctx, rec.ID, Visits, func(r *Record) (bool, error) {
		doc, err := Decode[struct {
			SiteID         int64  `json:"siteId"`
			ActivityStatus string `json:"activityStatus"`
		}](r)
		return dropped[doc.SiteID] && doc.ActivityStatus != StatusDisabled, err
	})
	if err != nil {
		return err
	}
	if used {
		return fault.New("CP_USED_SITES", "Registrations or visits name a site that is to be taken from the collection protocol.")
	}
	for site := range dropped { // events and record numbers may go on naming it
		b.named[reference{Site, site, rec.ID}] = true
	}
	return nil
}

func (d *ProtocolDraft) create(ctx context.Context, b *Batch, c *Change, o *Outcome, is *ProtocolDoc) error {
	for _, s := range is.Sites {
		if !b.actor.Can(ResProtocol, OpCreate, 0, []ProtocolSite{s}) {
			return fault.New("CP_CREATOR_DOES_NOT_BELONG_CP_REPOS", "You may create collection protocols only at sites where you have the right to.")
		}
	}
	if err := d.consents(ctx, b, c, is); err != nil {
		return err
	}
	id, err := b.memberID(ctx, c, Protocol, d.ID)
	if err != nil {
		return err
	}
	key := SetKey(Protocol, id)
	b.claim(c, uniqueShortTitle, is.ShortTitle, shortTitleMark(is.ShortTitle), key, id, "")
	b.claim(c, uniqueTitle, is.Title, titleMark(is.Title), key, id, "")
	if is.Code != "" {
		b.claim(c, uniqueCpCode, is.Code, cpCodeMark(is.Code), key, id, "")
	}
	if err := b.hide(ctx, c, id, is); err != nil {
		return err
	}
	return b.insert(c, Protocol, key, id, is, o)
}

// references resolves the people and sites that the draft names.
func (d *ProtocolDraft) references(ctx context.Context, b *Batch, l *fault.List, is *ProtocolDoc) error {
	if d.PI.Sent() && !d.PI.Clear {
		id, err := b.userID(ctx, d.PI, "CP_PI_NOT_FOUND")
		if fault.All(err) != nil {
			l.Append(err)
		} else if err != nil {
			return err
		} else {
			is.PI = id
		}
	} else if is.PI == 0 || d.PI.Clear {
		l.Add("CP_PI_REQUIRED", "Give the principal investigator of the collection protocol.")
	}
	if d.Coordinators != nil {
		ids, err := b.userIDs(ctx, l, d.Coordinators, "CP_INVALID_COORDINATORS")
		if err != nil {
			return err
		}
		is.Coordinators = ids
	}
	if d.Sites == nil {
		return nil
	}
	before := is.Sites
	is.Sites = nil
	for _, s := range d.Sites {
		id, err := b.siteID(ctx, s.Name)
		if fault.All(err) != nil {
			l.Add("CP_INVALID_REPOSITORIES", "Site %q was not found.", s.Name)
			continue
		} else if err != nil {
			return err
		}
		for _, other := range is.Sites {
			if s.Code != "" && Fold(other.Code) == Fold(s.Code) && other.SiteID != id {
				l.Add("CP_DUP_CP_SITE_CODES", "Site code %q is given twice.", s.Code)
			}
		}
		twice := slices.IndexFunc(is.Sites, func(o ProtocolSite) bool { return o.SiteID == id })
		if twice < 0 {
			if !slices.ContainsFunc(before, func(o ProtocolSite) bool { return o.SiteID == id }) {
				if err := b.open(ctx, l, Site, 0, id); err != nil {
					return err
				}
			}
			is.Sites = append(is.Sites, ProtocolSite{SiteID: id, Code: s.Code})
		} else if Fold(is.Sites[twice].Code) != Fold(s.Code) {
			l.Add("CP_DUP_CP_SITE_CODES", "Site %q is given twice, with different codes.", s.Name)
		}
	}
	return nil
}

// belong refuses a principal investigator or a coordinator whose institute has none of the protocol's sites. Super
// administrators belong everywhere (section 9); so does whoever the protocol had before, at the same sites.
func (b *Batch) belong(ctx context.Context, l *fault.List, was, is *ProtocolDoc) error {
	institutes := map[int64]bool{}
	for _, s := range is.Sites {
		site, err := b.siteDoc(ctx, s.SiteID)
		if err != nil {
			return err
		}
		institutes[site.InstituteID] = true
	}
	kept := slices.Equal(was.Sites, is.Sites)
	for i, id := range append([]int64{is.PI}, is.Coordinators...) {
		code, noun, had := "CP_CO_ORD_DOES_NOT_BELONG_CP_REPOS", "coordinator", slices.Contains(was.Coordinators, id)
		if i == 0 {
			code, noun, had = "CP_PI_DOES_NOT_BELONG_CP_REPOS", "principal investigator", was.PI == id
		}
		rec, err := b.rec(ctx, setKeyOrNone(User, id))
		if err != nil {
			return err
		}
		user, err := Decode[UserDoc](rec)
		if err != nil {
			return err
		}
		if rec != nil && user.Type != UserSuper && !institutes[user.InstituteID] && len(is.Sites) > 0 && (!had || !kept) {
			l.Add(code, "The %s %s belongs to an institute without a site of the collection protocol.", noun, user.EmailAddress)
		}
	}
	return nil
}

// check holds the rules of a protocol's own values (section 9).
func (d *ProtocolDraft) check(l *fault.List, is *ProtocolDoc) {
	if is.ShortTitle == "" {
		l.Add("CP_SHORT_TITLE_REQUIRED", "Give the Short Title.")
	}
	if is.Title == "" {
		l.Add("CP_TITLE_REQUIRED", "Give the Title.")
	}
	if len(is.Sites) == 0 && len(d.Sites) == 0 { // else those that were sent are told
		l.Add("CP_REPOSITORIES_REQUIRED", "Give at least one site of the collection protocol.")
	}
	tooLong(l, "Short Title", is.ShortTitle, 50)
	tooLong(l, "Title", is.Title, 255)
	tooLong(l, "Code", is.Code, 32)
	if is.StartDate != "" && is.EndDate != "" && is.EndDate < is.StartDate {
		l.Add("CP_START_DT_GT_END_DT", "Start Date %s is after End Date %s.", is.StartDate, is.EndDate)
	}
	status(l, &is.ActivityStatus)
	d.formats(l, is)
	oneOf(l, &is.VisitCollectionMode, "ALL_SPMNS", "CP_INVALID_VISIT_COLL_MODE", "Visit collection mode", "ALL_SPMNS", "PRIMARY_SPMNS")
	oneOf(l, &is.VisitNamePrintMode, "NONE", "CP_INVALID_VISIT_NAME_PRINT_MODE", "Visit name print mode", visitNamePrintModes...)
	oneOf(l, &is.LabelPrePrintMode, "NONE", "CP_INVALID_SPMN_LABEL_PRE_PRINT_MODE", "Label Pre-print Mode", "NONE", "ON_REGISTRATION", "ON_VISIT", "ON_PRIMARY_COLL", "ON_PRIMARY_RECV", "ON_SHIPMENT_RECV")
	oneOf(l, &is.LabelSequenceKey, "", "CP_INVALID_LABEL_SEQ_KEY", "Label Sequence Key", "ID", "LABEL")
	if is.AnticipatedParticipants < 0 {
		l.Add("COMMON_INVALID_INPUT", "Anticipated Participants Count cannot be negative.")
	}
	seen := map[string]bool{}
	for i := range is.LabelPrintSettings {
		s := &is.LabelPrintSettings[i]
		if s.Lineage == "" {
			l.Add("CP_SPMN_LINEAGE_REQUIRED", "Give the lineage of each label print setting.")
			continue
		}
		oneOf(l, &s.Lineage, "", "CP_INVALID_SPMN_LINEAGE", "Lineage", LineageNew, LineageDerived, LineageAliquot)
		oneOf(l, &s.PrintMode, "NONE", "CP_INVALID_SPMN_LABEL_PRINT_MODE", "Print mode", labelPrintModes...)
		if seen[s.Lineage] {
			l.Add("CP_DUP_PRINT_SETTING", "Lineage %s has more than one label print setting.", s.Lineage)
		}
		seen[s.Lineage] = true
	}
}

// When names of visits and labels of specimens are printed.
var (
	visitNamePrintModes = []string{"NONE", "PRE_PRINT", "ON_COMPLETION"}
	labelPrintModes     = []string{"PRE_PRINT", "ON_COLLECTION", "ON_RECEIVE", "NONE"}
)

// oneOf brings a text into the form of one of those that are allowed; blank becomes otherwise.
func oneOf(l *fault.List, v *string, otherwise, code, noun string, allowed ...string) {
	if *v == "" {
		*v = otherwise
		return
	}
	for _, a := range allowed {
		if Fold(*v) == Fold(a) {
			*v = a
			return
		}
	}
	l.Add(code, "%s %q is not valid.", noun, *v)
}

// formats checks the formats of names: a number that is counted under a parent must be counted under the object's own,
// since that is where the next number is looked up.
func (d *ProtocolDraft) formats(l *fault.List, is *ProtocolDoc) {
	for _, f := range []struct {
		kind         FormatKind
		text         *string
		scope        Counter
		code, noun   string
		refusesOther string
	}{
		{PPIDFormat, &is.PpidFmt, Global, "CP_INVALID_PPID_FMT", "PPID Format", ""},
		{VisitNameFormat, &is.VisitNameFmt, PerParticipant, "CP_INVALID_VISIT_NAME_FMT", "Visit Name Format", "%PPI_UID%"},
		{PrimaryLabelFormat, &is.SpecimenLabelFmt, PerVisit, "CP_INVALID_SPECIMEN_LABEL_FMT", "Label Format", "%VISIT_UID%"},
		{LabelFormat, &is.DerivativeLabelFmt, PerParent, "CP_INVALID_DERIVATIVE_LABEL_FMT", "Derivative Label Format", "%PSPEC_UID%"},
		{LabelFormat, &is.AliquotLabelFmt, PerParent, "CP_INVALID_ALIQUOT_LABEL_FMT", "Aliquot Label Format", "%PSPEC_UID%"},
		{TagFormat, &is.AdditionalLabelFmt, PerProtocol, "CP_INVALID_ADDL_LABEL_FMT", "Additional Label Format", ""},
		{TagFormat, &is.SpecimenBarcodeFmt, PerProtocol, "CP_INVALID_SPECIMEN_BARCODE_FMT", "Specimen Barcode Format", ""},
	} {
		if *f.text == "" {
			continue
		}
		format, err := ParseFormat(f.kind, *f.text)
		if err != nil {
			l.Add(f.code, "%s %q %s.", f.noun, *f.text, err)
			continue
		}
		for _, scope := range format.Counters() {
			switch {
			case scope == Global || scope == PerProtocol:
			case scope != f.scope:
				l.Add(f.code, "%s %q counts under something other than the object's parent; use %%SYS_UID%%, %%CP_UID%% or %s.", f.noun, *f.text, f.refusesOther)
			case is.SpecimenCentric && scope == PerVisit:
				l.Add(f.code, "%s %q counts the specimens of a visit, and a specimen-centric protocol has no visits; use %%SYS_UID%% or %%CP_UID%%.", f.noun, *f.text)
			}
		}
	}
}

// allBarcoded refuses that the protocol makes barcodes from now on, where a specimen was collected without one: each has
// one in such a protocol, and none can be made after the label was printed. The reference does not tell when it answers with
// the code.
func (b *Batch) allBarcoded(ctx context.Context, l *fault.List, rec *Record) error {
	nameless, err := (&Registry{Store: b.store}).Any(ctx, rec.ID, Everything, func(one *Record) (bool, error) {
		if one.Type != Specimen {
			return false, nil
		}
		doc, err := Decode[SpecimenDoc](one)
		return doc.Status == Collected && doc.Barcode == "" && doc.ActivityStatus != StatusDisabled, err
	})
	if nameless {
		l.Add("CP_CANNOT_ENABLE_BARCODING", "Specimens were collected without a barcode; barcodes cannot be generated from now on.")
	}
	return err
}
