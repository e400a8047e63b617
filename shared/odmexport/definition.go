package odmexport

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"aliquot/shared/biobank"
	"aliquot/shared/clinical"
	"aliquot/shared/odm"
)

// definitions writes the metadata of the study and of its sites, and who has a role there, each as far as the user sees it
// (sections 6.3 and 6.4). A site's Study includes the study's and has what is otherwise at the site: the one that was sent
// with the metadata, or one made of what is known of the site. Where the study's own is not in the document, because only
// the site was asked for or may be seen, the site's has all definitions that it would include: they were of no use without.
func (d *Document) definitions(ctx context.Context, w *odm.Writer) error {
	study, sent, err := d.sent(ctx, d.place.Study.Object)
	if err != nil {
		return err
	}
	if d.retrieval.Archived && len(d.retrieval.Scopes) > 0 {
		meta := d.retrieval.Scopes[0].Meta
		items, err := d.archivedItems(ctx, study, meta)
		if err != nil {
			return err
		}
		remember(study, meta, items)
	}
	fill(study, d.place.Study)
	withStudy := slices.ContainsFunc(d.sites, func(s *clinical.Held) bool { return s.ID == d.place.Study.ID })
	for i, site := range d.sites {
		own := sent[clinical.Fold(site.OID)]
		switch {
		case site.ID == d.place.Study.ID:
			own = study
		case !withStudy:
			own = whole(study, own, site, d.retrieval.Scopes[i].Meta)
		case own == nil:
			own = including(study, site)
		}
		fill(own, site)
		if err := w.Write(own); err != nil {
			return err
		}
	}
	return d.admin(ctx, w)
}

// sent are the definitions of a document, by folded OID of the study or site, and those of the study.
func (d *Document) sent(ctx context.Context, key string) (study *odm.Study, all map[string]*odm.Study, err error) {
	studies, err := d.Studies.Definitions(ctx, d.place.Study, key)
	if err != nil {
		return nil, nil, err
	}
	all = map[string]*odm.Study{}
	for _, s := range studies {
		all[clinical.Fold(s.OID)] = s
	}
	if study = all[clinical.Fold(d.place.Study.OID)]; study == nil {
		return nil, nil, fmt.Errorf("the metadata of study %d do not define it", d.place.Study.ID)
	}
	return study, all, nil
}

// admin writes the users with a role at the study and at its sites. It costs three reads at most, of however many.
func (d *Document) admin(ctx context.Context, w *odm.Writer) error {
	holders, err := d.Studies.Holders(ctx)
	if err != nil {
		return err
	}
	var keys []biobank.Key
	for _, s := range d.sites {
		for _, id := range holders[s.ID] {
			keys = append(keys, biobank.SetKey(biobank.User, id))
		}
	}
	users, err := fetch[biobank.UserDoc](ctx, d.Users, keys)
	if err != nil {
		return err
	}
	keys = keys[:0]
	for _, u := range users {
		keys = append(keys, biobank.SetKey(biobank.Institute, u.InstituteID))
	}
	institutes, err := fetch[biobank.InstituteDoc](ctx, d.Users, keys)
	if err != nil {
		return err
	}
	for _, s := range d.sites {
		out := &odm.AdminData{StudyOID: s.OID}
		for _, id := range holders[s.ID] {
			u := users[biobank.SetKey(biobank.User, id)]
			out.User = append(out.User, odm.User{
				OID: clinical.UserOID(id), FullName: strings.TrimSpace(u.FirstName + " " + u.LastName),
				FirstName: u.FirstName, LastName: u.LastName, Organization: institutes[biobank.SetKey(biobank.Institute, u.InstituteID)].Name,
			})
		}
		if len(out.User) == 0 {
			continue
		}
		if err := w.Write(out); err != nil {
			return err
		}
	}
	return nil
}

// fetch reads documents, each once; without keys it reads nothing.
func fetch[T any](ctx context.Context, r *biobank.Registry, keys []biobank.Key) (map[biobank.Key]T, error) {
	keys = slices.Clone(keys)
	slices.SortFunc(keys, func(a, b biobank.Key) int { return strings.Compare(a.Sort, b.Sort) }) // of one set
	keys = slices.Compact(keys)
	out := map[biobank.Key]T{}
	if len(keys) == 0 {
		return out, nil
	}
	recs, err := r.Fetch(ctx, keys...)
	if err != nil {
		return nil, err
	}
	for key, rec := range recs {
		if out[key], err = biobank.Decode[T](rec); err != nil {
			return nil, err
		}
	}
	return out, nil
}
