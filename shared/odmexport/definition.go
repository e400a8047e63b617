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

// definitions writes the metadata of the study and of its sites, and who has a role there, each as far as the user sees it:
// somebody of a site gets the definitions of the study under the site's OID, without what the site hides.
func (d *Document) definitions(ctx context.Context, w *odm.Writer) error {
	studies, err := d.Studies.Definitions(ctx, d.place.Study)
	if err != nil {
		return err
	}
	byOID := map[string]*odm.Study{}
	for _, s := range studies {
		byOID[clinical.Fold(s.OID)] = s
	}
	whole := byOID[clinical.Fold(d.place.Study.OID)]
	if whole == nil {
		return fmt.Errorf("the metadata of study %d do not define it", d.place.Study.ID)
	}
	withStudy := slices.ContainsFunc(d.retrieval.Scopes, func(s clinical.Scope) bool { return s.ID == d.place.Study.ID })
	for _, s := range d.retrieval.Scopes {
		own := byOID[clinical.Fold(s.OID)]
		if !withStudy {
			own = visible(whole, s)
		}
		if own == nil {
			continue // the study's definitions hold as they are
		}
		if err := w.Write(own); err != nil {
			return err
		}
	}
	for _, s := range d.retrieval.Scopes {
		admin, err := d.admin(ctx, s)
		if err != nil {
			return err
		}
		if len(admin.User) == 0 {
			continue
		}
		if err := w.Write(admin); err != nil {
			return err
		}
	}
	return nil
}

// visible is a study's definition as one of its sites sees it.
func visible(study *odm.Study, site clinical.Scope) *odm.Study {
	s := *study
	s.OID = site.OID
	s.MetaDataVersion = slices.Clone(s.MetaDataVersion)
	for i := range s.MetaDataVersion {
		v := &s.MetaDataVersion[i]
		v.StudyEventDef = slices.Clone(v.StudyEventDef)
		for j := range v.StudyEventDef {
			e := &v.StudyEventDef[j]
			def := site.Meta.Event(e.OID)
			e.FormRef = slices.DeleteFunc(slices.Clone(e.FormRef), func(f odm.FormRef) bool {
				form := site.Meta.Form(f.FormOID)
				if def == nil || form == nil {
					return false
				}
				ref := def.Ref(form)
				return ref != nil && ref.Hidden
			})
		}
	}
	return &s
}

// admin are the users with a role at a study or site.
func (c *Collector) admin(ctx context.Context, s clinical.Scope) (*odm.AdminData, error) {
	out := &odm.AdminData{StudyOID: s.OID}
	ids, err := c.Studies.Holders(ctx, map[int64]bool{s.ID: true})
	if err != nil || len(ids) == 0 {
		return out, err
	}
	var keys []biobank.Key
	for _, id := range ids {
		keys = append(keys, biobank.SetKey(biobank.User, id))
	}
	users, err := c.Users.Fetch(ctx, keys...)
	if err != nil {
		return nil, err
	}
	for i, k := range keys {
		doc, err := biobank.Decode[biobank.UserDoc](users[k])
		if err != nil {
			return nil, err
		}
		institute := biobank.SetKey(biobank.Institute, doc.InstituteID)
		recs, err := c.Users.Fetch(ctx, institute)
		if err != nil {
			return nil, err
		}
		of, err := biobank.Decode[biobank.InstituteDoc](recs[institute])
		if err != nil {
			return nil, err
		}
		out.User = append(out.User, odm.User{
			OID: clinical.UserOID(ids[i]), FullName: strings.TrimSpace(doc.FirstName + " " + doc.LastName),
			FirstName: doc.FirstName, LastName: doc.LastName, Organization: of.Name,
		})
	}
	return out, nil
}
