package odmexport

import (
	"cmp"
	"slices"
	"strings"

	"aliquot/shared/clinical"
	"aliquot/shared/odm"
)

// The Study of a site (section 6.4).

// last is the version of a study's definitions that counts.
func last(s *odm.Study) *odm.MetaDataVersion { return &s.MetaDataVersion[len(s.MetaDataVersion)-1] }

// including is the Study of a site that does nothing otherwise: its names, and the study's version with the events.
func including(study *odm.Study, site *clinical.Held) *odm.Study {
	v := last(study)
	oid := v.OID + "-" + site.OID
	return &odm.Study{
		OID: site.OID,
		GlobalVariables: &odm.GlobalVariables{
			StudyName: site.Name, StudyDescription: study.GlobalVariables.StudyDescription, ProtocolName: site.Unique,
		},
		MetaDataVersion: []odm.MetaDataVersion{{
			OID: oid, Name: "MetaDataVersion_" + oid, Include: &odm.Include{StudyOID: study.OID, MetaDataVersionOID: v.OID}, Protocol: v.Protocol,
		}},
	}
}

// whole is the Study of a site with all definitions that hold there: the study's, with what the site does otherwise (own,
// nil for nothing), and without the forms that are hidden in meta and what only they have.
func whole(study, own *odm.Study, site *clinical.Held, meta *clinical.Metadata) *odm.Study {
	out := including(study, site)
	head := out.MetaDataVersion[0]
	v := *last(study)
	v.OID, v.Name, v.Include = head.OID, head.Name, head.Include
	if own != nil {
		o := last(own)
		v.OID, v.Name = cmp.Or(o.OID, v.OID), cmp.Or(o.Name, v.Name)
		if own.GlobalVariables != nil {
			out.GlobalVariables = own.GlobalVariables
		}
		v.StudyEventDef = overridden(v.StudyEventDef, o.StudyEventDef)
	}
	out.MeasurementUnit, out.MetaDataVersion = study.MeasurementUnit, []odm.MetaDataVersion{shown(v, meta)}
	return out
}

// overridden are a study's events with what a site says otherwise about their forms.
func overridden(study, site []odm.StudyEventDef) []odm.StudyEventDef {
	study = slices.Clone(study)
	for i := range study {
		e := &study[i]
		e.FormRef = slices.Clone(e.FormRef)
		for _, at := range site {
			if clinical.Fold(at.OID) != clinical.Fold(e.OID) {
				continue
			}
			for _, own := range at.FormRef {
				for j := range e.FormRef {
					ref := &e.FormRef[j]
					if clinical.Fold(ref.FormOID) != clinical.Fold(own.FormOID) {
						continue
					}
					if own.ConfigurationParameters != nil {
						ref.ConfigurationParameters = own.ConfigurationParameters
					}
					if len(own.FormLayoutRef) > 0 {
						ref.FormLayoutRef = own.FormLayoutRef
					}
				}
			}
		}
	}
	return study
}

// named are OIDs, folded, by whether they are named by what is shown, by what is hidden, or by both.
type named struct{ shown, hidden map[string]bool }

func newNamed() named { return named{map[string]bool{}, map[string]bool{}} }

func (n named) add(oid string, hidden bool) {
	if hidden {
		n.hidden[clinical.Fold(oid)] = true
	} else {
		n.shown[clinical.Fold(oid)] = true
	}
}

// gone tells whether only what is hidden names an OID. What nothing names stays.
func (n named) gone(oid string) bool {
	f := clinical.Fold(oid)
	return n.hidden[f] && !n.shown[f]
}

// shown is a version without the forms that are hidden everywhere, and without the item groups, items and lists that only
// those have (section 6.2). Rules and the formulas of conditions and methods, which may name them, are then left out as well.
func shown(v odm.MetaDataVersion, meta *clinical.Metadata) odm.MetaDataVersion {
	form := func(oid string) string {
		if f := meta.Form(oid); f != nil { // 3.x names versions
			return f.OID
		}
		return oid
	}
	forms, groups, items, lists := newNamed(), newNamed(), newNamed(), newNamed()
	v.StudyEventDef = slices.Clone(v.StudyEventDef)
	for i := range v.StudyEventDef {
		e := &v.StudyEventDef[i]
		def := meta.Event(e.OID)
		e.FormRef = slices.DeleteFunc(slices.Clone(e.FormRef), func(r odm.FormRef) bool {
			f := meta.Form(r.FormOID)
			hidden := false
			if def != nil && f != nil {
				ref := def.Ref(f)
				hidden = ref != nil && ref.Hidden
			}
			forms.add(form(r.FormOID), hidden)
			return hidden
		})
	}
	if len(forms.hidden) == 0 {
		return v
	}
	v.FormDef = slices.DeleteFunc(slices.Clone(v.FormDef), func(d odm.FormDef) bool {
		gone := forms.gone(form(d.OID))
		for _, r := range d.ItemGroupRef {
			groups.add(r.ItemGroupOID, gone)
		}
		return gone
	})
	v.ItemGroupDef = slices.DeleteFunc(slices.Clone(v.ItemGroupDef), func(d odm.ItemGroupDef) bool {
		gone := groups.gone(d.OID)
		for _, r := range d.ItemRef {
			items.add(r.ItemOID, gone)
		}
		return gone
	})
	v.ItemDef = slices.DeleteFunc(slices.Clone(v.ItemDef), func(d odm.ItemDef) bool {
		gone := items.gone(d.OID)
		lists.add(d.CodeListOID, gone)
		lists.add(d.MultiSelectListID, gone)
		return gone
	})
	for i := range v.ItemGroupDef {
		d := &v.ItemGroupDef[i]
		d.ItemRef = slices.Clone(d.ItemRef)
		for j := range d.ItemRef {
			d.ItemRef[j].MethodOID, d.ItemRef[j].CollectionExceptionConditionOID = "", ""
		}
		d.ItemGroupDetails = without(d.ItemGroupDetails, func(oid string) bool { return forms.gone(form(oid)) })
	}
	for i := range v.ItemDef {
		d := &v.ItemDef[i]
		d.FormOIDs = strings.Join(slices.DeleteFunc(strings.Split(d.FormOIDs, ","), func(oid string) bool { return forms.gone(form(oid)) }), ",")
		if forms.gone(form(d.FormOID)) {
			d.FormOID = ""
		}
		d.ItemPresentInForm = slices.DeleteFunc(slices.Clone(d.ItemPresentInForm), func(p odm.ItemPresentInForm) bool { return forms.gone(form(p.FormOID)) })
	}
	v.CodeList = slices.DeleteFunc(slices.Clone(v.CodeList), func(l odm.CodeList) bool { return lists.gone(l.OID) })
	v.MultiSelectList = slices.DeleteFunc(slices.Clone(v.MultiSelectList), func(l odm.MultiSelectList) bool { return lists.gone(l.ID) })
	v.ConditionDef, v.MethodDef, v.Rules = nil, nil, nil
	for i := range v.StudyEventDef {
		for j := range v.StudyEventDef[i].FormRef {
			v.StudyEventDef[i].FormRef[j].CollectionExceptionConditionOID = ""
		}
	}
	for i := range v.FormDef {
		d := &v.FormDef[i]
		d.ItemGroupRef = slices.Clone(d.ItemGroupRef)
		for j := range d.ItemGroupRef {
			d.ItemGroupRef[j].CollectionExceptionConditionOID = ""
		}
	}
	return v
}

// without is details of OpenClinica's without the elements in them that are about a form which is gone.
func without(details []odm.Element, gone func(formOID string) bool) []odm.Element {
	details = slices.Clone(details)
	for i := range details {
		details[i].Children = slices.DeleteFunc(slices.Clone(details[i].Children), func(e odm.Element) bool {
			return slices.ContainsFunc(e.Attrs, func(a odm.Attr) bool { return a.Name == "FormOID" && gone(a.Value) })
		})
	}
	return details
}
