package biobank

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"aliquot/shared/fault"
)

// DistributionDoc is a distribution protocol: who receives specimens, and which sites give them (reference
// openspecimen-rest.md 20.1).
type DistributionDoc struct {
	Title           string              `json:"title"`
	ShortTitle      string              `json:"shortTitle"`
	InstituteID     int64               `json:"instituteId"` // the receiving one
	ReceivingSiteID int64               `json:"receivingSiteId,omitempty"`
	PI              int64               `json:"principalInvestigator"`
	Coordinators    []int64             `json:"coordinators,omitempty"`
	Sites           []DistributingSites `json:"distributingSites"` // sorted by institute
	StartDate       string              `json:"startDate,omitempty"`
	EndDate         string              `json:"endDate,omitempty"`
	IrbID           string              `json:"irbId,omitempty"`
	NoNotifications bool                `json:"disableEmailNotifs,omitempty"`
	AttachmentType  string              `json:"attachmentType,omitempty"`
	// OrderForm is the form of the custom fields of its orders, 0 for that of all orders.
	OrderForm int64 `json:"orderFormId,omitempty"`
	// ItemLabelFormat is kept for clients that print labels; nothing is made of it here.
	ItemLabelFormat string        `json:"orderItemLabelFormat,omitempty"`
	ConsentTiers    []ConsentTier `json:"consentTiers,omitempty"`
	Extension       *Extension    `json:"extension,omitempty"`
	ActivityStatus  string        `json:"activityStatus"`
}

// DistributingSites are the sites of an institute that give specimens; none stands for all it has and will have.
type DistributingSites struct {
	InstituteID int64   `json:"instituteId"`
	SiteIDs     []int64 `json:"siteIds,omitempty"`
}

// ConsentTier is a statement that those whose specimens are distributed must have agreed to.
type ConsentTier struct {
	ID        int64  `json:"id"`
	Code      string `json:"statementCode,omitempty"`
	Statement string `json:"statement"`
}

// concernsInstitute tells whether the institute receives or distributes.
func (d *DistributionDoc) concernsInstitute(id int64) bool {
	return d.InstituteID == id || slices.ContainsFunc(d.Sites, func(s DistributingSites) bool { return s.InstituteID == id })
}

// concernsSite tells whether the site is named.
func (d *DistributionDoc) concernsSite(id int64) bool {
	return d.ReceivingSiteID == id || slices.ContainsFunc(d.Sites, func(s DistributingSites) bool { return slices.Contains(s.SiteIDs, id) })
}

// distributes tells whether the actor holds the right at one of the distributing sites.
func (a *Actor) distributes(res Resource, op Operation, d *DistributionDoc) bool {
	if a.Super() {
		return true
	}
	return slices.ContainsFunc(d.Sites, func(s DistributingSites) bool {
		sites := s.SiteIDs
		if len(sites) == 0 && s.InstituteID == a.User.InstituteID {
			sites = slices.Collect(maps.Keys(a.sites))
		}
		return slices.ContainsFunc(sites, func(site int64) bool { return a.HoldsAt(res, op, site) })
	})
}

// distributesAll tells whether the actor holds the right at every distributing site. For all sites of an institute that
// takes a right that counts for those to come, too.
func (a *Actor) distributesAll(res Resource, op Operation, d *DistributionDoc) bool {
	if a.Super() {
		return true
	}
	for _, s := range d.Sites {
		if len(s.SiteIDs) == 0 && (s.InstituteID != a.User.InstituteID || !a.holdsEverywhere(res, op)) {
			return false
		}
		for _, site := range s.SiteIDs {
			if !a.HoldsAt(res, op, site) {
				return false
			}
		}
	}
	return true
}

// holdsEverywhere tells whether the actor holds the right at every present and future site of the own institute.
func (a *Actor) holdsEverywhere(res Resource, op Operation) bool {
	return a.InstituteAdmin() || slices.ContainsFunc(a.User.Roles, func(g Grant) bool {
		return g.SiteID == 0 && slices.Contains(a.roles[g.StoredID()].Rights[res], op)
	})
}

// FormRef names a form: by id, else by name. The zero FormRef names none.
type FormRef struct {
	ID   int64
	Name string
}

// DistributionDraft is found by ID, else Doc.ShortTitle. Institutes and sites are named; Merge keeps what was not sent, and
// with it those that are nil.
type DistributionDraft struct {
	ID            int64
	Institute     *string
	ReceivingSite *string
	PI            UserRef
	Coordinators  []UserRef           // nil: not sent
	Sites         map[string][]string // site names by institute name; nil: not sent
	OrderForm     FormRef
	Extension     *ExtensionDraft // nil: not sent
	Doc           DistributionDoc
	Merge         func(*DistributionDoc)
}

func (*DistributionDraft) recordType() Type { return DistributionProtocol }

func dpTitleMark(s string) string      { return "dp.title#" + Fold(s) }
func dpShortTitleMark(s string) string { return "dp.shortTitle#" + Fold(s) }

var (
	uniqueDPTitle = &unique{"DP_DUP_TITLE", "A distribution protocol with the same title, %q, exists already.", func(r *Record, v string) (bool, error) {
		d, err := Decode[DistributionDoc](r)
		return Fold(d.Title) == Fold(v) && d.ActivityStatus != StatusDisabled, err
	}}
	uniqueDPShortTitle = &unique{"DP_DUP_SHORT_TITLE", "A distribution protocol with the same short title, %q, exists already.", func(r *Record, v string) (bool, error) {
		d, err := Decode[DistributionDoc](r)
		return Fold(d.ShortTitle) == Fold(v) && d.ActivityStatus != StatusDisabled, err
	}}
)

func (d *DistributionDraft) want(_ context.Context, b *Batch, c *Change) error {
	b.wantMember(c, DistributionProtocol, d.ID, d.Doc.ShortTitle, dpShortTitleMark)
	return nil
}

func (d *DistributionDraft) read(_ context.Context, b *Batch, c *Change) error {
	b.wantMemberRec(c, d.Doc.ShortTitle, dpShortTitleMark)
	return nil
}

func (d *DistributionDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	rec, was, is, err := begin(ctx, b, c, o, sought{DistributionProtocol, d.ID, d.Doc.ShortTitle, dpShortTitleMark, uniqueDPShortTitle}, &d.Doc, d.Merge)
	if is == nil || err != nil {
		return err
	}
	if rec != nil && gone(is.ActivityStatus) {
		if !b.actor.distributesAll(ResDistribution, OpDelete, &was) {
			return denied("delete distribution protocol " + b.actor.callsDistribution(rec.ID, &was))
		}
		if err := b.unreferenced(ctx, c, rec, "DP_REF_ENTITY_FOUND"); err != nil {
			return err
		}
		return b.retire(ctx, c, o, rec, &was, &was.ActivityStatus, freed{&was.Title, 255, dpTitleMark}, freed{&was.ShortTitle, 50, dpShortTitleMark})
	}
	if rec != nil && !b.actor.distributesAll(ResDistribution, OpUpdate, &was) {
		return denied("change distribution protocol " + b.actor.callsDistribution(rec.ID, &was))
	}
	var l fault.List
	cannotBegin(&l, is.ActivityStatus)
	if d.Merge == nil {
		is.ConsentTiers = was.ConsentTiers // they have calls of their own
	}
	if err := d.references(ctx, b, &l, &was, is); err != nil {
		return err
	}
	if err := d.orderForm(ctx, b, &l, &was, is); err != nil {
		return err
	}
	if err := b.extend(ctx, &l, DistributionFields, nil, was.Extension, &is.Extension, d.Extension, true); err != nil {
		return err
	}
	d.check(&l, is)
	if len(l) > 0 {
		return l
	}
	op := OpUpdate
	if rec == nil {
		op = OpCreate
	}
	if !b.actor.distributesAll(ResDistribution, op, is) {
		return denied("distribute from all of these sites")
	}
	if rec == nil {
		id, err := b.memberID(ctx, c, DistributionProtocol, d.ID)
		if err != nil {
			return err
		}
		key := SetKey(DistributionProtocol, id)
		b.claim(c, uniqueDPTitle, is.Title, dpTitleMark(is.Title), key, id, "")
		b.claim(c, uniqueDPShortTitle, is.ShortTitle, dpShortTitleMark(is.ShortTitle), key, id, "")
		return b.insert(c, DistributionProtocol, key, id, is, o)
	}
	if err := b.reclaim(ctx, c, uniqueDPTitle, was.Title, is.Title, dpTitleMark, rec); err != nil {
		return err
	}
	if err := b.reclaim(ctx, c, uniqueDPShortTitle, was.ShortTitle, is.ShortTitle, dpShortTitleMark, rec); err != nil {
		return err
	}
	return b.change(c, rec, is, o)
}

// references resolves the people, institutes and sites that the draft names. Where it patches, what was not sent is kept.
func (d *DistributionDraft) references(ctx context.Context, b *Batch, l *fault.List, was, is *DistributionDoc) error {
	whole := d.Merge == nil || was.ActivityStatus == "" // a new one, or one that is replaced
	is.InstituteID, is.ReceivingSiteID, is.PI, is.Coordinators, is.Sites = was.InstituteID, was.ReceivingSiteID, was.PI, was.Coordinators, was.Sites
	if d.Institute != nil || whole {
		is.InstituteID = 0
		if name := deref(d.Institute); name == "" {
			l.Add("DP_INSTITUTE_REQUIRED", "Give the institute that receives the specimens.")
		} else if err := told(l, assign(&is.InstituteID)(b.instituteID(ctx, name))); err != nil {
			return err
		}
	}
	if err := b.open(ctx, l, Institute, was.InstituteID, is.InstituteID); err != nil {
		return err
	}
	if d.ReceivingSite != nil || whole {
		is.ReceivingSiteID = 0
		if err := d.receiving(ctx, b, l, is); err != nil {
			return err
		}
		if err := b.open(ctx, l, Site, was.ReceivingSiteID, is.ReceivingSiteID); err != nil {
			return err
		}
	}
	if d.PI.Sent() || whole {
		is.PI = 0
		if err := told(l, assign(&is.PI)(b.userID(ctx, d.PI, "USER_NOT_FOUND"))); err != nil {
			return err
		}
		if !d.PI.Sent() || d.PI.Clear {
			l.Add("DP_PI_REQUIRED", "Give the principal investigator of the distribution protocol.")
		}
	}
	if is.PI != 0 && is.InstituteID != 0 && (is.PI != was.PI || is.InstituteID != was.InstituteID) {
		rec, err := b.rec(ctx, SetKey(User, is.PI))
		if err != nil {
			return err
		}
		if u, err := Decode[UserDoc](rec); err != nil {
			return err
		} else if u.InstituteID != is.InstituteID {
			l.Add("DP_PI_DOES_NOT_BELONG_TO_INST", "The principal investigator does not belong to the receiving institute.")
		}
	}
	if d.Coordinators != nil || whole {
		ids, err := b.userIDs(ctx, l, d.Coordinators, "USER_NOT_FOUND")
		if err != nil {
			return err
		}
		is.Coordinators = ids
	}
	if d.Sites == nil && !whole {
		return nil
	}
	if len(d.Sites) == 0 {
		l.Add("DP_DISTRIBUTING_SITES_REQUIRED", "Give the sites that distribute, by institute.")
	}
	is.Sites = nil
	for _, institute := range slices.Sorted(maps.Keys(d.Sites)) {
		if err := d.distributing(ctx, b, l, is, institute); err != nil {
			return err
		}
	}
	slices.SortFunc(is.Sites, func(x, y DistributingSites) int { return cmp.Compare(x.InstituteID, y.InstituteID) })
	return nil
}

// orderForm resolves the form of the orders' custom fields.
func (d *DistributionDraft) orderForm(ctx context.Context, b *Batch, l *fault.List, was, is *DistributionDoc) error {
	if is.OrderForm = was.OrderForm; d.Merge != nil {
		return nil
	}
	is.OrderForm = d.OrderForm.ID
	if is.OrderForm == 0 && d.OrderForm.Name == "" {
		return nil
	}
	if is.OrderForm == 0 {
		var err error
		if is.OrderForm, err = b.setID(ctx, formMark(d.OrderForm.Name), uniqueForm, d.OrderForm.Name); err != nil {
			return err
		}
	}
	f, err := b.form(ctx, is.OrderForm)
	if err == nil && f == nil {
		l.Append(missing(FormType, cmp.Or(d.OrderForm.Name, strconv.FormatInt(d.OrderForm.ID, 10))))
	}
	return err
}

// receiving resolves the receiving site, which must be one of the receiving institute.
func (d *DistributionDraft) receiving(ctx context.Context, b *Batch, l *fault.List, is *DistributionDoc) error {
	name := deref(d.ReceivingSite)
	if err := told(l, assign(&is.ReceivingSiteID)(b.siteID(ctx, name))); err != nil || is.ReceivingSiteID == 0 || is.InstituteID == 0 {
		return err
	}
	of, err := b.instituteOf(ctx, is.ReceivingSiteID)
	if err == nil && of != is.InstituteID {
		l.Add("DP_INVALID_RECEIVING_SITE", "Site %q does not belong to the receiving institute.", name)
	}
	return err
}

// distributing resolves the sites of one institute.
func (d *DistributionDraft) distributing(ctx context.Context, b *Batch, l *fault.List, is *DistributionDoc, institute string) error {
	const code = "DP_INVALID_DISTRIBUTING_SITES"
	var s DistributingSites
	var unknown fault.List
	if err := told(&unknown, assign(&s.InstituteID)(b.instituteID(ctx, institute))); err != nil {
		return err
	}
	if len(unknown) > 0 {
		l.Add(code, "Institute %q was not found.", institute)
		return nil
	}
	for _, name := range d.Sites[institute] {
		var id, of int64
		err := told(&unknown, assign(&id)(b.siteID(ctx, name)))
		if err == nil && id != 0 {
			of, err = b.instituteOf(ctx, id)
		}
		if err != nil {
			return err
		}
		if id == 0 || of != s.InstituteID {
			l.Add(code, "Institute %q has no site %q.", institute, name)
		} else if !slices.Contains(s.SiteIDs, id) {
			s.SiteIDs = append(s.SiteIDs, id)
		}
	}
	if i := slices.IndexFunc(is.Sites, func(x DistributingSites) bool { return x.InstituteID == s.InstituteID }); i >= 0 {
		l.Add(code, "Institute %q is named twice.", institute)
		return nil
	}
	slices.Sort(s.SiteIDs)
	is.Sites = append(is.Sites, s)
	return nil
}

func (d *DistributionDraft) check(l *fault.List, is *DistributionDoc) {
	if is.Title == "" {
		l.Add("DP_TITLE_REQUIRED", "Give the title.")
	}
	if is.ShortTitle == "" {
		l.Add("DP_SHORT_TITLE_REQUIRED", "Give the short title.")
	}
	tooLong(l, "Title", is.Title, 255)
	tooLong(l, "Short title", is.ShortTitle, 50)
	tooLong(l, "Ethics ID", is.IrbID, 255)
	tooLong(l, "Attachment type", is.AttachmentType, 50)
	tooLong(l, "Format of item labels", is.ItemLabelFormat, maxFormat)
	if is.StartDate != "" && is.EndDate != "" && is.EndDate < is.StartDate {
		l.Add("COMMON_INVALID_INPUT", "Start date %s is after end date %s.", is.StartDate, is.EndDate)
	}
	status(l, &is.ActivityStatus)
	for i, t := range is.ConsentTiers {
		if t.Statement == "" {
			l.Add("CONSENT_STATEMENT_REQUIRED", "Give the statement of the consent tier.")
		}
		tooLong(l, "Statement", t.Statement, 1000)
		tooLong(l, "Statement code", t.Code, 32)
		if slices.ContainsFunc(is.ConsentTiers[:i], func(o ConsentTier) bool {
			return Fold(o.Statement) == Fold(t.Statement) || t.Code != "" && Fold(o.Code) == Fold(t.Code)
		}) {
			l.Add("DP_DUP_CONSENT", "The distribution protocol has the same consent tier already.")
		}
	}
}

// usable refuses a distribution protocol that is closed or over: DP_CLOSED, DP_EXPIRED.
func (d *DistributionDoc) usable(l *fault.List, at time.Time) {
	if d.ActivityStatus == StatusClosed {
		l.Add("DP_CLOSED", "Distribution protocol %q is closed.", d.ShortTitle)
	}
	if d.EndDate != "" && d.EndDate < at.Format(time.DateOnly) {
		l.Add("DP_EXPIRED", "Distribution protocol %q was over on %s.", d.ShortTitle, d.EndDate)
	}
}

// DistributionRef names a distribution protocol: by id, else short title, else title.
type DistributionRef struct {
	ID                int64
	ShortTitle, Title string
}

// Sent tells whether the reference was sent at all.
func (r DistributionRef) Sent() bool { return r != DistributionRef{} }

// distribution finds a distribution protocol; an unknown or deleted one is DP_NOT_FOUND.
func (b *Batch) distribution(ctx context.Context, ref DistributionRef) (*Record, DistributionDoc, error) {
	id, name := ref.ID, strconv.FormatInt(ref.ID, 10)
	var err error
	if id == 0 {
		mark, u := dpShortTitleMark(ref.ShortTitle), uniqueDPShortTitle
		name = ref.ShortTitle
		if name == "" {
			mark, u, name = dpTitleMark(ref.Title), uniqueDPTitle, ref.Title
		}
		if id, err = b.setID(ctx, mark, u, name); err != nil {
			return nil, DistributionDoc{}, err
		}
		name = strconv.Quote(name)
	}
	rec, err := b.rec(ctx, SetKey(DistributionProtocol, id))
	if err != nil {
		return nil, DistributionDoc{}, err
	}
	doc, err := Decode[DistributionDoc](rec)
	if err == nil && (rec == nil || doc.ActivityStatus == StatusDisabled) {
		err = missing(DistributionProtocol, name)
	}
	return rec, doc, err
}

// DistributionOf finds the distribution protocol with a short title. One that the actor may not read is DP_NOT_FOUND, just as
// one that does not exist.
func (r *Registry) DistributionOf(ctx context.Context, a *Actor, title string) (int64, error) {
	rec, doc, err := r.newBatch(a, time.Time{}).distribution(ctx, DistributionRef{ShortTitle: title})
	if err == nil && !a.distributes(ResDistribution, OpRead, &doc) {
		err = missing(DistributionProtocol, strconv.Quote(title))
	}
	return idOf(rec), err
}

// tallyDistribution counts the live distribution protocols that something concerns.
func (r *Registry) tallyDistribution(ctx context.Context, count tally, concerns func(*DistributionDoc) bool) error {
	return each(ctx, r, DistributionProtocol, func(d *DistributionDoc) {
		count.add("distribution_protocol", d.ActivityStatus != StatusDisabled && concerns(d))
	})
}

// instituteOf is the institute of a site.
func (b *Batch) instituteOf(ctx context.Context, site int64) (int64, error) {
	rec, err := b.rec(ctx, SetKey(Site, site))
	if err != nil {
		return 0, err
	}
	doc, err := Decode[SiteDoc](rec)
	return doc.InstituteID, err
}

// assign keeps a looked-up id.
func assign(into *int64) func(int64, error) error {
	return func(id int64, err error) error {
		if err == nil {
			*into = id
		}
		return err
	}
}

// told moves faults into l and returns any other error.
func told(l *fault.List, err error) error {
	if fault.All(err) == nil {
		return err
	}
	l.Append(err)
	return nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
