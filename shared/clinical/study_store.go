package clinical

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"aliquot/shared/biobank"
	"aliquot/shared/fault"
)

// Held is a study or a site as it is stored.
type Held struct {
	ID int64
	Study
	rec *biobank.Record
}

// Place is where data belong: a study or one of its sites. Site is the study itself where no site is meant.
type Place struct {
	Study, Site *Held
}

// IsSite tells whether a site is meant.
func (p *Place) IsSite() bool { return p.Site.ID != p.Study.ID }

// Environment is the one that the study is published to.
func (p *Place) Environment() string {
	if p.Study.Production {
		return "PROD"
	}
	return "TEST"
}

// Open is nil where the place takes data (section 2.3, checks 5 and 6).
func (p *Place) Open() error {
	switch {
	case p.Study.Status != Available:
		return StudyOIDNotAvailable
	case p.Site.Status != Available:
		return SiteNotAvailable
	}
	return nil
}

// Place finds a study or a site by OID, strongly; its refusal is StudyOIDNotFound. It tells nothing about rights.
func (r *Registry) Place(ctx context.Context, oid string) (*Place, error) {
	if Fold(oid) == "" || len(oid) > maxOID {
		return nil, StudyOIDNotFound
	}
	name := StudyMark(oid)
	marks, err := r.Store.Marks(ctx, []string{name}, true)
	if err != nil {
		return nil, fmt.Errorf("look up a study: %w", err)
	}
	m, ok := marks[name]
	if !ok {
		return nil, StudyOIDNotFound
	}
	// The mark of a site names its study, so that both come in one read.
	keys := []biobank.Key{m.To}
	if parent, err := strconv.ParseInt(m.Info, 10, 64); err == nil {
		keys = append(keys, biobank.SetKey(StudyType, parent))
	}
	held, err := r.held(ctx, keys)
	if err != nil {
		return nil, err
	}
	p := &Place{Study: held[len(held)-1], Site: held[0]}
	return p, nil
}

func (r *Registry) held(ctx context.Context, keys []biobank.Key) ([]*Held, error) {
	recs, err := r.Store.Records(ctx, keys, true)
	if err != nil {
		return nil, fmt.Errorf("read studies: %w", err)
	}
	all := make([]*Held, len(keys))
	for i, k := range keys {
		if all[i], err = asHeld(recs[k]); err != nil {
			return nil, err
		}
		if recs[k] == nil {
			return nil, fmt.Errorf("study %s is missing", k.Sort)
		}
	}
	return all, nil
}

func asHeld(rec *biobank.Record) (*Held, error) {
	doc, err := biobank.Decode[Study](rec)
	if err != nil || rec == nil {
		return nil, err
	}
	return &Held{ID: rec.ID, Study: doc, rec: rec}, nil
}

// PlaceOf finds a study and one of its sites by their OIDs; an empty site means the study itself. The refusals are
// StudyOIDNotFound for a study that is unknown, or a site, and SiteNotFound for a site that is not the study's.
func (r *Registry) PlaceOf(ctx context.Context, study, site string) (*Place, error) {
	p, err := r.Place(ctx, study)
	if err != nil {
		return nil, err
	}
	if p.IsSite() {
		return nil, StudyOIDNotFound
	}
	if site == "" {
		return p, nil
	}
	s, err := r.Place(ctx, site)
	if err == StudyOIDNotFound {
		return nil, SiteNotFound
	}
	if err != nil {
		return nil, err
	}
	if !s.IsSite() || s.Study.ID != p.Study.ID {
		return nil, SiteNotFound
	}
	return s, nil
}

// SiteNotFound means that a study has no such site.
const SiteNotFound Code = "siteNotExist"

// Studies lists the studies and sites in which the actor has a role, each site after its study.
func (r *Registry) Studies(ctx context.Context, a *Actor) ([]*Place, error) {
	recs, err := r.Store.List(ctx, string(StudyType), "", "", 0)
	if err != nil {
		return nil, fmt.Errorf("list studies: %w", err)
	}
	byID, all := map[int64]*Held{}, []*Held{}
	for _, rec := range recs {
		h, err := asHeld(rec)
		if err != nil {
			return nil, err
		}
		byID[h.ID] = h
		all = append(all, h)
	}
	var places []*Place
	for _, h := range all {
		p := &Place{Study: h, Site: h}
		if h.Parent != 0 {
			p.Study = byID[h.Parent]
		}
		if a.MayRead(p) == nil {
			places = append(places, p)
		}
	}
	// Both ids only ever grow, so this is the order of creation.
	slices.SortFunc(places, func(x, y *Place) int {
		if x.Study.ID != y.Study.ID {
			return int(x.Study.ID - y.Study.ID)
		}
		return int(x.Site.ID - y.Site.ID)
	})
	return places, nil
}

// Sites lists the sites of a study, in order of creation, without regard to rights.
func (r *Registry) Sites(ctx context.Context, study int64) ([]*Held, error) {
	recs, err := r.Store.List(ctx, string(StudyType), "", "", 0)
	if err != nil {
		return nil, fmt.Errorf("list sites: %w", err)
	}
	var sites []*Held
	for _, rec := range recs {
		h, err := asHeld(rec)
		if err != nil {
			return nil, err
		}
		if h.Parent == study {
			sites = append(sites, h)
		}
	}
	return sites, nil
}

// StudyDraft is what is asked of a study or a site. Empty values stay as they are, or get a usual value: a name and a unique
// protocol id are the OID, and a study is available.
type StudyDraft struct {
	OID, Name, Unique string
	// Parent is the OID of the study that a site belongs to. It is given once.
	Parent string
}

const (
	maxStudyName = 255
	maxUnique    = 30 // part of file names
)

// PutStudy creates a study or a site, or changes its names. Studies are for super administrators to make; a site, and a
// change, for who manages the data of the study.
func (r *Registry) PutStudy(ctx context.Context, by By, d StudyDraft) (*Place, error) {
	var done *Place
	err := again(func() error {
		p, err := r.Place(ctx, d.OID)
		switch {
		case err == StudyOIDNotFound:
			done, err = r.addStudy(ctx, by, d, false)
		case err == nil && by.MayRead(p) != nil: // as far as the caller knows it is not there
			done, err = r.addStudy(ctx, by, d, true)
		case err == nil:
			done, err = r.editStudy(ctx, by, p, d)
		}
		return err
	})
	return done, err
}

func (r *Registry) addStudy(ctx context.Context, by By, d StudyDraft, taken bool) (*Place, error) {
	s := Study{OID: strings.TrimSpace(d.OID), Name: d.Name, Unique: d.Unique, Status: Available}
	var parent *Place
	if d.Parent == "" {
		if !by.Super() {
			return nil, NoSufficientPrivileges
		}
	} else {
		var err error
		if parent, err = r.PlaceOf(ctx, d.Parent, ""); err != nil {
			return nil, err
		}
		if err := by.MayManage(parent); err != nil {
			return nil, err
		}
		s.Parent = parent.Study.ID
	}
	if taken {
		return nil, fault.New("STUDY_OID_INVALID", "The OID %s cannot be used. Take another one.", s.OID)
	}
	h, writes, err := r.newStudy(ctx, by, s)
	if err != nil {
		return nil, err
	}
	if err := r.transact(ctx, writes, nil); err != nil {
		return nil, err
	}
	p := &Place{Study: h, Site: h}
	if parent != nil {
		p.Study = parent.Study
	}
	return p, nil
}

// newStudy is what makes a study or site: its mark first.
func (r *Registry) newStudy(ctx context.Context, by By, s Study) (*Held, []biobank.Write, error) {
	if s.Name == "" {
		s.Name = s.OID
	}
	if s.Unique == "" {
		s.Unique = clip(s.OID, maxUnique)
	}
	if err := s.check(); err != nil {
		return nil, nil, err
	}
	id, err := r.Store.Reserve(ctx, string(StudyType), 1)
	if err != nil {
		return nil, nil, fmt.Errorf("draw a study id: %w", err)
	}
	rec, err := by.begin(biobank.SetKey(StudyType, id), StudyType, id, s)
	if err != nil {
		return nil, nil, err
	}
	mark := biobank.Mark{Name: StudyMark(s.OID), To: rec.Key, ID: id}
	if s.Parent != 0 {
		mark.Info = strconv.FormatInt(s.Parent, 10)
	}
	return &Held{ID: id, Study: s, rec: rec}, []biobank.Write{
		{Kind: biobank.InsertMark, Mark: mark}, {Kind: biobank.InsertRecord, Record: rec},
	}, nil
}

// check refuses OIDs and names that could not be used later: in paths, keys and file names.
func (s *Study) check() error {
	var l fault.List
	if Fold(s.OID) == "" || len(s.OID) > maxOID {
		l.Add("STUDY_OID_INVALID", "An OID has at least one and at most %d bytes.", maxOID)
	}
	if strings.ContainsFunc(s.OID, func(c rune) bool { return c < ' ' || c == 0x7f || strings.ContainsRune(`/\?#%*`, c) }) || !utf8.ValidString(s.OID) {
		l.Add("STUDY_OID_INVALID", "The OID must not hold control characters or any of / \\ ? # %% *.")
	}
	if utf8.RuneCountInString(s.Name) > maxStudyName {
		l.Add("STUDY_NAME_INVALID", "The name has more than %d characters.", maxStudyName)
	}
	if utf8.RuneCountInString(s.Unique) > maxUnique || strings.ContainsFunc(s.Unique, func(c rune) bool { return c < ' ' || strings.ContainsRune(`/\":*?<>|`, c) }) {
		l.Add("STUDY_UNIQUE_ID_INVALID", `The unique protocol id must have at most %d characters and none of / \ " : * ? < > |.`, maxUnique)
	}
	return l.Err()
}

func (r *Registry) editStudy(ctx context.Context, by By, p *Place, d StudyDraft) (*Place, error) {
	if err := by.MayManage(p); err != nil {
		return nil, err
	}
	if d.Parent != "" && (!p.IsSite() || Fold(d.Parent) != Fold(p.Study.OID)) {
		return nil, fault.New("STUDY_PARENT_INVALID", "A study or site stays where it was made: it cannot be given another parent.")
	}
	s := p.Site.Study
	if d.Name != "" {
		s.Name = d.Name
	}
	if d.Unique != "" {
		s.Unique = d.Unique
	}
	return r.reviseStudy(ctx, by, p, s)
}

// reviseStudy stores another document of the place's site.
func (r *Registry) reviseStudy(ctx context.Context, by By, p *Place, s Study, more ...biobank.Write) (*Place, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	writes, err := by.revise(p.Site.rec, s)
	if err != nil {
		return nil, err
	}
	if err := r.transact(ctx, append(writes, more...), nil); err != nil {
		return nil, err
	}
	h := &Held{ID: p.Site.ID, Study: s, rec: p.Site.rec}
	if !p.IsSite() {
		return &Place{Study: h, Site: h}, nil
	}
	return &Place{Study: p.Study, Site: h}, nil
}

// SetStatus puts a study or a site into another state, which those who manage its data may do.
func (r *Registry) SetStatus(ctx context.Context, by By, oid string, to Status) (*Place, error) {
	switch to {
	case Design, Available, Frozen, Locked, Removed:
	default:
		return nil, fault.New("STUDY_STATUS_INVALID", "A status is one of %s, %s, %s, %s and %s.", Design, Available, Frozen, Locked, Removed)
	}
	return r.alter(ctx, by, oid, func(_ *Place, s *Study) error {
		s.Status = to
		return nil
	})
}

// Publish takes a study from TEST to PROD, for good. It must have metadata.
func (r *Registry) Publish(ctx context.Context, by By, oid string) (*Place, error) {
	return r.alter(ctx, by, oid, func(p *Place, s *Study) error {
		switch {
		case p.IsSite():
			return fault.New("STUDY_PUBLISH_INVALID", "A site is published with its study.")
		case s.Version == 0:
			return fault.New("STUDY_PUBLISH_INVALID", "The study has no metadata yet. Send them before it is published.")
		}
		s.Production = true
		return nil
	})
}

func (r *Registry) alter(ctx context.Context, by By, oid string, change func(*Place, *Study) error) (*Place, error) {
	var done *Place
	err := again(func() error {
		p, err := r.Place(ctx, oid)
		if err != nil {
			return err
		}
		if err := by.MayManage(p); err != nil {
			return err
		}
		s := p.Site.Study
		if err := change(p, &s); err != nil {
			return err
		}
		done, err = r.reviseStudy(ctx, by, p, s)
		return err
	})
	return done, err
}

// clip cuts a text to n characters.
func clip(s string, n int) string {
	if all := []rune(s); len(all) > n {
		return string(all[:n])
	}
	return s
}
