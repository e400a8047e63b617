package biobank

import (
	"context"

	"aliquot/shared/fault"
)

// SiteDoc is a site of an institute (section 6).
type SiteDoc struct {
	Name           string     `json:"name"`
	InstituteID    int64      `json:"instituteId"`
	Code           string     `json:"code,omitempty"`
	Type           string     `json:"type"`
	Coordinators   []int64    `json:"coordinators,omitempty"`
	Address        string     `json:"address,omitempty"`
	ActivityStatus string     `json:"activityStatus"`
	Extension      *Extension `json:"extension,omitempty"`
}

var (
	uniqueSite = &unique{"SITE_DUP_NAME", "A site with the same name, %q, exists already.", func(r *Record, v string) (bool, error) {
		d, err := Decode[SiteDoc](r)
		return Fold(d.Name) == Fold(v) && d.ActivityStatus != StatusDisabled, err
	}}
	uniqueSiteCode = &unique{"SITE_DUP_CODE", "A site with the same code, %q, exists already.", func(r *Record, v string) (bool, error) {
		d, err := Decode[SiteDoc](r)
		return Fold(d.Code) == Fold(v) && d.ActivityStatus != StatusDisabled, err
	}}
)

func (d *SiteDraft) want(_ context.Context, b *Batch, c *Change) error {
	b.wantMember(c, Site, d.ID, d.Doc.Name, siteMark)
	if d.Institute != "" {
		b.wantMark(instituteMark(d.Institute))
	}
	return nil
}

func (d *SiteDraft) read(_ context.Context, b *Batch, c *Change) error {
	b.wantMemberRec(c, d.Doc.Name, siteMark)
	return nil
}

func (d *SiteDraft) plan(ctx context.Context, b *Batch, c *Change, o *Outcome) error {
	rec, was, is, err := begin(ctx, b, c, o, sought{Site, d.ID, d.Doc.Name, siteMark, uniqueSite}, &d.Doc, d.Merge)
	if is == nil || err != nil {
		return err
	}
	if rec != nil && gone(is.ActivityStatus) {
		return d.remove(ctx, b, c, o, rec, &was)
	}
	var l fault.List
	cannotBegin(&l, is.ActivityStatus)
	if is.Name == "" {
		l.Add("SITE_NAME_REQUIRED", "Give the Name of the site.")
	}
	is.InstituteID = was.InstituteID
	if d.Institute != "" {
		id, err := b.instituteID(ctx, d.Institute)
		if fault.All(err) != nil {
			l.Append(err)
		} else if err != nil {
			return err
		}
		is.InstituteID = id
		if err := b.open(ctx, &l, Institute, was.InstituteID, id); err != nil {
			return err
		}
	} else if rec == nil || d.Merge == nil {
		l.Add("SITE_INSTITUTE_REQUIRED", "Give the Institute Name of the site.")
	}
	ours := b.actor.Super() || b.actor.InstituteAdmin() && is.InstituteID == b.actor.User.InstituteID &&
		(rec == nil || was.InstituteID == is.InstituteID)
	if !ours && len(l) == 0 {
		return adminOnly("create or change sites of this institute")
	}
	if is.Type == "" {
		l.Add("SITE_TYPE_REQUIRED", "Give the Type of the site.")
	}
	value(&l, "site_type", "SITE_INVALID_TYPE", "Type", &is.Type)
	status(&l, &is.ActivityStatus)
	tooLong(&l, "Name", is.Name, 255)
	tooLong(&l, "Code", is.Code, 50)
	if err := b.extend(ctx, &l, SiteFields, nil, was.Extension, &is.Extension, d.Extension, true); err != nil {
		return err
	}
	is.Coordinators = was.Coordinators
	if d.Coordinators != nil {
		if is.Coordinators, err = b.userIDs(ctx, &l, d.Coordinators, "SITE_INVALID_COORDINATOR"); err != nil {
			return err
		}
	}
	if len(l) > 0 {
		return l
	}
	if rec != nil && was.InstituteID != is.InstituteID {
		if err := b.unreferenced(ctx, c, rec, "SITE_INVALID_SITE_INSTITUTE"); err != nil {
			return err
		}
	}
	if rec == nil {
		id, err := b.memberID(ctx, c, Site, d.ID)
		if err != nil {
			return err
		}
		key := SetKey(Site, id)
		b.claim(c, uniqueSite, is.Name, siteMark(is.Name), key, id, "")
		if is.Code != "" {
			b.claim(c, uniqueSiteCode, is.Code, siteCodeMark(is.Code), key, id, "")
		}
		return b.insert(c, Site, key, id, is, o)
	}
	if err := b.reclaim(ctx, c, uniqueSite, was.Name, is.Name, siteMark, rec); err != nil {
		return err
	}
	if err := b.reclaim(ctx, c, uniqueSiteCode, was.Code, is.Code, siteCodeMark, rec); err != nil {
		return err
	}
	return b.change(c, rec, is, o)
}

// remove plans the deletion of a site that nothing uses.
func (d *SiteDraft) remove(ctx context.Context, b *Batch, c *Change, o *Outcome, rec *Record, is *SiteDoc) error {
	if !b.actor.Super() && (!b.actor.InstituteAdmin() || is.InstituteID != b.actor.User.InstituteID) {
		return adminOnly("delete sites of this institute")
	}
	if err := b.unreferenced(ctx, c, rec, "SITE_REF_ENTITY_FOUND"); err != nil {
		return err
	}
	return b.retire(ctx, c, o, rec, is, &is.ActivityStatus, freed{&is.Name, 255, siteMark}, freed{&is.Code, 50, siteCodeMark})
}

// userIDs resolves references to users; unknown ones are told in l.
func (b *Batch) userIDs(ctx context.Context, l *fault.List, refs []UserRef, code string) ([]int64, error) {
	var out []int64
	for _, u := range refs {
		id, err := b.userID(ctx, u, code)
		if fault.All(err) != nil {
			l.Append(err)
			continue
		} else if err != nil {
			return nil, err
		}
		if id != 0 {
			out = append(out, id)
		}
	}
	return out, nil
}
