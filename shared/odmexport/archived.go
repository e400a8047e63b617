package odmexport

import (
	"context"
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
// data name is defined (sections 6.2 and 8.2). Items are as they were defined then, as far as that is known (then, by folded
// OID); all else by its OID, name, type and place. Events say that they are archived, as do the references to forms; for groups
// and items ODM has no word.
func remember(s *odm.Study, meta *clinical.Metadata, then map[string]odm.ItemDef) {
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
			def, known := then[oid]
			if !known {
				def = odm.ItemDef{OID: i.OID, Name: i.Name, DataType: kinds[i.Type]}
			}
			v.ItemDef = append(v.ItemDef, def)
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

// archivedItems are the items that a Study no longer defines, as earlier documents did last, by folded OID: with their questions
// and checks. The lists and units that they name are added to the Study, unless it has its own with that OID. Each document is
// read that an item was left out after, one at a time.
func (d *Document) archivedItems(ctx context.Context, s *odm.Study, meta *clinical.Metadata) (map[string]odm.ItemDef, error) {
	documents := map[string]bool{}
	for _, item := range meta.Items {
		if item.Last != "" {
			documents[item.Last] = true
		}
	}
	items, v := map[string]odm.ItemDef{}, last(s)
	for _, key := range slices.Sorted(maps.Keys(documents)) {
		study, _, err := d.sent(ctx, key)
		if err != nil {
			return nil, err
		}
		then := last(study)
		lists, units := map[string]bool{}, map[string]bool{}
		for _, def := range then.ItemDef {
			oid := clinical.Fold(def.OID)
			if item := meta.Items[oid]; item == nil || item.Last != key {
				continue
			}
			items[oid] = def
			lists[clinical.Fold(def.CodeListOID)], lists[clinical.Fold(def.MultiSelectListID)] = true, true
			for _, r := range def.MeasurementUnitRef {
				units[clinical.Fold(r.MeasurementUnitOID)] = true
			}
			for _, c := range def.RangeCheck {
				units[clinical.Fold(c.MeasurementUnitOID)] = true
			}
		}
		v.CodeList = adding(v.CodeList, then.CodeList, lists, func(l *odm.CodeList) string { return l.OID })
		v.MultiSelectList = adding(v.MultiSelectList, then.MultiSelectList, lists, func(l *odm.MultiSelectList) string { return l.ID })
		s.MeasurementUnit = adding(s.MeasurementUnit, study.MeasurementUnit, units, func(u *odm.MeasurementUnit) string { return u.OID })
	}
	return items, nil
}

// adding are definitions with those that are named and lacking.
func adding[T any](to, from []T, named map[string]bool, oid func(*T) string) []T {
	has := found(to, oid)
	for i := range from {
		folded := clinical.Fold(oid(&from[i]))
		if _, known := has[folded]; named[folded] && !known {
			to = append(to, from[i])
		}
	}
	return to
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
