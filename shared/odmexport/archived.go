package odmexport

import (
	"maps"
	"slices"

	"aliquot/shared/clinical"
	"aliquot/shared/odm"
)

// kinds are the data types of items in ODM's words.
var kinds = map[clinical.Kind]string{
	clinical.Text: "text", clinical.Integer: "integer", clinical.Real: "float", clinical.Boolean: "boolean",
	clinical.Date: "date", clinical.PartialDate: "partialDate",
}

// remember adds to a Study what earlier metadata defined and the newest do not, for documents with archived data: what the
// data name is defined (sections 6.2 and 8.2). It is known by its OID, name, type and place; questions and code lists were in
// the metadata of then. Events say that they are archived, as do the references to forms; for groups and items ODM has no
// word.
func remember(s *odm.Study, meta *clinical.Metadata) {
	v := last(s)
	rememberEvents(v, meta)
	forms := found(v.FormDef, func(d *odm.FormDef) string { return d.OID })
	for _, oid := range slices.Sorted(maps.Keys(meta.Forms)) {
		f := meta.Forms[oid]
		var there []odm.ItemGroupRef
		newest := -1
		for _, d := range formDefs(f) {
			at, known := forms[clinical.Fold(d.OID)]
			if known {
				newest, there = at, append(there, v.FormDef[at].ItemGroupRef...)
				continue
			}
			d.ItemGroupRef = groupRefs(meta, f.Groups)
			v.FormDef = append(v.FormDef, d)
		}
		if newest >= 0 {
			d := &v.FormDef[newest]
			d.ItemGroupRef = append(d.ItemGroupRef, groupRefs(meta, lacking(f.Groups, there, func(r *odm.ItemGroupRef) string { return r.ItemGroupOID }))...)
		}
	}
	groups := found(v.ItemGroupDef, func(d *odm.ItemGroupDef) string { return d.OID })
	for _, oid := range slices.Sorted(maps.Keys(meta.Groups)) {
		g := meta.Groups[oid]
		at, known := groups[oid]
		if !known {
			v.ItemGroupDef = append(v.ItemGroupDef, odm.ItemGroupDef{OID: g.OID, Name: g.Name, Repeating: clinical.YesNo(g.Repeating)})
			at = len(v.ItemGroupDef) - 1
		}
		d := &v.ItemGroupDef[at]
		for _, i := range lacking(g.Items, d.ItemRef, func(r *odm.ItemRef) string { return r.ItemOID }) {
			d.ItemRef = append(d.ItemRef, odm.ItemRef{ItemOID: meta.Items[i].OID})
		}
	}
	items := found(v.ItemDef, func(d *odm.ItemDef) string { return d.OID })
	for _, oid := range slices.Sorted(maps.Keys(meta.Items)) {
		if _, known := items[oid]; !known {
			i := meta.Items[oid]
			v.ItemDef = append(v.ItemDef, odm.ItemDef{OID: i.OID, Name: i.Name, DataType: kinds[i.Type]})
		}
	}
}

// formDefs are the definitions of a form: its own, or one for each version that has an OID.
func formDefs(f *clinical.FormDef) (defs []odm.FormDef) {
	for _, l := range f.Layouts {
		if l.OID != "" {
			defs = append(defs, odm.FormDef{OID: l.OID, Name: f.Name + " - " + l.Name, FormDetails: &odm.FormDetails{FormOID: l.OID, ParentFormOID: f.OID}})
		}
	}
	if defs == nil {
		defs = []odm.FormDef{{OID: f.OID, Name: f.Name}}
	}
	return defs
}

func groupRefs(meta *clinical.Metadata, groups []string) (refs []odm.ItemGroupRef) {
	for _, g := range groups {
		refs = append(refs, odm.ItemGroupRef{ItemGroupOID: meta.Groups[g].OID})
	}
	return refs
}

func rememberEvents(v *odm.MetaDataVersion, meta *clinical.Metadata) {
	const archived = "archived"
	events := found(v.StudyEventDef, func(d *odm.StudyEventDef) string { return d.OID })
	for _, e := range meta.Events {
		at, known := events[clinical.Fold(e.OID)]
		if !known {
			kind := "" // Scheduled, as fill has it
			if e.Common {
				kind = "Common"
			}
			v.StudyEventDef = append(v.StudyEventDef, odm.StudyEventDef{OID: e.OID, Name: e.Name, Repeating: clinical.YesNo(e.Repeating), Type: kind, Status: archived})
			at = len(v.StudyEventDef) - 1
		}
		d := &v.StudyEventDef[at]
		refs := found(d.FormRef, func(r *odm.FormRef) string { return r.FormOID })
		for _, ref := range e.Forms {
			f := meta.Forms[ref.Form]
			for _, def := range formDefs(f) {
				gone := ref.Archived || slices.ContainsFunc(f.Layouts, func(l clinical.Layout) bool { return l.OID == def.OID && l.Archived })
				if _, has := refs[clinical.Fold(def.OID)]; !has && gone || !known {
					d.FormRef = append(d.FormRef, odm.FormRef{FormOID: def.OID, Status: archived})
				}
			}
		}
	}
}

// lacking are the folded OIDs that no reference has.
func lacking[T any](oids []string, refs []T, oid func(*T) string) []string {
	has := found(refs, oid)
	return slices.DeleteFunc(slices.Clone(oids), func(o string) bool {
		_, known := has[o]
		return known
	})
}

// found are the places of definitions, or references, by their folded OIDs.
func found[T any](all []T, oid func(*T) string) map[string]int {
	at := make(map[string]int, len(all))
	for i := range all {
		at[clinical.Fold(oid(&all[i]))] = i
	}
	return at
}
